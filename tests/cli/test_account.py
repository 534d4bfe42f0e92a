"""models, for people and for programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.cli.conftest import Done, Terminal
from tutuclient.testing import Server, raw

if TYPE_CHECKING:
    from collections.abc import Callable


def test_models_in_a_pipe_are_one_a_line(tutu: Callable[..., Done]) -> None:
    assert tutu("models") == (0, "gpt-4o\ngpt-4o-image\ngpt-4o-mini\n", "")


def test_models_as_json(tutu: Callable[..., Done]) -> None:
    listed = tutu("models", "--json").json
    assert listed["models"][0] == {"id": "gpt-4o", "owned_by": "openai", "endpoints": ["openai"]}
    assert listed["attempts"] == 1


def test_no_models(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(raw(200, b'{"object":"list","data":[]}'))
    assert tutu("models") == (0, "", "note: the relay lists no models for this key\n")


def test_a_terminal_shows_models_as_a_table() -> None:
    with Terminal("models", NO_COLOR="1") as terminal:
        assert terminal.end() == 0
    assert re.search(r"gpt-4o-image +custom +openai", terminal.shown)
