"""What a caller sends: messages and their parts. Plain dicts of the same shape work as well."""

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
        # An upload is read only while it is sent: its repr stands in its place.
        return iter(msgspec.to_builtins(self, enc_hook=repr).items())


class TextPart(Part, frozen=True, tag_field="type", tag="text"):
    """Text within a message of several parts."""

    text: str


class ImageURL(Part, frozen=True, omit_defaults=True):
    """Where an image is (http, https or data URI), and how closely to look: auto, low or high."""

    url: Any
    detail: str | None = None


class ImagePart(Part, frozen=True, tag_field="type", tag="image_url"):
    """An image within a message."""

    image_url: ImageURL


class InputAudio(Part, frozen=True):
    """Audio as bare base64, and the name of its format: wav or mp3, and on some relays others."""

    data: Any
    # Both are needed: new-api skips audio that lacks one on the channels it converts (.github/WIRE.md, section 2.1).
    format: Any


class AudioPart(Part, frozen=True, tag_field="type", tag="input_audio"):
    """Audio within a message."""

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
                f"a {type(part).__name__} is not a part of a message: write text as str, an image as image(…), "
                "audio as audio(…), a file as file(…)"
            )
    # Text alone stays text, the form that every upstream reads; parts are for what is more than text.
    if len(parts) == 1 and isinstance(parts[0], str):
        return parts[0]
    return [TextPart(part) if isinstance(part, str) else part for part in parts]


def user(*parts: Any, name: str | None = None) -> Message:
    """Build a user's message from text and other parts, in their order. A str is text, even when a file has this name.

    Raises:
        ConfigError: Something else is among the parts, such as bytes: write ``image(data)``.
    """
    return Message("user", _content(parts), name=name)


def system(text: str) -> Message:
    """Build a system message."""
    return Message("system", text)


def assistant(text: str) -> Message:
    """Build a message as if the model had written it."""
    return Message("assistant", text)


def image(
    source: PictureSource,
    *,
    detail: Literal["auto", "low", "high"] | None = None,
    max_side: int | None = None,
    max_pixels: int | None = None,
) -> ImagePart:
    """Create the part of a message that shows an image. Nothing is read yet.

    An http or https URL goes to the relay as it is, and the relay fetches it.
    Everything else becomes an ``Upload``, which is read when the call is made.

    Args:
        source: A path, an http(s) URL, a data URI, the bytes of an image, a binary file object or a Pillow image; with
            fsspec and its package for the store also the URL of an object store, such as ``s3://…``. An ``Upload`` may
            be used in several calls. A part stays as it is, with its own ``detail`` where it has one.
        detail: How closely the model should look. None leaves it to the relay, and several take "high" then.
        max_side: Pixels that the longer side may have; a larger image is made smaller (see ``Upload``).
            None sends every image as it is.
        max_pixels: See ``Upload``.

    Raises:
        MediaError: The source is of no such kind, or ``max_side`` was passed for a URL or for an ``Upload``.

    Source: ``POST /chat/completions``, part ``image_url``.
    """
    from tutuclient.media import sources, upload  # noqa: PLC0415  (types load this module, and need no uploads)

    if (shown := upload.shown_image(source)) is not None:
        closely = cast("Literal['auto', 'low', 'high'] | None", shown[1] or detail)
        return image(shown[0], detail=closely, max_side=max_side, max_pixels=max_pixels)
    if isinstance(source, upload.Upload):
        if max_side is not None:
            raise MediaError("max_side belongs to the Upload: write Upload(source, max_side=…).")
        return ImagePart(ImageURL(source, detail))
    url = sources.web_address(source) if isinstance(source, str) else None
    if url is None:
        return ImagePart(ImageURL(upload.Upload(source, max_side=max_side, max_pixels=max_pixels), detail))
    if max_side is not None:
        raise MediaError(
            f"max_side cannot be applied to {printable(url, 120)}: the relay fetches a URL by itself."
            " Fetch the image and pass its bytes, or leave max_side out."
        )
    return ImagePart(ImageURL(url, detail))


def audio(source: SoundSource, *, format: str | None = None) -> AudioPart:  # noqa: A002  (the wire's own name)
    """Create the part of a message that lets the model hear something. Nothing is read yet.

    Args:
        source: A path, a data URI, the bytes of audio or a binary file object. The part may be used in several calls.
        format: The name of the format, where the bytes do not tell ("pcm16"). None goes by the first bytes; OpenAI
            takes "wav" and "mp3", relays may take more.

    Raises:
        MediaError: The source is of no such kind.

    Source: ``POST /chat/completions``, part ``input_audio``.
    """
    from tutuclient.media import upload  # noqa: PLC0415  (as in image)

    recording = (
        source
        if isinstance(source, upload.Recording) and not format
        else upload.Recording(source, mime=f"audio/{format}" if format else None)
    )
    return AudioPart(InputAudio(recording, format or upload.FormatOf(recording)))


def file(source: PictureSource, *, filename: str | None = None) -> FilePart:
    """Create the part of a message that hands the model a file, such as a PDF. Nothing is read yet.

    Args:
        source: A path, a data URI, bytes or a binary file object.
        filename: Its name, with the extension; the file's own name by default.

    Raises:
        MediaError: The source is of no such kind, or has no name.

    Source: ``POST /chat/completions``, part ``file``; relays want both name and content.
    """
    from tutuclient.media import upload  # noqa: PLC0415  (as in image)

    document = upload.Document(source, name=filename)
    # On channels that new-api converts, a file without a name is dropped (.github/WIRE.md, section 2.1).
    if not document.name:
        raise MediaError("a file needs a name for the model to go by: file(…, filename='report.pdf').")
    return FilePart(FileData(document.name, document))
