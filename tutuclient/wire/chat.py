"""Chat completions and their chunks: bytes to structs, as generously as relays write.

The quick way is a typed msgspec decoder. What that cannot decode is read once
more as plain JSON and normalized (odd types, a BOM, NaN, half surrogates, a
second value behind the first); what cannot be normalized is an error that names
what came.

Sources: .github/WIRE.md, sections 1.5, 1.6, 3.3, 3.4 and 5.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from tutuclient.errors import APIError, APIStatusError
from tutuclient.types.base import Answer, remember_answer, remember_part
from tutuclient.types.chat import (
    ChatChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatMessage,
    Usage,
    fullness,
    is_reason,
)
from tutuclient.types.json import PATIENT, is_list, is_object, read_json, too_deep, value_at
from tutuclient.types.provenance import Provenance, provenance, remember
from tutuclient.wire.decoding import UNREADABLE, check_count, decode_as, may_hold_error, read_value, unexpected
from tutuclient.wire.envelopes import read_event, read_unwrapped, unrecognized, unwrap
from tutuclient.wire.lenient import OddTextError, find_usage, fit_struct, normalize_choices
from tutuclient.wire.shapes import chunk_in, completion_in, has_images, is_shuffled

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient._meta import Meta
    from tutuclient.types.completions import Completion
    from tutuclient.wire.sse import Data

A = TypeVar("A", bound=Answer)

_BEHIND_VALUE = re.compile(r"[\s\ufeff]*+(?:data:[\s\ufeff]*+)*+")
_BETWEEN_VALUES = re.compile(r"[\s\ufeff,]*+(?:data:[\s\ufeff]*+)*+")
_USAGE = re.compile(rb'"(?:token_)?[uU]sage"\s*:\s*\{')
# The names that a chunk has one of, the API's or Ollama's, also in JSON within text.
_CHUNK = re.compile(rb"[cC]hoices|done")
_DONE = re.compile(rb"""[\s"']*\[DONE\]""", re.IGNORECASE)
_EDGE = 2**16
_MOST_VALUES = 100_000
_FIRST_CHOICE = ("choices", 0)
_FIRST_MESSAGE = ("choices", 0, "message")
MOST_CHOICES = 1000
"""How many choices an answer may have: the API allows 128."""
MOST_CALLS = 10_000
"""How many tool calls a choice may have."""

decode_chunk: Callable[[Data], ChatCompletionChunk] = msgspec.json.Decoder(ChatCompletionChunk, strict=False).decode
"""The quick way from an event's data to a chunk; ``read_chunk`` reads what raises one of ``UNREADABLE``."""


def is_event_stream(data: bytes, content_type: str = "") -> bool:
    """Return whether the first bytes of a body are an event stream, whatever the header is.

    Source: .github/WIRE.md, section 3.4: streams come where none was asked for, and the other way round.
    """
    start = data[:64].lstrip(b"\xef\xbb\xbf\r\n\t ")
    if start.startswith((b"data:", b"event:", b"id:", b"retry:", b":")):
        return True
    # The label alone is not trusted: new-api sets it before it asks the upstream, so that JSON errors carry it too
    # (.github/WIRE.md, section 3.5).
    return content_type.startswith("text/event-stream") and not start.startswith((b"{", b"[", b"<")) and bool(start)


def is_done_mark(data: Data) -> bool:
    """Return whether data mean that a stream is over: ``[DONE]``, also in quotes."""
    return _DONE.match(bytes(data[:64])) is not None


def read_completion(data: Data, meta: Meta) -> ChatCompletion:
    """Read a whole chat completion.

    Raises:
        APIStatusError: It is an error under a good status.
        UnexpectedResponseError: It is not an answer but HTML, an empty body, broken JSON, JSON without choices.
    """
    raw = bytes(data)
    return _read_quickly(raw, meta) or _read_patiently(raw, meta)


def read_completion_or_chunks(data: Data, meta: Meta) -> ChatCompletion | list[bytes]:
    """Read a whole chat completion, or split a stream of chunks that is written as JSON.

    Raises:
        APIStatusError: As ``read_completion`` does.
        UnexpectedResponseError: Likewise.
    """
    raw = bytes(data)
    # A stream that was asked for may come as one answer, or as chunks that are labelled JSON (.github/WIRE.md, section
    # 3.4).
    return _read_quickly(raw, meta) or split_json_stream(raw, meta) or _read_patiently(raw, meta)


