"""What a refusal costs: time, and no attempt. On the loopback relay, with limits as relays have them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tests.held import Held
from tests.leftovers import nothing_left, until
from tutuclient import (
    InsufficientQuotaError,
    InternalServerError,
    RateLimitError,
    RetryPolicy,
    TutuClient,
    TutuError,
    user,
)
from tutuclient.testing import fails, rate_limited, raw, says
from tutuclient.transport.admission import RunItem, answering_items

if TYPE_CHECKING:
    from tutuclient import ChatCompletion
    from tutuclient.testing import Recorded, Server

STEADY = RetryPolicy(wait_initial=0.05, wait_max=0.2)


async def ask(client: TutuClient, text: str = "hi", **options: Any) -> str:
    answer: ChatCompletion = await client.chat.completions.create(model="m", messages=[user(text)], **options)
    return answer.text


class Bucket:
    """A relay's token bucket, which answers a bare 429 when it is empty."""

    def __init__(self, rate: float, size: float, *, delay: float = 0.05, refusal: Any = None) -> None:
        self.rate, self.size, self.delay = rate, size, delay
        self.refusal = refusal or fails(429, "too many")
        self.level, self.at = size, time.monotonic()
        self.refused = 0

    def __call__(self, seen: Recorded) -> Any:
        now = time.monotonic()
        self.level = min(self.size, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            self.refused += 1
            return self.refusal
        self.level -= 1
        return says(seen.json["messages"][0]["content"], delay=self.delay)


async def many(client: TutuClient, number: int, workers: int) -> list[str | TutuError]:
    """Send so many questions, as the README's recipe does, and return the answers or errors."""
    found: list[str | TutuError] = []
    items = iter(range(number))

    async def work() -> None:
        for item in items:
            try:
                found.append(await ask(client, f"item {item}"))
            except TutuError as error:
                found.append(error)

    await asyncio.gather(*(work() for _ in range(workers)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("workers", [16, 120], ids=["16 at once", "all at once"])
async def test_a_folder_loses_nothing_to_a_rate_limit(server: Server, workers: int) -> None:
    bucket = Bucket(60, 10)
    server.answers(*[bucket] * 2000)
    async with TutuClient(KEY, server.base_url, retry=STEADY) as client:
        found = await many(client, 120, workers)
        assert sorted(map(str, found)) == sorted(f"item {number}" for number in range(120))
        assert client.pace.refusals == bucket.refused > 0
        assert client.pace.rate is not None
        assert await nothing_left(client) == []


async def test_a_rate_that_is_set_is_never_refused(server: Server) -> None:
    bucket = Bucket(60, 10)
    server.answers(*[bucket] * 200)
    async with TutuClient(KEY, server.base_url, rate="3000/min") as client:
        assert not [one for one in await many(client, 60, 16) if isinstance(one, TutuError)]
        assert (bucket.refused, client.pace.refusals, client.pace.rate) == (0, 0, 50)


async def test_refusals_are_no_attempts_but_count_as_sent(server: Server) -> None:
    server.answers(
        fails(500, "a"), *[rate_limited(retry_after=0.01)] * 2, fails(500, "b"), rate_limited(retry_after=0.01)
    )
    async with TutuClient(KEY, server.base_url, retry=RetryPolicy(wait_initial=0.01, budget=2)) as client:
        answer = await client.chat.completions.create(model="m", messages=[user("hi")])
        assert (answer.meta.attempts, len(server.requests)) == (6, 6)


async def test_broken_attempts_are_still_counted_between_refusals(server: Server) -> None:
    server.answers(fails(500, "a"), fails(429, "no"), fails(500, "b"), fails(500, "c"), says("too late"))
    async with TutuClient(KEY, server.base_url, retry=RetryPolicy(wait_initial=0.01)) as client:
        with pytest.raises(InternalServerError, match="c") as caught:
            await ask(client)
        assert caught.value.attempts == 4


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(fails(429, "slow down"), marks=pytest.mark.slow),
        fails(503, "busy", headers={"Retry-After": "0"}),
        fails(403, "busy", code="token_concurrency_limit_reached"),
        pytest.param(fails(429, "您已达到请求数限制：1分钟内最多请求600次"), marks=pytest.mark.slow),
    ],
    ids=["429", "503 with Retry-After", "a gate", "in words"],
)
async def test_whatever_says_that_it_was_not_done_is_sent_again(server: Server, refusal: Any) -> None:
    server.answers(*[refusal] * 4, says("at last"))
    async with TutuClient(
        KEY, server.base_url, retry=RetryPolicy(max_retries=1, wait_initial=0.01, budget=0)
    ) as client:
        assert await ask(client) == "at last"
        assert client.pace.refusals == 4


async def test_no_retries_means_that_the_first_refusal_is_raised(server: Server) -> None:
    server.answers(fails(429, "slow down"))
    async with TutuClient(KEY, server.base_url, max_retries=0) as client:
        with pytest.raises(RateLimitError) as caught:
            await ask(client)
        assert (caught.value.attempts, client.pace.refusals) == (1, 1)


async def test_an_empty_account_is_told_at_once_and_slows_nobody(server: Server) -> None:
    server.answers(*[fails(429, "You exceeded your current quota", code="insufficient_quota")] * 5)
    async with TutuClient(KEY, server.base_url) as client:
        for _ in range(5):
            with pytest.raises(InsufficientQuotaError) as caught:
                await ask(client)
            assert caught.value.attempts == 1
        assert (client.pace.refusals, client.pace.gate, client.pace.rate) == (0, 0, None)


@pytest.mark.parametrize("refusal", [fails(429, "no"), rate_limited(retry_after=0.05)], ids=["bare", "Retry-After"])
async def test_being_refused_ends_in_time(server: Server, refusal: Any) -> None:
    server.answers(*[refusal] * 500)
    policy = RetryPolicy(wait_initial=0.01, wait_max=0.02, refused_max=0.4)
    async with TutuClient(KEY, server.base_url, retry=policy) as client:
        began = time.monotonic()
        with pytest.raises(RateLimitError) as caught:
            await ask(client)
        assert time.monotonic() - began < 1.5
        assert caught.value.attempts == len(server.requests) >= 3
        assert await nothing_left(client) == []


async def test_being_refused_ends_with_the_deadline(server: Server) -> None:
    server.answers(*[fails(429, "no")] * 500)
    async with TutuClient(KEY, server.base_url, retry=RetryPolicy(refused_max=None, wait_initial=0.01)) as client:
        with pytest.raises(RateLimitError):
            await ask(client, timeout=0.3)
        assert await nothing_left(client) == []


@pytest.mark.slow
async def test_a_lasting_refusal_does_not_freeze_the_client_when_it_ends(server: Server) -> None:
    opens = time.monotonic() + 1.5

    def closed(_: Recorded) -> Any:
        return says("open") if time.monotonic() > opens else fails(429, "closed")

    server.answers(*[closed] * 1000)
    async with TutuClient(KEY, server.base_url, retry=STEADY) as client:
        assert await asyncio.gather(*(ask(client) for _ in range(100))) == ["open"] * 100
        assert client.pace.gate == 0
        assert len(server.requests) < 300


async def test_cancelled_calls_leave_nothing_in_the_queue(server: Server) -> None:
    bucket = Bucket(40, 5)
    server.answers(*[bucket] * 2000)
    async with TutuClient(KEY, server.base_url, retry=STEADY, max_concurrency=8) as client:
        tasks = [asyncio.create_task(ask(client)) for _ in range(100)]
        await until(lambda: client.pace.refusals and client.pace.waiting)
        assert client.pace.waiting > 0
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await nothing_left(client) == []
        assert (client.pace.waiting, client.pace.in_flight) == (0, 0)
        assert await ask(client) == "hi"


async def test_a_key_that_is_refused_slows_no_other(server: Server) -> None:
    def refused(seen: Recorded) -> Any:
        return fails(429, "no") if "Bearer poor" in seen.headers["Authorization"] else says("hello")

    server.answers(*[refused] * 2000)
    async with TutuClient("poor-key-000000000000", server.base_url, retry=RetryPolicy(refused_max=30)) as poor:
        rich = poor.with_options(api_key="rich-key-000000000000")
        refusals = [asyncio.create_task(ask(poor)) for _ in range(600)]
        await until(lambda: poor.pace.refusals)
        assert await asyncio.wait_for(asyncio.gather(*(ask(rich) for _ in range(50))), 5) == ["hello"] * 50
        assert (poor.pace.refusals > 0, rich.pace.refusals, rich.pace.gate) == (True, 0, 0)
        for task in refusals:
            task.cancel()


async def test_a_limit_stated_in_words_is_kept_from_then_on(server: Server) -> None:
    server.answers(*[says("hello")] * 4, fails(429, "您已达到请求数限制：1分钟内最多请求5次"), *[says("hello")] * 50)
    async with TutuClient(KEY, server.base_url, retry=STEADY, max_concurrency=1) as client:
        for _ in range(4):
            await ask(client)
        found = await asyncio.gather(*(ask(client, timeout=1) for _ in range(20)), return_exceptions=True)
        assert found.count("hello") == 5
        assert len(server.requests) == 5 + 5


async def test_an_unlimited_relay_sees_no_difference(server: Server) -> None:
    go = asyncio.Event()
    server.answers(*[Held(says("hello"), go)] * 100)
    async with TutuClient(KEY, server.base_url) as client:
        tasks = [asyncio.create_task(ask(client)) for _ in range(100)]
        await server.until(lambda: server.in_flight == 100)
        go.set()
        await asyncio.gather(*tasks)
        assert client.pace.rate is None


async def test_auto_searches_the_window_from_below(server: Server) -> None:
    go = asyncio.Event()
    server.answers(*[Held(says("hello"), go)] * 30)
    async with TutuClient(KEY, server.base_url, max_concurrency="auto") as client:
        assert client.pace.window == 8
        tasks = [asyncio.create_task(ask(client)) for _ in range(30)]
        await server.wait_requests(8)
        await asyncio.sleep(0.02)  # In which a ninth would come.
        assert len(server.requests) == 8
        go.set()
        await asyncio.gather(*tasks)
        assert client.pace.window > 8


async def test_an_items_deadline_begins_when_it_is_admitted(server: Server) -> None:
    server.answers(*[says("hello", delay=0.3)] * 10)

    async def item(client: TutuClient) -> str:
        answering_items.set(RunItem())
        return await ask(client, timeout=0.9)

    async with TutuClient(KEY, server.base_url, max_concurrency=1) as client:
        assert await asyncio.gather(*(asyncio.create_task(item(client)) for _ in range(4))) == ["hello"] * 4


async def test_calls_made_one_by_one_go_before_items(server: Server) -> None:
    order: list[str] = []

    async def note(name: str, client: TutuClient, *, item: bool) -> None:
        answering_items.set(RunItem() if item else None)
        await ask(client)
        order.append(name)

    server.answers(*[says("hello", delay=0.02)] * 10)
    async with TutuClient(KEY, server.base_url, max_concurrency=1) as client:
        tasks = [asyncio.create_task(note("item", client, item=True)) for _ in range(4)]
        await server.wait_requests(1)
        tasks.append(asyncio.create_task(note("call", client, item=False)))
        await asyncio.gather(*tasks)
    assert order.index("call") == 1


async def test_tokens_a_minute_are_kept(server: Server) -> None:
    server.answers(*[says("hello")] * 100)
    async with TutuClient(KEY, server.base_url, tokens_per_minute=6000) as client:  # 100 a second, 1,000 at once
        await ask(client, "word " * 300)
        tasks: list[asyncio.Task[str]] = [asyncio.create_task(ask(client, "word " * 300)) for _ in range(30)]
        await server.wait_requests(2)
        await asyncio.sleep(0.5)  # In which some 50 more would come if nothing held them back.
        assert len(server.requests) < 8
        for task in tasks:
            task.cancel()


BODY = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}'
HEADERS = {
    "x-ratelimit-limit-requests": "100",
    "x-ratelimit-remaining-requests": "5",
    "x-ratelimit-reset-requests": "9.5s",
}


@pytest.mark.parametrize("headers", [HEADERS, {"RateLimit": "limit=100, remaining=5, reset=1"}], ids=["openai", "IETF"])
async def test_headers_that_say_that_little_is_left_slow_the_client(server: Server, headers: dict[str, str]) -> None:
    server.answers(*[raw(200, BODY, headers={"Content-Type": "application/json", **headers})] * 40)
    async with TutuClient(KEY, server.base_url) as client:
        for _ in range(5):
            await ask(client)
        began = time.monotonic()
        await asyncio.gather(*(ask(client) for _ in range(6)))
        assert time.monotonic() - began > 0.3


async def test_a_program_with_a_key_for_each_user_remembers_a_thousand(server: Server) -> None:
    async with TutuClient(KEY, server.base_url) as client:
        await ask(client)
        pool = client._transport.pool
        assert pool is not None
        for number in range(2500):
            pool.admission(client.with_options(api_key=f"key-of-user-{number}")._settings)
        assert len(pool.slots.admissions) <= 1000
