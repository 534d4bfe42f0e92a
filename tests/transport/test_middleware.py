from __future__ import annotations

import asyncio
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import (
    APITimeoutError,
    ConfigError,
    CreateEmbeddingResponse,
    InternalServerError,
    OutcomeUnknownError,
    Request,
    RetryPolicy,
    Spent,
    TutuClient,
)
from tutuclient.testing import fails, says, sends

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tutuclient.testing import Server

    Next = Callable[[Request], Awaitable[Any]]

KEY = "sk-test-0123456789abcdef"
QUICK = RetryPolicy(wait_initial=0.01, wait_max=0.02)
ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def test_a_middleware_runs_once_a_call_and_an_attempts_one_once_an_attempt(server: Server) -> None:
    seen: list[tuple[str, int]] = []

    async def around_call(request: Request, call_next: Next) -> Any:
        seen.append(("call", request.attempt))
        answer = await call_next(request)
        seen.append(("text", len(answer.text)))
        return answer

    async def around_attempt(request: Request, call_next: Next) -> Any:
        seen.append(("attempt", request.attempt))
        try:
            return await call_next(request)
        except InternalServerError as error:
            seen.append(("status", error.status_code))
            raise

    server.answers(fails(503, "busy"), says("hello"))
    async with TutuClient(
        KEY, server.base_url, retry=QUICK, middleware=[around_call], attempt_middleware=[around_attempt]
    ) as client:
        answer = await client.chat.completions.create(**ASKED)
    assert answer.text == "hello"
    assert seen == [("call", 0), ("attempt", 1), ("status", 503), ("attempt", 2), ("text", 5)]


async def test_the_first_is_outermost_and_may_change_headers_and_fields(server: Server) -> None:
    async def outer(request: Request, call_next: Next) -> Any:
        assert (request.method, request.stream, request.makes_image) == ("POST", False, False)
        assert request.url == f"{server.base_url}/chat/completions"
        assert "hi" not in repr(request)
        request.headers["X-Outer"] = "1"
        return await call_next(request)

    async def inner(request: Request, call_next: Next) -> Any:
        assert request.headers["X-Outer"] == "1"
        assert request.fields is not None
        request.fields = {**request.fields, "user": "u1"}
        return await call_next(request)

    async with TutuClient(KEY, server.base_url, middleware=[outer, inner]) as client:
        await client.chat.completions.create(**ASKED)
    [sent] = server.requests
    assert (sent.headers["X-Outer"], sent.json["user"], sent.json["model"]) == ("1", "u1", "m")
    assert sent.headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("around", ["middleware", "attempt_middleware"])
async def test_a_model_put_in_that_makes_images_is_not_asked_twice(server: Server, around: str) -> None:
    async def draw(request: Request, call_next: Next) -> Any:
        request.fields = {**(request.fields or {}), "model": "gpt-image-1"}
        return await call_next(request)

    server.faults("reset_after_request", times=3)
    layers: dict[str, Any] = {around: [draw]}
    async with TutuClient(KEY, server.base_url, retry=QUICK, **layers) as client:
        with pytest.raises(OutcomeUnknownError):
            await client.chat.completions.create(**ASKED)
    assert len(server.requests) == 1


async def test_headers_of_an_attempt_may_differ_from_attempt_to_attempt(server: Server) -> None:
    async def sign(request: Request, call_next: Next) -> Any:
        request.headers["X-Signature"] = f"s{request.attempt}"
        return await call_next(request)

    server.answers(fails(503, "busy"))
    async with TutuClient(KEY, server.base_url, retry=QUICK, attempt_middleware=[sign]) as client:
        await client.chat.completions.create(**ASKED)
    assert [sent.headers["X-Signature"] for sent in server.requests] == ["s1", "s2"]
    assert len({sent.headers["Idempotency-Key"] for sent in server.requests}) == 1


async def test_a_middleware_may_answer_by_itself_and_sees_streams(server: Server) -> None:
    kept: dict[str, Any] = {}

    async def remember(request: Request, call_next: Next) -> Any:
        if not request.stream and "answer" not in kept:
            kept["answer"] = await call_next(request)
        return await call_next(request) if request.stream else kept["answer"]

    async with TutuClient(KEY, server.base_url, middleware=[remember]) as client:
        first = await client.chat.completions.create(**ASKED)
        assert await client.chat.completions.create(**ASKED) is first
        async with client.chat.completions.stream(**ASKED) as stream:
            assert await stream.completion() == first or stream.partial
    assert len(server.requests) == 2


async def test_a_header_that_cannot_be_sent_is_refused(server: Server) -> None:
    async def break_lines(request: Request, call_next: Next) -> Any:
        request.headers["X-Note"] = "a\r\nb"
        return await call_next(request)

    async with TutuClient(KEY, server.base_url, middleware=[break_lines]) as client:
        with pytest.raises(ConfigError, match="X-Note"):
            await client.chat.completions.create(**ASKED)
    assert server.requests == []