def _read_quickly(raw: bytes, meta: Meta) -> ChatCompletion | None:
    check_count(raw, meta)
    completion = decode_as(raw, ChatCompletion)
    if completion is None:
        return None
    choices = completion.choices
    # An error under status 200 is real, and a good answer may have ``"error": null`` (.github/WIRE.md, section 4.2):
    # only the patient way tells them apart.
    if not choices or may_hold_error(raw) or any(map(_is_odd, choices)):
        return None
    if len(choices) > 1 and is_shuffled([choice.index for choice in choices]):
        return None
    message = choices[0].message
    if len(choices) > 1 or message.tool_calls or message.audio is not None or completion.moderation is not None:
        _check_counts(choices, meta)
        remember_answer(completion, raw)
    else:  # What most answers are, written out: going through their fields for parts takes a microsecond longer.
        remember(completion, (None, raw))
        remember(choices[0], (raw, _FIRST_CHOICE))
        remember(message, (raw, _FIRST_MESSAGE))
        if completion.usage is not None:
            remember_part(completion.usage, raw, ("usage",))
    _fill_usage_if_empty(completion, raw)
    return completion


def _is_odd(choice: ChatChoice) -> bool:
    """Return whether a choice has to be read patiently: it is empty, broke off, or calls a tool without a name."""
    message = choice.message
    if not (message.content or _has_output(message)) or choice.finish_reason == "error":
        return True
    calls = message.tool_calls
    return bool(calls) and any(not call.function.name and not call.custom for call in calls or ())


def _check_counts(choices: list[ChatChoice], meta: Meta) -> None:
    if len(choices) > MOST_CHOICES:
        raise unexpected(f"more than {MOST_CHOICES:,} choices", b"", meta)
    if any(len(choice.message.tool_calls or ()) > MOST_CALLS for choice in choices):
        raise unexpected(f"more than {MOST_CALLS:,} tool calls", b"", meta)


def _read_patiently(raw: bytes, meta: Meta) -> ChatCompletion:
    try:
        tree, _ = read_unwrapped(raw, meta, completion_in)
    except APIStatusError as error:
        _keep_partial(error, read_value(raw, meta))
        raise
    try:
        fitted = normalize_choices(tree, "message")
    except OddTextError as error:
        raise unexpected(f"an answer with {error}", raw, meta) from None
    completion = fit_struct(fitted, ChatCompletion)
    if not completion.choices and not has_images(tree):
        raise unrecognized("an answer without choices", raw, meta, tree)
    _check_counts(completion.choices, meta)
    remember_answer(completion, raw, tree, fitted)
    _fill_usage_if_empty(completion, raw)
    return completion


def _fill_usage_if_empty(completion: ChatCompletion, raw: bytes) -> None:
    usage = completion.usage
    if usage is None or not usage.total_tokens:  # Else it counts something already.
        fill_usage(completion, raw)


def _keep_partial(error: APIError, value: Any) -> None:
    """Add to an error what came before it, where an answer broke off: it has been made, and is paid for."""
    tree = unwrap(value, completion_in)
    if tree is None:
        return
    try:
        partial = fit_struct(normalize_choices(tree, "message"), ChatCompletion)
    except OddTextError:
        return
    if any(_has_output(choice.message) for choice in partial.choices):
        error.with_partial(partial).with_details(outcome="unknown")


def fill_usage(answer: ChatCompletion | ChatCompletionChunk | Completion, raw: Data) -> None:
    """Fill an empty ``usage`` with what an answer counts elsewhere (.github/WIRE.md, section 3.3; litellm#1571)."""
    if fullness(answer.usage) > 1:
        return
    # Megabytes of base64 stand between: usage is at the beginning or at the end of an answer.
    edges = bytes(raw) if len(raw) <= 2 * _EDGE else bytes(raw[:_EDGE]) + bytes(raw[-_EDGE:])
    if not _USAGE.search(edges):
        return
    tree: Any = provenance(answer).tree or read_json(raw)
    path = find_usage(tree) if is_object(tree) else None
    if path is None or path == ("usage",):
        return
    usage = fit_struct(value_at(tree, path), Usage)
    msgspec.structs.force_setattr(answer, "usage", usage)
    remember_part(usage, tree, path)


def _has_output(message: ChatMessage) -> bool:
    return bool(message.content or message.tool_calls or message.refusal or message.images or _has_audio(message))


def _has_audio(message: ChatMessage) -> bool:
    return message.audio is not None and bool(message.audio.id or message.audio.data or message.audio.transcript)


def read_chunk(data: Data, meta: Meta, name: str = "") -> ChatCompletionChunk | None:
    """Read one event's data patiently; ``name`` is what its ``event:`` line calls it, or "".

    Returns:
        The chunk, or None for what carries nothing: ``{}``, ``null``, ``[]``, an empty object of a relay.

    Raises:
        APIError: It is an error object.
        UnexpectedResponseError: It is not JSON, or nothing that belongs into a stream of chunks.
    """
    value = read_event(data, meta, chunk_in, name=name)
    if value is None:
        return None
    try:
        normalized = normalize_choices(value, "delta")
    except OddTextError as error:
        raise unexpected(f"a chunk with {error}", data, meta) from None
    chunk = fit_struct(normalized, ChatCompletionChunk)
    if chunk.usage is not None:
        remember_part(chunk.usage, normalized, ("usage",))
    remember(chunk, Provenance(raw=bytes(data), tree=value))
    return chunk


