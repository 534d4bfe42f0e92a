"""What can go wrong between a client and a relay, every fault by a name, to be played on loopback.

``FAULTS`` lists them. Those of the group "connecting" need no HTTP and are played by ``raw_server``; all others by
``server.faults(name)`` on a server that otherwise behaves. Endless things are made piece by piece, wait for the
client to read, and stop when it leaves or at ``MOST_BYTES`` and ``LONGEST_SILENCE_S``. This room is glad not to know
what a client should make of any of it.
"""

import asyncio
import contextlib
import inspect
import json
import math
import random
import socket
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import repeat
from types import TracebackType
from typing import Any, Self

from aiohttp import hdrs, web

from tutuclient.testing.answers import Says, Streams, chunk, encode_frame
from tutuclient.testing.certificate import self_signed
from tutuclient.testing.exchange import LONGEST_SILENCE_S, Answer, Exchange, reset

MOST_BYTES = 512 * 2**20
"""Where an endless answer ends after all."""

TEXT = "one two three four five six"
"""What the answers say that a fault then spoils; in streams a word a delta."""

RETRY_AFTER_SHAPES: Mapping[str, Mapping[str, str]] = {
    "seconds": {"Retry-After": "1"},
    "float": {"Retry-After": "0.25"},
    "ms": {"retry-after-ms": "250"},
    "date": {"Retry-After": "{soon}"},
    "past": {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"},
    "zero": {"Retry-After": "0"},
    "negative": {"Retry-After": "-5"},
    "empty": {"Retry-After": ""},
    "words": {"Retry-After": "in a little while"},
    "nan": {"Retry-After": "NaN"},
    "inf": {"Retry-After": "inf"},
    "digits": {"Retry-After": "9" * 400},
    "list": {"Retry-After": "1, 2, 3"},
    "hour": {"Retry-After": "3600"},
}
"""Headers that ask for a wait, well and badly, for ``faults("status", retry_after_shape=…)``; the date is in 2 s."""

Play = Callable[..., Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Fault:
    """A fault with a name.

    Attributes:
        name: What ``server.faults`` and ``raw_server`` know it by.
        group: "connecting", "before the answer", "body", "stream", "status" or "reuse".
        description: One line on what happens.
        options: What it can be told, with the defaults.
        reads_body: Whether the request's body is read before it begins.
    """

    name: str
    group: str
    description: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reads_body: bool = True
    play: Play | None = field(default=None, repr=False)


FAULTS: dict[str, Fault] = {}
"""Every fault by its name."""


@dataclass(frozen=True)
class _Planned:
    """A fault with its options, queued for a request."""

    fault: Fault
    options: Mapping[str, Any]

    @property
    def reads_body(self) -> bool:
        return self.fault.reads_body

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        if self.fault.play is None:
            raise ValueError(f"the fault {self.fault.name!r} is one of connecting: play it with raw_server")
        return await self.fault.play(exchange, **self.options)


def answer(name: str, **options: Any) -> Answer:
    """Make the answer that plays a fault.

    Args:
        name: Its name in ``FAULTS``.
        **options: Some of its options.

    Raises:
        ValueError: There is no such fault or option, or ``raw_server`` is needed for it.
    """
    fault = _known(name, options)
    if fault.play is None:
        raise ValueError(f"the fault {name!r} is one of connecting: play it with raw_server({name!r})")
    return _Planned(fault, options)


def _known(name: str, options: Mapping[str, Any]) -> Fault:
    fault = FAULTS.get(name)
    if fault is None:
        raise ValueError(f"no fault {name!r}; there are {', '.join(FAULTS)}")
    if strange := sorted(set(options) - set(fault.options)):
        known = ", ".join(fault.options) or "none"
        raise ValueError(f"the fault {name!r} has no option {strange[0]!r}; its options: {known}")
    return fault


def _add(name: str, group: str, description: str, play: Play, *, reads_body: bool = True) -> None:
    parameters = inspect.signature(play).parameters.values()
    options = {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
    FAULTS[name] = Fault(name, group, description, options, reads_body, play)


def _fault(group: str, *, reads_body: bool = True) -> Callable[[Play], Play]:
    """Register a function as the fault of its name; its docstring's first line describes it."""

    def register(play: Play) -> Play:
        description = inspect.getdoc(play) or ""
        _add(getattr(play, "__name__", "").lstrip("_"), group, description.splitlines()[0], play, reads_body=reads_body)
        return play

    return register


# --- Pieces ----------------------------------------------------------------------------------------------------------


def _completion(text: str = TEXT, **replaced: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-fault",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "faulty",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9},
        **replaced,
    }


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _head(exchange: Exchange, *lines: str, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    """Write a header block by hand; ``lines`` decide how the body is framed."""
    block = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {content_type}",
        f"X-Oneapi-Request-Id: {exchange.request_id}",
        *lines,
    ]
    return "\r\n".join([*block, "", ""]).encode("latin-1")


def _length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


def _words(number: int | None = None) -> list[str]:
    words = TEXT.split(" ")
    deltas = [words[0], *(f" {word}" for word in words[1:])]
    return deltas if number is None else [deltas[place % len(deltas)] for place in range(number)]


def _deltas(number: int | None = None) -> list[dict[str, Any]]:
    """Make the first chunks of a good stream: the role, then so many words (None: all of ``TEXT``)."""
    return [chunk("", role="assistant"), *(chunk(word) for word in _words(number))]


_STOP = chunk(finish_reason="stop")
_DONE = b"data: [DONE]\n\n"


async def _send_all(exchange: Exchange, pieces: Iterable[bytes]) -> None:
    """Send pieces while the client reads, up to ``MOST_BYTES``."""
    left = MOST_BYTES
    for piece in pieces:
        if (left := left - len(piece)) < 0:
            break
        await exchange.send(piece)
        # Draining an empty buffer does not yield, and a client that left must be noticed.
        await asyncio.sleep(0)


def _chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)


def _gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=9, wbits=31)
    for piece in pieces:
        # Flushed, so that no more than a piece at a time holds the loop.
        yield packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def _zeros(size: int, unit: bytes = b" " * 2**20) -> Iterator[bytes]:
    for start in range(0, size, len(unit)):
        yield unit[: size - start]


async def _raw_stream(exchange: Exchange, pieces: Iterable[bytes], *lines: str) -> None:
    """Send an event stream by hand, chunked, without its last chunk."""
    head = _head(exchange, "Transfer-Encoding: chunked", *lines, content_type="text/event-stream")
    await exchange.send(head)
    await _send_all(exchange, _chunked(pieces))


# --- Before the answer -----------------------------------------------------------------------------------------------


@_fault("before the answer")
async def no_answer(exchange: Exchange, *, seconds: float = LONGEST_SILENCE_S) -> web.StreamResponse:
    """The request is read and nothing is said (for ``seconds``, then FIN)."""
    await exchange.silence(seconds)
    return exchange.fin()


@_fault("before the answer")
async def reset_after_request(exchange: Exchange) -> web.StreamResponse:
    """RST after the request, no byte of an answer."""
    return exchange.reset()


@_fault("before the answer")
async def fin_after_request(exchange: Exchange) -> web.StreamResponse:
    """FIN after the request, no byte of an answer."""
    return exchange.fin()


@_fault("before the answer")
async def half_status_line(exchange: Exchange) -> web.StreamResponse:
    """``HTTP/1.1 20`` and FIN."""
    await exchange.send(b"HTTP/1.1 20")
    return exchange.fin()


@_fault("before the answer")
async def half_headers(exchange: Exchange) -> web.StreamResponse:
    """A status line, one header and a half, and FIN."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le")
    return exchange.fin()


@_fault("before the answer")
async def garbage(exchange: Exchange) -> web.StreamResponse:
    """Bytes that are no HTTP, and FIN."""
    await exchange.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not HTTP\r\n\r\n")
    return exchange.fin()


@_fault("before the answer")
async def two_lengths(exchange: Exchange) -> web.StreamResponse:
    """A good body under two Content-Length headers that differ."""
    body = _json(_completion())
    await exchange.send(_head(exchange, _length(body), f"Content-Length: {len(body) - 7}") + body)
    return exchange.fin()


@_fault("before the answer")
async def bad_chunk_size(exchange: Exchange, *, seconds: float = LONGEST_SILENCE_S) -> web.StreamResponse:
    """A chunk size that is no hexadecimal number, and then silence on the open connection (for ``seconds``)."""
    await exchange.send(_head(exchange, "Transfer-Encoding: chunked") + b"zz\r\n" + _json(_completion()) + b"\r\n")
    await exchange.silence(seconds)
    return exchange.fin()


@_fault("before the answer")
async def slow_headers(exchange: Exchange, *, seconds: float = 0.05) -> web.StreamResponse:
    """The header block byte by byte, ``seconds`` apart: slow-loris."""
    body = _json(_completion())
    for byte in _head(exchange, _length(body)) + body:
        await exchange.send(bytes([byte]))
        await asyncio.sleep(seconds)
    return exchange.fin()


@_fault("before the answer")
async def endless_headers(exchange: Exchange) -> web.StreamResponse:
    """Header after header, without end."""
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    await _send_all(exchange, repeat(b"X-Padding: " + b"a" * 1000 + b"\r\n"))
    return exchange.fin()


@_fault("before the answer")
async def huge_headers(exchange: Exchange, *, size: int = 2**20) -> web.StreamResponse:
    """One header of ``size`` bytes, and a good body."""
    body = _json(_completion())
    await exchange.send(_head(exchange, _length(body), f"X-Padding: {'a' * size}") + body)
    return exchange.fin()


@_fault("before the answer", reads_body=False)
async def early_413(exchange: Exchange, *, after: int = 2**16, seconds: float = 0.02) -> web.StreamResponse:
    """413 once ``after`` bytes of the body have come, and the connection closed ``seconds`` later, unread."""
    read = 0
    while read < after and (piece := await exchange.request.content.readany()):
        read += len(piece)
    exchange.recorded.size_bytes = read
    error = {"message": "http: request body too large", "type": "new_api_error", "code": "read_request_body_failed"}
    body = _json({"error": error})
    status = "413 Request Entity Too Large"
    await exchange.send(_head(exchange, _length(body), "Connection: close", status=status) + body)
    await asyncio.sleep(seconds)
    return exchange.fin()


# --- The body --------------------------------------------------------------------------------------------------------


@_fault("body")
async def short_body(exchange: Exchange, *, cut: int = 20) -> web.StreamResponse:
    """A body ``cut`` bytes shorter than its Content-Length, and FIN."""
    body = _json(_completion())
    await exchange.send(_head(exchange, _length(body)) + body[: len(body) - cut])
    return exchange.fin()


@_fault("body")
async def whole_json_but_short(exchange: Exchange, *, cut: int = 20) -> web.StreamResponse:
    """Whole JSON, but ``cut`` bytes fewer than its Content-Length promises, and FIN: it parses, and is cut."""
    body = _json(_completion())
    await exchange.send(_head(exchange, f"Content-Length: {len(body) + cut}") + body)
    return exchange.fin()


@_fault("body")
async def chunked_without_end(exchange: Exchange) -> web.StreamResponse:
    """Whole JSON in one chunk, but no last chunk, and FIN."""
    await exchange.send(_head(exchange, "Transfer-Encoding: chunked"))
    await _send_all(exchange, _chunked([_json(_completion())]))
    return exchange.fin()


@_fault("body")
async def reset_mid_body(exchange: Exchange, *, after: int = 40, pause: float = 0.02) -> web.StreamResponse:
    """``after`` bytes of the body and ``pause`` seconds later RST."""
    body = _json(_completion())
    await exchange.send(_head(exchange, _length(body)) + body[:after])
    await asyncio.sleep(pause)
    return exchange.reset()


@_fault("body")
async def stalled_body(
    exchange: Exchange, *, after: int = 40, seconds: float = LONGEST_SILENCE_S
) -> web.StreamResponse:
    """``after`` bytes of the body, and then silence (for ``seconds``, then FIN)."""
    body = _json(_completion())
    await exchange.send(_head(exchange, _length(body)) + body[:after])
    await exchange.silence(seconds)
    return exchange.fin()


@_fault("body")
async def gzip_cut(exchange: Exchange, *, cut: int = 12) -> web.StreamResponse:
    """A gzip body without its last ``cut`` bytes, under a Content-Length that fits what is sent."""
    body = b"".join(_gzip([_json(_completion())]))[:-cut]
    return exchange.respond(body, headers={hdrs.CONTENT_ENCODING: "gzip"})


@_fault("body")
async def gzip_label_on_plain(exchange: Exchange) -> web.StreamResponse:
    """Plain JSON under ``Content-Encoding: gzip``."""
    return exchange.respond(_completion(), headers={hdrs.CONTENT_ENCODING: "gzip"})


@_fault("body")
async def gzip_bomb(exchange: Exchange, *, size: int = 2**28) -> web.StreamResponse:
    """Some 1000 times as many blanks (``size`` bytes) as are sent, by gzip, and no JSON."""
    await exchange.send(_head(exchange, "Transfer-Encoding: chunked", "Content-Encoding: gzip"))
    await _send_all(exchange, _chunked(_gzip(_zeros(size))))
    await exchange.send(b"0\r\n\r\n")
    return exchange.sent(keep_alive=True)


@_fault("body")
async def endless_body(exchange: Exchange, *, size: int = MOST_BYTES) -> web.StreamResponse:
    """A JSON text that goes on for ``size`` bytes, and FIN."""
    await exchange.send(_head(exchange, "Transfer-Encoding: chunked"))
    start = _json(_completion())[:-2] + b', "padding": "'
    await _send_all(exchange, _chunked([start]))
    await _send_all(exchange, _chunked(_zeros(size, b"a" * 2**16)))
    return exchange.fin()


@_fault("body")
async def huge_error_body(exchange: Exchange, *, status: int = 500, size: int = 2**26) -> web.StreamResponse:
    """An error whose message has ``size`` bytes, with its Content-Length."""
    start, end = b'{"error":{"type":"new_api_error","code":"huge","message":"', b'"}}'
    length = len(start) + size + len(end)
    await exchange.send(_head(exchange, f"Content-Length: {length}", status=f"{status} Error"))
    await _send_all(exchange, [start])
    await _send_all(exchange, _zeros(size, b"a" * 2**16))
    await _send_all(exchange, [end])
    return exchange.sent(keep_alive=True)


@_fault("body")
async def html(exchange: Exchange, *, status: int = 200) -> web.StreamResponse:
    """A web page: the panel's with 200, a gateway's otherwise."""
    title = "New API" if status == 200 else f"{status} Gateway Time-out"  # noqa: PLR2004 - the status itself.
    page = f"<!doctype html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return exchange.respond(page.encode(), status=status, content_type="text/html; charset=utf-8")


@_fault("body")
async def sse_unasked(exchange: Exchange) -> web.StreamResponse:
    """A good event stream, whether or not one was asked for."""
    return await Streams([*_deltas(), _STOP]).play(exchange)


@_fault("body")
async def json_for_stream(exchange: Exchange) -> web.StreamResponse:
    """A whole completion as JSON, whether or not a stream was asked for."""
    return exchange.respond(_completion())


_LONE = _json(_completion("half \ud83d"))


def _nested(depth: int) -> bytes:
    return _json(_completion())[:-1] + b',"deep":' + b"[" * depth + b"]" * depth + b"}"


_BODIES: dict[str, tuple[bytes, str]] = {
    "empty_body": (b"", "200 with no body at all."),
    "plain_text": (b"upstream is busy, come back later", "Plain text that calls itself JSON."),
    "json_null": (b"null", "The JSON value null."),
    "json_list": (b"[1, 2, 3]", "A JSON list."),
    "json_string": (b'"hello"', "A JSON string."),
    "broken_json": (_json(_completion())[:-9], "JSON that breaks off, under a fitting Content-Length."),
    "two_objects": (_json(_completion()) * 2, "Two JSON objects back to back."),
    "error_behind_answer": (
        _json(_completion()) + _json({"error": {"message": "too late", "code": 500}}),
        "A whole completion, and an error object behind it.",
    ),
    "enveloped": (_json({"code": 200, "msg": "ok", "data": _completion()}), "A panel's envelope around a completion."),
    "wrong_types": (
        _json({"id": 7, "created": "soon", "choices": {"0": "no"}, "usage": "much", "model": []}),
        "Known fields of the wrong types.",
    ),
    "choices_missing": (_json({k: v for k, v in _completion().items() if k != "choices"}), "No ``choices``."),
    "choices_null": (_json(_completion(choices=None)), "``choices`` is null."),
    "choices_not_list": (_json(_completion(choices="none")), "``choices`` is a string."),
    "choices_empty": (_json(_completion(choices=[])), "``choices`` is an empty list."),
    "invalid_utf8": (_json(_completion("caf@")).replace(b"@", b"\xe9"), "A byte in the text that is no UTF-8."),
    "lone_surrogate": (_LONE, "Half of a surrogate pair, escaped, in the text."),
    "number_1e999": (_json(_completion(created=0)).replace(b'"created": 0', b'"created": 1e999'), "The number 1e999."),
    "nan": (_json(_completion(created=float("nan"))), "The number NaN."),
    "ok_with_error_object": (
        _json({"error": {"message": "No candidates returned", "type": "upstream_error", "param": "", "code": 500}}),
        "200 with an error object.",
    ),
    "ok_with_error_string": (_json({"error": "upstream gave up"}), "200 with an error that is a string."),
    "ok_with_code_msg": (_json({"code": 10013, "msg": "balance too low", "data": None}), "200 with ``code``, ``msg``."),
    "ok_with_detail": (_json({"detail": [{"loc": ["body"], "msg": "bad", "type": "value_error"}]}), "200, ``detail``."),
    "success_false": (_json({"success": False, "message": "无权进行此操作"}), "200 with ``success: false``."),
}  # fmt: skip


def _whole(body: bytes) -> Play:
    async def play(exchange: Exchange, *, status: int = 200) -> web.StreamResponse:
        return exchange.respond(body, status=status)

    return play


for _name, (_body, _description) in _BODIES.items():
    _add(_name, "body", _description, _whole(_body))


# What says no, or seems to, in vendors' and relays' own envelopes.
_EMPTY: dict[str, Any] = {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None}
_PROVIDER = {"message": "Provider returned error", "code": 502, "metadata": {"raw": "upstream fell over"}}
_VENDORS: dict[str, tuple[bytes, str]] = {
    "ok_with_base_resp": (_json(_EMPTY), "200 with MiniMax's ``base_resp`` of an empty account."),
    "ok_with_error_list": (_json([{"error": {"code": 503, "message": "overloaded"}}]), "200 with an error in a list."),
    "ok_with_task": (
        _json({"task_id": "t-1", "status": "submitted", "message": "任务已提交"}),
        "200 with a task that was taken on, in place of an answer.",
    ),
    "error_in_choice": (
        _json({"choices": [{"index": 0, "message": {"content": "one"}, "finish_reason": "error", "error": _PROVIDER}]}),
        "200 with half an answer and an error in its choice.",
    ),
}

for _name, (_body, _description) in _VENDORS.items():
    _add(_name, "body", _description, _whole(_body))


@_fault("status")
async def empty_account(exchange: Exchange, *, status: int = 429) -> web.StreamResponse:
    """An empty account in Moonshot's words, which come with the status of a rate limit."""
    inner = {"message": "Your account is suspended, please recharge", "type": "exceeded_current_quota_error"}
    return exchange.respond({"error": inner}, status=status)


@_fault("status")
async def page_in_gbk(exchange: Exchange, *, status: int = 403) -> web.StreamResponse:
    """A firewall's page in GBK."""
    page = "<html><head><title>您的请求被拦截</title></head></html>".encode("gbk")
    return exchange.respond(page, status=status, content_type="text/html; charset=gbk")


@_fault("body")
async def deep_nesting(exchange: Exchange, *, depth: int = 100_000) -> web.StreamResponse:
    """A completion with one more field: lists nested ``depth`` deep."""
    return exchange.respond(_nested(depth))


@_fault("body")
async def huge_integer(exchange: Exchange, *, digits: int = 5000) -> web.StreamResponse:
    """A completion whose ``created`` has ``digits`` digits."""
    return exchange.respond(_json(_completion(created=0)).replace(b'"created": 0', b'"created": ' + b"9" * digits))


# --- Streams ---------------------------------------------------------------------------------------------------------


@_fault("stream")
async def reset_mid_stream(exchange: Exchange, *, after: int = 3, pause: float = 0.02) -> web.StreamResponse:
    """``after`` deltas and ``pause`` seconds later RST."""
    return await Streams(_deltas(after), done=False, then="reset", pause=pause).play(exchange)


@_fault("stream")
async def fin_mid_stream(exchange: Exchange, *, after: int = 3, pause: float = 0.02) -> web.StreamResponse:
    """``after`` deltas and ``pause`` seconds later FIN, without the last HTTP chunk."""
    return await Streams(_deltas(after), done=False, then="fin", pause=pause).play(exchange)


@_fault("stream")
async def cut_in_event(exchange: Exchange, *, after: int = 3, cut: int = 25) -> web.StreamResponse:
    """``after`` deltas and ``cut`` bytes of the next event, then FIN without the last HTTP chunk."""
    half = encode_frame(chunk(" never"))[:cut]
    return await Streams([*_deltas(after), half], done=False, then="fin").play(exchange)


@_fault("stream")
async def stalled_stream(
    exchange: Exchange, *, after: int = 3, seconds: float = LONGEST_SILENCE_S
) -> web.StreamResponse:
    """``after`` deltas, and then silence (for ``seconds``, then FIN)."""
    return await _quiet(exchange, _deltas(after), seconds)


@_fault("stream")
async def silent_stream(exchange: Exchange, *, seconds: float = LONGEST_SILENCE_S) -> web.StreamResponse:
    """The head of a stream and no event (for ``seconds``, then FIN)."""
    return await _quiet(exchange, [], seconds)


@_fault("stream")
async def done_then_silence(exchange: Exchange, *, seconds: float = LONGEST_SILENCE_S) -> web.StreamResponse:
    """A good stream with [DONE], but the connection stays open and silent (for ``seconds``, then FIN)."""
    return await _quiet(exchange, [*_deltas(), _STOP, _DONE], seconds)


async def _quiet(exchange: Exchange, frames: list[Any], seconds: float) -> web.StreamResponse:
    response = await exchange.open_stream()
    for frame in frames:
        await response.write(encode_frame(frame))
    await exchange.silence(seconds)
    return exchange.fin()


@_fault("stream")
async def pings_forever(exchange: Exchange, *, seconds: float = 0.02, after: int = 0) -> web.StreamResponse:
    """``after`` deltas, and then a comment every ``seconds`` for ever."""
    response = await exchange.open_stream()
    for frame in _deltas(after) if after else []:
        await response.write(encode_frame(frame))
    for _ in range(int(LONGEST_SILENCE_S / max(seconds, 0.001))):
        await response.write(b": PING\n\n")
        await asyncio.sleep(seconds)
    return exchange.fin()


_ERROR = {"error": {"message": "upstream overloaded", "type": "server_error", "param": "", "code": "overloaded"}}
_PLAIN_STREAMS: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "clean_end_without_finish": (_deltas(3), {"done": False}, "Three deltas and a clean end: no reason, no [DONE]."),
    "finish_without_done": ([*_deltas(), _STOP], {"done": False}, "The whole text and its reason, but no [DONE]."),
    "done_without_finish": (_deltas(), {}, "The whole text and [DONE], but no finish_reason."),
    "done_unterminated": ([*_deltas(), _STOP, b"data: [DONE]"], {"done": False}, "[DONE] without a line end."),
    "done_twice": ([*_deltas(), _STOP, _DONE], {}, "[DONE] twice."),
    "done_then_data": (
        [*_deltas(), _STOP, _DONE, chunk(" MORE")], {"done": False}, "A delta after [DONE], not to be read.",
    ),
    "error_frame_first": ([_ERROR], {}, "An error as the first frame, then [DONE]."),
    "error_frame_middle": ([*_deltas(3), _ERROR], {}, "Three deltas, an error frame, [DONE]."),
    "error_event": (
        [*_deltas(3), b"event: error\ndata: " + _json(_ERROR["error"]) + b"\n\n"], {},
        "Three deltas, an event of type error without an error key, [DONE].",
    ),
    "error_string_frame": ([*_deltas(3), {"error": "upstream gave up"}], {}, "Three deltas, an error string, [DONE]."),
    "error_without_data_prefix": (
        [b": PING\n\n", _json(_ERROR)], {"done": False}, "A ping, then a bare JSON error without ``data:``.",
    ),
    "error_finish": (
        [*_deltas(3), {**chunk("", finish_reason="error"), "error": {"code": 502, "message": "provider failed"}}], {},
        "Three deltas, then a frame with error, choices and finish_reason error, [DONE].",
    ),
    "error_object_vllm": (
        [*_deltas(3), {"object": "error", "message": "out of memory", "type": "ServerError", "code": 500}], {},
        "Three deltas, then a frame whose object is error, [DONE].",
    ),
    "enveloped_frames": (
        [{"code": 200, "data": frame} for frame in (*_deltas(), _STOP)],
        {},
        "A panel's envelope around every chunk.",
    ),
    "broken_json_frame": ([*_deltas(3), '{"choices": [{"del', *_deltas()[4:], _STOP], {}, "Broken JSON among deltas."),
    "plain_text_frame": ([*_deltas(3), "upstream hiccup", *_deltas()[4:], _STOP], {}, "Plain text between deltas."),
    "deep_frame": (
        [*_deltas(3), b"data: " + b"[" * 100_000 + b"]" * 100_000 + b"\n\n", *_deltas()[4:], _STOP], {},
        "A frame nested 100 000 deep between deltas.",
    ),
    "ignorable_frames": (
        [
            "{}", "null", "[]", b": ping\n\n", b"data:\n\n", {**chunk(), "choices": None}, {**chunk(), "choices": []},
            {"id": "", "object": ""}, {**chunk(), "choices": [{"index": 0, "delta": None, "finish_reason": None}]},
            *_deltas(), chunk(finish_reason=""), {**chunk(), "error": None}, b"id: 7\nretry: 10\n\n", _STOP,
        ], {},
        "A good stream among frames that mean nothing.",
    ),
    "bom": ([b"\xef\xbb\xbf", *_deltas(), _STOP], {}, "A byte order mark before a good stream."),
    "byte_by_byte": ([*_deltas(), chunk(" 你好🙂"), _STOP], {"chunk_sizes": 1}, "A good stream, a byte at a time."),
    "wrong_content_type": ([*_deltas(), _STOP], {"content_type": "application/json"}, "A good stream as JSON."),
    "wrong_charset": (
        [*_deltas(), chunk(" 你好"), _STOP], {"content_type": "text/event-stream; charset=gb2312"},
        "A good UTF-8 stream under another charset.",
    ),
    "empty_stream": ([], {"done": False}, "A stream that ends at once: no event, no [DONE]."),
    "done_only": ([], {}, "Nothing but [DONE]."),
}  # fmt: skip


