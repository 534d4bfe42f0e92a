"""What comes over a connection, and when: HTTP chunks of any size, and connections that are used again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.client_proto import ResponseHandler

from tests.certificates import self_signed
from tests.conftest import KEY, QUICK
from tests.differing import difference
from tests.images import png
from tests.leftovers import none_idle
from tutuclient import (
    APIConnectionError,
    IncompleteStreamError,
    PayloadTooLargeError,
    RetryPolicy,
    Timeout,
    TutuClient,
    UnexpectedResponseError,
    user,
)
from tutuclient.testing import chunk, says
from tutuclient.testing.answers import encode_frame
from tutuclient.testing.exchange import reset
from tutuclient.transport.connection import Guard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tutuclient.testing import Server

    Answer = Callable[[asyncio.StreamWriter], Awaitable[object]]

MESSAGES = [user("hi")]
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
MODELS = b'{"object": "list", "data": [{"id": "m"}]}'
GET = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(MODELS), MODELS)
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)


def framed(*contents: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(content), content) for content in contents)


@contextlib.asynccontextmanager
async def relay(answer: Answer) -> AsyncIterator[str]:
    """A relay on bare sockets: its models are GET, and every POST is met by ``answer``."""

    running: set[asyncio.Task[Any]] = set()  # Of the relay: one for each connection.

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            running.add(task)
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
        task.cancel()
    if running:
        await asyncio.wait(running)


async def trickle(writer: asyncio.StreamWriter, *pieces: bytes, gap: float) -> None:
    """Send pieces within one HTTP chunk, that is larger than all of them."""
    writer.write(CHUNKED + b"4000\r\n")
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(gap)


@pytest.mark.parametrize("reused", [False, True], ids=["new", "reused"])
async def test_events_within_one_http_chunk_are_given_as_they_come(reused: bool) -> None:
    read = asyncio.Semaphore(0)
    events = [encode_frame(chunk(f"{number} ")) for number in range(6)]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"4000\r\n")
        for event in events:
            writer.write(event)
            await read.acquire()
        end = encode_frame(chunk(finish_reason="stop"))
        writer.write(end + b": " + b" " * (0x4000 - len(b"".join(events) + end) - 3) + b"\n\r\n0\r\n\r\n")

    async with relay(answer) as url, TutuClient(KEY, url, timeout=10) as client:
        if reused:
            await client.models.list()
        async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
            async for _ in stream.text():
                read.release()
            assert (await stream.completion()).text == "0 1 2 3 4 5 "


@pytest.mark.parametrize("end", ["fin", "rst", "silence"])
async def test_what_had_come_of_an_http_chunk_stands_in_partial(end: str) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        await trickle(writer, encode_frame(chunk("one ")), encode_frame(chunk("two")), gap=0.02)
        if end == "silence":
            await asyncio.sleep(30)
        (reset(writer.transport) if end == "rst" else writer.close())

    async with relay(answer) as url, TutuClient(KEY, url, timeout=Timeout(idle=0.6), max_retries=0) as client:
        with pytest.raises(APIConnectionError) as caught:
            async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
                await stream.completion()
    partial = getattr(caught.value, "partial", None)
    assert partial is not None
    assert partial.text == "one two"
    assert end == "silence" or isinstance(caught.value, IncompleteStreamError)


@pytest.mark.parametrize("end", ["deltas", "whole"])
async def test_an_arriving_image_in_one_http_chunk_does_not_count_as_idle(end: str) -> None:
    big = [encode_frame(chunk("x" * 400_000)), encode_frame(chunk(finish_reason="stop"))]
    body = b"".join(big) if end == "deltas" else ANSWER.replace(b"hello", b"x" * 400_000)
    head = CHUNKED if end == "deltas" else CHUNKED.replace(b"text/event-stream", b"application/json")

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head + b"%x\r\n" % len(body))
        for start in range(0, len(body), 40_000):
            writer.write(body[start : start + 40_000])
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.write(b"\r\n0\r\n\r\n")

    async with (
        relay(answer) as url,
        TutuClient(KEY, url, max_retries=0, timeout=Timeout(idle=0.6)) as client,
        client.chat.completions.stream(model="m", messages=MESSAGES) as stream,
    ):
        assert difference((await stream.completion()).text, "x" * 400_000) == ""


class Wire(asyncio.Transport):
    """A transport without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self._protocol: asyncio.BaseProtocol = ResponseHandler(asyncio.get_running_loop())
        self._protocol.connection_made(self)
        self._protocol.set_response_params()
        self._closing = False
        self.guard = Guard(self)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.inner: Any = self._protocol
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True  # Within TLS that is not the end yet.

    def abort(self) -> None:
        self._closing = True
        self._protocol.connection_lost(None)


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
    wire = Wire()
    answer = CHUNKED + body
    for start in range(0, len(answer), size):
        wire.guard.data_received(answer[start : start + size])
    _, payload = await wire.inner.read()
    assert await payload.read() == b"".join(CONTENTS)
    assert not wire.inner.should_close


