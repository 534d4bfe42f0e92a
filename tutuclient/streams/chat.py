"""A streamed chat completion: the reader that makes chunks of its events, and the stream that users hold."""

from __future__ import annotations

import re
import sys
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from msgspec.structs import astuple, force_setattr

from tutuclient import wire
from tutuclient._notebook import Shown
from tutuclient.errors import UNSAFE, APIError, APIStatusError, printable
from tutuclient.streams.events import BaseEventReader, begin_reading
from tutuclient.streams.folding import Folder, as_delta, has_content, one_choice
from tutuclient.streams.reading import Stream
from tutuclient.streams.tool_calls import TooManyError
from tutuclient.types.chat import ChatChunkChoice, ChatCompletion, ChatCompletionChunk, ChatDelta, is_reason
from tutuclient.types.json import DEEPEST, too_deep
from tutuclient.types.provenance import copy_provenance, remember, set_origin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator

    from tutuclient.transport.reply import Reply
    from tutuclient.types.chat import Usage
    from tutuclient.types.provenance import Origin
    from tutuclient.wire import sse

_ERROR = re.compile(rb'"error"')
# Where a chunk that seems to be empty may have its text or its error all the same: under another name, in another case
# (Tencent's "Choices"), or as a content that msgspec did not accept.
_MAY_HAVE_MORE = re.compile(rb'"(?:error|message|success|text)"|"\w*[A-Z]\w*"\s*:|"content"\s*+:\s*+(?!""|null)')
# msgspec recurses in C: JSON nested too deeply crashes a small stack, so its depth is checked first (``DEEPEST``).
# Counting brackets would cost as much as decoding, but nearly every chunk is known to be flat enough: behind _LISTS_END
# there is no "[", each list before it takes a byte at least, and each object takes four ('{"":').
_LISTS_END = 224
_FLAT_ENOUGH = 4 * (DEEPEST - 2) - 3 * _LISTS_END
# CPython searches bytes for an int by memchr, which takes a tenth of the time of searching for bytes.
_OPEN = ord("[")
# The number of a delta's fields that are None when it has a single one.
_ALL_BUT_ONE = len(ChatDelta.__struct_fields__) - 1
# Reasoning under names that ``ChatDelta`` does not have: it has to go back with tool calls (WIRE.md 3.3, items 9, 10).
_OTHER_REASONING = re.compile(
    rb'"(?!finish_reason"|reasoning(?:_content|_details|_text|_tokens)?"|thinking")'
    rb'(?:\w*(?:reason|think|thought|signature)\w*|extra_content|encrypted_content)"\s*:',
    re.IGNORECASE,
)

# The text beside the HTML that a notebook shows.
_MOST_PLAIN = 2_000
# Line breaks and tabs are printed, and no other control character: ESC steers terminals.
_PRINTED = {code: written for code, written in UNSAFE.items() if code not in {0x09, 0x0A}}


