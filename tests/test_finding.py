"""Pictures out of answers: every form the wire knows, and what only looks like one."""

from __future__ import annotations

import base64
import pickle
import random
import re
from time import thread_time_ns
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.images import TINY_GIF, jpeg, png
from tutuclient.downloads.fetch import Downloads
from tutuclient.errors import ImageDownloadError, NoImageError
from tutuclient.finding import ImageFinder, find_images
from tutuclient.types import (
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatDelta,
    ChatMessage,
    Image,
    ImagesResponse,
    Meta,
)
from tutuclient.types.provenance import Origin, provenance, set_origin

PNG = png(bytes(range(256)) * 3)
JPEG = jpeg(bytes(range(255, 0, -1)) * 3)
B64 = base64.b64encode(PNG).decode()
DATA_URI = f"data:image/png;base64,{B64}"
CDN = "https://pro.cdn.example.com/cdn"

PROGRESS = f"""```json
{{
  "prompt": "a red kite",
  "ratio": "3:2",
  "n": 1
}}
```

> ID: `task_01exampleexample`
>[数据预览](https://async.example.net/web/task_01example.png) | [原始数据](https://async.example.net/source/task_01example)

>🕐 排队中.

>⚡ 生成中.....

>🏃 进度 36..47..72..[100](https://videos.example.com/raw/abc.png)

> ✅ 生成完成
> sid: s_0example

![gen_01example]({CDN}/20260301/9f.png)

[点击下载]({CDN}/download/20260301/9f.png)
"""


def says(*texts: str | None, **fields: Any) -> ChatCompletion:
    return ChatCompletion(choices=[ChatChoice(message=ChatMessage(content=text, **fields)) for text in texts])


def urls(answer: ChatCompletion | str, *, made: bool = False) -> list[str | None]:
    answer = says(answer) if isinstance(answer, str) else answer
    return [image.url for image in find_images(answer, made=made)]


async def data_of(answer: ChatCompletion | str) -> list[bytes]:
    answer = says(answer) if isinstance(answer, str) else answer
    return [await image.read() for image in find_images(answer)]


