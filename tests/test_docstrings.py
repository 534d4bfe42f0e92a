"""What docstrings say, in four styles, with docstring-parser and without."""

from __future__ import annotations

import inspect
import sys
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from annotated_doc import Doc

from tutuclient import Tool
from tutuclient.docstrings import described, noted
from tutuclient.tools import Shape

WEATHER = "Return the weather.\n\nOf today: not of tomorrow."
GOOGLE = f"""{WEATHER}

Args:
    city: The city,
        in English.
    days (int): How many: up to 7.

Returns:
    The weather.
"""
SPHINX = f"""{WEATHER}

:param city: The city,
    in English.
:type city: str
:param int days: How many: up to 7.
:returns: The weather.
:raises ValueError: There is no such city.
"""
EPYDOC = f"""{WEATHER}

@param city: The city,
    in English.
@type city: str
@param days: How many: up to 7.
@return: The weather.
"""
NUMPY = f"""{WEATHER}

Parameters
----------
city : str
    The city,
    in English.
days : int, optional
    How many: up to 7.

Returns
-------
str
    The weather.
"""
STYLES = {"Google": GOOGLE, "Sphinx": SPHINX, "epydoc": EPYDOC, "NumPy": NUMPY}
OTHERS = {name: doc for name, doc in STYLES.items() if name != "Google"}


@pytest.mark.parametrize("doc", STYLES.values(), ids=STYLES)
def test_every_style_describes_the_function_and_its_parameters(doc: str) -> None:
    assert described(inspect.cleandoc(doc)) == (
        WEATHER,
        {"city": "The city, in English.", "days": "How many: up to 7."},
    )


@pytest.mark.parametrize("doc", OTHERS.values(), ids=OTHERS)
def test_without_the_parser_no_markup_passes_for_a_description(doc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docstring_parser", None)
    assert described(inspect.cleandoc(doc)) == (WEATHER, {})


def test_googles_style_needs_no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docstring_parser", None)
    assert described(GOOGLE)[1]["city"] == "The city, in English."


@pytest.mark.parametrize(
    "doc",
    [
        "Return :param of a text.",
        "Send a mail to ada@type.example: now.",
        "Draw a line\n-----------\nof dashes.",
        "See https://example.com/:type/x",
        "Keys of the table: a\n\nreturn: to sender",
    ],
)
def test_prose_that_only_looks_like_markup_stays(doc: str) -> None:
    assert described(doc) == (doc, {})


@pytest.mark.parametrize(
    "doc", ["", ":", ":param", ":param x", "@", "Parameters\n----------", ":param: x", ":param a:"]
)
def test_broken_markup_is_no_error(doc: str) -> None:
    assert all(isinstance(text, str) for text in described(doc)[1].values())


def test_numpy_describes_several_parameters_at_once() -> None:
    doc = "Move.\n\nParameters\n----------\nx, y : float\n    Where to.\n*rest\n    More."
    assert described(doc)[1] == {"x": "Where to.", "y": "Where to.", "rest": "More."}


def test_what_stands_beside_a_type_describes_it() -> None:
    hints: dict[str, Any] = {
        "a": Annotated[str, "A city,\n  in English."],
        "b": Annotated[int, Doc("How many.")],
        "c": Annotated[int, pydantic.Field(description="As pydantic has it.")],
        "d": Annotated[int, 5, object()],
        "e": Annotated[str, "first", "second"],
        "f": int,
        "g": Annotated[str, " "],
    }
    assert noted(hints) == {
        "a": "A city, in English.",
        "b": "How many.",
        "c": "As pydantic has it.",
        "e": "first",
    }


def described_by_all(
    city: Annotated[str, "The city."],
    days: Annotated[int, "days", msgspec.Meta(ge=1, le=7, description="How many.")] = 1,
    unit: str = "C",
) -> str:
    """Return the weather.

    :param city: Not this.
    :param unit: C or F.
    """
    return f"{city} {days} {unit}"


def test_a_tool_takes_annotations_before_its_docstring() -> None:
    entry = Tool(described_by_all).schema["function"]
    assert entry["description"] == "Return the weather."
    fields = entry["parameters"]["properties"]
    assert fields["city"]["description"] == "The city."
    assert fields["days"]["description"] == "How many. (default: 1)"
    assert fields["days"]["maximum"] == 7
    assert fields["unit"]["description"] == 'C or F. (default: "C")'


class Sight(msgspec.Struct, rename="camel"):
    """A sight."""

    is_alive: Annotated[bool, "Whether it lives."]
    many: Annotated[list[int] | None, "Counts."] = None


def test_fields_of_a_type_are_described_too() -> None:
    fields = Shape(Sight, "response_format").schema["properties"]
    assert fields["isAlive"]["description"] == "Whether it lives."
    assert fields["many"]["description"] == "Counts."
    assert Tool(Sight).schema["function"]["parameters"]["properties"]["isAlive"]["description"] == "Whether it lives."
