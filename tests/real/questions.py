"""What is asked: a page and its fields for each question, in the API's own words; files are named, not opened."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from tests.real.asking import FILES, Body
from tutuclient.testing import sample_picture, sample_sound

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PICTURE = f"data:image/png;base64,{base64.b64encode(sample_picture()).decode()}"
LOOK = [{"type": "text", "text": "What is in this picture?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
HELLO = "Say hello, 你好 and 🐼."
SPOKEN = "Hello there. 你好!"
SOUND = {"data": base64.b64encode(sample_sound(SPOKEN)).decode(), "format": "wav"}
LISTEN = [{"type": "text", "text": "What is said here?"}, {"type": "input_audio", "input_audio": SOUND}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}, "rainy": {"type": "boolean"}},
    "required": ["city", "people", "rainy"],
    "additionalProperties": False,
}


def ask(content: Any, **fields: Any) -> Body:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **fields}


def stream(content: Any, **fields: Any) -> Body:
    return ask(content, stream_options={"include_usage": True}, **fields)


QUESTIONS: Mapping[str, tuple[str, Body]] = {
    "models": ("models", {}),
    "model": ("model", {"model": "gpt-4o"}),
    "chat": ("chat", ask(HELLO)),
    "chat-zh": ("chat", ask("这张图片有什么")),
    "chat-cut": ("chat", ask(HELLO, max_tokens=3)),
    "chat-picture": ("chat", ask(LOOK)),
    "chat-sound": ("chat", ask(LISTEN)),
    "chat-drawn": ("chat", ask("a red panda", model="gpt-4o-image")),
    "chat-stream": ("stream", stream(HELLO)),
    "chat-cut-stream": ("stream", stream("这张图片有什么", max_tokens=4)),
    "chat-picture-stream": ("stream", stream(LOOK)),
    "thinking": ("thinking", ask(HELLO, reasoning_effort="high")),
    "choices": ("choices", ask(HELLO, n=3, logprobs=True)),
    "spoken": (
        "spoken",
        ask(
            HELLO, model="gpt-4o-audio-preview", modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}
        ),
    ),
    "tool": ("chat", ask("What is the weather in Paris, in celsius?", tools=[WEATHER])),
    "tool-stream": ("stream", stream("What is the weather in Paris, in celsius?", tools=[WEATHER])),
    "tools": ("chat", ask("What is the weather in Paris and in Oslo, in celsius?", tools=[WEATHER])),
    "tools-stream": ("stream", stream("What is the weather in Paris and in Oslo, in celsius?", tools=[WEATHER])),
    "tool-round": (
        "tool_round",
        ask("What is the weather in Paris, in celsius?", tools=[WEATHER], results={"get_weather": "晴, 21 °C"}),
    ),
    "object": (
        "object",
        ask(
            "city: Oslo, people: 700000, rainy: true",
            response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}},
        ),
    ),
    "completion": ("completion", {"model": "gpt-3.5-turbo-instruct", "prompt": "Once upon a time", "max_tokens": 40}),
    "completion-cut": ("completion", {"model": "gpt-3.5-turbo-instruct", "prompt": "从前", "max_tokens": 3}),
    "completion-stream": (
        "completion_stream",
        {
            "model": "gpt-3.5-turbo-instruct",
            "prompt": "Once upon a time",
            "max_tokens": 40,
            "stream_options": {"include_usage": True},
        },
    ),
    "embedding": ("embeddings", {"model": "text-embedding-3-small", "input": HELLO}),
    "embeddings": (
        "embeddings",
        {"model": "text-embedding-3-small", "input": ["a cat", "a kitten", "小猫", "tax law"]},
    ),
    "embeddings-float": (
        "embeddings",
        {"model": "text-embedding-3-small", "input": ["a cat", "小猫"], "encoding_format": "float"},
    ),
    "image": ("image", {"model": "gpt-image-1", "prompt": "a red panda", "size": "1024x1024"}),
    "images": ("image", {"model": "gpt-image-1", "prompt": "蓝天白云", "size": "1024x1024", "n": 2}),
    "image-stream": (
        "image_stream",
        {"model": "gpt-image-1", "prompt": "a red panda", "size": "1024x1024", "partial_images": 2},
    ),
    "image-edit": (
        "image_edit",
        {"model": "gpt-image-1", "prompt": "make it grey", "image": "picture.png", "size": "1024x1024"},
    ),
    "image-variation": (
        "image_variation",
        {"model": "dall-e-2", "image": "picture.png", "response_format": "b64_json", "size": "256x256"},
    ),
    "speech": ("speech", {"model": "tts-1", "voice": "alloy", "input": HELLO, "response_format": "wav"}),
    "speech-pcm": ("speech", {"model": "tts-1", "voice": "alloy", "input": "Hi!", "response_format": "pcm"}),
    **{
        f"transcription-{form}": (
            "transcription",
            {"model": "whisper-1", "file": "sound.wav", "response_format": form},
        )
        for form in ("json", "text", "verbose_json", "srt", "vtt")
    },
    "transcription-stream": ("transcription_stream", {"model": "gpt-4o-transcribe", "file": "sound.wav"}),
    "translation": ("translation", {"model": "whisper-1", "file": "sound.wav"}),
}


def question(name: str, folder: Path) -> tuple[str, Body]:
    """Return a question's page and fields, with the files that it names written into a folder.

    Args:
        name: Its name in ``QUESTIONS``.
        folder: Where the files go, unless they are there.
    """
    for file, content in (("picture.png", sample_picture()), ("sound.wav", sample_sound(SPOKEN))):
        if not (folder / file).exists():
            (folder / file).write_bytes(content)
    page, fields = QUESTIONS[name]
    return page, fields | {each: str(folder / fields[each]) for each in FILES if each in fields}


def about(answer: Body) -> Body:
    """Compare an answer's vectors as equal to others that differ by a millionth: base64 has single precision."""
    vectors = [pytest.approx(vector, abs=1e-6) for vector in answer.get("vectors", ())]
    return answer | {"vectors": vectors} if vectors else answer
