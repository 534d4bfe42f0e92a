"""Any stream as events: read in a task of its own, so that heartbeats can go out while it is silent.

Cancelling a read of a stream ends the stream, so a silence cannot be interrupted to send something. The task reads a
few events ahead and then waits, so a slow browser slows the reading, and the relay.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import weakref
from collections import deque
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from tutuclient.errors import ConfigError, TutuError
from tutuclient.integrations.web.forms import (
    Form,
    FormName,
    Item,
    JsonForm,
    OpenAIForm,
    TextForm,
    ToolResult,
    described,
)
from tutuclient.integrations.web.frames import HEARTBEAT, Frame
from tutuclient.integrations.web.ui_stream import UIStreamForm
from tutuclient.media.parts import Message
from tutuclient.resources.tool_loop import ToolRunStream
from tutuclient.streams.chat import ChatStream
from tutuclient.types.chat import ChatCompletionChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Self, TypeAlias

    from tutuclient.integrations.web.forms import ErrorText

    Source: TypeAlias = (
        AsyncIterator[str]
        | ChatStream
        | ToolRunStream
        | AbstractAsyncContextManager[ChatStream | ToolRunStream | AsyncIterator[str]]
        | Awaitable[ChatStream]
    )

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)

# Events that are read ahead of the browser.
_AHEAD = 8
_FORMS: dict[str, Callable[[], Form]] = {
    "text": TextForm,
    "json": JsonForm,
    "openai": OpenAIForm,
    "ai-sdk": UIStreamForm,
}


class Channel:
    """What the task that reads hands to whoever sends.

    Attributes:
        form: What the events say.
        failed: The error that the stream ended with, or None.
        told: What browsers are told of it.
        gave_something: Whether something came before that.
    """

    def __init__(self, form: Form, error_text: ErrorText) -> None:
        self.form = form
        self.failed: Exception | None = None
        self.told: dict[str, Any] = {}
        self.gave_something = False
        self._error_text = error_text
        self._frames: deque[Frame] = deque()
        self._began = self._ended = False
        self._moved = asyncio.Event()
        self._room = asyncio.Event()

    async def read(self, source: Source) -> None:
        """Read a stream to its end; what it fails with is the last event."""
        try:
            async with AsyncExitStack() as stack:
                stream = await _opened(source, stack)
                async for item in _items(stream, stack):
                    await self._put(self.form.add(item))
            await self._put(self.form.end())
        except asyncio.CancelledError as cancelled:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            error = RuntimeError("what the stream waited for was cancelled by somebody else")
            error.__cause__ = cancelled
            self._fail(error)
        except Exception as error:  # noqa: BLE001  (whoever reads the events raises what is not the relay's)
            self._fail(error)
        finally:
            self.end()

    def end(self) -> None:
        """Note that nothing comes any more."""
        self._ended = True
        self._moved.set()

    def _fail(self, error: Exception) -> None:
        """Add an error as the last event."""
        self.failed, self.told = self._described(error)
        self._frames += [*self._beginning(), *self.form.fail(self.told)]

    def _described(self, error: Exception) -> tuple[Exception, dict[str, Any]]:
        """Return an error and what browsers are told of it; where ``error_text`` fails, an error that says so."""
        try:
            return error, described(error, self._error_text)
        except Exception as failed:  # noqa: BLE001  (raised for the log, as all that is not the relay's)
            broken = RuntimeError(f"error_text raised {type(failed).__name__}, for a {type(error).__name__}")
            broken.__cause__ = failed
            return broken, described(broken)

    async def _put(self, frames: Iterator[Frame]) -> None:
        self._frames += [*self._beginning(), *frames]
        self.gave_something = self.gave_something or bool(self._frames)
        self._moved.set()
        while len(self._frames) >= _AHEAD:
            self._room.clear()
            await self._room.wait()

    def _beginning(self) -> list[Frame]:
        began, self._began = self._began, True
        return [] if began else list(self.form.begin())

    async def wait(self, seconds: float | None) -> bool:
        """Wait until there is something to ``take``; return whether there is, after so many seconds."""
        while not self._frames and not self._ended:
            self._moved.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._moved.wait()
            except TimeoutError:
                return False
        return True

    def take(self, most: int = sys.maxsize) -> list[Frame]:
        """Return the events that are there, at most so many; none when the stream has ended."""
        if len(self._frames) <= most:
            frames = list(self._frames)
            self._frames.clear()
        else:
            frames = [self._frames.popleft() for _ in range(most)]
        self._room.set()
        return frames

    def heartbeat(self) -> list[Frame]:
        """Return what is sent in a silence; before anything else, it is the beginning too."""
        self.gave_something = True
        return [*self._beginning(), HEARTBEAT]


class Reading:
    """A stream that is being read for somebody; losing it closes the stream."""

    def __init__(self, source: Source, form: FormName, error_text: ErrorText) -> None:
        self.channel = Channel(form_of(form), error_text)
        self._source: Source | None = check_source(source)
        self._task: asyncio.Task[None] | None = None
        self._reader: weakref.ref[asyncio.Task[Any]] | None = None

    def start(self) -> Channel:
        """Begin to read, once."""
        if self._task is None and self._source is not None:
            source, self._source = self._source, None
            self._task = asyncio.get_running_loop().create_task(self.channel.read(source), name="tutuclient: events")
        return self.channel

    async def aclose(self) -> None:
        """Stop reading, and close the stream. Safe to call twice."""
        source, self._source = self._source, None
        if source is not None:
            self.channel.end()
            await _discard(source)
        task = self._task
        self.stop()
        self._task = None
        if task is not None and not task.done():
            # It only has to close a connection. Cancelled itself, this does not wait for that.
            await asyncio.wait([task])

    def read_by_this_task(self) -> None:
        """Stop reading, too, when the task that takes the events is cancelled between two of them.

        Then nobody closes them: frameworks drop the generator around them, and FastAPI's own responses keep it in a
        circle that is collected much later.
        """
        task = asyncio.current_task()
        if task is not None and (self._reader is None or self._reader() is not task):
            self._reader = weakref.ref(task)
            task.add_done_callback(partial(Reading._on_reader_done, weakref.ref(self)))

    @staticmethod
    def _on_reader_done(this: weakref.ref[Reading], task: asyncio.Task[Any]) -> None:
        self = this()
        if self is not None and self._reader is not None and self._reader() is task and task.cancelled():
            self.stop()

    def stop(self) -> None:
        """Stop reading, without waiting until the stream is closed."""
        if self._task is not None:
            # Not at once: a task that is cancelled before its first step runs none of its code, and closes nothing.
            self._task.get_loop().call_soon(self._task.cancel)

    def __del__(self) -> None:
        task = self.__dict__.get("_task")
        if task is not None and not task.done() and not sys.is_finalizing():
            loop = task.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)


class Events(Generic[E_co]):
    """The events of a stream: iterate over them. Leaving the loop, or losing it, closes the stream at once."""

    def __init__(self, reading: Reading, heartbeat: float | None, make: Callable[[Frame], E_co]) -> None:
        self._reading = reading
        self._heartbeat = check_heartbeat(heartbeat)
        self._make = make
        self._ready: deque[Frame] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E_co:
        channel = self._reading.start()
        self._reading.read_by_this_task()
        if not self._ready:
            try:
                came = await channel.wait(self._heartbeat)
            except BaseException:
                # The traceback may keep this object for long: FastAPI's does, in a circle.
                self._reading.stop()
                raise
            self._ready += channel.take(1) if came else channel.heartbeat()
        if self._ready:
            return self._make(self._ready.popleft())
        await self.aclose()
        failed, channel.failed = channel.failed, None
        if failed is not None and not isinstance(failed, TutuError):
            raise failed
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the stream. Safe to call twice."""
        await self._reading.aclose()


