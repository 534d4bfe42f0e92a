"""Sessions and connectors of the caller's: they work, stay open, and no order is sent twice over them."""

from __future__ import annotations

import asyncio
import copy
import gzip
import pickle
import warnings
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.conftest import KEY, QUICK
from tests.proxies import HttpProxy, SocksProxy
from tutuclient import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    ConfigError,
    OutcomeUnknownError,
    RetryPolicy,
    TutuClient,
    user,
)
from tutuclient.testing import chunk, draws, fails, raw, says, serve, streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tutuclient import ChatCompletion
    from tutuclient.testing import Server

MESSAGES = [user("hi")]
ONCE = RetryPolicy(max_retries=0)
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'


async def ask(client: TutuClient, **fields: Any) -> str:
    answer: ChatCompletion = await client.chat.completions.create(model="m", messages=MESSAGES, **fields)
    return answer.text


@pytest.fixture(params=["session", "connector", "function"])
async def brought(request: pytest.FixtureRequest) -> AsyncIterator[dict[str, Any]]:
    if request.param == "function":
        yield {"connector": lambda: aiohttp.TCPConnector(limit=3)}
        return
    connector = aiohttp.TCPConnector(limit=3)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield {request.param: session if request.param == "session" else connector}
        assert not connector.closed  # It is the caller's.


async def test_calls_streams_uploads_and_orders_go_through(
    server: Server, brought: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "big.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(600_000))
    async with TutuClient(KEY, server.base_url, **brought) as client:
        server.answers(says("a"), streams([chunk("b"), chunk("c"), chunk(finish_reason="stop")]), says("d"))
        assert await ask(client) == "a"
        async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
            assert (await stream.completion()).text == "bc"
        assert (await client.analyze(file, "What is this?")).text == "d"
        assert (await client.generate("a kite")).images
        await client.models.list()
        await asyncio.gather(*[ask(client) for _ in range(20)])  # Seven times as many as there are connections.
    assert len(server.requests) == 25


@pytest.mark.parametrize("fault", ["no_answer", "short_body", "reset_after_request"])
async def test_an_order_that_broke_is_never_sent_twice(server: Server, brought: dict[str, Any], fault: str) -> None:
    async with TutuClient(KEY, server.base_url, retry=QUICK, **brought) as client:
        await ask(client)  # So that there is an idle connection to die.
        server.faults(fault)
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.generate("a kite")
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert len(server.requests) == 2


async def test_an_order_over_an_idle_connection_that_died_is_not_sent_again(brought: dict[str, Any]) -> None:
    posts = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal posts
        for last in (False, True):
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            posts += 1
            if last:
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER))
        writer.close()

    listener = await asyncio.start_server(relay, "127.0.0.1", 0)
    place = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    async with listener, TutuClient(KEY, place, retry=QUICK, **brought) as client:
        await ask(client)
        with pytest.raises(OutcomeUnknownError):
            await client.generate("a kite")
    assert posts == 2


async def test_what_was_not_sent_is_told_as_such_and_repeated(brought: dict[str, Any]) -> None:
    async with serve() as server:
        gone = server.base_url
    async with TutuClient(KEY, gone, retry=QUICK, **brought) as client:
        with pytest.raises(APIConnectionError) as order:
            await client.generate("a kite")
        with pytest.raises(APIConnectionError) as listed:
            await client.models.list()
    for error in (order.value, listed.value):
        assert (error.outcome, error.attempts) == ("not_sent", 3)


