"""An image of an answer: its address or its data, fetched when asked for, saved whole or not at all.

Nothing here calls the API, so a download that fails never orders, and bills, an
image again.
"""

from __future__ import annotations

import binascii
import hashlib
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar, TypeVarTuple

from tutuclient._threads import in_thread
from tutuclient._unset import UNSET
from tutuclient.errors import ImageDownloadError, printable
from tutuclient.media import html, kinds, saving
from tutuclient.media.addresses import file_stem, safe_url
from tutuclient.media.endings import Ending
from tutuclient.media.kinds import image_mime
from tutuclient.media.schemas import Described
from tutuclient.media.sources import amount

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Sized
    from pathlib import Path

    from tutuclient._unset import Unset
    from tutuclient.errors import DownloadReason
    from tutuclient.media.encoded import Base64

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MAX_ON_LOOP = 32 * 1024  # characters of base64, or bytes, that are handled without a thread
_MAX_HASHED = 4_000_000  # characters of base64 that are hashed for a repr; they take some ms
_WRITE_BYTES = 1024 * 1024  # collected before a thread writes them
_UNDECODABLE = "cannot be decoded: the base64 is damaged or cut off"


class TimeoutLike(Protocol):
    """The limits of a ``Timeout`` that apply to downloads."""

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
    """What fetches an image from its address: ``downloads.fetch.Downloads``, which this module may not import."""

    def limited(self, timeout: float | TimeoutLike | Unset | None) -> Fetcher:
        """Return a copy with other limits; ``UNSET`` leaves them as they are."""
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


