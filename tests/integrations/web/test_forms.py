from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import APIError, ConfigError, MediaError
from tutuclient.integrations.web import events
from tutuclient.integrations.web.forms import described, text_of
from tutuclient.testing import chunk, says, streams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tutuclient import TutuClient
    from tutuclient.integrations.web.forms import FormName
    from tutuclient.testing import Server

QUESTION: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def as_is(**fields: str) -> dict[str, str]:
    return fields


async def read(source: Any, form: FormName = "json") -> list[dict[str, str]]:
    return [event async for event in events(source, form=form, into=as_is)]


async def texts(*pieces: str) -> AsyncGenerator[str]:
    for piece in pieces:
        yield piece


def data(found: list[dict[str, str]]) -> list[Any]:
    return [json.loads(event["data"]) for event in found if event.get("data") not in (None, "[DONE]")]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("text", [{"id": "1"}, {"data": "a"}, {"data": "\n b"}, {"event": "done", "data": "stop"}]),
        (
            "json",
            [{"id": "1"}, {"data": '{"text":"a"}'}, {"data": '{"text":"\\n b"}'}, {"event": "done", "data": "{}"}],
        ),
    ],
)
async def test_texts_become_events_and_an_end(form: FormName, said: list[Any]) -> None:
    assert await read(texts("a", "", "\n b"), form) == said


async def test_a_stream_says_why_it_ended_and_what_it_used(client: TutuClient, server: Server) -> None:
    server.answers(says("a b", reasoning_content="hm", finish_reason="length"))
    stream = client.chat.completions.stream(**QUESTION, stream_options={"include_usage": True})
    *said, done = await read(stream)
    assert data(said) == [{"reasoning": "hm"}, {"text": "a"}, {"text": " b"}]
    assert done["event"] == "done"
    end = json.loads(done["data"])
    assert end["finish_reason"] == "length"
    assert end["usage"]["completion_tokens"] > 0
    server.answers(says("a b", finish_reason="length"))
    assert (await read(client.chat.completions.stream(**QUESTION), "text"))[-1] == {"event": "done", "data": "length"}


async def test_choices_are_told_apart_only_when_several_were_asked_for(client: TutuClient, server: Server) -> None:
    pieces = [chunk("a"), chunk("b", index=1), chunk(finish_reason="stop"), chunk(index=1, finish_reason="stop")]
    server.answers(streams(pieces), streams(pieces), streams(pieces))
    assert data((await read(client.chat.completions.stream(**QUESTION, n=2)))[:-1]) == [
        {"text": "a", "index": 0},
        {"text": "b", "index": 1},
    ]
    assert data((await read(client.chat.completions.stream(**QUESTION)))[:-1]) == [{"text": "a"}, {"text": "b"}]
    text = await read(client.chat.completions.stream(**QUESTION, n=2), "text")
    assert text == [{"id": "1"}, {"data": "a"}, {"event": "done", "data": "stop"}]


async def test_json_has_calls_of_tools_and_their_results(client: TutuClient, server: Server) -> None:
    def double(number: int) -> int:
        return number * 2

    call = {"id": "c1", "type": "function", "function": {"name": "double", "arguments": '{"number": 4}'}}
    server.answers(says("", tool_calls=[call], finish_reason="tool_calls"), says("8"))
    run = client.chat.completions.run_tools(**QUESTION, tools=[double], stream=True)
    said = data(await read(run))
    assert said[0]["tool_calls"][0]["function"]["name"] == "double"
    assert {"tool_result": {"id": "c1", "content": "8"}} in said
    assert said[-2:] == [{"text": "8"}, {"finish_reason": "stop"}]


