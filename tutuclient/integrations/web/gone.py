"""A block that is cancelled when the browser behind a request leaves, under ASGI and under aiohttp.web.

An ASGI server reports a disconnect through ``receive``, the same channel that brings the request's body
(https://asgi.readthedocs.io/en/stable/specs/www.html#disconnect-receive-event). So ``Feed`` reads it all the time, and
keeps the other messages for the framework. aiohttp.web reports none; there the connection is polled.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from weakref import WeakKeyDictionary

import anyio

from tutuclient.errors import ConfigError, TutuError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from aiohttp import web
    from starlette.requests import Request

    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]

GONE = 499
"""The status of an answer that nobody reads, as nginx logs it."""

_REASON = "Client Closed Request"
_FEED = "tutuclient.feed"
# Bytes of a body that are read ahead to hear of a browser that leaves; behind that, the app has to read first.
_AHEAD = 2**20
_MESSAGE_BYTES = 64
# Seconds between two looks at the connections of aiohttp.web; all of a loop are looked at together, in 0.1 us each.
_LOOK_S = 0.01


class ClientGoneError(TutuError):
    """The browser left before its answer was there, so the block that worked for it was cancelled.

    Nobody needs to catch it: it is an ``HTTPException`` of the request's framework too, with status 499, which the
    framework answers (to nobody) and does not log as a failure. A call that was cancelled may have been billed as far
    as it had come, and an image that was ordered may be made all the same: the call's line in the log and its
    ``CallEnd.outcome`` say whether the request had left.
    """

    outcome = "unknown"

    def _begin(self, message: str) -> None:
        # With two base classes, ``super`` in TutuError's constructor is the framework's, which takes other arguments.
        self.args = (message,)
        self.message = message
        self.attempts = 0
        self.request_id = self.conversation = None

    def __reduce__(self) -> tuple[Any, ...]:
        # What is raised is of a class made for the framework, which pickle does not find.
        return ClientGoneError, (self.message,)


class _Watch(Protocol):
    """Cancels scopes when the browser of one request leaves."""

    @property
    def gone(self) -> bool: ...
    def add(self, scope: anyio.CancelScope) -> None: ...
    def remove(self, scope: anyio.CancelScope) -> None: ...


def until_gone(request: Request | web.BaseRequest) -> AbstractAsyncContextManager[None, None]:
    """Run a block, and cancel it as soon as the browser that asked for it leaves.

    A call within the block is cancelled like any other, so the relay sees its connection close at once, and stops.
    The request's body may have been read or not: it stays readable within the block and after it. A block that is
    finished when the browser leaves is not cancelled. Blocks may be nested.

    With FastAPI it can be a dependency of endpoints or routers, if it ends before the response begins:
    ``Depends(watched, scope="function")``, where ``watched`` is a function with one ``yield`` inside the block.

    A disconnect is noticed only while the server reads the connection: not while more than 1 MiB of a body waits to be
    read, nor, with hypercorn, after a second request was sent on the same connection (pipelining). A client that shuts
    down its sending side counts as gone, since the servers close its connection.

    Args:
        request: A request of Starlette, FastAPI or aiohttp.web.

    Raises:
        ClientGoneError: The browser left, and the block was cancelled.
        ConfigError: It is no such request.
    """
    return _Block(*_watch(request))


def watching(watched: Feed | web.BaseRequest) -> AbstractAsyncContextManager[None, None]:
    """Run a response as ``until_gone`` does a block; whoever sends it catches ``ClientGoneError``, of no framework."""
    if isinstance(watched, Feed):
        watched.whole = True
        return _Block(watched, "")
    return _Block(_Transport(watched), "")


class _Block:
    """A cancel scope that a watch may cancel."""

    def __init__(self, watch: _Watch, framework: str) -> None:
        self._watch = watch
        self._framework = framework
        self._scope = anyio.CancelScope()

    async def __aenter__(self) -> None:
        self._watch.add(self._scope)
        try:
            await asyncio.sleep(0)  # The server's first word may be that the browser has left already.
        except BaseException:
            self._watch.remove(self._scope)
            raise
        if self._watch.gone:
            self._watch.remove(self._scope)
            raise client_gone(self._framework)
        self._scope.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.remove(self._scope)
        # True when the cancellation was the watch's own; one of the server's shutdown goes on.
        if self._scope.__exit__(kind, error, trace):
            raise client_gone(self._framework) from None


class Feed:
    """The messages of one ASGI request, read ahead while somebody wants to know whether its browser leaves.

    Attributes:
        raw: The server's own ``receive``.
        gone: Whether the browser has left. Each later ``receive`` returns the disconnect: hypercorn sends it once.
        whole: Whether nobody reads the body any more: its last message has come, or the response has begun.
    """

    def __init__(self, raw: Receive) -> None:
        self.raw = raw
        self.gone = False
        self._ahead: deque[Message] = deque()
        self._bytes = 0
        self._scopes: set[anyio.CancelScope] = set()
        self._reading: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self.whole = False
        self._failed: Exception | None = None

    @classmethod
    def of(cls, scope: MutableMapping[str, Any], receive: Receive) -> Feed:
        """Return the feed of a request; there is one for each ``receive``, since middleware may wrap it."""
        known = scope.get(_FEED)
        if isinstance(known, Feed) and receive in (known.raw, known.receive):
            return known
        feed = scope[_FEED] = cls(receive)
        return feed

    async def receive(self) -> Message:
        """Return the next message, as the server's own ``receive`` would."""
        while not self._ahead and not self.gone:
            if self._failed is not None:
                failed, self._failed = self._failed, None
                raise failed
            if self._reading is None or self._reading.done():
                message = await self.raw()
                self.gone = self.gone or message["type"] == "http.disconnect"
                self.whole = self.whole or _is_last(message)
                return message
            self._moved.clear()
            await self._moved.wait()
        if not self._ahead:
            return {"type": "http.disconnect"}
        message = self._ahead.popleft()
        self._bytes -= _size(message)
        self._moved.set()
        return message

    def add(self, scope: anyio.CancelScope) -> None:
        """Cancel a scope when the browser leaves."""
        self._scopes.add(scope)
        if not self.gone and (self._reading is None or self._reading.done()):
            self._reading = asyncio.get_running_loop().create_task(self._read(), name="tutuclient: until_gone")

    def remove(self, scope: anyio.CancelScope) -> None:
        """Forget a scope; with the last one the reading ends, and the framework reads for itself again."""
        self._scopes.discard(scope)
        reading = self._reading
        # Middleware may have taken a message of the body, and not returned it yet: cancelled, it would lose it.
        if not self._scopes and reading is not None and self.whole:
            self._reading = None
            reading.cancel()
            self._moved.set()

    async def _read(self) -> None:
        try:
            while self._scopes and not self.gone:
                if self._bytes > _AHEAD:
                    self._moved.clear()
                    await self._moved.wait()
                else:
                    self._take(await self.raw())
        except Exception as error:  # noqa: BLE001  (of middleware, as limits on bodies; raised for whoever reads it)
            self._failed = error
        finally:
            self._moved.set()

    def _take(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self.gone = True
            for scope in self._scopes:
                scope.cancel()
        else:
            self._ahead.append(message)
            self._bytes += _size(message)
            self.whole = self.whole or _is_last(message)
        self._moved.set()


def _is_last(message: Message) -> bool:
    """Return whether a message is the body's last one."""
    return message["type"] == "http.request" and not message.get("more_body", False)


def _size(message: Message) -> int:
    return len(message.get("body", b"")) + _MESSAGE_BYTES


class _Looking:
    """Looks at the connections of a loop's requests of aiohttp.web.

    ``connection_lost`` reaches nobody outside of aiohttp, and ``handler_cancellation`` is the server's, off by default,
    and cancels all of a handler. ``request.transport`` is public, and None once the connection is lost.
    """

    def __init__(self) -> None:
        self._watches: dict[_Transport, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watch: _Transport) -> None:
        self._watches[watch] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def remove(self, watch: _Transport) -> None:
        self._watches.pop(watch, None)
        if not self._watches and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)
        for watch in [each for each in self._watches if each.gone]:
            self.remove(watch)
            watch.cancel()


