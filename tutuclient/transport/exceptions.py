"""Exceptions of aiohttp and the system, translated into errors of ours.

The tables have the most specific class first. No exception of aiohttp leaves the package but as a ``__cause__``, and
none does that holds the request's headers, with the key in them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from tutuclient._descriptors import NO_DESCRIPTORS
from tutuclient.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    FirstTokenTimeoutError,
    OutcomeUnknownError,
    PoolTimeoutError,
    StreamIdleTimeoutError,
    TutuError,
    UnexpectedResponseError,
    printable,
)
from tutuclient.transport.certificates import about_variables

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tutuclient.settings import Proxy


class EndlessInterimError(aiohttp.ClientError):
    """The relay sends interim answers (1xx) without end, and no final one."""


class SocksError(aiohttp.ClientConnectionError):
    """A SOCKS proxy cannot be reached, or does not connect."""


CAUGHT: Final = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError)
"""Everything that aiohttp, the TLS layer and the sockets raise while a call is made."""

UNCONNECTED: Final = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.ConnectionTimeoutError)
"""What aiohttp's connectors raise, and nothing else does: there was no connection."""

DIED: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError)
"""What says that a connection is gone, before any of an answer came over it."""

_NOT_SENT: tuple[tuple[type[BaseException], str], ...] = (
    (
        aiohttp.ClientConnectorCertificateError,
        "the relay's certificate cannot be trusted ({0}); verify= takes the file of a private authority",
    ),
    (aiohttp.ClientConnectorSSLError, "TLS with the relay failed ({0}); is it http:// perhaps, or a proxy in between?"),
    (aiohttp.ClientConnectorDNSError, "the relay's name cannot be looked up ({0}); check base_url and the network"),
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached ({0})"),
    (SocksError, "the SOCKS proxy cannot be reached, or does not connect ({0})"),
    (aiohttp.ClientConnectorError, "the relay cannot be reached ({0}); check base_url, and whether it runs"),
    (aiohttp.ConnectionTimeoutError, "no connection within timeout.connect"),
    (aiohttp.InvalidURL, "base_url is not an address that aiohttp can use"),
)
# The same, where it is the proxy's own TLS or name that failed.
_TO_THE_PROXY: tuple[tuple[type[BaseException], str], ...] = (
    (
        aiohttp.ClientConnectorCertificateError,
        "the proxy's certificate cannot be trusted ({0}); verify= takes the file of a private authority",
    ),
    (aiohttp.ClientConnectorSSLError, "TLS with the proxy failed ({0}); is it http:// perhaps?"),
    (aiohttp.ClientConnectorDNSError, "the proxy's name cannot be looked up ({0})"),
)
_SENT: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientPayloadError, "the answer broke off ({0})"),
    (aiohttp.ServerDisconnectedError, "the relay closed the connection without an answer"),
    (aiohttp.ClientResponseError, "the answer breaks the rules of HTTP"),
    (HttpProcessingError, "the answer breaks the rules of HTTP"),
    (BaseException, "the connection broke ({0})"),
)
# In TLS 1.3 the handshake looks done before the other side has refused it (RFC 8446, section 4.4.2.4).
_CERTIFICATE_REQUIRED = (
    "the relay, or what stands before it, asks for a client certificate; verify= takes an ssl.SSLContext that has one "
    "(load_cert_chain)"
)
_CERTIFICATE_REFUSED = "the relay, or what stands before it, does not accept the client certificate in verify= ({0})"
# What the other side says of our certificate, by OpenSSL's names of the alerts: RFC 8446, section 6.2.
_REFUSALS = re.compile(
    r"ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(?:REVOKED|EXPIRED|UNKNOWN)|ACCESS_DENIED)"
)
_STALE = (
    "the relay closed an idle connection in the moment it was used again, without a byte of an answer; it may have "
    "read the request, so it was not sent again, as it would have been if retries were allowed "
    "(max_retries=, resend_unknown=)"
)
# How aiohttp's message begins when a header, or their number, is over its limits: it has no class for the second.
_HEAD_TOO_LARGE = ("Got more than", "Too many headers")
_INVENTED_STATUS = re.compile(
    r"<\w+: \d{3}, message=(?P<quote>['\"])(?P<words>.*?)\.?(?P=quote)>|^\d{3}, message:\s*", re.DOTALL
)
_UNREAD: tuple[tuple[Callable[[BaseException], bool], str], ...] = (
    (
        lambda error: str(getattr(error, "message", "")).startswith(_HEAD_TOO_LARGE),
        "the answer's headers are too long or too many, so it was not read",
    ),
    (
        lambda error: isinstance(error, EndlessInterimError),
        "the relay sent a mebibyte of interim answers (1xx) and no final one",
    ),
)
# Their repr prints the request's headers, though their str does not: RequestInfo in aiohttp/client_reqrep.py.
_UNCLEAN = (aiohttp.ClientResponseError, aiohttp.ClientHttpProxyError, aiohttp.ContentTypeError)


