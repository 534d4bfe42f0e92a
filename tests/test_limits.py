"""What ``tutuclient.limits`` promises: as many slots as allowed and none lost, a budget for retries, one pause."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutuclient.limits import CoolDown, RetryBudget, Slots

if TYPE_CHECKING:
    from collections.abc import Callable


async def settle() -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


class Crowd:
    """Tasks that each want a slot, and the order in which they got one."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.served: list[int] = []
        self.most = 0
        self.leave: dict[int, anyio.Event] = {}
        self.scopes: dict[int, anyio.CancelScope] = {}
        self._in_flight = 0

    async def want(self, name: int) -> None:
        leave = self.leave[name] = anyio.Event()
        with anyio.CancelScope() as self.scopes[name]:
            await self.slots.acquire()
            try:
                self.served.append(name)
                self._in_flight += 1
                self.most = max(self.most, self._in_flight)
                await leave.wait()
            finally:
                self._in_flight -= 1
                self.slots.release()


async def test_serves_in_the_order_of_coming() -> None:
    crowd = Crowd(Slots(2))
    async with anyio.create_task_group() as tasks:
        for name in range(6):
            tasks.start_soon(crowd.want, name)
            await settle()
        assert (crowd.served, crowd.slots.free, crowd.slots.waiting) == ([0, 1], 0, 4)
        for name in (1, 0, 2, 3, 4, 5):
            crowd.leave[name].set()
            await settle()
    assert crowd.served == [0, 1, 2, 3, 4, 5]
    assert (crowd.most, crowd.slots.free, crowd.slots.waiting) == (2, 2, 0)


async def test_who_comes_later_does_not_slip_past() -> None:
    slots = Slots(1)
    assert slots.acquire_nowait()
    crowd = Crowd(slots)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.want, 0)
        await settle()
        slots.release()
        assert not slots.acquire_nowait()
        crowd.leave[0].set()
    assert crowd.served == [0]
    assert slots.free == 1


async def test_cancelling_who_waits_takes_no_slot() -> None:
    crowd = Crowd(Slots(1))
    async with anyio.create_task_group() as tasks:
        for name in range(3):
            tasks.start_soon(crowd.want, name)
            await settle()
        crowd.scopes[1].cancel()
        await settle()
        assert (crowd.slots.free, crowd.slots.waiting) == (0, 1)
        crowd.leave[0].set()
        await settle()
        crowd.leave[2].set()
    assert crowd.served == [0, 2]
    assert crowd.slots.free == 1


async def test_cancelling_at_the_moment_of_the_turn_passes_it_on() -> None:
    slots = Slots(1)
    await slots.acquire()
    first, second = (asyncio.create_task(slots.acquire()) for _ in range(2))
    await settle()
    slots.release()
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 1)
    slots.release()
    assert (slots.free, slots.waiting) == (1, 0)


async def test_a_slot_cannot_be_given_back_twice() -> None:
    slots = Slots(1)
    await slots.acquire()
    slots.release()
    with pytest.raises(ValueError, match="semaphore"):
        slots.release()


def test_takes_what_is_free_without_waiting() -> None:
    async def take() -> list[bool]:
        slots = Slots(2)
        return [slots.acquire_nowait() for _ in range(3)]

    assert asyncio.run(take()) == [True, True, False]


async def test_a_free_slot_costs_no_turn_of_the_loop() -> None:
    with pytest.raises(StopIteration):
        Slots(1).acquire().send(None)


