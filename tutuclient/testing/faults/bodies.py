"""Faults in the body of a whole answer: cut, packed, endless, or not what it calls itself."""

import asyncio
from typing import Any

from aiohttp import hdrs, web

from tutuclient.testing.answers import Streams
from tutuclient.testing.exchange import LONGEST_SILENCE_S, Exchange
from tutuclient.testing.faults.pieces import (
    MOST_BYTES,
    PROVIDER_ERROR,
    STOP,
    chunked,
    completion,
    deltas,
    gzip,
    head,
    length,
    repeated,
    send_all,
    to_json,
)
from tutuclient.testing.faults.registry import Play, add, fault


@fault("body")
async def short_body(exchange: Exchange, *, cut: int = 20) -> web.StreamResponse:
    """A body ``cut`` bytes shorter than its Content-Length, and FIN."""
    body = to_json(completion())
    await exchange.send(head(exchange, length(body)) + body[: len(body) - cut])
    return exchange.fin()


@fault("body")
async def whole_json_but_short(exchange: Exchange, *, cut: int = 20) -> web.StreamResponse:
    """Whole JSON, but ``cut`` bytes fewer than its Content-Length promises, and FIN: it parses, and is cut."""
    body = to_json(completion())
    await exchange.send(head(exchange, f"Content-Length: {len(body) + cut}") + body)
    return exchange.fin()


@fault("body")
async def chunked_without_end(exchange: Exchange) -> web.StreamResponse:
    """Whole JSON in one chunk, but no last chunk, and FIN."""
    await exchange.send(head(exchange, "Transfer-Encoding: chunked"))
    await send_all(exchange, chunked([to_json(completion())]))
    return exchange.fin()


@fault("body")
async def reset_mid_body(exchange: Exchange, *, after: int = 40, pause: float = 0.02) -> web.StreamResponse:
    """``after`` bytes of the body and ``pause`` seconds later RST."""
    body = to_json(completion())
    await exchange.send(head(exchange, length(body)) + body[:after])
    await asyncio.sleep(pause)
    return exchange.reset()


@fault("body")
async def stalled_body(
    exchange: Exchange, *, after: int = 40, seconds: float = LONGEST_SILENCE_S
) -> web.StreamResponse:
    """``after`` bytes of the body, and then silence (for ``seconds``, then FIN)."""
    body = to_json(completion())
    await exchange.send(head(exchange, length(body)) + body[:after])
    await exchange.silence(seconds)
    return exchange.fin()


@fault("body")
async def gzip_cut(exchange: Exchange, *, cut: int = 12) -> web.StreamResponse:
    """A gzip body without its last ``cut`` bytes, under a Content-Length that fits what is sent."""
    body = b"".join(gzip([to_json(completion())]))[:-cut]
    return exchange.respond(body, headers={hdrs.CONTENT_ENCODING: "gzip"})


@fault("body")
async def gzip_label_on_plain(exchange: Exchange) -> web.StreamResponse:
    """Plain JSON under ``Content-Encoding: gzip``."""
    return exchange.respond(completion(), headers={hdrs.CONTENT_ENCODING: "gzip"})


@fault("body")
async def gzip_bomb(exchange: Exchange, *, size: int = 2**28) -> web.StreamResponse:
    """Some 1000 times as many blanks (``size`` bytes) as are sent, by gzip, and no JSON."""
    await exchange.send(head(exchange, "Transfer-Encoding: chunked", "Content-Encoding: gzip"))
    await send_all(exchange, chunked(gzip(repeated(size))))
    await exchange.send(b"0\r\n\r\n")
    return exchange.sent(keep_alive=True)


@fault("body")
async def endless_body(exchange: Exchange, *, size: int = MOST_BYTES) -> web.StreamResponse:
    """A JSON text that goes on for ``size`` bytes, and FIN."""
    await exchange.send(head(exchange, "Transfer-Encoding: chunked"))
    start = to_json(completion())[:-2] + b', "padding": "'
    await send_all(exchange, chunked([start]))
    await send_all(exchange, chunked(repeated(size, b"a" * 2**16)))
    return exchange.fin()


@fault("body")
async def huge_error_body(exchange: Exchange, *, status: int = 500, size: int = 2**26) -> web.StreamResponse:
    """An error whose message has ``size`` bytes, with its Content-Length."""
    start, end = b'{"error":{"type":"new_api_error","code":"huge","message":"', b'"}}'
    length = len(start) + size + len(end)
    await exchange.send(head(exchange, f"Content-Length: {length}", status=f"{status} Error"))
    await send_all(exchange, [start])
    await send_all(exchange, repeated(size, b"a" * 2**16))
    await send_all(exchange, [end])
    return exchange.sent(keep_alive=True)


@fault("body")
async def html(exchange: Exchange, *, status: int = 200) -> web.StreamResponse:
    """A web page: the panel's with 200, a gateway's otherwise."""
    title = "New API" if status == 200 else f"{status} Gateway Time-out"  # noqa: PLR2004 - the status itself.
    page = f"<!doctype html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return exchange.respond(page.encode(), status=status, content_type="text/html; charset=utf-8")


@fault("body")
async def sse_unasked(exchange: Exchange) -> web.StreamResponse:
    """A good event stream, whether or not one was asked for."""
    return await Streams([*deltas(), STOP]).play(exchange)


