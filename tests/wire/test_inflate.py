"""Compressed bodies, undone within a limit."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.bodies import OK
from tutuclient import wire
from tutuclient.errors import UnexpectedResponseError

TEXT = b'{"choices": []} ' * 5000


def raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(data) + squeeze.flush()


CODINGS = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "x-gzip": ("x-gzip", gzip.compress(TEXT)),
    "zlib": ("deflate", zlib.compress(TEXT)),
    "raw deflate": ("deflate", raw_deflate(TEXT)),
    "members": ("gzip", gzip.compress(TEXT[:999]) + b"\0\0" + gzip.compress(TEXT[999:])),
}


@pytest.mark.parametrize(("encoding", "squeezed"), CODINGS.values(), ids=CODINGS)
@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_inflates_what_was_compressed_unasked(encoding: str, squeezed: bytes, step: int) -> None:
    inflater = wire.Inflater(encoding, len(TEXT), OK)
    pieces = [inflater.feed(squeezed[start : start + step]) for start in range(0, len(squeezed), step)]
    assert b"".join(piece for group in pieces for piece in group) == TEXT
    assert inflater.complete


def test_gives_a_large_body_in_pieces() -> None:
    inflater = wire.Inflater("gzip", 2**24, OK)
    pieces = inflater.feed(gzip.compress(bytes(2**22)))
    assert sum(map(len, pieces)) == 2**22
    assert max(map(len, pieces)) <= 2**20


@pytest.mark.parametrize(("encoding", "squeezed"), CODINGS.values(), ids=CODINGS)
def test_padding_behind_a_body_is_no_part_of_it(encoding: str, squeezed: bytes) -> None:
    inflater = wire.Inflater(encoding, len(TEXT), OK)
    assert b"".join(inflater.feed(squeezed) + inflater.feed(bytes(9)) + inflater.feed(b"\0")) == TEXT
    assert inflater.complete


@pytest.mark.parametrize("size", range(2**20, 2**20 + 300, 13))
def test_gives_the_last_bytes_of_a_body_that_fills_its_pieces(size: int) -> None:
    for squeezed in (raw_deflate(bytes(size)), zlib.compress(bytes(size)), gzip.compress(bytes(size))):
        inflater = wire.Inflater("gzip" if squeezed[0] == 0x1F else "deflate", size, OK)
        assert sum(map(len, inflater.feed(squeezed))) == size
        assert inflater.complete


def test_stops_at_a_bomb_early() -> None:
    inflater = wire.Inflater("gzip", 2**16, OK)
    with pytest.raises(UnexpectedResponseError, match=r"more than 65,536 bytes .*max_response_bytes"):
        inflater.feed(gzip.compress(bytes(2**24)))


def test_a_body_of_exactly_the_limit_is_read() -> None:
    inflater = wire.Inflater("gzip", len(TEXT), OK)
    assert sum(map(len, inflater.feed(gzip.compress(TEXT)))) == len(TEXT)
    with pytest.raises(UnexpectedResponseError, match="more than"):
        wire.Inflater("gzip", len(TEXT) - 1, OK).feed(gzip.compress(TEXT))


@pytest.mark.parametrize(("encoding", "squeezed"), CODINGS.values(), ids=CODINGS)
def test_a_body_that_was_cut_is_not_complete(encoding: str, squeezed: bytes) -> None:
    inflater = wire.Inflater(encoding, len(TEXT), OK)
    inflater.feed(squeezed[:-5])
    assert not inflater.complete
    assert not wire.Inflater(encoding, len(TEXT), OK).complete


@pytest.mark.parametrize(
    ("encoding", "data"), [("gzip", b"plain text"), ("deflate", b"\x08\xff"), ("deflate", b"\xff" * 9)]
)
def test_a_body_that_is_not_what_its_label_says_is_broken(encoding: str, data: bytes) -> None:
    with pytest.raises(UnexpectedResponseError, match="broken"):
        wire.Inflater(encoding, 1000, OK).feed(data)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "", "\x1b[31m"])
def test_refuses_an_encoding_it_did_not_ask_for(encoding: str) -> None:
    with pytest.raises(UnexpectedResponseError, match="not asked for") as caught:
        wire.Inflater(encoding, 1000, OK)
    assert str(caught.value).isprintable()


@given(data=st.binary(max_size=60), encoding=st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_inflate_or_are_broken(data: bytes, encoding: str) -> None:
    with contextlib.suppress(UnexpectedResponseError):
        wire.Inflater(encoding, 100, OK).feed(data)
