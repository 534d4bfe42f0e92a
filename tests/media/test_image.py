"""An image of an answer: read, and saved whole or not at all."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import io
import os
import pickle
import re
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import QUICK
from tests.differing import difference
from tests.images import jpeg, png
from tests.media.uploads import opens_with
from tutuclient import TutuClient
from tutuclient.downloads.fetch import Downloads
from tutuclient.errors import ImageDownloadError
from tutuclient.finding import ImageFinder, find_images
from tutuclient.media import html
from tutuclient.media.image import GeneratedImage, image_type_of
from tutuclient.media.kinds import image_mime
from tutuclient.settings import RetryPolicy, Timeout
from tutuclient.testing import Server, raw
from tutuclient.testing import says as says_it
from tutuclient.types import (
    ChatChoice,
    ChatCompletion,
    ChatMessage,
)

if TYPE_CHECKING:
    from pathlib import Path

PNG = png(bytes(range(256)) * 3)
JPEG = jpeg(bytes(range(255, 0, -1)) * 3)
B64 = base64.b64encode(PNG).decode()


def says(*texts: str | None, **fields: Any) -> ChatCompletion:
    return ChatCompletion(choices=[ChatChoice(message=ChatMessage(content=text, **fields)) for text in texts])


class FakeDownloads(Downloads):
    """Serves pages out of a dict, in small pieces; errors are raised half-way."""

    def __init__(self, **pages: bytes | Exception) -> None:
        super().__init__()
        self.pages = {f"https://a.example/{name}": page for name, page in pages.items()}
        self.asked: list[str] = []

    async def _follow(self, url: str, download: Any) -> str:
        self.asked.append(url)
        page = self.pages[url]
        if isinstance(page, Exception):
            await download.begin("image/jpeg")
            await download.write(JPEG + bytes(1_100_000))
            await download.write(JPEG)
            raise page
        mime = image_type_of(page[:64], url)
        await download.begin(mime)
        for at in range(0, len(page), 200_000):
            await download.write(page[at : at + 200_000])
        return mime


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def image_at(downloads: Downloads | None = None, **settings: Any) -> GeneratedImage:
    return GeneratedImage(downloads or FakeDownloads(x=PNG), "https://a.example/x", **settings)


def inline(data: bytes = PNG) -> GeneratedImage:
    [image] = find_images(says(None, images=[{"b64_json": base64.b64encode(data).decode()}]))
    return image


# Getting at the bytes


async def test_reads_once_and_keeps_it() -> None:
    downloads = FakeDownloads(x=PNG)
    image = image_at(downloads)
    assert (image.mime, image.size_bytes) == (None, None)
    assert await image.read() is await image.read()
    assert (image.mime, image.size_bytes) == ("image/png", len(PNG))
    assert downloads.asked == ["https://a.example/x"]


@pytest.mark.parametrize("way", ["read", "save"])
async def test_tries_the_second_link_when_the_first_fails(way: str, tmp_path: Path) -> None:
    downloads = FakeDownloads(x=ImageDownloadError("expired"), y=PNG)
    image = image_at(downloads)
    image.download_url = "https://a.example/y"
    data = await image.read() if way == "read" else (await image.save(tmp_path / "a.png")).read_bytes()
    assert data == PNG
    assert downloads.asked == ["https://a.example/x", "https://a.example/y"]


async def test_says_when_both_links_fail(tmp_path: Path) -> None:
    image = image_at(FakeDownloads(x=ImageDownloadError("x expired"), y=ImageDownloadError("y expired")))
    with pytest.raises(ImageDownloadError, match=r"^x expired$"):
        await image.read()
    image.download_url = "https://a.example/y"
    with pytest.raises(ImageDownloadError, match=r"^x expired; and the second address: y expired$"):
        await image.save(tmp_path / "a.png")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        (B64[:-1] + "!", "the base64 is damaged or cut off"),
        (B64[:400] + "!!!!" + B64[400:] + "A" * 200_000, "the base64 is damaged or cut off"),
        (B64[:201] + "图" + B64[201:], "the base64 is damaged or cut off"),
        (B64[:200] + "A" * 201, "the base64 is damaged or cut off"),
        (base64.b64encode(b"<svg></svg>").decode(), "is not an image: it seems to be SVG"),
        ("A", "is not an image: it is empty"),
        ("!!!!", "is not an image: it is empty"),
    ],
)
async def test_bad_data_are_an_error_and_leave_nothing(encoded: str, words: str, tmp_path: Path) -> None:
    [image] = find_images(says(None, images=[{"b64_json": encoded}]))
    assert repr(image) == "GeneratedImage(<data that is not an image>)"
    for attempt in (image.read, lambda: image.save(tmp_path / "a.png")):
        with pytest.raises(ImageDownloadError, match=words):
            await attempt()
    assert names_in(tmp_path) == []


async def test_a_damaged_image_is_reported_and_can_be_kept(tmp_path: Path) -> None:
    part = PNG[:-30]
    image = inline(part)
    for attempt in (image.read, lambda: image.save(tmp_path / "a.png")):
        with pytest.raises(ImageDownloadError, match="the PNG is incomplete; damaged=True keeps") as caught:
            await attempt()
        assert (caught.value.reason, caught.value.status) == ("damaged", None)
    assert names_in(tmp_path) == []
    assert await image.read(damaged=True) == part
    with pytest.raises(ImageDownloadError):
        await image.read()
    assert (await image.save(tmp_path / "a.png", damaged=True)).read_bytes() == part
    assert image.mime == "image/png"


async def test_a_whole_image_is_kept_by_either_way_of_reading() -> None:
    for image in (inline(), image_at(FakeDownloads(x=PNG))):
        assert await image.read(damaged=True) is await image.read()


async def test_limits_are_those_of_the_call_or_given() -> None:
    asked: list[Any] = []

    class Limits(FakeDownloads):
        async def _follow(self, url: str, download: Any) -> str:
            asked.append((self._timeout, self._retry))
            return await super()._follow(url, download)

    find = ImageFinder(Limits(x=PNG), made=True, timeout=Timeout(7), retry=RetryPolicy(max_retries=5))
    [image] = find(says("![a](https://a.example/x)"))
    await image.read(timeout=3)
    [image] = find(says("![a](https://a.example/x)"))
    await image.read()
    assert asked == [(Timeout(3), RetryPolicy(max_retries=5)), (Timeout(7), RetryPolicy(max_retries=5))]


async def test_a_stalled_host_is_left_at_the_clients_deadline(server: Server) -> None:
    url = server.host(PNG, "slow.png")
    server.answers(says_it(f"![a]({url})"), says_it(f"![a]({url})"))
    server.answers(*[raw(200, b"", delay=30)] * 4, path="/v1/files/slow.png")
    async with TutuClient("sk-test", server.base_url, timeout=Timeout(10, idle=0.1), retry=QUICK) as client:
        answer = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "draw"}])
        with anyio.fail_after(20), pytest.raises(ImageDownloadError) as caught:
            await answer.images[0].read()
        assert (caught.value.reason, caught.value.attempts) == ("timeout", 3)
        with anyio.fail_after(20), pytest.raises(ImageDownloadError):
            await answer.images[0].save("nowhere.png", timeout=0.1)


async def test_a_disk_that_fails_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageDownloadError) as caught:
        await inline().save(tmp_path / "a.png")
    assert caught.value.reason == "not_saved"


# Saving


async def every_kind(data: bytes) -> list[GeneratedImage]:
    read_before = image_at(FakeDownloads(x=data))
    await read_before.read()
    return [image_at(FakeDownloads(x=data)), inline(data), read_before]


@pytest.mark.parametrize("asked", ["sky.png", "sky", "sky.jpg", "sky.webp"])
async def test_saves_under_the_right_extension(tmp_path: Path, asked: str) -> None:
    for number, image in enumerate(await every_kind(PNG)):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert await image.save(folder / asked) == folder / "sky.png"
        assert (folder / "sky.png").read_bytes() == PNG
        assert names_in(folder) == ["sky.png"]
        assert (image.mime, image.size_bytes) == ("image/png", len(PNG))
        assert repr(image).startswith("GeneratedImage(")


@pytest.mark.parametrize(
    ("asked", "saved"),
    [("a.jpeg", "a.jpeg"), ("a.JPG", "a.JPG"), ("a.png", "a.jpg"), ("v1.2", "v1.2.jpg"), ("a.tar.png", "a.tar.jpg")],
)
async def test_the_extension_follows_the_bytes(tmp_path: Path, asked: str, saved: str) -> None:
    assert await inline(JPEG).save(str(tmp_path / asked)) == tmp_path / saved


async def test_large_images_reach_the_disk_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Watched(io.FileIO):
        def write(self, piece: Any, /) -> int:
            sizes.append(len(piece))
            return super().write(piece)

    opens_with(monkeypatch, Watched)
    data = PNG + os.urandom(3_000_000)
    for image in (image_at(FakeDownloads(x=data)), inline(data)):
        sizes.clear()
        saved = await image.save(tmp_path / "a.png", overwrite=True)
        assert difference(saved.read_bytes(), data) == ""
        assert max(sizes) < 1_300_000
        assert image._data is None


async def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    for image in await every_kind(PNG):
        with pytest.raises(
            ImageDownloadError, match=r"a.png exists already: choose another name, or pass overwrite=True"
        ):
            await image.save(path)
    assert path.read_bytes() == b"precious"
    assert await inline().save(path, overwrite=True) == path
    assert path.read_bytes() == PNG
    assert names_in(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.example/cdn/9f.png?sig=1", "9f.png"),
        ("https://a.example/cdn/9f.jpeg~tplv-x.image", "9f.png"),
        ("https://a.example/%E5%9B%BE%E7%89%87.png", "图片.png"),
        ("https://a.example/..%2F..%2Fetc%2Fpasswd.png", "passwd.png"),
        ("https://a.example/..%5C..%5Cwindows.png", "windows.png"),
        ("https://a.example/.ssh", "ssh.png"),
        ("https://a.example/a%00b%0A.png", "a-b.png"),
        ("https://a.example/con.png", "image-con.png"),
        ("https://a.example/view.php", "view-php.png"),
        ("https://a.example/" + "x" * 500 + ".png", "x" * 60 + ".png"),
        ("https://a.example/", f"image-{hashlib.sha256(PNG).hexdigest()[:12]}.png"),
        ("https://a.example/..", f"image-{hashlib.sha256(PNG).hexdigest()[:12]}.png"),
        ("https://a.example", f"image-{hashlib.sha256(PNG).hexdigest()[:12]}.png"),
    ],
)
async def test_in_a_folder_it_gets_a_safe_name(tmp_path: Path, url: str, name: str) -> None:
    downloads = FakeDownloads()
    downloads.pages[url] = PNG
    folder = tmp_path / "folder"
    folder.mkdir()
    assert await GeneratedImage(downloads, url).save(folder) == folder / name
    assert names_in(tmp_path) == ["folder"]


async def test_names_in_a_folder_are_counted_up(tmp_path: Path) -> None:
    (tmp_path / "x-2.png").mkdir()
    saved = [await image_at().save(f"{tmp_path}/") for _ in range(3)]
    assert [path.name for path in saved] == ["x.png", "x-3.png", "x-4.png"]
    assert (await image_at().save(tmp_path, overwrite=True)).name == "x.png"
    for number in range(5, 100):
        (tmp_path / f"x-{number}.png").touch()
    assert re.fullmatch(r"x-[0-9a-f]{16}\.png", (await image_at().save(tmp_path)).name)
    assert (await inline().save(tmp_path)).name == f"image-{hashlib.sha256(PNG).hexdigest()[:12]}.png"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full: nothing was left behind"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "its folder may not be written to"),
        (errno.EROFS, "its folder may not be written to"),
        (errno.EIO, "broken"),
    ],
)
async def test_a_failing_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, "broken")

    class Failing(io.FileIO):
        write = fail

    downloads = FakeDownloads(x=PNG)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ImageDownloadError, match=words) as caught:
        await image_at(downloads).save(tmp_path / "a.png")
    assert isinstance(caught.value.__cause__, OSError)
    opens_with(monkeypatch, Failing)
    image = image_at(downloads)
    image.download_url = "https://a.example/y"
    with pytest.raises(ImageDownloadError, match=words):
        await image.save(tmp_path / "a.png")
    assert downloads.asked == ["https://a.example/x"] * 2
    assert names_in(tmp_path) == []


async def test_a_cancelled_download_leaves_nothing(tmp_path: Path) -> None:
    class Endless(FakeDownloads):
        async def _follow(self, url: str, download: Any) -> str:
            await download.write(PNG)
            await asyncio.sleep(60)
            return url

    with anyio.move_on_after(0.05):
        await image_at(Endless()).save(tmp_path / "a.png")
    assert names_in(tmp_path) == []


# What is shown


def test_shows_little_and_no_secrets() -> None:
    image = GeneratedImage(Downloads(), "https://a.example/x.png?sig=secret", alt="a\nkite")
    image.download_url = "https://me:secret@a.example/y.png"
    assert repr(image) == (
        "GeneratedImage(url='https://a.example/x.png?…', download_url='https://…@a.example/y.png', alt='a\\\\nkite')"
    )


@pytest.mark.parametrize(("size", "shown"), [(900, "900 B"), (1500, "1.5 kB"), (1_200_000, "1.2 MB")])
async def test_shows_data_by_type_size_and_digest(size: int, shown: str) -> None:
    data = PNG[:100] + bytes(size - 100)
    image = inline(data)
    expected = f"GeneratedImage(<image/png {shown} sha256:{hashlib.sha256(data).hexdigest()[:8]}…>)"
    assert [repr(image) for _ in range(2)] == [expected] * 2
    assert repr(pickle.loads(pickle.dumps(image))) == expected  # noqa: S301  (our own bytes)


async def test_shows_no_digest_of_data_whose_hashing_would_hold_the_loop() -> None:
    assert repr(inline(PNG[:100] + bytes(4_000_000))) == "GeneratedImage(<image/png 4.0 MB>)"


def test_the_sender_s_word_is_left_out_when_there_is_none() -> None:
    with pytest.raises(ImageDownloadError, match=r"^it is not an image: it seems to be JSON$"):
        image_type_of(b"[]", "it")


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (PNG[:64], "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"BM" + bytes(12) + b"\x28\x00\x00\x00", "image/bmp"),
        (b"BM, a car maker", None),
        (b"II*\x00", "image/tiff"),
        (b"MM\x00*", "image/tiff"),
        (b"II+\x00", "image/tiff"),
        (b"MM\x00+", "image/tiff"),
        (b"\x00\x00\x01\x00", "image/x-icon"),
        (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00mif1", "image/avif"),
        (b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00heicmif1", "image/heic"),
        (b"\x00\x00\x00\x14ftypmif1\x00\x00\x00\x00miaf", "image/heif"),
        (b"\x00\x00\x00\x14ftypisom\x00\x00\x00\x00mp42avif", None),
        (b"<svg", None),
        (b"", None),
    ],
)
def test_knows_images_by_their_first_bytes(head: bytes, mime: str | None) -> None:
    assert image_mime(head) == mime


@given(st.binary(max_size=80))
def test_any_bytes_have_a_type_or_none(head: bytes) -> None:
    assert (
        image_mime(head) in {None, "image/jpeg", "image/gif", "image/x-icon", "image/tiff", "image/bmp"}
        or len(head) > 7
    )


# --- In notebooks ---


async def test_a_png_and_a_jpeg_that_are_here_are_shown_as_such() -> None:
    (one,) = find_images(says(f"data:image/png;base64,{B64}"))
    (other,) = find_images(says(f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}"))
    assert (one._repr_png_(), one._repr_jpeg_(), one._repr_html_()) == (PNG, None, None)
    assert (other._repr_png_(), other._repr_jpeg_(), other._repr_html_()) == (None, JPEG, None)


async def test_an_image_is_shown_once_it_has_been_read() -> None:
    downloads = FakeDownloads(a=PNG)
    image = GeneratedImage(downloads, "https://a.example/a")
    assert image._repr_png_() is None
    assert "image at https://a.example/a" in str(image._repr_html_())
    assert downloads.asked == []
    await image.read()
    assert image._repr_png_() == PNG


async def test_an_image_that_is_large_or_damaged_is_shown_as_words(monkeypatch: pytest.MonkeyPatch) -> None:
    (cut,) = find_images(says(f"data:image/png;base64,{B64[:-40]}"))
    assert cut._repr_png_() is None
    assert "image/png" in str(cut._repr_html_())
    monkeypatch.setattr(html, "MOST_BYTES", len(PNG) - 1)
    (large,) = find_images(says(f"data:image/png;base64,{B64}"))
    assert large._repr_png_() is None
    assert "await image.save(…) writes it" in str(large._repr_html_())
    await large.read()
    assert large._repr_png_() is None
