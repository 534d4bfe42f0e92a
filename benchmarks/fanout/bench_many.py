"""many: 20,000 images at a relay without a limit that answers at once.

Measured: time and CPU time an image, and the peak of the whole process's resident set. The files are small (2 KiB), so
that what is measured is the run and not the encoding. "32 workers" is 32 tasks over one iterator that call
``client.analyze``: the least that a run costs. "map, journal, 32 at once" has as many in flight, so that what differs
is the run. ``map`` as it comes goes up to what the client may have in flight; a relay that answers at once gains
nothing by that, and each request costs more the more there are.
"""

from __future__ import annotations

import tempfile

from benchmarks.contenders.runs import JOURNAL, NARROW, WORKERS, runner
from benchmarks.fanout.images import small_files
from benchmarks.meter import metered
from benchmarks.workload import Case, Figure, Goal, Workload

_WARM = 64


async def measure(case: Case) -> dict[str, float]:
    """Answer a few images to warm up, then all."""
    answered = 0

    def done() -> None:
        nonlocal answered
        answered += 1

    with tempfile.TemporaryDirectory() as folder:
        paths = small_files(folder, case.amount)
        asking = runner(case, "small")
        await asking.answer(paths[:_WARM], done, {})
        answered = 0
        async with metered() as meter:
            await asking.answer(paths, done, {})
    if answered != case.amount:
        raise RuntimeError(f"{answered} of {case.amount} images were answered")
    return {
        "wall_ms": meter.wall_s / case.amount * 1e3,
        "cpu_ms": meter.cpu_s / case.amount * 1e3,
        "whole_mb": meter.whole_mb,
    }


WORKLOADS = (
    Workload(
        "many",
        "",
        "images at a relay without a limit",
        (
            Figure("wall_ms", "ms an image"),
            Figure("cpu_ms", "CPU ms an image"),
            Figure("whole_mb", "peak RSS, MB"),
        ),
        {"full": (20_000, 5000), "quick": (4000, 1000), "tiny": (50, 50)},
        measure,
        tuple(
            goal
            for name in (NARROW, JOURNAL)
            for goal in (Goal("wall_ms", 1 / 0.9, WORKERS, ours=name), Goal("whole_mb", 80, ours=name))
        ),
    ),
)
