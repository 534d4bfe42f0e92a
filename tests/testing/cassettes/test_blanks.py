from __future__ import annotations

import hashlib
import io
import wave
from typing import Any

import pytest
from PIL import Image

from tests.images import png
from tutuclient.testing import sample_sound
from tutuclient.testing.cassettes.blanks import blank
from tutuclient.testing.cassettes.media import digest, stand_in

SIZES = [(1, 1), (7, 9), (640, 480), (1500, 33)]
MARK = hashlib.sha256(b"one").hexdigest()


def noise(size: tuple[int, int], kind: str, **options: Any) -> bytes:
    written = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(written, kind, **options)
    return written.getvalue()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_stand_in_has_the_kind_the_pixels_and_the_bytes(kind: str, size: tuple[int, int]) -> None:
    data = noise(size, kind)
    made = stand_in(digest(data))
    with Image.open(io.BytesIO(made)) as image:
        image.load()
        assert (image.format, image.size) == (kind, size)
    # The smallest PNG of a palette is longer than one of a pixel that Pillow writes.
    assert len(made) == len(data) or (kind == "PNG" and size == (1, 1))
    assert digest(made).split(" sha256")[0].rsplit(" ", 1)[0] == digest(data).split(" sha256")[0].rsplit(" ", 1)[0] or (
        kind == "PNG" and size == (1, 1)
    )


@pytest.mark.parametrize("mime", ["image/png", "image/jpeg", "image/gif", "image/webp"])
@pytest.mark.parametrize("more", [*range(40), 255, 256, 260, 509, 65_536, 65_540, 140_001])
def test_any_number_of_bytes_can_be_had(mime: str, more: int) -> None:
    smallest = len(blank(mime, "9x7", 0, MARK))
    made = blank(mime, "9x7", smallest + more, MARK)
    with Image.open(io.BytesIO(made)) as image:
        image.load()
        assert image.size == (9, 7)
    # What is added takes so many bytes at least: a chunk of PNG, a comment of GIF.
    assert len(made) - smallest - more in {0, *(range(12) if mime == "image/png" and more < 12 else ())} or (
        mime == "image/webp" and len(made) - smallest - more == 1
    )


def test_images_that_differ_get_stand_ins_that_differ() -> None:
    other = hashlib.sha256(b"other").hexdigest()
    for mime in ("image/png", "image/jpeg", "image/gif", "image/webp"):
        assert blank(mime, "64x64", 2000, MARK) != blank(mime, "64x64", 2000, other)


def test_other_images_become_a_png_of_the_same_pixels() -> None:
    data = noise((40, 30), "BMP")
    with Image.open(io.BytesIO(stand_in(digest(data)))) as image:
        assert (image.format, image.size) == ("PNG", (40, 30))
    # Where the pixels are not known it is a small one.
    with Image.open(io.BytesIO(blank("image/heic", "", 5000, MARK))) as image:
        assert image.size == (64, 64)


def test_a_size_that_no_file_has_is_not_tried() -> None:
    made = blank("image/webp", "999999999x0", 10, MARK)
    with Image.open(io.BytesIO(made)) as image:
        assert image.size == (16_384, 1)


def test_a_wav_stays_a_wav_of_the_same_length_and_silent() -> None:
    data = sample_sound()
    made = stand_in(digest(data))
    with wave.open(io.BytesIO(made)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert not any(file.readframes(file.getnframes()))
    assert len(made) == len(data)


def test_eight_bits_are_silent_in_the_middle() -> None:
    with wave.open(io.BytesIO(blank("audio/wav", "8000Hz-1ch-8bit", 100, MARK))) as file:
        assert set(file.readframes(99)) == {0x80}


def test_an_mp3_stays_one_frame_by_frame() -> None:
    # MPEG-1, layer III, 128 kbit/s at 44.1 kHz: frames of 417 bytes.
    made = blank("audio/mpeg", "fffb9064", 1000, MARK)
    assert made[:4].hex() == made[417:421].hex() == "fffb9064"
    assert len(made) == 1000
    assert digest(made).startswith("{{tutu audio/mpeg fffb9064 1000 bytes")


@pytest.mark.parametrize("form", ["", "zz", "fffb", "fffbf064", "fffb9c64", "ffeb9064", "fffd9064"])
def test_what_is_no_frame_becomes_a_wav(form: str) -> None:
    assert blank("audio/mpeg", form, 500, MARK).startswith(b"RIFF")


def test_raw_samples_are_zeros_and_other_files_too() -> None:
    assert blank("audio/pcm", "", 10, MARK) == blank("application/pdf", "", 10, MARK) == bytes(10)
    assert blank("audio/ogg", "", 100, MARK).startswith(b"RIFF")


def test_a_png_of_another_program_is_known() -> None:
    assert digest(png(b"abc")).startswith("{{tutu image/png ")
