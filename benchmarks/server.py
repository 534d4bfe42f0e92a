"""The other side: answers that stand ready, from a process of its own.

``python -m benchmarks.server CORE [tls]`` prints its port, and the certificate to trust when it speaks TLS, and serves
until its input ends. It reads no more of a request than it must and makes nothing while it is measured against, so that
what is measured is the client. The first part
of the path says what to answer, so a contender needs nothing but a base URL:

| path | answer |
| --- | --- |
| ``/small`` | a whole answer of 1 KB, at once |
| ``/late-MS`` | the same, so many milliseconds later |
| ``/stream-N`` | N chunks as fast as the socket takes them |
| ``/paced-N-US`` | N chunks, each a TCP segment of its own, so many microseconds apart on each connection |
| ``/line-N`` | a stream with one data line of N bytes |
| ``/picture-N`` | ``b64_json`` of N bytes |
| ``/endless`` | a chunk with the stream's number, then one every 50 ms until the client leaves |
| ``/state`` | which endless streams were closed when, by ``time.monotonic`` |
| others | the relays of ``fanout.relays`` |
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import json
import os
import re
import socket
import ssl
import sys
import time
from itertools import count
from typing import TYPE_CHECKING

from benchmarks import answers
from benchmarks.fanout import relays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_ENDLESS_GAP_S = 0.05
# Nearer than this to the next chunk the pacer spins: timers of epoll are no finer than 1 ms.
_SPIN_S = 0.003


class Pacer:
    """Sends chunks one by one, each connection at its own even pace, out of step with the others."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Iterator[bytes], Connection, float]] = []
        self._numbers = count()
        self._wake = asyncio.Event()

    def add(self, connection: Connection, pieces: Iterator[bytes], gap_s: float) -> None:
        """Begin a stream on a connection."""
        number = next(self._numbers)
        phase = number * 0.618 % 1  # The golden ratio: however many there are, they are spread evenly.
        heapq.heappush(self._due, (time.perf_counter() + phase * gap_s, number, pieces, connection, gap_s))
        self._wake.set()

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            if not self._due:
                self._wake.clear()
                await self._wake.wait()
            wait = self._due[0][0] - time.perf_counter()
            if wait > _SPIN_S:
                await asyncio.sleep(wait - _SPIN_S)
            elif wait > 0:
                await asyncio.sleep(0)
            else:
                self._send()

    def _send(self) -> None:
        due, number, pieces, connection, gap_s = heapq.heappop(self._due)
        piece = next(pieces, None)
        if piece is not None and connection.send(piece):
            # Who is late does not catch up: two chunks at once would be one read.
            heapq.heappush(self._due, (max(due, time.perf_counter()) + gap_s, number, pieces, connection, gap_s))


class Endless:
    """Remembers which of the endless streams began, and when their clients left."""

    def __init__(self) -> None:
        self.begun = 0
        self.closed_at: dict[int, float] = {}

    def begin(self, connection: Connection) -> None:
        """Begin a stream whose first chunk is its number."""
        number = self.begun
        self.begun += 1
        connection.when_lost = lambda: self.closed_at.setdefault(number, time.monotonic())
        first = answers.event({"role": "assistant", "content": f"{number} "})
        connection.send(answers.STREAM_HEAD + answers.http_chunk(first))
        self._go_on(connection, answers.http_chunk(answers.event({"content": " and"})))

    def _go_on(self, connection: Connection, more: bytes) -> None:
        def again() -> None:
            if connection.send(more):
                self._go_on(connection, more)

        asyncio.get_running_loop().call_later(_ENDLESS_GAP_S, again)

    def state(self) -> bytes:
        """Return what is remembered."""
        return answers.json_answer({"begun": self.begun, "closed_at": self.closed_at})


