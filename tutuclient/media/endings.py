"""Whether the file of an image is complete, by what its format says of its end.

An image that was cut off still begins like a whole one, and ``Content-Length`` may
count only what was sent. Each format marks its end, by a last chunk, a last marker,
or sizes in its headers; ``Ending`` follows those through the bytes as they come.
What follows the end of an image does not count: files with notes, videos or zeros
there are whole.

No pixel is decoded, and only headers are kept, so that megabytes take some
milliseconds. Each format is a generator (a walk), since headers may be split
anywhere between two pieces.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Walk: TypeAlias = "Generator[int | re.Pattern[bytes] | None, bytes, None]"
    # What a walk yields is what it needs next: n for that many bytes, -n to skip that many, a pattern to search for (it
    # is sent what matches), or None to skip the data blocks of a GIF. It returns where the image ends.

_NEVER = -(2**63)  # skips all that comes: what cannot be an image of this format never becomes whole
_KEPT = 2**20  # the most bytes of a directory that are kept; a larger one is skipped
_MOST_PAGES = 1000  # of a TIFF, whose directories may form a ring
_MOST_ENTRIES = 2**16  # of a directory of a TIFF

# A marker behind a JPEG's entropy-coded data: no stuffed 0xFF, no restart, no filling.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_NOT_ZERO = re.compile(rb"[^\x00]")
_GIF_BLOCK = re.compile(rb"[!,;]")
_LETTERS = re.compile(rb"[A-Za-z]{4}")
_BOX_TYPE = re.compile(rb"[A-Za-z0-9 _\xa9-]{4}")


class Ending:
    """Follows the bytes of an image to its end.

    Args:
        mime: Its media type by its first bytes, such as ``image/png``. An unknown type is always whole.

    Attributes:
        size_bytes: How many bytes have come.
        needed: How many bytes the headers ask for at least.
        may_end: The image may end here, and something may follow that belongs to it.
    """

    __slots__ = ("_in_blocks", "_kept", "_passing", "_pattern", "_walk", "_wanted", "may_end", "needed", "size_bytes")

    def __init__(self, mime: str) -> None:
        self.size_bytes: int = 0
        self.needed: int = 0
        self.may_end: bool = False
        self._kept = bytearray()
        self._passing = self._wanted = 0
        self._pattern: re.Pattern[bytes] | None = None
        self._in_blocks = False
        walk = _WALKS.get(mime)
        self._walk: Walk | None = None if walk is None else walk(self)
        if self._walk is not None:
            self._ask(next(self._walk))

    @property
    def is_whole(self) -> bool:
        """Return whether the image is whole if nothing more comes."""
        ends = self._walk is None or (self.may_end and not any(self._kept))
        return ends and self.size_bytes >= self.needed

    def feed(self, piece: bytes) -> None:
        """Follow the next piece, in time linear in its length."""
        at = 0
        length = len(piece)
        self.size_bytes += length
        while self._walk is not None and at < length:
            if self._passing:
                passed = min(self._passing, length - at)
                self._passing -= passed
                at += passed
                if not self._passing and not self._in_blocks:
                    self._send(b"")
            elif self._wanted:
                taken = piece[at : at + self._wanted - len(self._kept)]
                self._kept += taken
                at += len(taken)
                if len(self._kept) == self._wanted:
                    self._send(self._taken())
            elif self._pattern is not None:
                at = self._search(self._pattern, piece, at)
            else:
                at = self._pass_blocks(piece, at)

    def _search(self, pattern: re.Pattern[bytes], piece: bytes, at: int) -> int:
        before = self._taken()  # at most one byte, with which the pattern may begin
        text, start = (before + piece[at:], 0) if before else (piece, at)
        found = pattern.search(text, start)
        if found is None:
            self._kept += text[max(start, len(text) - 1) :]
            return len(piece)
        at += found.end() - start - len(before)
        self._send(found[0])
        return at

    def _pass_blocks(self, piece: bytes, at: int) -> int:
        """Skip a GIF's blocks of data: a byte with the length of each, the last one being empty."""
        length = len(piece)
        while at < length:
            size = piece[at]
            at += 1 + size
            if size == 0:
                self._send(b"")
                return at
        self._passing = at - length
        return length

    def _taken(self) -> bytes:
        taken = bytes(self._kept)
        self._kept.clear()
        return taken

    def _send(self, sent: bytes) -> None:
        """Send the walk what it asked for, and note what it asks for next."""
        walk = self._walk
        if walk is None:
            return
        try:
            asked = walk.send(sent)
            while asked == 0:
                asked = walk.send(b"")
        except StopIteration:
            self._walk = None
            return
        self._ask(asked)

    def _ask(self, asked: int | re.Pattern[bytes] | None) -> None:
        self._passing = self._wanted = 0
        self._pattern, self._in_blocks = None, asked is None
        if isinstance(asked, int):
            self._passing, self._wanted = max(-asked, 0), max(asked, 0)
        else:
            self._pattern = asked


