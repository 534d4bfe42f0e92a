"""The endpoints of texts beside chat: legacy completions and embeddings."""

import base64
import struct
import time
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from aiohttp import web

from tutuclient.standin import brain, vectors
from tutuclient.testing import lenient
from tutuclient.testing.account import ANSWER_POINTS
from tutuclient.testing.answers import send_events
from tutuclient.testing.exchange import Exchange
from tutuclient.testing.tokens import logprob, tokens

_MOST_INPUTS = 2048
_MOST_DIMENSIONS = 4096


async def complete(exchange: Exchange) -> web.StreamResponse:
    """POST /v1/completions: a text goes on after each prompt, ``n`` times; ``echo`` repeats the prompt before it."""
    payload = exchange.payload
    prompts = _inputs(payload.get("prompt"))
    if not prompts:
        return exchange.error(400, "field prompt is required", code="invalid_text_request")
    count = min(max(lenient.integer(payload.get("n")) or 1, 1), 16)
    limit = lenient.integer(payload.get("max_tokens"))
    limit = 16 if limit is None else limit  # The API's own default for this endpoint.
    choices: list[_Written] = []
    for prompt in prompts:
        for place in range(count):
            text = f' (A stand-in, no model, goes on after "{prompt}".)' + (f" ({place + 1})" if place else "")
            written = tokens(brain.stopped(text, payload.get("stop")))
            finish = "length" if len(written) > limit else "stop"
            echoed = tokens(prompt) if payload.get("echo") is True else []
            choices.append(_Written([*echoed, *written[:limit]], len(written[:limit]), finish))
    counted = sum(len(tokens(prompt)) for prompt in prompts), sum(choice.made for choice in choices)
    usage = {"prompt_tokens": counted[0], "completion_tokens": counted[1], "total_tokens": sum(counted)}
    top: dict[str, Any] = {
        "id": f"cmpl-{exchange.request_id}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": exchange.model,
    }
    exchange.stage.account.charge(ANSWER_POINTS)
    listed = lenient.integer(payload.get("logprobs"))
    if not exchange.wants_stream:
        whole = [_choice(place, choice.tokens, choice.finish, listed, 0) for place, choice in enumerate(choices)]
        return exchange.respond({**top, "choices": whole, "usage": usage})
    # Choices take turns, as on the wire.
    turns = zip_longest(*(_pieces(place, choice, listed) for place, choice in enumerate(choices)))
    frames = [{**top, "choices": [piece]} for turn in turns for piece in turn if piece is not None]
    if lenient.mapping(payload.get("stream_options")).get("include_usage") is True:
        # new-api names a chat's object here too.
        frames.append({**top, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    return await send_events(exchange, frames)


class _Written:
    """The text after one prompt."""

    def __init__(self, pieces: list[str], made: int, finish: str) -> None:
        self.tokens, self.made, self.finish = pieces, made, finish


def _pieces(index: int, written: _Written, listed: int | None) -> list[dict[str, Any]]:
    offset, pieces = 0, list[dict[str, Any]]()
    for token in written.tokens:
        pieces.append(_choice(index, [token], None, listed, offset))
        offset += len(token)
    return [*pieces, _choice(index, [], written.finish, None, offset)]


def _choice(index: int, written: Sequence[str], finish: str | None, listed: int | None, offset: int) -> dict[str, Any]:
    probabilities = [logprob(token, written, listed or 0) for token in written]
    offsets = [offset + sum(map(len, written[:place])) for place in range(len(written))]
    logprobs = {
        "tokens": list(written),
        "token_logprobs": [each["logprob"] for each in probabilities],
        "top_logprobs": [{top["token"]: top["logprob"] for top in each["top_logprobs"]} for each in probabilities],
        "text_offset": offsets,
    }
    return {
        "index": index,
        "text": "".join(written),
        "logprobs": None if listed is None else logprobs,
        "finish_reason": finish,
    }


async def embed(exchange: Exchange) -> web.StreamResponse:
    """POST /v1/embeddings: a vector of length 1 for each text, as floats or as base64 of little-endian float32."""
    payload = exchange.payload
    inputs, kind = _inputs(payload.get("input")), payload.get("encoding_format") or "float"
    asked = lenient.integer(payload.get("dimensions"))
    size = vectors.SIZES.get(exchange.model, vectors.USUAL_SIZE) if asked is None else asked
    wrong = None
    if not inputs:
        wrong = "field input is required"
    elif len(inputs) > _MOST_INPUTS:
        wrong = f"array too long: at most {_MOST_INPUTS} inputs"
    elif kind not in ("float", "base64"):
        wrong = f"encoding_format must be float or base64, not {kind!r}"
    elif not 1 <= size <= _MOST_DIMENSIONS:
        wrong = f"dimensions must be 1 to {_MOST_DIMENSIONS}"
    if wrong is not None:
        return exchange.error(400, wrong, code="invalid_text_request")
    data = await exchange.stage.work(lambda: _vectors(inputs, size, encoded=kind == "base64"))
    counted = sum(len(tokens(text)) for text in inputs)
    exchange.stage.account.charge(ANSWER_POINTS)
    return exchange.respond(
        {
            "object": "list",
            "data": data,
            "model": exchange.model,
            "usage": {"prompt_tokens": counted, "total_tokens": counted},
        }
    )


def _vectors(inputs: Sequence[str], size: int, *, encoded: bool) -> list[Mapping[str, Any]]:
    made: list[Mapping[str, Any]] = []
    for index, text in enumerate(inputs):
        vector = vectors.embed(text, size)
        # Little-endian float32, whatever the machine's order (WIRE.md 1.8).
        packed = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode() if encoded else vector
        made.append({"object": "embedding", "index": index, "embedding": packed})
    return made


def _inputs(value: object) -> list[str]:
    """Return one text, several, or token ids, which become texts of their numbers: there is no vocabulary here."""
    listed = lenient.array(value)
    if listed and all(isinstance(each, int) for each in listed):
        return [" ".join(map(str, listed))]
    if listed and all(isinstance(each, list) for each in listed):
        return [" ".join(map(str, lenient.array(each))) for each in listed]
    return lenient.strings(value) if not listed or all(isinstance(each, str) for each in listed) else []
