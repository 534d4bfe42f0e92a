"""The audio of an answer: what it is, how long it lasts, saved whole or not at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from tutuclient._meta import Meta
from tutuclient._threads import in_thread
from tutuclient.errors import SoundError
from tutuclient.media import saving
from tutuclient.media.kinds import SENT_IMAGES, audio_mime, image_mime
from tutuclient.media.schemas import Described

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

HEAD_BYTES = 64
"""The first bytes of an answer that tell audio from text, images and errors."""

_PIECE = 64 * 2**10
_HEADERLESS = frozenset({"pcm", "pcm16"})
_UNLABELLED = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


class SpeechUsage(Protocol):
    """What a speech used. The struct is ``types.audio.AudioUsage``, whose module stands above this one."""

    @property
    def type(self) -> str | None:
        """The unit that is billed: "tokens" or "duration"."""

    @property
    def seconds(self) -> float | None:
        """Seconds that are billed, where it is the duration."""

    @property
    def input_tokens(self) -> int | None:
        """Tokens of the text that was spoken."""

    @property
    def output_tokens(self) -> int | None:
        """Tokens of the audio."""

    @property
    def total_tokens(self) -> int | None:
        """All of them."""


class Sound(Described):
    """The whole audio of an answer.

    Attributes:
        content: Its bytes.
        mime: The media type by its first bytes, such as ``audio/mpeg``; of what has no header the relay's label, or
            ``audio/pcm`` where that was asked for.
        meta: How the call went.
        usage: What it used, when it came in events that have it; else None.
        transcript: The words in it, when they came with a chat's answer; else None.
    """

    SHOWN = (("mime", str), ("size_bytes", int), ("seconds", float), ("transcript", str))
    # Not in ``vars()``, which FastAPI's encoder falls back on: it would decode the bytes as UTF-8.
    __slots__ = ("__dict__", "__weakref__", "content", "meta", "usage")

    def __init__(
        self,
        content: bytes,
        mime: str,
        *,
        meta: Meta | None = None,
        usage: SpeechUsage | None = None,
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
        """The length of a WAV in seconds; None for a broken WAV and for all else, whose header has no length."""
        return _seconds_of_wav(self.content) if self.mime == "audio/wav" else None

    async def read(self) -> bytes:
        """Return ``content``."""
        return self.content

    aread = read

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Return the bytes in pieces of ``chunk_size``, or of 64 KiB."""
        size = chunk_size or _PIECE
        return (self.content[at : at + size] for at in range(0, len(self.content), size))

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        """Return the bytes in pieces, as ``iter_bytes`` does."""
        for piece in self.iter_bytes(chunk_size):
            yield piece

    async def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save the audio, whole or not at all, and return where.

        As with ``GeneratedImage.save`` the extension follows the bytes: ``a.mp3`` becomes ``a.wav`` when a WAV came, so
        use the path that is returned.

        Args:
            path: The file to write, or a folder, in which the audio gets a name of its own.
            overwrite: Replace a file of this name.

        Raises:
            SoundError: The folder is missing, the name is taken, the disk is full…; ``__cause__`` is the OSError.
        """
        async with saving.writing(path, "the audio", SoundError, overwrite=overwrite) as part:
            await in_thread(part.write, self.content)
            return await in_thread(part.publish, self.mime)

    def write_to_file(self, file: str | os.PathLike[str]) -> None:
        """Write the audio at once, under exactly this name and over a file that has it, as the openai package does.

        The event loop waits for the disk; ``save`` does not make it wait.

        Raises:
            SoundError: As ``save``.
        """
        saving.write_over(file, self.content, "the audio", SoundError)

    stream_to_file = write_to_file

    async def astream_to_file(self, file: str | os.PathLike[str]) -> None:
        """Write the audio as ``write_to_file`` does, in a thread, so that the event loop does not wait."""
        await in_thread(self.write_to_file, file)


def mime_of_answer(data: bytes | bytearray, content_type: str, asked: str) -> str | None:
    """Return the media type of an answer's audio: by its bytes, then by its label; raw samples are as was asked.

    Args:
        data: The answer, or its first bytes, 64 or more where there are as many.
        content_type: What the relay calls it.
        asked: The format that was asked for, "" for none.

    Returns:
        The type, "application/octet-stream" for what nothing tells of, or None for what is text, an image or empty.
    """
    # What it is follows the tag, which may be long.
    head = bytes(data) if data.startswith((b"ID3", b"APETAGEX")) else bytes(data[:HEAD_BYTES])
    label = content_type.partition(";")[0].strip()
    mime = audio_mime(head)
    # Samples may begin with the 0xFF of an MP3's frame by chance; no other header comes by chance.
    if mime is not None and (asked not in _HEADERLESS or head[0] != 0xFF or label == mime):  # noqa: PLR2004  (as said)
        return mime
    # An icon, which is not sent either, has no more of a signature than what quiet samples may begin with.
    if not head or is_text(head) or image_mime(head) in SENT_IMAGES:
        return None
    if asked in _HEADERLESS:
        return "audio/pcm"
    if label.startswith("audio/"):
        return label
    return "application/octet-stream" if label in _UNLABELLED else None


def is_text(head: bytes) -> bool:
    """Return whether bytes are text: 64 bytes of audio never are."""
    if _CONTROL.search(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and error.reason == "unexpected end of data"
    return True


def _seconds_of_wav(data: bytes) -> float | None:
    """Return the length of a WAV, by the bytes that are there: the header of one that was streamed has no true length.

    Source: Multimedia Programming Interface and Data Specifications 1.0, IBM and Microsoft, 1991.
    """
    at, per_second = 12, 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"fmt ":  # Bytes per second stand at 8 in the chunk, behind its format, channels and sample rate.
            per_second = int.from_bytes(data[at + 16 : at + 20], "little")
        elif name == b"data":
            # Where the length was not known in time, streaming encoders write 0 or 0xFFFFFFFF.
            return min(size or len(data), len(data) - at - 8) / per_second if per_second else None
        # RIFF fills chunks up to an even length.
        at += 8 + size + size % 2
    return None
