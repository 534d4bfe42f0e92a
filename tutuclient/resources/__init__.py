"""One small class for each page of the API; they turn keywords into calls and answers into structs."""

from __future__ import annotations

from tutuclient.resources.chat import Chat, Completions
from tutuclient.resources.endpoints import Models
from tutuclient.resources.streaming import ChatStreamManager

__all__ = ["Chat", "ChatStreamManager", "Completions", "Models"]
