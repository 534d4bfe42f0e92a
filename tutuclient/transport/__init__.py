"""HTTP: pools of connections, attempts, deadlines, errors. No other package of the client knows aiohttp.

This module is what a client is created with. aiohttp is imported with the first call, by ``pool`` and ``attempts``.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from tutuclient._logger import logger
from tutuclient._threads import in_thread, running_loop
from tutuclient.transport.admission import combined, new_pace
from tutuclient.transport.call import Call
from tutuclient.transport.middleware import Request, through
from tutuclient.transport.observers import EVERYWHERE, observe
from tutuclient.transport.observing import CallEnd, CallListener, ObservedCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tutuclient.pace import PaceState
    from tutuclient.settings import Settings
    from tutuclient.transport.attempts import Attempts
    from tutuclient.transport.pool import Pool
    from tutuclient.transport.reply import Reply

__all__ = ["Call", "CallEnd", "CallListener", "ObservedCall", "Request", "Transport"]

T = TypeVar("T")

_ATTEMPTS = "tutuclient.transport.attempts"


class Transport:
    """Runs calls; shared by a client and all its ``with_options`` copies.

    It has one pool for each running event loop, which is created with the first call in it, and closed with ``aclose``
    or when the loop shuts down.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}
        self._attempts: type[Attempts]  # Set with the first pool, see ``_open_pool``: one relay pays for no choice.
        self.closed = False

    def __reduce__(self) -> tuple[type[Transport], tuple[Settings]]:
        return Transport, (self._settings,)

    async def run(self, call: Call, use: Callable[[Reply], Awaitable[T]]) -> T:
        """Run a call, and repeat it as its retry policy and its deadline allow.

        Args:
            call: What to send.
            use: Builds the result from an open reply. What it raises fails the attempt. For a call that streams, the
                result has to close the reply and stop its limits.

        Raises:
            TutuError: The error of the last attempt, with ``outcome``, ``attempts`` and ``request_id``.
        """
        loop = running_loop()
        if (call.settings.observers or EVERYWHERE or logger.isEnabledFor(logging.INFO)) and call.observation is None:
            observation = observe(call)
            if observation is not None:
                return await observation.run(lambda: self.run(call, use))
        pool = self._pools.get(loop) or await self._open_pool()
        if not call.settings.middleware:
            return await self._attempts(pool, call).run(use)

        async def run(call: Call) -> T:
            return await self._attempts(pool, call).run(use)

        result: T = await through(call.settings.middleware, call, 0, run)
        return result

    @property
    def pool(self) -> Pool | None:
        """The running loop's pool, if a call has been made in it."""
        return self._pools.get(asyncio.get_running_loop())

    def pace(self, settings: Settings) -> PaceState:
        """Return the pace of the settings' base URL and key in the running loop, in numbers; of several relays, as one.

        The settings for one of several are of that relay alone.
        """
        try:
            pool = self.pool
        except RuntimeError:
            pool = None
        if pool is None:
            states = [new_pace(each).state(0.0) for each in settings.relays or (settings,)]
            return combined(states, settings.slots, 0) if settings.relays else states[0]
        if settings.relays and pool.relays is not None:
            return pool.relays.state()
        admission = pool.admission(settings)
        return admission.pace.state(pool.loop.time(), admission.waiting)

    async def aclose(self) -> None:
        """Close the running loop's pool. The next call opens a new one."""
        self.closed = True
        try:
            pool = self._pools.pop(asyncio.get_running_loop(), None)
        except RuntimeError:  # Without a loop, as under trio, there is no pool.
            return
        if pool is not None:
            await pool.aclose()

    async def _open_pool(self) -> Pool:
        # aiohttp alone takes a quarter of a second to import, in which the loop goes on. There is no lock: loops of
        # other threads come here too, and behind the import nothing waits until the pool is in its place.
        if _ATTEMPTS not in sys.modules:
            await in_thread(import_module, _ATTEMPTS, abandon_on_cancel=True, opens=True)
        from tutuclient.transport.attempts import Attempts  # noqa: PLC0415  (as above)
        from tutuclient.transport.pool import Pool  # noqa: PLC0415  (as above)

        self._attempts = Attempts
        if self._settings.relays or self._settings.relay is not None:
            from tutuclient.transport.failover import RelayedAttempts  # noqa: PLC0415  (as above)

            self._attempts = RelayedAttempts

        running = asyncio.get_running_loop()
        pool = self._pools.get(running)
        if pool is None:
            for loop in [loop for loop in list(self._pools) if loop.is_closed()]:
                if (gone := self._pools.pop(loop, None)) is not None:
                    gone.abandon()
            pool = self._pools[running] = Pool(self._settings)
            self.closed = False
            await pool.close_at_shutdown()
        return pool
