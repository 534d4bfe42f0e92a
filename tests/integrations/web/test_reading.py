from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.sse import ServerSentEvent
from litestar.response import ServerSentEventMessage

from tests.integrations.web.test_forms import QUESTION, as_is, texts
from tests.leftovers import nothing_left, until
from tutuclient import ConfigError
from tutuclient.integrations.web import events
from tutuclient.testing import chunk, says, streams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tutuclient import TutuClient
    from tutuclient.integrations.web import Events
    from tutuclient.testing import Server


def hangs(*pieces: str) -> Any:
    return streams([chunk(piece) for piece in pieces], done=False, then="hang")


def double(number: int) -> int:
    return number * 2


async def first(found: Any) -> str:
    """Read as far as the first text."""
    async for event in found:
        if "a" in event:
            return str(event)
    raise AssertionError("no text came")


async def test_every_kind_of_stream_is_read_and_closed(client: TutuClient, server: Server) -> None:
    server.answers(*[says("a b")] * 5)
    create = client.chat.completions.create
    sources: list[Any] = [
        client.chat.completions.stream(**QUESTION),
        create(**QUESTION, stream=True),
        await create(**QUESTION, stream=True),
        (await create(**QUESTION, stream=True)).text(),
        client.chat.completions.run_tools(**QUESTION, tools=[double], stream=True),
    ]
    for source in sources:
        assert 'data: {"text":"a"}\n\n' in [event async for event in events(source)]
    assert await nothing_left(client) == []


async def test_leaving_closes_the_stream_at_once(client: TutuClient, server: Server) -> None:
    server.answers(*[hangs("a")] * 5)
    # A block that is left.
    async with events(client.chat.completions.stream(**QUESTION)) as found:
        await first(found)
    await server.wait_closed(0)
    # A loop that is left by a break, and whose events are then lost.
    async for event in events(client.chat.completions.stream(**QUESTION)):
        if "a" in event:
            break
    await server.wait_closed(1)
    # A generator around it that is lost.
    await first(through(client.chat.completions.stream(**QUESTION)))
    await server.wait_closed(2)

    # A task that is cancelled while it waits, and whose traceback is kept.
    waiting = asyncio.Event()

    async def waits() -> None:
        found = events(client.chat.completions.stream(**QUESTION))
        await first(found)
        waiting.set()
        await anext(found)

    task = asyncio.create_task(waits())
    await waiting.wait()
    gc.disable()
    try:
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as kept:
            await task
        await server.wait_closed(3)
        del kept
    finally:
        gc.enable()
    assert await nothing_left(client) == []


async def test_a_reader_that_is_cancelled_between_two_events_is_gone(client: TutuClient, server: Server) -> None:
    server.answers(hangs("a"), hangs("a"))
    kept = through(client.chat.completions.stream(**QUESTION))  # by a framework, in a circle of references

    sending = asyncio.Event()

    async def sends() -> None:
        async for _ in kept:
            sending.set()
            await asyncio.sleep(60)  # the browser reads nothing

    task = asyncio.create_task(sends())
    await sending.wait()
    await server.wait_requests(1)
    task.cancel()
    await server.wait_closed(0)
    # A task that has just done its part of the reading is not.
    found = events(client.chat.completions.stream(**QUESTION))
    assert "a" in await asyncio.create_task(first(found))
    assert not server.requests[1].aborted
    await found.aclose()
    await server.wait_closed(1)


async def through(source: Any) -> AsyncGenerator[str]:
    async for event in events(source):
        yield event


async def test_a_stream_that_was_never_read_is_closed(client: TutuClient, server: Server) -> None:
    server.answers(hangs("a"))
    stream = await client.chat.completions.create(**QUESTION, stream=True)
    await events(stream).aclose()
    assert stream.is_closed
    await events(client.chat.completions.create(**QUESTION, stream=True)).aclose()  # never asked
    await server.wait_closed(0)
    assert len(server.requests) == 1


async def test_what_is_closed_has_no_more_events_and_keeps_no_reader(client: TutuClient, server: Server) -> None:
    server.answers(*[hangs("a")] * 3)
    for turns in (0, 1, 2):  # before the reading has begun, as it begins, and behind that
        stream = await client.chat.completions.create(**QUESTION, stream=True)
        found = events(stream, heartbeat=None)
        reader = asyncio.create_task(rest(found))
        for _ in range(turns):
            await asyncio.sleep(0)
        await found.aclose()
        assert "done" not in "".join(await reader)
        assert stream.is_closed
        assert await rest(found) == []
        await server.wait_closed(turns)


