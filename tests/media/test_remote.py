"""Files of stores, by URL: fsspec's own memory, zip and local file systems stand for those of clouds."""

from __future__ import annotations

import base64
import sys
import threading
from typing import TYPE_CHECKING, Any

import fsspec
import msgspec
import pytest

from tests.images import png
from tutuclient import MediaError, Upload, image
from tutuclient.media import sources
from tutuclient.media.remote import is_remote
from tutuclient.media.upload import Recording
from tutuclient.testing import says

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient import TutuClient
    from tutuclient.testing import Server

PNG = png(bytes(range(256)) * 2500)


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    fs.pipe("/cats/cat.png", PNG)
    yield fs
    fs.store.clear()


pytestmark = pytest.mark.usefixtures("memory")


async def sent(client: TutuClient, server: Server, source: Any, **options: Any) -> bytes:
    await client.analyze(source, "What is in this image?", **options)
    body = msgspec.json.decode(server.requests[-1].body)
    return base64.b64decode(body["messages"][0]["content"][1]["image_url"]["url"].partition(",")[2])


async def test_it_is_sent_by_its_url(client: TutuClient, server: Server) -> None:
    assert await sent(client, server, "memory://cats/cat.png") == PNG
    assert await sent(client, server, image(" memory://cats/cat.png ")) == PNG
    assert Upload("memory://cats/cat.png").name == "cat.png"


async def test_it_is_read_in_pieces_and_in_threads(
    client: TutuClient, server: Server, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    threads: set[int] = set()
    opened = type(memory)._open

    def watched(self: Any, path: str, *args: Any, **options: Any) -> Any:
        threads.add(threading.get_ident())
        file = opened(self, path, *args, **options)
        read = file.read

        def counted(size: int = -1) -> bytes:
            lengths.append(size)
            return bytes(read(size))

        monkeypatch.setattr(file, "read", counted)
        return file

    monkeypatch.setattr(type(memory), "_open", watched)
    assert await sent(client, server, "memory://cats/cat.png") == PNG
    assert 0 < max(lengths) <= sources.PIECE_BYTES < len(PNG)
    assert min(lengths) > 0
    assert threading.get_ident() not in threads


async def test_it_is_made_smaller_as_files_are(client: TutuClient, server: Server, memory: Any) -> None:
    pillow = pytest.importorskip("PIL.Image")
    with memory.open("/cats/large.png", "wb") as file:
        pillow.new("RGB", (640, 480), "red").save(file, "PNG")
    small = await sent(client, server, "memory://cats/large.png", max_side=64)
    assert small[:8] == b"\x89PNG\r\n\x1a\n"


async def test_a_retry_reads_it_again_and_a_change_is_an_error(memory: Any) -> None:
    upload = Upload("memory://cats/cat.png")
    await upload.open()
    await upload.open()
    memory.pipe("/cats/cat.png", PNG + b"x")
    with pytest.raises(MediaError, match="changed while it was being sent"):
        await upload.open()


async def test_a_file_that_becomes_shorter_on_the_way_is_an_error(
    client: TutuClient, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(memory), "info", lambda *_: {"size": len(PNG) + 5, "type": "file", "ETag": "a"})
    with pytest.raises(MediaError, match="changed while it was being sent"):
        await client.with_options(max_retries=0).analyze("memory://cats/cat.png", "What?")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://cats/dog.png", "There is no file memory://cats/dog.png."),
        ("memory://cats", "memory://cats is a directory"),
    ],
)
async def test_what_cannot_be_read_is_one_line(client: TutuClient, url: str, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        await client.analyze(url, "What?")


async def test_an_error_of_a_store_is_one_of_ours(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any) -> Any:
        raise RuntimeError("An error occurred (403) when calling the HeadObject operation: Forbidden")

    monkeypatch.setattr(type(memory), "info", denied)
    with pytest.raises(MediaError, match=r"memory://…@cats/cat.png cannot be read: An error occurred \(403\)"):
        await Upload("memory://user:secret@cats/cat.png").open()


async def test_what_is_no_image_is_not_sent(client: TutuClient, server: Server, memory: Any) -> None:
    memory.pipe("/secrets.txt", b"password=1")
    with pytest.raises(MediaError, match="not an image"):
        await client.analyze("memory://secrets.txt", "What?")
    assert not server.requests


@pytest.mark.parametrize("make", [image, Upload, Recording])
def test_a_missing_package_is_named(make: Any) -> None:
    with pytest.raises(
        MediaError, match="is not opened here: install what opens it .pip install s3fs., or fetch it and pass its bytes"
    ):
        make("s3://bucket/cat.jpg")


def test_a_missing_fsspec_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fsspec", "fsspec.registry"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MediaError, match="gs://bucket/cat.jpg is not opened here.*pip install fsspec"):
        image("gs://bucket/cat.jpg")
    with pytest.raises(MediaError, match="is not opened here: only http and https URLs can be sent"):
        image("unknown://bucket/cat.jpg")


@pytest.mark.parametrize(
    "text",
    [
        "https://host/a.png",
        "file:///etc/passwd",
        "local:///etc/passwd",
        "zip://a.png::memory://b.zip",
        "simplecache::memory://cats/cat.png",
        "unknown://a/b",
        "ftp://host/a.png",
        "sftp://host/a.png",
        "s3://b/a.png::file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "What is in memory://cats/cat.png?",
        "memory://",
        "C:/cats/cat.png",
        b"memory://cats/cat.png",
        None,
    ],
)
def test_all_else_is_no_file_of_a_store(text: Any) -> None:
    assert not is_remote(text)


async def test_an_address_within_a_message_is_not_opened(client: TutuClient, server: Server) -> None:
    server.answers(says("hi"))
    part = {"type": "image_url", "image_url": {"url": "memory://cats/cat.png"}}
    await client.chat.completions.create(model="m", messages=[{"role": "user", "content": [part]}])
    assert b"memory://cats/cat.png" in server.requests[-1].body


async def test_a_run_takes_them_and_asks_again_for_what_changed(
    client: TutuClient, server: Server, memory: Any, tmp_path: Any
) -> None:
    memory.pipe("/cats/dog.png", png(b"dog"))
    urls = ["memory://cats/cat.png", "memory://cats/dog.png"]
    results = await client.map(urls, "What?", journal=tmp_path / "run").gather()
    assert {result.id for result in results if result.ok} == set(urls)
    assert await client.map(urls, "What?", journal=tmp_path / "run").gather() == []
    memory.pipe("/cats/dog.png", png(b"another"))
    (changed,) = await client.map(urls, "What?", journal=tmp_path / "run").gather()
    assert (changed.id, changed.ok) == (urls[1], True)
    assert len(server.requests) == 3


async def test_a_run_says_of_an_item_what_is_missing(client: TutuClient, tmp_path: Any) -> None:
    (result,) = await client.map(["s3://bucket/cat.jpg"], "What?", journal=tmp_path / "run").gather()
    assert isinstance(result.error, MediaError)
    assert "pip install s3fs" in str(result.error)
