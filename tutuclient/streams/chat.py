"""Chunks as they come: an async generator over the bytes of a streamed answer, and their folding.

Knows no HTTP: bytes come from a ``Reply``, events from ``sse``, chunks from
``wire``. A stream is complete when its choices have said why they ended, or the
relay has said ``[DONE]``; anything else is an error with what had come.
"""

from __future__ import annotations

import asyncio
import operator
import re
import sys
import warnings
import weakref
from contextlib import aclosing, contextmanager
from functools import partial
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from msgspec.structs import asdict, astuple, force_setattr, replace

from tutuclient import wire
from tutuclient.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    ConfigError,
    IncompleteStreamError,
    TutuError,
    UnexpectedResponseError,
)
from tutuclient.types.audio import join_base64
from tutuclient.types.base import keep, keep_pair, kept
from tutuclient.types.chat import (
    ChatAudio,
    ChatAudioDelta,
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatDelta,
    ChatMessage,
    ChoiceLogprobs,
    FunctionCall,
    FunctionCallDelta,
    Moderation,
    ToolCall,
    ToolCallDelta,
    fuller,
    is_reason,
    is_thought,
    read_once,
)
from tutuclient.types.json import DEEPEST, is_list, is_object, read_json, too_deep
from tutuclient.wire import sse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
    from types import TracebackType
    from typing import Self, SupportsIndex

    from tutuclient._meta import Meta
    from tutuclient.transport.deadlines import Watch
    from tutuclient.transport.reply import Reply
    from tutuclient.types.base import Origin
    from tutuclient.types.chat import TokenLogprob, Usage

E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
T = TypeVar("T")

_ERROR = re.compile(rb'"error"')
# Where a chunk that seems to add nothing may have its piece of the answer, or its error.
_MORE_THAN_SILENCE = re.compile(rb'"(?:error|message|success|text)"|"\w*[A-Z]\w*"\s*:|"content"\s*+:\s*+(?!""|null)')
_MARKS = re.compile(r'\\.?|["{}\[\]]', re.DOTALL)
# How long to wait for the end of the body behind [DONE], in seconds: with it the connection serves again.
_TAIL_S = 0.1
_TAIL_BYTES = 64 * 2**10
_PIECE = 64 * 2**10
# What is longer and goes on growing is content on its way, such as a picture.
_LONGEST_PING = 4096
# Nearly every chunk is known not to be nested too deeply by a look at its end: no list begins there, one before that
# takes a byte at least, and an object takes four anywhere.
_LISTS_END = 224
_SHORT = 4 * (DEEPEST - 2) - 3 * _LISTS_END
# Looking for a number in bytes takes a tenth of the time of looking for bytes in bytes.
_OPEN = ord("[")
# So many chunks without content are kept back for the first that has some.
_MANY_EMPTY = 1000
# How many fields of a delta are None when only one is not.
_ALL_BUT_ONE = len(ChatDelta.__struct_fields__) - 1
# Fields of a delta that this client has no name for, and that have to go back with tool calls.
_OTHER_THOUGHTS = re.compile(
    rb'"(?!finish_reason"|reasoning(?:_content|_details|_text|_tokens)?"|thinking")'
    rb'(?:\w*(?:reason|think|thought|signature)\w*|extra_content|encrypted_content)"\s*:',
    re.IGNORECASE,
)
# What of a thought comes in pieces.
_IN_PIECES = ("text", "summary", "thinking")
# Where the fields of a delta begin that hardly any has.
_REST = ChatDelta.__struct_fields__.index("annotations")


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
            keep(made, {"place": (call["extra"], ())})
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


