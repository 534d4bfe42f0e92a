"""openai's own models, strictly, on what the stand-in answers; ``tests/testing/test_description.py`` has the rest."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from openai.types import Completion, CreateEmbeddingResponse, ImagesResponse, Model
from openai.types.audio import Transcription, TranscriptionVerbose
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from tests.testing.test_description import CALLS, CHAT, CHUNK, EMBEDDINGS, IMAGES, TEXT, VERBOSE, events
from tutuclient.testing import Server, sample_picture, sample_sound

MODELS: list[tuple[Any, Any]] = [
    (CHAT, ChatCompletion),
    (CHUNK, ChatCompletionChunk),
    (TEXT, Completion),
    (EMBEDDINGS, CreateEmbeddingResponse),
    (IMAGES, ImagesResponse),
    (VERBOSE, TranscriptionVerbose),
]


def model_of(wanted: Any) -> Any:
    return next((model for described, model in MODELS if described is wanted), None)


def check(model: Any, value: Any) -> None:
    TypeAdapter(model).validate_json(json.dumps(value), strict=True)


@pytest.mark.parametrize(("path", "body", "wanted"), [call for call in CALLS if model_of(call[2]) is not None])
async def test_openais_models_take_what_is_answered(
    server: Server, path: str, body: dict[str, Any], wanted: Any
) -> None:
    if body.get("encoding_format") == "base64":
        return  # openai decodes it before its model sees it.
    async with aiohttp.ClientSession() as http, http.post(f"{server.base_url}{path}", json=body) as answer:
        text = await answer.text()
    for value in events(text) if body.get("stream") else [json.loads(text)]:
        check(model_of(wanted), value)


@pytest.mark.parametrize(
    ("path", "fields", "model"),
    [
        ("/images/edits", {"model": "gpt-image-1", "prompt": "blur it"}, ImagesResponse),
        ("/audio/transcriptions", {"model": "gpt-4o-transcribe"}, Transcription),
        ("/audio/transcriptions", {"model": "whisper-1", "response_format": "verbose_json"}, TranscriptionVerbose),
    ],
)
async def test_openais_models_take_what_is_answered_to_forms(
    server: Server, path: str, fields: dict[str, str], model: Any
) -> None:
    data = aiohttp.FormData(fields)
    if "audio" in path:
        data.add_field("file", sample_sound("hi"), filename="talk.wav")
    else:
        data.add_field("image", sample_picture(), filename="cat.png")
    async with aiohttp.ClientSession() as http, http.post(f"{server.base_url}{path}", data=data) as answer:
        check(model, await answer.json())


async def test_openais_model_takes_a_model(server: Server) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{server.base_url}/models") as answer:
        for each in (await answer.json())["data"]:
            check(Model, each)
