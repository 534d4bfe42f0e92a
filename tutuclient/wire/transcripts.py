"""Transcriptions and translations: JSON, text and subtitles, whole and as events; and the events of a speech.

The format that was asked for decides how an answer is read, since relays label
them as they like. Text is never taken for JSON, nor an error for text.

Source: .github/WIRE.md, sections 1.1 and 1.2.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from msgspec.structs import asdict

from tutuclient.types.audio import (
    SpeechAudioDeltaEvent,
    SpeechAudioDoneEvent,
    SpeechStreamEvent,
    Transcription,
    TranscriptionDiarized,
    TranscriptionStreamEvent,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)
from tutuclient.types.base import Answer, remember_answer
from tutuclient.types.json import read_json
from tutuclient.wire.api_errors import error_event, error_in_place
from tutuclient.wire.decoding import in_utf8, unexpected
from tutuclient.wire.envelopes import read_event, read_unwrapped, unrecognized
from tutuclient.wire.lenient import fit_struct
from tutuclient.wire.shapes import audio_event_in, transcription_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tutuclient._meta import Meta
    from tutuclient.wire.sse import Data

A = TypeVar("A", bound=Answer)

PLAIN_FORMATS = frozenset({"text", "srt", "vtt"})
"""The formats whose answer is not JSON but the text itself."""

_TRANSCRIPTIONS: dict[str, type[Transcription | TranscriptionVerbose | TranscriptionDiarized]] = {
    "verbose_json": TranscriptionVerbose,
    "diarized_json": TranscriptionDiarized,
}
_TRANSLATIONS: dict[str, type[Translation | TranslationVerbose]] = {"verbose_json": TranslationVerbose}
_EVENTS: dict[str, type[TranscriptionStreamEvent]] = {
    "transcript.text.delta": TranscriptionTextDeltaEvent,
    "transcript.text.segment": TranscriptionTextSegmentEvent,
    "transcript.text.done": TranscriptionTextDoneEvent,
}
_BY_FIELD: tuple[tuple[str, type[TranscriptionStreamEvent]], ...] = (
    ("delta", TranscriptionTextDeltaEvent),
    ("text", TranscriptionTextDoneEvent),
)
_HTML = re.compile(rb"[\s\xef\xbb\xbf]*<(!doctype|html|head|body)", re.IGNORECASE)
_JSON = re.compile(rb'[\s\xef\xbb\xbf]*(?:\[\s*)?\{\s*"')
_CUE = re.compile(r"-->|\s*WEBVTT")


def read_transcription(
    data: Data, form: str, meta: Meta
) -> Transcription | TranscriptionVerbose | TranscriptionDiarized | str:
    """Read a whole transcription.

    Args:
        data: The body.
        form: The ``response_format`` that was asked for, "" for none.
        meta: How the call went.

    Returns:
        The struct of the format; the text itself for those of ``PLAIN_FORMATS``, of "text" without the line break
        at its end.

    Raises:
        APIStatusError: It is an error under a good status.
        UnexpectedResponseError: It is HTML, an empty body, JSON without a text, or text where JSON was asked for.
    """
    if form in PLAIN_FORMATS:
        return read_plain(data, form, meta)
    return _read_json(data, _TRANSCRIPTIONS.get(form, Transcription), meta)


def read_translation(data: Data, form: str, meta: Meta) -> Translation | TranslationVerbose | str:
    """Read a whole translation. Arguments and errors as for ``read_transcription``."""
    if form in PLAIN_FORMATS:
        return read_plain(data, form, meta)
    return _read_json(data, _TRANSLATIONS.get(form, Translation), meta)


def read_plain(data: Data, form: str, meta: Meta) -> str:
    """Read an answer that is text. Some relays put it into JSON all the same. Errors as for ``read_transcription``.

    Of a recording in which nobody speaks the text is empty, but a line break or a heading comes all the same: an empty
    body is an error.
    """
    raw = bytes(data)
    if not raw:
        raise unexpected("an empty body", raw, meta)
    if _HTML.match(raw[:256]):
        raise unexpected("HTML", raw, meta)
    # Some wrap it, whatever format was asked for; and errors are JSON, whatever label they have (.github/WIRE.md,
    # section 1.2).
    if _JSON.match(raw[:256]):
        tree, _ = read_unwrapped(raw, meta, transcription_in)
        text = tree.get("text")
        if not isinstance(text, str) or (form != "text" and not _CUE.search(text)):
            raise error_in_place(f"JSON where {form} was asked for", tree, raw, meta)
        return text
    text = in_utf8(raw, meta).decode("utf-8", "replace").removeprefix("\ufeff")
    # Whisper ends its text with a line break; in subtitles the empty line is part of the format (.github/WIRE.md,
    # section 1.2).
    return text.removesuffix("\n").removesuffix("\r") if form == "text" else text


def read_transcription_event(kind: str, data: Data, meta: Meta) -> TranscriptionStreamEvent | None:
    """Read an event of a streamed transcription; None for what carries nothing.

    The JSON's ``type`` counts more than ``kind``, the name in its ``event:`` line, or "".

    Raises:
        APIError: It is an error.
        UnexpectedResponseError: It is not a JSON object.
    """
    tree = _event(kind, data, meta)
    # The JSON's ``type`` first: an ``event:`` line may be missing, and relays strip it (.github/WIRE.md, sections 1.2
    # and 3.1).
    cls = _EVENTS.get(str(tree.get("type") or kind))
    if cls is None:
        # A relay that cannot stream writes the whole answer into one event.
        cls = next((event for field, event in _BY_FIELD if isinstance(tree.get(field), str)), None)
    return None if cls is None else remember_answer(fit_struct(tree, cls), data, tree)


def transcription_events(body: bytes, meta: Meta, *, form: str) -> Iterator[TranscriptionStreamEvent]:
    """Yield the events of a whole transcription that came although a stream was asked for; raise as reading it does."""
    whole = read_transcription(body, form, meta)
    if isinstance(whole, str):
        yield TranscriptionTextDoneEvent(text=whole)
        return
    # new-api buffers a transcription, and some relays cannot stream at all (.github/WIRE.md, section 1.2): the events
    # are made of the whole.
    for part in whole.segments if isinstance(whole, TranscriptionDiarized) else ():
        yield fit_struct(asdict(part), TranscriptionTextSegmentEvent)
    yield remember_answer(
        fit_struct(whole.to_dict() | {"type": "transcript.text.done"}, TranscriptionTextDoneEvent),
        body,
        whole.to_dict(),
    )


def wrapped_events(body: bytes) -> bytes | None:
    """Return the event stream that is the text of a whole transcription, as litellm's proxy sends it, or None."""
    try:
        text: Any = cast("dict[str, Any]", read_json(body)).get("text")
    except (ValueError, RecursionError, AttributeError):
        return None
    return text.encode() if isinstance(text, str) and text.startswith(("event:", "data:")) else None


