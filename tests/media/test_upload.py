"""What ``media.upload`` promises: data URIs and base64 in pieces, names and types, and nothing of it shown."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import io
import pickle
import sys
import traceback
import tracemalloc
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from PIL import Image
from starlette.datastructures import UploadFile

from tests.media.uploads import (
    DATA,
    MP3,
    OGG,
    PNG,
    WAV,
    Awaited,
    decoded,
    opening,
    picture,
    png,
    put,
    replace,
    sent,
    uri,
)
from tutuclient.errors import MediaError
from tutuclient.media import upload as upload_module
from tutuclient.media.parts import file as file_part
from tutuclient.media.parts import image
from tutuclient.media.upload import Document, PictureSource, Recording, Upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from types import ModuleType


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
    spec = importlib.util.spec_from_file_location("media_anew", upload_module.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_only_a_small_image_in_memory_is_given_inline(tmp_path: Path) -> None:
    small, large = png(48 * 1024), png(48 * 1024 + 1)
    path = put(tmp_path / "x.png", small)
    for source, expected in ((small, uri(small)), (large, None), (path, None), (io.BytesIO(small), None)):
        upload = Upload(source)
        await upload.open()
        assert upload.inline() == expected


# What is said of it.


async def test_descriptions_name_it_and_never_show_it(file: Path) -> None:
    upload = Upload(file)
    assert upload.describe() == "<image cat.png, not opened yet>"
    await upload.open()
    assert upload.describe() == repr(upload) == "<image/png 1.0 kB cat.png>"
    assert repr(image(upload).image_url).count("<image/png 1.0 kB cat.png>") == 1

    unnamed = Upload(PNG)
    assert unnamed.describe() == "<image, not opened yet>"
    await unnamed.open()
    assert unnamed.describe() == "<image/png 8 B sha256:4c4b6a3be131…>"

    large = Upload(png(2 * 2**20 + 1))
    await large.open()
    assert large.describe() == "<image/png 2.1 MB>"

    opened = Upload(io.BytesIO(png(999_950)))
    await opened.open()
    assert opened.describe() == "<image/png 1.0 MB>"

    assert Upload("a\x1bb/c\nd.png").describe() == r"<image c\nd.png, not opened yet>"
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


async def test_audio_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"There is no file .*talk\.mp3"):
        await Recording(tmp_path / "talk.mp3").open()
    with pytest.raises(MediaError, match="is a directory"):
        await Recording(tmp_path).open()
    with pytest.raises(MediaError, match="is not opened here: Fetch it and pass its bytes"):
        Recording("https://host/talk.mp3")
    with pytest.raises(MediaError, match="is not opened here: install what opens it"):
        Recording("s3://bucket/talk.mp3")
    with pytest.raises(MediaError, match="without file://"):
        Recording("file:///talk.mp3")
    with pytest.raises(MediaError, match="A Image is not audio"):
        Recording(cast("Any", Image.new("L", (1, 1))))
    with pytest.raises(MediaError, match="The audio passed as bytes is not audio"):
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


def test_the_name_of_an_audio_file_is_text() -> None:
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
    with pytest.raises(MediaError, match="it seems to be audio .audio/mpeg."):
        await upload.open()
    with pytest.raises(MediaError, match="it seems to be an image"):
        await Recording(Upload(file)).open()


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


# Memory and the loop.


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
    kinds: dict[str, Any] = {"path": path, "bytes": DATA, "BytesIO": io.BytesIO(DATA), "data URI": uri(DATA).decode()}
    upload = Upload(kinds[kind])
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
