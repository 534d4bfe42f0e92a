"""What the stand-in answers is valid by the API's own description: fields that are required, types and enumerations.

Source: the OpenAPI description of the OpenAI API, 2.3.0, of which these are the parts that hold for what is answered
here. ``tests/real/test_description.py`` asks openai's own models the same.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tutuclient.testing import sample_picture, sample_sound

if TYPE_CHECKING:
    from tutuclient.testing import Server

NUMBER = (int, float)
COUNTS = {"prompt_tokens": int, "completion_tokens": int, "total_tokens": int}
MESSAGE = {
    "role": {"assistant"},
    "content": (str, None),
    "refusal": (str, None),
    "tool_calls?": [{"id": str, "type": {"function"}, "function": {"name": str, "arguments": str}}],
    "audio?": {"id": str, "data": str, "expires_at": int, "transcript": str},
}
TOKEN = {"token": str, "logprob": NUMBER, "bytes": ([int], None)}
LOGPROBS = ({"content": ([{**TOKEN, "top_logprobs": [TOKEN]}], None), "refusal": ([{}], None)}, None)
FINISH = {"stop", "length", "tool_calls", "content_filter", "function_call"}
CHAT = {
    "id": str,
    "object": {"chat.completion"},
    "created": int,
    "model": str,
    "choices": [{"index": int, "message": MESSAGE, "logprobs": LOGPROBS, "finish_reason": FINISH}],
    "usage?": COUNTS,
}
CHUNK = {
    "id": str,
    "object": {"chat.completion.chunk"},
    "created": int,
    "model": str,
    "choices": [
        {
            "index": int,
            "delta": {"role?": {"assistant"}, "content?": (str, None), "refusal?": (str, None)},
            "logprobs?": LOGPROBS,
            "finish_reason": (FINISH, None),
        }
    ],
    "usage?": (COUNTS, None),
}
TEXT = {
    "id": str,
    "object": {"text_completion"},
    "created": int,
    "model": str,
    "choices": [
        {
            "index": int,
            "text": str,
            "logprobs": (
                {"tokens": [str], "token_logprobs": [NUMBER], "top_logprobs": [{}], "text_offset": [int]},
                None,
            ),
            "finish_reason": {"stop", "length", "content_filter"},
        }
    ],
    "usage?": COUNTS,
}
EMBEDDINGS = {
    "object": {"list"},
    "model": str,
    "data": [{"object": {"embedding"}, "index": int, "embedding": ([NUMBER], str)}],
    "usage": {"prompt_tokens": int, "total_tokens": int},
}
IMAGES_USAGE = {
    "input_tokens": int,
    "output_tokens": int,
    "total_tokens": int,
    "input_tokens_details": {"text_tokens": int, "image_tokens": int},
}
SIZES = {"1024x1024", "1024x1536", "1536x1024"}
IMAGES = {
    "created": int,
    "data": [{"url?": str, "b64_json?": str, "revised_prompt?": str}],
    "size?": SIZES,
    "quality?": {"low", "medium", "high"},
    "background?": {"transparent", "opaque"},
    "output_format?": {"png", "webp", "jpeg"},
    "usage?": IMAGES_USAGE,
}
IMAGE_EVENT = {
    "type": {
        "image_generation.partial_image",
        "image_generation.completed",
        "image_edit.partial_image",
        "image_edit.completed",
    },
    "b64_json": str,
    "created_at": int,
    "size": {*SIZES, "auto"},
    "quality": {"low", "medium", "high", "auto"},
    "background": {"transparent", "opaque", "auto"},
    "output_format": {"png", "webp", "jpeg"},
    "partial_image_index?": int,
    "usage?": IMAGES_USAGE,
}
SEGMENT = {
    "id": int,
    "seek": int,
    "start": NUMBER,
    "end": NUMBER,
    "text": str,
    "tokens": [int],
    "temperature": NUMBER,
    "avg_logprob": NUMBER,
    "compression_ratio": NUMBER,
    "no_speech_prob": NUMBER,
}
VERBOSE = {"language": str, "duration": NUMBER, "text": str, "segments?": [SEGMENT]}
MODELS = {
    "object": {"list"},
    "data": [{"id": str, "object": {"model"}, "created": int, "owned_by": str}],
}
ERROR = {"error": {"message": str, "type": str, "param": (str, None), "code": (str, None)}}


def faults(value: Any, wanted: Any, at: str = "answer") -> list[str]:
    """Return where a value is not as described; a set is an enumeration, a tuple a choice, "?" may be missing."""
    if isinstance(wanted, dict) and isinstance(value, dict):
        return missing_or_wrong(value, wanted, at)
    if isinstance(wanted, list) and isinstance(value, list):
        return [found for place, each in enumerate(value) for found in faults(each, wanted[0], f"{at}[{place}]")]
    if isinstance(wanted, tuple):
        good = any(not faults(value, each, at) for each in wanted)
    elif isinstance(wanted, set):
        good = value in wanted
    else:
        good = value is None if wanted is None else isinstance(wanted, type) and type(value) is wanted
    return [] if good else [f"{at}: {value!r} is not {wanted}"]


def missing_or_wrong(value: dict[str, Any], wanted: dict[str, Any], at: str) -> list[str]:
    found: list[str] = []
    for name, kind in wanted.items():
        bare = name.removesuffix("?")
        if bare in value:
            found += faults(value[bare], kind, f"{at}.{bare}")
        elif bare == name:
            found.append(f"{at}.{bare} is missing")
    return found


HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
PICTURE = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64," + base64.b64encode(sample_picture()).decode()},
}
CALLS: list[tuple[str, dict[str, Any], Any]] = [
    ("/chat/completions", {"model": "gpt-4o", "messages": HI}, CHAT),
    ("/chat/completions", {"model": "gpt-4o", "messages": HI, "n": 2, "logprobs": True, "top_logprobs": 2}, CHAT),
    ("/chat/completions", {"model": "gpt-4o", "messages": HI, "tools": [TOOL], "tool_choice": "required"}, CHAT),
    ("/chat/completions", {"model": "gpt-4o", "messages": [{"role": "user", "content": [PICTURE]}]}, CHAT),
    ("/chat/completions", {"model": "gpt-4o-image", "messages": [{"role": "user", "content": "a cat"}]}, CHAT),
    (
        "/chat/completions",
        {"model": "gpt-4o-audio-preview", "messages": HI, "modalities": ["text", "audio"], "audio": {"format": "wav"}},
        CHAT,
    ),
    ("/chat/completions", {"model": "gpt-4o", "messages": HI, "stream": True, "logprobs": True}, CHUNK),
    (
        "/chat/completions",
        {"model": "gpt-4o", "messages": HI, "stream": True, "stream_options": {"include_usage": True}},
        CHUNK,
    ),
    ("/chat/completions", {"model": "gpt-4o", "messages": []}, ERROR),
    ("/completions", {"model": "m", "prompt": "hi", "logprobs": 2}, TEXT),
    ("/embeddings", {"model": "m", "input": ["hi", "ho"]}, EMBEDDINGS),
    ("/embeddings", {"model": "m", "input": "hi", "encoding_format": "base64"}, EMBEDDINGS),
    ("/images/generations", {"model": "gpt-image-1", "prompt": "a cat"}, IMAGES),
    ("/images/generations", {"model": "gpt-image-1", "prompt": "a cat", "size": "1536x1024", "quality": "low"}, IMAGES),
    ("/images/generations", {"model": "dall-e-2", "prompt": "a cat", "size": "256x256"}, IMAGES),
    (
        "/images/generations",
        {"model": "gpt-image-1", "prompt": "a cat", "size": "1024x1536", "stream": True, "partial_images": 1},
        IMAGE_EVENT,
    ),
    ("/images/generations", {"model": "gpt-image-1"}, ERROR),
    ("/audio/speech", {"model": "m", "input": "hi"}, ERROR),
]


@pytest.mark.parametrize(("path", "body", "wanted"), CALLS)
async def test_what_is_answered_to_json_is_as_described(
    server: Server, http: aiohttp.ClientSession, path: str, body: dict[str, Any], wanted: Any
) -> None:
    async with http.post(f"{server.base_url}{path}", json=body) as answer:
        text = await answer.text()
    values = events(text) if body.get("stream") else [json.loads(text)]
    assert values
    assert [fault for value in values for fault in faults(value, wanted)] == []


def events(text: str) -> list[Any]:
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(each) for each in data if each != "[DONE]"]


@pytest.mark.parametrize(
    ("path", "fields", "wanted"),
    [
        ("/images/edits", {"model": "gpt-image-1", "prompt": "a sky behind it"}, IMAGES),
        ("/images/edits", {"model": "gpt-image-1", "prompt": "blur it", "stream": "true"}, IMAGE_EVENT),
        ("/images/variations", {"model": "dall-e-2", "size": "256x256"}, IMAGES),
        ("/audio/transcriptions", {"model": "whisper-1"}, {"text": str}),
        ("/audio/transcriptions", {"model": "whisper-1", "response_format": "verbose_json"}, VERBOSE),
        ("/audio/translations", {"model": "whisper-1", "response_format": "verbose_json"}, VERBOSE),
        (
            "/audio/transcriptions",
            {"model": "gpt-4o-transcribe"},
            {"text": str, "usage?": {"type": {"tokens", "duration"}}},
        ),
    ],
)
async def test_what_is_answered_to_a_form_is_as_described(
    server: Server, http: aiohttp.ClientSession, path: str, fields: dict[str, str], wanted: Any
) -> None:
    data = aiohttp.FormData(fields)
    if "audio" in path:
        data.add_field("file", sample_sound("hi"), filename="talk.wav", content_type="audio/wav")
    else:
        data.add_field("image", sample_picture(), filename="cat.png", content_type="image/png")
    async with http.post(f"{server.base_url}{path}", data=data) as answer:
        text = await answer.text()
    values = events(text) if "stream" in fields else [json.loads(text)]
    assert values
    assert [fault for value in values for fault in faults(value, wanted)] == []


async def test_the_list_of_models_is_as_described(server: Server, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{server.base_url}/models") as answer:
        assert faults(await answer.json(), MODELS) == []


def test_what_is_not_as_described_is_found() -> None:
    assert faults({"role": "assistant", "content": "x"}, MESSAGE) == ["answer.refusal is missing"]
    assert faults({"created": 1, "data": [], "size": "720x540"}, IMAGES)
    assert faults([1], [str]) == ["answer[0]: 1 is not <class 'str'>"]
