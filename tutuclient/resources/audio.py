"""Audio: speech out of text; ``transcriptions`` has text out of speech.

No call here orders an image, so each is sent again like a question: what costs
twice in the worst case is a minute of audio. Once the first byte of an audio has
been handed on, nothing is sent again.

Source: ``POST /audio/speech``.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, Required, Unpack, overload

from tutuclient import wire
from tutuclient.resources.endpoint import Endpoint, events
from tutuclient.resources.options import CallOptions
from tutuclient.resources.resource import Resource
from tutuclient.resources.transcriptions import Transcriptions, Translations
from tutuclient.resources.views import View, opened, raw, viewed
from tutuclient.settings import with_keywords
from tutuclient.streams.audio import SoundStream, read_audio, speech_reader
from tutuclient.types.audio import SpeechFields, SpeechStreamEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from tutuclient.media.audio import Sound
    from tutuclient.resources.endpoint import RequestInfo
    from tutuclient.settings import Settings
    from tutuclient.streams.events import EventReader, EventStream
    from tutuclient.transport import Transport
    from tutuclient.transport.reply import Reply


class _StreamFields(SpeechFields, CallOptions, total=False):
    """The keywords of ``audio.speech.stream`` that are no arguments of its own."""


class _Fields(_StreamFields, total=False):
    """The keywords of ``audio.speech.create``."""

    model: Required[str]
    voice: Required[str | Mapping[str, str]]
    input: Required[str]


class Speech(Resource):
    """``client.audio.speech``."""

    with_raw_response = viewed("raw", lambda: _Raw)
    with_streaming_response = viewed("open", lambda: _Open)

    @overload
    async def create(self, *, stream_format: Literal["audio"] | None = None, **fields: Unpack[_Fields]) -> Sound: ...

    @overload
    async def create(
        self, *, stream_format: Literal["sse"], **fields: Unpack[_Fields]
    ) -> EventStream[SpeechStreamEvent]: ...

    @with_keywords(_Fields, open_ended=True)
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
        return await self._ask(_CREATE, _arguments(model, voice, input, stream_format), fields)

    @with_keywords(_StreamFields, open_ended=True)
    @asynccontextmanager
    async def stream(
        self,
        *,
        model: str,
        voice: str | Mapping[str, str],
        input: str,  # noqa: A002  (the API's own name)
        stream_format: Literal["sse", "audio"] | None = None,
        **fields: Unpack[_StreamFields],
    ) -> AsyncGenerator[SoundStream]:
        """Read a text aloud, and read the audio as it comes: ``async with speech.stream(…) as sound``.

        Arguments and errors as for ``create``. With ``stream_format="sse"`` the audio comes in events: the bytes are
        the same, and the last event says what was used.
        """
        body, options = _CREATE.split(_arguments(model, voice, input, stream_format), {**fields})
        async with await self._streamed(_STREAM, body, **options) as stream:
            yield stream


class _Raw(View):
    create = raw(Speech.create)


class _Open(View):
    create = opened(Speech.create)


class Audio(Resource):
    """``client.audio``."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(settings, transport)
        self.speech: Speech = Speech(settings, transport)
        self.transcriptions: Transcriptions = Transcriptions(settings, transport)
        self.translations: Translations = Translations(settings, transport)


def _arguments(model: str, voice: str | Mapping[str, str], text: str, stream_format: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": model, "input": text, "voice": voice}
    return fields if stream_format is None else fields | {"stream_format": stream_format}


def _prepare(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_model(body)
    # Not its length: the limit is 4096 characters at OpenAI, and 4096 bytes in one-api (WIRE.md 1.1).
    wire.check_text(body.get("input"), "input")
    return body


def _read(data: bytes | bytearray, reply: Reply, info: RequestInfo) -> Sound:
    return read_audio(data, info.response_format, reply.content_type, reply.meta, reply.call.max_bytes)


def _reader(reply: Reply, info: RequestInfo) -> EventReader[SpeechStreamEvent]:
    return speech_reader(info.response_format, reply.content_type, reply.meta, reply.call.max_bytes)


async def _begin(reply: Reply, info: RequestInfo) -> SoundStream:
    return await SoundStream.begin(reply, info.response_format)


_CREATE = Endpoint(
    "audio.speech",
    "/audio/speech",
    known=wire.names(SpeechFields, "stream_format"),
    # As openai's package asks (WIRE.md 1.1): a relay forwards it to its upstream as it is (WIRE.md 1).
    headers={"Accept": "application/octet-stream"},
    prepare=_prepare,
    streams=lambda body: body.get("stream_format") == "sse",
    read=_read,
    begin=events(_reader),
)
# The same request; only what is made of the answer differs.
_STREAM = _CREATE.with_stream(_begin)
