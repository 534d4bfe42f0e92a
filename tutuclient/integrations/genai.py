"""What OpenTelemetry's conventions for generative AI call things: operations, attributes, metrics, messages. Pure.

Two versions are known. The one that holds by default is 1.41.1 of the semantic conventions, the last with a part on
generative AI; with ``OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental`` it is 0.1.0 of the conventions' own
repository, to which that part has moved. Neither is stable, says its text.

Sources: https://github.com/open-telemetry/semantic-conventions/tree/v1.41.1/docs/gen-ai and
https://github.com/open-telemetry/semantic-conventions-genai/tree/v0.1.0/docs/gen-ai.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, TypeGuard, cast

from tutuclient.media.kinds import audio_mime, image_mime
from tutuclient.media.sources import amount

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient.transport import CallEnd

Value: TypeAlias = "str | bool | int | float | list[str]"
"""What an attribute may be."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.1"
OPT_IN: Final = "gen_ai_latest_experimental"


class Operation(NamedTuple):
    """What a call does: a well-known name, and the kind of its output where the endpoint alone decides that.

    Images and audio have no names of their own in the conventions: ``generate_content`` is the multimodal one, and
    ``gen_ai.output.type`` tells what comes of it.
    """

    name: str
    output: str = ""
    group: Literal["inference", "embeddings"] = "inference"


OPERATIONS: Final[Mapping[str, Operation]] = {
    "/chat/completions": Operation("chat"),
    "/responses": Operation("chat"),
    "/completions": Operation("text_completion", "text"),
    "/embeddings": Operation("embeddings", group="embeddings"),
    "/images/generations": Operation("generate_content", "image"),
    "/images/edits": Operation("generate_content", "image"),
    "/images/variations": Operation("generate_content", "image"),
    "/audio/speech": Operation("generate_content", "speech"),
    "/audio/transcriptions": Operation("generate_content", "text"),
    "/audio/translations": Operation("generate_content", "text"),
}

_SECONDS: Final = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
_TOKENS: Final = [4**power for power in range(14)]


class Metric(NamedTuple):
    """A metric: its name, its unit, what it counts, and its buckets; a counter has none."""

    name: str
    unit: str
    about: str
    buckets: list[float] | None


def metrics(*, latest: bool) -> dict[str, Metric]:
    """Return the metrics, by group of operations and by what they measure, such as ``inference duration``."""
    about = {
        "duration": "GenAI operation duration.",
        "time_to_first_chunk": "Time to receive the first chunk of a stream, from the beginning of the call.",
        "time_per_output_chunk": "Time from one chunk of a stream to the next.",
    }
    found: dict[str, Metric] = {}
    for group in ("inference", "embeddings"):
        prefix = f"gen_ai.client.{group if latest else 'operation'}"
        for what, text in about.items():
            if group == "inference" or what == "duration":
                found[f"{group} {what}"] = Metric(f"{prefix}.{what}", "s", text, _SECONDS)
        for way in ("input", "output"):
            if latest and not (group == "embeddings" and way == "output"):
                name, text = f"{prefix}.operation.{way}_tokens", f"The number of {way} tokens of one operation."
                found[f"{group} {way}"] = Metric(name, "{token}", text, list(map(float, _TOKENS)))
            elif not latest:
                text = "Number of input and output tokens used."
                found[f"{group} {way}"] = Metric(
                    "gen_ai.client.token.usage", "{token}", text, list(map(float, _TOKENS))
                )
        if latest and group == "inference":
            for way in ("input", "output"):
                name, text = f"{prefix}.usage.{way}_tokens", f"The number of {way} tokens used."
                found[f"{group} total {way}"] = Metric(name, "{token}", text, None)
    return found


# --- attributes ------------------------------------------------------------------------------------------------------


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a number, which True is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: object) -> float | None:
    return float(value) if is_number(value) else None


def _int(value: object) -> int | None:
    return int(value) if is_number(value) else None


def _count(value: object) -> int | None:
    return None if value == 1 else _int(value)


