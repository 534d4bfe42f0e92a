"""Text that must not be shown: hidden from ``repr``, and kept out of messages."""

from __future__ import annotations

import re
from typing import Any

from tutuclient.errors import printable

# How vendors and relays begin a key. Sources: the key pages of OpenAI, Anthropic, Groq, xAI, Google, NVIDIA, Hugging
# Face, Replicate, Perplexity and Fireworks; "eyJ" begins every JSON web token.
KEY_START = re.compile(r"(?:[sp]k|gsk|xai|nvapi|pplx|hf|r8|fw)[-_]|AIza|eyJ")
_KEY_INSIDE = re.compile(rf"(?<![A-Za-z0-9])(?:{KEY_START.pattern})[A-Za-z0-9._~+/=-]{{6,}}")
# A key of less is no secret: it is what servers get that ask for none, and "any" is a word.
_SHORTEST = 8
_LONG_RANDOM = re.compile(r"(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{24,}")


class Secret(str):
    """Text whose ``repr`` is masked.

    Tracebacks with locals, debuggers and logs print ``repr``; what sends it asks for ``str``.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class SecretBytes(bytes):
    """Bytes whose ``repr`` is masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'***'"


def hidden(value: Any) -> Any:
    """Return text or bytes with a masked ``repr``; anything else as it is."""
    return Secret(value) if isinstance(value, str) else SecretBytes(value) if isinstance(value, bytes) else value


def is_secret(key: str) -> bool:
    """Return whether a key is to be masked where it stands in a text: one of less than eight letters is not."""
    return len(key) >= _SHORTEST


def masked(text: str, key: str) -> str:
    """Return a text with a key in it replaced by ``***``, and the beginning of one where the text was cut off."""
    if not is_secret(key):
        return text
    text = text.replace(key, "***")
    for length in range(len(key) - 1, _SHORTEST - 1, -1):
        begins = str(key[:length])
        text = text.replace(f"{begins}…", "***…")
        if text.endswith(begins):
            text = f"{text[:-length]}***"
    return text


def shown(value: object) -> str:
    """Return a setting as a message may quote it: short, printable, and without what looks like a key."""
    text = _KEY_INSIDE.sub("***", repr(hidden(value) if looks_like_key(value) else value))
    return printable(_LONG_RANDOM.sub("***", text), 80)


def looks_like_key(value: object) -> bool:
    """Return whether something is text that begins like a key, or is as long and random as one."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return isinstance(text, str) and bool(KEY_START.match(text.strip()) or _LONG_RANDOM.fullmatch(text.strip()))