class Translated:
    """A block in which exceptions of aiohttp and the system are raised as errors of ours.

    Args:
        translate: Returns the error to raise.
        foreign: A connector or a session of the caller's is used, which may raise classes of its own.
    """

    __slots__ = ("_foreign", "_translate")

    def __init__(self, translate: Callable[[BaseException], TutuError], *, foreign: bool = False) -> None:
        self._translate = translate
        self._foreign = foreign

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if error is None or not (isinstance(error, CAUGHT) or (self._foreign and _is_foreign(error))):
            return
        problem = self._translate(error)
        # One that was raised before, such as for a file that changed while it was sent, has its cause already.
        cause = problem.__cause__ if problem.__traceback__ is not None else clean_cause(error)
        # aiohttp's exception may hold the request's headers, and the key in them. So it must stay neither in this
        # frame, which tracebacks with locals print, nor where Python puts whatever is being handled during a raise.
        del error, _, __
        try:
            raise problem from cause
        finally:
            problem.__context__ = None


def _is_foreign(error: BaseException) -> bool:
    """Return whether an exception is of somebody's own class, as aiohttp-socks has; builtin ones are mistakes."""
    return isinstance(error, Exception) and not isinstance(error, TutuError) and type(error).__module__ != "builtins"


def broken(
    error: BaseException,
    what: str,
    *,
    connected: bool,
    sent: bool,
    makes_image: bool,
    stale: bool = False,
    proxy: Proxy | None = None,
    resolving: str = "",
) -> APIError:
    """Return our error for one that ended an attempt.

    Args:
        error: What aiohttp or the system raised.
        what: The call, such as "POST /chat/completions".
        connected: There was a connection; before that nothing can have been done.
        sent: The request was sent to its end; a relay cannot work on half of one.
        makes_image: The call orders an image.
        stale: An idle connection died under the call, and the caller forbids to send it again.
        proxy: What stands in between, or None.
        resolving: The name that was being looked up, or "".
    """
    if not connected or _lacks_certificate(error):
        return _before_connection(error, what, resolving, proxy)
    by = through(proxy)
    words = next(words for kind, words in _SENT if isinstance(error, kind)).format(_describe(error))
    if not sent:
        return _not_sent(error, f"{what}: {words} before the request was sent to its end{by}")
    if stale:
        return APIConnectionError(f"{what}: {_STALE}{by}")
    for unread, why in _UNREAD:
        if unread(error):
            return UnexpectedResponseError(f"{what}: {why}")
    if makes_image:
        return OutcomeUnknownError(
            f"{what}: {words}. The image may have been made and billed, so the request was not sent again: "
            f"look into the relay's log first; RetryPolicy(resend_unknown=True) allows sending it twice{by}"
        )
    return APIConnectionError(f"{what}: {words}{by}")


def through(proxy: Proxy | None) -> str:
    """Return the words for a proxy that was used, without its password, and for where that setting came from."""
    return "" if proxy is None else f"; through the proxy {printable(str(proxy), 200)}"


def _before_connection(error: BaseException, what: str, resolving: str, proxy: Proxy | None) -> APIConnectionError:
    if isinstance(error, aiohttp.ClientHttpProxyError) and proxy is not None:
        return proxy_error(what, error.status, proxy)
    by = through(proxy)
    if _lacks_certificate(error):
        words = _CERTIFICATE_REQUIRED if "CERTIFICATE_REQUIRED" in str(error) else _CERTIFICATE_REFUSED
        return _not_sent(error, f"{what}: {words.format(_describe(error))}{by}")
    to_proxy = (
        proxy is not None
        and isinstance(error, aiohttp.ClientConnectorError)
        and (error.host, error.port) == (proxy.host, proxy.port)
    )
    table = (*(_TO_THE_PROXY if to_proxy else ()), *_NOT_SENT, *_SENT)
    words = next(words for kind, words in table if isinstance(error, kind)).format(_describe(error))
    late = about_dns(resolving) if isinstance(error, TimeoutError) else ""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        late = about_variables()
    return _not_sent(error, f"{what}: {words}{late}{by}")