class GeneratedImage(Described):
    """An image of an answer.

    Nothing is fetched before ``read`` or ``save`` is called, and neither calls the
    API. Links of relays expire, often within the hour: save images soon.

    Attributes:
        url: The image's address, or None when its data came with the answer.
        download_url: A second address of the same file, tried when the first fails, or None.
        alt: What the answer calls it, or "".
        mime: Its media type by its first bytes, such as ``image/png``; None until they have been read.
        size_bytes: Its size, or None until it is known.
        revised_prompt: The prompt that the image was made from, or None when the relay does not tell it.
    """

    SHOWN = (
        ("url", str),
        ("download_url", str),
        ("alt", str),
        ("mime", str),
        ("size_bytes", int),
        ("revised_prompt", str),
    )
    # Private attributes have slots, so that ``vars()``, and encoders that call it, see the public ones only.
    __slots__ = ("__dict__", "__weakref__", "_data", "_encoded", "_fetcher", "_sha256")

    def __init__(
        self,
        fetcher: Fetcher,
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
        self._fetcher = fetcher
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
        if self._sha256 is None and len(encoded) > _MAX_HASHED:
            return f"<{self.mime} {amount(self.size_bytes or 0)}>"  # Hashing would hold the event loop.
        if self._sha256 is None:
            digest = hashlib.sha256()
            if not self.mime or _decoded_into(encoded, self.mime, digest.update) == _UNDECODABLE:
                return "<data that is not an image>"
            self._sha256 = digest.hexdigest()
        return f"<{self.mime} {amount(self.size_bytes or 0)} sha256:{self._sha256[:8]}…>"

    def _repr_html_(self) -> str | None:
        return None if self._repr_png_() or self._repr_jpeg_() else html.frame([self.figure(html.MOST_BYTES)])

    def _repr_png_(self) -> bytes | None:
        return self._shown("image/png")

    def _repr_jpeg_(self) -> bytes | None:
        return self._shown("image/jpeg")

    def figure(self, most: int) -> str:
        """Return what a notebook shows of it within an answer: the image if its bytes are here, else words about it.

        Nothing is fetched, and an address is shown as text.

        Args:
            most: The most bytes that it may have; of a larger one, its size is shown.
        """
        data = self._here(most)
        shown = None if data is None else html.image(image_mime(data[:64]), data, self.alt)
        if shown is not None:
            return shown
        if data is None and self._encoded is None and self._data is None:
            return html.small([f"image at {safe_url(self.url or '')}", "await image.save(…) fetches it"])
        size = amount(self.size_bytes or len(self._data or b""))
        return html.small([f"{self.mime or 'data that is not an image'}, {size}", "await image.save(…) writes it"])

    def _shown(self, mime: str) -> bytes | None:
        if self.mime != mime or (data := self._here(html.MOST_BYTES)) is None:
            return None
        return data if image_mime(data[:64]) == mime else None

    def _here(self, most: int) -> bytes | None:
        """Return its bytes where they have come, whole, and are not too many; nothing is fetched."""
        if self._data is not None:
            return self._data if len(self._data) <= most else None
        if self._encoded is None or self._encoded.size_bytes > most or self._encoded.mime is None:
            return None
        pieces: list[bytes] = []
        words = _decoded_into(self._encoded, self._encoded.mime, pieces.append)
        return None if words else b"".join(pieces)

    async def read(self, *, timeout: float | TimeoutLike | Unset | None = UNSET, damaged: bool = False) -> bytes:
        """Return the image's bytes. They are kept, so a second ``read`` costs nothing.

        A download that fails for a transient reason (a 503, a reset, an image that
        is cut off) is tried again, as often as ``max_retries`` allows: it costs nothing.

        Args:
            timeout: Limits of this download: seconds for all of it, or a ``Timeout``; None is no limit. ``UNSET`` is
                the limits of the call that made the image.
            damaged: After all attempts, return what there is of an image that is cut off or cannot be decoded to its
                end. It is not kept.

        Raises:
            ImageDownloadError: It could not be fetched, is damaged, or is not an image; see ``reason``. The answer
                stays valid, and nothing is ordered again.
        """
        if self._data is not None:
            return self._data
        if self._encoded is None:
            data = await self._fetcher.limited(timeout).fetch(self.url or "", self.download_url, damaged=damaged)
        else:
            data = b"".join(await _in_thread_if_large(self._encoded, _decoded, self._encoded, damaged))
        # Not kept: a later ``read`` without ``damaged`` has to raise again, or to fetch the rest.
        if damaged and not await _in_thread_if_large(data, _is_whole, data):
            return data
        self.mime, self.size_bytes = image_mime(data[:64]), len(data)
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
        """Save the image, whole or not at all, and return its path.

        It is written beside its final path under another name, and moved there
        when it is complete and on the disk. An existing file is not replaced
        without ``overwrite``, and a symbolic link is never written through.

        The extension follows the bytes, since relays send JPEG where PNG was
        asked for, and programs go by the name: ``sky`` becomes ``sky.png``, and
        ``sky.png`` becomes ``sky.jpg`` when a JPEG came. So use the path that is
        returned.

        Args:
            path: The file to write. In a folder (one that exists, or a text that ends with "/") the image gets a name
                of its own, with a number where that name is taken.
            overwrite: Replace an existing file.
            timeout: As for ``read``.
            damaged: Save what there is of an image that is cut off or cannot be decoded to its end: it is paid for.

        Raises:
            ImageDownloadError: The image could not be fetched, is damaged or is not an image; or the folder is
                missing, the name is taken, the disk is full… The message says what to do, ``reason`` why, and
                ``__cause__`` is the OSError if there was one.
        """
        not_saved = partial(ImageDownloadError, reason="not_saved")
        async with saving.writing(path, "the image", not_saved, overwrite=overwrite) as part:
            mime = await self._fill(part, self._fetcher.limited(timeout), damaged=damaged)
            target = await in_thread(part.publish, mime, file_stem(self.url))
        self.mime, self.size_bytes, self._sha256 = mime, part.size_bytes, part.sha256.hexdigest()
        return target

    async def _fill(self, part: saving.Part, fetcher: Fetcher, *, damaged: bool) -> str:
        if self._data is not None:
            await in_thread(part.write, self._data)
            return self.mime or image_type_of(self._data[:64], "the image")
        if self._encoded is not None:
            return await in_thread(_decode, self._encoded, part.write, damaged)
        # A thread for each piece that the network brings would cost more than writing it.
        collected = bytearray()

        async def begin() -> None:
            collected.clear()
            await in_thread(part.restart)

        async def write(piece: bytes) -> None:
            collected.extend(piece)
            if len(collected) >= _WRITE_BYTES:
                await flush()

        async def flush() -> None:
            await in_thread(part.write, bytes(collected))
            collected.clear()

        mime = await fetcher.fetch_into(self.url or "", write, begin=begin, second=self.download_url, damaged=damaged)
        await flush()
        return mime


async def _in_thread_if_large(data: Sized, work: Callable[[*Ts], T], *args: *Ts) -> T:
    """Run a function, in a thread where the data is large."""
    return await in_thread(work, *args) if len(data) > _MAX_ON_LOOP else work(*args)


def _is_whole(data: bytes) -> bool:
    ending = Ending(image_mime(data[:64]) or "")
    ending.feed(data)
    return ending.is_whole


def _decoded(encoded: Base64, damaged: bool) -> list[bytes]:
    pieces: list[bytes] = []
    _decode(encoded, pieces.append, damaged)
    return pieces


def _decode(encoded: Base64, write: Callable[[bytes], object], damaged: bool = False) -> str:
    """Decode an image piece by piece, to its end, and return its type.

    Args:
        encoded: The data.
        write: Called with each piece.
        damaged: Return where not all of it can be decoded.

    Raises:
        ImageDownloadError: It is not an image, or is damaged.
    """
    shown = "the data in the answer"
    mime = image_type_of(encoded.head, shown)
    words = _decoded_into(encoded, mime, write)
    if words and not damaged:
        raise ImageDownloadError(f"{shown} {words}; damaged=True keeps what came", reason="damaged")
    return mime


def _decoded_into(encoded: Base64, mime: str, write: Callable[[bytes], object]) -> str:
    """Decode as far as possible; return what is wrong, or ""."""
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
    return f"is damaged: the {mime.removeprefix('image/').upper()} is incomplete"


def image_type_of(head: bytes, shown: str, content_type: str | None = None, status: int | None = None) -> str:
    """Return the media type of the image that begins with these bytes; see ``kinds.image_mime``.

    Args:
        head: The first bytes, 64 or more where there are as many.
        shown: What to call it in the error.
        content_type: The type that its sender claims, for the error only.
        status: The HTTP status it came with, for the error only.

    Raises:
        ImageDownloadError: It is not an image; the message tells what it seems to be.
    """
    mime = kinds.image_mime(head)
    if mime is None:
        claim = "" if content_type is None else f" (sent as {printable(content_type, 60)})"
        # An empty answer may be an image that was cut off before it began, so a second attempt may bring it.
        reason: DownloadReason = "not_an_image" if head else "damaged"
        seems = f"it seems to be {kinds.seems(head).partition(';')[0]}" if head else "it is empty"
        raise ImageDownloadError(f"{shown} is not an image: {seems}{claim}", reason=reason, status=status)
    return mime
