from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tutuclient.testing import Exchange, Server


class Answer:
    """An answer of the test's own: the protocol has one method."""

    def __init__(self, play: Any) -> None:
        self.play = play


async def ask(http: aiohttp.ClientSession, server: Server, play: Any, **request: Any) -> tuple[int, bytes]:
    server.answers(Answer(play))
    async with http.post(f"{server.base_url}/chat/completions", **request) as response:
        return response.status, await response.read()


async def test_an_answer_sees_the_decoded_body(server: Server, http: aiohttp.ClientSession) -> None:
    async def play(exchange: Exchange) -> web.StreamResponse:
        return exchange.respond({"asked": exchange.payload, "stream": exchange.wants_stream})

    _, body = await ask(http, server, play, json={"stream": True})
    assert body == b'{"asked":{"stream":true},"stream":true}'


@pytest.mark.parametrize("body", [b"{", b"[1]", b""])
async def test_a_body_without_an_object_is_an_empty_payload(
    server: Server, http: aiohttp.ClientSession, body: bytes
) -> None:
    async def play(exchange: Exchange) -> web.StreamResponse:
        return exchange.respond({"asked": exchange.payload, "broken": exchange.broken_json is not None})

    answer = await ask(http, server, play, data=body)
    assert answer[1] == b'{"asked":{},"broken":%s}' % (b"false" if body == b"[1]" else b"true")


async def test_an_answer_writes_bytes_of_its_own_and_the_connection_stays(
    server: Server, http: aiohttp.ClientSession
) -> None:
    async def play(exchange: Exchange) -> web.StreamResponse:
        await exchange.send(b"HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nhi")
        return exchange.sent(keep_alive=True)

    assert await ask(http, server, play) == (299, b"hi")
    assert await ask(http, server, play) == (299, b"hi")
    assert len({seen.connection for seen in server.requests}) == 1


@pytest.mark.parametrize("end", ["fin", "reset"])
async def test_an_answer_ends_the_connection(server: Server, http: aiohttp.ClientSession, end: str) -> None:
    async def play(exchange: Exchange) -> web.StreamResponse:
        ended: web.StreamResponse = getattr(exchange, end)()
        return ended

    with pytest.raises(aiohttp.ClientConnectionError):
        await ask(http, server, play)
    await server.until(lambda: server.in_flight == 0)
    assert not server.requests[0].aborted


async def test_a_form_is_read_and_recorded(server: Server, http: aiohttp.ClientSession) -> None:
    async def play(exchange: Exchange) -> web.StreamResponse:
        return exchange.respond(exchange.form.fields)

    form = aiohttp.FormData({"a": "1"}, default_to_multipart=True)
    assert await ask(http, server, play, data=form) == (200, b'{"a":"1"}')
    assert server.requests[0].form.fields == {"a": "1"}


async def test_an_answer_can_leave_it_to_the_stand_in(server: Server, http: aiohttp.ClientSession) -> None:
    async def play(exchange: Exchange) -> web.StreamResponse:
        return await exchange.stage.think(exchange)

    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    assert b"I am an offline stand-in" in (await ask(http, server, play, json=body))[1]
