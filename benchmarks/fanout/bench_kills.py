"""kills: a run with a journal, killed by ``kill -9`` at random points and gone on with until it is done.

A hundred kills in all, over as many runs of 400 questions, or of 100 edits, as that takes. Of ten kills one comes while
Python starts, three within a quarter of a second of the run's beginning (the journal is read, the first requests are
sent), and six up to a tenth of a second after some result, however slow the machine is. The relay is a process of its
own and notes each order by its item before it answers. Counted, over all runs:

* lost: items without an end. A question ends with ``ok`` in the journal; an edit with ``ok`` and its image, whole (by
  its SHA-256), in the folder, or listed as of unknown outcome. And results that were handed on and are not in the
  journal.
* handed on twice: results that the caller read more than once, over all lives of a run. What a kill caught between the
  journal and the caller is in the journal only, and is never handed on again: "in the journal only".
* sent again: requests at the relay beyond one an item. A question may be sent again once in each life, when it was at
  the relay and not in the journal when the life before was killed ("most in flight" is the most of them that a kill
  left, and no more than are asked at once); what is sent again besides that is "beyond those in flight". An edit never.
* of unknown outcome: edits that were at the relay, or about to be ("and never ordered"), when the run was killed.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contenders.runs import JOURNAL
from benchmarks.fanout.bench_limits import state_of
from benchmarks.workload import Case, Figure, Goal, Scale, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable

_SERVICE_MS = 50
_AT_ONCE = 8
_IMAGE_BYTES = 20_000
_COUNT = {"ask": 400, "edit": 100}
_TINY_COUNT = 12
_STARTS, _START_S = 0.1, 0.4
_BEGINNINGS, _BEGINNING_S = 0.4, 0.25
_RESULTS, _RESULT_S = 0.1, 0.1
_SETTLE_S = 0.05


@dataclass
class Tally:
    """What was counted over all runs.

    Attributes:
        kills: Processes that were killed.
        runs: Runs that came to their end.
        most_open: The most orders that were at the relay and not in the journal when a run was killed.
    """

    kills: int = 0
    runs: int = 0
    failed: int = 0
    lost: int = 0
    twice: int = 0
    unread: int = 0
    again: int = 0
    beyond: int = 0
    unknown: int = 0
    unsent: int = 0
    most_open: int = 0


@dataclass
class Run:
    """One run, over all its lives: what it has read out, what the relay saw, what its journal holds.

    Attributes:
        task: "ask" or "edit".
        count: How many items it has.
        folder: Its journal's.
        read: How often each result was handed on.
        seen: Items that the relay has noted.
        open: Those of them that are not in the journal as answered.
    """

    task: str
    count: int
    folder: Path
    read: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)

    def answered(self) -> dict[str, Any]:
        """Return the records of the items that the journal has as answered."""
        from tutuclient.batch.lines import read  # noqa: PLC0415  (nothing of a contender before it is measured)

        path = self.folder / "journal.jsonl"
        return {record.id: record for record in read(path) if record.k == "ok"} if path.exists() else {}

    def heard(self, lines: Iterable[str], tally: Tally) -> set[str] | None:
        """Note what a life has handed on; return the ids of unknown outcome when it came to its end."""
        words = [line.split() for line in lines]
        self.read.update(names[0] for word, *names in words if word == "ok")
        tally.failed += sum(word == "failed" for word, *_ in words)
        return next(({*names} for word, *names in words if word == "end"), None)

    def ordered(self, noted: Iterable[str], tally: Tally) -> None:
        """Compare what the relay has noted in this life with what was open when the one before was killed."""
        times = Counter(noted)
        again = {name: count - (name not in self.seen) for name, count in times.items()}
        tally.again += sum(again.values())
        tally.beyond += sum(count - (name in self.open) for name, count in again.items() if count)
        done = self.answered().keys()
        tally.most_open = max(tally.most_open, len(times.keys() - done))
        self.seen |= times.keys()
        self.open = self.seen - done

    def judge(self, unknown: set[str], tally: Tally) -> None:
        """Check what the run has left behind."""
        answered = self.answered()
        if unseen := answered.keys() - self.seen:
            raise RuntimeError(f"the relay has not noted {len(unseen)} orders that were answered: nothing was measured")
        tally.runs += 1
        tally.lost += sum(not self._ended(f"item{number}", answered, unknown) for number in range(self.count))
        tally.lost += len(self.read.keys() - answered.keys())
        tally.twice += sum(times - 1 for times in self.read.values())
        tally.unread += len(answered.keys() - self.read.keys())
        tally.unknown += len(unknown)
        tally.unsent += len(unknown - self.seen)

    def _ended(self, name: str, answered: dict[str, Any], unknown: set[str]) -> bool:
        if name not in answered:
            return self.task == "edit" and name in unknown
        if self.task == "ask":
            return True
        files = [(self.folder / "images" / file, digest) for file, digest in answered[name].img]
        return bool(files) and all(
            path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest for path, digest in files
        )


class Relay:
    """The relay of one run, as far as its notes are concerned.

    Args:
        address: Its route, with the origin.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._read = 0

    def noted(self) -> list[str]:
        """Return the items that it has noted since the last time."""
        time.sleep(_SETTLE_S)  # What the kernel holds of a killed process's requests is read first.
        items: list[str] = state_of(self._address)["items"]
        new, self._read = items[self._read :], len(items)
        return new


