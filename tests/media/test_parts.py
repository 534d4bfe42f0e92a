"""What the parts of a message promise: on the wire they are what the API's documentation shows."""

from __future__ import annotations

import base64
import io
import json
import pickle
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.media.uploads import (
    DATA,
    MP3,
    PNG,
    WAV,
    put,
    sent,
    uri,
)
from tutuclient import wire
from tutuclient.errors import MediaError
from tutuclient.media.parts import audio, image
from tutuclient.media.upload import Recording, SoundSource, Upload

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.types import AudioPart


import msgspec

from tutuclient.media.parts import ImagePart, ImageURL, Message, TextPart, assistant, system, user

PICTURE = ImagePart(ImageURL("https://img.example/1.png", "high"))


def written(thing: Any) -> Any:
    return json.loads(msgspec.json.encode(thing))


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (TextPart("hi"), {"type": "text", "text": "hi"}),
        (PICTURE, {"type": "image_url", "image_url": {"url": "https://img.example/1.png", "detail": "high"}}),
        (ImagePart(ImageURL("data:,")), {"type": "image_url", "image_url": {"url": "data:,"}}),
        (user("hi"), {"role": "user", "content": "hi"}),
        (user("hi", name="eve"), {"role": "user", "content": "hi", "name": "eve"}),
        (user(), {"role": "user", "content": []}),
        (
            user("what is", PICTURE),
            {"role": "user", "content": [written(TextPart("what is")), written(PICTURE)]},
        ),
        (
            user("a", "b", {"type": "x"}),
            {"role": "user", "content": [written(TextPart("a")), written(TextPart("b")), {"type": "x"}]},
        ),
        (user(PICTURE), {"role": "user", "content": [written(PICTURE)]}),
        (system("be brief"), {"role": "system", "content": "be brief"}),
        (assistant("ok"), {"role": "assistant", "content": "ok"}),
        (Message("tool", "4 C", tool_call_id="c1"), {"role": "tool", "content": "4 C", "tool_call_id": "c1"}),
        (Message("assistant", tool_calls=[{"id": "c1"}]), {"role": "assistant", "tool_calls": [{"id": "c1"}]}),
    ],
)
def test_is_written_as_the_api_shows_it(thing: Any, expected: object) -> None:
    assert written(thing) == expected


def test_equal_messages_are_equal_and_travel() -> None:
    message = user("what is", PICTURE)
    assert message == user("what is", PICTURE)
    assert pickle.loads(pickle.dumps(message)) == message  # noqa: S301  (our own bytes)


# The part.


@pytest.mark.parametrize("url", ["https://host/cat.png", "HTTP://host", "https://host/猫.png?a=b"])
def test_a_url_goes_to_the_relay_as_it_is(url: str) -> None:
    assert image(f" {url}\n", detail="high").image_url.url == url
    assert image(url, detail="high").image_url.detail == "high"


@pytest.mark.parametrize(
    "url", ["https://", "https:///cat.png", "http://[::1", "https://host/a b", "https://host/a\tb"]
)
def test_a_url_nobody_could_fetch_is_refused(url: str) -> None:
    with pytest.raises(MediaError, match="not a URL that can be fetched") as caught:
        image(url)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("file:///tmp/cat.png", "pass the path itself"),
        ("ftp://host/cat.png", "only http and https"),
        ("s3://bucket/cat.png", "install what opens it"),
        ("s3://bucket/\x1b[31mcat.png", "install what opens it"),
        ("data:image/png,raw", "only base64"),
        ("data:image/svg+xml;utf8,<svg/>", "only base64"),
        ("data:", "only base64"),
        (None, "A NoneType is not an image"),
        (42, "Pillow image"),
        (io.StringIO("x"), "'rb'"),
    ],
)
def test_what_cannot_be_an_image_is_refused_at_once(source: Any, hint: str) -> None:
    with pytest.raises(MediaError, match=hint) as caught:
        image(source)
    assert str(caught.value).isprintable()


def test_an_uploaded_url_is_refused() -> None:
    with pytest.raises(MediaError, match=r"pass it to image\(\)"):
        Upload("https://host/cat.png")


