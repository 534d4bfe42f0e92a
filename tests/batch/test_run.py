"""What ``client.map``'s runs promise: no result lost, none twice, and an end whatever happens."""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.batch.runs import Bucket, answer, echo, full_disk, ordering, pairs, records, run_of
from tests.leftovers import until
from tutuclient import (
    AuthenticationError,
    BadRequestError,
    BatchStoppedError,
    Budget,
    ConfigError,
    JournalError,
    RetryPolicy,
    TutuClient,
    TutuError,
)
from tutuclient.testing import draws, sample_picture, says, serve, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tutuclient.batch.items import Item
    from tutuclient.testing import Recorded, Scripted
    from tutuclient.types.chat import ChatCompletion

pytestmark = pytest.mark.timeout(60)


STEADY = RetryPolicy(wait_initial=0.05, wait_max=0.2)


def ids(results: list[Any]) -> list[str]:
    return [result.id for result in results]


# --- results ---------------------------------------------------------------------------------------------------------


async def test_damaged_lines_of_the_journal_are_told_and_asked_again(tmp_path: Path) -> None:
    await run_of(pairs(3), folder=tmp_path).gather()
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"about item1", b"about item9"))
    again = run_of(pairs(3), folder=tmp_path)
    assert ids(await again.gather()) == ["item1"]
    assert again.summary().damaged == 1


@pytest.mark.parametrize("workers", [1, 4, 64])
@pytest.mark.parametrize("ordered", [False, True])
async def test_each_item_has_one_result(workers: int, ordered: bool) -> None:
    draw = Random(1)

    async def send(item: Item) -> ChatCompletion:
        await asyncio.sleep(draw.random() / 1000)
        return answer(f"about {item.id}")

    results = await run_of(pairs(300), send, workers=workers, ordered=ordered).gather()
    assert Counter(ids(results)) == Counter(f"item{number}" for number in range(300))
    assert all(result.value == f"about {result.id}" for result in results)
    assert not ordered or [result.index for result in results] == list(range(300))


async def test_an_item_that_fails_is_a_result() -> None:
    async def send(item: Item) -> ChatCompletion:
        if item.index % 2:
            raise BadRequestError("too many", attempts=3)
        if item.index % 4:
            raise ZeroDivisionError("a middleware's own")
        return await echo(item)

    run = run_of(pairs(8), send, ordered=True)
    results = await run.gather()
    assert [result.ok for result in results] == [True, False, False, False] * 2
    assert (results[1].outcome, results[1].attempts, results[1].value) == ("rejected", 3, None)
    assert results[2].outcome == "unknown"
    assert run.summary().failed == {"BadRequestError": 4, "ZeroDivisionError": 2}


async def test_an_item_that_cannot_be_read_is_a_result() -> None:
    results = await run_of([("a", b"x"), {"prompt": 7, "image": b"x"}, 5, ("c", b"x")], ordered=True).gather()
    assert [result.ok for result in results] == [True, False, True, True]
    assert isinstance(results[1].error, ConfigError)
    assert results[1].outcome == "not_sent"


async def test_items_come_from_an_async_iterable_too() -> None:
    async def items() -> AsyncIterator[tuple[str, bytes]]:
        for item in pairs(50):
            await asyncio.sleep(0)
            yield item

    assert len(await run_of(items()).gather()) == 50


@pytest.mark.parametrize("ordered", [False, True])
async def test_items_are_pulled_as_results_are_read(ordered: bool) -> None:
    pulled = 0

    def items() -> Iterator[tuple[str, bytes]]:
        nonlocal pulled
        for item in pairs(10_000):
            pulled += 1
            yield item

    async with run_of(items(), ordered=ordered) as run:
        for read_by_now in range(1, 20):
            await anext(run)
            await asyncio.sleep(0.002)
            assert pulled <= read_by_now + 2 * 4 * 4 + 16


async def test_an_ordered_run_waits_for_its_slowest_item_without_piling_up_others() -> None:
    go = asyncio.Event()
    sent = 0

    async def send(item: Item) -> ChatCompletion:
        nonlocal sent
        sent += 1
        if item.index == 0:
            await go.wait()
        return await echo(item)

    async with run_of(pairs(1000), send, ordered=True) as run:
        first = asyncio.ensure_future(anext(run))
        await asyncio.sleep(0.05)
        assert sent < 50
        go.set()
        assert (await first).index == 0
        assert [result.index async for result in run] == list(range(1, 1000))


