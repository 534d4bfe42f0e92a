"""What the caller, the environment and the defaults say, made clean and checked once.

Pure: no network, no clock, no files. What is wrong here is a ``ConfigError`` that
never shows the key.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from tutuclient._descriptors import default_connections
from tutuclient._meta import Meta  # noqa: TC001  (msgspec reads annotations at run time)
from tutuclient._unset import UNSET, Unset, is_unset
from tutuclient.errors import ConfigError
from tutuclient.settings.credentials import (
    DEFAULT_BASE_URL,
    clean_base_url,
    clean_key,
    clean_proxy,
    origin_of,
)
from tutuclient.settings.headers import (
    bearer,
    clean_headers,
    clean_query,
    header_lines,
    merged_headers,
    own_headers,
)
from tutuclient.settings.secret import Secret, SecretBytes, hidden, looks_like_key, shown
from tutuclient.settings.values import (
    RetryPolicy,
    Timeout,
    clean_retry,
    clean_timeout,
    is_whole,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

__all__ = [
    "DEFAULT_BASE_URL",
    "UNSET",
    "Middleware",
    "RetryPolicy",
    "Secret",
    "SecretBytes",
    "Settings",
    "Spent",
    "Timeout",
    "Unset",
    "clean_base_url",
    "clean_headers",
    "clean_key",
    "clean_middleware",
    "clean_proxy",
    "clean_query",
    "clean_retry",
    "clean_timeout",
    "gather",
    "header_lines",
    "hidden",
    "is_unset",
    "looks_like_key",
    "merged_headers",
    "origin_of",
    "own_headers",
    "shown",
    "with_key",
]

_NAMES = ("TUTU_API_KEY", "TUTU_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")
Middleware: TypeAlias = Callable[[Any, Callable[[Any], Awaitable[Any]]], Awaitable[Any]]
"""``async def middleware(request, call_next)``: gives what ``await call_next(request)`` gives, or something else."""


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


def with_key(settings: Settings, key: object) -> Settings:
    """Give settings with another key, which no copy of the old one outlives.

    Raises:
        ConfigError: It cannot be a key.
    """
    key = hidden(key)  # As in ``gather``: no frame shows it.
    secret = clean_key(key)
    old = bearer(settings.api_key)
    headers = {name: bearer(secret) if value == old else value for name, value in settings.headers.items()}
    return msgspec.structs.replace(settings, api_key=secret, headers=headers, header_lines=header_lines(headers))


def _whole_number(name: str, value: object) -> int:
    if not is_whole(value) or value < 1:
        raise ConfigError(f"{name} must be a whole number from 1 up; got {shown(value)}")
    return int(value)  # numpy's are numbers too.


def _true_or_false(name: str, value: object) -> None:
    """Refuse words: "false" from a file of settings would count as true."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False; got {shown(value)}")


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
