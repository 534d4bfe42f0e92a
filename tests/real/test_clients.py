"""Clients that others wrote, at the embedded relay: the same question gets the same answer through each of them."""

from __future__ import annotations

import asyncio
import operator
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias

import openai
import pytest

from tests.real.asking import KEY, Body, Npm, Python
from tests.real.questions import HELLO, QUESTIONS, SPOKEN, about, ask, question, stream
from tests.real.servers import running
from tutuclient import TutuClient
from tutuclient.testing import Server, fails, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

Client: TypeAlias = Python | Npm
Answers: TypeAlias = "Callable[[str, str], Body]"
CLIENTS: dict[str, Client] = {
    "openai": Python(openai.OpenAI),
    "openai-async": Python(openai.AsyncOpenAI),
    "npm-openai": Npm("openai.mjs"),
    "ai-sdk": Npm("ai_sdk.mjs"),
    "tutuclient": Python(TutuClient),
}
# The client that the API is judged by; the others are held against it.
JUDGE = "openai"

# What a client has no page for. Vercel's provider has none for models, sounds, variations and several choices.
WITHOUT: Mapping[str, set[str]] = {
    "ai-sdk": {
        "models",
        "model",
        "choices",
        "spoken",
        "image_stream",
        "image_variation",
        "speech",
        "transcription",
        "transcription_stream",
        "translation",
    },
}
PAIRS = [
    pytest.param(client, name, id=f"{client}-{name}")
    for client in CLIENTS
    for name, (page, _) in QUESTIONS.items()
    if client != JUDGE and page not in WITHOUT.get(client, ())
]


@pytest.fixture(scope="module")
def thread() -> Iterator[Server]:
    with serve_in_thread(key=KEY) as server:
        yield server


@pytest.fixture
def relay(thread: Server) -> Server:
    thread.reset()
    thread.picture_form = "b64"  # Addresses would differ.
    return thread


@pytest.fixture(scope="module")
def clients() -> Iterator[Mapping[str, Client]]:
    with ExitStack() as stack:
        for client in CLIENTS.values():
            stack.enter_context(client)
        yield CLIENTS


@pytest.fixture(scope="module")
def known() -> dict[tuple[str, str], Body]:
    return {}


@pytest.fixture
def answers(
    relay: Server, clients: Mapping[str, Client], known: dict[tuple[str, str], Body], tmp_path: Path
) -> Answers:
    """Return what a client is answered; each is asked once."""

    def ask_once(client: str, name: str) -> Body:
        if (client, name) not in known:
            known[client, name] = clients[client].ask(relay.base_url, *question(name, tmp_path))
        return known[client, name]

    return ask_once


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # openai's word on its oldest pages.
@pytest.mark.parametrize(("client", "name"), PAIRS)
def test_the_same_question_gets_the_same_answer(answers: Answers, client: str, name: str) -> None:
    answer, expected = answers(client, name), about(answers(JUDGE, name))
    assert answer
    # A client may say less of an answer than the judge, never anything else.
    assert answer == {each: expected[each] for each in answer}


def test_the_answers_are_what_was_asked_for(answers: Answers) -> None:
    assert HELLO in answers(JUDGE, "chat")["text"]
    assert "720x540" in answers(JUDGE, "chat-picture")["text"]
    assert SPOKEN in answers(JUDGE, "chat-sound")["text"]
    assert "data:image/png;base64," in answers(JUDGE, "chat-drawn")["text"]
    assert "high" in answers(JUDGE, "thinking")["thinking"]
    assert len(answers(JUDGE, "chat-stream")["pieces"]) > 5
    assert len(set(answers(JUDGE, "choices")["texts"])) == 3
    for cut, length in (("chat-cut", 3), ("chat-cut-stream", 4), ("completion-cut", 3)):
        answer = answers(JUDGE, cut)
        assert (answer["finish_reason"], answer["usage"][1]) == ("length", length)


def test_a_stream_says_what_the_whole_answer_says(answers: Answers) -> None:
    for name in ("chat", "chat-picture", "tool", "tools", "completion"):
        whole, streamed = answers(JUDGE, name), answers(JUDGE, f"{name}-stream")
        assert {key: streamed[key] for key in whole} == whole


def test_tools_are_called_and_their_results_used(answers: Answers) -> None:
    paris, oslo = (
        {"name": "get_weather", "arguments": {"city": city, "unit": "celsius"}} for city in ("Paris", "Oslo")
    )
    for name in ("tool", "tool-stream"):
        assert (answers(JUDGE, name)["calls"], answers(JUDGE, name)["finish_reason"]) == ([paris], "tool_calls")
    for name in ("tools", "tools-stream"):
        assert answers(JUDGE, name)["calls"] == [paris, oslo]
    assert answers(JUDGE, "tool-round")["calls"] == [paris]
    assert "晴, 21 °C" in answers(JUDGE, "tool-round")["text"]
    assert answers(JUDGE, "object")["object"] == {"city": "Oslo", "people": 700_000, "rainy": True}


def test_vectors_of_similar_texts_are_near(answers: Answers) -> None:
    cat, kitten, _, law = answers(JUDGE, "embeddings")["vectors"]
    near, far = (sum(map(operator.mul, cat, other)) for other in (kitten, law))
    assert near > far
    (again, _) = answers(JUDGE, "embeddings-float")["vectors"]
    assert cat == pytest.approx(again, abs=1e-6)


def test_an_image_is_the_same_streamed_or_not(answers: Answers) -> None:
    *drafts, last = answers(JUDGE, "image-stream")["pictures"]
    assert [last] == answers(JUDGE, "image")["pictures"]
    assert len({*drafts, last}) == 3
    assert len(set(answers(JUDGE, "images")["pictures"])) == 2


def test_a_recording_is_read_back(answers: Answers) -> None:
    for name in ("json", "text", "verbose_json"):
        assert answers(JUDGE, f"transcription-{name}")["text"] == SPOKEN
    stream = answers(JUDGE, "transcription-stream")
    assert "".join(stream["pieces"]) == stream["text"] == SPOKEN


@pytest.mark.parametrize("page", ["chat", "stream"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalid_request"),
        (401, "invalid_api_key"),
        (403, "insufficient_user_quota"),
        (404, "model_not_found"),
        (413, "read_request_body_failed"),
        (429, "rate_limit_exceeded"),
        (500, "do_request_failed"),
        (503, "channel:no_available_key"),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_errors_are_reported_alike(
    relay: Server, clients: Mapping[str, Client], client: str, status: int, code: str, page: str
) -> None:
    relay.answers(fails(status, "当前分组上游负载已饱和", code))
    answer = clients[client].ask(relay.base_url, page, stream(HELLO))
    assert answer == {"error": {"status": status, "code": code}}


@pytest.mark.parametrize("client", CLIENTS)
async def test_the_relay_sees_a_client_leave(relay: Server, clients: Mapping[str, Client], client: str) -> None:
    relay.token_delay = 0.05
    answer = await asyncio.to_thread(clients[client].ask, relay.base_url, "left", ask(HELLO))
    assert answer["text"]
    await relay.wait_closed()


def test_the_command_serves_them_too(tmp_path: Path, clients: Mapping[str, Client]) -> None:
    command = [sys.executable, "-m", "tutuclient", "serve", "--port", "{port}", "--key", KEY]
    with running(command, "/healthz", tmp_path / "log") as origin:
        texts = {client.ask(f"{origin}/v1", "chat", ask(HELLO))["text"] for client in clients.values()}
    assert len(texts) == 1
    assert HELLO in texts.pop()
