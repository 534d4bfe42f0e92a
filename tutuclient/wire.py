"""Pure: requests to bytes, bytes to structs, status and headers to an error.

Reads as generously as relays write: the quick way is a typed msgspec decoder;
what it refuses goes once through a patient reader that mends what can be mended
(odd types, a BOM, NaN, half surrogates, a second value behind the first), and
what cannot is an error that says what came. No network, no clock.
"""

from __future__ import annotations

import json
import math
import os
import re
import types
import zlib
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from tutuclient import errors
from tutuclient.errors import (
    APIError,
    APIStatusError,
    ConfigError,
    TutuError,
    UnexpectedResponseError,
    printable,
)
from tutuclient.media import Upload
from tutuclient.types.answer import PATIENT, Answer, Headers, Meta, read_json, request_id_of, too_deep
from tutuclient.types.chat import ChatCompletion, ChatCompletionChunk, ChatMessage, ToolCall, Usage

if TYPE_CHECKING:
    from tutuclient.sse import Data

A = TypeVar("A", bound=Answer)
E = TypeVar("E", bound=TutuError)

_INK = re.compile(r"[^\s\ufeff]")
_MARK = os.urandom(12).hex()
_PIECE = 192 * 2**10
_IMAGE_MODEL = re.compile(
    r"image|dall-?e|sora|flux|midjourney|(?:^|[-_/])mj(?:$|[-_])|stable-?diffusion|sdxl|imagen|seedream|seededit|kolors|banana|ideogram|recraft|"
    r"cogview|wanx|video|veo|kling|draw",
    re.IGNORECASE,
)


# --- requests ------------------------------------------------------------------------------------------------------


