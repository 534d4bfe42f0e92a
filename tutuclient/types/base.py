"""What all answers share: the bytes they came from, and how the call went."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard, cast

import msgspec

from tutuclient._meta import Meta
from tutuclient.errors import ConfigError
from tutuclient.types.schemas import core_schema_of, serializer_of, without_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import MemberDescriptorType
    from typing import Self

    from tutuclient.media.audio import Sound
    from tutuclient.media.image import GeneratedImage

_NESTING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)

_LONG = 64 * 2**10
_MOST_WARNINGS = 20
_ERROR_BEHIND = re.compile(r'\{\s*"error"\s*:')

logger: logging.Logger = logging.getLogger("tutuclient")

DEEPEST = 256
"""How deep JSON may be nested. APIs need a dozen levels; in a thread with 128 KiB of stack (musl's default) decoders
crash beyond some 300, and no exception tells of it."""


def too_deep(data: bytes | bytearray | memoryview) -> bool:
    """Say whether JSON is nested deeper than ``DEEPEST``, before a decoder finds out at the end of its stack."""
    if len(data) <= DEEPEST:
        return False
    if len(data) > _LONG and not _has_more(data, DEEPEST):
        return False
    text = bytes(data) if isinstance(data, memoryview) else data
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for mark in _NESTING.finditer(text):
        first = text[mark.start()]
        if first in b"[{":
            depth += 1
            if depth > DEEPEST:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def _has_more(data: bytes | bytearray | memoryview, brackets: int) -> bool:
    """Say whether more brackets than that are opened; goes through a picture's data ten times as fast as counting."""
    # Around what a view shows there may be more, but not fewer.
    around: Any = data.obj if isinstance(data, memoryview) else data
    for mark in (b"[", b"{"):
        at = around.find(mark)
        while at >= 0 and brackets >= 0:
            brackets -= 1
            at = around.find(mark, at + 1)
    return brackets < 0


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Say whether a value of decoded JSON is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Say whether a value of decoded JSON is a list."""
    return isinstance(value, list)


def read_json(data: bytes | bytearray | memoryview, meta: Meta | None = None) -> Any:
    """Read JSON as generously as it is written: the quick way, and once more patiently what that refuses.

    Patience mends a BOM, NaN and numbers without end (None), bytes that are no
    UTF-8 and half surrogates (U+FFFD), line breaks in strings; of several values
    it gives the first. With ``meta`` it notes there what got lost so.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    if too_deep(data):
        raise RecursionError("JSON nested too deeply")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        text = bytes(data).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
        lost: set[str] = set()
        value, end = (PATIENT if meta is None else _patient(lost)).raw_decode(text)
        if meta is not None:
            rest = text[end:].strip("\ufeff \t\r\n")
            if rest:
                what = "an error object" if _ERROR_BEHIND.match(rest) else "something more"
                note(meta, f"behind the answer stands {what}, {len(rest)} characters that were not read")
            if lost:
                note(meta, f"{' and '.join(sorted(lost))} in the answer: no JSON, read as null")
        return _without_surrogates(value)


def note(meta: Meta, words: str) -> None:
    """Note on an answer, and in the log, what is odd about it although it serves. Each oddity is noted once."""
    if words not in meta.warnings and len(meta.warnings) < _MOST_WARNINGS:
        meta.warnings += (words,)
        logger.warning("%s (request id %s)", words, meta.request_id)


def _patient(lost: set[str]) -> json.JSONDecoder:
    """Make a decoder as ``PATIENT``, which tells what it made null."""

    def constant(name: str) -> None:
        lost.add(name)

    def finite(digits: str) -> float | None:
        number = _finite(digits)
        if number is None:
            lost.add("a number without end")
        return number

    return json.JSONDecoder(strict=False, parse_constant=constant, parse_int=_whole, parse_float=finite)


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) < 400 else None  # noqa: PLR2004  (no count has 400 digits; int() stops at 4,300)


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if is_list(value):
        return [_without_surrogates(item) for item in value]
    if is_object(value):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value


PATIENT = json.JSONDecoder(strict=False, parse_constant=lambda _: None, parse_int=_whole, parse_float=_finite)


