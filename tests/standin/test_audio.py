import array
import io
import math
import wave

import pytest

from tutuclient.standin import audio
from tutuclient.testing import sample_sound


def recorded(frames: bytes, *, width: int = 2, channels: int = 1, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(frames)
    return buffer.getvalue()


def tone(amplitude: float, seconds: float = 1.0, rate: int = 8000) -> bytes:
    steps = range(round(seconds * rate))
    return array.array("h", (round(32767 * amplitude * math.sin(step * 0.3)) for step in steps)).tobytes()


def test_speaks_a_tone_a_syllable_so_that_longer_texts_last_longer() -> None:
    one, two = (len(audio.speak(text)) / 2 / audio.RATE for text in ("la", "la la"))
    assert (one, two) == (0.16, 0.16 * 2 + 0.06)
    assert len(audio.speak("你好")) == 2 * len(audio.speak("la"))


def test_speaks_faster_and_slower() -> None:
    usual = len(audio.speak("hello there"))
    assert len(audio.speak("hello there", speed=2)) == pytest.approx(usual / 2, abs=10)
    assert len(audio.speak("hello there", speed=0.5)) == pytest.approx(usual * 2, abs=10)


def test_a_text_without_syllables_is_a_short_silence() -> None:
    assert set(audio.speak("###")) == {0}


def test_makes_a_file_that_others_can_read() -> None:
    samples = audio.speak("hello")
    with wave.open(io.BytesIO(audio.wav(samples, "a comment of odd length"))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (24_000, 2, 1)
        assert file.readframes(file.getnframes()) == samples


@pytest.mark.parametrize("text", ["hello", "hello!", "你好,世界", "x" * 100])
def test_reads_back_the_text_that_came_along(text: str) -> None:
    assert audio.listen(audio.wav(audio.speak(text), text)).comment == text


def test_hears_no_text_where_there_is_none() -> None:
    assert audio.listen(recorded(tone(0.5))).comment is None


def test_measures_length_loudness_and_silence() -> None:
    heard = audio.listen(recorded(tone(0.5) + bytes(16_000)))
    assert (heard.seconds, heard.rate, heard.channels) == (2.0, 8000, 1)
    assert heard.loudness_db == pytest.approx(20 * math.log10(0.5 / 2), abs=0.1)
    assert heard.silent_seconds == pytest.approx(1.0, abs=0.03)
    quiet = audio.listen(recorded(bytes(16_000)))
    assert (quiet.loudness_db, quiet.silent_seconds) == (-96.0, 1.0)


def test_measures_every_width_alike() -> None:
    samples = array.array("h", tone(0.5))
    wide = {
        1: bytes((value >> 8) + 128 for value in samples),
        3: b"".join(b"\0" + value.to_bytes(2, "little", signed=True) for value in samples),
        4: b"".join(b"\0\0" + value.to_bytes(2, "little", signed=True) for value in samples),
    }
    loudness = audio.listen(recorded(samples.tobytes())).loudness_db
    for width, frames in wide.items():
        assert audio.listen(recorded(frames, width=width)).loudness_db == pytest.approx(loudness, abs=0.1)


def test_counts_two_channels_as_one_time() -> None:
    heard = audio.listen(recorded(bytes(32_000), channels=2))
    assert (heard.seconds, heard.channels, heard.silent_seconds) == (1.0, 2, 1.0)


def test_says_what_it_measured_in_two_languages() -> None:
    heard = audio.listen(recorded(tone(0.5)))
    assert heard.describe(zh=False).startswith(
        "This is a recording of 1.00 seconds at 8000 Hz with 1 channel, loudness"
    )
    assert heard.describe(zh=True).startswith("这是一段 1.00 秒的录音,8000 Hz")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file ends too early"),
        (b"ID3 not a wav at all", "decodes PCM WAV only"),
        (recorded(b""), "the recording is empty"),
        (recorded(bytes(100_000), rate=2), "lasts 25000 seconds"),
        (sample_sound()[:30], "decodes PCM WAV only"),
    ],
)
def test_says_why_it_cannot_listen(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audio.listen(data)


def test_listens_to_as_much_of_a_cut_file_as_there_is() -> None:
    whole = recorded(tone(0.5))
    assert audio.listen(whole[: len(whole) // 2 + 1]).seconds == pytest.approx(0.5, abs=0.01)


def test_the_sample_speaks_and_can_be_silent() -> None:
    assert audio.listen(sample_sound()).comment == "One small step. 一小步。"
    silent = audio.listen(sample_sound(""))
    assert (silent.comment, silent.loudness_db) == (None, -96.0)
