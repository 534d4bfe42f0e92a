"""A request that is being answered: what came in, and the connection that the answer goes out on.

An answer is an object with one method, ``play(exchange)``; ``answers`` and ``faults`` make them.
"""

import asyncio
import hashlib
import json
import secrets
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from aiohttp import hdrs, web
from multidict import CIMultiDictProxy, MultiMapping

from tutuclient.testing import lenient
from tutuclient.testing.account import Account
from tutuclient.testing.form import Form, parse

KEPT_BODY_BYTES = 2**20
"""How much of a request's body ``Recorded`` keeps; its size and digest cover all of it."""

INLINE_BYTES = 64 * 2**10
"""Up to how long a request's body is worked on in the event loop; longer ones are a worker thread's."""

LONGEST_SILENCE_S = 60.0
"""When a silent or endless answer gives up although its client still waits, so that no test runs away."""
_NO_LINGER = struct.pack("ii", 1, 0)

T = TypeVar("T")


@dataclass(eq=False)
class Recorded:
    """One request as the server saw it.

    Attributes:
        index: Its place in ``server.requests`` (or ``server.downloads``), from 0.
        method: The HTTP method.
        path: The decoded path, without the query.
        query: The query's fields.
        headers: The headers; names in any case.
        connection: The number of its TCP connection; requests on the same connection share it.
        started_at: When its headers had arrived, on ``time.monotonic()``.
        body: The first 1 MiB of its body.
        size_bytes: The length of the whole body, as far as it was read.
        sha256: The digest of the whole body in hex, as far as it was read.
        form: The fields and files of a multipart form, each file's first 1 MiB; empty for all other bodies.
        finished: Whether the answer was written to its end.
        aborted: Whether the client went away before that.
    """

    index: int
    method: str
    path: str
    query: MultiMapping[str]
    headers: CIMultiDictProxy[str] = field(repr=False)
    connection: int
    started_at: float = field(default_factory=time.monotonic)
    body: bytes = field(default=b"", repr=False)
    size_bytes: int = 0
    sha256: str = hashlib.sha256().hexdigest()
    form: Form = field(default=Form(), repr=False)
    finished: bool = False
    aborted: bool = False

    @property
    def json(self) -> Any:
        """The decoded body.

        Raises:
            ValueError: It is not JSON, or longer than the 1 MiB that is kept.
        """
        if self.size_bytes > len(self.body):
            raise ValueError(f"only {len(self.body)} of the body's {self.size_bytes} bytes were kept")
        return json.loads(self.body)


class Stage(Protocol):
    """What an answer may use of the server that runs it."""

    origin: str
    token_delay: float
    piece_bytes: int | None
    picture_form: str
    models_form: str
    account: Account

    def host(self, data: bytes, name: str | None = None) -> str:
        """Keep an image and return the address it can be fetched from."""
        ...

    def fetch(self, url: str) -> bytes | None:
        """Return the image behind an address of this server; None for all others."""
        ...

    def keep_task(self, path: str, questions: "Answer") -> None:
        """Answer GET of a path with the answers about a task, whatever else is scripted."""
        ...

    async def work(self, job: Callable[[], T]) -> T:
        """Run in a worker thread what would hold up the event loop."""
        ...

    async def think(self, exchange: "Exchange") -> web.StreamResponse:
        """Answer as though nothing had been scripted."""
        ...