async def test_a_run_is_entered_and_once() -> None:
    run = run_of(pairs(2))
    with pytest.raises(ConfigError, match="enter the run first"):
        await anext(run)
    await run.gather()
    with pytest.raises(ConfigError, match="entered once"):
        async with run:
            pass


async def test_gather_works_within_the_block_too() -> None:
    async with run_of(pairs(5)) as run:
        first = await anext(run)
        assert len(await run.gather()) == 4
        assert first.id not in ids(run.results)


async def test_nothing_to_do_ends_at_once() -> None:
    assert await run_of([]).gather() == []


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_an_error_of_the_iterable_comes_out_after_the_rest(kind: str) -> None:
    def items() -> Iterator[tuple[str, bytes]]:
        yield from pairs(10)
        raise OSError("the disk was pulled out")

    async def async_items() -> AsyncIterator[tuple[str, bytes]]:
        for item in items():
            yield item

    seen: list[str] = []
    with pytest.raises(OSError, match="pulled out"):
        async with run_of(items() if kind == "sync" else async_items()) as run:
            async for result in run:
                seen.append(result.id)  # noqa: PERF401  (kept although the loop raises)
    assert sorted(seen) == sorted(ids_of(10))


def ids_of(count: int) -> list[str]:
    return [name for name, _ in pairs(count)]


async def test_gather_keeps_what_there_is_when_it_raises() -> None:
    run = run_of(itertools.chain(pairs(3), pairs(1)))
    with pytest.raises(ConfigError, match="items 0 and 3 have the same id 'item0'"):
        await run.gather()
    assert sorted(ids(run.results)) == ids_of(3)


async def test_leaving_the_block_cancels_what_is_in_flight() -> None:
    running = cancelled = 0

    async def send(item: Item) -> ChatCompletion:
        nonlocal running, cancelled
        running += 1
        try:
            if item.index:
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled += 1
            raise
        finally:
            running -= 1
        return answer("first")

    async with run_of(pairs(1000), send) as run:
        async for _ in run:
            break
    assert running == 0
    assert cancelled == 4
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_leaving_the_block_settles_what_is_in_flight() -> None:
    started: list[str] = []
    ended: list[str] = []

    async def send(item: Item) -> ChatCompletion:
        started.append(item.id)
        await asyncio.sleep(0.01 * (item.index + 1))
        ended.append(item.id)
        return answer("done")

    async with run_of(pairs(1000), ordering(send), on_exit="settle") as run:
        async for _ in run:
            break
    assert sorted(started) == sorted(ended)
    assert len(ended) < 20
    assert sorted([*ids([result async for result in run]), "item0"]) == sorted(ended)  # They can be read all the same.


@pytest.mark.parametrize("on_exit", ["settle", "cancel"])
async def test_a_source_that_never_yields_does_not_hold_the_exit(on_exit: Any) -> None:
    async def items() -> AsyncIterator[tuple[str, bytes]]:
        yield pairs(1)[0]
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        async with run_of(items(), on_exit=on_exit) as run:
            await anext(run)


@pytest.mark.parametrize("ordered", [False, True])
async def test_leaving_while_nobody_reads_ends(ordered: bool) -> None:
    async with asyncio.timeout(5):
        async with run_of(pairs(10_000), ordered=ordered, on_exit="settle"):
            await asyncio.sleep(0.05)


async def test_cancelling_a_second_time_ends_what_is_being_settled() -> None:
    begun = asyncio.Event()

    async def send(_: Item) -> ChatCompletion:
        begun.set()
        await asyncio.sleep(60)
        raise AssertionError

    async def main() -> None:
        async with run_of(pairs(10), ordering(send), on_exit="settle") as run:
            await run.gather()

    task = asyncio.create_task(main())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0.02)
    assert not task.done()
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_what_cancels_itself_within_is_an_item_that_failed() -> None:
    async def send(item: Item) -> ChatCompletion:
        if item.index == 3:
            raise asyncio.CancelledError
        return await echo(item)

    results = await run_of(pairs(10), send, ordered=True).gather()
    assert [result.index for result in results if not result.ok] == [3]


async def test_a_worker_that_is_cancelled_from_outside_is_said() -> None:
    async def send(item: Item) -> ChatCompletion:
        if item.index == 3:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(1)
        return await echo(item)

    run = run_of(pairs(10), send, ordered=True, workers=1)
    with pytest.raises(TutuError, match="cancelled from outside"):
        await run.gather()
    assert len(run.results) == 3


