"""What aiohttp and the system raise while an image is fetched, mapped to ``ImageDownloadError``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tutuclient._descriptors import NO_DESCRIPTORS, out_of_descriptors
from tutuclient.downloads.guard import blocked
from tutuclient.errors import ImageDownloadError, printable

if TYPE_CHECKING:
    from collections.abc import Generator

    from tutuclient.downloads.guard import PublicSockets
    from tutuclient.errors import DownloadReason
    from tutuclient.settings import Proxy

# By name, since aiohttp is imported with the first download only; most specific first.
_CAUSES: tuple[tuple[str, DownloadReason, str], ...] = (
    ("ClientConnectorDNSError", "unreachable", "the name of its host does not resolve"),
    ("ClientConnectorCertificateError", "untrusted", "its certificate cannot be trusted"),
    ("ClientSSLError", "unreachable", "TLS with its host failed"),
    ("ClientProxyConnectionError", "proxy", "the proxy cannot be reached"),
    ("ClientHttpProxyError", "proxy", "the proxy rejected the connection"),
    ("ConnectionTimeoutError", "timeout", "there was no connection to its host within timeout.connect"),
    ("ServerTimeoutError", "timeout", "its host sent nothing within timeout.idle"),
    ("ClientConnectorError", "unreachable", "its host cannot be reached"),
    ("ClientPayloadError", "unreachable", "the connection broke before the image was complete"),
    ("InvalidURL", "bad_address", "it is not a usable address"),
    ("ClientError", "unreachable", "the connection broke"),
)


@contextmanager
def mapped_errors(
    shown: str, sockets: PublicSockets | None = None, *, status: int | None = None, proxy: Proxy | None = None
) -> Generator[None, None, None]:
    """Raise what the network raises as an ``ImageDownloadError`` about the address ``shown``.

    Nothing is chained: aiohttp's exceptions hold the request, whose address and proxy may contain secrets.
    ``status`` is that of an answer of which a part of the image has come, ``proxy`` what the request goes through.
    """
    import aiohttp  # noqa: PLC0415  (0.3 s that a client without images need not spend)

    try:
        yield
    # A ValueError comes from yarl and from the codec of host names (IDNA), for an address that cannot be written on the
    # wire.
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # aiohttp reports the PermissionError of ``PublicSockets`` as a failure to connect, so the guard itself is asked
        # first.
        if sockets is not None and sockets.blocked:
            raise blocked(shown, sockets.blocked[0]) from None
        reason: DownloadReason = "unreachable" if isinstance(error, OSError) else "bad_address"
        words = "it cannot be requested"
        for name, cause, description in _CAUSES:
            if isinstance(error, getattr(aiohttp, name)):
                reason, words = cause, description
                break
        hint = "" if proxy is None else f"; through the proxy {printable(str(proxy), 200)}"
        if type(error).__name__ == "SocksError":
            reason, words = "proxy", f"the SOCKS proxy cannot be reached, or does not connect: {error}"
        # A part of the image has come, so the host was reached: what is there can be kept.
        if status is not None and reason == "unreachable":
            reason, hint = "damaged", f"; damaged=True keeps what came{hint}"
        detail = getattr(error, "strerror", None)
        if reason == "unreachable" and out_of_descriptors(error):
            words, detail = NO_DESCRIPTORS, None
        raise ImageDownloadError(
            f"{shown} could not be fetched: {words}{f' ({printable(str(detail), 200)})' if detail else ''}{hint}",
            reason=reason,
            status=getattr(error, "status", None) if reason == "proxy" else status,
        ) from None
