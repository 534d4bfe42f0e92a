"""Runs the measurements: a server on one core, fresh workers on another, round by round, contenders in turn.

Contenders take turns within a round and every other round goes backwards, so that a machine that slows down meanwhile
slows all of them down.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.contenders.runs import EVERY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.workload import Scale, Workload

ROOT = Path(__file__).parent.parent


@dataclass
class Measured:
    """What a contender's rounds of a workload gave.

    Attributes:
        amount: How many it did a round.
        values: By figure, a value a round.
        note: Why there are none, or "".
    """

    amount: int = 0
    values: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""

    def median(self, figure: str) -> float | None:
        """Return the median of a figure, or None where it was not measured."""
        values = self.values.get(figure)
        return median(values) if values else None


def cores() -> tuple[int, int]:
    """Choose the server's core and the worker's; -1 twice where there is no choice."""
    if not hasattr(os, "sched_getaffinity"):
        return -1, -1
    usable = sorted(os.sched_getaffinity(0))
    return (usable[-1], usable[0]) if len(usable) > 1 else (-1, -1)


def environment() -> dict[str, str]:
    """Return this process's environment, with this repository importable and without proxies."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}


@dataclass(frozen=True)
class Server:
    """The server that runs.

    Attributes:
        origin: Its address without a path.
        trust: What a worker's environment must hold so that its contender's own defaults trust the server.
    """

    origin: str
    trust: Mapping[str, str]


@contextlib.contextmanager
def serving(*, tls: bool = False) -> Iterator[Server]:
    """Run the server in a process of its own.

    Args:
        tls: Over TLS, with a certificate made for this run.
    """
    command = [sys.executable, "-m", "benchmarks.server", str(cores()[0]), *(["tls"] if tls else [])]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment()) as process,  # noqa: S603  (ours)
    ):
        assert process.stdout is not None  # noqa: S101  (says so to the type checker)
        try:
            told = json.loads(process.stdout.readline())
            file = Path(folder, "certificate.pem")
            file.write_text(told["certificate"], encoding="ascii")
            # OpenSSL itself reads it, so whatever asks for the system's authorities trusts this one and no other.
            trust = {"SSL_CERT_FILE": str(file)} if tls else {}
            yield Server(f"{'https' if tls else 'http'}://127.0.0.1:{told['port']}", trust)
        finally:
            process.kill()


class Workers:
    """Starts workers, each contender's with the Python it is installed for.

    Args:
        pythons: The interpreter of a contender, where it is not this one.
    """

    def __init__(self, pythons: Mapping[str, str]) -> None:
        self._pythons = pythons

    def ask(self, contender: str, server: Server | None = None, longest_s: float = 600, **asked: Any) -> dict[str, Any]:
        """Run a fresh worker and return its answer; a worker that fails answers with a note."""
        if server is not None:
            asked["origin"] = server.origin
        python = self._pythons.get(contender, sys.executable)
        command = [python, "-m", "benchmarks.worker", json.dumps({"contender": contender, **asked})]
        around = {**environment(), **(server.trust if server is not None else {})}
        try:
            done = subprocess.run(  # noqa: S603  (ours)
                command, capture_output=True, text=True, env=around, timeout=longest_s, check=False
            )
        except subprocess.TimeoutExpired:
            return {"absent": f"no figures after {longest_s:.0f} s"}
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return {"absent": f"failed: {lines[-1][:200]}", "trace": "\n".join(lines[-12:])}
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    def versions(self, names: Sequence[str]) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
        """Find out who can be measured.

        Returns:
            The versions of those who can, and what those who cannot are missing.
        """
        found: dict[str, dict[str, str]] = {}
        missing: dict[str, str] = {}
        for name in names:
            answer = self.ask(name)
            if "versions" in answer:
                found[name] = answer["versions"]
            else:
                missing[name] = answer.get("missing") or answer.get("absent", "?")
        return found, missing


def run(
    workload: Workload,
    names: Sequence[str],
    workers: Workers,
    scale: Scale,
    rounds: int,
    say: Callable[[str], object],
    *,
    tls: bool = False,
) -> dict[str, Measured]:
    """Measure a workload.

    Args:
        workload: What to do.
        names: Who is there to do it.
        workers: Starts the workers.
        scale: How much.
        rounds: How often each.
        say: Is told what goes on.
        tls: Against a server that speaks TLS.
    """
    taking = [name for name in names if workload.takes(EVERY[name])]
    results = {name: Measured() for name in taking}
    core = cores()[1]
    for number in range(1 if workload.once else rounds):
        with serving(tls=tls) as server:
            for name in taking if number % 2 == 0 else reversed(taking):
                result = results[name]
                if result.note:
                    continue
                say(f"{workload.name}, round {number + 1}: {name}")
                asked = {"workload": workload.name, "scale": scale, "core": core}
                answer = workers.ask(name, server, workload.longest_s, **asked)
                result.note = answer.get("absent", "")
                result.amount = answer.get("amount", result.amount)
                for figure, value in answer.get("figures", {}).items():
                    result.values.setdefault(figure, []).append(value)
                if trace := answer.get("trace"):
                    say(trace)
    return results
