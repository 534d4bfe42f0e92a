"""serve --record and serve --replay: a relay that is recorded, and one that answers from what was."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tutuclient.cli.output import write
from tutuclient.errors import ConfigError, printable
from tutuclient.testing.cassettes import Player, Recorder

if TYPE_CHECKING:
    from pathlib import Path


def server(
    host: str, port: int, record: str | None, cassette: Path | None, replay: Path | None, speed: float | None
) -> Recorder | Player:
    """Return the relay that the options ask for.

    Raises:
        ConfigError: They do not go together, or the cassette cannot be read or written.
    """
    if replay is not None:
        if record is not None or cassette is not None:
            raise ConfigError("--replay FILE is one thing, --record URL --cassette FILE another: choose one")
        return Player(replay, speed=1.0 if speed is None else speed, host=host, port=port)
    if speed is not None:
        raise ConfigError("--speed is for --replay FILE")
    if record is None or cassette is None:
        raise ConfigError("recording takes both: --record URL --cassette FILE")
    return Recorder(record, cassette, host=host, port=port)


async def run(running: Recorder | Player) -> None:
    """Print what to do with a relay that runs, and wait until it is interrupted or the disk takes no more.

    Raises:
        OSError: The disk was full while recording; what was being answered was answered to its end.
    """
    shown = printable(str(running.path))
    if isinstance(running, Recorder):
        write(f"{running.base_url} passes on to {running.relay}, with the caller's key, and is recorded in {shown}.\n")
        write("Ctrl-C ends it; every answer is in the file when it has come.\n")
    else:
        write(f"{running.base_url} answers from {shown}, which was recorded of {running.relay}.\n")
        write("It takes any key, and asks no relay. Ctrl-C ends it.\n")
    write(f"\n    export TUTU_BASE_URL={running.base_url}\n")
    if isinstance(running, Recorder):
        await _until_the_disk_is_full(running)
    await asyncio.Event().wait()


async def _until_the_disk_is_full(recorder: Recorder) -> None:
    """Wait until a line could not be written, and what was being answered has come to its end."""
    while recorder.tape.failure is None or recorder.in_flight:
        with contextlib.suppress(TimeoutError):
            await recorder.until(lambda: recorder.tape.failure is not None and not recorder.in_flight, timeout=3600)
    raise recorder.tape.failure
