import json
import time

import pytest

from tests.testing.faults.wire import End, line, meet
from tutuclient.testing import Server


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


async def test_endless_headers_end_after_all(server: Server) -> None:
    data, end = await meet(server, "endless_headers", size=10_000)
    assert (data.count(b"X-Padding"), end) == (9, "fin")


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
