"""Lines of a journal: what is written is read again, from any line on, and nothing torn or damaged counts."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING

import pytest

from tutuclient.batch.lines import Head, JournalError, Lines, Record, encode, read, record_at, records, whole

if TYPE_CHECKING:
    from pathlib import Path

LINES = [encode(Record(k="ok", id=f"item{number}", key=f"{number:016x}", res="text\n")) for number in range(4)]
ENDS = [sum(map(len, LINES[: number + 1])) for number in range(4)]


def test_each_line_is_read_with_its_place() -> None:
    found = list(Lines(Head).read(io.BytesIO(b"".join(LINES))))
    assert [(begin, end) for begin, end, _ in found] == list(zip([0, *ENDS[:-1]], ENDS, strict=True))
    assert [head.id for _, _, head in found if head is not None] == ["item0", "item1", "item2", "item3"]


@pytest.mark.parametrize("first", range(5))
def test_reading_goes_on_where_it_ended(first: int) -> None:
    at = [0, *ENDS][first]
    found = list(records.read(io.BytesIO(b"".join(LINES)), at))
    assert [(end, None if record is None else record.id) for _, end, record in found] == [
        (ENDS[number], f"item{number}") for number in range(first, 4)
    ]


@pytest.mark.parametrize("cut", [1, 10, len(LINES[3]) - 1])
def test_a_line_without_an_end_is_left_for_later(cut: int) -> None:
    data = b"".join(LINES)
    assert [end for _, end, _ in records.read(io.BytesIO(data[:-cut]))] == ENDS[:3]


@pytest.mark.parametrize("at", [2, len(LINES[1]) - 5])
def test_a_damaged_line_says_nothing_and_has_its_place(at: int, tmp_path: Path) -> None:
    data = bytearray(b"".join(LINES))
    data[ENDS[0] + at] ^= 1
    found = list(records.read(io.BytesIO(data)))
    assert [record is None for _, _, record in found] == [False, True, False, False]
    assert [end for _, end, _ in found] == ENDS
    path = tmp_path / "journal.jsonl"
    path.write_bytes(data)
    assert record_at(path, ENDS[0]) is None
    assert [record.id for record in read(path)] == ["item0", "item2", "item3"]


def test_a_line_of_a_later_version_is_an_error_for_whoever_reads_it() -> None:
    body = b'{"k":"drawn","id":"cat","key":"1"'
    line = b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))
    with pytest.raises(JournalError, match=r"cannot read \(Invalid enum value 'drawn'.*use the version that wrote it"):
        list(Lines(Head).read(io.BytesIO(line)))


@pytest.mark.parametrize("odd", ["caf\udce9", {"a\udce9": ["\ud800"]}, 2**80, {"n": -(2**70)}])
def test_what_json_has_not_is_written_all_the_same(odd: object, tmp_path: Path) -> None:
    line = encode(Record(k="ok", id="\udce9", key="1", res=odd))
    assert whole(line[:-1])
    path = tmp_path / "journal.jsonl"
    path.write_bytes(line)
    [record] = read(path)
    assert record == record_at(path, 0)
    assert record.id == "\\udce9"
