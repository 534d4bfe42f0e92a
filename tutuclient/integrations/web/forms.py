"""What the events of a stream say: as plain text, as JSON, or as openai's chunks; ``ui_stream`` has the AI SDK's form.

A form gets each thing that came (``Item``) and returns frames. It does no input or output.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from tutuclient.errors import APIError, TutuError
from tutuclient.integrations.web.frames import Frame
from tutuclient.types.chat import ChatChunkChoice, ChatCompletionChunk, ChatDelta
from tutuclient.types.json import is_list, is_object
from tutuclient.types.schemas import without_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ErrorText: TypeAlias = Callable[[TutuError], str]

FormName: TypeAlias = Literal["text", "json", "openai", "ai-sdk"]


class ToolResult(NamedTuple):
    """What a tool returned to the model, within ``run_tools``: its call's id, and the content of its message."""

    id: str
    content: Any


class Item(NamedTuple):
    """One thing that came: a piece of a text, a chunk, or the result of a tool.

    Attributes:
        value: The piece, the chunk or the result.
        many: Whether several choices were asked for: then their numbers say which is which.
        rounds: Of ``run_tools``, how many answers have ended before; else None.
    """

    value: str | ChatCompletionChunk | ToolResult
    many: bool = False
    rounds: int | None = None

    @property
    def choice(self) -> ChatChunkChoice | None:
        """What the item adds to the first choice."""
        value = self.value
        if isinstance(value, str):
            return ChatChunkChoice(delta=ChatDelta(content=value))
        if isinstance(value, ToolResult):
            return None
        # Without ``n`` all choices are one, whatever number a relay writes on them (WIRE.md 3.3, item 7).
        return next((choice for choice in value.choices if not self.many or choice.index == 0), None)


class Form(Protocol):
    """Makes frames of what comes. Each of its methods but ``add`` is called once at most."""

    headers: dict[str, str]

    def begin(self) -> Iterator[Frame]:
        """Return what comes first."""
        ...

    def add(self, item: Item) -> Iterator[Frame]:
        """Return what an item says."""
        ...

    def end(self) -> Iterator[Frame]:
        """Return what ends an answer that is whole."""
        ...

    def fail(self, error: dict[str, Any]) -> Iterator[Frame]:
        """Return what ends an answer that broke off, with the error as ``described``."""
        ...


