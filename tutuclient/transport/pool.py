"""aiohttp, guarded: one session for each running loop.

What the guards are for is told in the class that holds them. This room is
imported with the first request only: aiohttp alone takes a quarter of a second.

Source: measurements on aiohttp 3.14.5; each guard has its test on a real socket.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import ssl
import warnings
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from yarl import URL

from tutuclient._threads import closes_generators
from tutuclient.errors import ConfigError
from tutuclient.limits import CoolDown, RetryBudget, Slots
from tutuclient.transport.aiohttp_internals import READ_SIZE, Handler, stirs
from tutuclient.transport.attempts import Attempts
from tutuclient.transport.deadlines import Alarm
from tutuclient.transport.progress import progress_of_attempt

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.tracing import Trace

    from tutuclient.settings import Settings, Timeout
    from tutuclient.transport.call import Call
    from tutuclient.transport.reply import Reply

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("tutuclient")

_HEADER_BYTES = 64 * 2**10
_KEEPALIVE_S = 15.0
# Addresses to remember: enough for every endpoint; queries may vary without end.
_MANY = 1000


class Names(AbstractResolver):
    """Looks names up as aiohttp does, and notes which are being looked up: a DNS that is silent can then be named."""

    def __init__(self) -> None:
        self._resolver: AbstractResolver = aiohttp.DefaultResolver()
        self.waiting: Counter[str] = Counter()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name."""
        self.waiting[host] += 1
        try:
            return await self._resolver.resolve(host, port, family)
        finally:
            self.waiting[host] -= 1

    async def close(self) -> None:
        """Close what it looks names up with."""
        await self._resolver.close()


class Connector(aiohttp.TCPConnector):
    """Guards what aiohttp's connector lets through.

    A connection on which bytes have arrived unasked is not used again: the next
    call would get them for its answer. A connection given up in the middle is
    aborted, not closed at leisure behind what is still to be sent. And it tells
    the attempt when it is connected: before that nothing can have been done.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]  (aiohttp leaves the shape of addresses open)
        make: Callable[..., ResponseHandler] = Handler
        self._factory = functools.partial(make, loop=self._loop)

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Connect, and tell the attempt so."""
        connection = await super().connect(req, traces, timeout)
        progress = progress_of_attempt.get()
        if progress is not None:
            progress.connected = True
            progress.protocol = connection.protocol
        return connection

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:  # noqa: ARG002  (nobody traces)
        progress, connection = progress_of_attempt.get(), self.take_idle(key)
        if progress is not None:
            progress.reused = connection is not None
        return connection

    @property
    def idles(self) -> bool:
        """Whether there are connections that wait to be used again."""
        return bool(self._conns)

    def take_idle(self, key: ConnectionKey) -> Connection | None:
        """Take a connection that can be used again, dropping those that cannot."""
        idle = self._conns.get(key)
        now = monotonic()
        while idle:
            protocol, since = idle.popleft()
            fresh = protocol.is_connected() and not protocol.should_close and now - since <= _KEEPALIVE_S
            if not fresh or stirs(protocol):
                protocol.abort()
                continue
            if not idle:
                del self._conns[key]
            self._acquired.add(protocol)
            return Connection(self, key, protocol, self._loop)
        self._conns.pop(key, None)
        return None

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        if should_close and not self._closed:
            self._release_acquired(key, protocol)
            protocol.abort()
        else:
            super()._release(key, protocol, should_close=should_close)

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        protocol = await super()._create_connection(req, traces, timeout)
        transport: Any = protocol.transport
        if hasattr(transport, "max_size"):
            transport.max_size = READ_SIZE
        return protocol

    def close_now(self) -> None:
        """Close every connection without waiting, as far as the loop still can."""
        if not self._closed:
            for ending in self._close(abort_ssl=True):
                # How a connection ends that is given up concerns nobody, but asyncio would report it.
                if isinstance(ending, asyncio.Future):
                    ending.add_done_callback(_unheard)

    def __del__(self, *_: Any) -> None:
        self.close_now()


