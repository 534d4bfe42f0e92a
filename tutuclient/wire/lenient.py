"""Odd answers normalized to the shape of the API: what fits is kept, and what does not spoils nothing else.

Source: .github/WIRE.md, section 5, unless another stands beside a function.
"""

from __future__ import annotations

import binascii
import json
import math
import re
import types
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from tutuclient.types.chat import THOUGHT_PARTS, thoughts_of
from tutuclient.types.json import is_list, is_object, value_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


_MOST_PLACES = 100
_DEEPEST_NAMES = 8
_INNER_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_IN_PLACE_OF_TEXT = ("output", "response", "answer", "generated_text", "output_text")
_MOST_PARTS = 100_000
_CAPITAL = re.compile(r"(?<![A-Z])[A-Z]")
_TEXT_PARTS = (None, "", "text", "output_text")
# Parts that may have a text which is not the answer's.
_NO_TEXT_KIND = re.compile(r"reason|think|thought|tool|function|image|audio|video|file|error|refusal", re.IGNORECASE)


class OddTextError(ValueError):
    """Something that is not text stands where an answer's text belongs, and would be lost."""


def normalize_choices(tree: dict[str, Any], part: str) -> dict[str, Any]:
    """Normalize the choices of an answer; ``part`` is "message" or "delta".

    Raises:
        OddTextError: Something that cannot be read stands where the text belongs.
    """
    # Tencent writes "Choices", and relays in Go pass it on: their decoders do not mind the case (.github/WIRE.md,
    # section 5, "key case").
    normalized = {name.lower(): value for name, value in _in_lower_case(tree).items()} | tree
    choices = normalized.get("choices")
    kept = [_in_lower_case(choice) for choice in choices if is_object(choice)] if is_list(choices) else []
    # null and [] are frames of their own: Azure's first, new-api's last with the usage, and those it has emptied
    # (.github/WIRE.md, sections 3.3 and 3.5).
    if part == "delta" and not kept and (any(choices) if is_list(choices) else choices):
        raise OddTextError(f"choices that are {_kind(choices)}")
    normalized["choices"] = [_normalize_choice(choice, part) for choice in kept]
    return normalized


def _in_lower_case(value: Any, depth: int = _DEEPEST_NAMES) -> Any:
    """Return JSON with names such as ``FinishReason`` as the API writes them; others are kept as they are.

    Source: Tencent's own form of an answer, {"Response": {"Choices": [{"Message": {"Content": …}}]}}.
    """
    if is_list(value) and depth:
        return [_in_lower_case(item, depth - 1) for item in value]
    if not is_object(value) or not depth or not any(name[:1].isupper() for name in value):
        return value
    lower: dict[str, Any] = {}
    for name, item in value.items():
        if name[:1].isupper():
            known = _INNER_CAPITAL.sub("_", name).lower()
            # The arguments of a tool have names of their own.
            lower[known] = item if known in {"arguments", "input"} else _in_lower_case(item, depth - 1)
    return lower | {name: item for name, item in value.items() if not name[:1].isupper()}


def _in_snake_case(tree: dict[str, Any]) -> dict[str, Any]:
    """Add the API's names to an object that has others, such as ``finishReason``."""
    if not any(map(_CAPITAL.search, tree)):
        return tree
    return {_CAPITAL.sub(r"_\g<0>", name).lstrip("_").lower(): value for name, value in tree.items()} | tree


def _normalize_choice(choice: dict[str, Any], part: str) -> dict[str, Any]:
    choice = _in_snake_case(choice)
    message, delta = _normalize_message(choice, "message"), _normalize_message(choice, "delta")
    odd = next((name for name in _IN_PLACE_OF_TEXT if choice.get(name)), None)
    if odd and not (message or delta or choice.get("text") or choice.get("content")):
        raise OddTextError(f"a choice that has {odd!r} and no message")
    text = choice.get("text") or choice.get("content")
    if text is True or (text and not isinstance(text, str | int | float)):
        raise OddTextError(f"a text that is {_kind(text)}")
    # A text beside the message, or in its place, as the old completions endpoint has it (.github/WIRE.md, section 5,
    # "message").
    beside = {} if text in (None, False) else {"content": text}
    if part == "message":
        found = next((each for each in (message, delta) if _has_content(each)), message or delta)
        return choice | {"message": found if _has_content(found) else found | beside}
    # A whole message stays one, apart from the delta: it may repeat what has come, and so may a text (section 3.3, 12).
    message = message or beside
    return choice | {"delta": delta} | ({"message": message} if message else {})


def _has_content(message: dict[str, Any]) -> bool:
    return any(value for name, value in message.items() if name != "role")


def _normalize_message(choice: dict[str, Any], part: str) -> dict[str, Any]:
    found = choice.get(part)
    if not found:
        return {}
    if not is_object(found):
        raise OddTextError(f"a {part} that is {_kind(found)}")
    message = dict(_in_snake_case(found))
    if not message.get("content") and isinstance(message.get("text"), str):
        message["content"] = message["text"]
    _normalize_content(message)
    for name in ("reasoning_content", "reasoning", "reasoning_text"):
        if is_list(message.get(name)):
            del message[name]
        elif is_object(message.get(name)):
            message[name] = thoughts_of(message[name]) or None
    calls = message.get("tool_calls")
    if is_list(calls):
        message["tool_calls"] = [_normalize_call(call) for call in calls if is_object(call)]
    elif is_object(calls):
        message["tool_calls"] = [_normalize_call(calls)]
    if is_object(message.get("function_call")):
        message["function_call"] = _normalize_function(message["function_call"])
    return message


