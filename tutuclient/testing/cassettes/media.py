"""Images and audio in a cassette: found in bodies, written as a digest, and replayed as a stand-in.

A digest reads ``{{tutu image/png 640x480 12345 bytes sha256:…}}``. In text it stands for base64, whether in a data URI
or in a field such as ``b64_json``; where it is the whole body or a file of a form, for the bytes themselves.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import string
import struct
from typing import TYPE_CHECKING

from tutuclient.media.kinds import HEAD_BYTES, audio_mime, image_mime, tag_bytes
from tutuclient.testing.cassettes.blanks import blank
from tutuclient.testing.cassettes.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DIGEST = re.compile(r"\{\{tutu ([\w.+/-]+)(?: ([\w-]+))? (\d+) bytes sha256:([0-9a-f]{64})\}\}")
# PHP writes a slash in JSON as "\/", and some servers break base64 into lines. No word of a text has 64 letters.
_LETTERS = (string.ascii_letters + string.digits + "+/=_-").encode()
_SHORTEST = 64
_LONG = Runs(_LETTERS + b"\\", _SHORTEST)
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/=_-]++|\\[/nr])++")
_IN_DATA_URIS = re.compile(rb";base64,(?P<letters>(?:[A-Za-z0-9+/=_-]++|\\[/nr])++)")
_KEY = re.compile(rb'"(\w+)\\?"\s*:\s*\\?"$')
_MEDIA_KEYS = frozenset(
    {b"b64_json", b"partial_image_b64", b"data", b"audio", b"image", b"image_base64", b"base64", b"b64"}
)
_USUAL = bytes.maketrans(b"-_", b"+/")
# What a frame header of MP3 or AAC looks like, random bytes do too: an embedding in base64 must stay what it is.
_WEAK = frozenset({"audio/mpeg", "audio/aac"})
_NAMES_TYPE = re.compile(rb"data:([\w.+-]+/[\w.+-]+)[^,]*;base64,$")
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


def digest(data: bytes, mime: str | None = None) -> str:
    """Return what stands in a cassette for an image, audio or another file.

    Args:
        data: Its bytes.
        mime: Its media type where its bytes do not tell.
    """
    told = mime_of(data) or mime or "application/octet-stream"
    form = _form(data, told)
    words = [told, *[form] * bool(form), str(len(data)), f"bytes sha256:{hashlib.sha256(data).hexdigest()}"]
    return f"{{{{tutu {' '.join(words)}}}}}"


def mime_of(data: bytes) -> str | None:
    """Return the media type of an image or audio by its first bytes; None for all else."""
    return image_mime(data[:HEAD_BYTES]) or audio_mime(data[:HEAD_BYTES])


def without_media(text: str, *, whole: bool = True) -> str:
    """Return a text with digests in the place of base64.

    Args:
        text: JSON, events or plain text.
        whole: False for a part of a stream: an image that goes on in the next part is left as it is there.
    """
    data = text.encode("utf-8", "surrogatepass")
    data = _replaced(data, (found.span("letters") for found in _IN_DATA_URIS.finditer(data)), whole=whole)
    data = _replaced(data, _long(data), whole=whole)
    return data.decode("utf-8", "surrogatepass")


def _long(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where what may be base64 begins and ends."""
    for start, end in _LONG.find(data):
        for found in _BASE64.finditer(data, start, end):
            if found.end() - found.start() >= _SHORTEST:
                yield found.span()


def _replaced(data: bytes, spans: Iterable[tuple[int, int]], *, whole: bool) -> bytes:
    kept, last = list[bytes](), 0
    for start, end in spans:
        if (made := _digest_of(data, start, end, whole=whole)) is not None:
            kept += data[last:start], made.encode()
            last = end
    return b"".join([*kept, data[last:]]) if kept else data


def with_stand_ins(text: str) -> str:
    """Return a text with the base64 of stand-ins in the place of digests."""
    return _DIGEST.sub(lambda found: base64.b64encode(_stand_in(found)).decode(), text)


def stand_in(text: str) -> bytes:
    """Return the stand-in for what a digest describes, as bytes.

    Raises:
        ValueError: The text is no digest.
    """
    found = _DIGEST.fullmatch(text)
    if found is None:
        raise ValueError(f"not a digest of this format: {text[:100]!r}")
    return _stand_in(found)


def _stand_in(found: re.Match[str]) -> bytes:
    return blank(found[1], found[2] or "", int(found[3]), found[4])


def _digest_of(text: bytes, start: int, end: int, *, whole: bool) -> str | None:
    """Return the digest of an image, audio or another file that is written in base64; None for all else."""
    before = text[max(0, start - 100) : start]
    named = _NAMES_TYPE.search(before)
    key = _KEY.search(before)
    letters = text[start:end]
    for written, meant in ((b"\\/", b"/"), (b"\\n", b""), (b"\\r", b"")):
        letters = letters.replace(written, meant)
    letters = letters.rstrip(b"=").translate(_USUAL)
    try:
        data = base64.b64decode(letters + b"=" * (-len(letters) % 4))
    except (binascii.Error, ValueError):
        return None
    mime = mime_of(data)
    keyed = key is not None and key[1] in _MEDIA_KEYS
    if not named and not keyed and (mime is None or mime in _WEAK or (key and key[1] == b"embedding")):
        return None
    if not whole and mime is not None and not _has_its_end(data, mime):
        return None
    return digest(data, named[1].decode() if named else None)


def _has_its_end(data: bytes, mime: str) -> bool:
    """Return whether an image is there to its end, as far as its kind tells that."""
    if mime == "image/webp":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    ends = {"image/png": b"IEND", "image/jpeg": b"\xff\xd9", "image/gif": b"\x3b"}
    return ends[mime] in data[-64:] if mime in ends else True


def _form(data: bytes, mime: str) -> str:
    try:
        if mime.startswith("image/"):
            return _pixels(data, mime)
        if mime == "audio/wav":
            at = data.index(b"fmt ", 12, 1024) + 10
            channels, rate, _, _, bits = struct.unpack_from("<HIIHH", data, at)
            return f"{rate}Hz-{channels}ch-{bits}bit"
        if mime == "audio/mpeg":
            at = tag_bytes(data[:HEAD_BYTES]) or 0
            return data[at : at + 4].hex()
    except (ValueError, IndexError, struct.error):
        pass  # It is cut off, or not what it begins like.
    return ""


def _pixels(data: bytes, mime: str) -> str:
    width = height = 0
    if mime == "image/png":
        width, height = struct.unpack_from(">II", data, 16)
    elif mime == "image/gif":
        width, height = struct.unpack_from("<HH", data, 6)
    elif mime == "image/bmp":
        width, height = struct.unpack_from("<ii", data, 18)
    elif mime == "image/jpeg":
        height, width = struct.unpack_from(">HH", data, _jpeg_frame(data) + 5)
    elif data[12:16] == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif data[12:16] == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return f"{width}x{abs(height)}" if width else ""


def _jpeg_frame(data: bytes) -> int:
    """Return where the header of a JPEG's frame begins (ITU-T T.81, B.2.2).

    Raises:
        ValueError: It has none.
    """
    at = 2
    while (at := data.index(b"\xff", at)) + 4 <= len(data):
        kind = data[at + 1]
        if kind in _JPEG_FRAMES:
            return at
        if kind == 0xFF:  # noqa: PLR2004  (fill bytes may stand before a marker)
            at += 1
        elif kind in _JPEG_ALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise ValueError("no frame")