@overload
def events(
    source: Source, *, form: FormName = "json", heartbeat: float | None = 15, error_text: ErrorText = str
) -> Events[str]: ...


@overload
def events(
    source: Source,
    *,
    form: FormName = "json",
    heartbeat: float | None = 15,
    error_text: ErrorText = str,
    into: Callable[..., E],
) -> Events[E]: ...


def events(
    source: Source,
    *,
    form: FormName = "json",
    heartbeat: float | None = 15,
    error_text: ErrorText = str,
    into: Callable[..., Any] | None = None,
) -> Events[Any]:
    """Return a stream as server-sent events, for any framework: as text to send, or as the framework's own events.

    An error of the relay becomes an event, and then the events end; any other is an event that says nothing of it, and
    is then raised, for the log. The relay is read a few events ahead at most. Leaving the loop, cancelling its task or
    losing the events closes the stream at once. (FastAPI's own ``EventSourceResponse`` of 0.165 logs an error of its
    own when a browser leaves that did not keep up, whatever it streams; ``sse`` does not.)

    Args:
        source: A stream, opened or not: ``client.chat.completions.stream(…)``, a ``ChatStream``,
            ``run_tools(…, stream=True)``, ``create(…, stream=True)`` awaited or not, or an async iterator of texts. It
            is opened when the first event is asked for, and closed at the end.
        form: What they say. ``json``: an object each, ``{"text": "…"}``, also ``reasoning``, ``tool_calls``…; the last
            has the name ``done``, an error the name ``error``. ``text``: the text alone. ``openai``: chunks for
            openai's clients. ``ai-sdk``: the UI message stream of Vercel's ``useChat``; send the header
            ``x-vercel-ai-ui-message-stream: v1`` with it.
        heartbeat: Seconds of silence after which a comment is sent, also before the first token; None sends none.
        error_text: What makes the message of an event out of an error of the relay's, in place of ``str(error)``, which
            has the relay's own words and may name its address or a proxy: to tell strangers less, and to log the rest.
        into: What makes an event of the keywords ``data`` (or ``raw_data``, if it has that), ``event``, ``id`` and
            ``comment``, of those that there are: ``fastapi.sse.ServerSentEvent``, or another framework's.

    Raises:
        ConfigError: It is no stream, or there is no such form.
    """
    return Events(Reading(source, form, error_text), heartbeat, Frame.encode if into is None else _maker(into))


