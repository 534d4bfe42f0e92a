import asyncio
import contextlib
import gzip
import json
import math
import ssl
import time
import zlib
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import aiohttp
import pytest

from tutuclient.testing import FAULTS, RETRY_AFTER_SHAPES, Server, raw_server, says
from tutuclient.testing.faults import TEXT

BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
End = Literal["fin", "reset", "open"]


@dataclass
class Line:
    """A bare connection to a server, and what has come over it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def ask(self) -> None:
        body = json.dumps(BODY).encode()
        head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(b"POST /v1/chat/completions HTTP/1.1\r\n" + head.encode() + body)

    async def read(self, most: int = 2**22, seconds: float = 0.2) -> tuple[bytes, End]:
        """Read until the connection ends, so many bytes have come, or nothing has for so long."""
        seen = b""
        with contextlib.suppress(TimeoutError):
            while len(seen) < most:
                try:
                    async with asyncio.timeout(seconds):
                        piece = await self.reader.read(2**16)
                except ConnectionResetError:
                    return seen, "reset"
                if not piece:
                    return seen, "fin"
                seen += piece
        return seen, "open"


@contextlib.asynccontextmanager
async def line(base_url: str) -> Any:
    host, port = base_url.split("//")[1].removesuffix("/v1").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def meet(server: Server, name: str, *, seconds: float = 0.2, **options: Any) -> tuple[bytes, End]:
    """Meet a fault on a bare connection."""
    server.faults(name, **options)
    async with line(server.base_url) as wire:
        wire.ask()
        met: tuple[bytes, End] = await wire.read(seconds=seconds)
        return met


async def fetch(http: aiohttp.ClientSession, server: Server, name: str, **options: Any) -> tuple[int, bytes]:
    """Meet a fault whose HTTP is in order."""
    server.faults(name, **options)
    async with http.post(f"{server.base_url}/chat/completions", json=BODY) as answer:
        return answer.status, await answer.read()


def payload(body: bytes) -> bytes:
    """Undo the chunks of a body, as far as they go."""
    rest, out = body.split(b"\r\n\r\n", 1)[1], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        out += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return out


def deltas(stream: bytes) -> list[str]:
    frames = [
        line.removeprefix(b"data: ") for line in stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    ]
    texts = []
    for frame in frames:
        with contextlib.suppress(ValueError, KeyError, IndexError, TypeError, RecursionError):
            texts.append(json.loads(frame)["choices"][0]["delta"]["content"])
    return texts


# --- Connecting ---


@pytest.mark.parametrize(
    ("name", "data", "end"),
    [
        ("accept_close", b"", "fin"),
        ("accept_reset", b"", "reset"),
        ("accept_silent", b"", "open"),
        ("accept_garbage", b"\x00\xff\x137 welcome to nowhere\r\n", "fin"),
        ("tls_stall", b"", "open"),
        ("tls_reset", b"", "reset"),
        ("tls_plain_http", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "fin"),
        ("tls_garbage", b"\x00\xff\x137 welcome to nowhere\r\n", "fin"),
    ],
)
async def test_fails_after_accepting(name: str, data: bytes, end: End) -> None:
    async with raw_server(name) as server, line(server.base_url) as wire:
        wire.writer.write(b"?")
        seen, ended = await wire.read()
        # Bytes that were never read turn the FIN into a RST.
        assert (seen, "fin" if end == "fin" and ended == "reset" else ended) == (data, end)
        assert server.connections == 1
        assert server.base_url.startswith("https://" if name.startswith("tls_") else "http://")


async def test_refuses_connections() -> None:
    async with raw_server("refused") as server:
        with pytest.raises(ConnectionRefusedError):
            async with line(server.base_url):
                pass


async def test_leaves_a_syn_unanswered() -> None:
    async with raw_server("syn_unanswered") as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), line(server.base_url):
                pass


async def test_names_a_host_that_does_not_exist() -> None:
    async with raw_server("dns_failure") as server:
        assert server.base_url == "http://relay.invalid/v1"


async def test_a_raw_server_closes_at_once() -> None:
    async with raw_server("accept_silent") as server, line(server.base_url) as wire:
        wire.ask()
        await asyncio.sleep(0.02)
        began = time.monotonic()
        await server.__aexit__(None, None, None)
        assert time.monotonic() - began < 0.2


# --- Before the answer ---


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("no_answer", b"", "open"),
        ("reset_after_request", b"", "reset"),
        ("fin_after_request", b"", "fin"),
        ("half_status_line", b"HTTP/1.1 20", "fin"),
        ("half_headers", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le", "fin"),
        ("garbage", b"\x16\x03\x01", "fin"),
        ("two_lengths", b"HTTP/1.1 200 OK\r\n", "fin"),
        ("bad_chunk_size", b"HTTP/1.1 200 OK\r\n", "open"),
        ("huge_headers", b"HTTP/1.1 200 OK\r\n", "fin"),
    ],
)
async def test_fails_before_the_answer(server: Server, name: str, start: bytes, end: End) -> None:
    data, ended = await meet(server, name)
    assert data.startswith(start)
    assert data == start or len(start) < 20
    assert ended == end


async def test_sends_two_lengths(server: Server) -> None:
    data, _ = await meet(server, "two_lengths")
    assert data.count(b"Content-Length: ") == 2


async def test_sends_a_bad_chunk_size(server: Server) -> None:
    data, _ = await meet(server, "bad_chunk_size")
    assert b"\r\n\r\nzz\r\n{" in data


async def test_sends_one_huge_header(server: Server) -> None:
    data, _ = await meet(server, "huge_headers", size=70_000)
    assert b"X-Padding: " + b"a" * 70_000 + b"\r\n" in data


async def test_sends_headers_byte_by_byte(server: Server) -> None:
    server.faults("slow_headers", seconds=0.01)
    async with line(server.base_url) as wire:
        wire.ask()
        began = time.monotonic()
        await wire.reader.readexactly(20)
        assert time.monotonic() - began > 0.15


async def test_slow_headers_come_to_an_end(server: Server) -> None:
    server.faults("slow_headers", seconds=0)
    async with line(server.base_url) as wire:
        wire.ask()
        data, end = await wire.read()
    assert (json.loads(data.split(b"\r\n\r\n")[1])["id"], end) == ("chatcmpl-fault", "fin")


@pytest.mark.parametrize("name", ["endless_headers", "endless_body", "endless_line", "event_without_end", "flood"])
async def test_goes_on_for_as_long_as_someone_reads(server: Server, name: str) -> None:
    data, end = await meet(server, name)
    assert len(data) >= 2**22
    assert end == "open"
    assert (await server.wait_closed(timeout=1)).aborted


@pytest.mark.parametrize("name", ["endless_body", "endless_line", "event_without_end", "flood"])
async def test_ends_an_endless_answer_after_all(server: Server, name: str) -> None:
    data, _ = await meet(server, name, size=100_000)
    assert 100_000 < len(data) < 300_000


async def test_endless_headers_end_after_all(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutuclient.testing.faults.pieces.MOST_BYTES", 10_000)
    data, end = await meet(server, "endless_headers")
    assert (data.count(b"X-Padding"), end) == (9, "fin")


async def test_waits_for_a_slow_reader(server: Server) -> None:
    server.faults("endless_body")
    async with line(server.base_url) as wire:
        wire.ask()
        await asyncio.sleep(0.2)
        transport = next(iter(server._connections.values()))[1]
        assert transport.get_write_buffer_size() < 2**20


async def test_answers_413_before_the_body_is_there(server: Server) -> None:
    server.faults("early_413", after=1000)
    async with line(server.base_url) as wire:
        head = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 50000000\r\n\r\n"
        wire.writer.write(b"POST /v1/chat/completions HTTP/1.1\r\n" + head.encode() + b" " * 100_000)
        data, end = await wire.read()
    assert data.startswith(b"HTTP/1.1 413 ")
    assert b"request body too large" in data
    assert end in {"fin", "reset"}
    assert server.requests[0].size_bytes < 200_000


# --- Interim answers and framing ---


@pytest.mark.parametrize(("name", "end"), [("interim_then_fin", "fin"), ("interim_then_reset", "reset")])
async def test_ends_behind_interim_answers(server: Server, name: str, end: End) -> None:
    data, ended = await meet(server, name)
    assert data == b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
    assert ended == end


async def test_answers_behind_interim_answers(server: Server) -> None:
    data, _ = await meet(server, "interim_answers")
    assert data.split(b"\r\n\r\n")[2].startswith(b"HTTP/1.1 200 OK")


async def test_sends_interim_answers_without_end(server: Server) -> None:
    server.faults("endless_interim")
    async with line(server.base_url) as wire:
        wire.ask()
        data = await wire.reader.readexactly(100_000)
    assert data.count(b"HTTP/1.1 1") > 1000


async def test_sends_a_stream_within_one_http_chunk(server: Server) -> None:
    data, _ = await meet(server, "one_http_chunk")
    size, _, rest = data.partition(b"\r\n\r\n")[2].partition(b"\r\n")
    assert rest[int(size, 16) :] == b"\r\n0\r\n\r\n"


async def test_names_an_encoding_that_is_none(server: Server) -> None:
    data, _ = await meet(server, "encoding_none", encoding="utf-8")
    assert b"Content-Encoding: utf-8\r\n" in data


# --- The body ---


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("short_body", "fin"),
        ("whole_json_but_short", "fin"),
        ("chunked_without_end", "fin"),
        ("reset_mid_body", "reset"),
        ("stalled_body", "open"),
    ],
)
async def test_cuts_a_body(server: Server, name: str, end: End) -> None:
    data, ended = await meet(server, name)
    head, body = data.split(b"\r\n\r\n", 1)
    assert ended == end
    if b"chunked" in head:
        assert not body.endswith(b"0\r\n\r\n")
        assert json.loads(payload(data))
    else:
        assert len(body) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    if name == "whole_json_but_short":
        assert json.loads(body)


@pytest.mark.parametrize("name", ["gzip_cut", "gzip_label_on_plain"])
async def test_breaks_gzip(server: Server, name: str) -> None:
    data, _ = await meet(server, name)
    head, body = data.split(b"\r\n\r\n", 1)
    assert b"Content-Encoding: gzip" in head
    with pytest.raises((OSError, EOFError)):
        gzip.decompress(body)
    assert (name == "gzip_cut") == body.startswith(b"\x1f\x8b")


@pytest.mark.parametrize("name", ["gzip_bomb", "stream_gzip_bomb"])
async def test_sends_a_bomb_of_a_thousandth_of_its_size(server: Server, name: str) -> None:
    data, end = await meet(server, name, size=20_000_000)
    assert len(data) < 60_000
    assert len(zlib.decompress(payload(data), wbits=31)) >= 20_000_000
    assert end == "open"


async def test_sends_a_huge_error(server: Server, http: aiohttp.ClientSession) -> None:
    status, body = await fetch(http, server, "huge_error_body", size=3_000_000, status=503)
    assert (status, len(json.loads(body)["error"]["message"])) == (503, 3_000_000)


@pytest.mark.parametrize(("status", "title"), [(200, b"New API"), (504, b"504 Gateway Time-out")])
async def test_sends_a_page(server: Server, http: aiohttp.ClientSession, status: int, title: bytes) -> None:
    got, body = await fetch(http, server, "html", status=status)
    assert got == status
    assert b"<title>" + title in body


WELL_FORMED: dict[str, Any] = {
    "json_null": lambda value: value is None,
    "json_list": lambda value: value == [1, 2, 3],
    "json_string": lambda value: value == "hello",
    "wrong_types": lambda value: value["choices"] == {"0": "no"},
    "choices_missing": lambda value: "choices" not in value and value["id"],
    "choices_null": lambda value: value["choices"] is None,
    "choices_not_list": lambda value: value["choices"] == "none",
    "choices_empty": lambda value: value["choices"] == [],
    "lone_surrogate": lambda value: value["choices"][0]["message"]["content"] == "half \ud83d",
    "number_1e999": lambda value: value["created"] == math.inf,
    "nan": lambda value: math.isnan(value["created"]),
    "enveloped": lambda value: value["code"] == 200 and value["data"]["choices"],
    "ok_with_error_object": lambda value: value["error"]["code"] == 500,
    "ok_with_error_string": lambda value: value["error"] == "upstream gave up",
    "ok_with_code_msg": lambda value: value["msg"] == "balance too low",
    "ok_with_detail": lambda value: value["detail"][0]["msg"] == "bad",
    "ok_with_base_resp": lambda value: value["base_resp"]["status_code"] == 1008,
    "ok_with_error_list": lambda value: value[0]["error"]["code"] == 503,
    "ok_with_task": lambda value: value["task_id"] == "t-1",
    "error_in_choice": lambda value: value["choices"][0]["error"]["metadata"] == {"raw": "upstream fell over"},
    "success_false": lambda value: value["success"] is False,
    "json_for_stream": lambda value: value["choices"][0]["message"]["content"] == TEXT,
}
BROKEN = {
    "empty_body": b"",
    "plain_text": b"upstream is busy",
    "broken_json": b'{"id": "chatcmpl-fault"',
    "two_objects": b'{"id": "chatcmpl-fault"',
    "error_behind_answer": b'{"id": "chatcmpl-fault"',
    "invalid_utf8": b'{"id": "chatcmpl-fault"',
    "deep_nesting": b'{"id": "chatcmpl-fault"',
    "huge_integer": b'{"id": "chatcmpl-fault"',
}


@pytest.mark.parametrize("name", WELL_FORMED)
async def test_sends_odd_json(server: Server, http: aiohttp.ClientSession, name: str) -> None:
    status, body = await fetch(http, server, name)
    assert status == 200
    assert WELL_FORMED[name](json.loads(body))


@pytest.mark.parametrize("name", BROKEN)
async def test_sends_what_json_cannot_read(server: Server, http: aiohttp.ClientSession, name: str) -> None:
    status, body = await fetch(http, server, name)
    assert status == 200
    assert body.startswith(BROKEN[name])
    with pytest.raises((ValueError, RecursionError)):
        json.loads(body)


async def test_nests_and_counts_as_far_as_it_is_told(server: Server, http: aiohttp.ClientSession) -> None:
    assert json.loads((await fetch(http, server, "deep_nesting", depth=3))[1])["deep"] == [[[]]]
    assert json.loads((await fetch(http, server, "huge_integer", digits=30))[1])["created"] == int("9" * 30)


# --- Streams ---


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("reset_mid_stream", "reset"),
        ("fin_mid_stream", "fin"),
        ("cut_in_event", "fin"),
        ("stalled_stream", "open"),
        ("clean_end_without_finish", "open"),
    ],
)
async def test_ends_a_stream_after_three_deltas(server: Server, name: str, end: End) -> None:
    data, ended = await meet(server, name, seconds=0.1)
    assert deltas(payload(data)) == ["", "one", " two", " three"]
    assert ended == end
    assert data.endswith(b"\r\n0\r\n\r\n") == (name == "clean_end_without_finish")
    assert (b'data: {"id' in data.rsplit(b"\n\n", 1)[1]) == (name == "cut_in_event")


async def test_ends_a_stream_after_as_many_deltas_as_told(server: Server) -> None:
    data, _ = await meet(server, "reset_mid_stream", after=8)
    assert len(deltas(payload(data))) == 9


@pytest.mark.parametrize(("name", "done"), [("silent_stream", False), ("done_then_silence", True)])
async def test_keeps_a_stream_open_in_silence(server: Server, name: str, done: bool) -> None:
    data, end = await meet(server, name)
    assert (b"[DONE]" in data, end) == (done, "open")


@pytest.mark.parametrize("name", ["no_answer", "stalled_body", "stalled_stream", "bad_chunk_size", "silent_stream"])
async def test_silence_ends_when_told(server: Server, name: str) -> None:
    _, end = await meet(server, name, seconds=0.01)
    server.faults(name, seconds=0.05)
    async with line(server.base_url) as wire:
        wire.ask()
        assert (await wire.read(seconds=1))[1] == "fin"
    assert end == "open"


@pytest.mark.parametrize(("after", "words"), [(0, 0), (2, 3)])
async def test_pings_forever(server: Server, after: int, words: int) -> None:
    server.faults("pings_forever", seconds=0.01, after=after)
    async with line(server.base_url) as wire:
        wire.ask()
        data, end = await wire.read(most=1000)
    assert payload(data).count(b": PING\n\n") >= 5
    assert (len(deltas(payload(data))), end) == (words, "open")


async def test_pings_end_after_all(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutuclient.testing.faults.streams.LONGEST_SILENCE_S", 0.01)
    assert (await meet(server, "pings_forever", seconds=0.2))[1] == "fin"


GOOD = ["", "one", " two", " three", " four", " five", " six"]
STREAMS: dict[str, tuple[list[str], int, str]] = {
    "sse_unasked": (GOOD, 1, '"stop"'),
    "finish_without_done": (GOOD, 0, '"stop"'),
    "enveloped_frames": ([], 1, '"data":{'),
    "done_without_finish": (GOOD, 1, '"finish_reason":null'),
    "done_unterminated": (GOOD, 1, '"stop"'),
    "done_twice": (GOOD, 2, '"stop"'),
    "done_then_data": ([*GOOD, " MORE"], 1, '"stop"'),
    "error_frame_first": ([], 1, '{"error":{"message":"upstream overloaded"'),
    "error_frame_middle": (GOOD[:4], 1, '{"error":{"message":"upstream overloaded"'),
    "error_event": (GOOD[:4], 1, 'event: error\ndata: {"message"'),
    "error_string_frame": (GOOD[:4], 1, '{"error":"upstream gave up"}'),
    "error_without_data_prefix": ([], 0, '\n\n{"error"'),
    "error_finish": ([*GOOD[:4], ""], 1, '"finish_reason":"error"'),
    "error_in_choice_frame": (GOOD[:4], 1, '"metadata":{"raw"'),
    "error_list_frame": (GOOD[:4], 1, 'data: [{"error"'),
    "message_event": (GOOD, 1, "event: status"),
    "error_object_vllm": (GOOD[:4], 1, '"object":"error"'),
    "broken_json_frame": (GOOD, 1, '{"del\n'),
    "plain_text_frame": (GOOD, 1, "data: upstream hiccup\n"),
    "deep_frame": (GOOD, 1, "[" * 1000),
    "ignorable_frames": (GOOD, 1, "data: null"),
    "bom": (GOOD, 1, "\ufeffdata: {"),
    "byte_by_byte": ([*GOOD, " 你好🙂"], 1, '"stop"'),
    "wrong_content_type": (GOOD, 1, '"stop"'),
    "wrong_charset": ([*GOOD, " 你好"], 1, '"stop"'),
    "empty_stream": ([], 0, ""),
    "done_only": ([], 1, ""),
    "cr": (GOOD, 1, "}\r\rdata"),
    "crlf": (GOOD, 1, "}\r\n\r\ndata"),
    "json_lines": (GOOD, 0, '"stop"'),
    "json_lines_cut": (GOOD[:4], 0, '" three"'),
    "reason_is_the_word_null": (GOOD[1:4], 0, '"finish_reason":"null"'),
    "done_glued": (GOOD, 1, "}data: [DONE]"),
    "done_bare": (GOOD, 0, "\n\n[DONE]\n\n"),
    "junk_behind_end": (GOOD, 1, "data: bye\n"),
    "message_repeats": (GOOD, 1, '"message":{"role":"assistant"'),
}


@pytest.mark.parametrize("name", STREAMS)
async def test_streams_oddly(server: Server, http: aiohttp.ClientSession, name: str) -> None:
    texts, done, found = STREAMS[name]
    status, body = await fetch(http, server, name)
    assert status == 200
    assert deltas(body.removeprefix(b"\xef\xbb\xbf")) == texts
    assert body.count(b"data: [DONE]") == done
    assert found in body.decode()


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("wrong_content_type", "application/json"),
        ("wrong_charset", "text/event-stream; charset=gb2312"),
        ("bom", "text/event-stream"),
    ],
)
async def test_labels_a_stream(server: Server, http: aiohttp.ClientSession, name: str, content_type: str) -> None:
    server.faults(name)
    async with http.post(f"{server.base_url}/chat/completions", json=BODY) as answer:
        assert answer.headers["Content-Type"] == content_type


async def test_sends_single_bytes(server: Server) -> None:
    data, _ = await meet(server, "byte_by_byte")
    assert data.split(b"\r\n\r\n", 1)[1].startswith(b"1\r\nd\r\n1\r\na\r\n1\r\nt\r\n")


# --- Statuses ---


async def test_fails_with_any_status(server: Server, http: aiohttp.ClientSession) -> None:
    server.faults("status", times=2, status=529, retry_after="soon", code="overloaded", headers={"X-A": "b"})
    for _ in range(2):
        async with http.post(f"{server.base_url}/chat/completions", json=BODY) as answer:
            assert (answer.status, answer.headers["Retry-After"], answer.headers["X-A"]) == (529, "soon", "b")
            assert (await answer.json())["error"]["code"] == "overloaded"
    assert (await fetch(http, server, "json_null"))[0] == 200


@pytest.mark.parametrize("shape", RETRY_AFTER_SHAPES)
async def test_asks_to_wait_in_every_shape(server: Server, http: aiohttp.ClientSession, shape: str) -> None:
    server.faults("status", status=429, retry_after_shape=shape)
    async with http.post(f"{server.base_url}/chat/completions", json=BODY) as answer:
        assert answer.status == 429
        ((name, value),) = RETRY_AFTER_SHAPES[shape].items()
        if shape == "date":
            wait = parsedate_to_datetime(answer.headers[name]).timestamp() - time.time()
            assert 0 < wait <= 2
        else:
            assert answer.headers[name] == value


async def test_answers_429_with_nothing(server: Server, http: aiohttp.ClientSession) -> None:
    assert await fetch(http, server, "empty_429") == (429, b"")


async def test_bursts_through_the_statuses(server: Server, http: aiohttp.ClientSession) -> None:
    assert [(await fetch(http, server, "burst"))[0] for _ in range(7)] == [500, 502, 503, 504, 520, 524, 529]


async def test_browns_out_the_same_share_each_time(server: Server) -> None:
    async def share() -> list[bool]:
        server.reset()
        return [b'" six"' in (await meet(server, "brownout", seconds=0.02))[0] for _ in range(30)]

    first = await share()
    assert first == await share()
    assert 15 <= sum(first) <= 27


# --- Reuse ---


async def twice(server: Server, name: str, wait: float = 0.06, **options: Any) -> tuple[bytes, End, bytes, End]:
    """Meet a fault, wait, and ask again on the same connection."""
    server.faults(name, **options)
    server.answers(says("second"))
    async with line(server.base_url) as wire:
        wire.ask()
        first, first_end = await wire.read(seconds=wait)
        with contextlib.suppress(ConnectionError):
            wire.ask()
        second, second_end = await wire.read(seconds=wait)
        return first, first_end, second, second_end


@pytest.mark.parametrize("name", ["idle_close", "lying_keep_alive"])
async def test_closes_an_idle_connection_after_a_good_answer(server: Server, name: str) -> None:
    first, end, *_ = await twice(server, name)
    assert json.loads(first.split(b"\r\n\r\n")[1])["choices"][0]["message"]["content"] == TEXT
    assert end == "fin"
    assert (b"timeout=600" in first) == (name == "lying_keep_alive")
    assert server.requests[0].finished


@pytest.mark.parametrize(("name", "end"), [("close_at_reuse", "fin"), ("reset_at_reuse", "reset")])
async def test_ends_a_connection_when_it_is_used_again(server: Server, name: str, end: End) -> None:
    first, first_end, second, second_end = await twice(server, name)
    assert b"HTTP/1.1 200 OK" in first
    assert (first_end, second, second_end) == ("open", b"", end)
    await server.until(lambda: server.open_connections == 0)
    assert len(server.requests) == 1


async def test_forgets_a_connection_that_was_not_used_again(server: Server) -> None:
    await meet(server, "close_at_reuse", seconds=0.02)
    await server.until(lambda: server.open_connections == 0)


async def test_closes_half_of_a_connection(server: Server) -> None:
    first, first_end, second, _ = await twice(server, "half_close")
    assert (b"HTTP/1.1 200 OK" in first, first_end, second) == (True, "fin", b"")
    await server.until(lambda: server.open_connections == 0)


@pytest.mark.parametrize(
    ("name", "surplus"), [("surplus_bytes", b"surplus"), ("unasked_answer", b"this answer was not asked for")]
)
async def test_says_more_than_was_asked(server: Server, name: str, surplus: bytes) -> None:
    first, end, second, _ = await twice(server, name)
    assert first.index(TEXT.encode()) < first.index(surplus)
    assert end == "open"
    assert b'"second"' in second


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.group == "reuse"])
async def test_shrugs_when_nobody_waits_for_the_rest(server: Server, name: str) -> None:
    server.faults(name)
    async with line(server.base_url) as wire:
        wire.ask()
        await wire.reader.readline()
    await server.until(lambda: server.open_connections == 0)
    await asyncio.sleep(0.03)


async def test_an_empty_account_comes_as_a_rate_limit(server: Server, http: aiohttp.ClientSession) -> None:
    status, body = await fetch(http, server, "empty_account")
    assert (status, json.loads(body)["error"]["type"]) == (429, "exceeded_current_quota_error")
    assert (await fetch(http, server, "empty_account", status=403))[0] == 403


async def test_a_firewalls_page_is_gbk(server: Server, http: aiohttp.ClientSession) -> None:
    status, body = await fetch(http, server, "page_in_gbk")
    assert (status, "您的请求被拦截" in body.decode("gbk")) == (403, True)


# --- The registry ---


def test_every_fault_has_a_line_that_describes_it() -> None:
    assert all(fault.description.endswith(".") and "\n" not in fault.description for fault in FAULTS.values())
    assert {fault.group for fault in FAULTS.values()} == {
        "connecting", "before the answer", "body", "stream", "status", "reuse",
    }  # fmt: skip


def test_the_tables_here_leave_no_plain_stream_or_body_out() -> None:
    optionless = {name for name, fault in FAULTS.items() if fault.group == "stream" and not fault.options}
    assert optionless - {"clean_end_without_finish"} <= set(STREAMS)
    bodies = {name for name, fault in FAULTS.items() if fault.group == "body" and set(fault.options) == {"status"}}
    assert bodies - {"html"} <= {*WELL_FORMED, *BROKEN}


async def test_says_what_is_wrong_with_a_name_or_an_option(server: Server) -> None:
    with pytest.raises(ValueError, match="no fault 'nope'; there are "):
        server.faults("nope")
    with pytest.raises(ValueError, match="no option 'often'; its options: after, pause"):
        server.faults("reset_mid_stream", often=3)
    with pytest.raises(ValueError, match=r"play it with raw_server\('refused'\)"):
        server.faults("refused")
    with pytest.raises(ValueError, match=r"queue it with server.faults\('html'\)"):
        async with raw_server("html"):
            pass


async def test_connecting_faults_fail_for_a_real_client(http: aiohttp.ClientSession) -> None:
    for name in (
        "refused",
        "accept_close",
        "accept_reset",
        "accept_garbage",
        "tls_reset",
        "tls_plain_http",
        "tls_self_signed",
    ):
        async with raw_server(name) as server:
            with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
                await http.post(f"{server.base_url}/chat/completions", json=BODY)
