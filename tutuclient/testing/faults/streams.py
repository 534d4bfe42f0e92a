"""Faults of event streams: cut, silent, endless, framed in ways of their own, with errors among the events."""

import asyncio
import math
from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from tutuclient.testing.answers import encode_frame, event, streams
from tutuclient.testing.chat import chunk
from tutuclient.testing.exchange import LONGEST_SILENCE_S, Answer, Exchange
from tutuclient.testing.faults.pieces import (
    DONE,
    MOST_BYTES,
    PROVIDER_ERROR,
    STOP,
    TEXT,
    chunked,
    deltas,
    gzip,
    head,
    raw_stream,
    repeated,
    send_all,
    to_json,
    words,
)
from tutuclient.testing.faults.registry import Play, add, fault


@fault("stream")
async def reset_mid_stream(exchange: Exchange, *, after: int = 3, pause: float = 0.02) -> web.StreamResponse:
    """``after`` deltas and ``pause`` seconds later RST."""
    return await streams(deltas(after), done=False, then="reset", pause=pause).play(exchange)


@fault("stream")
async def fin_mid_stream(exchange: Exchange, *, after: int = 3, pause: float = 0.02) -> web.StreamResponse:
    """``after`` deltas and ``pause`` seconds later FIN, without the last HTTP chunk."""
    return await streams(deltas(after), done=False, then="fin", pause=pause).play(exchange)


@fault("stream")
async def cut_in_event(exchange: Exchange, *, after: int = 3, cut: int = 25) -> web.StreamResponse:
    """``after`` deltas and ``cut`` bytes of the next event, then FIN without the last HTTP chunk."""
    half = encode_frame(chunk(" never"))[:cut]
    return await streams([*deltas(after), half], done=False, then="fin").play(exchange)


@fault("stream")
async def stalled_stream(
    exchange: Exchange, *, after: int = 3, seconds: float = LONGEST_SILENCE_S
) -> web.StreamResponse:
    """``after`` deltas, and then silence (for ``seconds``, then FIN)."""
    return await _quiet(exchange, deltas(after), seconds)


@fault("stream")
async def silent_stream(exchange: Exchange, *, seconds: float = LONGEST_SILENCE_S) -> web.StreamResponse:
    """The head of a stream and no event (for ``seconds``, then FIN)."""
    return await _quiet(exchange, [], seconds)


@fault("stream")
async def done_then_silence(exchange: Exchange, *, seconds: float = LONGEST_SILENCE_S) -> web.StreamResponse:
    """A good stream with [DONE], but the connection stays open and silent (for ``seconds``, then FIN)."""
    return await _quiet(exchange, [*deltas(), STOP, DONE], seconds)


async def _quiet(exchange: Exchange, frames: list[Any], seconds: float) -> web.StreamResponse:
    response = await exchange.open_stream()
    for frame in frames:
        await response.write(encode_frame(frame))
    await exchange.silence(seconds)
    return exchange.fin()


@fault("stream")
async def pings_forever(
    exchange: Exchange, *, seconds: float = 0.02, after: int = 0, total: float = LONGEST_SILENCE_S
) -> web.StreamResponse:
    """``after`` deltas, and then a comment every ``seconds`` (for ``total`` seconds, then FIN)."""
    response = await exchange.open_stream()
    for frame in deltas(after) if after else []:
        await response.write(encode_frame(frame))
    for _ in range(int(total / max(seconds, 0.001))):
        await response.write(b": PING\n\n")
        await asyncio.sleep(seconds)
    return exchange.fin()


_ERROR = {"error": {"message": "upstream overloaded", "type": "server_error", "param": "", "code": "overloaded"}}
_WHOLE_MESSAGE = {**STOP, "choices": [{**STOP["choices"][0], "message": {"role": "assistant", "content": TEXT}}]}


def _with_line_ends(end: bytes) -> Answer:
    good: list[dict[str, Any] | bytes] = [*deltas(), STOP, DONE]
    return streams([encode_frame(frame).replace(b"\n", end) for frame in good], done=False)


def _json_lines(frames: Iterable[dict[str, Any]]) -> Answer:
    lines = [to_json(frame) + b"\n" for frame in frames]
    return streams(lines, done=False, content_type="application/x-ndjson")


