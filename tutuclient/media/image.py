"""A picture of an answer: its address or its data, fetched safely, saved whole or not at all.

Glad not to know the API: nothing here ever calls it, so a download that fails
never makes, and bills, a picture again.
"""

from __future__ import annotations

import binascii
import hashlib
from typing import TYPE_CHECKING, Protocol, TypeVar, TypeVarTuple

from tutuclient._threads import in_thread
from tutuclient._unset import UNSET
from tutuclient.errors import ImageDownloadError, printable
from tutuclient.media import kinds, saving
from tutuclient.media.addresses import file_stem, safe_url
from tutuclient.media.endings import Ending
from tutuclient.media.kinds import picture_mime

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Sized
    from pathlib import Path

    from tutuclient._unset import Unset
    from tutuclient.errors import DownloadReason
    from tutuclient.media.encoded import Base64

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_IN_PLACE = 32 * 1024  # base64 characters that may be decoded on the loop, and followed to the end
_DIGESTED = 4_000_000  # base64 characters that are hashed for a repr, some ms
_TO_DISK = 1024 * 1024  # bytes gathered before a thread writes them
_UNDECODABLE = "cannot be decoded: the base64 is damaged or cut off"


class TimeoutLike(Protocol):
    """A ``Timeout``, as far as downloads keep to it; the settings stand above this module."""

    @property
    def total(self) -> float | None:
        """Seconds for the whole download, attempts and pauses included."""

    @property
    def connect(self) -> float | None:
        """Seconds for one connection."""

    @property
    def idle(self) -> float | None:
        """Seconds of silence."""


class Fetcher(Protocol):
    """What fetches an image from its address: ``downloads.Downloads``, which knows the network and stands above."""

    def limited(self, timeout: float | TimeoutLike | Unset | None) -> Fetcher:
        """Return the same with other limits; ``UNSET`` leaves those that are."""
        ...

    async def fetch(self, url: str, second: str | None = None, *, damaged: bool = False) -> bytes:
        """Fetch an image into memory; see ``Downloads.fetch``."""
        ...

    async def fetch_into(
        self,
        url: str,
        write: Callable[[bytes], Awaitable[None]],
        *,
        begin: Callable[[], Awaitable[None]] | None = None,
        second: str | None = None,
        damaged: bool = False,
    ) -> str:
        """Fetch an image piece by piece and return its type; see ``Downloads.fetch_into``."""
        ...


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
        downloads: Fetcher,
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

    async def read(self, *, timeout: float | TimeoutLike | Unset | None = UNSET, damaged: bool = False) -> bytes:
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
        timeout: float | TimeoutLike | Unset | None = UNSET,
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
            target = await in_thread(part.publish, mime, file_stem(self.url))
        self.mime, self.size_bytes, self._sha256 = mime, part.size_bytes, part.sha256.hexdigest()
        return target

    async def _fill(self, part: saving.Part, downloads: Fetcher, *, damaged: bool) -> str:
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


def must_be_picture(head: bytes, shown: str, content_type: str | None = None, status: int | None = None) -> str:
    """Return the type of the picture that begins with these bytes; see ``kinds.picture_mime``.

    Args:
        head: The first bytes, 64 or more where there are as many.
        shown: What to call it in the error.
        content_type: What its sender says it is, for the error alone.
        status: The HTTP status it came with, for the error alone.

    Raises:
        ImageDownloadError: It is no picture; the message says what it is instead.
    """
    mime = kinds.picture_mime(head)
    if mime is None:
        claim = "" if content_type is None else f" (sent as {printable(content_type, 60)})"
        # Nothing at all may be an image that was cut off before it began.
        reason: DownloadReason = "not_an_image" if head else "damaged"
        seems = f"it seems to be {kinds.seems(head).partition(';')[0]}" if head else "it is empty"
        raise ImageDownloadError(f"{shown} is not an image: {seems}{claim}", reason=reason, status=status)
    return mime
