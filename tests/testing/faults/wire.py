"""A bare connection to a fault, and what comes over it."""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

from tutuclient.testing import Server

BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


End = Literal["fin", "reset", "open"]


@dataclass
class Line:
    """A bare connection to a server, and what has come over it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def ask(self) -> None:
        body = json.dumps(BODY).encode()
        head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(b"POST /v1/chat/completions HTTP/1.1\r\n" + head.encode() + body)

    async def read(self, most: int = 2**22, seconds: float = 0.2) -> tuple[bytes, End]:
        """Read until the connection ends, so many bytes have come, or nothing has for so long."""
        seen = b""
        while len(seen) < most:
            try:
                piece = await self._piece(seconds)
            except ConnectionResetError:
                return seen, "reset"
            if piece is None:
                break
            if not piece:
                return seen, "fin"
            seen += piece
        return seen, "open"

    async def _piece(self, seconds: float, turns: int = 20) -> bytes | None:
        """Read what comes next; None when it is nothing."""
        # The server runs in the same loop. One timeout can expire before a busy machine gives it a turn, not twenty.
        reading = asyncio.create_task(self.reader.read(2**16))
        for _ in range(turns):
            if (await asyncio.wait([reading], timeout=seconds / turns))[0]:
                return await reading
        reading.cancel()
        return None


@contextlib.asynccontextmanager
async def line(base_url: str) -> Any:
    host, port = base_url.split("//")[1].removesuffix("/v1").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def meet(server: Server, name: str, *, seconds: float = 0.2, **options: Any) -> tuple[bytes, End]:
    """Send a request that meets a fault on a bare connection."""
    server.faults(name, **options)
    async with line(server.base_url) as wire:
        wire.ask()
        met: tuple[bytes, End] = await wire.read(seconds=seconds)
        return met


async def fetch(http: aiohttp.ClientSession, server: Server, name: str, **options: Any) -> tuple[int, bytes]:
    """Send a request that meets a fault whose HTTP is in order."""
    server.faults(name, **options)
    async with http.post(f"{server.base_url}/chat/completions", json=BODY) as answer:
        return answer.status, await answer.read()


def payload(body: bytes) -> bytes:
    """Undo the chunks of a body, as far as they go."""
    rest, out = body.split(b"\r\n\r\n", 1)[1], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        out += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return out


def deltas(stream: bytes) -> list[str]:
    frames = [
        line.removeprefix(b"data: ") for line in stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    ]
    texts = []
    for frame in frames:
        with contextlib.suppress(ValueError, KeyError, IndexError, TypeError, RecursionError):
            texts.append(json.loads(frame)["choices"][0]["delta"]["content"])
    return texts
