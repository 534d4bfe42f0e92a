"""A run at work, in processes of its own: Ctrl-C once and twice, on terminals and off them, kills, and a full disk."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import LONG, SKY, Done, Terminal, ended, finished, process
from tutuclient.batch import folder
from tutuclient.testing import Server, draws, sample_picture, says

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

# Processes, each of which starts an interpreter and waits for answers.
pytestmark = pytest.mark.slow
CHAT = "/v1/chat/completions"
ASK = ("batch", "run", "photos", "what?", "-o", "run", "--concurrency", "2")


@pytest.fixture(autouse=True)
def photos() -> None:
    Path("photos").mkdir()
    for number in range(6):
        Path(f"photos/{number}.png").write_bytes(sample_picture())


def asked(relay: Server) -> int:
    return sum(request.path == CHAT for request in relay.requests)


def wait_for(condition: Callable[[], bool], started: subprocess.Popen[str] | None = None) -> None:
    until = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < until
        assert started is None or started.poll() is None, ended(started)
        time.sleep(0.02)


def test_ctrl_c_settles_what_is_in_flight_and_says_how_to_go_on(relay: Server) -> None:
    relay.answers(*[says("late", delay=1.0)] * 6, path=CHAT)
    with process(*ASK) as started:
        wait_for(lambda: asked(relay) == 2, started)
        started.send_signal(signal.SIGINT)
        done = ended(started)
    assert done.code == 130
    assert "stopping: what is in flight is finished first; Ctrl-C again stops at once\n" in done.err
    assert done.out.startswith("2 answered, 0 failed; ")
    assert "to go on: the same command again; what is answered is not asked again" in done.out
    assert asked(relay) == 2
    relay.reset()
    assert finished(*ASK).code == 0
    assert asked(relay) == 4


def test_a_second_ctrl_c_stops_at_once(relay: Server) -> None:
    relay.answers(*[says("never", delay=600)] * 2, path=CHAT)
    with process(*ASK) as started:
        wait_for(lambda: asked(relay) == 2, started)
        started.send_signal(signal.SIGINT)
        assert started.stderr is not None
        while "stopping:" not in (line := started.stderr.readline()):
            assert line
        started.send_signal(signal.SIGINT)
        done = ended(started)
    assert done.code == 130
    assert "stopping at once: what is in flight may be done and billed all the same\n" in done.err
    assert "Traceback" not in done.err
    assert done.out.startswith("0 answered, 0 failed; ")


def test_orders_that_are_cut_off_are_listed_and_not_made_again(relay: Server) -> None:
    relay.answers(*[draws(sample_picture(), delay=600)] * 2, path=CHAT)
    order = ("batch", "run", "photos", SKY, "-o", "run", "--edit", "--concurrency", "2")
    with process(*order) as started:
        wait_for(lambda: asked(relay) == 2, started)
        started.send_signal(signal.SIGINT)
        assert started.stderr is not None
        while "stopping:" not in (line := started.stderr.readline()):
            assert line
        started.send_signal(signal.SIGINT)
        done = ended(started)
    assert done.code == 130
    assert "2 of unknown outcome, maybe done and billed: " in done.out
    assert "tutuclient batch retry run --resend-unknown" in done.out
    relay.reset()
    done = finished(*order)
    assert (done.code, asked(relay)) == (9, 4)
    assert "2 of unknown outcome" in done.out


def test_a_container_that_is_stopped_settles_too(relay: Server) -> None:
    relay.answers(*[says("late", delay=1.0)] * 6, path=CHAT)
    with process(*ASK, "--quiet") as started:
        wait_for(lambda: asked(relay) == 2, started)
        started.send_signal(signal.SIGTERM)
        done = ended(started)
    assert (done.code, done.err) == (130, "")
    assert done.out.startswith("2 answered, ")


def test_after_a_kill_the_same_command_goes_on(relay: Server) -> None:
    relay.answers(*[says("quick")] * 3, *[says("never", delay=600)] * 2, path=CHAT)
    with process(*ASK) as started:
        wait_for(lambda: asked(relay) == 5, started)
        wait_for(lambda: folder.status(Path("run")).answered == 3)
        started.kill()
    relay.reset()
    assert finished(*ASK).code == 0
    assert asked(relay) == 3


def test_two_at_once_are_refused(relay: Server) -> None:
    relay.answers(*[says("never", delay=600)] * 2, path=CHAT)
    with process(*ASK) as started:
        wait_for(lambda: asked(relay) == 2, started)
        done = finished(*ASK, "-q")
    assert done.code == 2
    assert "the run run is in use by another process" in done.err


def test_a_full_disk_has_its_exit_code_and_loses_nothing(relay: Server) -> None:
    code = """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, resource.RLIM_INFINITY))
        from tutuclient.__main__ import main
        main()
    """
    relay.answers(*[says("word " * 200)] * 6, path=CHAT)
    done = finished(*ASK, "-q", code=code)
    assert done.code == 74
    assert "make room on the disk, and run the same again; what it holds is safe" in done.err
    assert "to go on: the same command again" in done.out
    kept = folder.status(Path("run")).answered
    assert 0 < kept < 6
    relay.reset()
    assert finished(*ASK).code == 0
    assert asked(relay) == 6 - kept


def test_a_line_every_few_seconds_where_there_is_no_terminal(relay: Server) -> None:
    code = """
        from tutuclient.cli.batch import progress
        progress.EVERY_S = 0.5
        from tutuclient.__main__ import main
        main()
    """
    relay.answers(*[says("late", delay=0.7)] * 6, path=CHAT)
    done = finished(*ASK, code=code)
    assert done.code == 0
    lines = [line for line in done.err.splitlines() if " of 6 · " in line]
    assert len(lines) >= 2
    for words in ("answered", "failed", "unknown", "left", "/s", "window ", "refused", "tokens", "ETA"):
        assert words in lines[-1]


def ctrl_c(terminal: Terminal, seen: str) -> None:
    terminal.interrupt()
    terminal.wait_for(seen)


def test_a_terminal_shows_how_it_goes_and_ctrl_c(relay: Server) -> None:
    relay.answers(*[says("quick")] * 2, *[says("late", delay=3.0)] * 4, path=CHAT)
    with Terminal(*ASK) as terminal:
        terminal.wait_for("2 of 6")
        terminal.wait_for("2 answered · 0 failed · 0 unknown · 4 left · ")
        terminal.wait_for("window 2/2 · 0 refused · ")
        ctrl_c(terminal, "stopping: what is in flight is finished first")
        assert terminal.end() == 130
    last = terminal.plain.rpartition("\r")[0].rpartition("4 answered, 0 failed")[2]
    assert "to go on: the same command again" in last
    assert "━" not in last


def test_a_terminal_is_left_whole_by_two_ctrl_cs(relay: Server) -> None:
    relay.answers(*[says("never", delay=600)] * 2, path=CHAT)
    with Terminal(*ASK) as terminal:
        terminal.wait_for("window 2/2")
        ctrl_c(terminal, "stopping: what is in flight is finished first")
        ctrl_c(terminal, "stopping at once")
        assert terminal.end() == 130
    assert terminal.shown.count("\x1b[?25l") == terminal.shown.count("\x1b[?25h")
    assert "Traceback" not in terminal.shown


def summed(done: Done) -> Any:
    return done.json["answered"], done.json["stopped"]


def test_programs_are_told_that_it_was_stopped(relay: Server) -> None:
    relay.answers(*[says("late", delay=1.0)] * 6, path=CHAT)
    with process(*ASK, "-q", "--json") as started:
        wait_for(lambda: asked(relay) == 2, started)
        started.send_signal(signal.SIGINT)
        assert summed(ended(started)) == (2, "interrupted")
