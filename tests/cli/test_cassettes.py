"""serve --record and serve --replay, as commands."""

from __future__ import annotations

import re
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import KEY, Done, finished, interrupted, one_line, process, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing import Server


def address(started: object) -> str:
    """Return the address that a command says is its own, once it has said all."""
    shown = read(started, "TUTU_BASE_URL=http")  # type: ignore[arg-type]
    return str(re.findall(r"http://\S+", shown)[0])


@pytest.mark.slow
def test_what_is_recorded_is_replayed_without_the_relay(relay: Server) -> None:
    with process("serve", "--record", relay.base_url, "--cassette", "chat.jsonl", "--port", "0", "-v") as started:
        first = finished("chat", "hello", "--base-url", address(started)).out
        done = interrupted(started)
    assert done.code == 0
    assert "POST /v1/chat/completions · 200" in done.err
    assert "hello" in first
    assert KEY not in Path("chat.jsonl").read_text(encoding="utf-8")
    asked = len(relay.requests)
    with process("serve", "--replay", "chat.jsonl", "--speed", "inf", "--port", "0") as started:
        base_url = address(started)
        assert finished("chat", "hello", "--base-url", base_url, "--api-key", "any").out == first
        other = finished("chat", "hallo", "--base-url", base_url)
        assert other.code == 4
        assert 'recorded "hello", asked "hallo"' in one_line(other.err)
        done = interrupted(started)
    assert done.code == 0
    assert "tutuclient cassette: chat.jsonl has no POST /v1/chat/completions" in done.err
    assert len(relay.requests) == asked


@pytest.mark.slow
def test_a_full_disk_ends_the_recording(relay: Server) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    arguments = ("serve", "--record", relay.base_url, "--cassette", "chat.jsonl", "--port", "0")
    with process(*arguments, preexec_fn=small_files) as started:
        base_url = address(started)
        # What was asked for comes to its end, though not all of it can be recorded.
        asked = finished("chat", "hello", "--base-url", base_url)
        assert (asked.code, "hello" in asked.out) == (0, True)
        out, err = started.communicate(timeout=60)
    assert started.returncode == 74, (out, err)
    assert "chat.jsonl cannot be written any more: File too large; what is in it can be replayed" in err
    assert Path("chat.jsonl").read_text(encoding="utf-8").endswith("}\n")
    assert len(relay.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--record", "https://relay.example"], "recording takes both: --record URL --cassette FILE"),
        (["--cassette", "a.jsonl"], "recording takes both"),
        (["--replay", "a.jsonl", "--record", "x", "--cassette", "y"], "choose one"),
        (["--speed", "2"], "--speed is for --replay FILE"),
        (["--replay", "a.jsonl", "--key", "sk-x"], "--key is for the stand-in"),
        (["--replay", "a.jsonl"], "there is no cassette a.jsonl: record it first"),
        (["--replay", "cat.png"], "cat.png is no cassette"),
        (["--replay", "a.jsonl", "--speed", "-1"], "a speed is a number of 0 or more"),
        (["--record", "ftp://x", "--cassette", "a.jsonl"], "the address to record is none"),
        (["--record", "relay.example", "--cassette", "cat.png"], "cat.png is no cassette"),
        (["--record", "relay.example", "--cassette", "no/where.jsonl"], "cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_work_is_told_in_a_line(tutu: Callable[..., Done], arguments: list[str], told: str) -> None:
    done = tutu("serve", *arguments)
    assert (done.code, done.out) == (2, "")
    assert told in one_line(done.err)


def test_a_port_that_is_taken(tutu: Callable[..., Done], relay: Server) -> None:
    port = relay.origin.rpartition(":")[2]
    done = tutu("serve", "--record", relay.base_url, "--cassette", "a.jsonl", "--port", port)
    assert done.code == 2
    assert f"port {port} is taken" in one_line(done.err)
