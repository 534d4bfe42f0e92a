"""Requests as JSON, whose images and other files are read only while they are sent.

A body is opened before each attempt, and yields its pieces once for each.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NoReturn, cast

import msgspec

from tutuclient import errors
from tutuclient.diagnostics import quoted
from tutuclient.errors import ConfigError, printable
from tutuclient.media.upload import Upload
from tutuclient.settings import UNSET
from tutuclient.types.json import is_list
from tutuclient.wire.messages import is_mapping, is_pydantic, is_source

# No text of a caller can hold it, so the JSON is split where the uploads belong, and nowhere else.
_MARK = os.urandom(12).hex()
_PIECE = 192 * 2**10


class Body:
    """The JSON of a request, in segments: text, and files that are read only while they are sent.

    Attributes:
        content_type: What the request's header says of it.
        segments: Bytes to send as they are, and uploads to send as data URIs.
    """

    __slots__ = ("content_type", "segments")

    def __init__(self, segments: list[bytes | Upload], content_type: str = "application/json") -> None:
        self.content_type: str = content_type
        self.segments: list[bytes | Upload] = segments

    async def open(self) -> None:
        """Check every file, before each attempt; small ones become part of the text.

        Raises:
            MediaError: A file cannot be used, or has changed since the last attempt.
        """
        segments: list[bytes | Upload] = []
        for segment in self.segments:
            if isinstance(segment, Upload):
                await segment.open()
                segments.append(segment.inline() or segment)
            else:
                segments.append(segment)
        self.segments = joined(segments)

    @property
    def plain(self) -> bytes | None:
        """The whole body when it is in memory anyway and small enough to be sent at once, else None."""
        first = self.segments[0]
        return first if len(self.segments) == 1 and isinstance(first, bytes) and len(first) <= _PIECE else None

    @property
    def is_ready(self) -> bool:
        """Return whether it can be sent without ``open``: all of it is in memory."""
        return self.plain is not None

    @property
    def size_bytes(self) -> int:
        """The length of the whole body, known after ``open``."""
        return sum(len(part) if isinstance(part, bytes) else self._size_of(part) for part in self.segments)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the body from its start, in pieces of some 192 KiB at most where uploads are sent."""
        for part in self.segments:
            if isinstance(part, bytes):
                for at in range(0, len(part), _PIECE):
                    yield part[at : at + _PIECE]
            else:
                async with aclosing(self._pieces_of(part)) as pieces:
                    async for piece in pieces:
                        yield piece

    def _size_of(self, upload: Upload) -> int:
        return upload.encoded_size

    def _pieces_of(self, upload: Upload) -> AsyncGenerator[bytes, None]:
        return upload.pieces()


def joined(segments: list[bytes | Upload]) -> list[bytes | Upload]:
    """Join the bytes that stand side by side; the last segment is always bytes."""
    result: list[bytes | Upload] = []
    text: list[bytes] = []  # Joined once: adding each to those before would copy them all, over and over.
    for segment in segments:
        if isinstance(segment, bytes):
            text.append(segment)
        else:
            result += [b"".join(text), segment]
            text = []
    return [*result, b"".join(text)]


