"""Values of the wrong type or shape, field by field, and what they are normalized to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.wire.bodies import CALL, OK, answer_of, calls, choice, completion, counts, message, usage
from tutuclient import wire
from tutuclient.errors import UnexpectedResponseError
from tutuclient.types.base import Answer
from tutuclient.types.chat import ChatAudio, ChatCompletion, ChoiceLogprobs, Usage

if TYPE_CHECKING:
    from collections.abc import Callable


def first_call(answer: ChatCompletion) -> tuple[str, str, str, str]:
    call = (answer.message.tool_calls or [])[0]
    return call.id, call.type, call.function.name, call.function.arguments


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
        (completion(choices=[{"message": [], "text": "hi"}]), lambda a: a.text, "hi"),
        (completion(choices=[{"message": {"role": "assistant"}, "text": "hi"}]), lambda a: a.text, "hi"),
        (completion(choices=[{"message": {"content": ""}, "delta": {"content": "hi"}}]), lambda a: a.text, "hi"),
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
        (message(content=False), lambda a: a.message.content, None),
        (message(content={}), lambda a: a.message.content, None),
        (message(content=[]), lambda a: (a.text, a.message.parts), ("", [])),
        (message(content=[{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]), lambda a: a.text, "hi"),
        (message(content=["h", {"text": "i"}]), lambda a: a.text, "hi"),
        (message(content=[{"type": "output_text", "text": "hi"}]), lambda a: a.text, "hi"),
        (message(content=[{"type": "text", "text": {"value": "hi"}}]), lambda a: a.text, "hi"),
        (message(content=[{"type": "text", "text": None}, {"type": "text"}, None]), lambda a: a.text, ""),
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
        # laravel/ai PR 813, copilot-api PR 152; two names with the same text are one thought
        (message(reasoning_text="hm"), lambda a: a.message.thinking, "hm"),
        (message(reasoning_text="hm", reasoning="hm"), lambda a: a.message.thinking, "hm"),
        (message(thinking="hm"), lambda a: a.message.thinking, "hm"),
        (message(thinking=[{"type": "thinking", "thinking": "hm"}]), lambda a: a.message.thinking, "hm"),
        (message(thinking="hm", reasoning_content="hm"), lambda a: a.message.thinking, "hm"),
        (
            message(reasoning_details=[{"type": "reasoning.summary", "summary": "h"}, {"text": "m"}, {"data": "x"}]),
            lambda a: a.message.thinking,
            "hm",
        ),
        (
            message(reasoning="hm", reasoning_details=[{"type": "reasoning.text", "text": "hm"}]),
            lambda a: a.message.thinking,
            "hm",
        ),
        (
            message(content=[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}]),
            lambda a: (a.message.thinking, a.text),
            ("hm", "hi"),
        ),
        (
            message(
                reasoning_content="hm",
                content=[
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "hi"},
                ],
            ),
            lambda a: (a.message.thinking, a.text),
            ("hm", "hi"),
        ),
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
        # opencodex#361: the complete arguments twice, run together, with a space, written differently
        *(
            (
                calls({"id": "c", "function": {"name": "f", "arguments": twice}}),
                first_call,
                ("c", "function", "f", once),
            )
            for twice, once in (
                ('{"a":1}{"a":1}', '{"a":1}'),
                ('{"a": {"b": []}}\n{"a":{"b":[]}}', '{"a": {"b": []}}'),
                ("{}{}{}", "{}"),
                ('{"a":1}{"a":2}', '{"a":1}{"a":2}'),
                ('{"a":"} {"}', '{"a":"} {"}'),
                ('{"a":1} {', '{"a":1} {'),
            )
        ),
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
        # DashScope's SDK, qwen through relays: the word in place of null
        *(
            (choice(finish_reason=word), lambda a: a.finish_reason, None)
            for word in ("null", "None", "undefined", " NULL ")
        ),
    ],
    "logprobs": [
        (choice(logprobs=None), lambda a: a.choices[0].logprobs, None),
        (choice(logprobs={}), lambda a: a.choices[0].logprobs, ChoiceLogprobs()),
        (choice(logprobs="no"), lambda a: a.choices[0].logprobs, None),
        (choice(logprobs={"tokens": ["h"]}), lambda a: a.choices[0].logprobs, ChoiceLogprobs()),
        (
            choice(logprobs={"content": [{"token": "h", "logprob": -1, "bytes": None}, {"token": 5}], "refusal": []}),
            lambda a: str(a.choices[0].logprobs),
            (
                "ChoiceLogprobs(content=[TokenLogprob(token='h', bytes=None, logprob=-1.0, top_logprobs=[]), "
                "TokenLogprob(token='5', bytes=None, logprob=nan, top_logprobs=[])], refusal=[])"
            ),
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
        # Moonshot (pi#2017), Groq's x_groq, litellm#1571
        (
            choice(usage={"total_tokens": 5, "cached": 1}),
            lambda a: (counts(a), a.usage and a.usage.extra),
            ((None, None, 5), {"cached": 1}),
        ),
        (completion(x_groq={"id": "r", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}), counts, (1, 2, 3)),
        (
            completion(usage={}, x_groq={"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}),
            counts,
            (1, 2, 3),
        ),
        (message(usage={"total_tokens": "5"}), counts, (None, None, 5)),
        (completion(usage={"total_tokens": 9}, x_groq={"usage": {"total_tokens": 3}}), counts, (None, None, 9)),
        (completion(x_groq={"usage": {}}), lambda a: a.usage, None),
        # Relays of other languages' frameworks: LangServe's metadata, AI gateways' meta.
        (completion(metadata={"usage": {"prompt_tokens": 1, "completion_tokens": 2}}), counts, (1, 2, 3)),
        (completion(meta={"usage": {"prompt_tokens": 1, "completion_tokens": 2}}), counts, (1, 2, 3)),
        (completion(token_usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}), counts, (1, 2, 3)),
        (completion(Usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}), counts, (1, 2, 3)),
        (completion(x_groq={"usage": {"total_tokens": 0}}), lambda a: a.usage, None),
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
        (message(audio={"id": "a", "data": "UklG"}), lambda a: a.message.audio, ChatAudio(id="a", data="UklG")),
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


@pytest.mark.parametrize("part", ["message", "delta"])
@pytest.mark.parametrize(
    "odd",
    [
        "hi",
        ["hi"],
        5,
        True,
        {"content": {"a": "hi"}},
        {"content": True},
        {"content": [5]},
        {"content": [True]},
        {"content": [["hi"]]},
        {"content": [{"type": "text", "text": 5}]},
        {"content": [{"text": ["hi"]}]},
        {"content": [{"type": "text", "text": {"value": 5}}]},
    ],
)
def test_text_that_cannot_be_read_is_an_error_and_never_dropped(part: str, odd: object) -> None:
    body = json.dumps({"id": "c1", "choices": [{"index": 0, part: odd, "finish_reason": "stop"}]}).encode()
    for read in (wire.read_completion, wire.read_chunk, wire.read_text, wire.read_text_event):
        with pytest.raises(UnexpectedResponseError, match="with a "):
            read(body, OK)


@pytest.mark.parametrize("odd", [["hi"], {"a": "hi"}, True])
def test_a_text_beside_the_message_that_cannot_be_read_is_an_error(odd: object) -> None:
    body = completion(choices=[{"text": odd}])
    for read in (wire.read_completion, wire.read_chunk, wire.read_text, wire.read_text_event):
        with pytest.raises(UnexpectedResponseError, match="a text that is"):
            read(body, OK)


@pytest.mark.parametrize("choices", ["hi", {"delta": {"content": "hi"}}, ["hi"], [5]])
def test_invalid_choices_are_an_error_in_a_stream(choices: object) -> None:
    with pytest.raises(UnexpectedResponseError, match="choices that are"):
        wire.read_chunk(completion(choices=choices), OK)


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
