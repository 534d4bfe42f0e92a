"""What all answers promise: nothing of the JSON is lost, how the call went is told, and both travel."""

from __future__ import annotations

import contextlib
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient import wire
from tutuclient.types.answer import DEEPEST, Answer, Meta, Nested, Origin, read_json, request_id_of, too_deep
from tutuclient.types.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable


class Page(Answer, frozen=True, kw_only=True):
    id: str = ""
    size: int = 0


class Part(Nested, frozen=True, kw_only=True):
    name: str = ""


def page(raw: bytes, **fields: Any) -> Page:
    made = Page(**fields)
    made.__dict__["raw"] = raw
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
        answer.__dict__["raw"] = raw
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
    part.__dict__["place"] = (b'{"parts": [%s]}' % raw, ("parts", 0))
    assert page(raw).extra == {"odd": read}
    assert part.extra == {"id": "1", "odd": read}


def test_equal_is_what_has_equal_fields() -> None:
    here, there = page(b'{"a": 1}', id="1"), page(b'{"a": 2}', id="1")
    here.__dict__["origin"] = Origin(Meta(200), nothing)
    assert here == there
    assert here != Page(id="2")


def test_an_answer_travels_with_where_it_came_from() -> None:
    answer = page(b'{"id": "1", "odd": true}', id="1")
    answer.__dict__["origin"] = Origin(Meta(200, {"X-Request-Id": "r"}, attempts=2), nothing)
    again = travelled(answer)
    assert again == answer
    assert (again.raw, again.extra) == (answer.raw, {"odd": True})
    assert (again.meta.status_code, again.meta.request_id, again.meta.attempts) == (200, "r", 2)


def test_an_answer_read_from_a_view_travels() -> None:
    answer = Page()
    answer.__dict__["raw"] = memoryview(b'{"odd": 1}')
    assert travelled(answer).extra == {"odd": 1}


def test_a_part_finds_its_place_and_takes_it_along() -> None:
    tree = {"parts": [{"name": "a", "odd": 1}, {"name": "b", "cost": 0.5}]}
    part = Part(name="b")
    part.__dict__["place"] = (tree, ("parts", 1))
    assert part.extra == {"cost": 0.5}
    again = travelled(part)
    assert again == part
    assert again.extra == {"cost": 0.5}


def test_a_part_without_a_place_has_nothing_more() -> None:
    assert Part(name="a").extra == {}
    assert travelled(Part(name="a")).extra == {}


@pytest.mark.parametrize(
    ("headers", "message", "found"),
    [
        ({"x-request-id": "a", "x-oneapi-request-id": "b", "x-generation-id": "c", "cf-ray": "d"}, "", "a"),
        ({"x-oneapi-request-id": "b", "cf-ray": "d"}, "(request id: e)", "b"),
        ({"x-generation-id": "c"}, "", "c"),
        ({"x-litellm-call-id": "l", "cf-ray": "d"}, "", "l"),
        ({"x-request-id": "", "x-generation-id": "c"}, "", "c"),
        ({}, "no (request id: 2026ab) (request id: 2027cd)", "2027cd"),
        ({"cf-ray": "d"}, "no (Request ID: 2026ab)", "2026ab"),
        ({"cf-ray": "d"}, "no", "d"),
        ({}, "", None),
    ],
)
def test_finds_the_relays_name_for_a_request(headers: dict[str, str], message: str, found: str | None) -> None:
    assert request_id_of(headers, message) == found


def test_meta_tells_how_a_call_went() -> None:
    meta = Meta(200, {"x-request-id": "r"}, attempts=2, waited_s=0.25, headers_s=0.5, elapsed_s=1.0)
    assert meta.status == meta.status_code == 200
    assert repr(meta) == (
        "Meta(status_code=200, request_id='r', attempts=2, waited_s=0.250, headers_s=0.500, elapsed_s=1.000)"
    )
    assert repr(travelled(meta)) == repr(meta)


def test_meta_travels_with_names_in_lower_case() -> None:
    assert travelled(Meta(200, {"X-Request-ID": "r"})).request_id == "r"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b' \r\n\t{"a": 1}', {"a": 1}),
        (b'{"a": 1}{"b": 2}', {"a": 1}),
        (b'{"a": 1}\ntail', {"a": 1}),
        (b"[1, 2.5, NaN]", [1, 2.5, None]),
        (b"null", None),
        (b"1" * 399 + b" x", int("1" * 399)),
        (b"1" * 400 + b" x", None),
        (b"1.5e3 x", 1500.0),
    ],
)
def test_reads_json_as_generously_as_it_is_written(text: bytes, value: object) -> None:
    assert read_json(text) == value
    assert read_json(memoryview(text)) == value


@pytest.mark.parametrize("text", [b"", b" ", b"<html>", b"{", b'{"a"', b"nul", b"\xff", b"'a'"])
def test_what_is_no_json_is_no_json(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"line 1|Expecting|Unterminated"):
        read_json(text)


@given(data=st.binary(max_size=40) | st.text(st.characters(), max_size=40).map(lambda s: s.encode("utf-8", "replace")))
def test_any_bytes_are_json_or_no_json(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_json(data)


@pytest.mark.parametrize(
    ("text", "deep"),
    [
        (b"[" * DEEPEST + b"]" * DEEPEST, False),
        (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), True),
        (b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1), True),
        (b"[" * 100_000, True),
        (b"[" + b"[]," * 999 + b"[]]", False),
        (b'["' + b"[{" * 999 + b'"]', False),
        (b'["\\"' + b"[" * 999 + b'"]', False),
        (b'["\\\\",' + b"[" * 999 + b"]" * 1000, True),
    ],
    ids=["deepest", "deeper", "objects", "cut", "wide", "in a string", "behind an escape", "behind an escaped escape"],
)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_nesting_too_deep_is_said_before_it_is_read(text: bytes, deep: bool, kind: Callable[[bytes], Any]) -> None:
    assert too_deep(kind(text)) is deep
    with pytest.raises(RecursionError, match="too deeply") if deep else contextlib.nullcontext():
        read_json(kind(text))


def test_a_model_is_an_answer_too() -> None:
    assert isinstance(Model(), Answer)


def test_headers_that_travelled_are_found_in_any_case() -> None:
    meta = pickle.loads(pickle.dumps(Meta(headers={"X-Request-Id": "r"})))  # noqa: S301  (our own bytes)
    assert meta.headers["X-Request-ID"] == meta.headers.get("x-request-id") == "r"
    assert "X-REQUEST-ID" in meta.headers
    assert 5 not in meta.headers
    assert pickle.loads(pickle.dumps(meta)).headers == {"x-request-id": "r"}  # noqa: S301  (our own bytes)


def test_the_names_of_openai_give_the_whole_answer() -> None:
    answer = wire.read_completion(b'{"choices":[{"message":{"content":"a"}}],"provider":"p"}', Meta())
    assert (
        answer.model_dump() == answer.to_dict() == json.loads(answer.to_json()) == json.loads(answer.model_dump_json())
    )
    assert answer.to_dict()["provider"] == "p"
