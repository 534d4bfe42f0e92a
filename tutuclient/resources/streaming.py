"""The streams of ``chat.completions.stream``: chunks, openai's typed events, and a parsed answer at the end.

``tutuclient.streams.chat`` reads the stream, ``parsing`` reads an answer as a type. Here chunks become events, each at
the cost of its own piece: what an event shows of the answer so far is put together when somebody asks for it.
"""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from tutuclient.errors import ConfigError
from tutuclient.resources.parsing import Expected  # noqa: TC001  (``get_type_hints`` reads annotations at run time)
from tutuclient.streams.chat import ChatStream
from tutuclient.streams.folding import Folder
from tutuclient.streams.tool_calls import ToolCalls
from tutuclient.tools import MisfitError
from tutuclient.types.chat import ChatCompletion, read_once
from tutuclient.types.events import (
    ChunkEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    FunctionToolCallArgumentsDeltaEvent,
    FunctionToolCallArgumentsDoneEvent,
    LogprobsContentDeltaEvent,
    LogprobsContentDoneEvent,
    LogprobsRefusalDeltaEvent,
    LogprobsRefusalDoneEvent,
    RefusalDeltaEvent,
    RefusalDoneEvent,
    so_far,
)
from tutuclient.types.provenance import Provenance, remember

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterator
    from typing import Self

    from tutuclient.types.chat import ChatChunkChoice, ChatCompletionChunk, ChoiceLogprobs, TokenLogprob, ToolCallDelta
    from tutuclient.types.events import ChatStreamEvent
    from tutuclient.types.parsed import ParsedChatCompletion, ParsedChoice

T = TypeVar("T")


class ChatCompletionStream(ChatStream, Generic[T]):
    """A streamed answer that can be read as events too, and whose end is parsed."""

    _expected: Expected[T]
    _many: int = False
    _early: Folder | None = None

    def expecting(self, expected: Expected[T], *, many: int) -> Self:
        """Set the type that the answer is read as, and whether several choices were asked for."""
        self._expected, self._many = expected, many
        return self

    async def completion(self) -> ParsedChatCompletion[T]:
        """Read to the end and return the whole answer, its text parsed as the type that was asked for.

        Raises:
            LengthFinishReasonError: It was cut off at its limit, and a type or strict tools were asked for.
            ContentFilterFinishReasonError: It was cut off by a filter, likewise.
            UnexpectedResponseError: It does not fit the type.
            APIError: The stream broke, now or before.
        """
        completion = await super().completion()
        return self._expected.read(completion, whole=self._expected.anything)

    get_final_completion = completion

    def events(self, *, empty: bool = False) -> AsyncGenerator[ChatStreamEvent[T], None]:
        """Return openai's events: each chunk, what it adds, and at the end what is done.

        Call it before anything is read, or its snapshots lack what was. A tool call
        is done as soon as another begins and its arguments are complete; everything
        else when the stream has ended, since relays send pieces after a
        ``finish_reason`` too (WIRE.md 3.3, item 4).

        Args:
            empty: Whether pieces of text that are "" make events of their own, as in openai's package.

        Raises:
            LengthFinishReasonError: As ``completion``, in place of the done events.
            ContentFilterFinishReasonError: Likewise.
            UnexpectedResponseError: Likewise.
            APIError: The stream broke.
        """
        return self._loop(partial(self._events, empty=empty))

    async def _events(
        self, reading: AsyncGenerator[ChatCompletionChunk, None], *, empty: bool
    ) -> AsyncGenerator[ChatStreamEvent[T], None]:
        choices: dict[int, _Progress[T]] = {}
        async with aclosing(reading) as chunks:
            self._early = Folder(many=self._many)
            async for chunk in chunks:
                self._follow(chunk)
                whole = ChunkEvent(chunk=chunk)
                remember(whole, Provenance(cached=self._folded))
                yield whole
                for choice in chunk.choices:
                    index = choice.index if self._many else 0
                    progress = choices.setdefault(index, _Progress(index, self._expected))
                    for event in progress.events(choice, empty=empty):
                        yield event
        for done in (await self.completion()).choices:
            # A choice that came whole, without a chunk of its own.
            progress = choices.setdefault(done.index, _Progress(done.index, self._expected))
            for event in progress.ending(done):
                yield event

    def _follow(self, chunk: ChatCompletionChunk) -> None:
        """Fold the first chunks once more.

        A stream is handed over when its first content has come, so until the loop is there, too, the stream's own
        folder is ahead of the chunks that the loop has seen.
        """
        if self._early is not None:
            self._early.add(chunk)
            if self._early.progress:
                self._early = None

    def _folded(self) -> ParsedChatCompletion[Any]:
        begun = self.partial if self._early is None else self._early.completion()
        return self._expected.snapshot(begun or ChatCompletion())


_NOT_OPEN = "a stream is read within its block: async with client.chat.completions.stream(…) as stream"


