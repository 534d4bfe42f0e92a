"""The stand-in relay as a command."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Done, finished, interrupted, one_line, process, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing import Server


def test_serve_runs_until_interrupted() -> None:
    with process("serve", "--port", "0") as started:
        shown = read(started, "tutuclient chat")
        (base_url,) = re.findall(r"export TUTU_BASE_URL=(\S+)", shown)
        assert "You said" in finished("chat", "hello", "--base-url", base_url, "--api-key", "any").out
        done = interrupted(started)
    assert (done.code, done.err) == (0, "")


@pytest.mark.slow
def test_serve_with_a_key_does_not_print_it(tutu: Callable[..., Done]) -> None:
    with process("serve", "--port", "0", "--key", "sk-mine") as started:
        shown = read(started, "tutuclient chat")
        (base_url,) = re.findall(r"export TUTU_BASE_URL=(\S+)", shown)
        assert "sk-mine" not in shown
        assert tutu("models", "--base-url", base_url).code == 3
        assert tutu("models", "--base-url", base_url, "--api-key", "sk-mine").code == 0
        assert interrupted(started).code == 0


@pytest.mark.slow
def test_serve_beyond_this_computer_without_a_key_says_so() -> None:
    with process("serve", "--port", "0", "--host", "0.0.0.0") as started:  # noqa: S104  (that is the point)
        read(started, "tutuclient chat")
        time.sleep(0.1)
        assert "it asks for no key" in interrupted(started).err


def test_a_port_that_is_taken(tutu: Callable[..., Done], relay: Server) -> None:
    port = relay.origin.rpartition(":")[2]
    for command in ("serve", "demo"):
        done = tutu(command, "--port", port)
        assert (done.code, done.out) == (2, "")
        assert f"port {port} is taken: choose another with --port" in one_line(done.err)


def test_an_address_that_is_not_ours(tutu: Callable[..., Done]) -> None:
    done = tutu("serve", "--host", "192.0.2.1")
    assert done.code == 2
    assert "cannot listen on 192.0.2.1, port 8017: " in one_line(done.err)


@pytest.mark.slow
def test_verbose_prints_every_request() -> None:
    with process("serve", "--port", "0", "--verbose") as started:
        address = re.findall(r"http://\S+/v1", read(started, "Ctrl-C ends it."))[0]
        assert finished("chat", "hi", "--base-url", address).code == 0
        assert finished("models", "nothing", "--base-url", address).code == 4
        done = interrupted(started)
    lines = done.err.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d · POST /v1/chat/completions · 200 · \d+ ms · \d+ bytes", lines[0]), lines
    assert "GET /v1/models/nothing · 200" in lines[1]


@pytest.mark.slow
def test_requests_are_not_printed_by_default() -> None:
    with process("serve", "--port", "0") as started:
        address = re.findall(r"http://\S+/v1", read(started, "Ctrl-C ends it."))[0]
        assert finished("chat", "hi", "--base-url", address).code == 0
        assert interrupted(started).err == ""
