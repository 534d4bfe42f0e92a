"""Answers parsed as the types they were asked for: what ``parse`` and the typed streams have in common.

Nothing here knows of the network. An answer that does not fit was billed all the
same, so it is never asked for again; the error has it in ``partial``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import msgspec

from tutuclient import wire
from tutuclient.errors import (
    ConfigError,
    ContentFilterFinishReasonError,
    LengthFinishReasonError,
    UnexpectedResponseError,
    printable,
)
from tutuclient.tools import MisfitError, Shape, Tool, is_format, response_format, toolbox
from tutuclient.types.base import Answer, Nested
from tutuclient.types.events import partial_json
from tutuclient.types.parsed import (
    ParsedChatCompletion,
    ParsedChatCompletionMessage,
    ParsedChoice,
    ParsedFunction,
    ParsedFunctionToolCall,
)
from tutuclient.types.provenance import copy_provenance, provenance, remember

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tutuclient.types.chat import ChatChoice, ChatCompletion, ToolCall

T = TypeVar("T")

# The ``finish_reason`` of an answer: relays pass on those of other vendors unchanged. Sources: OpenAI; Anthropic
# (max_tokens); Mistral (model_length); Gemini (SAFETY); Zhipu (sensitive).
_CUT_OFF = frozenset({"length", "max_tokens", "model_length"})
_FILTERED = frozenset({"content_filter", "safety", "sensitive"})


class Expected(Generic[T]):
    """What the answer to a request is to be parsed as.

    Attributes:
        body: The fields as they are sent: functions in ``tools`` and a type in ``response_format`` became schemas.
        shape: The type asked for, or None.
        anything: Whether there is something to parse: a type was asked for, or a tool is strict.

    Raises:
        ConfigError: There is no schema for the type or for a tool.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body: dict[str, Any] = dict(body)
        self.shape: Shape[T] | None = None
        asked: Any = self.body.get("response_format")
        wire.check_format(asked)
        if is_format(asked):
            self.shape = Shape(asked, "response_format")
            self.body["response_format"] = response_format(self.shape)
        self._tools: dict[str, Tool | Mapping[str, Any]] = {}
        if self.body.get("tools") is not None:
            self._tools = toolbox(self.body["tools"])
            self.body["tools"] = list(self._tools.values())
        self.anything: bool = self.shape is not None or any(map(_is_parseable, self._tools.values()))

    def read(self, completion: ChatCompletion, *, whole: bool = True) -> ParsedChatCompletion[T]:
        """Parse an answer.

        Raises:
            LengthFinishReasonError: It was cut off at its limit; as the next, only with ``whole``.
            ContentFilterFinishReasonError: It was cut off by a filter.
            UnexpectedResponseError: It does not fit; the message says where, ``partial`` has it.
        """
        for choice in completion.choices if whole else ():
            _check_whole(choice, completion)
        choices = [self._choice(choice, completion) for choice in completion.choices]
        parsed = _as(ParsedChatCompletion[T], completion, choices=choices)
        if not completion.raw:
            # Without ``raw`` its ``to_dict`` would encode the fields, and ``parsed`` need not be JSON.
            provenance(parsed).tree = completion.to_dict()
        return parsed

    def snapshot(self, completion: ChatCompletion) -> ParsedChatCompletion[Any]:
        """Return what has come of an answer, parsed: a choice that has ended as its type, others as far as they go.

        What has not ended is plain JSON, closed where it breaks off.
        """
        choices: list[ParsedChoice[Any]] = []
        for choice in completion.choices:
            message, ended = choice.message, choice.finish_reason is not None
            calls = [self._begun(call, place, ended=ended) for place, call in enumerate(message.tool_calls or ())]
            value: Any = None
            if self.shape is not None and message.content and not message.refusal:
                value = _begun(message.content, self.shape.read if ended else None)
            begun = _as(ParsedChatCompletionMessage[Any], message, tool_calls=calls or None, parsed=value)
            choices.append(_as(ParsedChoice[Any], choice, message=begun))
        return _as(ParsedChatCompletion[Any], completion, choices=choices)

    def _begun(self, call: ToolCall, place: int, *, ended: bool) -> ParsedFunctionToolCall:
        name, text = call.function.name, call.function.arguments
        tool = self._tools.get(name)
        reads = tool is not None and _is_parseable(tool)
        value = _begun(text, partial(self.arguments, name) if ended else None) if reads else None
        function = ParsedFunction(name=name, arguments=text, parsed_arguments=value)
        begun = _as(ParsedFunctionToolCall, call, function=function)
        remember(begun, (call.extra | {"index": place}, ()))
        return begun

    def arguments(self, name: str, text: str) -> Any:
        """Parse the arguments of a call; None where the tool is not known or not strict.

        Raises:
            MisfitError: They do not fit.
        """
        tool = self._tools.get(name)
        if isinstance(tool, Tool):
            return tool.read(text)
        if tool is None or not _is_parseable(tool):
            return None
        try:
            return msgspec.json.decode(text.encode("utf-8", "replace") or b"{}")
        except (msgspec.DecodeError, RecursionError) as error:
            raise MisfitError(str(error)) from None

    def _choice(self, choice: ChatChoice, completion: ChatCompletion) -> ParsedChoice[T]:
        message = choice.message
        calls = [self._call(call, completion) for call in message.tool_calls or ()] or None
        value: T | None = None
        if self.shape is not None and message.content and not message.refusal:
            try:
                value = self.shape.read(message.content)
            except MisfitError as error:
                _misfit(f"the answer does not fit {self.shape.name}", error, message.content, completion)
        parsed = _as(ParsedChatCompletionMessage[T], message, tool_calls=calls, parsed=value)
        return _as(ParsedChoice[T], choice, message=parsed)

    def _call(self, call: ToolCall, completion: ChatCompletion) -> ParsedFunctionToolCall:
        name, text = call.function.name, call.function.arguments
        try:
            arguments = self.arguments(name, text)
        except MisfitError as error:
            _misfit(f"the arguments for the tool {printable(name, 80)} do not fit", error, text, completion)
        function = ParsedFunction(name=name, arguments=text, parsed_arguments=arguments)
        return _as(ParsedFunctionToolCall, call, function=function)


