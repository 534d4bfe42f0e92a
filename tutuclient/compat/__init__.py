"""The openai package's names, for code that comes from there: ``from tutuclient.compat import AsyncOpenAI``.

``AsyncOpenAI`` is a ``TutuClient`` that takes openai's settings, and reads the
same variables: here OPENAI_API_KEY alone goes to api.openai.com, where it belongs.
What it promises is the promises of ``TutuClient``. The names of what the relay's
pages do not have are refused when they are imported, with what to do instead.

Source: openai-python 3.x, ``AsyncOpenAI``, ``openai.types``.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

import msgspec

from tutuclient import __version__
from tutuclient.client import TutuClient
from tutuclient.compat import types
from tutuclient.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ConflictError,
    ContentFilterFinishReasonError,
    InternalServerError,
    LengthFinishReasonError,
    NotFoundError,
    OpenAIError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from tutuclient.resources import Chat, Completions
from tutuclient.resources.resource import Resource
from tutuclient.resources.responses import APIResponse as AsyncAPIResponse
from tutuclient.settings import (
    UNSET,
    Secret,
    Timeout,
    Unset,
    clean_base_url,
    clean_headers,
    clean_key,
    clean_query,
    header_lines,
    is_unset,
    merged_headers,
    origin_of,
    own_headers,
    with_key,
)
from tutuclient.streams.reading import Stream as AsyncStream
from tutuclient.tools import Tool
from tutuclient.transport import Transport
from tutuclient.types.base import Plain as BaseModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from types import TracebackType
    from typing import Self

    from tutuclient.resources import ChatStreamManager
    from tutuclient.resources.streaming import ChatCompletionStream
    from tutuclient.settings import Settings
    from tutuclient.types.parsed import ParsedChatCompletion

    Key: TypeAlias = str | Callable[[], Awaitable[str] | str]

__all__ = [
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_TIMEOUT",
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncAPIResponse",
    "AsyncClient",
    "AsyncOpenAI",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "BaseModel",
    "ConflictError",
    "ContentFilterFinishReasonError",
    "InternalServerError",
    "LengthFinishReasonError",
    "NotFoundError",
    "NotGiven",
    "Omit",
    "OpenAIError",
    "PermissionDeniedError",
    "RateLimitError",
    "Timeout",
    "UnprocessableEntityError",
    "not_given",
    "omit",
    "pydantic_function_tool",
    "types",
]

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"
DEFAULT_TIMEOUT: Final = Timeout()
DEFAULT_MAX_RETRIES: Final = 2

NotGiven = Omit = Unset
# Fields are typed without it, so that plain code is checked closely; to a checker it fits everywhere.
NOT_GIVEN: Any = UNSET
not_given = omit = NOT_GIVEN

_ORGANIZATION = "OpenAI-Organization"
_PROJECT = "OpenAI-Project"
_NO_HTTP_CLIENT = (
    "http_client= is not taken: the connections are aiohttp's. For a proxy pass proxy=, for certificates verify=, for "
    "limits max_connections=, for what is to happen around each call middleware="
)
_SYNC = "tutuclient is for asyncio and has no synchronous client: use AsyncOpenAI and await its calls"
_AZURE = "Azure's own addresses are not spoken here; its /openai/v1 address is: AsyncOpenAI(base_url=…, api_key=…)"
_HTTPX = "the connections are aiohttp's, and no http_client= is taken: proxy=, verify= and max_connections= do its work"
_ELSEWHERE = {
    "OpenAI": _SYNC,
    "Client": _SYNC,
    "Stream": _SYNC,
    "AzureOpenAI": _SYNC,
    "BedrockOpenAI": _SYNC,
    "AsyncAzureOpenAI": _AZURE,
    "AsyncBedrockOpenAI": "Bedrock's signatures are not spoken here",
    "DefaultAioHttpClient": _HTTPX,
    "DefaultAsyncHttpx2Client": _HTTPX,
    "DefaultAsyncHttpxClient": _HTTPX,
    "DefaultHttpx2Client": _HTTPX,
    "DefaultHttpxClient": _HTTPX,
}
_VERBS = frozenset(("get_api_list", "request"))
# Pages that openai has and the relay has not.
_PAGES = frozenset(
    (
        "admin",
        "batches",
        "containers",
        "conversations",
        "evals",
        "files",
        "fine_tuning",
        "live",
        "moderations",
        "realtime",
        "responses",
        "safety",
        "skills",
        "uploads",
        "vector_stores",
        "videos",
        "webhooks",
    )
)


class AsyncOpenAI(TutuClient):
    """A ``TutuClient`` made with the settings of openai's ``AsyncOpenAI``.

    Args:
        api_key: The key, or an async function that is asked for it before every attempt; else OPENAI_API_KEY.
        organization: Sent as the header OpenAI-Organization; else OPENAI_ORG_ID.
        project: Sent as the header OpenAI-Project; else OPENAI_PROJECT_ID.
        webhook_secret: Taken and not used: there are no webhooks here.
        base_url: Where the API is, as text or as whatever becomes it; else OPENAI_BASE_URL, else api.openai.com.
        websocket_base_url: Taken and not used: there are no websockets here.
        timeout: Seconds until the deadline, a ``Timeout``, a timeout of httpx, or None for no limit.
        max_retries: Attempts after the first; 2 unless ``retry=`` says otherwise.
        default_headers: Headers for every call; one that is ``omit`` takes the client's own away.
        default_query: Query parameters for every call.
        http_client: None; there is no httpx here.
        _strict_response_validation: False; answers are read generously.
        **ours: Every other setting of ``TutuClient``.

    Raises:
        ConfigError: A setting is missing, cannot work, or cannot be honoured. It is an ``OpenAIError`` too.
    """

    def __init__(
        self,
        *,
        api_key: Key | None = None,
        organization: str | None = None,
        project: str | None = None,
        webhook_secret: str | None = None,  # noqa: ARG002  (taken, as said above)
        base_url: object = None,
        websocket_base_url: object = None,  # noqa: ARG002  (taken, as said above)
        timeout: float | Timeout | Unset | None = UNSET,
        max_retries: int | Unset | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        http_client: object = None,
        _strict_response_validation: bool = False,
        **ours: Any,
    ) -> None:
        # Tracebacks with locals print this frame, so no name in it holds the bare key.
        key = Secret(api_key) if isinstance(api_key, str) else api_key
        del api_key
        try:
            _refuse_client(http_client)
            _refuse_strictness(strict=_strict_response_validation)
            named = {
                _ORGANIZATION: organization or os.environ.get("OPENAI_ORG_ID"),
                _PROJECT: project or os.environ.get("OPENAI_PROJECT_ID"),
            }
            super().__init__(
                _found(key),
                _found_address(base_url),
                timeout=timeout,
                max_retries=max_retries if isinstance(max_retries, int) else None,
                default_headers={**_without_none(named), **(default_headers or {})},
                default_query=default_query,
                **ours,
            )
        except ConfigError as error:
            del base_url, default_headers, default_query, ours  # As in ``TutuClient``: they may hold secrets.
            raise error.with_traceback(None) from None

    @property
    def api_key(self) -> str:
        """The key, which its ``repr`` does not show; "" while an async function has it."""
        return self._settings.api_key

    @cached_property
    def chat(self) -> _Chat:
        """Chat completions; ``stream`` gives openai's events."""
        return _Chat(self._settings, self._transport)

    @property
    def organization(self) -> str | None:
        """What the header OpenAI-Organization says, or None."""
        return self._settings.headers.get(_ORGANIZATION)

    @property
    def project(self) -> str | None:
        """What the header OpenAI-Project says, or None."""
        return self._settings.headers.get(_PROJECT)

    @property
    def max_retries(self) -> int:
        """How many attempts follow the first."""
        return self._settings.retry.max_retries

    @property
    def default_headers(self) -> dict[str, str]:
        """The headers of every call, the client's own among them."""
        return dict(self._settings.headers)

    @property
    def default_query(self) -> dict[str, str]:
        """The query parameters of every call."""
        return dict(self._settings.default_query)

    def is_closed(self) -> bool:
        """Whether it was closed, and no call made since: one opens it again."""
        return self._transport.closed

    @property
    def with_raw_response(self) -> _View:
        """The pages, whose calls give answers as they came: ``client.with_raw_response.models.list()``."""
        return _View(self, "with_raw_response")

    @property
    def with_streaming_response(self) -> _View:
        """The pages, whose calls give open answers, to be read in pieces."""
        return _View(self, "with_streaming_response")

    @property
    def beta(self) -> _Beta:
        """``beta.chat``, the older name of ``chat``."""
        return _Beta(self.chat)

    def with_options(
        self,
        *,
        api_key: Key | None = None,
        organization: str | None = None,
        project: str | None = None,
        webhook_secret: str | None = None,  # noqa: ARG002  (taken, as for the client)
        websocket_base_url: object = None,  # noqa: ARG002  (taken, as for the client)
        base_url: object = None,
        timeout: float | Timeout | Unset | None = UNSET,
        http_client: object = None,
        max_retries: int | Unset | None = None,
        default_headers: Mapping[str, str] | None = None,
        set_default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        set_default_query: Mapping[str, object] | None = None,
        **ours: Any,
    ) -> Self:
        """Give a copy with other settings. What is not given stays.

        It shares connections and limits, unless ``base_url`` is of another server:
        then it has its own, and is closed by itself.

        Args:
            api_key: As for the client.
            organization: As for the client.
            project: As for the client.
            webhook_secret: As for the client.
            websocket_base_url: As for the client.
            base_url: As for the client. The key goes there.
            timeout: As for the client.
            http_client: As for the client.
            max_retries: As for the client.
            default_headers: Headers to add.
            set_default_headers: Headers in place of all that were given before.
            default_query: Query parameters to add.
            set_default_query: Query parameters in place of all that were given before.
            **ours: Every other setting that ``TutuClient.with_options`` takes.

        Raises:
            ConfigError: A setting cannot work.
        """
        key = Secret(api_key) if isinstance(api_key, str) else api_key
        del api_key
        _refuse_client(http_client)
        for name, more, instead in (
            ("headers", default_headers, set_default_headers),
            ("query", default_query, set_default_query),
        ):
            if more is not None and instead is not None:
                raise ConfigError(f"give default_{name}= or set_default_{name}=, not both")
        copy = super().with_options(
            timeout=timeout,
            max_retries=max_retries if isinstance(max_retries, int) else None,
            **ours,
        )
        settings = copy._settings  # noqa: SLF001  (a copy of our own)
        if key is not None:
            settings = _with_key(settings, key)
        headers: Mapping[str, str] = settings.headers
        if set_default_headers is not None:
            kept = {name: headers[name] for name in (_ORGANIZATION, _PROJECT) if name in headers}
            headers = own_headers(Secret(settings.api_key), f"tutuclient/{__version__}") | kept
        named = _without_none({_ORGANIZATION: organization, _PROJECT: project})
        more_headers = clean_headers({**named, **(default_headers or set_default_headers or {})})
        headers = merged_headers(headers, more_headers)
        query: Mapping[str, str] = {} if set_default_query is not None else settings.default_query
        address = _address(base_url)
        settings = msgspec.structs.replace(
            settings,
            headers=headers,
            header_lines=header_lines(headers),
            default_query={**query, **clean_query(default_query or set_default_query or {})},
            base_url=settings.base_url if address is None else clean_base_url(address),
        )
        elsewhere = origin_of(settings.base_url) != origin_of(self.base_url)
        copy._bind(settings, Transport(settings) if elsewhere else self._transport)  # noqa: SLF001  (a copy of our own)
        return copy

    copy = with_options

    if not TYPE_CHECKING:  # A checker knows which pages there are.

        def __getattr__(self, name: str) -> NoReturn:
            """Say of a page that the relay has not what to do without it."""
            if name in _VERBS:
                raise AttributeError(
                    f"client.{name} is not here: client.get, post, put, patch and delete ask for what has no page"
                )
            if name in _PAGES:
                raise AttributeError(
                    f"client.{name} is not among the pages of an OpenAI-compatible relay, so it is not here; keep the "
                    "openai package for it"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


AsyncClient = AsyncOpenAI


class _Chat(Chat):
    """``client.chat``, whose streams give openai's events."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(settings, transport)
        self.completions: _Completions = _Completions(settings, transport)  # pyright: ignore[reportIncompatibleVariableOverride]  (likewise)


class _Completions(Completions):
    def stream(self, **fields: Any) -> _Events:  # type: ignore[override]  # what it gives is another thing, on purpose
        """Ask a model and read openai's typed events: ``async with ….stream(…) as stream``, and iterate over it."""
        return _Events(super().stream(**fields))


class _Events:
    """What ``stream`` gives: within its block, a stream of events."""

    def __init__(self, manager: ChatStreamManager[Any]) -> None:
        self._manager = manager

    async def __aenter__(self) -> _EventStream:
        return _EventStream(await self._manager.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._manager.__aexit__(kind, error, trace)


class _EventStream:
    """A stream that is iterated over for events; everything else is the ``ChatCompletionStream``'s."""

    def __init__(self, stream: ChatCompletionStream[Any]) -> None:
        self._stream = stream
        self._events = stream.events(empty=True)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._events

    async def __anext__(self) -> Any:
        return await anext(self._events)

    async def until_done(self) -> Self:
        """Read to the end."""
        await self._stream.completion()
        return self

    @property
    def current_completion_snapshot(self) -> ParsedChatCompletion[Any] | None:
        """What has come so far, folded; None when nothing has."""
        return None if self._stream.partial is None else self._stream._folded()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (its other face)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _View:
    """Pages of which each call gives its answer raw, or open, as ``how`` says."""

    def __init__(self, page: object, how: str) -> None:
        self._page = page
        self._how = how

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Also its own, of a copy that has none yet.
            raise AttributeError(name)
        page = getattr(self._page, name)
        if not isinstance(page, Resource):
            raise AttributeError(f"{self._how} has no {name}: it is for the pages and their calls")  # noqa: TRY004  (it is an attribute)
        return getattr(page, self._how, None) or _View(page, self._how)


class _Beta:
    """``client.beta``: of its pages the one that is at home elsewhere."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat


def pydantic_function_tool(model: type[Any], *, name: str | None = None, description: str | None = None) -> Tool:
    """Make a strict tool of a class: a pydantic model, or a struct or dataclass too.

    Args:
        model: What the arguments are read as.
        name: What the model calls it; the class's name by default.
        description: What it is for; the class's docstring by default.

    Raises:
        ConfigError: No strict schema can be made of it.
    """
    return Tool(model, name=name, description=description, strict=True)


def _refuse_client(http_client: object) -> None:
    if http_client is not None:
        raise ConfigError(_NO_HTTP_CLIENT)


def _refuse_strictness(*, strict: bool) -> None:
    if strict:
        raise ConfigError("_strict_response_validation=True cannot be honoured: answers are read generously")


def _found(key: Key | None) -> Key:
    """Give the key of the arguments, else openai's of the environment: that of a relay is not for api.openai.com."""
    if key is not None:
        return key  # Be it empty: that is refused later, and nothing stands in for it.
    found = Secret(os.environ.get("OPENAI_API_KEY", "").strip())
    if not found:
        raise ConfigError(
            "no API key: pass api_key=…, or set OPENAI_API_KEY; for a server that asks for none, any word will do"
        )
    return found


def _address(base_url: object) -> str | None:
    """Give an address as text: URL objects of other libraries become it, and what is not given is none."""
    return None if base_url is None or is_unset(base_url) else str(base_url)


def _found_address(base_url: object) -> str:
    """Return the address of the arguments, be it empty, else openai's of the environment, else openai's own."""
    address = _address(base_url)
    return os.environ.get("OPENAI_BASE_URL", "").strip() or DEFAULT_BASE_URL if address is None else address


def _without_none(named: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in named.items() if value}


def _with_key(settings: Settings, key: Key) -> Settings:
    if callable(key):
        return msgspec.structs.replace(settings, key_source=key)
    return msgspec.structs.replace(with_key(settings, clean_key(key)), key_source=None)


def __getattr__(name: str) -> NoReturn:
    # An AttributeError would lose its words in "from … import …".
    if name in _ELSEWHERE:
        raise ImportError(f"tutuclient.compat has no {name}: {_ELSEWHERE[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
