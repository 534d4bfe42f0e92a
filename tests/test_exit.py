"""Real interpreters that end in the middle of things: nothing is printed, whatever was left open."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.dev_mode import without_slow_steps
from tutuclient.testing import serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient.testing import Server

pytestmark = pytest.mark.slow

BEGIN = """
import asyncio, logging, sys, threading
from tutuclient import TutuClient, user

client = TutuClient("sk-test-0123456789abcdef", sys.argv[1])
MESSAGES = [user("hi")]
# With -X dev asyncio logs what holds a loop for 0.1 s, which a busy machine does.
logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing "))

async def ask():
    return await client.chat.completions.create(model="m", messages=MESSAGES)

async def opened():
    stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    chunks = aiter(stream)
    await anext(chunks)
    return stream, chunks

def in_thread(work):
    done = threading.Event()
    kept = []
    async def main():
        kept.append(await work())
        done.set()
        await asyncio.sleep(3600)
    def run():
        asyncio.run(main())
    threading.Thread(target=run, daemon=True).start()
    assert done.wait(30)
    return kept
"""

ENDS = {
    "an unclosed client": "asyncio.run(ask())",
    "an open stream": "asyncio.run(opened())",
    "an open stream that is held": "kept = asyncio.run(opened())",
    "sys.exit inside": """
        async def main():
            stream = await opened()
            sys.exit(0)
        asyncio.run(main())
    """,
    "a loop in a daemon thread": "in_thread(ask)",
    "a stream in a daemon thread": "in_thread(opened)",
    "a stream of a daemon thread, held outside": "kept = in_thread(opened)",
    "a call in flight in a daemon thread": """
        async def begin():
            task = asyncio.ensure_future(client.chat.completions.create(model="m", messages=MESSAGES, timeout=None))
            stream = await opened()
            return task, stream
        kept = in_thread(begin)
    """,
    "a run in a daemon thread": """
        async def begin():
            run = client.map([MESSAGES] * 50, model="m", concurrency=4)
            await run.__aenter__()
            await anext(aiter(run))
            return run
        kept = in_thread(begin)
    """,
    "a thread whose loop was stopped": """
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        asyncio.run_coroutine_threadsafe(ask(), loop).result(30)
        kept = asyncio.run_coroutine_threadsafe(opened(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    """,
    "a loop closed without its shutdown": """
        loop = asyncio.new_event_loop()
        loop.run_until_complete(ask())
        kept = loop.run_until_complete(opened())
        loop.close()
    """,
    "a loop of a thread that goes on": """
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(ask(), loop).result(30)
        kept = asyncio.run_coroutine_threadsafe(opened(), loop).result(30)
    """,
    "a function's connector": """
        import aiohttp
        client = TutuClient("sk-test-0123456789abcdef", sys.argv[1], connector=lambda: aiohttp.TCPConnector())
        in_thread(ask)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(ask())
        loop.close()
    """,
}


@pytest.fixture(scope="module")
def relay() -> Iterator[Server]:
    with serve_in_thread() as server:
        yield server


@pytest.mark.parametrize("how", ENDS)
def test_nothing_is_printed_when_the_interpreter_ends(relay: Server, how: str) -> None:
    program = BEGIN + textwrap.dedent(ENDS[how])
    flags = ("-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning")
    for options in ((), flags):
        done = subprocess.run(  # noqa: S603  (ours)
            [sys.executable, *options, "-c", program, relay.base_url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert (done.returncode, done.stdout, without_slow_steps(done.stderr)) == (0, "", "")