async def test_an_error_of_on_progress_comes_out_and_costs_no_result() -> None:
    def told(_: object) -> None:
        raise ZeroDivisionError

    run = run_of(pairs(10), on_progress=told, workers=1)
    with pytest.raises(ZeroDivisionError):
        await run.gather()
    assert len(run.results) == 1


# --- stops -----------------------------------------------------------------------------------------------------------


async def test_stop_on_ends_the_run_once_the_rest_is_done() -> None:
    async def send(item: Item) -> ChatCompletion:
        if item.index == 5:
            raise AuthenticationError("wrong key")
        await asyncio.sleep(0.01)
        return await echo(item)

    run = run_of(pairs(1000), send, stop_on=(AuthenticationError,))
    with pytest.raises(BatchStoppedError, match="AuthenticationError: wrong key") as caught:
        await run.gather()
    assert caught.value.reason == "error"
    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert caught.value.summary.done == len(run.results) - 1 < 20


@pytest.mark.parametrize(("most", "finished"), [(0, 1), (3, 4), (0.2, 20)])
async def test_too_many_failures_end_the_run(most: float, finished: int) -> None:
    async def send(_: Item) -> ChatCompletion:
        raise BadRequestError("no")

    run = run_of(pairs(1000), send, max_failures=most, workers=1)
    with pytest.raises(BatchStoppedError, match=f"{finished} of {finished} items failed"):
        await run.gather()
    assert len(run.results) == finished


async def test_a_share_of_failures_that_is_allowed_ends_nothing() -> None:
    async def send(item: Item) -> ChatCompletion:
        if item.index % 10 == 0:
            raise BadRequestError("no")
        return await echo(item)

    assert len(await run_of(pairs(100), send, max_failures=0.2).gather()) == 100


@pytest.mark.parametrize(
    ("budget", "sent"), [(Budget(requests=7), 7), (Budget(tokens=100), 10), (Budget(tokens=105), 10)]
)
@pytest.mark.parametrize("workers", [1, 8])
async def test_a_budget_is_kept(budget: Budget, sent: int, workers: int) -> None:
    run = run_of(pairs(1000), budget=budget, workers=workers)
    with pytest.raises(BatchStoppedError, match="the budget of .* is reached") as caught:
        await run.gather()
    assert caught.value.reason == "budget"
    assert len(run.results) == sent


@pytest.mark.parametrize("turns", range(6))
async def test_a_budget_stops_a_run_whose_last_result_is_read_at_once(turns: int) -> None:
    answered = asyncio.Event()

    async def send(item: Item) -> ChatCompletion:
        await answered.wait()
        return await echo(item)

    async with run_of(pairs(5), send, workers=2, budget=Budget(requests=1)) as run:
        await until(lambda: run._pending is not None and run._sent == 1)
        answered.set()
        for _ in range(turns):  # One of these reads the result before the worker that waits for the budget goes on.
            await asyncio.sleep(0)
        with pytest.raises(BatchStoppedError, match="budget"):
            async for _ in run:
                pass


async def test_a_budget_that_suffices_stops_nothing() -> None:
    assert len(await run_of(pairs(10), budget=Budget(requests=10, tokens=100)).gather()) == 10


async def test_starts_are_spaced() -> None:
    starts: list[float] = []

    async def send(item: Item) -> ChatCompletion:
        starts.append(time.monotonic())
        return await echo(item)

    await run_of(pairs(10), send, interval=0.02).gather()
    # Nine pauses, less what the first call may be late: the first start has nothing to catch up.
    assert starts[-1] - starts[0] >= 0.12


async def test_a_run_begins_small_and_grows_with_its_answers() -> None:
    running = most = 0
    seen: list[int] = []

    async def send(item: Item) -> ChatCompletion:
        nonlocal running, most
        running += 1
        most = max(most, running)
        seen.append(most)
        await asyncio.sleep(0.01)
        running -= 1
        return await echo(item)

    await run_of(pairs(200), send, workers="auto").gather()
    assert max(seen[:8]) <= 8
    assert max(seen[:20]) <= 20
    assert most > 30


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"rate": "60/s"}, {"concurrency": 100}], ids=["learnt", "set", "wide"])
async def test_nothing_is_lost_to_a_rate_limit(options: Any) -> None:
    bucket, picture = Bucket(60, 10), sample_picture()
    async with serve() as server, TutuClient("any", server.base_url, retry=STEADY) as client:
        server.answers(*[lambda _: bucket(says("seen"))] * 2000)
        run = client.map([(name, picture) for name, _ in pairs(120)], "what?", **options)
        assert all(result.ok for result in await run.gather())
        assert run.summary().refusals == bucket.refused
        assert "rate" not in options or bucket.refused == 0


