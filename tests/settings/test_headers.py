"""What ``tutuclient.settings.headers`` promises: headers and query parameters that can be sent."""

from __future__ import annotations

from typing import Any

import pytest

from tutuclient import ConfigError, TutuClient
from tutuclient.settings import UNSET
from tutuclient.settings.headers import clean_headers, clean_query, header_lines, merged_headers

KEY = "sk-0123456789abcdefSECRET"


def test_no_header_is_sent_twice() -> None:
    assert merged_headers({"A": "1", "b": "2"}, {"a": "3", "B": "4", "b": "5"}) == {"a": "3", "b": "5"}


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


def test_what_is_not_given_takes_a_header_and_a_parameter_away() -> None:
    removed: Any = UNSET
    assert merged_headers({"Accept": "a", "User-Agent": "u"}, clean_headers({"user-agent": removed})) == {"Accept": "a"}
    assert clean_query({"a": 1, "b": UNSET, "c": None}) == {"a": "1"}
