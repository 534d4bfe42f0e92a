"""Images in fields and parts beside the text; each is taken once, and the two links of a file are one image."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from tests.finding.answers import B64, CDN, DATA_URI, PNG, data_of, says, urls
from tutuclient.downloads.fetch import Downloads
from tutuclient.finding import ImageFinder, find_images
from tutuclient.types import (
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatDelta,
    ChatMessage,
    Meta,
)
from tutuclient.types.provenance import Origin, provenance, set_origin


@pytest.mark.parametrize(
    "fields",
    [
        {"images": [{"type": "image_url", "index": 0, "image_url": {"url": DATA_URI, "detail": "auto"}}]},
        {"images": [{"type": "image_url", "image_url": {"url": B64}}]},
        {"images": [{"type": "image_url", "image_url": DATA_URI}]},
        {"images": [{"data": B64}]},
        {"images": [{"url": "", "b64_json": DATA_URI}]},
        {"images": [f"  {DATA_URI}\n"]},
        {"images": DATA_URI},
        {"image": {"url": DATA_URI}},
        {"image": [{"data": B64}]},
        {"images": [{"image_url": {"url": DATA_URI}}], "image": {"url": DATA_URI}},
        {"parts": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": DATA_URI}}]},
        {"parts": [{"type": "output_image", "url": DATA_URI}]},
        {"parts": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": B64}}]},
        {"parts": [{"type": "text", "text": "a"}, {"type": "file", "mediaType": "image/png", "data": B64}]},
        {"parts": [{"type": "file", "file": {"mime_type": "image/png", "file_data": DATA_URI}}]},
        {"parts": [{"type": "media", "media_type": "image/png", "data": B64}, {"type": "audio", "data": "AAAA"}]},
        {"parts": [{"type": "image_generation_call", "result": B64}]},
        {"parts": [{"type": "text", "text": "a", "image_url": {"url": DATA_URI}}]},
        {"parts": [{"inline_data": {"mime_type": "image/png", "data": B64}}, "text", None]},
    ],
)
async def test_finds_images_beside_the_text(fields: dict[str, Any]) -> None:
    assert await data_of(says("words", **fields)) == [PNG]


@pytest.mark.parametrize(
    "fields",
    [
        {"images": None},
        {"images": []},
        {"images": [None, 3, {}, {"url": ""}, "words", "https://v.example/a.mp4", {"url": "file-123"}]},
        {"images": [{"url": "data:video/mp4;base64,AAAAGGZ0eXBtcDQy"}]},
        {"image": {"b64_json": ""}},
        {"parts": [{"type": "text", "text": "x"}, {"type": "input_audio", "input_audio": {"data": B64}}]},
        {"parts": [{"type": "video_url", "video_url": "https://v.example/a"}]},
        {"parts": [{"type": "video_url", "url": "https://v.example/a"}, {"type": "file", "data": B64}]},
        {"parts": [{"type": "file", "file": {"file_data": DATA_URI}}]},
        {"images": [[[[[[["https://a.example/1.png"]]]]]]]},
    ],
)
def test_odd_fields_are_no_images(fields: dict[str, Any]) -> None:
    assert find_images(says("words", **fields), made=True) == []


def test_the_same_image_beside_and_in_the_text_is_one() -> None:
    text = f"![alt]({CDN}/9f.png) [下载]({CDN}/download/9f.png) ![again]({DATA_URI})"
    one, two = find_images(says(text, images=[{"url": f"{CDN}/9f.png"}, {"url": DATA_URI}]))
    assert (one.url, one.download_url, one.alt) == (f"{CDN}/9f.png", f"{CDN}/download/9f.png", "alt")
    assert two.mime == "image/png"


def test_looks_into_all_choices() -> None:
    assert urls(says("https://a.example/1.png", None, "https://a.example/2.png https://a.example/1.png")) == [
        "https://a.example/1.png",
        "https://a.example/2.png",
    ]


def test_an_extension_is_not_asked_of_a_field() -> None:
    assert urls(says(None, images=[{"url": " https://a.example/get?id=1 "}])) == ["https://a.example/get?id=1"]


async def test_reads_an_answer_shaped_like_the_images_endpoint() -> None:
    answer = ChatCompletion()
    provenance(answer).tree = {
        "data": [
            {"url": "https://a.example/1", "b64_json": "", "revised_prompt": "a red kite"},
            {"url": "", "b64_json": B64, "revised_prompt": ""},
        ]
    }
    one, two = find_images(answer)
    assert (one.url, one.revised_prompt) == ("https://a.example/1", "a red kite")
    assert (await two.read(), two.revised_prompt) == (PNG, None)
    assert find_images(ChatCompletion()) == []


def test_of_a_chunk_only_what_is_beside_the_text() -> None:
    delta = ChatDelta(content="https://a.example/cut.pn", images=[{"url": "https://a.example/1.png"}])
    whole = ChatMessage(content="https://a.example/2.png", image={"url": "https://a.example/3.png"})
    chunk = ChatCompletionChunk(choices=[ChatChunkChoice(delta=delta), ChatChunkChoice(message=whole)])
    assert [image.url for image in find_images(chunk)] == ["https://a.example/1.png", "https://a.example/3.png"]
    assert find_images(ChatCompletionChunk()) == []


def test_answers_find_their_images_and_pickle_with_them() -> None:
    answer = says(f"![a](https://a.example/1.png) ![b]({DATA_URI})")
    set_origin(answer, Origin(Meta(), ImageFinder(Downloads(max_bytes=7), made=True)))
    assert answer.images is answer.images
    copy = pickle.loads(pickle.dumps(answer))  # noqa: S301  (our own bytes)
    assert [repr(image) for image in copy.images] == [repr(image) for image in answer.images]
    assert copy.images[0]._fetcher._max_bytes == 7


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "![a](https://v.example/cdn/9f.png) [下载](https://dl.example/x/9f.png)",
            ("https://v.example/cdn/9f.png", "https://dl.example/x/9f.png"),
        ),
        (
            "[下载](https://dl.example/x/9f.png) ![a](https://v.example/cdn/9f.webp)",
            ("https://v.example/cdn/9f.webp", "https://dl.example/x/9f.png"),
        ),
        (
            "https://v.example/download/9f.png https://v.example/9f.png",
            ("https://v.example/9f.png", "https://v.example/download/9f.png"),
        ),
        (
            "https://v.example/9f.png https://v.example/Downloads/9f.png",
            ("https://v.example/9f.png", "https://v.example/Downloads/9f.png"),
        ),
        (
            "[Download](https://v.example/9f.png) [Download](https://w.example/9f.png)",
            ("https://v.example/9f.png", "https://w.example/9f.png"),
        ),
        (
            "[![s](https://v.example/s.png)](https://v.example/l.png)",
            ("https://v.example/s.png", "https://v.example/l.png"),
        ),
    ],
)
def test_pairs_the_two_links_of_a_file(text: str, found: tuple[str, str]) -> None:
    [image] = find_images(says(text))
    assert (image.url, image.download_url) == found


def test_pairs_by_path_before_name() -> None:
    text = "".join(f"![a](https://c.example/{n}/image.png)" for n in "12") + "".join(
        f"[下载](https://c.example/{n}/download/image.png)" for n in "21"
    )
    one, two = find_images(says(text))
    assert (one.url, one.download_url) == ("https://c.example/1/image.png", "https://c.example/1/download/image.png")
    assert (two.url, two.download_url) == ("https://c.example/2/image.png", "https://c.example/2/download/image.png")


@pytest.mark.parametrize(
    "text",
    [
        "https://a.example/1.png https://b.example/1.png",
        "![a](https://a.example/1.png) ![b](https://b.example/download/1.png)",
        "![a](https://a.example/1.png) [the original](https://b.example/1.png)",
        "[下载](https://a.example/1.png) ![a](https://a.example/2.png)",
        f"[![s]({DATA_URI})](https://a.example/2.png)",
    ],
)
def test_equal_names_alone_make_no_pair(text: str) -> None:
    assert len(find_images(says(text))) == 2


def test_a_third_link_is_an_image_of_its_own() -> None:
    text = "![a](https://a.example/1.png) [下载](https://b.example/1.png) [下载](https://c.example/1.png)"
    assert urls(text) == ["https://a.example/1.png", "https://c.example/1.png"]
