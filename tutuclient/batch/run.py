"""A run: items pulled lazily, answered by a few workers, each result in the journal before it is handed on."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar, cast

from tutuclient.batch.answering import Answering, Call
from tutuclient.batch.items import Item, Reader, Task, digest
from tutuclient.batch.journal import Journal, JournalError, Keys
from tutuclient.batch.result import BatchResult, BatchStoppedError, BatchSummary, Budget
from tutuclient.errors import ConfigError, TutuError, printable
from tutuclient.pace import FIRST_WINDOW
from tutuclient.transport.admission import answering_items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tutuclient.pace import PaceState

T = TypeVar("T")

OnExit: TypeAlias = Literal["settle", "cancel"]
Reason: TypeAlias = Literal["error", "failures", "budget"]

_BUFFER: Final = 16  # results that wait for the reader beyond what is in flight
_AHEAD: Final = 4  # times the workers: how far an ordered run may be ahead of its slowest item
_SPARE: Final = 4  # workers beyond the window, so that an admitted request always has somebody to send it
_GATE_S: Final = 0.5  # how often a run of images looks whether the relay lets anything in
_FEW: Final = 20  # results from which on a share of failures means something
_PAUSE_EVERY: Final = 200  # items skipped at a time before the loop gets a turn


@dataclass
class Plan(Generic[T]):
    """How a run goes. ``client.map`` explains what has the name of one of its keywords.

    Attributes:
        task: What is done with each item.
        call: Makes the call for an item, and reads its value.
        pace: Returns the pace of the relay as it is in the running loop.
        most: Calls that the client has in flight at most.
        workers: How many items at once, or "auto".
        interval: Seconds between two starts.
        budget: See ``map``.
        folder: The journal's.
        config: What a journal has to agree with.
    """

    task: Task
    call: Call[T]
    pace: Callable[[], PaceState]
    most: int
    workers: int | Literal["auto"] = "auto"
    interval: float = 0.0
    budget: Budget = field(default_factory=Budget)
    folder: Path | None = None
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    stop_on: tuple[type[Exception], ...] = ()
    max_failures: float | None = None
    ordered: bool = False
    on_progress: Callable[[BatchSummary], object] | None = None
    on_exit: OnExit = "cancel"
    resend_unknown: bool = False
    retry_failed: bool = False
    allow_change: bool = False


class BatchRun(Generic[T]):
    """A run of many items; ``client.map`` makes one. Enter it, and iterate over its results.

    Results come as they are ready, or in the items' order when that was asked for. An item never raises: its result has
    the error. What raises is what concerns the run, always after the results that there are: an error of the items'
    iterable, two items of one id, ``BatchStoppedError``, ``JournalError``.

    No more items are alive than are in flight, and a few: the iterable is read as the results are.
    """

    def __init__(self, items: Iterable[Any] | AsyncIterable[Any], reader: Reader, plan: Plan[T]) -> None:
        self.results: list[BatchResult[T]] = []
        """What ``gather`` has collected, also when it raised."""
        self._plan = plan
        self._reader = reader
        self._items = items
        self._source: Iterator[Any] | AsyncIterator[Any] | None = None
        self._answering: Answering[T] | None = None
        self._journal: Journal | None = None
        # Pulling: one worker at a time, and it waits until there is room.
        self._pulling = asyncio.Lock()
        self._moved = asyncio.Event()
        self._index = 0
        self._ids = Keys()
        self._order: array[int] = array("Q")
        self._next_start = 0.0
        # From the workers to the reader. Each place among what is sent has one result, in ``_early`` until its turn.
        self._ready: deque[BatchResult[T]] = deque()
        self._early: dict[int, BatchResult[T]] = {}
        self._news = asyncio.Event()
        self._sent = self._turn = self._read_by_now = 0
        # Workers. ``_staffed`` counts those that are to stay, ``_workers`` holds each until its task has ended.
        self._workers: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[Any]] = set()
        self._staffed = 0
        self._exhausted = self._ending = False
        self._failure: Exception | None = None
        self._stop: tuple[Reason, str, Exception | None] | None = None
        self._summary = BatchSummary(journal=plan.folder)
        self._began = time.monotonic()
        self._refusals_before = 0

    async def __aenter__(self) -> Self:
        plan = self._plan
        if self._source is not None:
            raise ConfigError("a run is entered once: client.map(…) again makes another, and a journal goes on")
        items = self._items
        self._source = aiter(items) if isinstance(items, AsyncIterable) else iter(items)
        if plan.folder is not None:
            self._journal = await Journal.open(plan.folder, plan.config, allow_change=plan.allow_change)
        self._answering = Answering(plan.task, plan.call, self._journal)
        self._began = time.monotonic()
        self._refusals_before = plan.pace().refusals
        self._staff()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.summary()
        self._ending = True
        try:
            await self._end_workers()
        finally:
            if self._journal is not None:
                try:
                    await self._journal.aclose()
                except JournalError:
                    if error is None:  # An error of the block, or this very one, is on its way.
                        raise

    async def _end_workers(self) -> None:
        """Settle or cancel what is in flight, as the plan says; a second cancellation cancels."""
        for worker in self._workers - (self._busy if self._plan.on_exit == "settle" else set()):
            worker.cancel()
        try:
            if self._workers:
                await asyncio.wait(self._workers)
        except asyncio.CancelledError:
            for worker in self._workers:
                worker.cancel()
            if self._workers:
                await asyncio.wait(self._workers)
            raise

    def __aiter__(self) -> AsyncIterator[BatchResult[T]]:
        return self

    async def __anext__(self) -> BatchResult[T]:
        if self._source is None:
            raise ConfigError("enter the run first: async with client.map(…) as run: async for result in run: …")
        while not self._ready and self._workers:
            self._news.clear()
            await self._news.wait()
        if not self._ready and self._early:  # The run ended with results missing before these.
            self._ready.extend(self._early.pop(turn) for turn in sorted(self._early))
        if self._ready:
            self._read_by_now += 1
            self._moved.set()
            return self._ready.popleft()
        if not self._ending:
            self._raise()
        raise StopAsyncIteration

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._stop is not None:
            reason, message, cause = self._stop
            raise BatchStoppedError(message, reason, self.summary()) from cause

    async def gather(self) -> list[BatchResult[T]]:
        """Run it to its end, and return all results. When it raises, those that there are stay in ``results``."""
        if self._source is not None:
            self.results.extend([result async for result in self])
            return self.results
        async with self:
            async for result in self:
                self.results.append(result)
        return self.results

    def summary(self) -> BatchSummary:
        """Return the run in numbers, as it stands: one object, which goes on counting."""
        found = self._summary
        if not self._ending:
            found.elapsed_s = time.monotonic() - self._began
            pace = self._plan.pace()
            found.refusals, found.rate, found.window = pace.refusals - self._refusals_before, pace.rate, pace.window
        return found

    # --- Workers ---

    def _wanted(self) -> int:
        """Return how many workers there should be: as many as can be admitted.

        It begins with a few and one more for each answer, which doubles them in a round trip: an unknown relay is not
        met with all that the client has.
        """
        plan = self._plan
        if plan.workers != "auto":
            return min(plan.workers, plan.most)
        spare = _SPARE if plan.task == "ask" else 0
        return min(plan.most, plan.pace().window + spare, FIRST_WINDOW + self._summary.done)

    def _staff(self) -> None:
        while self._staffed < self._wanted() and not (self._exhausted or self._ending or self._stop):
            self._staffed += 1
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._news.set()
        if worker.cancelled():
            if not self._ending:
                self._fail(TutuError("a worker of the run was cancelled from outside; its item was not finished"))
        elif (error := worker.exception()) is not None:
            self._fail(error if isinstance(error, Exception) else TutuError(f"the run was ended by {error!r}"))

    def _fail(self, error: Exception) -> None:
        """Have the run end with an error, once the results that there are have been read."""
        self._failure = self._failure or error
        self._exhausted = True
        self._moved.set()

    async def _work(self) -> None:
        answering_items.set(True)
        try:
            while self._staffed <= self._wanted() and (found := await self._next()) is not None:
                await self._answer(*found)
        finally:
            # In the same step as the decision to leave: else several would leave in the place of one.
            self._staffed -= 1

    async def _answer(self, turn: int, item: Item) -> None:
        assert self._answering is not None  # noqa: S101  (for the type checkers)
        me = cast("asyncio.Task[Any]", asyncio.current_task())
        self._busy.add(me)
        try:
            result = await self._answering.answer(item)
        finally:
            self._busy.discard(me)
        self._deliver(turn, result)
        self._note(result)
        if self._answering.failure is not None:
            self._fail(self._answering.failure)
        self._staff()

    def _deliver(self, turn: int, result: BatchResult[T]) -> None:
        if not self._plan.ordered:
            self._ready.append(result)
        else:
            self._early[turn] = result
            while (following := self._early.pop(self._turn, None)) is not None:
                self._turn += 1
                self._ready.append(following)
        self._news.set()
        self._moved.set()

    # --- Items ---

    async def _next(self) -> tuple[int, Item] | None:
        """Return the next item that is to be sent, and its place among these; None when there is none."""
        async with self._pulling:
            skipped = 0
            while await self._has_room():
                try:
                    given = await self._pull()
                except StopAsyncIteration:
                    break
                except Exception as error:  # noqa: BLE001  (the caller's own, raised once the rest is done)
                    self._fail(error)
                    break
                if (item := self._chosen(await self._reader.read_aside(given, self._index))) is not None:
                    if not await self._is_affordable():
                        break
                    await self._space()
                    self._sent += 1
                    return self._sent - 1, item
                skipped += 1
                if skipped % _PAUSE_EVERY == 0:
                    await asyncio.sleep(0)
            self._exhausted = True
            return None

    async def _pull(self) -> Any:
        source = self._source
        if isinstance(source, AsyncIterator):
            return await anext(source)
        try:
            return next(cast("Iterator[Any]", source))
        except StopIteration:  # It may not leave a coroutine.
            raise StopAsyncIteration from None

    def _chosen(self, item: Item) -> Item | None:
        """Return an item that is to be sent; None for one that is done, or may be."""
        self._index += 1
        name = digest(item.id)
        self._order.append(name)
        if name in self._ids:
            raise_after = ConfigError(
                f"items {self._order.index(name)} and {item.index} have the same id {printable(item.id, 200)!r}: give "
                "each its own, as in map([(id, source), …])"
            )
            self._fail(raise_after)
            return None
        self._ids.add(name)
        if self._journal is None or item.fault is not None:
            return item
        found = self._journal.found
        if item.key in found.ok:
            self._summary.skipped += 1
        elif item.key in found.open and not self._plan.resend_unknown:
            self._summary.unknown.append(item.id)
        elif item.key in found.failed and not self._plan.retry_failed:
            self._summary.failed_before += 1
        else:
            return item
        return None

    async def _has_room(self) -> bool:
        """Wait until another item may be pulled; return False when none may be any more."""
        while not (self._exhausted or self._ending or self._stop):
            ahead = (_AHEAD if self._plan.ordered else 1) * max(self._staffed, 1) + _BUFFER
            if self._sent - self._read_by_now < ahead:
                return True
            self._moved.clear()
            await self._moved.wait()
        return False

    async def _is_affordable(self) -> bool:
        """Wait until it is known whether the budget has room for another item, and return that."""
        while not (self._exhausted or self._ending or self._stop):
            finished = self._summary.done + sum(self._summary.failed.values())
            in_flight = self._sent - finished
            short = self._budget_short(finished, in_flight)
            if not short:
                return True
            if in_flight <= 0:
                self._halt("budget", f"the budget of {short} is reached", None)
            else:
                self._moved.clear()
                await self._moved.wait()
        return False

    def _budget_short(self, finished: int, in_flight: int) -> str:
        """Return which part of the budget has no room for another item; what is in flight counts as the mean so far."""
        budget, found = self._plan.budget, self._summary
        if budget.requests is not None and self._sent >= budget.requests:
            return f"{budget.requests} requests"
        if budget.images is not None and self._plan.task != "ask" and self._sent >= budget.images:
            return f"{budget.images} images"
        if budget.tokens is not None:
            # While nothing is known of what an item takes, one is tried.
            mean = found.tokens / finished if finished else float(bool(in_flight)) * budget.tokens
            if found.tokens + mean * (in_flight + 1) > budget.tokens:
                return f"{budget.tokens} tokens"
        return ""

    async def _space(self) -> None:
        """Wait until an item may start, as far as the run itself knows.

        An order of an image is written down before the client queues it, and one that is written down and not sent is
        of unknown outcome after a crash. So it waits here for what the client would make it wait for.
        """
        interval, makes_images = self._plan.interval, self._plan.task != "ask"
        while makes_images and (closed := self._plan.pace().gate):  # noqa: ASYNC110  (a gate wakes nobody)
            await asyncio.sleep(min(closed, _GATE_S))
        if makes_images and (rate := self._plan.pace().rate):
            interval = max(interval, 1 / rate)
        if interval:
            now = time.monotonic()
            wait = self._next_start - now
            self._next_start = max(self._next_start, now) + interval
            if wait > 0:
                await asyncio.sleep(wait)

    # --- Results ---

    def _note(self, result: BatchResult[T]) -> None:
        """Count a result, and stop the run where it asks for that."""
        found, plan = self._summary, self._plan
        found.requests += result.attempts
        found.images += len(result.images)
        if result.usage is not None:
            found.tokens += result.usage.total_tokens or 0
        if result.error is None:
            found.done += 1
        else:
            name = type(result.error).__name__
            found.failed[name] += 1
            found.advice.setdefault(name, printable(str(result.error), 200))
            if result.outcome == "unknown":
                found.unknown.append(result.id)
            if isinstance(result.error, plan.stop_on):
                self._halt("error", f"{name}: {result.error}", result.error)
        failed = sum(found.failed.values())
        if plan.max_failures is not None and self._too_many(failed, found.done + failed, plan.max_failures):
            self._halt("failures", f"{failed} of {found.done + failed} items failed", result.error)
        if plan.on_progress is not None:
            plan.on_progress(self.summary())

    @staticmethod
    def _too_many(failed: int, finished: int, most: float) -> bool:
        return failed > most if isinstance(most, int) else finished >= _FEW and failed > most * finished

    def _halt(self, reason: Reason, message: str, error: Exception | None) -> None:
        if self._stop is None:
            self._stop = reason, message, error
            self._summary.stopped = message
            self._moved.set()
