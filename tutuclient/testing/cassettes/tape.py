r"""The file of a cassette: JSON Lines, written line by line while it is recorded, and read as a whole.

The first line tells what it is. Then come, for each exchange and with its number, the request, the head of the answer,
its parts and its end; exchanges that ran side by side have their lines in between each other::

    {"tutu_cassette": 1, "relay": "https://relay.example", "base": "/v1", "by": "tutuclient 0.9.0"}
    {"request": 1, "method": "POST", "path": "/v1/chat/completions", "headers": {…}, "json": {…}}
    {"answer": 1, "t": 0.41, "status": 200, "headers": {"content-type": "text/event-stream"}, "framing": "chunked"}
    {"part": 1, "t": 0.41, "event": {"choices": [{"delta": {"content": "Hi"}}]}}
    {"part": 1, "t": 0.83, "text": "data: [DONE]\n\n"}
    {"end": 1, "t": 0.831, "how": "complete"}

``t`` is in seconds since the request; a part that came in several reads has ``chunks``, pairs of time and bytes, in its
place. ``how`` is ``complete``; ``cut`` (the relay closed the connection); ``reset``; ``left`` (the client went, for
instance since the relay was silent); or ``stopped`` and ``unreachable``, which are not replayed. A body is ``json``,
``event`` (one event of compact JSON), ``form``, ``text`` (as it is) or ``media`` (a digest). In texts,
``{{tutu relay}}`` stands for the relay's address.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tutuclient.errors import ConfigError, printable
from tutuclient.testing import lenient
from tutuclient.testing.cassettes.scrubbing import holds_key, scrub_line
from tutuclient.types.json import too_deep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

VERSION: Final = 1
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_REPLAYED: Final = frozenset({"complete", "cut", "reset", "left"})


@dataclass
class Exchange:
    """One request of a cassette, and how it was answered.

    Attributes:
        number: Its number in the file.
        request: The line of the request.
        answer: The line of the answer's head; None where the connection broke before.
        parts: The lines of the answer's body.
        how: How it ended; empty where the file does not tell.
        ended_at: Seconds from the request to the end.
    """

    number: int
    request: Mapping[str, Any]
    answer: Mapping[str, Any] | None = None
    parts: list[Mapping[str, Any]] = field(default_factory=list[Any])
    how: str = ""
    ended_at: float = 0.0

    @property
    def can_be_replayed(self) -> bool:
        """Whether the file has all of it."""
        return self.how in _REPLAYED


@dataclass
class Cassette:
    """What a file holds.

    Attributes:
        relay: The origin of the relay that was recorded.
        base: The path of its API.
        exchanges: All of them, by number.
        kept_bytes: The length of the file without a last line that was not written to its end.
    """

    relay: str
    base: str
    exchanges: dict[int, Exchange]
    kept_bytes: int

    @property
    def replayed(self) -> list[Exchange]:
        """The exchanges that can be replayed, in the order of their requests."""
        return [each for each in self.exchanges.values() if each.can_be_replayed]


def read(path: Path) -> Cassette:
    """Read a cassette; what its recorder did not finish is noted on stderr, and left out.

    Raises:
        ConfigError: There is no such file, it is no cassette, is of a newer version, or a line in it is damaged.
    """
    shown = printable(str(path))
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"there is no cassette {shown}: record it first") from None
    except OSError as error:
        raise ConfigError(f"the cassette {shown} cannot be read: {error.strerror}") from None
    kept = data.rfind(b"\n") + 1
    lines = data[:kept].split(b"\n")[:-1]
    header = _object(lines[0]) if lines else None
    if header is None or "tutu_cassette" not in header:
        raise ConfigError(
            f'{shown} is no cassette: its first line has no "tutu_cassette". tutuclient serve --record URL --cassette '
            "FILE writes one"
        )
    version = header["tutu_cassette"]
    if version != VERSION:
        raise ConfigError(
            f"{shown} has version {printable(str(version), 20)} of the format, and this tutuclient reads version "
            f"{VERSION}: update tutuclient, or record it anew"
        )
    if not isinstance(header.get("relay"), str) or not isinstance(header.get("base"), str):
        raise ConfigError(f"{shown}, line 1: it does not tell the relay's address; record it anew")
    cassette = Cassette(header["relay"], header["base"], {}, kept)
    for number, line in enumerate(lines[1:], 2):
        if line.strip() and not _take(cassette.exchanges, _object(line)):
            raise ConfigError(
                f"{shown}, line {number}, is damaged: {printable(line[:60].decode('utf-8', 'replace'))}…; restore the "
                "file, or record it anew"
            )
    torn = [str(each.number) for each in cassette.exchanges.values() if not each.how or each.how == "stopped"]
    if torn or kept < len(data):
        said = f"exchange {', '.join(torn)} was not recorded to its end" if torn else "its last line is cut off"
        warn(f"{shown}: {said}; it is not replayed")
    return cassette


def warn(text: str) -> None:
    """Write a line on stderr: what a person has to see although a client is being answered."""
    sys.stderr.write(f"tutuclient cassette: {text}\n")
    sys.stderr.flush()


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = None if too_deep(line) else json.loads(line)
    except ValueError:
        return None
    return lenient.mapping(value) or None


def _take(exchanges: dict[int, Exchange], line: dict[str, Any] | None) -> bool:
    """Add a line to its exchange, and return whether it is one."""
    kind = next((each for each in ("request", "answer", "part", "end") if each in (line or ())), None)
    if line is None or kind is None or not isinstance(number := line[kind], int):
        return False
    if kind == "request":
        exchanges[number] = Exchange(number, line)
        return (
            isinstance(line.get("method"), str) and isinstance(line.get("path"), str) and _is_form(line.get("form", []))
        )
    if (exchange := exchanges.get(number)) is None or exchange.how:
        return False
    if kind == "answer":
        exchange.answer = line
        return isinstance(line.get("status"), int) and _are_headers(line.get("headers")) and _is_time(line.get("t"))
    if kind == "part":
        exchange.parts.append(line)
        return exchange.answer is not None and _has_bytes(line)
    exchange.how, exchange.ended_at = str(line.get("how")), line.get("t", 0.0)
    return _is_time(exchange.ended_at)


def _is_form(value: object) -> bool:
    """Return whether a request's form is a list of pairs, each of a name and what it holds."""
    pairs = [lenient.array(each) for each in lenient.array(value)]
    return isinstance(value, list) and all(len(each) == 2 and isinstance(each[0], str) for each in pairs)  # noqa: PLR2004


