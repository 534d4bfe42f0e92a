"""Comparing what is long.

Where ``CI`` is set, pytest prints both sides of a failed ``==`` whole, after looking for minutes for what they have
in common: https://docs.pytest.org/en/stable/explanation/ci.html.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T", str, bytes)


def difference(found: T, expected: T) -> str:
    """Return where two long texts or bytes begin to differ, for people, or "" where they are equal."""
    if found == expected:
        return ""
    pairs = enumerate(zip(found, expected, strict=False))
    at = next((place for place, (one, other) in pairs if one != other), min(len(found), len(expected)))
    near = slice(max(at - 20, 0), at + 40)
    return f"{len(found):,} long, not {len(expected):,}; from {at:,} on {found[near]!r}, not {expected[near]!r}"