async def rest(found: Events[str]) -> list[str]:
    return [event async for event in found]


async def test_heartbeats_are_comments_also_before_the_first_token(client: TutuClient, server: Server) -> None:
    server.answers(says("a", delay=0.3))
    found = [event async for event in events(client.chat.completions.stream(**QUESTION), heartbeat=0.05)]
    assert found[:2] == ["id: 1\n\n", ": still there\n\n"]
    assert found.count(": still there\n\n") >= 2
    assert [event for event in found if not event.startswith(":")] == [
        "id: 1\n\n",
        'data: {"text":"a"}\n\n',
        'event: done\ndata: {"finish_reason":"stop"}\n\n',
    ]


async def test_a_silence_can_be_left_without_heartbeats(client: TutuClient, server: Server) -> None:
    server.answers(says("a", delay=0.1))
    found = [event async for event in events(client.chat.completions.stream(**QUESTION), heartbeat=None)]
    assert not [event for event in found if event.startswith(":")]


async def test_a_slow_reader_slows_the_reading() -> None:
    made = 0

    async def endless() -> AsyncGenerator[str]:
        nonlocal made
        while True:
            made += 1
            yield "a"

    async with events(endless()) as found:
        for number in range(50):
            await anext(found)
            for _ in range(20):
                await asyncio.sleep(0)
            assert made <= number + 12


async def test_events_are_made_into_those_of_frameworks() -> None:
    made = [event async for event in events(texts("a\nb"), form="text", into=ServerSentEvent)]
    assert [(event.id, event.event, event.raw_data) for event in made] == [
        ("1", None, None),
        (None, None, "a\nb"),
        (None, "done", "stop"),
    ]
    sent = [event async for event in events(texts("a"), form="text", into=ServerSentEventMessage)]
    assert [event.data for event in sent] == [None, "a", "stop"]
    assert [event async for event in events(texts("a"), form="text", into=as_is)][1] == {"data": "a"}


async def test_no_event_of_a_framework_is_an_empty_message(server: Server, client: TutuClient) -> None:
    server.answers(says("a", delay=0.1))
    stream = client.chat.completions.stream(**QUESTION)
    found = [event.encode() async for event in events(stream, heartbeat=0.02, into=ServerSentEventMessage)]
    # The id and heartbeats: what has no data is no event, so the page's handler is not called with "".
    assert {b"id: 1\r\n\r\n", b": still there\r\n\r\n"} <= set(found)
    assert b'data: {"text":"a"}\r\n\r\n' in found


async def test_what_events_say_of_an_error_is_the_apps_to_say(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a"), {"error": {"message": "no such thing"}}]))
    found = [event async for event in events(client.chat.completions.stream(**QUESTION), error_text=lambda _: "later")]
    assert '"message":"later"' in found[-1]
    assert "no such thing" not in "".join(found)


async def test_what_somebody_else_cancelled_is_no_silent_end() -> None:
    async def answer() -> AsyncGenerator[str]:
        yield "the first half"
        job = asyncio.ensure_future(asyncio.sleep(10))
        asyncio.get_running_loop().call_soon(job.cancel)
        await job

    found: list[str] = []
    stream = events(answer())
    with pytest.raises(RuntimeError, match="was cancelled by somebody else"):
        async for event in stream:
            found.append(event)  # noqa: PERF401  (they have to be there when it raises)
    assert "event: error" in found[-1]


async def test_what_is_no_stream_gets_one_sentence(client: TutuClient) -> None:
    with pytest.raises(ConfigError, match="a list is no stream; pass client"):
        events(["a"])  # type: ignore[call-overload]
    for seconds in (0, -1, float("nan")):
        with pytest.raises(ConfigError, match="pass seconds above 0, or None"):
            events(texts("a"), heartbeat=seconds)
    with pytest.raises(ConfigError, match="the stream was closed|a ChatCompletion came where a stream was needed"):
        await raised(client.chat.completions.create(**QUESTION))

    async def numbers() -> AsyncGenerator[Any]:
        yield 7

    with pytest.raises(ConfigError, match="a stream of texts or chunks is needed, and a int came"):
        await raised(numbers())


async def raised(source: Any) -> None:
    """Raise what a source fails with: an error of ours is an event, and is not raised by the events."""
    found = events(source, into=as_is)
    channel = found._reading.start()
    await until(lambda: channel.failed is not None)
    error = channel.failed
    await found.aclose()
    assert error is not None
    raise error
