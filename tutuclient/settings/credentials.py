"""The key, and the address it is sent to: cleaned together, as they are pasted, and swapped, together."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from tutuclient.errors import ConfigError
from tutuclient.settings.secret import KEY_START, Secret, looks_like_key, shown

DEFAULT_BASE_URL: Final = "https://apinew.tutujin.com/v1"
_ENDPOINTS = (
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/images/generations",
    "/images/edits",
    "/images/variations",
    "/audio/speech",
    "/audio/transcriptions",
    "/audio/translations",
    "/models",
    "/responses",
)
_SCHEME = re.compile(r"https?:|[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\])(?:[:/]|$)", re.IGNORECASE)
_QUOTES = "\"'“”‘’`"
_ADDRESS = re.compile(rf"[a-z][a-z0-9+.-]*://|{_LOOPBACK.pattern}", re.IGNORECASE)
_ADDRESS_END = re.compile(r"[.:][^/]*/(?:api/)?v\d+(?:/.*)?\Z", re.IGNORECASE)


def clean_key(text: object) -> Secret:
    """Take off what comes along when a key is copied: spaces, quotes, "Bearer ", the header's name."""
    if not isinstance(text, str):
        raise ConfigError(f"api_key must be text, not {'bytes' if isinstance(text, bytes) else type(text).__name__}")
    key = _bare_key(text)
    if _ADDRESS.match(key) or _ADDRESS_END.search(key):
        raise ConfigError(
            "the API key is an address: api_key (or TUTU_API_KEY) takes the key, base_url (or TUTU_BASE_URL) the "
            "address; TutuClient(api_key, base_url)"
        )
    if not key:
        raise ConfigError("the API key is empty once spaces, quotes and 'Bearer' are taken off")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            "the API key has a line break, a space or a character beyond ASCII inside; copy it again, alone"
        )
    return key


def _bare_key(text: str) -> Secret:
    key = text.strip().strip(_QUOTES).strip()
    key = re.sub(r"^(?:authorization\s*:\s*)?bearer(?:\s+|$)", "", key, flags=re.IGNORECASE).strip(_QUOTES).strip()
    return Secret(key)


def clean_base_url(text: object, key: object = "") -> str:
    """Make a base URL of whatever was pasted: a bare host, a trailing slash, a whole endpoint address.

    ``/v1`` is added only when there is no path; any other path is kept as it is.
    What may be a key is refused unseen: it would be looked up in DNS, and stand in
    every error.

    Args:
        text: What was given, or stood in the environment.
        key: What was given as the key: together the two tell whether they were swapped.

    Source: the habits of one-api and new-api deployments and of the apps around them.
    """
    if hasattr(text, "scheme") and hasattr(text, "host"):  # A URL of httpx, yarl or pydantic.
        text = str(text)
    if not isinstance(text, str):
        raise ConfigError(f"base_url must be text, not {'bytes' if isinstance(text, bytes) else type(text).__name__}")
    if isinstance(key, str) and _ADDRESS.match(_bare_key(key)) and not _ADDRESS.match(text.strip().strip(_QUOTES)):
        raise ConfigError(_SWAPPED)
    return _clean_address(Secret(text))


_SWAPPED = (
    "the API key is an address and base_url is not: they seem to be swapped. It is TutuClient(api_key, base_url), and "
    "TUTU_API_KEY and TUTU_BASE_URL"
)


@lru_cache(maxsize=16)
def _clean_address(text: str) -> str:
    url = Secret(text.strip().strip(_QUOTES).strip())
    if not url or not url.isprintable() or any(mark.isspace() for mark in url) or "\\" in url:
        raise ConfigError("base_url is empty, or has spaces, line breaks or control characters inside")
    _refuse_blank(url)
    if _is_key(url):
        raise ConfigError(
            "base_url looks like a key, and names no host: was it swapped with api_key? It is "
            "TutuClient(api_key, base_url). A host of one word is written with http:// or https:// before it"
        )
    if not _SCHEME.match(url):
        url = Secret(f"{'http' if _LOOPBACK.match(url) else 'https'}://{url!s}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError("base_url is no address: its host or its port cannot be read") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"base_url must begin with http:// or https:// and name a host; got {shown(parts.scheme)}")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("base_url must not hold a user name or password; the key goes into api_key")
    if parts.query or parts.fragment:
        raise ConfigError("base_url must not have a ?query or #fragment; pass default_query= for the former")
    path = re.sub(r"/{2,}", "/", parts.path).rstrip("/")
    for endpoint in _ENDPOINTS:
        if path.endswith(endpoint):
            path = path.removesuffix(endpoint)
            break
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path or '/v1'}"


def _refuse_blank(url: str) -> None:
    """Refuse an address with a place in it that nobody has filled in.

    Raises:
        ConfigError: There is one; the mark is shown, and nothing of what may be a key.
    """
    host = re.split(r"[/?#]", re.sub(r"^[^/]*://", "", url), maxsplit=1)[0]
    if blank := re.search(r"[{}<>$|^\"]", host):
        raise ConfigError(
            f"base_url has {blank[0]!r} where the name of a host belongs: is there a place that was to be filled in?"
        )
    if url.lower() in _NO_ADDRESS:
        raise ConfigError(f"base_url is {str(url)!r}, and no address: was a setting missing where it was made to text?")


_NO_ADDRESS = frozenset(("none", "null", "undefined", "nan", "true", "false"))


def _is_key(url: str) -> bool:
    """Return whether what was given as an address can as well be a key.

    With a scheme only a single word that begins as keys do; without one all that
    does not read as a host: one word without a port, characters that no host's
    name has, an end that is no top-level domain (those are letters, RFC 3696
    section 2, or the last number of an IPv4 address).
    """
    if _ADDRESS.match(url) or _SCHEME.match(url):
        host = re.split(r"[/?#]", re.sub(r"^[a-z]+:/*", "", url, flags=re.IGNORECASE), maxsplit=1)[0].rpartition("@")[2]
        host, _, port = host.partition(":")
        return "." not in host and not port and looks_like_key(host) and len(host) >= _KEY_LENGTH
    if "@" in url or "?" in url or "#" in url or url.startswith(("[", ":")):
        return bool(KEY_START.match(url))  # What is wrong with it otherwise is said elsewhere.
    host, _, port = re.split("/", url, maxsplit=1)[0].partition(":")
    labels = host.split(".")
    if len(labels) == 1:
        return not port or (KEY_START.match(host) is not None and len(host) >= _KEY_LENGTH)
    end = labels[-1]
    cased = end in {end.lower(), end.upper(), end.capitalize()}
    named = not end or end.isdigit() or end.lower().startswith("xn--") or (end.isalpha() and cased and len(end) <= _TLD)
    return not named or not all(_HOST_LABEL.fullmatch(label) for label in labels if label)


_KEY_LENGTH = 12
_TLD = 24
_HOST_LABEL = re.compile(r"[a-z0-9-]{1,63}|[^\x00-\x7f].*|.*[^\x00-\x7f]", re.IGNORECASE)


def origin_of(url: str) -> str:
    """Give scheme, host and port of an address, the port always written, all in lower case."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def clean_proxy(proxy: str | None) -> Secret | None:
    """Check a proxy's address; it may hold a password, so it is kept from view."""
    if proxy is None:
        return None
    if not isinstance(proxy, str):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
        raise ConfigError(f"proxy must be an http:// or https:// address, not {type(proxy).__name__}")
    address = Secret(proxy.strip())
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not address.isprintable() or " " in address:
        raise ConfigError("proxy must be an http:// or https:// address, such as http://proxy.example:3128")
    return address
