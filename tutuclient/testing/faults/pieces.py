"""What faults are made of: a good answer in parts, HTTP written by hand, bodies that are made while they are read."""

import asyncio
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from tutuclient.testing.answers import chunk
from tutuclient.testing.exchange import Exchange

MOST_BYTES = 512 * 2**20
"""Where an endless answer ends after all."""

TEXT = "one two three four five six"
"""What the answers say that a fault then spoils; in streams a word a delta."""


def completion(text: str = TEXT, **replaced: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-fault",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "faulty",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9},
        **replaced,
    }


def to_json(value: object) -> bytes:
    return json.dumps(value).encode()


def head(exchange: Exchange, *lines: str, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    """Write a header block by hand; ``lines`` decide how the body is framed."""
    block = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {content_type}",
        f"X-Oneapi-Request-Id: {exchange.request_id}",
        *lines,
    ]
    return "\r\n".join([*block, "", ""]).encode("latin-1")


def length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


def words(number: int | None = None) -> list[str]:
    first, *rest = TEXT.split(" ")
    cut = [first, *(f" {word}" for word in rest)]
    return cut if number is None else [cut[place % len(cut)] for place in range(number)]


def deltas(number: int | None = None) -> list[dict[str, Any]]:
    """Make the first chunks of a good stream: the role, then so many words (None: all of ``TEXT``)."""
    return [chunk("", role="assistant"), *(chunk(word) for word in words(number))]


STOP = chunk(finish_reason="stop")
DONE = b"data: [DONE]\n\n"
PROVIDER_ERROR = {"message": "Provider returned error", "code": 502, "metadata": {"raw": "upstream fell over"}}


async def send_all(exchange: Exchange, pieces: Iterable[bytes]) -> None:
    """Send pieces while the client reads, up to ``MOST_BYTES``."""
    left = MOST_BYTES
    for piece in pieces:
        if (left := left - len(piece)) < 0:
            break
        await exchange.send(piece)
        # Draining an empty buffer does not yield, and a client that left must be noticed.
        await asyncio.sleep(0)


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)


def gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=9, wbits=31)
    for piece in pieces:
        # Flushed, so that no more than a piece at a time holds the loop.
        yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def repeated(size: int, unit: bytes = b" " * 2**20) -> Iterator[bytes]:
    for start in range(0, size, len(unit)):
        yield unit[: size - start]


async def raw_stream(exchange: Exchange, pieces: Iterable[bytes], *lines: str) -> None:
    """Send an event stream by hand, chunked, without its last chunk."""
    block = head(exchange, "Transfer-Encoding: chunked", *lines, content_type="text/event-stream")
    await exchange.send(block)
    await send_all(exchange, chunked(pieces))
