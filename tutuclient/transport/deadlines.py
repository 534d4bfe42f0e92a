"""One timer for the limits of all calls.

A call has several limits, of which one is next: the deadline over everything, waiting for a slot, the first token,
silence. Each wait only notes when it expires. The timer is set for the earliest, and looks again when it goes off. So
neither a chunk nor a call costs a ``call_later`` of its own, which is a heap operation and two objects in asyncio.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias
from weakref import WeakSet

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

Kind: TypeAlias = Literal["total", "pool", "first_token", "idle", "tail"]


class Timer:
    """Goes off when the next limit of any call expires.

    Args:
        loop: The running loop.
    """

    __slots__ = ("_at", "_handle", "_limits", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self._limits: WeakSet[Limits] = WeakSet()
        self._handle: asyncio.TimerHandle | None = None
        self._at = math.inf

    def add(self, limits: Limits) -> None:
        """Call ``expire`` of a call's limits when one has passed, until they are discarded or garbage."""
        self._limits.add(limits)
        self.wake_by(limits.at)

    def discard(self, limits: Limits) -> None:
        """Forget a call's limits."""
        self._limits.discard(limits)

    def wake_by(self, at: float) -> None:
        """Schedule the wake-up for this time of the loop's clock at the latest."""
        if at < self._at:
            self.stop()
            self._at = at
            self._handle = self.loop.call_at(at, self._wake)

    def stop(self) -> None:
        """Cancel the timer; the next limit sets it again."""
        handle, self._handle = self._handle, None
        self._at = math.inf
        if handle is not None:
            handle.cancel()

    def _wake(self) -> None:
        self._handle = None
        self._at = following = math.inf
        now = self.loop.time()
        for limits in self._limits:
            if limits.at <= now:
                self.loop.call_soon(limits.expire)
            else:
                following = min(following, limits.at)
        self.wake_by(following)


class Limits:
    """The limits of one call.

    While the call runs in its caller's task, a limit that expires cancels the task, and ``caught`` turns that
    cancellation into the limit's name, as ``asyncio.timeout`` does. A stream is read by whichever task asks for the
    next chunk, so it is not cancelled but failed, through ``on_late``.

    Args:
        timer: The timer of the running loop.
        task: The task the call runs in.
        total: Seconds until the deadline over everything, or None.
        now: The loop's clock, where it has just been read.

    Attributes:
        at: When the next limit expires, on the loop's clock.
        deadline: When the one over everything does.
    """

    __slots__ = (
        "__weakref__",
        "_cancelling",
        "_kind",
        "_last",
        "_task",
        "_timer",
        "at",
        "deadline",
        "fired",
        "loop",
        "on_late",
    )

    def __init__(self, timer: Timer, task: asyncio.Task[object], total: float | None, now: float | None = None) -> None:
        self.loop: asyncio.AbstractEventLoop = timer.loop
        self._timer = timer
        self._task: asyncio.Task[object] | None = task
        self._cancelling = task.cancelling()
        self.deadline: float = math.inf if total is None else (self.loop.time() if now is None else now) + total
        self._last = self.deadline
        self._kind: Kind = "total"
        self.at: float = self.deadline
        self.fired: Kind | None = None
        self.on_late: Callable[[Kind], None] | None = None
        timer.add(self)

    def begin(self, total: float | None) -> None:
        """Set the deadline anew: ``total`` seconds from now, or none."""
        self.deadline = self._last = math.inf if total is None else self.loop.time() + total
        self.ease()
        self._timer.wake_by(self.at)

    def limit(self, kind: Kind, seconds: float | None) -> None:
        """Begin a wait that may take ``seconds``, and not beyond the deadline; None is no limit of its own."""
        at = math.inf if seconds is None else self.loop.time() + seconds
        if at >= self.deadline:
            self.ease()
            return
        self._kind, self.at = kind, at
        self._timer.wake_by(at)

    def ease(self) -> None:
        """End the wait: only the deadline is left."""
        self._kind, self.at = "total", self._last

    def hand_over(self, on_late: Callable[[Kind], None]) -> None:
        """Call ``on_late`` from now on when a limit expires, in place of cancelling the task."""
        self._task = None
        self.on_late = on_late

    def now(self) -> float:
        """Return the loop's clock, in seconds."""
        return self.loop.time()

    def left(self) -> float:
        """Return the seconds until the deadline, or infinity."""
        return self.deadline - self.loop.time()

    def caught(self) -> Kind | None:
        """Return, on a CancelledError, which limit it was; None when somebody else cancelled, so that it must go on.

        Source: ``asyncio.Timeout.__aexit__``, which counts cancellations in the same way.
        """
        kind, self.fired = self.fired, None
        if kind is None or self._task is None or self._task.uncancel() > self._cancelling:
            return None
        self.ease()
        return kind

    def stop(self) -> None:
        """End all limits."""
        self._timer.discard(self)
        self._task = self.on_late = None

    def expire(self) -> None:
        """End the call, if its next limit has expired indeed: it may have been moved meanwhile."""
        if self.loop.time() < self.at:
            self._timer.wake_by(self.at)
            return
        kind = self._kind
        if kind == "total":
            self._last = math.inf  # It expires once.
        self.ease()
        self._timer.wake_by(self.at)
        if self._task is not None:
            self.fired = kind
            self._task.cancel()
        elif self.on_late is not None:
            self.on_late(kind)
