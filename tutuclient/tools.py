"""Functions as tools, types as response formats, and what a model wrote as Python values.

A ``Tool`` is a function that a model may call: its schema comes from the
signature and the docstring, and the arguments that the model writes are read by
the same types. A ``Shape`` is a type whose values a model is to write. Both accept
msgspec's types (structs, dataclasses, TypedDicts, enums, ``Literal``, unions,
``Annotated`` with ``msgspec.Meta``) and models of pydantic, which is never
imported: a class is one of its models when it has their methods.

Source: ``POST /chat/completions``, ``tools`` and ``response_format``; JSON Schema
2020-12, of which strict mode takes a part.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, Generic, TypeGuard, TypeVar, cast, get_origin, get_type_hints, is_typeddict

import msgspec

from tutuclient.diagnostics import quoted, warn
from tutuclient.errors import ConfigError, printable
from tutuclient.types.json import DEEPEST, is_list, is_object, too_deep

__all__ = ["Tool"]

T = TypeVar("T")

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL | re.IGNORECASE)
# The keywords of strict mode. A schema with others, or with objects of any fields, cannot be strict.
_STRICT_WORDS = frozenset(
    {"$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "exclusiveMaximum"}
    | {"exclusiveMinimum", "format", "items", "maxItems", "maximum", "minItems", "minimum", "multipleOf", "pattern"}
    | {"properties", "required", "title", "type"}
)
_STRICT_FORMATS = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"})
_DROPPED = frozenset({"default", "discriminator", "uniqueItems"})
_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


class MisfitError(ValueError):
    """A model wrote what does not fit the type it was asked for; the message says where, for the model to read."""


class Shape(Generic[T]):
    """A type whose values a model is to write: its schema, and how to read its values.

    Args:
        kind: A msgspec Struct, a dataclass, a TypedDict, or a model of pydantic: a type that is an object in JSON.
        what: Its name in error messages, such as "response_format".

    Attributes:
        name: The type's name, in the characters that the API allows.
        schema: Its JSON Schema, with the root in place and all other types in ``$defs``.

    Raises:
        ConfigError: The type has no JSON Schema, or is not an object in JSON.
    """

    def __init__(self, kind: type[T], what: str) -> None:
        self.kind = kind
        self.name: str = re.sub(r"[^a-zA-Z0-9_-]+", "_", getattr(kind, "__name__", "")).strip("_")[:64] or "answer"
        self._what = what
        try:
            self.schema: dict[str, Any] = _rooted(_pydantic_schema(kind)) if _is_pydantic(kind) else _noted(kind)
            self._decoders = (
                ()
                if _is_pydantic(kind)
                else tuple(msgspec.json.Decoder(kind, strict=strict, dec_hook=_validated) for strict in (True, False))
            )
        except (TypeError, ValueError, NameError, RecursionError) as error:
            raise ConfigError(f"{what}: {printable(str(error))}") from error
        if self.schema.get("type") != "object" or "properties" not in self.schema:
            raise ConfigError(
                f"{what} must be a type with fields (a msgspec Struct, a dataclass, a TypedDict or a pydantic model),"
                f" which {printable(str(kind), 80)} is not: make it a field of such a type"
            )

    def read(self, text: str) -> T:
        """Read a value that a model wrote, also within a fence of Markdown. Nothing that is missing is added.

        It is read strictly first, then as leniently as answers are: "5" for 5.

        Raises:
            MisfitError: It does not fit; the message says where.
        """
        fenced = _FENCE.fullmatch(text)
        # A half surrogate, which JSON's escapes allow (.github/WIRE.md, section 5), has no UTF-8.
        data = (fenced[1] if fenced else text).encode("utf-8", "replace")
        if too_deep(data):
            raise MisfitError(f"JSON nested deeper than {DEEPEST} levels")
        if not self._decoders:
            return cast("T", _validated_by(cast("Any", self.kind).model_validate_json, data))
        strict, lenient = self._decoders
        try:
            return strict.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            misfit = error
        try:
            return lenient.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise MisfitError(str(misfit)) from None


class Tool:
    """A function that a model may call; ``tools=`` takes plain functions too, and builds a ``Tool`` of each.

    The schema comes from the signature, and from the docstring in Google's style
    (with docstring-parser installed also NumPy's, Sphinx's or epydoc's): the text
    before its sections describes the tool, its ``Args`` describe the parameters.
    ``Annotated[str, "…"]`` has priority, and before it
    ``Annotated[…, msgspec.Meta(description=…)]``, which has limits too. The
    schema is strict, so that the model cannot write anything else, where strict mode
    has the types; a default is then part of the description. It does not have
    ``dict[str, int]`` and ``Any``, for example.

    Of a bound method the model does not see ``self``, and of ``functools.partial``
    not what is bound. In place of a function a class can be passed whose fields are
    the parameters, such as a Struct or a pydantic model; calling it returns an instance.

    Args:
        function: The function, sync or async, every parameter annotated.
        name: Its name for the model, up to 64 letters, digits, ``_`` and ``-``; the function's own name by default.
        description: What it does; the docstring by default.
        strict: None for strict where the types allow it; True raises an error where they do not; False is never strict.

    Attributes:
        function: The function as it was passed.
        name: Its name for the model.
        strict: Whether the schema is strict.
        schema: The whole entry of ``tools``.

    Raises:
        ConfigError: A parameter has no annotation, or one without a JSON Schema; the function takes ``*args`` or
            ``**kwargs``; its name is not one that the API allows.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool | None = None,
    ) -> None:
        self.function = function
        inner = inspect.unwrap(_unwrapped(function))
        self.name: str = name or getattr(inner, "__name__", None) or type(inner).__name__
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"a tool cannot be called {printable(self.name, 80)!r}: the API takes up to 64 letters, digits, _ and"
                " -; write Tool(function, name='…')"
            )
        from tutuclient.docstrings import described  # noqa: PLC0415  (its patterns take 2 ms, and few clients have tools)

        doc, arguments = described(_docstring(inner))
        self._positional: tuple[str, ...] = ()
        self._whole = _holds_data(inner) and inner is function
        if self._whole:
            self._shape: Shape[Any] = Shape(cast("type[Any]", inner), f"the tool {self.name}")
            schema = self._shape.schema
            doc = doc or schema.get("description", "")
        else:
            schema = self._from_signature(arguments)
        closed = strictened(schema)
        self.strict: bool = _can_be_strict(closed) if strict is None else strict
        if self.strict and not _can_be_strict(closed):
            raise ConfigError(
                f"the tool {self.name} cannot be strict: its parameters contain objects of any fields, or limits that"
                " strict mode does not have; leave strict out"
            )
        if self.strict:
            schema = closed
        entry: dict[str, Any] = {"name": self.name}
        if text := doc if description is None else description:
            entry["description"] = text
        entry["parameters"] = {
            word: value for word, value in schema.items() if word != "title" and (word != "description" or not doc)
        }
        if self.strict:
            entry["strict"] = True
        self.schema: dict[str, Any] = {"type": "function", "function": entry}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as it is."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Tool({self.name})"

    @property
    def is_async(self) -> bool:
        """Return whether calling it returns an awaitable."""
        inner = _unwrapped(self.function)
        called = inner if inspect.isroutine(inner) or _is_class(inner) else _class_of(inner).__call__
        return inspect.iscoroutinefunction(called)

    def read(self, text: str) -> Any:
        """Read the arguments that a model wrote.

        Returns:
            A dict of the parameters that the model wrote, with values of the annotated types; an instance where the
            tool is a class.

        Raises:
            MisfitError: They do not fit.
        """
        # Relays send no arguments, or null, for a tool without parameters.
        value = self._shape.read(text if text.strip() not in {"", "null"} else "{}")
        if self._whole:
            return value
        arguments = {name: getattr(value, field) for name, field in self._fields.items()}
        return {name: value for name, value in arguments.items() if value is not msgspec.UNSET}

    def run(self, arguments: Any) -> Any:
        """Call the function with what ``read`` returned; the result of an async function is to be awaited."""
        if self._whole:
            return arguments
        rest = dict(arguments)
        # Parameters before a "/" have no names in a call, though the model writes all of them by name.
        args = [rest.pop(name) for name in self._positional if name in rest]
        return self.function(*args, **rest)

    def _from_signature(self, described: Mapping[str, str]) -> dict[str, Any]:
        """Build a struct of the parameters, and return its schema."""
        parameters, hints = self._parameters()
        fields: list[Any] = []
        self._fields: dict[str, str] = {}
        for number, parameter in enumerate(parameters):
            # A parameter may have a name that a struct's field cannot, such as "__init__": the field's is a number.
            field = f"p{number}"
            self._fields[parameter.name] = field
            required = parameter.default is parameter.empty
            default = msgspec.NODEFAULT if required else msgspec.UNSET
            fields.append((field, hints[parameter.name], msgspec.field(default=default, name=parameter.name)))
        self._positional = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
        # A parameter that the model invented is an error, which it is told: dropped, it would be missed in the result.
        kind = msgspec.defstruct(self.name, fields, kw_only=True, forbid_unknown_fields=True)
        self._shape = Shape(kind, f"the tool {self.name}")
        schema = {word: value for word, value in self._shape.schema.items() if word != "title"}
        for parameter in parameters:
            schema["properties"][parameter.name] = _parameter_schema(
                schema["properties"][parameter.name], parameter, described.get(parameter.name, "")
            )
        return schema

    def _parameters(self) -> tuple[list[inspect.Parameter], dict[str, Any]]:
        inner = inspect.unwrap(_unwrapped(self.function))
        if inspect.isclass(inner):
            hinted: Any = inner.__init__
        else:
            hinted = inner if inspect.isroutine(inner) else type(inner).__call__
        try:
            hints = _hints(inspect.unwrap(hinted))
            signature = inspect.signature(self.function)
        except NameError as error:
            raise ConfigError(
                f"the tool {self.name}: {printable(str(error))}; the names in its annotations must exist in its module"
                " at run time, not only under TYPE_CHECKING"
            ) from error
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the tool {self.name}: {printable(str(error))}") from error
        bound = self.function.keywords if _is_partial(self.function) else {}
        parameters = [parameter for name, parameter in signature.parameters.items() if name not in bound]
        for parameter in parameters:
            if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
                raise ConfigError(
                    f"the tool {self.name} takes {parameter}, but a model can only write parameters that have names"
                )
            if parameter.name not in hints:
                raise ConfigError(
                    f"the tool {self.name}: the parameter {parameter.name} has no annotation, so its schema is unknown;"
                    " annotate it (with Any if it may be anything)"
                )
        return parameters, hints


