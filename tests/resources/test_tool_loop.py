"""Conversations with tools over a real socket: what is called, what the model is told, how a run ends."""

from __future__ import annotations

import asyncio
import contextvars
import json
import pickle
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pydantic
import pytest

from tutuclient import (
    APIConnectionError,
    ChatCompletion,
    ChatMessage,
    ConfigError,
    IncompleteStreamError,
    InternalServerError,
    Tool,
    ToolRoundsError,
    ToolRun,
    TutuClient,
    image,
    user,
)
from tutuclient.testing import Recorded, Server, chunk, fails, raw, says, streams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

WHERE: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")
STOP = chunk(finish_reason="stop")


class Point(msgspec.Struct):
    x: int


class Box(pydantic.BaseModel):
    side: int


def calls(*asked: tuple[str, str], **fields: Any) -> Any:
    """Answer with calls of tools, by name and arguments."""
    made = [
        {"id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": arguments}, **fields}
        for place, (name, arguments) in enumerate(asked)
    ]
    return says("", tool_calls=made, finish_reason="tool_calls")


def double(number: int) -> int:
    return number * 2


async def greet(name: str) -> str:
    return f"hello {name}"


async def ask(client: TutuClient, tools: list[Any], **fields: Any) -> ToolRun:
    run: ToolRun = await client.chat.completions.run_tools(model="m", messages=[user("hi")], tools=tools, **fields)
    return run


def told(server: Server) -> list[Any]:
    """Return what the tools said in the last request."""
    return [message["content"] for message in server.requests[-1].json["messages"] if message["role"] == "tool"]


async def test_tools_are_called_until_the_model_answers(client: TutuClient, server: Server) -> None:
    server.answers(calls(("double", '{"number": 4}')), calls(("greet", '{"name": "you"}')), says("done"))
    run = await ask(client, [double, greet], temperature=0)
    assert (run.text, run.rounds, run.completion.finish_reason) == ("done", 3, "stop")
    assert [request.json["temperature"] for request in server.requests] == [0, 0, 0]
    assert server.requests[2].json["messages"] == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "call_0", "type": "function", "function": {"name": "double", "arguments": '{"number": 4}'}}
            ],
        },
        {"role": "tool", "content": "8", "tool_call_id": "call_0"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "call_0", "type": "function", "function": {"name": "greet", "arguments": '{"name": "you"}'}}
            ],
        },
        {"role": "tool", "content": "hello you", "tool_call_id": "call_0"},
    ]
    assert "ToolRun(rounds=3, messages=6, text='done')" in repr(run)


async def test_a_run_can_be_gone_on_with(client: TutuClient, server: Server) -> None:
    server.answers(calls(("double", '{"number": 4}')), says("8"), says("again"))
    run = await ask(client, [double])
    again = await client.chat.completions.create(model="m", messages=[*run.messages, user("and?")])
    assert again.text == "again"
    assert [message["role"] for message in server.requests[-1].json["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]


async def test_a_model_that_needs_no_tool_is_asked_once(client: TutuClient, server: Server) -> None:
    server.answers(says("hi"))
    run = await ask(client, [double])
    assert (run.text, run.rounds, len(run.messages)) == ("hi", 1, 2)
    assert server.requests[0].json["tools"][0]["function"]["name"] == "double"


async def test_the_tools_of_a_round_run_together(client: TutuClient, server: Server) -> None:
    both = asyncio.Barrier(2)
    threads = threading.Barrier(2)

    async def meet(a: int) -> int:
        await both.wait()
        return a

    def meet_in_threads(a: int) -> int:
        threads.wait(5)
        return a

    for name in ("meet", "meet_in_threads"):
        server.answers(calls((name, '{"a": 1}'), (name, '{"a": 2}')), says("done"))
        await ask(client, [meet, meet_in_threads])
        assert told(server) == ["1", "2"]


async def test_sync_tools_leave_the_loop_alone_and_know_their_context(client: TutuClient, server: Server) -> None:
    loop_thread = threading.get_ident()

    def sync() -> list[Any]:
        return [threading.get_ident() == loop_thread, WHERE.get()]

    async def on_the_loop() -> list[Any]:
        return [threading.get_ident() == loop_thread, WHERE.get()]

    def awaited() -> Any:
        return on_the_loop()

    WHERE.set("here")
    names = ("sync", "on_the_loop", "awaited")
    server.answers(calls(*((name, "{}") for name in names)), says("done"))
    await ask(client, [sync, on_the_loop, awaited])
    assert [json.loads(text) for text in told(server)] == [[False, "here"], [True, "here"], [True, "here"]]


PART = {"type": "image_url", "image_url": {"url": "https://e.example/a.png"}}


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ("text", "text"),
        ("", ""),
        ("图\ud800", "图?"),
        (None, "null"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Point(1), '{"x":1}'),
        ([Box(side=2)], '[{"side":2}]'),
        ([], "[]"),
        (["a", "b"], '["a","b"]'),
        ([{"type": "dog"}], '[{"type":"dog"}]'),
        ([{"type": "text"}], '[{"type":"text"}]'),
        ({"type": ["dog", "cat"]}, '{"type":["dog","cat"]}'),
        ([{"type": {"text": 1}}], '[{"type":{"text":1}}]'),
        (image("https://e.example/a.png"), [PART]),
        (["look:", image("https://e.example/a.png")], [{"type": "text", "text": "look:"}, PART]),
        ((PART, {"type": "text", "text": "t"}), [PART, {"type": "text", "text": "t"}]),
        ([PART, 5], '[{"type":"image_url","image_url":{"url":"https://e.example/a.png"}},5]'),
    ],
    ids=ascii,
)
async def test_results_are_reported_as_text_parts_or_json(
    client: TutuClient, server: Server, result: Any, content: Any
) -> None:
    def give() -> Any:
        return result

    server.answers(calls(("give", "")), says("done"))
    await ask(client, [give])
    assert told(server) == [content]


