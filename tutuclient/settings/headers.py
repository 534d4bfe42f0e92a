"""Headers and query parameters: checked, merged, and written once for all calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tutuclient._unset import is_unset
from tutuclient.errors import ConfigError
from tutuclient.settings.secret import Secret, SecretBytes, shown

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HALF = re.compile(r"[\ud800-\udfff]")


def own_headers(key: Secret, user_agent: str) -> dict[str, str]:
    """Give the headers that a client sends of itself."""
    return {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Authorization": bearer(key),
        "User-Agent": user_agent,
    }


def bearer(key: str) -> Secret:
    """Write a key as the header Authorization has it."""
    return Secret(f"Bearer {key!s}")


# Headers that say where a request ends, and what the connection is for. aiohttp sends them as they are given, beside a
# body that has its own length: the body is cut, the call hangs, or the rest is read as a second request (smuggling).
# Sources: RFC 9112, sections 6 and 11.2; RFC 9110, sections 7.2, 7.6.1, 7.8 and 10.1.1; RFC 7540, section 3.2.1.
_FRAMING_HEADERS = frozenset(
    (
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


def clean_headers(headers: Mapping[Any, Any]) -> dict[str, str]:
    """Check names and values of headers; a line break in one could smuggle a second request.

    Raises:
        ConfigError: One cannot be sent, or says how the request is written, which is the client's to say.
    """
    if not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
        raise ConfigError(f"headers are a mapping of names to texts; got a {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ConfigError(f"{shown(name)} cannot be the name of a header")
        # Servers that hand headers on as CGI variables cannot tell "_" from "-" (RFC 3875, section 4.1.18).
        if not is_unset(value) and name.lower().replace("_", "-") in _FRAMING_HEADERS:
            raise ConfigError(
                f"the header {name!r} says how a request is written on the connection, which is for the client to do: "
                "leave it out"
            )
        unfit = not isinstance(value, str) or _CONTROL.search(value) or _HALF.search(value)
        if not is_unset(value) and unfit:
            if not isinstance(value, str):
                raise ConfigError(
                    f"the value of header {shown(name)} is {_kind_of(value)}: write text"
                    + (", or leave it out; UNSET takes the client's away" if value is None else "")
                )
            raise ConfigError(
                f"the value of header {shown(name)} must be text without line breaks, control characters or half "
                "surrogates"
            )
    return {name: value if is_unset(value) else Secret(value) for name, value in headers.items()}


def _kind_of(value: object) -> str:
    """Return what something is, and nothing of it: it may be a secret."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"


def merged_headers(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Put headers over others; names count without regard to case, so none is sent twice. ``UNSET`` takes one away."""
    merged = {name.lower(): (name, value) for name, value in (*headers.items(), *more.items())}
    return {name: value for name, value in merged.values() if not is_unset(value)}


# Headers that change how a request is written, or that a call writes itself.
_SPECIAL_HEADERS = {
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "te",
    "upgrade",
    "content-encoding",
    "trailer",
    "transfer-encoding",
}


def header_lines(headers: Mapping[str, str]) -> bytes | None:
    """Write headers once for all calls, or None when one of them changes how a request is written.

    Names and values have been checked: no line break can be in them.

    Source: RFC 9112, section 5.
    """
    if any(name.lower() in _SPECIAL_HEADERS for name in headers):
        return None
    return SecretBytes("".join(f"{name}: {value!s}\r\n" for name, value in headers.items()).encode())


def clean_query(query: Mapping[str, object]) -> dict[str, str]:
    """Make texts of query parameters: true and false as JSON writes them, None and ``UNSET`` left out."""
    if not isinstance(query, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
        raise ConfigError(f"query parameters are a mapping of names to values; got a {type(query).__name__}")
    words = {True: "true", False: "false"}
    texts = {
        str(name): words[value] if isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None and not is_unset(value)
    }
    for name, text in texts.items():
        if _HALF.search(name + text):
            raise ConfigError(f"the query parameter {name!r} holds half a surrogate, which is no text that can be sent")
    return texts
