"""W5: many requests to a server that takes 200 ms for each, 512 at once.

Measured: the time of the whole run over the ideal one (``n / 512 x 200 ms``, every connection always busy), what is
added to the 200 ms of a call (median and 99th percentile, from keywords to text), and the peak of the resident set
above idle. The connections are opened before. 512 tasks make the calls, each the next when one is done. httpx by
hand is left out: with 512 at once its pool alone takes some fifty times the ideal, which is minutes.
"""

from __future__ import annotations

import time
from statistics import quantiles

from benchmarks.meter import metered
from benchmarks.workload import Case, Figure, Goal, Workload, at_once

_AT_ONCE = 512
_LATE_MS = 200


async def measure(case: Case) -> dict[str, float]:
    """Run the calls."""
    client = case.make(f"late-{_LATE_MS}")
    took: list[float] = []

    async def ask() -> None:
        began = time.perf_counter()
        await client.ask()
        took.append(time.perf_counter() - began)

    await client.ask()
    async with metered() as meter:
        await at_once(_AT_ONCE, _AT_ONCE, client.ask)
        took.clear()
        began = time.perf_counter()
        await at_once(case.amount, _AT_ONCE, ask)
        wall = time.perf_counter() - began
    await client.aclose()
    ideal = case.amount / min(_AT_ONCE, case.amount) * _LATE_MS / 1e3
    percent = quantiles(took, n=100, method="inclusive")
    return {
        "wall_ratio": wall / ideal,
        "p50_ms": percent[49] * 1e3 - _LATE_MS,
        "p99_ms": percent[98] * 1e3 - _LATE_MS,
        "peak_mb": meter.peak_mb,
    }


WORKLOADS = (
    Workload(
        "W5",
        "",
        "requests to a server that takes 200 ms, 512 at once",
        (
            Figure("wall_ratio", "wall / ideal"),
            Figure("p50_ms", "added p50, ms"),
            Figure("p99_ms", "added p99, ms"),
            Figure("peak_mb", "peak RSS above idle, MB"),
        ),
        {"full": (20480, 2048), "quick": (4096, 1024), "tiny": (128, 128)},
        measure,
        (
            Goal("wall_ratio", 1.05),
            Goal("p50_ms", 3),
            Goal("p99_ms", 40),
            Goal("wall_ratio", 0.15, "openai"),
        ),
        frozenset({"httpx + httpx-sse"}),
    ),
)
