"""What ``tutuclient.settings.credentials`` promises: keys and addresses, however they were pasted, and proxies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient.errors import ConfigError
from tutuclient.settings import DEFAULT_BASE_URL
from tutuclient.settings.credentials import clean_base_url, clean_key, is_loopback, origin_of, read_again

KEY = "sk-0123456789abcdefSECRET"


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


@pytest.mark.parametrize("pasted", ["", " ", '""', "Bearer", "Bearer ", "Authorization: Bearer"])
def test_refuses_a_key_of_which_nothing_is_left(pasted: str) -> None:
    with pytest.raises(ConfigError, match="empty"):
        clean_key(pasted)


HERE = {"TUTU_API_KEY": f" {KEY}\n", "OPENAI_API_KEY": KEY}
URL = "https://relay.example/v1"


@pytest.mark.parametrize(
    ("variables", "url_variable"),
    [
        (HERE, ""),
        (HERE, "TUTU_BASE_URL"),  # Its key is for the relay, wherever that is.
        ({**HERE, "TUTU_BASE_URL": "relay.example"}, "TUTU_BASE_URL"),
    ],
)
def test_a_key_is_read_again_from_its_variable(variables: dict[str, str], url_variable: str) -> None:
    assert read_again("TUTU_API_KEY", url_variable, URL, variables.get) == KEY


@pytest.mark.parametrize(
    ("key_variable", "url_variable", "variables", "message"),
    [
        ("TUTU_API_KEY", "", {}, "TUTU_API_KEY is not set in this process"),
        ("TUTU_API_KEY", "", {"TUTU_API_KEY": " "}, "TUTU_API_KEY is not set in this process"),
        (
            "TUTU_API_KEY",
            "TUTU_BASE_URL",
            {**HERE, "TUTU_BASE_URL": "other.example"},
            "has another one in this process",
        ),
        ("OPENAI_API_KEY", "OPENAI_BASE_URL", {**HERE, "OPENAI_BASE_URL": "other.example"}, "has another one"),
        ("OPENAI_API_KEY", "OPENAI_BASE_URL", HERE, "only the key is set in this process"),
    ],
)
def test_a_key_that_may_be_for_another_address_is_not_read_again(
    key_variable: str, url_variable: str, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read_again(key_variable, url_variable, URL, variables.get)
    assert KEY not in str(caught.value)


def test_which_addresses_only_this_computer_reaches() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "localhost", "LocalHost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "::ffff:192.168.1.1", "192.168.1.1", "box.lan", "")))  # noqa: S104
