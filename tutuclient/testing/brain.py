"""The stand-in behind the relay on loopback: it looks at pictures for real, and is no model.

It counts a picture's colours, does the edits it can read out of a prompt (Chinese or English), and says what it cannot
do. The same request always gets the same answer. This room is glad not to know HTTP, which is the server's, nor pixels,
which are ``pictures``': it takes a request's body and gives back a text and perhaps a picture.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII | re.IGNORECASE)

Fetch = Callable[[str], bytes | None]


class CannotSeeError(Exception):
    """A picture could not be had or decoded; the message is for the one who asked."""


@dataclass(frozen=True)
class Reply:
    """What the stand-in answers.

    Attributes:
        text: Its words; beside a picture, a short note of what was done.
        picture: A PNG, when one was asked for.
        language: ``"zh"`` or ``"en"``, as the prompt.
    """

    text: str
    picture: bytes | None = None
    language: str = "en"


def answer(request: Mapping[str, Any], fetch: Fetch) -> Reply:
    """Answer a chat completion request.

    Args:
        request: The request's body, decoded.
        fetch: Gives the bytes behind an http address, or None when it is not the server's own.

    Raises:
        CannotSeeError: A picture is broken, too large or out of reach, or Pillow is missing.
    """
    prompt, urls = _read(request)
    zh = _CJK.search(prompt) is not None
    language = "zh" if zh else "en"
    modalities = request.get("modalities")
    wanted = "image" in str(request.get("model", "")) or (isinstance(modalities, list) and "image" in modalities)
    if wanted:
        pictures = _pictures()
        picture, note = (
            pictures.edit(_look(urls[-1], fetch), prompt, zh=zh) if urls else pictures.generate(prompt, zh=zh)
        )
        return Reply(f"{note}{'(离线替身,不是模型)' if zh else ' (Offline stand-in, no model.)'}", picture, language)
    if urls:
        seen = [str(_pictures().describe(_look(url, fetch), zh=zh)) for url in urls]
        if len(seen) > 1:
            seen = [f"{'图' if zh else 'Picture '}{number}: {text}" for number, text in enumerate(seen, 1)]
        words = "我是离线替身,只数像素,不是模型。" if zh else "I am an offline stand-in that counts pixels, no model."
        return Reply("\n".join([*seen, f"({words})"]), language=language)
    if zh:
        return Reply(f"我是离线替身,不是模型。你说的是:「{prompt}」", language=language)
    return Reply(f'I am an offline stand-in, no model. You said: "{prompt}"', language=language)


def _read(request: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Find the last user message's text, and the addresses of its pictures (or of the last message that has any)."""
    prompt, urls = "", []
    for message in reversed(request["messages"]):
        content = message.get("content") if isinstance(message, dict) and message.get("role") == "user" else None
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list):
            continue
        parts = [part for part in parts if isinstance(part, dict)]
        prompt = prompt or "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))
        pictures = [part.get("image_url") for part in parts if part.get("type") == "image_url"]
        urls = [str(each.get("url", "") if isinstance(each, dict) else each) for each in pictures]
        if urls:
            break
    return prompt, urls


def _look(url: str, fetch: Fetch) -> "Image":
    """Decode the picture behind an address."""
    try:
        picture: Image = _pictures().decode(_bytes(url, fetch))
    except ValueError as error:
        raise CannotSeeError(str(error)) from error
    return picture


def _pictures() -> Any:
    """Open the room that needs Pillow."""
    try:
        return import_module("tutuclient.testing.pictures")
    except ImportError as error:
        raise CannotSeeError('looking at pictures needs Pillow: pip install "tutuclient[images]"') from error


def _bytes(url: str, fetch: Fetch) -> bytes:
    head = _DATA_URI.match(url)
    if head is None:
        data = fetch(url) if url.startswith(("http://", "https://")) else None
        if data is None:
            raise CannotSeeError(
                f"this stand-in fetches no pictures from the network: {url[:80]!r}; send a data URI, or an address on "
                "this server"
            )
        return data
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise CannotSeeError(f"illegal base64 data in the picture's data URI: {error}") from error
