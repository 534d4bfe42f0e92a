"""The fuzzer in small: ``python -m benchmarks.fuzz`` reads a million spoilt inputs, this some thousands."""

from __future__ import annotations

import pytest

from benchmarks import fuzz

pytestmark = pytest.mark.slow


def test_nothing_foreign_comes_out_of_spoilt_inputs() -> None:
    outcomes, foreign = fuzz.fuzz(20_000, seed=1)
    assert [(found.kind, found.seed, repr(found.error)) for found in foreign] == []
    assert outcomes.total() == 20_000
    for kind in fuzz.KINDS:
        # Some inputs are still read, some are refused: a fuzzer that only meets errors would prove little.
        ends = {end for end in outcomes if end.startswith(f"{kind}: ")}
        assert len(ends) >= (1 if kind in {"events", "Retry-After", "texts with pictures"} else 2), kind


@pytest.mark.parametrize("name", fuzz.SLOW)
def test_time_is_linear(name: str) -> None:
    # Quadratic time would make a byte 16 times dearer; a busy machine may make it seem dearer once.
    assert min(fuzz.ratio(name, (2**13, 2**17)) for _ in range(3)) < fuzz.LINEAR


def test_a_message_beside_a_delta_costs_the_same_however_much_has_come() -> None:
    # Joining all that has come anew for each made a byte over three times dearer at this size.
    sizes = (2**14, 2**22)
    assert min(fuzz.ratio("messages beside empty deltas", sizes) for _ in range(3)) < 2
