"""A call to make: everything transport must know, and nothing of what it means."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tutuclient.settings import merged_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tutuclient.settings import RetryPolicy, Settings, Timeout
    from tutuclient.wire import Body


class Call:
    """One call, however many attempts it takes.

    Attributes:
        what: Method and path, for messages.
        method: GET or POST.
        url: The whole address, with its query.
        headers: All headers, among them one Idempotency-Key for all attempts.
        body: The JSON to send, or None.
        timeout: The caller's limits.
        retry: Whether to try again.
        makes_image: The call orders a picture: it goes over a connection of its own, and is not sent twice in silence.
        stream: The result goes on reading after the call has returned.
        max_bytes: The largest answer to take.
        settings: The client's settings at the time of the call.
    """

    __slots__ = (
        "body",
        "headers",
        "makes_image",
        "max_bytes",
        "method",
        "retry",
        "settings",
        "stream",
        "timeout",
        "url",
        "what",
    )

    def __init__(
        self,
        settings: Settings,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        query: str = "",
        timeout: Timeout | None = None,
        makes_image: bool = False,
        stream: bool = False,
    ) -> None:
        self.settings = settings
        self.method = method
        self.what = f"{method} {path}"
        self.url = f"{settings.base_url}{path}{query}"
        self.headers = dict(settings.headers) if headers is None else merged_headers(settings.headers, headers)
        if body is not None:
            self.headers.setdefault("Content-Type", "application/json")
            self.headers.setdefault("Idempotency-Key", f"tutu-{os.urandom(16).hex()}")
        self.body = body
        self.timeout = settings.timeout if timeout is None else timeout
        self.retry: RetryPolicy = settings.retry
        self.makes_image = makes_image
        self.stream = stream
        self.max_bytes = settings.max_response_bytes

    def seconds(self, kind: str) -> float | None:
        """Say how many seconds a limit is, for messages; None for one that is not the caller's."""
        return getattr(self.timeout, kind, None)