async def test_what_goes_wrong_in_a_tool_is_reported_to_the_model(client: TutuClient, server: Server) -> None:
    def breaks() -> None:
        raise ValueError("no\nsuch city")

    def opaque() -> object:
        return object()

    server.answers(
        calls(
            ("breaks", "{}"),
            ("opaque", "{}"),
            ("double", '{"number": "x"}'),
            ("double", '{"num'),
            ("missing", "{}"),
            ("double", '{"number": 2}'),
        ),
        says("done"),
    )
    run = await ask(client, [breaks, opaque, double])
    assert run.text == "done"
    *wrong, right = told(server)
    assert [json.loads(text)["error"] for text in wrong] == [
        "ValueError: no\\nsuch city",
        "TypeError: a object cannot be written as JSON",
        "the arguments do not fit: Expected `int`, got `str` - at `$.number`",
        "the arguments do not fit: Input data was truncated",
        "there is no tool 'missing'; there are: breaks, opaque, double",
    ]
    assert right == "4"
    assert not any("Traceback" in text for text in wrong)


@dataclass
class Checked:
    number: int

    def __post_init__(self) -> None:
        if self.number == 0:
            raise ZeroDivisionError("not 0")


async def test_what_the_checks_of_a_type_raise_is_reported_to_the_model_or_let_out(
    client: TutuClient, server: Server
) -> None:
    def take(it: Checked) -> str:
        return str(it.number)

    wrong = calls(("take", '{"it": {"number": 0}}'))
    server.answers(wrong, says("done"))
    await ask(client, [take])
    assert told(server) == ['{"error":"ZeroDivisionError: not 0"}']
    server.answers(wrong)
    with pytest.raises(ZeroDivisionError):
        await ask(client, [take], raise_tool_errors=True)


async def test_a_tool_that_cancels_itself_is_reported_to_the_model(client: TutuClient, server: Server) -> None:
    async def gives_up() -> None:
        raise asyncio.CancelledError

    server.answers(calls(("gives_up", "{}"), ("double", '{"number": 2}')), says("done"))
    assert (await ask(client, [gives_up, double])).text == "done"
    assert told(server) == ['{"error":"the tool was cancelled"}', "4"]


async def test_a_tools_error_can_be_let_out_alone(client: TutuClient, server: Server) -> None:
    cancelled = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async def breaks() -> None:
        raise ZeroDivisionError("out")

    server.answers(calls(("waits", "{}"), ("breaks", "{}")))
    with pytest.raises(ZeroDivisionError, match="out"):
        await ask(client, [waits, breaks], raise_tool_errors=True)
    assert cancelled.is_set()
    server.answers(calls(("missing", "{}")), says("done"))
    assert (await ask(client, [breaks], raise_tool_errors=True)).text == "done"


