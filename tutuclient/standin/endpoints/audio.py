"""The audio endpoints: speech from texts, and texts from recordings.

Speech is a WAV of tones, whatever format is the API's default; there is no encoder here, so a format that is asked for
by name and cannot be created is an error. A recording is measured; when this relay created it, its text is read back
out of it. Errors are worded as the API words them.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tutuclient.standin import audio
from tutuclient.standin.words import CJK
from tutuclient.testing import lenient
from tutuclient.testing.account import ANSWER_POINTS
from tutuclient.testing.answers import event, send_events, streams
from tutuclient.testing.exchange import Exchange
from tutuclient.testing.form import FormFile
from tutuclient.testing.tokens import logprob, tokens

# Characters; one-api counts bytes (WIRE.md 1.1).
_LONGEST_INPUT = 4096
# new-api streams audio in pieces of this size (WIRE.md 1.1).
_PIECE_BYTES = 4096
_SSE_PIECE_BYTES = 24_000  # Half a second; whole samples, and no padding within.
_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_EXTENSIONS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*\s*")
_ENCODED = ("mp3", "opus", "aac", "flac")
_SLOWEST, _FASTEST = 0.25, 4.0
_TOKEN_BYTES = 2400  # A twentieth of a second.


async def speak(exchange: Exchange) -> web.StreamResponse:
    """POST /v1/audio/speech: tones, one a syllable, as WAV or bare samples, in pieces or as events."""
    payload = exchange.payload
    if (wrong := _speech_error(payload, exchange.model)) is not None:
        return exchange.error(400, wrong, code="invalid_audio_request")
    text, speed = str(payload["input"]), float(payload.get("speed") or 1.0)
    bare = payload.get("response_format") == "pcm"
    samples = await exchange.stage.work(lambda: audio.speak(text, speed=speed))
    data = samples if bare else audio.wav(samples, text)
    exchange.stage.account.charge(ANSWER_POINTS)
    if payload.get("stream_format") == "sse":
        read, made = len(tokens(text)), len(samples) // _TOKEN_BYTES
        usage = {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}
        pieces = [data[start : start + _SSE_PIECE_BYTES] for start in range(0, len(data), _SSE_PIECE_BYTES)]
        frames: list[dict[str, Any]] = [
            {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in pieces
        ]
        return await _events(exchange, [*frames, {"type": "speech.audio.done", "usage": usage}])
    size, kind = exchange.stage.piece_bytes or _PIECE_BYTES, f"audio/{'pcm' if bare else 'wav'}"
    delay = exchange.stage.token_delay
    return await streams([data], chunk_sizes=size, delay=delay, done=False, content_type=kind).play(exchange)


def _speech_error(payload: Mapping[str, Any], model: str) -> str | None:
    """Return what is wrong with a request for speech."""
    text, voice, speed = payload.get("input"), payload.get("voice"), payload.get("speed")
    speed = 1.0 if speed is None else speed
    kind, streamed = payload.get("response_format") or "wav", payload.get("stream_format") or "audio"
    named_voice = voice if isinstance(voice, str) else lenient.mapping(voice).get("id")
    slow = isinstance(speed, bool) or not isinstance(speed, (int, float)) or not _SLOWEST <= speed <= _FASTEST
    length = len(text) if isinstance(text, str) else 0
    wrong = {
        "input is required": length == 0,
        f"string too long: input has {length} characters, and {_LONGEST_INPUT} are the most": length > _LONGEST_INPUT,
        "voice is required": not named_voice,
        f"speed must be between {_SLOWEST} and {_FASTEST}, not {speed!r}": slow,
        f"this stand-in has no encoder for {kind}; it makes wav and pcm, and wav when no format is asked for": (
            kind in _ENCODED
        ),
        f"response_format must be one of {', '.join((*_ENCODED, 'wav', 'pcm'))}, not {kind!r}": (
            kind not in (*_ENCODED, "wav", "pcm")
        ),
        f"stream_format must be audio or sse, not {streamed!r}": streamed not in ("audio", "sse"),
        f"stream_format sse is not supported for {model}": streamed == "sse" and model.startswith("tts-1"),
    }
    return next((message for message, met in wrong.items() if met), None)


@dataclass(frozen=True)
class _Line:
    """A sentence of a recording, its start and end in seconds."""

    text: str
    start: float
    end: float


async def write(exchange: Exchange, *, task: str) -> web.StreamResponse:
    """POST /v1/audio/transcriptions and translations: what was measured, or the text of a recording made here.

    The task is to "transcribe" or to "translate", as far as a stand-in has any English.
    """
    form, model = exchange.form, exchange.model
    kind = form.fields.get("response_format") or "json"
    diarizes = task == "transcribe" and "diarize" in model
    if (wrong := _form_error(form.file("file"), kind, diarizes=diarizes)) is not None:
        return exchange.error(400, *wrong[:1], code=wrong[2], type="invalid_request_error", param=wrong[1])
    words = "word" in form.all("timestamp_granularities[]")
    if form.all("timestamp_granularities[]") and kind != "verbose_json":
        message = "The timestamp_granularities parameter is only supported with response_format 'verbose_json'."
        return exchange.error(400, message, code=None, type="invalid_request_error", param="timestamp_granularities")
    file = form.file("file")
    data = b"" if file is None else file.content
    try:
        recording = await exchange.stage.work(lambda: audio.listen(data))
    except ValueError as error:
        message = f"Audio file might be corrupted or unsupported: {error}"
        return exchange.error(400, message, code="invalid_value", type="invalid_request_error", param="file")
    exchange.stage.account.charge(ANSWER_POINTS)
    zh = task == "transcribe" and form.fields.get("language", "") == "zh"
    text = _text(recording, task, zh=zh)
    lines = _lines(text, recording.seconds)
    # A form has texts only, so "true" is a boolean (WIRE.md 1.2); whisper-1 ignores the field.
    if lenient.flag(form.fields.get("stream")) and task == "transcribe" and not model.startswith("whisper"):
        return await _events(exchange, _transcript_events(exchange, text, lines, recording))
    if kind in {"text", "srt", "vtt"}:
        body = {"text": f"{text}\n", "srt": _srt(lines), "vtt": _vtt(lines)}[kind]
        return exchange.respond(body.encode(), content_type="text/plain; charset=utf-8")
    return exchange.respond(_object(exchange, kind, task, text, lines, recording, words=words))


def _form_error(file: FormFile | None, kind: str, *, diarizes: bool) -> tuple[str, str, str | None] | None:
    """Return what is wrong with a form: a message, the field it is about, a code."""
    if file is None:
        return "file is required", "file", "invalid_audio_request"
    # The name's ending is what an upstream sees of a file behind new-api (WIRE.md 1.2).
    extension = file.filename.rpartition(".")[2].lower() if "." in file.filename else ""
    if extension not in _EXTENSIONS:
        return f"Unrecognized file format. Supported formats: {list(_EXTENSIONS)}", "file", None
    if not file.content:
        return "Audio file is empty.", "file", "invalid_value"
    if kind == "diarized_json" and not diarizes:
        return "response_format 'diarized_json' is only supported by models that diarize.", "response_format", None
    if kind not in {*_FORMATS, "diarized_json"}:
        return f"Invalid value: '{kind}'. Supported values are: {', '.join(_FORMATS)}.", "response_format", None
    return None


def _text(recording: audio.Recording, task: str, *, zh: bool) -> str:
    """Return the text in the recording's comment, or a description of the recording."""
    if recording.comment is None:
        words = (
            "(我是离线替身,只量声音,不是模型。)" if zh else "(I am an offline stand-in that measures audio, no model.)"
        )
        return f"{recording.describe(zh=zh)} {words}"
    if task == "translate" and CJK.search(recording.comment):
        return f'An offline stand-in cannot translate this: "{recording.comment}"'
    return recording.comment.strip()


