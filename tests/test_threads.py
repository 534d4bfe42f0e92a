"""What ``_threads`` promises: the caller's context, one's own errors, and threads that end with their loop."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from tests.processes import relay, run_python
from tutuclient._threads import in_thread

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_thread_sees_the_callers_context_and_its_errors_come_back() -> None:
    word: ContextVar[str] = ContextVar("word")
    word.set("here")
    assert await in_thread(word.get) == "here"
    assert await in_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(ValueError, match="invalid literal"):
        await in_thread(int, "x")


async def test_what_opens_files_waits_for_a_descriptor() -> None:
    tries = []

    def open_one() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(errno.EMFILE, "too many")
        return "open"

    with pytest.raises(OSError, match="too many"):
        await in_thread(open_one)
    assert await in_thread(open_one, opens=True) == "open"


@pytest.mark.parametrize("abandon", [True, False])
async def test_an_abandoned_thread_is_not_waited_for_and_another_is(abandon: bool) -> None:
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    ends, ended = threading.Event(), threading.Event()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        ends.wait(20)
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(partial(in_thread, work, abandon_on_cancel=abandon))
        await begun.wait()
        group.cancel_scope.cancel()
        if not abandon:
            loop.call_later(0.05, ends.set)
    assert ended.is_set() is not abandon
    ends.set()


async def test_heavy_work_has_as_many_threads_as_there_are_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    used: set[threading.Thread] = set()
    both = threading.Barrier(2)

    def work() -> None:
        used.add(threading.current_thread())
        both.wait(5)

    await asyncio.gather(*(in_thread(work, heavy=True) for _ in range(20)))
    assert len(used) == 2
    assert await in_thread(threading.current_thread) not in used


def test_threads_end_with_the_loop() -> None:
    async def work() -> None:
        await asyncio.gather(*(in_thread(time.sleep, 0.01, heavy=number % 2 == 0) for number in range(5)))

    asyncio.run(work())
    end = time.monotonic() + 20
    while ours := [each for each in threading.enumerate() if each.name.startswith("tutuclient")]:
        assert time.monotonic() < end, ours
        time.sleep(0.01)


NESTED = """
import asyncio, sys, nest_asyncio
from tutuclient import TutuClient
nest_asyncio.apply()

kept = []

async def main(url, path, how):
    client = TutuClient("k", url)
    print((await client.analyze(path, "x", model="m")).text)
    if how == "closed":
        await client.aclose()
    if how == "kept":
        kept.append(client)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("how", ["closed", "left", "kept"])
async def test_a_process_under_nest_asyncio_exits(tmp_path: Path, how: str) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000") + bytes(300_000))
    async with relay() as url:
        assert await run_python(NESTED, url, str(path), how) == "hello\n"
