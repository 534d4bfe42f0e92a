"""Under trio, and without any loop: one sentence that says what to do, whatever is called."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio

from tests.conftest import KEY
from tutuclient import ConfigError, TutuClient, user
from tutuclient.downloads.fetch import Downloads
from tutuclient.testing import serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

MESSAGES = [user("hi")]


async def stream(client: TutuClient) -> None:
    async with client.chat.completions.stream(model="m", messages=MESSAGES) as events:
        async for _ in events:
            pass


CALLS: dict[str, Callable[[TutuClient], Awaitable[Any]]] = {
    "create": lambda client: client.chat.completions.create(model="m", messages=MESSAGES),
    "stream": stream,
    "analyze": lambda client: client.analyze(b"\x89PNG\r\n\x1a\n", "What?"),
    "models": lambda client: client.models.list(),
    "balance": lambda client: client.balance(),
    "map": lambda client: client.map([MESSAGES]).gather(),
    "speech": lambda client: client.audio.speech.create(model="m", input="a", voice="b"),
    "download": lambda _: Downloads().fetch("https://pictures.example/a.png"),
}


@pytest.mark.parametrize("name", CALLS)
def test_under_trio_a_call_says_what_to_do(name: str) -> None:
    with pytest.raises(ConfigError, match=r"and here trio is running: .*asyncio\.run\(main\(\)\).*trio\.to_thread"):
        trio.run(CALLS[name], TutuClient(KEY, "http://127.0.0.1:9"))
    with pytest.raises(ConfigError, match="and here trio is running"):
        anyio.run(CALLS[name], TutuClient(KEY, "http://127.0.0.1:9"), backend="trio")


def test_under_trio_a_journal_is_not_begun(tmp_path: Path) -> None:
    async def work() -> None:
        await TutuClient(KEY, "http://127.0.0.1:9").map([MESSAGES], journal=tmp_path / "run").gather()

    with pytest.raises(ConfigError, match="trio is running"):
        trio.run(work)
    assert not (tmp_path / "run").exists()


def test_what_the_sentence_says_works() -> None:
    async def ask() -> str:
        async with serve() as server, TutuClient(KEY, server.base_url) as client:
            return str((await client.models.list()).object)

    assert trio.run(partial(trio.to_thread.run_sync, asyncio.run, ask())) == "list"
    assert anyio.run(ask) == "list"


def test_without_any_loop_it_is_the_same() -> None:
    call: Any = TutuClient(KEY, "http://127.0.0.1:9").models.list()
    with pytest.raises(ConfigError, match="and here no event loop is running"):
        call.__await__().send(None)


async def test_closing_under_trio_is_no_error() -> None:
    await trio_thread(TutuClient(KEY, "http://127.0.0.1:9").aclose)


async def trio_thread(do: Callable[[], Awaitable[None]]) -> None:
    await asyncio.to_thread(trio.run, do)
