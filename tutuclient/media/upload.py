"""Files, bytes and images on their way to the API: looked at, measured, and sent in pieces.

An ``Upload`` is the image in a message, as a data URI that never exists as a whole; ``Recording`` is the same for
audio, ``Document`` for files of other kinds. Each slice is encoded and handed on, and then the event loop has its turn.

Source: RFC 2397 (data URIs); RFC 4648, section 4 (base64, the alphabet relays decode).
"""

from __future__ import annotations

import contextlib
import hashlib
import mimetypes
import re
import sys
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, cast

from anyio import Lock
from anyio.lowlevel import checkpoint

from tutuclient.errors import MediaError, printable
from tutuclient.media import kinds, saving, sources
from tutuclient.media.drawing import Drawing, draw, fitted, pixels
from tutuclient.media.remote import is_remote, remote_file
from tutuclient.media.sources import (
    Memory,
    What,
    amount,
    changed,
    content_of,
)

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Callable

    import PIL.Image

    from tutuclient.media.sources import AsyncReadable, Buffer, Content

b64encode: Callable[[bytes | bytearray | memoryview], bytes]
try:
    from pybase64 import b64encode  # With SIMD it is some five times as fast; the extra "speed" brings it.
except ImportError:
    from base64 import b64encode


class ShowsImage(Protocol):
    """A part of a message that shows an image: ``media.parts.ImagePart``, whose module imports this one."""

    @property
    def image_url(self) -> Any:
        """The image and how closely to look."""
        ...


PictureSource: TypeAlias = (
    "str | os.PathLike[str] | Buffer | IO[bytes] | AsyncReadable | PIL.Image.Image | Upload | ShowsImage"
)
"""What an image can be passed as; a str is a path, an http(s) URL or a data URI."""

SoundSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | AsyncReadable | Upload"
"""What audio can be passed as; a str is a path or a data URI."""

INLINE_BYTES = 48 * 1024
"""Up to this size a file in memory is not worth sending in pieces."""

_DIGEST_BYTES = 2 * 2**20


