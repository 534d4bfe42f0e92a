"""The sound in an answer: whole or as it comes, told by its bytes, saved whole or not at all.

A relay's error may come under the name of a sound, and a sound inside events.
``Sound`` is a whole one, ``SoundStream`` one that is still coming. Glad not to
know which page of the API it was asked from.
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
from tutuclient.media.kinds import picture_mime
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
    """A sound that is still coming: iterate over its pieces, or ``save`` it as it comes.

    It is an async context manager: leaving the block, or cancelling the task that
    reads, frees the connection. It is read once.

    Attributes:
        mime: As of a ``Sound``; the first bytes have come already.

    Raises, while it is read:
        IncompleteStreamError: It broke off.
        StreamIdleTimeoutError: Nothing of it came for ``timeout.idle`` seconds.
        APIError: The deadline passed, or the relay sent an error.
    """

    def __init__(self, reply: Reply, reader: _SoundReader, begun: bytes, mime: str) -> None:
        super().__init__(reply, reader, iter((begun,)))
        self._sounds = reader
        self._given = 0
        self._content: bytes | None = None
        self.mime = mime

    @classmethod
    async def begin(cls, reply: Reply, asked: str) -> SoundStream:
        """Read the first bytes, so that what fails before them can still be tried again.

        Args:
            reply: The open answer.
            asked: The format that was asked for, "" for none.

        Raises:
            APIError: It is no sound.
        """
        head = await _read_head(reply)
        reader = _SoundReader(reply, events=_is_event_stream(head, reply.content_type))
        begun, piece = b"".join(reader.feed(head)), head
        while len(begun) < HEAD_BYTES and piece and not reader.done:
            piece = await reply.piece()
            begun += b"".join(reader.feed(piece) if piece else reader.end())
        mime = mime_of_answer(begun, "" if reader.unwraps else reply.content_type, asked)
        if mime is None:
            if reader.unwraps:
                reader.check_complete(strict=False)
            raise _refusal(await reply.read(begun) if begun and not reader.unwraps else begun, reply.meta)
        reply.watch.ease()
        reply.watch.hand_over(reply.fail)
        return cls(reply, reader, begun, mime)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._loop(self._counted)

    def __anext__(self) -> Awaitable[bytes]:
        return self._next()

    async def _next(self) -> bytes:
        piece = await super().__anext__()
        self._given += len(piece)
        return piece

    async def _counted(self, reading: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(reading) as pieces:
            async for piece in pieces:
                self._given += len(piece)
                yield piece

    @property
    def usage(self) -> AudioUsage | None:
        """What it used, once it has been read to its end and if the relay says so."""
        return self._sounds.usage

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        """Give the bytes as they come, or gathered to pieces of ``chunk_size``, of which the last may be shorter."""
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
        """Read to the end and give the whole; a second time, and ``save`` after it, cost nothing.

        Raises:
            ConfigError: Some of it has been taken already.
            APIError: It broke off, now or before.
        """
        if self._content is None:
            self._must_be_whole()
            self._content = b"".join([piece async for piece in self])
        return self._content

    async def sound(self) -> Sound:
        """Read to the end and give the ``Sound``. Raises as ``read`` does."""
        return Sound(await self.read(), self.mime, meta=self.meta, usage=self.usage)

    async def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save the sound while it comes, whole or not at all; return where. At most 1 MiB of it is in memory.

        Arguments and errors as for ``Sound.save``, and those of reading. Under the final name nothing stands before
        the last byte has come.
        """
        if self._content is not None:
            return await (await self.sound()).save(path, overwrite=overwrite)
        self._must_be_whole()
        async with saving.writing(path, "the sound", SoundError, overwrite=overwrite) as part:
            gathered = bytearray()
            async for piece in self:
                gathered += piece
                if len(gathered) >= _TO_DISK:
                    await in_thread(part.write, bytes(gathered))
                    gathered.clear()
            await in_thread(part.write, bytes(gathered))
            return await in_thread(part.publish, self.mime)

    def _must_be_whole(self) -> None:
        """Refuse to pass off as a whole what is the rest of one."""
        if self._reading.error is not None:
            raise self._reading.error
        if self._given:
            raise ConfigError(f"{self._given:,} bytes of this sound have been taken already; what is left is no whole")


