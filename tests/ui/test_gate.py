"""Who may ask the page's server for what."""

from __future__ import annotations

from typing import Any

import pytest

from tutuclient._meta import Headers
from tutuclient.ui.gate import Gate

TOKEN = "t" * 32
OWN = {
    "Host": "127.0.0.1:8018",
    "Origin": "http://127.0.0.1:8018",
    "Sec-Fetch-Site": "same-origin",
    "X-Tutu-Token": TOKEN,
}


def code(path: str = "/api/calls", method: str = "POST", *, listens: str = "127.0.0.1", **headers: Any) -> str | None:
    given = OWN | {name.replace("_", "-"): value for name, value in headers.items()}
    there = Headers({name: value for name, value in given.items() if value is not None})
    refusal = Gate(listens, TOKEN).refusal(method, path, there)
    return refusal and refusal.code


def test_the_page_itself_may_ask() -> None:
    assert code() is None
    assert code(Sec_Fetch_Site=None, Origin=None) is None  # What is no browser sends neither.


@pytest.mark.parametrize("host", ["localhost:8018", "127.0.0.1:9000", "[::1]:8018", "127.0.0.1", "LOCALHOST"])
def test_this_computers_own_names_are_known_whatever_port_a_tunnel_has(host: str) -> None:
    assert code(Host=host, Origin=f"http://{host}") is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8018", "127.0.0.1.nip.io:8018", "localhost.evil.example", "a.localhost",
        "192.168.1.7:8018", "169.254.169.254", "", "127.0.0.1@evil.example", "evil.example/127.0.0.1", "127.0.0.1:x",
        "[::1", "localhost.", "0.0.0.0",  # noqa: S104  (refused)
        "127.1", "2130706433", "[::ffff:192.168.1.7]",
    ],
)  # fmt: skip
def test_other_names_are_refused_since_they_may_be_pointed_here(host: str) -> None:
    for path in ("/", "/app.js", "/images/x", "/api/about"):
        assert code(path, "GET", Host=host, Origin=None) == "host"


def test_a_request_without_a_host_is_refused() -> None:
    assert code(Host=None) == "host"


def test_elsewhere_addresses_and_the_name_asked_for_are_known() -> None:
    for host in ("192.168.1.7:8018", "[fe80::1]:8018", "localhost", "box.lan:8018"):
        assert code(listens="box.lan", Host=host, Origin=f"http://{host}") is None
    assert code(listens="box.lan", Host="evil.example", Origin=None) == "host"


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:9999", "https://127.0.0.1:8018", "null", "", "file://",
     "http://localhost:8018", "http://127.0.0.1:8018.evil.example"],
)  # fmt: skip
def test_other_origins_are_refused_with_the_token_too(origin: str) -> None:
    assert code(Origin=origin) == "origin"
    assert code("/", "GET", Origin=origin) == "origin"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_what_another_site_caused_is_refused(site: str) -> None:
    for path in ("/app.js", "/images/x", "/api/about"):
        assert code(path, "GET", Origin=None, Sec_Fetch_Site=site) == "origin"


def test_a_link_opens_the_page_and_a_frame_does_not() -> None:
    linked: dict[str, Any] = {"Origin": None, "Sec_Fetch_Site": "cross-site", "X_Tutu_Token": None}
    assert code("/", "GET", **linked, Sec_Fetch_Dest="document") is None
    for kind in ("iframe", "embed", "object", "script", "image", "empty", ""):
        assert code("/", "GET", **linked, Sec_Fetch_Dest=kind) == "origin"
    assert code("/", "POST", **linked, Sec_Fetch_Dest="document") == "origin"


@pytest.mark.parametrize("token", [None, "", "x" * 32, TOKEN[:-1], TOKEN + "t", "令牌\udcff"])
def test_calls_need_the_token_of_this_start(token: str | None) -> None:
    assert code(X_Tutu_Token=token) == "token"
    assert code("/api/about", "GET", X_Tutu_Token=token) == "token"
    assert code("/app.js", "GET", X_Tutu_Token=token) is None
