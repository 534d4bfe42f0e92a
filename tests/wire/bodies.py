"""What the tests of ``tutuclient.wire`` read: answers as relays write them, and the errors of a status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tutuclient import wire
from tutuclient._meta import Meta

if TYPE_CHECKING:
    from tutuclient.errors import APIStatusError
    from tutuclient.types.chat import ChatCompletion

OK = Meta(200)
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
    "extra_content": {"google": {"thought_signature": "c2ln"}},
}


def completion(**fields: Any) -> bytes:
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
    return json.dumps(whole | fields).encode()


def message(**fields: Any) -> bytes:
    return completion(choices=[{"message": {"role": "assistant", "content": "hi"} | fields}])


def choice(**fields: Any) -> bytes:
    return completion(choices=[{"message": {"role": "assistant", "content": "hi"}} | fields])


def usage(**fields: Any) -> bytes:
    return completion(usage=fields)


def calls(*tool_calls: object) -> bytes:
    return message(content=None, tool_calls=list(tool_calls))


def answer_of(body: bytes) -> ChatCompletion:
    return wire.read_completion(body, OK)


def of_status(status: int, body: str | bytes = b"", **headers: str) -> APIStatusError:
    data = body.encode() if isinstance(body, str) else body
    meta = Meta(status, {name.replace("_", "-"): value for name, value in headers.items()})
    return wire.error_of_status("POST /chat/completions", data, meta, retry_after=1.5)


def counts(answer: ChatCompletion) -> tuple[int | None, int | None, int | None]:
    assert answer.usage is not None
    return answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens
