"""Answers that come piece by piece: events as they come, a whole answer or an error, and nothing left open."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tutuclient import (
    APIConnectionError,
    APIError,
    APIStatusError,
    ConfigError,
    FirstTokenTimeoutError,
    IncompleteStreamError,
    InsufficientQuotaError,
    InternalServerError,
    StreamIdleTimeoutError,
    Timeout,
    TutuClient,
    UnexpectedResponseError,
)
from tutuclient.streams.events import EventReader, EventStream
from tutuclient.testing import Server, rate_limited, raw, streams
from tutuclient.types import Meta, TranscriptionStreamEvent, TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

MP3 = b"ID3\x04\0\0\0\0\0\0" + bytes(256)
DONE = {"type": "transcript.text.done", "text": "the cat"}
ERROR = {"error": {"message": "boom", "type": "server_error"}}


def delta(text: str) -> dict[str, Any]:
    return {"type": "transcript.text.delta", "delta": text}


EVENTS = [delta("the "), delta("cat"), DONE]


def words(events: list[Any]) -> list[str]:
    return [event.delta if isinstance(event, TranscriptionTextDeltaEvent) else event.text for event in events]


async def open_stream(client: TutuClient, **fields: Any) -> EventStream[TranscriptionStreamEvent]:
    create = client.audio.transcriptions.create
    stream: EventStream[TranscriptionStreamEvent] = await create(file=MP3, model="m", stream=True, **fields)
    return stream


def reader(max_bytes: int = 1000, *, goes_on: bool = False) -> EventReader[Any]:
    def read(kind: str, data: Any, _: Meta) -> Any:
        value = json.loads(bytes(data))
        return (kind, value) if value else None

    def whole(body: bytes, _: Meta) -> Iterator[Any]:
        yield json.loads(body)

    return EventReader(
        Meta(200), read=read, last=lambda one: one[1] == 9, whole=whole, max_bytes=max_bytes, goes_on=goes_on
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
    assert (one.done, one.spoken) == (True, 4)
    assert list(reader().all(body)) == events


def test_done_is_an_end_once_something_has_come() -> None:
    assert list(reader().all(b"data: 1\n\ndata: [DONE]\n\ndata: 2\n\n")) == [("", 1)]
    assert list(reader().all(b"data: 1\n\ndata: [DONE]")) == [("", 1)]
    with pytest.raises(IncompleteStreamError, match="without a single event"):
        list(reader().all(b"data: [DONE]\n\n"))
    with pytest.raises(IncompleteStreamError, match="its last event did not come"):
        list(reader().all(b"data: 1\n\n"))


def test_where_something_may_follow_the_last_event_only_done_is_the_end() -> None:
    body = b"data: 1\n\ndata: 9\n\ndata: 4\n\ndata: [DONE]\n\ndata: 5\n\n"
    assert list(reader(goes_on=True).all(body)) == [("", 1), ("", 9), ("", 4)]
    assert list(reader(goes_on=True).all(b"data: 1\n\ndata: [DONE]\n\n")) == [("", 1)]
    one = reader(goes_on=True)
    list(one.feed(b"data: 1\n\ndata: [DONE]\n\n"))
    with pytest.raises(IncompleteStreamError):
        one.check_complete(strict=True)


def test_what_is_torn_behind_the_last_event_costs_nothing() -> None:
    assert list(reader().all(b"data: 9\n\ndata: {")) == [("", 9)]
    with pytest.raises(IncompleteStreamError, match="its last event did not come"):
        list(reader().all(b"data: 1\n\n: ping"))


def test_what_came_before_an_error_is_given_first() -> None:
    events = reader().all(b'data: 1\n\n{"error": {"message": "boom", "type": "server_error"}}\n')
    assert next(events) == ("", 1)
    with pytest.raises(InternalServerError, match="boom") as caught:
        next(events)
    assert caught.value.outcome == "unknown"
    with pytest.raises(UnexpectedResponseError, match="a line that is no event"):
        list(reader().all(b"oops\n"))


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(UnexpectedResponseError, match="over 1,000 bytes"):
        list(reader().all(b"data: " + b"1" * 1100))
    with pytest.raises(UnexpectedResponseError, match="a stream of more than 1,500 bytes"):
        list(reader().feed(b"data: 1\n\n" * 200))


# The stream.


async def test_events_come_as_they_are_sent(client: TutuClient, server: Server) -> None:
    server.answers(streams([delta("the ")], done=False, then="hang"))
    async with await open_stream(client) as stream:
        event = await anext(stream)
        assert isinstance(event, TranscriptionTextDeltaEvent)
        assert event.delta == "the "
        assert stream.meta.status_code == 200
    await server.wait_closed()
    assert server.open_connections == 0


@pytest.mark.parametrize("cut", [None, 1, 7])
async def test_a_stream_is_read_to_its_last_event(client: TutuClient, server: Server, cut: int | None) -> None:
    server.answers(streams(EVENTS, chunk_sizes=cut, done=cut is None))
    stream = await open_stream(client, language="en")
    assert words([event async for event in stream]) == ["the ", "cat", "the cat"]
    with pytest.raises(ConfigError, match="read to its end already"):
        _ = [event async for event in stream]
    await stream.close()
    assert b'name="stream"\r\n\r\ntrue\r\n' in server.requests[0].body


async def test_the_last_event_is_the_end_though_the_relay_is_silent(client: TutuClient, server: Server) -> None:
    server.answers(streams(EVENTS, done=False, then="hang"))
    stream = await open_stream(client)
    assert len([event async for event in stream]) == 3
    await server.wait_closed(timeout=1)


async def test_a_whole_answer_becomes_events(client: TutuClient, server: Server) -> None:
    segment = {"id": "s", "speaker": "A", "start": 0, "end": 1, "text": "hi"}
    usage = {"type": "duration", "seconds": 2}
    server.answers(
        raw(body=json.dumps({"text": "hi", "usage": usage, "own": 1}).encode()),
        raw(body=json.dumps({"text": "hi", "segments": [segment]}).encode()),
        raw(body=b"hi\n", headers={"Content-Type": "text/plain"}),
    )
    (done,) = [event async for event in await open_stream(client)]
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert done.usage is not None
    assert (done.text, done.usage.seconds, done.extra) == ("hi", 2.0, {"own": 1})
    first, done = [event async for event in await open_stream(client, response_format="diarized_json")]
    assert (getattr(first, "speaker", ""), getattr(done, "text", "")) == ("A", "hi")
    (done,) = [event async for event in await open_stream(client, response_format="text")]
    assert getattr(done, "text", "") == "hi"


async def test_a_stream_within_a_whole_answer_is_taken_out_of_it(client: TutuClient, server: Server) -> None:
    wrapped = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS)
    server.answers(raw(body=json.dumps({"text": wrapped, "usage": None}).encode()))
    async with await open_stream(client) as stream:
        assert words([event async for event in stream]) == ["the ", "cat", "the cat"]


@pytest.mark.parametrize(
    "answer",
    [
        streams(EVENTS[:2], done=False),
        streams(EVENTS[:2], done=False, then="fin"),
        streams(EVENTS[:2], done=False, then="reset"),
        streams([*EVENTS[:2], ERROR], done=True),
        streams([*EVENTS[:2], b"data: words\n\n"], done=True),
    ],
    ids=["no end", "fin", "reset", "error", "broken"],
)
async def test_a_stream_that_breaks_is_an_error(client: TutuClient, server: Server, answer: Any) -> None:
    server.answers(answer)
    stream = await open_stream(client)
    read: list[Any] = []
    with pytest.raises(APIError) as caught:
        read.extend([event async for event in stream])
    assert caught.value.outcome == "unknown"
    assert caught.value.attempts == 1
    assert caught.value.request_id
    with pytest.raises(type(caught.value)):
        await anext(stream)
    assert len(server.requests) == 1


async def test_what_fails_before_the_first_event_is_tried_again(client: TutuClient, server: Server) -> None:
    server.answers(
        rate_limited(),
        streams([ERROR]),
        streams([b": ping\n\n"], done=False, then="fin"),
        streams(EVENTS),
    )
    stream = await open_stream(client.with_options(max_retries=3))
    assert len([event async for event in stream]) == 3
    assert stream.meta.attempts == 4


@pytest.mark.parametrize(
    ("answer", "cls"),
    [
        (raw(body=json.dumps(ERROR).encode()), InternalServerError),
        (raw(body=b"<html><title>504</title>"), UnexpectedResponseError),
        (raw(), UnexpectedResponseError),
        (raw(body=b"\n\n", headers={"Content-Type": "text/event-stream"}), IncompleteStreamError),
        (raw(headers={"Content-Type": "text/event-stream"}), IncompleteStreamError),
        (streams([ERROR]), InternalServerError),
        (streams([b"event: error\ndata: boom\n\n"]), APIStatusError),
        (streams([]), IncompleteStreamError),
    ],
)
async def test_what_is_no_stream_fails_at_once(
    client: TutuClient, server: Server, answer: Any, cls: type[APIError]
) -> None:
    server.answers(answer)
    with pytest.raises(cls):
        await open_stream(client.with_options(max_retries=0))
    assert server.in_flight == 0


async def test_silence_ends_a_stream_and_pings_are_silence(server: Server) -> None:
    limits = Timeout(total=5, first_token=0.2, idle=0.1)
    async with TutuClient(KEY, server.base_url, timeout=limits, max_retries=0) as client:
        server.answers(streams([delta("a"), *[b": ping\n\n"] * 50], delay=0.02, done=False))
        stream = await open_stream(client)
        await anext(stream)
        with pytest.raises(StreamIdleTimeoutError):
            await anext(stream)
        server.answers(streams([], done=False, then="hang"))
        with pytest.raises(FirstTokenTimeoutError):
            await open_stream(client)


async def test_the_time_a_reader_takes_is_no_silence(server: Server) -> None:
    async with TutuClient(KEY, server.base_url, timeout=Timeout(total=5, idle=0.45)) as client:
        server.answers(streams(EVENTS, delay=0.3))
        stream = await open_stream(client)
        await anext(stream)
        await asyncio.sleep(0.54)  # Longer than the limit, and the last event is yet to come.
        assert len([event async for event in stream]) == 2


async def _leave(stream: EventStream[Any]) -> None:
    async with stream:
        await anext(stream)


async def _close(stream: EventStream[Any]) -> None:
    await stream.aclose()
    await stream.aclose()


async def _cancel(stream: EventStream[Any]) -> None:
    async def read() -> None:
        async for _ in stream:
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leave", [_leave, _close, _cancel])
async def test_a_stream_that_is_left_is_closed_at_once(
    client: TutuClient, server: Server, leave: Callable[[EventStream[Any]], Awaitable[None]]
) -> None:
    server.answers(streams([delta("a")], done=False, then="hang"))
    stream = await open_stream(client)
    await leave(stream)
    await server.wait_closed(timeout=1)
    assert server.open_connections == 0
    with pytest.raises(APIConnectionError, match="closed before its end"):
        await anext(stream)


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
