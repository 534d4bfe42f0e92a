import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tutuclient.standin import audio as samples
from tutuclient.testing import Server, sample_picture, sample_sound

Post = Callable[..., Awaitable[Any]]
CHAT = "/chat/completions"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def asking(text: Any, **extra: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **extra}


async def test_calls_a_tool_for_each_thing_that_is_named(post: Post) -> None:
    answer = await post(CHAT, **asking("weather in Oslo and Turin", tools=[WEATHER]))
    (choice,) = answer["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    arguments = [json.loads(call["function"]["arguments"]) for call in choice["message"]["tool_calls"]]
    assert arguments == [{"city": "Oslo"}, {"city": "Turin"}]
    assert answer["usage"]["completion_tokens"] > 14


async def test_streams_calls_in_pieces(events: Post) -> None:
    *frames, done = await events(CHAT, **asking("weather in Oslo and Turin", tools=[WEATHER]))
    assert done == "[DONE]"
    deltas = [frame["choices"][0]["delta"] for frame in frames]
    assert deltas[0] == {"role": "assistant", "content": None}
    arguments = {0: "", 1: ""}
    for call in (call for delta in deltas for call in delta.get("tool_calls", ())):
        arguments[call["index"]] += call["function"]["arguments"]
    assert arguments == {0: '{"city":"Oslo"}', 1: '{"city":"Turin"}'}
    assert frames[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_quotes_what_the_tools_said(post: Post) -> None:
    asked = asking("weather in Oslo and Turin", tools=[WEATHER])
    message = (await post(CHAT, **asked))["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": said}
        for call, said in zip(message["tool_calls"], ("4 C", "19 C"), strict=True)
    ]
    answer = await post(CHAT, **{**asked, "messages": [*asked["messages"], message, *results]})
    assert answer["choices"][0]["message"]["content"] == (
        'From the tools: get_weather said "4 C"; get_weather said "19 C". (I am an offline stand-in, no model.)'
    )


async def test_answers_the_old_functions_in_the_old_way(post: Post) -> None:
    asked = asking("weather in Oslo", functions=[WEATHER["function"]])
    (choice,) = (await post(CHAT, **asked))["choices"]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "get_weather", "arguments": '{"city":"Oslo"}'}


async def test_refuses_results_without_calls_and_calls_without_results(post: Post) -> None:
    orphan = [{"role": "user", "content": "a"}, {"role": "tool", "tool_call_id": "x", "content": "1"}]
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "x", "function": {"name": "f"}}]}
    for messages, words in (
        (orphan, "must be a response to"),
        ([call, orphan[0]], "did not have response messages: x"),
    ):
        answer = await post(CHAT, model="m", messages=messages)
        assert (answer["status"], answer["error"]["param"]) == (400, "messages")
        assert words in answer["error"]["message"]


async def test_refuses_tools_and_schemas_it_cannot_use(post: Post) -> None:
    bad_tool = await post(CHAT, **asking("hi", tools=[{"type": "function", "function": {}}]))
    assert (bad_tool["status"], bad_tool["error"]["code"]) == (400, "invalid_function_parameters")
    form = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": {"type": "object"}}}
    bad_schema = await post(CHAT, **asking("hi", response_format=form))
    assert (bad_schema["status"], bad_schema["error"]["param"]) == (400, "response_format")
    assert "'additionalProperties' is required" in bad_schema["error"]["message"]
    nameless = await post(CHAT, **asking("hi", response_format={"type": "json_schema", "json_schema": {}}))
    assert "json_schema.name" in nameless["error"]["message"]


async def test_fills_the_schema_that_is_asked_for(post: Post) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}}
    answer = await post(CHAT, **asking("Ada is 36 years old", response_format=form))
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"name": "Ada", "age": 36}


