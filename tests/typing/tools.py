"""Tools, typed answers and events the way a typed program uses them. Only type-checked, never run."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict, assert_type

import msgspec

from tutuclient import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionStream,
    ChatMessage,
    ChatStream,
    ContentFilterFinishReasonError,
    LengthFinishReasonError,
    Message,
    ParsedChatCompletion,
    Tool,
    ToolRoundsError,
    ToolRun,
    ToolRunStream,
    TutuClient,
    Usage,
    assistant,
    file,
    image,
    system,
    user,
)
from tutuclient.types import ChoiceLogprobs, ParsedFunctionToolCall, TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pydantic

    class Invoice(pydantic.BaseModel):
        total: int


class Weather(msgspec.Struct):
    city: str
    degrees: float


@dataclasses.dataclass
class Place:
    city: str


class Answer(TypedDict):
    text: str


def look_up(city: str, unit: Literal["c", "f"] = "c") -> str:
    """Look up the weather."""
    return f"{city} {unit}"


async def fetch(url: str) -> dict[str, Any]:
    return {"url": url}


TURNS: list[tuple[Literal["user", "assistant"], str]] = [("user", "hi"), ("assistant", "yes?")]


async def a_conversation(client: TutuClient, roles: list[str]) -> None:
    messages: list[dict[str, str]] = []
    for role, text in TURNS:
        messages.append({"role": role, "content": text})
    messages += [{"role": role, "content": "x"} for role in roles]
    answer = await client.chat.completions.create(model="m", messages=messages)
    assert_type(answer, ChatCompletion)

    mixed: list[Mapping[str, Any] | Message | ChatMessage] = [system("Be brief."), *messages, assistant("yes?")]
    mixed.append(user("look", image("a.png"), file("a.pdf"), file(b"a,b", filename="t.csv")))
    mixed.append(answer.message)
    mixed.append({"role": "tool", "content": "8", "tool_call_id": "x"})
    assert_type(await client.chat.completions.create(model="m", messages=mixed, stream=False), ChatCompletion)
    assert_type(await client.chat.completions.create(model="m", messages=mixed, stream=True), ChatStream)


async def functions(client: TutuClient) -> None:
    answer = await client.chat.completions.create(
        model="m",
        messages=[user("hi")],
        tools=[look_up, fetch, partial(look_up, unit="f"), Tool(look_up, name="again"), {"type": "web_search"}],
        tool_choice="auto",
    )
    for call in answer.message.tool_calls or []:
        assert_type(call.function.arguments, str)
    await client.chat.completions.create(model="m", messages=[user("hi")], tools=[look_up])
    await client.chat.completions.create(model="m", messages=[user("hi")], tools=[Weather, Place])


async def parsed(client: TutuClient) -> None:
    answer = await client.chat.completions.parse(model="m", messages=[user("hi")], response_format=Weather)
    assert_type(answer, ParsedChatCompletion[Weather])
    assert_type(answer.parsed, Weather | None)
    assert_type(answer.choices[0].message.parsed, Weather | None)
    assert_type(answer.message.refusal, str | None)
    assert_type(answer.message.tool_calls, list[ParsedFunctionToolCall] | None)
    plain: ChatCompletion = answer
    message: ChatMessage = answer.message
    if answer.parsed is not None:
        assert_type(answer.parsed.degrees, float)

    place = await client.chat.completions.parse(
        model="m", messages=[plain.message, message], response_format=Place, tools=[look_up], seed=1
    )
    assert_type(place.parsed, Place | None)
    said = await client.chat.completions.parse(model="m", messages=[user("hi")], response_format=Answer)
    assert_type(said.parsed, Answer | None)
    invoice = await client.chat.completions.parse(model="m", messages=[user("hi")], response_format=Invoice)
    assert_type(invoice.parsed, Invoice | None)
    loose = await client.chat.completions.parse(
        model="m", messages=[user("hi")], response_format={"type": "json_object"}
    )
    assert_type(loose, ParsedChatCompletion[None])
    for call in loose.message.tool_calls or []:
        assert_type(call.function.name, str)


async def events(client: TutuClient) -> None:
    async with client.chat.completions.stream(
        model="m", messages=[user("hi")], response_format=Weather, tools=[look_up]
    ) as stream:
        async for event in stream.events():
            if event.type == "chunk":
                assert_type(event.chunk, ChatCompletionChunk)
            elif event.type == "content.delta":
                assert_type(event.delta, str)
                assert_type(event.snapshot, str)
            elif event.type == "content.done":
                assert_type(event.parsed, Weather | None)
            elif event.type == "refusal.done":
                assert_type(event.refusal, str)
            elif event.type == "tool_calls.function.arguments.delta":
                assert_type(event.arguments_delta, str)
                assert_type(event.index, int)
            elif event.type == "tool_calls.function.arguments.done":
                assert_type(event.name, str)
            elif event.type == "logprobs.content.delta":
                assert_type(event.content, list[TokenLogprob])
        assert_type(stream, ChatCompletionStream[Weather])
        answer = await stream.completion()
        assert_type(answer, ParsedChatCompletion[Weather])
        assert_type(await stream.get_final_completion(), ParsedChatCompletion[Weather])
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as chunks:
        async for chunk in chunks:
            assert_type(chunk, ChatCompletionChunk)
        assert_type((await chunks.completion()).parsed, None)


async def runs(client: TutuClient, messages: list[dict[str, Any]]) -> None:
    run = await client.chat.completions.run_tools(model="m", messages=messages, tools=[look_up, fetch], max_rounds=3)
    assert_type(run, ToolRun)
    assert_type(run.completion, ChatCompletion)
    assert_type(run.text, str)
    assert_type(run.usage, Usage | None)
    await client.chat.completions.create(model="m", messages=run.messages)
    await client.chat.completions.create(model="m", messages=[*run.messages, user("and?")])
    streamed = client.chat.completions.run_tools(
        model="m", messages=messages, tools=[look_up], stream=True, temperature=0, raise_tool_errors=True
    )
    assert_type(streamed, ToolRunStream)
    async with streamed as going:
        async for chunk in going:
            assert_type(chunk, ChatCompletionChunk)
        async for piece in going.text():
            assert_type(piece, str)
        assert_type(await going.result(), ToolRun)
        assert_type(going.rounds, int)


def logprobs(answer: ChatCompletion) -> None:
    found = answer.choices[0].logprobs
    assert_type(found, ChoiceLogprobs | None)
    for token in (found and found.content) or []:
        assert_type(token.logprob, float)
        assert_type(token.top_logprobs[0].token, str)


def errors(error: LengthFinishReasonError | ContentFilterFinishReasonError | ToolRoundsError) -> None:
    assert_type(error.completion, ChatCompletion)
    assert_type(error.conversation, list[Any] | None)
