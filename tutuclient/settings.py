"""What the caller, the environment and the defaults say, made clean and checked once.

Pure: no network, no clock, no files. What is wrong here is a ``ConfigError`` that
never shows the key.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import lru_cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard
from urllib.parse import urlsplit

import msgspec

from tutuclient._descriptors import default_connections
from tutuclient._meta import Meta  # noqa: TC001  (msgspec reads annotations at run time)
from tutuclient.errors import ConfigError, printable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

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
_NAMES = ("TUTU_API_KEY", "TUTU_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SCHEME = re.compile(r"https?:|[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\])(?:[:/]|$)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HALF = re.compile(r"[\ud800-\udfff]")
_QUOTES = "\"'“”‘’`"
# How vendors and relays begin a key. Sources: the key pages of OpenAI, Anthropic, Groq, xAI, Google, NVIDIA, Hugging
# Face, Replicate, Perplexity and Fireworks; "eyJ" begins every JSON web token.
_KEY_START = re.compile(r"(?:[sp]k|gsk|xai|nvapi|pplx|hf|r8|fw)[-_]|AIza|eyJ")
_KEY_INSIDE = re.compile(rf"(?<![A-Za-z0-9])(?:{_KEY_START.pattern})[A-Za-z0-9._~+/=-]{{6,}}")
_LONG_RANDOM = re.compile(r"(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{24,}")
_ADDRESS = re.compile(rf"[a-z][a-z0-9+.-]*://|{_LOOPBACK.pattern}", re.IGNORECASE)
_ADDRESS_END = re.compile(r"[.:][^/]*/(?:api/)?v\d+(?:/.*)?\Z", re.IGNORECASE)


Middleware: TypeAlias = Callable[[Any, Callable[[Any], Awaitable[Any]]], Awaitable[Any]]
"""``async def middleware(request, call_next)``: gives what ``await call_next(request)`` gives, or something else."""


class Unset(Enum):
    """Tells "not given" (the client's default) from None (off).

    As a field of a request it is not sent; as a header it takes the client's away.
    """

    UNSET = ...  # Which no encoder knows: it cannot be sent by mistake.

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset.UNSET


def _is_number(value: object) -> TypeGuard[float]:
    """Return whether something is a number; numpy's and the standard library's are."""
    return not isinstance(value, bool) and isinstance(value, Real)


def _is_whole(value: object) -> TypeGuard[int]:
    return not isinstance(value, bool) and isinstance(value, Integral)


def is_unset(value: object) -> bool:
    """Say whether something is ``UNSET``, also where the types do not have it: what openai calls omitted is."""
    return value is UNSET


class Secret(str):
    """Text that shows itself to nobody who only looks: its ``repr`` is masked.

    Tracebacks with locals, debuggers and logs print ``repr``; sending needs ``str``.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class SecretBytes(bytes):
    """The same for bytes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'***'"


def hidden(value: Any) -> Any:
    """Give text, or bytes in its place, that does not show itself; anything else as it is."""
    return Secret(value) if isinstance(value, str) else SecretBytes(value) if isinstance(value, bytes) else value


class Timeout(msgspec.Struct, frozen=True):
    """How long a call may take, in seconds; None is no limit. ``Timeout(60, connect=5)`` has a total of 60.

    Attributes:
        total: A deadline over everything: waiting for a slot, attempts, pauses between them, the whole answer.
        connect: One attempt's name look-up, TCP and TLS.
        pool: Waiting for a free slot of the client.
        first_token: From the start of an attempt until the first content of a stream, or the headers of a whole answer.
        idle: Silence in the *content* of a stream that has begun; pings and empty frames do not count.
    """

    total: float | None = 600.0
    connect: float | None = 10.0
    pool: float | None = None
    first_token: float | None = None
    idle: float | None = 300.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0 and not math.isnan(value)):
                raise ConfigError(f"timeout: {name} must be a number of seconds above 0, or None; got {shown(value)}")


def _is_count(value: object) -> bool:
    return _is_whole(value) and value >= 0


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Whether and when to try again.

    Attributes:
        max_retries: Attempts after the first.
        wait_initial: Upper bound of the first pause, in seconds; it doubles with each attempt. Pauses are drawn
            evenly from zero to the bound ("full jitter").
        wait_max: Where the doubling ends, in seconds.
        retry_after_max: The longest ``Retry-After`` to sit out, in seconds; a longer one is raised at once.
        budget: Retries that the whole client may spend before successes earn new ones; None is no limit. Counted for
            the client as it was made, not for its copies.
        resend_unknown: Send again what may already have been done, and billed. None: yes, unless it makes a picture.
    """

    max_retries: int = 2
    wait_initial: float = 0.5
    wait_max: float = 8.0
    retry_after_max: float = 60.0
    budget: int | None = 90
    resend_unknown: bool | None = None

    def __post_init__(self) -> None:
        if not _is_count(self.max_retries):
            raise ConfigError(f"max_retries must be a whole number from 0 up; got {shown(self.max_retries)}")
        if self.budget is not None and not _is_count(self.budget):
            raise ConfigError(f"budget must be a whole number of retries from 0 up, or None; got {shown(self.budget)}")
        for name in ("wait_initial", "wait_max", "retry_after_max"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} must be a number of seconds from 0 up; got {shown(value)}")


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer used, for ``on_usage``.

    Attributes:
        what: Method and path of the call.
        model: The model that was asked, or "".
        usage: What the relay says it used: a ``Usage``, or what the page has in its place.
        meta: How the call went.
    """

    what: str
    model: str
    usage: Any
    meta: Meta


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a client needs to know, checked. ``TutuClient`` documents the fields."""

    api_key: str
    base_url: str
    timeout: Timeout
    retry: RetryPolicy
    max_connections: int
    max_concurrency: int | None
    max_response_bytes: int
    headers: Mapping[str, str]
    header_lines: bytes | None
    default_query: Mapping[str, str]
    proxy: str | None
    verify: Any
    strict_finish: bool
    allow_private_downloads: bool
    key_source: Callable[[], Awaitable[str] | str] | None = None
    middleware: tuple[Middleware, ...] = ()
    attempt_middleware: tuple[Middleware, ...] = ()
    on_usage: Callable[[Spent], object] | None = None

    @property
    def slots(self) -> int:
        """How many calls may be in flight at once: no call waits inside the pool, where it could not be told apart."""
        return min(self.max_connections, self.max_concurrency or self.max_connections)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the relay, the port always written."""
        return origin_of(self.base_url)


def gather(
    api_key: str | Callable[[], Awaitable[str] | str] | None,
    base_url: str | None,
    timeout: float | Timeout | Unset | None,
    max_retries: int | None,
    retry: RetryPolicy | None,
    max_connections: int | None,
    max_concurrency: int | None,
    max_response_bytes: int,
    default_headers: Mapping[str, str] | None,
    default_query: Mapping[str, object] | None,
    proxy: str | None,
    verify: bool | str | ssl.SSLContext,
    strict_finish: bool,
    allow_private_downloads: bool,
    middleware: Sequence[Middleware],
    attempt_middleware: Sequence[Middleware],
    on_usage: Callable[[Spent], object] | None,
    user_agent: str,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Put together what the arguments, ``TUTU_*`` and ``OPENAI_*`` say, in this order.

    Raises:
        ConfigError: Something is missing or cannot work; the message says what to do.
    """
    # Tracebacks with locals print this frame, so no name in it holds the bare key: swapped, it is in base_url.
    key_source = api_key if callable(api_key) else None
    given = None if callable(api_key) else hidden(api_key)
    address = hidden(base_url)
    del api_key, base_url
    _refuse_empty(given, address)
    said_all = (given is not None or key_source is not None) and address is not None
    named = {name: Secret("" if said_all else environ.get(name, "").strip()) for name in _NAMES}
    empty = [] if said_all else [name for name in _NAMES if name in environ and not named[name]]
    del environ
    key = given or named["TUTU_API_KEY"] or named["OPENAI_API_KEY"]
    url = address or named["TUTU_BASE_URL"] or named["OPENAI_BASE_URL"]
    _refuse_mixed(
        empty,
        key_from=""
        if given or key_source
        else next((name for name in ("TUTU_API_KEY", "OPENAI_API_KEY") if named[name]), None),
        url_from="" if address else next((name for name in ("TUTU_BASE_URL", "OPENAI_BASE_URL") if named[name]), None),
    )
    if not key and key_source is None:
        raise ConfigError(
            "no API key: pass api_key=…, or set TUTU_API_KEY (OPENAI_API_KEY serves too); "
            "for a server that asks for none, any word will do"
        )
    if not url and key_source is None and key is named["OPENAI_API_KEY"]:
        raise ConfigError(
            f"the key comes from OPENAI_API_KEY and no base URL is given, so it would go to {DEFAULT_BASE_URL}: "
            "set OPENAI_BASE_URL to the relay the key belongs to (or pass base_url=…), or set TUTU_API_KEY"
        )
    if max_connections is None:
        max_connections = default_connections()
    max_connections = _whole_number("max_connections", max_connections)
    if max_concurrency is not None:
        max_concurrency = _whole_number("max_concurrency", max_concurrency)
    max_response_bytes = _whole_number("max_response_bytes", max_response_bytes)
    _true_or_false("strict_finish", strict_finish)
    _true_or_false("allow_private_downloads", allow_private_downloads)
    with _named(named, {"api_key": given or key_source, "base_url": address}):
        url = clean_base_url(url or DEFAULT_BASE_URL, key)
        secret = Secret("") if key_source is not None else clean_key(key)
    headers = merged_headers(own_headers(secret, user_agent), clean_headers(default_headers or {}))
    return Settings(
        api_key=secret,
        base_url=url,
        timeout=clean_timeout(timeout),
        retry=clean_retry(max_retries, retry),
        max_connections=max_connections,
        max_concurrency=max_concurrency,
        max_response_bytes=max_response_bytes,
        headers=headers,
        header_lines=header_lines(headers),
        default_query=clean_query(default_query or {}),
        proxy=clean_proxy(proxy),
        verify=verify,
        strict_finish=strict_finish,
        allow_private_downloads=allow_private_downloads,
        key_source=key_source,
        middleware=clean_middleware(middleware),
        attempt_middleware=clean_middleware(attempt_middleware),
        on_usage=clean_listener(on_usage),
    )


@contextmanager
def _named(variables: Mapping[str, str], given: Mapping[str, object]) -> Generator[None]:
    """Add to an error the variables that the settings it is about came from: there the mistake is to be mended."""
    try:
        yield
    except ConfigError as error:
        used = {"api_key": ("TUTU_API_KEY", "OPENAI_API_KEY"), "base_url": ("TUTU_BASE_URL", "OPENAI_BASE_URL")}
        about = (name for name in used if not given[name] and error.message.startswith(_ABOUT[name]))
        found = [next((each for each in used[name] if variables[each]), "") for name in about]
        if not any(found):
            raise
        raise ConfigError(f"{error.message} (it comes from the environment, {found[0]})") from None


_ABOUT = {"api_key": ("api_key", "the API key"), "base_url": ("base_url",)}


def _refuse_empty(key: object, address: object) -> None:
    """Refuse arguments that are given and empty: what would stand in for them belongs to somebody else.

    Raises:
        ConfigError: One of them is text without anything in it.
    """
    for name, value, variable in (("api_key", key, "TUTU_API_KEY"), ("base_url", address, "TUTU_BASE_URL")):
        if isinstance(value, str) and not value.strip():
            raise ConfigError(
                f"{name} is given and empty: leave it out (or pass None) to take {variable}, or fill it; an empty "
                "one is mostly a variable that was not set"
            )


def _refuse_mixed(empty: Sequence[str], key_from: str | None, url_from: str | None) -> None:
    """Refuse to let an empty variable send the key of one pair to the address of another.

    An empty variable counts as not set, as in a shell. But where the other half
    of its pair is in use, it was meant to be filled.

    Args:
        empty: The variables that are set and empty.
        key_from: The variable the key comes from; "" for the argument, None for nowhere.
        url_from: The variable the address comes from; "" for the argument, None for the default.

    Raises:
        ConfigError: ``TUTU_API_KEY`` or ``TUTU_BASE_URL`` is empty, and what would stand in for it is of another pair.
    """
    pair_of_openai = key_from == "OPENAI_API_KEY" and url_from == "OPENAI_BASE_URL"
    if "TUTU_API_KEY" in empty and key_from == "OPENAI_API_KEY" and not pair_of_openai:
        raise ConfigError(
            "TUTU_API_KEY is set and empty, so the key of OPENAI_API_KEY would go to an address that is not "
            "OPENAI_BASE_URL's: fill TUTU_API_KEY or unset it"
        )
    if (
        "TUTU_BASE_URL" in empty
        and key_from is not None
        and url_from in {"OPENAI_BASE_URL", None}
        and not pair_of_openai
    ):
        raise ConfigError(
            f"TUTU_BASE_URL is set and empty, so the key would go to {url_from or DEFAULT_BASE_URL}: fill "
            "TUTU_BASE_URL or unset it"
        )


def shown(value: object) -> str:
    """Return what a message may quote of a setting: short, printable, and never what looks like a key."""
    text = _KEY_INSIDE.sub("***", repr(hidden(value) if looks_like_key(value) else value))
    return printable(_LONG_RANDOM.sub("***", text), 80)


def looks_like_key(value: object) -> bool:
    """Return whether something is text that begins like a key, or is as long and random as one."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return isinstance(text, str) and bool(_KEY_START.match(text.strip()) or _LONG_RANDOM.fullmatch(text.strip()))


def with_key(settings: Settings, key: object) -> Settings:
    """Give settings with another key, which no copy of the old one outlives.

    Raises:
        ConfigError: It cannot be a key.
    """
    key = hidden(key)  # As in ``gather``: no frame shows it.
    secret = clean_key(key)
    old = _bearer(settings.api_key)
    headers = {name: _bearer(secret) if value == old else value for name, value in settings.headers.items()}
    return msgspec.structs.replace(settings, api_key=secret, headers=headers, header_lines=header_lines(headers))


def own_headers(key: Secret, user_agent: str) -> dict[str, str]:
    """Give the headers that a client sends of itself."""
    return {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Authorization": _bearer(key),
        "User-Agent": user_agent,
    }


def _bearer(key: str) -> Secret:
    return Secret(f"Bearer {key!s}")


def _whole_number(name: str, value: object) -> int:
    if not _is_whole(value) or value < 1:
        raise ConfigError(f"{name} must be a whole number from 1 up; got {shown(value)}")
    return int(value)  # numpy's are numbers too.


def _true_or_false(name: str, value: object) -> None:
    """Refuse words: "false" from a file of settings would count as true."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False; got {shown(value)}")


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
        return bool(_KEY_START.match(url))  # What is wrong with it otherwise is said elsewhere.
    host, _, port = re.split("/", url, maxsplit=1)[0].partition(":")
    labels = host.split(".")
    if len(labels) == 1:
        return not port or (_KEY_START.match(host) is not None and len(host) >= _KEY_LENGTH)
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


