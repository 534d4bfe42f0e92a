"""What a run promises about what is paid for: no image is ordered twice by itself, whatever went wrong."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.batch.runs import full_disk, records
from tests.leftovers import nothing_left, until
from tutuclient import ConfigError, JournalError, RetryPolicy, TutuClient
from tutuclient.batch.journal import Journal
from tutuclient.testing import draws, fails, queues, rate_limited, sample_picture, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tutuclient.batch.lines import Record
    from tutuclient.testing import Server

pytestmark = pytest.mark.timeout(60)


def kinds(folder: Path) -> list[str]:
    """Return what the journal says of items, in its order."""
    return [record.k for record in records(folder)]


def orders(client: TutuClient, folder: Path, count: int = 1, **options: Any) -> Any:
    return client.map([f"cat {number}" for number in range(count)], generate=True, journal=folder, **options)


# --- the intent ------------------------------------------------------------------------------------------------------


async def test_an_intent_is_written_when_the_order_is_admitted(server: Server, tmp_path: Path) -> None:
    server.answers(draws(delay=30), *[draws()] * 2)
    async with TutuClient("any", server.base_url, rate="1/s") as client:
        async with orders(client, tmp_path, 3, concurrency=3, on_exit="cancel"):
            await server.wait_requests(1)
            await until(lambda: client.pace.waiting == 2)
            assert kinds(tmp_path) == ["sent"]
        assert kinds(tmp_path) == ["sent"]
        run = orders(client, tmp_path, 3)
        assert len(await run.gather()) == 2
        assert len(run.summary().unknown) == 1


async def test_an_intent_is_on_the_disk_before_the_first_byte_is_sent(
    client: TutuClient, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, go = asyncio.Event(), asyncio.Event()
    append = Journal.append

    async def slow(journal: Journal, record: Record, *, sync: bool = False) -> None:
        if record.k == "sent":
            assert sync
            held.set()
            await go.wait()
        await append(journal, record, sync=sync)

    monkeypatch.setattr(Journal, "append", slow)
    async with orders(client, tmp_path) as run:
        await held.wait()
        await asyncio.sleep(0.05)
        assert server.requests == []
        assert server.open_connections == 0
        go.set()
        assert (await anext(run)).ok


async def test_an_order_whose_intent_cannot_be_written_is_not_sent_and_holds_no_slot(
    client: TutuClient, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_: Journal, __: Record, *, sync: bool = False) -> None:
        raise JournalError(f"the disk is full, {sync}")

    monkeypatch.setattr(Journal, "append", full)
    with pytest.raises(JournalError, match="the disk is full, True"):
        await orders(client, tmp_path, 20).gather()
    assert server.requests == []
    assert await nothing_left(client) == []
    assert client.pace.in_flight == 0


async def test_an_intent_that_is_cancelled_before_it_is_sent_leaves_nothing_unknown(
    client: TutuClient, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = asyncio.Event()
    append = Journal.append

    async def slow(journal: Journal, record: Record, *, sync: bool = False) -> None:
        await append(journal, record, sync=sync)
        if record.k == "sent":
            written.set()
            await asyncio.sleep(60)

    monkeypatch.setattr(Journal, "append", slow)
    async with orders(client, tmp_path, on_exit="cancel"):
        await written.wait()
    assert server.requests == []
    assert kinds(tmp_path) == ["sent", "skip"]
    monkeypatch.undo()
    assert [result.ok for result in await orders(client, tmp_path).gather()] == [True]


async def test_an_order_that_was_refused_and_waits_is_not_unknown_after_a_crash(server: Server, tmp_path: Path) -> None:
    server.answers(rate_limited(retry_after=30), draws())
    async with TutuClient("any", server.base_url) as client:
        # Leaving the block stands for the crash: nothing is written of an order that is cancelled.
        async with orders(client, tmp_path, on_exit="cancel"):
            await until(lambda: kinds(tmp_path) == ["sent", "skip"])
        assert kinds(tmp_path) == ["sent", "skip"]
    async with TutuClient("any", server.base_url) as client:
        [result] = await orders(client, tmp_path).gather()
    assert result.ok
    assert kinds(tmp_path) == ["sent", "skip", "sent", "ok"]
    assert len(server.requests) == 2


async def test_each_attempt_of_an_order_has_its_intent(server: Server, tmp_path: Path) -> None:
    server.answers(rate_limited(retry_after=0), rate_limited(retry_after=0), draws())
    async with TutuClient("any", server.base_url, retry=RetryPolicy(wait_initial=0.01)) as client:
        [result] = await orders(client, tmp_path).gather()
    assert (result.ok, result.attempts) == (True, 3)
    assert kinds(tmp_path) == ["sent", "skip", "sent", "skip", "sent", "ok"]


async def test_a_refusal_ends_no_intent_of_an_order_that_may_have_been_made_before(
    server: Server, tmp_path: Path
) -> None:
    policy = RetryPolicy(wait_initial=0.01, resend_unknown=True)  # The caller's own wish.
    server.faults("fin_after_request")
    server.answers(rate_limited(retry_after=30))
    async with TutuClient("any", server.base_url, retry=policy) as client:
        async with orders(client, tmp_path, on_exit="cancel"):
            await server.wait_requests(2)
            await until(lambda: client.pace.refusals)
        assert kinds(tmp_path) == ["sent", "sent"]
        run = orders(client, tmp_path)
        assert await run.gather() == []
        assert run.summary().unknown


async def test_a_question_that_a_drawing_model_answers_is_an_order_too(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(draws())
    run = client.map([("a", sample_picture())], "make it blue", model="gpt-4o-image", journal=tmp_path)
    assert [result.ok for result in await run.gather()] == [True]
    assert kinds(tmp_path) == ["sent", "ok"]


# --- once, whatever happens ------------------------------------------------------------------------------------------


def ordered(server: Server) -> Counter[str]:
    """Return how often each image was ordered, by its prompt."""
    return Counter(str(request.json["messages"][-1]["content"]) for request in server.requests)


async def goes_on(server: Server, folder: Path, count: int, **options: Any) -> Any:
    """Continue a run in another process, as far as the client knows; return the run at its end."""
    async with TutuClient("any", server.base_url) as client:
        run = orders(client, folder, count, **options)
        await run.gather()
        return run


MAYBE_DONE = [502, 504, 520, 524]


@pytest.mark.parametrize("status", MAYBE_DONE)
async def test_an_order_that_a_gateway_gave_up_on_is_not_made_again(
    client: TutuClient, server: Server, tmp_path: Path, status: int
) -> None:
    server.answers(fails(status, "bad gateway"), draws())
    [result] = await orders(client, tmp_path).gather()
    assert result.outcome == "unknown"
    for options in ({}, {"retry_failed": True}):
        run = await goes_on(server, tmp_path, 1, **options)
        assert run.results == []
        assert run.summary().unknown == [result.id]
    assert len(server.requests) == 1
    assert len((await goes_on(server, tmp_path, 1, resend_unknown=True)).results) == 1
    assert len(server.requests) == 2
    assert (await goes_on(server, tmp_path, 1, resend_unknown=True, retry_failed=True)).results == []
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["fin_after_request", "reset_after_request", "half_headers", "reset_mid_body"])
async def test_an_order_whose_connection_broke_is_not_made_again(
    client: TutuClient, server: Server, tmp_path: Path, fault: str
) -> None:
    server.faults(fault)
    [result] = await orders(client, tmp_path).gather()
    assert (result.ok, result.outcome) == (False, "unknown")
    run = await goes_on(server, tmp_path, 1, retry_failed=True)
    assert (run.results, run.summary().unknown) == ([], [result.id])
    assert len(server.requests) == 1


async def test_an_order_that_took_too_long_is_not_made_again(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(draws(delay=30))
    [result] = await orders(client, tmp_path, timeout=0.2).gather()
    assert (result.ok, result.outcome) == (False, "unknown")
    run = await goes_on(server, tmp_path, 1, retry_failed=True)
    assert run.summary().unknown == [result.id]
    assert len(server.requests) == 1


async def test_a_second_order_that_was_rejected_says_nothing_of_the_first(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(fails(504, "gateway timeout"), fails(400, "not like this"))
    await orders(client, tmp_path).gather()
    await goes_on(server, tmp_path, 1, resend_unknown=True)
    run = await goes_on(server, tmp_path, 1, retry_failed=True)
    assert (run.results, len(run.summary().unknown)) == ([], 1)
    assert len(server.requests) == 2


async def vault_is_away() -> str:
    raise OSError("the vault is away")


async def test_an_error_before_a_task_was_asked_for_leaves_its_order_unknown(server: Server, tmp_path: Path) -> None:
    server.answers(queues(ends="never", retry_after=0.1))
    await goes_on(server, tmp_path, 1, timeout=0.5)
    async with TutuClient(vault_is_away, server.base_url) as client:
        run = orders(client, tmp_path)
        assert [result.outcome for result in await run.gather()] == ["unknown"]
        assert len(run.summary().unknown) == 1
    await goes_on(server, tmp_path, 1, retry_failed=True, timeout=0.5)
    assert sum(request.method == "POST" for request in server.requests) == 1


async def test_an_error_before_a_second_order_was_sent_says_nothing_of_the_first(
    server: Server, tmp_path: Path
) -> None:
    server.answers(fails(504, "gateway timeout"))
    await goes_on(server, tmp_path, 1)
    async with TutuClient(vault_is_away, server.base_url) as client:
        assert [result.ok for result in await orders(client, tmp_path, resend_unknown=True).gather()] == [False]
    run = await goes_on(server, tmp_path, 1, retry_failed=True)
    assert (run.results, len(run.summary().unknown), len(server.requests)) == ([], 1, 1)
    run = await goes_on(server, tmp_path, 1, resend_unknown=True)
    assert ([result.ok for result in run.results], len(server.requests)) == ([True], 2)


async def test_trying_again_what_failed_makes_no_equal_order_that_may_have_been_made(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    items = [{"id": "1", "prompt": "a cat"}, {"id": "2", "prompt": "a cat"}]
    more: dict[str, Any] = {"generate": True, "dedupe": True, "journal": tmp_path}
    server.answers(fails(504, "gateway timeout"))
    assert [result.outcome for result in await client.map(items, **more).gather()] == ["unknown"] * 2
    for tried in (items, items[::-1]):
        results = await client.map(tried, retry_failed=True, **more).gather()
        assert not [result.id for result in results if result.ok]
        assert len(server.requests) == 1


@pytest.mark.parametrize("ids", ["same id", "same image"])
async def test_two_items_of_one_name_are_an_error_before_the_second_is_ordered(
    client: TutuClient, server: Server, tmp_path: Path, ids: str
) -> None:
    picture = sample_picture()
    items = [("a", picture), ("a", picture + b"\0")] if ids == "same id" else [picture, picture]
    run = client.map(items, "blue", edit=True, journal=tmp_path)
    with pytest.raises(ConfigError, match="have the same id"):
        await run.gather()
    assert len(server.requests) == 1
    assert [result.ok for result in run.results] == [True]


@pytest.mark.parametrize("on_exit", ["settle", "cancel"])
async def test_leaving_a_run_of_orders_loses_none_and_orders_none_twice(
    server: Server, tmp_path: Path, on_exit: Any
) -> None:
    server.answers(draws(), *[draws(delay=0.3)] * 3, *[draws()] * 40)
    async with TutuClient("any", server.base_url) as client:
        async with orders(client, tmp_path, 20, concurrency=4, on_exit=on_exit) as run:
            await server.wait_requests(4)
            async for _ in run:
                break
        assert await nothing_left(client) == []
    found = kinds(tmp_path)
    left = found.count("sent") - found.count("ok") - found.count("skip")
    assert left == 0 if on_exit == "settle" else left >= 3
    assert len((await goes_on(server, tmp_path, 20)).summary().unknown) == left
    # A call that was cancelled between its intent and its first byte is unknown too, and was not sent.
    assert 20 - left <= len(ordered(server)) <= 20
    assert max(ordered(server).values()) == 1
    assert kinds(tmp_path).count("ok") + left == 20


async def test_leaving_a_run_sends_nothing_that_waits(server: Server, tmp_path: Path) -> None:
    server.answers(draws(delay=0.2), *[draws()] * 20)
    async with TutuClient("any", server.base_url, rate="2/s") as client:
        async with orders(client, tmp_path, 20, concurrency=4, on_exit="settle"):
            await server.wait_requests(1)
            await until(lambda: client.pace.waiting == 3)
        assert await nothing_left(client) == []
    assert len(server.requests) == 1
    assert kinds(tmp_path) == ["sent", "ok"]


async def test_leaving_a_run_sends_nothing_again_that_is_refused_meanwhile(server: Server, tmp_path: Path) -> None:
    server.answers(fails(429, "too many", delay=0.2, headers={"Retry-After": "0"}), *[draws()] * 20)
    async with TutuClient("any", server.base_url) as client, orders(client, tmp_path, 1, on_exit="settle"):
        await server.wait_requests(1)
    assert len(server.requests) == 1
    assert kinds(tmp_path) == ["sent", "skip"]


async def test_a_group_of_tasks_that_is_cancelled_settles_its_orders(server: Server, tmp_path: Path) -> None:
    server.answers(*[draws(delay=0.1)] * 40)

    async def fail() -> None:
        await server.wait_requests(3)
        raise ZeroDivisionError

    async with TutuClient("any", server.base_url) as client:
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(orders(client, tmp_path, 20, concurrency=3).gather())
                group.create_task(fail())
        assert await nothing_left(client) == []
    assert kinds(tmp_path).count("sent") == kinds(tmp_path).count("ok") == len(server.requests)
    assert (await goes_on(server, tmp_path, 20)).summary().unknown == []
    assert max(ordered(server).values()) == 1
    assert len(ordered(server)) == 20


async def test_an_error_of_on_progress_settles_what_was_ordered(server: Server, tmp_path: Path) -> None:
    def told(_: object) -> None:
        raise ZeroDivisionError

    server.answers(*[draws(delay=0.05)] * 40)
    async with TutuClient("any", server.base_url) as client:
        run = orders(client, tmp_path, 20, concurrency=3, on_progress=told)
        with pytest.raises(ZeroDivisionError):
            await run.gather()
    assert kinds(tmp_path).count("sent") == kinds(tmp_path).count("ok") == len(run.results) == len(server.requests)
    await goes_on(server, tmp_path, 20)
    assert max(ordered(server).values()) == 1


async def test_an_error_of_the_iterable_settles_what_was_ordered(server: Server, tmp_path: Path) -> None:
    def prompts() -> Iterator[str]:
        yield from ("a", "b", "c")
        raise OSError("pulled out")

    server.answers(*[draws(delay=0.05)] * 9)
    async with TutuClient("any", server.base_url) as client:
        run = client.map(prompts(), generate=True, journal=tmp_path)
        with pytest.raises(OSError, match="pulled out"):
            await run.gather()
    assert len(run.results) == kinds(tmp_path).count("ok") == 3


async def test_an_image_that_was_made_is_handed_on_although_the_journal_is_full(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Journal.append

    async def full(journal: Journal, record: Record, *, sync: bool = False) -> None:
        if record.k == "ok":
            raise JournalError("the disk is full")
        await append(journal, record, sync=sync)

    server.answers(*[draws(delay=0.05)] * 40)
    monkeypatch.setattr(Journal, "append", full)
    async with TutuClient("any", server.base_url) as client:
        run = orders(client, tmp_path, 20, concurrency=2)
        with pytest.raises(JournalError, match="the disk is full"):
            await run.gather()
    assert len(run.results) == len(server.requests) > 0
    assert all(result.ok and result.images[0].stat().st_size for result in run.results)
    monkeypatch.undo()
    again = await goes_on(server, tmp_path, 20)
    assert sorted(again.summary().unknown) == sorted(result.id for result in run.results)
    assert max(ordered(server).values()) == 1


async def test_a_full_disk_ends_a_run_of_orders_and_each_was_made_once(server: Server, tmp_path: Path) -> None:
    server.answers(*[draws()] * 60)
    async with TutuClient("any", server.base_url) as client:
        run = orders(client, tmp_path, 60, concurrency=4)
        with full_disk(6000), pytest.raises(JournalError, match="make room on the disk"):
            await run.gather()
    handed_on = {result.id for result in run.results}
    assert 3 < len(handed_on) < 60
    assert len(ordered(server)) == len(handed_on)  # An order whose intent could not be written was not sent.
    again = await goes_on(server, tmp_path, 60)
    assert set(again.summary().unknown) <= handed_on
    assert len(ordered(server)) == 60
    assert max(ordered(server).values()) == 1


async def test_a_full_disk_that_takes_no_image_ends_the_run(server: Server, tmp_path: Path) -> None:
    server.answers(*[draws(sample_picture())] * 60)
    async with TutuClient("any", server.base_url) as client:
        run = orders(client, tmp_path, 60, concurrency=2)
        with full_disk(30_000), pytest.raises(JournalError, match="an image could not be saved"):
            await run.gather()
    assert len(server.requests) <= 4
    assert {result.outcome for result in run.results} == {"done"}
    assert list((tmp_path / "images").iterdir()) == []
    # The addresses of the images are in the journal.
    assert all("http" in record.res for record in records(tmp_path) if record.k == "fail")
    assert len((await goes_on(server, tmp_path, 60, retry_failed=True)).summary().unknown) == len(run.results)
    assert max(ordered(server).values()) == 1


async def test_no_more_is_ordered_when_the_journal_is_deleted(server: Server, tmp_path: Path) -> None:
    server.answers(*[draws()] * 20)
    async with TutuClient("any", server.base_url) as client:
        run = orders(client, tmp_path, 20, concurrency=1)
        with pytest.raises(JournalError, match=r"could not be synced to the disk \(it was deleted\): put a copy"):
            async with run:
                async for _ in run:
                    (tmp_path / "journal.jsonl").unlink(missing_ok=True)
        assert len(server.requests) <= 3
        with pytest.raises(JournalError, match="is missing"):
            await orders(client, tmp_path, 20).gather()
    assert max(ordered(server).values()) == 1


async def test_an_error_before_anything_was_sent_is_no_unknown_order(server: Server, tmp_path: Path) -> None:
    async def broken(_: Any, __: Any) -> Any:
        raise ZeroDivisionError

    async with TutuClient("any", server.base_url, middleware=[broken]) as client:
        [result] = await orders(client, tmp_path).gather()
    assert (result.outcome, kinds(tmp_path)) == ("not_sent", ["fail"])
    run = await goes_on(server, tmp_path, 1, retry_failed=True)
    assert [result.ok for result in run.results] == [True]
    assert len(server.requests) == 1


INTERRUPTED = """
import asyncio, sys
from tutuclient import TutuClient

