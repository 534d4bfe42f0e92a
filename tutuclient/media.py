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
import codecs
import contextlib
import hashlib
import inspect
import io
import mimetypes
import os
import re
import stat
import sys
import threading
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, Protocol, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from anyio import CapacityLimiter, Lock
from anyio.lowlevel import RunVar, checkpoint

from tutuclient import files
from tutuclient.errors import MediaError, printable
from tutuclient.limits import DESCRIPTORS_ADVICE, in_thread, out_of_descriptors
from tutuclient.types import AudioPart, FileData, FilePart, ImagePart, ImageURL, InputAudio

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
    "picture_mime",
    "sound_mime",
]

PictureSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | AsyncReadable | PIL.Image.Image | Upload"
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

_HEAD_BYTES = 512
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
_BASE64 = re.compile(r"(iVBORw0KGg|/9j/|R0lGOD|UklGR|Qk|SUkq|TU0A|AAAA)[A-Za-z0-9+/=_\s-]{36,}")
"""How the base64 of a picture begins."""

_ORIENTATION = 0x0112
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

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
)
_BRANDS = (
    ({b"avif", b"avis"}, "image/avif"),
    ({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}, "image/heic"),
    ({b"mif1", b"msf1"}, "image/heif"),
)
"""Of the ftyp box, the first hit first: AVIF and HEIC files name the brands of HEIF beside their own."""

