"""Conversations in which the model uses tools: it asks for calls, gets their results, and in the end answers.

A round is one request. The tools that it asks for are called together, async ones
on the loop and sync ones in worker threads. What goes wrong in a tool becomes a
result, since the model can try again with other arguments, and the caller cannot.
Nothing here knows of the network: the functions that ask are passed in.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import msgspec
from anyio import create_task_group, current_effective_deadline, get_cancelled_exc_class

from tutuclient import wire
from tutuclient._threads import in_thread
from tutuclient.errors import APIConnectionError, ConfigError, ToolRoundsError, TutuError, printable
from tutuclient.media.parts import Message, TextPart
from tutuclient.tools import MisfitError, Tool, toolbox
from tutuclient.types.provenance import copy_provenance

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
    from typing import Self

    from tutuclient.streams.chat import ChatStream
    from tutuclient.types.chat import ChatCompletion, ChatCompletionChunk, ChatMessage, ToolCall, Usage

Said: TypeAlias = "Mapping[str, Any] | Message | ChatMessage"
"""One message of a conversation."""

_LONGEST_ERROR = 2000
_PART_KINDS = frozenset({"text", "image_url", "input_audio", "file", "video_url"})


class ToolRun:
    """A conversation in which the model used tools, at its end.

    Attributes:
        messages: The whole conversation, the last answer included; it can be sent again and continued.
        completion: The last answer.
        rounds: How many requests were answered.
        usage: The tokens of all rounds together; None where a round reported none.
    """

    def __init__(self, messages: list[Said], completion: ChatCompletion, rounds: int, usage: Usage | None) -> None:
        self.messages = messages
        self.completion = completion
        self.rounds = rounds
        self.usage = usage

    @property
    def text(self) -> str:
        """The text of the last answer, or ""."""
        return self.completion.text

    def _repr_html_(self) -> str:
        from tutuclient.types import showing  # noqa: PLC0415  (for notebooks alone)

        return showing.conversation(self.messages, self.completion, self.rounds)

    def __repr__(self) -> str:
        return f"ToolRun(rounds={self.rounds}, messages={len(self.messages)}, text={self.text[:80]!r})"


class _Rounds:
    """What both kinds of run have in common: the state of the conversation, and the calling of tools."""

    def __init__(self, body: Mapping[str, Any], *, max_rounds: int, raise_tool_errors: bool) -> None:
        if max_rounds < 1:
            raise ConfigError(f"max_rounds is {max_rounds!r}: allow at least one request")
        self.messages: list[Said] = wire.prepared_messages(body.get("messages"))
        self.completion: ChatCompletion | None = None
        self.rounds = 0
        self.usage: Usage | None = None
        self._tools = toolbox(body["tools"])
        self._body = {**body, "tools": list(self._tools.values())}
        self._max_rounds = max_rounds
        self._raise = raise_tool_errors

    @property
    def body(self) -> dict[str, Any]:
        """The fields of the next request."""
        body = self._body | {"messages": self.messages}
        # A forced call is forced in the first round only: forced in each, the model could never answer.
        if self.rounds and body.get("tool_choice") not in (None, "auto", "none"):
            body["tool_choice"] = "auto"
        return body

    async def goes_on(self, completion: ChatCompletion) -> bool:
        """Add an answer and call the tools it asks for; return whether there are results to send."""
        message = _with_ids(completion.message, self.rounds)
        self.usage = _sum(self.usage, completion.usage) if self.rounds else completion.usage
        self.rounds += 1
        self.completion = completion
        self.messages.append(message)
        calls = message.tool_calls or []
        # A tool passed as a dict cannot be called here, so the run ends, and its caller sees the calls.
        if not calls or any(isinstance(self._tools.get(_name(call)), Mapping) for call in calls):
            return False
        # Checked before the tools are called: their results could not be sent any more.
        if self.rounds >= self._max_rounds:
            raise ToolRoundsError(
                f"the model still asks for tools after {self.rounds} rounds (max_rounds): allow more, or continue with"
                " the messages in .conversation",
                completion=completion,
            )
        self.messages += await self._call(calls)
        return True

    def result(self) -> ToolRun:
        """Return the run, once an answer has come."""
        if self.completion is None:
            raise ConfigError("no answer has come yet: iterate over the stream of run_tools first")
        return ToolRun(self.messages, self.completion, self.rounds, self.usage)

    async def _call(self, calls: list[ToolCall]) -> list[Message]:
        results: list[Any] = [None] * len(calls)

        async def one(place: int, call: ToolCall) -> None:
            results[place] = await self._result(call)

        try:
            async with create_task_group() as group:
                for place, call in enumerate(calls):
                    group.start_soon(one, place, call)
        except BaseExceptionGroup as several:
            raised = list(several.exceptions)
            if len(raised) > 1:
                raise
            lone = raised[0]  # A task group wraps even a single error; callers catch what their tool raised.
        else:
            return [
                Message("tool", content, tool_call_id=call.id) for content, call in zip(results, calls, strict=True)
            ]
        raise lone

    async def _result(self, call: ToolCall) -> str | list[Any]:
        tool = self._tools.get(_name(call))
        if not isinstance(tool, Tool):
            return _error(f"there is no tool {_name(call)!r}; there are: {', '.join(self._tools)}")
        try:
            arguments = tool.read(call.function.arguments)
            if tool.is_async:
                value = await tool.run(arguments)
            else:
                # A thread cannot be stopped, and a cancelled run must not wait for it.
                value = await in_thread(tool.run, arguments, abandon_on_cancel=True)
                if inspect.isawaitable(value):  # A plain function that returns a coroutine, such as a partial of one.
                    value = await value
            return _content(value)
        except get_cancelled_exc_class():
            # asyncio has one CancelledError for two cases: the run is cancelled, or the tool cancelled itself or
            # awaited a cancelled task. Only in the first has anyio cancelled the task group of ``_call``, whose
            # deadline is minus infinity then:
            # https://anyio.readthedocs.io/en/stable/api.html#anyio.current_effective_deadline
            if current_effective_deadline() == -math.inf:
                raise
            return _error("the tool was cancelled")
        except MisfitError as error:
            return _error(f"the arguments do not fit: {error}")
        except Exception as error:  # A tool may raise anything, and so may what its types check.
            if self._raise:
                raise
            return _error(f"{type(error).__name__}: {error}")


async def run(
    body: Mapping[str, Any],
    ask: Callable[[dict[str, Any]], Awaitable[ChatCompletion]],
    *,
    max_rounds: int,
    raise_tool_errors: bool,
) -> ToolRun:
    """Run the conversation until the model answers without calling a tool. Raises what ``run_tools`` documents."""
    rounds = _Rounds(body, max_rounds=max_rounds, raise_tool_errors=raise_tool_errors)
    try:
        while await rounds.goes_on(await ask(rounds.body)):
            pass
    except TutuError as error:
        error.with_details(conversation=rounds.messages)
        raise
    return rounds.result()


class ToolRunStream:
    """A run whose answers are streamed: iterate over it for the chunks of all rounds, or over its ``text()``.

    It is an async context manager; leaving the block, a ``break`` within it or
    cancelling ends the run: the connection is freed, and tools that are running
    are cancelled. The attributes are those of a ``ToolRun``, as far as it has come.

    Raises, while it is read: what ``run_tools`` raises.
    """

    def __init__(
        self,
        body: Mapping[str, Any],
        open_stream: Callable[[dict[str, Any]], Awaitable[ChatStream]],
        *,
        max_rounds: int,
        raise_tool_errors: bool,
    ) -> None:
        self._rounds = _Rounds(body, max_rounds=max_rounds, raise_tool_errors=raise_tool_errors)
        self._open = open_stream
        self._stream: ChatStream | None = None
        self._chunks = self._read()
        self._left = self._ended = False

    @property
    def messages(self) -> list[Said]:
        """The conversation so far; it can be sent again."""
        return self._rounds.messages

    @property
    def rounds(self) -> int:
        """How many requests have been answered to the end."""
        return self._rounds.rounds

    @property
    def usage(self) -> Usage | None:
        """The tokens of all rounds so far; None where one reported none. Streams do so when ``stream_options`` asks."""
        return self._rounds.usage

    @property
    def completion(self) -> ChatCompletion:
        """The last whole answer, folded.

        Raises:
            ConfigError: There is none yet.
        """
        return self._rounds.result().completion

    async def __aenter__(self) -> Self:
        if self._stream is not None:
            raise ConfigError("the block of a run is entered once; call run_tools(…) again for another")
        await self._ask()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._left = True
        await self._chunks.aclose()
        if self._stream is not None:
            await self._stream.aclose()

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        if self._left and not self._ended:
            raise APIConnectionError("the run was left before its end; what came is in .messages")
        return self._chunks

    async def text(self) -> AsyncGenerator[str, None]:
        """Return the text of all rounds as it comes, in the relay's pieces; empty ones are left out."""
        async for chunk in self:
            if piece := chunk.text:
                yield piece

    async def result(self) -> ToolRun:
        """Read on to the end, and return what ``await run_tools(…)`` would have returned."""
        async for _ in self:
            pass
        if not self._ended:
            raise APIConnectionError("the run broke off with an error before; what came is in .messages")
        return self._rounds.result()

    async def _ask(self) -> ChatStream:
        try:
            self._stream = await self._open(self._rounds.body)
        except TutuError as error:
            error.with_details(conversation=self._rounds.messages)
            raise
        return self._stream

    async def _read(self) -> AsyncGenerator[ChatCompletionChunk, None]:
        stream = self._stream
        if stream is None:
            raise ConfigError("a streamed run is read within its block: async with client….run_tools(…) as run")
        try:
            while True:
                async with stream:
                    async for chunk in stream:
                        yield chunk
                    completion = await stream.completion()
                if not await self._rounds.goes_on(completion):
                    self._ended = True
                    return
                stream = await self._ask()
        except TutuError as error:
            error.with_details(conversation=self._rounds.messages)
            raise