class Body:
    """The JSON of a request, in segments: text, and pictures that are read only while they are sent.

    Attributes:
        segments: Bytes to send as they are, and uploads to send as data URIs.
    """

    __slots__ = ("segments",)

    def __init__(self, segments: list[bytes | Upload]) -> None:
        self.segments = segments

    async def open(self) -> None:
        """Check every picture, before each attempt; small ones become part of the text.

        Raises:
            MediaError: A picture cannot be used, or has changed since the last attempt.
        """
        settled: list[bytes | Upload] = []
        text: list[bytes] = []  # Joined once: adding each to those before would copy them all, over and over.
        for segment in self.segments:
            part: bytes | Upload = segment
            if isinstance(segment, Upload):
                await segment.open()
                part = segment.inline() or segment
            if isinstance(part, bytes):
                text.append(part)
            else:
                settled += [b"".join(text), part]
                text = []
        self.segments = [*settled, b"".join(text)]

    @property
    def plain(self) -> bytes | None:
        """The whole body when it is in memory anyway and small enough to be sent at once, else None."""
        first = self.segments[0]
        return first if len(self.segments) == 1 and isinstance(first, bytes) and len(first) <= _PIECE else None

    @property
    def size_bytes(self) -> int:
        """The length of the whole body, known after ``open``."""
        return sum(len(part) if isinstance(part, bytes) else part.encoded_size for part in self.segments)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Give the body from its start, in pieces of some 192 KiB at most where pictures are sent."""
        for part in self.segments:
            if isinstance(part, bytes):
                for at in range(0, len(part), _PIECE):
                    yield part[at : at + _PIECE]
            else:
                async with aclosing(part.pieces()) as pieces:
                    async for piece in pieces:
                        yield piece


def encode(fields: Mapping[str, Any]) -> Body:
    """Write a request's fields as JSON. Pictures, paths and our structs may stand anywhere in it.

    Raises:
        ConfigError: Something in it has no place in JSON.
    """
    uploads: list[Upload] = []

    def stand_in(value: Any) -> Any:
        if isinstance(value, str):
            return str(value)
        if isinstance(value, Iterable) and not isinstance(value, os.PathLike) and not hasattr(value, "read"):
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


def sendable(messages: Iterable[Any]) -> list[Any]:
    """Make messages ready to be written: an answer's message goes back as the API wants to see it again.

    Its content goes back as it came (progress lines and links included, which
    relays need to go on editing), its tool calls with the fields that only the
    relay understands (Gemini's thought signatures).

    Raises:
        ConfigError: There are no messages, or text was given where a list of them belongs.
    """
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Iterable):
        raise ConfigError('messages must be a list, such as [{"role": "user", "content": "…"}]')
    ready = [_sendable(message) if isinstance(message, ChatMessage) else _with_uploads(message) for message in messages]
    if not ready:
        raise ConfigError("messages is empty: give at least one message")
    return ready


def _with_uploads(message: Any) -> Any:
    """Put uploads where a plain message has a picture's bytes: JSON would make bare base64 of them."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or not any(_holds_bytes(part) for part in content):
        return message
    parts = [
        {**part, "image_url": {**part["image_url"], "url": Upload(part["image_url"]["url"])}}
        if _holds_bytes(part)
        else part
        for part in content
    ]
    return {**message, "content": parts}


def _holds_bytes(part: Any) -> bool:
    image = part.get("image_url") if isinstance(part, dict) else None
    return isinstance(image, dict) and isinstance(image.get("url"), bytes | bytearray | memoryview)


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
    if isinstance(message.audio, dict) and "id" in message.audio:
        fields["audio"] = {"id": message.audio["id"]}
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
    if isinstance(modalities, Iterable) and "image" in modalities:
        return True
    return _IMAGE_MODEL.search(str(fields.get("model", ""))) is not None


# --- answers -------------------------------------------------------------------------------------------------------

_completions = msgspec.json.Decoder(ChatCompletion, strict=False)
decode_chunk = msgspec.json.Decoder(ChatCompletionChunk, strict=False).decode
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
    try:
        completion = ChatCompletion() if too_deep(raw) else _completions.decode(raw)
    except UNREADABLE:
        completion = ChatCompletion()
    if not completion.choices or not all(_says_something(choice.message) for choice in completion.choices):
        tree = _object(raw, meta)
        _raise_if_error(tree, meta)
        place = _mend_choices(tree, "message")
        completion = _fit_struct(place, ChatCompletion)
        if not completion.choices and not _has_images_data(tree):
            raise unexpected("an answer without choices", raw, meta)
        completion.__dict__["tree"] = tree
    completion.__dict__["raw"] = raw
    _remember_places(completion, place)
    return completion


def _remember_places(completion: ChatCompletion, place: bytes | dict[str, Any]) -> None:
    for number, choice in enumerate(completion.choices):
        path = ("choices", number)
        choice.__dict__["place"] = (place, path)
        choice.message.__dict__["place"] = (place, (*path, "message"))
        for index, call in enumerate(choice.message.tool_calls or ()):
            call.__dict__["place"] = (place, (*path, "message", "tool_calls", index))
    if completion.usage is not None:
        remember_usage(completion.usage, place)


def remember_usage(usage: Usage, place: bytes | dict[str, Any]) -> None:
    """Tell a usage where in an answer's JSON it stands, for its ``extra``."""
    usage.__dict__["place"] = (place, ("usage",))
    for name in ("prompt_tokens_details", "completion_tokens_details"):
        if (details := getattr(usage, name)) is not None:
            details.__dict__["place"] = (place, ("usage", name))


def _says_something(message: ChatMessage) -> bool:
    return bool(message.content or message.tool_calls or message.refusal or message.images or message.audio)


def _has_images_data(tree: dict[str, Any]) -> bool:
    data = tree.get("data")
    return isinstance(data, list) and any(
        isinstance(item, dict) and (item.get("url") or item.get("b64_json")) for item in data
    )


def read_chunk(data: Data, meta: Meta) -> ChatCompletionChunk | None:
    """Read one event's data patiently.

    Returns:
        The chunk, or None for what carries nothing: ``{}``, ``null``, ``[]``, an empty object of a relay.

    Raises:
        APIError: It is an error object.
        UnexpectedResponseError: It is no JSON, or nothing that belongs into a stream of chunks.
    """
    value = _value(data, meta)
    if value is None or value in ([], {}):
        return None
    if not isinstance(value, dict):
        raise unexpected("an event that is no JSON object", data, meta)
    _raise_if_error(value, meta)
    mended = _mend_choices(value, "delta")
    chunk = _fit_struct(mended, ChatCompletionChunk)
    if chunk.usage is not None:
        remember_usage(chunk.usage, mended)
    chunk.__dict__["raw"] = bytes(data)
    chunk.__dict__["tree"] = value
    return chunk


def read_answer(data: bytes, cls: type[A], meta: Meta) -> A:
    """Read a whole answer of any other page of the API. Raises as ``read_completion`` does."""
    tree = _object(data, meta)
    _raise_if_error(tree, meta)
    answer = _fit_struct(tree, cls)
    answer.__dict__["raw"] = data
    answer.__dict__["tree"] = tree
    return answer


def error_of_answer(data: Data, meta: Meta) -> APIError | None:
    """Say which error an answer or an event is, or None when it is none, or cannot be read."""
    try:
        tree = _value(data, meta)
    except UnexpectedResponseError:
        return None
    found = find_error(tree) if isinstance(tree, dict) else None
    return None if found is None else _error_in_answer(found, meta)


def error_event(data: Data, meta: Meta) -> APIError:
    """Make the error of an ``event: error``, whatever its data are."""
    try:
        value = _value(data, meta)
    except UnexpectedResponseError:
        value = None
    tree = value if isinstance(value, dict) else {"message": _text_of(bytes(data))}
    return _error_in_answer(find_error(tree, failed=True) or {}, meta)


def _object(data: Data, meta: Meta) -> dict[str, Any]:
    if not bytes(data[:4096]).strip() and not bytes(data).strip():
        raise unexpected("an empty body", data, meta)
    value = _value(data, meta)
    if not isinstance(value, dict):
        raise unexpected(f"JSON that is no object but {type(value).__name__}", data, meta)
    return value


def _value(data: Data, meta: Meta) -> Any:
    try:
        return read_json(data)
    except (ValueError, RecursionError) as error:
        kind = "JSON nested too deeply" if isinstance(error, RecursionError) else "no JSON"
    raise unexpected(kind, data, meta)


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


# --- mending -------------------------------------------------------------------------------------------------------


def _mend_choices(tree: dict[str, Any], part: str) -> dict[str, Any]:
    """Bring the choices of an odd answer into the shape of the API; ``part`` is "message" or "delta"."""
    mended = {name.lower(): value for name, value in tree.items()} | tree
    choices = mended.get("choices")
    kept = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    mended["choices"] = [choice | {part: _mend_message(choice, part)} for choice in kept]
    return mended


def _mend_message(choice: dict[str, Any], part: str) -> dict[str, Any]:
    other = "delta" if part == "message" else "message"
    found = next((said for name in (part, other) if isinstance(said := choice.get(name), dict) and said), None)
    if found is None:
        return {"content": choice["text"]} if isinstance(choice.get("text"), str) else {}
    message = dict(found)
    content = message.get("content")
    if isinstance(content, dict):
        content = [content]
    if isinstance(content, list):
        message["parts"] = content
        message["content"] = "".join(_text_of_part(item) for item in content)
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), dict | list):
            del message[name]
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        message["tool_calls"] = [_mend_call(call) for call in calls if isinstance(call, dict)]
    elif isinstance(calls, dict):
        message["tool_calls"] = [_mend_call(calls)]
    if isinstance(message.get("function_call"), dict):
        message["function_call"] = _mend_function(message["function_call"])
    return message


