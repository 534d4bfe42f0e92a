"""An answer of the relay that waits for an event, where a delay would be a race."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from aiohttp import web

    from tutuclient.testing import Exchange
    from tutuclient.testing.exchange import Answer


@dataclass(frozen=True)
class Held:
    """Another answer, sent once an event is set.

    Attributes:
        answer: What is sent.
        go: The event; the relay and the test have to run in one loop.
    """

    answer: Answer
    go: asyncio.Event

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        await self.go.wait()
        return await self.answer.play(exchange)
