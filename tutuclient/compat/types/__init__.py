"""The names of ``openai.types``: the same answers, as this client reads them.

Requests are plain dicts here: the names that end in ``Param`` are that, for code that
writes them down as annotations.
"""

from __future__ import annotations

from tutuclient.compat.types import audio, chat
from tutuclient.types import (
    Completion,
    CompletionChoice,
    CreateEmbeddingResponse,
    Embedding,
    Image,
    ImagesResponse,
    ImageStreamEvent,
    Model,
)
from tutuclient.types import Usage as CompletionUsage

ImageEditStreamEvent = ImageGenStreamEvent = ImageStreamEvent
ChatModel = ImageModel = AudioModel = EmbeddingModel = str

__all__ = [
    "AudioModel",
    "ChatModel",
    "Completion",
    "CompletionChoice",
    "CompletionUsage",
    "CreateEmbeddingResponse",
    "Embedding",
    "EmbeddingModel",
    "Image",
    "ImageEditStreamEvent",
    "ImageGenStreamEvent",
    "ImageModel",
    "ImagesResponse",
    "Model",
    "audio",
    "chat",
]
