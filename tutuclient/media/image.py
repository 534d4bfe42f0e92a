"""A picture of an answer: its address or its data, fetched safely, saved whole or not at all.

Glad not to know the API: nothing here ever calls it, so a download that fails
never makes, and bills, a picture again.
"""

from __future__ import annotations

import binascii
import hashlib
import itertools
import re
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple
from urllib.parse import unquote

from tutuclient._threads import in_thread
from tutuclient.downloads.fetch import Downloads, must_be_picture, safe_url
from tutuclient.errors import ImageDownloadError, printable
from tutuclient.media import saving
from tutuclient.media.endings import Ending
from tutuclient.media.kinds import PICTURE_ENDINGS, picture_mime
from tutuclient.settings import UNSET

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence, Sized
    from pathlib import Path

    from tutuclient.settings import Timeout, Unset

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_SLICE = 4 * 48 * 1024  # base64 characters decoded at a time: 144 KiB, some 0.2 ms
_IN_PLACE = 32 * 1024  # base64 characters that may be decoded on the loop, and followed to the end
_DIGESTED = 4_000_000  # base64 characters that are hashed for a repr, some ms
_TO_DISK = 1024 * 1024  # bytes gathered before a thread writes them
_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # names Windows keeps for itself
_UNDECODABLE = "cannot be decoded: the base64 is damaged or cut off"
_NOISE = "= \t\r\n"
_GOOD = re.compile(r"[A-Za-z0-9+/]*+")
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
PICTURE_FILE = re.compile(
    rf"(?P<stem>[^/]*?)\.(?:{PICTURE_ENDINGS})(?:[!~@][^/]*)?",
    re.IGNORECASE | re.DOTALL,
)


