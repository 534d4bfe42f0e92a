"""What ``media.sources`` promises: the same bytes from every source, at every pass, and an error for what changed."""

from __future__ import annotations

import asyncio
import base64
import errno
import gc
import io
import os
import stat
import tempfile
import threading
import zipfile
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import UploadFile

from tests.differing import difference
from tests.media.uploads import (
    DATA,
    EVERY_BYTE,
    PNG,
    Awaited,
    OneWay,
    from_disk_only,
    needs_proc,
    opening,
    png,
    posix,
    put,
    refusal,
    replace,
    sent,
    take_away,
    uri,
)
from tutuclient.errors import MediaError
from tutuclient.media import sources
from tutuclient.media.parts import audio, image
from tutuclient.media.sources import names_image
from tutuclient.media.upload import PictureSource, Recording, Upload

if TYPE_CHECKING:
    from collections.abc import Callable


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
@pytest.mark.parametrize("pieces", [12, sources.PIECE_BYTES])
async def test_every_source_gives_the_same_twice(
    kind: str, pieces: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PIECE_BYTES", pieces)
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
    data = png(sources.PIECE_BYTES * around + off)
    path = put(tmp_path / "x", data)
    for source in (path, data, io.BytesIO(data)):
        assert difference(await sent(Upload(source)), uri(data)) == ""


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
        patch.setattr(sources, "PIECE_BYTES", 3 * third)
        asyncio.run(check())


# Refusals.


@pytest.mark.parametrize("source", [b"", bytearray(), memoryview(b""), "data:image/png;base64,", OneWay(b"")])
async def test_empty_images_are_refused(source: Any) -> None:
    assert "is empty" in str(await refusal(source))


async def test_a_file_that_was_empty_when_it_was_measured_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fstat", lambda _: os.stat_result([0] * 10))
    assert "is empty" in str(await refusal(file))


async def test_files_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "There is no file cat.png." in str(await refusal("cat.png"))
    assert isinstance((await refusal(Path("cat.png"))).__cause__, FileNotFoundError)
    assert str(await refusal(".")) == ". is a directory. Pass the files in it, one by one."
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
    assert "A URL is passed as a str" in str(await refusal(Path("https://host/cat.png")))
    assert "base64" not in str(await refusal("a/very/long/path/of/folders/that/are/not/there/and/no/file"))


async def test_a_forbidden_file_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", forbid)  # Tests may run as root, whom a file's mode does not stop.
    error = await refusal(file)
    assert "may not be read. Check its permissions" in str(error)
    assert isinstance(error.__cause__, PermissionError)


@posix
async def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    with anyio.fail_after(20):
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
    with opening(file, "r") as handle, pytest.raises(MediaError, match=r"cat.png is open in text mode.*'rb'"):
        Upload(cast("Any", handle))
    with tempfile.SpooledTemporaryFile(mode="w+") as opened_text:
        opened_text.write("x" * 10)
        opened_text.seek(0)
        assert "open in text mode" in str(await refusal(opened_text))

    class Words:
        def read(self, _: int) -> str:
            return "words"

    assert "open in text mode" in str(await refusal(Words()))


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
    monkeypatch.setattr(sources, "MAX_STREAM_BYTES", 999)
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


async def test_a_disk_that_fails_is_reported(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = Upload(file)
    await upload.open()

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    class Failing(io.FileIO):
        seek = fail

    monkeypatch.setattr(os, "preadv", fail, raising=False)
    monkeypatch.setattr(io, "FileIO", Failing)
    with pytest.raises(MediaError, match=r"cat.png cannot be read: Input/output error") as caught:
        await sent(upload)
    assert isinstance(caught.value.__cause__, OSError)


# Memory, files and the loop.


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
    with anyio.fail_after(20):
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

    def wait() -> None:
        reading.set()
        go_on.wait(5)
        done.set()

    class Slow(io.FileIO):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            if at == "open":
                wait()

        def readinto(self, into: Any, /) -> int:
            if at == "read":
                wait()
            return super().readinto(into)

    monkeypatch.setattr(io, "FileIO", Slow)
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
    await asyncio.wait([task], timeout=20)
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
    await asyncio.wait([task], timeout=20)
    go_on.set()
    opened = False
    assert await sent(upload) == uri(DATA)
    assert source.tell() == 0


async def test_a_file_object_closed_on_the_way_is_reported(small_pieces: int) -> None:
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
    real, nowait = getattr(os, "preadv", None), getattr(os, "RWF_NOWAIT", None)
    asked = 0

    def preadv(descriptor: int, buffers: list[memoryview], offset: int, flags: int) -> int:
        nonlocal asked
        asked += 1
        if system == "cannot say":
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        if system == "not cached" or (system == "half cached" and asked % 2):
            raise BlockingIOError
        assert real is not None
        assert flags == nowait
        cut = buffers[0][:5] if system == "half cached" else buffers[0]
        return cast("int", real(descriptor, [cut], offset))

    if system == "knows nothing of it":
        monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)
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
    monkeypatch.setattr(os, "fstat", lambda _: os.stat_result([0] * 6 + [1000] + [0] * 3))
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


# What people pass by mistake.


@pytest.mark.parametrize("given", ["", "  ", "\n"])
def test_an_empty_text_is_quoted(given: str) -> None:
    for make in (image, audio, Upload, Recording):
        with pytest.raises(MediaError, match=r"An empty text \('[^']*'\) is not (an image|audio): pass a path"):
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
async def test_bytes_that_were_decoded_are_reported(given: str) -> None:
    with pytest.raises(MediaError, match="(decoded as text|text of a bytes object).*pass (the|its) bytes") as caught:
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
    assert "the image comes first, then the prompt" in error


@pytest.mark.parametrize(
    "text",
    [
        "cat.png", " cat.PNG\n", "/photos/CAT.WebP", "photos\\cat.jpeg", "logo.svg", "s3://bucket/cat.png",
        "https://host/cat", "HTTP://host/?a=b", "data:image/png;base64,iVBO",
        "/my photos/cat.png", "~/图 片/cat.PNG", "./a b.png", "../a b.png", "C:\\My Photos\\cat.jpg",
    ],
)  # fmt: skip
def test_the_name_of_an_image_is_known(text: str) -> None:
    assert names_image(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "cat", "a cat", "cat.mp3", "Which of these is cat.png?", "Compare it with dog.png", "/imagine a cat.png",
        "https://host/cat.png shows what?", "data: 1, 2, 3", "./a.png\nWhat is in b.png", None, b"cat.png", 5,
    ],
)  # fmt: skip
def test_words_about_an_image_are_not_its_name(text: object) -> None:
    assert not names_image(text)
