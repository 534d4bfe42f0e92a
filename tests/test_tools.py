"""Functions and types into schemas, and what a model wrote back into Python's values."""

from __future__ import annotations

import dataclasses
import decimal  # noqa: TC003  (annotations are read at run time)
import enum
import json
from functools import lru_cache, partial, update_wrapper, wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import msgspec
import pydantic
import pytest

from tutuclient import ConfigError, Tool
from tutuclient.tools import MisfitError, Shape, is_format, plain, response_format, sendable, strictened, toolbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Unit(enum.Enum):
    C = "c"
    F = "f"


class Place(msgspec.Struct):
    """A place."""

    city: str
    country: str = "no"


@dataclasses.dataclass
class Node:
    """A node."""

    value: int
    rest: list[Node] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Bare:
    value: int


class Options(TypedDict):
    wind: bool
    rain: NotRequired[bool]


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    tricks: list[str]


class Owner(msgspec.Struct):
    pet: Cat | Dog


class Kind(pydantic.BaseModel):
    kind: Literal["kind"]


class Sort(pydantic.BaseModel):
    kind: Literal["sort"]


class Order(pydantic.BaseModel):
    """An order."""

    amount: Annotated[int, pydantic.Field(ge=1, description="How many.")] = 1
    what: Annotated[Kind | Sort, pydantic.Field(discriminator="kind")]
    again: Order | None = None


class Wrapped(msgspec.Struct):
    order: Order | None = None


def properties(tool: Tool) -> dict[str, Any]:
    found: dict[str, Any] = tool.schema["function"]["parameters"]["properties"]
    return found


def weather(
    city: str,
    days: int = 3,
    unit: Unit | None = None,
    how: Literal["short", "long"] = "short",
    place: Annotated[Place | None, msgspec.Meta(description="Where exactly.")] = None,
) -> str:
    """Look up the weather.

    It knows the whole world.

    Args:
        city (str): The city: a name,
            in any language.
        days: How many days
        unit: In which unit.
        place: Not read, since the annotation says more.

    Returns:
        nothing: that a model needs.
    """
    return f"{city} {days} {unit} {how} {place}"


def test_a_function_becomes_a_strict_tool() -> None:
    assert Tool(weather).schema == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Look up the weather.\n\nIt knows the whole world.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "The city: a name, in any language."},
                    "days": {"type": "integer", "description": "How many days (default: 3)"},
                    "unit": {"anyOf": [{"$ref": "#/$defs/Unit"}, {"type": "null"}], "description": "In which unit."},
                    "how": {"enum": ["long", "short"], "type": "string", "description": '(default: "short")'},
                    "place": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}], "description": "Where exactly."},
                },
                "required": ["city", "days", "unit", "how", "place"],
                "additionalProperties": False,
                "$defs": {
                    "Place": {
                        "title": "Place",
                        "description": "A place.",
                        "type": "object",
                        "properties": {
                            "city": {"type": "string"},
                            "country": {"type": "string", "description": '(default: "no")'},
                        },
                        "required": ["city", "country"],
                        "additionalProperties": False,
                    },
                    "Unit": {"title": "Unit", "enum": ["c", "f"], "type": "string"},
                },
            },
            "strict": True,
        },
    }


def test_arguments_become_values_and_what_is_missing_is_left_to_the_function() -> None:
    tool = Tool(weather)
    arguments = tool.read('{"city": "Oslo", "days": "2", "unit": "c", "place": {"city": "x"}}')
    assert arguments == {"city": "Oslo", "days": 2, "unit": Unit.C, "place": Place("x")}
    assert tool.run(arguments) == f"Oslo 2 Unit.C short {Place('x')}"
    assert tool.run(tool.read('{"city": "Oslo"}')) == "Oslo 3 None short None"
    assert tool("Oslo", days=1) == "Oslo 1 None short None"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"city": 5}', r"Expected `str`, got `int` - at `\$.city`"),
        ("{}", "missing required field `city`"),
        ('{"city": "a", "unit": "k"}', r"Invalid enum value 'k' - at `\$.unit`"),
        ('{"city": "a", "wind": true}', "unknown field `wind`"),
        ('{"city": "a', "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ("the city", "malformed"),
        ('{"city":' + "[" * 300 + "]" * 300 + "}", "nested deeper than 256"),
    ],
)
def test_arguments_that_do_not_fit_are_reported_in_words(text: str, why: str) -> None:
    with pytest.raises(MisfitError, match=why):
        Tool(weather).read(text)


