"""analyze and chat, in a pipe and on a terminal."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Done, Terminal, one_line
from tutuclient.testing import Server, chunk, fails, sample_picture, says, streams

if TYPE_CHECKING:
    from collections.abc import Callable


def test_analyze_prints_the_answer_and_nothing_else(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("analyze", "cat.png", "这张图片有什么", "--max-tokens", "99", "--detail", "low", "-m", "gpt-4o-mini")
    assert done.code == 0
    assert done.out.startswith("这是一张 PNG 图片,720×540 像素")
    assert done.out.endswith(")\n")
    assert done.err == ""
    sent = relay.requests[0].json
    assert (sent["stream"], sent["max_tokens"], sent["model"]) == (True, 99, "gpt-4o-mini")
    assert sent["messages"][0]["content"][1]["image_url"]["detail"] == "low"


def test_analyze_sends_several_images_at_once_one_of_them_through_stdin(
    tutu: Callable[..., Done], relay: Server
) -> None:
    address = relay.host(sample_picture(), "hosted.png")
    done = tutu("analyze", "cat.png", "-", address, "Compare them", stdin=sample_picture())
    assert "Image 3: " in done.out
    assert len(relay.requests) == 1


def test_analyze_shrinks_images(tutu: Callable[..., Done]) -> None:
    assert "90x68 pixels" in tutu("analyze", "cat.png", "What is it?", "--max-side", "90").out


def test_json_is_one_object(tutu: Callable[..., Done]) -> None:
    done = tutu("analyze", "cat.png", "这张图片有什么", "--json")
    answer = done.json
    assert list(answer) == [
        "text",
        "images",
        "usage",
        "finish_reason",
        "model",
        "request_id",
        "attempts",
        "elapsed",
    ]
    assert answer["text"].startswith("这是一张")
    assert answer["usage"]["total_tokens"] > 0
    assert (answer["finish_reason"], answer["model"], answer["attempts"], answer["images"]) == ("stop", "gpt-4o", 1, [])
    assert answer["elapsed"] > 0
    assert (done.code, done.err) == (0, "")
    assert "这是" in done.out


@pytest.mark.parametrize(
    ("reason", "words"), [("length", "--max-tokens"), ("content_filter", "finish_reason content_filter"), ("stop", "")]
)
def test_an_answer_that_was_cut_off_says_so(tutu: Callable[..., Done], relay: Server, reason: str, words: str) -> None:
    relay.answers(says("one two", finish_reason=reason))
    done = tutu("analyze", "cat.png", "what")
    assert (done.code, done.out) == (0, "one two\n")
    assert words in done.err
    assert bool(words) == bool(done.err)


def test_an_answer_without_text_gives_the_addresses_of_its_images(tutu: Callable[..., Done], relay: Server) -> None:
    address = relay.host(sample_picture(), "a.png")
    part = {"type": "image_url", "image_url": {"url": address}}
    relay.answers(streams([chunk("", images=[part]), chunk(finish_reason="stop")]))
    assert tutu("chat", "draw") == (0, f"{address}\n", "")


def test_an_answer_with_nothing_in_it_is_an_error(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(streams([chunk(refusal="I will not"), chunk(finish_reason="stop")]))
    done = tutu("chat", "hi")
    assert (done.code, done.out) == (8, "")
    assert "the answer holds no text (I will not), and was billed" in one_line(done.err)
    assert "request id" in done.err


def test_as_json_an_answer_with_nothing_in_it_is_printed_and_an_error(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(says("", finish_reason="content_filter"))
    done = tutu("chat", "hi", "--json")
    assert done.code == 8
    assert json.loads(done.out)["text"] == ""
    assert "the answer holds no text (finish_reason: content_filter)" in one_line(done.err)


def test_chat_answers_once(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("chat", "hello", "--system", "Be brief", "--max-tokens", "9")
    assert done.out.startswith("I am an offline stand-in")
    assert "--max-tokens" in done.err
    sent = relay.requests[0].json
    assert sent["messages"][0] == {"role": "system", "content": "Be brief"}


@pytest.mark.slow
def test_a_terminal_shows_what_is_waited_for_and_a_summary(relay: Server) -> None:
    relay.answers(
        streams([chunk(reasoning_content="hm"), chunk("one "), chunk("two"), chunk(finish_reason="stop")], delay=0.4)
    )
    with Terminal("analyze", "cat.png", "what") as terminal:
        assert terminal.end() == 0
    assert "gpt-4o is thinking" in terminal.shown
    assert "one two\r\n" in terminal.shown
    assert re.search(r"\d\.\d s · scripted", terminal.shown)


def test_a_conversation(relay: Server) -> None:
    relay.answers(
        says("first answer"),
        fails(400, "not that"),
        says("word " * 2000, token_delay=0.01),
        says("last answer"),
    )
    with Terminal("chat", "--system", "Be brief") as terminal:
        terminal.wait_for("> ")
        terminal.type("one\r")
        terminal.wait_for("first answer\r\n> ")
        terminal.type("\r")
        terminal.wait_for("> ")
        terminal.type("two\r")
        terminal.wait_for("not that")
        terminal.wait_for("\n> ")
        terminal.type("three\r")
        terminal.wait_for("word word")
        terminal.interrupt()
        terminal.wait_for("note: stopped\r\n> ")
        terminal.type("four\r")
        terminal.wait_for("last answer\r\n> ")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert [message["content"] for message in relay.requests[-1].json["messages"]] == [
        "Be brief",
        "one",
        "first answer",
        "four",
    ]


@pytest.mark.slow
def test_interrupting_a_conversation_at_its_prompt_ends_it() -> None:
    with Terminal("chat") as terminal:
        terminal.wait_for("> ")
        terminal.wait_until_it_listens()
        terminal.interrupt()
        assert terminal.end() == 130
    assert "Traceback" not in terminal.shown