def _normalize_content(message: dict[str, Any]) -> None:
    content = message.get("content")
    if is_object(content):
        if content and not (isinstance(content.get("type"), str) or "text" in content):
            raise OddTextError("a content that is an object")
        content = [content] if content else None
        message["content"] = content
    if is_list(content):
        if len(content) > _MOST_PARTS:
            raise OddTextError(f"a content of more than {_MOST_PARTS:,} parts")
        # Kept as they came beside the text: an image edit needs the earlier content verbatim (.github/WIRE.md, section
        # 2.1).
        message["parts"] = content
        message["content"] = "".join(_text_of_part(item) for item in content)
    elif content is True:
        raise OddTextError("a content that is true")


def _text_of_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if part is None:
        return ""
    if not is_object(part):
        raise OddTextError(f"a part of the content that is {_kind(part)}")
    kind = part.get("type")
    if kind not in _TEXT_PARTS and (not isinstance(kind, str) or kind in THOUGHT_PARTS or _NO_TEXT_KIND.search(kind)):
        return ""
    text = part.get("text")
    if text is None and kind in _TEXT_PARTS:
        text = part.get("content", part.get("value"))
    if is_object(text):
        text = text.get("value")
    if text is None or isinstance(text, str):
        return text or ""
    raise OddTextError(f"a part of the content whose text is {_kind(text)}")


def _kind(value: object) -> str:
    """Return the kind of a JSON value, for an error."""
    if isinstance(value, bool):
        return str(value).lower()
    kinds: tuple[tuple[type, str], ...] = ((str, "a text"), (list, "a list"), (dict, "an object"))
    return next((words for kind, words in kinds if isinstance(value, kind)), "a number")


def normalize_texts(tree: dict[str, Any]) -> dict[str, Any]:
    """Normalize a legacy completion; some relays answer it as a chat.

    Raises:
        OddTextError: As ``normalize_choices`` does.
    """
    normalized = normalize_choices(tree, "message")
    normalized["choices"] = [
        choice | {"text": text if (text := choice.get("text")) else choice["message"].get("content")}
        for choice in normalized["choices"]
    ]
    return normalized


def find_usage(tree: Mapping[str, Any]) -> tuple[str | int, ...] | None:
    """Return where an answer's JSON counts tokens, its usual place first; None where it does not.

    Sources: ``choices[0].usage`` (Moonshot: pi#2017), ``x_groq.usage`` (Groq), litellm#1571.
    """
    places: list[tuple[str | int, ...]] = [("usage",), ("x_groq", "usage"), ("token_usage",), ("Usage",)]
    places += [(outer, "usage") for outer in ("metadata", "meta")]
    choices = tree.get("choices")
    for number, choice in enumerate(choices[:_MOST_PLACES] if is_list(choices) else []):
        if is_object(choice):
            places += [("choices", number, "usage")]
            places += [("choices", number, part, "usage") for part in ("message", "delta") if choice.get(part)]
    return next((place for place in places if _counts(value_at(tree, place))), None)


def _counts(usage: Any) -> bool:
    return is_object(usage) and any(
        isinstance(number, int | float | str) and number not in (0, "", "0")
        for name, number in usage.items()
        if name.endswith("_tokens")
    )


def objects_in(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list, and [] for what is not a list."""
    items = value if is_list(value) else []
    return [item for item in items if is_object(item)]


def _normalize_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    if is_object(function):
        return call | {"function": _normalize_function(function)}
    # Without the function around them, or with its name alone.
    flat: dict[str, Any] = {name: call[name] for name in ("name", "arguments") if call.get(name) is not None}
    if isinstance(function, str):
        flat.setdefault("name", function)
    if not flat or is_object(call.get("custom")):
        return call
    return {name: value for name, value in call.items() if name not in flat} | {"function": _normalize_function(flat)}


def _normalize_function(function: dict[str, Any]) -> dict[str, Any]:
    # They may be JSON itself in place of its text (.github/WIRE.md, section 3.3, 8).
    arguments = function.get("arguments")
    if is_object(arguments) or is_list(arguments):
        return function | {"arguments": as_text(arguments)}
    return function


def as_text(value: object) -> str:
    """Return text as it is, and anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_SKIP = object()
_hints: dict[type, list[tuple[str, str, Any]]] = {}

S = TypeVar("S", bound=msgspec.Struct)


def fit_struct(tree: Mapping[str, Any], cls: type[S]) -> S:
    """Return a struct of whatever fits; a field that cannot be read keeps its default, and spoils no other."""
    if cls not in _hints:
        hints = get_type_hints(cls)
        names = zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True)
        _hints[cls] = [(name, key, hints[name]) for name, key in names]
    fitted = {name: _fit(tree[key], hint) for name, key, hint in _hints[cls] if key in tree}
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
    elif origin is list and is_list(value):
        fit = [fit for item in value if (fit := _fit(item, kinds[0])) is not _SKIP]
    elif origin is dict and is_object(value):
        fit = value
    elif isinstance(hint, type) and issubclass(hint, msgspec.Struct) and is_object(value):
        fit = fit_struct(value, hint)
    return fit


def _fit_text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else _SKIP


def _fit_whole(value: Any) -> Any:
    if isinstance(value, bool):
        return _SKIP
    try:
        # Whole numbers come as text and with a fraction of zero (.github/WIRE.md, section 5).
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


def _fit_bytes(value: Any) -> Any:
    try:
        return binascii.a2b_base64(value, strict_mode=True) if isinstance(value, str) else _SKIP
    except ValueError:
        return _SKIP


_FITS: dict[Any, Callable[[Any], Any]] = {
    str: _fit_text,
    int: _fit_whole,
    float: _fit_real,
    bytes: _fit_bytes,
    bool: lambda value: value if isinstance(value, bool) else _SKIP,
    type(None): lambda value: None if value is None else _SKIP,
}
