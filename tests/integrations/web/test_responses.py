from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.integrations.web.test_forms import QUESTION, texts
from tests.integrations.web.test_gone import Browser, body
from tests.leftovers import nothing_left, until
from tutuclient import (
    APIConnectionError,
    APITimeoutError,
    ConfigError,
    InsufficientQuotaError,
    MediaError,
    PoolTimeoutError,
    RateLimitError,
    TutuError,
)
from tutuclient.integrations.web import sse
from tutuclient.integrations.web.responses import status_of
from tutuclient.testing import chunk, fails, rate_limited, raw, says, streams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from starlette.requests import Request

    from tutuclient import TutuClient
    from tutuclient.testing import Server

    Ask = Callable[..., Awaitable[tuple[int, dict[str, str], str]]]


async def by_starlette(make: Any, headers: dict[str, str] | None = None, **options: Any) -> tuple[int, Any, str]:
    browser = Browser(body(b""))
    scope = browser.scope()
    scope["headers"] = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    await sse(make(), **options)(scope, browser.messages.get, browser.send)
    start, *rest = browser.sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    assert not rest[-1].get("more_body")
    return start["status"], found, b"".join(message["body"] for message in rest).decode()


async def by_aiohttp(make: Any, headers: dict[str, str] | None = None, **options: Any) -> tuple[int, Any, str]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        return await sse(make(), request, **options)

    app = web.Application()
    app.router.add_get("/", endpoint)
    async with TestClient(TestServer(app)) as http, http.get("/", headers=headers) as answer:
        found = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, found, await answer.text()


both = pytest.mark.parametrize("ask", [by_starlette, by_aiohttp])


@both
async def test_a_stream_is_a_response(client: TutuClient, server: Server, ask: Ask) -> None:
    server.answers(says("a b"))
    status, headers, text = await ask(lambda: client.chat.completions.stream(**QUESTION))
    assert status == 200
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")
    assert text.startswith('id: 1\n\ndata: {"text":"a"}\n\n')
    assert text.endswith('event: done\ndata: {"finish_reason":"stop"}\n\n')
    _, headers, text = await ask(lambda: texts("a"), form="ai-sdk")
    assert headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert text.endswith("data: [DONE]\n\n")
    assert await nothing_left(client) == []


@both
async def test_an_error_before_the_first_token_has_its_status(client: TutuClient, server: Server, ask: Ask) -> None:
    for answer, status, hint in [
        (fails(400, "no such thing"), 502, None),
        (fails(401, "bad key sk-test-0123456789abcdef"), 502, None),
        (raw(200, b"<html>"), 502, None),
        (rate_limited(7), 503, "7"),
    ]:
        server.answers(*[answer] * 3)
        got, headers, text = await ask(lambda: client.with_options(max_retries=0).chat.completions.stream(**QUESTION))
        assert (got, headers["content-type"]) == (status, "application/json")
        error = json.loads(text)["error"]
        assert error["message"]
        assert "sk-test" not in text
        assert headers.get("retry-after") == hint
        # openai's clients would ask again, and the relay may have been paid.
        assert headers.get("x-should-retry") == ("false" if error["outcome"] == "unknown" else None)
        server.reset()


@both
async def test_an_error_behind_a_heartbeat_is_an_event(client: TutuClient, server: Server, ask: Ask) -> None:
    server.answers(fails(400, "no such thing", delay=0.2))
    status, _, text = await ask(lambda: client.chat.completions.stream(**QUESTION), heartbeat=0.05)
    assert status == 200
    assert text.startswith("id: 1\n\n: still there\n\n")
    assert "event: error\n" in text
    assert "no such thing" in text


@both
async def test_an_error_before_the_first_event_has_its_status_after_tools_too(
    client: TutuClient, server: Server, ask: Ask
) -> None:
    def double(number: int) -> int:
        return number * 2

    call = {"id": "c", "type": "function", "function": {"name": "double", "arguments": '{"number": 4}'}}
    server.answers(says("", tool_calls=[call], finish_reason="tool_calls"), fails(401, "bad key"))
    run = client.chat.completions.run_tools(**QUESTION, tools=[double], stream=True)
    status, _, text = await ask(lambda: run, form="openai", heartbeat=None)
    assert (status, "bad key" in text) == (502, True)


@both
@pytest.mark.parametrize("form", ["json", "text", "openai", "ai-sdk"])
@pytest.mark.parametrize("late", [False, True])
async def test_what_browsers_are_told_of_an_error_is_the_apps_to_say(
    client: TutuClient, server: Server, ask: Ask, form: str, late: bool
) -> None:
    logged: list[str] = []

    def error_text(error: TutuError) -> str:
        logged.append(str(error))
        return "try again later"

    server.answers(
        streams([chunk("a"), {"error": {"message": "no such thing"}}]) if late else fails(400, "no such thing")
    )
    status, _, text = await ask(
        lambda: client.chat.completions.stream(**QUESTION), form=form, heartbeat=None, error_text=error_text
    )
    assert status == (200 if late else 502)
    assert text.count("try again later") == 1
    assert "no such thing" not in text
    assert len(logged) == 1
    assert "no such thing" in logged[0]


