"""Chat completions: the messages are checked as upstreams check them, and the brain answers.

The brain decides what an answer says; ``testing.answers`` sends it, whole or in chunks.
"""

import base64
import hashlib
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tutuclient.standin import brain, tools
from tutuclient.testing import lenient
from tutuclient.testing.account import ANSWER_POINTS, IMAGE_POINTS
from tutuclient.testing.answers import draws, fails, send_chat
from tutuclient.testing.exchange import INLINE_BYTES, Answer, Exchange, Played

# new-api decodes into Go's types, and answers 400 for "true" in place of true (WIRE.md 1.3).
_GO_TYPES = {"stream": (bool, "bool"), "logprobs": (bool, "bool"), "max_tokens": (int, "uint"), "n": (int, "int"),
             "max_completion_tokens": (int, "uint"), "top_logprobs": (int, "int")}  # fmt: skip

_JSON_KINDS = {"bool": "bool", "str": "string", "list": "array", "dict": "object"}


async def answer(exchange: Exchange) -> web.StreamResponse:
    """POST /v1/chat/completions."""
    payload = exchange.payload
    if not lenient.array(payload.get("messages")):
        return exchange.error(400, "field messages is required", code="invalid_text_request")
    if (wrong := _wrong_type(payload)) is not None:
        return exchange.error(400, wrong, code="invalid_text_request")
    if (wrong := _unanswered(lenient.objects(payload["messages"]))) is not None:
        return exchange.error(400, wrong, type="invalid_request_error", param="messages", code=None)
    # A look at the bytes is enough: a thread costs more than an answer in words, and less than one image.
    heavy = b"image" in exchange.body or b"audio" in exchange.body or len(exchange.body) > INLINE_BYTES
    scripted = await exchange.stage.work(lambda: _reply(exchange)) if heavy else _reply(exchange)
    return await scripted.play(exchange)


def _wrong_type(payload: Mapping[str, Any]) -> str | None:
    """Return the error of Go's decoder for a field of the wrong type, as new-api returns it (encoding/json)."""
    for name, (kind, go) in _GO_TYPES.items():
        value = payload.get(name)
        wrong = value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool)))
        if wrong or (go == "uint" and isinstance(value, int) and value < 0):
            met = _JSON_KINDS.get(type(value).__name__, f"number {value}")
            return f"json: cannot unmarshal {met} into Go struct field GeneralOpenAIRequest.{name} of type {go}"
    return None


def _unanswered(messages: list[dict[str, Any]]) -> str | None:
    """Return OpenAI's error for tool calls without results, and for results without calls."""
    waiting: list[str] = []
    for message in messages:
        if message.get("role") == "tool":
            call = str(message.get("tool_call_id"))
            if call not in waiting:
                return (
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'."
                )
            waiting.remove(call)
            continue
        if waiting:
            break
        waiting = [str(call.get("id")) for call in lenient.objects(message.get("tool_calls"))]
    if waiting:
        return (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}"
        )
    return None


def _reply(exchange: Exchange) -> Answer:
    """Call the brain; in a worker thread when there are images or audio, which take time."""
    payload, stage = exchange.payload, exchange.stage
    try:
        reply = brain.answer(payload, stage.fetch)
    except (brain.BadImageError, brain.BadAudioError) as error:
        kind = "image" if isinstance(error, brain.BadImageError) else "audio"
        return fails(400, str(error), code=f"invalid_{kind}_request")
    except tools.BadToolsError as error:
        return _request_error(str(error), "invalid_function_parameters", error.param)
    except brain.BadSchemaError as error:
        return _request_error(str(error), None, "response_format")
    fields: dict[str, Any] = {} if reply.reasoning is None else {"reasoning_content": reply.reasoning}
    stage.account.charge(ANSWER_POINTS if reply.image is None else IMAGE_POINTS)
    if reply.image is not None:
        return draws(reply.image, note=reply.text, language=reply.language, **fields)
    # Who asks in the old way is answered in the old way (``function_call``; WIRE.md 1.4).
    if reply.tool_calls and payload.get("functions"):
        fields["function_call"] = reply.tool_calls[0]["function"]
    elif reply.tool_calls:
        fields["tool_calls"] = list(reply.tool_calls)
    if reply.audio is not None:
        fields["audio"] = _audio(reply.audio, reply.transcript)
    limit = payload.get("max_completion_tokens", payload.get("max_tokens"))
    most = limit if isinstance(limit, int) and limit > 0 else None
    content = None if reply.tool_calls or reply.audio is not None else reply.text
    return Played(lambda asked: send_chat(asked, content, fields, max_tokens=most, numbered=reply.free))


def _request_error(message: str, code: str | None, param: str) -> Answer:
    return fails(400, message, code=code, type="invalid_request_error", param=param)


def _audio(data: bytes, transcript: str) -> dict[str, Any]:
    return {
        "id": f"audio_{hashlib.sha256(data).hexdigest()[:24]}",
        "data": base64.b64encode(data).decode(),
        # Long enough for the next turn, which may refer to the audio by its id (WIRE.md 1.4).
        "expires_at": int(time.time()) + 3600,
        "transcript": transcript,
    }
