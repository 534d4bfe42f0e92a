"""Mutated answers, frames and settings: does anything but our own errors come out, and does time stay linear?

``python -m benchmarks.fuzz [--count 1000000] [--seed N]`` takes good and odd inputs, spoils them (bits, cuts,
splices, repetitions, numbers, escapes, nesting), and gives them to the pure rooms that meet a relay's bytes. Whatever
is raised must be a ``TutuError`` whose message prints on one line and which survives pickling; whatever is read must
be text that can be encoded. Then each kind meets the inputs that are worst for it at growing sizes, and the cost of a
byte is compared. The exit code is 1 when something foreign came out or time was not linear.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import pickle
import random
import sys
import time
import zlib
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from tutuclient import TutuError, __version__, wire
from tutuclient.downloads.fetch import Downloads
from tutuclient.downloads.guard import Guard, parse_address
from tutuclient.finding import ImageFinder, find_images
from tutuclient.media.addresses import safe_url
from tutuclient.media.kinds import image_mime
from tutuclient.retry import retry_after_of
from tutuclient.settings import clean_headers
from tutuclient.settings.credentials import clean_base_url, clean_key
from tutuclient.settings.proxies import clean_proxy
from tutuclient.streams.chat import ChunkReader
from tutuclient.types import ChatChoice, ChatCompletion, ChatMessage, Meta, ModelList
from tutuclient.types.provenance import Origin, set_origin
from tutuclient.wire.sse import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_BYTES = 2**26
LINEAR = 6.0
"""How many times dearer a byte may be at the largest size than at the smallest; quadratic time is 16 times dearer."""

_PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
_B64 = base64.b64encode(_PNG).decode()
_FINDER = ImageFinder(Downloads(), made=True)
_GUARD = Guard(allow_private=False, trusted_origins=())
_ORIGIN = Origin(Meta(200, {}, 1), _FINDER)


# --- good and odd inputs --------------------------------------------------------------------------------------------


def _dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _whole(message: dict[str, Any], **fields: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": "stop"}
    return _dump({"id": "c1", "object": "chat.completion", "created": 1767225600, "choices": [choice], **fields})


def _frame(delta: object, **fields: Any) -> bytes:
    return _dump({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, **fields}]})


def _call(index: object, id_: object, name: object, arguments: object) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": id_, "type": "function", "function": function, "extra_content": {"google": {"t": 1}}}


_USAGE = {"prompt_tokens": 9, "completion_tokens": 1.0, "total_tokens": "10", "prompt_tokens_details": {"cached": 1}}
_TEXTS = (
    "桌上有一只橘猫。\nA cat 🐈‍⬛ on the \\ table.",
    "图像修改完成,请查看链接:https://files.example.com/out/a_1.png",
    f"![gen_01](https://cdn.example.com/9f.png)\n\n[点击下载](https://cdn.example.com/download/9f.png) `x` data:{_B64}",
    f"![image](data:image/png;base64,{_B64})\n<data:image/png;base64,{_B64}>",
    '```json\n{"prompt": "a", "url": "https:\\/\\/h.example\\/a.png"}\n```\n> ID: `t`\n>🏃 进度 36..47..[100](https://h/r)',
    "[▶️ 在线观看](https://h.example/a.mp4) | [⏬ 下载视频](https://h.example/download/a.mp4) ~~~ ``` ` (( [[ ]( ![",
    _B64,
)
_ANSWERS = (
    *(_whole({"content": text}, model="gpt-4o", usage=_USAGE) for text in _TEXTS),
    _whole({"content": None, "tool_calls": [_call(0, "c", "weather", '{"city":"Oslo"}'), _call(None, "", "f", {})]}),
    _whole({"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": _B64}}, "b", 7]}),
    _whole({"content": "", "images": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_B64}"}}]}),
    _whole({"content": "x", "image": {"url": "https://h/a.png"}, "reasoning_content": "hm", "reasoning": "hm"}),
    _whole({"content": "x", "function_call": {"name": "f", "arguments": {}}, "audio": {"id": "a"}}, error=None),
    _dump({"created": 1, "data": [{"url": "", "b64_json": _B64, "revised_prompt": "p"}, {"url": "https://h/a"}]}),
    _dump({"success": True, "data": [{"id": "m", "object": "model", "created": 1626777600, "permission": None}]}),
)
_ERRORS = (
    _dump({"error": {"message": "no (request id: 20260301x)", "type": "new_api_error", "param": "", "code": None}}),
    _dump({"error": {"message": {"deep": ["x"]}, "type": 7, "code": 500.0, "param": {"a": 1}}}),
    _dump({"error": "upstream gave up", "code": "insufficient_quota"}),
    _dump({"success": False, "message": "无权进行此操作，额度不足"}),
    _dump({"detail": [{"loc": ["body"], "msg": "bad", "type": "value_error"}]}),
    _dump({"code": 10013, "msg": "balance", "errors": ["a"], "header": {"message": "m"}}),
    _dump({"object": "error", "message": "out of memory", "type": "ServerError", "code": 400}),
    _dump({"response": {"error": {"message": "inner"}}}) * 2,
    b"<!doctype html><html><head><title>504 Gateway Time-out</title></head><body>nginx\x1b[31m</body></html>",
    b"upstream connect error\r\nX-Forged: 1\r\n\x1b]0;title\x07",
    b"",
)
_FRAMES = (
    *(_frame({"role": "assistant", "content": text}) for text in _TEXTS),
    _frame({"content": ""}, finish_reason="stop"),
    _frame({"tool_calls": [_call(0, "call_1", "weather", '{"ci')]}),
    _frame({"tool_calls": [_call(None, None, None, 'ty":"Oslo"}')]}),
    _frame(
        {"reasoning_content": "hm", "images": [{"image_url": {"url": "https://h/a.png"}}]}, logprobs={"content": []}
    ),
    _frame(None, message={"content": [{"type": "text", "text": "a"}]}, finish_reason=""),
    _dump({"id": "", "object": "", "created": 0, "model": "", "choices": None, "usage": None}),
    _dump({"choices": [], "usage": _USAGE}),
    *_ERRORS[:7],
    b"{}",
    b"null",
    b"[DONE]",
    b"",
)
_HEADERS = (
    *("1", "0.25", "Wed, 21 Oct 2026 07:28:00 GMT", "Sun Nov  6 08:49:37 1994", "-5", "NaN", "inf", "1, 2", "1_0"),
    *("٣", "99999999999999999999", "in a while", "Mon, 1 Jan 0001 00:00:00 +2359", "9" * 400, ""),
)
_ADDRESSES = (
    *("https://relay.example/v1", "relay.example", "http://127.0.0.1:8080/v1/chat/completions", "//h/v1", "https://"),
    *("http://[::1]:9/v1", "https://user:pw@h/", "http://h:99999", "http://[bad", "ftp://h", "https://h/?a=b#c", "  "),
    *("https://例え.jp/a.png", "http://0x7f.1/a", "http://h\\@x/a.png", "'https://h/v1/'", "Bearer sk-abc", "h:443"),
)
_TRICKS = (
    *(b"\\ud83d", b"\\udc00", b"\\u0000", b"\\", b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"1e999"),
    *(b"NaN", b"-Infinity", b"9" * 30, b"9" * 5000, b"0.1e-400", b"\xef\xbb\xbf", b"\xff", b"\xc0\x80", b"\xed\xa0"),
    *(b"\r", b"\n", b"\r\n", b"\0", b"\x1b[31m", b"\xe2\x80\xae", b"data:", b"data: [DONE]\n\n", b"event: error\n"),
    *(b": ping\n\n", b"id: 1\nretry: 99999999999\n", b"http://", b"](", b"![", b"```", b"data:image/png;base64,"),
    *(b'"error":', b'"choices":', b'"content":', b'"tool_calls":', b'"index":', b'"code":', b'"message":', b" " * 70),
)  # fmt: skip


# --- spoiling -------------------------------------------------------------------------------------------------------


def _spoil(dice: random.Random, data: bytes, others: tuple[bytes, ...]) -> bytes:
    """Change some bytes in one to four of nine ways."""
    spoilt = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
        at = dice.randrange(len(spoilt) + 1)
        end = min(len(spoilt), at + dice.choice((1, 2, 8, 64, 1000)))
        way = dice.randrange(9)
        if way == 0 and at < len(spoilt):
            spoilt[at] ^= 1 << dice.randrange(8)
        elif way == 1:
            del spoilt[at:]
        elif way == 2:  # noqa: PLR2004  (the ways are numbered)
            del spoilt[at:end]
        elif way == 3:  # noqa: PLR2004  (a way has a number and no name)
            spoilt[at:at] = spoilt[at:end] * dice.choice((1, 2, 20))
        elif way == 4:  # noqa: PLR2004  (a way has a number and no name)
            other = dice.choice(others)
            place = dice.randrange(len(other) + 1)
            spoilt[at:] = other[place:]
        elif way == 5:  # noqa: PLR2004  (a way has a number and no name)
            spoilt[at:end] = dice.choice(_TRICKS)
        elif way == 6:  # noqa: PLR2004  (a way has a number and no name)
            _swap_value(dice, spoilt)
        elif way == 7:  # noqa: PLR2004  (a way has a number and no name)
            spoilt[at:at] = dice.randbytes(dice.choice((1, 4, 30)))
        else:
            _nest(dice, spoilt, at)
    return bytes(spoilt)


_VALUES = (
    *(b"null", b"0", b"-1", b"1.5", b"1e999", b'""', b'"x"', b"[]", b"{}", b"[null]", b"[[]]", b'{"a":{}}', b"true"),
    *(b"9" * 25, b"9" * 4400, b'"\\ud800"', b'["x"]', b'{"message":"m"}', b'"17"', b"false", b"1e400", b'"\\u001b[2J"'),
)


def _swap_value(dice: random.Random, data: bytearray) -> None:
    """Replace the value behind some colon by another JSON value."""
    colon = data.find(b":", dice.randrange(len(data) + 1))
    if colon < 0:
        return
    ends = [end for mark in (b",", b"}", b"]") if (end := data.find(mark, colon)) > 0]
    data[colon + 1 : min(ends, default=colon + 1)] = dice.choice(_VALUES)


def _nest(dice: random.Random, data: bytearray, at: int) -> None:
    """Nest something: mostly a few levels or near Python's limit for recursion, now and then far beyond."""
    depth = dice.choice((3, 3, 50, 300, 600, 900, 950, 990, 1100))
    if dice.random() < 0.01:  # noqa: PLR2004  (it costs a hundred times as much as anything else here)
        depth = 100_000
    begin, end = dice.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"[", b""), (b'{"error":', b"}"), (b'["x",', b"]")))
    colon = data.find(b":", at)
    place = colon + 1 if colon > 0 else at
    data[place:place] = begin * depth + (b"1" if end == b"}" else b"") + end * depth + b","


