"""The openai package's names, for code written for it: ``from tutuclient.compat import AsyncOpenAI``.

``AsyncOpenAI`` is a ``TutuClient`` that takes openai's settings and reads openai's
environment variables, OPENAI_LOG included: with OPENAI_API_KEY alone it calls
api.openai.com. All else that ``TutuClient`` promises holds here too. Names of the
openai package that have no counterpart raise an ImportError, which says what to do
instead.

Calls, keywords, attributes, exceptions, ``omit`` and ``NOT_GIVEN``, raw and streaming
responses, ``model_dump()``, ``model_extra`` and ``_request_id`` are the same. There
is no synchronous client (``asyncio.run`` is one line), and there are no endpoints
that relays do not have: responses, files, batches, fine-tuning, vector stores,
realtime; ``client.get``, ``post`` and ``delete`` take any path. What differs, on
purpose:

Time
    - ``timeout=60`` is a deadline over the whole call, retries included; in openai, the longest silence between two
      reads. Timeouts of httpx are understood.
    - An error before the first chunk of a stream is tried again, and ``create(stream=True)`` returns with the first
      chunk; openai raises it while reading, and never tries again.

Truth
    - A stream that is cut raises ``IncompleteStreamError`` with ``partial``; in openai it ends as if it were complete.
    - 200 with an error object raises the error's own class; in openai it is an answer with ``choices=None``.
    - 200 with HTML or plain text raises ``UnexpectedResponseError`` with a hint; in openai it is a str.
    - A choice that says that it broke off raises the error's class, with what came in ``partial``; in openai it is an
      answer.
    - A typed answer that does not fit raises ``UnexpectedResponseError`` with the answer in ``partial``; in openai, a
      validation error of pydantic.
    - Several choices where ``n`` was not asked for are folded into one.

Money
    - A cut after an image was ordered raises, and is never sent again unless ``RetryPolicy(resend_unknown=True)``
      says so; openai sends it again.
    - ``messages=[]`` is a ``ConfigError``, and nothing is sent; openai sends it, and it is answered with a 400.
    - A key with a space inside is a ``ConfigError`` (it was copied with something else), as are ``Content-Length``,
      ``Host`` and the like in headers, and ``omit`` inside of a field; openai sends them.

Streams
    - ``break`` closes the connection at once, and reading on raises ``APIConnectionError``; in openai it stays open
      until it is collected.
    - A stream read again, or by two tasks, is a ``ConfigError``, and the first reader is not disturbed; in openai it
      yields nothing, or mixes.
    - ``stream()`` yields openai's typed events, with "done" at the end; that of ``TutuClient`` yields chunks, and its
      ``events()`` the typed events.

Requests
    - Unknown fields may be keywords too; openai takes them in ``extra_body=`` only. A misspelt keyword is sent, with a
      ``RequestWarning``; in openai it is a ``TypeError``.
    - Tools may be plain functions, which ``run_tools`` calls. Types to parse into may be msgspec Structs, dataclasses
      and TypedDicts beside pydantic models.
    - ``file=`` and ``image=`` may be a path as text too, and are streamed from the disk.
    - A base URL without a path gets ``/v1``.
    - ``http_client=`` is a ``ConfigError``: there are ``proxy=``, ``verify=``, ``connector=``, ``session=`` and
          ``middleware=``.
    - Assistant messages that are sent back lose their reasoning fields, unless they have tool calls.

Answers
    - They are frozen. Unknown fields are attributes, ``model_extra`` and ``.extra``; on chunks ``.extra`` only.
    - Under pydantic, an answer is its fields alone; ``model_dump()`` and ``.extra`` have the unknown ones.
    - A transcription with ``response_format="text"`` comes without the line break at its end.
    - Speech is a ``Sound``: ``save`` is atomic, and its extension follows the bytes; ``await read()``.
    - ``response.http_request`` and ``http_response`` are not there; ``method``, ``url`` (without its query),
      ``status_code`` and ``headers`` are.

Clients
    - A closed client opens again with the next call, and ``is_closed()`` is False then; in openai, a RuntimeError.
    - ``OPENAI_API_KEY`` alone goes to api.openai.com, as in openai. In ``TutuClient``, whose default address is another
      company's, it is a ``ConfigError``.
    - ``models.delete`` and stored answers are not there; the AttributeError says which method to call.

Source: openai-python 3.x, ``AsyncOpenAI``, ``openai.types``.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from tutuclient.client import USER_AGENT, TutuClient
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
from tutuclient.resources.chat import Chat, Completions
from tutuclient.resources.resource import Resource
from tutuclient.resources.responses import APIResponse as AsyncAPIResponse
from tutuclient.settings import (
    UNSET,
    Changes,
    Options,
    Secret,
    Timeout,
    Unset,
    header_lines,
    hidden,
    is_unset,
    own_headers,
    with_keywords,
)
from tutuclient.streams.reading import Stream as AsyncStream
from tutuclient.tools import Tool
from tutuclient.transport import logs
from tutuclient.types.base import Plain as BaseModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Self, Unpack

    from tutuclient.resources.streaming import ChatCompletionStream, ChatStreamManager
    from tutuclient.settings import Key, Settings
    from tutuclient.transport import Transport
    from tutuclient.types.parsed import ParsedChatCompletion

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
# Any, so that type checkers accept it everywhere: the fields' own types leave it out, to check plain code closely.
NOT_GIVEN: Any = UNSET
not_given = omit = NOT_GIVEN

_ORGANIZATION = "OpenAI-Organization"
_PROJECT = "OpenAI-Project"
_NO_HTTP_CLIENT = (
    "http_client= is not supported, as the connections are aiohttp's: pass proxy= for a proxy, verify= for"
    " certificates, max_connections= for limits, middleware= to run code around each call, or session= for a session of"
    " aiohttp's"
)
_SYNC = "tutuclient is for asyncio and has no synchronous client: use AsyncOpenAI and await its calls"
_AZURE = "Azure's deployment URLs are not supported, its /openai/v1 URL is: AsyncOpenAI(base_url=…, api_key=…)"
_ELSEWHERE = {
    "OpenAI": _SYNC,
    "Client": _SYNC,
    "Stream": _SYNC,
    "AzureOpenAI": _SYNC,
    "BedrockOpenAI": _SYNC,
    "AsyncAzureOpenAI": _AZURE,
    "AsyncBedrockOpenAI": "Bedrock's request signatures are not supported",
    "DefaultAioHttpClient": _NO_HTTP_CLIENT,
    "DefaultAsyncHttpx2Client": _NO_HTTP_CLIENT,
    "DefaultAsyncHttpxClient": _NO_HTTP_CLIENT,
    "DefaultHttpx2Client": _NO_HTTP_CLIENT,
    "DefaultHttpxClient": _NO_HTTP_CLIENT,
}
_LOW_LEVEL = frozenset(("get_api_list", "request"))
# Resources of openai's client that relays do not have.
_MISSING = frozenset(
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
    """A ``TutuClient`` built with the settings of openai's ``AsyncOpenAI``.

    Args:
        api_key: The key, or an async function that is asked for it before every attempt; else OPENAI_API_KEY.
        organization: Sent as the header OpenAI-Organization; else OPENAI_ORG_ID.
        project: Sent as the header OpenAI-Project; else OPENAI_PROJECT_ID.
        webhook_secret: Accepted and not used: there are no webhooks here.
        base_url: Where the API is, as text or a URL object; else OPENAI_BASE_URL, else api.openai.com.
        websocket_base_url: Accepted and not used: there are no websockets here.
        http_client: None; there is no httpx here.
        _strict_response_validation: False; answers are always read generously.
        **options: The settings of ``TutuClient``. ``timeout`` may be a timeout of httpx too; a header of
            ``default_headers`` that is ``omit`` removes the client's own.

    Raises:
        ConfigError: A setting is missing, cannot work, or is not supported. It is an ``OpenAIError`` too.
    """

    @with_keywords(Options)
    def __init__(
        self,
        *,
        api_key: Key | None = None,
        organization: str | None = None,
        project: str | None = None,
        webhook_secret: str | None = None,  # noqa: ARG002  (accepted, as said above)
        base_url: object = None,
        websocket_base_url: object = None,  # noqa: ARG002  (accepted, as said above)
        http_client: object = None,
        _strict_response_validation: bool = False,
        **options: Unpack[Options],
    ) -> None:
        api_key = hidden(api_key)  # Tracebacks with locals print this frame.
        try:
            _check_client(http_client, strict=_strict_response_validation, relays=options.get("relays"))
            named = _named_headers(
                organization or os.environ.get("OPENAI_ORG_ID"), project or os.environ.get("OPENAI_PROJECT_ID")
            )
            options["default_headers"] = {**named, **(options.get("default_headers") or {})}
            super().__init__(_found(api_key), _found_address(base_url), **options)
            logs.start(logs.VARIABLE, "OPENAI_LOG")
        except ConfigError as error:
            del base_url, options  # As in ``TutuClient``: they may hold secrets.
            raise error.with_traceback(None) from None

    @property
    def api_key(self) -> str:
        """The key, with a masked ``repr``; "" where a function returns it."""
        return self._settings.api_key

    @cached_property
    def chat(self) -> _Chat:
        """Chat completions; ``stream`` yields openai's events."""
        return _Chat(self._settings, self._transport)

    @property
    def organization(self) -> str | None:
        """The header OpenAI-Organization, or None."""
        return self._settings.headers.get(_ORGANIZATION)

    @property
    def project(self) -> str | None:
        """The header OpenAI-Project, or None."""
        return self._settings.headers.get(_PROJECT)

    @property
    def max_retries(self) -> int:
        """The number of attempts after the first."""
        return self._settings.retry.max_retries

    @property
    def default_headers(self) -> dict[str, str]:
        """The headers of every call, including the client's own."""
        return dict(self._settings.headers)

    @property
    def default_query(self) -> dict[str, str]:
        """The query parameters of every call."""
        return dict(self._settings.default_query)

    def is_closed(self) -> bool:
        """Return whether it was closed and no call was made since; a call opens it again."""
        return self._transport.closed

    @property
    def with_raw_response(self) -> _View:
        """The resources, with calls that return raw answers: ``client.with_raw_response.models.list()``."""
        return _View(self, "with_raw_response")

    @property
    def with_streaming_response(self) -> _View:
        """The resources, with calls that return open answers, to be read in pieces."""
        return _View(self, "with_streaming_response")

    @property
    def beta(self) -> _Beta:
        """``beta.chat``, the older name of ``chat``."""
        return _Beta(self.chat)

    @with_keywords(Changes)
    def with_options(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  (one relay only; it compares names of ours with the whole TypedDict)
        self,
        *,
        api_key: Key | None = None,
        organization: str | None = None,
        project: str | None = None,
        webhook_secret: str | None = None,  # noqa: ARG002  (accepted, as by the client)
        websocket_base_url: object = None,  # noqa: ARG002  (accepted, as by the client)
        base_url: object = None,
        http_client: object = None,
        set_default_headers: Mapping[str, str] | None = None,
        set_default_query: Mapping[str, object] | None = None,
        **changes: Unpack[Changes],
    ) -> Self:
        """Return a copy with other settings. What is not passed stays.

        It shares connections and limits, unless ``base_url`` is another server's:
        then it has its own, and has to be closed too.

        Keywords are those of the client and of ``TutuClient.with_options``. ``set_default_headers`` and
        ``set_default_query`` replace all earlier ones, where ``default_headers`` and ``default_query`` add to them.

        Raises:
            ConfigError: A setting cannot work.
        """
        api_key = hidden(api_key)  # Tracebacks with locals print this frame.
        _check_client(http_client)
        for name, more, instead in (
            ("headers", changes.get("default_headers"), set_default_headers),
            ("query", changes.get("default_query"), set_default_query),
        ):
            if more is not None and instead is not None:
                raise ConfigError(f"pass default_{name}= or set_default_{name}=, not both")
        named = _named_headers(organization, project)
        changes["default_headers"] = {**named, **(changes.get("default_headers") or set_default_headers or {})}
        changes["default_query"] = changes.get("default_query") or set_default_query
        settings = _cleared(
            self._settings, headers=set_default_headers is not None, query=set_default_query is not None
        )
        return self._copy(settings.changed(api_key=api_key, base_url=_address(base_url), **changes))

    # openai's client has it under both names.
    copy = with_options

    if not TYPE_CHECKING:  # A type checker would take every name for an attribute.

        def __getattr__(self, name: str) -> NoReturn:
            """Raise an error that says what to use in place of a resource that is missing."""
            if name in _LOW_LEVEL:
                raise AttributeError(
                    f"client.{name} is not supported: client.get, post, put, patch and delete call any endpoint"
                )
            if name in _MISSING:
                raise AttributeError(
                    f"client.{name} is not supported, as OpenAI-compatible relays do not have it: keep the openai "
                    "package for it"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


AsyncClient = AsyncOpenAI


class _Chat(Chat):
    """``client.chat``, whose streams yield openai's events."""

    def __init__(self, settings: Settings, transport: Transport) -> None:
        super().__init__(settings, transport)
        self.completions: _Completions = _Completions(settings, transport)  # pyright: ignore[reportIncompatibleVariableOverride]  (likewise)


class _Completions(Completions):
    def stream(self, **fields: Any) -> _Events:  # type: ignore[override]  # openai's returns a manager of events
        """Return a manager of openai's typed events: ``async with ….stream(…) as stream``, then iterate over it."""
        return _Events(super().stream(**fields))


class _Events:
    """What ``stream`` returns: a context manager of a stream of events."""

    def __init__(self, manager: ChatStreamManager[Any]) -> None:
        self._manager = manager

    async def __aenter__(self) -> _EventStream:
        return _EventStream(await self._manager.__aenter__())

    async def __aexit__(self, *_: object) -> None:
        await self._manager.__aexit__()

    def __aiter__(self) -> NoReturn:
        self._manager.__aiter__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)  # An AttributeError that says how it is opened.