@pytest.mark.parametrize("told", ["before", "behind"])
@pytest.mark.parametrize("rest", [b"+5\r\nhello\r\n", b"0x5\r\nhello\r\n", b"nonsense", b"\xff\xff\xff\xff"])
async def test_a_bad_size_of_a_chunk_fails_the_body_at_once(rest: bytes, told: str) -> None:
    wire = Wire()
    wire.guard.data_received(CHUNKED + framed(b"first") + (rest if told == "behind" else b""))
    _, payload = await wire.inner.read()
    wire.guard.receive_body(payload)
    if told == "before":
        wire.guard.data_received(rest)
    with pytest.raises(Exception, match="rules of HTTP"):
        await payload.read()
    assert wire.inner.should_close


async def test_a_whole_body_stays_whole_when_the_connection_is_lost_behind_it() -> None:
    wire = Wire()
    wire.guard.data_received(CHUNKED + framed(b"hello") + b"0\r\n\r\n")
    _, payload = await wire.inner.read()
    wire.guard.receive_body(payload)
    wire.abort()
    assert payload.exception() is None
    assert await payload.read() == b"hello"


async def test_calls_that_are_ended_by_closing_are_reported_to_nobody(server: Server) -> None:
    loop = asyncio.get_running_loop()
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: reported.append(context))
    server.answers(*[says("late", delay=5)] * 2)
    client = TutuClient(KEY, server.base_url, max_retries=0)
    calls = [asyncio.create_task(client.chat.completions.create(model="m", messages=MESSAGES)) for _ in range(2)]
    await server.wait_requests(2)
    await client.aclose()
    assert [type(each) for each in await asyncio.gather(*calls, return_exceptions=True)] == [APIConnectionError] * 2
    del client, calls
    gc.collect()
    await asyncio.sleep(0)
    assert reported == []


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
    read = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n"
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer % framed(b'{"data": ', b'[{"id": "%d"}]}' % connections))
        await read.wait()
        writer.write(answer % framed(b'{"data": [{"id": "of another"}]}'))
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, TutuClient(KEY, f"http://127.0.0.1:{port}", max_retries=0) as client:
        for number in range(1, 4):
            read.clear()
            assert [model.id for model in (await client.models.list()).data] == [str(number)]
            read.set()
            await none_idle(client)
    assert connections == 3
    assert caplog.records == []


@pytest.mark.parametrize(
    "head", [HEAD, CHUNKED.replace(b"text/event-stream", b"application/json")], ids=["sized", "chunked"]
)
async def test_an_answer_nobody_asked_for_that_comes_with_the_end_of_another_is_given_to_nobody(head: bytes) -> None:
    met = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal met
        met += 1
        body = ANSWER.replace(b"hello", b"%05d" % met)
        whole = head + (body if head == HEAD else framed(body) + b"0\r\n\r\n")
        writer.write(whole[:-3])
        await asyncio.sleep(0.01)
        writer.write(whole[-3:] + HEAD + ANSWER)

    async with relay(answer) as url, TutuClient(KEY, url, max_retries=0) as client:
        texts = [(await client.chat.completions.create(model="m", messages=MESSAGES)).text for _ in range(3)]
    assert texts == ["00001", "00002", "00003"]