def _text(dice: random.Random, texts: tuple[str, ...]) -> str:
    spoilt = _spoil(dice, dice.choice(texts).encode(), tuple(text.encode() for text in texts))
    return spoilt.decode("utf-8", dice.choice(("replace", "surrogateescape")))


def _cut(dice: random.Random, data: bytes) -> Iterator[bytes]:
    """Cut a stream as a network might: whole, byte by byte, or anywhere."""
    sizes = dice.choice(((len(data) or 1,), (1,) if len(data) < 2000 else (97,), (2, 3, 50), (1, 10, 300, 4000)))  # noqa: PLR2004  (a way has a number and no name)
    at = 0
    while at < len(data):
        size = dice.choice(sizes)
        yield data[at : at + size]
        at += size


# --- what reads them ------------------------------------------------------------------------------------------------


def _check(answer: Any, dice: random.Random) -> None:
    """Use an answer as a caller would; whatever cannot be used is raised."""
    if isinstance(answer, ChatCompletion):
        message = answer.message
        for text in (answer.text, message.text, message.thinking, answer.id, answer.model, answer.finish_reason or ""):
            text.encode()
        for call in message.tool_calls or ():
            f"{call.id}{call.type}{call.function.name}{call.function.arguments}{call.extra}".encode()
        _ = message.extra if dice.random() < 0.1 else None  # noqa: PLR2004  (a tenth is enough)
        _ = answer.usage and (answer.usage.extra, answer.usage.total_tokens)
        _check_images(answer.images)
        wire.prepared_messages([message])
    if dice.random() < 0.05:  # noqa: PLR2004  (a twentieth is enough)
        _ = answer.extra
        pickle.loads(pickle.dumps(answer))  # noqa: S301  (our own bytes)