def _parameter_schema(schema: dict[str, Any], parameter: inspect.Parameter, described: str) -> dict[str, Any]:
    words = dict(schema)
    if described:
        words.setdefault("description", described)
    if parameter.default is not parameter.empty:
        try:
            words["default"] = msgspec.json.decode(msgspec.json.encode(parameter.default, enc_hook=plain))
        except (TypeError, ValueError, RecursionError):
            words.pop("default", None)  # It cannot be written as JSON; the parameter is optional all the same.
    return words


def toolbox(tools: Iterable[Any]) -> dict[str, Tool | Mapping[str, Any]]:
    """Return tools by their names: a ``Tool`` of each function, and dicts as they are.

    Raises:
        ConfigError: One is neither, or two have the same name.
    """
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
        raise ConfigError(f"tools must be a list of functions, Tool(…) or dicts; got {quoted(cast('object', tools))}")
    box: dict[str, Tool | Mapping[str, Any]] = {}
    for place, tool in enumerate(tools):
        if isinstance(tool, Mapping):
            entry = cast("Mapping[str, Any]", tool)
            _check_entry(entry, f"tools[{place}]")
            function = entry.get(str(entry.get("type", "function")))
            name = str(function.get("name", "")) if is_object(function) else ""
            boxed: Tool | Mapping[str, Any] = entry
        elif callable(tool):
            boxed = tool if isinstance(tool, Tool) else Tool(tool)
            name = boxed.name
        else:
            raise ConfigError(
                f"tools[{place}] is {quoted(tool)}, which is not a tool: pass a function, Tool(…) or a dict"
            )
        if name and name in box:
            raise ConfigError(f"two tools are called {printable(name, 80)}; write Tool(function, name='…') for one")
        box[name or f"#{len(box)}"] = boxed  # Whether a tool without a name is valid is for the relay to say.
    return box


