"""What many tests need: a relay on loopback, a client of it, and a mocked aiohttp for what is about our calls only."""

from __future__ import annotations

import logging
import os
import signal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tutuclient import RetryPolicy, TutuClient
from tutuclient.testing import Server, patched_aioresponses, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aioresponses import aioresponses

KEY = "sk-test-0123456789abcdef"
MOCKED_URL = "https://relay.example/v1"
# Pauses between attempts, in seconds: long enough to be a pause, short enough not to be noticed. A relay that refused
# three times in a row is asked again after a second only, which is more than these calls have.
QUICK = RetryPolicy(wait_initial=0.01, wait_max=0.02, refused_max=0.5)

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that: the commands that tests
# interrupt would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TUTU_API_KEY", "TUTU_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "TUTU_LOG", "OPENAI_LOG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("REQUEST_METHOD", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def _log_of_the_program() -> tuple[int, int, list[logging.Handler]]:
    root, own = logging.getLogger(), logging.getLogger("tutuclient")
    handlers = [each for each in root.handlers + own.handlers if not type(each).__module__.startswith("_pytest")]
    return root.level, own.level, handlers


@pytest.fixture(autouse=True)
def _the_log_stays_as_it_was() -> Iterator[None]:
    # Web frameworks configure the log of the whole program, and later tests would see lines that nobody asked for.
    before = _log_of_the_program()
    yield
    assert _log_of_the_program() == before


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serve() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A bare aiohttp client, for tests of the relay itself."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def client(server: Server) -> AsyncIterator[TutuClient]:
    async with TutuClient(KEY, server.base_url, retry=QUICK) as client:
        yield client


class Mocked:
    """aioresponses for one address, and what was sent to it."""

    def __init__(self, mock: aioresponses) -> None:
        self._mock = mock

    def answers(self, path: str = "/chat/completions", *, method: str = "POST", **answer: Any) -> None:
        """Queue an answer: ``status=``, ``payload=``, ``body=``, ``headers=`` or ``exception=``."""
        self._mock.add(f"{MOCKED_URL}{path}", method=method, **answer)

    @property
    def sent(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Method, address and aiohttp's keywords of every request, in order."""
        return [
            (method, str(url), call.kwargs) for (method, url), calls in self._mock.requests.items() for call in calls
        ]


@pytest.fixture
def mocked() -> Iterator[Mocked]:
    with patched_aioresponses() as mock:
        yield Mocked(mock)


@pytest.fixture
async def mocked_client() -> AsyncIterator[TutuClient]:
    async with TutuClient(KEY, MOCKED_URL, retry=QUICK) as client:
        yield client
