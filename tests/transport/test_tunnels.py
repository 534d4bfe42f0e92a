"""Calls and downloads through proxies that speak HTTP: what they are told, and what is told of them."""

from __future__ import annotations

import asyncio
import base64
import pickle
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from tests.certificates import self_signed
from tests.conftest import KEY, QUICK
from tests.images import png
from tests.proxies import HttpProxy
from tutuclient import (
    APIConnectionError,
    APIStatusError,
    ImageDownloadError,
    OutcomeUnknownError,
    RetryPolicy,
    Timeout,
    TutuClient,
    user,
)
from tutuclient.testing import draws, says, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tutuclient import ChatCompletion
    from tutuclient.testing import Server

MESSAGES = [user("hi")]
ONCE = RetryPolicy(max_retries=0)
PAGE = b"<html><h1>Blocked by your administrator</h1></html>"


async def ask(client: TutuClient, **fields: Any) -> str:
    answer: ChatCompletion = await client.chat.completions.create(model="m", messages=MESSAGES, **fields)
    return answer.text


async def failure(client: TutuClient) -> APIConnectionError:
    with pytest.raises(APIConnectionError) as caught:
        await ask(client)
    return caught.value


@pytest.fixture
async def secure() -> AsyncIterator[tuple[Server, ssl.SSLContext]]:
    """A relay over TLS, and what trusts it."""
    context, authority = self_signed()
    async with serve(ssl_context=context) as server:
        yield server, ssl.create_default_context(cadata=authority)


# --- the environment -------------------------------------------------------------------------------------------------


async def test_the_proxy_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with HttpProxy(leads_to=server.origin) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with TutuClient(KEY, "http://relay.example/v1") as client:
            server.answers(says("through"))
            assert await ask(client) == "through"
            assert [each.object for each in [await client.models.list()]] == ["list"]
    assert proxy.heads[0].startswith("POST http://relay.example/v1/chat/completions HTTP/1.1\r\n")
    assert proxy.targets == ["relay.example:80"]  # One connection, used twice.


