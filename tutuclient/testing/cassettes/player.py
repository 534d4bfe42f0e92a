"""The player: a relay on loopback that answers from a cassette, and with an error where that has no answer."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from tutuclient.errors import ConfigError
from tutuclient.testing.cassettes.bodies import RELAY, as_recorded_now, pieces
from tutuclient.testing.cassettes.matching import Requests
from tutuclient.testing.cassettes.recorder import MOST_BODY_BYTES, asked, refusal
from tutuclient.testing.cassettes.tape import read, warn
from tutuclient.testing.server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.testing.cassettes.tape import Exchange as Recording
    from tutuclient.testing.exchange import Exchange

_PAUSE_S = 0.02


class Player(Server):
    """A relay on loopback that answers from a cassette.

    A request that is not in it is answered with 400 and the nearest difference, which stderr has too. What is scripted
    with ``answers`` goes before the cassette.

    Args:
        path: The cassette.
        speed: How many times as fast as it was recorded: 1 keeps its times, 0 and ``inf`` wait for nothing.
        host: The address to listen on.
        port: The port; 0 takes a free one.

    Attributes:
        relay: The base URL that was recorded.
        path: The cassette.

    Raises:
        ConfigError: There is no cassette, it cannot be read, or the speed is none.
    """

    def __init__(self, path: Path, *, speed: float = 1.0, host: str = "127.0.0.1", port: int = 0) -> None:
        if math.isnan(speed) or speed < 0:
            raise ConfigError(f"a speed is a number of 0 or more, not {speed}")
        self.path, self._pace = path, 0.0 if speed == 0 else 1 / speed
        cassette = read(path)
        self.relay = cassette.relay + cassette.base
        for each in cassette.exchanges.values():
            each.request = as_recorded_now(each.request)
        self._recorded = Requests(cassette.replayed)
        self._unfinished = Requests([each for each in cassette.exchanges.values() if not each.can_be_replayed])
        super().__init__(
            host, port, None, MOST_BODY_BYTES, None, self._replay, base_path=cassette.base, hosts_files=False
        )

    @property
    def unplayed(self) -> list[int]:
        """The numbers of the exchanges that nobody has asked for yet."""
        return self._recorded.unplayed

    async def _replay(self, exchange: Exchange) -> web.StreamResponse:
        started = asyncio.get_running_loop().time()
        line = await asked(exchange, self.origin)
        found = self._recorded.take(line)
        if found is None:
            why = self._recorded.difference(line)
            if self._unfinished.take(line) is not None:
                why = "it is there, but its answer was not recorded to its end"
            message = f"{self.path.name} has no {line['method']} {line['path']} like this one: {why}"
            warn(message)
            return refusal(exchange, 400, message, "no_match")
        # Decoded before the head is sent: a digest that cannot be read must not end an answer in its middle.
        try:
            reads = pieces(found.parts, self.origin)
        except (ValueError, TypeError) as error:
            message = f"{self.path.name}: exchange {found.number} cannot be replayed: {error}"
            warn(message)
            return refusal(exchange, 500, message, "damaged")
        return await self._play(exchange, found, reads, started)

    async def _play(
        self, exchange: Exchange, found: Recording, reads: list[tuple[float, bytes]], started: float
    ) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        if found.answer is not None:
            response = self._head(exchange, found, sum(len(data) for _, data in reads))
            await self._until(started, found.answer["t"])
            await response.prepare(exchange.request)
            for at, data in reads:
                await self._until(started, at)
                await response.write(data)
        if found.how == "left":
            await exchange.silence()
            warn(f"{self.path.name}: whoever recorded exchange {found.number} left here, and this client did not")
            return exchange.fin()
        await self._until(started, found.ended_at)
        if found.how == "complete" and response is not None:
            await response.write_eof()
            return response
        await asyncio.sleep(_PAUSE_S)
        return exchange.reset() if found.how == "reset" else exchange.fin()

    def _head(self, exchange: Exchange, found: Recording, size: int) -> web.StreamResponse:
        answer = found.answer or {}
        headers = {name: str(value).replace(RELAY, self.origin) for name, value in answer["headers"].items()}
        response = web.StreamResponse(status=answer["status"], headers=headers)
        if answer.get("framing") == "length":
            # An answer that was cut off promised more than came.
            short = found.how != "complete" or exchange.request.method == hdrs.METH_HEAD
            response.content_length = max(answer.get("length", 0), size + (found.how != "complete")) if short else size
        return response

    async def _until(self, started: float, at: float) -> None:
        if self._pace:
            await asyncio.sleep(started + at * self._pace - asyncio.get_running_loop().time())
