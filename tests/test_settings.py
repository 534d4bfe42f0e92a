"""What ``tutuclient.settings`` promises: clean values or a clear refusal, and a key that nobody sees."""

from __future__ import annotations

import json
import pickle
import re
import traceback
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient.client import TutuClient
from tutuclient.errors import ConfigError
from tutuclient.settings import (
    DEFAULT_BASE_URL,
    UNSET,
    RetryPolicy,
    Secret,
    Settings,
    Timeout,
    clean_base_url,
    clean_headers,
    clean_key,
    clean_proxy,
    clean_query,
    clean_retry,
    clean_timeout,
    gather,
    header_lines,
    merged_headers,
    origin_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "sk-0123456789abcdefSECRET"


def settings(environ: Mapping[str, str] | None = None, **changes: Any) -> Settings:
    arguments: dict[str, Any] = {
        "api_key": None,
        "base_url": None,
        "timeout": UNSET,
        "max_retries": None,
        "retry": None,
        "max_connections": 8,
        "max_concurrency": None,
        "max_response_bytes": 1000,
        "default_headers": None,
        "default_query": None,
        "proxy": None,
        "verify": True,
        "strict_finish": False,
        "allow_private_downloads": False,
        "middleware": (),
        "attempt_middleware": (),
        "on_usage": None,
        "user_agent": "tutuclient/1",
    }
    return gather(**arguments | changes, environ=environ or {})


def refusal(environ: Mapping[str, str] | None = None, **changes: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        settings(environ, **changes)
    return caught.value


def frames_of_ours(error: BaseException) -> str:
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    return "".join(f"{frame.name} {frame.locals}" for frame in stack if "/tests/" not in frame.filename)


# --- who is asked first ----------------------------------------------------------------------------------------------

BOTH = {
    "TUTU_API_KEY": "tutu",
    "TUTU_BASE_URL": "https://tutu.example/v1",
    "OPENAI_API_KEY": "openai",
    "OPENAI_BASE_URL": "https://openai.example/v1",
}


@pytest.mark.parametrize(
    ("arguments", "left_out", "key", "host"),
    [
        ({"api_key": "mine", "base_url": "https://mine.example/v1"}, "", "mine", "mine.example"),
        ({"api_key": "mine"}, "", "mine", "tutu.example"),
        ({"base_url": "https://mine.example/v1"}, "", "tutu", "mine.example"),
        ({}, "", "tutu", "tutu.example"),
        ({}, "TUTU_", "openai", "openai.example"),
        ({}, "TUTU_API", "openai", "tutu.example"),
        ({"api_key": "mine"}, "TUTU_", "mine", "openai.example"),
        ({"base_url": "https://mine.example/v1"}, "TUTU_", "openai", "mine.example"),
    ],
)
def test_arguments_come_before_tutu_before_openai(
    arguments: dict[str, str], left_out: str, key: str, host: str
) -> None:
    environ = {name: value for name, value in BOTH.items() if not left_out or not name.startswith(left_out)}
    found = settings(environ, **arguments)
    assert (str(found.api_key), found.base_url) == (key, f"https://{host}/v1")
    assert str(found.headers["Authorization"]) == f"Bearer {key}"


@pytest.mark.parametrize(("environ", "arguments"), [({"TUTU_API_KEY": KEY}, {}), ({}, {"api_key": KEY})])
def test_without_a_base_url_a_key_of_the_relay_goes_to_the_relay(
    environ: dict[str, str], arguments: dict[str, str]
) -> None:
    assert settings(environ, **arguments).base_url == DEFAULT_BASE_URL


def test_a_key_for_openai_is_not_sent_to_another_company() -> None:
    error = refusal({"OPENAI_API_KEY": KEY})
    assert "OPENAI_BASE_URL" in str(error)
    assert "TUTU_API_KEY" in str(error)
    assert KEY not in str(error)


@pytest.mark.parametrize("environ", [{}, {"TUTU_API_KEY": ""}, {"TUTU_BASE_URL": "https://relay.example"}])
def test_a_missing_key_is_said_with_what_to_do(environ: dict[str, str]) -> None:
    assert "TUTU_API_KEY" in str(refusal(environ))


def test_reads_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTU_API_KEY", KEY)
    given_names = dict.fromkeys(("api_key", "base_url", "max_retries", "retry", "proxy"))
    found = gather(
        **given_names,  # type: ignore[arg-type]  # all of them may be None
        timeout=3,
        max_connections=1,
        max_concurrency=1,
        max_response_bytes=1,
        default_headers=None,
        default_query=None,
        verify=False,
        strict_finish=True,
        allow_private_downloads=True,
        middleware=(),
        attempt_middleware=(),
        on_usage=None,
        user_agent="x",
    )
    assert found.api_key == KEY
    assert (found.timeout.total, found.verify, found.strict_finish, found.allow_private_downloads) == (
        3,
        False,
        True,
        True,
    )


@pytest.mark.parametrize("name", ["max_connections", "max_concurrency", "max_response_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "8", True])
def test_refuses_numbers_that_cannot_count(name: str, value: object) -> None:
    assert name in str(refusal({}, api_key=KEY, **{name: value}))


@pytest.mark.parametrize(("connections", "concurrency", "slots"), [(8, None, 8), (8, 3, 3), (8, 20, 8)])
def test_no_call_waits_inside_the_pool(connections: int, concurrency: int | None, slots: int) -> None:
    assert settings(api_key=KEY, max_connections=connections, max_concurrency=concurrency).slots == slots


# --- what is given and empty -----------------------------------------------------------------------------------------

# In shells, compose files and CI a variable that was not set arrives as "".


@pytest.mark.parametrize("empty", ["", " ", "\n", "\t "])
@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("base_url", {"api_key": KEY}),
        ("base_url", {}),
        ("api_key", {"base_url": "https://mine.example/v1"}),
        ("api_key", {}),
    ],
)
def test_an_argument_that_is_given_and_empty_is_wrong(name: str, others: dict[str, str], empty: str) -> None:
    error = refusal(BOTH, **{name: empty}, **others)
    assert f"{name} is given and empty" in str(error)
    assert name.upper() in str(error)


@pytest.mark.parametrize(
    ("environ", "arguments", "key", "url"),
    [
        (BOTH | {"TUTU_API_KEY": "", "TUTU_BASE_URL": ""}, {}, "openai", "https://openai.example/v1"),
        (BOTH | {"TUTU_API_KEY": " ", "TUTU_BASE_URL": "\n"}, {}, "openai", "https://openai.example/v1"),
        ({"TUTU_API_KEY": "t", "OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}, {}, "t", DEFAULT_BASE_URL),
        ({"TUTU_BASE_URL": ""}, {"api_key": "k", "base_url": "r.example"}, "k", "https://r.example/v1"),
        ({"TUTU_API_KEY": ""}, {"api_key": "k"}, "k", DEFAULT_BASE_URL),
        ({"TUTU_BASE_URL": "", "TUTU_API_KEY": "t"}, {"base_url": "r.example"}, "t", "https://r.example/v1"),
    ],
)
def test_an_empty_variable_counts_as_not_set(
    environ: dict[str, str], arguments: dict[str, str], key: str, url: str
) -> None:
    found = settings(environ, **arguments)
    assert (str(found.api_key), found.base_url) == (key, url)


@pytest.mark.parametrize(
    ("environ", "arguments", "named"),
    [
        (BOTH | {"TUTU_API_KEY": ""}, {}, "TUTU_API_KEY"),
        ({"TUTU_API_KEY": "", "OPENAI_API_KEY": "o"}, {"base_url": "https://mine.example"}, "TUTU_API_KEY"),
        (BOTH | {"TUTU_BASE_URL": ""}, {}, "TUTU_BASE_URL"),
        (BOTH | {"TUTU_BASE_URL": " "}, {"api_key": "mine"}, "TUTU_BASE_URL"),
        ({"TUTU_BASE_URL": "", "TUTU_API_KEY": "t"}, {}, "TUTU_BASE_URL"),
        ({"TUTU_BASE_URL": ""}, {"api_key": "mine"}, "TUTU_BASE_URL"),
        ({"TUTU_BASE_URL": ""}, {"api_key": lambda: "mine"}, "TUTU_BASE_URL"),
    ],
)
def test_an_empty_variable_sends_no_key_to_the_address_of_another(
    environ: dict[str, str], arguments: dict[str, Any], named: str
) -> None:
    assert f"{named} is set and empty" in str(refusal(environ, **arguments))


# --- what is swapped -------------------------------------------------------------------------------------------------

# Keys as vendors write them, none of them real.
KEYS = (
    KEY,
    "sk-ant-api03-AbCdEf_0123456789",
    "sk_live_0123456789abcdef",
    "gsk_0123456789abcdefABCDEF",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "0123456789abcdef0123456789abcdef",
    "0123456789abcdef0123456789abcdef.AbCdEf0123456789",
    "0123456789abcdef0123456789abcdef.AbCdEfGhIjKlMnOp",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "fk1234-9876abcdef",
    "secretword",
    "a.b_c~d+e/f==",
    "Bearer sk-0123456789abcdef",
)
ADDRESSES = (
    "https://relay.example/v1",
    "http://relay.example",
    "HTTPS://Relay.Example",
    "relay.example/v1",
    "relay.example:8443/v1/",
    "localhost:8000",
    "127.0.0.1:8000/v1",
    "[::1]:8000",
    "'https://relay.example/v1'",
    "https://relay.example/v1/chat/completions",
)


def assert_hides(error: ConfigError, key: str) -> None:
    packed = pickle.dumps(error)
    everything = f"{error} {error!r} {vars(error)} {error.args} {packed!r} {frames_of_ours(error)}"
    assert key.removeprefix("Bearer ") not in everything
    assert error.__cause__ is None


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("by", ["arguments", "environment", "openai's environment"])
def test_a_key_in_place_of_the_address_is_refused_unseen(key: str, by: str) -> None:
    url = "https://relay.example/v1"
    error = {
        "arguments": lambda: refusal(api_key=url, base_url=key),
        "environment": lambda: refusal({"TUTU_API_KEY": url, "TUTU_BASE_URL": key}),
        "openai's environment": lambda: refusal({"OPENAI_API_KEY": url, "OPENAI_BASE_URL": key}),
    }[by]()
    assert "swapped" in str(error) or "looks like a key" in str(error) or "spaces" in str(error)
    assert_hides(error, key)
    assert_hides(refusal(api_key="any-word", base_url=key), key)


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_in_place_of_the_key_is_refused(address: str) -> None:
    for error in (
        refusal(api_key=address),
        refusal(api_key=address, base_url="https://relay.example/v1"),
        refusal({"TUTU_API_KEY": address, "TUTU_BASE_URL": "https://relay.example/v1"}),
        refusal(api_key=address, base_url=KEY),
    ):
        assert "api_key" in str(error)
        assert "base_url" in str(error)
        assert "SECRET" not in str(error)


@pytest.mark.parametrize(
    "host",
    [
        "relay.example",
        "my-very-long-deployment-name-0123456789.openai.azure.com",
        "e7d9f0a1b2c3d4e5f6a7b8c9.ngrok.app",
        "10.0.0.7:3000",
        "sk-relay.example",
        "new-api:3000",
        "http://new-api",
        "http://my_service:3000/v1",
        "https://relay",
        "中转.example",
        "RELAY.EXAMPLE",
        "relay.example.",
    ],
)
def test_a_host_is_no_key(host: str) -> None:
    assert settings(api_key=KEY, base_url=host).base_url


@pytest.mark.parametrize(
    "changes",
    [
        {"timeout": KEY},
        {"max_connections": KEY},
        {"max_concurrency": f"Bearer {KEY}"},
        {"max_response_bytes": KEY.encode()},
        {"max_retries": KEY},
        {"middleware": [KEY]},
        {"middleware": KEY},
        {"default_headers": {f"{KEY}:": "x"}},
        {"proxy": KEY},
        {"timeout": {"key": KEY}},
        {"default_headers": KEY},
    ],
    ids=str,
)
def test_a_key_in_any_other_setting_is_not_shown(changes: dict[str, Any]) -> None:
    error = refusal(api_key="any-word", **changes)
    assert "SECRET" not in f"{error} {error!r} {vars(error)} {pickle.dumps(error)!r}"


# --- base URLs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pasted", "clean"),
    [
        ("https://relay.example", "https://relay.example/v1"),
        ("https://relay.example/", "https://relay.example/v1"),
        ("https://relay.example/v1", "https://relay.example/v1"),
        ("https://relay.example/v1/", "https://relay.example/v1"),
        ("https://relay.example/v1///", "https://relay.example/v1"),
        ("https://relay.example//v1", "https://relay.example/v1"),
        ("https://relay.example//", "https://relay.example/v1"),
        ("relay.example", "https://relay.example/v1"),
        ("relay.example/api", "https://relay.example/api"),
        ("relay.example:8443", "https://relay.example:8443/v1"),
        ("localhost:8000", "http://localhost:8000/v1"),
        ("LocalHost", "http://localhost/v1"),
        ("127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("[::1]:8000", "http://[::1]:8000/v1"),
        ("localhost.example", "https://localhost.example/v1"),
        ("127.0.0.1.example", "https://127.0.0.1.example/v1"),
        ("[2001:db8::1]", "https://[2001:db8::1]/v1"),
        ("http://[2001:DB8::1]:8080/v1", "http://[2001:db8::1]:8080/v1"),
        ("https://relay.example/v1/chat/completions", "https://relay.example/v1"),
        ("https://relay.example/v1/chat/completions/", "https://relay.example/v1"),
        ("https://relay.example/v1//chat/completions", "https://relay.example/v1"),
        ("https://relay.example/chat/completions", "https://relay.example/v1"),
        ("https://relay.example/v1/completions", "https://relay.example/v1"),
        ("https://relay.example/v1/embeddings", "https://relay.example/v1"),
        ("https://relay.example/v1/images/generations", "https://relay.example/v1"),
        ("https://relay.example/v1/images/edits", "https://relay.example/v1"),
        ("https://relay.example/v1/images/variations", "https://relay.example/v1"),
        ("https://relay.example/v1/audio/speech", "https://relay.example/v1"),
        ("https://relay.example/v1/audio/transcriptions", "https://relay.example/v1"),
        ("https://relay.example/v1/audio/translations", "https://relay.example/v1"),
        ("https://relay.example/v1/models", "https://relay.example/v1"),
        ("https://relay.example/v1/responses", "https://relay.example/v1"),
        ("https://relay.example/api/v1", "https://relay.example/api/v1"),
        ("https://relay.example/openai/v1/", "https://relay.example/openai/v1"),
        ("https://relay.example/openai/v1/chat/completions", "https://relay.example/openai/v1"),
        ("https://relay.example/v1beta", "https://relay.example/v1beta"),
        ("https://relay.example/mymodels", "https://relay.example/mymodels"),
        ("https://relay.example/v1?", "https://relay.example/v1"),
        ("HTTPS://Relay.Example/V1", "https://relay.example/V1"),
        ("HTTP://RELAY.EXAMPLE:80", "http://relay.example:80/v1"),
        ("https://relay.example:443/v1", "https://relay.example:443/v1"),
        ("  https://relay.example/v1\n", "https://relay.example/v1"),
        ("'https://relay.example/v1'", "https://relay.example/v1"),
        ("“https://relay.example/v1”", "https://relay.example/v1"),
        ("`https://relay.example/v1 `", "https://relay.example/v1"),
        ("https://中转.example/v1", "https://中转.example/v1"),
        ("https://xn--fiq228c.example", "https://xn--fiq228c.example/v1"),
        (DEFAULT_BASE_URL, DEFAULT_BASE_URL),
    ],
)
def test_makes_a_base_url_of_what_was_pasted(pasted: str, clean: str) -> None:
    assert clean_base_url(pasted) == clean
    assert clean_base_url(clean) == clean


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        " ",
        "''",
        "https://",
        "https:///v1",
        "https:/relay.example/v1",
        "https:relay.example",
        "ftp://relay.example/v1",
        "file:///etc/passwd",
        "://relay.example",
        "https://user:hunter2@relay.example/v1",
        "https://user@relay.example",
        "https://@relay.example",
        "https://relay.example/v1?key=1",
        "https://relay.example/v1#top",
        "https://relay example/v1",
        "https://relay.example/v1\r\nX: y",
        "https://relay.example/v1\nX",
        "https://relay.example/\x00",
        "https://relay.example/\tv1",
        "https://relay.example\\v1",
        "https://relay\u200b.example",
        "https://relay.example\u3000/v1",
        "https://relay.example:port/v1",
        "https://relay.example:99999/v1",
        "https://[::1/v1",
        "https://[nowhere]/v1",
        "https://user:hunter2@ex\u2100mple.com",
    ],
)
def test_refuses_a_base_url_that_cannot_be_meant(pasted: str) -> None:
    with pytest.raises(ConfigError, match="base_url") as caught:
        clean_base_url(pasted)
    assert str(caught.value).isprintable()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [5, b"https://relay.example", ["https://relay.example"]])
def test_refuses_a_base_url_that_is_no_text(value: Any) -> None:
    with pytest.raises(ConfigError, match=f"not {type(value).__name__}"):
        clean_base_url(value)


@given(text=st.text(max_size=40) | st.text("htps:/@[].?#\\ v1:8", max_size=25))
def test_any_text_is_a_base_url_or_refused(text: str) -> None:
    try:
        clean = clean_base_url(text)
    except ConfigError:
        return
    assert clean == clean_base_url(clean)
    assert not clean.endswith("/")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://relay.example/v1", "https://relay.example:443"),
        ("http://Relay.example/v1", "http://relay.example:80"),
        ("https://relay.example:8443", "https://relay.example:8443"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
        ("https:", "https://:443"),
    ],
)
def test_an_origin_has_its_port_written(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_settings_know_the_origin_of_the_relay() -> None:
    assert settings(api_key=KEY, base_url="Relay.example").origin == "https://relay.example:443"


# --- the key ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pasted",
    [
        KEY,
        f"  {KEY}\n",
        f'"{KEY}"',
        f"'{KEY}'",
        f"“{KEY}”",
        f"`{KEY}`",
        f"Bearer {KEY}",
        f"bearer   {KEY}",
        f"BEARER\t{KEY}",
        f"Authorization: Bearer {KEY}",
        f"authorization:bearer {KEY}",
        f'"Bearer {KEY}"',
        f'Bearer "{KEY}"',
        f"\u00a0{KEY}\u3000",
    ],
)
def test_takes_off_what_comes_along_with_a_key(pasted: str) -> None:
    assert str(clean_key(pasted)) == KEY