async def test_loopback_and_no_proxy_are_reached_directly(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with TutuClient(KEY, server.base_url) as client:
        await ask(client)
    assert len(server.requests) == 1


async def test_a_client_that_travels_uses_the_proxies_of_where_it_is(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://u:hunter2@127.0.0.1:1")
    data = pickle.dumps(TutuClient(KEY, "http://relay.example/v1"))
    assert b"hunter2" not in data
    async with HttpProxy(leads_to=server.origin) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with pickle.loads(data) as client:  # noqa: S301  (our own bytes)
            await ask(client)
    assert len(server.requests) == 1


# --- what a proxy is told --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_login_is_sent_decoded_and_as_utf_8(scheme: str) -> None:
    async with HttpProxy(says=b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        url = f"http://d%C3%B6%5Cme:p%40s%3As%F0%9F%94%91@127.0.0.1:{proxy.port}"
        async with TutuClient(KEY, f"{scheme}://relay.example/v1", proxy=url, retry=ONCE) as client:
            await failure(client)
    [line] = [line for line in proxy.heads[0].split("\r\n") if line.lower().startswith("proxy-authorization: ")]
    assert base64.b64decode(line.rpartition(" ")[2]).decode() == "dö\\me:p@s:s🔑"


async def test_orders_of_images_have_a_tunnel_of_their_own_each(secure: tuple[Server, ssl.SSLContext]) -> None:
    server, verify = secure
    async with HttpProxy() as proxy, TutuClient(KEY, server.base_url, proxy=proxy.url, verify=verify) as client:
        for _ in range(2):
            await client.generate("a kite")
        assert len(proxy.heads) == 2
        for _ in range(3):
            await ask(client)
    assert len(proxy.heads) == 3
    assert {head.partition(" ")[0] for head in proxy.heads} == {"CONNECT"}


async def test_tls_within_tls_to_a_proxy(secure: tuple[Server, ssl.SSLContext]) -> None:
    server, verify = secure
    context, authority = self_signed()
    verify.load_verify_locations(cadata=authority)
    async with (
        HttpProxy(tls=context) as proxy,
        TutuClient(KEY, server.base_url, proxy=proxy.url, verify=verify) as client,
    ):
        server.answers(says("twice wrapped"))
        assert await ask(client) == "twice wrapped"


async def test_a_proxy_whose_certificate_nobody_knows_is_named(secure: tuple[Server, ssl.SSLContext]) -> None:
    server, verify = secure
    context, _ = self_signed()
    async with (
        HttpProxy(tls=context) as proxy,
        TutuClient(KEY, "https://relay.example/v1", proxy=proxy.url, verify=verify) as client,
    ):
        error = await failure(client)
    assert "the proxy's certificate cannot be trusted" in error.message
    assert (error.outcome, error.attempts, server.requests) == ("not_sent", 1, [])


# --- what is told of it ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 407, 502, 200])
async def test_a_page_of_the_proxy_is_not_taken_for_an_answer(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind 200 there is no tunnel either: what comes is HTML, where TLS begins."""
    said = b"HTTP/1.1 %d Said\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (status, len(PAGE), PAGE)
    async with HttpProxy(says=said) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with TutuClient(KEY, "https://relay.example/v1", retry=ONCE) as client:
            error = await failure(client)
            with pytest.raises(APIConnectionError) as order:
                await client.generate("a kite")
    assert type(order.value) is type(error) is APIConnectionError
    assert (error.outcome, order.value.outcome) == ("not_sent", "not_sent")
    assert not isinstance(error, APIStatusError)
    assert error.message.endswith(f"; through the proxy http://127.0.0.1:{proxy.port} (HTTPS_PROXY)")
    assert "proxypw" not in str(error)


@pytest.mark.parametrize(
    ("login", "words"), [("", "it asks for a user name and a password"), ("u:pw@", "it does not take the user name")]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_407_says_what_is_missing(scheme: str, login: str, words: str) -> None:
    async with HttpProxy(says=b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n") as proxy:
        url = f"http://{login}127.0.0.1:{proxy.port}"
        async with TutuClient(KEY, f"{scheme}://relay.example/v1", proxy=url, retry=QUICK) as client:
            error = await failure(client)
    assert words in error.message
    assert f"through the proxy http://127.0.0.1:{proxy.port} (proxy=)" in error.message
    assert (error.outcome, error.attempts) == ("not_sent", 1)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("kind", ["nobody there", "no such name", "silence", "cut off", "a broken answer"])
async def test_every_error_of_a_connection_names_the_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    limits = Timeout(total=5, connect=0.2) if kind == "silence" else Timeout(total=5)
    async with HttpProxy(leads_to=server.origin) as proxy:
        port = {"nobody there": closed_port()}.get(kind, proxy.port)
        host = "proxy.invalid" if kind == "no such name" else "127.0.0.1"
        if kind == "silence":
            monkeypatch.setattr(proxy, "serve", lambda *_: asyncio.sleep(60))
        if kind == "cut off":
            server.faults("no_answer")
        if kind == "a broken answer":
            server.faults("short_body")
        scheme = "https" if kind == "silence" else "http"
        monkeypatch.setenv("ALL_PROXY", f"http://u:pw@{host}:{port}")
        async with TutuClient(KEY, f"{scheme}://relay.example/v1", retry=ONCE, timeout=limits) as client:
            error = await failure(client)
    assert f"; through the proxy http://{host}:{port} (ALL_PROXY)" in error.message


async def test_an_order_that_broke_behind_a_proxy_is_not_repeated(server: Server) -> None:
    async with (
        HttpProxy() as proxy,
        TutuClient(KEY, server.base_url, proxy=proxy.url, retry=QUICK) as client,
    ):
        server.faults("no_answer")
        with pytest.raises(OutcomeUnknownError, match=r"through the proxy http://127"):
            await client.generate("a kite")
    assert len(server.requests) == 1


async def test_an_idle_tunnel_that_died_costs_nothing(secure: tuple[Server, ssl.SSLContext]) -> None:
    server, verify = secure
    async with HttpProxy() as proxy, TutuClient(KEY, server.base_url, proxy=proxy.url, verify=verify) as client:
        await ask(client)
        for task in list(proxy._tasks):
            task.cancel()
        await ask(client)
    assert len(proxy.heads) == 2


# --- downloads -------------------------------------------------------------------------------------------------------


async def test_images_come_through_the_proxy_of_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = png()
    hosted = server.host(image).replace(server.origin, "http://pictures.example")
    async with HttpProxy(leads_to=server.origin) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with TutuClient(KEY, server.base_url) as client:
            server.answers(draws(hosted, form="markdown"))
            answer = await client.generate("a kite")
            assert proxy.heads == []  # The relay is on loopback.
            assert await answer.images[0].read() == image
    assert proxy.targets == ["pictures.example:80"]
    assert KEY not in proxy.heads[0]


@pytest.mark.parametrize("bad", ["http://u:pw@127.0.0.1:1", "socks://u:pw@127.0.0.1:1"])
async def test_a_download_does_not_go_past_a_proxy_that_fails(
    server: Server, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", bad)
    async with TutuClient(KEY, server.base_url, retry=ONCE) as client:
        server.answers(draws("http://pictures.example/a.png", form="markdown"))
        answer = await client.generate("a kite")
        with pytest.raises(ImageDownloadError, match="ALL_PROXY") as caught:
            await answer.images[0].read()
    assert caught.value.reason == "proxy"
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.0.0.1", "metadata.internal", "169.254.169.254"])
async def test_no_proxy_is_asked_for_what_is_inside(server: Server, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    async with HttpProxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with TutuClient(KEY, server.base_url, retry=ONCE) as client:
            server.answers(draws(f"http://{host}:1/a.png", form="markdown"))
            answer = await client.generate("a kite")
            with pytest.raises(ImageDownloadError) as caught:
                await answer.images[0].read()
    assert caught.value.reason == "blocked"
    assert proxy.heads == []
