"""What folding in ``tutuclient.streams.chat`` promises: the whole answer however it was cut and numbered, or an error.

Bytes to chunks to a completion, without any waiting; streams over sockets are met in ``resources/test_chat.py``.
"""

from __future__ import annotations

import contextlib
import json
import time
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient import errors, wire
from tutuclient._meta import Meta
from tutuclient.errors import APIError, IncompleteStreamError, UnexpectedResponseError
from tutuclient.streams.chat import ChunkReader, Folder, fold, read_body, several
from tutuclient.types.base import Origin
from tutuclient.types.chat import (
    ChatAudio,
    ChatCompletion,
    ChatCompletionChunk,
    ChoiceLogprobs,
    TokenLogprob,
    TopLogprob,
)
from tutuclient.types.json import too_deep

if TYPE_CHECKING:
    from collections.abc import Iterable

META = Meta(200, {"x-request-id": "r1"})
DONE = "[DONE]"


def nothing(_: object) -> list[Any]:
    return []


ORIGIN = Origin(META, nothing)


def events(*frames: object) -> bytes:
    """Write frames as a relay does: texts as they are, all else as JSON."""
    texts = (frame if isinstance(frame, str) else json.dumps(frame, ensure_ascii=False) for frame in frames)
    return "".join(f"data: {text}\n\n" for text in texts).encode()


H = {"token": "h", "bytes": [104], "logprob": -1, "top_logprobs": [{"token": "h", "logprob": -1}]}
H_READ = TokenLogprob(token="h", bytes=[104], logprob=-1, top_logprobs=[TopLogprob(token="h", logprob=-1)])


def delta(content: Any = None, *, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    said = ({} if content is None else {"content": content}) | fields
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": said, "finish_reason": reason}]}


def call(**fields: Any) -> dict[str, Any]:
    """Write a piece of a tool call; ``name`` and ``arguments`` go into its function."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return {"choices": [{"index": 0, "delta": {"tool_calls": [fields | {"function": function}]}}]}


END = delta(reason="stop")


def folded(*frames: object, many: bool = False) -> ChatCompletion:
    return fold(events(*frames), ORIGIN, many=many, max_bytes=2**20)


def reader(*, many: bool = False, max_bytes: int = 2**20) -> ChunkReader:
    return ChunkReader(ORIGIN, many=many, max_bytes=max_bytes)


def chunks_of(stream: bytes, places: Iterable[int] = ()) -> tuple[list[ChatCompletionChunk], str | None]:
    """Read a stream in pieces: its chunks, and how it ended when not well."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    reading = reader()
    found: list[ChatCompletionChunk] = []
    try:
        for start, end in pairwise(edges):
            for chunk in reading.feed(stream[start:end]):
                found.append(chunk)  # noqa: PERF402  (what came before an error counts)
        for chunk in reading.end():
            found.append(chunk)  # noqa: PERF402  (as above)
        reading.check_complete(strict=False)
    except APIError as error:
        return found, type(error).__name__
    return found, None


def tools(answer: ChatCompletion) -> list[tuple[str, str, str]]:
    return [(one.id, one.function.name, one.function.arguments) for one in answer.message.tool_calls or []]


# --- the normal sequence, and the deviations of section 3.3 ----------------------------------------------------------

NORMAL = (
    {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "gpt-4o",
        "usage": None,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
    },
    {"id": "c1", "created": 1767225600, "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "你"}}]},
    {"id": "c1", "created": 1767225600, "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "好"}}]},
    {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"id": "c1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "cost": 0.5}},
    DONE,
)


def test_folds_the_normal_sequence() -> None:
    answer = folded(*NORMAL)
    assert (answer.id, answer.object, answer.created, answer.model) == ("c1", "chat.completion", 1767225600, "gpt-4o")
    assert (answer.text, answer.message.role, answer.finish_reason) == ("你好", "assistant", "stop")
    assert answer.usage is not None
    assert (answer.usage.total_tokens, answer.usage.extra) == (10, {"cost": 0.5})
    assert answer.meta is META


def test_gives_every_chunk_with_its_json_and_the_meta_of_the_call() -> None:
    found, ended = chunks_of(events(*NORMAL))
    assert ended is None
    assert [chunk.text for chunk in found] == ["", "你", "好", "", ""]
    assert [json.loads(chunk.raw) for chunk in found] == list(NORMAL[:-1])
    assert all(chunk.meta is META for chunk in found)
    assert found[3].finish_reason == "stop"


AZURE = {
    "id": "",
    "object": "",
    "created": 0,
    "model": "",
    "choices": [],
    "prompt_filter_results": [{"prompt_index": 0}],
}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
FORCED = {"id": "", "object": "", "created": 0, "model": "", "choices": None, "usage": None}

FINE = {"error": {"message": "success", "code": 0}, "choices": [{"delta": {"content": ""}}]}


def also(frame: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return frame | fields


def noisy(index: object, content: str | None = None, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": content}, "finish_reason": reason}]}


DEVIATIONS: dict[str, tuple[list[object], dict[str, Any]]] = {
    "1 azure first": ([AZURE, delta("hi"), END], {"text": "hi", "id": "c1", "model": "m"}),
    "1 azure, no ids later": (
        [AZURE, {"model": "m", "choices": [{"delta": {"content": "hi"}}]}, {"choices": [{"finish_reason": "stop"}]}],
        {"text": "hi", "model": "m"},
    ),
    "2 role in every delta": (
        [delta("h", role="assistant"), delta("i", role="assistant"), END],
        {"text": "hi", "role": "assistant"},
    ),
    "2 role in none": ([delta("hi"), END], {"role": "assistant"}),
    "2 role empty first": ([delta("hi", role=""), delta(role="model"), END], {"role": "model"}),
    "3 usage in every chunk": (
        [
            also(delta("h"), usage={"total_tokens": 1}),
            also(delta("i"), usage={"total_tokens": 2}),
            also(END, usage=USAGE),
        ],
        {"text": "hi", "total": 3},
    ),
    "3 last usage that is there counts": ([also(delta("hi"), usage=USAGE), also(END, usage=None)], {"total": 3}),
    "3 null counters": ([delta("hi"), END, {"choices": [], "usage": {"prompt_tokens": None}}], {"total": None}),
    "3 no usage": ([delta("hi"), END], {"usage": None}),
    "3 odd usage": ([also(delta("hi"), usage="?"), also(END, usage=USAGE)], {"text": "hi", "total": 3}),
    "4 content after the reason": ([delta("h", reason="stop"), delta("i")], {"text": "hi", "finish_reason": "stop"}),
    "4 two reasons": ([delta("hi", reason="stop"), END], {"text": "hi", "finish_reason": "stop"}),
    "5 empty reason": ([delta("h", reason=""), delta("i", reason="length")], {"finish_reason": "length"}),
    "5 any word": ([delta("hi", reason="max_tokens")], {"finish_reason": "max_tokens"}),
    "5 error as a word": ([delta("hi"), delta(reason="error")], {"finish_reason": "error", "text": "hi"}),
    "5 upper case": ([delta("hi", reason="COMPLETE")], {"finish_reason": "COMPLETE"}),
    "5 reason absent": ([{"choices": [{"delta": {"content": "hi"}}]}, END], {"finish_reason": "stop"}),
    "6 a new id in each chunk": ([also(delta("h"), id="a"), also(delta("i"), id="b"), END], {"text": "hi", "id": "a"}),
    "6 created of any kind": (
        [also(delta("h"), created=1.5), also(delta("i"), created="x"), also(END, created=None)],
        {"text": "hi"},
    ),
    "6 id a number": ([also(delta("hi"), id=7), END], {"text": "hi", "id": "7"}),
    "7 index of content blocks": (
        [noisy(0, "h"), noisy(1, "i"), noisy(0, None, "tool_use")],
        {"text": "hi", "finish_reason": "tool_use", "count": 1},
    ),
    "7 index null and text": ([noisy(None, "h"), noisy("1", "i"), END], {"text": "hi", "count": 1}),
    "10 reasoning_content": (
        [delta(reasoning_content="h"), delta(reasoning_content="m"), delta("hi"), END],
        {"thinking": "hm", "text": "hi"},
    ),
    "10 reasoning under both names": (
        [delta(reasoning_content="hm", reasoning="hm"), delta("hi"), END],
        {"thinking": "hm"},
    ),
    "10 reasoning empty everywhere": (
        [delta("h", reasoning_content=""), delta("i", reasoning=""), END],
        {"thinking": ""},
    ),
    "10 reasoning as an object": ([delta("hi", reasoning_content={"a": 1}), END], {"thinking": "", "text": "hi"}),
    "11 heartbeats": (
        [delta("h"), delta(""), delta(" "), delta(None), {"obfuscation": "x", **delta("i")}, END],
        {"text": "h i"},
    ),
    "11 frames that carry nothing": (
        ["{}", "null", "[]", "", " ", FORCED, {"type": "ping"}, FINE, delta("hi"), END],
        {"text": "hi"},
    ),
    "12 delta null": ([{"choices": [{"delta": None}]}, delta("hi"), END], {"text": "hi"}),
    "12 delta absent": (
        [{"choices": [{"index": 0}]}, delta("hi"), {"choices": [{"finish_reason": "stop"}]}],
        {"text": "hi", "finish_reason": "stop"},
    ),
    "12 message instead": (
        [{"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}],
        {"text": "hi"},
    ),
    "12 message beside an empty delta": (
        [{"choices": [{"delta": {}, "message": {"content": "hi"}}]}, END],
        {"text": "hi"},
    ),
    "12 text instead": (
        [{"choices": [{"text": "h"}]}, {"choices": [{"text": "i", "finish_reason": "stop"}]}],
        {"text": "hi"},
    ),
    # kind a: the last chunk repeats the whole as a message
    **{
        f"a, {name}": ([delta("h", **more), delta("i"), repeats], {"text": "hi", "count": 1} | kept)
        for name, more, repeats, kept in (
            (
                "delta empty",
                {},
                {"choices": [{"delta": {}, "message": {"content": "hi"}, "finish_reason": "stop"}]},
                {},
            ),
            ("delta absent", {}, {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}, {}),
            (
                "delta with a role",
                {},
                {
                    "choices": [
                        {
                            "delta": {"role": "assistant", "content": ""},
                            "message": {"content": " hi\n"},
                            "finish_reason": "stop",
                        }
                    ]
                },
                {},
            ),
            (
                "content as parts",
                {},
                {
                    "choices": [
                        {"delta": {}, "message": {"content": [{"type": "text", "text": "hi"}]}, "finish_reason": "stop"}
                    ]
                },
                {"parts": None},
            ),
            (
                "thoughts too",
                {"reasoning_content": "hm"},
                {
                    "choices": [
                        {"delta": {}, "message": {"content": "hi", "reasoning_content": "hm"}, "finish_reason": "stop"}
                    ]
                },
                {"thinking": "hm"},
            ),
            (
                "pictures too",
                {"images": ["data:a"]},
                {"choices": [{"message": {"content": "hi", "images": ["data:a", "data:b"]}, "finish_reason": "stop"}]},
                {"images": ["data:a", "data:b"]},
            ),
        )
    },
    "a, with the end that was missing": (
        [delta("h"), {"choices": [{"delta": {}, "message": {"content": "hi"}, "finish_reason": "stop"}]}],
        {"text": "hi"},
    ),
    "a, a message in every chunk": (
        [
            {"choices": [{"delta": {}, "message": {"content": "ha"}}]},
            {"choices": [{"delta": {}, "message": {"content": "ha"}, "finish_reason": "stop"}]},
        ],
        {"text": "haha"},
    ),
    "a, the message alone has the text": (
        [{"choices": [{"delta": {"role": "assistant", "content": ""}, "message": {"content": "hi"}}]}, END],
        {"text": "hi"},
    ),
    # kind V: laravel/ai PR 813, copilot-api PR 152, Mistral's parts
    "V reasoning_text": (
        [delta(reasoning_text="h"), delta(reasoning_text="m"), delta("hi"), END],
        {"thinking": "hm", "text": "hi"},
    ),
    "V reasoning_text beside a text": (
        [delta("h", reasoning_text="h"), delta("i", reasoning_text="m"), END],
        {"thinking": "hm", "text": "hi"},
    ),
    "V thinking": ([delta("", thinking="h"), delta(thinking="m"), delta("hi"), END], {"thinking": "hm", "text": "hi"}),
    "V reasoning_details alone": (
        [
            delta(reasoning_details=[{"type": "reasoning.text", "text": "h"}]),
            delta(reasoning_details=[{"text": "m"}]),
            delta("hi"),
            END,
        ],
        {"thinking": "hm", "text": "hi"},
    ),
    "V details and a name": (
        [delta(reasoning="hm", reasoning_details=[{"type": "reasoning.text", "text": "hm"}]), delta("hi"), END],
        {"thinking": "hm"},
    ),
    "V parts": (
        [
            delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}]),
            delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "m"}]}]),
            delta(content=[{"type": "text", "text": "h"}]),
            delta("i"),
            END,
        ],
        {"thinking": "hm", "text": "hi"},
    ),
    # kind M: Moonshot (pi#2017), Groq's x_groq, litellm#1571
    "M in the choice": (
        [delta("hi"), {"choices": [{"delta": {}, "finish_reason": "stop", "usage": USAGE}]}],
        {"total": 3},
    ),
    "M in the choice, beside a text": (
        [delta("h"), {"choices": [{"delta": {"content": "i"}, "usage": USAGE}]}, END],
        {"text": "hi", "total": 3},
    ),
    "M x_groq": ([delta("hi"), also(END, x_groq={"id": "r", "usage": USAGE})], {"total": 3}),
    **{
        f"M then {empty}": ([also(delta("hi"), usage=USAGE), also(END, usage=empty)], {"total": 3})
        for empty in ({}, {"prompt_tokens": None}, dict.fromkeys(USAGE, 0), {"total_tokens": "many"})
    },
    "M a later count wins": ([also(delta("hi"), usage={"total_tokens": 1}), also(END, usage=USAGE)], {"total": 3}),
    # kind G: zeroclaw PR 2136, nanobot PR 1555
    "G texts of one chunk": (
        [{"choices": [{"index": 0, "delta": {"content": "h"}}, {"index": 1, "delta": {"content": "i"}}]}, END],
        {"text": "hi", "count": 1},
    ),
    "a null choice": ([{"choices": [None, {"delta": {"content": "hi"}}]}, END], {"text": "hi"}),
    "choices of one chunk are one": (
        [{"choices": [{"delta": {"content": "h"}}, {"delta": {"content": "i"}}]}, END],
        {"text": "hi", "count": 1},
    ),
    "content as parts": (
        [delta(content=[{"type": "text", "text": "h"}]), delta("i"), END],
        {
            "text": "hi",
            "parts": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}],
        },
    ),
    "thoughts as parts, then text": (
        [delta("a"), delta(content=[{"type": "thinking", "thinking": []}]), delta("b"), END],
        {
            "text": "ab",
            "parts": [
                {"type": "text", "text": "a"},
                {"type": "thinking", "thinking": []},
                {"type": "text", "text": "b"},
            ],
        },
    ),
    "half a surrogate": (['{"choices":[{"delta":{"content":"a\\ud83d"}}]}', END], {"text": "a\ufffd"}),
    "NaN": (['{"created":NaN,"choices":[{"delta":{"content":"hi"}}]}', END], {"text": "hi"}),
    "refusal": ([delta(refusal="n"), delta(refusal="o"), END], {"refusal": "no", "content": None}),
    "function call": (
        [delta(function_call={"name": "f", "arguments": ""}), delta(function_call={"arguments": "{}"}), END],
        {"function_call": ("f", "{}"), "content": None},
    ),
    "audio": (
        [
            delta(audio={"id": "a", "data": "Uk"}),
            delta(audio={"data": "lG", "transcript": "h"}),
            delta(audio={"transcript": "i", "expires_at": 5}),
            END,
        ],
        {"audio": ChatAudio(id="a", data="UklG", transcript="hi", expires_at=5), "content": None},
    ),
    "logprobs": (
        [
            {"choices": [{"delta": {"content": "h"}, "logprobs": {"content": [H], "refusal": None}}]},
            {"choices": [{"delta": {"content": "i"}, "logprobs": {"content": [{"token": "i", "logprob": -2.5}]}}]},
            END,
        ],
        {"logprobs": ChoiceLogprobs(content=[H_READ, TokenLogprob(token="i", logprob=-2.5)])},
    ),
    "logprobs of no kind": ([{"choices": [{"delta": {"content": "hi"}, "logprobs": [1]}]}, END], {"logprobs": None}),
    "annotations": (
        [delta("hi", annotations=[{"a": 1}]), delta(annotations=[{"b": 2}]), END],
        {"annotations": [{"a": 1}, {"b": 2}]},
    ),
    "reasoning details": ([delta("hi", reasoning_details=[{"a": 1}]), END], {"reasoning_details": [{"a": 1}]}),
    "images": (
        [
            delta("hi", images=[{"image_url": {"url": "data:a"}}]),
            delta(image={"url": "data:b"}),
            delta(images="data:c"),
            END,
        ],
        {"images": [{"image_url": {"url": "data:a"}}, {"url": "data:b"}, "data:c"], "text": "hi"},
    ),
    "images alone": ([delta(images=[{"url": "data:a"}]), END], {"images": [{"url": "data:a"}], "content": None}),
    "empty answer": ([delta(""), END], {"text": "", "content": ""}),
}


