"""Readers of event streams: what chats and typed events share, and the streams of typed events.

A reader turns bytes into items and does no I/O, so it can be tested with any cut of the bytes. Its base handles what is
the same everywhere: lines and limits, ``[DONE]``, errors in place of events, several values in one event, streams that
are written as JSON, and an end that comes too early. An endpoint parses one event, and knows which one is the last.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from tutuclient import wire
from tutuclient._meta import note
from tutuclient.errors import APIError, IncompleteStreamError, UnexpectedResponseError, printable
from tutuclient.streams.reading import Stream
from tutuclient.types.chat import fuller
from tutuclient.wire import sse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tutuclient._meta import Meta
    from tutuclient.transport.reply import Reply

E = TypeVar("E")

# Bytes of a whole body that are decoded at once: the lines of all of it at once would cost several times its size.
_STEP = 64 * 2**10
# So many items without content are held back before a stream is handed over: until then the call can be tried again.
_MOST_EMPTY = 1000


class BaseEventReader(ABC, Generic[E]):
    """Reads the items of one streamed answer from its bytes.

    Args:
        meta: How the call went.
        max_bytes: The longest line and the longest event to accept; a whole stream may be half as large again.

    Attributes:
        meta: How the call went.
        done: ``[DONE]`` or the last event has come; nothing behind it is read.
    """

    def __init__(self, meta: Meta, max_bytes: int) -> None:
        self.meta: Meta = meta
        self.done: bool = False
        self._decoder: sse.Decoder | sse.Lines = sse.Decoder(max_bytes)
        # Room for the JSON around an answer that is as large as it may be, or for 400,000 pieces of text.
        self._most = self._left = max_bytes + max_bytes // 2
        # The last event without content: it is the only clue when a stream ends and nothing else has come.
        self._unread: sse.Data = b""

    @property
    @abstractmethod
    def progress(self) -> int:
        """A number that is 0 at first, and grows with every item that carries something of the answer."""

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the answer is complete, however the bytes end."""

    @property
    @abstractmethod
    def usage(self) -> Any:
        """The usage that the relay has reported so far, or None."""

    @property
    def partial(self) -> Any:
        """The answer as far as it has come; None when nothing has, or when items are not kept."""
        return None

    @abstractmethod
    def check_complete(self, *, strict: bool) -> None:
        """Raise when the bytes have ended and the answer is not complete.

        Args:
            strict: ``[DONE]`` alone does not complete an answer: relays also write it after a timeout or a cut of
                their own (WIRE.md 3.1).

        Raises:
            IncompleteStreamError: The stream ended before the answer was complete.
        """

    @abstractmethod
    def _parse(self, name: str, data: sse.Data) -> Iterable[E]:
        """Parse one event that is neither blank nor an error event.

        Raises:
            APIError: It is an error, or not an event of this endpoint.
        """

    @abstractmethod
    def read_whole(self, data: sse.Data) -> Iterable[E]:
        """Read a whole answer that came in place of a stream: not every relay forwards streams (WIRE.md 3.4).

        A body that has the events of a stream, written as JSON, is read as one.

        Raises:
            APIError: It is an error, or not an answer of this endpoint.
        """

    @property
    def buffered(self) -> int:
        """The number of bytes held of a line or an event whose end has not come."""
        return self._decoder.buffered

    def feed(self, piece: bytes) -> Iterator[E]:
        """Read the items that the next bytes complete.

        Raises:
            APIError: The relay sent an error, or something that is not an event of this endpoint.
            UnexpectedResponseError: A line, an event or the whole stream is too long.
        """
        # Nearly every read holds whole events of one unnamed "data:" line each: for those the decoder keeps no state.
        plain = self._decoder.feed_plain(piece)
        events: list[sse.Event] = []
        try:
            if not plain:
                events = self._decoded(self._decoder.feed_lines, piece)
            self._left -= len(piece)
            if self._left < 0:
                raise wire.too_large("a stream", self._most, self.meta)
        except UnexpectedResponseError:
            if not self.finished:
                raise
            self.done = True  # The answer is complete; what follows without end is not part of it.
        return self._read_unnamed(plain) if plain else self._read_events(events)

    def end(self) -> Iterator[E]:
        """Read what is left when the bytes have ended: a last event may lack its blank line (WIRE.md 3.1).

        Raises:
            APIError: As ``feed``; an ``IncompleteStreamError`` when the bytes ended within an event.
        """
        events = self._decoded(self._decoder.flush)
        try:
            yield from self._read_events(events)
        except UnexpectedResponseError as error:
            if not self.finished:
                raise self._torn(error) from None

    def read_all(self, data: bytes | bytearray) -> Iterator[E]:
        """Read an event stream whose bytes are all there.

        Raises:
            APIError: As ``feed``, ``end`` and ``check_complete`` do, with ``partial``.
        """
        steps = (bytes(data[at : at + _STEP]) for at in range(0, len(data), _STEP))
        return self._with_partial(chain(chain.from_iterable(map(self.feed, steps)), self.end()))

    def read_as_lines(self, first: bytes) -> bool:
        """Switch to lines of JSON if a body that is not an event stream begins with a chunk; return whether it does.

        Some relays write chunks as NDJSON, or as the lines of an array (langchainjs PR 3241, chatbot-ui PR 1378).
        """
        line, end, _ = first.partition(b"\n")
        if not end or not wire.is_first_chunk(line, self.meta):
            return False
        self._decoder = sse.Lines(self._decoder.max_bytes)
        return True

    def read_values(self, values: list[bytes]) -> Iterable[E]:
        """Read the events of a stream that is written as JSON values in place of event-stream lines.

        Raises:
            APIError: As ``feed`` does, and when none of them carries content.
        """
        items, early = self._with_partial(self._read_each(values)), list[E]()
        for item in items:
            early.append(item)
            if self.progress:
                return chain(early, items)
        return early

    def _read_each(self, values: list[bytes]) -> Iterator[E]:
        *others, last = values
        for value in others:
            yield from self._read_event("", value)
        try:
            yield from self._read_event("", last)
        except UnexpectedResponseError as error:
            raise self._torn(error) from None

    def _with_partial(self, items: Iterable[E]) -> Iterator[E]:
        """Pass on the items of an answer whose bytes have all come, and check that it is complete.

        Errors get what came before them. While a stream is read piece by piece, ``Stream`` adds that.
        """
        try:
            yield from items
            self.check_complete(strict=False)
        except APIError as error:
            error.with_partial(self.partial)
            raise

    def _decoded(self, decode: Callable[..., list[sse.Event]], *piece: bytes) -> list[sse.Event]:
        try:
            return decode(*piece)
        except sse.EventTooLargeError as error:
            raise wire.unexpected(f"a stream in which {error}", b"", self.meta) from None

    def _read_events(self, events: list[sse.Event]) -> Iterator[E]:
        # Unnamed events that follow each other are read in one loop: for chats that is the fast one.
        for name, alike in groupby(events, operator.itemgetter(0)):
            parts = [data for _, data in alike]
            if name == "":
                yield from self._read_unnamed(parts)
            else:
                for data in parts:
                    yield from self._read_event(name, data)

    def _read_unnamed(self, events: Iterable[sse.Data]) -> Iterator[E]:
        """Read events without a name, as nearly all are."""
        for data in events:
            yield from self._read_event("", data)

    def _read_event(self, name: str | None, data: sse.Data) -> Iterator[E]:
        """Read one event of the decoder; several values may have been run together in it.

        Args:
            name: The event's name, "" for none; None marks a line that is not a field of an event stream.
            data: Its data, or the line.
        """
        if self.done:
            return
        # It may have spaces before it, and more bytes behind it that are none of the answer's (WIRE.md 3.1).
        if wire.is_done_mark(data):
            self.done = True
            return
        try:
            wire.check_count(data, self.meta)
            if name is None:
                found = wire.chunk_of_line(data)
                if found is None:
                    self._check_stray(bytes(data))
                    return
                name, data = "", found  # A chunk whose "data:" is missing or damaged is a chunk all the same.
            # Values run together lack the blank line between events, or the line break (WIRE.md 3.1).
            values = wire.split_values(data, self.meta)
            items = self._parse_one(name, data) if len(values) <= 1 else ()
        except APIError as error:
            self._pass_over(error)
            return
        yield from items
        if len(values) > 1:
            for value in values:
                yield from self._read_event(name, value)

    def _parse_one(self, name: str, data: sse.Data) -> Iterable[E]:
        if name == "error":
            # Claude-style and image streams name their errors so, and the object within may lack an "error" key
            # (WIRE.md 3.5).
            raise wire.error_event(data, self.meta)
        blank = not bytes(data[:64]).strip() and not bytes(data).strip()
        # Servers send empty data lines to keep a connection open (WIRE.md 3.1).
        return () if blank else self._parse(name, data)

    def _pass_over(self, error: APIError) -> None:
        """Raise the error of an event, unless the answer is complete: then it costs nothing of it."""
        if self.progress:
            error.with_details(outcome="unknown")  # Whatever it says, the model has begun to work.
        if not self.finished:
            raise error

    def _check_stray(self, line: bytes) -> None:
        """Check a line that is not a field of an event stream.

        new-api writes bare JSON errors into a stream when the upstream fails after a ping (WIRE.md 3.5).

        Raises:
            APIError: It is an error.
            UnexpectedResponseError: It is text, not a field of some later standard.
        """
        if line.lstrip()[:1] in {b"{", b"[", b"<"}:
            raise wire.error_of_answer(line, self.meta) or wire.unexpected(
                "a line that is not an event", line, self.meta
            )
        name, colon, _ = line.partition(b":")
        if not colon or b" " in name:
            raise wire.unexpected("a line that is not an event", line, self.meta)

    def _torn(self, error: UnexpectedResponseError) -> APIError:
        """Return the error of bytes that ended within an event, which could not be parsed."""
        if not self.progress:
            return error
        return self._incomplete(f"the stream ended within an event ({error.message}); what came is in .partial")

    def _incomplete(self, message: str) -> APIError:
        """Return the error of a stream that ended early; when nothing had come, with the last event passed over."""
        if not self.progress:
            return wire.error_of_empty_stream(
                "the stream ended without a single event that has content", self._unread, self.meta
            )
        return IncompleteStreamError(message, request_id=self.meta.request_id)


