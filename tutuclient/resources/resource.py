"""What every page of the API needs: a client's settings, its transport, and a call made of keywords."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tutuclient import wire
from tutuclient.settings import UNSET, Unset, clean_headers, clean_query, clean_timeout
from tutuclient.transport import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tutuclient.settings import Settings, Timeout
    from tutuclient.transport import Transport


class Resource:
    """A page of the API, bound to a client."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport

    def _call(
        self,
        method: str,
        path: str,
        *,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        makes_image: bool = False,
        stream: bool = False,
    ) -> Call:
        settings = self._settings
        queries = dict(settings.default_query) | clean_query(query or {})
        return Call(
            settings,
            method,
            path,
            body=None if fields is None else wire.encode(fields),
            headers=clean_headers(headers) if headers else None,
            query=f"?{urlencode(queries)}" if queries else "",
            timeout=None if timeout is UNSET else clean_timeout(timeout),
            makes_image=makes_image,
            stream=stream,
        )
