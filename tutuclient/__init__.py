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
        SoundError,
        StreamIdleTimeoutError,
        TutuError,
        UnexpectedResponseError,
        UnprocessableEntityError,
    )
    from tutuclient.generated import GeneratedImage, find_images
    from tutuclient.media import PictureSource, Recording, SoundSource, Upload, audio, image
    from tutuclient.settings import RetryPolicy, Timeout
    from tutuclient.sound import Sound, SoundStream
    from tutuclient.stream import ChatStream
    from tutuclient.types import (
        ChatCompletion,
        ChatCompletionChunk,
        ChatMessage,
        Message,
        Meta,
        Model,
        ModelList,
        SpeechStreamEvent,
        ToolCall,
        Transcription,
        TranscriptionDiarized,
        TranscriptionStreamEvent,
        TranscriptionVerbose,
        Translation,
        TranslationVerbose,
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
        "SoundError",
        "StreamIdleTimeoutError",
        "TutuError",
        "UnexpectedResponseError",
        "UnprocessableEntityError",
    ),
    "generated": ("GeneratedImage", "find_images"),
    "media": ("PictureSource", "Recording", "SoundSource", "Upload", "audio", "image"),
    "settings": ("RetryPolicy", "Timeout"),
    "sound": ("Sound", "SoundStream"),
    "stream": ("ChatStream",),
    "types": (
        "ChatCompletion",
        "ChatCompletionChunk",
        "ChatMessage",
        "Message",
        "Meta",
        "Model",
        "ModelList",
        "SpeechStreamEvent",
        "ToolCall",
        "Transcription",
        "TranscriptionDiarized",
        "TranscriptionStreamEvent",
        "TranscriptionVerbose",
        "Translation",
        "TranslationVerbose",
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
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatMessage",
    "ChatStream",
    "ConfigError",
    "ConflictError",
    "ContentPolicyError",
    "ContextLengthError",
    "FirstTokenTimeoutError",
    "GeneratedImage",
    "ImageDownloadError",
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
    "Outcome",
    "OutcomeUnknownError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "PictureSource",
    "PoolTimeoutError",
    "RateLimitError",
    "Recording",
    "RetryPolicy",
    "Sound",
    "SoundError",
    "SoundSource",
    "SoundStream",
    "SpeechStreamEvent",
    "StreamIdleTimeoutError",
    "Timeout",
    "ToolCall",
    "Transcription",
    "TranscriptionDiarized",
    "TranscriptionStreamEvent",
    "TranscriptionVerbose",
    "Translation",
    "TranslationVerbose",
    "TutuClient",
    "TutuError",
    "UnexpectedResponseError",
    "UnprocessableEntityError",
    "Upload",
    "Usage",
    "__version__",
    "assistant",
    "audio",
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