_STREAMS: dict[str, tuple[Answer, str]] = {
    "clean_end_without_finish": (
        streams(deltas(3), done=False), "Three deltas and a clean end: no reason, no [DONE].",
    ),
    "finish_without_done": (
        streams([*deltas(), STOP], done=False), "The whole text and its reason, but no [DONE].",
    ),
    "done_without_finish": (streams(deltas()), "The whole text and [DONE], but no finish_reason."),
    "done_unterminated": (streams([*deltas(), STOP, b"data: [DONE]"], done=False), "[DONE] without a line end."),
    "done_twice": (streams([*deltas(), STOP, DONE]), "[DONE] twice."),
    "done_then_data": (
        streams([*deltas(), STOP, DONE, chunk(" MORE")], done=False), "A delta after [DONE], not to be read.",
    ),
    "error_frame_first": (streams([_ERROR]), "An error as the first frame, then [DONE]."),
    "error_frame_middle": (streams([*deltas(3), _ERROR]), "Three deltas, an error frame, [DONE]."),
    "error_event": (
        streams([*deltas(3), event(_ERROR["error"], "error")]),
        "Three deltas, an event of type error without an error key, [DONE].",
    ),
    "error_string_frame": (
        streams([*deltas(3), {"error": "upstream gave up"}]), "Three deltas, an error string, [DONE].",
    ),
    "error_without_data_prefix": (
        streams([b": PING\n\n", to_json(_ERROR)], done=False), "A ping, then a bare JSON error without ``data:``.",
    ),
    "error_finish": (
        streams([
            *deltas(3), {**chunk("", finish_reason="error"), "error": {"code": 502, "message": "provider failed"}},
        ]),
        "Three deltas, then a frame with error, choices and finish_reason error, [DONE].",
    ),
    "error_object_vllm": (
        streams([*deltas(3), {"object": "error", "message": "out of memory", "type": "ServerError", "code": 500}]),
        "Three deltas, then a frame whose object is error, [DONE].",
    ),
    "error_in_choice_frame": (
        streams([
            *deltas(3), {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": PROVIDER_ERROR}]},
        ]),
        "Three deltas, an error in a choice, [DONE].",
    ),
    "error_list_frame": (
        streams([*deltas(3), b'data: [{"error": {"code": 503, "message": "overloaded"}}]\n\n']),
        "Three deltas, an error in a list, [DONE].",
    ),
    "message_event": (
        streams([event({"message": "searching"}, "status"), *deltas(), STOP]),
        "An event of another kind with a message, before a good stream.",
    ),
    "enveloped_frames": (
        streams({"code": 200, "data": frame} for frame in (*deltas(), STOP)),
        "A panel's envelope around every chunk.",
    ),
    "broken_json_frame": (
        streams([*deltas(3), '{"choices": [{"del', *deltas()[4:], STOP]), "Broken JSON among deltas.",
    ),
    "plain_text_frame": (
        streams([*deltas(3), "upstream hiccup", *deltas()[4:], STOP]), "Plain text between deltas.",
    ),
    "deep_frame": (
        streams([*deltas(3), "[" * 100_000 + "]" * 100_000, *deltas()[4:], STOP]),
        "A frame nested 100 000 deep between deltas.",
    ),
    "ignorable_frames": (
        streams([
            "{}", "null", "[]", b": ping\n\n", b"data:\n\n", {**chunk(), "choices": None}, {**chunk(), "choices": []},
            {"id": "", "object": ""}, {**chunk(), "choices": [{"index": 0, "delta": None, "finish_reason": None}]},
            *deltas(), chunk(finish_reason=""), {**chunk(), "error": None}, b"id: 7\nretry: 10\n\n", STOP,
        ]),
        "A good stream among frames that mean nothing.",
    ),
    "bom": (streams([b"\xef\xbb\xbf", *deltas(), STOP]), "A byte order mark before a good stream."),
    "byte_by_byte": (
        streams([*deltas(), chunk(" 你好🙂"), STOP], chunk_sizes=1), "A good stream, a byte at a time.",
    ),
    "cr": (_with_line_ends(b"\r"), "A good stream with CR as its line end."),
    "crlf": (_with_line_ends(b"\r\n"), "A good stream with CRLF as its line end."),
    "wrong_content_type": (
        streams([*deltas(), STOP], content_type="application/json"), "A good stream as JSON.",
    ),
    "wrong_charset": (
        streams([*deltas(), chunk(" 你好"), STOP], content_type="text/event-stream; charset=gb2312"),
        "A good UTF-8 stream under another charset.",
    ),
    "empty_stream": (streams([], done=False), "A stream that ends at once: no event, no [DONE]."),
    "done_only": (streams([]), "Nothing but [DONE]."),
    # What relays do to the end of a stream, from public bug reports.
    "json_lines": (_json_lines([*deltas(), STOP]), "A good stream as lines of JSON."),
    "json_lines_cut": (_json_lines(deltas(3)), "Three deltas as lines of JSON, and a clean end."),
    "reason_is_the_word_null": (
        streams([chunk(word, finish_reason="null") for word in words(3)], done=False),
        "Three deltas whose finish_reason is the word null, and a clean end.",
    ),
    "done_glued": (
        streams([*deltas(), b"data: " + to_json(STOP) + DONE], done=False), "[DONE] on the line of the last chunk.",
    ),
    "done_bare": (streams([*deltas(), STOP, b"[DONE]\n\n"], done=False), "[DONE] without ``data:``."),
    "junk_behind_end": (
        streams([*deltas(), STOP, b"data: bye\n\n<html></html>\n\n"]),
        "Words and HTML between the reason and [DONE].",
    ),
    "message_repeats": (
        streams([*deltas(), _WHOLE_MESSAGE]), "The whole text once more, as the last chunk's message.",
    ),
}  # fmt: skip


def _as_fault(scripted: Answer) -> Play:
    async def play(exchange: Exchange) -> web.StreamResponse:
        return await scripted.play(exchange)

    return play


for _name, (_scripted, _description) in _STREAMS.items():
    add(_name, "stream", _description, _as_fault(_scripted))


@fault("stream")
async def endless_line(exchange: Exchange, *, size: int = MOST_BYTES) -> web.StreamResponse:
    """``data:`` and then ``size`` bytes without a line end, and FIN."""
    await raw_stream(exchange, [b'data: {"choices":[{"index":0,"delta":{"content":"'])
    await send_all(exchange, chunked(repeated(size, b"a" * 2**16)))
    return exchange.fin()


@fault("stream")
async def event_without_end(exchange: Exchange, *, size: int = MOST_BYTES) -> web.StreamResponse:
    """``data:`` line after line for ``size`` bytes without the blank line that ends an event, and FIN."""
    line = b"data: " + b"a" * 1017 + b"\n"
    await raw_stream(exchange, repeated(size, line * 64))
    return exchange.fin()


@fault("stream")
async def stream_gzip_bomb(exchange: Exchange, *, size: int = 2**28) -> web.StreamResponse:
    """An event of ``size`` bytes, by gzip some 1000 times smaller."""
    await raw_stream(exchange, gzip(_bomb_pieces(size)), "Content-Encoding: gzip")
    await exchange.send(b"0\r\n\r\n")
    return exchange.sent(keep_alive=True)


def _bomb_pieces(size: int) -> Iterator[bytes]:
    yield b'data: {"choices":[{"index":0,"delta":{"content":"'
    yield from repeated(size, b"a" * 2**20)
    yield b'"}}]}\n\ndata: [DONE]\n\n'


@fault("stream")
async def flood(exchange: Exchange, *, size: int = 2**26) -> web.StreamResponse:
    """Good deltas as fast as they are read, ``size`` bytes of them, then a good end."""
    # Encoded once: the flood must not wait for Python.
    many = encode_frame(chunk("word ")) * 256
    await raw_stream(exchange, [many] * math.ceil(size / len(many)))
    await send_all(exchange, chunked([encode_frame(STOP) + DONE]))
    await exchange.send(b"0\r\n\r\n")
    return exchange.sent(keep_alive=True)


@fault("stream")
async def one_http_chunk(exchange: Exchange, *, seconds: float = 0.01) -> web.StreamResponse:
    """A good stream within one HTTP chunk, its events ``seconds`` apart."""
    events = [*map(encode_frame, [*deltas(), STOP]), DONE]
    await exchange.send(head(exchange, "Transfer-Encoding: chunked", content_type="text/event-stream"))
    # A proxy may join chunks, so events need not end where chunks do (RFC 9112, section 7.1).
    await exchange.send(b"%x\r\n" % sum(map(len, events)))
    for each in events:
        await exchange.send(each)
        await asyncio.sleep(seconds)
    await exchange.send(b"\r\n0\r\n\r\n")
    return exchange.fin()
