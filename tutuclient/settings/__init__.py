"""A client's settings: taken from the arguments, else the environment, else the defaults, and checked once.

Pure: no network, no clock, no files. What cannot work is a ``ConfigError``, whose
message never shows the key.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypedDict, TypeVar, cast, get_type_hints

import msgspec

from tutuclient._descriptors import default_connections
from tutuclient._meta import Meta  # noqa: TC001  (msgspec reads annotations at run time)
from tutuclient._unset import UNSET as UNSET
from tutuclient._unset import Unset as Unset
from tutuclient._unset import is_unset as is_unset
from tutuclient.errors import ConfigError
from tutuclient.settings.credentials import DEFAULT_BASE_URL as DEFAULT_BASE_URL
from tutuclient.settings.credentials import clean_base_url, clean_key, find_credentials, read_again
from tutuclient.settings.credentials import origin_of as origin_of
from tutuclient.settings.headers import bearer
from tutuclient.settings.headers import clean_headers as clean_headers
from tutuclient.settings.headers import clean_query as clean_query
from tutuclient.settings.headers import header_lines as header_lines
from tutuclient.settings.headers import merged_headers as merged_headers
from tutuclient.settings.headers import own_headers as own_headers
from tutuclient.settings.proxies import Proxies as Proxies
from tutuclient.settings.proxies import Proxy as Proxy
from tutuclient.settings.proxies import clean_proxy as clean_proxy
from tutuclient.settings.proxies import environment_proxies
from tutuclient.settings.relays import Relay as Relay
from tutuclient.settings.relays import Traits, clean_relays, clean_traits
from tutuclient.settings.secret import Secret as Secret
from tutuclient.settings.secret import SecretBytes as SecretBytes
from tutuclient.settings.secret import hidden as hidden
from tutuclient.settings.secret import masked as masked
from tutuclient.settings.secret import shown
from tutuclient.settings.values import RetryPolicy as RetryPolicy
from tutuclient.settings.values import Timeout as Timeout
from tutuclient.settings.values import clean_concurrency, clean_rate, clean_retry, is_whole
from tutuclient.settings.values import clean_timeout as clean_timeout
from tutuclient.types.prices import Prices

if TYPE_CHECKING:
    import ssl
    from typing import Unpack

    import aiohttp

F = TypeVar("F", bound=Callable[..., Any])

Key: TypeAlias = str | Callable[[], Awaitable[str] | str]
"""A key, or a function, async or not, that returns it and is asked before every attempt."""

Middleware: TypeAlias = Callable[[Any, Callable[[Any], Awaitable[Any]]], Awaitable[Any]]
"""``async def middleware(request, call_next)``: returns what ``await call_next(request)`` does, or something else."""


Observer: TypeAlias = Callable[[Any], Any]
"""``def observer(call)``: gets an ``ObservedCall`` as it begins; returns the ``CallListener`` of that call, or None."""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer used, for ``on_usage``.

    Attributes:
        what: Method and path of the call.
        model: The model that was asked, or "".
        usage: What the relay says it used: a ``Usage``, or what the endpoint has in its place.
        meta: How the call went.
        cost: What that costs by the client's ``prices``, in their unit; None without prices, where they or the usage
            do not say, and, of several relays, where one has answered whose prices they are not.
    """

    what: str
    model: str
    usage: Any
    meta: Meta
    cost: float | None = None


# --- checks: each takes a value and its keyword, for the message, and returns the value of the field -----------------


def _whole_number(value: object, name: str) -> int:
    if not is_whole(value) or value < 1:
        raise ConfigError(f"{name} must be a whole number from 1 up; got {shown(value)}")
    return int(value)  # numpy's are numbers too.


def _true_or_false(value: object, name: str) -> bool:
    if not isinstance(value, bool):  # "false", read from a file of settings, would count as true.
        raise ConfigError(f"{name} must be True or False; got {shown(value)}")
    return value


