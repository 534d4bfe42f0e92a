"""Files are called by what they are, and are there whole or not at all."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import re
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.media.uploads import opens_with
from tutuclient.errors import APITimeoutError, TutuError
from tutuclient.media import saving

if TYPE_CHECKING:
    from collections.abc import Callable

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(255, 0, -1)) * 3


async def save(
    path: str | Path, data: bytes = PNG, mime: str = "image/png", *, stem: str = "", overwrite: bool = False
) -> Path:
    async with saving.writing(path, "the thing", TutuError, overwrite=overwrite) as part:
        await anyio.to_thread.run_sync(part.write, data)
        return await anyio.to_thread.run_sync(part.publish, mime, stem)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "mime", "called"),
    [
        ("sky", "image/png", "sky.png"),
        ("sky.png", "image/png", "sky.png"),
        ("sky.PNG", "image/png", "sky.PNG"),
        ("sky.png", "image/jpeg", "sky.jpg"),
        ("sky.jpeg", "image/jpeg", "sky.jpeg"),
        ("v1.2", "image/jpeg", "v1.2.jpg"),
        ("a.tar.png", "image/webp", "a.tar.webp"),
        (".png", "image/png", ".png.png"),
        ("图 1.bmp", "image/heic", "图 1.heic"),
        ("notes.txt", "text/plain", "notes.txt"),
        ("talk.mp3", "audio/wav", "talk.wav"),
        ("talk.opus", "audio/ogg", "talk.opus"),
        ("talk.png", "audio/mpeg", "talk.mp3"),
        ("", "image/png", ".png"),
    ],
)
def test_a_name_ends_as_the_bytes_ask(name: str, mime: str, called: str) -> None:
    assert saving.named(name, mime) == called


@pytest.mark.parametrize(
    ("mime", "stem", "name"),
    [
        ("image/jpeg", "sky", "sky.jpg"),
        ("image/png", "", f"image-{hashlib.sha256(PNG).hexdigest()[:12]}.png"),
        ("text/plain", "notes", "notes"),
    ],
)
async def test_in_a_folder_a_file_gets_a_name(tmp_path: Path, mime: str, stem: str, name: str) -> None:
    assert (await save(tmp_path, PNG, mime, stem=stem)).name == name


async def test_an_error_of_ours_goes_through_as_it_is(tmp_path: Path) -> None:
    late = APITimeoutError("late")  # It is an OSError too.
    with pytest.raises(APITimeoutError) as caught:
        async with saving.writing(tmp_path / "a.png", "the thing", TutuError, overwrite=False):
            raise late
    assert caught.value is late
    assert names_in(tmp_path) == []


async def test_what_was_no_whole_file_can_be_begun_anew(tmp_path: Path) -> None:
    async with saving.writing(tmp_path / "a", "the thing", TutuError, overwrite=False) as part:
        part.write(JPEG)
        part.restart()
        part.write(PNG)
        path = part.publish("image/png")
    assert (path.name, path.read_bytes(), part.size_bytes) == ("a.png", PNG, len(PNG))


@pytest.mark.parametrize("links", [True, False])
async def test_a_race_has_one_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    pictures = [PNG + bytes([number]) for number in range(8)]
    saved: list[bytes] = []

    async def attempt(data: bytes) -> None:
        try:
            await save(tmp_path / "a.png", data)
        except TutuError as error:
            assert "exists already" in str(error)  # noqa: PT017  (one of eight succeeds)
        else:
            saved.append(data)

    async with anyio.create_task_group() as group:
        for data in pictures:
            group.start_soon(attempt, data)
    assert saved == [(tmp_path / "a.png").read_bytes()]
    assert names_in(tmp_path) == ["a.png"]


def no_links(*_: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


async def test_without_hard_links_it_works_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", no_links)
    assert (await save(tmp_path / "a.png")).read_bytes() == PNG
    assert (await save(tmp_path / "a", JPEG, "image/jpeg")).read_bytes() == JPEG
    with pytest.raises(TutuError, match="exists already"):
        await save(tmp_path / "a.png")
    assert names_in(tmp_path) == ["a.jpg", "a.png"]

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(TutuError, match="Input/output error"):
        await save(tmp_path / "b.png")
    assert names_in(tmp_path) == ["a.jpg", "a.png"]


@pytest.mark.parametrize("overwrite", [True, False])
async def test_nothing_is_written_through_a_link(tmp_path: Path, overwrite: bool) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    for target in (outside, tmp_path / "nowhere"):
        link = tmp_path / "a.png"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        if overwrite:
            await save(link, overwrite=True)
            assert not link.is_symlink()
        else:
            with pytest.raises(TutuError, match="exists already"):
                await save(link)
    assert outside.read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("missing/a.png", "missing/a.png: its folder does not exist: create it first"),
        ("missing/", "its folder does not exist: create it first"),
        ("file/a.png", "its folder does not exist"),
        ("folder", "there is a folder of this name: choose another name"),
        ("nul\0", "embedded null"),
        ("\ud83d.png/x", "could not be saved as"),
        ("x" * 300 + ".png", "File name too long"),
    ],
)
@pytest.mark.parametrize("overwrite", [True, False])
async def test_says_why_it_could_not_be_saved(tmp_path: Path, wanted: str, words: str, overwrite: bool) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(TutuError, match=re.escape(words)) as caught:
        await save(f"{tmp_path}/{wanted}", overwrite=overwrite)
    assert str(caught.value).isprintable()
    assert names_in(tmp_path) == ["file", "folder.png"]


@pytest.mark.parametrize("step", ["open", "write", "publish"])
async def test_cancelling_leaves_the_whole_file_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    inside, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def slowly(real: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*args: Any) -> Any:
            inside.set()
            go_on.wait(5)
            try:
                return real(*args)
            finally:
                done.set()

        return slow

    class Slow(io.FileIO):
        write = slowly(io.FileIO.write)

    if step == "write":
        opens_with(monkeypatch, Slow)
    else:
        owner, name = (Path, "open") if step == "open" else (os, "link")
        monkeypatch.setattr(owner, name, slowly(getattr(owner, name)))
    task = asyncio.create_task(save(tmp_path / "a.png"))
    await anyio.to_thread.run_sync(inside.wait)
    task.cancel()
    await asyncio.sleep(0.02)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await anyio.to_thread.run_sync(done.wait)
    left = names_in(tmp_path)
    assert left == [] or (left == ["a.png"] and (tmp_path / "a.png").read_bytes() == PNG)


def test_nothing_is_opened_after_the_end(tmp_path: Path) -> None:
    part = saving.Part(str(tmp_path / "a.png"), overwrite=False)
    part.discard()
    part.open()
    with pytest.raises(ValueError, match="no file is open"):
        part.write(PNG)
    assert names_in(tmp_path) == []


async def test_a_link_under_the_temporary_name_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "known")
    (tmp_path / "outside").write_bytes(b"precious")
    (tmp_path / ".tutuclient-known.part").symlink_to(tmp_path / "outside")
    with pytest.raises(TutuError, match="exists already"):
        await save(tmp_path / "a.png")
    assert (tmp_path / "outside").read_bytes() == b"precious"


async def test_files_get_the_usual_rights(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = await save(tmp_path / "a.png")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_is_written_over_stands_there_whole_under_just_this_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in (PNG, JPEG):
        saving.write_over(tmp_path / "thing.txt", data, "the thing", TutuError)
        assert (tmp_path / "thing.txt").read_bytes() == data
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(TutuError, match="the thing could not be saved as .*: the disk is full") as caught:
        saving.write_over(tmp_path / "thing.txt", PNG, "the thing", TutuError)
    assert isinstance(caught.value.__cause__, OSError)
    assert (tmp_path / "thing.txt").read_bytes() == JPEG
    assert names_in(tmp_path) == ["thing.txt"]


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
