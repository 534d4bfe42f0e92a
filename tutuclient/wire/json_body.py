"""Requests on their way to bytes: JSON in which pictures stand that are read only while they are sent.

Glad not to know where the bytes go. A body is opened before each attempt and
gives its pieces as often as there are attempts.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NoReturn, TypeGuard, cast

import msgspec

from tutuclient import errors
from tutuclient.diagnostics import is_binary, quoted, warn
from tutuclient.errors import ConfigError, printable
from tutuclient.media.upload import Upload
from tutuclient.settings import UNSET
from tutuclient.types.chat import ChatMessage, FunctionCall, ToolCall, is_thought
from tutuclient.types.json import is_list
from tutuclient.wire.messages import is_mapping, is_pydantic, prepared

_MARK = os.urandom(12).hex()
_PIECE = 192 * 2**10
_IMAGE_MODEL = re.compile(
    r"image|dall-?e|sora|flux|midjourney|(?:^|[-_/])mj(?:$|[-_])|stable-?diffusion|sdxl|imagen|seedream|seededit|kolors|banana|ideogram|recraft|"
    r"cogview|wanx|video|veo|kling|draw",
    re.IGNORECASE,
)


class Body:
    """The JSON of a request, in segments: text, and pictures that are read only while they are sent.

    Attributes:
        content_type: What the request's header says of it.
        segments: Bytes to send as they are, and uploads to send as data URIs.
    """

    __slots__ = ("content_type", "segments")

    def __init__(self, segments: list[bytes | Upload], content_type: str = "application/json") -> None:
        self.content_type: str = content_type
        self.segments: list[bytes | Upload] = segments

    async def open(self) -> None:
        """Check every picture, before each attempt; small ones become part of the text.

        Raises:
            MediaError: A picture cannot be used, or has changed since the last attempt.
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
        """Whether it can be sent without ``open``: all of it is in memory."""
        return self.plain is not None

    @property
    def size_bytes(self) -> int:
        """The length of the whole body, known after ``open``."""
        return sum(len(part) if isinstance(part, bytes) else self._size_of(part) for part in self.segments)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Give the body from its start, in pieces of some 192 KiB at most where uploads are sent."""
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


def given(fields: dict[str, Any]) -> dict[str, Any]:
    """Give the fields of a request without those that are ``UNSET``, which is what openai calls omitted."""
    for value in fields.values():
        if value is UNSET:
            return {name: value for name, value in fields.items() if value is not UNSET}
    return fields


def encode(fields: Mapping[str, Any]) -> Body:
    """Write a request's fields as JSON. Pictures, paths and our structs may stand anywhere in it.

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
            found: Any = plain(value)
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


# Made once: it knows nothing but what msgspec knows, which most requests are made of.
_QUICK = msgspec.json.Encoder(enc_hook=_unknown, decimal_format="number")


def _json(value: Any, hook: Callable[[Any], Any]) -> bytes:
    return msgspec.json.Encoder(enc_hook=hook, decimal_format="number").encode(value)


def _check_numbers(text: bytes, fields: Any, rows: Iterable[list[Any]]) -> None:
    """Refuse NaN and infinity, where what was written may come of one.

    msgspec writes null for a float that JSON cannot have, and a Decimal's word as it is.
    """
    # Thrice ``find``: ``in`` asks bytes for their buffer first, which takes as long again.
    if text.find(b"null") >= 0 or text.find(b"NaN") >= 0 or text.find(b"Infinity") >= 0:
        refuse_infinite(fields, "")
        for row in rows:
            refuse_infinite(row, "a list in the request")


def plain(value: Any) -> Any:
    """Return what JSON has for a value that msgspec does not know by itself; None for what pictures are given as.

    Numbers of numpy, of torch and of the standard library are numbers, their
    arrays lists, mappings of any kind objects, pydantic's models what they dump.

    Raises:
        TypeError: There is nothing in JSON for it.
    """
    if value is UNSET.value:
        raise TypeError("within a field, what is not given has to be left out")
    if isinstance(value, type):
        raise TypeError("a class has no place in a request; an instance may have")
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


def _is_image_source(value: Any) -> bool:
    return (
        isinstance(value, os.PathLike) or callable(getattr(value, "read", None)) or type(value).__module__[:4] == "PIL."
    )


_PLAIN: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (lambda value: isinstance(value, str), str),
    (is_pydantic, lambda value: value.model_dump(mode="json", by_alias=True)),
    (_is_array, _from_array),
    (lambda value: isinstance(value, Integral), int),
    (lambda value: isinstance(value, Real), float),
    (lambda value: isinstance(value, Mapping), dict),
    (_is_image_source, lambda _: None),
    (lambda value: isinstance(value, Iterable), list),
)


