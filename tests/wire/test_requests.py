"""Requests written exactly, with pictures that are read while they are sent."""

from __future__ import annotations

import base64
import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.bodies import CALL, OK
from tutuclient import wire
from tutuclient.errors import ConfigError, MediaError
from tutuclient.media import INLINE_BYTES, PIECE_BYTES, Upload, image
from tutuclient.settings import UNSET, Secret
from tutuclient.types.chat import ChatCompletion, ChatMessage, Usage
from tutuclient.types.parts import user
from tutuclient.wire.requests import is_row

if TYPE_CHECKING:
    from pathlib import Path


PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 100


def data_uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


async def written(fields: dict[str, Any]) -> Any:
    body = wire.encode(fields)
    await body.open()
    sent = b"".join([piece async for piece in body.pieces()])
    assert len(sent) == body.size_bytes
    assert body.plain in {None, sent}
    return json.loads(sent)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "gpt-4o", "n": None, "stop": ["a"]}, {"model": "gpt-4o", "n": None, "stop": ["a"]}),
        ({"text": "图像 🙂 \u2028"}, {"text": "图像 🙂 \u2028"}),
        ({"tuple": (1, 2)}, {"tuple": [1, 2]}),
        ({"set": {1}}, {"set": [1]}),
        ({"lazy": (n * n for n in range(3))}, {"lazy": [0, 1, 4]}),
        ({"view": {"a": 1}.keys()}, {"view": ["a"]}),
        ({"word": Secret("abc")}, {"word": "abc"}),
        ({"large": 2**70}, {"large": 2**70}),
        ({"messages": [user("hi")]}, {"messages": [{"role": "user", "content": "hi"}]}),
        (
            {"nested": {"a": [{"b": user("hi", {"type": "x"})}]}},
            {"nested": {"a": [{"b": {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "x"}]}}]}},
        ),
    ],
)
async def test_writes_json_of_whatever_stands_in_a_request(fields: dict[str, Any], expected: object) -> None:
    assert await written(fields) == expected


@pytest.mark.parametrize("given_as", ["path", "upload", "image", "bytes in an upload", "open file", "buffer"])
async def test_pictures_may_stand_anywhere(given_as: str, tmp_path: Path) -> None:
    file = tmp_path / "图 1.png"
    file.write_bytes(PNG)
    with file.open("rb") as opened:
        pictures: dict[str, Any] = {
            "path": file,
            "upload": Upload(file),
            "image": image(file).image_url.url,
            "bytes in an upload": Upload(PNG),
            "open file": opened,
            "buffer": io.BytesIO(PNG),
        }
        picture = pictures[given_as]
        part = {"type": "image_url", "image_url": {"url": picture, "detail": "low"}}
        sent = await written({"messages": [{"role": "user", "content": [part, part]}], "image": picture, "last": 1})
    uri = data_uri(PNG)
    part = {"type": "image_url", "image_url": {"url": uri, "detail": "low"}}
    assert sent == {"messages": [{"role": "user", "content": [part, part]}], "image": uri, "last": 1}


async def test_a_large_picture_is_read_while_it_is_sent(tmp_path: Path) -> None:
    picture = PNG + bytes(3 * PIECE_BYTES)
    file = tmp_path / "large.png"
    file.write_bytes(picture)
    body = wire.encode({"a": file, "b": Upload(PNG)})
    await body.open()
    pieces = [piece async for piece in body.pieces()]
    assert body.plain is None
    assert max(map(len, pieces)) <= PIECE_BYTES / 3 * 4 + 100
    assert json.loads(b"".join(pieces)) == {"a": data_uri(picture), "b": data_uri(PNG)}
    await body.open()
    assert b"".join([piece async for piece in body.pieces()]) == b"".join(pieces)


async def test_small_pictures_in_memory_become_part_of_the_text() -> None:
    body = wire.encode({"a": Upload(PNG), "b": Upload(bytes(PNG))})
    await body.open()
    assert body.plain is not None
    assert json.loads(body.plain) == {"a": data_uri(PNG), "b": data_uri(PNG)}
    assert len(PNG) < INLINE_BYTES


