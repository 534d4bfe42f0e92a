"""The whole round of the demo."""

from __future__ import annotations

import asyncio
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import SKY, Done, Terminal, finished, interrupted, one_line, process, read, size_of
from tutuclient import TutuClient
from tutuclient.cli import demo

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing import Server

pytestmark = pytest.mark.slow


@pytest.fixture
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_TOKEN_DELAY", 0.0)


@pytest.mark.usefixtures("_no_delay")
def test_demo_shows_the_whole_round_and_may_be_repeated(tutu: Callable[..., Done]) -> None:
    for _ in range(2):
        done = tutu("demo")
        assert (done.code, done.err) == (0, "")
    assert SKY in done.out
    assert "it is no model" in done.out
    assert "\x1b" not in done.out
    folder = Path("tutuclient-demo")
    assert sorted(path.name for path in folder.iterdir()) == ["after.png", "before-after.png", "before.png", "demo.py"]
    assert size_of(f"{folder}/before.png") == size_of(f"{folder}/after.png") == (720, 540)
    assert size_of(f"{folder}/before-after.png")[0] > 2 * 720
    assert (folder / "before.png").read_bytes() != (folder / "after.png").read_bytes()


@pytest.mark.usefixtures("_no_delay")
def test_the_three_lines_of_the_demo_run(tutu: Callable[..., Done], relay: Server, tmp_path: Path) -> None:
    shown = tutu("demo", "-o", str(tmp_path)).out
    lines = re.search(r"three lines of Python:\n\n((?:   .+\n){3})\n", shown)
    assert lines is not None
    inner = textwrap.indent(textwrap.dedent(lines[1]), "        ")
    program = f"async def main():\n    async with TutuClient() as client:\n{inner}\nasyncio.run(main())"
    Path("after.png").unlink()
    exec(program, {"asyncio": asyncio, "TutuClient": TutuClient})  # noqa: S102  (that they run is the promise)
    assert size_of("after.png") == (720, 540)
    assert [seen.json["model"] for seen in relay.requests] == ["gpt-4o", "gpt-4o-image"]


@pytest.mark.usefixtures("_no_delay")
def test_the_program_of_the_demo_runs(tutu: Callable[..., Done], tmp_path: Path) -> None:
    tutu("demo", "-o", str(tmp_path))
    Path("after.png").unlink()
    done = finished(code=Path("demo.py").read_text("utf-8"))
    assert (done.code, done.err) == (0, "")
    assert "这是一张" in done.out
    assert Path("after.png").exists()


def test_demo_leaves_files_of_others_alone(tutu: Callable[..., Done], tmp_path: Path) -> None:
    Path("after.png").write_text("mine")
    done = tutu("demo", "-o", str(tmp_path))
    assert done.code == 2
    assert "after.png is there already, and not from an earlier demo" in one_line(done.err)
    assert Path("after.png").read_text() == "mine"
    assert "cannot be used" in one_line(tutu("demo", "-o", "after.png").err)


def test_demo_without_pillow_says_what_it_needs(tutu: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> bytes:
        raise ImportError("no PIL")

    monkeypatch.setattr("tutuclient.testing.sample_picture", missing)
    done = tutu("demo")
    assert done.code == 2
    assert "pip install pillow" in one_line(done.err)


def test_demo_streams_on_a_terminal_and_breaks_lines_before_the_edge() -> None:
    with Terminal("demo") as terminal:
        terminal.wait_for("这是一张")
        assert "before-after.png" not in terminal.shown
        assert terminal.end() == 0
    assert "橙色" in terminal.shown


def test_demo_keeps_the_relay_until_interrupted() -> None:
    with process("demo", "--keep") as started:
        (base_url,) = re.findall(r"goes on at (\S+)", read(started, "until Ctrl-C."))
        assert finished("models", "--base-url", base_url).code == 0
        done = interrupted(started)
    assert (done.code, done.err) == (0, "")


def test_interrupting_a_demo_in_the_middle() -> None:
    with process("demo") as started:
        read(started, "as they come")
        done = interrupted(started)
    assert (done.code, done.err) == (130, "")
