"""Batches of rows as people and engines hold them: read a cell at a time, and returned with more columns.

A list of dicts, a dict of columns, a Table or RecordBatch of pyarrow's, a frame of pandas'. Neither pyarrow nor pandas
is imported unless such a batch is passed, and then it is there already.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Final, Literal, TypeAlias

from tutuclient.diagnostics import quoted
from tutuclient.errors import ConfigError
from tutuclient.wire.keywords import is_any

Kind: TypeAlias = Literal["text", "texts", "whole"]
Column: TypeAlias = Sequence[Any]

_NULLS: Final = frozenset({"NAType", "NaTType"})


class Table(ABC):
    """A batch, whatever holds it."""

    @property
    @abstractmethod
    def names(self) -> Sequence[Any]:
        """The columns, under their own names, which in frames may be numbers, and may be there twice."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def cell(self, name: str, row: int) -> Any:
        """Return a cell: None where it is null, and of binary ones a view where that copies nothing."""

    @abstractmethod
    def joined(self, columns: Mapping[str, Column], kinds: Mapping[str, Kind]) -> Any:
        """Return the batch with more columns: the same kind, and the same rows, which stay as they are."""


def table_of(batch: Any) -> Table | None:
    """Return a batch as a table, or None for what has to be iterated over.

    Raises:
        ConfigError: It is nothing that has rows.
    """
    pyarrow, pandas = sys.modules.get("pyarrow"), sys.modules.get("pandas")
    if pyarrow is not None and isinstance(batch, pyarrow.Table | pyarrow.RecordBatch):
        return _Arrow(batch)
    if pandas is not None and isinstance(batch, pandas.DataFrame):
        return _Frame(batch)
    if is_any(batch, Mapping):
        return _Columns(batch)
    if is_any(batch, list, tuple):
        return _Rows(batch)
    if is_any(batch, str, bytes) or not (hasattr(batch, "__iter__") or hasattr(batch, "__aiter__")):
        raise ConfigError(
            f"rows is {quoted(batch)}: pass a list or an iterable of dicts, a dict of columns, a Table or RecordBatch "
            "of pyarrow's, or a frame of pandas'"
        )
    return None


def checked_row(row: Any, number: int) -> Mapping[str, Any]:
    """Return a row that is a dict.

    Raises:
        ConfigError: It is something else.
    """
    if not is_any(row, Mapping):
        more = ": pass frame.to_arrow()" if type(row).__module__.startswith("polars") else ": rows are dicts"
        raise ConfigError(f"row {number} is {quoted(row)}{more}")
    found: Mapping[str, Any] = row
    return found


def is_null(value: Any) -> bool:
    """Return whether a cell is None, or what numpy and pandas have in its place."""
    is_nan = isinstance(value, Real) and bool(value != value)  # noqa: PLR0124
    return value is None or is_nan or type(value).__name__ in _NULLS


