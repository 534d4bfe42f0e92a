"""The page beside the stand-in, beside a real relay, and at the end of the demo."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import KEY, Done, interrupted, one_line, process, read

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tutuclient.testing import Server


def address_in(started: subprocess.Popen[str], last: str = "\n") -> tuple[str, str]:
    """Return where the page is, and its token."""
    shown = read(started, "/#")
    origin = re.findall(r"http://\S+(?=/#)", shown)[-1]
    return origin, read(started, last).strip().split()[0]


def about(origin: str, token: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{origin}/api/about", headers={"X-Tutu-Token": token})  # noqa: S310  (our own)
    with urllib.request.urlopen(request) as answer:  # noqa: S310  (as above)
        told: dict[str, Any] = json.load(answer)
        return told


def test_serve_with_the_page_serves_both() -> None:
    with process("serve", "--ui", "--port", "0", "--ui-port", "0") as started:
        (base_url,) = re.findall(r"export TUTU_BASE_URL=(\S+)", read(started, "tutuclient chat"))
        origin, token = address_in(started)
        told = about(origin, token)
        assert (told["relay"], told["standIn"], told["sample"]) == (base_url, True, True)
        with socket.create_connection(("127.0.0.1", int(origin.rpartition(":")[2]))) as nonsense:
            nonsense.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert b" 400 " in nonsense.recv(1000)  # And nothing of it on the terminal.
        done = interrupted(started)
    assert (done.code, done.err) == (0, "")


def test_the_page_of_a_relay_has_the_key_of_the_environment_and_does_not_print_it(relay: Server) -> None:
    with process("serve", "--ui", "--relay", relay.base_url, "--ui-port", "0") as started:
        origin, token = address_in(started, "Ctrl-C ends it.")
        told = about(origin, token)
        assert (told["relay"], told["standIn"]) == (relay.base_url, False)
        request = urllib.request.Request(f"{origin}/api/models", headers={"X-Tutu-Token": token})  # noqa: S310
        with urllib.request.urlopen(request):  # noqa: S310  (our own)
            pass
        done = interrupted(started)
    assert relay.requests[-1].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in done.out + done.err + json.dumps(told)


def test_a_relay_without_the_page_or_with_a_key_is_a_mistake(tutu: Callable[..., Done], relay: Server) -> None:
    for arguments in (("--relay", relay.base_url), ("--ui", "--relay", relay.base_url, "--key", "sk-mine-0123")):
        done = tutu("serve", *arguments)
        assert done.code == 2
        assert "the relay's key is read from TUTU_API_KEY" in one_line(done.err)
        assert "sk-mine" not in done.err


@pytest.mark.parametrize(
    ("url", "key", "told"),
    [
        ("", KEY, "--relay is given and empty: pass the relay's address;"),
        ("ftp://relay.example", KEY, "--relay"),
        ("http://127.0.0.1:9/v1", None, "no API key: set TUTU_API_KEY (OPENAI_API_KEY is read too); for a server"),
    ],
)
def test_advice_names_the_options_that_there_are(
    tutu: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, url: str, key: str | None, told: str
) -> None:
    for name in ("TUTU_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    if key is not None:
        monkeypatch.setenv("TUTU_API_KEY", key)
    done = tutu("serve", "--ui", "--relay", url)
    assert done.code == 2
    assert told in one_line(done.err)
    assert "--api-key" not in done.err
    assert "--base-url" not in done.err


def test_the_pages_port_may_be_taken(tutu: Callable[..., Done], relay: Server) -> None:
    port = relay.origin.rpartition(":")[2]
    done = tutu("serve", "--ui", "--relay", relay.base_url, "--ui-port", port)
    assert done.code == 2
    assert f"port {port} is taken: choose another with --ui-port" in one_line(done.err)
    done = tutu("serve", "--ui", "--relay", relay.base_url, "--host", "192.0.2.1")
    assert "cannot listen on 192.0.2.1, port 8018: " in one_line(done.err)


@pytest.mark.slow
def test_a_page_that_others_may_reach_says_so() -> None:
    with process("serve", "--ui", "--port", "0", "--ui-port", "0", "--host", "0.0.0.0", "--key", "any") as started:  # noqa: S104  (that is the point)
        address_in(started)
        assert started.stderr is not None
        assert "other computers may reach the page" in started.stderr.readline()
        assert interrupted(started).code == 0


@pytest.mark.slow
def test_the_demo_ends_with_the_page_when_asked(tmp_path: Path) -> None:
    with process("demo", "--ui", "-o", str(tmp_path / "out")) as started:
        told = about(*address_in(started))
        assert told["standIn"] is True
        assert interrupted(started).code == 0
    assert (tmp_path / "out" / "before-after.png").exists()