class Origin:
    """Where answers come from: what all chunks of one stream have in common.

    Attributes:
        meta: How the call went.
        find: Finds the pictures in an answer of this call.
        hear: Finds the sound in one; None where there can be none.
    """

    __slots__ = ("find", "hear", "meta")

    def __init__(
        self,
        meta: Meta,
        find: Callable[[Any], list[GeneratedImage]],
        hear: Callable[[Any], Sound | None] | None = None,
    ) -> None:
        self.meta: Meta = meta
        self.find: Callable[[Any], list[GeneratedImage]] = find
        self.hear: Callable[[Any], Sound | None] | None = hear

    def __reduce__(self) -> tuple[type[Origin], tuple[Any, ...]]:
        return Origin, (self.meta, self.find, self.hear)


class Kept:
    """The one slot of a struct that is no field of it: where what it was read from is kept."""

    __slots__ = ("kept",)


# Encoders fall back on ``vars()``, on ``__slots__`` and on attributes, and would carry the whole raw answer out of a
# process. So the slot has no name: these two are the only way to it.
_slot: MemberDescriptorType = vars(Kept)["kept"]
del Kept.kept  # type: ignore[attr-defined]  # mypy does not see slots
Kept.__slots__ = ()  # type: ignore[assignment]  # the slot stays; its name goes


keep: Callable[[Kept, dict[str, Any]], None] = _slot.__set__
"""Keep with a struct what it was read from, under the names that ``Answer`` and ``Nested`` list."""

keep_pair: Callable[[Kept, tuple[Any, Any]], None] = _slot.__set__
"""Keep ``origin`` and ``raw`` alone: for chunks, of which there are so many that making a dict of each counts."""


def kept(struct: Kept) -> dict[str, Any]:
    """Return what is kept with a struct, to be read and added to; {} for one that was made by hand."""
    try:
        found: dict[str, Any] | tuple[Any, Any] = _slot.__get__(struct)
    except AttributeError:
        found = {}
        keep(struct, found)
    if isinstance(found, tuple):
        origin, raw = found
        found = {"origin": origin, "raw": raw}
        keep(struct, found)
    return found


