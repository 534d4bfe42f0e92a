"""A run: items pulled lazily, answered by a few workers, each result in the journal before it is handed on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from array import array
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, cast

from tutuclient._threads import running_loop
from tutuclient.batch.answering import Answering, Call, Order
from tutuclient.batch.dedupe import Deduplicator
from tutuclient.batch.events import Events
from tutuclient.batch.items import digest_of_id
from tutuclient.batch.journal import Journal
from tutuclient.batch.keys import Keys
from tutuclient.batch.lines import JournalError
from tutuclient.batch.result import (
    BatchResult,
    BatchStoppedError,
    BatchSummary,
    Budget,
    StopReason,
    is_unreached,
)
from tutuclient.errors import (
    ConfigError,
    InsufficientQuotaError,
    RateLimitError,
    TutuError,
    printable,
)
from tutuclient.pace import FIRST_WINDOW
from tutuclient.retry import is_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tutuclient.batch.fields import OnExit
    from tutuclient.batch.items import Item, Reader, Task
    from tutuclient.batch.orders import OrderBook
    from tutuclient.batch.progress import Progress
    from tutuclient.pace import PaceState

T = TypeVar("T")

_BUFFER: Final = 16  # results that wait for the reader beyond what is in flight
_AHEAD: Final = 4  # times the workers: how far an ordered run may be ahead of its slowest item
# Times the workers: they all may finish in one turn of the loop, before the reader has his. Else they queue up for the
# next item, each waking the next one a turn later.
_UNREAD: Final = 2
_SPARE: Final = 4  # workers beyond the window, so that an admitted request always has somebody to send it
_LATE_S: Final = 0.1  # how far starts may lag behind the rate and still catch up: timers and other work make them late
_FEW: Final = 20  # results from which on a share of failures means something
_UNREACHED_S: Final = 60.0  # for so long a relay or a network may be away: restarts and short cuts pass
_PAUSE_EVERY: Final = 200  # items skipped at a time before the loop gets a turn
_NOT_DONE: Final = frozenset({"not_sent", "rejected"})
_DAY_S: Final = 86_400


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
        max_wait: Seconds that the relay may let nothing in before the run stops.
        tries_again: Whether calls that were refused are sent again until then.
        folder: The journal's.
        config: What a journal has to agree with.
        synced: Whether answers are synced before they are handed on.
        orders: Where the orders of this run and of others are written down together, in place of its own journal.
        answered: Answers that the client has had from the relay before: an unknown one is met with few calls at first.
        on_skip: Returns the result of an item that is not sent, as it was answered or ordered before; None leaves
            such items out of the results.
        restore: Reads a value of what a journal has of it, where equal items are asked once; else None.
    """

    task: Task
    call: Call[T]
    pace: Callable[[], PaceState]
    most: int
    workers: int | Literal["auto"] = "auto"
    interval: float = 0.0
    budget: Budget = field(default_factory=Budget)
    max_wait: float = 600.0
    tries_again: bool = True
    folder: Path | None = None
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    synced: bool = False
    stop_on: tuple[type[Exception], ...] = ()
    max_failures: float | None = None
    ordered: bool = False
    on_progress: Callable[[BatchSummary], object] | None = None
    progress: Progress | None = None
    on_exit: OnExit = "cancel"
    resend_unknown: bool = False
    retry_failed: bool = False
    allow_change: bool = False
    restore: Callable[[Any], T] | None = None
    orders: OrderBook | None = None
    answered: int = 0
    on_skip: Callable[[Item], BatchResult[T]] | None = None


