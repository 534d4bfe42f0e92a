"""The pytest plugin: a relay of one's own as the fixture ``tutu_relay``.

It is loaded by every pytest run where tutuclient is installed, so it is glad not to import anything heavy until a
test asks for the fixture.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient.testing.server import Server


@pytest.fixture(scope="session")
def _tutu_relay_thread() -> "Iterator[Server]":
    """Run one relay, in its own thread, for all tests of the session."""
    from tutuclient.testing.server import serve_in_thread

    with serve_in_thread() as server:
        yield server


@pytest.fixture
def tutu_relay(_tutu_relay_thread: "Server") -> "Iterator[Server]":
    """Give the relay on loopback, with nothing scripted and nothing recorded.

    It runs in a thread of its own, so sync, asyncio and anyio tests can use it alike. Give ``tutu_relay.base_url`` to
    what you test, ``tutu_relay.answers(...)`` says what comes back, ``tutu_relay.requests`` what was asked.
    """
    _tutu_relay_thread.reset()
    yield _tutu_relay_thread
    _tutu_relay_thread.reset()
