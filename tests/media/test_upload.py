"""What ``media.upload`` promises: the same bytes from every source, in pieces, and an error for what is none."""

from __future__ import annotations

import asyncio
import base64
import builtins
import errno
import gc
import importlib.util
import io
import json
import os
import pickle
import stat
import struct
import sys
import tempfile
import threading
import time
import traceback
import tracemalloc
import zipfile
import zlib
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from starlette.datastructures import UploadFile

from tutuclient import wire
from tutuclient.errors import MediaError
from tutuclient.media import upload as media
from tutuclient.media.kinds import sound_mime
from tutuclient.media.upload import Document, PictureSource, Recording, SoundSource, Upload, audio, image
from tutuclient.media.upload import file as file_part

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import ModuleType

    from tutuclient.types import AudioPart

PNG = b"\x89PNG\r\n\x1a\n"
FTYP = b"\0\0\0\x1cftyp"
DEV = Path("/proc/self/fd")
needs_proc = pytest.mark.skipif(not DEV.exists(), reason="counts open files in /proc")
posix = pytest.mark.skipif(os.name != "posix", reason="pipes and modes of POSIX")


def png(size: int) -> bytes:
    """Make something that begins like a PNG and is of this size."""
    return (PNG + os.urandom(max(size - len(PNG), 0)))[:size]


DATA = png(1000)
EVERY_BYTE = PNG + bytes(range(256)) * 2

LAYER_ONE = b"\xff\xff\xc0\x04" + bytes(412)
"""A silent frame of MPEG audio, layer I, at 384 kbit/s and 44.1 kHz."""


def tga(kind: int, depth: int) -> bytes:
    """Make the beginning of a TGA of 3 x 2 pixels; type 2 begins as a cursor does."""
    return bytes([0, 0, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 2, 0, depth, 0]) + bytes([200]) * 24


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def replace(path: Path, data: bytes) -> None:
    """Put another file of the same time in a file's place."""
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


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(media, "PIECE_BYTES", 12)
    return 12


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return put(tmp_path / "cat.png", DATA)


@pytest.fixture
def fds() -> Callable[[], int]:
    return lambda: len(list(DEV.iterdir()))


def from_disk_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_in_cache(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "preadv", not_in_cache, raising=False)


# The part.


@pytest.mark.parametrize("url", ["https://host/cat.png", "HTTP://host", "https://host/猫.png?a=b"])
def test_a_url_goes_to_the_relay_as_it_is(url: str) -> None:
    assert image(f" {url}\n", detail="high").image_url.url == url
    assert image(url, detail="high").image_url.detail == "high"


@pytest.mark.parametrize(
    "url", ["https://", "https:///cat.png", "http://[::1", "https://host/a b", "https://host/a\tb"]
)
def test_a_url_nobody_could_fetch_is_refused(url: str) -> None:
    with pytest.raises(MediaError, match="no URL that can be fetched") as caught:
        image(url)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("file:///tmp/cat.png", "give the path itself"),
        ("ftp://host/cat.png", "only http and https"),
        ("s3://bucket/cat.png", "only http and https"),
        ("s3://bucket/\x1b[31mcat.png", "only http and https"),
        ("data:image/png,raw", "only base64"),
        ("data:image/svg+xml;utf8,<svg/>", "only base64"),
        ("data:", "only base64"),
        (None, "A NoneType is not a picture"),
        (42, "Pillow image"),
        (io.StringIO("x"), "'rb'"),
    ],
)
def test_what_cannot_be_a_picture_is_refused_at_once(source: Any, hint: str) -> None:
    with pytest.raises(MediaError, match=hint) as caught:
        image(source)
    assert str(caught.value).isprintable()


def test_an_uploaded_url_is_refused() -> None:
    with pytest.raises(MediaError, match=r"give it to image\(\)"):
        Upload("https://host/cat.png")


def test_max_side_is_refused_where_it_could_do_nothing() -> None:
    with pytest.raises(MediaError, match="the relay fetches a URL by itself"):
        image("https://host/cat.png", max_side=100)
    with pytest.raises(MediaError, match="belongs to the Upload"):
        image(Upload(PNG), max_side=100)
    with pytest.raises(MediaError, match="at least 1"):
        image(PNG, max_side=0)


def test_an_upload_is_used_as_it_is() -> None:
    upload = Upload(PNG)
    assert image(upload, detail="low").image_url.url is upload


def test_making_a_part_reads_nothing() -> None:
    assert isinstance(image("/no/such/file.png").image_url.url, Upload)


# The same bytes, whatever they come from.


def from_zip(_: Path) -> Any:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat.png", DATA)
    return zipfile.ZipFile(buffer).open("cat.png")


def at_offset(_: Path) -> io.BytesIO:
    file = io.BytesIO(b"before it" + DATA)
    file.seek(9)
    return file


def spooled(_: Path) -> Any:
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115  (it is in memory)
    file.write(DATA)
    file.seek(0)
    return file


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


class Bare:
    """The least that can be read."""

    name = 3

    def __init__(self, data: bytes) -> None:
        self.read = io.BytesIO(data).read


