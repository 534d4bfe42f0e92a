"""The server of the page: its files, uploads, calls and the events of them."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import hdrs, web

from tutuclient import __version__
from tutuclient._threads import in_thread
from tutuclient.errors import ConfigError, MediaError, TutuError
from tutuclient.ui.asking import Asking, described
from tutuclient.ui.assets import read_assets
from tutuclient.ui.calls import MOST_RUNNING, Asked, Call, CallConflictError, Calls, TooManyCallsError
from tutuclient.ui.gate import HEADERS, IMAGE_POLICY, Gate
from tutuclient.ui.images import MOST_UPLOAD, ImageStore
from tutuclient.ui.masking import Mask
from tutuclient.ui.snippets import as_curl, as_python

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from tutuclient.client import TutuClient
    from tutuclient.ui.images import StoredImage

_MOST_JSON: Final = 1024 * 1024
_READ_S: Final = 30.0  # of silence within an upload
_WRITE_S: Final = 60.0  # for a reader to take what was written
_MODELS_S: Final = 300.0
_NO_MODELS_S: Final = 10.0  # Some relays have no list, or no answer: each tab that opens must not ask them again.
# aiohttp logs a traceback for each request that is no HTTP: whoever reaches the port could fill a terminal with them.
_logger: Final = logging.getLogger("tutuclient.ui")
_logger.addHandler(logging.NullHandler())


class Page:
    """The page while it runs.

    Attributes:
        origin: Where it is, such as ``http://127.0.0.1:8018``.
        address: What a person opens: with the token of this start, without which the page can do nothing.
    """

    def __init__(self, client: TutuClient, host: str, *, stand_in: bool, sample: Callable[[], bytes] | None) -> None:
        self.origin: str = ""
        self._client = client
        self._stand_in = stand_in
        self._sample = sample
        self._token = secrets.token_urlsafe(24)
        settings = client._settings  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (what is to be masked)
        self._mask = Mask(*(str(each.api_key) for each in settings.relays or (settings,)))
        self._gate = Gate(host, self._token)
        self._assets = read_assets()
        self._images = ImageStore()
        self._calls = Calls(Asking(client, self._images).carry_out, self._mask)
        self._models: tuple[float, list[str]] = (-math.inf, [])
        self._asking_models = asyncio.Lock()

    @property
    def address(self) -> str:
        """The address to open."""
        return f"{self.origin}/#{self._token}"

    def application(self) -> web.Application:
        """Return the application of aiohttp."""
        app = web.Application(middlewares=[self._guarded], client_max_size=_MOST_JSON)
        app.on_response_prepare.append(_with_headers)
        for path in self._assets:
            app.router.add_get(path, self._asset)
        app.router.add_get("/images/{id}", self._image)
        app.router.add_get("/api/about", self._about)
        app.router.add_get("/api/models", self._list_models)
        app.router.add_post("/api/images", self._upload)
        app.router.add_post("/api/sample", self._add_sample)
        app.router.add_post("/api/code", self._code)
        app.router.add_post("/api/calls", self._start)
        app.router.add_get("/api/calls/{id}", self._attach)
        app.router.add_post("/api/calls/{id}/stop", self._stop)
        return app

    async def aclose(self) -> None:
        """Cancel what is running."""
        await self._calls.aclose()

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if (refusal := self._gate.refusal(request.method, request.path, request.headers)) is not None:
            return self._refused(*refusal)
        try:
            return await handler(request)
        except web.HTTPException as error:
            return self._refused(error.status, "http", error.reason)

    # --- answers ---------------------------------------------------------------------------------------------------

    def _json(self, value: Any, status: int = 200) -> web.Response:
        body = self._mask.dumps(value)
        return web.Response(
            body=body, status=status, content_type="application/json", headers={hdrs.CACHE_CONTROL: "no-store"}
        )

    def _refused(self, status: int, code: str, message: str) -> web.Response:
        return self._json({"error": {"code": code, "message": message, "limit": MOST_UPLOAD}}, status)

    def _failed(self, error: TutuError, status: int = 400) -> web.Response:
        return self._json(
            {"error": {"code": "image" if isinstance(error, MediaError) else "api", **described(error)}}, status
        )

    async def _asset(self, request: web.Request) -> web.Response:
        asset = self._assets[request.path]
        headers = {hdrs.ETAG: asset.etag, hdrs.CACHE_CONTROL: "no-cache"}
        if request.headers.get(hdrs.IF_NONE_MATCH) == asset.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=asset.data, content_type=asset.content_type, charset="utf-8", headers=headers)

    async def _image(self, request: web.Request) -> web.Response:
        image = self._images.get(request.match_info["id"])
        if image is None:
            return self._refused(404, "gone", "the image is not kept any longer")
        headers = {hdrs.CACHE_CONTROL: "no-store", "Content-Security-Policy": IMAGE_POLICY}
        return web.Response(body=image.data, content_type=image.mime, headers=headers)

    async def _about(self, _request: web.Request) -> web.Response:
        return self._json(
            {
                "version": __version__,
                "relay": self._client.base_url,
                "standIn": self._stand_in,
                "sample": self._sample is not None,
                "most": MOST_UPLOAD,
            }
        )

    async def _list_models(self, _request: web.Request) -> web.Response:
        """List the relay's models, asked for once in a while, however many tabs there are."""
        clock = asyncio.get_running_loop().time
        async with self._asking_models:
            at, names = self._models
            if clock() - at > (_MODELS_S if names else _NO_MODELS_S):
                try:
                    names = [model.id for model in await self._client.models.list(timeout=15.0)]
                except TutuError:
                    names = []  # The list is a help to write a name, and no more: a call tells what is wrong.
                self._models = (clock(), names)
        return self._json({"models": names[:2000]})

    # --- images and code -------------------------------------------------------------------------------------------

    async def _upload(self, request: web.Request) -> web.Response:
        data = await _read_body(request, MOST_UPLOAD)
        if data is None:
            most = MOST_UPLOAD // 2**20
            return self._refused(413, "too_large", f"the image is larger than {most} MiB: shrink it first")
        return self._kept(data, request.query.get("name", ""))

    async def _add_sample(self, _request: web.Request) -> web.Response:
        if self._sample is None:
            return self._refused(404, "http", "there is no sample")
        try:
            data = await in_thread(self._sample)
        except ImportError:
            return self._refused(501, "pillow", "the sample is drawn, which needs Pillow: pip install pillow")
        return self._kept(data, "sample.png")

    def _kept(self, data: bytes, name: str) -> web.Response:
        try:
            image: StoredImage = self._images.add(data, name)
        except MediaError as error:
            return self._failed(error)
        return self._json(image.described(), 201)

    async def _code(self, request: web.Request) -> web.Response:
        asked = _asked(await _read_body(request, _MOST_JSON))
        if isinstance(asked, str):
            return self._refused(400, "request", asked)
        image = self._images.get(asked.image or "")
        name = "image.png" if image is None else image.name
        url = self._client.base_url
        return self._json({"python": as_python(asked, name, url), "curl": as_curl(asked, name, url)})

    # --- calls -----------------------------------------------------------------------------------------------------

    async def _start(self, request: web.Request) -> web.StreamResponse:
        asked = _asked(await _read_body(request, _MOST_JSON))
        if isinstance(asked, str):
            return self._refused(400, "request", asked)
        try:
            call = self._calls.start(asked)
        except ConfigError as error:
            return self._failed(error)
        except CallConflictError:
            return self._refused(409, "conflict", "there is another call of this id; nothing was sent")
        except TooManyCallsError:
            return self._refused(429, "busy", f"{MOST_RUNNING} calls are running: wait for one; nothing was sent")
        return await self._events(request, call)

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        call = self._calls.get(request.match_info["id"])
        if call is None:
            return self._refused(404, "gone", "the call is not kept any longer, or was never sent")
        return await self._events(request, call)

    async def _stop(self, request: web.Request) -> web.Response:
        call = self._calls.get(request.match_info["id"])
        if call is not None:
            call.stop()
        return self._json({"stopped": call is not None})

    async def _events(self, request: web.Request, call: Call) -> web.StreamResponse:
        """Write the events of a call, a line each, until it ends or the reader leaves."""
        response = web.StreamResponse(headers={hdrs.CACHE_CONTROL: "no-store"})
        response.content_type = "application/x-ndjson"
        # The reader is counted before anything is awaited: who leaves at once ends a question too.
        async with aclosing(call.read()) as reading:
            first = True
            async for events in reading:
                if first:
                    await response.prepare(request)
                    first = False
                lines = b"".join(self._mask.dumps(event) + b"\n" for event in events) or b"\n"
                try:
                    async with asyncio.timeout(_WRITE_S):
                        await response.write(lines)
                except TimeoutError:  # A tab that reads nothing has left, and only holds its connection.
                    if request.transport is not None:
                        request.transport.abort()
                    return response
        await response.write_eof()
        return response


