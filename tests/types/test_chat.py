"""What chat answers promise: short ways to what is asked for most, both names of every count, nothing lost."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import msgspec
import pytest

from tutuclient import wire
from tutuclient._meta import Meta
from tutuclient.types.chat import (
    Annotation,
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatDelta,
    ChatMessage,
    CompletionTokensDetails,
    FunctionCall,
    PromptTokensDetails,
    ToolCall,
    Usage,
)
from tutuclient.types.provenance import Origin, set_origin

META = Meta(200, {"x-request-id": "r1"}, attempts=1)
TREE = {
    "id": "c1",
    "provider": "x",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "native_finish_reason": "STOP",
            "message": {
                "role": "assistant",
                "content": "hi",
                "reasoning": "hm",
                "mood": "good",
                "tool_calls": [{"id": "t1", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"g": 1}}],
            },
        }
    ],
    "usage": {"prompt_tokens": 1, "cost": 0.5, "prompt_tokens_details": {"cached_tokens": 1, "hits": 2}},
}


def first_two(answer: Any) -> list[Any]:
    return [type(answer).__name__, len(answer.choices)]


def read(*, patiently: bool) -> ChatCompletion:
    body = json.dumps(TREE).encode()
    answer = wire.read_completion(b"\xef\xbb\xbf" + body if patiently else body, META)
    set_origin(answer, Origin(META, first_two))
    return answer


def unknown_fields(answer: ChatCompletion) -> list[dict[str, Any]]:
    [choice] = answer.choices
    [call] = choice.message.tool_calls or []
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    parts = (answer, choice, choice.message, call, answer.usage, answer.usage.prompt_tokens_details)
    return [part.extra for part in parts]


UNKNOWN = [
    {"provider": "x"},
    {"native_finish_reason": "STOP"},
    {"mood": "good"},
    {"extra_content": {"g": 1}},
    {"cost": 0.5},
    {"hits": 2},
]


@pytest.mark.parametrize("patiently", [False, True])
def test_unknown_fields_are_kept_at_every_level(patiently: bool) -> None:
    answer = read(patiently=patiently)
    assert unknown_fields(answer) == UNKNOWN
    assert answer.to_dict() == TREE


@pytest.mark.parametrize("patiently", [False, True])
def test_an_answer_travels_whole(patiently: bool) -> None:
    answer = read(patiently=patiently)
    again = pickle.loads(pickle.dumps(answer))  # noqa: S301  (our own bytes)
    assert again == answer
    assert unknown_fields(again) == UNKNOWN
    assert (again.raw, again.meta.request_id, again.images) == (answer.raw, "r1", ["ChatCompletion", 1])


def test_a_part_of_an_answer_travels_alone() -> None:
    message = read(patiently=False).message
    again = pickle.loads(pickle.dumps(message))  # noqa: S301  (our own bytes)
    assert again == message
    assert (again.extra, again.tool_calls[0].extra) == ({"mood": "good"}, {"extra_content": {"g": 1}})
    assert wire.prepared_messages([again]) == wire.prepared_messages([message])


def test_short_ways_lead_to_the_first_choice() -> None:
    answer = read(patiently=False)
    assert (answer.text, answer.finish_reason, answer.message.thinking) == ("hi", "tool_calls", "hm")
    assert answer.message is answer.choices[0].message


def test_an_answer_without_choices_has_nothing_to_say() -> None:
    answer = ChatCompletion()
    assert (answer.text, answer.finish_reason, answer.message, answer.images) == ("", None, ChatMessage(), [])
    assert answer.message.text == answer.message.thinking == ""


def test_images_are_looked_for_once() -> None:
    asked: list[Any] = []
    answer = ChatCompletion()
    set_origin(answer, Origin(META, lambda found: asked.append(found) or []))  # type: ignore[func-returns-value]  # None is what it gives
    assert answer.images is answer.images
    assert asked == [answer]


def test_a_chunk_has_the_same_short_ways() -> None:
    said = ChatDelta(content="h", reasoning="hm")
    chunk = ChatCompletionChunk(choices=[ChatChunkChoice(delta=said, finish_reason="stop")])
    assert (chunk.text, chunk.thinking, chunk.finish_reason, chunk.images) == ("h", "hm", "stop", [])
    set_origin(chunk, Origin(META, first_two))
    assert chunk.images == ["ChatCompletionChunk", 1]


def test_an_empty_chunk_adds_nothing() -> None:
    chunk = ChatCompletionChunk()
    assert (chunk.text, chunk.thinking, chunk.finish_reason) == ("", "", None)
    assert ChatCompletionChunk(choices=[ChatChunkChoice()]).text == ""


@pytest.mark.parametrize(
    ("message", "text", "thinking"),
    [
        (ChatMessage(content="hi", reasoning_content="a", reasoning="b"), "hi", "a"),
        (ChatMessage(reasoning_content="", reasoning="b"), "", "b"),
        (ChatMessage(), "", ""),
    ],
)
def test_a_message_has_text_and_thoughts_whatever_their_names(message: ChatMessage, text: str, thinking: str) -> None:
    assert (message.text, message.thinking) == (text, thinking)


Counts = tuple[int | None, int | None, int | None, int | None, int | None]


@pytest.mark.parametrize(
    ("given_as", "counts"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 9}, (1, 2, 9, 1, 2)),
        ({"prompt_tokens": 1, "completion_tokens": 2}, (1, 2, 3, 1, 2)),
        ({"input_tokens": 1, "output_tokens": 2}, (1, 2, 3, 1, 2)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 1, "output_tokens": 2}, (1, 2, 3, 1, 2)),
        ({"prompt_tokens": 5, "input_tokens": 4}, (5, None, None, 4, None)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, (0, 0, 0, 0, 0)),
        ({"prompt_tokens": 1}, (1, None, None, 1, None)),
        ({"total_tokens": 7}, (None, None, 7, None, None)),
        ({}, (None, None, None, None, None)),
    ],
)
def test_counts_are_there_under_both_names(given_as: dict[str, int], counts: Counts) -> None:
    usage = Usage(**given_as)  # type: ignore[arg-type]  # counts, by name
    found = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.input_tokens, usage.output_tokens)
    assert found == counts
    assert pickle.loads(pickle.dumps(usage)) == usage  # noqa: S301  (our own bytes)


def test_nothing_is_invented() -> None:
    details = (PromptTokensDetails(), CompletionTokensDetails())
    assert all(getattr(part, name) is None for part in details for name in part.__struct_fields__)
    assert ChatCompletion().usage is None
    assert ChatChoice().finish_reason is None


def test_equal_is_what_has_equal_fields() -> None:
    assert read(patiently=False) == read(patiently=True)
    assert ToolCall(function=FunctionCall(name="f")) == ToolCall(function=FunctionCall(name="f"))
    assert ToolCall(id="a") != ToolCall(id="b")


@pytest.mark.parametrize("part", [ChatCompletion(), ChatMessage(), ToolCall(), Usage(), ChatDelta()])
def test_answers_cannot_be_changed(part: Any) -> None:
    with pytest.raises(AttributeError):
        setattr(part, part.__struct_fields__[0], "x")


def test_what_openai_types_is_typed_and_stays_a_dict() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://h.example", "start_index": 1, "own": 2}}
    call = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}
    body = {"choices": [{"message": {"content": "hi", "annotations": [note], "tool_calls": [call]}}]}
    message = wire.read_completion(json.dumps(body).encode(), Meta(200)).message
    assert message.annotations is not None
    assert message.tool_calls is not None
    [annotation] = message.annotations
    assert (annotation.type, annotation.url_citation.url, annotation.url_citation.start_index) == (
        *("url_citation", "https://h.example", 1),
    )
    title: Any = annotation.url_citation.title
    assert title is None
    assert annotation == note
    custom = message.tool_calls[0].custom
    assert custom is not None
    assert (custom.name, custom.input, custom) == ("sql", "select 1", call["custom"])
    again = pickle.loads(pickle.dumps(message))  # noqa: S301  (our own)
    assert (again.annotations[0].url_citation.url, copy.deepcopy(custom).name) == ("https://h.example", "sql")
    assert json.loads(msgspec.json.encode(message.annotations)) == [note]
    bare = wire.read_completion(b'{"choices":[{"message":{"content":"hi"}}]}', Meta(200))
    assert (bare.message.annotations, bare.moderation) == (None, None)


def test_a_moderation_is_typed() -> None:
    found = {"type": "moderation_result", "model": "m", "flagged": True, "categories": {"hate": True}, "own": 1}
    body = {
        "choices": [{"message": {"content": "hi"}}],
        "moderation": {
            "input": {"type": "moderation_results", "model": "m", "results": [found]},
            "output": {"type": "error", "code": "busy", "message": "later"},
        },
    }
    moderation = wire.read_completion(json.dumps(body).encode(), Meta(200)).moderation
    assert moderation is not None
    assert moderation.input is not None
    assert moderation.input.results is not None
    assert moderation.output is not None
    assert (moderation.input.results[0].flagged, moderation.input.results[0].categories) == (True, {"hate": True})
    assert (moderation.output.type, moderation.output.code, moderation.output.results) == ("error", "busy", None)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_piece_of_audio_is_typed(start: bytes) -> None:
    body = {"choices": [{"delta": {"audio": {"id": "a", "data": "aGk=", "transcript": "hi"}}}]}
    chunk = wire.read_chunk(start + json.dumps(body).encode(), Meta(200))
    assert chunk is not None
    audio = chunk.choices[0].delta.audio
    assert audio is not None
    assert (audio.id, audio.data, audio.transcript, audio.expires_at) == ("a", "aGk=", "hi", None)


def test_a_name_that_is_misspelt_is_no_field() -> None:
    note: Any = Annotation({"type": "url_citation"})
    with pytest.raises(AttributeError, match="no field 'titel'"):
        assert note.titel
    assert (note.url_citation, note.type) == (None, "url_citation")


@pytest.mark.parametrize(  # Source: openai-python 3.57, ``ChatCompletionChunk``.
    ("raw", "moderation", "obfuscation"),
    [
        (b'{"choices": [], "moderation": {"input": {"flagged": false}}}', {"input": {"flagged": False}}, None),
        (b'{"choices": [], "obfuscation": "xJ3"}', None, "xJ3"),
        (b'{"choices": []}', None, None),
    ],
)
def test_chunks_have_what_openais_have(raw: bytes, moderation: object, obfuscation: str | None) -> None:
    chunk = wire.decode_chunk(raw)
    assert (chunk.moderation, chunk.obfuscation) == (moderation, obfuscation)
