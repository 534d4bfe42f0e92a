"""A price page, read: what is no price is left out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient import ConfigError, Price, UnexpectedResponseError
from tutuclient.wire import read_prices

# As new-api's ``model/pricing.go`` writes them.
GPT: dict[str, Any] = {
    "model_name": "gpt-4o",
    "quota_type": 0,
    "model_ratio": 1.25,
    "model_price": 0,
    "owner_by": "",
    "completion_ratio": 4,
    "cache_ratio": 0.5,
    "enable_groups": ["default", "vip"],
    "supported_endpoint_types": ["openai"],
}
DRAWS: dict[str, Any] = {
    "model_name": "gpt-4o-image",
    "quota_type": 1,
    "model_ratio": 0,
    "model_price": 0.08,
    "completion_ratio": 0,
    "enable_groups": ["vip"],
}


def page(*rows: Any, **groups: Any) -> dict[str, Any]:
    return {"success": True, "data": list(rows), "group_ratio": groups, "usable_group": {}}


def price(row: dict[str, Any], *, group: str | None = None, points: float = 500_000, **groups: Any) -> Price | None:
    return read_prices(page(row, **groups), group=group, points=points)[0].get(row["model_name"])


def test_a_ratio_of_one_is_two_units_for_a_million_tokens() -> None:
    found = price(GPT, default=1)
    assert found == Price(model="gpt-4o", input=2.5, output=10.0, cached_input=1.25, group="default")


def test_a_relay_with_other_points_has_other_prices() -> None:
    found = price(GPT, points=1_000_000, default=1)
    assert found is not None
    assert (found.input, found.output) == (1.25, 5.0)


def test_a_price_by_call_has_no_tokens() -> None:
    assert price(DRAWS | {"enable_groups": ["all"]}, default=1) == Price(
        model="gpt-4o-image", per_call=0.08, group="default"
    )


def test_the_ratio_of_the_group_is_included() -> None:
    found = price(GPT, group="vip", default=1, vip=0.5)
    assert found is not None
    assert (found.input, found.output, found.cached_input, found.group) == (1.25, 5.0, 0.625, "vip")


def test_a_model_of_one_group_alone_is_paid_by_that() -> None:
    found = price(DRAWS, default=1, vip=0.5)
    assert found is not None
    assert (found.per_call, found.group) == (0.04, "vip")


def test_where_the_group_cannot_be_told_there_is_no_price() -> None:
    assert price(DRAWS, group="default", default=1, vip=0.5) is None
    assert price(GPT | {"enable_groups": ["a", "b"]}, default=1, a=1, b=2) is None
    assert price(GPT | {"enable_groups": []}, a=1, b=2) is None
    assert price(GPT | {"enable_groups": ["gone"]}, default=1) is None


def test_a_page_without_groups_is_its_own_ratio() -> None:
    found = price(GPT)
    assert found is not None
    assert (found.input, found.group) == (2.5, "")


def test_a_group_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no group 'svip'; it has default, vip"):
        read_prices(page(GPT, default=1, vip=2), group="svip")


def test_audio_and_images_have_prices_of_their_own() -> None:
    found = price(GPT | {"image_ratio": 2, "audio_ratio": 16, "audio_completion_ratio": 2, "create_cache_ratio": 1.25})
    assert found is not None
    assert (found.image_input, found.audio_input, found.audio_output, found.cache_write) == (5.0, 40.0, 80.0, 3.125)


@pytest.mark.parametrize("value", [None, "much", -1, "NaN", float("nan"), float("inf"), True, [1], {}, 10**400])
@pytest.mark.parametrize("field", ["model_ratio", "completion_ratio", "model_price"])
def test_what_is_no_number_is_no_price(field: str, value: Any) -> None:
    row = (DRAWS if field == "model_price" else GPT) | {"enable_groups": [], field: value}
    assert price(row, default=1) is None


def test_numbers_as_text_are_read() -> None:
    assert price(GPT | {"model_ratio": "1.25"}, default="1") == price(GPT, default=1)


def test_a_model_that_is_counted_by_a_formula_has_no_price() -> None:
    assert price(GPT | {"billing_mode": "tiered_expr", "billing_expr": "p * 2"}, default=1) is None


def test_rows_that_are_none_are_passed_over() -> None:
    found, group, groups = read_prices(page(None, 1, [], {}, {"model_name": 5}, GPT, default=1, odd="x", less=-1))
    assert (set(found), group, groups) == ({"gpt-4o"}, "default", {"default": 1.0})


@pytest.mark.parametrize(
    "odd", [None, [], {}, "", {"data": None}, {"data": {}}, {"data": [1]}, {"data": [{"id": "m"}]}]
)
def test_what_is_no_price_page_is_an_error(odd: Any) -> None:
    if odd == []:
        assert read_prices(odd) == ({}, "", {})  # An empty page has no prices.
        return
    with pytest.raises(UnexpectedResponseError, match="no price page"):
        read_prices(odd)


json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*GPT, *DRAWS, "x"]), inner, max_size=6)
    ),
)


@given(json, json, json)
def test_no_page_does_harm(row: Any, groups: Any, enabled: Any) -> None:
    rows = [GPT | row if isinstance(row, dict) else row, GPT | {"enable_groups": enabled}, GPT]
    found, _, _ = read_prices({"data": rows, "group_ratio": groups})
    for each in found.values():
        assert isinstance(each.model, str)
        figures = [value for value in vars(each).values() if isinstance(value, float)]
        assert all(figure >= 0 for figure in figures)
        msgspec.json.encode(each)