def _check_images(images: list[Any]) -> None:
    for image in images:
        repr(image).encode()


def _check_error(error: TutuError) -> None:
    message = str(error)
    message.encode()
    if not message.isprintable() and not message.replace("\u00a0", "").replace("\u3000", "").isprintable():
        bad = {mark for mark in message if not mark.isprintable() and ord(mark) < 0xA0}  # noqa: PLR2004  (controls)
        if bad:
            raise AssertionError(f"a message with control characters {bad!r}")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
    if type(again) is not type(error) or str(again) != message:
        raise AssertionError("an error that changes when it is pickled")


def _read_whole(dice: random.Random) -> None:
    _check(_with_origin(wire.read_completion(_spoil(dice, dice.choice(_ANSWERS), _ANSWERS), _ORIGIN.meta)), dice)


def _with_origin(completion: ChatCompletion) -> ChatCompletion:
    set_origin(completion, _ORIGIN)
    return completion


def _stream(dice: random.Random) -> bytes:
    frames = [dice.choice(_FRAMES[:12]) for _ in range(dice.randrange(1, 5))]
    frames.insert(dice.randrange(len(frames) + 1), dice.choice(_FRAMES))
    begin, end = dice.choice(((b"data: ", b"\n\n"), (b"data:", b"\r\n\r\n"), (b"data: ", b"\r\r"), (b"data: ", b"\n")))
    data = b"".join(begin + frame + end for frame in frames) + dice.choice((b"", b"data: [DONE]\n\n", b"data: [DONE]"))
    return _spoil(dice, data, _FRAMES) if dice.random() < 0.8 else data  # noqa: PLR2004  (the cuts are a test too)


