"""Answers as relays give them: for each one what a person would read out of it, whole and streamed in random cuts.

A row is a message (sent whole, as JSON for a stream, and as a stream cut anywhere, asked for or not), a whole body, or
the frames of a stream. ``source`` names the section of ``.github/WIRE.md`` it comes from. All contents are invented.
"""
# ruff: noqa: E501  (a row of the table is a line, as far as can be)

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tests.images import jpeg, png
from tutuclient import (
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextLengthError,
    IncompleteStreamError,
    InsufficientQuotaError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    TutuClient,
    UnexpectedResponseError,
    user,
)
from tutuclient.testing import chunk, raw, streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tutuclient import ChatCompletion
    from tutuclient.testing import Server

PNG = png(bytes(range(256)))
JPEG = jpeg(bytes(range(255, -1, -1)))
WEBP = b"RIFF\x0c\x01\0\0WEBPVP8 \0\1\0\0" + bytes(range(256))
NAMES = {PNG: "PNG", JPEG: "JPEG", WEBP: "WEBP"}
B64, JPEG64, WEBP64 = (base64.b64encode(picture).decode() for picture in (PNG, JPEG, WEBP))
URI, JPEG_URI = f"data:image/png;base64,{B64}", f"data:image/jpeg;base64,{JPEG64}"
CDN = "https://pro.cdn.example.com/cdn"
A, B = "https://files.example.com/a.png", "https://files.example.com/b.png"


@dataclass(frozen=True)
class Said:
    """What a person reads out of an answer. A picture is its address, ``address + second address``, or its kind."""

    text: str = ""
    thinking: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    usage: tuple[int | None, int | None, int | None] | None = None
    images: tuple[str, ...] = ()
    finish: str | None = "stop"


@dataclass(frozen=True)
class Fails:
    """The error a person would report, in place of an answer."""

    cls: type[APIError]
    code: str | None = None
    words: str = ""
    partial: str | None = None


@dataclass(frozen=True)
class Row:
    """One answer, as a message, a body or frames, and what it says."""

    source: str
    name: str
    said: Said | Fails
    message: dict[str, Any] | None = None
    body: Any = None
    frames: tuple[Any, ...] | None = None
    finish: Any = "stop"
    top: dict[str, Any] = field(default_factory=dict)
    made: bool = False
    asked: dict[str, Any] = field(default_factory=dict)
    done: bool = True
    status: int = 200
    content_type: str = "application/json"
    unasked: bool = True


# --- pictures (2.2, 2.3) ---------------------------------------------------------------------------------------------


def shows(source: str, name: str, content: Any, *images: str, text: str | None = None, **more: Any) -> Row:
    """A message whose text is kept as it is, with these pictures in it."""
    made = more.pop("made", True)
    said = Said(text=content if text is None else text, thinking=more.pop("thinking", ""), images=images)
    return Row(source, name, said, message={"role": "assistant", "content": content, **more}, made=made)


SIGNED = "https://bucket.example.com/o/x.png?X-Tos-Signature=a%2Fb%3D&Expires=1767225600"
PLAIN = "https://img.example.com/v/0f3c9a"

TRANSCRIPT = f"""```json
{{
  "prompt": "a red kite",
  "ratio": "3:2",
  "n": 1
}}
```

> ID: `task_01exampleexample`
>[数据预览](https://async.example.net/web/task_01example) | [原始数据](https://async.example.net/source/task_01example)

>🕐 排队中.

>⚡ 生成中.....

>🏃 进度 36..47..72..[100](https://videos.example.com/raw/abc)

> ✅ 生成完成
> sid: s_0example

![gen_01example]({CDN}/20260301/9f.png)

[点击下载]({CDN}/download/20260301/9f.png)
"""
ENGLISH = TRANSCRIPT.replace("排队中", "Queuing").replace("生成中", "Generating").replace("进度", "Progress")
ENGLISH = (
    ENGLISH.replace("生成完成", "Done").replace("点击下载", "Click to download").replace("数据预览", "Data preview")
)
PROLOGUE = TRANSCRIPT.partition("![")[0]
TWIN = f"{CDN}/20260301/9f.png + {CDN}/download/20260301/9f.png"

