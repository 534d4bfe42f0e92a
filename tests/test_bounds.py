"""How much of anything is taken from a relay, and that more of it costs little memory and ends in a clear error."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tutuclient import (
    APIConnectionError,
    APIError,
    ImageDownloadError,
    InternalServerError,
    RetryPolicy,
    TutuClient,
    UnexpectedResponseError,
    user,
)
from tutuclient.testing import draws, raw, sample_picture, says, serve_in_thread, streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Self

    from tutuclient.testing import Server

pytestmark = pytest.mark.slow

LIMIT = 2**20
MIB = 2**20


@pytest.fixture
async def bounded(server: Server) -> AsyncIterator[TutuClient]:
    async with TutuClient(KEY, server.base_url, max_retries=0, max_response_bytes=LIMIT, timeout=20) as client:
        yield client


async def ask(client: TutuClient, *, stream: bool = False) -> str:
    if stream:
        async with client.chat.completions.stream(model="m", messages=[user("hi")]) as answer:
            return (await answer.completion()).text
    return (await client.chat.completions.create(model="m", messages=[user("hi")])).text


async def failure(client: TutuClient, *, stream: bool = False) -> APIError:
    """The error of one call, after which the same client makes a good one."""
    with pytest.raises(APIError) as caught:
        await ask(client, stream=stream)
    assert await ask(client) != ""
    return caught.value


# --- bodies ----------------------------------------------------------------------------------------------------------


def completion(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).encode()


def padded(size: int) -> bytes:
    return completion("a" * (size - len(completion(""))))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_body_may_be_as_long_as_the_limit(server: Server, bounded: TutuClient, stream: bool) -> None:
    server.answers(raw(200, padded(LIMIT)))
    assert len(await ask(bounded, stream=stream)) > LIMIT - 100


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_may_not_be_longer(server: Server, bounded: TutuClient, stream: bool, packed: bool) -> None:
    body = padded(LIMIT + 1)
    server.answers(raw(200, gzip.compress(body), {"Content-Encoding": "gzip"}) if packed else raw(200, body))
    error = await failure(bounded, stream=stream)
    assert isinstance(error, UnexpectedResponseError)
    assert "1,048,576 bytes" in error.message
    assert "max_response_bytes" in error.message


@pytest.mark.parametrize("name", ["endless_body", "gzip_bomb", "endless_line", "event_without_end", "stream_gzip_bomb"])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_has_no_end_ends_at_the_limit(server: Server, bounded: TutuClient, name: str, stream: bool) -> None:
    server.faults(name)
    error = await failure(bounded, stream=stream)
    assert isinstance(error, UnexpectedResponseError)
    assert "bytes" in error.message
    assert error.outcome == "unknown"
    await server.until(lambda: server.in_flight == 0)


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_an_error_s_body_is_cut_and_the_error_stays(server: Server, bounded: TutuClient, status: int) -> None:
    server.faults("huge_error_body", status=status, size=2**26)
    error = await failure(bounded)
    assert getattr(error, "status_code", None) == status
    assert len(str(error)) < 1000
    assert len(repr(error.body)) < 2**17


async def test_an_error_s_body_that_never_ends_costs_no_more_than_the_deadline(server: Server) -> None:
    async with TutuClient(KEY, server.base_url, max_retries=0, timeout=0.3) as client:
        server.answers(streams([b'{"error": {"message": "'], done=False, then="hang"))
        with pytest.raises(APIConnectionError):
            await ask(client)
        assert client._transport.pool is not None
        assert client._transport.pool.slots.free == client._transport.pool.slots.total


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_error_is_inflated_no_further_than_it_is_read(
    server: Server, bounded: TutuClient, encoding: str
) -> None:
    body = json.dumps({"error": {"message": "m" * 2**24, "code": "c"}}).encode()
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    server.answers(raw(500, packed, {"Content-Encoding": encoding}))
    error = await failure(bounded)
    assert isinstance(error, InternalServerError)
    assert len(repr(error.body)) < 2**17


# --- headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "fits"), [(8_000, True), (60_000, True), (70_000, False), (2**20, False)])
async def test_a_header_has_64_kib(server: Server, bounded: TutuClient, size: int, fits: bool) -> None:
    server.faults("huge_headers", size=size)
    if fits:
        assert await ask(bounded)
    else:
        assert "headers" in (await failure(bounded)).message


@pytest.mark.parametrize("stream", [False, True])
async def test_headers_without_end_are_an_error_soon(server: Server, bounded: TutuClient, stream: bool) -> None:
    server.faults("endless_headers")
    assert "headers" in (await failure(bounded, stream=stream)).message


@pytest.mark.parametrize("number", [100, 10_000])
async def test_thousands_of_headers_are_an_answer_or_an_error_of_ours(
    server: Server, bounded: TutuClient, number: int
) -> None:
    server.answers(raw(200, completion("yes"), {f"X-Header-{n}": "v" for n in range(number)}))
    try:
        assert await ask(bounded) == "yes"
    except APIError:
        assert number > 1000


# --- lines, events, streams ------------------------------------------------------------------------------------------


def frame(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'


async def test_a_line_and_an_event_may_be_as_long_as_the_limit(server: Server, bounded: TutuClient) -> None:
    server.answers(streams([frame("a" * (LIMIT - 1000)), STOP]))
    assert len(await ask(bounded, stream=True)) == LIMIT - 1000


async def test_a_stream_may_be_longer_than_one_event(server: Server, bounded: TutuClient) -> None:
    server.answers(streams([frame("a" * (LIMIT // 8))] * 7 + [STOP]))
    assert len(await ask(bounded, stream=True)) == LIMIT // 8 * 7


@pytest.mark.parametrize(
    "data",
    [
        b"data: " + b"a" * (LIMIT + 100),
        b"a" * (LIMIT + 100),
        b": " + b"a" * (LIMIT + 100),
        b"data: " + b"a" * (LIMIT + 100) + b"\n\n",
        b"data: ab\n" * (LIMIT // 2),
        b"data\n" * (LIMIT + 100),
        b"event: " + b"a" * (LIMIT + 100),
    ],
    ids=["data", "no field", "comment", "ended", "short lines", "empty lines", "name"],
)
async def test_a_longer_one_is_an_error(server: Server, bounded: TutuClient, data: bytes) -> None:
    server.answers(streams([frame("yes"), data], done=False))
    error = await failure(bounded, stream=True)
    assert isinstance(error, UnexpectedResponseError)
    assert error.partial is not None
    assert error.partial.text == "yes"


# --- pictures --------------------------------------------------------------------------------------------------------


async def test_an_image_to_fetch_has_the_same_limit(server: Server, bounded: TutuClient) -> None:
    server.answers(draws(sample_picture() + bytes(LIMIT), form="markdown"))
    answer = await bounded.generate("a kite")
    with pytest.raises(ImageDownloadError, match="larger than 1048576 bytes"):
        await answer.images[0].read()
    server.answers(
        raw(200, sample_picture() + bytes(LIMIT - len(sample_picture())), {"Content-Type": "image/png"}),
        path="/v1/files/fits.png",
    )
    server.answers(draws(f"{server.base_url}/files/fits.png", form="markdown"))
    answer = await bounded.generate("a kite")
    assert len(await answer.images[0].read()) == LIMIT


# --- depth -----------------------------------------------------------------------------------------------------------

DEEP = {
    "lists": b"[" * 100_000 + b"]" * 100_000,
    "objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "unclosed": b"[" * 100_000,
    "near the limit of recursion": b"[" * 900 + b"]" * 900,
    "within an error": b'{"error":' * 800 + b'"x"' + b"}" * 800,
}


@pytest.mark.parametrize("deep", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [200, 500])
async def test_deep_json_is_an_answer_or_an_error_of_ours(
    server: Server, bounded: TutuClient, deep: bytes, stream: bool, status: int
) -> None:
    for body in (
        deep,
        b'{"choices":[{"message":{"content":"yes"},"finish_reason":"stop"}],"x":' + deep + b"}",
        b'{"error":' + deep + b"}",
    ):
        server.answers(raw(status, body))
        with pytest.raises(APIError):
            await ask(bounded, stream=stream)
    for body in (deep, b'{"choices":[{"delta":{"content":"es","images":' + deep + b"}}]}", b'{"error":' + deep + b"}"):
        server.answers(streams([frame("y"), b"data: " + body + b"\n\n", STOP]))
        with pytest.raises(APIError) as caught:
            await ask(bounded, stream=stream)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "y"


async def test_what_is_nested_as_apis_do_is_read(server: Server, bounded: TutuClient) -> None:
    nested = b"[" * 200 + b"]" * 200
    server.answers(raw(200, completion("yes")[:-1] + b', "x": ' + nested + b"}"))
    answer = await bounded.chat.completions.create(model="m", messages=[user("hi")])
    assert answer.text == "yes"
    assert str(answer.extra["x"]).count("[") == 200


async def test_brackets_in_a_text_are_no_depth(server: Server, bounded: TutuClient) -> None:
    text = '{"a": [' * 5000 + '\\"'
    server.answers(raw(200, completion(text)), streams([frame(text), STOP]))
    assert await ask(bounded) == text
    assert await ask(bounded, stream=True) == text


# A crash of the stack is no exception, so it is looked for in a process of its own.
SMALL_STACK = """
import asyncio, sys, threading
from tutuclient import APIError, TutuClient, user