async def main():
    async with TutuClient("any", sys.argv[1]) as client:
        run = client.map([f"cat {number}" for number in range(20)], generate=True, journal=sys.argv[2], concurrency=3)
        async with run:
            async for result in run:
                print(result.id, flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_settles_what_was_ordered_and_twice_leaves_it_unknown(tmp_path: Path, times: int) -> None:
    with serve_in_thread() as server:
        late = draws(delay=1.0 if times == 1 else 30)
        server.answers(*[draws()] * 3, *[late] * 3, *[draws()] * 60)
        command = [sys.executable, "-c", INTERRUPTED, server.base_url, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:  # noqa: S603  (our own code)
            assert process.stdout is not None
            for _ in range(3):
                process.stdout.readline()
            while len(server.requests) < 6:
                time.sleep(0.01)
            for _ in range(times):
                process.send_signal(signal.SIGINT)
                time.sleep(0.2)
        assert process.returncode != 0
        assert len(server.requests) == 6
        assert kinds(tmp_path).count("sent") == 6
        assert kinds(tmp_path).count("ok") == (6 if times == 1 else 3)
        run = asyncio.run(goes_on(server, tmp_path, 20))
        assert len(run.summary().unknown) == (0 if times == 1 else 3)
        assert max(ordered(server).values()) == 1
        assert len(ordered(server)) == 20
