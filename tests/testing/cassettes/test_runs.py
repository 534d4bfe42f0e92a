from __future__ import annotations

import random
import re

import pytest

from tutuclient.testing.cassettes.runs import Runs


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"abc", [(0, 3)]),
        (b"ab", []),
        (b" abcd, ab; aaa", [(1, 5), (11, 14)]),
        (b"ab ab ab abc", [(9, 12)]),
    ],
)
def test_runs_are_found_from_their_beginning_to_their_end(data: bytes, found: list[tuple[int, int]]) -> None:
    assert list(Runs(b"abcd", 3).find(data)) == found


def test_they_are_those_that_a_regular_expression_finds() -> None:
    letters = random.Random(7)
    for _ in range(300):
        data = bytes(letters.choices(b"ab -\xff", weights=[9, 9, 1, 1, 1], k=letters.randrange(200)))
        assert list(Runs(b"ab", 5).find(data)) == [found.span() for found in re.finditer(rb"[ab]{5,}", data)]