_SOUND_STARTS = (
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ADIF", "audio/aac"),
    (b"#!AMR", "audio/amr"),
    (b"caff", "audio/x-caf"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "audio/x-ms-wma"),
    (b"\0\0\x01\xba", "video/mpeg"),
)
_NOT_KNOWN = "of a kind not known here"
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_OTHERS = (
    (re.compile(rb"%PDF-"), "a PDF; draw its pages first"),
    (re.compile(rb"PK(\x03\x04|\x05\x06)"), "a zip archive, or an office document"),
    (re.compile(rb"\x1f\x8b"), "gzip; unpack it first"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c|Rar!|\xfd7zXZ\0|BZh|\x28\xb5\x2f\xfd"), "an archive; unpack it first"),
    (re.compile(rb"....ftyp", re.DOTALL), "a video (MP4 or QuickTime)"),
    (re.compile(rb"\x1aE\xdf\xa3|RIFF....AVI ", re.DOTALL), "a video"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "a JPEG XL picture; convert it first"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "a JPEG 2000 picture; convert it first"),
    (re.compile(rb"\0\0[\x01\x02]\0"), "an icon or a cursor; convert it first"),
    (re.compile(rb"8BPS"), "a Photoshop document; convert it first"),
    (re.compile(rb"\x7fELF|MZ"), "a program"),
    (re.compile(rb"\0+\Z"), "nothing but zeros, as after an interrupted download"),
)
_TEXTS = (
    (re.compile(r"\s*<(!doctype html|html|head|body)", re.IGNORECASE), "HTML, perhaps an error page that was saved"),
    (
        re.compile(r"\s*(<\?xml.*?\?>\s*)?(<!--.*?-->\s*)*<(!doctype )?svg", re.DOTALL | re.IGNORECASE),
        "SVG; draw it first",
    ),
    (re.compile(r"\s*<\?xml"), "XML"),
    (re.compile(r"\s*[{\[]"), "JSON"),
    (re.compile(r"version https://git-lfs"), "a pointer of Git LFS; git lfs pull brings the picture"),
    (re.compile(r"data:"), "a data URI in a file; give its text, or the bytes in it"),
    (_BASE64, "base64; decode it first (base64.b64decode)"),
)
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
) -> ImagePart:
    """Make the part of a message that shows a picture. Reads nothing yet.

    An http or https URL goes to the relay as it is, and the relay fetches it.
    Everything else becomes an ``Upload``, which is read when the call is made.

    Args:
        source: A path, an http(s) URL, a data URI, the bytes of a picture, a binary file object or a Pillow image.
            An ``Upload`` may be used in several calls.
        detail: How closely the model should look. None leaves it to the relay, and several take "high" then.
        max_side: Pixels that the longer side may have; a larger picture is made smaller (see ``Upload``).
            None sends every picture as it is.

    Raises:
        MediaError: What is given is of no such kind, or ``max_side`` was given for a URL or for an ``Upload``.

    Source: ``POST /chat/completions``, part ``image_url``.
    """
    if isinstance(source, Upload):
        if max_side is not None:
            raise MediaError("max_side belongs to the Upload: write Upload(source, max_side=…).")
        return ImagePart(ImageURL(source, detail))
    url = _web_address(source) if isinstance(source, str) else None
    if url is None:
        return ImagePart(ImageURL(Upload(source, max_side=max_side), detail))
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
    Pillow can write it, else it is PNG; the colour profile stays, other metadata
    goes, and of an animation the first frame remains. A picture that fits and
    stands upright is sent byte for byte. As many pictures are drawn at a time as
    there are processors, in threads; only while Pillow takes memory for the pixels
    the event loop has to wait, some 10 ms for 10 megapixels.

    An upload can be pickled when its source can: a path, bytes, a data URI, a
    Pillow image. The copy is not opened.

    Args:
        source: As for ``image``, but no http(s) URL.
        max_side: Pixels that the longer side may have, at least 1; None sends the picture as it is. Needs Pillow.

    Attributes:
        name: The file's name without its folders, or None.

    Raises:
        MediaError: The source is of no kind that can be sent. Everything that needs reading is said by ``open``.
    """

    name: str | None = None
    _what: ClassVar[_What] = "picture"

    def __init__(self, source: PictureSource, *, max_side: int | None = None) -> None:
        if max_side is not None and max_side < 1:
            raise MediaError(f"max_side is {max_side!r}; it must be a number of pixels, at least 1.")
        self._source = source
        self._max_side = max_side
        self._sent: _Content | None = None  # First, as the frames of what is refused below are shown with their locals.
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
            sent, mime = self._origin, self._kind(head if size else b"")
            if self._max_side is not None:
                fitted = await _draw(partial(_fitted, sent, self._max_side))
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
        return files.named(self.name or "picture", self.mime)

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

    def _kind(self, head: bytes) -> str:
        """Tell the media type by the first bytes; refuse what is no picture, and say what it seems to be."""
        label = self._origin.label
        if (mime := picture_mime(head)) is not None:
            return mime
        if not head:
            raise MediaError(f"{label} is empty.")
        raise MediaError(
            f"{label} is no picture that can be sent; it seems to be {_seems(head)}."
            " What can be sent: png, jpeg, gif, webp, bmp, tiff, avif and heic."
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"source": self._source, "max_side": self._max_side}

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
        return files.named(re.sub(r"\.opus\Z", ".ogg", name, flags=re.IGNORECASE), mime)

    @property
    def format(self) -> str:
        """The short name of what it is, such as "mp3" or "wav"; once opened."""
        return files.EXTENSIONS.get(self.mime, (self.mime.rpartition("/")[2],))[0].removeprefix(".")

    def _lead(self) -> bytes:
        return b""

    def _kind(self, head: bytes) -> str:
        label = self._origin.label
        if not head:
            raise MediaError(f"{label} is empty.")
        if (mime := self._given_mime or sound_mime(head)) is not None:
            return mime
        if (seems := _seems(head)).startswith(_NOT_KNOWN) and (mime := _mime_by_name(self.name or "")) is not None:
            return mime
        raise MediaError(
            f"{label} is no sound that can be sent; it seems to be {seems}."
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

    async def look(self) -> tuple[int, bytes]:
        return await in_thread(self._look, abandon_on_cancel=True)

    def _look(self) -> tuple[int, bytes]:
        with self.whole() as file, _readable(self.label):
            if self.state is None:
                self.state = _state(file.fileno())
            return self.state[0], file.read(_HEAD_BYTES)

    def whole(self) -> io.FileIO:
        with _readable(self.label, self.path):
            mode = Path(self.path).stat().st_mode
            if stat.S_ISDIR(mode):
                raise MediaError(f"{self.label} is a directory. Give the files in it, one by one.")
            if not stat.S_ISREG(mode):
                raise MediaError(
                    f"{self.label} is a pipe, a socket or a device, which cannot be measured and read again."
                    " Give it as open(…, 'rb'): then it is read once and kept."
                )
            file = io.FileIO(self.path, opener=_without_waiting)
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
            return self._size, bytes(view[:_HEAD_BYTES])

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
        header, comma, _ = uri[:_HEAD_BYTES].partition(",")
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
                return state[0], self._take(0, min(_HEAD_BYTES, state[0]))
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


_drawing_at_once: RunVar[CapacityLimiter] = RunVar("tutuclient.media.drawing_at_once")


async def _draw(do: Callable[[], _T]) -> _T:
    """Do Pillow's work in a thread. A decoded picture is large: no more of them at a time than processors."""
    try:
        limiter = _drawing_at_once.get()
    except LookupError:
        limiter = CapacityLimiter(os.cpu_count() or 1)
        _drawing_at_once.set(limiter)
    return await in_thread(do, abandon_on_cancel=True, limiter=limiter)


