"""The names of ``openai.types.audio``."""

from __future__ import annotations

from typing import TypeAlias

from tutuclient.types import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionDiarizedSegment,
    TranscriptionSegment,
    TranscriptionStreamEvent,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
    TranscriptionVerbose,
    TranscriptionWord,
    Translation,
    TranslationVerbose,
)

TranscriptionCreateResponse: TypeAlias = Transcription | TranscriptionVerbose | TranscriptionDiarized
TranslationCreateResponse: TypeAlias = Translation | TranslationVerbose

__all__ = [
    "Transcription",
    "TranscriptionCreateResponse",
    "TranscriptionDiarized",
    "TranscriptionDiarizedSegment",
    "TranscriptionSegment",
    "TranscriptionStreamEvent",
    "TranscriptionTextDeltaEvent",
    "TranscriptionTextDoneEvent",
    "TranscriptionTextSegmentEvent",
    "TranscriptionVerbose",
    "TranscriptionWord",
    "Translation",
    "TranslationCreateResponse",
    "TranslationVerbose",
]
