"""Whatever a relay has beyond the endpoints of the API: any path, any method, read as the type that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload
from urllib.parse import urlsplit

from tutuclient import wire
from tutuclient.errors import ConfigError
from tutuclient.media.upload import Document, PictureSource
from tutuclient.resources.endpoint import Endpoint, events, stamped
from tutuclient.resources.options import RequestOptions
from tutuclient.resources.resource import Resource
from tutuclient.settings import Settings, origin_of, with_keywords
from tutuclient.streams.events import EventReader, EventStream
from tutuclient.transport import Transport  # noqa: TC001  (``get_type_hints`` reads the annotations at run time)

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Unpack

    from tutuclient._meta import Meta
    from tutuclient.resources.endpoint import RequestInfo
    from tutuclient.transport.reply import Reply
    from tutuclient.wire.sse import Data

T = TypeVar("T")


class AnyFields(RequestOptions, total=False):
    """The keywords of ``get``, ``post``, ``put``, ``patch`` and ``delete``; ``TutuClient.post`` explains them."""

    body: Mapping[str, Any] | None
    files: Mapping[str, PictureSource] | None
    makes_image: bool


class AnyEndpoint(Resource):
    """The endpoints that have no class of their own here."""

    def send(self, method: str, path: str, cast_to: type[T], **options: Unpack[AnyFields]) -> Coroutine[Any, Any, T]:
        """Send a request and read its whole answer; ``TutuClient.post`` documents the arguments."""
        return self._whole(self._endpoint(method, path, cast_to), **_arguments(options))

    def open(
        self, method: str, path: str, cast_to: type[T], **options: Unpack[AnyFields]
    ) -> Coroutine[Any, Any, EventStream[T]]:
        """Send a request and return the stream of its events. Arguments as for ``send``."""
        return self._streamed(self._endpoint(method, path, cast_to), **_arguments(options))

    def _endpoint(self, method: str, path: Any, cast_to: type[T]) -> Endpoint[T, EventStream[T]]:
        """Declare an endpoint for one call.

        Raises:
            ConfigError: There can be no such endpoint, or no answer of this type.
        """
        if wire.is_any(cast_to, str, bytes, int, float, Mapping, list, tuple, set):
            raise ConfigError(
                f"cast_to is {wire.quoted(cast_to)}: write a type, such as dict, Any, or a class of yours"
            )
        if not isinstance(path, str):
            raise ConfigError(f'the path is {wire.quoted(path)}: write text, such as "/models"')
        # A line break would end the request line, and what follows "#" is never sent (RFC 3986, section 3.5).
        if not path.isprintable() or "#" in path:
            raise ConfigError(f"{path!r} has a line break, a control character or a # inside; write it as %0A, %23…")
        origins = [each.origin for each in self._settings.relays] or [self._settings.origin]
        if not path.startswith("/") and not any(is_within(path, origin) for origin in origins):
            raise ConfigError(
                f"{path!r}: the path must begin with /, or be an address of the relay ({', '.join(origins)}): "
                "the key goes nowhere else"
            )

        def read(data: bytes | bytearray, reply: Reply, _: RequestInfo) -> T:
            return stamped(wire.read_as(data, cast_to, reply.meta), reply)

        def reader(reply: Reply, _: RequestInfo) -> EventReader[T]:
            def event(_: str, data: Data, meta: Meta) -> T:
                return stamped(wire.read_as(data, cast_to, meta), reply)

            return EventReader(
                reply.meta,
                read=event,
                is_last=lambda _: False,  # Nothing is known of these events, so the stream is whole where HTTP says so.
                read_whole=lambda data, meta: [event("", data, meta)],
                max_bytes=reply.call.max_bytes,
                eof_completes=True,
            )

        return Endpoint(f"client.{method.lower()}", path, method=method, read=read, begin=events(reader))


class AnyEndpointCalls:
    """The methods of the client for endpoints that have no class of their own here."""

    _settings: Settings
    _transport: Transport

    @cached_property
    def _any_endpoint(self) -> AnyEndpoint:
        return AnyEndpoint(self._settings, self._transport)

    @with_keywords(AnyFields)
    async def get(self, path: str, *, cast_to: type[T], **options: Unpack[AnyFields]) -> T:
        """Request any endpoint with GET. Arguments and errors as for ``post``."""
        return await self._any_endpoint.send("GET", path, cast_to, **options)

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

    @with_keywords(AnyFields)
    async def post(
        self, path: str, *, cast_to: type[T], stream: bool = False, **options: Unpack[AnyFields]
    ) -> T | EventStream[T]:
        """Request any endpoint with POST. Retries, limits and errors are those of the endpoints that have methods.

        Args:
            path: Behind the base URL, with its slash (``/rerank``); or a whole address of the relay itself.
            cast_to: The type to read the answer as: ``dict``, ``bytes``, ``str``, a msgspec Struct, a dataclass, a
                TypedDict, a pydantic model…
            stream: Return an ``EventStream`` of its events, each read as ``cast_to``. Where the endpoint wants the body
                to ask for a stream, it has to do so too.
            **options: ``body`` is sent as JSON, or with ``files`` (a source for each field's name) as a form.
                ``makes_image`` is for what is paid for by the piece: such a call is not repeated when the first may
                have been done. ``extra_headers``, ``extra_query`` and ``timeout`` are those of every call.

        Raises:
            ConfigError: The address is not the relay's, or the body cannot be written; nothing was sent.
            APIError: The relay answered with an error, or the answer cannot be read as ``cast_to``.
        """
        ask = self._any_endpoint.open if stream else self._any_endpoint.send
        return await ask("POST", path, cast_to, **options)

    @with_keywords(AnyFields)
    async def put(self, path: str, *, cast_to: type[T], **options: Unpack[AnyFields]) -> T:
        """Request any endpoint with PUT. Arguments and errors as for ``post``."""
        return await self._any_endpoint.send("PUT", path, cast_to, **options)

    @with_keywords(AnyFields)
    async def patch(self, path: str, *, cast_to: type[T], **options: Unpack[AnyFields]) -> T:
        """Request any endpoint with PATCH. Arguments and errors as for ``post``."""
        return await self._any_endpoint.send("PATCH", path, cast_to, **options)

    @with_keywords(AnyFields)
    async def delete(self, path: str, *, cast_to: type[T], **options: Unpack[AnyFields]) -> T:
        """Request any endpoint with DELETE. Arguments and errors as for ``post``."""
        return await self._any_endpoint.send("DELETE", path, cast_to, **options)


def _arguments(options: AnyFields) -> dict[str, Any]:
    body, files = _fields(options.get("body")), _form_files(options.get("files"))
    return {"makes_image": False, **options, "body": body, "files": files}


def _fields(body: Any) -> Any:
    if wire.is_any(body, str, bytes, bytearray, memoryview):
        raise ConfigError(f"body is {wire.quoted(body)}: write it as a dict, which is sent as JSON")
    # It may be a list too, where an endpoint of the relay's own wants one.
    return wire.without_unset(dict(cast("Mapping[str, Any]", body))) if isinstance(body, Mapping) else body


def _form_files(files: Mapping[str, PictureSource] | None) -> list[wire.FormFile] | None:
    if files is None:
        return None
    # Every file of a form gets a name: relays take no file without one, and upstreams see little else (WIRE.md 1.2).
    documents = {field: Document(source) for field, source in files.items()}
    for field, document in documents.items():
        document.name = document.name or field
    return [wire.FormFile(field, document) for field, document in documents.items()]


def is_within(address: str, origin: str) -> bool:
    """Return whether an address is the relay's, with nothing before the host's name that could be taken for one.

    In ``https://relay.example@evil.example/`` the host is the second name (RFC 3986, section 3.2.1).
    """
    try:
        return (
            address.startswith(("http://", "https://"))
            and "@" not in urlsplit(address).netloc
            and origin_of(address) == origin
        )
    except ValueError:  # ``urlsplit`` raises for what is not an address.
        return False
