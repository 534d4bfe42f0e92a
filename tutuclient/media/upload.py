"""Pictures and sound on the way in: files, bytes and URLs become content parts, and are sent in pieces.

``image`` makes the part of a message, ``Upload`` is the picture in it: a data
URI that never exists as a whole. ``audio`` and ``Recording`` are the same for
sound. A file is read a slice at a time, from the page cache without a thread
where the system can say that it is there, and from the disk in a thread
otherwise; each slice is encoded and handed on, and the event loop has its turn.
Glad not to know what the pieces are put into (JSON and forms, by ``wire``) nor
where they go. Pillow is asked only when a picture has to be drawn anew: for
``max_side``, and for Pillow's own pictures.

Source: RFC 2397 (data URIs); RFC 4648, section 4 (base64, the alphabet relays decode).
"""

from __future__ import annotations

import binascii
import contextlib
import hashlib
import inspect
import io
import mimetypes
import operator
import os
import re
import stat
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, Protocol, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from anyio import CapacityLimiter, Lock
from anyio.lowlevel import RunVar, checkpoint

from tutuclient._descriptors import NO_DESCRIPTORS, out_of_descriptors
from tutuclient._threads import in_thread
from tutuclient.errors import MediaError, printable
from tutuclient.media import kinds, saving
from tutuclient.media.parts import AudioPart, FileData, FilePart, ImagePart, ImageURL, InputAudio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from contextlib import AbstractAsyncContextManager

    import PIL.Image

b64encode: Callable[[bytes | bytearray | memoryview], bytes]
try:
    from pybase64 import b64encode  # Some five times as fast.
except ImportError:
    from base64 import b64encode

__all__ = [
    "Document",
    "PictureSource",
    "Recording",
    "SoundSource",
    "Upload",
    "audio",
    "file",
    "image",
]

PictureSource: TypeAlias = (
    "str | os.PathLike[str] | _Buffer | IO[bytes] | AsyncReadable | PIL.Image.Image | Upload | ImagePart"
)
"""What a picture can be given as; a str is a path, an http(s) URL or a data URI."""

SoundSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | AsyncReadable | Upload"
"""What a sound can be given as; a str is a path or a data URI."""

PIECE_BYTES = 144 * 1024
"""Bytes of a picture that are read and encoded at a time; a multiple of 3, so that only the last piece is padded."""

INLINE_BYTES = 48 * 1024
"""Up to this size a picture in memory is not worth sending in pieces."""

MAX_STREAM_BYTES = 512 * 2**20
"""What is kept of a file object that cannot be read twice; more is refused."""

MAX_PIXELS = 100_000_000
"""Pictures that declare more pixels (width x height) are not drawn anew, unless ``max_pixels=`` allows it."""

_LONGEST_SHOWN = 200
_CHUNK_BYTES = 2**20
_DIGEST_BYTES = 2 * 2**20
_CAN_BE_GIVEN = {
    "file": "a path, a data URI, bytes or a file opened with open(…, 'rb')",
    "picture": "a path, an http(s) URL, a data URI, bytes, a file opened with open(…, 'rb') or a Pillow image",
    "sound": "a path, a data URI, bytes or a file opened with open(…, 'rb')",
}
_SCHEMES = {
    "file": "give the path itself, without file://.",
    "http": "a URL is not uploaded; give it to image(), and the relay fetches it.",
    "https": "a URL is not uploaded; give it to image(), and the relay fetches it.",
}
_DECODED = re.compile(
    r"[\x89\ufffd\udc89]PNG|(\xff\xd8\xff|\ufffd{3}|\udcff\udcd8\udcff)|GIF8[79]a|RIFF.{4}WEBP", re.DOTALL
)
"""How a picture begins whose bytes were decoded as text, by any of the usual ways."""

_BYTES_LITERAL = re.compile(r"""b(['"]).*\1""", re.DOTALL)
_PICTURE_NAME = re.compile(rf"\.(?:{kinds.PICTURE_ENDINGS})\Z", re.IGNORECASE)

_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""The orientations of EXIF 2.32, section 4.6.4 A, and what sets each upright, by Pillow's names."""

_TURNED_BY = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""What Pillow keeps of a file that may say that it is turned, which what is written anew is no more."""

_CREDIBLE_PIXELS = 2_000_000
_PIXELS_PER_BYTE = {"PNG": 8 * 1032, "GIF": 4096, "TIFF": 64 * 1024, "JPEG": 8192, "MPO": 8192}
_RAW_PIXELS_PER_BYTE, _RLE_PIXELS_PER_BYTE = 8, 1024
"""The most pixels that a byte of a file can stand for; smaller pictures than ``_CREDIBLE_PIXELS`` are not counted.

