"""The key, taken out of whatever the browser gets: a relay may answer with what it was sent."""

from __future__ import annotations

import json
from typing import Any, Final

from tutuclient.settings.secret import is_secret

_MASK: Final = "***"


class Mask:
    """Takes a key out of what is written.

    Args:
        key: The key; what is too short to be a secret is left.
    """

    def __init__(self, key: str) -> None:
        self._key = key if is_secret(key) else ""

    def dumps(self, value: Any) -> bytes:
        """Encode a value as JSON in one line, without the key."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if self._key:
            # As it stands in JSON: keys are printable ASCII, but may hold a quote or a backslash.
            text = text.replace(json.dumps(self._key)[1:-1], _MASK)
        return text.encode("utf-8", "replace")

    def split(self, text: str) -> tuple[str, str]:
        """Split streamed text into what can be shown, without the key, and an end that may be the beginning of one."""
        if not self._key:
            return text, ""
        text = text.replace(self._key, _MASK)
        for length in range(min(len(self._key) - 1, len(text)), 0, -1):
            if self._key.startswith(text[-length:]):
                return text[:-length], text[-length:]
        return text, ""