async def test_errors_of_several_tools_come_together(client: TutuClient, server: Server) -> None:
    both = asyncio.Barrier(2)

    async def breaks(a: int) -> None:
        try:
            await both.wait()
        finally:
            raise ZeroDivisionError(a)

    server.answers(calls(("breaks", '{"a": 1}'), ("breaks", '{"a": 2}')))
    with pytest.raises(ExceptionGroup) as caught:
        await ask(client, [breaks], raise_tool_errors=True)
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError] * 2


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_run_ends_when_its_rounds_are_over(client: TutuClient, server: Server, streamed: bool) -> None:
    called = []

    def note(a: int) -> str:
        called.append(a)
        return "noted"

    server.answers(calls(("note", '{"a": 1}')), calls(("note", '{"a": 2}')))
    with pytest.raises(ToolRoundsError, match="after 2 rounds") as caught:
        if streamed:
            async with client.chat.completions.run_tools(
                model="m", messages=[user("hi")], tools=[note], max_rounds=2, stream=True
            ) as run:
                await run.result()
        else:
            await ask(client, [note], max_rounds=2)
    error = caught.value
    assert called == [1]
    assert error.outcome == "unknown"
    assert error.request_id == error.completion.meta.request_id
    assert (error.completion.message.tool_calls or [])[0].function.arguments == '{"a": 2}'
    assert error.conversation is not None
    assert len(error.conversation) == 4
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
    assert len(again.conversation) == 4
    assert len(server.requests) == 2
    with pytest.raises(ConfigError, match="max_rounds is 0"):
        await ask(client, [note], max_rounds=0)


async def test_an_error_of_the_relay_has_the_conversation_so_far(client: TutuClient, server: Server) -> None:
    server.answers(calls(("double", '{"number": 4}')), *[fails(500, "busy")] * 3)
    with pytest.raises(InternalServerError) as caught:
        await ask(client, [double])
    assert caught.value.conversation is not None
    assert len(caught.value.conversation) == 3
    server.answers(says("done"))
    run = await client.chat.completions.run_tools(model="m", messages=caught.value.conversation, tools=[double])
    assert run.text == "done"


async def test_a_tool_given_as_a_dict_ends_the_run(client: TutuClient, server: Server) -> None:
    theirs = {"type": "function", "function": {"name": "theirs", "parameters": {}}}
    custom: dict[str, Any] = {"type": "custom", "custom": {"name": "free"}}
    server.answers(calls(("double", '{"number": 4}')), calls(("double", '{"number": 4}'), ("theirs", "{}")))
    run = await ask(client, [double, theirs, custom])
    assert [call.function.name for call in run.completion.message.tool_calls or []] == ["double", "theirs"]
    assert (run.rounds, len(run.messages)) == (2, 4)
    server.answers(says("", tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "free", "input": "x"}}]))
    run = await ask(client, [double, custom])
    assert run.rounds == 1


async def test_a_forced_call_is_forced_once(client: TutuClient, server: Server) -> None:
    for choice, later in (("required", "auto"), ("none", "none"), (None, None)):
        server.answers(calls(("double", '{"number": 4}')), says("done"))
        await ask(client, [double], **({} if choice is None else {"tool_choice": choice}))
        assert [request.json.get("tool_choice") for request in server.requests[-2:]] == [choice, later]
    forced = {"type": "function", "function": {"name": "double"}}
    server.answers(calls(("double", '{"number": 4}')), says("done"))
    await ask(client, [double], tool_choice=forced)
    assert [request.json.get("tool_choice") for request in server.requests[-2:]] == [forced, "auto"]


async def test_usage_is_that_of_all_rounds(client: TutuClient, server: Server) -> None:
    def used(tokens: int, **more: Any) -> dict[str, Any]:
        return {"prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": tokens + 1, **more}

    def asks(usage: Any) -> Any:
        call = {"id": "c", "type": "function", "function": {"name": "double", "arguments": '{"number": 1}'}}
        return says("", tool_calls=[call], usage=usage)

    details = {"prompt_tokens_details": {"cached_tokens": 2}}
    server.answers(asks(used(10, **details)), says("done", usage=used(20, **details)))
    usage = (await ask(client, [double])).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (30, 2, 32)
    assert usage.prompt_tokens_details is not None
    assert (usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens_details.audio_tokens) == (4, None)
    server.answers(asks(used(10, **details)), says("done", usage=used(20)))
    usage = (await ask(client, [double])).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.prompt_tokens_details) == (30, None)
    server.answers(asks(used(10)), asks(False), says("done", usage=used(20)))
    assert (await ask(client, [double])).usage is None


