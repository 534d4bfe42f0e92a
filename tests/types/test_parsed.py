"""Parsed answers are accepted wherever plain ones are."""

from __future__ import annotations

import pickle

from tutuclient import wire
from tutuclient.types import (
    ChatCompletion,
    ChatMessage,
    ParsedChatCompletion,
    ParsedChatCompletionMessage,
    ParsedChoice,
    ParsedFunction,
    ParsedFunctionToolCall,
    ToolCall,
)

CALL = ParsedFunctionToolCall(id="c", function=ParsedFunction(name="f", arguments="{}", parsed_arguments={"a": 1}))


def answer() -> ParsedChatCompletion[list[int]]:
    message: ParsedChatCompletionMessage[list[int]] = ParsedChatCompletionMessage(
        content="[1]", parsed=[1], tool_calls=[CALL]
    )
    return ParsedChatCompletion(id="x", choices=[ParsedChoice(message=message, finish_reason="stop")])


def test_a_parsed_answer_is_an_answer() -> None:
    parsed = answer()
    assert isinstance(parsed, ChatCompletion)
    assert isinstance(parsed.message, ChatMessage)
    assert isinstance(CALL, ToolCall)
    assert (parsed.parsed, parsed.message.parsed, parsed.text, parsed.finish_reason) == ([1], [1], "[1]", "stop")
    assert parsed.images == []


def test_an_empty_one_has_nothing() -> None:
    empty: ParsedChatCompletion[int] = ParsedChatCompletion()
    assert (empty.parsed, empty.message.parsed, empty.text) == (None, None, "")


def test_its_message_can_be_sent_back_without_what_was_parsed() -> None:
    assert wire.prepared_messages([answer().message]) == [
        {
            "role": "assistant",
            "content": "[1]",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }
    ]


def test_it_travels() -> None:
    again = pickle.loads(pickle.dumps(answer()))  # noqa: S301  (our own bytes)
    assert again == answer()
    assert again.parsed == [1]
