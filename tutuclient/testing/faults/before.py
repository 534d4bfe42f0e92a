"""Faults that come before a whole answer head: silence, cut or broken heads, interim answers."""

import asyncio
from itertools import repeat

from aiohttp import web

from tutuclient.testing.exchange import LONGEST_SILENCE_S, Exchange
from tutuclient.testing.faults.pieces import MOST_BYTES, completion, good, head, send_all, to_json
from tutuclient.testing.faults.registry import Play, add, fault

_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"

_CUT: dict[str, tuple[bytes, bool, str]] = {
    "reset_after_request": (b"", True, "RST after the request, no byte of an answer."),
    "fin_after_request": (b"", False, "FIN after the request, no byte of an answer."),
    "half_status_line": (b"HTTP/1.1 20", False, "``HTTP/1.1 20`` and FIN."),
    "half_headers": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le", False,
        "A status line, one header and a half, and FIN.",
    ),
    "garbage": (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not HTTP\r\n\r\n", False, "Bytes that are not HTTP, and FIN.",
    ),
    "interim_then_fin": (_INTERIM, False, "100 and 102, and FIN instead of an answer."),
    "interim_then_reset": (_INTERIM, True, "100 and 102, and RST instead of an answer."),
}  # fmt: skip
"""What is sent, and whether RST ends it."""


def _cut_off(data: bytes, *, by_reset: bool) -> Play:
    async def play(exchange: Exchange) -> web.StreamResponse:
        if data:
            await exchange.send(data)
            await asyncio.sleep(0.01)  # A RST at once may overtake what was sent.
        return exchange.reset() if by_reset else exchange.fin()

    return play


for _name, (_data, _by_reset, _description) in _CUT.items():
    add(_name, "before the answer", _description, _cut_off(_data, by_reset=_by_reset))


@fault("before the answer")
async def no_answer(exchange: Exchange, *, seconds: float = LONGEST_SILENCE_S) -> web.StreamResponse:
    """The request is read, and nothing is sent (for ``seconds``, then FIN)."""
    await exchange.silence(seconds)
    return exchange.fin()


@fault("before the answer")
async def two_lengths(exchange: Exchange) -> web.StreamResponse:
    """A good body under two Content-Length headers that differ."""
    await exchange.send(good(exchange, "Content-Length: 7"))
    return exchange.fin()


@fault("before the answer")
async def bad_chunk_size(exchange: Exchange, *, seconds: float = LONGEST_SILENCE_S) -> web.StreamResponse:
    """A chunk size that is not a hexadecimal number, and then silence on the open connection (for ``seconds``)."""
    await exchange.send(head(exchange, "Transfer-Encoding: chunked") + b"zz\r\n" + to_json(completion()) + b"\r\n")
    await exchange.silence(seconds)
    return exchange.fin()


@fault("before the answer")
async def slow_headers(exchange: Exchange, *, seconds: float = 0.05) -> web.StreamResponse:
    """The header block byte by byte, ``seconds`` apart: slow-loris."""
    for byte in good(exchange):
        await exchange.send(bytes([byte]))
        await asyncio.sleep(seconds)
    return exchange.fin()


@fault("before the answer")
async def endless_headers(exchange: Exchange, *, size: int = MOST_BYTES) -> web.StreamResponse:
    """Header after header for ``size`` bytes, and FIN."""
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    await send_all(exchange, repeat(b"X-Padding: " + b"a" * 1000 + b"\r\n"), size)
    return exchange.fin()


@fault("before the answer")
async def huge_headers(exchange: Exchange, *, size: int = 2**20) -> web.StreamResponse:
    """One header of ``size`` bytes, and a good body."""
    await exchange.send(good(exchange, f"X-Padding: {'a' * size}"))
    return exchange.fin()


@fault("before the answer", reads_body=False)
async def early_413(exchange: Exchange, *, after: int = 2**16, seconds: float = 0.02) -> web.StreamResponse:
    """413 once ``after`` bytes of the body have come, and the connection closed ``seconds`` later, unread."""
    read = 0
    while read < after and (piece := await exchange.request.content.readany()):
        read += len(piece)
    # The rest is never read, and the client is still writing it: what a relay's limit looks like from outside (WIRE.md
    # 4.3, 413).
    exchange.recorded.size_bytes = read
    error = {"message": "http: request body too large", "type": "new_api_error", "code": "read_request_body_failed"}
    body = to_json({"error": error})
    status = "413 Request Entity Too Large"
    await exchange.send(head(exchange, f"Content-Length: {len(body)}", "Connection: close", status=status) + body)
    await asyncio.sleep(seconds)
    return exchange.fin()


@fault("before the answer")
async def interim_answers(exchange: Exchange) -> web.StreamResponse:
    """100 and 102 before a good answer."""
    await exchange.send(_INTERIM + good(exchange))
    return exchange.fin()


@fault("before the answer")
async def endless_interim(exchange: Exchange, *, size: int = MOST_BYTES) -> web.StreamResponse:
    """102 after 102 for ``size`` bytes, and FIN."""
    await send_all(exchange, repeat(_INTERIM * 10), size)
    return exchange.fin()
