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
from tutuclient.wire.keywords import check_keywords, names
from tutuclient.wire.mending import fit_struct
from tutuclient.wire.messages import check_detail, is_part, is_picture_text, is_source, quoted
from tutuclient.wire.pages import (
    read_answer,
    read_as,
    read_image_event,
    read_images,
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
from tutuclient.wire.requests import (
    Body,
    check_model,
    check_text,
    encode,
    given,
    makes_image,
    plain,
    refuse_infinite,
    sendable,
)
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
    "check_detail",
    "check_keywords",
    "check_model",
    "check_text",
    "classify",
    "decode_chunk",
    "encode",
    "error_event",
    "error_of_answer",
    "error_of_status",
    "find_error",
    "fit_struct",
    "folded_transcription",
    "form",
    "given",
    "is_event_stream",
    "is_part",
    "is_picture_text",
    "is_source",
    "makes_image",
    "names",
    "plain",
    "quoted",
    "read_answer",
    "read_as",
    "read_chunk",
    "read_completion",
    "read_image_event",
    "read_images",
    "read_plain",
    "read_speech_event",
    "read_text",
    "read_text_event",
    "read_transcription",
    "read_transcription_event",
    "read_translation",
    "read_vectors",
    "refuse_infinite",
    "remember_usage",
    "sendable",
    "too_large",
    "transcription_events",
    "unexpected",
    "without_key",
    "wrapped_events",
]
