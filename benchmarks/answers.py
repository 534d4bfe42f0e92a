"""What the server answers, as ready bytes: the fields and sizes that OpenAI sends, framed as relays frame them.

Every event of a stream is an HTTP chunk of its own, as gin, uvicorn and nginx without buffering send it.
"""

from __future__ import annotations

import base64
import functools
import json
import random

_WORDS = (
    "the",
    "picture",
    "shows",
    "a",
    "small",
    "red",
    "panda",
    "on",
    "mossy",
    "branch",
    ",",
    "its",
    "tail",
    "curled",
)
_ID = "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG"
_USAGE = {
    "prompt_tokens": 1118,
    "completion_tokens": 86,
    "total_tokens": 1204,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
_HEADERS = (
    b"HTTP/1.1 200 OK\r\nServer: openresty\r\nDate: Fri, 21 Nov 2025 12:00:00 GMT\r\nContent-Type: %b\r\n"
    b"X-Oneapi-Request-Id: 20251121120000123456789AbCdEfGh\r\nopenai-processing-ms: 612\r\n"
    b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 9999\r\nConnection: keep-alive\r\n%b\r\n\r\n"
)
STREAM_HEAD = _HEADERS % (b"text/event-stream", b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked")
DONE = b"data: [DONE]\n\n"
LAST = b"0\r\n\r\n"


def to_json(value: object) -> bytes:
    """Write JSON as relays do, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def json_answer(value: object) -> bytes:
    """Frame a JSON answer with its length."""
    body = to_json(value)
    return _HEADERS % (b"application/json; charset=utf-8", b"Content-Length: %d" % len(body)) + body


def http_chunk(data: bytes) -> bytes:
    """Frame bytes as one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(delta: dict[str, object], finish_reason: str | None = None, padding: str = "") -> bytes:
    """Return one event of a stream, with all the fields of OpenAI's."""
    value = {
        "id": _ID,
        "object": "chat.completion.chunk",
        "created": 1741570283,
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": "fp_fc9f1d7035",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
        "usage": None,
        "obfuscation": padding,
    }
    return b"data: %b\n\n" % json.dumps(value, separators=(",", ":")).encode()


@functools.cache
def events(number: int) -> list[bytes]:
    """Return the events of a stream of ``number`` chunks: the role, then words, then the finish_reason."""
    dice = random.Random(7)
    words = [
        event({"content": f" {dice.choice(_WORDS)}"}, padding="".join(dice.choices("abcXYZ019", k=dice.randint(2, 14))))
        for _ in range(997)
    ]
    middle = [words[place % len(words)] for place in range(number - 2)]
    return [event({"role": "assistant", "content": "", "refusal": None}), *middle, event({}, "stop")]


@functools.cache
def stream(number: int) -> bytes:
    """Return a whole streamed answer of ``number`` chunks and ``[DONE]``."""
    framed = [http_chunk(each) for each in (*events(number), DONE)]
    return STREAM_HEAD + b"".join(framed) + LAST


@functools.cache
def small() -> bytes:
    """Return the answer to a question about an image: a sentence, and every field that OpenAI sends beside it."""
    return completion(
        "The picture shows a wooden boardwalk through a green meadow under a blue sky with thin clouds. " * 3
    )


def completion(content: str) -> bytes:
    """Return a whole answer with this text, and every field that OpenAI sends beside it."""
    message: dict[str, object] = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
    return json_answer(
        {
            "id": _ID,
            "object": "chat.completion",
            "created": 1741570283,
            "model": "gpt-4o-2024-08-06",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": _USAGE,
            "service_tier": "default",
        }
    )


@functools.cache
def picture(size: int) -> str:
    """Return ``size`` characters of base64 without repetition."""
    return base64.b64encode(random.Random(7).randbytes(size * 3 // 4)).decode()


@functools.cache
def picture_stream(size: int) -> bytes:
    """Return a stream with one data line of ``size`` bytes: an image as a data URI."""
    text = f"![image](data:image/png;base64,{picture(size - 400)})"
    parts = (event({"role": "assistant", "content": ""}), event({"content": text}), event({}, "stop"), DONE)
    return STREAM_HEAD + b"".join(map(http_chunk, parts)) + LAST


@functools.cache
def picture_answer(size: int) -> bytes:
    """Return an answer of the images endpoint with one image of ``size`` bytes of base64."""
    return json_answer({"created": 1741570283, "data": [{"b64_json": picture(size)}], "usage": None})
