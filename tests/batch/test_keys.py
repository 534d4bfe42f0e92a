"""Sets of keys: they hold what was added to them."""

from __future__ import annotations

from tutuclient.batch.keys import Keys


def test_a_set_of_keys_holds_what_was_added() -> None:
    keys = Keys(range(0, 1000, 2))
    added = [number * 0x9E3779B97F4A7C15 % 2**64 for number in range(100_000)]
    for number in added:
        keys.add(number)
        keys.add(number)
    assert all(number in keys for number in added)
    assert 500 in keys
    assert 501 not in keys
    assert len(keys) == 100_000 + 500 - 1