async def main():
    async with TutuClient("sk-x", sys.argv[1], max_retries=0) as client:
        for number in range(int(sys.argv[2])):
            try:
                if number % 2:
                    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
                        await stream.completion()
                else:
                    await client.chat.completions.create(model="m", messages=[user("hi")])
            except APIError as error:
                print(type(error).__name__)

import tutuclient.streams.chat, tutuclient.transport.pool  # Imports need more stack than this.
threading.stack_size(128 * 1024)
thread = threading.Thread(target=lambda: asyncio.run(main()))
thread.start()
thread.join()
"""


@pytest.fixture
def threaded() -> Iterator[Server]:
    with serve_in_thread() as server:
        yield server


def run(code: str, *arguments: object, **more: object) -> list[str]:
    done = subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, "-c", code, *map(str, (*arguments, *more.values()))],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_deep_json_breaks_no_small_stack(threaded: Server) -> None:
    for deep in DEEP.values():
        threaded.answers(
            raw(200, completion("yes")[:-1] + b', "x": ' + deep + b"}"), raw(500, b'{"error":' + deep + b"}")
        )
        body = b'data: {"choices":[{"delta":{"content":"es","images":' + deep + b"}}]}\n\n"
        threaded.answers(streams([body, STOP]), streams([frame("y"), body, STOP]))
        threaded.answers(raw(200, deep), raw(200, deep))
    assert len(run(SMALL_STACK, threaded.base_url, 6 * len(DEEP))) == 6 * len(DEEP)


# --- memory ----------------------------------------------------------------------------------------------------------

MEASURED = r"""
import asyncio, re, sys
from pathlib import Path
from tutuclient import TutuClient, TutuError, user

