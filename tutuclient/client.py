"""The door: settings in, verbs and resources out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from operator import index
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import msgspec

from tutuclient import __version__, wire
from tutuclient.errors import ConfigError, MediaError, printable
from tutuclient.media.image import GeneratedImage
from tutuclient.media.parts import image
from tutuclient.media.sources import names_image
from tutuclient.media.upload import PictureSource  # noqa: TC001  (``get_type_hints`` reads the fields at run time)
from tutuclient.resources import Account, AnyEndpoint, Audio, Chat, Embeddings, Images, Models, TextCompletions
from tutuclient.resources.options import RequestOptions
from tutuclient.resources.parsing import refuse_format
from tutuclient.settings import (
    UNSET,
    Settings,
    Unset,
    clean_headers,
    clean_middleware,
    clean_query,
    clean_retry,
    clean_timeout,
    gather,
    header_lines,
    hidden,
    merged_headers,
    with_key,
)
from tutuclient.transport import Transport
from tutuclient.types.chat import CallFields

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType
    from typing import Self, Unpack

    from tutuclient.media.parts import ImagePart
    from tutuclient.settings import Middleware, RetryPolicy, Spent, Timeout
    from tutuclient.streams.chat import ChatStream
    from tutuclient.streams.events import EventStream
    from tutuclient.types.account import Balance
    from tutuclient.types.chat import ChatCompletion

T = TypeVar("T")
Pictures: TypeAlias = "PictureSource | ImagePart | Iterable[PictureSource | ImagePart]"
"""What the verbs take as pictures: a source, a part made by ``image(…)``, or several of these."""

_FIELDS = wire.names(CallFields, "model", "detail", "max_side", "stream", "images", "prompt")
_MAX_RESPONSE_BYTES = 64 * 2**20


class AnyFields(RequestOptions, total=False):
    """What ``get``, ``post`` and their like take; ``TutuClient.post`` tells them."""

    body: Mapping[str, Any] | None
    files: Mapping[str, PictureSource] | None
    makes_image: bool


class TutuClient:
    """A client of one relay, for use within asyncio.

    Making one does no I/O and needs no running loop. One object serves several
    ``asyncio.run`` calls in a row; it can be pickled (the settings travel).

    Args:
        api_key: The key; else ``TUTU_API_KEY``, else ``OPENAI_API_KEY``. A function, async or not, is asked for it
            before every attempt. An empty argument is an error; an empty variable counts as not set, unless the key of
            one pair would go to the address of another.
        base_url: Where the API is; else ``TUTU_BASE_URL``, else ``OPENAI_BASE_URL``, else the relay of the two pages.
            A bare host gets ``/v1``; a pasted endpoint address is cut back.
        timeout: A deadline in seconds over everything a call does, a ``Timeout`` with its parts, or None for no limit.
        max_retries: Attempts after the first; 2 unless ``retry`` says otherwise.
        retry: A ``RetryPolicy``, in place of ``max_retries``.
        max_connections: Connections in use at once; None is 512, or as many as the process has file descriptors for
            (`ulimit -n`; an upload takes two).
        max_concurrency: Calls in flight at once, over the whole client and its copies; None for as many as
            connections. Who waits longest is next.
        max_response_bytes: The largest answer, event or picture to take; a whole stream may be half as large again.
        default_headers: Headers for every call, over the client's own.
        default_query: Query parameters for every call.
        proxy: An ``http://`` or ``https://`` proxy. The environment's proxies are not used.
        verify: True; the path of a file of certificate authorities; an ``ssl.SSLContext``; False checks nothing, and
            warns.
        strict_finish: A stream that ends with ``[DONE]`` and without a ``finish_reason`` raises.
        allow_private_downloads: Fetch pictures from private addresses too. The relay's own address is always allowed.
        middleware: Functions ``async def m(request, call_next)`` around every call, the first outermost: each gives
            what ``await call_next(request)`` gives, and sees the errors that the caller would.
        attempt_middleware: The same around every attempt of a call; each sees how that attempt ends. The deadline
            covers them.
        on_usage: Told what each answer used, once it has come whole; a ``Spent``. It must be quick, and what it
            raises is only logged.

    Raises:
        ConfigError: A setting is missing or cannot work.
    """

    def __init__(
        self,
        api_key: str | Callable[[], Awaitable[str] | str] | None = None,
        base_url: str | None = None,
        *,
        timeout: float | Timeout | Unset | None = UNSET,
        max_retries: int | None = None,
        retry: RetryPolicy | None = None,
        max_connections: int | None = None,
        max_concurrency: int | None = None,
        max_response_bytes: int = _MAX_RESPONSE_BYTES,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        proxy: str | None = None,
        verify: bool | str | ssl.SSLContext = True,
        strict_finish: bool = False,
        allow_private_downloads: bool = False,
        middleware: Sequence[Middleware] = (),
        attempt_middleware: Sequence[Middleware] = (),
        on_usage: Callable[[Spent], object] | None = None,
    ) -> None:
        try:
            settings = gather(
                api_key=api_key,
                base_url=base_url,
                timeout=timeout,
                max_retries=max_retries,
                retry=retry,
                max_connections=max_connections,
                max_concurrency=max_concurrency,
                max_response_bytes=max_response_bytes,
                default_headers=default_headers,
                default_query=default_query,
                proxy=proxy,
                verify=verify,
                strict_finish=strict_finish,
                allow_private_downloads=allow_private_downloads,
                middleware=middleware,
                attempt_middleware=attempt_middleware,
                on_usage=on_usage,
                user_agent=f"tutuclient/{__version__}",
            )
        except Exception as error:  # noqa: BLE001  (what is of a wrong type raises anything)
            # Tracebacks with locals print this frame and those below it, and what was given may hold secrets.
            del api_key, base_url, default_headers, default_query, proxy
            error.__context__ = None
            raise error.with_traceback(None) from None
        self._bind(settings, Transport(settings))

    def _bind(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport

    # The pages are made when they are first asked for: most programs need one.

    @cached_property
    def chat(self) -> Chat:
        """Chat completions."""
        return Chat(self._settings, self._transport)

    @cached_property
    def completions(self) -> TextCompletions:
        """Legacy completions."""
        return TextCompletions(self._settings, self._transport)

    @cached_property
    def embeddings(self) -> Embeddings:
        """Embeddings."""
        return Embeddings(self._settings, self._transport)

    @cached_property
    def images(self) -> Images:
        """Pictures made, edited and varied by the pages of images."""
        return Images(self._settings, self._transport)

    @cached_property
    def models(self) -> Models:
        """The models of the relay."""
        return Models(self._settings, self._transport)

    @cached_property
    def audio(self) -> Audio:
        """Speech, transcription and translation."""
        return Audio(self._settings, self._transport)

    @cached_property
    def _account(self) -> Account:
        return Account(self._settings, self._transport)

    @cached_property
    def _any(self) -> AnyEndpoint:
        return AnyEndpoint(self._settings, self._transport)

    @property
    def base_url(self) -> str:
        """Where the API is, as cleaned."""
        return self._settings.base_url

    @property
    def timeout(self) -> Timeout:
        """The limits of a call."""
        return self._settings.timeout

    def with_options(
        self,
        *,
        timeout: float | Timeout | Unset | None = UNSET,
        max_retries: int | None = None,
        retry: RetryPolicy | None = None,
        api_key: str | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        strict_finish: bool | None = None,
        middleware: Sequence[Middleware] | None = None,
        attempt_middleware: Sequence[Middleware] | None = None,
        on_usage: Callable[[Spent], object] | None = None,
    ) -> Self:
        """Give a copy with other settings, sharing connections and limits. What is not given stays.

        Closing any of the copies closes the connections of all.
        """
        api_key = hidden(api_key)  # Tracebacks with locals print this frame.
        settings = self._settings if api_key is None else with_key(self._settings, api_key)
        changes: dict[str, Any] = {} if api_key is None else {"key_source": None}
        if timeout is not UNSET:
            changes["timeout"] = clean_timeout(timeout)
        if max_retries is not None or retry is not None:
            base = settings.retry
            changes["retry"] = (
                clean_retry(max_retries, retry) if retry else msgspec.structs.replace(base, max_retries=max_retries)
            )
        if default_headers is not None:
            headers = merged_headers(settings.headers, clean_headers(default_headers))
            changes |= {"headers": headers, "header_lines": header_lines(headers)}
        if default_query is not None:
            changes["default_query"] = {**settings.default_query, **clean_query(default_query)}
        for name, layers in (("middleware", middleware), ("attempt_middleware", attempt_middleware)):
            if layers is not None:
                changes[name] = clean_middleware(layers)
        if strict_finish is not None:
            changes["strict_finish"] = strict_finish
        if on_usage is not None:
            changes["on_usage"] = on_usage
        copy = object.__new__(type(self))
        copy._bind(msgspec.structs.replace(settings, **changes), self._transport)
        return copy

    async def balance(self, *, timeout: float | Timeout | Unset | None = UNSET) -> Balance:
        """Ask what is left on the key.

        Relays count in a currency or in points of their own (``unit``), and may count late.

        Raises:
            NotFoundError, UnexpectedResponseError: The relay has no such pages.
            APIError: It could not be asked.

        Source: ``GET /dashboard/billing/subscription`` and ``/usage``; else ``GET /api/usage/token``.
        """
        return await self._account.balance(timeout)

    async def aclose(self) -> None:
        """Close the connections of the running loop. A call after that opens new ones."""
        await self._transport.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        made = hasattr(self, "_settings")  # Not yet, in the traceback of settings that cannot work.
        return f"{type(self).__name__}(base_url={self.base_url if made else None!r}, api_key='***')"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._settings)

    # --- any other page --------------------------------------------------------------------------------------------

    async def get(self, path: str, *, cast_to: type[T], **options: Unpack[AnyFields]) -> T:
        """Get any page of the relay. Arguments and errors as for ``post``."""
        return await self._any.send("GET", path, cast_to, **options)

    @overload
    async def post(
        self, path: str, *, cast_to: type[T], stream: Literal[False] = False, **options: Unpack[AnyFields]
    ) -> T: ...

    @overload
    async def post(
        self, path: str, *, cast_to: type[T], stream: Literal[True], **options: Unpack[AnyFields]
    ) -> EventStream[T]: ...

    @overload
    async def post(
        self, path: str, *, cast_to: type[T], stream: bool, **options: Unpack[AnyFields]
    ) -> T | EventStream[T]: ...

    async def post(
        self, path: str, *, cast_to: type[T], stream: bool = False, **options: Unpack[AnyFields]
    ) -> T | EventStream[T]:
        """Call any page of the relay, with all that holds for the pages that have names.

        Args:
            path: Behind the base URL, with its slash (``/rerank``); or a whole address of the relay itself.
            cast_to: What to make of the answer: ``dict``, ``bytes``, ``str``, a msgspec Struct, a dataclass, a
                TypedDict, a pydantic model…
            stream: Give an ``EventStream`` of its events, each of which is made a ``cast_to``. The body has to ask for
                a stream too, where the page wants that.
            **options: ``body`` is sent as JSON, or with ``files`` (a source for each field's name) as a form.
                ``makes_image`` is for what is paid for by the piece: it is never sent twice in silence. And
                ``extra_headers``, ``extra_query``, ``timeout`` as for every call.

        Raises:
            ConfigError: The address is another's, or the body cannot be written; nothing was sent.
            APIError: The relay said no, or gave no such answer.
        """
        ask = self._any.open if stream else self._any.send
        return await ask("POST", path, cast_to, **options)

    async def put(self, path: str, *, cast_to: type[T], **options: Unpack[AnyFields]) -> T:
        """Put to any page of the relay. Arguments and errors as for ``post``."""
        return await self._any.send("PUT", path, cast_to, **options)

    async def patch(self, path: str, *, cast_to: type[T], **options: Unpack[AnyFields]) -> T:
        """Patch any page of the relay. Arguments and errors as for ``post``."""
        return await self._any.send("PATCH", path, cast_to, **options)

    async def delete(self, path: str, *, cast_to: type[T], **options: Unpack[AnyFields]) -> T:
        """Delete at any page of the relay. Arguments and errors as for ``post``."""
        return await self._any.send("DELETE", path, cast_to, **options)

    # --- the verbs -------------------------------------------------------------------------------------------------

    @overload
    async def analyze(
        self,
        images: Pictures,
        prompt: str,
        *,
        model: str = "gpt-4o",
        detail: Literal["auto", "low", "high"] | None = "high",
        max_side: int | None = None,
        stream: Literal[False] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CallFields],
    ) -> ChatCompletion: ...

    @overload
    async def analyze(
        self,
        images: Pictures,
        prompt: str,
        *,
        model: str = "gpt-4o",
        detail: Literal["auto", "low", "high"] | None = "high",
        max_side: int | None = None,
        stream: Literal[True],
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CallFields],
    ) -> ChatStream: ...

    @overload
    async def analyze(
        self,
        images: Pictures,
        prompt: str,
        *,
        model: str = "gpt-4o",
        detail: Literal["auto", "low", "high"] | None = "high",
        max_side: int | None = None,
        stream: bool | None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CallFields],
    ) -> ChatCompletion | ChatStream: ...

    async def analyze(
        self,
        images: Pictures,
        prompt: str,
        *,
        model: str = "gpt-4o",
        detail: Literal["auto", "low", "high"] | None = "high",
        max_side: int | None = None,
        stream: bool | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> ChatCompletion | ChatStream:
        """Ask about one or several pictures.

        Args:
            images: A path, an http(s) address, a data URI, bytes, an open binary file, a Pillow image or an
                ``image(…)``; or several.
            prompt: What to ask.
            model: A model that sees.
            detail: How closely to look; None leaves it to the relay.
            max_side: Shrink pictures so that no side is longer, in pixels, and turn them upright (extra ``images``).
            stream: Give a ``ChatStream`` in place of the whole answer.
            timeout: As for ``chat.completions.create``.
            **fields: Further fields of the request, such as ``max_tokens``.

        Raises:
            MediaError: A picture cannot be used; nothing was sent.
            APIError: The relay said no, or gave no whole answer.

        Source: the relay's page "Chat(分析图片)".
        """
        wire.check_keywords(fields, _FIELDS, "analyze")
        return await self._ask(model, _question(images, prompt, detail, max_side), stream, timeout, fields, None)

    @overload
    async def edit(
        self,
        images: Pictures,
        prompt: str,
        *,
        model: str = "gpt-4o-image",
        detail: Literal["auto", "low", "high"] | None = "high",
        max_side: int | None = None,
        stream: Literal[False] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CallFields],
    ) -> ChatCompletion: ...

    @overload
    async def edit(
        self,
        images: Pictures,
        prompt: str,
        *,
        model: str = "gpt-4o-image",
        detail: Literal["auto", "low", "high"] | None = "high",
        max_side: int | None = None,
        stream: Literal[True],
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CallFields],
    ) -> ChatStream: ...

    @overload
    async def edit(
        self,
        images: Pictures,
        prompt: str,
        *,
        model: str = "gpt-4o-image",
        detail: Literal["auto", "low", "high"] | None = "high",
        max_side: int | None = None,
        stream: bool | None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CallFields],
    ) -> ChatCompletion | ChatStream: ...

    async def edit(
        self,
        images: Pictures,
        prompt: str,
        *,
        model: str = "gpt-4o-image",
        detail: Literal["auto", "low", "high"] | None = "high",
        max_side: int | None = None,
        stream: bool | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> ChatCompletion | ChatStream:
        """Have one or several pictures changed; the result is in ``.images`` of the answer.

        The call is never sent twice when the first may have been done, whatever
        the model is called: a second picture is paid for.

        Args:
            images: As for ``analyze``.
            prompt: What to change.
            model: A model that sees and draws.
            detail: As for ``analyze``.
            max_side: As for ``analyze``.
            stream: Give a ``ChatStream`` of the relay's progress; ``await stream.completion()`` has the pictures. A
                stream outlives the proxies that cut silent requests after 100 s.
            timeout: As for ``chat.completions.create``; drawing may take minutes.
            **fields: Further fields of the request.

        Raises:
            MediaError: A picture cannot be used; nothing was sent.
            OutcomeUnknownError: The connection broke; the picture may have been made.
            APIError: The relay said no, or gave no whole answer.

        Source: the relay's page "Chat(修改图片)".
        """
        wire.check_keywords(fields, _FIELDS, "edit")
        return await self._ask(model, _question(images, prompt, detail, max_side), stream, timeout, fields, True)

    @overload
    async def generate(
        self,
        prompt: str,
        *,
        model: str = "gpt-4o-image",
        stream: Literal[False] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CallFields],
    ) -> ChatCompletion: ...

    @overload
    async def generate(
        self,
        prompt: str,
        *,
        model: str = "gpt-4o-image",
        stream: Literal[True],
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CallFields],
    ) -> ChatStream: ...

    @overload
    async def generate(
        self,
        prompt: str,
        *,
        model: str = "gpt-4o-image",
        stream: bool | None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CallFields],
    ) -> ChatCompletion | ChatStream: ...

    async def generate(
        self,
        prompt: str,
        *,
        model: str = "gpt-4o-image",
        stream: bool | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> ChatCompletion | ChatStream:
        """Have a picture made; it is in ``.images`` of the answer. Arguments and errors as for ``edit``."""
        if names_image(prompt):
            raise MediaError(
                f"{printable(prompt, 80)} stands where the prompt belongs, and names a picture. To have it changed:"
                " edit('cat.jpg', 'Put a blue sky behind it')."
            )
        wire.check_keywords(fields, _FIELDS, "generate")
        return await self._ask(model, {"role": "user", "content": _prompt(prompt)}, stream, timeout, fields, True)

    async def _ask(
        self,
        model: str,
        message: dict[str, Any],
        stream: bool | None,
        timeout: float | Timeout | Unset | None,
        fields: dict[str, Any],
        makes_image: bool | None,
    ) -> ChatCompletion | ChatStream:
        """Send one message. What orders a picture, whatever the model is called, is not sent twice in silence."""
        more = {name: fields.pop(name) for name in ("extra_headers", "extra_query") if name in fields}
        extra_body: Mapping[str, Any] = wire.added(fields.pop("extra_body", None))
        body = wire.given({"model": model, "messages": [message], **fields, **extra_body})
        refuse_format(body)
        ask = (
            self.chat.completions.open
            if wire.is_asked(stream) or body.get("stream") is True
            else self.chat.completions.send
        )
        return await ask(body, timeout=timeout, makes_image=makes_image, **more)


def _question(
    images: Pictures,
    prompt: str,
    detail: Literal["auto", "low", "high"] | None,
    max_side: int | None,
) -> dict[str, Any]:
    text = _prompt(prompt, images)
    wire.check_detail(detail, "detail")
    side = _side(max_side)
    sources = _sources(images)
    several = isinstance(images, list | tuple)
    parts = [
        _picture(source, f"images[{place}]" if several else "images", detail, side)
        for place, source in enumerate(sources)
    ]
    return {"role": "user", "content": [{"type": "text", "text": text}, *parts]}


def _sources(images: Any) -> list[Any]:
    """Return what pictures are given as, one by one."""
    if isinstance(images, Mapping) or wire.is_part(images) or wire.is_source(images):
        return [images]
    if hasattr(images, "dtype"):
        raise MediaError(f"images is {wire.quoted(images)}: give the picture as PIL.Image.fromarray(array)")
    if isinstance(images, str | bytes | bytearray | memoryview) or not isinstance(images, Iterable):
        return [images]
    sources: list[Any] = [*images]
    if not sources:
        raise MediaError("no picture was given: the list is empty")
    return sources


_NO_PICTURES = (list, tuple, bool, int, float)


def _picture(source: Any, place: str, detail: Literal["auto", "low", "high"] | None, max_side: int | None) -> Any:
    """Return the part that shows a picture; a part stays as it is."""
    if wire.is_part(source):
        if max_side is not None:
            raise MediaError(
                f"{place} is a part already, and max_side belongs to it: image(source, max_side={max_side})"
            )
        return source
    blank = isinstance(source, str) and not source.strip()
    if blank or source is None or type(source) in _NO_PICTURES:
        raise MediaError(
            f"{place} is {wire.quoted(source)}, and no picture: give a path, an http(s) address, a data URI, bytes, an "
            "open binary file, a Pillow image or image(…)"
        )
    if isinstance(source, GeneratedImage):
        raise MediaError(f"{place} is a GeneratedImage, which has to be fetched first: give await picture.read()")
    try:
        return image(source, detail=detail, max_side=max_side)
    except MediaError as error:
        if place == "images":
            raise
        raise MediaError(f"{place}: {error}") from error


def _side(max_side: Any) -> int | None:
    """Check a number of pixels; numpy's are numbers too."""
    if max_side is None:
        return None
    try:
        side = 0 if isinstance(max_side, bool) else index(max_side)
    except TypeError:
        side = 0
    if side < 1:
        raise ConfigError(f"max_side is {wire.quoted(max_side)}: write a whole number of pixels, such as max_side=2048")
    return side


def _prompt(prompt: object, images: object = None) -> str:
    """Check what is asked, before anything is paid for."""
    asks = isinstance(images, str) and not names_image(images)
    shows = names_image(prompt) or wire.is_part(prompt) or _is_binary(prompt)
    if asks and shows:
        raise ConfigError(
            f"the prompt is {wire.quoted(prompt)} and images is {wire.quoted(images)}: they seem to be swapped; "
            "pictures come first, then the prompt"
        )
    if not isinstance(prompt, str) or not prompt.strip():
        raise ConfigError(f"the prompt must be text that says something; got {wire.quoted(prompt)}")
    if images is not None and names_image(prompt):
        raise MediaError(
            f"{printable(prompt, 80)} stands where the prompt belongs, and names a picture: pictures come first,"
            " several in a list, then the prompt, as in (['cat.jpg', 'dog.jpg'], 'What is in these pictures?')."
        )
    return prompt


def _is_binary(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview) or wire.is_source(value)


def _rebuild(cls: type[TutuClient], settings: Settings) -> TutuClient:
    client = object.__new__(cls)
    client._bind(settings, Transport(settings))  # pyright: ignore[reportPrivateUsage]  (half of pickling)
    return client
