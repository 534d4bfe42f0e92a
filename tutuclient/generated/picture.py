"""A picture of an answer: its address or its data, fetched safely, saved whole or not at all.

Glad not to know the API: nothing here ever calls it, so a download that fails
never makes, and bills, a picture again.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

import anyio
import anyio.to_thread

from tutuclient import files
from tutuclient.errors import ImageDownloadError, printable
from tutuclient.transport.downloads import Downloads, must_be_picture, picture_mime, safe_url

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

_SLICE = 4 * 48 * 1024  # base64 characters decoded at a time: 144 KiB, some 0.2 ms
_IN_PLACE = 256 * 1024  # base64 characters that may be decoded on the loop
_DIGESTED = 4_000_000  # base64 characters that are hashed for a repr, some ms
_TO_DISK = 1024 * 1024  # bytes gathered before a thread writes them
_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # names Windows keeps for itself
PICTURE_FILE = re.compile(
    r"(?P<stem>[^/]*?)\.(?:png|jpe?g|jfif|gif|webp|bmp|tiff?|avif|hei[cf]|ico)(?:[!~@][^/]*)?",
    re.IGNORECASE | re.DOTALL,
)


class Base64:
    """A picture written out within a text. The text is kept, not copied; it is decoded in slices."""

    __slots__ = ("_end", "_start", "_text")

    def __init__(self, text: str, start: int = 0, end: int | None = None) -> None:
        end = len(text) if end is None else end
        if text.find("%", start, end) >= 0:
            text = unquote(text[start:end])
            start, end = 0, len(text)
        while end > start and text[end - 1] in "=\\ \t\r\n":
            end -= 1
        self._text, self._start, self._end = text, start, end

    def __reduce__(self) -> tuple[type[Base64], tuple[str]]:
        return Base64, (self._text[self._start : self._end],)  # What stands around it stays here.

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def size_bytes(self) -> int:
        """How many bytes it decodes to."""
        place = (self._start, self._end)
        noise = sum(self._text.count(mark, *place) for mark in "\\ \t\r\n" if self._text.find(mark, *place) >= 0)
        return (len(self) - noise) * 3 // 4

    @property
    def head(self) -> bytes:
        """The first bytes, or b"" where they do not decode."""
        piece = _alphabet(self._text[self._start : min(self._start + 160, self._end)])[:128]
        with suppress(ValueError):
            return binascii.a2b_base64(piece[: len(piece) // 4 * 4], strict_mode=True)
        return b""

    @property
    def mime(self) -> str | None:
        """What kind of picture its first bytes are, or None."""
        return picture_mime(self.head)

    def slices(self) -> Iterator[bytes]:
        """Decode it, some 144 KiB at a time.

        Raises:
            ValueError: It is no base64, or not all of it.
        """
        rest = ""
        for at in range(self._start, self._end, _SLICE):
            piece = rest + _alphabet(self._text[at : min(at + _SLICE, self._end)])
            whole = len(piece) // 4 * 4
            rest = piece[whole:]
            yield binascii.a2b_base64(piece[:whole], strict_mode=True)
        if rest:
            yield binascii.a2b_base64(rest + "=" * (4 - len(rest)), strict_mode=True)

    def digest(self) -> bytes:
        """Name the text of it, to find the same picture written twice."""
        name = hashlib.sha256()
        for at in range(self._start, self._end, _SLICE):
            name.update(self._text[at : min(at + _SLICE, self._end)].encode("utf-8", "surrogatepass"))
        return name.digest()


def _alphabet(piece: str) -> str:
    """Bring a piece of base64 to the standard alphabet: JSON's escapes, line ends and the URL-safe letters go."""
    piece = piece.replace("\\", "").replace("-", "+").replace("_", "/")
    return "".join(piece.split())


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
            try:
                _decode(encoded, digest.update)
            except ImageDownloadError:
                return "<data that are no picture>"
            self._sha256 = digest.hexdigest()
        return f"<{self.mime} {_human(self.size_bytes or 0)} sha256:{self._sha256[:8]}…>"

    async def read(self) -> bytes:
        """Give the picture's bytes; they are kept, so a second ``read`` costs nothing.

        Raises:
            ImageDownloadError: It could not be fetched, or what came is no picture. The answer stays good, and
                nothing is made again.
        """
        if self._data is None:
            if self._encoded is None:
                data = await self._from_either(self._downloads.fetch)
            elif len(self._encoded) > _IN_PLACE:
                data = await anyio.to_thread.run_sync(_decoded, self._encoded)
            else:
                data = _decoded(self._encoded)
            self.mime, self.size_bytes = picture_mime(data[:64]), len(data)
            self._data = data
        return self._data

    async def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save the picture, whole or not at all; return where.

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

        Raises:
            ImageDownloadError: The picture could not be fetched or is none; or the folder is missing, the name is
                taken, the disk is full… The message says what to do, ``__cause__`` is the OSError if there was one.
        """
        async with files.writing(path, "the picture", ImageDownloadError, overwrite=overwrite) as part:
            mime = await self._fill(part)
            target = await anyio.to_thread.run_sync(part.publish, mime, _stem(self.url))
        self.mime, self.size_bytes, self._sha256 = mime, part.size_bytes, part.sha256.hexdigest()
        return target

    async def _fill(self, part: files.Part) -> str:
        if self._data is not None:
            await anyio.to_thread.run_sync(part.write, self._data)
            return self.mime or must_be_picture(self._data[:64], "the picture")
        if self._encoded is not None:
            return await anyio.to_thread.run_sync(_decode, self._encoded, part.write)

        async def fetch(url: str) -> str:
            gathered = bytearray()

            async def write(piece: bytes) -> None:
                gathered.extend(piece)
                if len(gathered) >= _TO_DISK:
                    await flush()

            async def flush() -> None:
                await anyio.to_thread.run_sync(part.write, bytes(gathered))
                gathered.clear()

            await anyio.to_thread.run_sync(part.restart)
            mime = await self._downloads.fetch_into(url, write)
            await flush()
            return mime

        return await self._from_either(fetch)

    async def _from_either(self, fetch: Callable[[str], Awaitable[T]]) -> T:
        try:
            return await fetch(self.url or "")
        except ImageDownloadError as error:
            if self.download_url is None:
                raise
            first = error.message
        try:
            return await fetch(self.download_url)
        except ImageDownloadError as error:
            raise ImageDownloadError(f"{first}; and the second link: {error.message}") from None


def _decoded(encoded: Base64) -> bytes:
    pieces: list[bytes] = []
    _decode(encoded, pieces.append)
    return b"".join(pieces)


def _decode(encoded: Base64, write: Callable[[bytes], object]) -> str:
    """Decode a picture piece by piece; return its type."""
    shown = "the data in the answer"
    mime = must_be_picture(encoded.head, shown)
    slices = encoded.slices()
    while True:
        try:
            piece = next(slices, None)
        except ValueError:
            raise ImageDownloadError(f"{shown} cannot be decoded: the base64 is damaged or cut off") from None
        if piece is None:
            return mime
        write(piece)


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
