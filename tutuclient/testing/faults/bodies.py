"""Faults in the body of a whole answer: cut, packed, endless, or not what it calls itself."""

import asyncio

from aiohttp import hdrs, web

from tutuclient.testing.answers import streams
from tutuclient.testing.exchange import LONGEST_SILENCE_S, Exchange
from tutuclient.testing.faults.pieces import (
    MOST_BYTES,
    PROVIDER_ERROR,
    STOP,
    chunked,
    completion,
    deltas,
    good,
    gzip,
    head,
    repeated,
    send_all,
    to_json,
)
from tutuclient.testing.faults.registry import Play, add, fault


@fault("body")
async def short_body(exchange: Exchange, *, cut: int = 20) -> web.StreamResponse:
    """A body ``cut`` bytes shorter than its Content-Length, and FIN."""
    await exchange.send(good(exchange)[:-cut])
    return exchange.fin()


@fault("body")
async def whole_json_but_short(exchange: Exchange, *, cut: int = 20) -> web.StreamResponse:
    """Whole JSON, but ``cut`` bytes fewer than its Content-Length promises, and FIN: it parses, and is cut."""
    await exchange.send(head(exchange, f"Content-Length: {len(_GOOD) + cut}") + _GOOD)
    return exchange.fin()


@fault("body")
async def chunked_without_end(exchange: Exchange) -> web.StreamResponse:
    """Whole JSON in one chunk, but no last chunk, and FIN."""
    await exchange.send(head(exchange, "Transfer-Encoding: chunked"))
    await send_all(exchange, chunked([_GOOD]))
    return exchange.fin()


@fault("body")
async def reset_mid_body(exchange: Exchange, *, after: int = 40, pause: float = 0.02) -> web.StreamResponse:
    """``after`` bytes of the body and ``pause`` seconds later RST."""
    await exchange.send(good(exchange, body_bytes=after))
    await asyncio.sleep(pause)
    return exchange.reset()


@fault("body")
async def stalled_body(
    exchange: Exchange, *, after: int = 40, seconds: float = LONGEST_SILENCE_S
) -> web.StreamResponse:
    """``after`` bytes of the body, and then silence (for ``seconds``, then FIN)."""
    await exchange.send(good(exchange, body_bytes=after))
    await exchange.silence(seconds)
    return exchange.fin()


@fault("body")
async def gzip_cut(exchange: Exchange, *, cut: int = 12) -> web.StreamResponse:
    """A gzip body without its last ``cut`` bytes, under a Content-Length that fits what is sent."""
    # The length fits, so only the checksum at gzip's end (RFC 1952, section 2.3.1) tells that something is missing.
    body = b"".join(gzip([_GOOD]))[:-cut]
    return exchange.respond(body, headers={hdrs.CONTENT_ENCODING: "gzip"})


@fault("body")
async def gzip_label_on_plain(exchange: Exchange) -> web.StreamResponse:
    """Plain JSON under ``Content-Encoding: gzip``."""
    return exchange.respond(completion(), headers={hdrs.CONTENT_ENCODING: "gzip"})


@fault("body")
async def gzip_bomb(exchange: Exchange, *, size: int = 2**28) -> web.StreamResponse:
    """Some 1000 times as many blanks (``size`` bytes) as are sent, by gzip, and not JSON."""
    # By hand: aiohttp would compress all of it in memory first.
    await exchange.send(head(exchange, "Transfer-Encoding: chunked", "Content-Encoding: gzip"))
    await send_all(exchange, chunked(gzip(repeated(size))))
    await exchange.send(b"0\r\n\r\n")
    return exchange.sent(keep_alive=True)


@fault("body")
async def endless_body(exchange: Exchange, *, size: int = MOST_BYTES) -> web.StreamResponse:
    """A JSON text that goes on for ``size`` bytes, and FIN."""
    await exchange.send(head(exchange, "Transfer-Encoding: chunked"))
    start = _GOOD[:-2] + b', "padding": "'
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
    return await streams([*deltas(), STOP]).play(exchange)


@fault("body")
async def json_for_stream(exchange: Exchange) -> web.StreamResponse:
    """A whole completion as JSON, whether or not a stream was asked for."""
    return exchange.respond(completion())


_GOOD = to_json(completion())
_CREATED = b'"created": 0'  # In to_json(completion(created=0)), for numbers that Python does not write.

