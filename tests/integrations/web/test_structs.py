"""Answers returned from endpoints: their fields and nothing raw, in FastAPI, Litestar and aiohttp.web."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient as AiohttpClient
from aiohttp.test_utils import TestServer
from fastapi import FastAPI
from fastapi.testclient import TestClient
from litestar import Litestar, get
from litestar.testing import AsyncTestClient

from tutuclient import ChatCompletion, Meta, Usage
from tutuclient.testing import sends

if TYPE_CHECKING:
    from tutuclient import TutuClient
    from tutuclient.testing import Server

WIRE = {
    "id": "c1",
    "model": "m",
    "vendor_secret": "of the relay",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "hi", "vendor_secret": "too"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "vendor_secret": "three"},
}


@pytest.fixture
async def answer(client: TutuClient, server: Server) -> ChatCompletion:
    server.answers(sends(WIRE))
    return await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])


def checked(text: str) -> Any:
    """Return the JSON of a page that has nothing raw in it."""
    assert "vendor_secret" not in text
    return json.loads(text)


def is_the_answer(tree: Any) -> None:
    assert tree["choices"][0]["message"]["content"] == "hi"
    assert (tree["id"], tree["usage"]["total_tokens"]) == ("c1", 3)


async def test_fastapi(answer: ChatCompletion) -> None:
    app = FastAPI()

    async def plain() -> Any:
        return answer

    async def nested() -> Any:
        return {"answer": answer, "usage": [answer.usage], "meta": answer.meta}

    app.get("/plain")(plain)
    app.get("/nested")(nested)
    for path, kind in [
        ("/annotated", ChatCompletion),
        ("/usage", Usage | None),
        ("/mixed", dict[str, ChatCompletion | Usage | Meta | None]),
        ("/any", dict[str, Any]),
    ]:

        async def endpoint(path: str = path) -> Any:
            return {"/annotated": answer, "/usage": answer.usage}.get(path) or await nested()

        endpoint.__annotations__ = {"return": kind}
        if path == "/mixed":

            async def mixed() -> Any:
                return {"answer": answer, "usage": answer.usage, "meta": answer.meta}

            mixed.__annotations__ = {"return": kind}
            app.get(path)(mixed)
        else:
            app.get(path)(endpoint)
    site = TestClient(app)
    is_the_answer(checked(site.get("/plain").text))
    is_the_answer(checked(site.get("/annotated").text))
    assert checked(site.get("/usage").text)["total_tokens"] == 3
    for path in ("/nested", "/mixed", "/any"):
        tree = checked(site.get(path).text)
        is_the_answer(tree["answer"])
        assert tree["meta"]["status_code"] == 200
    schemas = app.openapi()["components"]["schemas"]
    assert {"ChatCompletion", "ChatChoice", "ChatMessage", "Usage"} <= set(schemas)
    assert "content" in schemas["ChatMessage"]["properties"]


async def test_litestar(answer: ChatCompletion) -> None:
    @get("/plain")
    async def plain() -> ChatCompletion:
        return answer

    @get("/nested")
    async def nested() -> dict[str, Any]:
        return {"answer": answer, "usage": [answer.usage], "meta": answer.meta}

    # What is no struct is named to Litestar: its encoder asks values for nothing.
    app = Litestar([plain, nested], type_encoders={Meta: dict}, logging_config=None)
    async with AsyncTestClient(app) as site:
        is_the_answer(checked((await site.get("/plain")).text))
        tree = checked((await site.get("/nested")).text)
        is_the_answer(tree["answer"])
        assert (tree["usage"][0]["total_tokens"], tree["meta"]["status_code"]) == (3, 200)
        described = (await site.get("/schema/openapi.json")).text
        assert "choices" in json.loads(described)["components"]["schemas"]["ChatCompletion"]["properties"]
        assert "provenance" not in described


async def test_aiohttp(answer: ChatCompletion) -> None:
    def dumps(value: Any) -> str:
        return msgspec.json.encode(value, enc_hook=dict).decode()

    async def plain(request: web.Request) -> web.Response:
        del request
        return web.json_response(answer, dumps=dumps)

    async def nested(request: web.Request) -> web.Response:
        del request
        return web.json_response({"answer": answer, "usage": [answer.usage], "meta": answer.meta}, dumps=dumps)

    app = web.Application()
    app.router.add_get("/plain", plain)
    app.router.add_get("/nested", nested)
    async with AiohttpClient(TestServer(app)) as site:
        is_the_answer(checked(await (await site.get("/plain")).text()))
        tree = checked(await (await site.get("/nested")).text())
        is_the_answer(tree["answer"])
        assert (tree["usage"][0]["total_tokens"], tree["meta"]["status_code"]) == (3, 200)
