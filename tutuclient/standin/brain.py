"""What the stand-in answers to a chat: it really looks at images and measures audio, but has no model.

It counts an image's colours, measures a recording, makes the edits it can read out of a prompt (Chinese or English),
calls the tools that a prompt mentions, and fills schemas with a prompt's words; what it cannot do, it says. The same
request always gets the same answer.
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
"""Returns the bytes behind an http address, None when it is not the server's own."""


class BadImageError(Exception):
    """An image could not be fetched or decoded; the message is returned to the client."""


class BadAudioError(Exception):
    """Audio could not be decoded or encoded; the message is returned to the client."""


class BadSchemaError(Exception):
    """The schema of ``response_format`` cannot be used; the message is OpenAI's."""


@dataclass(frozen=True)
class Reply:
    """What the stand-in answers.

    Attributes:
        text: The text; beside an image, a note of what was done. Empty beside tool calls and audio.
        image: A PNG, when one was asked for.
        language: ``"zh"`` or ``"en"``, as the prompt.
        tool_calls: The tool calls, as a message holds them.
        reasoning: The reasoning, when the request asks for some.
        audio: The audio of ``transcript`` in the asked format, when audio was asked for.
        transcript: The text of ``audio``.
        free: Whether the text is prose, of which several answers may differ.
    """

    text: str
    image: bytes | None = None
    language: str = "en"
    tool_calls: tuple[dict[str, Any], ...] = ()
    reasoning: str | None = None
    audio: bytes | None = None
    transcript: str = ""
    free: bool = False


def answer(request: Mapping[str, Any], fetch: Fetch) -> Reply:
    """Answer a chat completion request.

    Raises:
        BadImageError: An image is broken, too large or out of reach, or Pillow is missing.
        BadAudioError: The audio is not WAV, or is asked for in a format that cannot be encoded here.
        tools.BadToolsError: The request's tools cannot be used.
        BadSchemaError: Its ``response_format`` is called strict and is not, or has no schema.
    """
    prompt, urls = _read(request)
    zh = CJK.search(prompt) is not None
    language = "zh" if zh else "en"
    modalities = lenient.strings(request.get("modalities"))
    reasoning = _reasoning(request, prompt, zh=zh)
    # By the model's name, as with gpt-4o-image: relays have no field that orders an image in a chat (WIRE.md 1.11).
    if "image" in str(request.get("model", "")) or "image" in modalities:
        image, note = _draw(prompt, urls, fetch, zh=zh)
        text = f"{note}{'(离线替身,不是模型)' if zh else ' (Offline stand-in, no model.)'}"
        return Reply(text, image, language, reasoning=reasoning)
    schema = _schema(request)
    results = tools.results(lenient.objects(request.get("messages")))
    if not results and (calls := tools.calls(request, prompt)):
        return Reply("", language=language, tool_calls=tuple(calls), reasoning=reasoning)
    observed = [*_described_images(urls, fetch, zh=zh), *_described_audio(request, zh=zh)]
    if schema is not None:
        context = "\n".join([prompt, *observed, *(result for _, result in results)])
        # ``json_object`` asks for any object (WIRE.md 1.3), so the pairs that the prompt writes out are as good as any.
        value = schemas.fill(schema, Words(context)) if schema else _pairs(context)
        return Reply(json.dumps(value, ensure_ascii=False), language=language, reasoning=reasoning)
    if results:
        text = _quoted(results, zh=zh)
    elif observed:
        words = "我是离线替身,只数像素,不是模型。" if zh else "I am an offline stand-in that counts pixels, no model."
        if not urls:
            words = (
                "我是离线替身,只量声音,不是模型。" if zh else "I am an offline stand-in that measures audio, no model."
            )
        text = "\n".join([*observed, f"({words})"])
    elif zh:
        text = f"我是离线替身,不是模型。你说的是:「{prompt}」"
    else:
        text = f'I am an offline stand-in, no model. You said: "{prompt}"'
    # The API cuts before a stop word, and leaves it out.
    text = stopped(text, request.get("stop"))
    if "audio" in modalities:
        return Reply("", language=language, reasoning=reasoning, audio=_speech(request, text), transcript=text)
    return Reply(text, language=language, reasoning=reasoning, free=True)


def stopped(text: str, stop: object) -> str:
    """Cut a text before the first of its stop words: one, an array of them, or anything else for none."""
    places = [text.find(word) for word in lenient.strings(stop) if word and word in text]
    return text[: min(places)] if places else text


