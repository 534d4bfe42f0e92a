"""Audio without a model: tones for a text, and the measures of a recording.

Speech is one short tone a syllable. The text itself is written into the file's LIST/INFO comment, so that ``listen``
can read it back. Only the standard library is needed.

Source of the format: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, WAVE, LIST/INFO).
"""

import array
import functools
import io
import math
import re
import struct
import sys
import wave
from collections.abc import Iterator
from dataclasses import dataclass

RATE = 24_000
"""Samples a second of what ``speak`` creates: 16 bits, one channel, little-endian, as the API's ``pcm``."""

MOST_SECONDS = 6 * 3600.0
"""Longer recordings are an error, so that a wrong header cannot keep a worker thread busy."""

_SYLLABLE_S, _PAUSE_S, _SENTENCE_S = 0.16, 0.06, 0.24
_SYLLABLE = re.compile(
    r"[^\W\d_]*?[aeiouyäöüàâéèêëïîôùûœæ]+|[\u3040-\u30ff\u3400-\u9fff]|\d|[.!?。！？;；,，]|\s+", re.IGNORECASE
)
_QUIET = 327  # A hundredth of full scale.
_WINDOW_S = 0.02
_LISTENED = 200_000


@dataclass(frozen=True)
class Recording:
    """What was measured of a recording.

    Attributes:
        seconds: Its length.
        rate: Samples a second.
        channels: 1 for mono.
        loudness_db: The root mean square in decibels below full scale, at least -96.
        silent_seconds: How much of it is below a hundredth of full scale.
        comment: The text in its comment; None without one.
    """

    seconds: float
    rate: int
    channels: int
    loudness_db: float
    silent_seconds: float
    comment: str | None

    def describe(self, *, zh: bool) -> str:
        """Describe it in one sentence."""
        if zh:
            return (
                f"这是一段 {self.seconds:.2f} 秒的录音,{self.rate} Hz,{self.channels} 声道,"
                f"响度 {self.loudness_db:.1f} dBFS,其中静音 {self.silent_seconds:.2f} 秒。"
            )
        return (
            f"This is a recording of {self.seconds:.2f} seconds at {self.rate} Hz with {self.channels} "
            f"channel{'s' if self.channels > 1 else ''}, loudness {self.loudness_db:.1f} dBFS, "
            f"{self.silent_seconds:.2f} seconds of it silent."
        )


def speak(text: str, *, speed: float = 1.0) -> bytes:
    """Create the tones of a text, one a syllable: 24 kHz, 16 bits, one channel, little-endian, without a header."""
    return b"".join(_tones(text, speed)) or _tone(0, round(_SENTENCE_S * RATE))


def wav(samples: bytes, comment: str = "") -> bytes:
    """Write samples as ``speak`` creates them into a WAV file, with a comment."""
    note = comment.encode("utf-8", "replace")[:60_000] + b"\0"
    # Chunks begin at even places, and the size of one does not count its padding (RIFF).
    note += b"\0" * (len(note) % 2)
    info = b"INFOICMT" + struct.pack("<I", len(note)) + note
    chunks = _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16))
    chunks += (_chunk(b"LIST", info) if comment else b"") + _chunk(b"data", samples)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def sample_sound(text: str = "One small step. 一小步。") -> bytes:
    """Create the recording that demonstrations use: a WAV of tones, with its text in a comment.

    Args:
        text: Its text; empty for a quarter of a second of silence without a comment.
    """
    return wav(speak(text), text)


def listen(data: bytes) -> Recording:
    """Measure a WAV file of 8, 16, 24 or 32 bit PCM.

    Raises:
        ValueError: It is something else, is broken, or lasts too long; the message says which.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError, struct.error) as error:
        raise ValueError(f"this stand-in decodes PCM WAV only: {str(error) or 'the file ends too early'}") from error
    # A file that was cut off may end within a sample.
    frames = frames[: len(frames) - len(frames) % (width * channels)]
    if not frames or not rate:
        raise ValueError("the recording is empty")
    seconds = len(frames) / width / channels / rate
    if seconds > MOST_SECONDS:
        raise ValueError(f"the recording lasts {seconds:.0f} seconds, and {MOST_SECONDS:.0f} are the most")
    samples = _sixteen_bits(frames, width)
    window = max(1, round(rate * channels * _WINDOW_S))
    quiet = sum(
        len(part) for start in range(0, len(samples), window) if _peak(part := samples[start : start + window]) < _QUIET
    )
    # So many samples tell the loudness; Python would need seconds for those of an hour.
    sampled = samples[:: max(1, len(samples) // _LISTENED)]
    mean = math.sqrt(sum(value * value for value in sampled) / len(sampled)) / 32768
    loudness = max(-96.0, 20 * math.log10(mean)) if mean else -96.0
    return Recording(seconds, rate, channels, round(loudness, 1), quiet / channels / rate, _comment(data))


def _tones(text: str, speed: float) -> Iterator[bytes]:
    for found in _SYLLABLE.findall(text):
        if found.isspace():
            yield _tone(0, round(_PAUSE_S * RATE / speed))
        elif found in ".!?。！？;；,，":
            yield _tone(0, round(_SENTENCE_S * RATE / speed))
        else:
            yield _tone(1 + sum(map(ord, found.lower())) % 12, round(_SYLLABLE_S * RATE / speed))


# A text has few pitches and few lengths, and computing a tone in Python takes a millisecond.
@functools.lru_cache(maxsize=256)
def _tone(pitch: int, length: int) -> bytes:
    """Create one tone with soft ends; pitch 0 is silence, 1 to 12 the half tones from A below middle C."""
    if not pitch:
        return bytes(2 * length)
    step = 2 * math.pi * 220 * 2 ** ((pitch - 1) / 12) / RATE
    made = array.array("h", (
        round(9000 * math.sin(math.pi * place / length) * (math.sin(step * place) + 0.4 * math.sin(2 * step * place)))
        for place in range(length)
    ))  # fmt: skip
    return _little(made).tobytes()


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _sixteen_bits(frames: bytes, width: int) -> "array.array[int]":
    """Convert samples to 16 bits: the two highest bytes of each; those of 8 bits are unsigned and get a low byte."""
    made = bytearray(len(frames) // width * 2)
    if width == 1:
        # Samples of 8 bits are unsigned in WAV, wider ones are not.
        made[1::2] = frames.translate(bytes(value ^ 0x80 for value in range(256)))
    else:
        made[0::2], made[1::2] = frames[width - 2 :: width], frames[width - 1 :: width]
    return _little(array.array("h", bytes(made)))


def _little(samples: "array.array[int]") -> "array.array[int]":
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _peak(part: "array.array[int]") -> int:
    loudest, lowest = max(part), min(part)
    return max(loudest, -lowest)


def _comment(data: bytes) -> str | None:
    """Find the ICMT text in a file's LIST/INFO chunk."""
    # Behind "RIFF", the size of the rest, and "WAVE".
    place = 12
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        inner = data[place + 8 : place + 8 + size]
        if name == b"LIST" and inner[:8] == b"INFOICMT":
            length = int.from_bytes(inner[8:12], "little")
            return inner[12 : 12 + length].rstrip(b"\0").decode("utf-8", "replace") or None
        place += 8 + size + size % 2
    return None
