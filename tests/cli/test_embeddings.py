"""embed: texts from arguments, files and pipes into lines of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Done, Terminal, one_line
from tutuclient.testing import Recorded, Server, fails, raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing.exchange import Answer


def counted(seen: Recorded) -> Answer:
    """Return the number of each text as a vector of two."""
    rows = [{"index": number, "embedding": [float(number), 0.5]} for number, _ in enumerate(seen.json["input"])]
    return raw(
        200, json.dumps({"data": rows, "model": "small", "usage": {"prompt_tokens": 3, "total_tokens": 3}}).encode()
    )


def lines(done: Done) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.out.splitlines()]


def test_each_text_is_a_line(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("embed", "a red panda", "一只猫", "--dimensions", "8")
    first, second = lines(done)
    assert (first["text"], second["text"]) == ("a red panda", "一只猫")
    assert first["embedding"] != second["embedding"]
    assert len(str(first["embedding"]).split(",")) == 8
    assert (done.code, done.err) == (0, "")
    (sent,) = relay.requests
    assert (sent.json["model"], sent.json["dimensions"]) == ("text-embedding-3-small", 8)


def test_as_json_it_is_one_object(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(counted)
    assert list(tutu("embed", "one", "two", "--json").json.items())[:3] == [
        ("embeddings", [{"text": "one", "embedding": [0.0, 0.5]}, {"text": "two", "embedding": [1.0, 0.5]}]),
        ("usage", {"prompt_tokens": 3, "total_tokens": 3}),
        ("model", "small"),
    ]


@pytest.mark.parametrize("arguments", [(), ("-",), ("-f", "texts.txt")])
def test_texts_are_read_from_lines(tutu: Callable[..., Done], relay: Server, arguments: tuple[str, ...]) -> None:
    written = "\ufeffone\r\n\n  \ntwo\n"
    Path("texts.txt").write_text(written, encoding="utf-8", newline="")
    relay.answers(counted)
    assert [line["text"] for line in lines(tutu("embed", *arguments, stdin=written.encode()))] == ["one", "two"]


def test_many_texts_go_in_calls_of_a_hundred(tutu: Callable[..., Done], relay: Server) -> None:
    texts = "".join(f"text {number}\n" for number in range(250)).encode()
    relay.answers(*[counted] * 6)
    assert [line["text"] for line in lines(tutu("embed", stdin=texts))] == [f"text {number}" for number in range(250)]
    assert [len(seen.json["input"]) for seen in relay.requests] == [100, 100, 50]
    described = tutu("embed", "--json", stdin=texts).json
    assert (len(described["embeddings"]), described["attempts"]) == (250, 3)
    assert described["usage"] == {"prompt_tokens": 9, "total_tokens": 9}


def test_a_call_that_does_not_say_what_it_used_leaves_the_sum_unknown(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(counted, raw(200, b'{"data": [{"embedding": [1.0]}]}'))
    assert tutu("embed", "--json", stdin=b"text\n" * 101).json["usage"] is None


def test_what_was_done_before_an_error_is_said(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(counted, fails(400, "too long"), counted, fails(400, "too long"))
    done = tutu("embed", stdin=b"text\n" * 101)
    assert (done.code, len(done.out.splitlines())) == (4, 100)
    assert done.err.startswith("note: the first 100 texts are done, and above\nerror: ")
    done = tutu("embed", "--json", stdin=b"text\n" * 101)
    assert (done.code, done.out) == (4, "")
    assert "too long" in one_line(done.err)


def test_fewer_vectors_than_texts_are_an_error(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(raw(200, b'{"data": [{"embedding": [1.0]}]}'))
    done = tutu("embed", "one", "two")
    assert (done.code, done.out) == (8, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "only empty lines"),
        (("-", "-"), "named twice"),
        (("-f", "missing.txt"), "missing.txt cannot be read"),
        ((" ",), ""),
    ],
)
def test_empty_or_invalid_texts_are_refused(
    tutu: Callable[..., Done], relay: Server, arguments: tuple[str, ...], words: str
) -> None:
    done = tutu("embed", *arguments, stdin=b"\n \n")
    assert (done.code, done.out) == (2, "")
    assert words in one_line(done.err)
    assert relay.requests == []


@pytest.mark.slow
def test_a_terminal_shows_the_beginning_of_each_vector(relay: Server) -> None:
    relay.answers(counted)
    with Terminal("embed", "a red panda\x1b[2J") as terminal:
        assert terminal.end() == 0
    assert "a red panda\\x1b[2J · 2 numbers: 0.0000 0.5000 …\r\n" in terminal.plain


@pytest.mark.slow
def test_a_terminal_is_not_read_for_a_pipe() -> None:
    with Terminal("embed") as terminal:
        assert terminal.end() == 2
    assert "no text: stdin (-) is the terminal" in terminal.plain
