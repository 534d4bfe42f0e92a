"""How much at once, how often again, and when not at all: what all calls of a client share.

Knows no calls, no network, and no clock but the one passed in: whoever takes a
slot gives it back, and whoever hears from the relay says so.
"""

from __future__ import annotations

import anyio


class Slots:
    """A fixed number of calls in flight, over the whole client.

    Fair: who waits longest is next, and nobody who comes later slips past. It
    belongs to the event loop it is first waited on.

    Args:
        total: How many slots there are.
    """

    __slots__ = ("_semaphore", "total")

    def __init__(self, total: int) -> None:
        self.total: int = total
        self._semaphore = anyio.Semaphore(total, max_value=total, fast_acquire=True)

    @property
    def free(self) -> int:
        """How many slots nobody holds."""
        return self._semaphore.value

    @property
    def waiting(self) -> int:
        """How many calls wait for a slot."""
        return self._semaphore.statistics().tasks_waiting

    async def acquire(self) -> None:
        """Take a slot, or wait for one. Cancelling while waiting takes none."""
        await self._semaphore.acquire()

    def acquire_nowait(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if self._semaphore.value == 0:
            return False
        self._semaphore.acquire_nowait()
        return True

    def release(self) -> None:
        """Give a slot back; it goes to who has waited longest."""
        self._semaphore.release()


class RetryBudget:
    """How many retries a client may spend, over all its calls: in an outage most calls fail at once.

    A token bucket. A retry takes from it, one after a timeout twice as much; a
    success puts back what its last retry took, or a fifth of a retry when it
    needed none. Empty, it lets nobody retry. Refusals for being too many (429)
    cost nothing: the pause the relay asks for limits them.

    Args:
        retries: How many retries it holds when full; None is no limit.

    Source: botocore's standard retry mode, with its costs (5, 10 and 1).
    """

    __slots__ = ("_capacity", "_left")

    COST = 5
    COST_OF_TIMEOUT = 10
    REWARD = 1

    def __init__(self, retries: int | None) -> None:
        self._capacity = self._left = None if retries is None else retries * self.COST

    @property
    def left(self) -> int | None:
        """What is left, in fifths of a retry; None without a limit."""
        return self._left

    def take(self, cost: int) -> bool:
        """Take ``cost`` for a retry, or say that there is not enough."""
        if self._left is None:
            return True
        if cost > self._left:
            return False
        self._left -= cost
        return True

    def put_back(self, cost: int) -> None:
        """Reward a success: ``cost`` is what its last retry took, 0 when it needed none."""
        if self._left is not None and self._capacity is not None:
            self._left = min(self._capacity, self._left + (cost or self.REWARD))


class CoolDown:
    """A pause the relay asked for, kept by all calls of a client.

    After it they start again spread out, not together.
    """

    __slots__ = ("_spread", "_until")

    def __init__(self) -> None:
        self._until = 0.0
        self._spread = 0.0

    def ask(self, now: float, seconds: float) -> None:
        """Keep everybody from starting for ``seconds`` from ``now``; a longer pause already kept stays."""
        if now + seconds > self._until:
            self._until = now + seconds
            self._spread = min(1.0, 0.05 + seconds / 4)

    def wait(self, now: float, unit: float) -> float:
        """Say how many seconds a call that would start ``now`` has to wait.

        Args:
            now: The loop's clock.
            unit: A number from 0 to 1 that says where in the spread the call comes.
        """
        return self._until - now + unit * self._spread if now < self._until else 0.0
