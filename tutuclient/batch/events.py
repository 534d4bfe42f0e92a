"""How a run goes, in its journal: when it started and why it stopped, and the pace that it had in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from tutuclient import __version__
from tutuclient.batch.lines import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.batch.journal import Journal
    from tutuclient.batch.result import BatchSummary
    from tutuclient.pace import PaceState

_EVERY_S: Final = 5.0


class Events:
    """Writes ``ev`` lines, whose ``res`` has the numbers of the pace and of the run so far.

    Between start and stop there is at most one in five seconds, and none while the pace stays as it is: ``pause`` when
    the relay lets nothing in, else ``rate``.

    Args:
        journal: The run's.
        pace: Returns the pace.
        summary: Returns the run in numbers.
        every_s: Seconds between two looks at the pace.
    """

    def __init__(
        self,
        journal: Journal,
        pace: Callable[[], PaceState],
        summary: Callable[[], BatchSummary],
        every_s: float = _EVERY_S,
    ) -> None:
        self._journal = journal
        self._pace = pace
        self._summary = summary
        self._every_s = every_s
        self._seen: tuple[object, ...] = ()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, task: str) -> None:
        """Write the start, and look at the pace from now on.

        Args:
            task: What the run does.
        """
        found = self._journal.found
        more = {"version": __version__, "task": task, "answered": len(found.ok), "damaged": found.damaged}
        self._seen = self._look(self._pace())
        self._write("start", **more)
        self._again()

    def stop(self, why: str) -> None:
        """Write the stop, and look no longer.

        Args:
            why: What ended the run, in a word.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._write("stop", why=why)

    def _again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._watch)

    def _watch(self) -> None:
        pace = self._pace()
        if (seen := self._look(pace)) != self._seen:
            self._seen = seen
            self._write("pause" if pace.gate else "rate")
        self._again()

    @staticmethod
    def _look(pace: PaceState) -> tuple[object, ...]:
        """Return what makes a pace another one."""
        rate = None if pace.rate is None else round(pace.rate, 2)
        return pace.window, rate, pace.refusals, pace.gate > 0

    def _write(self, event: str, **more: Any) -> None:
        pace, run = self._pace(), self._summary()
        numbers = {
            "window": pace.window,
            "rate": None if pace.rate is None else round(pace.rate, 3),
            "gate": round(pace.gate, 3),
            "in_flight": pace.in_flight,
            "waiting": pace.waiting,
            "refusals": run.refusals,
            "done": run.done,
            "failed": sum(run.failed.values()),
            "tokens": run.tokens,
        }
        self._journal.note(Record(k="ev", ev=event, res=more | numbers))
