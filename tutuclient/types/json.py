"""Bytes to JSON values, as generously as relays write them, and within the depth that a decoder survives."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, TypeGuard

import msgspec

from tutuclient._meta import note

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tutuclient._meta import Meta

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_AS_BRACES = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_OPEN = ord("{")
_LONG = 64 * 2**10
_ERROR_BEHIND = re.compile(r'\{\s*"error"\s*:')

DEEPEST = 256
"""How deep JSON may be nested. APIs need a dozen levels; in a thread with 128 KiB of stack (musl's default) decoders
crash beyond some 300, and no exception tells of it."""


def too_deep(data: bytes | bytearray | memoryview) -> bool:
    """Say whether JSON is nested deeper than ``DEEPEST``, before a decoder finds out at the end of its stack."""
    if len(data) <= DEEPEST:
        return False
    if len(data) > _LONG and not _has_more(data, DEEPEST):
        return False
    text = bytes(data) if isinstance(data, memoryview) else data
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False
    # The innermost pairs are removed level by level, in C: a loop over a million brackets holds the event loop for half
    # a second, and an answer is checked several times on its way.
    brackets = _STRINGS.sub(b"", text).translate(_AS_BRACES, _NO_BRACKETS)
    for level in range(DEEPEST):
        if brackets.count(b"{") + level <= DEEPEST:
            return False
        brackets = brackets.replace(b"{}", b"")
    # Too deep, or unbalanced.
    depth = 0
    for bracket in _STRINGS.sub(b"", text).translate(_AS_BRACES, _NO_BRACKETS):
        depth += 1 if bracket == _OPEN else -1
        if depth > DEEPEST:
            return True
    return False


def _has_more(data: bytes | bytearray | memoryview, brackets: int) -> bool:
    """Say whether more brackets than that are opened; goes through a picture's data ten times as fast as counting."""
    # Around what a view shows there may be more, but not fewer.
    around: Any = data.obj if isinstance(data, memoryview) else data
    for mark in (b"[", b"{"):
        at = around.find(mark)
        while at >= 0 and brackets >= 0:
            brackets -= 1
            at = around.find(mark, at + 1)
    return brackets < 0


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Say whether a value of decoded JSON is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Say whether a value of decoded JSON is a list."""
    return isinstance(value, list)


def value_at(tree: Any, path: Iterable[str | int]) -> Any:
    """Return what stands in decoded JSON at the end of a path of names and numbers, or None."""
    for step in path:
        if is_object(tree):
            tree = tree.get(str(step))
        elif is_list(tree) and isinstance(step, int):
            tree = tree[step]
        else:
            return None
    return tree


def read_json(data: bytes | bytearray | memoryview, meta: Meta | None = None) -> Any:
    """Read JSON as generously as it is written: the quick way, and once more patiently what that refuses.

    Patience mends a BOM, NaN and numbers without end (None), bytes that are no
    UTF-8 and half surrogates (U+FFFD), line breaks in strings; of several values
    it gives the first. With ``meta`` it notes there what got lost so.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    if too_deep(data):
        raise RecursionError("JSON nested too deeply")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        text = bytes(data).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
        lost: set[str] = set()
        value, end = (PATIENT if meta is None else _patient(lost)).raw_decode(text)
        if meta is not None:
            rest = text[end:].strip("\ufeff \t\r\n")
            if rest:
                what = "an error object" if _ERROR_BEHIND.match(rest) else "something more"
                note(meta, f"behind the answer stands {what}, {len(rest)} characters that were not read")
            if lost:
                note(meta, f"{' and '.join(sorted(lost))} in the answer: no JSON, read as null")
        return _without_surrogates(value)


def _patient(lost: set[str]) -> json.JSONDecoder:
    """Make a decoder as ``PATIENT``, which tells what it made null."""

    def constant(name: str) -> None:
        lost.add(name)

    def finite(digits: str) -> float | None:
        number = _finite(digits)
        if number is None:
            lost.add("a number without end")
        return number

    return json.JSONDecoder(strict=False, parse_constant=constant, parse_int=_whole, parse_float=finite)


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) < 400 else None  # noqa: PLR2004  (no count has 400 digits; int() stops at 4,300)


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if is_list(value):
        return [_without_surrogates(item) for item in value]
    if is_object(value):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value


PATIENT = json.JSONDecoder(strict=False, parse_constant=lambda _: None, parse_int=_whole, parse_float=_finite)
