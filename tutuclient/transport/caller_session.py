"""Sessions and connectors that belong to the caller, and bodies that note how far a request over them has come.

What they connect is not watched by the guards of ``connection``. So a body notes itself when it begins to be written:
before that nothing was sent, and afterwards the outcome is unknown.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp

from tutuclient.errors import ConfigError, OutcomeUnknownError
from tutuclient.transport import aiohttp_internals

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

    from tutuclient.settings import Settings
    from tutuclient.transport.call import Call
    from tutuclient.transport.connection import Progress


class CallerSession:
    """The session or the connector of the caller, within one running loop.

    Args:
        settings: The client's, which have a ``connector`` or a ``session``.

    Attributes:
        session: The caller's, or one on the caller's connector.

    Raises:
        ConfigError: It cannot be used in this loop.
    """

    def __init__(self, settings: Settings) -> None:
        self._own: aiohttp.BaseConnector | None = None
        self._name = "connector=" if settings.session is None else "session="
        self.session: aiohttp.ClientSession
        if settings.session is not None:
            self.session = self._checked_session(settings.session)
        else:
            self.session = _session_on(self._checked_connector(settings.connector), settings)
        try:
            self._check_open()
        except ConfigError:
            self.abandon()
            raise

    def _checked_session(self, session: Any) -> aiohttp.ClientSession:
        if not isinstance(session, aiohttp.ClientSession):
            raise ConfigError("session= must be an aiohttp.ClientSession")
        if session.auth is not None:
            raise ConfigError("the session has auth=, which aiohttp does not send beside an API key: build it without")
        self._check_loop(session)
        return session

    def _checked_connector(self, connector: Any) -> aiohttp.BaseConnector:
        built = connector if isinstance(connector, aiohttp.BaseConnector) else connector()
        if not isinstance(built, aiohttp.BaseConnector):
            raise ConfigError("connector= must be an aiohttp.BaseConnector, or a function that returns one")
        self._check_loop(built)
        if built is not connector:
            self._own = built
        return built

    def _check_loop(self, held: object) -> None:
        loop = aiohttp_internals.loop_of(held)
        if loop is not None and loop is not asyncio.get_running_loop():
            raise ConfigError(
                f"{self._name} belongs to another event loop than the one that runs: build it, and the client, within "
                "this one; connector= also takes a function, which is called in each loop"
            )

    def _check_open(self) -> None:
        connector = self.session.connector
        if self.session.closed or connector is None or connector.closed:
            raise ConfigError(f"{self._name} is closed: nothing can be sent over it any more")

    def opened(self) -> aiohttp.ClientSession:
        """Return the session.

        Raises:
            ConfigError: It was closed meanwhile.
        """
        self._check_open()
        return self.session

    @property
    def slots(self) -> int | None:
        """How many calls find a connection at once, or None: those beyond would wait where no limit names it."""
        connector = self.session.connector
        limits = () if connector is None else (connector.limit, connector.limit_per_host)
        return min((limit for limit in limits if limit), default=None)

    @property
    def request_options(self) -> dict[str, Any]:
        """Keywords for each request, so that what the session does with answers does not matter."""
        limit = aiohttp_internals.HEADER_BYTES
        return {
            "auto_decompress": False,
            "raise_for_status": False,
            "max_line_size": limit,
            "max_field_size": limit,
        }

    async def aclose(self) -> None:
        """Close what was built for us: a connector that the caller's function returned."""
        own, self._own = self._own, None
        if own is not None:
            await own.close()
        self.detach()

    def detach(self) -> None:
        """Release the connector of the caller, which stays open."""
        if self._name == "connector=":
            self.session.detach()

    def abandon(self) -> None:
        """Close what was built for us, also when the loop is gone."""
        own, self._own = self._own, None
        if own is not None:
            aiohttp_internals.close_now(own)
        self.detach()


def _session_on(connector: aiohttp.BaseConnector, settings: Settings) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=list(settings.trace_configs),
    )


class NotedBody(aiohttp.BytesPayload):
    """A body that is in memory. It notes that it is being written, and is written once where that has to be so.

    Args:
        data: The body.
        progress: The attempt's.
        call: What it belongs to.
    """

    def __init__(self, data: bytes, progress: Progress, call: Call) -> None:
        super().__init__(data)
        self._progress = progress
        self._call = call
        progress.connected = progress.sent = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write it.

        Raises:
            OutcomeUnknownError: A session of the caller's sends an order of images a second time on its own account.
        """
        progress, call = self._progress, self._call
        if progress.sent and call.makes_image:
            progress.failure = OutcomeUnknownError(
                f"{call.what}: the session= sends the request a second time by itself. The image may have been made "
                "and billed by the first, so that was stopped: look into the relay's log, and stop the session from it"
            )
            raise progress.failure
        # Before it is written: who is cancelled while the socket is full cannot know how much has left.
        progress.connected = progress.sent = True
        await super().write_with_length(writer, content_length)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write it, as ``write_with_length`` does."""
        await self.write_with_length(writer, None)
