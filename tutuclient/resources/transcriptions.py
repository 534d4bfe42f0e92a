"""Transcriptions and translations: text out of speech, as it was said or in English.

Source: ``POST /audio/transcriptions`` and ``/audio/translations``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Never, Required, TypeAlias, Unpack, overload

from tutuclient import wire
from tutuclient.errors import ConfigError
from tutuclient.media.upload import Recording
from tutuclient.resources.endpoint import Endpoint, events, stamped
from tutuclient.resources.options import CallOptions
from tutuclient.resources.resource import Resource
from tutuclient.resources.views import View, opened, raw, viewed
from tutuclient.settings import with_keywords
from tutuclient.streams.events import EventReader, EventStream, stream_in
from tutuclient.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionFields,
    TranscriptionStreamEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
    TranslationFields,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tutuclient._meta import Meta
    from tutuclient.media.upload import SoundSource
    from tutuclient.resources.endpoint import RequestInfo
    from tutuclient.transport.reply import Reply
    from tutuclient.types.audio import AudioResponseFormat, Translation, TranslationFormat, TranslationVerbose

_Transcribed: TypeAlias = Transcription | TranscriptionVerbose | TranscriptionDiarized | str

SoundFile: TypeAlias = "SoundSource | tuple[str | None, SoundSource] | tuple[str | None, SoundSource, str | None]"
"""Audio to be sent as the file of a form: a source, or a name, a source and perhaps its media type."""


class _Fields(TranscriptionFields, CallOptions, total=False):
    """The keywords of ``audio.transcriptions.create``."""

    file: Required[SoundFile]
    model: Required[str]


class _WholeFields(_Fields, total=False):
    """The same, for an answer that is not streamed."""

    stream: Literal[False] | None


class _TranslationFields(TranslationFields, CallOptions, total=False):
    """The keywords of ``audio.translations.create``."""

    file: Required[SoundFile]
    model: Required[str]


class Transcriptions(Resource):
    """``client.audio.transcriptions``."""

    with_raw_response = viewed("raw", lambda: _TranscriptionsRaw)
    with_streaming_response = viewed("open", lambda: _TranscriptionsOpen)

    @overload
    async def create(
        self, *, response_format: Literal["json"] | None = None, **fields: Unpack[_WholeFields]
    ) -> Transcription: ...

    @overload
    async def create(
        self, *, response_format: Literal["verbose_json"], **fields: Unpack[_WholeFields]
    ) -> TranscriptionVerbose: ...

    @overload
    async def create(
        self, *, response_format: Literal["diarized_json"], **fields: Unpack[_WholeFields]
    ) -> TranscriptionDiarized: ...

    @overload
    async def create(
        self, *, response_format: Literal["text", "srt", "vtt"], **fields: Unpack[_WholeFields]
    ) -> str: ...

    @overload
    async def create(
        self, *, response_format: AudioResponseFormat | None = None, stream: Literal[True], **fields: Unpack[_Fields]
    ) -> EventStream[TranscriptionStreamEvent]: ...

    @overload
    async def create(
        self, *, response_format: AudioResponseFormat | None = None, **fields: Unpack[_WholeFields]
    ) -> _Transcribed: ...

    @overload
    async def create(
        self, *, response_format: AudioResponseFormat | None = None, stream: bool | None, **fields: Unpack[_Fields]
    ) -> _Transcribed | EventStream[TranscriptionStreamEvent]: ...

    @with_keywords(_Fields, open_ended=True)
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: AudioResponseFormat | None = None,
        stream: bool | None = None,
        **fields: Any,
    ) -> _Transcribed | EventStream[TranscriptionStreamEvent]:
        """Write down what is said in a recording.

        Args:
            file: A path, bytes, a binary file object or an ``Upload``; or a tuple of a name, one of these, and perhaps
                its media type. It is read while it is sent.
            model: Such as ``whisper-1`` or ``gpt-4o-transcribe``.
            response_format: How to write it down, "json" unless passed; "text", "srt" and "vtt" return a str.
            stream: Return an ``EventStream`` of the text as it is found, in place of the whole. ``whisper-1`` does not
                stream: then its last event is the only one.
            **fields: Every field of ``TranscriptionFields``, the options of ``CallOptions``, and whatever else the
                relay understands.

        Raises:
            MediaError: The file is missing, empty or no audio; nothing was sent.
            ConfigError: The request cannot be written; nothing was sent.
            APIError: The relay answered with an error, or with no whole answer.
        """
        files = [wire.FormFile("file", _recording(file))]
        return await self._ask(_TRANSCRIPTION, _arguments(model, response_format), fields, stream=stream, files=files)


class _TranscriptionsRaw(View):
    create = raw(Transcriptions.create)


class _TranscriptionsOpen(View):
    create = opened(Transcriptions.create)


class Translations(Resource):
    """``client.audio.translations``."""

    with_raw_response = viewed("raw", lambda: _TranslationsRaw)
    with_streaming_response = viewed("open", lambda: _TranslationsOpen)

    @overload
    async def create(
        self, *, response_format: Literal["json"] | None = None, **fields: Unpack[_TranslationFields]
    ) -> Translation: ...

    @overload
    async def create(
        self, *, response_format: Literal["verbose_json"], **fields: Unpack[_TranslationFields]
    ) -> TranslationVerbose: ...

    @overload
    async def create(
        self, *, response_format: Literal["text", "srt", "vtt"], **fields: Unpack[_TranslationFields]
    ) -> str: ...

    @overload
    async def create(
        self, *, response_format: TranslationFormat | None = None, **fields: Unpack[_TranslationFields]
    ) -> Translation | TranslationVerbose | str: ...

    @with_keywords(_TranslationFields, open_ended=True)
    async def create(
        self, *, file: SoundFile, model: str, response_format: TranslationFormat | None = None, **fields: Any
    ) -> Translation | TranslationVerbose | str:
        """Write down in English what is said in a recording.

        Arguments and errors as for ``transcriptions.create``, but for the fields, which are those of
        ``TranslationFields``; models other than ``whisper-1`` do not translate.
        """
        files = [wire.FormFile("file", _recording(file))]
        return await self._ask(_TRANSLATION, _arguments(model, response_format), fields, files=files)


class _TranslationsRaw(View):
    create = raw(Translations.create)


class _TranslationsOpen(View):
    create = opened(Translations.create)


def _arguments(model: str, response_format: str | None) -> dict[str, Any]:
    """Return the named fields of a form; the model comes first, as relays read it."""
    # new-api rebuilds a form with the model first, too (WIRE.md 1.2).
    return {"model": model} if response_format is None else {"model": model, "response_format": response_format}


def _prepare(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_model(body)
    return body


def _recording(file: SoundFile) -> Recording:
    """Return the recording of a file, whatever it is passed as."""
    if not isinstance(file, tuple):
        return file if isinstance(file, Recording) else Recording(file)
    # openai's package takes tuples too; a fourth item, the part's headers, has no place in this client's forms.
    if len(file) not in {2, 3}:
        raise ConfigError(f"a file as a tuple is (name, content) or (name, content, media type); got {len(file)} items")
    name, source, *mime = file
    return Recording(source, name=name, mime=mime[0] if mime else None)


def _read_transcription(data: bytes | bytearray, reply: Reply, info: RequestInfo) -> _Transcribed:
    form = info.response_format
    events = None if _is_plain(form, reply) else stream_in(data, reply.content_type, _reader(reply, info))
    if events is not None:
        data = wire.folded_transcription(events)
    return stamped(wire.read_transcription(data, form, reply.meta), reply)


def _read_translation(
    data: bytes | bytearray, reply: Reply, info: RequestInfo
) -> Translation | TranslationVerbose | str:
    return stamped(wire.read_translation(data, info.response_format, reply.meta), reply)


def _is_plain(form: str, reply: Reply) -> bool:
    """Return whether what looks like events is what somebody said: "data: …" can be said too."""
    return form in wire.PLAIN_FORMATS and not reply.content_type.startswith("text/event-stream")


def _reader(reply: Reply, info: RequestInfo) -> EventReader[TranscriptionStreamEvent]:
    def whole(body: bytes, meta: Meta) -> Iterable[TranscriptionStreamEvent]:
        # litellm's proxy sends the event stream as the ``text`` of a whole answer.
        wrapped = wire.wrapped_events(body)
        if wrapped is not None:
            return _reader(reply, info).read_all(wrapped)
        return wire.transcription_events(body, meta, form=info.response_format)

    return EventReader(
        reply.meta,
        read=wire.read_transcription_event,
        is_last=_is_last,
        read_whole=whole,
        max_bytes=reply.call.max_bytes,
    )


def _is_last(event: TranscriptionStreamEvent) -> bool:
    return isinstance(event, TranscriptionTextDoneEvent)


_TRANSCRIPTION = Endpoint(
    "audio.transcriptions.create",
    "/audio/transcriptions",
    known=wire.names(TranscriptionFields, "response_format", "stream"),
    prepare=_prepare,
    read=_read_transcription,
    begin=events(_reader),
)
_TRANSLATION: Endpoint[Translation | TranslationVerbose | str, Never] = Endpoint(
    "audio.translations.create",
    "/audio/translations",
    known=wire.names(TranslationFields, "response_format"),
    prepare=_prepare,
    read=_read_translation,
)
