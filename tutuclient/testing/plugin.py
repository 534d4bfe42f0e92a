"""The pytest plugin: a relay on loopback as the fixture ``tutu_relay``.

Every pytest run where tutuclient is installed loads it, so nothing heavy is imported until a test asks for the fixture.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient.testing import Server


@pytest.fixture(scope="session")
def _tutu_relay_thread() -> "Iterator[Server]":
    """Run one relay, in its own thread, for all tests of the session."""
    from tutuclient.testing import serve_in_thread

    with serve_in_thread() as server:
        yield server


@pytest.fixture
def tutu_relay(_tutu_relay_thread: "Server") -> "Iterator[Server]":
    """Return the relay on loopback, with nothing scripted and nothing recorded.

    It runs in a thread of its own, so sync, asyncio and anyio tests can use it alike. Point what you test at
    ``tutu_relay.base_url``, script what comes back with ``tutu_relay.answers(...)``, and read what was asked in
    ``tutu_relay.requests``.
    """
    _tutu_relay_thread.reset()
    yield _tutu_relay_thread
    _tutu_relay_thread.reset()