_looking: WeakKeyDictionary[asyncio.AbstractEventLoop, _Looking] = WeakKeyDictionary()


class _Transport:
    """The watch of one request of aiohttp.web, for one block."""

    def __init__(self, request: web.BaseRequest) -> None:
        self._request = request
        self._scope: anyio.CancelScope | None = None
        self._all: _Looking | None = None

    @property
    def gone(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing()

    def add(self, scope: anyio.CancelScope) -> None:
        loop = asyncio.get_running_loop()
        self._scope = scope
        self._all = _looking.get(loop) or _looking.setdefault(loop, _Looking())
        self._all.add(self)

    def remove(self, scope: anyio.CancelScope) -> None:
        del scope
        if self._all is not None:
            self._all.remove(self)

    def cancel(self) -> None:
        if self._scope is not None:
            self._scope.cancel()


def _watch(request: Any) -> tuple[_Watch, str]:
    if is_starlette(request):
        feed = Feed.of(request.scope, request.receive)
        # What was read before the feed was there went past it. Starlette tells of it by these names alone.
        feed.whole = feed.whole or hasattr(request, "_body") or getattr(request, "_stream_consumed", False)
        # Starlette has no public way to put a receive of one's own into a request that exists.
        request._receive = feed.receive  # noqa: SLF001
        return feed, "starlette"
    if is_aiohttp(request):
        return _Transport(request), "aiohttp"
    raise ConfigError(
        f"until_gone() needs a request of Starlette, FastAPI or aiohttp.web, and got a {type(request).__name__}"
    )


def is_starlette(value: Any) -> bool:
    """Return whether a value is a request of Starlette's, which FastAPI's are; nothing is imported."""
    module = sys.modules.get("starlette.requests")
    return module is not None and isinstance(value, module.Request)


def is_aiohttp(value: Any) -> bool:
    """Return whether a value is a request of aiohttp.web; nothing is imported."""
    module = sys.modules.get("aiohttp.web")
    return module is not None and isinstance(value, module.BaseRequest)


@functools.cache
def _error_class(framework: str) -> type[ClientGoneError]:
    if not framework:
        return ClientGoneError
    if framework == "starlette":
        from starlette.exceptions import HTTPException  # noqa: PLC0415  (a request of it is here)

        class StarletteClientGoneError(ClientGoneError, HTTPException):
            def __init__(self, message: str) -> None:
                HTTPException.__init__(self, GONE, _REASON)
                self._begin(message)

        return StarletteClientGoneError

    from aiohttp import web  # noqa: PLC0415  (a request of it is here)

    class AiohttpClientGoneError(ClientGoneError, web.HTTPClientError):
        status_code = GONE

        def __init__(self, message: str) -> None:
            web.HTTPClientError.__init__(self, reason=_REASON)
            self._begin(message)

    return AiohttpClientGoneError


def client_gone(framework: str) -> ClientGoneError:
    """Return the error to raise in an endpoint of a framework."""
    return _error_class(framework)("the browser left before its answer was there; what worked for it was cancelled")
