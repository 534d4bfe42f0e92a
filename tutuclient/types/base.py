"""What all answers share: their fields as plain dicts, those that have no name here, and how the call went."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, get_args, get_type_hints

import msgspec

from tutuclient._meta import Meta
from tutuclient.errors import ConfigError
from tutuclient.types.json import is_list, is_object, read_json, value_at
from tutuclient.types.provenance import Provenance, Traced, copy_provenance, provenance, remember
from tutuclient.types.schemas import core_schema_of, serializer_of, without_none

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from tutuclient.types.provenance import Raw


class Plain(msgspec.Struct, frozen=True):
    """What becomes plain dicts: whatever an answer is made of, and the answers themselves.

    The names and the keywords are those of openai's answers, which are models of
    pydantic. ``OWN`` names the fields that openai's types do not have: they are
    shown where they have a value, and not as nulls, which a strict server would
    reject in a message that is sent back.
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
        # ``replace`` knows fields alone: the slot without a name, where provenance stands, is copied by itself.
        made = msgspec.structs.replace(self)
        old, new = cast("tuple[object, object]", (self, made))
        if isinstance(old, Traced) and isinstance(new, Traced):
            copy_provenance(old, new)
        return made

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema_of(cls, source, handler, fields_of)

    @property
    def __pydantic_serializer__(self) -> Any:
        # pydantic asks for it where there is no type: in a dict, behind Any.
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
        """Return this as plain dicts and lists, as it came: unknown fields included at every level.

        Args:
            exclude_unset: False is ``model_dump``, which names every field.
            exclude_defaults: As for ``model_dump``.
            exclude_none: As for ``model_dump``.
            **more: As for ``model_dump``.
        """
        if unknown := more.keys() - _PYDANTIC:
            raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
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
        """Return this as plain dicts and lists: all that came, and this client's value, or None, of what did not.

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
        """Return ``to_dict`` as JSON text; ``indent`` is spaces a level, None writes one line."""
        return _text(self.to_dict(**options), indent)

    def model_dump_json(self, *, indent: int | None = None, ensure_ascii: bool = False, **options: Any) -> str:
        """Return ``model_dump`` as JSON text, on one line unless ``indent`` is passed."""
        tree = self.model_dump(**options)
        return json.dumps(tree, indent=indent) if ensure_ascii else _text(tree, indent)

    def _tree(self) -> dict[str, Any] | None:
        """Return the JSON this came as, or None when it did not come off the wire."""
        return None

    def _as_came(self) -> dict[str, Any]:
        tree = self._tree()
        return cast("dict[str, Any]", without_none(self._filled(None))) if tree is None else tree

    def _filled(self, tree: dict[str, Any] | None) -> dict[str, Any]:
        """Return every field: as it stands in ``tree``, else as this struct has it."""
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
    """Return a field that this client has no name for as an attribute, as pydantic's models do.

    It is the ``__getattr__`` of whatever is not a chunk: having one makes every
    attribute slower to read.
    """
    unknown: dict[str, Any] = {} if name.startswith("_") else part.model_extra
    # Python calls __getattr__ also when a property raises AttributeError: reading it again raises that one.
    return unknown[name] if name in unknown else object.__getattribute__(part, name)


class Answer(Plain, Traced, kw_only=True, frozen=True):
    """A whole answer, or one chunk of a stream.

    Two answers are equal when their fields are; where they came from
    (``types.provenance``) does not count.
    """

    @property
    def meta(self) -> Meta:
        """The status, headers and timings of the call. A struct that did not come off the wire has an empty one."""
        origin = provenance(self).origin
        return Meta() if origin is None else origin.meta

    @property
    def request_id(self) -> str | None:
        """The relay's name for the call, or None; openai's code knows it as ``_request_id``."""
        return self.meta.request_id

    _request_id = request_id

    @property
    def raw(self) -> bytes:
        """The JSON as it came, or b"" when the struct did not come off the wire whole."""
        return bytes(provenance(self).raw)

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
        known = provenance(self)
        if known.tree is None and known.raw:
            known.tree = cast("dict[str, Any]", read_json(known.raw))
        return known.tree

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        # A copy, since a bytearray is pickled as such, and ``raw`` is bytes to whoever unpickles it.
        known = copy(provenance(self))
        known.raw = bytes(known.raw)
        return _rebuild, (type(self), fields, known)


class Nested(Plain, Traced, kw_only=True, frozen=True):
    """A part of an answer that keeps the fields this client has no name for."""

    if not TYPE_CHECKING:  # A checker is to find names that are misspelt.
        __getattr__ = unknown_field

    @property
    def extra(self) -> dict[str, Any]:
        """The fields of this part that this client has no name for; {} when it did not come off the wire."""
        tree = self._tree()
        if tree is None:
            unknown, path = provenance(self).place or ({}, ())
            tree = {} if path else cast("dict[str, Any]", unknown)
        return {name: value for name, value in tree.items() if name not in self.__struct_encode_fields__}

    @property
    def model_extra(self) -> dict[str, Any]:
        """The same as ``extra``."""
        return self.extra

    def _tree(self) -> dict[str, Any] | None:
        tree, path = provenance(self).place or (None, ())
        if not path:
            return None
        if isinstance(tree, bytes | bytearray):
            tree = read_json(tree)
        found = value_at(tree, path)
        return found if is_object(found) else None

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        extra = self.extra
        return _rebuild, (type(self), fields, (extra, ()) if extra else None)


def _rebuild(cls: type[Answer | Nested], fields: dict[str, Any], known: Any) -> Answer | Nested:
    made = cls(**fields)
    if known is not None:
        remember(made, known)
    return made


A = TypeVar("A", bound=Answer)


def remember_answer(answer: A, raw: Raw, tree: dict[str, Any] | None = None, fitted: dict[str, Any] | None = None) -> A:
    """Write of an answer and its parts which JSON they were read from, and return the answer.

    ``tree`` is ``raw`` as plain dicts, where it had to be decoded so; ``fitted`` is what the fields were read from,
    where that is not ``tree``.
    """
    # A view cannot be pickled, and keeps the whole buffer of the stream alive.
    raw = bytes(raw) if isinstance(raw, memoryview) else raw
    remember(answer, (None, raw) if tree is None else Provenance(raw=raw, tree=tree))
    remember_parts(answer, raw if tree is None else tree if fitted is None else fitted)
    return answer


def remember_part(part: Nested, json: bytes | bytearray | dict[str, Any], path: tuple[str | int, ...]) -> None:
    """Write where a part of an answer stands in the answer's JSON, and where its own parts do."""
    remember(part, (json, path))
    if _fields_with_parts[type(part)]:
        remember_parts(part, json, path)


