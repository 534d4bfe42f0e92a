"""Connections guarded in public names alone: asyncio's transports and protocols, and what aiohttp documents.

Each guard answers something that was measured on aiohttp 3.14.5, and has its test on a real socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
from collections import Counter
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from tutuclient.transport.exceptions import EndlessInterimError

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from tutuclient.errors import TutuError

# asyncio allocates a buffer of this size for each read until Python 3.13; its default is 256 KiB.
# https://github.com/python/cpython/blob/3.11/Lib/asyncio/selector_events.py (_SelectorSocketTransport.max_size)
READ_SIZE: Final = 64 * 2**10
# aiohttp skips interim responses (1xx) without end: ClientResponse.start() in aiohttp/client_reqrep.py.
_MAX_INTERIM_BYTES: Final = 2**20


class Guard(asyncio.Protocol):
    """The protocol of a transport, in front of aiohttp's own: all that comes passes through it.

    ``set_protocol`` is asyncio's own way of putting one in place, so aiohttp's ``ResponseHandler`` need not be
    subclassed, which only a private name of its connector would allow (``BaseConnector._factory``).

    Attributes:
        answered: A byte has come since the request: the server has read it, and may have acted on it.
        body: The response's body, as long as it is being received.
        failure: Why the connection was aborted from our side, or None.
        lost: How the connection was lost, as aiohttp raises it, or None.
        in_use: A call holds the connection; else it waits in the pool, or is closed.
        transport: The connection's.
    """

    __slots__ = (
        "__weakref__",
        "_awaits_head",
        "_head_bytes",
        "_is_interim",
        "_poll",
        "_protocol",
        "_socket",
        "_tls",
        "answered",
        "body",
        "failure",
        "in_use",
        "lost",
        "transport",
    )

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport: asyncio.Transport = transport
        self._protocol: Any = transport.get_protocol()
        # A transport of TLS that was closed twice cannot be asked any more: it has let go of its SSLProtocol.
        # https://github.com/python/cpython/blob/3.11/Lib/asyncio/sslproto.py (_SSLProtocolTransport.close)
        self._socket: Any = transport.get_extra_info("socket")
        self._tls = transport.get_extra_info("ssl_object") is not None
        self._poll: Any = None
        self.failure: Exception | None = None
        self.lost: aiohttp.ClientError | None = None
        self.expect_response()
        transport.set_protocol(self)

    def expect_response(self) -> None:
        """Prepare for the response to the next request."""
        self._awaits_head, self._is_interim, self._head_bytes = True, False, 0
        self.answered: bool = False
        self.in_use: bool = True
        self.body: aiohttp.StreamReader | None = None

    def receive_body(self, body: aiohttp.StreamReader) -> None:
        """Note that the head has come, and that ``body`` is behind it."""
        self._awaits_head = False
        if not body.is_eof():
            self.body = body
            self._end_broken_body()

    def data_received(self, data: bytes) -> None:
        """Pass on what has come from the socket."""
        if not self.in_use:  # Bytes that come unasked would be read as the answer to the next request.
            self.transport.abort()
            return
        if self._awaits_head:
            data = self._receive_head(data)
        self._protocol.data_received(data)
        if self.transport.is_closing():
            self._end_broken_body()

    def _receive_head(self, data: bytes) -> bytes:
        """Pass the first head in ``data`` on by itself, and return what is behind it.

        Where a stream of bytes is cut has no meaning to a parser. But aiohttp's parser drops the messages that it has
        found when the bytes behind them, in the same read, are wrong: status, request id and the first events with it.
        https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/_http_parser.pyx (HttpParser.feed_data)
        """
        if not self.answered:
            self.answered = True
            self._is_interim = data[9:10] == b"1"  # As in "HTTP/1.1 103 Early Hints".
        self._head_bytes += len(data)
        if self._is_interim and self._head_bytes > _MAX_INTERIM_BYTES:
            self.failure = EndlessInterimError()
            self.transport.abort()
            return b""
        end = data.find(b"\r\n\r\n")
        # Behind a head that gives the body's length, nothing can be wrong.
        if end < 0 or data.find(b"chunked", 0, end) < 0:
            return data
        self._protocol.data_received(data[: end + 4])
        return data[end + 4 :]

    def eof_received(self) -> bool | None:
        """Pass on that the other side sends no more."""
        keeps_open: bool | None = self._protocol.eof_received()
        return keeps_open

    def pause_writing(self) -> None:
        """Pass on that the other side takes no more for now."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the other side takes more."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Read what came before the end, and end the body if aiohttp does not."""
        if isinstance(exc, OSError):
            self._read_what_waits()
        self.lost = aiohttp.ClientOSError(*exc.args) if isinstance(exc, OSError) else aiohttp.ServerDisconnectedError()
        self._protocol.connection_lost(exc)
        self._end_broken_body()
        self.body, self.in_use = None, False

    def _end_broken_body(self) -> None:
        """End the body of a connection that is lost, or that aiohttp has closed because the rules of HTTP are broken.

        On a bad chunk size aiohttp's parser lets go of the body, so its reader would wait for ever; and within TLS,
        closing waits for the other side's close_notify, up to 30 s (asyncio's ``ssl_shutdown_timeout``).
        """
        body = self.body
        if body is None or body.is_eof() or not self.transport.is_closing():
            return
        if self.lost is None:
            self.transport.abort()
        elif body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("the answer breaks the rules of HTTP"))

    def _read_what_waits(self) -> None:
        """Read what the loop left in the socket of a connection on which a write has failed.

        A server that refuses an upload answers early and closes: its answer explains more than "broken pipe". Within
        TLS the socket is out of reach; there the sender looks before each write, see ``attempts``.
        """
        if self._socket is None or self._tls:
            return
        left = READ_SIZE * 4
        with contextlib.suppress(OSError, AttributeError):  # Nothing more has come; or on Windows, there is no os.read.
            while left > 0 and (data := os.read(self._socket.fileno(), READ_SIZE)):
                left -= len(data)
                self.data_received(data)

    def release(self) -> None:
        """Abort the connection, when what gives it up leaves something unsent or unread.

        aiohttp would close it, which sends first what is still to be sent of an upload that was cancelled, and within
        TLS waits for the other side.
        """
        body, self.body, self.in_use = self.body, None, False
        unread = not self.answered or (body is not None and not body.is_eof())
        if unread or self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self.transport.abort()

    @property
    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self.transport.is_closing()

    @property
    def has_unread_data(self) -> bool:
        """Whether something waits in the socket that the loop has not read yet.

        That is either the end of the connection or an answer nobody asked for. The loop would report both only after
        the next request has been sent.
        """
        if self._poll is None:
            make_poll = getattr(select, "poll", None)  # Windows has none.
            if make_poll is None or self._socket is None:
                return False
            self._poll = make_poll()
            self._poll.register(self._socket.fileno(), select.POLLIN)
        return bool(self._poll.poll(0))


class Closable(Protocol):
    """What is closed by a coroutine."""

    async def aclose(self) -> None:
        """Close it."""


class Progress:
    """How far an attempt has come, as the connector and the body of the request note it.

    Attributes:
        connected: There is a connection; before that nothing can have been done.
        connection: The connection of the request that is being made, once there is one.
        reused: The connection had been used before.
        sent: The request was sent to its end, as far as we can tell.
        stale: It took an idle connection, which died without a byte of an answer: the server had given it up.
        body: What is being sent in pieces, to be closed.
        failure: What stopped the sending from our side, such as a file that changed.
    """

    __slots__ = ("body", "connected", "connection", "failure", "reused", "sent", "stale")

    def __init__(self) -> None:
        self.connected: bool = False
        self.connection: Guard | None = None
        self.reused: bool = False
        self.sent: bool = True
        self.stale: bool = False
        self.body: Closable | None = None
        self.failure: TutuError | None = None

    def begin_exchange(self) -> None:
        """Note that a request is about to be made: the first, or one to where the server redirects to."""
        self.connection = None


progress_of_attempt: ContextVar[Progress | None] = ContextVar("progress_of_attempt", default=None)


class Connector(aiohttp.TCPConnector):
    """Hands out guarded connections, and notes it in the attempt's progress: before that nothing can have been sent.

    Attributes:
        guards: Those of all connections that exist.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]  (aiohttp leaves the shape of addresses open)
        self.guards: WeakSet[Guard] = WeakSet()

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Return a connection to aiohttp's session, which reports its end to the connection's callbacks only.

        Raises:
            aiohttp.ClientConnectionError: As ``acquire`` does; and when the session wants to send GET, PUT or DELETE a
                second time on its own account: whether a request is repeated is up to ``Attempts``.
                https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/client.py (retry_persistent_connection)
        """
        progress = progress_of_attempt.get()
        if progress is not None and progress.connection is not None:
            raise progress.connection.lost or aiohttp.ServerDisconnectedError
        connection, _, guard = await self.acquire(req, traces, timeout, progress)
        connection.add_callback(guard.release)
        return connection

    async def acquire(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout, progress: Progress | None
    ) -> tuple[Connection, ResponseHandler, Guard]:
        """Return an idle connection that can be used again, or a new one, aiohttp's protocol, and what guards it.

        Whoever gives the connection up calls ``Guard.release`` before.

        Raises:
            aiohttp.ClientConnectionError: As aiohttp does.
        """
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            transport = None if protocol is None else protocol.transport
            if protocol is None or transport is None:  # It was lost in this very moment.
                connection.close()
                raise aiohttp.ServerDisconnectedError
            guard = transport.get_protocol()
            reused = isinstance(guard, Guard)
            if not isinstance(guard, Guard):
                guard = self._guarded(transport)
                break
            # What came with the end of the last response, in the same read, lies in the protocol already.
            if not (protocol.should_close or guard.has_unread_data):
                guard.expect_response()
                break
            guard.abort()
            connection.close()
        if progress is not None:
            progress.connected, progress.reused, progress.connection = True, reused, guard
        return connection, protocol, guard

    def _guarded(self, transport: Any) -> Guard:
        guard = Guard(transport)
        self.guards.add(guard)
        if hasattr(transport, "max_size"):
            transport.max_size = READ_SIZE
        return guard

    def abort(self) -> None:
        """Close every connection at once, as far as the loop still can."""
        for guard in list(self.guards):
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                guard.abort()

    def __del__(self, *_: Any) -> None:
        # aiohttp's own would warn of an unclosed connector: a client need not be closed.
        if hasattr(self, "guards"):
            self.abort()


class Names(AbstractResolver):
    """Resolves names as aiohttp does, and counts those being resolved: a DNS that is silent can then be named."""

    def __init__(self) -> None:
        self._resolver: AbstractResolver = aiohttp.DefaultResolver()
        self.waiting: Counter[str] = Counter()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name."""
        self.waiting[host] += 1
        try:
            return await self._resolver.resolve(host, port, family)
        finally:
            self.waiting[host] -= 1

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()