def _text_of_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part.get("type") in (None, "", "text", "output_text"):
        text = part.get("text")
        if isinstance(text, dict):
            text = text.get("value")
        return text if isinstance(text, str) else ""
    return ""


def _mend_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    return call | {"function": _mend_function(function)} if isinstance(function, dict) else call


def _mend_function(function: dict[str, Any]) -> dict[str, Any]:
    arguments = function.get("arguments")
    if isinstance(arguments, dict | list):
        return function | {"arguments": _written(arguments)}
    return function


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_SKIP = object()
_hints: dict[type, dict[str, Any]] = {}

S = TypeVar("S", bound=msgspec.Struct)


def _fit_struct(tree: Mapping[str, Any], cls: type[S]) -> S:
    """Make a struct of whatever fits; a field that cannot be read keeps its default, and decides over no other."""
    if cls not in _hints:
        hints = get_type_hints(cls)
        _hints[cls] = {name: hints[name] for name in cls.__struct_fields__}
    fitted = {name: _fit(tree[name], hint) for name, hint in _hints[cls].items() if name in tree}
    return cls(**{name: value for name, value in fitted.items() if value is not _SKIP})


def _fit(value: Any, hint: Any) -> Any:
    origin, kinds = get_origin(hint), get_args(hint)
    fit: Any = _SKIP
    if hint is Any:
        fit = value
    elif hint in _FITS:
        fit = _FITS[hint](value)
    elif origin is types.UnionType:
        fit = next((fit for kind in kinds if (fit := _fit(value, kind)) is not _SKIP), _SKIP)
    elif origin is list and isinstance(value, list):
        fit = [fit for item in value if (fit := _fit(item, kinds[0])) is not _SKIP]
    elif origin is dict and isinstance(value, dict):
        fit = value
    elif isinstance(hint, type) and issubclass(hint, msgspec.Struct) and isinstance(value, dict):
        fit = _fit_struct(value, hint)
    return fit


