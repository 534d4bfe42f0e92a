"""Batch runs: many items, answered within the pace of the relay, and a journal that survives what interrupts them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tutuclient.batch.rows import AnsweredRows, answer_rows

__all__ = ["AnsweredRows", "answer_rows"]


def __getattr__(name: str) -> object:
    # When it is asked for: the rest of a run is imported by many that know no batches of rows.
    if name not in {*__all__, "rows"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    rows = importlib.import_module("tutuclient.batch.rows")
    return rows if name == "rows" else getattr(rows, name)