def _are_headers(value: object) -> bool:
    """Return whether an answer's headers are texts of one line each."""
    texts = [each for pair in lenient.mapping(value).items() for each in pair]
    return isinstance(value, dict) and all(isinstance(each, str) and not _CONTROL.search(each) for each in texts)


def _has_bytes(line: Mapping[str, Any]) -> bool:
    """Return whether a part's line tells its bytes, and when they came."""
    chunks = [lenient.array(each) for each in lenient.array(line.get("chunks", [[line.get("t"), 0]]))]
    timed = chunks and all(len(each) == 2 and _is_time(each[0]) and isinstance(each[1], int) for each in chunks)  # noqa: PLR2004
    texts = [line[name] for name in ("text", "media") if name in line]
    return bool(timed) and (bool(line.keys() & {"json", "event"}) or (bool(texts) and isinstance(texts[0], str)))


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < 1e9  # noqa: PLR2004  (some thirty years)


class Tape:
    """The file while it is recorded. Every line is in it when ``write`` returns.

    Args:
        path: The file; what it holds already stays, and is gone on from.
        relay: The origin that is recorded.
        base: The path of its API.
        by: The program that records, with its version.

    Attributes:
        failure: Why it cannot be written any more; None as long as it can.
        exchanges: How many requests are in it.

    Raises:
        ConfigError: The file cannot be opened, is no cassette, is another relay's, or is being recorded already.
    """

    def __init__(self, path: Path, relay: str, base: str, by: str) -> None:
        self.path = path
        self.failure: OSError | None = None
        self.exchanges = 0
        shown = printable(str(path))
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise ConfigError(f"the cassette {shown} cannot be written: {error.strerror}") from None
        try:
            _lock(self._file, shown)
            if os.fstat(self._file).st_size:
                self._go_on(relay, base)
            else:
                self.write({"tutu_cassette": VERSION, "relay": relay, "base": base, "by": by})
            _check(self.failure, shown)
        except BaseException:
            os.close(self._file)
            raise

    def _go_on(self, relay: str, base: str) -> None:
        """Continue behind what the file holds already."""
        before = read(self.path)
        if (before.relay, before.base) != (relay, base):
            raise ConfigError(
                f"{printable(str(self.path))} is a recording of {printable(before.relay + before.base)}, not of "
                f"{relay}{base}: choose another file"
            )
        os.ftruncate(self._file, before.kept_bytes)
        self.exchanges = max(before.exchanges, default=0)

    def begin(self, request: Mapping[str, Any], keys: Sequence[str] = ()) -> int:
        """Write a request, and return its number."""
        self.exchanges += 1
        self.write({"request": self.exchanges, **request}, keys)
        return self.exchanges

    def write(self, line: Mapping[str, Any], keys: Sequence[str] = ()) -> None:
        """Append a line; where the disk does not take all of it nothing of it stays, and ``failure`` is set.

        Args:
            line: What is to be written.
            keys: What is not, wherever in the line it may have come to stand.
        """
        if self.failure is not None:
            return
        data = _encoded(line)
        if holds_key(data, keys):
            data = _encoded(scrub_line(line, keys))
        size = os.fstat(self._file).st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self.failure = error
            # A part of a line would make a file that reads as damaged.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)

    def close(self) -> None:
        """Close the file; closing it again has no effect."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _check(failure: OSError | None, shown: str) -> None:
    if failure is not None:
        raise ConfigError(f"the cassette {shown} cannot be written: {failure.strerror}")


def _encoded(line: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # Half of a surrogate pair, and bytes that are no UTF-8, can only be escaped.
        return json.dumps(line).encode() + b"\n"


def _lock(file: int, shown: str) -> None:
    """Keep other recorders out for as long as the file is open; where the system has no locks, nobody is kept out."""
    try:
        import fcntl  # noqa: PLC0415  (Windows has none)
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(f"the cassette {shown} is being recorded by another process") from None