SOURCES: dict[str, Callable[[Path], Any]] = {
    "path": lambda path: path,
    "str": str,
    "bytes": lambda _: DATA,
    "bytearray": lambda _: bytearray(DATA),
    "memoryview": lambda _: memoryview(DATA),
    "memoryview of a part": lambda _: memoryview(b"xx" + DATA)[2:],
    "memoryview with steps": lambda _: memoryview(
        bytes(byte for pair in zip(DATA, DATA, strict=True) for byte in pair)
    )[::2],
    "memoryview of numbers": lambda _: memoryview(DATA).cast("I"),
    "data URI": lambda _: f"\n{uri(DATA).decode()} ",
    "data URI with a wrong type": lambda _: "DATA:text/plain;charset=x;base64," + base64.b64encode(DATA).decode(),
    "BytesIO": lambda _: io.BytesIO(DATA),
    "BytesIO at an offset": at_offset,
    "spooled": spooled,
    "entry of a zip": from_zip,
    "starlette's UploadFile": lambda _: UploadFile(io.BytesIO(DATA), filename="../cat.png"),
    "pipe": lambda _: OneWay(DATA),
    "async": lambda _: Awaited(DATA),
    "bare": lambda _: Bare(DATA),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("pieces", [12, media.PIECE_BYTES])
async def test_every_source_gives_the_same_twice(
    kind: str, pieces: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "PIECE_BYTES", pieces)
    path = put(tmp_path / "cat.png", DATA)
    source = SOURCES[kind](path)
    upload = Upload(source)
    assert await sent(upload) == uri(DATA)
    assert await sent(upload) == uri(DATA)
    assert (upload.mime, upload.size_bytes) == ("image/png", 1000)
    if isinstance(source, io.IOBase):
        source.close()


async def test_opened_files_of_every_make_are_read_and_left_open(file: Path) -> None:
    with (
        opening(file) as buffered,
        opening(file, buffering=0) as raw,
        opening(file, "r+b") as both,
        tempfile.NamedTemporaryFile() as named,
    ):
        named.write(b"before it" + DATA)
        named.seek(9)
        for source in (buffered, raw, both, named):
            upload = Upload(cast("PictureSource", source))
            stood = source.tell()
            await upload.open()
            assert source.tell() == stood
            assert upload.inline() is None
            assert await sent(upload) == uri(DATA)
            assert source.tell() == stood
            assert not source.closed
    async with await anyio.open_file(file, "rb") as wrapped:
        upload = Upload(wrapped)
        assert upload.name == "cat.png"
        await upload.open()
        assert upload.inline() is None  # It is not kept.
        assert await sent(upload) == uri(DATA)


async def test_passes_at_the_same_time_do_not_mix(file: Path, small_pieces: int) -> None:
    with opening(file) as handle:
        for upload in (Upload(file), Upload(handle), Upload(DATA)):
            results: list[bytes] = []

            async def one(upload: Upload = upload, results: list[bytes] = results) -> None:
                results.append(await sent(upload))

            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(one)
            assert results == [uri(DATA)] * 5
        assert handle.tell() == 0
    assert small_pieces == 12


@pytest.mark.parametrize("around", [1, 2, 3])
@pytest.mark.parametrize("off", range(-5, 6))
async def test_sizes_around_the_borders_of_pieces(around: int, off: int, tmp_path: Path) -> None:
    data = png(media.PIECE_BYTES * around + off)
    path = put(tmp_path / "x", data)
    for source in (path, data, io.BytesIO(data)):
        assert await sent(Upload(source)) == uri(data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(rest=st.binary(max_size=100), third=st.integers(1, 20))
def test_any_size_in_any_pieces(rest: bytes, third: int, tmp_path: Path) -> None:
    data = PNG + rest
    path = put(tmp_path / "x", data)

    async def check() -> None:
        sources: list[Any] = [path, data, io.BytesIO(data), uri(data).decode(), OneWay(data)]
        for source in sources:
            upload = Upload(source)
            await upload.open()
            pieces = [piece async for piece in upload.pieces()]
            assert b"".join(pieces) == uri(data)
            assert len(b"".join(pieces)) == upload.encoded_size
            assert len(pieces) == -(-len(data) // (3 * third))
            assert upload.inline() == (None if isinstance(source, Path | io.BytesIO) else uri(data))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media, "PIECE_BYTES", 3 * third)
        asyncio.run(check())


@pytest.mark.parametrize("faster", [True, False])
async def test_pybase64_is_used_when_it_is_there_and_not_missed(
    faster: bool, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not faster:
        monkeypatch.setitem(sys.modules, "pybase64", None)
    copy = anew()
    assert (copy.b64encode is base64.b64encode) is not faster
    upload = copy.Upload(file)
    assert await sent(upload) == uri(DATA)
    assert await sent(copy.Upload(DATA)) == uri(DATA)


def anew() -> ModuleType:
    """Import ``media`` a second time, beside the one that everybody shares."""
    spec = importlib.util.spec_from_file_location("media_anew", media.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_only_a_small_picture_in_memory_is_given_inline(tmp_path: Path) -> None:
    small, large = png(48 * 1024), png(48 * 1024 + 1)
    path = put(tmp_path / "x.png", small)
    for source, expected in ((small, uri(small)), (large, None), (path, None), (io.BytesIO(small), None)):
        upload = Upload(source)
        await upload.open()
        assert upload.inline() == expected


# What the first bytes tell.


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "image/bmp"),
        (b"II*\0\x08", "image/tiff"),
        (b"MM\0*\0\0", "image/tiff"),
        (b"II+\0\x08", "image/tiff"),
        (b"MM\0+\0\x08", "image/tiff"),
        (FTYP + b"avif\0\0\0\0mif1miaf", "image/avif"),
        (FTYP + b"mif1\0\0\0\0mif1avif", "image/avif"),
        (FTYP + b"heic\0\0\0\0mif1heic", "image/heic"),
        (FTYP + b"mif1\0\0\0\0miafheix", "image/heic"),
        (FTYP + b"mif1\0\0\0\0miafmif1", "image/heif"),
    ],
)
async def test_the_kind_is_told_by_the_first_bytes(head: bytes, mime: str, tmp_path: Path) -> None:
    path = put(tmp_path / "named.wrongly.txt", head)
    for source in (path, head):
        upload = Upload(source)
        assert await sent(upload) == uri(head, mime)
        assert upload.mime == mime


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
async def test_what_pillow_writes_is_known(form: str) -> None:
    assert (await decoded(Upload(picture(form)))).format == form


@pytest.mark.parametrize(
    ("head", "seems"),
    [
        (b"<!DOCTYPE html><title>404</title>", "HTML"),
        (b"\xef\xbb\xbf\n <html>", "HTML"),
        (b'<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="x">', "SVG"),
        (b"<svg>", "SVG"),
        (b"<?xml version='1.0'?><rss/>", "XML"),
        (b'{"error": 1}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"data:image/png;base64,iVBO", "a data URI in a file"),
        (base64.b64encode(DATA), "base64; decode it first"),
        (b"just words", "to be text"),
        ("说明".encode()[:-1], "to be text"),
        (b"BMW is a make of cars and this is long", "to be text"),
        ("x".encode("utf-16"), r"text \(UTF-16\)"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04", "zip"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"Rar!\x1a", "archive"),
        (FTYP + b"isom\0\0\0\0isommp42", "video"),
        (b"\0\0\0\x10ftypisom\0\0\0\0avif", "video"),
        (b"\x1aE\xdf\xa3", "video"),
        (b"RIFF....WAVE", "sound"),
        (b"\xff\x0a\xfa", "JPEG XL"),
        (b"\0\0\0\x0cjP  ", "JPEG 2000"),
        (b"\0\0\x01\0\x01\0", "icon"),
        (b"8BPS", "Photoshop"),
        (b"\x7fELF", "program"),
        (bytes(600), "nothing but zeros"),
        # Kinds met in the test suites of Pillow, image-rs, libheif and mutagen, and their kin.
        (tga(2, 24), "TGA"),
        (tga(10, 32), "TGA"),
        (tga(3, 8), "TGA"),
        (b"\0\1" + tga(1, 8)[2:3] + b"\0\0\0\1\x18" + tga(1, 8)[8:], "TGA"),
        (b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0" + (300).to_bytes(4, "little") + (22).to_bytes(4, "little"), "icon"),
        (b"\0\0\2\0\1\0\x20\x20\0\0\3\0\4\0" + (300).to_bytes(4, "little") + (22).to_bytes(4, "little"), "cursor"),
        (b"\xff\xfe\1\0\x11\xaf\2\0" + bytes(120), "animation .FLI or FLC.; convert"),
        (b"\xff\xfe\1\0\x12\xaf\2\0" + bytes(120), "animation .FLI or FLC.; convert"),
        (LAYER_ONE * 2, "layer I; convert"),
        (LAYER_ONE[:1] + b"\xfe" + LAYER_ONE[2:], "layer I; convert"),
        (b"P6\n# by hand\n2 1\n255\n" + bytes(6), "PNM.*convert"),
        (b"P1 3 1 0 1 0", "PNM.*convert"),
        (b"P7\nWIDTH 2\nHEIGHT 1\n", "PNM.*convert"),
        (b"Pf\n3 2\n-1.0\n", "PNM.*convert"),
        (b"P2 of the report says", "to be text"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript; draw"),
        (b"\xc5\xd0\xd3\xc6\x1e\0\0\0", "PostScript; draw"),
        (b"SIMPLE  =                    T" + b" " * 50, "FITS image; convert"),
        (b"/* XPM */\nstatic char *cat[] = {", "XPM picture; convert"),
        (b"#define cat_width 16\n#define cat_height 16\n", "XBM picture; convert"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "Radiance"),
        (b"\0\0\0\x10ftypmif3avif", "HEIF picture in its short form .mini.; convert"),
        (b"\0\0\0\x10ftypmif3heic", "HEIF picture in its short form .mini.; convert"),
        (b"\0\0\0\x18ftypavci\0\0\0\0miaf", "HEIF picture with AVC"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx ", "raw photograph"),
        (b"FORM\0\0\1\0ILBMBMHD", "IFF picture .ILBM.; convert"),
        (b"FORM\0\0\1\0PBM BMHD", "IFF picture .ILBM.; convert"),
        (b"gimp xcf v011\0", "GIMP"),
        (b"qoif\0\0\0\2", "QOI"),
        (b"DDS \x7c\0\0\0", "DDS"),
        (b"MAC address of the printer", "to be text"),
        (b"ID3 tags are what this is about", "to be text"),
        (b"\x00\x01\x02abc", "begins with 00 01 02 61"),
        (b"\xfe\xfa\x80", "begins with fe fa 80"),
    ],
)
async def test_what_is_no_picture_is_named(head: bytes, seems: str, tmp_path: Path) -> None:
    path = put(tmp_path / "cat.png", head)
    for source in (path, head):
        error = await refusal(source)
        assert error.__cause__ is None
        with pytest.raises(MediaError, match=seems):
            await Upload(source).open()
    assert "cat.png is no picture" in str(await refusal(path))


# Refusals.


@pytest.mark.parametrize("source", [b"", bytearray(), memoryview(b""), "data:image/png;base64,", OneWay(b"")])
async def test_empty_pictures_are_refused(source: Any) -> None:
    assert "is empty" in str(await refusal(source))


async def test_a_file_that_was_empty_when_it_was_measured_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "_state", lambda _: (0, 0, 0))
    assert "is empty" in str(await refusal(file))


async def test_files_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "There is no file cat.png." in str(await refusal("cat.png"))
    assert isinstance((await refusal(Path("cat.png"))).__cause__, FileNotFoundError)
    assert str(await refusal(".")) == ". is a directory. Give the files in it, one by one."
    (tmp_path / "empty.png").touch()
    assert "empty.png is empty" in str(await refusal("empty.png"))
    assert "cannot be read: File name too long" in str(await refusal("x" * 300))
    assert "embedded null" in str(await refusal("x\0y"))
    assert r"no file a\u202ex\n" in str(await refusal("a\u202ex\n"))
    assert "cannot be read: Not a directory" in str(await refusal("empty.png/cat.png"))


async def test_hints_for_what_looks_like_something_else() -> None:
    text = base64.b64encode(png(30_000)).decode()
    for source in (text, text[:120]):
        error = str(await refusal(source))
        assert "looks like base64" in error
        assert text[:200] not in error
    assert "A URL is given as a str" in str(await refusal(Path("https://host/cat.png")))
    assert "base64" not in str(await refusal("a/very/long/path/of/folders/that/are/not/there/and/no/file"))


async def test_a_forbidden_file_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", forbid)  # Tests may run as root, whom a file's mode does not stop.
    error = await refusal(file)
    assert "may not be read. Check its rights" in str(error)
    assert isinstance(error.__cause__, PermissionError)


@posix
async def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with anyio.fail_after(5):
        assert "is a pipe, a socket or a device" in str(await refusal(tmp_path / "pipe"))
        assert "is a pipe, a socket or a device" in str(await refusal("/dev/zero"))
        monkeypatch.setattr(stat, "S_ISREG", lambda _: True)  # as if it had been a file a moment ago
        assert "is empty" in str(await refusal(tmp_path / "pipe"))


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ("iVBORw0KGgo", "cut short, or its padding"),
        ("iVBORw0KGg-_", "URL-safe alphabet"),
        ("iVBORw0KGgo%3D", "percent-encoded"),
        ("iVBO\nRw0K", "line breaks"),
        ("iVBO!!!!", "not the base64"),
        ("iVBORw==" * 3, "not the base64"),
        ("iVBORw0KGgoAAAA=iVBO", "padding \\('='\\) in the middle"),
        ("iVBORw0KGgoAAAé=", "not the base64"),
    ],
)
async def test_broken_base64_is_refused(payload: str, why: str, small_pieces: int) -> None:
    assert small_pieces == 12
    with pytest.raises(MediaError, match=why) as caught:
        await Upload(f"data:image/png;base64,{payload}").open()
    assert "iVBO" not in str(caught.value)


async def test_files_opened_as_text_are_refused(file: Path) -> None:
    with opening(file, "r") as handle, pytest.raises(MediaError, match=r"cat.png is open as text.*'rb'"):
        Upload(cast("Any", handle))
    with tempfile.SpooledTemporaryFile(mode="w+") as opened_text:
        opened_text.write("x" * 10)
        opened_text.seek(0)
        assert "open as text" in str(await refusal(opened_text))

    class Words:
        def read(self, _: int) -> str:
            return "words"

    assert "open as text" in str(await refusal(Words()))


async def test_closed_and_finished_file_objects_are_refused(file: Path) -> None:
    with pytest.raises(MediaError, match="closed file"):
        Upload(closed(file))
    with opening(file) as handle:
        upload = Upload(handle)
    with pytest.raises(MediaError, match=r"cat.png cannot be read: .*closed file"):
        await upload.open()
    finished = io.BytesIO(DATA)
    finished.read()
    assert "seek(0)" in str(await refusal(finished))


def closed(file: Path) -> Any:
    with opening(file) as handle:
        return handle


async def test_a_stream_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_STREAM_BYTES", 999)
    for source in (OneWay(DATA), Awaited(DATA)):
        assert "more than 999 B" in str(await refusal(source))


async def test_what_can_be_read_once_is_not_begun_again_after_a_failure() -> None:
    reading = anyio.Event()

    class Slow:
        async def read(self, _size: int = -1, /) -> bytes:
            reading.set()
            await anyio.sleep_forever()
            raise AssertionError

    upload = Upload(Slow())
    async with anyio.create_task_group() as group:
        group.start_soon(upload.open)
        await reading.wait()
        group.cancel_scope.cancel()
    with pytest.raises(MediaError, match="can be read only once"):
        await upload.open()


async def test_a_disk_that_fails_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = Upload(file)
    await upload.open()

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", fail, raising=False)
    monkeypatch.setattr(media._Pass, "_from_disk", with_failing_seek(media._Pass._from_disk))
    with pytest.raises(MediaError, match=r"cat.png cannot be read: Input/output error") as caught:
        await sent(upload)
    assert isinstance(caught.value.__cause__, OSError)


def with_failing_seek(read: Callable[..., int]) -> Callable[..., int]:
    class Failing(io.FileIO):
        def seek(self, *_: object) -> int:
            raise OSError(errno.EIO, "Input/output error")

    def from_disk(self: Any, into: memoryview, at: int) -> int:
        self.file = self._files.enter_context(Failing(self._source.path))
        return read(self, into, at)

    return from_disk


# Memory, files and the loop.


async def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    path = put(tmp_path / "large.png", png(20 * 2**20))
    upload = Upload(path)
    tracemalloc.start()
    try:
        await upload.open()
        total = 0
        async for piece in upload.pieces():
            total += len(piece)
            assert len(piece) <= 192 * 1024 + 30
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == upload.encoded_size
    assert peak < 2 * 2**20


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
async def test_bytes_are_not_copied(make: Callable[[bytes], Any]) -> None:
    source = make(png(20 * 2**20))
    tracemalloc.start()
    try:
        upload = Upload(source)
        await upload.open()
        async for _ in upload.pieces():
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * 2**20


@pytest.mark.parametrize("kind", ["path", "bytes", "BytesIO", "data URI"])
async def test_the_loop_has_its_turn_between_pieces(kind: str, tmp_path: Path, small_pieces: int) -> None:
    path = put(tmp_path / "cat.png", DATA)
    upload = Upload(SOURCES[kind](path))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        if kind == "data URI":  # Decoding is the work here, and done when it is opened.
            await upload.open()
            assert turns >= len(DATA) // small_pieces
        await upload.open()
        await anyio.sleep(0.001)  # The counter is on its way.
        before = turns
        pieces = 0
        async for _ in upload.pieces():
            pieces += 1
            assert turns - before >= pieces - 1
        group.cancel_scope.cancel()
    assert pieces == -(-len(DATA) // small_pieces)


@needs_proc
@pytest.mark.parametrize("from_disk", [True, False])
async def test_leaving_early_closes_the_file(
    from_disk: bool, file: Path, fds: Callable[[], int], small_pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small_pieces
    if from_disk:
        from_disk_only(monkeypatch)
    upload = Upload(file)
    await upload.open()
    before = fds()
    async with aclosing(upload.pieces()) as pieces:
        async for _ in pieces:
            assert fds() == before + 1
            break
    assert fds() == before

    async for _ in upload.pieces():
        break
    gc.collect()
    await wait_until(lambda: fds() == before)

    with pytest.raises(ZeroDivisionError):
        async with aclosing(upload.pieces()) as pieces:
            async for _ in pieces:
                raise ZeroDivisionError
    assert fds() == before
    assert await sent(upload) == uri(DATA)
    assert fds() == before


async def wait_until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not true():  # noqa: ASYNC110  (another thread closes, and tells nobody)
            await anyio.sleep(0.001)


@needs_proc
@pytest.mark.parametrize("at", ["open", "read"])
@pytest.mark.parametrize("how", ["task", "scope"])
async def test_cancelling_while_a_thread_reads_waits_for_nothing_and_closes(
    at: str, how: str, file: Path, fds: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from_disk_only(monkeypatch)
    upload = Upload(file)
    await upload.open()
    before = fds()
    reading, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def slowly(method: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*args: Any) -> Any:
            result = method(*args)
            reading.set()
            go_on.wait(5)
            done.set()
            return result

        return slow

    name = "open" if at == "open" else "_from_disk"
    monkeypatch.setattr(media._Pass, name, slowly(getattr(media._Pass, name)))
    scope = anyio.CancelScope()

    async def one() -> None:
        with scope:
            await sent(upload)

    task = asyncio.create_task(one())
    await wait_until(reading.is_set)
    assert fds() == before + 1
    if how == "task":
        task.cancel()
    else:
        scope.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled() is (how == "task")
    assert not done.is_set()
    assert fds() == before + 1
    go_on.set()
    await wait_until(lambda: fds() == before)
    monkeypatch.undo()
    assert await sent(upload) == uri(DATA)


async def test_a_cancelled_pass_puts_the_file_object_back() -> None:
    reading, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if threading.current_thread() is not threading.main_thread() and opened:
                reading.set()
                go_on.wait(5)
            return super().read(size)

    opened = False
    source = Slow(DATA)
    upload = Upload(source)
    await upload.open()
    opened = True
    task = asyncio.create_task(sent(upload))
    await wait_until(reading.is_set)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    go_on.set()
    opened = False
    assert await sent(upload) == uri(DATA)
    assert source.tell() == 0


async def test_a_file_object_closed_on_the_way_is_told(small_pieces: int) -> None:
    assert small_pieces
    source = io.BytesIO(DATA)
    upload = Upload(source)
    await upload.open()
    with pytest.raises(MediaError, match="closed file"):
        async for _ in upload.pieces():
            source.close()


@pytest.mark.parametrize("system", ["cached", "not cached", "half cached", "cannot say", "knows nothing of it"])
async def test_every_way_of_reading_a_file(
    system: str, tmp_path: Path, small_pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "cat.png", DATA)
    real = getattr(os, "preadv", None)
    asked = 0

    def preadv(descriptor: int, buffers: list[memoryview], offset: int, flags: int) -> int:
        nonlocal asked
        asked += 1
        if system == "cannot say":
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        if system == "not cached" or (system == "half cached" and asked % 2):
            raise BlockingIOError
        assert real is not None
        assert flags == os.RWF_NOWAIT
        cut = buffers[0][:5] if system == "half cached" else buffers[0]
        return cast("int", real(descriptor, [cut], offset))

    if system == "knows nothing of it":
        monkeypatch.setattr(media, "_NOWAIT", 0)
    monkeypatch.setattr(os, "preadv", preadv, raising=False)
    assert await sent(Upload(path)) == uri(DATA)
    pieces = -(-len(DATA) // small_pieces)
    assert asked >= {"cannot say": 1, "knows nothing of it": 0}.get(system, pieces)
    assert (asked == 1) is (system == "cannot say")


# Pictures that change.


@pytest.mark.parametrize("how", ["longer", "shorter", "other", "replaced"])
async def test_a_file_that_changed_between_attempts_is_refused(how: str, file: Path) -> None:
    with opening(file) as handle:
        by_path, by_file = Upload(file), Upload(handle)
        assert await sent(by_path) == await sent(by_file)
        data = png({"longer": 1001, "shorter": 999}.get(how, 1000))
        if how == "replaced":
            replace(file, data)
        else:
            os.utime(put(file, data), ns=(0, 0))
        for upload in (by_path,) if how == "replaced" else (by_path, by_file):
            with pytest.raises(MediaError, match=r"cat.png changed while it was being sent"):
                await upload.open()
            with pytest.raises(MediaError, match="changed"):
                async for _ in upload.pieces():
                    pass


async def test_a_missing_file_between_attempts_is_refused(file: Path) -> None:
    upload = Upload(file)
    await upload.open()
    take_away(file)
    with pytest.raises(MediaError, match="There is no file"):
        async for _ in upload.pieces():
            pass


@needs_proc
@pytest.mark.parametrize("from_disk", [True, False])
@pytest.mark.parametrize("size", [500, 1000, 1500])
async def test_a_file_that_changes_on_the_way_is_never_sent_whole(
    *,
    size: int,
    from_disk: bool,
    file: Path,
    small_pieces: int,
    fds: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if from_disk:
        from_disk_only(monkeypatch)
    upload = Upload(file)
    await upload.open()
    before = fds()
    total = 0
    with pytest.raises(MediaError, match="changed while it was being sent"):
        async for piece in upload.pieces():
            if not total:
                os.utime(put(file, png(size)), ns=(0, 0))
            total += len(piece)
    assert total < upload.encoded_size
    assert fds() == before
    assert small_pieces


async def test_the_end_of_a_file_is_seen_even_where_nothing_tells_of_it(
    file: Path, small_pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert small_pieces
    monkeypatch.setattr(media, "_state", lambda _: (1000, 0, 0))
    upload = Upload(file)
    await upload.open()
    os.truncate(file, 500)
    with pytest.raises(MediaError, match="changed"):
        async for _ in upload.pieces():
            pass


async def test_memory_that_changed_its_size_is_refused() -> None:
    array, opened = bytearray(DATA), io.BytesIO(DATA)
    cases: list[tuple[Upload, Callable[[], object]]] = [
        (Upload(array), array.pop),
        (Upload(opened), lambda: opened.truncate(999)),
    ]
    for upload, shrink in cases:
        await upload.open()
        shrink()
        with pytest.raises(MediaError, match="changed"):
            async for _ in upload.pieces():
                pass
        with pytest.raises(MediaError, match=r"had 1000 bytes, and now 999"):
            await upload.open()
    with pytest.raises(MediaError, match=r"had 1000 bytes, and now 999"):
        cases[0][0].inline()


async def test_a_read_that_gives_more_than_it_was_asked_for_is_refused(small_pieces: int) -> None:
    class Generous(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(None if size == small_pieces else size)

    upload = Upload(Generous(DATA))
    await upload.open()
    with pytest.raises(MediaError, match="changed"):
        async for _ in upload.pieces():
            pass


# Pillow.


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
async def test_a_larger_picture_is_made_smaller_and_keeps_its_format(form: str, tmp_path: Path) -> None:
    data = picture(form, (400, 100))
    path = put(tmp_path / "cat", data)
    with opening(path) as handle:
        sources: list[Any] = [path, data, uri(data).decode(), handle, OneWay(data)]
        for source in sources:
            drawn = await decoded(Upload(source, max_side=40))
            assert (drawn.format, drawn.size) == (form, (40, 10))
        assert handle.tell() == 0


async def test_a_picture_that_fits_is_sent_byte_for_byte(tmp_path: Path) -> None:
    data = picture("PNG", (40, 20))[:-40]  # broken where nobody looks
    path = put(tmp_path / "cat.png", data)
    assert await sent(Upload(path, max_side=40)) == uri(data)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
async def test_a_turned_picture_is_set_upright(form: str) -> None:
    for side in (20, 100):
        drawn = await decoded(Upload(turned(form), max_side=side))
        assert drawn.size == ((10, 20) if side == 20 else (20, 40))
        assert drawn.getexif().get(0x0112, 1) == 1
        assert drawn.getexif().get(0x010F) is None
        assert drawn.convert("RGB").getpixel((5, 1)) == pytest.approx((255, 0, 0), abs=8)
    assert await sent(Upload(turned(form))) == uri(turned(form), f"image/{form.lower()}")


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "I;16"])
async def test_every_kind_of_pixel_can_be_made_smaller(mode: str) -> None:
    made = (
        Image.new("RGBA", (40, 20), (200, 0, 0, 100)).convert(mode)
        if mode != "I;16"
        else Image.new(mode, (40, 20), 999)
    )
    buffer = io.BytesIO()
    made.save(buffer, "PNG")
    drawn = await decoded(Upload(buffer.getvalue(), max_side=10))
    assert drawn.size == (10, 5)
    if mode == "I;16":
        assert drawn.getpixel((1, 1)) == 999
    if mode.endswith("A"):
        assert drawn.mode == mode


def gradient(mode: str) -> Image.Image:
    """Draw something that no two neighbouring columns have in common."""
    base = Image.linear_gradient("L").rotate(90).resize((64, 32))
    if mode in {"RGB", "RGBA"}:
        return Image.merge("RGB", (base, base.transpose(Image.Transpose.FLIP_LEFT_RIGHT), base)).convert(mode)
    return base.convert(mode)


def shrunk(data: bytes, mode: str, side: int = 16) -> Image.Image:
    """Convert a picture, then make it smaller, as Pillow does."""
    expected = Image.open(io.BytesIO(data)).convert(mode)
    expected.thumbnail((side, side), Image.Resampling.LANCZOS)
    return expected


@pytest.mark.parametrize(
    ("mode", "transparency", "as_mode"),
    [
        ("RGB", (0, 255, 0), "RGBA"),  # the colour of the first column
        ("L", 0, "LA"),
        ("1", 0, "LA"),
        ("P", 3, "RGBA"),
        ("P", bytes(range(0, 250, 2)), "RGBA"),
        ("I;16", 0, "LA"),
    ],
    ids=["RGB", "L", "1", "P with a colour", "P with a table", "16 bits"],
)
async def test_one_clear_colour_stays_clear(mode: str, transparency: Any, as_mode: str) -> None:
    if mode == "I;16":
        made = gradient("L").point([value * 257 for value in range(256)], "L").convert("I").convert("I;16")
        made.putpixel((0, 0), 256)
    elif mode == "P":
        made = gradient("RGB").quantize(128)
    else:
        made = gradient(mode)
    made.paste(transparency if mode == "RGB" else 0 if mode != "P" else 3, (0, 0, 20, 20))
    buffer = io.BytesIO()
    made.save(buffer, "PNG", transparency=transparency)
    drawn = await decoded(Upload(buffer.getvalue(), max_side=16))
    assert drawn.format == "PNG"
    assert drawn.mode == as_mode
    if not isinstance(transparency, bytes):
        assert drawn.getchannel("A").getextrema() == (0, 255)
    if mode != "I;16":
        assert drawn.tobytes() == shrunk(buffer.getvalue(), as_mode).tobytes()
    in_memory = await decoded(Upload(Image.open(io.BytesIO(buffer.getvalue())), max_side=16))
    assert in_memory.getchannel("A").tobytes() == drawn.getchannel("A").tobytes()


def bmp(alpha: int | None) -> bytes:
    """Make a BMP of four channels with masks (BITMAPV4HEADER), whose left half has this alpha; None: all is zero."""
    rgba = gradient("RGBA")
    rgba.putalpha(0 if alpha is None else 255)
    if alpha is not None:
        rgba.paste((200, 10, 10, alpha), (0, 0, 32, 32))
    rows = rgba.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes("raw", "BGRA")
    header = struct.pack("<IiiHHIIiiII", 108, 64, 32, 1, 32, 3, len(rows), 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    return b"BM" + struct.pack("<IHHI", 122 + len(rows), 0, 0, 122) + header + masks + bytes(52) + rows


async def test_the_alpha_of_a_bmp_survives_in_a_png() -> None:
    drawn = await decoded(Upload(bmp(40), max_side=16))
    assert (drawn.format, drawn.mode) == ("PNG", "RGBA")
    assert drawn.tobytes() == shrunk(bmp(40), "RGBA").tobytes()


async def test_a_bmp_whose_alpha_was_left_empty_is_opaque() -> None:
    drawn = await decoded(Upload(bmp(None), max_side=16))
    assert drawn.convert("RGB").tobytes() == shrunk(bmp(None), "RGB").tobytes()
    assert drawn.getchannel("R").getextrema() != (0, 0)
    assert not drawn.has_transparency_data
    for side in (16, None):
        with Image.open(io.BytesIO(bmp(None))) as opened:
            drawn = await decoded(Upload(opened, max_side=side))
        assert (drawn.format, drawn.mode) == ("PNG", "RGB")
        assert drawn.getchannel("R").getextrema() != (0, 0)


async def test_a_gif_that_would_be_half_clear_becomes_a_png() -> None:
    made = gradient("RGB").quantize(64)
    made.paste(3, (0, 0, 21, 21))
    buffer = io.BytesIO()
    made.save(buffer, "GIF", transparency=3)
    drawn = await decoded(Upload(buffer.getvalue(), max_side=16))
    assert drawn.format == "PNG"
    assert drawn.tobytes() == shrunk(buffer.getvalue(), "RGBA").tobytes()


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
async def test_a_channel_of_transparency_survives(form: str, mode: str) -> None:
    made = gradient(mode)
    made.putalpha(gradient("L").transpose(Image.Transpose.ROTATE_180))
    buffer = io.BytesIO()
    made.save(buffer, form)
    drawn = await decoded(Upload(buffer.getvalue(), max_side=16))
    alpha = shrunk(buffer.getvalue(), "RGBA").getchannel("A").tobytes()
    assert list(drawn.convert("RGBA").getchannel("A").tobytes()) == pytest.approx(list(alpha), abs=6)


# EXIF that is broken: exif-samples, Pillow's exif_text.png and bad-exif files.
BROKEN_EXIF = {
    "cut off": b"Exif\0\0II*\0\x08\0\0\0\5\0",
    "no TIFF": b"Exif\0\0nothing of the kind",
    "an offset outside": b"Exif\0\0MM\0*\0\xff\xff\xff",
    "an unknown type": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\xff\xff\1\0\0\0\6\0\0\0\0\0\0\0",
    "an orientation of 9": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x09\0\0\0\0\0\0\0",
    "an orientation in words": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\2\0\4\0\0\0up!\0\0\0\0\0",
}


def with_chunk(png: bytes, name: bytes, content: bytes) -> bytes:
    """Put a chunk behind a PNG's header."""
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return png[:33] + chunk + png[33:]


@pytest.mark.parametrize("side", [20, 100])
@pytest.mark.parametrize("kind", BROKEN_EXIF)
async def test_broken_exif_counts_as_not_turned(kind: str, side: int) -> None:
    exif = BROKEN_EXIF[kind]
    pictures = [
        picture("JPEG", exif=exif),
        picture("WEBP", exif=exif),
        with_chunk(picture("PNG"), b"eXIf", exif[6:]),
        with_chunk(picture("PNG"), b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 9\nnothex!\n")),
        with_chunk(picture("PNG"), b"tEXt", b"Raw profile type exif\0\nexif\n       3\n457\n"),
        with_chunk(picture("PNG"), b"tEXt", b"Raw profile type exif\0"),
    ]
    for data in pictures:
        if side == 100:
            upload = Upload(data, max_side=side)
            assert await sent(upload) == uri(data, upload.mime)
        else:
            assert (await decoded(Upload(data, max_side=side))).size == (20, 10)


def declaring(width: int, height: int, bits: int, compression: int = 0, rest: bytes = bytes(8)) -> bytes:
    """Make a BMP whose header promises more than comes."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rest), 0, 0, 54) + header + rest


def png_declaring(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    ends = with_chunk(b"\0" * 33, b"IDAT", zlib.compress(bytes(100)))[33:] + with_chunk(b"\0" * 33, b"IEND", b"")[33:]
    return PNG + with_chunk(b"\0" * 33, b"IHDR", header)[33:] + ends


def relabelled(data: bytes, before: tuple[int, int], after: tuple[int, int], form: str) -> bytes:
    """Change the size that a picture's header declares."""
    old, new = (struct.pack(form, *size) for size in (before, after))
    assert old in data
    return data.replace(old, new, 1)


DECLARED = {
    "BMP of 24 bits": declaring(9_350, 9_350, 24),
    "BMP of 1 bit": declaring(9_350, 9_350, 1),
    "BMP of runs": declaring(9_350, 9_350, 8, 1, b"\0\2\xff\xff\0\2\xff\xff"),
    "PNG": png_declaring(9_000, 9_000),
    "GIF": relabelled(picture("GIF"), (40, 20), (9_000, 9_000), "<HH"),
    "JPEG": relabelled(picture("JPEG"), (20, 40), (9_000, 9_000), ">HH"),
}


@pytest.mark.parametrize("kind", DECLARED)
async def test_a_size_that_the_bytes_cannot_hold_is_refused_at_once(kind: str) -> None:
    data = DECLARED[kind]
    Image.init()
    longest, last = 0.0, time.perf_counter()

    async def watch() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        with pytest.raises(MediaError, match=r"declares 9,\d\d0 x 9,\d\d0 pixels, which its [\d,]+ bytes cannot hold"):
            await Upload(data, max_side=100).open()
        group.cancel_scope.cancel()
    assert longest < 0.1
    assert data[:4] == (await first_bytes(data))[:4]  # Without max_side nobody looks.


async def first_bytes(data: bytes) -> bytes:
    return base64.b64decode((await sent(Upload(data))).partition(b",")[2])


async def test_what_a_few_bytes_can_hold_is_drawn() -> None:
    blank = Image.new("1", (3000, 3000))
    for form in ("PNG", "GIF", "TIFF", "BMP", "WEBP"):
        buffer = io.BytesIO()
        blank.save(buffer, form, **({"compression": "tiff_adobe_deflate"} if form == "TIFF" else {}))
        assert (await decoded(Upload(buffer.getvalue(), max_side=30))).size == (30, 30)


async def test_more_pixels_than_pillow_opens_are_refused_with_what_moves_that(monkeypatch: pytest.MonkeyPatch) -> None:
    data = picture("PNG", (400, 200))
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 39_999)
    for most in (None, 10**9):
        error = await refusal(data, max_side=10, max_pixels=most)
        assert "more pixels than Pillow opens, whatever max_pixels says" in str(error)
        assert "PIL.Image.MAX_IMAGE_PIXELS" in str(error)


async def test_more_pixels_than_max_pixels_are_refused() -> None:
    data = picture("PNG", (400, 200))
    error = await refusal(data, max_side=10, max_pixels=79_999)
    assert "400 x 200 pixels, and max_pixels is 79,999" in str(error)
    assert "max_pixels=80000" in str(error)
    with pytest.raises(MediaError, match="max_pixels is 79,999"):
        part = image(data, max_side=10, max_pixels=79_999)
        await cast("Upload", part.image_url.url).open()
    for most in (80_000, None):
        assert (await decoded(Upload(data, max_side=10, max_pixels=most))).size == (10, 5)
    assert await sent(Upload(data, max_pixels=1)) == uri(data)
    assert await sent(Upload(data, max_side=400, max_pixels=1)) == uri(data)
    # Of a JPEG what is decoded counts: an eighth of each side here.
    assert (await decoded(Upload(picture("JPEG", (400, 200)), max_side=10, max_pixels=1300))).size == (10, 5)
    assert (await refusal(picture("JPEG", (400, 200)), max_side=100, max_pixels=79_999)).outcome == "not_sent"
    copy = pickle.loads(pickle.dumps(Upload(data, max_side=10, max_pixels=1)))  # noqa: S301  (our own)
    with pytest.raises(MediaError, match="max_pixels is 1:"):
        await copy.open()


@pytest.mark.parametrize("name", ["max_side", "max_pixels"])
@pytest.mark.parametrize("given", ["100", "wide", 0, -5, 1.5, True, [100], float("nan")])
def test_a_number_of_pixels_is_a_whole_number(name: str, given: Any) -> None:
    with pytest.raises(MediaError, match=f"{name} is ") as caught:
        Upload(PNG, **{name: given})
    assert repr(given) in str(caught.value)
    assert ("max_side=100" in str(caught.value)) is (given == "100" and name == "max_side")


async def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    assert (await decoded(Upload(picture("PNG"), max_side=numpy.int64(10)))).size == (10, 5)


# What people give by mistake.


@pytest.mark.parametrize("given", ["", "  ", "\n"])
def test_an_empty_text_is_quoted(given: str) -> None:
    for make in (image, audio, Upload, Recording):
        with pytest.raises(MediaError, match=r"An empty text \('[^']*'\) is no (picture|sound): give a path"):
            make(given)


@pytest.mark.parametrize(
    "given",
    [
        EVERY_BYTE.decode("latin-1"),
        EVERY_BYTE.decode("utf-8", "replace"),
        EVERY_BYTE.decode("utf-8", "surrogateescape"),
        EVERY_BYTE.decode("utf-8", "ignore"),
        str(EVERY_BYTE),
        str(base64.b64encode(EVERY_BYTE)),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(50)).decode("utf-8", "replace"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(50)).decode("latin-1"),
        (b"GIF89a" + bytes(50)).decode("latin-1"),
        (b"RIFF\x10\0\0\0WEBPVP8 ").decode("latin-1"),
    ],
)
async def test_bytes_that_were_decoded_are_told(given: str) -> None:
    with pytest.raises(MediaError, match="(decoded as text|text of a bytes object).*give (the|its) bytes") as caught:
        await Upload(given).open()
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


async def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    put(tmp_path / "cat.png", DATA)
    for source in ("~/cat.png", Path("~/cat.png")):
        upload = Upload(source)
        assert await sent(upload) == uri(DATA)
        assert upload.name == "cat.png"
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "~").mkdir()
    put(folder / "~" / "cat.png", DATA[:500])
    assert await sent(Upload("~/cat.png")) == uri(DATA[:500])
    assert "There is no file ~nobody-of-this-name/cat.png" in str(await refusal("~nobody-of-this-name/cat.png"))


async def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(await refusal("cat.png")) == f"There is no file cat.png. Looked in {tmp_path}."
    assert str(await refusal(tmp_path / "cat.png")) == f"There is no file {tmp_path / 'cat.png'}."
    error = str(await refusal("What is in this picture?"))
    assert "There is no file What is in this picture?" in error
    assert "the picture comes first, then the prompt" in error


def test_a_part_is_taken_as_a_picture() -> None:
    part = image(PNG, detail="low")
    assert image(part) == part
    assert image(part, detail="high").image_url.detail == "low"
    assert image(image(PNG), detail="high").image_url.detail == "high"
    assert image(part).image_url.url is part.image_url.url
    assert image(image("https://host/cat.png")).image_url.url == "https://host/cat.png"
    openai_part: Any = {"type": "image_url", "image_url": {"url": "https://host/cat.png", "detail": "auto"}}
    assert image(openai_part).image_url.detail == "auto"
    with pytest.raises(MediaError, match="belongs to the Upload"):
        image(part, max_side=100)


async def test_an_upload_of_a_part_reads_what_the_part_reads() -> None:
    assert await sent(Upload(image(DATA))) == uri(DATA)
    assert await sent(Upload(cast("Any", {"image_url": {"url": uri(DATA).decode()}}))) == uri(DATA)
    with pytest.raises(MediaError, match=r"give it to image\(\)"):
        Upload(image("https://host/cat.png"))


def test_several_pictures_in_something_else_than_a_list_are_told() -> None:
    for several in ((path for path in ("a.png", "b.png")), {"a.png", "b.png"}):
        with pytest.raises(MediaError, match=r"Several are given as a list"):
            image(cast("Any", several))
    numpy = pytest.importorskip("numpy")
    with pytest.raises(MediaError, match="PIL.Image.fromarray"):
        image(numpy.zeros((2, 2)))
    with pytest.raises(MediaError, match=r"A int is not a picture that can be sent \(42\)"):
        image(cast("Any", 42))


async def test_transparency_of_a_palette_survives() -> None:
    made = Image.new("P", (40, 20), 1)
    made.putpalette([0, 0, 0, 255, 0, 0])
    buffer = io.BytesIO()
    made.save(buffer, "PNG", transparency=1)
    drawn = await decoded(Upload(buffer.getvalue(), max_side=10))
    assert drawn.convert("RGBA").getpixel((1, 1))[3] == 0  # type: ignore[index]  # RGBA pixels are tuples.


async def test_a_colour_profile_survives() -> None:
    cms: Any = ImageCms
    profile = cms.ImageCmsProfile(cms.createProfile("sRGB")).tobytes()
    for form in ("JPEG", "PNG", "WEBP", "AVIF"):
        drawn = await decoded(Upload(picture(form, icc_profile=profile), max_side=10))
        assert drawn.info["icc_profile"] == profile


async def test_a_format_pillow_cannot_write_becomes_png(monkeypatch: pytest.MonkeyPatch) -> None:
    data = picture("BMP")
    Image.preinit()
    monkeypatch.delitem(Image.SAVE, "BMP")
    assert (await decoded(Upload(data, max_side=10))).format == "PNG"


async def test_several_pictures_in_a_jpeg_become_one() -> None:
    data = picture("MPO", (40, 20), save_all=True, append_images=[Image.new("RGB", (40, 20))])
    drawn: Any = await decoded(Upload(data, max_side=10))
    same: Any = await decoded(Upload(picture("JPEG"), max_side=10))
    assert drawn.format == "JPEG"
    assert drawn.quantization == same.quantization


@pytest.mark.parametrize("mode", ["1", "P"])
async def test_pixels_between_two_colours_are_mixed(mode: str) -> None:
    made = Image.new(mode, (40, 40))
    made.putdata([0, 1 if mode == "P" else 255] * 800)
    if mode == "P":
        made.putpalette([0, 0, 0, 255, 255, 255])
    buffer = io.BytesIO()
    made.save(buffer, "PNG")
    drawn = await decoded(Upload(buffer.getvalue(), max_side=10))
    assert drawn.mode == ("L" if mode == "1" else "RGB")
    assert drawn.convert("L").getpixel((5, 5)) == pytest.approx(127, abs=10)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
async def test_a_pillow_image_loses_nothing(mode: str) -> None:
    made = Image.linear_gradient("L").resize((40, 20)).convert(mode)
    drawn = await decoded(Upload(made))
    assert (drawn.format, drawn.mode, drawn.tobytes()) == ("PNG", mode, made.tobytes())


@pytest.mark.parametrize(
    ("mode", "sent_as"),
    [("CMYK", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB"), ("RGBX", "RGB"), ("RGBa", "RGBA"), ("La", "LA")],
)
async def test_a_pillow_image_no_png_holds_is_converted(mode: str, sent_as: str) -> None:
    made = Image.new(mode, (4, 2))
    made.info["icc_profile"] = b"of other colours"
    drawn = await decoded(Upload(made))
    assert (drawn.mode, drawn.info.get("icc_profile")) == (sent_as, None)


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
async def test_a_pillow_image_that_is_numbers_is_refused(mode: str) -> None:
    assert f"has mode {mode}" in str(await refusal(Image.new(mode, (4, 2))))


async def test_a_pillow_image_opened_from_a_jpeg_is_sent_as_one(tmp_path: Path) -> None:
    path = put(tmp_path / "cat.jpg", turned("JPEG", (400, 200)))
    with Image.open(path) as opened:
        drawn = await decoded(Upload(opened))
        assert (drawn.format, drawn.size) == ("JPEG", (200, 400))
        drawn = await decoded(Upload(opened, max_side=100))
        assert (drawn.format, drawn.size, opened.size) == ("JPEG", (50, 100), (400, 200))
        drawn = await decoded(Upload(opened.convert("RGBA")))
        assert drawn.format == "PNG"


async def test_a_pillow_image_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "cat.png", picture("PNG", (400, 200))[:100])
    with Image.open(path) as opened:
        assert "Pillow cannot draw The Pillow image" in str(await refusal(opened))


async def test_a_picture_is_drawn_once_for_several_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = 0
    real = media._written

    def counted(*args: Any) -> bytes:
        nonlocal drawn
        drawn += 1
        return real(*args)

    monkeypatch.setattr(media, "_written", counted)
    uploads = [Upload(picture("PNG"), max_side=10), Upload(Image.new("RGB", (40, 20)), max_side=10)]
    for upload in uploads:
        async with anyio.create_task_group() as group:
            group.start_soon(sent, upload)
            group.start_soon(sent, upload)
        await sent(upload)
    assert drawn == 2


async def test_no_more_pictures_are_drawn_at_a_time_than_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    lock, now, most = threading.Lock(), 0, 0
    real = media._fitted
    both = threading.Barrier(2)

    def watched(content: media._Content, max_side: int) -> bytes | None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        both.wait(5)
        try:
            return real(content, max_side)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(media, "_fitted", watched)
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(Upload(picture("PNG"), max_side=10).open)
    assert most == 2


async def test_a_broken_picture_is_refused_only_where_it_has_to_be_decoded() -> None:
    broken = picture("PNG", (400, 200))[:100]
    assert await sent(Upload(broken)) == uri(broken)
    error = await refusal(broken, max_side=10)
    assert "Pillow cannot draw The picture given as bytes" in str(error)
    assert error.__cause__ is not None
    assert "pillow-heif" in str(await refusal(FTYP + b"heic\0\0\0\0mif1heic", max_side=10))


async def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = picture("PNG", (400, 200))
    for limit in (
        1000,
        50_000,
    ):  # above twice the limit Pillow raises; above the limit it warns, and warnings raise here
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert "decompression bomb" in str(await refusal(data, max_side=10))


async def test_without_pillow_only_max_side_is_missed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> ModuleType:
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "PIL.Image")
    assert await sent(Upload(file)) == uri(DATA)
    error = await refusal(file, max_side=10)
    assert "pip install pillow" in str(error)
    assert isinstance(error.__cause__, ImportError)
    with pytest.raises(MediaError, match="A Image is not a picture"):
        Upload(Image.new("L", (1, 1)))


# What is said of it.


async def test_descriptions_name_it_and_never_show_it(file: Path) -> None:
    upload = Upload(file)
    assert upload.describe() == "<picture cat.png, not opened yet>"
    await upload.open()
    assert upload.describe() == repr(upload) == "<image/png 1.0 kB cat.png>"
    assert repr(image(upload).image_url).count("<image/png 1.0 kB cat.png>") == 1

    unnamed = Upload(PNG)
    assert unnamed.describe() == "<picture, not opened yet>"
    await unnamed.open()
    assert unnamed.describe() == "<image/png 8 B sha256:4c4b6a3be131…>"

    large = Upload(png(2 * 2**20 + 1))
    await large.open()
    assert large.describe() == "<image/png 2.1 MB>"

    opened = Upload(io.BytesIO(png(999_950)))
    await opened.open()
    assert opened.describe() == "<image/png 1.0 MB>"

    assert Upload("a\x1bb/c\nd.png").describe() == r"<picture c\nd.png, not opened yet>"
    assert Upload(UploadFile(io.BytesIO(DATA), filename="../../cat.png")).name == "cat.png"


def test_nothing_is_known_before_it_is_opened() -> None:
    upload = Upload(PNG)
    for ask in (lambda: upload.mime, lambda: upload.size_bytes, lambda: upload.encoded_size, upload.inline):
        with pytest.raises(RuntimeError, match=r"await open\(\) first"):
            ask()
    with pytest.raises(RuntimeError, match=r"await open\(\) first"):
        asyncio.run(anext_of(upload.pieces()))


async def anext_of(pieces: AsyncIterator[bytes]) -> bytes:
    return await anext(pieces)


async def test_an_upload_pickles_when_its_source_does(file: Path) -> None:
    sources: list[PictureSource] = [
        file,
        str(file),
        DATA,
        bytearray(DATA),
        uri(DATA).decode(),
        Image.new("L", (40, 20)),
    ]
    for source in sources:
        upload = Upload(source)
        before = await sent(upload)
        copy = pickle.loads(pickle.dumps(upload))  # noqa: S301  (our own)
        with pytest.raises(RuntimeError):
            _ = copy.mime
        assert await sent(copy) == before
    small = pickle.loads(pickle.dumps(Upload(picture("PNG"), max_side=10)))  # noqa: S301  (our own)
    assert (await decoded(small)).size == (10, 5)
    with opening(file) as handle, pytest.raises(TypeError):
        pickle.dumps(Upload(handle))


def test_one_upload_works_in_several_loops(file: Path) -> None:
    for upload in (Upload(file), Upload(Awaited(DATA)), Upload(picture("PNG"), max_side=10)):
        first = asyncio.run(sent(upload))
        assert asyncio.run(sent(upload)) == first


# Sound.

WAV = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\x08\0\0\0" + bytes(8)
MP3 = b"ID3\x04\0\0\0\0\0\0" + bytes(range(256))


def id3(size: int, version: int = 4, flags: int = 0) -> bytes:
    """Make an ID3 tag with so many bytes in it, the footer not counted."""
    digits = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    footer = b"3DI" + bytes([version, 0, flags]) + digits if flags & 0x10 else b""
    return b"ID3" + bytes([version, 0, flags]) + digits + b"\1" * size + footer


def ape(size: int) -> bytes:
    """Make an APEv2 tag that stands at the beginning: a header, so many bytes and a footer."""
    fields = struct.pack("<IIII8x", 2000, size + 32, 1, 0)
    return b"APETAGEX" + fields + b"\1" * size + b"APETAGEX" + fields


OGG = b"OggS\0\x02" + bytes(22) + b"OpusHead"
SOUNDS = [
    (MP3, "audio/mpeg", "mp3"),
    (b"\xff\xfb\x90\x64", "audio/mpeg", "mp3"),
    (b"\xff\xf3\x40\xc4", "audio/mpeg", "mp3"),
    (b"\xff\xe3\x18\xc4", "audio/mpeg", "mp3"),
    (WAV, "audio/wav", "wav"),
    (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav", "wav"),
    (OGG, "audio/ogg", "ogg"),
    (b"fLaC\0\0\0\x22", "audio/flac", "flac"),
    (b"\xff\xf1\x50\x80", "audio/aac", "aac"),
    (b"\xff\xf9\x50\x80", "audio/aac", "aac"),
    (b"\0\0\0\x1cftypM4A \0\0\0\0", "audio/mp4", "m4a"),
    (b"\0\0\0\x1cftypisom\0\0\0\0", "video/mp4", "mp4"),
    (b"\0\0\0\x14ftypqt  \0\0\0\0", "video/quicktime", "mov"),
    (b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x86\x81\x01B\x82\x84webm", "video/webm", "webm"),
    (b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x82\x88matroska", "video/x-matroska", "mkv"),
    (b"FORM\0\0\0\x10AIFFCOMM", "audio/aiff", "aiff"),
    (b"#!AMR\n", "audio/amr", "amr"),
    (b"\0\0\x01\xba\x44", "video/mpeg", "mpeg"),
]
NO_SOUNDS = [
    (b"", "is empty"),
    (b"<!DOCTYPE html><title>404</title>", "HTML"),
    (b'{"error": 1}', "JSON"),
    (b"just words", "to be text"),
    ("说明".encode("utf-16"), "UTF-16"),
    (DATA, "a picture .image/png."),
    (b"\xff\xd8\xff\xe0", "a picture .image/jpeg."),
    (FTYP + b"heic\0\0\0\0mif1heic", "a picture .image/heic."),
    (b"%PDF-1.7", "PDF"),
    (b"PK\x03\x04", "zip"),
    (bytes(600), "nothing but zeros"),
]


@pytest.mark.parametrize(("head", "mime", "form"), SOUNDS)
async def test_the_kind_of_a_sound_is_told_by_its_first_bytes(
    head: bytes, mime: str, form: str, tmp_path: Path
) -> None:
    for source in (head, put(tmp_path / "named.wrongly.txt", head)):
        recording = Recording(source)
        assert await sent(recording) == base64.b64encode(head)
        assert (recording.mime, recording.format) == (mime, form)
    assert recording.filename == f"named.wrongly.txt.{form}"
    assert Recording(head).name is None


BEHIND_A_TAG = [
    (b"fLaC\0\0\0\x22", "audio/flac"),
    (b"\xff\xf1\x50\x80", "audio/aac"),
    (WAV, "audio/wav"),
    (b"\0\0\0\x1cftypM4A \0\0\0\0", "audio/mp4"),
    (b"\0\0\0\x1cftypisom\0\0\0\0", "video/mp4"),
    (OGG, "audio/ogg"),
    (b"FORM\0\0\0\x10AIFFCOMM", "audio/aiff"),
    (b"\xff\xfb\x90\x64", "audio/mpeg"),
    (b"\0" * 700 + b"\xff\xfb\x90\x64", "audio/mpeg"),
    (b"\x81\x02" * 50 + b"\xff\xfb\x90\x64", "audio/mpeg"),
]


@pytest.mark.parametrize(("sound", "mime"), BEHIND_A_TAG, ids=[f"{mime} {len(data)}" for data, mime in BEHIND_A_TAG])
@pytest.mark.parametrize(
    "tag",
    [
        id3(0),
        id3(100, 3),
        id3(100, 4, 0x10),
        id3(5000, 2),
        id3(300_000),
        id3(700) + id3(9),
        ape(40),
        ape(4000),
        id3(600) + ape(600),
    ],
    ids=["0", "100", "footer", "5000", "300000", "two", "ape", "long ape", "both"],
)
async def test_what_stands_behind_a_tag_is_what_it_is(tag: bytes, sound: bytes, mime: str, tmp_path: Path) -> None:
    data = tag + sound + bytes(10)
    for source in (data, put(tmp_path / "talk.mp3", data), io.BytesIO(data), Awaited(data)):
        recording = Recording(source)
        assert await sent(recording) == base64.b64encode(data)
        assert recording.mime == mime
    assert sound_mime(data) == mime
    given = Recording(data, mime="audio/x-own")
    await given.open()
    assert given.mime == "audio/x-own"


@pytest.mark.parametrize(
    ("data", "seems"),
    [
        (b"ID3 tags are what this is about", "text"),
        (b"ID3\x04\0\x0f\0\0\0\0" + b"\xff\xfb\x90\x64", "begins with 49 44 33"),
        (b"ID3\x09\0\0\0\0\0\0" + b"\xff\xfb\x90\x64", "begins with 49 44 33"),
        (b"ID3\x04\0\0\x80\0\0\0" + b"\xff\xfb\x90\x64", "begins with 49 44 33"),
        (id3(30), "nothing but a tag"),
        (id3(3000)[:900], "nothing but a tag"),
        (id3(30) + b"<!DOCTYPE html><title>404</title>", "HTML"),
        (id3(3000) + DATA, "a picture .image/png."),
        (ape(300) + b'{"error": 1}', "JSON"),
        (b"FORM\0\0\1\0ILBMBMHD", "IFF picture .ILBM."),
        (b"\0\0\0\x10ftypmif3avif", "HEIF picture in its short form"),
        (LAYER_ONE * 3, "layer I; convert it to MP3"),
        (b"MThd\0\0\0\6\0\1", "MIDI"),
        (b"wvpk\x20\0\0\0", "of a kind that relays do not take; convert"),
    ],
)
async def test_a_tag_is_checked_and_what_is_no_sound_behind_it_is_named(
    data: bytes, seems: str, tmp_path: Path
) -> None:
    for source in (data, put(tmp_path / "talk.aiff", data)):
        if source is not data and "begins with" in seems:
            continue  # Then the name decides.
        with pytest.raises(MediaError, match=seems):
            await Recording(source).open()


@pytest.mark.parametrize(("data", "seems"), NO_SOUNDS, ids=[seems for _, seems in NO_SOUNDS])
async def test_what_is_no_sound_is_refused_and_named(data: bytes, seems: str, tmp_path: Path) -> None:
    assert sound_mime(data) is None
    for source in (data, put(tmp_path / "talk.mp3", data)):
        with pytest.raises(MediaError, match=seems) as caught:
            await Recording(source).open()
        assert caught.value.outcome == "not_sent"


async def test_a_sound_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"There is no file .*talk\.mp3"):
        await Recording(tmp_path / "talk.mp3").open()
    with pytest.raises(MediaError, match="is a directory"):
        await Recording(tmp_path).open()
    for address in ("https://host/talk.mp3", "s3://bucket/talk.mp3"):
        with pytest.raises(MediaError, match="is not opened here: Fetch it and give its bytes"):
            Recording(address)
    with pytest.raises(MediaError, match="without file://"):
        Recording("file:///talk.mp3")
    with pytest.raises(MediaError, match="A Image is not a sound"):
        Recording(cast("Any", Image.new("L", (1, 1))))
    with pytest.raises(MediaError, match="The sound given as bytes is no sound"):
        await Recording(b"words").open()


@pytest.mark.parametrize(
    ("given", "data", "sent_as"),
    [
        ("talk.mp3", MP3, "talk.mp3"),
        ("TALK.MP3", MP3, "TALK.MP3"),
        ("talk.mpga", MP3, "talk.mpga"),
        ("talk", MP3, "talk.mp3"),
        ("talk.mp3", WAV, "talk.wav"),
        ("talk.opus", OGG, "talk.ogg"),
        ("v1.2", WAV, "v1.2.wav"),
        ("图 1.m4a", MP3, "图 1.mp3"),
        ("talk.m4a", b"\0\0\0\x1cftypisom\0\0\0\0", "talk.m4a"),
    ],
)
async def test_the_name_that_is_sent_ends_as_the_bytes_ask(
    given: str, data: bytes, sent_as: str, tmp_path: Path
) -> None:
    named = Recording(data, name=given)
    for recording in (named, Recording(put(tmp_path / given, data)), pickle.loads(pickle.dumps(named))):  # noqa: S301  (our own)
        await recording.open()
        assert recording.filename == sent_as


async def test_what_the_bytes_do_not_tell_goes_by_the_name(tmp_path: Path) -> None:
    rubbish = b"\x80\x01\x02\x03" * 200
    recording = Recording(put(tmp_path / "talk.mp3", rubbish))
    await recording.open()
    assert (recording.mime, recording.filename) == ("audio/mpeg", "talk.mp3")
    with pytest.raises(MediaError, match="begins with 80 01"):
        await Recording(rubbish, name="talk.xyz").open()


@pytest.mark.parametrize("mime", ["audio/mpeg\r\nX-Evil: 1", "audio/图", 5])
def test_a_media_type_that_would_break_a_forms_header_is_refused(mime: Any) -> None:
    with pytest.raises(MediaError, match="media type"):
        Recording(MP3, mime=mime)


def test_a_name_of_a_sound_is_text() -> None:
    nameless: Any = 5
    with pytest.raises(MediaError, match="name"):
        Recording(MP3, name=nameless)


def test_what_is_refused_can_be_shown_with_its_locals() -> None:
    no_picture: Any = object()
    with pytest.raises(MediaError) as caught:
        Upload(no_picture)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "not opened yet" in "".join(shown.format())


async def test_the_callers_word_about_the_type_is_taken(tmp_path: Path) -> None:
    recording = Recording(put(tmp_path / "talk.gsm", b"words"), mime="audio/gsm")
    await recording.open()
    assert (recording.mime, recording.filename, recording.format) == ("audio/gsm", "talk.gsm", "gsm")
    named = Recording(MP3, name="talk.bin", mime="audio/mpeg")
    await named.open()
    assert named.filename == "talk.bin"
    unnamed = Recording(bytes(600), mime="audio/pcm")
    await unnamed.open()
    assert unnamed.filename == "sound.pcm"
    with pytest.raises(MediaError, match="empty"):
        await Recording(b"", mime="audio/pcm").open()


async def test_a_recording_of_an_upload_reads_what_the_upload_reads(file: Path) -> None:
    upload = Upload(Awaited(MP3))
    one, other = Recording(upload), Recording(upload, name="b.mp3")
    assert await sent(one) == await sent(other) == base64.b64encode(MP3)
    with pytest.raises(MediaError, match="it seems to be a sound .audio/mpeg."):
        await upload.open()
    with pytest.raises(MediaError, match="it seems to be a picture"):
        await Recording(Upload(file)).open()


async def heard(part: AudioPart) -> dict[str, Any]:
    body = wire.encode({"part": part})
    await body.open()
    whole: dict[str, Any] = json.loads(b"".join([piece async for piece in body.pieces()]))
    assert body.size_bytes == len(json.dumps(whole, separators=(",", ":")))
    return cast("dict[str, Any]", whole["part"])


@pytest.mark.parametrize("size", [1000, 300_000])
async def test_a_part_of_sound_is_bare_base64_and_the_name_of_its_format(size: int, tmp_path: Path) -> None:
    data = WAV + bytes(size)
    path = put(tmp_path / "talk.mp3", data)
    sources: list[SoundSource] = [
        path,
        str(path),
        data,
        uri(data, "audio/x").decode(),
        io.BytesIO(data),
        Recording(path),
    ]
    for source in sources:
        part = await heard(audio(source))
        assert part == {
            "type": "input_audio",
            "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"},
        }


async def test_a_format_that_is_given_is_written_as_it_is() -> None:
    assert (await heard(audio(bytes(10), format="pcm16")))["input_audio"]["format"] == "pcm16"
    assert (await heard(audio(Recording(WAV), format="x")))["input_audio"]["format"] == "x"


async def test_a_part_of_sound_reads_nothing_yet_and_pickles(tmp_path: Path) -> None:
    path = tmp_path / "talk.mp3"
    part = audio(path)
    assert "<sound talk.mp3, not opened yet>" in repr(part)
    copy = pickle.loads(pickle.dumps(part))  # noqa: S301  (our own)
    put(path, MP3)
    assert await heard(copy) == await heard(part) == await heard(part)
    assert "<audio/mpeg 266 B talk.mp3>" in repr(part)


# --- files of other kinds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "mime"),
    [
        ("a.pdf", b"%PDF-1.7 x", "application/pdf"),
        ("a.bin", b"%PDF-1.7 x", "application/pdf"),
        ("a.TXT", b"text", "text/plain"),
        ("a.csv", b"a,b", "text/csv"),
        ("a", b"\0", "application/octet-stream"),
    ],
)
async def test_a_file_is_sent_under_its_name(name: str, data: bytes, mime: str, tmp_path: Path) -> None:
    part = file_part(put(tmp_path / name, data))
    assert part.file.filename == name
    assert await sent(part.file.file_data) == uri(data, mime)
    part = file_part(data, filename=name)
    assert await sent(part.file.file_data) == uri(data, mime)
    again = pickle.loads(pickle.dumps(part.file.file_data))  # noqa: S301  (our own bytes)
    assert (again.name, await sent(again)) == (name, uri(data, mime))


async def test_a_file_needs_a_name_and_content(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="filename='report.pdf'"):
        file_part(b"x")
    with pytest.raises(MediaError, match="is empty"):
        await file_part(put(tmp_path / "a.txt", b"")).file.file_data.open()
    with pytest.raises(MediaError, match="no file"):
        await Document(tmp_path / "b.txt").open()


async def test_a_file_must_stay_what_it_was(tmp_path: Path) -> None:
    path = put(tmp_path / "a.txt", b"one")
    document = Document(path)
    await document.open()
    await document.open()
    replace(path, b"other")
    with pytest.raises(MediaError, match="changed"):
        await document.open()
