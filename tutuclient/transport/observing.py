"""What watches calls, apart from what takes part in them: traces, metrics, a log.

An observer gets each call as it begins and returns a listener for it, or None. Transport and streams tell the listener
how the call goes on, up to its end, which comes once however the call ends. Unlike middleware, a listener also sees a
stream after it was handed over, and cannot change anything but the headers of an attempt.
"""

from __future__ import annotations

import asyncio
import sys
import time
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar

from tutuclient._logger import logger
from tutuclient._meta import Meta
from tutuclient.errors import ConfigError, TutuError
from tutuclient.settings import clean_headers, header_lines, masked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from tutuclient.errors import Outcome
    from tutuclient.settings import Observer, Settings

T = TypeVar("T")


How: TypeAlias = Literal["answered", "failed", "cancelled", "closed", "dropped"]
"""How a call ended. ``answered``: its answer came whole. ``failed``: it raised. ``cancelled``: its task was cancelled.
``closed``: its stream was left before the end, by ``break``, ``aclose`` or the closing of the client. ``dropped``: its
stream was lost, and closed by the garbage collector.
"""


class Observable(Protocol):
    """What is read of a ``Call``, whose module imports this one."""

    method: str
    what: str
    url: str
    fields: Mapping[str, Any] | None
    form_fields: Mapping[str, Any] | None
    stream: bool
    makes_image: bool
    settings: Settings
    observation: Observation | None

    @property
    def model(self) -> str:
        """The model that is asked, or ""."""
        ...

    @property
    def shown(self) -> str:
        """Method and path for the log, without a query, in which some relays want the key."""
        ...


class ObservedCall:
    """A call as its listeners see it, for as long as it goes on.

    Attributes:
        observers: Those that this call is shown to, the client's own first.
    """

    __slots__ = ("_call", "observers")

    def __init__(self, call: Observable, observers: Sequence[Observer]) -> None:
        self._call = call
        self.observers: Sequence[Observer] = observers

    @property
    def method(self) -> str:
        """GET, POST or another."""
        return self._call.method

    @property
    def path(self) -> str:
        """The path behind the base URL, without a query, in which some relays want the key."""
        return self.masked(self._call.what.partition(" ")[2].partition("?")[0])

    @property
    def url(self) -> str:
        """The whole address, without its query; of the attempt that is under way, where they differ."""
        return self.masked(self._call.url.partition("?")[0])

    @property
    def model(self) -> str:
        """The model that is asked, as far as the request names one; else ""."""
        return self.masked(self._call.model)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields of the request, of JSON or of a form without its files: prompts and images are among them."""
        call = self._call
        fields: object = call.form_fields if call.fields is None else call.fields
        return fields if isinstance(fields, Mapping) else {}

    @property
    def stream(self) -> bool:
        """Whether the result is read after the call has returned it."""
        return self._call.stream

    @property
    def makes_image(self) -> bool:
        """Whether it orders an image."""
        return self._call.makes_image

    def masked(self, text: str) -> str:
        """Return a text with the key replaced by ``***``, wherever it stands."""
        return masked(text, self._call.settings.api_key)

    def __repr__(self) -> str:
        return f"<ObservedCall {self.method} {self.path}>"


class CallEnd:
    """How a call ended.

    Attributes:
        how: See ``How``.
        error: What it raised, where it failed; its ``outcome`` says whether the work may have been done.
        outcome: Of a call that was not answered, whether it may have been carried out, and billed: that of its error
            and, where it was left before its end, ``unknown`` once a request was on its way. None where it was
            answered, and for errors that have none.
        meta: Status, headers and timings of the last attempt; ``attempts`` is how often it was sent.
        elapsed_s: Seconds from the beginning of the call.
        time_ns: When it ended, in nanoseconds since the epoch; a listener may be told somewhat later.
    """

    __slots__ = ("_answer", "elapsed_s", "error", "how", "meta", "outcome", "time_ns")

    def __init__(
        self,
        how: How,
        error: BaseException | None,
        answer: Callable[[], Any],
        meta: Meta,
        elapsed_s: float,
        outcome: Outcome | None = None,
    ) -> None:
        self.how: How = how
        self.error: BaseException | None = error
        self._answer = answer
        self.meta: Meta = meta
        self.elapsed_s: float = elapsed_s
        self.outcome: Outcome | None = outcome
        self.time_ns: int = time.time_ns()

    @property
    def answer(self) -> Any:
        """The answer; of a stream what came of it, folded, and None where its items are not kept. Built when asked."""
        return self._answer()


class CallListener:
    """Told how one call goes: derive from it, and write the methods that you need.

    They are called in the order in which they stand here. They must be quick, as the event loop waits for them. What
    they raise is logged, by its class alone, and changes nothing of the call.
    """

    def attempt_begins(self, number: int, headers: dict[str, str]) -> None:
        """Note that an attempt begins, in the task of the call.

        Args:
            number: Which it is; the first is 1.
            headers: Empty; what is put in is sent with this attempt, over the headers that there are.
        """

    def head(self, meta: Meta) -> None:
        """Note that the status and the headers of an answer have come, good or bad; in the task of the call."""

    def attempt_ends(self, how: How, error: BaseException | None, meta: Meta) -> None:
        """Note that an attempt is over, with the error that it ended in, or None. A stream's last one ends with it."""

    def usage(self, usage: Any) -> None:
        """Note what the relay says the answer used: a ``Usage``, or what the endpoint has in its place."""

    def returned(self) -> None:
        """Note that the call returns to its caller, or raises, in the caller's task. A stream goes on."""

    def first_content(self, elapsed_s: float) -> None:
        """Note that the first content of a stream came, so many seconds after the beginning of the call."""

    def chunk(self, item: Any, elapsed_s: float) -> None:
        """Note a chunk of a stream that carries content, the first included, and when it came from the network."""

    def ends(self, end: CallEnd) -> None:
        """Note that the call is over: called once. A stream that was lost may tell it from another thread."""