class Exchange:
    """One request being answered: what was asked, and the connection it came on.

    An answer either returns a response of ``aiohttp.web``, or writes bytes of its own with ``send`` and returns
    ``sent()``.
    """

    def __init__(self, request: web.BaseRequest, recorded: Recorded, stage: Stage, max_body_bytes: int) -> None:
        self.request = request
        self.recorded = recorded
        self.stage = stage
        # A timestamp and eight random characters, as new-api writes it (WIRE.md 4.5).
        self.request_id: str = f"{datetime.now(UTC):%Y%m%d%H%M%S%f}000{secrets.token_hex(4)}"
        self.body: bytes = b""
        self.model = ""
        self.ended_here: bool = False
        self._max_body_bytes = max_body_bytes
        self._decoded: tuple[dict[str, Any], str | None] | None = None
        self._form: tuple[Form, str | None] | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """The body's JSON object; empty when the body is not an object."""
        return self.decode()[0]

    @property
    def broken_json(self) -> str | None:
        """What is wrong with the body as JSON, if anything."""
        return self.decode()[1]

    def decode(self) -> tuple[dict[str, Any], str | None]:
        """Decode the body once; a long one is better decoded in a worker thread."""
        if self._decoded is None:
            try:
                self._decoded = lenient.mapping(json.loads(self.body)), None
            # json's C scanner raises a RecursionError for lists nested too deeply.
            except (ValueError, RecursionError) as error:
                self._decoded = {}, f"invalid JSON body: {error}"
        return self._decoded

    @property
    def form(self) -> Form:
        """The body's fields and files; empty when the body is not a form."""
        return self.decode_form()[0]

    @property
    def broken_form(self) -> str | None:
        """What is wrong with the body as a form, if anything."""
        return self.decode_form()[1]

    def decode_form(self) -> tuple[Form, str | None]:
        """Parse the body as a form once, and record it; a long one is better parsed in a worker thread."""
        if self._form is None:
            try:
                self._form = parse(self.request.headers.get(hdrs.CONTENT_TYPE, ""), self.body), None
            except ValueError as error:
                self._form = Form(), str(error)
            self.recorded.form = self._form[0].shortened()
        return self._form

    @property
    def wants_stream(self) -> bool:
        """Whether the request asks for an event stream."""
        return self.payload.get("stream") is True

    async def read_body(self) -> bool:
        """Read the request's body, record its size and digest, and return whether it is within the server's limit."""
        recorded, digest = self.recorded, hashlib.sha256()
        pieces: list[bytes] = []
        # As it comes, so that a body beyond the limit is not read to its end.
        async for piece in self.request.content.iter_any():
            digest.update(piece)
            pieces.append(piece)
            recorded.size_bytes += len(piece)
            recorded.sha256 = digest.hexdigest()
            if len(recorded.body) < KEPT_BODY_BYTES:
                recorded.body += piece[: KEPT_BODY_BYTES - len(recorded.body)]
            if recorded.size_bytes > self._max_body_bytes:
                return False
        self.body = b"".join(pieces)
        return True

    def respond(
        self,
        body: object,
        *,
        status: int = 200,
        content_type: str = "application/json; charset=utf-8",
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        """Build a whole answer; a body that is not bytes becomes JSON."""
        data = body if isinstance(body, bytes) else compact_json(body)
        return web.Response(status=status, body=data, headers=self._headers(content_type, headers))

    def error(
        self,
        status: int,
        message: str,
        *,
        code: object = None,
        type: str = "new_api_error",  # noqa: A002 - the wire's own name.
        param: str | None = "",
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        """Build an error answer in new-api's envelope, the request id at the message's end as it writes it."""
        # new-api puts the id into the message too (WIRE.md 4.1): clients that show nothing else show it all the same.
        error = {"message": f"{message} (request id: {self.request_id})", "type": type, "param": param, "code": code}
        return self.respond({"error": error}, status=status, headers=headers)

    async def open_stream(
        self, content_type: str = "text/event-stream", headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """Send the head of a chunked answer; write pieces to what is returned."""
        # The headers of new-api's streams (WIRE.md 3.1).
        extra = {hdrs.CACHE_CONTROL: "no-cache", "X-Accel-Buffering": "no", **(headers or {})}
        response = web.StreamResponse(headers=self._headers(content_type, extra))
        await response.prepare(self.request)
        return response

    async def send(self, data: bytes) -> None:
        """Write bytes to the bare connection, at the client's pace.

        Raises:
            ConnectionResetError: The client is gone.
        """
        transport = self.request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        # aiohttp's writer frames what is written to it; faults need bytes as they are. Its drain still applies, since
        # the transport and the flow control behind both are the same.
        transport.write(data)
        await self.request.writer.drain()

    async def silence(self, seconds: float = LONGEST_SILENCE_S) -> None:
        """Wait without an answer until the client leaves (which cancels this), at most for so many seconds."""
        await asyncio.sleep(min(seconds, LONGEST_SILENCE_S))

    def fin(self) -> web.StreamResponse:
        """Close the connection after what was written."""
        self.ended_here = True
        if self.request.transport is not None:
            self.request.transport.close()  # Sends what is buffered first, unlike abort().
        return self.sent()

    def reset(self) -> web.StreamResponse:
        """Reset the connection: RST instead of FIN."""
        self.ended_here = True
        transport = self.request.transport
        if transport is not None:
            reset(transport)
        return self.sent()

    def sent(self, *, keep_alive: bool = False) -> web.StreamResponse:
        """Return a response by which aiohttp knows that the answer has been written already."""
        return _Sent(keep_alive=keep_alive)

    def _headers(self, content_type: str, extra: Mapping[str, str] | None) -> dict[str, str]:
        return {hdrs.CONTENT_TYPE: content_type, "X-Oneapi-Request-Id": self.request_id, **(extra or {})}


class _Sent(web.StreamResponse):
    """A response whose bytes have been written by hand.

    aiohttp's RequestHandler.finish_response calls ``prepare`` and ``write_eof`` on whatever a handler returns and then
    asks ``keep_alive``, so these three are overridden to write nothing.
    """

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._kept = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._kept

    async def prepare(self, request: web.BaseRequest) -> None:  # noqa: ARG002  (aiohttp's signature)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        pass


class Answer(Protocol):
    """What answers one request; ``answers`` and ``faults`` build them, and any object with this method is one."""

    def play(self, exchange: Exchange, /) -> Awaitable[web.StreamResponse]:
        """Answer the request of this exchange."""
        ...


@dataclass(frozen=True)
class Played:
    """An answer that is one coroutine function, called ``delay`` seconds after the request (and its body) has come."""

    send: Callable[[Exchange], Awaitable[web.StreamResponse]]
    delay: float = 0.0
    reads_body: bool = True

    async def play(self, exchange: Exchange, /) -> web.StreamResponse:
        """Answer the request of this exchange."""
        if self.delay:
            await asyncio.sleep(self.delay)
        return await self.send(exchange)


Scripted = Answer | Callable[[Recorded], Answer]
"""An answer, or a function that picks one after looking at the request (its body is read by then)."""


def reset(transport: asyncio.BaseTransport) -> None:
    """Close a connection with RST: a close with SO_LINGER on and a time of 0 discards what is queued (socket(7))."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    if isinstance(transport, asyncio.Transport):
        transport.abort()


def compact_json(value: object) -> bytes:
    """Write JSON without spaces, as Go does; lone surrogates stay what they were."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
