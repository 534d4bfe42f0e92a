"""Tokens without a tokenizer: how many a text has, and their made-up probabilities."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tutuclient.testing import lenient

# Models have about one token for each of these characters, and their texts have no spaces.
_CJK = "\u3000-\u9fff\uff00-\uffef"
_TOKEN = re.compile(rf"\s*(?:\.\.\d+|[{_CJK}]|[^\s.{_CJK}]+|\.)|\s+")


def tokens(text: str) -> list[str]:
    """Cut a text into tokens much like a model's; joined they are the text again."""
    return _TOKEN.findall(text)


def logprob(token: str, others: Sequence[str], top: int) -> dict[str, Any]:
    """Describe a token as an answer with ``logprobs`` does; the same token has the same figure.

    The ``top`` likeliest are listed, itself first; the others are taken from those of the whole answer.
    """
    own = -round(hashlib.sha256(token.encode("utf-8", "replace")).digest()[0] / 400, 4)
    rivals = [each for each in dict.fromkeys(others) if each != token]
    ranked = [(token, own), *((each, round(own - 1.5 - place, 4)) for place, each in enumerate(rivals))][:top]
    listed = [{"token": each, "bytes": _bytes(each), "logprob": value} for each, value in ranked]
    return {"token": token, "bytes": _bytes(token), "logprob": own, "top_logprobs": listed}


def _bytes(token: str) -> list[int]:
    return list(token.encode("utf-8", "surrogatepass"))


def prompt_tokens(payload: Mapping[str, Any]) -> int:
    """Count a chat's tokens as this stand-in does: one a word or CJK character, 85 an image or audio part."""
    counted = 0
    for message in lenient.objects(payload.get("messages")):
        content = message.get("content")
        for part in [content] if isinstance(content, str) else lenient.array(content):
            text = part if isinstance(part, str) else lenient.mapping(part).get("text")
            if isinstance(text, str):
                counted += len(tokens(text))
            elif isinstance(part, dict):
                counted += 85
    return counted
