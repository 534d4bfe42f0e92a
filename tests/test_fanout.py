"""``python -m benchmarks fanout``: that it measures what it says, in amounts that mean nothing."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

import pytest

from benchmarks.contenders.runs import FITTED, JOURNAL, MAP, NARROW, RECIPE, TYPED, WORKERS
from benchmarks.fanout.bench_kills import Run, Tally
from benchmarks.fanout.relays import Bucket, Flights, Log
from benchmarks.fanout.suite import PARTS
from benchmarks.meter import Meter
from tutuclient.batch.lines import Record, encode

_ROOT = Path(__file__).parent.parent
_TAKING = {
    "limits": (TYPED, MAP, RECIPE),
    "many": (MAP, JOURNAL, NARROW, WORKERS),
    "lazy": (MAP, JOURNAL),
    "kills": (JOURNAL,),
    "resize": (FITTED, "thumbnail in to_thread", "resize in to_thread", "no Python in threads"),
}

# --- the whole -------------------------------------------------------------------------------------------------------


async def _fan_out(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks", "fanout", "--tiny", *arguments, cwd=_ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
async def test_each_part_measures_who_is_in_it(part: str) -> None:
    # Of peers nothing is promised: whoever has them installed waits for them only when measuring.
    contenders = [word for name in _TAKING[part] for word in ("--contender", name)]
    code, output = await _fan_out("--only", part, *contenders)
    assert code == 0
    tables = output.split("\n## ")[1:]
    assert tables
    assert all(table.startswith(part) for table in tables)
    for table in tables:
        figures, _, goals = table.partition("| goal ")
        rows = [row for row in figures.splitlines() if row.startswith("| ")][2:]
        assert [row.split("|")[1].strip() for row in rows] == [*_TAKING[part]]
        assert "failed:" not in figures
        # Who is done has lost nothing; whether it was quick is not asked here.
        judged = [row for row in goals.splitlines() if "not answered" in row or ": lost" in row or "again" in row]
        assert all(row.rstrip("| ").endswith("yes") for row in judged)


@pytest.mark.slow
async def test_a_part_that_there_is_not_is_said() -> None:
    code, output = await _fan_out("--only", "limits,holes")
    assert code == 1
    assert not output


# --- the relays ------------------------------------------------------------------------------------------------------


def test_a_bucket_admits_its_size_at_once_and_its_rate_after() -> None:
    bucket = Bucket(rate=20, size=10)
    now = bucket._at
    assert [bucket.admits(now) for _ in range(12)] == [True] * 10 + [False] * 2
    assert [bucket.admits(now + 0.051) for _ in range(2)] == [True, False]
    assert sum(bucket.admits(now + 100) for _ in range(12)) == 10


def test_flights_are_admitted_while_there_is_room() -> None:
    gate = Flights(2)
    assert [gate.admits(0.0) for _ in range(3)] == [True, True, False]
    gate.answered()
    assert [gate.admits(0.0) for _ in range(2)] == [True, False]


def test_a_log_admits_so_many_in_any_window_and_counts_no_refusals() -> None:
    log = Log(most=3, seconds=5)
    assert [log.admits(at) for at in (0.0, 1.0, 4.0, 4.5, 4.9)] == [True, True, True, False, False]
    assert [log.admits(at) for at in (5.0, 5.5, 6.0)] == [True, False, True]


# --- the kills -------------------------------------------------------------------------------------------------------


def _journalled(run: Run, *names: str, images: list[tuple[str, str]] | None = None) -> None:
    lines = [encode(Record(k="ok", id=name, key="1", img=images or [])) for name in names]
    with (run.folder / "journal.jsonl").open("ab") as file:
        file.write(b"".join(lines))


def test_a_question_may_be_sent_again_once_when_it_was_in_flight(tmp_path: Path) -> None:
    run, tally = Run("ask", 3, tmp_path), Tally()
    run.ordered(["item0", "item1", "item2"], tally)
    assert tally.most_open == 3
    _journalled(run, "item0")
    run.ordered(["item1", "item2"], tally)
    assert (tally.again, tally.beyond) == (2, 2 - 2)
    _journalled(run, "item1", "item2")
    run.ordered([], tally)
    run.ordered(["item1"], tally)
    assert (tally.again, tally.beyond) == (3, 1)


def test_a_second_order_in_one_life_is_seen(tmp_path: Path) -> None:
    run, tally = Run("edit", 2, tmp_path), Tally()
    run.ordered(["item0", "item1", "item1"], tally)
    assert (tally.again, tally.beyond) == (1, 1)


def test_what_is_handed_on_twice_or_not_journalled_is_seen(tmp_path: Path) -> None:
    run, tally = Run("ask", 3, tmp_path), Tally()
    run.ordered(["item0", "item1", "item2"], tally)
    assert run.heard(["begun", "ok item0", "ok item1"], tally) is None
    assert run.heard(["begun", "ok item0", "failed item2", "end "], tally) == set()
    _journalled(run, "item0")
    run.judge(set(), tally)
    # item1 was handed on and is not in the journal, so it is lost as an item and as a result; item2 has failed.
    assert (tally.twice, tally.failed, tally.lost) == (1, 1, 3)


def test_an_edit_is_whole_or_of_unknown_outcome_or_lost(tmp_path: Path) -> None:
    run, tally = Run("edit", 4, tmp_path), Tally()
    (tmp_path / "images").mkdir()
    for name, said in (("whole", b"image"), ("torn", b"another")):
        (tmp_path / "images" / name).write_bytes(b"image")
        place = f"item{len(run.answered())}"
        _journalled(run, place, images=[(name, hashlib.sha256(said).hexdigest())])
    run.ordered(["item0", "item1"], tally)
    unknown = run.heard(["begun", "end item2"], tally)
    assert unknown == {"item2"}
    run.judge(unknown, tally)
    assert (tally.lost, tally.unknown, tally.unread) == (2, 1, 2)


def test_a_relay_that_noted_nothing_is_no_proof(tmp_path: Path) -> None:
    run, tally = Run("ask", 1, tmp_path), Tally()
    _journalled(run, "item0")
    with pytest.raises(RuntimeError, match="nothing was measured"):
        run.judge(set(), tally)


def test_what_held_the_loop_is_told_without_what_kept_the_processor() -> None:
    meter = Meter()
    assert meter.held(0.99) == 0.0
    for lag in range(100):
        meter.late(float(lag), waited_ms=30.0)
    assert meter.lag_ms == 99.0
    assert (meter.held(0.0), meter.held(0.5), meter.held(0.9), meter.held(1)) == (0.0, 20.0, 60.0, 69.0)