def seen(answer: ChatCompletion, name: str) -> object:
    message = answer.message
    if name == "total":
        return answer.usage and answer.usage.total_tokens
    if name == "count":
        return len(answer.choices)
    if name == "logprobs":
        return answer.choices[0].logprobs
    if name == "function_call":
        return message.function_call and (message.function_call.name, message.function_call.arguments)
    return getattr(answer if hasattr(answer, name) and name != "images" else message, name)


@pytest.mark.parametrize(("frames", "expected"), DEVIATIONS.values(), ids=DEVIATIONS)
@pytest.mark.parametrize("done", [[DONE], []], ids=["done", "no done"])
def test_survives_every_deviation(frames: list[object], expected: dict[str, Any], done: list[object]) -> None:
    answer = folded(*frames, *done)
    assert {name: seen(answer, name) for name in expected} == expected


def test_what_a_chunk_says_of_the_whole_answer_is_kept() -> None:
    """The API's description: ``moderation`` and ``obfuscation`` of chunks."""
    frames = [
        also(delta("h"), provider="p", obfuscation="x"),
        also(delta("i"), moderation={"input": {"model": "m"}}, obfuscation="y"),
        also(END, citations=["https://h.example/"], provider="q"),
        {"id": "c1", "choices": [], "usage": USAGE, "timings": {"a": 1}},
    ]
    answer = folded(*frames)
    assert answer.text == "hi"
    assert answer.moderation is not None
    assert answer.moderation.input is not None
    assert answer.moderation.input.model == "m"
    assert answer.extra == {"provider": "q", "citations": ["https://h.example/"], "timings": {"a": 1}}
    assert answer.to_dict()["citations"] == ["https://h.example/"]
    assert "obfuscation" not in answer.to_dict()
    found, _ = chunks_of(events(*frames))
    assert [chunk.obfuscation for chunk in found] == ["x", "y", None, None]
    assert found[1].moderation == {"input": {"model": "m"}}