async def test_openai_has_the_chunks_normalized_and_done(client: TutuClient, server: Server) -> None:
    odd = {"Choices": [{"index": 0, "delta": {"content": "a"}}], "id": "1", "vendor_secret": "kept here"}
    server.answers(streams([chunk("", role="assistant"), odd, chunk(finish_reason="stop")]))
    found = await read(client.chat.completions.stream(**QUESTION), "openai")
    assert found[-1] == {"data": "[DONE]"}
    chunks = data(found)
    assert [each["object"] for each in chunks] == ["chat.completion.chunk"] * 3
    assert chunks[1]["choices"] == [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]
    assert "vendor_secret" not in json.dumps(chunks)


async def test_openai_has_texts_and_a_run_as_one_answer(client: TutuClient, server: Server) -> None:
    found = data(await read(texts("a", "b"), "openai"))
    assert [each["choices"][0]["delta"].get("content") for each in found] == ["a", "b", None]
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert len({each["id"] for each in found}) == 1

    def double(number: int) -> int:
        return number * 2

    call = {"id": "c1", "type": "function", "function": {"name": "double", "arguments": '{"number": 4}'}}
    server.answers(says("", tool_calls=[call], finish_reason="tool_calls"), says("it is 8"))
    run = client.chat.completions.run_tools(**QUESTION, tools=[double], stream=True)
    found = data(await read(run, "openai"))
    assert "tool_calls" not in json.dumps(found)
    assert "".join(each["choices"][0]["delta"].get("content", "") for each in found) == "it is 8"
    assert [each["choices"][0]["finish_reason"] for each in found if each["choices"][0]["finish_reason"]] == ["stop"]
    assert len({each["id"] for each in found}) == 1


@pytest.mark.parametrize("form", ["text", "json", "openai", "ai-sdk"])
async def test_an_error_is_an_event_and_then_the_end(client: TutuClient, server: Server, form: FormName) -> None:
    server.answers(streams([chunk("a"), {"error": {"message": "broken, sk-test-0123456789abcdef", "code": "c7"}}]))
    found = await read(client.chat.completions.stream(**QUESTION), form)
    ends = [event for event in found if "broken" in event.get("data", "")]
    assert len(ends) == 1
    assert found[-1] == ({"data": "[DONE]"} if form == "ai-sdk" else ends[0])
    assert "sk-test" not in json.dumps(found)
    if form != "ai-sdk":
        error = json.loads(ends[0]["data"])
        error = error["error"] if form == "openai" else error
        assert (error["code"], error["outcome"]) == ("c7", "unknown")


@pytest.mark.parametrize("form", ["text", "json", "openai", "ai-sdk"])
async def test_an_error_of_the_apps_own_is_told_without_its_words_and_raised(form: FormName) -> None:
    async def broken() -> AsyncGenerator[str]:
        yield "a"
        raise ValueError("the password of the database")

    found: list[dict[str, str]] = []
    with pytest.raises(ValueError, match="password"):
        async for event in events(broken(), form=form, into=as_is):
            found.append(event)  # noqa: PERF401  (what came before it is raised is looked at)
    assert "the server failed" in json.dumps(found)
    assert "password" not in json.dumps(found)


async def test_half_characters_can_be_sent() -> None:
    for form in ("text", "json", "openai", "ai-sdk"):
        found = await read(texts("a\ud83d"), form)
        assert "a?" in json.dumps(found)
        json.dumps(found, ensure_ascii=False).encode()


def test_errors_are_described_by_what_a_browser_may_know() -> None:
    assert described(APIError("no", code="c", outcome="rejected", request_id="r")) == {
        "message": "no",
        "type": "APIError",
        "code": "c",
        "outcome": "rejected",
        "request_id": "r",
    }
    assert described(MediaError("no image"))["type"] == "MediaError"
    assert described(KeyError("secret")) == {"message": "the server failed while it answered", "type": "ServerError"}
    assert text_of({"a\ud83d": ["\ud83d", 1, None]}) == '{"a?":["?",1,null]}'


def test_there_are_no_other_forms() -> None:
    with pytest.raises(ConfigError, match="there is no form 'xml'; there are text, json, openai, ai-sdk"):
        events(texts("a"), form="xml")  # type: ignore[call-overload]
