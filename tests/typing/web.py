"""Endpoints as users write them: what a checker makes of ``tutuclient.integrations.web``."""

from __future__ import annotations

from typing import assert_type

from aiohttp import web
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import ServerSentEvent

from tutuclient import ChatCompletion, ToolRunStream, TutuClient, user
from tutuclient.integrations.web import ClientGoneError, Events, events, sse, until_gone

app = FastAPI()
client = TutuClient("any")


async def answer(request: Request, q: str) -> ChatCompletion:
    # The block swallows nothing, so a checker knows that the function returns.
    async with until_gone(request):
        return await client.chat.completions.create(model="m", messages=[user(q)])


async def tokens(request: Request, q: str) -> StreamingResponse:
    assert_type(sse(client.chat.completions.stream(model="m", messages=[user(q)])), StreamingResponse)
    return sse(client.chat.completions.stream(model="m", messages=[user(q)]), request, form="ai-sdk", heartbeat=None)


async def tokens_of_aiohttp(request: web.Request) -> web.StreamResponse:
    async with until_gone(request):
        stream = await client.chat.completions.create(model="m", messages=[user("hi")], stream=True)
    return await sse(stream, request, form="openai")


async def others(run: ToolRunStream) -> None:
    assert_type(events(run), Events[str])
    assert_type(events(run, into=ServerSentEvent), Events[ServerSentEvent])
    stream = await client.chat.completions.create(model="m", messages=[user("hi")], stream=True)
    async for event in events(stream.text(), form="text", heartbeat=5):
        assert_type(event, str)
    async with events(client.chat.completions.create(model="m", messages=[user("hi")], stream=True)) as found:
        assert_type(found, Events[str])
    try:
        await tokens_of_aiohttp(web.Request.__new__(web.Request))
    except ClientGoneError as error:
        assert_type(error.message, str)
