"""Coming from openai: its names and settings, and each line of its docstring on what differs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import importlib
import json
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

import tutuclient
from tests.conftest import KEY, QUICK
from tutuclient import (
    ConfigError,
    IncompleteStreamError,
    OutcomeUnknownError,
    Request,
    RetryPolicy,
    ToolRun,
    TutuClient,
    UnexpectedResponseError,
    compat,
)
from tutuclient.compat import (
    NOT_GIVEN,
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    AsyncStream,
    BadRequestError,
    InternalServerError,
    LengthFinishReasonError,
    NotGiven,
    Omit,
    OpenAIError,
    RateLimitError,
    Timeout,
    not_given,
    omit,
    pydantic_function_tool,
)
from tutuclient.testing import chunk, fails, raw, sample_picture, sample_sound, says, streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tutuclient.testing import Server

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
CALL = {"id": "call_0", "type": "function", "function": {"name": "Weather", "arguments": '{"city": "Oslo"}'}}
CALLS = says("", tool_calls=[CALL | {"thought_signature": "t"}], finish_reason="tool_calls")


class Weather(pydantic.BaseModel):
    """Tell the weather."""

    city: str


class Url:
    """As the URL objects of other libraries: its text is the address."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


@pytest.fixture
async def openai(server: Server) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key=KEY, base_url=server.base_url, retry=QUICK) as client:
        yield client


# --- making a client -----------------------------------------------------------------------------------------------


def test_openai_key_alone_goes_to_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    client = AsyncOpenAI()
    assert (client.base_url, client.api_key) == ("https://api.openai.com/v1", "sk-openai")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        TutuClient()


def test_the_key_of_a_relay_never_goes_to_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTU_API_KEY", "sk-relay")
    monkeypatch.setenv("TUTU_BASE_URL", "https://relay.example/v1")
    with pytest.raises(OpenAIError, match="no API key"):
        AsyncOpenAI()
    assert AsyncOpenAI(api_key="sk-openai").base_url == "https://api.openai.com/v1"


@pytest.mark.parametrize("name", ["api_key", "base_url"])
def test_an_empty_setting_is_wrong_and_nothing_stands_in_for_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://openai.example/v1")
    empty: dict[str, Any] = {name: ""}
    with pytest.raises(ConfigError, match=f"{name} is given and empty"):
        AsyncOpenAI(**empty)
    with pytest.raises(ConfigError, match="empty"):
        AsyncOpenAI().with_options(**empty)


def test_swapped_settings_are_refused_unseen() -> None:
    with pytest.raises(ConfigError, match="swapped") as caught:
        AsyncOpenAI(api_key="https://h.example/v1", base_url="sk-0123456789abcdef")
    assert "sk-0123" not in f"{caught.value!r} {vars(caught.value)}"


def test_the_environment_of_openai_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"API_KEY": "sk", "BASE_URL": "https://h.example/api", "ORG_ID": "org-1", "PROJECT_ID": "proj-1"}
    for name, value in said.items():
        monkeypatch.setenv(f"OPENAI_{name}", value)
    client = AsyncOpenAI(base_url=NOT_GIVEN)
    assert (client.base_url, client.organization, client.project) == ("https://h.example/api", "org-1", "proj-1")
    client = AsyncOpenAI(organization="org-2", base_url=Url("https://other.example/v2/"))
    assert (client.base_url, client.organization) == ("https://other.example/v2", "org-2")


async def test_all_settings_of_openai_are_taken(server: Server) -> None:
    client = AsyncOpenAI(
        api_key=KEY,
        organization="org",
        project="proj",
        webhook_secret="whsec",
        base_url=Url(server.base_url),
        websocket_base_url=None,
        timeout=NOT_GIVEN,
        max_retries=NOT_GIVEN,
        default_headers={"X-Team": "t", "User-Agent": omit},
        default_query={"v": 1, "w": omit},
        http_client=None,
        _strict_response_validation=False,
        max_concurrency=3,
    )
    async with client:
        await client.chat.completions.create(**ASK)
    request = server.requests[0]
    assert (request.headers["OpenAI-Organization"], request.headers["OpenAI-Project"]) == ("org", "proj")
    assert (request.headers["X-Team"], request.query["v"]) == ("t", "1")
    assert "tutuclient" not in request.headers.get("User-Agent", "")
    assert "w" not in request.query
    assert (client.timeout, client.max_retries) == (Timeout(), compat.DEFAULT_MAX_RETRIES)
    assert client.default_headers["X-Team"] == "t"
    assert client.default_query == {"v": "1"}


