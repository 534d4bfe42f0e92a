"""How far an attempt has come, told by those who see it: the connector and the body."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from tutuclient.errors import TutuError


class Closable(Protocol):
    """What is closed by a coroutine."""

    async def aclose(self) -> None:
        """Close it."""


class Progress:
    """One attempt's progress.

    Attributes:
        connected: There is a connection; before that nothing can have been done.
        protocol: The connection's.
        reused: The connection had been used before.
        sent: The request was sent to its end, as far as we can tell.
        stale: It took an idle connection, which died without a byte of an answer: the server had given it up.
        body: What is being sent in pieces, to be closed.
        failure: What stopped the sending from our side, such as a file that changed.
    """

    __slots__ = ("body", "connected", "failure", "protocol", "reused", "sent", "stale")

    def __init__(self) -> None:
        self.connected: bool = False
        self.protocol: ResponseHandler | None = None
        self.reused: bool = False
        self.sent: bool = True
        self.stale: bool = False
        self.body: Closable | None = None
        self.failure: TutuError | None = None


progress_of_attempt: ContextVar[Progress | None] = ContextVar("progress_of_attempt", default=None)
