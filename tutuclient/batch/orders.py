"""Orders of images that several processes write down together, so that none is made twice, whoever meets it again.

An engine such as Ray does a block of rows again when a worker dies, and mostly on another worker. So all workers of a
run share one folder: each writes a journal of its own in it (``writer-0``, ``writer-1`` …, each with its ``LOCK``),
and reads those of the others. An order is claimed under the folder's own ``LOCK``: the journals are read to their
ends, and only if none of them has the order is its intent written and synced, before the lock is released and the
request sent. Images go into ``images/``.

What was ordered is told from what was not by the key of its item: the digest of its id and of all that the image
depends on. The folder has to be the same one for all workers, on a file system whose locks hold for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tutuclient._threads import in_thread
from tutuclient.batch.journal import Found, Journal, JournalInUseError, Lock, check_config, heads, note_intent
from tutuclient.batch.keys import Keys
from tutuclient.batch.lines import PAID, JournalError, Record, record_at
from tutuclient.errors import ConfigError, TutuError, printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tutuclient.batch.lines import Head

_NAME: Final = "journal.jsonl"
_LOCK_EVERY_S: Final = 0.002
_LOCK_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.5
_MOST_WRITERS: Final = 10_000
_LEFT: Final = "CancelledError"
_OPENED: Final = "opened"


class OrderedBeforeError(TutuError):
    """The image is not ordered, as the journals have an order of it already.

    Args:
        message: Where it comes from.
        key: The key of the order.

    Attributes:
        key: The key of the order.
    """

    def __init__(self, message: str, key: int) -> None:
        super().__init__(message)
        self.key: int = key

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.key)


class NotOrderedError(TutuError):
    """An order that another run or process had made is not made after all."""


class _Place(NamedTuple):
    """Where a record stands."""

    log: _Log
    offset: int


class _Log:
    """One writer's journal, as far as it has been read.

    Attributes:
        path: The file.
        end: Where the last line ends that was read.
        open: How many orders of each key are without an end, or with one that says that they may have been made.
        ended: Keys among them that nobody works on: they have such an end, or their process has ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end = 0
        self.open: dict[int, int] = {}
        self.ended: set[int] = set()

    @property
    def is_alive(self) -> bool:
        """Whether its writer holds it."""
        try:
            Lock(self.path.parent).release()
        except JournalInUseError:
            return True
        return False


