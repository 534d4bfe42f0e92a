"""What ``batch.journal`` promises: what was acknowledged is there after any crash, and nothing torn counts as whole."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.batch.runs import full_disk
from tutuclient import ConfigError
from tutuclient.batch.journal import Found, Journal, scan
from tutuclient.batch.lines import JournalError, Record, encode, read, whole

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = {"model": "m", "prompt": "p"}


def key(number: int) -> str:
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}"


def ok(number: int, **more: object) -> Record:
    return Record(k="ok", id=f"item{number}", key=key(number), res="text\n" * 3, **more)  # type: ignore[arg-type]


async def write(folder: Path, records: list[Record], **options: bool) -> None:
    journal = await Journal.open(folder, CONFIG)
    try:
        await asyncio.gather(*(journal.append(record, **options) for record in records))
    finally:
        await journal.aclose()


def ids(folder: Path) -> list[str]:
    return [record.id for record in read(folder / "journal.jsonl")]


async def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    await write(tmp_path, [ok(number) for number in range(1000)])
    journal = await Journal.open(tmp_path, CONFIG)
    await journal.aclose()
    assert len(journal.found.ok) == 1000
    assert int(key(7), 16) in journal.found.ok
    assert int(key(1000), 16) not in journal.found.ok
    assert journal.found.damaged == 0


async def test_a_line_is_plain_json(tmp_path: Path) -> None:
    await write(tmp_path, [ok(1, tin=3, tout=4)])
    [line] = (tmp_path / "journal.jsonl").read_bytes().splitlines()
    plain = msgspec.json.decode(line)
    assert (plain["k"], plain["id"], plain["res"], plain["tin"]) == ("ok", "item1", "text\n" * 3, 3)
    assert list(plain)[-1] == "crc"


async def test_the_last_word_on_an_item_counts(tmp_path: Path) -> None:
    failed = Record(k="fail", id="item1", key=key(1))
    await write(tmp_path, [failed, ok(1), ok(2), Record(k="fail", id="item3", key=key(3))])
    found = scan(tmp_path / "journal.jsonl")
    assert [int(key(number), 16) in found.ok for number in (1, 2, 3)] == [True, True, False]
    assert [int(key(number), 16) in found.failed for number in (1, 2, 3)] == [False, False, True]


async def test_an_intent_without_an_end_is_found_with_its_task(tmp_path: Path) -> None:
    sent = [Record(k="sent", id=f"item{number}", key=key(number)) for number in range(3)]
    task = Record(k="sent", id="item2", key=key(2), task="task-9")
    await write(tmp_path, [*sent, ok(0), task], sync=True)
    found = scan(tmp_path / "journal.jsonl")
    assert found.open == {int(key(1), 16): ("item1", ""), int(key(2), 16): ("item2", "task-9")}


async def test_where_a_task_is_asked_for_is_found_with_it(tmp_path: Path) -> None:
    sent = [Record(k="sent", id=f"item{number}", key=key(number)) for number in range(3)]
    tasks = [Record(k="sent", id=f"item{number}", key=key(number), task="t", url=f"/{number}") for number in range(3)]
    # A second task of an item has an address of its own, or none; an item that is done needs none.
    second = Record(k="sent", id="item1", key=key(1), task="t2")
    await write(tmp_path, [*sent, *tasks, second, ok(0)])
    found = scan(tmp_path / "journal.jsonl")
    assert found.urls == {int(key(2), 16): "/2"}
    assert found.open[int(key(1), 16)] == ("item1", "t2")


def test_a_journal_cut_at_any_byte_loses_only_the_line_that_was_cut(tmp_path: Path) -> None:
    lines = [encode(ok(number)) for number in range(4)]
    data = b"".join(lines)
    path = tmp_path / "journal.jsonl"
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        found = scan(path)
        complete = sum(cut >= sum(map(len, lines[: number + 1])) for number in range(4))
        assert len(found.ok) == complete
        assert found.end == sum(map(len, lines[:complete]))


async def test_a_torn_tail_is_cut_off_and_written_behind(tmp_path: Path) -> None:
    await write(tmp_path, [ok(1), ok(2)])
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    await write(tmp_path, [ok(3)])
    assert ids(tmp_path) == ["item1", "item3"]
    assert len(path.read_bytes().splitlines()) == 2


def zero(data: bytearray, at: int, size: int) -> None:
    data[at : at + size] = bytes(len(data[at : at + size]))


def noise(data: bytearray, at: int, size: int) -> None:
    data[at : at + size] = random.Random(1).randbytes(len(data[at : at + size]))


def drop(data: bytearray, at: int, size: int) -> None:
    del data[at : at + size]


@pytest.mark.parametrize("damage", [zero, noise, drop])
@pytest.mark.parametrize("at", [0, 4096, 20_000, 60_000])
def test_damage_is_skipped_and_counted(damage: Callable[[bytearray, int, int], None], at: int, tmp_path: Path) -> None:
    data = bytearray(b"".join(encode(ok(number)) for number in range(800)))
    damage(data, at, 4096)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(data)
    found = scan(path)
    real = {encode(ok(number)) for number in range(800)}
    kept = [line + b"\n" for line in bytes(data).split(b"\n") if whole(line)]
    assert set(kept) <= real
    assert len(found.ok) == len(kept) > 700
    assert found.damaged > 0


async def test_nothing_is_cut_off_but_what_has_no_end(tmp_path: Path) -> None:
    await (await Journal.open(tmp_path, CONFIG)).aclose()
    path = tmp_path / "journal.jsonl"
    written = encode(ok(1)) + b"changed\nlines\n"
    path.write_bytes(written + encode(ok(2))[:-9])
    journal = await Journal.open(tmp_path, CONFIG)
    assert (journal.found.damaged, journal.found.lines) == (2, 1)
    await journal.append(ok(3))
    await journal.aclose()
    assert path.read_bytes().startswith(written + b'{"k":"ok"')
    assert len(scan(path).ok) == 2


@pytest.mark.parametrize("loss", ["line ends", "missing", "empty"])
async def test_a_journal_that_is_lost_is_no_new_run(tmp_path: Path, loss: str) -> None:
    journal = await Journal.open(tmp_path, CONFIG)
    await journal.append(Record(k="sent", id="cat", key="1"), sync=True)
    await journal.aclose()
    path = tmp_path / "journal.jsonl"
    data = path.read_bytes()
    if loss == "line ends":
        path.write_bytes(data.replace(b"\n", b"\r\n"))
    elif loss == "missing":
        path.unlink()
    else:
        path.write_bytes(b"")
        (tmp_path / "images").mkdir()
        (tmp_path / "images/cat.png").touch()
    with pytest.raises(JournalError, match="What was answered and ordered is not known: put a copy of it in its place"):
        await Journal.open(tmp_path, CONFIG)
    path.write_bytes(data)
    journal = await Journal.open(tmp_path, CONFIG)
    assert journal.found.open == {1: ("cat", "")}
    await journal.aclose()


async def test_a_line_of_a_later_version_is_not_left_out(tmp_path: Path) -> None:
    await (await Journal.open(tmp_path, CONFIG)).aclose()
    path = tmp_path / "journal.jsonl"
    body = b'{"k":"drawn","id":"cat","key":"1"'
    path.write_bytes(b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body)))
    with pytest.raises(JournalError, match=r"cannot read \(Invalid enum value 'drawn'.*use the version that wrote it"):
        await Journal.open(tmp_path, CONFIG)
    with pytest.raises(JournalError, match="use the version that wrote it"):
        list(read(path))


async def test_two_writers_are_refused(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path, CONFIG)
    with pytest.raises(JournalError, match="in use by another process"):
        await Journal.open(tmp_path, CONFIG)
    await journal.aclose()
    await (await Journal.open(tmp_path, CONFIG)).aclose()


async def test_opening_that_is_cancelled_holds_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanning, go = threading.Event(), threading.Event()

    def slow(path: Path) -> Found:
        scanning.set()
        go.wait(10)
        return scan(path)

    monkeypatch.setattr("tutuclient.batch.journal.scan", slow)
    opening = asyncio.ensure_future(Journal.open(tmp_path, CONFIG))
    await asyncio.to_thread(scanning.wait, 10)
    opening.cancel()
    asyncio.get_running_loop().call_later(0.05, go.set)
    with pytest.raises(asyncio.CancelledError):
        await opening
    await (await Journal.open(tmp_path, CONFIG)).aclose()


async def test_another_configuration_is_refused_with_what_differs(tmp_path: Path) -> None:
    await (await Journal.open(tmp_path, CONFIG)).aclose()
    with pytest.raises(ConfigError, match=r"another configuration \(model was 'm', is 'n'\): .*allow_change"):
        await Journal.open(tmp_path, {**CONFIG, "model": "n"})
    await (await Journal.open(tmp_path, {**CONFIG, "model": "n"}, allow_change=True)).aclose()
    await (await Journal.open(tmp_path, {**CONFIG, "model": "n"})).aclose()


async def test_a_run_of_a_newer_format_is_not_touched(tmp_path: Path) -> None:
    await write(tmp_path, [ok(1)])
    path = tmp_path / "run.json"
    path.write_bytes(path.read_bytes().replace(b'"format": 1', b'"format": 2'))
    with pytest.raises(ConfigError, match="has the format 2, and this version of tutuclient knows those up to 1"):
        await Journal.open(tmp_path, CONFIG, allow_change=True)
    assert ids(tmp_path) == ["item1"]


async def test_what_is_new_or_gone_from_a_configuration_is_said(tmp_path: Path) -> None:
    await (await Journal.open(tmp_path, CONFIG)).aclose()
    with pytest.raises(ConfigError, match=r"\(prompt was 'p', is not set; seed was not set, is 7\)"):
        await Journal.open(tmp_path, {"model": "m", "seed": 7})


async def test_a_disk_that_is_full_from_the_start_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with full_disk(10), pytest.raises(JournalError, match=r"could not be begun \(File too large\): make room"):
        await Journal.open(tmp_path, CONFIG)
    assert os.listdir(tmp_path) == ["LOCK"]  # noqa: PTH208  (a folder of one file)
    await (await Journal.open(tmp_path, CONFIG)).aclose()


async def test_a_file_in_place_of_the_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    with pytest.raises(ConfigError, match="cannot be used"):
        await Journal.open(tmp_path / "run", CONFIG)


async def test_a_full_disk_is_said_and_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path, CONFIG)
    done = 0
    with full_disk(20_000):
        with pytest.raises(JournalError, match=r"could not be written .*make room on the disk"):
            for number in range(1000):
                await journal.append(ok(number))
                done += 1
        with pytest.raises(JournalError):
            await journal.aclose()
    assert ids(tmp_path) == [f"item{number}" for number in range(done)]
    assert 50 < done < 1000
    assert scan(tmp_path / "journal.jsonl").end == (tmp_path / "journal.jsonl").stat().st_size


async def test_a_failed_sync_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fails)
    journal = await Journal.open(tmp_path, CONFIG)
    with pytest.raises(JournalError, match=r"could not be synced to the disk \(Input/output error\)"):
        await journal.append(ok(1), sync=True)
    monkeypatch.undo()
    with pytest.raises(JournalError):
        await journal.append(ok(2))
    with pytest.raises(JournalError):
        await journal.aclose()


async def test_records_are_synced_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(os, "fdatasync", lambda _: loop.call_soon_threadsafe(synced.set))
    journal = await Journal.open(tmp_path, CONFIG)
    await journal.append(ok(1))
    async with asyncio.timeout(5):
        await synced.wait()
    await journal.aclose()


WRITES = """
import asyncio, sys
from pathlib import Path
from tests.batch.test_journal import CONFIG, ok
from tutuclient.batch.journal import Journal

async def main():
    journal = await Journal.open(Path(sys.argv[1]), CONFIG)
    number = 0
    while True:
        await asyncio.gather(*(journal.append(ok(number + one)) for one in range(20)))
        number += 20
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_nine(tmp_path: Path) -> None:
    draw = random.Random(1)
    for round_ in range(6):
        folder = tmp_path / str(round_)
        with subprocess.Popen(  # noqa: S603  (our own code)
            [sys.executable, "-c", WRITES, folder], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            time.sleep(draw.random() / 5)
            process.kill()
            acknowledged = int([first, *process.stdout.read().split("\n")[:-1]][-1])
        found = scan(folder / "journal.jsonl")
        assert found.damaged == 0
        assert all(int(key(number), 16) in found.ok for number in range(acknowledged))
