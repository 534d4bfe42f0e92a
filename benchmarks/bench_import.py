"""W7: what it takes before the first answer: importing, asking once, and installing.

Measured: "import", the time of the import statement in a fresh Python, compiled already; "first answer", from before
the imports of client and asyncio to the first answer of a loopback server, building and connecting included; both the
median of some starts. "packages" and "MB" are what pip puts into an empty environment, without bytecode and, in the
last figure, with the bytecode that pip compiles. Smaller runs install nothing: they reckon what the distributions
installed here would pull in, as their metadata says.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.meter import MB
from benchmarks.workload import Case, Figure, Goal, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ROOT = Path(__file__).parent.parent
_IMPORT = """
import time
began = time.perf_counter()
import {names}
took = time.perf_counter() - began
import os
print(took * 1e3, flush=True)
os._exit(0)
"""
_FIRST_ANSWER = """
import time
from benchmarks.contenders import CONTENDERS
began = time.perf_counter()
import asyncio
async def main():
    client = CONTENDERS[{name!r}].make({url!r})
    await client.ask()
    took = time.perf_counter() - began
    await client.aclose()
    import os
    print(took * 1e3, flush=True)
    os._exit(0)
asyncio.run(main())
"""
_NAME = re.compile(r"[A-Za-z0-9._-]+")


async def measure(case: Case) -> dict[str, float]:
    """Start Python a few times, then look at what is installed."""
    contender = case.contender
    scripts = {
        "import_ms": _IMPORT.format(names=", ".join(contender.imports)),
        "ready_ms": _FIRST_ANSWER.format(name=contender.name, url=case.url("small")),
    }
    _start(scripts["ready_ms"])  # Compiles, and brings the files into memory.
    return {key: median([_start(script) for _ in range(case.amount)]) for key, script in scripts.items()}


async def measure_installed(case: Case) -> dict[str, float]:
    """Install it, or reckon what that would bring."""
    if case.scale == "full":
        return await asyncio.to_thread(_install, case.contender.installs)
    return _reckon(case.contender.installs)


def _start(script: str) -> float:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603  (ours)
    return float(done.stdout.split()[-1])


def _install(wanted: Iterable[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        site = next(Path(folder).glob("[Ll]ib/**/site-packages"))
        before = {path.name for path in site.iterdir()}
        names = [str(_ROOT) if each == "." else each for each in wanted]
        python = next(
            path for path in (Path(folder, "bin/python"), Path(folder, "Scripts/python.exe")) if path.exists()
        )
        subprocess.run([python, "-m", "pip", "install", "--quiet", *names], check=True, capture_output=True)  # noqa: S603  (ours)
        new = [path for path in site.iterdir() if path.name not in before]
        packages = sum(path.suffix == ".dist-info" for path in new)
        files = [file for path in new for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
        return {"packages": packages, **_sizes(files)}


def _sizes(files: Iterable[Path]) -> dict[str, float]:
    sizes = {file: file.stat().st_size / MB for file in files}
    return {
        "mb": sum(size for file, size in sizes.items() if file.suffix != ".pyc"),
        "compiled_mb": sum(sizes.values()),
    }


def _reckon(wanted: Iterable[str]) -> dict[str, float]:
    seen: dict[str, list[Path]] = {}
    waiting = list(wanted)
    while waiting:
        name, extras = _parts(waiting.pop())
        if name == ".":
            seen[name] = list((_ROOT / "tutuclient").rglob("*.*"))
            waiting += tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
        elif name not in seen:
            try:
                found = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                raise NotImplementedError(f"{name} is not installed here, so it cannot be reckoned with") from None
            seen[name] = [Path(str(found.locate_file(file))) for file in found.files or ()]
            waiting += _needed(found, extras)
    return {"packages": len(seen), **_sizes({file for files in seen.values() for file in files if file.is_file()})}


def _parts(requirement: str) -> tuple[str, set[str]]:
    if requirement == ".":
        return requirement, set()
    name = _NAME.match(requirement)
    extras = re.search(r"\[([^]]*)\]", requirement.partition(";")[0])
    found = {extra.strip() for extra in extras[1].split(",")} if extras else set()
    return re.sub(r"[-_.]+", "-", name[0] if name else requirement).lower(), found


def _needed(found: metadata.Distribution, extras: set[str]) -> Iterator[str]:
    from packaging.requirements import Requirement  # noqa: PLC0415  (of pip's own world, and only needed here)

    for line in found.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield line


WORKLOADS = (
    Workload(
        "W7",
        "",
        "import and the first answer",
        (Figure("import_ms", "import, ms"), Figure("ready_ms", "first answer, ms")),
        {"full": (5, 3), "quick": (3, 2), "tiny": (1, 1)},
        measure,
        (Goal("import_ms", 1 / 6, "openai"),),
    ),
    Workload(
        "W7",
        "installed",
        "what pip installs",
        (
            Figure("packages", "packages"),
            Figure("mb", "MB without bytecode"),
            Figure("compiled_mb", "MB with bytecode"),
        ),
        {"full": (1, 1), "quick": (1, 1), "tiny": (1, 1)},
        measure_installed,
        (Goal("packages", 13), Goal("mb", 14)),
        once=True,
        local=True,
    ),
)
