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

import contextlib
import os
import select
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import EMPTY_PAYLOAD

from tutuclient.transport import exceptions

if TYPE_CHECKING:
    import asyncio

    from aiohttp.connector import Connection
    from aiohttp.http import RawResponseMessage
    from aiohttp.streams import StreamReader
    from multidict import CIMultiDictProxy

# asyncio reads into a fresh object of this size, each time, until Python 3.13; the default is 256 KiB.
READ_SIZE: Final = 64 * 2**10
_MANY_INTERIM: Final = 100
# When reads are worth gathering: so many in a row, each so soon after the last, each no larger.
_FLOOD: Final = 4
_QUICK_S: Final = 0.004
_SMALL: Final = 16 * 2**10
# How long to gather, and how much more than one read it must bring to be worth going on.
_GATHER_S: Final = 0.006
_WORTH: Final = 1.5


class Handler(ResponseHandler):
    """Guards what aiohttp's protocol loses of an answer.

    The head of an answer is parsed by itself: else what breaks the rules behind it, in the same read, would take the
    head with it. A broken body is told to whoever reads it: on a bad chunk size aiohttp tells the connection alone,
    and the reader would wait for ever. And when a write fails, what lies in the socket is read first: a relay that
    refuses an upload answers early and closes, and its words are worth more than "broken pipe".

    Attributes:
        answered: A byte has come since the request: whoever sent it has read the request, and may have done it.
        waiting: What tells whether something lies in the socket; see ``stirs``.
    """

    answered: bool = False
    waiting: Any = None
    _awaits_head = False
    _interim = 0

    def await_head(self) -> None:
        """Prepare for the answer to the next request."""
        self.answered, self._awaits_head, self._interim = False, True, 0

    def set_response_params(self, **params: Any) -> None:
        """Prepare for the answer to the next request, when aiohttp's session sends it."""
        self.await_head()
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Parse what has come from the socket; b"" asks aiohttp's parser to go on with what it has kept."""
        if self._awaits_head and data:
            self.answered = True
            while self._awaits_head and (end := data.find(b"\r\n\r\n") + 1):
                self._awaits_head = False
                if data.find(b"chunked", 0, end) < 0 and data[9:10] != b"1":
                    break  # A final head whose body has a length: nothing behind it can break the rules.
                super().data_received(data[: end + 3])
                data = data[end + 3 :]
            if not data:
                return
        super().data_received(data)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Pass an answer's head on; of interim ones there may be a hundred.

        Source: RFC 9110, section 15.2.
        """
        code = data[0].code
        if 100 <= code < 200 and code != 101:  # noqa: PLR2004  (as the source says)
            self._interim += 1
            self._awaits_head = self._interim <= _MANY_INTERIM
            if self._interim == _MANY_INTERIM + 1:
                self.set_exception(exceptions.TooManyInterimError())
                if self.transport is not None:
                    self.transport.abort()
            if self._interim > _MANY_INTERIM:
                return
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *args: Any, **named: Any) -> None:
        """Fail the connection, and the body that is being read from it."""
        if isinstance(exc, OSError):
            self._read_what_waits()
        payload = self._payload
        super().set_exception(exc, *args, **named)
        if payload is not None and payload.exception() is None and not payload.is_eof():
            payload.set_exception(aiohttp.ClientPayloadError("the answer breaks the rules of HTTP"), exc)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Read what came before the end."""
        if isinstance(exc, OSError):
            self._read_what_waits()
        super().connection_lost(exc)

    def _read_what_waits(self) -> None:
        """Read what the loop left in the socket of a connection on which a write has failed.

        Within TLS that is out of reach; there the body looks before it writes, see ``attempts``.
        """
        transport = self.transport
        if transport is None or not transport.is_closing() or transport.get_extra_info("ssl_object") is not None:
            return
        sock = transport.get_extra_info("socket")
        left = READ_SIZE * 4
        with contextlib.suppress(OSError, AttributeError):  # There is nothing more; or no such call, on Windows.
            while sock is not None and left > 0 and (data := os.read(sock.fileno(), READ_SIZE)):
                left -= len(data)
                self.data_received(data)


def stirs(protocol: ResponseHandler | None) -> bool:
    """Return whether something waits in a connection's socket that the loop has not read yet.

    That is either the end of the connection or an answer nobody asked for; both
    make it useless, and the loop would tell only once the next request is out.
    """
    waiting = getattr(protocol, "waiting", None)
    if waiting is None:
        transport = None if protocol is None else protocol.transport
        poll = getattr(select, "poll", None)  # Windows has none.
        sock = None if transport is None or poll is None else transport.get_extra_info("socket")
        if poll is None or sock is None:
            return False
        waiting = poll()
        waiting.register(sock.fileno(), select.POLLIN)
        if isinstance(protocol, Handler):
            protocol.waiting = waiting  # It watches one socket as long as there is a connection.
    return bool(waiting.poll(0))


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
        if isinstance(protocol, Handler):
            protocol.await_head()
        # Past the handler's own: passing these on once more costs as much as the rest of it.
        ResponseHandler.set_response_params(
            protocol,
            auto_decompress=False,
            read_until_eof=True,
            max_line_size=header_bytes,
            max_field_size=header_bytes,
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
