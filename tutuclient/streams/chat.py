"""A streamed chat completion: bytes into chunks, and the stream that users hold."""

from __future__ import annotations

import operator
import re
from contextlib import aclosing
from itertools import chain, groupby
from typing import TYPE_CHECKING

from msgspec.structs import astuple, force_setattr

from tutuclient import wire
from tutuclient.errors import APIStatusError, IncompleteStreamError, UnexpectedResponseError
from tutuclient.streams.events import check_stray, decoded
from tutuclient.streams.folding import Folder, as_delta, one_choice, says
from tutuclient.streams.reading import Stream, begin_reading
from tutuclient.streams.tool_calls import TooManyError
from tutuclient.types.chat import ChatChunkChoice, ChatCompletion, ChatCompletionChunk, ChatDelta, is_reason
from tutuclient.types.json import DEEPEST, too_deep
from tutuclient.types.provenance import copy_provenance, remember, set_origin
from tutuclient.wire import sse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Iterator

    from tutuclient._meta import Meta
    from tutuclient.transport.reply import Reply
    from tutuclient.types.chat import Usage
    from tutuclient.types.provenance import Origin

_ERROR = re.compile(rb'"error"')
# Where a chunk that seems to add nothing may have its piece of the answer, or its error.
_MORE_THAN_SILENCE = re.compile(rb'"(?:error|message|success|text)"|"\w*[A-Z]\w*"\s*:|"content"\s*+:\s*+(?!""|null)')
# Nearly every chunk is known not to be nested too deeply by a look at its end: no list begins there, one before that
# takes a byte at least, and an object takes four anywhere.
_LISTS_END = 224
_SHORT = 4 * (DEEPEST - 2) - 3 * _LISTS_END
# Looking for a number in bytes takes a tenth of the time of looking for bytes in bytes.
_OPEN = ord("[")
# So many chunks without content are kept back for the first that has some.
# How many fields of a delta are None when only one is not.
_ALL_BUT_ONE = len(ChatDelta.__struct_fields__) - 1
# Fields of a delta that this client has no name for, and that have to go back with tool calls.
_OTHER_THOUGHTS = re.compile(
    rb'"(?!finish_reason"|reasoning(?:_content|_details|_text|_tokens)?"|thinking")'
    rb'(?:\w*(?:reason|think|thought|signature)\w*|extra_content|encrypted_content)"\s*:',
    re.IGNORECASE,
)


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
                            remember(chunk, (origin, data))
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
        set_origin(chunk, self._origin, data)
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
            if chunk is not None and any(map(says, chunk.choices)):
                self.folder.add(chunk)  # What came beside the error has come.
            raise


def _too_much(data: sse.Data) -> bool:
    return wire.too_many(data) or too_deep(data)


def _calls_oddly(choice: ChatChunkChoice) -> bool:
    """Return whether a tool call has neither a function nor a custom tool: its name may stand beside them."""
    calls = choice.delta.tool_calls
    return bool(calls) and any(call.function is None and call.custom is None for call in calls or ())


class ChatStream(Stream[ChatCompletionChunk]):
    """A streamed chat completion: iterate over it for chunks, or take ``text()`` or ``completion()``.

    Everything of ``Stream`` holds. What has come stays in ``partial``, and every
    error that is raised while it is read carries it.
    """

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
