"""The answers that tests script: a text, a stream, an image, an error, or bytes as they are.

Each function returns an object for ``server.answers``, which sends it when a request comes.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import hdrs

from tutuclient.media.kinds import HEAD_BYTES, image_mime
from tutuclient.testing import lenient
from tutuclient.testing.chat import TOP_FIELDS, choices, chunk
from tutuclient.testing.chat import usage as usage_of
from tutuclient.testing.exchange import Answer, Exchange, Played, compact_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aiohttp import web

# WIRE.md 2.2 and 2.3 say where each was seen.
PICTURE_FORMS = (
    "url", "bare", "markdown", "alt", "link", "b64", "images", "image", "parts", "raw_b64", "data", "progress",
)  # fmt: skip
"""The ways in which relays return an image in a chat; ``draws`` describes each."""

Frame = Mapping[str, Any] | bytes | str
Then = Literal["end", "fin", "reset", "hang"]

_DONE = b"data: [DONE]\n\n"
ORANGE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP40KUBAAQQAaOxWwIjAAAAAElFTkSuQmCC"
)


def says(
    text: str,
    *,
    delay: float = 0.0,
    token_delay: float | None = None,
    usage: bool | Mapping[str, Any] = True,
    **fields: Any,
) -> Answer:
    """Answer with a text, whole or as a stream of tokens, whichever the request asks for.

    Args:
        text: What the assistant says.
        delay: Seconds before the first byte.
        token_delay: Seconds after each event of a stream; None means the server's ``token_delay``.
        usage: True for counts that fit the texts, False for none, or the object itself.
        **fields: Further fields: ``finish_reason`` of the choice; ``id``, ``created``, ``model`` and the like of the
            answer; all others (``tool_calls``, ``reasoning_content``, ``images``) of the message or one delta.
    """

    async def play(exchange: Exchange) -> web.StreamResponse:
        return await send_chat(exchange, text, fields, token_delay=token_delay, usage=usage)

    return Played(play, delay)


def raw(
    status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None, *, delay: float = 0.0
) -> Answer:
    """Answer with this status, body and headers (``application/json`` unless they say otherwise)."""
    others = dict(headers or {})
    named = next((name for name in others if name.lower() == "content-type"), None)
    content_type = "application/json" if named is None else others.pop(named)

    async def play(exchange: Exchange) -> web.StreamResponse:
        return exchange.respond(body, status=status, content_type=content_type, headers=others)

    return Played(play, delay)


def sends(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None, delay: float = 0.0) -> Answer:
    """Answer with a value as JSON: an embedding, a list of images, a balance, whatever the endpoint is.

    Args:
        value: The body, before it becomes JSON.
        status: The HTTP status.
        headers: Further headers; a ``Content-Type`` among them replaces ``application/json``.
        delay: Seconds before the first byte.
    """
    return raw(status, compact_json(value), headers, delay=delay)


def fails(
    status: int,
    message: str,
    code: object = None,
    type: str = "new_api_error",  # noqa: A002 - the wire's own name.
    headers: Mapping[str, str] | None = None,
    *,
    delay: float = 0.0,
    param: str | None = "",
) -> Answer:
    """Answer with an error as new-api words it: ``message`` gets the request id at its end."""

    async def play(exchange: Exchange) -> web.StreamResponse:
        return exchange.error(status, message, code=code, type=type, param=param, headers=headers)

    return Played(play, delay)


def rate_limited(
    retry_after: float | str | None = None,
    message: str = "当前分组上游负载已饱和，请稍后再试",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Answer 429.

    Args:
        retry_after: What the ``Retry-After`` header says; None sends none.
        message: The relay's words.
        headers: Further headers, such as ``retry-after-ms``.
    """
    asked: dict[str, str] = {} if retry_after is None else {hdrs.RETRY_AFTER: str(retry_after)}
    return fails(429, message, code="rate_limit_exceeded", headers={**asked, **(headers or {})})


