"""speech, transcribe, translate: audio saved as it arrives, text printed in the format asked for."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Done, Terminal, finished, interrupted, one_line, process, read, taken_from
from tutuclient.testing import Server, fails, raw, streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing import Scripted

SAMPLES = b"\0\1" * 24_000
WAV = (
    b"RIFF"
    + struct.pack("<I", 36 + len(SAMPLES))
    + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 24_000, 48_000, 2, 16)
)
WAV += b"data" + struct.pack("<I", len(SAMPLES)) + SAMPLES


def sounds() -> Scripted:
    return raw(200, WAV, {"Content-Type": "audio/wav"})


def form(relay: Server) -> str:
    """Return the last request's form, as far as it is text."""
    return relay.requests[-1].body.decode("utf-8", "replace")


@pytest.fixture(autouse=True)
def _recording(relay: Server) -> None:
    del relay  # Its fixture makes the folder.
    Path("talk.wav").write_bytes(WAV)


# --- speech ---------------------------------------------------------------------------------------------------------


def test_speech_is_saved_and_says_where(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(sounds())
    assert tutu("speech", "早上好", "-o", "morning.wav", "--voice", "nova", "--speed", "1.5") == (
        0,
        "morning.wav\n",
        "",
    )
    assert Path("morning.wav").read_bytes() == WAV
    assert relay.requests[0].json == {
        "model": "tts-1",
        "input": "早上好",
        "voice": "nova",
        "response_format": "wav",
        "speed": 1.5,
    }


def test_speech_names_the_file_by_its_bytes_and_says_so(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(sounds())
    done = tutu("speech", "hi", "-o", "hi.mp3", "-m", "gpt-4o-mini-tts", "--instructions", "Whisper.")
    assert done == (0, "hi.wav\n", "note: the relay sent audio/wav, so the extension is .wav\n")
    sent = relay.requests[0].json
    assert ("response_format" in sent, sent["instructions"]) == (False, "Whisper.")


@pytest.mark.parametrize("text", [(), ("-",)])
def test_speech_reads_a_pipe(tutu: Callable[..., Done], relay: Server, text: tuple[str, ...]) -> None:
    relay.answers(sounds())
    assert tutu("speech", *text, "-o", "hi.wav", stdin="\ufeff你好\n".encode()).code == 0
    assert relay.requests[0].json["input"] == "你好"
    assert tutu("speech", *text, "-o", "other.wav", stdin=b"") == (2, "", "error: no text: stdin is empty\n")


def test_speech_as_json(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(sounds())
    done = tutu("speech", "hi", "-o", "hi.wav", "--json")
    described = done.json
    assert (described["path"], described["mime"], described["size_bytes"]) == ("hi.wav", "audio/wav", len(WAV))
    assert (described["usage"], described["model"], described["attempts"]) == (None, "tts-1", 1)
    assert (done.code, done.err) == (0, "")


@pytest.mark.slow
def test_speech_goes_to_stdout_as_it_comes(relay: Server) -> None:
    relay.answers(sounds())
    with Path("out.wav").open("wb") as out:
        done = finished("speech", "hi", "-o", "-", stdout=out)
    assert (done.code, done.err) == (0, "")
    assert Path("out.wav").read_bytes() == WAV


def test_speech_refuses_before_it_costs_anything(tutu: Callable[..., Done], relay: Server) -> None:
    Path("there.mp3").touch()
    for arguments, words in (
        (("hi", "-o", "there.mp3"), "there.mp3 exists already"),
        (("hi", "-o", "missing/a.mp3"), "the folder missing does not exist"),
        (("hi", "-o", "-", "--json"), "both want stdout"),
        (("hi", "-o", os.devnull, "--overwrite"), "the audio cannot be saved there"),
        ((" ", "-o", "a.mp3"), "the text is empty"),
    ):
        done = tutu("speech", *arguments)
        assert (done.code, done.out) == (2, "")
        assert words in one_line(done.err)
    assert relay.requests == []


def test_speech_whose_name_is_taken_by_another_ending_is_kept_elsewhere(
    tutu: Callable[..., Done], relay: Server
) -> None:
    relay.answers(sounds(), sounds())
    done = tutu("speech", "hi", "-o", "talk.mp3")
    assert (done.code, done.out) == (8, "")
    assert "talk.wav exists already" in one_line(done.err)
    assert taken_from(done.err.rpartition("here: ")[2]) == WAV
    assert tutu("speech", "hello", "-o", "talk.mp3", "--overwrite").out == "talk.wav\n"


def test_speech_that_breaks_off_leaves_no_file(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(streams([WAV[:9000]], done=False, then="reset", content_type="audio/wav"))
    done = tutu("speech", "hi", "-o", "hi.wav")
    assert (done.code, done.out) == (7, "")
    assert "broke off" in one_line(done.err)
    assert sorted(os.listdir()) == ["cat.png", "talk.wav"]  # noqa: PTH208  (names are what is looked at)


def test_an_error_that_calls_itself_audio(tutu: Callable[..., Done], relay: Server) -> None:
    error = json.dumps({"error": {"message": "no such voice", "type": "invalid_request_error"}})
    relay.answers(raw(200, error.encode(), {"Content-Type": "audio/mpeg"}))
    done = tutu("speech", "hi", "-o", "hi.mp3")
    assert (done.code, "no such voice" in one_line(done.err)) == (1, True)


@pytest.mark.slow
def test_audio_is_not_written_to_a_terminal(relay: Server) -> None:
    with Terminal("speech", "hi", "-o", "-") as terminal:
        assert terminal.end() == 2
    assert "stdout is the terminal; name a file" in terminal.plain
    assert relay.requests == []


@pytest.mark.slow
def test_a_terminal_shows_how_much_was_said(relay: Server) -> None:
    relay.answers(sounds())
    with Terminal("speech", "hi", "-o", "hi.wav") as terminal:
        assert terminal.end() == 0
    assert "hi.wav\r\n" in terminal.plain
    assert "48.0 kB" in terminal.plain


# --- transcribe and translate ---------------------------------------------------------------------------------------

SAID = {"text": " Good \x1b[2Jmorning.\n", "usage": {"type": "duration", "seconds": 3, "total_tokens": 5}}


@pytest.mark.parametrize(("command", "page"), [("transcribe", "transcriptions"), ("translate", "translations")])
def test_what_was_said_is_printed_as_text(tutu: Callable[..., Done], relay: Server, command: str, page: str) -> None:
    relay.answers(raw(200, json.dumps(SAID).encode()))
    assert tutu(command, "talk.wav", "--prompt", "Tutu") == (0, "Good \\x1b[2Jmorning.\n", "")
    assert relay.requests[0].path == f"/v1/audio/{page}"
    sent = form(relay)
    assert 'name="model"\r\n\r\nwhisper-1\r\n' in sent
    assert 'name="response_format"\r\n\r\njson\r\n' in sent
    assert 'name="prompt"\r\n\r\nTutu\r\n' in sent
    assert 'filename="talk.wav"' in sent


def test_transcribe_reads_a_recording_from_stdin(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(raw(200, json.dumps(SAID).encode()))
    assert tutu("transcribe", "-", "--language", "en", stdin=WAV).code == 0
    assert 'filename="sound.wav"' in form(relay)
    assert 'name="language"\r\n\r\nen\r\n' in form(relay)
    assert tutu("transcribe", "-") == (2, "", "error: no recording: stdin is empty\n")


@pytest.mark.slow
def test_a_transcription_is_printed_as_it_comes(relay: Server) -> None:
    events = [
        {"type": "transcript.text.delta", "delta": "Good \x1b[2J"},
        {"type": "transcript.text.delta", "delta": "day."},
    ]
    done = {"type": "transcript.text.done", "text": "Good day."}
    relay.answers(streams(events, done=False, then="hang"))
    with process("transcribe", "talk.wav", "--stream", "-m", "gpt-4o-transcribe") as started:
        assert read(started, "day.") == "Good \\x1b[2Jday."
        assert interrupted(started) == (130, "\n", "")
    relay.answers(streams([*events, done], done=False))
    assert finished("transcribe", "talk.wav", "--stream") == (0, "Good \\x1b[2Jday.\n", "")
    assert 'name="stream"\r\n\r\ntrue\r\n' in form(relay)


def test_a_model_that_does_not_stream_gives_it_all_at_the_end(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(raw(200, b'{"text": "Good day."}'))
    assert tutu("transcribe", "talk.wav", "--stream") == (0, "Good day.\n", "")


@pytest.mark.parametrize("more", ["--json", "--format=srt"])
def test_what_is_streamed_is_text(tutu: Callable[..., Done], relay: Server, more: str) -> None:
    done = tutu("transcribe", "talk.wav", "--stream", more)
    assert (done.code, relay.requests) == (2, [])
    assert "leave out --json and --format" in one_line(done.err)


@pytest.mark.slow
def test_a_terminal_shows_a_transcription_as_it_comes(relay: Server) -> None:
    relay.answers(streams([{"type": "transcript.text.done", "text": "Good day."}], done=False))
    with Terminal("transcribe", "talk.wav", "--stream") as terminal:
        assert terminal.end() == 0
    assert "Good day.\r\n" in terminal.plain
    assert " s · whisper-1 · " in terminal.plain


@pytest.mark.parametrize("written", ["srt", "vtt"])
def test_subtitles_are_printed_as_they_are(tutu: Callable[..., Done], relay: Server, written: str) -> None:
    lines = "1\n00:00:00,000 --> 00:00:01,000\n早上好\n\n"
    relay.answers(raw(200, lines.encode(), {"Content-Type": "text/plain"}))
    assert tutu("transcribe", "talk.wav", "--format", written) == (0, f"{lines.rstrip()}\n", "")
    assert f'name="response_format"\r\n\r\n{written}\r\n' in form(relay)


@pytest.mark.parametrize("written", ["json", "verbose_json"])
def test_the_relays_json_is_printed_as_it_is(tutu: Callable[..., Done], relay: Server, written: str) -> None:
    said = {**SAID, "segments": [{"id": 0, "start": 0.0, "end": 1.5, "text": "早上好"}], "odd": 1}
    relay.answers(raw(200, json.dumps(said).encode()))
    assert tutu("transcribe", "talk.wav", "--format", written).json == said


@pytest.mark.parametrize("command", ["transcribe", "translate"])
def test_what_was_said_as_json(tutu: Callable[..., Done], relay: Server, command: str) -> None:
    relay.answers(raw(200, json.dumps(SAID).encode()))
    described = tutu(command, "talk.wav", "--json").json
    assert (described["text"], described["model"], described["attempts"]) == (SAID["text"], "whisper-1", 1)
    assert (described["usage"] or {}).get("seconds") == (3 if command == "transcribe" else None)
    assert described["request_id"]


def test_a_recording_without_words(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(raw(200, b'{"text": ""}'))
    assert tutu("transcribe", "talk.wav") == (0, "\n", "note: the transcript is empty: no words were heard\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.mp3",), "missing.mp3"),
        (("cat.png",), "cat.png"),
        (("talk.wav", "--json", "--format", "srt"), "--json and --format srt both choose the output format"),
    ],
)
def test_recordings_are_checked_before_anything_is_sent(
    tutu: Callable[..., Done], relay: Server, arguments: tuple[str, ...], words: str
) -> None:
    done = tutu("transcribe", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in one_line(done.err)
    assert relay.requests == []


def test_a_recording_that_is_refused(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(400, "Invalid file format."))
    done = tutu("translate", "talk.wav")
    assert (done.code, "Invalid file format." in one_line(done.err)) == (4, True)


@pytest.mark.slow
def test_a_terminal_shows_what_was_heard(relay: Server) -> None:
    relay.answers(raw(200, json.dumps(SAID).encode(), delay=0.3))
    with Terminal("transcribe", "talk.wav") as terminal:
        assert terminal.end() == 0
    assert "whisper-1" in terminal.plain
    assert "morning.\r\n" in terminal.plain