async def test_fills_a_schema_with_what_it_sees(post: Post) -> None:
    schema = {"type": "object", "properties": {"width": {"type": "integer"}, "height": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "size", "schema": schema}}
    url = f"data:image/png;base64,{base64.b64encode(sample_picture()).decode()}"
    parts = [{"type": "text", "text": "size?"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = await post(CHAT, **asking(parts, response_format=form))
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"width": 720, "height": 540}


async def test_answers_any_object_when_any_will_do(post: Post) -> None:
    form = {"type": "json_object"}
    pairs = await post(CHAT, **asking("as JSON: name: Ada, city = Oslo", response_format=form))
    assert json.loads(pairs["choices"][0]["message"]["content"])["city"] == "Oslo"
    whole = await post(CHAT, **asking("some json please", response_format=form))
    assert json.loads(whole["choices"][0]["message"]["content"]) == {"answer": "some json please"}


async def test_gives_several_answers_that_can_be_distinguished(post: Post, events: Post) -> None:
    asked = asking("hi", n=3)
    whole = [choice["message"]["content"] for choice in (await post(CHAT, **asked))["choices"]]
    assert len(set(whole)) == 3
    streamed = ["", "", ""]
    order = []
    for frame in (await events(CHAT, **asked))[:-1]:
        (choice,) = frame["choices"]
        streamed[choice["index"]] += choice["delta"].get("content") or ""
        order.append(choice["index"])
    assert streamed == whole
    assert order[:6] == [0, 1, 2, 0, 1, 2]


async def test_says_how_likely_each_token_was(post: Post, events: Post) -> None:
    asked = asking("hi", logprobs=True, top_logprobs=2)
    choice = (await post(CHAT, **asked))["choices"][0]
    listed = choice["logprobs"]["content"]
    assert "".join(each["token"] for each in listed) == choice["message"]["content"]
    assert bytes(listed[0]["bytes"]).decode() == listed[0]["token"]
    assert all(len(each["top_logprobs"]) == 2 and each["logprob"] <= 0 for each in listed)
    assert listed[0]["top_logprobs"][0]["token"] == listed[0]["token"]
    frames = [frame["choices"][0] for frame in (await events(CHAT, **asked))[:-1]]
    assert [each for frame in frames if frame["logprobs"] for each in frame["logprobs"]["content"]] == listed


async def test_lists_no_likelihoods_unasked(post: Post) -> None:
    assert (await post(CHAT, **asking("hi")))["choices"][0]["logprobs"] is None
    bare = (await post(CHAT, **asking("hi", logprobs=True)))["choices"][0]["logprobs"]["content"]
    assert all(each["top_logprobs"] == [] for each in bare)


async def test_stops_at_a_word(post: Post) -> None:
    for stop in (" stand-in", ["nowhere", " stand-in"]):
        assert (await post(CHAT, **asking("hi", stop=stop)))["choices"][0]["message"]["content"] == "I am an offline"


async def test_thinks_aloud_when_asked_for_effort(post: Post, events: Post) -> None:
    asked = asking("hi", reasoning_effort="high", stream_options={"include_usage": True})
    answer = await post(CHAT, **asked)
    thought = answer["choices"][0]["message"]["reasoning_content"]
    assert thought.startswith("Effort high")
    details = answer["usage"]["completion_tokens_details"]
    assert details["reasoning_tokens"] + details["text_tokens"] == answer["usage"]["completion_tokens"]
    *frames, usage, _ = await events(CHAT, **asked)
    assert "".join(frame["choices"][0]["delta"].get("reasoning_content", "") for frame in frames) == thought
    assert usage["usage"] == answer["usage"]
    for none in (asking("hi"), asking("hi", reasoning_effort="none")):
        assert "reasoning_content" not in (await post(CHAT, **none))["choices"][0]["message"]


async def test_thinks_in_the_language_of_the_prompt(post: Post) -> None:
    answer = await post(CHAT, **asking("你好", reasoning={"effort": "low"}))
    assert answer["choices"][0]["message"]["reasoning_content"].startswith("思考强度 low")


async def test_speaks_its_answer(post: Post) -> None:
    audio = {"voice": "alloy", "format": "wav"}
    answer = await post(CHAT, **asking("hi", modalities=["text", "audio"], audio=audio))
    message = answer["choices"][0]["message"]
    assert message["content"] is None
    spoken = message["audio"]
    assert samples.listen(base64.b64decode(spoken["data"])).comment == spoken["transcript"]
    assert spoken["transcript"].startswith("I am an offline stand-in")
    assert spoken["expires_at"] > answer["created"]
    assert answer["usage"]["completion_tokens_details"]["audio_tokens"] > 0


async def test_streams_what_it_speaks_in_pieces_that_decode_by_themselves(post: Post, events: Post) -> None:
    asked = asking("hi " * 30, modalities=["text", "audio"], audio={"voice": "alloy", "format": "pcm16"})
    whole = (await post(CHAT, **asked))["choices"][0]["message"]["audio"]
    frames = (await events(CHAT, **asked))[:-1]
    pieces = [frame["choices"][0]["delta"]["audio"] for frame in frames if "audio" in frame["choices"][0]["delta"]]
    data = [base64.b64decode(piece["data"]) for piece in pieces if "data" in piece]
    assert len(data) > 1
    assert all(len(piece) % 2 == 0 for piece in data)
    assert b"".join(data) == base64.b64decode(whole["data"])
    assert "".join(piece.get("transcript", "") for piece in pieces) == whole["transcript"]
    assert pieces[0] == {"id": whole["id"]}


async def test_refuses_to_speak_in_a_format_it_has_no_encoder_for(post: Post) -> None:
    answer = await post(CHAT, **asking("hi", modalities=["audio"], audio={"voice": "alloy", "format": "mp3"}))
    assert (answer["status"], answer["error"]["code"]) == (400, "invalid_audio_request")
    assert "no encoder for 'mp3'" in answer["error"]["message"]


def heard(data: bytes, text: str = "what is it?") -> dict[str, Any]:
    part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"}}
    return asking([{"type": "text", "text": text}, part])


async def test_listens_to_audio(post: Post) -> None:
    english = (await post(CHAT, **heard(sample_sound("hello"))))["choices"][0]["message"]["content"]
    assert english.startswith("This is a recording of 0.32 seconds at 24000 Hz with 1 channel, loudness -1")
    assert 'It says: "hello"' in english
    assert "measures audio, no model" in english
    chinese = (await post(CHAT, **heard(sample_sound(""), "这是什么")))["choices"][0]["message"]["content"]
    assert chinese.startswith("这是一段 0.24 秒的录音")
    assert "里面说" not in chinese


async def test_says_why_it_cannot_listen(post: Post) -> None:
    answer = await post(CHAT, **heard(b"ID3"))
    assert (answer["status"], answer["error"]["code"]) == (400, "invalid_audio_request")
    broken = asking([{"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}}])
    assert "could not be decoded" in (await post(CHAT, **broken))["error"]["message"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("stream", "true", "cannot unmarshal string into Go struct field GeneralOpenAIRequest.stream of type bool"),
        ("max_tokens", -1, "cannot unmarshal number -1 into"),
        ("max_tokens", 1.5, "cannot unmarshal number 1.5 into"),
        ("n", True, "cannot unmarshal bool into"),
        ("logprobs", [], "cannot unmarshal array into"),
    ],
)
async def test_refuses_fields_of_the_wrong_type_as_go_does(post: Post, field: str, value: Any, words: str) -> None:
    answer = await post(CHAT, **asking("hi", **{field: value}))
    assert answer["status"] == 400
    assert words in answer["error"]["message"]


async def test_takes_nulls_for_fields_that_were_not_given(post: Post) -> None:
    assert (await post(CHAT, **asking("hi", stream=None, n=None, max_tokens=None)))["choices"]


async def test_every_answer_costs_a_little_and_an_image_more(server: Server, post: Post) -> None:
    before = server.account.balance
    await post(CHAT, **asking("hi"))
    text = before - server.account.balance
    await post(CHAT, **asking("a cat", model="gpt-4o-image"))
    assert 0 < text < before - text - server.account.balance
