"""What the help of commands shows beside their options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import COMMANDS, Done

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    "command",
    [
        (),
        *((name,) for name in COMMANDS),
        ("images", "edit"),
        ("images", "generate"),
        *(("batch", name) for name in ("run", "retry", "status", "export")),
    ],
)
def test_flags_and_arguments_show_no_python_types(tutu: Callable[..., Done], command: tuple[str, ...]) -> None:
    shown = tutu(*command, "--help").out
    assert "--help" in shown
    assert "bool" not in shown
    assert "list[" not in shown
    assert "<str>" not in shown


def test_what_an_option_takes_is_shown_all_the_same(tutu: Callable[..., Done]) -> None:
    shown = tutu("analyze", "--help").out
    for words in ("PIXELS", "IMAGE... PROMPT", "auto|low|high", "SECONDS"):
        assert words in shown


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("analyze", "[OPTIONS] IMAGE... PROMPT\n"),
        ("generate", "[OPTIONS] PROMPT\n"),
        ("embed", "[OPTIONS] [TEXT...]\n"),
    ],
)
def test_the_usage_line_writes_arguments_as_manual_pages_do(
    tutu: Callable[..., Done], command: str, usage: str
) -> None:
    assert usage in "".join(f"{line.rstrip()}\n" for line in tutu(command, "--help").out.splitlines())
