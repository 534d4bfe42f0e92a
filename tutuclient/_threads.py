"""Threads for work that would hold the event loop: files, images, base64. They end with the loop."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel

from tutuclient._descriptors import DESCRIPTOR_S, out_of_descriptors
from tutuclient.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

_NO_LOOP: Final = (
    "tutuclient works on asyncio, and here {}: start the program with asyncio.run(main()) or anyio.run(main), or under "
    "trio run this part in a thread, by trio.to_thread.run_sync(asyncio.run, part())"
)
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# As many as anyio and Starlette use: they wait for disks, not for processors.
_THREADS: Final = 40
_Ending: TypeAlias = "tuple[ThreadPoolExecutor, AsyncGenerator[None, None]]"
_executors: dict[tuple[asyncio.AbstractEventLoop, bool], _Ending] = {}


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        ConfigError: There is none; the message says what to do, under trio too.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigError(_NO_LOOP.format("trio is running" if _in_trio() else "no event loop is running")) from None


def _in_trio() -> bool:
    lowlevel = getattr(sys.modules.get("trio"), "lowlevel", None)
    try:
        return lowlevel is not None and lowlevel.current_task() is not None
    except RuntimeError:
        return False


async def in_thread(
    do: Callable[[*Ts], T],
    *args: *Ts,
    abandon_on_cancel: bool = False,
    heavy: bool = False,
    opens: bool = False,
) -> T:
    """Run a function in a thread of the running loop's own executor.

    anyio's ``to_thread.run_sync`` is not used: its threads end with the loop's root task, which never ends under
    ``nest_asyncio``, and then the process does not exit. These threads end with the loop's shutdown, and at the latest
    with the interpreter. Source: https://github.com/agronholm/anyio, ``WorkerThread`` in ``_backends/_asyncio.py``.

    Args:
        do: The function. It sees the caller's context variables.
        args: Its arguments.
        abandon_on_cancel: Whether cancelling returns while the function still runs. If not, an anyio scope waits for
            it; asyncio's ``Task.cancel`` never does.
        heavy: Whether it is work for a processor that takes much memory. As many of these run at once as there are
            processors, in threads of their own: an allocator keeps for each thread what it has used once.
        opens: Whether it opens files, and can be run again from its beginning. Then it is, for up to 30 s, while the
            process has no file descriptors left.
    """
    waited = 0.0
    while True:
        work = partial(copy_context().run, do, *args)
        try:
            # Raises what has been cancelled before a thread starts. It opens files itself: anyio imports its
            # backend with the first checkpoint, which fails, too, without a descriptor.
            await anyio.lowlevel.checkpoint()
            with anyio.CancelScope(shield=not abandon_on_cancel):
                return await running_loop().run_in_executor(await _executor(heavy), work)
        except Exception as error:
            if not opens or waited >= DESCRIPTOR_S or not out_of_descriptors(error):
                raise
        pause = random.uniform(0.01, 0.1)
        waited += pause
        await asyncio.sleep(pause)


async def _executor(heavy: bool) -> ThreadPoolExecutor:
    loop = asyncio.get_running_loop()
    found = _executors.get((loop, heavy))
    if found is None:
        for gone in [each for each in list(_executors) if each[0].is_closed()]:
            if (left := _executors.pop(gone, None)) is not None:
                left[0].shutdown(wait=False)
        executor = ThreadPoolExecutor(os.cpu_count() or 1 if heavy else _THREADS, "tutuclient")
        found = _executors[loop, heavy] = executor, _until_shutdown(executor, heavy)
        if closes_generators():
            await anext(found[1])
    return found[0]


def closes_generators() -> bool:
    """Return whether the running loop closes the async generators that are left at its shutdown.

    Under ``nest_asyncio`` it installs no hooks for them (PEP 525), and the interpreter warns of a generator that awaits
    something while it is finalized.
    """
    return sys.get_asyncgen_hooks().finalizer is not None


async def _until_shutdown(executor: ThreadPoolExecutor, heavy: bool) -> AsyncGenerator[None, None]:
    """Close the executor when the loop shuts down.

    A loop has no public callback for that. But ``asyncio.run`` ends with ``loop.shutdown_asyncgens()``, which closes
    every async generator that has been started, and so runs the ``finally`` of this one.
    Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.shutdown_asyncgens.
    """
    try:
        yield
    finally:
        _executors.pop((asyncio.get_running_loop(), heavy), None)
        executor.shutdown(wait=False)
