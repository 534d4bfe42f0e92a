"""The messages of a request, checked and prepared to be written.

A relay bills what it is sent: bytes go out as base64 text, a path as the whole
file, a part in place of a message as a question without words. So whatever is
certainly a mistake is an error that names its place, quotes the value and says
what to write. A role, a detail or a kind of part that relays may have of their
own passes; a misspelt one does not, or not without a warning.

Every call comes by here, so what is written as the API wants it is recognized
by a few comparisons, and everything else is looked at afterwards.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final, NoReturn, TypeGuard
from uuid import UUID

import msgspec

from tutuclient.diagnostics import is_binary, quoted, warn
from tutuclient.errors import ConfigError, printable
from tutuclient.media.kinds import AUDIO_ENDINGS, IMAGE_ENDINGS
from tutuclient.media.parts import AudioPart, FilePart, ImagePart, ImageURL, InputAudio, Message, TextPart, audio
from tutuclient.media.upload import Document, Recording, Upload
from tutuclient.settings import is_unset
from tutuclient.types.base import Answer
from tutuclient.types.chat import ChatChoice, ChatMessage, FunctionCall, ToolCall, is_thought
from tutuclient.types.json import is_list, is_object
from tutuclient.wire.keywords import is_any, nearest

# Source: the API's description 2.3.0, ChatCompletionRequestMessage.
ROLES: Final = frozenset(("user", "system", "assistant", "tool", "developer", "function"))
_NEEDS_CONTENT: Final = frozenset(("user", "system", "developer", "tool", "function"))

# "auto", "low" and "high" are the API's; "original" is of GPT-5.4's, "xhigh" of Volcengine's, the others of Gemini's
# media_resolution, which relays write here.
DETAILS: Final = frozenset(("auto", "low", "high", "original", "xhigh", "medium", "ultra_high"))

# What the API, Anthropic's, Mistral's, Qwen's and Volcengine's chats have.
_KINDS = (
    "text",
    "image_url",
    "input_audio",
    "file",
    "refusal",
    "thinking",
    "redacted_thinking",
    "reasoning",
    "video_url",
    "audio_url",
    "file_url",
    "document_url",
    "input_text",
    "input_image",
    "input_file",
    "output_text",
    "image",
    "image_file",
    "video",
    "input_video",
    "audio",
    "output_image",
    "output_audio",
    "document",
    "tool_use",
    "tool_result",
    "reference",
)
_IMAGE_PATH = re.compile(
    rf"(?![a-z][a-z0-9+.-]+:)[^\n]{{1,1000}}\.(?:{IMAGE_ENDINGS}|svg)",
    re.IGNORECASE,
)
_AUDIO_PATH = re.compile(rf"(?![a-z][a-z0-9+.-]+:)[^\n]{{1,1000}}\.(?:{AUDIO_ENDINGS})", re.IGNORECASE)
_SCHEMES = frozenset(("https", "http:"))
_WEB_SCHEMES = frozenset(("https", "http"))
_BARE_HOST = re.compile(r"www\.[^\s/]+\.[^\s/]+", re.IGNORECASE)
_HEAD = 200
_DATA = re.compile(r"data:[a-z]+/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]{3}", re.IGNORECASE)
# str() of bytes, by itself or behind the start of a data URI.
_OF_BYTES = re.compile(r"""(?:\A|;base64,\s*)b['"]""")


def prepared_messages(messages: object) -> list[Any]:
    """Return messages that can be written; an answer's message goes back as the API wants to see it again.

    Its content goes back as it came (progress lines and links included, which
    relays need to go on editing: .github/WIRE.md, section 2.1), its tool calls with
    the fields that only the relay understands (Gemini's thought signatures: section
    3.3). What the model thought goes back beside tool calls, where Kimi, DeepSeek and
    OpenRouter ask for it, and nowhere else, since deepseek-reasoner rejects it. A
    plain dict is sent as the caller wrote it.

    Raises:
        ConfigError: There are no messages, text stands where a list of them belongs, or one is a mistake.

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
        raise ConfigError("messages is empty: write at least one message")
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
    # The API takes the id alone back, and not the data (.github/WIRE.md, section 1.4).
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
    # Gemini's thought signatures are among them (.github/WIRE.md, section 3.3, 9).
    return fields | call.extra


def _function_to_send(function: FunctionCall) -> dict[str, str]:
    # Templates of llama.cpp and vLLM read the arguments as a JSON object, and neither "" nor null is one.
    arguments = function.arguments if function.arguments.strip() not in {"", "null"} else "{}"
    return {"name": function.name, "arguments": arguments}


def is_row(value: object) -> TypeGuard[Iterable[Any]]:
    """Return whether something iterates over values; a file object, a path and a struct do not, for this purpose."""
    lone = hasattr(value, "read") or isinstance(value, os.PathLike | msgspec.Struct)
    return not lone and isinstance(value, Iterable)


def prepared(message: Any, number: int) -> Any:
    """Return a message that can be written: the caller's own object wherever it is written as the API wants it.

    Args:
        message: A dict, a ``Message``, a pydantic model or a dataclass of the same fields.
        number: Its place among the messages.

    Raises:
        ConfigError: It is a mistake; the message names the place.
    """
    kind = type(message)  # pyright: ignore[reportUnknownVariableType]  (it may be anything)
    if kind is dict:
        role, content = message.get("role"), message.get("content")
    elif kind is Message:
        role, content = message.role, message.content
    else:
        return _prepare_other(message, number)
    # ``type() is`` and not ``isinstance``: this is the way of every message, and subclasses are looked at behind it.
    if type(role) is not str or role not in ROLES:
        _check_role(message, role, number)
    if role == "tool" and (message.get("tool_call_id") if kind is dict else message.tool_call_id) is None:
        raise ConfigError(
            f"messages[{number}].tool_call_id is missing: a tool's result names the call it belongs to, "
            '"tool_call_id": call.id'
        )
    if kind is dict and (len(message) > 2 or content is None):  # noqa: PLR2004  (a role and a content are most)
        _check_names(message, number)
    if type(content) is str:
        return message
    if type(content) is list and content and all(map(_is_written, content)):  # pyright: ignore[reportUnknownArgumentType]
        return message
    made = _content(message, role, content, number)
    if made is content:
        return message
    return {**message, "content": made} if kind is dict else msgspec.structs.replace(message, content=made)


def _check_names(message: dict[str, Any], number: int) -> None:
    """Check what a message has beside its role and its content: relays ignore a field that is misspelt.

    Raises:
        ConfigError: The content itself is misspelt, or its calls are no list.
    """
    place = f"messages[{number}]"
    for name in message.keys() - _FIELDS:
        if not is_any(name, str) or (near := nearest(name, _FIELDS)) is None or near in message:
            continue
        if near == "content":
            raise ConfigError(f'{place} has no content, and {quoted(name)} in its place: write "content": …')
        warn(f"{place}.{name} is not a field that the API has, and is sent as it is; did you mean {near!r}?")
    if "content" not in message and message.get("role") in _NEEDS_CONTENT:
        for name in message.keys() & _IN_PLACE:
            warn(f'{place} has no content, and is sent with {name!r}; did you mean to write "content": …?')
    calls = message.get("tool_calls")
    if isinstance(calls, Mapping | str):
        raise ConfigError(f"{place}.tool_calls is {quoted(calls)}, and must be a list of calls")  # pyright: ignore[reportUnknownArgumentType]


# Source: the API's description 2.3.0, ChatCompletionRequestMessage and its kinds.
_FIELDS = frozenset(
    ("role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio", "function_call", "annotations")
)
# Where people put what a message says. "parts" is Gemini's, which relays may take.
_IN_PLACE = frozenset(("text", "message", "value", "prompt"))


def _prepare_other(message: Any, number: int) -> Any:
    """Return the plain form of a message that is neither a dict nor a struct of ours."""
    place = f"messages[{number}]"
    if is_mapping(message):
        return prepared(dict(message), number)
    if (fields := unpacked(message)) is not None:
        return prepared(fields, number)
    if isinstance(message, Answer | ChatChoice):
        raise ConfigError(f"{place} is {quoted(message)}, a whole answer: append its message, answer.message")
    if isinstance(message, ToolCall):
        raise ConfigError(f"{place} is a ToolCall: append the message that holds it, answer.message")
    if isinstance(message, TextPart | ImagePart | AudioPart | FilePart):
        raise ConfigError(
            f"{place} is a part of a message ({quoted(message)}): write user(part), which makes one of it"
        )
    if isinstance(message, msgspec.Struct):
        return message
    if isinstance(message, str):
        raise ConfigError(
            f'{place} is text, {quoted(message)}: write {{"role": "user", "content": …}}, or user("…") of tutuclient'
        )
    _reject_row(message, place)
    raise ConfigError(f'{place} is {quoted(message)}, and not a message: write {{"role": "user", "content": "…"}}')


def _reject_row(message: object, place: str) -> None:
    """Raise an error for a list in place of a message, such as a role and a text, and for what was not awaited."""
    if is_any(message, Awaitable):
        raise ConfigError(f"{place} is {quoted(message)}: was an await forgotten?")
    if _is_row(message):
        if len(message) == 2 and message[0] in ROLES:  # noqa: PLR2004  (a role and a text)
            raise ConfigError(f'{place} is {quoted(message)}: write {{"role": {message[0]!r}, "content": …}}')
        raise ConfigError(
            f"{place} is a {type(message).__name__}: messages is one list; join them, [*earlier, message]"
        )


def _is_row(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Return whether something has names and values."""
    return isinstance(value, Mapping)


def unpacked(value: Any) -> dict[str, Any] | None:
    """Return the fields of a pydantic model that are not None, or of a dataclass; None for everything else."""
    if isinstance(value, type):
        return None
    if is_pydantic(value):
        fields: dict[str, Any] = value.model_dump(mode="json", exclude_none=True, by_alias=True)
        # An answer's null beside its tool calls is wanted back by some.
        return fields | ({"content": None} if "content" in value.model_fields_set and "content" not in fields else {})
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def is_pydantic(value: object) -> bool:
    """Return whether something is a pydantic model, without importing pydantic."""
    kind = type(value)
    return hasattr(kind, "model_json_schema") and callable(getattr(kind, "model_dump", None))


def _check_role(message: Any, role: object, number: int) -> None:
    place = f"messages[{number}]"
    if role is None:
        if is_object(message) and isinstance(message.get("type"), str):
            raise ConfigError(
                f"{place} is a part of a message (type {quoted(message['type'])}): put it into the content of one, "
                '{"role": "user", "content": [part]}'
            )
        known = f"; it has {', '.join(map(str, message))}" if is_object(message) and message else ""
        raise ConfigError(
            f'{place} has no role{printable(known, 120)}: write "role": "user" (or system, assistant, tool)'
        )
    if not isinstance(role, str) or not role.strip():
        raise ConfigError(f'{place}.role is {quoted(role)}: write "user", "system", "assistant" or "tool"')
    if str.__str__(role) in ROLES:  # An Enum of texts.
        return
    if near := _near(role, ROLES):
        warn(f"{place}.role is {quoted(role)}, which no API knows; did you mean {near!r}? It is sent as it is")


def _near(word: str, known: Iterable[str]) -> str | None:
    found = difflib.get_close_matches(word.strip().lower().replace("-", "_").replace(" ", "_"), known, 1, 0.75)
    return found[0] if found else None


def _content(message: Any, role: str, content: Any, number: int) -> Any:
    """Return the content of a message as it can be written: the same object where it can be."""
    if content is None:
        _check_missing(message, role, number)
    if content is None or isinstance(content, str) or is_unset(content):  # The error for UNSET is the encoder's.
        return content
    if role == "tool" and not is_part(content) and is_any(content, Mapping, int, float):
        _reject(f"messages[{number}].content", content, "a result is text: write json.dumps(…) of it")
    parts: list[Any] = content if is_list(content) else _listed(content, f"messages[{number}].content")
    return _parts(parts, role, number) if parts else _empty(message, parts, number)


def _listed(content: Any, place: str) -> list[Any]:
    """Return what stands in place of a list of parts as one: a part by itself, or another row of parts."""
    if is_part(content):
        return [content]
    if is_binary(content):
        _reject(place, content, "text is written as str (.decode()), an image as image(…), and audio as audio(…)")
    if isinstance(content, Message | ChatMessage) or (is_mapping(content) and "role" in content):
        raise ConfigError(f"{place} is a message: put it into messages itself, or write its .content here")
    if is_mapping(content):
        _reject_untyped(place, content)
    if is_source(content):
        _reject(place, content, f"write user(…, part) with {_HOW_TO_SEND}")
    _reject_foreign(content, place)
    if (fields := unpacked(content)) is not None:
        return [fields]
    if isinstance(content, Iterable):
        return [*content]
    text = f', such as str(…) of it: "content": {str(content)!r}' if _has_text(content) else ': "content": "…"'
    return _reject(place, content, f"write text, or a list of parts{text}")


def _reject_foreign(content: object, place: str) -> None:
    """Raise an error for what can be iterated over and is not a list of parts."""
    if isinstance(content, Answer | ChatChoice):
        _reject(place, content, "write its .text")
    if is_any(content, Awaitable):
        _reject(place, content, "was an await forgotten?")
    if hasattr(content, "dtype"):
        _reject(place, content, "write text; an image is image(PIL.Image.fromarray(array))")
    if is_any(content, set, frozenset):
        _reject(place, content, "it has no order; write a list")


def _has_text(content: object) -> bool:
    """Return whether something is a number, a date or an id, whose text may be meant."""
    return isinstance(content, _SHORT) and not isinstance(content, bool) and str(content).lower() != "nan"


_SHORT = (int, float, Decimal, UUID, date)
_HOW_TO_SEND = "image(source) for an image, audio(source) for audio, file(source) for a document"


def _empty(message: Any, content: list[Any], number: int) -> list[Any]:
    """Return the empty content of a message that calls tools; anywhere else it is an error."""
    calls = message.get("tool_calls") if is_object(message) else message.tool_calls
    if calls:
        return content
    raise ConfigError(f'messages[{number}].content is an empty list: write text or parts, "content": "…"')


def _check_missing(message: Any, role: str, number: int) -> None:
    if role not in _NEEDS_CONTENT:
        return
    # What a relay of its own kind wants may stand in another field.
    if is_object(message) and role != "tool" and message.keys() - {"role", "content", "name"}:
        return
    what = "is None" if not is_object(message) or "content" in message else "is missing"
    raise ConfigError(f'messages[{number}].content {what}: the message of the {role} is empty; write "content": "…"')


def _parts(parts: list[Any], role: str, number: int) -> list[Any]:
    """Return the parts of a message as they can be written: the same list where all of them can be."""
    made = parts
    for place, part in enumerate(parts):
        if _is_written(part):
            continue
        # An answer goes back as it came, whatever the relay calls its parts.
        if role == "assistant" and is_object(part):
            continue
        new = _part(part, f"messages[{number}].content[{place}]")
        # Copied only here: the caller's list is never changed, and mostly sent as it is.
        if new is not part:
            made = [*parts] if made is parts else made
            made[place] = new
    return made


def _is_written(part: Any) -> bool:
    """Return whether a part is one of the two that most are, written as the API wants it."""
    kind = type(part)  # pyright: ignore[reportUnknownVariableType]  (it may be anything)
    if kind is dict:
        named = part.get("type")
        if type(named) is not str:
            return False
        if named == "text":
            return type(part.get("text")) is str
        image: Any = part.get("image_url") if named == "image_url" else None
        if not is_object(image) or len(part) > 2 or len(image) > 1 + ("detail" in image):  # noqa: PLR2004  (odd names)
            return False
        url, detail = image.get("url"), image.get("detail")
    elif kind is ImagePart:
        url, detail = part.image_url.url, part.image_url.detail
        if type(url) is Upload:
            return detail is None or (type(detail) is str and detail in DETAILS)
    else:
        return kind is TextPart and type(part.text) is str
    known = type(url) is str and (url[:5] in _SCHEMES or _DATA.match(url) is not None)
    return known and (detail is None or (type(detail) is str and detail in DETAILS))


def _part(part: Any, place: str) -> Any:
    """Return a part as it can be written: the same object where it can be."""
    if isinstance(part, str):
        return TextPart(str(part))
    if is_mapping(part):
        return _dict_part(part, place)
    if isinstance(part, msgspec.Struct):
        return _struct_part(part, place)
    if _is_row(part):
        raise ConfigError(f"{place} is a {type(part).__name__}: content is one list of parts")
    if is_binary(part) or is_source(part):
        _reject(place, part, f"write {_HOW_TO_SEND}")
    if (fields := unpacked(part)) is not None:
        return _dict_part(fields, place)
    return _reject(place, part, 'a part is text, image(…), audio(…), file(…), or a dict with a "type"')


def _struct_part(part: msgspec.Struct, place: str) -> msgspec.Struct:
    if isinstance(part, Message | ChatMessage | Answer):
        raise ConfigError(f"{place} is {quoted(part)}, where a part of a message belongs: put it into messages itself")
    if isinstance(part, TextPart) and not isinstance(part.text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
        _reject(f"{place}.text", part.text, "text is a str")
    if isinstance(part, ImagePart):
        image = _image_url(part.image_url, f"{place}.image_url")
        return part if image is part.image_url else ImagePart(image)
    return part


def _dict_part(part: Mapping[str, Any], place: str) -> Any:
    kind = part.get("type")
    if kind is None:
        if "role" in part:
            raise ConfigError(f"{place} is a message, where a part of one belongs: put it into messages itself")
        _reject_untyped(place, part)
    if not isinstance(kind, str) or not kind.strip():
        _reject(f"{place}.type", kind, 'write "text", "image_url", "input_audio" or "file"')
    if kind == "text":
        if not isinstance(part.get("text"), str):
            _reject_field(part, "text", place, 'write "text": "…"')
    elif kind == "image_url":
        return _image_part(part, place)
    elif kind == "input_audio":
        return _audio_part(part, place)
    elif kind == "file":
        _check_file(part, place)
    # A warning alone: relays have kinds of their own, such as video_url (.github/WIRE.md, section 2.1).
    elif kind not in _KINDS and (near := _near(kind, _KINDS)):
        warn(f"{place}.type is {quoted(kind)}; did you mean {near!r}? It is sent as it is")
    return part if is_object(part) else dict(part)


def _check_file(part: Mapping[str, Any], place: str) -> None:
    """Raise an error for a file that is empty, or is a path that the relay cannot open."""
    document: Any = part.get("file")
    if isinstance(document, FilePart | msgspec.Struct):
        return
    if not is_mapping(document):
        if document is None and part.keys() - {"type", "file"}:  # A relay's own spelling.
            return
        _reject_field(part, "file", place, "write the part file(source)")
    data = document.get("file_data")
    if is_any(data, bytes, bytearray, memoryview, os.PathLike) or callable(getattr(data, "read", None)):
        _reject(f"{place}.file.file_data", data, "write the part file(source)")
    if not document:
        raise ConfigError(f"{place}.file is empty: write the part file(source)")


def _image_part(part: Mapping[str, Any], place: str) -> Any:
    shown = part.get("image_url")
    if isinstance(shown, ImagePart):
        return _part(shown, place)
    if is_binary(shown) or is_source(shown):
        shown = {"url": shown}
    if not isinstance(shown, str | Mapping | ImageURL):
        _reject_field(part, "image_url", place, 'write "image_url": {"url": "https://…"}, or the part image(source)')
    image = _image_url(shown, f"{place}.image_url")
    if "detail" in part:
        warn(
            f"{place}.detail stands beside image_url, where no API looks; did you mean "
            '{"image_url": {"url": …, "detail": …}}?'
        )
    return part if image is part.get("image_url") and is_object(part) else {**part, "image_url": image}


def _image_url(image: Any, place: str) -> Any:
    """Check the address and the detail of an image; bytes become an upload, since JSON would have base64 of them."""
    if isinstance(image, str):
        _check_address(image, place)
        return image
    fields: Mapping[str, Any] = image if is_mapping(image) else {"url": image.url, "detail": image.detail}
    url, detail = fields.get("url"), fields.get("detail")
    if isinstance(url, str):
        _check_address(url, f"{place}.url")
    elif isinstance(url, ImagePart | ImageURL):
        url = url.image_url.url if isinstance(url, ImagePart) else url.url
    elif is_binary(url):
        url = Upload(url)
    elif not is_source(url):
        _reject_field(fields, "url", place, 'write "url": "https://…", or the part image(source)')
    for name in fields.keys() - _IMAGE_FIELDS:
        if (near := nearest(str(name), _IMAGE_FIELDS)) and near not in fields:
            warn(f"{place}.{name} is not a field that the API has, and is sent as it is; did you mean {near!r}?")
    if not is_unset(detail):
        check_detail(detail, f"{place}.detail")
    if url is fields.get("url"):
        return image
    return {**fields, "url": url} if is_mapping(image) else ImageURL(url, detail)


_IMAGE_FIELDS = frozenset(("url", "detail"))


def check_detail(detail: object, place: str) -> None:
    """Raise an error for a detail that no API knows: an image is billed by it.

    Raises:
        ConfigError: It is misspelt; the message names the place.
    """
    if detail is None or (isinstance(detail, str) and detail in DETAILS):
        return
    near = _near(detail, DETAILS) if isinstance(detail, str) else None
    hint = f"did you mean {near!r}? It" if near else "it"
    raise ConfigError(f'{place} is {quoted(detail)}: {hint} is "auto", "low" or "high", or left out')


def _check_address(url: str, place: str) -> None:
    if not url.strip():
        raise ConfigError(f"{place} is {quoted(url)}: write the address of an image, or the part image(source)")
    head = url[:_HEAD].strip()
    if _OF_BYTES.search(head):
        raise ConfigError(
            f"{place} is {quoted(url)}, the text of a bytes object: write .decode() in place of str(…), or the part "
            "image(source)"
        )
    # Not the whole address is searched: a data URI may have megabytes, and its comma stands near the beginning.
    comma = url.find(",")
    if head[:5].lower() == "data:" and (comma < 0 or not url[comma + 1 : comma + _HEAD].strip()):
        raise ConfigError(f"{place} is {quoted(url)}, a data URI without data: write the part image(source)")
    # A relay that cannot download the address, to count its tokens, answers 500 and hides why (.github/WIRE.md, section
    # 2.1): so the mistake is named here.
    if _BARE_HOST.match(head):
        raise ConfigError(f"{place} is {quoted(url)}: an address begins with https://")
    scheme, colon, _ = head.partition(":")
    if colon and scheme.lower() not in _WEB_SCHEMES and _near(scheme, _WEB_SCHEMES):
        raise ConfigError(f"{place} is {quoted(url)}: did you mean https://?")
    if len(url) <= 1000 and _IMAGE_PATH.fullmatch(url.strip()):  # noqa: PLR2004  (longer than any path; not all base64)
        raise ConfigError(
            f"{place} is {quoted(url)}, a path as text, which the relay cannot open: write the part "
            f"image({quoted(url)}), which sends the file"
        )


def _audio_part(part: Mapping[str, Any], place: str) -> Any:
    value: Any = part.get("input_audio")
    if isinstance(value, AudioPart):
        return value
    if not (is_mapping(value) or isinstance(value, InputAudio)):
        _reject_field(
            part,
            "input_audio",
            place,
            'write the part audio(source), or "input_audio": {"data": base64, "format": "wav"}',
        )
    fields: Mapping[str, Any] = {"data": value.data, "format": value.format} if isinstance(value, InputAudio) else value
    data: Any = fields.get("data")
    head = data[: _HEAD * 5].strip() if isinstance(data, str) else "…"
    if not head or _AUDIO_PATH.fullmatch(head) or _OF_BYTES.search(head):
        _reject(f"{place}.input_audio.data", data, "write the part audio(source), or base64 of the audio")
    if isinstance(data, str | bytes | bytearray | memoryview | Upload):
        return part if is_object(part) else dict(part)
    if data is None:
        _reject_field(fields, "data", f"{place}.input_audio", "write the part audio(source)")
    if not is_source(data):
        _reject(f"{place}.input_audio.data", data, "write the part audio(source)")
    return audio(data, format=fields.get("format"))


def is_part(value: object) -> TypeGuard[Any]:
    """Return whether something is a part of a message by itself."""
    if isinstance(value, TextPart | ImagePart | AudioPart | FilePart):
        return True
    return is_mapping(value) and isinstance(value.get("type"), str)


def is_source(value: object) -> bool:
    """Return whether something can stand for an image, audio or a file, text aside."""
    if isinstance(value, Upload | Recording | Document | os.PathLike) or callable(getattr(value, "read", None)):
        return True
    return type(value).__module__.startswith("PIL.")


def _reject_field(fields: Mapping[str, Any], name: str, place: str, advice: str) -> NoReturn:
    if name in fields:
        _reject(f"{place}.{name}", fields[name], advice)
    raise ConfigError(f"{place} has no {name!r}: {advice}")


def _reject_untyped(place: str, part: Mapping[str, Any]) -> NoReturn:
    names = [str(name) for name in part]
    kind = next((name for name in names if name in _KINDS), None)
    advice = (
        f'write {{"type": "{kind}", "{kind}": …}}' if kind else 'a part is {"type": "text", "text": "…"} or image(…)'
    )
    holds = printable(", ".join(names), 80) or "nothing in it"
    raise ConfigError(f'{place} is a dict without a "type" (it has {holds}): {advice}')


def _reject(place: str, value: object, advice: str) -> NoReturn:
    raise ConfigError(f"{place} is {quoted(value)}: {advice}")
