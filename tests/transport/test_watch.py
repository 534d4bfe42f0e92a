"""The one timer of a call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tutuclient.transport.watch import Watch

if TYPE_CHECKING:
    from tutuclient.transport.watch import Kind


def watch(total: float | None) -> Watch:
    task = asyncio.current_task()
    assert task is not None
    return Watch(asyncio.get_running_loop(), task, total)


async def late(watched: Watch, seconds: float = 1) -> Kind | None:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        return watched.caught()
    return None


async def test_the_deadline_fires() -> None:
    assert await late(watch(0.02)) == "total"


async def test_a_nearer_limit_fires_first_and_the_deadline_after_it() -> None:
    watched = watch(0.1)
    watched.limit("pool", 0.02)
    assert await late(watched) == "pool"
    assert await late(watched) == "total"


async def test_a_limit_that_was_eased_does_not_fire() -> None:
    watched = watch(None)
    watched.limit("pool", 0.02)
    watched.ease()
    assert await late(watched, 0.05) is None
    watched.stop()


async def test_a_limit_may_be_moved_along_many_times() -> None:
    watched = watch(10)
    for _ in range(5):
        watched.limit("idle", 0.04)
        await asyncio.sleep(0.02)
    assert await late(watched) == "idle"
    watched.stop()


async def test_a_limit_beyond_the_deadline_is_the_deadline() -> None:
    watched = watch(0.02)
    watched.limit("idle", 5)
    assert await late(watched) == "total"


async def test_no_limit_at_all_never_fires() -> None:
    watched = watch(None)
    watched.limit("idle", None)
    assert watched.left() == float("inf")
    assert await late(watched, 0.02) is None


async def test_a_cancellation_by_somebody_else_is_not_taken_for_a_limit() -> None:
    async def work() -> None:
        watched = watch(0.02)
        task = asyncio.current_task()
        assert task is not None
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            task.cancel()
            assert watched.caught() is None
            raise

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())


async def test_once_handed_over_it_tells_instead_of_cancelling() -> None:
    watched = watch(0.02)
    told: asyncio.Future[Kind] = asyncio.get_running_loop().create_future()
    watched.hand_over(told.set_result)
    assert await asyncio.wait_for(told, 1) == "total"


async def test_once_stopped_nothing_fires() -> None:
    watched = watch(0.01)
    watched.stop()
    assert await late(watched, 0.03) is None
