"""How calls leave: the connections of one route, which is direct or through one proxy."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from tutuclient.transport import aiohttp_internals
from tutuclient.transport.connection import Connector
from tutuclient.transport.tunnels import request_options, socks

if TYPE_CHECKING:
    import ssl

    from tutuclient.settings import Proxy, Settings
    from tutuclient.transport.connection import Names

_KEEPALIVE_S: Final = 15.0


class Egress:
    """The connections of one route, within one running loop.

    A proxy that speaks HTTP is named with each request, but one that speaks SOCKS is a connector: so each route has
    its own, and the relays of a client may be reached by different ones.

    Args:
        settings: The client's.
        proxy: What it goes through, or None.
        names: What resolves names where no SOCKS proxy does.
        verify: As aiohttp's ``ssl=``.
        connectors: The list that each new connector is appended to.

    Attributes:
        proxy: What it goes through, or None.
        connector: For connections that are kept alive.
        session: On that connector.
        request_options: Keywords for aiohttp's requests.
    """

    def __init__(
        self,
        settings: Settings,
        proxy: Proxy | None,
        *,
        names: Names,
        verify: ssl.SSLContext | bool,
        connectors: list[Connector],
    ) -> None:
        self._settings = settings
        self._names = names
        self._verify = verify
        self._connectors = connectors
        self.proxy: Proxy | None = proxy
        self.request_options: dict[str, Any] = request_options(proxy)
        self.connector: Connector = self._new_connector(keepalive_timeout=_KEEPALIVE_S)
        self.session: aiohttp.ClientSession = _session(self.connector, settings)

    @functools.cached_property
    def session_once(self) -> aiohttp.ClientSession:
        """The session for calls that order images; most clients never need it."""
        return _session(self._new_connector(force_close=True), self._settings)

    def detach(self) -> None:
        """Release the sessions without a warning of aiohttp's, also when the loop is gone."""
        self.session.detach()
        if "session_once" in vars(self):
            self.session_once.detach()

    def _new_connector(self, **options: Any) -> Connector:
        if self.proxy is not None and self.proxy.is_socks:
            connector: Connector = socks(guarded=True)(proxy=self.proxy, limit=0, ssl=self._verify, **options)
        else:
            connector = Connector(limit=0, ssl=self._verify, resolver=self._names, ttl_dns_cache=30, **options)
        self._connectors.append(connector)
        return connector


def _session(connector: Connector, settings: Settings) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
        max_line_size=aiohttp_internals.HEADER_BYTES,
        max_field_size=aiohttp_internals.HEADER_BYTES,
        trace_configs=list(settings.trace_configs),
    )