@pytest.mark.parametrize("asked", [2, 3, 4])
def test_every_choice_that_was_asked_for_must_have_ended(asked: int) -> None:
    stream = events(noisy(0, "a", "stop"), noisy(1, "b", "stop"), noisy(2, "c", "length"))
    if asked <= 3:
        assert len(fold(stream, ORIGIN, many=asked, max_bytes=1000).choices) == 3
    else:
        with pytest.raises(IncompleteStreamError):
            fold(stream, ORIGIN, many=asked, max_bytes=1000)
    assert len(fold(stream + b"data: [DONE]\n\n", ORIGIN, many=asked, max_bytes=1000).choices) == 3


def test_keeps_choices_apart_where_several_were_asked_for() -> None:
    frames = [noisy(1, "b"), noisy(0, "a"), noisy(1, "B", "stop"), noisy(0, "A", "length"), DONE]
    answer = folded(*frames, many=True)
    assert [(c.index, c.message.text, c.finish_reason) for c in answer.choices] == [
        (0, "aA", "length"),
        (1, "bB", "stop"),
    ]


def test_of_several_choices_all_must_have_ended() -> None:
    stream = events(noisy(0, "a", "stop"), noisy(1, "b"))
    with pytest.raises(IncompleteStreamError):
        fold(stream, ORIGIN, many=True, max_bytes=1000)
    assert fold(stream, ORIGIN, many=False, max_bytes=1000).text == "ab"


# --- tool calls ------------------------------------------------------------------------------------------------------