class _EventStream:
    """A stream whose items are events; all other attributes are those of the ``ChatCompletionStream``."""

    def __init__(self, stream: ChatCompletionStream[Any]) -> None:
        self._stream = stream
        # openai's package makes an event of a piece of text that is "" too, and code written for it may count on the
        # first.
        self._events = stream.events(empty=True)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._events

    async def __anext__(self) -> Any:
        return await anext(self._events)

    async def until_done(self) -> Self:
        """Read the stream to its end."""
        await self._stream.completion()
        return self

    @property
    def current_completion_snapshot(self) -> ParsedChatCompletion[Any] | None:
        """The completion of the chunks so far; None before the first."""
        return None if self._stream.partial is None else self._stream._folded()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (its other face)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _View:
    """A client or resource whose calls return raw, or open, answers: ``how`` is the property that switches to them."""

    def __init__(self, resource: object, how: str) -> None:
        self._resource = resource
        self._how = how

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Its own too: copy.copy asks for them before they are set.
            raise AttributeError(name)
        resource = getattr(self._resource, name)
        if not isinstance(resource, Resource):
            raise AttributeError(f"{self._how} has no {name}: it has resources and their calls only")  # noqa: TRY004  (it is an attribute)
        # ``chat`` and ``audio`` have no calls of their own, only resources that have some.
        return getattr(resource, self._how, None) or _View(resource, self._how)


