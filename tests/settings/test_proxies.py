"""Which proxy an address is reached through, by what was passed and by the environment."""

from __future__ import annotations

import pickle
import sys
import traceback
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import ConfigError, TutuClient
from tutuclient.settings import Settings, proxies
from tutuclient.settings.proxies import Proxies, clean_proxy, environment_proxies

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY = "sk-test-0123456789abcdef"
PROXY = "http://proxy.example:3128"


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    def set_all(variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


def used(url: str) -> str | None:
    """Return the proxy of the environment for an address, with the variable's name."""
    found = clean_proxy("env").of(url)
    return None if found is None else str(found)


# --- one that was passed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxy", "address", "login"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", None),
        (" https://me:word@proxy.example/ ", "https://proxy.example", ("me", "word")),
        ("http://[::1]:8080", "http://[::1]:8080", None),
        ("http://d%C3%B6mane%5Cme:p%40ss%3A%25@p.example:1", "http://p.example:1", ("dömane\\me", "p@ss:%")),
        ("http://me@p.example:1", "http://p.example:1", ("me", "")),
        ("SOCKS5H://p.example", "socks5h://p.example", None),
    ],
)
def test_reads_a_proxy_and_its_login(proxy: str, address: str, login: tuple[str, str] | None) -> None:
    found = clean_proxy(proxy).of("https://relay.example/v1")
    assert found is not None
    assert (found.address, found.login, found.source) == (address, login, "proxy=")


@pytest.mark.parametrize(
    ("proxy", "port"), [("http://p", 80), ("https://p", 443), ("socks5://p", 1080), ("http://p:7", 7)]
)
def test_a_proxy_without_a_port_has_that_of_its_scheme(proxy: str, port: int) -> None:
    found = clean_proxy(proxy).of("https://relay.example/v1")
    assert found is not None
    assert found.port == port


@pytest.mark.parametrize(
    "proxy",
    [
        *("", "proxy.example:3128", "ftp://proxy.example", "socks://proxy.example", "http://"),
        *("http://proxy.example\r\nX: y", "http://proxy.example\tx", "http://proxy example"),
        *("http://[::1", "http://proxy.example:port", "http://proxy.example:0", 5, b"http://p"),
    ],
)
def test_refuses_what_cannot_be_a_proxy(proxy: Any) -> None:
    with pytest.raises(ConfigError, match="proxy must be"):
        clean_proxy(proxy)