def refuse_infinite(value: Any, place: str) -> None:
    """Refuse NaN and infinity: JSON has no word for them, and null means something else.

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
                f"the request cannot be written as JSON: {place or 'it'} is {name}, which is no number that JSON has; "
                "leave it out, or write one"
            )
    else:
        for step, item in _items(value) or ():
            if type(item) is not str and type(item) is not int:
                refuse_infinite(item, _joined_place(place, step))


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
        found = plain(value)
        if found is None:
            Upload(value)
            return ""
        return found

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


def is_row(value: object) -> TypeGuard[Iterable[Any]]:
    """Return whether something is a row of values: no source of an image, and no struct, which is one of its fields."""
    lone = hasattr(value, "read") or isinstance(value, os.PathLike | msgspec.Struct)
    return not lone and isinstance(value, Iterable)


def sendable(messages: object) -> list[Any]:
    """Make messages ready to be written: an answer's message goes back as the API wants to see it again.

    Its content goes back as it came (progress lines and links included, which
    relays need to go on editing), its tool calls with the fields that only the
    relay understands (Gemini's thought signatures). What the model thought goes back
    beside tool calls, where Kimi, DeepSeek and OpenRouter ask for it, and nowhere
    else, where deepseek-reasoner refuses it. A plain dict is the caller's own word.

    Raises:
        ConfigError: There are no messages, text was given where a list of them belongs, or one is nonsense.

    Source: DeepSeek's guide "Thinking mode", "Tool calls"; OpenRouter's "Preserving reasoning blocks";
        OpenRouterTeam/ai-sdk-provider#423.
    """
    if not is_list(messages) and (isinstance(messages, str | bytes) or is_mapping(messages) or not is_row(messages)):
        raise ConfigError(
            f'messages is {quoted(messages)}, and must be a list, such as [{{"role": "user", "content": "…"}}]'
        )
    done = [
        _message_to_send(message) if isinstance(message, ChatMessage) else prepared(message, number)
        for number, message in enumerate(messages)
    ]
    if not done:
        raise ConfigError("messages is empty: give at least one message")
    return done


def _message_to_send(message: ChatMessage) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "role": message.role or "assistant",
        "content": message.content if message.parts is None else message.parts,
    }
    if message.refusal:
        fields["refusal"] = message.refusal
    if message.tool_calls:
        fields["tool_calls"] = [_call_to_send(call) for call in message.tool_calls]
        fields |= _thoughts(message)
    if message.function_call:
        fields["function_call"] = _function_to_send(message.function_call)
    if message.audio is not None and message.audio.id:
        fields["audio"] = {"id": message.audio.id}
    return fields


def _thoughts(message: ChatMessage) -> dict[str, Any]:
    """Return what the model thought, under every name that it came by; an empty text too, which Kimi wants back."""
    named = {
        written: value
        for name, written in zip(message.__struct_fields__, message.__struct_encode_fields__, strict=True)
        if is_thought(written) and (value := getattr(message, name)) is not None
    }
    return named | {name: value for name, value in message.extra.items() if is_thought(name) and value is not None}


def _call_to_send(call: ToolCall) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": call.id, "type": call.type}
    if call.custom is not None:
        fields["custom"] = call.custom
    else:
        fields["function"] = _function_to_send(call.function)
    return fields | call.extra


def _function_to_send(function: FunctionCall) -> dict[str, str]:
    # Templates of llama.cpp and vLLM read the arguments as a JSON object, and neither "" nor null is one.
    arguments = function.arguments if function.arguments.strip() not in {"", "null"} else "{}"
    return {"name": function.name, "arguments": arguments}


def check_model(fields: Mapping[str, Any]) -> None:
    """Refuse a request that names no model: some relays answer with one of their own choice, and bill it.

    Raises:
        ConfigError: ``model`` is no text, or empty.
    """
    model = fields.get("model")
    if not isinstance(model, str) or not (bare := model.strip()):
        raise ConfigError(f'model is {quoted(model)}: name one that the relay lists, such as model="gpt-4o"')
    if len(bare) != len(model) or bare[0] in "\"'":
        warn(f"model is {quoted(model)}, with spaces or quotes around it, and is sent as it is; did you mean to?")


def check_text(value: Any, field: str, *, empty: bool = False) -> None:
    """Refuse what JSON would make text of though it is no text: bytes become base64, a path the file it names.

    Args:
        value: What was given; a list is looked at elsewhere.
        field: Its name, for the message.
        empty: Let "" and None pass.

    Raises:
        ConfigError: It says nothing; the message names the field.
    """
    if isinstance(value, str):
        if empty or value.strip():
            return
    elif value is None:
        if empty:
            return
    elif not (isinstance(value, bool | float | Upload) or is_binary(value) or _is_image_source(value)):
        return
    raise ConfigError(f"{field} is {quoted(value)}: write text that says something")


def makes_image(fields: Mapping[str, Any]) -> bool:
    """Say whether a chat request orders a picture, by its model's name and its modalities.

    Such a request is never sent twice in silence: a second picture is paid for.
    """
    modalities = fields.get("modalities")
    if modalities is not None and isinstance(modalities, Iterable) and "image" in modalities:
        return True
    return _draws(str(fields.get("model", "")))


@functools.lru_cache(maxsize=1000)
def _draws(model: str) -> bool:
    return _IMAGE_MODEL.search(model) is not None
