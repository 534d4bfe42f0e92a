"""Transcripts: read in the format that was asked for, whatever format the relay sends."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any

import pytest

from tutuclient import wire
from tutuclient.errors import APIStatusError, InternalServerError, RateLimitError, UnexpectedResponseError
from tutuclient.types import (
    AudioUsage,
    Meta,
    SpeechAudioDeltaEvent,
    SpeechAudioDoneEvent,
    Transcription,
    TranscriptionDiarized,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)

META = Meta(200)
SRT = "1\n00:00:00,000 --> 00:00:01,500\n你好\n\n"
VTT = "WEBVTT\n\n00:00.000 --> 00:01.500\n你好\n\n"
SEGMENT = {
    "id": 0, "seek": 0, "start": 0.0, "end": 1.5, "text": " 你好", "tokens": [50364, 1], "temperature": 0.2,
    "avg_logprob": -0.3, "compression_ratio": 1.1, "no_speech_prob": 0.01, "own": 1,
}  # fmt: skip
VERBOSE = {
    "task": "transcribe",
    "language": "chinese",
    "duration": 1.5,
    "text": "你好",
    "segments": [SEGMENT],
    "words": [{"word": "你好", "start": 0.1, "end": 1}],
}


def body(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def test_json_gives_the_text_and_what_is_beside_it() -> None:
    answer = wire.read_transcription(
        body(
            {"text": "hi", "languages": [{"code": "en"}], "logprobs": [{"token": "h", "bytes": [104], "logprob": -1}]}
        ),
        "json",
        META,
    )
    assert isinstance(answer, Transcription)
    assert answer.text == "hi"
    assert answer.languages is not None
    assert answer.languages[0].code == "en"
    assert answer.logprobs is not None
    assert answer.logprobs[0].bytes == [104]
    assert answer.usage is None
    assert answer.raw
    assert pickle.loads(pickle.dumps(answer)) == answer  # noqa: S301  (our own)


def test_tokens_and_seconds_are_both_a_usage() -> None:
    tokens = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}
    answer = wire.read_transcription(
        body({"text": "", "usage": tokens | {"input_token_details": {"audio_tokens": 14, "text_tokens": 0}, "own": 2}}),
        "",
        META,
    )
    assert isinstance(answer, Transcription)
    usage = answer.usage
    assert usage is not None
    assert (usage.type, usage.input_tokens, usage.prompt_tokens, usage.total_tokens) == ("tokens", 14, 14, 59)
    assert usage.input_token_details is not None
    assert usage.input_token_details.audio_tokens == 14
    assert usage.seconds is None
    assert usage.extra == {"own": 2}
    answer = wire.read_transcription(body({"text": "", "usage": {"type": "duration", "seconds": 9}}), "json", META)
    assert isinstance(answer, Transcription)
    assert answer.usage == AudioUsage(type="duration", seconds=9.0)


@pytest.mark.parametrize("duration", [1.5, "1.5", None], ids=["number", "text", "none"])
def test_verbose_json_has_segments_and_words_and_a_duration_in_any_shape(duration: object) -> None:
    answer = wire.read_transcription(body(VERBOSE | {"duration": duration}), "verbose_json", META)
    assert isinstance(answer, TranscriptionVerbose)
    assert (answer.task, answer.language, answer.text) == ("transcribe", "chinese", "你好")
    assert answer.duration == (1.5 if duration else None)
    assert answer.segments is not None
    assert answer.segments[0].tokens == [50364, 1]
    assert answer.segments[0].extra == {"own": 1}
    assert answer.words is not None
    assert (answer.words[0].word, answer.words[0].start, answer.words[0].end) == ("你好", 0.1, 1.0)


def test_diarized_json_tells_who_spoke() -> None:
    segment = {"id": "seg_1", "type": "transcript.text.segment", "start": 0, "end": 2, "speaker": "A", "text": "hi"}
    answer = wire.read_transcription(body({"task": "transcribe", "segments": [segment]}), "diarized_json", META)
    assert isinstance(answer, TranscriptionDiarized)
    assert [(said.id, said.speaker, said.end) for said in answer.segments] == [("seg_1", "A", 2.0)]
    assert answer.duration is None


def test_translations_have_types_of_their_own() -> None:
    assert isinstance(wire.read_translation(body({"text": "hi"}), "", META), Translation)
    answer = wire.read_translation(body(VERBOSE | {"task": "translate"}), "verbose_json", META)
    assert isinstance(answer, TranslationVerbose)
    assert answer.segments is not None
    assert wire.read_translation(b"hi\n", "text", META) == "hi"


@pytest.mark.parametrize(
    ("form", "raw", "text"),
    [
        ("text", "你好\n".encode(), "你好"),
        ("text", b"hi\r\n", "hi"),
        ("text", b"hi\n\n", "hi\n"),
        ("text", b"\n", ""),
        ("text", b"\xef\xbb\xbfhi", "hi"),
        ("text", b"half \xe4\xbd", "half \ufffd"),
        ("text", b"{laughs} well", "{laughs} well"),
        ("text", b"<laughs> well", "<laughs> well"),
        ("text", body({"text": "hi\n"}), "hi\n"),
        ("srt", SRT.encode(), SRT),
        ("vtt", VTT.encode(), VTT),
        ("vtt", b"WEBVTT\n\n", "WEBVTT\n\n"),
        ("srt", b"\n", "\n"),
        ("srt", body({"text": SRT}), SRT),
        ("vtt", body({"text": "WEBVTT\n\n"}), "WEBVTT\n\n"),
    ],
)
def test_text_is_given_as_it_is(form: str, raw: bytes, text: str) -> None:
    assert wire.read_transcription(raw, form, META) == text


@pytest.mark.parametrize("form", ["", "json", "verbose_json", "diarized_json", "text", "srt", "vtt"])
@pytest.mark.parametrize(
    ("raw", "cls", "says"),
    [
        (body({"error": {"message": "no channel", "code": "500"}}), InternalServerError, "no channel"),
        (body({"error": {"message": "slow down", "type": "rate_limit_error"}}), RateLimitError, "slow down"),
        (body({"success": False, "message": "无效"}), APIStatusError, "无效"),
        (b"", UnexpectedResponseError, "an empty body"),
        (b"<!DOCTYPE html><title>504 Gateway</title>", UnexpectedResponseError, "HTML: 504 Gateway"),
        (b'{"text": "cut off', UnexpectedResponseError, "not JSON"),
        (body({"id": 1}), UnexpectedResponseError, "JSON"),
    ],
)
def test_what_is_not_a_transcription_is_an_error_in_every_format(
    form: str, raw: bytes, cls: type[Exception], says: str
) -> None:
    for read in (wire.read_transcription, wire.read_translation):
        with pytest.raises(cls, match=says):
            read(raw, form, META)


@pytest.mark.parametrize(
    ("form", "raw"),
    [("srt", body({"text": "hi"})), ("vtt", body({"text": "hi"})), ("json", b"hi"), ("verbose_json", SRT.encode())],
)
def test_one_format_is_never_passed_off_as_another(form: str, raw: bytes) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        wire.read_transcription(raw, form, META)
    assert caught.value.body


def event(value: Any, kind: str = "") -> Any:
    return wire.read_transcription_event(kind, value if isinstance(value, bytes) else body(value), META)


def test_events_are_recognised_by_their_type() -> None:
    delta = event({"type": "transcript.text.delta", "delta": "你", "logprobs": [{"token": "x"}], "segment_id": "s"})
    assert isinstance(delta, TranscriptionTextDeltaEvent)
    assert (delta.delta, delta.segment_id) == ("你", "s")
    segment = event(
        {"type": "transcript.text.segment", "id": "s", "start": 0, "end": "1.5", "speaker": "A", "text": "x"}
    )
    assert isinstance(segment, TranscriptionTextSegmentEvent)
    assert (segment.speaker, segment.end) == ("A", 1.5)
    done = event({"type": "transcript.text.done", "text": "你好", "usage": {"type": "tokens", "input_tokens": 3}})
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert done.usage is not None
    assert done.usage.input_tokens == 3


def test_events_without_a_type_go_by_their_line_and_by_what_they_hold() -> None:
    assert event({"delta": "x"}, "transcript.text.delta").delta == "x"
    assert isinstance(event({"delta": "x"}), TranscriptionTextDeltaEvent)
    assert isinstance(event({"text": "whole"}), TranscriptionTextDoneEvent)
    assert isinstance(event({"type": "unheard.of", "delta": "x"}), TranscriptionTextDeltaEvent)


@pytest.mark.parametrize("raw", [b"{}", b"null", b"[]", b'{"type": "keepalive"}'])
def test_events_that_carry_nothing_become_none(raw: bytes) -> None:
    assert event(raw) is None
    assert wire.read_speech_event("", raw, META) is None


@pytest.mark.parametrize("read", [wire.read_transcription_event, wire.read_speech_event])
def test_errors_in_a_stream_are_raised(read: Any) -> None:
    with pytest.raises(InternalServerError, match="boom"):
        read("", body({"error": {"message": "boom", "type": "server_error"}}), META)
    with pytest.raises(APIStatusError, match="boom"):
        read("error", b"boom", META)
    with pytest.raises(UnexpectedResponseError, match="not JSON"):
        read("", b"words", META)
    with pytest.raises(UnexpectedResponseError, match="not a JSON object"):
        read("", b'"words"', META)


def speech(value: object, kind: str = "") -> Any:
    return wire.read_speech_event(kind, body(value), META)


def test_a_piece_of_speech_is_decoded() -> None:
    for data in (b"", b"a", b"ab", b"abc" * 1000):
        piece = speech({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
        assert isinstance(piece, SpeechAudioDeltaEvent)
        assert piece.data == data
    assert speech({"audio": "QUI"}).data == b"AB"
    assert SpeechAudioDeltaEvent(audio="QUI=").data == b"AB"
    with pytest.raises(UnexpectedResponseError, match="base64 is broken"):
        speech({"type": "speech.audio.delta", "audio": "Q!I="})


def test_the_end_of_a_speech_has_its_usage() -> None:
    done = speech({"type": "speech.audio.done", "usage": {"input_tokens": 7, "output_tokens": 93, "total_tokens": 100}})
    assert isinstance(done, SpeechAudioDoneEvent)
    assert done.usage is not None
    assert done.usage.output_tokens == 93
    assert speech({}, "speech.audio.done").usage is None
