"""What bytes are, by one table: what is sent can be received, saved, found and served, and the other way round."""

from __future__ import annotations

import base64
import io
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import pytest
from PIL import Image

from tests.conftest import KEY, QUICK
from tutuclient import MediaError, Recording, TutuClient, Upload, find_images, wire
from tutuclient.errors import ConfigError
from tutuclient.media.kinds import EXTENSIONS
from tutuclient.testing import Server, raw, says
from tutuclient.testing.script import media_type
from tutuclient.types import ChatChoice, ChatCompletion, ChatMessage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


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


WAV = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\x08\0\0\0" + bytes(8)
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
def test_audio_is_no_image(row: Row) -> None:
    for extension in EXTENSIONS[row.mime]:
        assert find_images(answer(f"![it](https://host.example/it{extension})")) == []


@recordings
@pytest.mark.parametrize("folder", ["", "recordings/"])
def test_the_path_of_audio_is_told_from_its_base64(row: Row, folder: str) -> None:
    for extension in EXTENSIONS[row.mime]:
        part = {"type": "input_audio", "input_audio": {"data": f"{folder}it{extension}", "format": "wav"}}
        with pytest.raises(ConfigError, match=r"audio\(source\)"):
            wire.sendable([{"role": "user", "content": [part]}])
