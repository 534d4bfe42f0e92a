"""Readers that others wrote, at endpoints of ours: Chromium, npm's `ai` and openai's clients."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tests.real.asking import Npm, Python
from tests.real.browsing import chromium
from tests.real.servers import running
from tutuclient.testing import Server, chunk, fails, says, serve_in_thread, streams

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from playwright.sync_api import Browser, Page

FIELDS: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
TEXT = "line one\nline two \u2028 蓝天白云 🐈"


@pytest.fixture(scope="module")
def relay() -> Iterator[Server]:
    with serve_in_thread() as server:
        yield server


@pytest.fixture(autouse=True)
def _anew(relay: Server) -> None:
    relay.reset()


@pytest.fixture(scope="module")
def site(relay: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("site") / "log"
    command = [sys.executable, "-m", "uvicorn", "tests.real.web_app:app", "--port", "{port}"]
    with running(command, "/", log, {"RELAY": relay.base_url}) as origin:
        yield origin
    assert "Traceback" not in log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def hangs(*pieces: str) -> Any:
    return streams([chunk(piece) for piece in pieces], done=False, then="hang")


def wait(waiting: Coroutine[Any, Any, Any]) -> Any:
    """Wait in a thread: Playwright runs a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, waiting).result()


def seen_leaving(relay: Server) -> bool:
    return bool(wait(relay.wait_closed(-1)).aborted)


@pytest.mark.parametrize(
    "client", [Python(openai.OpenAI), Python(openai.AsyncOpenAI), Npm("openai.mjs"), Npm("ai_sdk.mjs")], ids=str
)
def test_openais_clients_read_our_chunks(relay: Server, site: str, client: Any) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "double", "arguments": '{"number": 4}'}}
    with client as asking:
        relay.answers(says(TEXT))
        answer = asking.ask(f"{site}/v1", "stream", FIELDS | {"stream_options": {"include_usage": True}})
        assert (answer["text"], answer["finish_reason"]) == (TEXT, "stop")
        assert answer["usage"][1] > 0
        relay.answers(says("", tool_calls=[call], finish_reason="tool_calls"))
        tool = {"type": "function", "function": {"name": "double", "parameters": {"type": "object"}}}
        answer = asking.ask(f"{site}/v1", "stream", FIELDS | {"tools": [tool]})
        assert answer["calls"] == [{"name": "double", "arguments": {"number": 4}}]
        relay.answers(hangs("a"))
        assert asking.ask(f"{site}/v1", "left", FIELDS)["text"] == "a"
        assert seen_leaving(relay)
        relay.answers(fails(400, "no such model", code="model_not_found"))
        error = asking.ask(f"{site}/v1", "stream", FIELDS)["error"]
        assert (error["status"], error["code"]) == (502, "model_not_found")


def test_openais_client_raises_what_comes_in_the_middle(relay: Server, site: str) -> None:
    relay.answers(streams([chunk("a"), {"error": {"message": "broken", "code": "c7"}}]))
    client = openai.OpenAI(api_key="sk-any-0123456789", base_url=f"{site}/v1", max_retries=0)
    stream = client.chat.completions.create(**FIELDS, stream=True)
    assert next(stream).choices[0].delta.content == "a"
    with pytest.raises(openai.APIError, match="broken"):
        next(stream)


def test_openais_client_does_not_ask_again_what_may_have_been_paid(relay: Server, site: str) -> None:
    relay.answers(*[streams([], done=False)] * 3)
    client = openai.OpenAI(api_key="sk-any-0123456789", base_url=f"{site}/v1", max_retries=2)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**FIELDS, stream=True)
    assert len(relay.requests) == 1


