"""The stand-in behind the relay on loopback: it looks at pictures and listens to sound for real, and is no model.

It counts a picture's colours, measures a recording, does the edits it can read out of a prompt (Chinese or English),
calls the tools that a prompt speaks of, fills schemas with a prompt's words, and says what it cannot do. The same
request always gets the same answer. This room is glad not to know HTTP, which is the server's, nor pixels, samples and
schemas, which are its neighbours': it takes a request's body and gives back a text, calls or a picture.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tutuclient.standin import audio, schemas, tools
from tutuclient.standin.words import CJK, Words
from tutuclient.testing import lenient

if TYPE_CHECKING:
    from PIL.Image import Image

_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII | re.IGNORECASE)
_PAIR = re.compile(r"(\w[\w -]{0,40}?)\s*[:=：＝]\s*(\"[^\"\n]+\"|[^,，;；。!！?？\n]+)")

Fetch = Callable[[str], bytes | None]


class CannotSeeError(Exception):
    """A picture could not be had or decoded; the message is for the one who asked."""


class CannotHearError(Exception):
    """A sound could not be decoded or made; the message is for the one who asked."""


class BadSchemaError(Exception):
    """The schema of ``response_format`` cannot be used; the message is OpenAI's."""


@dataclass(frozen=True)
class Reply:
    """What the stand-in answers.

    Attributes:
        text: Its words; beside a picture, a short note of what was done. Empty when it only calls or speaks.
        picture: A PNG, when one was asked for.
        language: ``"zh"`` or ``"en"``, as the prompt.
        tool_calls: The calls it wants made, as a message holds them.
        reasoning: What it says it thought, when it was asked to think.
        spoken: The sound of ``transcript`` in the asked format, when sound was asked for.
        transcript: What is said in ``spoken``.
        free: Whether the text is prose, of which several answers may differ.
    """

    text: str
    picture: bytes | None = None
    language: str = "en"
    tool_calls: tuple[dict[str, Any], ...] = ()
    reasoning: str | None = None
    spoken: bytes | None = None
    transcript: str = ""
    free: bool = False


def answer(request: Mapping[str, Any], fetch: Fetch) -> Reply:
    """Answer a chat completion request.

    Args:
        request: The request's body, decoded.
        fetch: Gives the bytes behind an http address, or None when it is not the server's own.

    Raises:
        CannotSeeError: A picture is broken, too large or out of reach, or Pillow is missing.
        CannotHearError: A sound is no WAV, or is wanted in a format that cannot be made here.
        tools.BadToolsError: The request's tools cannot be used.
        BadSchemaError: Its ``response_format`` is called strict and is not, or has no schema.
    """
    prompt, urls = _read(request)
    zh = CJK.search(prompt) is not None
    language = "zh" if zh else "en"
    modalities = lenient.strings(request.get("modalities"))
    reasoning = _reasoning(request, prompt, zh=zh)
    if "image" in str(request.get("model", "")) or "image" in modalities:
        picture, note = _picture(prompt, urls, fetch, zh=zh)
        text = f"{note}{'(离线替身,不是模型)' if zh else ' (Offline stand-in, no model.)'}"
        return Reply(text, picture, language, reasoning=reasoning)
    schema = _schema(request)
    results = tools.results(lenient.objects(request.get("messages")))
    if not results and (calls := tools.calls(request, prompt)):
        return Reply("", language=language, tool_calls=tuple(calls), reasoning=reasoning)
    observed = [*_seen(urls, fetch, zh=zh), *_heard(request, zh=zh)]
    if schema is not None:
        told = "\n".join([prompt, *observed, *(said for _, said in results)])
        value = schemas.fill(schema, Words(told)) if schema else _pairs(told)
        return Reply(json.dumps(value, ensure_ascii=False), language=language, reasoning=reasoning)
    if results:
        text = _quoted(results, zh=zh)
    elif observed:
        words = "我是离线替身,只数像素,不是模型。" if zh else "I am an offline stand-in that counts pixels, no model."
        if not urls:
            words = (
                "我是离线替身,只量声音,不是模型。" if zh else "I am an offline stand-in that measures sound, no model."
            )
        text = "\n".join([*observed, f"({words})"])
    elif zh:
        text = f"我是离线替身,不是模型。你说的是:「{prompt}」"
    else:
        text = f'I am an offline stand-in, no model. You said: "{prompt}"'
    text = stopped(text, request.get("stop"))
    if "audio" in modalities:
        return Reply("", language=language, reasoning=reasoning, spoken=_spoken(request, text), transcript=text)
    return Reply(text, language=language, reasoning=reasoning, free=True)


def stopped(text: str, stop: object) -> str:
    """Cut a text before the first of the words it was to stop at.

    Args:
        text: The text.
        stop: A text, an array of them, or anything else for none.
    """
    places = [text.find(word) for word in lenient.strings(stop) if word and word in text]
    return text[: min(places)] if places else text


