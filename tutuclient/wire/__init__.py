"""Pure: requests to bytes, bytes to structs, status and headers to an error. No network, no clock."""

from __future__ import annotations

from tutuclient.diagnostics import quoted
from tutuclient.wire.api_errors import (
    error_event,
    error_of_answer,
    error_of_empty_stream,
    error_of_status,
)
from tutuclient.wire.chat import (
    MOST_CALLS,
    MOST_CHOICES,
    chunk_of_line,
    decode_chunk,
    fill_usage,
    is_done_mark,
    is_event_stream,
    is_first_chunk,
    read_chunk,
    read_completion,
    read_completion_or_chunks,
    split_json_stream,
    split_values,
)
from tutuclient.wire.decoding import UNREADABLE, check_count, too_large, too_many, unexpected
from tutuclient.wire.endpoints import (
    error_of_image,
    read_answer,
    read_as,
    read_image_events,
    read_images,
    read_text,
    read_text_event,
    read_vectors,
)
from tutuclient.wire.envelopes import error_without_answer
from tutuclient.wire.fields import check_model, check_text, makes_image
from tutuclient.wire.form_body import Form, FormFile, form
from tutuclient.wire.inflate import Inflater
from tutuclient.wire.json_body import (
    Body,
    check_finite,
    encode,
    json_value,
    without_unset,
)
from tutuclient.wire.keywords import check_format, check_keywords, checked_extra_body, is_any, is_stream_asked, names
from tutuclient.wire.lenient import fit_struct
from tutuclient.wire.limits_stated import rate_headers, stated_limit
from tutuclient.wire.messages import check_detail, is_part, is_source, prepared_messages
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
    "check_count",
    "check_detail",
    "check_finite",
    "check_format",
    "check_keywords",
    "check_model",
    "check_text",
    "checked_extra_body",
    "chunk_of_line",
    "decode_chunk",
    "encode",
    "error_event",
    "error_of_answer",
    "error_of_empty_stream",
    "error_of_image",
    "error_of_status",
    "error_without_answer",
    "fill_usage",
    "fit_struct",
    "folded_transcription",
    "form",
    "in_order",
    "is_any",
    "is_done_mark",
    "is_event_stream",
    "is_first_chunk",
    "is_part",
    "is_source",
    "is_stream_asked",
    "json_value",
    "makes_image",
    "names",
    "prepared_messages",
    "quoted",
    "rate_headers",
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
    "split_json_stream",
    "split_values",
    "stated_limit",
    "too_large",
    "too_many",
    "transcription_events",
    "unexpected",
    "without_key",
    "without_unset",
    "wrapped_events",
]
