"""Long runs of the same kind of letters in bytes, as base64 and keys are: found at the speed of ``bytes.find``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN, _OUT = b"x", b" "


class Runs:
    """A set of bytes, and the length from which on a run of them counts.

    A regular expression tries each place of a text anew, some 20 ms for a megabyte of prose; where the bytes of the set
    have become one and the same, ``bytes.find`` skips what is too short.

    Args:
        letters: The bytes of the set.
        least: The shortest run that is found.
    """

    def __init__(self, letters: bytes, least: int) -> None:
        self._table = bytes(_IN[0] if each in letters else _OUT[0] for each in range(256))
        self._least = _IN * least

    def find(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield where each run begins and ends, in their order."""
        if len(data) < len(self._least):
            return
        marked, end = data.translate(self._table), 0
        while (start := marked.find(self._least, end)) >= 0:
            end = marked.find(_OUT, start)
            if end < 0:
                end = len(data)
            yield start, end
