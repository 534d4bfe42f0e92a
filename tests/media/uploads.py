"""Files, bytes and helpers for the tests of what is sent."""

from __future__ import annotations

import base64
import io
import os
import wave
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tutuclient.errors import MediaError
from tutuclient.media.upload import Upload

PNG = b"\x89PNG\r\n\x1a\n"
FTYP = b"\0\0\0\x1cftyp"
DEV = Path("/proc/self/fd")
needs_proc = pytest.mark.skipif(not DEV.exists(), reason="counts open files in /proc")
posix = pytest.mark.skipif(os.name != "posix", reason="pipes and modes of POSIX")


def png(size: int) -> bytes:
    """Return something that begins like a PNG and is of this size."""
    return (PNG + os.urandom(max(size - len(PNG), 0)))[:size]


DATA = png(1000)
WAV = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\x08\0\0\0" + bytes(8)
MP3 = b"ID3\x04\0\0\0\0\0\0" + bytes(range(256))
OGG = b"OggS\0\x02" + bytes(22) + b"OpusHead"
EVERY_BYTE = PNG + bytes(range(256)) * 2
LAYER_ONE = b"\xff\xff\xc0\x04" + bytes(412)
"""A silent frame of MPEG audio, layer I, at 384 kbit/s and 44.1 kHz."""


def tga(kind: int, depth: int) -> bytes:
    """Return the beginning of a TGA of 3 x 2 pixels; type 2 begins as a cursor does."""
    return bytes([0, 0, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 2, 0, depth, 0]) + bytes([200]) * 24


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def replace(path: Path, data: bytes) -> None:
    """Replace a file by another of the same time."""
    other = put(path.with_name("other"), data)
    os.utime(other, ns=(0, path.stat().st_mtime_ns))
    other.replace(path)


def take_away(path: Path) -> None:
    path.unlink()


def opening(path: Path, mode: str = "rb", buffering: int = -1) -> Any:
    return path.open(mode, buffering)


def uri(data: bytes, mime: str = "image/png") -> bytes:
    return f"data:{mime};base64,".encode() + base64.b64encode(data)


async def sent(upload: Upload) -> bytes:
    await upload.open()
    whole = b"".join([piece async for piece in upload.pieces()])
    assert len(whole) == upload.encoded_size
    assert upload.describe().startswith(f"<{upload.mime} ")
    assert upload.inline() in {None, whole}
    return whole


async def refusal(source: Any, **options: Any) -> MediaError:
    with pytest.raises(MediaError) as caught:
        await Upload(source, **options).open()
    assert caught.value.outcome == "not_sent"
    assert str(caught.value).isprintable()
    return caught.value


def picture(form: str, size: tuple[int, int] = (40, 20), mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    drawn = Image.new(mode, size)
    drawn.paste(Image.new(mode, (size[0] // 2, size[1]), 200 if mode in {"L", "I;16"} else "red"), (0, 0))
    drawn.save(buffer, form, **options)
    return buffer.getvalue()


def turned(form: str, size: tuple[int, int] = (40, 20)) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a maker"
    return picture(form, size, exif=exif)


async def decoded(upload: Upload) -> Image.Image:
    data = base64.b64decode((await sent(upload)).partition(b",")[2])
    assert len(data) == upload.size_bytes
    drawn = Image.open(io.BytesIO(data))
    assert drawn.get_format_mimetype() == upload.mime
    return drawn


def from_disk_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_in_cache(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "preadv", not_in_cache, raising=False)


def opens_with(monkeypatch: pytest.MonkeyPatch, kind: type[io.FileIO]) -> None:
    """Open the files that are saved as objects of this class: what it does is what the disk does."""

    def opened(path: Path, mode: str) -> io.FileIO:
        return kind(path, mode)

    monkeypatch.setattr(Path, "open", opened)


class OneWay(io.RawIOBase):
    """A pipe's end: it gives a little at a time, once."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def read(self, size: int = -1) -> bytes:
        given, self._rest = self._rest[: min(size, 300)], self._rest[min(size, 300) :]
        return given


class Awaited:
    """A file object whose ``read`` is awaited."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    async def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)


def wav(frames: int = 24_000, *, size: int | None = None) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24_000)
        writer.writeframes(bytes(2 * frames))
    data = file.getvalue()
    return data if size is None else data[:40] + size.to_bytes(4, "little") + data[44:]