class _Choice:
    """One choice, as far as it has come."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.reasoning_content: list[str] = []
        self.reasoning: list[str] = []
        self.reasoning_text: list[str] = []
        self.thoughts: list[Any] = []
        self.refusal: list[str] = []
        self.parts: list[Any] = []
        self.tools = ToolCalls()
        self.function_name = ""
        self.function_arguments: list[str] = []
        self.role = ""
        self.images: list[Any] = []
        self.lists: dict[str, list[Any]] = {"annotations": [], "reasoning_details": []}
        self.audio: dict[str, Any] = {}
        self.audio_pieces: dict[str, list[str]] = {"data": [], "transcript": []}
        self.logprobs: tuple[list[TokenLogprob], list[TokenLogprob]] | None = None
        self.finish_reason: str | None = None
        self.by_message = False
        self.others: dict[str, list[Any]] = {}
        self.thinks_nothing = False

    def add(self, choice: ChatChunkChoice, raw: Callable[[], dict[str, Any]]) -> None:
        delta = choice.delta
        # Of one answer over several choices that with the calls has the reason: the text's may come behind it.
        if choice.finish_reason and not (self.finish_reason in _CALLING and choice.finish_reason == "stop"):
            self.finish_reason = choice.finish_reason
        if choice.logprobs:
            self._add_logprobs(choice.logprobs)
        if delta.parts or self.parts:
            self._add_parts(delta)
        if delta.content:
            self.content.append(delta.content)
        self.role = self.role or delta.role or ""
        self._add_thoughts(delta)
        if delta.refusal:
            self.refusal.append(delta.refusal)
        if delta.tool_calls or delta.function_call:
            self._add_calls(delta, raw, choice.index)
        if any(astuple(delta)[_REST:]):
            self._add_rest(delta)

    def add_others(self, delta: dict[str, Any]) -> None:
        """Add the fields of a delta that nobody here understands, and that have to go back with tool calls."""
        for name, value in delta.items():
            if value is not None and is_thought(name) and name not in _DELTA_FIELDS:
                pieces = self.others.setdefault(name, [])
                if value not in pieces[-1:]:
                    pieces.append(value)
                    _check_count(pieces)

    def news(self, delta: ChatDelta) -> ChatDelta:
        """Return what a message adds that stands where a delta belongs: it may repeat what has come in deltas."""
        if self.by_message or not self.said_something:
            self.by_message = True  # Relays that write "message" for "delta" in every chunk.
            return delta
        new: dict[str, Any] = {name: _rest(getattr(delta, name), getattr(self, name)) for name in _TEXTS}
        for name, known in (("images", self.images), *self.lists.items()):
            items: Any = getattr(delta, name)
            new[name] = [item for item in items if item not in known] if is_list(items) else items
        if delta.image in self.images:
            new["image"] = None
        if delta.parts:  # Its text is in the content.
            texts = (None, "", "text", "output_text")
            new["parts"] = [part for part in delta.parts if is_object(part) and part.get("type") not in texts] or None
        if self.thoughts:
            new["thoughts"] = None
        if self.audio or any(self.audio_pieces.values()):
            new["audio"] = None
        if self.function_name or self.function_arguments:
            new["function_call"] = None
        if delta.tool_calls and self.tools.calls:
            new["tool_calls"] = [call for call in delta.tool_calls if not self.tools.has(call)] or None
        return replace(delta, **new)

    def _add_thoughts(self, delta: ChatDelta) -> None:
        if delta.reasoning_content:
            self.reasoning_content.append(delta.reasoning_content)
        elif delta.reasoning_content is not None:
            self.thinks_nothing = True  # Kimi wants that back too.
        if delta.reasoning:
            self.reasoning.append(delta.reasoning)

    def _add_parts(self, delta: ChatDelta) -> None:
        # Mistral sends its thoughts as a list of parts and then its answer as text: the parts keep both, in order.
        if not self.parts and self.content:
            self.parts.append({"type": "text", "text": "".join(self.content)})
        self.parts += delta.parts or ([{"type": "text", "text": delta.content}] if delta.content else [])
        _check_count(self.parts)

    def _add_calls(self, delta: ChatDelta, raw: Callable[[], dict[str, Any]], of: int) -> None:
        if delta.tool_calls:
            raws: list[dict[str, Any]] | str | None = raw().get("tool_calls")
            for number, piece in enumerate(delta.tool_calls):
                fields = raws[number] if isinstance(raws, list) and len(raws) == len(delta.tool_calls) else {}
                self.tools.add(piece, fields, of=of)
        if delta.function_call:
            self.function_name = self.function_name or delta.function_call.name or ""
            self.function_arguments.append(delta.function_call.arguments or "")

    def _add_rest(self, delta: ChatDelta) -> None:
        if delta.reasoning_text:
            self.reasoning_text.append(delta.reasoning_text)
        if delta.thoughts:
            self.thoughts.append(delta.thoughts)
        for pictures in (delta.images, delta.image):
            if pictures:
                self.images += pictures if isinstance(pictures, list) else [pictures]
        _check_count(self.images)
        for name, items in self.lists.items():
            more: list[Any] | str | None = getattr(delta, name)
            if isinstance(more, list):
                items.extend(more)
                _check_count(items)
        if delta.audio is not None:
            self._add_audio(asdict(delta.audio))

    def _add_audio(self, audio: dict[str, Any]) -> None:
        for name, value in audio.items():
            if isinstance(value, str) and name in self.audio_pieces:
                self.audio_pieces[name].append(value)
            elif value is not None:
                self.audio[name] = value

    def _add_logprobs(self, logprobs: ChoiceLogprobs) -> None:
        content, refusal = self.logprobs = self.logprobs or ([], [])
        content += logprobs.content or ()
        refusal += logprobs.refusal or ()
        _check_count(content, _MOST_TOKENS)
        _check_count(refusal, _MOST_TOKENS)

    @property
    def said_something(self) -> bool:
        reasoning = self.reasoning_content or self.reasoning or self.reasoning_text or self.thoughts
        reasoning = reasoning or self.lists["reasoning_details"]
        said = self.content or self.parts or self.refusal or self.tools.calls or self.function_arguments or self.images
        heard = self.audio or any(self.audio_pieces.values())
        return bool(said or heard or reasoning or self.finish_reason)

    def _whole_audio(self) -> dict[str, Any]:
        pieces = self.audio_pieces
        spoken = {"data": join_base64(pieces["data"]), "transcript": "".join(pieces["transcript"])}
        return self.audio | {name: text for name, text in spoken.items() if text}

    def _whole_thoughts(self) -> Any:
        texts = [thought for thought in self.thoughts if isinstance(thought, str)]
        if len(texts) == len(self.thoughts):
            return "".join(texts) or None
        lists: list[list[Any]] = [thought if is_list(thought) else [thought] for thought in self.thoughts]
        return list(chain.from_iterable(lists))

    def _whole_others(self) -> dict[str, Any]:
        """Join what came in pieces: texts and lists; of anything else the last counts."""
        whole: dict[str, Any] = {}
        for name, pieces in self.others.items():
            if all(isinstance(piece, str) for piece in pieces):
                whole[name] = "".join(pieces)
            elif all(map(is_list, pieces)):
                whole[name] = _joined_blocks(list(chain.from_iterable(pieces)))
            else:
                whole[name] = pieces[-1]
        return whole

    def finish(self, index: int) -> ChatChoice:
        calls, audio = self.tools.finish(), self._whole_audio()
        content, refusal = self.logprobs or ([], [])
        logprobs = self.logprobs and ChoiceLogprobs(content=content[:] or None, refusal=refusal[:] or None)
        function = None
        if self.function_name or self.function_arguments:
            function = FunctionCall(name=self.function_name, arguments="".join(self.function_arguments))
        said_nothing = bool(calls or function or self.images or audio or self.refusal) and not self.content
        message = ChatMessage(
            role=self.role or "assistant",
            content=None if said_nothing else "".join(self.content),
            parts=self.parts or None,
            refusal="".join(self.refusal) or None,
            tool_calls=calls or None,
            function_call=function,
            annotations=self.lists["annotations"] or None,
            audio=wire.fit_struct(audio, ChatAudio) if audio else None,
            reasoning_content="".join(self.reasoning_content) or ("" if calls and self.thinks_nothing else None),
            reasoning="".join(self.reasoning) or None,
            reasoning_details=_joined_blocks(self.lists["reasoning_details"]) or None,
            images=self.images or None,
            reasoning_text="".join(self.reasoning_text) or None,
            thoughts=self._whole_thoughts(),
        )
        if self.others:
            keep(message, {"place": (self._whole_others(), ())})
        return ChatChoice(index=index, message=message, finish_reason=self.finish_reason, logprobs=logprobs)


_CALLING = frozenset({"tool_calls", "function_call"})
_TEXTS = ("content", "reasoning_content", "reasoning", "reasoning_text", "refusal")
_MOST_ITEMS = 100_000
_MOST_TOKENS = 500_000
_MOST_FRAMES = 20
# So much is looked through for unknown fields of the answer: parsed, it takes ten times the room.
_FRAMES_BYTES = 2**20


def _check_count(items: list[Any], most: int = _MOST_ITEMS) -> None:
    if len(items) > most:
        raise TooManyError(f"more than {most:,} parts")


def _joined_blocks(items: list[Any]) -> list[Any]:
    """Join the pieces of thoughts to the blocks they are of: a signature holds for a whole block alone.

    Sources: agno#8794, OpenRouterTeam/ai-sdk-provider#423 ("Invalid signature in thinking block").
    """
    blocks: list[list[Any]] = []
    last: dict[tuple[str, str], list[Any]] = {}
    for item in items:
        block = None
        if is_object(item):
            place = (str(item.get("type")), str(item.get("index")))
            block = last.get(place)
            # Without a number only what comes one after the other belongs together.
            if block is not None and not (item.get("index") is not None or block is blocks[-1]):
                block = None
            if block is None or not _continues(block, item):
                block = last[place] = []
                blocks.append(block)
            block.append(item)
        else:
            blocks.append([item])
    return [block[0] if len(block) == 1 else _joined_block(block) for block in blocks]


def _continues(block: list[dict[str, Any]], item: dict[str, Any]) -> bool:
    if not any(isinstance(item.get(name), str) for name in _IN_PIECES) and not item.get("signature"):
        return False
    ids = {part["id"] for part in (block[0], item) if isinstance(part.get("id"), str)}
    return len(ids) < 2 and not block[-1].get("signature")  # noqa: PLR2004  (two blocks)


def _joined_block(block: list[dict[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for item in block:
        whole |= {name: value for name, value in item.items() if whole.get(name) in (None, "")}
    for name in _IN_PIECES:
        texts = [text for item in block if isinstance(text := item.get(name), str)]
        if texts:
            whole[name] = "".join(texts)
    return whole


def _rest(text: str | None, pieces: list[str]) -> str | None:
    """Return what of a text has not come yet.

    The pieces that have come are joined in place: else a relay that sends a message with every chunk would have all of
    them joined anew for each.
    """
    if not text or not pieces:
        return text
    if len(pieces) > 1:
        pieces[:] = ["".join(pieces)]
    came = pieces[0]
    if text.strip() == came.strip():
        return None
    return text.removeprefix(came)


class Folder:
    """Folds chunks into the completion they are the pieces of.

    Args:
        many: How many choices the request asked for (``n`` over 1; True when that is not known). Otherwise all chunks
            belong to one, whatever number a relay writes on them.

    Attributes:
        text: Where a chunk's text is to be put when the chunk has one choice, and nothing but text: that is ``add`` for
            nearly all chunks. None while more is to be learnt from them.
        thoughts: The same for what a model thinks aloud, when there is a ``text``.
        many: As it was given.
        usage: The last one that came.
    """

    def __init__(self, *, many: int = False) -> None:
        self.many: int = many
        self._frames: list[ChatCompletionChunk] = []
        self._unknown: dict[str, Any] = {}
        self._room = _FRAMES_BYTES
        self._moderation: Any = None
        self._choices: dict[int, _Choice] = {}
        self._head: ChatCompletionChunk | None = None
        self._whole: ChatCompletion | None = None
        self.usage: Usage | None = None
        self.text: list[str] | None = None
        self.thoughts: list[str] = []
        self._spoken = 0
        self._only: _Choice | None = None

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Take the next chunk."""
        self._spoken += any(map(_says, chunk.choices))
        if chunk.usage is not None:
            self.usage = fuller(self.usage, chunk.usage)
            if "place" not in kept(chunk.usage):
                wire.remember_usage(chunk.usage, chunk.raw)
        if chunk.moderation is not None:
            self._moderation = chunk.moderation
        head = self._head
        # Parsing each chunk once more would cost as much again: what is said of the whole answer stands in its frame.
        if head is None or chunk.usage is not None or not chunk.choices or chunk.choices[0].finish_reason:
            self._keep_frame(chunk)
        if head is None or (chunk.id and not head.id) or (chunk.model and not head.model):
            self._head = chunk
        for number, choice in enumerate(chunk.choices):
            index = choice.index if self.many else 0
            self._choice(index).add(choice, partial(_raw_delta, chunk, number))
        self._remember_text()

    def add_others(self, chunk: ChatCompletionChunk) -> None:
        """Add the fields of a chunk's deltas that have to go back with tool calls and have no name here."""
        for number, choice in enumerate(chunk.choices):
            for delta in _raw_deltas(chunk, number)[:1]:
                self._choice(choice.index if self.many else 0).add_others(delta)

    def _choice(self, index: int) -> _Choice:
        folded = self._choices.get(index)
        if folded is None:
            if len(self._choices) >= max(wire.MOST_CHOICES, self.many):
                raise TooManyError(f"more than {wire.MOST_CHOICES:,} choices")
            folded = self._choices[index] = _Choice()
        return folded

    def settle(self, choice: ChatChunkChoice) -> None:
        """Put into a chunk's empty delta what the whole message beside it adds to what has come."""
        if choice.message is None or any(astuple(choice.delta)[1:]):
            return
        index = choice.index if self.many else 0
        force_setattr(choice, "delta", self._choice(index).news(_as_delta(choice.message)))

    def _keep_frame(self, chunk: ChatCompletionChunk) -> None:
        self._room -= len(kept(chunk).get("raw", b""))
        if self._room > 0:
            self._frames.append(chunk)
        if len(self._frames) > _MOST_FRAMES:
            self._read_frames()

    def _read_frames(self) -> None:
        frames, self._frames = self._frames, []
        for chunk in frames:
            tree: dict[str, Any] = kept(chunk).get("tree") or (read_json(raw) if (raw := chunk.raw) else {})
            self._unknown |= {name: value for name, value in tree.items() if name.lower() not in _KNOWN}

    def _remember_text(self) -> None:
        """Say where pieces of mere text go from now on."""
        self.text, head = None, self._head
        if self.many or len(self._choices) != 1 or head is None or not (head.id and head.model):
            return
        (only,) = self._choices.values()
        if not only.parts:
            self._only, self.text, self.thoughts = only, only.content, only.reasoning_content

    def add_whole(self, completion: ChatCompletion) -> None:
        """Take a whole answer in place of chunks."""
        self._spoken += 1
        self._whole = completion

    def first_text(self, chunk: ChatCompletionChunk) -> str:
        """Return what a chunk adds to the text of the first choice, whatever number a relay writes on its pieces."""
        mine = (choice for choice in chunk.choices if not self.many or choice.index == 0)
        return "".join(choice.delta.content or "" for choice in mine)

    @property
    def began(self) -> bool:
        """Whether anything has come."""
        return self._head is not None or self._whole is not None

    @property
    def spoken(self) -> int:
        """A number that is 0 at first, and grows with every chunk that carries something of the answer.

        Frames with a role alone, and empty ones that some servers send to keep the connection alive, do not.
        """
        only = self._only
        return self._spoken if only is None else self._spoken + len(only.content) + len(only.reasoning_content)

    @property
    def finished(self) -> bool:
        """Whether there are choices and each has said why it ended, or the answer came whole."""
        if self._whole is not None:
            return True
        choices = self._choices
        return len(choices) >= max(self.many, 1) and all(choice.finish_reason for choice in choices.values())

    @property
    def said_something(self) -> bool:
        """Whether anything of an answer has come, beyond frames and counters."""
        return any(choice.said_something for choice in self._choices.values())

    def completion(self) -> ChatCompletion:
        """Give the completion as far as it has come. A usage that never came is None."""
        if self._whole is not None:
            return self._whole
        head = self._head or ChatCompletionChunk()
        completion = ChatCompletion(
            id=head.id,
            object="chat.completion",
            created=head.created,
            model=head.model,
            choices=[choice.finish(index) for index, choice in sorted(self._choices.items())],
            usage=self.usage,
            system_fingerprint=head.system_fingerprint,
            service_tier=head.service_tier,
            moderation=wire.fit_struct(self._moderation, Moderation) if is_object(self._moderation) else None,
        )
        self._read_frames()
        kept(completion)["unknown"] = dict(self._unknown)
        if (origin := kept(head).get("origin")) is not None:
            kept(completion)["origin"] = origin
        return completion