class Upload:
    """An image to be sent inside a JSON string, as a data URI, in pieces.

    ``open`` looks at it and measures it; then ``pieces`` may be read as often as
    there are attempts, also by several calls at once. Nothing stays open between
    passes. Once opened, it must be the same image at every later pass.

    * A file is read anew at each pass, with one buffer of 144 KiB.
    * Bytes are used where they are, without a copy (a memoryview's when they stand in a row). A bytearray
      or memoryview must not change until the call is over.
    * A seekable file object is read in a thread, from where it stands at the first ``open``, and put back there after
      each pass. It can be passed to several calls, and is the caller's to close. What is not a file on the disk is
      found changed only when it has become shorter. After a cancelled call a thread may still read a last slice.
    * Any other file object, and anything with an async ``read``, is read to its end at the first ``open`` and kept, up
      to 512 MiB. starlette's ``UploadFile`` and anyio's ``AsyncFile`` count as the file inside them.
    * A Pillow image is written at the first ``open``, turned upright by its EXIF orientation: as JPEG of quality 92
      when it was opened from a JPEG, else as PNG, which loses nothing. Of an animation the current frame is sent.
      It must not be used elsewhere meanwhile.

    With ``max_side`` Pillow makes a larger image smaller and turns it upright by its
    EXIF orientation, and the result is kept in memory. The format stays where Pillow
    can write it and it holds what is drawn (transparency, for one), else it is PNG;
    the colour profile stays, other metadata goes, and of an animation the first frame
    remains. Broken EXIF counts as none. An image that fits and stands upright is sent
    byte for byte. An image that declares more pixels than its bytes can hold, or than
    ``max_pixels``, is an error before anything is decoded. As many images are drawn at
    a time as there are processors, in threads of their own; while Pillow takes memory
    for the pixels the event loop has to wait, some 1 ms for each megapixel that is
    decoded (of a JPEG of 12 megapixels made 1024 wide, 3), and while it decodes a WebP
    some 10 ms for each: ``max_pixels`` bounds what strangers may send.

    An upload can be pickled when its source can: a path, bytes, a data URI, a
    Pillow image. The copy is not opened.

    Args:
        source: As for ``image``, but no http(s) URL.
        max_side: Pixels that the longer side may have, at least 1; None sends the image as it is. Needs Pillow.
        max_pixels: The most pixels (width x height, as the file declares them) of an image that is made smaller; of
            a JPEG those that are decoded count. None is 100 million; ``PIL.Image.MAX_IMAGE_PIXELS``, Pillow's own
            limit, holds as well. Without ``max_side`` nothing is decoded, and it has no effect.

    Attributes:
        name: The file's name without its folders, or None.

    Raises:
        MediaError: The source is of no kind that can be sent. ``open`` raises what takes reading to find out.
    """

    name: str | None = None
    _what: ClassVar[What] = "image"

    def __init__(self, source: PictureSource, *, max_side: int | None = None, max_pixels: int | None = None) -> None:
        # Set before anything can fail: whoever shows the locals of a traceback calls ``__repr__``, which reads it.
        self._sent: Content | None = None
        self._max_side = max_side = pixels("max_side", max_side)
        self._max_pixels = pixels("max_pixels", max_pixels)
        if (shown := shown_image(source)) is not None:
            source = shown[0]
        self._source = source
        pillow = sys.modules.get("PIL.Image")
        if isinstance(source, Upload):
            self._origin, self.name = source.origin, source.name
        elif pillow is not None and isinstance(source, pillow.Image) and self._what == "image":
            self._origin = Drawing(cast("PIL.Image.Image", source), max_side)
        elif isinstance(source, str) and is_remote(source):
            self._origin, self.name = remote_file(source)
        else:
            self._origin, self.name = content_of(source, self._what)
        self._mime = ""
        self._size = 0
        # fast_acquire: otherwise each call gives the event loop a turn here, though hardly anyone waits for this lock.
        self._opening = Lock(fast_acquire=True)

    async def open(self) -> None:
        """Check that the image is there and is one, and measure it.

        Reads the first 512 bytes, unless the source is one that is read whole.
        Call it before each attempt: the first time it measures, later it checks
        that size, modification time and inode are what they were. Cancelling it
        is safe; a file object that can be read only once is lost then.

        Raises:
            MediaError: The image is missing, not readable, empty, not an image, broken (only where Pillow is
                needed), or has changed since the first time.
        """
        async with self._opening:
            size, head = await self._origin.look()
            if self._sent is not None:
                return
            sent, mime = self._origin, await self._identify(size, head if size else b"")
            if self._max_side is not None:
                bounds = {} if self._max_pixels is None else {"max_pixels": self._max_pixels}
                smaller = await draw(partial(fitted, sent, self._max_side, **bounds))
                if smaller is not None:
                    sent = Memory(smaller, sent.label)
                    size, head = await sent.look()
                    mime = self._kind(head)
            self._mime, self._size, self._sent = mime, size, sent

    @property
    def mime(self) -> str:
        """The media type, by the first bytes and not by the name; once opened."""
        self._opened()
        return self._mime

    @property
    def size_bytes(self) -> int:
        """The length in bytes of what is sent, before base64; once opened."""
        self._opened()
        return self._size

    @property
    def encoded_size(self) -> int:
        """The length in bytes of the whole data URI, the sum of all ``pieces``; once opened."""
        return len(self._lead()) + (self.size_bytes + 2) // 3 * 4

    @property
    def filename(self) -> str:
        """The file name in a form: its name, with the extension that its bytes ask for; once opened."""
        return saving.named(self.name or "picture", self.mime)

    def inline(self) -> bytes | None:
        """Return the whole data URI when the image is in memory and at most 48 KiB, else None; once opened.

        Raises:
            MediaError: The size of a bytearray has changed since ``open``.
        """
        held = self.raw_inline()
        return None if held is None else self._lead() + b64encode(held)

    def raw_inline(self) -> bytes | None:
        """Return the image's own bytes where ``inline`` returns the data URI; for a form."""
        sent = self._opened()
        held = sent.held() if self._size <= INLINE_BYTES else None
        if held is None:
            return None
        if len(held) != self._size:
            raise changed(sent.label, self._size, len(held))
        return bytes(held)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Read the data URI from its beginning: ``encoded_size`` ASCII bytes, at most 192 KiB and a lead at a time.

        After each piece the event loop has its turn. Leaving early, by ``break``
        and ``aclose``, by cancelling or by an error, closes the file at once; a
        thread that is reading from a slow disk then is not waited for.

        Raises:
            MediaError: The image has changed since ``open``, or changes or becomes unreadable on the way.
        """
        lead = self._lead()
        async with contextlib.aclosing(self._slices()) as slices:
            async for data in slices:
                yield lead + b64encode(data)
                lead = b""
                await checkpoint()  # Page cache and socket may never make it wait: other tasks get their turn here.

    async def raw_pieces(self) -> AsyncGenerator[bytes, None]:
        """Read the image's own bytes, ``size_bytes`` in all, as ``pieces`` does the data URI; for a form."""
        async with contextlib.aclosing(self._slices()) as slices:
            async for data in slices:
                yield bytes(
                    data
                )  # A copy: the buffer of a file is used again, and aiohttp may still hold the last piece.
                await checkpoint()

    async def _slices(self) -> AsyncGenerator[Buffer, None]:
        """Read it once from its beginning; each slice is valid until the next."""
        sent, size = self._opened(), self._size
        async with sent.reading() as read:
            for offset in range(0, size, sources.PIECE_BYTES):
                yield await read(offset, min(sources.PIECE_BYTES, size - offset))

    def describe(self) -> str:
        """Return in a few words which image this is, for logs; never what it shows.

        ``<image/png 1.2 MB cat.png>``, and without a name the beginning of its
        SHA-256 digest where it is in memory and at most 2 MiB:
        ``<image/png 1.2 MB sha256:ab12cd34ef56…>``.
        """
        name = printable(self.name, 80) if self.name else None
        if self._sent is None:
            return f"<{self._what}{f' {name}' if name else ''}, not opened yet>"
        if name is None and self._size <= _DIGEST_BYTES and (held := self._sent.held()) is not None:
            name = f"sha256:{hashlib.sha256(held).hexdigest()[:12]}…"
        return f"<{self._mime} {amount(self._size)}{f' {name}' if name else ''}>"

    __repr__ = describe

    @property
    def origin(self) -> Content:
        """Where the bytes come from; another upload of this one reads them there."""
        return self._origin

    def _opened(self) -> Content:
        if self._sent is None:
            raise RuntimeError(f"{self.describe()}: await open() first.")
        return self._sent

    def _lead(self) -> bytes:
        return f"data:{self.mime};base64,".encode()

    async def _identify(self, size: int, head: bytes) -> str:
        """Return the media type; ``Recording`` has to read on for it."""
        del size
        return self._kind(head)

    def _kind(self, head: bytes) -> str:
        """Return the media type by the first bytes; raise for what is not an image, with what it seems to be."""
        label = self._origin.label
        if (mime := kinds.image_mime(head)) is not None and mime in kinds.SENT_IMAGES:
            return mime
        if not head:
            raise MediaError(f"{label} is empty.")
        raise MediaError(
            f"{label} is not an image that can be sent; it seems to be {kinds.seems(head)}."
            " Images that can be sent: png, jpeg, gif, webp, bmp, tiff, avif and heic."
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"source": self._source, "max_side": self._max_side, "max_pixels": self._max_pixels}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # The constructor is all there is to an unopened upload.


