"""The answers of a run as a file."""

from __future__ import annotations

import csv
import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.batch.runs import full_disk
from tests.cli.conftest import Done, finished
from tutuclient import ConfigError
from tutuclient.batch.lines import Record, encode
from tutuclient.cli.batch.export import export, format_of

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\tx", "\rx", "  =1", "＝1", '=HYPERLINK("http://h")']
HARMLESS = ["-5", "+3.2", "-1e5", "12%", "a=b", "", "图片", "'quoted", "1-2"]


def run_of(*records: Record) -> Path:
    run = Path("run")
    run.mkdir(exist_ok=True)
    (run / "run.json").write_text('{"format": 1}')
    with (run / "journal.jsonl").open("wb") as file:
        file.writelines(map(encode, records))
    return run


def ok(name: str, value: Any, **more: Any) -> Record:
    return Record(k="ok", id=name, key="1", res=value, t=1_700_000_000.5, att=1, dur=0.25, **more)


def exported(run: Path, kind: str, **options: Any) -> list[dict[str, Any]]:
    export(run, Path(f"out.{kind}"), kind, **options)
    with Path(f"out.{kind}").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file)) if kind == "csv" else [json.loads(line) for line in file]


def test_json_lines_have_each_item_as_it_was_last() -> None:
    run = run_of(
        ok("a", {"what": "一只猫"}, tin=3, tout=4, fin="stop", model="m", rid="r", st=200),
        Record(k="fail", id="b", key="2", cls="BadRequestError", outcome="rejected", err="no", st=400, t=1.0),
        Record(k="sent", id="c", key="3", t=1.0),
        ok("d", "text", img=[("d-1.png", "00")]),
    )
    a, b, c, d = exported(run, "jsonl")
    assert a == {
        "id": "a", "outcome": "done", "value": {"what": "一只猫"}, "images": None, "error": None, "message": None,
        "finish_reason": "stop", "tokens_in": 3, "tokens_out": 4, "attempts": 1, "seconds": 0.25, "status": 200,
        "model": "m", "request_id": "r", "time": "2023-11-14T22:13:20.500+00:00",
    }  # fmt: skip
    assert (b["outcome"], b["error"], b["message"], b["value"]) == ("rejected", "BadRequestError", "no", None)
    assert (c["outcome"], c["attempts"]) == ("unknown", None)
    assert d["images"] == ["images/d-1.png"]


def test_csv_opens_in_spreadsheets_and_keeps_what_has_parts_as_json() -> None:
    run = run_of(ok("a", {"what": "一"}, img=[("x.png", "0")]), ok("b", 'two\nlines, "quoted"'))
    assert export(run, Path("a.csv"), "csv") == 2
    assert Path("a.csv").read_bytes().startswith(b"\xef\xbb\xbfid,outcome,")
    first, second = exported(run, "csv")
    assert (first["value"], first["images"], first["seconds"]) == ('{"what": "一"}', '["images/x.png"]', "0.25")
    assert second["value"] == 'two\nlines, "quoted"'


def test_no_cell_is_run_as_a_formula_and_numbers_stay() -> None:
    run = run_of(*(ok(f"item{place}", text) for place, text in enumerate([*HOSTILE, *HARMLESS])))
    assert [row["value"] for row in exported(run, "csv")] == [*(f"'{text}" for text in HOSTILE), *HARMLESS]
    assert [row["value"] for row in exported(run, "csv", raw=True)] == [*HOSTILE, *HARMLESS]
    run = run_of(ok("=evil", "x"), Record(k="fail", id="b", key="2", cls="A", err="@evil"))
    assert [(row["id"], row["message"]) for row in exported(run, "csv")] == [("'=evil", ""), ("b", "'@evil")]


def test_only_answers_or_only_failures() -> None:
    run = run_of(ok("a", "x"), Record(k="fail", id="b", key="2"), Record(k="sent", id="c", key="3"))
    assert [row["id"] for row in exported(run, "jsonl", failed=False)] == ["a"]
    assert [row["id"] for row in exported(run, "jsonl", failed=True)] == ["b", "c"]


def test_a_file_is_whole_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(ok("a", "x"))
    Path("out.jsonl").write_text("before")

    def broken(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dumps", broken)
    with pytest.raises(OSError, match="No space left"):
        export(run, Path("out.jsonl"), "jsonl")
    assert Path("out.jsonl").read_text() == "before"
    assert not list(Path.cwd().glob(".out*"))


def test_what_is_printed_has_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    assert export(run_of(ok("a", "\x1b[31m图\u202e")), None, "jsonl") == 1
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert json.loads(shown)["value"] == "\x1b[31m图\u202e"


@pytest.mark.parametrize(
    ("output", "asked", "found"),
    [
        ("a.csv", None, "csv"),
        ("a.JSONL", None, "jsonl"),
        ("a.txt", "csv", "csv"),
        ("-", None, "jsonl"),
        ("-", "csv", "csv"),
    ],
)
def test_the_format_is_that_of_the_name(output: str, asked: str | None, found: str) -> None:
    assert format_of(output, asked) == found


@pytest.mark.parametrize(("output", "asked"), [("a", None), ("a.xlsx", None), ("-", "parquet"), ("a.b/c", None)])
def test_other_formats_are_said(output: str, asked: str | None) -> None:
    with pytest.raises(ConfigError, match="name a file that ends in|Parquet is written into a file"):
        format_of(output, asked)


def test_parquet_is_written_in_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    parquet: Any = import_module("pyarrow.parquet")
    monkeypatch.setattr("tutuclient.cli.batch.export._ROW_GROUP", 2)
    run = run_of(ok("a", {"n": 1}), ok("b", "x"), Record(k="fail", id="c", key="2"))
    assert export(run, Path("a.parquet"), "parquet") == 3
    file = parquet.ParquetFile("a.parquet")
    groups = [file.read_row_group(number).column("value").to_pylist() for number in range(file.num_row_groups)]
    assert groups == [['{"n": 1}', "x"], [None]]
    assert str(file.schema_arrow.field("images").type).startswith("list<")


def test_without_pyarrow_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match='pip install pyarrow .the extra "batch"'):
        export(run_of(ok("a", "x")), Path("a.parquet"), "parquet")
    assert not Path("a.parquet").exists()


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_full_disk_has_its_exit_code_and_leaves_no_file(tutu: Callable[..., Done], kind: str) -> None:
    run = run_of(*(ok(str(number), f"{number} " * 4000) for number in range(9)))
    with full_disk(4000):
        done = tutu("batch", "export", str(run), "-o", f"out.{kind}")
    assert (done.code, done.out) == (74, "")
    assert re.fullmatch("error: the output could not be written: .*File too large\n", done.err)
    assert not list(Path().glob("*out*"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("count", [1, 9000])
def test_a_full_disk_behind_stdout_has_its_exit_code(count: int) -> None:
    run = run_of(*(ok(str(number), "text") for number in range(count)))
    with Path("/dev/full").open("w") as full:
        done = finished("batch", "export", str(run), "-o", "-", "--format", "csv", stdout=full)
    assert (done.code, done.err) == (74, "error: the output could not be written: No space left on device\n")
