"""limits: 600 images on the three rate-limited relays of ``batch.md``, whose 429s say nothing.

Measured: images that were not answered (failed, or not answered within five times the ideal time), requests that were
refused as a share of all that were sent, and the time until the contender is done. The ideal time is that of a client
that knows the relay and uses up every burst: 590 images at 20 a second behind a full bucket of 10, 75 rounds of 8, six
windows of 100; with the time that the relay really took for an answer, 100 ms or a little more. Starts that are spaced
evenly at the rate of the first and the last take 30.0 s ("x even"): on the sliding log that is 1.2 times the ideal
time, and no client that spaces its starts does better.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import tempfile
import time
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.contenders.runs import MAP, RECIPE, TYPED, runner
from benchmarks.fanout.images import small_files
from benchmarks.workload import Case, Figure, Goal, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVICE_MS = 100
_RATE, _BUCKET = 20, 10
_FLIGHTS = 8
_MOST, _WINDOW_S = 100, 5
_PATIENCE = 5
_LEAST_S = 10.0


class _Relay(NamedTuple):
    """A relay: its route, what a user who knows it types, and the least seconds by images and seconds of service."""

    route: str
    limit: dict[str, float]
    ideal_s: Callable[[int, float], float]


_SERVICE_S = _SERVICE_MS / 1000
_RELAYS = {
    "bucket": _Relay(
        f"bucket-{_RATE}-{_BUCKET}-{_SERVICE_MS}",
        {"rate": _RATE},
        lambda number, service_s: max(0, number - _BUCKET) / _RATE + service_s,
    ),
    "in flight": _Relay(
        f"flights-{_FLIGHTS}-{_SERVICE_MS}",
        {"concurrency": _FLIGHTS},
        lambda number, service_s: math.ceil(number / _FLIGHTS) * service_s,
    ),
    "sliding log": _Relay(
        f"log-{_MOST}-{_WINDOW_S}-{_SERVICE_MS}",
        {"rate": _MOST / _WINDOW_S},
        lambda number, service_s: (math.ceil(number / _MOST) - 1) * _WINDOW_S + service_s,
    ),
}


async def measure(case: Case, relay: str) -> dict[str, float]:
    """Answer all images, and ask the relay what it saw."""
    route, limit, ideal_s = _RELAYS[relay]
    route = f"{route}-{os.getpid()}"
    answered = 0

    def done() -> None:
        nonlocal answered
        answered += 1

    with tempfile.TemporaryDirectory() as folder:
        paths = small_files(folder, case.amount)
        asking = runner(case, route)
        began = time.perf_counter()
        # It may end its own work by raising, too: what was answered by then was answered.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(_LEAST_S, _PATIENCE * ideal_s(case.amount, _SERVICE_S))):
                await asking.answer(paths, done, limit)
        took = time.perf_counter() - began
    seen = await asyncio.to_thread(state_of, f"{case.origin}/{route}")
    figures = {
        "lost": case.amount - answered,
        "refused": 100 * seen["refused"] / max(1, seen["refused"] + seen["admitted"]),
        "wall_s": took,
    }
    if figures["lost"]:  # Who answers less is done sooner.
        return figures
    service_s = seen["took_s"] / seen["admitted"]
    figures["ideal"] = took / ideal_s(case.amount, service_s)
    if rate := limit.get("rate"):
        figures["even"] = took / (case.amount / rate + service_s)
    return figures


def state_of(relay: str) -> dict[str, Any]:
    """Return what a relay has counted."""
    with urllib.request.urlopen(f"{relay}/state", timeout=10) as answer:  # noqa: S310  (ours, on loopback)
        counted: dict[str, Any] = json.load(answer)
    return counted


_FIGURES = (
    Figure("lost", "not answered"),
    Figure("refused", "refused, %"),
    Figure("wall_s", "time, s"),
    Figure("ideal", "x ideal time"),
    Figure("even", "x even"),
)
_GOALS = (
    Goal("lost", 0, ours=TYPED),
    Goal("lost", 0, ours=MAP),
    Goal("lost", 0, ours=RECIPE),
    Goal("refused", 2, ours=TYPED),
    Goal("refused", 5, ours=MAP),
    Goal("ideal", 1.1, ours=TYPED),
    Goal("ideal", 1.25, ours=MAP),
)
_TITLES = {
    "bucket": f"images at a relay of {_RATE} a second (a bucket of {_BUCKET})",
    "in flight": f"images at a relay of at most {_FLIGHTS} in flight",
    "sliding log": f"images at a relay of {_MOST} in any {_WINDOW_S} s (a sliding log)",
}
WORKLOADS = tuple(
    Workload(
        "limits",
        relay,
        title,
        _FIGURES,
        {"full": (600, 600), "quick": (200, 200), "tiny": (24, 24)},
        partial(measure, relay=relay),
        _GOALS,
    )
    for relay, title in _TITLES.items()
)