class Recording(Upload):
    """Audio to be sent: inside a JSON string as bare base64, or as a file of a form.

    It is read as an ``Upload`` is. Its first bytes decide what it is; text, an image
    or an archive with the name of an audio file is an error before anything is sent.
    Where the bytes do not tell, the extension of its name decides.

    Args:
        source: As for ``audio``.
        name: What to call the file; None takes the name it has.
        mime: The media type; the bytes are not looked at then, and only an empty file is an error. None looks.

    Attributes:
        name: The file's name without its folders, or None.

    Raises:
        MediaError: The source is of no kind that can be sent.
    """

    _what: ClassVar[What] = "audio"

    def __init__(self, source: SoundSource, *, name: str | None = None, mime: str | None = None) -> None:
        super().__init__(source)
        for text in (name, mime):
            if text is not None and not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
                raise MediaError(
                    f"The name and the media type of audio are text, and {text!r} is a {type(text).__name__}."
                )
        if mime and not (mime.isascii() and mime.isprintable()):
            raise MediaError(
                f"{printable(mime, 80)!r} is not a media type: write one such as audio/wav, in printable ASCII."
            )
        self._own_name, self._own_mime = name, mime
        self.name: str | None = self.name if name is None else name

    @property
    def filename(self) -> str:
        """The file name in a form; once opened.

        The extension follows the bytes, since many upstreams see nothing else. Where the caller passed the media type,
        the name stays as it is.
        """
        # new-api passes on the name of a file and drops its media type, so upstreams see the extension alone
        # (.github/WIRE.md, section 1.2).
        mime, name = self.mime, self.name or "sound"
        if self._own_mime is not None and self.name:
            return name
        # Opus comes in Ogg, and OpenAI's list of extensions, which many upstreams check, has ogg but not opus.
        return saving.named(re.sub(r"\.opus\Z", ".ogg", name, flags=re.IGNORECASE), mime)

    @property
    def format(self) -> str:
        """The short name of the format, such as "mp3" or "wav"; once opened."""
        return kinds.EXTENSIONS.get(self.mime, (self.mime.rpartition("/")[2],))[0].removeprefix(".")

    def _lead(self) -> bytes:
        return b""

    async def _identify(self, size: int, head: bytes) -> str:
        """Read on behind the tags (cover art may take megabytes): what stands there is what it is."""
        at, begun, tags = 0, head, 0
        # An ID3 tag may hold a cover of megabytes, and several may stand in a row: the signature stands behind them
        # all.
        while self._own_mime is None and (length := kinds.tag_bytes(begun)) is not None and tags < kinds.MOST_TAGS:
            at, tags = at + length, tags + 1
            if at >= size:
                raise MediaError(f"{self._origin.label} is nothing but a tag (ID3 or APE): no audio follows it.")
            async with self._origin.reading() as read:
                begun = bytes(await read(at, min(kinds.HEAD_BYTES, size - at)))
        return (kinds.tagged_audio_mime(begun) if tags else None) or self._kind(begun)

    def _kind(self, head: bytes) -> str:
        label = self._origin.label
        if not head:
            raise MediaError(f"{label} is empty.")
        if (mime := self._own_mime or kinds.audio_mime(head)) is not None:
            return mime
        if kinds.described(head) is None and (mime := kinds.audio_mime_of_name(self.name or "")) is not None:
            return mime
        raise MediaError(
            f"{label} is not audio that can be sent; it seems to be {kinds.seems(head)}."
            " Audio that relays take: mp3, mp4, m4a, wav, webm, ogg and flac."
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"source": self._source, "name": self._own_name, "mime": self._own_mime}


