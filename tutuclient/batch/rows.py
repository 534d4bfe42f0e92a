"""Batches of rows answered: what engines and frames are to be given, the same rows with columns for the answers.

An engine (Ray, Daft, Dask, Spark) has the data, and calls a function for each batch of it, which calls ``answer_rows``.
What that needs of the client travels in a pickle of it. So on each worker, whatever the engine::

    client = TutuClient(rate="600/min").for_workers(8)  # on the driver; it is pickled, and travels

    async def answer(batch):
        return await answer_rows(client, batch, prompt="What is in this image?", image_column="uri")

* Dask: ``Client.submit(answer, chunk)`` for chunks of some hundred rows: coroutines run in the worker's own loop.
* Spark: ``frame.mapInArrow(answered, schema)``, with one loop for all batches of a partition; the schema names the
  added columns too::

      def answered(batches):
          with asyncio.Runner() as runner:
              for batch in batches:
                  yield runner.run(answer(batch))

* Daft: a batch UDF of a class that holds the client; ``tests/real/daft_job.py`` has one.
* ``datasets``: ``rows.map(answer, batched=True)`` with an ``async def answer(columns)``, which has a client of its own
  in an ``async with``: ``map`` drops its loop without closing it.
* Prefect, Airflow, Temporal: no rows, but one task that runs ``tutuclient batch run … -o RUN`` and looks at its exit
  code. It may be run again as often as they like, since the journal knows what is done: 0 is done; 5 (the relay took
  too little), 6 (it could not be reached) and 74 (a full disk) are to be tried again later, also where only some items
  met that; 9 is done, with failures that the same command does not try again; 2 and 3 want a person.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

import msgspec

from tutuclient.batch.answering import builtins_of
from tutuclient.batch.fields import MapFields
from tutuclient.batch.items import digest_of_id
from tutuclient.batch.keys import Keys
from tutuclient.batch.orders import NotOrderedError, OrderBook, OrderedBeforeError
from tutuclient.batch.plan import Calls, check_spelling, plan_run
from tutuclient.batch.result import BatchResult, BatchStoppedError
from tutuclient.batch.run import Settled
from tutuclient.batch.tables import Kind, Table, checked_row, is_null, table_of
from tutuclient.diagnostics import quoted
from tutuclient.errors import ConfigError, OutcomeUnknownError, TutuError, printable
from tutuclient.settings import UNSET
from tutuclient.tools import is_format
from tutuclient.wire.keywords import is_any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping
    from os import PathLike
    from typing import Unpack

    from tutuclient.batch.items import Item
    from tutuclient.batch.lines import Record
    from tutuclient.batch.result import BatchSummary
    from tutuclient.batch.run import BatchRun
    from tutuclient.settings import RetryPolicy

B = TypeVar("B")

_ERROR_CHARS: Final = 2000
_KINDS: Final[dict[str, Kind]] = {
    "status": "text",
    "text": "text",
    "parsed": "text",
    "error_class": "text",
    "error": "text",
    "outcome": "text",
    "prompt_tokens": "whole",
    "completion_tokens": "whole",
    "request_id": "text",
    "attempts": "whole",
}
_NOT_OF_ROWS: Final = {
    "journal": "journal_dir=, which several workers may share",
    "ordered": "nothing: rows are returned in their order",
    "retry_failed": "nothing: what failed is tried again whenever its row comes again",
}
# How much each client has been answered, so that its next batch does not begin as carefully as its first.
_answered: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


class AsksRows(Protocol):
    """A ``TutuClient``, as far as it is used here."""

    def _calls(self, changed: Callable[[RetryPolicy], RetryPolicy]) -> Calls: ...


@dataclass
class Asked:
    """How rows are asked: the keywords of ``answer_rows``, checked.

    Attributes:
        prompt: What to ask of rows that have no prompt of their own.
        image_column: The column of the images; None asks with words alone.
        prompt_column: The column of prompts, or None.
        id_column: The column of ids, or None.
        prefix: What the names of the added columns begin with.
        response_format: What to answer with.
        makes_images: Whether images are made.
        options: Keywords of ``map``.
        book: Where orders are written down, or None.
    """

    prompt: str | None
    image_column: str | None
    prompt_column: str | None
    id_column: str | None
    prefix: str
    response_format: Any
    makes_images: bool
    options: dict[str, Any] = field(repr=False)
    book: OrderBook | None = None

    @property
    def kinds(self) -> dict[str, Kind]:
        """The columns that are added, and of what kind each is."""
        more: dict[str, Kind] = {"images": "texts"} if self.makes_images else {}
        return {f"{self.prefix}{name}": kind for name, kind in (_KINDS | more).items()}

    def check_columns(self, names: Iterable[Any], *, whole: bool) -> None:
        """Check the columns of a batch, or of a row of one.

        Raises:
            ConfigError: One is missing, or has the name of one that is added.
        """
        there = list(names)
        if clash := [name for name in self.kinds if name in there]:
            raise ConfigError(
                f"the rows have a column {', '.join(map(repr, clash))} already: prefix='answer_' gives all added "
                "columns names of their own"
            )
        for keyword in ("image_column", "prompt_column", "id_column") if whole else ():
            if (name := getattr(self, keyword)) is None:
                continue
            if name not in there:
                raise ConfigError(
                    f"the rows have no column {name!r}, only {printable(', '.join(map(repr, there)), 200) or 'none'}: "
                    f"pass {keyword}="
                )
            if (times := there.count(name)) > 1:
                raise ConfigError(f"the rows have {times} columns {name!r}: rename those that are not {keyword}")


class RowFields(MapFields, total=False):
    """The keywords of ``answer_rows``, which explains them."""

    image_column: str | None
    prompt_column: str | None
    id_column: str | None
    prefix: str
    journal_dir: str | PathLike[str] | None
    images_dir: str | PathLike[str] | None
    allow_paying_twice: bool


ROW_OPTIONS: Final = frozenset(RowFields.__annotations__) - frozenset(MapFields.__annotations__) | {"prompt"}
"""What ``answer_rows`` takes and ``map`` does not, or as a field of each item."""


def answer_rows(
    client: AsksRows,
    rows: B,
    prompt: str | None = None,
    *,
    response_format: Any = UNSET,
    **options: Unpack[RowFields],
) -> AnsweredRows[B]:
    """Answer a batch of rows: ``await`` it for the same batch, with the columns of ``AnsweredRows``.

    A row never raises: what became of it is in its columns. Rows wait for the client's pace together with all its other
    calls, and no more of them are alive than are in flight. An iterable, async or not, is answered as it is iterated
    over, ``async for row in answer_rows(client, rows, …)``, and may be endless. Cancelling leaves nothing behind, but
    waits for images that are being made, as those are paid for.

    Args:
        client: The client. Of what was learnt of the relay all its calls know.
        rows: A list, an iterable or an async iterable of dicts; a dict of columns, as Ray's and ``datasets`` have; a
            Table or a RecordBatch of pyarrow's; a frame of pandas'. What is returned is of the same kind.
        prompt: What to ask of each row, or to change, or to draw. Without it there is ``prompt_column``.
        response_format: As for ``client.map``.
        **options: Keywords of ``client.map``, such as ``model``, ``edit``, ``timeout``, ``concurrency``, ``dedupe`` and
            ``stop_on``. Where those end a run, the rest of the rows has the error ``BatchStoppedError`` and was not
            sent; rows of an iterable that were not read yet are left there, and the error is raised. Besides:

            * ``image_column``: The column of images, "image" by default: paths, URLs, bytes, Pillow images, rows of
              ``datasets`` (a struct of ``bytes`` and ``path``), or a list of these. None asks with the prompt alone.
            * ``prompt_column``: A column of prompts; a row without one has ``prompt``.
            * ``id_column``: A column that tells rows from one another. Orders of images need it, since nothing else
              tells a row that comes again from another that is equal.
            * ``prefix``: What the names of the added columns begin with.
            * ``journal_dir``: With ``edit=True`` or ``generate=True``, where orders are written down and images saved.
              All workers of a run share it. A row whose image was ordered before, by whichever of them, has that image;
              where its answer was lost its outcome is "unknown", and ``resend_unknown=True`` orders it again.
            * ``allow_paying_twice``: Make images without ``journal_dir``, saved into ``images_dir``: rows that come
              again are ordered again.

    Raises:
        ConfigError: At once: the keywords or the columns cannot work. Nothing was sent.
        JournalError: While answering: ``journal_dir`` cannot be written.
    """
    return RowAnswerer(client, prompt, response_format=response_format, **options).answer(rows, closes=True)


class RowAnswerer:
    """Answers one batch after another, as many at a time as there are: what a worker of an engine keeps.

    Args:
        client: See ``answer_rows``, also for what follows.
        prompt: What to ask.
        **keywords: All others but ``rows``.

    Raises:
        ConfigError: The keywords cannot work.
    """

    def __init__(self, client: AsksRows, prompt: str | None = None, **keywords: Any) -> None:
        check_spelling("answer_rows", keywords if prompt is None else {"prompt", *keywords}, ROW_OPTIONS)
        self._client = client
        self._asked = _asked(prompt, **keywords)

    def answer(self, rows: B, *, closes: bool = False) -> AnsweredRows[B]:
        """Return a batch that is being answered.

        Args:
            rows: The batch.
            closes: Close the journal after it.

        Raises:
            ConfigError: Its columns cannot work.
        """
        return AnsweredRows(self._client, rows, self._asked, closes=closes)

    def check(self) -> None:
        """Check the keywords as a batch would, of whatever columns.

        Raises:
            ConfigError: They cannot work.
        """
        AnsweredRows(self._client, iter(()), self._asked, closes=False)

    async def aclose(self) -> None:
        """Close the journal, once all batches are answered. The client stays open."""
        if self._asked.book is not None:
            await self._asked.book.aclose()


def _asked(
    prompt: str | None,
    *,
    image_column: str | None = "image",
    prompt_column: str | None = None,
    id_column: str | None = None,
    prefix: str = "",
    response_format: Any = UNSET,
    journal_dir: str | PathLike[str] | None = None,
    images_dir: str | PathLike[str] | None = None,
    allow_paying_twice: bool = False,
    **options: Any,
) -> Asked:
    if prompt is None and prompt_column is None:
        raise ConfigError("the rows have no prompt: pass prompt= for all of them, or prompt_column=")
    makes_images = bool(options.get("edit") or options.get("generate"))
    image_column = None if options.get("generate") else image_column
    asked = Asked(prompt, image_column, prompt_column, id_column, prefix, response_format, makes_images, options)
    _check(asked, journal_dir, images_dir, allow_paying_twice)
    if makes_images:
        # A run of its own in images_dir: its orders are looked up by nobody.
        folder = Path(cast("str", images_dir)) / uuid.uuid4().hex if journal_dir is None else Path(journal_dir)
        asked.book = OrderBook(folder.absolute(), resend_unknown=bool(options.get("resend_unknown")))
    return asked


def _check(asked: Asked, journal_dir: Any, images_dir: Any, allow_paying_twice: bool) -> None:
    for name, instead in _NOT_OF_ROWS.items():
        if name in asked.options:
            raise ConfigError(f"answer_rows has no {name}=; in its place there is {instead}")
    for name in ("image_column", "prompt_column", "id_column"):
        if not isinstance(value := getattr(asked, name), str | None):
            raise ConfigError(f"{name} is {quoted(value)}: write the name of a column")
    if not asked.makes_images:
        if journal_dir is not None or images_dir is not None:
            raise ConfigError("journal_dir and images_dir are for edit=True and generate=True, which make images")
        return
    if asked.options.get("dedupe"):
        raise ConfigError("dedupe is for questions: an image is ordered once for each id of id_column")
    if asked.id_column is None:
        raise ConfigError(
            "rows whose images are made need id_column=: nothing else tells a row that comes again, whose image is "
            "paid for, from another that is equal"
        )
    if journal_dir is None and not (allow_paying_twice and images_dir is not None):
        raise ConfigError(
            "images are made of these rows, and an engine that does a batch again would order them again: pass "
            "journal_dir=, a folder that all workers share, or allow_paying_twice=True with images_dir="
        )


class AnsweredRows(Generic[B]):
    """Rows that are being answered; ``answer_rows`` makes one. Await it for the batch, or iterate over its rows.

    ==================  ==============  ====================================================================
    column              type            what
    ==================  ==============  ====================================================================
    status              text            "ok" or "error"
    text                text or null    what the model answered, also where that could not be used
    parsed              text or null    with ``response_format``, the value as JSON text, whatever its type is
    error_class         text or null    the class of the error, such as "RateLimitError"
    error               text or null    its message, at most 2,000 characters
    outcome             text            "done", "not_sent", "rejected", or "unknown": it may be done, and billed
    prompt_tokens       int64 or null   tokens, as far as the relay says
    completion_tokens   int64 or null   the same of the answer
    request_id          text or null    the relay's id of the request
    attempts            int64           how often it was tried, also where nothing was sent
    images              list of text    where images are made: the files of this row's
    ==================  ==============  ====================================================================

    In pyarrow text is ``string`` and lists are ``list<string>``, in pandas "string", "Int64" and object, in a dict of
    numpy's arrays all is object, with None for null: the types are the same when all rows fail, and without rows.

    Attributes:
        stopped: Why the rest of the rows was not sent, or None.
    """

    def __init__(self, client: AsksRows, rows: B, asked: Asked, *, closes: bool) -> None:
        self.stopped: BatchStoppedError | None = None
        self._client = client
        self._asked = asked
        self._closes = closes
        self._table: Table | None = table_of(rows)
        self._rows: Any = rows
        if self._table is not None:
            # A list without rows has no columns, and nothing to be asked.
            asked.check_columns(self._table.names, whole=bool(len(self._table)) or not isinstance(rows, list | tuple))
        # Of rows that were read and are not answered yet: each is one item of the run, whatever becomes of it.
        self._waiting: dict[int, Mapping[str, Any]] = {}
        self._read = 0
        self._ids = Keys()
        self._run = self._planned()

    def __await__(self) -> Generator[Any, None, B]:
        return self._whole().__await__()

    async def _whole(self) -> B:
        """Answer all rows, and return them as they were passed: the rows of an iterable as a list."""
        if self._table is None:
            return cast("B", [row async for row in self])
        columns: dict[str, list[Any]] = {name: [] for name in self._asked.kinds}
        async for _, values in self._answers():
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        return cast("B", self._table.joined(columns, self._asked.kinds))

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        if self._table is not None:
            raise ConfigError("a batch is awaited, and returned whole: batch = await answer_rows(client, batch, …)")
        names = list(self._asked.kinds)
        async with contextlib.aclosing(self._answers()) as answers:
            async for row, values in answers:
                yield {**row, **dict(zip(names, values, strict=True))}

    @property
    def summary(self) -> BatchSummary:
        """The batch in numbers."""
        return self._run.summary()

    def _planned(self) -> BatchRun[Any]:
        asked, client = self._asked, self._client
        book = asked.book
        return plan_run(
            client._calls,  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (what ``map`` itself passes)
            self._items(),
            asked.prompt,
            asked.response_format,
            {**asked.options, "ordered": True} | ({} if book is None else {"journal": book.folder}),
            orders=book,
            answered=_answered.get(client, 0),
            on_skip=_found_before,
        )

    # --- Rows on their way to the run ---

    async def _items(self) -> AsyncIterator[dict[str, Any] | Settled]:
        async for number, row in self._each():
            yield self._item(number, row)

    async def _each(self) -> AsyncIterator[tuple[int, Callable[[str], Any]]]:
        """Yield each row's number, and a function that returns its cells."""
        if (table := self._table) is not None:
            for number in range(len(table)):
                yield number, partial(table.cell, row=number)
            return
        async for given in _iterated(self._rows):
            row = checked_row(given, self._read)
            self._asked.check_columns(row, whole=False)
            self._waiting[self._read] = row
            self._read += 1
            yield self._read - 1, row.get

    def _item(self, number: int, cell: Callable[[str], Any]) -> dict[str, Any] | Settled:
        """Return a row as an item of a run; its result, where it has a fault that the run would not let pass."""
        asked = self._asked
        own = None if asked.prompt_column is None else cell(asked.prompt_column)
        prompt = asked.prompt if is_null(own) else str(own) if isinstance(own, str) else own
        name = str(number)
        if asked.makes_images:
            name = _id_of(cell(cast("str", asked.id_column)))
            if name and not self._ids.add(digest_of_id(name)):
                error = ConfigError(f"row {number}: another row of this batch has the id {name!r} too")
                return Settled(BatchResult(number, name, error=error, outcome="not_sent"))
        if asked.image_column is None:
            if asked.makes_images or not isinstance(prompt, str) or not prompt.strip():
                return {"id": name, "prompt": prompt}
            return {"id": name, "messages": [{"role": "user", "content": prompt}]}
        source: Any = cell(asked.image_column)
        if is_any(source, list, tuple):
            return {"id": name, "images": [each for each in source if not is_null(each)], "prompt": prompt}
        return {"id": name, "images": [] if is_null(source) else [source], "prompt": prompt}

    # --- Answers on their way out ---

    async def _answers(self) -> AsyncGenerator[tuple[Mapping[str, Any], list[Any]], None]:
        """Yield each row and its answer, in their order."""
        done = 0
        try:
            try:
                async with self._run as run:
                    async for result in run:
                        number = result.index
                        for before in range(done, number):
                            yield self._waiting.pop(before, {}), self._without_result()
                        done = number + 1
                        yield self._waiting.pop(number, {}), await self._values(result)
                        _answered[self._client] = _answered.get(self._client, 0) + result.ok
            except BatchStoppedError as stopped:
                self.stopped = stopped
            for number in range(done, self._read if self._table is None else len(self._table)):
                yield self._waiting.pop(number, {}), self._without_result()
            if self._table is None and self.stopped is not None:
                raise self.stopped
        finally:
            if self._closes and self._asked.book is not None:
                await self._asked.book.aclose()

    def _without_result(self) -> list[Any]:
        """Return the columns of a row that the run has not come to."""
        return self._failed(self.stopped or TutuError("the run ended before this row was sent"), "not_sent")

    async def _ordered_before(self, key: int) -> list[Any]:
        """Return the columns of a row whose image was ordered before."""
        book = cast("OrderBook", self._asked.book)
        try:
            record = await book.end_of(key)
        except NotOrderedError as error:
            return self._failed(error, "not_sent")
        if record is None or record.outcome == "unknown":
            why = "its answer was lost" if record is None else f"then: {record.cls}: {record.err}"
            unknown = OutcomeUnknownError(
                f"the image was ordered before, as {printable(str(book.folder))} has it, and {why}. It may be made, "
                "and billed: resend_unknown=True orders it again"
            )
            return self._failed(unknown, "unknown")
        return self._recorded(record, book.folder / "images")

    async def _values(self, result: BatchResult[Any]) -> list[Any]:
        error = result.error
        if isinstance(error, OrderedBeforeError):
            return await self._ordered_before(error.key)
        usage = result.usage
        values = {
            "status": "ok" if error is None else "error",
            "text": result.text,
            "parsed": None if error is not None else self._parsed(result.value),
            "error_class": None if error is None else type(error).__name__,
            "error": None if error is None else printable(str(error), _ERROR_CHARS),
            "outcome": result.outcome,
            "prompt_tokens": None if usage is None else usage.prompt_tokens,
            "completion_tokens": None if usage is None else usage.completion_tokens,
            "request_id": result.request_id,
            "attempts": result.attempts,
            "images": [str(path) for path in result.images],
        }
        return self._listed(values)

    def _recorded(self, record: Record, images: Path) -> list[Any]:
        """Return the columns of what a journal has of a row."""
        ok = record.k == "ok"
        values = {
            "status": "ok" if ok else "error",
            "text": record.res if isinstance(record.res, str) else None,
            "error_class": record.cls or None,
            "error": record.err or None,
            "outcome": "done" if ok else record.outcome,
            "prompt_tokens": record.tin,
            "completion_tokens": record.tout,
            "request_id": record.rid or None,
            "attempts": record.att,
            "images": [str(images / name) for name, _ in record.img],
        }
        return self._listed(values)

    def _failed(self, error: Exception, outcome: str) -> list[Any]:
        text = printable(str(error), _ERROR_CHARS)
        values = {"status": "error", "error_class": type(error).__name__, "error": text, "outcome": outcome}
        return self._listed(values | {"attempts": 0, "images": []})

    def _listed(self, values: Mapping[str, Any]) -> list[Any]:
        """Return values in the order of the columns."""
        return [values.get(name.removeprefix(self._asked.prefix)) for name in self._asked.kinds]

    def _parsed(self, value: Any) -> str | None:
        """Return a value as JSON text; None where no value was asked for."""
        asked = self._asked.response_format
        if asked is UNSET:
            return None
        if is_format(asked):
            return msgspec.json.encode(builtins_of(value)).decode()
        try:
            json.loads(value)
        except ValueError:  # A server that does not know ``response_format`` answers in words.
            return None
        return cast("str", value)


def _found_before(item: Item) -> BatchResult[Any]:
    error = OrderedBeforeError("the image was ordered before this run began", item.key)
    return BatchResult(item.index, item.id, error=error, outcome="not_sent")


def _id_of(value: Any) -> str:
    """Return an id as text, the same however a batch holds it: an order is known again by it. "" where it is null."""
    if is_null(value):
        return ""
    # Of pyarrow's binary columns a cell is a view, whose own text is its place in memory.
    if isinstance(value, bytes | bytearray | memoryview):
        return repr(bytes(cast("Any", value)))
    # pandas makes floats of whole numbers that a null stands among.
    if isinstance(value, Real) and not isinstance(value, Integral) and float(value).is_integer():
        return str(int(float(value)))
    return str(value)


async def _iterated(rows: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row
