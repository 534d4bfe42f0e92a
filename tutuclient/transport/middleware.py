"""Middleware: functions of the caller around calls and attempts.

A middleware gets the request and ``call_next``, and returns the result. It sees neither endpoints nor aiohttp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tutuclient import wire
from tutuclient.settings import clean_headers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tutuclient.settings import Middleware
    from tutuclient.transport.call import Call


class Request:
    """A call as a middleware sees it.

    Attributes:
        headers: Headers of this call alone, over the client's; change them as you like.
        fields: What is sent as JSON, or None. To change it, put another mapping in its place.
        attempt: Which attempt this is, the first being 1; 0 for a middleware that runs once a call.
    """

    __slots__ = ("_call", "attempt", "fields", "headers")

    def __init__(self, call: Call, attempt: int) -> None:
        self._call = call
        self.headers: dict[str, str] = dict(call.own_headers or {})
        self.fields: Mapping[str, Any] | None = call.fields
        self.attempt: int = attempt

    @property
    def method(self) -> str:
        """GET, POST or another."""
        return self._call.method

    @property
    def url(self) -> str:
        """The whole address, with its query. Of several relays one is chosen within ``call_next``, so it may change."""
        return self._call.url

    @property
    def stream(self) -> bool:
        """Whether the result is a stream."""
        return self._call.stream

    @property
    def makes_image(self) -> bool:
        """Whether it orders an image, which is billed by the piece: repeat such a call with care."""
        return self._call.makes_image

    def __repr__(self) -> str:
        return f"<Request {self._call.what}, attempt {self.attempt}>"

    def apply(self) -> Call:
        """Return the call with what was changed.

        Raises:
            ConfigError: A header or the body cannot be sent like that.
        """
        call = self._call
        if self.headers != dict(call.own_headers or {}):
            call.own_headers = clean_headers(self.headers)
        if self.fields is not call.fields and self.fields is not None:
            # Another model may make images where the one before did not.
            named = [self.fields, *call.settings.renamed(self.fields)]
            if any(map(wire.makes_image, named)) and not wire.makes_image(call.fields or {}):
                call.makes_image = True
            call.fields, call.body = self.fields, wire.encode(self.fields)
        return call


async def through(
    layers: Sequence[Middleware], call: Call, attempt: int, last: Callable[[Call], Awaitable[Any]]
) -> Any:
    """Run a call, or an attempt, within its middleware, of which the first is outermost."""

    def next_of(number: int) -> Callable[[Request], Awaitable[Any]]:
        async def call_next(request: Request) -> Any:
            if number == len(layers):
                return await last(request.apply())
            return await layers[number](request, next_of(number + 1))

        return call_next

    return await next_of(0)(Request(call, attempt))
