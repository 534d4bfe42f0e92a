"""What happens in a streamed answer, event by event, under openai's names.

An event holds what is new. What has come so far (``snapshot``, ``arguments``) is
put together when it is asked for, and is what it was when the event came, however
late one asks: so that a stream nobody asks costs the same for each piece, however
long it is. ``partial_json`` reads what there is of a JSON text.

Source: openai-python 3.x, ``lib/streaming/chat``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from tutuclient.types.base import Plain
from tutuclient.types.chat import ChatCompletion, ChatCompletionChunk, TokenLogprob
from tutuclient.types.json import too_deep
from tutuclient.types.provenance import Provenance, Traced, provenance, remember

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*+(?P<end>"?)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<mark>[,:])|[^\s\[\]{},:"]+', re.DOTALL
)


class _Event(Plain, Traced, frozen=True, kw_only=True):
    """An event; cached with it are the pieces of the whole stream, and how many had come."""

    def _so_far(self) -> str:
        pieces, count = provenance(self).cached or ((), 0)
        return "".join(pieces[:count])


class _TextEvent(_Event, frozen=True, kw_only=True):
    @property
    def snapshot(self) -> str:
        """The text so far."""
        return self._so_far()


class _TokensEvent(_Event, frozen=True, kw_only=True):
    @property
    def snapshot(self) -> list[TokenLogprob]:
        """All tokens so far."""
        pieces, count = provenance(self).cached or ((), 0)
        return [token for piece in pieces[:count] for token in piece]


class ChunkEvent(_Event, frozen=True, kw_only=True):
    """A chunk came, as plain iteration gives it; the events that follow tell what is in it."""

    type: Literal["chunk"] = "chunk"
    chunk: ChatCompletionChunk

    @property
    def snapshot(self) -> ChatCompletion:
        """The answer as far as it has come when you ask, folded."""
        fold: Callable[[], ChatCompletion] = provenance(self).cached or ChatCompletion
        return fold()


class ContentDeltaEvent(_TextEvent, frozen=True, kw_only=True):
    """A piece of the text of a choice; ``index`` is the choice's."""

    type: Literal["content.delta"] = "content.delta"
    delta: str
    index: int = 0

    @property
    def parsed(self) -> Any:
        """The text so far as plain JSON, what has not come whole left out; None when nothing can be read."""
        return partial_json(self._so_far())


class ContentDoneEvent(_Event, Generic[T], frozen=True, kw_only=True):
    """The text of a choice is whole; ``parsed`` is it as the type that was asked for, else None."""

    type: Literal["content.done"] = "content.done"
    content: str
    parsed: T | None = None
    index: int = 0


class RefusalDeltaEvent(_TextEvent, frozen=True, kw_only=True):
    """A piece of a refusal."""

    type: Literal["refusal.delta"] = "refusal.delta"
    delta: str
    index: int = 0


class RefusalDoneEvent(_Event, frozen=True, kw_only=True):
    """A refusal is whole."""

    type: Literal["refusal.done"] = "refusal.done"
    refusal: str
    index: int = 0


class FunctionToolCallArgumentsDeltaEvent(_Event, frozen=True, kw_only=True):
    """A piece of the arguments of a call; ``index`` is the call's place among those of its message."""

    type: Literal["tool_calls.function.arguments.delta"] = "tool_calls.function.arguments.delta"
    name: str
    index: int
    arguments_delta: str

    @property
    def arguments(self) -> str:
        """The arguments so far, as JSON text."""
        return self._so_far()

    @property
    def parsed_arguments(self) -> Any:
        """The arguments so far as plain JSON, what has not come whole left out; None when nothing can be read."""
        return partial_json(self._so_far())


class FunctionToolCallArgumentsDoneEvent(_Event, frozen=True, kw_only=True):
    """The arguments of a call are whole; ``parsed_arguments`` as in ``ParsedFunction``."""

    type: Literal["tool_calls.function.arguments.done"] = "tool_calls.function.arguments.done"
    name: str
    index: int
    arguments: str
    parsed_arguments: Any = None


class LogprobsContentDeltaEvent(_TokensEvent, frozen=True, kw_only=True):
    """How probable the tokens of a piece of text were."""

    type: Literal["logprobs.content.delta"] = "logprobs.content.delta"
    content: list[TokenLogprob]


class LogprobsContentDoneEvent(_Event, frozen=True, kw_only=True):
    """All tokens of the text."""

    type: Literal["logprobs.content.done"] = "logprobs.content.done"
    content: list[TokenLogprob]


class LogprobsRefusalDeltaEvent(_TokensEvent, frozen=True, kw_only=True):
    """How probable the tokens of a piece of a refusal were."""

    type: Literal["logprobs.refusal.delta"] = "logprobs.refusal.delta"
    refusal: list[TokenLogprob]


class LogprobsRefusalDoneEvent(_Event, frozen=True, kw_only=True):
    """All tokens of the refusal."""

    type: Literal["logprobs.refusal.done"] = "logprobs.refusal.done"
    refusal: list[TokenLogprob]


ChatStreamEvent: TypeAlias = (
    ChunkEvent
    | ContentDeltaEvent
    | ContentDoneEvent[T]
    | RefusalDeltaEvent
    | RefusalDoneEvent
    | FunctionToolCallArgumentsDeltaEvent
    | FunctionToolCallArgumentsDoneEvent
    | LogprobsContentDeltaEvent
    | LogprobsContentDoneEvent
    | LogprobsRefusalDeltaEvent
    | LogprobsRefusalDoneEvent
)
"""What ``stream.events()`` gives; ``event.type`` tells them apart, for type checkers too."""

E = TypeVar("E", bound=_Event)


def so_far(event: E, pieces: Sequence[Any]) -> E:
    """Return an event with the pieces of which it is the last; the list may go on growing."""
    # The list itself, not a copy: a copy at each event would take quadratic time over a stream.
    remember(event, Provenance(cached=(pieces, len(pieces))))
    return event


def partial_json(text: str) -> Any:
    """Read the beginning of a JSON text: what has not come whole is left out, and what is open is closed.

    Returns:
        Plain dicts and lists, or None when nothing can be read: ``{"a": 1, "b": [2, 3`` gives ``{"a": 1, "b": [2]}``.
    """
    closers: list[str] = []
    # Up to where the text can be cut, and what must follow there.
    end, rest = 0, ""
    after_colon = False
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        ends_here = token.end()
        if kind == "open":
            closers.append("}" if token[0] == "{" else "]")
        elif kind == "close":
            if not closers:
                return None
            closers.pop()
        elif kind == "mark":
            after_colon = token[0] == ":"
            continue
        elif kind == "end" and not token["end"]:
            break  # A text that has not ended.
        elif (closers[-1:] == ["}"] and not after_colon) or (kind is None and ends_here == len(text) and closers):
            continue  # A field's name alone; or a number of which more may come.
        after_colon = False
        end, rest = ends_here, "".join(reversed(closers))
    data = (text[:end] + rest).encode("utf-8", "replace")
    try:
        return None if too_deep(data) else msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
