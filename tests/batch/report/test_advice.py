"""What ``batch.report.advice`` promises: words for every error that an item may end with."""

from __future__ import annotations

import inspect

import pytest

from tutuclient import errors
from tutuclient.batch.report.advice import advice_for

CLASSES = [
    name
    for name, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, errors.TutuError) and not name.startswith("_")
]


@pytest.mark.parametrize("name", [*CLASSES, "OSError", "FileNotFoundError", "SomebodysError", "os", ""])
def test_every_class_has_a_whole_sentence(name: str) -> None:
    advice = advice_for(name)
    assert advice[0].isupper()
    assert advice.endswith(".")
    assert advice.count("`") % 2 == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("InsufficientQuotaError", "top it up"),
        ("RateLimitError", "--rate"),
        ("AuthenticationError", "TUTU_API_KEY"),
        ("OutcomeUnknownError", "before it is ordered again"),
        ("FirstTokenTimeoutError", "raise the timeout"),
        ("FileNotFoundError", "could not be read"),
    ],
)
def test_the_nearest_class_decides(name: str, words: str) -> None:
    assert words in advice_for(name)


def test_nothing_advises_to_send_again_what_was_rejected_for_its_content() -> None:
    assert "retry" not in advice_for("ContentPolicyError")
