"""What stops a run and what does not: an account that is short, a relay that is closed, deadlines."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.batch.runs import answer, echo, pairs, records, run_of
from tests.leftovers import nothing_left, until
from tutuclient import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BatchStoppedError,
    InsufficientQuotaError,
    RateLimitError,
    RetryPolicy,
    Timeout,
    TutuClient,
)
from tutuclient.testing import fails, rate_limited, sample_picture, says

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.batch.items import Item
    from tutuclient.testing import Recorded, Server
    from tutuclient.types.chat import ChatCompletion

pytestmark = pytest.mark.timeout(60)

PICTURE = sample_picture()
STOP_ON = (AuthenticationError, InsufficientQuotaError)


# --- an account that is short ----------------------------------------------------------------------------------------


class Account:
    """A relay that reserves ten for each request in flight, and charges one when it is answered."""

    def __init__(self, balance: int) -> None:
        self.balance = balance
        self.reserved = self.most = self.refused = 0

    async def __call__(self, item: Item) -> ChatCompletion:
        if self.balance - self.reserved < 10:
            self.refused += 1
            raise InsufficientQuotaError("too little is left", attempts=1)
        self.reserved += 10
        self.most = max(self.most, self.reserved)
        await asyncio.sleep(0.002)
        self.reserved -= 10
        self.balance -= 1
        return await echo(item)


@pytest.mark.parametrize("ordered", [False, True])
async def test_an_account_that_is_short_is_used_to_its_end(ordered: bool, tmp_path: Path) -> None:
    account = Account(40)
    run = run_of(pairs(100), account, workers=16, stop_on=STOP_ON, ordered=ordered, folder=tmp_path)
    with pytest.raises(BatchStoppedError, match="InsufficientQuotaError: too little is left") as caught:
        await run.gather()
    assert caught.value.reason == "error"
    assert sum(result.ok for result in run.results) == 31
    assert account.balance == 9
    assert account.refused < 40
    # Each item that was pulled has one result, and those that the account stopped are asked when the run goes on.
    assert len({result.id for result in run.results}) == len(run.results)
    assert run.summary().deferred == sum(not result.ok for result in run.results) > 0
    assert run.summary().requests == account.refused  # Answers of this kind count none.
    again = run_of(pairs(100), folder=tmp_path)
    assert len(await again.gather()) == 100 - 31
    assert again.summary().failed_before == 0


async def test_an_account_that_suffices_for_fewer_at_once_answers_all() -> None:
    account = Account(140)
    results = await run_of(pairs(100), account, workers=32, stop_on=STOP_ON).gather()
    assert sum(result.ok for result in results) == len(results) == 100
    assert account.refused > 0


async def test_an_item_is_sent_again_when_nothing_else_is_in_flight() -> None:
    running = 0
    alone: list[bool] = []

    async def send(item: Item) -> ChatCompletion:
        nonlocal running
        if item.index == 3 and not alone:
            alone.append(False)
            raise InsufficientQuotaError("too little is left")
        if item.index == 3:
            alone.append(running == 0)
        running += 1
        await asyncio.sleep(0.005)
        running -= 1
        return await echo(item)

    results = await run_of(pairs(50), send, workers=8, stop_on=STOP_ON).gather()
    assert all(result.ok for result in results)
    assert alone == [False, True]


async def test_an_empty_account_is_asked_twice_and_no_more() -> None:
    calls = 0

    async def send(_: Item) -> ChatCompletion:
        nonlocal calls
        calls += 1
        raise InsufficientQuotaError("nothing is left")

    run = run_of(pairs(100), send, workers=1, stop_on=STOP_ON)
    with pytest.raises(BatchStoppedError):
        await run.gather()
    assert calls == 2
    assert len(run.results) == 1


async def test_an_account_that_is_short_is_an_items_failure_where_it_stops_nothing() -> None:
    account = Account(40)
    results = await run_of(pairs(100), account, workers=16, stop_on=()).gather()
    assert len(results) == 100
    assert 0 < sum(result.ok for result in results) < 31


@pytest.mark.parametrize("dedupe", [False, True])
async def test_an_account_that_is_short_for_a_moment_costs_no_item(
    client: TutuClient, server: Server, dedupe: bool
) -> None:
    server.answers(*[fails(403, "用户额度不足", code="insufficient_user_quota", delay=0.02)] * 5)
    items = [(f"item{number}", PICTURE + bytes([number])) for number in range(40)]
    results = await client.map(items, "what?", concurrency=8, dedupe=dedupe).gather()
    assert [result.error for result in results if not result.ok] == []
    assert len(results) == 40
    assert len(server.requests) == 45


async def test_leaving_the_block_while_items_wait_for_the_account_keeps_their_results() -> None:
    go = asyncio.Event()

    async def send(item: Item) -> ChatCompletion:
        if item.index == 0:
            await go.wait()
            return answer("first")
        await asyncio.sleep(0.01)
        raise InsufficientQuotaError("too little is left")

    async with run_of(pairs(100), send, workers=4, stop_on=STOP_ON) as run:
        await until(lambda: len(run._requeued) == 3)
    found = [result async for result in run]
    assert sorted(result.id for result in found) == ["item1", "item2", "item3"]
    assert not any(result.ok for result in found)


async def test_what_a_wrong_key_stopped_is_asked_when_the_run_goes_on(server: Server, tmp_path: Path) -> None:
    server.answers(*[fails(401, "Invalid token", code="invalid_api_key")] * 8)
    items = [(f"item{number}", PICTURE) for number in range(20)]
    async with TutuClient("wrong", server.base_url) as client:
        run = client.map(items, "what?", journal=tmp_path)
        with pytest.raises(BatchStoppedError) as caught:
            await run.gather()
    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert {record.k for record in records(tmp_path)} <= {"skip", "ok"}
    assert "retry_failed" not in str(run.summary())
    async with TutuClient("any", server.base_url) as client:
        before = sum(record.k == "ok" for record in records(tmp_path))
        assert len(await client.map(items, "what?", journal=tmp_path).gather()) == 20 - before


# --- a relay that is closed ------------------------------------------------------------------------------------------


async def test_a_retry_after_beyond_max_wait_stops_the_run_and_says_when_to_come_back(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(says("seen"), *[rate_limited(retry_after=1800)] * 50)
    items = [(f"item{number}", PICTURE) for number in range(50)]
    run = client.map(items, "what?", journal=tmp_path, concurrency=1, max_wait=900)
    with pytest.raises(BatchStoppedError, match=r"max_wait=900 s; it asks to come back in 1800 s, at \d\d:") as caught:
        await run.gather()
    assert (caught.value.reason, caught.value.retry_after) == ("closed", 1800)
    assert [result.ok for result in run.results] == [True, False]
    assert [record.k for record in records(tmp_path)] == ["ok", "skip"]
    assert len(server.requests) == 2
    assert await nothing_left(client) == []


async def test_a_retry_after_within_max_wait_is_sat_out(server: Server) -> None:
    server.answers(*[rate_limited(headers={"retry-after-ms": "300"})] * 4)
    policy = RetryPolicy(retry_after_max=0.1, refused_max=0.1, wait_initial=0.01)  # The client's own is for its calls.
    async with TutuClient("any", server.base_url, retry=policy) as client:
        run = client.map([(f"item{number}", PICTURE) for number in range(12)], "what?", concurrency=4)
        assert all(result.ok for result in await run.gather())
        assert run.summary().refusals == 4


@pytest.mark.parametrize("headers", [{}, {"retry-after-ms": "100"}], ids=["bare", "with Retry-After"])
async def test_a_relay_that_refuses_all_for_max_wait_stops_the_run(
    server: Server, tmp_path: Path, headers: dict[str, str]
) -> None:
    def closed(_: Recorded) -> Any:
        return rate_limited(headers=headers)

    server.answers(*[closed] * 5000)
    async with TutuClient("any", server.base_url, retry=RetryPolicy(wait_initial=0.02, wait_max=0.1)) as client:
        run = client.map(
            [(f"cat {number}", f"cat {number}") for number in range(50)], generate=True, journal=tmp_path, max_wait=1
        )
        with pytest.raises(BatchStoppedError, match="lets nothing in for longer than max_wait=1 s") as caught:
            await run.gather()
        assert caught.value.reason == "closed"
    # Of no order that was refused is the outcome unknown, nor is one a failure that the next run leaves alone.
    assert {record.k for record in records(tmp_path)} == {"sent", "skip"}


@pytest.mark.slow
async def test_one_item_that_is_refused_for_long_does_not_stop_a_run_that_goes_on(server: Server) -> None:
    def pick(request: Recorded) -> Any:
        return (
            rate_limited(headers={"retry-after-ms": "50"}) if request.json["model"] == "full" else says("x", delay=0.02)
        )

    server.answers(*[pick] * 5000)
    items: list[Any] = [{"image": PICTURE, "id": f"item{number}"} for number in range(40)]
    items[3]["model"] = "full"
    async with TutuClient("any", server.base_url, retry=RetryPolicy(wait_initial=0.02, wait_max=0.1)) as client:
        run = client.map(items, "what?", model="m", concurrency=2, max_wait=0.5)
        results = await run.gather()
    [failed] = [result for result in results if not result.ok]
    assert (failed.id, type(failed.error), failed.outcome) == ("item3", RateLimitError, "rejected")
    assert run.summary().deferred == 1


async def test_what_found_no_connection_is_asked_when_the_run_goes_on(server: Server, tmp_path: Path) -> None:
    items = [(f"item{number}", PICTURE) for number in range(3)]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Bound and not listening: it refuses connections.
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        async with TutuClient("any", nobody, max_retries=0) as client:
            run = client.map(items, "what?", journal=tmp_path)
            assert {(type(each.error), each.outcome) for each in await run.gather()} == {
                (APIConnectionError, "not_sent")
            }
    assert run.summary().deferred == 3
    assert str(run.summary()).endswith(f"the same call with journal={str(tmp_path)!r} goes on")
    async with TutuClient("any", server.base_url) as client:
        again = client.map(items, "what?", journal=tmp_path)
        assert [result.ok for result in await again.gather()] == [True] * 3
    assert again.summary().failed_before == 0


async def test_a_run_that_reaches_nothing_for_long_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0

    async def send(item: Item) -> ChatCompletion:
        nonlocal sent
        sent += 1
        if item.index == 15:
            return await echo(item)
        raise APIConnectionError("no route", outcome="not_sent")

    monkeypatch.setattr("tutuclient.batch.run._UNREACHED_S", 0.0)
    with pytest.raises(BatchStoppedError, match="20 items in a row found no connection: no route") as caught:
        await run_of(pairs(1000), send, workers=1).gather()
    assert isinstance(caught.value.__cause__, APIConnectionError)
    assert sent == 16 + 20


async def test_a_relay_that_is_away_for_a_moment_stops_no_run() -> None:
    async def send(_: Item) -> ChatCompletion:
        raise APIConnectionError("no route", outcome="not_sent")

    assert len(await run_of(pairs(100), send, workers=4).gather()) == 100


async def test_without_retries_a_refusal_is_an_items_failure_and_no_closed_relay(server: Server) -> None:
    server.answers(rate_limited(), says("seen"))
    async with TutuClient("any", server.base_url, max_retries=0) as client:
        results = await client.map([(f"item{number}", PICTURE) for number in range(9)], "what?", concurrency=1).gather()
    assert [type(result.error) for result in results if not result.ok] == [RateLimitError]


# --- deadlines -------------------------------------------------------------------------------------------------------


async def test_an_items_deadline_begins_when_it_is_admitted(server: Server) -> None:
    server.answers(*[says("seen", delay=0.2)] * 6)
    async with TutuClient("any", server.base_url, max_concurrency=1) as client:
        run = client.map([(f"item{number}", PICTURE) for number in range(6)], "what?", timeout=0.6, concurrency=6)
        assert all(result.ok for result in await run.gather())


async def test_waiting_for_the_relays_rate_costs_an_item_none_of_its_deadline(server: Server) -> None:
    async with TutuClient("any", server.base_url, rate="5/s", timeout=Timeout(0.5, pool=0.1)) as client:
        results = await client.map([(f"item{number}", PICTURE) for number in range(8)], "what?", concurrency=8).gather()
    assert [result.error for result in results if not result.ok] == []


async def test_an_item_that_was_refused_has_its_deadline_anew_when_it_is_admitted(server: Server) -> None:
    server.answers(rate_limited(headers={"retry-after-ms": "700"}), says("seen", delay=0.2), says("late", delay=30))
    async with TutuClient("any", server.base_url) as client:
        run = client.map([("a", PICTURE), ("b", PICTURE)], "what?", timeout=0.5, concurrency=1, ordered=True)
        first, second = await run.gather()
    assert first.value == "seen"
    assert isinstance(second.error, APITimeoutError)


# --- durability ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["written", "synced"])
async def test_a_result_is_synced_before_it_is_handed_on_where_that_was_asked_for(
    client: TutuClient, tmp_path: Path, durability: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def sync(descriptor: int) -> None:
        time.sleep(0.05)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fdatasync", sync)
    journal = tmp_path / "journal.jsonl"
    items = [(f"item{number}", PICTURE) for number in range(4)]
    early = 0
    async with client.map(items, "what?", journal=tmp_path, durability=durability, concurrency=1) as run:
        async for result in run:
            line = journal.read_bytes().index(f'"id":"{result.id}"'.encode())
            early += line >= max(synced, default=0)
    assert early == 0 if durability == "synced" else early > 0