def _says(choice: ChatChunkChoice) -> bool:
    return bool(choice.finish_reason) or any(astuple(choice.delta)[1:])


def _calls_oddly(choice: ChatChunkChoice) -> bool:
    """Return whether a tool call has neither a function nor a custom tool: its name may stand beside them."""
    calls = choice.delta.tool_calls
    return bool(calls) and any(call.function is None and call.custom is None for call in calls or ())


_KNOWN = frozenset(ChatCompletionChunk.__struct_encode_fields__)


_DELTA_FIELDS = frozenset(ChatDelta.__struct_encode_fields__)


def _raw_delta(chunk: ChatCompletionChunk, number: int) -> dict[str, Any]:
    none: dict[str, Any] = {}
    return next((delta for delta in _raw_deltas(chunk, number) if delta.get("tool_calls")), none)


def _raw_deltas(chunk: ChatCompletionChunk, number: int) -> list[dict[str, Any]]:
    """Return the delta and the message of a chunk's choice as they came, as far as they are there."""
    choices: list[Any] | str | None = chunk.to_dict().get("choices")
    choice: dict[str, Any] | str = (
        choices[number] if isinstance(choices, list) and len(choices) == len(chunk.choices) else {}
    )
    said: list[Any] = [choice.get("delta"), choice.get("message")] if is_object(choice) else []
    return [delta for delta in said if is_object(delta)]