@pytest.mark.parametrize("head", [b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Content-Length: x"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_head_that_breaks_the_rules_is_an_error_of_ours(head: bytes, secure: bool) -> None:
    tls, pem = self_signed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + framed(MODELS))
        await reader.read()
        writer.close()

    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls if secure else None)
    url = f"http{'s' if secure else ''}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    trusted = ssl.create_default_context(cadata=pem)
    async with listener, TutuClient(KEY, url, verify=trusted, max_retries=0) as client:
        with pytest.raises(APIConnectionError, match="rules of HTTP"):
            await client.models.list()
        await asyncio.sleep(0.01)
    gc.collect()
    assert reported == []


async def test_a_slow_reader_holds_the_relay_back(server: Server, client: TutuClient) -> None:
    server.faults("flood")
    async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
        chunks = aiter(stream)
        await anext(chunks)
        reply: Any = stream._reading.reply
        async with asyncio.timeout(20):
            before = -1
            while reply._content.total_bytes != before:
                before = reply._content.total_bytes
                for _ in range(20):  # Turns of the loop, in which the relay would have sent more.
                    await asyncio.sleep(0.01)
        assert reply._content.total_bytes < 4 * 2**20


INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX-A: b\r\n\r\n"


def cutting(cut: bytes, end: str, met: list[int]) -> Answer:
    """Answer the first POST with the beginning of an answer and FIN or RST, and every later one with a whole answer."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        met.append(1)
        if len(met) > 1:
            writer.write(HEAD + ANSWER)
            return
        writer.write(cut)
        await asyncio.sleep(0.002)  # What is read in one piece with a RST may be lost in the kernel.
        (reset(writer.transport) if end == "rst" else writer.close())

    return answer


async def posts_of(cut: bytes, end: str, policy: RetryPolicy) -> tuple[int, BaseException | None]:
    met: list[int] = []
    async with relay(cutting(cut, end, met)) as url, TutuClient(KEY, url, retry=policy) as client:
        await client.models.list()
        try:
            await client.chat.completions.create(model="m", messages=MESSAGES, timeout=5)
        except APIConnectionError as error:
            return len(met), error
    return len(met), None


# With an empty budget only what is free is sent again: the call that met a dead idle connection.
FREE_ONLY = RetryPolicy(max_retries=2, wait_initial=0, budget=0)


@pytest.mark.parametrize("end", ["fin", "rst"])
async def test_a_call_on_a_used_connection_is_sent_again_only_when_not_one_byte_came(end: str) -> None:
    tape = INTERIM + HEAD
    assert await posts_of(b"", end, FREE_ONLY) == (2, None)
    for length in range(1, len(tape) + 1):
        posts, error = await posts_of(tape[:length], end, FREE_ONLY)
        assert (posts, getattr(error, "outcome", None)) == (1, "unknown"), tape[:length]


@pytest.mark.slow
@pytest.mark.parametrize("end", ["fin", "rst"])
@pytest.mark.parametrize(
    "policy",
    [RetryPolicy(max_retries=0), RetryPolicy(wait_initial=0, resend_unknown=False)],
    ids=["retries", "unknown"],
)
async def test_a_call_is_never_sent_again_when_the_caller_says_no(policy: RetryPolicy, end: str) -> None:
    tape = INTERIM + HEAD
    for length in range(len(tape) + 1):
        posts, error = await posts_of(tape[:length], end, policy)
        assert (posts, getattr(error, "outcome", None)) == (1, "unknown"), tape[:length]


@pytest.mark.parametrize(
    "policy", [RetryPolicy(max_retries=0), RetryPolicy(resend_unknown=False)], ids=["retries", "unknown"]
)
async def test_calls_that_the_caller_repeats_himself_share_a_connection(server: Server, policy: RetryPolicy) -> None:
    server.answers(*[says("hello")] * 4)
    async with TutuClient(KEY, server.base_url, retry=policy) as client:
        for headers in (None, None, {"X-Own": "1"}):  # With headers of its own it goes the long way.
            await client.chat.completions.create(model="m", messages=MESSAGES, extra_headers=headers)
        async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
            await stream.completion()
    assert len(server.requests) == 4
    assert len({request.connection for request in server.requests}) == 1


@pytest.mark.parametrize("end", ["fin", "rst"])
@pytest.mark.parametrize("headers", [None, {"X-Own": "1"}], ids=["short", "long"])
async def test_an_idle_connection_that_dies_is_an_error_where_repeats_are_forbidden(
    headers: dict[str, str] | None, end: str
) -> None:
    met: list[int] = []
    async with relay(cutting(b"", end, met)) as url, TutuClient(KEY, url, max_retries=0) as client:
        await client.models.list()
        with pytest.raises(APIConnectionError, match=r"idle connection.*max_retries=") as caught:
            await client.chat.completions.create(model="m", messages=MESSAGES, extra_headers=headers)
    assert (caught.value.outcome, caught.value.attempts, len(met)) == ("unknown", 1, 1)


@pytest.mark.parametrize(
    "policy", [RetryPolicy(max_retries=0), RetryPolicy(resend_unknown=False)], ids=["retries", "unknown"]
)
@pytest.mark.parametrize("own", [False, True], ids=["short", "long"])
@pytest.mark.parametrize(
    ("method", "once"), [("post", True), ("patch", True), ("put", True), ("delete", True), ("get", False)]
)
async def test_what_has_no_body_is_sent_again_only_when_it_changes_nothing(
    method: str, once: bool, own: bool, policy: RetryPolicy
) -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            asked += 1
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, TutuClient(KEY, url, retry=policy) as client:
        headers = {"X-Own": "1"} if own else None  # Then it goes through aiohttp's session, which has rules of its own.
        await getattr(client, method)("/page", cast_to=dict, extra_headers=headers)
        for _ in range(3):
            if once:
                with pytest.raises(APIConnectionError, match="idle connection") as caught:
                    await getattr(client, method)("/page", cast_to=dict, extra_headers=headers)
                assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
                await getattr(client, method)("/page", cast_to=dict, extra_headers=headers)
            else:
                await getattr(client, method)("/page", cast_to=dict, extra_headers=headers)
    assert asked == 3


@pytest.mark.parametrize("method", ["put", "delete", "post", "patch"])
async def test_each_attempt_is_one_request(method: str) -> None:
    """aiohttp's session alone sends PUT and DELETE twice, on a new connection too."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, TutuClient(KEY, url, max_retries=0) as client:
        with pytest.raises(APIConnectionError, match="without an answer"):
            await getattr(client, method)("/page", cast_to=dict)
    assert asked == 1


