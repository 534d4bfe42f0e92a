"""One timer for all the limits of all calls, moved along rather than set anew.

A call has several limits, of which one is next: the deadline over everything,
waiting for a slot, the first token, silence. Each wait only notes when it is
over; the timer looks when it rings, and is set again for whatever is next. So
neither a chunk nor a call costs a timer of its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias
from weakref import WeakSet

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

Kind: TypeAlias = Literal["total", "pool", "first_token", "idle", "tail"]


class Alarm:
    """Rings when the next limit of any of its watches has come.

    Args:
        loop: The running loop.
    """

    __slots__ = ("_at", "_handle", "_watches", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self._watches: WeakSet[Watch] = WeakSet()
        self._handle: asyncio.TimerHandle | None = None
        self._at = math.inf

    def add(self, watch: Watch) -> None:
        """Have a watch told of its limits, until it is taken out or nobody holds it any more."""
        self._watches.add(watch)
        self.ring_by(watch.at)

    def take_out(self, watch: Watch) -> None:
        """Tell a watch no more."""
        self._watches.discard(watch)

    def ring_by(self, at: float) -> None:
        """Ring at this time of the loop's clock, or before."""
        if at < self._at:
            self.stop()
            self._at = at
            self._handle = self.loop.call_at(at, self._ring)

    def stop(self) -> None:
        """Take the timer away; the next limit that is set brings it back."""
        handle, self._handle = self._handle, None
        self._at = math.inf
        if handle is not None:
            handle.cancel()

    def _ring(self) -> None:
        self._handle = None
        self._at = following = math.inf
        now = self.loop.time()
        for watch in self._watches:
            if watch.at <= now:
                self.loop.call_soon(watch.ring)
            else:
                following = min(following, watch.at)
        self.ring_by(following)


class Watch:
    """Watches over one call.

    While the call runs in its caller's task, a limit that passes cancels the
    task, and ``caught`` turns that cancellation into the limit's name. A stream
    is read by whichever task asks for the next chunk, so it is not cancelled but
    failed, through ``on_late``.

    Args:
        alarm: The timer of the running loop.
        task: The task the call runs in.
        total: Seconds until the deadline over everything, or None.

    Attributes:
        at: When the limit that is next is over, on the loop's clock.
        deadline: When the one over everything is.
    """

    __slots__ = (
        "__weakref__",
        "_alarm",
        "_cancelling",
        "_kind",
        "_last",
        "_task",
        "at",
        "deadline",
        "fired",
        "loop",
        "on_late",
    )

    def __init__(self, alarm: Alarm, task: asyncio.Task[object], total: float | None) -> None:
        self.loop: asyncio.AbstractEventLoop = alarm.loop
        self._alarm = alarm
        self._task: asyncio.Task[object] | None = task
        self._cancelling = task.cancelling()
        self.deadline: float = math.inf if total is None else self.loop.time() + total
        self._last = self.deadline
        self._kind: Kind = "total"
        self.at: float = self.deadline
        self.fired: Kind | None = None
        self.on_late: Callable[[Kind], None] | None = None
        alarm.add(self)

    def limit(self, kind: Kind, seconds: float | None) -> None:
        """Begin a wait that may take ``seconds``; the deadline holds all the same. None is no limit of its own."""
        at = math.inf if seconds is None else self.loop.time() + seconds
        if at >= self.deadline:
            self.ease()
            return
        self._kind, self.at = kind, at
        self._alarm.ring_by(at)

    def ease(self) -> None:
        """End the wait: only the deadline holds."""
        self._kind, self.at = "total", self._last

    def hand_over(self, on_late: Callable[[Kind], None]) -> None:
        """Let a limit that passes call ``on_late`` from now on, in place of cancelling the task."""
        self._task = None
        self.on_late = on_late

    def now(self) -> float:
        """The loop's clock, in seconds."""
        return self.loop.time()

    def left(self) -> float:
        """Seconds until the deadline, or infinity."""
        return self.deadline - self.loop.time()

    def caught(self) -> Kind | None:
        """Tell, on a CancelledError, which limit it was; None when somebody else cancelled and it must go on."""
        kind, self.fired = self.fired, None
        if kind is None or self._task is None or self._task.uncancel() > self._cancelling:
            return None
        self.ease()
        return kind

    def stop(self) -> None:
        """Let nothing fire any more."""
        self._alarm.take_out(self)
        self._task = self.on_late = None

    def ring(self) -> None:
        """Fire, if the limit that is next has passed indeed: it may have been moved along meanwhile."""
        if self.loop.time() < self.at:
            self._alarm.ring_by(self.at)
            return
        kind = self._kind
        if kind == "total":
            self._last = math.inf  # It fires once.
        self.ease()
        self._alarm.ring_by(self.at)
        if self._task is not None:
            self.fired = kind
            self._task.cancel()
        elif self.on_late is not None:
            self.on_late(kind)
