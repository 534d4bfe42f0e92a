"""What every endpoint can do: make a call of its declaration and its keywords, and read the answer or open it."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeVar, cast
from urllib.parse import urlencode

from tutuclient import wire
from tutuclient.downloads.fetch import Downloads
from tutuclient.resources.endpoint import RequestInfo
from tutuclient.resources.options import REQUEST_OPTIONS
from tutuclient.resources.responses import APIResponse, OpenResponse
from tutuclient.settings import UNSET, clean_headers, clean_query, clean_timeout
from tutuclient.transport import Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from typing import Self, Unpack

    from tutuclient.resources.endpoint import Endpoint
    from tutuclient.resources.options import RequestOptions
    from tutuclient.settings import Settings
    from tutuclient.transport import Transport
    from tutuclient.transport.reply import Reply

S = TypeVar("S")
T = TypeVar("T")


class Resource:
    """Endpoints of the API that belong together, bound to a client.

    Attributes:
        ELSEWHERE: openai's names that are not here, each with what to write in its place.
    """

    ELSEWHERE: ClassVar[Mapping[str, str]] = {}

    def __init__(self, settings: Settings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport
        # Kept on the resource, so that a method of an endpoint is written once and has three faces (``views``).
        self._returns: Literal["answer", "raw", "open"] = "answer"

    @cached_property
    def _downloads(self) -> Downloads:
        return Downloads.of(self._settings)

    if not TYPE_CHECKING:  # Seen by a type checker, it would allow any attribute.

        def __getattr__(self, name: str) -> NoReturn:
            if name in self.ELSEWHERE:
                raise AttributeError(f"{type(self).__name__.lstrip('_')} has no {name}: {self.ELSEWHERE[name]}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def returning(self, what: Literal["raw", "open"]) -> Self:
        """Return a copy whose calls return their answers raw, or open; the classes of ``views`` type its results."""
        resource = copy.copy(self)
        resource._returns = what  # noqa: SLF001  (a copy of our own)
        return resource

    def _ask(
        self,
        endpoint: Endpoint[T, S],
        arguments: Mapping[str, Any],
        keywords: dict[str, Any],
        *,
        stream: Any = None,
        files: list[wire.FormFile] | None = None,
    ) -> Coroutine[Any, Any, T | S]:
        """Call an endpoint with keywords, as users pass them; with ``files`` the body is a form, and not JSON."""
        body, options = endpoint.split(arguments, keywords, stream)
        return self._request(endpoint, body, files, **options)

    # These are no ``async def``: they make the call at once, and return the coroutine that sends it. A small call would
    # otherwise pass each wake-up of the loop through three more frames.

    def _request(
        self,
        endpoint: Endpoint[T, S],
        body: Any,
        files: list[wire.FormFile] | None = None,
        **options: Unpack[RequestOptions],
    ) -> Coroutine[Any, Any, T | S]:
        """Send fields, and return the stream of the answer if they ask for one, else the whole answer."""
        if endpoint.streams(body):
            return self._streamed(endpoint, body, files, **options)
        return self._whole(endpoint, body, files, **options)

    def _whole(
        self,
        endpoint: Endpoint[T, Any],
        body: Any = None,
        files: list[wire.FormFile] | None = None,
        *,
        makes_image: bool | None = None,
        **options: Unpack[RequestOptions],
    ) -> Coroutine[Any, Any, T]:
        """Send fields (None sends no body) and read the whole answer; ``makes_image=None`` lets the endpoint judge."""
        call = self._call(endpoint, body, files, makes_image, options, stream=False)
        return self._send(call, endpoint.read, RequestInfo(body, self._downloads))

    def _streamed(
        self,
        endpoint: Endpoint[Any, S],
        body: Any,
        files: list[wire.FormFile] | None = None,
        *,
        makes_image: bool | None = None,
        **options: Unpack[RequestOptions],
    ) -> Coroutine[Any, Any, S]:
        """Send fields and return the stream of the answer. Arguments as for ``_whole``."""
        begin = endpoint.begin
        if begin is None:
            raise TypeError(f"{endpoint.call} has no stream: its declaration has no begin=")
        call = self._call(endpoint, body, files, makes_image, options, stream=True)
        return self._open(call, begin, RequestInfo(body, self._downloads))

    def _call(
        self,
        endpoint: Endpoint[Any, Any],
        body: Any,
        files: list[wire.FormFile] | None,
        makes_image: bool | None,
        options: RequestOptions,
        *,
        stream: bool,
    ) -> Call:
        # Passed on as ``**options``, a keyword that nobody knows would be reported under the name of a private method.
        for name in options:
            if name not in REQUEST_OPTIONS:
                raise TypeError(f"{endpoint.call}() got an unexpected keyword argument {name!r}")
        settings = self._settings
        headers, query = options.get("extra_headers"), options.get("extra_query")
        if endpoint.headers is not None:
            # What a caller passes is meant for this call, and wins over what the endpoint always sends.
            headers = {**endpoint.headers, **(headers or {})}
        queries = {**settings.default_query, **clean_query(query)} if query else settings.default_query
        # UNSET and not None, which is a value of its own: no limit at all.
        timeout = options.get("timeout", UNSET)
        fields = endpoint.prepare(body)
        form = None if files is None else wire.form({} if fields is None else fields, files)
        return Call(
            settings,
            endpoint.method,
            endpoint.path,
            body=form if form is not None or fields is None else wire.encode(fields),
            fields=fields if form is None else None,
            form_fields=fields if form is not None else None,
            headers=clean_headers(headers) if headers else None,
            query=f"{'&' if '?' in endpoint.path else '?'}{urlencode(queries)}" if queries else "",
            timeout=None if timeout is UNSET else clean_timeout(timeout),
            makes_image=_makes_image(endpoint, settings, body) if makes_image is None else makes_image,
            stream=stream,
        )

    async def _send(
        self, call: Call, read: Callable[[bytes | bytearray, Reply, RequestInfo], T], info: RequestInfo
    ) -> T:
        async def use(reply: Reply) -> T:
            return _reported(call, read(await reply.read(), reply, info), reply)

        if self._returns == "answer":
            return await self._transport.run(call, use)
        if self._returns == "open":
            return cast("T", await self._opened(call, use))

        async def use_raw(reply: Reply) -> APIResponse[T]:
            data = await reply.read()
            return APIResponse(reply.meta, call, bytes(data), _reported(call, read(data, reply, info), reply))

        return cast("T", await self._transport.run(call, use_raw))

    async def _open(self, call: Call, begin: Callable[[Reply, RequestInfo], Awaitable[S]], info: RequestInfo) -> S:
        async def use(reply: Reply) -> S:
            return await begin(reply, info)

        async def use_raw(reply: Reply) -> APIResponse[S]:
            return APIResponse(reply.meta, call, b"", await begin(reply, info))

        if self._returns == "answer":
            return await self._transport.run(call, use)
        opening = self._transport.run(call, use_raw) if self._returns == "raw" else self._opened(call, use)
        return cast("S", await opening)

    async def _opened(self, call: Call, parse: Callable[[Reply], Awaitable[T]]) -> OpenResponse[T]:
        # The transport closes a reply once ``use`` has returned, unless the call streams. This one is read after that.
        call.stream = True

        async def use(reply: Reply) -> OpenResponse[T]:
            return OpenResponse(reply, parse)

        return await self._transport.run(call, use)


def _reported(call: Call, answer: T, reply: Reply) -> T:
    """Report what an answer used, to the caller's ``on_usage``, to the limit on tokens and to who observes the call."""
    settings, observation = call.settings, call.observation
    if settings.on_usage is not None or settings.tokens_per_minute is not None or observation is not None:
        call.report_usage(getattr(answer, "usage", None), reply.meta)
        if observation is not None:
            observation.answered(answer)
    return answer


def _makes_image(endpoint: Endpoint[Any, Any], settings: Settings, body: Any) -> bool:
    """Return whether a request orders an image, also by the name that one of several relays knows its model by."""
    if endpoint.makes_image(body):
        return True
    return isinstance(body, dict) and any(map(endpoint.makes_image, settings.renamed(cast("dict[str, Any]", body))))