def _check_entry(tool: Mapping[str, Any], place: str) -> None:
    """Check that a tool written as a dict describes a function. Other types of tools are the relay's own.

    Raises:
        ConfigError: It does not.
    """
    kind = tool.get("type")
    function: Any = tool.get("function")
    if callable(function):
        raise ConfigError(f"{place}.function is {quoted(function)}: pass the function itself as the tool")
    if function is not None or (kind is not None and kind != "function"):
        return
    if "name" in tool:
        warn(
            f"{place} has its name beside type, as in other APIs, and is sent as it is; did you mean "
            '{"type": "function", "function": {"name": …, "description": …, "parameters": …}}?'
        )
    elif kind == "function":
        raise ConfigError(f'{place} has no function: write {{"type": "function", "function": {{"name": …}}}}')


def sendable(tools: Iterable[Any] | None) -> list[Mapping[str, Any]] | None:
    """Return ``tools`` as the API takes them.

    Raises:
        ConfigError: As for ``toolbox``.
    """
    if tools is None:
        return None
    return [tool.schema if isinstance(tool, Tool) else tool for tool in toolbox(tools).values()]


def is_format(value: object) -> bool:
    """Return whether a ``response_format`` is a type, rather than the API's own dict."""
    return isinstance(value, type) or get_origin(value) is not None


