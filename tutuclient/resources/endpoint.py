"""One endpoint of the API, declared once: where it is, what it takes, how its answers are read."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from tutuclient import wire
from tutuclient.downloads.fetch import Downloads
from tutuclient.finding import ImageFinder
from tutuclient.resources.options import REQUEST_OPTIONS, RequestOptions
from tutuclient.streams.events import EventReader, EventStream
from tutuclient.types.base import Answer
from tutuclient.types.provenance import Origin, set_origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tutuclient.media.audio import Sound
    from tutuclient.media.image import GeneratedImage
    from tutuclient.transport.reply import Reply
    from tutuclient.types.chat import ChatCompletion

E = TypeVar("E")
S = TypeVar("S")
T = TypeVar("T")
U = TypeVar("U")


class RequestInfo:
    """What the readers of an answer have to know of its request; ``body`` are the fields before they were encoded."""

    __slots__ = ("_downloads", "body")

    def __init__(self, body: Any, downloads: Downloads) -> None:
        self.body = body
        self._downloads = downloads

    @property
    def response_format(self) -> str:
        """The format that was asked for, "" for none."""
        return str(self.body.get("response_format") or "")

    def origin(self, reply: Reply, hear: Callable[[ChatCompletion], Sound | None] | None = None) -> Origin:
        """Return where an answer comes from: how the call went, and what finds its images and its audio."""
        call = reply.call
        # The limits of the call hold for its images too; they are downloaded later, when somebody wants them.
        # The address of a relay may be private: of several, that of the one that has answered.
        downloads = Downloads.of(call.settings) if call.relays else self._downloads
        find = ImageFinder(downloads, call.makes_image, call.timeout, call.retry)
        return Origin(reply.meta, find) if hear is None else Origin(reply.meta, find, hear)


class Endpoint(Generic[T, S]):
    """An endpoint: ``T`` is its whole answer, ``S`` its stream (``Never`` when it has none).

    Args:
        call: What users write to call it, behind ``client.``; for messages.
        path: Where it is, behind the base URL.
        read: Makes a whole answer of the body's bytes. What it raises counts as a failure of the attempt.
        begin: Makes the stream of an open answer, which is the stream's own to close; None when it does not stream.
        method: The method of HTTP.
        known: The keywords it has, as ``wire.names`` returns them; one that is nearly one of these causes a warning.
        prepare: Checks the fields before anything is sent, and returns them as they are to be encoded.
        makes_image: Whether a request orders an image; such a request is not sent again when it may have been done.
        streams: Whether the fields of a request ask for a stream.
        headers: Headers of its own, over the client's and under the caller's.
    """

    def __init__(
        self,
        call: str,
        path: str,
        *,
        read: Callable[[bytes | bytearray, Reply, RequestInfo], T],
        begin: Callable[[Reply, RequestInfo], Awaitable[S]] | None = None,
        method: str = "POST",
        known: frozenset[str] = frozenset(),
        prepare: Callable[[Any], Any] | None = None,
        makes_image: bool | Callable[[Any], bool] = False,
        streams: Callable[[Mapping[str, Any]], bool] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.call = call
        self.path = path
        self.read = read
        self.begin = begin
        self.method = method
        self.headers = headers
        self.prepare: Callable[[Any], Any] = prepare or (lambda body: body)
        self.makes_image: Callable[[Any], bool] = makes_image if callable(makes_image) else lambda _: makes_image
        asks: Callable[[Any], bool] = streams or (lambda body: body.get("stream") is True)
        self.streams: Callable[[Any], bool] = asks if begin is not None else lambda _: False
        self._known = known

    def at(self, path: str) -> Endpoint[T, S]:
        """Return this endpoint at a path that names one thing of many, such as ``/models/gpt-4o``."""
        endpoint = copy.copy(self)
        endpoint.path = path
        return endpoint

    def for_call(self, call: str, *more: str) -> Endpoint[T, S]:
        """Return this endpoint for another call of it, which has more keywords."""
        endpoint = copy.copy(self)
        endpoint.call = call
        endpoint._known = self._known.union(more)  # noqa: SLF001  (a copy of our own)
        return endpoint

    def with_stream(self, begin: Callable[[Reply, RequestInfo], Awaitable[U]]) -> Endpoint[T, U]:
        """Return this endpoint with another stream of its answer."""
        endpoint: Any = copy.copy(self)
        endpoint.begin = begin
        return cast("Endpoint[T, U]", endpoint)

    def split(
        self, arguments: Mapping[str, Any], keywords: dict[str, Any], stream: Any = None
    ) -> tuple[dict[str, Any], RequestOptions]:
        """Split the keywords of a call into the fields of its body and its options.

        ``arguments`` are the fields that the call names; ``keywords`` all others and the options, which are removed
        from it. Raises a ``ConfigError`` for a value that the API cannot have.
        """
        if not keywords and stream is None:
            return wire.without_unset({**arguments}), {}
        # ``keywords`` are the ``**fields`` of the call, so this dict is nobody else's.
        extra_body = wire.checked_extra_body(keywords.pop("extra_body", None))
        options: Any = {name: keywords.pop(name) for name in REQUEST_OPTIONS if name in keywords}
        wire.check_keywords(keywords, self._known, self.call)
        body = wire.without_unset({**arguments, **keywords, **extra_body})
        if wire.is_stream_asked(stream):
            body["stream"] = True
        return body, options


def events(
    reader: Callable[[Reply, RequestInfo], EventReader[E]],
) -> Callable[[Reply, RequestInfo], Awaitable[EventStream[E]]]:
    """Return the ``begin`` of an endpoint that streams typed events, of what makes their reader."""

    async def begin(reply: Reply, info: RequestInfo) -> EventStream[E]:
        return await EventStream[E].begin(reply, reader(reply, info))

    return begin


def no_images(_: object) -> list[GeneratedImage]:
    """Return no images: for answers of endpoints that make none."""
    return []


def stamped(answer: T, reply: Reply, origin: Origin | None = None) -> T:
    """Note on an answer where it comes from; text and bytes keep no notes."""
    if isinstance(answer, Answer):
        set_origin(answer, Origin(reply.meta, no_images) if origin is None else origin)
    return answer
