"""litellm's proxy at our client: its mocks, its errors, and the embedded relay behind it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import openai
import pytest

from tests.conftest import QUICK
from tests.leftovers import nothing_left
from tests.real.asking import KEY, Body, Python
from tests.real.questions import QUESTIONS, about, question
from tests.real.servers import program, running
from tutuclient import (
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    ContentPolicyError,
    ContextLengthError,
    InternalServerError,
    RateLimitError,
    TutuClient,
    UnexpectedResponseError,
    user,
)
from tutuclient.testing import Server, says, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

SAID = "The relay says 你好 and nothing more."
HELLO = [user("hello")]
MOCKS: dict[str, dict[str, object]] = {
    "says": {"mock_response": SAID},
    "limited": {"mock_response": "litellm.RateLimitError"},
    "broken": {"mock_response": "litellm.InternalServerError"},
    "too-long": {"mock_response": "litellm.ContextWindowExceededError"},
    "filtered": {"model": "azure/gpt-4o", "mock_response": "Exception: content_filter_policy"},
    "overloaded": {"mock_response": "Exception: mock_streaming_error"},
    "late": {"mock_response": SAID, "mock_timeout": True, "timeout": 0.05},
    "writes": {"model": "text-completion-openai/gpt-3.5-turbo-instruct", "mock_response": SAID},
    "embeds": {"model": "openai/text-embedding-3-small", "mock_response": [0.25, -0.5, 1.0]},
    "paints": {"model": "openai/dall-e-3", "mock_response": "https://pictures.example/red-panda.png"},
    "calls": {
        "mock_response": "",
        "mock_tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "上海"}'}}
        ],
    },
}

# What litellm does not pass on as it is: it has no such page, knows better what a model can, or puts texts into JSON.
CHANGED = {
    "models",
    "model",
    "thinking",
    "image-stream",
    "image-variation",
    "transcription-text",
    "transcription-verbose_json",
    "transcription-srt",
    "transcription-vtt",
    "transcription-stream",
    "translation",
}


@pytest.fixture(scope="module")
def relay() -> Iterator[Server]:
    with serve_in_thread(key=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(relay: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("litellm")
    behind = {"api_base": relay.base_url, "api_key": KEY}
    models = MOCKS | {"relayed": behind}
    for _, fields in QUESTIONS.values():
        if model := fields.get("model"):
            models[model] = behind | {"model": f"{'text-completion-' * ('instruct' in model)}openai/{model}"}
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": "openai/gpt-4o", "api_key": "none", **params}}
            for name, params in models.items()
        ],
        "general_settings": {"master_key": KEY},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "litellm_settings": {"num_retries": 0, "telemetry": False},
    }
    # JSON is YAML too.
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    command = [program("litellm", "litellm"), "--config", str(folder / "config.yaml")]
    command += ["--host", "127.0.0.1", "--port", "{port}", "--telemetry", "False"]
    # Without this it asks the network for a table of prices.
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with running(command, "/health/liveliness", folder / "log", env) as origin:
        yield f"{origin}/v1"


@pytest.fixture
async def client(proxy: str) -> AsyncIterator[TutuClient]:
    async with TutuClient(KEY, proxy, retry=QUICK) as client:
        yield client


async def test_a_whole_answer_is_read(client: TutuClient) -> None:
    answer = await client.chat.completions.create(model="says", messages=HELLO)
    assert (answer.text, answer.finish_reason, answer.model) == (SAID, "stop", "says")
    assert answer.usage is not None
    assert answer.usage.total_tokens == (answer.usage.prompt_tokens or 0) + (answer.usage.completion_tokens or 0) > 0
    assert answer.meta.attempts == 1
    assert answer.meta.request_id == answer.meta.headers["x-litellm-call-id"]


async def test_a_stream_comes_piece_by_piece(client: TutuClient) -> None:
    async with client.chat.completions.stream(
        model="says", messages=HELLO, stream_options={"include_usage": True}
    ) as stream:
        pieces = [piece async for piece in stream.text()]
        answer = await stream.completion()
    assert len(pieces) > 3
    assert "".join(pieces) == answer.text == SAID
    assert answer.finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.completion_tokens or 0) > 0


async def test_a_stream_without_usage_invents_none(client: TutuClient) -> None:
    async with client.chat.completions.stream(model="says", messages=HELLO) as stream:
        assert (await stream.completion()).usage is None


async def test_tool_calls_are_read(client: TutuClient) -> None:
    answer = await client.chat.completions.create(model="calls", messages=HELLO)
    (call,) = answer.message.tool_calls or []
    assert (call.id, call.function.name, json.loads(call.function.arguments)) == ("call_1", "weather", {"city": "上海"})


@pytest.mark.parametrize("page", ["completion", "completion_stream"])
def test_legacy_completions_are_read(proxy: str, page: str) -> None:
    fields = {"model": "writes", "prompt": "What does it say?"}
    ours, theirs = (Python(kind).ask(proxy, page, fields) for kind in (TutuClient, openai.OpenAI))
    assert ours == theirs
    assert (ours["text"], ours["finish_reason"]) == (SAID, "stop")


async def test_vectors_are_read_and_counted(client: TutuClient) -> None:
    answer = await client.embeddings.create(model="embeds", input="one")
    assert [each.embedding for each in answer.data] == [[0.25, -0.5, 1.0]]
    # Its mock gives one vector, whatever it is asked.
    with pytest.raises(UnexpectedResponseError, match="1 inputs in place of 2"):
        await client.embeddings.create(model="embeds", input=["one", "two"])


async def test_images_are_read(client: TutuClient) -> None:
    answer = await client.images.generate(model="paints", prompt="a red panda")
    assert [image.url for image in answer.images] == [MOCKS["paints"]["mock_response"]]


async def test_its_models_are_listed_and_retrieved(client: TutuClient) -> None:
    assert {model.id for model in await client.models.list()} > {*MOCKS, "relayed"}
    model = await client.models.retrieve("says")
    assert (model.id, model.owned_by, model.extra["mode"]) == ("says", "openai", "chat")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("model", "cls", "status", "attempts"),
    [
        ("limited", RateLimitError, 429, 3),
        ("broken", InternalServerError, 500, 3),
        ("overloaded", InternalServerError, 529, 3),
        ("late", APIStatusError, 408, 3),
        ("too-long", ContextLengthError, 400, 1),
        ("filtered", ContentPolicyError, 400, 1),
        ("nobody", BadRequestError, 400, 1),
    ],
)
async def test_its_errors_have_our_names(
    client: TutuClient, model: str, cls: type[APIStatusError], status: int, attempts: int, *, stream: bool
) -> None:
    with pytest.raises(APIStatusError) as caught:
        await client.chat.completions.create(model=model, messages=HELLO, extra_body={"stream": stream})
    error = caught.value
    assert type(error) is cls
    assert (error.status_code, error.attempts, error.outcome) == (status, attempts, "rejected")
    assert error.request_id
    assert KEY not in str(error)


async def test_a_wrong_key_is_refused_once(proxy: str) -> None:
    async with TutuClient("sk-wrong", proxy, retry=QUICK) as stranger:
        # Without a database litellm knows no key but its master's, and says 400 where others say 401.
        with pytest.raises(BadRequestError, match="No connected db") as caught:
            await stranger.chat.completions.create(model="says", messages=HELLO)
    assert caught.value.attempts == 1


@pytest.mark.parametrize("page", ["chat", "stream"])
@pytest.mark.parametrize("model", ["says", "relayed"])
def test_openai_reads_the_same(proxy: str, page: str, model: str) -> None:
    fields: Body = {"model": model, "messages": [{"role": "user", "content": "Say hello, 你好 and 🐼."}]}
    if page == "stream":
        fields["stream_options"] = {"include_usage": True}
    ours, theirs = (Python(kind).ask(proxy, page, fields) for kind in (TutuClient, openai.OpenAI))
    assert ours == theirs
    assert ours["text"]


@pytest.mark.parametrize("name", [name for name in QUESTIONS if name not in CHANGED])
def test_the_relay_answers_the_same_through_it(relay: Server, proxy: str, name: str, tmp_path: Path) -> None:
    relay.reset()
    relay.picture_form = "b64"
    page, fields = question(name, tmp_path)
    direct, through = (Python(openai.OpenAI).ask(url, page, fields) for url in (relay.base_url, proxy))
    assert through == about(direct)


async def test_what_breaks_behind_it_is_an_error(relay: Server, client: TutuClient) -> None:
    relay.reset()
    relay.faults("fin_mid_stream", after=3)
    async with client.chat.completions.stream(model="relayed", messages=HELLO) as stream:
        with pytest.raises(InternalServerError, match="payload is not completed|Connection error") as caught:
            await stream.completion()
    assert caught.value.partial is not None
    assert caught.value.partial.text


async def test_what_takes_too_long_is_given_up(relay: Server, client: TutuClient) -> None:
    relay.reset()
    relay.answers(says("late", delay=10))
    with pytest.raises(APITimeoutError) as caught:
        await client.chat.completions.create(model="relayed", messages=HELLO, timeout=0.3)
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert await nothing_left(client) == []


async def test_many_at_once_are_answered(client: TutuClient) -> None:
    async with asyncio.TaskGroup() as group:
        ask = client.chat.completions.create
        tasks = [
            group.create_task(ask(model=model, messages=HELLO)) for model in ("says", "relayed") for _ in range(16)
        ]
    answers = [task.result() for task in tasks]
    assert len({answer.text for answer in answers}) == 2
    assert len({answer.meta.request_id for answer in answers}) == len(answers)


async def test_leaving_a_stream_frees_all_behind_it(relay: Server, client: TutuClient) -> None:
    relay.reset()
    relay.token_delay = 0.05
    async with client.chat.completions.stream(model="relayed", messages=HELLO) as stream:
        async for _ in stream.text():
            break
    assert await nothing_left(client) == []
    await relay.wait_closed()
