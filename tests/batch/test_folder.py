"""What ``batch.folder`` promises: each item once, as it was last, and errors that say what to do."""

from __future__ import annotations

import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tutuclient import ConfigError
from tutuclient.batch import folder
from tutuclient.batch.journal import Journal
from tutuclient.batch.lines import JournalError, Record, encode

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {"task": "ask", "prompt": "what?", "model": "m"}


def line(k: str, name: str, key: int = 1, **more: object) -> Record:
    return Record(k=k, id=name, key=f"{key:016x}", **more)  # type: ignore[arg-type]


async def write(path: Path, *records: Record) -> None:
    journal = await Journal.open(path, CONFIG)
    for record in records:
        await journal.append(record)
    await journal.aclose()


def shown(path: Path) -> list[tuple[str, str, str]]:
    return [(record.id, record.k, record.err or record.res) for record in folder.results(path)]


async def test_each_item_is_yielded_once_as_it_was_last(tmp_path: Path) -> None:
    await write(
        tmp_path,
        line("fail", "a", err="no"),
        line("ok", "b", 2, res="b"),
        line("ok", "a", res="yes"),
        line("ok", "c", 3, res="old"),
        line("fail", "c", 4, err="the new prompt"),
    )
    assert shown(tmp_path) == [("a", "ok", "yes"), ("b", "ok", "b"), ("c", "fail", "the new prompt")]


async def test_an_answer_stays_when_the_same_question_fails_later(tmp_path: Path) -> None:
    await write(tmp_path, line("ok", "a", res="yes"), line("fail", "a", err="no"))
    assert shown(tmp_path) == [("a", "ok", "yes")]


async def test_an_item_that_cannot_be_read_later_keeps_what_was_paid_for(tmp_path: Path) -> None:
    unread = [Record(k="fail", id=name, cls="MediaError", outcome="not_sent", err="gone") for name in "abcde"]
    await write(
        tmp_path,
        line("ok", "a", res="yes"),
        line("sent", "b", 2),
        line("fail", "c", 3, outcome="unknown", err="gateway timeout"),
        line("fail", "d", 4, outcome="rejected", err="no"),
        *unread,
        Record(k="skip", id="b", cls="MediaError", outcome="not_sent"),
    )
    assert shown(tmp_path)[2:] == [("c", "fail", "gateway timeout"), ("d", "fail", "gone"), ("e", "fail", "gone")]
    found = folder.status(tmp_path)
    assert (found.answered, found.unknown, found.open) == (1, ["b", "c"], 1)


async def test_an_order_without_an_end_is_its_intent(tmp_path: Path) -> None:
    await write(
        tmp_path,
        line("sent", "a"),
        line("sent", "b", 2),
        line("ok", "a", res="made"),
        line("fail", "c", 3, outcome="rejected", err="no"),
        line("sent", "c", 3),
    )
    assert [(record.id, record.k) for record in folder.results(tmp_path)] == [("a", "ok"), ("b", "sent"), ("c", "sent")]


async def test_an_order_that_was_refused_leaves_its_item_as_it_was(tmp_path: Path) -> None:
    refused: dict[str, Any] = {"cls": "RateLimitError", "outcome": "rejected"}
    await write(
        tmp_path,
        line("sent", "a"),
        line("skip", "a", **refused),
        line("fail", "b", 2, outcome="rejected", err="no"),
        line("sent", "b", 2),
        line("skip", "b", 2, **refused),
        line("sent", "c", 3),
        line("skip", "c", 3, **refused),
        line("sent", "c", 3),
    )
    assert [(record.id, record.k) for record in folder.results(tmp_path)] == [("b", "fail"), ("c", "sent")]


async def test_an_order_that_a_crash_left_open_stays_so_when_the_next_one_is_not_done(tmp_path: Path) -> None:
    await write(
        tmp_path,
        *(line("sent", name, number) for number, name in enumerate("abc")),
        *(line("sent", name, number) for number, name in enumerate("abc")),
        line("skip", "a", 0),
        line("fail", "b", 1, outcome="rejected"),
        line("ok", "c", 2),
        line("sent", "d", 4),
        line("sent", "d", 4, task="task-9"),
        line("fail", "d", 4, outcome="rejected"),
    )
    found = [(record.id, record.k) for record in folder.results(tmp_path)]
    assert found == [("a", "sent"), ("b", "sent"), ("c", "ok"), ("d", "fail")]
    assert folder.status(tmp_path).unknown == ["a", "b"]


async def test_an_order_that_was_answered_with_a_task_is_waited_for_and_not_unknown(tmp_path: Path) -> None:
    await write(tmp_path, line("sent", "a"), line("sent", "a", task="task-9"), line("sent", "b", 2))
    found = folder.status(tmp_path)
    assert (found.open, found.unknown, found.tasks) == (2, ["b"], ["a"])


