"""Keywords of a call: there is a warning for one that is misspelt, and none for one that a relay may have of its own.

Keywords that are no field of the API go into the body as they are, since relays
have fields of their own. So ``temprature=0`` is sent, ignored and billed. Where a
keyword is nearly a field that the endpoint has, a ``RequestWarning`` names it;
``extra_body=`` says that it is meant.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Final, cast, get_origin

from tutuclient.diagnostics import quoted, warn
from tutuclient.errors import ConfigError
from tutuclient.settings import UNSET, Changes, Options

if TYPE_CHECKING:
    from collections.abc import Iterable

_CALL = frozenset(("extra_body", "extra_headers", "extra_query", "timeout"))

# Settings of the client, and names that openai and requests have for one of ours, each with what to write instead.
_SETTINGS: Final = (
    {name: f"TutuClient({name}=…)" for name in Options.__annotations__}
    | {name: f"with_options({name}=…)" for name in ("api_key", *Changes.__annotations__)}
    | {
        "base_url": "TutuClient(base_url=…)",
        "default_headers": "extra_headers=",
        "default_query": "extra_query=",
        "headers": "extra_headers=",
        "http_client": "TutuClient(proxy=…, verify=…)",
        "proxies": "TutuClient(proxy=…)",
        "request_timeout": "timeout=",
    }
)

# Fields that relays and servers have, and that are near to one of the API's. Sources: vLLM, SGLang, llama.cpp and
# Ollama ("OpenAI-compatible server", extra parameters), DashScope, SiliconFlow, Volcengine, Gemini and new-api.
_RELAYS_OWN: Final = frozenset(
    (
        "image",
        "images",
        "input",
        "max_length",
        "max_new_tokens",
        "min_p",
        "min_tokens",
        "mode",
        "name",
        "prompts",
        "sizes",
        "speed",
        "step",
        "steps",
        "tone",
        "top_a",
        "top_k",
        "top_n",
        "user_id",
        "voice",
    )
)


def is_any(value: object, *kinds: type) -> bool:
    """Return whether something is of one of these types; to type checkers it stays what it was."""
    return isinstance(value, kinds)


def names(fields: type[Any], *more: str) -> frozenset[str]:
    """Return the keywords of an endpoint: the fields of its ``TypedDict``, its arguments and those of every call."""
    return frozenset((*fields.__annotations__, *more)) | _CALL


def check_keywords(written: Iterable[str], known: frozenset[str], call: str) -> None:
    """Warn of keywords that are nearly fields of an endpoint.

    Args:
        written: The names of the keywords that the endpoint does not take as arguments.
        known: What ``names`` returns for the endpoint.
        call: How the call is written, for the message.
    """
    if not written:
        return
    for name in written:
        if name not in known:
            _check(name, known, frozenset(written), call)
    if isinstance(written, dict):
        fields = cast("dict[str, object]", written)
        for name, value in fields.items():
            kind = type(value)
            if kind in _PLAIN or (kind is str and name not in _NUMBERS):
                continue
            if name in _NUMBERS or name in known:
                _check_value(name, value)
        if "tool_choice" in fields:
            _check_choice(fields["tool_choice"], fields.get("tools"))


_PLAIN = frozenset((int, float, bool, type(None)))


def _check_value(name: str, value: Any) -> None:
    """Raise an error for a value that a field of the API cannot have: relays take it for something else, and bill that.

    Raises:
        ConfigError: It is of another type; ``extra_body=`` sends it all the same.
    """
    if name in _NUMBERS and is_any(value, str, bytes, list, tuple, dict, set):
        seems = isinstance(value, str) and _NUMBER.fullmatch(value.strip())
        raise ConfigError(f"{name} is {quoted(value)}: write a number{f', {name}={value.strip()}' if seems else ''}")
    if name == "size" and is_any(value, tuple, list):
        raise ConfigError(f'{name} is {quoted(value)}: write text, "1024x1024"')
    if name not in _BINARY:
        _reject_bytes(name, value)


def _reject_bytes(place: str, value: Any) -> None:
    if is_any(value, bytes, bytearray, memoryview):
        raise ConfigError(f"{place} is {quoted(value)}: write text (.decode())")
    if is_any(value, list, tuple):
        for number, item in enumerate(value):
            _reject_bytes(f"{place}[{number}]", item)
    elif place == "metadata" and is_any(value, dict):
        for name, item in value.items():
            _reject_bytes(f"{place}.{name}", item)


def _check_choice(choice: Any, tools: Any) -> None:
    """Raise an error for a tool where its name belongs, and warn of a word that is nearly one of the API's."""
    # ``tools`` takes functions, so people pass one here as well.
    if isinstance(choice, bool) or callable(choice):
        name = getattr(choice, "__name__", None) or getattr(choice, "name", "…")
        word = '"auto", "none" or "required"'
        named = f'{{"type": "function", "function": {{"name": "{name}"}}}}' if callable(choice) else word
        raise ConfigError(f"tool_choice is {quoted(choice)}: write {named}")
    if not isinstance(choice, str) or choice in _CHOICES:
        return
    row = cast("Iterable[Any]", tools) if isinstance(tools, list | tuple) else ()
    if choice in {getattr(tool, "__name__", None) or getattr(tool, "name", None) for tool in row}:
        warn(
            f"tool_choice is {quoted(choice)}, the name of a tool, and is sent as it is; did you mean "
            f'{{"type": "function", "function": {{"name": "{choice}"}}}}?'
        )
    elif near := nearest(choice, _CHOICES):
        warn(f"tool_choice is {quoted(choice)}, and is sent as it is; did you mean {near!r}?")