class ChunkReader(BaseEventReader[ChatCompletionChunk]):
    """Reads the chunks of one streamed chat completion, and folds them; ``many`` is as for ``Folder``."""

    def __init__(self, origin: Origin, *, many: int, max_bytes: int) -> None:
        super().__init__(origin.meta, max_bytes)
        self._many = many
        self._origin = origin
        self.folder: Folder = Folder(many=many)

    @property
    def partial(self) -> ChatCompletion | None:
        """The answer as far as it has come, folded; None when nothing has."""
        return self.folder.completion() if self.folder.began else None

    @property
    def progress(self) -> int:
        """A number that is 0 at first, and grows with every chunk that carries something of the answer."""
        return self.folder.progress

    @property
    def finished(self) -> bool:
        """Whether each choice has a ``finish_reason``, or the answer came whole."""
        return self.folder.finished

    @property
    def usage(self) -> Usage | None:
        """The usage that the relay has reported so far."""
        return self.folder.usage

    def check_complete(self, *, strict: bool) -> None:
        """Raise when the bytes have ended and the answer is not complete; see ``BaseEventReader``."""
        # Some servers never send a reason, so [DONE] is enough unless the caller wants proof: relays write it
        # themselves after a timeout or a cut (WIRE.md 3.1).
        if self.finished or (self.done and self.progress and not strict):
            return
        if self.done:
            message = "the stream ended with [DONE] and without a finish_reason; what came is in .partial"
        else:
            message = "the stream ended early: neither a finish_reason nor [DONE] came; what came is in .partial"
        raise self._incomplete(message)

    def read_whole(self, data: sse.Data) -> Iterable[ChatCompletionChunk]:
        """Read a whole answer, or a stream that is written as JSON; see ``BaseEventReader``."""
        read = wire.read_completion_or_chunks(data, self.meta)
        if isinstance(read, list):
            return self.read_values(read)
        self.done = True
        # Not every relay forwards streams: JSON comes where one was asked for (WIRE.md 3.4).
        return (self._chunk_of(read if self._many else one_choice(read)),)

    def _chunk_of(self, completion: ChatCompletion) -> ChatCompletionChunk:
        """Build the one chunk of a whole answer."""
        choices = [
            ChatChunkChoice(
                index=choice.index,
                delta=as_delta(choice.message),
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
        set_origin(completion, self._origin)
        self.folder.add_whole(completion)
        copy_provenance(completion, chunk)
        return chunk

    def _read_unnamed(self, events: Iterable[sse.Data]) -> Iterator[ChatCompletionChunk]:
        """Read events without a name: chunks, nearly all of which are a piece of text or reasoning and nothing else.

        This is what each token costs, so the common case is written out here, with as few calls as it can do.
        """
        decode, origin, folder = wire.decode_chunk, self._origin, self.folder
        text = folder.text
        add_text, add_thought = (folder.thoughts if text is None else text).append, folder.thoughts.append
        for data in () if self.done else events:
            chunk: ChatCompletionChunk | None = None
            if (len(data) < _FLAT_ENOUGH and _OPEN not in data[_LISTS_END:]) or not _is_too_large(data):
                try:
                    chunk = decode(data)
                # What msgspec does not accept is read once more below, leniently and slowly (WIRE.md 5).
                except wire.UNREADABLE:
                    pass
                else:
                    choices = chunk.choices
                    # ``text`` is None until the answer has an id and a model, and while several choices come:
                    # ``Folder`` says why.
                    if text is not None and len(choices) == 1 and chunk.usage is None and chunk.moderation is None:
                        choice = choices[0]
                        delta = choice.delta
                        # An empty piece of text may stand beside reasoning (WIRE.md 3.3, item 10) or beside an error
                        # (3.5).
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
                            remember(chunk, (origin, data))
                            yield chunk
                            continue
            if chunk is None:
                yield from self._read_event("", data)
            else:
                yield from self._checked(data, chunk)
            if self.done:
                return
            text = folder.text
            add_text, add_thought = (folder.thoughts if text is None else text).append, folder.thoughts.append

    def _checked(self, data: sse.Data, chunk: ChatCompletionChunk) -> Iterable[ChatCompletionChunk]:
        """Check and fold a chunk that was decoded and is not just a piece of text."""
        try:
            return self._fold("", data, chunk)
        except APIError as error:
            self._pass_over(error)
            return ()

    def _parse(self, name: str, data: sse.Data) -> Iterable[ChatCompletionChunk]:
        return self._fold(name, data, None)

    def _pass_over(self, error: APIError) -> None:
        """Raise an error object even behind the end: it is the relay's own word about the whole answer."""
        super()._pass_over(error)
        if isinstance(error, APIStatusError):
            raise error

    def _fold(self, name: str, data: sse.Data, chunk: ChatCompletionChunk | None) -> Iterable[ChatCompletionChunk]:
        plain = chunk is not None and chunk.choices and chunk.choices[0].delta.content
        if not plain or _ERROR.search(data):
            chunk = self._look_closer(name, data, chunk)
        if chunk is None:
            return ()
        self._add(chunk, data)
        return (chunk,)

    def _look_closer(self, name: str, data: sse.Data, chunk: ChatCompletionChunk | None) -> ChatCompletionChunk | None:
        """Read an event that is not a plain piece of text; ``chunk`` is None where msgspec could not decode it."""
        # Some relays put the usage into the envelope around a delta: then it is not the final frame of usage alone.
        if chunk is not None and (chunk.choices or (chunk.usage and b'"delta"' not in bytes(data))):
            empty = not all(any(astuple(choice.delta)[1:]) for choice in chunk.choices)
            if not (_MAY_HAVE_MORE if empty else _ERROR).search(data) and not any(map(_lacks_function, chunk.choices)):
                return chunk
        try:
            return wire.read_chunk(data, self.meta, name)
        except APIStatusError:
            if chunk is not None and any(map(has_content, chunk.choices)):
                self.folder.add(chunk)  # What came beside the error has come (OpenRouter; WIRE.md 3.5).
            raise

    def _add(self, chunk: ChatCompletionChunk, data: sse.Data) -> None:
        if len(chunk.choices) > max(wire.MOST_CHOICES, self._many):
            raise wire.unexpected(f"more than {wire.MOST_CHOICES:,} choices", b"", self.meta)
        set_origin(chunk, self._origin, data)
        if not chunk.choices:
            self._unread = data
        # Relays count under other names, or in other places (WIRE.md 5, "usage").
        wire.fill_usage(chunk, data)
        try:
            for choice in chunk.choices:
                # DashScope and others write "null" and its like for a reason that is not there (WIRE.md 3.3, item 5).
                if choice.finish_reason is not None and not is_reason(choice.finish_reason):
                    force_setattr(choice, "finish_reason", None)
                # A whole message in place of a delta, or beside an empty one (WIRE.md 3.3, item 12).
                if choice.message is not None:
                    self.folder.merge_message(choice)
            self.folder.add(chunk)
            if _OTHER_REASONING.search(data):
                self.folder.add_other_reasoning(chunk)
        except TooManyError as error:
            raise wire.unexpected(str(error), b"", self.meta) from None


def _write(text: str) -> None:
    """Print a piece of text, as far as the console's encoding has it, or nothing where there is no console."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  (with pythonw, and in services, it is)
        return
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(text.translate(_PRINTED).encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _is_too_large(data: sse.Data) -> bool:
    return wire.too_many(data) or too_deep(data)


def _lacks_function(choice: ChatChunkChoice) -> bool:
    """Return whether a tool call has neither a function nor a custom tool: its name may stand beside them."""
    calls = choice.delta.tool_calls
    return bool(calls) and any(call.function is None and call.custom is None for call in calls or ())


class ChatStream(Stream[ChatCompletionChunk]):
    """A streamed chat completion: iterate over it for chunks, or call ``text()`` or ``completion()``.

    Everything of ``Stream`` holds. The answer so far is in ``partial``, and every
    error that is raised while the stream is read carries it.
    """

    _after_end = "; await completion() returns the whole answer"

    def __init__(self, reply: Reply, reader: ChunkReader, pending: Iterator[ChatCompletionChunk]) -> None:
        super().__init__(reply, reader, pending)
        self._folder = reader.folder

    @classmethod
    async def begin(cls, reply: Reply, origin: Origin, *, many: int) -> ChatStream:
        """Read as far as the first content, so that a call that fails before it can still be tried again."""
        reader = ChunkReader(origin, many=many, max_bytes=reply.call.max_bytes)
        return cls(reply, reader, await begin_reading(reply, reader))

    @property
    def partial(self) -> ChatCompletion | None:
        """The answer as far as it has come, folded; None when nothing has."""
        return self._folder.completion() if self._folder.began else None

    def text(self) -> AsyncGenerator[str, None]:
        """Return the text of the first choice as it comes, in the relay's pieces; empty ones are left out."""
        return self._loop(self._text)

    async def _text(self, reading: AsyncGenerator[ChatCompletionChunk, None]) -> AsyncGenerator[str, None]:
        folder = self._folder
        async with aclosing(reading) as chunks:
            async for chunk in chunks:
                # Relays number the pieces of one answer in several ways (WIRE.md 3.3, item 7): ``chunk.text`` has
                # choice 0 only.
                piece = chunk.text if len(chunk.choices) == 1 and not folder.many else folder.first_text(chunk)
                if piece:
                    yield piece

    async def completion(self) -> ChatCompletion:
        """Read to the end and return the whole answer: text, tool calls, images and usage folded.

        Raises:
            APIError: The stream broke, now or before.
        """
        if not self._reading.complete:
            async with aclosing(self._reading.items(self)) as chunks:
                async for _ in chunks:
                    pass
        return self._folder.completion()

    get_final_completion = completion

    async def show(self) -> None:
        """Read to the end, and show the answer as it comes: in a notebook in its cell, elsewhere printed.

        In a notebook it is shown as the whole answer is, and replaced as it grows, up to ten times a second. Elsewhere
        the text of the first choice goes to ``sys.stdout``, without what could steer a terminal. What was read before
        is shown too. ``await completion()`` returns the answer afterwards.

        Raises:
            APIError: The stream broke; what came is shown.
        """
        if Shown.is_possible():
            await self._show(Shown())
        else:
            await self._print()

    async def _show(self, shown: Shown) -> None:
        def draw() -> tuple[str, str]:
            answer = self._folder.completion()
            return showing.completion(answer), printable(answer.text, _MOST_PLAIN)

        from tutuclient.types import showing  # noqa: PLC0415  (for notebooks alone)

        try:
            if not self._reading.complete:
                async with aclosing(self._reading.items(self)) as chunks:
                    async for _ in chunks:
                        shown.update(draw)
        except BaseException:
            with suppress(Exception):  # A kernel that ends must not hide why the stream did, nor a cancellation.
                shown.update(draw, last=True)
            raise
        shown.update(draw, last=True)

    async def _print(self) -> None:
        is_first = True

        def unprinted() -> str:
            return self._folder.completion().text if is_first else ""

        try:
            if not self._reading.complete:
                async with aclosing(self.text()) as pieces:
                    async for piece in pieces:
                        # Up to the first piece there is what another loop has read before.
                        _write(unprinted() or piece)
                        is_first = False
        except BaseException:
            with suppress(OSError, ValueError):  # A pipe that is closed must not hide why the stream ended.
                _write(f"{unprinted()}\n")
            raise
        _write(f"{unprinted()}\n")
