"""What bytes are, by one table: what is sent can be received, saved, found and served, and the other way round."""

from __future__ import annotations

import base64
import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.media.uploads import (
    DATA,
    FTYP,
    LAYER_ONE,
    MP3,
    OGG,
    PNG,
    WAV,
    Awaited,
    decoded,
    picture,
    put,
    refusal,
    sent,
    tga,
    uri,
)
from tutuclient import wire
from tutuclient.errors import MediaError
from tutuclient.media.kinds import audio_mime
from tutuclient.media.upload import Recording, Upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


from typing import TYPE_CHECKING, NamedTuple

import aiohttp

from tests.conftest import KEY, QUICK
from tutuclient import TutuClient, find_images
from tutuclient.errors import ConfigError
from tutuclient.media.kinds import EXTENSIONS
from tutuclient.testing import Server, raw, says
from tutuclient.testing.answers import media_type
from tutuclient.types import ChatChoice, ChatCompletion, ChatMessage


class Row(NamedTuple):
    """A kind of file: what it is called, a whole file of it, how it is sent (or why not), and its usual extension."""

    name: str
    mime: str
    data: bytes
    extension: str
    refused: str = ""


def written(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 90, 40)).save(buffer, form, **options)
    return buffer.getvalue()


def boxes(brand: bytes, *compatible: bytes) -> bytes:
    """Return the boxes of a file of the family of MP4, of these brands: a file type, and data of no meaning."""
    parts = ((b"ftyp", brand + bytes(4) + b"".join(compatible)), (b"meta", bytes(40)), (b"mdat", bytes(range(1, 99))))
    return b"".join(struct.pack(">I", len(content) + 8) + kind + content for kind, content in parts)