def streams(
    frames: Iterable[Frame],
    *,
    chunk_sizes: int | Sequence[int] | None = None,
    delay: float = 0.0,
    done: bool = True,
    content_type: str = "text/event-stream",
    then: Then = "end",
    pause: float = 0.02,
) -> Answer:
    """Answer with an event stream, whatever the request asked for.

    Args:
        frames: Objects and texts become one ``data:`` event each; bytes are sent as they are.
        chunk_sizes: None writes frame by frame; a number cuts the stream into pieces of so many bytes; a list gives
            the pieces' lengths, its last one for all the rest.
        delay: Seconds after each piece.
        done: Whether ``data: [DONE]`` follows the frames.
        content_type: The answer's media type.
        then: ``"end"`` ends well, ``"fin"`` and ``"reset"`` cut the connection, ``"hang"`` stays silent until the
            client leaves.
        pause: Seconds between the last piece and the cut, so that the client has read the piece.
    """
    encoded = [*map(encode_frame, frames), *[_DONE] * done]

    async def play(exchange: Exchange) -> web.StreamResponse:
        response = await exchange.open_stream(content_type)
        for piece in _cut(encoded, chunk_sizes):
            await response.write(piece)
            if delay:
                await asyncio.sleep(delay)
        if then == "end":
            await response.write_eof()
            return response
        if then == "hang":
            await exchange.silence()
            return exchange.fin()
        # A reset discards what the client has not read yet (RFC 9293, section 3.10.7.4), and a client may treat a FIN
        # in the same way.
        await asyncio.sleep(pause)
        return exchange.reset() if then == "reset" else exchange.fin()

    return Played(play)


def draws(
    picture: bytes | str | None = None,
    *,
    form: str | None = None,
    note: str = "",
    language: str = "zh",
    delay: float = 0.0,
    **fields: Any,
) -> Answer:
    """Answer with an image, as an image model behind a relay does.

    Args:
        picture: The image's bytes (the server hosts them), an address to send as it is, or None for a PNG of one
            orange pixel.
        form: One of ``PICTURE_FORMS``; None means the request's ``image_format``, else ``server.picture_form``.
            ``url`` glues the address to a sentence; ``bare`` is the address alone; ``markdown`` is ``![name](url)``;
            ``alt`` has the address in the alternative text too; ``link`` is a download link; ``b64`` is markdown with
            a data URI; ``images`` and ``image`` are fields of the message; ``raw_b64`` is ``images`` without the
            ``data:`` prefix; ``parts`` makes the content a list; ``data`` is the shape of the images endpoints;
            ``progress`` is the whole log of a slow job.
        note: A text before the image.
        language: ``"zh"`` or ``"en"``, for the words around the image.
        delay: Seconds before the first byte.
        **fields: Further fields, as for ``says``.

    Raises:
        ValueError: There is no such form.
    """
    if form is not None and form not in PICTURE_FORMS:
        raise ValueError(f"no image form {form!r}; there are {', '.join(PICTURE_FORMS)}")
    image = ORANGE_PIXEL if picture is None else picture

    async def play(exchange: Exchange) -> web.StreamResponse:
        asked = exchange.payload.get("image_format")
        # A request may choose too, so that any client can be tried with each form without a script.
        chosen = form or (asked if asked in PICTURE_FORMS else exchange.stage.picture_form)
        return await _send_image(exchange, image, chosen, note=note, zh=language == "zh", fields=fields)

    return Played(play, delay)


async def send_chat(
    exchange: Exchange,
    content: str | list[dict[str, Any]] | None,
    fields: Mapping[str, Any],
    *,
    token_delay: float | None = None,
    usage: bool | Mapping[str, Any] = True,
    max_tokens: int | None = None,
    numbered: bool = False,
) -> web.StreamResponse:
    """Answer with a chat completion, whole or streamed; arguments as for ``says`` and ``chat.choices``."""
    top: dict[str, Any] = {
        "id": f"chatcmpl-{exchange.request_id}",
        "created": int(time.time()),
        "model": exchange.payload.get("model", ""),
        **{name: value for name, value in fields.items() if name in TOP_FIELDS},
    }
    built = choices(exchange.payload, content, fields, max_tokens=max_tokens, numbered=numbered)
    counted = usage_of(exchange.payload, built) if usage is True else usage or None
    if not exchange.wants_stream:
        whole = {"id": top["id"], "object": "chat.completion", **top, "choices": [choice.whole() for choice in built]}
        return exchange.respond(whole if counted is None else {**whole, "usage": counted})
    # Choices take turns, as the chunks of several choices do on the wire.
    turns = zip_longest(*(choice.chunks(top) for choice in built))
    frames = [frame for turn in turns for frame in turn if frame is not None]
    if counted is not None and lenient.mapping(exchange.payload.get("stream_options")).get("include_usage") is True:
        # The usage has a frame of its own, without choices, and only where it was asked for (WIRE.md 3.3, item 3).
        frames.append({**chunk(None, **top), "choices": [], "usage": dict(counted)})
    return await send_events(exchange, frames, delay=token_delay)


