"""The relay on loopback: endpoints, queue of scripted answers, and the record of what it was asked.

It behaves as new-api does where a client can tell: its envelopes, its request ids, its index page outside ``/v1``,
its 200 for a model that does not exist. What pictures show and what faults look like is for its neighbours to know.
"""

import asyncio
import contextlib
import secrets
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import count, pairwise
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import hdrs, web

from tutuclient.media.kinds import EXTENSIONS
from tutuclient.standin import endpoints
from tutuclient.testing import faults
from tutuclient.testing.account import Account
from tutuclient.testing.script import INLINE_BYTES, Exchange, Recorded, Scripted, media_type

_Handler = web.RequestHandler
_HOSTED_BYTES = 256 * 2**20
_PANEL = b"""<!doctype html>
<html lang="zh"><head><meta charset="utf-8"><title>New API</title></head>
<body><noscript>You need to enable JavaScript to run this app.</noscript><div id="root"></div></body></html>
"""

T = TypeVar("T")


class Server:
    """The relay while it runs; ``serve`` and ``serve_in_thread`` make one.

    All methods may be called from any thread.

    Attributes:
        token_delay: Seconds after each event of a streamed answer.
        piece_bytes: When set, streams are written in pieces of so many bytes instead of event by event.
        on_answered: Called with each request that has been answered, and the status (None where the answer was cut
            off); None for nobody. It stays when the server is reset.
        picture_form: How chats hand pictures over, one of ``PICTURE_FORMS``.
        models_form: How models are listed, one of ``MODELS_FORMS``.
        account: What the key may spend: every answer that is not scripted costs a little. Its ``balance`` can be set;
            at 0 the relay refuses with 403, as new-api does.
        requests: What it was asked, in order of arrival; downloads of pictures and ``/healthz`` are not among it.
        downloads: What was fetched from ``/v1/files/``.
        peak_in_flight: The most requests that were being answered at one time.
    """

    def __init__(self, host: str, port: int, key: str | None, max_body_bytes: int, tls: ssl.SSLContext | None) -> None:
        self.origin: str = ""
        self._host, self._port, self._key, self._max_body_bytes, self._tls = host, port, key, max_body_bytes, tls
        self._files: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._waiters: list[tuple[Callable[[], bool], Callable[[], object]]] = []
        self._connections: dict[_Handler, tuple[int, asyncio.Transport]] = {}
        self._closing = False
        self.on_answered: Callable[[Recorded, int | None], object] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget scripts, records and settings, as a fixture does between tests; hosted pictures stay."""
        self.token_delay: float = 0.0
        self.piece_bytes: int | None = None
        self.picture_form: str = "url"
        self.models_form: str = "both"
        self.account: Account = Account()
        self.requests: list[Recorded] = []
        self.downloads: list[Recorded] = []
        self.peak_in_flight: int = 0
        self._scripts: deque[Scripted] = deque()
        self._scripts_by_path: defaultdict[str, deque[Scripted]] = defaultdict(deque)
        self._in_flight: set[Recorded] = set()

    @property
    def base_url(self) -> str:
        """The address that clients are given, with ``/v1``."""
        return f"{self.origin}/v1"

    @property
    def in_flight(self) -> int:
        """Requests being answered now."""
        return len(self._in_flight)

    @property
    def open_connections(self) -> int:
        """TCP connections open now, idle ones included."""
        return len(self._connections)

    @property
    def gaps(self) -> list[float]:
        """Seconds between the starts of successive requests: n requests have n - 1 gaps."""
        return [later.started_at - earlier.started_at for earlier, later in pairwise(self.requests)]

    def answers(self, *scripted: Scripted, path: str | None = None) -> None:
        """Queue answers for the next requests; after them the brain answers again.

        Args:
            *scripted: What ``says``, ``fails``, ``streams`` and the like return, or functions that take the
                ``Recorded`` request and return such a thing.
            path: When given, these answers are for requests to exactly this path (``/v1/files/a.png``, say), of which
                every path may have its own queue. Otherwise they are for all requests but picture downloads.
        """
        (self._scripts if path is None else self._scripts_by_path[path]).extend(scripted)

    def faults(self, name: str, *, times: int = 1, **options: Any) -> None:
        """Queue a fault of ``FAULTS`` for the next requests.

        Args:
            name: The fault's name.
            times: How many requests meet it.
            **options: What the fault can be told; its description in ``FAULTS`` lists them.

        Raises:
            ValueError: There is no such fault or option, or it is one of connecting, which ``raw_server`` plays.
        """
        self.answers(*[faults.answer(name, **options)] * times)

    def host(self, data: bytes, name: str | None = None) -> str:
        """Keep a picture and return its address on this server; the oldest go when all together pass 256 MiB.

        Args:
            data: The picture's bytes.
            name: The file name; None makes one up.
        """
        chosen = name or f"{secrets.token_hex(8)}{EXTENSIONS[media_type(data)][0]}"
        with self._lock:
            self._files[chosen] = data
            while len(self._files) > 1 and sum(map(len, self._files.values())) > _HOSTED_BYTES:
                del self._files[next(iter(self._files))]
        return f"{self.base_url}/files/{chosen}"

    async def until(self, happened: Callable[[], bool], timeout: float = 5.0) -> None:
        """Wait until something is so, looking again whenever a request or a connection has come or gone.

        Args:
            happened: The question, such as ``lambda: server.in_flight == 3``.
            timeout: Seconds to wait.

        Raises:
            TimeoutError: It did not happen in time.
        """
        event, loop = asyncio.Event(), asyncio.get_running_loop()
        waiter = (happened, lambda: loop.call_soon_threadsafe(event.set))
        self._waiters.append(waiter)
        try:
            if not happened():
                async with asyncio.timeout(timeout):
                    await event.wait()
        finally:
            self._waiters.remove(waiter)

    async def wait_requests(self, number: int, timeout: float = 5.0) -> None:
        """Wait until so many requests have arrived (``TimeoutError`` after ``timeout`` seconds)."""
        await self.until(lambda: len(self.requests) >= number, timeout)

    async def wait_closed(self, index: int = -1, timeout: float = 5.0) -> Recorded:
        """Wait until the client has left a request unanswered (``TimeoutError`` after ``timeout`` seconds).

        Args:
            index: The request's place in ``requests``.
            timeout: Seconds to wait.
        """
        await self.until(lambda: any(seen.aborted for seen in self.requests[index:][:1]), timeout)
        return self.requests[index]

    def fetch(self, url: str) -> bytes | None:
        """Give the picture behind an address of this server; others are not fetched."""
        return self._files.get(url.removeprefix(f"{self.base_url}/files/"))

    async def work(self, job: Callable[[], T]) -> T:
        """Run in a worker thread what would hold up the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    async def think(self, exchange: Exchange) -> web.StreamResponse:
        """Answer as though nothing had been scripted: by the page of the API that was asked for."""
        method, path = exchange.request.method, exchange.request.path
        if (page := endpoints.page_for(method, path)) is not None:
            return await page(exchange)
        if (bare := path.rstrip("/")) in endpoints.PATHS and bare != path:
            status = 301 if method == "GET" else 307
            return exchange.respond(b"", status=status, headers={hdrs.LOCATION: bare})
        if not f"{path}/".startswith("/v1/"):
            return exchange.respond(_PANEL, content_type="text/html; charset=utf-8")
        return exchange.error(404, f"Invalid URL ({method} {path})", type="invalid_request_error", code="")

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="tutu-brain")
        self._web = _Web(self, self._handle)
        self._listener = await loop.create_server(self._web, self._host, self._port, ssl=self._tls, backlog=1024)
        name, port, *_ = self._listener.sockets[0].getsockname()
        scheme = "http" if self._tls is None else "https"
        self.origin = f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._listener.close()
        for _, transport in list(self._connections.values()):
            transport.abort()
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: not self._connections and not self._in_flight, timeout=0.5)
        await self._web.shutdown(0.05)
        await asyncio.sleep(0)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def connected(self, handler: _Handler, transport: asyncio.Transport | None, number: int) -> None:
        """Note that a connection has come, or with no transport that it has gone."""
        if transport is None:
            self._connections.pop(handler, None)
        else:
            self._connections[handler] = (number, transport)
        self._notify()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        downloads = request.path.startswith("/v1/files/")
        seen = self.downloads if downloads else self.requests
        number, _ = self._connections.get(request.protocol, (0, None))
        recorded = Recorded(len(seen), request.method, request.path, request.query, request.headers, connection=number)
        exchange = Exchange(request, recorded, self, self._max_body_bytes)
        if request.path == "/healthz":
            return exchange.respond({"status": "ok"})
        seen.append(recorded)
        in_flight = self._in_flight
        in_flight.add(recorded)
        self.peak_in_flight = max(self.peak_in_flight, len(in_flight))
        self._notify()
        status: int | None = None
        try:
            response = await self._answer(exchange, downloads=downloads)
            await response.prepare(request)
            await response.write_eof()
        except asyncio.CancelledError:
            recorded.aborted = not (exchange.ended_here or self._closing)
            raise
        except (ConnectionError, web.RequestPayloadError):
            recorded.aborted = True
            return exchange.fin()
        else:
            recorded.finished = not exchange.ended_here
            status = response.status
            return response
        finally:
            in_flight.discard(recorded)
            self._notify()
            if self.on_answered is not None:
                self.on_answered(recorded, status)

    async def _answer(self, exchange: Exchange, *, downloads: bool) -> web.StreamResponse:
        request = exchange.request
        script = None
        if not downloads and (refusal := self._refuse(exchange)) is not None:
            if hdrs.EXPECT not in request.headers:
                await exchange.read_body()
            return refusal
        if by_path := self._scripts_by_path.get(request.path):
            script = by_path.popleft()
        elif self._scripts and not downloads:
            script = self._scripts.popleft()
        if getattr(script, "reads_body", True):
            if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
                await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            if not await exchange.read_body():
                too_large = exchange.error(413, "http: request body too large", code="read_request_body_failed")
                too_large.force_close()
                return too_large
        await self._decode(exchange)
        if script is None:
            return self._file(exchange) if downloads else await self.think(exchange)
        answer = script(exchange.recorded) if callable(script) else script
        return await answer.play(exchange)

    async def _decode(self, exchange: Exchange) -> None:
        """Take the body apart: a long one in a worker thread, and a form always, so that it is on record."""
        form = exchange.request.content_type.startswith("multipart/")
        if len(exchange.body) > INLINE_BYTES:
            await self.work(exchange.decode_form if form else exchange.decode)
        elif form:
            exchange.decode_form()

    def _refuse(self, exchange: Exchange) -> web.Response | None:
        """Check the key as new-api does."""
        given = exchange.request.headers.get(hdrs.AUTHORIZATION, "").removeprefix("Bearer ").strip()
        if (
            self._key is None
            or exchange.request.path in endpoints.PUBLIC
            or secrets.compare_digest(given.encode(errors="replace"), self._key.encode())
        ):
            return None
        return exchange.error(401, "无效的令牌" if given else "未提供令牌", code="", param=None)

    def _file(self, exchange: Exchange) -> web.StreamResponse:
        data = self._files.get(exchange.request.path.removeprefix("/v1/files/").removeprefix("download/"))
        if data is None or exchange.request.method not in {"GET", "HEAD"}:
            return exchange.error(404, "no such picture", type="invalid_request_error", code="not_found")
        return exchange.respond(data, content_type=media_type(data))

    def _notify(self) -> None:
        for happened, wake in list(self._waiters):
            if happened():
                with contextlib.suppress(RuntimeError):  # The waiter's loop may have closed meanwhile.
                    wake()


