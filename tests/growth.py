"""How work grows with its input, which is the same on a slow machine: as a ratio of times, and as a count of calls."""

from __future__ import annotations

import sys
from time import thread_time_ns
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

T = TypeVar("T")

# Below this many nanoseconds a clock tells noise.
_NOISE = 300_000


def growth(make: Callable[[int], T], work: Callable[[T], object], small: int, large: int) -> float:
    """Return how many times as long the work takes on a large input as on a small one.

    Each time is the shortest of three, of this thread alone, so that neither other
    processes nor a collection of garbage count.

    Args:
        make: Builds an input of a size, untimed.
        work: What is timed.
        small: The one size.
        large: The other size.
    """

    def timed(size: int) -> int:
        made = make(size)
        begun = thread_time_ns()
        work(made)
        return thread_time_ns() - begun

    # In turns, so that a slow moment of the machine meets both.
    few, many = zip(*((timed(small), timed(large)) for _ in range(3)), strict=True)
    ratio: float = min(many) / max(min(few), _NOISE)
    return ratio


def calls(work: Callable[[], object]) -> int:
    """Return how many functions the work calls, those of C included."""
    count = 0

    def note(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