def response_format(shape: Shape[Any]) -> dict[str, Any]:
    """Return the API's ``response_format`` for a type, strict."""
    return {
        "type": "json_schema",
        "json_schema": {"name": shape.name, "schema": strictened(shape.schema), "strict": True},
    }


def plain(value: Any) -> Any:
    """Return plain dicts and lists of a pydantic model: a hook for msgspec's encoder.

    Raises:
        TypeError: It is not a pydantic model.
    """
    if _is_pydantic(type(value)):
        return value.model_dump(mode="json")
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


# --- schemas -------------------------------------------------------------------------------------------------------


def _is_class(value: object) -> TypeGuard[type[Any]]:
    return isinstance(value, type)


def _is_partial(value: object) -> TypeGuard[partial[Any]]:
    return isinstance(value, partial)


def _is_pydantic(kind: Any) -> bool:
    return _is_class(kind) and all(
        callable(getattr(kind, name, None)) for name in ("model_json_schema", "model_validate", "model_validate_json")
    )


def _holds_data(kind: Any) -> bool:
    """Return whether a class is one whose fields a model can write."""
    return _is_class(kind) and (
        issubclass(kind, msgspec.Struct)
        or dataclasses.is_dataclass(kind)
        or is_typeddict(kind)
        or _is_pydantic(kind)
        or hasattr(kind, "__attrs_attrs__")
    )