async def test_a_deadline_while_an_order_waits_for_a_connection_was_not_sent(server: Server) -> None:
    """The session is shared with others, who hold its one connection."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        server.answers(streams([chunk("a")], delay=30, done=False))
        async with (
            TutuClient(KEY, server.base_url, session=session) as client,
            session.post(f"{server.base_url}/chat/completions", json={}, headers={"Authorization": f"Bearer {KEY}"}),
        ):
            with pytest.raises(APITimeoutError) as caught:
                await client.generate("a kite", timeout=0.3)
    assert caught.value.outcome == "not_sent"


async def test_a_session_that_repeats_by_itself_is_stopped_at_an_order(server: Server) -> None:
    async def twice(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        (await handler(request)).close()
        return await handler(request)

    async with (
        aiohttp.ClientSession(middlewares=(twice,)) as session,
        TutuClient(KEY, server.base_url, session=session, retry=QUICK) as client,
    ):
        assert await ask(client)
        assert len(server.requests) == 2  # A question may be asked twice: that is the session's affair.
        server.answers(draws(b"\x89PNG\r\n\x1a\n"))
        with pytest.raises(OutcomeUnknownError, match="session= sends the request a second time by itself"):
            await client.generate("a kite")
    assert len(server.requests) == 3


async def test_what_a_session_does_with_answers_does_not_matter(server: Server) -> None:
    packed = gzip.compress(ANSWER)
    async with (
        aiohttp.ClientSession(
            "http://elsewhere.example/v2/",
            raise_for_status=True,
            auto_decompress=True,
            headers={"Authorization": "Bearer other", "X-Own": "1", "Content-Type": "text/plain"},
            cookies={"seen": "1"},
        ) as session,
        TutuClient(KEY, server.base_url, session=session, retry=ONCE) as client,
    ):
        server.answers(raw(200, packed, {"Content-Encoding": "gzip", "X-Long": "x" * 20_000}), fails(401, "no"))
        assert await ask(client) == "hello"
        with pytest.raises(AuthenticationError, match="no"):
            await ask(client)
    for seen in server.requests:
        assert seen.headers["Authorization"] == f"Bearer {KEY}"
        assert (seen.headers["X-Own"], seen.headers["Content-Type"]) == ("1", "application/json")


async def test_a_session_that_cannot_be_used_is_an_error(server: Server) -> None:
    session = aiohttp.ClientSession()
    client = TutuClient(KEY, server.base_url, session=session)
    await ask(client)
    await session.close()
    with pytest.raises(ConfigError, match="session= is closed"):
        await ask(client)
    with pytest.raises(ConfigError, match="session= is closed"):
        await ask(TutuClient(KEY, server.base_url, session=session))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # aiohttp 4 will not have it.
        with_auth = aiohttp.ClientSession(auth=aiohttp.BasicAuth("a", "b"))
    async with with_auth:
        with pytest.raises(ConfigError, match="auth="):
            await ask(TutuClient(KEY, server.base_url, session=with_auth))
    with pytest.raises(ConfigError, match="function that returns one"):
        await ask(TutuClient(KEY, server.base_url, connector=object))  # type: ignore[arg-type]  # the point of it


def test_a_session_of_another_loop_is_an_error_and_a_function_serves_every_loop() -> None:
    built: list[aiohttp.BaseConnector] = []

    def build() -> aiohttp.BaseConnector:
        built.append(aiohttp.TCPConnector())
        return built[-1]

    async def make() -> tuple[aiohttp.ClientSession, aiohttp.BaseConnector]:
        return aiohttp.ClientSession(), aiohttp.TCPConnector()

    async def use(**brought: Any) -> str:
        async with serve() as server:
            server.answers(says("hello"))
            return await ask(TutuClient(KEY, server.base_url, **brought))

    session, connector = asyncio.run(make())
    for name, value in (("session", session), ("connector", connector)):
        with pytest.raises(ConfigError, match=f"{name}= belongs to another event loop"):
            asyncio.run(use(**{name: value}))
    assert [asyncio.run(use(connector=build)) for _ in range(2)] == ["hello", "hello"]
    assert [each.closed for each in built] == [True, True]

    async def close() -> None:
        await session.close()
        await connector.close()

    asyncio.run(close())


@pytest.mark.parametrize("name", ["session", "connector", "trace_configs"])
async def test_a_client_with_a_session_does_not_travel(server: Server, name: str) -> None:
    async with aiohttp.ClientSession() as session:
        value: Any = {"session": session, "connector": session.connector, "trace_configs": [aiohttp.TraceConfig()]}[
            name
        ]
        client = TutuClient(KEY, server.base_url, **{name: value})
        for travel in (pickle.dumps, copy.copy):
            with pytest.raises(TypeError, match=f"{name}= cannot be pickled or copied"):
                travel(client)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"session": 5}, "session must be"),
        ({"session": aiohttp.ClientSession}, "session must be"),
        ({"connector": 5}, "connector must be"),
        ({"trace_configs": aiohttp.TraceConfig}, "trace_configs must be"),
        ({"connector": print, "verify": False}, "verify= has no effect beside connector="),
        ({"connector": print, "proxy": "socks5://p"}, "SOCKS is a connector of its own"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_together_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TutuClient(KEY, "https://relay.example", **settings)


async def test_proxies_are_the_caller_s_unless_one_is_passed(
    server: Server, brought: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert TutuClient(KEY, "http://relay.example/v1", **brought).proxy is None
    async with (
        HttpProxy(leads_to=server.origin) as proxy,
        TutuClient(KEY, "http://relay.example/v1", proxy=proxy.url, **brought) as client,
    ):
        await ask(client)
    assert proxy.targets == ["relay.example:80"]


async def test_a_socks_connector_of_the_caller_s_works(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp_socks import ProxyConnector  # noqa: PLC0415

    async with SocksProxy(leads_to=server.origin) as proxy:
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
        url = proxy.url("socks5")
        async with TutuClient(KEY, "http://relay.example/v1", connector=lambda: ProxyConnector.from_url(url)) as client:
            await ask(client)
    assert len(server.requests) == 1


@pytest.mark.parametrize("said", [b"", b"\x05\xff"], ids=["cut off", "refused"])
async def test_what_a_connector_of_the_caller_s_raises_is_an_error_of_ours(server: Server, said: bytes) -> None:
    from aiohttp_socks import ProxyConnector  # noqa: PLC0415

    tries = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        await reader.readexactly(3)
        writer.write(said)
        writer.close()

    listener = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"socks5://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    client = TutuClient(KEY, server.base_url, retry=QUICK, connector=lambda: ProxyConnector.from_url(url))
    async with listener, client:
        for call in (ask(client), client.generate("a kite")):
            tries = 0
            with pytest.raises(APIConnectionError) as caught:
                await call
            assert (caught.value.outcome, caught.value.attempts) == ("not_sent", tries)
            assert tries == 1 + QUICK.max_retries
    assert server.requests == []


async def test_a_mistake_in_a_connector_of_the_caller_s_stays_one(server: Server) -> None:
    class Mistaken(aiohttp.TCPConnector):
        async def connect(self, *_: Any, **__: Any) -> Any:
            raise KeyError("a mistake")

    async with TutuClient(KEY, server.base_url, retry=QUICK, connector=Mistaken) as client:
        with pytest.raises(KeyError):
            await ask(client)


async def test_traces_see_every_call_and_no_download(server: Server) -> None:
    seen: list[str] = []
    trace = aiohttp.TraceConfig()

    async def note(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
        seen.append(f"{params.method} {params.url.path}")

    trace.on_request_start.append(note)
    async with TutuClient(KEY, server.base_url, trace_configs=[trace]) as client:
        for _ in range(2):
            await ask(client)
        answer = await client.generate("a kite")
        await answer.images[0].read()
    assert seen == ["POST /v1/chat/completions"] * 3
