from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tutuclient.testing import says

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing import Server

pytest_plugins = ["pytester"]

TESTS = """
import asyncio
import json
import urllib.request

import pytest
from tutuclient.testing import says

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()


def ask(relay):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(relay.base_url + "/chat/completions", BODY, headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]


def test_is_for_plain_tests(tutu_relay):
    tutu_relay.answers(says("scripted"), says("left over"))
    assert ask(tutu_relay) == "scripted"
    assert len(tutu_relay.requests) == 1


def test_starts_each_test_afresh(tutu_relay):
    assert tutu_relay.requests == []
    assert "stand-in" in ask(tutu_relay)


def test_is_for_async_tests(tutu_relay):
    async def main():
        await asyncio.to_thread(ask, tutu_relay)
        await tutu_relay.wait_requests(1)

    asyncio.run(main())
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Run tests in a pytest of their own, with the plugin in it; a warning is an error there."""
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    )
    installed = entry_points(group="pytest11", name="tutuclient")
    plugin = [] if installed else ["-p", "tutuclient.testing.plugin"]

    def run(*options: str) -> pytest.RunResult:
        # pytest-asyncio warns as long as this is not chosen.
        scope = [] if "no:asyncio" in options else ["-o", "asyncio_default_fixture_loop_scope=function"]
        return pytester.runpytest_subprocess(*plugin, *scope, "-W", "error", "--strict-markers", *options)

    return run


def test_gives_tests_a_relay_of_their_own(pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]) -> None:
    pytester.makepyfile(TESTS)
    run("-p", "no:asyncio").assert_outcomes(passed=3)


CLIENT = """
import asyncio
import os

import pytest
from tutuclient import user
from tutuclient.testing import rate_limited, says

ASK = {"model": "m", "messages": [user("hi")]}


async def ask(client, relay):
    relay.answers(rate_limited(), says("hello"))
    answer = await client.chat.completions.create(**ASK)
    async with client.chat.completions.stream(**ASK) as stream:
        await stream.completion()
    return answer.text


def test_without_a_loop_of_its_own(tutu_client, tutu_relay):
    # Both runs in one test: a client serves several loops in a row.
    assert asyncio.run(ask(tutu_client, tutu_relay)) == "hello"
    assert asyncio.run(ask(tutu_client, tutu_relay)) == "hello"
    assert tutu_relay.requests[0].headers["Authorization"] == "Bearer tutu-test-key"


@MARK
async def test_in_a_loop(tutu_client, tutu_relay):
    assert await ask(tutu_client, tutu_relay) == "hello"


def test_leaves_the_environment_as_it_is(tutu_client):
    assert os.environ["OPENAI_API_KEY"] == "sk-mine"
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mark", "options"),
    [
        ("pytest.mark.asyncio", ("-o", "asyncio_mode=strict")),
        ("pytest.mark.filterwarnings('default')", ("-o", "asyncio_mode=auto")),
        ("pytest.mark.anyio", ("-p", "no:asyncio", "-k", "not trio")),
    ],
    ids=["asyncio-strict", "asyncio-auto", "anyio"],
)
def test_a_client_works_in_tests_of_each_kind(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[..., pytest.RunResult],
    mark: str,
    options: tuple[str, ...],
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    monkeypatch.setenv("TUTU_BASE_URL", "not an address")
    pytester.makepyfile(CLIENT.replace("@MARK", f"@{mark}"))
    outcomes = run(*options).parseoutcomes()
    assert outcomes.get("passed") == 3
    assert not outcomes.keys() & {"failed", "errors", "warnings", "skipped"}


CASSETTE = """
import asyncio

import pytest
from tutuclient import user


async def ask(client, text):
    return (await client.chat.completions.create(model="m", messages=[user(text)])).text


@pytest.mark.tutu_cassette("cassettes/chat.jsonl")
def test_chat(tutu_client, tutu_relay):
    assert "hi" in asyncio.run(ask(tutu_client, "hi"))
    assert len(tutu_relay.requests) == 1


def test_another():
    pass