def test_max_side_is_refused_where_it_could_do_nothing() -> None:
    with pytest.raises(MediaError, match="the relay fetches a URL by itself"):
        image("https://host/cat.png", max_side=100)
    with pytest.raises(MediaError, match="belongs to the Upload"):
        image(Upload(PNG), max_side=100)
    with pytest.raises(MediaError, match="at least 1"):
        image(PNG, max_side=0)


def test_an_upload_is_used_as_it_is() -> None:
    upload = Upload(PNG)
    assert image(upload, detail="low").image_url.url is upload


def test_making_a_part_reads_nothing() -> None:
    assert isinstance(image("/no/such/file.png").image_url.url, Upload)


def test_a_part_is_taken_as_an_image() -> None:
    part = image(PNG, detail="low")
    assert image(part) == part
    assert image(part, detail="high").image_url.detail == "low"
    assert image(image(PNG), detail="high").image_url.detail == "high"
    assert image(part).image_url.url is part.image_url.url
    assert image(image("https://host/cat.png")).image_url.url == "https://host/cat.png"
    openai_part: Any = {"type": "image_url", "image_url": {"url": "https://host/cat.png", "detail": "auto"}}
    assert image(openai_part).image_url.detail == "auto"
    with pytest.raises(MediaError, match="belongs to the Upload"):
        image(part, max_side=100)


async def test_an_upload_of_a_part_reads_what_the_part_reads() -> None:
    assert await sent(Upload(image(DATA))) == uri(DATA)
    assert await sent(Upload(cast("Any", {"image_url": {"url": uri(DATA).decode()}}))) == uri(DATA)
    with pytest.raises(MediaError, match=r"pass it to image\(\)"):
        Upload(image("https://host/cat.png"))


def test_several_images_in_something_else_than_a_list_are_reported() -> None:
    for several in ((path for path in ("a.png", "b.png")), {"a.png", "b.png"}):
        with pytest.raises(MediaError, match=r"Several are passed as a list"):
            image(cast("Any", several))
    numpy = pytest.importorskip("numpy")
    with pytest.raises(MediaError, match="PIL.Image.fromarray"):
        image(numpy.zeros((2, 2)))
    with pytest.raises(MediaError, match=r"A int is not an image that can be sent \(42\)"):
        image(cast("Any", 42))


async def heard(part: AudioPart) -> dict[str, Any]:
    body = wire.encode({"part": part})
    await body.open()
    whole: dict[str, Any] = json.loads(b"".join([piece async for piece in body.pieces()]))
    assert body.size_bytes == len(json.dumps(whole, separators=(",", ":")))
    return cast("dict[str, Any]", whole["part"])


@pytest.mark.parametrize("size", [1000, 300_000])
async def test_an_audio_part_is_bare_base64_and_the_name_of_its_format(size: int, tmp_path: Path) -> None:
    data = WAV + bytes(size)
    path = put(tmp_path / "talk.mp3", data)
    sources: list[SoundSource] = [
        path,
        str(path),
        data,
        uri(data, "audio/x").decode(),
        io.BytesIO(data),
        Recording(path),
    ]
    for source in sources:
        part = await heard(audio(source))
        assert part == {
            "type": "input_audio",
            "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"},
        }


async def test_a_format_that_is_given_is_written_as_it_is() -> None:
    assert (await heard(audio(bytes(10), format="pcm16")))["input_audio"]["format"] == "pcm16"
    assert (await heard(audio(Recording(WAV), format="x")))["input_audio"]["format"] == "x"


async def test_an_audio_part_reads_nothing_yet_and_pickles(tmp_path: Path) -> None:
    path = tmp_path / "talk.mp3"
    part = audio(path)
    assert "<audio talk.mp3, not opened yet>" in repr(part)
    copy = pickle.loads(pickle.dumps(part))  # noqa: S301  (our own)
    put(path, MP3)
    assert await heard(copy) == await heard(part) == await heard(part)
    assert "<audio/mpeg 266 B talk.mp3>" in repr(part)
