"""Values that messages quote, and warnings at the caller's line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tutuclient import RequestWarning, Timeout
from tutuclient.diagnostics import quoted, warn
from tutuclient.testing import sample_picture


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a cat", "'a cat'"),
        ("a\x1b[31m\n", "'a\\x1b[31m\\n'"),
        ("x" * 100, f"'{'x' * 60}'…"),
        (None, "None"),
        (True, "True"),
        (0.5, "0.5"),
        (b"123", "3 bytes"),
        (memoryview(bytes(2000)), "2,000 bytes"),
        (Path("a/cat.png"), "the path 'a/cat.png'"),
        ([1], "a list"),
        (object(), "an object"),
        (Timeout, "the class Timeout"),
    ],
    ids=str,
)
def test_a_value_is_quoted_in_a_few_words(value: Any, words: str) -> None:
    assert quoted(value) == words


def test_bytes_are_quoted_by_what_they_seem_to_be() -> None:
    image = sample_picture()
    assert quoted(image) == f"{len(image):,} bytes of image/png"


def test_a_warning_stands_at_the_line_of_the_caller() -> None:
    with pytest.warns(RequestWarning, match="too many") as caught:
        warn("too many")
    assert caught[0].filename == __file__
