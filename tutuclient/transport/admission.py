"""Who may start next: calls wait here for the pace and for a slot, in the order in which they came."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Literal, Protocol

from tutuclient.pace import FIRST_WINDOW, Pace, PaceState, Ticket

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tutuclient.errors import TutuError
    from tutuclient.pace import Stated
    from tutuclient.settings import Settings
    from tutuclient.types.image_tasks import ImageTask
    from tutuclient.wire.limits_stated import RateHeaders

# Of so many starts one is an item's of a run, however many calls made one by one are waiting.
_RUN_SHARE: Final = 8


class RunItem:
    """An item of a run that is being answered. Its calls give way to calls made one by one.

    A run that writes down what it pays for overrides the methods. What they raise ends the call.

    Attributes:
        waits: Whether it waits to be admitted, for the first time or since it was refused.
        relay: The relay that its call was last admitted at, by name, where the client has several; else None.
    """

    def __init__(self) -> None:
        self.waits: bool = True
        self.relay: str | None = None

    def admitted(self) -> None:
        """Note that it was admitted, and is about to be sent."""
        self.waits = False

    def refused(self) -> None:
        """Note that the relay did not admit it."""
        self.waits = True

    async def before_order(self) -> None:
        """Note that an image is about to be ordered: the request has been admitted, and nothing of it was sent."""

    async def task_accepted(self, task: ImageTask) -> None:
        """Note the task that an order was answered with, before it is waited for."""

    async def order_not_done(self, error: TutuError) -> None:
        """Note that no image was made, as the error shows, and that the order will be sent again."""


answering_items: ContextVar[RunItem | None] = ContextVar("answering_items", default=None)
"""The item of a run that the calls of this task answer; None for calls made one by one."""

Waiter = asyncio.Future["Slot | None"]
"""A call that waits: for its slot, or for None, with which it is told to look again for where to wait."""


def new_pace(settings: Settings) -> Pace:
    """Return the pace of a client with these settings, which has learnt nothing yet."""
    return Pace(
        rate=settings.rate,
        tokens_per_minute=settings.tokens_per_minute,
        window=settings.slots,
        first_window=FIRST_WINDOW if settings.max_concurrency == "auto" else settings.slots,
    )


def combined(states: Sequence[PaceState], slots: int, waiting: int) -> PaceState:
    """Return the paces of several relays as one: what all may do together.

    Args:
        states: Theirs.
        slots: The most requests in flight, over all.
        waiting: How many calls wait: each may wait for several.
    """
    rates = [state.rate for state in states if state.rate is not None]
    return PaceState(
        window=min(slots, sum(state.window for state in states)),
        rate=sum(rates) if len(rates) == len(states) else None,
        refusals=sum(state.refusals for state in states),
        in_flight=sum(state.in_flight for state in states),
        waiting=waiting,
        gate=min(state.gate for state in states),
    )


class Room:
    """The requests in flight that a client may have in all, whatever their keys.

    Args:
        total: The most.
    """

    def __init__(self, total: int) -> None:
        self.total: int = total
        self.free: int = total
        self.admissions: list[Admission] = []
        self.blocked: deque[Admission] = deque()

    @property
    def waiting(self) -> int:
        """How many calls wait to start."""
        return sum(each.waiting for each in self.admissions)

    def wake_later(self, admission: Admission) -> None:
        """Queue an admission to be called when there is room again; in turn, so that no key starves another."""
        if admission not in self.blocked:
            self.blocked.append(admission)

    def wake(self) -> None:
        """Call the admissions that wait for room, while there is some."""
        while self.blocked and self.free:
            self.blocked.popleft().admit()


class Slot(Ticket):
    """The permission to have a request in flight. It is released once, with what became of the request."""

    __slots__ = ("admission",)

    # Without __init__, whose call would cost each of the client's more than the object itself.
    admission: Admission | None
    """Where it is released; None once it was."""

    def admitted(self) -> None:
        """Note that the relay answers, before the answer's end."""
        if self.admission is not None:
            self.admission.admitted(self)

    def release(self, outcome: Literal["done", "overloaded", "dropped"] = "done", tokens: int | None = None) -> None:
        """Release it; doing so again has no effect."""
        admission, self.admission = self.admission, None
        if admission is not None:
            admission.release(self, outcome, tokens)

    def refused(self, retry_after: float | None, stated: Stated | None) -> None:
        """Release it because the relay did not admit the request."""
        admission, self.admission = self.admission, None
        if admission is not None:
            admission.refused(self, retry_after, stated)


class SlotSource(Protocol):
    """Where a call gets its slot: at the admission of its relay, or by the route that chooses among several."""

    def acquire_nowait(self) -> Slot | None:
        """Return a slot if one is free now."""
        ...

    async def acquire(self, *, item: bool = False, again: bool = False) -> Slot:
        """Wait for a slot."""
        ...

    def closed_for(self, now: float) -> float:
        """Return for how many seconds yet nothing starts."""
        ...

    def headers(self, now: float, limits: RateHeaders) -> None:
        """Report what an answer's rate limit headers say."""
        ...


