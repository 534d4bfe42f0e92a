"""What ``tutuclient.settings`` promises: checked values or a clear error, and a key that is never shown."""

from __future__ import annotations

import inspect
import pickle
import re
import traceback
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tutuclient.client import TutuClient
from tutuclient.compat import AsyncOpenAI
from tutuclient.errors import ConfigError
from tutuclient.settings import (
    DEFAULT_BASE_URL,
    UNSET,
    Changes,
    Options,
    Proxies,
    Relay,
    RetryPolicy,
    Secret,
    Settings,
    Timeout,
    clean_timeout,
    header_lines,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "sk-0123456789abcdefSECRET"


def settings(environ: Mapping[str, str] | None = None, **options: Any) -> Settings:
    return Settings.make(user_agent="tutuclient/1", getenv=(environ or {}).get, **options)


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
    found = Settings.make(
        user_agent="x", timeout=3, verify=False, strict_finish=True, allow_private_downloads=True, max_retries=None
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


def test_settings_know_the_origin_of_the_relay() -> None:
    assert settings(api_key=KEY, base_url="Relay.example").origin == "https://relay.example:443"


# --- the key ---------------------------------------------------------------------------------------------------------


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
    assert "make" in shown
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


def test_a_timeout_is_taken_as_it_is() -> None:
    timeout = Timeout(total=None, connect=1, pool=2, first_token=3, idle=4)
    assert clean_timeout(timeout) is timeout
    assert settings(api_key=KEY, timeout=timeout).timeout is timeout


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        settings(api_key=KEY).base_url = "x"  # type: ignore[misc]  # the point of it
    assert isinstance(settings(api_key=KEY), msgspec.Struct)


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
        ("None", "'None', which is not an address"),
        ("undefined", "'undefined', which is not an address"),
    ],
)
def test_an_address_that_was_never_filled_in_is_named(address: str, words: str) -> None:
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
        ({"on_usage": "log"}, "on_usage must be a function of a Spent, such as a list's append; got 'log'"),
        ({"strict_finish": "no"}, "strict_finish must be True or False; got 'no'"),
        ({"allow_private_downloads": "false"}, "allow_private_downloads must be True or False; got 'false'"),
        ({"default_headers": {"X-Team": 5}}, "the value of header 'X-Team' is an int: write text"),
        ({"default_headers": {"X-Team": None}}, "is None: write text, or leave it out"),
    ],
)
def test_settings_of_a_wrong_type_are_reported_at_once(changes: dict[str, Any], words: str) -> None:
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


# --- the table -------------------------------------------------------------------------------------------------------


def test_every_keyword_is_a_setting_and_every_setting_has_a_keyword() -> None:
    put_together = {"max_retries": "retry", "default_headers": "headers"}
    keywords = {put_together.get(name, name) for name in Options.__annotations__}
    of_the_key = {"api_key", "key_source", "key_variable", "url_variable"}
    made = of_the_key | {"base_url", "header_lines", "relay"}  # Of the client's own arguments.
    assert keywords | made == set(Settings.__struct_fields__)


@pytest.mark.parametrize("name", [*Options.__annotations__])
@pytest.mark.parametrize("value", [None, UNSET])
def test_what_is_not_given_has_its_default(name: str, value: Any) -> None:
    made = settings(api_key=KEY, **{name: value})
    if name == "timeout" and value is None:
        assert made.timeout == Timeout(total=None)
    elif name == "proxy" and value is None:
        assert made.proxy == Proxies()
    else:
        assert made == settings(api_key=KEY)


@pytest.mark.parametrize("name", [*Changes.__annotations__])
def test_what_is_not_given_stays(name: str) -> None:
    unset: Any = {name: UNSET if name == "timeout" else None}
    made = settings(
        api_key=KEY,
        timeout=3,
        max_retries=5,
        default_headers={"X-A": "1"},
        default_query={"a": 1},
        strict_finish=True,
        middleware=[print],
        attempt_middleware=[print],
        on_usage=print,
    )
    assert made.changed(**unset) == made
    assert made.changed() == made


