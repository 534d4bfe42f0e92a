"""The answers of a run as a file: JSON lines and CSV, and Parquet by pyarrow. Item by item, so that a million fit."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from datetime import UTC, datetime
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TextIO

from tutuclient.batch import folder
from tutuclient.cli.output import sanitize
from tutuclient.errors import ConfigError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tutuclient.batch.lines import Record

FORMATS: Final = ("jsonl", "csv", "parquet")
_ROW_GROUP: Final = 10_000
# The columns, and how Parquet keeps them.
_COLUMNS: Final = {
    "id": "text",
    "outcome": "text",
    "value": "text",
    "images": "texts",
    "error": "text",
    "message": "text",
    "finish_reason": "text",
    "tokens_in": "whole",
    "tokens_out": "whole",
    "attempts": "whole",
    "seconds": "number",
    "status": "whole",
    "model": "text",
    "request_id": "text",
    "time": "text",
}
# What a spreadsheet takes for the beginning of a formula, also behind blanks, and in the wide forms of CJK.
_FORMULA: Final = re.compile(r"[\s\x00]*[=+\-@＝＋－＠]|[\t\r\n]")
_NUMBER: Final = re.compile(r"[+-]?\d+([.,]\d+)?(e[+-]?\d+)?%?", re.IGNORECASE)


def format_of(output: str, asked: str | None) -> str:
    """Return the format of an export: what was asked for, else what the file's name ends in.

    Raises:
        ConfigError: There is none.
    """
    found = asked or output.rpartition(".")[2].lower() if "." in output or asked else "jsonl" if output == "-" else ""
    if found not in FORMATS:
        raise ConfigError(f"{printable(output)}: name a file that ends in .jsonl, .csv or .parquet, or pass --format")
    if found == "parquet" and output == "-":
        raise ConfigError("Parquet is written into a file: -o answers.parquet")
    return found


def export(run: Path, output: Path | None, kind: str, *, raw: bool = False, failed: bool | None = None) -> int:
    """Write what became of each item; return how many there are. A file is whole or not there.

    Args:
        run: The run's folder.
        output: The file; None for stdout.
        kind: "jsonl", "csv" or "parquet".
        raw: Leave cells that a spreadsheet would take for a formula as they are.
        failed: True for the items that have no answer alone, False for those that have one; None for all.

    Raises:
        ConfigError: The folder holds no run, or pyarrow is missing.
    """
    folder.config(run)
    rows = (_row(record) for record in folder.results(run) if failed is None or (record.k != "ok") is failed)
    if output is None:
        return _write_text(rows, sys.stdout, kind, raw=raw)
    part = output.with_name(f".{output.name}.part")
    try:
        if kind == "parquet":
            count = _write_parquet(rows, part)
        else:
            # Spreadsheets take UTF-8 for what it is only behind this mark; programs read the other formats.
            encoding = "utf-8-sig" if kind == "csv" else "utf-8"
            with part.open("w", encoding=encoding, newline="") as file:
                count = _write_text(rows, file, kind, raw=raw)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return count


def _row(record: Record) -> dict[str, Any]:
    """Return an item's columns. An order without an end is of unknown outcome."""
    outcome = {"ok": "done", "sent": "unknown"}.get(record.k, record.outcome)
    moment = datetime.fromtimestamp(record.t, UTC).isoformat(timespec="milliseconds")
    ended = record.k != "sent"
    return {
        "id": record.id,
        "outcome": outcome,
        "value": record.res,
        "images": [f"images/{name}" for name, _ in record.img] or None,
        "error": record.cls or None,
        "message": record.err or None,
        "finish_reason": record.fin or None,
        "tokens_in": record.tin,
        "tokens_out": record.tout,
        "attempts": record.att if ended else None,
        "seconds": record.dur if ended else None,
        "status": record.st or None,
        "model": record.model or None,
        "request_id": record.rid or None,
        "time": moment,
    }


def _write_text(rows: Iterator[dict[str, Any]], file: TextIO, kind: str, *, raw: bool) -> int:
    count = 0
    if kind == "csv":
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for row in rows:
            count += 1
            cells = [_cell(value) for value in row.values()]
            cells = cells if raw else [_harmless(cell) for cell in cells]
            table.writerow([sanitize(cell) for cell in cells] if file is sys.stdout and file.isatty() else cells)
    else:
        for row in rows:
            count += 1
            # JSON can be written in ASCII, so that nothing has to guess the encoding of a pipe, or obeys what it reads.
            file.write(f"{json.dumps(row, ensure_ascii=file is sys.stdout)}\n")
    return count


def _cell(value: Any) -> str:
    """Return a value as the text of a cell: what has parts as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value, ensure_ascii=False)


def _harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: with an apostrophe before it, which is not shown.

    A model answers what an image tells it to, and a formula can send the sheet away. Numbers stay.
    Source: https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _write_parquet(rows: Iterator[dict[str, Any]], path: Path) -> int:
    try:
        # By name: it has no types, and is not there for most.
        pa: Any = import_module("pyarrow")
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(f'Parquet needs pyarrow: pip install pyarrow (the extra "batch"; {error})') from error
    types: dict[str, Any] = {
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "whole": pa.int64(),
        "number": pa.float64(),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in _COLUMNS.items()])
    count = 0
    with parquet.ParquetWriter(os.fspath(path), schema, compression="zstd") as writer:
        while group := list(islice(rows, _ROW_GROUP)):
            for row in group:
                # A column has one type, so an answer with fields is JSON in it, which SQL engines read.
                row["value"] = None if row["value"] is None else _cell(row["value"])
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count