class ChunkReader:
    """Bytes to chunks: the decoder of one streamed answer, without any waiting.

    Attributes:
        done: ``[DONE]`` has come; nothing behind it counts.
        folder: What has come so far.
    """

    def __init__(self, origin: Origin, *, many: int, max_bytes: int) -> None:
        self._decoder: sse.Decoder | sse.Lines = sse.Decoder(max_bytes)
        self._many = many
        self._origin = origin
        # Room for the frames around an answer that is as large as it may be, or 400,000 pieces of text.
        self._most = self._left = max_bytes + max_bytes // 2
        self._unread: sse.Data = b""
        self.done: bool = False
        self.folder: Folder = Folder(many=many)

    @property
    def meta(self) -> Meta:
        """How the call went."""
        return self._origin.meta

    @property
    def partial(self) -> ChatCompletion | None:
        """What has come so far, folded; None when nothing has."""
        return self.folder.completion() if self.folder.began else None

    @property
    def spoken(self) -> int:
        """A number that grows with every chunk that carries something of the answer."""
        return self.folder.spoken

    @property
    def finished(self) -> bool:
        """Whether nothing of the answer is missing, however the bytes end."""
        return self.folder.finished

    @property
    def usage(self) -> Usage | None:
        """What the relay says the answer used, so far."""
        return self.folder.usage

    @property
    def unfinished(self) -> int:
        """How many bytes have come of an event whose end has not."""
        return self._decoder.unfinished

    def check_complete(self, *, strict: bool) -> None:
        """Raise when the stream has ended and is not a whole answer.

        Args:
            strict: ``[DONE]`` alone is not enough: relays write it after cut-offs of their own too.

        Raises:
            IncompleteStreamError: It stopped before its answer was complete.
        """
        folder = self.folder
        if folder.finished or (self.done and folder.said_something and not strict):
            return
        if not folder.said_something:
            raise wire.left_unread("the stream ended without a single piece of an answer", self._unread, self.meta)
        if self.done:
            message = "the stream ended with [DONE] and without a finish_reason; what came is in .partial"
        else:
            message = "the stream ended in the middle: neither finish_reason nor [DONE] came; what came is in .partial"
        raise IncompleteStreamError(message, request_id=self.meta.request_id)

    def feed(self, piece: bytes) -> Generator[ChatCompletionChunk, None, None]:
        """Give the chunks that the next bytes complete.

        Raises:
            APIError: The relay sent an error, or what is no chunk.
            UnexpectedResponseError: A line, an event or the whole stream is too long.
        """
        plain = self._decoder.feed_plain(piece)
        try:
            events = [] if plain else decoded(self.meta, self._decoder.feed_lines, piece)
            self._left -= len(piece)
            if self._left < 0:
                raise wire.too_large("a stream", self._most, self.meta)
        except UnexpectedResponseError:
            if not self.folder.finished:
                raise
            self.done = True  # The answer is whole, and what comes behind it is none of it.
            events = []
        return self._unnamed(plain) if plain else self._chunks(events)

    def end(self) -> Generator[ChatCompletionChunk, None, None]:
        """Give what is left when the bytes are over.

        Raises:
            IncompleteStreamError: They ended within an event, and no choice had said why it ended.
        """
        events = decoded(self.meta, self._decoder.flush)
        try:
            yield from self._chunks(events)
        except UnexpectedResponseError as error:
            if self.folder.finished:
                return
            if not self.folder.said_something:
                raise
            words = error.message
        else:
            return
        raise self._cut(words)

    def by_line(self, piece: bytes) -> bool:
        """Read lines of JSON from now on, if the first bytes of a body that is no event stream begin with a chunk."""
        line, end, _ = piece.partition(b"\n")
        if not end or not wire.is_first_chunk(line, self.meta):
            return False
        self._decoder = sse.Lines(self._decoder.max_bytes)
        return True

    def whole(self, data: sse.Data) -> Iterable[ChatCompletionChunk]:
        """Read a whole answer that came in place of a stream, or a stream that is written as JSON.

        Raises:
            APIError: It is an error, or no answer.
        """
        read = wire.read_completion_or_chunks(data, self.meta)
        if isinstance(read, list):
            return self.pieces(read)
        self.done = True
        return (self._as_chunk(read if self._many else one_choice(read)),)

    def pieces(self, values: list[bytes]) -> Iterable[ChatCompletionChunk]:
        """Read the values of a stream that is written as JSON.

        Raises:
            APIError: As ``feed`` does, and when nothing of an answer is among them.
        """
        chunks, early = self._read_values(values), list[ChatCompletionChunk]()
        for chunk in chunks:
            early.append(chunk)
            if self.spoken:
                return chain(early, chunks)
        self.check_complete(strict=True)
        return early

    def _read_values(self, values: list[bytes]) -> Generator[ChatCompletionChunk, None, None]:
        for number, value in enumerate(values):
            try:
                yield from self._chunks([("", value)])
            except UnexpectedResponseError as error:
                if number < len(values) - 1 or not self.folder.said_something:
                    raise
                words = error.message
            else:
                continue
            raise self._cut(words)

    def _cut(self, words: str) -> IncompleteStreamError:
        return IncompleteStreamError(
            f"the stream ended within an event ({words}); what came is in .partial", request_id=self.meta.request_id
        )

    def _as_chunk(self, completion: ChatCompletion) -> ChatCompletionChunk:
        """Make one chunk of a whole answer: some relays stream like that."""
        choices = [
            ChatChunkChoice(
                index=choice.index,
                delta=_as_delta(choice.message),
                finish_reason=choice.finish_reason,
                logprobs=choice.logprobs,
            )
            for choice in completion.choices
        ]
        chunk = ChatCompletionChunk(
            id=completion.id,
            object="chat.completion.chunk",
            created=completion.created,
            model=completion.model,
            choices=choices,
            usage=completion.usage,
            system_fingerprint=completion.system_fingerprint,
            service_tier=completion.service_tier,
        )
        kept(completion)["origin"] = self._origin
        self.folder.add_whole(completion)
        keep(chunk, {name: value for name, value in kept(completion).items() if name != "images"})
        return chunk

    def _chunks(self, events: list[sse.Event]) -> Generator[ChatCompletionChunk, None, None]:
        for kind, alike in groupby(events, operator.itemgetter(0)):
            data = [data for _, data in alike]
            yield from self._unnamed(data) if kind == "" else self._named(kind, data)

    def _unnamed(self, events: Iterable[sse.Data]) -> Generator[ChatCompletionChunk, None, None]:
        """Take events without a name: chunks, nearly all of which are a piece of text or of thought and nothing else.

        What is done for each token stands here, and calls as little as it can.
        """
        decode, origin, folder = wire.decode_chunk, self._origin, self.folder
        text = folder.text
        add_text, add_thought = (folder.thoughts if text is None else text).append, folder.thoughts.append
        for data in () if self.done else events:
            chunk: ChatCompletionChunk | None = None
            if (len(data) < _SHORT and _OPEN not in data[_LISTS_END:]) or not _too_much(data):
                try:
                    chunk = decode(data)
                except wire.UNREADABLE:
                    pass
                else:
                    choices = chunk.choices
                    if text is not None and len(choices) == 1 and chunk.usage is None and chunk.moderation is None:
                        choice = choices[0]
                        delta = choice.delta
                        piece, add = delta.content, add_text
                        if not piece and not _ERROR.search(data):
                            piece, add = delta.reasoning_content, add_thought
                        if (
                            piece
                            and choice.finish_reason is None
                            and choice.logprobs is None
                            and choice.usage is None
                            and choice.error is None
                            and astuple(delta).count(None) == _ALL_BUT_ONE
                        ):
                            add(piece)
                            keep_pair(chunk, (origin, data))
                            yield chunk
                            continue
            yield from self._carefully("", data, chunk)
            if self.done:
                return
            text = folder.text
            add_text, add_thought = (folder.thoughts if text is None else text).append, folder.thoughts.append

    def _named(self, kind: str | None, events: Iterable[sse.Data]) -> Generator[ChatCompletionChunk, None, None]:
        for data in events:
            if self.done:
                return
            yield from self._carefully(kind, data, None)

    def _carefully(
        self, kind: str | None, data: sse.Data, chunk: ChatCompletionChunk | None
    ) -> Generator[ChatCompletionChunk, None, None]:
        """Take an event that is not just a piece of text; ``chunk`` is what the quick way made of it, if anything."""
        if chunk is None and wire.says_done(data):
            self.done = True
            return
        try:
            found = self._read_one(kind, data, chunk)
        except UnexpectedResponseError:
            if not self.folder.finished:
                raise
            return  # What cannot be read behind the end costs nothing of the answer.
        if isinstance(found, list):
            yield from self._chunks(found)
        elif found is not None:
            yield found

    def _read_one(
        self, kind: str | None, data: sse.Data, chunk: ChatCompletionChunk | None
    ) -> ChatCompletionChunk | list[sse.Event] | None:
        """Read an event patiently; return its chunk, or the events that were run together in it."""
        if chunk is None:
            wire.check_count(data, self.meta)
            if kind is None:
                found = wire.chunk_of_line(data)
                if found is None:
                    check_stray(bytes(data), self.meta)
                    return None
                kind, data = "", found  # A chunk whose "data:" is missing or damaged is one all the same.
            if len(parts := wire.apart(data)) > 1:
                return [(kind, part) for part in parts]
        plain = chunk is not None and chunk.choices and chunk.choices[0].delta.content
        if not plain or kind == "error" or _ERROR.search(data):
            chunk = self._look_closer(kind or "", data, chunk)
        if chunk is not None:
            self._add(chunk, data)
        return chunk

    def _add(self, chunk: ChatCompletionChunk, data: sse.Data) -> None:
        if len(chunk.choices) > max(wire.MOST_CHOICES, self._many):
            raise wire.unexpected(f"more than {wire.MOST_CHOICES:,} choices", b"", self.meta)
        keep(chunk, {"raw": data, **kept(chunk), "origin": self._origin})
        if not chunk.choices:
            self._unread = data
        wire.seek_usage(chunk, data)
        try:
            for choice in chunk.choices:
                if choice.finish_reason is not None and not is_reason(choice.finish_reason):
                    force_setattr(choice, "finish_reason", None)
                if choice.message is not None:
                    self.folder.settle(choice)
            self.folder.add(chunk)
            if _OTHER_THOUGHTS.search(data):
                self.folder.add_others(chunk)
        except TooManyError as error:
            raise wire.unexpected(str(error), b"", self.meta) from None

    def _look_closer(self, kind: str, data: sse.Data, chunk: ChatCompletionChunk | None) -> ChatCompletionChunk | None:
        """Read what is no plain piece of text: a mere frame, an odd one, an error."""
        if kind == "error":
            raise wire.error_event(data, self.meta)
        # A usage may stand in the envelope around a piece.
        if chunk is not None and (chunk.choices or (chunk.usage and b'"delta"' not in bytes(data))):
            silent = not all(any(astuple(choice.delta)[1:]) for choice in chunk.choices)
            if not (_MORE_THAN_SILENCE if silent else _ERROR).search(data) and not any(
                map(_calls_oddly, chunk.choices)
            ):
                return chunk
        if not bytes(data[:64]).strip() and not bytes(data).strip():
            return None
        try:
            return wire.read_chunk(data, self.meta, kind)
        except APIStatusError:
            if chunk is not None and any(map(_says, chunk.choices)):
                self.folder.add(chunk)  # What came beside the error has come.
            raise