def check_format(asked: Any) -> None:
    """Check a ``response_format`` of a chat: it is a dict or a type, and a kind that is misspelt is warned of.

    Raises:
        ConfigError: It is text, a list, or an instance where its class belongs.
    """
    if asked is None or asked is UNSET or isinstance(asked, type) or get_origin(asked) is not None:
        return
    if isinstance(asked, str):
        meant = "json_schema" if "schema" in asked else "text" if asked == "text" else "json_object"
        raise ConfigError(f'response_format is {quoted(asked)}: write {{"type": "{meant}"}}')
    if is_any(asked, bytes, bool, int, float, list, tuple, set):
        raise ConfigError(
            f'response_format is {quoted(asked)}: write {{"type": "json_object"}}, or a type for parse(…)'
        )
    if not isinstance(asked, Mapping):
        kind_of: Any = asked.__class__
        if is_dataclass(asked) or (hasattr(kind_of, "model_dump") and not hasattr(asked, "type")):
            name = str(kind_of.__name__)
            raise ConfigError(f"response_format is {quoted(asked)}: give the class itself, {name}, to parse(…)")
        return
    kind: Any = cast("Mapping[str, Any]", asked).get("type")
    if kind == "object" and "properties" in asked:
        warn(
            "response_format is a JSON schema by itself, and is sent as it is; did you mean "
            '{"type": "json_schema", "json_schema": {"name": …, "schema": …}}?'
        )
    elif isinstance(kind, str) and (near := nearest(kind, _FORMATS)) and near != kind:
        warn(f"response_format.type is {quoted(kind)}, and is sent as it is; did you mean {near!r}?")


# Sources: the API's description 2.3.0, ResponseFormat…; vLLM's and SGLang's structural tags and grammars.
_FORMATS = frozenset(("text", "json_object", "json_schema", "structural_tag", "grammar", "regex", "python"))


# Mistral's is "any".
_CHOICES = frozenset(("auto", "none", "required", "any"))
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?", re.IGNORECASE)
# Source: the API's description 2.3.0.
_NUMBERS = frozenset(
    (
        "best_of",
        "dimensions",
        "frequency_penalty",
        "max_completion_tokens",
        "max_tokens",
        "n",
        "output_compression",
        "partial_images",
        "presence_penalty",
        "seed",
        "speed",
        "temperature",
        "top_logprobs",
        "top_p",
    )
)
_BINARY = frozenset(("audio", "file", "files", "image", "images", "mask", "markup", "extra_body"))


def checked_extra_body(fields: Any) -> Mapping[str, Any]:
    """Return what ``extra_body=`` puts into the body; {} for None.

    Raises:
        ConfigError: It is not a mapping.
    """
    if fields is None or fields is UNSET:
        return {}
    if not isinstance(fields, Mapping):
        raise ConfigError(f'extra_body is {quoted(fields)}: write a dict of fields, extra_body={{"name": value}}')
    return cast("Mapping[str, Any]", fields)


def is_stream_asked(stream: Any) -> bool:
    """Return whether a stream is asked for.

    Raises:
        ConfigError: It is text, of which "false" would count as true.
    """
    if stream is None or isinstance(stream, bool):
        return bool(stream)
    if is_any(stream, str, bytes, Mapping):
        raise ConfigError(f"stream is {quoted(stream)}: write True or False")
    return bool(stream)


def _check(name: str, known: frozenset[str], written: frozenset[str], call: str) -> None:
    if setting := _SETTINGS.get(name):
        warn(f"{call}: {name}= is not a field of a request, and goes into the body as it is; did you mean {setting}?")
    elif (near := nearest(name, known)) and near not in written:
        warn(
            f"{call}: {name}= is not a field that the API has, and goes into the body as it is; did you mean {near}=? "
            f'extra_body={{"{name}": …}} sends it without this warning'
        )


@functools.lru_cache(maxsize=1000)
def nearest(name: str, known: frozenset[str]) -> str | None:
    """Return the field that a name is a misspelling of, or None.

    The same letters in another case or without underscores are one; so are names
    of 4 or 5 letters with one mistake, and longer ones with two.
    """
    if name in _RELAYS_OWN:
        return None
    bare = _bare(name)
    # Sorted, so that of two equally near names always the same one is named.
    for field in sorted(known):
        if _bare(field) == bare:
            return field
    # Names of up to three letters, such as "n", differ from each other by hardly more than a mistake.
    limit = 0 if len(bare) < 4 else 1 if len(bare) < 6 else 2  # noqa: PLR2004  (as the docstring says)
    found = min(((_mistakes(bare, _bare(field), limit), field) for field in known), default=(1, ""))
    return found[1] if found[0] <= limit else None


def _bare(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _mistakes(one: str, other: str, limit: int) -> int:
    """Count the letters to add, take away, change or swap with their neighbours; more than ``limit`` is not counted.

    Source: the optimal string alignment distance.
    """
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    last: list[int] = [*range(len(other) + 1)]
    for row, letter in enumerate(one, 1):
        now = [row]
        for column, against in enumerate(other, 1):
            cost: int = min(last[column] + 1, now[-1] + 1, last[column - 1] + (letter != against))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == against:
                cost = min(cost, before[column - 2] + 1)
            now.append(cost)
        before, last = last, now
    return last[-1]
