"""Fields of a request that decide what is billed: the model, the texts, and whether it orders an image."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tutuclient.diagnostics import is_binary, quoted, warn
from tutuclient.errors import ConfigError
from tutuclient.wire.messages import is_source

# By name, since a relay's list of models does not say it: chat models make images as well ("gpt-4o-image",
# .github/WIRE.md, section 2.3). A model that is taken for one of these by mistake only loses its retries.
_IMAGE_MODEL = re.compile(
    r"image|dall-?e|sora|flux|midjourney|(?:^|[-_/])mj(?:$|[-_])|stable-?diffusion|sdxl|imagen|seedream|seededit|kolors|banana|ideogram|recraft|"
    r"cogview|wanx|video|veo|kling|draw",
    re.IGNORECASE,
)


def check_model(fields: Mapping[str, Any]) -> None:
    """Raise an error for a request that names no model: some relays answer with one of their own choice, and bill it.

    Raises:
        ConfigError: ``model`` is not text, or empty.
    """
    model = fields.get("model")
    if not isinstance(model, str) or not (bare := model.strip()):
        raise ConfigError(f'model is {quoted(model)}: name one that the relay lists, such as model="gpt-4o"')
    # A warning alone: relays may have any name, with spaces too (.github/WIRE.md, section 1.10).
    if len(bare) != len(model) or bare[0] in "\"'":
        warn(f"model is {quoted(model)}, with spaces or quotes around it, and is sent as it is; did you mean to?")


def check_text(value: Any, field: str, *, empty: bool = False) -> None:
    """Raise an error for what JSON would write as text though it is not: bytes as base64, a path as the file's content.

    Args:
        value: The field's value; a list is checked elsewhere.
        field: Its name, for the message.
        empty: Accept "" and None.

    Raises:
        ConfigError: It is empty, or not text; the message names the field.
    """
    if isinstance(value, str):
        if empty or value.strip():
            return
    elif value is None:
        if empty:
            return
    elif not (isinstance(value, bool | float) or is_binary(value) or is_source(value)):
        return
    raise ConfigError(f"{field} is {quoted(value)}: write text that says something")


def makes_image(fields: Mapping[str, Any]) -> bool:
    """Return whether a chat request orders an image, by its model's name and its modalities.

    Such a request is never sent twice in silence: a second image is billed too.
    """
    modalities = fields.get("modalities")
    if modalities is not None and isinstance(modalities, Iterable) and "image" in modalities:
        return True
    return _draws(str(fields.get("model", "")))


@functools.lru_cache(maxsize=1000)
def _draws(model: str) -> bool:
    return _IMAGE_MODEL.search(model) is not None