def _fitted(content: _Content, max_side: int) -> bytes | None:
    """Write a picture anew, smaller and upright; None when it is so already. Runs in a thread."""
    try:
        from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  (Pillow is an extra, and slow to import)
    except ImportError as error:
        raise MediaError('max_side needs Pillow: pip install "tutuclient[images]".') from error
    with content.whole() as file, _drawable(content.label), contextlib.ExitStack() as opened:
        try:
            picture = opened.enter_context(Image.open(file))
        except UnidentifiedImageError as error:
            raise MediaError(
                f"Pillow does not know the format of {content.label}, or its header is broken."
                " For HEIC install pillow-heif and call its register_heif_opener()."
            ) from error
        # Not picture.getexif(): for a PNG that decodes the pixels.
        turned = Image.Image.getexif(picture).get(_ORIENTATION) in range(2, 9)
        if max(picture.size) <= max_side and not turned:
            return None
        form = "JPEG" if picture.format == "MPO" else picture.format
        return _written(picture, form if form in Image.SAVE else "PNG", max_side)


def _encoded(original: PIL.Image.Image, max_side: int | None, label: str) -> bytes:
    """Write a caller's image without loss, or as JPEG where it was one. Runs in a thread."""
    with _drawable(label):
        picture = original.copy()
        if original.format in {"JPEG", "MPO"} and picture.mode in {"L", "RGB", "CMYK"}:
            return _written(picture, "JPEG", max_side)
        if picture.mode in _LIKE_PNG:
            picture = picture.convert(_LIKE_PNG[picture.mode])
            picture.info.pop("icc_profile", None)
        if picture.mode not in {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}:
            raise MediaError(f"{label} has mode {picture.mode}, which no picture file holds: convert it to RGB or L.")
        return _written(picture, "PNG", max_side)


def _written(picture: PIL.Image.Image, form: str, max_side: int | None) -> bytes:
    from PIL import Image, ImageOps  # noqa: PLC0415  (as in _fitted; whoever has a picture has Pillow)

    if max_side is not None and max(picture.size) > max_side:
        mode = picture.mode
        if mode == "1":
            picture = picture.convert("L")
        elif mode in {"P", "PA"}:  # Colours from a palette cannot be mixed.
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        elif mode.startswith("I;16"):
            picture = picture.convert("I")
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        picture = picture.convert("I;16") if mode.startswith("I;16") else picture
    ImageOps.exif_transpose(picture, in_place=True)
    if form == "TIFF":
        picture = picture.copy()  # What was opened from a TIFF would hand on its tags.
    buffer = io.BytesIO()
    picture.save(buffer, form, icc_profile=picture.info.get("icc_profile"), **_SAVED_AS.get(form, {}))
    return buffer.getvalue()


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


