"""The relay with the stand-in behind it: what is not scripted is answered by its endpoints."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tutuclient.standin import endpoints
from tutuclient.testing.server import Server, run_in_thread

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Generator


@contextlib.asynccontextmanager
async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    key: str | None = None,
    max_body_bytes: int = 64 * 2**20,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncGenerator[Server, None]:
    """Run the relay in the running event loop until the block ends.

    Leaving the block cuts what is open and takes well under a second.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one, which ``server.base_url`` then names.
        key: The one key that is accepted; None accepts everything.
        max_body_bytes: Longer request bodies get 413.
        ssl_context: When set, the server speaks TLS.
    """
    async with Server(host, port, key, max_body_bytes, ssl_context, endpoints.answer) as server:
        yield server


@contextlib.contextmanager
def serve_in_thread(
    host: str = "127.0.0.1",
    port: int = 0,
    key: str | None = None,
    max_body_bytes: int = 64 * 2**20,
    ssl_context: ssl.SSLContext | None = None,
) -> Generator[Server, None, None]:
    """Run the relay on an event loop and in a thread of its own; the arguments are those of ``serve``."""
    with run_in_thread(Server(host, port, key, max_body_bytes, ssl_context, endpoints.answer)) as server:
        yield server
