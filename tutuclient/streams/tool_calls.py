"""Tool calls of a streamed answer, put together from their pieces."""

from __future__ import annotations

import re
from typing import Any

from tutuclient import wire
from tutuclient.types.chat import FunctionCall, FunctionCallDelta, ToolCall, ToolCallDelta, read_once
from tutuclient.types.provenance import remember

_MARKS = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)


class ToolCalls:
    """Tool calls put together from their pieces, however the relay numbers them.

    Pieces belong together by id, then by index, then by coming one after the
    other. Another name begins a new call, and so does the same name with more
    arguments after complete ones: some relays number all calls alike. A name may
    come in pieces before there are arguments (Gemini behind relays,
    openai-agents-python#326), and complete arguments twice (opencodex#361). What
    has no name begins no call while arguments are open: vLLM made an id of its
    own for each piece, and relays leave the index out of the first one.
    """

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self._by_id: dict[str, dict[str, Any]] = {}
        # By the number of the choice and that of the call; of any choice, the last with that number.
        self._by_index: dict[tuple[int, int] | int, dict[str, Any]] = {}

    def add(self, piece: ToolCallDelta, raw: dict[str, Any], *, of: int = 0) -> dict[str, Any]:
        """Add the next piece, of the choice with a number; return the call that it belongs to."""
        name = (piece.function.name if piece.function else None) or ""
        arguments = (piece.function.arguments if piece.function else None) or ""
        call: dict[str, Any] | None = self._find(piece, name, arguments, of)
        if call is None:
            if len(self.calls) >= wire.MOST_CALLS:
                raise TooManyError(f"more than {wire.MOST_CALLS:,} tool calls")
            call = {
                "index": piece.index,
                "id": "",
                "type": "",
                "name": "",
                "arguments": [],
                "brackets": _Brackets(),
                "once": "",
                "custom": None,
                "input": [],
                "extra": {},
            }
            self.calls.append(call)
            self._number(call, piece, of)
        elif self._continues_name(call, piece, name, arguments):
            call["name"] = name if name.startswith(call["name"]) else call["name"] + name
        call["id"] = call["id"] or piece.id or ""
        if call["id"]:
            self._by_id[call["id"]] = call
        call["type"] = call["type"] or piece.type or ""
        call["name"] = call["name"] or name
        if arguments:
            call["arguments"].append(arguments)
            if call["once"] and arguments.strip() != call["once"]:
                call["once"] = ""
        if piece.custom:
            call["custom"] = (call["custom"] or {}) | {k: v for k, v in piece.custom.items() if v is not None}
            call["input"].append(str(piece.custom.get("input") or ""))
        call["extra"] |= {k: v for k, v in raw.items() if k not in ToolCallDelta.__struct_fields__}
        return call

    def _find(self, piece: ToolCallDelta, name: str, arguments: str, of: int) -> dict[str, Any] | None:
        index = piece.index
        last: dict[str, Any] | None = next(reversed(self.calls), None)
        if index is not None:
            last = self._by_index.get((of, index)) or self._by_index.get(index)
        if piece.id and piece.id in self._by_id:
            own = last if last is not None and last["id"] == piece.id else self._by_id[piece.id]
            return None if self._is_another(own, piece, name, arguments) else own
        if last is None:
            return None if name or piece.id or piece.custom else self._unnumbered(piece, arguments, of)
        if piece.id and last["id"]:
            return last if index is not None and not name and self._goes_on(last, arguments) else None
        if name and last["name"] and not self._continues_name(last, piece, name, arguments):
            if name != last["name"]:
                return None
            whole = arguments and last["brackets"].closed(last["arguments"])
            return None if whole and not _says_again(piece, last, arguments) else last
        return last

    def _number(self, call: dict[str, Any], piece: ToolCallDelta, of: int) -> None:
        if piece.index is not None:
            self._by_index[of, piece.index] = self._by_index[piece.index] = call

    def _unnumbered(self, piece: ToolCallDelta, arguments: str, of: int) -> dict[str, Any] | None:
        """Return the last call for a piece that has nothing but a number that no call has."""
        last: dict[str, Any] | None = next(reversed(self.calls), None)
        if last is None or (arguments and last["brackets"].closed(last["arguments"])):
            return None
        self._number(last, piece, of)
        return last

    @staticmethod
    def _goes_on(call: dict[str, Any], arguments: str) -> bool:
        """Return whether arguments without a name go on with those of a call, whatever id is written on them."""
        if arguments.strip():
            return not call["brackets"].closed(call["arguments"])
        return bool(call["arguments"])

    @staticmethod
    def _is_another(call: dict[str, Any], piece: ToolCallDelta, name: str, arguments: str) -> bool:
        """Return whether a piece begins another call under an id that a call has: some relays give all the same."""
        if not name or not call["name"]:
            return False
        moved = piece.index is not None and call["index"] is not None and piece.index != call["index"]
        if name != call["name"]:
            return moved or bool(call["arguments"])
        if not moved or not arguments.strip() or not call["brackets"].closed(call["arguments"]):
            return False
        return not _says_again(piece, call, arguments)

    @staticmethod
    def _continues_name(call: dict[str, Any], piece: ToolCallDelta, name: str, arguments: str) -> bool:
        """Return whether a piece has more of a call's name.

        It has the call's id, or its index and no id, and there are no arguments yet. Without ids at all another name
        that comes with arguments is another call's: some relays number all calls alike.
        """
        if not name or call["arguments"] or not call["name"] or name == call["name"]:
            return False
        if piece.id:
            return bool(piece.id == call["id"])
        same = piece.index is not None and piece.index == call["index"]
        return same and bool(call["id"] or not arguments)

    def has(self, piece: ToolCallDelta) -> bool:
        """Return whether a whole call has come already."""
        function = piece.function or FunctionCallDelta()
        return any(
            call["id"] == (piece.id or call["id"])
            and call["name"] == (function.name or call["name"])
            and "".join(call["arguments"]).strip() in ((function.arguments or "").strip(), "")
            for call in self.calls
        )

    def finish(self) -> list[ToolCall]:
        """Give the calls as far as they have come."""
        done: list[ToolCall] = []
        for call in self.calls:
            function = FunctionCall(name=call["name"], arguments="".join(call["arguments"]))
            kind = call["type"] or ("custom" if call["custom"] else "function")
            custom = call["custom"] and call["custom"] | {"input": "".join(call["input"])}
            made = ToolCall(id=call["id"], type=kind, function=function, custom=custom)
            remember(made, (call["extra"], ()))
            done.append(made)
        return done


class TooManyError(ValueError):
    """There is more of something than any answer has."""


def _says_again(piece: ToolCallDelta, call: dict[str, Any], arguments: str) -> bool:
    """Return whether a piece repeats the complete arguments of the call that has its index."""
    if piece.index is None:
        return False
    # Kept, since they may be repeated as often as there are pieces.
    once = call["once"] = call["once"] or read_once("".join(call["arguments"])).strip()
    return bool(arguments.strip() == once)


class _Brackets:
    """Tells whether the arguments of a call have come to their end: every bracket is closed.

    It looks at each piece once, and only when asked: most relays name a call in
    its first piece alone.
    """

    __slots__ = ("_depth", "_escaped", "_in_string", "_opened", "_seen")

    def __init__(self) -> None:
        self._seen = self._depth = 0
        self._opened = self._in_string = self._escaped = False

    def closed(self, pieces: list[str]) -> bool:
        """Say whether these pieces, of which earlier ones are known, make something whole."""
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
