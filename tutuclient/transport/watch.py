"""One timer for all the limits of a call, moved along rather than set anew.

A call has several limits, of which one is next: the deadline over everything,
waiting for a slot, the first token, silence. Each wait only notes when it is
over; the timer looks when it rings, and is set again if the note says later. So
a chunk costs two assignments, not a timer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

Kind: TypeAlias = Literal["total", "pool", "first_token", "idle", "tail"]


class Watch:
    """Watches over one call.

    While the call runs in its caller's task, a limit that passes cancels the
    task, and ``caught`` turns that cancellation into the limit's name. A stream
    is read by whichever task asks for the next chunk, so it is not cancelled but
    failed, through ``on_late``.

    Args:
        loop: The running loop.
        task: The task the call runs in.
        total: Seconds until the deadline over everything, or None.
    """

    __slots__ = ("_at", "_cancelling", "_handle", "_kind", "_task", "deadline", "fired", "loop", "on_late")

    def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[object], total: float | None) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self._task: asyncio.Task[object] | None = task
        self._cancelling = task.cancelling()
        self.deadline: float = math.inf if total is None else loop.time() + total
        self._kind: Kind = "total"
        self._at = self.deadline
        self._handle: asyncio.TimerHandle | None = None
        self.fired: Kind | None = None
        self.on_late: Callable[[Kind], None] | None = None
        if total is not None:
            self._handle = loop.call_at(self.deadline, self._ring)

    def limit(self, kind: Kind, seconds: float | None) -> None:
        """Begin a wait that may take ``seconds``; the deadline holds all the same. None is no limit of its own."""
        at = math.inf if seconds is None else self.loop.time() + seconds
        if at >= self.deadline:
            self._kind, self._at = "total", self.deadline
            return
        self._kind, self._at = kind, at
        handle = self._handle
        if handle is None or handle.when() > at:
            if handle is not None:
                handle.cancel()
            self._handle = self.loop.call_at(at, self._ring)

    def ease(self) -> None:
        """End the wait: only the deadline holds."""
        self._kind, self._at = "total", self.deadline

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
        """Take the timer away; nothing fires any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._task = self.on_late = None

    def _ring(self) -> None:
        self._handle = None
        if self.loop.time() < self._at:
            if self._at < math.inf:
                self._handle = self.loop.call_at(self._at, self._ring)
            return
        if self._at < self.deadline < math.inf:
            self._handle = self.loop.call_at(self.deadline, self._ring)
        if self._task is not None:
            self.fired = self._kind
            self._task.cancel()
        elif self.on_late is not None:
            self.on_late(self._kind)
