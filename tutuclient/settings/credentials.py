"""The key and the base URL: found and cleaned together, as people paste, and swap, them together."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from tutuclient.errors import ConfigError
from tutuclient.settings.secret import KEY_START, Secret, looks_like_key, shown

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_BASE_URL: Final = "https://apinew.tutujin.com/v1"
# Documentation shows whole addresses, and people paste them as the base URL (.github/WIRE.md, section 6).
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
# "host:8000" is not a scheme and a path, so a scheme other than HTTP's needs its slashes.
_SCHEME = re.compile(r"https?:|[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\])(?:[:/]|$)", re.IGNORECASE)
_BEARER = re.compile(r"^(?:authorization\s*:\s*)?bearer(?:\s+|$)", re.IGNORECASE)
_QUOTES = "\"'“”‘’`"
_ADDRESS = re.compile(rf"[a-z][a-z0-9+.-]*://|{_LOOPBACK.pattern}", re.IGNORECASE)
_ADDRESS_END = re.compile(r"[.:][^/]*/(?:api/)?v\d+(?:/.*)?\Z", re.IGNORECASE)


class Credentials(NamedTuple):
    """A key, a base URL, and where they come from.

    Attributes:
        key: The key; "" where a function returns it later.
        url: The base URL.
        key_variable: The variable that the key was read from, or "".
        url_variable: The variable that the base URL was read from, or "".
    """

    key: Secret
    url: str
    key_variable: str = ""
    url_variable: str = ""


def find_credentials(api_key: object, base_url: object, getenv: Callable[[str], str | None]) -> Credentials:
    """Return the key and the base URL from the arguments, else ``TUTU_*``, else ``OPENAI_*``, cleaned.

    Args:
        api_key: The key, or None; a function that returns it later, for which "" is returned.
        base_url: The base URL, or None.
        getenv: Returns the value of a variable, or None.

    Raises:
        ConfigError: One of them is missing or cannot work, or the key would go where it does not belong.
    """
    is_later = callable(api_key)
    key, key_from = (Secret(""), "") if is_later else _look_up("api_key", api_key, getenv)
    url, url_from = _look_up("base_url", base_url, getenv)
    _check_mixed(key_from, url_from, getenv)
    if key_from is None:
        raise ConfigError(
            "no API key: pass api_key=…, or set TUTU_API_KEY (OPENAI_API_KEY is read too); "
            "for a server that needs no key, pass any text"
        )
    if key_from == "OPENAI_API_KEY" and url_from is None:
        raise ConfigError(
            f"the key comes from OPENAI_API_KEY and no base URL is given, so it would go to {DEFAULT_BASE_URL}: "
            "set OPENAI_BASE_URL to the relay that the key belongs to (or pass base_url=…), or set TUTU_API_KEY"
        )
    try:
        url = clean_base_url(DEFAULT_BASE_URL if url_from is None else url, key)
        return Credentials(key if is_later else clean_key(key), url, key_from, url_from or "")
    except ConfigError as error:
        variable = key_from if error.message.startswith(("api_key", "the API key")) else url_from
        if not variable:
            raise
        raise ConfigError(f"{error.message} (it comes from the environment, {variable})") from None


def read_again(key_variable: str, url_variable: str, url: str, getenv: Callable[[str], str | None]) -> Secret:
    """Return the key of a client that was pickled in another process, read from the same variable in this one.

    Args:
        key_variable: The variable that the key came from.
        url_variable: The variable that the base URL came from, or "".
        url: That base URL, which the pickle holds.
        getenv: Returns the value of a variable, or None.

    Raises:
        ConfigError: The variable is not set here, or its key is for another address.
    """
    key = Secret((getenv(key_variable) or "").strip())
    if not key:
        raise ConfigError(
            f"the client was pickled without its key, which came from {key_variable}, and {key_variable} is not set "
            "in this process: set it here too (on each worker), or build the client with api_key=…, which travels in "
            "the pickle"
        )
    here = (getenv(url_variable) or "").strip() if url_variable else ""
    if here and clean_base_url(here) != url:
        raise ConfigError(
            f"the client was pickled with the address of {url_variable}, {url}, and {url_variable} has another one in "
            f"this process, so {key_variable} may be a key of that one: set both as where it was pickled, or pass "
            "api_key=… and base_url=…"
        )
    if not here and url_variable == "OPENAI_BASE_URL":  # As ``find_credentials`` has it of that key.
        raise ConfigError(
            f"the client was pickled with OPENAI_API_KEY and the address of OPENAI_BASE_URL, {url}, and only the key "
            "is set in this process: set OPENAI_BASE_URL here too, or pass api_key=… and base_url=…"
        )
    return clean_key(key)


def _look_up(name: str, value: object, getenv: Callable[[str], str | None]) -> tuple[Any, str | None]:
    """Return a setting and the variable it comes from: "" for the argument, None where the setting is missing.

    Raises:
        ConfigError: The argument is empty text. It is not replaced by a variable, which may belong to another account.
    """
    if value is not None:
        if isinstance(value, str) and not value.strip():
            raise ConfigError(
                f"{name} is given and empty: pass a value, or leave it out (or pass None) to use TUTU_{name.upper()}; "
                "an empty value often comes from a variable that was not set"
            )
        return value, ""
    # Stripped: a variable that was filled from a file ends in a line break, which no header can have.
    for variable in (f"TUTU_{name.upper()}", f"OPENAI_{name.upper()}"):
        if found := Secret((getenv(variable) or "").strip()):
            return found, variable
    return Secret(""), None


def _check_mixed(key_from: str | None, url_from: str | None, getenv: Callable[[str], str | None]) -> None:
    """Check that no empty variable makes the key of one account go to the address of another.

    An empty variable counts as not set, as in a shell. But where the other variable
    of its pair is in use, it was meant to have a value.

    Args:
        key_from: The variable the key comes from; "" for the argument, None for nowhere.
        url_from: The variable the address comes from; "" for the argument, None for the default.
        getenv: Returns the value of a variable, or None.

    Raises:
        ConfigError: ``TUTU_API_KEY`` or ``TUTU_BASE_URL`` is empty, and what would stand in for it is of another pair.
    """
    if key_from is None or (key_from == "OPENAI_API_KEY" and url_from == "OPENAI_BASE_URL"):
        return
    # OPENAI_* is used only where TUTU_* is not set or is empty. So a TUTU_* that is set is empty here.
    if key_from == "OPENAI_API_KEY" and getenv("TUTU_API_KEY") is not None:
        raise ConfigError(
            "TUTU_API_KEY is set and empty, so the key of OPENAI_API_KEY would go to an address that is not "
            "OPENAI_BASE_URL's: set TUTU_API_KEY to the key of that address, or unset it"
        )
    if url_from in {"OPENAI_BASE_URL", None} and getenv("TUTU_BASE_URL") is not None:
        raise ConfigError(
            f"TUTU_BASE_URL is set and empty, so the key would go to {url_from or DEFAULT_BASE_URL}: set "
            "TUTU_BASE_URL to the address that the key belongs to, or unset it"
        )


def clean_key(text: object) -> Secret:
    """Return a key without what is copied along with it: spaces, quotes, "Bearer ", the header's name.

    Raises:
        ConfigError: It cannot be a key.
    """
    if not isinstance(text, str):
        raise ConfigError(f"api_key must be text, not {'bytes' if isinstance(text, bytes) else type(text).__name__}")
    key = _bare_key(text)
    if _ADDRESS.match(key) or _ADDRESS_END.search(key):
        raise ConfigError(
            "the API key is an address: pass the key as api_key (or TUTU_API_KEY) and the address as base_url (or "
            "TUTU_BASE_URL), as in TutuClient(api_key, base_url)"
        )
    if not key:
        raise ConfigError("the API key is empty without its spaces, quotes and 'Bearer': copy it again")
    # A "-" inside is not rejected, although new-api takes what follows one for a channel and answers 403: keys of other
    # vendors have several (.github/WIRE.md, section 6).
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            "the API key has a line break, a space or a character that is not ASCII inside: copy it again, alone"
        )
    return key


def is_loopback(host: str) -> bool:
    """Return whether a host is this computer as only this computer reaches it: an address, or ``localhost``."""
    try:
        ip = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    # Python before 3.13 does not look into a mapped one.
    return bool((getattr(ip, "ipv4_mapped", None) or ip).is_loopback)


def is_address(text: str) -> bool:
    """Return whether text begins as an address does, with a scheme or a loopback host."""
    return _ADDRESS.match(text.strip().strip(_QUOTES)) is not None


def _bare_key(text: str) -> Secret:
    key = text.strip().strip(_QUOTES).strip()
    return Secret(_BEARER.sub("", key).strip(_QUOTES).strip())


def clean_base_url(text: object, key: object = "") -> str:
    """Return the base URL that was meant: of a bare host, a trailing slash, the whole address of an endpoint.

    ``/v1`` is added only when there is no path; any other path is kept as it is.
    What may be a key is an error, and never shown: it would be looked up in DNS, and
    stand in every error.

    Args:
        text: The argument, or the value of a variable.
        key: The key, to see whether the two were swapped.

    Raises:
        ConfigError: It is not an address, or not one of an API.

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
    "the API key is an address and base_url is not: they seem to be swapped. The order is TutuClient(api_key, "
    "base_url); the variables are TUTU_API_KEY and TUTU_BASE_URL"
)


