"""Transcriptions and translations over a real socket."""

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
    ConfigError,
    IncompleteStreamError,
    InternalServerError,
    MediaError,
    NotFoundError,
    Recording,
    Transcription,
    TranscriptionDiarized,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
    TutuClient,
    UnexpectedResponseError,
    Upload,
)
from tutuclient.testing import Recorded, Server, fails, rate_limited, raw, streams

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MP3 = b"ID3\x04\0\0\0\0\0\0" + bytes(range(256)) * 20
WAV = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\x08\0\0\0" + bytes(8)
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


async def test_what_is_not_audio_is_never_sent(client: TutuClient, server: Server, tmp_path: Path) -> None:
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