def clean_timeout(timeout: object) -> Timeout:
    """Make a ``Timeout``: a number is the total deadline, None takes the deadline off.

    A timeout of httpx, which the code of openai's users passes, is known by its
    parts: ``read`` limits the silence before and within an answer. It has no
    deadline, so there is one only to end what would never end: the usual, or
    ``read`` where that is longer.
    """
    if isinstance(timeout, Timeout):
        return timeout
    if timeout is UNSET:
        return Timeout()
    if all(hasattr(timeout, name) for name in ("connect", "read", "write", "pool")):
        of_httpx: Any = timeout
        read = of_httpx.read
        total = None if read is None else max(read, Timeout().total or 0.0)
        return Timeout(total, of_httpx.connect, of_httpx.pool, read, read)
    if timeout is None:
        return Timeout(total=None)
    if _is_number(timeout):
        return Timeout(total=timeout if type(timeout) is int else float(timeout))
    raise ConfigError(f"timeout must be a number of seconds, a Timeout or None; got {shown(timeout)}")


def clean_retry(max_retries: int | None, retry: RetryPolicy | None) -> RetryPolicy:
    """Make a ``RetryPolicy`` of the plain number or the struct, not of both."""
    if retry is not None and not isinstance(retry, RetryPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
        raise ConfigError(f"retry must be a RetryPolicy, such as RetryPolicy(max_retries=3); got {shown(retry)}")
    if max_retries is None:
        return retry or RetryPolicy()
    if retry is not None:
        raise ConfigError("give max_retries= or retry=RetryPolicy(…), not both")
    return RetryPolicy(max_retries=max_retries)


def clean_listener(listener: Callable[[Spent], object] | None) -> Callable[[Spent], object] | None:
    """Check that it can be called."""
    if listener is not None and not callable(listener):
        raise ConfigError(f"on_usage is a function of a Spent, such as a list's append; got {shown(listener)}")
    return listener


def clean_middleware(layers: Sequence[Middleware]) -> tuple[Middleware, ...]:
    """Check that they can be called."""
    given: Any = layers  # Callers are not always typed.
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigError(f"middleware is a list of async functions; got {shown(given)}")
    for layer in layers:
        if not callable(layer):
            raise ConfigError(f"a middleware is an async function of a request and call_next; got {shown(layer)}")
    return tuple(layers)


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
