"""Data URIs in a text: whole however they are wrapped, escaped and closed, and nothing that follows them."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest

from tests.finding.answers import B64, DATA_URI, JPEG, PNG, data_of, says, urls
from tests.images import TINY_GIF, jpeg, png
from tutuclient.errors import ImageDownloadError
from tutuclient.finding import find_images
from tutuclient.types import (
    Image,
    ImagesResponse,
)

# Whole images whose base64 ends with one, two and no "=", and one with a note behind its end.
DATA = [*(png(bytes(range(number, 256)) * 3) for number in range(3)), TINY_GIF, png() + b"a note", jpeg(bytes(500))]
AROUND = [
    ("![image](", ")"),
    ("Here it is: ![a kite](", ' "a title")'),
    ('<p><img alt="x" src="', '"></p>'),
    ("<img src='", "'/>"),
    ("<img width=3 src=", ">"),
    ('{"url": "', '"}'),
    ('{\\"url\\": \\"', '\\"}'),
    ("background: url(", ");"),
    ("", ""),
    ("Here it is:\n\n", "\n\nEnjoy your image!"),
    ("image: ", "\nDone"),
    ("image: ", " and that is all"),
    ("![a](", ") ![b](https://a.example/b.mp4) and more (in brackets)"),
]
BREAKS = ["\n", "\r\n", "\n    ", "\r\n\t", "\n\n", " ", "\\n", "\\r\\n", "%0A", "%0D%0A", "&#10;", "&#xA;"]


@pytest.mark.parametrize("width", [4, 19, 60, 64, 76, 77, 120, 1000])
@pytest.mark.parametrize("line_break", BREAKS)
async def test_data_in_lines_are_whole(width: int, line_break: str) -> None:
    # zed PR 19977, tinymce#7093: base64 wrapped as MIME does, within markdown, HTML, JSON and bare.
    for data in DATA:
        text = base64.b64encode(data).decode()
        for first in {0, width, max(0, width - 22)}:  # the line may have begun with "data:image/png;base64,"
            lines = [text[:first], *(text[at : at + width] for at in range(first, len(text), width))]
            for before, after in AROUND:
                answer = f"{before}data:image/png;base64,{line_break.join(lines)}{after}"
                assert await data_of(answer) == [data], answer[:150]


@pytest.mark.parametrize(
    "uri",
    [
        f"data:image/png;base64, {B64}",
        f"data:image/png;base64,\n{B64}",
        f"DATA:image/PNG;BASE64,{B64}",
        f"Data:Image/Png;Base64,{B64}",
        f"data:image/png; base64,{B64}",
        f"data: image/png;base64,{B64}",
        f"data:image/png;base64 ,{B64}",
        f"data:image/png,base64,{B64}",
        f'data:image/png;charset="utf-8";base64,{B64}',
        f"data:image/png;charset=utf-8;base64,{B64}",
        f"data:image/png;name=a%20b.png;base64,{B64}",
        f"data:;base64,{B64}",
        f"data:image/*;base64,{B64}",
        f"data:application/octet-stream;base64,{B64}",
        f"data:image/png;base64,data:image/png;base64,{B64}",
        "data:image/png;base64," + B64.replace("+", "%2b").replace("/", "%2f").replace("=", "%3d"),
        "data:image/png;base64," + B64.replace("+", "\\u002b").replace("/", "\\u002F").replace("=", "\\u003d"),
        "data:image/png;base64," + B64.replace("+", "&#43;").replace("/", "&#x2F;").replace("=", "&#61;"),
        "data:image/png;base64," + B64.replace("/", "\\/"),
        "data:image\\/png;base64," + B64.replace("/", "\\\\/"),
        "data:image/png;base64," + B64.replace("+", "-").replace("/", "_").rstrip("="),
    ],
)
async def test_odd_spellings_of_data_are_read(uri: str) -> None:
    # Faults of section 2 h: a space behind the comma, capitals; the others are their kin.
    for text in (uri, f"![image]({uri})", f"here:\n{uri}\n", f'{{"u":"{uri.replace(chr(34), "")}"}}', f"a\\n{uri}"):
        assert await data_of(text) == [PNG], text[:60]
    for field in ({"images": [{"url": uri}]}, {"images": [{"b64_json": f" {uri}\n"}]}, {"image": uri}):
        assert await data_of(says(None, **field)) == [PNG]


@pytest.mark.parametrize("width", [60, 76, 128])
@pytest.mark.parametrize(
    ("line_break", "slash", "plus"),
    [
        ("\n", "\\/", "+"),
        ("\\n", "\\/", "\\u002b"),
        ("\\\\n", "\\\\/", "+"),
        ("\\\\r\\\\n", "/", "\\\\u002B"),
        ("\\u000a", "/", "\\u002b"),
        ("\\u000D\\u000A", "/", "+"),
        ("%0A", "%2F", "%2B"),
        ("&#13;&#10;", "&#47;", "&#43;"),
        (" ", "/", "\\u002b"),
    ],
)
async def test_data_in_lines_are_whole_that_are_escaped_too(width: int, line_break: str, slash: str, plus: str) -> None:
    # JSON within JSON, forms and HTML escape line ends and letters alike: then no line is as long as another.
    for seed in range(8):
        data = png(random.Random(seed).randbytes(1500))
        text = base64.b64encode(data).decode()
        lines = [text[at : at + width].replace("+", plus).replace("/", slash) for at in range(0, len(text), width)]
        for before, after in AROUND:
            answer = f"{before}data:image/png;base64,{line_break.join(lines)}{after}"
            assert await data_of(answer) == [data], answer[:300]


async def test_data_within_code_are_the_image_of_who_asked_for_one() -> None:
    for text in (f"`{DATA_URI}`", f"```\n{DATA_URI}\n```", f"```markdown\n![a]({DATA_URI})\n```", f"> `{DATA_URI}`"):
        [image] = find_images(says(text), made=True)
        assert await image.read() == PNG
    assert find_images(says("```\ndata:image/png;base64,abcd https://c.example/a\n```"), made=True) == []
    [image] = find_images(says(f"`{DATA_URI}` https://c.example/a.png"), made=True)
    assert image.url == "https://c.example/a.png"


async def test_pluses_that_became_spaces_come_back() -> None:
    data = png(bytes(range(256)) * 12)
    text = base64.b64encode(data).decode()
    assert text.count("+") > 5
    uri = "data:image/png;base64," + text.replace("+", " ")
    assert await data_of(f"![image]({uri})") == [data]
    assert await data_of(says(None, images=[{"b64_json": text.replace("+", " ")}])) == [data]


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 57, 400, 900])
@pytest.mark.parametrize("around", [("![a](", ")"), ("", ""), ("", "\nDone"), ("![a](", "")])
async def test_a_part_of_an_image_is_an_error_and_not_an_image(cut: int, around: tuple[str, str]) -> None:
    for text in (B64.rstrip("=")[:-cut], "\n".join(B64[at : at + 76] for at in range(0, len(B64) - cut - 76, 76))):
        [image] = find_images(says(f"{around[0]}data:image/png;base64,{text}{around[1]}"))
        with pytest.raises(ImageDownloadError) as caught:
            await image.read()
        assert caught.value.reason == "damaged"
        # A word behind it cannot be told from its last line.
        assert PNG.startswith((await image.read(damaged=True))[: -4 if around[1].endswith("Done") else None])


async def test_a_line_that_is_lost_within_is_an_error() -> None:
    lines = [B64[at : at + 64] for at in range(0, len(B64), 64)]
    [image] = find_images(says(f"![a](data:image/png;base64,{chr(10).join(lines[:4] + lines[5:])})"))
    with pytest.raises(ImageDownloadError, match="damaged"):
        await image.read()


@pytest.mark.parametrize(
    ("item", "found"),
    [
        # dsh-imagegen#10, and what its kin send.
        ({"b64_json": "https://a.example/1"}, "https://a.example/1"),
        ({"b64_json": "HTTPS://a.example/1 "}, "HTTPS://a.example/1"),
        ({"b64_json": "data:image/png;base64,https://a.example/1"}, "https://a.example/1"),
        ({"url": B64}, PNG),
        ({"url": f"data:image/png;base64,{B64}"}, PNG),
        ({"url": f"data:image/png;base64,data:image/png;base64,{B64}"}, PNG),
        ({"b64_json": f"data:image/png;base64,data:image/png;base64,{B64}"}, PNG),
        ({"b64_json": f"image/png;base64,{B64}"}, PNG),
        ({"b64_json": f"base64,{B64}"}, PNG),
        ({"url": f";base64,{B64}"}, PNG),
        ({"url": f"data:image/*;base64,{B64}"}, PNG),
        ({"url": f"\\ndata:image\\/png;base64,\\n{B64}"}, PNG),
        ({"url": "https:\\/\\/a.example\\/1"}, "https://a.example/1"),
        ({"b64_json": f"data:image/png,{B64}"}, PNG),
        ({"url": "![a kite](https://a.example/1)"}, "https://a.example/1"),
        ({"b64_json": "<https://a.example/1>"}, "https://a.example/1"),
        ({"url": '"https://a.example/1"'}, "https://a.example/1"),
        ({"url": f"![a](data:image/png;base64,{B64})"}, PNG),
        ({"url": f'<img alt="a" src="data:image/png;base64,{B64}">'}, PNG),
        ({"b64_json": f'"{B64}"'}, PNG),
        ({"b64_json": f"b'{B64}'"}, PNG),
        ({"b64_json": f"DATA:IMAGE/PNG;BASE64, {B64}"}, PNG),
        ({"url": B64, "b64_json": "https://a.example/1"}, PNG),
        ({"url": "https://a.example/1", "b64_json": "https://a.example/1"}, "https://a.example/1"),
    ],
)
async def test_the_other_kind_in_a_field_is_read_as_what_it_is(item: dict[str, Any], found: str | bytes) -> None:
    listed = find_images(ImagesResponse(data=[Image(**item)]))
    beside = find_images(says(None, images=[item]))
    for [image] in (listed, beside):
        assert (image.url if isinstance(found, str) else await image.read()) == found


def test_a_list_of_addresses_in_a_field() -> None:
    assert urls(says(None, images=[{"url": ["https://a.example/1", "https://a.example/2"]}])) == [
        "https://a.example/1",
        "https://a.example/2",
    ]


async def test_small_data_end_where_they_end() -> None:
    data = TINY_GIF
    [image] = find_images(says(f"![a](data:image/gif;base64,{base64.b64encode(data).decode()}) and so on"))
    assert image.mime == "image/gif"
    assert await image.read() == data


async def test_keeps_the_order_of_data_and_addresses() -> None:
    other = base64.b64encode(JPEG).decode()
    text = f"![a]({DATA_URI}) ![b](https://a.example/1.png) ![c](data:image/jpeg;base64,{other}) ![d]({DATA_URI})"
    one, two, three = find_images(says(text))
    assert await one.read() == PNG
    assert two.url == "https://a.example/1.png"
    assert await three.read() == JPEG


def test_an_image_cut_from_an_address_has_no_url() -> None:
    assert urls(f"https://c.example/:{DATA_URI}.png ![x](https://c.example/:{DATA_URI}.png)") == [None]


def test_images_of_equal_length_are_distinguished() -> None:
    sources = [base64.b64encode(png(bytes([last]))).decode() for last in (1, 2, 3, 2, 1)]
    assert len(find_images(says("".join(f"![a](data:image/png;base64,{data})" for data in sources)))) == 3


def test_does_not_copy_megabytes() -> None:
    text = f"![a](data:image/png;base64,{B64[:-4]}{'A' * 4_000_000}) and a word"
    [image] = find_images(says(text))
    assert image._encoded is not None
    assert image._encoded._text is text