def _read(request: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Find the last user message's text, and the addresses of its pictures (or of the last message that has any)."""
    prompt, urls = "", list[str]()
    for message in reversed(lenient.objects(request.get("messages"))):
        if message.get("role") != "user":
            continue
        prompt = prompt or lenient.text_of(message)
        parts = [part for part in lenient.objects(message.get("content")) if part.get("type") == "image_url"]
        urls = [str(lenient.mapping(p["image_url"]).get("url", p["image_url"])) for p in parts if p.get("image_url")]
        if urls:
            break
    return prompt, urls


def _picture(prompt: str, urls: list[str], fetch: Fetch, *, zh: bool) -> tuple[bytes, str]:
    made: tuple[bytes, str]
    if urls:
        made = pillow("editing").edit(_look(urls[-1], fetch), prompt, zh=zh)
    else:
        made = pillow("drawing").generate(prompt, zh=zh)
    return made


def _seen(urls: list[str], fetch: Fetch, *, zh: bool) -> list[str]:
    seen = [str(pillow("images").describe(_look(url, fetch), zh=zh)) for url in urls]
    if len(seen) > 1:
        return [f"{'图' if zh else 'Picture '}{number}: {text}" for number, text in enumerate(seen, 1)]
    return seen


def _heard(request: Mapping[str, Any], *, zh: bool) -> list[str]:
    """Listen to the sounds of the last user message."""
    users = [each for each in lenient.objects(request.get("messages")) if each.get("role") == "user"]
    said: list[str] = []
    for part in lenient.objects(users[-1].get("content")) if users else []:
        if part.get("type") != "input_audio":
            continue
        try:
            data = base64.b64decode(str(lenient.mapping(part.get("input_audio")).get("data", "")), validate=True)
            heard = audio.listen(data)
        except ValueError as error:
            raise CannotHearError(f"the sound could not be decoded: {error}") from error
        said.append(heard.describe(zh=zh))
        if heard.comment is not None:
            said.append(f"里面说:「{heard.comment}」" if zh else f'It says: "{heard.comment}"')
    return said


def _schema(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the schema that the answer has to fit: empty for any object, None for prose."""
    asked = lenient.mapping(request.get("response_format"))
    if asked.get("type") == "json_object":
        return {}
    if asked.get("type") != "json_schema":
        return None
    inner = lenient.mapping(asked.get("json_schema"))
    if not inner.get("name"):
        raise BadSchemaError("Missing required parameter: 'response_format.json_schema.name'.")
    schema = lenient.mapping(inner.get("schema"))
    if inner.get("strict") is True and (wrong := schemas.complaint(schema)) is not None:
        raise BadSchemaError(f"Invalid schema for response_format '{inner['name']}': {wrong}")
    return schema or {"type": "object"}


def _pairs(prompt: str) -> dict[str, str]:
    """Make an object of what the prompt writes as ``key: value``, or of all of it."""
    pairs = {key.strip().rsplit(" ", 1)[-1]: value.strip(' "') for key, value in _PAIR.findall(prompt)}
    return pairs or {"answer": prompt}


def _quoted(results: list[tuple[str, str]], *, zh: bool) -> str:
    """Say what tools said."""
    if zh:
        said = ";".join(f"{name} 返回「{text}」" for name, text in results)
        return f"工具结果:{said}。(我是离线替身,不是模型。)"
    said = "; ".join(f'{name} said "{text}"' for name, text in results)
    return f"From the tools: {said}. (I am an offline stand-in, no model.)"


def _reasoning(request: Mapping[str, Any], prompt: str, *, zh: bool) -> str | None:
    effort = request.get("reasoning_effort", lenient.mapping(request.get("reasoning")).get("effort"))
    if not isinstance(effort, str) or effort == "none":
        return None
    if zh:
        return f"思考强度 {effort}:问题有 {len(prompt)} 个字,替身不思考,照规则回答。"
    return f"Effort {effort}: the prompt has {len(prompt.split())} words; a stand-in follows rules and does not think."


def _spoken(request: Mapping[str, Any], text: str) -> bytes:
    kind = str(lenient.mapping(request.get("audio")).get("format", "wav"))
    if kind not in {"wav", "pcm16"}:
        raise CannotHearError(f"this stand-in has no encoder for {kind!r}; it makes wav and pcm16")
    samples = audio.speak(text)
    return samples if kind == "pcm16" else audio.wav(samples, text)


def _look(url: str, fetch: Fetch) -> "Image":
    """Decode the picture behind an address."""
    return decode(picture_bytes(url, fetch))


def decode(data: bytes) -> "Image":
    """Decode a picture.

    Raises:
        CannotSeeError: It is broken, too large or no picture, or Pillow is missing.
    """
    try:
        picture: Image = pillow("images").decode(data)
    except ValueError as error:
        raise CannotSeeError(str(error)) from error
    return picture


def pillow(module: str) -> Any:
    """Import one of the modules that need Pillow: images, editing or drawing.

    Raises:
        CannotSeeError: Pillow is missing.
    """
    try:
        return import_module(f"tutuclient.standin.{module}")
    except ImportError as error:
        raise CannotSeeError('looking at pictures needs Pillow: pip install pillow (the extra "images")') from error


def picture_bytes(url: str, fetch: Fetch) -> bytes:
    """Give the bytes behind a data URI or an address of this server.

    Raises:
        CannotSeeError: The base64 is broken, or the address is another's.
    """
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