def _unchecked(value: object, _: str) -> object:
    return value


# Calls have timeouts and query parameters of their own, which are checked without a name.
def _timeout(value: object, _: str) -> Timeout:
    return clean_timeout(value)


def _query(value: Any, _: str) -> dict[str, str]:
    return clean_query(value)


def _listener(value: Any, name: str) -> Any:
    if not callable(value):
        raise ConfigError(f"{name} must be a function of a Spent, such as a list's append; got {shown(value)}")
    return value


def _prices(value: Any, name: str) -> Prices | dict[str, Prices]:
    if isinstance(value, Prices):
        return value
    pages: dict[str, Any] = dict(value) if isinstance(cast("object", value), Mapping) else {}
    if not pages or not all(isinstance(page, Prices) for page in pages.values()):
        raise ConfigError(
            f"{name} takes what await client.prices() returns; got {shown(value)}. A client of several relays takes a "
            "mapping of such pages by the relays' names, too"
        )
    return pages


def _middleware(value: Any, name: str) -> tuple[Middleware, ...]:
    return _functions(value, name, "async functions", "async functions of a request and call_next")


def _observers(value: Any, name: str) -> tuple[Observer, ...]:
    return _functions(value, name, "functions", "functions of an ObservedCall")


def _functions(value: Any, name: str, kind: str, meant: str) -> tuple[Any, ...]:
    listed: object = value
    if isinstance(listed, str | bytes) or not isinstance(listed, Iterable):
        raise ConfigError(f"{name} must be a list of {kind}; got {shown(value)}")
    functions: tuple[Any, ...] = tuple(value)
    for function in functions:
        if not callable(function):
            raise ConfigError(f"{name} must hold {meant}; got {shown(function)}")
    return functions


def _connector(value: Any, name: str) -> Any:
    if not (callable(value) or hasattr(value, "connect")):
        raise ConfigError(f"{name} must be an aiohttp connector, or a function that returns one; got {shown(value)}")
    return value


def _session(value: Any, name: str) -> Any:
    if isinstance(value, type) or not (hasattr(value, "request") and hasattr(value, "connector")):
        raise ConfigError(f"{name} must be an aiohttp.ClientSession; got {shown(value)}")
    return value


def _trace_configs(value: Any, name: str) -> tuple[Any, ...]:
    listed: object = value
    if not isinstance(listed, list | tuple):
        raise ConfigError(f"{name} must be a list of aiohttp.TraceConfig; got {shown(value)}")
    return tuple(value)


def _check_caller_session(fields: Mapping[str, Any]) -> None:
    """Check that what belongs to a connector of the caller's is not set beside it."""
    for brought, others in (("session", ("connector", "verify", "trace_configs")), ("connector", ("verify",))):
        for other in others:
            if brought in fields and other in fields:
                raise ConfigError(f"{other}= has no effect beside {brought}=: it is set where that is built")


# --- the table ------------------------------------------------------------------------------------------------------


class Changes(TypedDict, total=False):
    """The settings that a copy of a client may have of its own: the keywords of ``TutuClient.with_options``."""

    timeout: float | Timeout | Unset | None
    max_retries: int | Unset | None
    retry: RetryPolicy | None
    default_headers: Mapping[str, str] | None
    default_query: Mapping[str, object] | None
    strict_finish: bool | None
    middleware: Sequence[Middleware] | None
    attempt_middleware: Sequence[Middleware] | None
    on_usage: Callable[[Spent], object] | None
    prices: Prices | Mapping[str, Prices] | None
    observers: Sequence[Observer] | None