class Pool:
    """What a client holds within one running loop: a session, its connections and the slots.

    Orders of pictures go over connections of their own, each used once. A server
    may close an idle connection in the very moment it is used again; whether it
    has read the request is then unknown. A new connection cannot fail like that.
    All other calls share the idle ones: for most the handshakes would be too dear.

    Attributes:
        connectors: One for connections that are kept alive and, once one is needed, one for those used once.
    """

    def __init__(self, settings: Settings) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.closed: bool = False
        self.alarm: Alarm = Alarm(self.loop)
        self.slots: Slots = Slots(settings.slots)
        self.header_bytes = _HEADER_BYTES
        self.budget: RetryBudget = RetryBudget(settings.retry.budget)
        self.cool_down: CoolDown = CoolDown()
        self._urls: dict[str, URL] = {}
        self._heads: dict[tuple[str, str], tuple[ConnectionKey, bytes]] = {}
        self._timeouts: dict[float | None, aiohttp.ClientTimeout] = {}
        self._ssl = _ssl_of(settings)
        self._names = Names()
        self._connector = self._new_connector(keepalive_timeout=_KEEPALIVE_S)
        self.connectors: list[Connector] = [self._connector]
        self.session: aiohttp.ClientSession = _session(self._connector)
        self.streams: WeakSet[Reply] = WeakSet()
        self._guardian = _until_shutdown(self.connectors, self.streams)

    def _new_connector(self, **options: Any) -> Connector:
        return Connector(limit=0, ssl=self._ssl, resolver=self._names, ttl_dns_cache=30, **options)

    @functools.cached_property
    def session_once(self) -> aiohttp.ClientSession:
        """The session for orders of pictures; most clients never need it."""
        connector = self._new_connector(force_close=True)
        self.connectors.append(connector)
        return _session(connector)

    def run(self, call: Call, use: Callable[[Reply], Awaitable[T]]) -> Awaitable[T]:
        """Make a call; see ``Transport.run``."""
        return Attempts(self, call).run(use)

    async def watch_shutdown(self) -> None:
        """Have the loop close the connections when it shuts down and nobody closed the client.

        ``asyncio.run`` closes the async generators that are still alive before
        it closes the loop; the guardian is one. Where the loop knows nothing of
        them, as under ``nest_asyncio``, nobody would.
        """
        if closes_generators():
            await anext(self._guardian)

    def url(self, text: str) -> URL:
        """Parse an address once."""
        url = self._urls.get(text)
        if url is None:
            if len(self._urls) > _MANY:
                self._urls.clear()
            url = self._urls[text] = URL(text)
        return url

    def take_idle(self, call: Call) -> tuple[Connection, bytes] | None:
        """Take an idle connection for a call that can go the short way, and give it with the request to send over it.

        Returns:
            None when the call has to go through the session.
        """
        if call.makes_image or call.settings.proxy is not None or not self._connector.idles:
            return None
        found = self._heads.get((call.method, call.url))
        if found is None:
            url = self.url(call.url)
            key = aiohttp.ClientRequest(call.method, url, loop=self.loop, ssl=True).connection_key
            host = url.host_port_subcomponent
            found = key, f"{call.method} {url.raw_path_qs} HTTP/1.1\r\nHost: {host}\r\n".encode()
            if len(self._heads) > _MANY:
                self._heads.clear()
            self._heads[call.method, call.url] = found
        key, start = found
        request = call.request(start)
        connection = None if request is None else self._connector.take_idle(key)
        return None if request is None or connection is None else (connection, request)

    def looked_up(self, call: Call) -> str:
        """Return the name that a call waits for, the relay's or the proxy's; "" once it has been found."""
        host = self.url(call.settings.proxy or call.url).raw_host or ""
        return host if self._names.waiting[host] else ""

    def connect_timeout(self, timeout: Timeout) -> aiohttp.ClientTimeout:
        """Give aiohttp the one limit that it keeps for us; all others are the watch's."""
        found = self._timeouts.get(timeout.connect)
        if found is None:
            found = aiohttp.ClientTimeout(total=None, connect=timeout.connect)
            self._timeouts[timeout.connect] = found
        return found

    async def aclose(self) -> None:
        """Close all connections; calls still running fail."""
        self.closed = True
        await self._guardian.aclose()
        await _close(self.connectors, self.streams)
        self.abandon()

    def abandon(self) -> None:
        """Let go of everything without a word from aiohttp, also when the loop is gone."""
        self.closed = True
        self.alarm.stop()
        for connector in self.connectors:
            connector.close_now()
        self.session.detach()
        if "session_once" in vars(self):
            self.session_once.detach()

    def __del__(self) -> None:
        if hasattr(self, "session") and not self.session.closed:
            self.abandon()


def _unheard(ending: asyncio.Future[object]) -> None:
    if not ending.cancelled():
        ending.exception()


async def _until_shutdown(connectors: list[Connector], streams: WeakSet[Reply]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await _close(connectors, streams)


async def _close(connectors: list[Connector], streams: WeakSet[Reply]) -> None:
    for stream in list(streams):  # Else aiohttp says at their end, when there is no loop, that nobody closed them.
        stream.close()
    for connector in connectors:
        connector.close_now()
    for _ in range(2):  # What was aborted says so to its protocol in the loop's next turn.
        await asyncio.sleep(0)


def _session(connector: Connector) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
    )
    # By itself it sends PUT and DELETE again when a used connection dies, whatever had come: here ``Attempts`` decides.
    session._retry_connection = False  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (there is no option for it)
    return session


def _ssl_of(settings: Settings) -> ssl.SSLContext | bool:
    verify = settings.verify
    if isinstance(verify, ssl.SSLContext | bool):
        if verify is False:
            warnings.warn("verify=False: the relay's certificate is not checked", stacklevel=2)
        return verify
    try:
        return ssl.create_default_context(cafile=verify)
    except (OSError, TypeError) as error:
        raise ConfigError(f"verify={verify!r}: no certificates can be read there ({error})") from error
