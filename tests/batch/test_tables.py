"""Batches as people and engines hold them: cells out, columns in, and what is no batch is an error that says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tutuclient.batch.tables import Kind, checked_row, is_null, table_of
from tutuclient.errors import ConfigError

KINDS: dict[str, Kind] = {"text": "text", "tokens": "whole", "images": "texts"}
FULL: dict[str, Any] = {"text": ["a", None], "tokens": [1, None], "images": [["x"], []]}
NULLS: dict[str, Any] = {"text": [None, None], "tokens": [None, None], "images": [[], []]}
NONE: dict[str, list[Any]] = {"text": [], "tokens": [], "images": []}

TABLE = pa.table({"image": [b"1", None], "nested": [{"a": [1]}, None]})
BATCHES: dict[str, Any] = {
    "list": [{"image": b"1", "n": 1}, {"image": None}],
    "tuple": ({"image": b"1"}, {"image": None}),
    "columns": {"image": [b"1", None]},
    "arrays": {"image": np.array([b"1", None], dtype=object), "n": np.array([1, 2])},
    "table": TABLE,
    "chunked": pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(0, 0), TABLE.slice(1, 1)]),
    "batch": TABLE.to_batches()[0],
    "series": {"image": pd.Series([b"1", None], index=[1, 0]), "n": pd.Series([1, 2], index=["x", "x"])},
    "frame": pd.DataFrame({"image": [b"1", None]}, index=["x", "x"]),
}


def joined_of(batch: Any, columns: dict[str, Any]) -> Any:
    table = table_of(batch)
    assert table is not None
    return table.joined(columns, KINDS)


@pytest.mark.parametrize("kind", BATCHES)
def test_cells_are_read_and_columns_joined(kind: str) -> None:
    batch = BATCHES[kind]
    table = table_of(batch)
    assert table is not None
    assert len(table) == 2
    assert bytes(table.cell("image", 0)) == b"1"
    assert is_null(table.cell("image", 1))
    assert bytes(table.cell("image", 0)) == b"1"
    joined = table.joined(FULL, KINDS)
    assert type(joined) is type(batch)
    again = table_of(joined)
    assert again is not None
    assert list(again.names) == [*table.names, *KINDS]
    assert [again.cell("text", 0), is_null(again.cell("text", 1))] == ["a", True]
    assert [again.cell("tokens", 0), is_null(again.cell("tokens", 1))] == [1, True]
    assert [list(again.cell("images", 0)), list(again.cell("images", 1))] == [["x"], []]


@pytest.mark.parametrize("batch", [TABLE, TABLE.to_batches()[0]])
def test_arrow_has_the_same_schema_of_nulls_and_of_no_rows(batch: Any) -> None:
    full = joined_of(batch, FULL).schema
    assert joined_of(batch, NULLS).schema == full
    assert joined_of(batch.slice(0, 0), NONE).schema == full
    assert full.types[-3:] == [pa.string(), pa.int64(), pa.list_(pa.string())]


def test_pandas_has_the_same_types_of_nulls_and_of_no_rows() -> None:
    frame = BATCHES["frame"]
    full = joined_of(frame, FULL)
    assert list(full.index) == ["x", "x"]
    assert list(full.dtypes[-3:].map(str)) == ["string", "Int64", "object"]
    assert (joined_of(frame, NULLS).dtypes == full.dtypes).all()
    assert (joined_of(frame[:0], NONE).dtypes == full.dtypes).all()


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3)])
def test_bytes_of_arrow_are_views(kind: pa.DataType) -> None:
    table = table_of(pa.table({"image": pa.array([b"abc"], kind)}))
    assert table is not None
    assert isinstance(table.cell("image", 0), memoryview)
    assert bytes(table.cell("image", 0)) == b"abc"


def test_bytes_within_structs_and_lists_are_views_too() -> None:
    table = table_of(pa.table({"a": [{"bytes": b"x", "path": None}], "b": [[b"y", None]], "c": ["text"]}))
    assert table is not None
    struct, listed = table.cell("a", 0), table.cell("b", 0)
    assert (bytes(struct["bytes"]), struct["path"], bytes(listed[0]), listed[1]) == (b"x", None, b"y", None)
    assert table.cell("c", 0) == "text"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("rows", "rows is 'rows'"),
        (7, "rows is 7"),
        ([{"a": 1}, "b"], "row 1 is 'b'"),
        ({"image": "cat.jpg"}, r"A single row is passed as \[row\]"),
        ({"a": [1], "b": [1, 2]}, "the columns differ in their lengths: 'a' 1, 'b' 2"),
        ({"a": np.array([b"ab", b"c"])}, "drops zeros at their ends"),
    ],
)
def test_what_is_no_batch_is_an_error(rows: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        table_of(rows)


def test_what_has_to_be_iterated_over_is_no_table() -> None:
    assert table_of(iter([{}])) is None
    with pytest.raises(ConfigError, match="row 3 is 5: rows are dicts"):
        checked_row(5, 3)


@pytest.mark.parametrize(
    ("value", "null"),
    [
        (None, True),
        (float("nan"), True),
        (pd.NA, True),
        (pd.NaT, True),
        (np.float32("nan"), True),
        ("", False),
        (0, False),
    ],
)
def test_nulls_are_known_whatever_they_are_called(value: Any, null: bool) -> None:
    assert is_null(value) is null