async def test_a_key_may_be_an_async_function(server: Server) -> None:
    async def key() -> str:
        return "sk-fresh"

    async with AsyncOpenAI(api_key=key, base_url=server.base_url) as client:
        await client.chat.completions.create(**ASK)
        assert client.api_key == ""
    assert server.requests[0].headers["Authorization"] == "Bearer sk-fresh"


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"http_client": object()}, "proxy="),
        ({"_strict_response_validation": True}, "generously"),
        ({"api_key": " "}, "empty"),
        ({"base_url": "ftp://h"}, "http"),
    ],
)
def test_what_cannot_be_honoured_is_refused_and_shows_no_secret(settings: dict[str, Any], what: str) -> None:
    given: dict[str, Any] = {"api_key": KEY, "default_headers": {"X-Secret": "s3cret"}, **settings}
    with pytest.raises(ConfigError, match=what) as caught:
        AsyncOpenAI(**given)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    below = "".join(line for frame in list(shown.stack)[1:] for line in (frame.locals or {}).values())
    assert not any(secret in below for secret in (KEY, "s3cret"))


@pytest.mark.parametrize("name", ["workload_identity", "provider", "data_residency", "admin_api_key"])
def test_settings_that_are_not_here_are_no_keywords(name: str) -> None:
    given: dict[str, Any] = {"api_key": KEY, name: "x"}
    with pytest.raises(TypeError, match=name):
        AsyncOpenAI(**given)


async def test_copies_take_the_settings_of_openai(server: Server, openai: AsyncOpenAI) -> None:
    first = openai.copy(organization="o1", default_headers={"X-A": "1"}, default_query={"a": 1}, max_retries=5)
    second = first.with_options(
        api_key="sk-other", project="p", set_default_headers={"X-B": "2"}, set_default_query={"b": 2}, timeout=5
    )
    for client in (first, second, openai):
        await client.chat.completions.create(**ASK)
    one, two, plain = server.requests
    assert (one.headers["OpenAI-Organization"], one.headers["X-A"], dict(one.query)) == ("o1", "1", {"a": "1"})
    assert (two.headers["Authorization"], two.headers["X-B"], dict(two.query)) == ("Bearer sk-other", "2", {"b": "2"})
    assert (two.headers["OpenAI-Organization"], two.headers["OpenAI-Project"]) == ("o1", "p")
    assert "X-A" not in two.headers
    assert (plain.headers["Authorization"], dict(plain.query)) == (f"Bearer {KEY}", {})
    assert (first.max_retries, second.max_retries, second.timeout.total) == (5, 5, 5)
    assert server.open_connections == 1
    with pytest.raises(ConfigError, match="not both"):
        openai.copy(default_headers={}, set_default_headers={})
    with pytest.raises(ConfigError, match="not both"):
        openai.copy(default_query={}, set_default_query={})
    with pytest.raises(ConfigError, match="proxy="):
        openai.copy(http_client=object())


async def test_a_copy_for_another_server_has_its_own_connections(server: Server, openai: AsyncOpenAI) -> None:
    async def key() -> str:
        return "sk-async"

    other = openai.with_options(base_url=server.base_url.replace("127.0.0.1", "localhost"), api_key=key)
    async with other:
        await other.chat.completions.create(**ASK)
    await openai.chat.completions.create(**ASK)
    assert server.requests[0].headers["Authorization"] == "Bearer sk-async"
    assert server.requests[0].connection != server.requests[1].connection
    assert openai.with_options(base_url=f"{server.base_url}/deeper").base_url == f"{server.base_url}/deeper"


def test_a_client_travels(server: Server) -> None:
    client = pickle.loads(pickle.dumps(AsyncOpenAI(api_key=KEY, base_url=server.base_url, project="p")))  # noqa: S301  (our own bytes)
    assert (type(client), client.project, client.api_key) == (AsyncOpenAI, "p", KEY)
    assert KEY not in repr(client)


