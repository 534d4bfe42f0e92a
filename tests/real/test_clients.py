"""Clients that others wrote, at the embedded relay: the same question gets the same answer through each of them."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias

import openai
import pytest

from tests.real.asking import FILES, KEY, Body, Npm, Python
from tutuclient import TutuClient
from tutuclient.testing import Server, sample_picture, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Client: TypeAlias = Python | Npm
CLIENTS: dict[str, Client] = {
    "openai": Python(openai.OpenAI),
    "openai-async": Python(openai.AsyncOpenAI),
    "npm-openai": Npm("openai.mjs"),
    "ai-sdk": Npm("ai_sdk.mjs"),
    "tutuclient": Python(TutuClient),
}
# The client that the API is judged by; the others are held against it.
JUDGE = "openai"

PICTURE = f"data:image/jpeg;base64,{base64.b64encode(sample_picture()).decode()}"
LOOK = [{"type": "text", "text": "What is in this picture?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]

QUESTIONS: Mapping[str, tuple[str, Body]] = {
    "models": ("models", {}),
    "model": ("model", {"model": "gpt-4o"}),
    "chat": ("chat", {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello, 你好 and 🐼."}]}),
    "chat-zh": ("chat", {"model": "gpt-4o", "messages": [{"role": "user", "content": "这张图片有什么"}]}),
    "chat-cut": ("chat", {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 3}),
    "chat-picture": ("chat", {"model": "gpt-4o", "messages": [{"role": "user", "content": LOOK}]}),
    "stream": (
        "stream",
        {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "Say hello, 你好 and 🐼."}],
            "stream_options": {"include_usage": True},
        },
    ),
    "stream-cut": (
        "stream",
        {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": "这张图片有什么"}],
            "max_tokens": 4,
            "stream_options": {"include_usage": True},
        },
    ),
    "stream-picture": (
        "stream",
        {
            "model": "gpt-4o",
            "messages": [{"role": "user", "content": LOOK}],
            "stream_options": {"include_usage": True},
        },
    ),
}
# What a client has no page for. Vercel's provider has none for models, sounds and variations.
WITHOUT: Mapping[str, set[str]] = {
    "ai-sdk": {"models", "model", "image_variation", "speech", "transcription", "transcription_stream", "translation"},
}
PAIRS = [
    pytest.param(client, question, id=f"{client}-{question}")
    for client in CLIENTS
    for question, (page, _) in QUESTIONS.items()
    if client != JUDGE and page not in WITHOUT.get(client, ())
]


@pytest.fixture(scope="module")
def relay() -> Iterator[Server]:
    with serve_in_thread(key=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def clients() -> Iterator[Mapping[str, Client]]:
    with ExitStack() as stack:
        for client in CLIENTS.values():
            stack.enter_context(client)
        yield CLIENTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "picture.png").write_bytes(sample_picture())
    return folder


@pytest.fixture(scope="module")
def answers(relay: Server, clients: Mapping[str, Client], folder: Path) -> Answers:
    return Answers(relay, clients, folder)


class Answers:
    """What each client was answered; each is asked once."""

    def __init__(self, relay: Server, clients: Mapping[str, Client], folder: Path) -> None:
        self._relay, self._clients, self._folder = relay, clients, folder
        self._known: dict[tuple[str, str], Body] = {}

    def __call__(self, client: str, question: str) -> Body:
        if (client, question) not in self._known:
            page, fields = QUESTIONS[question]
            fields = fields | {name: str(self._folder / fields[name]) for name in FILES if name in fields}
            self._known[client, question] = self._clients[client].ask(self._relay.base_url, page, fields)
        return self._known[client, question]


@pytest.mark.parametrize(("client", "question"), PAIRS)
def test_the_same_question_gets_the_same_answer(answers: Answers, client: str, question: str) -> None:
    answer, expected = answers(client, question), answers(JUDGE, question)
    assert answer.keys() == expected.keys()
    for name, value in expected.items():
        assert answer[name] == (value if name != "vectors" else [pytest.approx(each, abs=1e-6) for each in value])
