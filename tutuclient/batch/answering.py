"""One item of a run: called, its images saved, and what became of it written down. It never raises for an item."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from tutuclient._threads import in_thread
from tutuclient.batch.dedupe import copied
from tutuclient.batch.lines import JournalError, Kind, Record
from tutuclient.batch.result import BatchResult, ItemOutcome
from tutuclient.errors import APIError, ImageDownloadError, ImageTaskError, NoImageError, TutuError, printable
from tutuclient.transport.admission import RunItem, answering_items

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tutuclient.batch.items import Item, Task
    from tutuclient.batch.journal import Journal
    from tutuclient.types.chat import ChatCompletion
    from tutuclient.types.image_tasks import ImageTask

T = TypeVar("T")

_ERROR_CHARS: Final = 2000
_STEM_BYTES: Final = 80  # With what comes behind it, less than the 143 that encrypted folders have for a name.


class Call(NamedTuple, Generic[T]):
    """What is done with an item.

    Attributes:
        send: Makes the call.
        value: Reads the value from its answer.
        resume_task: Waits for the image task, by its id, address and relay, that an earlier run's order was answered
            with; None where there are none.
    """

    send: Callable[[Item], Awaitable[ChatCompletion]]
    value: Callable[[ChatCompletion], T]
    resume_task: Callable[[Item, str, str | None, str], Awaitable[ChatCompletion]] | None = None


class Order(RunItem):
    """An item that is being answered. What its calls order goes into the journal before it is sent.

    Args:
        journal: The run's, or None.
        item: The item.

    Attributes:
        ordered: Whether an order of an image may have been sent.
        settling: The run is being left: what waits is not sent any more.
    """

    def __init__(self, journal: Journal | None, item: Item) -> None:
        super().__init__()
        self._journal = journal
        self._item = item
        self.ordered: bool = False
        self.settling: bool = False

    def refused(self) -> None:
        """Note that the relay did not admit it."""
        super().refused()
        if self.settling and (task := asyncio.current_task()) is not None:
            task.cancel()

    async def before_order(self) -> None:
        """Write and sync the intent.

        Raises:
            JournalError: It could not be written, so nothing is to be sent.
        """
        if self._journal is not None:
            try:
                await self._journal.append(self._record("sent", eq=content_key(self._item)), sync=True)
            except asyncio.CancelledError:  # The intent may be on the disk already, and nothing will be sent.
                self._journal.note(self._skipped("CancelledError", "not_sent"))
                raise
        self.ordered = True

    async def task_accepted(self, task: ImageTask) -> None:
        """Write and sync the task of the order: another run comes back to it, in place of ordering again.

        Raises:
            JournalError: It could not be written. The task goes on at the relay.
        """
        if self._journal is None:
            return
        url = task.poll_url or ""
        try:
            await self._journal.append(self._record("sent", task=task.id, url=url), sync=True)
        except JournalError as error:
            error.add_note(f"the image of {self._item.id!r} is being made as the task {task.id!r} {url}".rstrip())
            raise

    async def order_not_done(self, error: TutuError) -> None:
        """End the intent of an order that was refused and waits: a run that is killed meanwhile has nothing to list.

        It needs no sync: without this line the order counts as unknown, and the next attempt syncs an intent of its
        own, behind this one, before it is sent.
        """
        if self._journal is None:
            return
        await self._journal.append(
            self._skipped(type(error).__name__, error.outcome or "", getattr(error, "status_code", None) or 0)
        )
        self.ordered = False

    def _skipped(self, cls: str, outcome: str, status: int = 0) -> Record:
        return self._record("skip", cls=cls, outcome=outcome, st=status, eq=content_key(self._item))

    def _record(self, kind: Kind, **more: Any) -> Record:
        return Record(k=kind, id=self._item.id, key=f"{self._item.key:016x}", rel=self.relay or "", **more)


class Answering(Generic[T]):
    """Answers items, each on its own.

    Args:
        task: What is done with each.
        call: How.
        journal: Where it is written down, or None.
        synced: Whether an answer is on the disk, and not only with the system, before it is handed on.
        resends: Whether an image may be ordered again whose task came to nothing, and may be billed.
        defers: Returns whether a result is of what stops the run and says nothing of the item, which is tried again
            when the run goes on.

    Attributes:
        failure: Why the run cannot go on; else None.
    """

    def __init__(
        self,
        task: Task,
        call: Call[T],
        journal: Journal | None,
        *,
        synced: bool,
        resends: bool = False,
        defers: Callable[[BatchResult[T]], bool],
    ) -> None:
        self._task: Task = task
        self._call = call
        self._journal = journal
        # An image takes minutes and costs more than a sync.
        self._synced = synced or task != "ask"
        self._resends = resends
        self._defers = defers
        self.failure: JournalError | None = None

    def begin(self, item: Item) -> Order:
        """Return what ``answer`` is to be called with."""
        return Order(self._journal, item)

    async def answer(self, item: Item, order: Order) -> BatchResult[T]:
        """Answer an item.

        An order of an image is written and synced before it is sent, and its end afterwards: whatever happens between,
        the order is on the disk, and will not be made again by itself.

        Args:
            item: The item.
            order: What ``begin`` has returned for it.

        Raises:
            JournalError: It could not be written down.
        """
        answering_items.set(order)
        started = time.monotonic()
        result: BatchResult[T] = BatchResult(item.index, item.id)
        record = Record(k="ok", id=item.id, key=f"{item.key:016x}", eq=content_key(item))
        answer: ChatCompletion | None = None
        if item.fault is not None:
            # Without a key, since that is of what would have been sent: the next part of the run tries it again.
            record.key = ""
            _note_error(item.fault, "not_sent", result, record)
            await self._write(record, result, paid=False)
            return result
        try:
            answer = await self._ask(item, order)
            _note_answer(answer, result, record)
            if self._task != "ask":
                await self._save(answer, item, result, record)
            result.value = self._call.value(answer)
        except JournalError:
            raise
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            # Raised by something within, a middleware for example: that ends the item, and not the worker.
            _note_error(TutuError("the call was cancelled by something within it"), self._guess(order), result, record)
        except Exception as error:  # noqa: BLE001  (an item never raises: its result has the error)
            if answer is None or self._task == "ask":
                known = error.outcome if isinstance(error, TutuError) else None
                _note_error(error, known or self._guess(order), result, record)
            else:
                # The image was made, and could not be had: its address may be in the text.
                _note_error(error, "done", result, record)
                record.res = answer.text
                self._note_full_disk(error)
        result.elapsed_s = round(time.monotonic() - started, 6)
        record.dur = record.dur or result.elapsed_s
        if not order.ordered and self._journal is not None and item.key in self._journal.found.open:
            record.key = ""  # Nothing was ordered now, which says nothing of the order that an earlier run made.
        await self._write(record, result, paid=answer is not None and self._task != "ask")
        return result

    async def repeat(self, item: Item, first: BatchResult[T]) -> BatchResult[T]:
        """Return the result of an equal item as this one's own, and write it down. Nothing is sent, and nothing used.

        Raises:
            JournalError: It could not be written down.
        """
        result = BatchResult(item.index, item.id, copied(first.value), images=[*first.images], same_as=first.id)
        record = Record(k="ok", id=item.id, key=f"{item.key:016x}", eq=content_key(item), same=first.id, img=[])
        if first.error is not None:
            _note_error(first.error, first.outcome, result, record)
        result.attempts, result.usage, result.finish_reason = 0, None, first.finish_reason
        result.text, result.request_id = first.text, first.request_id
        for path in result.images:
            digest = await in_thread(_sha256_of, path) if path.exists() else ""  # It may have been moved away since.
            record.img.append((path.name, digest))
        await self._write(record, result, paid=False)
        return result

    async def _ask(self, item: Item, order: Order) -> ChatCompletion:
        """Return the answer: of the task that an earlier run's order was answered with, else of a call of its own."""
        found = None if self._journal is None else self._journal.found
        task = "" if found is None else found.open.get(item.key, ("", ""))[1]
        if found is not None and task and self._call.resume_task is not None:
            try:
                order.ordered = True  # By an earlier run: whatever goes wrong now, the image may be made.
                url, relay = found.urls.get(item.key), found.relays.get(item.key, "")
                return await self._call.resume_task(item, task, url, relay)
            except ImageTaskError as error:
                if not (self._resends and error.outcome == "unknown"):
                    raise
        return await self._call.send(item)

    def _guess(self, order: Order) -> ItemOutcome:
        """Return the outcome of a call whose error, of another's code, has none."""
        return "not_sent" if self._task != "ask" and not order.ordered else "unknown"

    async def _write(self, record: Record, result: BatchResult[T], *, paid: bool) -> None:
        if self._journal is None:
            return
        record.att, record.fin = result.attempts, result.finish_reason or ""
        if result.usage is not None:
            record.tin, record.tout = result.usage.prompt_tokens, result.usage.completion_tokens
        if result.error is None:
            record.res = builtins_of(result.value)
        elif self._defers(result):
            record.k = "skip"
        try:
            await self._journal.append(record, sync=self._synced)
        except JournalError as error:
            if not paid:
                raise
            # The image is there, and as its order is on the disk, no later run will hand it on again.
            self.failure = error

    async def _save(self, answer: ChatCompletion, item: Item, result: BatchResult[T], record: Record) -> None:
        """Save the images of an answer into the run's folder."""
        if self._journal is None:
            return
        if not answer.images:
            raise NoImageError(f"the answer holds no image; its text: {printable(answer.text)}")
        folder = self._journal.folder / "images"
        folder.mkdir(exist_ok=True)
        stem = re.sub(r"[^\w.-]+", "_", Path(item.id).stem).encode()[-_STEM_BYTES:].decode(errors="ignore") or "image"
        for number, image in enumerate(answer.images, 1):
            path = await image.save(folder / f"{stem}-{item.key:016x}-{number}", overwrite=True)
            result.images.append(path)
            record.img.append((path.name, await in_thread(_sha256_of, path)))

    def _note_full_disk(self, error: Exception) -> None:
        """End the run where images cannot be saved: the next one would be paid for and lost as well."""
        if isinstance(error, ImageDownloadError) and error.reason == "not_saved":
            self.failure = JournalError(f"the run stopped because an image could not be saved: {error}")
            self.failure.__cause__ = error


