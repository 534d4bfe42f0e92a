"""Audio out of answers: as it comes (``SoundStream``), out of a whole body, and out of a chat's answer.

The label of an answer proves nothing: relays send errors as ``audio/mpeg``, and audio as bare bytes or inside events,
whatever was asked for. So the first bytes decide before anything is returned.
"""

from __future__ import annotations

import base64
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from tutuclient import wire
from tutuclient._threads import in_thread
from tutuclient.errors import APIError, ConfigError, SoundError
from tutuclient.media import saving
from tutuclient.media.audio import HEAD_BYTES, Sound, is_text, mime_of_answer
from tutuclient.media.kinds import image_mime
from tutuclient.streams.events import EventReader, stream_in
from tutuclient.streams.reading import Stream
from tutuclient.types.audio import SpeechAudioDeltaEvent, SpeechAudioDoneEvent, decode_base64

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Iterator
    from pathlib import Path

    from tutuclient._meta import Meta
    from tutuclient.transport.reply import Reply
    from tutuclient.types.audio import AudioUsage, SpeechStreamEvent
    from tutuclient.types.chat import ChatCompletion

_TO_DISK = 1024 * 1024


class SoundStream(Stream[bytes]):
    """Audio that is still coming: iterate over its pieces, or ``save`` it as it comes.

    It is an async context manager: leaving the block, or cancelling the task that
    reads, frees the connection. It is read once.

    Attributes:
        mime: As of ``Sound``; the first bytes have come already.

    Raises, while it is read:
        IncompleteStreamError: It broke off.
        StreamIdleTimeoutError: Nothing of it came for ``timeout.idle`` seconds.
        APIError: The deadline passed, or the relay sent an error.
    """

    def __init__(self, reply: Reply, reader: _AudioReader, begun: bytes, mime: str) -> None:
        super().__init__(reply, reader, iter((begun,)))
        self._audio = reader
        self._taken = 0
        self._content: bytes | None = None
        self.mime = mime

    @classmethod
    async def begin(cls, reply: Reply, asked: str) -> SoundStream:
        """Read the first bytes, so that a failure before them can still be tried again.

        ``asked`` is the format that was asked for, "" for none. Raises an ``APIError`` where it is not audio.
        """
        # Nothing has been handed out before these bytes are here, so that errors and other kinds of body still fail the
        # attempt: once the caller has had a byte, the call cannot be sent again.
        head = await _read_head(reply)
        reader = _AudioReader(reply, events=is_text(head) and wire.is_event_stream(head, reply.content_type))
        begun, piece = b"".join(reply.watched(reader, reader.feed(head))), head
        # In events the audio itself begins later, and its first event may be shorter than a header.
        while len(begun) < HEAD_BYTES and piece and not reader.done:
            piece = await reply.piece()
            begun += b"".join(reply.watched(reader, reader.feed(piece) if piece else reader.end()))
        mime = mime_of_answer(begun, "" if reader.unwraps else reply.content_type, asked)
        if mime is None:
            if reader.unwraps:
                reader.check_complete(strict=False)
            raise _error_of(await reply.read(begun) if begun and not reader.unwraps else begun, reply.meta)
        # From here on any task may read, at any time: a limit that passes fails the stream and cancels nobody.
        reply.limits.ease()
        reply.limits.hand_over(reply.fail)
        return cls(reply, reader, begun, mime)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._loop(self._counted)

    def __anext__(self) -> Awaitable[bytes]:
        return self._next()

    async def _next(self) -> bytes:
        piece = await super().__anext__()
        self._taken += len(piece)
        return piece

    async def _counted(self, reading: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(reading) as pieces:
            async for piece in pieces:
                self._taken += len(piece)
                yield piece

    @property
    def usage(self) -> AudioUsage | None:
        """What it used, once it has been read to its end; None where the relay does not say."""
        return self._audio.usage

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        """Return the bytes as they come, or in pieces of ``chunk_size``, of which the last may be shorter."""
        return self._loop(partial(self._gathered, chunk_size=chunk_size) if chunk_size else self._counted)

    async def _gathered(self, reading: AsyncGenerator[bytes, None], *, chunk_size: int) -> AsyncGenerator[bytes, None]:
        gathered = bytearray()
        async with aclosing(self._counted(reading)) as pieces:
            async for piece in pieces:
                gathered += piece
                while len(gathered) >= chunk_size:
                    yield bytes(gathered[:chunk_size])
                    del gathered[:chunk_size]
        if gathered:
            yield bytes(gathered)

    iter_bytes = aiter_bytes

    async def read(self) -> bytes:
        """Read to the end and return all of it; a second time, and ``save`` after it, cost nothing.

        Raises:
            ConfigError: Some of it has been taken already.
            APIError: It broke off, now or before.
        """
        if self._content is None:
            self._check_untouched()
            self._content = b"".join([piece async for piece in self])
        return self._content

    async def sound(self) -> Sound:
        """Read to the end and return the ``Sound``. Raises as ``read`` does."""
        return Sound(await self.read(), self.mime, meta=self.meta, usage=self.usage)

    async def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save the audio while it comes, whole or not at all, and return where. At most 1 MiB of it is in memory.

        Arguments and errors are those of ``Sound.save``, and those of reading. The final name does not exist before the
        last byte has come.
        """
        if self._content is not None:
            return await (await self.sound()).save(path, overwrite=overwrite)
        self._check_untouched()
        async with saving.writing(path, "the audio", SoundError, overwrite=overwrite) as part:
            # Relays send pieces of some kB, and a thread for each would take longer than the writing.
            gathered = bytearray()
            async for piece in self:
                gathered += piece
                if len(gathered) >= _TO_DISK:
                    await in_thread(part.write, bytes(gathered))
                    gathered.clear()
            await in_thread(part.write, bytes(gathered))
            return await in_thread(part.publish, self.mime)

    def _check_untouched(self) -> None:
        """Raise where the rest would be passed off as all of it."""
        if self._reading.error is not None:
            raise self._reading.error
        if self._taken:
            raise ConfigError(f"{self._taken:,} bytes of this audio have been read already; only the rest is left")


class _AudioReader:
    """Reads the bytes of audio from a body that is the audio, or an event stream with audio in it.

    Attributes:
        unwraps: The body is an event stream.
        done: The last event has come.
        finished: The same. Whether bare audio is whole is told by HTTP's framing.
        progress: How many pieces have come.
        usage: The usage of the last event.
    """

    partial = None

    def __init__(self, reply: Reply, *, events: bool) -> None:
        self._most = self._left = reply.call.max_bytes
        self._reader = speech_reader("", reply.content_type, reply.meta, self._most) if events else None
        self.meta: Meta = reply.meta
        self.unwraps = events
        self.progress: int = 0
        self.usage: AudioUsage | None = None

    @property
    def done(self) -> bool:
        return self._reader is not None and self._reader.done

    finished = done

    @property
    def buffered(self) -> int:
        return 0 if self._reader is None else self._reader.buffered

    def feed(self, piece: bytes) -> Iterator[bytes]:
        return self._bounded((piece,) if self._reader is None else self._decoded(self._reader.feed(piece)))

    def end(self) -> Iterator[bytes]:
        return self._bounded(() if self._reader is None else self._decoded(self._reader.end()))

    def check_complete(self, *, strict: bool) -> None:
        if self._reader is not None:
            self._reader.check_complete(strict=strict)

    def _decoded(self, events: Iterable[SpeechStreamEvent]) -> Iterator[bytes]:
        for event in events:
            if isinstance(event, SpeechAudioDoneEvent):
                self.usage = event.usage
            elif event.data:
                yield event.data

    def _bounded(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        # The limit of the body does not hold for a stream, whose length nobody knows.
        for piece in pieces:
            self._left -= len(piece)
            if self._left < 0:
                raise wire.too_large("audio", self._most, self.meta)
            self.progress += 1
            yield piece


async def _read_head(reply: Reply) -> bytes:
    """Read as many bytes as it takes to know what a body is."""
    head = b""
    while len(head) < HEAD_BYTES and (piece := await reply.piece()):
        head += piece
    return head


def speech_reader(asked: str, content_type: str, meta: Meta, max_bytes: int) -> EventReader[SpeechStreamEvent]:
    """Return a reader of the events of a speech. Audio that came without events becomes two of them."""

    def whole(body: bytes, meta: Meta) -> Iterator[SpeechStreamEvent]:
        sound = read_audio(body, asked, content_type, meta, max_bytes)
        # Encoded again, because the field of the API's event is base64: whoever reads the events need not know how they
        # came.
        yield SpeechAudioDeltaEvent(audio=base64.b64encode(sound.content).decode())
        yield SpeechAudioDoneEvent()

    return EventReader(meta, read=wire.read_speech_event, is_last=_is_last, read_whole=whole, max_bytes=max_bytes)


def _is_last(event: SpeechStreamEvent) -> bool:
    return isinstance(event, SpeechAudioDoneEvent)


def read_audio(data: bytes | bytearray, asked: str, content_type: str, meta: Meta, max_bytes: int) -> Sound:
    """Read a whole body that should be audio.

    ``asked`` is the format that was asked for, "" for none; ``max_bytes`` limits an event, when it came in events.

    Raises:
        APIStatusError: It is an error with the status of an answer.
        UnexpectedResponseError: It is not audio: JSON, HTML, other text, an image, or empty.
        IncompleteStreamError: It came in events, and the last is missing.
    """
    head = bytes(data[:HEAD_BYTES])
    reader = speech_reader(asked, content_type, meta, max_bytes)
    # Audio never begins like text, so megabytes of it are not searched for events.
    events = stream_in(data, content_type, reader) if is_text(head) else None
    if events is None:
        mime = mime_of_answer(data, content_type, asked)
        if mime is None:
            raise _error_of(data, meta)
        return Sound(bytes(data), mime, meta=meta)
    pieces: list[bytes] = []
    usage: AudioUsage | None = None
    for event in events:
        if isinstance(event, SpeechAudioDoneEvent):
            usage = event.usage
        else:
            pieces.append(event.data)
    content = b"".join(pieces)
    mime = mime_of_answer(content, "", asked)
    if mime is None:
        raise _error_of(content, meta)
    return Sound(content, mime, meta=meta, usage=usage)


def audio_in(completion: ChatCompletion, *, asked: str) -> Sound | None:
    """Return the audio of a chat's answer, None when its first choice has none.

    ``asked`` is the format that was asked for, "" for none. Raises a ``SoundError`` where its base64 is damaged.
    """
    audio = completion.message.audio
    if audio is None or not audio.data:
        return None
    try:
        content = decode_base64(audio.data)
    except ValueError as error:
        raise SoundError("the audio in the answer cannot be decoded: its base64 is damaged or cut off") from error
    mime = mime_of_answer(content, "", asked) or "application/octet-stream"
    return Sound(content, mime, meta=completion.meta, transcript=audio.transcript)


def _error_of(data: bytes | bytearray, meta: Meta) -> APIError:
    error = wire.error_without_answer("text in place of audio", data, meta)
    if error is not None:
        return error
    head = bytes(data[:HEAD_BYTES])
    if not head.strip():
        return wire.unexpected("an empty body", b"", meta)
    # A model that draws may have been asked by mistake, and "something else" would not say so.
    if (image := image_mime(head)) is not None:
        return wire.unexpected(f"an image ({image}) in place of audio", b"", meta)
    if is_text(head):
        return wire.unexpected("text in place of audio", data, meta)
    return wire.unexpected("something else than audio", b"", meta)
