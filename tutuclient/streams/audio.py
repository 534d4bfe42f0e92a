"""The sound in an answer: whole or as it comes, told by its bytes, saved whole or not at all.

A relay's error may come under the name of a sound, and a sound inside events.
``Sound`` is a whole one, ``SoundStream`` one that is still coming. Glad not to
know which page of the API it was asked from.
"""

from __future__ import annotations

import base64
import re
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from tutuclient import wire
from tutuclient._meta import Meta
from tutuclient._threads import in_thread
from tutuclient.errors import APIError, ConfigError, SoundError
from tutuclient.media import saving
from tutuclient.media.upload import picture_mime, sound_mime
from tutuclient.streams.events import EventReader, stream_in
from tutuclient.streams.reading import Stream
from tutuclient.types.audio import SpeechAudioDeltaEvent, SpeechAudioDoneEvent, decode_base64

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Iterator
    from pathlib import Path

    from tutuclient.transport.reply import Reply
    from tutuclient.types.audio import AudioUsage, SpeechStreamEvent
    from tutuclient.types.chat import ChatCompletion

_HEAD_BYTES = 64
_PIECE = 64 * 2**10
_TO_DISK = 1024 * 1024
_HEADERLESS = frozenset({"pcm", "pcm16"})
_UNLABELLED = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


class Sound:
    """A sound that an answer brought, whole.

    Attributes:
        content: Its bytes.
        mime: What its first bytes say it is, such as ``audio/mpeg``; what has no header is what the relay calls it,
            or ``audio/pcm`` where that was asked for.
        meta: How the call went.
        usage: What it used, when it came in events that say so; else None.
        transcript: What is said in it, when a chat's answer says so; else None.
    """

    def __init__(
        self,
        content: bytes,
        mime: str,
        *,
        meta: Meta | None = None,
        usage: AudioUsage | None = None,
        transcript: str | None = None,
    ) -> None:
        self.content = content
        self.mime = mime
        self.meta: Meta = Meta() if meta is None else meta
        self.usage = usage
        self.transcript = transcript

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.mime}, {len(self.content):,} bytes>"

    @property
    def size_bytes(self) -> int:
        """The length of ``content``."""
        return len(self.content)

    @property
    def seconds(self) -> float | None:
        """How long a WAV sounds; None for all else, whose header does not say, and for a WAV that is broken."""
        return _seconds_of_wav(self.content) if self.mime == "audio/wav" else None

    async def read(self) -> bytes:
        """Give the bytes, as ``content`` does."""
        return self.content

    aread = read

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Give the bytes in pieces of ``chunk_size``, or of 64 KiB."""
        size = chunk_size or _PIECE
        return (self.content[at : at + size] for at in range(0, len(self.content), size))

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        """Give the bytes in pieces, as ``iter_bytes`` does."""
        for piece in self.iter_bytes(chunk_size):
            yield piece

    async def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save the sound, whole or not at all; return where.

        As with ``GeneratedImage.save`` the extension follows the bytes: ``a.mp3`` becomes ``a.wav`` when a WAV came. Go
        on with the path that is returned.

        Args:
            path: The file to write, or a folder, in which the sound gets a name of its own.
            overwrite: Replace what stands there.

        Raises:
            SoundError: The folder is missing, the name is taken, the disk is full…; ``__cause__`` is the OSError.
        """
        async with saving.writing(path, "the sound", SoundError, overwrite=overwrite) as part:
            await in_thread(part.write, self.content)
            return await in_thread(part.publish, self.mime)

    def write_to_file(self, file: str | os.PathLike[str]) -> None:
        """Write the sound at once, under just this name and over what stands there, as the openai package does.

        The event loop waits for the disk; ``save`` does not make it wait.

        Raises:
            SoundError: As ``save``.
        """
        saving.write_over(file, self.content, "the sound", SoundError)

    stream_to_file = write_to_file

    async def astream_to_file(self, file: str | os.PathLike[str]) -> None:
        """The same in a thread, so that the event loop does not wait."""
        await in_thread(self.write_to_file, file)


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
        while len(begun) < _HEAD_BYTES and piece and not reader.done:
            piece = await reply.piece()
            begun += b"".join(reader.feed(piece) if piece else reader.end())
        mime = _mime(begun, "" if reader.unwraps else reply.content_type, asked)
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
    while len(head) < _HEAD_BYTES and (piece := await reply.piece()):
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
    head = bytes(data[:_HEAD_BYTES])
    reader = speech_reader(asked, content_type, meta, max_bytes)
    events = stream_in(data, content_type, reader) if _is_text(head) else None
    if events is None:
        mime = _mime(_up_to_sound(data), content_type, asked)
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
    mime = _mime(_up_to_sound(content), "", asked)
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
    mime = _mime(_up_to_sound(content), "", asked) or "application/octet-stream"
    return Sound(content, mime, meta=completion.meta, transcript=audio.transcript)


def _mime(head: bytes, content_type: str, asked: str) -> str | None:
    """Say what a sound is, None for what is none: by its bytes, then by the label; raw samples are as was asked."""
    label = content_type.partition(";")[0].strip()
    told = sound_mime(head)
    if told is not None and (asked not in _HEADERLESS or head[0] != 0xFF or label == told):  # noqa: PLR2004  (below)
        return told  # Samples may begin with the 0xFF of an MP3's frame by chance; no other header comes by chance.
    if not head or _is_text(head) or picture_mime(head) is not None:
        return None
    if asked in _HEADERLESS:
        return "audio/pcm"
    if label.startswith("audio/"):
        return label
    return "application/octet-stream" if label in _UNLABELLED else None


def _up_to_sound(data: bytes | bytearray) -> bytes:
    """Return the first bytes of a whole sound; all of it where it begins with a tag, behind which its kind is told."""
    return bytes(data) if data.startswith((b"ID3", b"APETAGEX")) else bytes(data[:_HEAD_BYTES])


def _is_text(head: bytes) -> bool:
    """Say whether bytes are text: 64 bytes of sound never are."""
    if _CONTROL.search(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and error.reason == "unexpected end of data"
    return True


def _is_event_stream(head: bytes, content_type: str) -> bool:
    return _is_text(head) and wire.is_event_stream(head, content_type)


def _refusal(data: bytes | bytearray, meta: Meta) -> APIError:
    said = wire.error_without_answer("text in place of a sound", data, meta)
    if said is not None:
        return said
    head = bytes(data[:_HEAD_BYTES])
    if not head.strip():
        return wire.unexpected("an empty body", b"", meta)
    if (picture := picture_mime(head)) is not None:
        return wire.unexpected(f"a picture ({picture}) in place of a sound", b"", meta)
    return wire.unexpected(
        "text in place of a sound" if _is_text(head) else "no sound", data if _is_text(head) else b"", meta
    )


def _seconds_of_wav(data: bytes) -> float | None:
    """Read the length of a WAV. What is streamed has no true length in its header, so what is there counts.

    Source: Multimedia Programming Interface and Data Specifications 1.0, IBM and Microsoft, 1991.
    """
    at, per_second = 12, 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"fmt ":
            per_second = int.from_bytes(data[at + 16 : at + 20], "little")
        elif name == b"data":
            return min(size or len(data), len(data) - at - 8) / per_second if per_second else None
        at += 8 + size + size % 2
    return None
