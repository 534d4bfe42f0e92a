"""The relay on loopback: the queue of scripted answers, and the record of what it was asked.

What is not scripted is answered by the function it is made with; ``serve`` makes it with the stand-in's.
"""

import asyncio
import contextlib
import secrets
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import count, pairwise
from typing import Any, Self, TypeVar

from aiohttp import hdrs, web

from tutuclient.media.kinds import EXTENSIONS
from tutuclient.testing import faults
from tutuclient.testing.account import Account
from tutuclient.testing.answers import media_type
from tutuclient.testing.exchange import INLINE_BYTES, Answer, Exchange, Recorded, Scripted

_Handler = web.RequestHandler
_NO_KEY_NEEDED = frozenset({"/api/status"})

T = TypeVar("T")


class Server:
    """The relay while it runs; ``serve`` and ``serve_in_thread`` create one.

    All methods may be called from any thread.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        key: The one key that is accepted; None accepts everything.
        max_body_bytes: Longer request bodies get 413.
        tls: When set, the server speaks TLS.
        unscripted: Answers the requests for which nothing is queued.
        base_path: The path of the API, which ``base_url`` ends in.
        hosts_files: Whether what is below ``/v1/files/`` are the images that it hosts; else these are requests too.

    Attributes:
        token_delay: Seconds after each event of a streamed answer.
        piece_bytes: When set, streams are written in pieces of so many bytes instead of event by event.
        on_answered: Called with each request that has been answered, and the status (None where the answer was cut
            off); None for nobody. It stays when the server is reset.
        hosted_bytes: How many bytes of hosted images are kept; beyond it the oldest go. 256 MiB.
        picture_form: How chats return images, one of ``PICTURE_FORMS``.
        models_form: How models are listed, one of ``MODELS_FORMS``.
        account: What the key may spend: every answer that is not scripted costs a little. Its ``balance`` can be set;
            at 0 the relay answers 403, as new-api does.
        requests: What it was asked, in order of arrival; downloads of images and ``/healthz`` are not among it.
        downloads: What was fetched from ``/v1/files/``.
        peak_in_flight: The most requests that were being answered at one time.
    """

    def __init__(
        self,
        host: str,
        port: int,
        key: str | None,
        max_body_bytes: int,
        tls: ssl.SSLContext | None,
        unscripted: Callable[[Exchange], Awaitable[web.StreamResponse]],
        *,
        base_path: str = "/v1",
        hosts_files: bool = True,
    ) -> None:
        self.origin: str = ""
        self._base_path, self._hosts_files = base_path, hosts_files
        self._host, self._port, self._key, self._max_body_bytes, self._tls = host, port, key, max_body_bytes, tls
        self._unscripted = unscripted
        self._files: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._waiters: list[tuple[Callable[[], bool], Callable[[], object]]] = []
        self._connections: dict[_Handler, tuple[int, asyncio.Transport]] = {}
        self._closing = False
        self.on_answered: Callable[[Recorded, int | None], object] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget scripts, records and settings, as a fixture does between tests; hosted images stay."""
        self.token_delay: float = 0.0
        self.piece_bytes: int | None = None
        self.hosted_bytes: int = 256 * 2**20
        self.picture_form: str = "url"
        self.models_form: str = "both"
        self.account: Account = Account()
        self.requests: list[Recorded] = []
        self.downloads: list[Recorded] = []
        self.peak_in_flight: int = 0
        self._tasks: dict[str, Answer] = {}
        self._scripts: deque[Scripted] = deque()
        self._scripts_by_path: defaultdict[str, deque[Scripted]] = defaultdict(deque)
        self._in_flight: set[Recorded] = set()

    @property
    def base_url(self) -> str:
        """The base URL for clients, with ``/v1`` or the path that it was made with."""
        return f"{self.origin}{self._base_path}"

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
        """Queue answers for the next requests; after them the stand-in answers again.

        Args:
            *scripted: What ``says``, ``fails``, ``streams`` and the like return, or functions that take the
                ``Recorded`` request and return such a thing.
            path: When passed, these answers are for requests to exactly this path (``/v1/files/a.png``, say), of which
                every path may have its own queue. Otherwise they are for all requests but downloads of images.
        """
        (self._scripts if path is None else self._scripts_by_path[path]).extend(scripted)

    def faults(self, name: str, *, times: int = 1, **options: Any) -> None:
        """Queue a fault of ``FAULTS`` for the next requests.

        Args:
            name: The fault's name.
            times: How many requests meet it.
            **options: The fault's options; its description in ``FAULTS`` lists them.

        Raises:
            ValueError: There is no such fault or option, or it is one of connecting, which ``raw_server`` plays.
        """
        self.answers(*[faults.answer(name, **options)] * times)

    def host(self, data: bytes, name: str | None = None) -> str:
        """Keep an image and return its address on this server; the oldest go when all together pass ``hosted_bytes``.

        Args:
            data: The image's bytes.
            name: The file name; None makes one up.
        """
        chosen = name or f"{secrets.token_hex(8)}{EXTENSIONS[media_type(data)][0]}"
        with self._lock:
            self._files[chosen] = data
            # The newest stays, however large: its address has just been handed out.
            while len(self._files) > 1 and sum(map(len, self._files.values())) > self.hosted_bytes:
                del self._files[next(iter(self._files))]
        return f"{self.origin}/v1/files/{chosen}"

    async def until(self, happened: Callable[[], bool], timeout: float = 5.0) -> None:
        """Wait until something is so, looking again whenever a request or a connection has come or gone.

        Args:
            happened: The question, such as ``lambda: server.in_flight == 3``.
            timeout: Seconds to wait.

        Raises:
            TimeoutError: It did not happen in time.
        """
        event, loop = asyncio.Event(), asyncio.get_running_loop()
        # The server may run in a thread of its own, and this wait in another loop.
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
        """Return the image behind an address of this server; None for all others, which are not fetched."""
        return self._files.get(url.removeprefix(f"{self.origin}/v1/files/"))

    def keep_task(self, path: str, questions: Answer) -> None:
        """Answer GET of a path with the answers about a task that ``queues`` has made, until ``reset``."""
        self._tasks[path] = questions

    async def work(self, job: Callable[[], T]) -> T:
        """Run in a worker thread what would hold up the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    async def think(self, exchange: Exchange) -> web.StreamResponse:
        """Answer as though nothing had been scripted; for answers that only add to what the stand-in does."""
        return await self._unscripted(exchange)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        # A pool of its own: asyncio joins its default one when the loop closes, and a test would wait for work that
        # nobody needs any more.
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="tutu-relay")
        self._web = _Web(self._handle, self._connection_changed)
        # A long backlog, since tests open hundreds of connections at a time.
        self._listener = await loop.create_server(self._web, self._host, self._port, ssl=self._tls, backlog=1024)
        name, port, *_ = self._listener.sockets[0].getsockname()
        scheme = "http" if self._tls is None else "https"
        self.origin = f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._listener.close()
        for connection in list(self._connections.values()):
            connection[1].abort()
        with contextlib.suppress(TimeoutError):
            await self.until(lambda: not self._connections and not self._in_flight, timeout=0.5)
        await self._web.shutdown(0.05)
        # Transports close their sockets by call_soon; without this turn of the loop they would warn of being unclosed.
        await asyncio.sleep(0)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _connection_changed(self, handler: _Handler, transport: asyncio.Transport | None, number: int) -> None:
        """Record that a connection has come, or with no transport that it has gone."""
        if transport is None:
            self._connections.pop(handler, None)
        else:
            self._connections[handler] = (number, transport)
        self._notify()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        downloads = self._hosts_files and request.path.startswith("/v1/files/")
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
            # aiohttp would do so after this returns, but then nobody could tell a whole answer from a cut one.
            await response.prepare(request)
            await response.write_eof()
        except asyncio.CancelledError:  # By aiohttp: the connection is lost, or the server closes.
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
        if not downloads and (error := self._key_error(exchange)) is not None:
            # So that it is recorded, and the connection can be used again; who expects 100 has not sent it yet.
            if hdrs.EXPECT not in request.headers:
                await exchange.read_body()
            return error
        if by_path := self._scripts_by_path.get(request.path):
            script = by_path.popleft()
        elif request.method == hdrs.METH_GET and request.path in self._tasks:
            script = self._tasks[request.path]
        elif self._scripts and not downloads:
            script = self._scripts.popleft()
        if getattr(script, "reads_body", True):
            if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
                await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            if not await exchange.read_body():
                # Go's http.MaxBytesReader, in new-api's envelope; it closes the connection too.
                too_large = exchange.error(413, "http: request body too large", code="read_request_body_failed")
                too_large.force_close()
                return too_large
        await self._decode(exchange)
        if script is None:
            return self._file(exchange) if downloads else await self.think(exchange)
        answer = script(exchange.recorded) if callable(script) else script
        return await answer.play(exchange)

    async def _decode(self, exchange: Exchange) -> None:
        """Decode the body: a long one in a worker thread, and a form always, so that it is recorded."""
        form = exchange.request.content_type.startswith("multipart/")
        if len(exchange.body) > INLINE_BYTES:
            await self.work(exchange.decode_form if form else exchange.decode)
        elif form:
            exchange.decode_form()

    def _key_error(self, exchange: Exchange) -> web.Response | None:
        """Check the key as new-api does, and word the error as it does (its model/token.go, ValidateUserToken)."""
        sent = exchange.request.headers.get(hdrs.AUTHORIZATION, "").removeprefix("Bearer ").strip()
        if (
            self._key is None
            or exchange.request.path in _NO_KEY_NEEDED
            or secrets.compare_digest(sent.encode(errors="replace"), self._key.encode())
        ):
            return None
        return exchange.error(401, "无效的令牌" if sent else "未提供令牌", code="", param=None)

    def _file(self, exchange: Exchange) -> web.StreamResponse:
        data = self._files.get(exchange.request.path.removeprefix("/v1/files/").removeprefix("download/"))
        if data is None or exchange.request.method not in {"GET", "HEAD"}:
            return exchange.error(404, "no such image", type="invalid_request_error", code="not_found")
        return exchange.respond(data, content_type=media_type(data))

    def _notify(self) -> None:
        for happened, wake in list(self._waiters):
            if happened():
                with contextlib.suppress(RuntimeError):  # The waiter's loop may have closed meanwhile.
                    wake()


class _Web(web.Server):
    """aiohttp's server, with a callback for connections that come and go.

    ``connection_made`` and ``connection_lost`` are what its RequestHandler calls; there is no public signal for them
    (aiohttp/web_server.py, class Server).
    """

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        changed: Callable[[_Handler, asyncio.Transport | None, int], object],
    ) -> None:
        # Without handler_cancellation aiohttp lets a handler go on when its client has left, and nobody would know.
        # https://docs.aiohttp.org/en/stable/web_advanced.html, "Web handler cancellation".
        super().__init__(handle, handler_cancellation=True, access_log=None, lingering_time=1.0)
        self._changed = changed
        self._numbers = count()

    def connection_made(self, handler: _Handler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._changed(handler, transport, next(self._numbers))

    def connection_lost(self, handler: _Handler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._changed(handler, None, 0)


@contextlib.contextmanager
def run_in_thread(server: Server) -> Generator[Server, None, None]:
    """Run a server on an event loop and in a thread of its own until the block ends."""
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
