from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tutuclient import APITimeoutError, TutuClient
from tutuclient.resources.options import CallOptions, RequestOptions
from tutuclient.settings import UNSET
from tutuclient.testing import Server, sample_picture, sample_sound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Call = Callable[[TutuClient, dict[str, Any]], Awaitable[object]]

MESSAGES = [{"role": "user", "content": "hi"}]


async def _streamed(client: TutuClient, more: dict[str, Any]) -> object:
    async with client.chat.completions.stream(model="m", messages=MESSAGES, **more) as stream:
        return await stream.completion()


async def _read_aloud(client: TutuClient, more: dict[str, Any]) -> object:
    async with client.audio.speech.stream(model="m", voice="alloy", input="hi", **more) as sound:
        return await sound.sound()


WITH_FIELDS: dict[str, Call] = {
    "create": lambda client, more: client.chat.completions.create(model="m", messages=MESSAGES, **more),
    "parse": lambda client, more: client.chat.completions.parse(model="m", messages=MESSAGES, **more),
    "stream": _streamed,
    "run_tools": lambda client, more: client.chat.completions.run_tools(model="m", messages=MESSAGES, tools=[], **more),
    "completions": lambda client, more: client.completions.create(model="m", prompt="hi", **more),
    "embeddings": lambda client, more: client.embeddings.create(model="m", input="hi", **more),
    "images.generate": lambda client, more: client.images.generate(prompt="hi", **more),
    "images.edit": lambda client, more: client.images.edit(image=sample_picture(), prompt="hi", **more),
    "images.create_variation": lambda client, more: client.images.create_variation(image=sample_picture(), **more),
    "speech.create": lambda client, more: client.audio.speech.create(model="m", voice="alloy", input="hi", **more),
    "speech.stream": _read_aloud,
    "transcriptions": lambda client, more: client.audio.transcriptions.create(model="m", file=sample_sound(), **more),
    "translations": lambda client, more: client.audio.translations.create(model="m", file=sample_sound(), **more),
}
WITHOUT: dict[str, Call] = {
    "models.list": lambda client, more: client.models.list(**more),
    "models.retrieve": lambda client, more: client.models.retrieve("gpt-4o", **more),
    "get": lambda client, more: client.get("/models", cast_to=dict, **more),
    "send": lambda client, more: client.chat.completions.send({"model": "m", "messages": MESSAGES}, **more),
}


@pytest.mark.parametrize("call", (WITH_FIELDS | WITHOUT).values(), ids=WITH_FIELDS | WITHOUT)
async def test_every_call_takes_headers_a_query_and_a_deadline(server: Server, call: Call) -> None:
    async with TutuClient(KEY, server.base_url, default_headers={"X-Mine": "client", "X-Not": "now"}) as client:
        await call(client, {"extra_headers": {"X-Mine": "call", "X-Not": UNSET}, "extra_query": {"q": True}})
        [sent] = server.requests
        assert sent.headers["X-Mine"] == "call"
        assert "X-Not" not in sent.headers
        assert sent.query == {"q": "true"}
        with pytest.raises(APITimeoutError):
            await call(client, {"timeout": 1e-9})


@pytest.mark.parametrize("call", WITH_FIELDS.values(), ids=WITH_FIELDS)
async def test_every_call_with_fields_takes_more_of_them(server: Server, client: TutuClient, call: Call) -> None:
    await call(client, {"enable_thinking": False, "extra_body": {"enable_thinking": True}})
    [sent] = server.requests
    assert b"enable_thinking" in sent.body
    assert b"true" in sent.body


@pytest.mark.parametrize("call", WITHOUT.values(), ids=WITHOUT)
@pytest.mark.parametrize("name", ["extra_body", "temperature", "extra_header"])
async def test_a_call_without_fields_takes_no_others(server: Server, client: TutuClient, call: Call, name: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        await call(client, {name: None})
    assert not server.requests


def test_the_options_are_these() -> None:
    assert set(RequestOptions.__annotations__) == {"extra_headers", "extra_query", "timeout"}
    assert set(CallOptions.__annotations__) == {"extra_headers", "extra_query", "timeout", "extra_body"}
