"""The command: ``python -m benchmarks [growth | faults | fanout | relays | scale]``; ``--help`` tells the options."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import faults, growth, relays, rounds, scale, table
from benchmarks.contenders import CONTENDERS
from benchmarks.fanout import suite as fanout
from benchmarks.suite import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.workload import Workload


class Told:
    """What is printed, line by line, and kept for the file."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, *lines: str) -> None:
        """Print lines."""
        for line in lines:
            self.lines.append(line)
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def keep(self, path: Path | None, values: object) -> None:
        """Write a file: the values when it is a ``.json``, else what was printed."""
        if path is not None:
            text = json.dumps(values, indent=1) if path.suffix == ".json" else "\n".join(self.lines)
            path.write_text(f"{text}\n", encoding="utf-8")

    def mention(self, line: str) -> None:
        """Print progress to standard error, apart from the tables."""
        sys.stderr.write(f"{line}\n")


def _machine(versions: Mapping[str, Mapping[str, str]], missing: Mapping[str, str]) -> Iterable[str]:
    server, worker = rounds.cores()
    pinned = "not pinned" if server < 0 else f"server on core {server}, clients on core {worker}"
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    yield f"{platform.python_implementation()} {platform.python_version()}, {system}, {pinned}"
    for name, found in versions.items():
        yield f"- {name}: {', '.join(f'{package} {version}' for package, version in found.items())}"
    for name, package in missing.items():
        yield f"- {name}: left out, {package} is not installed"


def _measure(options: argparse.Namespace, told: Told) -> None:
    wanted = [word.strip().upper() for word in options.only.split(",") if word]
    workloads = [
        replace(each, title=f"{each.title}, over TLS") if options.tls else each
        for each in WORKLOADS
        if (not wanted or each.key in wanted) and not (options.tls and each.local)
    ]
    if not workloads:
        keys = ", ".join(sorted({each.key for each in WORKLOADS}))
        raise SystemExit(f"no workload {options.only!r}; there are {keys}")
    chosen = options.contenders or CONTENDERS
    if strange := set(chosen) - set(CONTENDERS):
        raise SystemExit(f"no contender {strange.pop()!r}; there are {', '.join(CONTENDERS)}")
    versions = _introduce(options, told, [name for name in CONTENDERS if name in chosen])
    measured: list[tuple[Workload, dict[str, rounds.Measured]]] = []
    for workload in workloads:
        began = time.monotonic()
        results = rounds.run(
            workload, versions, options.workers, options.scale, options.rounds, told.mention, tls=options.tls
        )
        told.mention(f"{workload.name}: {time.monotonic() - began:.0f} s")
        told.say(*table.of_workload(workload, results))
        measured.append((workload, results))
    told.say(*table.summary(measured, versions))
    values = {workload.name: {name: vars(result) for name, result in found.items()} for workload, found in measured}
    about = {"versions": versions, "python": platform.python_version(), "tls": options.tls}
    told.keep(options.out, {**about, "results": values})


def _grow(options: argparse.Namespace, told: Told) -> None:
    _introduce(options, told, growth.NAMES)
    series = growth.run(options.workers, options.scale, options.rounds, told.mention)
    told.say(*growth.tables(series))
    options.plot.write_text(growth.plot(series), encoding="utf-8")
    told.say(f"\nplot written to {options.plot}")
    told.keep(options.out, series)


def _play(options: argparse.Namespace, told: Told) -> None:
    _introduce(options, told, faults.NAMES)
    results = faults.run(options.workers, told.mention)
    told.say("", *faults.tables(results))
    told.keep(options.out, results)


def _fan_out(options: argparse.Namespace, told: Told) -> None:
    parts = [word.strip().lower() for word in options.only.split(",") if word]
    if strange := set(parts) - set(fanout.PARTS):
        raise SystemExit(f"no part {strange.pop()!r}; there are {', '.join(fanout.PARTS)}")
    workloads = fanout.chosen(parts)
    names = fanout.taking(workloads, options.contenders or ())
    if strange := set(options.contenders or ()) - set(names):
        raise SystemExit(f"no contender {strange.pop()!r}; there are {', '.join(fanout.taking(workloads, ()))}")
    versions = _introduce(options, told, names)
    values: dict[str, dict[str, object]] = {}
    for workload in workloads:
        results = rounds.run(workload, versions, options.workers, options.scale, options.rounds, told.mention)
        told.say(*fanout.tables(workload, results))
        values[workload.name] = {name: vars(result) for name, result in results.items()}
    told.keep(options.out, values)


def _simulate(options: argparse.Namespace, told: Told) -> None:
    told.say(*scale.tables(options.scale, told.mention))
    told.keep(options.out, told.lines)


def _spread(options: argparse.Namespace, told: Told) -> None:
    versions = _introduce(options, told, relays.NAMES)
    results = relays.run(options.workers, versions, options.scale, told.mention)
    told.say("", *relays.tables(results, relays.amount(options.scale)))
    told.keep(options.out, results)


def _introduce(options: argparse.Namespace, told: Told, names: Iterable[str]) -> list[str]:
    """Print the machine, the versions and the size of the run; return the contenders that are installed."""
    versions, missing = options.workers.versions(list(names))
    told.say(
        *_machine(versions, missing),
        f"{options.scale} size, rounds: {options.rounds}{', over TLS' if options.tls else ''}",
    )
    return list(versions)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure tutuclient beside its peers.")
    parser.add_argument(
        "what",
        nargs="?",
        choices=_WHAT,
        default="speed",
        help="the workloads (speed, unless said otherwise), that cost does not grow, the named faults, runs of many, "
        "two relays of which one is at fault, or many workers with one key (simulated)",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", const="quick", dest="scale", help="smaller amounts: minutes")
    size.add_argument("--tiny", action="store_const", const="tiny", dest="scale", help="a smoke test: means nothing")
    parser.add_argument("--only", default="", metavar="W1,W2", help="speed, fanout: only these")
    parser.add_argument(
        "--contender",
        action="append",
        dest="contenders",
        metavar="NAME",
        help="speed, fanout: only this one; may be repeated",
    )
    parser.add_argument("--tls", action="store_true", help="speed: over TLS, with a certificate made for the run")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each measurement (3; 1 when tiny)")
    parser.add_argument(
        "--python", action="append", default=[], metavar="NAME=PATH", help="run a contender with another Python"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the tables in a file; all values if a .json")
    parser.add_argument(
        "--plot", type=Path, default=Path("growth.svg"), metavar="FILE", help="growth: where the plot goes"
    )
    options = parser.parse_args()
    if options.tls and options.what != "speed":
        parser.error(f"--tls is for the workloads, not for {options.what}")
    options.scale = options.scale or "full"
    options.rounds = options.rounds or (1 if options.scale == "tiny" else 3)
    options.workers = rounds.Workers(dict(pair.split("=", 1) for pair in options.python))
    return options


_WHAT = {
    "speed": _measure,
    "growth": _grow,
    "faults": _play,
    "fanout": _fan_out,
    "relays": _spread,
    "scale": _simulate,
}


def main() -> int:
    """Run the measurement that the command line names; return the exit code."""
    options, told, began = _options(), Told(), time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        _WHAT[options.what](options, told)
        told.say(f"\n{time.monotonic() - began:.0f} s in all")
        return 0
    return 130


if __name__ == "__main__":
    sys.exit(main())
