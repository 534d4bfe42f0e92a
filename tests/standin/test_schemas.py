from typing import Any

import pytest

from tutuclient.standin.schemas import UNKNOWN, fill, strict_error
from tutuclient.standin.words import Words

STRING, INTEGER = {"type": "string"}, {"type": "integer"}


def filled(schema: Any, text: str = "") -> Any:
    return fill(schema, Words(text))


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def test_takes_values_out_of_the_prompt() -> None:
    schema = obj(name=STRING, age=INTEGER, tags={"type": "array", "items": STRING}, mood={"enum": ["happy", "sad"]})
    text = "Ada is 36 years old, likes Python and Chess, and is sad"
    assert filled(schema, text) == {"name": "Ada", "age": 36, "tags": ["Python", "Chess"], "mood": "sad"}


def test_gives_the_same_value_to_the_same_prompt() -> None:
    schema = obj(a=STRING, b={"type": "number"}, c={"type": "boolean"})
    assert filled(schema, "Ada 1.5") == filled(schema, "Ada 1.5") == {"a": "Ada", "b": 1.5, "c": False}


def test_fills_nested_objects_and_references() -> None:
    schema = {
        "type": "object",
        "properties": {"home": {"$ref": "#/$defs/place"}, "work": {"$ref": "#/$defs/place"}},
        "$defs": {"place": obj(city=STRING)},
    }
    assert filled(schema, "Oslo and Turin") == {"home": {"city": "Oslo"}, "work": {"city": "Turin"}}


def test_lays_allof_together() -> None:
    schema = {"allOf": [obj(a=INTEGER), {"$ref": "#/definitions/b"}], "definitions": {"b": obj(b=INTEGER)}}
    assert filled(schema, "1 2") == {"a": 1, "b": 2}


def test_a_schema_that_holds_itself_ends() -> None:
    node = obj(value=INTEGER, next={"anyOf": [{"$ref": "#"}, {"type": "null"}]})
    assert filled(node, "1 2") == {"value": 1, "next": {"value": 2, "next": None}}
    tree = obj(name=STRING, children={"type": "array", "items": {"$ref": "#"}})
    assert filled(tree) == {"name": UNKNOWN, "children": []}


