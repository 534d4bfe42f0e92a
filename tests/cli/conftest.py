"""The command line as people and scripts meet it: most of it in this process, terminals and signals in others."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest
from PIL import Image

import tutuclient
from tutuclient import cli
from tutuclient.testing import Server, sample_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "sk-test-0123456789abcdef"
COMMANDS = (
    "analyze", "edit", "generate", "chat", "batch", "images", "speech", "transcribe", "translate", "embed",
    "models", "doctor", "serve", "demo",
)  # fmt: skip
SKY = "请将这张图片的背景替换为蓝天白云"
LONG = 60.0
"""Seconds after which a process that should have ended is given up."""


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value


@pytest.fixture(autouse=True)
def _passing_things(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write temporary files of the commands into a folder that goes with the tests."""
    folder = str(tmp_path_factory.mktemp("passing"))
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(tempfile, "tempdir", folder)


@pytest.fixture(autouse=True)
def relay(tutu_relay: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """A relay the environment names, and an empty folder to work in, with one picture."""
    monkeypatch.setenv("TUTU_API_KEY", KEY)
    monkeypatch.setenv("TUTU_BASE_URL", tutu_relay.base_url)
    monkeypatch.setenv("PYTHONPATH", str(Path(tutuclient.__file__).parents[1]))
    monkeypatch.chdir(tmp_path)
    Path("cat.png").write_bytes(sample_picture())
    return tutu_relay


@pytest.fixture
def tutu(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run a command in this process, away from any terminal."""

    def call(*arguments: str, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = cli.run(arguments)
        out, err = capfdbinary.readouterr()
        return Done(code, out.decode(), err.decode())

    return call


@contextmanager
def process(*arguments: str, code: str = "", **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a process of its own: the command, or Python code."""
    command = ["-c", textwrap.dedent(code)] if code else ["-m", "tutuclient"]
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with subprocess.Popen([sys.executable, *command, *arguments], text=True, **options) as started:  # noqa: S603  (our own code)
        try:
            yield started
        finally:
            started.kill()


def interrupted(started: subprocess.Popen[str]) -> Done:
    started.send_signal(signal.SIGINT)
    return ended(started)


def ended(started: subprocess.Popen[str]) -> Done:
    out, err = started.communicate(timeout=LONG)
    return Done(started.returncode, out, err)


def finished(*arguments: str, code: str = "", **options: Any) -> Done:
    with process(*arguments, code=code, **options) as started:
        return ended(started)


def read(started: subprocess.Popen[str], last: str) -> str:
    """Read what a process prints, as far as these words."""
    shown = ""
    assert started.stdout is not None
    while last not in shown:
        more = started.stdout.read(1)
        assert more, ended(started)
        shown += more
    return shown


def wait_until_it_sleeps(pid: int) -> None:
    """Wait until a process has nothing to do: it sleeps, and has not run between two looks."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():  # Only Linux tells.
        time.sleep(1)
        return
    until, before = time.monotonic() + LONG, [""]
    while True:
        now = re.findall(r"^(?:State|\w*voluntary_ctxt_switches):.*$", status.read_text(), re.MULTILINE)
        if now == before and "S (sleeping)" in now[0]:
            return
        assert time.monotonic() < until, now
        before = now
        time.sleep(0.1)


class Terminal:
    """A command on a terminal of its own, 100 columns wide."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (40, 100))
        environ = {**os.environ, "TERM": "xterm-256color", **environ}
        self._running = process(*arguments, stdin=slave, stdout=slave, stderr=slave, env=environ)
        self._process = self._running.__enter__()
        os.close(slave)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.__exit__(None, None, None)
        os.close(self._master)

    @property
    def plain(self) -> str:
        """What is shown, without colours and what moves the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.shown)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # How Linux says that nobody has the other end any more.
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)

    def wait_for(self, words: str) -> None:
        until = time.monotonic() + LONG
        while words not in self.plain:
            assert time.monotonic() < until, self.shown
            assert self._read(0.1), self.shown

    def wait_until_it_listens(self) -> None:
        """Wait until the prompt that is shown waits for keys.

        readline prints it a moment before: a signal in between is noticed with the next key only.
        https://github.com/python/cpython/blob/3.11/Modules/readline.c (readline_until_enter_or_signal)
        """
        wait_until_it_sleeps(self._process.pid)

    def type(self, keys: str) -> None:
        self.shown = ""
        os.write(self._master, keys.encode())

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        until = time.monotonic() + LONG
        while time.monotonic() < until and self._read(0.1):
            pass
        return self._process.wait(LONG)


def taken_from(place: str) -> bytes:
    """Read and remove a picture that was left in the folder for passing things."""
    path = Path(place.strip())
    data = path.read_bytes()
    path.unlink()
    return data


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def one_line(err: str) -> str:
    """The error line, which is the only one."""
    assert err.startswith("error: "), err
    assert err.count("\n") == 1, err
    return err
