"""What ``tutuclient.wire`` promises: requests written exactly, answers read generously, errors told apart."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import zlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient import errors, wire
from tutuclient.errors import APIError, ConfigError, MediaError, TutuError, UnexpectedResponseError
from tutuclient.media import INLINE_BYTES, PIECE_BYTES, Upload, image
from tutuclient.settings import Secret
from tutuclient.types.answer import Answer, Meta
from tutuclient.types.chat import ChatCompletion, ChatCompletionChunk, Usage
from tutuclient.types.parts import user

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tutuclient.errors import APIStatusError

OK = Meta(200)
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


# --- requests --------------------------------------------------------------------------------------------------------


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


CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
    "extra_content": {"google": {"thought_signature": "c2ln"}},
}


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


# --- answers ---------------------------------------------------------------------------------------------------------


def completion(**fields: Any) -> bytes:
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
    return json.dumps(whole | fields).encode()


def message(**fields: Any) -> bytes:
    return completion(choices=[{"message": {"role": "assistant", "content": "hi"} | fields}])


def choice(**fields: Any) -> bytes:
    return completion(choices=[{"message": {"role": "assistant", "content": "hi"}} | fields])


def usage(**fields: Any) -> bytes:
    return completion(usage=fields)


def calls(*tool_calls: object) -> bytes:
    return message(content=None, tool_calls=list(tool_calls))


def answer_of(body: bytes) -> ChatCompletion:
    return wire.read_completion(body, OK)


def first_call(answer: ChatCompletion) -> tuple[str, str, str, str]:
    call = (answer.message.tool_calls or [])[0]
    return call.id, call.type, call.function.name, call.function.arguments


def counts(answer: ChatCompletion) -> tuple[int | None, int | None, int | None]:
    assert answer.usage is not None
    return answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens


SEED = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"choices":[{"index":0,"message":{"role":"assistant",'
    '"content":"背景已替换为蓝天白云,链接:https://host.example/x.png"},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}'
).encode()


def test_reads_the_answer_of_the_relays_page() -> None:
    answer = answer_of(SEED)
    assert answer.text == "背景已替换为蓝天白云,链接:https://host.example/x.png"
    assert (answer.id, answer.object, answer.created, answer.model) == ("chatcmpl-1", "chat.completion", 1767225600, "")
    assert (answer.finish_reason, answer.message.role, counts(answer)) == ("stop", "assistant", (9, 12, 21))
    assert (answer.raw, answer.extra) == (SEED, {})


# Section 5 of the facts of the wire: field by field, what relays write, and what must become of it.
QUIRKS: dict[str, list[tuple[bytes, Callable[[ChatCompletion], object], object]]] = {
    "id": [
        (completion(id="c1"), lambda a: a.id, "c1"),
        (completion(), lambda a: a.id, ""),
        (completion(id=""), lambda a: a.id, ""),
        (completion(id=None), lambda a: a.id, ""),
        (completion(id=7), lambda a: a.id, "7"),
        (completion(id=7.5), lambda a: a.id, "7.5"),
        (completion(id=True), lambda a: a.id, ""),
        (completion(id={"a": 1}), lambda a: a.id, ""),
    ],
    "object": [
        (completion(object=""), lambda a: a.object, ""),
        (completion(object="chat.completion.chunk"), lambda a: (a.object, a.text), ("chat.completion.chunk", "hi")),
        (completion(object=None), lambda a: a.text, "hi"),
    ],
    "created": [
        (completion(created=5), lambda a: a.created, 5),
        (completion(created=5.0), lambda a: a.created, 5),
        (completion(created=5.7), lambda a: a.created, 5),
        (completion(created="5"), lambda a: a.created, 5),
        (completion(created="5.0"), lambda a: a.created, 5),
        (completion(created=0), lambda a: a.created, 0),
        (completion(created=None), lambda a: a.created, 0),
        (completion(created=""), lambda a: a.created, 0),
        (completion(created="soon"), lambda a: a.created, 0),
        (completion(created="1e999"), lambda a: a.created, 0),
        (completion(created=True), lambda a: a.created, 0),
        (completion(created=[]), lambda a: a.created, 0),
        (b'{"created":' + b"9" * 300 + b"," + completion()[1:], lambda a: a.created, int("9" * 300)),
        (b'{"created":' + b"9" * 5000 + b"," + completion()[1:], lambda a: (a.created, a.text), (0, "hi")),
    ],
    "model": [
        (completion(model="dify"), lambda a: a.model, "dify"),
        (completion(model=""), lambda a: a.model, ""),
        (completion(model=None), lambda a: a.model, ""),
    ],
    "choices": [
        (
            completion(choices=[None, {"message": {"content": "hi"}}]),
            lambda a: [c.message.text for c in a.choices],
            ["hi"],
        ),
        (completion(choices=[5, "x", {"message": {"content": "hi"}}]), lambda a: a.text, "hi"),
        (b'{"Choices":[{"message":{"content":"hi"}}],"ID":"c"}', lambda a: (a.id, a.text), ("c", "hi")),
        (
            completion(choices=[{"message": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]),
            lambda a: [c.message.text for c in a.choices],
            ["a", "b"],
        ),
    ],
    "index": [
        (choice(index=3), lambda a: a.choices[0].index, 3),
        (choice(index=None), lambda a: a.choices[0].index, 0),
        (choice(index="1"), lambda a: a.choices[0].index, 1),
        (choice(), lambda a: a.choices[0].index, 0),
    ],
    "message": [
        (completion(choices=[{"delta": {"content": "hi"}}]), lambda a: a.text, "hi"),
        (completion(choices=[{"message": None, "delta": {"content": "hi"}}]), lambda a: a.text, "hi"),
        (completion(choices=[{"message": {}, "delta": {"content": "hi"}}]), lambda a: a.text, "hi"),
        (completion(choices=[{"text": "hi"}]), lambda a: a.text, "hi"),
        (completion(choices=[{"message": None, "text": "hi"}]), lambda a: a.text, "hi"),
        (completion(choices=[{"finish_reason": "stop"}]), lambda a: (a.text, a.finish_reason), ("", "stop")),
        (completion(choices=[{"message": "hi"}]), lambda a: a.text, ""),
    ],
    "role": [
        (message(role=""), lambda a: a.message.role, ""),
        (message(role=None), lambda a: (a.message.role, a.text), ("assistant", "hi")),
        (completion(choices=[{"message": {"content": "hi"}}]), lambda a: a.message.role, "assistant"),
        (message(role="model"), lambda a: a.message.role, "model"),
    ],
    "content": [
        (message(content=""), lambda a: (a.message.content, a.text), ("", "")),
        (message(content=None), lambda a: (a.message.content, a.text), (None, "")),
        (message(content=5), lambda a: a.text, "5"),
        (message(content=True), lambda a: a.message.content, None),
        (message(content=[]), lambda a: (a.text, a.message.parts), ("", [])),
        (message(content=[{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]), lambda a: a.text, "hi"),
        (message(content=["h", {"text": "i"}]), lambda a: a.text, "hi"),
        (message(content=[{"type": "output_text", "text": "hi"}]), lambda a: a.text, "hi"),
        (message(content=[{"type": "text", "text": {"value": "hi"}}]), lambda a: a.text, "hi"),
        (message(content=[{"type": "text", "text": 5}, {"type": "text"}, None, 5]), lambda a: a.text, ""),
        (
            message(content={"type": "text", "text": "hi"}),
            lambda a: (a.text, a.message.parts),
            ("hi", [{"type": "text", "text": "hi"}]),
        ),
        (
            message(
                content=[
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "hi"},
                ]
            ),
            lambda a: (a.text, len(a.message.parts or [])),
            ("hi", 2),
        ),
        (
            message(content=[{"type": "image_url", "image_url": {"url": "https://h/a.png"}}]),
            lambda a: (a.text, (a.message.parts or [])[0]["image_url"]["url"]),
            ("", "https://h/a.png"),
        ),
        (message(content=[{"type": "refusal", "refusal": "no"}]), lambda a: a.text, ""),
    ],
    "reasoning": [
        (message(reasoning_content="hm"), lambda a: a.message.thinking, "hm"),
        (message(reasoning="hm"), lambda a: a.message.thinking, "hm"),
        (message(reasoning_content="hm", reasoning="hm"), lambda a: a.message.thinking, "hm"),
        (message(reasoning_content="", reasoning="hm"), lambda a: a.message.thinking, "hm"),
        (message(reasoning_content=None), lambda a: a.message.thinking, ""),
        (message(reasoning_content={"a": 1}), lambda a: (a.message.thinking, a.text), ("", "hi")),
        (message(reasoning_content=["a"], reasoning="hm"), lambda a: a.message.thinking, "hm"),
        (message(reasoning_content=5), lambda a: a.message.thinking, "5"),
        (message(content="", reasoning_content="hm"), lambda a: (a.text, a.message.thinking), ("", "hm")),
        (message(reasoning_details=[{"type": "x"}]), lambda a: a.message.reasoning_details, [{"type": "x"}]),
    ],
    "tool calls": [
        (calls(CALL), first_call, ("call_1", "function", "weather", '{"city": "Oslo"}')),
        (calls({"function": {"name": "f", "arguments": "{}"}}), first_call, ("", "function", "f", "{}")),
        (calls({"id": "", "type": "", "function": {"name": "f"}}), first_call, ("", "function", "f", "")),
        (calls({"id": None, "type": None, "function": {"name": "f"}}), first_call, ("", "function", "f", "")),
        (calls({"id": 5, "function": {"name": "f", "arguments": None}}), first_call, ("5", "function", "f", "")),
        (
            calls({"id": "c", "function": {"name": "f", "arguments": {"城": [1]}}}),
            first_call,
            ("c", "function", "f", '{"城": [1]}'),
        ),
        (calls({"id": "c", "function": {"name": "f", "arguments": []}}), first_call, ("c", "function", "f", "[]")),
        (calls({"id": "c", "function": None}), first_call, ("c", "function", "", "")),
        (calls(None, CALL), first_call, ("call_1", "function", "weather", '{"city": "Oslo"}')),
        (message(content=None, tool_calls=CALL), first_call, ("call_1", "function", "weather", '{"city": "Oslo"}')),
        (message(content="", tool_calls=[CALL]), lambda a: (a.message.content, first_call(a)[0]), ("", "call_1")),
        (message(tool_calls=None), lambda a: a.message.tool_calls, None),
        (message(tool_calls=[]), lambda a: (a.message.tool_calls, a.text), ([], "hi")),
        (message(tool_calls="x"), lambda a: (a.message.tool_calls, a.text), (None, "hi")),
        (
            message(function_call={"name": "f", "arguments": {"a": 1}}),
            lambda a: a.message.function_call.arguments if a.message.function_call else None,
            '{"a": 1}',
        ),
        (message(function_call=None), lambda a: a.message.function_call, None),
    ],
    "finish reason": [
        (choice(finish_reason=word), lambda a: a.finish_reason, word)
        for word in ("stop", "length", "tool_calls", "max_tokens", "tool_use", "COMPLETE", "SAFETY", "error", "", None)
    ]
    + [
        (choice(), lambda a: a.finish_reason, None),
        (choice(finish_reason=5), lambda a: a.finish_reason, "5"),
    ],
    "logprobs": [
        (choice(logprobs=None), lambda a: a.choices[0].logprobs, None),
        (choice(logprobs={}), lambda a: a.choices[0].logprobs, {}),
        (
            choice(logprobs={"content": [{"token": "h"}]}),
            lambda a: a.choices[0].logprobs,
            {"content": [{"token": "h"}]},
        ),
    ],
    "usage": [
        (usage(prompt_tokens=1, completion_tokens=2, total_tokens=3), counts, (1, 2, 3)),
        (usage(prompt_tokens=0, completion_tokens=0, total_tokens=0), counts, (0, 0, 0)),
        (usage(prompt_tokens=1.0, completion_tokens="2", total_tokens="3.0"), counts, (1, 2, 3)),
        (usage(prompt_tokens=1.9, completion_tokens=2), counts, (1, 2, 3)),
        (usage(prompt_tokens=None, completion_tokens=None), counts, (None, None, None)),
        (usage(prompt_tokens="many", completion_tokens=2), counts, (None, 2, None)),
        (usage(prompt_tokens=1, completion_tokens=2), counts, (1, 2, 3)),
        (usage(input_tokens=1, output_tokens=2), counts, (1, 2, 3)),
        (
            usage(prompt_tokens=0, completion_tokens=0, input_tokens=1, output_tokens=2, total_tokens=3),
            counts,
            (1, 2, 3),
        ),
        (usage(), counts, (None, None, None)),
        (completion(), lambda a: a.usage, None),
        (completion(usage=None), lambda a: a.usage, None),
        (completion(usage=[]), lambda a: (a.usage, a.text), (None, "hi")),
        (completion(usage="x"), lambda a: (a.usage, a.text), (None, "hi")),
        (
            b'{"usage":{"prompt_tokens":1e999},' + completion()[1:],
            lambda a: (counts(a), a.text),
            ((None, None, None), "hi"),
        ),
    ],
    "usage details": [
        (usage(prompt_tokens=1, prompt_tokens_details=None), lambda a: a.usage and a.usage.prompt_tokens_details, None),
        (
            usage(prompt_tokens_details={"cached_tokens": 4.0}),
            lambda a: a.usage and a.usage.prompt_tokens_details and a.usage.prompt_tokens_details.cached_tokens,
            4,
        ),
        (
            usage(prompt_tokens_details={}),
            lambda a: a.usage and a.usage.prompt_tokens_details and a.usage.prompt_tokens_details.cached_tokens,
            None,
        ),
        (
            usage(completion_tokens_details={"reasoning_tokens": 3, "content_tokens": 4}),
            lambda a: a.usage and a.usage.completion_tokens_details and a.usage.completion_tokens_details.extra,
            {"content_tokens": 4},
        ),
        (usage(prompt_tokens_details=[]), lambda a: a.usage and a.usage.prompt_tokens_details, None),
        (
            usage(prompt_tokens=1, cost=0.5, prompt_cache_hit_tokens=0),
            lambda a: a.usage and a.usage.extra,
            {"cost": 0.5, "prompt_cache_hit_tokens": 0},
        ),
    ],
    "the rest": [
        (completion(system_fingerprint=None), lambda a: a.system_fingerprint, None),
        (
            completion(system_fingerprint="", service_tier="default"),
            lambda a: (a.system_fingerprint, a.service_tier),
            ("", "default"),
        ),
        (completion(error=None), lambda a: a.text, "hi"),
        (completion(error={}), lambda a: a.text, "hi"),
        (completion(error=""), lambda a: a.text, "hi"),
        (completion(error=False), lambda a: a.text, "hi"),
        (completion(error={"message": "success", "code": 0}), lambda a: a.text, "hi"),
        (completion(error={"message": "success", "code": 0}, choices=[{"text": ""}]), lambda a: a.text, ""),
        (message(content="", error=1), lambda a: a.message.extra, {"error": 1}),
        (completion(success=True), lambda a: a.extra, {"success": True}),
        (completion(provider="x", timings={"a": 1.5}), lambda a: a.extra, {"provider": "x", "timings": {"a": 1.5}}),
        (completion(citations=["https://h"]), lambda a: a.extra, {"citations": ["https://h"]}),
        (
            choice(content_filter_results={"hate": {}}),
            lambda a: a.choices[0].extra,
            {"content_filter_results": {"hate": {}}},
        ),
        (message(annotations=[{"type": "url_citation"}]), lambda a: a.message.annotations, [{"type": "url_citation"}]),
        (message(audio={"id": "a", "data": "UklG"}), lambda a: a.message.audio, {"id": "a", "data": "UklG"}),
        (message(refusal="no"), lambda a: a.message.refusal, "no"),
    ],
    "images": [
        (
            message(images=[{"image_url": {"url": "data:image/png;base64,aa"}}]),
            lambda a: a.message.images,
            [{"image_url": {"url": "data:image/png;base64,aa"}}],
        ),
        (message(content=None, images=["https://h/a.png"]), lambda a: a.message.images, ["https://h/a.png"]),
        (message(content="", image={"url": "data:,"}), lambda a: a.message.image, {"url": "data:,"}),
        (
            b'{"created":1,"data":[{"url":"https://h/a.png"}]}',
            lambda a: (a.choices, a.extra),
            ([], {"data": [{"url": "https://h/a.png"}]}),
        ),
        (b'{"data":[{"url":"","b64_json":"aa"}],"choices":null}', lambda a: a.choices, []),
    ],
    "the bytes": [
        (b"\xef\xbb\xbf" + completion(), lambda a: a.text, "hi"),
        (b"\n" * 5000 + completion(), lambda a: a.text, "hi"),
        (b" " * 5000 + message(content=""), lambda a: a.text, ""),
        (completion() + b"\n\n", lambda a: a.text, "hi"),
        (completion() + completion(id="2"), lambda a: (a.text, a.id), ("hi", "")),
        (b'{"choices":[{"message":{"content":"a\\ud83db"}}]}', lambda a: a.text, "a\ufffdb"),
        (b'{"choices":[{"message":{"content":"\\ud83d\\ude42\\udc00"}}]}', lambda a: a.text, "🙂\ufffd"),
        (b'{"choices":[{"message":{"content":"a\xffb"}}]}', lambda a: a.text, "a\ufffdb"),
        (b'{"choices":[{"message":{"content":"a\nb\tc"}}]}', lambda a: a.text, "a\nb\tc"),
        (
            b'{"created":NaN,"x":Infinity,"choices":[{"message":{"content":"hi"}}]}',
            lambda a: (a.text, a.extra),
            ("hi", {"x": None}),
        ),
        (b'{"created":-1e999,"choices":[{"message":{"content":"hi"}}]}', lambda a: (a.text, a.created), ("hi", 0)),
        (
            b'{"x":"\\ud83d","choices":[{"message":{"content":"hi"}}]}',
            lambda a: (a.text, a.extra),
            ("hi", {"x": "\ufffd"}),
        ),
        (
            b'{"x":"\xff","y":1e999,"choices":[{"message":{"content":"hi"}}]}',
            lambda a: a.extra,
            {"x": "\ufffd", "y": None},
        ),
    ],
}
QUIRK_ROWS = [
    pytest.param(body, read, expected, id=f"{field} {number}")
    for field, rows in QUIRKS.items()
    for number, (body, read, expected) in enumerate(rows)
]


@pytest.mark.parametrize(("body", "read", "expected"), QUIRK_ROWS)
def test_reads_a_good_answer_however_odd(
    body: bytes, read: Callable[[ChatCompletion], object], expected: object
) -> None:
    answer = answer_of(body)
    assert read(answer) == expected
    assert answer.raw == body
    assert isinstance(answer.to_dict(), dict)
    for part in (*answer.choices, answer.message, *(answer.message.tool_calls or ())):
        assert isinstance(part.extra, dict)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_reads_whatever_holds_bytes(kind: Callable[[bytes], Any]) -> None:
    assert wire.read_completion(kind(completion()), OK).text == "hi"
    assert wire.read_completion(kind(b"\xef\xbb\xbf" + completion()), OK).text == "hi"


NO_ANSWERS: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "an empty body", ""),
    "blanks": (b" \r\n" * 3000, "an empty body", ""),
    "panel": (b"<!doctype html><html><head><title>New  API</title></head>", "HTML: New API", "/v1"),
    "page without title": (b"\xef\xbb\xbf\n<div>oops</div>", "HTML", "/v1"),
    "text": (b"upstream connect error", "no JSON: upstream connect error", ""),
    "broken": (completion()[:-9], "no JSON", ""),
    "a word": (b"null", "no object but NoneType", ""),
    "a list": (b"[]", "no object but list", ""),
    "a text": (b'"hi"', "no object but str", ""),
    "a number": (b"5", "no object but int", ""),
    "an empty object": (b"{}", "without choices", ""),
    "choices missing": (b'{"id":"c"}', "without choices", ""),
    "choices null": (completion(choices=None), "without choices", ""),
    "choices empty": (completion(choices=[]), "without choices", ""),
    "choices of nothing": (completion(choices=[None]), "without choices", ""),
    "choices no list": (completion(choices={"a": 1}), "without choices", ""),
    "data without pictures": (b'{"data":[{"url":""},5]}', "without choices", ""),
    "too deep": (b"[" * 100_000, "nested too deeply", ""),
    "too deep inside": (b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply", ""),
    "escapes": (b"\x1b[31m\r\nforged", r"no JSON: \\x1b\[31m forged", ""),
}


@pytest.mark.parametrize(("body", "words", "hint"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_says_what_came_instead_of_an_answer(body: bytes, words: str, hint: str) -> None:
    meta = Meta(200, {"x-request-id": "r1"})
    with pytest.raises(UnexpectedResponseError, match=words) as caught:
        wire.read_completion(body, meta)
    error = caught.value
    assert (error.status_code, error.request_id, error.outcome) == (200, "r1", "unknown")
    assert hint in error.hint
    assert str(error).isprintable()
    assert len(str(error)) < 500


# Section 4.2 and 3.5: errors in an answer's clothes, with status 200.
DISGUISED: dict[str, tuple[bytes, type[APIError], str | None, str]] = {
    "openai": (
        b'{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}',
        errors.RateLimitError,
        "rate_limit_exceeded",
        "slow down",
    ),
    "gemini": (
        b'{"error":{"message":"No candidates returned","type":"","code":500}}',
        errors.InternalServerError,
        "500",
        "No candidates returned",
    ),
    "code as digits": (b'{"error":{"message":"m","code":"429"}}', errors.RateLimitError, "429", "m"),
    "code as float": (b'{"error":{"message":"m","code":503.0}}', errors.InternalServerError, "503.0", "m"),
    "code as bool": (b'{"error":{"message":"m","code":true}}', errors.APIStatusError, None, "m"),
    "code of the house": (b'{"code":10001,"msg":"system busy"}', errors.APIStatusError, "10001", "system busy"),
    "code below statuses": (b'{"error":{"message":"m","code":7}}', errors.APIStatusError, "7", "m"),
    "code list": (b'{"error":{"message":"m","code":[1]}}', errors.APIStatusError, None, "m"),
    "server": (b'{"error":{"message":"m","type":"server_error"}}', errors.InternalServerError, None, "m"),
    "upstream": (
        b'{"error":{"message":"status code 200","type":"upstream_error","code":"bad_response_status_code"}}',
        errors.InternalServerError,
        "bad_response_status_code",
        "status code 200",
    ),
    "with empty choices": (
        b'{"id":"c","error":{"code":503,"message":"gone"},"choices":[{"message":{"content":""},"finish_reason":"error"}]}',
        errors.InternalServerError,
        "503",
        "gone",
    ),
    "vllm": (
        b'{"object":"error","message":"too long","type":"BadRequestError","code":400}',
        errors.BadRequestError,
        "400",
        "too long",
    ),
    "claude": (
        b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
        errors.InternalServerError,
        None,
        "Overloaded",
    ),
    "text": (b'{"error":"plain string","code":401}', errors.AuthenticationError, "401", "plain string"),
    "message": (b'{"message":"nope"}', errors.APIStatusError, None, "nope"),
    "msg": (b'{"code":"400","msg":"bad"}', errors.BadRequestError, "400", "bad"),
    "err": (b'{"err":"bad"}', errors.APIStatusError, None, "bad"),
    "error_msg": (b'{"error_msg":"bad"}', errors.APIStatusError, None, "bad"),
    "detail": (b'{"detail":"bad"}', errors.APIStatusError, None, "bad"),
    "detail list": (
        b'{"detail":[{"loc":["body"],"msg":"field required"}]}',
        errors.APIStatusError,
        None,
        "field required",
    ),
    "errors list": (b'{"errors":["bad"]}', errors.APIStatusError, None, "bad"),
    "description": (b'{"description":"quota","type":"x","code":4}', errors.APIStatusError, "4", "quota"),
    "header": (b'{"header":{"code":10013,"message":"bad"}}', errors.APIStatusError, None, "bad"),
    "header of a number": (b'{"header":{"message":5}}', errors.APIStatusError, None, "5"),
    "response": (b'{"response":{"error":{"message":"bad"}}}', errors.APIStatusError, None, "bad"),
    "response text": (b'{"response":{"error":"bad"}}', errors.APIStatusError, None, "bad"),
    "response list": (b'{"response":{"error":["bad"]}}', errors.APIStatusError, None, "bad"),
    "response odd": (b'{"response":{"error":{"reason":"bad"}}}', errors.APIStatusError, None, "bad"),
    "panel": (b'{"success":false,"message":"no token"}', errors.APIStatusError, None, "no token"),
    "panel without words": (b'{"success":false}', errors.APIStatusError, None, "nothing more"),
    "bool": (b'{"error":true,"message":"bad"}', errors.APIStatusError, None, "bad"),
    "no words": (b'{"error":{"code":"model_not_found"}}', errors.NotFoundError, "model_not_found", "nothing more"),
    "msg inside": (b'{"error":{"msg":"bad"}}', errors.APIStatusError, None, "bad"),
    "two at once": (
        b'{"error":{"message":"one","code":429}}{"error":{"message":"two"}}',
        errors.RateLimitError,
        "429",
        "one",
    ),
    "half a surrogate": (b'{"error":{"message":"bad \\ud83d"}}', errors.APIStatusError, None, "bad \ufffd"),
    "blank first": (b"\n" * 5000 + b'{"error":{"message":"bad"}}', errors.APIStatusError, None, "bad"),
    "quota": ('{"error":{"message":"令牌额度已用尽"}}'.encode(), errors.InsufficientQuotaError, None, "额度"),
    "policy": (
        b'{"error":{"message":"m","code":"content_policy_violation"}}',
        errors.ContentPolicyError,
        "content_policy_violation",
        "change it",
    ),
}


@pytest.mark.parametrize(("body", "cls", "code", "words"), DISGUISED.values(), ids=DISGUISED)
def test_an_error_in_an_answers_clothes_is_an_error(
    body: bytes, cls: type[APIError], code: str | None, words: str
) -> None:
    meta = Meta(200, {"x-request-id": "r1"})
    with pytest.raises(APIError) as caught:
        wire.read_completion(body, meta)
    error = caught.value
    assert type(error) is cls
    assert error.code == code
    assert words in str(error)
    assert (error.request_id, error.outcome) == ("r1", "rejected")
    for read in (wire.read_chunk, lambda data, meta: wire.read_answer(data, Answer, meta)):
        with pytest.raises(cls):
            read(body, meta)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error":{"message":"m","code":503}}', 503),
        (b'{"error":{"message":"m","code":"insufficient_quota"}}', 429),
        (b'{"error":{"message":"m","type":"server_error"}}', 500),
        (b'{"error":{"message":"m","code":7}}', 200),
    ],
)
def test_a_disguised_error_has_the_status_it_stands_for(body: bytes, status: int) -> None:
    error = wire.error_of_answer(body, OK)
    assert isinstance(error, errors.APIStatusError)
    assert error.status_code == status


@pytest.mark.parametrize(
    "body", [b'{"error":{"message":"m","code":524}}', b'{"error":{"message":"m","code":"bad_response_body"}}']
)
def test_a_disguised_error_may_hide_work_that_was_done(body: bytes) -> None:
    error = wire.error_of_answer(body, OK)
    assert error is not None
    assert error.outcome == "unknown"


@pytest.mark.parametrize(
    "body",
    [
        completion(error={"message": "success", "code": 0}),
        completion(error={"message": "m"}),
        b'{"id":"m1","message":"about it"}',
        b'{"data":[],"message":""}',
        b'{"success":true,"message":"ok"}',
        b'{"text":"hi"}',
        b"{}",
        b"[]",
        b"no JSON",
        b"",
    ],
)
def test_a_good_answer_is_no_error(body: bytes) -> None:
    assert wire.error_of_answer(body, OK) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"error":{"message":"bad"}}', "bad"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', "busy"),
        (b'{"message":"bad","id":"x","choices":[]}', "bad"),
        (b"plain words", "plain words"),
        (b'["bad"]', "bad"),
        (b"", "nothing more"),
        (b"{}", "nothing more"),
    ],
)
def test_an_error_event_is_an_error_whatever_its_data(data: bytes, words: str) -> None:
    error = wire.error_event(data, OK)
    assert words in str(error)
    assert error.outcome == "rejected"


# Sections 4.1, 4.3 and 4.4: statuses and bodies.
E = errors
NGINX = b"<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>openresty</body></html>"
STATUSES: dict[str, tuple[int, str | bytes, type[APIStatusError], str | None, str, str]] = {
    "openai": (
        400,
        '{"error":{"message":"bad","type":"invalid_request_error","param":null,"code":null}}',
        E.BadRequestError,
        None,
        "bad",
        "rejected",
    ),
    "new-api": (
        400,
        '{"error":{"message":"m (request id: 2026a)","type":"new_api_error","code":"invalid_text_request"}}',
        E.BadRequestError,
        "invalid_text_request",
        "m",
        "rejected",
    ),
    "integer code": (500, '{"error":{"message":"m","code":500}}', E.InternalServerError, "500", "m", "rejected"),
    "too long": (
        400,
        '{"error":{"message":"m","code":"context_length_exceeded"}}',
        E.ContextLengthError,
        "context_length_exceeded",
        "shorten",
        "rejected",
    ),
    "too long by words": (
        400,
        '{"error":{"message":"This model\'s maximum context length is 8192 tokens"}}',
        E.ContextLengthError,
        None,
        "8192",
        "rejected",
    ),
    "too long for litellm": (
        400,
        '{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: m","code":"400"}}',
        E.ContextLengthError,
        "400",
        "shorten",
        "rejected",
    ),
    "filtered by litellm": (
        400,
        '{"error":{"message":"litellm.BadRequestError: litellm.ContentPolicyViolationError: m","code":"400"}}',
        E.ContentPolicyError,
        "400",
        "refused",
        "rejected",
    ),
    "rate by words in a 400": (
        400,
        '{"error":{"message":"the rate limit field is unknown"}}',
        E.BadRequestError,
        None,
        "unknown",
        "rejected",
    ),
    "filter": (
        400,
        '{"error":{"message":"m","code":"sensitive_words_detected"}}',
        E.ContentPolicyError,
        "sensitive_words_detected",
        "refused",
        "rejected",
    ),
    "policy behind 500": (
        500,
        '{"error":{"message":"m","code":"content_filter"}}',
        E.ContentPolicyError,
        "content_filter",
        "refused",
        "rejected",
    ),
    "moderation": (
        400,
        '{"error":{"message":"m","code":"moderation_blocked"}}',
        E.ContentPolicyError,
        "moderation_blocked",
        "refused",
        "rejected",
    ),
    "no key": (401, '{"error":{"message":"未提供令牌"}}', E.AuthenticationError, None, "TUTU_API_KEY", "rejected"),
    "key used up": (
        401,
        '{"error":{"message":"该令牌额度已用尽"}}',
        E.InsufficientQuotaError,
        None,
        "top it up",
        "rejected",
    ),
    "wrong key": (
        400,
        '{"error":{"message":"m","code":"invalid_api_key"}}',
        E.AuthenticationError,
        "invalid_api_key",
        "check the key",
        "rejected",
    ),
    "balance": (402, "{}", E.InsufficientQuotaError, None, "top it up", "rejected"),
    "user quota": (
        403,
        '{"error":{"message":"m","code":"insufficient_user_quota"}}',
        E.InsufficientQuotaError,
        "insufficient_user_quota",
        "top it up",
        "rejected",
    ),
    "quota by type": (
        403,
        '{"error":{"message":"m","type":"insufficient_quota"}}',
        E.InsufficientQuotaError,
        None,
        "m",
        "rejected",
    ),
    "not allowed": (
        403,
        '{"error":{"message":"该令牌无权访问模型 gpt-4o"}}',
        E.PermissionDeniedError,
        None,
        "无权访问",
        "rejected",
    ),
    "wrong path": (
        404,
        '{"error":{"message":"Invalid URL (POST /v1/v1/chat/completions)"}}',
        E.NotFoundError,
        None,
        "base_url",
        "rejected",
    ),
    "no model": (
        503,
        '{"error":{"message":"无可用渠道","code":"model_not_found"}}',
        E.NotFoundError,
        "model_not_found",
        "model's name",
        "rejected",
    ),
    "method": (405, "", E.APIStatusError, None, "nothing more", "rejected"),
    "timeout": (408, '{"error":{"message":"m"}}', E.APIStatusError, None, "m", "rejected"),
    "conflict": (409, "{}", E.ConflictError, None, "409", "rejected"),
    "too large": (
        413,
        '{"error":{"message":"m","code":"read_request_body_failed"}}',
        E.PayloadTooLargeError,
        "read_request_body_failed",
        "max_side",
        "rejected",
    ),
    "too large by nginx": (
        413,
        "<html><title>413 Request Entity Too Large</title></html>",
        E.PayloadTooLargeError,
        None,
        "413 Request Entity Too Large",
        "rejected",
    ),
    "fastapi": (
        422,
        '{"detail":[{"loc":["body","n"],"msg":"too many requests of it"}]}',
        E.UnprocessableEntityError,
        None,
        "too many",
        "rejected",
    ),
    "saturated": (
        429,
        '{"error":{"message":"当前分组上游负载已饱和，请稍后再试"}}',
        E.RateLimitError,
        None,
        "max_concurrency",
        "rejected",
    ),
    "saturated behind 500": (
        500,
        '{"error":{"message":"当前分组上游负载已饱和"}}',
        E.RateLimitError,
        None,
        "饱和",
        "rejected",
    ),
    "empty 429": (429, "", E.RateLimitError, None, "nothing more", "rejected"),
    "two objects": (
        429,
        '{"error":{"message":"one"}}{"error":{"message":"two"}}',
        E.RateLimitError,
        None,
        "one",
        "rejected",
    ),
    "no quota": (
        429,
        '{"error":{"message":"m","code":"insufficient_quota"}}',
        E.InsufficientQuotaError,
        "insufficient_quota",
        "waiting does not help",
        "rejected",
    ),
    "do_request_failed": (
        500,
        '{"error":{"message":"m","code":"do_request_failed"}}',
        E.InternalServerError,
        "do_request_failed",
        "m",
        "unknown",
    ),
    "body was lost": (
        500,
        '{"error":{"message":"m","code":"read_response_body_failed"}}',
        E.InternalServerError,
        "read_response_body_failed",
        "m",
        "unknown",
    ),
    "body was HTML": (
        500,
        '{"error":{"message":"invalid character \'<\'","code":"unmarshal_response_body_failed"}}',
        E.InternalServerError,
        "unmarshal_response_body_failed",
        "'<'",
        "unknown",
    ),
    "no channel": (
        500,
        '{"error":{"message":"m","code":"channel:no_available_key"}}',
        E.InternalServerError,
        "channel:no_available_key",
        "m",
        "rejected",
    ),
    "no route": (
        501,
        '{"error":{"message":"m","code":"api_not_implemented"}}',
        E.InternalServerError,
        "api_not_implemented",
        "m",
        "rejected",
    ),
    "bad gateway": (
        502,
        "<html><head><title>502 Bad Gateway</title></head></html>",
        E.InternalServerError,
        None,
        "502 Bad Gateway",
        "unknown",
    ),
    "unavailable": (503, "Service Unavailable", E.InternalServerError, None, "Service Unavailable", "rejected"),
    "nginx": (504, NGINX, E.InternalServerError, None, "504 Gateway Time-out", "unknown"),
    "cloudflare": (
        524,
        "<!DOCTYPE html><title>relay.example | 524: A timeout occurred</title>",
        E.InternalServerError,
        None,
        "524: A timeout",
        "unknown",
    ),
    "challenge": (
        403,
        "<html><TITLE lang=en>Just a\n moment...</TITLE>",
        E.PermissionDeniedError,
        None,
        "Just a moment...",
        "rejected",
    ),
    "page without title": (520, "<html>oops", E.InternalServerError, None, "<html>oops", "unknown"),
    "overloaded": (
        529,
        '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
        E.InternalServerError,
        None,
        "Overloaded",
        "rejected",
    ),
    "teapot": (418, "short", E.APIStatusError, None, "short", "rejected"),
    "error text": (500, '{"error":"text"}', E.InternalServerError, None, "text", "rejected"),
    "panel": (400, '{"success":false,"message":"m"}', E.BadRequestError, None, "m", "rejected"),
    "midjourney": (
        400,
        '{"description":"quota_not_enough","type":"upstream_error","code":4}',
        E.BadRequestError,
        "4",
        "quota_not_enough",
        "rejected",
    ),
    "errors": (400, '{"errors":[{"m":1}]}', E.BadRequestError, None, '"m": 1', "rejected"),
    "odd object": (400, '{"reason":"odd"}', E.BadRequestError, None, "odd", "rejected"),
    "error odd": (400, '{"error":{"reason":"odd"}}', E.BadRequestError, None, "odd", "rejected"),
    "list": (400, '["odd"]', E.BadRequestError, None, "odd", "rejected"),
    "null": (400, "null", E.BadRequestError, None, "null", "rejected"),
    "blanks": (500, " \r\n ", E.InternalServerError, None, "nothing more", "rejected"),
    "no UTF-8": (500, b"bad \xff\xfe", E.InternalServerError, None, "bad \ufffd\ufffd", "rejected"),
    "forged": (
        500,
        '{"error":{"message":"a\\r\\n[INFO] b\\u001b[0m"}}',
        E.InternalServerError,
        None,
        "a\\r\\n[INFO] b\\x1b[0m",
        "rejected",
    ),
    "deep": (400, b'{"error":' + b"[" * 5000, E.BadRequestError, None, "[[[", "rejected"),
}


def of_status(status: int, body: str | bytes = b"", **headers: str) -> APIStatusError:
    data = body.encode() if isinstance(body, str) else body
    meta = Meta(status, {name.replace("_", "-"): value for name, value in headers.items()})
    return wire.error_of_status("POST /chat/completions", data, meta, retry_after=1.5)


@pytest.mark.parametrize(("status", "body", "cls", "code", "words", "outcome"), STATUSES.values(), ids=STATUSES)
def test_tells_errors_apart_by_their_words_then_by_their_status(
    status: int, body: str | bytes, cls: type[APIStatusError], code: str | None, words: str, outcome: str
) -> None:
    error = of_status(status, body, x_request_id="r1")
    assert type(error) is cls
    assert (error.status_code, error.code, error.outcome) == (status, code, outcome)
    assert words in str(error)
    assert str(error).startswith(f"POST /chat/completions answered {status}: ")
    assert str(error).isprintable()
    assert (error.request_id, error.retry_after) == ("r1", 1.5)
    assert error.response is not None


@pytest.mark.parametrize(
    ("body", "headers", "request_id"),
    [
        ('{"error":{"message":"m (request id: 2026a) (request id: 2026b)"}}', {}, "2026b"),
        ('{"error":{"message":"m (request id: 2026a)"}}', {"x_oneapi_request_id": "o1"}, "o1"),
        ("", {"cf_ray": "c1"}, "c1"),
        ("", {}, None),
    ],
)
def test_an_error_has_the_relays_name_for_the_call(body: str, headers: dict[str, str], request_id: str | None) -> None:
    assert of_status(500, body, **headers).request_id == request_id


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (
            '{"error":{"message":"m","code":"c","param":"429","metadata":{"a":1}}}',
            {"message": "m", "code": "c", "param": "429", "metadata": {"a": 1}},
        ),
        ('{"detail":"m"}', {"detail": "m"}),
        ('{"error":"m","type":"t"}', {"message": "m", "code": None, "type": "t"}),
        ("words", "words"),
        ("", ""),
    ],
)
def test_an_error_keeps_the_relays_own_object(body: str, kept: object) -> None:
    assert of_status(400, body).body == kept


def test_a_long_body_is_cut() -> None:
    error = of_status(500, "x" * 100_000)
    assert len(str(error)) < 700
    assert len(str(error.body)) <= 2048


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_says_where_the_relay_is(status: int) -> None:
    error = of_status(status, "<html>moved</html>", location="https://new.example/v1/chat/completions?token=1")
    assert "https://new.example/v1/chat/completions" in str(error)
    assert "set base_url" in str(error)
    assert "token" not in str(error)


@pytest.mark.parametrize("depth", [*range(245, 260), *range(940, 1010, 7), 100_000])
@pytest.mark.parametrize(
    "frame",
    [
        b'{"message":%s}',
        b'{"error":{"message":%s}}',
        b'{"response":{"error":%s}}',
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":%s}}]}}]}',
        b'{"choices":[{"delta":{"content":%s}}]}',
        b'{"choices":[{"delta":{"content":"x"}}],"x":%s}',
    ],
)
def test_no_depth_breaks_the_reader(frame: bytes, depth: int) -> None:
    body = frame % (b"[" * depth + b"]" * depth)
    for read in (wire.read_completion, wire.read_chunk, wire.error_of_answer, wire.error_event):
        with contextlib.suppress(APIError):
            read(body, OK)
    assert of_status(500, body).status_code == 500


WORDS = """
    choices message delta content error code msg type text tool_calls function usage arguments prompt_tokens
    prompt_tokens_details response header detail data url success id index finish_reason images reasoning_content
    created Choices object name custom
