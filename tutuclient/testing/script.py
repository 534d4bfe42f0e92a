"""What the relay on loopback is told to answer, and what it notes of each request.

An answer is a small frozen object with one method, ``play(exchange)``: it is given the request and the bare
connection and does what its name says. ``says``, ``streams``, ``fails`` and the others make them; the faults are
more of the same kind. This room is glad not to know how a server is started, nor what a picture shows.
"""

import asyncio
import base64
import hashlib
import json
import re
import secrets
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Literal, Protocol, TypeVar

from aiohttp import hdrs, web
from multidict import CIMultiDictProxy, MultiMapping

from tutuclient.media.kinds import HEAD_BYTES, picture_mime
from tutuclient.testing import lenient
from tutuclient.testing.account import Account
from tutuclient.testing.form import Form, parse

KEPT_BODY_BYTES = 2**20
"""How much of a request's body ``Recorded`` keeps; its size and digest cover all of it."""

INLINE_BYTES = 64 * 2**10
"""Up to how long a request's body is worked on in the event loop; longer ones are a worker thread's."""

LONGEST_SILENCE_S = 60.0
"""When a silent or endless answer gives up although its client still waits, so that no test runs away."""

PICTURE_FORMS = (
    "url", "bare", "markdown", "alt", "link", "b64", "images", "image", "parts", "raw_b64", "data", "progress",
)  # fmt: skip
"""The ways in which relays hand over a picture; ``draws`` says what each looks like."""

Then = Literal["end", "fin", "reset", "hang"]

_CJK = "\u3000-\u9fff\uff00-\uffef"
_TOKEN = re.compile(rf"\s*(?:\.\.\d+|[{_CJK}]|[^\s.{_CJK}]+|\.)|\s+")
_TOP_FIELDS = frozenset({"id", "object", "created", "model", "system_fingerprint", "service_tier"})
_NO_LINGER = struct.pack("ii", 1, 0)
_AUDIO_PIECE = 2**15  # Characters of base64: whole samples, so that each piece decodes by itself.
_MOST_CHOICES = 16

T = TypeVar("T")


@dataclass(eq=False)
class Recorded:
    """One request as the server saw it.

    Attributes:
        index: Its place in ``server.requests`` (or ``server.downloads``), from 0.
        method: The HTTP method.
        path: The decoded path, without the query.
        query: The query's fields.
        headers: The headers; names in any case.
        connection: A number for the TCP connection, so that two requests on one connection can be told.
        started_at: When its headers had arrived, on ``time.monotonic()``.
        body: The first 1 MiB of its body.
        size_bytes: The length of the whole body, as far as it was read.
        sha256: The digest of the whole body in hex, as far as it was read.
        form: The fields and files of a multipart form, each file's first 1 MiB; empty for all other bodies.
        finished: Whether the answer was written to its end.
        aborted: Whether the client went away before that.
    """

    index: int
    method: str
    path: str
    query: MultiMapping[str]
    headers: CIMultiDictProxy[str] = field(repr=False)
    connection: int
    started_at: float = field(default_factory=time.monotonic)
    body: bytes = field(default=b"", repr=False)
    size_bytes: int = 0
    sha256: str = hashlib.sha256().hexdigest()
    form: Form = field(default=Form(), repr=False)
    finished: bool = False
    aborted: bool = False

    @property
    def json(self) -> Any:
        """Decode the body.

        Raises:
            ValueError: It is no JSON, or longer than the 1 MiB that is kept.
        """
        if self.size_bytes > len(self.body):
            raise ValueError(f"only {len(self.body)} of the body's {self.size_bytes} bytes were kept")
        return json.loads(self.body)


class Stage(Protocol):
    """What an answer may ask of the server around it."""

    origin: str
    token_delay: float
    piece_bytes: int | None
    picture_form: str
    models_form: str
    account: Account

    def host(self, data: bytes, name: str | None = None) -> str:
        """Keep a picture and return the address it can be fetched from."""
        ...

    def fetch(self, url: str) -> bytes | None:
        """Give the picture behind an address of this server; None for all others."""
        ...

    async def work(self, job: Callable[[], T]) -> T:
        """Run in a worker thread what would hold up the event loop."""
        ...

    async def think(self, exchange: "Exchange") -> web.StreamResponse:
        """Answer as though nothing had been scripted."""
        ...