def _fit_text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else _SKIP


def _fit_whole(value: Any) -> Any:
    if isinstance(value, bool):
        return _SKIP
    try:
        return int(float(value)) if isinstance(value, str) else int(value) if isinstance(value, int | float) else _SKIP
    except (ValueError, OverflowError):
        return _SKIP


def _fit_real(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return _SKIP
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return _SKIP
    return number if math.isfinite(number) else _SKIP


_FITS: dict[Any, Callable[[Any], Any]] = {
    str: _fit_text,
    int: _fit_whole,
    float: _fit_real,
    bool: lambda value: value if isinstance(value, bool) else _SKIP,
    type(None): lambda value: None if value is None else _SKIP,
}


# --- errors --------------------------------------------------------------------------------------------------------

_BY_CODE: dict[str, type[APIStatusError]] = {
    "billing_hard_limit_reached": errors.InsufficientQuotaError,
    "channel:no_available_key": errors.InternalServerError,
    "content_filter": errors.ContentPolicyError,
    "content_policy_violation": errors.ContentPolicyError,
    "context_length_exceeded": errors.ContextLengthError,
    "insufficient_quota": errors.InsufficientQuotaError,
    "insufficient_user_quota": errors.InsufficientQuotaError,
    "invalid_api_key": errors.AuthenticationError,
    "model_not_found": errors.NotFoundError,
    "moderation_blocked": errors.ContentPolicyError,
    "overloaded_error": errors.InternalServerError,
    "pre_consume_token_quota_failed": errors.InsufficientQuotaError,
    "prompt_blocked": errors.ContentPolicyError,
    "rate_limit_error": errors.RateLimitError,
    "rate_limit_exceeded": errors.RateLimitError,
    "sensitive_words_detected": errors.ContentPolicyError,
}
_BY_TEXT: tuple[tuple[re.Pattern[str], type[APIStatusError]], ...] = (
    (
        re.compile(r"额度(?:已用尽|不足)|余额不足|insufficient (?:user )?(?:quota|balance)", re.IGNORECASE),
        errors.InsufficientQuotaError,
    ),
    # litellm puts the name of its own error into the message, and nothing of it into the code.
    (
        re.compile(r"maximum context length|context length exceeded|ContextWindowExceededError", re.IGNORECASE),
        errors.ContextLengthError,
    ),
    (re.compile(r"ContentPolicyViolationError"), errors.ContentPolicyError),
    (re.compile(r"上游负载已饱和|请求数限制|rate limit|too many requests", re.IGNORECASE), errors.RateLimitError),
)
_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    402: errors.InsufficientQuotaError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    413: errors.PayloadTooLargeError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
}
_ADVICE: tuple[tuple[type[APIStatusError], str], ...] = (
    (errors.AuthenticationError, "check the key: api_key=, or TUTU_API_KEY"),
    (errors.InsufficientQuotaError, "the account or the key is used up: top it up; waiting does not help"),
    (errors.PermissionDeniedError, "the key may not do this: look at its models, its group and its allowed addresses"),
    (errors.NotFoundError, "check the model's name, and that base_url ends as the relay wants it, mostly in /v1"),
    (errors.PayloadTooLargeError, "send smaller pictures: max_side=2048, or a URL instead of the file"),
    (errors.ContextLengthError, "shorten the messages, or lower max_tokens"),
    (errors.ContentPolicyError, "the prompt or the picture was refused: change it; sending it again will not help"),
    (errors.RateLimitError, "too much at once: lower max_concurrency, or wait"),
)
# What stood between us and the relay gave up, or the relay could not read what it had ordered: the work may be done.
_UNKNOWN_STATUSES = frozenset({502, 504, 520, 524})
_UNKNOWN_CODES = frozenset(
    {"do_request_failed", "read_response_body_failed", "unmarshal_response_body_failed", "bad_response_body"}
)
_TITLE = re.compile(rb"<title[^>]*>(.{0,300}?)</title", re.IGNORECASE | re.DOTALL)
_MESSAGE_FIELDS = ("message", "msg", "err", "error_msg", "detail", "description", "errors")