@fault("body")
async def json_for_stream(exchange: Exchange) -> web.StreamResponse:
    """A whole completion as JSON, whether or not a stream was asked for."""
    return exchange.respond(completion())


_LONE = to_json(completion("half \ud83d"))


def _nested(depth: int) -> bytes:
    return to_json(completion())[:-1] + b',"deep":' + b"[" * depth + b"]" * depth + b"}"


_BODIES: dict[str, tuple[bytes, str]] = {
    "empty_body": (b"", "200 with no body at all."),
    "plain_text": (b"upstream is busy, come back later", "Plain text that calls itself JSON."),
    "json_null": (b"null", "The JSON value null."),
    "json_list": (b"[1, 2, 3]", "A JSON list."),
    "json_string": (b'"hello"', "A JSON string."),
    "broken_json": (to_json(completion())[:-9], "JSON that breaks off, under a fitting Content-Length."),
    "two_objects": (to_json(completion()) * 2, "Two JSON objects back to back."),
    "error_behind_answer": (
        to_json(completion()) + to_json({"error": {"message": "too late", "code": 500}}),
        "A whole completion, and an error object behind it.",
    ),
    "enveloped": (to_json({"code": 200, "msg": "ok", "data": completion()}), "A panel's envelope around a completion."),
    "wrong_types": (
        to_json({"id": 7, "created": "soon", "choices": {"0": "no"}, "usage": "much", "model": []}),
        "Known fields of the wrong types.",
    ),
    "choices_missing": (to_json({k: v for k, v in completion().items() if k != "choices"}), "No ``choices``."),
    "choices_null": (to_json(completion(choices=None)), "``choices`` is null."),
    "choices_not_list": (to_json(completion(choices="none")), "``choices`` is a string."),
    "choices_empty": (to_json(completion(choices=[])), "``choices`` is an empty list."),
    "invalid_utf8": (to_json(completion("caf@")).replace(b"@", b"\xe9"), "A byte in the text that is no UTF-8."),
    "lone_surrogate": (_LONE, "Half of a surrogate pair, escaped, in the text."),
    "number_1e999": (to_json(completion(created=0)).replace(b'"created": 0', b'"created": 1e999'), "The number 1e999."),
    "nan": (to_json(completion(created=float("nan"))), "The number NaN."),
    "ok_with_error_object": (
        to_json({"error": {"message": "No candidates returned", "type": "upstream_error", "param": "", "code": 500}}),
        "200 with an error object.",
    ),
    "ok_with_error_string": (to_json({"error": "upstream gave up"}), "200 with an error that is a string."),
    "ok_with_code_msg": (to_json({"code": 10013, "msg": "balance too low", "data": None}), "200 with ``code``, ``msg``."),
    "ok_with_detail": (to_json({"detail": [{"loc": ["body"], "msg": "bad", "type": "value_error"}]}), "200, ``detail``."),
    "success_false": (to_json({"success": False, "message": "无权进行此操作"}), "200 with ``success: false``."),
}  # fmt: skip


def _whole(body: bytes) -> Play:
    async def play(exchange: Exchange, *, status: int = 200) -> web.StreamResponse:
        return exchange.respond(body, status=status)

    return play


for _name, (_body, _description) in _BODIES.items():
    add(_name, "body", _description, _whole(_body))


# What says no, or seems to, in vendors' and relays' own envelopes.
_EMPTY: dict[str, Any] = {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None}
_VENDORS: dict[str, tuple[bytes, str]] = {
    "ok_with_base_resp": (to_json(_EMPTY), "200 with MiniMax's ``base_resp`` of an empty account."),
    "ok_with_error_list": (
        to_json([{"error": {"code": 503, "message": "overloaded"}}]),
        "200 with an error in a list.",
    ),
    "ok_with_task": (
        to_json({"task_id": "t-1", "status": "submitted", "message": "任务已提交"}),
        "200 with a task that was taken on, in place of an answer.",
    ),
    "error_in_choice": (
        to_json(
            {
                "choices": [
                    {"index": 0, "message": {"content": "one"}, "finish_reason": "error", "error": PROVIDER_ERROR}
                ]
            }
        ),
        "200 with half an answer and an error in its choice.",
    ),
}

for _name, (_body, _description) in _VENDORS.items():
    add(_name, "body", _description, _whole(_body))


@fault("body")
async def deep_nesting(exchange: Exchange, *, depth: int = 100_000) -> web.StreamResponse:
    """A completion with one more field: lists nested ``depth`` deep."""
    return exchange.respond(_nested(depth))


@fault("body")
async def huge_integer(exchange: Exchange, *, digits: int = 5000) -> web.StreamResponse:
    """A completion whose ``created`` has ``digits`` digits."""
    return exchange.respond(to_json(completion(created=0)).replace(b'"created": 0', b'"created": ' + b"9" * digits))


@fault("body")
async def encoding_none(exchange: Exchange, *, encoding: str = "none") -> web.StreamResponse:
    """A good answer under ``Content-Encoding: none``, which is no encoding."""
    body = to_json(completion())
    await exchange.send(head(exchange, length(body), f"Content-Encoding: {encoding}") + body)
    return exchange.fin()