@pytest.mark.parametrize("key", ["any", "EMPTY", "bearerless", "sk-a.b_c~d+e/f==", "{'a':1}"])
def test_leaves_other_keys_alone(key: str) -> None:
    assert str(clean_key(key)) == key


@pytest.mark.parametrize(
    "pasted",
    [
        f"{KEY}\n{KEY}",
        f"{KEY}\r\nX-Evil: 1",
        f"{KEY} {KEY}",
        f"{KEY}\x00",
        f"{KEY[:9]}\u200b{KEY[9:]}",
        f"{KEY}密钥",
        f"{KEY}\u00ad",
        f"Basic {KEY}",
        f"{KEY[:9]}\t{KEY[9:]}",
    ],
)
def test_refuses_a_mangled_key_without_showing_it(pasted: str) -> None:
    error = refusal(api_key=pasted)
    assert KEY[:6] not in str(error) + repr(error) + frames_of_ours(error)


@pytest.mark.parametrize("pasted", ["", " ", '""', "Bearer", "Bearer ", "Authorization: Bearer"])
def test_refuses_a_key_of_which_nothing_is_left(pasted: str) -> None:
    with pytest.raises(ConfigError, match="empty"):
        clean_key(pasted)


@pytest.mark.parametrize("value", [b"sk-bytes", 5])
def test_refuses_a_key_that_is_no_text(value: Any) -> None:
    error = refusal(api_key=value)
    assert type(value).__name__ in str(error)
    assert "sk-bytes" not in str(error)