# Most programs have one address, and many clients of it. What raises is not kept, so no mistaken key is.
@lru_cache(maxsize=16)
def _clean_address(text: str) -> str:
    url = Secret(text.strip().strip(_QUOTES).strip())
    if not url or not url.isprintable() or any(mark.isspace() for mark in url) or "\\" in url:
        raise ConfigError("base_url is empty, or has spaces, line breaks or control characters inside")
    _check_placeholder(url)
    if _is_key(url):
        raise ConfigError(
            "base_url looks like a key, not like a host: was it swapped with api_key? The order is "
            "TutuClient(api_key, base_url). Before a host that is a single word, write http:// or https://"
        )
    if not _SCHEME.match(url):
        url = Secret(f"{'http' if _LOOPBACK.match(url) else 'https'}://{url!s}")
    try:
        parts = urlsplit(url)
        # Read here, since ``port`` parses its text only when it is asked for, and raises ValueError then.
        port = parts.port
    except ValueError:
        raise ConfigError("base_url is not an address: its host or its port cannot be read") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f"base_url must begin with http:// or https://, followed by a host; got {shown(parts.scheme)}"
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError("base_url must not contain a user name or password: pass the key as api_key")
    if parts.query or parts.fragment:
        raise ConfigError("base_url must not have a ?query or a #fragment: pass query parameters as default_query=")
    # A doubled slash is not forgiven: /v1//chat/completions is 404, //v1/… the panel's HTML under 200 (.github/WIRE.md,
    # section 4.6).
    path = re.sub(r"/{2,}", "/", parts.path).rstrip("/")
    for endpoint in _ENDPOINTS:
        if path.endswith(endpoint):
            path = path.removesuffix(endpoint)
            break
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    # Without /v1 new-api and one-api answer with the HTML of their panel, and status 200 (.github/WIRE.md, section
    # 3.4).
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path or '/v1'}"


