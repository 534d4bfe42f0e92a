"""Answers that come piece by piece: events as they come, a whole answer or an error, and nothing left open."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import (
    APIError,
    APIStatusError,
    IncompleteStreamError,
    InsufficientQuotaError,
    InternalServerError,
    TutuClient,
    UnexpectedResponseError,
)
from tutuclient.streams.events import EventReader, stream_in
from tutuclient.testing import Server, streams
from tutuclient.types import Meta

if TYPE_CHECKING:
    from collections.abc import Iterator


def reader(max_bytes: int = 1000, *, more_after_last: bool = False) -> EventReader[Any]:
    def read(kind: str, data: Any, _: Meta) -> Any:
        value = json.loads(bytes(data))
        return (kind, value) if value else None

    def whole(body: bytes, _: Meta) -> Iterator[Any]:
        yield json.loads(body)

    return EventReader(
        Meta(200),
        read=read,
        is_last=lambda one: one[1] == 9,
        read_whole=whole,
        max_bytes=max_bytes,
        more_after_last=more_after_last,
    )


# The reader.


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_events_are_read_whatever_the_cuts(size: int) -> None:
    body = (
        b"event: x\ndata: 1\n\n: ping\n\ndata: null\n\ndata: 2\ndata: 3\n\ndata:\n\nretry: 5\n\ndata: 9\n\ndata: 4\n\n"
    )
    one = reader()
    events = [event for at in range(0, len(body), size) for event in one.feed(body[at : at + size])]
    assert events == [("x", 1), ("", 2), ("", 3), ("", 9)]
    assert list(one.end()) == []
    assert (one.done, one.progress) == (True, 4)
    assert list(reader().read_all(body)) == events


def test_done_is_an_end_once_something_has_come() -> None:
    assert list(reader().read_all(b"data: 1\n\ndata: [DONE]\n\ndata: 2\n\n")) == [("", 1)]
    assert list(reader().read_all(b"data: 1\n\ndata: [DONE]")) == [("", 1)]
    with pytest.raises(IncompleteStreamError, match="without a single event"):
        list(reader().read_all(b"data: [DONE]\n\n"))
    with pytest.raises(IncompleteStreamError, match="its last event did not come"):
        list(reader().read_all(b"data: 1\n\n"))


def test_where_something_may_follow_the_last_event_only_done_is_the_end() -> None:
    body = b"data: 1\n\ndata: 9\n\ndata: 4\n\ndata: [DONE]\n\ndata: 5\n\n"
    assert list(reader(more_after_last=True).read_all(body)) == [("", 1), ("", 9), ("", 4)]
    assert list(reader(more_after_last=True).read_all(b"data: 1\n\ndata: [DONE]\n\n")) == [("", 1)]
    one = reader(more_after_last=True)
    list(one.feed(b"data: 1\n\ndata: [DONE]\n\n"))
    with pytest.raises(IncompleteStreamError):
        one.check_complete(strict=True)


def test_what_is_torn_behind_the_last_event_costs_nothing() -> None:
    assert list(reader().read_all(b"data: 9\n\ndata: {")) == [("", 9)]
    with pytest.raises(IncompleteStreamError, match="its last event did not come"):
        list(reader().read_all(b"data: 1\n\n: ping"))


def test_what_came_before_an_error_is_yielded_first() -> None:
    events = reader().read_all(b'data: 1\n\n{"error": {"message": "boom", "type": "server_error"}}\n')
    assert next(events) == ("", 1)
    with pytest.raises(InternalServerError, match="boom") as caught:
        next(events)
    assert caught.value.outcome == "unknown"
    with pytest.raises(UnexpectedResponseError, match="a line that is not an event"):
        list(reader().read_all(b"oops\n"))


def test_what_is_too_long_is_an_error() -> None:
    with pytest.raises(UnexpectedResponseError, match="over 1,000 bytes"):
        list(reader().read_all(b"data: " + b"1" * 1100))
    with pytest.raises(UnexpectedResponseError, match="a stream of more than 1,500 bytes"):
        list(reader().feed(b"data: 1\n\n" * 200))


def test_done_before_any_event_ends_a_stream() -> None:
    one = reader()
    assert list(one.feed(b"data: [DONE]\n\n")) == []
    assert (one.done, one.finished) == (True, False)
    with pytest.raises(IncompleteStreamError, match="without a single event"):
        one.check_complete(strict=False)


@pytest.mark.parametrize("data", [b"boom", b"", b'{"message": "boom"}'])
def test_an_error_event_is_raised_whatever_its_data(data: bytes) -> None:
    with pytest.raises(APIStatusError):
        list(reader().read_all(b"event: error\ndata: " + data + b"\n\n"))


def test_values_run_together_are_events_of_one_name() -> None:
    assert list(reader().read_all(b"event: x\ndata: 1 2\ndata: 9\n\n")) == [("x", 1), ("x", 2), ("x", 9)]


def test_a_stream_in_a_body_is_read_and_nothing_else() -> None:
    assert stream_in(b"1", "application/json", reader()) is None
    assert stream_in(b"{}", "text/event-stream", reader()) is None
    found = stream_in(b"data: 1\n\ndata: 9\n\n", "application/json", reader())
    assert found is not None
    assert list(found) == [("", 1), ("", 9)]


def test_an_event_after_the_last_one_that_cannot_be_read_is_noted() -> None:
    one = reader(more_after_last=True)
    assert list(one.read_all(b"data: 9\n\n<html>\n")) == [("", 9)]
    assert any("after the last one was ignored" in warning for warning in one.meta.warnings)


async def test_lines_of_json_are_events_of_a_legacy_completion(client: TutuClient, server: Server) -> None:
    line = b'{"choices":[{"index":0,"text":"%b","finish_reason":%b}]}\n'
    lines = [line % (b"hel", b"null"), line % (b"lo", b'"stop"')]
    server.answers(streams(lines, done=False, content_type="application/x-ndjson", delay=0.05))
    async with await client.completions.create(model="m", prompt="x", stream=True) as stream:
        assert [event.choices[0].text async for event in stream] == ["hel", "lo"]


# What a stream passed over is all there is where nothing else came (kind A: relays that answer an order with a task).

ALONE: dict[str, tuple[dict[str, Any], type[APIError]]] = {
    "a task": ({"id": "t9", "object": "image.generation.task", "status": "pending"}, UnexpectedResponseError),
    "a task in a list": ({"code": 200, "data": [{"status": "submitted", "task_id": "t9"}]}, UnexpectedResponseError),
    "midjourney": ({"code": 1, "description": "提交成功", "result": "1320098173412546"}, UnexpectedResponseError),
    "an address": ({"id": "t9", "polling_url": "https://relay.example.com/t9"}, UnexpectedResponseError),
    "an empty account": ({"code": 0, "msg": "余额不足"}, InsufficientQuotaError),
    "black forest labs": ({"id": "t9", "status": "Request Moderated", "result": None}, IncompleteStreamError),
    "a frame": ({"id": "", "created": 0, "choices": [], "usage": None}, IncompleteStreamError),
}


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("page", ["chat", "images", "text"])
@pytest.mark.parametrize(("tree", "cls"), ALONE.values(), ids=ALONE)
async def test_what_came_in_place_of_a_stream_is_kept(
    client: TutuClient, server: Server, tree: dict[str, Any], cls: type[APIError], page: str, *, done: bool
) -> None:
    server.answers(streams([tree], done=done))
    once = client.with_options(max_retries=0)
    with pytest.raises(cls) as caught:
        if page == "chat":
            await once.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True)
        elif page == "text":
            await once.completions.create(model="m", prompt="x", stream=True)
        else:
            await once.images.generate(model="m", prompt="x", stream=True)
    assert caught.value.body == tree
    assert caught.value.outcome == ("rejected" if cls is InsufficientQuotaError else "unknown")