class Plain(msgspec.Struct, frozen=True):
    """What becomes plain dicts: whatever an answer is made of, and the answers themselves.

    The names and the keywords are those of openai's answers, which are models of
    pydantic. ``OWN`` names the fields that openai's types do not have: they are
    shown where they say something, and not as nulls, which a strict server would
    refuse in a message that is sent back.
    """

    OWN: ClassVar[frozenset[str]] = frozenset()

    def __iter__(self) -> Iterator[Any]:
        # Pairs, as of pydantic's models: for ``dict(answer)``, and for encoders that try it (FastAPI's does).
        return iter(self._fields().items())

    if not TYPE_CHECKING:  # To a checker it is what every object has.

        @property
        def __dict__(self) -> dict[str, Any]:
            """The fields, for ``vars()`` and for the encoders that fall back on it."""
            return self._fields()

    def __copy__(self) -> Self:
        made = msgspec.structs.replace(self)
        old, new = cast("tuple[object, object]", (self, made))
        if isinstance(old, Kept) and isinstance(new, Kept):
            keep(new, dict(kept(old)))
        return made

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema_of(cls, source, handler, fields_of)

    @property
    def __pydantic_serializer__(self) -> Any:
        # pydantic asks for it where nothing says what a value is: in a dict, behind Any.
        return serializer_of(type(self))

    def _fields(self) -> dict[str, Any]:
        """Return the fields under their names on the wire; NaN and infinity are None, since JSON has neither."""
        names = zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True)
        return {key: _number_or_none(getattr(self, name)) for key, name in names}

    @property
    def model_extra(self) -> dict[str, Any]:
        """The fields that this client has no name for; openai's name for ``extra``."""
        return {}

    def to_dict(
        self,
        *,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        **more: Any,
    ) -> dict[str, Any]:
        """Give this as plain dicts and lists, as it came: unknown fields included at every level.

        Args:
            exclude_unset: False is ``model_dump``, which names every field.
            exclude_defaults: As for ``model_dump``.
            exclude_none: As for ``model_dump``.
            **more: As for ``model_dump``.
        """
        _check_keywords(more)
        tree = self._as_came() if exclude_unset else self._filled(self._tree())
        return cast("dict[str, Any]", without_none(tree)) if exclude_none or exclude_defaults else tree

    def model_dump(
        self,
        *,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        **more: Any,
    ) -> dict[str, Any]:
        """Give this as plain dicts and lists: all that came, and None or what this client made of it where nothing did.

        Args:
            include: Names on the top level to keep.
            exclude: Names on the top level to leave out.
            exclude_unset: Leave out what did not come, at every level: ``to_dict``.
            exclude_defaults: The same as ``exclude_none``: openai's types have no other default.
            exclude_none: Leave out what is None, at every level.
            **more: pydantic's other keywords (``mode``, ``by_alias``, ``warnings``…), which change nothing of what came
                as JSON.

        Raises:
            ConfigError: ``include`` or ``exclude`` name something further down.
        """
        tree = self.to_dict(
            exclude_unset=exclude_unset, exclude_defaults=exclude_defaults, exclude_none=exclude_none, **more
        )
        if isinstance(include, Mapping) or isinstance(exclude, Mapping):
            raise ConfigError('include and exclude take names of the top level, such as {"choices"}')
        return {
            name: value
            for name, value in tree.items()
            if (include is None or name in include) and name not in (exclude or ())
        }

    def to_json(self, *, indent: int | None = 2, **options: Any) -> str:
        """Give ``to_dict`` as JSON text; ``indent`` is spaces a level, None writes one line."""
        return _text(self.to_dict(**options), indent)

    def model_dump_json(self, *, indent: int | None = None, ensure_ascii: bool = False, **options: Any) -> str:
        """Give ``model_dump`` as JSON text, on one line unless ``indent`` says otherwise."""
        tree = self.model_dump(**options)
        return json.dumps(tree, indent=indent) if ensure_ascii else _text(tree, indent)

    def _tree(self) -> dict[str, Any] | None:
        """Give the JSON this came as, or None when it did not come off the wire."""
        return None

    def _as_came(self) -> dict[str, Any]:
        tree = self._tree()
        return cast("dict[str, Any]", without_none(self._filled(None))) if tree is None else tree

    def _filled(self, tree: dict[str, Any] | None) -> dict[str, Any]:
        """Give every field: as it stands in ``tree``, else as this struct has it."""
        known = self._tree() if tree is None else tree
        done: dict[str, Any] = {}
        for name, key in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True):
            value = getattr(self, name)
            if known is not None and key in known:
                done[key] = _plain(value, known[key])
            elif name not in self.OWN or (known is None and value is not None):
                done[key] = _plain(value, None)
        unknown = self.model_extra if known is None else known
        return done | {name: value for name, value in unknown.items() if name not in done}


def fields_of(value: Any) -> Any:
    """Return a value with its structs as plain dicts, at every level: their fields, and nothing else."""
    if isinstance(value, Plain):
        return {name: fields_of(item) for name, item in value._fields().items()}  # pyright: ignore[reportPrivateUsage]  (one of us)
    if is_list(value):
        return [fields_of(item) for item in value]
    # A caller's own, in what was parsed.
    return msgspec.to_builtins(value) if isinstance(value, msgspec.Struct) else value


def _number_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _plain(value: Any, came: Any) -> Any:
    if isinstance(value, Plain):
        return value._filled(came if is_object(came) else None)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (a part of our own kind)
    if is_list(value) and value and isinstance(value[0], Plain):
        rows = came if is_list(came) and len(came) == len(value) else [None] * len(value)
        return [_plain(item, row) for item, row in zip(value, rows, strict=True)]
    return value if came is None else came


def _text(tree: dict[str, Any], indent: int | None) -> str:
    line = msgspec.json.encode(tree)
    return (line if indent is None else msgspec.json.format(line, indent=indent)).decode()


