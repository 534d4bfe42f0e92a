"""Sound: speech out of text, text out of speech, as it was said or in English.

No call here makes a picture, so each is sent again like a question: what costs
twice in the worst case is a minute of sound. Once the first byte of a sound has
been handed on, nothing is.

Source: ``POST /audio/speech``, ``/audio/transcriptions`` and ``/audio/translations``.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

from tutuclient import wire
from tutuclient.errors import ConfigError
from tutuclient.media.upload import Recording
from tutuclient.resources.resource import Resource, stamped
from tutuclient.resources.responses import opened, raw
from tutuclient.settings import UNSET, Unset
from tutuclient.streams.audio import SoundStream, read_sound, speech_reader
from tutuclient.streams.events import EventReader, EventStream, stream_in
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
from tutuclient.types.base import Answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping
    from typing import Unpack

    from tutuclient._meta import Meta
    from tutuclient.media.audio import Sound
    from tutuclient.media.upload import SoundSource
    from tutuclient.settings import Settings, Timeout
    from tutuclient.transport import Call, Transport
    from tutuclient.transport.reply import Reply
    from tutuclient.types.audio import (
        AudioResponseFormat,
        Translation,
        TranslationFormat,
        TranslationVerbose,
    )

_SPEECH = wire.names(SpeechFields, "stream_format")
_TRANSCRIPTION = wire.names(TranscriptionFields, "response_format", "stream")
_TRANSLATION = wire.names(TranslationFields, "response_format")

S = TypeVar("S")
_Transcribed: TypeAlias = Transcription | TranscriptionVerbose | TranscriptionDiarized | str

SoundFile: TypeAlias = "SoundSource | tuple[str | None, SoundSource] | tuple[str | None, SoundSource, str | None]"
"""A sound to be sent as the file of a form: a source, or a name, a source and perhaps its media type."""


class Speech(Resource):
    """``client.audio.speech``."""

    @property
    def with_raw_response(self) -> SpeechRaw:
        """Give answers as they came, with status, headers and bytes; ``parse()`` has the usual result."""
        return SpeechRaw(self._giving("raw"))

    @property
    def with_streaming_response(self) -> SpeechOpen:
        """Give answers open, to be read in pieces: ``async with ….create(…) as response``."""
        return SpeechOpen(self._giving("open"))

    @overload
    async def create(
        self,
        *,
        model: str,
        voice: str | Mapping[str, str],
        input: str,
        stream_format: Literal["audio"] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[SpeechFields],
    ) -> Sound: ...

    @overload
    async def create(
        self,
        *,
        model: str,
        voice: str | Mapping[str, str],
        input: str,
        stream_format: Literal["sse"],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[SpeechFields],
    ) -> EventStream[SpeechStreamEvent]: ...

    async def create(
        self,
        *,
        model: str,
        voice: str | Mapping[str, str],
        input: str,  # noqa: A002  (the API's own name)
        stream_format: Literal["sse", "audio"] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> Sound | EventStream[SpeechStreamEvent]:
        """Have a text read aloud, and wait for the whole sound.

        Args:
            model: Such as ``gpt-4o-mini-tts`` or ``tts-1``.
            voice: Such as ``alloy``, whatever a relay maps, or ``{"id": …}`` for a voice of one's own.
            input: What to say; 4096 characters at most, and 4096 bytes on some relays.
            stream_format: "sse" gives an ``EventStream`` of pieces in place of the whole sound. ``stream`` is easier.
            extra_body: Fields to put into the body, over those given as keywords.
            extra_headers: Headers for this call, over the client's.
            extra_query: Query parameters for this call, over the client's.
            timeout: As for ``chat.completions.create``.
            **fields: ``response_format`` (mp3 unless given), ``speed`` (0.25 to 4), ``instructions``, and whatever
                else the relay understands.

        Raises:
            APIError: The relay said no, or gave no whole sound; an error under the name of a sound is one too.

        Source: ``POST /audio/speech``.
        """
        body = _speech(model, voice, input, stream_format, fields, extra_body)
        call = self._speech_call(body, extra_headers, extra_query, timeout, stream=body.get("stream_format") == "sse")
        asked = str(body.get("response_format") or "")

        def read(data: bytes | bytearray, reply: Reply) -> Sound:
            return read_sound(data, asked, reply.content_type, reply.meta, call.max_bytes)

        async def begin(reply: Reply) -> EventStream[SpeechStreamEvent]:
            return await EventStream[SpeechStreamEvent].begin(
                reply, speech_reader(asked, reply.content_type, reply.meta, call.max_bytes)
            )

        return await (self._open(call, begin) if call.stream else self._send(call, read))

    @asynccontextmanager
    async def stream(
        self,
        *,
        model: str,
        voice: str | Mapping[str, str],
        input: str,  # noqa: A002  (the API's own name)
        stream_format: Literal["sse", "audio"] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[SpeechFields],
    ) -> AsyncGenerator[SoundStream]:
        """Have a text read aloud, and take the sound as it comes: ``async with speech.stream(…) as sound``.

        Arguments and errors as for ``create``. With ``stream_format="sse"`` the sound comes in events, which gives the
        same bytes, and says at the end what it used.
        """
        body = _speech(model, voice, input, stream_format, fields, extra_body)
        call = self._speech_call(body, extra_headers, extra_query, timeout, stream=True)
        asked = str(body.get("response_format") or "")

        async def begin(reply: Reply) -> SoundStream:
            return await SoundStream.begin(reply, asked)

        async with await self._open(call, begin) as stream:
            yield stream

    def _speech_call(
        self,
        body: Mapping[str, Any],
        headers: Mapping[str, str] | None,
        query: Mapping[str, object] | None,
        timeout: float | Timeout | Unset | None,
        *,
        stream: bool,
    ) -> Call:
        return self._call(
            "POST",
            "/audio/speech",
            fields=body,
            headers={"Accept": "application/octet-stream", **(headers or {})},
            query=query,
            timeout=timeout,
            stream=stream,
        )


class SpeechRaw:
    """``client.audio.speech.with_raw_response``."""

    def __init__(self, page: Speech) -> None:
        self.create = raw(page.create)


class SpeechOpen:
    """``client.audio.speech.with_streaming_response``."""

    def __init__(self, page: Speech) -> None:
        self.create = opened(page.create)


class Transcriptions(Resource):
    """``client.audio.transcriptions``."""

    @property
    def with_raw_response(self) -> TranscriptionsRaw:
        """Give answers as they came, with status, headers and bytes; ``parse()`` has the usual result."""
        return TranscriptionsRaw(self._giving("raw"))

    @property
    def with_streaming_response(self) -> TranscriptionsOpen:
        """Give answers open, to be read in pieces: ``async with ….create(…) as response``."""
        return TranscriptionsOpen(self._giving("open"))

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["json"] | None = None,
        stream: Literal[False] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[TranscriptionFields],
    ) -> Transcription: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["verbose_json"],
        stream: Literal[False] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[TranscriptionFields],
    ) -> TranscriptionVerbose: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["diarized_json"],
        stream: Literal[False] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[TranscriptionFields],
    ) -> TranscriptionDiarized: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["text", "srt", "vtt"],
        stream: Literal[False] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[TranscriptionFields],
    ) -> str: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: AudioResponseFormat | None = None,
        stream: Literal[True],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[TranscriptionFields],
    ) -> EventStream[TranscriptionStreamEvent]: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: AudioResponseFormat | None = None,
        stream: Literal[False] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[TranscriptionFields],
    ) -> Transcription | TranscriptionVerbose | TranscriptionDiarized | str: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: AudioResponseFormat | None = None,
        stream: bool | None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[TranscriptionFields],
    ) -> _Transcribed | EventStream[TranscriptionStreamEvent]: ...

    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: AudioResponseFormat | None = None,
        stream: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> _Transcribed | EventStream[TranscriptionStreamEvent]:
        """Write down what is said in a recording.

        Args:
            file: A path, bytes, a binary file object or an ``Upload``; or a tuple of a name, one of these, and perhaps
                its media type. It is read while it is sent.
            model: Such as ``whisper-1`` or ``gpt-4o-transcribe``.
            response_format: How to write it down, "json" unless given; "text", "srt" and "vtt" give a str.
            stream: Give an ``EventStream`` of the text as it is found, in place of the whole. ``whisper-1`` does not
                stream: then its last event is the only one.
            extra_body: Fields to put into the form, over those given as keywords.
            extra_headers: Headers for this call, over the client's.
            extra_query: Query parameters for this call, over the client's.
            timeout: As for ``chat.completions.create``.
            **fields: Every field of ``TranscriptionFields``, and whatever else the relay understands.

        Raises:
            MediaError: The file is missing, empty or no sound; nothing was sent.
            ConfigError: The request cannot be written; nothing was sent.
            APIError: The relay said no, or gave no whole answer.

        Source: ``POST /audio/transcriptions``.
        """
        wire.check_keywords(fields, _TRANSCRIPTION, "audio.transcriptions.create")
        body = _fields(model, response_format, fields, extra_body)
        if stream:
            body.setdefault("stream", True)
        call = self._call(
            "POST",
            "/audio/transcriptions",
            form=wire.form(body, [wire.FormFile("file", _recording(file))]),
            headers=extra_headers,
            query=extra_query,
            timeout=timeout,
            stream=body.get("stream") is True,
        )
        form = str(body.get("response_format") or "")

        def read(data: bytes | bytearray, reply: Reply) -> _Transcribed:
            events = None if _is_plain(form, reply) else stream_in(data, reply.content_type, _reader(form, reply))
            if events is not None:
                data = wire.folded_transcription(events)
            return _stamped(wire.read_transcription(data, form, reply.meta), reply)

        async def begin(reply: Reply) -> EventStream[TranscriptionStreamEvent]:
            return await EventStream[TranscriptionStreamEvent].begin(reply, _reader(form, reply))

        return await (self._open(call, begin) if call.stream else self._send(call, read))


class TranscriptionsRaw:
    """``client.audio.transcriptions.with_raw_response``."""

    def __init__(self, page: Transcriptions) -> None:
        self.create = raw(page.create)


class TranscriptionsOpen:
    """``client.audio.transcriptions.with_streaming_response``."""

    def __init__(self, page: Transcriptions) -> None:
        self.create = opened(page.create)


class Translations(Resource):
    """``client.audio.translations``."""

    @property
    def with_raw_response(self) -> TranslationsRaw:
        """Give answers as they came, with status, headers and bytes; ``parse()`` has the usual result."""
        return TranslationsRaw(self._giving("raw"))

    @property
    def with_streaming_response(self) -> TranslationsOpen:
        """Give answers open, to be read in pieces: ``async with ….create(…) as response``."""
        return TranslationsOpen(self._giving("open"))

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["json"] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[TranslationFields],
    ) -> Translation: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["verbose_json"],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[TranslationFields],
    ) -> TranslationVerbose: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: Literal["text", "srt", "vtt"],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[TranslationFields],
    ) -> str: ...

    @overload
    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: TranslationFormat | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[TranslationFields],
    ) -> Translation | TranslationVerbose | str: ...

    async def create(
        self,
        *,
        file: SoundFile,
        model: str,
        response_format: TranslationFormat | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> Translation | TranslationVerbose | str:
        """Write down in English what is said in a recording.

        Arguments and errors as for ``transcriptions.create``, but for the fields, which are those of
        ``TranslationFields``; models other than ``whisper-1`` do not translate.

        Source: ``POST /audio/translations``.
        """
        wire.check_keywords(fields, _TRANSLATION, "audio.translations.create")
        body = _fields(model, response_format, fields, extra_body)
        call = self._call(
            "POST",
            "/audio/translations",
            form=wire.form(body, [wire.FormFile("file", _recording(file))]),
            headers=extra_headers,
            query=extra_query,
            timeout=timeout,
        )
        form = str(body.get("response_format") or "")

        def read(data: bytes | bytearray, reply: Reply) -> Translation | TranslationVerbose | str:
            return _stamped(wire.read_translation(data, form, reply.meta), reply)

        return await self._send(call, read)


class TranslationsRaw:
    """``client.audio.translations.with_raw_response``."""

    def __init__(self, page: Translations) -> None:
        self.create = raw(page.create)


class TranslationsOpen:
    """``client.audio.translations.with_streaming_response``."""

    def __init__(self, page: Translations) -> None:
        self.create = opened(page.create)


class Audio(Resource):
    """``client.audio``."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(settings, transport)
        self.speech: Speech = Speech(settings, transport)
        self.transcriptions: Transcriptions = Transcriptions(settings, transport)
        self.translations: Translations = Translations(settings, transport)