def most():
    # Not getrusage: what it tells begins with the parent's memory.
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024

async def main(url, stream, limit):
    async with TutuClient("sk-x", url, timeout=90, max_retries=0, max_response_bytes=limit) as client:
        await client.chat.completions.create(model="m", messages=[user("hi")])
        before = most()
        try:
            if stream:
                async with client.chat.completions.stream(model="m", messages=[user("hi")]) as answer:
                    async for _ in answer:
                        pass
            else:
                await client.chat.completions.create(model="m", messages=[user("hi")])
        except TutuError as error:
            print(type(error).__name__)
        else:
            print("an answer")
        print(most() - before)
        print(most())

asyncio.run(main(sys.argv[1], sys.argv[2] == "True", int(sys.argv[3])))
"""


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


@on_linux
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gzip_bomb", {"size": 512 * MIB}),
        ("stream_gzip_bomb", {"size": 512 * MIB}),
        ("endless_body", {}),
        ("endless_line", {}),
        ("event_without_end", {}),
        ("endless_headers", {}),
        ("huge_error_body", {"size": 512 * MIB}),
    ],
)
def test_no_bomb_costs_200_mib(threaded: Server, name: str, options: dict[str, Any], stream: bool) -> None:
    threaded.answers(says("hello"))
    threaded.faults(name, **options)
    came, cost, most = run(MEASURED, threaded.base_url, stream, 64 * MIB)
    assert came in {"UnexpectedResponseError", "InternalServerError", "APIConnectionError"}
    assert float(cost) < 200, f"{most} MiB in all"


SHORT_LINES = {
    "two letters": b"data: ab\n",
    "one letter": b"data:a\n",
    "nothing": b"data\n",
    "other fields": b"id: 1\n",
    "comments": b":\n",
}


@on_linux
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("line", SHORT_LINES.values(), ids=SHORT_LINES)
def test_short_lines_cost_no_more_than_long_ones(threaded: Server, line: bytes, stream: bool) -> None:
    """Not more than three times the limit, as a bomb of one line."""
    limit, size = 16 * MIB, (15 if not stream else 100) * MIB
    if line in (b"id: 1\n", b":\n"):
        size = 15 * MIB  # They are dropped, however many.
    threaded.answers(says("hello"), streams([line * (MIB // len(line))] * (size // MIB), done=False))
    came, cost, most = run(MEASURED, threaded.base_url, stream, limit)
    assert came in {"UnexpectedResponseError", "IncompleteStreamError"}
    assert float(cost) < 50, f"{most} MiB in all"


@on_linux
@pytest.mark.parametrize("letters", [5, 60_000])
def test_a_stream_of_good_deltas_without_end_ends_at_a_limit(threaded: Server, letters: int) -> None:
    block = frame("a" * letters) * (MIB // len(frame("a" * letters)))
    threaded.answers(says("hello"), streams([block] * 200, done=False))
    came, cost, most = run(MEASURED, threaded.base_url, stream=True, limit=64 * MIB)
    assert came == "UnexpectedResponseError"
    assert float(cost) < 200, f"{most} MiB in all"


def crowd(start: bytes, unit: bytes, size: int, end: bytes) -> bytes:
    return start + b",".join([unit] * (size // (len(unit) + 1))) + end


CROWDS = {
    "choices": crowd(b'{"choices":[', b'{"message":{"content":"a"},"finish_reason":"s"}', 38 * MIB, b"]}"),
    "empty choices": crowd(b'{"choices":[', b"{}", 20 * MIB, b"]}"),
    "few enough choices": crowd(b'{"choices":[', b'{"message":{}}', 3 * MIB, b"]}"),
    "calls": crowd(b'{"choices":[{"message":{"tool_calls":[', b'{"function":{"name":"a"}}', 38 * MIB, b"]}}]}"),
    "lines": b'{"choices":[{"delta":{"content":"a"}}]}\n' * (38 * MIB // 40),
    "an array": crowd(b"[", b'{"choices":[{"delta":{"content":"a"}}]}', 20 * MIB, b"]"),
    "a BOM before them": b"\xef\xbb\xbf" + crowd(b'{"choices":[', b'{"message":{}}', 20 * MIB, b"]}"),
}


@on_linux
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("body", CROWDS.values(), ids=CROWDS)
def test_no_crowd_of_tiny_things_costs_200_mib(threaded: Server, body: bytes, stream: bool) -> None:
    threaded.answers(says("hello"), raw(200, body))
    came, cost, most = run(MEASURED, threaded.base_url, stream, 64 * MIB)
    assert came in {"UnexpectedResponseError", "IncompleteStreamError"}
    assert float(cost) < 200, f"{most} MiB in all"


@on_linux
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("together", [1, 1000, 100_000])
def test_tool_calls_without_end_end_at_a_limit(threaded: Server, stream: bool, together: int) -> None:
    calls = ",".join(f'{{"index":{number},"id":"c{number}","function":{{"name":"a"}}}}' for number in range(together))
    if together == 1:
        frames = [
            b'data: {"choices":[{"delta":{"tool_calls":[{"index":%d,"id":"c%d","function":{"name":"a"}}]}}]}\n\n'
            % (number, number)
            for number in range(200_000)
        ]
    else:
        frames = [f'data: {{"choices":[{{"delta":{{"tool_calls":[{calls}]}}}}]}}\n\n'.encode()] * 10
        frames = [frame.replace(b'"id":"c', b'"id":"c%d_' % number) for number, frame in enumerate(frames * 2)]
    threaded.answers(says("hello"), streams([b"".join(frames)], done=False))
    came, cost, most = run(MEASURED, threaded.base_url, stream, 64 * MIB)
    assert came == "UnexpectedResponseError"
    assert float(cost) < 200, f"{most} MiB in all"


# --- back-pressure ---------------------------------------------------------------------------------------------------


class Flood:
    """Sends deltas as fast as they are taken, and counts the bytes that were."""

    def __init__(self) -> None:
        self.taken = 0
        self.base_url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        block = frame("word ") * 1000
        try:
            while self.taken < 512 * MIB:
                writer.write(block)
                await writer.drain()
                self.taken += len(block)
        except ConnectionError:
            pass
        finally:
            writer.close()


async def test_a_slow_reader_keeps_less_than_16_mib_ahead() -> None:
    read = 0
    async with (
        Flood() as flood,
        TutuClient(KEY, flood.base_url, retry=RetryPolicy(max_retries=0)) as client,
        client.chat.completions.stream(model="m", messages=[user("hi")]) as stream,
    ):
        chunks = aiter(stream)
        for _ in range(3):
            for _ in range(200):
                read += len((await anext(chunks)).raw)
            await asyncio.sleep(0.2)
            assert flood.taken - read < 16 * MIB
    assert read > 10_000
