"""W6: how long until the first token, and what a client costs to build.

Measured, each as the median of many: "warm", from the call to the first text of a stream over a connection that is
open; "cold", the same with a new client, building it and connecting included (a handshake too where the run is over
TLS); "building", making a client and nothing else. The server answers at once. What is read after the first token is
not counted. litellm keeps its connections in the module, so it is only measured warm.
"""

from __future__ import annotations

import time
from statistics import median

from benchmarks.workload import Case, Figure, Goal, Workload

_ROUTE = "stream-10"


async def measure(case: Case) -> dict[str, float]:
    """Measure all three."""
    client = case.make(_ROUTE)
    for _ in range(min(20, case.amount)):
        await client.first()
    warm = []
    for _ in range(case.amount):
        began = time.perf_counter()
        warm.append(await client.first() - began)
    if case.contender.shared:
        return {"warm_us": median(warm) * 1e6}
    cold, building = [], []
    for _ in range(max(case.amount // 5, 3)):
        began = time.perf_counter()
        fresh = case.make(_ROUTE)
        building.append(time.perf_counter() - began)
        cold.append(await fresh.first() - began)
        await fresh.aclose()
    await client.aclose()
    return {"warm_us": median(warm) * 1e6, "cold_us": median(cold) * 1e6, "building_us": median(building) * 1e6}


WORKLOADS = (
    Workload(
        "W6",
        "",
        "time to the first token, and building a client",
        (
            Figure("warm_us", "first token warm, µs"),
            Figure("cold_us", "first token cold, µs"),
            Figure("building_us", "building a client, µs"),
        ),
        {"full": (300, 100), "quick": (100, 50), "tiny": (5, 5)},
        measure,
        (
            Goal("warm_us", 1.0, "by hand"),
            Goal("cold_us", 1.2, "by hand"),
            Goal("building_us", 50),
            Goal("warm_us", 0.1, "openai"),
            Goal("building_us", 0.1, "openai"),
        ),
    ),
)
