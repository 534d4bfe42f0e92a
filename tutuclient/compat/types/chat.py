"""The names of ``openai.types.chat``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from tutuclient.types import ChatAudio as ChatCompletionAudio
from tutuclient.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ParsedChatCompletion,
    ParsedChatCompletionMessage,
    ParsedChoice,
    ParsedFunction,
    ParsedFunctionToolCall,
)
from tutuclient.types import ChatMessage as ChatCompletionMessage
from tutuclient.types import TokenLogprob as ChatCompletionTokenLogprob
from tutuclient.types import ToolCall as ChatCompletionMessageToolCall

ChatCompletionMessageFunctionToolCall = ChatCompletionMessageToolCallUnion = ChatCompletionMessageToolCall
ChatCompletionRole = str
ChatCompletionToolChoiceOptionParam: TypeAlias = str | Mapping[str, Any]

ChatCompletionAssistantMessageParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartImageParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartInputAudioParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartTextParam: TypeAlias = dict[str, Any]
ChatCompletionDeveloperMessageParam: TypeAlias = dict[str, Any]
ChatCompletionFunctionMessageParam: TypeAlias = dict[str, Any]
ChatCompletionFunctionToolParam: TypeAlias = dict[str, Any]
ChatCompletionMessageFunctionToolCallParam: TypeAlias = dict[str, Any]
ChatCompletionMessageParam: TypeAlias = dict[str, Any]
ChatCompletionMessageToolCallParam: TypeAlias = dict[str, Any]
ChatCompletionMessageToolCallUnionParam: TypeAlias = dict[str, Any]
ChatCompletionNamedToolChoiceParam: TypeAlias = dict[str, Any]
ChatCompletionStreamOptionsParam: TypeAlias = dict[str, Any]
ChatCompletionSystemMessageParam: TypeAlias = dict[str, Any]
ChatCompletionToolMessageParam: TypeAlias = dict[str, Any]
ChatCompletionToolParam: TypeAlias = dict[str, Any]
ChatCompletionToolUnionParam: TypeAlias = dict[str, Any]
ChatCompletionUserMessageParam: TypeAlias = dict[str, Any]

__all__ = [
    "ChatCompletion",
    "ChatCompletionAssistantMessageParam",
    "ChatCompletionAudio",
    "ChatCompletionChunk",
    "ChatCompletionContentPartImageParam",
    "ChatCompletionContentPartInputAudioParam",
    "ChatCompletionContentPartParam",
    "ChatCompletionContentPartTextParam",
    "ChatCompletionDeveloperMessageParam",
    "ChatCompletionFunctionMessageParam",
    "ChatCompletionFunctionToolParam",
    "ChatCompletionMessage",
    "ChatCompletionMessageFunctionToolCall",
    "ChatCompletionMessageFunctionToolCallParam",
    "ChatCompletionMessageParam",
    "ChatCompletionMessageToolCall",
    "ChatCompletionMessageToolCallParam",
    "ChatCompletionMessageToolCallUnion",
    "ChatCompletionMessageToolCallUnionParam",
    "ChatCompletionNamedToolChoiceParam",
    "ChatCompletionRole",
    "ChatCompletionStreamOptionsParam",
    "ChatCompletionSystemMessageParam",
    "ChatCompletionTokenLogprob",
    "ChatCompletionToolChoiceOptionParam",
    "ChatCompletionToolMessageParam",
    "ChatCompletionToolParam",
    "ChatCompletionToolUnionParam",
    "ChatCompletionUserMessageParam",
    "ParsedChatCompletion",
    "ParsedChatCompletionMessage",
    "ParsedChoice",
    "ParsedFunction",
    "ParsedFunctionToolCall",
]
