"""What every stream of ``tutuclient.streams.reading`` promises: a whole answer or an error, and nothing left open."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tests.leftovers import reader_waits
from tutuclient import (
    APIConnectionError,
    APIError,
    APIStatusError,
    ConfigError,
    FirstTokenTimeoutError,
    IncompleteStreamError,
    InternalServerError,
    StreamIdleTimeoutError,
    Timeout,
    TutuClient,
    UnexpectedResponseError,
)
from tutuclient.testing import Server, rate_limited, raw, streams
from tutuclient.types import TranscriptionStreamEvent, TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tutuclient.streams.events import EventStream

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


async def test_events_come_as_they_are_sent(client: TutuClient, server: Server) -> None:
    server.answers(streams([delta("the ")], done=False, then="hang"))
    async with await open_stream(client) as stream:
        event = await anext(stream)
        assert isinstance(event, TranscriptionTextDeltaEvent)
        assert event.delta == "the "
        assert stream.meta.status_code == 200
    await server.wait_closed()
    await server.until(lambda: server.open_connections == 0)


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
    await server.wait_closed(timeout=10)


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
async def test_what_is_not_a_stream_fails_at_once(
    client: TutuClient, server: Server, answer: Any, cls: type[APIError]
) -> None:
    server.answers(answer)
    with pytest.raises(cls):
        await open_stream(client.with_options(max_retries=0))
    await server.until(lambda: server.in_flight == 0)


async def test_the_idle_timeout_ends_a_stream_and_pings_do_not_reset_it(server: Server) -> None:
    limits = Timeout(total=20, first_token=0.5, idle=0.1)
    async with TutuClient(KEY, server.base_url, timeout=limits, max_retries=0) as client:
        server.answers(streams([delta("a"), *[b": ping\n\n"] * 50], delay=0.02, done=False))
        stream = await open_stream(client)
        await anext(stream)
        with pytest.raises(StreamIdleTimeoutError):
            await anext(stream)
        server.answers(streams([], done=False, then="hang"))
        with pytest.raises(FirstTokenTimeoutError):
            await open_stream(client)


async def test_the_time_a_reader_takes_does_not_count_as_idle(server: Server) -> None:
    async with TutuClient(KEY, server.base_url, timeout=Timeout(total=20, idle=0.9)) as client:
        server.answers(streams(EVENTS, delay=0.6))
        stream = await open_stream(client)
        await anext(stream)
        await asyncio.sleep(1.08)  # Longer than the limit, and the last event is yet to come.
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
    await reader_waits(stream)
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
    await server.wait_closed(timeout=10)
    await server.until(lambda: server.open_connections == 0)
    with pytest.raises(APIConnectionError, match="closed before its end"):
        await anext(stream)


async def test_lines_of_ollama_come_as_they_are_sent(client: TutuClient, server: Server) -> None:
    line = b'{"model":"m","message":{"role":"assistant","content":"%b"},"done":%b}\n'
    first, last = line % (b"hel", b"false"), line % (b"lo", b"true")
    server.answers(streams([first, last], done=False, content_type="application/x-ndjson", delay=0.05))
    messages = [{"role": "user", "content": "x"}]
    async with await client.chat.completions.create(model="m", messages=messages, stream=True) as stream:
        assert [piece async for piece in stream.text()] == ["hel", "lo"]