def error_of_status(what: str, data: bytes, meta: Meta, *, retry_after: float | None = None) -> APIStatusError:
    """Make the error of an answer whose status is not 2xx.

    Args:
        what: The call, such as "POST /chat/completions".
        data: The body, or as much of it as was read; without the key.
        meta: Status, headers and attempts.
        retry_after: Seconds the server asks to wait, or None.
    """
    status = meta.status_code
    body: Any = None
    fields: dict[str, Any] = {}
    try:
        body = _value(data, meta) if data.strip() else None
    except UnexpectedResponseError:
        body = None
    if isinstance(body, dict):
        fields = find_error(body, failed=True) or {}
        body = body.get("error") or body
    text = str(fields.get("message") or "") or _text_of(data)
    cls = classify(status, str(fields.get("code") or ""), str(fields.get("type") or ""), text)
    location = meta.headers.get("location") if 300 <= status < 400 else None  # noqa: PLR2004  (redirects)
    if location:
        text = f"a redirect to {location.partition('?')[0]}; set base_url to where the relay really is"
    error = _status_error(cls, f"{what} answered {status}", text, body if body is not None else text, fields)
    error.status_code = status
    error.response = meta
    error.request_id = request_id_of(meta.headers, text)
    error.retry_after = retry_after
    if status in _UNKNOWN_STATUSES or error.code in _UNKNOWN_CODES:
        error.outcome = "unknown"
    return error


def _status_error(
    cls: type[APIStatusError], what: str, text: str, body: object, fields: Mapping[str, Any]
) -> APIStatusError:
    advice = next((words for kind, words in _ADVICE if issubclass(cls, kind)), "")
    message = f"{what}: {printable(text) or 'nothing more'}" + (f" ({advice})" if advice else "")
    return cls(message, body=body if isinstance(body, dict) else (dict(fields) or body))


def classify(status: int, code: str, kind: str, message: str) -> type[APIStatusError]:
    """Choose an error's class: by its code and type, then by the relay's stock phrases, then by its status.

    Relays let their operators remap statuses, so the status has the last word, not the first.
    """
    for word in (code, kind):
        if word in _BY_CODE:
            return _BY_CODE[word]
    for pattern, cls in _BY_TEXT:
        # What is refused as a bad request is not one request too many, whatever its message mentions.
        fits = issubclass(cls, errors.BadRequestError) if status == 400 else status not in {413, 422}  # noqa: PLR2004  (a bad request)
        if fits and pattern.search(message):
            return cls
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return errors.InternalServerError if status >= 500 else APIStatusError  # noqa: PLR2004  (server errors)


