"""Images that a text shows or links to, and what only looks like one."""

from __future__ import annotations

import pytest

from tests.finding.answers import B64, CDN, DATA_URI, PNG, says, urls
from tutuclient.finding import find_images
from tutuclient.finding.text import prepare

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
def test_finds_addresses_of_images(text: str, found: list[str]) -> None:
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
def test_what_only_looks_like_an_image_is_not_found(text: str) -> None:
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
def test_who_asked_for_an_image_gets_addresses_without_extension(text: str, found: list[str]) -> None:
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


def test_of_a_text_of_megabytes_the_beginning_and_the_end_are_searched() -> None:
    text, _ = prepare("begin " + "word " * 600_000 + "end")
    assert len(text) < 1_100_000
    assert (text[:5], text[-3:]) == ("begin", "end")