def _png(_: Ending) -> Walk:
    """Source: W3C, PNG (Third Edition), section 5.3. The chunks of an animated one stand before IEND too."""
    yield -8
    while True:
        length, kind = struct.unpack(">I4s", (yield 8))
        if not _LETTERS.fullmatch(kind):
            yield _NEVER
        if kind == b"IEND" and length == 0:
            if (yield 4) == b"\xaeB`\x82":  # the checksum of nothing but its name
                return
            yield _NEVER
        yield -(length + 4)


def _jpeg(ending: Ending) -> Walk:
    """Source: ITU-T T.81, annex B; CIPA DC-007 for the further images behind the first.

    A thumbnail is inside a segment, which is skipped as a whole.
    """
    yield -2
    while True:
        yield from _one_jpeg()
        ending.may_end = True
        for expected in (b"\xff", b"\xd8", b"\xff"):
            # Cameras fill up with zeros to where the next image begins.
            if ((yield _NOT_ZERO) if expected == b"\xff" else (yield 1)) != expected:
                return
        ending.may_end = False
        yield from _jpeg_segment((yield 1))


def _one_jpeg() -> Walk:
    """Walk from behind the start of an image to its end."""
    scanned = False
    while True:
        kind = (yield _MARKER)[1:]
        if kind == b"\xd9" and scanned:
            return
        scanned = scanned or kind == b"\xda"
        yield from _jpeg_segment(kind)


def _jpeg_segment(kind: bytes) -> Walk:
    if not b"\xd0" <= kind <= b"\xd9" and kind != b"\x01":
        yield -max(int.from_bytes((yield 2), "big") - 2, 0)


def _gif(_: Ending) -> Walk:
    """Source: GIF89a, section 7 and appendix A. Bytes between blocks are skipped, as decoders do."""
    yield from _color_table((yield 13)[10])
    while True:
        block = yield _GIF_BLOCK
        if block == b";":
            return
        if block == b",":
            yield from _color_table((yield 9)[8])
        yield -1  # the size of the codes, or the label of an extension
        yield None


def _color_table(flags: int) -> Walk:
    if flags & 0x80:
        yield -3 * 2 ** ((flags & 7) + 1)


def _webp(_: Ending) -> Walk:
    """Source: WebP Container Specification, RFC 9649, section 2. The last chunk's filling may be missing."""
    left = int.from_bytes((yield 12)[4:8], "little") - 4
    while True:
        length = int.from_bytes((yield 8)[4:], "little")
        yield -length
        left -= 8 + length + length % 2
        if left < 8:  # noqa: PLR2004  (no room for a chunk)
            return
        yield -(length % 2)


def _bmp(ending: Ending) -> Walk:
    """Use the size of the pixels, since the field with the size of the file is often wrong.

    Source: Microsoft, BITMAPFILEHEADER and BITMAPV5HEADER.
    """
    start = yield 18
    declared, offset, length = (int.from_bytes(start[at : at + 4], "little") for at in (2, 10, 14))
    compression = packed = 0
    if length == 12:  # noqa: PLR2004  (OS/2 1.x)
        width, height, _, bits = struct.unpack("<HHHH", (yield 8))
    else:
        head = (yield length - 4).ljust(36, b"\0")
        width, height, _, bits, compression, packed = struct.unpack("<iiHHII", head[:20])
    if compression in {0, 3, 6} and not (length == 64 and compression == 3):  # noqa: PLR2004  (OS/2 2.x: Huffman)
        row = (width * bits + 7) // 8
        full = offset + (row + 3) // 4 * 4 * abs(height)
        ending.needed = declared if full - 3 <= declared < full else full  # The filling of the last row may be missing.
    else:
        ending.needed = offset + packed if packed else declared


def _icon(ending: Ending) -> Walk:
    """Source: Microsoft, ICONDIRENTRY."""
    count = int.from_bytes((yield 6)[4:], "little")
    entries = struct.iter_unpack("<8xII", (yield 16 * count))
    ending.needed = max((size + offset for size, offset in entries), default=0)


def _tiff(ending: Ending) -> Walk:
    """Source: TIFF 6.0, section 2; BigTIFF. What stands before the directory that tells of it has come already."""
    head = yield 8
    order = "<" if head.startswith(b"II") else ">"
    position, room, counted, entry, offset, first = 8, 4, "H", "HHI4s", "I", head[4:]
    if b"+" in head[2:4]:
        position, room, counted, entry, offset, first = 16, 8, "Q", "HHQ8s", "Q", (yield 8)
    target = struct.unpack(order + offset, first)[0]
    has_pixels, pages = False, 0
    while target >= position and pages < _MOST_PAGES:
        yield -(target - position)
        count = struct.unpack(order + counted, (yield struct.calcsize(order + counted)))[0]
        if count > _MOST_ENTRIES:
            break
        size_of_entry = struct.calcsize(order + entry)
        entries = list(struct.iter_unpack(order + entry, (yield size_of_entry * count)))
        following = struct.unpack(order + offset, (yield room))[0]
        position = target + struct.calcsize(order + counted) + size_of_entry * count + room
        numbers: dict[int, list[int]] = {}
        apart: list[tuple[int, int, int, str]] = []
        for tag, kind, many, value in entries:
            size = many * _TIFF_SIZES.get(kind, 0)
            layout = f"{order}{many}{_TIFF_NUMBERS[kind]}" if tag in _TIFF_PLACES and kind in _TIFF_NUMBERS else ""
            if size > room:
                at = struct.unpack(order + offset, value)[0]
                ending.needed = max(ending.needed, at + size)
                apart += [(at, size, tag, layout)] if layout and size <= _KEPT else []
            elif layout:
                numbers[tag] = list(struct.unpack(layout, value[:size]))
        for at, size, tag, layout in sorted(apart):
            if at >= position:
                yield -(at - position)
                numbers[tag] = list(struct.unpack(layout, (yield size)))
                position = at + size
        ending.needed = max(ending.needed, _end_of_pixels(numbers))
        has_pixels = has_pixels or not _TIFF_PIXELS.isdisjoint(item[0] for item in entries)
        target, pages = following, pages + 1
    if not has_pixels:
        yield _NEVER