PICTURES = [
    # Form 1: an address in prose, glued to what stands around it.
    shows("2.2 form 1", "glued by an ASCII colon", f"图像修改完成,请查看链接:{A}", A),
    shows("2.2 form 1", "the page's own sentence", f"已完成,下载:{A}", A),
    shows("2.2 form 1", "glued by a wide colon", f"链接：{A}", A),
    shows("2.2 form 1", "in an analysis too", f"已完成,下载:{A}", A, made=False),
    shows("2.3 rule 6", "ended by a CJK comma", f"图片{A}，请查收", A),
    shows("2.3 rule 6", "ended by a CJK full stop", f"好了{A}。", A),
    shows("2.3 rule 6", "in wide brackets", f"（{A}）", A),
    shows("2.3 rule 6", "in corner brackets", f"「{A}」", A),
    shows("2.3 rule 6", "ended by CJK letters", f"{A}点击查看", A),
    shows("2.3 rule 6", "in quotes", f'url: "{A}"', A),
    shows("2.3 rule 6", "in single quotes", f"'{A}'", A),
    shows("2.3 rule 6", "in angle brackets", f"see <{A}>", A),
    shows("2.3 rule 6", "in round brackets", f"(see {A})", A),
    shows("2.3 rule 6", "ended by a full stop", f"It is at {A}.", A),
    shows("2.3 rule 6", "in bold", f"**{A}**", A),
    shows("2.3 rule 6", "JSON in text, slashes escaped", '{"url":"https:\\/\\/files.example.com\\/a.png"}', A),
    shows("2.3 rule 6", "an ampersand as HTML", "https://h.example/x.png?a=1&amp;b=2", "https://h.example/x.png?a=1&b=2"),
    shows("2.3 rule 10", "signed, with a query", f"done: {SIGNED}", SIGNED),
    shows("2.2 form 1", "capital extension", "下载:https://h.example/A.PNG", "https://h.example/A.PNG"),
    shows("2.2 form 1", "jpeg, webp, gif", "https://h.example/a.jpeg https://h.example/b.webp https://h.example/c.gif",
          "https://h.example/a.jpeg", "https://h.example/b.webp", "https://h.example/c.gif"),
    shows("2.2 form 1", "two, by a comma", f"{A},{B}", A, B),
    shows("2.2 form 1", "a port and a plain scheme", "http://h.example:8080/out/1.png", "http://h.example:8080/out/1.png"),
    shows("2.2 form 1", "no extension, behind a colon, asked for", f"已完成,下载:{PLAIN}", PLAIN),
    shows("2.2 form 1", "no extension, not asked for", f"已完成,下载:{PLAIN}", made=False),
    # Form 2: nothing but the address.
    shows("2.2 form 2", "only an address", A, A),
    shows("2.2 form 2", "with white space around it", f"\n  {A}\n", A),
    shows("2.2 form 2", "only an address without extension", PLAIN, PLAIN),
    shows("2.2 form 2", "only an address, in an analysis", A, A, made=False),
    # Form 3: markdown.
    shows("2.2 form 3", "markdown", f"![gen_01ab]({CDN}/20260301/9f.png)", f"{CDN}/20260301/9f.png"),
    shows("2.2 form 3", "without extension", f"![image]({PLAIN})", PLAIN),
    shows("2.2 form 3", "without extension, in an analysis", f"![image]({PLAIN})", PLAIN, made=False),
    shows("2.2 form 3", "with a title", f'![a]({A} "a kite")', A),
    shows("2.2 form 3", "in angle brackets", f"![a](<{A}>)", A),
    shows("2.2 form 3", "brackets in the address", "![a](https://h.example/a_(1).png)", "https://h.example/a_(1).png"),
    shows("2.2 form 3", "empty alt", f"![]({A})", A),
    shows("2.3 rule 9", "two lines", f"![1]({A})\n\n![2]({B})", A, B),
    shows("2.3 rule 9", "four on one line", " ".join(f"![{n}](https://h.example/{n}.png)" for n in range(4)),
          *(f"https://h.example/{n}.png" for n in range(4))),
    shows("2.2 form 3", "the same twice", f"![a]({A})\n![a]({A})", A),
    shows("2.2 form 3", "and once more bare", f"![a]({A})\n{A}", A),
    shows("2.2 form 3", "an image that is a link", f"[![a]({A})]({B})", f"{A} + {B}"),
    shows("2.2 form 3", "a video in image syntax", "![clip](https://h.example/a.mp4)"),
    shows("2.2 form 3", "in fenced code", f"```\n![a]({A})\n```\nThat is how markdown shows a picture.", made=False),
    # Form 4: the address in the ALT text.
    shows("2.2 form 4", "ALT is the address", f"![{A}]({A})", A),
    shows("2.2 form 4", "ALT is another address", f"![{B}]({A})", A),
    shows("2.3 rule 5", "ALT in a link", f"[{A}]({A})", A),
    # Form 5: links to download.
    shows("2.2 form 5", "click to download", f"[点击下载]({CDN}/download/20260301/9f.png)", f"{CDN}/download/20260301/9f.png"),
    shows("2.2 form 5", "without extension", f"[点击下载]({PLAIN})", PLAIN),
    shows("2.2 form 5", "in English", f"[Download]({PLAIN})", PLAIN),
    shows("2.3 rule 4", "image and twin, one host", f"![a]({CDN}/9f.png)\n\n[点击下载]({CDN}/download/9f.png)",
          f"{CDN}/9f.png + {CDN}/download/9f.png"),
    shows("2.3 rule 4", "image and twin, two hosts", f"![a]({CDN}/9f.png)\n[下载](https://dl.example.net/download/9f.png)",
          f"{CDN}/9f.png + https://dl.example.net/download/9f.png"),
    shows("2.3 rule 4", "twin first", f"[下载]({CDN}/download/9f.png)\n\n![a]({CDN}/9f.png)",
          f"{CDN}/9f.png + {CDN}/download/9f.png"),
    shows("2.3 rule 3", "a web page beside the image", f"![a]({A}) [原始数据](https://h.example/source/task)", A),
    shows("2.3 rule 3", "a link to a picture", f"[see it]({A})", A),
    # Form 6: videos.
    shows("2.2 form 6", "a row of video links",
          "[▶️ 在线观看](https://h.example/a.mp4) | [⏬ 下载视频](https://h.example/download/a.mp4)"),
    shows("2.2 form 6", "a bare video", "https://h.example/a.mp4"),
    # Forms 7 and 8: data within the text.
    shows("2.2 form 7", "PNG", f"![image]({URI})", "PNG"),
    shows("2.2 form 7", "JPEG", f"![image]({JPEG_URI})", "JPEG"),
    shows("2.2 form 7", "WebP", f"![image](data:image/webp;base64,{WEBP64})", "WEBP"),
    shows("2.2 form 7", "the type is wrong, the bytes count", f"![image](data:image/png;base64,{JPEG64})", "JPEG"),
    shows("2.2 form 7", "two and an address", f"![1]({URI}) ![2]({JPEG_URI}) ![3]({A})", "PNG", "JPEG", A),
    shows("2.2 form 7", "the same twice", f"![1]({URI})\n![2]({URI})", "PNG"),
    shows("2.2 form 7", "text around it", f"Here you are:\n\n![image]({URI})\n\nAnything else?", "PNG"),
    shows("2.2 form 7", "bare data URI", f"{URI}", "PNG"),
    shows("2.2 form 7", "bare data URI glued to text", f"图片:{URI}", "PNG"),
    shows("2.2 form 7", "unpadded", f"![image]({URI.rstrip('=')})", "PNG"),
    shows("2.2 form 7", "URL-safe alphabet", f"![image](data:image/png;base64,{base64.urlsafe_b64encode(PNG).decode()})", "PNG"),
    shows("2.2 form 8", "sound", "[media](data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEA)"),
    shows("2.2 form 15", "nothing but base64", B64, "PNG"),
    # Forms 9 to 12: beside the text.
    *(
        shows("2.2 form 9", name, "", *found, images=images)
        for name, images, found in (
            ("images", [{"type": "image_url", "index": 0, "image_url": {"url": URI, "detail": "auto"}}], ["PNG"]),
            ("an address", [{"type": "image_url", "image_url": {"url": A}}], [A]),
            ("image_url is text", [{"type": "image_url", "image_url": A}], [A]),
            ("a list of texts", [A, URI], [A, "PNG"]),
            ("two", [{"image_url": {"url": URI}}, {"image_url": {"url": JPEG_URI}}], ["PNG", "JPEG"]),
            ("url at the top", [{"type": "image", "url": A}], [A]),
            ("b64_json", [{"b64_json": B64}], ["PNG"]),
            ("one object, no list", {"image_url": {"url": A}}, [A]),
            ("null", None, []),
            ("empty", [], []),
            ("inline_data", [{"inline_data": {"mime_type": "image/png", "data": B64}}], ["PNG"]),
        )
    ),
    shows("2.2 form 9", "beside a text", "Here it is.", "PNG", images=[{"image_url": {"url": URI}}]),
    shows("2.2 form 9", "the same in the text", f"![a]({A})", A, images=[{"image_url": {"url": A}}]),
    shows("2.2 form 10", "image", "", "PNG", image={"url": URI}),
    shows("2.2 form 10", "image is text", "", A, image=A),
    shows("2.2 form 12", "image with data, and a text", "Drawn.", "PNG", image=[{"data": B64}]),
    shows("2.2 form 15", "raw base64", "", "PNG", images=[{"type": "image_url", "image_url": {"url": B64}}]),
    # Form 13: a list of parts.
    shows("2.2 form 13", "text and picture", [{"type": "text", "text": "Here."}, {"type": "image_url", "image_url": {"url": URI}}],
          "PNG", text="Here."),
    shows("2.2 form 13", "address in the text part", [{"type": "text", "text": f"![a]({A})"}], A, text=f"![a]({A})"),
    shows("2.2 form 13", "two texts and two pictures",
          [{"type": "text", "text": "one "}, {"type": "image_url", "image_url": {"url": A}}, {"type": "text", "text": "two"},
           {"type": "image_url", "image_url": {"url": B}}], A, B, text="one two"),
    shows("2.2 form 13", "image_url is text", [{"type": "image_url", "image_url": A}], A, text=""),
    shows("2.2 form 13", "type image", [{"type": "image", "image": URI}], "PNG", text=""),
    shows("5 content", "a thinking part", [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                                           {"type": "text", "text": "yes"}], text="yes", thinking="hm"),
    shows("5 content", "unknown parts", [{"type": "citation", "url": "https://h.example/"}, {"type": "text", "text": "yes"}], text="yes"),
    shows("5 content", "output_text", [{"type": "output_text", "text": "yes"}], text="yes"),
    shows("5 content", "a part whose type is a list", [{"type": ["text"], "text": "no"}, {"type": "text", "text": "yes"}], text="yes"),
    shows("5 content", "plain texts in a list", ["a", "b"], text="ab"),
    shows("5 content", "one part, no list", {"type": "text", "text": "yes"}, text="yes"),
    # Forms 16 and 17, and what only looks like a picture.
    Row("2.2 form 16", "a draft in the reasoning", Said("It could not be made.", thinking=f"![draft]({A})"),
        message={"content": "It could not be made.", "reasoning_content": f"![draft]({A})"}, made=True),
    shows("2.2 form 17", "no picture", "Processing image. Lots of people are creating images right now."),
    shows("5, last line", "a page is mentioned", "See https://docs.example.com/guide for more.", made=False),
    shows("5, last line", "a page is mentioned, a picture asked for", "I may not. See https://docs.example.com/policy for why."),
    shows("5, last line", "a page and a PDF", "https://docs.example.com/a.html and https://docs.example.com/b.pdf"),
    shows("2.3 rule 8", "only a task to poll", "> ID: `t`\n>[原始数据](https://h.example/source/t)\n\n> 生成中.."),
    # The transcript of a slow job, in its dialects.
    shows("2.3", "transcript", TRANSCRIPT, TWIN),
    shows("2.3", "transcript in an analysis", TRANSCRIPT, TWIN, made=False),
    shows("2.3 rule 1", "in English", ENGLISH, TWIN),
    shows("2.3 rule 1", "no space after >", TRANSCRIPT.replace("> ", ">"), TWIN),
    shows("2.3 rule 1", "a space after every >", TRANSCRIPT.replace("\n>", "\n> "), TWIN),
    shows("2.3 rule 1", "without emoji", TRANSCRIPT.replace("🕐 ", "").replace("⚡ ", "").replace("🏃 ", "").replace("✅ ", ""), TWIN),
    shows("2.3 rule 2", "percent signs", TRANSCRIPT.replace("36..47..72..[100]", "36%..47%..72%..[100%]"), TWIN),
    shows("2.3 rule 3", "the raw asset has a picture's extension", TRANSCRIPT.replace("/raw/abc", "/raw/abc.png"), TWIN),
    shows("2.3 rule 3", "the raw asset outside the quote", TRANSCRIPT.replace(">🏃", "🏃"), TWIN),
    shows("2.3 rule 4", "twin on another host", TRANSCRIPT.replace(f"{CDN}/download", "https://dl.example.net/download"),
          f"{CDN}/20260301/9f.png + https://dl.example.net/download/20260301/9f.png"),
    shows("2.3", "only the download link", TRANSCRIPT.replace("![gen_01example]", "[查看]").replace("[查看]", "[查看图片]"), TWIN),
    shows("2.3 rule 9", "two pictures", TRANSCRIPT + f"\n![gen_02]({CDN}/20260301/a0.png)\n", TWIN, f"{CDN}/20260301/a0.png"),
    shows("2.3 rule 7", "a refusal in JSON behind the prologue", PROLOGUE + '```json\n{"error": "content policy"}\n```\n'),
    shows("2.3 rule 7", "the prologue alone", PROLOGUE),
    shows("2.3", "CRLF", TRANSCRIPT.replace("\n", "\r\n"), TWIN),
    shows("2.3 rule 12", "transcript with a data URI", PROLOGUE + f"![gen]({URI})", "PNG"),
]  # fmt: skip


def data_body(name: str, data: Any, *images: str, source: str = "2.2 form 14", **more: Any) -> Row:
    said = Said(images=images, finish=None)
    return Row(source, name, said, body={"created": 1767225600, "model": "m", "data": data, **more}, made=True)


DATA_BODIES = [
    data_body("an address", [{"url": A}], A),
    data_body("b64_json", [{"b64_json": B64}], "PNG"),
    data_body("the other one empty", [{"url": A, "b64_json": "", "revised_prompt": ""}], A, source="1.9"),
    data_body("the address empty", [{"url": "", "b64_json": B64}], "PNG", source="1.9"),
    data_body("b64_json is a data URI", [{"b64_json": JPEG_URI}], "JPEG", source="1.9"),
    data_body("url is a data URI", [{"url": URI}], "PNG", source="5 image data"),
    data_body("three", [{"url": A}, {"url": B}, {"b64_json": B64}], A, B, "PNG"),
    data_body("object and usage", [{"url": A}], A, source="1.9", object="list"),
    data_body("without extension", [{"url": PLAIN}], PLAIN),
]


