"""A run's folder, read by others than the run: what became of each item, in few bytes of memory however many there are.

Nothing here locks or writes. A run that is going on may be read; what it has written so far is seen.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import msgspec

from tutuclient.batch.items import digest_of_id
from tutuclient.batch.journal import VERSION
from tutuclient.batch.lines import PAID, JournalError, Kind, Lines, record_at, records
from tutuclient.errors import ConfigError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

    from tutuclient.batch.lines import Record

T = TypeVar("T")

_JOURNAL: Final = "journal.jsonl"
_HEAPS: Final = 256
_MOST: Final = 65_535  # what an array of two bytes each holds
# What a line says of an item. Numbers, since there is one for each line.
_OPEN: Final = 0  # an order of an image was sent …
_TASK: Final = 1  # … and answered with a task
_OK: Final = 2
_SKIP: Final = 3  # an order that was not done, such as one that was refused and had to wait
_FAIL: Final = 4  # and from here on, by the class of the error
_STATES: Final[dict[Kind, int]] = {"sent": _OPEN, "ok": _OK, "skip": _SKIP, "fail": _FAIL}


class RunConfig(msgspec.Struct, kw_only=True):
    """What ``run.json`` says.

    Attributes:
        format: The version of the folder's format.
        created: When the run was begun, or its configuration last changed, in seconds since the epoch.
        config: What the answers depend on: ``task``, ``prompt``, ``model`` and the fields of the request.
    """

    format: int
    created: float = 0.0
    config: dict[str, Any] = {}


class Status(NamedTuple):
    """A run in numbers, as its journal has it.

    Attributes:
        answered: Items that have an answer.
        failed: Items whose last end is an error, by the class of the error.
        messages: The message of the first of them, by class.
        open: Orders of images without an end.
        unknown: Ids of items that may have been done and billed: orders without an end and without a task, and what
            failed so.
        tasks: Ids of orders that were answered with a task, which the run waits for when it goes on.
        tokens_in: Tokens of prompts, of all answers that were had, as far as the relay said.
        tokens_out: Tokens of answers, likewise.
        images: Files of images that were saved.
        first: When the first line was written, in seconds since the epoch; 0 when there is none.
        last: When the last one was.
        damaged: Lines that are not as they were written, and are left out.
    """

    answered: int
    failed: dict[str, int]
    messages: dict[str, str]
    open: int
    unknown: list[str]
    tasks: list[str]
    tokens_in: int
    tokens_out: int
    images: int
    first: float
    last: float
    damaged: int

    @property
    def items(self) -> int:
        """Items that the journal knows of."""
        return self.answered + sum(self.failed.values()) + self.open


def config(folder: Path) -> RunConfig:
    """Read what a run is.

    Raises:
        ConfigError: The folder holds no run, or one of another version.
        JournalError: Its ``run.json`` is damaged.
    """
    path = folder / "run.json"
    try:
        found = msgspec.json.decode(path.read_bytes(), type=RunConfig)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"{printable(str(folder))} holds no run, for there is no run.json in it: name the folder that the run was "
            "given (journal=, or -o)"
        ) from None
    except OSError as error:
        raise ConfigError(f"{printable(str(path))} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise JournalError(
            f"{printable(str(path))} is damaged ({printable(str(error))}): the answers are in {_JOURNAL} beside it, "
            "one JSON object a line"
        ) from error
    if found.format != VERSION:
        raise ConfigError(
            f"the run in {printable(str(folder))} has format {found.format}, and this version of tutuclient reads "
            f"format {VERSION}: use the version that wrote it, or a later one"
        )
    return found


def results(folder: Path) -> Iterator[Record]:
    """Yield what became of each item, in the order in which the journal first names them.

    It is the last end, ``ok`` or ``fail``; of an order of an image without an end it is the intent, ``sent``: its
    outcome is unknown. An order that was refused leaves its item as it was before. An item that was asked again, since
    its prompt or its file had changed, is yielded once, as it was last. The journal is read twice, and takes some 40
    bytes of memory for each line.

    Raises:
        ConfigError: The folder holds no run, or one of another version.
        JournalError: Nothing of the journal can be read.
    """
    config(folder)
    index = _Index(folder / _JOURNAL)
    if index.states:
        with (folder / _JOURNAL).open("rb") as file:
            for line in index.last_lines():
                yield index.read(file, line)


def events(folder: Path) -> Iterator[Record]:
    """Yield the events of a run (``k="ev"``), in their order. Errors as for ``results``."""
    config(folder)
    path = folder / _JOURNAL
    for at, kind in _read(path, _kinds):
        if kind is not None and kind.k == "ev" and (record := record_at(path, at)) is not None:
            yield record


def status(folder: Path) -> Status:
    """Return a run in numbers. Errors and memory as for ``results``."""
    config(folder)
    index = _Index(folder / _JOURNAL)
    counts: dict[int, int] = {}
    unknown: list[str] = []
    tasks: list[str] = []
    messages: dict[str, str] = {}
    images = 0
    if index.states:
        with (folder / _JOURNAL).open("rb") as file:
            for line in index.last_lines():
                state = index.states[line]
                images += index.images[line]
                counts[state] = counts.get(state, 0) + 1
                # Of nearly all items that is all, so few lines are read again.
                if state <= _TASK or index.billed[line] or (state >= _FAIL and counts[state] == 1):
                    record = index.read(file, line)
                    if record.k == "fail":
                        messages.setdefault(record.cls, record.err)
                    if state == _TASK:
                        tasks.append(record.id)
                    elif record.k == "sent" or record.outcome in PAID:
                        unknown.append(record.id)
    failed = {name: counts[_FAIL + at] for at, name in enumerate(index.classes) if _FAIL + at in counts}
    return Status(
        answered=counts.get(_OK, 0),
        failed=failed,
        messages=messages,
        open=counts.get(_OPEN, 0) + counts.get(_TASK, 0),
        unknown=unknown,
        tasks=tasks,
        tokens_in=index.tokens_in,
        tokens_out=index.tokens_out,
        images=images,
        first=index.first,
        last=index.last,
        damaged=index.damaged,
    )


class _Kind(msgspec.Struct):
    k: Kind


class _Head(msgspec.Struct):
    """What the index needs of a line; the rest is not decoded."""

    k: Kind
    id: str = ""
    key: str = ""
    t: float = 0.0
    cls: str = ""
    outcome: str = ""
    task: str = ""
    tin: int | None = None
    tout: int | None = None
    img: list[Any] = []
    same: str = ""


_kinds: Final = Lines(_Kind)
_heads: Final = Lines(_Head)


def _read(path: Path, lines: Lines[T]) -> Iterator[tuple[int, T | None]]:
    """Yield where each line begins, and what it says; None of one that is damaged."""
    try:
        with path.open("rb") as file:
            for at, _, line in lines.read(file):
                yield at, line
    except FileNotFoundError:  # The run was stopped before its first item.
        return
    except OSError as error:
        raise JournalError(f"the journal {printable(str(path))} cannot be read: {error.strerror}") from error


class _Item:
    """What the lines of an item have said so far: which was its first, its last end, and what says most of it.

    Attributes:
        first: Its first line.
        last: The line that says what became of it; -1 for nothing.
        end: Its last end; -1 for none.
        orders: Its orders without an end.
    """

    __slots__ = ("end", "first", "last", "orders")

    def __init__(self, first: int) -> None:
        self.first = first
        self.last = self.end = -1
        self.orders: list[int] = []


class _Index:
    """The lines of a journal that say what became of an item, in some 40 bytes each.

    Attributes:
        states: ``_OPEN`` and so on, or ``_FAIL`` plus the place of the error's class in ``classes``; by line.
        billed: Whether it failed, and was billed or may have been; by line.
        keyless: Whether it is of an item that could not be read, so that nothing was sent; by line.
        images: How many images were saved; by line.
        classes: The classes of errors.
        tokens_in: Tokens of prompts.
        tokens_out: Tokens of answers.
        first: When the first line was written.
        last: When the last one was.
        damaged: Lines that are not as they were written.
    """

    def __init__(self, path: Path) -> None:
        self.states: array[int] = array("H")
        self.billed = bytearray()
        self.keyless = bytearray()
        self.images: array[int] = array("H")
        self.classes: list[str] = []
        self.tokens_in = self.tokens_out = self.damaged = 0
        self.first = self.last = 0.0
        self._keys: array[int] = array("Q")
        self._offsets: array[int] = array("Q")
        # Pairs of an id's digest and a line, in heaps by the digest: a dict of a million ids would take 150 MB, and one
        # heap at a time takes next to nothing.
        self._heaps: list[array[int]] = [array("Q") for _ in range(_HEAPS)]
        self._places: dict[str, int] = {}
        whole_lines = 0
        for at, head in _read(path, _heads):
            if head is None:
                self.damaged += 1
            else:
                whole_lines += 1
                self._note(head, at)
        if self.damaged and not whole_lines:
            raise JournalError(
                f"the journal {printable(str(path))} is damaged: not one of its {self.damaged} lines is as it was "
                "written; look for a copy of it"
            )

    def _note(self, head: _Head, at: int) -> None:
        self.first = min(self.first or head.t, head.t)
        self.last = max(self.last, head.t)
        self.tokens_in += head.tin or 0
        self.tokens_out += head.tout or 0
        state = _STATES.get(head.k)
        if state is None:  # An event.
            return
        if state == _FAIL:
            place = self._places.setdefault(head.cls, min(len(self._places), _MOST - _FAIL))
            if place == len(self.classes):
                self.classes.append(head.cls)
            state += place
        elif head.task and state == _OPEN:
            state = _TASK
        found = digest_of_id(head.id)
        self._heaps[found % _HEAPS].extend((found, len(self.states)))
        self.states.append(state)
        self.billed.append(state >= _FAIL and head.outcome in PAID)
        self.keyless.append(not head.key)
        self.images.append(0 if head.same else min(len(head.img), _MOST))
        self._keys.append(int(head.key or "0", 16))
        self._offsets.append(at)

    def last_lines(self) -> Iterator[int]:
        """Yield the line that says what became of an item, item by item as the journal first names them."""
        chosen = array("q", [-1]) * len(self.states)
        for heap in self._heaps:
            items: dict[int, _Item] = {}
            for at in range(0, len(heap), 2):
                name, line = heap[at], heap[at + 1]
                if (item := items.get(name)) is None:
                    item = items[name] = _Item(line)
                self._follow(item, line)
                chosen[item.first] = item.last
        for line in chosen:
            if line >= 0:
                yield line

    def _follow(self, item: _Item, line: int) -> None:
        """Add the next line of an item, as the journal's ``scan`` does."""
        state = self.states[line]
        if self.keyless[line]:
            # Nothing was sent, which says nothing of what was sent before: an answer, or what was paid for, stays.
            ended = item.end >= 0 and (self.states[item.end] == _OK or self.billed[item.end])
            if not (ended or item.orders or state == _SKIP):
                item.last = item.end = line
        elif state <= _TASK:
            if state == _TASK:  # Of the same order.
                del item.orders[-1:]
            item.orders.append(line)
            item.last = line
        elif state == _OK:
            item.orders.clear()
            item.last = item.end = line
        elif state != _SKIP and self.billed[line]:
            item.last = item.end = line
        else:
            del item.orders[-1:]
            if state != _SKIP and not self._is_answered(item.end, line):
                item.end = line
            # An order before it, which a crash left without an end, may still have been done.
            item.last = item.orders[-1] if item.orders else item.end

    def _is_answered(self, end: int, line: int) -> bool:
        """Return whether an item's last end is an answer to the very question that a line is about."""
        return end >= 0 and self.states[end] == _OK and self._keys[end] == self._keys[line]

    def read(self, file: BufferedReader, line: int) -> Record:
        """Read the record of a line."""
        file.seek(self._offsets[line])
        return records.one(file.readline().rstrip(b"\n"))
