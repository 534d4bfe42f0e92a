"""The key never leaves for the browser."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tutuclient.ui.masking import Mask

KEY = "sk-abcabcabd-0123"
OTHER = "sk-xyz-xyz-456789-0"


def test_the_key_is_taken_out_of_whatever_is_encoded() -> None:
    assert json.loads(Mask(KEY).dumps({"a": f"Bearer {KEY}!", "b": [KEY], KEY: 1})) == {
        "a": "Bearer ***!",
        "b": ["***"],
        "***": 1,
    }


def test_a_key_with_a_quote_in_it_is_found_too() -> None:
    assert json.loads(Mask('sk-"quoted\\key').dumps(['is sk-"quoted\\key.'])) == ["is ***."]


def test_what_is_too_short_to_be_secret_is_a_word() -> None:
    assert json.loads(Mask("any").dumps("any image")) == "any image"
    assert Mask("").split("text") == ("text", "")


def test_lone_surrogates_can_be_encoded() -> None:
    assert json.loads(Mask(KEY).dumps("a\ud800b")) == "a?b"


@given(st.lists(st.sampled_from([KEY, OTHER, KEY[:5], KEY[:9], "sk-", "a", "text ", KEY[3:], OTHER[:6]])), st.data())
def test_cut_anywhere_the_key_is_never_in_what_is_shown_and_nothing_else_is_lost(
    parts: list[str], data: st.DataObject
) -> None:
    text, mask, shown, held = "".join(parts), Mask(KEY, OTHER), "", ""
    rest = text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        out, held = mask.split(held + rest[:size])
        shown, rest = shown + out, rest[size:]
    assert KEY not in shown + held
    assert OTHER not in shown + held
    assert shown + held == text.replace(OTHER, "***").replace(KEY, "***")
    assert json.loads(mask.dumps(text)) == shown + held
