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

_Text = tuple[Any, Any]
"""The list or object that holds a text, and the text's index or name in it."""


@dataclass(eq=False)
class _Waiting:
    """A part of an answer, and what texts are in it: ``values`` are the documents, each in a list of its own."""

    part: dict[str, Any]
    values: list[list[Any]]
    is_changed: bool = False
    is_written: bool = False


@dataclass(eq=False)
class _Piece:
    """The last ``length`` letters of a text."""

    waiting: _Waiting
    text: _Text
    length: int

    def cut(self, start: int, end: int, by: str) -> None:
        """Replace the letters from ``start`` to ``end``, as they are counted within the piece."""
        holder, name = self.text
        text: str = holder[name]
        first = len(text) - self.length
        holder[name] = text[: first + start] + by + text[first + end :]
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
        self._found = re.compile("|".join(map(re.escape, self._forms)))
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
        for place, texts in _texts(waiting.values).items():
            self._look(waiting, place, texts)
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

    def _look(self, waiting: _Waiting, place: str, texts: Sequence[_Text]) -> None:
        """Read on with texts: drop the keys that end in them, and keep in mind what may be the beginning of one."""
        end = self._ends.get(place) or _Beginning()
        text = end.text + "".join([holder[name] for holder, name in texts])
        # One by one they are looked for several times as fast as by a pattern, which finds out where they are.
        if any(form in text for form in self._forms):
            pieces = [*end.pieces, *(_Piece(waiting, each, len(each[0][each[1]])) for each in texts)]
            spans = [found.span() for found in self._found.finditer(text)]
            for start, stop in reversed(spans):
                _cut(pieces, start, stop)
            text = text[spans[-1][1] :]
        lengths = range(min(self._longest, len(text)), 0, -1)
        length = next((each for each in lengths if text[-each:] in self._beginnings), 0)
        if length:
            self._ends[place] = _Beginning(text[-length:], _last(end.pieces, waiting, texts, length))
        else:
            self._ends.pop(place, None)


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


def _last(earlier: Sequence[_Piece], waiting: _Waiting, texts: Sequence[_Text], length: int) -> list[_Piece]:
    """Return the pieces that hold the last ``length`` letters of those that were held, and of the texts behind them."""
    kept: list[_Piece] = []
    for holder, name in reversed(texts):
        kept.append(_Piece(waiting, (holder, name), min(len(holder[name]), length)))
        length -= kept[-1].length
        if not length:
            return kept[::-1]
    for each in reversed(earlier):
        each.length = min(each.length, length)
        length -= each.length
        kept.append(each)
    return [each for each in reversed(kept) if each.length]


def _documents(part: dict[str, Any]) -> list[list[Any]]:
    """Return what is to be looked through in a part."""
    for kind in ("event", "json"):
        if kind in part:
            return [[part[kind]]]
    text = part.get("text")
    if not isinstance(text, str):
        return []
    if "data:" in text and (data := [each for _, each in _DATA.findall(text)]):
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


def _texts(documents: list[list[Any]]) -> dict[str, list[_Text]]:
    """Return the texts of documents that are not empty, by their places, in the order of the documents."""
    texts: dict[str, list[_Text]] = {}
    for each in documents:
        _gather(each, 0, "", texts)
    return texts


def _gather(holder: Any, name: Any, place: str, texts: dict[str, list[_Text]]) -> None:
    value: object = holder[name]
    if isinstance(value, str):
        if value:
            texts.setdefault(place, []).append((holder, name))
    elif items := lenient.array(value):
        for index, item in enumerate(items):
            if isinstance(item, str | list | dict):  # Or vectors would take long.
                _gather(items, index, f"{place}[]", texts)
    elif fields := lenient.mapping(value):
        # Choices and tool calls are told apart by their index, wherever they stand in a list.
        numbers = [f"{each}={fields[each]}," for each in fields if each.endswith("index")]
        within = f"{place}.{''.join(numbers)}"
        for inner in fields:
            _gather(fields, inner, within + inner, texts)


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
