"""Pure: requests to bytes, bytes to structs, status and headers to an error. No network, no clock."""

from __future__ import annotations

from tutuclient.wire.answers import (
    UNREADABLE,
    apart,
    decode_chunk,
    is_event_stream,
    read_chunk,
    read_completion,
    remember_usage,
)
from tutuclient.wire.forms import Form, FormFile, form
from tutuclient.wire.inflate import Inflater
from tutuclient.wire.mending import fit_struct
from tutuclient.wire.pages import (
    failed,
    read_answer,
    read_as,
    read_image_event,
    read_image_events,
    read_images,
    read_models,
    read_text,
    read_text_event,
    read_vectors,
)
from tutuclient.wire.refusals import (
    classify,
    error_event,
    error_of_answer,
    error_of_status,
    find_error,
    too_large,
    unexpected,
    without_key,
)
from tutuclient.wire.requests import Body, encode, given, makes_image, sendable
from tutuclient.wire.shapes import in_order
from tutuclient.wire.transcripts import (
    PLAIN_FORMATS,
    folded_transcription,
    read_plain,
    read_speech_event,
    read_transcription,
    read_transcription_event,
    read_translation,
    transcription_events,
    wrapped_events,
)

__all__ = [
    "PLAIN_FORMATS",
    "UNREADABLE",
    "Body",
    "Form",
    "FormFile",
    "Inflater",
    "apart",
    "classify",
    "decode_chunk",
    "encode",
    "error_event",
    "error_of_answer",
    "error_of_status",
    "failed",
    "find_error",
    "fit_struct",
    "folded_transcription",
    "form",
    "given",
    "in_order",
    "is_event_stream",
    "makes_image",
    "read_answer",
    "read_as",
    "read_chunk",
    "read_completion",
    "read_image_event",
    "read_image_events",
    "read_images",
    "read_models",
    "read_plain",
    "read_speech_event",
    "read_text",
    "read_text_event",
    "read_transcription",
    "read_transcription_event",
    "read_translation",
    "read_vectors",
    "remember_usage",
    "sendable",
    "too_large",
    "transcription_events",
    "unexpected",
    "without_key",
    "wrapped_events",
]
