"""Shows that cost does not grow: not with a stream's length, not with open streams, not with the calls made.

``python -m benchmarks growth`` measures tutuclient and, beside it, aiohttp by hand: the CPU time of the client's
process for each chunk of streams of 100 to 100,000 chunks that come in full reads; for each chunk of 1 to 1,000
streams open at once, each of which gets one every 100 ms, asking for the stream included; and for each call, window by
window, of one client that makes 20,000. Each series is measured in one process, the short ones first, so what would
pile up shows. With few streams open the process sleeps between chunks, and waking up is most of what they cost.
Prints tables and writes a plot.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.contenders import BY_HAND, OURS
from benchmarks.meter import metered
from benchmarks.rounds import cores, serving
from benchmarks.table import lines, number
from benchmarks.workload import Case, Scale, Workload, at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.rounds import Workers

NAMES = (OURS, BY_HAND)
_LENGTHS: dict[Scale, tuple[int, ...]] = {
    "full": (100, 1000, 10_000, 100_000),
    "quick": (100, 1000, 10_000),
    "tiny": (10, 100),
}
_OPEN: dict[Scale, tuple[int, ...]] = {"full": (1, 10, 100, 1000), "quick": (1, 10, 100), "tiny": (1, 10)}
_CALLS: dict[Scale, tuple[int, ...]] = {
    "full": (1000, 2000, 5000, 10_000, 20_000),
    "quick": (1000, 2000, 4000),
    "tiny": (100, 200),
}
_CHUNKS_A_POINT = {"full": 50_000, "quick": 20_000, "tiny": 200}
_CHUNKS_A_STREAM = {"full": 50, "quick": 20, "tiny": 5}
_GAP_US = 100_000
_AT_ONCE = 64


async def measure_lengths(case: Case) -> dict[str, float]:
    """Read ever longer streams, one after the other: CPU per chunk, µs, by length."""
    figures = {}
    for length in _LENGTHS[case.scale]:
        client = case.make(f"stream-{length}")
        await client.read()
        repeats = max(1, _CHUNKS_A_POINT[case.scale] // length)
        async with metered() as meter:
            await at_once(repeats, 1, client.read)
        await client.aclose()
        figures[str(length)] = meter.cpu_s / (repeats * length) * 1e6
    return figures


async def measure_open(case: Case) -> dict[str, float]:
    """Read ever more streams at once: CPU per chunk, µs, by their number."""
    warm = case.make("stream-10")
    await warm.read()
    await warm.aclose()
    figures = {}
    for streams in _OPEN[case.scale]:
        chunks = _CHUNKS_A_STREAM[case.scale]
        client = case.make(f"paced-{chunks}-{_GAP_US}")
        async with metered() as meter:
            await at_once(streams, streams, client.read)
        await client.aclose()
        figures[str(streams)] = meter.cpu_s / (streams * chunks) * 1e6
    return figures


async def measure_calls(case: Case) -> dict[str, float]:
    """Measure ever more calls with one client: CPU per call, µs, of the window that ends there."""
    client = case.make("small")
    await at_once(2 * _AT_ONCE, _AT_ONCE, client.ask)
    figures = {}
    for made, until in pairwise((0, *_CALLS[case.scale])):
        async with metered() as meter:
            await at_once(until - made, _AT_ONCE, client.ask)
        figures[str(until)] = meter.cpu_s / (until - made) * 1e6
    await client.aclose()
    return figures


_AMOUNTS: dict[Scale, tuple[int, int]] = {"full": (1, 1), "quick": (1, 1), "tiny": (1, 1)}
WORKLOADS = (
    Workload("growth", "lengths", "CPU per chunk, µs, by chunks of a stream", (), _AMOUNTS, measure_lengths),
    Workload("growth", "open", "CPU per chunk, µs, by streams open at once", (), _AMOUNTS, measure_open),
    Workload("growth", "calls", "CPU per call, µs, by calls made", (), _AMOUNTS, measure_calls),
)


def run(
    workers: Workers, scale: Scale, rounds: int, say: Callable[[str], object]
) -> dict[str, dict[str, dict[int, float]]]:
    """Measure all series; return medians by title, contender and point.

    Raises:
        RuntimeError: A worker failed.
    """
    series: dict[str, dict[str, dict[int, float]]] = {}
    for workload in WORKLOADS:
        values: dict[str, dict[int, list[float]]] = {name: {} for name in NAMES}
        for place in range(rounds):
            with serving() as server:
                for name in NAMES:
                    say(f"{workload.name}, round {place + 1}: {name}")
                    answer = workers.ask(name, server, workload=workload.name, scale=scale, core=cores()[1])
                    if "figures" not in answer:
                        raise RuntimeError(f"{name}: {answer}")
                    for point, value in answer["figures"].items():
                        values[name].setdefault(int(point), []).append(value)
        series[workload.title] = {
            name: {point: median(found) for point, found in points.items()} for name, points in values.items()
        }
    return series


def tables(series: Mapping[str, Mapping[str, Mapping[int, float]]]) -> Iterator[str]:
    """Yield each series as a table; the last column is the cost of the last point relative to the first."""
    for title, found in series.items():
        points = list(next(iter(found.values())))
        yield ""
        rows = [[title, *(f"{point:,}" for point in points), "last / first"]]
        for name, values in found.items():
            rows.append([name, *map(number, values.values()), number(values[points[-1]] / values[points[0]])])
        yield from lines(rows)


_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 360, 260, 46, 34, 44
_COLOURS = ("#c0392b", "#2c3e50")


def plot(series: Mapping[str, Mapping[str, Mapping[int, float]]]) -> str:
    """Draw all series side by side as SVG: logarithmic to the right, from zero upwards."""
    panels = [_panel(title, found, place * _WIDTH) for place, (title, found) in enumerate(series.items())]
    size = f'width="{_WIDTH * len(panels)}" height="{_HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11" fill="#222">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *panels, "</svg>", ""])


def _panel(title: str, found: Mapping[str, Mapping[int, float]], left: float) -> str:
    points = list(next(iter(found.values())))
    top = max(value for values in found.values() for value in values.values()) * 1.15
    begin, end = math.log10(points[0]), math.log10(points[-1])
    inner_width, inner_height = _WIDTH - _LEFT - 20, _HEIGHT - _TOP - _BOTTOM

    def across(point: float) -> float:
        return left + _LEFT + (math.log10(point) - begin) / ((end - begin) or 1) * inner_width

    def down(value: float) -> float:
        return _TOP + (1 - value / top) * inner_height

    drawn = [f'<text x="{left + _LEFT}" y="18" font-size="12" font-weight="bold">{title}</text>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        height = down(top * share)
        drawn.append(f'<path d="M{left + _LEFT} {height:.1f}h{inner_width}" stroke="#ddd"/>')
        drawn.append(
            f'<text x="{left + _LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{number(top * share)}</text>'
        )
    drawn += [
        f'<text x="{across(point):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{point:,}</text>'
        for point in points
    ]
    for place, (name, values) in enumerate(found.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        drawn += _line([(across(point), down(value)) for point, value in values.items()], colour)
        drawn.append(f'<text x="{left + _LEFT + place * 110}" y="{_HEIGHT - 8}" fill="{colour}">— {name}</text>')
    return "\n".join(drawn)


def _line(places: Sequence[tuple[float, float]], colour: str) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>', *dots]
