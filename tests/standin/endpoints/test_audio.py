import base64
import io
import wave
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tutuclient.standin import audio
from tutuclient.testing import Server, sample_sound

Post = Callable[..., Awaitable[Any]]
SPEECH, WRITE, TRANSLATE = "/audio/speech", "/audio/transcriptions", "/audio/translations"
TWO = "Hello there. How are you?"


def form(content: bytes | None = None, filename: str = "talk.wav", **fields: Any) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for name, value in {"model": "whisper-1", **fields}.items():
        for each in value if isinstance(value, list) else [value]:
            data.add_field(name.replace("__", "[]"), each)
    data.add_field("file", sample_sound(TWO) if content is None else content, filename=filename)
    return data


async def spoken(http: aiohttp.ClientSession, server: Server, **body: Any) -> tuple[str, bytes]:
    asked = {"model": "tts-1", "input": TWO, "voice": "alloy", **body}
    async with http.post(f"{server.base_url}{SPEECH}", json=asked) as answer:
        assert answer.status == 200
        return answer.content_type, await answer.read()


async def written(http: aiohttp.ClientSession, server: Server, data: aiohttp.FormData) -> tuple[str, str]:
    async with http.post(f"{server.base_url}{WRITE}", data=data) as answer:
        assert answer.status == 200
        return answer.content_type, await answer.text()


async def test_speaks_wav_and_says_so(server: Server, http: aiohttp.ClientSession) -> None:
    for body in ({}, {"response_format": "wav"}, {"voice": {"id": "mine"}}, {"speed": None, "response_format": None}):
        kind, data = await spoken(http, server, **body)
        assert kind == "audio/wav"
        assert audio.listen(data).comment == TWO


async def test_speaks_bare_samples(server: Server, http: aiohttp.ClientSession) -> None:
    kind, samples = await spoken(http, server, response_format="pcm")
    _, data = await spoken(http, server)
    assert kind == "audio/pcm"
    with wave.open(io.BytesIO(data)) as file:
        assert file.readframes(file.getnframes()) == samples


async def test_speaks_longer_for_longer_texts_and_shorter_when_faster(
    server: Server, http: aiohttp.ClientSession
) -> None:
    lengths = [
        len((await spoken(http, server, response_format="pcm", **body))[1])
        for body in ({}, {"input": TWO * 2}, {"speed": 2})
    ]
    assert lengths[1] == 2 * lengths[0]
    assert lengths[2] == pytest.approx(lengths[0] / 2, abs=50)


async def test_speaks_in_pieces(server: Server, http: aiohttp.ClientSession) -> None:
    asked = {"model": "tts-1", "input": TWO, "voice": "alloy"}
    server.token_delay = 0.001
    async with http.post(f"{server.base_url}{SPEECH}", json=asked) as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        pieces = [b""]
        async for read, ended in answer.content.iter_chunks():
            pieces[-1] += read
            pieces += [b""] * ended
    *lengths, last = [len(piece) for piece in pieces if piece]
    assert set(lengths) == {4096}
    assert last < 4096


async def test_speaks_in_events(server: Server, http: aiohttp.ClientSession, events: Post) -> None:
    asked = {"model": "gpt-4o-mini-tts", "input": TWO, "voice": "alloy", "stream_format": "sse"}
    *deltas, done = await events(SPEECH, **asked)
    _, whole = await spoken(http, server)
    assert {each["type"] for each in deltas} == {"speech.audio.delta"}
    assert len(deltas) > 1
    assert b"".join(base64.b64decode(each["audio"]) for each in deltas) == whole
    usage = done["usage"]
    assert done["type"] == "speech.audio.done"
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": ""}, "input is required"),
        ({"input": "x" * 4097}, "4096 are the most"),
        ({"voice": None}, "voice is required"),
        ({"voice": {}}, "voice is required"),
        ({"speed": 5}, "speed must be between 0.25 and 4.0"),
        ({"speed": "1"}, "speed must be between"),
        ({"response_format": "mp3"}, "no encoder for mp3; it makes wav and pcm"),
        ({"response_format": "midi"}, "must be one of mp3, opus, aac, flac, wav, pcm"),
        ({"stream_format": "tcp"}, "audio or sse"),
        ({"stream_format": "sse"}, "not supported for tts-1"),
    ],
)
async def test_complains_of_what_it_cannot_say(post: Post, body: Any, words: str) -> None:
    answer = await post(SPEECH, **{"model": "tts-1", "input": "hi", "voice": "alloy", **body})
    assert (answer["status"], answer["error"]["code"]) == (400, "invalid_audio_request")
    assert words in answer["error"]["message"]