OSLO, TURIN = '{"city":"Oslo"}', '{"city":"Turin"}'
NA_CLAUDE = [
    {
        "choices": [
            {
                "delta": {
                    "tool_calls": [
                        {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
                    ]
                },
                "logprobs": None,
                "finish_reason": None,
                "index": 0,
            }
        ],
        "usage": None,
    },
    {
        "choices": [
            {
                "delta": {"tool_calls": [{"type": None, "function": {"arguments": OSLO}}]},
                "logprobs": None,
                "finish_reason": None,
                "index": 1,
            }
        ],
        "usage": None,
    },
    {"choices": [{"delta": {}, "logprobs": None, "finish_reason": "tool_use", "index": 0}], "usage": None},
]
TOOLS: dict[str, tuple[list[object], list[tuple[str, str, str]]]] = {
    "normal": (
        [
            call(index=0, id="c1", type="function", name="weather", arguments=""),
            call(index=0, arguments='{"ci'),
            call(index=0, arguments='ty":"Oslo"}'),
        ],
        [("c1", "weather", OSLO)],
    ),
    "new-api's Claude": (list(NA_CLAUDE), [("toolu_1", "weather", OSLO)]),
    "whole call in one delta": ([call(id="c1", name="weather", arguments=OSLO)], [("c1", "weather", OSLO)]),
    "two by index, interleaved": (
        [
            call(index=0, id="c1", name="a", arguments=""),
            call(index=1, id="c2", name="b", arguments=""),
            call(index=1, arguments="{"),
            call(index=0, arguments="[1"),
            call(index=1, arguments="}"),
            call(index=0, arguments="]"),
        ],
        [("c1", "a", "[1]"), ("c2", "b", "{}")],
    ),
    "two in one delta": (
        [
            delta(
                tool_calls=[
                    {"index": 0, "id": "c1", "function": {"name": "a", "arguments": "{}"}},
                    {"index": 1, "id": "c2", "function": {"name": "b", "arguments": "{}"}},
                ]
            )
        ],
        [("c1", "a", "{}"), ("c2", "b", "{}")],
    ),
    "two without index": (
        [call(id="c1", name="weather", arguments=OSLO), call(id="c2", name="weather", arguments=TURIN)],
        [("c1", "weather", OSLO), ("c2", "weather", TURIN)],
    ),
    "two in pieces without index": (
        [
            call(id="c1", name="a", arguments="{"),
            call(arguments="}"),
            call(id="c2", name="b", arguments="["),
            call(arguments="]"),
        ],
        [("c1", "a", "{}"), ("c2", "b", "[]")],
    ),
    "two without index and id": (
        [
            call(name="weather", arguments=OSLO),
            call(name="weather", arguments=TURIN),
            call(name="clock", arguments="{}"),
        ],
        [("", "weather", OSLO), ("", "weather", TURIN), ("", "clock", "{}")],
    ),
    "two numbered alike": (
        [call(index=0, id="c1", name="a", arguments="{}"), call(index=0, id="c2", name="a", arguments="[]")],
        [("c1", "a", "{}"), ("c2", "a", "[]")],
    ),
    "two numbered alike, in pieces": (
        [
            call(index=0, id="c1", name="a", arguments="{"),
            call(index=0, arguments="}"),
            call(index=0, id="c2", name="b", arguments="["),
            call(index=0, arguments="]"),
        ],
        [("c1", "a", "{}"), ("c2", "b", "[]")],
    ),
    "two numbered alike, without ids": (
        [call(index=0, id="", name="a", arguments="{}"), call(index=0, id="", name="b", arguments="{}")],
        [("", "a", "{}"), ("", "b", "{}")],
    ),
    "the same twice, numbered alike, without ids": (
        [call(index=0, name="a", arguments=OSLO), call(index=0, name="a", arguments=TURIN)],
        [("", "a", OSLO), ("", "a", TURIN)],
    ),
    "another name before there were arguments": (
        [call(index=0, name="a", arguments=""), call(index=0, name="b", arguments="{}")],
        [("", "a", ""), ("", "b", "{}")],
    ),
    # kind H: continue PR 5849 (Gemini), openai-agents-python#326
    "a name in two pieces": (
        [call(index=0, id="c1", name="edit_ex", arguments=""), call(index=0, name="isting", arguments="{}")],
        [("c1", "edit_existing", "{}")],
    ),
    "a name in pieces, without ids": (
        [
            call(index=0, name="edit_"),
            call(index=0, name="exist"),
            call(index=0, name="ing"),
            call(index=0, arguments="{}"),
        ],
        [("", "edit_existing", "{}")],
    ),
    "names in pieces, interleaved": (
        [
            call(index=0, id="c1", name="a"),
            call(index=1, id="c2", name="b"),
            call(index=0, name="1"),
            call(index=1, name="2", arguments="[]"),
            call(index=0, arguments="{}"),
        ],
        [("c1", "a1", "{}"), ("c2", "b2", "[]")],
    ),
    "a name that grows": (
        [
            call(index=0, id="c1", name="look"),
            call(index=0, name="look_up"),
            call(index=0, name="look_up", arguments="{}"),
        ],
        [("c1", "look_up", "{}")],
    ),
    "another name behind arguments": (
        [call(index=0, id="c1", name="a", arguments="{}"), call(index=0, name="b", arguments="{}")],
        [("c1", "a", "{}"), ("", "b", "{}")],
    ),
    "names without index are calls": (
        [call(id="c1", name="a"), call(id="c2", name="b"), call(name="c")],
        [("c1", "a", ""), ("c2", "b", ""), ("", "c", "")],
    ),
    # kind W: opencodex#361
    "arguments again at the end": (
        [
            call(index=0, id="c1", name="a", arguments='{"x":'),
            call(index=0, arguments="1}"),
            call(index=0, arguments='{"x":1}'),
        ],
        [("c1", "a", '{"x":1}')],
    ),
    "arguments again, written otherwise": (
        [call(index=0, id="c1", name="a", arguments='{"x":1}'), call(index=0, id="c1", name="a", arguments='{"x": 1}')],
        [("c1", "a", '{"x":1}')],
    ),
    "arguments again, with the name": (
        [call(index=0, name="a", arguments='{"x":1}'), call(index=0, name="a", arguments='{"x":1}')],
        [("", "a", '{"x":1}')],
    ),
    "arguments again, in a message": (
        [
            call(index=0, id="c1", name="a", arguments='{"x":1}'),
            {
                "choices": [
                    {
                        "delta": {},
                        "message": {"tool_calls": [{"id": "c1", "function": {"name": "a", "arguments": '{"x":1}'}}]},
                    }
                ]
            },
        ],
        [("c1", "a", '{"x":1}')],
    ),
    # Claude's blocks begin with "input": {}, which converters write before the pieces.
    "an empty object before the arguments": (
        [
            call(index=0, id="c1", name="a", arguments="{}"),
            call(index=0, arguments='{"x"'),
            call(index=0, arguments=":1}"),
        ],
        [("c1", "a", '{"x":1}')],
    ),
    # vllm-project/vllm: DeltaToolCall.id was made anew for each piece
    "an id of its own in every piece": (
        [
            call(index=0, id="c1", name="a", arguments=""),
            call(index=0, id="c2", arguments='{"x"'),
            call(index=0, id="c3", name="", arguments=":1}"),
            call(index=0, id="c4", arguments=""),
            call(index=1, id="c5", name="b", arguments="{}"),
        ],
        [("c1", "a", '{"x":1}'), ("c5", "b", "{}")],
    ),
    "one id for all calls": (
        [
            call(index=0, id="call_0", name="a", arguments=""),
            call(index=1, id="call_0", name="b", arguments=""),
            call(index=0, id="call_0", arguments="[1]"),
            call(index=1, id="call_0", arguments="[2]"),
            call(index=2, id="call_0", name="b", arguments="[3]"),
        ],
        [("call_0", "a", "[1]"), ("call_0", "b", "[2]"), ("call_0", "b", "[3]")],
    ),
    "one id and one index for all calls": (
        [call(index=0, id="c", name="a", arguments="[1]"), call(index=0, id="c", name="b", arguments="[2]")],
        [("c", "a", "[1]"), ("c", "b", "[2]")],
    ),
    "a name in pieces that all have the id": (
        [
            call(index=0, id="c1", name="edit_"),
            call(index=0, id="c1", name="file"),
            call(index=0, id="c1", arguments="{}"),
        ],
        [("c1", "edit_file", "{}")],
    ),
    "an index from the second piece on": (
        [call(id="c1", name="a"), call(index=0, arguments='{"x"'), call(index=0, arguments=":1}"), call(index=0)],
        [("c1", "a", '{"x":1}')],
    ),
    "no function around the name": (
        [delta(tool_calls=[{"index": 0, "id": "c1", "type": "function", "name": "a", "arguments": {"x": 1}}])],
        [("c1", "a", '{"x": 1}')],
    ),
    "calls of several choices, numbered alike": (
        [
            {"choices": [{"index": number, "delta": {"tool_calls": [{"index": 0} | fields]}}]}
            for fields, number in (
                ({"id": "c0", "function": {"name": "a"}}, 0),
                ({"id": "c1", "function": {"name": "a"}}, 1),
                ({"function": {"arguments": "[0]"}}, 0),
                ({"function": {"arguments": "[1]"}}, 1),
            )
        ],
        [("c0", "a", "[0]"), ("c1", "a", "[1]")],
    ),
    "index null, id and type empty": (
        [
            call(index=None, id="c1", type="function", name="a", arguments=""),
            call(index=None, id="", type="", arguments="{}"),
        ],
        [("c1", "a", "{}")],
    ),
    "id in every piece": (
        [
            call(id="c1", name="a", arguments="{"),
            call(id="c2", name="b", arguments="["),
            call(id="c1", arguments="}"),
            call(id="c2", arguments="]"),
        ],
        [("c1", "a", "{}"), ("c2", "b", "[]")],
    ),
    "id only later": ([call(name="a", arguments="{"), call(id="c1", arguments="}")], [("c1", "a", "{}")]),
    "name in every piece": (
        [call(name="a", arguments='{"x":"'), call(name="a", arguments='}\\"{'), call(name="a", arguments='"}')],
        [("", "a", '{"x":"}\\"{"}')],
    ),
    "name in every piece, by index": (
        [call(index=0, name="a", arguments="{"), call(index=0, name="a", arguments="}")],
        [("", "a", "{}")],
    ),
    "an escape cut in two": (
        [call(name="a", arguments='{"x":"\\'), call(name="a", arguments='"}'), call(name="a", arguments='"}')],
        [("", "a", '{"x":"\\"}"}')],
    ),
    "trailing empty piece": (
        [call(name="a", arguments="{}"), call(name="a", arguments=""), call(arguments=None), call(index=None)],
        [("", "a", "{}")],
    ),
    "arguments an object": (
        [call(index=0, id="c1", name="a", arguments={"城": [1, None]})],
        [("c1", "a", '{"城": [1, null]}')],
    ),
    "arguments missing": ([call(index=0, id="c1", name="a")], [("c1", "a", "")]),
    "no function": (
        [delta(tool_calls=[{"index": 0, "id": "c1"}]), call(index=0, name="a", arguments="{}")],
        [("c1", "a", "{}")],
    ),
    "calls an object": (
        [{"choices": [{"delta": {"tool_calls": {"id": "c1", "function": {"name": "a"}}}}]}],
        [("c1", "a", "")],
    ),
    "null among calls": ([delta(tool_calls=[None, {"id": "c1", "function": {"name": "a"}}])], [("c1", "a", "")]),
    "in a message": (
        [{"choices": [{"message": {"tool_calls": [{"id": "c1", "function": {"name": "a", "arguments": "{}"}}]}}]}],
        [("c1", "a", "{}")],
    ),
}


@pytest.mark.parametrize(("frames", "expected"), TOOLS.values(), ids=TOOLS)
def test_puts_tool_calls_together_however_they_are_numbered(
    frames: list[object], expected: list[tuple[str, str, str]]
) -> None:
    answer = folded(*frames, END)
    assert tools(answer) == expected
    assert answer.message.content is None
    assert {one.type for one in answer.message.tool_calls or []} == {"function"}


@pytest.mark.parametrize("index", [0, None])
def test_arguments_repeated_without_end_are_read_in_linear_time(index: int | None) -> None:
    """Each repetition once joined all that had come: 500,000 pieces took minutes."""
    again = events(call(index=index, id="c1", name="a", arguments=json.dumps({"x": "y" * 1000}))) * 5000
    began = time.process_time()
    fold(events(delta("hi")) + again + events(END), ORIGIN, many=0, max_bytes=2**24)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("reasons", [("stop", "tool_calls"), ("tool_calls", "stop")])
def test_the_reason_that_counts_is_that_of_the_calls(reasons: tuple[str, str]) -> None:
    """One answer over several choices ends once for the text, and once for the calls."""
    ends = [delta(reason=reason) for reason in reasons]
    assert folded(call(index=0, id="c1", name="a", arguments="{}"), *ends).finish_reason == "tool_calls"


THOUGHTS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    # agno#8794, OpenRouterTeam/ai-sdk-provider#423: the signature holds for the whole block
    "a block in pieces": (
        [
            {"reasoning_details": [{"type": "reasoning.text", "text": "Let", "format": "f", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.text", "text": " me", "format": "f", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.text", "signature": "s", "format": "f", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.text", "text": "Two", "signature": "t", "index": 1}]},
        ],
        {
            "reasoning_details": [
                {"type": "reasoning.text", "text": "Let me", "format": "f", "index": 0, "signature": "s"},
                {"type": "reasoning.text", "text": "Two", "signature": "t", "index": 1},
            ]
        },
    ),
    "blocks without numbers": (
        [
            {"reasoning_details": [{"type": "reasoning.text", "text": "a"}]},
            {"reasoning_details": [{"type": "reasoning.text", "text": "b", "signature": "s"}]},
            {"reasoning_details": [{"type": "reasoning.text", "text": "c"}, {"type": "x"}, "y"]},
            {"reasoning_details": [{"type": "reasoning.text", "text": "d"}]},
        ],
        {
            "reasoning_details": [
                {"type": "reasoning.text", "text": "ab", "signature": "s"},
                {"type": "reasoning.text", "text": "c"},
                {"type": "x"},
                "y",
                {"type": "reasoning.text", "text": "d"},
            ]
        },
    ),
    "what is encrypted stays as it came": (
        [
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": data, "id": data, "index": 0}]}
            for data in ("x", "y")
        ],
        {
            "reasoning_details": [
                {"type": "reasoning.encrypted", "data": data, "id": data, "index": 0} for data in ("x", "y")
            ]
        },
    ),
    # copilot-api PR 152; the value comes again in some chunks
    "Copilot's": (
        [{"reasoning_text": "h"}, {"reasoning_text": "m", "reasoning_opaque": "o"}, {"reasoning_opaque": "o"}],
        {"reasoning_text": "hm", "reasoning_opaque": "o"},
    ),
    "litellm's": (
        [
            {"thinking_blocks": [{"type": "thinking", "thinking": "h"}]},
            {"thinking_blocks": [{"type": "thinking", "thinking": "m", "signature": ""}]},
            {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "s"}]},
        ],
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
    ),
    "Gemini's": (
        [{"content": "", "extra_content": {"google": {"thought_signature": "s"}}}],
        {"extra_content": {"google": {"thought_signature": "s"}}},
    ),
    "Claude's, of other gateways": (
        [{"reasoning": "hm"}, {"signature": "s", "encrypted_content": "e"}],
        {"reasoning": "hm", "signature": "s", "encrypted_content": "e"},
    ),
    "under the name thinking": ([{"thinking": "h"}, {"thinking": "m"}], {"thinking": "hm"}),
    "none, and told so": ([{"reasoning_content": ""}], {"reasoning_content": ""}),  # Kimi
}


@pytest.mark.parametrize(("said", "expected"), THOUGHTS.values(), ids=THOUGHTS)
def test_thoughts_of_a_stream_go_back_with_its_tool_calls(said: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    """Kind I."""
    pieces = [delta(**fields) for fields in said]
    answer = folded(*pieces, call(index=0, id="c1", name="a", arguments="{}"), END)
    [sent] = wire.sendable([answer.message])
    assert {name: sent[name] for name in sent if name not in {"role", "content", "tool_calls"}} == expected
    [sent] = wire.sendable([folded(*pieces, delta("hi"), END).message])
    assert sent == {"role": "assistant", "content": "hi"}


@pytest.mark.parametrize("part", ["delta", "message"])
def test_what_only_the_relay_understands_goes_back_with_a_tool_call(part: str) -> None:
    signature = {"google": {"thought_signature": "c2ln"}}
    first = {"id": "c1", "type": "function", "function": {"name": "a", "arguments": "{}"}, "extra_content": signature}
    answer = folded({"choices": [{part: {"tool_calls": [first]}}]}, call(arguments=""), END)
    [sent] = wire.sendable([answer.message])
    assert sent["tool_calls"] == [first]


def test_joins_the_input_of_custom_tools() -> None:
    pieces = [
        {"index": 0, "id": "c1", "custom": {"name": "sql", "input": "sel"}},
        {"index": 0, "custom": {"input": "ect"}},
    ]
    answer = folded(*(delta(tool_calls=[piece]) for piece in pieces), END)
    [made] = answer.message.tool_calls or []
    assert (made.type, made.custom) == ("custom", {"name": "sql", "input": "select"})


@given(
    arguments=st.recursive(
        st.none() | st.text(max_size=6), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner)
    ).map(lambda value: json.dumps({"a": value})),
    places=st.lists(st.integers(0, 100), max_size=6),
    again=st.sampled_from([{}, {"name": "f"}, {"id": "c1"}, {"id": "c1", "name": "f"}, {"index": 0, "name": "f"}]),
)
def test_no_cut_of_the_arguments_makes_a_second_call(arguments: str, places: list[int], again: dict[str, Any]) -> None:
    edges = [0, *sorted(place % len(arguments) for place in places), len(arguments)]
    pieces = [arguments[start:end] for start, end in pairwise(edges)]
    first = {"name": "f"} | again
    frames = [call(**(first if number == 0 else again), arguments=piece) for number, piece in enumerate(pieces)]
    assert [made[1:] for made in tools(folded(*frames, END))] == [("f", arguments)]


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail",
    [
        b"data: [DONE]\n\n",
        b"data:[DONE]\n\n",
        b"data:   [DONE]  \n\n",
        b"data: [DONE]",
        b"data: [DONE]\n",
        b"data: [DONE]\r\n\r\n",
        b"data: [DONE] bye\n\n",
        b"data: [DONE]\n\ndata: [DONE]\n\n",
        b'data: [DONE]\n\ndata: {"choices":[{"delta":{"content":"more"}}]}\n\n',
        b"data: [DONE]\n\ndata: no JSON\n\noops",
        b'data: [DONE]\n\ndata: {"error":{"message":"too late"}}\n\n',
        b": bye\n\ndata: [DONE]\n\n",
    ],
)
def test_done_is_the_end_and_nothing_behind_it_counts(tail: bytes) -> None:
    for reason in ("stop", None):
        answer = fold(events(delta("hi", reason=reason)) + tail, ORIGIN, many=False, max_bytes=1000)
        assert (answer.text, answer.finish_reason) == ("hi", reason)


