"""Chat completions made of a text and fields: whole, or cut into the chunks of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tutuclient.testing import lenient
from tutuclient.testing.tokens import logprob, prompt_tokens, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TOP_FIELDS = frozenset({"id", "object", "created", "model", "system_fingerprint", "service_tier"})
"""Fields of the whole answer, and of each chunk; all others are the message's."""

_AUDIO_PIECE = 2**15  # Characters of base64: whole samples, so that each piece can be decoded by itself.
_ARGUMENTS_PIECE = 12
_MOST_CHOICES = 16
_MOST_LOGPROBS = 20
_CALL_TOKENS = 7  # new-api adds them to each tool call.


@dataclass(frozen=True)
class Choice:
    """One of the choices of an answer.

    Attributes:
        index: Its place.
        content: The message's content: a text, a list of parts, or None.
        pieces: The same as the deltas of a stream hold it.
        message: The message's other fields.
        finish: Its ``finish_reason``.
        top_logprobs: How many likely tokens are listed for each one; None for no ``logprobs``.
    """

    index: int
    content: object
    pieces: Sequence[object]
    message: Mapping[str, Any]
    finish: object
    top_logprobs: int | None

    def whole(self) -> dict[str, Any]:
        """Return it as an item of ``choices``."""
        return {
            "index": self.index,
            "message": {"role": "assistant", "content": self.content, "refusal": None, **self.message},
            # Null where none were asked for: new-api always writes the field (WIRE.md 5).
            "logprobs": self._logprobs(self.pieces),
            "finish_reason": self.finish,
        }

    def chunks(self, top: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return its chunks: the role, the message's other fields, the content piece by piece, the reason to end."""
        chunks = [chunk(None, index=self.index, **top, role="assistant")]
        # OpenAI's first delta has the role and an empty content (WIRE.md 3.3).
        chunks[0]["choices"][0]["delta"]["content"] = None if self.content is None else ""
        chunks += [chunk(None, index=self.index, **top, **delta) for delta in _deltas(self.message)]
        for piece in self.pieces:
            chunks.append(chunk(piece, index=self.index, **top))
            chunks[-1]["choices"][0]["logprobs"] = self._logprobs([piece])
        chunks.append(chunk(None, index=self.index, finish_reason=self.finish, **top))
        return chunks

    def _logprobs(self, pieces: Sequence[object]) -> dict[str, Any] | None:
        if self.top_logprobs is None:
            return None
        rivals = [each for each in self.pieces if isinstance(each, str)]
        listed = [logprob(each, rivals, self.top_logprobs) for each in pieces if isinstance(each, str)]
        return {"content": listed, "refusal": None}


def choices(
    payload: Mapping[str, Any],
    content: str | list[dict[str, Any]] | None,
    fields: Mapping[str, Any],
    *,
    max_tokens: int | None = None,
    numbered: bool = False,
) -> list[Choice]:
    """Build as many choices as a request asks for with ``n``, with ``logprobs`` if it asks for them.

    ``fields`` are ``finish_reason`` and those of the message; ``max_tokens`` cuts the text; ``numbered`` puts a number
    before all texts but the first.
    """
    message = {name: value for name, value in fields.items() if name not in TOP_FIELDS and name != "finish_reason"}
    usual = "tool_calls" if message.get("tool_calls") else "function_call" if message.get("function_call") else "stop"
    top_logprobs = min(max(lenient.integer(payload.get("top_logprobs")) or 0, 0), _MOST_LOGPROBS)
    count = lenient.integer(payload.get("n")) or 1
    built: list[Choice] = []
    for index in range(count if 1 <= count <= _MOST_CHOICES else 1):
        text, finish = content, fields.get("finish_reason", usual)
        pieces: Sequence[object] = [] if text is None else [text]
        if isinstance(text, str):
            pieces = tokens(f"(Choice {index + 1}) {text}" if numbered and index else text)
            if max_tokens is not None and len(pieces) > max_tokens:
                pieces, finish = pieces[:max_tokens], "length"
            text = "".join(map(str, pieces))
        listed = top_logprobs if payload.get("logprobs") is True else None
        built.append(Choice(index, text, pieces, message, finish, listed))
    return built


def chunk(content: object = None, *, index: int = 0, finish_reason: object = None, **fields: Any) -> dict[str, Any]:
    """Build one ``chat.completion.chunk`` object for ``streams``.

    Args:
        content: The delta's content; None leaves it out.
        index: The choice's index.
        finish_reason: The choice's reason to end, on its last chunk.
        **fields: ``id``, ``created``, ``model`` and the like replace the chunk's own; all others join the delta.
    """
    delta = {name: value for name, value in fields.items() if name not in TOP_FIELDS}
    if content is not None:
        delta["content"] = content
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "scripted",
        **{name: value for name, value in fields.items() if name in TOP_FIELDS},
        "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}],
    }