def text_of(value: Any) -> str:
    """Return a value as JSON text that can be encoded: a lone surrogate, which UTF-8 has not, becomes "?"."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(_clean(value)).decode()


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if is_object(value):
        return {_clean(name): _clean(item) for name, item in value.items()}
    return [_clean(item) for item in value] if is_list(value) else value


def described(error: BaseException, error_text: ErrorText = str) -> dict[str, Any]:
    """Return what a browser may know of an error. Details of one that is not the relay's stand in the log alone.

    Raises:
        TypeError: ``error_text`` returned no text, as a function that only writes a log does.
    """
    if not isinstance(error, TutuError):
        return {"message": "the server failed while it answered", "type": "ServerError"}
    message: Any = error_text(error)
    if not isinstance(message, str):
        raise TypeError(f"error_text returned {type(message).__name__}: it has to return the text for the browser")
    said = {
        "message": message,
        "type": type(error).__name__,
        "code": error.code if isinstance(error, APIError) else None,
        "outcome": error.outcome,
        "request_id": error.request_id,
    }
    return {name: value for name, value in said.items() if value is not None}


class _ForBrowsers:
    """What ``text`` and ``json`` have in common: they are for ``EventSource``, which asks again when a stream ends.

    So the first frame has an id: a browser that comes back sends it, and is told to stay away in place of being
    answered, and charged for, once more. ``done`` tells the page that the answer is whole, and to close.
    """

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self._reason: str | None = None
        self._usage: Any = None

    def begin(self) -> Iterator[Frame]:
        yield Frame(id="1")

    def fail(self, error: dict[str, Any]) -> Iterator[Frame]:
        yield Frame(text_of(error), "error")

    def _note(self, item: Item) -> ChatChunkChoice | None:
        choice = item.choice
        if choice is not None and choice.finish_reason:
            self._reason = choice.finish_reason
        if isinstance(item.value, ChatCompletionChunk) and item.value.usage is not None:
            self._usage = item.value.usage
        return choice


class TextForm(_ForBrowsers):
    """The text alone, a piece an event, with LF for its line ends: all that the format can carry."""

    def add(self, item: Item) -> Iterator[Frame]:
        """Return what an item says; see ``Form``."""
        choice = self._note(item)
        if choice is not None and choice.delta.content:
            yield Frame(_clean(choice.delta.content))

    def end(self) -> Iterator[Frame]:
        """Return the end of a whole answer; see ``Form``."""
        yield Frame(self._reason or "stop", "done")


class JsonForm(_ForBrowsers):
    """An object an event: ``text``, ``reasoning``, ``refusal``, ``tool_calls``, ``images`` or ``tool_result``.

    The last has the name "done", and ``finish_reason`` and ``usage`` as far as the relay has told them.
    """

    def add(self, item: Item) -> Iterator[Frame]:
        """Return what an item says; see ``Form``."""
        self._note(item)
        if isinstance(item.value, ToolResult):
            yield Frame(text_of({"tool_result": {"id": item.value.id, "content": _plain(item.value.content)}}))
            return
        for choice in [item.choice] if isinstance(item.value, str) else item.value.choices:
            if choice is not None and (said := _said(choice, item)):
                yield Frame(text_of({**said, "index": choice.index} if item.many else said))

    def end(self) -> Iterator[Frame]:
        """Return the end of a whole answer; see ``Form``."""
        yield Frame(text_of(without_none({"finish_reason": self._reason, "usage": _plain(self._usage)})), "done")


def _said(choice: ChatChunkChoice, item: Item) -> dict[str, Any]:
    delta = choice.delta
    said: dict[str, Any] = {
        "text": delta.content,
        "reasoning": "" if isinstance(item.value, str) else thoughts_in(choice),
        "refusal": delta.refusal,
        "tool_calls": _plain(delta.tool_calls),
        "images": delta.images or delta.image,
    }
    return {name: without_none(value) for name, value in said.items() if value}


def thoughts_in(choice: ChatChunkChoice) -> str:
    """Return the thoughts that a choice adds, whichever field they are in."""
    return ChatCompletionChunk(choices=[choice]).thinking


def _plain(value: Any) -> Any:
    return None if value is None else msgspec.to_builtins(value)


class OpenAIForm:
    """The relay's chunks again, normalized, so that openai's own clients can read them; ``[DONE]`` at their end.

    Of ``run_tools`` it is the text of all rounds as one answer: the calls have been carried out.
    """

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self._frame: dict[str, Any] = {}
        self._is_run = False
        self._own = False
        self._reason: str | None = None

    def begin(self) -> Iterator[Frame]:
        """Return what comes first; see ``Form``."""
        return iter(())

    def add(self, item: Item) -> Iterator[Frame]:
        """Return what an item says; see ``Form``."""
        value = item.value
        if isinstance(value, ToolResult):
            return
        if isinstance(value, str):
            self._own = True
            if value:
                yield self._chunk({"content": value})
        elif item.rounds is not None:
            yield from self._of_run(value, item)
        else:
            yield Frame(text_of(_tree_of(value)))

    def _of_run(self, chunk: ChatCompletionChunk, item: Item) -> Iterator[Frame]:
        self._own = True
        self._frame = self._frame or {"id": chunk.id, "created": chunk.created, "model": chunk.model}
        choice = item.choice
        if choice is None:
            return
        self._reason = choice.finish_reason or self._reason
        delta = _tree_of(chunk)["choices"][0]["delta"]
        delta.pop("tool_calls", None)
        if any(value for name, value in delta.items() if name != "role"):
            yield self._chunk(delta)

    def end(self) -> Iterator[Frame]:
        """Return the end of a whole answer; see ``Form``."""
        if self._own:
            yield self._chunk({}, self._reason or "stop")
        yield Frame("[DONE]")

    def fail(self, error: dict[str, Any]) -> Iterator[Frame]:
        """Return the end of an answer that broke off; see ``Form``."""
        # Without [DONE], which would call the answer whole.
        yield Frame(text_of({"error": error}))

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> Frame:
        if not self._frame:
            self._frame = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": ""}
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return Frame(text_of({**self._frame, "object": "chat.completion.chunk", "choices": [choice]}))


def _tree_of(chunk: ChatCompletionChunk) -> dict[str, Any]:
    """Return a chunk as plain dicts, with what it has and ``finish_reason``, which is never left out."""
    tree: dict[str, Any] = without_none(msgspec.to_builtins(chunk))
    tree["object"] = "chat.completion.chunk"
    for choice, said in zip(tree["choices"], chunk.choices, strict=True):
        choice["finish_reason"] = said.finish_reason
        choice["delta"].pop("parts", None)  # The text of them is the content.
    return tree
