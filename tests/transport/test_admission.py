"""What ``transport.admission`` promises: fair, none lost and none too many, calls before items, and no busy waiting."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutuclient.pace import Pace
from tutuclient.transport.admission import Admission, Room, Slot


def admission(window: int = 1, rate: float | None = None) -> Admission:
    return Admission(asyncio.get_running_loop(), Pace(rate=rate, window=window, first_window=window), Room(window))


async def order(gate: Admission, wanted: list[tuple[str, bool]]) -> list[str]:
    """Queue them all for one slot, release it each time it is taken, and return the order in which they got it."""
    held = gate.acquire_nowait()
    assert held is not None
    served: list[str] = []

    async def one(name: str, item: bool) -> None:
        slot = await gate.acquire(item=item)
        served.append(name)
        slot.release()

    async with asyncio.TaskGroup() as group:
        for name, item in wanted:
            group.create_task(one(name, item))
        await asyncio.sleep(0)
        held.release()
    return served


async def test_serves_in_the_order_of_coming() -> None:
    assert await order(admission(), [(name, False) for name in "abcde"]) == list("abcde")


async def test_calls_go_before_items_and_items_do_not_starve() -> None:
    calls = [(f"call{number}", False) for number in range(20)]
    items = [(f"item{number}", True) for number in range(3)]
    served = await order(admission(), items + calls)
    assert served[0].startswith("call")
    assert [served.index(f"item{number}") for number in range(3)] == [7, 15, 22]


async def test_who_comes_later_does_not_slip_past() -> None:
    gate = admission()
    held = gate.acquire_nowait()
    assert held is not None
    waiting = asyncio.ensure_future(gate.acquire())
    await asyncio.sleep(0)
    held.release()
    assert gate.acquire_nowait() is None
    assert isinstance(await waiting, Slot)


async def test_cancelling_who_waits_takes_no_slot() -> None:
    gate = admission()
    held = gate.acquire_nowait()
    assert held is not None
    waiting = asyncio.ensure_future(gate.acquire())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    held.release()
    assert gate.waiting == 0
    assert gate.acquire_nowait() is not None


async def test_cancelling_at_the_moment_of_the_turn_passes_it_on() -> None:
    gate = admission()
    held = gate.acquire_nowait()
    assert held is not None
    first, second = asyncio.ensure_future(gate.acquire()), asyncio.ensure_future(gate.acquire())
    await asyncio.sleep(0)
    held.release()
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert gate.pace.in_flight == 1


async def test_a_slot_given_back_twice_is_given_back_once() -> None:
    gate = admission(window=2)
    slot = gate.acquire_nowait()
    assert slot is not None
    slot.release()
    slot.release()
    slot.refused(None, None)
    assert gate.pace.in_flight == 0


async def test_starts_are_spaced_by_one_timer() -> None:
    gate = admission(window=100, rate=100)
    loop = asyncio.get_running_loop()
    began = loop.time()
    slots = await asyncio.gather(*(gate.acquire() for _ in range(31)))
    took = loop.time() - began
    assert 0.15 < took < 0.6  # 31 starts at 100 a second, less the burst that the pacer allows.
    for slot in slots:
        slot.release()


@pytest.mark.parametrize("window", [1, 3, 10])
async def test_never_more_at_once_than_the_window(window: int) -> None:
    gate = admission(window)
    most = 0

    async def one() -> None:
        nonlocal most
        slot = gate.acquire_nowait() or await gate.acquire()
        most = max(most, gate.pace.in_flight)
        await asyncio.sleep(0)
        slot.release()

    await asyncio.gather(*(one() for _ in range(100)))
    assert (most, gate.pace.in_flight) == (window, 0)


async def test_keys_share_the_room_in_turn_and_wait_for_nothing_else() -> None:
    loop, room = asyncio.get_running_loop(), Room(2)
    closed, one, two = (Admission(loop, Pace(window=2, first_window=2), room) for _ in range(3))
    slot = closed.acquire_nowait()
    assert slot is not None
    slot.refused(60.0, None)
    stuck = asyncio.ensure_future(closed.acquire())
    served: list[str] = []

    async def ask(name: str, gate: Admission) -> None:
        slot = gate.acquire_nowait() or await gate.acquire()
        served.append(name)
        await asyncio.sleep(0)
        slot.release()

    await asyncio.wait_for(
        asyncio.gather(*(ask(name, one) for name in "abcdef"), *(ask(name, two) for name in "uvw")), 1
    )
    assert served.index("w") < served.index("f")
    assert (room.free, room.waiting) == (2, 1)
    stuck.cancel()
    await asyncio.sleep(0)
    assert room.waiting == 0


async def test_who_was_refused_goes_before_who_came_later() -> None:
    gate = admission()
    held = gate.acquire_nowait()
    assert held is not None
    served: list[str] = []

    async def one(name: str, again: bool) -> None:
        slot = await gate.acquire(again=again)
        served.append(name)
        slot.release()

    tasks = [asyncio.ensure_future(one(name, name == "again")) for name in ("first", "second", "again")]
    await asyncio.sleep(0)
    held.release()
    await asyncio.gather(*tasks)
    assert served == ["again", "first", "second"]


async def test_the_head_of_a_probes_answer_opens_the_gate() -> None:
    gate = admission(window=9)
    for _ in range(3):
        slot = gate.acquire_nowait()
        assert slot is not None
        slot.refused(None, None)
    assert gate.acquire_nowait() is None
    probe = await gate.acquire()
    waiting = asyncio.ensure_future(gate.acquire())
    probe.admitted()
    (await asyncio.wait_for(waiting, 1)).release()
    probe.release()
    assert gate.pace.in_flight == 0


class Crowd:
    """Tasks that each want a slot, and the order in which they got one."""

    def __init__(self, gate: Admission) -> None:
        self.gate = gate
        self.served: list[int] = []
        self.most = 0
        self.leave: dict[int, asyncio.Event] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    async def want(self, name: int) -> None:
        slot = await self.gate.acquire()
        self.served.append(name)
        self.most = max(self.most, self.gate.pace.in_flight)
        try:
            await self.leave[name].wait()
        finally:
            slot.release()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@settings(deadline=None, max_examples=60)
@given(
    total=st.integers(1, 4),
    steps=st.lists(st.tuples(st.sampled_from(["come", "come", "leave", "cancel"]), st.integers(0, 30)), max_size=40),
    rush=st.booleans(),
)
def test_no_schedule_loses_a_slot_or_gives_one_too_many(total: int, steps: list[tuple[str, int]], rush: bool) -> None:
    async def run() -> None:
        crowd = Crowd(admission(total))
        for what, number in steps:
            if what == "come":
                name = len(crowd.tasks)
                crowd.leave[name] = asyncio.Event()
                crowd.tasks[name] = asyncio.create_task(crowd.want(name))
            elif crowd.tasks and what == "leave":
                crowd.leave[number % len(crowd.tasks)].set()
            elif crowd.tasks:
                crowd.tasks[number % len(crowd.tasks)].cancel()
            if not rush:
                await settle()
        await settle()
        for leave in crowd.leave.values():
            leave.set()
        await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
        assert crowd.most <= total
        assert (crowd.gate.pace.in_flight, crowd.gate.waiting) == (0, 0)
        assert crowd.served == sorted(crowd.served)

    asyncio.run(run())
