"""Limits that all calls of a client share: calls at a time, retries, and pauses that the relay asks for.

Nothing here reads a clock or knows of calls: the time is passed in, and whoever
acquires a slot releases it.
"""

from __future__ import annotations

import anyio


class Slots:
    """A fixed number of calls at a time, over the whole client.

    It is fair: the task that has waited longest is next. It belongs to the event
    loop in which it is first waited for.

    Args:
        total: The number of slots.
    """

    __slots__ = ("_semaphore", "total")

    def __init__(self, total: int) -> None:
        self.total: int = total
        self._semaphore = anyio.Semaphore(total, max_value=total, fast_acquire=True)

    @property
    def free(self) -> int:
        """The number of slots that are free."""
        return self._semaphore.value

    @property
    def waiting(self) -> int:
        """The number of calls that wait for a slot."""
        return self._semaphore.statistics().tasks_waiting

    async def acquire(self) -> None:
        """Acquire a slot, or wait for one. A task that is cancelled while it waits does not acquire one."""
        await self._semaphore.acquire()

    def acquire_nowait(self) -> bool:
        """Acquire a slot without waiting, if one is free; return whether it was acquired."""
        if self._semaphore.value == 0:
            return False
        self._semaphore.acquire_nowait()
        return True

    def release(self) -> None:
        """Release a slot; the task that has waited longest gets it."""
        self._semaphore.release()


class RetryBudget:
    """The number of retries that all calls of a client have together, so that an outage does not multiply its load.

    It is a token bucket. A retry takes tokens, one after a timeout twice as many; a
    success returns those of its last retry, or a fifth of a retry's when it needed
    none. While there are too few, no call is retried. Retries after 429 (too many
    requests) take nothing: the pause that the relay asks for limits them.

    Args:
        retries: The number of retries when it is full; None is no limit.

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
        """The tokens left, five for a retry; None without a limit."""
        return self._left

    def take(self, cost: int) -> bool:
        """Withdraw tokens for a retry; return whether there were enough."""
        if self._left is None:
            return True
        if cost > self._left:
            return False
        self._left -= cost
        return True

    def put_back(self, cost: int) -> None:
        """Return tokens after a success: ``cost`` is what its last retry took, 0 when it needed none."""
        if self._left is not None and self._capacity is not None:
            self._left = min(self._capacity, self._left + (cost or self.REWARD))


class CoolDown:
    """A pause that the relay asked for, and that all calls of a client observe.

    After it they start spread over some time, so that they do not exceed the same limit together again.
    """

    __slots__ = ("_spread", "_until")

    def __init__(self) -> None:
        self._until = 0.0
        self._spread = 0.0

    def ask(self, now: float, seconds: float) -> None:
        """Start a pause of ``seconds`` for all calls; one that lasts longer already stays."""
        if now + seconds > self._until:
            self._until = now + seconds
            self._spread = min(1.0, 0.05 + seconds / 4)

    def wait(self, now: float, unit: float) -> float:
        """Return how many seconds a call that would start ``now`` has to wait.

        Args:
            now: The time of the loop's clock.
            unit: A random number from 0 to 1: where in the spread the call starts.
        """
        return self._until - now + unit * self._spread if now < self._until else 0.0
