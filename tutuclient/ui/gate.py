"""Who may ask for what: the checks of Host, Origin, Sec-Fetch-Site and token, and the headers of every answer.

A page on loopback can be reached by every page that the browser has open, by names that resolve to 127.0.0.1 (DNS
rebinding), and by all users of the computer. So names are refused, other origins are refused, and calls need the token
of this start, which stands in the fragment of the printed address: fragments are neither sent nor logged, and, unlike
a cookie, a header of the page's own is nothing that another port of the same host gets or can make the browser send.
"""

from __future__ import annotations

import secrets
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from tutuclient.settings.credentials import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_HEADER: Final = "X-Tutu-Token"  # noqa: S105  (the header's name)

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "Server": "tutuclient",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The headers of every answer, errors included."""

IMAGE_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""The policy of images: opened in a tab of their own they can do nothing."""


class Refusal(NamedTuple):
    """Why a request is refused.

    Attributes:
        status: The HTTP status.
        code: A word for the page.
        message: What was wrong, and what to do.
    """

    status: int
    code: str
    message: str


class Gate:
    """Decides which requests are answered.

    Args:
        host: The address that the page listens on, as it was asked for.
        token: The token of this start.
    """

    def __init__(self, host: str, token: str) -> None:
        self._host = host.lower()
        self._token = token.encode()
        self._is_loopback = is_loopback(host)

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Return why a request is refused, or None when it may pass.

        Args:
            method: GET, POST…
            path: The path, decoded.
            headers: The headers; names are case-insensitive.
        """
        host = headers.get("Host", "")
        if not self._is_known(host):
            return Refusal(
                421, "host", "the page answers by its address alone, such as 127.0.0.1: open the address printed"
            )
        origin = headers.get("Origin")
        # The port may be another one: a tunnel's. A page on another port of this host has another Host than Origin.
        if origin is not None and origin.lower() != f"http://{host.lower()}":
            return Refusal(403, "origin", "requests from other origins are refused")
        if not _is_own(method, path, headers):
            return Refusal(403, "origin", "requests that another site caused are refused")
        if path.startswith("/api/") and not self._has_token(headers):
            return Refusal(
                403, "token", "the token is missing, or of an earlier start: open the address that was printed"
            )
        return None

    def _is_known(self, host: str) -> bool:
        """Return whether a Host is an address, not a name that somebody else may have pointed at this computer."""
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname or "", parts.port
        except ValueError:
            return False
        if parts.path or parts.query or parts.username is not None:
            return False
        if self._is_loopback:
            return is_loopback(name)
        try:
            return bool(ip_address(name))
        except ValueError:
            return name in {"localhost", self._host}

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        return secrets.compare_digest(headers.get(TOKEN_HEADER, "").encode("utf-8", "replace"), self._token)


def _is_own(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Return whether a browser says that the page itself asks, or that somebody opens the page.

    Source: Fetch Metadata Request Headers, sections 2 and 3. What is no browser sends none of these.
    """
    site = headers.get("Sec-Fetch-Site", "none")
    if site in {"same-origin", "none"}:
        return True
    # A link to the page, in a terminal within a browser for one, opens it; a frame does not.
    return method == "GET" and path == "/" and headers.get("Sec-Fetch-Dest", "") == "document"
