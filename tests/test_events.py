from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import APIStatusError, IncompleteStreamError, UnexpectedResponseError, wire
from tutuclient.events import EventReader
from tutuclient.types.answer import Meta, read_json

if TYPE_CHECKING:
    from tutuclient.sse import Data

META = Meta(200, {"x-request-id": "r1"})
DELTA = b'event: x.delta\ndata: {"type":"x.delta","text":"a"}\n\n'
LAST = b'data: {"type":"x.done"}\n\n'


def read(name: str, data: Data, meta: Meta) -> dict[str, Any] | None:
    assert meta is META
    try:
        event = dict(read_json(data))
    except ValueError:
        raise wire.unexpected("no JSON", data, meta) from None
    return event | {"name": name} if event else None


def reader(*, done_is_enough: bool = False, max_bytes: int = 10_000) -> EventReader[dict[str, Any]]:
    return EventReader(
        META,
        read=read,
        last=lambda event: event["type"] == "x.done",
        whole=lambda data, _: [{"type": "x.done", "all": read_json(data)}],
        max_bytes=max_bytes,
        done_is_enough=done_is_enough,
    )


def types(reading: EventReader[dict[str, Any]], *pieces: bytes) -> list[str]:
    events = chain(chain.from_iterable(map(reading.feed, pieces)), reading.end())
    return [event["type"] for event in events]


def test_events_come_with_their_names_and_the_last_completes_them() -> None:
    reading = reader()
    assert list(reading.feed(DELTA)) == [{"type": "x.delta", "text": "a", "name": "x.delta"}]
    assert (reading.spoken, reading.finished) == (1, False)
    assert list(reading.feed(LAST)) == [{"type": "x.done", "name": ""}]
    assert reading.finished
    reading.check_complete(strict=True)


@pytest.mark.parametrize("cut", range(len(DELTA + LAST)))
def test_events_are_the_same_wherever_they_are_cut(cut: int) -> None:
    text = DELTA + LAST
    assert types(reader(), text[:cut], text[cut:]) == ["x.delta", "x.done"]


def test_what_carries_nothing_is_left_out_and_what_follows_done_does_not_count() -> None:
    assert types(reader(), b": ping\n\ndata: {}\n\ndata:\n\n" + LAST + b"data: [DONE]\n\n" + DELTA) == ["x.done"]


def test_an_end_without_the_last_event_is_an_error_with_the_request_id() -> None:
    reading = reader()
    assert types(reading, DELTA) == ["x.delta"]
    with pytest.raises(IncompleteStreamError, match="before its last event") as raised:
        reading.check_complete(strict=False)
    assert raised.value.request_id == "r1"
    with pytest.raises(IncompleteStreamError, match="without a single event"):
        reader().check_complete(strict=False)


def test_done_is_enough_where_the_page_says_so_unless_strict() -> None:
    reading = reader(done_is_enough=True)
    types(reading, DELTA, b"data: [DONE]\n\n")
    reading.check_complete(strict=False)
    with pytest.raises(IncompleteStreamError):
        reading.check_complete(strict=True)


def test_an_end_within_an_event_is_an_error() -> None:
    with pytest.raises(IncompleteStreamError, match="within an event"):
        types(reader(), DELTA, b'data: {"type":"x.do')


def test_a_torn_frame_behind_the_last_event_costs_nothing() -> None:
    assert types(reader(), LAST, b'data: {"us') == ["x.done"]


@pytest.mark.parametrize(
    "frame", [b'event: error\ndata: {"message":"full"}\n\n', b'{"error":{"message":"full","code":"x"}}\n']
)
def test_errors_within_a_stream_are_raised(frame: bytes) -> None:
    with pytest.raises(APIStatusError, match="full"):
        types(reader(), DELTA, frame)


def test_a_line_of_text_is_never_skipped_in_silence() -> None:
    with pytest.raises(UnexpectedResponseError, match="no event"):
        types(reader(), b"upstream went away\n\n")


def test_a_whole_answer_in_place_of_a_stream_is_complete() -> None:
    reading = reader()
    assert reading.whole(b'{"a":1}') == [{"type": "x.done", "all": {"a": 1}}]
    assert reading.done
    reading.check_complete(strict=True)


def test_a_stream_without_end_is_too_large() -> None:
    reading = reader(max_bytes=100)
    with pytest.raises(UnexpectedResponseError, match="more than 150 bytes"):
        types(reading, *[DELTA] * 4)
    with pytest.raises(UnexpectedResponseError, match="over 100 bytes"):
        types(reader(max_bytes=100), b"data: " + b"x" * 110)
