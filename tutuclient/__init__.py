"""An asyncio-first client for OpenAI-compatible relays.

Every public name is here; the rooms behind it open on first use (PEP 562), so
that ``import tutuclient`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tutuclient.client import TutuClient
    from tutuclient.errors import (
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigError,
        ConflictError,
        ContentPolicyError,
        ContextLengthError,
        FirstTokenTimeoutError,
        ImageDownloadError,
        IncompleteStreamError,
        InsufficientQuotaError,
        InternalServerError,
        MediaError,
        NoImageError,
        NotFoundError,
        OpenAIError,
        Outcome,
        OutcomeUnknownError,
        PayloadTooLargeError,
        PermissionDeniedError,
        PoolTimeoutError,
        RateLimitError,
        StreamIdleTimeoutError,
        TutuError,
        UnexpectedResponseError,
        UnprocessableEntityError,
    )
    from tutuclient.generated import GeneratedImage, find_images
    from tutuclient.media import PictureSource, Upload, image
    from tutuclient.resources.raw import APIResponse, OpenResponse
    from tutuclient.settings import RetryPolicy, Spent, Timeout
    from tutuclient.stream import ChatStream
    from tutuclient.transport import Request
    from tutuclient.types import (
        ChatCompletion,
        ChatCompletionChunk,
        ChatMessage,
        Completion,
        CompletionChoice,
        CreateEmbeddingResponse,
        Embedding,
        Image,
        ImagesResponse,
        ImageStreamEvent,
        ImagesUsage,
        Message,
        Meta,
        Model,
        ModelList,
        ToolCall,
        Usage,
        assistant,
        system,
        user,
    )

_ROOMS = {
    "client": ("TutuClient",),
    "errors": (
        "APIConnectionError",
        "APIError",
        "APIResponseValidationError",
        "APIStatusError",
        "APITimeoutError",
        "AuthenticationError",
        "BadRequestError",
        "ConfigError",
        "ConflictError",
        "ContentPolicyError",
        "ContextLengthError",
        "FirstTokenTimeoutError",
        "ImageDownloadError",
        "IncompleteStreamError",
        "InsufficientQuotaError",
        "InternalServerError",
        "MediaError",
        "NoImageError",
        "NotFoundError",
        "OpenAIError",
        "Outcome",
        "OutcomeUnknownError",
        "PayloadTooLargeError",
        "PermissionDeniedError",
        "PoolTimeoutError",
        "RateLimitError",
        "StreamIdleTimeoutError",
        "TutuError",
        "UnexpectedResponseError",
        "UnprocessableEntityError",
    ),
    "generated": ("GeneratedImage", "find_images"),
    "media": ("PictureSource", "Upload", "image"),
    "resources.raw": ("APIResponse", "OpenResponse"),
    "settings": ("RetryPolicy", "Spent", "Timeout"),
    "stream": ("ChatStream",),
    "transport": ("Request",),
    "types": (
        "ChatCompletion",
        "ChatCompletionChunk",
        "ChatMessage",
        "Completion",
        "CompletionChoice",
        "CreateEmbeddingResponse",
        "Embedding",
        "Image",
        "ImageStreamEvent",
        "ImagesResponse",
        "ImagesUsage",
        "Message",
        "Meta",
        "Model",
        "ModelList",
        "ToolCall",
        "Usage",
        "assistant",
        "system",
        "user",
    ),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponse",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatMessage",
    "ChatStream",
    "Completion",
    "CompletionChoice",
    "ConfigError",
    "ConflictError",
    "ContentPolicyError",
    "ContextLengthError",
    "CreateEmbeddingResponse",
    "Embedding",
    "FirstTokenTimeoutError",
    "GeneratedImage",
    "Image",
    "ImageDownloadError",
    "ImageStreamEvent",
    "ImagesResponse",
    "ImagesUsage",
    "IncompleteStreamError",
    "InsufficientQuotaError",
    "InternalServerError",
    "MediaError",
    "Message",
    "Meta",
    "Model",
    "ModelList",
    "NoImageError",
    "NotFoundError",
    "OpenAIError",
    "OpenResponse",
    "Outcome",
    "OutcomeUnknownError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "PictureSource",
    "PoolTimeoutError",
    "RateLimitError",
    "Request",
    "RetryPolicy",
    "Spent",
    "StreamIdleTimeoutError",
    "Timeout",
    "ToolCall",
    "TutuClient",
    "TutuError",
    "UnexpectedResponseError",
    "UnprocessableEntityError",
    "Upload",
    "Usage",
    "__version__",
    "assistant",
    "find_images",
    "image",
    "system",
    "user",
]


def __getattr__(name: str) -> object:
    room = _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