class Admission:
    """Admits calls as a pace allows: fair within a lane, and calls made one by one before the items of runs.

    It belongs to one event loop.

    Args:
        loop: The running loop.
        pace: The pace of one base URL and key.
        room: What it shares with those of other keys.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pace: Pace, room: Room) -> None:
        self.pace = pace
        self._loop = loop
        self._room = room
        room.admissions.append(self)
        self._calls: deque[Waiter] = deque()
        self._items: deque[Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._since_item = 0

    @property
    def waiting(self) -> int:
        """How many calls wait to start."""
        return sum(1 for _ in self.waiters())

    def waiters(self) -> Iterator[Waiter]:
        """Yield those who wait to start; each may wait for another relay's admission too."""
        return (each for each in (*self._calls, *self._items) if not each.done())

    def closed_for(self, now: float) -> float:
        """Return for how many seconds yet nothing starts, because the relay refuses all."""
        return self.pace.closed_for(now)

    def headers(self, now: float, limits: RateHeaders) -> None:
        """Report what an answer's rate limit headers say."""
        self.pace.headers(now, **limits._asdict())

    @property
    def is_idle(self) -> bool:
        """Whether no call is in flight or waits."""
        return not (self.pace.in_flight or self._calls or self._items)

    def acquire_nowait(self) -> Slot | None:
        """Return a slot if one is free now and nobody waits; else None."""
        pace, room, now = self.pace, self._room, self._loop.time()
        if self._calls or self._items or not room.free:
            return None
        # Most clients never meet a refusal: their calls should not pay for what others have to ask.
        if pace.in_flight >= pace.window if pace.is_plain else pace.wait(now) > 0:
            return None
        room.free -= 1
        slot = Slot()
        slot.admission = self
        pace.start(now, slot)
        return slot

    async def acquire(self, *, item: bool = False, again: bool = False) -> Slot:
        """Wait for a slot. Cancelling takes none.

        Args:
            item: It is for an item of a run, which gives way to calls made one by one.
            again: The relay did not admit the request, which keeps its place before those that came later.
        """
        slot = await first_slot((self,), self._loop.create_future(), item=item, again=again)
        assert slot is not None  # noqa: S101  (for the type checkers: nobody else knows the waiter)
        return slot

    def join(self, waiter: Waiter, *, item: bool, again: bool) -> None:
        """Queue somebody who may wait elsewhere too. Arguments as for ``acquire``."""
        lane = self._items if item else self._calls
        lane.appendleft(waiter) if again else lane.append(waiter)
        self.admit()

    def leave(self) -> None:
        """Forget those at the head of the lanes who wait no longer."""
        for lane in (self._calls, self._items):
            while lane and lane[0].done():
                lane.popleft()

    def admitted(self, slot: Slot) -> None:
        """Report to the pace that the relay answers; the answer's end is reported by ``release``."""
        self.pace.admitted(slot, self._loop.time())
        if slot.probe:
            slot.probe = False
            self.admit()

    def release(self, slot: Slot, outcome: str, tokens: int | None = None) -> None:
        """Report the outcome of a request to the pace, and admit the calls that can start now."""
        pace, room = self.pace, self._room
        if outcome == "done":
            pace.succeeded(slot, 0.0 if pace.is_plain else self._loop.time(), tokens)
        elif outcome == "overloaded":
            pace.overloaded(slot, self._loop.time())
        else:
            pace.dropped(slot, self._loop.time())
        room.free += 1
        if room.blocked or self._calls or self._items:
            self._pass_on()

    def refused(self, slot: Slot, retry_after: float | None, stated: Stated | None) -> None:
        """Report a refusal to the pace, and admit the calls that can start now."""
        self.pace.refused(slot, self._loop.time(), retry_after, stated)
        self._room.free += 1
        self._pass_on()

    def _pass_on(self) -> None:
        if self._room.blocked:
            self._room.wake()
        if self._calls or self._items:
            self.admit()

    def admit(self) -> None:
        """Start those who wait, as far as the pace allows; schedule another try for when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for lane in self._lanes():
            if not self._room.free:
                self._room.wake_later(self)
                return
            now = self._loop.time()
            if (wait := self.pace.wait(now)) > 0:
                if wait < math.inf:
                    self._timer = self._loop.call_later(wait, self.admit)
                return
            self._room.free -= 1
            slot = Slot()
            slot.admission = self
            self.pace.start(now, slot)
            lane.popleft().set_result(slot)
            self._since_item = 0 if lane is self._items else self._since_item + 1

    def _lanes(self) -> Iterator[deque[Waiter]]:
        """Yield the lane whose first waiter is next, as long as somebody waits."""
        while True:
            self.leave()  # They were cancelled, or admitted elsewhere.
            if self._items and (not self._calls or self._since_item >= _RUN_SHARE - 1):
                yield self._items
            elif self._calls:
                yield self._calls
            else:
                return


async def first_slot(admissions: Sequence[Admission], waiter: Waiter, *, item: bool, again: bool) -> Slot | None:
    """Wait at several admissions for the first slot of any, or until the waiter is told to look again: then None.

    Cancelling takes none. Arguments as for ``Admission.acquire``.
    """
    try:
        for admission in admissions:
            if not waiter.done():
                admission.join(waiter, item=item, again=again)
        return await waiter
    except asyncio.CancelledError:
        # Cancelled in the same turn of the loop in which it was admitted: the slot goes on to the next one.
        if waiter.done() and not waiter.cancelled() and (slot := waiter.result()) is not None:
            slot.release("dropped")
        raise
    finally:
        for admission in admissions if len(admissions) > 1 else ():
            admission.leave()
