r"""The decoder of ``text/event-stream``: bytes to events.

It knows neither JSON nor ``[DONE]``. It follows the WHATWG standard wherever the
bytes are cut, with two additions that relays need: an event without its blank
line is not lost at the end (``flush``), and a line that is not a field of the
standard is reported instead of ignored, since relays write bare JSON errors into
streams (WIRE.md 3.1 and 3.5).

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from itertools import repeat
from operator import contains
from typing import TypeAlias

Data: TypeAlias = bytes | bytearray | memoryview
Event: TypeAlias = tuple[str | None, Data]
"""The event's type ("" when the stream names none) and its data; a type of None marks a line that is not a field."""

_BOM = b"\xef\xbb\xbf"
# CPython searches bytes for an int by memchr, which takes a tenth of the time of searching for bytes.
_CR = ord("\r")
_LF = ord("\n")
# The fields of the standard that may stand on a line without a colon, and how no field of a later one will begin.
_FIELDS = frozenset({b"event", b"id", b"retry"})
_NOT_FIELDS = frozenset({b"{", b"[", b"<", b'"'})
# So many lines of one event are kept apart before they are joined.
_MOST_LINES = 1000
# Around a line of JSON: white space, the comma of an array, the record separator of RFC 7464.
_AROUND = b" \t\r\n\v\f\x1e,"
# A line that is longer is not copied any more when it grows.
_LONG = 2**16


class EventTooLargeError(ValueError):
    """A line or an event is longer than the decoder's limit."""


class Decoder:
    """Decodes one stream.

    A line is searched for its end only once, so the work is linear in the bytes
    wherever they are cut; a long line grows in one buffer and is handed on without
    a copy. aiohttp's ``StreamReader.readline`` raises beyond 128 or 512 KiB, and an
    image in one line has megabytes (WIRE.md 3.2).

    Args:
        max_bytes: The longest line, and the longest event, to hold.

    Attributes:
        last_event_id: The last ``id`` the stream gave, or "".
        retry_ms: The last ``retry`` the stream gave, in milliseconds, or None.
    """

    __slots__ = ("_after_cr", "_data", "_event", "_head", "_size", "_tail", "last_event_id", "max_bytes", "retry_ms")

    def __init__(self, max_bytes: int = 64 * 2**20) -> None:
        self.max_bytes: int = max_bytes
        self.last_event_id: str = ""
        self.retry_ms: int | None = None
        self._tail: bytes | bytearray = b""
        self._head: bytes | None = b""
        self._after_cr = False
        self._event = ""
        self._data: list[Data] = []
        self._size = 0

    @property
    def buffered(self) -> int:
        """The number of bytes held of a line or an event whose end has not come."""
        return len(self._tail) + self._size

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that the next bytes complete, wherever they are cut.

        Raises:
            EventTooLargeError: A line or an event is over ``max_bytes``.
        """
        plain = self.feed_plain(piece)
        return [("", data) for data in plain] if plain else self.feed_lines(piece)

    def feed_plain(self, piece: bytes) -> list[bytes]:
        """Read the next bytes if they are nothing but events of one line of data, as nearly every read of a stream is.

        One ``split`` takes half the time of going line by line.

        Returns:
            The events' data; [], having changed nothing, when there is more to the bytes.
        """
        tail = self._tail
        if self._head or self._after_cr or _CR in piece or self._data or self._event:
            return []
        # A piece shorter than the tail would have the tail read again and again.
        if type(tail) is not bytes or len(tail) > min(len(piece), _LONG):
            return []
        text = tail + piece
        if text[:6] != b"data: " or len(text) > self.max_bytes:
            return []
        whole = text.split(b"\n\ndata: ")
        whole[0] = whole[0][6:]
        last = whole.pop()
        rest = b"data: " + last
        if last[-2:] == b"\n\n":
            whole.append(last[:-2])
            rest = last = b""
        if not whole or _LF in last or any(map(contains, whole, repeat(_LF))):
            return []
        self._tail, self._head = rest, None
        return whole

    def feed_lines(self, piece: bytes) -> list[Event]:
        """Return the events that the next bytes complete, read line by line; as ``feed`` does."""
        if self._head is not None or self._after_cr or _CR in piece:
            piece = self._cleaned(piece)
        tail = self._tail
        if tail:
            end = piece.find(b"\n")
            if end < 0:
                if len(tail) + len(piece) > self.max_bytes:
                    raise EventTooLargeError(f"a line is over {self.max_bytes:,} bytes long")
                if type(tail) is not bytearray:
                    tail = bytearray(tail)
                tail += piece
                self._tail = tail
                return []
            tail = tail + piece[:end] if len(tail) + end < _LONG else _grown(tail, piece, end)
            # A copy of a long line would cost its size again.
            lines: list[Data] = [tail if len(tail) < _LONG else memoryview(tail)]
            lines += piece[end + 1 :].split(b"\n")
        else:
            lines = piece.split(b"\n")  # type: ignore[assignment]  # list is invariant
        self._tail = lines.pop()  # type: ignore[assignment]  # what split() made is bytes
        return self._read(lines)

    def flush(self) -> list[Event]:
        """Return what is left at the end of the stream: a last line, or an event without its blank line.

        The standard discards it; relays forget the blank line, above all behind ``[DONE]`` (WIRE.md 3.1).
        """
        if self._head:
            self._tail, self._head = self._head, None
        lines: list[Data] = [self._tail, b""] if self._tail else [b""]
        self._tail = b""
        return self._read(lines)

    def _cleaned(self, piece: bytes) -> bytes:
        """Remove a BOM from the stream's beginning, and replace all line ends by LF."""
        if self._head is not None:
            piece = self._head + piece
            if len(piece) < len(_BOM) and _BOM.startswith(piece):
                self._head = piece
                return b""
            self._head = None
            piece = piece.removeprefix(_BOM)
        if self._after_cr and piece:
            self._after_cr = False
            piece = piece.removeprefix(b"\n")
        if _CR in piece:
            self._after_cr = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return piece

    def _read(self, lines: list[Data]) -> list[Event]:
        events: list[Event] = []
        data, limit = self._data, self.max_bytes
        value: Data | None = data.pop() if data else None
        for line in lines:
            if line[:6] == b"data: ":
                new = line[6:]
            elif line[:5] == b"data:" or line == b"data":
                new = line[5:]
            elif not line or _is_stray(line):  # Before bare words or JSON an event has ended, too.
                if value is not None:
                    events.append((self._event, b"\n".join((*data, value)) if data else value))
                    data.clear()
                    value, self._size = None, 0
                self._event = ""
                events += [(None, bytes(line))] if line else []
                continue
            else:
                if line[:1] != b":":
                    self._field(bytes(line), events)
                continue
            if value is not None:
                data.append(value)
                self._size += len(value) + 1  # With the line break that joins it to the next.
            value = new
            if self._size + len(new) + 1 > limit:
                raise EventTooLargeError(f"an event is over {limit:,} bytes long")
        if value is not None:
            self._keep(value)
        return events

    def _keep(self, value: Data) -> None:
        """Keep a line of an event that is not complete; each costs some 40 bytes more than it is long."""
        if len(self._data) > _MOST_LINES:
            self._data[:] = [_joined(self._data)]
        self._data.append(value)

    def _field(self, line: bytes, events: list[Event]) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self.last_event_id = value.decode("utf-8", "replace")
        elif name == b"retry":
            if value.isdigit() and len(value) < 10:  # noqa: PLR2004  (ten digits of milliseconds are months)
                self.retry_ms = int(value)
        else:
            events.append((None, line))


