"""Leaving a run early, in every way: nothing is left behind, and the run can go on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from tests.batch.runs import pairs, records, run_of
from tests.leftovers import closed, nothing_left, until
from tutuclient import TutuClient
from tutuclient.testing import sample_picture, says

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from tutuclient.testing import Server

pytestmark = pytest.mark.timeout(60)

PICTURE = sample_picture()
COUNT = 60


def items() -> Iterator[tuple[str, bytes]]:
    return ((f"item{number}", PICTURE) for number in range(COUNT))


async def leaves_by_break(run: Any) -> None:
    async with run:
        async for _ in run:
            break


async def leaves_at_once(run: Any) -> None:
    async with run:
        pass


async def leaves_by_an_error(run: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        async with run:
            async for _ in run:
                raise ZeroDivisionError


async def is_cancelled(run: Any) -> None:
    seen = asyncio.Event()

    async def read() -> None:
        async with run:
            async for _ in run:
                seen.set()

    task = asyncio.create_task(read())
    await seen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def runs_out_of_time(run: Any) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await run.gather()


async def closes_a_generator_of_its_own(run: Any) -> None:
    async def values() -> AsyncGenerator[str, None]:
        async with run:
            async for result in run:
                yield result.value

    generator = values()
    await anext(generator)
    await generator.aclose()


WAYS = [
    leaves_by_break,
    leaves_at_once,
    leaves_by_an_error,
    is_cancelled,
    runs_out_of_time,
    closes_a_generator_of_its_own,
]


@pytest.mark.parametrize("on_exit", ["settle", "cancel"])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("leave", WAYS)
async def test_leaving_early_leaves_nothing_behind(
    server: Server, tmp_path: Path, leave: Callable[[Any], Awaitable[None]], ordered: bool, on_exit: Any
) -> None:
    # The first of an ordered run is the slowest, so that others wait for it.
    server.answers(says("seen", delay=0.05), *[says("seen", delay=0.02)] * 20, *[says("seen")] * 500)
    async with TutuClient("any", server.base_url) as client:
        run = client.map(items(), "what?", journal=tmp_path, concurrency=8, ordered=ordered, on_exit=on_exit)
        await leave(run)
        assert await nothing_left(client) == []
        assert await closed(client, server) == []
        assert [thread for thread in threading.enumerate() if thread.name == "tutuclient-journal"] == []
        begun = (tmp_path / "journal.jsonl").exists()
        written = {record.id for record in records(tmp_path) if record.k == "ok"} if begun else set[str]()
        rest = await client.map(items(), "what?", journal=tmp_path).gather()
    assert {result.id for result in rest} == {f"item{number}" for number in range(COUNT)} - written
    assert len({record.id for record in records(tmp_path) if record.k == "ok"}) == COUNT


@pytest.mark.parametrize("kind", ["raises", "is an async generator that raises"])
async def test_an_iterable_that_raises_leaves_nothing_behind(server: Server, tmp_path: Path, kind: str) -> None:
    def broken() -> Iterator[tuple[str, bytes]]:
        yield from pairs(10)
        raise OSError("pulled out")

    async def async_broken() -> AsyncIterator[tuple[str, bytes]]:
        for item in broken():
            yield item[0], PICTURE

    server.answers(*[says("seen", delay=0.02)] * 50)
    async with TutuClient("any", server.base_url) as client:
        source: Any = async_broken() if "async" in kind else ((name, PICTURE) for name, _ in broken())
        run = client.map(source, "what?", journal=tmp_path, concurrency=4)
        with pytest.raises(OSError, match="pulled out"):
            await run.gather()
        assert len(run.results) == len(records(tmp_path)) == 10
        assert await nothing_left(client) == []


async def test_a_generator_that_nobody_else_holds_is_closed_after_the_run() -> None:
    ended: list[str] = []

    async def source() -> AsyncGenerator[tuple[str, bytes], None]:
        try:
            for item in pairs(1000):
                yield item
        finally:
            ended.append("closed")

    run = run_of(source())
    async with run:
        async for _ in run:
            break
    gc.collect()
    await until(lambda: ended)
    assert ended == ["closed"]
    assert run.summary().done > 0


async def test_an_iterator_can_be_gone_on_with_by_another_run() -> None:
    source = iter(pairs(100))
    async with run_of(source) as run:
        async for _ in run:
            break
    first = run.summary().done
    rest = await run_of(source).gather()
    assert 0 < len(rest) <= 100 - first


async def test_a_run_that_has_ended_is_garbage() -> None:
    run = run_of(pairs(20))
    await run.gather()
    gone = weakref.ref(run)
    del run
    gc.collect()
    assert gone() is None