def content_key(item: Item) -> str:
    """Return what the journal has of an item's content; "" where equal items are not looked for."""
    return f"{item.equal:016x}" if item.equal else ""


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _note_answer(answer: ChatCompletion, result: BatchResult[Any], record: Record) -> None:
    result.attempts, result.usage, result.finish_reason = answer.meta.attempts, answer.usage, answer.finish_reason
    result.text, result.request_id = answer.text, answer.meta.request_id
    record.rid, record.st, record.model = answer.meta.request_id or "", answer.meta.status_code, answer.model or ""
    record.img, record.dur, record.rel = [], round(answer.meta.elapsed_s, 6), answer.meta.relay or ""


def _note_error(error: Exception, outcome: ItemOutcome, result: BatchResult[Any], record: Record) -> None:
    result.error, result.outcome = error, outcome
    if isinstance(error, TutuError):
        result.attempts = error.attempts or result.attempts
        record.rid, record.rel = error.request_id or record.rid, error.relay or record.rel
        result.request_id = error.request_id or result.request_id
    # An answer that came, was billed and cannot be used.
    completion: ChatCompletion | None = getattr(error, "completion", None) or getattr(error, "partial", None)
    if completion is not None:
        result.usage, result.finish_reason, result.text = completion.usage, completion.finish_reason, completion.text
    if isinstance(error, APIError) and error.task is not None:
        record.task = error.task.id
    record.k, record.cls, record.outcome = "fail", type(error).__name__, outcome
    record.err = printable(str(error), _ERROR_CHARS)
    record.st = getattr(error, "status_code", None) or record.st


def builtins_of(value: Any) -> Any:
    """Return a value as JSON has it; its repr where it cannot be had."""
    try:
        return msgspec.to_builtins(value, enc_hook=_dumped, str_keys=True)
    except Exception:  # noqa: BLE001  (a type's own code: the answer is there, and has to be written)
        return repr(value)


def _dumped(value: Any) -> Any:
    """Return a value that is no JSON by itself: of pydantic's models their fields."""
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if callable(dump) else repr(value)
