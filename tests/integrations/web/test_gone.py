from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from aiohttp import web
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.leftovers import until
from tutuclient import ConfigError, TutuError
from tutuclient.integrations.web import ClientGoneError, until_gone

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Message = MutableMapping[str, Any]

DISCONNECT = {"type": "http.disconnect"}


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


class Browser:
    """What an ASGI server is to an app, with the disconnect told once, as hypercorn does."""

    def __init__(self, *messages: Message) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self.messages.put_nowait(message)
        self.sent: list[Message] = []
        self.waited_for = False

    def leave(self) -> None:
        self.messages.put_nowait(DISCONNECT)

    async def receive(self) -> Message:
        self.waited_for = self.messages.empty()
        try:
            return await self.messages.get()
        finally:
            self.waited_for = False

    async def is_read(self) -> None:
        """Wait until all that it sent has been read, and somebody waits for more."""
        await until(lambda: self.waited_for)
        assert self.waited_for

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def scope(self, path: str = "/") -> dict[str, Any]:
        return {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}

    def request(self) -> Request:
        return Request(self.scope(), self.receive, self.send)


async def test_a_block_is_cancelled_when_the_browser_leaves() -> None:
    browser = Browser(body(b""))
    seen: list[str] = []
    with pytest.raises(ClientGoneError) as caught:
        async with until_gone(browser.request()):
            browser.leave()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
    assert seen == ["cancelled"]
    assert isinstance(caught.value, HTTPException)
    assert caught.value.status_code == 499
    assert isinstance(caught.value, TutuError)
    assert caught.value.outcome == "unknown"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_browser_that_has_left_before_asks_for_nothing() -> None:
    browser = Browser(body(b""), DISCONNECT)
    with pytest.raises(ClientGoneError):
        async with until_gone(browser.request()):
            pytest.fail("the browser has left")


async def test_a_block_that_ends_leaves_nothing_behind() -> None:
    browser = Browser(body(b""))
    async with until_gone(browser.request()):
        await browser.is_read()
    await until(lambda: not any("until_gone" in task.get_name() for task in asyncio.all_tasks()))
    assert not any("until_gone" in task.get_name() for task in asyncio.all_tasks())
    browser.leave()
    assert await browser.messages.get() is DISCONNECT  # the watch has not taken it


async def test_what_the_block_raises_is_raised() -> None:
    with pytest.raises(KeyError, match="its own"):
        async with until_gone(Browser().request()):
            raise KeyError("its own")


async def test_a_body_is_read_within_the_block_and_behind_it() -> None:
    browser = Browser(body(b"one ", more=True), body(b"two ", more=True))
    request = browser.request()
    async with until_gone(request):
        await browser.is_read()  # by the watch, ahead
        browser.messages.put_nowait(body(b"three"))
        assert await request.body() == b"one two three"
    browser = Browser(body(b"one ", more=True), body(b"two ", more=True))
    request = browser.request()
    async with until_gone(request):
        await browser.is_read()
    browser.messages.put_nowait(body(b"three"))
    assert await request.body() == b"one two three"


async def test_a_large_body_is_not_read_into_memory_and_none_of_it_is_lost() -> None:
    pieces = [bytes([number]) * 2**18 for number in range(40)]
    browser = Browser(*[body(piece, more=True) for piece in pieces], body(b""))
    request = browser.request()
    async with until_gone(request):
        await until(lambda: browser.messages.qsize() < len(pieces))
        for _ in range(50):  # turns of the loop in which the watch would read on
            await asyncio.sleep(0)
        assert 30 <= browser.messages.qsize() < len(pieces)
        assert await request.body() == b"".join(pieces)