def without_unset(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a request without those that are ``UNSET``, which is what openai calls omitted."""
    # A loop before the comprehension: hardly any request has one, and every call comes by here.
    for value in fields.values():
        if value is UNSET:
            return {name: value for name, value in fields.items() if value is not UNSET}
    return fields


def encode(fields: Mapping[str, Any]) -> Body:
    """Write a request's fields as JSON. Images, paths and our structs may stand anywhere in it.

    Raises:
        ConfigError: Something in it has no place in JSON.
    """
    try:
        text = _QUICK.encode(fields)
    except (
        TypeError,
        ValueError,
        RecursionError,
    ):  # There is something in it that only the hook knows, or nothing does.
        return _encode_patiently(fields)
    _check_numbers(text, fields, ())
    return Body([text])


def _encode_patiently(fields: Mapping[str, Any]) -> Body:
    uploads: list[Upload] = []
    rows: list[list[Any]] = []

    def stand_in(value: Any) -> Any:
        if not isinstance(value, Upload):
            found: Any = json_value(value)
            # Kept for ``_check_numbers``: an iterator is used up once it has been written.
            if is_list(found):
                rows.append(found)
            if found is not None:
                return found
            value = Upload(value)
        uploads.append(value)
        return f"{_MARK}{len(uploads) - 1}."

    try:
        text = _json(fields, stand_in)
    except (TypeError, ValueError, errors.MediaError, RecursionError) as error:
        raise ConfigError(_unwritable(fields, error)) from error
    _check_numbers(text, fields, rows)
    segments: list[bytes | Upload] = []
    for number, piece in enumerate(text.split(_MARK.encode())):
        if number:
            index, _, piece = piece.partition(b".")  # noqa: PLW2901  (the mark's number belongs to the mark)
            segments.append(uploads[int(index)])
        segments.append(piece)
    return Body(segments)


def _unknown(value: Any) -> NoReturn:
    raise TypeError(type(value).__name__)


# Created once: it knows nothing but what msgspec knows, which is all of most requests.
_QUICK = msgspec.json.Encoder(enc_hook=_unknown, decimal_format="number")


def _json(value: Any, hook: Callable[[Any], Any]) -> bytes:
    return msgspec.json.Encoder(enc_hook=hook, decimal_format="number").encode(value)


def _check_numbers(text: bytes, fields: Any, rows: Iterable[list[Any]]) -> None:
    """Raise an error for NaN and infinity, where what was written may come of one.

    msgspec writes null for a float that JSON cannot have, and a Decimal's word as it is.
    """
    # ``find`` and not ``in``, which asks for a buffer of its left operand first and takes twice as long.
    if text.find(b"null") >= 0 or text.find(b"NaN") >= 0 or text.find(b"Infinity") >= 0:
        check_finite(fields, "")
        for row in rows:
            check_finite(row, "a list in the request")


def json_value(value: Any) -> Any:
    """Return what JSON has for a value that msgspec does not know by itself; None for what stands for an image.

    Numbers of numpy, of torch and of the standard library are numbers, their
    arrays lists, mappings of any kind objects, pydantic's models what they dump.

    Raises:
        TypeError: There is nothing in JSON for it.
    """
    if value is UNSET.value:
        raise TypeError("within a field, what has no value has to be left out")
    if isinstance(value, type):
        raise TypeError("a class has no place in a request; an instance may have")
    # The first that fits counts: an array of numpy is an Iterable too, and a mapping iterates over its names.
    for fits, write in _PLAIN:
        if fits(value):
            return write(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _is_array(value: Any) -> bool:
    """Return whether something is an array or a number of numpy, torch, pandas and their like."""
    return hasattr(value, "dtype") and callable(getattr(value, "tolist", None))


def _from_array(value: Any) -> Any:
    made = value.tolist()
    if made is None or type(made) is type(value):  # A longdouble is nothing else.
        return float(value)
    return made


_PLAIN: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (lambda value: isinstance(value, str), str),
    (is_pydantic, lambda value: value.model_dump(mode="json", by_alias=True)),
    (_is_array, _from_array),
    (lambda value: isinstance(value, Integral), int),
    (lambda value: isinstance(value, Real), float),
    (lambda value: isinstance(value, Mapping), dict),
    (is_source, lambda _: None),
    (lambda value: isinstance(value, Iterable), list),
)


def check_finite(value: Any, place: str) -> None:
    """Raise an error for NaN and infinity: JSON has no word for them, and null means something else.

    Args:
        value: Anything that is to be written.
        place: Where it stands in the request; "" for the request itself.

    Raises:
        ConfigError: There is one; the message names its place.
    """
    if isinstance(value, float | Decimal):
        if not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):  # One may be signalling.
            written = str(value).lower()
            name = "NaN" if "nan" in written else "-Infinity" if written[0] == "-" else "Infinity"
            raise ConfigError(
                f"the request cannot be written as JSON: {place or 'it'} is {name}, which JSON has no number for; "
                "leave it out, or write a number"
            )
    else:
        for step, item in _items(value) or ():
            if type(item) is not str and type(item) is not int:
                check_finite(item, _joined_place(place, step))


def _items(value: Any) -> Iterable[tuple[str | int, Any]] | None:
    """Return what stands within a value, each with its name or number; None for what holds nothing."""
    if isinstance(value, list | tuple | set | frozenset):
        return enumerate(cast("Iterable[Any]", value))
    if is_mapping(value):
        return [(str(name), item) for name, item in value.items()]
    if _is_array(value):
        return [("", _from_array(value))]
    names: Iterable[str] = ()
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
    return [(name, getattr(value, name)) for name in names] or None


def _joined_place(place: str, step: str | int) -> str:
    if isinstance(step, int):
        return f"{place}[{step}]"
    return f"{place}.{step}" if place and step else place or step


def _unwritable(fields: Any, error: Exception) -> str:
    """Return the message of a request that cannot be written: the place, what stands there, and why not."""
    place, value, why = "", fields, str(error)

    def stand_in(value: Any) -> Any:
        if isinstance(value, Upload):
            return ""
        found = json_value(value)
        if found is None:
            Upload(value)
            return ""
        return found

    # From the outside inwards, each step to the part that msgspec does not write either: what remains is the cause.
    for _ in range(_DEEPEST):
        for step, item in _items(value) or ():
            try:
                _json(item, stand_in)
            except (TypeError, ValueError, errors.MediaError, RecursionError) as inner:
                place, value, why = _joined_place(place, step), item, str(inner)
                break
        else:
            break
    else:
        return f"the request cannot be written as JSON: {printable(place, 60)} is nested too deep, or holds itself"
    if is_mapping(value):
        for name in cast("Mapping[Any, Any]", value):
            if not isinstance(name, str | int | float):
                what = f"{quoted(value)} with {printable(repr(name), 60)} for a name, and names are text"
                return f"the request cannot be written as JSON: {printable(place, 200) or 'it'} is {what}"
    what = f"{printable(place, 200)} is {quoted(value)}" if place else quoted(value)
    return f"the request cannot be written as JSON: {what}{'' if why.endswith('as JSON') else f': {printable(why)}'}"


_DEEPEST = 100
