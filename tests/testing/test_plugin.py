import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest

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


def test_gives_tests_a_relay_of_their_own(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    )
    pytester.makepyfile(TESTS)
    installed = entry_points(group="pytest11", name="tutuclient")
    plugin = [] if installed else ["-p", "tutuclient.testing.plugin"]
    result = pytester.runpytest_subprocess(*plugin, "-p", "no:asyncio", "-W", "error")
    result.assert_outcomes(passed=3)
