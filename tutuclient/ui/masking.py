"""The key, taken out of whatever the browser gets: a relay may answer with what it was sent."""

from __future__ import annotations

import json
from typing import Any, Final

from tutuclient.settings.secret import is_secret

_MASK: Final = "***"


class Mask:
    """Takes keys out of what is written.

    Args:
        keys: One for each relay; what is too short to be a secret is left.
    """

    def __init__(self, *keys: str) -> None:
        # The longest first: one may begin with another.
        self._keys = sorted(filter(is_secret, {*keys}), key=len, reverse=True)

    def dumps(self, value: Any) -> bytes:
        """Encode a value as JSON in one line, without the keys."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for key in self._keys:
            # As it stands in JSON: keys are printable ASCII, but may hold a quote or a backslash.
            text = text.replace(json.dumps(key)[1:-1], _MASK)
        return text.encode("utf-8", "replace")

    def split(self, text: str) -> tuple[str, str]:
        """Split streamed text into what can be shown, without a key, and an end that may be the beginning of one."""
        for key in self._keys:
            text = text.replace(key, _MASK)
        most = len(self._keys[0]) - 1 if self._keys else 0
        for length in range(min(most, len(text)), 0, -1):
            if any(key.startswith(text[-length:]) for key in self._keys):
                return text[:-length], text[-length:]
        return text, ""
