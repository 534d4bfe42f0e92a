"""How a run goes, for people: one line that is replaced in a notebook and on a terminal, now and then one elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sized
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tutuclient._notebook import Shown
from tutuclient.media import html

if TYPE_CHECKING:
    from tutuclient.batch.result import BatchSummary

EVERY_S: Final = 5.0
"""Seconds between two lines where nothing can be replaced."""

_REDRAWN_S: Final = 0.2
_MANY: Final = 100  # From here on a rate is shown without decimals.
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


class Progress:
    """Shows a run, on stderr unless it is in a notebook.

    Args:
        items: What is answered: of a list the number is known, and with it when the run will end.
    """

    def __init__(self, items: object) -> None:
        self._total = len(items) if isinstance(items, Sized) else None
        self._shown = Shown(_REDRAWN_S) if Shown.is_possible() else None
        self._redraws = self._shown is None and sys.stderr is not None and sys.stderr.isatty()
        self._next = time.monotonic() + (0.0 if self._redraws else EVERY_S)

    def update(self, summary: BatchSummary, *, last: bool = False) -> None:
        """Show the run as it is now, unless too little time has passed; ``last`` is shown always.

        Never an error: a terminal that is gone must not end a run that is paid for.
        """
        with suppress(Exception):
            self._update(summary, last=last)

    def _update(self, summary: BatchSummary, *, last: bool) -> None:
        if self._shown is not None:
            self._shown.update(lambda: self._drawn(summary), last=last)
            return
        now = time.monotonic()
        if now < self._next and not last:
            return
        self._next = now + (_REDRAWN_S if self._redraws else EVERY_S)
        line = self.words(summary)
        # A line that is replaced may have been longer: "\x1b[K" clears the rest (ECMA-48, EL).
        sys.stderr.write(f"\r{line}\x1b[K{chr(10) if last else ''}" if self._redraws else f"{line}\n")
        sys.stderr.flush()

    def words(self, summary: BatchSummary) -> str:
        """Return the run in words and numbers."""
        done, failed = _done(summary), sum(summary.failed.values())
        of = "" if self._total is None else f" of {max(self._total, done):,}"
        now = summary.done + failed
        rate = now / summary.elapsed_s if now and summary.elapsed_s else 0.0
        words = [f"{done:,}{of}"]
        words += [f"{failed:,} failed"] if failed else []
        words += [f"{len(summary.unknown):,} unknown"] if summary.unknown else []
        words += [
            f"{short(summary.tokens)} tokens",
            clock(summary.elapsed_s),
            f"{rate:,.0f}/s" if rate >= _MANY else f"{rate:.3g}/s",
        ]
        words += [f"{summary.refusals:,} refused"] if summary.refusals else []
        if rate and self._total is not None and self._total > done:
            words.append(f"{clock((self._total - done) / rate)} left")
        return " · ".join(words)

    def _drawn(self, summary: BatchSummary) -> tuple[str, str]:
        words, done = self.words(summary), _done(summary)
        bar = "" if not self._total else f'<progress value="{done}" max="{max(self._total, done)}"></progress>'
        return html.frame([bar, html.small([words])]), words


def _done(summary: BatchSummary) -> int:
    return summary.done + sum(summary.failed.values()) + summary.skipped + summary.failed_before


def clock(seconds: float) -> str:
    """Return a time for people: 0:07, 12:34, 1:02:03, 3 d 04:05."""
    whole = int(seconds + 0.5)
    if whole >= _DAY:
        return f"{whole // _DAY} d {whole % _DAY // _HOUR:02}:{whole % _HOUR // _MINUTE:02}"
    if whole >= _HOUR:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"
    return f"{whole // _MINUTE}:{whole % _MINUTE:02}"


def short(number: float) -> str:
    """Return a number for people: 950, 12.3k, 4.56M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:,.0f}"