@pytest.mark.parametrize("login", ["me:#hunter2", "me:12/hunter2", "me:1?hunter2", "me:/hunter2", "a/hunter2:b"])
@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_a_password_that_is_not_encoded_is_no_host_and_is_not_shown(
    environ: Callable[..., None], scheme: str, login: str
) -> None:
    proxy = f"{scheme}://{login}@proxy.example:3128"
    environ({"ALL_PROXY": proxy})
    for ask in (lambda: clean_proxy(proxy), lambda: clean_proxy("env").of("https://relay.example")):
        with pytest.raises(ConfigError, match="as %2F %3F %23") as caught:
            ask()
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("http://a%3Ab:c@p.example", "colon"),
        (f"socks5://{'u' * 256}:p@p.example", "255 bytes"),
        ("socks5://u:p%C3%B6@p.example", "beyond ASCII"),
    ],
)
def test_refuses_a_login_that_no_proxy_can_read(proxy: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        clean_proxy(proxy)


def test_one_that_was_passed_is_for_every_address_as_with_httpx(environ: Callable[..., None]) -> None:
    environ({"NO_PROXY": "*"})
    one = clean_proxy(PROXY)
    for url in ("http://127.0.0.1:1/v1", "https://localhost/v1", "https://relay.example/v1"):
        assert str(one.of(url)) == f"{PROXY} (proxy=)"


def test_none_is_none_whatever_the_environment_says(environ: Callable[..., None]) -> None:
    environ({"ALL_PROXY": PROXY})
    assert Settings.make(KEY, "https://relay.example", user_agent="x", proxy=None).route is None
    assert Settings.make(KEY, "https://relay.example", user_agent="x").route is not None


# --- the environment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "https://relay.example", None),
        ({"HTTPS_PROXY": PROXY}, "https://relay.example", f"{PROXY} (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": PROXY}, "http://relay.example", None),
        ({"http_proxy": PROXY}, "http://relay.example", f"{PROXY} (http_proxy)"),
        ({"ALL_PROXY": PROXY}, "https://relay.example", f"{PROXY} (ALL_PROXY)"),
        ({"all_proxy": "http://a", "HTTPS_PROXY": PROXY}, "https://relay.example", f"{PROXY} (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "http://upper", "https_proxy": PROXY}, "https://relay.example", f"{PROXY} (https_proxy)"),
        ({"HTTPS_PROXY": PROXY, "https_proxy": ""}, "https://relay.example", None),
        ({"HTTPS_PROXY": ""}, "https://relay.example", None),
        ({"HTTPS_PROXY": " proxy.example:3128 "}, "https://relay.example", f"{PROXY} (HTTPS_PROXY)"),
        # CVE-2016-1000110: within CGI, a header "Proxy:" of a stranger is the variable HTTP_PROXY.
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, "http://relay.example", None),
        ({"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, "http://relay.example", f"{PROXY} (http_proxy)"),
    ],
    ids=str,
)
def test_finds_the_proxy_of_the_environment(
    environ: Callable[..., None], variables: dict[str, str], url: str, proxy: str | None
) -> None:
    environ(variables)
    assert used(f"{url}/v1") == proxy


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "api.localhost", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::ffff:127.0.0.1]:80"],
)
def test_loopback_is_never_proxied(environ: Callable[..., None], host: str) -> None:
    environ({"ALL_PROXY": PROXY, "HTTP_PROXY": PROXY})
    assert used(f"http://{host}/v1") is None


@pytest.mark.parametrize("host", ["localhost.example", "mylocalhost", "128.0.0.1", "[::2]", "127.0.0.1.example"])
def test_what_only_looks_like_loopback_is(environ: Callable[..., None], host: str) -> None:
    environ({"ALL_PROXY": PROXY})
    assert used(f"http://{host}/v1") is not None


@pytest.mark.parametrize(
    ("exceptions", "direct", "proxied"),
    [
        ("*", "https://relay.example https://10.0.0.1", ""),
        ("other.example, *", "https://relay.example", ""),
        ("relay.example", "https://relay.example https://a.relay.example", "https://myrelay.example https://example"),
        (".relay.example", "https://relay.example https://a.relay.example", "https://myrelay.example"),
        ("*.relay.example", "https://a.b.relay.example", "https://myrelay.example"),
        ("RELAY.example", "https://relay.EXAMPLE https://relay.example.", ""),
        (
            " a.example ,\tb.example c.example,,",
            "https://a.example https://b.example https://c.example",
            "https://d.example",
        ),
        ("relay.example:8443", "https://relay.example:8443", "https://relay.example http://relay.example:80"),
        ("relay.example:443", "https://relay.example https://a.relay.example:443", "http://relay.example"),
        ("10.0.0.0/8,192.168.1.7", "https://10.200.3.4 http://192.168.1.7:99", "https://11.0.0.1 https://192.168.1.8"),
        ("10.0.0.5/8", "https://10.1.1.1", "https://11.0.0.1"),
        ("[fd00::1]:8443", "https://[fd00::1]:8443", "https://[fd00::1]"),
        ("fd00::1", "https://[fd00::1] https://[fd00:0::1]:5", "https://[fd00::2]"),
        ("[fd00::1]", "https://[fd00::1]:1", "https://[fd00::2]"),
        ("fd00::/8,[fe80::]/10", "https://[fd12::9] https://[fe80::3]", "https://[2001:db8::1]"),
        ("http://relay.example,all://b.example", "http://relay.example https://b.example", "https://relay.example"),
        ("0.0.1", "", "https://10.0.0.1"),
        (".", "", "https://relay.example"),
        ("", "", "https://relay.example"),
        ("[::1", "", "https://relay.example https://[fd00::1]"),
        ("10.0.0.0/99", "", "https://10.0.0.1"),
    ],
)
def test_no_proxy_names_what_is_reached_directly(
    environ: Callable[..., None], exceptions: str, direct: str, proxied: str
) -> None:
    environ({"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": exceptions})
    assert [url for url in direct.split() if used(url) is not None] == []
    assert [url for url in proxied.split() if used(url) is None] == []


