"""What all answers share: the bytes they came from, and how the call went."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, TypeGuard

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tutuclient.generated import GeneratedImage
    from tutuclient.sound import Sound

_REQUEST_ID_HEADERS = ("x-request-id", "x-oneapi-request-id", "x-generation-id", "x-litellm-call-id")
_NESTING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_REQUEST_ID_IN_TEXT = re.compile(r"request id: ([\w.-]{1,128})", re.IGNORECASE)


DEEPEST = 256
"""How deep JSON may be nested. APIs need a dozen levels; in a thread with 128 KiB of stack (musl's default) decoders
crash beyond some 300, and no exception tells of it."""


def too_deep(data: bytes | bytearray | memoryview) -> bool:
    """Say whether JSON is nested deeper than ``DEEPEST``, before a decoder finds out at the end of its stack."""
    if len(data) <= DEEPEST:
        return False
    text = bytes(data) if isinstance(data, memoryview) else data
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for mark in _NESTING.finditer(text):
        first = text[mark.start()]
        if first in b"[{":
            depth += 1
            if depth > DEEPEST:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Say whether a value of decoded JSON is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Say whether a value of decoded JSON is a list."""
    return isinstance(value, list)


def read_json(data: bytes | bytearray | memoryview) -> Any:
    """Read JSON as generously as it is written: the quick way, and once more patiently what that refuses.

    Patience mends a BOM, NaN and numbers without end (None), bytes that are no
    UTF-8 and half surrogates (U+FFFD), line breaks in strings; of several values
    it gives the first.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    if too_deep(data):
        raise RecursionError("JSON nested too deeply")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        value, _ = PATIENT.raw_decode(bytes(data).decode("utf-8", "replace").lstrip("\ufeff \t\r\n"))
        return _without_surrogates(value)


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


def request_id_of(headers: Mapping[str, str], message: str = "") -> str | None:
    """Find the relay's name for a request: in the headers first, in an error's text last.

    Chained relays each append theirs to the message; the last one is the
    nearest to us, whose operator can look it up.
    """
    for name in _REQUEST_ID_HEADERS:
        if value := headers.get(name):
            return value
    if found := _REQUEST_ID_IN_TEXT.findall(message):
        return str(found[-1])
    return headers.get("cf-ray")


class Headers(dict[str, str]):
    """Headers that travel: looked up in any case, as on the wire."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__((name.lower(), value) for name, value in headers.items())

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Give a header's value, or ``default``."""
        return super().get(name.lower(), default)

    def __reduce__(self) -> tuple[type[Headers], tuple[dict[str, str]]]:
        return Headers, (dict(self),)


class Meta:
    """How a call went: status, headers, request id, attempts, timings.

    Attributes:
        status_code: The HTTP status of the answer.
        headers: The answer's headers; names are case-insensitive.
        attempts: How often the call was sent, the good one included.
        waited_s: Seconds spent waiting, over all attempts, for a free slot of the client or for the end of a pause
            that the relay asked for.
        headers_s: Seconds from the call to the answer's headers.
        elapsed_s: Seconds from the call to the end of the answer; for a stream still open, to its headers.
    """

    __slots__ = ("attempts", "elapsed_s", "headers", "headers_s", "status_code", "waited_s")

    def __init__(
        self,
        status_code: int = 0,
        headers: Mapping[str, str] | None = None,
        attempts: int = 0,
        waited_s: float = 0.0,
        headers_s: float = 0.0,
        elapsed_s: float = 0.0,
    ) -> None:
        self.status_code: int = status_code
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.attempts: int = attempts
        self.waited_s: float = waited_s
        self.headers_s: float = headers_s
        self.elapsed_s: float = elapsed_s

    @property
    def status(self) -> int:
        """The same as ``status_code``."""
        return self.status_code

    @property
    def request_id(self) -> str | None:
        """The relay's name for this request, for its operator to look up; None when it gave none."""
        return request_id_of(self.headers)

    def __repr__(self) -> str:
        return (
            f"Meta(status_code={self.status_code}, request_id={self.request_id!r}, attempts={self.attempts}, "
            f"waited_s={self.waited_s:.3f}, headers_s={self.headers_s:.3f}, elapsed_s={self.elapsed_s:.3f})"
        )

    def __reduce__(self) -> tuple[type[Meta], tuple[Any, ...]]:
        headers = Headers(self.headers)
        return Meta, (self.status_code, headers, self.attempts, self.waited_s, self.headers_s, self.elapsed_s)


class Origin:
    """Where answers come from: what all chunks of one stream have in common.

    Attributes:
        meta: How the call went.
        find: Finds the pictures in an answer of this call.
        hear: Finds the sound in one; None where there can be none.
    """

    __slots__ = ("find", "hear", "meta")

    def __init__(
        self,
        meta: Meta,
        find: Callable[[Any], list[GeneratedImage]],
        hear: Callable[[Any], Sound | None] | None = None,
    ) -> None:
        self.meta: Meta = meta
        self.find: Callable[[Any], list[GeneratedImage]] = find
        self.hear: Callable[[Any], Sound | None] | None = hear

    def __reduce__(self) -> tuple[type[Origin], tuple[Any, ...]]:
        return Origin, (self.meta, self.find, self.hear)


class Answer(msgspec.Struct, kw_only=True, frozen=True, dict=True):
    """A whole answer, or one chunk of a stream.

    Two answers are equal when their fields are; where they came from does not
    count. What came with the fields lies in the instance's ``__dict__``: ``raw``
    (bytes), ``origin`` and, once asked for, ``tree`` (the JSON as plain dicts).
    """

    @property
    def meta(self) -> Meta:
        """How the call went. A struct that did not come off the wire has an empty one."""
        origin: Origin | None = self.__dict__.get("origin")
        return Meta() if origin is None else origin.meta

    @property
    def raw(self) -> bytes:
        """The JSON as it came, or b"" when the struct did not come off the wire whole."""
        return bytes(self.__dict__.get("raw", b""))

    @property
    def extra(self) -> dict[str, Any]:
        """The top-level fields of the answer that this client has no name for."""
        return {name: value for name, value in self.to_dict().items() if name not in self.__struct_fields__}

    def to_dict(self) -> dict[str, Any]:
        """Give the answer as plain dicts and lists, unknown fields included at every level."""
        tree: dict[str, Any] | None = self.__dict__.get("tree")
        if tree is None:
            raw = self.__dict__.get("raw")
            made: dict[str, Any] = read_json(raw) if raw else msgspec.to_builtins(self)
            tree = vars(self)["tree"] = made
        return tree

    model_dump = to_dict

    def to_json(self) -> str:
        """Give the answer as JSON text, unknown fields included at every level."""
        return msgspec.json.encode(self.to_dict()).decode()

    model_dump_json = to_json

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        hidden = {name: bytes(value) if name == "raw" else value for name, value in self.__dict__.items()}
        return _rebuild, (type(self), fields, hidden)


class Nested(msgspec.Struct, kw_only=True, frozen=True, dict=True):
    """A part of an answer that keeps the fields this client has no name for.

    Its ``__dict__`` may hold ``place``: the answer's JSON (bytes, or plain dicts
    where the bytes were odd) and the path down to this part.
    """

    @property
    def extra(self) -> dict[str, Any]:
        """The fields of this part that this client has no name for; {} when it did not come off the wire."""
        tree, path = self.__dict__.get("place", ({}, ()))
        if isinstance(tree, bytes | bytearray):
            tree = read_json(tree)
        for step in path:
            tree = tree[step]
        return {name: value for name, value in tree.items() if name not in self.__struct_fields__}

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        extra = self.extra
        return _rebuild, (type(self), fields, {"place": (extra, ())} if extra else {})


def _rebuild(cls: type[Answer | Nested], fields: dict[str, Any], hidden: dict[str, Any]) -> Answer | Nested:
    answer = cls(**fields)
    vars(answer).update(hidden)
    return answer