def _read(request: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the last user message's text, and the addresses of its images (or of the last message that has any)."""
    prompt, urls = "", list[str]()
    # A follow-up in words is about the image before it, as in a conversation with a model.
    for message in reversed(lenient.objects(request.get("messages"))):
        if message.get("role") != "user":
            continue
        prompt = prompt or lenient.text_of(message)
        parts = [part for part in lenient.objects(message.get("content")) if part.get("type") == "image_url"]
        urls = [str(lenient.mapping(p["image_url"]).get("url", p["image_url"])) for p in parts if p.get("image_url")]
        if urls:
            break
    return prompt, urls


def _draw(prompt: str, urls: list[str], fetch: Fetch, *, zh: bool) -> tuple[bytes, str]:
    """Return an image and a note of what was done: the last image edited, or a new one."""
    drawn: tuple[bytes, str]
    if urls:
        drawn = pillow("editing").edit(decode(image_bytes(urls[-1], fetch)), prompt, zh=zh)
    else:
        drawn = pillow("drawing").generate(prompt, zh=zh)
    return drawn


def _described_images(urls: list[str], fetch: Fetch, *, zh: bool) -> list[str]:
    described = [str(pillow("images").describe(decode(image_bytes(url, fetch)), zh=zh)) for url in urls]
    if len(described) > 1:
        return [f"{'图' if zh else 'Image '}{number}: {text}" for number, text in enumerate(described, 1)]
    return described


def _described_audio(request: Mapping[str, Any], *, zh: bool) -> list[str]:
    """Describe the audio of the last user message."""
    users = [each for each in lenient.objects(request.get("messages")) if each.get("role") == "user"]
    described: list[str] = []
    for part in lenient.objects(users[-1].get("content")) if users else []:
        if part.get("type") != "input_audio":
            continue
        try:
            data = base64.b64decode(str(lenient.mapping(part.get("input_audio")).get("data", "")), validate=True)
            recording = audio.listen(data)
        except ValueError as error:
            raise BadAudioError(f"the audio could not be decoded: {error}") from error
        described.append(recording.describe(zh=zh))
        if recording.comment is not None:
            described.append(f"里面说:「{recording.comment}」" if zh else f'It says: "{recording.comment}"')
    return described


def _schema(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema that the answer has to fit: empty for any object, None for prose."""
    asked = lenient.mapping(request.get("response_format"))
    if asked.get("type") == "json_object":
        return {}
    if asked.get("type") != "json_schema":
        return None
    inner = lenient.mapping(asked.get("json_schema"))
    if not inner.get("name"):
        raise BadSchemaError("Missing required parameter: 'response_format.json_schema.name'.")
    schema = lenient.mapping(inner.get("schema"))
    if inner.get("strict") is True and (wrong := schemas.strict_error(schema)) is not None:
        raise BadSchemaError(f"Invalid schema for response_format '{inner['name']}': {wrong}")
    return schema or {"type": "object"}


def _pairs(prompt: str) -> dict[str, str]:
    """Build an object of what the prompt writes as ``key: value``, or of all of it."""
    pairs = {key.strip().rsplit(" ", 1)[-1]: value.strip(' "') for key, value in _PAIR.findall(prompt)}
    return pairs or {"answer": prompt}


def _quoted(results: list[tuple[str, str]], *, zh: bool) -> str:
    """Quote the results of tools."""
    if zh:
        quoted = ";".join(f"{name} 返回「{text}」" for name, text in results)
        return f"工具结果:{quoted}。(我是离线替身,不是模型。)"
    quoted = "; ".join(f'{name} said "{text}"' for name, text in results)
    return f"From the tools: {quoted}. (I am an offline stand-in, no model.)"


def _reasoning(request: Mapping[str, Any], prompt: str, *, zh: bool) -> str | None:
    effort = request.get("reasoning_effort", lenient.mapping(request.get("reasoning")).get("effort"))
    if not isinstance(effort, str) or effort == "none":
        return None
    if zh:
        return f"思考强度 {effort}:问题有 {len(prompt)} 个字,替身不思考,照规则回答。"
    return f"Effort {effort}: the prompt has {len(prompt.split())} words; a stand-in follows rules and does not think."


def _speech(request: Mapping[str, Any], text: str) -> bytes:
    kind = str(lenient.mapping(request.get("audio")).get("format", "wav"))
    if kind not in {"wav", "pcm16"}:
        raise BadAudioError(f"this stand-in has no encoder for {kind!r}; it makes wav and pcm16")
    samples = audio.speak(text)
    return samples if kind == "pcm16" else audio.wav(samples, text)


def decode(data: bytes) -> "Image":
    """Decode an image.

    Raises:
        BadImageError: It is broken, too large or not an image, or Pillow is missing.
    """
    try:
        image: Image = pillow("images").decode(data)
    except ValueError as error:
        raise BadImageError(str(error)) from error
    return image


def pillow(module: str) -> Any:
    """Import one of the modules that need Pillow: images, editing or drawing.

    Raises:
        BadImageError: Pillow is missing.
    """
    try:
        # Imported when first needed: Pillow is an extra, and a relay that is asked no images does without.
        return import_module(f"tutuclient.standin.{module}")
    except ImportError as error:
        raise BadImageError('looking at images needs Pillow: pip install pillow (the extra "images")') from error


def image_bytes(url: str, fetch: Fetch) -> bytes:
    """Return the bytes behind a data URI or an address of this server.

    Raises:
        BadImageError: The base64 is broken, or the address is not on this server.
    """
    head = _DATA_URI.match(url)
    if head is None:
        data = fetch(url) if url.startswith(("http://", "https://")) else None
        if data is None:
            raise BadImageError(
                f"this stand-in fetches no images from the network: {url[:80]!r}; send a data URI, or an address on "
                "this server"
            )
        return data
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadImageError(f"illegal base64 data in the image's data URI: {error}") from error
