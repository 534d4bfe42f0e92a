"""Odd answers brought into the shape of the API: what fits is kept, and what does not decides over nothing else."""

from __future__ import annotations

import binascii
import json
import math
import types
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from tutuclient.types.answer import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def mend_choices(tree: dict[str, Any], part: str) -> dict[str, Any]:
    """Bring the choices of an odd answer into the shape of the API; ``part`` is "message" or "delta"."""
    mended = {name.lower(): value for name, value in tree.items()} | tree
    choices = mended.get("choices")
    kept = [choice for choice in choices if is_object(choice)] if is_list(choices) else []
    mended["choices"] = [choice | {part: _mend_message(choice, part)} for choice in kept]
    return mended


def _mend_message(choice: dict[str, Any], part: str) -> dict[str, Any]:
    other = "delta" if part == "message" else "message"
    found = next((said for name in (part, other) if is_object(said := choice.get(name)) and said), None)
    if found is None:
        return {"content": choice["text"]} if isinstance(choice.get("text"), str) else {}
    message = dict(found)
    content = message.get("content")
    if is_object(content):
        content = [content]
    if is_list(content):
        message["parts"] = content
        message["content"] = "".join(_text_of_part(item) for item in content)
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), dict | list):
            del message[name]
    calls = message.get("tool_calls")
    if is_list(calls):
        message["tool_calls"] = [_mend_call(call) for call in calls if is_object(call)]
    elif is_object(calls):
        message["tool_calls"] = [_mend_call(calls)]
    if is_object(message.get("function_call")):
        message["function_call"] = _mend_function(message["function_call"])
    return message


def _text_of_part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if is_object(part) and part.get("type") in (None, "", "text", "output_text"):
        text = part.get("text")
        if is_object(text):
            text = text.get("value")
        return text if isinstance(text, str) else ""
    return ""


def mend_texts(tree: dict[str, Any]) -> dict[str, Any]:
    """Bring an odd legacy completion into the shape of the API; some relays answer it as a chat."""
    mended = mend_choices(tree, "message")
    mended["choices"] = [
        choice | {"text": choice["text"] if isinstance(choice.get("text"), str) else choice["message"].get("content")}
        for choice in mended["choices"]
    ]
    return mended


def dicts(value: object) -> list[dict[str, Any]]:
    """Give the objects of a list, and [] for what is none."""
    items = value if is_list(value) else []
    return [item for item in items if is_object(item)]


def _mend_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    return call | {"function": _mend_function(function)} if is_object(function) else call


def _mend_function(function: dict[str, Any]) -> dict[str, Any]:
    arguments = function.get("arguments")
    if is_object(arguments) or is_list(arguments):
        return function | {"arguments": written(arguments)}
    return function


def written(value: object) -> str:
    """Give text as it is, and anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_SKIP = object()
_hints: dict[type, list[tuple[str, str, Any]]] = {}

S = TypeVar("S", bound=msgspec.Struct)


def fit_struct(tree: Mapping[str, Any], cls: type[S]) -> S:
    """Make a struct of whatever fits; a field that cannot be read keeps its default, and decides over no other."""
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
