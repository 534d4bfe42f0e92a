"""How much at once, how often again, and when not at all: what all calls of a client share.

Knows no calls, no network, and no clock but the one passed in: whoever takes a
slot gives it back, and whoever hears from the relay says so. Threads and file
descriptors are limits too: all work for threads goes through ``in_thread``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio import CapacityLimiter

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Slots:
    """A fixed number of calls in flight, over the whole client.

    Fair: who waits longest is next, and nobody who comes later slips past. It
    belongs to the event loop it is first waited on.

    Args:
        total: How many slots there are.
    """

    __slots__ = ("_semaphore", "total")

    def __init__(self, total: int) -> None:
        self.total: int = total
        self._semaphore = anyio.Semaphore(total, max_value=total, fast_acquire=True)

    @property
    def free(self) -> int:
        """How many slots nobody holds."""
        return self._semaphore.value

    @property
    def waiting(self) -> int:
        """How many calls wait for a slot."""
        return self._semaphore.statistics().tasks_waiting

    async def acquire(self) -> None:
        """Take a slot, or wait for one. Cancelling while waiting takes none."""
        await self._semaphore.acquire()

    def acquire_nowait(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        if self._semaphore.value == 0:
            return False
        self._semaphore.acquire_nowait()
        return True

    def release(self) -> None:
        """Give a slot back; it goes to who has waited longest."""
        self._semaphore.release()


class RetryBudget:
    """How many retries a client may spend, over all its calls: in an outage most calls fail at once.

    A token bucket. A retry takes from it, one after a timeout twice as much; a
    success puts back what its last retry took, or a fifth of a retry when it
    needed none. Empty, it lets nobody retry. Refusals for being too many (429)
    cost nothing: the pause the relay asks for limits them.

    Args:
        retries: How many retries it holds when full; None is no limit.

    Source: botocore's standard retry mode, with its costs (5, 10 and 1).
    """

    __slots__ = ("_capacity", "_left")

    COST = 5
    COST_OF_TIMEOUT = 10
    REWARD = 1

    def __init__(self, retries: int | None) -> None:
        self._capacity = self._left = None if retries is None else retries * self.COST

    @property
    def left(self) -> int | None:
        """What is left, in fifths of a retry; None without a limit."""
        return self._left

    def take(self, cost: int) -> bool:
        """Take ``cost`` for a retry, or say that there is not enough."""
        if self._left is None:
            return True
        if cost > self._left:
            return False
        self._left -= cost
        return True

    def put_back(self, cost: int) -> None:
        """Reward a success: ``cost`` is what its last retry took, 0 when it needed none."""
        if self._left is not None and self._capacity is not None:
            self._left = min(self._capacity, self._left + (cost or self.REWARD))


class CoolDown:
    """A pause the relay asked for, kept by all calls of a client.

    After it they start again spread out, not together.
    """

    __slots__ = ("_spread", "_until")

    def __init__(self) -> None:
        self._until = 0.0
        self._spread = 0.0

    def ask(self, now: float, seconds: float) -> None:
        """Keep everybody from starting for ``seconds`` from ``now``; a longer pause already kept stays."""
        if now + seconds > self._until:
            self._until = now + seconds
            self._spread = min(1.0, 0.05 + seconds / 4)

    def wait(self, now: float, unit: float) -> float:
        """Say how many seconds a call that would start ``now`` has to wait.

        Args:
            now: The loop's clock.
            unit: A number from 0 to 1 that says where in the spread the call comes.
        """
        return self._until - now + unit * self._spread if now < self._until else 0.0


# --- Threads ---------------------------------------------------------------------------------------------------------

# As many as anyio and Starlette use: they wait for disks, not for processors.
_THREADS: Final = 40
_executors: dict[asyncio.AbstractEventLoop, tuple[ThreadPoolExecutor, AsyncGenerator[None, None]]] = {}
# How long something of ours that is no call, such as fetching or saving an image, waits for a descriptor.
DESCRIPTOR_S: Final = 30.0


async def in_thread(
    do: Callable[[*Ts], T],
    *args: *Ts,
    abandon_on_cancel: bool = False,
    limiter: CapacityLimiter | None = None,
    opens: bool = False,
) -> T:
    """Run a function in a thread of the running loop's own executor.

    Not anyio's ``to_thread.run_sync``: its threads end with the loop's root task, which under ``nest_asyncio`` never
    ends, and then the process never exits. These end with the loop's shutdown, and at the latest with the interpreter.

    Args:
        do: The function. It sees the caller's context variables.
        args: Its arguments.
        abandon_on_cancel: Cancelling leaves the thread to itself. Otherwise an anyio scope waits for it; asyncio's
            ``Task.cancel`` never does.
        limiter: How many may run at once, beyond the executor's own limit.
        opens: It opens files, and may be run again from its beginning: while the process has no descriptors left, wait
            for one, for up to 30 s.
    """
    async with limiter or contextlib.nullcontext():
        waited = 0.0
        while True:
            work = partial(copy_context().run, do, *args)
            try:
                await anyio.lowlevel.checkpoint()  # The first one has anyio import a module.
                with anyio.CancelScope(shield=not abandon_on_cancel):
                    return await asyncio.get_running_loop().run_in_executor(await _executor(), work)
            except Exception as error:
                if not opens or waited >= DESCRIPTOR_S or not out_of_descriptors(error):
                    raise
            pause = random.uniform(0.01, 0.1)
            waited += pause
            await asyncio.sleep(pause)


async def _executor() -> ThreadPoolExecutor:
    loop = asyncio.get_running_loop()
    found = _executors.get(loop)
    if found is None:
        for gone in [each for each in list(_executors) if each.is_closed()]:
            if (left := _executors.pop(gone, None)) is not None:
                left[0].shutdown(wait=False)
        executor = ThreadPoolExecutor(_THREADS, "tutuclient")
        found = _executors[loop] = executor, _until_shutdown(executor)
        if closes_generators():
            await anext(found[1])
    return found[0]


def closes_generators() -> bool:
    """Return whether the running loop knows of async generators, and so closes those that are left at its shutdown.

    Under ``nest_asyncio`` it does not, and the interpreter complains of one that awaits something while it is closed.
    """
    return sys.get_asyncgen_hooks().finalizer is not None


async def _until_shutdown(executor: ThreadPoolExecutor) -> AsyncGenerator[None, None]:
    """Close the executor when the loop shuts down: ``asyncio.run`` closes all async generators, and this is one."""
    try:
        yield
    finally:
        _executors.pop(asyncio.get_running_loop(), None)
        executor.shutdown(wait=False)


# --- File descriptors ------------------------------------------------------------------------------------------------

_MOST_CONNECTIONS: Final = 512
_OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE})
NO_DESCRIPTORS: Final = (
    "too many files and connections are open; raise the limit (`ulimit -n`), or lower max_connections="
)


def default_connections() -> int:
    """Return how many connections the process has file descriptors for: at most 512.

    An upload takes two, a socket and a file; some are left for the rest of the process.
    """
    try:
        import resource  # noqa: PLC0415  (Windows has none, and no such limit)

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = soft == resource.RLIM_INFINITY
    except (ImportError, OSError, ValueError):
        unlimited, soft = True, 0
    if unlimited:
        return _MOST_CONNECTIONS
    return max(1, min(_MOST_CONNECTIONS, (soft - max(32, min(64, soft // 8))) // 2))


def out_of_descriptors(error: BaseException) -> bool:
    """Return whether something failed because the process, or the system, has no file descriptors left.

    A name that cannot be looked up says nothing of it, so then one is tried for.
    """
    link: BaseException | None = error
    while link is not None:
        inner = getattr(link, "os_error", link)
        if getattr(inner, "errno", None) in _OUT_OF_DESCRIPTORS:
            return True
        if isinstance(inner, socket.gaierror):
            return _none_left()
        link = link.__cause__ or link.__context__
    return False


def _none_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _OUT_OF_DESCRIPTORS
    return False
