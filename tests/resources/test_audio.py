"""The pages of sound over a real socket: speech, transcriptions, translations."""

from __future__ import annotations

import asyncio
import base64
import email.policy
import io
import json
import tracemalloc
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from tests.conftest import KEY
from tutuclient import (
    APIStatusError,
    BadRequestError,
    ConfigError,
    IncompleteStreamError,
    InternalServerError,
    MediaError,
    NotFoundError,
    Recording,
    Sound,
    Transcription,
    TranscriptionDiarized,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
    TutuClient,
    UnexpectedResponseError,
    Upload,
    audio,
    user,
)
from tutuclient.testing import Recorded, Server, fails, rate_limited, raw, streams
from tutuclient.types import (
    SpeechAudioDeltaEvent,
    SpeechAudioDoneEvent,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MP3 = b"ID3\x04\0\0\0\0\0\0" + bytes(range(256)) * 20
WAV = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\x08\0\0\0" + bytes(8)
ASK: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "你好"}
SRT = "1\n00:00:00,000 --> 00:00:01,500\n你好\n\n"
SEGMENT = {"id": 0, "start": 0, "end": 1.5, "text": "你好"}
VERBOSE = {"task": "transcribe", "language": "chinese", "duration": "1.5", "text": "你好", "segments": [SEGMENT]}


class Part(NamedTuple):
    """A part of a form, as a server reads it."""

    name: str
    filename: str | None
    mime: str | None
    data: bytes


def form_of(seen: Recorded) -> list[Part]:
    head = f"Content-Type: {seen.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser(policy=email.policy.HTTP).parsebytes(head + seen.body)
    return [
        Part(
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            part.get("Content-Type"),
            cast("bytes", part.get_payload(decode=True)),
        )
        for part in message.iter_parts()
    ]


def gives(value: object, content_type: str = "application/json") -> Any:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return raw(body=body, headers={"Content-Type": content_type})


# Speech.


