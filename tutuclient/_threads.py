"""Threads for work that would hold the event loop: files, images, base64. They end with the loop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel

from tutuclient._descriptors import DESCRIPTOR_S, out_of_descriptors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio import CapacityLimiter

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


# As many as anyio and Starlette use: they wait for disks, not for processors.
_THREADS: Final = 40
_executors: dict[asyncio.AbstractEventLoop, tuple[ThreadPoolExecutor, AsyncGenerator[None, None]]] = {}


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