def _read_stream(dice: random.Random) -> None:
    reader = ChunkReader(_ORIGIN, many=dice.random() < 0.2, max_bytes=dice.choice((MAX_BYTES, 2000)))  # noqa: PLR2004  (a way has a number and no name)
    try:
        for piece in chain(_cut(dice, _stream(dice)), (b"",)):
            for chunk in reader.feed(piece) if piece else reader.end():
                f"{chunk.text}{chunk.thinking}".encode()
                _check_images(chunk.images)
        reader.check_complete(strict=dice.random() < 0.5)  # noqa: PLR2004  (half and half)
    finally:
        if reader.partial is not None:
            _check(reader.partial, dice)


def _read_unasked(dice: random.Random) -> None:
    data = _stream(dice)
    if wire.is_event_stream(data[:64], "text/event-stream"):
        reader = ChunkReader(_ORIGIN, many=False, max_bytes=MAX_BYTES)
        list(reader.read_all(data))
        _check(reader.folder.completion(), dice)


def _read_frame(dice: random.Random) -> None:
    chunk = wire.read_chunk(_spoil(dice, dice.choice(_FRAMES), _FRAMES), _ORIGIN.meta)
    if chunk is not None:
        chunk.text.encode()


def _read_error(dice: random.Random) -> None:
    data = _spoil(dice, dice.choice(_ERRORS), _ERRORS)
    status = dice.choice((301, 400, 401, 403, 404, 413, 418, 429, 500, 502, 504, 524, 529))
    location = _text(dice, _ADDRESSES)
    headers = {"location": location, "x-request-id": _text(dice, _HEADERS), "x-should-retry": "true"}
    found = wire.error_of_answer(data, _ORIGIN.meta)
    if found is not None:
        _check_error(found)
    raise wire.error_of_status("POST /chat/completions", data, Meta(status, headers, 1), retry_after=None)


def _read_error_event(dice: random.Random) -> None:
    raise wire.error_event(_spoil(dice, dice.choice(_ERRORS), _ERRORS), _ORIGIN.meta)


def _read_models(dice: random.Random) -> None:
    answer = wire.read_answer(_spoil(dice, dice.choice(_ANSWERS), _ANSWERS), ModelList, _ORIGIN.meta)
    _check(answer, dice)


