"""What all answers promise: nothing of the JSON is lost, its Meta is at hand, and both survive copying and pickling."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from tutuclient import ConfigError, wire
from tutuclient._meta import Meta
from tutuclient.types.base import Answer, Nested
from tutuclient.types.chat import ChatChoice, ChatCompletion, ChatMessage, CustomCall, FunctionCall, ToolCall
from tutuclient.types.models import Model
from tutuclient.types.provenance import Origin, provenance, remember, set_origin


class Page(Answer, frozen=True, kw_only=True):
    id: str = ""
    size: int = 0


class Part(Nested, frozen=True, kw_only=True):
    name: str = ""


def page(raw: bytes, **fields: Any) -> Page:
    made = Page(**fields)
    provenance(made).raw = raw
    return made


def nothing(_: object) -> list[Any]:
    return []


def travelled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301  (our own bytes)


def test_keeps_what_it_has_no_name_for() -> None:
    answer = page(b'{"id": "1", "size": 2, "provider": "x", "inner": {"a": [1]}}', id="1", size=2)
    assert answer.extra == {"provider": "x", "inner": {"a": [1]}}
    assert answer.to_dict() == {"id": "1", "size": 2, "provider": "x", "inner": {"a": [1]}}
    assert answer.to_dict() is answer.to_dict()
    assert answer.raw == b'{"id": "1", "size": 2, "provider": "x", "inner": {"a": [1]}}'


def test_an_answer_made_by_hand_has_only_its_fields() -> None:
    answer = Page(id="1")
    assert (answer.raw, answer.extra, answer.to_dict()) == (b"", {}, {"id": "1", "size": 0})
    assert (answer.meta.status_code, answer.meta.request_id) == (0, None)


def test_raw_is_bytes_whatever_it_was_read_from() -> None:
    for raw in (b"{}", bytearray(b"{}"), memoryview(b"{}")):
        answer = Page()
        provenance(answer).raw = raw
        assert answer.raw == b"{}"
        assert type(answer.raw) is bytes


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"1e999", None),
        (b"NaN", None),
        (b"-Infinity", None),
        (b"1" * 5000, None),
        (b'"\\ud83d"', "\ufffd"),
        (b'"\\ud83d\\ude42"', "🙂"),
        (b'"\xff"', "\ufffd"),
        (b'"a\nb"', "a\nb"),
        (b'["\\udc00", {"\\udc00": 1}]', ["\ufffd", {"\ufffd": 1}]),
    ],
)
def test_extra_reads_what_a_strict_reader_refuses(value: bytes, read: object) -> None:
    raw = b'{"id": "1", "odd": %s}' % value
    part = Part()
    remember(part, (b'{"parts": [%s]}' % raw, ("parts", 0)))
    assert page(raw).extra == {"odd": read}
    assert part.extra == {"id": "1", "odd": read}


def test_equal_is_what_has_equal_fields() -> None:
    here, there = page(b'{"a": 1}', id="1"), page(b'{"a": 2}', id="1")
    set_origin(here, Origin(Meta(200), nothing))
    assert here == there
    assert here != Page(id="2")


def test_an_answer_travels_with_where_it_came_from() -> None:
    answer = page(b'{"id": "1", "odd": true}', id="1")
    set_origin(answer, Origin(Meta(200, {"X-Request-Id": "r"}, attempts=2), nothing))
    again = travelled(answer)
    assert again == answer
    assert (again.raw, again.extra) == (answer.raw, {"odd": True})
    assert (again.meta.status_code, again.meta.request_id, again.meta.attempts) == (200, "r", 2)


def test_an_answer_read_from_a_view_travels() -> None:
    answer = Page()
    provenance(answer).raw = memoryview(b'{"odd": 1}')
    assert travelled(answer).extra == {"odd": 1}


def test_a_part_finds_its_place_and_takes_it_along() -> None:
    tree = {"parts": [{"name": "a", "odd": 1}, {"name": "b", "cost": 0.5}]}
    part = Part(name="b")
    remember(part, (tree, ("parts", 1)))
    assert part.extra == {"cost": 0.5}
    again = travelled(part)
    assert again == part
    assert again.extra == {"cost": 0.5}


def test_a_part_without_a_place_has_nothing_more() -> None:
    assert Part(name="a").extra == {}
    assert travelled(Part(name="a")).extra == {}


def test_a_model_is_an_answer_too() -> None:
    assert isinstance(Model(), Answer)


COMPLETION = b"""{"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": null, "thought": "t",
"tool_calls": [{"id": "k", "type": "function", "function": {"name": "f", "arguments": "{}"}, "sign": "s"}]}}],
"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.5}, "provider": "p"}"""
TOOL_CALL = {"id": "k", "type": "function", "function": {"name": "f", "arguments": "{}"}, "sign": "s"}


