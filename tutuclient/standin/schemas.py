"""Values that fit a JSON schema, filled with a prompt's words: answers in ``json_schema``, and arguments of calls.

It knows the part of JSON Schema that strict schemas use, and some more: types, ``enum``, ``const``, ``anyOf``,
``allOf``, ``$ref``, bounds. Recursive schemas end as soon as they may. The same schema and prompt give the same value.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from tutuclient.standin.words import Words
from tutuclient.testing import lenient

UNKNOWN = "unknown"
"""A text for which the prompt has no words left."""

_DEEPEST = 6  # Beyond it, only what is required is built.
_BOTTOM, _MOST_VALUES = 64, 2000  # Where a schema that requires itself ends all the same, with a null.
_MOST_ITEMS, _MOST_CHARACTERS = 1000, 10_000
_WHOLE_PROMPT = re.compile(
    r"text|prompt|query|question|message|content|description|summary|reason|explanation|answer|note|comment|thought",
    re.IGNORECASE,
)
_DATED = re.compile(r"date|day|when|deadline|日期|时间", re.IGNORECASE)
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "email": "stand-in@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "duration": "PT1S",
}


def fill(schema: Mapping[str, Any], words: Words) -> Any:
    """Build a value that fits a schema, its ``$defs`` within, of the prompt's words; each is used once."""
    return _Filler(schema, words).value(schema, "", 0)


def strict_error(schema: object, where: tuple[str, ...] = ()) -> str | None:
    """Return what is wrong with a schema that was called strict, in OpenAI's words; None when nothing is.

    Every object has to close itself (``additionalProperties: false``) and to require all its properties.
    """
    node = lenient.mapping(schema)
    context = f"In context=({', '.join(repr(step) for step in where)}{',' if len(where) == 1 else ''})"
    if "properties" in node or "object" in lenient.strings(node.get("type")):
        if node.get("additionalProperties") is not False:
            return f"{context}, 'additionalProperties' is required to be supplied and to be false."
        properties = lenient.mapping(node.get("properties"))
        missing = [name for name in properties if name not in lenient.strings(node.get("required"))]
        if missing:
            return (
                f"{context}, 'required' is required to be supplied and to be an array including every key in "
                f"properties. Missing '{missing[0]}'."
            )
    for step in ("properties", "$defs", "definitions"):
        for name, inner in lenient.mapping(node.get(step)).items():
            if (found := strict_error(inner, (*where, step, name))) is not None:
                return found
    for place, inner in enumerate(lenient.objects(node.get("anyOf"))):
        if (found := strict_error(inner, (*where, "anyOf", str(place)))) is not None:
            return found
    return strict_error(node["items"], (*where, "items")) if isinstance(node.get("items"), dict) else None


