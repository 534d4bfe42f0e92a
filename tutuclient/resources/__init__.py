"""One small class for each endpoint of the API: keywords become calls, and answers structs."""

from __future__ import annotations

from tutuclient.resources.account import Account
from tutuclient.resources.audio import Audio, Speech
from tutuclient.resources.chat import Chat, Completions
from tutuclient.resources.completions import TextCompletions
from tutuclient.resources.embeddings import Embeddings
from tutuclient.resources.generic import AnyEndpoint
from tutuclient.resources.images import Images
from tutuclient.resources.models import Models
from tutuclient.resources.streaming import ChatStreamManager
from tutuclient.resources.transcriptions import Transcriptions, Translations

__all__ = [
    "Account",
    "AnyEndpoint",
    "Audio",
    "Chat",
    "ChatStreamManager",
    "Completions",
    "Embeddings",
    "Images",
    "Models",
    "Speech",
    "TextCompletions",
    "Transcriptions",
    "Translations",
]