def _file_object(source: Any, what: _What) -> tuple[_Content, str | None]:
    read = getattr(source, "read", None)
    if not callable(read):
        raise MediaError(f"A {type(source).__name__} is not a {what} that can be sent: give {_CAN_BE_GIVEN[what]}.")
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


def picture_mime(head: bytes) -> str | None:
    """Tell a picture's media type by its first bytes; None for what is no picture."""
    for start, mime in _STARTS:
        if head.startswith(start):
            return mime
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "image/bmp"
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}
        for known, mime in _BRANDS:
            if brands & known:
                return mime
    return None


def sound_mime(head: bytes) -> str | None:
    """Tell the media type of a sound, or of a film with sound, by its first bytes.

    Args:
        head: The first bytes, 64 or more where there are as many.

    Returns:
        ``audio/mpeg`` (MP3), ``audio/wav``, ``audio/ogg`` (Opus too), ``audio/flac``, ``audio/aac``, ``audio/mp4``,
        ``video/mp4``, ``video/webm`` and the like; None for what is no sound, and for sound without a header.

    Source: the signatures of the WHATWG MIME Sniffing standard, section 6.2; ISO/IEC 11172-3, section 2.4.1.3 and
    13818-7, annex 1.2, for the sync words of MP3 and ADTS.
    """
    for start, mime in _SOUND_STARTS:
        if head.startswith(start):
            return mime
    if head[:4] in {b"RIFF", b"RF64"} and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        return "audio/aiff"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head[4:8] == b"ftyp" and picture_mime(head) is None:
        brand = head[8:12]
        return "video/quicktime" if brand == b"qt  " else "audio/mp4" if brand[:3] in {b"M4A", b"M4B"} else "video/mp4"
    return _sync_mime(head)


def _mime_by_name(name: str) -> str | None:
    """Say what a sound is taken for whose bytes tell nothing: an mp3 may begin with rubbish."""
    ending = f".{name.rpartition('.')[2].lower()}"
    sounds = ((mime, endings) for mime, endings in files.EXTENSIONS.items() if not mime.startswith("image/"))
    return next((mime for mime, endings in sounds if ending in endings), None)


def _sync_mime(head: bytes) -> str | None:
    """Know MP3 and AAC by the header of a first frame: eleven or twelve bits are set, and what follows makes sense."""
    if len(head) < 4 or head[0] != 0xFF:  # noqa: PLR2004  (the header's four bytes, the first all ones)
        return None
    if head[1] & 0xF6 == 0xF0:  # noqa: PLR2004  (ADTS: twelve ones, layer 0)
        return "audio/aac"
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, frequency = head[2] >> 4, head[2] >> 2 & 3
    # Layer 3 and 2; the first is nobody's, and would take UTF-16 for sound.
    known = head[1] >= 0xE0 and version != 1 and layer in {1, 2} and rate not in {0, 15} and frequency != 3  # noqa: PLR2004  (as above)
    return "audio/mpeg" if known else None


def _seems(head: bytes) -> str:
    for kind, mime in (("picture", picture_mime(head)), ("sound", sound_mime(head))):
        if mime is not None and not mime.startswith("video/"):
            return f"a {kind} ({mime})"
    for pattern, what in _OTHERS:
        if pattern.match(head):
            return what
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "text (UTF-16)"
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        text = None
    if text is None or any(character < " " and character not in "\t\n\r\f\x1b" for character in text):
        return f"{_NOT_KNOWN} (it begins with {head[:8].hex(' ')})"
    return next((what for pattern, what in _TEXTS if pattern.match(text)), "text")


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
            why = f"too many files and connections are open; {DESCRIPTORS_ADVICE}"
        raise MediaError(f"{label} cannot be read: {why}.{_path_hint(path)}") from error


def _path_hint(path: str) -> str:
    if re.match(r"https?:[/\\]", path):
        return " A URL is given as a str, not as a Path."
    if _BASE64.fullmatch(path[:200]):
        return " It looks like base64: give base64.b64decode(…) of it, or write 'data:image/png;base64,' before it."
    return ""
