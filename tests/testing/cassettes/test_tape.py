from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import ConfigError
from tutuclient.testing.cassettes.tape import Tape, read

if TYPE_CHECKING:
    from pathlib import Path

RELAY = "https://relay.example"
REQUEST = {"method": "POST", "path": "/v1/chat/completions", "headers": {}, "json": {"model": "m"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chat.jsonl"


def written(path: Path, how: str = "complete") -> None:
    tape = Tape(path, RELAY, "/v1", "test 1")
    number = tape.begin(REQUEST)
    tape.write({"answer": number, "t": 0.1, "status": 200, "headers": {}, "framing": "length"})
    tape.write({"part": number, "t": 0.1, "text": "你好 \udcff"})
    if how:
        tape.write({"end": number, "t": 0.2, "how": how})
    tape.close()


def test_what_is_written_is_read(path: Path) -> None:
    written(path)
    cassette = read(path)
    (exchange,) = cassette.replayed
    assert (cassette.relay, cassette.base) == (RELAY, "/v1")
    assert exchange.request["json"] == {"model": "m"}
    assert exchange.parts[0]["text"] == "你好 \udcff"
    assert (exchange.how, exchange.ended_at) == ("complete", 0.2)


def test_lines_are_for_people(path: Path) -> None:
    tape = Tape(path, RELAY, "/v1", "test 1")
    tape.begin({**REQUEST, "json": {"model": "模型"}})
    first, second = path.read_text(encoding="utf-8").splitlines()
    assert first == '{"tutu_cassette": 1, "relay": "https://relay.example", "base": "/v1", "by": "test 1"}'
    assert '"json": {"model": "模型"}' in second
    tape.close()
    tape.close()


def test_each_line_is_in_the_file_when_it_is_written(path: Path) -> None:
    tape = Tape(path, RELAY, "/v1", "test 1")
    tape.begin(REQUEST)
    assert len(path.read_bytes().splitlines()) == 2
    tape.close()


def test_a_recording_goes_on_behind_what_is_there(path: Path) -> None:
    written(path)
    written(path)
    assert [each.number for each in read(path).replayed] == [1, 2]


@pytest.mark.parametrize("how", ["", "stopped"])
def test_what_was_not_finished_is_noted_and_left_out(path: Path, capsys: pytest.CaptureFixture[str], how: str) -> None:
    written(path)
    written(path, how)
    assert [each.number for each in read(path).replayed] == [1]
    assert "exchange 2 was not recorded to its end; it is not replayed" in capsys.readouterr().err


def test_a_torn_last_line_loses_nothing_else(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(path)
    whole = path.read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:length])
        cassette = read(path)
        assert cassette.kept_bytes <= length
        assert cassette.replayed == []
        if length != cassette.kept_bytes or cassette.exchanges:
            assert "not replayed" in capsys.readouterr().err
    # It is gone on from there.
    written(path)
    assert [each.how for each in read(path).exchanges.values()] == ["", "complete"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello\n",
        b"\x89PNG\r\n\x1a\n\0\0\n",
        b'{"version": 1}\n',
        b"[]\n",
        b'{"tutu_cassette": 1',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ],
)
def test_what_is_no_cassette_is_told(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r'chat.jsonl is no cassette: its first line has no "tutu_cassette"'):
        read(path)
    if content:
        # Nor is it written to.
        with pytest.raises(ConfigError, match="is no cassette"):
            Tape(path, RELAY, "/v1", "test 1")
        assert path.read_bytes() == content


