"""W4: a picture file of 20 MiB sent as base64 within the JSON, alone and 16 at once.

Measured: the time until all answers are there, the peak of the resident set above idle, and the longest time the event
loop was held. The file is in the page cache. "tutuclient, stdlib base64" is tutuclient as it is without pybase64.
The server counts the bytes and throws them away.
"""

from __future__ import annotations

import random
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.meter import metered
from benchmarks.workload import Case, Figure, Goal, Workload, at_once

_SIZE = {"full": 20 * 2**20, "quick": 20 * 2**20, "tiny": 2**20}
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x10\x00\x00\x00\x10\x00\x08\x02\x00\x00\x00"
_STDLIB = "tutuclient, stdlib base64"


async def _measure(case: Case, together: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = _picture(folder, _SIZE[case.scale])
        small = _picture(folder, 1000)
        client = case.make("small")
        await at_once(together, together, lambda: client.upload(small))
        meters = []
        for _ in range(case.amount):
            async with metered(lag=True) as meter:
                await at_once(together, together, lambda: client.upload(path))
            meters.append(meter)
        await client.aclose()
    return {
        "wall_ms": median(meter.wall_s for meter in meters) * 1e3,
        "peak_mb": max(meter.peak_mb for meter in meters),
        "lag_ms": max(meter.lag_ms for meter in meters),
    }


def _picture(folder: str, size: int) -> Path:
    path = Path(folder, f"{size}.png")
    path.write_bytes(_PNG + random.Random(7).randbytes(size - len(_PNG)))
    return path


async def measure_one(case: Case) -> dict[str, float]:
    """Send the file alone, a few times in a row."""
    return await _measure(case, 1)


async def measure_sixteen(case: Case) -> dict[str, float]:
    """Send it 16 times at once."""
    return await _measure(case, 16)


_workload = partial(
    Workload,
    "W4",
    figures=(
        Figure("wall_ms", "time, ms"),
        Figure("peak_mb", "peak RSS above idle, MB"),
        Figure("lag_ms", "longest loop lag, ms"),
    ),
)
WORKLOADS = (
    _workload(
        part="one",
        title="a 20 MiB picture file uploaded as base64",
        amounts={"full": (5, 3), "quick": (2, 2), "tiny": (1, 1)},
        measure=measure_one,
        goals=(
            Goal("wall_ms", 0.4, "by hand"),
            Goal("wall_ms", 0.4, "by hand", ours=_STDLIB),
            Goal("wall_ms", 0.35, "openai"),
            Goal("peak_mb", 2),
            Goal("lag_ms", 5),
            Goal("lag_ms", 5, ours=_STDLIB),
        ),
    ),
    _workload(
        part="16 at once",
        title="16 picture files of 20 MiB uploaded at once",
        amounts={"full": (2, 1), "quick": (1, 1), "tiny": (1, 1)},
        measure=measure_sixteen,
        goals=(
            Goal("wall_ms", 0.5, "by hand"),
            Goal("wall_ms", 0.5, "by hand", ours=_STDLIB),
            Goal("wall_ms", 0.35, "openai"),
            Goal("peak_mb", 8),
            Goal("lag_ms", 10),
            Goal("lag_ms", 30, ours=_STDLIB),
        ),
    ),
)