@pytest.mark.parametrize(
    "tail",
    [
        b'data: "[DONE]"\n\n',
        b"data: '[DONE]'\n\n",
        b"data: [done]\n\n",
        b"[DONE]\n\n",
        b"[DONE]",
        b'"[DONE]"\n',
        b"data: bye\n\n",
        b"data: 5\n\n",
        b"data: [1]\n\n",
        b"data: {oops\n\n",
        b"event: done\ndata: bye\n\n",
        b"bye bye\n\n",
        b"<html></html>\n\n",
        b'{"a":1}\n\n',
        b"data: " + b"[" * 9000 + b"\n\n",
        b"data: " + b"x" * 3000 + b"\n\n",
        b"x" * 3000,
        b'data: {"choices": "none"}\n\n',
    ],
    ids=lambda tail: repr(tail[:24]),
)
@pytest.mark.parametrize("behind", [b"", events({"choices": [], "usage": USAGE})], ids=["last", "usage behind it"])
def test_what_cannot_be_read_behind_the_end_costs_nothing(tail: bytes, behind: bytes) -> None:
    """Kind R: several SSE servers. What stands behind it and can be read still counts, unless the end was said."""
    for size in (1, 7, 10_000):
        reading = reader()
        stream = events(delta("h"), delta("i"), END) + tail + behind
        for at in range(0, len(stream), size):
            list(reading.feed(stream[at : at + size]))
        list(reading.end())
        reading.check_complete(strict=True)
        answer = reading.folder.completion()
        assert (answer.text, answer.finish_reason) == ("hi", "stop")
        ended = b"[done]" in tail.lower()
        joined = not tail.endswith(b"\n\n")  # What follows is of the same event then.
        assert ended or joined or not behind or (answer.usage is not None and answer.usage.total_tokens == 3)


@pytest.mark.parametrize("junk", [b"x" * 500, b"data: x\n\n" * 50, b": x\n" * 100, b"data: x" * 80])
def test_junk_without_end_behind_the_end_costs_nothing(junk: bytes) -> None:
    reading = reader(max_bytes=2000)
    list(reading.feed(events(delta("hi"), END)))
    for _ in range(10):
        assert list(reading.feed(junk)) == []
    assert list(reading.end()) == []
    reading.check_complete(strict=True)
    assert reading.folder.completion().text == "hi"


@pytest.mark.parametrize("glue", [b"data: ", b"data:", b"\tdata: ", b""])
def test_events_glued_to_a_line_are_read(glue: bytes) -> None:
    """Kind R: ``…}data: [DONE]`` on one line; and what is glued before the end is read too."""
    said = [json.dumps(frame).encode() for frame in (delta("i"), END)]
    for last in (b"[DONE]", b'"[DONE]"', b"{}", b"oops"):
        stream = events(delta("h")) + b"data: " + glue.join([*said, last]) + b"\n\n"
        assert fold(stream, ORIGIN, many=False, max_bytes=2000).text == "hi"
    done = events(delta("h")) + b"data: " + glue.join([said[0], b"[DONE]"]) + b"\n\n"
    answer = fold(done, ORIGIN, many=False, max_bytes=2000)
    assert (answer.text, answer.finish_reason) == ("hi", None)


def test_an_error_behind_the_end_is_raised_with_the_answer() -> None:
    with pytest.raises(APIError, match="boom") as caught:
        folded(delta("hi"), END, {"error": {"message": "boom"}})
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.partial.finish_reason) == ("hi", "stop")


@pytest.mark.parametrize(
    "word",
    [
        *("null", "", "None", "none", "NULL", "undefined", " null ", "nil"),
        *(" ", "(null)", '"null"', "NaN", "N/A", "false", "FINISH_REASON_UNSPECIFIED"),
    ],
)
def test_a_reason_that_is_none_ends_nothing(word: str) -> None:
    """Kind E: DashScope's SDK, qwen through relays."""
    for many in (0, 2):
        stream = events(delta("he", reason=word), delta("llo", reason=word))
        with pytest.raises(IncompleteStreamError) as caught:
            fold(stream, ORIGIN, many=many, max_bytes=2000)
        assert caught.value.partial is not None
        assert (caught.value.partial.text, caught.value.partial.finish_reason) == ("hello", None)
    found, ended = chunks_of(events(delta("he", reason=word), END))
    assert ([chunk.finish_reason for chunk in found], ended) == ([None, "stop"], None)
    answer = fold(stream + b"data: [DONE]\n\n", ORIGIN, many=False, max_bytes=2000)
    assert (answer.text, answer.finish_reason) == ("hello", None)


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": [{"delta": "i"}]},
        {"choices": [{"delta": ["i"]}]},
        {"choices": [{"message": "i"}]},
        {"choices": [{"delta": {"content": {"a": "i"}}}]},
        {"choices": [{"delta": {"content": True}}]},
        {"choices": [{"delta": {"content": [{"text": 1}]}}]},
        {"choices": ["i"]},
        {"choices": "i"},
    ],
)
def test_text_that_cannot_be_read_is_never_left_out(odd: object) -> None:
    """Kind b."""
    with pytest.raises(UnexpectedResponseError) as caught:
        folded(delta("h"), odd, END)
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.outcome) == ("h", "unknown")


@pytest.mark.parametrize(
    ("frames", "complete", "strictly"),
    [
        ([delta("hi"), END, DONE], True, True),
        ([delta("hi"), END], True, True),
        ([END], True, True),
        ([delta("hi"), DONE], True, False),
        ([call(name="a"), DONE], True, False),
        ([delta(reasoning_content="hm"), DONE], True, False),
        ([delta(images=["x"]), DONE], True, False),
        ([delta(audio={"data": "x"}), DONE], True, False),
        ([delta(refusal="no"), DONE], True, False),
        ([delta(function_call={"name": "a", "arguments": ""}), DONE], True, False),
        ([delta("hi")], False, False),
        ([call(name="a")], False, False),
        ([DONE], False, False),
        ([], False, False),
        ([{"choices": [], "usage": USAGE}, DONE], False, False),
        ([FORCED, DONE], False, False),
        ([AZURE, DONE], False, False),
        ([delta("", role="assistant"), DONE], False, False),
    ],
)
def test_knows_a_whole_answer_from_a_cut_one(frames: list[object], complete: bool, strictly: bool) -> None:
    reading = reader()
    list(reading.feed(events(*frames)))
    list(reading.end())
    for strict, whole in ((False, complete), (True, strictly)):
        with contextlib.nullcontext() if whole else pytest.raises(IncompleteStreamError) as caught:
            reading.check_complete(strict=strict)
        if caught is not None:
            assert (caught.value.request_id, caught.value.outcome) == ("r1", "unknown")


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([], "without a single piece"),
        ([delta("hi")], "in the middle"),
        ([delta("hi"), DONE], "without a finish_reason"),
    ],
)
def test_says_how_a_stream_was_cut(frames: list[object], words: str) -> None:
    reading = reader()
    list(reading.feed(events(*frames)))
    with pytest.raises(IncompleteStreamError, match=words):
        reading.check_complete(strict=True)


def test_what_was_cut_within_an_event_is_cut() -> None:
    with pytest.raises(IncompleteStreamError, match="within an event") as caught:
        fold(events(delta("hi")) + b'data: {"choices":[{"del', ORIGIN, many=False, max_bytes=1000)
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.request_id) == ("hi", "r1")
    with pytest.raises(UnexpectedResponseError):
        fold(b'data: {"choices":[{"del', ORIGIN, many=False, max_bytes=1000)
    whole = fold(events(delta("hi", reason="stop")) + b'data: {"us', ORIGIN, many=False, max_bytes=1000)
    assert (whole.text, whole.usage) == ("hi", None)


