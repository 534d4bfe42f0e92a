"""Images out of answers: any text and any field is read, in time that grows with its length."""

from __future__ import annotations

import base64
import pickle
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.finding.answers import B64, CDN, DATA_URI, PNG, says
from tests.growth import calls, growth
from tests.images import png
from tutuclient.errors import NoImageError
from tutuclient.finding import find_images
from tutuclient.types import (
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatDelta,
    ChatMessage,
)

# Any text

PIECES = st.sampled_from(
    [
        *"![](){}<>`~\\ \n\"':.,;。图/#?",
        *(
            "https://",
            "http:",
            "https:\\/\\/a.b\\/c.png",
            "https://a.b/c.png",
            "](",
            "> ",
            "![",
            "```",
            "下载",
            "/download/",
        ),
        *("data:image/png;base64,", B64[:40], "data:", "\\u0026", "%2F", "\ud83d", "\x00"),
    ]
)
FIELDS = st.recursive(
    st.none() | st.text() | st.integers() | st.just(B64),
    lambda deeper: (
        st.lists(deeper) | st.dictionaries(st.sampled_from(["type", "image_url", "url", "data", "image"]), deeper)
    ),
)


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)), st.booleans())
@settings(max_examples=500, deadline=None)
def test_any_text_is_read_and_nothing_invented(text: str, made: bool) -> None:
    plain = re.sub(r"\\([^A-Za-z0-9\s])", r"\1", text.replace("\\u0026", "&")).replace("&amp;", "&")
    for image in find_images(says(text), made=made):
        repr(image).encode()
        assert image.url is None or image.url in plain
        assert image.download_url is None or image.download_url in plain


@given(FIELDS)
@settings(deadline=None)
def test_any_field_is_read(value: Any) -> None:
    parts = value if isinstance(value, list) else [value]
    for image in find_images(says(None, images=value, image=value, parts=parts)):
        repr(image).encode()


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "![",
            "[",
            "(",
            "](",
            "![](",
            "[a](b",
            '](a "',
            "[[]]",
            "http",
            "https://",
            ":https://a",
            "https://a.b/c.png,",
        ),
        *("`", "` ``", "```\n", "~~~\n```\n", "> ", "\\", "<http://a>", "[下载](https://a.b/download/c.png) "),
        *(
            "data:",
            "data:image/png;base64,",
            "![x](data:image/png;base64,iVBORw0KGgoA)",
            "https:\\/\\/",
            "%2F",
            " ",
            "\n",
        ),
    ],
)
def test_time_grows_with_the_text_and_not_with_its_square(piece: str) -> None:
    def text(size: int) -> ChatCompletion:
        return says(piece * (size // len(piece)))

    # Eight times the text: 8 when linear, 64 when quadratic.
    assert growth(text, lambda answer: find_images(answer, made=True), 20_000, 160_000) < 28


@pytest.mark.parametrize(
    "piece",
    [
        *("[", "[[]]", "](", "![a](https://a.b/c", "` ``", "```\n", "> x\n", "\\", "<http://a>", "https://a.b/c.png,"),
        *("data:", "data:;base64, A B C ", "(data:;base64,a ", "data:;base64,a\nb\n"),
        "![x](data:image/png;base64,iVBORw0KGgoA)",
        *("data:;base64,&#10;", "https://a.b/(", "https://a.b/c.png(x)[y] ", "\\n", "A" * 76 + "\n", "iVBORw0KGgo "),
        "[下载](https://a.b/download/c.png) ",
    ],
)  # fmt: skip
def test_a_text_made_to_be_slow_is_read_up_to_limits(piece: str) -> None:
    # Without limits each character costs a call or more, and two million hold the loop for seconds.
    def read(size: int) -> int:
        answer = says("http data: ![ " + piece * (size // len(piece)))
        return calls(lambda: find_images(answer, made=True))

    some = read(1_000_000)
    assert some < 1_200_000
    assert read(2_000_000) < 1.05 * some


async def test_of_a_text_of_megabytes_no_data_are_lost() -> None:
    sources = [png(bytes([number])) for number in range(5)]
    uris = [
        f"![{number}](data:image/png;base64,{base64.b64encode(data).decode()})" for number, data in enumerate(sources)
    ]
    text = ("word " * 150_000).join(uris) + " https://a.example/end.png"
    images = find_images(says(f"https://a.example/begin.png {text}"))
    assert [image.url for image in images] == ["https://a.example/begin.png", *[None] * 5, "https://a.example/end.png"]
    assert [await image.read() for image in images[1:6]] == sources


# What is not there


def test_an_image_that_is_not_there_is_reported_with_what_the_relay_said() -> None:
    images = find_images(
        ChatCompletion(choices=[ChatChoice(message=ChatMessage(content="I may not draw\x1b[1m that."))])
    )
    with pytest.raises(NoImageError, match=r"no image; the relay said: I may not draw\\x1b\[1m that") as caught:
        images[0]
    assert isinstance(caught.value, IndexError)
    assert images[:3] == []
    again = pickle.loads(pickle.dumps(images))  # noqa: S301  (our own bytes)
    with pytest.raises(NoImageError, match="may not draw"):
        again[-1]


@pytest.mark.parametrize(
    ("field", "is_url"),
    [
        ([{"b64_json": f"{CDN}/a.png"}], True),
        ([{"image_url": {"url": [f"{CDN}/a.png"]}}], True),
        ([{"image_url": {"url": {"url": f"{CDN}/a.png"}}}], True),
        ([{"image_url": {"url": f"data:image/png;base64,{CDN}/a.png"}}], True),
        ([{"image_url": {"url": B64}}], False),
        ([{"url": f"image/png;base64,{B64}"}], False),
        ([{"image_url": {"url": f"data:image/png;base64,{DATA_URI}"}}], False),
        ([{"b64_json": f"data:image/jpeg;base64,{DATA_URI}"}], False),
        ({"url": B64}, False),
        ([B64], False),
    ],
)
async def test_the_other_kind_in_an_images_field_is_the_image(field: Any, is_url: bool) -> None:
    # dsh-imagegen#10, and four clients that undo it.
    message = ChatMessage(images=field)
    for answer in (
        ChatCompletion(choices=[ChatChoice(message=message)]),
        ChatCompletionChunk(choices=[ChatChunkChoice(delta=ChatDelta(images=field))]),
    ):
        [image] = find_images(answer)
        assert image.url == (f"{CDN}/a.png" if is_url else None)
        assert is_url or await image.read() == PNG