def test_every_part_of_an_answer_gives_what_came() -> None:
    answer = wire.read_completion(COMPLETION, Meta())
    whole = json.loads(COMPLETION)
    message = answer.choices[0].message
    assert answer.to_dict() == json.loads(answer.to_json()) == answer.model_dump(exclude_unset=True) == whole
    assert answer.choices[0].to_dict() == whole["choices"][0]
    assert message.to_dict() == whole["choices"][0]["message"]
    assert message.tool_calls is not None
    assert message.tool_calls[0].to_dict() == TOOL_CALL
    assert message.tool_calls[0].function.to_dict() == TOOL_CALL["function"]
    assert answer.usage is not None
    assert answer.usage.to_dict() == whole["usage"]
    assert (answer.model_extra, message.model_extra) == ({"provider": "p"}, {"thought": "t"})
    assert (answer.usage.model_extra, message.tool_calls[0].function.model_extra) == ({"cost": 0.5}, {})


def test_a_dump_names_the_fields_that_did_not_come_too() -> None:
    answer = wire.read_completion(COMPLETION, Meta())
    dumped = answer.model_dump()
    message = dumped["choices"][0]["message"]
    assert message == answer.choices[0].message.model_dump()
    assert message == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [TOOL_CALL],
        "function_call": None,
        "annotations": None,
        "audio": None,
        "thought": "t",
    }
    assert (dumped["system_fingerprint"], dumped["choices"][0]["finish_reason"], dumped["provider"]) == (
        None,
        None,
        "p",
    )
    assert dumped["usage"] == {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "prompt_tokens_details": None,
        "completion_tokens_details": None,
        "cost": 0.5,
    }
    assert dumped == json.loads(answer.model_dump_json())


def test_a_dump_can_be_made_smaller() -> None:
    message = wire.read_completion(COMPLETION, Meta()).choices[0].message
    short = {"role": "assistant", "thought": "t", "tool_calls": [TOOL_CALL]}
    assert message.model_dump(exclude_none=True) == message.model_dump(exclude_defaults=True) == short
    assert message.to_dict(exclude_none=True) == short
    assert message.model_dump(exclude_none=True, exclude={"tool_calls", "thought"}) == {"role": "assistant"}
    assert message.model_dump(include={"role"}, mode="json", by_alias=True, warnings=False) == {"role": "assistant"}
    with pytest.raises(ConfigError, match="top level"):
        message.model_dump(include={"tool_calls": {0}})
    with pytest.raises(TypeError, match="exclude_nones"):
        message.model_dump(exclude_nones=True)


def test_a_dump_is_written_as_openai_writes_it() -> None:
    answer = page('{"id": "é"}'.encode(), id="é")
    assert answer.to_json() == '{\n  "id": "é"\n}'
    assert answer.to_json(indent=None) == '{"id":"é"}'
    assert answer.model_dump_json() == '{"id":"é","size":0}'
    assert answer.model_dump_json(indent=1, exclude_unset=True) == '{\n "id": "é"\n}'
    assert answer.model_dump_json(ensure_ascii=True, exclude_unset=True) == '{"id": "\\u00e9"}'


def test_what_did_not_come_off_the_wire_is_dumped_from_its_fields() -> None:
    call = ToolCall(id="k", function=FunctionCall(name="f", arguments="{}"))
    remember(call, ({"sign": "s"}, ()))
    message = ChatMessage(content="see", parts=[{"type": "text", "text": "see"}], tool_calls=[call], reasoning="hm")
    assert ChatCompletion(choices=[ChatChoice(message=message)]).to_dict()["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": [{"type": "text", "text": "see"}],
                "tool_calls": [TOOL_CALL],
                "reasoning": "hm",
            },
        }
    ]
    assert "parts" not in message.model_dump()


def test_a_custom_tool_call_dumps_without_a_function() -> None:
    call = ToolCall(id="k", type="custom", custom=CustomCall(name="f", input="x"))
    assert call.model_dump() == {"id": "k", "type": "custom", "custom": {"name": "f", "input": "x"}}


def test_an_answer_knows_its_request_id_by_both_names() -> None:
    answer = Page()
    set_origin(answer, Origin(Meta(headers={"x-request-id": "r-1"}), nothing))
    assert answer.request_id == answer._request_id == "r-1"
    assert Page().request_id is None


def test_fields_without_a_name_are_attributes_too() -> None:
    answer: Any = wire.read_completion(COMPLETION, Meta())
    assert (answer.provider, answer.choices[0].message.thought, answer.usage.cost) == ("p", "t", 0.5)
    assert travelled(answer).choices[0].message.tool_calls[0].sign == "s"
    for part in (answer, answer.usage):
        with pytest.raises(AttributeError, match="nothing_of_the_kind"):
            _ = part.nothing_of_the_kind


class Broken(Nested, frozen=True, kw_only=True):
    @property
    def picture(self) -> object:
        return self.name.nothing_of_the_kind

    name: Any = None


def test_a_property_that_fails_says_why() -> None:
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute"):
        _ = Broken().picture