async def test_a_picture_that_is_missing_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    body = wire.encode({"a": tmp_path / "nothing.png"})
    with pytest.raises(MediaError):
        await body.open()


@pytest.mark.parametrize(
    "value", [object(), SimpleNamespace(a=1), "\ud83d", {"\udc00": 1}, lambda: None, 1j, {(1, 2): 3}, Upload]
)
def test_what_has_no_place_in_json_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="cannot be written as JSON") as caught:
        wire.encode({"a": value})
    assert caught.value.outcome == "not_sent"


def test_a_request_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        wire.encode({"a": endless})


@pytest.mark.parametrize("messages", ["hi", b"bytes", {"role": "user"}, None, 5, user("hi"), [], iter(())])
def test_messages_are_a_list_that_is_not_empty(messages: Any) -> None:
    with pytest.raises(ConfigError, match="messages"):
        wire.sendable(messages)


def test_messages_of_the_caller_go_as_they_are() -> None:
    messages = [{"role": "user", "content": [{"type": "video_url", "video_url": "https://v"}]}, user("hi")]
    ready = wire.sendable(iter(messages))
    assert ready == messages
    assert ready[0] is messages[0]


@pytest.mark.parametrize(
    ("message", "sent_back"),
    [
        ({"role": "assistant", "content": "hi"}, {"role": "assistant", "content": "hi"}),
        ({"role": "", "content": "hi", "reasoning_content": "hm"}, {"role": "assistant", "content": "hi"}),
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
    assert (await written({"messages": wire.sendable([answer.message])}))["messages"] == [sent_back]


MAKES_PICTURES = """
    gpt-4o-image gpt-4o-image-vip gpt-image-1 sora_image sora-2 dall-e-3 dalle-2 flux-kontext-pro FLUX.1-dev
    mj_imagine mj-chat midjourney stable-diffusion-3.5 stablediffusion sdxl-turbo imagen-4.0 doubao-seedream-4
    seededit-3 Kolors nano-banana-2 ideogram-v3 recraftv3 cogview-4 wanx2.1-t2i gemini-2.5-flash-image-preview
    google/gemini-3-pro-image veo-3 kling-v2 grok-video
"""


@pytest.mark.parametrize("model", MAKES_PICTURES.split())
def test_knows_a_model_that_makes_pictures(model: str) -> None:
    assert wire.makes_image({"model": model})


ONLY_TALKS = """
    gpt-4o gpt-5.1-mini o3 claude-sonnet-4-5 gemini-2.5-pro deepseek-chat qwen-vl-max glm-4.5v grok-4 llama-4-scout
    mjolnir-7b kimi-k2 doubao-1-5-vision-pro m
"""


@pytest.mark.parametrize("model", [*ONLY_TALKS.split(), "", None, 5])
def test_knows_a_model_that_only_talks(model: object) -> None:
    assert not wire.makes_image({"model": model})


@pytest.mark.parametrize(
    ("modalities", "orders"),
    [(["text", "image"], True), (("image",), True), (["text", "audio"], False), ([], False), (None, False), (5, False)],
)
def test_knows_a_picture_ordered_by_modality(modalities: object, orders: bool) -> None:
    assert wire.makes_image({"model": "gemini-2.5-flash", "modalities": modalities}) is orders


def test_fields_that_are_not_given_are_left_out() -> None:
    assert wire.given({"a": 1, "b": UNSET, "c": None, "d": UNSET}) == {"a": 1, "c": None}
    fields = {"a": 1, "c": None}
    assert wire.given(fields) is fields


@pytest.mark.parametrize("fields", [{"a": {"b": UNSET}}, {"a": [UNSET]}, {"a": ...}])
def test_what_is_not_given_within_a_field_is_never_written(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="has to be left out"):
        wire.encode(fields)


@pytest.mark.parametrize("value", [Usage(), ChatMessage(content="hi"), ChatCompletion()])
def test_a_struct_is_no_row_though_it_iterates_over_its_fields(value: object) -> None:
    assert not is_row(value)
    assert is_row([value])