class _Filler:
    """One filling: the schema whose ``$ref`` are looked up, and the words that are left."""

    def __init__(self, root: Mapping[str, Any], words: Words) -> None:
        self._root = root
        self._words = words
        self._made = 0

    def value(self, schema: object, key: str, depth: int) -> Any:
        self._made += 1
        # A client sent the schema, and it may require itself, or a million items: the server must come to an end.
        if depth > _BOTTOM or self._made > _MOST_VALUES:
            return None
        node = self._resolved(lenient.mapping(schema))
        choices = [node["const"]] if "const" in node else lenient.array(node.get("enum"))
        if choices:
            return next((each for each in choices if self._words.mentions(str(each))), choices[0])
        branches = lenient.objects(node.get("anyOf")) or lenient.objects(node.get("oneOf"))
        if branches:
            return self.value(self._branch(branches, key, depth), key, depth + 1)
        kinds, kind = lenient.strings(node.get("type")), _kind(node)
        if kind in {"object", None} and ("properties" in node or kind):
            return self._object(node, depth)
        if depth > _DEEPEST and "null" in kinds:
            return None
        return self._plain(kind, node, key, depth)

    def _plain(self, kind: str | None, node: Mapping[str, Any], key: str, depth: int) -> Any:
        match kind:
            case "array":
                return self._array(node, key, depth)
            case "integer" | "number":
                return self._number(node, key, whole=kind == "integer")
            case "boolean":
                return self._boolean(key)
            case "null":
                return None
            case _:
                return self._text(node, key)

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        """Resolve ``$ref`` within the schema and merge ``allOf``."""
        # References may form a circle.
        for _ in range(16):
            reference = node.get("$ref")
            if not isinstance(reference, str) or not reference.startswith("#"):
                break
            found: Any = self._root
            for step in reference.split("/")[1:]:
                found = lenient.mapping(found).get(step.replace("~1", "/").replace("~0", "~"))
            node = {**lenient.mapping(found), **{name: value for name, value in node.items() if name != "$ref"}}
        for part in lenient.objects(node.get("allOf")):
            inner = self._resolved(part)
            properties = {**lenient.mapping(node.get("properties")), **lenient.mapping(inner.get("properties"))}
            required = [*lenient.strings(node.get("required")), *lenient.strings(inner.get("required"))]
            node = {**inner, **node, **({"properties": properties, "required": required} if properties else {})}
        return node

    def _branch(self, branches: list[dict[str, Any]], key: str, depth: int) -> dict[str, Any]:
        """Choose among alternatives: the one the prompt mentions, else the first that is not null."""
        resolved = [self._resolved(branch) for branch in branches]
        nulls = [branch for branch in resolved if _kind(branch) == "null"]
        recursive = any("$ref" in branch for branch in branches)
        if nulls and (depth > _DEEPEST or (recursive and not self._words.left)):
            return nulls[0]
        solid = [branch for branch in resolved if _kind(branch) != "null"] or resolved
        for branch in solid:
            tags = [
                str(lenient.mapping(each).get("const", ""))
                for each in lenient.mapping(branch.get("properties")).values()
            ]
            if any(tag and self._words.mentions(tag) for tag in tags):
                return branch
        if not self._words.names and self._words.numbers and self._words.value_of(key or "\0") is None:
            return next((branch for branch in solid if _kind(branch) in {"integer", "number"}), solid[0])
        return solid[0]

    def _object(self, node: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = lenient.mapping(node.get("properties"))
        required = lenient.strings(node.get("required"))
        names = [name for name in properties if name in required or depth < _DEEPEST]
        made = {name: self.value(properties[name], name, depth + 1) for name in names}
        extra = lenient.mapping(node.get("additionalProperties"))
        if not properties and extra and depth < _DEEPEST and (name := self._words.take_name()):
            made[name] = self.value(extra, name, depth + 1)
        return made

    def _array(self, node: Mapping[str, Any], key: str, depth: int) -> list[Any]:
        fixed = lenient.array(node.get("prefixItems"))
        if fixed:
            return [self.value(each, key, depth + 1) for each in fixed]
        item = self._resolved(lenient.mapping(node.get("items")))
        least = lenient.integer(node.get("minItems")) or 0
        most = lenient.integer(node.get("maxItems"))
        if depth > _DEEPEST:
            number = least
        elif mentioned := [each for each in lenient.array(item.get("enum")) if self._words.mentions(str(each))]:
            return mentioned[:most]
        else:
            number = max(least, self._supply(item))
        number = min(number, _MOST_ITEMS if most is None else most)
        return [self.value(item, key, depth + 1) for _ in range(number)]

    def _supply(self, item: Mapping[str, Any]) -> int:
        """Return how many items the words that are left would fill."""
        kind = _kind(item) or "string"
        if kind in {"integer", "number"}:
            return len(self._words.numbers)
        if kind == "object":
            kinds = [self._resolved(lenient.mapping(each)) for each in lenient.mapping(item.get("properties")).values()]
            texts = sum(_kind(each) == "string" and "enum" not in each for each in kinds)
            numbers = sum(_kind(each) in {"integer", "number"} for each in kinds)
            left = [len(self._words.names) // texts] if texts else []
            left += [len(self._words.numbers) // numbers] if numbers else []
            return max(1, min(left, default=1)) if self._words.left else 0
        return len(self._words.names) if kind == "string" else 1

    def _number(self, node: Mapping[str, Any], key: str, *, whole: bool) -> float:
        words = self._words
        value = words.number_near(key) if key else None
        value = value if value is not None else words.take_number()
        low, high = (_bound(node, "minimum", 1, whole=whole), _bound(node, "maximum", -1, whole=whole))
        step = node.get("multipleOf")
        value = value if value is not None else (low if low is not None else 0)
        value = value if low is None else max(value, low)
        value = value if high is None else min(value, high)
        # A tiny step overflows to infinity.
        if isinstance(step, (int, float)) and step > 0 and math.isfinite(value / step):
            value = math.floor(value / step) * step
            value = value + step if low is not None and value < low else value
        return round(value) if whole else value

    def _boolean(self, key: str) -> bool:
        value = self._words.value_of(key)
        if value is not None:
            return value.lower() in {"true", "yes", "on", "1", "是"}
        spelt = " ".join(re.findall(r"[A-Za-z]+", key)).lower().removeprefix("is ").removeprefix("has ")
        text = self._words.text.lower().replace("_", " ")
        return (
            bool(spelt)
            and spelt in text
            and re.search(rf"\b(?:not?|without|never)\s+(?:\w+\s+)?{re.escape(spelt)}", text) is None
        )

    def _text(self, node: Mapping[str, Any], key: str) -> str:
        words, kind, pattern = self._words, str(node.get("format", "")), node.get("pattern")
        value = words.value_of(key) if key else None
        if words.dates and (kind in {"date", "date-time"} or (value is None and _DATED.search(key))):
            value = words.dates.pop(0)
            if kind:
                value = value[:10] if kind == "date" else value if "T" in value else f"{value[:10]}T00:00:00Z"
        elif kind in {"email", "uri"} and (
            links := [each for each in words.links if ("@" in each) is (kind == "email")]
        ):
            value = links[0]
        elif kind in _FORMATS:
            value = _FORMATS[kind]
        if isinstance(pattern, str) and not _fits(pattern, value):
            value = next((each for each in re.split(r"[\s,;，。]+", words.text) if _fits(pattern, each)), value)
        if value is None and _WHOLE_PROMPT.search(key) and not words.names:
            value = words.text
        value = value if value is not None else words.take_name()
        value = value if value is not None else (words.dates.pop(0) if words.dates else UNKNOWN)
        most, least = lenient.integer(node.get("maxLength")), lenient.integer(node.get("minLength")) or 0
        return (value if most is None else value[:most]).ljust(min(least, _MOST_CHARACTERS), ".")


def _kind(node: Mapping[str, Any]) -> str | None:
    """Return the type that a value has to have, of several the first that is not null; None when any will do."""
    kinds = lenient.strings(node.get("type"))
    return next((each for each in kinds if each != "null"), kinds[0] if kinds else None)


def _bound(node: Mapping[str, Any], name: str, inward: int, *, whole: bool) -> float | None:
    """Read a bound; an exclusive one is moved inward, by one for whole numbers."""
    plain, exclusive = node.get(name), node.get(f"exclusive{name.capitalize()}")
    if isinstance(exclusive, (int, float)) and lenient.number(exclusive) is not None:
        return exclusive + inward * (1 if whole else 1e-6)
    return plain if isinstance(plain, (int, float)) and lenient.number(plain) is not None else None


def _fits(pattern: str, value: str | None) -> bool:
    try:
        return value is not None and re.search(pattern, value) is not None
    except re.error:
        return True
