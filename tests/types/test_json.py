"""JSON is read as generously as relays write it, and never deeper than a decoder survives."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient.types.json import DEEPEST, read_json, too_deep

if TYPE_CHECKING:
    from collections.abc import Callable


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
        (b"1" * 400 + b" x", int("1" * 400)),
        (b"1" * 4301 + b" x", None),
        (b"1.5e3 x", 1500.0),
    ],
)
def test_reads_json_as_generously_as_it_is_written(text: bytes, value: object) -> None:
    assert read_json(text) == value
    assert read_json(memoryview(text)) == value


@pytest.mark.parametrize("text", [b"", b" ", b"<html>", b"{", b'{"a"', b"nul", b"\xff", b"'a'"])
def test_what_is_not_json_is_refused(text: bytes) -> None:
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
        (b'["' + b"A" * 99_999 + b'"]', False),
        (b'["' + b"A" * 99_999 + b'",' + b"[" * (DEEPEST - 1) + b"]" * DEEPEST, False),
        (b'["' + b"A" * 99_999 + b'",' + b"[" * DEEPEST + b"]" * (DEEPEST + 1), True),
        (b'["' + b"A" * 99_999 + b'",' + b'[{"":' * 200 + b"1" + b"}]" * 200 + b"]", True),
    ],
    ids=[
        "deepest",
        "deeper",
        "objects",
        "cut",
        "wide",
        "in a string",
        "behind an escape",
        "behind an escaped escape",
        "a picture",
        "deepest behind a picture",
        "deeper behind a picture",
        "both kinds behind a picture",
    ],
)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_nesting_too_deep_is_said_before_it_is_read(text: bytes, deep: bool, kind: Callable[[bytes], Any]) -> None:
    assert too_deep(kind(text)) is deep
    with pytest.raises(RecursionError, match="too deeply") if deep else contextlib.nullcontext():
        read_json(kind(text))