# --- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ["compat", "compat.types", "compat.types.chat", "compat.types.audio"])
def test_every_name_is_there(room: str) -> None:
    module = importlib.import_module(f"tutuclient.{room}")
    assert [name for name in module.__all__ if getattr(module, name, None) is None] == []


def test_exceptions_and_types_are_the_clients_own() -> None:
    same = {name for name in compat.__all__ if name.endswith("Error")}
    assert [name for name in same if getattr(compat, name) is not getattr(tutuclient, name)] == []
    chat = compat.types.chat
    assert (chat.ChatCompletion, chat.ChatCompletionMessage) == (tutuclient.ChatCompletion, tutuclient.ChatMessage)
    assert chat.ChatCompletionUserMessageParam(role="user", content="hi") == {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("OpenAI", "await"),
        ("AzureOpenAI", "await"),
        ("AsyncAzureOpenAI", "base_url="),
        ("DefaultAioHttpClient", "proxy="),
        ("AsyncBedrockOpenAI", "Bedrock"),
    ],
)
def test_a_name_that_is_not_here_says_what_to_do(name: str, advice: str) -> None:
    with pytest.raises(ImportError, match=advice):
        exec(f"from tutuclient.compat import {name}")  # noqa: S102  (the very line that people write)
    assert not hasattr(compat, "nothing_of_the_kind")


def test_a_page_that_is_not_here_says_so(openai: AsyncOpenAI) -> None:
    untyped: Any = openai
    for page in ("responses", "files", "vector_stores"):
        with pytest.raises(AttributeError, match="keep the openai package"):
            getattr(untyped, page)
    assert not hasattr(untyped, "nothing_of_the_kind")


# --- the docstring's list: the same ----------------------------------------------------------------------------------


async def test_calls_have_the_same_names_and_keywords(openai: AsyncOpenAI) -> None:
    completion = await openai.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], temperature=0, max_tokens=500, extra_body={"top_k": 1}
    )
    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens  # type: ignore[operator]  # the relay counts
    assert (await openai.completions.create(model="m", prompt="hi")).choices[0].text
    assert len((await openai.embeddings.create(model="m", input=["a", "b"])).data[1].embedding) > 1
    assert [model.id for model in await openai.models.list()]
    assert (await openai.beta.chat.completions.create(**ASK)).choices


async def test_pictures_and_sounds_have_the_same_names(openai: AsyncOpenAI, tmp_path: Path) -> None:
    made = await openai.images.generate(model="m", prompt="a red square", response_format="b64_json", size="64x64")
    picture = base64.b64decode(made.data[0].b64_json or "")
    edited = await openai.images.edit(image=("a.png", picture), prompt="blue", mask=omit)
    assert edited.data[0].b64_json or edited.data[0].url
    spoken = await openai.audio.speech.create(model="m", voice="alloy", input="hello", response_format="wav")
    spoken.write_to_file(tmp_path / "a.wav")
    heard = await openai.audio.transcriptions.create(model="m", file=tmp_path / "a.wav", language=omit)
    assert heard.text


