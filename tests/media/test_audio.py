"""What ``media.audio`` promises: audio is known by its bytes, read in every way, and saved whole or not at all."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from tests.media.uploads import wav
from tutuclient import Sound, SoundError
from tutuclient.media.audio import mime_of_answer

if TYPE_CHECKING:
    from pathlib import Path

MP3 = b"ID3\x04\0\0\0\0\0\0" + bytes(range(256)) * 20
SAMPLES = bytes(range(1, 255)) * 2


def read(data: bytes, asked: str = "") -> Sound:
    mime = mime_of_answer(data, "audio/mpeg" if not asked else "", asked)
    assert mime is not None
    return Sound(data, mime)


@pytest.mark.parametrize(
    ("data", "asked", "label", "mime"),
    [
        (MP3, "", "application/octet-stream", "audio/mpeg"),
        (b"\xff\xfb\x90\x64" + SAMPLES, "mp3", "audio/mpeg", "audio/mpeg"),
        (wav(), "mp3", "audio/mpeg", "audio/wav"),
        (wav(), "pcm", "audio/pcm", "audio/wav"),
        (b"OggS\0\x02" + SAMPLES, "opus", "audio/opus", "audio/ogg"),
        (b"fLaC\0\0\0\x22", "flac", "audio/flac", "audio/flac"),
        (b"\xff\xf1\x50\x80" + SAMPLES, "aac", "audio/aac", "audio/aac"),
        (SAMPLES, "pcm", "audio/pcm", "audio/pcm"),
        (SAMPLES, "pcm", "application/json", "audio/pcm"),
        (SAMPLES, "", "audio/pcm; rate=24000", "audio/pcm"),
        (SAMPLES, "", "audio/x-unheard-of", "audio/x-unheard-of"),
        (SAMPLES, "mp3", "application/octet-stream", "application/octet-stream"),
        (SAMPLES, "mp3", "", "application/octet-stream"),
        (bytes(1000), "pcm", "audio/pcm", "audio/pcm"),
        (b"\xff\xfb\x90\x64" + SAMPLES, "pcm", "audio/pcm", "audio/pcm"),
        (b"\xff\xfb\x90\x64" + SAMPLES, "pcm", "audio/mpeg", "audio/mpeg"),
        (b"{\0" + SAMPLES, "pcm", "audio/pcm", "audio/pcm"),
        (b":\0" + SAMPLES, "pcm", "audio/pcm", "audio/pcm"),
    ],
)
def test_audio_is_recognised_by_its_bytes_then_by_its_label(data: bytes, asked: str, label: str, mime: str) -> None:
    assert mime_of_answer(data, label, asked) == mime
    assert mime_of_answer(bytearray(data), label, asked) == mime


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (wav(), 1.0),
        (wav(12_000, size=0xFFFFFFFF), 0.5),
        (wav(12_000, size=0), 0.5),
        (wav()[:12] + b"LIST\x03\0\0\0abc\0" + wav()[12:], 1.0),
        (wav()[:30], None),
        (wav()[:28] + bytes(4) + wav()[32:], None),
        (MP3, None),
    ],
)
def test_a_wav_says_how_long_it_lasts(data: bytes, seconds: float | None) -> None:
    assert read(data).seconds == seconds


async def test_audio_is_read_in_every_way() -> None:
    sound = read(MP3)
    assert await sound.read() == await sound.aread() == sound.content == MP3
    assert list(sound.iter_bytes(4000)) == [MP3[:4000], MP3[4000:]]
    assert b"".join(sound.iter_bytes()) == MP3
    assert [piece async for piece in sound.aiter_bytes(4000)] == [MP3[:4000], MP3[4000:]]
    assert list(sound.iter_bytes(2565)) == [MP3[:2565], MP3[2565:]]
    assert repr(sound) == "<Sound audio/mpeg, 5,130 bytes>"
    copy = pickle.loads(pickle.dumps(sound))  # noqa: S301  (our own)
    assert (copy.content, copy.mime, copy.size_bytes, copy.meta.status_code) == (MP3, "audio/mpeg", len(MP3), 0)


async def test_saved_audio_is_called_by_what_it_is(tmp_path: Path) -> None:
    sound = read(wav())
    saved = await sound.save(tmp_path / "talk.mp3")
    assert saved == tmp_path / "talk.wav"
    assert saved.read_bytes() == wav()
    named = await sound.save(tmp_path)
    assert named.name.startswith("audio-")
    assert named.suffix == ".wav"
    with pytest.raises(SoundError, match=r"talk\.wav exists already"):
        await sound.save(tmp_path / "talk.mp3")
    await read(wav(10)).save(tmp_path / "talk.wav", overwrite=True)
    assert saved.read_bytes() == wav(10)
    assert (await read(b"OggS\0\x02" + SAMPLES).save(tmp_path / "a.opus")).name == "a.opus"
    assert (await read(SAMPLES, "pcm").save(tmp_path / "a.wav")).name == "a.pcm"
    with pytest.raises(SoundError, match="the audio could not be saved as .*: its folder does not exist"):
        await sound.save(tmp_path / "no" / "talk.wav")


def test_writing_to_a_file_takes_just_this_name(tmp_path: Path) -> None:
    sound = read(wav())
    for _ in range(2):
        sound.write_to_file(tmp_path / "talk.mp3")
    assert (tmp_path / "talk.mp3").read_bytes() == wav()
    for place, says in (
        (tmp_path, "there is a folder of this name"),
        (tmp_path / "no" / "a", "its folder does not exist"),
    ):
        with pytest.raises(SoundError, match=says):
            sound.write_to_file(place)
    assert [path.name for path in tmp_path.iterdir()] == ["talk.mp3"]
