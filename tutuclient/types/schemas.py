"""What pydantic asks of an answer's classes: how they are validated, dumped and described.

FastAPI asks too, through pydantic, for what stands behind ``->`` and in
``response_model``. Only pydantic comes here, so it is never imported for us.

Source: docs.pydantic.dev/latest/concepts/types, "Customizing validation with ``__get_pydantic_core_schema__``".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


def core_schema_of(cls: type[Any], source: Any, handler: Any, dump: Callable[[Any], Any]) -> Any:
    """Return the core schema of a class of answers.

    Args:
        cls: The class.
        source: What was annotated: the class, or an alias of it such as ``ParsedChatCompletion[City]``.
        handler: pydantic's ``GetCoreSchemaHandler``.
        dump: Makes plain dicts and lists of the fields of an instance.
    """
    from pydantic_core import core_schema  # noqa: PLC0415  (whoever asks has it)

    given = dict(zip(getattr(cls, "__parameters__", ()), get_args(source), strict=False))
    # The types that checkers alone see, such as those of properties, are no annotations of fields.
    hints = get_type_hints(cls)
    names = zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True)
    fields = {
        key: core_schema.typed_dict_field(handler.generate_schema(_filled_in(hints[name], given)), required=False)
        for name, key in names
    }
    title = "_".join([cls.__name__, *(getattr(each, "__name__", str(each)) for each in given.values())])
    described = core_schema.typed_dict_schema(fields, config={"title": title}, total=False)

    def validate(value: Any, _: Any) -> Any:
        return value if isinstance(value, cls) else _made_of(value, cls[get_args(source)] if given else cls)

    def serialize(value: Any, info: Any) -> Any:
        tree = dump(value)
        if info.exclude_none or info.exclude_unset or info.exclude_defaults:
            tree = _without_none(tree)
        if isinstance(tree, dict) and (info.include is not None or info.exclude):
            tree = _selected(cast("dict[str, Any]", tree), info.include, info.exclude)
        return tree

    return core_schema.no_info_wrap_validator_function(
        validate,
        described,
        ref=f"{cls.__module__}.{title}:{id(cls)}",
        serialization=core_schema.plain_serializer_function_ser_schema(serialize, info_arg=True),
    )


def _filled_in(hint: Any, given: Mapping[Any, Any]) -> Any:
    """Put the types of an alias in the place of a generic class's variables; Any where there are none."""
    if isinstance(hint, TypeVar):
        return given.get(hint, Any)
    if variables := getattr(hint, "__parameters__", ()):
        return hint[tuple(given.get(each, Any) for each in variables)]
    return hint


def _made_of(value: Any, cls: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"neither an object nor a {getattr(cls, '__name__', cls)}")  # noqa: TRY004  (pydantic takes ValueError)
    try:
        return msgspec.convert(value, cls, strict=False, dec_hook=_foreign)
    except msgspec.ValidationError:  # The API writes null for what there is not, also where a field is never None.
        return msgspec.convert(_without_none(value), cls, strict=False, dec_hook=_foreign)


def _foreign(kind: type[Any], value: Any) -> Any:
    """Read what a caller's format is made of, where msgspec does not know it."""
    from pydantic import TypeAdapter  # noqa: PLC0415  (whoever asks has it)

    return TypeAdapter(kind).validate_python(value)


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _without_none(item) for name, item in items if item is not None}
    return [_without_none(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _selected(tree: dict[str, Any], include: Any, exclude: Any) -> dict[str, Any]:
    """Keep what pydantic's ``include`` names, and not what ``exclude`` does; sets of names, or dicts to go deeper."""
    chosen: dict[str, Any] = {}
    for name, value in tree.items():
        if include is not None and name not in include:
            continue
        out: Any = exclude.get(name) if isinstance(exclude, Mapping) else name in (exclude or ()) or None
        if out is True or out is ...:
            continue
        wanted: Any = include[name] if isinstance(include, Mapping) else None
        wanted = None if wanted is True or wanted is ... else wanted
        deeper = isinstance(value, dict) and (wanted is not None or out is not None)
        chosen[name] = _selected(cast("dict[str, Any]", value), wanted, out) if deeper else value
    return chosen