# In the text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("图像修改完成,请查看链接:https://yourcdn.com/edited_image.png", ["https://yourcdn.com/edited_image.png"]),
        ("https://cdn.example.com/a.png", ["https://cdn.example.com/a.png"]),
        ("![gen_01ab](https://c.example/cdn/9f.png)", ["https://c.example/cdn/9f.png"]),
        ("![a](https://c.example/get?id=3&sig=x)", ["https://c.example/get?id=3&sig=x"]),
        ("![https://c.example/9f.png](https://c.example/9f.png)", ["https://c.example/9f.png"]),
        ("![a [b] https://c.example/no.png](https://c.example/9f.png)", ["https://c.example/9f.png"]),
        ('![a]( <https://c.example/9f.png> "title (x)" )', ["https://c.example/9f.png"]),
        ("![a](https://c.example/a_(1).png)", ["https://c.example/a_(1).png"]),
        ("![a](https://c.example/a\\_b.png?x=1&amp;y=2)", ["https://c.example/a_b.png?x=1&y=2"]),
        ("[点击下载](https://c.example/cdn/download/9f.png)", ["https://c.example/cdn/download/9f.png"]),
        (
            "![a](https://c.example/1.png)![b](https://c.example/2.png)",
            ["https://c.example/1.png", "https://c.example/2.png"],
        ),
        ("HTTPS://c.example/a.png", ["HTTPS://c.example/a.png"]),
        ("![a](Https://c.example/get?id=3)", ["Https://c.example/get?id=3"]),
        ("see https://c.example/a_(1).png.", ["https://c.example/a_(1).png"]),
        ("see https://c.example/a[1].png!", ["https://c.example/a[1].png"]),
        ("(https://c.example/a_(1).png)", ["https://c.example/a_(1).png"]),
        ("(see https://c.example/a.png)", ["https://c.example/a.png"]),
        ("[https://c.example/a.png]", ["https://c.example/a.png"]),
        ("https://c.example/a.png(1024x1024)", ["https://c.example/a.png"]),
        ("https://c.example/a.png[1]", ["https://c.example/a.png"]),
        ("https://c.example/(x)/[y]/a.png", ["https://c.example/(x)/[y]/a.png"]),
        ("好https://c.example/a.png。好", ["https://c.example/a.png"]),
        ("（https://c.example/a.png）", ["https://c.example/a.png"]),
        (
            "see https://c.example/a.PNG, or <https://c.example/b.webp>!",
            ["https://c.example/a.PNG", "https://c.example/b.webp"],
        ),
        (
            "**https://c.example/a.png** https://c.example/b.png?e=1&s=%2F.",
            ["https://c.example/a.png", "https://c.example/b.png?e=1&s=%2F"],
        ),
        (f"https://c.example/a.png?from={DATA_URI}", [f"https://c.example/a.png?from={DATA_URI}"]),
        ("https://c.example/a.png,https://c.example/b.png", ["https://c.example/a.png", "https://c.example/b.png"]),
        ('{"url":"https:\\/\\/c.example\\/a.png?x=1\\u0026y=2"}', ["https://c.example/a.png?x=1&y=2"]),
        ("https://c.example/a.jpeg~tplv-x-image.image?sig=1", ["https://c.example/a.jpeg~tplv-x-image.image?sig=1"]),
        ("https://c.example/a.png https://c.example/a.png ![x](https://c.example/a.png)", ["https://c.example/a.png"]),
        ("[![small](https://c.example/s.png)](https://c.example/large.png)", ["https://c.example/s.png"]),
        ("[![same](https://c.example/s.png)](https://c.example/s.png)", ["https://c.example/s.png"]),
        ("[a [b](https://c.example/b.png)", ["https://c.example/b.png"]),
        ("\\![a](https://c.example/a.png)", ["https://c.example/a.png"]),
        ("![a](https://c.example/a red  kite.png)", ["https://c.example/a red  kite.png"]),
        (
            "![a](<https://c.example/a kite.png>) [b](https://c.example/b 2.png )",
            ["https://c.example/a kite.png", "https://c.example/b 2.png"],
        ),
        ('![a](https://c.example/a.png "a kite") and (more)', ["https://c.example/a.png"]),
        ("> quoted\n`code` https://c.example/a.png", ["https://c.example/a.png"]),
        ("```\nunclosed https://c.example/a.png", ["https://c.example/a.png"]),
        ("a ` stray\nhttps://c.example/a.png `", ["https://c.example/a.png"]),
        ("> draft ![d](https://c.example/draft.png)", ["https://c.example/draft.png"]),
        ("> draft ![d](https://c.example/draft.png)\n![d](https://c.example/a.png)", ["https://c.example/a.png"]),
    ],
)
def test_finds_addresses_of_pictures(text: str, found: list[str]) -> None:
    assert urls(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no picture at all",
        "Processing image… lots of people are creating images",
        "the site https://example.com/gallery has many pictures",
        "https://example.com/gallery",
        "[the gallery](https://example.com/gallery) and [下载](https://example.com/download)",
        "[▶️ 在线观看](https://v.example/a.mp4) | [⏬ 下载视频](https://v.example/download/a.mp4)",
        "![video](https://v.example/a.mp4) ![page](https://v.example/a.html?x=.png)",
        "[media](data:audio/wav;base64,UklGRiQAAABXQVZF)",
        "data:audio/mpeg;base64,SUQzBAAAAAAA",
        "write data:image/png;base64,… or data:image/png;base64,abc instead",
        "![x](data:image/png;base64,)",
        "![x](picture.png) ![x](ftp://c.example/a.png) ![x]()",
        "```\nhttps://c.example/a.png\n```",
        "```\n```json\nhttps://c.example/a.png\n```",
        "```\n~~~\nhttps://c.example/a.png\n```",
        "~~~text\n![a](https://c.example/a.png)\n```\n~~~  ",
        "````\n```\nhttps://c.example/a.png\n````",
        "`https://c.example/a.png` and ``![a](https://c.example/`.png)``",
        "> https://c.example/a.png\n  >[x](https://c.example/a.png)",
        "进度 36..47..[100](https://v.example/raw.png) [99%](https://v.example/99.png) [数据预览](https://v.example/1.png)",
        f"`{DATA_URI}`",
    ],
)
def test_what_only_looks_like_a_picture_is_none(text: str) -> None:
    assert find_images(says(text)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://example.com/files/abc?e=1", ["https://example.com/files/abc?e=1"]),
        ("完成:\n\nhttps://example.com/files/abc\n", ["https://example.com/files/abc"]),
        ("图片链接：https://example.com/files/abc。", ["https://example.com/files/abc"]),
        ("[点击下载](https://example.com/files/abc)", ["https://example.com/files/abc"]),
        ("[image](https://example.com/files/v1.2/abc)", ["https://example.com/files/v1.2/abc"]),
        ("![a](https://c.example/a.png) https://example.com/files/abc", ["https://c.example/a.png"]),
        ("I cannot do that, see https://example.com/policies for more", []),
        ("https://example.com/policies explains why", []),
        ("I cannot do that, see https://example.com/policies", []),
        ("[原始数据](https://example.com/files/abc)", []),
        ("[our rules](https://example.com/policies)", []),
        ("[100](https://example.com/files/abc)", []),
        ("see https://example.com/policies:\nx", []),
        ("https://example.com/policies.html", []),
        ("https://example.com/", []),
        ("https://example.com", []),
        (">[数据预览](https://example.com/files/abc)\n> https://example.com/files/abc", []),
        ("data:audio/wav;base64,UklGRiQAAABXQVZF", []),
        (f"{'x' * 20} : https://example.com/files/abc", ["https://example.com/files/abc"]),
    ],
)
def test_who_asked_for_a_picture_gets_addresses_without_extension(text: str, found: list[str]) -> None:
    assert urls(text, made=True) == found
    if not text.startswith("!"):
        assert urls(text) == []


