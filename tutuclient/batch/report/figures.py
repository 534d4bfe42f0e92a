"""A run in figures, from one look at each of its records. Memory: some 5 bytes for each item."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from tutuclient.batch.report.advice import advice_for
from tutuclient.types.json import is_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tutuclient.batch.lines import Record

Status: TypeAlias = Literal["answered", "failed", "unknown"]

STATUSES: Final[tuple[Status, ...]] = ("answered", "failed", "unknown")
_DECADE: Final = 8  # columns of the latency histogram for each power of ten
_MOST_BINS: Final = 2048
_MOST_KINDS: Final = 200
_MOST_MESSAGES: Final = 50
_SHOWN_MESSAGES: Final = 3
_MESSAGE_CHARS: Final = 400
_LISTED_ORDERS: Final = 200
_OTHER: Final = "other errors"
# What tells messages of one kind apart: ids, sizes, seconds.
_NUMBERS: Final = re.compile(r"[0-9a-f]*\d[0-9a-f]*", re.IGNORECASE)


def status_of(record: Record) -> Status:
    """Return what is known of an item: an order without an end, and an error of unknown outcome, are unknown."""
    if record.k == "ok":
        return "answered"
    return "unknown" if record.k == "sent" or record.outcome == "unknown" else "failed"


def may_be_paid_for(record: Record, *, orders: bool) -> bool:
    """Return whether an item without its answer was done, or may have been: an image that was made counts as well."""
    return record.k != "ok" and (status_of(record) == "unknown" or (orders and record.outcome == "done"))


class Timeline:
    """Counts over time, however long: empty bins are not kept, and all become wider when there are too many."""

    def __init__(self) -> None:
        self.width = 1
        self._bins: dict[int, list[int]] = {}

    def add(self, when: float, status: Status) -> None:
        """Count a record written at a time, in seconds since the epoch."""
        counts = self._bins.setdefault(int(when) // self.width, [0] * len(STATUSES))
        counts[STATUSES.index(status)] += 1
        if len(self._bins) > _MOST_BINS:
            self.width *= 2
            narrow, self._bins = self._bins, {}
            for at, each in narrow.items():
                wide = self._bins.setdefault(at // 2, [0] * len(STATUSES))
                wide[:] = map(sum, zip(wide, each, strict=True))

    def bins(self) -> list[list[int]]:
        """Return the bins that hold something, in their order: begin, answered, failed, unknown."""
        return [[at * self.width, *counts] for at, counts in sorted(self._bins.items())]


class _Failures:
    """Failures of one class."""

    def __init__(self) -> None:
        self.count = 0
        self.statuses: Counter[int] = Counter()
        self.outcomes: Counter[str] = Counter()
        self._messages: dict[str, list[Any]] = {}

    def add(self, record: Record) -> None:
        self.count += 1
        self.outcomes[record.outcome or "unknown"] += 1
        if record.st:
            self.statuses[record.st] += 1
        kind = _NUMBERS.sub("0", record.err[:_MESSAGE_CHARS])
        if kind in self._messages:
            self._messages[kind][1] += 1
        elif record.err and len(self._messages) < _MOST_MESSAGES:
            self._messages[kind] = [record.err[:_MESSAGE_CHARS], 1]

    def messages(self) -> list[list[Any]]:
        """Return the most frequent messages, with how often each came; numbers within them may differ."""
        return sorted(self._messages.values(), key=lambda each: -each[1])[:_SHOWN_MESSAGES]


class Figures:
    """Counts the records of a run.

    Args:
        orders: Whether the run makes images.

    Attributes:
        kinds: Status and class of error, of each kind of item there is; ``add`` returns a place in it.
    """

    def __init__(self, *, orders: bool) -> None:
        self.kinds: list[tuple[Status, str]] = []
        self._orders = orders
        self._places: dict[tuple[Status, str], int] = {}
        self._counts: Counter[str] = Counter()
        self._durations = array("f")
        self._time = Timeline()
        self._failures: dict[str, _Failures] = {}
        self._paid: list[dict[str, Any]] = []
        self._paid_count = 0
        self._finish: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        self._tin = self._tout = self._with_usage = self._attempts = self._images = 0
        self._first, self._last = math.inf, 0.0

    def add(self, record: Record, row: int) -> int:
        """Count a record, and return the place of its kind.

        Args:
            record: What became of the item.
            row: Its place among the items.
        """
        status = status_of(record)
        kind = self._kind(status, record.cls if record.k == "fail" else "")
        self._counts[status] += 1
        self._attempts += record.att
        self._images += len(record.img)
        if record.t:
            self._time.add(record.t, status)
            self._first, self._last = min(self._first, record.t), max(self._last, record.t)
        if record.tin is not None or record.tout is not None:
            self._tin += record.tin or 0
            self._tout += record.tout or 0
            self._with_usage += 1
        if record.k == "ok":
            self._durations.append(record.dur)
            self._finish[record.fin] += 1
            self._models[record.model] += 1
        elif record.k == "fail":
            self._failures.setdefault(self.kinds[kind][1], _Failures()).add(record)
        if may_be_paid_for(record, orders=self._orders):
            self._note_paid(record, row)
        return kind

    def _kind(self, status: Status, name: str) -> int:
        if (status, name) not in self._places and len(self.kinds) >= _MOST_KINDS:
            name = _OTHER
        if (status, name) not in self._places:
            self._places[status, name] = len(self.kinds)
            self.kinds.append((status, name))
        return self._places[status, name]

    def _note_paid(self, record: Record, row: int) -> None:
        self._paid_count += 1
        if self._paid_count <= _LISTED_ORDERS:
            found = {"row": row, "id": record.id, "t": record.t, "rid": record.rid, "task": record.task}
            end = record.outcome if record.k == "fail" else "task" if record.task else "none"
            self._paid.append({**found, "end": end, "cls": record.cls})

    def summary(self) -> dict[str, Any]:
        """Return the figures, as JSON has them: seconds, seconds since the epoch, tokens."""
        counts = {status: self._counts[status] for status in STATUSES}
        return {
            "kinds": self.kinds,
            "counts": counts,
            "first": None if self._last == 0 else self._first,
            "last": self._last or None,
            "tokens": {"in": self._tin, "out": self._tout, "items": self._with_usage},
            "attempts": self._attempts,
            "images": self._images,
            "latency": latency(self._durations),
            "time": {"width": self._time.width, "bins": self._time.bins()},
            "failures": [
                {
                    "cls": name,
                    "count": each.count,
                    "statuses": each.statuses.most_common(),
                    "outcomes": each.outcomes,
                    "messages": each.messages(),
                    "advice": advice_for(name),
                }
                for name, each in sorted(self._failures.items(), key=lambda pair: -pair[1].count)
            ],
            "paid": {"count": self._paid_count, "items": self._paid},
            "finish": self._finish.most_common(),
            "models": self._models.most_common(),
        }


def course(events: Iterable[Record]) -> dict[str, Any]:
    """Return how a run went by the events in its journal.

    Returns:
        ``starts``: how often it was started; ``refusals`` of all starts together; ``ended``: why it ended the last
        time, in the journal's word, None while it goes on or when it was killed; ``rate`` and ``window``: the pace that
        was learnt at last.
    """
    found: dict[str, Any] = {"starts": 0, "refusals": 0, "ended": None, "rate": None, "window": None}
    before = 0
    for event in events:
        numbers = event.res if is_object(event.res) else {}
        if event.ev == "start":
            found["starts"] += 1
            before = found["refusals"]
        refusals = numbers.get("refusals")
        found["refusals"] = before + (refusals if isinstance(refusals, int) else 0)
        found["ended"] = str(numbers.get("why", "")) if event.ev == "stop" else None
        found["rate"], found["window"] = numbers.get("rate"), numbers.get("window")
    return found


def latency(durations: array[float]) -> dict[str, Any] | None:
    """Return quantiles of durations and a histogram, whose columns grow by a constant factor; None for no durations."""
    if not durations:
        return None
    ordered = array("f", sorted(durations))
    columns = Counter(math.floor(math.log10(max(each, 1e-3)) * _DECADE) for each in ordered)

    def quantile(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)], 3)

    return {
        "count": len(ordered),
        "p50": quantile(0.5),
        "p90": quantile(0.9),
        "p99": quantile(0.99),
        "max": round(ordered[-1], 3),
        "bins": [
            [round(10 ** (at / _DECADE), 4), round(10 ** ((at + 1) / _DECADE), 4), columns[at]]
            for at in range(min(columns), max(columns) + 1)
        ],
    }
