"""Typed events as they come: the streams of pictures, sound, transcripts and legacy completions.

Each page of the API says how its events are read and which one is the last; what
holds for every stream (deadlines, silence, errors within a stream, an end that is
none) is here and in ``stream``. Knows no page by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from tutuclient import wire
from tutuclient._meta import note
from tutuclient.errors import APIError, IncompleteStreamError, UnexpectedResponseError, printable
from tutuclient.streams.reading import Stream, begin_reading
from tutuclient.types.chat import fuller
from tutuclient.wire import sse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tutuclient._meta import Meta
    from tutuclient.transport.reply import Reply

E = TypeVar("E")

_PIECE = 64 * 2**10


class EventReader(Generic[E]):
    """Bytes to typed events.

    Args:
        meta: How the call went.
        read: Makes a struct of one event, given its name ("" for none) and its data; None for what carries nothing,
            and a list where one event tells of several.
            It raises an ``APIError`` for an error object, and for what is no event of this page.
        last: Says whether the answer is complete with this event.
        whole: Makes events of a whole answer that came although a stream was asked for.
        max_bytes: The longest event to take; a whole stream may be half as large again.
        goes_on: More may follow the last event: a usage, another picture.
        end_is_enough: There is no last event: where HTTP says that the answer is over, it is.
        done_is_enough: ``[DONE]`` behind other events is an end also without the last event.
        says: Says whether an event carries something of the answer; None for all.

    Attributes:
        done: The last event has come, ``[DONE]`` behind others, or a whole answer; nothing behind it counts.
        usage: What the last event that says so says the answer used.
    """

    def __init__(
        self,
        meta: Meta,
        *,
        read: Callable[[str, sse.Data, Meta], E | list[E] | None],
        last: Callable[[E], bool],
        whole: Callable[[bytes, Meta], Iterable[E]],
        max_bytes: int,
        goes_on: bool = False,
        end_is_enough: bool = False,
        done_is_enough: bool = True,
        says: Callable[[E], bool] | None = None,
    ) -> None:
        self._decoder = sse.Decoder(max_bytes)
        self._read = read
        self._last = last
        self._whole = whole
        self._goes_on = goes_on
        self._end_is_enough = end_is_enough
        self._done_is_enough = done_is_enough
        self._says = says
        self._unread: sse.Data = b""
        self._most = self._left = max_bytes + max_bytes // 2
        self.meta = meta
        self.done: bool = False
        self.spoken: int = 0
        self.usage: Any = None
        self.finished: bool = False

    @property
    def partial(self) -> Any:
        """What has come, put together; None where every event has been handed on and none is kept."""
        return None

    @property
    def unfinished(self) -> int:
        """How many bytes have come of an event whose end has not."""
        return self._decoder.unfinished

    def feed(self, piece: bytes) -> Iterator[E]:
        """Give the events that the next bytes complete.

        Raises:
            APIError: The relay sent an error, or what is no event.
            UnexpectedResponseError: A line, an event or the whole stream is too long.
        """
        try:
            events = decoded(self.meta, self._decoder.feed, piece)
            self._left -= len(piece)
            if self._left < 0:
                raise wire.too_large("a stream", self._most, self.meta)
        except UnexpectedResponseError:
            if not self.finished:
                raise
            self.done = True  # The answer is whole, and what comes behind it is none of it.
            events = []
        return self._typed(events)

    def end(self) -> Iterator[E]:
        """Give what is left when the bytes are over: an event without its blank line, if it is whole."""
        events = decoded(self.meta, self._decoder.flush)
        try:
            yield from self._typed(events)
        except UnexpectedResponseError:
            if not self.finished:
                raise self._incomplete("the stream ended within an event") from None

    def by_line(self, piece: bytes) -> bool:  # noqa: ARG002  (as chunks have it)
        """Return False: a body that is no event stream is read whole, and taken apart then."""
        return False

    def whole(self, data: sse.Data) -> Iterable[E]:
        """Read a whole answer that came in place of a stream: some relays do not forward streams.

        A stream of choices that is written as JSON is taken apart, and has to come to its end as any stream.
        """
        if parts := wire.written_chunks(data, self.meta):
            return self._typed([("", part) for part in parts])
        events = list(self._whole(bytes(data), self.meta))
        for event in events:
            self.usage = fuller(self.usage, getattr(event, "usage", None))
        self.done = self.finished = True
        return events

    def check_complete(self, *, strict: bool) -> None:
        """Raise when the stream has ended and its last event has not come.

        Raises:
            IncompleteStreamError: That is so.
        """
        if self._end_is_enough and self.spoken:
            return
        if self.finished or (self._done_is_enough and self.done and not strict):
            return
        raise self._incomplete("the stream ended in the middle: its last event did not come")

    def all(self, data: bytes | bytearray) -> Iterator[E]:
        """Give the events of a stream that has come whole. Raises as ``feed``, ``end`` and ``check_complete`` do."""
        for at in range(0, len(data), _PIECE):
            yield from self.feed(bytes(data[at : at + _PIECE]))
        yield from self.end()
        self.check_complete(strict=False)

    def _incomplete(self, message: str) -> APIError:
        if not self.spoken:
            return wire.left_unread("the stream ended without a single event", self._unread, self.meta)
        return IncompleteStreamError(message, request_id=self.meta.request_id)

    def _typed(self, events: list[sse.Event]) -> Iterator[E]:
        try:
            for name, data in events:
                for part in [data] if name is None else wire.apart(data):
                    for event in () if self.done else self._events(name, part):
                        self.spoken += self._says is None or self._says(event)
                        self.usage = fuller(self.usage, getattr(event, "usage", None))
                        self.finished = self.finished or self._last(event)
                        self.done = self.finished and not self._goes_on
                        yield event
        except APIError as error:
            if self.spoken:
                error.with_details(outcome="unknown")  # Whatever it says, work has been done.
            raise

    def _events(self, name: str | None, data: sse.Data) -> list[E]:
        if wire.says_done(data):
            self.done = self.spoken > 0
            return []
        try:
            return self._read_events(name, data)
        except APIError as error:
            if not self.finished:
                raise
            # The answer is whole and paid for.
            note(self.meta, f"behind the end of the stream stands what is none of it: {printable(error.message, 200)}")
            self.done = True
            return []

    def _read_events(self, name: str | None, data: sse.Data) -> list[E]:
        if name is None and (found := wire.chunk_of_line(data)) is not None:
            name, data = "", found  # A chunk whose "data:" is missing or damaged is one all the same.
        if name is None:
            check_stray(bytes(data), self.meta)
            return []
        if name == "error":
            raise wire.error_event(data, self.meta)
        read = self._read(name, data, self.meta) if bytes(data[:64]).strip() else None
        events = cast("list[E]", read) if isinstance(read, list) else [] if read is None else [read]
        if not events or not (self._says is None or any(map(self._says, events))):
            self._unread = data
        return events


def decoded(meta: Meta, decode: Callable[..., list[sse.Event]], *piece: bytes) -> list[sse.Event]:
    """Have a stream's decoder feed on bytes, or flush.

    Raises:
        UnexpectedResponseError: A line or an event is too long.
    """
    try:
        return decode(*piece)
    except sse.EventTooLargeError as error:
        raise wire.unexpected(f"a stream in which {error}", b"", meta) from None


def check_stray(line: bytes, meta: Meta) -> None:
    """Look at a line that is no field of an event stream: relays write bare errors into streams.

    Raises:
        APIError: It is an error.
        UnexpectedResponseError: It is text, not a field of some later standard.
    """
    if line.lstrip()[:1] in {b"{", b"[", b"<"}:
        raise wire.error_of_answer(line, meta) or wire.unexpected("a line that is no event", line, meta)
    name, colon, _ = line.partition(b":")
    if not colon or b" " in name:
        raise wire.unexpected("a line that is no event", line, meta)


class EventStream(Stream[E]):
    """A streamed answer of typed events: iterate over it. Everything of ``Stream`` holds."""

    @classmethod
    async def begin(cls, reply: Reply, reader: EventReader[E]) -> EventStream[E]:
        """Read as far as the first event, so that what fails before it can still be tried again."""
        return cls(reply, reader, await begin_reading(reply, reader))
