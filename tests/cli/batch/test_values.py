"""What the options of a run take."""

from __future__ import annotations

import pytest

from tutuclient import ConfigError, errors
from tutuclient.cli.batch.values import read_budget, read_concurrency, read_errors, read_most


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([], {}),
        (["5M"], {"tokens": 5_000_000}),
        (["1.5k tokens", "200 images"], {"tokens": 1500, "images": 200}),
        (["10k requests", "1_000 tokens", "1 image"], {"requests": 10_000, "tokens": 1000, "images": 1}),
    ],
)
def test_a_budget_is_read(texts: list[str], found: dict[str, int]) -> None:
    assert read_budget(texts) == found


@pytest.mark.parametrize("text", ["", "much", "-5", "0", "5 USD", "0.2", "_", "5MM"])
def test_what_is_no_budget_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="write 5M .tokens., 200 images or 10k requests"):
        read_budget([text])


@pytest.mark.parametrize(
    ("text", "found"), [(None, None), ("0.2", 0.2), ("20%", 0.2), ("20 %", 0.2), ("5", 5), ("0", 0)]
)
def test_too_many_failures_are_a_share_or_a_number(text: str | None, found: float | None) -> None:
    assert read_most(text) == found
    assert type(read_most(text)) is type(found)


@pytest.mark.parametrize("text", ["1.0", "150%", "-1", "some", ""])
def test_other_shares_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="write a share"):
        read_most(text)


def test_concurrency() -> None:
    assert (read_concurrency("auto"), read_concurrency("16")) == ("auto", 16)
    for text in ("0", "-1", "many"):
        with pytest.raises(ConfigError, match="write auto, or a number from 1 up"):
            read_concurrency(text)


def test_errors_are_named_in_any_case_and_several_with_commas() -> None:
    assert read_errors(["notfounderror, RateLimitError", "MediaError"]) == (
        errors.NotFoundError,
        errors.RateLimitError,
        errors.MediaError,
    )
    with pytest.raises(ConfigError, match="there is no such error; there are .*NotFoundError"):
        read_errors(["OutOfLuckError"])
