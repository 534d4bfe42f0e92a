"""All that we use of aiohttp without a promise: its private names, and calls that its documentation leaves out.

``ClientSession.request`` costs more than half of a small call: it prepares for redirects, cookies, middlewares and
tracing, none of which we use. And ``StreamReader.readany`` asks the connection to go on reading after each HTTP chunk,
of which a read of the socket may hold hundreds. The fast path here leaves both out.

What it leans on is looked for once, when this module is imported. If anything is missing, or ``TUTU_FAST_PATH=0`` is
set, every call takes the public path: ``ClientSession.request`` and the documented methods of ``StreamReader``. The
tests of transport run both ways.
"""

# pyright: reportPrivateUsage=false
# As for ruff (SLF001): no other module of the package touches a private name of aiohttp.

from __future__ import annotations

import contextlib
import inspect
import os
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import BaseConnector, Connection
from aiohttp.streams import StreamReader

if TYPE_CHECKING:
    import asyncio

    from aiohttp.client_reqrep import ConnectionKey
    from multidict import CIMultiDictProxy

    from tutuclient.transport.connection import Connector, Guard, Progress

HEADER_BYTES: Final = 64 * 2**10
"""The longest line of a head, and the longest header, to accept: aiohttp's own 8,190 bytes are too few for some."""

PRIVATE_NAMES: Final = (
    (StreamReader, "_buffer"),
    (StreamReader, "_buffer_offset"),
    (StreamReader, "_cursor"),
    (StreamReader, "_eof"),
    (StreamReader, "_exception"),
    (StreamReader, "_http_chunk_splits"),
    (StreamReader, "_protocol"),
    (StreamReader, "_size"),
    (StreamReader, "_wait"),
    (BaseProtocol, "_reading_paused"),
    (aiohttp.ClientSession, "_request"),
)
"""Each on the class that has it: the slots and methods that the fast path touches."""

_UNDOCUMENTED: Final = (
    (StreamReader, "on_eof"),
    (ResponseHandler, "read"),
    (ResponseHandler, "resume_reading"),
    (Connection, "protocol"),
    (Connection, "release"),
)
_RESPONSE_PARAMS: Final = ("auto_decompress", "max_field_size", "max_line_size", "read_until_eof")


def missing() -> list[str]:
    """Return the names and signatures the fast path needs and this aiohttp does not have."""
    lacking = [f"{cls.__name__}.{name}" for cls, name in (*PRIVATE_NAMES, *_UNDOCUMENTED) if not hasattr(cls, name)]
    # A signature that has changed fails at the first call, so each call is tried on it.
    calls: tuple[tuple[Any, tuple[Any, ...], dict[str, Any]], ...] = (
        (aiohttp.ClientRequest, ("method", "url"), {"loop": None}),
        (BaseConnector.connect, ("self", "req", "traces", "timeout"), {}),
        (ResponseHandler.set_response_params, ("self",), dict.fromkeys(_RESPONSE_PARAMS)),
    )
    for function, positional, named in calls:
        try:
            inspect.signature(function).bind(*positional, **named)
        except (TypeError, ValueError) as error:
            lacking.append(f"{function.__qualname__}(): {error}")
    return lacking


MISSING: Final = missing()
"""What this aiohttp lacks; the fast path is taken when it is empty."""


def fast_path() -> bool:
    """Return whether calls may take the fast path: this aiohttp has all it needs, and nobody has switched it off."""
    return not MISSING and os.environ.get("TUTU_FAST_PATH") != "0"


def loop_of(held: object) -> asyncio.AbstractEventLoop | None:
    """Return the loop that a session or a connector belongs to, or None where this aiohttp does not say."""
    loop: asyncio.AbstractEventLoop | None = getattr(held, "_loop", None)
    return loop


def close_now(connector: BaseConnector) -> None:
    """Close a connector without waiting, and without aiohttp's warning about one that nobody has closed."""
    close = getattr(connector, "_close_immediately", None) or getattr(connector, "_close", None)
    if close is not None:
        with contextlib.suppress(RuntimeError):  # The loop is closed.
            close()


