"""Chunks as relays write them, and short ways to read them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tutuclient._meta import Meta
from tutuclient.errors import APIError
from tutuclient.streams.chat import ChunkReader
from tutuclient.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    TokenLogprob,
    TopLogprob,
)
from tutuclient.types.provenance import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable


META = Meta(200, {"x-request-id": "r1"})
DONE = "[DONE]"


def nothing(_: object) -> list[Any]:
    return []


ORIGIN = Origin(META, nothing)


def events(*frames: object) -> bytes:
    """Write frames as a relay does: texts as they are, all else as JSON."""
    texts = (frame if isinstance(frame, str) else json.dumps(frame, ensure_ascii=False) for frame in frames)
    return "".join(f"data: {text}\n\n" for text in texts).encode()


H = {"token": "h", "bytes": [104], "logprob": -1, "top_logprobs": [{"token": "h", "logprob": -1}]}
H_READ = TokenLogprob(token="h", bytes=[104], logprob=-1, top_logprobs=[TopLogprob(token="h", logprob=-1)])


def delta(content: Any = None, *, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    said = ({} if content is None else {"content": content}) | fields
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": said, "finish_reason": reason}]}


def call(**fields: Any) -> dict[str, Any]:
    """Write a piece of a tool call; ``name`` and ``arguments`` go into its function."""
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return {"choices": [{"index": 0, "delta": {"tool_calls": [fields | {"function": function}]}}]}


END = delta(reason="stop")


def folded(*frames: object, many: bool = False) -> ChatCompletion:
    return fold(events(*frames), many=many)


def reader(*, many: int = False, max_bytes: int = 2**20) -> ChunkReader:
    return ChunkReader(ORIGIN, many=many, max_bytes=max_bytes)


def chunks_of(stream: bytes, places: Iterable[int] = ()) -> tuple[list[ChatCompletionChunk], str | None]:
    """Read a stream in pieces: its chunks, and how it ended when not well."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    reading = reader()
    found: list[ChatCompletionChunk] = []
    try:
        for start, end in pairwise(edges):
            for chunk in reading.feed(stream[start:end]):
                found.append(chunk)  # noqa: PERF402  (what came before an error counts)
        for chunk in reading.end():
            found.append(chunk)  # noqa: PERF402  (as above)
        reading.check_complete(strict=False)
    except APIError as error:
        return found, type(error).__name__
    return found, None


def tools(answer: ChatCompletion) -> list[tuple[str, str, str]]:
    return [(one.id, one.function.name, one.function.arguments) for one in answer.message.tool_calls or []]


NORMAL = (
    {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "gpt-4o",
        "usage": None,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
    },
    {"id": "c1", "created": 1767225600, "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "你"}}]},
    {"id": "c1", "created": 1767225600, "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "好"}}]},
    {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"id": "c1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "cost": 0.5}},
    DONE,
)


AZURE = {
    "id": "",
    "object": "",
    "created": 0,
    "model": "",
    "choices": [],
    "prompt_filter_results": [{"prompt_index": 0}],
}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
FORCED = {"id": "", "object": "", "created": 0, "model": "", "choices": None, "usage": None}


def also(frame: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return frame | fields


def noisy(index: object, content: str | None = None, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": content}, "finish_reason": reason}]}


OSLO, TURIN = '{"city":"Oslo"}', '{"city":"Turin"}'
NA_CLAUDE = [
    {
        "choices": [
            {
                "delta": {
                    "tool_calls": [
                        {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
                    ]
                },
                "logprobs": None,
                "finish_reason": None,
                "index": 0,
            }
        ],
        "usage": None,
    },
    {
        "choices": [
            {
                "delta": {"tool_calls": [{"type": None, "function": {"arguments": OSLO}}]},
                "logprobs": None,
                "finish_reason": None,
                "index": 1,
            }
        ],
        "usage": None,
    },
    {"choices": [{"delta": {}, "logprobs": None, "finish_reason": "tool_use", "index": 0}], "usage": None},
]


HELLO = [delta("", role="assistant"), delta("hel"), delta("lo"), also(END, usage=USAGE)]


def fold(data: bytes, *, many: int = 0, max_bytes: int = 2**20) -> ChatCompletion:
    """Read an event stream that has come whole."""
    one = reader(many=many, max_bytes=max_bytes)
    for _ in one.read_all(data):
        pass
    return one.folder.completion()