async def test_progress_is_told_after_each_result() -> None:
    seen: list[int] = []
    await run_of(pairs(5), on_progress=lambda summary: seen.append(summary.done), workers=1).gather()
    assert seen == [1, 2, 3, 4, 5]


# --- a journal -------------------------------------------------------------------------------------------------------


async def test_a_finished_run_sends_nothing_again(tmp_path: Path) -> None:
    await run_of(pairs(30), folder=tmp_path).gather()
    sent: list[str] = []

    async def send(item: Item) -> ChatCompletion:
        sent.append(item.id)
        return await echo(item)

    run = run_of(pairs(32), send, folder=tmp_path)
    assert sorted(ids(await run.gather())) == sorted(sent) == ["item30", "item31"]
    assert run.summary().skipped == 30


async def test_a_run_that_was_left_goes_on(tmp_path: Path) -> None:
    seen: list[str] = []
    for _ in range(50):
        async with run_of(pairs(100), folder=tmp_path, ordered=True) as run:
            async for result in run:
                seen.append(result.id)
                if len(seen) % 7 == 0:
                    break
    there = [record.id for record in records(tmp_path) if record.k == "ok"]
    assert sorted(there) == sorted(ids_of(100))
    assert len(set(seen)) == len(seen)


async def test_failed_items_are_tried_again_when_asked(tmp_path: Path) -> None:
    async def send(item: Item) -> ChatCompletion:
        if item.index % 2:
            raise BadRequestError("no")
        return await echo(item)

    await run_of(pairs(10), send, folder=tmp_path).gather()
    run = run_of(pairs(10), folder=tmp_path)
    assert await run.gather() == []
    assert (run.summary().skipped, run.summary().failed_before) == (5, 5)
    assert len(await run_of(pairs(10), folder=tmp_path, retry_failed=True).gather()) == 5
    assert await run_of(pairs(10), folder=tmp_path, retry_failed=True).gather() == []


async def test_an_order_that_was_cut_short_is_unknown_and_not_made_again(tmp_path: Path) -> None:
    ordered: list[str] = []

    async def hangs(item: Item) -> ChatCompletion:
        ordered.append(item.id)
        await asyncio.sleep(60)
        raise AssertionError

    async with run_of(pairs(2), ordering(hangs), task="edit", folder=tmp_path):
        await until(lambda: len(ordered) == 2)
    run = run_of(pairs(2), hangs, task="edit", folder=tmp_path)
    assert await run.gather() == []
    assert run.summary().unknown == ["item0", "item1"]
    assert "2 of unknown outcome, maybe done and billed: item0, item1" in str(run.summary())
    assert len(await run_of(pairs(2), task="edit", folder=tmp_path, resend_unknown=True).gather()) == 2


async def test_an_order_of_unknown_outcome_is_no_failure_to_be_retried(tmp_path: Path) -> None:
    async def broken(_: Item) -> ChatCompletion:
        raise TutuError("the connection broke", outcome="unknown")

    await run_of(pairs(1), ordering(broken), task="edit", folder=tmp_path).gather()
    run = run_of(pairs(1), task="edit", folder=tmp_path, retry_failed=True)
    assert await run.gather() == []
    assert run.summary().unknown == ["item0"]


async def test_an_order_that_was_rejected_may_be_made_again(tmp_path: Path) -> None:
    async def rejected(_: Item) -> ChatCompletion:
        raise BadRequestError("no")

    await run_of(pairs(1), rejected, task="edit", folder=tmp_path).gather()
    [result] = await run_of(pairs(1), task="edit", folder=tmp_path, retry_failed=True).gather()
    assert result.id == "item0"