# As above, in streams.
_PLAIN_STREAMS.update({
    "error_in_choice_frame": (
        [*_deltas(3), {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": _PROVIDER}]}], {},
        "Three deltas, an error in a choice, [DONE].",
    ),
    "error_list_frame": ([*_deltas(3), [{"error": {"code": 503, "message": "overloaded"}}]], {},
        "Three deltas, an error in a list, [DONE].",
    ),
    "message_event": (
        [b'event: status\ndata: {"message": "searching"}\n\n', *_deltas(), _STOP], {},
        "An event of another kind with a message, before a good stream.",
    ),
})  # fmt: skip

_WHOLE_MESSAGE = {**_STOP, "choices": [{**_STOP["choices"][0], "message": {"role": "assistant", "content": TEXT}}]}
# What relays do to the end of a stream, from public bug reports.
_ENDS: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "json_lines": (
        [_json(frame) + b"\n" for frame in (*_deltas(), _STOP)],
        {"done": False, "content_type": "application/x-ndjson"}, "A good stream as lines of JSON.",
    ),
    "json_lines_cut": (
        [_json(frame) + b"\n" for frame in _deltas(3)],
        {"done": False, "content_type": "application/x-ndjson"}, "Three deltas as lines of JSON, and a clean end.",
    ),
    "reason_is_the_word_null": (
        [chunk(word, finish_reason="null") for word in _words(3)], {"done": False},
        "Three deltas whose finish_reason is the word null, and a clean end.",
    ),
    "done_glued": (
        [*_deltas(), b"data: " + _json(_STOP) + _DONE], {"done": False}, "[DONE] on the line of the last chunk.",
    ),
    "done_bare": ([*_deltas(), _STOP, b"[DONE]\n\n"], {"done": False}, "[DONE] without ``data:``."),
    "junk_behind_end": (
        [*_deltas(), _STOP, b"data: bye\n\n<html></html>\n\n"], {}, "Words and HTML between the reason and [DONE].",
    ),
    "message_repeats": ([*_deltas(), _WHOLE_MESSAGE], {}, "The whole text once more, as the last chunk's message."),
}  # fmt: skip


def _stream(frames: list[Any], settings: dict[str, Any]) -> Play:
    async def play(exchange: Exchange) -> web.StreamResponse:
        return await Streams(frames, **settings).play(exchange)

    return play


def _with_line_ends(end: bytes) -> list[bytes]:
    good: list[dict[str, Any] | bytes] = [*_deltas(), _STOP, _DONE]
    return [encode_frame(frame).replace(b"\n", end) for frame in good]


_PLAIN_STREAMS["cr"] = _with_line_ends(b"\r"), {"done": False}, "A good stream with CR as its line end."
_PLAIN_STREAMS["crlf"] = _with_line_ends(b"\r\n"), {"done": False}, "A good stream with CRLF as its line end."

for _name, (_frames, _settings, _description) in (_PLAIN_STREAMS | _ENDS).items():
    _add(_name, "stream", _description, _stream(_frames, _settings))


@_fault("stream")
async def endless_line(exchange: Exchange, *, size: int = MOST_BYTES) -> web.StreamResponse:
    """``data:`` and then ``size`` bytes without a line end, and FIN."""
    await _raw_stream(exchange, [b'data: {"choices":[{"index":0,"delta":{"content":"'])
    await _send_all(exchange, _chunked(_zeros(size, b"a" * 2**16)))
    return exchange.fin()


@_fault("stream")
async def event_without_end(exchange: Exchange, *, size: int = MOST_BYTES) -> web.StreamResponse:
    """``data:`` line after line for ``size`` bytes without the blank line that ends an event, and FIN."""
    line = b"data: " + b"a" * 1017 + b"\n"
    await _raw_stream(exchange, _zeros(size, line * 64))
    return exchange.fin()


@_fault("stream")
async def stream_gzip_bomb(exchange: Exchange, *, size: int = 2**28) -> web.StreamResponse:
    """An event of ``size`` bytes, by gzip some 1000 times smaller."""
    await _raw_stream(exchange, _gzip(_bomb_pieces(size)), "Content-Encoding: gzip")
    await exchange.send(b"0\r\n\r\n")
    return exchange.sent(keep_alive=True)


def _bomb_pieces(size: int) -> Iterator[bytes]:
    yield b'data: {"choices":[{"index":0,"delta":{"content":"'
    yield from _zeros(size, b"a" * 2**20)
    yield b'"}}]}\n\ndata: [DONE]\n\n'


@_fault("stream")
async def flood(exchange: Exchange, *, size: int = 2**26) -> web.StreamResponse:
    """Good deltas as fast as they are read, ``size`` bytes of them, then a good end."""
    many = encode_frame(chunk("word ")) * 256
    await _raw_stream(exchange, [many] * math.ceil(size / len(many)))
    await _send_all(exchange, _chunked([encode_frame(_STOP) + _DONE]))
    await exchange.send(b"0\r\n\r\n")
    return exchange.sent(keep_alive=True)


# --- Statuses and retries --------------------------------------------------------------------------------------------


@_fault("status")
async def status(
    exchange: Exchange,
    *,
    status: int = 503,
    message: str = "the stand-in was told to fail",
    code: object = None,
    retry_after: float | str | None = None,
    retry_after_shape: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Any ``status`` in new-api's envelope, with ``retry_after`` as it is or one of ``RETRY_AFTER_SHAPES``."""
    shape: Mapping[str, str] = RETRY_AFTER_SHAPES[retry_after_shape] if retry_after_shape else {}
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    asked = {name: value.replace("{soon}", soon) for name, value in shape.items()}
    if retry_after is not None:
        asked[hdrs.RETRY_AFTER] = str(retry_after)
    return exchange.error(status, message, code=code, headers={**asked, **(headers or {})})


@_fault("status")
async def empty_429(exchange: Exchange) -> web.StreamResponse:
    """429 with no body at all, as new-api's limiter in memory answers."""
    return exchange.respond(b"", status=429)


@_fault("status")
async def burst(exchange: Exchange) -> web.StreamResponse:
    """One of 500, 502, 503, 504, 520, 524, 529, by turns."""
    statuses = (500, 502, 503, 504, 520, 524, 529)
    return exchange.error(statuses[exchange.recorded.index % len(statuses)], "bad gateway", code="bad_response")


@_fault("status")
async def brownout(exchange: Exchange, *, share: float = 0.3, seed: int = 0) -> web.StreamResponse:
    """A ``share`` of the requests, chosen by ``seed``, meets mixed faults; the others get an answer of ``TEXT``."""
    dice = random.Random(f"{seed}/{exchange.recorded.index}")
    if dice.random() >= share:
        return await Says(TEXT).play(exchange)
    return await _Planned(FAULTS[dice.choice(_MIXED)], {}).play(exchange)


_MIXED = ("status", "empty_429", "burst", "reset_after_request", "fin_after_request", "half_headers", "short_body")


# --- Interim answers and framing -------------------------------------------------------------------------------------

_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"


@_fault("before the answer")
async def interim_answers(exchange: Exchange) -> web.StreamResponse:
    """100 and 102 before a good answer."""
    body = _json(_completion())
    await exchange.send(_INTERIM + _head(exchange, _length(body)) + body)
    return exchange.fin()


@_fault("before the answer")
async def interim_then_fin(exchange: Exchange) -> web.StreamResponse:
    """100 and 102, and FIN instead of an answer."""
    await exchange.send(_INTERIM)
    return exchange.fin()


@_fault("before the answer")
async def interim_then_reset(exchange: Exchange) -> web.StreamResponse:
    """100 and 102, and RST instead of an answer."""
    await exchange.send(_INTERIM)
    await asyncio.sleep(0.01)  # A RST at once may overtake them.
    return exchange.reset()


@_fault("before the answer")
async def endless_interim(exchange: Exchange) -> web.StreamResponse:
    """102 after 102, without end."""
    await _send_all(exchange, repeat(_INTERIM * 10))
    return exchange.fin()


@_fault("stream")
async def one_http_chunk(exchange: Exchange, *, seconds: float = 0.01) -> web.StreamResponse:
    """A good stream within one HTTP chunk, its events ``seconds`` apart."""
    events = [*map(encode_frame, [*_deltas(), _STOP]), _DONE]
    await exchange.send(_head(exchange, "Transfer-Encoding: chunked", content_type="text/event-stream"))
    await exchange.send(b"%x\r\n" % sum(map(len, events)))
    for event in events:
        await exchange.send(event)
        await asyncio.sleep(seconds)
    await exchange.send(b"\r\n0\r\n\r\n")
    return exchange.fin()


@_fault("body")
async def encoding_none(exchange: Exchange, *, encoding: str = "none") -> web.StreamResponse:
    """A good answer under ``Content-Encoding: none``, which is no encoding."""
    body = _json(_completion())
    await exchange.send(_head(exchange, _length(body), f"Content-Encoding: {encoding}") + body)
    return exchange.fin()


# --- Connections used again ------------------------------------------------------------------------------------------


async def _and_later(
    exchange: Exchange, seconds: float, act: Callable[[asyncio.Transport], object], *lines: str
) -> web.StreamResponse:
    """Answer well, keep the connection, and do something to it later if it is still there."""
    body = _json(_completion())
    await exchange.send(_head(exchange, _length(body), *lines) + body)
    transport = exchange.request.transport
    if transport is None:
        raise ConnectionResetError("the client is gone")
    asyncio.get_running_loop().call_later(seconds, lambda: transport.is_closing() or act(transport))
    return exchange.sent(keep_alive=True)


@_fault("reuse")
async def idle_close(exchange: Exchange, *, seconds: float = 0.02) -> web.StreamResponse:
    """A good answer that keeps the connection alive, and ``seconds`` later FIN on the idle connection."""
    return await _and_later(exchange, seconds, lambda transport: transport.close())


@_fault("reuse")
async def close_at_reuse(exchange: Exchange) -> web.StreamResponse:
    """A good answer; the next request on this connection meets FIN instead of an answer, and is not recorded."""
    return await _and_later(exchange, 0, lambda transport: _EndAtFirstByte(transport, lambda it: it.close()))


@_fault("reuse")
async def reset_at_reuse(exchange: Exchange) -> web.StreamResponse:
    """A good answer; the next request on this connection meets RST instead of an answer, and is not recorded."""
    return await _and_later(exchange, 0, lambda transport: _EndAtFirstByte(transport, reset))


class _EndAtFirstByte(asyncio.Protocol):
    """Stand in front of aiohttp's protocol on an idle connection, and end it when anything comes."""

    def __init__(self, transport: asyncio.Transport, end: Callable[[asyncio.Transport], object]) -> None:
        self._transport, self._behind, self._end = transport, transport.get_protocol(), end
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  (asyncio's signature)
        self._end(self._transport)

    def eof_received(self) -> None:
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._behind.connection_lost(exc)


@_fault("reuse")
async def half_close(exchange: Exchange) -> web.StreamResponse:
    """A good answer that keeps the connection alive, then FIN of the server's half; it reads on and says no more."""

    def close_half(transport: asyncio.Transport) -> None:
        transport.write_eof()
        _EndAtFirstByte(transport, lambda _: None)

    return await _and_later(exchange, 0, close_half)


@_fault("reuse")
async def lying_keep_alive(exchange: Exchange) -> web.StreamResponse:
    """A good answer that promises ``Connection: keep-alive`` for 600 s, and FIN with it."""
    lines = ("Connection: keep-alive", "Keep-Alive: timeout=600")
    return await _and_later(exchange, 0, lambda transport: transport.close(), *lines)


@_fault("reuse")
async def surplus_bytes(exchange: Exchange, *, seconds: float = 0.02) -> web.StreamResponse:
    """A good answer, and ``seconds`` later bytes that belong to none, on the connection left open."""
    return await _and_later(exchange, seconds, lambda transport: transport.write(b"surplus"))


@_fault("reuse")
async def unasked_answer(
    exchange: Exchange, *, text: str = "this answer was not asked for", seconds: float = 0.02
) -> web.StreamResponse:
    """A good answer, and ``seconds`` later a second whole one that says ``text``, on the connection left open."""
    body = _json(_completion(text))
    second = _head(exchange, _length(body)) + body
    return await _and_later(exchange, seconds, lambda transport: transport.write(second))


# --- Connecting ------------------------------------------------------------------------------------------------------


class RawServer:
    """Something that listens (or does not) and speaks no HTTP; ``raw_server`` makes one.

    Attributes:
        connections: How many connections were accepted so far.
    """

    def __init__(self, name: str) -> None:
        self.connections: int = 0
        self.base_url: str = ""
        self._name = name
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._fillers: list[socket.socket] = []

    async def __aenter__(self) -> Self:
        if self._name == "dns_failure":
            self.base_url = "http://relay.invalid/v1"  # RFC 6761 promises that it never resolves.
            return self
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0 if self._name == "syn_unanswered" else 128)
        port = self._listener.getsockname()[1]
        scheme = "https" if self._name.startswith("tls_") else "http"
        self.base_url = f"{scheme}://127.0.0.1:{port}/v1"
        self._server: asyncio.Server | None = None
        if self._name == "refused":
            self._listener.close()
        elif self._name == "syn_unanswered":
            await self._fill(port)
        else:
            tls = self_signed()[0] if self._name == "tls_self_signed" else None
            self._server = await asyncio.start_server(self._accepted, sock=self._listener, ssl=tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._name == "dns_failure":
            return
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        for filler in self._fillers:
            filler.close()
        self._listener.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # The transports' sockets close one turn of the loop after them.

    async def _fill(self, port: int) -> None:
        """Fill the queue of connections nobody accepts, so that the kernel leaves further SYNs unanswered."""
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            self._fillers.append(filler)
        await asyncio.sleep(0.01)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(ConnectionError):
            match self._name:
                case "accept_reset":
                    reset(writer.transport)
                case "accept_garbage" | "tls_garbage":
                    writer.write(b"\x00\xff\x13\x37 welcome to nowhere\r\n")
                    await writer.drain()
                case "tls_plain_http":
                    await reader.read(1)
                    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    await writer.drain()
                case "tls_reset":
                    await reader.read(1)
                    reset(writer.transport)
                case "accept_silent" | "tls_stall" | "tls_self_signed":
                    while await reader.read(2**16):
                        pass
                case _:  # "accept_close" and the rest say nothing.
                    pass
        self._open.discard(writer)
        writer.close()


_CONNECTING = {
    "refused": "Nobody listens: RST to the SYN.",
    "dns_failure": "The host is ``relay.invalid``, which has no address.",
    "syn_unanswered": "The SYN gets no answer, because the queue of connections is full (Linux).",
    "accept_close": "Accepted, and FIN at once.",
    "accept_reset": "Accepted, and RST at once.",
    "accept_silent": "Accepted, whatever is sent is read, and nothing is ever said.",
    "accept_garbage": "Accepted, greeted with bytes that are no HTTP, FIN.",
    "tls_stall": "An https address where the handshake is never answered.",
    "tls_reset": "An https address where the handshake's first bytes meet RST.",
    "tls_plain_http": "An https address where plain HTTP is spoken.",
    "tls_self_signed": "An https address whose certificate nobody has signed; a client that goes on hears nothing.",
    "tls_garbage": "An https address where the handshake is answered with garbage, FIN.",
}
for _name, _description in _CONNECTING.items():
    FAULTS[_name] = Fault(_name, "connecting", _description)


@contextlib.asynccontextmanager
async def raw_server(name: str) -> AsyncGenerator[RawServer, None]:
    """Run a server that fails at connecting, in the running event loop until the block ends.

    Args:
        name: A fault of the group "connecting".

    Raises:
        ValueError: There is no such fault, or ``server.faults`` plays it.
    """
    if _known(name, {}).group != "connecting":
        raise ValueError(f"the fault {name!r} needs a request first: queue it with server.faults({name!r})")
    async with RawServer(name) as server:
        yield server