def test_a_schema_that_must_hold_itself_at_every_depth_ends_too() -> None:
    node: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert str(filled(node)).count("next") < 10
    deep = obj(next={"anyOf": [{"$ref": "#"}, {"type": "null"}]}, tag={"type": "array", "items": STRING})
    assert str(filled(deep, " ".join(map(str, range(50))))).count("next") < 10


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"$ref": "#"}]},
        {"$ref": "#"},
        obj(left={"$ref": "#"}, right={"$ref": "#"}),
        {"type": "array", "items": {"$ref": "#"}, "minItems": 3},
        {"type": "array", "items": STRING, "minItems": 10**9},
        {"type": "string", "minLength": 10**12},
    ],
)
def test_a_schema_that_nothing_can_fit_ends_as_well(schema: Any) -> None:
    assert len(str(filled(schema, "Ada 1"))) < 100_000


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"const": "fixed"}, "", "fixed"),
        ({"enum": [1, "two"]}, "take two", "two"),
        ({"enum": [1, "two"]}, "", 1),
        ({"type": ["string", "null"]}, "Ada", "Ada"),
        ({"type": "null"}, "Ada", None),
        ({"oneOf": [{"type": "null"}, STRING]}, "Ada", "Ada"),
        ({"anyOf": [STRING, INTEGER]}, "7", 7),
        ({"anyOf": [obj(kind={"const": "cat"}), obj(kind={"const": "dog"})]}, "a dog", {"kind": "dog"}),
        ({"type": "array", "items": {"enum": ["a", "b", "c"]}}, "b and c", ["b", "c"]),
        ({"type": "array", "items": INTEGER, "maxItems": 2}, "1 2 3", [1, 2]),
        ({"type": "array", "items": STRING, "minItems": 2}, "Ada", ["Ada", UNKNOWN]),
        ({"type": "array", "items": {"type": "boolean"}}, "", [False]),
        ({"prefixItems": [STRING, INTEGER], "type": "array"}, "Ada 1", ["Ada", 1]),
        ({"type": "array", "items": obj(name=STRING, age=INTEGER)}, "Ada 1, Bob 2",
         [{"name": "Ada", "age": 1}, {"name": "Bob", "age": 2}]),
        ({"type": "object", "additionalProperties": INTEGER}, "Ada 3", {"Ada": 3}),
        ({"type": "object"}, "Ada", {}),
        ({}, "Ada", "Ada"),
    ],
)  # fmt: skip
def test_fits_every_kind_of_schema(schema: Any, text: str, value: Any) -> None:
    assert filled(schema, text) == value


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer", "minimum": 5}, "3", 5),
        ({"type": "integer", "exclusiveMinimum": 5}, "", 6),
        ({"type": "number", "maximum": 2}, "3.5", 2),
        ({"type": "integer", "exclusiveMaximum": 3}, "3", 2),
        ({"type": "integer", "multipleOf": 10, "minimum": 15}, "17", 20),
        ({"type": "integer", "minimum": float("inf"), "maximum": "9"}, "17", 17),
        ({"type": "number", "multipleOf": 5e-324}, "17", 17),
        ({"type": "integer"}, "2.6", 3),
        ({"type": "string", "maxLength": 2}, "Ada", "Ad"),
        ({"type": "string", "minLength": 5}, "Ada", "Ada.."),
        ({"type": "string", "pattern": "^[A-Z]{2}-\\d$"}, "order AB-7 for Ada", "AB-7"),
        ({"type": "string", "pattern": "("}, "Ada", "Ada"),
        ({"type": "string", "format": "date"}, "on 2026-05-01T10:00", "2026-05-01"),
        ({"type": "string", "format": "date-time"}, "on 2026-05-01", "2026-05-01T00:00:00Z"),
        ({"type": "string", "format": "date-time"}, "on 2026-05-01T10:00:00Z", "2026-05-01T10:00:00Z"),
        ({"type": "string", "format": "email"}, "to ada@example.org", "ada@example.org"),
        ({"type": "string", "format": "uri"}, "see https://example.org/a.", "https://example.org/a."),
        ({"type": "string", "format": "uuid"}, "Ada", "00000000-0000-4000-8000-000000000000"),
    ],
)
def test_keeps_within_bounds_and_formats(schema: Any, text: str, value: Any) -> None:
    assert filled(schema, text) == value


def test_reads_a_yes_and_a_no() -> None:
    schema = obj(is_urgent={"type": "boolean"}, paid={"type": "boolean"}, sent={"type": "boolean"})
    text = "It is urgent and not paid. sent: true"
    assert filled(schema, text) == {"is_urgent": True, "paid": False, "sent": True}


def test_takes_dates_for_what_sounds_like_one_and_the_prompt_for_what_wants_words() -> None:
    schema = obj(date=STRING, summary=STRING)
    assert filled(schema, "on 2026-05-01") == {"date": "2026-05-01", "summary": "on 2026-05-01"}


def test_leaves_out_what_is_optional_only_in_the_depth() -> None:
    assert filled({"type": "object", "properties": {"a": STRING}}, "Ada") == {"a": "Ada"}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "object", "properties": {}}, "In context=(), 'additionalProperties' is required"),
        ({**obj(a=STRING), "required": []}, "Missing 'a'"),
        (obj(a={"type": "object"}), "In context=('properties', 'a'), 'additionalProperties'"),
        (obj(a={"anyOf": [STRING, {"type": "object"}]}), "'anyOf', '1'"),
        (obj(a={"type": "array", "items": {"type": "object"}}), "'a', 'items')"),
        ({**obj(), "$defs": {"b": {"properties": {}}}}, "In context=('$defs', 'b')"),
    ],
)
def test_complains_of_strict_schemas_that_are_not(schema: Any, words: str) -> None:
    assert words in str(strict_error(schema))


def test_has_nothing_against_a_strict_schema() -> None:
    inner = obj(b={"type": ["string", "null"]}, c={"type": "array", "items": STRING})
    assert strict_error(obj(a=inner, d={"anyOf": [inner, {"type": "null"}]})) is None