def _pydantic_schema(kind: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", kind.model_json_schema())


def _schema(kind: Any) -> dict[str, Any]:
    inner: dict[str, Any] = {}

    def of_pydantic(custom: Any) -> dict[str, Any]:
        if not _is_pydantic(custom):
            raise TypeError(f"the type {printable(str(custom), 80)} has no JSON Schema")
        schema = _pydantic_schema(custom)
        for name, definition in schema.pop("$defs", {}).items():
            if inner.setdefault(name, definition) != definition:
                raise TypeError(f"two types are called {name}; rename one of them")
        return schema

    (root,), definitions = msgspec.json.schema_components(
        [kind], schema_hook=of_pydantic, ref_template="#/$defs/{name}"
    )
    if clash := sorted(name for name in inner.keys() & definitions.keys() if inner[name] != definitions[name]):
        raise TypeError(f"two types are called {clash[0]}; rename one of them")
    return {**root, "$defs": {**definitions, **inner}}


def _noted(kind: Any) -> dict[str, Any]:
    """Return the schema of a type, its fields described by what is beside their types, which msgspec passes over."""
    from tutuclient.docstrings import noted  # noqa: PLC0415  (as above)

    schema = _rooted(_schema(kind))
    properties: dict[str, dict[str, Any]] = schema.get("properties", {})
    struct: Any = kind  # With other names on the wire, where it is a struct of msgspec.
    written: dict[str, str] = (
        dict(zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True))
        if hasattr(struct, "__struct_fields__")
        else {}
    )
    for name, text in noted(get_type_hints(kind, include_extras=True)).items() if properties else ():
        properties[written.get(name, name)].setdefault("description", text)
    return schema


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose root stands at its top, where msgspec and pydantic may write a reference to it."""
    definitions: dict[str, Any] = dict(schema.get("$defs", {}))
    root = {word: value for word, value in schema.items() if word != "$defs"}
    reference = root.pop("$ref", None)
    if reference is not None:
        name = str(reference).removeprefix("#/$defs/")
        root = {**definitions[name], **root}
        others = [root, *(definition for other, definition in definitions.items() if other != name)]
        if not any(reference in _references(part) for part in others):
            # Nothing else refers to the root, so its definition would only be sent, and billed, a second time.
            del definitions[name]
    return {**root, "$defs": definitions} if definitions else root


def _references(schema: Any) -> set[str]:
    if is_object(schema):
        mine = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set[str]()
        return mine.union(*map(_references, schema.values()))
    return set[str]().union(*map(_references, schema)) if is_list(schema) else set()


def strictened(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema in the form of strict mode: every object closed, every field required, no defaults.

    A default that is not null becomes part of the field's description. Objects of
    any fields stay what they are: closed, they could not have any.

    Source: openai's guide "Structured model outputs".
    """
    definitions = cast("Mapping[str, Any]", schema.get("$defs", {}))
    return _strict(dict(schema), definitions, frozenset())


def _strict(schema: dict[str, Any], definitions: Mapping[str, Any], within: frozenset[str]) -> dict[str, Any]:
    # pydantic writes oneOf for unions that have a discriminator; strict mode knows anyOf alone.
    words = _without_default({("anyOf" if word == "oneOf" else word): value for word, value in schema.items()})
    if is_list(parts := words.get("allOf")) and len(parts) == 1:
        words = {**words.pop("allOf")[0], **words}
    reference = words.get("$ref")
    if isinstance(reference, str) and len(words) > 1:
        # Strict mode allows nothing beside a reference, so the definition takes its place, except within itself.
        name = reference.removeprefix("#/$defs/")
        if reference in within or name not in definitions:
            return {"$ref": reference}
        beside = {word: value for word, value in words.items() if word != "$ref"}
        return _strict({**definitions[name], **beside}, definitions, within | {reference})
    for word, value in words.items():
        if word in {"$defs", "properties"}:
            words[word] = {name: _strict(inner, definitions, within) for name, inner in value.items()}
        elif word in {"anyOf", "allOf", "prefixItems"}:
            words[word] = [_strict(inner, definitions, within) for inner in value]
        elif word == "items" and is_object(value):
            words[word] = _strict(value, definitions, within)
    # msgspec writes the values of an Enum or a Literal without their type, which strict mode asks for.
    if "enum" in words and "type" not in words:
        kinds = sorted({_JSON_TYPES[type(value)] for value in words["enum"]})
        words["type"] = kinds[0] if len(kinds) == 1 else kinds
    if "properties" in words:
        # Strict mode has neither optional fields nor open objects.
        words["required"] = list(words["properties"])
        words.setdefault("additionalProperties", False)
    return words