@pytest.mark.parametrize(
    ("environ", "arguments"),
    [
        ({}, {"api_key": KEY, "base_url": "ftp://relay.example"}),
        ({"TUTU_API_KEY": KEY}, {"base_url": "ftp://relay.example"}),
        ({"OPENAI_API_KEY": KEY}, {}),
        ({}, {"api_key": KEY, "max_connections": 0}),
        ({}, {"api_key": KEY, "timeout": -1}),
        ({}, {"api_key": f"{KEY}\n{KEY}"}),
        ({"TUTU_API_KEY": f"Bearer {KEY}\n{KEY}"}, {}),
    ],
)
def test_tracebacks_with_locals_do_not_show_the_key(environ: dict[str, str], arguments: dict[str, Any]) -> None:
    shown = frames_of_ours(refusal(environ, **arguments))
    assert "gather" in shown
    assert "SECRET" not in shown


@pytest.mark.parametrize("name", ["default_headers", "default_query", "proxy", "middleware"])
def test_settings_of_a_wrong_type_do_not_show_the_key(name: str) -> None:
    wrong: dict[str, Any] = {name: 5}
    with pytest.raises(ConfigError, match=name.removeprefix("default_")) as caught:
        TutuClient(KEY, **wrong)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in shown.stack if "tutuclient" in frame.filename]
    assert frames
    assert "SECRET" not in str([frame.locals for frame in frames])


