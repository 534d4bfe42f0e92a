"""Answers whose text and tool calls have been read into Python's values: what ``chat.completions.parse`` gives.

Each is the struct of ``types.chat`` with a field more, and serves wherever that does.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from tutuclient.types.chat import ChatChoice, ChatCompletion, ChatMessage, FunctionCall, ToolCall

T = TypeVar("T")


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Leave out what was made of the answer: it need not be JSON, and the API knows no such field when it goes back."""
    return {key: value for key, value in fields.items() if key != name}


class ParsedFunction(FunctionCall, frozen=True, kw_only=True):
    """A function the model wants called.

    Attributes:
        parsed_arguments: The arguments as Python's values: of a function a dict of its parameters, of a class an
            instance, of a strict tool written as a dict plain JSON; None of any other.
    """

    parsed_arguments: Any = None

    def _filled(self, tree: dict[str, Any] | None) -> dict[str, Any]:
        return _without(super()._filled(tree), "parsed_arguments")


class ParsedFunctionToolCall(ToolCall, frozen=True, kw_only=True):
    """A tool the model wants used."""

    function: ParsedFunction = ParsedFunction()


class ParsedChatCompletionMessage(ChatMessage, Generic[T], frozen=True, kw_only=True):
    """The message of an answer.

    Attributes:
        parsed: The content as the type that was asked for; None when the model refused, called tools instead, or no
            type was asked for.
    """

    tool_calls: list[ParsedFunctionToolCall] | None = None  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]  (frozen: what is read from it is a ToolCall each)
    parsed: T | None = None

    def _filled(self, tree: dict[str, Any] | None) -> dict[str, Any]:
        return _without(super()._filled(tree), "parsed")


class ParsedChoice(ChatChoice, Generic[T], frozen=True, kw_only=True):
    """One of the ``n`` answers."""

    message: ParsedChatCompletionMessage[T] = ParsedChatCompletionMessage()


class ParsedChatCompletion(ChatCompletion, Generic[T], frozen=True, kw_only=True):
    """The whole answer, its texts read as the type that was asked for."""

    choices: list[ParsedChoice[T]] = []  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]  (frozen: what is read from it is a ChatChoice each)

    @property
    def message(self) -> ParsedChatCompletionMessage[T]:
        """The message of the first choice."""
        return self.choices[0].message if self.choices else ParsedChatCompletionMessage()

    @property
    def parsed(self) -> T | None:
        """The first choice as the type that was asked for; None when it refused, or called tools instead."""
        return self.choices[0].message.parsed if self.choices else None
