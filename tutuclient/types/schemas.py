"""What pydantic asks of an answer's classes: how they are validated, dumped and described.

FastAPI asks too, through pydantic, for what stands behind ``->`` and in
``response_model``. Only pydantic comes here, so it is never imported for us.

Source: docs.pydantic.dev/latest/concepts/types, "Customizing validation with ``__get_pydantic_core_schema__``".
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


def core_schema_of(cls: Any, source: Any, handler: Any, dump: Callable[[Any], Any]) -> Any:
    """Return the core schema of a class of answers.

    Args:
        cls: The class.
        source: What was annotated: the class, or an alias of it such as ``ParsedChatCompletion[City]``.
        handler: pydantic's ``GetCoreSchemaHandler``.
        dump: Makes plain dicts and lists of the fields of an instance.
    """
    from pydantic_core import core_schema  # noqa: PLC0415  (whoever asks has it)

    arguments = dict(zip(getattr(cls, "__parameters__", ()), get_args(source), strict=False))
    # The types that checkers alone see, such as those of properties, are no annotations of fields.
    hints = get_type_hints(cls)
    names = zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True)
    fields = {
        key: core_schema.typed_dict_field(handler.generate_schema(_filled_in(hints[name], arguments)), required=False)
        for name, key in names
    }
    title = "_".join([cls.__name__, *(getattr(each, "__name__", str(each)) for each in arguments.values())])
    described = core_schema.typed_dict_schema(fields, config={"title": title}, total=False)

    def validate(value: Any, _: Any) -> Any:
        return value if isinstance(value, cls) else _made_of(value, cls[get_args(source)] if arguments else cls)

    def serialize(value: Any, info: Any) -> Any:
        tree: Any = dump(value)
        # The same for all three: what did not come is None in our structs.
        if info.exclude_none or info.exclude_unset or info.exclude_defaults:
            tree = without_none(tree)
        chosen = info.include is not None or info.exclude
        return _selected(tree, info.include, info.exclude) if chosen and isinstance(tree, dict) else tree

    return core_schema.no_info_wrap_validator_function(
        validate,
        described,
        # The id tells apart two classes of one name, such as those that two functions define.
        ref=f"{cls.__module__}.{title}:{id(cls)}",
        serialization=core_schema.plain_serializer_function_ser_schema(serialize, info_arg=True),
    )


@functools.cache
def serializer_of(cls: type[Any]) -> Any:
    """Return pydantic's serializer of a class of answers."""
    from pydantic import TypeAdapter  # noqa: PLC0415  (whoever asks has it)

    return TypeAdapter(cls).serializer


def _filled_in(hint: Any, arguments: Mapping[Any, Any]) -> Any:
    """Return a hint with the types of an alias in place of a generic class's variables; Any where there are none."""
    if isinstance(hint, TypeVar):
        return arguments.get(hint, Any)
    if variables := getattr(hint, "__parameters__", ()):
        return hint[tuple(arguments.get(each, Any) for each in variables)]
    return hint


def _made_of(value: Any, cls: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"neither an object nor a {getattr(cls, '__name__', cls)}")  # noqa: TRY004  (pydantic takes ValueError)
    try:
        return msgspec.convert(value, cls, strict=False, dec_hook=_foreign)
    except msgspec.ValidationError:  # The API writes null for what there is not, also where a field is never None.
        return msgspec.convert(without_none(value), cls, strict=False, dec_hook=_foreign)


def _foreign(kind: type[Any], value: Any) -> Any:
    """Read what a caller's format is made of, where msgspec does not know it."""
    from pydantic import TypeAdapter  # noqa: PLC0415  (whoever asks has it)

    return TypeAdapter(kind).validate_python(value)


def without_none(value: Any) -> Any:
    """Return a value without the fields of its objects that are None, however deep."""
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: without_none(item) for name, item in items if item is not None}
    rows: Any = value
    return [without_none(item) for item in rows] if isinstance(value, list) else value


def _selected(tree: Any, include: Any, exclude: Any) -> dict[str, Any]:
    """Keep what pydantic's ``include`` names, and not what ``exclude`` does; sets of names, or dicts to go deeper."""
    chosen: dict[str, Any] = {}
    for name, value in tree.items():
        wanted, left_out = _further(include, name), _further(exclude, name)
        if left_out is True or (include is not None and wanted is None):
            continue
        deeper = isinstance(value, dict) and (wanted is not True or left_out is not None)
        chosen[name] = _selected(value, None if wanted is True else wanted, left_out) if deeper else value
    return chosen


def _further(names: Any, name: str) -> Any:
    """Return True where the whole of a field is named, None where nothing of it is, else what is named within it."""
    if names is None:
        return None
    if not hasattr(names, "get"):
        return True if name in names else None
    within = names.get(name)
    return True if within is ... else within
