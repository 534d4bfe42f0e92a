"""One small class for each page of the API; they turn keywords into calls and answers into structs."""

from __future__ import annotations

from tutuclient.resources.chat import Chat, ChatStreamManager, Completions
from tutuclient.resources.models import Models

__all__ = ["Chat", "ChatStreamManager", "Completions", "Models"]
