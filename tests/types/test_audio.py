"""The base64 of audio, however relays cut and pad it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient.types.audio import decode_base64, join_base64


def encoded(piece: bytes) -> str:
    return base64.b64encode(piece).decode()


@given(st.lists(st.binary(max_size=20)))
def test_pieces_padded_one_by_one_are_decoded_one_by_one(pieces: list[bytes]) -> None:
    joined = "".join(map(encoded, pieces))
    assert decode_base64(joined) == b"".join(pieces)
    assert base64.b64decode(join_base64(map(encoded, pieces)), validate=True) == b"".join(pieces)


@given(st.binary(max_size=60), st.integers(1, 7))
def test_one_base64_cut_anywhere_is_joined_again(data: bytes, size: int) -> None:
    text = encoded(data)
    assert join_base64(text[at : at + size] for at in range(0, len(text), size)) == text


@pytest.mark.parametrize("text", ["-_8", "-_8=", "+/8=", "+/\n8 ="])
def test_odd_spellings_are_decoded(text: str) -> None:
    assert decode_base64(text) == b"\xfb\xff"


@pytest.mark.parametrize("text", ["A", "QUJD!", "QQ==QUJD!", "说明"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode_base64(text)


def test_pieces_that_cannot_be_decoded_are_joined_as_they_are() -> None:
    assert join_base64(["QQ==", "!!!!"]) == "QQ==!!!!"