async def test_reads_back_what_it_spoke(post: Post) -> None:
    answer = await post(WRITE, form())
    assert answer == {"text": TWO, "usage": {"type": "duration", "seconds": 2.0}}


async def test_measures_what_others_recorded(post: Post) -> None:
    silence = sample_sound("")
    answer = await post(WRITE, form(silence))
    assert answer["text"].startswith(
        "This is a recording of 0.24 seconds at 24000 Hz with 1 channel, loudness -96.0 dBFS"
    )
    assert "no model" in answer["text"]
    assert (await post(WRITE, form(silence, language="zh")))["text"].startswith("这是一段 0.24 秒的录音")


async def test_counts_tokens_for_models_that_are_billed_by_them(post: Post) -> None:
    answer = await post(WRITE, form(model="gpt-4o-transcribe", include__="logprobs"))
    assert answer["usage"] == {
        "type": "tokens",
        "input_tokens": 20,
        "output_tokens": 6,
        "total_tokens": 26,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 20},
    }
    assert "".join(each["token"] for each in answer["logprobs"]) == TWO
    assert set(answer["logprobs"][0]) == {"token", "logprob", "bytes"}


SRT = """1
00:00:00,000 --> 00:00:01,040
Hello there.

2
00:00:01,040 --> 00:00:02,000
How are you?

"""
VTT = """WEBVTT

00:00:00.000 --> 00:00:01.040
Hello there.

00:00:01.040 --> 00:00:02.000
How are you?

"""


@pytest.mark.parametrize(
    ("kind", "body"), [("text", f"{TWO}\n"), ("srt", SRT), ("vtt", VTT)], ids=["text", "srt", "vtt"]
)
async def test_writes_plain_texts(server: Server, http: aiohttp.ClientSession, kind: str, body: str) -> None:
    assert await written(http, server, form(response_format=kind)) == ("text/plain", body)


async def test_writes_segments_and_words_with_their_times(post: Post) -> None:
    plain = await post(WRITE, form(response_format="verbose_json", temperature="0.5"))
    assert (plain["task"], plain["language"], plain["duration"], plain["text"]) == ("transcribe", "english", 2.0, TWO)
    assert "words" not in plain
    first, second = plain["segments"]
    assert (first["start"], first["end"], second["start"], second["end"]) == (0.0, 1.04, 1.04, 2.0)
    assert (first["id"], first["text"], first["temperature"]) == (0, "Hello there.", 0.5)
    assert len(first["tokens"]) == 3

    warm = await post(WRITE, form(response_format="verbose_json", temperature="warm"))
    assert warm["segments"][0]["temperature"] == 0

    words = await post(WRITE, form(response_format="verbose_json", timestamp_granularities__="word"))
    assert "segments" not in words
    assert [each["word"] for each in words["words"]] == ["Hello", "there", "How", "are", "you?"]
    assert words["words"][0] == {"word": "Hello", "start": 0.0, "end": 0.52}

    both = await post(WRITE, form(response_format="verbose_json", timestamp_granularities__=["word", "segment"]))
    assert both["segments"]
    assert both["words"]


