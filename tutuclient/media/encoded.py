"""Images as base64 within a text: cleaned of what JSON, HTML and forms did to it, and decoded in slices."""

from __future__ import annotations

import binascii
import hashlib
import itertools
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from tutuclient.media.kinds import image_mime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SLICE = 4 * 48 * 1024  # base64 characters decoded at a time: 144 KiB, some 0.2 ms
_NOT_DATA = "= \t\r\n"
_PLAIN_LETTERS = re.compile(r"[A-Za-z0-9+/]*+")
_ESCAPES = (
    *((f"\\u00{code}", letter) for code, letter in (("2b", "+"), ("2B", "+"), ("2f", "/"), ("2F", "/"))),
    *((f"\\u00{code}", letter) for code, letter in (("3d", "="), ("3D", "="))),
    *((f"\\u00{code}", "") for code in ("0a", "0A", "0d", "0D", "09", "20")),
    *((f"\\{letter}", "") for letter in "nrt"),
    *((f"%{code}", letter) for code, letter in (("2B", "+"), ("2b", "+"), ("2F", "/"), ("2f", "/"))),
    *((f"%{code}", letter) for code, letter in (("3D", "="), ("3d", "="), ("5F", "_"), ("2D", "-"))),
    *((f"%{code}", "") for code in ("0A", "0a", "0D", "0d", "09", "20")),
    *((f"&#{code};", letter) for code, letter in (("43", "+"), ("47", "/"), ("61", "="), ("x2B", "+"), ("x2b", "+"))),
    *((f"&#{code};", letter) for code, letter in (("x2F", "/"), ("x2f", "/"), ("x3D", "="), ("x3d", "="))),
    *((f"&#{code};", "") for code in ("10", "13", "9", "32", "xA", "xa", "xD", "xd", "x9", "x20")),
    *((f"&{name};", letter) for name, letter in (("plus", "+"), ("sol", "/"), ("equals", "="), ("NewLine", ""))),
)


class Base64:
    """An image as base64 within a text. The text is referred to, not copied, and decoded in slices.

    Args:
        text: The text around it.
        start: Where it begins.
        end: Where it ends at the latest; None is the end of the text.
        doubts: Where it may end before that, in order: it goes on from there only if no whole image has come by then.
    """

    __slots__ = ("_doubts", "_end", "_start", "_text")

    def __init__(self, text: str, start: int = 0, end: int | None = None, doubts: Sequence[int] = ()) -> None:
        end = len(text) if end is None else end
        if any(text.find(mark, start, end) >= 0 for mark in "\\%& "):
            places = (start, *doubts, end)
            parts = [_unescape(text[at:until]) for at, until in itertools.pairwise(places)]
            doubts = list(itertools.accumulate(map(len, parts)))[:-1]
            text, start = _with_pluses("".join(parts)), 0
            end = len(text)
        while end > start and text[end - 1] in _NOT_DATA:
            end -= 1
        self._text, self._start, self._end = text, start, end
        self._doubts = tuple(doubt for doubt in doubts if doubt < end)

    def __reduce__(self) -> tuple[type[Base64], tuple[str, int, None, list[int]]]:
        """Pickle the image without the text around it, which may be long and is not the image's to carry."""
        doubts = [doubt - self._start for doubt in self._doubts]
        return Base64, (self._text[self._start : self._end], 0, None, doubts)

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def size_bytes(self) -> int:
        """The number of bytes it decodes to."""
        place = (self._start, (*self._doubts, self._end)[0])
        noise = sum(self._text.count(mark, *place) for mark in _NOT_DATA if self._text.find(mark, *place) >= 0)
        return (place[1] - self._start - noise) * 3 // 4

    @property
    def head(self) -> bytes:
        """The first bytes, or b"" where they cannot be decoded."""
        piece = _alphabet(self._text[self._start : min(self._start + 400, self._end)])[:128]
        with suppress(ValueError):
            return binascii.a2b_base64(piece[: len(piece) // 4 * 4], strict_mode=True)
        return b""

    @property
    def mime(self) -> str | None:
        """The media type by its first bytes, or None where they are not an image's."""
        return image_mime(self.head)

    def slices(self) -> Iterator[tuple[bytes, bool]]:
        """Decode it, some 144 KiB at a time.

        Yields:
            Bytes, and whether the image may end with them.

        Raises:
            binascii.Error: Not all of it is base64. What can be decoded before that has been yielded.
        """
        rest, ahead = "", 0
        for begin, end in itertools.pairwise((self._start, *self._doubts, self._end)):
            for at in range(begin, end, _SLICE):
                piece = rest + _alphabet(self._text[at : min(at + _SLICE, end)])
                whole = len(piece) // 4 * 4
                rest = piece[whole:]
                try:
                    decoded = _strictly(piece[:whole])
                except binascii.Error:
                    good = len(_PLAIN_LETTERS.match(piece)[0]) // 4 * 4  # type: ignore[index]  # It matches "", so never None.
                    yield binascii.a2b_base64(piece[:good])[ahead:], False
                    raise
                yield decoded[ahead:], False
                ahead = 0 if decoded else ahead
            if len(rest) == 1 and end < self._end:
                continue  # Base64 never has one letter more than a multiple of four.
            last = _strictly(rest + "=" * (4 - len(rest))) if rest else b""
            yield last[ahead:], True
            ahead = max(ahead, len(last))

    def digest(self) -> bytes:
        """Return a hash of its text, by which the same image is known when it is there twice."""
        name = hashlib.sha256()
        for at in range(self._start, self._end, _SLICE):
            name.update(self._text[at : min(at + _SLICE, self._end)].encode("utf-8", "surrogatepass"))
        return name.digest()


def _strictly(piece: str) -> bytes:
    try:
        return binascii.a2b_base64(piece, strict_mode=True)
    except ValueError:  # binascii raises ValueError itself, not its subclass, for characters beyond ASCII.
        raise binascii.Error("not base64") from None


def _alphabet(piece: str) -> str:
    """Return a piece of base64 in the standard alphabet, without white space (RFC 4648, section 5)."""
    return "".join(piece.replace("-", "+").replace("_", "/").split())


def _unescape(text: str) -> str:
    """Undo the escapes that JSON (also twice), HTML, URLs and forms put into base64."""
    while "\\\\" in text:
        text = text.replace("\\\\", "\\")
    for escape, letter in _ESCAPES:
        if escape[0] in text:
            text = text.replace(escape, letter)
    return text.replace("\\", "")


def _with_pluses(text: str) -> str:
    """Restore the pluses that a form turned into spaces, unless the spaces are where lines are wrapped.

    Source: RFC 1866, section 8.2.1; PHP's ``str_replace(" ", "+", …)`` before ``base64_decode`` is its usual remedy.
    """
    lines = text.split() if " " in text else []
    if len(lines) < 2 or "+" in text or "\n" in text or "-" in text:  # noqa: PLR2004  (no space within)
        return text
    widths = {len(line) for line in lines[1:-1]}  # the first line may have begun before the data
    if len(widths) > 1 or len(lines[-1]) > max(widths, default=len(lines[-1])):
        return text.rstrip().replace(" ", "+")
    # Padded base64 has a multiple of four letters, and none has one letter more than that.
    letters = sum(map(len, lines))
    is_short = letters % 4 == 1 or (letters % 4 and lines[-1].endswith("="))
    return text.rstrip().replace(" ", "+") if is_short else text
