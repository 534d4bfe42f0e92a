"""An inference server at our client: transformers' own, with a tiny model of random weights made on the spot."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import openai
import pytest

from tests.conftest import KEY, QUICK
from tests.leftovers import nothing_left
from tests.real.asking import Body, Python
from tests.real.servers import program, running
from tutuclient import BadRequestError, ChatCompletion, InternalServerError, NotFoundError, TutuClient, user

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

HELLO = [user("hello")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    script = str(Path(__file__).parent / "tiny_model.py")
    subprocess.run([program("transformers", "python"), script, str(folder)], check=True)  # noqa: S603  (our own)
    return str(folder)


@pytest.fixture(scope="module")
def origin(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("transformers")
    (folder / "hub").mkdir()
    command = [program("transformers", "transformers"), "serve", model, "--device", "cpu"]
    command += ["--host", "127.0.0.1", "--port", "{port}"]
    # No hub: an empty one on disk, and no looking further.
    env = {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with running(command, "/health", folder / "log", env) as origin:
        yield f"{origin}/v1"


@pytest.fixture
async def client(origin: str) -> AsyncIterator[TutuClient]:
    async with TutuClient(KEY, origin, retry=QUICK) as client:
        yield client


async def test_a_whole_answer_is_read(client: TutuClient, model: str) -> None:
    answer = await client.chat.completions.create(model=model, messages=HELLO, max_tokens=24)
    assert answer.text
    assert answer.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 24
    assert answer.usage.total_tokens == 24 + (answer.usage.prompt_tokens or 0)
    assert answer.meta.request_id == answer.id


async def test_a_stream_comes_token_by_token(client: TutuClient, model: str) -> None:
    whole = await client.chat.completions.create(model=model, messages=HELLO, max_tokens=24)
    async with client.chat.completions.stream(model=model, messages=HELLO, max_tokens=24) as stream:
        pieces = [piece async for piece in stream.text()]
        answer = await stream.completion()
    assert 8 < len(pieces) <= 24
    assert "".join(pieces) == answer.text == whole.text
    # It sends no [DONE]: the reason is what tells that the answer is whole.
    assert answer.finish_reason == "length"
    assert answer.usage == whole.usage


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_answer_ends_at_a_stop_word(client: TutuClient, model: str, *, stream: bool) -> None:
    whole = await client.chat.completions.create(model=model, messages=HELLO, max_tokens=24)
    stop = next(character for character in whole.text if character.isascii() and character.isprintable())
    answer: ChatCompletion
    if stream:
        async with client.chat.completions.stream(model=model, messages=HELLO, max_tokens=24, stop=[stop]) as opened:
            answer = await opened.completion()
    else:
        answer = await client.chat.completions.create(model=model, messages=HELLO, max_tokens=24, stop=[stop])
    assert answer.finish_reason == "stop"
    assert answer.text == whole.text.partition(stop)[0] + stop


async def test_a_conversation_goes_on(client: TutuClient, model: str) -> None:
    first = await client.chat.completions.create(model=model, messages=HELLO, max_tokens=8)
    second = await client.chat.completions.create(
        model=model, messages=[*HELLO, first.message, user("and then?")], max_tokens=8
    )
    assert first.usage is not None
    assert second.usage is not None
    assert (second.usage.prompt_tokens or 0) > (first.usage.prompt_tokens or 0) + 8


async def test_many_at_once_are_answered_alike(client: TutuClient, model: str) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(client.chat.completions.create(model=model, messages=HELLO, max_tokens=16))
            for _ in range(8)
        ]
    assert len({task.result().text for task in tasks}) == 1


async def test_leaving_a_stream_ends_the_work(client: TutuClient, model: str) -> None:
    async with client.chat.completions.stream(model=model, messages=HELLO, max_tokens=4000) as stream:
        pieces = stream.text()
        left = [await anext(pieces) for _ in range(3)]
    assert await nothing_left(client) == []
    # It generates one answer at a time: this one waits for no 4,000 tokens.
    answer = await client.chat.completions.create(model=model, messages=HELLO, max_tokens=24, timeout=5)
    assert answer.text.startswith("".join(left))


async def test_cancelling_a_call_leaves_nothing_open(client: TutuClient, model: str) -> None:
    async def narrate(begun: asyncio.Event) -> None:
        async with client.chat.completions.stream(model=model, messages=HELLO, max_tokens=4000) as stream:
            async for _ in stream.text():
                begun.set()

    begun = asyncio.Event()
    task = asyncio.create_task(narrate(begun))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await nothing_left(client) == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_unknown_model_is_refused_in_its_words(client: TutuClient, model: str, *, stream: bool) -> None:
    with pytest.raises(BadRequestError, match="Server is pinned to") as caught:
        await client.chat.completions.create(model="nobody", messages=HELLO, extra_body={"stream": stream})
    error = caught.value
    assert (error.status_code, error.outcome, error.attempts) == (400, "rejected", 1)
    assert model in str(error)
    assert error.request_id


async def test_its_own_error_is_tried_again_and_reported(client: TutuClient, model: str) -> None:
    with pytest.raises(InternalServerError, match="Internal Server Error") as caught:
        await client.chat.completions.create(model=model, messages=HELLO, max_tokens=-1)
    assert caught.value.attempts == 3


async def test_it_lists_what_it_serves_but_retrieves_no_model(client: TutuClient, model: str) -> None:
    # Until some version the list was empty.
    assert {found.id for found in await client.models.list()} <= {model}
    with pytest.raises(NotFoundError, match="Not Found"):
        await client.models.retrieve("nobody")


@pytest.mark.parametrize("page", ["chat", "stream", "completion", "completion_stream"])
def test_openai_reads_the_same(origin: str, model: str, page: str) -> None:
    asked: Body = {"prompt": "hello"} if "completion" in page else {"messages": [{"role": "user", "content": "hello"}]}
    fields: Body = {"model": model, "max_tokens": 24, **asked}
    ours, theirs = (Python(kind).ask(origin, page, fields) for kind in (TutuClient, openai.OpenAI))
    assert ours == theirs
    assert ours["text"]