@pytest.mark.parametrize(
    "changes", [{"api_key": f"{KEY} {KEY}"}, {"api_key": KEY.encode()}, {"api_key": KEY, "timeout": -1}]
)
def test_options_that_cannot_work_do_not_show_the_key(changes: dict[str, Any]) -> None:
    client = TutuClient("another-key")
    with pytest.raises(ConfigError) as caught:
        client.with_options(**changes)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "SECRET" not in str([frame.locals for frame in shown.stack if frame.name != caught.traceback[0].name])


def test_nothing_that_only_looks_sees_a_secret() -> None:
    found = settings(
        api_key=KEY,
        proxy="http://me:hunter2@proxy.example:3128",
        default_headers={"X-Api-Key": "hunter2"},
    )
    holder = {"settings": found, "list": [found.api_key, (found.headers, found.proxy)]}
    for shown in (repr(found), str(found), repr(holder), f"{found!r}", f"{holder}", repr([Secret(KEY)])):
        assert "SECRET" not in shown
        assert "hunter2" not in shown
        assert "***" in shown


def test_a_secret_is_sent_as_it_is() -> None:
    assert str(Secret(KEY)) == f"{Secret(KEY)}" == KEY
    assert json.dumps(Secret(KEY)) == f'"{KEY}"'
    assert type(str(Secret(KEY))) is str