def _too_much(data: sse.Data) -> bool:
    return wire.too_many(data) or too_deep(data)


def decoded(meta: Meta, decode: Callable[..., list[sse.Event]], *piece: bytes) -> list[sse.Event]:
    """Have a stream's decoder feed on bytes, or flush.

    Raises:
        UnexpectedResponseError: A line or an event is too long.
    """
    try:
        return decode(*piece)
    except sse.EventTooLargeError as error:
        raise wire.unexpected(f"a stream in which {error}", b"", meta) from None


def check_stray(line: bytes, meta: Meta) -> None:
    """Look at a line that is no field of an event stream: relays write bare errors into streams.

    Raises:
        APIError: It is an error.
        UnexpectedResponseError: It is text, not a field of some later standard.
    """
    if line.lstrip()[:1] in {b"{", b"[", b"<"}:
        raise wire.error_of_answer(line, meta) or wire.unexpected("a line that is no event", line, meta)
    name, colon, _ = line.partition(b":")
    if not colon or b" " in name:
        raise wire.unexpected("a line that is no event", line, meta)


def _as_delta(message: ChatMessage) -> ChatDelta:
    calls = [
        ToolCallDelta(index=index, id=call.id, type=call.type, function=_as_piece(call.function), custom=call.custom)
        for index, call in enumerate(message.tool_calls or ())
    ]
    fields: dict[str, Any] = {name: getattr(message, name) for name in ChatDelta.__struct_fields__}
    fields["tool_calls"] = calls or None
    fields["function_call"] = _as_piece(message.function_call) if message.function_call else None
    fields["audio"] = ChatAudioDelta(**asdict(message.audio)) if message.audio else None
    return ChatDelta(**fields)


