"""Relays that are reached in different ways by one client: directly, by a proxy that speaks HTTP, and by SOCKS."""

from __future__ import annotations

import pickle
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.certificates import self_signed
from tests.conftest import KEY, QUICK
from tests.proxies import HttpProxy, SocksProxy
from tutuclient import APIConnectionError, OutcomeUnknownError, Relay, RetryPolicy, TutuClient, user
from tutuclient.testing import fails, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tutuclient.testing import Server

ONCE = RetryPolicy(max_retries=0)
NAMES = ("direct", "http", "socks")


@dataclass
class _Place:
    """Three relays, the proxies before two of them, and a client of all.

    The proxies come from the environment: of HTTP for what is plain, of SOCKS for TLS, and none on loopback.
    """

    client: TutuClient
    servers: dict[str, Server]
    http: HttpProxy
    socks: SocksProxy

    @property
    def counts(self) -> list[int]:
        return [len(self.servers[name].requests) for name in NAMES]


@pytest.fixture(params=["1", "0"], ids=["fast path", "public path"])
async def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[_Place]:
    monkeypatch.setenv("TUTU_FAST_PATH", request.param)
    context, authority = self_signed("relay-s.example")
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(serve()) for name in NAMES[:2]}
        servers["socks"] = await stack.enter_async_context(serve(ssl_context=context))
        http = await stack.enter_async_context(HttpProxy(leads_to=servers["http"].origin))
        socks = await stack.enter_async_context(SocksProxy(leads_to=servers["socks"].origin))
        monkeypatch.setenv("http_proxy", http.url)
        monkeypatch.setenv("https_proxy", socks.url("socks5h"))
        relays = [
            Relay(servers["direct"].base_url, f"{KEY}-d", name="direct"),
            Relay("http://relay-h.example/v1", f"{KEY}-h", name="http"),
            Relay("https://relay-s.example/v1", f"{KEY}-s", name="socks"),
        ]
        verify = ssl.create_default_context(cadata=authority)
        client = await stack.enter_async_context(TutuClient(relays=relays, verify=verify, retry=QUICK))
        yield _Place(client, servers, http, socks)


async def ask(client: TutuClient, **fields: Any) -> str:
    answer = await client.chat.completions.create(model="m", messages=[user("hi")], **fields)
    relay: str = answer.meta.relay
    return relay


async def test_each_relay_is_reached_its_own_way(place: _Place) -> None:
    relays = [await ask(place.client) for _ in range(9)]
    assert sorted(relays) == sorted(3 * NAMES)
    assert place.counts == [3, 3, 3]
    assert place.http.targets == ["relay-h.example:80"]  # One connection, kept.
    assert place.socks.targets == ["relay-s.example:443"]
    assert place.socks.kinds == ["name"]
    for name, letter in zip(NAMES, "dhs", strict=True):
        sent = place.servers[name].requests
        assert {request.headers["Authorization"] for request in sent} == {f"Bearer {KEY}-{letter}"}


async def test_orders_and_streams_too_and_a_copy_for_one_relay(place: _Place) -> None:
    for name in NAMES:
        one = place.client.with_options(relay=name)
        await one.generate("a kite")
        async with await one.chat.completions.create(model="m", messages=[user("hi")], stream=True) as stream:
            assert (await stream.completion()).text
        assert ("through" if one.proxy is None else one.proxy.partition(":")[0]) == {
            "direct": "through",
            "http": "http",
            "socks": "socks5h",
        }[name]
    assert place.counts == [2, 2, 2]
    assert (len(place.http.targets), len(place.socks.targets)) == (2, 2)  # An order has its own connection.


async def test_what_one_has_not_done_goes_on_by_the_way_of_the_next(place: _Place) -> None:
    place.servers["direct"].answers(fails(500, "boom"))
    place.servers["http"].answers(fails(500, "boom"))
    assert await ask(place.client) == "socks"
    assert place.counts == [1, 1, 1]


async def test_an_order_that_broke_behind_one_proxy_is_sent_by_no_other(place: _Place) -> None:
    place.servers["http"].faults("reset_after_request")
    client = place.client.with_options(retry=RetryPolicy(max_retries=5))
    await client.with_options(relay="direct").generate("a kite")
    with pytest.raises(OutcomeUnknownError) as caught:
        for _ in range(3):
            await client.generate("a kite")
    assert place.counts[1] == 1
    assert (caught.value.relay, caught.value.attempts) == ("http", 1)
    assert f"127.0.0.1:{place.http.port} (http_proxy)" in caught.value.message


async def test_an_error_names_the_proxy_of_its_own_relay(place: _Place) -> None:
    place.socks.refuses = 2
    with pytest.raises(APIConnectionError) as caught:
        await ask(place.client.with_options(relay="socks", retry=ONCE))
    assert caught.value.message.endswith(f"through the proxy socks5h://127.0.0.1:{place.socks.port} (https_proxy)")
    place.servers["direct"].faults("reset_after_request")
    with pytest.raises(APIConnectionError) as caught:
        await ask(place.client.with_options(relay="direct", retry=ONCE))
    assert "proxy" not in caught.value.message


async def test_over_a_session_of_the_caller_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve() as other, HttpProxy(leads_to=other.origin) as proxy, aiohttp.ClientSession() as session:
        monkeypatch.setenv("http_proxy", proxy.url)
        relays = [Relay(server.base_url, KEY, name="direct"), Relay("http://relay-h.example/v1", KEY, name="http")]
        async with TutuClient(relays=relays, session=session, proxy="env") as client:
            assert [await ask(client) for _ in range(4)] == ["direct", "http"] * 2
            for _ in range(2):
                await client.generate("a kite")
    assert [len(each.requests) for each in (server, other)] == [3, 3]
    assert set(proxy.targets) == {"relay-h.example:80"}


async def test_a_pickled_client_goes_the_ways_of_where_it_is(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    relays = [Relay(server.base_url, KEY, name="direct"), Relay("http://relay-h.example/v1", KEY, name="http")]
    monkeypatch.setenv("http_proxy", "http://u:hunter2@127.0.0.1:1")
    data = pickle.dumps(TutuClient(relays=relays).for_workers(2))
    assert b"hunter2" not in data
    async with serve() as other, HttpProxy(leads_to=other.origin) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        async with pickle.loads(data) as client:  # noqa: S301  (our own bytes)
            assert [await ask(client) for _ in range(2)] == ["direct", "http"]
    assert proxy.targets == ["relay-h.example:80"]
