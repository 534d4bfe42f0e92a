"""10,000 calls over two relays, of which one is dead, slow, a liar or away for a while: none lost, no image twice."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tutuclient import OutcomeUnknownError, Relay, RetryPolicy, Timeout, TutuClient, TutuError, user
from tutuclient.testing import fails, rate_limited, raw_server, says, sends, serve
from tutuclient.testing.faults import answer as fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing import Recorded, Server
    from tutuclient.testing.exchange import Answer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CALLS = 1700
IN_FLIGHT = 32
EVERY = 5  # Every fifth call orders an image.
PATIENT = RetryPolicy(wait_initial=0.01, wait_max=0.05, budget=None)


class Ledger:
    """What a relay has done, by prompt: how often it made an image, or began to."""

    def __init__(self, answers: Callable[[int], Answer | None]) -> None:
        self.asked = 0
        self.made: Counter[str] = Counter()
        self._answers = answers

    def __call__(self, request: Recorded) -> Answer:
        """Answer as the script says, else well; what is not surely rejected is taken for done."""
        self.asked += 1
        prompt = str(request.json["messages"][0]["content"])
        bad = self._answers(self.asked)
        if bad is None or bad in UNSURE:
            self.made[prompt] += 1
        return says(f"of {prompt}") if bad is None else bad

    def plays(self, server: Server) -> None:
        server.answers(*[self] * (4 * CALLS), path="/v1/chat/completions")


RESET = fault("reset_after_request")
UNSURE = (RESET,)
LIES = (
    sends({"error": {"message": "upstream error", "type": "server_error", "code": 500}}),
    fails(404, "no such model", code="model_not_found"),
    fails(401, "no such key", code="invalid_api_key"),
    rate_limited(retry_after=3600),
    fails(500, "boom"),
    fails(503, "busy"),
)


def always_well(_: int) -> None:
    return None


async def run(client: TutuClient, numbers: range) -> Counter[str]:
    """Run calls, so many at once; return how they ended. Every answer has to be the one to its own prompt."""
    left = iter(numbers)
    ends: Counter[str] = Counter()

    async def work() -> None:
        for number in left:
            orders = number % EVERY == 0
            prompt = f"{'image' if orders else 'question'} {number}"
            try:
                answer: Any = await (
                    client.generate(prompt)
                    if orders
                    else client.chat.completions.create(model="gpt-4o", messages=[user(prompt)])
                )
            except OutcomeUnknownError as error:
                ends[f"{error.outcome} order" if orders else "open question"] += 1
            except TutuError as error:
                ends[f"lost: {type(error).__name__}: {error}"] += 1
            else:
                ends["answered" if answer.text == f"of {prompt}" else "wrong"] += 1

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return ends


def images_made(*ledgers: Ledger) -> Counter[str]:
    made: Counter[str] = Counter()
    for ledger in ledgers:
        made += Counter({prompt: count for prompt, count in ledger.made.items() if prompt.startswith("image")})
    return made


async def two(bad_url: str, good_url: str, **options: Any) -> TutuClient:
    relays = [Relay(bad_url, KEY, name="bad"), Relay(good_url, KEY, name="good")]
    return TutuClient(relays=relays, retry=PATIENT, **options)


@pytest.mark.parametrize("kind", ["refused", "syn_unanswered"])
async def test_one_is_dead(kind: str) -> None:
    async with raw_server(kind) as dead, serve() as server:
        ledger = Ledger(always_well)
        ledger.plays(server)
        async with await two(dead.base_url, server.base_url, timeout=Timeout(60, connect=1)) as client:
            assert await run(client, range(CALLS)) == {"answered": CALLS}
        assert ledger.asked == CALLS
        assert set(images_made(ledger).values()) == {1}


async def test_one_is_slow() -> None:
    async with serve() as slow, serve() as server:
        lags, ledger = Ledger(lambda _: None), Ledger(always_well)
        ledger.plays(server)
        slow.answers(*[lambda request: _slowly(lags, request)] * CALLS, path="/v1/chat/completions")
        async with await two(slow.base_url, server.base_url, max_concurrency=IN_FLIGHT) as client:
            assert await run(client, range(CALLS)) == {"answered": CALLS}
        assert slow.peak_in_flight <= IN_FLIGHT // 2
        assert ledger.asked > 4 * lags.asked
        assert set(images_made(lags, ledger).values()) == {1}


def _slowly(ledger: Ledger, request: Recorded) -> Answer:
    ledger(request)
    return says(f"of {request.json['messages'][0]['content']}", delay=1.0)


async def test_one_lies() -> None:
    async with serve() as server, serve() as other:
        lies = itertools.cycle(LIES)
        liar, ledger = Ledger(lambda _: next(lies)), Ledger(always_well)
        liar.plays(server)
        ledger.plays(other)
        async with await two(server.base_url, other.base_url) as client:
            assert await run(client, range(CALLS)) == {"answered": CALLS}
        assert ledger.asked == CALLS
        assert set(images_made(liar, ledger).values()) == {1}


async def test_one_breaks_connections_when_it_has_begun_to_work() -> None:
    async with serve() as server, serve() as other:
        # Three of four times it answers well, so that it is back each time it is tried.
        breaks = Ledger(lambda number: RESET if number % 4 == 0 else None)
        ledger = Ledger(always_well)
        breaks.plays(server)
        ledger.plays(other)
        async with await two(server.base_url, other.base_url) as client:
            ends = await run(client, range(CALLS))
        # A question is asked again. An order is reported as what it is, and is at one relay alone.
        assert set(ends) <= {"answered", "unknown order"}
        assert ends.total() == CALLS
        assert ends["unknown order"] > 0
        made = images_made(breaks, ledger)
        assert set(made.values()) == {1}
        assert len(made) == CALLS // EVERY


async def test_one_is_away_and_comes_back() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    async with serve() as server, AsyncExitStack() as stack:
        back, ledger = Ledger(always_well), Ledger(always_well)
        ledger.plays(server)
        url = f"http://127.0.0.1:{port}/v1"
        async with await two(url, server.base_url) as client:
            assert await run(client, range(CALLS // 2)) == {"answered": CALLS // 2}
            returned = await stack.enter_async_context(serve(port=port))
            back.plays(returned)
            ends: Counter[str] = Counter()
            numbers = itertools.count(CALLS // 2)
            # It is tried a few seconds later, and takes its share from then on.
            while back.asked < CALLS // 4:
                first = next(numbers)
                ends += await run(client, range(first * 100, first * 100 + 100))
            assert set(ends) == {"answered"}
        assert set(images_made(back, ledger).values()) == {1}