# --- tool calls (1.5, 3.3.7 to 3.3.9, 5) -----------------------------------------------------------------------------


def call(name: str = "weather", arguments: Any = '{"city":"Oslo"}', **more: Any) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


OSLO, TURIN = ("call_1", "weather", '{"city":"Oslo"}'), ("call_2", "weather", '{"city":"Turin"}')


def tools(source: str, name: str, tool_calls: Any, *calls: tuple[str, str, str], **more: Any) -> Row:
    content = more.pop("content", None)
    message = {"role": "assistant", "content": content, "tool_calls": tool_calls, **more}
    said = Said(text=content or "", calls=calls, finish="tool_calls")
    return Row(source, name, said, message=message, finish="tool_calls")


def drops(call: dict[str, Any], *names: str) -> dict[str, Any]:
    function = {name: value for name, value in call["function"].items() if name not in names}
    return {name: value for name, value in call.items() if name not in names} | {"function": function}


TOOLS = [
    tools("1.5", "one", [call()], OSLO),
    tools("1.5", "two", [call(), call(arguments='{"city":"Turin"}', id="call_2")], OSLO, TURIN),
    tools("5 content", "content empty, as Claude through new-api", [call()], OSLO, content=""),
    tools("5 content", "beside a text", [call()], OSLO, content="I will look."),
    tools("5 tool_calls", "arguments an object", [call(arguments={"city": "Oslo"})], ("call_1", "weather", '{"city": "Oslo"}')),
    tools("5 tool_calls", "arguments an empty object", [call(arguments={})], ("call_1", "weather", "{}")),
    tools("5 tool_calls", "arguments an object with CJK", [call(arguments={"城市": "奥斯陆"})],
          ("call_1", "weather", '{"城市": "奥斯陆"}')),
    tools("5 tool_calls", "arguments a list", [call(arguments=[1])], ("call_1", "weather", "[1]")),
    tools("5 tool_calls", "arguments null", [call(arguments=None)], ("call_1", "weather", "")),
    tools("5 tool_calls", "arguments missing", [drops(call(), "arguments")], ("call_1", "weather", "")),
    tools("5 tool_calls", "arguments empty", [call(arguments="")], ("call_1", "weather", "")),
    tools("5 tool_calls", "type null", [call(type=None)], OSLO),
    tools("5 tool_calls", "type empty", [call(type="")], OSLO),
    tools("5 tool_calls", "type missing", [drops(call(), "type")], OSLO),
    tools("5 tool_calls", "id empty", [call(id="")], ("", *OSLO[1:])),
    tools("5 tool_calls", "id missing", [drops(call(), "id")], ("", *OSLO[1:])),
    tools("5 tool_calls", "id null", [call(id=None)], ("", *OSLO[1:])),
    tools("5 tool_calls", "id a number", [call(id=7)], ("7", *OSLO[1:])),
    tools("5 tool_calls", "index null", [call(index=None)], OSLO),
    tools("5 tool_calls", "index there, as in a stream", [call(index=0)], OSLO),
    tools("5 tool_calls", "one object, no list", call(), OSLO),
    tools("5 tool_calls", "null among them", [call(), None], OSLO),
    tools("3.3.9", "a thought signature", [call(extra_content={"google": {"thought_signature": "AbC="}})], OSLO),
    tools("5 tool_calls", "two without ids, other names", [call(id=""), call("time", "{}", id="")],
          ("", "weather", '{"city":"Oslo"}'), ("", "time", "{}")),
    tools("5 tool_calls", "two without ids, one name", [call(id=""), call(arguments='{"city":"Turin"}', id="")],
          ("", *OSLO[1:]), ("", *TURIN[1:])),
    tools("1.5", "a text in the arguments with brackets", [call(arguments='{"q":"} {\\" ["}')], ("call_1", "weather", '{"q":"} {\\" ["}')),
    Row("5 tool_calls", "null beside a text", Said("yes"), message={"content": "yes", "tool_calls": None}),
    Row("5 tool_calls", "empty beside a text", Said("yes"), message={"content": "yes", "tool_calls": []}),
]  # fmt: skip


def delta(finish_reason: Any = None, index: Any = 0, **fields: Any) -> dict[str, Any]:
    return {"id": "c1", "model": "m", "choices": [{"index": index, "delta": fields, "finish_reason": finish_reason}]}


def piece(arguments: Any = None, **fields: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": fields.pop("name")} if "name" in fields else {})
    return delta(index=fields.pop("choice", 0), tool_calls=[fields | {"function": function}])


STOP, USED = delta("stop"), {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
CALLED = delta("tool_calls")


def flow(source: str, name: str, said: Said | Fails, *frames: Any, **more: Any) -> Row:
    return Row(source, name, said, frames=frames, **more)


def tool_flow(source: str, name: str, calls: tuple[tuple[str, str, str], ...], *frames: Any) -> Row:
    return flow(source, name, Said(calls=calls, finish="tool_calls"), *frames, CALLED)


TOOL_FLOWS = [
    tool_flow("3.3", "normal", (OSLO,), delta(role="assistant", content=None, tool_calls=[call(arguments="", index=0)]),
              piece('{"ci', index=0), piece('ty":"Oslo"}', index=0)),
    flow("3.3", "new-api's Claude: no index, type null, choice index moves", Said(calls=(("toolu_1", *OSLO[1:]),), finish="tool_use"),
         delta(tool_calls=[call(arguments="", id="toolu_1")]), piece('{"city":"Oslo"}', type=None, choice=1), delta("tool_use")),
    tool_flow("3.3.8", "two, interleaved by index", (OSLO, TURIN),
              piece("", index=0, id="call_1", name="weather"), piece("", index=1, id="call_2", name="weather"),
              piece('{"city":', index=0), piece('{"city":', index=1), piece('"Oslo"}', index=0), piece('"Turin"}', index=1)),
    tool_flow("3.3.8", "two in one frame", (OSLO, TURIN),
              delta(tool_calls=[call(index=0), call(arguments='{"city":"Turin"}', id="call_2", index=1)])),
    tool_flow("3.3.8", "index missing, two ids", (OSLO, TURIN), delta(tool_calls=[call()]),
              delta(tool_calls=[call(arguments='{"city":"Turin"}', id="call_2")])),
    tool_flow("3.3.8", "index missing, pieces follow their call", (OSLO, TURIN),
              piece("", id="call_1", name="weather"), piece('{"city":'), piece('"Oslo"}'),
              piece("", id="call_2", name="weather"), piece('{"city":"Turin"}')),
    tool_flow("3.3.8", "index null", (OSLO,), piece("", index=None, id="call_1", name="weather"), piece('{"city":"Oslo"}', index=None)),
    tool_flow("3.3.8", "id empty in later pieces", (OSLO,), piece("", index=0, id="call_1", name="weather"),
              piece('{"city":"Oslo"}', index=0, id="", type="")),
    tool_flow("3.3.8", "id repeated in every piece", (OSLO,), piece('{"city":', index=0, id="call_1", name="weather"),
              piece('"Oslo"}', index=0, id="call_1")),
    tool_flow("3.3.8", "name repeated in every piece", (OSLO,), piece('{"city":', index=0, id="call_1", name="weather"),
              piece('"Oslo"', index=0, name="weather"), piece("}", index=0, name="weather")),
    tool_flow("3.3.8", "whole call in one delta", (OSLO,), delta(tool_calls=[call(index=0)])),
    tool_flow("3.3.8", "arguments an object", (("call_1", "weather", '{"city": "Oslo"}'),),
              delta(tool_calls=[call(arguments={"city": "Oslo"}, index=0)])),
    tool_flow("3.3.8", "arguments null first", (OSLO,), piece(None, index=0, id="call_1", name="weather"), piece('{"city":"Oslo"}', index=0)),
    tool_flow("3.3.8", "an empty piece at the end", (OSLO,), delta(tool_calls=[call(index=0)]), piece("", index=0)),
    tool_flow("3.3.8", "all numbered 0, two ids", (OSLO, TURIN), delta(tool_calls=[call(index=0)]),
              delta(tool_calls=[call(arguments='{"city":"Turin"}', id="call_2", index=0)])),
    tool_flow("3.3.8", "same name, complete arguments, no ids: another call", (("", *OSLO[1:]), ("", *TURIN[1:])),
              piece('{"city":"Oslo"}', name="weather"), piece('{"city":"Turin"}', name="weather")),
    tool_flow("3.3.8", "other name, no ids: another call", (("", *OSLO[1:]), ("", "time", "{}")),
              piece('{"city":"Oslo"}', name="weather"), piece("{}", name="time")),
    tool_flow("3.3.8", "index a text", (OSLO,), piece("", index="0", id="call_1", name="weather"), piece('{"city":"Oslo"}', index="0")),
    tool_flow("3.3.8", "second index first", (TURIN, OSLO), delta(tool_calls=[call(arguments='{"city":"Turin"}', id="call_2", index=1)]),
              delta(tool_calls=[call(index=0)])),
    tool_flow("3.3.8", "a byte of arguments at a time", (OSLO,), piece("", index=0, id="call_1", name="weather"),
              *(piece(letter, index=0) for letter in '{"city":"Oslo"}')),
    tool_flow("3.3.8", "name in a later piece", (OSLO,), piece("", index=0, id="call_1"), piece('{"city":"Oslo"}', index=0, name="weather")),
    flow("3.3.8", "a text first", Said("Let me see.", calls=(OSLO,), finish="tool_calls"), delta(content="Let me see."),
         delta(tool_calls=[call(index=0)]), CALLED),
    flow("3.3.7", "text on choice 0, call on choice 1", Said("Let me see.", calls=(OSLO,), finish="tool_use"),
         delta(content="Let me see."), delta(index=1, tool_calls=[call(index=0)]), delta("tool_use", index=1)),
]  # fmt: skip


# --- reasoning (3.3.10, 5) -------------------------------------------------------------------------------------------


def thinks(source: str, name: str, thinking: str, content: Any = "4", **fields: Any) -> Row:
    return Row(source, name, Said(text=content, thinking=thinking), message={"content": content, **fields})


THOUGHTS = [
    thinks("3.3.10", "reasoning_content", "2 and 2", reasoning_content="2 and 2"),
    thinks("3.3.10", "reasoning", "2 and 2", reasoning="2 and 2"),
    thinks("3.3.10", "both, the same text", "2 and 2", reasoning_content="2 and 2", reasoning="2 and 2"),
    thinks("3.3.10", "one empty", "2 and 2", reasoning_content="", reasoning="2 and 2"),
    thinks("5 reasoning_content", "null", "", reasoning_content=None),
    thinks("5 reasoning_content", "empty", "", reasoning_content=""),
    thinks("5 reasoning_content", "an object", "", reasoning_content={"signature": "x"}),
    thinks("5 reasoning_content", "a list", "", reasoning_content=[{"text": "x"}]),
    thinks("3.3.10", "a line break for a signature", "\n", reasoning_content="\n"),
    thinks("3.3.10", "folded into the content stays content", "", "<think>\n2 and 2\n</think>\n4"),
    thinks("3.3.10", "CJK", "二加二", reasoning_content="二加二"),
    thinks("1.5", "details beside it", "2 and 2", reasoning="2 and 2", reasoning_details=[{"type": "reasoning.text"}]),
    flow("3.3.10", "pieces, then the answer", Said("4", "2 and 2"), delta(reasoning_content="2 "), delta(reasoning_content="and 2"),
         delta(content="4"), STOP),
    flow("3.3.10", "both names in each piece", Said("4", "2 and 2"), delta(reasoning="2 ", reasoning_content="2 "),
         delta(reasoning="and 2", reasoning_content="and 2"), delta(content="4"), STOP),
    flow("3.3.10", "empty on every chunk of text", Said("44"), delta(content="4", reasoning_content=""),
         delta(content="4", reasoning_content=""), STOP),
    flow("3.3.10", "nothing but reasoning", Said("", "2 and 2"), delta(reasoning_content="2 and 2"), STOP),
    flow("5 content", "thinking parts, then text", Said("4", "2"), delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "2"}]}]),
         delta(content="4"), STOP),
]  # fmt: skip


