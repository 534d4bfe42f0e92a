"""Files of fsspec as items of a run: the real library, with its files in memory and on the disk."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from tutuclient import MediaError, TutuClient
from tutuclient.batch.items import Reader, identity
from tutuclient.testing import sample_picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tutuclient.testing import Server

pytestmark = pytest.mark.timeout(60)

PICTURE = sample_picture()


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()


def test_an_open_file_is_named_by_its_path(memory: Any, tmp_path: Path) -> None:
    memory.pipe("/bucket/a.png", PICTURE)
    (tmp_path / "b.png").write_bytes(PICTURE)
    reader = Reader("ask", "what?", {})
    for url, name in (("memory://bucket/a.png", "/bucket/a.png"), (f"file://{tmp_path}/b.png", f"{tmp_path}/b.png")):
        waiting = fsspec.open(url, "rb")
        assert reader.read(waiting, 0).id == name
        with waiting as opened:
            assert reader.read(opened, 0).id == name


async def test_files_of_every_make_are_sent(client: TutuClient, server: Server, memory: Any, tmp_path: Path) -> None:
    for number in range(3):
        memory.pipe(f"/bucket/{number}.png", PICTURE)
    memory.pipe("/opened.png", PICTURE)  # Of its own: in memory, all that open a file have one and the same object.
    memory.pipe("/packed.png.gz", gzip.compress(PICTURE))
    (tmp_path / "b.png").write_bytes(PICTURE)
    with fsspec.open("memory://opened.png", "rb") as here, fsspec.open(f"file://{tmp_path}/b.png", "rb") as there:
        items: list[Any] = [
            *fsspec.open_files("memory://bucket/*.png", "rb"),
            fsspec.open("memory://packed.png.gz", "rb", compression="gzip"),
            fsspec.open(f"file://{tmp_path}/b.png", "rb"),
            ("opened in memory", here),
            ("opened on the disk", there),
            {"id": "in a dict", "image": fsspec.open("memory://bucket/1.png", "rb")},
        ]
        results = await client.map(items, "what?", ordered=True).gather()
    assert [result.error for result in results] == [None] * 8
    assert results[1].id == "/bucket/1.png"
    sent = {request.json["messages"][0]["content"][1]["image_url"]["url"] for request in server.requests}
    assert len(sent) == 1
    assert sent.pop().startswith("data:image/png;base64,")


async def test_what_cannot_be_read_was_not_sent(client: TutuClient, server: Server, memory: Any) -> None:
    memory.pipe("/a.txt", b"text")
    items = [fsspec.open("memory://none.png", "rb"), fsspec.open("memory://a.txt", "r")]
    for dedupe in (False, True):
        missing, text = await client.map(items, "what?", ordered=True, dedupe=dedupe).gather()
        assert (missing.outcome, text.outcome) == ("not_sent", "not_sent")
        assert isinstance(missing.error, MediaError)
        assert "/none.png cannot be read: " in str(missing.error)
        assert "/a.txt is open in text mode, and its bytes are needed: mode='rb'" in str(text.error)
    assert server.requests == []


async def test_a_file_that_changed_is_asked_about_again(
    client: TutuClient, server: Server, memory: Any, tmp_path: Path
) -> None:
    disk = tmp_path / "b.png"
    for number in range(2):
        memory.pipe("/a.png", PICTURE + bytes(number))
        disk.write_bytes(PICTURE + bytes(number))
        for _ in range(2):
            items = [fsspec.open("memory://a.png", "rb"), fsspec.open(f"file://{disk}", "rb")]
            await client.map(items, "what?", journal=tmp_path / "run").gather()
        assert len(server.requests) == 2 * (number + 1)


def test_the_state_of_a_file_is_the_same_open_or_not(memory: Any) -> None:
    memory.pipe("/a.png", PICTURE)
    waiting = fsspec.open("memory://a.png", "rb")
    with waiting as opened:
        assert identity(waiting) == identity(opened)
        assert opened.tell() == 0


async def test_equal_files_are_asked_about_once_and_fetched_once(
    client: TutuClient, server: Server, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        memory.pipe(f"/{number}.png", PICTURE)
    fetched: list[str] = []
    real = type(memory)._open

    def watched(self: Any, path: str, *args: Any, **options: Any) -> Any:
        fetched.append(path)
        return real(self, path, *args, **options)

    monkeypatch.setattr(type(memory), "_open", watched)
    results = await client.map(fsspec.open_files("memory://*.png", "rb"), "what?", dedupe=True).gather()
    assert sum(result.same_as is None for result in results) == len(server.requests) == 1
    assert sorted(fetched) == [f"/{number}.png" for number in range(4)]
