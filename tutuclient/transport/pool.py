"""What a client holds within one running loop: sessions, connections, and the limits that calls share.

It is imported with the first call, not before: aiohttp alone takes a quarter of a second.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakSet

import aiohttp
from yarl import URL

from tutuclient._threads import closes_generators
from tutuclient.limits import RetryBudget
from tutuclient.transport import aiohttp_internals
from tutuclient.transport.admission import Admission, Room, new_pace
from tutuclient.transport.caller_session import CallerSession
from tutuclient.transport.certificates import context_of
from tutuclient.transport.connection import Names
from tutuclient.transport.deadlines import Timer
from tutuclient.transport.egress import Egress
from tutuclient.transport.relays import Relays

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tutuclient.settings import Proxy, Settings, Timeout
    from tutuclient.transport.call import Call
    from tutuclient.transport.connection import Connector
    from tutuclient.transport.reply import Reply

# Addresses, and keys, to remember: enough for every endpoint; queries may vary without end.
_MANY = 1000


class Pool:
    """What a client holds within one running loop: sessions, connections and admissions.

    Calls that order images have connections of their own, each used once. A server may close an idle connection in the
    very moment it is used again, and whether it has read the request is then unknown (RFC 9112, section 9.3.1). A new
    connection cannot fail like that. All other calls share connections: a handshake for each would cost too much.

    Attributes:
        connectors: Of each egress, one for connections that are kept alive and, once one is needed, one for those used
            once.
        caller_session: The session or the connector that the caller brought along, or None.
        egresses: The connections by the proxy that they go through; None stands for no proxy.
        relays: Where the client has several, what is known of them; else None.
    """

    def __init__(self, settings: Settings) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.closed: bool = False
        self.timer: Timer = Timer(self.loop)
        self.caller_session: CallerSession | None = CallerSession(settings) if settings.has_caller_session else None
        most = None if self.caller_session is None else self.caller_session.slots
        self.slots: Room = Room(settings.slots if most is None else min(settings.slots, most))
        self.header_bytes: int = aiohttp_internals.HEADER_BYTES
        self.budget: RetryBudget = RetryBudget(settings.retry.budget)
        self._settings = settings
        self._admissions: dict[tuple[str, object], Admission] = {}
        self._last_settings = settings
        self._last_admission: Admission | None = None
        self._urls: dict[str, URL] = {}
        self._targets: dict[tuple[str, str], tuple[aiohttp.ClientRequest, bytes]] = {}
        self.fast_path: bool = aiohttp_internals.fast_path()
        self._timeouts: dict[float | None, aiohttp.ClientTimeout] = {}
        self._names = Names()
        self.connectors: list[Connector] = []
        # Relays may be reached by different routes: one may stand in NO_PROXY, one behind a proxy of its own scheme.
        routes: dict[Proxy | None, None] = dict.fromkeys(each.route for each in settings.relays or (settings,))
        verify = context_of(settings.verify)
        self.egresses: dict[Proxy | None, Egress] = {
            route: Egress(settings, route, names=self._names, verify=verify, connectors=self.connectors)
            for route in routes
        }
        if self.caller_session is not None:
            for egress in self.egresses.values():
                egress.request_options |= self.caller_session.request_options
        self._egress = next(iter(self.egresses.values()))
        self.streams: WeakSet[Reply] = WeakSet()
        self._guardian = _until_shutdown(self.connectors, self.streams, self.caller_session)
        self.relays: Relays | None = None
        if settings.relays or settings.relay is not None:
            self.relays = Relays(settings, self.loop, self.admission, self.slots.total)

    def admission(self, settings: Settings) -> Admission:
        """Return what admits the calls of one base URL and key, or of one account: relays count per key or user."""
        # Most clients have one key and make all calls with the same settings.
        if settings is self._last_settings and self._last_admission is not None:
            return self._last_admission
        key = settings.counted_as
        found = self._admissions.get(key)
        if found is None:
            if len(self._admissions) >= _MANY:
                self._drop_idle()
            found = self._admissions[key] = Admission(self.loop, new_pace(settings), self.slots)
        self._last_settings, self._last_admission = settings, found
        return found

    def _drop_idle(self) -> None:
        """Forget the keys that no call uses: some programs have a key for each of their users."""
        self._last_admission = None
        for key, admission in list(self._admissions.items()):
            if admission.is_idle:
                del self._admissions[key]
                self.slots.admissions.remove(admission)

    @property
    def route(self) -> Proxy | None:
        """The proxy that calls go through, or None; of several relays, the first one's."""
        return self._egress.proxy

    def egress(self, call: Call) -> Egress:
        """Return the connections that a call is made with."""
        return self._egress if len(self.egresses) == 1 else self.egresses[call.proxy]

    def session_for(self, call: Call) -> aiohttp.ClientSession:
        """Return the session that a call is made with.

        Raises:
            ConfigError: It is the caller's, and was closed.
        """
        if self.caller_session is not None:
            return self.caller_session.opened()
        egress = self.egress(call)
        return egress.session_once if call.makes_image else egress.session

    async def close_at_shutdown(self) -> None:
        """Register the connections to be closed when the loop shuts down, if nobody has closed the client by then.

        ``asyncio.run`` closes the async generators that are alive before it closes the loop, and ``_guardian`` is one:
        https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.shutdown_asyncgens. Under ``nest_asyncio``
        the loop does not know of them.
        """
        if closes_generators():
            await anext(self._guardian)

    def url(self, text: str) -> URL:
        """Return an address, parsed once."""
        url = self._urls.get(text)
        if url is None:
            if len(self._urls) > _MANY:
                self._urls.clear()
            url = self._urls[text] = URL(text)
        return url

    def fast_request(self, call: Call) -> tuple[aiohttp.ClientRequest, bytes] | None:
        """Return where a call connects to and the bytes to send there, or None when it takes the public path.

        That is for what needs ``ClientSession``: the caller's own, proxies, connections used once, uploads in pieces,
        headers that need checks, and whoever observes the session.
        """
        if not self.fast_path or call.makes_image:
            return None
        egress = self.egress(call)
        if egress.request_options or aiohttp_internals.is_watched(egress.session):
            return None
        found = self._targets.get((call.method, call.url))
        if found is None:
            url = self.url(call.url)
            start = f"{call.method} {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host_port_subcomponent}\r\n".encode()
            found = aiohttp_internals.Target(call.method, url, loop=self.loop), start
            if len(self._targets) > _MANY:
                self._targets.clear()
            self._targets[call.method, call.url] = found
        request = call.request(found[1])
        return None if request is None else (found[0], request)

    def resolving(self, call: Call) -> str:
        """Return the name that a call waits for, the relay's or the proxy's; "" once it has been found."""
        host = self.url(call.url if call.proxy is None else call.proxy.address).raw_host or ""
        return host if self._names.waiting[host] else ""

    def connect_timeout(self, timeout: Timeout) -> aiohttp.ClientTimeout:
        """Return the one limit that aiohttp keeps for us; ``deadlines`` keeps all others."""
        found = self._timeouts.get(timeout.connect)
        if found is None:
            found = aiohttp.ClientTimeout(total=None, connect=timeout.connect)
            self._timeouts[timeout.connect] = found
        return found

    async def aclose(self) -> None:
        """Close all connections; calls that still run fail."""
        self.closed = True
        try:
            await self._guardian.aclose()
            await _close(self.connectors, self.streams, self.caller_session)
        finally:
            self.abandon()  # Also when closing is cancelled: nobody else would.

    def abandon(self) -> None:
        """Drop everything without a warning of aiohttp's, also when the loop is gone."""
        self.closed = True
        self.timer.stop()
        for connector in self.connectors:
            connector.abort()
        for egress in self.egresses.values():
            egress.detach()
        if self.caller_session is not None:
            self.caller_session.abandon()

    def __del__(self) -> None:
        if hasattr(self, "_egress") and not self._egress.session.closed:
            self.abandon()


async def _until_shutdown(
    connectors: list[Connector], streams: WeakSet[Reply], caller_session: CallerSession | None
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await _close(connectors, streams, caller_session)


async def _close(connectors: list[Connector], streams: WeakSet[Reply], caller_session: CallerSession | None) -> None:
    for stream in list(streams):  # Else aiohttp warns at their end, when there is no loop, that nobody closed them.
        stream.close()
    for connector in connectors:
        connector.abort()  # Closing alone sends first what is still to be sent.
    for connector in connectors:
        await connector.close()
    if caller_session is not None:
        await caller_session.aclose()