async def test_calls_keep_what_relays_add_and_get_the_ids_they_lack(client: TutuClient, server: Server) -> None:
    extra = {"extra_content": {"google": {"thought_signature": "sig"}}}
    call = {"type": "function", "function": {"name": "double", "arguments": '{"number": 1}'}, **extra}
    server.answers(says("", tool_calls=[call, {**call, "id": "given"}], provider="p"), says("done"))
    run = await ask(client, [double])
    assert isinstance(run.messages[1], ChatMessage)
    assert run.messages[1].extra == {"provider": "p"}
    _, asked, *results = server.requests[1].json["messages"]
    assert [call["extra_content"] for call in asked["tool_calls"]] == [extra["extra_content"]] * 2
    assert [call["id"] for call in asked["tool_calls"]] == ["call_0_0", "given"]
    assert [message["tool_call_id"] for message in results] == ["call_0_0", "given"]


async def test_the_messages_of_the_caller_stay_as_they_are(client: TutuClient, server: Server) -> None:
    mine: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
    server.answers(calls(("double", '{"number": 4}')), says("done"))
    await client.chat.completions.run_tools(model="m", messages=mine, tools=[Tool(double)])
    assert mine == [{"role": "user", "content": "hi"}]


async def test_cancelling_cancels_the_tools(client: TutuClient, server: Server) -> None:
    began, ended, let_go = asyncio.Event(), asyncio.Event(), threading.Event()

    async def waits() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    def waits_in_a_thread() -> None:
        let_go.wait(60)

    server.answers(calls(("waits", "{}"), ("waits_in_a_thread", "{}")))
    task = asyncio.create_task(ask(client, [waits, waits_in_a_thread]))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    let_go.set()
    assert len(server.requests) == 1


async def test_what_cannot_be_asked_is_refused_before_anything_is_sent(client: TutuClient, server: Server) -> None:
    refused: list[Callable[[], Any]] = [
        lambda: client.chat.completions.run_tools(model="m", messages="hi", tools=[double]),  # type: ignore[arg-type]  # what is refused
        lambda: client.chat.completions.run_tools(model="m", messages=[], tools=[double]),
        lambda: client.chat.completions.run_tools(model="m", messages=[user("hi")], tools=[double, double]),
    ]
    for make in refused:
        with pytest.raises(ConfigError):
            await make()
    assert server.requests == []


# --- streamed ------------------------------------------------------------------------------------------------------


def stream_calls(name: str, *pieces: str) -> Any:
    begun = {"index": 0, "id": "c", "type": "function", "function": {"name": name, "arguments": ""}}
    frames = [chunk("Let me see. "), chunk(tool_calls=[begun])]
    frames += [chunk(tool_calls=[{"index": 0, "function": {"arguments": piece}}]) for piece in pieces]
    return streams([*frames, chunk(finish_reason="tool_calls")])


async def test_a_streamed_run_gives_the_chunks_of_all_rounds(client: TutuClient, server: Server) -> None:
    server.answers(stream_calls("double", '{"number"', ": 4}"), streams([chunk("It is "), chunk("8."), STOP]))
    async with client.chat.completions.run_tools(model="m", messages=[user("hi")], tools=[double], stream=True) as run:
        with pytest.raises(ConfigError, match="no answer has come yet"):
            _ = run.completion
        texts = [piece.text async for piece in run]
        assert (await run.result()).text == "It is 8."
    assert texts == ["Let me see. ", "", "", "", "", "It is ", "8.", ""]
    assert (run.completion.text, run.rounds, run.usage, len(run.messages)) == ("It is 8.", 2, None, 4)
    assert isinstance(run.completion, ChatCompletion)
    assert told(server) == ["8"]
    assert all(request.json["stream"] is True for request in server.requests)


async def test_a_streamed_run_gives_text(client: TutuClient, server: Server) -> None:
    server.answers(stream_calls("double", '{"number": 4}'), streams([chunk("It is "), chunk("8."), STOP]))
    async with client.chat.completions.run_tools(model="m", messages=[user("hi")], tools=[double], stream=True) as run:
        assert [piece async for piece in run.text()] == ["Let me see. ", "It is ", "8."]


def anext_of(pieces: Callable[[], AsyncGenerator[str, None]]) -> Callable[[], Awaitable[str]]:
    return lambda: anext(pieces())