@pytest.mark.parametrize("text", ["", " ", "null", "{}", "```json\n{}\n```"])
def test_a_tool_without_parameters_may_get_nothing(text: str) -> None:
    def now() -> str:
        return "now"

    tool = Tool(now)
    assert tool.run(tool.read(text)) == "now"
    assert tool.schema["function"]["parameters"] == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }
    assert "description" not in tool.schema["function"]


class Clock:
    """Tells the time."""

    def now(self, zone: str) -> str:
        """Say it."""
        return zone

    async def later(self, zone: str) -> str:
        return zone

    async def __call__(self, zone: str) -> str:
        return zone


class Silent:
    def __call__(self, zone: str) -> str:
        """Say nothing."""
        return zone


class Built:
    def __init__(self, zone: str) -> None:
        """Build it."""
        self.zone = zone


def two(a: int, b: int, *, key: str = "s") -> int:
    """Add two."""
    return a + b + len(key)


class Counted:
    """Counts the calls of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.function = function
        self.count = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.count += 1
        return self.function(*args, **kwargs)


async def later(a: int) -> int:
    return a


@pytest.mark.parametrize(
    ("function", "name", "described", "parameters", "is_async"),
    [
        (Clock().now, "now", "Say it.", ["zone"], False),
        (Clock().later, "later", None, ["zone"], True),
        (Clock(), "Clock", "Tells the time.", ["zone"], True),
        (Silent(), "Silent", "Say nothing.", ["zone"], False),
        (Built, "Built", None, ["zone"], False),
        (partial(two, key="hidden"), "two", "Add two.", ["a", "b"], False),
        (partial(two, 1), "two", "Add two.", ["b", "key"], False),
        (partial(partial(two, 1), b=2), "two", "Add two.", ["key"], False),
        (partial(later), "later", None, ["a"], True),
        (Counted(two), "two", "Add two.", ["a", "b", "key"], False),
        (lru_cache(two), "two", "Add two.", ["a", "b", "key"], False),
        (lru_cache(Clock().now), "now", "Say it.", ["zone"], False),
    ],
)
def test_whatever_can_be_called_can_be_a_tool(
    function: Callable[..., Any], name: str, described: str | None, parameters: list[str], is_async: bool
) -> None:
    tool = Tool(function)
    assert (tool.name, tool.schema["function"].get("description"), list(properties(tool)), tool.is_async) == (
        name,
        described,
        parameters,
        is_async,
    )
    assert repr(tool) == f"Tool({name})"


def test_what_is_bound_the_model_does_not_see() -> None:
    tool = Tool(partial(two, 1, key="hidden"))
    assert "hidden" not in json.dumps(tool.schema)
    assert tool.run(tool.read('{"b": 2}')) == 9


def test_parameters_may_be_positional_only_and_have_any_name() -> None:
    def odd(self: int, _under: int, p0: int, /, cls: int = 4) -> list[int]:
        return [self, _under, p0, cls]

    tool = Tool(odd)
    assert list(properties(tool)) == ["self", "_under", "p0", "cls"]
    assert tool.run(tool.read('{"self": 1, "p0": 3, "_under": 2}')) == [1, 2, 3, 4]


def test_a_name_and_a_description_can_be_given() -> None:
    tool = Tool(lambda: 1, name="one", description="Gives one.")
    assert tool.schema["function"]["name"] == "one"
    assert tool.schema["function"]["description"] == "Gives one."
    assert "description" not in Tool(two, description="").schema["function"]


def star(*args: int) -> None: ...
def stars(**kwargs: int) -> None: ...
def unannotated(a) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001  (what is refused)
def unwritable(a: object) -> None: ...
def unknown(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821  (what is refused)
def either(a: Place | Options) -> None: ...


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Tool(star), r"takes \*args: 'int'|takes \*args"),
        (lambda: Tool(stars), r"takes \*\*kwargs"),
        (lambda: Tool(unannotated), "the parameter a has no annotation"),
        (lambda: Tool(unwritable), "the type <class 'object'> has no JSON Schema"),
        (lambda: Tool(unknown), "'Missing' is not defined; the names in its annotations must exist"),
        (lambda: Tool(either), "more than one dict-like type"),
        (lambda: Tool(Clock.now), "the parameter self has no annotation"),
        (lambda: Tool(lambda: 1), "cannot be called '<lambda>'"),
        (lambda: Tool(two, name="天气"), "name='…'"),
        (lambda: Tool(two, name="x" * 65), "up to 64"),
        (lambda: Tool(print), r"takes \*args|no annotation|type hints"),
        (lambda: Tool(max), "the tool max"),
    ],
)
def test_what_a_model_cannot_call_is_refused(make: Callable[[], Tool], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        make()
    assert caught.value.outcome == "not_sent"


def open_fields(counts: dict[str, int], rest: Any = None) -> str:
    return f"{counts} {rest}"


def limited(name: Annotated[str, msgspec.Meta(min_length=2)]) -> str:
    return name


def pairs(pair: tuple[int, str]) -> str:
    return str(pair)


def priced(price: decimal.Decimal) -> str:
    return str(price)


@pytest.mark.parametrize("function", [open_fields, limited, pairs, priced])
def test_what_strict_mode_cannot_say_is_not_strict(function: Callable[..., Any]) -> None:
    tool = Tool(function)
    assert tool.strict is False
    assert "strict" not in tool.schema["function"]
    with pytest.raises(ConfigError, match="cannot be strict"):
        Tool(function, strict=True)


def test_a_tool_that_is_not_strict_keeps_its_defaults() -> None:
    tool = Tool(weather, strict=False)
    assert tool.schema["function"]["parameters"]["required"] == ["city"]
    assert properties(tool)["days"] == {"type": "integer", "description": "How many days", "default": 3}
    assert tool.read('{"city": "a"}') == {"city": "a"}
    assert open_fields.__name__ == Tool(open_fields).name
    assert Tool(open_fields).read('{"counts": {"a": "1"}, "rest": [1]}') == {"counts": {"a": 1}, "rest": [1]}


def test_a_default_without_json_form_is_left_out() -> None:
    def opaque(a: list[str] = object(), b: Unit = Unit.F, c: Order = Order(what=Kind(kind="kind"))) -> None:  # type: ignore[assignment]  # noqa: B008  (what a caller may write)
        raise AssertionError(a, b, c)

    shown = properties(Tool(opaque, strict=False))
    assert "default" not in shown["a"]
    assert shown["b"]["default"] == "f"
    assert shown["c"]["default"] == {"amount": 1, "what": {"kind": "kind"}, "again": None}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Place, '{"city": "Oslo"}', Place("Oslo")),
        (Node, '{"value": 1, "rest": [{"value": "2", "rest": []}]}', Node(1, [Node(2)])),
        (Bare, '{"value": 1}', Bare(1)),
        (Options, '{"wind": true}', {"wind": True}),
        (Owner, '{"pet": {"type": "Dog", "tricks": ["sit"]}}', Owner(Dog(["sit"]))),
        (Order, '{"amount": 2, "what": {"kind": "sort"}}', Order(amount=2, what=Sort(kind="sort"))),
        (Wrapped, '{"order": {"what": {"kind": "kind"}}}', Wrapped(Order(what=Kind(kind="kind")))),
    ],
)
def test_text_becomes_an_instance_of_the_type(kind: type[Any], text: str, value: object) -> None:
    for written in (text, f"\n```json\n{text}\n```\n", f"``` \n{text}```"):
        assert Shape(kind, "response_format").read(written) == value
    tool = Tool(kind)
    assert tool.name == kind.__name__
    assert tool.run(tool.read(text)) == value


def schemas_within(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [inner for item in schema for inner in schemas_within(item)]
    if not isinstance(schema, dict):
        return []
    below: list[dict[str, Any]] = []
    for word, value in schema.items():
        below += schemas_within(list(value.values()) if word in {"properties", "$defs"} else value)
    return [schema, *below]


@pytest.mark.parametrize("kind", [Place, Node, Options, Owner, Order, Wrapped, Bare])
def test_a_strict_schema_closes_every_object_and_requires_every_field(kind: type[Any]) -> None:
    made = response_format(Shape(kind, "response_format"))
    assert made["type"] == "json_schema"
    assert (made["json_schema"]["name"], made["json_schema"]["strict"]) == (kind.__name__, True)
    schema = made["json_schema"]["schema"]
    assert schema["type"] == "object"
    for inner in schemas_within(schema):
        assert not inner.keys() & {"default", "discriminator", "uniqueItems", "oneOf"}
        assert "$ref" not in inner or inner.keys() == {"$ref"}
        assert inner.get("$ref", "#/$defs/").removeprefix("#/$defs/") in {"", *schema.get("$defs", {})}
        if inner.get("type") == "object":
            assert inner["additionalProperties"] is False
            assert inner["required"] == list(inner["properties"])


def test_a_schema_refers_to_itself() -> None:
    schema = response_format(Shape(Node, "response_format"))["json_schema"]["schema"]
    assert schema["properties"]["rest"] == {"type": "array", "items": {"$ref": "#/$defs/Node"}}
    assert schema["$defs"]["Node"]["properties"]["value"] == {"type": "integer"}
    assert schema["description"] == "A node."
    assert "description" not in Tool(Bare).schema["function"]
    assert "description" not in response_format(Shape(Bare, "response_format"))["json_schema"]["schema"]
    described = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A", "description": "d"}}}
    loop = {"type": "array", "items": {"$ref": "#/$defs/A", "description": "d"}}
    inlined = strictened({**described, "$defs": {"A": loop}})["properties"]["a"]
    assert inlined == {"type": "array", "items": {"$ref": "#/$defs/A"}, "description": "d"}


def test_enums_and_intersections_become_what_strict_mode_knows() -> None:
    schema = {
        "type": "object",
        "properties": {
            "mixed": {"enum": [1, "a", None]},
            "one": {"allOf": [{"$ref": "#/$defs/A"}], "default": None},
            "two": {"allOf": [{"type": "integer", "default": 1}, {"minimum": 1}]},
            "pair": {"type": "array", "prefixItems": [{"oneOf": [{"type": "integer"}]}], "items": False},
            "away": {"$ref": "#/elsewhere", "description": "d"},
        },
        "$defs": {"A": {"type": "string"}},
    }
    assert strictened(schema)["properties"] == {
        "mixed": {"enum": [1, "a", None], "type": ["integer", "null", "string"]},
        "one": {"$ref": "#/$defs/A"},
        "two": {"allOf": [{"type": "integer", "description": "(default: 1)"}, {"minimum": 1}]},
        "pair": {"type": "array", "prefixItems": [{"anyOf": [{"type": "integer"}]}], "items": False},
        "away": {"$ref": "#/elsewhere"},
    }


class Pair(NamedTuple):
    a: int


@pytest.mark.parametrize(
    "kind", [list[Place], int, str, dict[str, int], Place | None, Cat | Dog, Pair, Literal["a"], Any], ids=str
)
def test_what_is_not_an_object_is_refused_as_a_format(kind: Any) -> None:
    with pytest.raises(ConfigError, match="response_format must be a type with fields"):
        Shape(kind, "response_format")


def test_types_are_distinguished_from_the_apis_own_dicts() -> None:
    assert all(map(is_format, [Place, Options, Order, list[int], Literal["a"]]))
    assert not any(map(is_format, [None, {"type": "json_object"}, "text"]))


def test_pydantics_errors_say_where() -> None:
    with pytest.raises(MisfitError, match=r"valid integer.* - at `\$\.amount`; .*at `\$\.what`") as caught:
        Shape(Order, "r").read('{"amount": "x", "what": {}}')
    assert "pydantic" not in str(caught.value)
    with pytest.raises(MisfitError, match=r"Input should be .*at `\$.what` - at `\$.order`|what"):
        Shape(Wrapped, "r").read('{"order": {"what": 1}}')


class Sloppy:
    """Has pydantic's methods, and raises what it likes."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"type": "object", "properties": {}}

    @classmethod
    def model_validate(cls, value: object) -> Sloppy:
        raise AssertionError(value)

    @classmethod
    def model_validate_json(cls, data: bytes) -> Sloppy:
        raise ValueError(f"no {data!r}")