async def test_the_deadline_covers_what_runs_around_an_attempt(server: Server) -> None:
    async def dawdle(request: Request, call_next: Next) -> Any:
        await asyncio.sleep(10)
        return await call_next(request)

    async with TutuClient(KEY, server.base_url, timeout=0.1, attempt_middleware=[dawdle]) as client:
        with pytest.raises(APITimeoutError) as raised:
            await client.chat.completions.create(**ASKED)
    assert raised.value.outcome == "not_sent"


async def test_cancelling_reaches_a_middleware(server: Server) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(request: Request, call_next: Next) -> Any:
        begun.set()
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return await call_next(request)

    async with TutuClient(KEY, server.base_url, attempt_middleware=[wait]) as client:
        task = asyncio.create_task(client.chat.completions.create(**ASKED))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert cancelled.is_set()


def test_what_is_not_a_function_is_no_middleware() -> None:
    with pytest.raises(ConfigError, match="middleware"):
        TutuClient(KEY, "http://127.0.0.1:1", middleware=["retry"])  # type: ignore[list-item]  # the point of it


async def test_usage_is_reported_of_whole_answers_and_of_streams(server: Server) -> None:
    told: list[Spent] = []
    server.answers(*[says("hello", usage={"prompt_tokens": 3, "completion_tokens": 1})] * 2)
    async with TutuClient(KEY, server.base_url, on_usage=told.append) as client:
        answer = await client.chat.completions.create(**ASKED)
        async with client.chat.completions.stream(**ASKED, stream_options={"include_usage": True}) as stream:
            await stream.completion()
        await client.models.list()
    assert [(spent.what, spent.model, spent.usage.prompt_tokens) for spent in told] == [
        ("POST /chat/completions", "m", 3)
    ] * 2
    assert told[0].meta is answer.meta


async def test_a_body_that_is_no_mapping_loses_no_answer(server: Server) -> None:
    told: list[Spent] = []
    rows: Any = ["a"]
    async with TutuClient(KEY, server.base_url, on_usage=told.append) as client:
        server.answers(sends({"usage": {"total_tokens": 3}}))
        await client.post("/rows", cast_to=CreateEmbeddingResponse, body=rows)
    assert [(spent.model, spent.usage.total_tokens) for spent in told] == [("", 3)]


async def test_a_hook_that_fails_loses_no_answer(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Spent) -> None:
        raise RuntimeError("the ledger is closed")

    with caplog.at_level(logging.WARNING, "tutuclient"):
        async with TutuClient(KEY, server.base_url, on_usage=fail) as client:
            assert (await client.chat.completions.create(**ASKED)).text
    assert "on_usage raised RuntimeError" in caplog.text


async def test_an_async_key_is_asked_for_before_every_attempt(server: Server) -> None:
    keys = iter(["sk-first-0123456789", '"Bearer sk-second-0123456789"\n', "sk-third-0123456789"])

    async def key() -> str:
        await asyncio.sleep(0)
        return next(keys)

    server.answers(fails(503, "busy"))
    async with TutuClient(key, server.base_url, retry=QUICK) as client:
        assert "sk-" not in repr(client)
        await client.chat.completions.create(**ASKED)
        await client.models.list()
    assert [sent.headers["Authorization"] for sent in server.requests] == [
        "Bearer sk-first-0123456789",
        "Bearer sk-second-0123456789",
        "Bearer sk-third-0123456789",
    ]


async def test_a_plain_function_may_give_the_key_too(server: Server) -> None:
    async with TutuClient(lambda: "sk-plain-0123456789", server.base_url) as client:
        await client.models.list()
    assert server.requests[0].headers["Authorization"] == "Bearer sk-plain-0123456789"


async def test_a_key_that_comes_late_and_is_echoed_is_masked(server: Server) -> None:
    async def key() -> str:
        return "sk-secret-0123456789"

    server.answers(fails(401, "invalid key sk-secret-0123456789"))
    async with TutuClient(key, server.base_url) as client:
        with pytest.raises(Exception, match=r"\*\*\*") as raised:
            await client.chat.completions.create(**ASKED)
    assert "sk-secret" not in repr(raised.value.args)


async def test_an_invalid_async_key_is_refused_before_anything_is_sent(server: Server) -> None:
    async def key() -> str:
        return " "

    async with TutuClient(key, server.base_url) as client:
        with pytest.raises(ConfigError, match="empty"):
            await client.chat.completions.create(**ASKED)
        assert server.requests == []


async def module_key() -> str:
    return "sk-module-0123456789"


def test_a_client_with_an_async_key_can_be_pickled() -> None:
    client = TutuClient(module_key, "http://127.0.0.1:1")
    assert repr(pickle.loads(pickle.dumps(client))) == repr(client)  # noqa: S301  (our own)