def _maker(into: Callable[..., E]) -> Callable[[Frame], E]:
    data = "data"
    absent: dict[str, None] = {}
    with suppress(TypeError, ValueError):  # Classes written in C may have no signature.
        parameters = inspect.signature(into).parameters
        data = "raw_data" if "raw_data" in parameters else data
        # Litestar's data is "" unless it is None, and then heartbeats would be empty messages to the page.
        absent = {
            name: None
            for name in (data, "event", "id", "comment")
            if name in parameters and parameters[name].default not in {None, inspect.Parameter.empty}
        }

    def make(frame: Frame) -> E:
        fields = {name: value for name, value in frame._asdict().items() if value is not None}
        if "data" in fields:
            fields[data] = fields.pop("data")
        return into(**absent | fields)

    return make


def form_of(name: str) -> Form:
    """Return a new form.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in _FORMS:
        raise ConfigError(f"there is no form {name!r}; there are {', '.join(_FORMS)}")
    return _FORMS[name]()


def check_heartbeat(seconds: float | None) -> float | None:
    """Return the seconds.

    Raises:
        ConfigError: They are not a number above 0, nor None.
    """
    if seconds is not None and not seconds > 0:
        raise ConfigError(f"heartbeat={seconds!r}: pass seconds above 0, or None for no heartbeats")
    return seconds


def check_source(source: Any) -> Source:
    """Return a stream.

    Raises:
        ConfigError: It is none.
    """
    if hasattr(source, "__aenter__") or hasattr(source, "__aiter__") or inspect.isawaitable(source):
        return cast("Source", source)
    raise ConfigError(
        f"a {type(source).__name__} is no stream; pass client.chat.completions.stream(…), a ChatStream, or an async"
        " iterator of texts"
    )


async def _opened(source: Any, stack: AsyncExitStack) -> Any:
    """Open what is not open, and close it with the stack."""
    stream: Any = source
    if not hasattr(stream, "__aenter__") and not hasattr(stream, "__aiter__"):
        stream = await stream
    if hasattr(stream, "__aenter__"):
        stream = await stack.enter_async_context(stream)
    elif hasattr(stream, "aclose"):
        stack.push_async_callback(stream.aclose)
    if not hasattr(stream, "__aiter__"):
        raise ConfigError(f"a {type(stream).__name__} came where a stream was needed; pass stream=True")
    return stream


async def _discard(source: Any) -> None:
    """Close a stream that was never read, whether it is open or not."""
    if isinstance(source, ChatStream):
        await source.aclose()
    elif inspect.iscoroutine(source):
        source.close()


async def _items(stream: Any, stack: AsyncExitStack) -> AsyncIterator[Item]:
    """Yield what comes: pieces and chunks, and in a run of tools their results too."""
    run = stream if isinstance(stream, ToolRunStream) else None
    # Only the request knows how many choices were asked for; the stream's folder was told.
    many = isinstance(stream, ChatStream) and bool(stream._folder.many)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    known = 0 if run is None else len(run.messages)
    loop: Any = stream.__aiter__()
    if loop is not stream and hasattr(loop, "aclose"):
        stack.push_async_callback(loop.aclose)
    async for value in loop:
        if run is not None and len(run.messages) > known:
            said, known = run.messages[known:], len(run.messages)
            for message in said:
                if isinstance(message, Message) and message.role == "tool":
                    yield Item(ToolResult(message.tool_call_id or "", message.content), rounds=run.rounds)
        if not isinstance(value, str | ChatCompletionChunk):
            raise ConfigError(f"a stream of texts or chunks is needed, and a {type(value).__name__} came")
        yield Item(value, many, None if run is None else run.rounds)
