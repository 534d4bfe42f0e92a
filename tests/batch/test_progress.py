"""How a run goes, in words: on a terminal, in a pipe, in a notebook."""

from __future__ import annotations

import io
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.media.test_html import check
from tutuclient.batch.progress import Progress, clock, short
from tutuclient.batch.result import BatchSummary
from tutuclient.testing import Server, fails, says

if TYPE_CHECKING:
    from tutuclient import TutuClient

IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(64)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03"), (273_900, "3 d 04:05")],
)
def test_times_are_for_people(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0"), (950, "950"), (12_345, "12.3k"), (4_560_000, "4.56M"), (7e9, "7G")]
)
def test_numbers_are_for_people(number: float, shown: str) -> None:
    assert short(number) == shown


def test_the_words_say_what_is_done_and_what_is_left() -> None:
    summary = BatchSummary(done=30, failed=Counter(APIError=2), skipped=8, unknown=["a"], tokens=12_345, elapsed_s=16.0)
    assert Progress(range(100)).words(summary) == (
        "40 of 100 · 2 failed · 1 unknown · 12.3k tokens · 0:16 · 2/s · 0:30 left"
    )
    assert Progress(iter(())).words(summary) == "40 · 2 failed · 1 unknown · 12.3k tokens · 0:16 · 2/s"
    assert Progress([]).words(BatchSummary(refusals=3)) == "0 of 0 · 0 tokens · 0:00 · 0/s · 3 refused"


def test_a_terminal_has_one_line_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    progress = Progress([1, 2, 3])
    for done in range(4):
        progress.update(BatchSummary(done=done))
        progress.update(BatchSummary(done=done))
        now += 0.3
    progress.update(BatchSummary(done=3), last=True)
    lines = terminal.getvalue().split("\r")
    assert [line[:6] for line in lines] == ["", "0 of 3", "1 of 3", "2 of 3", "3 of 3", "3 of 3"]
    assert terminal.getvalue().count("\n") == 1


def test_a_pipe_has_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress([1])
    for _ in range(23):
        progress.update(BatchSummary())
        now += 0.5
    progress.update(BatchSummary(done=1), last=True)
    assert [line[:6] for line in capsys.readouterr().err.splitlines()] == ["0 of 1", "0 of 1", "1 of 1"]


@pytest.mark.parametrize("stderr", [None, io.StringIO()])
def test_a_terminal_that_is_gone_ends_no_run(stderr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)
    progress = Progress([1])
    if stderr is not None:
        stderr.close()
    progress.update(BatchSummary(), last=True)


async def test_map_shows_its_progress_when_asked(
    server: Server, client: TutuClient, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers(says("a"), fails(400, "no"))
    results = await client.map([IMAGE, IMAGE + b"x"], "What?", concurrency=1, progress=True).gather()
    assert len(results) == 2
    assert capsys.readouterr().err.startswith("2 of 2 · 1 failed · ")
    await client.map([IMAGE], "What?").gather()
    assert capsys.readouterr().err == ""


async def test_a_summary_is_shown_as_text(server: Server, client: TutuClient) -> None:
    server.answers(fails(400, "<script>alert(1)</script>"))
    run = client.map([IMAGE], "What?")
    await run.gather()
    page = check(run._repr_html_())
    assert page.text == str(run.summary())
    assert "<script>" in page.text