# --- errors within a stream ------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[bytes, type[APIError], str]] = {
    "openai": (
        events({"error": {"message": "bad", "type": "server_error", "code": 500}}),
        errors.InternalServerError,
        "bad",
    ),
    "openrouter": (
        events(
            {
                "id": "c",
                "error": {"code": 502, "message": "bad"},
                "choices": [{"delta": {"content": ""}, "finish_reason": "error"}],
            }
        ),
        errors.InternalServerError,
        "bad",
    ),
    "vllm": (events({"object": "error", "message": "bad", "type": "T", "code": 400}), errors.BadRequestError, "bad"),
    "event: error": (b'event: error\ndata: {"error":{"message":"bad"}}\n\n', errors.APIStatusError, "bad"),
    "event: error with content": (b"event: error\n" + events(delta("x")), errors.APIStatusError, "nothing more"),
    "event: error with words": (b"event: error\ndata: bad luck\n\n", errors.APIStatusError, "bad luck"),
    "event: error with nothing": (b"event: error\ndata:\n\n", errors.APIStatusError, "nothing more"),
    "claude": (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n',
        errors.InternalServerError,
        "busy",
    ),
    "plain text": (events({"error": "bad"}), errors.APIStatusError, "bad"),
    "message": (events({"message": "bad"}), errors.APIStatusError, "bad"),
    "code and msg": (events({"code": 429, "msg": "bad"}), errors.RateLimitError, "bad"),
    "detail": (events({"detail": "bad"}), errors.APIStatusError, "bad"),
    "panel": (events({"success": False, "message": "bad"}), errors.APIStatusError, "bad"),
    "without data:": (b': PING\n\n{"error":{"message":"bad"}}', errors.APIStatusError, "bad"),
    "without data:, with a line end": (
        b': PING\n\n{"error":{"message":"bad","code":429}}\n',
        errors.RateLimitError,
        "bad",
    ),
    "JSON that is no event": (b'{"a":1}\n', UnexpectedResponseError, "no event"),
    "HTML that is no event": (b"<html>\n", UnexpectedResponseError, "HTML"),
    "words that are no event": (b"upstream gone\n", UnexpectedResponseError, "upstream gone"),
    "words with a colon": (b"upstream error: gone\n", UnexpectedResponseError, "gone"),
    "plain text as data": (b"data: upstream gone\n\n", UnexpectedResponseError, "no JSON: upstream gone"),
    "a list": (b"data: [1]\n\n", UnexpectedResponseError, "no JSON object"),
    "broken JSON": (b'data: {"choices":[\n\n', UnexpectedResponseError, "no JSON"),
    "deep": (b"data: " + b"[" * 9000 + b"\n\n", UnexpectedResponseError, "too deeply"),
    "long line": (b"data: " + b"x" * 30_000 + b"\n\n", UnexpectedResponseError, "over 20,000 bytes"),
    "chunk and then garbage": (b'data: {"choices":[]} oops\n\n', UnexpectedResponseError, "no JSON: oops"),
}


@pytest.mark.parametrize(("frame", "cls", "words"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("before", [(), (delta("h"), delta("i"))], ids=["first", "after text"])
@pytest.mark.parametrize("behind", [b"", events(END, DONE)], ids=["last", "done behind it"])
def test_an_error_raises_after_what_came_before_it(
    frame: bytes, cls: type[APIError], words: str, before: tuple[object, ...], behind: bytes
) -> None:
    reading, texts = reader(max_bytes=20_000), []
    with pytest.raises(cls, match=words):
        for piece in (events(*before), frame + behind):
            texts += [chunk.text for chunk in reading.feed(piece)]
        texts += [chunk.text for chunk in reading.end()]
    assert "".join(texts) == ("hi" if before else "")
    assert (reading.partial.text if reading.partial else "") == "".join(texts)


@pytest.mark.parametrize("frame", [frame for name, (frame, _, _) in BROKEN.items() if name != "long line"])
def test_a_broken_stream_raises_with_what_had_come(frame: bytes) -> None:
    with pytest.raises(APIError) as caught:
        fold(events(delta("hi")) + frame + b"\n", ORIGIN, many=False, max_bytes=20_000)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "hi"


def test_a_line_too_long_at_the_end_is_said_too() -> None:
    reading = reader(max_bytes=100)
    assert list(reading.feed(b"data: " + b"x" * 130)) == []
    with pytest.raises(UnexpectedResponseError, match="over 100 bytes"):
        list(reading.end())


@pytest.mark.parametrize(
    "frame",
    [
        also(delta("hi"), error=None),
        also(delta("hi"), error={}),
        also(delta("hi"), error=False),
        also(delta("hi"), error=""),
        also(delta("hi"), error={"message": "success", "code": 0}),
        also(delta("hi"), error={"message": "odd"}),
        also(delta("hi", images=["x"]), error={"message": "odd"}),
        also(call(name="f", arguments="hi"), error={"message": "odd"}),
        also(delta("hi"), message="fine"),
        also(delta("hi"), success=True, msg="ok", code=200),
        delta("hi", note='"error"'),
    ],
)
def test_a_frame_that_looks_like_an_error_and_is_none_is_read(frame: object) -> None:
    answer = folded(frame, END)
    assert answer.text or tools(answer)[0][2] == "hi"


@pytest.mark.parametrize("line", [b"color: red", b"Data: x", b"x:y", b": PING", b"id: 5", b"retry: 5"])
def test_unknown_fields_and_pings_are_passed_over(line: bytes) -> None:
    stream = line + b"\n\n" + events(delta("hi"), END)
    assert fold(stream, ORIGIN, many=False, max_bytes=1000).text == "hi"


# --- frames run together ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (b"\n".join(f"data: {json.dumps(frame)}".encode() for frame in (delta("h"), delta("i"), END)) + b"\n\n", "hi"),
        (events(delta("h"), delta("i"), END, DONE).replace(b"\n\n", b"\n"), "hi"),
        (events(delta("h"), delta("i"), END, DONE).replace(b"\n\n", b"\r"), "hi"),
        (b"data: " + b"".join(json.dumps(frame).encode() for frame in (delta("h"), delta("i"), END)) + b"\n\n", "hi"),
        (b'data: {"choices":[{"delta":\ndata: {"content":"hi"},\ndata: "finish_reason":"stop"}]}\n\n', "hi"),
        (events(delta("hi"), END)[:-2], "hi"),
        (b"\xef\xbb\xbf" + events(delta("hi"), END), "hi"),
        (events(delta("hi"), END).replace(b"data: ", b"data:"), "hi"),
        (events(delta("hi"), END).replace(b"data: ", b"event: message\ndata: "), "hi"),
        (events(delta("hi"), END).replace(b"data: ", b"data: " + b" " * 99), "hi"),
        (events(call(name="f"), END).replace(b"data: ", b"data: " + b" " * 99), ""),
    ],
)
def test_events_run_together_or_apart_are_read_whole(stream: bytes, text: str) -> None:
    answer = fold(stream, ORIGIN, many=False, max_bytes=10_000)
    assert (answer.text, answer.finish_reason) == (text, "stop")
    assert text or tools(answer)


def test_of_events_run_together_the_good_ones_come_before_the_error() -> None:
    stream = b"data: " + json.dumps(delta("h")).encode() + b"\ndata: {oops\n\n"
    reading = reader()
    found = reading.feed(stream)
    assert next(found).text == "h"
    with pytest.raises(UnexpectedResponseError, match="oops"):
        next(found)


# --- a whole answer in place of a stream -----------------------------------------------------------------------------


def whole(**message: Any) -> ChatCompletion:
    body = {
        "id": "c1",
        "created": 5,
        "model": "m",
        "service_tier": "s",
        "system_fingerprint": "f",
        "odd": 1,
        "usage": USAGE,
        "choices": [
            {"index": 0, "message": {"content": "hi"} | message, "finish_reason": "stop", "logprobs": {"a": 1}}
        ],
    }
    return wire.read_completion(json.dumps(body).encode(), META)


ELSEWHERE: dict[str, dict[str, Any]] = {
    "a part of another kind": {"choices": [{"delta": {"content": [{"type": "markdown", "text": "i"}]}}]},
    "a part's content": {"choices": [{"delta": {"content": [{"type": "text", "content": "i"}]}}]},
    "a text in the delta": {"choices": [{"delta": {"text": "i"}}]},
    "a content beside the delta": {"choices": [{"content": "i", "delta": {"content": ""}}]},
    "names of Tencent": {"Choices": [{"Delta": {"Role": "assistant", "Content": "i"}, "FinishReason": ""}]},
}


@pytest.mark.parametrize("frame", ELSEWHERE.values(), ids=ELSEWHERE)
def test_text_that_stands_elsewhere_is_read(frame: dict[str, Any]) -> None:
    assert folded(delta("h"), frame, END).text == "hi"
    whole = json.loads(json.dumps(frame).replace("elta", "essage").replace('"D', '"M').replace('"d', '"m'))
    (choice,) = whole.get("choices") or whole["Choices"]
    choice["finish_reason"] = "stop"
    assert read_body(json.dumps(whole).encode(), ORIGIN, many=0, max_bytes=2**20).text == "i"


def test_a_text_that_repeats_what_came_comes_once() -> None:
    again = {"choices": [{"delta": {}, "text": "hello", "finish_reason": "stop"}]}
    assert folded(delta("he"), delta("llo"), again).text == "hello"


def test_thoughts_that_are_an_object_are_read() -> None:
    answer = folded(delta(reasoning={"content": "h"}), delta(reasoning={"text": "m"}), delta("hi"), END)
    assert (answer.message.thinking, answer.text) == ("hm", "hi")


