"""How much at once: the slots of a client, first come, first served.

Knows no calls and no network: whoever takes a slot gives it back.
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
        self.total = total
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
