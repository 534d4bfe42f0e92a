"""The endpoints of audio over a real socket: speech, and all of them together."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.differing import difference
from tutuclient import (
    APIStatusError,
    BadRequestError,
    Sound,
    TutuClient,
    UnexpectedResponseError,
    audio,
    user,
)
from tutuclient.testing import Server, fails, rate_limited, raw, streams
from tutuclient.types import (
    SpeechAudioDeltaEvent,
    SpeechAudioDoneEvent,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
)

if TYPE_CHECKING:
    from pathlib import Path

MP3 = b"ID3\x04\0\0\0\0\0\0" + bytes(range(256)) * 20
WAV = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\x08\0\0\0" + bytes(8)
ASK: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "你好"}


def gives(value: object, content_type: str = "application/json") -> Any:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return raw(body=body, headers={"Content-Type": content_type})


# Speech.


async def test_a_speech_is_audio(client: TutuClient, server: Server, tmp_path: Path) -> None:
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


# In a chat.


async def test_audio_is_sent_in_a_message(client: TutuClient, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(WAV + bytes(200_000))
    part = audio(path)
    for _ in range(2):
        await client.chat.completions.create(model="m", messages=[user("what is said?", part)])
    for seen in server.requests:
        _, sent = seen.json["messages"][0]["content"]
        assert sent["type"] == "input_audio"
        assert sent["input_audio"]["format"] == "wav"
        decoded = base64.b64decode(sent["input_audio"]["data"], validate=True)
        assert difference(decoded, WAV + bytes(200_000)) == ""


# In events.


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
