"""The short way over a connection that is there already.

``ClientSession`` costs more than half of a small call: it prepares for
redirects, cookies, middlewares and tracing, none of which we use. When an idle
connection of the pool can be taken, the request's bytes go straight to it, and
aiohttp's own parser reads the answer. Everything else (connecting, TLS, proxies,
uploads in pieces, orders of pictures) takes the long way, through the session;
so does every call while somebody has put a mock in the session's place, for then
the pool is empty.

It leans on aiohttp's connector and protocol, which are not public:
``tests/transport/test_direct.py`` holds it against the long way.
"""

# pyright: reportPrivateUsage=false
# As for ruff: this room leans on aiohttp's inside, and says so.

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.streams import EMPTY_PAYLOAD

if TYPE_CHECKING:
    import asyncio

    from aiohttp.connector import Connection
    from aiohttp.streams import StreamReader
    from multidict import CIMultiDictProxy

# When reads are worth gathering: so many in a row, each so soon after the last, each no larger.
_FLOOD: Final = 4
_QUICK_S: Final = 0.004
_SMALL: Final = 16 * 2**10
# How long to gather, and how much more than one read it must bring to be worth going on.
_GATHER_S: Final = 0.006
_WORTH: Final = 1.5


class Response:
    """An answer's head, and its body as it comes: the part of ``ClientResponse`` that ``Reply`` uses.

    The connection goes back to the pool by itself once the body has ended.
    """

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self, connection: Connection, status: int, headers: CIMultiDictProxy[str], content: StreamReader
    ) -> None:
        self._connection: Connection | None = connection
        self.status: int = status
        self.headers: CIMultiDictProxy[str] = headers
        self.content: StreamReader = content
        content.on_eof(self._release)

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def close(self) -> None:
        """Give the connection up, and wake whoever waits for the body."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self.content.exception() is None:
                self.content.set_exception(aiohttp.ClientConnectionError("the connection was closed"))
            connection.close()


async def ask(connection: Connection, request: bytes, header_bytes: int) -> Response:
    """Send a request over an idle connection and wait for the head of its answer.

    Args:
        connection: Taken from the pool.
        request: Head and body.
        header_bytes: The longest header line to take.

    Raises:
        aiohttp.ClientError, HttpProcessingError: As aiohttp does; the connection is given up.
    """
    protocol = connection.protocol
    try:
        if protocol is None or protocol.transport is None:
            raise aiohttp.ServerDisconnectedError  # noqa: TRY301  (the same end as for one that dies a moment later)
        protocol.set_response_params(
            auto_decompress=False, read_until_eof=True, max_line_size=header_bytes, max_field_size=header_bytes
        )
        protocol.transport.write(request)
        while True:
            message, content = await protocol.read()
            if not 100 <= message.code < 200 or message.code == 101:  # noqa: PLR2004  (interim answers: RFC 9110, section 15.2)
                return Response(connection, message.code, message.headers, content)
    except BaseException:
        connection.close()
        raise


class Body:
    """Reads a body as it comes, more cheaply than ``StreamReader.readany``.

    That takes every HTTP chunk by itself, and asks the connection to read on
    after each; a stream has hundreds of them in one read of the socket.

    When ``gathers`` is set, a flood of small reads is taken together: after four
    within 4 ms of each other the socket is left alone for 6 ms at a time, for as
    long as that brings half as much again as a read alone, or more. Several hundred tokens a second then
    cost a fraction, and none comes more than 6 ms late; slower streams and large
    reads are never held up.
    """

    __slots__ = ("_content", "_gathers", "_last", "_loop", "_quick", "_single")

    def __init__(self, content: StreamReader, loop: asyncio.AbstractEventLoop, *, gathers: bool) -> None:
        self._content = content
        self._loop = loop
        self._gathers = gathers
        self._last = 0.0
        self._quick = 0
        self._single = 0

    async def read(self) -> bytes:
        """Give what has come, or wait for more; b"" at the end. Raises as ``StreamReader.readany`` does."""
        content = self._content
        if content is EMPTY_PAYLOAD:  # It has none of the parts used below.
            return b""
        if not content._buffer and not content._eof and content._exception is None:
            if self._quick == _FLOOD:
                self._gather()
            await content._wait("read")
        # What came before the end, or before the break, is given first.
        if not content._buffer or content._buffer_offset:
            return await content.readany()
        pieces = content._buffer
        data = b"".join(pieces)
        if self._gathers:
            self._count(len(data))
        pieces.clear()
        content._size = 0
        content._cursor += len(data)
        if content._http_chunk_splits:
            content._http_chunk_splits.clear()
        if content._protocol._reading_paused:
            content._protocol.resume_reading()
        return data

    def _count(self, size: int) -> None:
        """Judge by the last read whether the next is worth gathering.

        What was gathered comes as one piece, so only its size tells whether there was more than one read in it.
        """
        now, last = self._loop.time(), self._last
        self._last = now
        worth = size >= _WORTH * self._single if self._quick == _FLOOD else now - last <= _QUICK_S
        if size > _SMALL or not worth:
            self._quick = 0
        elif self._quick < _FLOOD:
            self._single = min(size, self._single) if self._quick else size
            self._quick += 1

    def _gather(self) -> None:
        transport = self._content._protocol.transport
        if transport is not None:
            transport.pause_reading()
            self._loop.call_later(_GATHER_S, transport.resume_reading)
