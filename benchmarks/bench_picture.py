"""W3: one very long line in a stream, and one long answer: pictures as base64.

Measured: the time from the call to the whole text in the client's hands, the peak of its resident set above idle (the
text itself included), and the longest time the event loop was held. The time is the median of the repeats, memory and
lag are their worst. Decoding the base64 is left to the caller and not measured.
"""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.meter import metered
from benchmarks.workload import Case, Figure, Goal, Workload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LINE = {"full": 16 * 2**20, "quick": 16 * 2**20, "tiny": 2**20}
_ANSWER = {"full": 4 * 2**20, "quick": 4 * 2**20, "tiny": 2**20}
_TIMES_THE_LINE = 3 * 16 * 2**20 / 1e6
_TIMES_THE_ANSWER = 3 * 4 * 2**20 / 1e6


async def _measure(repeats: int, take: Callable[[], Awaitable[int]], size: int) -> dict[str, float]:
    meters = []
    for _ in range(repeats):
        async with metered(lag=True) as meter:
            characters = await take()
        if not 0.99 * size < characters <= size:
            raise ValueError(f"{characters:,} of {size:,} characters")
        meters.append(meter)
    return {
        "wall_ms": median(meter.wall_s for meter in meters) * 1e3,
        "peak_mb": max(meter.peak_mb for meter in meters),
        "lag_ms": max(meter.lag_ms for meter in meters),
    }


async def measure_line(case: Case) -> dict[str, float]:
    """Read streams with one long data line."""
    size = _LINE[case.scale]
    warm = case.make("stream-10")
    await warm.read()
    client = case.make(f"line-{size}")

    async def take() -> int:
        return (await client.read())[1]

    figures = await _measure(case.amount, take, size)
    await warm.aclose()
    await client.aclose()
    return figures


async def measure_answer(case: Case) -> dict[str, float]:
    """Order pictures that come as ``b64_json``."""
    size = _ANSWER[case.scale]
    warm = case.make("picture-1000")
    await warm.draw()
    client = case.make(f"picture-{size}")
    figures = await _measure(case.amount, client.draw, size)
    await warm.aclose()
    await client.aclose()
    return figures


_workload = partial(
    Workload,
    "W3",
    figures=(
        Figure("wall_ms", "time, ms"),
        Figure("peak_mb", "peak RSS above idle, MB"),
        Figure("lag_ms", "longest loop lag, ms"),
    ),
    amounts={"full": (7, 5), "quick": (3, 3), "tiny": (1, 1)},
)
WORKLOADS = (
    _workload(
        part="stream",
        title="one data line of 16 MiB in a stream",
        measure=measure_line,
        goals=(
            Goal("wall_ms", 1.0, "by hand", 0.8),
            Goal("peak_mb", _TIMES_THE_LINE),
            Goal("wall_ms", 0.4, "openai"),
        ),
    ),
    _workload(
        part="b64_json",
        title="an answer of 4 MiB of b64_json",
        measure=measure_answer,
        goals=(
            Goal("wall_ms", 1.0, "by hand", 0.8),
            Goal("peak_mb", _TIMES_THE_ANSWER),
            Goal("wall_ms", 0.4, "openai"),
        ),
    ),
)