def test_settings_travel() -> None:
    found = settings(api_key=KEY, default_headers={"X-A": "1"}, timeout=3, proxy="http://proxy.example")
    again = pickle.loads(pickle.dumps(found))  # noqa: S301  (our own bytes)
    assert again == found
    assert "SECRET" not in repr(again)
    assert isinstance(again.headers["Authorization"], Secret)


# --- the rest --------------------------------------------------------------------------------------------------------


def test_asks_for_json_that_is_not_compressed() -> None:
    assert dict(settings(api_key=KEY).headers) == {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Authorization": f"Bearer {KEY}",
        "User-Agent": "tutuclient/1",
    }


def test_own_headers_win_whatever_their_case() -> None:
    headers = settings(api_key=KEY, default_headers={"authorization": "Token t", "X-A": "1"}).headers
    assert {name.lower(): str(value) for name, value in headers.items()}["authorization"] == "Token t"
    assert sorted(headers) == ["Accept", "Accept-Encoding", "User-Agent", "X-A", "authorization"]


def test_no_header_is_sent_twice() -> None:
    assert merged_headers({"A": "1", "b": "2"}, {"a": "3", "B": "4", "b": "5"}) == {"a": "3", "b": "5"}


def test_headers_are_written_once_and_hidden() -> None:
    lines = header_lines(settings(api_key=KEY, default_headers={"X-Title": "图"}).headers)
    assert lines is not None
    assert bytes(lines).decode().split("\r\n") == [
        "Accept: application/json",
        "Accept-Encoding: identity",
        f"Authorization: Bearer {KEY}",
        "User-Agent: tutuclient/1",
        "X-Title: 图",
        "",
    ]
    assert "SECRET" not in repr(lines) + repr([lines])


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Expect", "Idempotency-Key"])
def test_headers_that_change_how_a_request_is_written_are_left_to_each_call(name: str) -> None:
    assert header_lines({"Accept": "*/*", name: "x"}) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"": "x"},
        {"X A": "x"},
        {"X:A": "x"},
        {"X-Ä": "x"},
        {"X\r\nY": "x"},
        {5: "x"},
        {"X": "a\r\nY: b"},
        {"X": "a\nb"},
        {"X": "\x00"},
        {"X": "\x7f"},
        {"X": 5},
        {"X": None},
        {"X": b"x"},
        {"X": "\ud800"},
    ],
)
def test_refuses_headers_that_could_smuggle(headers: Any) -> None:
    with pytest.raises(ConfigError, match="header") as caught:
        clean_headers(headers)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length",
        "content-length",
        "Transfer-Encoding",
        "TRANSFER-ENCODING",
        "Host",
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Expect",
        "Upgrade",
        "TE",
        "Trailer",
        "HTTP2-Settings",
        "Content-Encoding",
        "Content_Length",
        "transfer_encoding",
    ],
)
def test_headers_that_say_how_a_request_is_written_are_the_clients(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*leave it out") as caught:
        clean_headers({"X-A": "1", name: "5"})
    assert caught.value.outcome == "not_sent"
    with pytest.raises(ConfigError, match=name):
        TutuClient(KEY, default_headers={name: "5"})
    with pytest.raises(ConfigError, match=name):
        TutuClient(KEY).with_options(default_headers={name: "5"})
    not_given: Any = UNSET
    assert dict[str, Any](clean_headers({name: not_given})) == {name: UNSET}


@pytest.mark.parametrize(
    "name", ["Content-Type", "Accept-Encoding", "Cookie", "Idempotency-Key", "X-Host", "Authorization"]
)
def test_other_headers_are_the_callers(name: str) -> None:
    assert clean_headers({name: "x"}) == {name: "x"}


def test_takes_headers_with_tabs_and_words_of_any_language() -> None:
    assert clean_headers({"X-Title": "图\t像"}) == {"X-Title": "图\t像"}


@pytest.mark.parametrize("query", [{"a": "\ud800"}, {"\udfff": 1}])
def test_refuses_query_parameters_that_are_no_text(query: Any) -> None:
    with pytest.raises(ConfigError, match="query") as caught:
        clean_query(query)
    assert str(caught.value).isprintable()


def test_writes_query_parameters_as_json_does() -> None:
    assert clean_query({"a": True, "b": False, "c": None, "d": 1, "e": 1.5, "f": "x"}) == {
        "a": "true",
        "b": "false",
        "d": "1",
        "e": "1.5",
        "f": "x",
    }


@pytest.mark.parametrize(
    ("timeout", "total"), [(UNSET, 600.0), (None, None), (5, 5), (0.5, 0.5), (float("inf"), float("inf"))]
)
def test_a_number_is_the_deadline(timeout: Any, total: float | None) -> None:
    assert clean_timeout(timeout) == Timeout(total=total)


def test_a_timeout_is_taken_as_it_is() -> None:
    timeout = Timeout(total=None, connect=1, pool=2, first_token=3, idle=4)
    assert clean_timeout(timeout) is timeout
    assert settings(api_key=KEY, timeout=timeout).timeout is timeout


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), True, "5", [5]])
def test_refuses_a_timeout_that_is_no_time(timeout: Any) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        clean_timeout(timeout)


