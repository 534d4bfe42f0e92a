"""A run at work: what is checked before it, Ctrl-C, the budget, a sample, and what is printed at its end."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tutuclient._threads import in_thread
from tutuclient.batch import folder
from tutuclient.batch.lines import JournalError
from tutuclient.batch.result import BatchStoppedError, Budget, is_unreached
from tutuclient.cli.batch.progress import Progress, State
from tutuclient.cli.batch.summary import (
    BUDGET,
    CLOSED,
    FAILURES,
    UNREACHED,
    Ended,
    balance_words,
    print_summary,
    spent,
    status_if_any,
)
from tutuclient.cli.output import note, print_error
from tutuclient.cli.running import DISK, INTERRUPTED, as_options, error_message, exit_code, is_full
from tutuclient.errors import (
    APIError,
    AuthenticationError,
    ConfigError,
    ImageTaskError,
    InsufficientQuotaError,
    TutuError,
    printable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Generator, Iterable
    from pathlib import Path

    from tutuclient.batch.result import BatchResult, BatchSummary
    from tutuclient.batch.run import BatchRun
    from tutuclient.cli.batch.command_file import Command
    from tutuclient.cli.batch.lists import Entry
    from tutuclient.cli.batch.sources import Source
    from tutuclient.client import TutuClient
    from tutuclient.types.account import Balance

_TICK_S: Final = 0.25
_BALANCE_S: Final = 10.0
_STOP_ON: Final = (AuthenticationError, InsufficientQuotaError)


@dataclass
class How:
    """How a run goes: what its answers do not depend on.

    Attributes:
        concurrency: Items at once.
        rate: The most starts.
        budget: What the whole run may use, by "tokens", "requests" and "images".
        sample: How many items to ask, or None for all.
        stop_on: Errors that end the run, besides those of the key and of the balance.
        max_failures: A share or a number of failures that ends the run.
        max_wait: Seconds that the relay may let nothing in.
        retry_failed: Try again what failed.
        resend_unknown: Order again what may have been made.
        allow_change: Go on with what has changed.
        quiet: Show no progress.
        as_json: Print the summary as JSON.
    """

    concurrency: Any = "auto"
    rate: str | None = None
    budget: dict[str, int] = field(default_factory=dict[str, int])
    sample: int | None = None
    stop_on: tuple[type[Exception], ...] = ()
    max_failures: float | None = None
    max_wait: float = 600.0
    retry_failed: bool = False
    resend_unknown: bool = False
    allow_change: bool = False
    quiet: bool = False
    as_json: bool = False

    def map_options(self, budget: dict[str, int]) -> dict[str, Any]:
        """Return it as keywords of ``client.map``, with what is left of the budget."""
        return {
            "concurrency": self.concurrency,
            "rate": self.rate,
            "budget": Budget(**budget) if budget else None,
            "stop_on": (*_STOP_ON, *self.stop_on),
            "max_failures": self.max_failures,
            "max_wait": self.max_wait,
            "retry_failed": self.retry_failed,
            "resend_unknown": self.resend_unknown,
            "allow_change": self.allow_change,
            # Ctrl-C comes in two steps: what is in flight is settled, or it is cancelled.
            "on_exit": "settle",
        }


class Work:
    """A run to be done.

    Args:
        client: The client.
        command: What is asked.
        source: Of what.
        run: The run's folder.
        how: How.
    """

    def __init__(self, client: TutuClient, command: Command, source: Source, run: Path, how: How) -> None:
        self._client = client
        self._command = command
        self._source = source
        self._run = run
        self._how = how

    async def do(self) -> int:
        """Answer what is to be answered; print the summary and return the exit code."""
        before = await in_thread(status_if_any, self._run)
        budget = self._budget_left(before)
        if self._how.budget and budget is None:
            return BUDGET
        sample = None if self._how.sample is None else await in_thread(self._source.sample, self._how.sample)
        run = self._plan(sample, budget or {})  # Before anything is sent, so that what cannot work is said first.
        balance = await self._balance()
        ended = await self._answer(
            run, self._source.total if sample is None else len(sample), self._notes(before, balance)
        )
        price = None
        if sample is not None and not ended.interrupted:
            price = await self._price(ended, balance)
        if ended.interrupted > 1 and self._command.task != "ask":
            # What was in flight has no end in the journal, and is not in the summary.
            found = await in_thread(folder.status, self._run)
            ended.summary.unknown, ended.tasks = found.unknown, found.tasks
        print_summary(ended, price, self._run, self._command, as_json=self._how.as_json)
        return ended.code

    # --- Before ---

    def _budget_left(self, before: folder.Status | None) -> dict[str, int] | None:
        """Return what is left of the budget, which is the whole run's; None when a part is used up."""
        if before is None:
            return self._how.budget
        used = {
            "tokens": before.tokens_in + before.tokens_out,
            "requests": before.items,
            # Those that may be made are paid for, as far as anybody knows.
            "images": before.images + len(before.unknown) + len(before.tasks),
        }
        for name, most in self._how.budget.items():
            if used[name] >= most:
                print_error(
                    f"the budget of {most:,} {name} is reached: the run has used {used[name]:,} so far, and the same "
                    "command with a higher --budget goes on"
                )
                return None
        return {name: most - used[name] for name, most in self._how.budget.items()}

    def _notes(self, before: folder.Status | None, balance: Balance | None) -> list[str]:
        """Return what a person should know before it starts."""
        notes: list[str] = []
        if not self._how.quiet:
            notes += self._source.notes
            notes += [] if balance is None else [f"the relay says that the key has {balance_words(balance)} left"]
        if before is None or not before.unknown:
            return notes
        count = f"{len(before.unknown):,} {'item' if len(before.unknown) == 1 else 'items'}"
        billed = "may have been done and billed already, and are then paid for twice"
        if self._command.task != "ask" and self._how.resend_unknown:
            notes.append(f"--resend-unknown orders the images of {count} again that {billed}")
        if self._command.task == "ask" and self._how.retry_failed:
            notes.append(f"{count} of unknown outcome will be asked again: they {billed}")
        return notes

    async def _balance(self) -> Balance | None:
        """Return the balance, where the relay tells it. It is good to know, and never a reason not to start."""
        with suppress(TutuError, TimeoutError):
            async with asyncio.timeout(_BALANCE_S):
                found = await self._client.with_options(max_retries=0).balance()
                return None if found.remaining is None and found.used is None else found
        return None

    # --- The run ---

    def _plan(self, sample: list[Entry] | None, budget: dict[str, int]) -> BatchRun[Any]:
        items: AsyncIterable[Any] | Iterable[Any]
        items = self._source.items() if sample is None else [entry.item for entry in sample]
        return self._client.map(
            items,
            self._command.prompt,
            journal=self._run,
            **self._command.map_options(),
            **self._how.map_options(budget),
        )

    async def _answer(self, run: BatchRun[Any], total: int, notes: list[str]) -> Ended:
        ended = Ended(run.summary(), total)
        state = State(total)
        entered = False
        unreached = unfinished = 0
        with Progress(state, quiet=self._how.quiet) as progress, _stopping(progress) as stop:
            ticking = asyncio.create_task(self._tick(run, state, progress))
            try:
                async with run:
                    entered = True
                    for text in notes:
                        note(text)
                    progress.start()
                    await in_thread(self._command.save, self._run)
                    async for result in run:
                        state.unknown += result.outcome == "unknown"
                        unreached += is_unreached(result)
                        unfinished += _is_unfinished(result)
            except asyncio.CancelledError:
                if not stop.count:
                    raise
                stop.forget()
                ended.code, ended.interrupted = INTERRUPTED, stop.count
            except BatchStoppedError as error:
                self._note_stop(error, ended)
            except (JournalError, OSError) as error:
                if not entered and isinstance(error, JournalError) and not is_full(error):
                    raise ConfigError(error.message) from error  # In use by another process: nothing was sent.
                if not isinstance(error, JournalError) and not is_full(error):
                    raise
                ended.code, ended.error = DISK, printable(str(error), 2000)
            finally:
                ticking.cancel()
                with suppress(asyncio.CancelledError):
                    await ticking
        ended.code = ended.code or _code_at_the_end(ended.summary, unreached, unfinished)
        return ended

    async def _tick(self, run: BatchRun[Any], state: State, progress: Progress) -> None:
        while True:
            found, pace = run.summary(), self._client.pace
            state.answered, state.failed = found.done, sum(found.failed.values())
            # What was unknown before the start is not sent, and counts as done.
            state.before = found.skipped + found.failed_before + max(0, len(found.unknown) - state.unknown)
            state.tokens, state.refusals = found.tokens, found.refusals
            state.in_flight, state.rate, state.gate = pace.in_flight, pace.rate, pace.gate
            most = self._how.concurrency
            state.window = min(pace.window, most) if isinstance(most, int) else pace.window
            progress.update()
            await asyncio.sleep(_TICK_S)

    def _note_stop(self, error: BatchStoppedError, ended: Ended) -> None:
        cause = error.__cause__
        ended.error = as_options(printable(error.message, 2000))
        if error.reason == "budget":
            ended.code, ended.error = BUDGET, self._of_the_whole(ended.error)
        elif error.reason == "closed":
            ended.code = CLOSED
        elif error.reason == "error" and isinstance(cause, Exception):
            ended.code = exit_code(cause)
            ended.error = error_message(cause) if isinstance(cause, TutuError) else ended.error
        else:
            ended.code = FAILURES

    def _of_the_whole(self, message: str) -> str:
        """Return a message about what was left of the budget with what was asked for, which earlier starts used too."""
        for name, most in self._how.budget.items():
            if f" {name} is reached" in message:
                return f"the budget of {most:,} {name} is reached"
        return message

    # --- After ---

    async def _price(self, ended: Ended, before: Balance | None) -> dict[str, Any] | None:
        """Return what the rest would take, going by what has been answered so far."""
        found = await in_thread(folder.status, self._run)
        asked = found.answered + sum(found.failed.values())
        left = max(0, self._source.total - found.items)
        tokens = found.tokens_in + found.tokens_out
        if not asked:
            return None
        price: dict[str, Any] = {"left": left, "tokens_an_item": round(tokens / asked, 1), "tokens": None}
        if tokens:
            price["tokens"] = round(tokens / asked * left)
        after = await self._balance() if before is not None else None
        now = ended.summary.done + sum(ended.summary.failed.values())
        lost = spent(before, after)
        if before is not None and lost and now:
            price["money"], price["unit"] = lost / now * left, before.unit
        each = await self._listed(found.tokens_in / asked, found.tokens_out / asked)
        if each is not None:
            price["listed"] = each * left
        return price

    async def _listed(self, asked: float, told: float) -> float | None:
        """Return what an item costs by the relay's price page, in its unit; None where there is none."""
        with suppress(TutuError, TimeoutError):
            async with asyncio.timeout(_BALANCE_S):
                price = (await self._client.with_options(max_retries=0).prices()).of(self._command.model)
                if price is not None and price.per_call is not None:
                    return price.per_call
                if price is not None and asked + told and price.input is not None and price.output is not None:
                    return (asked * price.input + told * price.output) / 1e6
        return None