def _find_pictures(dice: random.Random) -> None:
    text = _text(dice, _TEXTS)
    answer = ChatCompletion(choices=[ChatChoice(message=ChatMessage(content=text))])
    _check_images(find_images(answer, made=dice.random() < 0.5))  # noqa: PLR2004  (half and half)
    image_mime(text.encode("utf-8", "replace")[:64])


def _read_header(dice: random.Random) -> None:
    name = dice.choice(("retry-after", "retry-after-ms"))
    wait = retry_after_of({name: _text(dice, _HEADERS)}, 1_767_225_600.0)
    if wait is not None and not 0 <= wait < math.inf:
        raise AssertionError(f"a wait of {wait}")


def _read_address(dice: random.Random) -> None:
    text = _text(dice, _ADDRESSES)
    safe_url(text).encode()
    clean = dice.choice((clean_base_url, clean_key, clean_proxy, lambda said: clean_headers({"X-A": said})))
    clean(text)


def _read_link(dice: random.Random) -> None:
    # The check that stands before every download, redirects included.
    target = _GUARD.checked(parse_address(_text(dice, _ADDRESSES)))
    _GUARD.checked(parse_address(_text(dice, _ADDRESSES), target))


_PACKED = tuple(
    packer.compress(_ANSWERS[0] * 20) + packer.flush()
    for packer in (zlib.compressobj(wbits=31), zlib.compressobj(), zlib.compressobj(wbits=-15))
)


def _inflate(dice: random.Random) -> None:
    inflater = wire.Inflater(dice.choice(("gzip", "deflate")), 2**14, _ORIGIN.meta)
    data = _spoil(dice, dice.choice(_PACKED), _PACKED)
    if sum(len(out) for piece in _cut(dice, data) for out in inflater.feed(piece)) > 2**14:
        raise AssertionError("more than the limit")


def _split_events(dice: random.Random) -> None:
    decoder = Decoder(4096)
    data = _stream(dice)
    try:
        for piece in _cut(dice, data):
            decoder.feed(piece)
        decoder.flush()
    except ValueError as error:
        if type(error).__name__ != "EventTooLargeError":
            raise


KINDS: dict[str, Callable[[random.Random], None]] = {
    "whole answers": _read_whole,
    "streams": _read_stream,
    "streams unasked": _read_unasked,
    "frames": _read_frame,
    "error bodies": _read_error,
    "error events": _read_error_event,
    "model lists": _read_models,
    "texts with pictures": _find_pictures,
    "Retry-After": _read_header,
    "addresses": _read_address,
    "links": _read_link,
    "compressed bodies": _inflate,
    "events": _split_events,
}
"""What is fuzzed: each reads one spoilt input, and may raise nothing but our own errors."""

_WEIGHTS = (20, 25, 4, 10, 10, 3, 3, 10, 4, 4, 2, 2, 3)


class Found(NamedTuple):
    """Something foreign that came out.

    Attributes:
        kind: Which of ``KINDS``.
        seed: What to give ``reproduce`` to see it again.
        error: What was raised.
    """

    kind: str
    seed: str
    error: BaseException


def fuzz(count: int, seed: int = 0) -> tuple[Counter[str], list[Found]]:
    """Read ``count`` spoilt inputs.

    Returns:
        How often each kind ended in an answer and in each error, and what was foreign.
    """
    outcomes: Counter[str] = Counter()
    foreign: list[Found] = []
    names = random.Random(seed).choices(tuple(KINDS), _WEIGHTS, k=count)
    for number, kind in enumerate(names):
        name = f"{seed}/{number}"
        error = reproduce(kind, name)
        outcomes[f"{kind}: {'an answer' if error is None else type(error).__name__}"] += 1
        if error is not None and not isinstance(error, TutuError):
            foreign.append(Found(kind, name, error))
    return outcomes, foreign


def reproduce(kind: str, seed: str) -> BaseException | None:
    """Read one spoilt input, and return what was raised."""
    try:
        KINDS[kind](random.Random(seed))
    except TutuError as error:
        try:
            _check_error(error)
        except Exception as foreign:  # noqa: BLE001  (that is what is looked for)
            return foreign
        return error
    except Exception as foreign:  # noqa: BLE001  (what is not ours is what is looked for)
        return foreign
    return None