@pytest.mark.parametrize("name", ["total", "connect", "pool", "first_token", "idle"])
@pytest.mark.parametrize("value", [0, -0.1, float("nan"), "5"])
def test_says_which_part_of_a_timeout_is_wrong(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"timeout: {name}"):
        Timeout(**{name: value})


def test_max_retries_and_a_policy_exclude_each_other() -> None:
    policy = RetryPolicy(max_retries=5)
    assert clean_retry(None, None) == RetryPolicy()
    assert clean_retry(None, policy) is policy
    assert clean_retry(0, None) == RetryPolicy(max_retries=0)
    with pytest.raises(ConfigError, match="not both"):
        clean_retry(3, policy)


@pytest.mark.parametrize(
    "fields",
    [{"max_retries": value} for value in (-1, 1.5, "2", None)]
    + [{"budget": value} for value in (-1, 1.5, "2")]
    + [
        {name: value}
        for name in ("wait_initial", "wait_max", "retry_after_max")
        for value in (-1, float("nan"), float("inf"), "2", None)
    ],
    ids=str,
)
def test_refuses_a_policy_without_sense(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        RetryPolicy(**fields)


def test_a_policy_may_wait_no_time_at_all() -> None:
    assert RetryPolicy(wait_initial=0, wait_max=0, retry_after_max=0, max_retries=0, budget=0).wait_max == 0
    assert RetryPolicy(budget=None).budget is None


@pytest.mark.parametrize("proxy", ["http://proxy.example:3128", " https://me:word@proxy.example ", "http://[::1]:8080"])
def test_takes_a_proxy_and_hides_it(proxy: str) -> None:
    clean = clean_proxy(proxy)
    assert clean is not None
    assert str(clean) == proxy.strip()
    assert repr(clean) == "'***'"


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "proxy.example:3128",
        "socks5://proxy.example",
        "http://",
        "http://proxy.example\r\nX: y",
        "http://proxy.example\tx",
        "http://proxy example",
        "http://[::1",
        "http://proxy.example:port",
        "http://proxy.example:0",
    ],
)
def test_refuses_a_proxy_that_is_none(proxy: str) -> None:
    with pytest.raises(ConfigError, match="proxy must be"):
        clean_proxy(proxy)


