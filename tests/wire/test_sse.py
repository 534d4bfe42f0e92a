"""What ``tutuclient.wire.sse`` promises: the standard's events, whatever the cuts, in one pass over the bytes."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient.wire.sse import Decoder, EventTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable

Events = list[tuple[str | None, bytes]]


def events(*pieces: bytes, max_bytes: int = 2**20, flush: bool = False) -> Events:
    decoder = Decoder(max_bytes)
    found = [event for piece in pieces for event in decoder.feed(piece)]
    found += decoder.flush() if flush else []
    return [(kind, bytes(data)) for kind, data in found]


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


# The examples of the standard, section 9.2.6, in its order.
STANDARD = {
    "three lines": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("", b"YHOO\n+2\n10")]),
    "comment, id, no id, cut-off": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        [("", b"first event"), ("", b"second event")],
    ),
    "empty data": (b"data\n\ndata\ndata\n\ndata:", [("", b""), ("", b"\n")]),
    "space or none": (b"data:test\n\ndata: test\n\n", [("", b"test"), ("", b"test")]),
    "named events": (
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
        [("add", b"73857293"), ("remove", b"2153"), ("add", b"113411")],
    ),
}
ODD = {
    "CRLF": (b"data: a\r\ndata: b\r\n\r\n", [("", b"a\nb")]),
    "CR": (b"data: a\rdata: b\r\r", [("", b"a\nb")]),
    "all line ends": (b"data: a\rdata: b\r\ndata: c\n\r\n", [("", b"a\nb\nc")]),
    "BOM": (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
    "second BOM is text": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", [(None, b"\xef\xbb\xbfdata: a")]),
    "only one space goes": (b"data:   a \n\n", [("", b"  a ")]),
    "comments alone": (b":\n\n: PING\n\n:\xff\n\n", []),
    "name without data": (b"event: x\n\ndata: a\n\n", [("", b"a")]),
    "last name counts": (b"event: x\nevent: y\ndata: a\n\n", [("y", b"a")]),
    "colons in data": (b"data: a: b: c\n\n", [("", b"a: b: c")]),
    "bytes that are no UTF-8": (b"event: \xff\ndata: \xff\n\n", [("\ufffd", b"\xff")]),
    "stray JSON": (b'data: a\n{"error": 1}\n\n', [("", b"a"), (None, b'{"error": 1}')]),
    "stray word": (b"oops\n\n", [(None, b"oops")]),
    "unknown field": (b"color: red\ndata: a\n\n", [(None, b"color: red"), ("", b"a")]),
    "field names are lower case": (b"Data: a\n\n", [(None, b"Data: a")]),
    "no space before the colon": (b"data : a\n\n", [(None, b"data : a")]),
    "blank lines": (b"\n\n\n\ndata: a\n\n\n\n", [("", b"a")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("stream", "expected"), [*STANDARD.values(), *ODD.values()], ids=[*STANDARD, *ODD])
def test_reads_what_the_standard_says_at_every_cut(stream: bytes, expected: Events) -> None:
    assert events(stream) == expected
    for place in range(len(stream) + 1):
        assert events(stream[:place], stream[place:]) == expected
    assert events(*(stream[place : place + 1] for place in range(len(stream)))) == expected


pieces_of_lines = st.sampled_from(
    [b"data: ", b"data:", b"data", b"event: e", b"id: 7", b"retry: 5", b": ping", b"{}", b"\xe4\xbd\xa0", b"x", b" "]
)
line_ends = st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r"])
streams = st.tuples(
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef"]),
    st.lists(st.one_of(pieces_of_lines, line_ends, line_ends, st.binary(max_size=5)), max_size=30).map(b"".join),
).map(b"".join)


@given(stream=streams, places=st.lists(st.integers(0, 200), max_size=12))
def test_cuts_change_nothing(stream: bytes, places: list[int]) -> None:
    pieces = cut(stream, places)
    whole, in_pieces = Decoder(), Decoder()
    expected = [*whole.feed(stream), *whole.flush()]
    found = [*(event for piece in pieces for event in in_pieces.feed(piece)), *in_pieces.flush()]
    assert found == expected
    assert (in_pieces.last_event_id, in_pieces.retry_ms) == (whole.last_event_id, whole.retry_ms)


@given(texts=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=5))
def test_gives_back_every_text_that_was_written(texts: list[str]) -> None:
    stream = "".join(f"data: {text}\n\n" for text in texts).encode()
    assert events(stream) == [("", text.encode()) for text in texts]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a", [("", b"a")]),
        (b"data: a\n", [("", b"a")]),
        (b"data: a\r", [("", b"a")]),
        (b"data: a\n\ndata: [DONE]", [("", b"a"), ("", b"[DONE]")]),
        (b"event: error\ndata: a\ndata: b", [("error", b"a\nb")]),
        (b'{"error": 1}', [(None, b'{"error": 1}')]),
        (b"\xef\xbb", [(None, b"\xef\xbb")]),
        (b"\xef\xbb\xbf", []),
        (b": ping", []),
        (b"", []),
    ],
)
def test_flush_loses_no_event_that_has_no_end(stream: bytes, expected: Events) -> None:
    assert events(stream, flush=True) == expected


def test_flush_returns_everything_once() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: a") == []
    assert decoder.flush() == [("", b"a")]
    assert decoder.flush() == []


@pytest.mark.parametrize(
    ("stream", "last_event_id", "retry_ms"),
    [
        (b"id: 7\nretry: 2500\n\n", "7", 2500),
        (b"id: 7\n\nid\n\n", "", None),
        (b"id: 7\n\nid: 8\x00\n\n", "7", None),
        (b"id: \xff\n\n", "\ufffd", None),
        (b"retry: soon\nretry: -1\nretry:\nretry: 1.5\nretry: \xc2\xb2\n\n", "", None),
        (b"retry: 3\nretry: 99999999999999999999\n\n", "", 3),
        (b"id:7\nretry:0003\n\n", "7", 3),
    ],
)
def test_remembers_id_and_retry(stream: bytes, last_event_id: str, retry_ms: int | None) -> None:
    decoder = Decoder()
    assert decoder.feed(stream) == []
    assert (decoder.last_event_id, decoder.retry_ms) == (last_event_id, retry_ms)


@pytest.mark.parametrize("size", [100, 2**16 - 7, 2**16, 2**24])
@pytest.mark.parametrize("step", [2**12 + 1, 2**19, 2**25])
def test_reads_an_image_in_one_line(size: int, step: int) -> None:
    image = b"x" * size
    stream = b"data: a\n\ndata: " + image + b"\n\ndata: b\n\n"
    pieces = [stream[start : start + step] for start in range(0, len(stream), step)]
    assert events(*pieces, max_bytes=2**25) == [("", b"a"), ("", image), ("", b"b")]


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 1001 + b"\n"],
        [b"data: " + b"x" * 500, b"x" * 500, b"x" * 500],
        [b": " + b"x" * 600, b"x" * 600],
        [b"data: " + b"x" * 400 + b"\n"] * 3,
        [b"data:\n"] * 1001,
        [b"data\n" * 1001],
    ],
    ids=["line", "line in pieces", "comment", "event", "event of empty lines", "event of bare fields"],
)
def test_what_grows_without_end_is_an_error(pieces: list[bytes]) -> None:
    with pytest.raises(EventTooLargeError, match=r"over 1,000 bytes"):
        events(*pieces, max_bytes=1000)


def test_many_small_events_do_not_add_up_to_the_limit() -> None:
    assert len(events(*[b"data: " + b"x" * 500 + b"\n\n"] * 10, max_bytes=1000)) == 10


def test_a_long_line_is_held_once() -> None:
    decoder, size, piece = Decoder(), 2**24, b"x" * 2**16
    decoder.feed(b"data: ")
    tracemalloc.start()
    try:
        for _ in range(size // len(piece)):
            decoder.feed(piece)
        [(kind, data)] = decoder.feed(b"\n\n")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (kind, len(data)) == ("", size)
    assert peak < 1.6 * size


def test_a_cut_line_grows_in_one_buffer_that_is_handed_on() -> None:
    decoder = Decoder()
    for piece in (b"data: ", b"x" * 2**16):
        decoder.feed(piece)
    buffer = decoder._tail
    for _ in range(100):
        decoder.feed(b"x" * 100)
        assert decoder._tail is buffer
    [(_, data)] = decoder.feed(b"\n\n")
    assert isinstance(data, memoryview)
    assert data.obj is buffer
    assert len(data) == 2**16 + 100 * 100