@pytest.mark.parametrize("bad", ["socks://p:1", "ftp://p", "http://p:port", "::::", "http://a%3Ab:Passw0rd@p"])
def test_a_proxy_that_cannot_be_used_is_told_of_and_not_gone_past(environ: Callable[..., None], bad: str) -> None:
    environ({"ALL_PROXY": bad})
    with pytest.raises(ConfigError, match="ALL_PROXY") as caught:
        TutuClient(KEY, "https://relay.example")
    assert "Passw0rd" not in str(caught.value)
    TutuClient(KEY, "http://127.0.0.1:8000")  # Where it is not asked, it does no harm.
    TutuClient(KEY, "https://relay.example", proxy=None)


def test_socks_without_its_package_says_what_to_install(
    environ: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"^proxy is a SOCKS proxy.*pip install 'tutuclient\[socks\]'$"):
        TutuClient(KEY, "https://relay.example", proxy="socks5://p")
    environ({"ALL_PROXY": "socks5h://p"})
    with pytest.raises(ConfigError, match=r"^ALL_PROXY is a SOCKS proxy.*pip install 'tutuclient\[socks\]'$"):
        TutuClient(KEY, "https://relay.example")


def test_the_environment_is_read_when_the_client_is_made(environ: Callable[..., None]) -> None:
    environ({"HTTPS_PROXY": PROXY})
    made = Settings.make(KEY, "https://relay.example", user_agent="x")
    environ({"HTTPS_PROXY": "http://other.example"})
    assert str(made.changed(max_retries=0).route) == f"{PROXY} (HTTPS_PROXY)"


def test_proxies_of_the_system_have_its_own_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"https": PROXY})
    monkeypatch.setattr(urllib.request, "proxy_bypass", lambda host: host == "inside.example")
    assert used("https://relay.example/v1") == f"{PROXY} (the system's settings)"
    assert used("https://inside.example/v1") is None


# --- secrets, and travelling -----------------------------------------------------------------------------------------


def test_a_password_is_not_shown() -> None:
    found = clean_proxy("http://me:hunter2@proxy.example:3128")
    one = found.of("https://relay.example")
    for shown in (repr(found), str(found), repr(one), str(one), f"{one}"):
        assert "hunter2" not in shown
    assert "hunter2" not in str.__str__(found.without_password().addresses["all"][0])
    assert str(found.without_password().of("https://relay.example")) == f"{PROXY} (proxy=)"


def test_no_frame_of_a_proxy_that_cannot_be_used_shows_its_password(environ: Callable[..., None]) -> None:
    environ({"HTTPS_PROXY": "http://me:hunter2@proxy.example:port"})
    found = clean_proxy("env")
    with pytest.raises(ConfigError) as caught:
        found.of("https://relay.example")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "hunter2" not in str([frame.locals for frame in shown.stack])


def test_one_that_was_passed_travels_and_those_of_the_environment_are_read_where_it_arrives(
    environ: Callable[..., None],
) -> None:
    passed = clean_proxy("http://me:hunter2@proxy.example:3128")
    assert pickle.loads(pickle.dumps(passed)) == passed  # noqa: S301  (our own bytes)
    environ({"HTTPS_PROXY": "http://me:hunter2@proxy.example:3128", "NO_PROXY": "a.example"})
    data = pickle.dumps(environment_proxies(implied=True))
    assert b"hunter2" not in data
    environ({"HTTPS_PROXY": "http://there.example"})
    again = pickle.loads(data)  # noqa: S301  (our own bytes)
    assert str(again.of("https://relay.example")) == "http://there.example (HTTPS_PROXY)"
    assert again.implied
    assert Proxies() == clean_proxy(None)