"""


@pytest.mark.slow
def test_a_cassette_is_recorded_once_and_replayed(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[..., pytest.RunResult],
    tutu_relay: Server,
) -> None:
    pytester.makepyfile(CASSETTE)
    cassette = pytester.path / "cassettes" / "chat.jsonl"
    monkeypatch.setenv("TUTU_BASE_URL", tutu_relay.base_url)
    monkeypatch.setenv("TUTU_API_KEY", "sk-real-0123456789abcdef")
    run("--tutu-record").assert_outcomes(passed=2)
    assert tutu_relay.requests[0].headers["Authorization"] == "Bearer sk-real-0123456789abcdef"
    first = cassette.read_text(encoding="utf-8")
    assert "sk-real" not in first

    # A recording that fails keeps the old one, which asks nobody when it is replayed.
    tutu_relay.answers(says("no"))
    monkeypatch.setenv("TUTU_RECORD", "1")
    run().assert_outcomes(passed=1, failed=1)
    assert cassette.read_text(encoding="utf-8") == first
    assert '"no"' in (cassette.parent / "chat.jsonl.new").read_text(encoding="utf-8")
    asked = len(tutu_relay.requests)
    monkeypatch.setenv("TUTU_RECORD", "0")
    run().assert_outcomes(passed=2)
    assert len(tutu_relay.requests) == asked


@pytest.mark.slow
def test_a_cassette_that_cannot_be_had_is_an_error(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]
) -> None:
    pytester.makepyfile(CASSETTE.replace("cassettes/chat", "chat") + CASSETTE.replace("test_chat", "test_missing"))
    (pytester.path / "chat.jsonl").write_text("hello\n", encoding="utf-8")
    without = run()
    without.assert_outcomes(passed=1, errors=2)
    without.stdout.fnmatch_lines_random(
        ["*there is no cassette *chat.jsonl: pytest --tutu-record records it*", "*chat.jsonl is no cassette*"]
    )
    unset = run("--tutu-record")
    unset.stdout.fnmatch_lines(["*to record, set TUTU_BASE_URL and TUTU_API_KEY to those of the relay*"])


def test_the_plugin_imports_nothing_heavy(pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing():
            heavy = {"aiohttp", "msgspec", "PIL", "anyio.from_thread", "tutuclient.client", "tutuclient.testing.server"}
            assert not heavy & set(sys.modules)
        """
    )
    # anyio's own plugin, and that of others, may import what they like.
    run("-p", "no:anyio", "-p", "no:asyncio", "-p", "no:hypothesispytest").assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_marker_that_is_written_wrongly_is_told_in_a_line(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]
) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.parametrize("number", [1])
        @pytest.mark.tutu_cassette()
        def test_no_file(tutu_relay, number):
            pass

        @pytest.mark.tutu_cassette("chat.jsonl", pace=3)
        def test_no_such_keyword(tutu_client):
            pass

        @pytest.mark.tutu_cassette(None)
        def test_no_path(tutu_relay):
            pass
    """)
    done = run()
    done.assert_outcomes(errors=3)
    done.stdout.fnmatch_lines(
        ["write @pytest.mark.tutu_cassette(\"chat.jsonl\", speed=0): *missing 1 required positional argument: 'file'"]
    )
    done.stdout.fnmatch_lines(["write @pytest.mark.*unexpected keyword argument 'pace'"])
    assert "Traceback" not in done.stdout.str()
    assert "plugin.py" not in done.stdout.str()


def test_a_cassette_without_a_relay_that_answers_from_it_is_an_error(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]
) -> None:
    pytester.makepyfile("""
        from pathlib import Path

        import pytest

        @pytest.fixture
        def own(request):
            return request.getfixturevalue("tutu_relay")

        @pytest.mark.tutu_cassette("chat.jsonl")
        @pytest.mark.usefixtures("own")
        def test_of_its_own_fixture():
            pass

        @pytest.mark.tutu_cassette("chat.jsonl")
        def test_no_relay():
            Path("reached").touch()

        @pytest.mark.tutu_cassette("chat.jsonl")
        def test_never_asked(request):
            pass

        @pytest.mark.tutu_cassette("chat.jsonl")
        def test_skipped(request):
            pytest.skip("for another reason")

        @pytest.mark.tutu_cassette("chat.jsonl")
        def test_asked_while_it_runs(request):
            assert request.getfixturevalue("tutu_relay").base_url

        @pytest.mark.tutu_cassette("chat.jsonl")
        class TestOfAClass:
            def test_of_something_else(self):
                pass
    """)
    (pytester.path / "chat.jsonl").write_text(
        '{"tutu_cassette":1,"relay":"https://relay.example","base":"/v1"}\n', encoding="utf-8"
    )
    done = run()
    done.assert_outcomes(passed=3, errors=1, failed=1, skipped=1)
    done.stdout.fnmatch_lines(["tutu_cassette needs the fixture tutu_relay, or tutu_client*"])
    assert not (pytester.path / "reached").exists()
    assert "plugin.py" not in done.stdout.str()
