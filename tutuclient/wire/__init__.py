"""Pure: requests to bytes, bytes to structs, status and headers to an error. No network, no clock."""

from __future__ import annotations

from tutuclient.diagnostics import quoted
from tutuclient.wire.api_errors import (
    error_event,
    error_of_answer,
    error_of_status,
    left_unread,
)
from tutuclient.wire.chat import (
    MOST_CALLS,
    MOST_CHOICES,
    apart,
    chunk_of_line,
    decode_chunk,
    is_event_stream,
    is_first_chunk,
    read_chunk,
    read_completion,
    read_completion_or_chunks,
    says_done,
    seek_usage,
    written_chunks,
)
from tutuclient.wire.decoding import UNREADABLE, check_count, too_large, too_many, unexpected
from tutuclient.wire.endpoints import (
    failed,
    read_answer,
    read_as,
    read_image_events,
    read_images,
    read_text,
    read_text_event,
    read_vectors,
)
from tutuclient.wire.envelopes import error_without_answer
from tutuclient.wire.form_body import Form, FormFile, form
from tutuclient.wire.inflate import Inflater
from tutuclient.wire.json_body import (
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
from tutuclient.wire.keywords import added, check_format, check_keywords, is_any, is_asked, names
from tutuclient.wire.lenient import fit_struct
from tutuclient.wire.messages import check_detail, is_part, is_source
from tutuclient.wire.redaction import without_key
from tutuclient.wire.shapes import in_order
from tutuclient.wire.transcripts import (
    PLAIN_FORMATS,
    folded_transcription,
    read_speech_event,
    read_transcription,
    read_transcription_event,
    read_translation,
    transcription_events,
    wrapped_events,
)

__all__ = [
    "MOST_CALLS",
    "MOST_CHOICES",
    "PLAIN_FORMATS",
    "UNREADABLE",
    "Body",
    "Form",
    "FormFile",
    "Inflater",
    "added",
    "apart",
    "check_count",
    "check_detail",
    "check_format",
    "check_keywords",
    "check_model",
    "check_text",
    "chunk_of_line",
    "decode_chunk",
    "encode",
    "error_event",
    "error_of_answer",
    "error_of_status",
    "error_without_answer",
    "failed",
    "fit_struct",
    "folded_transcription",
    "form",
    "given",
    "in_order",
    "is_any",
    "is_asked",
    "is_event_stream",
    "is_first_chunk",
    "is_part",
    "is_source",
    "left_unread",
    "makes_image",
    "names",
    "plain",
    "quoted",
    "read_answer",
    "read_as",
    "read_chunk",
    "read_completion",
    "read_completion_or_chunks",
    "read_image_events",
    "read_images",
    "read_speech_event",
    "read_text",
    "read_text_event",
    "read_transcription",
    "read_transcription_event",
    "read_translation",
    "read_vectors",
    "refuse_infinite",
    "says_done",
    "seek_usage",
    "sendable",
    "too_large",
    "too_many",
    "transcription_events",
    "unexpected",
    "without_key",
    "wrapped_events",
    "written_chunks",
]