class Lines:
    """Decodes lines of JSON, which some relays send in place of an event stream. Used as a ``Decoder`` is."""

    __slots__ = ("_tail", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes: int = max_bytes
        self._tail = bytearray()

    @property
    def buffered(self) -> int:
        """The number of bytes held of a line whose end has not come."""
        return len(self._tail)

    def feed_plain(self, piece: bytes) -> list[bytes]:  # noqa: ARG002  (a Decoder's argument)
        """Return []: there is no faster way than line by line."""
        return []

    def feed_lines(self, piece: bytes) -> list[Event]:
        """Return the lines that the next bytes complete, wherever they are cut, as events.

        Raises:
            EventTooLargeError: A line is over ``max_bytes``.
        """
        if b"\n" not in piece:
            self._tail += piece
            lines: list[bytes] = []
        else:
            *lines, tail = piece.split(b"\n")
            lines[0] = bytes(self._tail) + lines[0]
            self._tail = bytearray(tail)
        if max(len(self._tail), *map(len, lines), 0) > self.max_bytes:
            raise EventTooLargeError(f"a line is over {self.max_bytes:,} bytes long")
        return [("", line.removeprefix(b"data:")) for each in lines if (line := each.strip(_AROUND))]

    def flush(self) -> list[Event]:
        """Return what is left at the end: a last line without its end."""
        return self.feed_lines(b"\n")


def _is_stray(line: Data) -> bool:
    """Return whether a line is neither a comment nor a field, of this standard or a later one."""
    name, colon, _ = bytes(line[:64]).partition(b":")
    return name[:1] in _NOT_FIELDS or b" " in name or not (colon or name in _FIELDS)


def _joined(lines: list[Data]) -> bytearray:
    """Join lines, growing the first one in place when they were joined before."""
    first, *others = lines
    joined = first if type(first) is bytearray else bytearray(first)
    joined += b"\n"
    joined += b"\n".join(others)
    return joined


def _grown(tail: bytes | bytearray, piece: bytes, end: int) -> bytearray:
    grown = tail if type(tail) is bytearray else bytearray(tail)
    grown += memoryview(piece)[:end]
    return grown