@settings(deadline=None, max_examples=60)
@given(
    total=st.integers(1, 4),
    steps=st.lists(st.tuples(st.sampled_from(["come", "come", "leave", "cancel"]), st.integers(0, 30)), max_size=40),
    rush=st.booleans(),
)
def test_no_schedule_loses_a_slot_or_gives_one_too_many(total: int, steps: list[tuple[str, int]], rush: bool) -> None:
    async def run() -> None:
        crowd = Crowd(Slots(total))
        act: dict[str, Callable[[int], None]] = {
            "leave": lambda name: crowd.leave[name].set(),
            "cancel": lambda name: crowd.scopes[name].cancel(),
        }
        came = 0
        async with anyio.create_task_group() as tasks:
            for what, number in steps:
                if what == "come":
                    tasks.start_soon(crowd.want, came)
                    came += 1
                elif crowd.leave:
                    act[what](number % len(crowd.leave))
                if not rush:
                    await settle()
            await settle()
            for leave in crowd.leave.values():
                leave.set()
        assert crowd.most <= total
        assert (crowd.slots.free, crowd.slots.waiting) == (total, 0)
        assert crowd.served == sorted(crowd.served)

    asyncio.run(run())


# --- retries ---------------------------------------------------------------------------------------------------------

COST, TIMEOUT, REWARD = RetryBudget.COST, RetryBudget.COST_OF_TIMEOUT, RetryBudget.REWARD


def test_a_budget_is_spent_and_earned_as_in_botocore() -> None:
    budget = RetryBudget(2)
    assert (budget.left, budget.take(COST), budget.left) == (10, True, 5)
    assert (budget.take(TIMEOUT), budget.left) == (False, 5)
    budget.put_back(COST)
    assert (budget.take(TIMEOUT), budget.left) == (True, 0)
    assert not budget.take(COST)
    for earned in range(1, 6):
        assert not budget.take(COST)
        budget.put_back(0)
        assert budget.left == earned * REWARD
    assert budget.take(COST)


def test_a_full_budget_earns_nothing() -> None:
    budget = RetryBudget(1)
    budget.put_back(TIMEOUT)
    budget.put_back(0)
    assert budget.left == COST


def test_what_costs_nothing_is_always_allowed() -> None:
    assert RetryBudget(0).take(0)
    assert not RetryBudget(0).take(COST)


def test_no_limit_is_no_limit() -> None:
    budget = RetryBudget(None)
    assert all(budget.take(TIMEOUT) for _ in range(1000))
    budget.put_back(COST)
    assert budget.left is None


@given(steps=st.lists(st.tuples(st.booleans(), st.sampled_from([0, COST, TIMEOUT])), max_size=60))
def test_a_budget_stays_within_its_bounds(steps: list[tuple[bool, int]]) -> None:
    budget = RetryBudget(3)
    for spend, cost in steps:
        before = budget.left or 0
        if spend:
            assert budget.take(cost) is (cost <= before)
        else:
            budget.put_back(cost)
        assert 0 <= (budget.left or 0) <= 15


# --- pauses ----------------------------------------------------------------------------------------------------------


def test_there_is_no_delay_by_default() -> None:
    assert CoolDown().wait(0.0, 1.0) == 0.0
    assert CoolDown().wait(1e9, 1.0) == 0.0


def test_all_keep_the_pause_and_start_again_spread_out() -> None:
    pause = CoolDown()
    pause.ask(100.0, 2.0)
    assert pause.wait(100.0, 0.0) == 2.0
    assert pause.wait(101.0, 0.0) == 1.0
    assert pause.wait(101.0, 1.0) == pytest.approx(1.55)
    assert pause.wait(102.0, 1.0) == 0.0


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    pause = CoolDown()
    pause.ask(100.0, 10.0)
    pause.ask(101.0, 1.0)
    assert pause.wait(101.0, 0.0) == 9.0
    pause.ask(105.0, 10.0)
    assert pause.wait(105.0, 0.0) == 10.0


@given(seconds=st.floats(0, 3600), later=st.floats(0, 3600), unit=st.floats(0, 1))
def test_a_pause_is_never_shorter_than_asked_and_ends_a_second_later_at_most(
    seconds: float, later: float, unit: float
) -> None:
    pause = CoolDown()
    pause.ask(0.0, seconds)
    wait = pause.wait(later, unit)
    if later < seconds:
        assert seconds <= later + wait + 1e-6
        assert later + wait <= seconds + 1 + 1e-6
    else:
        assert wait == 0