async def test_leaving_a_streamed_run_frees_the_connection(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    async with client.chat.completions.run_tools(model="m", messages=[user("hi")], tools=[double], stream=True) as run:
        async for _ in run:
            break
    await server.wait_closed()
    with pytest.raises(StopAsyncIteration):
        await anext(run._chunks)
    for read_on in (run.result, anext_of(run.text)):
        with pytest.raises(APIConnectionError, match="left before its end"):
            await read_on()
    server.answers(streams([chunk("a")], done=False, then="hang"))
    async with client.chat.completions.run_tools(model="m", messages=[user("hi")], tools=[double], stream=True):
        pass
    await server.wait_closed()


async def test_a_streamed_run_is_read_within_its_block(client: TutuClient) -> None:
    run = client.chat.completions.run_tools(model="m", messages=[user("hi")], tools=[double], stream=True)
    with pytest.raises(ConfigError, match="within its block"):
        async for _ in run:
            pass
    again = client.chat.completions.run_tools(model="m", messages=[user("hi")], tools=[double], stream=True)
    async with again:
        pass
    with pytest.raises(ConfigError, match="entered once"):
        async with again:
            pass


@pytest.mark.parametrize("round_", [1, 2])
async def test_a_streamed_run_that_breaks_has_the_conversation_so_far(
    client: TutuClient, server: Server, round_: int
) -> None:
    server.answers(*[stream_calls("double", '{"number": 4}')] * (round_ - 1), streams([chunk("It")], done=False))
    async with client.chat.completions.run_tools(model="m", messages=[user("hi")], tools=[double], stream=True) as run:
        with pytest.raises(IncompleteStreamError) as caught:
            await run.result()
        with pytest.raises(APIConnectionError, match="broke off"):
            await run.result()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "It"
    assert caught.value.conversation is not None
    assert len(caught.value.conversation) == 1 + 2 * (round_ - 1)


async def test_a_streamed_run_that_cannot_be_asked_says_so_on_entering(client: TutuClient, server: Server) -> None:
    server.answers(raw(400, b'{"error": {"message": "no"}}'))
    with pytest.raises(Exception, match="no") as caught:
        async with client.chat.completions.run_tools(model="m", messages=[user("hi")], tools=[double], stream=True):
            raise AssertionError
    assert caught.value.conversation == [user("hi")]  # type: ignore[attr-defined]  # of every TutuError


async def test_cancelling_a_streamed_run_cancels_its_tools(client: TutuClient, server: Server) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    server.answers(stream_calls("waits", "{}"))

    async def read() -> None:
        async with client.chat.completions.run_tools(
            model="m", messages=[user("hi")], tools=[waits], stream=True
        ) as run:
            await run.result()

    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_images_go_to_the_model_in_every_round(client: TutuClient, server: Server) -> None:
    def look(seen: Recorded) -> Any:
        assert "data:image/png;base64," in seen.json["messages"][0]["content"][1]["image_url"]["url"]
        return calls(("double", '{"number": 1}')) if seen.index == 0 else says("done")

    server.answers(look, look)
    picture = b"\x89PNG\r\n\x1a\n" + bytes(100)
    run = await client.chat.completions.run_tools(model="m", messages=[user("see", image(picture))], tools=[double])
    assert run.text == "done"


THOUGHTS: dict[str, dict[str, Any]] = {
    # Kimi and DeepSeek: "reasoning_content is missing in assistant tool call message".
    "reasoning_content": {"reasoning_content": "hm"},
    # OpenRouterTeam/ai-sdk-provider#423
    "reasoning_details": {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "index": 0}]},
}


@pytest.mark.parametrize("thoughts", THOUGHTS.values(), ids=THOUGHTS)
@pytest.mark.parametrize("streams", [False, True])
async def test_thoughts_go_back_with_tool_calls_and_nowhere_else(
    client: TutuClient, server: Server, thoughts: dict[str, Any], streams: bool
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "double", "arguments": '{"number": 4}'}}
    server.answers(
        says("", tool_calls=[call], finish_reason="tool_calls", **thoughts), says("eight", **thoughts), says("bye")
    )
    if streams:
        async with client.chat.completions.run_tools(
            model="m", messages=[user("hi")], tools=[double], stream=True
        ) as run:
            messages = (await run.result()).messages
    else:
        messages = (await ask(client, [double])).messages
    await client.chat.completions.create(model="m", messages=[*messages, user("and now?")])
    for request in server.requests[1:]:
        _, called, *after = request.json["messages"]
        assert {name: called.get(name) for name in thoughts} == thoughts
        assert not any(name in message for message in after for name in thoughts)


async def test_results_of_numpy_are_numbers_and_nan_is_reported(client: TutuClient, server: Server) -> None:
    def measure() -> dict[str, Any]:
        return {"mean": np.float32(0.5), "all": np.arange(2)}

    def fail() -> float:
        return float("nan")

    server.answers(calls(("measure", "{}"), ("fail", "{}")), says("done"))
    await ask(client, [measure, fail])
    measured, failed = told(server)
    assert json.loads(measured) == {"mean": 0.5, "all": [0, 1]}
    assert "NaN" in json.loads(failed)["error"]