def test_no_proxy_is_none() -> None:
    assert clean_proxy(None) is None


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        settings(api_key=KEY).base_url = "x"  # type: ignore[misc]  # the point of it
    assert isinstance(settings(api_key=KEY), msgspec.Struct)


def test_the_total_comes_first() -> None:
    assert Timeout(60, connect=5) == Timeout(total=60, connect=5)


def test_what_is_not_given_takes_a_header_and_a_parameter_away() -> None:
    removed: Any = UNSET
    assert merged_headers({"Accept": "a", "User-Agent": "u"}, clean_headers({"user-agent": removed})) == {"Accept": "a"}
    assert clean_query({"a": 1, "b": UNSET, "c": None}) == {"a": "1"}


@pytest.mark.parametrize(
    ("read", "total"),
    [(60, 600.0), (1200, 1200), (None, None)],
)
def test_a_timeout_of_httpx_is_known_by_its_parts(read: float | None, total: float | None) -> None:
    of_httpx: Any = SimpleNamespace(connect=5, read=read, write=7, pool=None)
    assert clean_timeout(of_httpx) == Timeout(total, connect=5, pool=None, first_token=read, idle=read)


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"TUTU_API_KEY": KEY, "TUTU_BASE_URL": "ftp://relay.example"}, "TUTU_BASE_URL"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://{host}/v1"}, "OPENAI_BASE_URL"),
        ({"TUTU_API_KEY": "https://relay.example/v1", "TUTU_BASE_URL": "https://relay.example/v1"}, "TUTU_API_KEY"),
        ({"OPENAI_API_KEY": "sk one", "OPENAI_BASE_URL": "https://relay.example"}, "OPENAI_API_KEY"),
    ],
)
def test_an_error_names_the_variable_it_is_about(environ: dict[str, str], variable: str) -> None:
    with pytest.raises(ConfigError, match=rf"\(it comes from the environment, {variable}\)"):
        settings(environ=environ)


