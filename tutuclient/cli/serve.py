"""The command serve: a stand-in relay on this computer."""

from __future__ import annotations

import asyncio
import errno
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path  # noqa: TC003  (typer reads annotations at run time)
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tutuclient.cli.arguments import Debug  # noqa: TC001  (typer reads annotations at run time)
from tutuclient.cli.output import end_interrupted_line, note, print_dim, write
from tutuclient.cli.page import TOKEN_DELAY, page_of, show_page_of
from tutuclient.cli.running import reporting_errors, run
from tutuclient.errors import ConfigError, printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from contextlib import AbstractAsyncContextManager

    from tutuclient.testing import Recorded, Server

T = TypeVar("T")


Record = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Forward requests to this relay, with the caller's key, and record a cassette."),
]
Speed = Annotated[
    float | None,
    typer.Option(metavar="N", help="With --replay: how many times as fast as recorded; 0 does not wait.  [1]"),
]


def serve(
    *,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="The port; 0 takes a free one.")] = 8017,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The only key to accept; without it every key is.")
    ] = None,
    record: Record = None,
    cassette: Annotated[Path | None, typer.Option(metavar="FILE", help="The cassette that --record adds to.")] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Answer from a cassette; what it does not hold is an error.")
    ] = None,
    speed: Speed = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print a line about every request once it is answered.")
    ] = False,
    ui: Annotated[bool, typer.Option("--ui", help="Also serve a page, to try the relay in a browser.")] = False,
    ui_port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="The page's port; 0 takes a free one.")
    ] = 8018,
    real: Annotated[
        str | None,
        typer.Option(
            "--relay",
            metavar="URL",
            help="With --ui: a relay in place of the stand-in. Its key is read from TUTU_API_KEY; no browser sees it.",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Run a stand-in relay on this computer, to try and test with.

    It implements the API without a model behind it. Ctrl-C stops it.

    With --record it forwards requests to a real relay, and records the answers.

    With --replay it gives recorded answers, without a relay and without a key.
    """
    options = record, cassette, replay, speed
    with reporting_errors(debug=debug, writes_a_batch=record is not None):
        if options != (None, None, None, None):
            if key is not None:
                raise ConfigError(
                    "--key is for the stand-in alone: with --record the relay checks keys, and --replay checks none"
                )
            if ui or real is not None:
                raise ConfigError("--ui and --relay cannot be combined with --record, --replay, --cassette or --speed")
            work = _cassette(host, port, options, verbose=verbose)
        elif real is not None:
            work = show_page_of(real, host, ui_port, alone=ui and key is None)
        else:
            work = _stand_in(host, port, key, ui_port if ui else None, verbose=verbose)
        try:
            run(work)
        except KeyboardInterrupt:
            end_interrupted_line()


async def _stand_in(host: str, port: int, key: str | None, ui_port: int | None, *, verbose: bool) -> None:
    from tutuclient.settings.credentials import is_loopback

    async with relay(host, port, key) as server, AsyncExitStack() as stack:
        if verbose:
            server.on_answered = _tell
        write(
            f"A stand-in relay, with no model in it: {server.base_url}\n"
            f"{'It takes one key, that of --key.' if key else 'It takes any key.'} Ctrl-C ends it.\n\n"
            f"    export TUTU_BASE_URL={server.base_url}\n"
            f"    export TUTU_API_KEY={'…' if key else 'any'}\n"
            '    tutuclient chat "Hello"\n'
        )
        # A relay that listens everywhere answers everyone, be it without a model.
        if not key and not is_loopback(host):
            note("other computers may reach it, and it asks for no key (--key)")
        if ui_port is not None:
            server.token_delay = TOKEN_DELAY
            await stack.enter_async_context(page_of(server, host, ui_port, key))
        await asyncio.Event().wait()


async def _cassette(
    host: str, port: int, options: tuple[str | None, Path | None, Path | None, float | None], *, verbose: bool
) -> None:
    from tutuclient.cli import cassettes

    server = cassettes.server(host, port, *options)
    async with listening(server, host, port):
        if verbose:
            server.on_answered = _tell
        await cassettes.run(server)


def _tell(seen: Recorded, status: int | None) -> None:
    """Print a line about a request that has been answered."""
    ended = "the client went away" if seen.aborted else "cut off" if status is None else str(status)
    took = f"{(time.monotonic() - seen.started_at) * 1000:.0f} ms"
    body = f"{seen.size_bytes:,} bytes" if seen.size_bytes else None
    print_dim([time.strftime("%H:%M:%S"), f"{seen.method} {seen.path}", ended, took, body])


@asynccontextmanager
async def relay(host: str, port: int, key: str | None) -> AsyncGenerator[Server]:
    """Run the stand-in, and say in one line why it cannot."""
    from tutuclient.testing import serve as start

    async with listening(start(host, port, key), host, port) as server:
        yield server


@asynccontextmanager
async def listening(starting: AbstractAsyncContextManager[T], host: str, port: int) -> AsyncGenerator[T]:
    """Run a relay, and say in one line why it cannot listen."""
    # Not ``async with starting``: an OSError of the block within would be taken for one of listening.
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(starting)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(f"port {port} is taken: choose another with --port; 0 takes a free one") from error
            raise ConfigError(f"cannot listen on {printable(host)}, port {port}: {error.strerror}") from error
        yield server