# --- time -----------------------------------------------------------------------------------------------------------


def _timed_stream(data: bytes, cut: int = 2**16) -> None:
    reader = ChunkReader(_ORIGIN, many=False, max_bytes=MAX_BYTES)
    for at in range(0, len(data), cut):
        for _ in reader.feed(data[at : at + cut]):
            pass
    for _ in reader.end():
        pass
    _ = reader.partial


def _timed_whole(data: bytes) -> None:
    _ = _with_origin(wire.read_completion(data, _ORIGIN.meta)).images


def _timed_error(data: bytes) -> None:
    wire.error_of_status("GET /", data, Meta(502, {}, 1))


def _timed_text(text: str) -> None:
    find_images(ChatCompletion(choices=[ChatChoice(message=ChatMessage(content=text))]), made=True)


def _event(frame: bytes) -> bytes:
    return b"data: " + frame + b"\n\n"


def _numbered(make: Callable[[int], bytes], size: int) -> bytes:
    pieces: list[bytes] = []
    length = 0
    while length < size:
        pieces.append(make(len(pieces)))
        length += len(pieces[-1])
    return b"".join(pieces)


def _new_calls(size: int) -> bytes:
    return _numbered(lambda n: b'data: {"choices":[{"delta":{"tool_calls":[{"id":"%d"}]}}]}\n\n' % n, size)


