"""What a call may not leave behind, however it ended: for all tests that look for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient import TutuClient
    from tutuclient.streams.reading import Stream
    from tutuclient.testing import Server
    from tutuclient.transport.connection import Guard

# The relay plays in the same loop, in tasks of its own.
_OF_THE_RELAY = ("RequestHandler.", "RawServer.")


def leftovers(client: TutuClient) -> list[str]:
    """Name what is held that nobody uses any more: slots, connections, tasks."""
    found = [f"task {_name(task)}" for task in asyncio.all_tasks() if _is_ours(task)]
    pool = client._transport.pool
    if pool is None:
        return found
    if pool.slots.free != pool.slots.total:
        found.append(f"{pool.slots.total - pool.slots.free} slots")
    found += [f"{pool.slots.waiting} waiting for a slot"] * bool(pool.slots.waiting)
    for connector in pool.connectors:
        found += [f"connection in use {guard!r}" for guard in connector.guards if guard.in_use]
    return found


def bad_idle(client: TutuClient) -> list[str]:
    """Name the connections that wait to be used again and must not be.

    Those that are closed are still in the pool, of which aiohttp tells nothing in public.
    """
    pool = client._transport.pool
    waiting = [] if pool is None else [waiting for each in pool.connectors for waiting in each._conns.values()]
    return [repr(protocol) for each in waiting for protocol, _ in each if _is_bad(protocol)]


def idle(client: TutuClient) -> list[Guard]:
    """Return the connections that wait to be used again."""
    pool = client._transport.pool
    guards = [] if pool is None else [guard for each in pool.connectors for guard in each.guards]
    return [guard for guard in guards if not guard.in_use and not guard.is_closing]


async def none_idle(client: TutuClient) -> None:
    """Wait until no connection waits to be used again: each has seen something that ends it."""
    await until(lambda: not idle(client))
    assert idle(client) == []


async def nothing_left(client: TutuClient, seconds: float = 10.0) -> list[str]:
    """Return the leftovers, once there are none or the time is over."""
    await until(lambda: not leftovers(client), seconds)
    return leftovers(client)


async def closed(client: TutuClient, server: Server, seconds: float = 10.0) -> list[str]:
    """Return what the relay still works on or holds open for nobody, once it is nothing or the time is over."""

    def found() -> list[str]:
        open_ = server.open_connections
        return [f"{server.in_flight} in flight"] * bool(server.in_flight) + [f"{open_} open"] * (
            open_ > len(idle(client))
        )

    await until(lambda: not found(), seconds)
    return found()


async def answered(server: Server) -> None:
    """Wait until the relay has answered all that came, and the client in the same loop has read it."""
    await server.until(lambda: server.in_flight == 0)
    for _ in range(50):
        await asyncio.sleep(0)


async def reader_waits(stream: Stream[Any]) -> None:
    """Wait until the reader of a stream waits for more of it."""
    await until(lambda: stream._reading._is_waiting)
    assert stream._reading._is_waiting


async def until(happened: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something is so that tells nobody when it comes to be, at most for so many seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not happened() and loop.time() < end:  # noqa: ASYNC110  (what is looked at here sets no event)
        await asyncio.sleep(0.001)


def _is_ours(task: asyncio.Task[object]) -> bool:
    return task is not asyncio.current_task() and not _name(task).startswith(_OF_THE_RELAY)


def _name(task: asyncio.Task[object]) -> str:
    return getattr(task.get_coro(), "__qualname__", repr(task))


def _is_bad(protocol: object) -> bool:
    return bool(getattr(protocol, "should_close", True)) or not getattr(protocol, "is_connected", bool)()
