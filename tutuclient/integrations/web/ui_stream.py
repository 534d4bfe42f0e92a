"""The AI SDK's form: the parts of Vercel's UI message stream protocol, version 1, which ``useChat`` reads.

Source: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol, and ``uiMessageChunkSchema`` of the npm package ``ai`` 6.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec

from tutuclient.integrations.web.forms import Item, ToolResult, text_of, thoughts_in
from tutuclient.integrations.web.frames import Frame
from tutuclient.streams.tool_calls import ToolCalls
from tutuclient.types.chat import ChatCompletionChunk, read_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tutuclient.streams.tool_calls import PartialCall
    from tutuclient.types.chat import ChatChunkChoice

_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
}


class UIStreamForm:
    """Parts of a message: its text, its reasoning, calls of tools and their results, images; a step a round."""

    def __init__(self) -> None:
        self.headers = {"x-vercel-ai-ui-message-stream": "v1"}
        self._open: tuple[str, str] | None = None
        self._blocks = 0
        self._step: int | None = None
        self._reason: str | None = None
        self._calls = ToolCalls()
        self._started: dict[int, str] = {}
        self._shown: dict[str, str] = {}
        self._used: set[str] = set()

    def begin(self) -> Iterator[Frame]:
        """Return the part that every message begins with."""
        yield _part("start", messageId=f"msg-{uuid.uuid4().hex}")

    def add(self, item: Item) -> Iterator[Frame]:
        """Return the parts of what an item adds."""
        value, choice = item.value, item.choice
        if isinstance(value, ToolResult):
            yield from self._calls_done()
            yield _part(
                "tool-output-available", toolCallId=self._shown.get(value.id, value.id), output=_readable(value.content)
            )
            return
        if self._step != (item.rounds or 0):
            yield from self._end_step()
            self._step = item.rounds or 0
            yield _part("start-step")
        if choice is None:
            return
        if not isinstance(value, str) and (thoughts := thoughts_in(choice)):
            yield from self._block("reasoning", thoughts)
        if choice.delta.content:
            yield from self._block("text", choice.delta.content)
        yield from self._tools(choice)
        if isinstance(value, ChatCompletionChunk) and (choice.delta.images or choice.delta.image):
            for image in value.images:
                if image.url:
                    yield _part("file", url=image.url, mediaType=image.mime or "image/png")
        self._reason = choice.finish_reason or self._reason

    def end(self) -> Iterator[Frame]:
        """Return the last parts of a whole message."""
        yield from self._end_step()
        yield _part("finish", finishReason=_REASONS.get(self._reason or "stop", "other"))
        yield Frame("[DONE]")

    def fail(self, error: dict[str, Any]) -> Iterator[Frame]:
        """Return the parts of a message that broke off; there is no "finish" among them."""
        yield from self._end_block()
        yield _part("error", errorText=error["message"])
        yield Frame("[DONE]")

    def _block(self, kind: str, delta: str) -> Iterator[Frame]:
        if self._open is None or self._open[0] != kind:
            yield from self._end_block()
            self._open = (kind, f"{kind}-{self._blocks}")
            self._blocks += 1
            yield _part(f"{kind}-start", id=self._open[1])
        yield _part(f"{kind}-delta", id=self._open[1], delta=delta)

    def _end_block(self) -> Iterator[Frame]:
        if self._open is not None:
            kind, name = self._open
            self._open = None
            yield _part(f"{kind}-end", id=name)

    def _tools(self, choice: ChatChunkChoice) -> Iterator[Frame]:
        for piece in choice.delta.tool_calls or ():
            call = self._calls.add(piece, {})
            place = self._calls.calls.index(call)
            added = (piece.function.arguments if piece.function else None) or ""
            if place not in self._started and _name(call):
                yield from self._end_block()
                self._started[place] = self._id_of(call, place)
                yield _part("tool-input-start", toolCallId=self._started[place], toolName=_name(call))
                added = "".join(call.arguments)
            if added and place in self._started:
                yield _part("tool-input-delta", toolCallId=self._started[place], inputTextDelta=added)

    def _id_of(self, call: PartialCall, place: int) -> str:
        """Return the id of a call in this message: some relays begin to number anew in each round."""
        # The id that ``run_tools`` writes where the relay has none.
        name = call.id or f"call_{self._step}_{place}"
        shown = f"{name}-{self._step}-{place}" if name in self._used else name
        self._used.add(shown)
        self._shown[name] = shown
        return shown

    def _calls_done(self) -> Iterator[Frame]:
        """Return the whole input of the calls of this step, once each."""
        started, self._started = self._started, {}
        for place, name in started.items():
            call = self._calls.calls[place]
            fields: dict[str, Any] = {"toolCallId": name, "toolName": _name(call)}
            text = _arguments(call)
            try:
                fields["input"] = msgspec.json.decode(text or "{}")
            except (msgspec.DecodeError, RecursionError):
                yield _part("tool-input-error", **fields, input=text, errorText="the arguments are no JSON")
            else:
                yield _part("tool-input-available", **fields)
        if started:
            self._calls = ToolCalls()

    def _end_step(self) -> Iterator[Frame]:
        yield from self._end_block()
        yield from self._calls_done()
        if self._step is not None:
            yield _part("finish-step")


def _name(call: PartialCall) -> str:
    return call.name or str((call.custom or {}).get("name") or "")


def _arguments(call: PartialCall) -> str:
    if call.custom is not None:
        done: dict[str, Any] = call.finish().custom or {}
        return text_of(done.get("input", ""))
    return read_once("".join(call.arguments)).strip()


def _readable(content: Any) -> Any:
    """Return a tool's result as the value that it was, where it was written as JSON."""
    if not isinstance(content, str):
        return msgspec.to_builtins(content)
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return content


def _part(kind: str, **fields: Any) -> Frame:
    return Frame(text_of({"type": kind, **fields}))
