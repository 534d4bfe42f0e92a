"""Apps with an endpoint of each kind, run by real servers: ``python -m uvicorn …endpoints:app``, or as a script.

``RELAY`` in the environment is the relay's address. ``q`` in a request's query is the prompt.
"""

from __future__ import annotations

import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from litestar import Litestar, get
from litestar import Request as LitestarRequest
from litestar.response import ServerSentEvent as LitestarEvents
from litestar.response import ServerSentEventMessage

from tutuclient import APIError, TutuClient, user
from tutuclient.integrations.web import events, sse, until_gone

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

KEY = "sk-web-0123456789"
CLIENT: web.AppKey[TutuClient] = web.AppKey("client")


def client_of_relay() -> TutuClient:
    return TutuClient(KEY, os.environ["RELAY"], max_concurrency=1000, max_retries=0)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with client_of_relay() as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


def asked(q: str) -> dict[str, Any]:
    return {"model": "m", "messages": [user(q)]}


@app.get("/health")
async def health() -> str:
    return "well"


@app.get("/starlette-stream")
@app.post("/starlette-stream")
async def starlette_stream(request: Request, q: str, form: Any = "json", heartbeat: float = 15) -> Any:
    return sse(request.app.state.client.chat.completions.stream(**asked(q)), form=form, heartbeat=heartbeat)


@app.get("/fastapi-sse", response_class=EventSourceResponse)
async def fastapi_sse(request: Request, q: str) -> AsyncGenerator[ServerSentEvent]:
    async for event in events(request.app.state.client.chat.completions.stream(**asked(q)), into=ServerSentEvent):
        yield event


@app.get("/fastapi-json")
@app.post("/fastapi-json")
async def fastapi_json(request: Request, q: str) -> Any:
    try:
        async with until_gone(request):
            answer = await request.app.state.client.chat.completions.create(**asked(q))
    except APIError as error:
        return JSONResponse({"error": str(error)}, 502)
    return {"text": answer.text, "body": (await request.body()).decode()}


async def watched(request: Request) -> AsyncGenerator[None]:
    async with until_gone(request):
        yield


@app.get("/fastapi-dependency", dependencies=[Depends(watched, scope="function")])
async def fastapi_dependency(request: Request, q: str) -> Any:
    return {"text": (await request.app.state.client.chat.completions.create(**asked(q))).text}


@asynccontextmanager
async def litestar_lifespan(site: Litestar) -> AsyncGenerator[None]:
    async with client_of_relay() as site.state.client:
        yield


@get("/health")
async def litestar_health() -> str:
    return "well"


@get("/litestar-sse")
async def litestar_sse(request: LitestarRequest[Any, Any, Any], q: str) -> LitestarEvents:
    stream = request.app.state.client.chat.completions.stream(**asked(q))
    return LitestarEvents(events(stream, into=ServerSentEventMessage))


# Litestar's own configuration of the log would be that of the other apps of this module, too.
litestar_app = Litestar([litestar_health, litestar_sse], lifespan=[litestar_lifespan], logging_config=None)


async def aiohttp_stream(request: web.Request) -> web.StreamResponse:
    return await sse(request.app[CLIENT].chat.completions.stream(**asked(request.query["q"])), request)


async def aiohttp_json(request: web.Request) -> web.StreamResponse:
    async with until_gone(request):
        answer = await request.app[CLIENT].chat.completions.create(**asked(request.query["q"]))
    return web.json_response({"text": answer.text, "body": await request.text()})


async def aiohttp_health(request: web.Request) -> web.StreamResponse:
    del request
    return web.Response(text="well")


async def open_client(application: web.Application) -> AsyncGenerator[None]:
    async with client_of_relay() as application[CLIENT]:
        yield


def main(port: int, *, cancels: bool) -> None:
    application = web.Application()
    application.cleanup_ctx.append(open_client)
    application.router.add_get("/health", aiohttp_health)
    application.router.add_route("*", "/aiohttp-stream", aiohttp_stream)
    application.router.add_route("*", "/aiohttp-json", aiohttp_json)
    web.run_app(application, host="127.0.0.1", port=port, handler_cancellation=cancels)


if __name__ == "__main__":
    main(int(sys.argv[1]), cancels=sys.argv[2] == "cancels")