class _Rows(Table):
    """A list of dicts, which need not have the same keys."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = [checked_row(row, number) for number, row in enumerate(rows)]
        self._list: Any = list if isinstance(rows, list) else tuple

    @property
    def names(self) -> Sequence[Any]:
        return list({name: None for row in self._rows for name in row})

    def __len__(self) -> int:
        return len(self._rows)

    def cell(self, name: str, row: int) -> Any:
        return self._rows[row].get(name)

    def joined(self, columns: Mapping[str, Column], kinds: Mapping[str, Kind]) -> Any:
        del kinds
        pairs = zip(self._rows, zip(*columns.values(), strict=True), strict=True)
        return self._list({**row, **dict(zip(columns, more, strict=True))} for row, more in pairs)


class _Columns(Table):
    """A dict of columns: lists, or arrays of numpy as Ray has them."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = columns
        lengths: dict[int, str] = {}
        for name, column in columns.items():
            if is_any(column, str, bytes, Mapping) or not hasattr(column, "__len__"):
                raise ConfigError(
                    f"rows is a dict, so each of its values is a column; {name!r} is {quoted(column)}. A single row is "
                    "passed as [row]"
                )
            if getattr(getattr(column, "dtype", None), "kind", "") == "S":
                raise ConfigError(
                    f"the column {name!r} is an array of bytes of one length, which drops zeros at their ends: "
                    "np.array(…, dtype=object)"
                )
            lengths.setdefault(len(column), str(name))
        if len(lengths) > 1:
            shown = ", ".join(f"{name!r} {length}" for length, name in lengths.items())
            raise ConfigError(f"the columns differ in their lengths: {shown}")
        self._length = next(iter(lengths), 0)
        # A Series of pandas' is read by its labels, which are not the places of the rows; its array is.
        self._cells = {name: column.array if hasattr(column, "iloc") else column for name, column in columns.items()}

    @property
    def names(self) -> Sequence[Any]:
        return list(self._columns)

    def __len__(self) -> int:
        return self._length

    def cell(self, name: str, row: int) -> Any:
        return self._cells[name][row]

    def joined(self, columns: Mapping[str, Column], kinds: Mapping[str, Kind]) -> Any:
        del kinds
        numpy: Any = sys.modules.get("numpy")
        if numpy is None or not any(isinstance(each, numpy.ndarray) for each in self._columns.values()):
            return {**self._columns, **{name: list(column) for name, column in columns.items()}}
        arrays: dict[str, Any] = {}
        for name, column in columns.items():
            # An array of objects, whose None is a null; an array of numbers has none.
            arrays[name] = numpy.empty(len(column), dtype=object)
            arrays[name][:] = column
        return {**self._columns, **arrays}


class _Arrow(Table):
    """A Table or a RecordBatch of pyarrow's."""

    def __init__(self, table: Any) -> None:
        self._table = table
        # Arrays and not chunked ones, which look for their chunk with each cell.
        self._chunks: list[Any] = table.to_batches() if hasattr(table, "to_batches") else [table]
        self._at, self._first = 0, 0

    @property
    def names(self) -> Sequence[Any]:
        return list(self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def cell(self, name: str, row: int) -> Any:
        if row < self._first:
            self._at, self._first = 0, 0
        while row - self._first >= self._chunks[self._at].num_rows:
            self._first += self._chunks[self._at].num_rows
            self._at += 1
        return _value(self._chunks[self._at].column(name)[row - self._first])

    def joined(self, columns: Mapping[str, Column], kinds: Mapping[str, Kind]) -> Any:
        pa: Any = sys.modules["pyarrow"]
        types = {"text": pa.string(), "texts": pa.list_(pa.string()), "whole": pa.int64()}
        table = self._table
        for name, column in columns.items():
            array = pa.array(column, types[kinds[name]])
            table = table.append_column(pa.field(name, types[kinds[name]]), array)
        return table


def _value(scalar: Any) -> Any:
    """Return a scalar's value; of bytes a view, also within a struct or a list, as the images of ``datasets`` are."""
    pa: Any = sys.modules["pyarrow"]
    if not scalar.is_valid:
        return None
    if isinstance(scalar, pa.StructScalar):
        return {name: _value(field) for name, field in scalar.items()}
    if isinstance(scalar, pa.ListScalar) and not isinstance(scalar, pa.MapScalar):
        return [_value(each) for each in scalar]
    if isinstance(scalar, pa.BinaryScalar) and not isinstance(scalar, pa.StringScalar):
        return memoryview(scalar.as_buffer())
    return scalar.as_py()


class _Frame(Table):
    """A frame of pandas'."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self._cells: dict[str, Any] = {}

    @property
    def names(self) -> Sequence[Any]:
        return list(self._frame.columns)

    def __len__(self) -> int:
        return len(self._frame)

    def cell(self, name: str, row: int) -> Any:
        if name not in self._cells:
            self._cells[name] = self._frame[name].array
        return self._cells[name][row]

    def joined(self, columns: Mapping[str, Column], kinds: Mapping[str, Kind]) -> Any:
        pd: Any = sys.modules["pandas"]
        types = {"text": "string", "texts": "object", "whole": "Int64"}
        index = self._frame.index
        added = {name: pd.Series(column, index, types[kinds[name]]) for name, column in columns.items()}
        return self._frame.assign(**added)