async def send_events(
    exchange: Exchange, frames: Iterable[Frame], *, done: bool = True, delay: float | None = None
) -> web.StreamResponse:
    """Answer with an event stream, as ``streams`` does, in pieces of the server's ``piece_bytes``, at its pace."""
    stage = exchange.stage
    pace = stage.token_delay if delay is None else delay
    return await streams(frames, chunk_sizes=stage.piece_bytes, delay=pace, done=done).play(exchange)


def event(fields: Mapping[str, Any], name: str | None = None) -> bytes:
    """Build one typed event for ``streams``: an ``event:`` line and the object in its ``data:`` line.

    Args:
        fields: The object.
        name: The event's name; None means the object's ``type``.
    """
    named = name if name is not None else str(fields.get("type", "message"))
    return b"event: " + named.encode() + b"\n" + encode_frame(fields)


def encode_frame(frame: Frame) -> bytes:
    """Encode an object or a text as one event; bytes are returned as they are."""
    if isinstance(frame, bytes):
        return frame
    return b"data: " + (frame.encode() if isinstance(frame, str) else compact_json(frame)) + b"\n\n"


def media_type(image: bytes) -> str:
    """Return an image's media type by its first bytes; what is unknown is called PNG."""
    return image_mime(image[:HEAD_BYTES]) or "image/png"


async def _send_image(
    exchange: Exchange, image: bytes | str, form: str, *, note: str, zh: bool, fields: dict[str, Any]
) -> web.StreamResponse:
    if isinstance(image, bytes):
        url, data = exchange.stage.host(image), base64.b64encode(image).decode()
        inline = f"data:{media_type(image)};base64,{data}"
    else:
        url = data = inline = image
    if form == "data":
        # new-api writes both fields, the unused one empty (WIRE.md 1.9).
        listed = [{"url": url, "b64_json": "", "revised_prompt": ""}]
        model = exchange.payload.get("model", "")
        return exchange.respond({"created": int(time.time()), "model": model, "data": listed})
    name = url.rsplit("/", 1)[-1]
    part = {"type": "image_url", "index": 0, "image_url": {"url": inline, "detail": "auto"}}
    intro = "图像修改完成,请查看链接:" if zh else "The image is ready, see the link:"
    texts = {
        "url": f"{intro}{url}",
        "markdown": f"![{name}]({url})",
        "alt": f"![{url}]({url})",
        "link": f"[{'点击下载' if zh else 'click to download'}]({url})",
        "b64": f"![image]({inline})",
        "progress": _progress(url, name),
    }
    in_message: dict[str, Any] = {
        "images": {"images": [part]},
        "image": {"image": {"url": inline}},
        "raw_b64": {"images": [{**part, "image_url": {"url": data}}]},
    }
    content: str | list[dict[str, Any]] = "\n\n".join(filter(None, (note, texts.get(form, ""))))
    if form == "bare":
        content = url
    elif form == "parts":
        content = [{"type": "text", "text": content or intro}, part]
    return await send_chat(exchange, content, {**fields, **in_message.get(form, {})})


def _progress(url: str, name: str) -> str:
    """Write the log of a slow image job, as relays in front of image models stream it."""
    origin = url.rsplit("/", 1)[0]
    return (
        # The skeleton is that of WIRE.md 2.3: a fenced prologue, quoted lines, numbers run together, and the file
        # linked twice.
        f'```json\n{{\n  "prompt": "stand-in",\n  "ratio": "1:1",\n  "n": 1\n}}\n```\n\n'
        f"> ID: `task_01{name[:8]}`\n"
        f">[数据预览]({origin}/web/task_01) | [原始数据]({origin}/source/task_01)\n\n"
        ">🕐 排队中.\n\n>⚡ 生成中.....\n\n"
        f">🏃 进度 36..47..72..[100]({origin}/raw/abc)\n\n"
        "> ✅ 生成完成\n> sid: s_01\n\n"
        f"![{name}]({url})\n\n[点击下载]({origin}/download/{name})"
    )


def _cut(frames: Sequence[bytes], sizes: int | Sequence[int] | None) -> Iterator[bytes]:
    if sizes is None:
        yield from frames
        return
    data = b"".join(frames)
    lengths = [sizes] if isinstance(sizes, int) else list(sizes)
    start = 0
    while start < len(data):
        length = lengths.pop(0) if len(lengths) > 1 else lengths[0]
        yield data[start : start + length]
        start += length
