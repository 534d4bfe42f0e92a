"""Sets of keys, which are numbers of 64 bits, in few bytes each: there is one for each item of a run."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHARD_BITS: Final = 12  # a million keys are 244 in each, which one is inserted into in a microsecond
_SHIFT: Final = 64 - _SHARD_BITS


class Keys:
    """A set of keys in some nine bytes each, where a set takes eighty: sorted arrays, by the first bits of the key."""

    def __init__(self, keys: Iterable[int] = ()) -> None:
        self._shards: dict[int, array[int]] = {}
        for key in keys:
            self._shard(key).append(key)
        for first, shard in self._shards.items():
            self._shards[first] = array("Q", sorted(set(shard)))

    def __contains__(self, key: int) -> bool:
        shard = self._shard(key)
        at = bisect_left(shard, key)
        return at < len(shard) and shard[at] == key

    def __len__(self) -> int:
        return sum(map(len, self._shards.values()))

    def add(self, key: int) -> bool:
        """Add a key; return whether it is new."""
        shard = self._shard(key)
        at = bisect_left(shard, key)
        if at < len(shard) and shard[at] == key:
            return False
        shard.insert(at, key)
        return True

    def _shard(self, key: int) -> array[int]:
        first = key >> _SHIFT
        found = self._shards.get(first)
        if found is None:
            found = self._shards[first] = array("Q")
        return found
