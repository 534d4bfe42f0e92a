"""The commands speech, transcribe and translate: audio from text, and text from audio."""

from __future__ import annotations

import sys
import tempfile
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tutuclient.cli.arguments import (
    ApiKey,
    AsJson,
    BaseUrl,
    Debug,
    Model,
    Overwrite,
    Seconds,
    make_client,
    read_prompt,
    read_stdin,
)
from tutuclient.cli.output import (
    Spinner,
    call_fields,
    end_line,
    human_size,
    note,
    print_json,
    print_times,
    sanitize,
    usage_fields,
    write,
)
from tutuclient.cli.output_files import Target
from tutuclient.cli.running import reporting_errors, run
from tutuclient.errors import ConfigError, SoundError, printable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tutuclient.streams.audio import SoundStream
    from tutuclient.streams.events import EventStream
    from tutuclient.types import Meta, Usage
    from tutuclient.types.audio import (
        SpeechFields,
        SpeechFormat,
        Transcription,
        TranscriptionDiarized,
        TranscriptionFields,
        TranscriptionStreamEvent,
        TranscriptionVerbose,
        Translation,
        TranslationFields,
        TranslationVerbose,
    )

    Said = Transcription | TranscriptionVerbose | TranscriptionDiarized | Translation | TranslationVerbose

# mp3 is the default, and some relays reject the field when it says so.
_ASKED_BY_SUFFIX: dict[str, SpeechFormat] = {
    ".wav": "wav",
    ".flac": "flac",
    ".opus": "opus",
    ".aac": "aac",
    ".pcm": "pcm",
}


class Written(Enum):
    """The format of a transcript."""

    text = "text"
    json = "json"
    srt = "srt"
    vtt = "vtt"
    verbose_json = "verbose_json"


SoundIn = Annotated[
    str, typer.Argument(metavar="FILE", help="A recording, mp3, wav, m4a, flac, ogg or webm; - reads it from stdin.")
]
Format = Annotated[
    Written,
    typer.Option("--format", help="Plain text, subtitles (srt, vtt), or the relay's JSON as it is."),
]
Hint = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Words and names that occur in it, so that they are spelt right.")
]


def speech(
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="What to say; - or a pipe reads it from stdin.", show_default=False),
    ] = None,
    *,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Where to save the audio: a file, whose extension asks for mp3, wav, flac, opus, aac or pcm; "
            "a folder; or - for stdout, as it comes.",
            show_default=False,
        ),
    ],
    overwrite: Overwrite = False,
    voice: Annotated[str, typer.Option(metavar="NAME", help="The voice, such as alloy, nova or onyx.")] = "alloy",
    model: Model = "tts-1",
    speed: Annotated[
        float | None, typer.Option(metavar="X", min=0.25, max=4.0, help="How fast, from 0.25 to 4.")
    ] = None,
    instructions: Annotated[
        str | None, typer.Option(metavar="TEXT", help="How to say it; the tts-1 models do not know this.")
    ] = None,
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Synthesize speech from a text, save the audio while it arrives, and print where.

    Example: tutuclient speech "Good morning" -o morning.mp3
    """
    with reporting_errors(debug=debug):
        target = Target(output, overwrite, as_json, "audio")
        target.check()
        words = read_prompt("-" if text is None else text, "text")
        fields: SpeechFields = {}
        if asked := _ASKED_BY_SUFFIX.get(Path(output).suffix.lower()):
            fields["response_format"] = asked
        if speed is not None:
            fields["speed"] = speed
        if instructions is not None:
            fields["instructions"] = instructions

        async def work() -> None:
            started = time.monotonic()
            async with make_client(api_key, base_url, timeout) as client:
                with Spinner(model) as spinner:
                    opening = client.audio.speech.stream(model=model, voice=voice, input=words, **fields)
                    async with opening as sound:
                        spinner.update(f"{model} is speaking")
                        place = await _keep(sound, target)
            if place is not None:
                _report_saved(sound, place, target, model, started)

        run(work())


async def _keep(sound: SoundStream, target: Target) -> Path | None:
    """Save audio while it arrives, or write it to stdout. Return its path, or None for stdout."""
    if target.is_stdout:
        async for piece in sound:
            sys.stdout.buffer.write(piece)
            # A player at the other end of the pipe can begin with the first piece.
            sys.stdout.buffer.flush()
        return None
    if (name := target.conflicting_name(sound.mime)) is None:
        return await sound.save(target.output, overwrite=target.overwrite)
    place = await sound.save(f"{tempfile.gettempdir()}/")
    raise SoundError(f"{printable(name)} exists already; the audio is made and paid for, and is here: {place}")


def _report_saved(sound: SoundStream, place: Path, target: Target, model: str, started: float) -> None:
    """Print where the audio is, for a person or as JSON."""
    size = place.stat().st_size
    if target.as_json:
        saved = {"path": str(place), "mime": sound.mime, "size_bytes": size}
        call = call_fields(sound.meta.request_id, sound.meta.attempts, started)
        print_json({**saved, "usage": usage_fields(sound.usage), "model": model, **call})
    else:
        write(f"{place}\n")
        target.note_suffix(place, sound.mime)
    print_times(started, human_size(size), sound.meta.request_id)


def transcribe(
    file: SoundIn,
    *,
    written: Format = Written.text,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="The language spoken, such as en or zh; else it is guessed.")
    ] = None,
    prompt: Hint = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print the text as it is found; whisper-1 gives it all at the end.")
    ] = False,
    model: Model = "whisper-1",
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Transcribe a recording.

    Example: tutuclient transcribe talk.mp3 --format srt > talk.srt
    """
    with reporting_errors(debug=debug):
        _must_fit(written, as_json=as_json)
        if stream and (as_json or written is not Written.text):
            raise ConfigError("--stream prints plain text as it comes: leave out --json and --format")
        sound = _sound(file)
        fields: TranscriptionFields = {}
        if language is not None:
            fields["language"] = language
        if prompt is not None:
            fields["prompt"] = prompt

        async def work() -> None:
            started = time.monotonic()
            async with make_client(api_key, base_url, timeout) as client:
                if stream:
                    opening = client.audio.transcriptions.create(file=sound, model=model, stream=True, **fields)
                    meta = await _show_events(opening, model)
                    print_times(started, model, meta.request_id)
                    return
                with Spinner(model):
                    answer = await client.audio.transcriptions.create(
                        file=sound, model=model, response_format=_asked(written), **fields
                    )
            _show(answer, written, model, started, as_json=as_json)

        run(work())


