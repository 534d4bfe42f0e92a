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
    CompletionTokensDetails,
    FunctionCall,
    FunctionCallDelta,
    PromptTokensDetails,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from tutuclient.types.completions import Completion, CompletionChoice, CompletionFields
from tutuclient.types.embeddings import CreateEmbeddingResponse, Embedding, EmbeddingFields
from tutuclient.types.images import (
    Image,
    ImageEditFields,
    ImageGenerateFields,
    ImagesResponse,
    ImagesTokensDetails,
    ImageStreamEvent,
    ImagesUsage,
    ImageVariationFields,
)
from tutuclient.types.models import Model, ModelList
from tutuclient.types.parts import ImagePart, ImageURL, Message, TextPart, assistant, system, user

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
    "Completion",
    "CompletionChoice",
    "CompletionFields",
    "CompletionTokensDetails",
    "CreateEmbeddingResponse",
    "Embedding",
    "EmbeddingFields",
    "FunctionCall",
    "FunctionCallDelta",
    "Image",
    "ImageEditFields",
    "ImageGenerateFields",
    "ImagePart",
    "ImageStreamEvent",
    "ImageURL",
    "ImageVariationFields",
    "ImagesResponse",
    "ImagesTokensDetails",
    "ImagesUsage",
    "Message",
    "Meta",
    "Model",
    "ModelList",
    "PromptTokensDetails",
    "TextPart",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "assistant",
    "system",
    "user",
]
