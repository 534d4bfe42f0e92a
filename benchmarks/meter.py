"""Clocks and scales, of this process only.

CPU time is user and system time of all threads. Memory is the resident set; its peak is what the kernel remembers,
reset at the beginning where the kernel offers that (Linux), so that nothing short-lived is missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import sys
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_STATUS = Path("/proc/self/status")
_SCHEDULED = Path("/proc/thread-self/schedstat")
_TICK_S = 0.001
MB = 1e6


class Meter:
    """What a block of code took.

    Attributes:
        wall_s: Seconds by the clock.
        cpu_s: Seconds of CPU, user and system, all threads.
        peak_mb: The peak of the resident set above what it was at the beginning, in 10^6 bytes.
        whole_mb: The peak of the resident set itself, in 10^6 bytes.
        lag_ms: The longest time for which the event loop was held; 0.0 unless asked for.
    """

    wall_s = cpu_s = peak_mb = whole_mb = lag_ms = 0.0

    def __init__(self) -> None:
        self._holds = array("d")

    def late(self, lag_ms: float, waited_ms: float = 0.0) -> None:
        """Note by how much a tick of the event loop came late.

        Args:
            lag_ms: By how much.
            waited_ms: For how much of that its thread was ready to run and had no processor: what else the machine is
                busy with holds the loop up, and is nobody's fault.
        """
        self._holds.append(max(0.0, lag_ms - waited_ms))
        self.lag_ms = max(self.lag_ms, lag_ms)

    def held(self, share: float) -> float:
        """Return the ms that so large a share of the ticks was not late by, without the waiting for a processor."""
        ordered = sorted(self._holds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@contextlib.asynccontextmanager
async def metered(*, lag: bool = False) -> AsyncIterator[Meter]:
    """Measure the block.

    Args:
        lag: Watch the event loop too, with a timer of 1 ms, whose own work then counts as CPU time.
    """
    meter = Meter()
    gc.collect()
    idle = _reset_peak()
    watch = asyncio.create_task(_watch(meter)) if lag else None
    await asyncio.sleep(0)
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        yield meter
    finally:
        meter.wall_s, meter.cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        meter.whole_mb = _peak() / MB
        meter.peak_mb = meter.whole_mb - idle / MB
        if watch is not None:
            await asyncio.sleep(2 * _TICK_S)  # The block's last hold is seen by the tick behind it.
            watch.cancel()


async def _watch(meter: Meter) -> None:
    while True:
        before, waited = time.perf_counter(), _waited_ms()
        await asyncio.sleep(_TICK_S)
        meter.late((time.perf_counter() - before - _TICK_S) * 1e3, _waited_ms() - waited)


def _waited_ms() -> float:
    """Return for how long this thread was ready to run without a processor, in ms; 0.0 where that is not reported.

    Source: https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat.
    """
    try:
        return int(_SCHEDULED.read_text().split()[1]) / 1e6
    except OSError:
        return 0.0


def _reset_peak() -> float:
    """Reset the peak that the kernel keeps, and return the resident set in bytes."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS") or _peak()


def resident_mb() -> float:
    """Return the resident set as it is now, in 10^6 bytes; its peak where the system does not report it (macOS)."""
    return (_status("VmRSS") or _peak()) / MB


def _peak() -> float:
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT


# macOS counts bytes, everybody else KiB.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def _status(name: str) -> float:
    if not _STATUS.exists():
        return 0.0
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) * 1024
    return 0.0
