"""What a caller sends: messages and their parts. Plain dicts of the same shape serve as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tutuclient.errors import ConfigError


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
