import asyncio
import contextlib
import json
from typing import Any

import pytest

from tests.testing.faults.wire import End, line, meet
from tutuclient.testing import FAULTS, Server, says
from tutuclient.testing.faults import TEXT


async def twice(server: Server, name: str, wait: float = 0.06, **options: Any) -> tuple[bytes, End, bytes, End]:
    """Send a request that meets a fault, wait, and send another on the same connection."""
    server.faults(name, **options)
    server.answers(says("second"))
    async with line(server.base_url) as wire:
        wire.ask()
        first, first_end = await wire.read(seconds=wait)
        with contextlib.suppress(ConnectionError):
            wire.ask()
        second, second_end = await wire.read(seconds=wait)
        return first, first_end, second, second_end


@pytest.mark.parametrize("name", ["idle_close", "lying_keep_alive"])
async def test_closes_an_idle_connection_after_a_good_answer(server: Server, name: str) -> None:
    first, end, *_ = await twice(server, name)
    assert json.loads(first.split(b"\r\n\r\n")[1])["choices"][0]["message"]["content"] == TEXT
    assert end == "fin"
    assert (b"timeout=600" in first) == (name == "lying_keep_alive")
    assert server.requests[0].finished


@pytest.mark.parametrize(("name", "end"), [("close_at_reuse", "fin"), ("reset_at_reuse", "reset")])
async def test_ends_a_connection_when_it_is_used_again(server: Server, name: str, end: End) -> None:
    first, first_end, second, second_end = await twice(server, name)
    assert b"HTTP/1.1 200 OK" in first
    assert (first_end, second, second_end) == ("open", b"", end)
    await server.until(lambda: server.open_connections == 0)
    assert len(server.requests) == 1


async def test_forgets_a_connection_that_was_not_used_again(server: Server) -> None:
    await meet(server, "close_at_reuse", seconds=0.02)
    await server.until(lambda: server.open_connections == 0)


async def test_closes_half_of_a_connection(server: Server) -> None:
    first, first_end, second, _ = await twice(server, "half_close")
    assert (b"HTTP/1.1 200 OK" in first, first_end, second) == (True, "fin", b"")
    await server.until(lambda: server.open_connections == 0)


@pytest.mark.parametrize(
    ("name", "surplus"), [("surplus_bytes", b"surplus"), ("unasked_answer", b"this answer was not asked for")]
)
async def test_says_more_than_was_asked(server: Server, name: str, surplus: bytes) -> None:
    first, end, second, _ = await twice(server, name)
    assert first.index(TEXT.encode()) < first.index(surplus)
    assert end == "open"
    assert b'"second"' in second


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.group == "reuse"])
async def test_ignores_that_nobody_waits_for_the_rest(server: Server, name: str) -> None:
    server.faults(name)
    async with line(server.base_url) as wire:
        wire.ask()
        await wire.reader.readline()
    await server.until(lambda: server.open_connections == 0)
    await asyncio.sleep(0.03)
