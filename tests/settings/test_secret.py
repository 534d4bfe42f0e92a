"""What ``tutuclient.settings.secret`` promises: text that does not show itself."""

from __future__ import annotations

import json

import pytest

from tutuclient.settings.secret import Secret, is_secret, masked

KEY = "sk-0123456789abcdefSECRET"


def test_a_secret_is_sent_as_it_is() -> None:
    assert str(Secret(KEY)) == f"{Secret(KEY)}" == KEY
    assert json.dumps(Secret(KEY)) == f'"{KEY}"'
    assert type(str(Secret(KEY))) is str


def test_a_key_is_masked_wherever_it_stands_and_a_word_is_not() -> None:
    assert masked(f"a {KEY}, and {KEY}.", KEY) == "a ***, and ***."
    assert masked("any image", "any") == "any image"
    assert (is_secret("1234567"), is_secret("12345678")) == (False, True)


@pytest.mark.parametrize("length", [8, 12, 23])
def test_the_beginning_of_a_key_is_masked_where_a_text_was_cut_off(length: int) -> None:
    key = "sk-Ab3dEf6hIj9lMn2pQr5tUv8x"
    assert masked(f"bad key {key[:length]}… (550 characters)", key) == "bad key ***… (550 characters)"
    assert masked(f"bad key {key[:length]}", key) == "bad key ***"
    assert masked(f"{key[:length]} is how it begins", key) == f"{key[:length]} is how it begins"