async def measure(case: Case, task: str) -> dict[str, float]:
    """Kill until there were enough kills, run after run."""
    return vars(await asyncio.to_thread(_measure, case, task))


def _measure(case: Case, task: str) -> Tally:
    dice, tally = random.Random(), Tally()
    while tally.kills < case.amount:
        route = f"orders-{_SERVICE_MS}-{_IMAGE_BYTES if task == 'edit' else 0}-{os.getpid()}{tally.runs}"
        relay = Relay(f"{case.origin}/{route}")
        with tempfile.TemporaryDirectory() as folder:
            run = Run(task, _TINY_COUNT if case.scale == "tiny" else _COUNT[task], Path(folder))
            asked = {"folder": folder, "edit": task == "edit", "count": run.count, "at_once": _AT_ONCE}
            command = [
                sys.executable,
                "-m",
                "benchmarks.fanout.killed",
                json.dumps({"base_url": case.url(route), **asked}),
            ]
            most, unknown = max(1, int(run.count * _RESULTS)), None
            while unknown is None:
                lines = _live(command, dice, most) if tally.kills < case.amount else _live(command)
                tally.kills += not (lines[-1:] and lines[-1].startswith("end"))
                unknown = run.heard(lines, tally)
                run.ordered(relay.noted(), tally)
            run.judge(unknown, tally)
    return tally


def _live(command: list[str], dice: random.Random | None = None, most: int = 0) -> list[str]:
    """Start the run, and return the lines that it wrote; with dice, kill it on the way.

    Args:
        command: Starts it.
        dice: Choose the point.
        most: After so many results at the latest.
    """
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  (ours)
        assert process.stdout is not None  # noqa: S101  (says so to the type checker)
        if dice is not None:
            when = dice.random()
            if when < _STARTS:
                wait_s = dice.random() * _START_S
            elif when < _BEGINNINGS:
                lines += itertools.islice(process.stdout, 1)
                wait_s = dice.random() * _BEGINNING_S
            else:
                lines += itertools.islice(process.stdout, 1 + dice.randint(1, most))
                wait_s = dice.random() * _RESULT_S
            time.sleep(wait_s)
            process.send_signal(signal.SIGKILL)
        lines += process.stdout
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the run ended with {process.returncode}: {lines}")
    return [line.rstrip("\n") for line in lines]


_FIGURES = (
    Figure("kills", "kills"),
    Figure("runs", "runs"),
    Figure("failed", "failed"),
    Figure("lost", "lost"),
    Figure("twice", "handed on twice"),
    Figure("unread", "in the journal only"),
    Figure("again", "sent again"),
    Figure("beyond", "beyond those in flight"),
    Figure("most_open", "most in flight"),
)
_AMOUNTS: dict[Scale, tuple[int, int]] = {"full": (100, 100), "quick": (5, 5), "tiny": (2, 2)}
_SURE = (Goal("lost", 0, ours=JOURNAL), Goal("twice", 0, ours=JOURNAL), Goal("beyond", 0, ours=JOURNAL))
WORKLOADS = (
    Workload(
        "kills",
        "questions",
        f"kills of runs of {_COUNT['ask']} questions, {_AT_ONCE} at once",
        _FIGURES,
        _AMOUNTS,
        partial(measure, task="ask"),
        (*_SURE, Goal("most_open", _AT_ONCE, ours=JOURNAL)),
        once=True,
        longest_s=3600,
    ),
    Workload(
        "kills",
        "edits",
        f"kills of runs of {_COUNT['edit']} edits, {_AT_ONCE} at once",
        (*_FIGURES, Figure("unknown", "of unknown outcome"), Figure("unsent", "and never ordered")),
        _AMOUNTS,
        partial(measure, task="edit"),
        (*_SURE, Goal("again", 0, ours=JOURNAL)),
        once=True,
        longest_s=3600,
    ),
)