def _begun(text: str, read: Callable[[str], Any] | None) -> Any:
    """Parse a text by ``read``; as plain JSON, as far as it goes, where there is none or it does not fit."""
    try:
        return partial_json(text) if read is None else read(text)
    except MisfitError:  # A snapshot does not raise; ``read`` does, at the end of the stream.
        return partial_json(text)


def check_untyped(body: Mapping[str, Any]) -> None:
    """Raise a ``ConfigError`` where ``response_format`` is a type, and the answer will not be parsed."""
    asked = body.get("response_format")
    if asked is None:
        return
    wire.check_format(asked)
    if is_format(asked):
        raise ConfigError(
            f"create() returns answers as they come, and response_format is the type {printable(str(asked), 80)}:"
            " call chat.completions.parse(…) or .stream(…), which parse them"
        )


def _is_parseable(tool: Tool | Mapping[str, Any]) -> bool:
    if isinstance(tool, Tool):
        return tool.strict
    function: Any = tool.get("function")
    return isinstance(function, dict) and function.get("strict") is True  # pyright: ignore[reportUnknownMemberType]  (a caller's dict)


def _check_whole(choice: ChatChoice, completion: ChatCompletion) -> None:
    # Gemini's reasons come in capitals (WIRE.md 3.3, item 5).
    word = (choice.finish_reason or "").lower()
    if word in _CUT_OFF:
        raise LengthFinishReasonError(
            f"the answer was cut off at its limit of tokens (finish_reason {word!r}), so it cannot be parsed; raise"
            " max_tokens. What came is in .completion",
            completion=completion,
        )
    if word in _FILTERED:
        raise ContentFilterFinishReasonError(
            f"the answer was cut off by a filter (finish_reason {word!r}), so it cannot be parsed; what came is in"
            " .completion",
            completion=completion,
        )


def _misfit(what: str, why: MisfitError, text: str, completion: ChatCompletion) -> NoReturn:
    raise UnexpectedResponseError(
        f"{what}: {printable(str(why))}; it was: {printable(text, 200)}",
        body=text,
        partial=completion,
        response=completion.meta,
        attempts=completion.meta.attempts,
        request_id=completion.request_id,
    )


S = TypeVar("S", bound=Answer | Nested)


def _as(kind: type[S], struct: Answer | Nested, **more: Any) -> S:
    """Return a struct as one of a subclass, with all that is kept with it."""
    fields = {name: getattr(struct, name) for name in struct.__struct_fields__}
    # ``msgspec.structs.replace`` keeps the class, and this is to become a subclass of it.
    copy = kind(**(fields | more))
    copy_provenance(struct, copy)
    return copy
