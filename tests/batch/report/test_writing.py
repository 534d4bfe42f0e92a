"""What ``batch.report.write_report`` promises: a whole folder, in place of the last one, of any text."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from tests.batch.report.samples import HOSTILE, fail, make_run, ok, rows, sent, summary
from tutuclient import ConfigError, JournalError
from tutuclient.batch.report import write_report, writing


def report_of(run: Path, **options: object) -> Path:
    return write_report(run, **options).parent  # type: ignore[arg-type]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_it_is_a_folder_in_the_runs_folder(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [ok(1), fail(2)])
    assert write_report(run) == run / "report" / "index.html"
    page = {"index.html", "icon.svg", "report.css", "report.js", "charts.js"}
    assert files(run / "report") == {*page, "data/summary.js", "data/0.js"}
    assert sorted(path.name for path in run.iterdir()) == ["journal.jsonl", "report", "run.json"]


def test_rows_hold_what_the_journal_says_of_each_item(tmp_path: Path) -> None:
    parsed = {"objects": ["猫"], "count": 2}
    run = make_run(tmp_path, [ok(1, res=parsed), fail(2, st=429, rid="r-2"), ok(3, att=2)])
    [first, second, third] = rows(report_of(run))
    assert first["x"] == parsed
    assert (second["c"], second["st"], second["r"], second["oc"]) == ("RateLimitError", 429, "r-2", "rejected")
    assert (third["id"], third["x"], third["i"], third["o"], third["a"]) == ("item3", "answer 3", 100, 20, 2)
    assert "e" not in first


def test_pieces_hold_a_thousand_rows_and_codes_tell_their_kinds(tmp_path: Path) -> None:
    records = [fail(number) if number % 10 == 3 else ok(number) for number in range(2500)]
    report = report_of(make_run(tmp_path, records))
    found = summary(report)
    assert [len(codes) for codes in found["codes"]] == [1000, 1000, 500]
    kinds = [found["kinds"][ord(code) - 48][0] for codes in found["codes"] for code in codes]
    assert kinds == ["failed" if number % 10 == 3 else "answered" for number in range(2500)]
    assert [row["id"] for row in rows(report)] == [record.id for record in records]
    assert found["counts"] == {"answered": 2250, "failed": 250, "unknown": 0}


def test_any_text_comes_back_as_it_was_and_no_tag_stands_in_a_file(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "a'b\\c<i>",
        [
            ok(1, id=HOSTILE, res={HOSTILE: [HOSTILE], "__proto__": {"x": 1}}, model=HOSTILE, rid=HOSTILE),
            fail(2, cls=HOSTILE, err=HOSTILE),
        ],
        prompt=HOSTILE,
    )
    report = report_of(run)
    [first, second] = rows(report)
    assert first["id"] == first["m"] == second["e"] == summary(report)["prompt"] == HOSTILE
    assert first["x"] == {HOSTILE: [HOSTILE], "__proto__": {"x": 1}}
    for path in (report / "data").iterdir():
        text = path.read_text(encoding="utf-8")
        assert "<" not in text
        assert text.count("\n") == 1
        assert not {"\u2028", "\u2029", "\0", "\x7f"} & set(text)


def test_no_text_of_the_run_is_in_the_page(tmp_path: Path) -> None:
    report = report_of(make_run(tmp_path, [ok(1, id="a-name-that-is-nowhere-else")]))
    for name in ("index.html", "report.js", "charts.js", "report.css"):
        assert (report / name).read_bytes() == (Path(writing.__file__).parent / "page" / name).read_bytes()


def test_the_policy_allows_nothing_from_elsewhere() -> None:
    page = (Path(writing.__file__).parent / "page" / "index.html").read_text(encoding="utf-8")
    for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "form-action 'none'"):
        assert rule in page
    assert "unsafe" not in page
    assert "style=" not in page
    assert "://" not in page


def test_numbers_that_javascript_would_round_stay_what_they_are(tmp_path: Path) -> None:
    [row] = rows(report_of(make_run(tmp_path, [ok(1, res={"id": 2**60 + 1, "small": 7, "part": 0.25, "yes": True})])))
    assert row["x"] == {"id": str(2**60 + 1), "small": 7, "part": 0.25, "yes": True}


def test_a_long_answer_is_cut_and_says_so(tmp_path: Path) -> None:
    [text, value] = rows(report_of(make_run(tmp_path, [ok(1, res="长" * 50_000), ok(2, res=list(range(50_000)))])))
    assert text["x"].startswith("长" * 20_000)
    assert text["x"].endswith("(30,000 more characters are in the journal)")
    assert len(value["x"]) < 21_000


def test_falsy_answers_are_answers(tmp_path: Path) -> None:
    found = rows(report_of(make_run(tmp_path, [ok(1, res=False), ok(2, res=0), ok(3, res=[]), ok(4, res="")])))
    assert [row["x"] for row in found] == [False, 0, [], ""]


def test_fields_of_the_request_are_shown_by_name_only_where_they_are_known(tmp_path: Path) -> None:
    run = make_run(
        tmp_path, [ok(1)], api_key="sk-planted-1", user="sk-planted-2", extra={"k": "sk-planted-3"}, max_side=9
    )
    (run / "command.json").write_text('{"fields": {"x": "sk-planted-4"}}')
    report = report_of(run)
    assert summary(report)["about"] == {"model": "gpt-4o", "max_side": 9}
    assert not [name for name in files(report) if b"sk-planted" in (report / name).read_bytes()]


def test_an_empty_run_has_a_report(tmp_path: Path) -> None:
    found = summary(report_of(make_run(tmp_path, [])))
    assert found["counts"] == {"answered": 0, "failed": 0, "unknown": 0}
    assert found["first"] is None
    assert found["latency"] is None


# --- Images ---


def test_an_edit_has_both_images_and_a_link_to_the_whole(tmp_path: Path) -> None:
    source = tmp_path / "photo.png"
    Image.new("RGB", (600, 400)).save(source)
    run = make_run(
        tmp_path / "run", [ok(1, id=str(source), img=[("photo 1.png", "0" * 64), ("gone.png", "")])], task="edit"
    )
    (run / "images").mkdir()
    Image.new("RGB", (600, 400)).save(run / "images" / "photo 1.png")
    report = report_of(run)
    [row] = rows(report)
    for name in (row["b"], row["n"][0][1]):
        assert (report / "thumbs" / name[:2] / f"{name}.webp").stat().st_size > 0
    assert row["n"][0][0] == "photo 1.png"
    assert row["n"][1] == ["gone.png", "!gone"]
    assert summary(report)["images_at"] == "../images/"


def test_images_of_a_run_named_from_here_are_not_looked_for_among_the_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run(Path("run"), [ok(1, img=[("made.png", "")])], task="edit")
    (run / "command.json").write_text(json.dumps({"place": {"folder": str(tmp_path / "photos")}}))
    (run / "images").mkdir()
    Image.new("RGB", (9, 9)).save(run / "images" / "made.png")
    report = report_of(run)
    [[name, thumb]] = rows(report)[0]["n"]
    assert name == "made.png"
    assert (report / "thumbs" / thumb[:2] / f"{thumb}.webp").is_file()


def test_an_image_is_only_looked_for_in_the_folder_of_images(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "outside.png")
    names = ["../../outside.png", str(tmp_path / "outside.png"), "..", "", "sub/x.png"]
    run = make_run(tmp_path / "run", [ok(1, img=[(name, "") for name in names])], task="edit")
    assert "n" not in rows(report_of(run))[0]


def test_words_have_no_image_before(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a red panda", "PNG")
    run = make_run(tmp_path / "run", [ok(1, id=str(tmp_path / "a red panda"))], task="generate")
    assert "b" not in rows(report_of(run))[0]


@pytest.mark.parametrize(
    "place",
    [{"folder": "photos"}, {"files": "photos"}, {"glob": "photos/*/*.png"}, {"list": "photos/list.csv"}],
    ids=lambda place: next(iter(place)),
)
def test_names_are_relative_to_what_the_command_line_was_given(tmp_path: Path, place: dict[str, str]) -> None:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "photos" / "sub" / "a.png")
    run = make_run(tmp_path / "run", [ok(1, id="sub/a.png")])
    absolute = {kind: str(tmp_path / name) for kind, name in place.items()}
    (run / "command.json").write_text(json.dumps({"place": absolute}))
    assert not rows(report_of(run))[0]["b"].startswith("!")
    assert rows(report_of(run, root=tmp_path))[0]["b"] == "!gone"


@pytest.mark.parametrize(
    "command", ["", "[]", "{}", '{"place": {}}', '{"place": {"folder": 7}}', '{"place": "x"}', "\0"]
)
def test_a_command_that_cannot_be_read_is_none(tmp_path: Path, command: str) -> None:
    run = make_run(tmp_path, [ok(1)])
    (run / "command.json").write_text(command)
    assert rows(report_of(run))[0]["b"] == "!gone"


# --- The folder ---


def test_writing_again_replaces_the_report(tmp_path: Path) -> None:
    report = report_of(make_run(tmp_path, [ok(number) for number in range(1500)]))
    (report / "left.txt").write_text("from before")
    assert "data/1.js" in files(report)
    report_of(make_run(tmp_path, [ok(1), sent(2)]))
    assert not {"data/1.js", "left.txt"} & files(report)
    assert summary(report)["counts"] == {"answered": 1, "failed": 0, "unknown": 1}
    assert not list(tmp_path.glob(".report*"))


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [ok(1)])
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "index.html").write_text("<title>my thesis</title>")
    with pytest.raises(ConfigError, match="is no report"):
        write_report(run, other)
    with pytest.raises(ConfigError, match="the run is in it"):
        write_report(run, run)
    with pytest.raises(ConfigError, match="the run is in it"):
        write_report(run, tmp_path)
    with pytest.raises(ConfigError, match="is no report"):
        write_report(run, run / "journal.jsonl")
    assert files(tmp_path) == {"thesis/index.html", "run/run.json", "run/journal.jsonl"}


def test_it_may_stand_elsewhere(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a run", [ok(1)])
    empty = tmp_path / "empty"
    empty.mkdir()
    for place in (empty, tmp_path / "new" / "deeper"):
        assert write_report(run, place) == place / "index.html"
    assert summary(tmp_path / "new" / "deeper")["images_at"] == "../../a%20run/images/"


def test_a_report_that_cannot_be_written_leaves_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = report_of(make_run(tmp_path, [ok(1)]))
    before = files(report)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_write_script", full)
    with pytest.raises(JournalError, match="No space left on device"):
        write_report(tmp_path)
    assert files(report) == before
    assert not list(tmp_path.glob(".report*"))


def test_a_report_that_cannot_be_put_in_its_place_leaves_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = report_of(make_run(tmp_path, [ok(1)]))
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if target.name == "report" and (path / "data" / "summary.js").exists() and not (path / "old").exists():
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    (report / "old").touch()
    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(JournalError, match="Permission denied"):
        write_report(tmp_path)
    assert (report / "old").exists()


def test_what_killed_writers_left_is_removed_after_a_while(tmp_path: Path) -> None:
    run = make_run(tmp_path, [ok(1)])
    old, new, other = (
        tmp_path / name for name in (".report-0a1b2c3d.part", ".report-00000000.part", ".report-mine.part")
    )
    for folder in (old, new, other):
        folder.mkdir()
        (folder / "x").touch()
    for folder in (old, other):
        os.utime(folder, (time.time() - 7200,) * 2)
    write_report(run)
    assert not old.exists()
    assert new.exists()
    assert other.exists()


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no run"):
        write_report(tmp_path)


def test_a_run_that_goes_on_may_be_reported_and_torn_lines_do_not_count(tmp_path: Path) -> None:
    run = make_run(tmp_path, [ok(1)])
    with (run / "journal.jsonl").open("ab") as file:
        file.write(b'{"k":"ok","id":"torn"')
    assert [row["id"] for row in rows(report_of(run))] == ["item1"]


def test_memory_does_not_grow_with_the_answers(tmp_path: Path) -> None:
    peaks: list[int] = []
    for count in (2000, 8000):
        run = make_run(tmp_path / str(count), (ok(number, res=f"{number:06} " * 300) for number in range(count)))
        tracemalloc.start()
        write_report(run)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The text of the other 6,000 is 12.6 MB. Held are a piece of a thousand, and some 60 bytes for each item.
    assert peaks[1] - peaks[0] < 4_000_000