def _is_unfinished(result: BatchResult[Any]) -> bool:
    """Return whether the relay is still at an item's task, which the same command waits for without ordering again."""
    error = result.error
    return isinstance(error, APIError) and error.task is not None and not isinstance(error, ImageTaskError)


def _code_at_the_end(found: BatchSummary, unreached: int, unfinished: int) -> int:
    """Return the exit code of a run that nothing stopped, by how many of its items are unreached and unfinished."""
    # Schedulers start a command again by its code: where items were deferred it would do more, after a 9 it would not.
    if found.deferred or unfinished:
        return UNREACHED if unreached else CLOSED
    return FAILURES if found.failed or found.failed_before or found.unknown else 0


# --- Ctrl-C ---


class _Stop:
    """How often the run was told to stop.

    Attributes:
        count: So often.
    """

    def __init__(self, progress: Progress) -> None:
        self.count = 0
        self._progress = progress
        self._task = asyncio.current_task()

    def ask(self) -> None:
        """Stop the run: by settling what is in flight, and by cancelling it the second time."""
        self.count += 1
        if self.count == 1:
            self._progress.say("stopping: what is in flight is finished first; Ctrl-C again stops at once")
        else:
            self._progress.say("stopping at once: what is in flight may be done and billed all the same")
        if self._task is not None and self.count <= 2:  # noqa: PLR2004  (the run knows two steps)
            self._task.cancel()

    def forget(self) -> None:
        """Undo the cancellation once the run has stopped, so that what follows can wait."""
        while self._task is not None and self._task.cancelling():
            self._task.uncancel()


@contextmanager
def _stopping(progress: Progress) -> Generator[_Stop]:
    """Stop the run in two steps on Ctrl-C, and on ``SIGTERM`` as containers send it."""
    stop = _Stop(progress)
    loop = asyncio.get_running_loop()
    signals = [signal.SIGINT, signal.SIGTERM]
    before = [(each, signal.getsignal(each)) for each in signals]
    try:
        for each in signals:
            try:
                loop.add_signal_handler(each, stop.ask)
            except NotImplementedError:  # pragma: no cover  (Windows)

                def ask(_number: int, _frame: object) -> None:
                    loop.call_soon_threadsafe(stop.ask)

                signal.signal(each, ask)
        yield stop
    finally:
        for each, handler in before:
            with suppress(NotImplementedError):
                loop.remove_signal_handler(each)
            signal.signal(each, handler)
