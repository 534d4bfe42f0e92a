"""What is printed: harmless, exact, and fit for what reads it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Done, Terminal, finished, one_line
from tutuclient.testing import Server, fails, raw, says

if TYPE_CHECKING:
    from collections.abc import Callable


def test_json_invents_no_usage(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(says("hello", usage=False))
    assert tutu("chat", "hi", "--json").json["usage"] is None


EVIL = "a\x1b]0;owned\x07\x1b[2Jb\r\x9b31mc\td\n\u202ee"


@pytest.mark.parametrize("arguments", [("chat", "hi"), ("analyze", "cat.png", "what")])
def test_text_cannot_move_the_cursor(tutu: Callable[..., Done], relay: Server, arguments: tuple[str, ...]) -> None:
    relay.answers(says(EVIL))
    assert tutu(*arguments).out == "a\\x1b]0;owned\\x07\\x1b[2Jb\\x9b31mc\td\n\\u202ee\n"


def test_json_is_exact_and_cannot_move_the_cursor_either(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(says(EVIL))
    done = tutu("chat", "hi", "--json")
    assert done.json["text"] == EVIL
    assert done.out[:-1].isprintable()


def test_errors_models_and_request_ids_cannot_move_the_cursor(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(400, f"no {EVIL}"), raw(200, json.dumps({"data": [{"id": EVIL}]}).encode()))
    assert one_line(tutu("chat", "hi").err)[:-1].isprintable()
    assert tutu("models").out[:-1].isprintable()


def test_traceback_cannot_move_the_cursor(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(400, f"no {EVIL}"))
    err = tutu("chat", "hi", "--debug").err
    assert "Traceback" in err
    assert err.replace("\n", "").isprintable()


@pytest.mark.slow
def test_output_that_is_not_unicode_still_works(relay: Server) -> None:
    relay.answers(says("é你😀"), says("é你😀"))
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    assert finished("chat", "hi", env=environ).out == "\\xe9\\u4f60\\U0001f600\n"
    assert json.loads(finished("chat", "hi", "--json", env=environ).out)["text"] == "é你😀"


@pytest.mark.slow
def test_a_terminal_that_can_do_little_shows_little(relay: Server) -> None:
    relay.answers(says("fine", delay=0.3))
    with Terminal("chat", "hi", TERM="dumb") as terminal:
        assert terminal.end() == 0
    assert terminal.shown.startswith("fine\r\n")