class OrderBook:
    """The orders of a folder, for one of the processes that share it. It may serve several runs at a time.

    Args:
        folder: The folder.
        resend_unknown: Order again what was ordered by a process that ended before the answer came.
    """

    def __init__(self, folder: Path, *, resend_unknown: bool = False) -> None:
        self.folder = folder
        self._resends = resend_unknown
        self._own: Journal | None = None
        self._turn = asyncio.Lock()
        self._logs: dict[str, _Log] = {}
        self._ends: dict[int, _Place] = {}
        self.found = Found(Keys(), Keys(), {}, {}, {}, 0, 0, 0)
        """What the journals hold, live."""

    async def join(self, config: dict[str, Any], *, allow_change: bool = False) -> Journal:
        """Return a journal for one run, whose orders are claimed here.

        Raises:
            ConfigError: The folder cannot be used, or holds orders of another configuration.
            JournalError: The disk is full.
        """
        async with self._turn:
            if self._own is None:
                self._own = await self._open(config, allow_change=allow_change)
            await in_thread(self._read_all)
        return _Share(self, self._own)

    async def _open(self, config: dict[str, Any], *, allow_change: bool) -> Journal:
        folder = self.folder
        try:
            await in_thread(lambda: folder.mkdir(parents=True, exist_ok=True))
        except OSError as error:
            raise ConfigError(f"the folder {printable(str(folder))} cannot be used: {error.strerror}") from error
        async with self._lock():
            wanted = {"orders": "shared", **config}
            there = await in_thread(lambda: check_config(folder, wanted, allow_change=allow_change))
            config = {name: value for name, value in there.items() if name != "orders"}
            for number in range(_MOST_WRITERS):
                # One that nobody holds is gone on with: else each restart of a worker would leave a folder behind.
                with contextlib.suppress(JournalInUseError):
                    own = await Journal.open(folder / f"writer-{number}", config, allow_change=True)
                    await own.append(Record(k="ev", ev=_OPENED))
                    return own
        raise JournalError(f"{printable(str(folder))} has {_MOST_WRITERS} writers")

    async def aclose(self) -> None:
        """Write and sync what is left, and let another process go on with this one's journal."""
        own, self._own = self._own, None
        if own is not None:
            await own.aclose()

    @contextlib.asynccontextmanager
    async def _lock(self) -> AsyncGenerator[None, None]:
        """Hold the folder's lock, which no other process has meanwhile."""
        end = time.monotonic() + _LOCK_S
        while True:
            try:
                lock = Lock(self.folder)
            except JournalInUseError as error:
                if time.monotonic() >= end:
                    raise JournalError(
                        f"the lock of {printable(str(self.folder))} could not be had for {_LOCK_S:.0f} s: a process "
                        "that holds it is stopped, or the file system has no locks"
                    ) from error
                await asyncio.sleep(_LOCK_EVERY_S)
            else:
                break
        try:
            yield
        finally:
            lock.release()

    # --- Reading ---

    def _read_all(self) -> None:
        for folder in self.folder.glob("writer-*"):
            log = self._logs.setdefault(folder.name, _Log(folder / _NAME))
            with contextlib.suppress(FileNotFoundError):
                self._read(log)

    def _read(self, log: _Log) -> None:
        with log.path.open("rb") as file:
            for _, end, head in heads.read(file, log.end):
                if head is not None:
                    self._note(log, head)
                log.end = end

    def _note(self, log: _Log, head: Head) -> None:
        if head.ev == _OPENED:  # By another process: what is open is of one before it.
            log.ended.update(log.open)
        if not head.key:
            return
        key, found = int(head.key, 16), self.found
        if head.k == "sent":
            before = log.open.get(key, 0)
            log.open[key] = max(before, 1) if head.task else before + 1
            log.ended.discard(key)
            if key not in found.ok:
                note_intent(head, key, found.open, found.urls, found.relays)
        elif head.k == "ok":
            found.ok.add(key)
            self._close(log, key)
            self._ends[key] = _Place(log, log.end)
        elif head.k == "fail" and head.outcome in PAID and key in log.open:
            log.ended.add(key)
            if key not in found.ok:  # By an order before or after this one: the image is there.
                self._ends[key] = _Place(log, log.end)
        else:
            if head.k == "fail":
                self._ends.setdefault(key, _Place(log, log.end))
            self._end_one(log, key)

    def _end_one(self, log: _Log, key: int) -> None:
        """Note the end of an order that was not made. Of two, it says nothing of the other."""
        if log.open.get(key, 0) > 1:
            log.open[key] -= 1
            log.ended.add(key)  # An order is made beside another only when nobody works on that one.
            return
        self._drop(log, key)
        if not any(key in each.open for each in self._logs.values()):
            self._forget(key)

    def _close(self, log: _Log, key: int) -> None:
        self._drop(log, key)
        self._forget(key)

    @staticmethod
    def _drop(log: _Log, key: int) -> None:
        log.open.pop(key, None)
        log.ended.discard(key)

    def _forget(self, key: int) -> None:
        self.found.open.pop(key, None)
        self.found.urls.pop(key, None)
        self.found.relays.pop(key, None)

    # --- Orders ---

    async def claim(self, own: Journal, record: Record, claimed: set[int]) -> None:
        """Write and sync the intent of an order, unless there is one.

        Args:
            own: The journal to write it into.
            record: The intent.
            claimed: The keys of the run's own orders, to which it is added.

        Raises:
            OrderedBeforeError: There is one; nothing was written, and nothing is to be sent.
            JournalError: It could not be written.
        """
        key = int(record.key, 16)
        async with self._turn, self._lock():
            await in_thread(self._read_all)
            if key in self.found.ok:
                raise OrderedBeforeError("the image was made meanwhile, by another order of the same row", key)
            if key in self.found.open and not (self._resends and not await self._is_held(key)):
                raise OrderedBeforeError("the image was ordered before, for the same row", key)
            # At once: in a moment it may be on the disk, and other runs of this process must not end it.
            self.found.open[key] = record.id, self.found.open.get(key, ("", ""))[1]
            claimed.add(key)
            await own.append(record, sync=True)

    async def _is_held(self, key: int) -> bool:
        """Return whether a process that made an order of this key still runs: its answer may come."""
        holders = [each for each in self._logs.values() if key in each.open and key not in each.ended]
        return any([await in_thread(lambda: log.is_alive) for log in holders])  # noqa: B023  (awaited)

    async def left(self, claimed: set[int]) -> list[int]:
        """Return which of these orders have no end."""
        async with self._turn:
            await in_thread(self._read_all)
        ended = {key for log in self._logs.values() for key in claimed & log.ended}
        return [key for key in claimed if key in self.found.open and key not in ended]

    async def end_of(self, key: int) -> Record | None:
        """Return how an order ended, when it has: waits for the process that made it. None when that is not known.

        Raises:
            NotOrderedError: It came to nothing, such as one that was refused, and there is no other.
        """
        while key not in self.found.ok:
            async with self._turn:
                await in_thread(self._read_all)
            if key not in self.found.open or not await self._is_held(key):
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        place = self._ends.get(key)
        record = None if place is None else await in_thread(record_at, place.log.path, place.offset)
        is_open = key in self.found.open
        if place is None and not is_open:
            raise NotOrderedError(
                "another worker had ordered the image, and its order came to nothing; for this row nothing was sent, "
                "and it may be asked again",
                outcome="not_sent",
            )
        if is_open and record is not None and record.outcome not in PAID:  # It is of an order before the open one.
            return None
        return record


