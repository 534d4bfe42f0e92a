"""What an answer costs by a price page."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import pytest

from tutuclient import Price, Prices, Usage
from tutuclient.types import ImagesTokensDetails, ImagesUsage, PromptTokensDetails
from tutuclient.types.chat import CompletionTokensDetails

TEXT = Price(model="m", input=2.0, output=8.0, cached_input=0.5, audio_input=40.0, audio_output=80.0)
CALL = Price(model="draws", per_call=0.04)
PAGE = Prices(models={"m": TEXT, "draws": CALL}, source="https://relay.example/api/pricing", asked_at=1_790_000_000)


def used(prompt: int | None, answer: int | None, **more: Any) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=answer, **more)


def test_tokens_are_counted_by_the_million() -> None:
    assert PAGE.cost("m", used(1000, 500)) == pytest.approx((1000 * 2 + 500 * 8) / 1e6)
    assert PAGE.cost("m", used(0, 0)) == 0.0


def test_tokens_of_a_kind_are_counted_by_its_own_price() -> None:
    asked = PromptTokensDetails(cached_tokens=600, audio_tokens=100, image_tokens=50)
    told = CompletionTokensDetails(audio_tokens=400)
    usage = used(1000, 500, prompt_tokens_details=asked, completion_tokens_details=told)
    # Images have no price of their own here, so their tokens are as all others.
    assert PAGE.cost("m", usage) == pytest.approx((300 * 2 + 600 * 0.5 + 100 * 40 + 100 * 8 + 400 * 80) / 1e6)


def test_images_count_the_tokens_of_theirs() -> None:
    price = Price(model="i", input=5.0, output=40.0, image_input=10.0)
    usage = ImagesUsage(
        input_tokens=100, output_tokens=1000, input_tokens_details=ImagesTokensDetails(text_tokens=20, image_tokens=80)
    )
    assert price.cost(usage) == pytest.approx((20 * 5 + 80 * 10 + 1000 * 40) / 1e6)


def test_a_call_costs_the_same_whatever_it_used() -> None:
    assert PAGE.cost("draws", used(None, None)) == 0.04
    assert PAGE.cost("draws", None, images=3) == pytest.approx(0.12)


@pytest.mark.parametrize(
    "usage", [None, used(None, 5), used(5, None), used(-1, 5), {"prompt_tokens": 1}, 5, used(10**400, 1)]
)
def test_what_is_not_said_has_no_cost(usage: Any) -> None:
    assert PAGE.cost("m", usage) is None
    assert PAGE.cost("other", used(1, 1)) is None


def test_more_of_a_kind_than_there_are_is_not_followed() -> None:
    asked = PromptTokensDetails(cached_tokens=10**9, audio_tokens=10**9)
    assert PAGE.cost("m", used(1000, 0, prompt_tokens_details=asked)) == pytest.approx(1000 * 0.5 / 1e6)


def test_a_page_says_whose_it_is_and_of_when() -> None:
    assert str(PAGE) == "2 models in USD, as https://relay.example/api/pricing says on 2026-09-21"
    assert (len(PAGE), "m" in PAGE, "x" in PAGE, bool(Prices())) == (2, True, False, True)
    assert PAGE.of("m") is TEXT
    assert PAGE.of("x") is None


def test_it_goes_through_pickle_copy_and_json() -> None:
    assert pickle.loads(pickle.dumps(PAGE)) == copy.deepcopy(PAGE) == PAGE  # noqa: S301  (our own)
    assert msgspec.convert(msgspec.to_builtins(PAGE), Prices) == PAGE
