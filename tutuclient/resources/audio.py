"""Audio: speech out of text, text out of speech, as it was said or in English.

No call here orders an image, so each is sent again like a question: what costs
twice in the worst case is a minute of audio. Once the first byte of an audio has
been handed on, nothing is sent again.

Source: ``POST /audio/speech``, ``/audio/transcriptions`` and ``/audio/translations``.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, Never, TypeAlias, Unpack, overload

from tutuclient import wire
from tutuclient.errors import ConfigError
from tutuclient.media.upload import Recording
from tutuclient.resources.endpoint import Endpoint, events, stamped
from tutuclient.resources.options import CallOptions
from tutuclient.resources.resource import Resource
from tutuclient.resources.views import View, opened, raw, viewed
from tutuclient.streams.audio import Sound, SoundStream, read_sound, speech_reader
from tutuclient.streams.events import EventReader, EventStream
from tutuclient.types.audio import (
    SpeechFields,
    SpeechStreamEvent,
    Transcription,
    TranscriptionDiarized,
    TranscriptionFields,
    TranscriptionStreamEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
    TranslationFields,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from tutuclient.media.upload import SoundSource
    from tutuclient.resources.endpoint import RequestInfo
    from tutuclient.settings import Settings
    from tutuclient.transport import Transport
    from tutuclient.transport.reply import Reply
    from tutuclient.types.audio import (
        AudioResponseFormat,
        Translation,
        TranslationFormat,
        TranslationVerbose,
    )
    from tutuclient.types.base import Meta

_Transcribed: TypeAlias = Transcription | TranscriptionVerbose | TranscriptionDiarized | str

SoundFile: TypeAlias = "SoundSource | tuple[str | None, SoundSource] | tuple[str | None, SoundSource, str | None]"
"""Audio to be sent as the file of a form: a source, or a name, a source and perhaps its media type."""


class _SpeechFields(SpeechFields, CallOptions, total=False):
    """The keywords of ``audio.speech.create``."""


class _TranscriptionFields(TranscriptionFields, CallOptions, total=False):
    """The keywords of ``audio.transcriptions.create``."""


class _WholeTranscriptionFields(_TranscriptionFields, total=False):
    """The same, for an answer that is not streamed."""

    stream: Literal[False] | None


class _TranslationFields(TranslationFields, CallOptions, total=False):
    """The keywords of ``audio.translations.create``."""


class Speech(Resource):
    """``client.audio.speech``."""

    with_raw_response = viewed("raw", lambda: SpeechRaw)
    with_streaming_response = viewed("open", lambda: SpeechOpen)

    @overload
    async def create(
        self,
        *,
        model: str,
        voice: str | Mapping[str, str],
        input: str,
        stream_format: Literal["audio"] | None = None,
        **fields: Unpack[_SpeechFields],
    ) -> Sound: ...

    @overload
    async def create(
        self,
        *,
        model: str,
        voice: str | Mapping[str, str],
        input: str,
        stream_format: Literal["sse"],
        **fields: Unpack[_SpeechFields],
    ) -> EventStream[SpeechStreamEvent]: ...

    async def create(
        self,
        *,
        model: str,
        voice: str | Mapping[str, str],
        input: str,  # noqa: A002  (the API's own name)
        stream_format: Literal["sse", "audio"] | None = None,
        **fields: Any,
    ) -> Sound | EventStream[SpeechStreamEvent]:
        """Read a text aloud, and wait for the whole audio.

        Args:
            model: Such as ``gpt-4o-mini-tts`` or ``tts-1``.
            voice: Such as ``alloy``, whatever a relay maps, or ``{"id": …}`` for a voice of one's own.
            input: What to say; 4096 characters at most, and 4096 bytes on some relays.
            stream_format: "sse" returns an ``EventStream`` of pieces in place of the whole audio. ``stream`` is easier.
            **fields: ``response_format`` (mp3 unless passed), ``speed`` (0.25 to 4), ``instructions``, the options of
                ``CallOptions``, and whatever else the relay understands.

        Raises:
            ConfigError: The request cannot be written; nothing was sent.
            APIError: The relay answered with an error, also under the media type of audio, or with no whole audio.
        """
        return await self._ask(_SPEECH, _speech_arguments(model, voice, input, stream_format), fields)

    @asynccontextmanager
    async def stream(
        self,
        *,
        model: str,
        voice: str | Mapping[str, str],
        input: str,  # noqa: A002  (the API's own name)
        stream_format: Literal["sse", "audio"] | None = None,
        **fields: Unpack[_SpeechFields],
    ) -> AsyncGenerator[SoundStream]:
        """Read a text aloud, and read the audio as it comes: ``async with speech.stream(…) as sound``.

        Arguments and errors as for ``create``. With ``stream_format="sse"`` the audio comes in events: the bytes are
        the same, and the last event says what was used.
        """
        body, options = _SPEECH.split(_speech_arguments(model, voice, input, stream_format), {**fields})
        async with await self._streamed(_SPEECH_STREAM, body, **options) as stream:
            yield stream


class SpeechRaw(View):
    """``client.audio.speech.with_raw_response``."""

    create = raw(Speech.create)


class SpeechOpen(View):
    """``client.audio.speech.with_streaming_response``."""

    create = opened(Speech.create)


class Transcriptions(Resource):
    """``client.audio.transcriptions``."""

    with_raw_response = viewed("raw", lambda: TranscriptionsRaw)
    with_streaming_response = viewed("open", lambda: TranscriptionsOpen)

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["json"] | None = None,
        **fields: Unpack[_WholeTranscriptionFields],
    ) -> Transcription: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["verbose_json"],
        **fields: Unpack[_WholeTranscriptionFields],
    ) -> TranscriptionVerbose: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["diarized_json"],
        **fields: Unpack[_WholeTranscriptionFields],
    ) -> TranscriptionDiarized: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["text", "srt", "vtt"],
        **fields: Unpack[_WholeTranscriptionFields],
    ) -> str: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: AudioResponseFormat | None = None,
        stream: Literal[True],
        **fields: Unpack[_TranscriptionFields],
    ) -> EventStream[TranscriptionStreamEvent]: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: AudioResponseFormat | None = None,
        **fields: Unpack[_WholeTranscriptionFields],
    ) -> Transcription | TranscriptionVerbose | TranscriptionDiarized | str: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: AudioResponseFormat | None = None,
        stream: bool | None,
        **fields: Unpack[_TranscriptionFields],
    ) -> _Transcribed | EventStream[TranscriptionStreamEvent]: ...

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
        return await self._ask(
            _TRANSCRIPTION, _file_arguments(model, response_format), fields, stream=stream, files=files
        )


class TranscriptionsRaw(View):
    """``client.audio.transcriptions.with_raw_response``."""

    create = raw(Transcriptions.create)


class TranscriptionsOpen(View):
    """``client.audio.transcriptions.with_streaming_response``."""

    create = opened(Transcriptions.create)


class Translations(Resource):
    """``client.audio.translations``."""

    with_raw_response = viewed("raw", lambda: TranslationsRaw)
    with_streaming_response = viewed("open", lambda: TranslationsOpen)

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["json"] | None = None,
        **fields: Unpack[_TranslationFields],
    ) -> Translation: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["verbose_json"],
        **fields: Unpack[_TranslationFields],
    ) -> TranslationVerbose: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["text", "srt", "vtt"],
        **fields: Unpack[_TranslationFields],
    ) -> str: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: TranslationFormat | None = None,
        **fields: Unpack[_TranslationFields],
    ) -> Translation | TranslationVerbose | str: ...

    async def create(
        self, *, file: SoundFile, model: str, response_format: TranslationFormat | None = None, **fields: Any
    ) -> Translation | TranslationVerbose | str:
        """Write down in English what is said in a recording.

        Arguments and errors as for ``transcriptions.create``, but for the fields, which are those of
        ``TranslationFields``; models other than ``whisper-1`` do not translate.
        """
        files = [wire.FormFile("file", _recording(file))]
        return await self._ask(_TRANSLATION, _file_arguments(model, response_format), fields, files=files)


class TranslationsRaw(View):
    """``client.audio.translations.with_raw_response``."""

    create = raw(Translations.create)


class TranslationsOpen(View):
    """``client.audio.translations.with_streaming_response``."""

    create = opened(Translations.create)


class Audio(Resource):
    """``client.audio``."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(settings, transport)
        self.speech: Speech = Speech(settings, transport)
        self.transcriptions: Transcriptions = Transcriptions(settings, transport)
        self.translations: Translations = Translations(settings, transport)