class Exchange:
    """One request being answered: what was asked, and the connection it came on.

    An answer either returns a response of ``aiohttp.web``, or writes bytes of its own with ``send`` and returns
    ``sent()``.
    """

    def __init__(self, request: web.BaseRequest, recorded: Recorded, stage: Stage, max_body_bytes: int) -> None:
        self.request = request
        self.recorded = recorded
        self.stage = stage
        self.request_id: str = f"{datetime.now(UTC):%Y%m%d%H%M%S%f}000{secrets.token_hex(4)}"
        self.body: bytes = b""
        self.model = ""
        self.ended_here: bool = False
        self._max_body_bytes = max_body_bytes
        self._decoded: tuple[dict[str, Any], str | None] | None = None
        self._form: tuple[Form, str | None] | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """The body's JSON object; empty when it is none."""
        return self.decode()[0]

    @property
    def broken_json(self) -> str | None:
        """What is wrong with the body as JSON, if anything."""
        return self.decode()[1]

    def decode(self) -> tuple[dict[str, Any], str | None]:
        """Decode the body once; a long one is better decoded in a worker thread."""
        if self._decoded is None:
            try:
                self._decoded = lenient.mapping(json.loads(self.body)), None
            except (ValueError, RecursionError) as error:
                self._decoded = {}, f"invalid JSON body: {error}"
        return self._decoded

    @property
    def form(self) -> Form:
        """The body's fields and files; empty when it is no form."""
        return self.decode_form()[0]

    @property
    def broken_form(self) -> str | None:
        """What is wrong with the body as a form, if anything."""
        return self.decode_form()[1]

    def decode_form(self) -> tuple[Form, str | None]:
        """Take a form apart once and record it; a long one is better taken apart in a worker thread."""
        if self._form is None:
            try:
                self._form = parse(self.request.headers.get(hdrs.CONTENT_TYPE, ""), self.body), None
            except ValueError as error:
                self._form = Form(), str(error)
            self.recorded.form = self._form[0].shortened()
        return self._form

    @property
    def wants_stream(self) -> bool:
        """Whether the request asks for an event stream."""
        return self.payload.get("stream") is True

    async def read_body(self) -> bool:
        """Read the request's body and note its size and digest; say whether it was within the server's limit."""
        recorded, digest = self.recorded, hashlib.sha256()
        pieces: list[bytes] = []
        async for piece in self.request.content.iter_any():
            digest.update(piece)
            pieces.append(piece)
            recorded.size_bytes += len(piece)
            recorded.sha256 = digest.hexdigest()
            if len(recorded.body) < KEPT_BODY_BYTES:
                recorded.body += piece[: KEPT_BODY_BYTES - len(recorded.body)]
            if recorded.size_bytes > self._max_body_bytes:
                return False
        self.body = b"".join(pieces)
        return True

    def respond(
        self,
        body: object,
        *,
        status: int = 200,
        content_type: str = "application/json; charset=utf-8",
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        """Make a whole answer; a body that is not bytes becomes JSON."""
        data = body if isinstance(body, bytes) else _compact(body)
        return web.Response(status=status, body=data, headers=self._headers(content_type, headers))

    def error(
        self,
        status: int,
        message: str,
        *,
        code: object = None,
        type: str = "new_api_error",  # noqa: A002 - the wire's own name.
        param: str | None = "",
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        """Make an error answer in the envelope and with the words of new-api."""
        error = {"message": f"{message} (request id: {self.request_id})", "type": type, "param": param, "code": code}
        return self.respond({"error": error}, status=status, headers=headers)

    async def open_stream(
        self, content_type: str = "text/event-stream", headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """Send the head of a chunked answer; write pieces to what is returned."""
        extra = {hdrs.CACHE_CONTROL: "no-cache", "X-Accel-Buffering": "no", **(headers or {})}
        response = web.StreamResponse(headers=self._headers(content_type, extra))
        await response.prepare(self.request)
        return response

    async def send(self, data: bytes) -> None:
        """Write bytes to the bare connection, at the client's pace.

        Raises:
            ConnectionResetError: The client is gone.
        """
        transport = self.request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(data)
        await self.request.writer.drain()

    async def silence(self, seconds: float = LONGEST_SILENCE_S) -> None:
        """Say nothing until the client leaves (which cancels this), at most for so many seconds."""
        await asyncio.sleep(min(seconds, LONGEST_SILENCE_S))

    def fin(self) -> web.StreamResponse:
        """Close the connection after what was written."""
        self.ended_here = True
        if self.request.transport is not None:
            self.request.transport.close()
        return self.sent()

    def reset(self) -> web.StreamResponse:
        """Reset the connection: RST instead of FIN."""
        self.ended_here = True
        transport = self.request.transport
        if transport is not None:
            reset(transport)
        return self.sent()

    def sent(self, *, keep_alive: bool = False) -> web.StreamResponse:
        """Tell aiohttp that the answer has been written already."""
        return _Sent(keep_alive=keep_alive)

    def _headers(self, content_type: str, extra: Mapping[str, str] | None) -> dict[str, str]:
        return {hdrs.CONTENT_TYPE: content_type, "X-Oneapi-Request-Id": self.request_id, **(extra or {})}


class _Sent(web.StreamResponse):
    """A response whose bytes are on their way already."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._kept = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._kept

    async def prepare(self, request: web.BaseRequest) -> None:  # noqa: ARG002  (aiohttp's signature)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        pass


class Answer(Protocol):
    """Something that answers one request."""

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        """Answer the request of this exchange."""
        ...


Scripted = Answer | Callable[[Recorded], Answer]
"""An answer, or a function that picks one after looking at the request (its body is read by then)."""


@dataclass(frozen=True)
class _Choice:
    """One of the answers to a chat, before it is sent whole or in deltas."""

    index: int
    pieces: Sequence[object]
    content: object
    message: Mapping[str, Any]
    finish: object
    top_logprobs: int | None

    def whole(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "message": {"role": "assistant", "content": self.content, "refusal": None, **self.message},
            "logprobs": self._logprobs(self.pieces),
            "finish_reason": self.finish,
        }

    def frames(self, top: Mapping[str, Any]) -> list[dict[str, Any]]:
        first = None if self.content is None else ""
        frames = [chunk(None, index=self.index, **top, role="assistant")]
        frames[0]["choices"][0]["delta"]["content"] = first
        frames += [chunk(None, index=self.index, **top, **delta) for delta in _message_deltas(self.message)]
        for piece in self.pieces:
            frames.append(chunk(piece, index=self.index, **top))
            frames[-1]["choices"][0]["logprobs"] = self._logprobs([piece])
        frames.append(chunk(None, index=self.index, finish_reason=self.finish, **top))
        return frames

    def _logprobs(self, pieces: Sequence[object]) -> dict[str, Any] | None:
        if self.top_logprobs is None:
            return None
        all_tokens = [each for each in self.pieces if isinstance(each, str)]
        tokens = [each for each in pieces if isinstance(each, str)]
        return {"content": [logprob(each, all_tokens, self.top_logprobs) for each in tokens], "refusal": None}


@dataclass(frozen=True)
class Says:
    """A chat completion with a text of its own, whole or streamed as the request asks."""

    content: str | list[dict[str, Any]] | None
    delay: float = 0.0
    token_delay: float | None = None
    usage: bool | Mapping[str, Any] = True
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    max_tokens: int | None = None
    numbered: bool = False

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        """Answer with the text."""
        if self.delay:
            await asyncio.sleep(self.delay)
        top = {
            "id": f"chatcmpl-{exchange.request_id}",
            "created": int(time.time()),
            "model": exchange.payload.get("model", ""),
            **{name: value for name, value in self.fields.items() if name in _TOP_FIELDS},
        }
        count = lenient.integer(exchange.payload.get("n")) or 1
        choices = [
            self._choice(index, exchange.payload) for index in range(count if 1 <= count <= _MOST_CHOICES else 1)
        ]
        usage = _usage(exchange, choices) if self.usage is True else self.usage or None
        if exchange.wants_stream:
            return await self._stream(exchange, choices, top=top, usage=usage)
        whole = {
            "id": top.pop("id"),
            "object": "chat.completion",
            **top,
            "choices": [choice.whole() for choice in choices],
        }
        if usage is not None:
            whole["usage"] = usage
        return exchange.respond(whole)

    def _choice(self, index: int, payload: Mapping[str, Any]) -> _Choice:
        message = {n: v for n, v in self.fields.items() if n not in _TOP_FIELDS and n != "finish_reason"}
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        finish = self.fields.get("finish_reason", "function_call" if message.get("function_call") else finish)
        content: object = self.content
        pieces: Sequence[object] = [] if content is None else [content]
        if isinstance(content, str):
            content = f"(Choice {index + 1}) {content}" if self.numbered and index else content
            pieces = tokens(content)
            if self.max_tokens is not None and len(pieces) > self.max_tokens:
                pieces, finish = pieces[: self.max_tokens], "length"
            content = "".join(map(str, pieces))
        top_logprobs = min(max(lenient.integer(payload.get("top_logprobs")) or 0, 0), 20)
        return _Choice(
            index, pieces, content, message, finish, top_logprobs if payload.get("logprobs") is True else None
        )

    async def _stream(
        self, exchange: Exchange, choices: Sequence[_Choice], *, top: dict[str, Any], usage: Mapping[str, Any] | None
    ) -> web.StreamResponse:
        # Choices take turns, as the pieces of several answers do on the wire.
        turns = zip_longest(*(choice.frames(top) for choice in choices))
        frames = [frame for turn in turns for frame in turn if frame is not None]
        options = lenient.mapping(exchange.payload.get("stream_options"))
        if usage is not None and options.get("include_usage") is True:
            frames.append({**chunk(None, **top), "choices": [], "usage": dict(usage)})
        delay = exchange.stage.token_delay if self.token_delay is None else self.token_delay
        return await Streams(frames, chunk_sizes=exchange.stage.piece_bytes, delay=delay).play(exchange)


@dataclass(frozen=True)
class Raw:
    """Status, headers and bytes as they are."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    delay: float = 0.0

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        """Answer with exactly this."""
        if self.delay:
            await asyncio.sleep(self.delay)
        headers = dict(self.headers)
        given = next((name for name in headers if name.lower() == "content-type"), None)
        content_type = headers.pop(given) if given is not None else "application/json"
        return exchange.respond(self.body, status=self.status, content_type=content_type, headers=headers)


@dataclass(frozen=True)
class Fails:
    """An error in the envelope of new-api."""

    status: int
    message: str
    code: object = None
    type: str = "new_api_error"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    param: str | None = ""

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        """Answer with the error."""
        if self.delay:
            await asyncio.sleep(self.delay)
        return exchange.error(
            self.status, self.message, code=self.code, type=self.type, param=self.param, headers=self.headers
        )


@dataclass(frozen=True)
class Streams:
    """An event stream, frame by frame or in pieces of chosen lengths."""

    frames: Sequence[Mapping[str, Any] | bytes | str]
    chunk_sizes: int | Sequence[int] | None = None
    delay: float = 0.0
    done: bool = True
    content_type: str = "text/event-stream"
    then: Then = "end"
    pause: float = 0.02
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        """Send the frames, then do what ``then`` says."""
        response = await exchange.open_stream(self.content_type, self.headers)
        encoded = [encode_frame(frame) for frame in self.frames] + [b"data: [DONE]\n\n"] * self.done
        for piece in _cut(encoded, self.chunk_sizes):
            await response.write(piece)
            if self.delay:
                await asyncio.sleep(self.delay)
        return await self._finish(exchange, response)

    async def _finish(self, exchange: Exchange, response: web.StreamResponse) -> web.StreamResponse:
        if self.then == "end":
            await response.write_eof()
            return response
        if self.then == "hang":
            await exchange.silence()
            return exchange.fin()
        # What was written must have been read before the cut, or a client may rightly drop it.
        await asyncio.sleep(self.pause)
        return exchange.reset() if self.then == "reset" else exchange.fin()


@dataclass(frozen=True)
class Draws:
    """A chat answer that carries a picture."""

    picture: bytes | str
    form: str | None = None
    note: str = ""
    language: str = "zh"
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    delay: float = 0.0

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        """Hand the picture over in the asked form: the answer's own, else the request's, else the server's."""
        asked = exchange.payload.get("image_format")
        form = self.form or (asked if asked in PICTURE_FORMS else exchange.stage.picture_form)
        if isinstance(self.picture, bytes):
            url, data = exchange.stage.host(self.picture), base64.b64encode(self.picture).decode()
            inline = f"data:{media_type(self.picture)};base64,{data}"
        else:
            url = data = inline = self.picture
        name = url.rsplit("/", 1)[-1]
        part = {"type": "image_url", "index": 0, "image_url": {"url": inline, "detail": "auto"}}
        if form == "data":
            return exchange.respond(
                {
                    "created": int(time.time()),
                    "model": exchange.payload.get("model", ""),
                    "data": [{"url": url, "b64_json": "", "revised_prompt": ""}],
                }
            )
        intro = "图像修改完成,请查看链接:" if self.language == "zh" else "The picture is ready, see the link:"
        texts = {
            "url": f"{intro}{url}",
            "markdown": f"![{name}]({url})",
            "alt": f"![{url}]({url})",
            "link": f"[{'点击下载' if self.language == 'zh' else 'click to download'}]({url})",
            "b64": f"![image]({inline})",
            "progress": _progress(url, name),
        }
        fields = dict(self.fields)
        content: str | list[dict[str, Any]] = "\n\n".join(filter(None, (self.note, texts.get(form, ""))))
        if form == "bare":
            content = url
        elif form == "images":
            fields["images"] = [part]
        elif form == "image":
            fields["image"] = {"url": inline}
        elif form == "raw_b64":
            fields["images"] = [{**part, "image_url": {"url": data}}]
        elif form == "parts":
            content = [{"type": "text", "text": content or intro}, part]
        return await Says(content, delay=self.delay, fields=fields).play(exchange)


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
    return Says(text, delay=delay, token_delay=token_delay, usage=usage, fields=fields)


def raw(
    status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None, *, delay: float = 0.0
) -> Answer:
    """Answer with this status, body and headers (``application/json`` unless they say otherwise)."""
    return Raw(status, body, headers or {}, delay)


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
    return Fails(status, message, code, type, headers or {}, delay, param)


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
    given: dict[str, str] = {} if retry_after is None else {hdrs.RETRY_AFTER: str(retry_after)}
    return Fails(429, message, code="rate_limit_exceeded", headers={**given, **(headers or {})})


def streams(
    frames: Iterable[Mapping[str, Any] | bytes | str],
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
    return Streams(tuple(frames), chunk_sizes, delay, done, content_type, then, pause)


def draws(
    picture: bytes | str | None = None,
    *,
    form: str | None = None,
    note: str = "",
    language: str = "zh",
    delay: float = 0.0,
    **fields: Any,
) -> Answer:
    """Answer with a picture, as an image model behind a relay does.

    Args:
        picture: The picture's bytes (the server hosts them), an address to send as it is, or None for a PNG of one
            orange pixel.
        form: One of ``PICTURE_FORMS``; None means the request's ``image_format``, else ``server.picture_form``.
            ``url`` glues the address to a sentence; ``bare`` is the address alone; ``markdown`` is ``![name](url)``;
            ``alt`` has the address in the alternative text too; ``link`` is a download link; ``b64`` is markdown with
            a data URI; ``images`` and ``image`` are fields of the message; ``raw_b64`` is ``images`` without the
            ``data:`` prefix; ``parts`` makes the content a list; ``data`` is the shape of the images endpoints;
            ``progress`` is the whole log of a slow job.
        note: A text before the picture.
        language: ``"zh"`` or ``"en"``, for the words around the picture.
        delay: Seconds before the first byte.
        **fields: Further fields, as for ``says``.

    Raises:
        ValueError: There is no such form.
    """
    if form is not None and form not in PICTURE_FORMS:
        raise ValueError(f"no picture form {form!r}; there are {', '.join(PICTURE_FORMS)}")
    return Draws(_ORANGE_PIXEL if picture is None else picture, form, note, language, fields, delay)


def sends(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None, delay: float = 0.0) -> Answer:
    """Answer with a value as JSON: an embedding, a list of pictures, a balance, whatever the endpoint is.

    Args:
        value: The body, before it becomes JSON.
        status: The HTTP status.
        headers: Further headers; a ``Content-Type`` among them replaces ``application/json``.
        delay: Seconds before the first byte.
    """
    return Raw(status, _compact(value), headers or {}, delay)


def event(fields: Mapping[str, Any], name: str | None = None) -> bytes:
    """Make one typed event for ``streams``: an ``event:`` line and the object in its ``data:`` line.

    Args:
        fields: The object.
        name: The event's name; None means the object's ``type``.
    """
    named = name if name is not None else str(fields.get("type", "message"))
    return b"event: " + named.encode() + b"\n" + encode_frame(fields)


def chunk(content: object = None, *, index: int = 0, finish_reason: object = None, **fields: Any) -> dict[str, Any]:
    """Make one ``chat.completion.chunk`` object for ``streams``.

    Args:
        content: The delta's content; None leaves it out.
        index: The choice's index.
        finish_reason: The choice's reason to end, on its last chunk.
        **fields: ``id``, ``created``, ``model`` and the like replace the chunk's own; all others join the delta.
    """
    delta = {name: value for name, value in fields.items() if name not in _TOP_FIELDS}
    if content is not None:
        delta["content"] = content
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "scripted",
        **{name: value for name, value in fields.items() if name in _TOP_FIELDS},
        "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
    }


def encode_frame(frame: Mapping[str, Any] | bytes | str) -> bytes:
    """Make one event of an object or a text; leave bytes alone."""
    if isinstance(frame, bytes):
        return frame
    return b"data: " + (frame.encode() if isinstance(frame, str) else _compact(frame)) + b"\n\n"


def media_type(picture: bytes) -> str:
    """Name a picture's media type by its first bytes."""
    return picture_mime(picture[:HEAD_BYTES]) or "image/png"


def reset(transport: asyncio.BaseTransport) -> None:
    """Close a connection with RST: SO_LINGER with no time to linger."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    if isinstance(transport, asyncio.Transport):
        transport.abort()


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def tokens(text: str) -> list[str]:
    """Cut a text into what a model might call tokens; joined they are the text again."""
    return _TOKEN.findall(text)


def logprob(token: str, others: Sequence[str], top: int) -> dict[str, Any]:
    """Describe a token as an answer with ``logprobs`` does; the same token has the same figure.

    Args:
        token: The token.
        others: The tokens of the whole answer, from which the less likely ones are taken.
        top: How many of the likeliest tokens to list, itself first.
    """
    own = -round(hashlib.sha256(token.encode("utf-8", "replace")).digest()[0] / 400, 4)
    rivals = [each for each in dict.fromkeys(others) if each != token]
    ranked = [(token, own), *((each, round(own - 1.5 - place, 4)) for place, each in enumerate(rivals))][:top]
    listed = [{"token": each, "bytes": _bytes(each), "logprob": value} for each, value in ranked]
    return {"token": token, "bytes": _bytes(token), "logprob": own, "top_logprobs": listed}


def _bytes(token: str) -> list[int]:
    return list(token.encode("utf-8", "surrogatepass"))


def _message_deltas(message: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Cut a message's fields into deltas: what grows in pieces, all others at once."""
    at_once = dict(message)
    calls, audio = at_once.pop("tool_calls", None), at_once.pop("audio", None)
    thoughts = {name: at_once.pop(name) for name in ("reasoning_content", "reasoning") if at_once.get(name)}
    if at_once:
        yield at_once
    for name, thought in thoughts.items():
        yield from ({name: piece} for piece in (tokens(thought) if isinstance(thought, str) else [thought]))
    for place, call in enumerate(lenient.objects(calls)):
        yield from _call_deltas(place, call)
    if audio is not None:
        yield from ({"audio": piece} for piece in _audio_pieces(lenient.mapping(audio)))


def _call_deltas(place: int, call: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Send a call's name first and what it is called with in pieces after it."""
    for kind, grows in (("function", "arguments"), ("custom", "input")):
        inner = lenient.mapping(call.get(kind))
        written = inner.get(grows)
        if isinstance(written, str):
            yield {"tool_calls": [{"index": place, **call, kind: {**inner, grows: ""}}]}
            cuts = range(0, len(written), 12)
            yield from (
                {"tool_calls": [{"index": place, kind: {grows: written[start : start + 12]}}]} for start in cuts
            )
            return
    yield {"tool_calls": [{"index": place, **call}]}


def _audio_pieces(audio: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    data, transcript = str(audio.get("data", "")), str(audio.get("transcript", ""))
    yield {"id": audio.get("id")}
    yield from ({"transcript": piece} for piece in tokens(transcript))
    yield from ({"data": data[start : start + _AUDIO_PIECE]} for start in range(0, len(data), _AUDIO_PIECE))
    yield {"expires_at": audio.get("expires_at")}


def _cut(frames: Sequence[bytes], sizes: int | Sequence[int] | None) -> Iterable[bytes]:
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


def prompt_tokens(payload: Mapping[str, Any]) -> int:
    """Count a chat's tokens as this stand-in does: one a word or CJK character, 85 a picture or sound."""
    counted = 0
    for message in lenient.objects(payload.get("messages")):
        content = message.get("content")
        for part in [content] if isinstance(content, str) else lenient.array(content):
            text = part if isinstance(part, str) else lenient.mapping(part).get("text")
            if isinstance(text, str):
                counted += len(tokens(text))
            elif isinstance(part, dict):
                counted += 85
    return counted


def _usage(exchange: Exchange, choices: Sequence[_Choice]) -> dict[str, Any]:
    """Count what was said, thought and called; new-api adds 7 a call."""
    said = sum(len(choice.pieces) for choice in choices)
    message = choices[0].message
    thought = message.get("reasoning_content")
    reasoning = len(tokens(thought)) * len(choices) if isinstance(thought, str) else 0
    spoken = message.get("audio")
    audio = len(tokens(str(lenient.mapping(spoken).get("transcript", "")))) * 4 * len(choices) if spoken else 0
    calls = [each.get("function", each.get("custom")) for each in lenient.objects(message.get("tool_calls"))]
    called = sum(7 + len(tokens(str(lenient.mapping(call)))) for call in calls) * len(choices)
    prompt, completion = prompt_tokens(exchange.payload), said + reasoning + audio + called
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if reasoning or audio:
        usage["completion_tokens_details"] = {
            "reasoning_tokens": reasoning,
            "audio_tokens": audio,
            "text_tokens": completion - reasoning - audio,
        }
    return usage


def _progress(url: str, name: str) -> str:
    """Write the log of a slow image job, as relays in front of image models stream it."""
    origin = url.rsplit("/", 1)[0]
    return (
        f'```json\n{{\n  "prompt": "stand-in",\n  "ratio": "1:1",\n  "n": 1\n}}\n```\n\n'
        f"> ID: `task_01{name[:8]}`\n"
        f">[数据预览]({origin}/web/task_01) | [原始数据]({origin}/source/task_01)\n\n"
        ">🕐 排队中.\n\n>⚡ 生成中.....\n\n"
        f">🏃 进度 36..47..72..[100]({origin}/raw/abc)\n\n"
        "> ✅ 生成完成\n> sid: s_01\n\n"
        f"![{name}]({url})\n\n[点击下载]({origin}/download/{name})"
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_ORANGE_PIXEL = (
    b"\x89PNG\r\n\x1a\n"
    + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _png_chunk(b"IDAT", zlib.compress(b"\0\xf0\x8a\x28"))
    + _png_chunk(b"IEND", b"")
)