async def test_the_intent_is_on_the_disk_before_the_order(tmp_path: Path) -> None:
    async def send(item: Item) -> ChatCompletion:
        assert [(record.k, record.id) for record in records(tmp_path)][-1:] == [("sent", item.id)]
        return await echo(item)

    results = await run_of(pairs(3), ordering(send), task="edit", folder=tmp_path, workers=1).gather()
    assert all("holds no image" in str(result.error) for result in results)


async def test_a_full_disk_ends_the_run_and_loses_nothing_that_was_read(tmp_path: Path) -> None:
    run = run_of(pairs(1000), folder=tmp_path)
    with full_disk(5000), pytest.raises(JournalError, match="File too large.*make room on the disk"):
        await run.gather()
    there = [record.id for record in records(tmp_path)]
    assert sorted(there) == sorted(ids(run.results))
    assert 5 < len(there) < 100
    assert (tmp_path / "journal.jsonl").read_bytes().endswith(b"\n")
    again = run_of(pairs(1000), folder=tmp_path)
    assert sorted(ids(await again.gather()) + there) == sorted(ids_of(1000))


async def test_a_run_that_cannot_begin_leaves_no_lock_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        async with run_of(5, folder=tmp_path):  # type: ignore[arg-type]  # what is tested
            pass
    await run_of(pairs(1), folder=tmp_path).gather()


# --- kill -9 ---------------------------------------------------------------------------------------------------------

KILLED = """
import asyncio, sys
from pathlib import Path
from tutuclient import TutuClient

async def main(folder, task, count):
    items = [(f"item{number}", Path(folder) / "a.png") for number in range(count)]
    async with TutuClient("any", sys.argv[1]) as client:
        async with client.map(items, "what?", journal=Path(folder) / "run", edit=task == "edit", concurrency=3) as run:
            async for result in run:
                print(result.id, result.ok, flush=True)
    print("end", run.summary().unknown, flush=True)

asyncio.run(main(sys.argv[2], sys.argv[3], int(sys.argv[4])))
"""


def slowly(delay: float, task: str) -> Scripted:
    def pick(_: Recorded) -> Any:
        return draws(delay=delay) if task == "edit" else says("seen", delay=delay)

    return pick


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("task", "count"), [("ask", 80), ("edit", 40)])
def test_kill_nine_loses_nothing_and_orders_nothing_twice(tmp_path: Path, task: str, count: int) -> None:
    draw = Random(7)
    (tmp_path / "a.png").write_bytes(sample_picture())
    seen: Counter[str] = Counter()
    with serve_in_thread() as server:
        server.answers(*[slowly(0.03, task)] * (3 * count))
        for kills in range(100):
            command = [sys.executable, "-c", KILLED, server.base_url, str(tmp_path), task, str(count)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  (our own code)
                assert process.stdout is not None
                first = process.stdout.readline()
                time.sleep(draw.random() * 0.15)
                process.send_signal(signal.SIGKILL)
                lines = [line for line in [first, *process.stdout.read().split("\n")[:-1]] if line]
            seen.update(line.split()[0] for line in lines if not line.startswith("end"))
            if any(line.startswith("end") for line in lines):
                assert kills > 3
                break
        else:
            raise AssertionError("it never came to its end")
        orders = len(server.requests)
    done = {record.id for record in records(tmp_path / "run") if record.k == "ok"}
    sent = [record.id for record in records(tmp_path / "run") if record.k == "sent"]
    assert max(seen.values()) == 1
    assert set(seen) <= done
    if task == "ask":
        assert len(done) == count
    else:
        assert sorted(set(sent)) == sorted(sent)
        assert len(sent) == count
        assert orders <= count
        names = [name for record in records(tmp_path / "run") for name, _ in record.img]
        assert len(names) == len(done)
        assert all((tmp_path / "run" / "images" / name).stat().st_size for name in names)


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_memory_stays_flat_over_many_lazy_items(tmp_path: Path) -> None:
    count, grown = 12_000, {}
    picture = sample_picture()
    answers: Any = says("seen")

    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * 4096

    async with serve() as server, TutuClient("any", server.base_url) as client:
        server.think = answers.play  # type: ignore[method-assign]  # at once
        items = ((f"item{number}", picture) for number in range(count))
        async with client.map(items, "what?", journal=tmp_path, concurrency=16) as run:
            done = 0
            async for result in run:
                assert result.ok
                done += 1
                server.requests.clear()
                if done in (count // 4, count):
                    grown[done] = resident()
    assert done == count
    assert grown[count] - grown[count // 4] < 8 * 2**20