class ChatStreamManager(Generic[T]):
    """Opens a stream when its block is entered, closes it when the block is left."""

    def __init__(self, opening: Coroutine[Any, Any, ChatCompletionStream[T]]) -> None:
        self._opening = opening
        self._stream: ChatCompletionStream[T] | None = None
        self._entered = False

    async def __aenter__(self) -> ChatCompletionStream[T]:
        if self._entered:
            raise ConfigError("the block of a stream is entered once; call stream(…) again for another")
        self._entered = True
        self._stream = await self._opening
        return self._stream

    async def __aexit__(self, *_: object) -> None:
        if self._stream is not None:
            await self._stream.aclose()

    def __aiter__(self) -> NoReturn:
        raise ConfigError(_NOT_OPEN)

    def __getattr__(self, name: str) -> NoReturn:
        what = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(f"{what}: {_NOT_OPEN}" if hasattr(ChatCompletionStream, name) else what)

    def __del__(self) -> None:
        self._opening.close()  # Never awaited, a coroutine would warn of it when it is collected.


class _Progress(Generic[T]):
    """One choice of a stream, as far as events have reported it."""

    def __init__(self, index: int, expected: Expected[T]) -> None:
        self._index = index
        self._expected = expected
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._content_tokens: list[list[TokenLogprob]] = []
        self._refusal_tokens: list[list[TokenLogprob]] = []
        self._calls = ToolCalls()
        self._places: dict[int, int] = {}
        self._done: set[int] = set()

    def events(self, choice: ChatChunkChoice, *, empty: bool = False) -> Iterator[ChatStreamEvent[T]]:
        """Return the events of what a chunk adds."""
        delta, index = choice.delta, self._index
        if delta.content or (empty and delta.content is not None):
            self._content.append(delta.content)
            yield so_far(ContentDeltaEvent(delta=delta.content, index=index), self._content)
        if delta.refusal or (empty and delta.refusal is not None):
            self._refusal.append(delta.refusal)
            yield so_far(RefusalDeltaEvent(delta=delta.refusal, index=index), self._refusal)
        for piece in delta.tool_calls or ():
            yield from self._tool_call(piece, choice.index)
        if choice.logprobs is not None:
            yield from self._tokens(choice.logprobs)

    def _tool_call(self, piece: ToolCallDelta, choice: int) -> Iterator[ChatStreamEvent[T]]:
        known = len(self._calls.calls)
        call = self._calls.add(piece, {}, choice=choice)
        if len(self._calls.calls) > known:
            # By identity: calls may share an id, or have none at all (WIRE.md 3.3, item 8).
            self._places[id(call)] = known
            if known:
                yield from self._done_early(known - 1)
        if call.custom is None:
            added = (piece.function.arguments if piece.function else None) or ""
            event = FunctionToolCallArgumentsDeltaEvent(
                name=call.name, index=self._places[id(call)], arguments_delta=added
            )
            yield so_far(event, call.arguments)

    def _done_early(self, place: int) -> Iterator[ChatStreamEvent[T]]:
        """Return the done event of a call when the next one has begun, if its arguments are complete."""
        call = self._calls.calls[place]
        if call.custom is not None or not call.is_complete:
            return
        text = read_once("".join(call.arguments))
        try:
            parsed = self._expected.arguments(call.name, text)
        except MisfitError:
            return  # Raised when the whole answer is parsed, at the end.
        self._done.add(place)
        yield FunctionToolCallArgumentsDoneEvent(name=call.name, index=place, arguments=text, parsed_arguments=parsed)

    def _tokens(self, logprobs: ChoiceLogprobs) -> Iterator[ChatStreamEvent[T]]:
        if logprobs.content:
            self._content_tokens.append(logprobs.content)
            yield so_far(LogprobsContentDeltaEvent(content=logprobs.content), self._content_tokens)
        if logprobs.refusal:
            self._refusal_tokens.append(logprobs.refusal)
            yield so_far(LogprobsRefusalDeltaEvent(refusal=logprobs.refusal), self._refusal_tokens)

    def ending(self, choice: ParsedChoice[T]) -> Iterator[ChatStreamEvent[T]]:
        """Return the done events, once the whole choice is there."""
        message, index = choice.message, self._index
        if message.content:
            yield ContentDoneEvent(content=message.content, parsed=message.parsed, index=index)
        if message.refusal:
            yield RefusalDoneEvent(refusal=message.refusal, index=index)
        if choice.logprobs is not None and choice.logprobs.content:
            yield LogprobsContentDoneEvent(content=choice.logprobs.content)
        if choice.logprobs is not None and choice.logprobs.refusal:
            yield LogprobsRefusalDoneEvent(refusal=choice.logprobs.refusal)
        for place, call in enumerate(message.tool_calls or ()):
            if place not in self._done and call.custom is None:
                yield FunctionToolCallArgumentsDoneEvent(
                    name=call.function.name,
                    index=place,
                    arguments=call.function.arguments,
                    parsed_arguments=call.function.parsed_arguments,
                )