@pytest.mark.parametrize("form", ["json", "text", "openai", "ai-sdk"])
@pytest.mark.parametrize("fault", ["raises", "returns nothing"])
async def test_an_error_text_that_fails_is_an_error_of_the_apps_own(
    client: TutuClient, server: Server, form: Any, fault: str
) -> None:
    def error_text(_: TutuError) -> Any:
        if fault == "raises":
            raise ConfigError("secret")

    server.answers(streams([chunk("a"), {"error": {"message": "no such thing"}}]))
    browser = Browser(body(b""))
    response = sse(client.chat.completions.stream(**QUESTION), form=form, error_text=error_text)
    with pytest.raises(RuntimeError, match="error_text raised (ConfigError|TypeError), for a") as caught:
        await response(browser.scope(), browser.messages.get, browser.send)
    assert isinstance(caught.value.__cause__, ConfigError if fault == "raises" else TypeError)
    assert "the server failed while it answered" in str(browser.sent)
    assert "secret" not in str(browser.sent)
    assert "no such thing" not in str(browser.sent)


@both
async def test_a_browser_that_comes_back_is_not_answered_twice(client: TutuClient, server: Server, ask: Ask) -> None:
    status, _, text = await ask(lambda: client.chat.completions.stream(**QUESTION), {"last-event-id": "1"})
    assert (status, text) == (204, "")
    assert server.requests == []
    assert await nothing_left(client) == []


# The latter are what servers and aiohttp raise when a browser has left: those of the app's own are no such sign.
@pytest.mark.parametrize("kind", [KeyError, OSError, TimeoutError, ConnectionRefusedError])
@pytest.mark.parametrize("late", [False, True])
async def test_an_error_of_the_apps_own_is_raised(late: bool, kind: type[Exception]) -> None:
    async def broken() -> AsyncGenerator[str]:
        if late:
            yield "a"
        raise kind("secret")

    browser = Browser(body(b""))
    with pytest.raises(kind):
        await sse(broken())(browser.scope(), browser.messages.get, browser.send)
    assert bool(browser.sent) == late
    assert "secret" not in str(browser.sent)
    assert not [message for message in browser.sent if message.get("more_body") is False]  # cut, and not ended


@pytest.mark.parametrize("kind", [KeyError, ConnectionRefusedError])
async def test_an_error_of_the_apps_own_is_no_answer_of_aiohttps(kind: type[Exception]) -> None:
    async def broken(*before: str) -> AsyncGenerator[str]:
        for text in before:
            yield text
        raise kind("secret")

    status, _, text = await by_aiohttp(broken)
    assert status == 500
    assert "secret" not in text


async def test_leaving_closes_the_stream_and_the_background_task_runs(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    browser, ran = Browser(body(b"")), asyncio.Event()
    response = sse(client.chat.completions.stream(**QUESTION))
    response.background = BackgroundTask(ran.set)

    async def on_sent(message: Any) -> None:
        if b"a" in message.get("body", b""):
            browser.leave()

    await response(browser.scope(), browser.messages.get, on_sent)
    await server.wait_closed(0)
    await asyncio.wait_for(ran.wait(), 5)
    assert await nothing_left(client) == []


async def test_leaving_is_heard_behind_middleware(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))

    async def endpoint(request: Request) -> Response:
        assert await request.body() == b"{}"
        return sse(client.chat.completions.stream(**QUESTION))

    async def passes(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    app = Starlette(routes=[Route("/", endpoint, methods=["POST"])])
    app.add_middleware(BaseHTTPMiddleware, dispatch=passes)
    browser = Browser(body(b"{}"))

    async def on_sent(message: Any) -> None:
        if b"a" in message.get("body", b""):
            browser.leave()

    await app(browser.scope(), browser.messages.get, on_sent)
    await server.wait_closed(0)
    assert await nothing_left(client) == []


async def test_a_server_that_raises_on_sending_has_lost_its_browser(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))

    async def on_sent(message: Any) -> None:
        raise OSError(f"gone before {message['type']}")

    browser = Browser(body(b""))
    await sse(client.chat.completions.stream(**QUESTION))(browser.scope(), browser.messages.get, on_sent)
    await server.wait_closed(0)


async def test_a_slow_browser_slows_the_relay() -> None:
    made, sent = 0, asyncio.Semaphore(0)

    async def endless() -> AsyncGenerator[str]:
        nonlocal made
        while True:
            made += 1
            yield "a"

    async def slow(message: Any) -> None:
        del message
        await sent.acquire()

    browser = Browser(body(b""))
    running = asyncio.create_task(sse(endless())(browser.scope(), browser.messages.get, slow))
    for _ in range(200):
        await asyncio.sleep(0)
    assert 0 < made < 20
    sent.release()
    sent.release()
    await until(lambda: made > 8)
    assert made < 40
    browser.leave()
    await running


async def test_what_is_no_request_gets_one_sentence() -> None:
    with pytest.raises(ConfigError, match="needs a request of aiohttp.web, or none .* and got a str$"):
        sse(texts("a"), "request")  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="a int is no stream"):
        sse(7)  # type: ignore[call-overload]
    browser = Browser(body(b""))
    assert isinstance(sse(texts("a"), browser.request()), StreamingResponse)


def test_a_missing_framework_gets_one_sentence() -> None:
    code = """
import sys
sys.modules["starlette"] = None
from tutuclient.integrations.web import sse
async def words():
    yield "a"
try:
    sse(words())
except ValueError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  (ours)
    assert ran.stdout.startswith("sse(stream) makes a response of Starlette, which is not installed: pip install starl")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MediaError("x"), 400),
        (PoolTimeoutError("x"), 503),
        (RateLimitError("x"), 503),
        (InsufficientQuotaError("x"), 502),
        (APITimeoutError("x"), 504),
        (APIConnectionError("x"), 502),
        (ConfigError("x"), 502),
        (TutuError("x"), 502),
    ],
)
def test_each_error_has_a_status_of_its_own(error: TutuError, status: int) -> None:
    assert status_of(error) == status
