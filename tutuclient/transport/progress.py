"""How far an attempt has come, told by those who see it: the connector and the body."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from tutuclient.errors import TutuError


class Progress:
    """One attempt's progress.

    Attributes:
        connected: There is a connection; before that nothing can have been done.
        protocol: The connection's.
        reused: The connection had been used before.
        sent: The request was sent to its end, as far as we can tell.
        stale: It took an idle connection, which died without a byte of an answer: the server had given it up.
        failure: What stopped the sending from our side, such as a file that changed.
    """

    __slots__ = ("connected", "failure", "protocol", "reused", "sent", "stale")

    def __init__(self) -> None:
        self.connected: bool = False
        self.protocol: ResponseHandler | None = None
        self.reused: bool = False
        self.sent: bool = True
        self.stale: bool = False
        self.failure: TutuError | None = None


progress_of_attempt: ContextVar[Progress | None] = ContextVar("progress_of_attempt", default=None)
