"""What faults are made of: a good answer in parts, HTTP written by hand, bodies that are made while they are read."""

import asyncio
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from tutuclient.testing.chat import chunk
from tutuclient.testing.exchange import Exchange

MOST_BYTES = 512 * 2**20
"""Where an endless answer ends after all."""

TEXT = "one two three four five six"
"""What the answers say that a fault then spoils; in streams a word a delta."""


def completion(text: str = TEXT, **replaced: Any) -> dict[str, Any]:
    """Build a good answer; keywords replace its fields."""
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
    """Encode a value as Python does: spaces after colons, lone surrogates and NaN as they are."""
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


def good(exchange: Exchange, *lines: str, text: str = TEXT, body_bytes: int | None = None) -> bytes:
    """Write a good answer by hand, with header lines after the right Content-Length.

    ``body_bytes`` cuts the body after so many bytes; the Content-Length stays that of the whole.
    """
    body = to_json(completion(text))
    return head(exchange, f"Content-Length: {len(body)}", *lines) + body[:body_bytes]


def words(number: int | None = None) -> list[str]:
    """Cut ``TEXT`` into its words, each with its space; a number takes so many, from the start again when they end."""
    first, *rest = TEXT.split(" ")
    cut = [first, *(f" {word}" for word in rest)]
    return cut if number is None else [cut[place % len(cut)] for place in range(number)]


def deltas(number: int | None = None) -> list[dict[str, Any]]:
    """Build the first chunks of a good stream: the role, then so many words (None: all of ``TEXT``)."""
    return [chunk("", role="assistant"), *(chunk(word) for word in words(number))]


STOP = chunk(finish_reason="stop")
DONE = b"data: [DONE]\n\n"
PROVIDER_ERROR = {"message": "Provider returned error", "code": 502, "metadata": {"raw": "upstream fell over"}}
"""OpenRouter's error of an upstream, which stands in a choice."""


async def send_all(exchange: Exchange, pieces: Iterable[bytes], most: int = MOST_BYTES) -> None:
    """Send pieces while the client reads, at most so many bytes of them."""
    left = most
    for piece in pieces:
        if (left := left - len(piece)) < 0:
            break
        await exchange.send(piece)
        # drain() returns at once while the transport's buffer is low, and without a turn of the loop nobody would
        # notice that the client has left.
        await asyncio.sleep(0)


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Frame each piece as an HTTP chunk; the last chunk, which ends a body, is the caller's."""
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)


def gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Compress pieces, each flushed, so that no more than one at a time holds up the event loop."""
    packer = zlib.compressobj(level=9, wbits=31)
    for piece in pieces:
        yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def repeated(size: int, unit: bytes = b" " * 2**20) -> Iterator[bytes]:
    """Repeat a piece until there are ``size`` bytes; the last one is cut."""
    for start in range(0, size, len(unit)):
        yield unit[: size - start]


async def raw_stream(exchange: Exchange, pieces: Iterable[bytes], *lines: str) -> None:
    """Send an event stream by hand, chunked, without its last chunk."""
    await exchange.send(head(exchange, "Transfer-Encoding: chunked", *lines, content_type="text/event-stream"))
    await send_all(exchange, chunked(pieces))
