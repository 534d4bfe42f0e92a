"""Messages of a request: invalid ones are named with their place, shorthands are expanded, the rest is unchanged."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import io
import json
import re
import warnings
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import pydantic
import pytest
from PIL import Image as Pillow

from tests.wire.bodies import CALL, OK, completion
from tutuclient import RequestWarning, wire
from tutuclient.errors import ConfigError
from tutuclient.media.parts import (
    AudioPart,
    ImagePart,
    ImageURL,
    Message,
    TextPart,
    assistant,
    audio,
    file,
    image,
    user,
)
from tutuclient.media.upload import Upload
from tutuclient.types.chat import ChatCompletion, ChatMessage, Usage
from tutuclient.wire.messages import is_row

if TYPE_CHECKING:
    from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 100
ANSWER = wire.read_completion(completion(), OK)


async def written(messages: Any) -> Any:
    body = wire.encode({"messages": wire.prepared_messages(messages)})
    await body.open()
    return json.loads(b"".join([piece async for piece in body.pieces()]))["messages"]


def asked(content: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "s"}, {"role": "user", "content": content} | more]


def part(number: int, value: Any) -> list[dict[str, Any]]:
    return asked([{"type": "text", "text": "t"}] * number + [value])


class Dumped(pydantic.BaseModel):
    role: str = "user"
    content: str | None = None
    name: str | None = None


@dataclasses.dataclass
class Said:
    role: str
    content: Any


class Own(msgspec.Struct):
    role: str
    content: str


class Role(enum.StrEnum):
    USER = "user"


class Waiting:
    """What an ``await`` was forgotten before."""

    def __await__(self) -> Iterator[Any]:
        yield


AT = "messages[1].content[1].image_url.url"


def seen_at(url: str) -> list[Any]:
    """Write messages with an address of a picture."""
    return part(1, {"type": "image_url", "image_url": {"url": url}})


# Each row: what was given, the place that is named, what is quoted of it, what to write.
NONSENSE: dict[str, tuple[Any, str, str, str]] = {
    "bytes as content": (asked(PNG), "messages[1].content", "108 bytes of image/png", "image("),
    "text as bytes": (asked(b"hello"), "messages[1].content", "5 bytes", ".decode()"),
    "a bytearray": (asked(bytearray(b"hello")), "messages[1].content", "5 bytes", "image("),
    "a view": (asked(memoryview(b"hello")), "messages[1].content", "5 bytes", "image("),
    "a path": (asked(Path("cat.png")), "messages[1].content", "the path 'cat.png'", "image("),
    "a file": (asked(io.BytesIO(PNG)), "messages[1].content", "a BytesIO", "image("),
    "a Pillow image": (asked(Pillow.new("RGB", (1, 1))), "messages[1].content", "an Image", "image("),
    "an upload": (asked(Upload(PNG)), "messages[1].content", "an Upload", "image("),
    "a number": (asked(5), "messages[1].content", "is 5", "write text"),
    "true": (asked(True), "messages[1].content", "is True", "write text"),
    "an object": (asked(object()), "messages[1].content", "an object", "write text"),
    "an array": (asked(np.array([0.5])), "messages[1].content", "a ndarray", "write text"),
    "a number of numpy": (asked(np.array(1)), "messages[1].content", "a ndarray", "write text"),
    "a type of numpy's": (part(1, {"type": np.void(b"x")}), "messages[1].content[1].type", "void", '"text"'),
    "a class": (asked(TextPart), "messages[1].content", "the class TextPart", "write text"),
    "a message as content": (asked(user("hi")), "messages[1].content", "is a message", "messages itself"),
    "a dict as content": (asked({"text": "hi"}), "messages[1].content", "it has text", '"type": "text"'),
    "an empty list": (asked([]), "messages[1].content", "an empty list", '"content"'),
    "an empty tuple": (asked(()), "messages[1].content", "an empty list", '"content"'),
    "no parts": ([user()], "messages[0].content", "an empty list", '"content"'),
    "None": (asked(None), "messages[1].content", "None", '"content"'),
    "no content": ([{"role": "user"}], "messages[0].content", "is missing", '"content"'),
    "no content of a struct": ([Message("system")], "messages[0].content", "None", '"content"'),
    "text": (["hi"], "messages[0]", "text, 'hi'", 'user("'),
    "long text": (["x" * 500], "messages[0]", "x'…", 'user("'),
    "text among messages": ([user("a"), "hi"], "messages[1]", "'hi'", '"role"'),
    "a struct's part": ([user("a"), image("https://h/a.png")], "messages[1]", "ImagePart", "user(part)"),
    "a dict's part": ([{"type": "text", "text": "hi"}], "messages[0]", "type 'text'", "content"),
    "bytes": ([b"hi"], "messages[0]", "2 bytes", '"role"'),
    "nothing": ([None], "messages[0]", "None", '"role"'),
    "a list": ([[user("hi")]], "messages[0]", "a list", "one list"),
    "a whole answer": ([user("a"), ANSWER], "messages[1]", "a ChatCompletion", "answer.message"),
    "a choice": ([user("a"), ANSWER.choices[0]], "messages[1]", "a ChatChoice", "answer.message"),
    "no role": ([{"content": "hi"}], "messages[0]", "it has content", '"role": "user"'),
    "nothing in it": ([{}], "messages[0]", "no role", '"role": "user"'),
    "a role of None": ([{"role": None, "content": "hi"}], "messages[0]", "no role", '"role": "user"'),
    "an empty role": ([{"role": " ", "content": "hi"}], "messages[0].role", "' '", '"user"'),
    "a role that is a number": ([{"role": 5, "content": "hi"}], "messages[0].role", "is 5", '"user"'),
    "a result without its call": ([{"role": "tool", "content": "1"}], "messages[0].tool_call_id", "missing", "call.id"),
    "a result of nothing": (
        [{"role": "tool", "tool_call_id": "c", "content": None}],
        "messages[0].content",
        "None",
        '"content"',
    ),
    "bytes as a part": (part(1, PNG), "messages[1].content[1]", "108 bytes of image/png", "image("),
    "a path as a part": (part(2, Path("a/cat.png")), "messages[1].content[2]", "the path 'a/cat.png'", "image("),
    "a file as a part": (part(0, io.BytesIO(PNG)), "messages[1].content[0]", "a BytesIO", "image("),
    "a number as a part": (part(1, 0.5), "messages[1].content[1]", "is 0.5", "text"),
    "None as a part": (part(1, None), "messages[1].content[1]", "None", "text"),
    "a list as a part": (part(1, ["a"]), "messages[1].content[1]", "a list", "one list"),
    "a message as a part": (part(1, user("hi")), "messages[1].content[1]", "a Message", "messages itself"),
    "a dict's message as a part": (
        part(1, {"role": "user", "content": "hi"}),
        "messages[1].content[1]",
        "a message",
        "messages itself",
    ),
    "a part without a type": (part(1, {"text": "hi"}), "messages[1].content[1]", "it has text", '{"type": "text"'),
    "an image without a type": (
        part(1, {"image_url": {"url": "https://h/a.png"}}),
        "messages[1].content[1]",
        "it has image_url",
        '"type": "image_url"',
    ),
    "an empty part": (part(1, {}), "messages[1].content[1]", "nothing in it", '"type"'),
    "a type of None": (part(1, {"type": 5}), "messages[1].content[1].type", "is 5", '"text"'),
    "a number as text": (part(1, {"type": "text", "text": 5}), "messages[1].content[1].text", "is 5", '"text": "…"'),
    "text that is missing": (part(0, {"type": "text", "txt": "a"}), "messages[1].content[0]", "no 'text'", '"text"'),
    "a struct's text": (part(1, TextPart(b"x")), "messages[1].content[1].text", "1 bytes", "a str"),  # type: ignore[arg-type]  # the point of it
    "no image": (part(1, {"type": "image_url"}), "messages[1].content[1]", "no 'image_url'", "image("),
    "an image of None": (
        part(1, {"type": "image_url", "image_url": None}),
        "messages[1].content[1].image_url",
        "None",
        "image(",
    ),
    "an address missing": (
        part(1, {"type": "image_url", "image_url": {"detail": "low"}}),
        "messages[1].content[1].image_url",
        "no 'url'",
        "image(",
    ),
    "no address": (
        part(1, {"type": "image_url", "image_url": {"url": 5}}),
        "messages[1].content[1].image_url.url",
        "is 5",
        "image(",
    ),
    "an address of a struct": (
        part(1, ImagePart(ImageURL(None))),
        "messages[1].content[1].image_url.url",
        "None",
        "image(",
    ),
    "an empty address": (
        part(1, {"type": "image_url", "image_url": {"url": " "}}),
        "messages[1].content[1].image_url.url",
        "' '",
        "image(",
    ),
    "a path as an address": (
        part(1, {"type": "image_url", "image_url": {"url": "~/my cat.JPG"}}),
        "messages[1].content[1].image_url.url",
        "'~/my cat.JPG'",
        "image(",
    ),
    "a path as an image": (
        part(1, {"type": "image_url", "image_url": "cat.png"}),
        "messages[1].content[1].image_url",
        "'cat.png'",
        "image(",
    ),
    "a detail misspelt": (
        part(1, {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "hihg"}}),
        "messages[1].content[1].image_url.detail",
        "'hihg'",
        "did you mean 'high'",
    ),
    "a detail of a struct": (
        part(1, image("https://h/a.png", detail="Low")),  # type: ignore[arg-type]  # the point of it
        "messages[1].content[1].image_url.detail",
        "'Low'",
        "did you mean 'low'",
    ),
    "a detail that is no text": (
        part(1, image(PNG, detail=["high"])),  # type: ignore[arg-type]  # the point of it
        "messages[1].content[1].image_url.detail",
        "a list",
        '"high"',
    ),
    "a number that has a text": (asked(5), "messages[1].content", "is 5", "str(…)"),
    "an exact number": (asked(Decimal("1.5")), "messages[1].content", "a Decimal", "\"content\": '1.5'"),
    "a date": (asked(dt.date(2026, 1, 2)), "messages[1].content", "a date", "'2026-01-02'"),
    "a set": (asked({"a", "b"}), "messages[1].content", "is a set", "write a list"),
    "a coroutine": (asked(Waiting()), "messages[1].content", "a Waiting", "was an await forgotten?"),
    "a message to wait for": ([user("s"), Waiting()], "messages[1]", "a Waiting", "was an await forgotten?"),
    "an answer as content": (asked(ANSWER), "messages[1].content", "a ChatCompletion", "its .text"),
    "a pair": ([user("s"), ("user", "hi")], "messages[1]", "is a tuple", "\"role\": 'user'"),
    "a misspelt content": (
        [user("s"), {"role": "user", "contents": "hi"}],
        "messages[1]",
        "'contents' in its place",
        '"content": …',
    ),
    "calls that are no list": (
        [user("s"), {"role": "assistant", "content": None, "tool_calls": {"id": "1"}}],
        "messages[1].tool_calls",
        "a dict",
        "a list of calls",
    ),
    "a result that is a dict": (
        [user("s"), {"role": "tool", "tool_call_id": "1", "content": {"a": 1}}],
        "messages[1].content",
        "a dict",
        "json.dumps(…)",
    ),
    "a result that is a number": (
        [user("s"), {"role": "tool", "tool_call_id": "1", "content": 21}],
        "messages[1].content",
        "is 21",
        "json.dumps(…)",
    ),
    "the text of bytes": (seen_at(str(PNG)), AT, "the text of a bytes object", ".decode()"),
    "the text of bytes in a data URI": (
        seen_at(f"data:image/png;base64,{base64.b64encode(PNG)!r}"),
        AT,
        "the text of a bytes object",
        ".decode()",
    ),
    "a data URI without data": (seen_at("data:image/png;base64,"), AT, "without data", "image(source)"),
    "a data URI without a comma": (seen_at("data:image/png;base64"), AT, "without data", "image(source)"),
    "an address without its scheme": (seen_at("www.example.com/cat.png"), AT, "'www.example", "https://"),
    "a misspelt scheme": (seen_at("htp://example.com/cat.png"), AT, "'htp://", "https://"),
    "another misspelt scheme": (seen_at("htttps://example.com/cat.png"), AT, "'htttps://", "https://"),
    "a sound's path": (
        part(1, {"type": "input_audio", "input_audio": {"data": "talk.wav", "format": "wav"}}),
        "messages[1].content[1].input_audio.data",
        "'talk.wav'",
        "audio(source)",
    ),
    "a sound without data": (
        part(1, {"type": "input_audio", "input_audio": {"format": "wav"}}),
        "messages[1].content[1].input_audio",
        "no 'data'",
        "audio(source)",
    ),
    "a file's path": (
        part(1, {"type": "file", "file": "report.pdf"}),
        "messages[1].content[1].file",
        "'report.pdf'",
        "file(source)",
    ),
    "no file": (part(1, {"type": "file"}), "messages[1].content[1]", "no 'file'", "file(source)"),
    "an empty file part": (part(1, {"type": "file", "file": {}}), "messages[1].content[1].file", "empty", "file("),
    "bytes of a file": (
        part(1, {"type": "file", "file": {"file_data": b"%PDF-"}}),
        "messages[1].content[1].file.file_data",
        "5 bytes",
        "file(source)",
    ),
    "no sound": (part(1, {"type": "input_audio"}), "messages[1].content[1]", "no 'input_audio'", "audio("),
    "no audio": (
        part(1, {"type": "input_audio", "input_audio": {"data": 5, "format": "wav"}}),
        "messages[1].content[1].input_audio.data",
        "is 5",
        "audio(",
    ),
}


@pytest.mark.parametrize("row", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_named_with_its_place(row: tuple[Any, str, str, str]) -> None:
    messages, place, quote, advice = row
    with pytest.raises(ConfigError) as caught:
        wire.prepared_messages(messages)
    text = str(caught.value)
    assert text.startswith((f"{place} ", f"{place}:"))
    assert quote in text
    assert advice in text
    assert len(text) < 400
    assert text.isprintable()
    assert caught.value.outcome == "not_sent"


TEXT = {"type": "text", "text": "hi"}
SEEN = {"type": "image_url", "image_url": {"url": "https://h/a.png"}}
DATA = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgoAAAAN"}}


def lazily() -> Iterator[Any]:
    yield "hi"
    yield SEEN


class Piece(pydantic.BaseModel):
    type: Literal["text"] = "text"
    text: str


UNDERSTOOD: dict[str, tuple[Any, Any]] = {
    "an image alone": (asked(image("https://h/a.png")), [SEEN]),
    "a dict's part alone": (asked(TEXT), [TEXT]),
    "a text part alone": (asked(TextPart("hi")), [TEXT]),
    "text and images": (asked(["hi", image("https://h/a.png"), "hi"]), [TEXT, SEEN, TEXT]),
    "a tuple": (asked(("hi", SEEN)), [TEXT, SEEN]),
    "a generator": (asked(lazily()), [TEXT, SEEN]),
    "values of a dict": (asked({"a": "hi", "b": SEEN}.values()), [TEXT, SEEN]),
    "a list in a struct": ([user("s"), Message("user", ["hi", SEEN])], [TEXT, SEEN]),
    "a mapping": ([user("s"), MappingProxyType({"role": "user", "content": "hi"})], "hi"),
    "mappings as parts": (part(0, MappingProxyType(SEEN)), [SEEN]),
    "a pydantic model": ([user("s"), Dumped(content="hi")], "hi"),
    "a pydantic part": (part(0, Piece(text="hi")), [TEXT]),
    "a pydantic part alone": (asked(Piece(text="hi")), [TEXT]),
    "a dataclass": ([user("s"), Said("user", ["hi"])], [TEXT]),
    "a struct of one's own": ([user("s"), Own("user", "hi")], "hi"),
    "an Enum": ([user("s"), {"role": Role.USER, "content": "hi"}], "hi"),
    "image() in a dict": (part(0, {"type": "image_url", "image_url": image("https://h/a.png")}), [SEEN]),
    "image() as an address": (part(0, {"type": "image_url", "image_url": {"url": image("https://h/a.png")}}), [SEEN]),
    "a text as image_url": (
        part(0, {"type": "image_url", "image_url": "https://h/a.png"}),
        [{"type": "image_url", "image_url": "https://h/a.png"}],
    ),
    "base64 alone": (
        part(0, {"type": "image_url", "image_url": {"url": "/9j/4AAQSkZJRgABAQ"}}),
        [{"type": "image_url", "image_url": {"url": "/9j/4AAQSkZJRgABAQ"}}],
    ),
    "a file at the relay": (
        part(0, {"type": "image_url", "image_url": {"url": "oss://bucket/cat.png"}}),
        [{"type": "image_url", "image_url": {"url": "oss://bucket/cat.png"}}],
    ),
    "a detail of Volcengine's": (
        part(0, {"type": "image_url", "image_url": {"url": "https://h/a", "detail": "xhigh"}}),
        [{"type": "image_url", "image_url": {"url": "https://h/a", "detail": "xhigh"}}],
    ),
    "parts of other relays": (
        part(0, {"type": "video_url", "video_url": {"url": "https://h/v.mp4"}, "fps": 2}),
        [{"type": "video_url", "video_url": {"url": "https://h/v.mp4"}, "fps": 2}],
    ),
    "base64 of a sound": (
        part(0, {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
        [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}],
    ),
    "an empty text": (asked(""), ""),
}


@pytest.mark.parametrize("row", UNDERSTOOD.values(), ids=UNDERSTOOD)
async def test_what_is_meant_is_understood(row: tuple[Any, Any]) -> None:
    messages, content = row
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sent = await written(messages)
    assert sent[1] == {"role": "user", "content": content}


@pytest.mark.parametrize("source", ["path", "bytes", "file", "upload", "image()"])
@pytest.mark.parametrize("where", ["url", "image_url"])
async def test_an_image_may_stand_in_place_of_its_address(source: str, where: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    given = {"path": path, "bytes": PNG, "file": io.BytesIO(PNG), "upload": Upload(PNG), "image()": image(PNG)}[source]
    value = {"type": "image_url", "image_url": {"url": given} if where == "url" else given}
    (sent,) = await written([{"role": "user", "content": [value]}])
    assert sent["content"][0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")


async def test_audio_may_stand_in_place_of_its_base64(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF\x04\x00\x00\x00WAVE")
    value = {"type": "input_audio", "input_audio": {"data": path, "format": "wav"}}
    (sent,) = await written([{"role": "user", "content": [value]}])
    assert sent["content"] == [{"type": "input_audio", "input_audio": {"data": "UklGRgQAAABXQVZF", "format": "wav"}}]
    assert isinstance(audio(path), AudioPart)


AS_IT_IS: list[Any] = [
    {"role": "user", "content": "hi", "odd": 1},
    {"role": "developer", "content": [TEXT, SEEN, DATA]},
    {"role": "critic", "content": "hi"},
    {"role": "model", "content": "hi"},
    {"role": "user", "parts": [{"text": "of Gemini's own"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "assistant", "content": [], "tool_calls": [CALL]},
    {"role": "assistant", "content": None},
    {"role": "assistant", "content": [{"text": "odd, but the relay's own"}, {"type": "text", "text": None}]},
    {"role": "assistant", "content": "x", "reasoning_content": "the caller's own word"},
    {"role": "tool", "content": "1", "tool_call_id": ""},
    {"role": "function", "name": "f", "content": "1"},
    # Of DeepSeek, Zhipu, Kimi, Anthropic's cache, OpenRouter, vLLM and people's own stores.
    {"role": "assistant", "content": "x", "prefix": True, "partial": True, "cache_control": {"type": "ephemeral"}},
    {"role": "assistant", "content": "x", "reasoning_details": [], "metadata": {}, "id": "1", "created_at": 5},
    {"role": "user", "content": "hi", "name": "ann", "weight": 0, "timestamp": 5, "attachments": [], "images": []},
    {"role": "user", "content": [{"type": "file", "file": {"file_id": "f-1"}}, {"type": "file", "file_url": "x"}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ms://a", "max_pixels": 5, "fps": 1}}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;charset=x;base64,QUJD"}}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "b1f0c6aa-file-id"}}]},
    {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "https://h/a.wav"}}]},
    user("hi", {"type": "odd_thing", "x": 1}, image(PNG), file(b"%PDF-", filename="a.pdf")),
    assistant("hi"),
    Message("assistant", None, tool_calls=[CALL]),
]


@pytest.mark.parametrize("message", AS_IT_IS, ids=str)
def test_everything_else_goes_as_it_is(message: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (ready,) = wire.prepared_messages([message])
    assert ready is message


@pytest.mark.parametrize(
    ("message", "place", "near"),
    [
        ({"role": "asistant", "content": "hi"}, "messages[0].role", "assistant"),
        ({"role": "User", "content": "hi"}, "messages[0].role", "user"),
        ({"role": "sytem", "content": "hi"}, "messages[0].role", "system"),
        (Message("usr", "hi"), "messages[0].role", "user"),
        (
            {"role": "user", "content": [{"type": "image-url", "image_url": "x"}]},
            "messages[0].content[0].type",
            "image_url",
        ),
        ({"role": "user", "content": [TEXT, {"type": "imgae_url"}]}, "messages[0].content[1].type", "image_url"),
        ({"role": "user", "content": "hi", "nmae": "ann"}, "messages[0].nmae", "name"),
        ({"role": "assistant", "content": "hi", "tool_call": [CALL]}, "messages[0].tool_call", "tool_calls"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://h/a", "detial": "low"}}]},
            "messages[0].content[0].image_url.detial",
            "detail",
        ),
        ({"role": "user", "content": [{"type": "Text", "text": "x"}]}, "messages[0].content[0].type", "text"),
    ],
    ids=str,
)
def test_what_is_nearly_a_name_is_sent_with_a_warning(message: Any, place: str, near: str) -> None:
    with pytest.warns(RequestWarning) as caught:
        (ready,) = wire.prepared_messages([message])
    assert ready is message
    (warning,) = caught
    assert place in str(warning.message)
    assert f"did you mean '{near}'" in str(warning.message)
    assert warning.filename == __file__


def test_an_answer_is_not_looked_into() -> None:
    odd = ChatMessage(role="asistant", parts=[{"text": 5}])
    assert wire.prepared_messages([odd]) == [{"role": "asistant", "content": [{"text": 5}]}]
    assert isinstance(ANSWER, ChatCompletion)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "user", "text": "hi"}, "messages[0] has no content, and is sent with 'text'"),
        ({"role": "user", "message": "hi"}, "messages[0] has no content, and is sent with 'message'"),
        (
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "https://h/a"}, "detail": "low"}],
            },
            "messages[0].content[0].detail stands beside image_url",
        ),
    ],
    ids=["text", "message", "detail"],
)
def test_what_a_relay_would_pass_over_is_sent_with_a_warning(message: Any, words: str) -> None:
    with pytest.warns(RequestWarning, match=re.escape(words)):
        wire.prepared_messages([message])


@pytest.mark.parametrize("messages", ["hi", b"bytes", {"role": "user"}, None, 5, user("hi"), [], iter(())])
def test_messages_are_a_list_that_is_not_empty(messages: Any) -> None:
    with pytest.raises(ConfigError, match="messages"):
        wire.prepared_messages(messages)


def test_messages_of_the_caller_go_as_they_are() -> None:
    messages = [{"role": "user", "content": [{"type": "video_url", "video_url": "https://v"}]}, user("hi")]
    ready = wire.prepared_messages(iter(messages))
    assert ready == messages
    assert ready[0] is messages[0]


@pytest.mark.parametrize(
    ("message", "sent_back"),
    [
        ({"role": "assistant", "content": "hi"}, {"role": "assistant", "content": "hi"}),
        ({"role": "", "content": "hi", "reasoning_content": "hm"}, {"role": "assistant", "content": "hi"}),
        # deepseek-reasoner answers 400 when it sees its thoughts again without tool calls.
        (
            {"content": "hi", "reasoning": "hm", "reasoning_details": [{"text": "hm"}], "thought_signature": "c2ln"},
            {"role": "assistant", "content": "hi"},
        ),
        # Kimi and DeepSeek: "reasoning_content is missing in assistant tool call message".
        (
            {"content": "", "reasoning_content": "hm", "tool_calls": [CALL]},
            {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [CALL]},
        ),
        (
            {"content": None, "reasoning_content": "", "tool_calls": [CALL]},
            {"role": "assistant", "content": None, "reasoning_content": "", "tool_calls": [CALL]},
        ),
        # OpenRouterTeam/ai-sdk-provider#423
        (
            {
                "content": None,
                "reasoning": "hm",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "index": 0}],
                "tool_calls": [CALL],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning": "hm",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "index": 0}],
                "tool_calls": [CALL],
            },
        ),
        # Copilot's, litellm's and Gemini's names; "odd" is nothing that was thought.
        (
            {
                "content": None,
                "reasoning_text": "hm",
                "reasoning_opaque": "x",
                "thinking_blocks": [{"thinking": "hm", "signature": "s"}],
                "thought_signature": "c2ln",
                "extra_content": {"google": {"thought_signature": "c2ln"}},
                "odd": 1,
                "reasoning_content": None,
                "tool_calls": [CALL],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning_text": "hm",
                "reasoning_opaque": "x",
                "thinking_blocks": [{"thinking": "hm", "signature": "s"}],
                "thought_signature": "c2ln",
                "extra_content": {"google": {"thought_signature": "c2ln"}},
                "tool_calls": [CALL],
            },
        ),
        # llama.cpp's and vLLM's templates fail on arguments that are no JSON.
        (
            {
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
        ),
        (
            {"role": "assistant", "content": "> 进度 36..100\n\n![a](https://h/a.png)"},
            {"role": "assistant", "content": "> 进度 36..100\n\n![a](https://h/a.png)"},
        ),
        (
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
        ),
        (
            {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "odd", "x": [1]}]},
            {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "odd", "x": [1]}]},
        ),
        (
            {"role": "assistant", "content": None, "refusal": "no"},
            {"role": "assistant", "content": None, "refusal": "no"},
        ),
        (
            {"role": "assistant", "content": None, "audio": {"id": "a1", "data": "UklG", "transcript": "hi"}},
            {"role": "assistant", "content": None, "audio": {"id": "a1"}},
        ),
        (
            {"role": "assistant", "content": "x", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "assistant", "content": "x", "function_call": {"name": "f", "arguments": "{}"}},
        ),
        (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}],
            },
        ),
        # llama.cpp's and vLLM's templates read the arguments as JSON; opencodex#361
        *(
            (
                {"content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": given}}]},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": sent}}],
                },
            )
            for given, sent in (
                ("", "{}"),
                (" ", "{}"),
                ("null", "{}"),
                (None, "{}"),
                ("{}", "{}"),
                ('{"a":1}{"a":1}', '{"a":1}'),
                ("{", "{"),
            )
        ),
        (
            {"content": "x", "function_call": {"name": "f", "arguments": ""}},
            {"role": "assistant", "content": "x", "function_call": {"name": "f", "arguments": "{}"}},
        ),
        (
            {"content": None, "tool_calls": [None, {"id": "c", "odd": 1, "function": {"arguments": {"a": 1}}}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "", "arguments": '{"a": 1}'}, "odd": 1}
                ],
            },
        ),
    ],
)
async def test_the_message_of_an_answer_goes_back_as_the_api_wants_it(message: object, sent_back: object) -> None:
    answer = wire.read_completion(json.dumps({"choices": [{"message": message}]}).encode(), OK)
    assert await written([answer.message]) == [sent_back]


@pytest.mark.parametrize("value", [Usage(), ChatMessage(content="hi"), ChatCompletion()])
def test_a_struct_is_no_row_though_it_iterates_over_its_fields(value: object) -> None:
    assert not is_row(value)
    assert is_row([value])
