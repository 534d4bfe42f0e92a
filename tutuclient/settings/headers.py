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
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def own_headers(key: Secret, user_agent: str) -> dict[str, str]:
    """Return the headers that every client sends."""
    return {
        "Accept": "application/json",
        "Accept-Encoding": "identity",  # Proxies that compress may hold a stream back (.github/WIRE.md, section 3.2).
        "Authorization": bearer(key),
        "User-Agent": user_agent,
    }


def bearer(key: str) -> Secret:
    """Return the value of the header Authorization that carries a key."""
    return Secret(f"Bearer {key!s}")


# Headers that say where a request ends, and what the connection is for. aiohttp sends them as they are, beside a
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
    """Return headers, their names and values checked: a line break in one could smuggle a second request.

    Raises:
        ConfigError: One cannot be sent, or controls how the request is framed, which only the client may do.
    """
    if not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
        raise ConfigError(f"headers must be a mapping of names to text; got {_kind_of(headers)}")
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ConfigError(f"the name of a header must be ASCII letters, digits and hyphens; got {shown(name)}")
        # Servers that hand headers on as CGI variables cannot tell "_" from "-" (RFC 3875, section 4.1.18).
        if not is_unset(value) and name.lower().replace("_", "-") in _FRAMING_HEADERS:
            raise ConfigError(
                f"the header {name!r} controls how a request is framed on the connection, which is the client's task: "
                "leave it out"
            )
        unfit = not isinstance(value, str) or _CONTROL.search(value) or _SURROGATE.search(value)
        if not is_unset(value) and unfit:
            if not isinstance(value, str):
                raise ConfigError(
                    f"the value of header {shown(name)} is {_kind_of(value)}: write text"
                    + (", or leave it out; UNSET removes the client's" if value is None else "")
                )
            raise ConfigError(
                f"the value of header {shown(name)} must be text without line breaks, control characters or lone "
                "surrogates"
            )
    return {name: value if is_unset(value) else Secret(value) for name, value in headers.items()}


def _kind_of(value: object) -> str:
    """Return the type of a value in words, and nothing of the value: it may be a secret."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"


def merged_headers(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Merge headers, the later ones winning; case does not count, so none is sent twice. ``UNSET`` removes one."""
    merged = {name.lower(): (name, value) for name, value in (*headers.items(), *more.items())}
    return {name: value for name, value in merged.values() if not is_unset(value)}


# A call writes these itself.
_SPECIAL_HEADERS = _FRAMING_HEADERS | {"content-type", "idempotency-key"}


def header_lines(headers: Mapping[str, str]) -> bytes | None:
    """Return headers as they are sent, encoded once for all calls; None when one of them is for each call to write.

    Names and values have been checked: there is no line break in them.

    Source: RFC 9112, section 5.
    """
    if not _SPECIAL_HEADERS.isdisjoint(map(str.lower, headers)):
        return None
    return SecretBytes("".join(f"{name}: {value!s}\r\n" for name, value in headers.items()).encode())


def clean_query(query: Mapping[str, object]) -> dict[str, str]:
    """Return query parameters as text: true and false as in JSON, None and ``UNSET`` left out.

    Raises:
        ConfigError: They are not a mapping, or cannot be encoded.
    """
    if not isinstance(query, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
        raise ConfigError(f"query parameters must be a mapping of names to values; got {_kind_of(query)}")
    words = {True: "true", False: "false"}
    texts = {
        str(name): words[value] if isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None and not is_unset(value)
    }
    for name, text in texts.items():
        if _SURROGATE.search(name + text):
            raise ConfigError(f"the query parameter {name!r} contains a lone surrogate, which UTF-8 cannot encode")
    return texts
