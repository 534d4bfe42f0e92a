"""The pytest plugin: a relay on loopback, a client of it, and cassettes.

Every pytest run where tutuclient is installed loads it, so nothing heavy is imported until a test asks for a fixture.
"""

import inspect
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from contextlib import AbstractContextManager

    from tutuclient.client import TutuClient
    from tutuclient.testing import Server

_KEY = "tutu-test-key"
_NO = frozenset({"", "0", "false", "no", "off"})
_FAILED = pytest.StashKey[bool]()
_RELAY = pytest.StashKey[bool]()
_UNUSED = "tutu_cassette needs the fixture tutu_relay, or tutu_client, to answer with: ask for one of them in the test"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--tutu-record``."""
    parser.getgroup("tutuclient").addoption(
        "--tutu-record",
        action="store_true",
        help="record the cassettes of the tests that run anew, from TUTU_BASE_URL with TUTU_API_KEY (or TUTU_RECORD=1)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "tutu_cassette(file, speed=0): tutu_relay answers from this cassette, beside the test's file; --tutu-record "
        "records it",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that names a cassette and asks for no relay to answer from it: it would reach a real one, or none."""
    if not isinstance(item, pytest.Function) or not _names_cassette(item) or "tutu_relay" in item.fixturenames:
        return
    # A fixture of the test's own may yet ask for it by ``getfixturevalue``; that is seen at the test's end.
    if not inspect.signature(item.obj).parameters and item.get_closest_marker("usefixtures") is None:
        pytest.fail(_UNUSED, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> "Generator[None]":
    """Fail a test that names a cassette, passed, and had no answer from it."""
    yield
    if isinstance(item, pytest.Function) and _names_cassette(item) and _RELAY not in item.stash:
        pytest.fail(_UNUSED, pytrace=False)


def _names_cassette(item: pytest.Item) -> bool:
    # Of its own: those of a class or a module are for those of its tests that ask for a relay.
    return any(mark.name == "tutu_cassette" for mark in item.own_markers)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> "Generator[None, pytest.TestReport, pytest.TestReport]":
    """Note whether the test failed: its recording then takes no other's place."""
    del call
    report = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def _tutu_relay_thread() -> "Iterator[Server]":
    """Run one relay, in its own thread, for all tests of the session."""
    from tutuclient.testing import serve_in_thread

    with serve_in_thread() as server:
        yield server


@pytest.fixture
def tutu_relay(request: pytest.FixtureRequest) -> "Iterator[Server]":
    """Return the relay on loopback, with nothing scripted and nothing recorded.

    It runs in a thread of its own, so sync, asyncio and anyio tests can use it alike. Point what you test at
    ``tutu_relay.base_url``, script what comes back with ``tutu_relay.answers(...)``, and read what was asked in
    ``tutu_relay.requests``.

    Under ``@pytest.mark.tutu_cassette("chat.jsonl")`` it answers from that cassette, which lies beside the test's file,
    and with an error what is not in it; ``speed=1`` keeps the times of the recording. With ``--tutu-record`` or
    ``TUTU_RECORD=1`` it passes requests on to ``TUTU_BASE_URL`` instead, with ``TUTU_API_KEY`` in the place of the
    client's key, and records them; the new cassette takes the place of the old one when the test has passed.
    """
    request.node.stash[_RELAY] = True
    marker = request.node.get_closest_marker("tutu_cassette")
    if marker is not None:
        with ExitStack() as stack:
            yield stack.enter_context(_recorded(request, marker))
        return
    server: Server = request.getfixturevalue("_tutu_relay_thread")
    server.reset()
    yield server
    server.reset()


def _recorded(request: pytest.FixtureRequest, marker: pytest.Mark) -> "AbstractContextManager[Server]":
    """Return the relay of a cassette."""

    def tutu_cassette(file: str, speed: float = 0.0) -> tuple[Path, float]:
        return request.path.parent / file, speed

    from tutuclient.errors import TutuError
    from tutuclient.testing.cassettes import replay_cassette

    try:
        path, speed = tutu_cassette(*marker.args, **marker.kwargs)
    except TypeError as error:
        pytest.fail(f'write @pytest.mark.tutu_cassette("chat.jsonl", speed=0): {error}', pytrace=False)
    try:
        if _records(request.config):
            return _recording(request, path)
        if not path.exists():
            pytest.fail(f"there is no cassette {path}: pytest --tutu-record records it", pytrace=False)
        return replay_cassette(path, speed=speed)
    except TutuError as error:
        pytest.fail(str(error), pytrace=False)


def _records(config: pytest.Config) -> bool:
    return bool(config.getoption("--tutu-record")) or os.environ.get("TUTU_RECORD", "").lower() not in _NO


@contextmanager
def _recording(request: pytest.FixtureRequest, path: Path) -> "Generator[Server]":
    """Record beside the cassette, which is replaced when the test has passed."""
    from tutuclient.testing.cassettes import record_cassette

    url, key = os.environ.get("TUTU_BASE_URL"), os.environ.get("TUTU_API_KEY")
    if not url or not key:
        pytest.fail("to record, set TUTU_BASE_URL and TUTU_API_KEY to those of the relay", pytrace=False)
    new = path.with_name(f"{path.name}.new")
    new.parent.mkdir(parents=True, exist_ok=True)
    new.unlink(missing_ok=True)
    with record_cassette(url, new, key=key) as recorder:
        yield recorder
    if not request.node.stash.get(_FAILED, False):
        new.replace(path)


@pytest.fixture
def tutu_client(tutu_relay: "Server") -> "TutuClient":
    """Return a ``TutuClient`` of ``tutu_relay``, whatever the environment's keys, addresses and proxies are.

    It works on asyncio: in anyio's tests that is the fixture ``anyio_backend``, where trio is installed too. It waits
    some hundredths of a second between attempts; with a cassette that is being recorded, as long as the relay
    asks for. Its connections are closed with the event loop of the test, in asyncio's and anyio's plugin alike.
    """
    from tutuclient.client import TutuClient
    from tutuclient.settings import RetryPolicy
    from tutuclient.testing.cassettes import Recorder

    retry = None if isinstance(tutu_relay, Recorder) else RetryPolicy(wait_initial=0.01, wait_max=0.02)
    return TutuClient(_KEY, tutu_relay.base_url, retry=retry, proxy=None)
