"""The audio in an answer: recognised by its bytes, yielded as it arrives, saved whole or not at all."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tests.leftovers import reader_waits
from tests.media.uploads import wav
from tutuclient import (
    APIConnectionError,
    APIError,
    ConfigError,
    FirstTokenTimeoutError,
    IncompleteStreamError,
    InternalServerError,
    RateLimitError,
    Sound,
    SoundError,
    SoundStream,
    StreamIdleTimeoutError,
    Timeout,
    TutuClient,
    UnexpectedResponseError,
    find_images,
    user,
)
from tutuclient.streams.audio import audio_in, read_audio
from tutuclient.testing import Server, chunk, rate_limited, raw, streams
from tutuclient.types import ChatAudio, ChatChoice, ChatCompletion, ChatMessage, Meta

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

META = Meta(200)
MP3 = b"ID3\x04\0\0\0\0\0\0" + bytes(range(256)) * 20
PNG = b"\x89PNG\r\n\x1a\n" + bytes(90)
SAMPLES = bytes(range(1, 255)) * 2
ASK: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "hi"}


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def read(data: bytes, asked: str = "", content_type: str = "audio/mpeg") -> Sound:
    return read_audio(data, asked, content_type, META, 2**20)


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"speech.audio.{kind}", **fields}


def delta(data: bytes) -> dict[str, Any]:
    return event("delta", audio=base64.b64encode(data).decode())


USAGE = {"input_tokens": 7, "output_tokens": 93, "total_tokens": 100}
EVENTS = [
    delta(MP3[:1000]),
    delta(b""),
    delta(MP3[1000:1001]),
    {"type": "ping"},
    delta(MP3[1001:]),
    event("done", usage=USAGE),
]


def lines(events: list[Any]) -> bytes:
    return b"".join(
        b"data: " + (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n\n" for one in events
    )


def sounds(*pieces: bytes, **how: Any) -> Any:
    return streams(pieces, done=False, content_type="audio/mpeg", **how)


# What it is.


@pytest.mark.parametrize(
    ("data", "cls", "says"),
    [
        (b'{"error": {"message": "no channel", "code": "500"}}', InternalServerError, "no channel"),
        (b'{"error": {"message": "slow", "type": "rate_limit_error"}}', RateLimitError, "slow"),
        (b'{"url": "https://host/a.mp3"}', UnexpectedResponseError, "text in place of audio"),
        (b"<!DOCTYPE html><title>504</title>", UnexpectedResponseError, "HTML: 504"),
        (b"upstream timed out", UnexpectedResponseError, "upstream timed out"),
        ("上游超时".encode(), UnexpectedResponseError, "上游超时"),
        (("说" * 100).encode(), UnexpectedResponseError, "text in place"),
        (b"", UnexpectedResponseError, "an empty body"),
        (b"\n \n", UnexpectedResponseError, "an empty body"),
        (PNG, UnexpectedResponseError, "an image .image/png. in place of audio"),
    ],
)
@pytest.mark.parametrize("asked", ["", "mp3", "pcm"])
@pytest.mark.parametrize("label", ["audio/mpeg", "application/json", ""])
async def test_what_is_not_audio_is_an_error_whatever_it_is_called(
    data: bytes, cls: type[Exception], says: str, asked: str, label: str
) -> None:
    with pytest.raises(cls, match=says):
        read(data, asked, label)


def test_data_of_another_kind_are_not_audio() -> None:
    with pytest.raises(UnexpectedResponseError, match="something else than audio"):
        read(SAMPLES, "", "application/zip")


# In events.


def test_audio_in_events_is_taken_out_of_them() -> None:
    for data in (lines(EVENTS), lines([*EVENTS, delta(b"more")]), lines([*EVENTS[:-1], b"[DONE]"])):
        sound = read(data, "mp3", "text/event-stream")
        assert (sound.content, sound.mime) == (MP3, "audio/mpeg")
    usage = read(lines(EVENTS)).usage
    assert usage is not None
    assert (usage.total_tokens, usage.output_tokens) == (100, 93)
    assert read(lines([*EVENTS[:-1], event("done")])).usage is None
    assert read(lines([delta(SAMPLES), event("done")]), "pcm").mime == "audio/pcm"


@pytest.mark.parametrize(
    ("events", "cls", "says"),
    [
        (EVENTS[:-1], IncompleteStreamError, "its last event did not come"),
        ([b"[DONE]"], IncompleteStreamError, "without a single event"),
        ([event("done")], UnexpectedResponseError, "an empty body"),
        ([{"error": {"message": "boom", "type": "server_error"}}], InternalServerError, "boom"),
        ([*EVENTS[:1], {"error": {"message": "boom", "type": "server_error"}}], InternalServerError, "boom"),
        ([event("delta", audio="!!!!")], UnexpectedResponseError, "base64 is broken"),
        ([delta(PNG), event("done")], UnexpectedResponseError, "an image"),
        ([delta(b"words"), event("done")], UnexpectedResponseError, "text in place of audio: words"),
        ([b"a" * 2**20], UnexpectedResponseError, "over 1,048,576 bytes"),
    ],
)
def test_events_without_the_whole_audio_are_an_error(events: list[Any], cls: type[Exception], says: str) -> None:
    with pytest.raises(cls, match=says):
        read(lines(events))


def test_a_line_that_is_not_an_event_is_an_error() -> None:
    with pytest.raises(InternalServerError, match="boom"):
        read(lines(EVENTS[:1]) + b'{"error": {"message": "boom", "type": "server_error"}}\n')
    with pytest.raises(UnexpectedResponseError, match="a line that is not an event"):
        read(lines(EVENTS[:1]) + b"oops\n")


# As it comes.


def speaking(client: TutuClient, **fields: Any) -> AbstractAsyncContextManager[SoundStream]:
    return client.audio.speech.stream(**ASK, **fields)


async def test_the_pieces_come_as_they_are_sent(client: TutuClient, server: Server) -> None:
    server.answers(sounds(MP3[:100], MP3[100:], then="hang"))
    async with speaking(client) as speech:
        assert speech.mime == "audio/mpeg"
        assert speech.meta.status_code == 200
        taken = b""
        while len(taken) < len(MP3):
            taken += await anext(speech)
        assert taken == MP3
    await server.wait_closed()
    await server.until(lambda: server.open_connections == 0)


async def test_audio_is_read_to_its_end(client: TutuClient, server: Server) -> None:
    server.answers(*[sounds(MP3[:100], MP3[100:])] * 5)
    async with speaking(client) as speech:
        assert b"".join([piece async for piece in speech]) == MP3
        with pytest.raises(ConfigError, match="read to its end already"):
            _ = [piece async for piece in speech]
        await speech.close()
    async with speaking(client) as speech:
        assert await speech.read() == await speech.read() == MP3
        sound = await speech.sound()
    assert (sound.content, sound.mime, sound.meta.request_id) == (MP3, "audio/mpeg", speech.meta.request_id)
    async with speaking(client) as speech:
        assert b"".join([piece async for piece in speech.aiter_bytes()]) == MP3
    async with speaking(client) as speech:
        assert [piece async for piece in speech.iter_bytes(4000)] == [MP3[:4000], MP3[4000:]]
    async with speaking(client) as speech:
        assert [piece async for piece in speech.iter_bytes(2565)] == [MP3[:2565], MP3[2565:]]
    assert len({seen.connection for seen in server.requests}) == 1


async def test_audio_is_saved_while_it_comes(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(sounds(wav()[:100], wav()[100:]), sounds(MP3))
    async with speaking(client) as speech:
        saved = await speech.save(tmp_path / "talk.mp3")
    assert saved.name == "talk.wav"
    assert saved.read_bytes() == wav()
    async with speaking(client) as speech:
        await speech.read()
        assert (await speech.save(tmp_path / "read.mp3")).read_bytes() == MP3


async def test_audio_in_events_comes_the_same_way(client: TutuClient, server: Server, tmp_path: Path) -> None:
    for cut in (None, 1, 7):
        server.answers(streams(EVENTS, chunk_sizes=cut, done=False))
        async with speaking(client, stream_format="sse") as speech:
            saved = await speech.save(tmp_path / "talk", overwrite=True)
            usage = speech.usage
        assert usage is not None
        assert usage.output_tokens == 93
        assert saved.read_bytes() == MP3
    assert server.requests[0].json["stream_format"] == "sse"


@pytest.mark.parametrize(
    "answer",
    [
        sounds(MP3[:2000], then="fin"),
        sounds(MP3[:2000], then="reset"),
        streams(EVENTS[:1], done=False, delay=0.05),
        streams(EVENTS[:1], done=False, then="fin"),
        streams([*EVENTS[:1], {"error": {"message": "boom", "type": "server_error"}}], done=False, delay=0.05),
        streams([*EVENTS[:1], {"error": {"message": "boom", "type": "server_error"}}], done=False),
    ],
    ids=["fin", "reset", "no end", "events fin", "error", "error at once"],
)
async def test_cut_audio_is_an_error_and_no_file(
    client: TutuClient, server: Server, tmp_path: Path, answer: Any
) -> None:
    server.answers(answer)
    with pytest.raises(APIError) as caught:
        async with speaking(client.with_options(max_retries=0)) as speech:
            try:
                await speech.save(tmp_path / "talk.mp3")
            finally:
                assert names(tmp_path) == []
                with pytest.raises(APIError):
                    await speech.read()
    assert caught.value.outcome == "unknown"
    assert caught.value.attempts == 1
    assert caught.value.request_id
    assert len(server.requests) == 1
    assert names(tmp_path) == []


async def test_what_was_cut_says_so(client: TutuClient, server: Server) -> None:
    server.answers(sounds(MP3[:2000], then="fin"))
    async with speaking(client) as speech:
        with pytest.raises(IncompleteStreamError, match="the answer is incomplete"):
            await speech.read()


async def test_what_is_left_of_audio_is_not_passed_off_as_all(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    server.answers(sounds(MP3[:100], MP3[100:], delay=0.01))
    async with speaking(client) as speech:
        await anext(speech)
        for whole in (speech.read(), speech.save(tmp_path / "a"), speech.sound()):
            with pytest.raises(ConfigError, match="have been read already"):
                await whole
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "cls"),
    [
        (raw(body=b'{"error": {"message": "boom", "type": "invalid_request_error"}}'), APIError),
        (raw(body=b'{"error": {"message": "x", "code": 400}}', headers={"Content-Type": "audio/mpeg"}), APIError),
        (raw(body=b"<html><title>504</title>", headers={"Content-Type": "text/html"}), UnexpectedResponseError),
        (raw(), UnexpectedResponseError),
        (raw(body=PNG, headers={"Content-Type": "audio/mpeg"}), UnexpectedResponseError),
        (streams([delta(PNG), event("done")], done=False), UnexpectedResponseError),
        (streams([event("done")], done=False), UnexpectedResponseError),
    ],
)
async def test_what_is_not_audio_fails_before_the_block_is_entered(
    client: TutuClient, server: Server, answer: Any, cls: type[APIError]
) -> None:
    server.answers(answer)
    with pytest.raises(cls):
        async with speaking(client):
            pytest.fail("the block was entered")
    server.answers(answer)
    with pytest.raises(cls):
        await client.audio.speech.create(**ASK)
    await server.until(lambda: server.in_flight == 0)


async def test_what_fails_before_the_first_byte_is_tried_again(client: TutuClient, server: Server) -> None:
    server.answers(
        rate_limited(),
        raw(body=b'{"error": {"message": "busy", "type": "server_error"}}'),
        sounds(then="fin"),
        sounds(MP3),
    )
    async with speaking(client.with_options(max_retries=3)) as speech:
        assert await speech.read() == MP3
        assert speech.meta.attempts == 4
    assert len({seen.headers["Idempotency-Key"] for seen in server.requests}) == 1


async def test_silence_ends_audio(server: Server) -> None:
    limits = Timeout(total=5, first_token=0.2, idle=0.1)
    async with TutuClient(KEY, server.base_url, timeout=limits, max_retries=0) as client:
        server.answers(sounds(MP3[:100], then="hang"))
        async with speaking(client) as speech:
            with pytest.raises(StreamIdleTimeoutError):
                await speech.read()
        server.answers(sounds(then="hang"))
        with pytest.raises(FirstTokenTimeoutError):
            async with speaking(client):
                pytest.fail("the block was entered")
        server.answers(streams([delta(MP3), *[b": ping\n\n"] * 20], delay=0.02, done=False))
        async with speaking(client) as speech:
            with pytest.raises(StreamIdleTimeoutError):
                await speech.read()


async def test_audio_that_is_too_large_is_refused(server: Server, tmp_path: Path) -> None:
    async with TutuClient(KEY, server.base_url, max_response_bytes=4000, max_retries=0) as client:
        server.answers(sounds(MP3[:3000], MP3[3000:], delay=0.05))
        with pytest.raises(UnexpectedResponseError, match="audio of more than 4,000 bytes"):
            async with speaking(client) as speech:
                await speech.save(tmp_path / "a")
        assert names(tmp_path) == []


async def _leave(speech: SoundStream) -> None:
    async with speech:
        await anext(speech)


async def _close(speech: SoundStream) -> None:
    await speech.aclose()
    await speech.aclose()


async def _cancel(speech: SoundStream) -> None:
    task = asyncio.create_task(speech.read())
    await reader_waits(speech)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leave", [_leave, _close, _cancel])
async def test_audio_that_is_left_is_closed_at_once(
    client: TutuClient, server: Server, leave: Callable[[SoundStream], Awaitable[None]]
) -> None:
    server.answers(sounds(MP3, then="hang"))
    async with speaking(client) as speech:
        await leave(speech)
        await server.wait_closed(timeout=10)
        await server.until(lambda: server.open_connections == 0)
        with pytest.raises(APIConnectionError, match="closed before its end"):
            await anext(speech)


async def test_cancelling_while_it_is_saved_leaves_no_file(client: TutuClient, server: Server, tmp_path: Path) -> None:
    server.answers(sounds(MP3, then="hang"))
    async with speaking(client) as speech:
        task = asyncio.create_task(speech.save(tmp_path / "talk.mp3"))
        await reader_waits(speech)
        assert [name[-5:] for name in names(tmp_path)] == [".part"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert names(tmp_path) == []


async def test_audio_whose_block_is_lost_is_closed(client: TutuClient, server: Server) -> None:
    server.answers(sounds(MP3, then="hang"))
    block = speaking(client)
    assert (await block.__aenter__()).mime == "audio/mpeg"
    del block
    await server.wait_closed(timeout=10)


async def test_a_long_speech_is_never_held_whole(client: TutuClient, server: Server, tmp_path: Path) -> None:
    size = 20 * 2**20
    piece = bytes(2**16)
    server.answers(sounds(b"ID3\x04", *[piece] * (size // len(piece))))
    async with speaking(client) as speech:
        tracemalloc.start()
        try:
            saved = await speech.save(tmp_path / "long.mp3")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert saved.stat().st_size == size + 4
    assert peak < 6 * 2**20


# In a chat's answer.


def said(audio: ChatAudio | None) -> ChatCompletion:
    return ChatCompletion(choices=[ChatChoice(message=ChatMessage(audio=audio))])


async def test_a_chat_says_something_aloud(client: TutuClient, server: Server) -> None:
    audio = {"id": "audio_1", "data": base64.b64encode(wav()).decode(), "expires_at": 1700000000, "transcript": "hi"}
    message = {"role": "assistant", "content": None, "audio": audio | {"own": 1}}
    server.answers(raw(body=json.dumps({"id": "c", "choices": [{"message": message}]}).encode()))
    answer = await client.chat.completions.create(model="m", messages=[user("hi")], audio={"format": "wav"})
    assert answer.message.audio is not None
    assert (answer.message.audio.id, answer.message.audio.transcript) == ("audio_1", "hi")
    assert answer.message.audio.extra == {"own": 1}
    for copy in (answer, pickle.loads(pickle.dumps(answer))):  # noqa: S301  (our own)
        assert copy.sound is not None
        assert (copy.sound.content, copy.sound.mime, copy.sound.seconds) == (wav(), "audio/wav", 1.0)
        assert copy.sound.transcript == "hi"
    await client.chat.completions.create(model="m", messages=[answer.message, user("again")])
    assert server.requests[-1].json["messages"][0]["audio"] == {"id": "audio_1"}


async def test_a_streamed_chat_says_something_aloud_in_pieces_each_padded(client: TutuClient, server: Server) -> None:
    pieces = [base64.b64encode(piece).decode() for piece in (SAMPLES[:10], SAMPLES[10:11], SAMPLES[11:])]
    frames = [chunk(audio={"id": "a", "transcript": "h"}), *[chunk(audio={"data": piece}) for piece in pieces]]
    server.answers(streams([*frames, chunk(audio={"transcript": "i", "expires_at": 5}), chunk(finish_reason="stop")]))
    stream = await client.chat.completions.create(
        model="m", messages=[user("hi")], audio={"voice": "alloy", "format": "pcm16"}, stream=True
    )
    answer = await stream.completion()
    assert answer.message.audio is not None
    assert base64.b64decode(answer.message.audio.data, validate=True) == SAMPLES
    assert answer.message.audio.expires_at == 5
    assert answer.sound is not None
    assert (answer.sound.content, answer.sound.mime, answer.sound.transcript) == (SAMPLES, "audio/pcm", "hi")


async def test_an_answer_without_audio_has_none(client: TutuClient) -> None:
    answer = await client.chat.completions.create(model="m", messages=[user("hi")])
    assert answer.sound is None
    assert said(ChatAudio(data="UklG")).sound is None  # It came from no client: what was asked for is not known.
    assert find_images(answer) == []


def test_damaged_audio_is_an_error() -> None:
    with pytest.raises(SoundError, match="damaged"):
        audio_in(said(ChatAudio(data="!!!!")), asked="wav")
    assert audio_in(said(ChatAudio(id="a")), asked="wav") is None
    assert audio_in(said(None), asked="wav") is None
    sound = audio_in(said(ChatAudio(data=base64.b64encode(b"words").decode())), asked="wav")
    assert sound is not None
    assert sound.mime == "application/octet-stream"
