"""``sse``: a stream as the response of an endpoint, for Starlette and FastAPI, and for aiohttp.web.

The response begins with the first event, so that an error before it can still have its status. Until then, and from
then on, the browser is watched: when it leaves, the stream is closed.
"""

from __future__ import annotations

import functools
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, overload

from tutuclient.errors import (
    APIStatusError,
    APITimeoutError,
    ConfigError,
    InsufficientQuotaError,
    MediaError,
    PoolTimeoutError,
    RateLimitError,
    TutuError,
)
from tutuclient.integrations.web.forms import text_of
from tutuclient.integrations.web.gone import ClientGoneError, Feed, is_aiohttp, is_starlette, watching
from tutuclient.integrations.web.reading import Reading, check_heartbeat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from aiohttp import web
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.types import Receive, Scope, Send

    from tutuclient.integrations.web.forms import ErrorText, FormName
    from tutuclient.integrations.web.frames import Frame
    from tutuclient.integrations.web.reading import Channel, Source

    Write = Callable[[bytes], Awaitable[object]]

_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_COMES_BACK = "last-event-id"


@overload
def sse(
    source: Source,
    request: Request | None = None,
    *,
    form: FormName = "json",
    heartbeat: float | None = 15,
    error_text: ErrorText = str,
) -> StreamingResponse: ...


@overload
def sse(
    source: Source,
    request: web.BaseRequest,
    *,
    form: FormName = "json",
    heartbeat: float | None = 15,
    error_text: ErrorText = str,
) -> Coroutine[Any, Any, web.StreamResponse]: ...


def sse(
    source: Source,
    request: Request | web.BaseRequest | None = None,
    *,
    form: FormName = "json",
    heartbeat: float | None = 15,
    error_text: ErrorText = str,
) -> StreamingResponse | Coroutine[Any, Any, web.StreamResponse]:
    """Return the response that streams to a browser; with aiohttp.web, one that has been sent when it is awaited.

    ``return sse(stream)`` answers with Starlette and FastAPI, ``return await sse(stream, request)`` with aiohttp.web.

    When the browser leaves, the stream is closed at once. An error before the first event is a JSON response with a
    status: 504 for a limit of time, 503 for a rate limit and for no free slot, 400 for an unusable file, else 502; its
    body is ``{"error": {"message", "type", "code", "outcome", "request_id"}}``. Once the response has begun, which a
    heartbeat does too, it is an event. Errors that are not the relay's are raised, for the framework to log.

    ``EventSource`` asks again whenever a stream ends. In place of a second answer it gets 204, which ends it; so pass a
    stream that is not open yet, which is then never asked for. A page should close it on the event ``done``.

    Args:
        source: As for ``events``.
        request: That of aiohttp.web; none is needed for Starlette and FastAPI.
        form: As for ``events``.
        heartbeat: As for ``events``.
        error_text: As for ``events``; it makes the message in the body of an error before the first event too.

    Raises:
        ConfigError: It is no stream, there is no such form, or it is a request of another framework.
    """
    check_heartbeat(heartbeat)
    if is_aiohttp(request):
        return _answer(Reading(source, form, error_text), request, heartbeat)  # type: ignore[arg-type]  # is_aiohttp says so
    if request is not None and not is_starlette(request):
        raise ConfigError(
            "sse() needs a request of aiohttp.web, or none for Starlette and FastAPI, and got a"
            f" {type(request).__name__}"
        )
    response: StreamingResponse = _response_class()(Reading(source, form, error_text), heartbeat)
    return response


