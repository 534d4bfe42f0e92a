"""How a run goes: two lines that are redrawn on a terminal, a line every few seconds elsewhere, both on stderr."""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tutuclient.batch.progress import clock, short

if TYPE_CHECKING:
    from typing import Self

    from rich.console import RenderableType
    from rich.live import Live

EVERY_S: Final = 5.0
"""Seconds between two lines where there is no terminal."""

_RECENT_S: Final = 30.0
_REDRAWN: Final = 5  # times a second


@dataclass
class State:
    """A run at a moment.

    Attributes:
        total: All items.
        before: Items that earlier starts have answered, or that are left as they are.
        answered: Items answered since the start.
        failed: Items that failed since the start.
        unknown: Items that may have been done and billed.
        tokens: Tokens used since the start.
        refusals: Requests that the relay refused since the start.
        in_flight: Requests in flight.
        window: Requests in flight at most, as learnt or set.
        rate: Starts per second at most, as learnt or set.
        gate: Seconds in which the relay lets nothing in.
        note: What is going on besides.
    """

    total: int
    before: int = 0
    answered: int = 0
    failed: int = 0
    unknown: int = 0
    tokens: int = 0
    refusals: int = 0
    in_flight: int = 0
    window: int = 0
    rate: float | None = None
    gate: float = 0.0
    note: str = ""

    @property
    def done(self) -> int:
        """Items that need no more work."""
        return self.before + self.answered + self.failed

    @property
    def left(self) -> int:
        """Items that are still to be asked. There may be more than were counted."""
        return max(0, self.total - self.done)


class Progress:
    """Shows a run; ``update`` may be called as often as one likes.

    Args:
        state: The run, which the caller changes.
        quiet: Show nothing.
    """

    def __init__(self, state: State, *, quiet: bool) -> None:
        self._state = state
        self._console = Console(stderr=True)
        # Not ``isatty`` alone: rich also knows terminals that cannot redraw a line (TERM=dumb).
        self._redraws = self._console.is_interactive and not quiet
        self._lines = not self._redraws and not quiet
        self._spinner = Spinner("dots")
        self._live: Live | None = None
        self._began = self._last = time.monotonic()
        self._recent = deque([(self._began, 0)])

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        """Begin to show it."""
        if self._redraws:
            from rich.live import Live

            self._live = Live(
                get_renderable=self._drawn,
                console=self._console,
                refresh_per_second=_REDRAWN,
                transient=True,
                # As for the spinner of other commands: rich would replace sys.stdout by a proxy.
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self) -> None:
        """Show the state as it is now; print a line where one is due."""
        now = time.monotonic()
        self._recent.append((now, self._state.answered + self._state.failed))
        while len(self._recent) > 2 and self._recent[1][0] < now - _RECENT_S:  # noqa: PLR2004  (a rate has two ends)
            self._recent.popleft()
        if self._lines and now - self._last >= EVERY_S:
            self._last = now
            self._print(f"{self._state.done:,} of {self._state.total:,} · {self.words()} · {self._eta()}")

    def say(self, text: str) -> None:
        """Show what is going on besides: below what is redrawn, or in a line of its own."""
        self._state.note = text
        if self._lines:
            self._print(text)

    def _print(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    @property
    def per_second(self) -> float:
        """Items finished in a second, over the last half minute."""
        (began, before), (now, after) = self._recent[0], self._recent[-1]
        return (after - before) / (now - began) if now > began else 0.0

    def words(self) -> str:
        """Return the run in words and numbers."""
        state = self._state
        limit = "" if state.rate is None else f" (max {state.rate:.3g})"
        words = [
            f"{state.answered:,} answered",
            f"{state.failed:,} failed",
            f"{state.unknown:,} unknown",
            f"{state.left:,} left",
            f"{self.per_second:.3g}/s{limit}",
            f"window {state.in_flight}/{state.window}",
            f"{state.refusals:,} refused",
            f"{short(state.tokens)} tokens",
        ]
        words += [f"the relay is closed for {state.gate:.0f} s"] if state.gate >= 1 else []
        words += [f"{state.before:,} done before"] if state.before else []
        return " · ".join(words)

    def _eta(self) -> str:
        pace = self.per_second
        return f"ETA {clock(self._state.left / pace)}" if pace and self._state.left else "ETA -"

    def _drawn(self) -> RenderableType:
        state = self._state
        part = state.done / state.total if state.total else 0.0
        row = Table.grid(padding=(0, 1), expand=True)
        for _ in range(3):
            row.add_column(no_wrap=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        row.add_row(
            self._spinner,
            Text(clock(time.monotonic() - self._began), "cyan"),
            Text(f"{state.done:,} of {state.total:,}"),
            ProgressBar(total=max(state.total, 1), completed=min(state.done, state.total)),
            Text(f"{part:4.0%} {self._eta()}", "cyan"),
        )
        text = Text(self.words(), "dim")
        return Group(row, text, Text(state.note, "yellow")) if state.note else Group(row, text)
