"""The retries that all calls of a client share. Their pace is in ``pace``."""

from __future__ import annotations


class RetryBudget:
    """The number of retries that all calls of a client have together, so that an outage does not multiply its load.

    It is a token bucket. A retry takes tokens, one after a timeout twice as many; a
    success returns those of its last retry, or a fifth of a retry's when it needed
    none. While there are too few, no call is retried. Retries after a refusal (429) take
    nothing: the pace limits them.

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