@functools.cache
def _response_class() -> Any:
    try:
        from starlette.responses import Response, StreamingResponse  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            "sse(stream) makes a response of Starlette, which is not installed: pip install starlette; with aiohttp.web"
            " write await sse(stream, request)"
        ) from None

    class EventStream(StreamingResponse):
        """A stream as server-sent events."""

        media_type = "text/event-stream"

        def __init__(self, reading: Reading, heartbeat: float | None) -> None:
            self._reading = reading
            self._heartbeat = heartbeat
            super().__init__((), headers=_HEADERS | reading.channel.form.headers)

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            try:
                # OSError is how servers of ASGI 2.4 tell of a browser that left.
                with suppress(ClientGoneError, OSError):
                    async with watching(Feed.of(scope, receive)):
                        await self._answer(scope, receive, send)
            finally:
                await self._reading.aclose()
            _raise_failed(self._reading.channel)
            if self.background is not None:
                await self.background()

        async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
            if any(name == _COMES_BACK.encode() for name, _ in scope["headers"]):
                await Response(status_code=204)(scope, receive, send)
                return
            channel = self._reading.start()
            frames = await _next(channel, self._heartbeat)
            if (error := _failed_at_once(channel)) is not None:
                if isinstance(error, TutuError):  # Any other is raised by the caller, where no OSError is suppressed.
                    status, headers, body = _refusal(error, channel.told)
                    await Response(body, status, headers, "application/json")(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await _send(frames, channel, self._heartbeat, send)

    return EventStream


async def _send(frames: list[Frame], channel: Channel, heartbeat: float | None, send: Send) -> None:
    """Send these events, those that follow, and the end, by ASGI."""
    while frames:
        await send({"type": "http.response.body", "body": _encoded(frames), "more_body": True})
        frames = await _next(channel, heartbeat)
    # What broke off for the server's own reasons ends without its end, and the server closes the connection.
    if channel.failed is None or isinstance(channel.failed, TutuError):
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _answer(reading: Reading, request: web.BaseRequest, heartbeat: float | None) -> web.StreamResponse:
    from aiohttp import web  # noqa: PLC0415  (a request of it is here)

    channel = reading.channel
    response = web.StreamResponse(headers=_HEADERS | channel.form.headers)
    response.content_type, response.charset = "text/event-stream", "utf-8"
    try:
        if _COMES_BACK in request.headers:
            return web.Response(status=204)
        # A connection that is lost between two looks at it makes writing fail.
        with suppress(ClientGoneError, ConnectionError):
            async with watching(request):
                reading.start()
                frames = await _next(channel, heartbeat)
                error = _failed_at_once(channel)
                if isinstance(error, TutuError):
                    status, headers, body = _refusal(error, channel.told)
                    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
                if error is None:  # Any other is raised below, where no ConnectionError is suppressed.
                    await response.prepare(request)
                    while frames:
                        await response.write(_encoded(frames))
                        frames = await _next(channel, heartbeat)
    finally:
        await reading.aclose()
    _raise_failed(channel)
    return response


async def _next(channel: Channel, heartbeat: float | None) -> list[Frame]:
    """Return all events that are there once one is, or a heartbeat; none at the end."""
    return channel.take() if await channel.wait(heartbeat) else channel.heartbeat()


def _encoded(frames: list[Frame]) -> bytes:
    return "".join([frame.encode() for frame in frames]).encode("utf-8", "replace")


def _raise_failed(channel: Channel) -> None:
    """Raise what is not the relay's error."""
    failed, channel.failed = channel.failed, None
    if failed is not None and not isinstance(failed, TutuError):
        raise failed


def _failed_at_once(channel: Channel) -> Exception | None:
    """Return the error before the first event; None when there is none."""
    return None if channel.gave_something else channel.failed


def _refusal(error: TutuError, told: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Return the status, headers and body that tell of an error before the first event."""
    headers: dict[str, str] = {}
    # openai's clients send a request again after a 5xx. The relay may have done the work: that is not theirs to repeat.
    if error.outcome == "unknown":
        headers["x-should-retry"] = "false"
    seconds = error.retry_after if isinstance(error, APIStatusError) else None
    if seconds is not None:
        headers["retry-after"] = str(math.ceil(seconds))
    return status_of(error), headers, text_of({"error": told}).encode()


def status_of(error: BaseException) -> int:
    """Return the status to answer with when the relay has failed; its own is about us, and not about the browser."""
    if isinstance(error, MediaError):
        return 400
    if isinstance(error, PoolTimeoutError) or (
        isinstance(error, RateLimitError) and not isinstance(error, InsufficientQuotaError)
    ):
        return 503
    return 504 if isinstance(error, APITimeoutError) else 502
