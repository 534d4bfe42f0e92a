"""Addresses of images: shown short, printable and without their secrets. Names of files: tests/media/test_image.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient.media.addresses import safe_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/x.png", "https://a.example/x.png"),
        ("https://a.example/x.png?sig=secret#secret", "https://a.example/x.png?…"),
        ("https://a.example/x.png#secret", "https://a.example/x.png?…"),
        ("HTTPS://me:secret@a.example/x", "HTTPS://…@a.example/x"),
        ("https://a.example/\x1b[31m", "https://a.example/\\x1b[31m"),
        ("data:image/png;base64," + "A" * 100, "data:image/png;base64,AAAAAAAA… (122 characters)"),
    ],
)
def test_shows_addresses_without_their_secrets(url: str, shown: str) -> None:
    assert safe_url(url) == shown


@given(st.text())
def test_shown_addresses_are_short_and_printable(text: str) -> None:
    for url in (text, f"https://{text}", f"https://a.example/{text * 20}?{text}"):
        shown = safe_url(url)
        shown.encode()
        assert "\n" not in shown
        assert len(shown) < 2200
