"""What a caller sends: messages and their parts. Plain dicts of the same shape serve as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from tutuclient.errors import ConfigError, MediaError, printable

if TYPE_CHECKING:
    from tutuclient.media.upload import PictureSource, SoundSource


class Part(msgspec.Struct, frozen=True):
    """What a message is made of. ``dict(part)`` has what is written of it, for encoders such as FastAPI's."""

    def __iter__(self) -> Iterator[Any]:
        # A picture that is read only while it is sent is shown, and not read.
        return iter(msgspec.to_builtins(self, enc_hook=repr).items())


class TextPart(Part, frozen=True, tag_field="type", tag="text"):
    """Text within a message of several parts."""

    text: str


class ImageURL(Part, frozen=True, omit_defaults=True):
    """Where a picture is (http, https or data URI), and how closely to look: auto, low or high."""

    url: Any
    detail: str | None = None


class ImagePart(Part, frozen=True, tag_field="type", tag="image_url"):
    """A picture within a message."""

    image_url: ImageURL


class InputAudio(Part, frozen=True):
    """A sound, as bare base64, and what its format is called: wav or mp3, and on some relays others."""

    data: Any
    format: Any


class AudioPart(Part, frozen=True, tag_field="type", tag="input_audio"):
    """A sound within a message."""

    input_audio: InputAudio


class FileData(Part, frozen=True, omit_defaults=True):
    """A file: its name and its content as a data URI, or the id of one that the relay has already."""

    filename: str | None = None
    file_data: Any = None
    file_id: str | None = None


class FilePart(Part, frozen=True, tag_field="type", tag="file"):
    """A file within a message, such as a PDF."""

    file: FileData


class Message(Part, frozen=True, omit_defaults=True):
    """A message to send. ``content`` is text or a list of parts."""

    role: str
    content: str | list[Any] | None = None
    name: str | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None


def _content(parts: tuple[Any, ...]) -> str | list[Any]:
    for part in parts:
        if not isinstance(part, str | Mapping | msgspec.Struct):
            raise ConfigError(
                f"a {type(part).__name__} is no part of a message; a picture is image(…), a sound audio(…)"
            )
    if len(parts) == 1 and isinstance(parts[0], str):
        return parts[0]
    return [TextPart(part) if isinstance(part, str) else part for part in parts]


def user(*parts: Any, name: str | None = None) -> Message:
    """Write a user's message from text and other parts, in their order. A str is text, also when a file is named so.

    Raises:
        ConfigError: A part is none: a picture is given as ``image("cat.png")``.
    """
    return Message("user", _content(parts), name=name)


def system(text: str) -> Message:
    """Write a system message."""
    return Message("system", text)


def assistant(text: str) -> Message:
    """Write a message as if the model had said it."""
    return Message("assistant", text)


def image(
    source: PictureSource,
    *,
    detail: Literal["auto", "low", "high"] | None = None,
    max_side: int | None = None,
    max_pixels: int | None = None,
) -> ImagePart:
    """Make the part of a message that shows a picture. Reads nothing yet.

    An http or https URL goes to the relay as it is, and the relay fetches it.
    Everything else becomes an ``Upload``, which is read when the call is made.

    Args:
        source: A path, an http(s) URL, a data URI, the bytes of a picture, a binary file object or a Pillow image.
            An ``Upload`` may be used in several calls. A part that was made before stays as it is, with its own
            ``detail`` where it has one.
        detail: How closely the model should look. None leaves it to the relay, and several take "high" then.
        max_side: Pixels that the longer side may have; a larger picture is made smaller (see ``Upload``).
            None sends every picture as it is.
        max_pixels: See ``Upload``.

    Raises:
        MediaError: What is given is of no such kind, or ``max_side`` was given for a URL or for an ``Upload``.

    Source: ``POST /chat/completions``, part ``image_url``.
    """
    from tutuclient.media.sources import web_address  # noqa: PLC0415  (types need no uploads)
    from tutuclient.media.upload import Upload, shown_image  # noqa: PLC0415  (as above)

    if (shown := shown_image(source)) is not None:
        closely = cast("Literal['auto', 'low', 'high'] | None", shown[1] or detail)
        return image(shown[0], detail=closely, max_side=max_side, max_pixels=max_pixels)
    if isinstance(source, Upload):
        if max_side is not None:
            raise MediaError("max_side belongs to the Upload: write Upload(source, max_side=…).")
        return ImagePart(ImageURL(source, detail))
    url = web_address(source) if isinstance(source, str) else None
    if url is None:
        return ImagePart(ImageURL(Upload(source, max_side=max_side, max_pixels=max_pixels), detail))
    if max_side is not None:
        raise MediaError(
            f"max_side cannot be applied to {printable(url, 120)}: the relay fetches a URL by itself."
            " Fetch the picture and give its bytes, or leave max_side out."
        )
    return ImagePart(ImageURL(url, detail))


def audio(source: SoundSource, *, format: str | None = None) -> AudioPart:  # noqa: A002  (the wire's own name)
    """Make the part of a message that lets the model hear something. Reads nothing yet.

    Args:
        source: A path, a data URI, the bytes of a sound or a binary file object. What this makes may be used in
            several calls.
        format: What to call the format, when the bytes do not tell ("pcm16"). None goes by the first bytes; OpenAI
            takes "wav" and "mp3", relays may take more.

    Raises:
        MediaError: What is given is of no such kind.

    Source: ``POST /chat/completions``, part ``input_audio``.
    """
    from tutuclient.media.upload import FormatOf, Recording  # noqa: PLC0415  (as in image)

    recording = (
        source
        if isinstance(source, Recording) and not format
        else Recording(source, mime=f"audio/{format}" if format else None)
    )
    return AudioPart(InputAudio(recording, format or FormatOf(recording)))


def file(source: PictureSource, *, filename: str | None = None) -> FilePart:
    """Make the part of a message that hands the model a file, such as a PDF. Reads nothing yet.

    Args:
        source: A path, a data URI, bytes or a binary file object.
        filename: What to call it, with its ending; the file's own name by default.

    Raises:
        MediaError: What is given is of no such kind, or has no name.

    Source: ``POST /chat/completions``, part ``file``; relays want both name and content.
    """
    from tutuclient.media.upload import Document  # noqa: PLC0415  (as in image)

    document = Document(source, name=filename)
    if not document.name:
        raise MediaError("a file needs a name for the model to go by: file(…, filename='report.pdf').")
    return FilePart(FileData(document.name, document))
