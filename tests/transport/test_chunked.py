from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient import TutuClient
from tutuclient.testing import says
from tutuclient.transport.chunked import Chunks
from tutuclient.transport.pool import Handler

if TYPE_CHECKING:
    from tutuclient.testing import Server


def framed(*contents: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(content), content) for content in contents)


def fed(chunks: Chunks, *pieces: bytes) -> tuple[bytes, bytes]:
    """All that comes out of these pieces: contents, and what is handed over."""
    contents = b""
    for number, piece in enumerate(pieces):
        content, rest = chunks.feed(piece)
        contents += content
        if chunks.handed_over:
            return contents, rest + b"".join(pieces[number + 1 :])
    return contents, b""


CONTENTS = [b"data: {}\n\n", b"\r\n5\r\nx\r\n", b"\r", b"a" * 300, b"0\r\n\r\n", b"b" * 5000]


@given(st.lists(st.sampled_from(CONTENTS) | st.binary(min_size=1, max_size=40), max_size=8), st.data())
def test_plain_chunks_come_out_whole_wherever_they_are_cut(contents: list[bytes], data: st.DataObject) -> None:
    body = framed(*contents) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert fed(Chunks(), *[piece for piece in pieces if piece]) == (b"".join(contents), b"0\r\n\r\n")


def test_plain_chunks_come_out_whole_byte_by_byte() -> None:
    body = framed(*CONTENTS)
    assert fed(Chunks(), *[bytes([byte]) for byte in body]) == (b"".join(CONTENTS), b"")


@pytest.mark.parametrize(
    "rest",
    [
        b"5;name=value\r\nhello\r\n",
        b"005\r\nhello\r\n",
        b"10000\r\n",
        b"0\r\nTrailer: x\r\n\r\n",
        b"+5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"\r\nhello",
        b"5\nhello\n",
        b"nonsense",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
    ],
)
def test_what_is_not_plain_is_handed_over_from_the_beginning_of_its_chunk(rest: bytes) -> None:
    assert fed(Chunks(), framed(b"first") + rest) == (b"first", rest)


def test_what_follows_a_chunk_that_is_too_long_is_not_taken_for_a_size() -> None:
    assert fed(Chunks(), b"5\r\nhelloABC\r\n") == (b"hello", b"?ABC\r\n")


def test_a_chunk_that_ends_in_a_bare_line_feed_is_handed_over_as_one_that_ended_well() -> None:
    assert fed(Chunks(), b"5\r\nhello\n3\nabc\n") == (b"hello", b"3\nabc\n")


def test_what_has_come_of_a_chunk_is_handed_over_when_the_connection_is_lost() -> None:
    chunks = Chunks()
    assert chunks.feed(b"5\r\nhello\r\n6\r\nwor") == (b"hello", b"")
    assert chunks.hand_over() == b"6\r\nwor"


async def test_a_stream_and_a_whole_answer_share_a_connection(server: Server, client: TutuClient) -> None:
    server.answers(says("one"), says("two three"), says("four"))
    messages = [{"role": "user", "content": "hi"}]
    first = await client.chat.completions.create(model="m", messages=messages)
    async with client.chat.completions.stream(model="m", messages=messages) as stream:
        second = await stream.completion()
    third = await client.chat.completions.create(model="m", messages=messages)
    assert (first.text, second.text, third.text) == ("one", "two three", "four")
    assert len({request.connection for request in server.requests}) == 1


async def test_an_answer_whose_head_ends_in_bare_line_feeds_is_left_to_aiohttp(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n" + framed(b'{"data": ', b'[{"id": "m"}]}')
    surplus = framed(b"hello")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer + b"0\r\n\r\n" + surplus)
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, TutuClient("a-key-for-nobody", f"http://127.0.0.1:{port}", max_retries=0) as client:
        assert [model.id for model in (await client.models.list()).data] == ["m"]
        await asyncio.sleep(0)
    assert caplog.records == []


async def test_an_answer_nobody_asked_for_behind_a_plain_one_is_given_to_nobody(
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
    async with listener, TutuClient("a-key-for-nobody", f"http://127.0.0.1:{port}", max_retries=0) as client:
        for number in range(1, 4):
            assert [model.id for model in (await client.models.list()).data] == [str(number)]
            await asyncio.sleep(0.05)
    assert connections == 3
    assert caplog.records == []


async def test_a_whole_body_stays_whole_when_the_connection_is_lost_behind_it() -> None:
    handler = Handler(asyncio.get_running_loop())
    handler.set_response_params()
    handler.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed(b"hello") + b"0\r\n\r\n")
    _, payload = await handler.read()
    handler.connection_lost(None)
    assert payload.exception() is None
    assert await payload.read() == b"hello"


async def test_a_slow_reader_holds_the_relay_back(server: Server, client: TutuClient) -> None:
    server.faults("flood")
    async with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hi"}]) as stream:
        async for _ in stream:
            break
        reply = stream._reading.reply
        assert reply is not None
        await asyncio.sleep(0.3)
        before = reply._content.total_bytes
        await asyncio.sleep(0.2)
        assert reply._content.total_bytes == before
        assert reply._content.total_bytes < 4 * 2**20
