"""Odd answers brought into the shape of the API: what fits is kept, and what does not decides over nothing else."""

from __future__ import annotations

import json
import math
import types
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def mend_choices(tree: dict[str, Any], part: str) -> dict[str, Any]:
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
        return function | {"arguments": written(arguments)}
    return function


def written(value: object) -> str:
    """Give text as it is, and anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_SKIP = object()
_hints: dict[type, dict[str, Any]] = {}

S = TypeVar("S", bound=msgspec.Struct)


def fit_struct(tree: Mapping[str, Any], cls: type[S]) -> S:
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


_FITS: dict[Any, Callable[[Any], Any]] = {
    str: _fit_text,
    int: _fit_whole,
    float: _fit_real,
    bool: lambda value: value if isinstance(value, bool) else _SKIP,
    type(None): lambda value: None if value is None else _SKIP,
}
