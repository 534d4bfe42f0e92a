"""W8: streams that their reader leaves behind the first chunk by a bare ``break``.

Measured: how many of their connections are still open a second after the last was left, the client still in use and
no garbage collected by hand; how long until the server sees those close that do (median and longest, from the end of
the function that held the stream); and the tasks left behind. The server goes on sending. Where a library's own
documentation puts the stream into ``async with`` (by hand, httpx, pyreqwest), that closes it.
"""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from benchmarks.workload import Case, Figure, Goal, Workload, at_once

_AT_ONCE = 16
_PATIENCE_S = 1.0


async def measure(case: Case) -> dict[str, float]:
    """Break out of the streams, then read from the server when each connection closed."""
    client = case.make("endless")
    left_at: dict[str, float] = {}

    async def leave() -> None:
        text = await client.break_off()
        left_at[text.split()[0]] = time.monotonic()

    await at_once(case.amount, _AT_ONCE, leave)
    await asyncio.sleep(_PATIENCE_S)
    tasks = len(asyncio.all_tasks()) - 1
    state = await _state(case.origin)
    closed_at: dict[str, float] = state["closed_at"]
    seen = [max(closed_at[number] - at, 0) * 1e3 for number, at in left_at.items() if number in closed_at]
    await client.aclose()
    return {
        "open": state["begun"] - len(closed_at),
        "tasks": tasks,
        "seen_ms": median(seen) if seen else float("inf"),
        "longest_ms": max(seen, default=float("inf")),
    }


async def _state(origin: str) -> dict[str, Any]:
    parts = urlsplit(origin)
    tls = True if parts.scheme == "https" else None
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
    writer.write(b"GET /state HTTP/1.1\r\nHost: bench\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.partition("Content-Length: ")[2].split("\r\n")[0])
    body = await reader.readexactly(length)
    writer.close()
    state: dict[str, Any] = json.loads(body)
    return state


WORKLOADS = (
    Workload(
        "W8",
        "",
        "streams left behind the first chunk by a bare break, 16 at once",
        (
            Figure("open", "connections left open"),
            Figure("tasks", "tasks left behind"),
            Figure("seen_ms", "until the server sees it, median, ms"),
            Figure("longest_ms", "until the server sees it, longest, ms"),
        ),
        {"full": (1000, 1000), "quick": (300, 300), "tiny": (20, 20)},
        measure,
        (Goal("open", 0), Goal("tasks", 0), Goal("longest_ms", 50)),
    ),
)