"""
words = st.sampled_from(WORDS.split())
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | words
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["stop", "500", "success", "error", 10**400, -1, 1e308])
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)
near_answers = st.fixed_dictionaries(
    {"choices": st.lists(st.dictionaries(words, trees, max_size=4) | trees, max_size=3) | trees},
    optional={"usage": st.dictionaries(words, trees, max_size=4) | trees, "error": trees, "data": trees, "id": trees},
)
any_json = (trees | near_answers).map(lambda tree: json.dumps(tree).encode())
any_bytes = st.binary(max_size=60) | st.tuples(any_json, st.binary(max_size=3)).map(b"".join) | any_json


@given(body=any_bytes)
def test_any_bytes_are_an_answer_or_one_of_our_errors(body: bytes) -> None:
    with contextlib.suppress(errors.APIStatusError, UnexpectedResponseError):
        answer = wire.read_completion(body, OK)
        assert isinstance(answer, ChatCompletion)
        assert answer.text.encode().decode() == answer.text
        assert isinstance(answer.extra, dict)
        assert wire.encode({"messages": wire.sendable([answer.message])}).plain


@given(body=any_bytes)
def test_any_bytes_are_a_chunk_or_nothing_or_one_of_our_errors(body: bytes) -> None:
    with contextlib.suppress(errors.APIStatusError, UnexpectedResponseError):
        chunk = wire.read_chunk(body, OK)
        assert chunk is None or isinstance(chunk, ChatCompletionChunk)


@given(body=any_bytes, status=st.integers(300, 599))
def test_any_bytes_are_an_error_where_the_status_says_so(body: bytes, status: int) -> None:
    error = of_status(status, body)
    assert error.status_code == status
    assert str(error).encode()
    assert wire.error_event(body, OK).outcome in {"rejected", "unknown"}


@given(tree=near_answers)
def test_what_the_quick_way_reads_the_patient_way_reads_alike(tree: dict[str, Any]) -> None:
    body = json.dumps(tree).encode()
    try:
        quick, patient = answer_of(body), answer_of(b"\xef\xbb\xbf" + body)
    except TutuError:
        return
    assert [c.message.text for c in quick.choices] == [c.message.text for c in patient.choices]


# --- chunks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"{}", b"null", b"[]", b" {} ", b"\xef\xbb\xbf{}"])
def test_an_event_that_carries_nothing_is_no_chunk(data: bytes) -> None:
    assert wire.read_chunk(data, OK) is None


@pytest.mark.parametrize("data", [b"5", b'"hi"', b"[1]", b"true", b"hello", b'{"choices"', b"<html>"])
def test_an_event_that_is_no_chunk_is_said(data: bytes) -> None:
    with pytest.raises(UnexpectedResponseError):
        wire.read_chunk(data, OK)


def test_reads_a_chunk_patiently() -> None:
    chunk = wire.read_chunk(
        b'{"created":null,"choices":[{"index":null,"delta":{"content":[{"text":"hi"}]}}],"x":1}', OK
    )
    assert chunk is not None
    assert (chunk.text, chunk.extra, chunk.created) == ("hi", {"x": 1}, 0)


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b'{"a":1}', [b'{"a":1}']),
        (b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}{"b":2}  [DONE]', [b'{"a":1}', b'{"b":2}', b"[DONE]"]),
        (b'\xef\xbb\xbf{"a":NaN}\r\n{"b"', [b'{"a":NaN}', b'{"b"']),
        (b"oops", [b"oops"]),
        (b'{"a":1}\n\n', [b'{"a":1}\n\n']),
        (b"", []),
    ],
)
def test_takes_events_apart_that_were_run_together(data: bytes, parts: list[bytes]) -> None:
    assert wire.apart(data) == parts


@pytest.mark.parametrize(
    ("start", "content_type", "is_stream"),
    [
        (b"data: {}", "application/json", True),
        (b"event: error", "", True),
        (b"id: 1", "", True),
        (b"retry: 5", "", True),
        (b": PING", "", True),
        (b"\xef\xbb\xbf\r\n data: {}", "", True),
        (b"{}", "text/event-stream; charset=utf-8", False),
        (b" [1]", "text/event-stream", False),
        (b"<html>", "text/event-stream", False),
        (b"oops", "text/event-stream", True),
        (b"oops", "text/plain", False),
        (b"", "text/event-stream", False),
        (b"   ", "text/event-stream", False),
        (b"{}", "application/json", False),
    ],
)
def test_knows_an_event_stream_by_its_first_bytes(start: bytes, content_type: str, is_stream: bool) -> None:
    assert wire.is_event_stream(start, content_type) is is_stream


# --- any other page --------------------------------------------------------------------------------------------------


class Odd(Answer, frozen=True, kw_only=True):
    score: float = 0.5
    flag: bool = False
    table: dict[str, Any] = msgspec.field(default_factory=dict)
    names: list[str] = msgspec.field(default_factory=list)
    either: int | str | None = None
    usage: Usage | None = None


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        (b'{"score":1}', "score", 1.0),
        (b'{"score":"2.5"}', "score", 2.5),
        (b'{"score":"nan"}', "score", 0.5),
        (b'{"score":"x"}', "score", 0.5),
        (b'{"score":true}', "score", 0.5),
        (b'{"score":[]}', "score", 0.5),
        (b'{"score":1' + b"0" * 350 + b"}", "score", 0.5),
        (b'{"flag":true}', "flag", True),
        (b'{"flag":1}', "flag", False),
        (b'{"table":{"a":1}}', "table", {"a": 1}),
        (b'{"table":[]}', "table", {}),
        (b'{"names":["a",5,null,true]}', "names", ["a", "5"]),
        (b'{"names":"a"}', "names", []),
        (b'{"either":"a"}', "either", "a"),
        (b'{"either":"7"}', "either", 7),
        (b'{"either":null}', "either", None),
        (b'{"either":[]}', "either", None),
        (b'{"usage":{"input_tokens":3}}', "usage", Usage(prompt_tokens=3)),
    ],
)
def test_a_field_that_cannot_be_read_decides_over_no_other(body: bytes, field: str, value: object) -> None:
    answer = wire.read_answer(body[:-1] + b',"object":"odd"}', Odd, OK)
    assert getattr(answer, field) == value
    assert answer.extra == {"object": "odd"}


# --- compressed bodies -----------------------------------------------------------------------------------------------

TEXT = b'{"choices": []} ' * 5000


def raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(data) + squeeze.flush()


CODINGS = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "x-gzip": ("x-gzip", gzip.compress(TEXT)),
    "zlib": ("deflate", zlib.compress(TEXT)),
    "raw deflate": ("deflate", raw_deflate(TEXT)),
    "members": ("gzip", gzip.compress(TEXT[:999]) + b"\0\0" + gzip.compress(TEXT[999:])),
}


@pytest.mark.parametrize(("encoding", "squeezed"), CODINGS.values(), ids=CODINGS)
@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_inflates_what_was_compressed_unasked(encoding: str, squeezed: bytes, step: int) -> None:
    inflater = wire.Inflater(encoding, len(TEXT), OK)
    pieces = [inflater.feed(squeezed[start : start + step]) for start in range(0, len(squeezed), step)]
    assert b"".join(piece for group in pieces for piece in group) == TEXT
    assert inflater.complete


def test_gives_a_large_body_in_pieces() -> None:
    inflater = wire.Inflater("gzip", 2**24, OK)
    pieces = inflater.feed(gzip.compress(bytes(2**22)))
    assert sum(map(len, pieces)) == 2**22
    assert max(map(len, pieces)) <= 2**20


@pytest.mark.parametrize(("encoding", "squeezed"), CODINGS.values(), ids=CODINGS)
def test_padding_behind_a_body_is_no_part_of_it(encoding: str, squeezed: bytes) -> None:
    inflater = wire.Inflater(encoding, len(TEXT), OK)
    assert b"".join(inflater.feed(squeezed) + inflater.feed(bytes(9)) + inflater.feed(b"\0")) == TEXT
    assert inflater.complete


@pytest.mark.parametrize("size", range(2**20, 2**20 + 300, 13))
def test_gives_the_last_bytes_of_a_body_that_fills_its_pieces(size: int) -> None:
    for squeezed in (raw_deflate(bytes(size)), zlib.compress(bytes(size)), gzip.compress(bytes(size))):
        inflater = wire.Inflater("gzip" if squeezed[0] == 0x1F else "deflate", size, OK)
        assert sum(map(len, inflater.feed(squeezed))) == size
        assert inflater.complete


def test_stops_at_a_bomb_early() -> None:
    inflater = wire.Inflater("gzip", 2**16, OK)
    with pytest.raises(UnexpectedResponseError, match=r"more than 65,536 bytes .*max_response_bytes"):
        inflater.feed(gzip.compress(bytes(2**24)))


def test_a_body_of_exactly_the_limit_is_none_too_many() -> None:
    inflater = wire.Inflater("gzip", len(TEXT), OK)
    assert sum(map(len, inflater.feed(gzip.compress(TEXT)))) == len(TEXT)
    with pytest.raises(UnexpectedResponseError, match="more than"):
        wire.Inflater("gzip", len(TEXT) - 1, OK).feed(gzip.compress(TEXT))


@pytest.mark.parametrize(("encoding", "squeezed"), CODINGS.values(), ids=CODINGS)
def test_a_body_that_was_cut_is_not_complete(encoding: str, squeezed: bytes) -> None:
    inflater = wire.Inflater(encoding, len(TEXT), OK)
    inflater.feed(squeezed[:-5])
    assert not inflater.complete
    assert not wire.Inflater(encoding, len(TEXT), OK).complete


@pytest.mark.parametrize(
    ("encoding", "data"), [("gzip", b"plain text"), ("deflate", b"\x08\xff"), ("deflate", b"\xff" * 9)]
)
def test_a_body_that_is_not_what_its_label_says_is_broken(encoding: str, data: bytes) -> None:
    with pytest.raises(UnexpectedResponseError, match="broken"):
        wire.Inflater(encoding, 1000, OK).feed(data)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "", "\x1b[31m"])
def test_refuses_an_encoding_it_did_not_ask_for(encoding: str) -> None:
    with pytest.raises(UnexpectedResponseError, match="not asked for") as caught:
        wire.Inflater(encoding, 1000, OK)
    assert str(caught.value).isprintable()


@given(data=st.binary(max_size=60), encoding=st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_inflate_or_are_broken(data: bytes, encoding: str) -> None:
    with contextlib.suppress(UnexpectedResponseError):
        wire.Inflater(encoding, 100, OK).feed(data)
