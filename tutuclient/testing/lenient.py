"""Readers of decoded JSON whose shape is not known.

Each function takes any value and returns the type that is asked for: an empty one, or None, when the value is another.
"""

import math
from collections.abc import Mapping
from typing import Any, cast

_LONGEST_NUMBER = 20  # Characters.


def mapping(value: object) -> dict[str, Any]:
    """Return an object; anything else becomes an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def array(value: object) -> list[Any]:
    """Return an array; anything else becomes an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects of an array, without its other items."""
    return [cast("dict[str, Any]", each) for each in array(value) if isinstance(each, dict)]


def strings(value: object) -> list[str]:
    """Return one text, or the texts of an array, as a list."""
    return [value] if isinstance(value, str) else [each for each in array(value) if isinstance(each, str)]


def integer(value: object) -> int | None:
    """Return a whole number, also from a form's text; None for all else, True and False included."""
    # Python raises a ValueError for more than 4300 digits (sys.set_int_max_str_digits).
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and value.strip().lstrip("-").isdecimal():
        return int(value)
    # In Python True is 1; in JSON it is not.
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: object) -> float | None:
    """Return a finite number, also from a form's text; None for all else, True and False included."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def flag(value: object) -> bool:
    """Return whether a value is true, also as a form's text."""
    return value is True or (isinstance(value, str) and value.lower() in {"true", "1"})


def text_of(message: Mapping[str, Any]) -> str:
    """Join the texts of a message, whose content may be a text or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in objects(content) if isinstance(part.get("text"), str))