class _Beta:
    """``client.beta``, as far as openai has moved its resources out of it."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat


def pydantic_function_tool(model: type[Any], *, name: str | None = None, description: str | None = None) -> Tool:
    """Build a strict tool of a class: a pydantic model, or a struct or dataclass.

    Args:
        model: The type that the arguments are read as.
        name: The name of the tool; the class's by default.
        description: What the tool is for; the class's docstring by default.

    Raises:
        ConfigError: It has no strict schema.
    """
    return Tool(model, name=name, description=description, strict=True)


def _check_client(http_client: object, *, strict: bool = False, relays: object = None) -> None:
    if http_client is not None:
        raise ConfigError(_NO_HTTP_CLIENT)
    if relays is not None:
        raise ConfigError("AsyncOpenAI has one base_url: tutuclient.TutuClient(relays=[…]) has several relays")
    if strict:
        raise ConfigError("_strict_response_validation=True is not supported: answers are always read generously")


def _found(key: Key | None) -> Key:
    """Return the key, else OPENAI_API_KEY: not TUTU_API_KEY, as a relay's key must not go to api.openai.com."""
    if key is not None:
        return key  # An empty one too, which ``Settings.make`` rejects.
    found = Secret(os.environ.get("OPENAI_API_KEY", "").strip())
    if not found:
        raise ConfigError(
            "no API key: pass api_key=… or set OPENAI_API_KEY; for a server that needs no key, pass any text"
        )
    return found


