from __future__ import annotations

import base64
import io
import json
import struct

import pytest
from PIL import Image

from tutuclient.testing import sample_picture, sample_sound
from tutuclient.testing.cassettes.media import digest, stand_in, with_stand_ins, without_media

PICTURE = sample_picture()
LETTERS = base64.b64encode(PICTURE).decode()
DIGEST = digest(PICTURE)
EMBEDDING = base64.b64encode(struct.pack("<300f", *[0.25, -0.5, 1e-3] * 100)).decode()
# A vector whose base64 begins like a frame of MP3.
LOUD = base64.b64encode(b"\xff\xfb\x90\x64" + bytes(range(200))).decode()


@pytest.mark.parametrize(
    "text",
    [
        f'{{"url":"data:image/png;base64,{LETTERS}"}}',
        f'{{"data":[{{"b64_json":"{LETTERS}"}}]}}',
        f"![image](data:image/png;base64,{LETTERS})",
        f'{{"images":[{{"url":"{LETTERS}"}}]}}',
        f'data: {{"type":"image_generation.completed","b64_json": "{LETTERS}"}}\n\n',
        json.dumps({"content": json.dumps({"b64_json": LETTERS})}),
    ],
)
def test_base64_becomes_a_digest_and_a_stand_in_of_the_same_length(text: str) -> None:
    written = without_media(text)
    assert written == text.replace(LETTERS, DIGEST)
    replayed = with_stand_ins(written)
    assert len(replayed) == len(text)
    assert LETTERS not in replayed


def test_slashes_may_be_escaped_and_base64_in_lines_or_url_safe() -> None:
    for letters in (
        LETTERS.replace("/", r"\/"),
        "\\n".join(LETTERS[at : at + 76] for at in range(0, len(LETTERS), 76)),
        base64.urlsafe_b64encode(PICTURE).decode(),
        LETTERS.rstrip("="),
    ):
        assert without_media(f'"b64_json":"{letters}"') == f'"b64_json":"{DIGEST}"'


@pytest.mark.parametrize(
    "text",
    [
        f'{{"embedding":"{EMBEDDING}"}}',
        f'{{"embedding":"{LOUD}"}}',
        f'{{"vector":"{LOUD}"}}',
        f'{{"embedding":"{LETTERS}"}}',
        "https://relay.example/" + "a/" * 60,
        '{"data":"not base64 ' + "x" * 70 + '="}',
        "sha256: " + "ab" * 32,
        '{"b64_json":"' + "A" * 65 + '"}',
    ],
)
def test_what_is_no_image_stays(text: str) -> None:
    assert without_media(text) == text


def test_audio_in_its_fields_is_audio_whatever_it_begins_like() -> None:
    sound = base64.b64encode(sample_sound()).decode()
    assert "{{tutu audio/wav 24000Hz-1ch-16bit" in without_media(f'{{"audio":{{"data":"{sound}"}}}}')
    samples = base64.b64encode(b"\1\2" * 300).decode()
    assert '"audio":"{{tutu application/octet-stream 600 bytes' in without_media(f'{{"audio":"{samples}"}}')
    assert "{{tutu audio/pcm 600 bytes" in without_media(f"data:audio/pcm;base64,{samples}")


def test_an_image_that_goes_on_in_the_next_event_is_left() -> None:
    part = f'{{"content":"![a](data:image/png;base64,{LETTERS[:4000]}"}}'
    assert without_media(part, whole=False) == part
    assert "{{tutu image/png" in without_media(part)
    for kind in ("PNG", "JPEG", "GIF", "WEBP"):
        written = io.BytesIO()
        Image.new("RGB", (30, 20)).save(written, kind)
        letters = base64.b64encode(written.getvalue()).decode()
        assert "{{tutu" in without_media(f'"data:image/x;base64,{letters}"', whole=False)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_the_pixels_are_told(kind: str) -> None:
    written = io.BytesIO()
    Image.effect_noise((300, 200), 50).save(written, kind)
    assert " 300x200 " in digest(written.getvalue())
    # Cut off in its header, it is still a file of its kind.
    assert "x" not in digest(written.getvalue()[: 8 if kind == "GIF" else 17]).split(" bytes")[0].split(" ", 2)[-1]


def test_every_kind_of_webp_tells_its_pixels() -> None:
    for options in ({"lossless": True}, {"quality": 50}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}):
        written = io.BytesIO()
        Image.new("RGB", (300, 200)).save(written, "WEBP", **options)
        assert " 300x200 " in digest(written.getvalue())


def test_a_jpeg_with_much_in_front_of_its_frame_tells_its_pixels() -> None:
    written = io.BytesIO()
    Image.new("RGB", (300, 200)).save(written, "JPEG", progressive=True, exif=b"Exif\0\0" + bytes(20_000))
    assert " 300x200 " in digest(written.getvalue())


def test_what_is_no_digest_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a digest"):
        stand_in("{{tutu image/png}}")


def test_a_long_text_is_searched_in_one_go() -> None:
    text = "data " * 100_000 + "A" * 2_000_000 + "!"
    assert without_media(text) == text
