"""Browsers that read an endpoint and leave, or stay to the end, and a relay that waits until they have left."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.leftovers import until
from tests.real.servers import running
from tutuclient.testing import chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aiohttp import web

    from tutuclient.testing import Exchange, Recorded, Server

ROOT = Path(__file__).parents[3]
APP = "tests.integrations.web.endpoints"
SERVERS = {
    "uvicorn": ["-m", "uvicorn", f"{APP}:app", "--port", "{port}"],
    "uvicorn-litestar": ["-m", "uvicorn", f"{APP}:litestar_app", "--port", "{port}"],
    "hypercorn": ["-m", "hypercorn", f"{APP}:app", "--bind", "127.0.0.1:{port}", "--error-logfile", "-"],
    "aiohttp": ["-m", APP, "{port}", "stays"],
    "aiohttp-cancels": ["-m", APP, "{port}", "cancels"],
}
KINDS = [
    ("uvicorn", "starlette-stream"),
    ("uvicorn", "fastapi-sse"),
    ("uvicorn", "fastapi-json"),
    ("uvicorn", "fastapi-dependency"),
    ("uvicorn-litestar", "litestar-sse"),
    ("hypercorn", "starlette-stream"),
    ("hypercorn", "fastapi-sse"),
    ("hypercorn", "fastapi-json"),
    ("hypercorn", "fastapi-dependency"),
    ("aiohttp", "aiohttp-stream"),
    ("aiohttp", "aiohttp-json"),
    ("aiohttp-cancels", "aiohttp-stream"),
    ("aiohttp-cancels", "aiohttp-json"),
]
TOKENS = 5
REST = 20


def app_server(server: str, relay: Server, log: Path) -> Iterator[str]:
    """Run an app at the relay, and yield its origin."""
    env = {"RELAY": relay.base_url, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    with running([sys.executable, *SERVERS[server]], "/health", log, env) as origin:
        yield origin


class Waits:
    """Answers with five tokens, or with none where the request wants no stream, and the rest when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        if not exchange.wants_stream:
            await self.go.wait()
            message = {"role": "assistant", "content": "the whole answer"}
            return exchange.respond({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        response = await exchange.open_stream()
        await response.write(b"".join(_frames(TOKENS)))
        await self.go.wait()
        await response.write(b"".join(_frames(REST, "stop")) + b"data: [DONE]\n\n")
        return response


def _frames(tokens: int, reason: str | None = None) -> Iterator[bytes]:
    for number in range(tokens):
        yield b"data: " + json.dumps(chunk(f"token{number} ")).encode() + b"\n\n"
    if reason is not None:
        yield b"data: " + json.dumps(chunk(finish_reason=reason)).encode() + b"\n\n"


def prompt(recorded: Recorded) -> str:
    """Return the name of the browser that a request was made for."""
    return str(recorded.json["messages"][0]["content"])


@asynccontextmanager
async def asking(origin: str, kind: str, name: str) -> AsyncIterator[asyncio.StreamReader]:
    """Send a request as a browser of this name; leaving the block closes its connection."""
    host, port = origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"GET /{kind}?q={name} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        yield reader
    finally:
        writer.close()


async def answered(reader: asyncio.StreamReader) -> bytes:
    """Read an answer to its end."""
    return await reader.read(-1)


async def scene(relay: Server, origin: str, kind: str, browsers: int, apart: float = 0) -> list[float]:
    """Run browsers of which half leave after five tokens, and return what the relay saw of them.

    Args:
        relay: Where the app asks.
        origin: Where the app is.
        kind: Its endpoint.
        browsers: How many there are.
        apart: Seconds between one that leaves and the next; 0 lets all leave at once.

    Returns:
        The seconds until the relay saw each of those that left.
    """
    waits = Waits()
    left: dict[str, float] = {}
    seen: dict[str, float] = {}
    first = len(relay.requests)
    relay.answers(*[waits] * browsers)
    streamed = not kind.endswith(("json", "dependency"))

    def note(recorded: Recorded, status: int | None) -> None:
        del status
        if recorded.aborted:
            seen[prompt(recorded)] = time.monotonic()

    relay.on_answered = note

    async def browse(number: int) -> bytes:
        name = f"browser{number}"
        async with asking(origin, kind, name) as reader:
            if streamed:
                await reader.readuntil(f"token{TOKENS - 1} ".encode())
            else:
                await relay.until(lambda: len(relay.requests) >= first + browsers, 60)
            if number % 2:
                ready.append(number)
                await leave.wait()
                await asyncio.sleep(apart * number)
                left[name] = time.monotonic()
                return b""
            return await answered(reader)

    ready: list[int] = []
    leave = asyncio.Event()
    tasks = [asyncio.create_task(browse(number)) for number in range(browsers)]
    while len(ready) < browsers // 2:
        await asyncio.sleep(0.01)
        for task in tasks:
            if task.done():
                task.result()
    leave.set()
    # The relay notes it a moment after it has told of the change that ``relay.until`` waits for.
    await until(lambda: len(seen) >= browsers // 2, 60)
    waits.go.set()
    answers = [answer for answer in await asyncio.gather(*tasks) if answer]
    relay.on_answered = None
    whole = f"token{REST - 1} ".encode() if streamed else b"the whole answer"
    assert len(answers) == browsers - browsers // 2
    assert all(whole in answer for answer in answers)
    assert set(seen) == set(left), "some were cut though they stayed, or go on though they left"
    await relay.until(lambda: relay.in_flight == 0, 60)
    return [seen[name] - left[name] for name in left]


def tracebacks(log: Path) -> list[str]:
    """Return what a server has logged of failures."""
    text = log.read_text(encoding="utf-8")
    return [line for line in text.splitlines() if "Traceback" in line or "rror" in line or "Exception" in line]