async def test_the_disconnect_is_told_to_whoever_reads_later() -> None:
    browser = Browser(body(b""), DISCONNECT)
    request = browser.request()
    with pytest.raises(ClientGoneError):
        async with until_gone(request):
            await asyncio.sleep(60)
    assert (await request.receive())["type"] == "http.request"
    assert (await request.receive())["type"] == "http.disconnect"
    assert (await request.receive())["type"] == "http.disconnect"
    with pytest.raises(ClientGoneError):
        async with until_gone(request):
            pytest.fail("the browser has left")


async def test_nested_blocks_are_all_cancelled_and_one_error_leaves_them() -> None:
    browser = Browser(body(b""))
    request = browser.request()
    left: list[str] = []
    with pytest.raises(ClientGoneError):
        async with until_gone(request):
            try:
                async with until_gone(request):
                    browser.leave()
                    await asyncio.sleep(60)
            finally:
                left.append("inner")
            left.append("between")
    assert left == ["inner"]


async def test_an_inner_block_that_has_ended_leaves_the_outer_one_watched() -> None:
    browser = Browser(body(b""))
    request = browser.request()
    with pytest.raises(ClientGoneError):
        async with until_gone(request):
            async with until_gone(request):
                pass
            browser.leave()
            await asyncio.sleep(60)


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    browser = Browser(body(b""))
    inside = asyncio.Event()

    async def endpoint() -> None:
        async with until_gone(browser.request()):
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(endpoint())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    inside.clear()
    task = asyncio.create_task(endpoint())
    await inside.wait()
    browser.leave()
    task.cancel()  # the server's shutdown, at the same time
    with pytest.raises(asyncio.CancelledError):
        await task
    with anyio.move_on_after(0.01) as scope:
        await endpoint_of(Browser(body(b"")))
    assert scope.cancelled_caught


async def endpoint_of(browser: Browser) -> None:
    async with until_gone(browser.request()):
        await asyncio.sleep(60)


async def test_a_block_that_finishes_as_the_browser_leaves_keeps_its_answer() -> None:
    browser = Browser(body(b""))
    async with until_gone(browser.request()):
        browser.leave()
        answer = "paid for"
    assert answer == "paid for"
    await asyncio.sleep(0.01)  # and nothing is cancelled later


async def test_two_browsers_are_apart() -> None:
    stays, leaves = Browser(body(b"")), Browser(body(b""))
    finish = asyncio.Event()

    async def endpoint(browser: Browser) -> str:
        async with until_gone(browser.request()):
            await finish.wait()
        return "answered"

    leaving = asyncio.create_task(endpoint(leaves))
    staying = asyncio.create_task(endpoint(stays))
    await leaves.is_read()
    await stays.is_read()
    leaves.leave()
    with pytest.raises(ClientGoneError):
        await leaving
    finish.set()
    assert await staying == "answered"


async def test_starlette_answers_499_and_logs_nothing_also_behind_middleware() -> None:
    inside = asyncio.Event()

    async def endpoint(request: Request) -> JSONResponse:
        async with until_gone(request):
            data = await request.json()
            inside.set()
            await asyncio.sleep(60)
        return JSONResponse(data)

    async def plain(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    async def watched(request: Request, call_next: Any) -> Any:
        async with until_gone(request):
            return await call_next(request)

    for middleware in ([], [plain], [watched], [plain, watched]):
        app: Any = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
        for dispatch in middleware:
            app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
        browser = Browser(body(b'{"a":', more=True))
        running = asyncio.create_task(app(browser.scope(), browser.receive, browser.send))
        await browser.is_read()
        browser.messages.put_nowait(body(b"1}"))
        await inside.wait()
        inside.clear()
        browser.leave()
        if watched in middleware:
            await asyncio.wait([running])  # there is no app around a middleware of one's own to answer
        else:
            await running
            assert browser.sent[0]["status"] == 499


async def test_middleware_passes_on_the_body_that_it_watched_over() -> None:
    async def endpoint(request: Request) -> JSONResponse:
        return JSONResponse(await request.json())

    async def watched(request: Request, call_next: Any) -> Any:
        async with until_gone(request):
            return await call_next(request)

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    app.add_middleware(BaseHTTPMiddleware, dispatch=watched)
    browser = Browser(body(b"[1,", more=True), body(b"2]"))
    await app(browser.scope(), browser.receive, browser.send)
    assert b"".join(message.get("body", b"") for message in browser.sent) == b"[1,2]"


def test_the_errors_pickle() -> None:
    async def raised() -> ClientGoneError:
        with pytest.raises(ClientGoneError) as caught:
            async with until_gone(Browser(DISCONNECT).request()):
                await asyncio.sleep(60)
        return caught.value

    error = asyncio.run(raised())
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own)
    assert (type(copy), str(copy)) == (ClientGoneError, error.message)


