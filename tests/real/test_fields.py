"""The fields of requests take null where openai's own types do, and the same words."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from openai.types import (
    completion_create_params,
    embedding_create_params,
    image_create_variation_params,
    image_edit_params,
    image_generate_params,
)
from openai.types.audio import speech_create_params, transcription_create_params, translation_create_params
from openai.types.chat import completion_create_params as chat_params

from tutuclient.types.audio import SpeechFields, TranscriptionFields, TranslationFields
from tutuclient.types.chat import ChatFields
from tutuclient.types.completions import CompletionFields
from tutuclient.types.embeddings import EmbeddingFields
from tutuclient.types.images import ImageEditFields, ImageGenerateFields, ImageVariationFields

PAIRS: list[tuple[Any, Any]] = [
    (chat_params.CompletionCreateParamsNonStreaming, ChatFields),
    (completion_create_params.CompletionCreateParamsNonStreaming, CompletionFields),
    (embedding_create_params.EmbeddingCreateParams, EmbeddingFields),
    (image_create_variation_params.ImageCreateVariationParams, ImageVariationFields),
    (image_edit_params.ImageEditParamsNonStreaming, ImageEditFields),
    (image_generate_params.ImageGenerateParamsNonStreaming, ImageGenerateFields),
    (speech_create_params.SpeechCreateParams, SpeechFields),
    (transcription_create_params.TranscriptionCreateParamsNonStreaming, TranscriptionFields),
    (translation_create_params.TranslationCreateParams, TranslationFields),
]
ROWS = [
    pytest.param(theirs, ours, id=f"{fields.__name__}.{name}")
    for params, fields in PAIRS
    for name, ours in get_type_hints(fields).items()
    if (theirs := get_type_hints(params).get(name)) is not None and name != "web_search_options"  # The API takes null.
]


def parts_of(hint: Any) -> list[Any]:
    union = get_origin(hint) in (Union, types.UnionType)
    return [part for each in get_args(hint) for part in parts_of(each)] if union else [hint]


@pytest.mark.parametrize(("theirs", "ours"), ROWS)
def test_null_is_taken_where_openai_takes_it(theirs: Any, ours: Any) -> None:
    assert (type(None) in parts_of(ours)) == (type(None) in parts_of(theirs))


@pytest.mark.parametrize(("theirs", "ours"), ROWS)
def test_closed_sets_of_words_have_all_of_openais(theirs: Any, ours: Any) -> None:
    words = [
        {word for part in parts_of(hint) if get_origin(part) is Literal for word in get_args(part)}
        for hint in (theirs, ours)
    ]
    assert not words[1] or words[0] <= words[1]


def test_all_fields_were_compared() -> None:
    assert len(ROWS) > 80