def test_a_quoted_image_comes_before_a_guess() -> None:
    text = "> ![d](https://c.example/draft.png)\nhttps://example.com/files/abc"
    assert urls(text, made=True) == ["https://c.example/draft.png"]


def test_reads_the_progress_transcript() -> None:
    for made in (False, True):
        [image] = find_images(says(PROGRESS), made=made)
        assert image.url == f"{CDN}/20260301/9f.png"
        assert image.download_url == f"{CDN}/download/20260301/9f.png"
        assert image.alt == "gen_01example"


def test_the_transcript_may_be_cut_anywhere() -> None:
    for at in range(len(PROGRESS)):
        for part in (PROGRESS[:at], PROGRESS[at:]):
            assert len(find_images(says(part), made=True)) <= 2


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


def test_a_third_link_is_a_picture_of_its_own() -> None:
    text = "![a](https://a.example/1.png) [下载](https://b.example/1.png) [下载](https://c.example/1.png)"
    assert urls(text) == ["https://a.example/1.png", "https://c.example/1.png"]


def test_order_is_that_of_appearance() -> None:
    text = "https://a.example/1.png ![b](https://a.example/2.png) [c](https://a.example/3.png) https://a.example/4.png"
    assert urls(text) == [f"https://a.example/{n}.png" for n in range(1, 5)]


async def test_finds_data_in_the_text() -> None:
    for text in (
        f"好的 ![image]({DATA_URI}) done",
        f"好的 {DATA_URI}。",
        f"[image]({DATA_URI})",
        f"![image]({B64})",
        B64,
        f"\n{B64[:76]}\n{B64[76:]}\n",
        DATA_URI.replace("/", "\\/"),
        "data:image/png;base64," + B64.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        "data:image/png;base64," + B64.replace("+", "-").replace("/", "_").replace("=", ""),
        f"![image](data:;base64,{B64})",
        f"![image](data:application/octet-stream;base64,{B64})",
        f"![image](data:image/png;charset=utf-8;base64,{B64})",
    ):
        [image] = find_images(says(text))
        assert image.url is None
        assert (image.mime, image.size_bytes) == ("image/png", len(PNG)), text[:60]
        assert await image.read() == PNG


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


def test_an_address_that_data_were_cut_from_is_none() -> None:
    assert urls(f"https://c.example/:{DATA_URI}.png ![x](https://c.example/:{DATA_URI}.png)") == [None]


def test_pictures_of_equal_length_are_told_apart() -> None:
    sources = [base64.b64encode(png(bytes([last]))).decode() for last in (1, 2, 3, 2, 1)]
    assert len(find_images(says("".join(f"![a](data:image/png;base64,{data})" for data in sources)))) == 3


def test_does_not_copy_megabytes() -> None:
    text = f"![a](data:image/png;base64,{B64[:-4]}{'A' * 4_000_000}) and a word"
    [image] = find_images(says(text))
    assert image._encoded is not None
    assert image._encoded._text is text


# Beside the text


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
async def test_finds_pictures_beside_the_text(fields: dict[str, Any]) -> None:
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
def test_odd_fields_are_no_pictures(fields: dict[str, Any]) -> None:
    assert find_images(says("words", **fields), made=True) == []


def test_the_same_picture_beside_and_in_the_text_is_one() -> None:
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


def test_answers_find_their_pictures_and_pickle_with_them() -> None:
    answer = says(f"![a](https://a.example/1.png) ![b]({DATA_URI})")
    set_origin(answer, Origin(Meta(), ImageFinder(Downloads(max_bytes=7), made=True)))
    assert answer.images is answer.images
    copy = pickle.loads(pickle.dumps(answer))  # noqa: S301  (our own bytes)
    assert [repr(image) for image in copy.images] == [repr(image) for image in answer.images]
    assert copy.images[0]._downloads._max_bytes == 7


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
    def work(size: int) -> int:
        text = says(piece * (size // len(piece)))
        begun = thread_time_ns()
        find_images(text, made=True)
        return thread_time_ns() - begun

    small = min(work(20_000) for _ in range(3))
    large = min(work(160_000) for _ in range(3))
    # Eight times the text: 8 when linear, 64 when quadratic.
    assert large < 28 * max(small, 300_000)


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
def test_a_text_made_to_be_slow_is_read_in_no_time(piece: str) -> None:
    # Today 1 to 3 us a character: two million would hold the loop for seconds.
    text = says("http data: ![ " + piece * (2_000_000 // len(piece)))
    begun = thread_time_ns()
    find_images(text, made=True)
    assert thread_time_ns() - begun < 500_000_000


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


def test_a_picture_that_is_not_there_is_told_with_what_the_relay_said() -> None:
    images = find_images(
        ChatCompletion(choices=[ChatChoice(message=ChatMessage(content="I may not draw\x1b[1m that."))])
    )
    with pytest.raises(NoImageError, match=r"no picture; the relay said: I may not draw\\x1b\[1m that") as caught:
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