A pixel has a bit at least. deflate makes at most 1032 bytes of one (zlib's technical details), a code of LZW has twelve
bits and at most 4096 pixels, and a block of JPEG half a byte. WebP, AVIF and HEIC have no such bound.
"""
_SAVED_AS: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 3},
    "JPEG": {"quality": 92},
    "WEBP": {"quality": 92},
    "AVIF": {"quality": 90},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
"""Of PNG's levels 3 takes a third of the time of Pillow's own choice for a photograph, and no more bytes."""

_LIKE_PNG = {"RGBa": "RGBA", "PA": "RGBA", "La": "LA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
"""Modes no PNG holds, and the nearest it does."""

_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)

_What: TypeAlias = Literal["file", "picture", "sound"]
_Buffer: TypeAlias = bytes | bytearray | memoryview
_Read: TypeAlias = "Callable[[int, int], Awaitable[_Buffer]]"
_State: TypeAlias = tuple[int, int, int]
_T = TypeVar("_T")


class AsyncReadable(Protocol):
    """Something with an async ``read``, as starlette's ``UploadFile`` or aiohttp's ``StreamReader`` have it."""

    async def read(self, size: int = ..., /) -> bytes:
        """Give up to ``size`` bytes, and b"" at the end."""
        ...


def image(
    source: PictureSource,
    *,
    detail: Literal["auto", "low", "high"] | None = None,
    max_side: int | None = None,
    max_pixels: int | None = None,
) -> ImagePart:
    """Make the part of a message that shows a picture. Reads nothing yet.

    An http or https URL goes to the relay as it is, and the relay fetches it.
    Everything else becomes an ``Upload``, which is read when the call is made.

    Args:
        source: A path, an http(s) URL, a data URI, the bytes of a picture, a binary file object or a Pillow image.
            An ``Upload`` may be used in several calls. A part that was made before stays as it is, with its own
            ``detail`` where it has one.
        detail: How closely the model should look. None leaves it to the relay, and several take "high" then.
        max_side: Pixels that the longer side may have; a larger picture is made smaller (see ``Upload``).
            None sends every picture as it is.
        max_pixels: See ``Upload``.

    Raises:
        MediaError: What is given is of no such kind, or ``max_side`` was given for a URL or for an ``Upload``.

    Source: ``POST /chat/completions``, part ``image_url``.
    """
    if (part := _image_url_of(source)) is not None:
        closely = cast("Literal['auto', 'low', 'high'] | None", part.detail or detail)
        return image(part.url, detail=closely, max_side=max_side, max_pixels=max_pixels)
    if isinstance(source, Upload):
        if max_side is not None:
            raise MediaError("max_side belongs to the Upload: write Upload(source, max_side=…).")
        return ImagePart(ImageURL(source, detail))
    url = _web_address(source) if isinstance(source, str) else None
    if url is None:
        return ImagePart(ImageURL(Upload(source, max_side=max_side, max_pixels=max_pixels), detail))
    if max_side is not None:
        raise MediaError(
            f"max_side cannot be applied to {printable(url, 120)}: the relay fetches a URL by itself."
            " Fetch the picture and give its bytes, or leave max_side out."
        )
    return ImagePart(ImageURL(url, detail))


def audio(source: SoundSource, *, format: str | None = None) -> AudioPart:  # noqa: A002  (the wire's own name)
    """Make the part of a message that lets the model hear something. Reads nothing yet.

    Args:
        source: A path, a data URI, the bytes of a sound or a binary file object. What this makes may be used in
            several calls.
        format: What to call the format, when the bytes do not tell ("pcm16"). None goes by the first bytes; OpenAI
            takes "wav" and "mp3", relays may take more.

    Raises:
        MediaError: What is given is of no such kind.

    Source: ``POST /chat/completions``, part ``input_audio``.
    """
    recording = (
        source
        if isinstance(source, Recording) and not format
        else Recording(source, mime=f"audio/{format}" if format else None)
    )
    return AudioPart(InputAudio(recording, format or _FormatOf(recording)))


class Upload:
    """A picture to be sent inside a JSON string, as a data URI, in pieces.

    ``open`` looks at it and measures it; then ``pieces`` may be read as often as
    there are attempts, also by several calls at once. Nothing stays open between
    passes. Once opened, it must be the same picture at every later pass.

    * A file is read anew at each pass, with one buffer of 144 KiB.
    * Bytes are used where they are, without a copy (a memoryview's when they stand in a row). A bytearray
      or memoryview must not change until the call is over.
    * A seekable file object is read in a thread, from where it stands at the first ``open``, and put back there after
      each pass. It can be given to several calls, and is the caller's to close. What is not a file on the disk is
      found changed only when it has become shorter. After a cancelled call a thread may still read a last slice.
    * Any other file object, and anything with an async ``read``, is read to its end at the first ``open`` and kept, up
      to 512 MiB. starlette's ``UploadFile`` and anyio's ``AsyncFile`` count as the file inside them.
    * A Pillow image is written at the first ``open``, turned upright by its EXIF orientation: as JPEG of quality 92
      when it was opened from a JPEG, else as PNG, which loses nothing. Of an animation the current frame is sent.
      It must not be used elsewhere meanwhile.

    With ``max_side`` Pillow makes a larger picture smaller and turns it upright by
    its EXIF orientation, and the result is kept in memory. The format stays where
    Pillow can write it and it holds what is drawn (transparency, for one), else it
    is PNG; the colour profile stays, other metadata goes, and of an animation the
    first frame remains. EXIF that is broken counts as none. A picture that fits and
    stands upright is sent byte for byte. What declares more pixels than its bytes
    can hold, or than ``max_pixels``, is refused before anything is decoded.
    As many pictures are drawn at a time as
    there are processors, in threads; while Pillow takes memory for the pixels the
    event loop has to wait, some 10 ms for 10 megapixels, and while it decodes a
    WebP some 10 ms for each: ``max_pixels`` bounds what strangers may give.

    An upload can be pickled when its source can: a path, bytes, a data URI, a
    Pillow image. The copy is not opened.

    Args:
        source: As for ``image``, but no http(s) URL.
        max_side: Pixels that the longer side may have, at least 1; None sends the picture as it is. Needs Pillow.
        max_pixels: The most pixels (width x height, as the file declares them) of a picture that is made smaller; of
            a JPEG those that are decoded count. None is 100 million; ``PIL.Image.MAX_IMAGE_PIXELS``, Pillow's own
            limit, holds beside it. Without ``max_side`` nothing is decoded, and it has no part.

    Attributes:
        name: The file's name without its folders, or None.

    Raises:
        MediaError: The source is of no kind that can be sent. Everything that needs reading is said by ``open``.
    """

    name: str | None = None
    _what: ClassVar[_What] = "picture"

    def __init__(self, source: PictureSource, *, max_side: int | None = None, max_pixels: int | None = None) -> None:
        self._sent: _Content | None = None  # First, as the frames of what is refused below are shown with their locals.
        self._max_side = max_side = _pixels("max_side", max_side)
        self._max_pixels = _pixels("max_pixels", max_pixels)
        if (part := _image_url_of(source)) is not None:
            source = part.url
        self._source = source
        if isinstance(source, Upload):
            self._origin, self.name = source.origin, source.name
        else:
            self._origin, self.name = _content(source, self._what, max_side)
        self._mime = ""
        self._size = 0
        self._opening = Lock(fast_acquire=True)

    async def open(self) -> None:
        """Look at the picture: is it there, is it one, of what kind and size.

        Reads the first 512 bytes, unless the source is one that is read whole.
        Call it before each attempt: the first time it measures, later it checks
        that size, modification time and inode are what they were. Cancelling it
        is safe; a file object that can be read only once is lost then.

        Raises:
            MediaError: The picture is missing, not readable, empty, not a picture, broken (only where Pillow is
                needed), or has changed since the first time.
        """
        async with self._opening:
            size, head = await self._origin.look()
            if self._sent is not None:
                return
            sent, mime = self._origin, await self._identify(size, head if size else b"")
            if self._max_side is not None:
                bounds = {} if self._max_pixels is None else {"max_pixels": self._max_pixels}
                fitted = await _draw(partial(_fitted, sent, self._max_side, **bounds))
                if fitted is not None:
                    sent = _Memory(fitted, sent.label)
                    size, head = await sent.look()
                    mime = self._kind(head)
            self._mime, self._size, self._sent = mime, size, sent

    @property
    def mime(self) -> str:
        """The media type, by the picture's first bytes and not by its name; once opened."""
        self._opened()
        return self._mime

    @property
    def size_bytes(self) -> int:
        """The length in bytes of the picture as it is sent, before base64; once opened."""
        self._opened()
        return self._size

    @property
    def encoded_size(self) -> int:
        """The length in bytes of the whole data URI, which is all that ``pieces`` gives; once opened."""
        return len(self._lead()) + (self.size_bytes + 2) // 3 * 4

    @property
    def filename(self) -> str:
        """What to call the picture in a form: its name, with the extension its bytes ask for; once opened."""
        return saving.named(self.name or "picture", self.mime)

    def inline(self) -> bytes | None:
        """Give the whole data URI when the picture is in memory and at most 48 KiB, else None; once opened.

        Raises:
            MediaError: The size of a bytearray has changed since ``open``.
        """
        held = self.raw_inline()
        return None if held is None else self._lead() + b64encode(held)

    def raw_inline(self) -> bytes | None:
        """Give the picture's own bytes, as ``inline`` gives the data URI; for a form."""
        sent = self._opened()
        held = sent.held() if self._size <= INLINE_BYTES else None
        if held is None:
            return None
        if len(held) != self._size:
            raise _changed(sent.label, self._size, len(held))
        return bytes(held)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Give the data URI from its beginning: ``encoded_size`` ASCII bytes, at most 192 KiB and a lead at a time.

        After each piece the event loop has its turn. Leaving early, by ``break``
        and ``aclose``, by cancelling or by an error, closes the file at once; a
        thread that is reading from a slow disk then is not waited for.

        Raises:
            MediaError: The picture has changed since ``open``, or changes or becomes unreadable on the way.
        """
        lead = self._lead()
        async with contextlib.aclosing(self._slices()) as slices:
            async for data in slices:
                yield lead + b64encode(data)
                lead = b""
                await checkpoint()

    async def raw_pieces(self) -> AsyncGenerator[bytes, None]:
        """Give the picture's own bytes, ``size_bytes`` in all, as ``pieces`` gives the data URI; for a form."""
        async with contextlib.aclosing(self._slices()) as slices:
            async for data in slices:
                yield bytes(data)
                await checkpoint()

    async def _slices(self) -> AsyncGenerator[_Buffer, None]:
        """Read it once from its beginning; each slice is valid until the next."""
        sent, size = self._opened(), self._size
        async with sent.reading() as read:
            for offset in range(0, size, PIECE_BYTES):
                yield await read(offset, min(PIECE_BYTES, size - offset))

    def describe(self) -> str:
        """Say in a few words which picture this is, for logs; never what it shows.

        ``<image/png 1.2 MB cat.png>``, and without a name the beginning of its
        SHA-256 digest where it is in memory and at most 2 MiB:
        ``<image/png 1.2 MB sha256:ab12cd34ef56…>``.
        """
        name = printable(self.name, 80) if self.name else None
        if self._sent is None:
            return f"<{self._what}{f' {name}' if name else ''}, not opened yet>"
        if name is None and self._size <= _DIGEST_BYTES and (held := self._sent.held()) is not None:
            name = f"sha256:{hashlib.sha256(held).hexdigest()[:12]}…"
        return f"<{self._mime} {_amount(self._size)}{f' {name}' if name else ''}>"

    __repr__ = describe

    @property
    def origin(self) -> _Content:
        """Where the bytes come from: another upload of the same source reads them there."""
        return self._origin

    def _opened(self) -> _Content:
        if self._sent is None:
            raise RuntimeError(f"{self.describe()}: await open() first.")
        return self._sent

    def _lead(self) -> bytes:
        return f"data:{self.mime};base64,".encode()

    async def _identify(self, size: int, head: bytes) -> str:
        """Return the media type; a subclass may have to read on for it."""
        del size
        return self._kind(head)

    def _kind(self, head: bytes) -> str:
        """Tell the media type by the first bytes; refuse what is no picture, and say what it seems to be."""
        label = self._origin.label
        if (mime := kinds.picture_mime(head)) is not None and mime in kinds.SENT_IMAGES:
            return mime
        if not head:
            raise MediaError(f"{label} is empty.")
        raise MediaError(
            f"{label} is no picture that can be sent; it seems to be {kinds.seems(head)}."
            " What can be sent: png, jpeg, gif, webp, bmp, tiff, avif and heic."
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"source": self._source, "max_side": self._max_side, "max_pixels": self._max_pixels}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # The constructor is all there is to an unopened upload.


class Recording(Upload):
    """A sound to be sent: inside a JSON string as bare base64, or as a file of a form.

    It is read as an ``Upload`` is. Its first bytes say what it is; a text, a
    picture or an archive under the name of a sound is refused before anything is
    sent. What the bytes do not tell goes by the ending of its name.

    Args:
        source: As for ``audio``.
        name: What to call the file; None takes the name it has.
        mime: The media type, by the caller's own word: then nothing but emptiness is refused. None looks.

    Attributes:
        name: The file's name without its folders, or None.

    Raises:
        MediaError: The source is of no kind that can be sent.
    """

    _what: ClassVar[_What] = "sound"

    def __init__(self, source: SoundSource, *, name: str | None = None, mime: str | None = None) -> None:
        super().__init__(source)
        for given in (name, mime):
            if given is not None and not isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
                raise MediaError(
                    f"A sound's name and its media type are text, and {given!r} is a {type(given).__name__}."
                )
        if mime and not (mime.isascii() and mime.isprintable()):
            raise MediaError(f"{printable(mime, 80)!r} is no media type: it is written into the header of a form.")
        self._given_name, self._given_mime = name, mime
        self.name: str | None = self.name if name is None else name

    @property
    def filename(self) -> str:
        """What to call the file in a form; once opened.

        The ending follows the bytes, since it is all that many upstreams see. Where the caller gave the media type,
        the name stays as it is.
        """
        mime, name = self.mime, self.name or "sound"
        if self._given_mime is not None and self.name:
            return name
        # Ogg all the same, and many upstreams do not know this name for it.
        return saving.named(re.sub(r"\.opus\Z", ".ogg", name, flags=re.IGNORECASE), mime)

    @property
    def format(self) -> str:
        """The short name of what it is, such as "mp3" or "wav"; once opened."""
        return kinds.EXTENSIONS.get(self.mime, (self.mime.rpartition("/")[2],))[0].removeprefix(".")

    def _lead(self) -> bytes:
        return b""

    async def _identify(self, size: int, head: bytes) -> str:
        """Read behind the tags that stand before a sound: its kind is what comes then."""
        at, begun, tags = 0, head, 0
        while self._given_mime is None and (length := kinds.tag_bytes(begun)) is not None and tags < kinds.MOST_TAGS:
            at, tags = at + length, tags + 1
            if at >= size:
                raise MediaError(f"{self._origin.label} is nothing but a tag (ID3 or APE): no sound stands behind it.")
            async with self._origin.reading() as read:
                begun = bytes(await read(at, min(kinds.HEAD_BYTES, size - at)))
        return (kinds.tagged_sound_mime(begun) if tags else None) or self._kind(begun)

    def _kind(self, head: bytes) -> str:
        label = self._origin.label
        if not head:
            raise MediaError(f"{label} is empty.")
        if (mime := self._given_mime or kinds.sound_mime(head)) is not None:
            return mime
        if kinds.described(head) is None and (mime := kinds.sound_mime_of_name(self.name or "")) is not None:
            return mime
        raise MediaError(
            f"{label} is no sound that can be sent; it seems to be {kinds.seems(head)}."
            " What relays take: mp3, mp4, m4a, wav, webm, ogg and flac."
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"source": self._source, "name": self._given_name, "mime": self._given_mime}


class _FormatOf(Upload):
    """The name of a sound's format in a JSON string; known once the sound has been looked at."""

    def __init__(self, sound: Recording) -> None:
        super().__init__(sound)
        self._sound = sound

    async def open(self) -> None:
        await self._sound.open()

    def inline(self) -> bytes:
        return self._sound.format.encode()

    def __getstate__(self) -> dict[str, Any]:
        return {"sound": self._sound}


def file(source: PictureSource, *, filename: str | None = None) -> FilePart:
    """Make the part of a message that hands the model a file, such as a PDF. Reads nothing yet.

    Args:
        source: A path, a data URI, bytes or a binary file object.
        filename: What to call it, with its ending; the file's own name by default.

    Raises:
        MediaError: What is given is of no such kind, or has no name.

    Source: ``POST /chat/completions``, part ``file``; relays want both name and content.
    """
    document = Document(source, name=filename)
    if not document.name:
        raise MediaError("a file needs a name for the model to go by: file(…, filename='report.pdf').")
    return FilePart(FileData(document.name, document))


class Document(Upload):
    """A file of any kind, to be sent as an ``Upload`` is. A PDF is told by its bytes, all else by the name's ending.

    Args:
        source: As for ``file``.
        name: What to call it; its own name by default.
    """

    _what: ClassVar[_What] = "file"

    def __init__(self, source: PictureSource, *, name: str | None = None) -> None:
        super().__init__(source)
        self.name: str | None = name or self.name

    def _kind(self, head: bytes) -> str:
        if not head:
            raise MediaError(f"{self._origin.label} is empty.")
        # Not mimetypes.guess_type, which reads the system's files first.
        by_name = mimetypes.types_map.get(Path(self.name or "").suffix.lower(), "application/octet-stream")
        return "application/pdf" if head.startswith(b"%PDF-") else by_name

    def __getstate__(self) -> dict[str, Any]:
        return {"source": self._source, "name": self.name}


class _Content(Protocol):
    """Where the bytes of a picture come from. ``label`` is its name in messages."""

    label: str

    async def look(self) -> tuple[int, bytes]:
        """Give the size and the first bytes; refuse what is not what it was at the first look."""
        ...

    def reading(self) -> AbstractAsyncContextManager[_Read]:
        """Begin a pass; what it gives reads slices by offset and length, each valid until the next."""
        ...

    def whole(self) -> BinaryIO:
        """Give all of it as a file, to be closed. Called in a thread, for Pillow."""
        ...

    def held(self) -> _Buffer | None:
        """Give all of it when that means no reading, else None."""
        ...


class _File:
    """A file on the disk, by its path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.label = printable(path, 120)
        self.state: _State | None = None

    def _place(self) -> str:
        """Return where it is: ``~`` is the home folder, as in a shell, unless there is a file of just this name."""
        if not self.path.startswith("~") or os.path.lexists(self.path):
            return self.path
        return os.path.expanduser(self.path)  # noqa: PTH111  (Path's raises where there is no such user)

    async def look(self) -> tuple[int, bytes]:
        return await in_thread(self._look, abandon_on_cancel=True)

    def _look(self) -> tuple[int, bytes]:
        with self.whole() as file, _readable(self.label):
            if self.state is None:
                self.state = _state(file.fileno())
            return self.state[0], file.read(kinds.HEAD_BYTES)

    def whole(self) -> io.FileIO:
        with _readable(self.label, self.path):
            path = self._place()
            mode = Path(path).stat().st_mode
            if stat.S_ISDIR(mode):
                raise MediaError(f"{self.label} is a directory. Give the files in it, one by one.")
            if not stat.S_ISREG(mode):
                raise MediaError(
                    f"{self.label} is a pipe, a socket or a device, which cannot be measured and read again."
                    " Give it as open(…, 'rb'): then it is read once and kept."
                )
            file = io.FileIO(path, opener=_without_waiting)
        try:
            self.check(file)
        except MediaError:
            file.close()
            raise
        return file

    def check(self, file: io.FileIO) -> None:
        if self.state is not None and self.state != (now := _state(file.fileno())):
            raise _changed(self.label, self.state[0], now[0])

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncGenerator[_Read, None]:
        one_pass = _Pass(self)
        try:
            await one_pass.lease.work(one_pass.open)
            yield one_pass.read
        finally:
            one_pass.lease.end()

    def held(self) -> None:
        """Nothing of it is in memory."""


class _Lease:
    """The use of a file by one pass and the threads that read for it.

    To end it never waits. asyncio cancels a task without regard to the thread that
    works for it, so a thread that is reading at that moment ends it afterwards.
    """

    def __init__(self, in_use: threading.Lock, give_back: Callable[[], object]) -> None:
        self._in_use = in_use
        self._give_back = give_back
        self._over = False

    async def work(self, do: Callable[[], _T]) -> _T:
        return await in_thread(self._work, do, abandon_on_cancel=True)

    def _work(self, do: Callable[[], _T]) -> _T:
        try:
            with self._in_use:
                return do()
        finally:
            if self._over:
                self.end()

    def end(self) -> None:
        self._over = True
        if self._in_use.acquire(blocking=False):
            try:
                self._give_back()
            finally:
                self._in_use.release()


class _Pass:
    """A file that is read once from its beginning, into one buffer."""

    file: io.FileIO

    def __init__(self, source: _File) -> None:
        self._source = source
        self._files = contextlib.ExitStack()
        self._buffer = memoryview(b"")
        self._nowait = bool(_NOWAIT)
        self.lease = _Lease(threading.Lock(), self._files.close)

    def open(self) -> None:
        self.file = self._files.enter_context(self._source.whole())
        self._buffer = memoryview(bytearray(min(PIECE_BYTES, _state(self.file.fileno())[0])))

    async def read(self, offset: int, length: int) -> memoryview:
        done = 0
        while done < length:
            into, at = self._buffer[done:length], offset + done
            count = self._from_cache(into, at)
            if count is None:
                count = await self.lease.work(partial(self._from_disk, into, at))
            done += count
        return self._buffer[:length]

    def _from_cache(self, into: memoryview, at: int) -> int | None:
        """Read what the page cache has, or give None where that would mean waiting (preadv2(2), ``RWF_NOWAIT``)."""
        if not self._nowait:
            return None
        try:
            count = os.preadv(self.file.fileno(), [into], at, _NOWAIT)
        except BlockingIOError:
            return None
        except OSError:
            self._nowait = False  # Not every file system can say. If more is wrong, the thread will find it.
            return None
        return self._checked(count)

    def _from_disk(self, into: memoryview, at: int) -> int:
        with _readable(self._source.label):
            self.file.seek(at)
            return self._checked(self.file.readinto(into))

    def _checked(self, count: int) -> int:
        self._source.check(self.file)
        if not count:
            raise _changed(self._source.label)
        return count


class _Memory:
    """Bytes that are there already."""

    def __init__(self, data: _Buffer, label: str) -> None:
        self.label = label
        self._data = data
        self._size: int | None = None

    async def look(self) -> tuple[int, bytes]:
        with self._view() as view:
            self._size = len(view)
            return self._size, bytes(view[: kinds.HEAD_BYTES])

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncGenerator[_Read, None]:
        with self._view() as view:

            async def read(offset: int, length: int) -> memoryview:
                return view[offset : offset + length]

            yield read

    def whole(self) -> io.BytesIO:
        return io.BytesIO(self._data)

    def held(self) -> _Buffer:
        return self._data

    def _view(self) -> memoryview:
        view = memoryview(self._data)
        if self._size is not None and self._size != len(view):
            raise _changed(self.label, self._size, len(view))
        return view


class _Made(_Memory, ABC):
    """Bytes that the first look brings into memory."""

    def __init__(self, label: str) -> None:
        super().__init__(b"", label)

    async def look(self) -> tuple[int, bytes]:
        if self._size is None:
            self._data = await self._make()
        return await super().look()

    @abstractmethod
    async def _make(self) -> _Buffer:
        """Read, decode or draw it."""


class _DataURI(_Made):
    """A data URI. What it says of its media type counts as little as the ending of a file's name."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"The data URI ({_amount(len(uri))})")
        header, comma, _ = uri[: kinds.HEAD_BYTES].partition(",")
        if not comma or not header.lower().endswith(";base64"):
            raise MediaError(f"{self.label} does not begin like 'data:image/png;base64,'; only base64 can be sent on.")
        self._uri = uri
        self._start = len(header) + 1

    async def _make(self) -> bytearray:
        data = bytearray()
        characters = PIECE_BYTES // 3 * 4
        for start in range(self._start, len(self._uri), characters):
            if len(data) % 3:
                raise self._broken("there is padding ('=') in the middle of it")
            data += self._decode(self._uri[start : start + characters])
            await checkpoint()
        return data

    def _decode(self, text: str) -> bytes:
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except ValueError as error:
            if "-" in text or "_" in text:
                raise self._broken("it is written in the URL-safe alphabet; use base64.b64encode") from error
            if "%" in text:
                raise self._broken("it is percent-encoded; use urllib.parse.unquote") from error
            if re.search(r"\s", text):
                raise self._broken("there are spaces or line breaks in it; take them out") from error
            if len(text) % 4:
                raise self._broken("it is cut short, or its padding ('=') is missing") from error
            raise self._broken(printable(str(error), 120)) from error

    def _broken(self, why: str) -> MediaError:
        return MediaError(f"{self.label} is not the base64 that relays decode: {why}.")


class _Stream:
    """A file object that can be read again and again, from where it stood at the first look."""

    def __init__(self, file: IO[bytes], label: str) -> None:
        self.label = label
        self._file = file
        self._in_use = threading.Lock()
        self._start = -1
        self._state: _State = (0, 0, 0)

    async def look(self) -> tuple[int, bytes]:
        return await self._lease().work(self._look)

    def _look(self) -> tuple[int, bytes]:
        with _readable(self.label):
            start = self._file.tell() if self._start < 0 else self._start
            self._file.seek(0, os.SEEK_END)
            state = (self._file.tell() - start, *self._stamp())
            if self._start < 0:
                self._start, self._state = start, state
            try:
                if self._state != state:
                    raise _changed(self.label, self._state[0], state[0])
                if state[0] <= 0:
                    raise MediaError(
                        f"{self.label} has nothing after where it stands. Was it read before? Then seek(0)."
                    )
                return state[0], self._take(0, min(kinds.HEAD_BYTES, state[0]))
            finally:
                self._put_back()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncGenerator[_Read, None]:
        lease = self._lease()

        async def read(offset: int, length: int) -> bytes:
            return await lease.work(partial(self._take, offset, length))

        try:
            yield read
        finally:
            lease.end()

    def whole(self) -> io.BytesIO:
        with self._in_use:
            try:
                return io.BytesIO(self._take(0, self._state[0]))
            finally:
                self._put_back()

    def held(self) -> None:
        """Nothing of it is ours."""

    def _lease(self) -> _Lease:
        return _Lease(self._in_use, self._put_back)

    def _put_back(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # The caller may have closed it in the meantime.
            self._file.seek(self._start)

    def _take(self, offset: int, length: int) -> bytes:
        with _readable(self.label):
            at = self._start + offset
            if self._file.tell() != at:  # In a compressed file a seek may mean reading from the beginning.
                self._file.seek(at)
            data = b""
            while len(data) < length and (more := _binary(self._file.read(length - len(data)), self.label)):
                data = data + more if data else more
            if len(data) != length or self._stamp() != self._state[1:]:
                raise _changed(self.label)
            return data

    def _stamp(self) -> tuple[int, int]:
        """Give modification time and inode of a file on the disk, which need no reading; zeros for others."""
        raw = getattr(self._file, "raw", self._file)
        return _state(raw.fileno())[1:] if isinstance(raw, io.FileIO) else (0, 0)


class _Flow(_Made):
    """A file object that can be read only once, or one with an async ``read``."""

    def __init__(self, file: IO[bytes] | AsyncReadable, label: str) -> None:
        super().__init__(label)
        self._file = file
        self._begun = False

    async def _make(self) -> bytearray:
        if self._begun:
            raise MediaError(
                f"{self.label} can be read only once, and a call that failed or was cancelled has begun it."
                " Give its bytes, or a file that can seek."
            )
        self._begun = True
        data = bytearray()
        with _readable(self.label):
            while more := _binary(await self._next(), self.label):
                data += more
                if len(data) > MAX_STREAM_BYTES:
                    raise MediaError(
                        f"{self.label} gave more than {_amount(MAX_STREAM_BYTES)}, and what can be read only once has"
                        " to be kept. Save it to a file and give the path."
                    )
        return data

    async def _next(self) -> object:
        if inspect.iscoroutinefunction(self._file.read):
            return await self._file.read(_CHUNK_BYTES)
        return await in_thread(self._file.read, _CHUNK_BYTES, abandon_on_cancel=True)


class _Drawing(_Made):
    """An image of Pillow's."""

    def __init__(self, picture: PIL.Image.Image, max_side: int | None) -> None:
        super().__init__("The Pillow image")
        self._picture = picture
        self._max_side = max_side

    async def _make(self) -> bytes:
        return await _draw(partial(_encoded, self._picture, self._max_side, self.label))


_filtering = threading.Lock()
_drawing_at_once: RunVar[CapacityLimiter] = RunVar("tutuclient.media.upload.drawing_at_once")


async def _draw(do: Callable[[], _T]) -> _T:
    """Do Pillow's work in a thread. A decoded picture is large: no more of them at a time than processors."""
    try:
        limiter = _drawing_at_once.get()
    except LookupError:
        limiter = CapacityLimiter(os.cpu_count() or 1)
        _drawing_at_once.set(limiter)
    return await in_thread(partial(_quietly, do), abandon_on_cancel=True, limiter=limiter)


def _quietly(do: Callable[[], _T]) -> _T:
    """Do it once more where it failed only because the process makes errors of warnings (``python -W error``).

    Pillow warns of broken EXIF and of odd tags, and goes on. The filters are the whole process's until Python 3.14, so
    they are changed only here.
    """
    try:
        return do()
    except MediaError as error:
        if type(error.__cause__) is not UserWarning:
            raise
    with _filtering, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return do()


def _fitted(content: _Content, max_side: int, *, max_pixels: int = MAX_PIXELS) -> bytes | None:
    """Write a picture anew, smaller and upright; None when it is so already. Runs in a thread."""
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  (Pillow is an extra, and slow to import)
    except ImportError as error:
        raise MediaError('max_side needs Pillow: pip install pillow (the extra "images").') from error
    with content.whole() as file, _drawable(content.label), contextlib.ExitStack() as opened:
        try:
            picture = opened.enter_context(Image.open(file))
        except UnidentifiedImageError as error:
            raise MediaError(
                f"Pillow does not know the format of {content.label}, or its header is broken."
                " For HEIC install pillow-heif and call its register_heif_opener()."
            ) from error
        except Image.DecompressionBombError as error:
            # Pillow's own bound, which is the whole process's, so that it is the caller's to move.
            raise MediaError(
                f"{content.label} has more pixels than Pillow opens, whatever max_pixels says ({error}): give a"
                " smaller picture, or raise PIL.Image.MAX_IMAGE_PIXELS."
            ) from error
        # Not picture.getexif(): for a PNG that decodes the pixels.
        turned = _orientation(partial(Image.Image.getexif, picture)) != 1
        if max(picture.size) <= max_side and not turned:
            return None
        size_bytes = file.seek(0, os.SEEK_END)
        _check_pixels(picture, content.label, max_side, size_bytes, max_pixels)
        form = "JPEG" if picture.format == "MPO" else picture.format
        return _written(picture, form if form in Image.SAVE else "PNG", max_side)


def _check_pixels(picture: PIL.Image.Image, label: str, max_side: int, size_bytes: int, max_pixels: int) -> None:
    """Refuse by its header what is too large to decode, or larger than its bytes can be.

    Memory for the pixels is taken, and given back, while the event loop waits.
    """
    (width, height), form = picture.size, picture.format
    compression = picture.info.get("compression")
    per_byte: int | None = _PIXELS_PER_BYTE.get(form or "")
    if form == "BMP":
        # BI_RLE8 and BI_RLE4. A run is 255 pixels in two bytes, and an empty row two bytes as well.
        per_byte = _RLE_PIXELS_PER_BYTE if compression in {1, 2} else _RAW_PIXELS_PER_BYTE
    elif form == "TIFF" and compression == "raw":
        per_byte = _RAW_PIXELS_PER_BYTE
    if per_byte is not None and width * height > max(_CREDIBLE_PIXELS, per_byte * size_bytes):
        raise MediaError(
            f"{label} declares {width:,} x {height:,} pixels, which its {size_bytes:,} bytes cannot hold:"
            " it is damaged or cut off."
        )
    scale = 1
    if form in {"JPEG", "MPO"}:  # libjpeg decodes at an eighth, a quarter or a half where that is enough.
        fits = min(width, height) // (2 * max_side)
        scale = next((each for each in (8, 4, 2) if fits >= each), 1)
    if width * height // scale**2 > max_pixels:
        raise MediaError(
            f"{label} has {width:,} x {height:,} pixels, and max_pixels is {max_pixels:,}: give a larger"
            f" max_pixels={width * height} to have it made smaller all the same, or a smaller picture."
        )


def _orientation(getexif: Callable[[], Any]) -> int:
    """Return how a picture is turned, by its EXIF: 1 to 8. What cannot be read says nothing."""
    try:
        value = getexif().get(_ORIENTATION)
    except UserWarning:  # An error only by the process's filters: see _quietly.
        raise
    except Exception:  # noqa: BLE001  (broken EXIF makes Pillow raise almost anything)
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _encoded(original: PIL.Image.Image, max_side: int | None, label: str) -> bytes:
    """Write a caller's image without loss, or as JPEG where it was one. Runs in a thread."""
    with _drawable(label):
        picture = _with_real_alpha(original.copy()) if original.format == "BMP" else original.copy()
        if original.format in {"JPEG", "MPO"} and picture.mode in {"L", "RGB", "CMYK"}:
            return _written(picture, "JPEG", max_side)
        if picture.mode in _LIKE_PNG:
            picture = picture.convert(_LIKE_PNG[picture.mode])
            picture.info.pop("icc_profile", None)
        if picture.mode not in {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}:
            raise MediaError(f"{label} has mode {picture.mode}, which no picture file holds: convert it to RGB or L.")
        return _written(picture, "PNG", max_side)


def _written(picture: PIL.Image.Image, form: str, max_side: int | None) -> bytes:
    from PIL import Image  # noqa: PLC0415  (as in _fitted; whoever has a picture has Pillow)

    if max_side is not None and max(picture.size) > max_side:
        mode = picture.mode
        picture = _mixable(picture)
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        picture = picture.convert("I;16") if mode.startswith("I;16") and picture.mode == "I" else picture
    picture.load()  # A TIFF turns itself by this.
    if (orientation := _orientation(picture.getexif)) != 1:
        picture = picture.transpose(Image.Transpose[_TURNS[orientation]])
    for name in _TURNED_BY:  # Some versions of Pillow write them on.
        picture.info.pop(name, None)
    if form == "TIFF":
        picture = picture.copy()  # What was opened from a TIFF would hand on its tags.
    elif (form == "BMP" and picture.has_transparency_data) or (form == "GIF" and _is_half_clear(picture)):
        form = "PNG"
    buffer = io.BytesIO()
    picture.save(buffer, form, icc_profile=picture.info.get("icc_profile"), **_SAVED_AS.get(form, {}))
    return buffer.getvalue()


def _mixable(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return it in a mode whose pixels can be mixed: no palette, and transparency in a channel of its own.

    One colour or entry of a palette that stands for transparency (PNG's tRNS, GIF's transparent colour) would be lost
    as soon as it is mixed with its neighbours.
    """
    mode = picture.mode
    if mode in {"P", "PA"}:
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if mode.startswith("I;16"):
        return _of_sixteen_bits(picture)
    if mode in {"1", "L"}:
        return picture.convert("LA") if "transparency" in picture.info else picture.convert("L")
    if mode == "RGB" and "transparency" in picture.info:
        return picture.convert("RGBA")
    return _with_real_alpha(picture) if picture.format == "BMP" else picture


def _with_real_alpha(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return what a BMP shows: many programs leave its fourth channel empty, and all others take it for opaque then."""
    left_empty = picture.mode == "RGBA" and picture.getchannel("A").getextrema() == (0, 0)
    return picture.convert("RGB") if left_empty else picture


def _of_sixteen_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return grey of 16 bits in a mode that can be mixed; of 8 bits where one of its values is transparent."""
    from PIL import Image  # noqa: PLC0415  (as in _fitted)

    clear = picture.info.get("transparency")
    grey = picture.convert("I")
    if not isinstance(clear, int):
        return grey
    values = grey.point([value >> 8 for value in range(2**16)], "L")
    alpha = grey.point([0 if value == clear else 255 for value in range(2**16)], "L")
    return Image.merge("LA", (values, alpha))


def _is_half_clear(picture: PIL.Image.Image) -> bool:
    """Return whether a picture has pixels that are neither clear nor opaque, which a GIF has no room for."""
    if picture.mode not in {"RGBA", "LA"}:
        return False
    return any(picture.getchannel("A").histogram()[1:255])


@contextlib.contextmanager
def _drawable(label: str) -> Generator[None]:
    try:
        yield
    except MediaError:
        raise
    except Exception as error:  # A broken picture makes Pillow raise almost anything.
        raise MediaError(f"Pillow cannot draw {label}: {printable(str(error), 200)}") from error


def _content(source: PictureSource, what: _What, max_side: int | None) -> tuple[_Content, str | None]:
    """Find out what a source is; give its content and the name of its file."""
    if isinstance(source, str):
        text = source.strip()
        if not text:
            raise MediaError(f"An empty text ({source[:20]!r}) is no {what}: give {_CAN_BE_GIVEN[what]}.")
        _refuse_decoded(source, what)
        if text[:5].lower() == "data:":
            return _DataURI(text), None
        if scheme := re.match(r"([a-zA-Z][a-zA-Z0-9+.-]+)://", text):
            known = _SCHEMES if what == "picture" or scheme[1].lower() == "file" else {}
            only = "only http and https URLs can be sent. " if what == "picture" else ""
            hint = known.get(scheme[1].lower(), f"{only}Fetch it and give its bytes.")
            raise MediaError(f"{printable(text, 120)} is not opened here: {hint}")
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return _File(path), Path(path).name
    if isinstance(source, bytes | bytearray):
        return _Memory(source, f"The {what} given as bytes"), None
    if isinstance(source, memoryview):
        view = source.cast("B") if source.c_contiguous else source.tobytes()
        return _Memory(view, f"The {what} given as bytes"), None
    pillow = sys.modules.get("PIL.Image")
    if pillow is not None and isinstance(source, pillow.Image) and what == "picture":
        return _Drawing(cast("PIL.Image.Image", source), max_side), None
    return _file_object(source, what)


def _refuse_decoded(text: str, what: _What) -> None:
    """Refuse the bytes of a file that were made a text on the way here."""
    shown = printable(text, 40)
    if _BYTES_LITERAL.fullmatch(text):
        raise MediaError(
            f"{shown} is the text of a bytes object (str(…) of it): give the bytes themselves as the {what};"
            " of base64, what .decode() returns, behind 'data:image/png;base64,'."
        )
    if _DECODED.match(text):
        raise MediaError(
            f"{shown} is the {what} itself, decoded as text, which damages it: give its bytes, as open(…, 'rb').read()"
            " and response.content return them."
        )


def _image_url_of(source: object) -> ImageURL | None:
    """Return what a part of a message shows, of our own or of openai's form; None for all else."""
    if isinstance(source, ImagePart):
        return source.image_url
    if isinstance(source, dict) and isinstance(shown := cast("dict[str, Any]", source).get("image_url"), dict | str):
        fields: dict[str, Any] = {"url": shown} if isinstance(shown, str) else cast("dict[str, Any]", shown)
        if isinstance(fields.get("url"), str | Upload):
            return ImageURL(fields["url"], fields.get("detail"))
    return None


def _pixels(name: str, value: object) -> int | None:
    """Check a number of pixels."""
    if value is None:
        return None
    try:
        number = 0 if isinstance(value, bool) else operator.index(cast("Any", value))
    except TypeError:
        number = 0
    if number < 1:
        example = f", such as {name}={int(value)}" if isinstance(value, str) and value.strip().isdecimal() else ""
        raise MediaError(
            f"{name} is {printable(repr(value), 60)}; it must be a whole number of pixels, at least 1{example}."
        )
    return number


def _file_object(source: Any, what: _What) -> tuple[_Content, str | None]:
    read = getattr(source, "read", None)
    if not callable(read):
        hint = ""
        if hasattr(source, "__array_interface__"):
            hint = " Of an array PIL.Image.fromarray(…) makes a picture."
        elif hasattr(source, "__iter__"):
            hint = f" Several are given as a list, where a call takes several {what}s: list(…)."
        shown = "" if isinstance(source, type) or hasattr(source, "__iter__") else f" ({printable(repr(source), 60)})"
        raise MediaError(
            f"A {type(source).__name__} is not a {what} that can be sent{shown}: give {_CAN_BE_GIVEN[what]}.{hint}"
        )
    given = getattr(source, "filename", None) or getattr(source, "name", None)
    name = Path(given).name if isinstance(given, str) else None
    label = printable(name, 120) if name else "The file object"
    if isinstance(source, io.TextIOBase):
        raise _in_text_mode(label)
    if inspect.iscoroutinefunction(read):
        inner = getattr(source, "file", None) or getattr(source, "wrapped", None)  # starlette's and anyio's names
        if not hasattr(inner, "read"):
            return _Flow(source, label), name
        source = inner
    with _readable(label):
        seekable = hasattr(source, "seekable") and source.seekable()
    return (_Stream if seekable else _Flow)(source, label), name


def named_picture(prompt: object) -> bool:
    """Return whether what was given as a prompt is the name or the address of a picture, and nothing else."""
    if not isinstance(prompt, str):
        return False
    text = prompt.strip()
    addressed = re.match(r"https?://\S+\Z|data:image/", text, re.IGNORECASE) is not None
    return addressed or (re.search(r"\s", text) is None and _PICTURE_NAME.search(text) is not None)


def _web_address(text: str) -> str | None:
    """Give an http(s) URL without the space around it, None for other text; refuse one that cannot be fetched."""
    url = text.strip()
    if not re.match(r"https?://", url, re.IGNORECASE):
        return None
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host or " " in url or not url.isprintable():
        raise MediaError(
            f"{printable(url, 120)} is no URL that can be fetched: it needs a host,"
            " and spaces and control characters must be percent-encoded."
        )
    return url


def _binary(piece: object, label: str) -> bytes:
    if isinstance(piece, str):
        raise _in_text_mode(label)
    return piece or b""  # type: ignore[return-value]  # What else a file's read gives is bytes, or None for no more.


def _in_text_mode(label: str) -> MediaError:
    return MediaError(f"{label} is open as text, and it is none. Open it with open(…, 'rb').")


def _changed(label: str, before: int | None = None, now: int | None = None) -> MediaError:
    sizes = "" if before is None or before == now else f" (it had {before} bytes, and now {now})"
    return MediaError(f"{label} changed while it was being sent{sizes}. Try again when nobody writes to it.")


def _amount(size: int) -> str:
    """Say a number of bytes in decimal units: 512 B, 1.2 MB."""
    if size < 1000:  # noqa: PLR2004  (a thousand is what a kilo is)
        return f"{size} B"
    return f"{size / 1e3:.1f} kB" if size < 999_950 else f"{size / 1e6:.1f} MB"  # noqa: PLR2004  (where kB rounds up)


def _state(descriptor: int) -> _State:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns, status.st_ino


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that took its place in the meantime must not hold the thread."""
    return os.open(path, flags | _NONBLOCK)


@contextlib.contextmanager
def _readable(label: str, path: str = "") -> Generator[None]:
    """Make a MediaError of what the operating system says, and of what a closed file says."""
    try:
        yield
    except MediaError:
        raise
    except FileNotFoundError as error:
        raise MediaError(f"There is no file {label}.{_path_hint(path)}") from error
    except PermissionError as error:
        raise MediaError(f"{label} may not be read. Check its rights, and those of the folders above it.") from error
    except (OSError, ValueError) as error:
        why = printable(getattr(error, "strerror", None) or str(error), 200)
        if out_of_descriptors(error):
            why = NO_DESCRIPTORS
        raise MediaError(f"{label} cannot be read: {why}.{_path_hint(path)}") from error


def _path_hint(path: str) -> str:
    if not path:
        return ""
    if re.match(r"https?:[/\\]", path):
        return " A URL is given as a str, not as a Path."
    if kinds.BASE64.fullmatch(path[:200]):
        return " It looks like base64: give base64.b64decode(…) of it, or write 'data:image/png;base64,' before it."
    if "\0" in path or "\ufffd" in path:
        return " It is no path but bytes decoded as text: give the bytes themselves."
    hint = ""
    if re.search(r"\s|[?？。!！]\Z", path) and not re.search(r"\.\w{1,5}\Z", path):
        hint = " If it is the prompt: the picture comes first, then the prompt."
    if Path(path).is_absolute() or len(path) > _LONGEST_SHOWN:
        return hint
    with contextlib.suppress(OSError):  # The folder may be gone.
        hint = f" Looked in {printable(os.getcwd(), 200)}.{hint}"  # noqa: PTH109  (a str is all that is shown)
    return hint
