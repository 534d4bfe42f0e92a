"""Server-sent events on the wire, as text.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, sections 9.2.5 and 9.2.6.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# The standard's line ends, and no others: str.splitlines would also cut at U+2028, form feeds and the like.
_LINE_END = re.compile(r"\r\n|\r|\n")


class Frame(NamedTuple):
    """One event, or a comment alone, which keeps the connection alive without being an event.

    Attributes:
        data: What the browser gets. Line ends of any kind reach it as LF: the format has no other.
        event: The name that listeners are added for; None is "message".
        id: What a browser that reconnects sends back as ``Last-Event-ID``.
        comment: Text that browsers ignore.
    """

    data: str | None = None
    event: str | None = None
    id: str | None = None
    comment: str | None = None

    def encode(self) -> str:
        """Return the event's lines, the empty one at its end included."""
        lines = [] if self.comment is None else [f": {line}" for line in _LINE_END.split(self.comment)]
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.data is not None:
            lines += [f"data: {line}" for line in _LINE_END.split(self.data)]
        return "\n".join(lines) + "\n\n"


HEARTBEAT = Frame(comment="still there")