def folded_transcription(events: Iterable[TranscriptionStreamEvent]) -> bytes:
    """Return the body of a whole transcription for events that came although no stream was asked for."""
    tree: dict[str, Any] = {}
    pieces: list[str] = []
    segments: list[dict[str, Any]] = []
    for event in events:
        if isinstance(event, TranscriptionTextDoneEvent):
            tree = event.to_dict()
        elif isinstance(event, TranscriptionTextSegmentEvent):
            segments.append(event.to_dict())
        else:
            pieces.append(event.delta)
    tree = {"text": "".join(pieces)} | tree
    return msgspec.json.encode(tree | {"segments": segments} if segments else tree)


def read_speech_event(kind: str, data: Data, meta: Meta) -> SpeechStreamEvent | None:
    """Read an event of a speech that is streamed as events. Arguments and errors as ``read_transcription_event``."""
    tree = _event(kind, data, meta)
    name = str(tree.get("type") or kind)
    if name == "speech.audio.done":
        return remember_answer(fit_struct(tree, SpeechAudioDoneEvent), data, tree)
    if not tree.get("audio") and name != "speech.audio.delta":
        return None
    event = fit_struct(tree, SpeechAudioDeltaEvent)
    try:
        _ = event.data  # Decoded here, so that broken base64 is an error of the stream.
    except ValueError:
        broken = unexpected("a piece of audio whose base64 is broken", data, meta)
    else:
        return remember_answer(event, data, tree)
    raise broken


def _event(kind: str, data: Data, meta: Meta) -> dict[str, Any]:
    if kind == "error":
        raise error_event(data, meta)
    return read_event(data, meta, audio_event_in, name=kind) or {}


def _read_json(data: Data, cls: type[A], meta: Meta) -> A:
    raw = bytes(data)
    tree, found = read_unwrapped(raw, meta, transcription_in)
    if found is None:
        raise unrecognized("JSON without a text", raw, meta, tree)
    return remember_answer(fit_struct(tree, cls), raw, tree)
