"""A reply: the answer to an attempt whose head has come and whose body is being read."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

import aiohttp

from tutuclient import wire
from tutuclient.errors import APIConnectionError, APITimeoutError, TutuError, UnexpectedResponseError
from tutuclient.transport import aiohttp_internals, exceptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multidict import CIMultiDictProxy

    from tutuclient._meta import Meta
    from tutuclient.transport.admission import Slot
    from tutuclient.transport.call import Call
    from tutuclient.transport.deadlines import Kind, Limits
    from tutuclient.transport.observing import How

T = TypeVar("T")

# What Content-Encoding says where nothing is encoded, beside the names of character sets. Sources: a gateway in front
# of Dify ("none"), chat routes of Next.js and Flask ("utf-8"); RFC 2045 (the encodings of mail).
_NO_CODINGS = frozenset(
    {"", "identity", "none", "null", "no", "false", "off", "plain", "text", "chunked", "7bit", "8bit", "binary"}
)


def coding_of(headers: CIMultiDictProxy[str]) -> str:
    """Return how a body is encoded, in lower case; "" when what the header names is no encoding.

    Source: RFC 9110, section 8.4: codings are listed in the order in which they were applied.
    """
    words = ",".join(headers.getall("Content-Encoding", [])).lower().split(",")
    return ", ".join(word for word in (word.strip(" \t\"'") for word in words) if not _is_no_coding(word))


def _is_no_coding(word: str) -> bool:
    if word in _NO_CODINGS:
        return True
    try:
        "".encode(word)  # Python knows the names of character sets here, and of no compression.
    except (LookupError, ValueError):
        return False
    return True


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Return what has come of a body, or wait for more; b"" at its end."""
    broken = content.exception()
    if broken is None:
        return await content.readany()
    # What came before the break is returned first. aiohttp keeps it, but raises for the break instead.
    content.set_exception(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  (it is what it begins with)
    try:
        data = content.read_nowait()
    finally:
        content.set_exception(broken)
    if not data:
        raise broken
    return data


class Reply:
    """The answer to one attempt, which holds a connection and a slot until it is closed.

    Attributes:
        call: What was asked.
        meta: Status, headers and timings so far.
        limits: The call's limits.
        on_end: Called when a stream has ended: with its error, or with None where it came whole. None calls nobody.
    """

    __slots__ = (
        "__weakref__",
        "_content",
        "_inflater",
        "_late",
        "_read",
        "_response",
        "_slot",
        "_started",
        "_thread",
        "call",
        "limits",
        "meta",
        "on_end",
    )

    def __init__(
        self,
        response: aiohttp.ClientResponse | aiohttp_internals.Response,
        call: Call,
        meta: Meta,
        limits: Limits,
        slot: Slot | None,
        started: float,
        *,
        fast_path: bool,
    ) -> None:
        self._response: aiohttp.ClientResponse | aiohttp_internals.Response | None = response
        self._content = response.content
        self._read = aiohttp_internals.read if fast_path else _read
        self._slot = slot
        self._started = started
        self._late: APITimeoutError | None = None
        self._thread = threading.get_ident()
        self.call: Call = call
        self.meta: Meta = meta
        self.limits: Limits = limits
        self.on_end: Callable[[TutuError | None], None] | None = None
        # In lower case, which spares multidict a copy of the name.
        encoding = coding_of(response.headers) if "content-encoding" in response.headers else ""
        self._inflater = wire.Inflater(encoding, call.max_bytes, meta) if encoding else None

    @property
    def content_type(self) -> str:
        """The media type of the answer, in lower case."""
        return self.meta.headers.get("Content-Type", "").lower()

    async def piece(self) -> bytes:
        """Return the next bytes of the body, as many as have come; b"" at its end.

        Raises:
            APIConnectionError: The body broke off, or a limit passed.
            UnexpectedResponseError: It is compressed, and cannot be decompressed.
        """
        with exceptions.Translated(self._translate):
            piece = await self._read(self._content)
            if self._inflater is None:
                return piece
            while piece:
                if inflated := b"".join(self._inflater.feed(piece)):
                    return inflated
                piece = await self._read(self._content)
            if not self._inflater.complete:
                raise aiohttp.ClientPayloadError("the compressed body is cut off")
            return b""

    def _translate(self, error: BaseException) -> TutuError:
        problem = self._late or exceptions.broken(
            error,
            self.call.what,
            connected=True,
            sent=True,
            makes_image=self.call.makes_image,
            proxy=self.call.proxy,
        )
        return problem.with_details(request_id=self.meta.request_id)

    async def read(self, begun: bytes = b"") -> bytes | bytearray:
        """Read the whole body.

        Args:
            begun: What has been read of it already.

        Raises:
            UnexpectedResponseError: It is larger than the call's ``max_bytes``.
        """
        data: bytes | bytearray = begun or await self.piece()
        limit = self.call.max_bytes
        # Only a read behind the last piece checks that compressed data are whole.
        while data and not (self._content.at_eof() and self._inflater is None):
            piece = await self.piece()
            if not piece:
                break
            if type(data) is not bytearray:
                data = bytearray(data)
            data += piece
            if len(data) > limit:
                break
        if len(data) > limit:
            raise wire.too_large("a body", limit, self.meta)
        return data

    async def read_start(self, limit: int) -> bytes:
        """Read the beginning of an error's body, or what there is of it when it breaks off."""
        data = b""
        try:
            while len(data) < limit and (piece := await self.piece()):
                data += piece
        except (APIConnectionError, UnexpectedResponseError):
            pass
        return data[:limit]

    def watched(self, reader: object, items: Iterator[T]) -> Iterator[T]:
        """Return the items that a reader made of the last bytes; whoever observes the call is told of each."""
        observation = self.call.observation
        return items if observation is None else observation.watched(reader, items)

    @property
    def at_end(self) -> bool:
        """Whether the body has been read to its end, so that the connection serves again."""
        return self._content.at_eof()

    @property
    def is_open(self) -> bool:
        """Whether it still holds its connection and its slot."""
        return self._response is not None

    def fail(self, kind: Kind) -> None:
        """Close it because a limit has expired, and fail the read that waits, or the next one."""
        self._late = exceptions.timeout_error(
            kind,
            self.call.what,
            self.call.seconds(kind),
            sent=True,
            makes_image=self.call.makes_image,
            proxy=self.call.proxy,
        )
        self._content.set_exception(self._late)
        if self.call.observation is not None:  # Before it is closed, which is another end.
            self.call.observation.raised(self, self._late)
        self.close()

    def ended(self, error: TutuError | None) -> None:
        """Report how the stream has ended, to the health of its relay."""
        if self.on_end is not None:
            self.on_end(error)

    def stamp(self) -> None:
        """Note that the answer has been read to its end."""
        self.meta.elapsed_s = self.limits.now() - self._started

    def close(self) -> None:
        """Release connection and slot; the connection is closed if the body is not read to its end. May be repeated."""
        response, self._response = self._response, None
        if response is not None:
            response.close()
            if self._slot is not None:
                self._slot.release("done", self.call.tokens)
            if self.call.observation is not None:
                self.call.observation.closed(self)

    def drop(self, how: How) -> None:
        """Close it from a finalizer, which may run in any thread, while a loop must be called in its own."""
        loop = self.limits.loop
        if self.call.observation is not None:
            self.call.observation.dropped(id(self), loop, how)
        if loop.is_running() and threading.get_ident() != self._thread:
            loop.call_soon_threadsafe(self._end)
        else:
            self._end()

    def _end(self) -> None:
        self.limits.stop()
        self.close()