class Options(Changes, total=False):
    """All settings but the key and the base URL: the keywords of ``TutuClient``, whose docstring explains them."""

    max_connections: int | None
    max_concurrency: int | Literal["auto"] | None
    rate: str | float | None
    tokens_per_minute: int | None
    max_response_bytes: int
    proxy: str | None
    relays: Sequence[Relay] | None
    connector: aiohttp.BaseConnector | Callable[[], aiohttp.BaseConnector] | None
    session: aiohttp.ClientSession | None
    trace_configs: Sequence[aiohttp.TraceConfig] | None
    verify: bool | str | ssl.SSLContext
    allow_private_downloads: bool


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a client needs to know, checked.

    To add a setting, add a field here, with its default and its check, and a keyword
    to ``Changes`` or ``Options``: ``make`` and ``changed`` read both. Fields without
    a check are put together from several keywords: the key, the headers and ``retry``.

    Attributes:
        key_variable: The variable of the environment that the key was read from, or "".
        url_variable: The same of the base URL.
        relays: The settings for each of several relays, in whose place the first one's stand here; () for one relay.
        relay: What makes the relay apart whose settings these are, where it is one of several.
    """

    api_key: str
    base_url: str
    headers: Mapping[str, str]
    header_lines: bytes | None
    key_source: Callable[[], Awaitable[str] | str] | None = None
    key_variable: str = ""
    url_variable: str = ""
    retry: RetryPolicy = RetryPolicy()
    timeout: Annotated[Timeout, _timeout] = Timeout()
    max_connections: Annotated[int, _whole_number] = msgspec.field(default_factory=default_connections)
    max_concurrency: Annotated[int | Literal["auto"] | None, clean_concurrency] = None
    rate: Annotated[float | None, clean_rate] = None
    tokens_per_minute: Annotated[int | None, _whole_number] = None
    max_response_bytes: Annotated[int, _whole_number] = 64 * 2**20
    default_query: Annotated[Mapping[str, str], _query] = msgspec.field(default_factory=dict[str, str])
    proxy: Annotated[Proxies, clean_proxy] = msgspec.field(default_factory=lambda: environment_proxies(implied=True))
    connector: Annotated[Any, _connector] = None  # Any, as aiohttp is not imported here.
    session: Annotated[Any, _session] = None
    trace_configs: Annotated[tuple[Any, ...], _trace_configs] = ()
    verify: Annotated[Any, _unchecked] = True  # A file of certificates is read with the first call, as files may block.
    strict_finish: Annotated[bool, _true_or_false] = False
    allow_private_downloads: Annotated[bool, _true_or_false] = False
    middleware: Annotated[tuple[Middleware, ...], _middleware] = ()
    attempt_middleware: Annotated[tuple[Middleware, ...], _middleware] = ()
    on_usage: Annotated[Callable[[Spent], object] | None, _listener] = None
    prices: Annotated[Prices | Mapping[str, Prices] | None, _prices] = None
    observers: Annotated[tuple[Observer, ...], _observers] = ()
    relays: tuple[Settings, ...] = ()
    relay: Traits | None = None

    @property
    def slots(self) -> int:
        """The number of calls in flight at once: none waits inside the pool, where nothing could tell it apart."""
        most = self.max_concurrency
        return self.max_connections if most is None or most == "auto" else min(self.max_connections, most)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the relay, the port always written."""
        return origin_of(self.base_url)

    @property
    def counted_as(self) -> tuple[str, object]:
        """What the relay counts calls by: an account, where the caller has named it, else base URL and key."""
        if self.relay is not None and self.relay.account:
            return "", self.relay.account
        return self.base_url, self.key_source or self.api_key

    @property
    def route(self) -> Proxy | None:
        """The proxy that the relay is reached through, or None.

        Raises:
            ConfigError: It cannot be used.
        """
        if self.has_caller_session and self.proxy.implied:
            return None  # Whoever brings a connector has decided how the relay is reached.
        return self.proxy.of(self.base_url)

    @property
    def has_caller_session(self) -> bool:
        """Whether the caller brought a connector or a session along."""
        return self.connector is not None or self.session is not None

    @classmethod
    def make(
        cls,
        api_key: Key | None = None,
        base_url: str | None = None,
        *,
        user_agent: str,
        getenv: Callable[[str], str | None] = os.getenv,
        **options: Unpack[Options],
    ) -> Settings:
        """Build the settings of a new client.

        Args:
            api_key: As ``TutuClient`` takes it.
            base_url: As ``TutuClient`` takes it.
            user_agent: The value of the header User-Agent.
            getenv: Returns the value of a variable, or None. It is a function, as tracebacks with locals show a mapping
                with all that is in it.
            **options: What is None or UNSET has its default; a ``timeout`` of None is no limit, a ``proxy`` of None is
                no proxy.

        Raises:
            ConfigError: A setting is missing or cannot work; the message says what to do.
            TypeError: There is no such setting.
        """
        # Tracebacks with locals print this frame, so no name in it holds the bare key: swapped, it is in base_url.
        api_key, base_url = hidden(api_key), hidden(base_url)
        relays: Any = options.pop("relays", None)
        if relays is not None and relays is not UNSET:
            if api_key is not None or base_url is not None:
                raise ConfigError("pass relays=, or api_key= and base_url=, not both: each Relay has its own")
            return cls._of_several(clean_relays(relays), user_agent, options)
        key, url, key_variable, url_variable = find_credentials(api_key, base_url, getenv)
        headers = own_headers(key, user_agent)
        fields = _fields(options, _OPTIONS, _RETRY, headers)
        _check_caller_session(fields)
        if "header_lines" not in fields:
            fields |= {"headers": headers, "header_lines": header_lines(headers)}
        made = cls(
            api_key=key,
            base_url=url,
            key_source=api_key if callable(api_key) else None,
            key_variable=key_variable,
            url_variable=url_variable,
            **fields,
        )
        route = made.route  # A proxy that cannot be used is told of now, and not by the first call.
        if route is not None and route.is_socks and made.has_caller_session:
            raise ConfigError(f"{route} cannot be used beside connector= or session=: SOCKS is a connector of its own")
        return made.priced()

    @classmethod
    def _of_several(cls, relays: Sequence[Relay], user_agent: str, options: Any) -> Settings:
        """Build the settings of a client of several relays, each as if it were the only one."""
        found: list[Settings] = []
        prices = options.pop("prices", None)
        for number, relay in enumerate(relays):
            rate: Any = {} if relay.rate is None else {"rate": relay.rate}
            try:
                each = cls.make(relay.api_key, relay.base_url, user_agent=user_agent, **{**options, **rate})
                names = [one.relay.name for one in found if one.relay is not None]
                traits = clean_traits(relay, each.base_url, names)
            except ConfigError as error:
                raise ConfigError(f"relays[{number}]: {error.message}") from None
            found.append(msgspec.structs.replace(each, relay=traits))
        # Relays that are counted as one keep one pace, at the lowest rate that any of them names.
        rates: dict[object, float] = {}
        for given, each in zip(relays, found, strict=True):
            if given.rate is not None and each.rate is not None:
                rates[each.counted_as] = min(each.rate, rates.get(each.counted_as, each.rate))
        shared = [msgspec.structs.replace(each, rate=rates.get(each.counted_as, each.rate)) for each in found]
        made = msgspec.structs.replace(shared[0], relay=None, relays=tuple(shared))
        return made if prices is None else made.changed(prices=prices)

    def priced(self) -> Settings:
        """Return settings in which each relay has its own page of prices, where they are by the relays' names.

        Raises:
            ConfigError: A name is no relay's, or a page another's.
        """
        pages = self.prices
        if not isinstance(pages, Mapping):
            return self
        if self.relay is None:
            for name in pages:
                self.at(name)
            return msgspec.structs.replace(self, prices=None)  # Its relays have theirs.
        page = pages.get(self.relay.name)
        if page is not None and origin_of(page.source) != self.origin:
            raise ConfigError(
                f"prices[{self.relay.name!r}] is the page of {shown(page.source)}, and that relay is at {self.origin}"
            )
        return msgspec.structs.replace(self, prices=page)

    def renamed(self, fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return a request's fields as the relays get them that know its model by another name."""
        model = fields.get("model")
        found = [(each.relay.models or {}).get(str(model)) for each in self.relays or (self,) if each.relay is not None]
        return [{**fields, "model": name} for name in found if name is not None and name != model]

    def at(self, relay: str) -> Settings:
        """Return the settings for one of several relays.

        Raises:
            ConfigError: There is none of this name.
        """
        for each in self.relays or (self,):
            if each.relay is not None and each.relay.name == relay:
                return each
        names = ", ".join(repr(each.relay.name) for each in self.relays if each.relay is not None)
        if self.relay is not None:
            what = f"this copy of the client is for {self.relay.name!r} alone; begin with the client itself"
        else:
            what = f"the names are {names}" if names else "the client has one only"
        raise ConfigError(f"no relay is called {shown(relay)}: {what}")

    @property
    def first(self) -> Settings:
        """The settings for the first of several relays; these, where there is one."""
        return self.relays[0] if self.relays else self

    def changed(
        self,
        *,
        api_key: Key | None = None,
        base_url: str | None = None,
        relay: str | None = None,
        **changes: Unpack[Changes],
    ) -> Settings:
        """Return settings with changes; headers and query parameters are added to those that there are.

        Raises:
            ConfigError: A setting cannot work.
            TypeError: There is no such setting, or a copy of a client cannot have its own.
        """
        api_key = hidden(api_key)  # As in ``make``.
        settings = self if relay is None else self.at(relay)
        if settings.relays or settings.relay is not None:
            if api_key is not None or base_url is not None:
                name = "base_url" if api_key is None else "api_key"
                raise ConfigError(f"each relay of this client has its own {name}: build another with relays=[…]")
            relays = tuple(each.changed(**changes) for each in settings.relays)
            settings = msgspec.structs.replace(settings, relays=relays)
        if callable(api_key):
            settings = msgspec.structs.replace(self, key_source=api_key, key_variable="")
        elif api_key is not None:
            settings = msgspec.structs.replace(with_key(self, api_key), key_source=None, key_variable="")
        fields = _fields(changes, _CHANGES, settings.retry, settings.headers)
        if "default_query" in fields:
            fields["default_query"] = {**settings.default_query, **fields["default_query"]}
        if base_url is not None:
            fields |= {"base_url": clean_base_url(base_url), "url_variable": ""}
        return msgspec.structs.replace(settings, **fields).priced()

    def packed(self) -> Settings:
        """Return these settings as they are pickled: a key that was read from the environment stays there."""
        return _replace_key(self, Secret("")) if self.key_variable else self

    def unpacked(self, getenv: Callable[[str], str | None] = os.getenv) -> Settings:
        """Return the settings that ``packed`` were, with the key that this process has in the same variable.

        Raises:
            ConfigError: It has none, or one for another address.
        """
        if not self.key_variable:
            return self
        return _replace_key(self, read_again(self.key_variable, self.url_variable, self.base_url, getenv))

    def divided(self, workers: int) -> Settings:
        """Return the settings of one of so many workers: see ``TutuClient.for_workers``."""
        workers = _whole_number(workers, "workers")
        shares: dict[str, Any] = {} if self.rate is None else {"rate": self.rate / workers}
        for name in ("max_concurrency", "tokens_per_minute"):
            if is_whole(whole := getattr(self, name)):
                if whole < workers:
                    raise ConfigError(f"{name}={whole} cannot be divided among {workers} workers")
                shares[name] = whole // workers
        if self.relays:
            shares["relays"] = tuple(each.divided(workers) for each in self.relays)
        return msgspec.structs.replace(self, **shares)


# Evaluated once, at import, which takes less than half a millisecond.
_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Settings, include_extras=True).items()
    if hasattr(hint, "__metadata__")
}
_RETRY = RetryPolicy()
_NONE_COUNTS = frozenset({"timeout", "proxy"})
_OPTIONS, _CHANGES = frozenset(Options.__annotations__), frozenset(Changes.__annotations__)