class EventReader(BaseEventReader[E]):
    """Reads typed events.

    Args:
        meta: How the call went.
        read: Parses one event of its name ("" for none) and its data, into a struct, None for an event that carries
            nothing, or a list where one event reports several. Raises an ``APIError`` for an error object, and for what
            is not an event of this endpoint.
        is_last: Returns whether the answer is complete with this event.
        read_whole: Makes events of a whole answer that came although a stream was asked for.
        max_bytes: The longest event to accept; a whole stream may be half as large again.
        more_after_last: More may follow the last event: a usage, another image.
        eof_completes: There is no last event: the answer is complete when HTTP says that the body is.
        done_completes: ``[DONE]`` completes the answer even without the last event.
        has_content: Returns whether an event carries something of the answer; None when all do.
    """

    def __init__(
        self,
        meta: Meta,
        *,
        read: Callable[[str, sse.Data, Meta], E | list[E] | None],
        is_last: Callable[[E], bool],
        read_whole: Callable[[bytes, Meta], Iterable[E]],
        max_bytes: int,
        more_after_last: bool = False,
        eof_completes: bool = False,
        done_completes: bool = True,
        has_content: Callable[[E], bool] | None = None,
    ) -> None:
        super().__init__(meta, max_bytes)
        self._read = read
        self._is_last = is_last
        self._make_events = read_whole
        self._more_after_last = more_after_last
        self._eof_completes = eof_completes
        self._done_completes = done_completes
        self._has_content = has_content
        self._progress = 0
        self._finished = False
        self._usage: Any = None

    @property
    def progress(self) -> int:
        """The number of events that carry something of the answer."""
        return self._progress

    @property
    def finished(self) -> bool:
        """Whether the last event has come, or a whole answer."""
        return self._finished

    @property
    def usage(self) -> Any:
        """The usage of the last event that reports one."""
        return self._usage

    def check_complete(self, *, strict: bool) -> None:
        """Raise when the stream has ended and its last event has not come; see ``BaseEventReader``."""
        if self._eof_completes and self.progress:
            return
        if self.finished or (self._done_completes and self.done and self.progress and not strict):
            return
        raise self._incomplete("the stream ended early: its last event did not come")

    def _parse(self, name: str, data: sse.Data) -> list[E]:
        read = self._read(name, data, self.meta)
        events = cast("list[E]", read) if isinstance(read, list) else [] if read is None else [read]
        content = len(events) if self._has_content is None else sum(map(self._has_content, events))
        if not content:
            self._unread = data
        self._progress += content
        for event in events:
            self._note_usage(event)
            # ``_is_last`` is asked for every event, as it may have to count them.
            self._finished = self._is_last(event) or self._finished
        self.done = self._finished and not self._more_after_last
        return events

    def read_whole(self, data: sse.Data) -> Iterable[E]:
        """Read a whole answer; see ``BaseEventReader``."""
        # The events of a stream, written as an array or one after the other.
        if values := wire.split_json_stream(data, self.meta):
            return self.read_values(values)
        events = list(self._make_events(bytes(data), self.meta))
        for event in events:
            self._note_usage(event)
        self.done = self._finished = True
        return events

    def _note_usage(self, event: E) -> None:
        self._usage = fuller(self._usage, getattr(event, "usage", None))

    def _pass_over(self, error: APIError) -> None:
        super()._pass_over(error)
        note(self.meta, f"an event after the last one was ignored: {printable(error.message, 200)}")
        self.done = True

    def _torn(self, error: UnexpectedResponseError) -> APIError:
        return self._incomplete(f"the stream ended within an event ({error.message})")


