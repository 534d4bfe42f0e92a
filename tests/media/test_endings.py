"""Ends of images: whole files of every kind are whole, and no part of one is."""

from __future__ import annotations

import io
import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.growth import growth
from tutuclient.media.endings import Ending
from tutuclient.media.kinds import image_mime

SIZE = (97, 61)


def drawn(mode: str = "RGB", size: tuple[int, int] = SIZE, seed: int = 1) -> Image.Image:
    """Draw an image whose file cannot be compressed to nothing."""
    noise = Image.frombytes("L", size, random.Random(seed).randbytes(size[0] * size[1]))
    if mode in {"1", "L", "P", "I", "I;16", "F"}:
        return noise.convert(mode)
    bands = [noise, noise.rotate(180), noise.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return Image.merge("RGB", bands).convert(mode)


def written(kind: str, mode: str = "RGB", *, frames: int = 1, **options: Any) -> bytes:
    buffer = io.BytesIO()
    if frames > 1:
        options |= {"save_all": True, "append_images": [drawn(mode, seed=number) for number in range(2, frames + 1)]}
    drawn(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def with_segment(jpeg: bytes, kind: int, content: bytes) -> bytes:
    return jpeg[:2] + struct.pack(">BBH", 0xFF, kind, len(content) + 2) + content + jpeg[2:]


def boxes(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(content) + 8) + kind + content for kind, content in parts)


def tiff(*others: tuple[int, int, int, int]) -> bytes:
    """Return a TIFF of 5 x 4 pixels of four bytes each, with these entries in place of its own."""
    given = {256: (3, 1, 5), 257: (3, 1, 4), 259: (3, 1, 1), 262: (3, 1, 2), 277: (3, 1, 4), 278: (3, 1, 4)}
    given |= {258: (3, 1, 8), 273: (4, 1, 146), 279: (4, 1, 80), 339: (3, 1, 1), 338: (3, 1, 2)}
    given |= {tag: (kind, count, value) for tag, kind, count, value in others}
    entries = b"".join(struct.pack("<HHII", tag, *rest) for tag, rest in sorted(given.items()))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(given)) + entries + bytes(4) + bytes(range(80))


PNG, JPEG, GIF, WEBP = (written(kind) for kind in ("PNG", "JPEG", "GIF", "WEBP"))
BMP, TIFF, AVIF = written("BMP"), written("TIFF"), written("AVIF", quality=90)
THUMBNAIL = written("JPEG", quality=20)
HEIC = boxes((b"ftyp", b"heic\0\0\0\0mif1heic"), (b"meta", b"\0" * 40), (b"mdat", bytes(range(1, 200))))

WHOLE: dict[str, bytes] = {
    "png": PNG,
    "png grey": written("PNG", "L"),
    "png 16 bits": written("PNG", "I;16"),
    "png one bit": written("PNG", "1"),
    "png palette": written("PNG", "P"),
    "png transparent": written("PNG", "RGBA"),
    "png optimized": written("PNG", optimize=True),
    "apng": written("PNG", frames=3),
    "jpeg": JPEG,
    "jpeg progressive": written("JPEG", progressive=True, quality=95),
    "jpeg grey": written("JPEG", "L"),
    "jpeg cmyk": written("JPEG", "CMYK"),
    "jpeg restarts": written("JPEG", restart_marker_blocks=2),
    "jpeg with a thumbnail": with_segment(JPEG, 0xE1, b"Exif\0\0" + THUMBNAIL),
    "mpo": written("MPO", frames=3),
    "gif": GIF,
    "gif interlaced": written("GIF", "P", interlace=True),
    "gif animated": written("GIF", "P", frames=4, duration=20, loop=0),
    "webp": WEBP,
    "webp lossless": written("WEBP", lossless=True),
    "webp transparent": written("WEBP", "RGBA"),
    "webp animated": written("WEBP", frames=3),
    "bmp": BMP,
    "bmp grey": written("BMP", "L"),
    "bmp one bit": written("BMP", "1"),
    "bmp palette": written("BMP", "P"),
    "bmp 32 bits": written("BMP", "RGBA"),
    "tiff": TIFF,
    "tiff grey": written("TIFF", "L"),
    "tiff deflated": written("TIFF", compression="tiff_adobe_deflate"),
    "tiff pages": written("TIFF", frames=3),
    "bigtiff": written("TIFF", big_tiff=True),  # Pillow's hopper_bigtiff.tif
    "bigtiff deflated": written("TIFF", big_tiff=True, compression="tiff_adobe_deflate"),
    "ico": written("ICO", "RGBA", sizes=[(16, 16), (48, 48)]),
    "avif": AVIF,
    "avif transparent": written("AVIF", "RGBA"),
    "avif animated": written("AVIF", frames=3),
    "heic": HEIC,
}

