"""What ``tutuclient.streams.folding`` promises: the whole answer, however it was cut and named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.streams.chunks import (
    AZURE,
    DONE,
    END,
    FORCED,
    H_READ,
    META,
    NORMAL,
    ORIGIN,
    USAGE,
    H,
    also,
    call,
    chunks_of,
    delta,
    events,
    fold,
    folded,
    noisy,
)
from tutuclient import wire
from tutuclient.errors import IncompleteStreamError
from tutuclient.streams.bodies import read_body
from tutuclient.streams.folding import Folder, several
from tutuclient.types.chat import (
    ChatAudio,
    ChatCompletion,
    ChatCompletionChunk,
    ChoiceLogprobs,
    TokenLogprob,
)


def test_folds_the_normal_sequence() -> None:
    answer = folded(*NORMAL)
    assert (answer.id, answer.object, answer.created, answer.model) == ("c1", "chat.completion", 1767225600, "gpt-4o")
    assert (answer.text, answer.message.role, answer.finish_reason) == ("你好", "assistant", "stop")
    assert answer.usage is not None
    assert (answer.usage.total_tokens, answer.usage.extra) == (10, {"cost": 0.5})
    assert answer.meta is META


FINE = {"error": {"message": "success", "code": 0}, "choices": [{"delta": {"content": ""}}]}


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
                "images too",
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
def test_every_deviation_is_folded(frames: list[object], expected: dict[str, Any], done: list[object]) -> None:
    answer = folded(*frames, *done)
    assert {name: seen(answer, name) for name in expected} == expected


def test_fields_of_the_whole_answer_in_a_chunk_are_kept() -> None:
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
        assert len(fold(stream, many=asked, max_bytes=1000).choices) == 3
    else:
        with pytest.raises(IncompleteStreamError):
            fold(stream, many=asked, max_bytes=1000)
    assert len(fold(stream + b"data: [DONE]\n\n", many=asked, max_bytes=1000).choices) == 3


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
        fold(stream, many=True, max_bytes=1000)
    assert fold(stream, many=False, max_bytes=1000).text == "ab"


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
    [sent] = wire.prepared_messages([answer.message])
    assert {name: sent[name] for name in sent if name not in {"role", "content", "tool_calls"}} == expected
    [sent] = wire.prepared_messages([folded(*pieces, delta("hi"), END).message])
    assert sent == {"role": "assistant", "content": "hi"}


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


def test_folding_needs_no_reader() -> None:
    folder = Folder()
    assert not folder.finished
    assert folder.progress == 0
    assert folder.completion() == ChatCompletion(object="chat.completion")
    folder.add(ChatCompletionChunk(id="c1"))
    assert (folder.began, folder.completion().id) == (True, "c1")
    assert folder.completion().meta.status_code == 0


@pytest.mark.parametrize(
    ("n", "many"), [(None, 0), (0, 0), (1, 0), (2, 2), ("3", 3), ("many", 0), (True, 0), (2.0, 0), ([], 0)]
)
def test_n_is_read_as_relays_read_it(n: object, many: int) -> None:
    assert several(n) == many
