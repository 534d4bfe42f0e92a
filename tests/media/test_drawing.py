"""What ``media.drawing`` promises: images made smaller or set upright look the same, and what cannot be is refused."""

from __future__ import annotations

import asyncio
import base64
import builtins
import io
import os
import pickle
import struct
import sys
import threading
import zlib
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from PIL import Image, ImageChops, ImageCms, ImageFile, ImageStat

from tests.media.uploads import (
    DATA,
    FTYP,
    PNG,
    OneWay,
    decoded,
    opening,
    picture,
    put,
    refusal,
    sent,
    turned,
    uri,
)
from tutuclient.errors import MediaError
from tutuclient.media import drawing
from tutuclient.media.parts import image
from tutuclient.media.upload import Upload

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


# Pillow.


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
async def test_a_larger_image_is_made_smaller_and_keeps_its_format(form: str, tmp_path: Path) -> None:
    data = picture(form, (400, 100))
    path = put(tmp_path / "cat", data)
    with opening(path) as handle:
        sources: list[Any] = [path, data, uri(data).decode(), handle, OneWay(data)]
        for source in sources:
            drawn = await decoded(Upload(source, max_side=40))
            assert (drawn.format, drawn.size) == (form, (40, 10))
        assert handle.tell() == 0


async def test_an_image_that_fits_is_sent_byte_for_byte(tmp_path: Path) -> None:
    data = picture("PNG", (40, 20))[:-40]  # broken where nobody looks
    path = put(tmp_path / "cat.png", data)
    assert await sent(Upload(path, max_side=40)) == uri(data)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
async def test_a_turned_image_is_set_upright(form: str) -> None:
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
    """Return a BMP of four channels with masks (BITMAPV4HEADER), whose left half has this alpha; None: all is zero."""
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
    """Return a PNG with a chunk behind its header."""
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
    """Return a BMP whose header promises more than comes."""
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
async def test_a_size_that_the_bytes_cannot_hold_is_refused_before_it_is_decoded(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DECLARED[kind]
    Image.init()
    decoded_sizes: list[tuple[int, int]] = []
    load = ImageFile.ImageFile.load

    def noted(image: ImageFile.ImageFile) -> Any:
        decoded_sizes.append(image.size)
        return load(image)

    # Decoding holds the loop: Pillow takes memory for all pixels with the GIL held.
    monkeypatch.setattr(ImageFile.ImageFile, "load", noted)
    with pytest.raises(MediaError, match=r"declares 9,\d\d0 x 9,\d\d0 pixels, which its [\d,]+ bytes cannot hold"):
        await Upload(data, max_side=100).open()
    assert decoded_sizes == []
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
    assert (await refusal(picture("JPEG", (400, 200)), max_side=200, max_pixels=79_999)).outcome == "not_sent"
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


async def test_several_images_in_a_jpeg_become_one() -> None:
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
        assert "The Pillow image cannot be drawn by Pillow" in str(await refusal(opened))


async def test_an_image_is_resized_once_for_several_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = 0
    uploads = [Upload(picture("PNG"), max_side=10), Upload(Image.new("RGB", (40, 20)), max_side=10)]
    real = Image.Image.save

    def counted(*args: Any, **options: Any) -> None:
        nonlocal drawn
        drawn += 1
        real(*args, **options)

    monkeypatch.setattr(Image.Image, "save", counted)
    for upload in uploads:
        async with anyio.create_task_group() as group:
            group.start_soon(sent, upload)
            group.start_soon(sent, upload)
        await sent(upload)
    assert drawn == 2


async def test_no_more_images_are_drawn_at_a_time_than_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    lock, now, most = threading.Lock(), 0, 0
    real = Image.Image.save
    both = threading.Barrier(2)
    uploads = [Upload(picture("PNG"), max_side=10) for _ in range(8)]

    def watched(*args: Any, **options: Any) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        both.wait(5)
        try:
            real(*args, **options)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(Image.Image, "save", watched)
    async with anyio.create_task_group() as group:
        for upload in uploads:
            group.start_soon(upload.open)
    assert most == 2


@pytest.mark.parametrize("size", [(400, 300), (300, 400), (403, 301)])
async def test_a_jpeg_is_decoded_at_the_size_that_suffices(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = picture("JPEG", size)
    mixed: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def watched(self: Image.Image, *args: Any, **options: Any) -> Image.Image:
        mixed.append(self.size)
        return resize(self, *args, **options)

    monkeypatch.setattr(Image.Image, "resize", watched)
    made = await decoded(Upload(data, max_side=102))
    whole = Image.open(io.BytesIO(data))
    whole.thumbnail((102, 102), reducing_gap=None)
    assert mixed[0] == (-(-size[0] // 2), -(-size[1] // 2))
    assert made.size == whole.size
    # On the average of all pixels they are as near as two JPEGs of one image.
    assert max(ImageStat.Stat(ImageChops.difference(made.convert("RGB"), whole.convert("RGB"))).mean) < 3


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
async def test_the_loop_has_its_turn_while_an_image_is_encoded(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0
    seen: list[int] = []
    noise = Image.frombytes("RGB", (1600, 1200), os.urandom(1600 * 1200 * 3))
    noise.format = form
    write = drawing._Yielding.write

    def watched(self: Any, data: Any) -> int:
        seen.append(turns)
        return write(self, data)

    monkeypatch.setattr(drawing._Yielding, "write", watched)
    upload = Upload(noise)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(100)  # So that the loop runs only where the thread lets it.
    try:
        opening = asyncio.ensure_future(upload.open())
        while not opening.done():
            await asyncio.sleep(0)
            turns += 1
    finally:
        sys.setswitchinterval(interval)
    assert len(seen) > 10
    assert seen[-1] > seen[0]


async def test_a_broken_image_is_refused_only_where_it_has_to_be_decoded() -> None:
    broken = picture("PNG", (400, 200))[:100]
    assert await sent(Upload(broken)) == uri(broken)
    error = await refusal(broken, max_side=10)
    assert "The image passed as bytes cannot be drawn by Pillow" in str(error)
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
    with pytest.raises(MediaError, match="A Image is not an image"):
        Upload(Image.new("L", (1, 1)))
