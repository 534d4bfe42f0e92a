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

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.streams import StreamReader
    from multidict import CIMultiDictProxy


class Response:
    """An answer's head, and its body as it comes: the part of ``ClientResponse`` that ``Reply`` uses.

    The connection goes back to the pool by itself once the body has ended.
    """

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self, connection: Connection, status: int, headers: CIMultiDictProxy[str], content: StreamReader
    ) -> None:
        self._connection: Connection | None = connection
        self.status = status
        self.headers = headers
        self.content = content
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
            if not 100 <= message.code < 200:  # noqa: PLR2004  (interim answers: RFC 9110, section 15.2)
                return Response(connection, message.code, message.headers, content)
    except BaseException:
        connection.close()
        raise


async def read_any(content: StreamReader) -> bytes:
    """Read what has come of a body, or wait for more; b"" at its end.

    As ``StreamReader.readany``, which takes every HTTP chunk by itself and asks
    the connection to read on after each; a stream has hundreds of them in one
    read of the socket.
    """
    while not content._buffer:  # noqa: SLF001  (this room leans on aiohttp's inside)
        if content.exception() is not None or content.is_eof() or content._buffer_offset:  # noqa: SLF001
            return await content.readany()
        await content._wait("read_any")  # noqa: SLF001
    if content.exception() is not None or content._buffer_offset:  # noqa: SLF001
        return await content.readany()
    data = b"".join(content._buffer)  # noqa: SLF001
    content._buffer.clear()  # noqa: SLF001
    content._size = 0  # noqa: SLF001
    content._cursor += len(data)  # noqa: SLF001
    if content._http_chunk_splits:  # noqa: SLF001
        content._http_chunk_splits.clear()  # noqa: SLF001
    if content._protocol._reading_paused:  # noqa: SLF001
        content._protocol.resume_reading()  # noqa: SLF001
    return data