def test_any_class_with_pydantics_methods_serves() -> None:
    with pytest.raises(MisfitError, match="no b'x'"):
        Shape(Sloppy, "r").read("x")


def test_two_types_of_one_name_are_refused() -> None:
    class Kind(msgspec.Struct):
        other: int

    class Both(msgspec.Struct):
        one: Kind
        two: Order

    Both.__annotations__.update(one=Kind, two=Order)
    with pytest.raises(ConfigError, match="two types are called Kind"):
        Shape(Both, "r")

    class Sort(pydantic.BaseModel):
        kind: Literal["another"]

    class Holder(pydantic.BaseModel):
        sort: Sort

    Holder.model_rebuild(_types_namespace={"Sort": Sort})
    many = msgspec.defstruct("Many", [("a", Order), ("b", Holder)])
    with pytest.raises(ConfigError, match="two types are called Sort"):
        Shape(many, "r")


def test_names_are_made_fit_for_the_api() -> None:
    assert Shape(msgspec.defstruct("Page[Item]", [("a", int)]), "r").name == "Page_Item"
    assert Shape(msgspec.defstruct("页", [("a", int)]), "r").name == "answer"


def test_tools_are_found_by_their_names() -> None:
    given: list[Any] = [two, Tool(later, name="l"), {"type": "function", "function": {"name": "d"}}, {"type": "odd"}]
    box = toolbox(given)
    assert list(box) == ["two", "l", "d", "#3"]
    sent = sendable(given)
    assert sent is not None
    assert [tool["type"] for tool in sent] == ["function", "function", "function", "odd"]
    assert sent[2] is given[2]
    assert sendable(None) is None


