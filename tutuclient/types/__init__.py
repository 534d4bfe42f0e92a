"""The shapes of requests, answers and chunks, a file for each page of the API.

Answers are msgspec structs that read generously: every field has a default,
unknown fields are kept out of the way (``extra``), and sets that may grow are
plain ``str``. Knows nothing of bytes, sockets or errors.
"""

from tutuclient.types.answer import Answer, Meta
from tutuclient.types.chat import (
    CallFields,
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatCompletionChunk,
    ChatDelta,
    ChatFields,
    ChatMessage,
    ChoiceLogprobs,
    CompletionTokensDetails,
    FunctionCall,
    FunctionCallDelta,
    PromptTokensDetails,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    TopLogprob,
    Usage,
)
from tutuclient.types.events import ChatStreamEvent
from tutuclient.types.models import Model, ModelList
from tutuclient.types.parsed import (
    ParsedChatCompletion,
    ParsedChatCompletionMessage,
    ParsedChoice,
    ParsedFunction,
    ParsedFunctionToolCall,
)
from tutuclient.types.parts import FileData, FilePart, ImagePart, ImageURL, Message, TextPart, assistant, system, user

__all__ = [
    "Answer",
    "CallFields",
    "ChatChoice",
    "ChatChunkChoice",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatDelta",
    "ChatFields",
    "ChatMessage",
    "ChatStreamEvent",
    "ChoiceLogprobs",
    "CompletionTokensDetails",
    "FileData",
    "FilePart",
    "FunctionCall",
    "FunctionCallDelta",
    "ImagePart",
    "ImageURL",
    "Message",
    "Meta",
    "Model",
    "ModelList",
    "ParsedChatCompletion",
    "ParsedChatCompletionMessage",
    "ParsedChoice",
    "ParsedFunction",
    "ParsedFunctionToolCall",
    "PromptTokensDetails",
    "TextPart",
    "TokenLogprob",
    "ToolCall",
    "ToolCallDelta",
    "TopLogprob",
    "Usage",
    "assistant",
    "system",
    "user",
]
