"""The message of ``analyze``, ``edit`` and ``generate``: images and a prompt, checked before anything is paid for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import index
from typing import Any, Literal

from tutuclient import wire
from tutuclient.errors import ConfigError, MediaError, printable
from tutuclient.media.image import GeneratedImage
from tutuclient.media.parts import image
from tutuclient.media.sources import names_image


def question(
    images: Any,
    prompt: str,
    detail: Literal["auto", "low", "high"] | None,
    max_side: int | None,
) -> dict[str, Any]:
    """Return the message of one or several images and a prompt; ``TutuClient.analyze`` documents the arguments.

    Raises:
        ConfigError: The prompt, ``detail`` or ``max_side`` cannot be.
        MediaError: What is passed is no image.
    """
    text = prompt_text(prompt, images)
    wire.check_detail(detail, "detail")
    side = _side(max_side)
    sources = _sources(images)
    several = isinstance(images, list | tuple)
    parts = [
        _image_part(source, f"images[{place}]" if several else "images", detail, side)
        for place, source in enumerate(sources)
    ]
    # The text comes first, as in the samples of the relay's documentation (WIRE.md 1.11).
    return {"role": "user", "content": [{"type": "text", "text": text}, *parts]}


def _sources(images: Any) -> list[Any]:
    """Return the images one by one, as they were passed."""
    if isinstance(images, Mapping) or wire.is_part(images) or wire.is_source(images):
        return [images]
    # An array of numpy iterates over its rows, and each would be taken for an image.
    if hasattr(images, "dtype"):
        raise MediaError(f"images is {wire.quoted(images)}: pass it as PIL.Image.fromarray(array)")
    if isinstance(images, str | bytes | bytearray | memoryview) or not isinstance(images, Iterable):
        return [images]
    sources: list[Any] = [*images]
    if not sources:
        raise MediaError("no image was passed: the list is empty")
    return sources


_NOT_IMAGES = (list, tuple, bool, int, float)


def _image_part(source: Any, place: str, detail: Literal["auto", "low", "high"] | None, max_side: int | None) -> Any:
    """Return the content part of an image; a part is returned as it is."""
    if wire.is_part(source):
        if max_side is not None:
            raise MediaError(
                f"{place} is a content part already, so max_side goes into it: image(source, max_side={max_side})"
            )
        return source
    blank = isinstance(source, str) and not source.strip()
    if blank or source is None or type(source) in _NOT_IMAGES:
        raise MediaError(
            f"{place} is {wire.quoted(source)}, which is not an image: pass a path, an http(s) address, a data URI, "
            "bytes, an open binary file, a Pillow image or image(…)"
        )
    if isinstance(source, GeneratedImage):
        raise MediaError(f"{place} is a GeneratedImage, which has to be downloaded first: pass await image.read()")
    try:
        return image(source, detail=detail, max_side=max_side)
    except MediaError as error:
        if place == "images":
            raise
        raise MediaError(f"{place}: {error}") from error


def _side(max_side: Any) -> int | None:
    """Return a number of pixels, checked; numpy's numbers are numbers too."""
    if max_side is None:
        return None
    try:
        # ``True`` is an int too, and no number of pixels.
        side = 0 if isinstance(max_side, bool) else index(max_side)
    except TypeError:
        side = 0
    if side < 1:
        raise ConfigError(f"max_side is {wire.quoted(max_side)}: write a whole number of pixels, such as max_side=2048")
    return side


def prompt_text(prompt: object, images: object = None) -> str:
    """Return the prompt, checked, also against the ``images`` beside it: the two may be swapped."""
    images_is_prompt = isinstance(images, str) and not names_image(images)
    prompt_is_image = names_image(prompt) or wire.is_part(prompt) or _is_binary(prompt)
    if images_is_prompt and prompt_is_image:
        raise ConfigError(
            f"the prompt is {wire.quoted(prompt)} and images is {wire.quoted(images)}: they seem to be swapped; "
            "images come first, then the prompt"
        )
    if not isinstance(prompt, str) or not prompt.strip():
        raise ConfigError(f"the prompt must be text, and not empty; got {wire.quoted(prompt)}")
    if images is not None and names_image(prompt):
        raise MediaError(
            f"{printable(prompt, 80)} stands where the prompt belongs, but is the name of an image: images come first,"
            " several in a list, then the prompt, as in (['cat.jpg', 'dog.jpg'], 'What is in these images?')."
        )
    return prompt


def _is_binary(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview) or wire.is_source(value)
