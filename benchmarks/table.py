"""Figures side by side, as Markdown that also reads well in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contenders import BY_HAND, OPENAI

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.rounds import Measured
    from benchmarks.workload import Goal, Workload

_REFERENCES = {BY_HAND: "x by hand", OPENAI: "x openai", "openai, aiohttp": "x openai, aiohttp"}
_NONE = "-"


def number(value: float | None) -> str:
    """Write a number with three significant digits."""
    if value is None:
        return _NONE
    if abs(value) >= 100:  # noqa: PLR2004  (three digits before the point)
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; the first row is its head, the first column is text."""
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    first, *others = widths
    head, *body = [
        [row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))] for row in rows
    ]
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join(['-' * first, *('-' * (width - 1) + ':' for width in others)])} |"
    for row in body:
        yield f"| {' | '.join(row)} |"


def of_workload(workload: Workload, results: Mapping[str, Measured]) -> Iterator[str]:
    """Yield a workload's results: a table per figure, then who was not measured, then the goals."""
    yield f"\n## {workload.name}: {workload.title}"
    for figure in workload.figures:
        references = {
            name: label for name, label in _REFERENCES.items() if name in results and results[name].median(figure.key)
        }
        rows = [[figure.label, "n", "min", "median", "max", *references.values()]]
        for name, result in results.items():
            values = result.values.get(figure.key)
            if values:
                ratios = [_ratio(results, name, reference, figure.key) for reference in references]
                spread = [min(values), result.median(figure.key), max(values)]
                rows.append([name, f"{result.amount:,}", *map(number, spread), *map(number, ratios)])
        yield ""
        yield from lines(rows)
    notes = [f"{name}: {result.note}" for name, result in results.items() if result.note]
    if notes:
        yield ""
        yield from notes
    if workload.goals:
        yield ""
        yield from lines([GOAL_HEAD, *goals(workload, results)])


GOAL_HEAD = ["goal", "at most", "stretch", "measured", "met"]


def goals(workload: Workload, results: Mapping[str, Measured]) -> Iterator[list[str]]:
    """Set a workload's goals beside what was measured: a row each."""
    labels = {figure.key: figure.label for figure in workload.figures}
    for goal in workload.goals:
        measured = _measured(goal, results)
        met = _NONE if measured is None else "yes" if measured <= goal.at_most else "no"
        if met == "yes" and goal.stretch is not None and measured is not None and measured <= goal.stretch:
            met = "yes, stretch"
        against = f" / {goal.against}" if goal.against else ""
        ours = "" if goal.ours == "tutuclient" else f" ({goal.ours})"
        row = [f"{workload.name}: {labels[goal.figure]}{against}{ours}"]
        yield [*row, number(goal.at_most), number(goal.stretch), number(measured), met]


def _measured(goal: Goal, results: Mapping[str, Measured]) -> float | None:
    if goal.against is None:
        return results[goal.ours].median(goal.figure) if goal.ours in results else None
    return _ratio(results, goal.ours, goal.against, goal.figure)


def _ratio(results: Mapping[str, Measured], name: str, reference: str, figure: str) -> float | None:
    if name not in results or reference not in results:
        return None
    value, base = results[name].median(figure), results[reference].median(figure)
    return None if value is None or not base else value / base


def summary(measured: Sequence[tuple[Workload, Mapping[str, Measured]]], names: Sequence[str]) -> Iterator[str]:
    """Yield all medians in one table, and all goals in another."""
    yield "\n## All medians\n"
    rows = [["", *names]]
    for workload, results in measured:
        for figure in workload.figures:
            values = [results[name].median(figure.key) if name in results else None for name in names]
            rows.append([f"{workload.name}: {figure.label}", *map(number, values)])
    yield from lines(rows)
    judged = [row for workload, results in measured for row in goals(workload, results)]
    if judged:
        yield "\n## All goals\n"
        yield from lines([GOAL_HEAD, *judged])