IMAGES = [
    Row("PNG", "image/png", written("PNG"), ".png"),
    Row("JPEG", "image/jpeg", written("JPEG"), ".jpg"),
    Row("GIF", "image/gif", written("GIF"), ".gif"),
    Row("WebP", "image/webp", written("WEBP"), ".webp"),
    Row("BMP", "image/bmp", written("BMP"), ".bmp"),
    Row("TIFF", "image/tiff", written("TIFF"), ".tif"),
    Row("BigTIFF", "image/tiff", written("TIFF", big_tiff=True), ".tif"),
    Row("AVIF", "image/avif", written("AVIF"), ".avif"),
    Row("HEIC", "image/heic", boxes(b"heic", b"mif1", b"heic"), ".heic"),
    Row("HEIC hevm", "image/heic", boxes(b"hevm", b"mif1"), ".heic"),
    Row("HEIF", "image/heif", boxes(b"mif1", b"miaf"), ".heif"),
    # No API takes icons: OpenAI and Anthropic take PNG, JPEG, GIF and WebP, Gemini HEIC and HEIF too.
    Row("ICO", "image/x-icon", written("ICO", sizes=[(16, 16)]), ".ico", refused="an icon or a cursor; convert it"),
]
AUDIO = [
    Row("MP3", "audio/mpeg", b"\xff\xfb\x90\x64" + bytes(range(256)), ".mp3"),
    Row("MP3 with a tag", "audio/mpeg", b"ID3\x04\0\0\0\0\0\0" + bytes(range(256)), ".mp3"),
    Row("WAV", "audio/wav", WAV, ".wav"),
    Row("Ogg", "audio/ogg", b"OggS\0\x02" + bytes(22) + b"OpusHead" + bytes(40), ".ogg"),
    Row("FLAC", "audio/flac", b"fLaC\0\0\0\x22" + bytes(80), ".flac"),
    Row("AAC", "audio/aac", b"\xff\xf1\x50\x80" + bytes(range(256)), ".aac"),
    Row("M4A", "audio/mp4", boxes(b"M4A "), ".m4a"),
    Row("MP4", "video/mp4", boxes(b"isom"), ".mp4"),
    Row("QuickTime", "video/quicktime", boxes(b"qt  "), ".mov"),
    Row("WebM", "video/webm", b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x86\x81\x01B\x82\x84webm" + bytes(80), ".webm"),
    Row("Matroska", "video/x-matroska", b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x82\x88matroska" + bytes(80), ".mkv"),
    Row("MPEG", "video/mpeg", b"\0\0\x01\xba\x44" + bytes(80), ".mpeg"),
    Row("AIFF", "audio/aiff", b"FORM\0\0\0\x10AIFFCOMM" + bytes(80), ".aiff"),
    Row("AMR", "audio/amr", b"#!AMR\n" + bytes(80), ".amr"),
    Row("CAF", "audio/x-caf", b"caff\0\1\0\0" + bytes(80), ".caf"),
    Row("WMA", "audio/x-ms-wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(80), ".wma"),
]
images = pytest.mark.parametrize("row", IMAGES, ids=[row.name for row in IMAGES])
recordings = pytest.mark.parametrize("row", AUDIO, ids=[row.name for row in AUDIO])


@pytest.fixture
async def client(server: Server) -> AsyncIterator[TutuClient]:
    async with TutuClient(KEY, server.base_url, retry=QUICK, allow_private_downloads=True) as client:
        yield client


def answer(text: str) -> ChatCompletion:
    return ChatCompletion(choices=[ChatChoice(message=ChatMessage(content=text))])


def test_every_kind_has_a_row() -> None:
    # Raw samples have no header to know them by.
    assert {row.mime for row in (*IMAGES, *AUDIO)} == set(EXTENSIONS) - {"audio/pcm"}


@images
async def test_an_image_is_sent_or_refused_with_what_to_do(row: Row, client: TutuClient, server: Server) -> None:
    if row.refused:
        with pytest.raises(MediaError, match=row.refused) as caught:
            await client.analyze(row.data, "What is this?")
        assert (caught.value.outcome, server.requests) == ("not_sent", [])
        return
    upload = Upload(row.data)
    server.answers(says("A square."))
    await client.analyze(upload, "What is this?")
    assert upload.mime == row.mime
    [part] = [part for part in server.requests[0].json["messages"][0]["content"] if part["type"] == "image_url"]
    assert part["image_url"]["url"] == f"data:{row.mime};base64,{base64.b64encode(row.data).decode()}"


@images
@pytest.mark.parametrize("inline", [True, False])
async def test_an_image_is_received_and_saved(
    row: Row, inline: bool, client: TutuClient, server: Server, tmp_path: Path
) -> None:
    url = f"data:image/png;base64,{base64.b64encode(row.data).decode()}" if inline else server.host(row.data)
    server.answers(says(f"![it]({url})"))
    [image] = (await client.generate("Draw.", model="m")).images
    saved = await image.save(tmp_path / "it.png")
    assert (image.mime, saved.name, saved.read_bytes()) == (row.mime, f"it{row.extension}", row.data)


@images
def test_an_image_is_found_by_any_of_its_extensions(row: Row) -> None:
    for extension in EXTENSIONS[row.mime]:
        url = f"https://host.example/it{extension}"
        assert [image.url for image in find_images(answer(f"Here it is: {url}"))] == [url]


@images
async def test_the_relay_serves_an_image_as_what_it_is(row: Row, server: Server) -> None:
    url = server.host(row.data)
    assert url.endswith(row.extension)
    assert media_type(row.data) == row.mime
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert (response.content_type, await response.read()) == (row.mime, row.data)


@recordings
async def test_audio_is_sent_received_and_saved(row: Row, client: TutuClient, server: Server, tmp_path: Path) -> None:
    recording = Recording(row.data)
    await recording.open()
    assert (recording.mime, recording.filename) == (row.mime, f"sound{row.extension}")
    server.answers(raw(body=row.data, headers={"Content-Type": "application/octet-stream"}))
    speech = await client.audio.speech.create(model="m", voice="alloy", input="Hello.")
    assert (speech.mime, (await speech.save(tmp_path / "it.png")).name) == (row.mime, f"it{row.extension}")


@recordings
def test_audio_is_not_an_image(row: Row) -> None:
    for extension in EXTENSIONS[row.mime]:
        assert find_images(answer(f"![it](https://host.example/it{extension})")) == []


@recordings
@pytest.mark.parametrize("folder", ["", "recordings/"])
def test_the_path_of_audio_is_distinguished_from_its_base64(row: Row, folder: str) -> None:
    for extension in EXTENSIONS[row.mime]:
        part = {"type": "input_audio", "input_audio": {"data": f"{folder}it{extension}", "format": "wav"}}
        with pytest.raises(ConfigError, match=r"audio\(source\)"):
            wire.prepared_messages([{"role": "user", "content": [part]}])


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
async def test_the_kind_is_recognised_by_the_first_bytes(head: bytes, mime: str, tmp_path: Path) -> None:
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
        (b"RIFF....WAVE", "audio"),
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
        (b"/* XPM */\nstatic char *cat[] = {", "XPM image; convert"),
        (b"#define cat_width 16\n#define cat_height 16\n", "XBM image; convert"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "Radiance"),
        (b"\0\0\0\x10ftypmif3avif", "HEIF image in its short form .mini.; convert"),
        (b"\0\0\0\x10ftypmif3heic", "HEIF image in its short form .mini.; convert"),
        (b"\0\0\0\x18ftypavci\0\0\0\0miaf", "HEIF image with AVC"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx ", "raw photograph"),
        (b"FORM\0\0\1\0ILBMBMHD", "IFF image .ILBM.; convert"),
        (b"FORM\0\0\1\0PBM BMHD", "IFF image .ILBM.; convert"),
        (b"gimp xcf v011\0", "GIMP"),
        (b"qoif\0\0\0\2", "QOI"),
        (b"DDS \x7c\0\0\0", "DDS"),
        (b"MAC address of the printer", "to be text"),
        (b"ID3 tags are what this is about", "to be text"),
        (b"\x00\x01\x02abc", "begins with 00 01 02 61"),
        (b"\xfe\xfa\x80", "begins with fe fa 80"),
    ],
)
async def test_what_is_not_an_image_is_named(head: bytes, seems: str, tmp_path: Path) -> None:
    path = put(tmp_path / "cat.png", head)
    for source in (path, head):
        error = await refusal(source)
        assert error.__cause__ is None
        with pytest.raises(MediaError, match=seems):
            await Upload(source).open()
    assert "cat.png is not an image" in str(await refusal(path))


# Sound.


def id3(size: int, version: int = 4, flags: int = 0) -> bytes:
    """Return an ID3 tag with so many bytes in it, the footer not counted."""
    digits = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    footer = b"3DI" + bytes([version, 0, flags]) + digits if flags & 0x10 else b""
    return b"ID3" + bytes([version, 0, flags]) + digits + b"\1" * size + footer


def ape(size: int) -> bytes:
    """Return an APEv2 tag that stands at the beginning: a header, so many bytes and a footer."""
    fields = struct.pack("<IIII8x", 2000, size + 32, 1, 0)
    return b"APETAGEX" + fields + b"\1" * size + b"APETAGEX" + fields


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
    (DATA, "an image .image/png."),
    (b"\xff\xd8\xff\xe0", "an image .image/jpeg."),
    (FTYP + b"heic\0\0\0\0mif1heic", "an image .image/heic."),
    (b"%PDF-1.7", "PDF"),
    (b"PK\x03\x04", "zip"),
    (bytes(600), "nothing but zeros"),
]


@pytest.mark.parametrize(("head", "mime", "form"), SOUNDS)
async def test_the_kind_of_audio_is_recognised_by_its_first_bytes(
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
    assert audio_mime(data) == mime
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
        (id3(3000) + DATA, "an image .image/png."),
        (ape(300) + b'{"error": 1}', "JSON"),
        (b"FORM\0\0\1\0ILBMBMHD", "IFF image .ILBM."),
        (b"\0\0\0\x10ftypmif3avif", "HEIF image in its short form"),
        (LAYER_ONE * 3, "layer I; convert it to MP3"),
        (b"MThd\0\0\0\6\0\1", "MIDI"),
        (b"wvpk\x20\0\0\0", "of a kind that relays do not take; convert"),
    ],
)
async def test_a_tag_is_checked_and_what_is_not_audio_behind_it_is_named(
    data: bytes, seems: str, tmp_path: Path
) -> None:
    for source in (data, put(tmp_path / "talk.aiff", data)):
        if source is not data and "begins with" in seems:
            continue  # Then the name decides.
        with pytest.raises(MediaError, match=seems):
            await Recording(source).open()


@pytest.mark.parametrize(("data", "seems"), NO_SOUNDS, ids=[seems for _, seems in NO_SOUNDS])
async def test_what_is_not_audio_is_refused_and_named(data: bytes, seems: str, tmp_path: Path) -> None:
    assert audio_mime(data) is None
    for source in (data, put(tmp_path / "talk.mp3", data)):
        with pytest.raises(MediaError, match=seems) as caught:
            await Recording(source).open()
        assert caught.value.outcome == "not_sent"