async def test_streams_are_read_in_the_same_ways(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(says("one two"), says("one two"), says("one two"))
    stream = await openai.chat.completions.create(**ASK, stream=True)
    assert isinstance(stream, AsyncStream)
    assert "".join([piece.choices[0].delta.content or "" async for piece in stream if piece.choices]) == "one two"
    async with openai.chat.completions.stream(**ASK) as events:
        deltas = [event.delta async for event in events.events() if event.type == "content.delta"]
        assert "".join(deltas) == "one two"
        assert (await events.get_final_completion()).choices[0].message.content == "one two"


async def test_what_is_omitted_is_not_sent(server: Server, openai: AsyncOpenAI) -> None:
    nothing: dict[str, Any] = {"temperature": omit, "tools": NOT_GIVEN, "response_format": not_given, "stream": omit}
    nothing |= {"extra_headers": omit, "extra_query": NOT_GIVEN, "extra_body": omit, "timeout": NOT_GIVEN}
    await openai.chat.completions.create(**ASK, **nothing)
    assert server.requests[0].json == ASK
    await openai.chat.completions.parse(**ASK, **{**nothing, "stream_options": omit, "stream": False})
    assert server.requests[1].json == {**ASK, "stream": False}
    await openai.completions.create(model="m", prompt="p", suffix=omit)
    await openai.embeddings.create(model="m", input="a", dimensions=omit, encoding_format=NOT_GIVEN)
    await openai.images.generate(prompt="a cat", n=omit, size=NOT_GIVEN)
    await openai.audio.speech.create(model="m", voice="v", input="i", speed=omit, stream_format=omit)
    assert [request.json for request in server.requests[2:]] == [
        {"model": "m", "prompt": "p"},
        {"input": "a", "model": "m", "encoding_format": "base64"},
        {"prompt": "a cat"},
        {"model": "m", "input": "i", "voice": "v"},
    ]
    await openai.images.create_variation(image=("a.png", sample_picture()), n=omit)
    await openai.audio.transcriptions.create(model="m", file=("a.wav", sample_sound()), prompt=omit)
    assert [set(dict(request.form.fields)) for request in server.requests[6:]] == [set(), {"model"}]
    assert isinstance(omit, Omit)
    assert isinstance(NOT_GIVEN, NotGiven)
    assert not omit


async def test_raw_and_open_responses_are_the_same(openai: AsyncOpenAI) -> None:
    response = await openai.chat.completions.with_raw_response.create(**ASK)
    assert (response.status_code, response.parse().choices[0].finish_reason) == (200, "stop")
    async with openai.chat.completions.with_streaming_response.create(**ASK) as response:
        assert b"choices" in b"".join([piece async for piece in response.iter_bytes()])


async def test_errors_are_caught_in_the_same_order(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(fails(400, "no", code="bad_value"), *[fails(429, "slow")] * 3)
    with pytest.raises(BadRequestError) as caught:
        await openai.chat.completions.create(**ASK)
    error = caught.value
    assert (error.status_code, error.code, error.request_id) == (400, "bad_value", error.response.request_id)  # type: ignore[union-attr]  # it came whole
    assert issubclass(APITimeoutError, APIConnectionError)
    assert issubclass(BadRequestError, APIStatusError)
    assert issubclass(APIStatusError, APIError)
    with pytest.raises(RateLimitError, match="slow"):
        await openai.with_options(max_retries=0).chat.completions.create(**ASK)
    # Unlike openai's client, ours counts no refusal as an attempt.
    await openai.chat.completions.create(**ASK)
    assert len(server.requests) == 1 + 3 + 1


async def test_an_answer_is_dumped_and_sent_back_in_the_same_ways(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(CALLS, says("sunny"), says("sunny"))
    completion = await openai.chat.completions.create(**ASK)
    message = completion.choices[0].message
    assert completion._request_id == completion.request_id == completion.meta.request_id  # pyright: ignore[reportPrivateUsage]  (openai's public name)
    result = {"role": "tool", "tool_call_id": "call_0", "content": "sun"}
    for said in (message, message.model_dump(), message.to_dict(), json.loads(message.model_dump_json())):
        await openai.chat.completions.create(model="m", messages=[*ASK["messages"], said, result])
    sent = [request.json["messages"][1] for request in server.requests[1:]]
    assert [(said["role"], said["tool_calls"]) for said in sent] == [
        ("assistant", [CALL | {"thought_signature": "t"}])
    ] * 4
    assert set(sent[1]) == {"role", "content", "refusal", "annotations", "audio", "function_call", "tool_calls"}


async def test_fields_beyond_openai_are_attributes(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(says("a", thought="t"))
    completion: Any = await openai.chat.completions.create(**ASK)
    assert completion.choices[0].message.thought == "t"
    assert completion.choices[0].message.model_extra == {"thought": "t"}


async def test_a_pydantic_model_is_parsed_and_may_be_a_tool(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(says('{"city": "Oslo"}'), CALLS, says('{"ci', finish_reason="length"))
    answer = await openai.chat.completions.parse(**ASK, response_format=Weather)
    assert answer.choices[0].message.parsed == Weather(city="Oslo")
    tool = pydantic_function_tool(Weather)
    answer = await openai.chat.completions.parse(**ASK, tools=[tool])
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.parsed_arguments == Weather(city="Oslo")
    described = server.requests[1].json["tools"][0]["function"]
    assert (described["name"], described["description"], described["strict"]) == ("Weather", "Tell the weather.", True)
    with pytest.raises(LengthFinishReasonError):
        await openai.chat.completions.parse(**ASK, response_format=Weather)


# --- better --------------------------------------------------------------------------------------------------------


async def test_a_cut_stream_raises_with_what_had_come(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(streams([chunk("half")], done=False))
    with pytest.raises(IncompleteStreamError) as caught:
        _ = [piece async for piece in await openai.chat.completions.create(**ASK, stream=True)]
    assert caught.value.partial is not None
    assert caught.value.partial.text == "half"


async def test_an_order_of_a_picture_is_not_repeated_in_silence(server: Server, openai: AsyncOpenAI) -> None:
    server.faults("fin_after_request", times=2)
    with pytest.raises(OutcomeUnknownError):
        await openai.images.generate(prompt="a cat")
    assert len(server.requests) == 1
    willing = openai.with_options(retry=RetryPolicy(resend_unknown=True, wait_initial=0.01))
    assert (await willing.images.generate(prompt="a cat")).data
    assert len(server.requests) > 2


async def test_an_error_under_status_200_is_an_error(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(*[raw(body=b'{"error": {"message": "upstream", "type": "server_error"}}')] * 3)
    with pytest.raises(InternalServerError):
        await openai.chat.completions.create(**ASK)


async def test_a_page_of_html_is_an_error_with_a_hint(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(raw(body=b"<!doctype html><title>Panel</title>", headers={"Content-Type": "text/html"}))
    with pytest.raises(UnexpectedResponseError) as caught:
        await openai.chat.completions.create(**ASK)
    assert "/v1" in caught.value.hint


async def test_a_stream_that_fails_before_its_first_chunk_is_tried_again(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(streams([{"error": {"message": "overloaded", "type": "server_error"}}]), says("fine"))
    stream = await openai.chat.completions.create(**ASK, stream=True)
    assert "".join([piece.text async for piece in stream]) == "fine"
    assert stream.meta.attempts == 2


async def test_leaving_a_stream_closes_its_connection(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(streams([chunk("a")], then="hang"))
    async for _ in await openai.chat.completions.create(**ASK, stream=True):
        break
    assert (await server.wait_closed()).aborted


async def test_tools_are_plain_functions_and_are_run(server: Server, openai: AsyncOpenAI) -> None:
    def weather(city: str) -> str:
        """Tell the weather."""
        return f"sun in {city}"

    call = CALL | {"function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    server.answers(says("", tool_calls=[call], finish_reason="tool_calls"), says("sunny"))
    run = await openai.chat.completions.run_tools(**ASK, tools=[weather])
    assert isinstance(run, ToolRun)
    assert (run.completion.text, server.requests[1].json["messages"][-1]["content"]) == ("sunny", "sun in Oslo")


async def test_a_file_is_streamed_where_openai_holds_it(server: Server, openai: AsyncOpenAI, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(sample_picture())
    part = {"type": "image_url", "image_url": {"url": tmp_path / "a.png"}}
    await openai.chat.completions.create(model="m", messages=[{"role": "user", "content": [part]}])
    sent = server.requests[0].json["messages"][0]["content"][0]["image_url"]["url"]
    assert base64.b64decode(sent.partition(",")[2]) == sample_picture()


async def test_middleware_stands_where_http_clients_had_hooks(server: Server) -> None:
    seen: list[str] = []

    async def watch(request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
        seen.append(request.method)
        return await call_next(request)

    async with AsyncOpenAI(api_key=KEY, base_url=server.base_url, middleware=[watch]) as client:
        await client.chat.completions.create(**ASK)
    assert seen == ["POST"]


# --- deliberately different ----------------------------------------------------------------------------------------


async def test_a_timeout_is_a_deadline_over_everything(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(streams([chunk(word) for word in "abcdefgh"], delay=0.1))
    with pytest.raises(APITimeoutError):
        async for _ in await openai.chat.completions.create(**ASK, stream=True, timeout=0.3):
            pass


async def test_fields_of_a_relay_are_keywords_too(server: Server, openai: AsyncOpenAI) -> None:
    await openai.chat.completions.create(**ASK, enable_thinking=False)  # type: ignore[call-overload]  # typed code writes extra_body
    assert server.requests[0].json["enable_thinking"] is False


async def test_proxies_of_the_environment_are_used_but_for_loopback(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    made = AsyncOpenAI(api_key=KEY, base_url="http://relay.example/v1")
    assert made.proxy == "http://127.0.0.1:1 (http_proxy)"
    assert made.with_options(base_url=server.base_url).proxy is None
    await AsyncOpenAI(api_key=KEY, base_url=server.base_url).chat.completions.create(**ASK)
    assert len(server.requests) == 1


async def test_an_answer_cannot_be_changed(openai: AsyncOpenAI) -> None:
    completion: Any = await openai.chat.completions.create(**ASK)
    with pytest.raises(AttributeError):
        completion.model = "other"


def test_a_type_for_create_is_refused_before_it_is_sent(openai: AsyncOpenAI) -> None:
    untyped: Any = openai.chat.completions
    with pytest.raises(ConfigError, match="parse"):
        asyncio.run(untyped.create(**ASK, response_format=Weather))


async def test_a_closed_client_opens_again(server: Server, openai: AsyncOpenAI) -> None:
    async with contextlib.aclosing(openai):
        await openai.chat.completions.create(**ASK)
    await openai.chat.completions.create(**ASK)
    assert len(server.requests) == 2


async def test_any_other_path_is_reached_as_with_openai(server: Server, openai: AsyncOpenAI) -> None:
    answer: Any = await openai.post("/chat/completions", body={**ASK, "temperature": omit}, cast_to=dict)
    assert answer["choices"]
    assert server.requests[0].json == ASK
    listed: Any = await openai.get("/models", cast_to=dict)
    assert listed["data"]


async def test_speech_goes_into_a_file_as_it_comes(openai: AsyncOpenAI, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"model": "m", "voice": "alloy", "input": "hello", "response_format": "wav"}
    async with openai.audio.speech.with_streaming_response.create(**asked) as response:
        await response.stream_to_file(tmp_path / "a.wav")
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"


async def test_the_models_can_be_iterated_over_at_once_or_as_a_list(server: Server) -> None:
    async with AsyncOpenAI(api_key=KEY, base_url=server.base_url) as client:
        at_once = [model.id async for model in client.models.list()]
        listed = await client.models.list()
        assert at_once == [model.id for model in listed] == [model.id async for model in listed]
        assert (await asyncio.create_task(client.models.list())).data == listed.data
        async with client.models.with_streaming_response.list() as response:
            assert (await response.parse()).data == listed.data


async def test_stream_gives_openais_events(server: Server) -> None:
    server.answers(says("hello"), says("you"))
    async with AsyncOpenAI(api_key=KEY, base_url=server.base_url) as client:
        async with client.chat.completions.stream(**ASK) as stream:
            text = "".join([event.delta async for event in stream if event.type == "content.delta"])
            assert text == "hello"
            assert (await stream.get_final_completion()).text == "hello"
        async with client.chat.completions.stream(**ASK) as stream:
            await stream.until_done()
            assert stream.current_completion_snapshot is not None
            assert stream.current_completion_snapshot.text == "you"


async def test_a_sound_is_written_by_openais_names_too(server: Server, tmp_path: Path) -> None:
    async with AsyncOpenAI(api_key=KEY, base_url=server.base_url) as client:
        sound = await client.audio.speech.create(model="tts-1", voice="alloy", input="hi")
    sound.stream_to_file(tmp_path / "a.wav")
    await sound.astream_to_file(tmp_path / "b.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes() == sound.content


# --- what openai's responses and streams have, too --------------------------------------------------------------------


async def test_raw_and_open_responses_say_what_was_asked(server: Server, openai: AsyncOpenAI) -> None:
    # Source: openai-python 3.57, ``_response.AsyncAPIResponse`` and ``_legacy_response.LegacyAPIResponse``.
    server.answers(says("hi"), says("hi"))
    page = openai.chat.completions
    asked = f"{server.base_url}/chat/completions"
    raw_response = await page.with_raw_response.create(**ASK, extra_query={"token": "hidden"})
    assert (raw_response.method, raw_response.url, raw_response.http_version) == ("POST", asked, "HTTP/1.1")
    assert raw_response.is_closed
    await raw_response.close()
    assert "hidden" not in f"{vars(raw_response)}"
    async with page.with_streaming_response.create(**ASK) as response:
        assert (response.method, response.url, response.http_version) == ("POST", asked, "HTTP/1.1")
        before = response.is_closed
        assert (await response.parse()).text == "hi"
        assert (before, response.is_closed) == (False, True)
        await response.close()


async def test_a_response_is_closed_when_its_stream_is(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(*[says("hello there")] * 4)
    page = openai.chat.completions
    raw_response = await page.with_raw_response.create(**ASK, stream=True)
    assert not raw_response.is_closed
    await raw_response.close()
    assert raw_response.is_closed
    async with page.with_streaming_response.create(**ASK, stream=True) as response:
        stream = await response.parse()
        assert (response.is_closed, stream.is_closed) == (False, False)
        assert "".join([piece.text async for piece in stream]) == "hello there"
        assert (response.is_closed, stream.is_closed) == (True, True)
    async with page.with_streaming_response.create(**ASK, stream=True) as response:
        async for _ in response.iter_bytes():
            break
        await response.close()
        assert response.is_closed
    async with page.with_streaming_response.create(**ASK) as response:
        await response.read()
        assert response.is_closed


async def test_there_is_no_httpx_and_that_is_said(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(says("hi"))
    response: Any = await openai.chat.completions.with_raw_response.create(**ASK)
    for name in ("http_request", "http_response"):
        with pytest.raises(AttributeError, match=f"no httpx here, so no .{name}: .method and .url"):
            getattr(response, name)
    with pytest.raises(AttributeError, match="'APIResponse' object has no attribute 'nonsense'"):
        _ = response.nonsense
    assert copy.copy(response).text == response.text


async def test_streams_have_their_response(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(says("hi"), says("hi"))
    async with await openai.chat.completions.create(**ASK, stream=True) as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["Content-Type"].startswith("text/event-stream")
        assert stream.response.request_id
    async with openai.chat.completions.stream(**ASK) as events:
        assert events.response.status_code == 200


async def test_the_client_says_whether_it_is_closed(server: Server) -> None:
    client = AsyncOpenAI(api_key=KEY, base_url=server.base_url)
    beside = client.with_options(max_retries=0)
    assert not client.is_closed()
    await client.models.list()
    await client.close()
    assert (client.is_closed(), beside.is_closed()) == (True, True)
    await client.models.list()
    assert not client.is_closed()
    await client.close()
    unused = AsyncOpenAI(api_key=KEY, base_url=server.base_url)
    await unused.close()
    assert unused.is_closed()


async def test_parse_has_raw_and_open_responses(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(*[says('{"city": "Oslo"}')] * 2, says("no JSON"))
    page = openai.chat.completions
    response = await page.with_raw_response.parse(**ASK, response_format=Weather)
    assert response.status_code == 200
    assert response.parse().choices[0].message.parsed == Weather(city="Oslo")
    assert response.json()["choices"]
    async with page.with_streaming_response.parse(**ASK, response_format=Weather) as opened:
        assert (await opened.parse()).choices[0].message.parsed == Weather(city="Oslo")
    with pytest.raises(UnexpectedResponseError, match="does not fit Weather"):
        await page.with_raw_response.parse(**ASK, response_format=Weather)


async def test_the_client_gives_all_its_pages_raw_or_open(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(says("hi"), says("hi"))
    response = await openai.with_raw_response.chat.completions.create(**ASK)
    assert response.parse().text == "hi"
    async with openai.with_streaming_response.chat.completions.create(**ASK) as opened:
        assert (await opened.parse()).text == "hi"
    assert (await openai.with_raw_response.models.list()).status_code == 200
    vectors = await openai.with_raw_response.embeddings.create(model="m", input="a")
    assert vectors.parse().data
    for name in ("images.generate", "audio.speech.create", "audio.transcriptions.create", "audio.translations.create"):
        page: Any = openai.with_raw_response
        for step in name.split("."):
            page = getattr(page, step)
        assert callable(page)
    assert callable(copy.copy(openai.with_raw_response).models.list)
    with pytest.raises(AttributeError, match="with_raw_response has no post"):
        _ = openai.with_raw_response.post
    with pytest.raises(AttributeError, match="keep the openai package"):
        _ = openai.with_raw_response.files


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("chat.completions.retrieve", "client.get.*/chat/completions/ID"),
        ("chat.completions.update", "client.post.*/chat/completions/ID"),
        ("chat.completions.list", "client.get.*/chat/completions"),
        ("chat.completions.messages", "client.get.*/messages"),
        ("chat.completions.delete", "client.delete.*/chat/completions/ID"),
        ("models.delete", "client.delete.*/models/ID"),
        ("request", "client.get, post, put, patch and delete"),
        ("chat.completions.nonsense", "object has no attribute 'nonsense'"),
    ],
)
def test_calls_that_are_not_here_name_what_is(path: str, words: str) -> None:
    page: Any = AsyncOpenAI(api_key=KEY)
    with pytest.raises(AttributeError, match=words):
        for step in path.split("."):
            page = getattr(page, step)


# What openai-python 3.57 tells of these streams, seen by running it beside: type, delta, snapshot.
async def test_events_are_openais_from_the_first_piece(server: Server, openai: AsyncOpenAI) -> None:
    stop = chunk(None, finish_reason="stop")
    server.answers(streams([chunk("", role="assistant"), chunk('{"city":'), chunk(' "Os'), chunk('lo"}'), stop]))
    seen: list[tuple[Any, ...]] = []
    async with openai.chat.completions.stream(**ASK, response_format=Weather) as stream:
        async for event in stream:
            now = stream.current_completion_snapshot
            assert now is not None
            if event.type == "chunk":
                message = event.snapshot.choices[0].message
                seen.append(("chunk", message.content, message.parsed))
            elif event.type == "content.delta":
                seen.append((event.type, event.delta, event.snapshot))
            assert now.choices[0].message.content == seen[-1][2 if seen[-1][0] == "content.delta" else 1]
    assert seen == [
        ("chunk", "", None),
        ("content.delta", "", ""),
        ("chunk", '{"city":', {}),
        ("content.delta", '{"city":', '{"city":'),
        ("chunk", '{"city": "Os', {}),
        ("content.delta", ' "Os', '{"city": "Os'),
        ("chunk", '{"city": "Oslo"}', {"city": "Oslo"}),
        ("content.delta", 'lo"}', '{"city": "Oslo"}'),
        ("chunk", '{"city": "Oslo"}', Weather(city="Oslo")),
    ]


async def test_snapshots_parse_the_arguments_of_calls(server: Server, openai: AsyncOpenAI) -> None:
    begun = {"index": 0, "id": "a", "type": "function", "function": {"name": "Weather", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": text}} for text in ('{"city":', ' "Oslo"}')]
    deltas = [chunk(None, role="assistant", tool_calls=[begun]), *[chunk(None, tool_calls=[piece]) for piece in pieces]]
    server.answers(streams([*deltas, chunk(None, finish_reason="tool_calls")]))
    seen: list[tuple[Any, ...]] = []
    async with openai.chat.completions.stream(**ASK, tools=[pydantic_function_tool(Weather)]) as stream:
        async for event in stream:
            if event.type == "chunk":
                (call,) = event.snapshot.choices[0].message.tool_calls
                seen.append((call.index, call.function.arguments, call.function.parsed_arguments))
    assert seen == [
        (0, "", None),
        (0, '{"city":', {}),
        (0, '{"city": "Oslo"}', {"city": "Oslo"}),
        (0, '{"city": "Oslo"}', Weather(city="Oslo")),
    ]


async def test_a_refusal_opens_with_an_empty_piece(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(streams([chunk(None, role="assistant", refusal=""), chunk(None, refusal="No."), says_stop()]))
    async with openai.chat.completions.stream(**ASK) as stream:
        seen = [(event.delta, event.snapshot) async for event in stream if event.type == "refusal.delta"]
    assert seen == [("", ""), ("No.", "No.")]


async def test_what_does_not_fit_stays_plain_in_the_snapshot(server: Server, openai: AsyncOpenAI) -> None:
    server.answers(streams([chunk('{"town": 1}'), says_stop()]))
    seen: list[Any] = []
    async with openai.chat.completions.stream(**ASK, response_format=Weather) as stream:
        with pytest.raises(UnexpectedResponseError):
            async for event in stream:
                if event.type == "chunk":
                    seen.append(event.snapshot.choices[0].message.parsed)  # noqa: PERF401  (it ends in an error)
    assert seen == [{"town": 1}, {"town": 1}]


def says_stop() -> dict[str, Any]:
    return chunk(None, finish_reason="stop")