def _as_piece(function: FunctionCall) -> FunctionCallDelta:
    return FunctionCallDelta(name=function.name, arguments=function.arguments)


def several(n: object) -> int:
    """Return a request's ``n`` if it is over 1, else 0; relays read digits as a number too."""
    if n is None:  # Nearly every request; the error that it would be below costs more than all of this.
        return 0
    try:
        number = int(n) if isinstance(n, str) else operator.index(cast("SupportsIndex", n))
    except (TypeError, ValueError):
        return 0
    return number if number > 1 else 0


def one_choice(completion: ChatCompletion) -> ChatCompletion:
    """Make one choice of several that nobody asked for: text in one, tool calls in the next (Copilot's Claude).

    Sources: zeroclaw PR 2136, nanobot PR 1555, litellm PR 35444.
    """
    if len(completion.choices) < 2:  # noqa: PLR2004  (several)
        return completion
    messages = [choice.message for choice in completion.choices]
    fields: dict[str, Any] = {}
    for name in ChatMessage.__struct_fields__:
        values: list[Any] = [value for message in messages if (value := getattr(message, name))]
        if name in _TEXTS and values:
            fields[name] = "".join(dict.fromkeys(values))  # Some write the same text into each.
        elif values and all(isinstance(value, list) for value in values):
            fields[name] = list(chain.from_iterable(values))
        else:
            fields[name] = values[0] if values else getattr(messages[0], name)
    message = ChatMessage(**fields)
    if message.parts is not None:
        parts = ([{"type": "text", "text": each.content}] if each.content else [] for each in messages)
        pairs = zip(messages, parts, strict=True)
        force_setattr(message, "parts", [part for each, own in pairs for part in (each.parts or own)])
    callers = [choice for choice in completion.choices if choice.message.tool_calls or choice.message.function_call]
    reasons = [choice.finish_reason for choice in callers or completion.choices if choice.finish_reason]
    logprobs = next((choice.logprobs for choice in completion.choices if choice.logprobs is not None), None)
    choice = ChatChoice(message=message, finish_reason=reasons[-1] if reasons else None, logprobs=logprobs)
    # Without a path these are the unknown fields alone: what came of the others is no longer all of each.
    kept(message)["place"] = ({name: value for each in reversed(messages) for name, value in each.extra.items()}, ())
    extras = (each.extra.items() for each in reversed(completion.choices))
    kept(choice)["place"] = (dict(chain.from_iterable(extras)), ())
    folded = replace(completion, choices=[choice])
    keep(folded, dict(kept(completion)))
    return folded


def read_body(data: bytes | bytearray, origin: Origin, *, many: int, max_bytes: int) -> ChatCompletion:
    """Read the body of a whole answer; fold one that is a stream and is written as JSON.

    Raises:
        APIError: As a stream would, with ``partial``.
    """
    read = wire.read_completion_or_chunks(data, origin.meta)
    if not isinstance(read, list):  # Without a reader: nearly every call comes this way.
        completion = read if many or len(read.choices) == 1 else one_choice(read)
        kept(completion)["origin"] = origin
        return completion
    reader = ChunkReader(origin, many=many, max_bytes=max_bytes)
    with _telling(reader):
        for _ in reader.pieces(read):
            pass
        reader.check_complete(strict=False)
    return reader.folder.completion()


@contextmanager
def _telling(reader: ChunkReader) -> Generator[None, None, None]:
    """Put what has come into the error that ends a reading."""
    try:
        yield
    except APIError as error:
        error.with_partial(reader.partial)
        if reader.folder.said_something:
            error.with_details(outcome="unknown")
        raise


def fold(data: bytes | bytearray, origin: Origin, *, many: int, max_bytes: int) -> ChatCompletion:
    """Fold an event stream that came where a whole answer was asked for.

    Raises:
        APIError: As a stream would, with ``partial``.
    """
    reader = ChunkReader(origin, many=many, max_bytes=max_bytes)
    with _telling(reader):
        # In pieces as they come over the wire, since many short lines at once cost several times their size.
        pieces = (bytes(data[at : at + _PIECE]) for at in range(0, len(data), _PIECE))
        for _ in chain(chain.from_iterable(map(reader.feed, pieces)), reader.end()):
            pass
        reader.check_complete(strict=False)
    return reader.folder.completion()