def test_a_whole_answer_is_one_chunk_and_stays_whole() -> None:
    tool = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "signature": "x"}
    completion = whole(
        tool_calls=[tool],
        function_call={"name": "g", "arguments": "[]"},
        reasoning_content="hm",
        images=["u"],
        annotations=[1],
    )
    reading = reader()
    [chunk] = reading.whole(completion.raw)
    assert (chunk.id, chunk.created, chunk.model, chunk.text, chunk.thinking) == ("c1", 5, "m", "hi", "hm")
    assert (chunk.finish_reason, chunk.usage, chunk.extra) == ("stop", completion.usage, {"odd": 1})
    said = chunk.choices[0].delta
    assert [(t.index, t.id, t.function and t.function.arguments) for t in said.tool_calls or []] == [(0, "c1", "{}")]
    assert said.function_call is not None
    assert (said.function_call.name, said.images, said.annotations) == ("g", ["u"], [1])
    reading.check_complete(strict=True)
    assert reading.done
    answer = reading.folder.completion()
    assert answer == completion
    assert answer.meta is chunk.meta is META
    assert answer.message.tool_calls is not None
    assert answer.message.tool_calls[0].extra == {"signature": "x"}
    assert reading.partial == completion


def test_a_whole_answer_of_pictures_without_choices_stays_whole_too() -> None:
    completion = wire.read_completion(b'{"created":1,"data":[{"url":"https://h/a.png"}]}', META)
    reading = reader()
    assert [chunk.choices for chunk in reading.whole(completion.raw)] == [[]]
    reading.check_complete(strict=True)
    assert reading.folder.completion().to_dict()["data"] == [{"url": "https://h/a.png"}]


def test_folding_needs_no_reader() -> None:
    folder = Folder()
    assert not folder.finished
    assert not folder.said_something
    assert folder.completion() == ChatCompletion(object="chat.completion")
    folder.add(ChatCompletionChunk(id="c1"))
    assert (folder.began, folder.completion().id) == (True, "c1")
    assert folder.completion().meta.status_code == 0


# --- a stream that is written as JSON (kind D: langchainjs PR 3241, chatbot-ui PR 1378) ------------------------------

HELLO = [delta("", role="assistant"), delta("hel"), delta("lo"), also(END, usage=USAGE)]
JSON_STREAMS = {
    "lines": lambda frames: b"".join(json.dumps(frame).encode() + b"\n" for frame in frames),
    "lines, CRLF": lambda frames: b"\r\n".join(json.dumps(frame).encode() for frame in frames),
    "blank lines": lambda frames: b"\n\n".join(json.dumps(frame).encode() for frame in frames),
    "a BOM": lambda frames: b"\xef\xbb\xbf" + b"\n".join(json.dumps(frame).encode() for frame in frames),
    "run together": lambda frames: b"".join(json.dumps(frame).encode() for frame in frames),
    "an array": lambda frames: json.dumps(frames).encode(),
    "an array in lines": lambda frames: json.dumps(frames, indent=2).encode(),
    "commas": lambda frames: b",\n".join(json.dumps(frame).encode() for frame in frames),
    "pretty": lambda frames: b"\n".join(json.dumps(frame, indent=2).encode() for frame in frames),
}


@pytest.mark.parametrize("written", JSON_STREAMS.values(), ids=JSON_STREAMS)
@pytest.mark.parametrize("behind", [b"", b"\n[DONE]\n", b"\ndata: [DONE]\n", b"\noops"])
def test_a_stream_written_as_json_is_read_to_its_end(written: Any, behind: bytes) -> None:
    body = written(HELLO) + behind
    answer = read_body(body, ORIGIN, many=False, max_bytes=2**20)
    assert (answer.text, answer.finish_reason, answer.usage and answer.usage.total_tokens) == ("hello", "stop", 3)
    reading = reader()
    texts = [chunk.text for chunk in reading.whole(body)]
    reading.check_complete(strict=True)
    assert "".join(texts) == "hello"


@pytest.mark.parametrize("written", JSON_STREAMS.values(), ids=JSON_STREAMS)
@pytest.mark.parametrize("cut", [0, 1, 30, 60])
def test_a_stream_written_as_json_that_is_cut_is_an_error_with_what_came(written: Any, cut: int) -> None:
    body = written(HELLO[:-1])
    with pytest.raises(IncompleteStreamError) as caught:
        read_body(body[: len(body) - cut], ORIGIN, many=False, max_bytes=2**20)
    assert caught.value.partial is not None
    assert "hello".startswith(caught.value.partial.text)
    assert (caught.value.partial.text[:3], caught.value.outcome) == ("hel", "unknown")


@pytest.mark.parametrize(
    "frames",
    [
        [delta("he")],
        [delta("he", reason="null")],
        [delta("he", reason="")],
        [{"choices": [{"delta": {"content": "he"}}]}],
        [delta("", role="assistant"), delta("he")],
        [AZURE, delta("he")],
        [{"choices": [{"message": {"content": "h"}}]}, {"choices": [{"message": {"content": "e"}}]}],
        [{"choices": [{"text": "h"}]}, {"choices": [{"text": "e"}]}],
    ],
)
def test_a_lone_chunk_is_no_whole_answer(frames: list[dict[str, Any]]) -> None:
    body = b"\n".join(json.dumps(frame).encode() for frame in frames)
    with pytest.raises(IncompleteStreamError) as caught:
        read_body(body, ORIGIN, many=False, max_bytes=2**20)
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.outcome) == ("he", "unknown")


@pytest.mark.parametrize(
    "value",
    [
        {"choices": [{"message": {"content": "hi"}}]},
        {"choices": [{"message": {"content": "hi"}, "finish_reason": None}]},
        {"choices": [{"message": {"content": "hi"}, "finish_reason": "null"}]},
        {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": "hi"}, "delta": {}, "finish_reason": None}]},
        {"choices": [{"text": "hi"}]},
    ],
)
def test_one_value_that_has_a_message_or_a_reason_is_whole(value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    answer = read_body(body, ORIGIN, many=False, max_bytes=2**20)
    assert (answer.text, answer.raw) == ("hi", body)
    assert "".join(chunk.text for chunk in reader().whole(body)) == "hi"


@pytest.mark.parametrize(
    "written",
    [
        "\n".join(f'{{"code": 0, "data": {json.dumps(frame)}}}' for frame in (delta("he"), delta("llo"), END)),
        json.dumps({"code": 200, "data": [delta("he"), delta("llo"), END]}),
        json.dumps(json.dumps([delta("he"), delta("llo"), END])),
        "".join(f"\x1e{json.dumps(frame)}\n" for frame in (delta("he"), delta("llo"), END)),  # RFC 7464
    ],
)
def test_a_stream_written_as_json_is_read_whatever_is_around_it(written: str) -> None:
    assert read_body(written.encode(), ORIGIN, many=0, max_bytes=2**20).text == "hello"
    assert "".join(chunk.text for chunk in reader().whole(written.encode())) == "hello"


def test_a_lone_chunk_within_an_envelope_is_no_whole_answer() -> None:
    for written in (json.dumps(json.dumps(delta("he"))), json.dumps({"code": 0, "data": delta("he")})):
        with pytest.raises(IncompleteStreamError) as caught:
            read_body(written.encode(), ORIGIN, many=0, max_bytes=2**20)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "he"


@pytest.mark.parametrize("between", [",\n", "\n\x1e"])
def test_what_is_between_lines_of_json_is_passed_over(between: str) -> None:
    reading = reader()
    stream = between.join(map(json.dumps, (delta("he"), delta("llo"), END))).encode()
    assert reading.by_line(stream)
    assert "".join(chunk.text for chunk in chain(reading.feed(stream), reading.end())) == "hello"


@pytest.mark.parametrize("line", ["[DONE]", '"[DONE]"', "}", "garbage", "<html>", "0", 'data: {"message": "ok"}'])
def test_a_line_behind_the_last_event_costs_nothing_of_it(line: str) -> None:
    """Also where the blank line between them is missing."""
    for between in ("\n", "\n\n"):
        stream = events(delta("hello"), END).strip() + between.encode() + line.encode() + b"\n\n"
        answer = fold(stream, ORIGIN, many=0, max_bytes=2**20)
        assert (answer.text, answer.finish_reason) == ("hello", "stop")


@pytest.mark.parametrize("name", ["\0data:", " data: ", "Data: ", "data : ", "\ufeffdata: ", "", "\tdata:"])
def test_a_chunk_is_read_whatever_its_field_is_called(name: str) -> None:
    stream = events(delta("h")) + f"{name}{json.dumps(delta('i'))}\n\n".encode() + events(END)
    assert fold(stream, ORIGIN, many=0, max_bytes=2**20).text == "hi"


def test_bare_json_behind_an_event_comes_behind_it() -> None:
    stream = "data: " + "\n".join(map(json.dumps, (delta("he"), delta("llo"), END)))
    assert fold(stream.encode(), ORIGIN, many=0, max_bytes=2**20).text == "hello"


def test_what_cannot_be_read_within_lines_of_json_is_said() -> None:
    lines = [json.dumps(delta("h")), "{oops", json.dumps(delta("i")), json.dumps(END)]
    for body in ("\n".join(lines), "\n".join([*lines[:2], *lines[3:]])):
        reading = reader()
        assert reading.by_line(body.encode())
        with pytest.raises(UnexpectedResponseError, match="oops"):
            list(reading.feed(body.encode()))
        assert reading.partial is not None
        assert reading.partial.text == "h"


def test_a_chunk_whose_data_is_missing_is_read_too() -> None:
    stream = b": PING\n\n" + b"\n".join(json.dumps(frame).encode() for frame in HELLO) + b"\n"
    assert fold(stream, ORIGIN, many=False, max_bytes=2**20).text == "hello"


# --- one answer over several choices (kind G: zeroclaw PR 2136, nanobot PR 1555, litellm PR 35444) -------------------


def test_one_answer_over_several_choices_is_one() -> None:
    tool = {"id": "c1", "type": "function", "function": {"name": "a", "arguments": "{}"}, "signature": "x"}
    other = tool | {"id": "c2"}
    body = {
        "id": "c1",
        "odd": 1,
        "choices": [
            {"index": 0, "message": {"content": "I look.", "reasoning_content": "hm"}, "finish_reason": "stop"},
            {"index": 1, "message": {"content": None, "tool_calls": [tool]}, "finish_reason": "tool_calls"},
            {"index": 2, "message": {"content": "", "tool_calls": [other], "own": 5}, "finish_reason": "tool_calls"},
        ],
    }
    data = json.dumps(body).encode()
    answer = read_body(data, ORIGIN, many=0, max_bytes=2**20)
    assert (len(answer.choices), answer.text, answer.message.thinking, answer.finish_reason) == (
        1,
        "I look.",
        "hm",
        "tool_calls",
    )
    assert [call.id for call in answer.message.tool_calls or ()] == ["c1", "c2"]
    assert (answer.extra, answer.message.extra) == ({"odd": 1}, {"own": 5})
    assert wire.sendable([answer.message])[0]["tool_calls"] == [tool, other]
    [chunk] = reader().whole(data)
    assert (len(chunk.choices), chunk.text, len(chunk.choices[0].delta.tool_calls or ())) == (1, "I look.", 2)
    twice = {"choices": [{"index": n, "message": {"content": "I look."}} for n in range(2)]}
    assert read_body(json.dumps(twice).encode(), ORIGIN, many=0, max_bytes=2**20).text == "I look."
    apart = read_body(data, ORIGIN, many=3, max_bytes=2**20)
    assert [choice.index for choice in apart.choices] == [0, 1, 2]


@pytest.mark.parametrize(
    ("n", "many"), [(None, 0), (0, 0), (1, 0), (2, 2), ("3", 3), ("many", 0), (True, 0), (2.0, 0), ([], 0)]
)
def test_reads_how_many_choices_were_asked_for(n: object, many: int) -> None:
    assert several(n) == many


# --- bounds on counts ------------------------------------------------------------------------------------------------


def test_more_than_any_answer_has_is_an_error() -> None:
    many_calls = [{"function": {"name": "a"}, "id": f"c{number}"} for number in range(10_001)]
    many_choices = [{"index": number, "delta": {"content": "a"}} for number in range(1, 1002)]
    for frames, words, many in (
        ([delta("hi"), delta(tool_calls=many_calls)], "10,000 tool calls", 0),
        (
            [delta("hi"), *(delta(tool_calls=many_calls[at : at + 100]) for at in range(0, 10_001, 100))],
            "tool calls",
            0,
        ),
        ([delta("hi"), {"choices": many_choices}], "1,000 choices", 2),
        ([delta("hi"), {"choices": many_choices}], "1,000 choices", 0),
        ([delta("hi"), delta(images=["x"] * 100_001)], "100,000 parts", 0),
        ([delta("hi"), delta(annotations=["x"] * 100_001)], "100,000 parts", 0),
        ([delta("hi"), delta(content=[None] * 100_001)], "100,000 parts", 0),
    ):
        with pytest.raises(UnexpectedResponseError, match=words) as caught:
            fold(events(*frames), ORIGIN, many=many, max_bytes=2**22)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "hi"
    whole = {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}] * 1001}
    with pytest.raises(UnexpectedResponseError, match="1,000 choices"):
        read_body(json.dumps(whole).encode(), ORIGIN, many=0, max_bytes=2**22)
    texts = {"choices": [{"text": "a", "finish_reason": "stop"}] * 1001}
    with pytest.raises(UnexpectedResponseError, match="1,000 choices"):
        read_body(json.dumps(texts).encode(), ORIGIN, many=0, max_bytes=2**22)
    parts = {"choices": [{"message": {"content": ["a"] * 100_001}, "finish_reason": "stop"}]}
    with pytest.raises(UnexpectedResponseError, match="100,000 parts"):
        read_body(json.dumps(parts).encode(), ORIGIN, many=0, max_bytes=2**22)
    calls = {"choices": [{"message": {"tool_calls": many_calls}, "finish_reason": "stop"}]}
    with pytest.raises(UnexpectedResponseError, match="10,000 tool calls"):
        read_body(json.dumps(calls).encode(), ORIGIN, many=0, max_bytes=2**22)