class Base64:
    """An image written out within a text. The text is kept, not copied; it is decoded in slices.

    Args:
        text: What it stands in.
        start: Where it begins.
        end: Where it ends at most; None is the end of the text.
        doubts: Where it may end already, in order: it goes on from there only if no whole image has come by then.
    """

    __slots__ = ("_doubts", "_end", "_start", "_text")

    def __init__(self, text: str, start: int = 0, end: int | None = None, doubts: Sequence[int] = ()) -> None:
        end = len(text) if end is None else end
        if any(text.find(mark, start, end) >= 0 for mark in "\\%& "):
            places = (start, *doubts, end)
            parts = [_plain(text[at:until]) for at, until in itertools.pairwise(places)]
            doubts = list(itertools.accumulate(map(len, parts)))[:-1]
            text, start = _with_pluses("".join(parts)), 0
            end = len(text)
        while end > start and text[end - 1] in _NOISE:
            end -= 1
        self._text, self._start, self._end = text, start, end
        self._doubts = tuple(doubt for doubt in doubts if doubt < end)

    def __reduce__(self) -> tuple[type[Base64], tuple[str, int, None, list[int]]]:
        """Travel without the text that stands around the image."""
        doubts = [doubt - self._start for doubt in self._doubts]
        return Base64, (self._text[self._start : self._end], 0, None, doubts)

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def size_bytes(self) -> int:
        """How many bytes it decodes to."""
        place = (self._start, (*self._doubts, self._end)[0])
        noise = sum(self._text.count(mark, *place) for mark in _NOISE if self._text.find(mark, *place) >= 0)
        return (place[1] - self._start - noise) * 3 // 4

    @property
    def head(self) -> bytes:
        """The first bytes, or b"" where they do not decode."""
        piece = _alphabet(self._text[self._start : min(self._start + 400, self._end)])[:128]
        with suppress(ValueError):
            return binascii.a2b_base64(piece[: len(piece) // 4 * 4], strict_mode=True)
        return b""

    @property
    def mime(self) -> str | None:
        """What kind of picture its first bytes are, or None."""
        return picture_mime(self.head)

    def slices(self) -> Iterator[tuple[bytes, bool]]:
        """Decode it, some 144 KiB at a time.

        Yields:
            Bytes, and whether the image may end with them.

        Raises:
            binascii.Error: It is no base64, or not all of it. What can be decoded before that has been yielded.
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
                    good = len(_GOOD.match(piece)[0]) // 4 * 4  # type: ignore[index]  # It matches the empty text.
                    yield binascii.a2b_base64(piece[:good])[ahead:], False
                    raise
                yield decoded[ahead:], False
                ahead = 0 if decoded else ahead
            if len(rest) == 1 and end < self._end:
                continue  # No base64 ends like this.
            last = _strictly(rest + "=" * (4 - len(rest))) if rest else b""
            yield last[ahead:], True
            ahead = max(ahead, len(last))

    def digest(self) -> bytes:
        """Name the text of it, to find the same picture written twice."""
        name = hashlib.sha256()
        for at in range(self._start, self._end, _SLICE):
            name.update(self._text[at : min(at + _SLICE, self._end)].encode("utf-8", "surrogatepass"))
        return name.digest()


def _strictly(piece: str) -> bytes:
    try:
        return binascii.a2b_base64(piece, strict_mode=True)
    except ValueError:  # Of letters beyond ASCII it says so in another class.
        raise binascii.Error("no base64") from None


def _alphabet(piece: str) -> str:
    """Bring a piece of base64 to the standard alphabet: line ends and the URL-safe letters go."""
    return "".join(piece.replace("-", "+").replace("_", "/").split())


def _plain(text: str) -> str:
    """Undo what JSON, twice too, HTML, addresses and forms do to base64."""
    while "\\\\" in text:
        text = text.replace("\\\\", "\\")
    for escape, letter in _ESCAPES:
        if escape[0] in text:
            text = text.replace(escape, letter)
    return text.replace("\\", "")


def _with_pluses(text: str) -> str:
    """Put the pluses back that a form made spaces of, unless the spaces are where lines are wrapped.

    Source: RFC 1866, section 8.2.1; PHP's ``str_replace(" ", "+", …)`` before ``base64_decode`` is its usual remedy.
    """
    lines = text.split() if " " in text else []
    if len(lines) < 2 or "+" in text or "\n" in text or "-" in text:  # noqa: PLR2004  (no space within)
        return text
    widths = {len(line) for line in lines[1:-1]}  # the first line may have begun before the data
    if len(widths) > 1 or len(lines[-1]) > max(widths, default=len(lines[-1])):
        return text.rstrip().replace(" ", "+")
    # Base64 that is filled up has a multiple of four letters, and none has one more than that.
    letters = sum(map(len, lines))
    is_short = letters % 4 == 1 or (letters % 4 and lines[-1].endswith("="))
    return text.rstrip().replace(" ", "+") if is_short else text


class GeneratedImage:
    """A picture of an answer: its address or its data, and the ways to get at the bytes.

    Nothing is fetched before ``read`` or ``save`` is called, and neither ever
    calls the API. Links of relays expire, often within the hour: save soon.

    Attributes:
        url: Where the picture is, or None when its data came with the answer.
        download_url: A second address of the same file, tried when the first fails, or None.
        alt: What the answer calls it, or "".
        mime: Its type by its first bytes, such as ``image/png``; None until they are here.
        size_bytes: Its size, or None until it is known.
        revised_prompt: The prompt the picture was really made from, or None when the relay does not say.
    """

    # What is not for others has slots, so that ``vars()``, and encoders that take it, see the attributes above alone.
    __slots__ = ("__dict__", "__weakref__", "_data", "_downloads", "_encoded", "_sha256")

    def __init__(
        self,
        downloads: Downloads,
        url: str | None = None,
        *,
        encoded: Base64 | None = None,
        alt: str = "",
        revised_prompt: str | None = None,
    ) -> None:
        self.url = url
        self.download_url: str | None = None
        self.alt = alt
        self.mime = None if encoded is None else encoded.mime
        self.size_bytes = None if encoded is None else encoded.size_bytes
        self.revised_prompt = revised_prompt
        self._downloads = downloads
        self._encoded = encoded
        self._data: bytes | None = None
        self._sha256: str | None = None

    def __repr__(self) -> str:
        shown = [
            f"{name}={safe_url(url)!r}" for name, url in (("url", self.url), ("download_url", self.download_url)) if url
        ]
        if self._encoded is not None:
            shown.append(self._describe(self._encoded))
        if self.alt:
            shown.append(f"alt={printable(self.alt, 40)!r}")
        return f"GeneratedImage({', '.join(shown)})"

    def _describe(self, encoded: Base64) -> str:
        if self._sha256 is None and len(encoded) > _DIGESTED:
            return f"<{self.mime} {_human(self.size_bytes or 0)}>"  # Hashing more would hold the event loop.
        if self._sha256 is None:
            digest = hashlib.sha256()
            if not self.mime or _decoded_into(encoded, self.mime, digest.update) == _UNDECODABLE:
                return "<data that are no picture>"
            self._sha256 = digest.hexdigest()
        return f"<{self.mime} {_human(self.size_bytes or 0)} sha256:{self._sha256[:8]}…>"

    async def read(self, *, timeout: float | Timeout | Unset | None = UNSET, damaged: bool = False) -> bytes:
        """Return the image's bytes; they are kept, so a second ``read`` costs nothing.

        A download that fails in passing (a 503, a reset, an image that is cut
        off) is tried again as ``max_retries`` says: it costs nothing.

        Args:
            timeout: Limits of this download: seconds over everything, or a ``Timeout``; ``UNSET`` takes those of the
                call that made the image, each download anew.
            damaged: Return what there is of an image that is cut off or cannot be decoded to its end, after all
                attempts. It is not kept.

        Raises:
            ImageDownloadError: It could not be fetched, is damaged, or what came is no image; see its ``reason``. The
                answer stays good, and nothing is made again.
        """
        if self._data is not None:
            return self._data
        if self._encoded is None:
            data = await self._downloads.limited(timeout).fetch(self.url or "", self.download_url, damaged=damaged)
        else:
            data = b"".join(await _elsewhere(self._encoded, _decoded, self._encoded, damaged))
        if damaged and not await _elsewhere(data, _is_whole, data):
            return data
        self.mime, self.size_bytes = picture_mime(data[:64]), len(data)
        self._data = data
        return data

    async def save(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        timeout: float | Timeout | Unset | None = UNSET,
        damaged: bool = False,
    ) -> Path:
        """Save the image, whole or not at all; return where.

        It is written beside its final place under another name and moved there
        when it is complete and on the disk. An existing file is never replaced
        unless ``overwrite`` says so, and never written through a link.

        The extension follows the bytes, since relays send JPEG where PNG was
        asked and programs go by the name: ``sky`` becomes ``sky.png``, and
        ``sky.png`` becomes ``sky.jpg`` when a JPEG came. Go on with the path that
        is returned.

        Args:
            path: The file to write. A folder (one that exists, or a text that ends with "/") gives the picture a
                name of its own within it, and a number where that name is taken.
            overwrite: Replace what stands there.
            timeout: As for ``read``.
            damaged: Save what there is of an image that is cut off or cannot be decoded to its end: it is paid for.

        Raises:
            ImageDownloadError: The image could not be fetched, is damaged or none; or the folder is missing, the name
                is taken, the disk is full… The message says what to do, ``reason`` why, ``__cause__`` is the OSError
                if there was one.
        """
        async with saving.writing(path, "the picture", _not_saved, overwrite=overwrite) as part:
            mime = await self._fill(part, self._downloads.limited(timeout), damaged=damaged)
            target = await in_thread(part.publish, mime, _stem(self.url))
        self.mime, self.size_bytes, self._sha256 = mime, part.size_bytes, part.sha256.hexdigest()
        return target

    async def _fill(self, part: saving.Part, downloads: Downloads, *, damaged: bool) -> str:
        if self._data is not None:
            await in_thread(part.write, self._data)
            return self.mime or must_be_picture(self._data[:64], "the picture")
        if self._encoded is not None:
            return await in_thread(_decode, self._encoded, part.write, damaged)
        gathered = bytearray()

        async def begin() -> None:
            gathered.clear()
            await in_thread(part.restart)

        async def write(piece: bytes) -> None:
            gathered.extend(piece)
            if len(gathered) >= _TO_DISK:
                await flush()

        async def flush() -> None:
            await in_thread(part.write, bytes(gathered))
            gathered.clear()

        mime = await downloads.fetch_into(self.url or "", write, begin=begin, second=self.download_url, damaged=damaged)
        await flush()
        return mime


async def _elsewhere(data: Sized, work: Callable[[*Ts], T], *args: *Ts) -> T:
    """Do what takes long with large data in a thread."""
    return await in_thread(work, *args) if len(data) > _IN_PLACE else work(*args)


def _not_saved(message: str) -> ImageDownloadError:
    return ImageDownloadError(message, reason="not_saved")


def _is_whole(data: bytes) -> bool:
    ending = Ending(picture_mime(data[:64]) or "")
    ending.feed(data)
    return ending.is_whole


def _decoded(encoded: Base64, damaged: bool) -> list[bytes]:
    pieces: list[bytes] = []
    _decode(encoded, pieces.append, damaged)
    return pieces


def _decode(encoded: Base64, write: Callable[[bytes], object], damaged: bool = False) -> str:
    """Decode an image piece by piece, to its end; return its type.

    Args:
        encoded: The data.
        write: Takes the pieces.
        damaged: What can be decoded is enough.
    """
    shown = "the data in the answer"
    mime = must_be_picture(encoded.head, shown)
    words = _decoded_into(encoded, mime, write)
    if words and not damaged:
        raise ImageDownloadError(f"{shown} {words}; damaged=True keeps what came", reason="damaged")
    return mime


def _decoded_into(encoded: Base64, mime: str, write: Callable[[bytes], object]) -> str:
    """Decode as far as it goes; return what is wrong, or ""."""
    ending = Ending(mime)
    try:
        for piece, may_end in encoded.slices():
            if piece:
                write(piece)
                ending.feed(piece)
            if may_end and ending.is_whole:
                return ""
    except binascii.Error:
        return _UNDECODABLE
    return f"is damaged: the {mime.removeprefix('image/').upper()} does not go on to its end"


def _human(size: int) -> str:
    if size < 1000:  # noqa: PLR2004  (decimal units)
        return f"{size} B"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"  # noqa: PLR2004  (as above)


def _stem(url: str | None) -> str:
    """Make a file's name, without extension, of an address: letters, digits, "-" and "_" of its last step, or ""."""
    name = unquote(steps_of(url or "")[-1]).rpartition("/")[2]
    if file := PICTURE_FILE.fullmatch(name):
        name = file["stem"]
    name = re.sub(r"[^\w-]+", "-", name.encode("utf-8", "ignore").decode())[:60].strip("-_")
    return f"image-{name}" if _RESERVED.fullmatch(name) else name


def steps_of(url: str) -> list[str]:
    """Split the path of an address; query and fragment are no part of it. At least one step, "" if need be."""
    return re.split(r"[?#]", url, maxsplit=1)[0].split("/")[3:] or [""]