# --- usage (1.5, 3.3.3, 5) -------------------------------------------------------------------------------------------


def used(source: str, name: str, usage: Any, *counts: int | None) -> Row:
    said = Said("yes", usage=(counts[0], counts[1], counts[2]) if counts else None)
    return Row(source, name, said, message={"content": "yes"}, top={} if usage == "missing" else {"usage": usage})


USAGES = [
    used("1.5", "all three", USED, 9, 1, 10),
    used("5 usage", "missing", "missing"),
    used("5 usage", "null", None),
    used("5 usage", "all zeros", dict.fromkeys(USED, 0), 0, 0, 0),
    used("5 usage", "floats", {"prompt_tokens": 9.0, "completion_tokens": 1.0, "total_tokens": 10.0}, 9, 1, 10),
    used("5 usage", "texts", {"prompt_tokens": "9", "completion_tokens": "1", "total_tokens": "10"}, 9, 1, 10),
    used("5 usage", "texts of floats", {"prompt_tokens": "9.0", "completion_tokens": "1.0", "total_tokens": "10.0"}, 9, 1, 10),
    used("5 usage", "null counters", dict.fromkeys(USED), None, None, None),
    used("5 usage", "one counter null", {"prompt_tokens": 9, "completion_tokens": None, "total_tokens": 10}, 9, None, 10),
    used("5 usage", "no total", {"prompt_tokens": 9, "completion_tokens": 1}, 9, 1, 10),
    used("5 usage", "other names", {"input_tokens": 9, "output_tokens": 1}, 9, 1, 10),
    used("5 usage", "both names", {**USED, "input_tokens": 9, "output_tokens": 1}, 9, 1, 10),
    used("5 usage", "both names, the first zero", {**dict.fromkeys(USED, 0), "input_tokens": 9, "output_tokens": 1, "total_tokens": 10}, 9, 1, 10),
    used("5 usage details", "null", {**USED, "prompt_tokens_details": None, "completion_tokens_details": None}, 9, 1, 10),
    used("5 usage details", "empty", {**USED, "prompt_tokens_details": {}}, 9, 1, 10),
    used("5 usage details", "zeros", {**USED, "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 0}}, 9, 1, 10),
    used("5 usage details", "odd ones", {**USED, "prompt_tokens_details": {"cached_tokens": "x"}, "cost": 0.002}, 9, 1, 10),
    used("5 usage details", "a list", {**USED, "prompt_tokens_details": []}, 9, 1, 10),
    used("5 usage details", "other families", {**USED, "claude_cache_creation_5_m_tokens": 3, "prompt_cache_hit_tokens": 1}, 9, 1, 10),
    used("5 usage", "a word", "much"),
    used("5 usage", "counters that are none", {"prompt_tokens": "many", "completion_tokens": True, "total_tokens": []}, None, None, None),
    flow("3.3.3", "null per chunk, then a frame without choices", Said("yes", usage=(9, 1, 10)), {**delta(content="yes"), "usage": None},
         STOP, {"id": "c1", "choices": [], "usage": USED}),
    flow("3.3.3", "on the finish chunk", Said("yes", usage=(9, 1, 10)), delta(content="yes"), {**STOP, "usage": USED}),
    flow("3.3.3", "cumulative in every chunk", Said("yes", usage=(9, 2, 11)), {**delta(content="y"), "usage": USED},
         {**delta(content="es"), "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}, STOP),
    flow("3.3.3", "null after a count", Said("yes", usage=(9, 1, 10)), {**delta(content="yes"), "usage": USED}, {**STOP, "usage": None}),
    flow("3.3.3", "null counters", Said("yes", usage=(None, None, None)), delta(content="yes"), STOP, {"choices": [], "usage": dict.fromkeys(USED)}),
    flow("3.4", "made up by the relay, id empty", Said("yes", usage=(9, 1, 10)), delta(content="yes"), STOP,
         {"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "choices": [], "usage": USED}),
    flow("1.7", "choices null beside the usage", Said("yes", usage=(9, 1, 10)), delta(content="yes"), STOP, {"choices": None, "usage": USED}),
]  # fmt: skip


# --- why it ended (3.3.5, 5) -----------------------------------------------------------------------------------------

FINISHES = [
    *(
        Row("3.3.5", f"{word}", Said("yes", finish=word), message={"content": "yes"}, finish=word)
        for word in ("length", "content_filter", "max_tokens", "tool_use", "COMPLETE", "MAX_TOKENS", "SAFETY", "refusal", "end_turn", "完成")
    ),
    *(
        Row("5 finish_reason", f"{word!r}", Said("yes", finish=word or None), body={"choices": [{"message": {"content": "yes"}, "finish_reason": word}]})
        for word in (None, "stop")
    ),
    Row("5 finish_reason", "missing", Said("yes", finish=None), body={"choices": [{"message": {"content": "yes"}}]}),
    Row("5 finish_reason", "a number", Said("yes", finish="1"), body={"choices": [{"message": {"content": "yes"}, "finish_reason": 1}]}),
    flow("3.3.5", "empty, then [DONE]", Said("yes", finish=None), delta("", content="yes"), delta("")),
    flow("3.3.5", "missing, then [DONE]", Said("yes", finish=None), {"choices": [{"delta": {"content": "yes"}}]}),
    flow("3.3.5", "empty on all chunks, stop on the last", Said("yes"), delta("", content="yes"), STOP),
    flow("3.3.5", "on the chunk with the last text", Said("yes", finish="length"), delta(content="y"), delta("length", content="es")),
    flow("3.3.4", "twice", Said("yes"), delta("stop", content="yes"), STOP),
    flow("3.3.4", "content after it", Said("yes, and more"), delta("stop", content="yes"), delta(content=", and more")),
]  # fmt: skip


# --- odd bodies (5) --------------------------------------------------------------------------------------------------


def odd(name: str, said: Said | None = None, source: str = "5", **top: Any) -> Row:
    choices = [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]
    return Row(
        source, name, said or Said("yes"), body={"id": "c1", "created": 1, "model": "m", "choices": choices} | top
    )


def one(**choice: Any) -> list[Any]:
    return [{"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"} | choice]


def odds(name: str, *values: Any) -> list[Row]:
    of_choice = name.removeprefix("choices[].")
    return [
        odd(f"{name} {value!r}", **({name: value} if of_choice == name else {"choices": one(**{of_choice: value})}))
        for value in values
    ]


ODD = [
    *odds("id", None, "", 7, 7.5, [], {"a": 1}, True),
    *odds("created", 1.7e9, "1767225600", "1767225600.0", 0, None, "soon", 1e300, -1),
    *odds("model", None, "", 4, ["m"], "dify"),
    *odds("object", None, "", "chat.completion.chunk", "text_completion", 1),
    *odds("system_fingerprint", None, "", 3),
    *odds("error", None, {}, "", False, {"message": "success", "code": 0}),
    *odds("choices[].index", None, "0", 3, 0.0, "first"),
    *odds("choices[].logprobs", None, {}, {"content": []}, "no"),
    *odds("choices[].message", *({"role": role, "content": "yes"} for role in (None, "", "model", 1))),
    odd("a null choice first", choices=[None, *one()]),
    odd("delta in place of message", choices=[{"delta": {"content": "yes"}, "finish_reason": "stop"}]),
    odd("text in place of message", choices=[{"text": "yes", "finish_reason": "stop"}]),
    odd("message null, delta there", choices=one(message=None, delta={"content": "yes"})),
    odd("content null", Said(), choices=one(message={"content": None})),
    odd("content missing", Said(), choices=one(message={"role": "assistant"})),
    odd("content a number", Said("7"), choices=one(message={"content": 7})),
    odd("refusal", Said(), choices=one(message={"content": None, "refusal": "I may not."})),
    Row("5 key case", "Choices and Usage with a capital", Said("yes", usage=(9, 1, 10)), body={"ID": "c1", "Choices": one(), "Usage": USED}),
    odd("error says success, its code is a list", source="3.5", error={"message": "success", "code": [0]}),
    odd("extra keys", provider="p", native_finish_reason="STOP", timings={"a": 1.5}, citations=["https://h.example/"], x_groq={"id": 1}),
    odd("prompt_filter_results", source="3.3.1", prompt_filter_results=[{"prompt_index": 0}], service_tier="default"),
    odd("success true", success=True),
    odd("annotations", choices=one(message={"content": "yes", "annotations": [{"type": "url_citation"}]})),
    odd("audio", Said(), choices=one(message={"content": None, "audio": {"id": "a", "data": "AAAA", "transcript": "yes"}})),
]  # fmt: skip

_GOOD = json.dumps({"id": "c1", "choices": one(message={"content": "caf@"})}).encode()
BYTES = [
    Row("5", "BOM", Said("caf@"), body=b"\xef\xbb\xbf" + _GOOD),
    Row("5", "white space around it", Said("caf@"), body=b"\r\n \t" + _GOOD + b"\n\n"),
    Row("5", "NaN", Said("caf@"), body=_GOOD[:-1] + b', "score": NaN}'),
    Row("5", "Infinity", Said("caf@"), body=_GOOD[:-1] + b', "score": -Infinity}'),
    Row("5", "1e999", Said("caf@"), body=_GOOD[:-1] + b', "score": 1e999}'),
    Row("5", "an integer of 5000 digits", Said("caf@"), body=_GOOD[:-1] + b', "created": ' + b"9" * 5000 + b"}"),
    Row("5", "a line break in a text", Said("caf\n"), body=_GOOD.replace(b"@", b"\n")),
    Row("5", "a tab in a text", Said("caf\t"), body=_GOOD.replace(b"@", b"\t")),
    Row("5", "half a surrogate pair", Said("caf\ufffd"), body=_GOOD.replace(b"@", b"\\ud83d")),
    Row("5", "a whole surrogate pair", Said("caf😀"), body=_GOOD.replace(b"@", b"\\ud83d\\ude00")),
    Row("5", "no UTF-8", Said("caf\ufffd"), body=_GOOD.replace(b"@", b"\xe9")),
    Row("5", "NUL, escaped", Said("caf\0"), body=_GOOD.replace(b"@", b"\\u0000")),
    Row("4.1", "a second value behind it", Said("caf@"), body=_GOOD + _GOOD),
    Row("7.3", "labelled as text/plain", Said("caf@"), body=_GOOD, content_type="text/plain"),
    Row("7.3", "labelled as a stream", Said("caf@"), body=_GOOD, content_type="text/event-stream"),
    Row("7.3", "labelled as HTML", Said("caf@"), body=_GOOD, content_type="text/html; charset=gbk"),
    Row("5", "no charset of its own counts", Said("café"), body=_GOOD.replace(b"@", "é".encode()), content_type="application/json; charset=latin-1"),
]  # fmt: skip


# --- streams (3.1, 3.3, 5) -------------------------------------------------------------------------------------------

AZURE = {
    "id": "",
    "object": "",
    "created": 0,
    "model": "",
    "choices": [],
    "prompt_filter_results": [{"prompt_index": 0}],
}
YES = Said("yes")
Y, ES = delta(content="y"), delta(content="es")


def sse(*frames: Any, begin: bytes = b"data: ", end: bytes = b"\n\n") -> bytes:
    return b"".join(
        begin + (frame if isinstance(frame, bytes) else json.dumps(frame).encode()) + end for frame in frames
    )


FLOWS = [
    flow("3.3", "the normal sequence", Said("你", usage=(9, 1, 10)), delta(role="assistant", content=""), delta(content="你"), STOP,
         {"id": "c1", "choices": [], "usage": USED}),
    flow("3.3.1", "Azure's first frame", YES, AZURE, Y, ES, STOP),
    flow("3.3.2", "role in every delta", YES, delta(role="assistant", content="y"), delta(role="assistant", content="es"), STOP),
    flow("3.3.2", "role never", YES, Y, ES, STOP),
    flow("3.3.2", "role null, empty, odd", YES, delta(role=None, content="y"), delta(role="", content="e"), delta(role=1, content="s"), STOP),
    flow("3.3.6", "id, created, model change", YES, {**Y, "id": "a", "created": 1, "model": "x"}, {**ES, "id": "b", "created": 2, "model": "y"}, STOP),
    flow("3.3.6", "id empty, created 0", YES, {**Y, "id": "", "created": 0}, {**ES, "id": "", "created": 0}, STOP),
    flow("5 created", "floats and texts", YES, {**Y, "created": 1.7e9}, {**ES, "created": "1767225600"}, {**STOP, "created": None}),
    flow("5 id", "numbers and null", YES, {**Y, "id": 7}, {**ES, "id": None}, STOP),
    flow("3.3.7", "choice index moves", YES, Y, delta(index=1, content="es"), delta("stop", index=1)),
    flow("3.3.7", "index is null or text", YES, delta(index=None, content="y"), delta(index="0", content="es"), STOP),
    flow("3.3.7", "two choices asked for", YES, Y, delta(index=1, content="no"), ES, delta("stop"), delta("stop", index=1), asked={"n": 2}),
    flow("3.3.11", "white space and empty deltas as heartbeat", Said("y es"), Y, delta(content=""), delta(content=" "), ES, STOP),
    flow("3.3.11", "obfuscation", YES, {**Y, "obfuscation": "xJ3"}, {**ES, "obfuscation": "q"}, STOP),
    flow("3.3.12", "message in place of delta", YES, {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}),
    flow("3.3.12", "delta null at the end", YES, Y, ES, {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}),
    flow("3.3.12", "delta missing at the end", YES, Y, ES, {"choices": [{"index": 0, "finish_reason": "stop"}]}),
    flow("3.3.12", "text in place of delta", YES, {"choices": [{"text": "yes", "finish_reason": "stop"}]}),
    flow("3.5", "choices null after an erased frame", YES, Y, {"id": "", "choices": None, "usage": None}, ES, STOP),
    flow("3.5", "error null, empty and false", YES, {**Y, "error": None}, {**ES, "error": {}}, {**STOP, "error": False}),
    flow("3.5", "error says success", YES, {**Y, "error": {"message": "success", "code": 0}}, ES, STOP),
    flow("3.1", "empty frames", YES, b"data:\n\n", b"data: {}\n\n", b"data: null\n\n", b"data: []\n\n", Y, ES, STOP),
    flow("3.1", "comments", YES, b": PING\n\n", b": OPENROUTER PROCESSING\n\n", b":\n\n", Y, b": keep-alive\n\n", ES, STOP),
    flow("3.1", "other fields", YES, b"id: 1\nretry: 10\nevent: message\n", Y, b"x-field: 1\n", ES, STOP),
    flow("3.1", "no space after the colon", YES, sse(Y, ES, STOP, begin=b"data:")),
    flow("3.1", "CRLF", YES, sse(Y, ES, STOP, end=b"\r\n\r\n")),
    flow("3.1", "CR", YES, sse(Y, ES, STOP, end=b"\r\r")),
    flow("3.1", "BOM", YES, b"\xef\xbb\xbf", Y, ES, STOP),
    flow("3.1", "single line ends between events", YES, sse(Y, ES, STOP, end=b"\n")),
    flow("3.1", "one event over several lines", YES, b'data: {"choices":\ndata: [{"delta":\ndata: {"content": "yes"}, "finish_reason": "stop"}]}\n\n'),
    flow("3.1", "[DONE] behind spaces", YES, Y, ES, STOP, b"data:    [DONE]\n\n", done=False),
    flow("3.1", "[DONE] without line end", YES, Y, ES, STOP, b"data: [DONE]", done=False),
    flow("3.1", "no [DONE]", YES, Y, ES, STOP, done=False),
    flow("3.1", "no [DONE] and no last line end", YES, Y, ES, sse(STOP).rstrip(), done=False),
    flow("3.1", "bytes behind [DONE]", YES, Y, ES, STOP, b"data: [DONE]\n\ndata: {broken\n\n<html>", done=False),
    flow("7.1", "CJK and emoji in every cut", Said("你好🐈‍⬛"), delta(content="你"), delta(content="好🐈‍⬛"), STOP),
    flow("7.2", "a line of 600 KiB", Said("a" * 600 * 1024), delta(content="a" * 600 * 1024), STOP),
    flow("5", "half a surrogate pair in a frame", Said("y\ufffd"), Y, b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n', STOP),
    flow("5", "NaN beside the delta", YES, Y, b'data: {"choices":[{"delta":{"content":"es"}}],"x":NaN}\n\n', STOP),
    flow("5 key case", "Usage with a capital", Said("yes", usage=(9, 1, 10)), Y, ES, {**STOP, "Usage": USED}),
    flow("5", "many values in one event, a BOM before each", YES, sse(b"\xef\xbb\xbf".join([b"{}"] * 1500 + [json.dumps(each).encode() for each in (Y, ES)])), STOP),
    flow("5", "two values in one event", YES, sse(json.dumps(Y).encode() + json.dumps(ES).encode()), STOP),
    flow("2.2 form 11", "delta.images", Said(images=("PNG",)), delta(role="assistant", content=""),
         delta(images=[{"type": "image_url", "index": 0, "image_url": {"url": URI}}]), STOP, made=True),
    flow("2.2 form 12", "delta.image beside markdown", Said("![a](b)", images=("PNG",)), delta(content="![a](b)"), delta(image=[{"data": B64}]), STOP),
    flow("2.2 form 10", "delta.image once", Said(images=("JPEG",)), delta(image={"url": JPEG_URI}), STOP),
    flow("2.2 form 13", "parts in deltas", Said("Here.", images=(A,)), delta(content=[{"type": "text", "text": "Here."}]),
         delta(content=[{"type": "image_url", "image_url": {"url": A}}]), STOP),
    flow("2.2 form 11", "several frames", Said(images=("PNG", "JPEG")), delta(images=[{"image_url": {"url": URI}}]),
         delta(images=[{"image_url": {"url": JPEG_URI}}]), STOP),
    flow("2.3 rule 12", "a data URI in one delta", Said(f"![image]({URI})", images=("PNG",)), delta(content=f"![image]({URI})"), STOP),
    flow("2.3 rule 2", "progress in deltas", Said(TRANSCRIPT, images=(TWIN,)), *(delta(content=part) for part in TRANSCRIPT.split("..")[:1]),
         *(delta(content=f"..{part}") for part in TRANSCRIPT.split("..")[1:]), STOP, made=True),
    flow("1.6", "sound", Said(), delta(audio={"id": "a", "data": "AAAA"}), delta(audio={"data": "BBBB", "transcript": "y"}), STOP),
    flow("1.5", "refusal in pieces", Said(), delta(refusal="I may "), delta(refusal="not."), STOP),
]  # fmt: skip


# --- errors in disguise (3.4, 3.5, 4) --------------------------------------------------------------------------------


def disguised(name: str, body: Any, cls: type[APIError], code: str | None = None, words: str = "", **more: Any) -> Row:
    source = more.pop("source", "4.1")
    return Row(source, name, Fails(cls, code, words), body=body, **more)


def envelope(code: Any = None, message: str = "no", type: str = "new_api_error") -> dict[str, Any]:  # noqa: A002  (the wire's own name)
    return {"error": {"message": message, "type": type, "param": "", "code": code}}


HTML = b"<!doctype html><html><head><title>%b</title></head><body></body></html>"

ERRORS = [
    *(
        disguised(f"200 with {code}", envelope(code), cls, code, source="4.2, 4.3")
        for code, cls in (
            ("insufficient_user_quota", InsufficientQuotaError),
            ("pre_consume_token_quota_failed", InsufficientQuotaError),
            ("insufficient_quota", InsufficientQuotaError),
            ("rate_limit_exceeded", RateLimitError),
            ("model_not_found", NotFoundError),
            ("invalid_api_key", AuthenticationError),
            ("context_length_exceeded", ContextLengthError),
            ("content_policy_violation", ContentPolicyError),
            ("content_filter", ContentPolicyError),
            ("sensitive_words_detected", ContentPolicyError),
            ("prompt_blocked", ContentPolicyError),
            ("channel:no_available_key", InternalServerError),
            ("bad_response_status_code", APIStatusError),
            ("empty_response", APIStatusError),
        )
    ),
    disguised("a whole-number code", envelope(500, "No candidates returned"), InternalServerError, "500", "No candidates", source="4.2"),
    disguised("a code in digits", envelope("429"), RateLimitError, "429"),
    disguised("a float code", envelope(503.0), InternalServerError, "503.0"),
    disguised("a code that is true", envelope(code=True), APIStatusError, None, source="7.7"),
    disguised("upstream_error", envelope(None, "bad response", "upstream_error"), InternalServerError, source="4.1"),
    disguised("one-api's answer to JSON for a stream", envelope("bad_response_status_code", "bad response status code 200", "upstream_error"),
              InternalServerError, "bad_response_status_code", source="3.4"),
    disguised("the account is empty, in words", envelope(None, "用户额度不足, 剩余额度: ＄0.0"), InsufficientQuotaError, source="4.3"),
    disguised("the group is full, in words", envelope(None, "当前分组上游负载已饱和，请稍后再试"), RateLimitError, source="4.3"),
    disguised("error is a text", {"error": "upstream gave up"}, APIStatusError, None, "upstream gave up"),
    disguised("success false", {"success": False, "message": "无权进行此操作"}, APIStatusError, None, "无权进行此操作"),
    disguised("success false without words", {"success": False}, APIStatusError),
    disguised("detail is a text", {"detail": "Not authenticated"}, APIStatusError, None, "Not authenticated"),
    disguised("detail is a list", {"detail": [{"loc": ["body"], "msg": "bad", "type": "value_error"}]}, APIStatusError, None, "bad"),
    disguised("type is a list", {"error": {"message": "no", "type": ["server_error"]}}, APIStatusError),
    disguised("code is an object", {"error": {"message": "no", "code": {"a": 1}}}, APIStatusError),
    disguised("message is an object", {"error": {"message": {"reason": "gave up"}}}, APIStatusError, None, "gave up"),
    disguised("code and msg", {"code": 10013, "msg": "balance too low"}, APIStatusError, "10013", "balance too low"),
    disguised("message alone", {"message": "no such thing"}, APIStatusError, None, "no such thing"),
    disguised("errors", {"errors": ["first", "second"]}, APIStatusError, None, "first"),
    disguised("description", {"type": "upstream_error", "description": "no", "code": 30}, InternalServerError, "30", source="4.1"),
    disguised("Claude's", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, InternalServerError, None, "Overloaded"),
    disguised("vLLM's", {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}, BadRequestError, "400"),
    disguised("header.message", {"header": {"code": 3, "message": "inner"}}, APIStatusError, None, "inner", source="3.5"),
    disguised("response.error.message", {"response": {"error": {"message": "inner"}}}, APIStatusError, None, "inner", source="3.5"),
    disguised("two objects", json.dumps(envelope("rate_limit_exceeded")).encode() * 2, RateLimitError, "rate_limit_exceeded"),
    disguised("two objects under 429", json.dumps(envelope(None)).encode() * 2, RateLimitError, status=429),
    disguised("an empty 429", b"", RateLimitError, status=429),
    disguised("an empty 500", b"", InternalServerError, status=500),
    disguised("a JSON error labelled as a stream", envelope("x"), InternalServerError, "x", source="3.5", status=500, content_type="text/event-stream"),
    disguised("403 that means empty", envelope("insufficient_user_quota"), InsufficientQuotaError, "insufficient_user_quota", source="4.3", status=403),
    disguised("401 that means empty", envelope(None, "该令牌额度已用尽"), InsufficientQuotaError, source="4.3", status=401),
    disguised("403 for the model", envelope(None, "该令牌无权访问模型 m"), PermissionDeniedError, source="4.3", status=403),
    disguised("503 without a channel", envelope("model_not_found"), NotFoundError, "model_not_found", source="4.3", status=503),
    disguised("500 remapped from 400", envelope("context_length_exceeded"), ContextLengthError, "context_length_exceeded", source="4.3", status=500),
    disguised("the panel's page", HTML % b"New API", UnexpectedResponseError, None, "/v1", source="3.4", content_type="text/html"),
    disguised("504 of nginx", HTML % b"504 Gateway Time-out", InternalServerError, None, "504 Gateway Time-out", source="4.4", status=504),
    disguised("524 of Cloudflare", HTML % b"Error code 524", InternalServerError, None, "524", source="4.4", status=524),
    disguised("403 of Cloudflare", HTML % b"Just a moment...", PermissionDeniedError, None, "Just a moment", source="4.4", status=403),
    disguised("plain text", b"upstream connect error", UnexpectedResponseError, None, "upstream connect error", source="4.1"),
    disguised("empty", b"", UnexpectedResponseError, None, "", source="4.1"),
    disguised("white space", b" \r\n\n", UnexpectedResponseError, None, "", source="4.1"),
    *(disguised(name, body, UnexpectedResponseError, source="5 choices") for name, body in (
        ("null", b"null"), ("a list", b"[1]"), ("a text", b'"yes"'), ("a number", b"7"), ("broken", b'{"choices": ['),
        ("no choices", {"id": "c1", "object": "chat.completion"}), ("choices null", {"id": "c1", "choices": None}),
        ("choices empty", {"id": "c1", "choices": []}), ("choices a text", {"id": "c1", "choices": "yes"}),
        ("data empty", {"created": 1, "data": []}), ("choices of nothing", {"id": "c1", "choices": [None, 1]}),
    )),
]  # fmt: skip


def fails(name: str, cls: type[APIError], code: str | None, partial: str | None, *frames: Any, **more: Any) -> Row:
    source = more.pop("source", "3.5")
    return flow(source, name, Fails(cls, code, more.pop("words", ""), partial), *frames, **more)


BROKEN = [
    fails("first frame", InternalServerError, "500", None, envelope(500, type="server_error")),
    fails("in the middle", InternalServerError, "500", "y", Y, envelope(500, type="server_error"), ES, STOP),
    fails("with choices and finish_reason error", InternalServerError, "502", "y", Y,
          {**delta("error", content=""), "error": {"code": 502, "message": "provider failed"}}),
    fails("vLLM's", BadRequestError, "400", "y", Y, {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}),
    fails("event: error", InternalServerError, None, "y", Y, b'event: error\ndata: {"type":"overloaded_error","message":"busy"}\n\n', words="busy"),
    fails("event: error in an envelope", RateLimitError, "rate_limit_exceeded", "y", Y,
          b"event: error\n" + sse(envelope("rate_limit_exceeded"))),
    fails("event: error, plain text", APIStatusError, None, "y", Y, b"event: error\ndata: gave up\n\n", words="gave up"),
    fails("a text", APIStatusError, None, "y", Y, {"error": "gave up"}, words="gave up"),
    fails("message alone", APIStatusError, None, "y", Y, {"message": "gave up"}, words="gave up"),
    fails("code and msg", APIStatusError, "10013", "y", Y, {"code": 10013, "msg": "gave up"}, words="gave up"),
    fails("success false", APIStatusError, None, "y", Y, {"success": False, "message": "gave up"}, words="gave up"),
    fails("bare, after pings", InternalServerError, "500", None, b": PING\n\n", json.dumps(envelope(500)).encode(), done=False),
    fails("bare, after text", InternalServerError, "500", "y", Y, json.dumps(envelope(500)).encode() + b"\n", done=False),
    fails("bare HTML, after text", UnexpectedResponseError, None, "y", Y, HTML % b"502", b"\n\n", done=False),
    fails("broken JSON", UnexpectedResponseError, None, "y", Y, b'data: {"choices":[{"del\n\n', ES, STOP, source="5"),
    fails("plain text", UnexpectedResponseError, None, "y", Y, b"data: hiccup\n\n", ES, STOP, words="hiccup", source="5"),
    fails("nothing but [DONE]", IncompleteStreamError, None, None, source="3.4"),
    fails("nothing but a usage", IncompleteStreamError, None, "", {"id": "", "created": 0, "choices": [], "usage": USED}, source="3.4"),
    fails("nothing at all", IncompleteStreamError, None, None, done=False, unasked=False, source="3.5"),
    fails("comments alone", IncompleteStreamError, None, None, b": PING\n\n" * 3, done=False, source="3.1"),
    fails("an erased frame alone", IncompleteStreamError, None, "", {"id": "", "choices": None, "usage": None}, source="3.5"),
    fails("a clean end in the middle", IncompleteStreamError, None, "yes", Y, ES, done=False, source="3.1"),
    fails("one of two choices unfinished", IncompleteStreamError, None, "yes", delta("stop", content="yes"), delta(index=1, content="no"),
          done=False, asked={"n": 2}, source="3.1"),
    fails("the end within an event", IncompleteStreamError, None, "y", Y, b'data: {"choices":[{"del', done=False, source="3.1"),
]  # fmt: skip

# --- errors of relays and vendors, and what is no error (issue 10, kinds A, J, K, L, N) -------------------------------

OWN = {"code": 429, "message": "Provider returned error", "metadata": {"raw": "Too Many Requests"}}
SAYING_NO = [
    disguised("minimax, an empty account", {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None},
              InsufficientQuotaError, "1008", "top it up", source="N MiniMax"),
    disguised("minimax, what it says", {"base_resp": {"status_code": 1027, "status_msg": "m"}, "choices": []}, ContentPolicyError, "1027", source="N MiniMax"),
    disguised("moonshot, an empty account", {"error": {"type": "exceeded_current_quota_error", "message": "m"}}, InsufficientQuotaError, status=429, source="N Moonshot"),
    disguised("zhipu, an empty account", {"error": {"code": "1113", "message": "m"}}, InsufficientQuotaError, "1113", status=429, source="N Zhipu"),
    disguised("dashscope, overdue", {"code": "Arrearage", "message": "m", "request_id": "r"}, InsufficientQuotaError, "Arrearage", status=400, source="N DashScope"),
    disguised("siliconflow", {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}, InsufficientQuotaError, "30001", status=403, source="N SiliconFlow"),
    disguised("ark, what it shows", {"error": {"code": "InputImageSensitiveContentDetected", "message": "m"}}, ContentPolicyError, "InputImageSensitiveContentDetected", status=400, source="N Volcengine"),
    *(disguised(f"a list under {status}", [{"error": {"code": status, "message": "m", "status": "X"}}], cls, str(status), "m", source="L PromptFuzz#42", status=status)
      for status, cls in ((400, BadRequestError), (429, RateLimitError))),
    disguised("a list", [{"error": {"code": 429, "message": "m", "status": "X"}}], RateLimitError, "429", "m", source="L PromptFuzz#42"),
    disguised("an order that was taken on", {"task_id": "t9", "status": "submitted", "message": "任务已提交"}, UnexpectedResponseError, None, "任务已提交", source="A new-api"),
    disguised("midjourney's order", {"code": 1, "description": "提交成功", "result": "132"}, UnexpectedResponseError, "1", "提交成功", source="A midjourney-proxy"),
    disguised("in a choice, whole", {"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": OWN}]}, RateLimitError, "429", "Provider", source="J genkit PR 6079"),
    fails("in a choice", RateLimitError, "429", "y", Y, {**delta("error", content=""), "choices": [{"delta": {"content": ""}, "finish_reason": "error", "error": OWN}]}, source="J genkit PR 6079"),
    fails("in a choice without a reason", RateLimitError, "429", "y", Y, {"choices": [{"delta": {"content": ""}, "finish_reason": None, "error": OWN}]}, source="J openrouter"),
    fails("in a choice beside text that goes on", RateLimitError, "429", "yes", Y, {"choices": [{"delta": {"content": "es"}, "finish_reason": None, "error": OWN}]}, STOP, source="J openrouter"),
    fails("in a choice beside text", RateLimitError, "429", "yes", Y, {"choices": [{"delta": {"content": "es"}, "finish_reason": "error", "error": OWN}]}, source="J openrouter"),
    fails("in a list", RateLimitError, "429", "y", Y, [{"error": OWN}], source="L PromptFuzz#42"),
    fails("base_resp", InsufficientQuotaError, "1008", "y", Y, {"base_resp": {"status_code": 1008, "status_msg": "m"}}, source="N MiniMax"),
    flow("A janhq/jan#8280", "events of another kind", YES, b'event: status\ndata: {"message":"searching"}\n\n', Y,
         b'event: tool\ndata: {"msg":"found","detail":"3 pages"}\n\n', {"type": "progress", "message": "half"}, ES, STOP),
]  # fmt: skip

# --- what real relays send: public bug reports ------------------------------------------------------------------------

LOOK = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
SEVERAL = [
    {"index": 0, "message": {"role": "assistant", "content": "I look."}, "finish_reason": "tool_calls"},
    {"index": 1, "message": {"role": "assistant", "tool_calls": [LOOK]}, "finish_reason": "tool_calls"},
]
REPORTS = [
    Row("zeroclaw PR 2136", "text in one choice, calls in the next", Said("I look.", calls=(OSLO,), finish="tool_calls"), body={"choices": SEVERAL}),
    flow("nanobot PR 1555", "text in one choice, calls in the next, streamed", Said("I look.", calls=(OSLO,), finish="tool_calls"),
         {"choices": [{**choice, "delta": choice["message"], "message": None} for choice in SEVERAL]}),
    tool_flow("continue PR 5849", "a name in pieces", (("call_1", "weather_today", "{}"),),
              piece("", index=0, id="call_1", name="weather_"), piece("{}", index=0, name="today")),
    tool_flow("opencodex#361", "the arguments again at the end", (OSLO,), piece('{"city":', index=0, id="call_1", name="weather"),
              piece('"Oslo"}', index=0), piece('{"city":"Oslo"}', index=0)),
    tools("opencodex#361", "the arguments twice", [call(arguments='{"city":"Oslo"}{"city":"Oslo"}')], OSLO),
    Row("pi#2017", "usage in the choice", Said("yes", usage=(9, 1, 10)), body={"choices": one(usage=USED)}),
    flow("pi#2017", "usage in the last choice", Said("yes", usage=(9, 1, 10)), Y, ES, {"choices": [{"delta": {}, "finish_reason": "stop", "usage": USED}]}),
    flow("litellm#1571", "usage emptied", Said("yes", usage=(9, 1, 10)), Y, {**ES, "usage": USED}, {**STOP, "usage": {}}),
    Row("Groq", "x_groq.usage", Said("yes", usage=(9, 1, 10)), body={"choices": one(), "x_groq": {"id": "r", "usage": USED}}),
    flow("Groq", "x_groq.usage on the last chunk", Said("yes", usage=(9, 1, 10)), {**Y, "x_groq": {"id": "r"}}, ES, {**STOP, "x_groq": {"id": "r", "usage": USED}}),
    thinks("laravel/ai PR 813", "reasoning_details alone", "2 and 2", reasoning_details=[{"type": "reasoning.text", "text": "2 and "}, {"text": "2"}]),
    thinks("copilot-api PR 152", "reasoning_text", "2 and 2", reasoning_text="2 and 2"),
    Row("copilot-api PR 152", "thinking", Said("4", "2 and 2"), message={"content": "4", "thinking": "2 and 2"}),
    flow("copilot-api PR 152", "reasoning_text in pieces", Said("4", "2 and 2"), delta(content="", reasoning_text="2 and "),
         delta(reasoning_text="2"), delta(content="4"), STOP),
    flow("the last chunk", "repeats the whole as a message", YES, Y, ES, {"choices": [{"delta": {}, "message": {"content": "yes"}, "finish_reason": "stop"}]}),
    flow("SSE servers", "[DONE] glued to the last chunk", YES, Y, ES, b"data: " + json.dumps(STOP).encode() + b"data: [DONE]\n\n", done=False),
    flow("SSE servers", "[DONE] in quotes", YES, Y, ES, STOP, b'data: "[DONE]"\n\n', done=False),
    flow("SSE servers", "[DONE] bare", YES, Y, ES, STOP, b"[DONE]\n\n", done=False),
    flow("SSE servers", "junk behind the reason", YES, Y, ES, STOP, b"data: bye\n\n", b"<html></html>\n\n"),
    *(fails(f"the reason is {word!r}, then a cut", IncompleteStreamError, None, "yes", Y, delta(word, content="es"), done=False, source="DashScope")
      for word in ("null", "", "None", "undefined")),
    *(fails(f"a delta of {kind}", UnexpectedResponseError, None, "y", Y, {"choices": [{"delta": odd}]}, STOP, source="deltas that are no text")
      for kind, odd in (("text", "es"), ("list", ["es"]), ("an object as content", {"content": {"a": "es"}}), ("true", {"content": True}))),
    *(disguised(f"a message of {kind}", {"choices": one(message=odd)}, UnexpectedResponseError, source="messages without text")
      for kind, odd in (("text", "yes"), ("list", ["yes"]), ("a number", 7), ("true as content", {"content": True}),
                        ("an object as content", {"content": {"a": "yes"}}), ("numbers in parts", {"content": [{"type": "text", "text": 7}]}))),
]  # fmt: skip


def lines(
    source: str, name: str, said: Said | Fails, *frames: Any, kind: str = "application/x-ndjson", **more: Any
) -> Row:
    body = b"".join(json.dumps(frame).encode() + b"\n" for frame in frames)
    return Row(source, name, said, body=more.pop("body", body), content_type=kind)


CUT = Fails(IncompleteStreamError, partial="yes")
LINES = [
    lines(
        "langchainjs PR 3241",
        "lines of JSON",
        Said("yes", usage=(9, 1, 10)),
        Y,
        ES,
        STOP,
        {"choices": [], "usage": USED},
    ),
    lines("langchainjs PR 3241", "lines of JSON that call themselves JSON", YES, Y, ES, STOP, kind="application/json"),
    lines(
        "langchainjs PR 3241", "lines of JSON that call themselves a stream", YES, Y, ES, STOP, kind="text/event-stream"
    ),
    lines("langchainjs PR 3241", "lines of JSON without a reason", CUT, Y, ES),
    lines(
        "langchainjs PR 3241",
        "an error among lines of JSON",
        Fails(InternalServerError, "500", partial="y"),
        Y,
        envelope(500),
        ES,
        STOP,
    ),
    lines(
        "chatbot-ui PR 1378",
        "chunks run together",
        YES,
        body=json.dumps(Y).encode() + json.dumps(ES).encode() + json.dumps(STOP).encode(),
    ),
    lines("chatbot-ui PR 1378", "an array of chunks", YES, body=json.dumps([Y, ES, STOP]).encode()),
    lines("chatbot-ui PR 1378", "an array of chunks that is cut", CUT, body=json.dumps([Y, ES, STOP]).encode()[:-60]),
    lines("chatbot-ui PR 1378", "a lone chunk", CUT, delta(content="yes")),
    lines("chatbot-ui PR 1378", "a lone chunk with the word null", CUT, delta("null", content="yes")),
]

ROWS = [
    *REPORTS,
    *LINES,
    *PICTURES,
    *DATA_BODIES,
    *TOOLS,
    *TOOL_FLOWS,
    *THOUGHTS,
    *USAGES,
    *FINISHES,
    *ODD,
    *BYTES,
    *FLOWS,
    *ERRORS,
    *BROKEN,
    *SAYING_NO,
]


# --- the tests -------------------------------------------------------------------------------------------------------


def named(row: Row) -> str:
    return f"{row.source}: {row.name}"


@pytest.fixture
async def asker(server: Server) -> AsyncIterator[TutuClient]:
    async with TutuClient(KEY, server.base_url, max_retries=0) as client:
        yield client


def as_body(row: Row) -> bytes:
    """The row's body, or its message as one."""
    if row.message is not None:
        choice = {"index": 0, "message": row.message, "logprobs": None, "finish_reason": row.finish}
        return json.dumps({"id": "c1", "created": 1, "model": "m", "choices": [choice], **row.top}).encode()
    return row.body if isinstance(row.body, bytes) else json.dumps(row.body).encode()


def as_frames(row: Row, dice: random.Random) -> list[Any]:
    """The row's frames, or its message as a stream: its texts in pieces, all else in one delta."""
    if row.frames is not None:
        return list(row.frames)
    message = dict(row.message or {})
    texts = [name for name in ("reasoning_content", "reasoning", "content") if isinstance(message.get(name), str)]
    deltas: list[dict[str, Any]] = [
        {name: piece} for name in texts for piece in in_pieces(str(message.pop(name)), dice)
    ]
    frames = [chunk("", role="assistant"), chunk(**message), *(chunk(**delta) for delta in deltas)]
    frames.append(chunk(finish_reason=row.finish))
    if row.top.get("usage") is not None:
        frames.append({**chunk(), "choices": [], "usage": row.top["usage"]})
    return frames


def in_pieces(text: str, dice: random.Random) -> Iterator[str]:
    at = 0
    while at < len(text):
        size = dice.choice((1, 2, 5, 30))
        yield text[at : at + size]
        at += size


def random_cuts(dice: random.Random) -> Any:
    return dice.choice(
        (
            [dice.randrange(1, 60) for _ in range(200)] + [10_000],
            [dice.randrange(1, 9) for _ in range(400)] + [50_000],
            None,
        )
    )


async def ask(client: TutuClient, row: Row, *, stream: bool) -> ChatCompletion:
    fields: dict[str, Any] = {"model": "gpt-4o-image" if row.made else "gpt-4o", "messages": [user("hi")], **row.asked}
    if not stream:
        whole: ChatCompletion = await client.chat.completions.create(**fields)
        return whole
    async with client.chat.completions.stream(**fields) as answer:
        text = "".join([piece async for piece in answer.text()])
        completion = await answer.completion()
    if not row.asked:
        assert text == completion.text
    return completion


async def check(client: TutuClient, row: Row, *, stream: bool, frames: bool) -> None:
    if isinstance(row.said, Fails):
        with pytest.raises(row.said.cls) as caught:
            await ask(client, row, stream=stream)
        error = caught.value
        assert type(error) is row.said.cls
        assert error.code == row.said.code
        assert row.said.words in error.message
        assert error.attempts == 1
        if frames or row.said.partial:
            assert (error.partial.text if error.partial else "") == (row.said.partial or "")
        return
    answer = await ask(client, row, stream=stream)
    message, usage = answer.message, answer.usage
    calls = tuple((call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ())
    counts = None if usage is None else (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    images = tuple([await describe(image) for image in answer.images])
    assert Said(answer.text, message.thinking, calls, counts, images, answer.finish_reason) == row.said
    assert all(call.type == "function" for call in message.tool_calls or ())
    for each in (answer, message, usage, *(message.tool_calls or ())):
        assert each is None or isinstance(each.extra, dict)


async def describe(image: Any) -> str:
    if image.url is None:
        return NAMES.get(await image.read(), "another picture")
    return f"{image.url} + {image.download_url}" if image.download_url else str(image.url)


WHOLE = [row for row in ROWS if row.frames is None]
STREAMED = [row for row in ROWS if row.frames is not None or row.message is not None]


def test_the_table_is_as_large_as_promised() -> None:
    assert len(ROWS) >= 200
    assert len({named(row) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "JSON for a stream"])
@pytest.mark.parametrize("row", WHOLE, ids=named)
async def test_a_whole_answer_is_read_as_a_person_would(
    server: Server, asker: TutuClient, row: Row, stream: bool
) -> None:
    server.answers(raw(row.status, as_body(row), {"Content-Type": row.content_type}))
    await check(asker, row, stream=stream, frames=False)


# Where JSON was asked for, a stream of nothing is an empty body: such rows are for streams only.
ASKED_AND_UNASKED = [
    pytest.param(row, stream, id=f"{named(row)}-{'streamed' if stream else 'a stream unasked'}")
    for row in STREAMED
    for stream in (True, False)
    if stream or row.unasked
]


@pytest.mark.parametrize(("row", "stream"), ASKED_AND_UNASKED)
async def test_a_stream_is_read_as_a_person_would(server: Server, asker: TutuClient, row: Row, stream: bool) -> None:
    dice = random.Random(named(row))
    for _ in range(2):
        server.answers(streams(as_frames(row, dice), chunk_sizes=random_cuts(dice), done=row.done))
        await check(asker, row, stream=stream, frames=True)
