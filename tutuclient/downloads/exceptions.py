"""What aiohttp and the system raise while an image is fetched, as errors of ours."""

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

_WORDS: tuple[tuple[str, DownloadReason, str], ...] = (  # most specific first
    ("ClientConnectorDNSError", "unreachable", "the name of its host does not resolve"),
    ("ClientConnectorCertificateError", "untrusted", "its certificate cannot be trusted"),
    ("ClientSSLError", "unreachable", "TLS with its host failed"),
    ("ClientProxyConnectionError", "proxy", "the proxy cannot be reached"),
    ("ClientHttpProxyError", "proxy", "the proxy refuses to connect"),
    ("ConnectionTimeoutError", "timeout", "no connection to its host in time"),
    ("ServerTimeoutError", "timeout", "its host does not answer"),
    ("ClientConnectorError", "unreachable", "its host cannot be reached"),
    ("ClientPayloadError", "unreachable", "the connection broke before the picture was whole"),
    ("InvalidURL", "bad_address", "it is no usable address"),
    ("ClientError", "unreachable", "the connection broke"),
    ("ClientConnectionError", "unreachable", "the connection broke"),
)


@contextmanager
def mapped_errors(
    shown: str, gate: PublicSockets | None = None, *, status: int | None = None
) -> Generator[None, None, None]:
    """Turn what the network raises into our error; a stranger's address and the proxy's stay out of it.

    Args:
        shown: The address, as errors show it.
        gate: What was refused, if anything was.
        status: That of an answer of which an image has begun to come.
    """
    import aiohttp  # noqa: PLC0415  (as above)

    try:
        yield
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if gate is not None and gate.refused:
            raise blocked(shown, gate.refused[0]) from None
        unknown: tuple[DownloadReason, str] = ("bad_address", "it cannot be asked")
        if isinstance(error, OSError):
            unknown = ("unreachable", "it cannot be asked")
        known: list[tuple[DownloadReason, str]]
        known = [(why, words) for name, why, words in _WORDS if isinstance(error, getattr(aiohttp, name))]
        reason: DownloadReason
        reason, words = known[0] if known else unknown
        kept = ""
        if status is not None and reason == "unreachable":
            reason, kept = "damaged", "; damaged=True keeps what came"
        said = getattr(error, "strerror", None)
        if reason == "unreachable" and out_of_descriptors(error):
            words, said = NO_DESCRIPTORS, None
        raise ImageDownloadError(
            f"{shown} could not be fetched: {words}{f' ({printable(str(said), 200)})' if said else ''}{kept}",
            reason=reason,
            status=getattr(error, "status", None) if reason == "proxy" else status,
        ) from None