# What stands behind an image, or what its sender got wrong, and does not make it less than whole.
ODD: dict[str, bytes] = {
    "36 kB behind IEND": PNG + bytes(range(256)) * 144,
    "a film behind a jpeg": JPEG + boxes((b"ftyp", b"mp42"), (b"mdat", bytes(5000))),
    "zeros behind a jpeg": JPEG + bytes(40_000),
    "a note behind a jpeg": JPEG + b"SEFH note",
    "a jpeg behind zeros behind a jpeg": JPEG + bytes(700) + JPEG,
    "zeros behind a gif's trailer": GIF + bytes(300),
    "zeros between a gif's blocks": GIF[:-1] + bytes(3) + b";",
    "bytes behind a webp": WEBP + b"XMP?",
    "a webp without its last byte of filling": (b"RIFF\x14\0\0\0WEBPVP8 \x07\0\0\0" + bytes(7)),
    "a bmp whose size field is zero": BMP[:2] + bytes(4) + BMP[6:],
    "a bmp whose size field is too large": BMP[:2] + b"\xff\xff\xff\x7f" + BMP[6:],
    "a bmp without the filling of its last row": BMP[:2] + struct.pack("<I", len(BMP) - 1) + BMP[6:-1],
    "zeros behind boxes": HEIC + bytes(20),
    # Pillow's tiff_wrong_bits_per_sample.tiff
    "a tiff whose strip is said to be larger than its pixels": tiff((279, 4, 1, 2**25)),
    "a tiff whose rows are said to be all there can be": tiff((278, 4, 1, 2**32 - 1), (279, 4, 1, 2**25)),
    "a tiff with numbers of a type that has none": tiff((279, 6, 4, 80)),
    "a last box without a size": HEIC.replace(struct.pack(">I", 207) + b"mdat", bytes(4) + b"mdat"),
    "boxes of 64 bits": boxes((b"ftyp", b"avif\0\0\0\0")) + struct.pack(">I4sQ", 1, b"mdat", 16 + 9) + bytes(9),
}


def followed(data: bytes, step: int = 4096) -> Ending:
    mime = image_mime(data[:64])
    assert mime is not None
    ending = Ending(mime)
    for at in range(0, len(data), step):
        ending.feed(data[at : at + step])
    return ending


@pytest.mark.parametrize("name", WHOLE | ODD)
@pytest.mark.parametrize("step", [1, 7, 4096, 10**9])
def test_whole_files_are_whole_however_they_come(name: str, step: int) -> None:
    data = (WHOLE | ODD)[name]
    ending = followed(data, step)
    assert ending.is_whole
    assert ending.size_bytes == len(data)


@pytest.mark.parametrize("name", WHOLE)
def test_no_part_is_whole(name: str) -> None:
    # Fifty places anywhere and twenty-five in the last hundredth, and each of the last bytes.
    data = WHOLE[name]
    dice = random.Random(name)
    places = {dice.randrange(32, len(data)) for _ in range(50)}
    places |= {len(data) - 1 - dice.randrange(max(1, len(data) // 100)) for _ in range(25)}
    places |= set(range(len(data) - 12, len(data)))
    allowed = {place for place in places if _loses_only_filling(name, data, place)}
    assert [place for place in sorted(places - allowed) if followed(data[:place]).is_whole] == []


def _loses_only_filling(name: str, data: bytes, place: int) -> bool:
    """Return whether a cut loses nothing of the image: filling of a last chunk or page, a next image's first bytes."""
    if name == "mpo":
        return (
            data[:place].rstrip(b"\xff\xd8").endswith(b"\xff\xd9")
            or data.rfind(b"\xff\xd9\xff\xd8", 0, place) >= place - 5
        )
    filled = name == "tiff pages" or (name.startswith("webp") and place == len(data) - 1)
    return filled and not any(data[place:])


def test_a_part_of_a_tiff_whose_strip_is_said_to_be_too_large_is_not_whole() -> None:
    assert not followed(tiff((279, 4, 1, 2**25))[:-1]).is_whole


def test_no_directory_of_a_tiff_is_kept_that_is_larger_than_one_may_be() -> None:
    ending = followed(b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**40) + bytes(100_000))
    assert not ending.is_whole


def test_a_tiff_without_pixels_is_not_whole() -> None:
    assert not followed(b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 256, 3, 1, 5, 0) + bytes(100)).is_whole


@pytest.mark.parametrize("name", ["png", "webp", "tiff", "bigtiff", "avif", "bmp"])
def test_a_file_that_lost_a_stretch_in_its_middle_is_not_whole(name: str) -> None:
    data = WHOLE[name]
    assert not followed(data[: len(data) // 2] + data[len(data) // 2 + 57 :]).is_whole


def test_places_of_items_are_counted_where_a_box_has_no_size() -> None:
    iloc = b"\0\0\0\0" + b"\x44\x00" + struct.pack(">HHHHII", 1, 1, 0, 1, 100, 500)
    meta = b"\0\0\0\0" + boxes((b"iloc", iloc))
    data = boxes((b"ftyp", b"avif\0\0\0\0"), (b"meta", meta)) + bytes(4) + b"mdat"
    assert followed(data.ljust(600, b"x")).is_whole
    assert not followed(data.ljust(599, b"x")).is_whole


def test_what_is_not_known_counts_as_whole() -> None:
    ending = Ending("image/jxl")
    ending.feed(b"anything")
    assert ending.is_whole


@given(st.sampled_from(sorted(WHOLE)), st.binary(max_size=400), st.integers(12, 200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_followed(name: str, junk: bytes, at: int) -> None:
    data = WHOLE[name][:at] + junk
    if image_mime(data[:64]):
        assert followed(data, 50).is_whole in {True, False}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (PNG[:33], b"\0\0\0\0tEXt\0\0\0\0"),
        (JPEG[:2], b"\xff\xd0"),
        (JPEG[:2], b"\xff\xe0\0\2"),
        (GIF[:13], b"!x\0"),
        (GIF[:13], b"!x\1a\0"),
        (WEBP[:12], b"VP8 \0\0\0\0"),
        (HEIC[:24], b"\0\0\0\x08free"),
        (written("ICO", sizes=[(16, 16)])[:22], b"\0"),
    ],
)
def test_takes_time_linear_in_the_bytes(start: bytes, piece: bytes) -> None:
    def data(size: int) -> bytes:
        return start + piece * (size // len(piece))

    # Eight times the bytes: 8 when linear, 64 when quadratic.
    assert growth(data, followed, 50_000, 400_000) < 24