async def test_a_speech_is_a_sound(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(gives(MP3, "audio/mpeg"))
    sound = await client.audio.speech.create(
        **ASK, response_format="mp3", speed=1.5, instructions="softly", extra_body={"own": 1}
    )
    assert isinstance(sound, Sound)
    assert (sound.content, sound.mime) == (MP3, "audio/mpeg")
    assert (sound.meta.status_code, sound.meta.attempts) == (200, 1)
    assert (await sound.save(tmp_path / "talk.mp3")).read_bytes() == MP3
    seen = server.requests[0]
    assert (seen.method, seen.path) == ("POST", "/v1/audio/speech")
    assert seen.headers["Accept"] == "application/octet-stream"
    assert seen.json == {
        **ASK, "response_format": "mp3", "speed": 1.5, "instructions": "softly", "own": 1,
    }  # fmt: skip


async def test_a_voice_may_be_an_object_and_headers_the_callers_own(client: TutuClient, server: Server) -> None:
    server.answers(gives(MP3, "audio/mpeg"))
    await client.audio.speech.create(
        model="m", voice={"id": "voice_1"}, input="hi", extra_headers={"accept": "audio/mpeg"}, extra_query={"a": 1}
    )
    seen = server.requests[0]
    assert seen.json["voice"] == {"id": "voice_1"}
    assert seen.headers.getall("Accept") == ["audio/mpeg"]
    assert seen.query["a"] == "1"


async def test_raw_samples_are_what_was_asked_for(client: TutuClient, server: Server) -> None:
    server.answers(gives(bytes(4800), "application/octet-stream"), gives(bytes(4800), "application/octet-stream"))
    assert (await client.audio.speech.create(**ASK, response_format="pcm")).mime == "audio/pcm"
    async with client.audio.speech.stream(**ASK, extra_body={"response_format": "pcm"}) as speech:
        assert speech.mime == "audio/pcm"
        assert await speech.read() == bytes(4800)


async def test_a_speech_is_asked_for_again_like_a_question(client: TutuClient, server: Server) -> None:
    server.answers(
        rate_limited(),
        streams([MP3[:100]], done=False, content_type="audio/mpeg", then="fin"),
        gives({"error": {"message": "busy", "type": "server_error"}}, "audio/mpeg"),
        gives(MP3, "audio/mpeg"),
    )
    sound = await client.with_options(max_retries=3).audio.speech.create(**ASK)
    assert (sound.content, sound.meta.attempts) == (MP3, 4)


async def test_a_speech_that_was_refused_is_an_error(client: TutuClient, server: Server) -> None:
    server.answers(
        fails(400, "text too long", "text_too_long"),
        gives({"error": {"message": "no channel", "code": 400}}, "audio/mpeg"),
        gives(b"<html><title>504</title>", "text/html"),
        raw(),
        raw(body=MP3, headers={"Content-Type": "text/html"}),
    )
    with pytest.raises(BadRequestError, match="text too long"):
        await client.audio.speech.create(**ASK)
    with pytest.raises(BadRequestError, match="no channel"):
        await client.audio.speech.create(**ASK)
    for _ in range(2):
        with pytest.raises(UnexpectedResponseError):
            await client.audio.speech.create(**ASK)
    assert (await client.audio.speech.create(**ASK)).mime == "audio/mpeg"  # The bytes are right, the label is not.


# Transcriptions.


async def test_a_recording_is_sent_as_a_form(client: TutuClient, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "图 1.mp3"
    path.write_bytes(WAV)
    server.answers(gives({"text": "hi"}))
    answer = await client.audio.transcriptions.create(
        file=path,
        model="whisper-1",
        response_format="json",
        language="zh",
        prompt='a "quote"\nand a line',
        temperature=0,
        timestamp_granularities=["word", "segment"],
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "silence_duration_ms": 200},
        known_speaker_names=["A", "B"],
        extra_body={"own": True, "nothing": None},
    )
    assert answer.text == "hi"
    assert answer.meta.status_code == 200
    seen = server.requests[0]
    assert (seen.method, seen.path) == ("POST", "/v1/audio/transcriptions")
    assert seen.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert int(seen.headers["Content-Length"]) == seen.size_bytes
    *fields, file = form_of(seen)
    assert [(part.name, part.data.decode()) for part in fields] == [
        ("model", "whisper-1"),
        ("response_format", "json"),
        ("language", "zh"),
        ("prompt", 'a "quote"\nand a line'),
        ("temperature", "0"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("include[]", "logprobs"),
        ("chunking_strategy[type]", "server_vad"),
        ("chunking_strategy[silence_duration_ms]", "200"),
        ("known_speaker_names[]", "A"),
        ("known_speaker_names[]", "B"),
        ("own", "true"),
    ]
    assert file == ("file", "图 1.wav", "audio/wav", WAV)


@pytest.mark.parametrize(
    ("make", "filename", "mime"),
    [
        (lambda _: MP3, "sound.mp3", "audio/mpeg"),
        (lambda _: bytearray(MP3), "sound.mp3", "audio/mpeg"),
        (lambda _: io.BytesIO(MP3), "sound.mp3", "audio/mpeg"),
        (lambda folder: str(folder / "talk.mp3"), "talk.mp3", "audio/mpeg"),
        (lambda folder: Upload(folder / "talk.mp3"), "talk.mp3", "audio/mpeg"),
        (lambda folder: Recording(folder / "talk.mp3"), "talk.mp3", "audio/mpeg"),
        (lambda _: ("b.mp3", MP3), "b.mp3", "audio/mpeg"),
        (lambda _: ("b.ogg", io.BytesIO(MP3)), "b.mp3", "audio/mpeg"),
        (lambda folder: ("b.x", folder / "talk.mp3", "audio/x-own"), "b.x", "audio/x-own"),
        (lambda folder: (None, folder / "talk.mp3", None), "talk.mp3", "audio/mpeg"),
        (lambda _: "data:audio/mpeg;base64," + base64.b64encode(MP3).decode(), "sound.mp3", "audio/mpeg"),
    ],
    ids=[
        *("bytes", "bytearray", "file", "path", "upload", "recording", "tuple", "wrong ending", "own type", "no name"),
        "data URI",
    ],
)
async def test_a_file_may_be_given_in_any_way(
    client: TutuClient, server: Server, tmp_path: Path, make: Callable[[Path], Any], filename: str, mime: str
) -> None:
    (tmp_path / "talk.mp3").write_bytes(MP3)
    server.answers(gives({"text": "hi"}), gives({"text": "hi"}))
    await client.audio.transcriptions.create(file=make(tmp_path), model="m")
    await client.audio.translations.create(file=make(tmp_path), model="m")
    for seen in server.requests:
        assert form_of(seen)[-1] == ("file", filename, mime, MP3)


async def test_an_opened_file_is_sent_and_stays_open(client: TutuClient, server: Server, tmp_path: Path) -> None:
    (tmp_path / "talk.mp3").write_bytes(MP3)
    server.answers(rate_limited(), gives({"text": "hi"}), gives({"text": "hi"}))
    with (tmp_path / "talk.mp3").open("rb") as file:
        for _ in range(2):
            await client.audio.transcriptions.create(file=file, model="m")
        assert file.read() == MP3
    assert [form_of(seen)[-1].data for seen in server.requests] == [MP3] * 3


async def test_what_is_no_sound_is_never_sent(client: TutuClient, server: Server, tmp_path: Path) -> None:
    for name, data, says in (
        ("words.mp3", b"just words", "it seems to be text"),
        ("cat.mp3", b"\x89PNG\r\n\x1a\n", "it seems to be an image"),
        ("empty.mp3", b"", "is empty"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(MediaError, match=says) as caught:
            await client.audio.transcriptions.create(file=tmp_path / name, model="m")
        assert caught.value.outcome == "not_sent"
        with pytest.raises(MediaError, match=says):
            await client.audio.transcriptions.create(file=data, model="m")
    with pytest.raises(MediaError, match=r"There is no file .*missing\.mp3"):
        await client.audio.translations.create(file=tmp_path / "missing.mp3", model="m")
    with pytest.raises(ConfigError, match=r"\(name, content, media type\); got 4 items"):
        await client.audio.transcriptions.create(file=cast("Any", ("a", MP3, "b", {})), model="m")
    assert server.requests == []


async def test_every_format_has_its_answer(client: TutuClient, server: Server) -> None:
    create = client.audio.transcriptions.create
    diarized = {"task": "transcribe", "text": "hi", "segments": [{"id": "s", "speaker": "A", "text": "hi", "end": 1}]}
    server.answers(gives({"text": "hi", "usage": {"type": "duration", "seconds": 2}}))
    plain = await create(file=MP3, model="m")
    assert isinstance(plain, Transcription)
    assert plain.usage is not None
    assert plain.usage.seconds == 2.0
    server.answers(gives(VERBOSE))
    verbose = await create(file=MP3, model="m", response_format="verbose_json")
    assert isinstance(verbose, TranscriptionVerbose)
    assert verbose.duration == 1.5
    assert verbose.meta.request_id
    server.answers(gives(diarized))
    spoken = await create(file=MP3, model="m", response_format="diarized_json")
    assert isinstance(spoken, TranscriptionDiarized)
    assert spoken.segments[0].speaker == "A"
    server.answers(gives(b"hi\n", "application/json"), gives(SRT.encode(), "text/plain"), gives(b"WEBVTT\n\n"))
    assert await create(file=MP3, model="m", response_format="text") == "hi"
    assert await create(file=MP3, model="m", response_format="srt") == SRT
    assert await create(file=MP3, model="m", response_format="vtt") == "WEBVTT\n\n"
    assert [form_of(seen)[1].data.decode() for seen in server.requests[1:]] == [
        "verbose_json",
        "diarized_json",
        "text",
        "srt",
        "vtt",
    ]


async def test_a_translation_has_its_answers(client: TutuClient, server: Server) -> None:
    create = client.audio.translations.create
    server.answers(gives({"text": "hi"}), gives(VERBOSE), gives(b"hi\n", "text/plain"))
    assert isinstance(await create(file=MP3, model="whisper-1"), Translation)
    verbose = await create(file=MP3, model="whisper-1", response_format="verbose_json", prompt="p", temperature=0.5)
    assert isinstance(verbose, TranslationVerbose)
    assert verbose.segments is not None
    assert verbose.meta.status_code == 200
    plain: object = await create(file=MP3, model="whisper-1", extra_body={"response_format": "text"})
    assert plain == "hi"
    assert {seen.path for seen in server.requests} == {"/v1/audio/translations"}


@pytest.mark.parametrize("form", ["json", "text", "srt", "verbose_json"])
async def test_an_error_is_never_passed_off_as_what_was_said(client: TutuClient, server: Server, form: Any) -> None:
    calm = client.with_options(max_retries=0)
    server.answers(
        gives({"error": {"message": "boom", "type": "server_error"}}, "text/plain"),
        gives(b"<html><title>524</title>", "text/html"),
        raw(),
        fails(404, "no such model", "model_not_found"),
    )
    for cls in (InternalServerError, UnexpectedResponseError, UnexpectedResponseError, NotFoundError):
        with pytest.raises(cls):
            await calm.audio.transcriptions.create(file=MP3, model="m", response_format=form)


async def test_an_upload_of_25_mb_is_never_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.mp3"
    path.write_bytes(MP3 + bytes(25 * 10**6))
    got = 0

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        head = await reader.readuntil(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while left and (piece := await reader.read(min(left, 2**16))):
            left -= len(piece)
            got += len(piece)
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"text":"hi"}')
        writer.close()

    async with await asyncio.start_server(swallow, "127.0.0.1") as listener:
        port = listener.sockets[0].getsockname()[1]
        async with TutuClient(KEY, f"http://127.0.0.1:{port}/v1") as client:
            await client.audio.transcriptions.create(file=MP3, model="m")  # What is imported first is not counted.
            got = 0
            tracemalloc.start()
            try:
                answer = await client.audio.transcriptions.create(file=path, model="m")
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
    assert answer.text == "hi"
    assert got > 25 * 10**6
    assert peak < 3 * 2**20


# In a chat.


async def test_a_sound_is_sent_in_a_message(client: TutuClient, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(WAV + bytes(200_000))
    part = audio(path)
    for _ in range(2):
        await client.chat.completions.create(model="m", messages=[user("what is said?", part)])
    for seen in server.requests:
        _, sent = seen.json["messages"][0]["content"]
        assert sent["type"] == "input_audio"
        assert sent["input_audio"]["format"] == "wav"
        assert base64.b64decode(sent["input_audio"]["data"], validate=True) == WAV + bytes(200_000)


# In events.


async def test_events_that_nobody_asked_for_are_folded(client: TutuClient, server: Server) -> None:
    segment = {"type": "transcript.text.segment", "id": "s", "speaker": "A", "start": 0, "end": 1, "text": "hi"}
    deltas = [{"type": "transcript.text.delta", "delta": "h"}, {"type": "transcript.text.delta", "delta": "i"}]
    done = {"type": "transcript.text.done", "text": "hi", "usage": {"type": "tokens", "input_tokens": 3}}
    create = client.with_options(max_retries=0).audio.transcriptions.create
    server.answers(streams([*deltas, done]), streams(deltas), streams([segment, done]), streams([done]))
    plain = await create(file=MP3, model="m")
    assert plain.text == "hi"
    assert plain.usage is not None
    assert plain.usage.input_tokens == 3
    assert (await create(file=MP3, model="m")).text == "hi"
    assert (await create(file=MP3, model="m", response_format="diarized_json")).segments[0].speaker == "A"
    assert await create(file=MP3, model="m", response_format="text") == "hi"
    server.answers(streams(deltas, done=False), gives(b"data: is what I said\n", "text/plain"))
    with pytest.raises(IncompleteStreamError):
        await create(file=MP3, model="m")
    assert await create(file=MP3, model="m", response_format="text") == "data: is what I said"


async def test_a_speech_comes_in_events(client: TutuClient, server: Server) -> None:
    pieces = [
        {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in (MP3[:100], MP3[100:])
    ]
    done = {"type": "speech.audio.done", "usage": {"input_tokens": 7, "output_tokens": 93, "total_tokens": 100}}
    server.answers(streams([*pieces, done], done=False), gives(MP3, "audio/mpeg"), gives({"error": "no"}))
    async with await client.audio.speech.create(**ASK, stream_format="sse") as stream:
        events = [event async for event in stream]
    assert b"".join(event.data for event in events if isinstance(event, SpeechAudioDeltaEvent)) == MP3
    last = events[-1]
    assert isinstance(last, SpeechAudioDoneEvent)
    assert last.usage is not None
    assert last.usage.output_tokens == 93
    assert server.requests[0].json["stream_format"] == "sse"
    whole, last = [event async for event in await client.audio.speech.create(**ASK, stream_format="sse")]
    assert isinstance(whole, SpeechAudioDeltaEvent)
    assert whole.data == MP3
    with pytest.raises(APIStatusError, match="no"):
        await client.audio.speech.create(**ASK, stream_format="sse")


# There and back: the embedded relay says a text and reads it back out of what it said.

TEXT = "One small step. 一小步。"


async def spoken(client: TutuClient, folder: Path) -> Path:
    sound = await client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input=TEXT)
    return await sound.save(folder / "talk.mp3")


async def test_what_was_said_is_read_back(client: TutuClient, tmp_path: Path) -> None:
    path = await spoken(client, tmp_path)
    assert path.name == "talk.wav"
    create = client.audio.transcriptions.create
    plain = await create(file=path, model="gpt-4o-transcribe", include=["logprobs"])
    assert plain.text == TEXT
    assert plain.usage is not None
    assert plain.usage.input_token_details is not None
    assert plain.usage.input_token_details.audio_tokens == plain.usage.input_tokens
    assert plain.logprobs
    billed = await create(file=path, model="whisper-1")
    assert billed.usage is not None
    assert billed.usage.type == "duration"
    assert billed.usage.seconds
    verbose = await create(
        file=path, model="whisper-1", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert verbose.segments is not None
    assert [segment.text for segment in verbose.segments] == ["One small step.", "一小步。"]
    assert verbose.words is not None
    assert verbose.words[0].word == "One"
    with path.open("rb") as file:
        assert await create(file=("talk.mp3", file), model="whisper-1", response_format="text") == TEXT
    assert "-->" in await create(file=path.read_bytes(), model="whisper-1", response_format="srt")
    assert (await create(file=path, model="whisper-1", response_format="vtt")).startswith("WEBVTT")
    diarized = await create(
        file=path, model="gpt-4o-transcribe-diarize", response_format="diarized_json", known_speaker_names=["Neil"]
    )
    assert {segment.speaker for segment in diarized.segments} == {"Neil"}


async def test_what_was_said_is_read_back_as_it_is_heard(client: TutuClient, server: Server, tmp_path: Path) -> None:
    path = await spoken(client, tmp_path)
    server.piece_bytes = 7
    create = client.audio.transcriptions.create
    async with await create(file=path, model="gpt-4o-transcribe", stream=True) as stream:
        *deltas, done = [event async for event in stream]
    assert "".join(event.delta for event in deltas if isinstance(event, TranscriptionTextDeltaEvent)) == TEXT
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert done.text == TEXT
    assert done.usage is not None
    stream = await create(file=path, model="gpt-4o-transcribe-diarize", response_format="diarized_json", stream=True)
    segments = [event async for event in stream if isinstance(event, TranscriptionTextSegmentEvent)]
    assert [segment.text for segment in segments] == ["One small step.", "一小步。"]
    (done,) = [event async for event in await create(file=path, model="whisper-1", stream=True)]  # It does not stream.
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert done.text == TEXT


@pytest.mark.parametrize("form", ["audio", "sse"])
async def test_a_speech_is_saved_as_it_comes_and_read_back(client: TutuClient, tmp_path: Path, form: Any) -> None:
    async with client.audio.speech.stream(
        model="gpt-4o-mini-tts", voice="alloy", input=TEXT, stream_format=form
    ) as speech:
        path = await speech.save(tmp_path / "talk.wav")
        assert (speech.usage is not None) == (form == "sse")
    whole = await client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input=TEXT)
    assert path.read_bytes() == whole.content
    assert whole.seconds is not None
    assert await client.audio.transcriptions.create(file=path, model="m", response_format="text") == TEXT
    bare = await client.audio.speech.create(model="m", voice="alloy", input=TEXT, response_format="pcm")
    assert bare.mime == "audio/pcm"
    assert len(bare.content) / 48_000 == whole.seconds


async def test_what_was_said_is_translated(client: TutuClient, tmp_path: Path) -> None:
    path = await spoken(client, tmp_path)
    answer = await client.audio.translations.create(file=path, model="whisper-1")
    assert "cannot translate" in answer.text
    verbose = await client.audio.translations.create(file=path, model="whisper-1", response_format="verbose_json")
    assert verbose.duration
    assert "-->" in await client.audio.translations.create(file=path, model="whisper-1", response_format="srt")


async def test_a_chat_hears_and_answers_aloud(client: TutuClient, tmp_path: Path) -> None:
    path = await spoken(client, tmp_path)
    ask: dict[str, Any] = {
        "model": "gpt-4o-audio-preview",
        "messages": [user("what is said?", audio(path))],
        "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"},
    }
    answer = await client.chat.completions.create(**ask)
    assert answer.sound is not None
    assert answer.sound.mime == "audio/wav"
    assert TEXT in (answer.sound.transcript or "")
    async with client.chat.completions.stream(**ask) as stream:
        folded = await stream.completion()
    assert folded.sound is not None
    assert folded.sound.mime == "audio/wav"
    assert folded.sound.transcript == answer.sound.transcript
    heard = await client.audio.transcriptions.create(file=folded.sound.content, model="m", response_format="text")
    assert heard == answer.sound.transcript


async def test_what_the_relay_cannot_make_is_refused_and_not_tried_again(client: TutuClient, server: Server) -> None:
    with pytest.raises(BadRequestError, match="no encoder for mp3"):
        await client.audio.speech.create(**ASK, response_format="mp3")
    with pytest.raises(BadRequestError, match="corrupted or unsupported"):
        await client.audio.transcriptions.create(file=MP3, model="m")
    assert len(server.requests) == 2