def find_error(tree: Mapping[str, Any], *, failed: bool = False) -> dict[str, Any] | None:
    """Find the error in an answer, in any of the envelopes relays use, or None when it is a good answer.

    Args:
        tree: The decoded answer or event.
        failed: The status already says that it is an error, so any message is its text.

    Returns:
        ``message``, ``code``, ``type`` and ``param`` as far as they are there.
    """
    error = tree.get("error")
    if isinstance(error, str) and error.strip():
        return {"message": error, "code": tree.get("code"), "type": tree.get("type")}
    if isinstance(error, dict) and _names_an_error(error) and (failed or not _has_output(tree)):
        return _error_fields(error)
    if failed or tree.get("object") == "error" or tree.get("type") == "error" or tree.get("success") is False:
        return _error_fields(tree)
    told_more = tree.keys() & {"choices", "object", "id"} or tree.get("data") is not None
    if tree.get("success") is not True and not told_more:
        found = _error_fields(tree)
        return found if found.get("message") else None
    return None


def _names_an_error(error: dict[str, Any]) -> bool:
    message, code = error.get("message"), error.get("code")
    if message == "success" and code in (0, "0", None, 200, "200"):
        return False
    return bool(message or error.get("type") or code or error.get("msg"))


def _has_output(tree: Mapping[str, Any]) -> bool:
    choices = tree.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        for part in ("message", "delta"):
            message = choice.get(part) if isinstance(choice, dict) else None
            if isinstance(message, dict) and any(message.get(name) for name in ("content", "tool_calls", "images")):
                return True
    return False


def _error_fields(tree: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: tree[name] for name in ("code", "type", "param") if name in tree}
    for name in _MESSAGE_FIELDS:
        value = tree.get(name)
        if value:
            fields["message"] = _written(value)
            return fields
    for outer, inner in (("header", "message"), ("response", "error")):
        value = tree.get(outer)
        found = value.get(inner) if isinstance(value, dict) else None
        if found:
            fields["message"] = _written(found.get("message") or found if isinstance(found, dict) else found)
            return fields
    return fields


def _raise_if_error(tree: dict[str, Any], meta: Meta) -> None:
    found = find_error(tree)
    if found is not None:
        raise _error_in_answer(found, meta)


def _error_in_answer(found: dict[str, Any], meta: Meta) -> APIStatusError:
    code = found.get("code")
    number = _status_in(code)
    text = str(found.get("message") or "")
    cls = classify(number, str(code or ""), str(found.get("type") or ""), text)
    if cls is APIStatusError and found.get("type") in ("server_error", "upstream_error"):
        cls = errors.InternalServerError
    error = _status_error(cls, f"the relay answered {meta.status_code} with an error", text, None, found)
    error.status_code = number or cls.status_code or meta.status_code
    error.response = meta
    error.request_id = request_id_of(meta.headers, text)
    if error.code in _UNKNOWN_CODES or number in _UNKNOWN_STATUSES:
        error.outcome = "unknown"
    return error


def _status_in(code: object) -> int:
    """Read the status that relays put into an error's ``code``, as a number or as its digits; else 0."""
    digits = str(code).removesuffix(".0") if isinstance(code, str | int | float) else ""
    return int(digits) if re.fullmatch(r"[45][0-9]{2}", digits) else 0


def without_key(error: E, key: str) -> E:
    """Take the key out of an error, wherever the relay has echoed it.

    Then the frames below hold it too, so the traceback begins anew. A word of
    less than eight letters, as servers get that ask for no key, is no secret.
    """
    if len(key) < 8 or not isinstance(error, APIError):  # noqa: PLR2004  (as above)
        return error
    before = {name: getattr(error, name) for name in ("args", "message", "body", "code", "param", "type", "request_id")}
    after = {name: _masked(value, str(key)) for name, value in before.items()}
    response: Meta | None = getattr(error, "response", None)
    if response is not None and any(key in value for value in response.headers.values()):
        response.headers = Headers({name: value.replace(key, "***") for name, value in response.headers.items()})
        after["request_id"] = _masked(error.request_id, str(key))
        error.__traceback__ = None
    if after != before:
        for name, value in after.items():
            setattr(error, name, value)
        error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return value.replace(key, "***")
    if isinstance(value, dict):
        return {_masked(name, key): _masked(item, key) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_masked(item, key) for item in value)
    return value


