from typing import Any

import pytest

from tutuclient.testing import lenient


@pytest.mark.parametrize("odd", [None, 7, "text", 1.5, True])
def test_gives_nothing_for_another_shape(odd: Any) -> None:
    assert (lenient.mapping(odd), lenient.array(odd), lenient.objects(odd)) == ({}, [], [])


def test_takes_the_texts_and_objects_out_of_an_array() -> None:
    mixed = ["a", {"b": 1}, 2, None]
    assert lenient.strings(mixed) == ["a"]
    assert lenient.strings("a") == ["a"]
    assert lenient.objects(mixed) == [{"b": 1}]


@pytest.mark.parametrize(
    ("value", "number"), [(3, 3), ("4", 4), (" -3", -3), (True, None), ("3.5", None), (3.0, None), (None, None)]
)
def test_reads_whole_numbers_also_from_forms(value: Any, number: int | None) -> None:
    assert lenient.integer(value) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [("0.5", 0.5), (2, 2.0), ("warm", None), (True, None), ("nan", None), (10**400, None), (None, None), ([], None)],
)
def test_reads_finite_numbers_also_from_forms(value: Any, number: float | None) -> None:
    assert lenient.number(value) == number


def test_takes_no_number_that_python_would_choke_on() -> None:
    assert lenient.integer("9" * 5000) is None


@pytest.mark.parametrize(("value", "yes"), [(True, True), ("true", True), ("1", True), ("false", False), (1, False)])
def test_reads_a_yes_also_from_forms(value: Any, *, yes: bool) -> None:
    assert lenient.flag(value) is yes


def test_joins_the_texts_of_a_message() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    assert lenient.text_of({"content": parts}) == "a\nb"
    assert lenient.text_of({"content": "c"}) == "c"
    assert lenient.text_of({"content": None}) == ""
