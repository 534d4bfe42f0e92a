"""One small class for each page of the API; they turn keywords into calls and answers into structs."""

from __future__ import annotations

from tutuclient.resources.account import Account
from tutuclient.resources.audio import Audio, Speech, Transcriptions, Translations
from tutuclient.resources.chat import Chat, Completions
from tutuclient.resources.completions import TextCompletions
from tutuclient.resources.embeddings import Embeddings
from tutuclient.resources.images import Images
from tutuclient.resources.models import Models
from tutuclient.resources.streaming import ChatStreamManager

__all__ = [
    "Account",
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