def _speech_arguments(
    model: str, voice: str | Mapping[str, str], text: str, stream_format: str | None
) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": model, "input": text, "voice": voice}
    return fields if stream_format is None else fields | {"stream_format": stream_format}


def _prepare_speech(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_model(body)
    wire.check_text(body.get("input"), "input")
    return body


def _read_speech(data: bytes | bytearray, reply: Reply, info: RequestInfo) -> Sound:
    return read_sound(data, _format(info), reply.content_type, reply.meta, reply.call.max_bytes)


def _speech_events(reply: Reply, info: RequestInfo) -> EventReader[SpeechStreamEvent]:
    return speech_reader(_format(info), reply.content_type, reply.meta, reply.call.max_bytes)


async def _begin_audio(reply: Reply, info: RequestInfo) -> SoundStream:
    return await SoundStream.begin(reply, _format(info))


def _format(info: RequestInfo) -> str:
    """Return the format that was asked for, "" for none."""
    return str(info.body.get("response_format") or "")


def _file_arguments(model: str, response_format: str | None) -> dict[str, Any]:
    """Return the named fields of a form; the model comes first, as relays read it."""
    return {"model": model} if response_format is None else {"model": model, "response_format": response_format}


def _prepare(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_model(body)
    return body


def _recording(file: SoundFile) -> Recording:
    """Return the recording of a file, whatever it is passed as."""
    if not isinstance(file, tuple):
        return file if isinstance(file, Recording) else Recording(file)
    if len(file) not in {2, 3}:
        raise ConfigError(f"a file as a tuple is (name, content) or (name, content, media type); got {len(file)} items")
    name, source, *mime = file
    return Recording(source, name=name, mime=mime[0] if mime else None)


def _read_transcription(data: bytes | bytearray, reply: Reply, info: RequestInfo) -> _Transcribed:
    form = _format(info)
    if wire.is_event_stream(bytes(data[:64]), reply.content_type) and not _is_plain(form, reply):
        data = wire.folded_transcription(_reader(reply, info).all(data))
    return stamped(wire.read_transcription(data, form, reply.meta), reply)


def _read_translation(
    data: bytes | bytearray, reply: Reply, info: RequestInfo
) -> Translation | TranslationVerbose | str:
    return stamped(wire.read_translation(data, _format(info), reply.meta), reply)


def _is_plain(form: str, reply: Reply) -> bool:
    """Return whether what looks like events is what somebody said: "data: …" can be said too."""
    return form in wire.PLAIN_FORMATS and not reply.content_type.startswith("text/event-stream")


def _reader(reply: Reply, info: RequestInfo) -> EventReader[TranscriptionStreamEvent]:
    def whole(body: bytes, meta: Meta) -> Iterable[TranscriptionStreamEvent]:
        wrapped = wire.wrapped_events(body)
        if wrapped is not None:
            return _reader(reply, info).all(wrapped)
        return wire.transcription_events(body, meta, form=_format(info))

    return EventReader(
        reply.meta,
        read=wire.read_transcription_event,
        last=_is_last,
        whole=whole,
        max_bytes=reply.call.max_bytes,
    )


def _is_last(event: TranscriptionStreamEvent) -> bool:
    return isinstance(event, TranscriptionTextDoneEvent)


_SPEECH = Endpoint(
    "audio.speech",
    "/audio/speech",
    known=wire.names(SpeechFields, "stream_format"),
    headers={"Accept": "application/octet-stream"},
    prepare=_prepare_speech,
    streams=lambda body: body.get("stream_format") == "sse",
    read=_read_speech,
    begin=events(_speech_events),
)
_SPEECH_STREAM = _SPEECH.with_stream(_begin_audio)
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
