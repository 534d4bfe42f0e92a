"""What comes over a connection, and when: HTTP chunks of any size, and connections that are used again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tutuclient import APIConnectionError, IncompleteStreamError, Timeout, TutuClient, user
from tutuclient.testing import chunk, says
from tutuclient.testing.script import encode_frame
from tutuclient.transport.pool import Handler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tutuclient.testing import Server

    Answer = Callable[[asyncio.StreamWriter], Awaitable[object]]

MESSAGES = [user("hi")]
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
MODELS = b'{"object": "list", "data": [{"id": "m"}]}'
GET = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(MODELS), MODELS)


def framed(*contents: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(content), content) for content in contents)


@contextlib.asynccontextmanager
async def relay(answer: Answer) -> AsyncIterator[str]:
    """A relay on bare sockets: its models are GET, and every POST is met by ``answer``."""

    running: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"GET"):
                    writer.write(GET)
                    continue
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
                await answer(writer)
        writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    for task in running:
        if task is not None:
            task.cancel()
    await asyncio.sleep(0.01)


async def trickle(writer: asyncio.StreamWriter, *pieces: bytes, gap: float) -> None:
    """Send pieces within one HTTP chunk, that is larger than all of them."""
    writer.write(CHUNKED + b"4000\r\n")
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(gap)


@pytest.mark.parametrize("reused", [False, True], ids=["new", "reused"])
async def test_events_within_one_http_chunk_are_given_as_they_come(reused: bool) -> None:
    loop = asyncio.get_running_loop()
    events = [encode_frame(chunk(f"{number} ")) for number in range(6)]

    async def answer(writer: asyncio.StreamWriter) -> None:
        await trickle(writer, *events, gap=0.1)
        end = encode_frame(chunk(finish_reason="stop"))
        writer.write(end + b": " + b" " * (0x4000 - len(b"".join(events) + end) - 3) + b"\n\r\n0\r\n\r\n")

    async with relay(answer) as url, TutuClient(KEY, url, timeout=Timeout(first_token=0.3, idle=0.3)) as client:
        if reused:
            await client.models.list()
        began = loop.time()
        async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
            came = [loop.time() - began async for _ in stream.text()]
            assert (await stream.completion()).text == "0 1 2 3 4 5 "
    assert came[0] < 0.2
    assert all(later - earlier > 0.05 for earlier, later in itertools.pairwise(came))


@pytest.mark.parametrize("end", ["fin", "rst", "silence"])
async def test_what_had_come_of_an_http_chunk_stands_in_partial(end: str) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        await trickle(writer, encode_frame(chunk("one ")), encode_frame(chunk("two")), gap=0.02)
        if end == "silence":
            await asyncio.sleep(2)
        (writer.transport.abort if end == "rst" else writer.close)()

    async with relay(answer) as url, TutuClient(KEY, url, timeout=Timeout(idle=0.2), max_retries=0) as client:
        with pytest.raises(APIConnectionError) as caught:
            async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
                await stream.completion()
    partial = getattr(caught.value, "partial", None)
    assert partial is not None
    assert partial.text == "one two"
    assert end == "silence" or isinstance(caught.value, IncompleteStreamError)


CONTENTS = [b"data: {}\n\n", b"\r\n5\r\nx\r\n", b"\r", b"a" * 300, b"0\r\n\r\n", b"b" * 5000]
_PLAIN = framed(*CONTENTS)


@pytest.mark.parametrize(
    "body",
    [
        _PLAIN + b"0\r\n\r\n",
        _PLAIN + b"0\r\nTrailer: x\r\n\r\n",
        framed(*CONTENTS[:3]) + b"12c;name=value\r\n" + framed(*CONTENTS[3:])[5:] + b"0\r\n\r\n",
        framed(*CONTENTS[:3]) + b"0012C\r\n" + framed(*CONTENTS[3:])[5:] + b"0\r\n\r\n",
    ],
    ids=["plain", "trailer", "extension", "zeros"],
)
@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
async def test_http_chunks_come_out_whole_wherever_they_are_cut(body: bytes, size: int) -> None:
    handler = Handler(asyncio.get_running_loop())
    handler.set_response_params()
    answer = CHUNKED + body
    for start in range(0, len(answer), size):
        handler.data_received(answer[start : start + size])
    _, payload = await handler.read()
    assert await payload.read() == b"".join(CONTENTS)
    assert not handler.should_close


@pytest.mark.parametrize("rest", [b"+5\r\nhello\r\n", b"0x5\r\nhello\r\n", b"nonsense", b"\xff\xff\xff\xff"])
async def test_a_bad_size_of_a_chunk_fails_the_body_at_once(rest: bytes) -> None:
    handler = Handler(asyncio.get_running_loop())
    handler.set_response_params()
    handler.data_received(CHUNKED + framed(b"first") + rest)
    _, payload = await handler.read()
    with pytest.raises(Exception, match="rules of HTTP"):
        await payload.read()
    assert handler.should_close


async def test_a_whole_body_stays_whole_when_the_connection_is_lost_behind_it() -> None:
    handler = Handler(asyncio.get_running_loop())
    handler.set_response_params()
    handler.data_received(CHUNKED + framed(b"hello") + b"0\r\n\r\n")
    _, payload = await handler.read()
    handler.connection_lost(None)
    assert payload.exception() is None
    assert await payload.read() == b"hello"


async def test_a_stream_and_a_whole_answer_share_a_connection(server: Server, client: TutuClient) -> None:
    server.answers(says("one"), says("two three"), says("four"))
    first = await client.chat.completions.create(model="m", messages=MESSAGES)
    async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
        second = await stream.completion()
    third = await client.chat.completions.create(model="m", messages=MESSAGES)
    assert (first.text, second.text, third.text) == ("one", "two three", "four")
    assert len({request.connection for request in server.requests}) == 1


async def test_surplus_behind_an_answer_whose_head_ends_in_bare_line_feeds_costs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n" + framed(b'{"data": ', b'[{"id": "m"}]}')

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer + b"0\r\n\r\n" + framed(b"hello"))
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, TutuClient(KEY, f"http://127.0.0.1:{port}", max_retries=0) as client:
        assert [model.id for model in (await client.models.list()).data] == ["m"]
        await asyncio.sleep(0)
    assert caplog.records == []


async def test_an_answer_nobody_asked_for_behind_a_chunked_one_is_given_to_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n"
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer % framed(b'{"data": ', b'[{"id": "%d"}]}' % connections))
        await asyncio.sleep(0.01)
        writer.write(answer % framed(b'{"data": [{"id": "of another"}]}'))
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, TutuClient(KEY, f"http://127.0.0.1:{port}", max_retries=0) as client:
        for number in range(1, 4):
            assert [model.id for model in (await client.models.list()).data] == [str(number)]
            await asyncio.sleep(0.05)
    assert connections == 3
    assert caplog.records == []


async def test_a_slow_reader_holds_the_relay_back(server: Server, client: TutuClient) -> None:
    server.faults("flood")
    async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
        async for _ in stream:
            break
        reply: Any = stream._reading.reply
        await asyncio.sleep(0.3)
        before = reply._content.total_bytes
        await asyncio.sleep(0.2)
        assert reply._content.total_bytes == before
        assert reply._content.total_bytes < 4 * 2**20