def _str(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _true(value: object) -> bool | None:
    return True if value is True else None


def _texts(value: object) -> list[str] | None:
    if isinstance(value, list):
        return [each for each in cast("list[object]", value) if isinstance(each, str)] or None
    return [value] if isinstance(value, str) else None


# Fields of requests, with their attributes and what makes their values; None where the value is none of the field's.
_FIELDS: Final[Mapping[str, tuple[str, Callable[[object], Value | None]]]] = {
    "temperature": ("gen_ai.request.temperature", _float),
    "top_p": ("gen_ai.request.top_p", _float),
    "top_k": ("gen_ai.request.top_k", _float),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", _float),
    "presence_penalty": ("gen_ai.request.presence_penalty", _float),
    "max_tokens": ("gen_ai.request.max_tokens", _int),
    "max_completion_tokens": ("gen_ai.request.max_tokens", _int),
    "max_output_tokens": ("gen_ai.request.max_tokens", _int),
    "seed": ("gen_ai.request.seed", _int),
    "n": ("gen_ai.request.choice.count", _count),
    "stream": ("gen_ai.request.stream", _true),
    "stop": ("gen_ai.request.stop_sequences", _texts),
    "dimensions": ("gen_ai.embeddings.dimension.count", _int),
    "encoding_format": ("gen_ai.request.encoding_formats", _texts),
    "service_tier": ("openai.request.service_tier", _str),
}
_LATEST_FIELDS: Final[Mapping[str, tuple[str, Callable[[object], Value | None]]]] = {
    "top_k": ("gen_ai.request.top_k", _int),
    "reasoning_effort": ("gen_ai.request.reasoning.level", _str),
}
_DETAILS: Final = {
    ("prompt_tokens_details", "cached_tokens"): "gen_ai.usage.cache_read.input_tokens",
    ("completion_tokens_details", "reasoning_tokens"): "gen_ai.usage.reasoning.output_tokens",
}
_LATEST_DETAILS: Final = {
    (f"{before}_details", f"{kind}_tokens"): f"gen_ai.usage.{kind}.{way}_tokens"
    for way, names in (
        ("input", ("prompt_tokens", "input_tokens", "input_token")),
        ("output", ("completion_tokens", "output_tokens")),
    )
    for before in names
    for kind in ("text", "image", "audio")
}


def request_attributes(operation: Operation, fields: Mapping[str, Any], *, latest: bool) -> dict[str, Value]:
    """Return what is known of a request before it is sent, without its content."""
    found: dict[str, Value] = {"gen_ai.operation.name": operation.name}
    for name, (attribute, read) in {**_FIELDS, **(_LATEST_FIELDS if latest else {})}.items():
        if name in fields and (value := read(fields[name])) is not None:
            found[attribute] = value
    if output := _output_type(operation, fields.get("response_format")):
        found["gen_ai.output.type"] = output
    return found


def _output_type(operation: Operation, asked: object) -> str:
    kind = str(cast("Mapping[str, Any]", asked).get("type", "")) if isinstance(asked, Mapping) else ""
    if operation.name == "chat" and kind:
        return "json" if kind.startswith("json") else "text"
    return operation.output


def response_attributes(end: CallEnd, usage: Any, shown: Callable[[str], str], *, latest: bool) -> dict[str, Value]:
    """Return what is known of an answer, as far as it came, without its content; texts as ``shown`` returns them."""
    answer = end.answer
    found: dict[str, Value] = {}
    for name, attribute in (
        ("id", "gen_ai.response.id"),
        ("model", "gen_ai.response.model"),
        ("service_tier", "openai.response.service_tier"),
        ("system_fingerprint", "openai.response.system_fingerprint"),
    ):
        if isinstance(value := getattr(answer, name, None), str) and value:
            found[attribute] = shown(value)
    reasons = [getattr(choice, "finish_reason", None) for choice in getattr(answer, "choices", None) or ()]
    if latest and end.how != "answered":
        reasons = [reason or "error" for reason in reasons]
    if known := [shown(str(reason)) for reason in reasons if reason]:
        found["gen_ai.response.finish_reasons"] = known
    return found | usage_attributes(usage, latest=latest)


def usage_attributes(usage: Any, *, latest: bool) -> dict[str, Value]:
    """Return the tokens that a relay says an answer used. What it does not say is left out."""
    found: dict[str, Value] = {}
    for way in ("input", "output"):
        if is_number(value := getattr(usage, f"{way}_tokens", None)):
            found[f"gen_ai.usage.{way}_tokens"] = value
    written = f"gen_ai.usage.{'cache_write' if latest else 'cache_creation'}.input_tokens"
    details = {**_DETAILS, ("prompt_tokens_details", "cache_write_tokens"): written}
    for (group, name), attribute in (details | _LATEST_DETAILS if latest else details).items():
        if is_number(value := getattr(getattr(usage, group, None), name, None)):
            found[attribute] = value
    return found


# --- content ---------------------------------------------------------------------------------------------------------

# Longer data are not hashed: that would hold the event loop.
_MOST_HASHED = 3 * 2**20
_HEAD = 1024
# Base64 may be broken into lines, of which only the last may be short (RFC 2045, section 6.8). A word that stands alone
# in the next line may be taken for it: better a word too few than a piece of an image too many.
_LETTERS = r"[A-Za-z0-9+/_-]"
_LAST_LINE = rf"(?:{_LETTERS}{{4}})*{_LETTERS}{{2}}(?:{_LETTERS}{{2}}|{_LETTERS}=|==)(?![\w+/=-])"
_LINES = rf"(?:\r?\n{_LETTERS}{{40,}})*(?:\r?\n{_LAST_LINE})?=*"
_DATA_URI = re.compile(rf"data:([\w.+/-]{{0,80}})(?:;[\w=.+-]{{1,80}})*;base64,({_LETTERS}*{_LINES})")
_BARE = re.compile(rf"{_LETTERS}{{60,}}{_LINES}")
# A shorter run of letters may be a name, and holds no image.
_LEAST_DATA = 256
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_NO_LETTERS = bytes(code for code in range(256) if not re.match(_LETTERS, chr(code)))
_DESCRIBED = re.compile(r"<([\w.+-]+/[\w.+-]+) ")
_MODALITIES: Final = {"image_url": "image", "video_url": "video", "input_image": "image"}


def without_data(text: str) -> str:
    """Return a text in whose place of images, audio and files, as base64, their type, size and digest stand."""
    if len(text) < _LEAST_DATA and "base64," not in text:
        return text
    text = _DATA_URI.sub(lambda found: described(found[2], found[1]), text)
    return _BARE.sub(lambda found: described(found[0]) if len(found[0]) >= _LEAST_DATA else found[0], text)


def described(encoded: str, mime: str = "") -> str:
    """Return a few words for base64: ``<image/png 1.2 MB sha256:ab12cd34ef56…>``; beyond 3 MiB without the digest."""
    # Whatever a relay has in the place of data is described too, so what is no letter of base64 is left out.
    letters = encoded.encode("ascii", "ignore").translate(_URL_SAFE, _NO_LETTERS)
    size = len(letters) * 3 // 4
    whole = letters[:_HEAD] if len(letters) > _MOST_HASHED else letters
    data = binascii.a2b_base64(whole[: len(whole) - (len(whole) % 4 == 1)] + b"==="[: -len(whole) % 4])
    kind = image_mime(data[:64]) or audio_mime(data[:_HEAD]) or mime or "base64"
    return f"<{kind} {amount(size)}{'' if len(letters) > _MOST_HASHED else _digest(data)}>"


def _digest(data: bytes) -> str:
    return f" sha256:{hashlib.sha256(data).hexdigest()[:12]}…"


def content_attributes(fields: Mapping[str, Any], answer: Any, masked: Callable[[str], str]) -> dict[str, str]:
    """Return what was asked and what was answered, as JSON; images as digests, addresses without their queries.

    Args:
        fields: The fields of the request.
        answer: What came of it, or None.
        masked: Removes the key from a text.
    """
    found: dict[str, list[Any]] = {}
    said = fields.get("messages") or fields.get("input") or fields.get("prompt")
    if said:
        found["gen_ai.input.messages"] = _messages(said)
    if isinstance(told := fields.get("instructions"), str):
        found["gen_ai.system_instructions"] = [_text(told)]
    if answered := list(_output(answer)):
        found["gen_ai.output.messages"] = answered
    return {name: masked(json.dumps(value, ensure_ascii=False, default=repr)) for name, value in found.items()}


def _messages(said: Any) -> list[dict[str, Any]]:
    if isinstance(said, str):
        return [{"role": "user", "parts": [_text(said)]}]
    items: list[Any] = [*cast("Iterable[Any]", said)] if isinstance(said, list | tuple) else []
    if any(isinstance(each, str) for each in items):  # Of embeddings and legacy completions.
        return [{"role": "user", "parts": [_text(each) for each in items if isinstance(each, str)]}]
    return [_message(_plain(each)) for each in items if not is_number(each) and not isinstance(each, list)]


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role, content = str(message.get("role") or ""), message.get("content")
    if role == "tool":
        told = without_data(content) if isinstance(content, str) else _parts(content)
        parts = [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": told}]
    else:
        parts = [*_thoughts(message), *_parts(content), *_parts(message.get("images")), *_tool_calls(message)]
    name = message.get("name")
    return {"role": role, "parts": parts} | ({"name": name} if isinstance(name, str) else {})


def _thoughts(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str):
        yield {"type": "reasoning", "content": without_data(thought)}


def _tool_calls(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    calls: object = message.get("tool_calls")
    for each in cast("Iterable[Any]", calls) if isinstance(calls, list) else ():
        call = _plain(each)
        function = _plain(call.get("function") or call.get("custom") or {})
        given: Any = function.get("arguments", function.get("input"))
        if isinstance(given, str):
            try:
                given = json.loads(without_data(given))
            except ValueError:
                given = without_data(given)
        yield {"type": "tool_call", "id": call.get("id"), "name": function.get("name"), "arguments": given}


def _parts(content: Any) -> list[dict[str, Any]]:
    if content is None:
        return []
    if isinstance(content, str):
        return [_text(content)] if content else []
    items = cast("Iterable[Any]", content) if isinstance(content, list | tuple) else [content]
    return [_text(each) if isinstance(each, str) else _part(_plain(each)) for each in items]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(part.get("type") or "")
    inner: Any = part.get(kind)
    if kind in {"text", "input_text", "output_text"}:
        return _text(str(part.get("text") or ""))
    if kind in _MODALITIES:
        held: Any = part.get("image_url") if kind == "input_image" else inner
        url: Any = held if isinstance(held, str) else _plain(held or {}).get("url")
        return _media(_MODALITIES[kind], url)
    if kind == "input_audio":
        return _media("audio", _plain(inner or {}).get("data"))
    if kind == "file":
        return _media("document", _plain(inner or {}).get("file_data"))
    return {"type": kind or "unknown"}  # What a relay has of its own may hold anything.


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": without_data(text)}


def _media(modality: str, source: Any) -> dict[str, Any]:
    """Return a part for an image, for audio or a file: its address, or what it is."""
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return {"type": "uri", "modality": modality, "uri": source.partition("?")[0].partition("#")[0]}
    # Written as text it is a data URI, bare base64, or the words of an ``Upload``; an ``Upload`` is shown by its repr.
    text = source if isinstance(source, str) else repr(source)
    if not _DESCRIBED.match(text) and not text.startswith("<"):
        text = without_data(text) if text.startswith("data:") else described(text)
    mime = _DESCRIBED.match(text)
    return {"type": "blob", "modality": modality, **({"mime_type": mime[1]} if mime else {}), "content": text}


def _output(answer: Any) -> Iterator[dict[str, Any]]:
    """Return the messages of an answer, one for each choice or image; embeddings and events have none."""
    for choice in getattr(answer, "choices", None) or ():
        message = getattr(choice, "message", None)
        said = {"content": getattr(choice, "text", "")} if message is None else _plain(message)
        yield {
            **_message({"role": "assistant", **said}),
            "finish_reason": getattr(choice, "finish_reason", None) or "error",
        }
    for image in getattr(answer, "data", None) or ():
        if source := getattr(image, "url", None) or getattr(image, "b64_json", None):
            yield {"role": "assistant", "parts": [_media("image", source)], "finish_reason": "stop"}
    content, text = getattr(answer, "content", None), getattr(answer, "text", None)
    if isinstance(content, bytes):
        digest = _digest(content) if len(content) <= _MOST_HASHED else ""
        sound = f"<{getattr(answer, 'mime', '')} {amount(len(content))}{digest}>"
        yield {
            "role": "assistant",
            "parts": [{"type": "blob", "modality": "audio", "content": sound}],
            "finish_reason": "stop",
        }
    elif isinstance(text, str) and not hasattr(answer, "choices"):
        yield {"role": "assistant", "parts": [_text(text)], "finish_reason": "stop"}


def _plain(value: Any) -> Mapping[str, Any]:
    """Return the fields of a dict or a struct; uploads within stay as they are, or as their words."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    as_dict = getattr(value, "to_dict", None)
    if callable(as_dict):
        return cast("Mapping[str, Any]", as_dict())
    try:
        return dict(value)
    except (TypeError, ValueError):
        return {}
