"""lazy: a million items that are made as they are pulled, at a relay that answers at once.

Measured: time an item; the peak of the process's resident set and what it grew by between a fifth of the items and the
last one (8 bytes an item are the names by which two items of one id are found); and, of the journal that this has
written, the time to read it when a run goes on ("scan"), the time of the whole run that finds everything answered
("resume"), and the requests that it sends.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import KEY, MODEL, QUESTION
from benchmarks.contenders.runs import JOURNAL, MAP
from benchmarks.fanout.bench_limits import state_of
from benchmarks.meter import metered, resident_mb
from benchmarks.workload import Case, Figure, Goal, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

_WARM_SHARE = 0.2
_EVERY = 500


def _items(number: int) -> Iterator[str]:
    return (f"https://example.com/pictures/{place:07}.jpg" for place in range(number))


async def measure(case: Case) -> dict[str, float]:
    """Run over all items, and go on with the finished run."""
    from tutuclient import TutuClient  # noqa: PLC0415  (nothing of a contender is imported before it is measured)

    route = f"orders-0-0-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"model": MODEL}
        if case.contender.name == JOURNAL:
            options["journal"] = folder
        async with TutuClient(KEY, case.url(route)) as client:
            figures = await _run(case.amount, client, options)
            if "journal" in options:
                figures |= await _resume(case, route, client, options)
    return figures


async def _run(amount: int, client: Any, options: dict[str, Any]) -> dict[str, float]:
    answered, warm_mb, most_mb = 0, 0.0, 0.0
    async with metered() as meter, client.map(_items(amount), QUESTION, **options) as run:
        async for result in run:
            answered += result.ok
            if answered == int(amount * _WARM_SHARE):
                warm_mb = most_mb = resident_mb()
            elif warm_mb and answered % _EVERY == 0:
                most_mb = max(most_mb, resident_mb())
    if answered != amount:
        raise RuntimeError(f"{answered} of {amount} items were answered")
    most_mb = max(most_mb, resident_mb())
    return {
        "wall_ms": meter.wall_s / amount * 1e3,
        "whole_mb": meter.whole_mb,
        "grown_mb": most_mb - warm_mb,
    }


async def _resume(case: Case, route: str, client: Any, options: dict[str, Any]) -> dict[str, float]:
    relay = f"{case.origin}/{route}"
    before = await asyncio.to_thread(state_of, relay)
    began = time.perf_counter()
    async with client.map([], QUESTION, **options):
        scanned = time.perf_counter() - began
    began = time.perf_counter()
    async with client.map(_items(case.amount), QUESTION, **options) as run:
        async for _ in run:
            pass
    resumed = time.perf_counter() - began
    after = await asyncio.to_thread(state_of, relay)
    return {"scan_s": scanned, "resume_s": resumed, "again": after["admitted"] - before["admitted"]}


WORKLOADS = (
    Workload(
        "lazy",
        "",
        "items made as they are pulled, at a relay that answers at once",
        (
            Figure("wall_ms", "ms an item"),
            Figure("whole_mb", "peak RSS, MB"),
            Figure("grown_mb", "grown, MB"),
            Figure("scan_s", "scan, s"),
            Figure("resume_s", "resume, s"),
            Figure("again", "sent again"),
        ),
        {"full": (1_000_000, 1_000_000), "quick": (20_000, 20_000), "tiny": (200, 200)},
        measure,
        (
            *(Goal("whole_mb", 150, ours=name) for name in (MAP, JOURNAL)),
            *(Goal("grown_mb", 20, ours=name) for name in (MAP, JOURNAL)),
            Goal("scan_s", 10, ours=JOURNAL),
            Goal("again", 0, ours=JOURNAL),
        ),
        once=True,
        longest_s=6 * 3600,
    ),
)