async def test_tells_speakers_by_the_names_it_was_given(post: Post) -> None:
    asked: dict[str, Any] = {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json"}
    answer = await post(WRITE, form(**asked))
    assert [each["speaker"] for each in answer["segments"]] == ["A", "A"]
    assert answer["segments"][1] == {
        "type": "transcript.text.segment",
        "id": "seg_001",
        "start": 1.04,
        "end": 2.0,
        "speaker": "A",
        "text": "How are you?",
    }
    named = await post(WRITE, form(**asked, known_speaker_names__=["Ada", "Bob"]))
    assert named["segments"][0]["speaker"] == "Ada"


async def test_streams_the_text_in_deltas(events: Post) -> None:
    *deltas, done = await events(WRITE, form(model="gpt-4o-transcribe", stream="true", include__="logprobs"))
    assert {each["type"] for each in deltas} == {"transcript.text.delta"}
    assert "".join(each["delta"] for each in deltas) == done["text"] == TWO
    assert [each["logprobs"][0]["token"] for each in deltas] == [each["token"] for each in done["logprobs"]]
    assert done["usage"]["type"] == "tokens"


async def test_streams_what_each_speaker_says(events: Post) -> None:
    fields: dict[str, Any] = {
        "model": "gpt-4o-transcribe-diarize",
        "response_format": "diarized_json",
        "stream": "true",
    }
    seen = await events(WRITE, form(**fields))
    assert [each["type"].removeprefix("transcript.text.") for each in seen] == [
        "delta", "segment", "delta", "segment", "done",
    ]  # fmt: skip
    assert "".join(each["delta"] for each in seen if "delta" in each) == seen[-1]["text"]
    assert seen[0]["segment_id"] == seen[1]["id"]


async def test_whisper_does_not_stream(post: Post) -> None:
    assert (await post(WRITE, form(stream="true")))["text"] == TWO


async def test_translates_what_is_english_already(post: Post) -> None:
    assert await post(TRANSLATE, form()) == {"text": TWO}
    verbose = await post(TRANSLATE, form(response_format="verbose_json"))
    assert (verbose["task"], verbose["language"], len(verbose["segments"])) == ("translate", "english", 2)
    assert "usage" not in verbose


async def test_says_that_it_cannot_translate_the_rest(post: Post) -> None:
    answer = await post(TRANSLATE, form(sample_sound("你好"), language="zh"))
    assert answer["text"] == 'An offline stand-in cannot translate this: "你好"'


@pytest.mark.parametrize(
    ("content", "filename", "fields", "words"),
    [
        (b"x", "talk", {}, "Unrecognized file format"),
        (b"x", "talk.txt", {}, "Unrecognized file format"),
        (b"", "talk.wav", {}, "Audio file is empty"),
        (b"ID3 music", "talk.mp3", {}, "might be corrupted or unsupported: this stand-in decodes PCM WAV only"),
        (None, "talk.wav", {"response_format": "yaml"}, "Supported values are: json, text, srt, verbose_json, vtt"),
        (None, "talk.wav", {"response_format": "diarized_json"}, "models that diarize"),
        (None, "talk.wav", {"timestamp_granularities__": "word"}, "only supported with response_format 'verbose_json'"),
    ],
)
async def test_complains_of_what_it_cannot_write_down(
    post: Post, content: bytes | None, filename: str, fields: Any, words: str
) -> None:
    answer = await post(WRITE, form(content, filename, **fields))
    assert (answer["status"], answer["error"]["type"]) == (400, "invalid_request_error")
    assert words in answer["error"]["message"]


async def test_wants_a_file_and_a_form(post: Post) -> None:
    empty = aiohttp.FormData({"model": "whisper-1"}, default_to_multipart=True)
    assert "file is required" in (await post(WRITE, empty))["error"]["message"]
    assert "isn't multipart/form-data" in (await post(WRITE, model="whisper-1"))["error"]["message"]
