"""Audio: the fields of the requests, transcriptions and translations, and the events of what is streamed.

Source: ``POST /audio/speech``, ``/audio/transcriptions`` and ``/audio/translations``, and the
field names of the OpenAI API they follow.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence  # noqa: TC003  (msgspec reads annotations at run time)
from typing import Any, Literal, TypeAlias, TypedDict, cast

from tutuclient.types.base import Answer, Nested
from tutuclient.types.chat import Usage
from tutuclient.types.provenance import provenance

_PLAIN = str.maketrans({"-": "+", "_": "/", **dict.fromkeys(" \t\r\n")})
_PADDED = re.compile(r"[^=]+=*")

SpeechFormat: TypeAlias = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
"""The formats of a speech. ``pcm`` has no header: 24 kHz, 16 bits, one channel, little-endian, as OpenAI says."""

AudioResponseFormat: TypeAlias = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]
"""The formats of a transcription; models know some of them only."""

TranslationFormat: TypeAlias = Literal["json", "text", "srt", "verbose_json", "vtt"]
"""The formats of a translation."""


class SpeechFields(TypedDict, total=False):
    """Every field of a speech beside ``model``, ``voice``, ``input`` and ``stream_format``.

    A field without a value is not sent. Relays drop what they do not know,
    ``instructions`` for one.
    """

    # new-api's struct of 2025 has neither this nor ``stream_format`` (.github/WIRE.md, section 1.1).
    instructions: str
    response_format: SpeechFormat
    speed: float


class TranslationFields(TypedDict, total=False):
    """Every field of a translation beside ``file``, ``model`` and ``response_format``."""

    prompt: str
    temperature: float


class TranscriptionFields(TranslationFields, total=False):
    """Every field of a transcription beside ``file``, ``model``, ``response_format`` and ``stream``.

    ``timestamp_granularities`` needs ``verbose_json``; ``known_speaker_references`` are data URIs.
    """

    chunking_strategy: Literal["auto"] | Mapping[str, Any] | None
    include: Sequence[Literal["logprobs"]]
    keywords: Sequence[str]
    known_speaker_names: Sequence[str]
    known_speaker_references: Sequence[str]
    language: str
    languages: Sequence[str]
    timestamp_granularities: Sequence[Literal["word", "segment"]]


class InputTokenDetails(Nested, frozen=True, kw_only=True):
    """What the tokens of a recording were; None where the relay does not say."""

    audio_tokens: int | None = None
    text_tokens: int | None = None


class AudioUsage(Usage, frozen=True, kw_only=True):
    """What a transcription or a speech used: tokens, or seconds of audio, by ``type``; None for the other.

    Attributes:
        type: "tokens" or "duration", or None when the relay does not say.
        seconds: How long the audio was, where that is what is billed.
        input_token_details: What the tokens were; the name has "token" in the singular here.
    """

    OWN = frozenset({"completion_tokens", "completion_tokens_details", "prompt_tokens", "prompt_tokens_details"})

    type: str | None = None
    seconds: float | None = None
    # The API names it so here, and ``input_tokens_details`` for images (.github/WIRE.md, sections 1.2 and 1.9).
    input_token_details: InputTokenDetails | None = None


class TranscriptionLogprob(Nested, frozen=True, kw_only=True):
    """How sure the model is of a token: its natural logarithm of the probability."""

    token: str | None = None
    bytes: list[int] | None = None
    logprob: float | None = None


class TranscriptionLanguage(Nested, frozen=True, kw_only=True):
    """A language that was heard."""

    code: str = ""


class TranscriptionSegment(Nested, frozen=True, kw_only=True):
    """A stretch of what was said; ``start`` and ``end`` are seconds."""

    id: int = 0
    seek: int = 0
    start: float = 0.0
    end: float = 0.0
    text: str = ""
    # A literal default: msgspec creates an empty list for each struct.
    tokens: list[int] = []
    temperature: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None


class TranscriptionWord(Nested, frozen=True, kw_only=True):
    """A word of what was said; ``start`` and ``end`` are seconds."""

    word: str = ""
    start: float = 0.0
    end: float = 0.0


class TranscriptionDiarizedSegment(Nested, frozen=True, kw_only=True):
    """A stretch of what one speaker said; ``start`` and ``end`` are seconds."""

    id: str = ""
    type: str = "transcript.text.segment"
    start: float = 0.0
    end: float = 0.0
    speaker: str = ""
    text: str = ""


class Transcription(Answer, frozen=True, kw_only=True):
    """What was said, in the format ``json``. What the relay left out is None.

    Attributes:
        languages: The languages heard; [] when none could be told.
        logprobs: Those of the tokens, when ``include=["logprobs"]`` asked for them.
    """

    text: str = ""
    languages: list[TranscriptionLanguage] | None = None
    logprobs: list[TranscriptionLogprob] | None = None
    usage: AudioUsage | None = None


class _Verbose(Answer, frozen=True, kw_only=True):
    OWN = frozenset({"task"})

    task: str = ""
    language: str = ""
    duration: float | None = None
    text: str = ""
    segments: list[TranscriptionSegment] | None = None


class TranscriptionVerbose(_Verbose, frozen=True, kw_only=True):
    """What was said and when, in the format ``verbose_json``.

    Attributes:
        language: The language heard, mostly by its English name.
        duration: Seconds of audio, or None when the relay does not say.
        segments: Stretches of speech, or None unless asked for.
        words: Single words, or None unless ``timestamp_granularities`` asked for them.
    """

    words: list[TranscriptionWord] | None = None
    usage: AudioUsage | None = None


class TranscriptionDiarized(Answer, frozen=True, kw_only=True):
    """What was said and by whom, in the format ``diarized_json``. ``duration`` is in seconds, or None."""

    task: str = ""
    duration: float | None = None
    text: str = ""
    segments: list[TranscriptionDiarizedSegment] = []
    usage: AudioUsage | None = None


class Translation(Answer, frozen=True, kw_only=True):
    """What was said, in English, in the format ``json``."""

    text: str = ""


class TranslationVerbose(_Verbose, frozen=True, kw_only=True):
    """What was said and when, in English, in the format ``verbose_json``. Fields as in ``TranscriptionVerbose``."""


class TranscriptionTextDeltaEvent(Answer, frozen=True, kw_only=True):
    """A piece of the text; the pieces join to the whole. ``segment_id`` tells of which segment, when speakers are."""

    type: str = "transcript.text.delta"
    delta: str = ""
    logprobs: list[TranscriptionLogprob] | None = None
    segment_id: str | None = None


class TranscriptionTextSegmentEvent(Answer, frozen=True, kw_only=True):
    """What one speaker said, complete; ``start`` and ``end`` are seconds."""

    type: str = "transcript.text.segment"
    id: str = ""
    start: float = 0.0
    end: float = 0.0
    speaker: str = ""
    text: str = ""


class TranscriptionTextDoneEvent(Answer, frozen=True, kw_only=True):
    """The last event: the whole text. Fields as in ``Transcription``."""

    type: str = "transcript.text.done"
    text: str = ""
    languages: list[TranscriptionLanguage] | None = None
    logprobs: list[TranscriptionLogprob] | None = None
    usage: AudioUsage | None = None


TranscriptionStreamEvent: TypeAlias = (
    TranscriptionTextDeltaEvent | TranscriptionTextSegmentEvent | TranscriptionTextDoneEvent
)
"""The events of a transcription that is streamed; ``type`` tells them apart, and so does their class."""


class SpeechAudioDeltaEvent(Answer, frozen=True, kw_only=True):
    """A piece of a speech; ``audio`` is base64 as on the wire, ``data`` the bytes in it."""

    type: str = "speech.audio.delta"
    audio: str = ""

    @property
    def data(self) -> bytes:
        """The bytes of this piece; the pieces join to the whole audio.

        Raises:
            ValueError: It is no base64; the client's own streams have made sure that it is.
        """
        known = provenance(self)
        if known.cached is None:
            known.cached = decode_base64(self.audio)
        return cast("bytes", known.cached)


class SpeechAudioDoneEvent(Answer, frozen=True, kw_only=True):
    """The last event of a speech, with what it used, or None."""

    type: str = "speech.audio.done"
    usage: AudioUsage | None = None


SpeechStreamEvent: TypeAlias = SpeechAudioDeltaEvent | SpeechAudioDoneEvent
"""The events of a speech that is streamed as such (``stream_format="sse"``)."""


def decode_base64(text: str) -> bytes:
    """Decode base64 as relays write it: padding may be missing or stand in the middle, letters may be URL-safe.

    Servers encode audio piece by piece, so its base64 may be several joined
    ones, each with padding of its own.

    Raises:
        ValueError: It is no base64.

    Source: RFC 4648, sections 4 and 5.
    """
    plain = text.translate(_PLAIN)
    body = plain.rstrip("=")
    if "=" not in body:
        # By default binascii passes over what is not base64, and broken audio would decode to noise.
        return binascii.a2b_base64(body + "=" * (-len(body) % 4), strict_mode=True)
    return b"".join(decode_base64(piece) for piece in _PADDED.findall(plain))


def join_base64(pieces: Iterable[str]) -> str:
    """Join the base64 of audio that came in pieces, to one that any decoder reads, padded at its end only.

    Pieces that cannot be decoded are joined as they are; reading the audio raises the error.
    """
    joined = "".join(pieces)
    # Padding is the last one or two letters; further in front it tells of a seam.
    if "=" not in joined[:-2]:
        return joined
    try:
        return base64.b64encode(decode_base64(joined)).decode()
    except ValueError:
        return joined