# --- any cut ---------------------------------------------------------------------------------------------------------

frames = st.sampled_from(
    [
        *NORMAL,
        *NA_CLAUDE,
        AZURE,
        FORCED,
        delta("图 🙂"),
        delta(reasoning_content="hm"),
        call(name="a", arguments=OSLO),
        "{}",
        "{oops",
        {"error": {"message": "bad"}},
    ]
)


@given(
    written=st.lists(frames, max_size=8),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    tail=st.sampled_from([b"", b"data: [DONE]", b": PING\n\n", b'{"error": {"message": "bad"}}', b"\xef\xbb"]),
    places=st.lists(st.integers(0, 3000), max_size=10),
)
def test_cuts_change_nothing(written: list[object], line_end: str, tail: bytes, places: list[int]) -> None:
    stream = events(*written).replace(b"\n", line_end.encode()) + tail
    once, in_pieces = chunks_of(stream), chunks_of(stream, places)
    assert in_pieces == once
    assert [chunk.raw for chunk in in_pieces[0]] == [chunk.raw for chunk in once[0]]


@given(
    stream=st.binary(max_size=80) | st.lists(st.binary(max_size=20)).map(lambda parts: b"\ndata: ".join([b"", *parts]))
)
def test_any_bytes_are_chunks_or_one_of_our_errors(stream: bytes) -> None:
    with contextlib.suppress(errors.APIStatusError, UnexpectedResponseError, IncompleteStreamError):
        answer = fold(stream, ORIGIN, many=False, max_bytes=50)
        assert answer.text.encode().decode() == answer.text


@pytest.mark.parametrize("field", ['"error": "boom"', '"success": false, "msg": "boom"'])
def test_an_error_is_found_beside_a_delta_that_is_empty(field: str) -> None:
    with pytest.raises(errors.APIStatusError, match="boom"):
        list(reader().feed(b'data: {"choices": [{"delta": {}}], %b}\n\n' % field.encode()))


@pytest.mark.parametrize("before", ["", ', "content": ""', ', "content": null', ', "role": "assistant"'])
def test_thoughts_are_kept_in_order_whatever_stands_beside_them(before: str) -> None:
    reading = reader()
    frame = 'data: {"id": "c", "model": "m", "choices": [{"delta": {"reasoning_content": "%s"%s}}]}\n\n'
    for word in ("one ", "two ", "three"):
        (chunk,) = reading.feed((frame % (word, before)).encode())
        assert (chunk.thinking, chunk.text) == (word, "")
    list(reading.feed(b'data: {"choices": [{"delta": {"content": "four"}, "finish_reason": "stop"}]}\n\n'))
    message = reading.folder.completion().choices[0].message
    assert (message.reasoning_content, message.content) == ("one two three", "four")


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ({"refusal": "no"}, {"refusal": "no"}),
        ({"reasoning_content": "hm"}, {"reasoning_content": "hm"}),
        ({"reasoning": "hm"}, {"reasoning": "hm"}),
        ({"annotations": [{"type": "x"}]}, {"annotations": [{"type": "x"}]}),
        ({"reasoning_details": [{"type": "x"}]}, {"reasoning_details": [{"type": "x"}]}),
        ({"images": [{"type": "x"}]}, {"images": [{"type": "x"}]}),
        ({"image": {"type": "x"}}, {"images": [{"type": "x"}]}),
    ],
)
def test_what_stands_beside_a_piece_of_text_is_kept(field: dict[str, Any], kept: dict[str, Any]) -> None:
    reading = reader()
    for delta in ({"content": "one "}, {"content": "two ", **field}, {"content": "three"}):
        data = {"id": "c", "model": "m", "choices": [{"delta": delta}]}
        assert len(list(reading.feed(f"data: {json.dumps(data)}\n\n".encode()))) == 1
    message = reading.folder.completion().choices[0].message
    assert message.content == "one two three"
    assert {name: getattr(message, name) for name in kept} == kept


def test_a_call_that_stands_beside_a_piece_of_text_is_kept() -> None:
    reading = reader()
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    for delta in ({"content": "one "}, {"content": "two", "tool_calls": [call]}):
        data = {"id": "c", "model": "m", "choices": [{"delta": delta}]}
        list(reading.feed(f"data: {json.dumps(data)}\n\n".encode()))
    message = reading.folder.completion().choices[0].message
    assert (message.content, [call.function.name for call in message.tool_calls or ()]) == ("one two", ["f"])


def test_an_error_is_found_beside_a_thought() -> None:
    reading = reader()
    frame = b'data: {"id": "c", "model": "m", "choices": [{"delta": {"reasoning_content": "hm"}}]%b}\n\n'
    assert len(list(reading.feed(frame % b""))) == 1
    with pytest.raises(errors.APIStatusError, match="boom"):
        list(reading.feed(frame % b', "error": {"message": "boom"}'))


@pytest.mark.parametrize("lists", [0, 1, 100, 223, 224, 225, 300])
def test_the_quick_way_is_never_given_what_is_nested_too_deeply(monkeypatch: pytest.MonkeyPatch, lists: int) -> None:
    decoded: list[bytes] = []

    def decode(data: bytes) -> ChatCompletionChunk:
        decoded.append(data)
        raise msgspec.DecodeError

    monkeypatch.setattr(wire, "decode_chunk", decode)
    for objects in range(1, 300):
        with contextlib.suppress(errors.APIError):
            list(reader().feed(b"data: %b%b\n\n" % (b"[" * lists, b'{"":' * objects)))
    assert (len(decoded) > 10) == (lists < 250)
    assert not any(map(too_deep, decoded))
