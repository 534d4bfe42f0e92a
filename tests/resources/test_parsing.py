"""Answers as types: read, refused, cut off and not fitting, over a real socket; never asked for twice."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest

from tutuclient import (
    ChatCompletion,
    ConfigError,
    ContentFilterFinishReasonError,
    LengthFinishReasonError,
    Tool,
    TutuClient,
    UnexpectedResponseError,
    user,
)
from tutuclient.testing import Server, chunk, fails, says, streams


class Weather(msgspec.Struct):
    city: str
    degrees: float


@dataclasses.dataclass
class Storm:
    city: str
    degrees: float


class Sun(TypedDict):
    city: str
    degrees: float


class Rain(pydantic.BaseModel):
    city: str
    degrees: float


OSLO = '{"city": "Oslo", "degrees": -3}'


def look_up(city: str, days: int = 1) -> str:
    return f"{city} {days}"


def loose(counts: dict[str, int]) -> str:
    return str(counts)


STRICT: dict[str, Any] = {"type": "function", "function": {"name": "given", "strict": True, "parameters": {}}}
LAX: dict[str, Any] = {"type": "function", "function": {"name": "lax", "parameters": {}}}


def calls(name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Weather, Weather("Oslo", -3)),
        (Storm, Storm("Oslo", -3)),
        (Sun, {"city": "Oslo", "degrees": -3}),
        (Rain, Rain(city="Oslo", degrees=-3)),
    ],
)
async def test_an_answer_becomes_an_instance(client: TutuClient, server: Server, kind: type[Any], value: Any) -> None:
    server.answers(says(OSLO, provider="p"))
    answer = await client.chat.completions.parse(model="m", messages=[user("hi")], response_format=kind, seed=1)
    assert answer.parsed == answer.choices[0].message.parsed == value
    assert isinstance(answer, ChatCompletion)
    assert (answer.text, answer.finish_reason, answer.meta.status) == (OSLO, "stop", 200)
    assert answer.message.extra == {"provider": "p"}
    assert answer.to_dict()["choices"][0]["message"]["content"] == OSLO
    sent = server.requests[0].json
    assert sent["seed"] == 1
    assert sent["response_format"]["json_schema"]["name"] == kind.__name__
    assert sent["response_format"]["json_schema"]["schema"]["required"] == ["city", "degrees"]


async def test_every_choice_is_parsed(client: TutuClient, server: Server) -> None:
    server.answers(says(OSLO))
    answer = await client.chat.completions.parse(model="m", messages=[user("hi")], response_format=Weather, n=2)
    assert [choice.message.parsed for choice in answer.choices] == [Weather("Oslo", -3)] * 2


async def test_an_answer_without_a_type_is_as_it_came(client: TutuClient, server: Server) -> None:
    server.answers(says("hello"), says(OSLO))
    answer = await client.chat.completions.parse(model="m", messages=[user("hi")])
    assert (answer.text, answer.parsed) == ("hello", None)
    form = {"type": "json_object"}
    answer = await client.chat.completions.parse(model="m", messages=[user("hi")], response_format=form)
    assert (answer.text, answer.parsed) == (OSLO, None)
    assert "response_format" not in server.requests[0].json
    assert server.requests[1].json["response_format"] == form


async def test_a_refusal_is_no_instance(client: TutuClient, server: Server) -> None:
    server.answers(says("I will not.", refusal="I will not."))
    answer = await client.chat.completions.parse(model="m", messages=[user("hi")], response_format=Weather)
    assert (answer.parsed, answer.message.refusal) == (None, "I will not.")


async def test_calls_of_tools_have_their_arguments_read(client: TutuClient, server: Server) -> None:
    asked = [
        calls("look_up", '{"city": "Oslo", "days": "2"}'),
        calls("Rain", OSLO),
        calls("given", '{"a": [1]}'),
        calls("lax", '{"a": [1]}'),
        calls("stranger", "no JSON"),
        calls("loose", '{"counts": {"a": 1}}'),
        {"id": "x", "type": "custom", "custom": {"name": "look_up", "input": "no JSON"}},
    ]
    server.answers(says("", tool_calls=asked, finish_reason="tool_calls"))
    answer = await client.chat.completions.parse(
        model="m", messages=[user("hi")], response_format=Weather, tools=[look_up, Rain, Tool(loose), STRICT, LAX]
    )
    assert answer.parsed is None
    assert [call.function.parsed_arguments for call in answer.message.tool_calls or []] == [
        {"city": "Oslo", "days": 2},
        Rain(city="Oslo", degrees=-3),
        {"a": [1]},
        None,
        None,
        {"counts": {"a": 1}},
        None,
    ]
    sent = server.requests[0].json["tools"]
    assert [tool["function"]["name"] for tool in sent] == ["look_up", "Rain", "loose", "given", "lax"]
    assert [tool["function"].get("strict") for tool in sent] == [True, True, None, True, None]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"city": "Oslo"}', "missing required field `degrees`"),
        ('{"city": "Oslo", "degrees": "cold"}', r"Expected `float`, got `str` - at `\$.degrees`"),
        ("It is cold in Oslo.", "malformed"),
        ('{"city": "Oslo", "deg', "truncated"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_what_does_not_fit_is_an_error_that_has_it(
    client: TutuClient, server: Server, text: str, where: str, streamed: bool
) -> None:
    server.answers(says(text))
    with pytest.raises(UnexpectedResponseError, match=where) as caught:
        if streamed:
            async with client.chat.completions.stream(
                model="m", messages=[user("hi")], response_format=Weather
            ) as stream:
                await stream.completion()
        else:
            await client.chat.completions.parse(model="m", messages=[user("hi")], response_format=Weather)
    error = caught.value
    assert "the answer does not fit Weather" in error.message
    assert text[:10] in error.message
    assert error.partial is not None
    assert (error.partial.text, error.body, error.outcome, error.attempts) == (text, text, "unknown", 1)
    assert error.request_id == error.partial.meta.request_id
    assert error.status_code == 200
    assert len(server.requests) == 1


@pytest.mark.parametrize(("name", "text"), [("look_up", '{"days": 1}'), ("given", '{"a"')])
async def test_arguments_that_do_not_fit_are_an_error(client: TutuClient, server: Server, name: str, text: str) -> None:
    server.answers(says("", tool_calls=[calls(name, text)]))
    with pytest.raises(UnexpectedResponseError, match=f"the arguments for the tool {name} do not fit") as caught:
        await client.chat.completions.parse(model="m", messages=[user("hi")], tools=[look_up, STRICT])
    assert caught.value.partial is not None
    assert (caught.value.partial.message.tool_calls or [])[0].function.arguments == text
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("word", "cls"),
    [
        ("length", LengthFinishReasonError),
        ("MAX_TOKENS", LengthFinishReasonError),
        ("content_filter", ContentFilterFinishReasonError),
        ("SAFETY", ContentFilterFinishReasonError),
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_answer_that_was_cut_off_is_an_error(
    client: TutuClient, server: Server, word: str, cls: type[LengthFinishReasonError], streamed: bool
) -> None:
    server.answers(says('{"city": "Os', finish_reason=word))
    with pytest.raises(cls, match=word.lower()) as caught:
        if streamed:
            async with client.chat.completions.stream(
                model="m", messages=[user("hi")], response_format=Weather
            ) as stream:
                await stream.completion()
        else:
            await client.chat.completions.parse(model="m", messages=[user("hi")], response_format=Weather)
    error = caught.value
    assert error.completion.text == '{"city": "Os'
    assert (error.outcome, error.attempts, error.request_id) == ("unknown", 1, error.completion.meta.request_id)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
    assert (type(again), again.completion.text, again.outcome) == (cls, error.completion.text, "unknown")
    assert len(server.requests) == 1


async def test_what_fails_on_the_way_is_tried_again_as_ever(client: TutuClient, server: Server) -> None:
    server.answers(fails(500, "busy"), says(OSLO))
    answer = await client.chat.completions.parse(model="m", messages=[user("hi")], response_format=Weather)
    assert (answer.parsed, answer.meta.attempts) == (Weather("Oslo", -3), 2)


async def test_create_gives_answers_as_they_come(client: TutuClient, server: Server) -> None:
    for fields in ({"response_format": Weather}, {"response_format": list[int], "stream": True}):
        with pytest.raises(ConfigError, match=r"chat\.completions\.parse"):
            await client.chat.completions.create(model="m", messages=[user("hi")], **fields)
    server.answers(says("", tool_calls=[calls("look_up", '{"city": "x"}')]))
    answer = await client.chat.completions.create(model="m", messages=[user("hi")], tools=[look_up, LAX])
    assert (answer.message.tool_calls or [])[0].function.name == "look_up"
    assert [tool["function"]["name"] for tool in server.requests[0].json["tools"]] == ["look_up", "lax"]
    assert len(server.requests) == 1


async def test_what_no_model_can_fill_in_is_not_sent(client: TutuClient, server: Server) -> None:
    with pytest.raises(ConfigError, match="must be a type with fields"):
        await client.chat.completions.parse(model="m", messages=[user("hi")], response_format=list[int])
    with pytest.raises(ConfigError, match="must be a type with fields"):
        async with client.chat.completions.stream(model="m", messages=[user("hi")], response_format=int):
            pass
    with pytest.raises(ConfigError, match="is not a tool"):
        await client.chat.completions.create(model="m", messages=[user("hi")], tools=[5])  # type: ignore[list-item]  # what is refused
    assert server.requests == []


async def test_a_streamed_answer_is_parsed_at_its_end(client: TutuClient, server: Server) -> None:
    frames = [chunk('{"city": "Oslo",'), chunk(' "degrees": -3}'), chunk(finish_reason="stop")]
    server.answers(streams(frames))
    async with client.chat.completions.stream(model="m", messages=[user("hi")], response_format=Weather) as stream:
        assert [piece async for piece in stream.text()] == ['{"city": "Oslo",', ' "degrees": -3}']
        answer = await stream.completion()
        assert await stream.get_final_completion() == answer
    assert answer.parsed == Weather("Oslo", -3)
    assert answer.meta.status == 200
    said = json.loads(answer.to_json())["choices"][0]["message"]
    assert said["content"] == OSLO
    assert "parsed" not in said
    assert server.requests[0].json["response_format"]["type"] == "json_schema"


async def test_a_stream_without_a_type_may_end_as_it_likes(client: TutuClient, server: Server) -> None:
    server.answers(says("It is c", finish_reason="length"))
    async with client.chat.completions.stream(model="m", messages=[user("hi")], tools=[LAX]) as stream:
        answer = await stream.completion()
    assert (answer.text, answer.parsed, answer.finish_reason) == ("It is c", None, "length")
