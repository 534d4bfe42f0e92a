"""One question, put to the relay through a client that others wrote, and the answer in words that all of them share.

A page names what is asked (``chat``, ``stream``, ``embeddings``…), its fields are the API's own. The answer holds what
the client made of it: texts, counts, tool calls with their arguments decoded, digests of pictures and sounds. The two
clients of npm are asked over a pipe; they do the same in ``clients/*.mjs``.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import inspect
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import openai

import tutuclient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

Body = dict[str, Any]
KEY = "sk-real-0123456789"
FILES = ("file", "image", "mask")
_CLIENTS = Path(__file__).parent / "clients"
# Elsewhere an answer that openai's own types refuse is an error. Here they refuse what its API sends: a completion that
# goes on has no reason to end, and vectors come in base64 unless it is told otherwise.
_LOOSE = {"completion_stream", "embeddings"}


class Python:
    """A client of Python's: openai's two, or ours. They share their names, so they share their reading."""

    def __init__(self, kind: Callable[..., Any]) -> None:
        self._kind = kind

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def ask(self, base_url: str, page: str, fields: Body) -> Body:
        """Send it in an event loop of its own; the synchronous client does not mind."""
        return asyncio.run(self._ask(base_url, page, fields))

    async def _ask(self, base_url: str, page: str, fields: Body) -> Body:
        if self._kind is tutuclient.TutuClient:
            client: Any = self._kind(api_key=KEY, base_url=base_url, max_retries=0)
        else:
            strict = page not in _LOOSE
            client = self._kind(api_key=KEY, base_url=base_url, max_retries=0, _strict_response_validation=strict)
        try:
            answer: Body = await _PAGES[page](client, fields)
        except (openai.APIStatusError, tutuclient.APIStatusError) as error:
            return {"error": {"status": error.status_code, "code": error.code}}
        else:
            return answer
        finally:
            await _now(client.close())


class Npm:
    """A client of npm's, in a process of its own that answers lines until its input ends."""

    def __init__(self, script: str) -> None:
        self._script = script

    def __enter__(self) -> Self:
        assert (_CLIENTS / "node_modules").is_dir(), "npm's clients are not installed: run tests/real/install npm"
        self._node = subprocess.Popen(  # noqa: S603  (our own scripts)
            ["node", str(_CLIENTS / self._script)],  # noqa: S607  (whichever node the machine has)
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._node:
            pass

    def ask(self, base_url: str, page: str, fields: Body) -> Body:
        """Write a line, and wait for the line that answers it."""
        question = {"page": page, "base_url": base_url, "key": KEY, "fields": fields}
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.write(json.dumps(question) + "\n")
        self._node.stdin.flush()
        line = self._node.stdout.readline()
        assert line, f"{self._script} has ended"
        answer: Body = json.loads(line)
        assert "unexpected" not in answer.get("error", {}), answer["error"]["unexpected"]
        return answer


async def _now(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def _each(stream: Any) -> AsyncIterator[Any]:
    if hasattr(stream, "__aiter__"):
        async for event in stream:
            yield event
    else:
        for event in stream:
            yield event


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _counted(usage: Any) -> list[int] | None:
    return None if usage is None else [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]


def _called(calls: Any) -> list[Body]:
    return [{"name": call.function.name, "arguments": json.loads(call.function.arguments)} for call in calls or ()]


def _message(completion: Any) -> Body:
    (choice, *_) = completion.choices
    return {
        "model": completion.model,
        "text": choice.message.content or "",
        "finish_reason": choice.finish_reason,
        "calls": _called(choice.message.tool_calls),
        "usage": _counted(completion.usage),
    }


def _opened(fields: Body) -> Body:
    return fields | {name: Path(fields[name]) for name in FILES if name in fields}


async def _models(client: Any, _: Body) -> Body:
    return {"ids": [model.id for model in (await _now(client.models.list())).data]}


async def _model(client: Any, fields: Body) -> Body:
    model = await _now(client.models.retrieve(fields["model"]))
    return {"id": model.id, "object": model.object, "owned_by": model.owned_by}


async def _chat(client: Any, fields: Body) -> Body:
    return _message(await _now(client.chat.completions.create(**fields)))


async def _stream(client: Any, fields: Body) -> Body:
    pieces: list[str] = []
    calls: dict[int, list[str]] = {}
    answer: Body = {"usage": None}
    async for chunk in _each(await _now(client.chat.completions.create(**fields, stream=True))):
        answer["model"] = chunk.model
        answer["usage"] = _counted(chunk.usage) or answer["usage"]
        for choice in chunk.choices:
            if choice.delta.content:
                pieces.append(choice.delta.content)
            for call in choice.delta.tool_calls or ():
                name_and_arguments = calls.setdefault(call.index, ["", ""])
                name_and_arguments[0] += call.function.name or ""
                name_and_arguments[1] += call.function.arguments or ""
            answer["finish_reason"] = choice.finish_reason or answer.get("finish_reason")
    called = [{"name": name, "arguments": json.loads(arguments)} for name, arguments in calls.values()]
    return answer | {"pieces": pieces, "text": "".join(pieces), "calls": called}


async def _left(client: Any, fields: Body) -> Body:
    stream = await _now(client.chat.completions.create(**fields, stream=True))
    async for chunk in _each(stream):
        if chunk.choices[0].delta.content:
            await _now(stream.close())
            return {"text": chunk.choices[0].delta.content}
    return {}


async def _tool_round(client: Any, fields: Body) -> Body:
    results = fields["results"]
    calls: list[Body] = []
    body = {name: value for name, value in fields.items() if name != "results"}
    while True:
        completion = await _now(client.chat.completions.create(**body))
        message = completion.choices[0].message
        if not message.tool_calls:
            return {"text": message.content, "calls": calls}
        calls += _called(message.tool_calls)
        asked = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in message.tool_calls
        ]
        told = [
            {"role": "tool", "tool_call_id": call.id, "content": results[call.function.name]}
            for call in message.tool_calls
        ]
        body["messages"] = [*body["messages"], {"role": "assistant", "content": None, "tool_calls": asked}, *told]


async def _object(client: Any, fields: Body) -> Body:
    answer = await _chat(client, fields)
    return {"object": json.loads(answer.pop("text")), **answer}


async def _thinking(client: Any, fields: Body) -> Body:
    completion = await _now(client.chat.completions.create(**fields))
    message = completion.choices[0].message
    return {"text": message.content, "thinking": message.reasoning_content}


async def _choices(client: Any, fields: Body) -> Body:
    completion = await _now(client.chat.completions.create(**fields))
    return {
        "texts": [choice.message.content for choice in completion.choices],
        "tokens": [[each.token for each in choice.logprobs.content] for choice in completion.choices],
        "usage": _counted(completion.usage),
    }


async def _spoken(client: Any, fields: Body) -> Body:
    completion = await _now(client.chat.completions.create(**fields))
    audio = completion.choices[0].message.audio
    return {"transcript": audio.transcript, "sound": _digest(base64.b64decode(audio.data))}


async def _completion(client: Any, fields: Body) -> Body:
    completion = await _now(client.completions.create(**fields))
    (choice, *_) = completion.choices
    return {"text": choice.text, "finish_reason": choice.finish_reason, "usage": _counted(completion.usage)}


async def _completion_stream(client: Any, fields: Body) -> Body:
    answer: Body = {"pieces": [], "finish_reason": None, "usage": None}
    async for chunk in _each(await _now(client.completions.create(**fields, stream=True))):
        answer["usage"] = _counted(chunk.usage) or answer["usage"]
        for choice in chunk.choices:
            answer["pieces"] += [choice.text] if choice.text else []
            answer["finish_reason"] = choice.finish_reason or answer["finish_reason"]
    return answer | {"text": "".join(answer["pieces"])}


async def _embeddings(client: Any, fields: Body) -> Body:
    answer = await _now(client.embeddings.create(**fields))
    vectors = [list(each.embedding) for each in answer.data]
    return {"vectors": vectors, "prompt_tokens": answer.usage.prompt_tokens}


def _pictures(method: str) -> Any:
    async def ask(client: Any, fields: Body) -> Body:
        answer = await _now(getattr(client.images, method)(**_opened(fields)))
        return {"pictures": [_digest(base64.b64decode(each.b64_json)) for each in answer.data]}

    return ask


async def _image_stream(client: Any, fields: Body) -> Body:
    events = [event async for event in _each(await _now(client.images.generate(**fields, stream=True)))]
    return {
        "types": [event.type for event in events],
        "pictures": [_digest(base64.b64decode(event.b64_json)) for event in events],
        "tokens": events[-1].usage.total_tokens,
    }


async def _speech(client: Any, fields: Body) -> Body:
    answer = await _now(client.audio.speech.create(**fields))
    told = getattr(answer, "meta", None) or answer.response
    return {"sound": _digest(answer.content), "type": told.headers["content-type"]}


def _heard(where: str) -> Any:
    async def ask(client: Any, fields: Body) -> Body:
        answer = await _now(getattr(client.audio, where).create(**_opened(fields)))
        # A text in plain comes with a line's end, which our client takes off.
        return {"text": answer.removesuffix("\n")} if isinstance(answer, str) else answer.to_dict()

    return ask


async def _transcription_stream(client: Any, fields: Body) -> Body:
    pieces: list[str] = []
    text = None
    async for event in _each(await _now(client.audio.transcriptions.create(**_opened(fields), stream=True))):
        if event.type == "transcript.text.delta":
            pieces.append(event.delta)
        if event.type == "transcript.text.done":
            text = event.text
    return {"pieces": pieces, "text": text}


_PAGES = {
    "models": _models,
    "model": _model,
    "chat": _chat,
    "stream": _stream,
    "left": _left,
    "tool_round": _tool_round,
    "object": _object,
    "thinking": _thinking,
    "choices": _choices,
    "spoken": _spoken,
    "completion": _completion,
    "completion_stream": _completion_stream,
    "embeddings": _embeddings,
    "image": _pictures("generate"),
    "image_stream": _image_stream,
    "image_edit": _pictures("edit"),
    "image_variation": _pictures("create_variation"),
    "speech": _speech,
    "transcription": _heard("transcriptions"),
    "transcription_stream": _transcription_stream,
    "translation": _heard("translations"),
}