def split_values(data: Data, meta: Meta) -> list[bytes]:
    """Split the JSON values in one event: some servers forget the blank line between two events.

    What follows the last value is returned as it is, so that nothing is dropped in silence.

    Raises:
        UnexpectedResponseError: There are more values than any answer has.

    Source: .github/WIRE.md, section 3.1.
    """
    if too_deep(data):
        return [bytes(data)]
    try:
        msgspec.json.decode(data)
    except UNREADABLE:
        # Events back to back with a single line break, or two objects in one body (.github/WIRE.md, sections 3.1 and
        # 4.1).
        return _values(data, _BEHIND_VALUE, meta)
    return [bytes(data)]


def _values(data: Data, between: re.Pattern[str], meta: Meta) -> list[bytes]:
    text = bytes(data).decode("utf-8", "replace").lstrip("\ufeff \t\r\n\x1e")
    parts: list[bytes] = []
    at = 0
    if between is _BETWEEN_VALUES and text.startswith("["):
        at = _end_of(between, text, 1)
    while at < len(text):
        if (
            len(parts) == _MOST_VALUES
        ):  # Each is read on its own, in Python: tiny ones would hold the event loop for long.
            raise unexpected(f"more than {_MOST_VALUES:,} JSON values in one answer", b"", meta)
        try:
            _, end = PATIENT.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = len(text)
        parts.append(text[at:end].encode())
        at = _end_of(between, text, end)
    return parts


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return at if match is None else match.end()


def split_json_stream(data: Data, meta: Meta) -> list[bytes] | None:
    """Split a body that is a stream, and is written as JSON: values in lines, run together, or in an array.

    One value that has a message is a whole answer, and so is a first one that has a finish reason, whatever stands
    behind it.

    Returns:
        The values, the last of which may be cut; None when the body is not such a stream.

    Raises:
        UnexpectedResponseError: It has more values than any answer.
    """
    start = _first_of(data)
    if start not in {b"{", b"[", b'"'} or not _CHUNK.search(data) or too_deep(data):
        return None
    check_count(data, meta)
    parts = _values(data, _BETWEEN_VALUES, meta)
    if len(parts) == 1 and not choices_of(parts[0]):
        parts = _wrapped_chunks(parts[0]) or parts
    if start == b"[" and parts and parts[-1].strip() == b"]":
        parts.pop()
    for number, part in enumerate(parts):
        choices = choices_of(part)
        if choices:
            more = any(map(choices_of, parts[number + 1 :][:_MOST_LOOKS]))
            whole = start == b"{" and all(_is_whole(choice, alone=not more) for choice in choices)
            return None if whole and (len(parts) == 1 or not any(map(_is_piece, choices))) else parts
    return None


_MOST_LOOKS = 10


def is_first_chunk(line: Data, meta: Meta) -> bool:
    """Return whether a line of JSON is the beginning of a stream, and cannot be a whole answer."""
    return _first_of(line) == b"{" and split_json_stream(line, meta) is not None


def _first_of(data: Data) -> bytes:
    """Return the first byte of JSON; RFC 7464 writes a record separator before each value."""
    return bytes(data[:64]).lstrip(b"\xef\xbb\xbf \t\r\n\x1e")[:1]


def _wrapped_chunks(part: Data) -> list[bytes]:
    """Return the chunks of a stream that is a list within an envelope; [] when there is none."""

    def pick(value: Any) -> dict[str, Any] | None:
        return {"chunks": value} if is_list(value) and value and all(map(chunk_in, value)) else None

    try:
        found = unwrap(read_json(part), pick)
    except (ValueError, RecursionError):
        return []
    return [] if found is None else [msgspec.json.encode(chunk) for chunk in found["chunks"]]


def choices_of(part: Data) -> list[dict[str, Any]]:
    """Return the choices of an answer or a chunk as they came, whatever is around it; [] when it is neither."""
    try:
        value = read_json(part)
    except (ValueError, RecursionError):
        return []
    tree = unwrap(value, chunk_in) or value
    choices = next((tree[name] for name in ("choices", "Choices") if tree.get(name)), None) if is_object(tree) else None
    return [choice for choice in choices if is_object(choice)] if is_list(choices) else []


def chunk_of_line(line: Data) -> bytes | None:
    """Return the chunk in a line that is not a field of an event stream: bare, or behind a damaged field name."""
    text = bytes(line)
    if b"{" not in text:
        return None
    return next((value for value in (text, text.partition(b":")[2].strip()) if choices_of(value)), None)


def _is_whole(choice: dict[str, Any], *, alone: bool) -> bool:
    reason = choice.get("finish_reason")
    if reason is not None and is_reason(str(reason)):
        return True
    return (
        alone
        and not _is_piece(choice)
        and (choice.get("message") is not None or bool(choice.get("text") or choice.get("content")))
    )


def _is_piece(choice: dict[str, Any]) -> bool:
    return bool(choice.get("delta")) and not choice.get("message")
