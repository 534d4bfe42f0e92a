"""The journal of a run: one line for each result, on disk before the caller sees it, read again when the run goes on.

A run's folder holds ``run.json`` (what the run is), ``journal.jsonl`` (append-only, one writer), ``LOCK`` and
``images/``. What a line is stands in ``lines``.

A result is written (safe from ``kill -9``) before it is handed on, and synced (safe from power loss) within 100 ms or
256 records. An **intent** is written and synced before a request that makes an image, when the relay's pace has let it
in: after a crash, an intent without an end is an order whose outcome is unknown. A refusal ends its intent (``skip``),
since nothing was made, and the next attempt writes another. So a run that is killed while orders wait has none to list;
a ``skip`` that a power cut loses leaves its order unknown, which costs a look and not a second image.

Not for network file systems: their locks and their syncs do not keep what this relies on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import queue
import threading
import time
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import msgspec

from tutuclient._threads import in_thread
from tutuclient.batch.fields import LOOKS
from tutuclient.batch.keys import Keys
from tutuclient.batch.lines import PAID, Head, JournalError, Lines, encode
from tutuclient.errors import ConfigError, printable

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.batch.lines import Record

VERSION: Final = 1
_NAME: Final = "journal.jsonl"
_SYNC_S: Final = 0.1
_SYNC_RECORDS: Final = 256
_GATHER_S: Final = 0.002
_JOINED: Final = 512  # records that are written at once
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class JournalInUseError(JournalError):
    """Another process writes to the journal."""


heads: Final = Lines(Head)


class Found(NamedTuple):
    """What a journal holds when a run goes on.

    Attributes:
        ok: Keys of the items that are answered.
        failed: Keys of those that failed, and were not answered later.
        open: Orders that were made or may have been, by key: intents without an end, and those whose end was an error
            of that kind; the items' ids and, where known, their tasks. An intent is ended once: that a second order was
            rejected says nothing of the first.
        urls: Where the relay wants to be asked for the tasks of open orders, by key, as far as it said.
        relays: Which of several relays accepted them, by key.
        damaged: Lines left out because they are not as they were written.
        end: Where the last line ends that has an end, in bytes. What is behind it was torn while it was written.
        lines: Lines that are as they were written.
    """

    ok: Keys
    failed: Keys
    open: dict[int, tuple[str, str]]
    urls: dict[int, str]
    relays: dict[int, str]
    damaged: int
    end: int
    lines: int


def scan(path: Path) -> Found:
    """Read what going on needs: some 300,000 lines a second, 8 bytes of memory for each."""
    ok: array[int] = array("Q")
    failed: set[int] = set()
    intents: dict[int, tuple[str, str]] = {}
    urls: dict[int, str] = {}
    relays: dict[int, str] = {}
    again: Counter[int] = Counter()  # How many intents of a key are open besides its first.
    damaged = end = lines = 0
    with path.open("rb") as file:
        for _, end, head in heads.read(file):  # noqa: B007  (the last one's is needed)
            if head is None:
                damaged += 1
                continue
            lines += 1
            if not head.key:
                continue
            key = int(head.key, 16)
            if head.k == "fail" and head.outcome in PAID and key in intents:
                continue
            if head.k == "sent":
                again[key] += key in intents and not head.task
                note_intent(head, key, intents, urls, relays)
                continue
            if again[key] and head.k != "ok":
                again[key] -= 1
            else:
                intents.pop(key, None)
                urls.pop(key, None)
                relays.pop(key, None)
            if head.k == "ok":
                again.pop(key, None)
                ok.append(key)
                failed.discard(key)
            elif head.k == "fail":
                failed.add(key)
    return Found(Keys(ok), Keys(failed), intents, urls, relays, damaged, end, lines)


def note_intent(
    head: Head, key: int, intents: dict[int, tuple[str, str]], urls: dict[int, str], relays: dict[int, str]
) -> None:
    """Note an order, or the task that it was answered with, where ``Found`` has what is open."""
    intents[key] = head.id, head.task or intents.get(key, ("", ""))[1]
    if head.task and head.rel:
        relays[key] = head.rel
    if head.task:  # Another one than before.
        urls.pop(key, None)
    if head.url:
        urls[key] = head.url


class Lock:
    """The right to write to a run, held by one process. The system takes it back when the process ends."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / "LOCK", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._descriptor)
        except OSError as error:
            self.release()
            raise JournalInUseError(
                f"the run {printable(str(folder))} is in use by another process: wait for it, or choose another folder"
            ) from error

    def release(self) -> None:
        """Release it; doing so again has no effect."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        # Taken in a thread, for a task that was cancelled meanwhile.
        if hasattr(self, "_descriptor"):
            self.release()


try:
    import fcntl
except ImportError:  # pragma: no cover  (Windows)
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
else:

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sync_folder(folder: Path) -> None:
    """Sync the names within a folder, so that they survive a power cut. Windows needs no such call."""
    if os.name == "nt":  # pragma: no cover
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_Waiter: TypeAlias = "asyncio.Future[None] | None"


class _Line(NamedTuple):
    data: bytes
    sync: bool
    waiter: _Waiter


class Writer:
    """Appends to a journal from a thread of its own, joining what waits and syncing once for many.

    Args:
        path: The file. It exists, and is locked by the caller.
        end: Where the last whole line ends. What is behind it is cut off.
    """

    def __init__(self, path: Path, end: int) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._descriptor = os.open(path, os.O_WRONLY)
        os.ftruncate(self._descriptor, end)
        os.lseek(self._descriptor, end, os.SEEK_SET)
        self._has_name = os.fstat(self._descriptor).st_nlink > 0  # Some file systems of a network do not count.
        self._end = end
        self._torn = False
        self._ended = asyncio.Event()
        self._failure: JournalError | None = None
        self._unsynced = 0
        self._unsynced_since = 0.0
        # As long as there are callers that wait: a slow disk slows the run, and does not fill the memory.
        self._queue: queue.SimpleQueue[list[_Line] | None] = queue.SimpleQueue()
        self._gathered: list[_Line] = []
        self._thread = threading.Thread(target=self._work, name="tutuclient-journal", daemon=True)
        self._thread.start()

    async def append(self, record: Record, *, sync: bool = False) -> None:
        """Write a record. When this returns it is written, or synced as well where that was asked for.

        Raises:
            JournalError: It could not be; nor will anything after it.
        """
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._gather(record, sync, waiter)
        await waiter

    def note(self, record: Record) -> None:
        """Queue a record to be written soon, behind those before it. A failure is raised by the next ``append``."""
        self._gather(record, False, None)

    def _gather(self, record: Record, sync: bool, waiter: _Waiter) -> None:
        record.t = record.t or round(time.time(), 3)
        self._gathered.append(_Line(encode(record), sync, waiter))
        if sync:
            self._hand_over()
        elif len(self._gathered) == 1:
            # Waking the thread for each record would cost more than all else that is done for it.
            self._loop.call_later(_GATHER_S, self._hand_over)

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    async def aclose(self) -> None:
        """Write and sync what is left, and close the file."""
        self._hand_over()
        if self._thread.is_alive():
            self._queue.put(None)
            await self._ended.wait()
            self._thread.join()  # That was the last thing it did.
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        closing = False
        while not closing:
            real, closing = self._next()
            if real and self._failure is None:
                self._write(b"".join(line.data for line in real), len(real))
            due = self._unsynced and time.monotonic() >= self._unsynced_since + _SYNC_S
            if closing or due or self._unsynced >= _SYNC_RECORDS or any(line.sync for line in real):
                self._sync()
            self._answer([line.waiter for line in real if line.waiter is not None])
        os.close(self._descriptor)
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits.
            self._loop.call_soon_threadsafe(self._ended.set)

    def _next(self) -> tuple[list[_Line], bool]:
        """Return what waits, or nothing when a sync is due, and whether that was the end."""
        timeout = max(0.0, self._unsynced_since + _SYNC_S - time.monotonic()) if self._unsynced else None
        lines: list[_Line] = []
        with contextlib.suppress(queue.Empty):
            got = self._queue.get(timeout=timeout)
            while got is not None:
                lines += got
                if len(lines) >= _JOINED:
                    return lines, False
                got = self._queue.get_nowait()
            return lines, True
        return lines, False

    def _write(self, data: bytes, count: int) -> None:
        rest = memoryview(b"\n" + data if self._torn else data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._torn = True
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
                os.lseek(self._descriptor, self._end, os.SEEK_SET)
            self._fail("written", error)
            return
        self._end += len(data)
        if not self._unsynced:
            self._unsynced_since = time.monotonic()
        self._unsynced += count

    def _sync(self) -> None:
        if not self._unsynced or self._failure is not None:
            return
        try:
            (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(self._descriptor)
            if self._has_name and not os.fstat(self._descriptor).st_nlink:
                raise FileNotFoundError(errno.ENOENT, "it was deleted")
        except OSError as error:
            # Not tried again: the kernel may have dropped the pages, and a second sync would succeed without them.
            self._fail("synced to the disk", error)
        self._unsynced = 0

    def _fail(self, done: str, error: OSError) -> None:
        self._failure = _not_written(self._path, done, error)
        self._failure.__cause__ = error

    def _answer(self, waiters: list[asyncio.Future[None]]) -> None:
        failure = self._failure

        def settle() -> None:
            for waiter in waiters:
                if waiter.done():
                    continue
                if failure is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(failure)

        if waiters:
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits.
                self._loop.call_soon_threadsafe(settle)


class Journal:
    """A run's folder: made anew, or gone on with.

    Attributes:
        folder: Where it is.
        path: The file of its lines.
        config: What the answers depend on, as the folder has it: see ``check_config``.
        found: What it held when it was opened.
    """

    def __init__(self, folder: Path, config: dict[str, Any], found: Found, lock: Lock, writer: Writer) -> None:
        self.folder = folder
        self.config = config
        self.path: Path = folder / _NAME
        self.found = found
        self._lock = lock
        self._writer = writer

    @classmethod
    async def open(cls, folder: Path, config: dict[str, Any], *, allow_change: bool = False) -> Journal:
        """Create a run's folder, or go on with the one that is there.

        Args:
            folder: The run's folder.
            config: What the answers depend on, as JSON. It has to be that of the run.
            allow_change: Take another configuration all the same: items whose key has changed are asked again.

        Raises:
            ConfigError: The folder cannot be used, or holds a run with another configuration.
            JournalError: Another process writes to it, or the disk is full.
        """
        opening = asyncio.ensure_future(in_thread(_prepare, folder, config, allow_change))
        try:
            lock, found, there = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # Its thread goes on all the same, and takes the lock.
            opening.add_done_callback(_release)
            await asyncio.wait([opening])
            raise
        try:
            return cls(folder, there, found, lock, Writer(folder / _NAME, found.end))
        except OSError as error:
            lock.release()
            raise _not_written(folder, "begun", error) from error
        except BaseException:
            lock.release()
            raise

    async def append(self, record: Record, *, sync: bool = False) -> None:
        """Write a record, see ``Writer.append``."""
        await self._writer.append(record, sync=sync)

    def note(self, record: Record) -> None:
        """Queue a record, see ``Writer.note``."""
        self._writer.note(record)

    async def aclose(self) -> None:
        """Sync and close it, and let others write."""
        try:
            await self._writer.aclose()
        finally:
            self._lock.release()


def _prepare(folder: Path, config: dict[str, Any], allow_change: bool) -> tuple[Lock, Found, dict[str, Any]]:
    path = folder / _NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder)
    except OSError as error:
        raise ConfigError(f"the folder {printable(str(folder))} cannot be used: {error.strerror}") from error
    began = (folder / "run.json").exists()
    try:
        if not began:  # First, so that one that is missing later was lost.
            path.touch()
        there = check_config(folder, config, allow_change=allow_change)
        found = scan(path) if path.exists() else None
        if began:
            _check_found(folder, found)
        return lock, found or scan(path), there
    except OSError as error:
        if not began:
            path.unlink(missing_ok=True)
        lock.release()
        raise _not_written(folder, "begun", error) from error
    except BaseException:
        lock.release()
        raise


def _check_found(folder: Path, found: Found | None) -> None:
    """Check that a journal which was begun is there still: else all that it held would be asked and ordered again.

    Raises:
        JournalError: It is lost, or damaged from its first line to its last.
    """
    if found is not None and found.lines:
        return
    if found is None:
        what = "is missing"
    elif found.damaged:
        what = (
            f"is damaged: not one of its {found.damaged} lines is as it was written (git and editors may change the "
            "ends of lines)"
        )
    elif (images := folder / "images").is_dir() and any(images.iterdir()):
        what = "is empty, and there are images of it"
    else:  # The run was stopped before its first line.
        return
    raise JournalError(
        f"the journal {printable(str(folder / _NAME))} {what}. What was answered and ordered is not known: "
        "put a copy of it in its place, or begin anew in another folder. Nothing was sent"
    )


def _release(opening: asyncio.Future[tuple[Lock, Found, dict[str, Any]]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].release()


def _not_written(path: Path, done: str, error: OSError) -> JournalError:
    more = ": make room on the disk, and run the same again" if error.errno in _FULL else ""
    safe = "; what it holds is safe"
    if error.errno == errno.ENOENT:
        safe = ": put a copy of it in its place, since without it nobody knows what was answered and ordered"
    return JournalError(f"the journal {printable(str(path))} could not be {done} ({error.strerror}){more}{safe}")


def _shown(config: dict[str, Any], name: str) -> str:
    return printable(repr(config[name]), 80) if name in config else "not set"


def _written(value: Any) -> bytes:
    # The keys of items are made of this: 0 and 0.0 are equal, and items of the one would all be new with the other.
    return msgspec.json.encode(value, order="deterministic")


def check_config(folder: Path, config: dict[str, Any], *, allow_change: bool) -> dict[str, Any]:
    """Check that a folder's run, if there is one, has this configuration, and write it down.

    Returns it as the folder has it. That is another one where a default is said in one and not in the other: the keys
    of the run are digests of it as it was said, and with another one each item would be new, and paid for again.

    Raises:
        ConfigError: It has another one, or cannot be read.
        OSError: It could not be written.
    """
    path = folder / "run.json"
    try:
        there: dict[str, Any] | None = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        there = None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{printable(str(path))} cannot be read: {error}") from error
    if there is not None and there.get("format") != VERSION:
        raise ConfigError(
            f"the run in {printable(str(folder))} has the format {printable(str(there.get('format')), 20)}, and this "
            f"version of tutuclient knows those up to {VERSION}"
        )
    before: dict[str, Any] = {} if there is None else there.get("config") or {}
    if there is not None and _written(before) == _written(config):
        return config
    if there is not None and not allow_change:
        if _written({**LOOKS, **before}) == _written({**LOOKS, **config}):
            return before
        names = sorted(name for name in {*config, *before} if _written(config.get(name)) != _written(before.get(name)))
        changed = "; ".join(f"{name} was {_shown(before, name)}, is {_shown(config, name)}" for name in names)
        raise ConfigError(
            f"the run in {printable(str(folder))} was begun with another configuration ({changed}): choose another "
            "folder, or pass allow_change=True, and what it changes is asked again"
        )
    data = msgspec.json.format(msgspec.json.encode({"format": VERSION, "created": time.time(), "config": config}))
    part = folder / ".run.json.part"
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return config
