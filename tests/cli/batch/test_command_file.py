"""What a run was started with, kept in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tutuclient import ConfigError
from tutuclient.cli.batch.command_file import Command, check_folder, load


def saved(command: Command, run: Path) -> Command:
    run.mkdir(exist_ok=True)
    (run / "run.json").write_text('{"format": 1}')
    command.source(run)
    command.save(run)
    found = load(run)
    assert found is not None
    return found


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    command = Command(["cat.png"], str(tmp_path), "\udcff 图", fields={"max_tokens": 5}, schema={"type": "object"})
    found = saved(command, tmp_path / "run")
    assert found == command
    assert (found.total, found.place, found.model) == (1, {"files": str(tmp_path)}, "gpt-4o")
    assert load(tmp_path) is None


def test_it_becomes_keywords_of_map() -> None:
    assert Command([], "", "what", fields={"temperature": 0.0}, max_side=90).map_options() == {
        "model": "gpt-4o", "temperature": 0.0, "detail": "high", "max_side": 90
    }  # fmt: skip
    assert Command([], "", dedupe=True).map_options()["dedupe"] is True
    assert Command([], "", task="generate").map_options() == {"model": "gpt-4o-image", "generate": True}
    assert Command([], "", "x", "edit", "m").map_options() == {"model": "m", "edit": True, "detail": "high"}
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert Command([], "", "x", schema=schema, schema_name="A").map_options()["response_format"].__name__ == "A"


def test_other_items_are_refused_unless_that_is_meant(tmp_path: Path) -> None:
    Path("a").mkdir()
    Path("a/b.png").write_bytes(b"x")
    run = tmp_path / "run"
    saved(Command(["cat.png"], str(tmp_path), "what"), run)
    other = Command(["a"], str(tmp_path), "what")
    other.source(run)
    with pytest.raises(ConfigError, match="begun with other items .files .* and folder .*--allow-change"):
        other.check(run, allow_change=False)
    other.check(run, allow_change=True)
    more = Command(["cat.png", "a/b.png"], str(tmp_path), "what")
    more.source(run)
    more.check(run, allow_change=False)


def test_a_folder_with_other_things_in_it_is_no_runs(tmp_path: Path) -> None:
    check_folder(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    check_folder(tmp_path / "empty")
    with pytest.raises(ConfigError, match="is not empty and holds no run .cat.png is in it.: choose another"):
        check_folder(tmp_path)
    with pytest.raises(ConfigError, match="is not a folder: choose another one"):
        check_folder(tmp_path / "cat.png")


@pytest.mark.parametrize("text", ["", "[]", '{"base": 1}', "\xff"])
def test_what_is_damaged_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "command.json").write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match="command.json cannot be read .*: remove it"):
        load(tmp_path)