def test_changes_are_added_or_take_the_place_of_what_was() -> None:
    made = settings(api_key=KEY, default_headers={"X-A": "1"}, default_query={"a": 1}, retry=RetryPolicy(budget=7))
    changed = made.changed(api_key="other", default_headers={"X-B": "2"}, default_query={"b": 2}, max_retries=0)
    assert changed.headers == {**made.headers, "X-B": "2", "Authorization": "Bearer other"}
    assert changed.default_query == {"a": "1", "b": "2"}
    assert changed.retry == RetryPolicy(max_retries=0, budget=7)
    assert made.changed(api_key=lambda: "later").key_source is not None
    assert made.changed(api_key=lambda: "later").changed(api_key="now").key_source is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strict_finish": "no"}, "strict_finish must be True or False"),
        ({"on_usage": "log"}, "on_usage must be a function"),
        ({"attempt_middleware": print}, "attempt_middleware must be a list"),
        ({"max_retries": 1, "retry": RetryPolicy()}, "not both"),
    ],
)
def test_a_change_is_checked_as_a_setting_is(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TutuClient(KEY).with_options(**changes)


@pytest.mark.parametrize(
    ("call", "name", "words"),
    [
        (TutuClient, "timout", r"TutuClient\(\) got an unexpected keyword argument 'timout'; did you mean 'timeout'\?"),
        (TutuClient, "azure_deployment", r"TutuClient\(\) got an unexpected keyword argument 'azure_deployment'$"),
        (TutuClient(KEY).with_options, "max_retry", r"with_options\(\) got .*; did you mean 'max_retries'\?"),
        (
            TutuClient(KEY).with_options,
            "proxy",
            r"with_options\(\) cannot change proxy, .* another TutuClient\(proxy=…\)",
        ),
    ],
)
def test_an_unknown_setting_is_an_error(call: Any, name: str, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call(**{"api_key": KEY, name: 1})


@pytest.mark.parametrize(
    ("call", "keywords"),
    [
        (TutuClient, {"api_key", "base_url", *Options.__annotations__}),
        (TutuClient.with_options, {"self", "api_key", *Changes.__annotations__}),
        (AsyncOpenAI, {"api_key", "organization", *Options.__annotations__}),
        (AsyncOpenAI.with_options, {"api_key", "set_default_headers", *Changes.__annotations__}),
    ],
)
def test_a_signature_shows_every_keyword(call: Any, keywords: set[str]) -> None:
    parameters = inspect.signature(call).parameters
    assert keywords <= set(parameters)
    assert not any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    assert parameters["timeout"].annotation == "float | Timeout | Unset | None"


def test_limits_are_divided_among_workers() -> None:
    settings = (
        TutuClient("sk-x", "https://relay.example", rate="600/min", tokens_per_minute=100_001, max_concurrency=9)
        .for_workers(4)
        ._settings
    )
    assert (settings.rate, settings.tokens_per_minute, settings.max_concurrency) == (2.5, 25_000, 2)


def test_limits_of_each_relay_are_divided_too() -> None:
    relays = [Relay("https://a.example", "sk-a"), Relay("https://b.example", "sk-b")]
    settings = TutuClient(relays=relays, rate=6).for_workers(3)._settings
    assert [each.rate for each in (settings, *settings.relays)] == [2, 2, 2]
    assert [each.api_key for each in pickle.loads(pickle.dumps(settings.packed())).relays] == ["sk-a", "sk-b"]  # noqa: S301  (our own bytes)


@pytest.mark.parametrize("concurrency", ["auto", None])
def test_limits_that_are_not_numbers_stay_with_each_worker(concurrency: Any) -> None:
    settings = TutuClient("sk-x", max_concurrency=concurrency).for_workers(4)._settings
    assert (settings.rate, settings.tokens_per_minute, settings.max_concurrency) == (None, None, concurrency)


@pytest.mark.parametrize(
    ("workers", "message"),
    [(4, "max_concurrency=3 cannot be divided among 4"), (0, "workers must be"), (True, "workers must be")],
)
def test_limits_that_cannot_be_divided_are_an_error(workers: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TutuClient("sk-x", max_concurrency=3).for_workers(workers)
