"""Faults of connections that are kept: what happens to one between two requests."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from tutuclient.testing.exchange import Exchange, reset
from tutuclient.testing.faults.pieces import good
from tutuclient.testing.faults.registry import fault


async def _and_later(
    exchange: Exchange, seconds: float, act: Callable[[asyncio.Transport], object], *lines: str
) -> web.StreamResponse:
    """Answer well, keep the connection, and do something to it later if it is still there."""
    await exchange.send(good(exchange, *lines))
    transport = exchange.request.transport
    if transport is None:
        raise ConnectionResetError("the client is gone")
    # Not at once: the client must first see the answer, and take the connection for idle.
    asyncio.get_running_loop().call_later(seconds, lambda: transport.is_closing() or act(transport))
    return exchange.sent(keep_alive=True)


@fault("reuse")
async def idle_close(exchange: Exchange, *, seconds: float = 0.02) -> web.StreamResponse:
    """A good answer that keeps the connection alive, and ``seconds`` later FIN on the idle connection."""
    return await _and_later(exchange, seconds, lambda transport: transport.close())


@fault("reuse")
async def close_at_reuse(exchange: Exchange) -> web.StreamResponse:
    """A good answer; the next request on this connection meets FIN instead of an answer, and is not recorded."""
    return await _and_later(exchange, 0, lambda transport: _EndAtFirstByte(transport, lambda it: it.close()))


@fault("reuse")
async def reset_at_reuse(exchange: Exchange) -> web.StreamResponse:
    """A good answer; the next request on this connection meets RST instead of an answer, and is not recorded."""
    return await _and_later(exchange, 0, lambda transport: _EndAtFirstByte(transport, reset))


class _EndAtFirstByte(asyncio.Protocol):
    """Replace aiohttp's protocol on an idle connection, and end the connection when anything comes.

    aiohttp's RequestHandler must still learn that the connection is lost, or closing the server would wait for it.
    """

    def __init__(self, transport: asyncio.Transport, end: Callable[[asyncio.Transport], object]) -> None:
        # asyncio lets a transport change its protocol at any time (``Transport.set_protocol``), as ``start_tls`` does.
        self._transport, self._behind, self._end = transport, transport.get_protocol(), end
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  (asyncio's signature)
        self._end(self._transport)

    def eof_received(self) -> None:
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._behind.connection_lost(exc)


@fault("reuse")
async def half_close(exchange: Exchange) -> web.StreamResponse:
    """A good answer that keeps the connection alive, then FIN of the server's half; it reads on and sends no more."""

    def close_half(transport: asyncio.Transport) -> None:
        transport.write_eof()
        _EndAtFirstByte(transport, lambda _: None)

    return await _and_later(exchange, 0, close_half)


@fault("reuse")
async def lying_keep_alive(exchange: Exchange) -> web.StreamResponse:
    """A good answer that promises ``Connection: keep-alive`` for 600 s, and FIN with it."""
    lines = ("Connection: keep-alive", "Keep-Alive: timeout=600")
    return await _and_later(exchange, 0, lambda transport: transport.close(), *lines)


@fault("reuse")
async def surplus_bytes(exchange: Exchange, *, seconds: float = 0.02) -> web.StreamResponse:
    """A good answer, and ``seconds`` later bytes that belong to no answer, on the connection left open."""
    return await _and_later(exchange, seconds, lambda transport: transport.write(b"surplus"))


@fault("reuse")
async def unasked_answer(
    exchange: Exchange, *, text: str = "this answer was not asked for", seconds: float = 0.02
) -> web.StreamResponse:
    """A good answer, and ``seconds`` later a second whole one that says ``text``, on the connection left open."""
    second = good(exchange, text=text)
    return await _and_later(exchange, seconds, lambda transport: transport.write(second))
