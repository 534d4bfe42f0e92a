"""A real cluster on this machine, whose actor dies, then its driver; the same script goes on. And Daft's recipe."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.conftest import KEY
from tests.real.servers import program
from tutuclient.testing import Server, draws, sample_picture, says, serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

JOBS = Path(__file__).parent
WORKERS = 2
AT_A_TIME = 4  # batches that Ray hands an actor


@pytest.fixture
def temp() -> Iterator[Path]:
    # Ray's sockets are in it, whose paths may have 107 characters.
    path = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def script(name: str, *args: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a script where Ray is installed; all that it started has ended when the block has."""
    python = program("ray", "python")
    # The key by the environment alone: it is in no pickle.
    variables = {**os.environ, "TUTU_API_KEY": KEY, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    variables["PYTHONPATH"] = str(JOBS.parents[1])
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  (the tests' own)
            [python, str(JOBS / name), *args], env=variables, stdout=output, stderr=subprocess.STDOUT
        )
    started: set[psutil.Process] = set()
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.Error):
            started |= set(psutil.Process(process.pid).children(recursive=True))
        process.kill()
        process.wait()
        for each in started:
            with contextlib.suppress(psutil.Error):
                each.kill()


def kill_all_of(process: subprocess.Popen[bytes]) -> None:
    """Kill a driver, as when its machine is lost, and what it has started with it."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    for each in started:
        with contextlib.suppress(psutil.Error):
            each.kill()


def kill_an_actor(process: subprocess.Popen[bytes]) -> None:
    for each in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "RowsActor" in " ".join(each.cmdline()):
                each.send_signal(signal.SIGKILL)
                return
    raise AssertionError("no actor was found")


def wait_until(happened: Callable[[], object], process: subprocess.Popen[bytes], log: Path) -> None:
    while not happened():
        assert process.poll() is None, log.read_text(errors="replace")[-4000:]
        time.sleep(0.05)


def run_with_deaths(task: str, count: int, rows_per_block: int, server: Server, folder: Path, temp: Path) -> Any:
    """Answer rows while an actor dies, then the driver; return the answers, and the requests until then."""
    (folder / "rows").mkdir()
    for part in range(4):
        numbers = range(part * count // 4, (part + 1) * count // 4)
        rows = pa.table({"key": [f"row{n}" for n in numbers], "ask": [f"{task} {n}" for n in numbers]})
        parquet.write_table(rows, folder / "rows" / f"{part}.parquet")
    log = folder / "log"
    args = server.base_url, str(folder), task, str(temp), str(rows_per_block)
    with script("ray_job.py", *args, log=log) as process:
        wait_until(lambda: len(server.requests) >= count // 5, process, log)
        kill_an_actor(process)
        wait_until(lambda: len(server.requests) >= count * 3 // 5, process, log)
        kill_all_of(process)
    before = len(server.requests)
    with script("ray_job.py", *args, log=log) as process:
        assert process.wait(400) == 0, log.read_text(errors="replace")[-4000:]
    answers = parquet.read_table(folder / "answers")
    assert sorted(answers["key"].to_pylist()) == sorted(f"row{n}" for n in range(count))
    assert_clean(folder, temp)
    return answers, before


def assert_clean(*folders: Path) -> None:
    """Check that the key is in nothing that was written, and that no connection was left to be complained of."""
    # By os.walk, which passes over what goes meanwhile: Ray's own processes tidy up for a moment after a kill.
    for path in [Path(root, name) for folder in folders for root, _, names in os.walk(folder) for name in names]:
        with contextlib.suppress(FileNotFoundError):
            data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            assert KEY.encode() not in data, path
            assert b"Unclosed" not in data, path


def asked_of(server: Server) -> Counter[str]:
    return Counter(str(request.json["messages"][0]["content"]) for request in server.requests)


def test_questions_are_all_answered_and_few_of_them_twice(tmp_path: Path, temp: Path) -> None:
    count, rows_per_block = 2000, 64
    with serve_in_thread(key=KEY) as server:
        server.answers(*[says("a cat", delay=0.1)] * 3 * count)
        started = time.monotonic()
        answers, before = run_with_deaths("ask", count, rows_per_block, server, tmp_path, temp)
        seconds = time.monotonic() - started
        asked = asked_of(server)
    assert Counter(answers["status"].to_pylist()) == {"ok": count}
    twice = sum(asked.values()) - count
    assert len(asked) == count
    # The blocks of the actor, and those of both, that were not written yet.
    assert twice <= 2 * WORKERS * AT_A_TIME * rows_per_block
    assert before < sum(asked.values())
    print(f"ray: {count} questions, {before} before the driver died, {twice} asked twice, {seconds:.0f} s")  # noqa: T201


def test_no_image_is_ordered_twice(tmp_path: Path, temp: Path) -> None:
    count, rows_per_block = 160, 8
    with serve_in_thread(key=KEY) as server:
        server.answers(*[draws(delay=0.3)] * 3 * count)
        answers, before = run_with_deaths("draw", count, rows_per_block, server, tmp_path, temp)
        asked = asked_of(server)
    assert max(asked.values()) == 1
    outcomes = Counter(answers["outcome"].to_pylist())
    assert outcomes["done"] + outcomes["unknown"] == count
    # Each was ordered once, but for those whose intent was on the disk when their process died, a moment too early.
    assert count - outcomes["unknown"] <= sum(asked.values()) <= count
    for row in answers.to_pylist():
        assert (row["status"] == "ok") == (row["outcome"] == "done")
        assert [Path(path).exists() for path in row["images"]] == [True] * (row["status"] == "ok")
    print(f"ray: {count} images, {before} ordered before the driver died, 0 twice, {outcomes['unknown']} lost")  # noqa: T201


def test_daft_answers_in_batches(tmp_path: Path) -> None:
    rows = pa.table({"image": [sample_picture()] * 40 + [b"no image", None]})
    parquet.write_table(rows, tmp_path / "rows.parquet")
    log = tmp_path / "log"
    with serve_in_thread(key=KEY) as server:
        args = server.base_url, str(tmp_path / "rows.parquet"), str(tmp_path / "answers")
        with script("daft_job.py", *args, log=log) as process:
            assert process.wait(120) == 0, log.read_text(errors="replace")[-4000:]
        assert len(server.requests) == 40
    answers = parquet.read_table(tmp_path / "answers")["answer"].to_pylist()
    assert Counter(answer["status"] for answer in answers) == {"ok": 40, "error": 2}
    assert "no image" in next(answer["error"] for answer in answers[::-1])
    assert_clean(tmp_path)