async def test_a_run_in_numbers(tmp_path: Path) -> None:
    await write(
        tmp_path,
        line("ok", "a", t=20.0, tin=5, tout=7, img=[("a.png", "00"), ("b.png", "11")]),
        line("fail", "b", 2, t=10.0, cls="BadRequestError", outcome="rejected", err="first", tin=1),
        line("fail", "c", 3, t=30.0, cls="BadRequestError", outcome="rejected", err="second"),
        line("fail", "d", 4, t=30.0, cls="APITimeoutError", outcome="unknown", err="late"),
        line("fail", "e", 5, t=30.0, cls="BadRequestError", outcome="rejected", err="mended later"),
        line("ok", "e", 5, t=40.0, tin=2),
        line("sent", "f", 6, t=41.0),
        Record(k="ev", cls="stop", t=42.0),
    )
    found = folder.status(tmp_path)
    assert (found.answered, found.failed, found.open, found.items) == (
        2, {"BadRequestError": 2, "APITimeoutError": 1}, 1, 6
    )  # fmt: skip
    assert found.messages == {"BadRequestError": "first", "APITimeoutError": "late"}
    assert found.unknown == ["d", "f"]
    assert (found.tokens_in, found.tokens_out, found.images) == (8, 7, 2)
    assert (found.first, found.last, found.damaged) == (10.0, 42.0, 0)
    assert [record.cls for record in folder.events(tmp_path)] == ["stop"]


async def test_what_a_run_is_stands_in_its_folder(tmp_path: Path) -> None:
    await write(tmp_path)
    found = folder.config(tmp_path)
    assert (found.config, found.format) == (CONFIG, 1)
    assert found.created > 1e9
    assert list(folder.results(tmp_path)) == []
    assert folder.status(tmp_path).items == 0


async def test_damaged_lines_are_left_out_and_counted_and_a_torn_tail_is_not_read(tmp_path: Path) -> None:
    await write(tmp_path, line("ok", "a", res="a"), line("ok", "b", 2, res="b"), line("ok", "c", 3, res="c"))
    path = tmp_path / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b'"b"', b'"x"') + lines[2] + encode(line("ok", "d", 4))[:-20])
    assert shown(tmp_path) == [("a", "ok", "a"), ("c", "ok", "c")]
    assert folder.status(tmp_path).damaged == 1


async def test_a_folder_that_is_no_run_says_what_to_do(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        for read in (folder.config, folder.status, lambda path: list(folder.results(path))):
            with pytest.raises(ConfigError, match="holds no run, for there is no run.json in it: name the folder"):
                read(path)


async def test_another_version_and_damage_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(msgspec.json.encode({"format": 7, "config": {}}))
    with pytest.raises(ConfigError, match="has format 7, and this version of tutuclient reads format 1: use"):
        folder.config(tmp_path)
    (tmp_path / "run.json").write_bytes(b'{"format": 1, ')
    with pytest.raises(JournalError, match="is damaged .*: the answers are in journal.jsonl"):
        folder.config(tmp_path)
    (tmp_path / "run.json").write_bytes(b'{"format": 1}')
    (tmp_path / "journal.jsonl").write_bytes(b"\x00" * 100 + b"\n" + b"rubbish\n")
    with pytest.raises(JournalError, match="not one of its 2 lines is as it was written"):
        folder.status(tmp_path)


def test_a_line_of_a_later_version_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b'{"format": 1}')
    odd = encode(line("ok", "a")).replace(b'"k":"ok"', b'"k":"odd"')
    body = odd[: odd.index(b',"crc"')]
    (tmp_path / "journal.jsonl").write_bytes(b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body)))
    with pytest.raises(JournalError, match="cannot read .*: use the version that wrote it"):
        list(folder.results(tmp_path))


@pytest.mark.slow
def test_a_long_journal_takes_few_bytes_a_line(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b'{"format": 1}')
    with (tmp_path / "journal.jsonl").open("wb") as file:
        file.writelines(encode(line("ok", f"item{number}", number, res="text" * 20)) for number in range(100_000))
    code = """
        import sys, resource; from pathlib import Path; from tutuclient.batch import folder
        def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = peak(); count = sum(1 for _ in folder.results(Path(sys.argv[1])))
        print(count, (peak() - before) * 1024 // count)
    """
    command = [sys.executable, "-c", "\n".join(part.strip() for part in code.strip().splitlines()), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  (our own code)
    count, bytes_each = map(int, done.stdout.split())
    assert count == 100_000
    assert bytes_each < 100
