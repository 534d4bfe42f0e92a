"""Relays that refuse what is too much, and one that notes each order: routes of ``server`` for the runs of ``fanout``.

Each keeps its own count, so the last number of a route tells one run's relay from another's. Its ``state`` is JSON.

| path | relay |
| --- | --- |
| ``/bucket-RATE-SIZE-MS-RUN`` | a token bucket of SIZE, filled RATE times a second; an answer takes so many ms |
| ``/flights-MOST-MS-RUN`` | at most MOST requests in flight |
| ``/log-MOST-SECONDS-MS-RUN`` | at most MOST requests admitted in any SECONDS (a sliding log, as new-api keeps it) |
| ``/orders-MS-BYTES-RUN`` | admits everything, notes ``?item=`` of each request, then answers: an image of BYTES |
| ``/…/state`` | how many were admitted, refused and answered, the seconds that took, the items noted in order |

A refusal is a bare 429, at once: no ``Retry-After``, no headers, no words about the limit. The three limits are those
of ``batch.md``: nothing but the refusals themselves tells a client what the relay stands.
"""

from __future__ import annotations

import asyncio
import base64
import random
import re
import struct
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING, Protocol

from benchmarks import answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.server import Connection

_ITEM = re.compile(r"[?&]item=(\w+)")
_PIXELS = b"\0\x80"


class Limit(Protocol):
    """What a relay admits."""

    def admits(self, now: float) -> bool:
        """Return whether a request that comes now is admitted, and count it when it is."""

    def answered(self) -> None:
        """Note that a request which was admitted has its answer."""


class Bucket:
    """A token bucket, full at first.

    Args:
        rate: Requests a second that it is filled with.
        size: How many it holds.
    """

    def __init__(self, rate: float, size: float) -> None:
        self._rate, self._size = rate, size
        self._level, self._at = size, time.monotonic()

    def admits(self, now: float) -> bool:
        """Use up one request, if there is one."""
        self._level, self._at = min(self._size, self._level + (now - self._at) * self._rate), now
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def answered(self) -> None:
        """Ignore the end of a request: a bucket counts beginnings."""


class Flights:
    """A gate on requests in flight.

    Args:
        most: How many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = 0

    def admits(self, now: float) -> bool:  # noqa: ARG002  (the protocol's)
        """Return whether fewer requests than the limit are in flight, and count this one if so."""
        if self._now >= self._most:
            return False
        self._now += 1
        return True

    def answered(self) -> None:
        """Count one request fewer in flight."""
        self._now -= 1


class Log:
    """A sliding log: so many in any so many seconds.

    Args:
        most: How many are admitted.
        seconds: In what time.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._admitted: deque[float] = deque()

    def admits(self, now: float) -> bool:
        """Return whether fewer than ``most`` were admitted in the seconds before, and count this one if so."""
        while self._admitted and self._admitted[0] <= now - self._seconds:
            self._admitted.popleft()
        if len(self._admitted) >= self._most:
            return False
        self._admitted.append(now)
        return True

    def answered(self) -> None:
        """Ignore the end of a request: a log counts beginnings."""


class Open:
    """No limit."""

    def admits(self, now: float) -> bool:  # noqa: ARG002  (the protocol's)
        """Return True: every request is admitted."""
        return True

    def answered(self) -> None:
        """Ignore the end of a request: nothing is counted."""


class Relay:
    """One relay: a limit, the time that an answer takes, and a count of what came.

    Args:
        limit: What it admits.
        service_s: Seconds from admission to the answer.
        answer: The answer.
    """

    def __init__(self, limit: Limit, service_s: float, answer: bytes) -> None:
        self._limit = limit
        self._service_s = service_s
        self._answer = answer
        self._admitted = self._refused = self._answered = 0
        self._took_s = 0.0
        self._items: list[str] = []

    def play(self, connection: Connection, item: str) -> None:
        """Answer one request, or refuse it."""
        now = time.monotonic()
        if not self._limit.admits(now):
            self._refused += 1
            connection.send(_REFUSAL)
            return
        self._admitted += 1
        if item:
            self._items.append(item)
        asyncio.get_running_loop().call_later(self._service_s, self._reply, connection, now)

    def _reply(self, connection: Connection, admitted_at: float) -> None:
        self._limit.answered()
        self._took_s += time.monotonic() - admitted_at
        # Who has left is answered by nobody; the work was done all the same, and is paid for.
        self._answered += connection.send(self._answer)

    def state(self) -> bytes:
        """Return what was counted."""
        counted = {"admitted": self._admitted, "refused": self._refused, "answered": self._answered}
        return answers.json_answer({**counted, "took_s": self._took_s, "items": self._items})


_BODY = answers.to_json(
    {"error": {"message": "Too many requests, please try again later", "type": "rate_limit_error", "code": None}}
)
_REFUSAL = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Connection: keep-alive\r\n\r\n%b" % (len(_BODY), _BODY)
)


def _drawn(size: int) -> bytes:
    """Return the answer to an order: an image of so many bytes, or only text where that is 0."""
    if not size:
        return answers.small()
    return answers.completion(f"![image](data:image/png;base64,{base64.b64encode(_png(size)).decode()})")


def _png(size: int) -> bytes:
    """Return a whole PNG of one pixel, with a private chunk of so many bytes."""
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0),
        b"teSt": random.Random(7).randbytes(size),
        b"IDAT": zlib.compress(_PIXELS),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks.items()
    )


def _late(limit: Limit, ms: float) -> Relay:
    return Relay(limit, ms / 1000, answers.small())


_MADE: dict[str, Callable[..., Relay]] = {
    "bucket": lambda rate, size, ms, _: _late(Bucket(rate, size), ms),
    "flights": lambda most, ms, _: _late(Flights(most), ms),
    "log": lambda most, seconds, ms, _: _late(Log(most, seconds), ms),
    "orders": lambda ms, size, _: Relay(Open(), ms / 1000, _drawn(size)),
}
KINDS = frozenset(_MADE)
"""How the routes begin that this module serves."""


class Relays:
    """Every relay that was asked for, by its route."""

    def __init__(self) -> None:
        self._relays: dict[str, Relay] = {}

    def play(self, path: str) -> Callable[[Connection], object]:
        """Return what answers a path."""
        route = path.split("/")[1]
        if (relay := self._relays.get(route)) is None:
            kind, *numbers = route.split("-")
            relay = self._relays[route] = _MADE[kind](*map(int, numbers))
        if path.endswith("/state"):
            return lambda connection: connection.send(relay.state())
        found = _ITEM.search(path)
        item = found[1] if found else ""
        return lambda connection: relay.play(connection, item)
