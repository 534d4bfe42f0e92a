"""The short way, held against the long one: what is sent and what comes of it must be the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY, QUICK
from tutuclient import APIStatusError, RateLimitError, TutuClient, UnexpectedResponseError, user, wire
from tutuclient.testing import Recorded, Server, chunk, fails, raw, says, streams
from tutuclient.transport import Call, aiohttp_internals

if TYPE_CHECKING:
    from tutuclient import ChatCompletion
    from tutuclient.transport.reply import Reply


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What went the short way."""
    requests: list[bytes] = []
    send = aiohttp_internals.send

    async def noted(connector: Any, target: Any, request: bytes, *args: Any) -> Any:
        requests.append(request)
        return await send(connector, target, request, *args)

    monkeypatch.setattr(aiohttp_internals, "send", noted)
    return requests


async def ask(client: TutuClient, **fields: Any) -> ChatCompletion:
    answer: ChatCompletion = await client.chat.completions.create(model="m", messages=[user("hi")], **fields)
    return answer


def sent(seen: Recorded) -> dict[str, str]:
    return {name.lower(): value for name, value in seen.headers.items()} | {"body": seen.body.decode()}


async def test_the_second_call_goes_the_short_way_and_says_the_same(
    client: TutuClient, server: Server, taken: list[bytes]
) -> None:
    for _ in range(2):
        await ask(client, max_tokens=3)
    await client.models.list()
    assert len(taken) == 2
    long, short, get = map(sent, server.requests)
    keys = {long.pop("idempotency-key"), short.pop("idempotency-key")}
    assert len(keys) == 2
    assert long == short
    assert {name for name in long if name not in get} == {"content-type", "content-length"}
    assert get["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, {"extra_headers": {"x-a": "b"}}),
        ({"default_headers": {"Content-Type": "application/json; charset=utf-8"}}, {}),
    ],
)
async def test_headers_that_are_not_plain_go_the_long_way(
    server: Server, taken: list[bytes], settings: Any, fields: Any
) -> None:
    async with TutuClient(KEY, server.base_url, **settings) as client:
        for _ in range(2):
            await ask(client, **fields)
    assert taken == []
    for header in (*settings.get("default_headers", {}).items(), *fields.get("extra_headers", {}).items()):
        assert header in server.requests[1].headers.items()


async def test_orders_of_pictures_go_the_long_way(client: TutuClient, taken: list[bytes]) -> None:
    for _ in range(2):
        await client.generate("a red panda")
    assert taken == []


async def test_streams_errors_and_odd_answers_are_the_same_both_ways(
    client: TutuClient, server: Server, taken: list[bytes]
) -> None:
    for _ in range(2):
        server.answers(streams([chunk("a"), chunk(finish_reason="stop")]))
        async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
            assert (await stream.completion()).text == "a"
        server.answers(fails(400, "no"))
        with pytest.raises(APIStatusError, match="no") as caught:
            await ask(client)
        assert caught.value.status_code == 400
        server.answers(raw(body=b"<html>", headers={"Content-Type": "text/html"}))
        with pytest.raises(UnexpectedResponseError):
            await ask(client)
        assert (await ask(client)).meta.headers["content-type"].startswith("application/json")
    assert len(taken) > 3
    assert len({seen.connection for seen in server.requests}) == 1


async def test_an_interim_answer_is_passed_over(taken: list[bytes]) -> None:
    body = b'{"choices":[{"message":{"content":"late"},"finish_reason":"stop"}]}'
    good = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (good, b"HTTP/1.1 102 Processing\r\n\r\n" + good):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
            writer.write(answer)
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, TutuClient(KEY, f"http://127.0.0.1:{port}") as client:
        for _ in range(2):
            assert (await ask(client)).text == "late"
    assert len(taken) == 1


async def test_cancelling_gives_the_connection_up(client: TutuClient, server: Server, taken: list[bytes]) -> None:
    await ask(client)
    server.answers(says("x", delay=5))
    task = asyncio.create_task(ask(client))
    await server.wait_requests(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.wait_closed(timeout=1)
    assert len(taken) == 1
    assert server.open_connections == 0


async def test_closing_a_stream_from_another_task_wakes_its_reader(
    client: TutuClient, server: Server, taken: list[bytes]
) -> None:
    await ask(client)
    server.answers(streams([chunk("a")], done=False, then="hang"))
    stream = await client.chat.completions.create(model="m", messages=[user("hi")], stream=True)
    reader = asyncio.create_task(stream.completion())
    await asyncio.sleep(0.02)
    await stream.aclose()
    with pytest.raises(Exception, match="closed"):
        await asyncio.wait_for(reader, 1)
    assert len(taken) == 1


async def test_a_redirect_and_a_retry_leave_the_short_way(client: TutuClient, server: Server) -> None:
    await ask(client)
    server.answers(raw(308, headers={"Location": "/v1/chat/completions?x=1"}), says("there"))
    assert (await ask(client)).text == "there"
    server.answers(fails(429, "later", headers={"Retry-After": "0"}), says("now"))
    assert (await ask(client)).meta.attempts == 2


async def test_a_long_header_is_taken_and_an_endless_one_refused(server: Server) -> None:
    async with TutuClient(KEY, server.base_url, retry=QUICK, max_retries=None) as client:
        await ask(client)
        server.answers(raw(429, headers={"X-Long": "x" * 60_000}))
        with pytest.raises(RateLimitError):
            await ask(client.with_options(max_retries=0))


async def test_two_methods_of_one_address_are_kept_apart(
    client: TutuClient, server: Server, taken: list[bytes]
) -> None:
    transport, settings = client._transport, client._settings

    async def use(reply: Reply) -> bytes:
        return bytes(await reply.read())

    await ask(client)
    for method in ("GET", "POST", "GET"):
        server.answers(says("x"))
        body = wire.encode({"model": "m"}) if method == "POST" else None
        await transport.run(Call(settings, method, "/both", body=body), use)
    assert [seen.method for seen in server.requests[1:]] == ["GET", "POST", "GET"]
    assert len(taken) == 3
