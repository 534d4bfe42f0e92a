"""W1: many small questions about a picture by its address.

Measured: the CPU time of the client's process for each call, from keywords to the text of the answer, with warm
connections. Not measured: connecting, TLS, and what the answer costs to make.
"""

from __future__ import annotations

from benchmarks.meter import metered
from benchmarks.workload import Case, Figure, Goal, Workload, at_once

_AT_ONCE = 64


async def measure(case: Case) -> dict[str, float]:
    """Run the calls, 64 at once."""
    client = case.make("small")
    await at_once(2 * _AT_ONCE, _AT_ONCE, client.ask)
    async with metered() as meter:
        await at_once(case.amount, _AT_ONCE, client.ask)
    await client.aclose()
    return {"cpu_us": meter.cpu_s / case.amount * 1e6, "wall_us": meter.wall_s / case.amount * 1e6}


WORKLOADS = (
    Workload(
        "W1",
        "",
        "small vision requests (picture by URL), 64 at once",
        (Figure("cpu_us", "CPU per request, µs"), Figure("wall_us", "wall per request, µs")),
        {"full": (5000, 1000), "quick": (1000, 300), "tiny": (64, 64)},
        measure,
        (Goal("cpu_us", 1.25, "by hand", 0.6), Goal("cpu_us", 1 / 12, "openai", 1 / 25)),
    ),
)