def _lacks_certificate(error: BaseException) -> bool:
    """Return whether the other side wants a client certificate, or another one. Then it has read nothing."""
    said = str(error) if isinstance(error, OSError) else ""
    return "CERTIFICATE_REQUIRED" in said or _REFUSALS.search(said) is not None


def _not_sent(error: BaseException, message: str) -> APIConnectionError:
    cls = APITimeoutError if isinstance(error, TimeoutError) else APIConnectionError
    untrusted = isinstance(error, aiohttp.ClientConnectorCertificateError) or _lacks_certificate(error)
    return cls(message, outcome="not_sent", code="certificate" if untrusted else None)


def proxy_error(what: str, status: int, proxy: Proxy) -> APIConnectionError:
    """Return the error for a proxy that refuses a request; a 3xx or 4xx would be the same a second time."""
    advice = ""
    if status == 407:  # noqa: PLR2004  (RFC 9110, section 15.5.8)
        asks = "it asks for a user name and a password, written as http://user:password@host:port"
        advice = f"; {asks if proxy.login is None else 'it does not take the user name and the password'}"
    is_final = 300 <= status < 500 and status not in {408, 429}  # noqa: PLR2004  (3xx and 4xx)
    return APIConnectionError(
        f"{what}: the proxy refused the connection (status {status}){advice}{through(proxy)}",
        outcome="not_sent",
        code="proxy" if is_final else None,
    )


def descriptors_error(what: str) -> APIConnectionError:
    """Return the error for a call for which the process has no file descriptors left."""
    return APIConnectionError(f"{what}: not sent: {NO_DESCRIPTORS}", outcome="not_sent", code="too_many_open_files")


def clean_cause(error: BaseException) -> BaseException | None:
    """Return an exception that may be chained, or None when it holds the request's headers.

    Its traceback is removed: frames of aiohttp and asyncio hold the request, and tracebacks with locals print it.
    """
    if isinstance(error, _UNCLEAN):
        return None
    if isinstance(error, aiohttp.ClientConnectorError) and error.args[0].proxy is not None:
        return clean_cause(error.os_error)  # Its ConnectionKey has the proxy's address, with the password.
    error.__traceback__ = None
    for link in ("__cause__", "__context__"):
        behind = getattr(error, link)
        if behind is not None:
            setattr(error, link, clean_cause(behind))
    return error


def _describe(error: BaseException) -> str:
    if isinstance(error, _UNCLEAN):
        return f"status {error.status}"
    if isinstance(error, aiohttp.ClientOSError) and error.errno is None:
        return "it was closed while the request was being written"  # aiohttp's text begins "[Errno None]".
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if type(inner) is aiohttp.ClientConnectionError and inner.__cause__ is not None:
        inner = inner.__cause__
    # aiohttp gives what breaks a body the status 400, which nobody answered.
    said = printable(_INVENTED_STATUS.sub(r"\g<words>", str(inner)) or type(inner).__name__, 200)
    return f"{error.host}: {said}" if isinstance(error, aiohttp.ClientConnectorDNSError) else said


_LIMITS: dict[str, tuple[type[APITimeoutError], str]] = {
    "total": (APITimeoutError, "no whole answer within the deadline of {0} s (timeout=)"),
    "pool": (PoolTimeoutError, "no free slot within {0} s: the client is busy (max_concurrency=, timeout=)"),
    "first_token": (FirstTokenTimeoutError, "nothing of the answer within {0} s (timeout.first_token)"),
    "tail": (APITimeoutError, "the body did not end behind the last event"),
    "idle": (StreamIdleTimeoutError, "the stream carried no content for {0} s (timeout.idle)"),
}


def about_dns(host: str) -> str:
    """Return the words for a name that is still being looked up when a limit expires."""
    return f"; the DNS gave no answer for {printable(host, 100)}: check the network and base_url" if host else ""


def timeout_error(
    kind: str,
    what: str,
    seconds: float | None,
    *,
    sent: bool,
    makes_image: bool = False,
    resolving: str = "",
    proxy: Proxy | None = None,
) -> APITimeoutError:
    """Return the error for a limit that expired; ``resolving`` is the name that was being looked up."""
    cls, words = _LIMITS[kind]
    paid = ". The image may have been made and billed: look into the relay's log before you repeat the call"
    return cls(
        f"{what}: {words.format(f'{seconds or 0:g}')}{paid if sent and makes_image else ''}{about_dns(resolving)}"
        f"{through(proxy)}",
        outcome="unknown" if sent else "not_sent",
    )