@pytest.mark.slow
@pytest.mark.parametrize("reused", [False, True], ids=["new", "reused"])
@pytest.mark.parametrize("line", [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Early Hints\nLink: x\n\n"])
async def test_interim_answers_without_end_are_given_up(reused: bool, line: bytes) -> None:
    asked = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        while True:
            writer.write(line * 50)
            await writer.drain()
            await asyncio.sleep(0.001)

    async with relay(answer) as url, TutuClient(KEY, url, timeout=5) as client:
        if reused:
            await client.models.list()
        with pytest.raises(UnexpectedResponseError, match="interim"):
            await client.chat.completions.create(model="m", messages=MESSAGES)
    assert asked == 1


@pytest.mark.parametrize("reused", [False, True], ids=["new", "reused"])
async def test_a_hundred_interim_answers_are_passed_over(reused: bool) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(INTERIM * 50 + HEAD + ANSWER)
        await writer.drain()

    async with relay(answer) as url, TutuClient(KEY, url, timeout=5) as client:
        if reused:
            await client.models.list()
        assert (await client.chat.completions.create(model="m", messages=MESSAGES)).text == "hello"


# Kind B. Whatever says that nothing was encoded: a gateway for Dify sends "none", routes of Next.js and Flask "utf-8".
@pytest.mark.parametrize(
    "encoding",
    ["none", "", "identity", "Identity ", "utf-8", "UTF8", "identity, none", "null", "iso-8859-1", "8bit", '"none"'],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_encoding_that_changes_nothing_is_accepted(encoding: str, streamed: bool) -> None:
    body = b"".join(map(encode_frame, (chunk("hel"), chunk("lo"), chunk(finish_reason="stop")))) if streamed else ANSWER
    kind = "text/event-stream" if streamed else "application/json"
    lines = "HTTP/1.1 200 OK", f"Content-Type: {kind}", f"Content-Encoding: {encoding}", f"Content-Length: {len(body)}"
    head = "\r\n".join(lines) + "\r\n\r\n"

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + body)

    async with relay(answer) as url, TutuClient(KEY, url, max_retries=0) as client:
        if streamed:
            async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
                assert (await stream.completion()).text == "hello"
        else:
            assert (await client.chat.completions.create(model="m", messages=MESSAGES)).text == "hello"


@pytest.mark.parametrize("encoding", ["br", "zstd", "x-own", "compress", "gzip, br", "none, br"])
async def test_an_encoding_that_nobody_asked_for_is_named(encoding: str) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD[:-2] + f"Content-Encoding: {encoding}\r\n\r\n".encode() + ANSWER)

    async with relay(answer) as url, TutuClient(KEY, url, max_retries=0) as client:
        with pytest.raises(UnexpectedResponseError, match=encoding.removeprefix("none, ")):
            await client.chat.completions.create(model="m", messages=MESSAGES)


REFUSAL = b'{"error": {"message": "the body is too large", "type": "invalid_request_error"}}'


async def refuse_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, after: int) -> None:
    """Read the beginning of an upload, refuse it, and close with the rest unread: the kernel sends RST behind it."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(after)
        writer.write(
            b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(REFUSAL), REFUSAL)
        )
        await writer.drain()
    writer.close()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "after", [0, *(pytest.param(size, marks=pytest.mark.slow) for size in (1_000, 200_000)), 1_000_000]
)
@pytest.mark.parametrize("how", ["file", "order", "text", "reused"])
async def test_an_early_413_is_reported_as_a_413(how: str, after: int, secure: bool, tmp_path: Path) -> None:
    tls, pem = self_signed()
    trusted = ssl.create_default_context(cadata=pem)
    posts = 0
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal posts
        posts += 1
        await refuse_early(reader, writer, after=after)

    path = tmp_path / "sound.wav"
    path.write_bytes(b"RIFF\x00\x00\x80\x00WAVEfmt " + bytes(6_000_000))
    picture = tmp_path / "picture.png"
    picture.write_bytes(png(bytes(6_000_000)))

    async def upload(client: TutuClient) -> None:
        if how == "file":
            await client.audio.transcriptions.create(file=path, model="m")
        elif how == "order":
            await client.images.edit(image=picture, prompt="p", model="m")
        else:
            await client.chat.completions.create(model="m", messages=[user("x" * 6_000_000)])

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls if secure else None)
    url = f"http{'s' if secure else ''}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, TutuClient(KEY, url, verify=trusted, retry=QUICK) as client:
        for number in range(8):
            if how == "reused":
                await client.models.list()
            with pytest.raises(PayloadTooLargeError, match="too large") as caught:
                await upload(client)
            assert caught.value.outcome == "rejected"
            assert caught.value.attempts == 1
            assert posts == number + 1
    await asyncio.sleep(0.02)
    assert reported == []