def _without_default(schema: dict[str, Any]) -> dict[str, Any]:
    words = {word: value for word, value in schema.items() if word not in _DROPPED}
    if (default := schema.get("default")) is not None:
        note = f"(default: {msgspec.json.encode(default).decode()})"
        words["description"] = f"{words['description']} {note}" if words.get("description") else note
    return words


def _can_be_strict(schema: Any) -> bool:
    if not is_object(schema) or not schema or not schema.keys() <= _STRICT_WORDS:
        return False
    words = schema
    if words.get("type") == "object" and ("properties" not in words or words.get("additionalProperties") is not False):
        return False
    if words.get("format", "date") not in _STRICT_FORMATS or not words.keys() & {"type", "anyOf", "$ref", "const"}:
        return False
    inner = [*words.get("$defs", {}).values(), *words.get("properties", {}).values(), *words.get("anyOf", ())]
    inner += [words["items"]] if "items" in words else []
    return all(map(_can_be_strict, inner)) and (words.get("type") != "array" or "items" in words)


def _validated(kind: Any, value: Any) -> Any:
    """Return a pydantic model of decoded JSON: a hook for msgspec's decoder. ``_schema`` has rejected other types."""
    return _validated_by(kind.model_validate, value)


def _validated_by(validate: Callable[[Any], Any], value: Any) -> Any:
    """Return what pydantic makes of a value.

    Raises:
        MisfitError: It does not fit. pydantic's own message is long, and links to its documentation.
    """
    try:
        return validate(value)
    except ValueError as error:
        # pydantic's ValidationError is a ValueError, and known by its method: pydantic is not imported.
        listed = getattr(error, "errors", None)
        if not callable(listed):
            raise MisfitError(str(error)) from None
        found = cast("list[dict[str, Any]]", listed(include_url=False, include_context=False, include_input=False))
        places = ("".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in one["loc"]) for one in found)
        text = "; ".join(f"{one['msg']} - at `${place}`" for one, place in zip(found, places, strict=True))
    raise MisfitError(text)


# --- signatures ----------------------------------------------------------------------------------------------------


def _unwrapped(function: Any) -> Any:
    while _is_partial(function):
        function = function.func
    return function


def _hints(function: Any) -> dict[str, Any]:
    """Return the resolved annotations of the parameters alone: the return type is often imported for checkers only."""
    written: Mapping[str, Any] = getattr(function, "__annotations__", {})
    # ``get_type_hints`` resolves all annotations of a function or none; it accepts anything that has
    # ``__annotations__`` (https://docs.python.org/3/library/typing.html#typing.get_type_hints).
    parameters = SimpleNamespace(__annotations__={name: hint for name, hint in written.items() if name != "return"})
    return get_type_hints(parameters, getattr(function, "__globals__", {}), include_extras=True)


def _class_of(value: object) -> type[Any]:
    return value if _is_class(value) else type(value)


def _docstring(function: Any) -> str:
    if inspect.isroutine(function):
        return inspect.getdoc(function) or ""
    kind = _class_of(function)
    doc: str = kind.__dict__.get("__doc__") or ""
    if _holds_data(kind) and doc.startswith(f"{kind.__name__}("):
        doc = ""  # The signature, as dataclasses write it.
    if not doc and kind is not function:
        doc = kind.__call__.__doc__ or ""
    return inspect.cleandoc(doc)