def remember_parts(
    struct: msgspec.Struct, json: bytes | bytearray | dict[str, Any], path: tuple[str | int, ...] = ()
) -> None:
    """Write where all parts of an answer, or of a part of one, stand; arguments as for ``remember_part``."""
    for name, key in _fields_with_parts[type(struct)]:
        value: Any = getattr(struct, name)
        if not value:
            continue
        if not is_list(value):
            remember_part(value, json, (*path, key))
        # Where one of a list did not fit and was left out, nothing tells which stands where.
        elif not isinstance(json, dict) or (is_list(came := value_at(json, (*path, key))) and len(came) == len(value)):
            for number, part in enumerate(value):
                remember_part(part, json, (*path, key, number))


class _FieldsWithParts(dict[type[msgspec.Struct], tuple[tuple[str, str], ...]]):
    """The fields of each class that hold a part or a list of them, with their names on the wire.

    They are few of many, and every answer is gone through. A dict, since looking up is the half of it.
    """

    def __missing__(self, cls: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
        hints = get_type_hints(cls)
        names = zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True)
        found = self[cls] = tuple((name, key) for name, key in names if _names_part(hints[name]))
        return found


_fields_with_parts = _FieldsWithParts()


def _names_part(hint: Any) -> bool:
    return (isinstance(hint, type) and issubclass(hint, Nested)) or any(map(_names_part, get_args(hint)))
