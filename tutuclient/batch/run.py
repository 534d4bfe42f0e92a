"""A run: items pulled lazily, answered by a few workers, each result in the journal before it is handed on."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar, cast

import msgspec

from tutuclient._threads import in_thread
from tutuclient.batch.items import Item, Reader, Task, digest
from tutuclient.batch.journal import Journal, Keys, Record
from tutuclient.batch.result import BatchResult, BatchStoppedError, Budget, Summary
from tutuclient.errors import ConfigError, TutuError, printable
from tutuclient.transport.admission import answering_items

if TYPE_CHECKING:
    from array import array
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType
    from typing import Self

    from tutuclient.pace import Pace
    from tutuclient.types import ChatCompletion

T = TypeVar("T")

OnExit: TypeAlias = Literal["settle", "cancel"]

_BUFFER: Final = 16  # results that wait for the reader beyond those that workers hold
_AHEAD: Final = 4  # times the workers: how far an ordered run may be ahead of its slowest item
_SPARE: Final = 4  # workers beyond the window, so that an admitted request always has somebody to send it
_FEW: Final = 20  # results from which on a share of failures means something
_PAUSE_EVERY: Final = 200  # items skipped at a time before the loop gets a turn
_ERROR_CHARS: Final = 2000


@dataclass
class Plan(Generic[T]):
    """How a run goes.

    Attributes:
        task: What is done with each item.
        call: Makes the call for an item.
        value: Reads the value from its answer.
        workers: How many at once, or "auto".
        interval: Seconds between two starts.
        config: What a journal has to agree with.
    """

    task: Task
    call: Callable[[Item], Awaitable[ChatCompletion]]
    value: Callable[[ChatCompletion], T]
    pace: Pace
    most: int
    workers: int | Literal["auto"] = "auto"
    interval: float = 0.0
    budget: Budget = field(default_factory=Budget)
    folder: Path | None = None
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    stop_on: tuple[type[Exception], ...] = ()
    max_failures: float | None = None
    ordered: bool = False
    on_progress: Callable[[Summary], object] | None = None
    on_exit: OnExit = "cancel"
    resend_unknown: bool = False
    retry_failed: bool = False
    allow_change: bool = False


class BatchRun(Generic[T]):
    """A run of many items; ``client.map`` makes one. Enter it, and iterate over its results.

    Results come as they are ready, or in the items' order when that was asked for. An item never raises: its result has
    the error. What raises is what concerns the run: an error of the items' iterable, ``BatchStoppedError``,
    ``JournalError``; always after the results that there are.
    """

    def __init__(self, items: Iterable[Any] | AsyncIterable[Any], reader: Reader, plan: Plan[T]) -> None:
        self._plan = plan
        self._reader = reader
        self._items = items
        self._source: Iterator[Any] | AsyncIterator[Any] | None = None
        self._pulling = asyncio.Lock()
        self._results: asyncio.Queue[BatchResult[T] | None] = asyncio.Queue(_BUFFER)
        self._held: dict[int, BatchResult[T]] = {}
        self._moved = asyncio.Event()
        self._index = self._given = 0
        self._workers: set[asyncio.Task[None]] = set()
        self._journal: Journal | None = None
        self._ids = Keys(_no_keys())
        self._ending = False
        self._exhausted = False
        self._failure: BaseException | None = None
        self._stop: tuple[Literal["error", "failures", "budget"], str, Exception | None] | None = None
        self._next_start = 0.0
        self._summary = Summary()
        self._began = time.monotonic()
        self._refusals_before = plan.pace.refusals
        self._in_flight = 0

    async def __aenter__(self) -> Self:
        plan = self._plan
        self._began = time.monotonic()
        if plan.folder is not None:
            self._journal = await Journal.open(plan.folder, plan.config, allow_change=plan.allow_change)
        source = self._items
        self._source = aiter(source) if isinstance(source, AsyncIterable) else iter(source)
        if plan.workers == "auto":
            plan.pace.begin_small()
        self._staff()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        self._moved.set()
        try:
            if self._plan.on_exit == "cancel" or (error is not None and not isinstance(error, Exception)):
                for worker in self._workers:
                    worker.cancel()
            while self._workers:
                with suppress(asyncio.QueueEmpty):  # Workers may be waiting for room.
                    while True:
                        self._results.get_nowait()
                await asyncio.wait(self._workers, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for worker in self._workers:
                worker.cancel()
            if self._journal is not None:
                await self._journal.aclose()

    def __aiter__(self) -> AsyncIterator[BatchResult[T]]:
        return self

    async def __anext__(self) -> BatchResult[T]:
        if self._source is None:
            raise ConfigError("enter the run first: async with client.map(…) as run: async for result in run: …")
        while not self._ending:
            if self._plan.ordered and (result := self._held.pop(self._given, None)) is not None:
                return self._give(result)
            got = await self._results.get()
            if got is None:
                break
            if not self._plan.ordered:
                return self._give(got)
            self._held[got.index] = got
        if self._held:  # The items between were skipped, or are missing because the run stopped.
            return self._give(self._held.pop(min(self._held)))
        self._results.put_nowait(None)
        self._raise()
        raise StopAsyncIteration

    def _give(self, result: BatchResult[T]) -> BatchResult[T]:
        self._given = result.index + 1
        self._moved.set()
        return result

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._stop is not None:
            reason, message, cause = self._stop
            raise BatchStoppedError(message, reason, self.summary()) from cause

    async def gather(self) -> list[BatchResult[T]]:
        """Run it to its end, and return all results."""
        async with self:
            return [result async for result in self]

    def summary(self) -> Summary:
        """Return the run in numbers, as it stands."""
        pace, found = self._plan.pace, self._summary
        found.elapsed_s = time.monotonic() - self._began
        found.refusals = pace.refusals - self._refusals_before
        found.rate = None if pace.rate == float("inf") else pace.rate
        found.window = int(pace.window)
        return found

    # --- Workers ---

    def _staff(self) -> None:
        """Have as many workers as can be admitted."""
        plan = self._plan
        wanted = plan.workers if plan.workers != "auto" else min(plan.most, int(plan.pace.window) + _SPARE)
        while len(self._workers) < wanted and not self._exhausted and not self._ending:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self._failure = self._failure or error
            self._exhausted = True
        if not self._workers and (self._exhausted or self._ending):
            asyncio.ensure_future(self._results.put(None))  # noqa: RUF006  (the queue holds it until it is read)

    async def _work(self) -> None:
        answering_items.set(True)
        while (item := await self._next()) is not None:
            self._in_flight += 1
            try:
                result = await self._answer(item)
            finally:
                self._in_flight -= 1
            self._note(result)
            self._staff()
            await self._results.put(result)

    async def _next(self) -> Item | None:
        """Return the next item that is not done; None when there is none, or none is to be started."""
        async with self._pulling:
            skipped = 0
            while not (self._exhausted or self._ending or self._stop or self._is_spent()):
                await self._keep_distance()
                try:
                    given = await self._pull()
                except (StopIteration, StopAsyncIteration):
                    break
                except Exception as error:  # noqa: BLE001  (the caller's own, raised once the rest is done)
                    self._failure = error
                    break
                item = self._read(given)
                if item is not None:
                    await self._space()
                    return item
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

    def _read(self, given: Any) -> Item | None:
        """Return an item that is to be sent; None for one that is done, or may be."""
        item = self._reader.read(given, self._index)
        self._index += 1
        name = digest(item.id)
        if name in self._ids:
            raise ConfigError(
                f"two items of the run have the id {printable(item.id, 200)!r}; the second is item {item.index}. "
                "Give each an id of its own: map([(id, source), …])"
            )
        self._ids.add(name)
        if self._journal is None:
            return item
        found = self._journal.found
        if item.key in found.ok or (item.key in found.failed and not self._plan.retry_failed):
            self._summary.skipped += 1
            return None
        if item.key in found.open and not self._plan.resend_unknown:
            self._summary.unknown.append(item.id)
            return None
        return item

    async def _keep_distance(self) -> None:
        """Wait, in an ordered run, while it is far ahead of its slowest item: results wait in memory until then."""
        if not self._plan.ordered:
            return
        while self._index - self._given > _AHEAD * max(len(self._workers), 1) + _BUFFER and not self._ending:
            self._moved.clear()
            if self._in_flight == 0 and self._results.empty():
                return
            await self._moved.wait()

    async def _space(self) -> None:
        if self._plan.interval:
            now = time.monotonic()
            wait = self._next_start - now
            self._next_start = max(self._next_start, now) + self._plan.interval
            if wait > 0:
                await asyncio.sleep(wait)

    def _is_spent(self) -> bool:
        """Return whether the budget has no room for another item, with those in flight counted as the mean."""
        budget, found = self._plan.budget, self._summary
        finished = found.done + sum(found.failed.values())
        share = found.tokens / finished if finished else 0.0
        spent = (
            ("tokens", budget.tokens, found.tokens + share * (self._in_flight + 1)),
            ("requests", budget.requests, finished + self._in_flight + 1),
            ("images", budget.images, found.images + self._in_flight + 1 if self._plan.task != "ask" else 0),
        )
        for name, most, used in spent:
            if most is not None and used > most:
                self._stop = "budget", f"the budget of {most} {name} is reached", None
                return True
        return False

    # --- One item ---

    async def _answer(self, item: Item) -> BatchResult[T]:
        """Answer an item and write down what became of it."""
        started = time.monotonic()
        result: BatchResult[T] = BatchResult(item.index, item.id)
        record = Record(k="ok", id=item.id, key=f"{item.key:016x}")
        if self._journal is not None and self._plan.task != "ask":
            await self._journal.append(Record(k="sent", id=item.id, key=record.key), sync=True)
        try:
            answer = await self._plan.call(item)
            result.attempts, result.usage = answer.meta.attempts, answer.usage
            result.finish_reason = answer.finish_reason
            record.rid, record.st = answer.meta.request_id or "", answer.meta.status_code
            record.model = answer.model or ""
            if self._plan.task != "ask":
                record.img = await self._save(answer, item, result)
            result.value = self._plan.value(answer)
        except TutuError as error:
            self._fail(result, record, error)
        except Exception as error:  # noqa: BLE001  (an item never raises: its result has the error)
            error.add_note(f"item {item.index}: {printable(item.id, 200)}")
            self._fail(result, record, error)
        result.elapsed_s = record.dur = round(time.monotonic() - started, 6)
        if self._journal is not None:
            await self._write(record, result)
        return result

    def _fail(self, result: BatchResult[T], record: Record, error: Exception) -> None:
        result.error = error
        result.outcome = getattr(error, "outcome", None) or "not_sent"
        result.attempts = getattr(error, "attempts", 0)
        record.k, record.cls, record.outcome = "fail", type(error).__name__, result.outcome
        record.err = str(error)[:_ERROR_CHARS]
        record.st = getattr(error, "status_code", None) or record.st
        record.rid = getattr(error, "request_id", None) or record.rid

    async def _write(self, record: Record, result: BatchResult[T]) -> None:
        assert self._journal is not None  # noqa: S101  (for the type checker)
        record.att = result.attempts
        record.fin = result.finish_reason or ""
        if result.usage is not None:
            record.tin, record.tout = result.usage.prompt_tokens, result.usage.completion_tokens
        if result.ok:
            record.res = msgspec.to_builtins(result.value, enc_hook=repr)
        await self._journal.append(record)

    async def _save(self, answer: ChatCompletion, item: Item, result: BatchResult[T]) -> list[tuple[str, str]]:
        """Save the images of an answer into the run's folder; return their names with their SHA-256."""
        if self._plan.folder is None:
            return []
        folder = self._plan.folder / "images"
        folder.mkdir(exist_ok=True)
        stem = re.sub(r"[^\w.-]+", "_", Path(item.id).stem)[:80] or "image"
        saved: list[tuple[str, str]] = []
        for number, image in enumerate(answer.images, 1):
            path = await image.save(folder / f"{stem}-{item.key:016x}-{number}", overwrite=True)
            result.images.append(path)
            data = await in_thread(path.read_bytes)
            saved.append((path.name, hashlib.sha256(data).hexdigest()))
        return saved

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
            found.advice.setdefault(name, str(result.error).splitlines()[0][:200])
            if result.outcome == "unknown":
                found.unknown.append(result.id)
            if isinstance(result.error, plan.stop_on):
                self._halt("error", f"{name}: {result.error}", result.error)
        finished, failed = found.done + sum(found.failed.values()), sum(found.failed.values())
        if plan.max_failures is not None and self._too_many(failed, finished, plan.max_failures):
            self._halt("failures", f"{failed} of {finished} items failed", result.error)
        if plan.on_progress is not None:
            plan.on_progress(self.summary())

    @staticmethod
    def _too_many(failed: int, finished: int, most: float) -> bool:
        return failed > most if most >= 1 else finished >= _FEW and failed > most * finished

    def _halt(self, reason: Literal["error", "failures"], message: str, error: Exception | None) -> None:
        if self._stop is None:
            self._stop = reason, message, error
            self._summary.stopped = message


def _no_keys() -> array[int]:
    from array import array  # noqa: PLC0415  (only here)

    return array("Q")
