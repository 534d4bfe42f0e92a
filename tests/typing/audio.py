"""Uses the pages of sound the way a typed program does. Only type-checked, never run."""

from __future__ import annotations

from pathlib import Path
from typing import IO, assert_type

from tutuclient import (
    EventStream,
    Recording,
    Sound,
    SoundError,
    SoundSource,
    SoundStream,
    SpeechStreamEvent,
    Transcription,
    TranscriptionDiarized,
    TranscriptionStreamEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
    TutuClient,
    Upload,
    audio,
    user,
)
from tutuclient.types import (
    AudioResponseFormat,
    AudioUsage,
    SpeechAudioDeltaEvent,
    TranscriptionSegment,
    TranscriptionTextDeltaEvent,
    TranscriptionWord,
)


async def speech(client: TutuClient) -> None:
    sound = await client.audio.speech.create(
        model="tts-1", voice="alloy", input="hi", response_format="wav", speed=1, instructions="softly"
    )
    assert_type(sound, Sound)
    assert_type(sound.content, bytes)
    assert_type(sound.mime, str)
    assert_type(sound.seconds, float | None)
    assert_type(await sound.read(), bytes)
    assert_type(await sound.save(Path("a.wav"), overwrite=True), Path)
    sound.write_to_file("a.wav")
    for piece in sound.iter_bytes(1024):
        assert_type(piece, bytes)
    async with client.audio.speech.stream(model="m", voice={"id": "v"}, input="hi", stream_format="sse") as stream:
        assert_type(stream, SoundStream)
        async for piece in stream:
            assert_type(piece, bytes)
        assert_type(await stream.save("a.mp3"), Path)
        assert_type(await stream.sound(), Sound)
        assert_type(stream.usage, AudioUsage | None)
    events = await client.audio.speech.create(model="m", voice="alloy", input="hi", stream_format="sse")
    assert_type(events, EventStream[SpeechStreamEvent])
    async for event in events:
        if isinstance(event, SpeechAudioDeltaEvent):
            assert_type(event.data, bytes)
        else:
            assert_type(event.usage, AudioUsage | None)


async def transcriptions(client: TutuClient, source: SoundSource, file: IO[bytes], form: AudioResponseFormat) -> None:
    create = client.audio.transcriptions.create
    assert_type(await create(file="a.mp3", model="m"), Transcription)
    assert_type(await create(file=Path("a.mp3"), model="m", response_format="json", stream=False), Transcription)
    verbose = await create(
        file=file, model="m", response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert_type(verbose, TranscriptionVerbose)
    assert_type(verbose.segments, list[TranscriptionSegment] | None)
    assert_type(verbose.words, list[TranscriptionWord] | None)
    spoken = await create(file=("a.mp3", file), model="m", response_format="diarized_json", chunking_strategy="auto")
    assert_type(spoken, TranscriptionDiarized)
    assert_type(await create(file=("a", b"", "audio/mpeg"), model="m", response_format="text"), str)
    assert_type(await create(file=source, model="m", response_format="srt", language="zh"), str)
    assert_type(await create(file=Recording("a"), model="m", response_format="vtt"), str)
    assert_type(
        await create(file=Upload("a"), model="m", response_format=form),
        Transcription | TranscriptionVerbose | TranscriptionDiarized | str,
    )
    stream = await create(file=b"", model="m", stream=True, include=["logprobs"])
    assert_type(stream, EventStream[TranscriptionStreamEvent])
    async with stream:
        async for event in stream:
            if isinstance(event, TranscriptionTextDeltaEvent):
                assert_type(event.delta, str)


async def translations(client: TutuClient) -> None:
    create = client.audio.translations.create
    assert_type(await create(file="a.mp3", model="whisper-1", prompt="p", temperature=0), Translation)
    assert_type(await create(file="a.mp3", model="whisper-1", response_format="verbose_json"), TranslationVerbose)
    assert_type(await create(file="a.mp3", model="whisper-1", response_format="srt"), str)


async def chat(client: TutuClient) -> None:
    answer = await client.chat.completions.create(
        model="m",
        messages=[user("what is said?", audio("talk.wav")), user(audio(b"", format="pcm16"))],
        audio={"voice": "alloy", "format": "wav"},
        modalities=["text", "audio"],
    )
    try:
        assert_type(answer.sound, Sound | None)
    except SoundError as error:
        assert_type(error.message, str)
    if answer.message.audio is not None:
        assert_type(answer.message.audio.data, str)
        assert_type(answer.message.audio.transcript, str | None)