class Connection(asyncio.Protocol):
    """One connection: reads a request to its end and hands the path to ``play``."""

    def __init__(self, play: Callable[[Connection, bytes], None]) -> None:
        self._play = play
        self._head = bytearray()
        self._path = b""
        self._left = 0
        self._chunked = False
        self._transport: asyncio.Transport | None = None
        self.when_lost: Callable[[], object] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send every write at once."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (says so to the type checker)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Find the end of the request; bodies are counted, not kept."""
        if not self._path:
            self._head += data
            end = self._head.find(_HEAD_END)
            if end < 0:
                return
            head, data = bytes(self._head[:end]), bytes(self._head[end + 4 :])
            self._head.clear()
            self._path = head.split(b" ", 2)[1]
            length = _LENGTH.search(head)
            self._left = int(length[1]) if length else 0
            self._chunked = _CHUNKED.search(head) is not None
            if self._chunked and not data:
                return
        if self._chunked:
            if not data.endswith(answers.LAST):
                return
        else:
            self._left -= len(data)
            if self._left > 0:
                return
        path, self._path = self._path, b""
        self._play(self, path)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        """Note that the client has gone."""
        self._transport = None
        self.when_lost()

    def send(self, data: bytes) -> bool:
        """Send bytes, or say that the client has gone."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(data)
        return True


class Answers:
    """Plays the answer that a path asks for."""

    def __init__(self) -> None:
        self.pacer = Pacer()
        self._endless = Endless()
        self._relays = relays.Relays()
        self._plays: dict[bytes, Callable[[Connection], object]] = {}

    def play(self, connection: Connection, path: bytes) -> None:
        """Answer a request."""
        play = self._plays.get(path)
        if play is None:
            play = self._plays[path] = self._made(path)
        play(connection)

    def _made(self, path: bytes) -> Callable[[Connection], object]:
        kind, *numbers = path.decode().split("/")[1].split("-")
        if kind in relays.KINDS:
            return self._relays.play(path.decode())
        make: dict[str, Callable[..., Callable[[Connection], object]]] = {
            "small": lambda: functools.partial(_write, data=answers.small()),
            "late": lambda ms: functools.partial(_write_later, data=answers.small(), seconds=ms / 1000),
            "stream": lambda number: functools.partial(_write, data=answers.stream(number)),
            "paced": lambda number, us: functools.partial(self._pace, pieces=_paced(number), gap_s=us / 1e6),
            "line": lambda size: functools.partial(_write, data=answers.picture_stream(size)),
            "picture": lambda size: functools.partial(_write, data=answers.picture_answer(size)),
            "endless": lambda: self._endless.begin,
            "state": lambda: lambda connection: connection.send(self._endless.state()),
        }
        return make[kind](*map(int, numbers))

    def _pace(self, connection: Connection, pieces: list[bytes], gap_s: float) -> None:
        self.pacer.add(connection, iter(pieces), gap_s)


def _paced(number: int) -> list[bytes]:
    first, *others = map(answers.http_chunk, answers.events(number))
    return [answers.STREAM_HEAD + first, *others, answers.http_chunk(answers.DONE) + answers.LAST]


def _write(connection: Connection, data: bytes) -> None:
    connection.send(data)


def _write_later(connection: Connection, data: bytes, seconds: float) -> None:
    asyncio.get_running_loop().call_later(seconds, connection.send, data)


async def serve(*, tls: bool) -> None:
    """Serve until the input ends; the first line of the output tells ``port`` and ``certificate`` ("" without TLS)."""
    loop = asyncio.get_running_loop()
    sent = Answers()
    context, certificate = _certified() if tls else (None, "")
    listener = await loop.create_server(lambda: Connection(sent.play), "127.0.0.1", 0, backlog=2048, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"port": port, "certificate": certificate}) + "\n")
    sys.stdout.flush()
    pacing = asyncio.create_task(sent.pacer.run())
    await loop.run_in_executor(None, sys.stdin.read)
    pacing.cancel()
    listener.close()


def _certified() -> tuple[ssl.SSLContext, str]:
    """Return a context with a certificate for 127.0.0.1, and the authority to trust as PEM."""
    import trustme  # noqa: PLC0415  (only --tls needs it)

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context, authority.cert_pem.bytes().decode()


def pin(core: int) -> None:
    """Keep this process to one core, where the system can; a core below 0 is none."""
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


if __name__ == "__main__":
    pin(int(sys.argv[1]))
    asyncio.run(serve(tls=sys.argv[2:] == ["tls"]))