def _fields(
    keywords: Mapping[str, Any], known: frozenset[str], retry: RetryPolicy, headers: Mapping[str, str]
) -> dict[str, Any]:
    """Check settings, and return them as fields of ``Settings``.

    Args:
        keywords: The settings by their names.
        known: The keywords that there are.
        retry: What ``max_retries`` changes.
        headers: What ``default_headers`` are added to.
    """
    if not keywords:
        return {}
    if not known.issuperset(keywords):
        raise TypeError(_unknown(min(keywords.keys() - known), known))
    fields: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    for name, value in keywords.items():
        if value is not UNSET and (value is not None or name in _NONE_COUNTS):
            if name in _CHECKS:
                fields[name] = _CHECKS[name](value, name)
            else:
                parts[name] = value
    if "max_retries" in parts or "retry" in parts:
        fields["retry"] = clean_retry(parts.get("max_retries"), parts.get("retry"), retry)
    if "default_headers" in parts:
        merged = merged_headers(headers, clean_headers(parts["default_headers"]))
        fields |= {"headers": merged, "header_lines": header_lines(merged)}
    return fields


def _unknown(name: str, known: frozenset[str]) -> str:
    """Return the message about a keyword that is not among those known."""
    call = "TutuClient()" if known is _OPTIONS else "with_options()"
    if name in _OPTIONS:
        return f"{call} cannot change {name}, which all copies of a client share: build another TutuClient({name}=…)"
    import difflib  # noqa: PLC0415  (only for a mistake)

    near = difflib.get_close_matches(name, known, 1)
    return f"{call} got an unexpected keyword argument {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def with_keywords(keywords: type[Any], *, open_ended: bool = False) -> Callable[[F], F]:
    """Write the keywords of a TypedDict into a function's signature, which would show ``**options`` in their place.

    Type checkers and editors that use them read ``Unpack``; ``help``, Sphinx, shells and notebooks read the signature.

    Args:
        keywords: The TypedDict.
        open_ended: The function accepts further keywords, so ``**fields`` stays.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = signature.parameters.values()
        parameters = [each for each in own if each.kind is not each.VAR_KEYWORD]
        taken = {each.name for each in parameters}
        parameters += [each for each in _parameters_of(cast("Hashable", keywords)) if each.name not in taken]
        if open_ended:
            parameters += [each for each in own if each.kind is each.VAR_KEYWORD]
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # PEP 362
        return function

    return decorate


@cache
def _parameters_of(keywords: Hashable) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=UNSET, annotation=getattr(hint, "__forward_arg__", hint)
        )
        for name, hint in cast("type[Any]", keywords).__annotations__.items()
    ]


def with_key(settings: Settings, key: object) -> Settings:
    """Return settings with another key, which no copy of the old one outlives.

    Raises:
        ConfigError: It cannot be a key.
    """
    key = hidden(key)  # As in ``Settings.make``: no frame shows it.
    return _replace_key(settings, clean_key(key))


def _replace_key(settings: Settings, secret: Secret) -> Settings:
    old = bearer(settings.api_key)
    headers = {name: bearer(secret) if value == old else value for name, value in settings.headers.items()}
    return msgspec.structs.replace(settings, api_key=secret, headers=headers, header_lines=header_lines(headers))


def without_key_header(settings: Settings) -> Settings:
    """Return settings for what is public: the header that carries the key is not sent, all others are."""
    own = bearer(settings.api_key)
    headers = {name: value for name, value in settings.headers.items() if value != own}
    return msgspec.structs.replace(settings, headers=headers, header_lines=header_lines(headers), key_source=None)