class Reader(Protocol[E_co]):
    """Bytes to what they say, without any waiting: the decoder of one streamed answer."""

    @property
    def done(self) -> bool:
        """Whether the relay has said that it is over; nothing behind that counts."""
        ...

    @property
    def meta(self) -> Meta:
        """How the call went."""
        ...

    @property
    def partial(self) -> Any:
        """What has come so far, put together; None when nothing has, or when it is not kept."""
        ...

    @property
    def spoken(self) -> int:
        """A number that is 0 at first, and grows with all that comes and is more than a frame."""
        ...

    @property
    def finished(self) -> bool:
        """Whether nothing of the answer is missing, however the bytes end."""
        ...

    @property
    def usage(self) -> Any:
        """What the relay says the answer used, so far; None when it has not said."""
        ...

    @property
    def unfinished(self) -> int:
        """How many bytes have come of an event whose end has not."""
        ...

    def feed(self, piece: bytes) -> Iterator[E_co]:
        """Give what the next bytes complete."""
        ...

    def end(self) -> Iterator[E_co]:
        """Give what is left when the bytes are over."""
        ...

    def whole(self, data: sse.Data) -> Iterable[E_co]:
        """Take a whole answer that came in place of a stream."""
        ...

    def check_complete(self, *, strict: bool) -> None:
        """Raise when the stream has ended and something is missing."""
        ...


class BodyReader(Reader[E_co], Protocol[E_co]):
    """A reader that takes a body which is no event stream too."""

    def by_line(self, piece: bytes) -> bool:
        """Read lines of JSON from now on, if the first bytes of the body ask for it; return whether they do."""
        ...


class _Reading(Generic[E]):
    """The reading of a stream, apart from the ``Stream`` that users hold: losing that one ends it at once.

    One loop at a time reads: the first keeps the stream, whatever others try. A
    loop that is left, by a ``break`` or an exception, closes the stream at that
    moment and not when its generator is collected, so reading on always ends in
    the same error.
    """

    def __init__(self, reply: Reply, reader: Reader[E], pending: Iterator[E]) -> None:
        self.reply: Reply | None = reply
        self.reader = reader
        self.pending = pending
        self.error: TutuError | None = None
        self.complete = False
        self._loops: dict[object, weakref.ref[AsyncGenerator[Any, None]]] = {}
        self._reads: object = None
        self._task: weakref.ref[asyncio.Task[Any]] | None = None
        self._waits = False

    def close(self) -> None:
        """Free the connection."""
        reply, self.reply = self.reply, None
        if reply is not None:
            reply.watch.stop()
            reply.close()

    def drop(self) -> None:
        """Free the connection from a finaliser, which may run in any thread."""
        reply, self.reply = self.reply, None
        if reply is not None:
            reply.drop()

    @property
    def reads(self) -> object:
        """Whose turn it is: the token of the loop that reads, or None."""
        return self._reads

    def items(self, owner: Stream[E] | None) -> AsyncGenerator[E, None]:
        """Return a loop that reads on, from where the last one stopped."""
        token = object()
        return self.guarded(self.by(owner, token), token)

    def guarded(self, loop: AsyncGenerator[T, None], token: object) -> AsyncGenerator[T, None]:
        """Close the stream as soon as this loop, which reads by ``token``, is dropped in the middle."""
        self._loops[token] = weakref.ref(loop, partial(_Reading.forget, weakref.ref(self), token))
        return loop

    @staticmethod
    def forget(this: weakref.ref[_Reading[Any]], token: object, _: object) -> None:
        """Note that a loop is gone."""
        self = this()
        if self is not None:
            self._loops.pop(token, None)
            if self._reads is token and not sys.is_finalizing():
                self.drop()

    def check_free(self, token: object = None) -> None:
        """Raise when somebody else is reading. That one is not disturbed.

        Raises:
            ConfigError: Another task reads, or the stream belongs to another event loop.
        """
        if self.reply is None:
            return
        if self.reply.watch.loop is not asyncio.get_running_loop():
            raise ConfigError("the stream was opened in another event loop; read it there")
        if self._waits:
            raise ConfigError("the stream is being read already: one loop at a time may read it")
        if self._reads in (None, token):
            return
        task = None if self._task is None else self._task()
        if task is not None and not task.done() and task is not asyncio.current_task():
            raise ConfigError("the stream is being read already, by another task: one at a time may read it")

    async def by(self, owner: Stream[E] | None, token: object) -> AsyncGenerator[E, None]:  # noqa: ARG002  (kept alive by its loop)
        """Read on; ``guarded`` has the same token."""
        reply, reader = self._begin(token), self.reader
        silence, piece = _Silence(reply.watch, reply.call.timeout.idle), b"\n"
        try:
            while True:
                for item in self.pending:
                    if silence.lasts:
                        silence.pause()
                    yield item
                if reader.done or not piece:
                    break
                piece = await self._go_on(reply, token, silence)
            reader.check_complete(strict=reply.call.settings.strict_finish)
            self.complete = True
            reply.stamp()
            reply.call.tell_usage(reader.usage, reader.meta)
            await _read_tail(reply)
        except ConfigError:
            raise
        except TutuError as error:
            if isinstance(error, APIError):
                error.with_partial(reader.partial)
            error.with_details(attempts=reader.meta.attempts, outcome="unknown")
            piece = b""
            self.error = wire.without_key(error, reply.call.settings.api_key)
            raise
        finally:
            if self._reads is token:
                self.close()

    def _begin(self, token: object) -> Reply:
        """Reserve the stream for the loop that reads by ``token``."""
        if self.complete:
            raise ConfigError("the stream has been read to its end already; await completion() has the whole answer")
        if self.reply is None:
            raise self.error or self._closed()
        self.check_free()
        self._reads = token
        task = asyncio.current_task()
        self._task = None if task is None else weakref.ref(task)
        return self.reply

    async def _go_on(self, reply: Reply, token: object, silence: _Silence) -> bytes:
        """Read the next bytes; what they complete is pending then."""
        reader = self.reader
        if self.reply is None:
            raise self.error or self._closed()
        self.check_free(token)
        if not silence.lasts or reader.unfinished > _LONGEST_PING:
            silence.go_on(reader.spoken)
        self._waits = True
        try:
            piece = await self._read(reply)
        finally:
            self._waits = False
        self.pending = reader.feed(piece) if piece else reader.end()
        return piece

    def _closed(self) -> APIConnectionError:
        return APIConnectionError(
            f"the stream was closed before its end, as leaving its loop does; {self._what_is_left}"
        )

    @property
    def _what_is_left(self) -> str:
        return "the answer is not whole" if self.reader.partial is None else "what came is in .partial"

    async def _read(self, reply: Reply) -> bytes:
        """Read on. What breaks off behind the last word of an answer costs nothing of it."""
        try:
            return await reply.piece()
        except APIConnectionError as error:
            if self.reader.finished:
                return b""
            if isinstance(error, APITimeoutError):
                raise
            cut = IncompleteStreamError(f"{error.message}; {self._what_is_left}", request_id=error.request_id)
            cause = error.__cause__
        raise cut from cause


async def _end() -> Any:
    raise StopAsyncIteration


