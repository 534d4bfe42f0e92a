"""Errors in one line with their exit codes, and Ctrl-C."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import KEY, LONG, SKY, Done, Terminal, interrupted, one_line, process, read
from tutuclient.cli import account
from tutuclient.cli.running import as_options
from tutuclient.testing import Server, chunk, fails, rate_limited, raw, says, streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing import Scripted


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        ([fails(401, "无效的令牌")], 3, "--api-key, or TUTU_API_KEY"),
        ([fails(403, "no")], 3, "the key may not do this"),
        ([fails(429, "no", code="insufficient_quota")], 3, "top it up"),
        ([fails(400, "bad")], 4, "bad"),
        ([fails(404, "no such model")], 4, "(tutuclient models lists what there is)"),
        ([fails(413, "large")], 4, "--max-side 2048"),
        ([fails(422, "odd")], 4, "odd"),
        ([fails(400, "no", code="content_policy_violation")], 4, "change it"),
        ([rate_limited(3600)], 5, "(the relay asks to wait 3600 s)"),
        ([rate_limited(0), rate_limited(3600)], 5, "[2 attempts]"),
        ([fails(500, "oops")] * 3, 1, "try again later"),
        ([fails(504, "late")] * 3, 7, "billed"),
        ([raw(200, b"<html><title>Panel</title>")], 8, "check --base-url"),
        ([streams([chunk("one")], done=False)], 7, "(it may have been done and billed"),
    ],
)
def test_each_error_has_its_exit_code(
    tutu: Callable[..., Done], relay: Server, answers: list[Scripted], code: int, words: str
) -> None:
    relay.answers(*answers)
    done = tutu("chat", "hi")
    assert done.code == code, done.err
    assert words in one_line(done.err) or code == 8
    assert KEY not in done.err


def test_advice_fits_the_call(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(404, "no such page"), raw(200, b"<html><title>Panel</title>"))
    done = tutu("models")
    assert done.code == 4
    assert "lists what there is" not in one_line(done.err)
    done = tutu("models")
    assert (done.code, "billed" in done.err, "to end in /v1" in done.err) == (8, False, False)


def test_no_connection(tutu: Callable[..., Done]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = tutu("chat", "hi", "--base-url", f"http://127.0.0.1:{port}")
    assert done.code == 6
    assert "check --base-url, and whether it runs" in one_line(done.err)


def test_no_time(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(says("late", delay=5))
    done = tutu("edit", "cat.png", SKY, "-o", "sky.png", "--timeout", "0.2")
    assert done.code == 7
    assert "--timeout" in one_line(done.err)


def test_debug_shows_where_an_error_came_from_and_not_the_key(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(401, "no"))
    done = tutu("chat", "hi", "--debug", "--api-key", "sk-very-secret")
    assert done.code == 3
    assert "Traceback (most recent call last)" in done.err
    assert "secret" not in done.err


def test_a_bug_of_ours_is_one_line_too(tutu: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LookupError("of\nall things")

    monkeypatch.setattr(account, "make_client", broken)
    done = tutu("models")
    assert (done.code, one_line(done.err)[:45]) == (1, "error: unexpected LookupError: of\\nall things")
    assert "in broken" in tutu("models", "--debug").err


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_error(relay: Server) -> None:
    relay.answers(says("word " * 2000, token_delay=0.001))
    with process("chat", "hi") as started:
        read(started, "word")
        assert started.stdout is not None
        started.stdout.close()
        assert started.wait(LONG) == 1
        assert started.stderr is not None
        assert started.stderr.read() == ""


def test_interrupting_a_stream_is_quick_and_quiet(relay: Server) -> None:
    relay.answers(says("word " * 2000, token_delay=0.02))
    with process("analyze", "cat.png", "what") as started:
        read(started, "word")
        done = interrupted(started)
    assert (done.code, done.err) == (130, "")
    assert done.out.endswith("\n")
    assert len(done.out.split()) < 1000  # It does not read the answer to its end, which has twice as many.
    asyncio.run(relay.wait_closed())


@pytest.mark.slow
def test_interrupting_does_not_wait_for_a_name_look_up() -> None:
    code = """
        import socket, sys, time
        sys.modules["uvloop"] = None  # It looks names up by itself.
        from tutuclient.__main__ import main
        def slow(*_, **__):
            print("looking", flush=True)
            time.sleep(600)
        socket.getaddrinfo = slow
        main()
    """
    with process("models", "--base-url", "http://relay.example", code=code) as started:
        read(started, "looking\n")
        assert interrupted(started) == (130, "", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (("chat",), "> "),
        (("chat", "hi"), "word"),
        (("analyze", "cat.png", "what"), "word"),
        (("serve", "--port", "0"), "tutuclient chat"),
    ],
    ids=["conversation", "chat", "analyze", "serve"],
)
def test_after_ctrl_c_a_prompt_stands_in_a_line_of_its_own(
    relay: Server, arguments: tuple[str, ...], seen: str
) -> None:
    relay.answers(says("word " * 500, token_delay=0.02))
    with Terminal(*arguments) as terminal:
        terminal.wait_for(seen)
        if seen == "> ":
            terminal.wait_until_it_listens()
        terminal.interrupt()
        assert terminal.end() == (0 if arguments[0] == "serve" else 130)
        assert terminal.plain.endswith("\n")
        assert not terminal.plain.replace("\r", "").endswith("\n\n\n")


@pytest.mark.slow
def test_after_ctrl_c_while_waiting_too(relay: Server) -> None:
    relay.answers(says("late", delay=LONG))
    with Terminal("chat", "hi") as terminal:
        terminal.wait_for("gpt-4o")
        terminal.interrupt()
        assert terminal.end() == 130
        assert terminal.plain.endswith("\n")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            (
                "the API key is an address: api_key (or TUTU_API_KEY) takes the key, base_url (or TUTU_BASE_URL) the "
                "address; TutuClient(api_key, base_url)"
            ),
            (
                "the API key is an address: --api-key (or TUTU_API_KEY) takes the key, --base-url (or TUTU_BASE_URL) "
                "the address; --api-key KEY --base-url URL"
            ),
        ),
        ("pass api_key=…, or set TUTU_API_KEY", "pass --api-key …, or set TUTU_API_KEY"),
        ("max_side=2048 makes it smaller", "--max-side 2048 makes it smaller"),
        (
            "base_url must not have a ?query or #fragment; pass default_query= for the former",
            "--base-url must not have a ?query or #fragment",
        ),
        (
            "api_key is given and empty: leave it out (or pass None) to take TUTU_API_KEY",
            "--api-key is given and empty: leave it out to take TUTU_API_KEY",
        ),
        (
            "no whole answer within the deadline of 5 s (timeout=)",
            "no whole answer within the deadline of 5 s (--timeout)",
        ),
        (
            "connection timeout, server.base_url and {'my_api_key': 1}",
            "connection timeout, server.base_url and {'my_api_key': 1}",
        ),
        ("pass overwrite=True", "pass --overwrite"),
        ("or pass allow_change=True, and what it changes", "or pass --allow-change, and what it changes"),
        ("equal ones once, with dedupe=True", "equal ones once, with --dedupe"),
        ("longer than max_wait=600 s", "longer than --max-wait 600 s"),
        ("resend_unknown=True orders again", "--resend-unknown orders again"),
        ("it is wrapped in an unknown way: .body has all of it)", "it is wrapped in an unknown way)"),
        ("the stream ended early; what came is in .partial", "the stream ended early"),
    ],
)
def test_advice_is_reported_in_options(message: str, told: str) -> None:
    assert as_options(message) == told