class _Web(web.Server):
    """aiohttp's server, telling of connections that come and go."""

    def __init__(self, server: Server, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handle, handler_cancellation=True, access_log=None, lingering_time=1.0)
        self._told = server.connected
        self._numbers = count()

    def connection_made(self, handler: _Handler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._told(handler, transport, next(self._numbers))

    def connection_lost(self, handler: _Handler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._told(handler, None, 0)


@contextlib.asynccontextmanager
async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    key: str | None = None,
    max_body_bytes: int = 64 * 2**20,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncGenerator[Server, None]:
    """Run the relay in the running event loop until the block ends.

    Leaving the block cuts what is open and takes well under a second.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one, which ``server.base_url`` then names.
        key: The one key that is accepted; None accepts everything.
        max_body_bytes: Longer request bodies get 413.
        ssl_context: Given, the server speaks TLS.
    """
    async with Server(host, port, key, max_body_bytes, ssl_context) as server:
        yield server


@contextlib.contextmanager
def serve_in_thread(
    host: str = "127.0.0.1",
    port: int = 0,
    key: str | None = None,
    max_body_bytes: int = 64 * 2**20,
    ssl_context: ssl.SSLContext | None = None,
) -> Generator[Server, None, None]:
    """Run the relay on an event loop and in a thread of its own; the arguments are those of ``serve``."""
    server = Server(host, port, key, max_body_bytes, ssl_context)
    started: Future[Callable[[], object]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        async with server:
            started.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
            await stop.wait()

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=work, name="tutu-relay", daemon=True)
    thread.start()
    stop = started.result()
    try:
        yield server
    finally:
        stop()
        thread.join()
