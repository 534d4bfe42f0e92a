"""Images and audio in a cassette: found in bodies, written as a digest, and replayed as a stand-in.

A digest reads ``{{tutu image/png 640x480 12345 bytes sha256:…}}``. In text it stands for base64, whether in a data URI
or in a field such as ``b64_json``; where it is the whole body or a file of a form, for the bytes themselves.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from functools import partial

from tutuclient.media.kinds import HEAD_BYTES, audio_mime, image_mime, tag_bytes
from tutuclient.testing.cassettes.blanks import blank

_DIGEST = re.compile(r"\{\{tutu ([\w.+/-]+)(?: ([\w-]+))? (\d+) bytes sha256:([0-9a-f]{64})\}\}")
_LETTERS = r"(?:[A-Za-z0-9+/=_-]++|\\[/nr])"
# PHP writes a slash in JSON as "\/", and some servers break base64 into lines. No word of a text has 64 letters.
_BASE64 = re.compile(rf"(?<=;base64,){_LETTERS}+|(?:[A-Za-z0-9+/=_-]|\\[/nr]){{64,}}+")
_KEY = re.compile(r'"(\w+)\\?"\s*:\s*\\?"$')
_MEDIA_KEYS = frozenset({"b64_json", "partial_image_b64", "data", "audio", "image", "image_base64", "base64", "b64"})
# What a frame header of MP3 or AAC looks like, random bytes do too: an embedding in base64 must stay what it is.
_WEAK = frozenset({"audio/mpeg", "audio/aac"})
_NAMES_TYPE = re.compile(r"data:([\w.+-]+/[\w.+-]+)[^,]*;base64,$")
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
    return _BASE64.sub(partial(_replaced, whole=whole), text)


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


def _replaced(found: re.Match[str], *, whole: bool) -> str:
    before = found.string[max(0, found.start() - 100) : found.start()]
    named = _NAMES_TYPE.search(before)
    key = _KEY.search(before)
    letters = re.sub(r"\\[nr]|=+$", "", found[0].replace("\\/", "/")).translate(str.maketrans("-_", "+/"))
    try:
        data = base64.b64decode(letters + "=" * (-len(letters) % 4))
    except (binascii.Error, ValueError):
        return found[0]
    mime = mime_of(data)
    keyed = key is not None and key[1] in _MEDIA_KEYS
    if not named and not keyed and (mime is None or mime in _WEAK or (key and key[1] == "embedding")):
        return found[0]
    if not whole and mime is not None and not _has_its_end(data, mime):
        return found[0]
    return digest(data, named[1] if named else None)


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