@pytest.mark.parametrize("other", [None, object(), "request", {"type": "http"}])
async def test_what_is_no_request_gets_one_sentence(other: Any) -> None:
    with pytest.raises(ConfigError, match=rf"needs a request of Starlette, .* and got a {type(other).__name__}$"):
        async with until_gone(other):
            pytest.fail("there is nobody to watch")


def test_no_framework_is_imported_until_it_is_used() -> None:
    code = """
import sys
import tutuclient.integrations.web as web
try:
    web.until_gone(object())
except web.gone.ConfigError:
    pass
web.events(iter_ for iter_ in ()) if False else None
print([name for name in ("starlette", "fastapi", "aiohttp", "pydantic", "litestar") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  (ours)
    assert ran.stdout.strip() == "[]"


def test_aiohttp_knows_the_error_as_a_response() -> None:
    from tutuclient.integrations.web.gone import client_gone  # noqa: PLC0415  (the one test of it)

    error = client_gone("aiohttp")
    assert isinstance(error, web.HTTPException)
    assert error.status == 499
    assert "left" in str(error.message)


class Behind:
    """Middleware that needs a few turns of the loop for each message, as that of ``@app.middleware("http")`` does."""

    def __init__(self, receive: Any, most: int | None = None) -> None:
        self._receive, self._most = receive, most

    async def __call__(self) -> Message:
        message: Message = await self._receive()
        for _ in range(3):
            await asyncio.sleep(0)
        if self._most is not None and len(message.get("body", b"")) > self._most:
            raise HTTPException(413)
        return message


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_body_is_whole_behind_middleware_however_short_the_block_is(turns: int, pieces: int) -> None:
    browser = Browser(*[body(b"ab", more=number < pieces - 1) for number in range(pieces)])
    request = Request(browser.scope(), Behind(browser.receive), browser.send)
    async with until_gone(request):
        for _ in range(turns):
            await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert await request.body() == b"ab" * pieces


async def test_a_large_body_is_whole_that_nobody_read_within_the_block() -> None:
    pieces = [body(b"a" * 2**19, more=number < 7) for number in range(8)]
    browser = Browser(*pieces)
    request = browser.request()
    async with until_gone(request):
        await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        assert len(await request.body()) == 2**22


async def test_what_middleware_raises_for_a_body_is_raised_where_it_is_read() -> None:
    browser = Browser(body(b"a", more=True))
    request = Request(browser.scope(), Behind(browser.receive, most=10), browser.send)
    async with asyncio.timeout(10), until_gone(request):
        browser.messages.put_nowait(body(b"a" * 100))
        with pytest.raises(HTTPException, match="413"):
            await request.body()


@pytest.mark.parametrize("way", ["body", "stream"])
async def test_a_body_that_was_read_before_the_block_leaves_no_reader_behind(way: str) -> None:
    browser = Browser(body(b"ab"))
    request = browser.request()
    read = await request.body() if way == "body" else b"".join([piece async for piece in request.stream()])
    assert read == b"ab"
    async with until_gone(request):
        await browser.is_read()
    await until(lambda: not any("until_gone" in task.get_name() for task in asyncio.all_tasks()))
    assert not any("until_gone" in task.get_name() for task in asyncio.all_tasks())
