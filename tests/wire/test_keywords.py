"""Keywords of a call: a misspelt field warns, a field of the relay's own is sent."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import warnings
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tutuclient import ConfigError, RequestWarning, TutuClient
from tutuclient.testing import Server, sample_picture, sample_sound
from tutuclient.tools import toolbox
from tutuclient.types.chat import ChatFields
from tutuclient.wire import keywords

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CHAT = keywords.names(ChatFields, "stream")
MESSAGES = [{"role": "user", "content": "hi"}]


def get_weather(city: str) -> str:
    """Look up the weather."""
    return city


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("temprature", "temperature"),
        ("temperatur", "temperature"),
        ("max_token", "max_tokens"),
        ("maxTokens", "max_tokens"),
        ("max_completion_token", "max_completion_tokens"),
        ("Temperature", "temperature"),
        ("topp", "top_p"),
        ("top_logprob", "top_logprobs"),
        ("stream_option", "stream_options"),
        ("streem", "stream"),
        ("tool", "tools"),
        ("tool_choise", "tool_choice"),
        ("response_fromat", "response_format"),
        ("frequence_penalty", "frequency_penalty"),
        ("presense_penalty", "presence_penalty"),
        ("reasoning_efort", "reasoning_effort"),
        ("stpo", "stop"),
        ("sed", None),
        ("seeed", "seed"),
        ("timeuot", "timeout"),
        ("extra_header", "extra_headers"),
        ("extrabody", "extra_body"),
        ("modalites", "modalities"),
        ("metdata", "metadata"),
    ],
)
def test_a_misspelt_field_is_near_to_one(name: str, near: str | None) -> None:
    assert keywords.nearest(name, CHAT) == near


# Extra parameters of vLLM, SGLang, llama.cpp, DashScope, SiliconFlow, Volcengine, Gemini, OpenRouter and new-api.
@pytest.mark.parametrize(
    "name",
    [
        "enable_thinking",
        "thinking",
        "thinking_budget",
        "top_k",
        "top_a",
        "min_p",
        "min_tokens",
        "max_new_tokens",
        "repetition_penalty",
        "repeat_penalty",
        "length_penalty",
        "enable_search",
        "search_options",
        "incremental_output",
        "vl_high_resolution_images",
        "best_of",
        "use_beam_search",
        "stop_token_ids",
        "ignore_eos",
        "chat_template_kwargs",
        "guided_json",
        "guided_choice",
        "structured_outputs",
        "provider",
        "route",
        "transforms",
        "models",
        "plugins",
        "reasoning",
        "include_reasoning",
        "cache_prompt",
        "mirostat",
        "num_ctx",
        "safety_settings",
        "generation_config",
        "google",
        "size",
        "steps",
        "step",
        "speed",
        "mode",
        "style",
        "quality",
        "image",
        "images",
        "aspect_ratio",
        "negative_prompt",
        "n_predict",
        "caching",
        "priority",
        "user_id",
        "truncate",
        "logits_processors",
        "echo",
        "suffix",
        "watermark",
        "k",
        "fps",
        "top",
    ],
)
def test_a_relays_own_field_resembles_no_known_one(name: str) -> None:
    assert keywords.nearest(name, CHAT) is None


@pytest.mark.parametrize("name", sorted(CHAT))
def test_no_field_is_unknown(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keywords.check_keywords([name], CHAT, "f")


def test_a_field_that_is_given_is_not_what_another_means() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keywords.check_keywords(["seed", "seeds"], CHAT, "f")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("max_retries", "with_options(max_retries=…)"),
        ("api_key", "with_options(api_key=…)"),
        ("headers", "extra_headers="),
        ("request_timeout", "timeout="),
    ],
)
def test_a_setting_of_the_client_is_no_field(name: str, instead: str) -> None:
    with pytest.warns(RequestWarning, match="is not a field of a request") as caught:
        keywords.check_keywords([name], CHAT, "f")
    assert instead in str(caught[0].message)


async def _open(client: TutuClient, more: dict[str, Any]) -> None:
    async with await client.chat.completions.create(model="m", messages=MESSAGES, stream=True, **more) as stream:
        await stream.completion()


async def _streamed(client: TutuClient, more: dict[str, Any]) -> object:
    async with client.chat.completions.stream(model="m", messages=MESSAGES, **more) as stream:
        return await stream.completion()


CALLS: dict[str, tuple[Callable[[TutuClient, dict[str, Any]], Awaitable[object]], str, str]] = {
    "create": (
        lambda client, more: client.chat.completions.create(model="m", messages=MESSAGES, **more),
        "temprature",
        "temperature",
    ),
    "create, streamed": (
        _open,
        "max_token",
        "max_tokens",
    ),
    "stream": (_streamed, "stream_option", "stream_options"),
    "parse": (
        lambda client, more: client.chat.completions.parse(model="m", messages=MESSAGES, **more),
        "temprature",
        "temperature",
    ),
    "run_tools": (
        lambda client, more: client.chat.completions.run_tools(model="m", messages=MESSAGES, tools=[], **more),
        "max_round",
        "max_rounds",
    ),
    "raw": (
        lambda client, more: client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES, **more),
        "temprature",
        "temperature",
    ),
    "completions": (
        lambda client, more: client.completions.create(model="m", prompt="hi", **more),
        "sufix",
        "suffix",
    ),
    "embeddings": (
        lambda client, more: client.embeddings.create(model="m", input="hi", **more),
        "dimension",
        "dimensions",
    ),
    "images.generate": (
        lambda client, more: client.images.generate(model="m", prompt="hi", **more),
        "qualty",
        "quality",
    ),
    "images.edit": (
        lambda client, more: client.images.edit(model="m", image=sample_picture(), prompt="hi", **more),
        "backgroud",
        "background",
    ),
    "images.create_variation": (
        lambda client, more: client.images.create_variation(image=sample_picture(), **more),
        "sise",
        "size",
    ),
    "audio.speech": (
        lambda client, more: client.audio.speech.create(model="m", voice="alloy", input="hi", **more),
        "response_fromat",
        "response_format",
    ),
    "audio.transcriptions": (
        lambda client, more: client.audio.transcriptions.create(model="m", file=sample_sound(), **more),
        "langauge",
        "language",
    ),
    "audio.translations": (
        lambda client, more: client.audio.translations.create(model="m", file=sample_sound(), **more),
        "promt",
        "prompt",
    ),
    "analyze": (lambda client, more: client.analyze(sample_picture(), "What?", **more), "maxside", "max_side"),
    "edit": (lambda client, more: client.edit(sample_picture(), "blue", **more), "detial", "detail"),
    "generate": (lambda client, more: client.generate("a cat", **more), "max_token", "max_tokens"),
}


@pytest.mark.parametrize("row", CALLS.values(), ids=CALLS)
async def test_every_call_warns_of_what_is_misspelt(
    server: Server, row: tuple[Callable[[TutuClient, dict[str, Any]], Awaitable[object]], str, str]
) -> None:
    call, name, near = row
    async with TutuClient(KEY, server.base_url) as client:
        with pytest.warns(RequestWarning) as caught:
            await call(client, {name: 1})
        assert [str(warning.message).count(f"did you mean {near}=?") for warning in caught] == [1]
        assert f"{name}= is not a field" in str(caught[0].message)
        assert caught[0].filename == __file__
        assert len(server.requests) == 1

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await call(client, {"extra_body": {name: 1}})
            await call(client, {"enable_thinking": False})
            with pytest.raises(RequestWarning):
                await call(client, {name: 1})
        assert len(server.requests) == 3


async def test_a_warning_is_reported_at_the_line_of_the_call_also_within_a_task(server: Server) -> None:
    async with TutuClient(KEY, server.base_url) as client:
        with pytest.warns(RequestWarning) as caught:
            await asyncio.create_task(_asked(client))
    assert caught[0].filename == __file__


async def _asked(client: TutuClient) -> None:
    fields: dict[str, Any] = {"temprature": 0}
    await client.chat.completions.create(model="m", messages=MESSAGES, **fields)


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"temperature": "0.5"}, "temperature is '0.5': write a number, temperature=0.5"),
    ({"temperature": "hot"}, "temperature is 'hot': write a number"),
    ({"top_p": [1]}, "top_p is a list: write a number"),
    ({"max_tokens": "100"}, "max_tokens is '100': write a number, max_tokens=100"),
    ({"n": {"a": 1}}, "n is a dict: write a number"),
    ({"seed": b"1"}, "seed is 1 bytes: write a number"),
    ({"stop": b"x"}, "stop is 1 bytes: write text (.decode())"),
    ({"stop": ["a", bytearray(b"x")]}, "stop[1] is 1 bytes: write text"),
    ({"metadata": {"a": b"x"}}, "metadata.a is 1 bytes: write text"),
    ({"tool_choice": True}, 'tool_choice is True: write "auto", "none" or "required"'),
    ({"tool_choice": sorted}, '"function": {"name": "sorted"}'),
]


@pytest.mark.parametrize(("fields", "words"), IMPOSSIBLE, ids=[row[1] for row in IMPOSSIBLE])
async def test_what_a_field_cannot_have_is_refused(server: Server, fields: dict[str, Any], words: str) -> None:
    async with TutuClient("any", server.base_url) as client:
        with pytest.raises(ConfigError, match=re.escape(words)):
            await client.chat.completions.create(model="m", messages=MESSAGES, **fields)
    assert not server.requests


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": Decimal("0.5"), "top_p": Fraction(1, 2), "max_tokens": 5},
        {"temperature": None, "stop": None, "tool_choice": "any"},
        {"picture": b"raw base64 is what some relays want"},
        {"extra_body": {"temperature": "0.5"}},
        {"tools": [get_weather], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    ],
)
async def test_what_a_field_can_have_is_sent(server: Server, fields: dict[str, Any]) -> None:
    async with TutuClient("any", server.base_url) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await client.chat.completions.create(model="m", messages=MESSAGES, **fields)
    assert server.requests


@pytest.mark.parametrize("given", ["x", '{"a": 1}', [1], 5])
async def test_an_extra_body_without_names_is_refused(server: Server, given: Any) -> None:
    async with TutuClient("any", server.base_url) as client:
        for call in (
            client.chat.completions.create(model="m", messages=MESSAGES, extra_body=given),
            client.embeddings.create(model="m", input="a", extra_body=given),
            client.analyze("http://relay.example/a.png", "what?", extra_body=given),
        ):
            with pytest.raises(ConfigError, match="extra_body is .*: write a dict of fields"):
                await call
    assert not server.requests


@pytest.mark.parametrize("stream", ["false", "yes", "", b"1"])
async def test_text_does_not_ask_for_a_stream(server: Server, stream: Any) -> None:
    async with TutuClient("any", server.base_url) as client:
        with pytest.raises(ConfigError, match="stream is .*: write True or False"):
            await client.chat.completions.create(model="m", messages=MESSAGES, stream=stream)
        with pytest.raises(ConfigError, match="stream is .*: write True or False"):
            await client.generate("a cat", stream=stream)
    assert not server.requests


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tool_choice": "requierd"}, "did you mean 'required'?"),
        ({"tool_choice": "get_weather", "tools": [get_weather]}, "the name of a tool"),
        ({"model": " gpt-4o "}, "model is ' gpt-4o ', with spaces or quotes around it"),
        ({"model": '"gpt-4o"'}, "with spaces or quotes around it"),
    ],
)
async def test_words_that_are_nearly_right_are_warned_of(server: Server, fields: dict[str, Any], words: str) -> None:
    async with TutuClient("any", server.base_url) as client:
        with pytest.warns(RequestWarning, match=re.escape(words)):
            await client.chat.completions.create(**{"model": "m", "messages": MESSAGES, **fields})


@dataclasses.dataclass
class City:
    name: str


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("json", 'response_format is \'json\': write {"type": "json_object"}'),
        ("json_schema", 'write {"type": "json_schema"}'),
        (["json_object"], "response_format is a list"),
        (True, "response_format is True"),
        (City("Oslo"), "response_format is a City: give the class itself, City, to parse(…)"),
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["create", "parse", "stream", "analyze"])
async def test_an_invalid_format_is_refused(server: Server, asked: Any, words: str, how: str) -> None:
    async with TutuClient("any", server.base_url) as client:
        page = client.chat.completions
        with pytest.raises(ConfigError, match=re.escape(words)):
            if how == "stream":
                async with page.stream(model="m", messages=MESSAGES, response_format=asked):
                    pass
            elif how == "analyze":
                await client.analyze(sample_picture(), "what?", response_format=asked)
            else:
                await getattr(page, how)(model="m", messages=MESSAGES, response_format=asked)
    assert not server.requests


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"type": "json_objct"}, "did you mean 'json_object'?"),
        ({"type": "JSON_schema"}, "did you mean 'json_schema'?"),
        ({"type": "object", "properties": {}}, '"json_schema": {"name": …, "schema": …}'),
    ],
    ids=str,
)
def test_a_format_that_is_misspelt_is_warned_of(asked: Any, words: str) -> None:
    with pytest.warns(RequestWarning, match=re.escape(words)):
        keywords.check_format(asked)


@pytest.mark.parametrize(
    "asked",
    [None, {"type": "text"}, {"type": "json_object", "schema": {}}, {"type": "structural_tag"}, {"type": "ebnf"}, City],
    ids=str,
)
def test_formats_of_relays_pass(asked: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keywords.check_format(asked)


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ("get_weather", "tools must be a list of functions, Tool(…) or dicts; got 'get_weather'"),
        (get_weather, "or dicts; got a function"),
        (["get_weather"], "tools[0] is 'get_weather', which is not a tool"),
        ([get_weather, None], "tools[1] is None, which is not a tool"),
        ([{"type": "function"}], "tools[0] has no function: write"),
        ([{"type": "function", "function": get_weather}], "tools[0].function is a function: pass the function itself"),
    ],
    ids=str,
)
async def test_an_invalid_tool_is_refused(server: Server, tools: Any, words: str) -> None:
    async with TutuClient("any", server.base_url) as client:
        with pytest.raises(ConfigError, match=re.escape(words)):
            await client.chat.completions.create(model="m", messages=MESSAGES, tools=tools)
        with pytest.raises(ConfigError, match=re.escape(words)):
            await client.chat.completions.run_tools(model="m", messages=MESSAGES, tools=tools)
    assert not server.requests


@pytest.mark.parametrize(
    "tool", [{"name": "f", "parameters": {}}, {"name": "f", "input_schema": {}}, {"type": "function", "name": "f"}]
)
def test_a_tool_of_another_api_is_warned_of(tool: Any) -> None:
    with pytest.warns(RequestWarning, match="has its name beside type"):
        toolbox([tool])


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search", "web_search": {"enable": True}},
        {"type": "builtin_function", "function": {"name": "$web_search"}},
        {"type": "custom", "custom": {"name": "f"}},
        {"type": "mcp", "server_url": "https://mcp.example"},
        {"type": "computer_20241022", "name": "computer"},
        {"google_search": {}},
        {"function": {"name": "f"}},
    ],
    ids=str,
)
def test_tools_of_relays_pass(tool: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [*toolbox([tool]).values()] == [tool]
