"""Equal items asked once: the first is answered, and the others of its content have its answer.

Two items are equal when all that an answer depends on is equal: the bytes of their images (or their URLs), the prompt
or the messages, the fields. Answers stay in memory up to a bound; beyond it a run with a journal reads them from there,
and so it also finds what an earlier part of the run has answered or ordered.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import sys
from array import array
from bisect import bisect_right
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from tutuclient._threads import in_thread
from tutuclient.batch.items import digest, digest_of_id, loaded
from tutuclient.batch.lines import PAID, Kind, Lines, Record, record_at
from tutuclient.batch.result import BatchResult
from tutuclient.errors import APIStatusError, TutuError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tutuclient.batch.items import Item, Reader
    from tutuclient.batch.keys import Keys

T = TypeVar("T")

_MOST_BYTES: Final = 64 * 2**20
_BASE_BYTES: Final = 1500  # of an entry, with what an error holds
_CHUNK: Final = 65_536
# These say that the request itself cannot be served; others (a limit, a key, a balance) say nothing of the next one.
_OF_THE_CONTENT: Final = frozenset({400, 413, 415, 422})


class Deduplicator(Generic[T]):
    """Finds the answer of an equal item.

    Args:
        reader: Digests items.
        restore: Reads a value from what the journal has of it.
        path: The journal, or None.
        orders: Whether images are made: an order that may have been made is not made again for an equal item.
        resend_unknown: Whether it is all the same, where it was an earlier part of the run that made it.
        most_bytes: Memory for answers, roughly.
    """

    def __init__(
        self,
        reader: Reader,
        restore: Callable[[Any], T],
        path: Path | None,
        *,
        orders: bool,
        resend_unknown: bool = False,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._reader = reader
        self._restore = restore
        self._written = None if path is None else Written(path)
        self._orders = orders
        self._resend_unknown = resend_unknown
        self._most_bytes = most_bytes
        self._bytes = 0
        self._repeated: Counter[int] = Counter()
        self._reading = asyncio.Lock()
        self._known: OrderedDict[int, tuple[BatchResult[T], int]] = OrderedDict()
        self._in_flight: dict[int, tuple[Item, asyncio.Event]] = {}

    def make_unique(self, item: Item, taken: Keys) -> None:
        """Create a name of its own for an item whose name is taken, where that is not the caller's.

        The same URL may be there many times. Each time is an item, ``… (2)``, ``… (3)`` as they come.
        """
        if item.own or (name := digest_of_id(item.id)) not in taken:
            return
        base = item.id
        while digest_of_id(item.id) in taken:
            self._repeated[name] += 1
            item.id = f"{base} ({self._repeated[name] + 1})"
        if item.fault is None:
            item.key = digest(item.key, item.id)

    async def first(self, item: Item) -> BatchResult[T] | None:
        """Return the result of an equal item, when there is one that holds for this one too.

        Waits for one that is in flight. When it returns None, the item is to be answered itself, and ``answered`` has
        to be called at the end of that, whatever the end is.
        """
        if item.fault is not None:
            return None
        await self._digest(item)
        key = item.equal
        while key and (flight := self._in_flight.get(key)) is not None:
            await flight[1].wait()
        if not key:
            return None
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key][0]
        self._in_flight[key] = item, asyncio.Event()
        found = None
        try:
            found = await self._find_written(item)
        except BaseException:
            self._land(item)
            raise
        if found is not None:
            if found.error is None:  # An order that may be made is its own item's to wait for, or to make again.
                self._keep(key, found)
            self._land(item)
        return found

    def answered(self, item: Item, result: BatchResult[T] | None) -> None:
        """Note the end of an item: its result, or None when it has none. Those that wait for it go on."""
        flight = self._in_flight.get(item.equal)
        if flight is None or flight[0] is not item:
            return
        if result is None and self._orders:
            error = TutuError(f"the equal order of {item.id} was cut short, and may have been made", outcome="unknown")
            result = BatchResult(item.index, item.id, error=error, outcome="unknown")
        if result is not None and holds_for_equals(result, orders=self._orders):
            self._keep(item.equal, result)
        self._land(item)

    def _land(self, item: Item) -> None:
        self._in_flight.pop(item.equal)[1].set()

    async def _digest(self, item: Item) -> None:
        if item.equal:
            return
        try:
            # What fsspec opens is fetched once, for the digest and for the call.
            item.sources = [await loaded(source) for source in item.sources]
        except Exception:  # noqa: BLE001  (any store's own: the call meets it again, and its result has it)
            return
        heavy = any(hasattr(source, "tobytes") for source in item.sources)
        item.equal = await in_thread(self._reader.content, item, abandon_on_cancel=True, heavy=heavy)

    def _keep(self, key: int, result: BatchResult[T]) -> None:
        size = _BASE_BYTES + _size_of(result.value)
        self._bytes -= self._known.pop(key, (result, 0))[1]
        # Without what only the first one used; and an error without its traceback, whose frames hold whole requests.
        kept = dataclasses.replace(result, error=_bare(result.error), value=copied(result.value))
        self._known[key] = kept, size
        self._bytes += size

    async def _find_written(self, item: Item) -> BatchResult[T] | None:
        """Return what the journal has of an equal item."""
        if self._written is None:
            self._shrink()
            return None
        async with self._reading:
            if self._bytes > self._most_bytes or not self._written.was_read:
                await in_thread(self._written.read_on)
                self._shrink()
        if (record := await self._written.record(item.equal)) is None:
            return None
        result: BatchResult[T] = BatchResult(-1, record.same or record.id, finish_reason=record.fin or None)
        if record.k == "ok":
            try:
                result.value = self._restore(record.res)
            except Exception:  # noqa: BLE001  (of a type whose fields have changed, or that JSON does not hold)
                return None
            result.images = [self._written.path.parent / "images" / name for name, _ in record.img]
            return result
        may_be_made = record.k == "sent" or (record.k == "fail" and record.outcome in PAID)
        # Whether its own order is made again, or its task waited for, is decided before it comes here.
        # A line about an equal one has the key of the item that was not ordered.
        is_its_own = record.same == item.id or (not record.same and record.key == f"{item.key:016x}")
        if not may_be_made or is_its_own or not self._orders or self._resend_unknown:
            return None
        result.outcome = "unknown"
        result.error = TutuError(f"the equal order of {record.id} may have been made, and billed", outcome="unknown")
        return result

    def _shrink(self) -> None:
        while self._bytes > self._most_bytes * 3 // 4:
            self._bytes -= self._known.popitem(last=False)[1][1]


class _Head(msgspec.Struct):
    """What finding a line needs of it."""

    k: Kind
    eq: str = ""


_heads: Final = Lines(_Head)


class Written:
    """Where in a journal the last line of each content stands: 16 bytes of memory for a line.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.was_read = False
        self._end = 0
        self._chunks: list[tuple[array[int], array[int]]] = []

    def read_on(self) -> None:
        """Read what has been written since the last time. Runs in a thread."""
        self.was_read = True
        found: list[tuple[int, int]] = []
        with self.path.open("rb") as file:
            for at, end, head in _heads.read(file, self._end):
                self._end = end
                if head is not None and head.eq:
                    found.append((int(head.eq, 16), at))
                if len(found) >= _CHUNK:
                    self._add(found)
                    found = []
        if found:
            self._add(found)

    def _add(self, found: list[tuple[int, int]]) -> None:
        found.sort()
        self._chunks.append((array("Q", [key for key, _ in found]), array("Q", [at for _, at in found])))

    async def record(self, key: int) -> Record | None:
        """Return the last record of a content, as far as has been read."""
        for keys, places in reversed(self._chunks):
            at = bisect_right(keys, key) - 1
            if at >= 0 and keys[at] == key:
                return await in_thread(record_at, self.path, places[at])
        return None


def holds_for_equals(result: BatchResult[Any], *, orders: bool) -> bool:
    """Return whether a result is that of all equal items.

    An answer is, and an error that says what is wrong with the request, or that there was an answer, which was billed
    and cannot be used. An order that was made or may have been is not made again. After any other error, which may be
    gone the next time, each item is asked for itself.
    """
    error = result.error
    if error is None or (orders and result.outcome in PAID):
        return True
    if isinstance(error, APIStatusError):
        return error.status_code in _OF_THE_CONTENT
    return getattr(error, "completion", None) is not None or getattr(error, "partial", None) is not None


def copied(value: T) -> T:
    """Return a copy of a value, so that who changes one result changes no other; itself where it has no copy."""
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001  (a type's own code)
        return value


def _bare(error: Exception | None) -> Exception | None:
    if error is None:
        return None
    try:
        return copy.copy(error)
    except Exception:  # noqa: BLE001  (a class whose constructor wants other arguments)
        return TutuError(f"{type(error).__name__}: {error}", outcome=getattr(error, "outcome", None))


def _size_of(value: Any) -> int:
    # Of a value with fields its repr tells the size, near enough.
    return sys.getsizeof(value) if isinstance(value, str) else 4 * len(repr(value))
