"""A streamed answer as it is read: one loop at a time, limits on silence, and the connection freed when it is left.

Knows no HTTP: bytes come from a ``Reply``. What they say is a ``Reader``'s to know.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
import weakref
from functools import partial
from itertools import chain
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
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from tutuclient._meta import Meta
    from tutuclient.transport.deadlines import Watch
    from tutuclient.transport.reply import Reply
    from tutuclient.wire import sse

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
T = TypeVar("T")

# How long to wait for the end of the body behind [DONE], in seconds: with it the connection serves again.
_TAIL_S = 0.1
_TAIL_BYTES = 64 * 2**10
# What is longer and goes on growing is content on its way, such as a picture.
_LONGEST_PING = 4096
# So many chunks without content are kept back for the first that has some.
_MANY_EMPTY = 1000


class Reader(Protocol[E_co]):
    """Bytes to what they say, without any waiting: the decoder of one streamed answer."""

    @property
    def done(self) -> bool:
        """Whether the relay has said that it is over; nothing behind that counts."""
        ...

    @property
    def meta(self) -> Meta:
        """How the call went."""
        ...

    @property
    def partial(self) -> Any:
        """What has come so far, put together; None when nothing has, or when it is not kept."""
        ...

    @property
    def spoken(self) -> int:
        """A number that is 0 at first, and grows with all that comes and is more than a frame."""
        ...

    @property
    def finished(self) -> bool:
        """Whether nothing of the answer is missing, however the bytes end."""
        ...

    @property
    def usage(self) -> Any:
        """What the relay says the answer used, so far; None when it has not said."""
        ...

    @property
    def unfinished(self) -> int:
        """How many bytes have come of an event whose end has not."""
        ...

    def feed(self, piece: bytes) -> Iterator[E_co]:
        """Give what the next bytes complete."""
        ...

    def end(self) -> Iterator[E_co]:
        """Give what is left when the bytes are over."""
        ...

    def whole(self, data: sse.Data) -> Iterable[E_co]:
        """Take a whole answer that came in place of a stream."""
        ...

    def check_complete(self, *, strict: bool) -> None:
        """Raise when the stream has ended and something is missing."""
        ...


class BodyReader(Reader[E_co], Protocol[E_co]):
    """A reader that takes a body which is no event stream too."""

    def by_line(self, piece: bytes) -> bool:
        """Read lines of JSON from now on, if the first bytes of the body ask for it; return whether they do."""
        ...


class _Reading(Generic[E]):
    """The reading of a stream, apart from the ``Stream`` that users hold: losing that one ends it at once.

    One loop at a time reads: the first keeps the stream, whatever others try. A
    loop that is left, by a ``break`` or an exception, closes the stream at that
    moment and not when its generator is collected, so reading on always ends in
    the same error.
    """

    def __init__(self, reply: Reply, reader: Reader[E], pending: Iterator[E]) -> None:
        self.reply: Reply | None = reply
        self.reader = reader
        self.pending = pending
        self.error: TutuError | None = None
        self.complete = False
        self._loops: dict[object, weakref.ref[AsyncGenerator[Any, None]]] = {}
        self._reads: object = None
        self._task: weakref.ref[asyncio.Task[Any]] | None = None
        self._waits = False

    def close(self) -> None:
        """Free the connection."""
        reply, self.reply = self.reply, None
        if reply is not None:
            reply.watch.stop()
            reply.close()

    def drop(self) -> None:
        """Free the connection from a finaliser, which may run in any thread."""
        reply, self.reply = self.reply, None
        if reply is not None:
            reply.drop()

    @property
    def reads(self) -> object:
        """Whose turn it is: the token of the loop that reads, or None."""
        return self._reads

    def items(self, owner: Stream[E] | None) -> AsyncGenerator[E, None]:
        """Return a loop that reads on, from where the last one stopped."""
        token = object()
        return self.guarded(self.by(owner, token), token)

    def guarded(self, loop: AsyncGenerator[T, None], token: object) -> AsyncGenerator[T, None]:
        """Close the stream as soon as this loop, which reads by ``token``, is dropped in the middle."""
        self._loops[token] = weakref.ref(loop, partial(_Reading.forget, weakref.ref(self), token))
        return loop

    @staticmethod
    def forget(this: weakref.ref[_Reading[Any]], token: object, _: object) -> None:
        """Note that a loop is gone."""
        self = this()
        if self is not None:
            self._loops.pop(token, None)
            if self._reads is token and not sys.is_finalizing():
                self.drop()

    def check_free(self, token: object = None) -> None:
        """Raise when somebody else is reading. That one is not disturbed.

        Raises:
            ConfigError: Another task reads, or the stream belongs to another event loop.
        """
        if self.reply is None:
            return
        if self.reply.watch.loop is not asyncio.get_running_loop():
            raise ConfigError("the stream was opened in another event loop; read it there")
        if self._waits:
            raise ConfigError("the stream is being read already: one loop at a time may read it")
        if self._reads in (None, token):
            return
        task = None if self._task is None else self._task()
        if task is not None and not task.done() and task is not asyncio.current_task():
            raise ConfigError("the stream is being read already, by another task: one at a time may read it")

    async def by(self, owner: Stream[E] | None, token: object) -> AsyncGenerator[E, None]:  # noqa: ARG002  (kept alive by its loop)
        """Read on; ``guarded`` has the same token."""
        reply, reader = self._begin(token), self.reader
        silence, piece = _Silence(reply.watch, reply.call.timeout.idle), b"\n"
        try:
            while True:
                for item in self.pending:
                    if silence.lasts:
                        silence.pause()
                    yield item
                if reader.done or not piece:
                    break
                piece = await self._go_on(reply, token, silence)
            reader.check_complete(strict=reply.call.settings.strict_finish)
            self.complete = True
            reply.stamp()
            reply.call.tell_usage(reader.usage, reader.meta)
            await _read_tail(reply)
        except ConfigError:
            raise
        except TutuError as error:
            if isinstance(error, APIError):
                error.partial = reader.partial or error.partial
            error.attempts = reader.meta.attempts
            error.outcome = "unknown"
            piece = b""
            self.error = wire.without_key(error, reply.call.settings.api_key)
            raise
        finally:
            if self._reads is token:
                self.close()

    def _begin(self, token: object) -> Reply:
        """Reserve the stream for the loop that reads by ``token``."""
        if self.complete:
            raise ConfigError("the stream has been read to its end already; await completion() has the whole answer")
        if self.reply is None:
            raise self.error or self._closed()
        self.check_free()
        self._reads = token
        task = asyncio.current_task()
        self._task = None if task is None else weakref.ref(task)
        return self.reply

    async def _go_on(self, reply: Reply, token: object, silence: _Silence) -> bytes:
        """Read the next bytes; what they complete is pending then."""
        reader = self.reader
        if self.reply is None:
            raise self.error or self._closed()
        self.check_free(token)
        if not silence.lasts or reader.unfinished > _LONGEST_PING:
            silence.go_on(reader.spoken)
        self._waits = True
        try:
            piece = await self._read(reply)
        finally:
            self._waits = False
        self.pending = reader.feed(piece) if piece else reader.end()
        return piece

    def _closed(self) -> APIConnectionError:
        return APIConnectionError(
            f"the stream was closed before its end, as leaving its loop does; {self._what_is_left}"
        )

    @property
    def _what_is_left(self) -> str:
        return "the answer is not whole" if self.reader.partial is None else "what came is in .partial"

    async def _read(self, reply: Reply) -> bytes:
        """Read on. What breaks off behind the last word of an answer costs nothing of it."""
        try:
            return await reply.piece()
        except APIConnectionError as error:
            if self.reader.finished:
                return b""
            if isinstance(error, APITimeoutError):
                raise
            cut = IncompleteStreamError(f"{error.message}; {self._what_is_left}")
            cut.request_id = error.request_id
            cause = error.__cause__
        raise cut from cause


async def _end() -> Any:
    raise StopAsyncIteration


class Stream(Generic[E]):
    """A streamed answer: iterate over it.

    It is an async context manager. Leaving the block, a ``break``, cancelling
    the task that reads, or losing the object frees the connection at once; the
    relay sees that nobody listens any more. A stream is read once, and by one
    task: who else tries gets a ``ConfigError``, and the first reads on.

    Raises, while it is read:
        IncompleteStreamError: It stopped before the answer was complete.
        StreamIdleTimeoutError: It carried no content for ``timeout.idle`` seconds.
        APITimeoutError: The deadline of the call passed.
        APIError: The relay sent an error.
    """

    def __init__(self, reply: Reply, reader: Reader[E], pending: Iterator[E]) -> None:
        self._reading = _Reading(reply, reader, pending)
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
        """Whether the connection is free: the stream has been read to its end, or was given up."""
        return self._reading.reply is None

    def __aiter__(self) -> AsyncIterator[E]:
        return self._reading.items(self)

    def __anext__(self) -> Awaitable[E]:
        reading = self._reading
        if reading.complete:
            return _end()
        if self._iterator is None or reading.reply is None or reading.reads is not self._token:
            self._token = object()
            self._iterator = reading.guarded(reading.by(None, self._token), self._token)
        else:
            reading.check_free(self._token)  # Its generator would end with an error that it raises.
        return self._iterator.__anext__()

    def _loop(self, read: Callable[[AsyncGenerator[E, None]], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
        """Make a loop of one over the items: leaving it leaves both."""
        token = object()
        return self._reading.guarded(read(self._reading.by(self, token)), token)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Free the connection now. Safe to call twice, and after the end."""
        self._reading.close()

    close = aclose

    def __del__(self) -> None:
        reading = self.__dict__.get("_reading")
        # When the interpreter ends, the loop has closed the connection, and nobody can be warned any more.
        if reading is not None and reading.reply is not None and not sys.is_finalizing():
            reading.drop()
            name = type(self).__name__
            warnings.warn(
                f"a {name} was dropped before its end; read it within 'async with'", ResourceWarning, stacklevel=2
            )


