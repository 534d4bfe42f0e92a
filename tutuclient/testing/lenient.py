"""What a request gave, read by the shape that is hoped for: JSON promises nothing, so neither do its readers' callers.

Each function takes whatever came and gives back the shape asked for, empty or None when it was another.
"""

import math
from collections.abc import Mapping
from typing import Any, cast

_LONGEST_NUMBER = 20  # Characters.


def mapping(value: object) -> dict[str, Any]:
    """Take an object; anything else is an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def array(value: object) -> list[Any]:
    """Take an array; anything else is an empty one."""
    return cast("list[object]", value) if isinstance(value, list) else []


def objects(value: object) -> list[dict[str, Any]]:
    """Take the objects of an array, leaving out what is none."""
    return [cast("dict[str, Any]", each) for each in array(value) if isinstance(each, dict)]


def strings(value: object) -> list[str]:
    """Take one text, or the texts of an array, as a list."""
    return [value] if isinstance(value, str) else [each for each in array(value) if isinstance(each, str)]


def integer(value: object) -> int | None:
    """Take a whole number, also one that a form has spelt; True and False are none."""
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and value.strip().lstrip("-").isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: object) -> float | None:
    """Take a finite number, also one that a form has spelt; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def flag(value: object) -> bool:
    """Take a yes, also one that a form has spelt."""
    return value is True or (isinstance(value, str) and value.lower() in {"true", "1"})


def text_of(message: Mapping[str, Any]) -> str:
    """Join the texts of a message, whose content may be a text or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in objects(content) if isinstance(part.get("text"), str))