class _Share(Journal):
    """The journal of one run among several that write into the same one.

    Args:
        book: Where orders are claimed.
        own: The journal of this process.
    """

    def __init__(self, book: OrderBook, own: Journal) -> None:
        # Not by the constructor of a journal: its lock and its writer are the other's.
        self.folder = book.folder
        self.config = own.config
        self.path = own.path
        self.found = book.found
        self._book = book
        self._own = own
        self._claimed: set[int] = set()
        self._ended: set[int] = set()  # Of these: their ends may be queued, and not in the file yet.

    async def append(self, record: Record, *, sync: bool = False) -> None:
        if record.k == "sent" and not record.task:
            await self._book.claim(self._own, record, self._claimed)
            self._ended.discard(int(record.key, 16))
        elif self._is_ours(record):
            self._note_end(record)
            await self._own.append(record, sync=sync)

    def note(self, record: Record) -> None:
        if self._is_ours(record):
            self._note_end(record)
            self._own.note(record)

    def _note_end(self, record: Record) -> None:
        if record.key and record.k != "sent":
            self._ended.add(int(record.key, 16))

    def _is_ours(self, record: Record) -> bool:
        """Return whether a record may be written. An order of another run is not ended by what failed in this one."""
        if record.k not in ("skip", "fail") or not record.key:
            return True
        key = int(record.key, 16)
        return key in self._claimed or key not in self.found.open

    async def aclose(self) -> None:
        """Write which orders of this run nobody waits for any more. The journal stays open for the other runs."""
        for key in await self._book.left(self._claimed - self._ended):
            name = self.found.open[key][0]
            error = "the run was left before its answer came"
            self._own.note(Record(k="fail", id=name, key=f"{key:016x}", cls=_LEFT, outcome="unknown", err=error))
