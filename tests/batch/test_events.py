"""What ``batch.events`` promises: a journal tells when its run went, how fast, and why it stopped."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from tests.batch.runs import answer, echo, pace, pairs, run_of
from tests.leftovers import until
from tutuclient import AuthenticationError, BatchStoppedError, BatchSummary, Budget
from tutuclient.batch.events import Events
from tutuclient.batch.journal import Journal
from tutuclient.batch.lines import Record, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tutuclient.batch.items import Item
    from tutuclient.types.chat import ChatCompletion

pytestmark = pytest.mark.timeout(60)


def events(folder: Path) -> list[Record]:
    return [record for record in read(folder / "journal.jsonl") if record.k == "ev"]


async def test_a_run_has_a_start_and_a_stop_with_its_numbers(tmp_path: Path) -> None:
    for before in (0, 7):
        await run_of(pairs(7), folder=tmp_path).gather()
        start, stop = events(tmp_path)[-2:]
        assert (start.ev, stop.ev) == ("start", "stop")
        assert (start.res["task"], start.res["answered"]) == ("ask", before)
        assert (stop.res["why"], stop.res["done"], stop.res["tokens"]) == ("end", 7 - before, 70 - 10 * before)
        assert 0 < start.t <= stop.t


async def wrong(_: Item) -> ChatCompletion:
    raise AuthenticationError("wrong key")


async def hangs(item: Item) -> ChatCompletion:
    if item.index:
        await asyncio.sleep(60)
    return answer("first")


def broken() -> Iterator[Any]:
    yield from pairs(3)
    raise OSError("pulled out")


@pytest.mark.parametrize(
    ("why", "items", "send", "plan"),
    [
        ("error", pairs(9), wrong, {"stop_on": (AuthenticationError,)}),
        ("failures", pairs(9), wrong, {"max_failures": 1}),
        ("budget", pairs(9), echo, {"budget": Budget(requests=2)}),
        ("failed", broken(), echo, {}),
    ],
)
async def test_a_stop_says_why(why: str, items: Any, send: Any, plan: Any, tmp_path: Path) -> None:
    with pytest.raises((BatchStoppedError, OSError)):
        await run_of(items, send, folder=tmp_path, **plan).gather()
    assert events(tmp_path)[-1].res["why"] == why


async def test_a_stop_says_that_the_block_was_left(tmp_path: Path) -> None:
    async with run_of(pairs(9), hangs, folder=tmp_path) as run:
        await anext(run)
    assert events(tmp_path)[-1].res["why"] == "left"


async def test_a_stop_says_that_it_was_cancelled(tmp_path: Path) -> None:
    task = asyncio.ensure_future(run_of(pairs(9), hangs, folder=tmp_path).gather())
    await until(lambda: (tmp_path / "journal.jsonl").exists() and len(events(tmp_path)) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events(tmp_path)[-1].res["why"] == "cancelled"


async def test_changes_of_the_pace_are_written_and_nothing_else(tmp_path: Path) -> None:
    now = pace()
    looks = 0

    def look() -> Any:
        nonlocal looks
        looks += 1
        return now

    async def a_look_more() -> None:
        wanted = looks + 1
        await until(lambda: looks > wanted, 10)

    journal = await Journal.open(tmp_path, {})
    written = Events(journal, look, BatchSummary, every_s=0.01)
    written.start("ask")
    for change in (
        {},
        {"rate": 9.5, "refusals": 1},
        {},
        {"in_flight": 9},
        {"gate": 3.0},
        {},
        {"gate": 0.0, "window": 7},
    ):
        now = dataclasses.replace(now, **change)
        await a_look_more()
    written.stop("end")
    await journal.aclose()
    found = events(tmp_path)
    assert [record.ev for record in found] == ["start", "rate", "pause", "rate", "stop"]
    assert (found[1].res["rate"], found[2].res["gate"], found[3].res["window"]) == (9.5, 3.0, 7)
    assert found[1].res["refusals"] == 0  # Of the run, by its summary.


async def test_a_run_that_has_ended_looks_no_longer(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path, {})
    written = Events(journal, pace, BatchSummary, every_s=60)
    written.start("ask")
    written.stop("end")
    await journal.aclose()
    loop: Any = asyncio.get_running_loop()
    assert not [handle for handle in loop._scheduled if not handle.cancelled() and "_watch" in repr(handle)]