class Observation:
    """Tells the listeners of one call how it goes.

    Attributes:
        headers: What they want to be sent with the attempt.
    """

    __slots__ = (
        "_answer",
        "_attempting",
        "_call",
        "_last",
        "_listeners",
        "_meta",
        "_open",
        "_outcome",
        "_progress",
        "_raised",
        "_reader",
        "_returned",
        "_started",
        "_unended",
        "headers",
    )

    def __init__(self, call: Observable, listeners: list[CallListener]) -> None:
        self._call = call
        self._listeners = listeners
        self._started = time.monotonic()
        self._meta = Meta()
        self._answer: Callable[[], Any] | None = None
        self._attempting = self._returned = False
        self._outcome: Outcome = "not_sent"
        # What streams have been opened and not closed; more than one where a middleware calls twice.
        self._open: set[int] = set()
        self._last: tuple[How, BaseException | None] | None = None
        self._reader: object = None
        self._progress = 0
        self._raised: set[int] = set()
        # A list, as ``pop`` is atomic: finalizers may run in any thread, and at any moment.
        self._unended = [True]
        self.headers: Mapping[str, str] = {}

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Run the call; it ends here, unless it has opened a stream."""
        self._call.observation = self
        try:
            result = await call()
        except BaseException as error:
            self._end(_how(error), error)
            raise
        else:
            self._returned = True
            if not self._open:
                self._answer = self._answer or (lambda: result)
                self._end(*(self._last or ("answered", None)))
        finally:
            self._tell("returned")
        return result

    # --- attempts -----------------------------------------------------------------------------------------------------

    def attempt_begins(self, meta: Meta) -> None:
        """Begin an attempt, and take the headers that listeners add to it."""
        if self._attempting:  # Of a middleware that has called twice.
            self.attempt_ends("answered", None, self._meta)
        self._meta, self._attempting = meta, True
        headers: dict[str, str] = {}
        self._tell("attempt_begins", meta.attempts, headers)
        try:
            self.headers = clean_headers(headers) if headers else headers
        except ConfigError as error:
            self.headers = {}
            logger.warning("%s: the headers of an observer are not sent: %s", self._call.shown, error)

    def head(self, meta: Meta) -> None:
        """Report the status and the headers of an answer."""
        self._meta = meta
        self._tell("head", meta)

    def attempt_ends(self, how: How, error: BaseException | None, meta: Meta) -> None:
        """End the attempt, if one has begun: waiting for a slot is none."""
        self._meta = meta
        if isinstance(error, TutuError) and error.outcome is not None and self._outcome != "unknown":
            self._outcome = error.outcome
        if self._attempting:
            self._attempting = False
            self._tell("attempt_ends", how, error, meta)

    def left(self) -> None:
        """Note that the attempt is cancelled while a request may have been read by the relay."""
        self._outcome = "unknown"

    def header_lines(self) -> bytes | None:
        """Return the headers as they are sent; None when they have to be merged with others first."""
        if not self.headers:
            return b""
        others = {name.lower() for name in self._call.settings.headers}
        return None if any(name.lower() in others for name in self.headers) else header_lines(self.headers)

    # --- answers and streams ------------------------------------------------------------------------------------------

    def used(self, usage: Any) -> None:
        """Report what an answer used."""
        self._tell("usage", usage)

    def answered(self, answer: Any) -> None:
        """Note the whole answer."""
        self._answer = lambda: answer

    def opened(self, reply: object, meta: Meta, loop: asyncio.AbstractEventLoop) -> None:
        """Note that the call returns an open answer, which ends it."""
        self._meta, self._last = meta, None
        self._open.add(id(reply))
        lost = weakref.finalize(reply, self.dropped, id(reply), loop)
        lost.atexit = False

    def watched(self, reader: Any, items: Iterator[T]) -> Iterator[T]:
        """Return the items that a reader makes of bytes that have just come, and tell of each as it is taken."""
        if reader is not self._reader:
            self._reader, self._progress = reader, 0
        return self._watch(reader, items, time.monotonic() - self._started)

    def _watch(self, reader: Any, items: Iterator[T], elapsed_s: float) -> Iterator[T]:
        for item in items:
            progress = reader.progress
            if progress != self._progress:
                if self._progress == 0:
                    self._tell("first_content", elapsed_s)
                self._progress = progress
                self._tell("chunk", item, elapsed_s)
            yield item

    def read(self, reply: Any, answer: Any = None) -> None:
        """End the call with its open answer, which has been read to its end; None leaves the answer to its reader."""
        if answer is not None:
            self.answered(answer)
        self._stream_ends(reply, "answered", None)

    def raised(self, reply: Any, error: BaseException) -> None:
        """End the call with an error that the reading of its open answer has raised."""
        self._stream_ends(reply, _how(error), error)

    def _stream_ends(self, reply: Any, how: How, error: BaseException | None) -> None:
        if id(reply) in self._open:
            self._meta = reply.meta
            self._settle(how, error)

    def closed(self, reply: object) -> None:
        """End the call, if nothing did before its connection was freed."""
        if id(reply) in self._open:
            self._open.discard(id(reply))
            # Before its end, since what reads the stream has not told of one.
            self._settle("closed" if self._last is None else self._last[0], None)

    def dropped(self, reply: int, loop: asyncio.AbstractEventLoop, how: How = "dropped") -> None:
        """End the call from a finalizer, unless its stream, the one with this id, has ended.

        That may run amid anything, also while a listener holds a lock of its own: so the loop tells it.
        """
        is_open = reply in self._open
        self._open.discard(reply)
        if not is_open or not self._returned:
            return
        end = self._ending(how, None)
        if end is None or sys.is_finalizing():
            return
        try:
            if not loop.is_running():
                raise RuntimeError  # noqa: TRY301  (nothing would run it)
            loop.call_soon_threadsafe(self._tell_end, end)
        except RuntimeError:
            self._tell_end(end)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _settle(self, how: How, error: BaseException | None) -> None:
        """End the call, or note how its stream ended while it is not the caller's yet, but a middleware's."""
        self._last = self._last or (how, error)
        if self._returned:
            self._end(how, error)

    def _end(self, how: How, error: BaseException | None) -> None:
        end = self._ending(how, error)
        if end is not None:
            self._tell_end(end)

    def _ending(self, how: How, error: BaseException | None) -> CallEnd | None:
        """Return how the call ends, the first time."""
        try:
            self._unended.pop()
        except IndexError:
            return None
        # A stream that was left, or that broke while nobody read, has as its answer what its reader kept.
        reader = self._reader
        answer = self._answer or (lambda: getattr(reader, "partial", None))
        return CallEnd(how, error, answer, self._meta, time.monotonic() - self._started, self._left_open(how, error))

    def _left_open(self, how: How, error: BaseException | None) -> Outcome | None:
        if how == "failed":
            return error.outcome if isinstance(error, TutuError) else None
        if how == "answered":
            return None
        return "unknown" if self._returned else self._outcome  # What it has returned is a stream, which had begun.

    def _tell_end(self, end: CallEnd) -> None:
        self.attempt_ends(end.how, end.error, end.meta)
        self._tell("ends", end)
        # They refer to each other, and to bodies of megabytes.
        self._call.observation = self._answer = self._reader = None

    def _tell(self, method: str, *arguments: Any) -> None:
        for listener in self._listeners:
            try:
                getattr(listener, method)(*arguments)
            except Exception as error:  # noqa: BLE001  (an answer that was paid for must not be lost over it)
                if id(listener) not in self._raised:  # Else each chunk would be a line.
                    self._raised.add(id(listener))
                    names = type(listener).__name__, method, type(error).__name__
                    logger.warning("%s: %s.%s raised %s", self._call.what.partition("?")[0], *names)


def _how(error: BaseException) -> How:
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    # What stops a program, or closes a coroutine, says nothing of the call.
    return "failed" if isinstance(error, Exception) else "closed"