async def _with_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        if name == "Server":
            response.headers[name] = value
        else:
            response.headers.setdefault(name, value)


async def _read_body(request: web.Request, most: int) -> bytes | None:
    """Read a body; None when it is longer than ``most`` bytes."""
    if (request.content_length or 0) > most:
        return None
    body = bytearray()
    while True:
        try:
            async with asyncio.timeout(_READ_S):
                piece = await request.content.readany()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        if not piece:
            return bytes(body)
        body += piece
        if len(body) > most:
            return None


def _asked(body: bytes | None) -> Asked | str:
    """Return the request of the page, or what is wrong with it."""
    if body is None:
        return f"the request is longer than {_MOST_JSON} bytes: shorten the prompt"
    try:
        asked = msgspec.json.decode(body, type=Asked)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"the request cannot be read: {error}"
    if not asked.prompt.strip() or not asked.model.strip():
        return "the prompt or the model is empty"
    return asked


@asynccontextmanager
async def serve_page(
    client: TutuClient,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    stand_in: bool = False,
    sample: Callable[[], bytes] | None = None,
) -> AsyncGenerator[Page, None]:
    """Run the page in the running event loop until the block ends.

    Args:
        client: Makes the calls; its key stays here. It is not closed.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        stand_in: Whether the relay is a stand-in, for the page to say so.
        sample: Draws an image to try with; it may raise ImportError. None for none.

    Raises:
        OSError: It cannot listen there.
    """
    page = Page(client, host, stand_in=stand_in, sample=sample)
    # Without handler_cancellation nobody would learn that a reader has left.
    runner = web.AppRunner(
        page.application(), handler_cancellation=True, access_log=None, logger=_logger, shutdown_timeout=0.5
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        name, number = runner.addresses[0][:2]
        page.origin = f"http://[{name}]:{number}" if ":" in name else f"http://{name}:{number}"
        yield page
    finally:
        await page.aclose()
        await runner.cleanup()