def _name(call: ToolCall) -> str:
    return call.function.name if call.custom is None else str(call.custom.get("name", ""))


def _with_ids(message: ChatMessage, rounds: int) -> ChatMessage:
    """Return a message whose calls all have ids: some relays send none, and all want them beside the results."""
    calls = message.tool_calls or []
    if all(call.id for call in calls):
        return message
    named: list[ToolCall] = []
    for place, call in enumerate(calls):
        copy = call if call.id else msgspec.structs.replace(call, id=f"call_{rounds}_{place}")
        copy_provenance(call, copy)
        named.append(copy)
    whole = msgspec.structs.replace(message, tool_calls=named)
    copy_provenance(message, whole)
    return whole


def _content(value: Any) -> str | list[Any]:
    """Write a tool's result for the model: text as it is, parts of a message as parts, all else as JSON."""
    if isinstance(value, str):
        # A tool may return half a surrogate, of a file's name for one, which UTF-8 cannot have.
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if _is_part(value):
        return [value]
    if isinstance(value, list | tuple):
        items = cast("list[Any]", value)
        if any(map(_is_part, items)) and all(isinstance(item, str) or _is_part(item) for item in items):
            return [TextPart(item) if isinstance(item, str) else item for item in items]
    # NaN and infinity are no JSON (RFC 8259, section 6), and msgspec writes null for them.
    wire.check_finite(value, "")
    return msgspec.json.Encoder(enc_hook=_plain, decimal_format="number").encode(value).decode()


def _plain(value: Any) -> Any:
    """Return what JSON has for a value; it has nothing for an open file or an image."""
    if (found := wire.json_value(value)) is None:
        raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
    return found


def _is_part(value: Any) -> bool:
    if isinstance(value, msgspec.Struct):
        return value.__struct_config__.tag in _PART_KINDS
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
    kind = fields.get("type")
    # A tool's own object may have a "type" as well; a part also has a field of that name (WIRE.md 2.1).
    return isinstance(kind, str) and kind in _PART_KINDS and kind in fields


def _error(text: str) -> str:
    return msgspec.json.encode({"error": printable(text, _LONGEST_ERROR)}).decode()


_S = TypeVar("_S", bound=msgspec.Struct)


def _sum(one: _S | None, other: _S | None) -> _S | None:
    """Add counters; one that either of the two lacks is unknown for both."""
    if one is None or other is None:
        return None
    fields: dict[str, Any] = {}
    for name in one.__struct_fields__:
        first, second = getattr(one, name), getattr(other, name)
        if isinstance(first, msgspec.Struct):
            fields[name] = _sum(first, second)
        else:
            fields[name] = None if first is None or second is None else first + second
    return type(one)(**fields)
