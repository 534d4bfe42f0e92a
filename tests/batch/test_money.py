"""What a run promises about what is paid for: no image is ordered twice by itself, whatever went wrong."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.batch.runs import records
from tests.leftovers import nothing_left, until
from tutuclient import JournalError, RetryPolicy, TutuClient
from tutuclient.batch.journal import Journal, Record
from tutuclient.testing import draws, rate_limited

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.testing import Server

pytestmark = pytest.mark.timeout(60)


def kinds(folder: Path) -> list[str]:
    """Return what the journal says of items, in its order."""
    return [record.k for record in records(folder)]


def orders(client: TutuClient, folder: Path, count: int = 1, **options: Any) -> Any:
    return client.map([f"cat {number}" for number in range(count)], generate=True, journal=folder, **options)


# --- the intent ------------------------------------------------------------------------------------------------------


async def test_an_intent_is_written_when_the_order_is_admitted(server: Server, tmp_path: Path) -> None:
    server.answers(*[draws(delay=0.2)] * 3)
    async with TutuClient("any", server.base_url, max_concurrency=1) as client:
        async with orders(client, tmp_path, 3, concurrency=3, on_exit="cancel"):
            await server.wait_requests(1)
            await asyncio.sleep(0.02)
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