def _end_of_pixels(numbers: dict[int, list[int]]) -> int:
    """Return where the last strip or tile of a page ends."""
    end = 0
    for places, sizes, most in ((273, 279, _most_of_a_strip(numbers)), (324, 325, None)):
        lengths = (size if most is None else min(size, most) for size in numbers.get(sizes, ()))
        end = max(end, *map(sum, zip(numbers.get(places, ()), lengths, strict=False)), 0)
    return end


def _most_of_a_strip(numbers: dict[int, list[int]]) -> int | None:
    """Return how many bytes a strip of uncompressed pixels has; its own field may be wrong, as in a BMP."""
    width, height, bits, compression, samples, rows = (numbers.get(tag) for tag in (256, 257, 258, 259, 277, 278))
    if not (width and height and bits) or (compression or [1]) != [1]:
        return None
    count = (samples or [1])[0]
    of_a_pixel = sum(bits) if len(bits) == count else max(bits) * count
    return (width[0] * of_a_pixel + 7) // 8 * min((rows or height)[0], height[0])


def _boxes(ending: Ending) -> Walk:
    """Walk through the boxes of an AVIF or HEIC.

    Source: ISO/IEC 14496-12, section 4.2; ISO/IEC 23008-12 for where the items of an image lie.
    """
    has_pixels = False
    while True:
        ending.may_end = has_pixels
        head = yield 8
        size, kind, taken = int.from_bytes(head[:4], "big"), head[4:], 8
        if not _BOX_TYPE.fullmatch(kind):
            if has_pixels:
                return
            yield _NEVER
        ending.may_end = False
        if size == 1:
            size, taken = int.from_bytes((yield 8), "big"), 16
        has_pixels = has_pixels or kind in {b"mdat", b"mini"}
        if size == 0:  # It goes on to the end of the file.
            ending.may_end = True
            yield _NEVER
        if size < taken:
            yield _NEVER
        if kind == b"meta" and size - taken <= _KEPT:
            meta = yield size - taken
            ending.needed = max(ending.needed, _end_of_items(meta))
            has_pixels = has_pixels or b"idat" in meta
        else:
            yield -(size - taken)


def _end_of_items(meta: bytes) -> int:
    """Read where the last item ends that lies in the file itself, from the box that names their places; else 0."""
    at = meta.find(b"iloc")
    numbers = _numbers(meta, at + 4)
    end = 0
    try:
        version = numbers(4) >> 24 if at >= 0 else 3
        if version > 2:  # noqa: PLR2004  (none that is known)
            return 0
        sizes = numbers(2)
        offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        index_size = sizes & 15 if version else 0
        for _ in range(numbers(2 if version < 2 else 4)):  # noqa: PLR2004  (as above)
            numbers(2 if version < 2 else 4)  # noqa: PLR2004  (as above)
            method = numbers(2) & 15 if version else 0
            elsewhere = numbers(2) != 0
            base = numbers(base_size)
            for _ in range(numbers(2) if offset_size + length_size + index_size else 0):
                numbers(index_size)
                extent = base + numbers(offset_size) + numbers(length_size)
                end = end if method or elsewhere else max(end, extent)
    except EOFError:
        pass
    return end


def _numbers(data: bytes, at: int) -> Callable[[int], int]:
    """Read numbers of so many bytes, one after the other; EOFError where they end."""

    def read(size: int) -> int:
        nonlocal at
        if at + size > len(data):
            raise EOFError
        number = int.from_bytes(data[at : at + size], "big")
        at += size
        return number

    return read


_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # the layouts of whole numbers, by type
_TIFF_PIXELS = frozenset({273, 324, 513})  # places of strips, of tiles, and of a JPEG
_TIFF_PLACES = frozenset({256, 257, 258, 259, 273, 277, 278, 279, 324, 325})
_WALKS: dict[str, Callable[[Ending], Walk]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _webp,
    "image/bmp": _bmp,
    "image/tiff": _tiff,
    "image/avif": _boxes,
    "image/heic": _boxes,
    "image/heif": _boxes,
    "image/x-icon": _icon,
}
