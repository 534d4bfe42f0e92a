import json
from typing import Any

import pytest

from tutuclient.standin.tools import BadToolsError, calls, results


def tool(name: str, description: str = "", required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


CITY, NUMBER = {"type": "string"}, {"type": "integer"}
UNIT = {"type": "string", "enum": ["celsius", "fahrenheit"]}
WEATHER = tool("get_weather", "Get the weather of a city", ["city"], city=CITY, unit=UNIT)
TIME = tool("get_time", "Say what time it is somewhere", place=CITY)
ADD = tool("add", "Add two numbers", a=NUMBER, b=NUMBER)
SQUARE = tool("square", "Square a number", x=NUMBER)
FLIGHT = tool("book_flight", "Book a flight", origin=CITY, destination=CITY, seats=NUMBER)
CUSTOM = {"type": "custom", "custom": {"name": "run_code", "description": "Runs code"}}


def called(prompt: str, *tools: Any, **extra: Any) -> list[tuple[str, Any]]:
    made = calls({"tools": list(tools), **extra}, prompt)
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in made]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("weather in Oslo", [("get_weather", {"city": "Oslo"})]),
        ("Weather in Oslo and Turin?", [("get_weather", {"city": "Oslo"}), ("get_weather", {"city": "Turin"})]),
        ("Weather in Oslo, in fahrenheit", [("get_weather", {"city": "Oslo", "unit": "fahrenheit"})]),
        ("weather and time in Paris", [("get_weather", {"city": "Paris"}), ("get_time", {"place": "Paris"})]),
        ("add 3 and 5", [("add", {"a": 3, "b": 5})]),
        ("square 3 and 5", [("square", {"x": 3}), ("square", {"x": 5})]),
        ("Book a flight from Oslo to Turin, 2 seats",
         [("book_flight", {"origin": "Oslo", "destination": "Turin", "seats": 2})]),
        ("Hello there", []),
    ],
)  # fmt: skip
def test_calls_what_the_prompt_speaks_of(prompt: str, expected: Any) -> None:
    assert called(prompt, WEATHER, TIME, ADD, SQUARE, FLIGHT) == expected


def test_reads_chinese() -> None:
    weather = tool("tianqi", "查询城市天气", 城市=CITY)
    assert called("奥斯陆和都灵的天气怎么样?", weather) == [
        ("tianqi", {"城市": "奥斯陆"}),
        ("tianqi", {"城市": "都灵"}),
    ]
    assert called("你好", weather) == []
    assert called("北京天气如何", WEATHER, TIME) == [("get_weather", {"city": "北京"})]


def test_common_words_of_a_name_ask_for_nothing() -> None:
    assert called("Could you talk to me and get on with it?", tool("get_to_it"), tool("add_to_cart")) == []


def test_gives_the_same_ids_to_the_same_calls_and_different_ones_to_different_calls() -> None:
    first = calls({"tools": [WEATHER]}, "weather in Oslo and Turin")
    assert first == calls({"tools": [WEATHER]}, "weather in Oslo and Turin")
    assert len({call["id"] for call in first}) == 2
    assert all(call["id"].startswith("call_") for call in first)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("auto", ["get_weather"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TIME]}}, []),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TIME]}}, ["get_time"]),
    ],
)
def test_does_as_the_choice_says(choice: Any, names: list[str]) -> None:
    assert [name for name, _ in called("weather in Oslo", WEATHER, TIME, tool_choice=choice)] == names


def test_calls_the_first_tool_when_it_must_and_none_fits() -> None:
    assert called("hello", WEATHER, TIME, tool_choice="required") == [("get_weather", {"city": "unknown"})]


def test_calls_one_at_a_time_when_asked() -> None:
    assert len(called("weather in Oslo and Turin", WEATHER, parallel_tool_calls=False)) == 1


def test_hands_the_prompt_to_a_custom_tool() -> None:
    (call,) = calls({"tools": [CUSTOM]}, "run this code: 1+1")
    assert call["custom"] == {"name": "run_code", "input": "run this code: 1+1"}


def test_takes_the_old_functions_too() -> None:
    request = {"functions": [WEATHER["function"]], "function_call": {"name": "get_weather"}}
    assert len(calls(request, "weather in Oslo and Turin")) == 1


@pytest.mark.parametrize(
    ("request_", "message", "param"),
    [
        ({"tools": [{"type": "function", "function": {}}]}, "tools\\[0\\].function.name", "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {**WEATHER["function"], "strict": True}}]},
         "Invalid schema for function 'get_weather'", "tools[0].function.parameters"),
        ({"tools": [WEATHER], "tool_choice": {"type": "custom", "custom": {"name": "no"}}}, ".no.", "tool_choice"),
        ({"tool_choice": "required"}, "only allowed when 'tools'", "tool_choice"),
    ],
)  # fmt: skip
def test_complains_of_tools_it_cannot_use(request_: Any, message: str, param: str) -> None:
    with pytest.raises(BadToolsError, match=message) as caught:
        calls(request_, "hello")
    assert caught.value.param == param


def test_reads_the_results_at_the_end_of_a_conversation() -> None:
    asked: dict[str, Any] = {
        "role": "assistant",
        "tool_calls": [{"id": "a", "function": {"name": "f"}}, {"id": "b", "custom": {"name": "g"}}],
    }
    said: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
    ]
    old = {"role": "function", "name": "h", "content": "3"}
    assert results([asked, *said, old]) == [("f", "1"), ("g", "2"), ("h", "3")]
    assert results([asked, *said, {"role": "user", "content": "and?"}]) == []