@dataclass(slots=True)
class Settled:
    """What stands among the items for one that is not to be read or sent: its result, handed on in its turn."""

    result: BatchResult[Any]


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
        self._entered = False
        self._source: Iterator[Any] | AsyncIterator[Any] | None = None
        self._answering: Answering[T] | None = None
        self._dedupe: Deduplicator[T] | None = None
        self._journal: Journal | None = None
        self._events: Events | None = None
        # Pulling: one worker at a time, and it waits until there is room. ``_pending`` is the item that is next.
        self._pulling = asyncio.Lock()
        self._changed = asyncio.Event()
        self._pending: Item | None = None
        self._index = 0
        self._ids = Keys()
        self._id_order: array[int] = array("Q")
        self._next_start = 0.0
        # From the workers to the reader. Each item that has a turn has one result, in ``_out_of_order`` until then.
        self._ready: deque[BatchResult[T]] = deque()
        self._out_of_order: dict[int, BatchResult[T]] = {}
        self._has_result = asyncio.Event()
        self._turns = self._next_turn = self._consumed = self._sent = self._repeated = 0
        # Workers. ``_worker_count`` counts those that are to stay, ``_workers`` holds each until its task has ended.
        self._workers: set[asyncio.Task[None]] = set()
        self._busy: dict[asyncio.Task[Any], Order] = {}
        self._worker_count = 0
        self._limit = plan.most
        self._exhausted = self._ending = self._closed = False
        self._failure: Exception | None = None
        self._stop: tuple[StopReason, str, Exception | None] | None = None
        self._retry_after: float | None = None
        self._admitted_at = 0.0
        self._unreached, self._unreached_since = 0, 0.0  # Items in a row that found no connection.
        # Once the balance did not suffice, nothing starts until one of the items that met that has been sent alone.
        self._requeued: deque[tuple[int, Item, BatchResult[T]]] = deque()
        self._draining = False
        self._probe = -1
        self._summary = BatchSummary(journal=plan.folder)
        self._began = time.monotonic()
        self._refusals_before = 0

    async def __aenter__(self) -> Self:
        plan = self._plan
        if self._entered:
            raise ConfigError("a run is entered once: client.map(…) again makes another, and a journal goes on")
        running_loop()  # Under trio, everything below would fail in words of asyncio's.
        self._entered = True
        items, self._items = self._items, ()
        self._source = aiter(items) if isinstance(items, AsyncIterable) else iter(items)
        if plan.folder is not None:
            opens = partial(Journal.open, plan.folder) if plan.orders is None else plan.orders.join
            self._journal = await opens(plan.config, allow_change=plan.allow_change)
            self._summary.damaged = self._journal.found.damaged
            if self._journal.config != plan.config:
                self._reader.follow(self._journal.config)
        self._answering = Answering(
            plan.task,
            plan.call,
            self._journal,
            synced=plan.synced,
            resends=plan.resend_unknown,
            defers=self._is_deferred,
        )
        if plan.restore is not None:
            self._dedupe = Deduplicator(
                self._reader,
                plan.restore,
                None if self._journal is None else self._journal.path,
                orders=plan.task != "ask",
                resend_unknown=plan.resend_unknown,
            )
        self._began = self._admitted_at = self._next_start = time.monotonic()  # No start is late yet.
        self._refusals_before = plan.pace().refusals
        if self._journal is not None:
            self._events = Events(self._journal, plan.pace, self.summary)
            self._events.start(plan.task)
        self._start_workers()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        done = not self._workers and not self._failure and not self._stop
        self._ending = True
        try:
            await self._end_workers()
        finally:
            self.summary()
            self._closed = True
            if self._plan.progress is not None:
                self._plan.progress.update(self._summary, last=True)
            self._source = self._pending = None  # An async generator that nobody else holds is closed by its loop.
            if self._events is not None:
                self._events.stop(self._end_reason(error, done=done))
            if self._journal is not None:
                try:
                    await self._journal.aclose()
                except JournalError:
                    if error is None:  # An error of the block, or this very one, is on its way.
                        raise

    def _end_reason(self, error: BaseException | None, *, done: bool) -> str:
        """Return in a word why the run ends."""
        if self._stop is not None:
            return self._stop[0]
        if self._failure is not None or isinstance(error, Exception):
            return "failed"
        if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
            return "cancelled"
        return "end" if done else "left"

    async def _end_workers(self) -> None:
        """Settle or cancel what is in flight, as the plan says; a second cancellation cancels.

        What waits for the pace is not in flight: it is cancelled, also when the relay refuses it only now.
        """
        for worker in self._workers:
            order = self._busy.get(worker)
            if self._plan.on_exit == "cancel" or order is None or order.waits:
                worker.cancel()
            else:
                order.settling = True
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
        if not self._entered:
            raise ConfigError("enter the run first: async with client.map(…) as run: async for result in run: …")
        while not self._ready and self._workers:
            self._has_result.clear()
            await self._has_result.wait()
        if not self._ready:
            self._deliver_requeued()
        if not self._ready and self._out_of_order:  # The run ended with results missing before these.
            self._ready.extend(self._out_of_order.pop(turn) for turn in sorted(self._out_of_order))
        if self._ready:
            self._consumed += 1
            self._changed.set()
            return self._ready.popleft()
        if not self._ending:
            self._raise()
        raise StopAsyncIteration

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._stop is not None:
            reason, message, cause = self._stop
            raise BatchStoppedError(message, reason, self.summary(), retry_after=self._retry_after) from cause

    async def gather(self) -> list[BatchResult[T]]:
        """Run it to its end, and return all results. When it raises, those that there are stay in ``results``."""
        if self._entered:
            self.results.extend([result async for result in self])
            return self.results
        async with self:
            async for result in self:
                self.results.append(result)
        return self.results

    def summary(self) -> BatchSummary:
        """Return the run in numbers, as it stands: one object, which goes on counting."""
        found = self._summary
        if not self._closed:
            found.elapsed_s = time.monotonic() - self._began
            pace = self._plan.pace()
            found.refusals, found.rate, found.window = pace.refusals - self._refusals_before, pace.rate, pace.window
        return found

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()  # pyright: ignore[reportPrivateUsage]  (the name is IPython's)

    # --- Workers ---

    def _target(self) -> int:
        """Return how many workers there should be: as many as can be admitted.

        It begins with a few and one more for each answer, which doubles them in a round trip: an unknown relay is not
        met with all that the client has.
        """
        plan = self._plan
        if plan.workers != "auto":
            return min(plan.workers, self._limit)
        return min(self._limit, plan.pace().window + _SPARE, FIRST_WINDOW + plan.answered + self._summary.done)

    def _start_workers(self) -> None:
        while self._worker_count < self._target() and not (self._exhausted or self._ending or self._stop):
            self._worker_count += 1
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._worker_ended)

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._has_result.set()
        if worker.cancelled():
            if not self._ending:
                self._fail(TutuError("a worker of the run was cancelled from outside; its item was not finished"))
        elif (error := worker.exception()) is not None:
            self._fail(error if isinstance(error, Exception) else TutuError(f"the run was ended by {error!r}"))

    def _fail(self, error: Exception) -> None:
        """End the run with an error, once the results that there are have been read."""
        self._failure = self._failure or error
        self._exhausted = True
        self._changed.set()

    async def _work(self) -> None:
        try:
            while self._worker_count <= self._target() and (found := await self._next()) is not None:
                await self._answer(*found)
        finally:
            # In the same step as the decision to leave: else several would leave in the place of one.
            self._worker_count -= 1

    async def _answer(self, turn: int, item: Item) -> None:
        assert self._answering is not None  # noqa: S101  (for the type checkers)
        me = cast("asyncio.Task[Any]", asyncio.current_task())
        order = self._busy[me] = self._answering.begin(item)
        try:
            first = None if self._dedupe is None else await self._dedupe.first(item)
            result = await (self._ask(item, order) if first is None else self._answering.repeat(item, first))
        finally:
            del self._busy[me]
            self._changed.set()
        if self._is_requeued(turn, result):
            self._requeue(turn, item, result)
            return
        self._deliver(turn, result)
        self._count(result)
        if self._answering.failure is not None:
            self._fail(self._answering.failure)
        self._start_workers()

    async def _ask(self, item: Item, order: Order) -> BatchResult[T]:
        assert self._answering is not None  # noqa: S101  (for the type checkers)
        result: BatchResult[T] | None = None
        try:
            result = await self._answering.answer(item, order)
            return result
        finally:
            if self._dedupe is not None:
                self._dedupe.answered(item, result)

    # --- A balance that does not suffice ---

    def _is_requeued(self, turn: int, result: BatchResult[T]) -> bool:
        """Return whether an item is to be sent again because the account did not suffice for what is in flight.

        Relays reserve from the balance for each request in flight, so that one alone may still be answered.
        """
        was_alone = turn == self._probe
        if was_alone:
            self._probe, self._draining = -1, False
        error = result.error
        if was_alone or self._ending or self._stop or not isinstance(error, InsufficientQuotaError):
            return False
        return isinstance(error, self._plan.stop_on) and result.outcome in _NOT_DONE

    def _requeue(self, turn: int, item: Item, result: BatchResult[T]) -> None:
        """Queue an item to be sent again once nothing else is in flight, and halve the number of items at once."""
        if not self._draining:
            self._limit = max(1, (len(self._busy) + 1) // 2)
        self._draining = True
        self._requeued.append((turn, item, result))

    def _deliver_requeued(self) -> None:
        """Deliver the results of the items that were to be sent again: the run ends."""
        while self._requeued:
            turn, _, result = self._requeued.popleft()
            self._deliver(turn, result)
            self._count(result)

    def _deliver(self, turn: int, result: BatchResult[T]) -> None:
        if not self._plan.ordered:
            self._ready.append(result)
        else:
            self._out_of_order[turn] = result
            while (following := self._out_of_order.pop(self._next_turn, None)) is not None:
                self._next_turn += 1
                self._ready.append(following)
        self._has_result.set()
        self._changed.set()

    # --- Items ---

    async def _next(self) -> tuple[int, Item] | None:
        """Return the next item that is to be sent, and its place among these; None when there is none."""
        async with self._pulling:
            while not (self._ending or self._stop or self._failure):
                # The check of the budget may have stopped the run, with nothing left in flight to wake this up.
                if (found := self._take_startable()) is not None or self._stop is not None:
                    return found
                if self._pending is not None and (wait := self._next_start - time.monotonic()) > 0:
                    self._changed.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._changed.wait()
                elif self._pending is None and self._exhausted and not self._requeued:
                    return None
                elif self._pending is None and self._has_room():
                    await self._fill_pending()
                else:
                    self._changed.clear()
                    await self._changed.wait()
            return None

    def _take_startable(self) -> tuple[int, Item] | None:
        """Return an item that may be sent now: one that is sent again, or the pending one."""
        if self._draining:
            if self._busy:
                return None
            self._probe = self._requeued[0][0]
            return self._pop_requeued()
        if len(self._busy) >= self._limit:
            return None
        if self._requeued:
            return self._pop_requeued()
        item, now = self._pending, time.monotonic()
        if item is None or now < self._next_start or not self._is_within_budget():
            return None
        self._pending = None
        # The run's own rate; the client's pace comes on top, when it is sent.
        self._next_start = max(self._next_start, now - _LATE_S) + self._plan.interval
        self._sent += 1
        return self._next_free_turn(), item

    def _next_free_turn(self) -> int:
        self._turns += 1
        return self._turns - 1

    def _pop_requeued(self) -> tuple[int, Item]:
        turn, item, result = self._requeued.popleft()
        self._summary.requests += result.attempts
        return turn, item

    def _has_room(self) -> bool:
        """Return whether another item may be pulled."""
        ahead = (_AHEAD if self._plan.ordered else _UNREAD) * max(self._worker_count, 1) + _BUFFER
        return not (self._exhausted or self._draining or self._requeued) and self._turns - self._consumed < ahead

    async def _fill_pending(self) -> None:
        """Pull items until there is one to be sent, or no more, or no room for another result."""
        skipped = 0
        while self._pending is None and self._has_room() and not (self._ending or self._stop):
            try:
                given = await self._pull()
                if isinstance(given, Settled):
                    self._index += 1
                    self._id_order.append(0)
                    self._deliver(self._next_free_turn(), given.result)
                else:
                    self._pending = self._select(await self._reader.read_aside(given, self._index))
            except StopAsyncIteration:
                self._exhausted = True
            except Exception as error:  # noqa: BLE001  (the caller's own, raised once the rest is done)
                self._fail(error)
            skipped += 1
            if skipped % _PAUSE_EVERY == 0:
                await asyncio.sleep(0)

    async def _pull(self) -> Any:
        source = self._source
        if isinstance(source, AsyncIterator):
            return await anext(source)
        try:
            return next(cast("Iterator[Any]", source))
        except StopIteration:  # It may not leave a coroutine.
            raise StopAsyncIteration from None

    def _select(self, item: Item) -> Item | None:
        """Return an item that is to be sent; None for one that is done, or may be."""
        self._index += 1
        if self._dedupe is not None:
            self._dedupe.make_unique(item, self._ids)
        name = digest_of_id(item.id)
        self._id_order.append(name)
        if not self._ids.add(name):
            more = "" if item.own else ", or ask about equal ones once, with dedupe=True"
            first, shown = self._id_order.index(name), printable(item.id, 200)
            error = ConfigError(
                f"items {first} and {item.index} have the same id {shown!r}: give each its own, as in "
                f"map([(id, source), …]){more}"
            )
            self._fail(error)
            return None
        if self._journal is None or item.fault is not None:
            return item
        found = self._journal.found
        if item.key in found.ok:
            self._summary.skipped += 1
        elif found.open.get(item.key, ("", ""))[1]:
            return item  # Its task is at the relay: it is waited for, and not ordered again.
        elif item.key in found.open and not self._plan.resend_unknown:
            self._summary.unknown.append(item.id)
        elif item.key in found.failed and not self._plan.retry_failed:
            self._summary.failed_before += 1
        else:
            return item
        if self._plan.on_skip is not None:
            self._deliver(self._next_free_turn(), self._plan.on_skip(item))
        return None

    def _is_within_budget(self) -> bool:
        """Return whether the budget has room for another item; stop the run when it will have none."""
        finished = self._summary.done + sum(self._summary.failed.values())
        in_flight = self._sent - finished
        short = self._used_up(finished, in_flight)
        if short and in_flight <= 0:
            self._stop_run("budget", f"the budget of {short} is reached", None)
        return not short

    def _used_up(self, finished: int, in_flight: int) -> str:
        """Return which part of the budget has no room for another item; what is in flight counts as the mean so far."""
        budget, found, sent = self._plan.budget, self._summary, self._sent - self._repeated
        if budget.requests is not None and sent >= budget.requests:
            return f"{budget.requests} requests"
        if budget.images is not None and self._plan.task != "ask" and sent >= budget.images:
            return f"{budget.images} images"
        if budget.tokens is not None:
            # While nothing is known of what an item takes, one is tried.
            mean = found.tokens / finished if finished else float(bool(in_flight)) * budget.tokens
            if found.tokens + mean * (in_flight + 1) > budget.tokens:
                return f"{budget.tokens} tokens"
        return ""

    # --- Results ---

    def _count(self, result: BatchResult[T]) -> None:
        """Count a result, and stop the run where it asks for that."""
        found, plan = self._summary, self._plan
        found.requests += result.attempts
        if result.same_as is None:
            found.images += len(result.images)
        else:
            self._repeated += 1
            found.shared += result.ok
            self._next_start -= plan.interval  # Nothing was started: the next item may start in its place.
        if result.usage is not None:
            found.tokens += result.usage.total_tokens or 0
        if not is_unreached(result):
            self._unreached = 0
        if result.error is None:
            found.done += 1
            if result.same_as is None:
                self._admitted_at = time.monotonic()
        else:
            self._count_error(result, result.error)
        failed = sum(found.failed.values())
        if plan.max_failures is not None and self._too_many(failed, found.done + failed, plan.max_failures):
            self._stop_run("failures", f"{failed} of {found.done + failed} items failed", result.error)
        if plan.on_progress is not None:
            plan.on_progress(self.summary())
        if plan.progress is not None:
            plan.progress.update(self.summary())

    def _count_error(self, result: BatchResult[T], error: Exception) -> None:
        found = self._summary
        name = type(error).__name__
        found.failed[name] += 1
        found.advice.setdefault(name, printable(str(error), 200))
        found.deferred += self._is_deferred(result)
        if result.outcome == "unknown":
            found.unknown.append(result.id)
        if isinstance(error, self._plan.stop_on):
            self._stop_run("error", f"{name}: {error}", error)
        if is_unreached(result):
            self._count_unreached(error)
        if not _is_refused(error):
            self._admitted_at = time.monotonic()
        elif (closed := self._closed_for(result)) is not None:
            self._retry_after = self._retry_after or closed or None
            self._stop_run("closed", _closed_message(closed, self._plan.max_wait, error), error)

    def _count_unreached(self, error: Exception) -> None:
        """Stop the run when nothing has been reached for long, before all that is left has failed in the same way."""
        now = time.monotonic()
        if not self._unreached:
            self._unreached_since = now
        self._unreached += 1
        if self._unreached >= _FEW and now - self._unreached_since >= _UNREACHED_S:
            self._stop_run("error", f"{self._unreached} items in a row found no connection: {error}", error)

    def _is_deferred(self, result: BatchResult[T]) -> bool:
        """Return whether an item was not done for what says nothing of it: it is tried again when the run goes on."""
        error = result.error
        if error is None or result.outcome not in _NOT_DONE:
            return False
        if is_unreached(result):
            return True
        return isinstance(error, self._plan.stop_on) or _is_refused(error)

    def _closed_for(self, result: BatchResult[T]) -> float | None:
        """Return what the relay asks to wait, or 0, when a refusal shows that it lets nothing in for too long."""
        if result.error is None or not _is_refused(result.error):
            return None
        asked: float = getattr(result.error, "retry_after", None) or 0.0
        # One that is tried again has been refused for as long as the run waits. While others are answered, it is the
        # item that is refused, and not the run.
        gave_up = self._plan.tries_again and time.monotonic() - self._admitted_at >= result.elapsed_s
        return asked if gave_up or asked > self._plan.max_wait else None

    @staticmethod
    def _too_many(failed: int, finished: int, most: float) -> bool:
        return failed > most if isinstance(most, int) else finished >= _FEW and failed > most * finished

    def _stop_run(self, reason: StopReason, message: str, error: Exception | None) -> None:
        if self._stop is None:
            self._stop = reason, message, error
            self._summary.stopped = message
            self._changed.set()


def _is_refused(error: Exception) -> bool:
    """Return whether an item was not admitted, or not even sent because the relay admits nothing."""
    if not isinstance(error, TutuError) or isinstance(error, InsufficientQuotaError):
        return False
    return is_refusal(error) or (isinstance(error, RateLimitError) and error.outcome == "not_sent")


def _closed_message(seconds: float, max_wait: float, error: Exception) -> str:
    more = ""
    if seconds:
        at = time.time() + seconds
        form = "%H:%M:%S" if seconds < _DAY_S else "%Y-%m-%d %H:%M:%S"
        more = f"; it asks to come back in {seconds:.0f} s, at {time.strftime(form, time.localtime(at))}"
    return f"the relay lets nothing in for longer than max_wait={max_wait:g} s{more}: {printable(str(error), 200)}"
