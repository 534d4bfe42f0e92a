"""W2: streams of 500 chunks with all the fields of OpenAI's, 16 at once, read chunk by chunk for their text.

Measured: the CPU time of the client's process for each chunk, asking for the stream included. "bursts": the server
writes as fast as the socket takes, so that a read holds many chunks. "one chunk a read": each chunk is a TCP segment
of its own, 2 ms after the one before it on its connection, the connections out of step with each other. "slow reads":
the same at 8 ms (a model that writes 125 tokens a second). Waiting costs no CPU time; contenders that cannot keep up
find several chunks in a read, to their advantage.
"""

from __future__ import annotations

from functools import partial

from benchmarks.meter import metered
from benchmarks.workload import Case, Figure, Goal, Workload, at_once

_AT_ONCE = 16
_CHUNKS = {"full": 500, "quick": 200, "tiny": 20}
_GAP_US = 2000
_SLOW_GAP_US = 8000


async def _measure(case: Case, route: str, chunks: int) -> dict[str, float]:
    warm = case.make("stream-10")
    await warm.read()
    await warm.aclose()
    client = case.make(route)
    seen = []

    async def read() -> None:
        seen.append(await client.read())

    async with metered() as meter:
        await at_once(case.amount, _AT_ONCE, read)
    await client.aclose()
    # litellm leaves out a chunk or two that carry no text.
    if len({characters for _, characters in seen}) != 1 or not chunks - 2 <= seen[0][0] <= chunks + 1:
        raise ValueError(f"not the stream that was sent: {sorted(set(seen))[:4]}")
    return {"cpu_us": meter.cpu_s / (case.amount * chunks) * 1e6}


async def measure_bursts(case: Case) -> dict[str, float]:
    """Read streams that come in full reads."""
    return await _measure(case, "stream-500", 500)


async def measure_single(case: Case, gap_us: int = _GAP_US) -> dict[str, float]:
    """Read streams that come a chunk a read."""
    chunks = _CHUNKS[case.scale]
    return await _measure(case, f"paced-{chunks}-{gap_us}", chunks)


async def measure_slow(case: Case) -> dict[str, float]:
    """Read streams that come a chunk a read, more slowly."""
    return await measure_single(case, _SLOW_GAP_US)


_workload = partial(Workload, "W2", figures=(Figure("cpu_us", "CPU per chunk, µs"),))
WORKLOADS = (
    _workload(
        part="bursts",
        title="streams of 500 chunks in full TCP reads, 16 at once",
        amounts={"full": (200, 20), "quick": (48, 16), "tiny": (2, 2)},
        measure=measure_bursts,
        goals=(Goal("cpu_us", 1.0, "by hand", 0.7), Goal("cpu_us", 1 / 40, "openai")),
    ),
    _workload(
        part="one chunk a read",
        title="streams of 500 chunks, one TCP segment each, 16 at once",
        amounts={"full": (16, 16), "quick": (16, 16), "tiny": (2, 2)},
        measure=measure_single,
        goals=(Goal("cpu_us", 0.6, "by hand"), Goal("cpu_us", 1 / 8, "openai")),
    ),
    _workload(
        part="slow reads",
        title="streams of 500 chunks, one TCP segment each 8 ms, 16 at once",
        amounts={"full": (16, 16), "quick": (16, 16), "tiny": (2, 2)},
        measure=measure_slow,
        goals=(),
    ),
)
