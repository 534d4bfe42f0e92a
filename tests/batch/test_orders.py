"""Orders that several processes write down together: one intent for each, whoever meets it, and none is lost."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING

import pytest

from tutuclient.batch import orders
from tutuclient.batch.journal import Journal, Lock
from tutuclient.batch.lines import JournalError, Record, encode, read
from tutuclient.batch.orders import NotOrderedError, OrderBook, OrderedBeforeError
from tutuclient.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

KEY = 0x0123456789ABCDEF
CONFIG = {"task": "generate"}


def record(kind: str, **more: object) -> Record:
    return Record(k=kind, id="row", key=f"{KEY:016x}", **more)  # type: ignore[arg-type]


def ends_of(folder: Path) -> list[str]:
    """Return what all journals of a folder say of orders."""
    paths = sorted(folder.glob("writer-*/journal.jsonl"))
    return [each.k for path in paths for each in read(path) if each.k != "ev"]


def writers_of(folder: Path) -> list[Path]:
    return list(folder.glob("writer-*"))


def write(folder: Path, *lines: Record) -> None:
    """Write the journal of a process that has ended."""
    folder.mkdir()
    (folder / "journal.jsonl").write_bytes(b"".join(map(encode, lines)))


async def ordered(book: OrderBook) -> Journal:
    run = await book.join(CONFIG)
    await run.append(record("sent"), sync=True)
    return run


async def test_an_order_is_claimed_by_one_of_all_that_meet_it(tmp_path: Path) -> None:
    books = [OrderBook(tmp_path) for _ in range(4)]
    runs = [await book.join(CONFIG) for book in books for _ in range(2)]
    tried = await asyncio.gather(*[run.append(record("sent"), sync=True) for run in runs], return_exceptions=True)
    assert sum(each is None for each in tried) == 1
    assert sum(isinstance(each, OrderedBeforeError) for each in tried) == 7
    assert ends_of(tmp_path) == ["sent"]
    assert len(writers_of(tmp_path)) == 4
    for book in books:
        await book.aclose()


async def test_an_image_that_was_made_meanwhile_is_not_ordered_again(tmp_path: Path) -> None:
    first, second = OrderBook(tmp_path), OrderBook(tmp_path)
    waiting = await second.join(CONFIG)
    run = await ordered(first)
    await run.append(record("ok", res="made"))
    with pytest.raises(OrderedBeforeError, match="was made meanwhile"):
        await waiting.append(record("sent"), sync=True)
    assert ends_of(tmp_path) == ["sent", "ok"]
    await first.aclose()
    await second.aclose()


@pytest.mark.parametrize("outcome", ["rejected", "not_sent"])
async def test_an_order_that_was_not_made_may_be_made_by_another(outcome: str, tmp_path: Path) -> None:
    first, second = OrderBook(tmp_path), OrderBook(tmp_path)
    run = await ordered(first)
    await run.append(record("fail", outcome=outcome))
    await ordered(second)
    assert ends_of(tmp_path) == ["sent", "fail", "sent"]
    await first.aclose()
    await second.aclose()


@pytest.mark.parametrize("outcome", ["unknown", "done"])
async def test_an_order_that_may_have_been_made_is_not_made_by_another(outcome: str, tmp_path: Path) -> None:
    first, second = OrderBook(tmp_path), OrderBook(tmp_path)
    run = await ordered(first)
    await run.append(record("fail", outcome=outcome, err="it broke"))
    with pytest.raises(OrderedBeforeError):
        await ordered(second)
    found = await second.end_of(KEY)
    assert found is not None
    assert (found.outcome, found.err) == (outcome, "it broke")
    await first.aclose()
    await second.aclose()


async def test_a_run_does_not_end_the_order_of_another(tmp_path: Path) -> None:
    book = OrderBook(tmp_path)
    await ordered(book)
    other = await book.join(CONFIG)
    for kind in ("fail", "skip"):
        await other.append(record(kind, outcome="not_sent"))
        other.note(record(kind, outcome="not_sent"))
    await other.append(record("sent", task="t1"), sync=True)
    await book.aclose()
    assert ends_of(tmp_path) == ["sent", "sent"]


async def test_what_another_process_makes_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "_LOOK_EVERY_S", 0.01)
    first, second = OrderBook(tmp_path), OrderBook(tmp_path)
    run = await ordered(first)
    await second.join(CONFIG)
    waiting = asyncio.ensure_future(second.end_of(KEY))
    _, pending = await asyncio.wait([waiting], timeout=0.1)
    assert pending
    await run.append(record("ok", res="made", img=[("a.png", "")]))
    found = await waiting
    assert found is not None
    assert (found.k, found.res, found.img) == ("ok", "made", [("a.png", "")])
    await first.aclose()
    await second.aclose()


async def test_what_a_process_that_ended_was_making_is_not_waited_for(tmp_path: Path) -> None:
    first = OrderBook(tmp_path)
    await ordered(first)
    await first.aclose()
    # Also when its journal is gone on with, by one that knows nothing of the order.
    book, other = OrderBook(tmp_path), OrderBook(tmp_path)
    await book.join(CONFIG)
    await other.join(CONFIG)
    assert len(writers_of(tmp_path)) == 2
    for each in (book, other):
        assert await each.end_of(KEY) is None
        with pytest.raises(OrderedBeforeError):
            await ordered(each)
        await each.aclose()
    resending = OrderBook(tmp_path, resend_unknown=True)
    await ordered(resending)
    await resending.aclose()
    assert ends_of(tmp_path) == ["sent", "sent"]


async def test_what_a_run_that_was_left_was_making_is_not_waited_for(tmp_path: Path) -> None:
    book = OrderBook(tmp_path)
    run = await ordered(book)
    await run.aclose()
    found = await book.end_of(KEY)
    assert found is not None
    assert (found.outcome, found.err) == ("unknown", "the run was left before its answer came")
    await book.aclose()


async def test_an_order_that_has_its_end_is_not_left_when_the_run_is(tmp_path: Path) -> None:
    book = OrderBook(tmp_path)
    run = await ordered(book)
    run.note(record("skip", outcome="not_sent"))  # Written soon, and the run is left before.
    await run.aclose()
    await book.aclose()
    assert ends_of(tmp_path) == ["sent", "skip"]


async def test_an_order_that_is_made_again_after_a_refusal_is_left_when_the_run_is(tmp_path: Path) -> None:
    book = OrderBook(tmp_path)
    run = await ordered(book)
    await run.append(record("skip", outcome="rejected"))
    await run.append(record("sent"), sync=True)
    await run.aclose()
    await book.aclose()
    assert ends_of(tmp_path) == ["sent", "skip", "sent", "fail"]


async def test_a_second_order_that_was_rejected_says_nothing_of_the_first(tmp_path: Path) -> None:
    first = OrderBook(tmp_path)
    await ordered(first)
    await first.aclose()
    second = OrderBook(tmp_path, resend_unknown=True)
    run = await ordered(second)
    await run.append(record("fail", outcome="rejected"))
    await second.aclose()
    third = OrderBook(tmp_path)
    with pytest.raises(OrderedBeforeError):
        await ordered(third)
    await third.aclose()


async def test_a_first_order_is_not_waited_for_once_the_second_was_rejected(tmp_path: Path) -> None:
    first = OrderBook(tmp_path)
    await ordered(first)
    await first.aclose()
    second = OrderBook(tmp_path, resend_unknown=True)
    run = await ordered(second)
    await run.append(record("fail", outcome="rejected"))
    # Nobody works on the first one, whose outcome is unknown whatever the relay says of another.
    async with asyncio.timeout(30):
        assert await second.end_of(KEY) is None
    await run.append(record("sent"), sync=True)
    await second.aclose()
    assert ends_of(tmp_path) == ["sent", "sent", "fail", "sent"]


@pytest.mark.parametrize("later", ["writer-0", "writer-1"])  # Folders are read in any order.
async def test_the_end_of_an_order_is_none_of_a_later_one(later: str, tmp_path: Path) -> None:
    earlier = "writer-1" if later == "writer-0" else "writer-0"
    write(tmp_path / earlier, record("sent"), record("fail", outcome="rejected", err="no"))
    write(tmp_path / later, record("sent"))
    book = OrderBook(tmp_path)
    await book.join(CONFIG)
    assert await book.end_of(KEY) is None
    await book.aclose()


@pytest.mark.parametrize("later", ["writer-0", "writer-1"])
async def test_an_image_that_is_there_is_found_whatever_became_of_an_order_before_it(
    later: str, tmp_path: Path
) -> None:
    earlier = "writer-1" if later == "writer-0" else "writer-0"
    write(tmp_path / earlier, record("sent"), record("fail", outcome="unknown", err="lost"))
    write(tmp_path / later, record("sent"), record("ok", res="made"))
    book = OrderBook(tmp_path)
    await book.join(CONFIG)
    found = await book.end_of(KEY)
    assert found is not None
    assert (found.k, found.res) == ("ok", "made")
    await book.aclose()


async def test_an_order_of_another_that_was_refused_is_no_unknown_one(tmp_path: Path) -> None:
    first, second = OrderBook(tmp_path), OrderBook(tmp_path)
    run, waiting = await ordered(first), await second.join(CONFIG)
    with pytest.raises(OrderedBeforeError):
        await waiting.append(record("sent"), sync=True)
    await run.append(record("skip", outcome="rejected"))
    with pytest.raises(NotOrderedError):
        await second.end_of(KEY)
    await first.aclose()
    await second.aclose()


async def test_a_claim_that_is_cancelled_while_it_waits_writes_nothing(tmp_path: Path) -> None:
    book = OrderBook(tmp_path)
    run = await book.join(CONFIG)
    lock = Lock(tmp_path)
    claim = asyncio.ensure_future(run.append(record("sent"), sync=True))
    await asyncio.wait([claim], timeout=0.05)
    claim.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claim
    lock.release()
    await book.aclose()
    assert ends_of(tmp_path) == []


async def test_a_lock_that_is_never_released_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "_LOCK_S", 0.05)
    lock = Lock(tmp_path)
    with pytest.raises(JournalError, match="could not be had"):
        await OrderBook(tmp_path).join(CONFIG)
    lock.release()


async def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    book = OrderBook(tmp_path)
    await book.join(CONFIG)
    (tmp_path / "writer-7").mkdir()
    path = tmp_path / "writer-7" / "journal.jsonl"
    source = tmp_path / "other"
    other = OrderBook(source)
    await ordered(other)
    await other.aclose()
    data = (source / "writer-0" / "journal.jsonl").read_bytes()
    path.write_bytes(data[:-9])
    await book.join(CONFIG)
    assert KEY not in book.found.open
    path.write_bytes(data)
    await book.join(CONFIG)
    assert KEY in book.found.open
    await book.aclose()


async def test_the_relay_that_accepted_a_task_is_known_until_the_order_has_its_end(tmp_path: Path) -> None:
    first, second = OrderBook(tmp_path), OrderBook(tmp_path)
    run = await ordered(first)
    await run.append(record("sent", task="t1", url="/tasks/t1", rel="b"), sync=True)
    await second.join(CONFIG)
    assert (second.found.urls, second.found.relays) == ({KEY: "/tasks/t1"}, {KEY: "b"})
    await run.append(record("sent", task="t2", rel="c"), sync=True)
    await second.join(CONFIG)
    assert (second.found.urls, second.found.relays) == ({}, {KEY: "c"})
    await run.append(record("ok", res="made"))
    await second.join(CONFIG)
    assert (second.found.urls, second.found.relays) == ({}, {})
    await first.aclose()
    await second.aclose()


async def test_another_configuration_is_refused(tmp_path: Path) -> None:
    book = OrderBook(tmp_path)
    await book.join(CONFIG)
    await book.aclose()
    with pytest.raises(ConfigError, match="was begun with another configuration"):
        await OrderBook(tmp_path).join({"task": "edit"})
    with pytest.raises(ConfigError, match="cannot be used"):
        await OrderBook(tmp_path / "run.json").join(CONFIG)


def test_its_error_travels() -> None:
    error = pickle.loads(pickle.dumps(OrderedBeforeError("before", KEY)))  # noqa: S301  (our own bytes)
    assert (str(error), error.key) == ("before", KEY)
