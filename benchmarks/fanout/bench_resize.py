"""resize: JPEGs of 12 megapixels made smaller, to 1024 pixels on the longer side, on their way to the relay.

Measured: time an image, and how late the ticks of a 1 ms timer came meanwhile: the latest ("lag"), and the latest and
the one that 99 % did not exceed without the time in which the loop's thread was ready and had no processor ("held"), so
that another program which keeps the machine busy counts little. Beside ``map(…, max_side=1024)`` stands Pillow by hand
in ``to_thread``: ``thumbnail``, which lets the JPEG decoder skip pixels (draft mode), and ``resize`` of the whole
image. "No Python in threads" hashes in as many threads instead, which holds no lock: what it shows is the machine's own
unrest. All that is measured may use all cores.
"""

from __future__ import annotations

import asyncio
import tempfile

from benchmarks.contenders.runs import FITTED, THUMBNAIL, runner
from benchmarks.fanout.images import photographs
from benchmarks.meter import metered
from benchmarks.workload import Case, Figure, Goal, Workload

_SIDE = 1024
_SHARE = 0.99


async def measure(case: Case) -> dict[str, float]:
    """Send all images; a few photographs under many names."""
    answered = 0

    def done() -> None:
        nonlocal answered
        answered += 1

    with tempfile.TemporaryDirectory() as folder:
        files = await asyncio.to_thread(photographs, folder, case.amount)
        asking = runner(case, "small")
        await asking.answer(files[:2], done, {"max_side": _SIDE})
        answered = 0
        async with metered(lag=True) as meter:
            await asking.answer(files, done, {"max_side": _SIDE})
    if answered != case.amount:
        raise RuntimeError(f"{answered} of {case.amount} images were answered")
    return {
        "wall_ms": meter.wall_s / case.amount * 1e3,
        "lag_ms": meter.lag_ms,
        "held_ms": meter.held(1),
        "held_99_ms": meter.held(_SHARE),
        "whole_mb": meter.whole_mb,
    }


WORKLOADS = (
    Workload(
        "resize",
        "",
        f"JPEGs of 12 megapixels, made smaller to {_SIDE} pixels",
        (
            Figure("wall_ms", "ms an image"),
            Figure("lag_ms", "lag, ms"),
            Figure("held_ms", "held, ms"),
            Figure("held_99_ms", "held, 99 %, ms"),
            Figure("whole_mb", "peak RSS, MB"),
        ),
        {"full": (200, 200), "quick": (40, 40), "tiny": (2, 2)},
        measure,
        (
            Goal("held_ms", 5, ours=FITTED),
            Goal("held_99_ms", 5, ours=FITTED),
            Goal("wall_ms", 1, THUMBNAIL, ours=FITTED),
        ),
        pinned=False,
    ),
)
