"""What a command is given, checked before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Done, Terminal, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing import Server


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cat.png",), "the last argument is the prompt, and cat.png is a file"),
        (("what is it",), "an image and a prompt are needed"),
        (("cat.png", "cat.png"), "and cat.png is a file"),
        (("what is it?", "https://example.com/cat.png"), "is a URL"),
        (("cat.png", "what", "is", "it"), "there is no file what; images first"),
        (("cat.png", " "), "the prompt is empty"),
        (("-", "-", "compare"), "is named twice"),
        (("-", "what"), "no image: stdin is empty"),
        (("dog.png", "what"), "dog.png"),
        (("cat.png", "x" * 5000), ""),
        (("notes.txt", "what"), "notes.txt"),
    ],
)
def test_images_and_prompt_are_checked_before_anything_is_sent(
    tutu: Callable[..., Done], relay: Server, arguments: tuple[str, ...], words: str
) -> None:
    Path("notes.txt").write_text("no picture")
    done = tutu("analyze", *arguments)
    if words:
        assert (done.code, done.out) == (2, "")
        assert words in one_line(done.err)
        assert relay.requests == []
    else:
        assert done.code == 0


@pytest.mark.parametrize("prompt", [(), ("-",)])
def test_chat_reads_a_pipe(tutu: Callable[..., Done], relay: Server, prompt: tuple[str, ...]) -> None:
    assert "You said" in tutu("chat", *prompt, stdin=b"from a pipe\n").out
    assert relay.requests[0].json["messages"] == [{"role": "user", "content": "from a pipe"}]
    done = tutu("chat", *prompt, stdin=b" \n")
    assert (done.code, one_line(done.err)) == (2, "error: no prompt: stdin is empty\n")


def test_chat_with_an_empty_prompt(tutu: Callable[..., Done]) -> None:
    assert tutu("chat", "") == (2, "", "error: the prompt is empty\n")
    assert tutu("chat", " ") == (2, "", "error: the prompt is empty\n")


def test_the_key_is_needed_and_never_shown(tutu: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUTU_API_KEY")
    done = tutu("models")
    assert done.code == 2
    assert "pass --api-key …, or set TUTU_API_KEY" in one_line(done.err)
    done = tutu("models", "--api-key", "sk-secret\n-secret")
    assert done.code == 2
    assert "secret" not in one_line(done.err)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("analyze", "-", "what"), "no image: stdin (-) is the terminal"), (("chat", "--json"), "no prompt: stdin")],
)
def test_a_terminal_is_not_read_for_a_pipe(arguments: tuple[str, ...], words: str) -> None:
    with Terminal(*arguments) as terminal:
        assert terminal.end() == 2
    assert words in terminal.shown