def _speech(
    model: str,
    voice: str | Mapping[str, str],
    text: str,
    stream_format: str | None,
    fields: Mapping[str, Any],
    extra_body: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Put the fields of a speech together."""
    wire.check_keywords(fields, _SPEECH, "audio.speech")
    asked = {} if stream_format is None else {"stream_format": stream_format}
    body = wire.given({"model": model, "input": text, "voice": voice, **asked, **fields, **wire.added(extra_body)})
    wire.check_model(body)
    wire.check_text(body.get("input"), "input")
    return body


def _fields(
    model: str, response_format: str | None, fields: Mapping[str, Any], extra_body: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Put the fields of a form together; the model comes first, as relays read it."""
    asked = {} if response_format is None else {"response_format": response_format}
    body = wire.given({"model": model, **asked, **fields, **wire.added(extra_body)})
    wire.check_model(body)
    return body


def _recording(file: SoundFile) -> Recording:
    """Make a recording of whatever a file may be given as."""
    if not isinstance(file, tuple):
        return file if isinstance(file, Recording) else Recording(file)
    if len(file) not in {2, 3}:
        raise ConfigError(f"a file as a tuple is (name, content) or (name, content, media type); got {len(file)} items")
    name, source, *mime = file
    return Recording(source, name=name, mime=mime[0] if mime else None)


def _stamped(answer: S, reply: Reply) -> S:
    """Note on an answer how its call went; a text keeps no notes."""
    if isinstance(answer, Answer):
        stamped(answer, reply)
    return answer


def _is_plain(form: str, reply: Reply) -> bool:
    """Say whether what looks like events is what somebody said: "data: …" can be said too."""
    return form in wire.PLAIN_FORMATS and not reply.content_type.startswith("text/event-stream")


def _reader(form: str, reply: Reply) -> EventReader[TranscriptionStreamEvent]:
    def whole(body: bytes, meta: Meta) -> Iterable[TranscriptionStreamEvent]:
        wrapped = wire.wrapped_events(body)
        return (
            wire.transcription_events(body, meta, form=form)
            if wrapped is None
            else _reader(form, reply).read_all(wrapped)
        )

    return EventReader(
        reply.meta,
        read=wire.read_transcription_event,
        is_last=_is_last,
        read_whole=whole,
        max_bytes=reply.call.max_bytes,
    )


def _is_last(event: TranscriptionStreamEvent) -> bool:
    return isinstance(event, TranscriptionTextDoneEvent)