class _SoundReader:
    """The bytes of a sound, out of the body that they come in: bare, or in events.

    Attributes:
        unwraps: The body is an event stream, and the sound is inside.
        done: The last event has come.
        finished: The same; whether a bare sound is whole is HTTP's to say.
        progress: How many pieces have come.
        usage: What the last event said of the usage.
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
        return self._bounded((piece,) if self._reader is None else self._sound(self._reader.feed(piece)))

    def end(self) -> Iterator[bytes]:
        return self._bounded(() if self._reader is None else self._sound(self._reader.end()))

    def check_complete(self, *, strict: bool) -> None:
        if self._reader is not None:
            self._reader.check_complete(strict=strict)

    def _sound(self, events: Iterable[SpeechStreamEvent]) -> Iterator[bytes]:
        for event in events:
            if isinstance(event, SpeechAudioDoneEvent):
                self.usage = event.usage
            elif event.data:
                yield event.data

    def _bounded(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._left -= len(piece)
            if self._left < 0:
                raise wire.too_large("a sound", self._most, self.meta)
            self.progress += 1
            yield piece


async def _read_head(reply: Reply) -> bytes:
    """Read as much as it takes to tell what a body is."""
    head = b""
    while len(head) < HEAD_BYTES and (piece := await reply.piece()):
        head += piece
    return head


def speech_reader(asked: str, content_type: str, meta: Meta, max_bytes: int) -> EventReader[SpeechStreamEvent]:
    """Give what reads the events of a speech. A sound that came without events becomes two of them.

    Arguments as for ``read_sound``.
    """

    def whole(body: bytes, meta: Meta) -> Iterator[SpeechStreamEvent]:
        sound = read_sound(body, asked, content_type, meta, max_bytes)
        yield SpeechAudioDeltaEvent(audio=base64.b64encode(sound.content).decode())
        yield SpeechAudioDoneEvent()

    return EventReader(meta, read=wire.read_speech_event, is_last=_is_last, read_whole=whole, max_bytes=max_bytes)


def _is_last(event: SpeechStreamEvent) -> bool:
    return isinstance(event, SpeechAudioDoneEvent)


def read_sound(data: bytes | bytearray, asked: str, content_type: str, meta: Meta, max_bytes: int) -> Sound:
    """Read a whole body that should be a sound.

    Args:
        data: The body.
        asked: The format that was asked for, "" for none.
        content_type: What the relay calls it.
        meta: How the call went.
        max_bytes: The longest event to take, when it came in events.

    Raises:
        APIStatusError: It is an error in an answer's clothes.
        UnexpectedResponseError: It is none: JSON, HTML, other text, a picture, nothing.
        IncompleteStreamError: It came in events, and the last is missing.
    """
    head = bytes(data[:HEAD_BYTES])
    reader = speech_reader(asked, content_type, meta, max_bytes)
    events = stream_in(data, content_type, reader) if is_text(head) else None
    if events is None:
        mime = mime_of_answer(data, content_type, asked)
        if mime is None:
            raise _refusal(data, meta)
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
        raise _refusal(content, meta)
    return Sound(content, mime, meta=meta, usage=usage)


def sound_in(completion: ChatCompletion, *, asked: str) -> Sound | None:
    """Give the sound in a chat's answer, None when its first choice holds none.

    Args:
        completion: The answer.
        asked: The format that was asked for, "" for none.

    Raises:
        SoundError: Its base64 is damaged.
    """
    audio = completion.message.audio
    if audio is None or not audio.data:
        return None
    try:
        content = decode_base64(audio.data)
    except ValueError as error:
        raise SoundError("the sound in the answer cannot be decoded: its base64 is damaged or cut off") from error
    mime = mime_of_answer(content, "", asked) or "application/octet-stream"
    return Sound(content, mime, meta=completion.meta, transcript=audio.transcript)


def _is_event_stream(head: bytes, content_type: str) -> bool:
    return is_text(head) and wire.is_event_stream(head, content_type)


def _refusal(data: bytes | bytearray, meta: Meta) -> APIError:
    said = wire.error_without_answer("text in place of a sound", data, meta)
    if said is not None:
        return said
    head = bytes(data[:HEAD_BYTES])
    if not head.strip():
        return wire.unexpected("an empty body", b"", meta)
    if (picture := picture_mime(head)) is not None:
        return wire.unexpected(f"a picture ({picture}) in place of a sound", b"", meta)
    return wire.unexpected(
        "text in place of a sound" if is_text(head) else "no sound", data if is_text(head) else b"", meta
    )