async def begin_reading(reply: Reply, reader: BodyReader[E]) -> Iterator[E]:
    """Read as far as the first content, so that what fails before it can still be tried again.

    The reply is the stream's to close from here on.

    Returns:
        What has come.
    """
    piece = await reply.piece()
    while piece.isspace():
        piece = await reply.piece()
    plain = piece[:6] == b"data: " or wire.is_event_stream(piece, reply.content_type)
    if plain or reader.by_line(piece) or (not piece and "event-stream" in reply.content_type):
        pending = await _until_content(reply, reader, piece)
    else:
        pending = iter(reader.whole(await reply.read(piece)))
    reply.watch.ease()
    reply.watch.hand_over(reply.fail)
    return pending


class _Silence:
    """Watches over how long a stream carries no content; the time its reader takes does not count.

    Attributes:
        lasts: The stream is being waited for.
    """

    __slots__ = ("_allowed", "_began", "_heard", "_so_far", "_watch", "lasts")

    def __init__(self, watch: Watch, allowed: float | None) -> None:
        self._watch = watch
        self._allowed = allowed
        self._heard = 0
        self._so_far = 0.0
        self._began = 0.0
        self.lasts = False

    def pause(self) -> None:
        """Something came, and the reader has it now."""
        self._watch.ease()
        self._so_far += self._watch.now() - self._began
        self.lasts = False

    def go_on(self, spoken: int) -> None:
        """Wait for more; a new silence begins if content came since the last wait.

        Args:
            spoken: What grows with all that comes and is more than a frame.
        """
        if spoken != self._heard:
            self._heard, self._so_far = spoken, 0.0
        self._watch.limit("idle", None if self._allowed is None else self._allowed - self._so_far)
        self._began = self._watch.now()
        self.lasts = True


async def _until_content(reply: Reply, reader: Reader[E], piece: bytes) -> Iterator[E]:
    early: list[E] = []
    while True:
        chunks = reader.feed(piece) if piece else reader.end()
        for chunk in chunks:
            early.append(chunk)
            if reader.spoken or len(early) > _MANY_EMPTY:
                return chain(early, chunks)
        if reader.done or not piece:
            reader.check_complete(strict=True)
        piece = await reply.piece()


async def _read_tail(reply: Reply) -> None:
    """Read the end of the body behind the last event, if it comes soon: then the connection serves again."""
    left = _TAIL_BYTES
    if reply.at_end:
        return
    reply.watch.limit("tail", _TAIL_S)
    try:
        while left > 0 and not reply.at_end and (piece := await reply.piece()):
            left -= len(piece)
    except TutuError:
        return  # The answer is whole; only the connection is lost.