def unexpected(kind: str, data: Data, meta: Meta) -> UnexpectedResponseError:
    """Make the error of an answer that is none, saying what came instead."""
    start = bytes(data[:4096])
    hint = ""
    if start.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"<"):
        kind = "HTML"
        hint = "base_url is probably wrong: most relays want it to end in /v1"
    text = _text_of(start)
    said = f": {printable(text, 200)}" if text else ""
    error = UnexpectedResponseError(
        f"the relay answered {meta.status_code} with {kind}{said}" + (f" ({hint})" if hint else ""), body=text or None
    )
    error.hint = hint
    error.response = meta
    error.request_id = meta.request_id
    return error


def _text_of(data: bytes) -> str:
    """Give the readable part of a body that is no JSON: an HTML page's title, or the beginning of its text."""
    if data.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"<") and (title := _TITLE.search(data[:8192])):
        data = title.group(1)
    return " ".join(data[:2048].decode("utf-8", "replace").removeprefix("\ufeff").split())


# --- compressed bodies ---------------------------------------------------------------------------------------------


# zlib's names for its formats; the negative of the first is deflate without a header.
_ZLIB = 15
_GZIP = 31


class Inflater:
    """Undoes ``Content-Encoding``, never giving more than ``max_bytes`` in all.

    We ask for no compression, so this is for servers that compress all the same.

    Raises:
        UnexpectedResponseError: The encoding is none of gzip and deflate, the data are broken, or there is too much.
    """

    def __init__(self, encoding: str, max_bytes: int, meta: Meta) -> None:
        self._meta = meta
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._started = False
        if encoding not in {"gzip", "x-gzip", "deflate"}:
            raise unexpected(f"a body compressed as {printable(encoding, 40)!r}, which was not asked for", b"", meta)
        self._wbits = _ZLIB if encoding == "deflate" else _GZIP
        self._stream = zlib.decompressobj(self._wbits)

    def feed(self, piece: bytes) -> list[bytes]:
        """Inflate the next bytes, in pieces of at most 1 MiB."""
        pieces: list[bytes] = []
        if not self._started and piece:
            self._started = True
            if self._wbits == _ZLIB and piece[0] & 0x0F != 8:  # noqa: PLR2004  (RFC 1950: a zlib header's method is 8)
                self._stream = zlib.decompressobj(-_ZLIB)
        try:
            more = bool(piece)
            while more:
                if self._stream.eof:  # gzip goes on with its next member, and may be padded with zeros (RFC 1952).
                    if self._wbits != _GZIP or not (piece := piece.lstrip(b"\0")):
                        break
                    self._stream = zlib.decompressobj(_GZIP)
                limit = min(2**20, self._left + 1)
                out = self._stream.decompress(piece, limit)
                self._left -= len(out)
                if self._left < 0:
                    raise too_large("a compressed body", self._max_bytes, self._meta)
                if out:
                    pieces.append(out)
                piece = self._stream.unconsumed_tail or self._stream.unused_data
                more = bool(piece) or len(out) == limit  # With no bytes left to take, zlib may still hold some to give.
        except zlib.error as error:
            raise unexpected(f"a compressed body that is broken ({error})", b"", self._meta) from error
        return pieces

    @property
    def complete(self) -> bool:
        """Whether the compressed data came to their own end."""
        return self._stream.eof


def too_large(what: str, max_bytes: int, meta: Meta) -> UnexpectedResponseError:
    """Make the error of an answer that is over a limit."""
    return unexpected(f"{what} of more than {max_bytes:,} bytes (max_response_bytes= raises the limit)", b"", meta)
