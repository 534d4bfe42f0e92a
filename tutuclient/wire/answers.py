"""Bytes to structs, as generously as relays write.

The quick way is a typed msgspec decoder; what it refuses goes once through a
patient reader that mends what can be mended (odd types, a BOM, NaN, half
surrogates, a second value behind the first), and what cannot is an error that
says what came.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from tutuclient.types.answer import PATIENT, Answer, Meta, is_list, is_object, keep, too_deep
from tutuclient.types.chat import ChatCompletion, ChatCompletionChunk, ChatMessage, Usage
from tutuclient.wire.mending import fit_struct, mend_choices
from tutuclient.wire.refusals import raise_if_error, read_object, read_value, unexpected

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.sse import Data

A = TypeVar("A", bound=Answer)

_INK = re.compile(r"[^\s\ufeff]")

_completions = msgspec.json.Decoder(ChatCompletion, strict=False)
decode_chunk: Callable[[Data], ChatCompletionChunk] = msgspec.json.Decoder(ChatCompletionChunk, strict=False).decode
"""The quick way from an event's data to a chunk; on ``UNREADABLE`` take ``read_chunk``."""

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What msgspec raises on what it refuses: a ``ValidationError`` is a ``DecodeError`` too."""


def is_event_stream(data: bytes, content_type: str = "") -> bool:
    """Say whether these first bytes of a body are an event stream, whatever the header says."""
    start = data[:64].lstrip(b"\xef\xbb\xbf\r\n\t ")
    if start.startswith((b"data:", b"event:", b"id:", b"retry:", b":")):
        return True
    return content_type.startswith("text/event-stream") and not start.startswith((b"{", b"[", b"<")) and bool(start)


def read_completion(data: Data, meta: Meta) -> ChatCompletion:
    """Read a whole chat completion.

    Raises:
        APIStatusError: It is an error in an answer's clothes.
        UnexpectedResponseError: It is none: HTML, an empty body, broken JSON, no choices.
    """
    raw = bytes(data)
    place: bytes | dict[str, Any] = raw
    came: dict[str, Any] = {"raw": raw}
    try:
        completion = ChatCompletion() if too_deep(raw) else _completions.decode(raw)
    except UNREADABLE:
        completion = ChatCompletion()
    if not completion.choices or not all(_says_something(choice.message) for choice in completion.choices):
        tree = read_object(raw, meta)
        raise_if_error(tree, meta)
        place = mend_choices(tree, "message")
        completion = fit_struct(place, ChatCompletion)
        if not completion.choices and not _has_images_data(tree):
            raise unexpected("an answer without choices", raw, meta)
        came["tree"] = tree
    keep(completion, came)
    _remember_places(completion, place)
    return completion


def _remember_places(completion: ChatCompletion, place: bytes | dict[str, Any]) -> None:
    for number, choice in enumerate(completion.choices):
        path, message = ("choices", number), choice.message
        keep(choice, {"place": (place, path)})
        keep(message, {"place": (place, (*path, "message"))})
        if (audio := message.audio) is not None:
            keep(audio, {"place": (place, (*path, "message", "audio"))})
        for index, call in enumerate(message.tool_calls or ()):
            keep(call, {"place": (place, (*path, "message", "tool_calls", index))})
    if (usage := completion.usage) is not None:
        remember_usage(usage, place)


def remember_usage(usage: Usage, place: bytes | dict[str, Any]) -> None:
    """Tell a usage where in an answer's JSON it stands, for its ``extra``."""
    keep(usage, {"place": (place, ("usage",))})
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        if (details := getattr(usage, name)) is not None:
            keep(details, {"place": (place, ("usage", name))})


def _says_something(message: ChatMessage) -> bool:
    return bool(message.content or message.tool_calls or message.refusal or message.images or _sounds(message))


def _sounds(message: ChatMessage) -> bool:
    return message.audio is not None and bool(message.audio.id or message.audio.data or message.audio.transcript)


def _has_images_data(tree: dict[str, Any]) -> bool:
    data = tree.get("data")
    return is_list(data) and any(is_object(item) and (item.get("url") or item.get("b64_json")) for item in data)


def read_chunk(data: Data, meta: Meta) -> ChatCompletionChunk | None:
    """Read one event's data patiently.

    Returns:
        The chunk, or None for what carries nothing: ``{}``, ``null``, ``[]``, an empty object of a relay.

    Raises:
        APIError: It is an error object.
        UnexpectedResponseError: It is no JSON, or nothing that belongs into a stream of chunks.
    """
    value = read_value(data, meta)
    if value is None or value in ([], {}):
        return None
    if not is_object(value):
        raise unexpected("an event that is no JSON object", data, meta)
    raise_if_error(value, meta)
    mended = mend_choices(value, "delta")
    chunk = fit_struct(mended, ChatCompletionChunk)
    if chunk.usage is not None:
        remember_usage(chunk.usage, mended)
    keep(chunk, {"raw": bytes(data), "tree": value})
    return chunk


def apart(data: Data) -> list[bytes]:
    """Take JSON values apart that stand in one event: some servers forget the blank line between two events.

    What follows the last value is given as it is, so that nothing is dropped in silence.
    """
    if too_deep(data):
        return [bytes(data)]
    try:
        msgspec.json.decode(data)
    except UNREADABLE:
        text = bytes(data).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    else:
        return [bytes(data)]
    parts: list[bytes] = []
    at = 0
    while at < len(text):
        try:
            _, end = PATIENT.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = len(text)
        parts.append(text[at:end].encode())
        more = _INK.search(text, end)
        at = more.start() if more else len(text)
    return parts
