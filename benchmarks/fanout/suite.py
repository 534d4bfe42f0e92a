"""Many images at once: nothing lost, nothing paid twice, flat memory. ``python -m benchmarks fanout``.

Five parts, each of which ``--only`` selects: ``limits`` (600 images at three relays that refuse), ``many`` (20,000 at
one that does not), ``lazy`` (a million items), ``kills`` (``kill -9`` at random points, 100 times), ``resize`` (JPEGs
of 12 megapixels). Beside ``client.map`` stand what people write by hand, openai-python with a semaphore and ``gather``,
async-batch-llm, litellm and inspect-ai, each where it is installed (the extra ``bench-fanout`` has all of them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import table
from benchmarks.contenders.runs import OPENAI_64, RUNS, WORKERS
from benchmarks.fanout import bench_kills, bench_lazy, bench_limits, bench_many, bench_resize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.rounds import Measured
    from benchmarks.workload import Figure, Workload

WORKLOADS = (
    *bench_limits.WORKLOADS,
    *bench_many.WORKLOADS,
    *bench_lazy.WORKLOADS,
    *bench_kills.WORKLOADS,
    *bench_resize.WORKLOADS,
)
PARTS = tuple(dict.fromkeys(each.key for each in WORKLOADS))
"""What ``--only`` takes."""

_REFERENCES = {WORKERS: "x 32 workers", OPENAI_64: "x openai"}


def chosen(parts: Sequence[str]) -> list[Workload]:
    """Return the workloads of these parts, or all."""
    return [each for each in WORKLOADS if not parts or each.key in parts]


def taking(workloads: Sequence[Workload], contenders: Sequence[str]) -> list[str]:
    """Return who is in any of these workloads, in the order of the tables; all, or those that are named."""
    return [
        name
        for name, contender in RUNS.items()
        if (not contenders or name in contenders) and any(each.takes(contender) for each in workloads)
    ]


def tables(workload: Workload, results: Mapping[str, Measured]) -> Iterator[str]:
    """Yield the lines of a workload's results: a row per contender with medians (least to most), then the goals.

    The first figure is set beside those of the contenders that are somebody's reference.
    """
    first = workload.figures[0]
    references = {name: label for name, label in _REFERENCES.items() if first.key.endswith("_ms") and name in results}
    rows = [["", "n", *(figure.label for figure in workload.figures), *references.values()]]
    for name, result in results.items():
        if result.values:
            ratios = [_ratio(result, results[reference], first.key) for reference in references]
            rows.append(
                [name, f"{result.amount:,}", *(_spread(result, figure) for figure in workload.figures), *ratios]
            )
    yield f"\n## {workload.name}: {workload.title}\n"
    yield from table.lines(rows)
    notes = [f"{name}: {result.note}" for name, result in results.items() if result.note]
    yield from (["", *notes] if notes else [])
    if judged := [*table.goals(workload, results)]:
        yield ""
        yield from table.lines([table.GOAL_HEAD, *judged])


def _spread(result: Measured, figure: Figure) -> str:
    values = result.values.get(figure.key)
    if not values:
        return table.number(None)
    middle = table.number(result.median(figure.key))
    least, most = table.number(min(values)), table.number(max(values))
    return middle if least == most else f"{middle} ({least} to {most})"


def _ratio(result: Measured, reference: Measured, key: str) -> str:
    value, base = result.median(key), reference.median(key)
    return table.number(None if value is None or not base else value / base)
