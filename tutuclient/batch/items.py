"""The items of a run: what people hold, read into a call, a name, and a digest of all that its answer depends on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import msgspec

from tutuclient.errors import ConfigError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

Task: TypeAlias = Literal["ask", "edit", "generate"]

_DIGEST_BYTES: Final = 8
_LONGEST_ID: Final = 200
_OWN: Final = frozenset({"id", "image", "images", "prompt", "messages"})


@dataclass(slots=True)
class Item:
    """One item, ready to be called.

    Attributes:
        index: Its place among the items, from 0.
        id: Its name.
        key: A digest of all that its answer depends on.
        sources: Its images.
        prompt: What to ask, or to draw.
        messages: A conversation in place of images and a prompt.
        fields: Fields of its own.
    """

    index: int
    id: str
    key: int
    sources: list[Any]
    prompt: str | None
    messages: list[Any] | None
    fields: dict[str, Any]


class Reader:
    """Reads whatever people hold into items.

    Args:
        task: What the run does with each.
        prompt: The prompt of items that have none of their own.
        shared: What all answers depend on besides: model, schema, fields.
    """

    def __init__(self, task: Task, prompt: str | None, shared: Mapping[str, Any]) -> None:
        self._task = task
        self._prompt = prompt
        self._shared = digest(b"".join(_stable(part) for part in sorted(map(_pair, shared.items()))))

    def read(self, given: Any, index: int) -> Item:
        """Return an item.

        Args:
            given: An image in any form that ``image`` takes, a list of messages, a dict (``image`` or ``images``,
                ``prompt``, ``messages``, ``id``, any field of the request), or a pair of an id and one of these. Where
                the run generates images, a text is a prompt.
            index: Its place.

        Raises:
            ConfigError: It is none of these.
        """
        name: str | None = None
        if isinstance(given, tuple) and len(given) == 2:  # noqa: PLR2004  (id, source)
            name, given = given
            if not isinstance(name, str):
                raise ConfigError(f"item {index}: the first of a pair is its id, a text; got {type(name).__name__}")
        fields: dict[str, Any] = {}
        sources: list[Any] = []
        messages: list[Any] | None = None
        prompt = self._prompt
        if isinstance(given, Mapping) and not _OWN.isdisjoint(cast("Mapping[str, Any]", given)):
            fields = {**cast("Mapping[str, Any]", given)}
            name = fields.pop("id", name)
            prompt = fields.pop("prompt", prompt)
            messages = fields.pop("messages", None)
            sources = _several(fields.pop("images", [])) + _several(fields.pop("image", []))
        elif isinstance(given, list):
            messages = given
        elif self._task == "generate":
            prompt = given
        else:
            sources = [given]
        self._check(index, sources, prompt, messages)
        parts = [_identity(source) for source in sources]
        found = name or _name(sources) or f"{digest(_pieces(parts, prompt, messages)):016x}"
        key = digest(_pieces([found, *parts], prompt, messages), fields, self._shared)
        return Item(index, found, key, sources, prompt, messages, fields)

    def _check(self, index: int, sources: Sequence[Any], prompt: Any, messages: Any) -> None:
        if messages is not None:
            return
        if not isinstance(prompt, str) or not prompt.strip():
            raise ConfigError(f"item {index} has no prompt: give one to map(…), or a dict with 'prompt' as the item")
        if not sources and self._task != "generate":
            raise ConfigError(f"item {index} has no image: an item is an image, a list of messages or a dict with one")


def digest(*parts: Any) -> int:
    """Return a digest of 64 bits."""
    hashed = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        data = _stable(part)
        hashed.update(len(data).to_bytes(8, "big"))
        hashed.update(data)
    return int.from_bytes(hashed.digest(), "big")


def _stable(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return msgspec.json.encode(value, enc_hook=repr, order="deterministic")


def _pair(item: tuple[str, Any]) -> str:
    name, value = item
    return f"{name}={_stable(value).decode()}"


def _pieces(parts: Sequence[Any], prompt: str | None, messages: list[Any] | None) -> bytes:
    return _stable([*parts, prompt, messages])


def _several(value: Any) -> list[Any]:
    return list(cast("Any", value)) if isinstance(value, list | tuple) else [value]


def _name(sources: Sequence[Any]) -> str | None:
    """Return the name of an item that is one file or one URL."""
    if len(sources) != 1:
        return None
    [source] = sources
    if isinstance(source, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", source))
    if isinstance(source, str) and len(source) <= _LONGEST_ID:
        return source
    if isinstance(source, Mapping) and isinstance(path := cast("Mapping[str, Any]", source).get("path"), str):
        return path
    return None


def _identity(source: Any) -> str:
    """Return what tells an image from another that was there before: size and time of a file, digest of bytes."""
    if isinstance(source, str | os.PathLike):
        return _identity_of_name(os.fspath(cast("str | os.PathLike[str]", source)))
    if isinstance(source, Mapping):
        source = cast("Mapping[str, Any]", source).get("bytes", source)
    elif callable(pixels := getattr(source, "tobytes", None)):
        source = pixels()
    if isinstance(source, bytes | bytearray | memoryview):
        return f"{digest(bytes(source)):016x}"
    return printable(repr(source), _LONGEST_ID)


def _identity_of_name(name: str) -> str:
    if name.startswith(("http://", "https://", "data:")):
        return name if len(name) <= _LONGEST_ID else f"{digest(name):016x}"
    try:
        status = Path(name).stat()
    except (OSError, ValueError):
        return name  # It cannot be read, which the call says better.
    return f"{name} {status.st_size} {status.st_mtime_ns}"
