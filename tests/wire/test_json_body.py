"""JSON requests, byte for byte, with images that are read while they are sent."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import io
import json
import math
import re
from collections import UserDict
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pydantic
import pytest

from tests.differing import difference
from tutuclient import wire
from tutuclient.errors import ConfigError, MediaError
from tutuclient.media.parts import image, user
from tutuclient.media.sources import PIECE_BYTES
from tutuclient.media.upload import INLINE_BYTES, Upload
from tutuclient.settings import UNSET, Secret

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 100


def data_uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


async def written(fields: dict[str, Any]) -> Any:
    body = wire.encode(fields)
    await body.open()
    sent = b"".join([piece async for piece in body.pieces()])
    assert len(sent) == body.size_bytes
    assert body.plain in {None, sent}
    return json.loads(sent)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "gpt-4o", "n": None, "stop": ["a"]}, {"model": "gpt-4o", "n": None, "stop": ["a"]}),
        ({"text": "图像 🙂 \u2028"}, {"text": "图像 🙂 \u2028"}),
        ({"tuple": (1, 2)}, {"tuple": [1, 2]}),
        ({"set": {1}}, {"set": [1]}),
        ({"lazy": (n * n for n in range(3))}, {"lazy": [0, 1, 4]}),
        ({"view": {"a": 1}.keys()}, {"view": ["a"]}),
        ({"word": Secret("abc")}, {"word": "abc"}),
        ({"large": 2**70}, {"large": 2**70}),
        ({"messages": [user("hi")]}, {"messages": [{"role": "user", "content": "hi"}]}),
        (
            {"nested": {"a": [{"b": user("hi", {"type": "x"})}]}},
            {"nested": {"a": [{"b": {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "x"}]}}]}},
        ),
    ],
)
async def test_writes_json_of_whatever_stands_in_a_request(fields: dict[str, Any], expected: object) -> None:
    assert await written(fields) == expected


@pytest.mark.parametrize("given_as", ["path", "upload", "image", "bytes in an upload", "open file", "buffer"])
async def test_images_may_stand_anywhere(given_as: str, tmp_path: Path) -> None:
    file = tmp_path / "图 1.png"
    file.write_bytes(PNG)
    with file.open("rb") as opened:
        pictures: dict[str, Any] = {
            "path": file,
            "upload": Upload(file),
            "image": image(file).image_url.url,
            "bytes in an upload": Upload(PNG),
            "open file": opened,
            "buffer": io.BytesIO(PNG),
        }
        picture = pictures[given_as]
        part = {"type": "image_url", "image_url": {"url": picture, "detail": "low"}}
        sent = await written({"messages": [{"role": "user", "content": [part, part]}], "image": picture, "last": 1})
    uri = data_uri(PNG)
    part = {"type": "image_url", "image_url": {"url": uri, "detail": "low"}}
    assert sent == {"messages": [{"role": "user", "content": [part, part]}], "image": uri, "last": 1}


async def test_a_large_image_is_read_while_it_is_sent(tmp_path: Path) -> None:
    picture = PNG + bytes(3 * PIECE_BYTES)
    file = tmp_path / "large.png"
    file.write_bytes(picture)
    body = wire.encode({"a": file, "b": Upload(PNG)})
    await body.open()
    pieces = [piece async for piece in body.pieces()]
    assert body.plain is None
    assert max(map(len, pieces)) <= PIECE_BYTES / 3 * 4 + 100
    fields = json.loads(b"".join(pieces))
    assert list(fields) == ["a", "b"]
    assert difference(fields["a"], data_uri(picture)) == ""
    assert fields["b"] == data_uri(PNG)
    await body.open()
    assert difference(b"".join([piece async for piece in body.pieces()]), b"".join(pieces)) == ""


async def test_small_images_in_memory_become_part_of_the_text() -> None:
    body = wire.encode({"a": Upload(PNG), "b": Upload(bytes(PNG))})
    await body.open()
    assert body.plain is not None
    assert json.loads(body.plain) == {"a": data_uri(PNG), "b": data_uri(PNG)}
    assert len(PNG) < INLINE_BYTES


async def test_a_missing_image_is_reported_before_anything_is_sent(tmp_path: Path) -> None:
    body = wire.encode({"a": tmp_path / "nothing.png"})
    with pytest.raises(MediaError):
        await body.open()


class Kind(enum.Enum):
    ONE = "one"
    TWO = 2


@dataclasses.dataclass
class Point:
    x: Any


class Record(pydantic.BaseModel):
    a: int = 1
    when: dt.date | None = None


# What callers compute with. openai writes none of numpy's, and pydantic's as they dump.
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.float64(0.25), 0.25),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.int64(7), 7),
        (np.uint8(7), 7),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([[1.5, 2.0]], dtype=np.float32), [[1.5, 2.0]]),
        (np.array(3), 3),
        (np.arange(3), [0, 1, 2]),
        ([np.int32(1), {"a": np.float32(0.5)}], [1, {"a": 0.5}]),
        (Decimal("0.5"), 0.5),
        (Decimal(3), 3),
        (Fraction(1, 4), 0.25),
        (Kind.ONE, "one"),
        (Kind.TWO, 2),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00Z"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Point(np.int8(1)), {"x": 1}),
        (Record(when=dt.date(2026, 1, 2)), {"a": 1, "when": "2026-01-02"}),
        (MappingProxyType({"a": np.int8(1)}), {"a": 1}),
        (UserDict(a=1), {"a": 1}),
        (range(3), [0, 1, 2]),
    ],
    ids=lambda value: f"{type(value).__name__} {value}",
)
async def test_writes_what_callers_compute_with(value: Any, expected: object) -> None:
    assert await written({"a": value, "b": {"c": [value]}}) == {"a": expected, "b": {"c": [expected]}}


NOWHERE: list[tuple[dict[str, Any], str, str]] = [
    ({"temperature": object()}, "temperature", "an object"),
    ({"metadata": {"x": object()}}, "metadata.x", "an object"),
    ({"a": [1, {"b": [0, {1, 2}, 1j]}]}, "a[1].b[2]", "a complex"),
    ({"stop": ["a", lambda: 1]}, "stop[1]", "a function"),
    ({"response_format": SimpleNamespace(type="json")}, "response_format", "a SimpleNamespace"),
    ({"user": "\ud83d"}, "user", "'\\ud83d'"),
    ({"messages": [user("hi"), {"role": "user", "content": "a\udfff"}]}, "messages[1].content", "'a\\udfff'"),
    ({"messages": [user("a\udfff")]}, "messages[0].content", "'a\\udfff'"),
    ({"a": Point({"b": 1j})}, "a.x.b", "a complex"),
    ({"a": {(1, 2): 3}}, "a", "a dict"),
    ({"a": {"b": Upload}}, "a.b", "the class Upload"),
    ({"a": {"b": UNSET}}, "a.b", "has to be left out"),
    ({"a": io.StringIO("x")}, "a", "a StringIO"),
    ({"a": np.array([1j])}, "a", "complex"),
]


@pytest.mark.parametrize(("fields", "place", "what"), NOWHERE, ids=[f"{row[1]} {row[2]}" for row in NOWHERE])
def test_names_the_place_of_what_cannot_be_written(fields: dict[str, Any], place: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        wire.encode({"model": "m", **fields})
    text = str(caught.value)
    assert f"cannot be written as JSON: {place}" in text
    assert what in text
    assert "picture" not in text.removeprefix("the request")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"temperature": math.nan}, "temperature is NaN"),
        ({"temperature": math.inf}, "temperature is Infinity"),
        ({"a": {"b": [0, -math.inf]}}, "a.b[1] is -Infinity"),
        ({"a": np.float32("nan")}, "a is NaN"),
        ({"a": np.array([1.0, math.nan])}, "a[1] is NaN"),
        ({"a": Decimal("NaN")}, "a is NaN"),
        ({"a": [Decimal("Infinity")]}, "a[0] is Infinity"),
        ({"a": Decimal("sNaN")}, "a is NaN"),
        ({"a": Point(math.nan)}, "a.x is NaN"),
        ({"a": (number for number in (1.0, math.nan))}, "a list in the request[1] is NaN"),
        (
            {"messages": [{"role": "user", "content": [{"type": "x", "y": math.nan}]}]},
            "messages[0].content[0].y is NaN",
        ),
        ({"stop": None, "a": "null", "b": math.nan}, "b is NaN"),
        ({"a": (1, math.nan)}, "a[1] is NaN"),
        ({"a": Upload(PNG), "b": math.nan}, "b is NaN"),
    ],
    ids=str,
)
def test_nan_and_infinity_are_never_made_null(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(place)):
        wire.encode(fields)


async def test_words_that_look_like_such_numbers_are_words() -> None:
    fields = {"a": "NaN null Infinity", "b": None, "c": ["NaN"], "d": np.array([1.0]), "e": np.longdouble(1)}
    assert await written(fields) == {"a": "NaN null Infinity", "b": None, "c": ["NaN"], "d": [1.0], "e": 1.0}


@pytest.mark.parametrize(
    "value", [object(), SimpleNamespace(a=1), "\ud83d", {"\udc00": 1}, lambda: None, 1j, {(1, 2): 3}, Upload]
)
def test_what_has_no_place_in_json_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="cannot be written as JSON") as caught:
        wire.encode({"a": value})
    assert caught.value.outcome == "not_sent"


def test_a_request_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        wire.encode({"a": endless})


def test_fields_that_are_not_given_are_left_out() -> None:
    assert wire.without_unset({"a": 1, "b": UNSET, "c": None, "d": UNSET}) == {"a": 1, "c": None}
    fields = {"a": 1, "c": None}
    assert wire.without_unset(fields) is fields


@pytest.mark.parametrize("fields", [{"a": {"b": UNSET}}, {"a": [UNSET]}, {"a": ...}])
def test_what_is_not_given_within_a_field_is_never_written(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="has to be left out"):
        wire.encode(fields)