def _check_keywords(more: Mapping[str, Any]) -> None:
    if unknown := more.keys() - _PYDANTIC:
        raise TypeError(f"unexpected keyword argument {min(unknown)!r}")


# Keywords of pydantic that change nothing where everything is plain JSON.
_PYDANTIC = frozenset(
    (
        "by_alias",
        "context",
        "exclude_computed_fields",
        "fallback",
        "mode",
        "polymorphic_serialization",
        "round_trip",
        "serialize_as_any",
        "use_api_names",
        "warnings",
    )
)


def unknown_field(part: Any, name: str) -> Any:
    """Give a field that this client has no name for as an attribute, as pydantic's models do.

    It is the ``__getattr__`` of whatever is not a chunk: having one makes every
    attribute slower to read.
    """
    unknown: dict[str, Any] = {} if name.startswith("_") else part.model_extra
    # Python comes here too when a property fails so: asked again, it says why.
    return unknown[name] if name in unknown else object.__getattribute__(part, name)


class Answer(Plain, Kept, kw_only=True, frozen=True):
    """A whole answer, or one chunk of a stream.

    Two answers are equal when their fields are; where they came from does not
    count. What came with the fields is kept beside them (``kept``): ``raw``
    (bytes), ``origin`` and, once asked for, ``tree`` (the JSON as plain dicts).
    """

    @property
    def meta(self) -> Meta:
        """How the call went. A struct that did not come off the wire has an empty one."""
        origin: Origin | None = kept(self).get("origin")
        return Meta() if origin is None else origin.meta

    @property
    def request_id(self) -> str | None:
        """The relay's name for the call, or None; openai's code knows it as ``_request_id``."""
        return self.meta.request_id

    _request_id = request_id

    @property
    def raw(self) -> bytes:
        """The JSON as it came, or b"" when the struct did not come off the wire whole."""
        return bytes(kept(self).get("raw", b""))

    @property
    def extra(self) -> dict[str, Any]:
        """The top-level fields of the answer that this client has no name for."""
        tree = self._tree() or {}
        return {name: value for name, value in tree.items() if name not in self.__struct_encode_fields__}

    @property
    def model_extra(self) -> dict[str, Any]:
        """The same as ``extra``."""
        return self.extra

    def _tree(self) -> dict[str, Any] | None:
        tree: dict[str, Any] | None = kept(self).get("tree")
        if tree is None and (raw := kept(self).get("raw")):
            tree = kept(self)["tree"] = cast("dict[str, Any]", read_json(raw))
        return tree

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        hidden = {name: bytes(value) if name == "raw" else value for name, value in kept(self).items()}
        return _rebuild, (type(self), fields, hidden)


class Nested(Plain, Kept, kw_only=True, frozen=True):
    """A part of an answer that keeps the fields this client has no name for.

    Kept with it may be ``place``: the answer's JSON (bytes, or plain dicts
    where the bytes were odd) and the path down to this part. Without a path it is
    the unknown fields alone.
    """

    if not TYPE_CHECKING:  # A checker is to find names that are misspelt.
        __getattr__ = unknown_field

    @property
    def extra(self) -> dict[str, Any]:
        """The fields of this part that this client has no name for; {} when it did not come off the wire."""
        tree = self._tree()
        if tree is None:
            tree, _ = kept(self).get("place", ({}, ()))
        return {name: value for name, value in tree.items() if name not in self.__struct_encode_fields__}

    @property
    def model_extra(self) -> dict[str, Any]:
        """The same as ``extra``."""
        return self.extra

    def _tree(self) -> dict[str, Any] | None:
        tree, path = kept(self).get("place", (None, ()))
        if not path:
            return None
        if isinstance(tree, bytes | bytearray):
            tree = read_json(tree)
        for step in path:
            tree = tree[step]
        return cast("dict[str, Any]", tree)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        extra = self.extra
        return _rebuild, (type(self), fields, {"place": (extra, ())} if extra else {})


def _rebuild(cls: type[Answer | Nested], fields: dict[str, Any], hidden: dict[str, Any]) -> Answer | Nested:
    answer = cls(**fields)
    keep(answer, hidden)
    return answer