_BODIES: dict[str, tuple[object, str]] = {
    "empty_body": (b"", "200 with no body at all."),
    "plain_text": (b"upstream is busy, come back later", "Plain text that calls itself JSON."),
    "json_null": (None, "The JSON value null."),
    "json_list": ([1, 2, 3], "A JSON list."),
    "json_string": ("hello", "A JSON string."),
    "broken_json": (_GOOD[:-9], "JSON that breaks off, under a fitting Content-Length."),
    "two_objects": (_GOOD * 2, "Two JSON objects back to back."),
    "error_behind_answer": (
        _GOOD + to_json({"error": {"message": "too late", "code": 500}}),
        "A whole completion, and an error object behind it.",
    ),
    "enveloped": ({"code": 200, "msg": "ok", "data": completion()}, "A panel's envelope around a completion."),
    "wrong_types": (
        {"id": 7, "created": "soon", "choices": {"0": "no"}, "usage": "much", "model": []},
        "Known fields of the wrong types.",
    ),
    "choices_missing": ({k: v for k, v in completion().items() if k != "choices"}, "No ``choices``."),
    "choices_null": (completion(choices=None), "``choices`` is null."),
    "choices_not_list": (completion(choices="none"), "``choices`` is a string."),
    "choices_empty": (completion(choices=[]), "``choices`` is an empty list."),
    "invalid_utf8": (to_json(completion("caf@")).replace(b"@", b"\xe9"), "A byte in the text that is not UTF-8."),
    "lone_surrogate": (completion("half \ud83d"), "Half of a surrogate pair, escaped, in the text."),
    "number_1e999": (to_json(completion(created=0)).replace(_CREATED, b'"created": 1e999'), "The number 1e999."),
    "nan": (completion(created=float("nan")), "The number NaN."),
    "ok_with_error_object": (
        {"error": {"message": "No candidates returned", "type": "upstream_error", "param": "", "code": 500}},
        "200 with an error object.",
    ),
    "ok_with_error_string": ({"error": "upstream gave up"}, "200 with an error that is a string."),
    "ok_with_code_msg": ({"code": 10013, "msg": "balance too low", "data": None}, "200 with ``code`` and ``msg``."),
    "ok_with_detail": ({"detail": [{"loc": ["body"], "msg": "bad", "type": "value_error"}]}, "200 with ``detail``."),
    "success_false": ({"success": False, "message": "无权进行此操作"}, "200 with ``success: false``."),
    # Errors, or what looks like one, in vendors' and relays' own envelopes.
    "ok_with_base_resp": (
        {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None},
        "200 with MiniMax's ``base_resp`` of an empty account.",
    ),
    "ok_with_error_list": ([{"error": {"code": 503, "message": "overloaded"}}], "200 with an error in a list."),
    "ok_with_task": (
        {"task_id": "t-1", "status": "submitted", "message": "任务已提交"},
        "200 with a task that was accepted, in place of an answer.",
    ),
    "error_in_choice": (
        {"choices": [
            {"index": 0, "message": {"content": "one"}, "finish_reason": "error", "error": PROVIDER_ERROR},
        ]},
        "200 with half an answer and an error in its choice.",
    ),
}  # fmt: skip


def _whole(body: bytes) -> Play:
    async def play(exchange: Exchange, *, status: int = 200) -> web.StreamResponse:
        return exchange.respond(body, status=status)

    return play


for _name, (_body, _description) in _BODIES.items():
    add(_name, "body", _description, _whole(_body if isinstance(_body, bytes) else to_json(_body)))


@fault("body")
async def deep_nesting(exchange: Exchange, *, depth: int = 100_000) -> web.StreamResponse:
    """A completion with one more field: lists nested ``depth`` deep."""
    return exchange.respond(_GOOD[:-1] + b',"deep":' + b"[" * depth + b"]" * depth + b"}")


@fault("body")
async def huge_integer(exchange: Exchange, *, digits: int = 5000) -> web.StreamResponse:
    """A completion whose ``created`` has ``digits`` digits."""
    return exchange.respond(to_json(completion(created=0)).replace(_CREATED, b'"created": ' + b"9" * digits))


@fault("body")
async def encoding_none(exchange: Exchange, *, encoding: str = "none") -> web.StreamResponse:
    """A good answer under ``Content-Encoding: none``, which names no encoding."""
    await exchange.send(good(exchange, f"Content-Encoding: {encoding}"))
    return exchange.fin()