class FormatOf(Upload):
    """The name of a recording's format in a JSON string, which is known once the recording has been opened.

    It is an ``Upload`` so that the writer of JSON opens it before it is written, as it does the audio beside it.
    """

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self._recording = recording

    async def open(self) -> None:
        """Open the recording, which knows the format then."""
        await self._recording.open()

    def inline(self) -> bytes:
        """Return the name of the format."""
        return self._recording.format.encode()

    def __getstate__(self) -> dict[str, Any]:
        return {"recording": self._recording}


class Document(Upload):
    """A file of any kind, to be sent as an ``Upload`` is. A PDF is known by its bytes, all else by its extension.

    Args:
        source: As for ``file``.
        name: What to call it; its own name by default.
    """

    _what: ClassVar[What] = "file"

    def __init__(self, source: PictureSource, *, name: str | None = None) -> None:
        super().__init__(source)
        self.name: str | None = name or self.name

    def _kind(self, head: bytes) -> str:
        if not head:
            raise MediaError(f"{self._origin.label} is empty.")
        # Not mimetypes.guess_type: its first call reads the system's mime.types, on the event loop.
        by_name = mimetypes.types_map.get(Path(self.name or "").suffix.lower(), "application/octet-stream")
        return "application/pdf" if head.startswith(b"%PDF-") else by_name

    def __getstate__(self) -> dict[str, Any]:
        return {"source": self._source, "name": self.name}


def shown_image(source: object) -> tuple[str | Upload, str | None] | None:
    """Return what a part of a message shows and its detail, of our own or of openai's form; None for all else."""
    if isinstance(source, dict):
        shown: Any = cast("dict[str, Any]", source).get("image_url")
        fields = cast("dict[str, Any]", shown) if isinstance(shown, dict) else {"url": shown}
        url, detail = fields.get("url"), fields.get("detail")
    else:  # An ImagePart is known by its fields, since its module imports this one.
        if (shown := getattr(source, "image_url", None)) is None:
            return None
        url, detail = getattr(shown, "url", None), getattr(shown, "detail", None)
    return (url, detail) if isinstance(url, str | Upload) else None
