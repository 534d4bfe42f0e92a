"""The shared timer, and the limits of the calls that use it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tutuclient.testing import says
from tutuclient.transport.deadlines import Limits, Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient import TutuClient
    from tutuclient.testing import Server
    from tutuclient.transport.deadlines import Kind


def limits(total: float | None) -> Limits:
    task = asyncio.current_task()
    assert task is not None
    return Limits(Timer(asyncio.get_running_loop()), task, total)


async def late(watched: Limits, seconds: float = 20) -> Kind | None:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        return watched.caught()
    return None


async def test_the_deadline_fires() -> None:
    assert await late(limits(0.02)) == "total"


async def test_a_nearer_limit_fires_first_and_the_deadline_after_it() -> None:
    watched = limits(0.1)
    watched.limit("pool", 0.02)
    assert await late(watched) == "pool"
    assert await late(watched) == "total"


async def test_a_limit_that_was_eased_does_not_fire() -> None:
    watched = limits(None)
    watched.limit("pool", 0.02)
    watched.ease()
    assert await late(watched, 0.05) is None
    watched.stop()


async def test_a_limit_may_be_moved_along_many_times() -> None:
    watched = limits(30)
    for _ in range(5):
        watched.limit("idle", 1.0)
        await asyncio.sleep(0.25)
    assert await late(watched) == "idle"
    watched.stop()


async def test_a_limit_beyond_the_deadline_is_the_deadline() -> None:
    watched = limits(0.02)
    watched.limit("idle", 5)
    assert await late(watched) == "total"


async def test_no_limit_at_all_never_fires() -> None:
    watched = limits(None)
    watched.limit("idle", None)
    assert watched.left() == float("inf")
    assert await late(watched, 0.02) is None


async def test_a_cancellation_by_somebody_else_is_not_taken_for_a_limit() -> None:
    async def work() -> None:
        watched = limits(0.02)
        task = asyncio.current_task()
        assert task is not None
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            task.cancel()
            assert watched.caught() is None
            raise

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())


async def test_once_handed_over_it_tells_instead_of_cancelling() -> None:
    watched = limits(0.02)
    told: asyncio.Future[Kind] = asyncio.get_running_loop().create_future()
    watched.hand_over(told.set_result)
    assert await asyncio.wait_for(told, 20) == "total"


async def test_once_stopped_nothing_fires() -> None:
    watched = limits(0.01)
    watched.stop()
    assert await late(watched, 0.03) is None


async def test_all_calls_share_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, set_at = asyncio.get_running_loop(), []
    task = asyncio.current_task()
    assert task is not None
    call_at = loop.call_at

    def counted(at: float, ring: Callable[[], None]) -> asyncio.TimerHandle:
        set_at.append(at)
        return call_at(at, ring)

    monkeypatch.setattr(loop, "call_at", counted)
    timer = Timer(loop)
    watches = [Limits(timer, task, 10) for _ in range(100)]
    for watched in watches:
        watched.limit("first_token", 5)
        watched.stop()
    assert len(set_at) == 2
    timer.stop()


async def test_each_call_is_reported_of_its_own_limit() -> None:
    timer, told = Timer(asyncio.get_running_loop()), []

    async def work(name: str, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        watched = Limits(timer, task, seconds)
        told.append((name, await late(watched)))
        watched.stop()

    names = {"third": 0.06, "first": 0.02, "second": 0.04}
    async with asyncio.TaskGroup() as group:
        for name, seconds in names.items():
            group.create_task(work(name, seconds))
    assert sorted(told) == [("first", "total"), ("second", "total"), ("third", "total")]


async def test_a_deadline_fires_once() -> None:
    timer, task = Timer(asyncio.get_running_loop()), asyncio.current_task()
    assert task is not None
    watched = Limits(timer, task, 0.01)
    assert await late(watched) == "total"
    timer.wake_by(timer.loop.time() + 0.01)
    assert await late(watched, 0.03) is None


async def test_the_timer_ignores_a_dropped_call() -> None:
    told: list[Kind] = []
    task = asyncio.current_task()
    assert task is not None
    timer = Timer(asyncio.get_running_loop())
    watched = Limits(timer, task, 0.01)
    watched.hand_over(told.append)
    del watched
    await asyncio.sleep(0.03)
    assert told == []


async def test_a_closed_client_leaves_no_timer(client: TutuClient, server: Server) -> None:
    server.answers(says("hi"))
    await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    pool = client._transport.pool
    assert pool is not None
    assert pool.timer._handle is not None
    await client.aclose()
    assert pool.timer._handle is None
