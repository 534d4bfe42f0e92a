"""How a run goes, in words and on terminals."""

from __future__ import annotations

import time

import pytest

from tutuclient.cli.batch.progress import Progress, State


def test_what_is_left_is_never_less_than_nothing() -> None:
    state = State(10, before=3, answered=4, failed=1)
    assert (state.done, state.left) == (8, 2)
    assert State(10, answered=12).left == 0


def test_a_line_says_it_all(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutuclient.cli.batch.progress.EVERY_S", 0.0)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    state = State(1200, before=100, unknown=1, tokens=412_000, refusals=4, in_flight=3, window=31, rate=10.0, gate=12.2)
    progress = Progress(state, quiet=False)
    now += 10
    state.answered, state.failed = 97, 3
    progress.update()
    assert capsys.readouterr().err == (
        "200 of 1,200 · 97 answered · 3 failed · 1 unknown · 1,000 left · 10/s (max 10) · "
        "window 3/31 · 4 refused · 412k tokens · the relay is closed for 12 s · 100 done before · ETA 1:40\n"
    )


def test_lines_come_every_few_seconds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress(State(10), quiet=False)
    for _ in range(40):
        now += 0.25
        progress.update()
    assert capsys.readouterr().err.count("\n") == 2


def test_the_rate_is_that_of_the_last_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    state = State(10_000)
    progress = Progress(state, quiet=True)
    for second in range(100):
        now += 1
        state.answered += 1 if second < 50 else 20
        progress.update()
    assert progress.per_second == pytest.approx(20)


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tutuclient.cli.batch.progress.EVERY_S", 0.0)
    with Progress(State(10), quiet=True) as progress:
        progress.start()
        progress.update()
        progress.say("stopping")
    assert capsys.readouterr() == ("", "")
