"""What the help of commands shows beside their options."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import COMMANDS, Done

if TYPE_CHECKING:
    from collections.abc import Callable


ALL = [
    (),
    *((name,) for name in COMMANDS),
    ("images", "edit"),
    ("images", "generate"),
    *(("batch", name) for name in ("run", "retry", "status", "export", "report")),
]


@pytest.mark.parametrize("command", ALL)
def test_text_is_broken_where_a_line_is_full(tutu: Callable[..., Done], command: tuple[str, ...]) -> None:
    lines = [line.rstrip() for line in tutu(*command, "--help").out.splitlines()]
    box = next(number for number, line in enumerate(lines) if line.startswith("╭"))
    for line, following in itertools.pairwise(lines[:box]):
        if line and following:
            assert len(line) + 1 + len(following.split()[0]) > len(lines[box]) - 2, line


@pytest.mark.parametrize("command", ALL)
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