def test_an_error_about_an_argument_names_no_variable() -> None:
    with pytest.raises(ConfigError) as caught:
        settings(environ={"TUTU_API_KEY": KEY, "TUTU_BASE_URL": "https://relay.example"}, base_url="ftp://x")
    assert "environment" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://{host}/v1", "filled in"),
        ("https://<your-relay>/v1", "filled in"),
        ("${TUTU_BASE_URL}", "filled in"),
        ("None", "'None', and no address"),
        ("undefined", "'undefined', and no address"),
    ],
)
def test_an_address_that_was_never_filled_in_is_told_so(address: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        settings(environ={}, api_key=KEY, base_url=address)


class Address:
    """A URL as httpx, yarl and pydantic have them."""

    scheme = "https"
    host = "relay.example"

    def __str__(self) -> str:
        return "https://relay.example/v2"


def test_takes_the_urls_of_other_libraries() -> None:
    given: Any = Address()
    assert settings(environ={}, api_key=KEY, base_url=given).base_url == "https://relay.example/v2"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"retry": 3}, "retry must be a RetryPolicy, such as RetryPolicy(max_retries=3); got 3"),
        ({"retry": {"max_retries": 1}}, "retry must be a RetryPolicy"),
        ({"max_retries": True}, "max_retries must be a whole number from 0 up; got True"),
        ({"on_usage": "log"}, "on_usage is a function of a Spent, such as a list's append; got 'log'"),
        ({"strict_finish": "no"}, "strict_finish must be True or False; got 'no'"),
        ({"allow_private_downloads": "false"}, "allow_private_downloads must be True or False; got 'false'"),
        ({"default_headers": {"X-Team": 5}}, "the value of header 'X-Team' is an int: write text"),
        ({"default_headers": {"X-Team": None}}, "is None: write text, or leave it out"),
    ],
)
def test_settings_of_a_wrong_type_are_told_at_once(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        settings(environ={}, api_key=KEY, base_url="https://relay.example", **changes)


class Count(int):
    """Stands for the numbers of numpy, which are registered as the standard library's kinds of numbers."""


@pytest.mark.parametrize("seconds", [Fraction(5, 2), Fraction(60)])
def test_numbers_of_other_libraries_are_numbers(seconds: Fraction) -> None:
    made = settings(
        environ={}, api_key=KEY, base_url="https://relay.example", timeout=seconds, max_concurrency=Count(3)
    )
    assert made.timeout.total == float(seconds)
    assert (made.max_concurrency, type(made.max_concurrency)) == (3, int)
