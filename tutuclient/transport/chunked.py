"""HTTP chunks, taken apart a whole read at a time.

aiohttp's parser calls into Python three times for each chunk, and streams have
hundreds of them in one read of the socket. This room does the plain ones only:
a size of up to four hexadecimal digits, so many bytes, the line break. Whatever
else comes (the last chunk, a trailer, an extension, a large chunk, nonsense) is
left to aiohttp's parser, which can go on at the beginning of any chunk.

Source: RFC 9112, section 7.1.
"""

from __future__ import annotations

import re
from typing import Final

LAST_CHUNK: Final = b"0\r\n\r\n"
"""The last chunk and the end of the body, without a trailer."""

_LINE: Final = re.compile(rb"\r\n([1-9A-Fa-f][0-9A-Fa-f]{0,3})\r\n")
_LINE_BEGUN: Final = re.compile(rb"\r?|\r\n[0-9A-Fa-f]{0,4}\r?")
_TWO_DIGITS: Final = 6
_THREE_DIGITS: Final = 7
_sizes: dict[bytes, int] = {}
"""Lines of up to three digits that have been read: looking one up costs a fraction of reading it."""


class Chunks:
    """Takes a chunked body apart, for as long as it is plain.

    Attributes:
        handed_over: Something came that is not plain: aiohttp's parser has to read on.
    """

    __slots__ = ("_begun", "_width", "handed_over")

    def __init__(self) -> None:
        # A chunk is read together with the line break before it, so that one look at both is enough.
        self._begun = b"\r\n"
        self._width = _THREE_DIGITS
        self.handed_over: bool = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take the next bytes, cut anywhere.

        Returns:
            The contents of the chunks that are whole now, joined; and what is for another parser, from the
            beginning of a chunk, which is b"" unless ``handed_over``.
        """
        data = self._begun + data
        whole: list[bytes] = []
        width, at, end = self._width, 0, len(data)
        while True:
            size = _sizes.get(data[at : at + width])
            if size is None:
                width, size = _size_at(data, at)
                if not size:
                    self.handed_over = _LINE_BEGUN.fullmatch(data, at) is None
                    break
            begin = at + width
            stop = begin + size
            if stop > end:
                break
            whole.append(data[begin:stop])
            at = stop
        self._width = width or _THREE_DIGITS
        self._begun = data[at:]
        return b"".join(whole), self.hand_over() if self.handed_over else b""

    def hand_over(self) -> bytes:
        """Take no more, and give what has come of a chunk that is not whole."""
        self.handed_over = True
        begun, self._begun = self._begun, b""
        if begun[:1] == b"\n":  # The parser lets that pass for a line break.
            return begun[1:]
        # What stands where a line break belongs must not be taken for a size.
        return begun[2:] if begun[:2] == b"\r\n"[: len(begun)] else b"?" + begun


def _size_at(data: bytes, at: int) -> tuple[int, int]:
    """Give the length of the line that stands there, and the size it says; 0 twice when it is none, or not whole."""
    width = _TWO_DIGITS if data[at : at + _TWO_DIGITS] in _sizes else _THREE_DIGITS
    size = _sizes.get(data[at : at + width])
    if size is not None:
        return width, size
    line = _LINE.match(data, at)
    if line is None:
        return 0, 0
    width, size = len(line[0]), int(line[1], 16)
    if width <= _THREE_DIGITS:
        _sizes[line[0]] = size
    return width, size