def translate(
    file: SoundIn,
    *,
    written: Format = Written.text,
    prompt: Hint = None,
    model: Model = "whisper-1",
    as_json: AsJson = False,
    api_key: ApiKey = None,
    base_url: BaseUrl = None,
    timeout: Seconds = None,
    debug: Debug = False,
) -> None:
    """Translate a recording into English text.

    Example: tutuclient translate talk.mp3
    """
    with reporting_errors(debug=debug):
        _must_fit(written, as_json=as_json)
        sound = _sound(file)
        fields: TranslationFields = {} if prompt is None else {"prompt": prompt}

        async def work() -> None:
            started = time.monotonic()
            async with make_client(api_key, base_url, timeout) as client:
                with Spinner(model):
                    answer = await client.audio.translations.create(
                        file=sound, model=model, response_format=_asked(written), **fields
                    )
            _show(answer, written, model, started, as_json=as_json)

        run(work())


def _must_fit(written: Written, *, as_json: bool) -> None:
    if as_json and written is not Written.text:
        raise ConfigError(f"--json and --format {written.value} both choose the output format: pass one of them")


def _sound(file: str) -> bytes | Path:
    return read_stdin("recording") if file == "-" else Path(file)


def _asked(written: Written) -> Literal["json", "srt", "vtt", "verbose_json"]:
    """Return the format to ask for: JSON for plain text, since newer models know no other and it reports the usage."""
    return "json" if written is Written.text else written.value


async def _show_events(opening: Awaitable[EventStream[TranscriptionStreamEvent]], model: str) -> Meta:
    """Print the transcript as it arrives; return the call's metadata."""
    from tutuclient.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

    shown = ""
    try:
        with Spinner(model) as spinner:
            async with await opening as events:
                async for event in events:
                    text = ""
                    if isinstance(event, TranscriptionTextDeltaEvent):
                        text = event.delta
                    # A model that does not stream sends all of it in the last event (WIRE.md 1.2), which repeats the
                    # pieces of others.
                    elif isinstance(event, TranscriptionTextDoneEvent) and not shown:
                        text = event.text
                    if text:
                        spinner.stop()
                        shown = text
                        write(sanitize(text))
    finally:
        end_line()
    return events.meta


def _show(answer: Said | str, written: Written, model: str, started: float, *, as_json: bool) -> None:
    if isinstance(answer, str):
        write(sanitize(answer.rstrip("\n")) + "\n")
    elif as_json:
        call = call_fields(answer.meta.request_id, answer.meta.attempts, started)
        usage: Usage | None = getattr(answer, "usage", None)  # A translation has none.
        print_json({"text": answer.text, "usage": usage_fields(usage), "model": model, **call})
    elif written is Written.text:
        write(sanitize(answer.text.strip()) + "\n")
        if not answer.text.strip():
            note("the transcript is empty: no words were heard")
    else:
        print_json(answer.to_dict())
    print_times(started, model, None if isinstance(answer, str) else answer.meta.request_id)