def _check_placeholder(url: str) -> None:
    """Check an address for placeholders that nobody has filled in.

    Raises:
        ConfigError: There is one. The message shows its mark, and nothing of what may be a key.
    """
    host = re.split(r"[/?#]", re.sub(r"^[^/]*://", "", url), maxsplit=1)[0]
    if blank := re.search(r"[{}<>$|^\"]", host):
        raise ConfigError(
            f"base_url has {blank[0]!r} where the name of the host belongs: was a placeholder not filled in?"
        )
    if url.lower() in _NO_ADDRESS:
        raise ConfigError(f"base_url is {str(url)!r}, which is not an address: was a missing setting turned into text?")


_NO_ADDRESS = frozenset(("none", "null", "undefined", "nan", "true", "false"))


def _is_key(url: str) -> bool:
    """Return whether what was passed as an address may be a key.

    After a scheme that is only a single word that begins as keys do. Without one it
    is all that does not read as a host: one word without a port, characters that are
    not allowed in the name of a host, an end that is not a top-level domain (those
    are letters, RFC 3696 section 2, or the last number of an IPv4 address).
    """
    if _ADDRESS.match(url) or _SCHEME.match(url):
        host = re.split(r"[/?#]", re.sub(r"^[a-z]+:/*", "", url, flags=re.IGNORECASE), maxsplit=1)[0].rpartition("@")[2]
        host, _, port = host.partition(":")
        return "." not in host and not port and looks_like_key(host) and len(host) >= _KEY_LENGTH
    if "@" in url or "?" in url or "#" in url or url.startswith(("[", ":")):
        return bool(KEY_START.match(url))  # Other mistakes have messages of their own in ``_clean_address``.
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
    """Return scheme, host and port of an address, the port always written, all in lower case."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
