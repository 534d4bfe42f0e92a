"""Requests on their way to bytes: JSON in which pictures stand that are read only while they are sent.

Glad not to know where the bytes go. A body is opened before each attempt and
gives its pieces as often as there are attempts.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any, TypeGuard

import msgspec

from tutuclient import errors
from tutuclient.errors import ConfigError, printable
from tutuclient.media import Upload
from tutuclient.settings import UNSET
from tutuclient.types.answer import is_list, is_object
from tutuclient.types.chat import ChatMessage, ToolCall

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
    uploads: list[Upload] = []

    def stand_in(value: Any) -> Any:
        if value is UNSET.value:
            raise TypeError("within a field, what is not given has to be left out")
        if isinstance(value, str):
            return str(value)
        if is_row(value):
            return list(value)
        upload = value if isinstance(value, Upload) else Upload(value)
        uploads.append(upload)
        return f"{_MARK}{len(uploads) - 1}."

    try:
        text = msgspec.json.encode(fields, enc_hook=stand_in)
    except (TypeError, ValueError, errors.MediaError, RecursionError) as error:
        raise ConfigError(f"the request cannot be written as JSON: {printable(str(error))}") from error
    if not uploads:
        return Body([text])
    segments: list[bytes | Upload] = []
    for number, piece in enumerate(text.split(_MARK.encode())):
        if number:
            index, _, piece = piece.partition(b".")  # noqa: PLW2901  (the mark's number belongs to the mark)
            segments.append(uploads[int(index)])
        segments.append(piece)
    return Body(segments)


def is_row(value: object) -> TypeGuard[Iterable[Any]]:
    """Say whether something is a row of values: no source of a picture, and no struct, which is one of its fields."""
    lone = hasattr(value, "read") or isinstance(value, os.PathLike | msgspec.Struct)
    return not lone and isinstance(value, Iterable)


def sendable(messages: object) -> list[Any]:
    """Make messages ready to be written: an answer's message goes back as the API wants to see it again.

    Its content goes back as it came (progress lines and links included, which
    relays need to go on editing), its tool calls with the fields that only the
    relay understands (Gemini's thought signatures).

    Raises:
        ConfigError: There are no messages, or text was given where a list of them belongs.
    """
    if not is_list(messages) and (isinstance(messages, str | bytes | Mapping) or not is_row(messages)):
        raise ConfigError('messages must be a list, such as [{"role": "user", "content": "…"}]')
    ready = [_sendable(message) if isinstance(message, ChatMessage) else _with_uploads(message) for message in messages]
    if not ready:
        raise ConfigError("messages is empty: give at least one message")
    return ready


def _with_uploads(message: Any) -> Any:
    """Put uploads where a plain message has a picture's bytes: JSON would make bare base64 of them."""
    content = message.get("content") if is_object(message) else None
    if not is_list(content) or not any(_holds_bytes(part) for part in content):
        return message
    parts = [
        {**part, "image_url": {**part["image_url"], "url": Upload(part["image_url"]["url"])}}
        if _holds_bytes(part)
        else part
        for part in content
    ]
    return {**message, "content": parts}


def _holds_bytes(part: Any) -> bool:
    image = part.get("image_url") if is_object(part) else None
    return is_object(image) and isinstance(image.get("url"), bytes | bytearray | memoryview)


def _sendable(message: ChatMessage) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "role": message.role or "assistant",
        "content": message.content if message.parts is None else message.parts,
    }
    if message.refusal:
        fields["refusal"] = message.refusal
    if message.tool_calls:
        fields["tool_calls"] = [_sendable_call(call) for call in message.tool_calls]
    if message.function_call:
        fields["function_call"] = message.function_call
    if message.audio is not None and message.audio.id:
        fields["audio"] = {"id": message.audio.id}
    return fields


def _sendable_call(call: ToolCall) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": call.id, "type": call.type}
    if call.custom is not None:
        fields["custom"] = call.custom
    else:
        fields["function"] = {"name": call.function.name, "arguments": call.function.arguments}
    return fields | call.extra


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
