"""What answers of the image endpoints promise: an image object for each one listed, as in chat answers."""

from __future__ import annotations

import base64
import pickle

import pytest

from tests.images import png
from tutuclient import wire
from tutuclient.downloads.fetch import Downloads
from tutuclient.errors import NoImageError
from tutuclient.finding import ImageFinder, find_images
from tutuclient.types import Image, ImagesResponse, ImageStreamEvent, ImagesUsage, Meta
from tutuclient.types.provenance import Origin, set_origin

PNG = png(bytes(50))
B64 = base64.b64encode(PNG).decode()
URL = "https://a.example/x.png"


def test_empty_text_is_absent_and_a_data_uri_is_stripped() -> None:
    assert Image(url="", b64_json="", revised_prompt="") == Image()
    assert Image(b64_json=f"data:image/png;base64,{B64}").b64_json == B64
    assert Image(b64_json=B64).b64_json is B64 or Image(b64_json=B64).b64_json == B64
    assert ImageStreamEvent(b64_json=f" data:image/png;x=1;base64,{B64}").b64_json == B64


@pytest.mark.parametrize(
    ("item", "url", "has_data"),
    [
        (Image(url=URL, revised_prompt="a cat"), URL, False),
        (Image(b64_json=B64, revised_prompt="a cat"), None, True),
        (Image(url=URL, b64_json=B64, revised_prompt="a cat"), URL, True),
        (Image(url=f"data:image/png;base64,{B64}", revised_prompt="a cat"), None, True),
    ],
)
async def test_a_listed_image_is_one_of_ours(item: Image, url: str | None, has_data: bool) -> None:
    [image] = find_images(ImagesResponse(data=[item]))
    assert (image.url, image.revised_prompt) == (url, "a cat")
    assert image.mime == ("image/png" if has_data else None)
    if has_data:
        assert await image.read() == PNG


def test_equal_images_are_as_many_as_are_listed() -> None:
    images = find_images(ImagesResponse(data=[Image(url=URL), Image(url=URL), Image(), Image(b64_json=B64)]))
    assert [image.url for image in images] == [URL, URL, None]


def test_an_answer_finds_its_images_once_and_travels_with_them() -> None:
    answer = ImagesResponse(data=[Image(b64_json=B64)])
    assert answer.images == []
    origin = Origin(Meta(200), ImageFinder(Downloads(), made=True))
    answer = ImagesResponse(data=[Image(b64_json=B64)])
    set_origin(answer, origin)
    assert answer.images[0] is answer.images[0]
    with pytest.raises(NoImageError):
        answer.images[1]
    again = pickle.loads(pickle.dumps(answer))  # noqa: S301  (our own bytes)
    assert again == answer
    assert again.images[0].mime == "image/png"


def test_an_event_has_its_image_as_answers_do() -> None:
    event = ImageStreamEvent(type="image_generation.completed", b64_json=B64)
    assert event.images == []
    assert [image.mime for image in find_images(event)] == ["image/png"]
    assert not event.is_partial
    assert find_images(ImageStreamEvent(type="image_generation.completed")) == []


def test_usage_goes_by_both_pairs_of_names() -> None:
    usage = ImagesUsage(input_tokens=1, output_tokens=2)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1, 2, 3)


def test_what_openai_types_is_typed() -> None:
    body = b'{"data":[{"url":"https://h.example/a"}],"svg_usage":{"model":"m","input_tokens":1,"own":2},"safety_identifier":"s"}'
    answer = wire.read_images(body, Meta(200))
    assert answer.svg_usage is not None
    assert (answer.svg_usage.model, answer.svg_usage.input_tokens, answer.svg_usage.total_tokens) == ("m", 1, None)
    assert (answer.svg_usage.extra, answer.safety_identifier) == ({"own": 2}, "s")
    [event] = wire.read_image_events("", b'{"url":"https://h.example/a","safety_identifier":"s"}', Meta(200))
    assert (event.safety_identifier, ImageStreamEvent().safety_identifier) == ("s", None)
