"""edit and generate: what is paid for is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import LONG, SKY, Done, Terminal, interrupted, one_line, process, size_of, taken_from
from tutuclient.testing import Server, chunk, draws, sample_picture, says, streams

if TYPE_CHECKING:
    from collections.abc import Callable


def test_edit_saves_the_image_and_prints_where(tutu: Callable[..., Done], relay: Server) -> None:
    assert tutu("edit", "cat.png", SKY, "-o", "sky.png") == (0, "sky.png\n", "")
    assert size_of("sky.png") == (720, 540)
    sent = relay.requests[0].json
    assert (sent["model"], sent["stream"], "stream_options" in sent) == ("gpt-4o-image", True, False)


def test_generate_saves_the_image_and_says_when_its_name_is_another(tutu: Callable[..., Done]) -> None:
    done = tutu("generate", "a red cat", "-o", "cat.jpg")
    assert (done.code, done.out) == (0, "cat-2.png\n")
    assert "cat.png exists already, so it is saved beside it" in done.err
    Path("cat.png").unlink()
    assert tutu("generate", "a red cat", "-o", "cat.jpg") == (
        0,
        "cat.png\n",
        "note: the relay sent image/png, so the extension is .png\n",
    )


def test_generate_takes_its_prompt_from_stdin(tutu: Callable[..., Done], relay: Server) -> None:
    assert tutu("generate", "-", "-o", "new", stdin="\ufeff一只猫\n".encode()) == (0, "new.png\n", "")
    assert relay.requests[0].json["messages"] == [{"role": "user", "content": "一只猫"}]


def test_edit_as_json(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png", "--json")
    answer = done.json
    (image,) = answer["images"]
    assert image["path"] == "sky.png"
    assert image["url"].startswith(relay.base_url)
    assert (image["mime"], image["size_bytes"]) == ("image/png", Path("sky.png").stat().st_size)
    assert answer["usage"]["total_tokens"] > 0
    assert (done.code, done.err) == (0, "")


def test_no_image_says_what_the_relay_said(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(says("抱歉,我不能\nedit"), says("no"))
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png")
    assert (done.code, done.out) == (8, "")
    assert "no image; the relay said: 抱歉,我不能\\nedit [request id " in one_line(done.err)
    assert not Path("sky.png").exists()
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png", "--json")
    assert (done.code, done.json["text"], done.json["images"]) == (8, "no", [])


def test_an_image_that_had_come_before_the_stream_broke_is_not_lost(tutu: Callable[..., Done], relay: Server) -> None:
    address = relay.host(sample_picture(), "early.png")
    relay.answers(streams([chunk(f"![a]({address})\n\n")], done=False, then="reset"))
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png")
    assert done.code == 7
    note, error = done.err.splitlines()
    assert (
        taken_from(note.removeprefix("note: an image that had arrived before the error is saved: ")) == sample_picture()
    )
    assert "billed" in error


@pytest.mark.slow
def test_interrupting_an_order_says_that_it_may_be_billed(relay: Server) -> None:
    relay.answers(draws(delay=30))
    with process("edit", "cat.png", SKY, "-o", "sky.png") as started:
        asyncio.run(relay.wait_requests(1, LONG))
        done = interrupted(started)
    assert (done.code, done.out) == (130, "")
    assert "bill the order all the same" in done.err


@pytest.mark.slow
def test_a_terminal_shows_the_relays_progress(relay: Server) -> None:
    relay.answers(
        streams(
            [chunk("> 排队中.\n\n"), chunk(f"> 进度 47\x1b[2J..\n![a]({relay.host(sample_picture())})\n"), chunk("")],
            delay=0.4,
        )
    )
    with Terminal("edit", "cat.png", SKY, "-o", "sky.png") as terminal:
        assert terminal.end() == 0
    assert "gpt-4o-image 排队中." in terminal.shown
    assert "\x1b[2J" not in terminal.shown
    assert "sky.png\r\n" in terminal.shown
    assert "45.1 kB" in terminal.shown