def stream_in(data: bytes | bytearray, content_type: str, reader: BaseEventReader[E]) -> Iterator[E] | None:
    """Read the event stream that came where a whole answer was asked for; None when the body is not a stream.

    new-api switches to a stream whenever its upstream does (WIRE.md 3.4).
    """
    return reader.read_all(data) if wire.is_event_stream(bytes(data[:64]), content_type) else None


async def begin_reading(reply: Reply, reader: BaseEventReader[E]) -> Iterator[E]:
    """Read as far as the first content, so that a call that fails before it can still be tried again.

    Returns the items that have come. The reply is the stream's to close from here on.
    """
    piece = await reply.piece()
    while piece.isspace():  # Blank lines keep a connection open, and do not tell what will come.
        piece = await reply.piece()
    # An empty body under this header is a stream that has been cut; under any other it is not an answer.
    plain = piece[:6] == b"data: " or wire.is_event_stream(piece, reply.content_type)
    if plain or reader.read_as_lines(piece) or (not piece and "event-stream" in reply.content_type):
        pending = await _read_until_content(reply, reader, piece)
    else:
        pending = reply.watched(reader, iter(reader.read_whole(await reply.read(piece))))
    reply.limits.ease()
    # From here on any task may read, at any time: a limit that passes fails the stream and cancels nobody.
    reply.limits.hand_over(reply.fail)
    return pending


async def _read_until_content(reply: Reply, reader: BaseEventReader[E], piece: bytes) -> Iterator[E]:
    early: list[E] = []
    while True:
        items = reply.watched(reader, reader.feed(piece) if piece else reader.end())
        for item in items:
            early.append(item)
            if reader.progress or len(early) > _MOST_EMPTY:
                return chain(early, items)
        if reader.done or not piece:
            # [DONE] alone completes nothing: new-api writes it for an upstream that did not stream (WIRE.md 3.4).
            reader.check_complete(strict=True)
        piece = await reply.piece()


class EventStream(Stream[E]):
    """A streamed answer of typed events: iterate over it. Everything of ``Stream`` holds."""

    @classmethod
    async def begin(cls, reply: Reply, reader: EventReader[E]) -> EventStream[E]:
        """Read as far as the first event, so that a call that fails before it can still be tried again."""
        return cls(reply, reader, await begin_reading(reply, reader))
