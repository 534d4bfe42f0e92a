"""Answers that are still coming, one piece after the other: typed events, and whatever else is not chat.

Chat has a stream of its own, which folds its chunks and is made to be fast.
Knows no page of the API: what an event means, and which one is the last, is for
a page to say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Generic, TypeVar

from tutuclient import sse, wire
from tutuclient.errors import APIConnectionError, APIError, APITimeoutError, IncompleteStreamError, TutuError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from tutuclient.transport.reply import Reply
    from tutuclient.types.answer import Meta

E = TypeVar("E")
T = TypeVar("T")

_PIECE = 64 * 2**10


class Incoming(ABC, Generic[T]):
    """What is read piece by piece: an async iterator, and an async context manager that frees the connection.

    It is read once, and stops for good at the first error, which is raised again
    by whoever asks once more. Cancelling the task that reads frees the connection.
    """

    def __init__(self, reply: Reply) -> None:
        """Take an answer over, whose first piece has come."""
        reply.watch.ease()
        reply.watch.hand_over(reply.fail)
        self._reply: Reply | None = reply
        self._error: TutuError | None = None
        self._meta = reply.meta

    @abstractmethod
    async def _next(self, reply: Reply) -> T | None:
        """Give the next piece, or None at the end of a whole answer."""

    @property
    def meta(self) -> Meta:
        """How the call went, so far."""
        return self._meta

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        reply = self._reply
        if reply is None:
            raise self._error or StopAsyncIteration
        try:
            reply.watch.limit("idle", reply.call.timeout.idle)
            piece = await self._next(reply)
            reply.watch.ease()
        except TutuError as error:
            error.attempts = reply.meta.attempts
            error.outcome = "unknown"
            self._end(wire.without_key(error, reply.call.settings.api_key))
            raise
        except BaseException:
            self._end(_closed())
            raise
        if piece is None:
            reply.stamp()
            self._end(None)
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Free the connection now. Safe to call twice, and after the end."""
        self._end(_closed())

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _end(self, error: TutuError | None) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            self._error = error
            reply.watch.stop()
            reply.close()


class EventReader(Generic[E]):
    """Bytes to events: the decoder of one streamed answer, without any waiting.

    Args:
        meta: How the call went.
        read: Makes an event of the name in its ``event:`` line, or "", and its data; None for what carries nothing.
            Raises ``APIError``.
        last: Says whether the answer is complete with this event.
        whole: Makes events of a whole body that came although a stream was asked for.
        max_bytes: The longest event to hold; all of them together may be half as much again.

    Attributes:
        done: The last event has come, or ``[DONE]`` behind others; nothing behind it counts.
        events: How many have come.
    """

    def __init__(
        self,
        meta: Meta,
        *,
        read: Callable[[str, sse.Data, Meta], E | None],
        last: Callable[[E], bool],
        whole: Callable[[bytes, Meta], Iterable[E]],
        max_bytes: int,
    ) -> None:
        self._decoder = sse.Decoder(max_bytes)
        self._most = self._left = max_bytes + max_bytes // 2
        self._read = read
        self._last = last
        self._whole = whole
        self.meta = meta
        self.done = False
        self.events = 0

    def feed(self, piece: bytes) -> Generator[E]:
        """Give the events that the next bytes complete.

        Raises:
            APIError: The relay sent an error, or what is no event of this page.
            UnexpectedResponseError: A line, an event or the whole stream is too long.
        """
        self._left -= len(piece)
        if self._left < 0:
            raise wire.too_large("a stream", self._most, self.meta)
        yield from self._events(partial(self._decoder.feed, piece))

    def end(self) -> Generator[E]:
        """Give what is left when the bytes are over.

        Raises:
            IncompleteStreamError: The last event did not come.
        """
        yield from self._events(self._decoder.flush)
        if not self.done:
            cut = IncompleteStreamError(
                "the stream ended in the middle: its last event did not come"
                if self.events
                else "the stream ended without a single event"
            )
            cut.request_id = self.meta.request_id
            raise cut

    def all(self, data: bytes | bytearray) -> Generator[E]:
        """Give the events of a body that has come whole. Raises as ``feed`` and ``end`` do."""
        yield from chain.from_iterable(self.feed(bytes(data[at : at + _PIECE])) for at in range(0, len(data), _PIECE))
        yield from self.end()

    def whole(self, body: bytes) -> list[E]:
        """Give the events of a body that is no stream. Raises as reading it does."""
        self.done = True
        return list(self._whole(body, self.meta))

    def _events(self, decode: Callable[[], list[sse.Event]]) -> Generator[E]:
        try:
            for kind, data in decode():
                for part in [data] if kind is None else wire.apart(data):
                    event = None if self.done else self._event(kind, part)
                    if event is not None:
                        self.events += 1
                        self.done = self._last(event)
                        yield event
        except sse.EventTooLargeError as error:
            raise wire.unexpected(f"a stream in which {error}", b"", self.meta) from None
        except APIError as error:
            if self.events:
                error.outcome = "unknown"  # Whatever it says, work has been done.
            raise

    def _event(self, kind: str | None, data: sse.Data) -> E | None:
        start = bytes(data[:64]).strip()
        if kind is None:
            raise wire.error_of_answer(data, self.meta) or wire.unexpected("a line that is no event", data, self.meta)
        if start == b"[DONE]":
            self.done = self.events > 0
            return None
        return self._read(kind, data, self.meta) if start else None


class EventStream(Incoming[E]):
    """The events of a streamed answer: iterate over them within ``async with``.

    Raises, while it is read:
        IncompleteStreamError: It stopped before its last event.
        StreamIdleTimeoutError: No event came for ``timeout.idle`` seconds.
        APIError: The deadline passed, or the relay sent an error.
    """

    def __init__(self, reply: Reply, reader: EventReader[E], pending: Iterator[E]) -> None:
        super().__init__(reply)
        self._reader = reader
        self._pending = pending

    @classmethod
    async def begin(cls, reply: Reply, reader: EventReader[E]) -> EventStream[E]:
        """Read as far as the first event, so that what fails before it can still be tried again."""
        piece = await reply.piece()
        while piece and not piece.strip():
            piece = await reply.piece()
        if not wire.is_event_stream(piece, reply.content_type) and (piece or "event-stream" not in reply.content_type):
            return cls(reply, reader, iter(reader.whole(bytes(await reply.read(piece)))))
        while True:
            pending = reader.feed(piece) if piece else reader.end()
            if (first := next(pending, None)) is not None:
                return cls(reply, reader, chain((first,), pending))
            piece = await reply.piece()

    async def _next(self, reply: Reply) -> E | None:
        while (event := next(self._pending, None)) is None:
            if self._reader.done:
                return None
            piece = await next_piece(reply)
            self._pending = self._reader.feed(piece) if piece else self._reader.end()
        return event


async def next_piece(reply: Reply) -> bytes:
    """Read on in an answer whose beginning has been handed over.

    Raises:
        IncompleteStreamError: It broke off.
        APITimeoutError: A limit passed.
    """
    try:
        return await reply.piece()
    except APITimeoutError:
        raise
    except APIConnectionError as error:
        cut = IncompleteStreamError(f"{error.message}; the answer is not whole")
        cut.request_id = error.request_id
        cause = error.__cause__
    raise cut from cause


def _closed() -> APIConnectionError:
    error = APIConnectionError("the stream was closed before its end")
    error.outcome = "unknown"
    return error
