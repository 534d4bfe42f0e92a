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
crash beyond some 300, without an exception."""


def too_deep(data: bytes | bytearray | memoryview) -> bool:
    """Return whether JSON is nested deeper than ``DEEPEST``, before a decoder finds out at the end of its stack."""
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
    """Return whether more brackets than that are opened; ten times as fast as counting in an image's data."""
    # A memoryview has no find(); the bytes around what it shows may hold more brackets, but not fewer.
    around: Any = data.obj if isinstance(data, memoryview) else data
    for mark in (b"[", b"{"):
        at = around.find(mark)
        while at >= 0 and brackets >= 0:
            brackets -= 1
            at = around.find(mark, at + 1)
    return brackets < 0


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a value of decoded JSON is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Return whether a value of decoded JSON is a list."""
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
    """Read JSON as generously as relays write it: by msgspec, and what that cannot decode once more by ``json``.

    The second way drops a BOM, reads NaN and numbers too large for a float as
    None, bytes that are not UTF-8 and half surrogates as U+FFFD, and line breaks
    in strings as they are; of several values it returns the first. What got lost
    so is noted on ``meta``.

    Source: .github/WIRE.md, section 5.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    if too_deep(data):
        raise RecursionError("JSON nested too deeply")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        # msgspec rejects a BOM, NaN, control characters in strings, a half surrogate and a second value; the standard
        # library's json reads them all (.github/WIRE.md, section 5).
        text = bytes(data).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
        lost: set[str] = set()
        value, end = (PATIENT if meta is None else _patient(lost)).raw_decode(text)
        if meta is not None:
            rest = text[end:].strip("\ufeff \t\r\n")
            if rest:
                what = "an error object" if _ERROR_BEHIND.match(rest) else "something more"
                note(meta, f"the answer is followed by {what}, {len(rest)} characters that were not read")
            if lost:
                note(meta, f"{' and '.join(sorted(lost))} in the answer was read as null")
        return _without_surrogates(value)


def _patient(lost: set[str]) -> json.JSONDecoder:
    """Create a decoder like ``PATIENT`` that adds to ``lost`` what it reads as None."""

    def constant(name: str) -> None:
        lost.add(name)

    def finite(digits: str) -> float | None:
        number = _finite(digits)
        if number is None:
            lost.add("a number too large for a float")
        return number

    return json.JSONDecoder(strict=False, parse_constant=constant, parse_int=_whole, parse_float=finite)


def _whole(digits: str) -> int | None:
    try:
        return int(digits)
    except ValueError:  # More than Python converts, 4,300 by default: msgspec refuses those too.
        return None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        # Two halves next to each other become the one character they stand for; a lone one becomes U+FFFD.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if is_list(value):
        return [_without_surrogates(item) for item in value]
    if is_object(value):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value


PATIENT = json.JSONDecoder(strict=False, parse_constant=lambda _: None, parse_int=_whole, parse_float=_finite)


def number_of(value: object) -> float | None:
    """Return a number, which relays may write as text; None for what is none, for NaN and for infinity."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    # An int of more than 308 digits, which JSON may hold.
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