def _address(base_url: object) -> str | None:
    """Return an address as text, also of the URL objects of other libraries; None where none is passed."""
    return None if base_url is None or is_unset(base_url) else str(base_url)


def _found_address(base_url: object) -> str:
    """Return the address, else OPENAI_BASE_URL, else openai's; an empty one too, which ``Settings.make`` rejects."""
    address = _address(base_url)
    return os.environ.get("OPENAI_BASE_URL", "").strip() or DEFAULT_BASE_URL if address is None else address


def _named_headers(organization: str | None, project: str | None) -> dict[str, str]:
    return {name: value for name, value in ((_ORGANIZATION, organization), (_PROJECT, project)) if value}


def _cleared(settings: Settings, *, headers: bool, query: bool) -> Settings:
    """Return settings without the headers, or the query parameters, that were set before."""
    if headers:
        # openai keeps these two apart from the headers that a caller passed, so replacing those leaves them.
        kept = {name: settings.headers[name] for name in (_ORGANIZATION, _PROJECT) if name in settings.headers}
        own = own_headers(Secret(settings.api_key), USER_AGENT) | kept
        settings = msgspec.structs.replace(settings, headers=own, header_lines=header_lines(own))
    return msgspec.structs.replace(settings, default_query={}) if query else settings


def __getattr__(name: str) -> NoReturn:
    # "from … import …" replaces the message of an AttributeError by its own.
    if name in _ELSEWHERE:
        raise ImportError(f"tutuclient.compat has no {name}: {_ELSEWHERE[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