def test_the_ai_sdk_reads_a_message(relay: Server, site: str) -> None:
    with Npm("ui_stream.mjs") as asking:
        relay.answers(says(TEXT, reasoning_content="let me see", delay=0.2))
        answer = asking.ask(site, "chat", {"text": "hi"})
        assert [(part["type"], part.get("text"), part.get("state")) for part in answer["message"]["parts"]] == [
            ("step-start", None, None),
            ("reasoning", "let me see", "done"),
            ("text", TEXT, "done"),
        ]
        assert answer["message"]["role"] == "assistant"
        assert (answer["kinds"][0], answer["kinds"][-1], answer["errors"]) == ("start", "finish", [])


def test_the_ai_sdk_shows_tools_with_input_and_output(relay: Server, site: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    with Npm("ui_stream.mjs") as asking:
        relay.answers(says("", tool_calls=[call], finish_reason="tool_calls"), says("21 degrees"))
        parts = asking.ask(site, "chat", {"text": "the weather?"})["message"]["parts"]
        (tool,) = [part for part in parts if part["type"] == "tool-get_weather"]
        assert (tool["state"], tool["input"]) == ("output-available", {"city": "Oslo"})
        assert tool["output"] == {"city": "Oslo", "degrees": 21}
        assert parts[-1]["text"] == "21 degrees"


def test_the_ai_sdk_hears_of_errors_and_leaves(relay: Server, site: str) -> None:
    with Npm("ui_stream.mjs") as asking:
        relay.answers(streams([chunk("a"), {"error": {"message": "broken"}}]))
        answer = asking.ask(site, "chat", {"text": "hi"})
        assert answer["errors"]
        assert "broken" in answer["errors"][0]
        relay.answers(fails(400, "no such model"))
        assert "no such model" in asking.ask(site, "chat", {"text": "hi"})["error"]["message"]
        relay.answers(hangs("a", "b"))
        asking.ask(site, "chat", {"text": "hi", "leave": True})
        assert seen_leaving(relay)


@contextmanager
def opened(browser: Browser, site: str) -> Iterator[Page]:
    """Open the page. A stream that is left is a failed request to the browser, so it cannot be one of ``watched``."""
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{site}/")
    yield page
    assert errors == []
    context.close()


def told(page: Page, text: str) -> None:
    """Wait until a page shows a text."""
    page.wait_for_function("text => document.querySelector('#told').textContent.includes(text)", arg=text)


def test_chromium_reads_by_eventsource(relay: Server, site: str, browser: Browser) -> None:
    with opened(browser, site) as page:
        relay.answers(says(TEXT))
        page.evaluate("listen('one')")
        told(page, " [stop]")
        assert page.text_content("#told") == f"{TEXT} [stop]"
        relay.answers(streams([chunk("a"), {"error": {"message": "broken"}}]))
        page.evaluate("listen('two')")
        told(page, "broken")


def test_chromium_that_forgets_to_close_is_not_answered_and_charged_twice(
    relay: Server, site: str, browser: Browser
) -> None:
    with opened(browser, site) as page:
        relay.answers(says("once"))
        page.evaluate("forget('one')")
        told(page, "[0]")  # it connects again
        told(page, "[2]")  # and has been told to stop
        assert len(relay.requests) == 1
        assert page.text_content("#told") == "once [0] [2]"


def test_chromium_reads_by_fetch_and_leaves(relay: Server, site: str, browser: Browser) -> None:
    with opened(browser, site) as page:
        relay.answers(says("a b"))
        page.evaluate("fetched('one')")
        told(page, "event: done\ndata: stop")
    for call, leave in [
        ("listen('x')", "source.close()"),
        ("fetched('x')", "leaving.abort()"),
        ("whole('x')", "leaving.abort()"),
        ("listen('x')", "location.href = 'about:blank'"),
        ("whole('x')", "location.href = 'about:blank'"),
    ]:
        with opened(browser, site) as page:
            first = len(relay.requests)
            relay.answers(hangs("a") if "whole" not in call else says("a", delay=60))
            page.evaluate(f"void {call}")
            wait(relay.wait_requests(first + 1))
            if "whole" not in call:
                told(page, "a")
            page.evaluate(leave)
            assert seen_leaving(relay)