def _messages_beside(size: int) -> bytes:
    """Write pieces of text, and as many whole messages behind them, each of which may repeat what has come."""
    piece, message = _event(_frame({"content": "word "})), _event(_frame({}, message={"content": "x"}))
    return piece * (size // (2 * len(piece))) + message * (size // (2 * len(message)))


def _named_pieces(size: int) -> bytes:
    first = _event(_frame({"tool_calls": [_call(0, "", "f", '{"a":"')]}))
    return first + _numbered(lambda _: _event(_frame({"tool_calls": [_call(0, "", "f", "{}" * 400)]})), size)


_TEXT_UNITS = (
    *(
        "[",
        "](",
        "![](",
        "`",
        "``` ",
        "~~~\n",
        "> ",
        "http://",
        "https://h/a.png ",
        "data:",
        "![a](data:image/png;base64,",
    ),
    *(
        "[a](https://h/a.png)",
        "((",
        "\\",
        "https://h/,http",
        "[100](https://h/r) ",
        "https:\\/\\/",
        "\n",
        "* ",
        "data:a/",
    ),
    *(
        "[![a](https://h/b.png)](https://h/download/b.png) ",
        "data:image/png;base64,iVBORw0KGgo= ",
        "下载:https://h/x ",
        "&amp;",
    ),
)


class Worst(NamedTuple):
    """What is worst for one reader.

    Attributes:
        read: The reader.
        make: Makes an input of about so many bytes.
    """

    read: Callable[[Any], object]
    make: Callable[[int], Any]


def _repeats(read: Callable[[Any], object], unit: str | bytes, begin: bytes = b"") -> Worst:
    if isinstance(unit, str):
        return Worst(read, lambda size: unit * (size // len(unit)))
    return Worst(read, lambda size: begin + unit * (size // len(unit)))


def _streams_of(unit: bytes, cut: int = 2**16) -> Worst:
    return _repeats(partial(_timed_stream, cut=cut), unit)


SLOW: dict[str, Worst] = {
    **{f"text of {unit!r}": _repeats(_timed_text, unit) for unit in _TEXT_UNITS},
    "text of `` `` of growing width": Worst(
        _timed_text, lambda size: " ".join("`" * width for width in range(1, int(math.sqrt(2 * size))))
    ),
    "a whole answer": Worst(_timed_whole, lambda size: _whole({"content": "好" * (size // 3)})),
    "a whole answer to be mended": Worst(
        _timed_whole, lambda size: _whole({"content": [{"type": "text", "text": "a\ud800"}] * (size // 40)})
    ),
    "many odd choices": Worst(
        _timed_whole, lambda size: _dump({"choices": [{"message": {}, "index": "x"}] * (size // 32)})
    ),
    "deep JSON": _repeats(_timed_whole, b'{"a":{"b":[]},'),
    "brackets and escaped quotes": _repeats(_timed_whole, b'\\"', begin=b"[{" * 200),
    "broken JSON": _repeats(_timed_whole, b'{"a":['),
    "an error of one long word": _repeats(_timed_error, b"x"),
    "HTML without end": _repeats(_timed_error, b"<title>"),
    "small deltas": _streams_of(_event(_frame({"content": "a"}))),
    "one long line, byte by byte": Worst(partial(_timed_stream, cut=1), lambda size: b"data: " + b"a" * (size // 8)),
    "one long line, in pieces": Worst(partial(_timed_stream, cut=1000), lambda size: b"data: " + b"a" * size),
    "an event of many lines": _streams_of(b"data: a\n", cut=2**14),
    "lines of one event, each JSON": _streams_of(b"data: {}\n"),
    "values in one event": Worst(_timed_stream, lambda size: _event(_FRAMES[0] * (size // len(_FRAMES[0])))),
    "values with marks between": Worst(_timed_stream, lambda size: _event(b"{}\xef\xbb\xbf" * (size // 5))),
    "new tool calls": Worst(_timed_stream, _new_calls),
    "tool calls with their name in each piece": Worst(_timed_stream, _named_pieces),
    "audio in pieces": _streams_of(_event(_frame({"audio": {"id": "a", "data": "A" * 400, "transcript": "a"}}))),
    "messages beside empty deltas": Worst(_timed_stream, _messages_beside),
    "logprobs": _streams_of(_event(_frame({"content": "a"}, logprobs={"content": [{"token": "a"}]}))),
    "a custom tool's input": _streams_of(
        _event(_frame({"tool_calls": [{"index": 0, "custom": {"name": "c", "input": "x" * 400}}]}))
    ),
    "comments": _streams_of(b": ping\n\n"),
    "fields": _streams_of(b"id: 1\nevent: a\nretry: 1\n"),
    "CR": _streams_of(b"data: a\r", cut=1000),
    "Retry-After": _repeats(lambda text: retry_after_of({"retry-after": text}, 0.0), "Mon, "),
    "base URL": _repeats(lambda text: clean_base_url(f"https://h{text}"), "/v1"),
    "key": _repeats(clean_key, "Bearer "),
    "link": _repeats(lambda text: safe_url(f"https://{text}"), "a@"),
}
"""Inputs that are worst for those who read them."""


def ratio(name: str, sizes: tuple[int, int] = (2**16, 2**20)) -> float:
    """Return how many times more a byte costs in the larger input than in the smaller one."""
    small, large = (_cost(SLOW[name], size) / size for size in sizes)
    return large / max(small, 1e-10)


def _cost(worst: Worst, size: int) -> float:
    data, times = worst.make(size), []
    for _ in repeat(None, 3):
        began = time.thread_time()
        with suppress(TutuError):
            worst.read(data)
        times.append(time.thread_time() - began)
    return min(times)


def main() -> int:
    """Run the fuzzer and the timing, print both, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000, help="spoilt inputs to read")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"tutuclient {__version__}, Python {sys.version.split()[0]}, seed {options.seed}")
    began = time.perf_counter()
    outcomes, foreign = fuzz(options.count, options.seed)
    took = time.perf_counter() - began
    for outcome, number in sorted(outcomes.items()):
        print(f"{number:>9,}  {outcome}")
    print(f"{options.count:,} spoilt inputs in {took:.0f} s; foreign exceptions: {len(foreign)}")
    for kind, seed, error in foreign[:20]:
        print(f"  reproduce({kind!r}, {seed!r}): {type(error).__name__}: {str(error)[:200]!r}")
    slow = []
    print("cost of a byte at 1 MiB against 64 KiB:")
    for name in SLOW:
        dearer = ratio(name)
        print(f"{dearer:>9.2f}  {name}")
        if dearer > LINEAR:
            slow.append(name)
    print(f"not linear: {', '.join(slow) or 'none'}")
    return 1 if foreign or slow else 0


if __name__ == "__main__":
    sys.exit(main())
