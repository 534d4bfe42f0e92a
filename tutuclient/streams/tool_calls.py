"""Tool calls of a streamed answer, put together from their pieces."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tutuclient import wire
from tutuclient.types.chat import FunctionCall, FunctionCallDelta, ToolCall, ToolCallDelta, read_once
from tutuclient.types.provenance import remember

if TYPE_CHECKING:
    from collections.abc import Mapping

_MARKS = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)


class TooManyError(ValueError):
    """There is more of something than any answer has."""


class PartialCall:
    """One tool call, as far as it has come.

    Attributes:
        index: Its number in the first piece, or None.
        id: Its id, "" while there is none.
        name: What it calls, as far as it has come.
        arguments: The pieces of its arguments.
        custom: The fields of a call of a custom tool, or None.
    """

    __slots__ = ("_brackets", "_extra", "_input", "_once", "_type", "arguments", "custom", "id", "index", "name")

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.custom: dict[str, Any] | None = None
        self._type = ""
        self._input: list[str] = []
        self._extra: dict[str, Any] = {}
        self._brackets = _Brackets()
        self._once = ""

    def add(self, piece: ToolCallDelta, name: str, arguments: str, raw: Mapping[str, Any]) -> None:
        """Add a piece."""
        # The first id counts: relays that make a new one for each piece still mean one call.
        self.id = self.id or piece.id or ""
        self._type = self._type or piece.type or ""
        self.name = self.name or name
        if arguments:
            self.arguments.append(arguments)
            if self._once and arguments.strip() != self._once:
                self._once = ""
        if piece.custom:
            self.custom = (self.custom or {}) | {k: v for k, v in piece.custom.items() if v is not None}
            self._input.append(str(piece.custom.get("input") or ""))
        # Gemini's thought_signature and its like have to go back with the call (WIRE.md 3.3, item 9).
        self._extra |= {k: v for k, v in raw.items() if k not in ToolCallDelta.__struct_fields__}

    @property
    def is_complete(self) -> bool:
        """Whether the arguments have come to their end."""
        return self._brackets.closed(self.arguments)

    def is_repeated_by(self, piece: ToolCallDelta, arguments: str) -> bool:
        """Return whether a piece repeats the complete arguments of this call, which has its index (opencodex#361)."""
        if piece.index is None:
            return False
        # Kept: a relay may repeat them as often as there are pieces, and joining them for each would be quadratic.
        self._once = self._once or read_once("".join(self.arguments)).strip()
        return arguments.strip() == self._once

    def continues_with(self, arguments: str) -> bool:
        """Return whether arguments without a name belong to this call, whatever id is written on them."""
        return not self.is_complete if arguments.strip() else bool(self.arguments)

    def continues_name_with(self, piece: ToolCallDelta, name: str, arguments: str) -> bool:
        """Return whether a piece has more of this call's name.

        It has the call's id, or its index and no id, and there are no arguments yet. Without ids at all another name
        that comes with arguments is another call's: some relays number all calls alike.
        """
        if not name or self.arguments or not self.name or name == self.name:
            return False
        if piece.id:
            return piece.id == self.id
        return piece.index is not None and piece.index == self.index and bool(self.id or not arguments)

    def is_followed_by(self, piece: ToolCallDelta, name: str, arguments: str) -> bool:
        """Return whether a piece with this call's id begins another call: some relays give all calls the same id."""
        if not name or not self.name:
            return False
        moved = piece.index is not None and self.index is not None and piece.index != self.index
        if name != self.name:
            return moved or bool(self.arguments)
        if not moved or not arguments.strip() or not self.is_complete:
            return False
        return not self.is_repeated_by(piece, arguments)

    def finish(self) -> ToolCall:
        """Return the call as far as it has come."""
        function = FunctionCall(name=self.name, arguments="".join(self.arguments))
        kind = self._type or ("custom" if self.custom else "function")
        custom: Any = self.custom and self.custom | {"input": "".join(self._input)}
        call = ToolCall(id=self.id, type=kind, function=function, custom=custom)
        remember(call, (self._extra, ()))
        return call


class ToolCalls:
    """Tool calls put together from their pieces, however the relay numbers them (WIRE.md 3.3, item 8).

    Pieces belong together by id, then by index, then by coming one after the
    other. Another name begins a new call, and so does the same name with more
    arguments after complete ones: some relays number all calls alike. A name may
    come in pieces before there are arguments (Gemini behind relays,
    openai-agents-python#326), and complete arguments twice (opencodex#361). A
    piece without a name begins no call while arguments are open: vLLM once made a
    new id for each piece, and relays leave the index out of the first one.
    """

    def __init__(self) -> None:
        self.calls: list[PartialCall] = []
        self._by_id: dict[str, PartialCall] = {}
        # By the choice's number and the call's; under the call's alone, the last of any choice with that number.
        self._by_index: dict[tuple[int, int] | int, PartialCall] = {}

    def add(self, piece: ToolCallDelta, raw: Mapping[str, Any], *, choice: int = 0) -> PartialCall:
        """Add the next piece, with its JSON ({} where that is not known), and return the call that it belongs to."""
        name = (piece.function.name if piece.function else None) or ""
        arguments = (piece.function.arguments if piece.function else None) or ""
        call = self._find(piece, name, arguments, choice)
        if call is None:
            if len(self.calls) >= wire.MOST_CALLS:
                raise TooManyError(f"more than {wire.MOST_CALLS:,} tool calls")
            call = PartialCall(piece.index)
            self.calls.append(call)
            self._number(call, piece.index, choice)
        elif call.continues_name_with(piece, name, arguments):
            # Some relays repeat the name as far as it has come, others send only what is new of it.
            call.name = name if name.startswith(call.name) else call.name + name
        call.add(piece, name, arguments, raw)
        if call.id:
            self._by_id[call.id] = call
        return call

    def _find(self, piece: ToolCallDelta, name: str, arguments: str, choice: int) -> PartialCall | None:
        """Return the call that a piece belongs to; None when it begins one."""
        index = piece.index
        last = self.calls[-1] if self.calls else None
        if index is not None:
            # new-api's Claude channel moves the choice's number within a call (WIRE.md 3.3, item 7).
            last = self._by_index.get((choice, index)) or self._by_index.get(index)
        if piece.id and piece.id in self._by_id:
            own = last if last is not None and last.id == piece.id else self._by_id[piece.id]
            return None if own.is_followed_by(piece, name, arguments) else own
        if last is None:
            before = self.calls[-1] if self.calls else None
            if before is None or name or piece.id or piece.custom or (arguments and before.is_complete):
                return None
            self._number(before, index, choice)  # Its first piece had no index, its later ones have.
            return before
        if piece.id and last.id:
            return last if index is not None and not name and last.continues_with(arguments) else None
        if name and last.name and not last.continues_name_with(piece, name, arguments):
            again = arguments and last.is_complete and not last.is_repeated_by(piece, arguments)
            return None if name != last.name or again else last
        return last

    def _number(self, call: PartialCall, index: int | None, choice: int) -> None:
        if index is not None:
            self._by_index[choice, index] = self._by_index[index] = call

    def has(self, piece: ToolCallDelta) -> bool:
        """Return whether a whole call has come already."""
        function = piece.function or FunctionCallDelta()
        return any(
            call.id == (piece.id or call.id)
            and call.name == (function.name or call.name)
            and "".join(call.arguments).strip() in ((function.arguments or "").strip(), "")
            for call in self.calls
        )

    def finish(self) -> list[ToolCall]:
        """Return the calls as far as they have come."""
        return [call.finish() for call in self.calls]


class _Brackets:
    """Checks whether the arguments of a call have come to their end: every bracket is closed.

    It looks at each piece once, and only when asked: most relays name a call in
    its first piece alone, and then nothing has to be asked. Parsing the JSON for
    each piece anew would be quadratic.
    """

    __slots__ = ("_depth", "_escaped", "_in_string", "_opened", "_seen")

    def __init__(self) -> None:
        self._seen = self._depth = 0
        self._opened = self._in_string = self._escaped = False

    def closed(self, pieces: list[str]) -> bool:
        """Return whether these pieces, of which earlier ones are known, make something whole."""
        for piece in pieces[self._seen :]:
            start, self._escaped = int(self._escaped), False
            for mark in _MARKS.findall(piece, start):
                if mark[0] == "\\":
                    self._escaped = len(mark) == 1  # What it escapes is in the next piece.
                elif mark == '"':
                    self._in_string = not self._in_string
                elif not self._in_string:
                    self._opened = True
                    self._depth += 1 if mark in "{[" else -1
        self._seen = len(pieces)
        return self._opened and self._depth <= 0 and not self._in_string