def usage(payload: Mapping[str, Any], choices: Sequence[Choice]) -> dict[str, Any]:
    """Count the tokens of a request and its answer: texts, reasoning, calls, and 4 a word of audio."""
    message = choices[0].message
    reasoning = message.get("reasoning_content")
    reasoning_tokens = len(tokens(reasoning)) * len(choices) if isinstance(reasoning, str) else 0
    audio = message.get("audio")
    audio_tokens = len(tokens(str(lenient.mapping(audio).get("transcript", "")))) * 4 * len(choices) if audio else 0
    calls = [each.get("function", each.get("custom")) for each in lenient.objects(message.get("tool_calls"))]
    call_tokens = sum(_CALL_TOKENS + len(tokens(str(lenient.mapping(call)))) for call in calls) * len(choices)
    text_tokens = sum(len(choice.pieces) for choice in choices) + call_tokens
    prompt, completion = prompt_tokens(payload), text_tokens + reasoning_tokens + audio_tokens
    counted: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if reasoning_tokens or audio_tokens:
        counted["completion_tokens_details"] = {
            "reasoning_tokens": reasoning_tokens,
            "audio_tokens": audio_tokens,
            "text_tokens": text_tokens,
        }
    return counted


def _deltas(message: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Cut a message's fields into deltas: reasoning, calls and audio in pieces, all others at once."""
    at_once = dict(message)
    calls, audio = at_once.pop("tool_calls", None), at_once.pop("audio", None)
    reasoning = {name: at_once.pop(name) for name in ("reasoning_content", "reasoning") if at_once.get(name)}
    if at_once:
        yield at_once
    for name, text in reasoning.items():
        yield from ({name: piece} for piece in (tokens(text) if isinstance(text, str) else [text]))
    for index, call in enumerate(lenient.objects(calls)):
        yield from _call_deltas(index, call)
    if audio is not None:
        yield from ({"audio": piece} for piece in _audio_pieces(lenient.mapping(audio)))


def _call_deltas(index: int, call: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Return a call's name first, and its arguments in pieces after it."""
    for kind, grows in (("function", "arguments"), ("custom", "input")):
        inner = lenient.mapping(call.get(kind))
        written = inner.get(grows)
        if isinstance(written, str):
            # The first piece has id, type and name, the later ones an index and arguments alone (WIRE.md 3.3, item 8).
            yield {"tool_calls": [{"index": index, **call, kind: {**inner, grows: ""}}]}
            for start in range(0, len(written), _ARGUMENTS_PIECE):
                piece = {grows: written[start : start + _ARGUMENTS_PIECE]}
                yield {"tool_calls": [{"index": index, kind: piece}]}
            return
    yield {"tool_calls": [{"index": index, **call}]}


def _audio_pieces(audio: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    data, transcript = str(audio.get("data", "")), str(audio.get("transcript", ""))
    yield {"id": audio.get("id")}
    yield from ({"transcript": piece} for piece in tokens(transcript))
    yield from ({"data": data[start : start + _AUDIO_PIECE]} for start in range(0, len(data), _AUDIO_PIECE))
    yield {"expires_at": audio.get("expires_at")}