@pytest.mark.parametrize(
    ("tools", "why"),
    [
        ([two, two], "two tools are called two"),
        ([two, {"type": "function", "function": {"name": "two"}}], "two tools are called two"),
        ([5], "is 5, which is not a tool"),
        (["two"], "which is not a tool"),
        (two, "tools must be a list"),
        ({"type": "function"}, "tools must be a list"),
    ],
)
def test_what_is_no_list_of_tools_is_refused(tools: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        toolbox(tools)


def test_models_of_pydantic_become_plain() -> None:
    encoded = msgspec.json.encode({"order": Order(what=Kind(kind="kind"))}, enc_hook=plain)
    assert json.loads(encoded) == {"order": {"amount": 1, "what": {"kind": "kind"}, "again": None}}
    with pytest.raises(TypeError, match="a object cannot be written as JSON"):
        plain(object())


def documented(
    a: int, b: Annotated[int, msgspec.Meta(description="From the annotation.")], c: int, d: int, e: int
) -> Mapping[str, int]:
    """Do it.

    Arguments:
        a (Callable[[int], str]): One: two.
        nobody: Is told of what is not there.
        b: From the docstring.
        c:
            On the next line,

            and after a gap.

    More prose.

    Raises: nothing.
        d: Not an argument.

    Args:
        e (int): The last
    """
    return {"sum": a + b + c + d + e}


def test_the_docstring_says_what_the_parameters_are() -> None:
    tool = Tool(documented)
    assert tool.schema["function"]["description"] == "Do it.\n\nMore prose."
    assert {name: schema.get("description") for name, schema in properties(tool).items()} == {
        "a": "One: two.",
        "b": "From the annotation.",
        "c": "On the next line, and after a gap.",
        "d": None,
        "e": "The last",
    }


def test_only_the_parameters_need_to_be_known_at_run_time() -> None:
    def keyed(a: int) -> Mapping[str, int]:
        return {"a": a}

    @wraps(keyed)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return keyed(*args, **kwargs)

    for function in (keyed, wrapped):
        assert list(properties(Tool(function))) == ["a"]
        assert Tool(function).run({"a": 1}) == {"a": 1}
