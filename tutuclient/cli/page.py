"""The page of ``serve --ui`` and ``demo --ui``: started beside a relay, and its address printed."""

from __future__ import annotations

import asyncio
import errno
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from tutuclient.cli.output import note, write
from tutuclient.errors import ConfigError, printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tutuclient.client import TutuClient
    from tutuclient.testing import Server
    from tutuclient.ui import Page

TOKEN_DELAY = 0.03
"""Seconds between the stand-in's tokens, which could not be watched otherwise."""


@asynccontextmanager
async def page(client: TutuClient, host: str, port: int, *, stand_in: bool) -> AsyncGenerator[Page, None]:
    """Run the page and print its address; say in one line why it cannot run."""
    from tutuclient.settings.credentials import is_loopback
    from tutuclient.ui import serve_page

    # As for the relay: an OSError of the block within would be taken for one of listening.
    async with AsyncExitStack() as stack:
        try:
            running = await stack.enter_async_context(serve_page(client, host, port, stand_in=stand_in, sample=_sample))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(f"port {port} is taken: choose another with --ui-port; 0 takes a free one") from error
            raise ConfigError(f"cannot listen on {printable(host)}, port {port}: {error.strerror}") from error
        write(f"\nA page to try it with, for whoever has this address:\n\n    {running.address}\n")
        if not is_loopback(host):
            note(
                "other computers may reach the page, and who has its address makes calls with the key; use it where"
                " you trust the network: it is not encrypted"
            )
        yield running


def _sample() -> bytes:
    """Draw the image of the demo.

    Raises:
        ImportError: Pillow is missing.
    """
    from tutuclient.testing import sample_picture

    return sample_picture()


@asynccontextmanager
async def page_of(server: Server, host: str, port: int, key: str | None) -> AsyncGenerator[Page, None]:
    """Run the page of a stand-in that runs here."""
    from tutuclient.client import TutuClient

    # The stand-in's own answers come within this computer, wherever it listens.
    async with TutuClient(key or "any", server.base_url) as client, page(client, host, port, stand_in=True) as running:
        yield running


async def show_page_of(url: str, host: str, port: int, *, alone: bool) -> None:
    """Run the page of a real relay until it is interrupted.

    Args:
        url: The relay's address.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        alone: Whether ``--relay`` stands with ``--ui`` and without what is the stand-in's.
    """
    from tutuclient.client import TutuClient

    if not alone:
        raise ConfigError(
            "--relay is for the page, so it wants --ui, and no --key: the relay's key is read from TUTU_API_KEY"
        )
    async with TutuClient(base_url=url) as client, page(client, host, port, stand_in=False):
        write(f"\nIts calls go to {client.base_url} and are billed as any others. Ctrl-C ends it.\n")
        await asyncio.Event().wait()