def test_there_is_none(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no cassette .*chat.jsonl: record it first"):
        read(path)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read(path.parent)
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"):
        Tape(path.parent, RELAY, "/v1", "test 1")


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_another_version_is_told(path: Path, version: object) -> None:
    path.write_text(json.dumps({"tutu_cassette": version, "relay": RELAY, "base": "/v1"}) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"has version {version} of the format, and this tutuclient reads version 1"):
        read(path)


HEAD = {"answer": 1, "t": 0, "status": 200, "headers": {}}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        '{"something": 1}',
        {"request": "1"},
        {"request": 1, "method": "GET"},
        {"answer": 7, "t": 0, "status": 200, "headers": {}},
        {"answer": 1, "t": 0, "status": "200", "headers": {}},
        {"answer": 1, "t": -1, "status": 200, "headers": {}},
        {"answer": 1, "t": 0, "status": 200, "headers": {"content-type": "a\r\nset-cookie: b"}},
        {"answer": 1, "t": 0, "status": 200, "headers": {"retry-after": 5}},
        {"answer": 1, "t": 0, "status": 200, "headers": []},
        {"request": 2, "method": "POST", "path": "/", "form": 5},
        {"request": 2, "method": "POST", "path": "/", "form": ["ab", ["a"]]},
        {"request": 2, "method": "POST", "path": "/", "form": [[None, "b"]]},
        '{"request": 2, "method": "POST", "path": "/", "json": ' + "[" * 300 + "]" * 300 + "}",
        {"part": 1, "t": 0},
        {"part": 1, "text": "x"},
        {"part": 1, "t": 0, "text": 5},
        {"part": 1, "chunks": [[0]], "text": "x"},
        {"part": 1, "chunks": [], "text": "x"},
        {"part": 1, "chunks": [["a", 1]], "text": "x"},
        {"end": 1, "t": "soon", "how": "complete"},
        {"part": 2, "t": 0, "text": "x"},
    ],
)
def test_a_damaged_line_is_named(path: Path, line: Any) -> None:
    good = [{"tutu_cassette": 1, "relay": RELAY, "base": "/v1"}, {"request": 1, **REQUEST}, HEAD]
    bad = line if isinstance(line, str) else json.dumps(line)
    path.write_text("\n".join([*map(json.dumps, good), bad, '{"end": 1}', ""]), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 4, is damaged: .*restore the file, or record it anew"):
        read(path)


def test_another_relay_is_not_recorded_behind_it(path: Path) -> None:
    written(path)
    with pytest.raises(
        ConfigError, match="is a recording of https://relay.example/v1, not of https://other.example/v1"
    ):
        Tape(path, "https://other.example", "/v1", "test 1")


def test_two_recorders_do_not_share_a_file(path: Path) -> None:
    tape = Tape(path, RELAY, "/v1", "test 1")
    with pytest.raises(ConfigError, match="is being recorded by another process"):
        Tape(path, RELAY, "/v1", "test 1")
    tape.close()
    Tape(path, RELAY, "/v1", "test 1").close()


def test_a_full_disk_leaves_whole_lines(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape(path, RELAY, "/v1", "test 1")
    tape.begin(REQUEST)
    before, write = path.read_bytes(), os.write
    room = [10]

    def fills_up(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0], taken = 0, room[0]
        return write(file, data[:taken])

    monkeypatch.setattr(os, "write", fills_up)
    tape.begin(REQUEST)
    tape.write({"end": 1, "t": 1, "how": "complete"})
    assert tape.failure is not None
    assert tape.failure.errno == errno.ENOSPC
    assert path.read_bytes() == before
    tape.close()
    with pytest.raises(ConfigError, match="cannot be written: No space left on device"):
        Tape(path.with_name("new.jsonl"), RELAY, "/v1", "test 1")


def test_a_key_that_nobody_has_taken_out_before_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    tape = Tape(path, "https://relay.example", "/v1", "test")
    tape.write(
        {"request": tape.begin({"method": "GET", "path": "/hunter2"}, ["hunter2"]), "method": "GET", "path": "/x"}
    )
    tape.write({"part": 1, "t": 0, "json": {"HUNTER2": ["aHVudGVyMg=="]}}, ["hunter2"])
    tape.close()
    _, first, _, last = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(first) == {"request": 1, "method": "GET", "path": "/dropped"}
    assert json.loads(last) == {"part": 1, "t": 0, "json": {"dropped": ["dropped=="]}}
