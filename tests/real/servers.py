"""Servers that others wrote, each in an environment of its own and on a free port of loopback."""

from __future__ import annotations

import http.client
import os
import random
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

_PEERS = Path(__file__).parents[2] / ".peers"


def program(peer: str, name: str) -> str:
    """Find a program of a peer's environment; the test that asked fails when it is not installed."""
    path = _PEERS / peer / "bin" / name
    assert path.exists(), f"{peer} is not installed: run tests/real/install {peer}"
    return str(path)


@contextmanager
def running(
    command: Sequence[str], health: str, log: Path, env: Mapping[str, str] | None = None
) -> Generator[str, None, None]:
    """Run a server until the block ends, and give its origin once it says that it is well.

    Args:
        command: The program and its arguments; ``{port}`` in them becomes a free port.
        health: The path that answers 200 as soon as the server is ready.
        log: Where its output goes; told when it ends before it is ready.
        env: Variables over those of this process.
    """
    port = free_port()
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603  (the tests' own commands)
            [each.format(port=port) for each in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(env or {}),
        ) as server,
    ):
        try:
            while not _well(port, health):
                time.sleep(0.1)
                assert server.poll() is None, log.read_text(errors="replace")[-4000:]
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(5)
            server.kill()


def free_port() -> int:
    """Find a port below those that the system hands out: a server takes seconds to start, and others take ports too."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _well(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