def is_watched(session: aiohttp.ClientSession) -> bool:
    """Return whether something observes or replaces what a session sends, which the fast path would leave out.

    That is ``trace_configs`` (OpenTelemetry, Sentry), or another function in the place of ``ClientSession._request``
    (vcrpy, aioresponses, ddtrace). A wrapper pretends to be what it wraps, so its type and its file are looked at.
    """
    request = getattr(type(session), "_request", None)  # The public path asks too, where the name may be gone.
    return bool(session.trace_configs) or not (request is _OWN_REQUEST or _is_own(request))


def _is_own(request: Any) -> bool:
    if request is None:
        return True
    return type(request) is FunctionType and request.__code__.co_filename == aiohttp.client.__file__


_request = getattr(aiohttp.ClientSession, "_request", None)
_OWN_REQUEST: Final = _request if _is_own(_request) else object()  # It may have been replaced before this import.


class Response:
    """An answer's head, and its body as it comes: the part of ``ClientResponse`` that ``Reply`` uses.

    The connection goes back to the pool by itself once the body has ended.
    """

    __slots__ = ("_connection", "_guard", "content", "headers", "status")

    def __init__(
        self,
        connection: Connection,
        guard: Guard,
        status: int,
        headers: CIMultiDictProxy[str],
        content: StreamReader,
    ) -> None:
        self._connection: Connection | None = connection
        self._guard: Guard = guard
        self.status: int = status
        self.headers: CIMultiDictProxy[str] = headers
        self.content: StreamReader = content
        content.on_eof(self._release)

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._guard.release()
            connection.release()

    def close(self) -> None:
        """Close the connection, and wake whoever waits for the body."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self.content.exception() is None:
                self.content.set_exception(aiohttp.ClientConnectionError("the connection was closed"))
            self._guard.release()
            connection.close()


class Target(aiohttp.ClientRequest):
    """What a connector connects by: it is never sent, and serves every request to one address.

    aiohttp builds the key of its pool anew each time it is asked for, and compares it part by part.
    """

    _key: ConnectionKey | None = None

    @property
    def connection_key(self) -> ConnectionKey:
        """The key under which the pool keeps connections to this address."""
        if self._key is None:
            self._key = super().connection_key
        return self._key


async def send(
    connector: Connector,
    target: aiohttp.ClientRequest,
    request: bytes,
    timeout: aiohttp.ClientTimeout,
    header_bytes: int,
    progress: Progress,
) -> Response:
    """Send a request over a connection of the pool, and wait for the head of its answer.

    Args:
        connector: The pool's.
        target: Where to, see ``target``.
        request: Head and body.
        timeout: Its ``connect`` is the limit for a new connection.
        header_bytes: The longest header line to accept.
        progress: The attempt's.

    Raises:
        aiohttp.ClientError, HttpProcessingError: As aiohttp does; the connection is given up.
    """
    try:
        connection, protocol, guard = await connector.acquire(target, [], timeout, progress)
    except TimeoutError as error:  # As ClientSession._request does.
        raise aiohttp.ConnectionTimeoutError from error
    try:
        protocol.set_response_params(
            auto_decompress=False, read_until_eof=True, max_line_size=header_bytes, max_field_size=header_bytes
        )
        guard.transport.write(request)
        while True:
            message, content = await protocol.read()
            if not 100 <= message.code < 200 or message.code == 101:  # noqa: PLR2004  (interim answers: RFC 9110, section 15.2)
                return Response(connection, guard, message.code, message.headers, content)
    except BaseException:
        guard.release()
        connection.close()
        raise


async def read(content: StreamReader) -> bytes:
    """Return all that has come of a body, or wait for more; b"" at its end.

    ``StreamReader.readany`` returns the same, and calls ``resume_reading`` for every HTTP chunk, which parses nothing
    and costs 2 us: https://github.com/aio-libs/aiohttp/blob/v3.14.5/aiohttp/streams.py (_read_nowait_chunk).
    """
    if type(content) is not StreamReader:  # An empty body, or one that somebody recorded.
        return await content.readany()
    if not content._buffer and not content._eof and content._exception is None:
        await content._wait("read")
    # What came before the end, or before the break, is returned first.
    if not content._buffer or content._buffer_offset:
        return await content.readany()
    pieces = content._buffer
    data = b"".join(pieces)
    pieces.clear()
    content._size = 0
    content._cursor += len(data)
    if content._http_chunk_splits:
        content._http_chunk_splits.clear()
    if content._protocol._reading_paused:
        content._protocol.resume_reading()
    return data