def _lines(text: str, seconds: float) -> list[_Line]:
    """Spread sentences over the recording, each as long as its share of the letters."""
    sentences = [found for found in _SENTENCE.findall(text) if found.strip()] or [text]
    total, done, lines = sum(map(len, sentences)) or 1, 0, list[_Line]()
    for sentence in sentences:
        start, done = done, done + len(sentence)
        lines.append(_Line(sentence.strip(), round(seconds * start / total, 3), round(seconds * done / total, 3)))
    return lines


def _object(
    exchange: Exchange, kind: str, task: str, text: str, lines: list[_Line], recording: audio.Recording, *, words: bool
) -> dict[str, Any]:
    form = exchange.form
    # One of the two kinds of usage (WIRE.md 1.2), with a second that has begun counted in full.
    duration = {"type": "duration", "seconds": -(-recording.seconds // 1)}
    if kind == "diarized_json":
        segments = [_turn(place, line, form.all("known_speaker_names[]")) for place, line in enumerate(lines)]
        return {"task": task, "duration": recording.seconds, "text": text, "segments": segments, "usage": duration}
    if kind == "verbose_json":
        spelt = "chinese" if CJK.search(text) else "english"
        whole: dict[str, Any] = {"task": task, "language": spelt, "duration": recording.seconds, "text": text}
        if words:
            whole["words"] = [each for line in lines for each in _words(line)]
        if not words or "segment" in form.all("timestamp_granularities[]"):
            temperature = lenient.number(form.fields.get("temperature")) or 0.0
            whole["segments"] = [_segment(place, line, temperature) for place, line in enumerate(lines)]
        return {**whole, "usage": duration} if task == "transcribe" else whole
    if task == "translate":
        return {"text": text}
    plain: dict[str, Any] = {"text": text}
    if "logprobs" in form.all("include[]"):
        plain["logprobs"] = _logprobs(text)
    return {**plain, "usage": duration if exchange.model.startswith("whisper") else _usage(text, recording)}


def _transcript_events(
    exchange: Exchange, text: str, lines: list[_Line], recording: audio.Recording
) -> list[Mapping[str, Any]]:
    """Build the events of a streamed transcription, with speakers when the model tells them apart."""
    form, listed = exchange.form, "logprobs" in exchange.form.all("include[]")
    events: list[Mapping[str, Any]] = []
    if form.fields.get("response_format") == "diarized_json":
        for place, line in enumerate(lines):
            turn = _turn(place, line, form.all("known_speaker_names[]"))
            delta = line.text if place == len(lines) - 1 else f"{line.text} "
            events += [{"type": "transcript.text.delta", "delta": delta, "segment_id": turn["id"]}, turn]
        text = " ".join(line.text for line in lines)
    else:
        for token in tokens(text):
            events.append({"type": "transcript.text.delta", "delta": token})
            if listed:
                events[-1] = {**events[-1], "logprobs": _logprobs(token)}
    done = {"type": "transcript.text.done", "text": text, "usage": _usage(text, recording)}
    return [*events, {**done, "logprobs": _logprobs(text)} if listed else done]


async def _events(exchange: Exchange, events: Iterable[Mapping[str, Any]]) -> web.StreamResponse:
    return await send_events(exchange, map(event, events), done=False)


def _turn(place: int, line: _Line, speakers: list[str]) -> dict[str, Any]:
    """Describe a speaker's segment; there is only one speaker here."""
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{place:03}",
        "start": line.start,
        "end": line.end,
        "speaker": speakers[0] if speakers else "A",
        "text": line.text,
    }


def _segment(place: int, line: _Line, temperature: float) -> dict[str, Any]:
    return {
        "id": place,
        "seek": 0,
        "start": line.start,
        "end": line.end,
        "text": line.text,
        "tokens": list(range(50364, 50364 + len(tokens(line.text)))),
        "temperature": temperature,
        "avg_logprob": -0.25,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.01,
    }


def _words(line: _Line) -> list[dict[str, Any]]:
    words = [token.strip() for token in tokens(line.text) if token.strip(" .,!?。，！？")]
    step = (line.end - line.start) / max(1, len(words))
    return [
        {"word": word, "start": round(line.start + step * place, 3), "end": round(line.start + step * (place + 1), 3)}
        for place, word in enumerate(words)
    ]


def _logprobs(text: str) -> list[dict[str, Any]]:
    probabilities = [logprob(token, (), 0) for token in tokens(text)]
    return [{name: each[name] for name in ("token", "logprob", "bytes")} for each in probabilities]


def _usage(text: str, recording: audio.Recording) -> dict[str, Any]:
    """Count ten tokens a second of audio."""
    read, made = max(1, round(recording.seconds * 10)), len(tokens(text))
    details = {"text_tokens": 0, "audio_tokens": read}
    return {
        "type": "tokens",
        "input_tokens": read,
        "output_tokens": made,
        "total_tokens": read + made,
        # Singular here, and plural in the usage of images (WIRE.md 1.2).
        "input_token_details": details,
    }


def _clock(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _srt(lines: list[_Line]) -> str:
    return "".join(
        f"{place}\n{_clock(line.start, ',')} --> {_clock(line.end, ',')}\n{line.text}\n\n"
        for place, line in enumerate(lines, 1)
    )


def _vtt(lines: list[_Line]) -> str:
    cues = (f"{_clock(line.start, '.')} --> {_clock(line.end, '.')}\n{line.text}\n\n" for line in lines)
    return f"WEBVTT\n\n{''.join(cues)}"