class Stream(Generic[E]):
    """A streamed answer: iterate over it.

    It is an async context manager. Leaving the block, a ``break``, cancelling
    the task that reads, or losing the object frees the connection at once; the
    relay sees that nobody listens any more. A stream is read once, and by one
    task: who else tries gets a ``ConfigError``, and the first reads on.

    Raises, while it is read:
        IncompleteStreamError: It stopped before the answer was complete.
        StreamIdleTimeoutError: It carried no content for ``timeout.idle`` seconds.
        APITimeoutError: The deadline of the call passed.
        APIError: The relay sent an error.
    """

    def __init__(self, reply: Reply, reader: Reader[E], pending: Iterator[E]) -> None:
        self._reading = _Reading(reply, reader, pending)
        self._iterator: AsyncGenerator[E, None] | None = None
        self._token: object = None

    @property
    def meta(self) -> Meta:
        """How the call went, so far."""
        return self._reading.reader.meta

    @property
    def response(self) -> Meta:
        """The same as ``meta``, under openai's name: status, headers, request id."""
        return self.meta

    @property
    def is_closed(self) -> bool:
        """Whether the connection is free: the stream has been read to its end, or was given up."""
        return self._reading.reply is None

    def __aiter__(self) -> AsyncIterator[E]:
        return self._reading.items(self)

    def __anext__(self) -> Awaitable[E]:
        reading = self._reading
        if reading.complete:
            return _end()
        if self._iterator is None or reading.reply is None or reading.reads is not self._token:
            self._token = object()
            self._iterator = reading.guarded(reading.by(None, self._token), self._token)
        else:
            reading.check_free(self._token)  # Its generator would end with an error that it raises.
        return self._iterator.__anext__()

    def _loop(self, read: Callable[[AsyncGenerator[E, None]], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
        """Make a loop of one over the items: leaving it leaves both."""
        token = object()
        return self._reading.guarded(read(self._reading.by(self, token)), token)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Free the connection now. Safe to call twice, and after the end."""
        self._reading.close()

    close = aclose

    def __del__(self) -> None:
        reading = self.__dict__.get("_reading")
        # When the interpreter ends, the loop has closed the connection, and nobody can be warned any more.
        if reading is not None and reading.reply is not None and not sys.is_finalizing():
            reading.drop()
            name = type(self).__name__
            warnings.warn(
                f"a {name} was dropped before its end; read it within 'async with'", ResourceWarning, stacklevel=2
            )


async def begin_reading(reply: Reply, reader: BodyReader[E]) -> Iterator[E]:
    """Read as far as the first content, so that what fails before it can still be tried again.

    The reply is the stream's to close from here on.

    Returns:
        What has come.
    """
    piece = await reply.piece()
    while piece.isspace():
        piece = await reply.piece()
    plain = piece[:6] == b"data: " or wire.is_event_stream(piece, reply.content_type)
    if plain or reader.by_line(piece) or (not piece and "event-stream" in reply.content_type):
        pending = await _until_content(reply, reader, piece)
    else:
        pending = iter(reader.whole(await reply.read(piece)))
    reply.watch.ease()
    reply.watch.hand_over(reply.fail)
    return pending


class ChatStream(Stream[ChatCompletionChunk]):
    """A streamed chat completion: iterate over it for chunks, or take ``text()`` or ``completion()``.

    Everything of ``Stream`` holds. What has come stays in ``partial``, and every
    error that is raised while it is read carries it.
    """

    _reading: _Reading[ChatCompletionChunk]

    def __init__(self, reply: Reply, reader: ChunkReader, pending: Iterator[ChatCompletionChunk]) -> None:
        super().__init__(reply, reader, pending)
        self._folder = reader.folder

    @classmethod
    async def begin(cls, reply: Reply, origin: Origin, *, many: int) -> ChatStream:
        """Read as far as the first content."""
        reader = ChunkReader(origin, many=many, max_bytes=reply.call.max_bytes)
        return cls(reply, reader, await begin_reading(reply, reader))

    @property
    def partial(self) -> ChatCompletion | None:
        """What has come so far, folded; None when nothing has."""
        return self._folder.completion() if self._folder.began else None

    def text(self) -> AsyncGenerator[str, None]:
        """Give the text of the first choice as it comes, in the relay's pieces; empty ones are left out."""
        return self._loop(self._text)

    async def _text(self, reading: AsyncGenerator[ChatCompletionChunk, None]) -> AsyncGenerator[str, None]:
        folder = self._folder
        async with aclosing(reading) as chunks:
            async for chunk in chunks:
                piece = chunk.text if len(chunk.choices) == 1 and not folder.many else folder.first_text(chunk)
                if piece:
                    yield piece

    async def completion(self) -> ChatCompletion:
        """Read to the end and give the whole answer: text, tool calls, pictures and usage folded.

        Raises:
            APIError: The stream broke, now or before.
        """
        if not self._reading.complete:
            async with aclosing(self._reading.items(self)) as chunks:
                async for _ in chunks:
                    pass
        return self._folder.completion()

    get_final_completion = completion


class _Silence:
    """Watches over how long a stream carries no content; the time its reader takes does not count.

    Attributes:
        lasts: The stream is being waited for.
    """

    __slots__ = ("_allowed", "_began", "_heard", "_so_far", "_watch", "lasts")

    def __init__(self, watch: Watch, allowed: float | None) -> None:
        self._watch = watch
        self._allowed = allowed
        self._heard = 0
        self._so_far = 0.0
        self._began = 0.0
        self.lasts = False

    def pause(self) -> None:
        """Something came, and the reader has it now."""
        self._watch.ease()
        self._so_far += self._watch.now() - self._began
        self.lasts = False

    def go_on(self, spoken: int) -> None:
        """Wait for more; a new silence begins if content came since the last wait.

        Args:
            spoken: What grows with all that comes and is more than a frame.
        """
        if spoken != self._heard:
            self._heard, self._so_far = spoken, 0.0
        self._watch.limit("idle", None if self._allowed is None else self._allowed - self._so_far)
        self._began = self._watch.now()
        self.lasts = True


async def _until_content(reply: Reply, reader: Reader[E], piece: bytes) -> Iterator[E]:
    early: list[E] = []
    while True:
        chunks = reader.feed(piece) if piece else reader.end()
        for chunk in chunks:
            early.append(chunk)
            if reader.spoken or len(early) > _MANY_EMPTY:
                return chain(early, chunks)
        if reader.done or not piece:
            reader.check_complete(strict=True)
        piece = await reply.piece()


async def _read_tail(reply: Reply) -> None:
    """Read the end of the body behind the last event, if it comes soon: then the connection serves again."""
    left = _TAIL_BYTES
    if reply.at_end:
        return
    reply.watch.limit("tail", _TAIL_S)
    try:
        while left > 0 and not reply.at_end and (piece := await reply.piece()):
            left -= len(piece)
    except TutuError:
        return  # The answer is whole; only the connection is lost.
