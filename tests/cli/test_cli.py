"""The entry point: help, version, wrong usage, a missing extra, and errors that no command caught."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tutuclient
from tests.cli.conftest import COMMANDS, LONG, Done, finished, one_line
from tutuclient import cli

if TYPE_CHECKING:
    from collections.abc import Callable


def test_no_help_imports_aiohttp() -> None:
    code = """
        import sys
        from tutuclient.cli import run
        for command in ([], *([name] for name in sys.argv[1:])):
            assert run([*command, "--help"]) == 0
            heavy = {"aiohttp", "PIL", "msgspec", "anyio"} & set(sys.modules)
            assert not heavy, (command, heavy)
    """
    done = finished(*COMMANDS, code=code)
    assert done.code == 0, done.err
    assert done.out.count("Usage: tutuclient") == 1 + len(COMMANDS)


def test_help_lists_the_exit_codes(tutu: Callable[..., Done]) -> None:
    shown = tutu("--help").out
    documented = re.findall(r"^ (\d+): ", shown, re.MULTILINE)
    assert documented == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "74", "130"]


def test_version(tutu: Callable[..., Done]) -> None:
    assert tutu("--version") == (0, f"tutuclient {tutuclient.__version__}\n", "")


def test_no_command_shows_the_help(tutu: Callable[..., Done]) -> None:
    done = tutu()
    assert (done.code, done.err) == (2, "")
    assert "analyze" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("anlyze",), "Did you mean 'analyze'?"),
        (("edit", "cat.png", "sky"), "Missing option '--output'"),
        (("chat", "--max-tokens", "0", "hi"), "(see tutuclient chat --help)"),
        (("analyze", "cat.png", "what", "--detail", "most"), "'most'"),
        (("models", "--nothing"), "--nothing"),
    ],
)
def test_wrong_usage_is_one_line(tutu: Callable[..., Done], arguments: tuple[str, ...], words: str) -> None:
    done = tutu(*arguments)
    assert (done.code, done.out) == (2, "")
    assert words in one_line(done.err)


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_missing_extra_is_named(missing: str) -> None:
    code = f"""
        import sys
        sys.modules["{missing}"] = None
        from tutuclient.__main__ import main
        main()
    """
    done = finished("--help", code=code)
    assert (done.code, done.out) == (1, "")
    assert "pip install typer rich" in one_line(done.err)


def test_the_version_needs_no_extra() -> None:
    code = """
        import sys
        sys.modules["typer"] = sys.modules["rich"] = None
        from tutuclient.__main__ import main
        main()
    """
    assert finished("--version", code=code) == (0, f"tutuclient {tutuclient.__version__}\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    "arguments", [("--version",), ("--help",), ("chat", "hi"), ("edit", "cat.png", "blur it", "-o", "made.png")]
)
def test_standard_streams_may_be_closed(closed: str, arguments: tuple[str, ...]) -> None:
    command = shlex.join([sys.executable, "-m", "tutuclient", *arguments])
    done = subprocess.run(f"{command} {closed}", shell=True, capture_output=True, timeout=LONG, check=False)  # noqa: S602  (our own command)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (done.stdout == b"") is (">&-" in closed.replace("2>&-", ""))
    assert Path("made.png").exists() is (arguments[0] == "edit")


def test_a_pipe_that_was_closed_holds_no_prompt() -> None:
    command = shlex.join([sys.executable, "-m", "tutuclient", "chat"])
    done = subprocess.run(f"{command} <&-", shell=True, capture_output=True, text=True, timeout=LONG, check=False)  # noqa: S602  (our own command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "stdin is empty" in one_line(done.stderr)


def test_another_missing_module_is_a_bug_and_not_hidden() -> None:
    code = """
        import sys
        sys.modules["tutuclient.errors"] = None
        from tutuclient.__main__ import main
        main()
    """
    assert "ModuleNotFoundError" in finished(code=code).err


def test_what_is_wrong_outside_of_commands_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LookupError

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(LookupError):
        cli.run([])


def test_interrupting_before_a_command_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", interrupted)
    assert cli.run([]) == 130
