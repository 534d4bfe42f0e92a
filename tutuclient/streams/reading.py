"""A streamed answer while it is read: one loop at a time, the idle timeout, and a connection freed when it is left.

No HTTP and no event streams here: bytes come from a ``Reply``, and a reader makes items of them.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from tutuclient import wire
from tutuclient.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ConfigError,
    IncompleteStreamError,
    TutuError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
    from typing import Self

    from tutuclient._meta import Meta
    from tutuclient.transport.deadlines import Limits
    from tutuclient.transport.observing import How
    from tutuclient.transport.reply import Reply

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
T = TypeVar("T")

# How long to wait for the end of the body behind [DONE], in seconds: a body read to its end leaves a connection that
# can be used again, one that is not costs a new handshake.
_TAIL_S = 0.1
_TAIL_BYTES = 64 * 2**10
# An event that is longer and still growing is content on its way, such as an image in one line (WIRE.md 3.2); pings and
# empty frames are shorter.
_LONGEST_PING = 4096


class _Reader(Protocol[E_co]):
    """Makes items of the bytes of a streamed answer, without I/O; ``events.BaseEventReader`` documents the members."""

    @property
    def done(self) -> bool: ...
    @property
    def meta(self) -> Meta: ...
    @property
    def partial(self) -> Any: ...
    @property
    def progress(self) -> int: ...
    @property
    def finished(self) -> bool: ...
    @property
    def usage(self) -> Any: ...
    @property
    def buffered(self) -> int: ...
    def feed(self, piece: bytes) -> Iterator[E_co]: ...
    def end(self) -> Iterator[E_co]: ...
    def check_complete(self, *, strict: bool) -> None: ...


class _Reading(Generic[E]):
    """The reading of a stream, apart from the ``Stream`` that users hold, so that losing a ``Stream`` ends it at once.

    One loop at a time reads: the first keeps the stream, whatever others try. A
    loop that is left, by a ``break`` or an exception, closes the stream at that
    moment and not when its generator is collected, so reading on always ends in
    the same error.
    """

    def __init__(self, reply: Reply, reader: _Reader[E], pending: Iterator[E], after_end: str) -> None:
        self.reply: Reply | None = reply
        self.reader = reader
        self._observation = reply.call.observation
        self.pending = pending
        self.error: TutuError | None = None
        self.complete = False
        self._after_end = after_end
        self._loops: dict[object, weakref.ref[AsyncGenerator[Any, None]]] = {}
        self._current: object = None
        self._task: weakref.ref[asyncio.Task[Any]] | None = None
        self._is_waiting = False

    def close(self) -> None:
        """Free the connection."""
        reply, self.reply = self.reply, None
        if reply is not None:
            reply.limits.stop()
            reply.close()
            self._observation = None  # It holds the request, which may be large.

    def drop(self, how: How) -> None:
        """Free the connection from a finaliser, which may run in any thread."""
        reply, self.reply = self.reply, None
        if reply is not None:
            reply.drop(how)
            self._observation = None

    @property
    def current(self) -> object:
        """The token of the loop that reads, or None."""
        return self._current

    def items(self, owner: Stream[E] | None) -> AsyncGenerator[E, None]:
        """Return a loop that reads on, from where the last one stopped."""
        token = object()
        return self.guarded(self.iterate(owner, token), token)

    def guarded(self, loop: AsyncGenerator[T, None], token: object) -> AsyncGenerator[T, None]:
        """Close the stream as soon as this loop, which reads under ``token``, is dropped before its end.

        A ``break`` only drops the generator. asyncio's finalizer hook then closes it in a task of its own, some turns
        of the loop later or never (PEP 525, https://peps.python.org/pep-0525/#finalization), and the relay would go on
        generating, and charging, meanwhile. A weak reference's callback runs at once: CPython clears weak references
        before it calls the finalizer (``gen_dealloc`` in Objects/genobject.c).
        """
        # The callback must not hold the reading, or the reading would hold itself by way of its loops.
        self._loops[token] = weakref.ref(loop, partial(_Reading.on_dropped, weakref.ref(self), token))
        return loop

    @staticmethod
    def on_dropped(this: weakref.ref[_Reading[Any]], token: object, _: object) -> None:
        """Free the connection if the loop that is gone was the one that read."""
        self = this()
        if self is not None:
            self._loops.pop(token, None)
            # When the interpreter ends, asyncio has closed its loop, and nothing can be scheduled any more.
            if self._current is token and not sys.is_finalizing():
                self.drop("closed")

    def check_free(self, token: object = None) -> None:
        """Raise when somebody else is reading. That one is not disturbed.

        Raises:
            ConfigError: Another task reads, or the stream belongs to another event loop.
        """
        if self.reply is None:
            return
        if self.reply.limits.loop is not asyncio.get_running_loop():
            raise ConfigError("the stream was opened in another event loop; read it there")
        # Two tasks in one ``__anext__`` would share the bytes between them.
        if self._is_waiting:
            raise ConfigError("the stream is being read already: one loop at a time may read it")
        if self._current in (None, token):
            return
        task = None if self._task is None else self._task()
        if task is not None and not task.done() and task is not asyncio.current_task():
            raise ConfigError("the stream is being read already, by another task: one at a time may read it")

    async def iterate(self, owner: Stream[E] | None, token: object) -> AsyncGenerator[E, None]:  # noqa: ARG002  (see below)
        """Read on under ``token``, which ``guarded`` gets too.

        ``owner`` is never used. The generator's frame holds it, so that in ``async for chunk in await create(…)`` the
        stream lives as long as its loop, and its ``__del__`` does not close it in the middle.
        """
        reply, reader = self._start(token), self.reader
        # b"" would be the end of the body; what has come before this loop is pending.
        idle, piece = _IdleTimer(reply.limits, reply.call.timeout.idle), b"\n"
        try:
            while True:
                for item in self.pending:
                    if idle.running:
                        idle.pause()
                    yield item
                if reader.done or not piece:
                    break
                piece = await self._read_more(reply, token, idle)
            # The bytes have ended, and with that alone nothing is known: relays end streams that they have cut (WIRE.md
            # 3.1).
            reader.check_complete(strict=reply.call.settings.strict_finish)
            self.complete = True
            reply.stamp()
            reply.ended(None)
            reply.call.report_usage(reader.usage, reader.meta)
            self._tell_end(reply, None)
            await _read_tail(reply)
        except ConfigError:
            raise  # Of a second reader: the stream is the first one's, and goes on.
        except TutuError as error:
            piece = b""  # The traceback keeps this frame, and would keep the bytes read last.
            self._end_with(reply, error)
            raise
        except asyncio.CancelledError as error:
            self._tell_end(reply, error)
            raise
        finally:
            # Also on GeneratorExit, when the loop is closed at a yield.
            if self._current is token:
                self.close()

    def _end_with(self, reply: Reply, error: TutuError) -> None:
        """Add what is known to an error, and report it to the relay's health and to those who observe."""
        meta = self.reader.meta
        if isinstance(error, APIError):
            error.with_partial(self.reader.partial)
        error.with_details(attempts=meta.attempts, outcome="unknown", relay=meta.relay)
        self.error = wire.without_key(error, reply.call.settings.api_key)
        reply.ended(self.error)
        self._tell_end(reply, self.error)

    def _tell_end(self, reply: Reply, error: BaseException | None) -> None:
        if self._observation is None:
            return
        if error is None:
            self._observation.read(reply)
        else:
            self._observation.raised(reply, error)

    def _start(self, token: object) -> Reply:
        """Reserve the stream for the loop that reads under ``token``."""
        if self.complete:
            raise ConfigError(f"the stream has been read to its end already{self._after_end}")
        if self.reply is None:
            raise self.error or self._closed()
        self.check_free()
        self._current = token
        task = asyncio.current_task()
        self._task = None if task is None else weakref.ref(task)
        return self.reply

    async def _read_more(self, reply: Reply, token: object, idle: _IdleTimer) -> bytes:
        """Read the next bytes; the items that they complete are pending then."""
        reader = self.reader
        if self.reply is None:
            raise self.error or self._closed()
        self.check_free(token)
        if not idle.running or reader.buffered > _LONGEST_PING:
            idle.resume(reader.progress)
        self._is_waiting = True
        try:
            piece = await self._next_piece(reply)
        finally:
            self._is_waiting = False
        items = reader.feed(piece) if piece else reader.end()
        self.pending = items if self._observation is None else self._observation.watched(reader, items)
        return piece

    def _closed(self) -> APIConnectionError:
        return APIConnectionError(
            f"the stream was closed before its end, as leaving its loop does; {self._where_the_rest_is}"
        )

    @property
    def _where_the_rest_is(self) -> str:
        return "the answer is incomplete" if self.reader.partial is None else "what came is in .partial"

    async def _next_piece(self, reply: Reply) -> bytes:
        """Read the next bytes. A connection that breaks after the answer is complete has only ended."""
        try:
            return await reply.piece()
        except APIConnectionError as error:
            # The reset of a relay that does not wait for its last bytes to be read takes nothing from an answer that is
            # whole.
            if self.reader.finished:
                return b""
            if isinstance(error, APITimeoutError):
                raise
            cut = IncompleteStreamError(f"{error.message}; {self._where_the_rest_is}", request_id=error.request_id)
            cause = error.__cause__
        raise cut from cause


class _IdleTimer:
    """Limits the time in which a stream carries no content; the time that its reader takes does not count.

    Pings and empty frames do not reset it: a relay sends them while its upstream is stuck (WIRE.md 3.1).

    Attributes:
        running: The stream is being waited for.
    """

    __slots__ = ("_began", "_limit", "_limits", "_progress", "_used", "running")

    def __init__(self, limits: Limits, limit: float | None) -> None:
        self._limits = limits
        self._limit = limit
        self._progress = 0
        self._used = 0.0
        self._began = 0.0
        self.running = False

    def pause(self) -> None:
        """Stop the clock: the reader has an item, and may take its time."""
        self._limits.ease()
        self._used += self._limits.now() - self._began
        self.running = False

    def resume(self, progress: int) -> None:
        """Wait for more; the full limit holds again if the reader's ``progress`` has grown since the last wait."""
        if progress != self._progress:
            self._progress, self._used = progress, 0.0
        self._limits.limit("idle", None if self._limit is None else self._limit - self._used)
        self._began = self._limits.now()
        self.running = True


async def _read_tail(reply: Reply) -> None:
    """Read the end of the body behind the last event, if it comes soon, so that the connection can be used again."""
    left = _TAIL_BYTES
    if reply.at_end:
        return
    # Some servers leave the connection open behind [DONE]: the answer is here, and must not wait for that.
    reply.limits.limit("tail", _TAIL_S)
    try:
        while left > 0 and not reply.at_end and (piece := await reply.piece()):
            left -= len(piece)
    except TutuError:
        return  # The answer is complete; only the connection is lost.


async def _stop() -> Any:
    # What ``__anext__`` returns when there is nothing more: ``anext`` awaits it, and meets the exception there.
    raise StopAsyncIteration


class Stream(Generic[E]):
    """A streamed answer: iterate over it.

    It is an async context manager. Leaving the block, a ``break``, cancelling
    the task that reads, or losing the object frees the connection at once, so
    the relay can stop generating. A stream is read once, and by one task:
    another that tries gets a ``ConfigError``, and the first reads on.

    Raises, while it is read:
        IncompleteStreamError: It stopped before the answer was complete.
        StreamIdleTimeoutError: It carried no content for ``timeout.idle`` seconds.
        APITimeoutError: The deadline of the call passed.
        APIError: The relay sent an error.
    """

    _after_end = ""

    def __init__(self, reply: Reply, reader: _Reader[E], pending: Iterator[E]) -> None:
        self._reading = _Reading(reply, reader, pending, self._after_end)
        self._iterator: AsyncGenerator[E, None] | None = None
        self._token: object = None

    @property
    def meta(self) -> Meta:
        """How the call went, so far."""
        return self._reading.reader.meta

    @property
    def response(self) -> Meta:
        """The same as ``meta``, under openai's name: status, headers, request id."""
        return self.meta

    @property
    def is_closed(self) -> bool:
        """Whether the connection is free: the stream has been read to its end, or was closed before it."""
        return self._reading.reply is None

    def __aiter__(self) -> AsyncIterator[E]:
        return self._reading.items(self)

    def __anext__(self) -> Awaitable[E]:
        reading = self._reading
        if reading.complete:
            return _stop()
        if self._iterator is None or reading.reply is None or reading.current is not self._token:
            self._token = object()
            self._iterator = reading.guarded(reading.iterate(None, self._token), self._token)
        else:
            # Checked outside the generator, since one that raises is finished: the first reader could not go on.
            reading.check_free(self._token)
        return self._iterator.__anext__()

    def _loop(self, read: Callable[[AsyncGenerator[E, None]], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
        """Return a loop over what ``read`` makes of the items: leaving it leaves both."""
        token = object()
        return self._reading.guarded(read(self._reading.iterate(self, token)), token)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Free the connection now. Safe to call twice, and after the end."""
        self._reading.close()

    close = aclose

    def __del__(self) -> None:
        reading = self.__dict__.get("_reading")  # Not there when __init__ failed.
        # When the interpreter ends, the loop has closed the connection, and nobody can be warned any more.
        if reading is not None and reading.reply is not None and not sys.is_finalizing():
            reading.drop("dropped")
            name = type(self).__name__
            warnings.warn(
                f"a {name} was dropped before its end; read it within 'async with'", ResourceWarning, stacklevel=2
            )
