"""Keys that no text of an answer has whole: spelt over the deltas of a stream, the tokens of a list, or by escapes.

What a client puts together is looked at as it does: the texts at the same place of each event (or line of NDJSON, or
item of a list) are read one after another. An event whose text may be the beginning of a key is held back until the
next text has shown whether it is, so that no key reaches the file.
"""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tutuclient.testing import lenient
from tutuclient.testing.cassettes.scrubbing import DROPPED, base64_forms, written_forms
from tutuclient.types.json import too_deep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_HELD_FROM = 4
"""Beginnings shorter than this hold nothing back: they are ``sk-``, or one letter by chance."""
_DROPPED_FROM = 8
"""From how many letters on the beginning of a key is dropped where the answer ends in its middle."""
_DATA = re.compile(r"((?:^\ufeff?|\r\n|[\r\n])data:[ ]?)([^\r\n]*)")


@dataclass(eq=False)
class _Waiting:
    """A part of an answer, and what texts are in it: ``values`` are the documents, each in a list of its own."""

    part: dict[str, Any]
    values: list[list[Any]]
    is_changed: bool = False
    is_written: bool = False


@dataclass(eq=False)
class _Piece:
    """The end of a text: ``length`` letters of ``holder[name]``."""

    waiting: _Waiting
    holder: Any
    name: Any
    length: int

    def cut(self, start: int, end: int, by: str) -> None:
        """Replace the letters from ``start`` to ``end``, as they are counted within the piece."""
        text: str = self.holder[self.name]
        first = len(text) - self.length
        self.holder[self.name] = text[: first + start] + by + text[first + end :]
        self.length += len(by) - (end - start)
        self.waiting.is_changed = True


@dataclass
class _Beginning:
    """What may be the beginning of a key, at the end of the texts of one place."""

    text: str = ""
    pieces: list[_Piece] = field(default_factory=list[_Piece])


class SplitKeys:
    """The parts of one answer on their way into a cassette, without the keys that go across their texts.

    Args:
        keys: What goes.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        forms = {form.decode("utf-8", "surrogatepass") for key in keys for form in written_forms(key)}
        forms |= {form.decode() for key in keys for form in base64_forms(key)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._beginnings = frozenset(form[:length] for form in forms for length in range(1, len(form)))
        self._longest = max(map(len, forms), default=0) - 1
        self._waiting: deque[_Waiting] = deque()
        self._ends: dict[str, _Beginning] = {}

    def feed(self, part: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Add a part, and yield those that are known to hold no key, in their order."""
        if not self._forms:
            yield part
            return
        waiting = _Waiting(part, _documents(part))
        self._waiting.append(waiting)
        for value in waiting.values:
            for holder, name, place in _texts(value, 0, ""):
                self._look(_Piece(waiting, holder, name, len(holder[name])), place)
        held = {id(each.waiting) for end in self._ends.values() if len(end.text) >= _HELD_FROM for each in end.pieces}
        while self._waiting and id(self._waiting[0]) not in held:
            yield self._next()

    def finish(self, *, drops_beginnings: bool = True) -> Iterator[dict[str, Any]]:
        """Yield what was held back, at the end of the answer; without keys that break off there, unless told to."""
        for end in self._ends.values():
            if drops_beginnings and len(end.text) >= _DROPPED_FROM:
                _cut(end.pieces, 0, len(end.text))
        self._ends.clear()
        while self._waiting:
            yield self._next()

    def _next(self) -> dict[str, Any]:
        waiting = self._waiting.popleft()
        waiting.is_written = True
        return _written(waiting)

    def _look(self, piece: _Piece, place: str) -> None:
        """Read on with a text: drop the keys that end in it, and keep in mind what may be the beginning of one."""
        end = self._ends.get(place) or _Beginning()
        pieces, text = [*end.pieces, piece], end.text + piece.holder[piece.name]
        while found := min(((text.index(form), -len(form)) for form in self._forms if form in text), default=None):
            start, stop = found[0], found[0] - found[1]
            _cut(pieces, start, stop)
            # What follows is in the last text, since without that there was no key.
            text = text[stop:]
            piece.length, pieces = len(text), [piece]
        lengths = range(min(self._longest, len(text)), 0, -1)
        length = next((each for each in lengths if text[-each:] in self._beginnings), 0)
        self._ends[place] = _Beginning(text[len(text) - length :], _last(pieces, length))


def _cut(pieces: Sequence[_Piece], start: int, end: int) -> None:
    """Replace letters of several texts that follow each other: by a word where they begin, by nothing behind that."""
    by, before = DROPPED, 0
    for each in pieces:
        length = each.length
        first, last = max(start - before, 0), min(end - before, length)
        if first < last and not each.waiting.is_written:
            each.cut(first, last, by)
            by = ""
        before += length


def _last(pieces: Sequence[_Piece], length: int) -> list[_Piece]:
    """Return those pieces that hold the last ``length`` letters."""
    kept: list[_Piece] = []
    for each in reversed(pieces):
        if not length:
            break
        each.length = min(each.length, length)
        length -= each.length
        kept.append(each)
    return kept[::-1]


def _documents(part: dict[str, Any]) -> list[list[Any]]:
    """Return what is to be looked through in a part."""
    for kind in ("event", "json"):
        if kind in part:
            return [[part[kind]]]
    text = part.get("text")
    if not isinstance(text, str):
        return []
    if data := [each for _, each in _DATA.findall(text)]:
        return [[_decoded("\n".join(data))]]
    whole = _decoded(text)
    if not isinstance(whole, str):
        return [[whole]]
    lines = text.split("\n")
    return [[_decoded(line)] for line in lines] if text.startswith("{") and len(lines) > 1 else []


def _decoded(text: str) -> Any:
    """Decode JSON; what is none, and what is nested too deep, is a text."""
    if text.lstrip()[:1] not in {"{", "["} or too_deep(text.encode("utf-8", "surrogatepass")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _texts(holder: Any, name: Any, place: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield each text of a document in its order: what holds it, under what name, and its place."""
    value: object = holder[name]
    if isinstance(value, str):
        yield holder, name, place
    elif items := lenient.array(value):
        for index, item in enumerate(items):
            if isinstance(item, str | list | dict):  # Or vectors would take long.
                yield from _texts(items, index, f"{place}[]")
    elif fields := lenient.mapping(value):
        # Choices and tool calls are told apart by their index, wherever they stand in a list.
        number = "".join(f"{each}={fields[each]}," for each in fields if each.endswith("index"))
        for inner in fields:
            yield from _texts(fields, inner, f"{place}.{number}{inner}")


def _written(waiting: _Waiting) -> dict[str, Any]:
    """Return a part as it is to be written."""
    part, values = waiting.part, waiting.values
    if not waiting.is_changed:
        return part
    if "text" not in part:
        kind = "event" if "event" in part else "json"
        return {**part, kind: values[0][0]}
    texts = [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for (each,) in values]
    # All data stands in the place of the first line of it.
    data = iter([texts[0].replace("\n", "\ndata: ")])
    if _DATA.search(part["text"]):
        return {
            **part,
            "text": _DATA.sub(lambda found: found[1] + each if (each := next(data, None)) else "", part["text"]),
        }
    return {**part, "text": "\n".join(texts)}
