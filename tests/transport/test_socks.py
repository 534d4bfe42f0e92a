"""Calls and downloads through a SOCKS proxy, on both paths."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from tests.certificates import self_signed
from tests.conftest import KEY, QUICK
from tests.images import png
from tests.leftovers import none_idle
from tests.proxies import SocksProxy
from tutuclient import APIConnectionError, ConfigError, ImageDownloadError, RetryPolicy, Timeout, TutuClient, user
from tutuclient.testing import chunk, draws, says, serve, streams
from tutuclient.transport import tunnels

if TYPE_CHECKING:
    from tutuclient import ChatCompletion
    from tutuclient.testing import Server

MESSAGES = [user("hi")]
ONCE = RetryPolicy(max_retries=0)


@pytest.fixture(params=["1", "0"], ids=["fast path", "public path"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TUTU_FAST_PATH", request.param)
    return str(request.param)


async def ask(client: TutuClient, **fields: Any) -> str:
    answer: ChatCompletion = await client.chat.completions.create(model="m", messages=MESSAGES, **fields)
    return answer.text


async def failure(client: TutuClient, **fields: Any) -> APIConnectionError:
    with pytest.raises(APIConnectionError) as caught:
        await ask(client, **fields)
    return caught.value


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("scheme", "kind"), [("socks5h", "name"), ("socks5", "address"), ("socks4", "address"), ("socks4a", "name")]
)
async def test_calls_streams_and_orders_go_through(server: Server, scheme: str, kind: str) -> None:
    port = int(server.origin.rpartition(":")[2])
    async with (
        SocksProxy(leads_to=server.origin) as proxy,
        TutuClient(KEY, f"http://localhost:{port}/v1", proxy=proxy.url(scheme)) as client,
    ):
        server.answers(says("through"), streams([chunk("a"), chunk("b"), chunk(finish_reason="stop")]))
        assert await ask(client) == "through"
        async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
            assert (await stream.completion()).text == "ab"
        assert len(proxy.targets) == 1
        await client.generate("a kite")
        await client.generate("a kite")
    assert len(proxy.targets) == 3  # Each order has a connection of its own.
    assert set(proxy.kinds) == {kind}
    assert set(proxy.targets) <= {f"localhost:{port}", f"127.0.0.1:{port}", f"::1:{port}"}


@pytest.mark.usefixtures("path")
async def test_tls_goes_through_and_is_checked_against_the_relay() -> None:
    context, authority = self_signed()
    async with serve(ssl_context=context) as server, SocksProxy() as proxy:
        url = proxy.url("socks5h")
        trusting = ssl.create_default_context(cadata=authority)
        async with TutuClient(KEY, server.base_url, proxy=url, verify=trusting) as client:
            server.answers(says("wrapped"))
            assert await ask(client) == "wrapped"
        async with TutuClient(KEY, server.base_url, proxy=url, retry=QUICK) as client:
            error = await failure(client)
    assert "the relay's certificate cannot be trusted" in error.message
    assert (error.outcome, error.attempts) == ("not_sent", 1)


async def test_the_proxy_of_the_environment_and_its_login(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with SocksProxy(login=("me", "p@ss"), leads_to=server.origin) as proxy:
        monkeypatch.setenv("all_proxy", proxy.url("socks5h", "me:p%40ss"))
        async with TutuClient(KEY, "http://relay.example/v1") as client:
            await ask(client)
        assert proxy.targets == ["relay.example:80"]
        monkeypatch.setenv("all_proxy", proxy.url("socks5h", "me:wr0ng"))
        async with TutuClient(KEY, "http://relay.example/v1", retry=ONCE) as client:
            error = await failure(client)
    assert proxy.logins == [("me", "p@ss"), ("me", "wr0ng")]
    assert "the SOCKS proxy cannot be reached, or does not connect" in error.message
    assert error.message.endswith(f"; through the proxy socks5h://127.0.0.1:{proxy.port} (all_proxy)")
    assert "wr0ng" not in str(error)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("scheme", ["socks5h", "socks4"])
async def test_a_refusal_is_told_with_its_reason_and_nothing_was_sent(server: Server, scheme: str) -> None:
    async with (
        SocksProxy(refuses=0x5B if scheme == "socks4" else 2) as proxy,
        TutuClient(KEY, server.base_url, proxy=proxy.url(scheme), retry=ONCE) as client,
    ):
        error = await failure(client)
        with pytest.raises(APIConnectionError) as order:
            await client.generate("a kite")
    assert (error.outcome, order.value.outcome) == ("not_sent", "not_sent")
    assert "rejected" in error.message or "not allowed" in error.message
    assert server.requests == []


@pytest.mark.usefixtures("path")
async def test_a_proxy_that_is_not_there_or_says_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with SocksProxy() as proxy:
        url = proxy.url("socks5")
        monkeypatch.setattr(proxy, "serve", lambda *_: asyncio.sleep(60))
        async with TutuClient(KEY, server.base_url, proxy=url, retry=ONCE) as client:
            late = await failure(client, timeout=Timeout(total=5, connect=0.1))
    assert "no connection within timeout.connect" in late.message
    async with TutuClient(KEY, server.base_url, proxy=url, retry=ONCE) as client:
        gone = await failure(client)
    for error in (late, gone):
        assert error.outcome == "not_sent"
        assert f"through the proxy {url} (proxy=)" in error.message


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("socks5", b""),
        ("socks5", b"\x05"),
        ("socks5h", b"\x05\x00"),
        ("socks5h", b"\x05\x00\x05\x00\x00"),
        ("socks5h", b"\x05\x00\x05\x00\x00\x03\xff\xfe"),
        ("socks5h", b"\x05\x00\x05\x00\x00\x03\x02\xff\xfe\x00P"),
        ("socks5h", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("socks4a", b""),
        ("socks4a", b"\x00\x5a\x00"),
        ("socks4a", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ],
)
async def test_a_proxy_that_breaks_off_or_speaks_otherwise(
    server: Server, monkeypatch: pytest.MonkeyPatch, scheme: str, said: bytes
) -> None:
    async def serve_part(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        writer.write(said)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async with SocksProxy() as proxy:
        monkeypatch.setattr(proxy, "serve", serve_part)
        async with TutuClient(KEY, server.base_url, proxy=proxy.url(scheme), retry=ONCE) as client:
            error = await failure(client)
            with pytest.raises(APIConnectionError) as order:
                await client.generate("a kite")
    assert (error.outcome, order.value.outcome) == ("not_sent", "not_sent")
    assert "SOCKS proxy cannot be reached, or does not connect" in error.message
    assert server.requests == []


@pytest.mark.usefixtures("path")
async def test_what_guards_a_connection_guards_one_through_socks_too() -> None:
    """A stray answer on an idle connection is given to nobody, and an idle connection that died costs nothing."""
    body = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"%b"},"finish_reason":"stop"}]}'

    def answer(text: bytes) -> bytes:
        content = body % text
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(content),
            content,
        )

    asked = 0
    read = asyncio.Event()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            asked += 1
            writer.write(answer(b"%d" % asked))
            await writer.drain()
            if asked == 1:
                await read.wait()
                writer.write(answer(b"stray"))
            elif asked == 2:
                writer.close()
                return

    listener = await asyncio.start_server(relay, "127.0.0.1", 0)
    place = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    async with listener, SocksProxy() as proxy, TutuClient(KEY, place, proxy=proxy.url("socks5"), retry=ONCE) as client:
        texts = []
        for number in range(4):
            texts.append(await ask(client))
            read.set()
            if number < 2:  # Its connection got a stray answer, or was closed by the relay.
                await none_idle(client)
    assert texts == ["1", "2", "3", "4"]
    assert len(proxy.targets) == 3


async def test_images_come_through_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    image = png()
    hosted = server.host(image).replace(server.origin, "http://pictures.example")
    async with SocksProxy(leads_to=server.origin) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url("socks5h"))
        async with TutuClient(KEY, server.base_url, retry=ONCE) as client:
            server.answers(draws(hosted, form="markdown"))
            answer = await client.generate("a kite")
            assert await answer.images[0].read() == image
            assert proxy.targets == ["pictures.example:80"]
            proxy.refuses = 2
            server.answers(draws(hosted, form="markdown"))
            answer = await client.generate("a kite")
            with pytest.raises(ImageDownloadError, match=r"SOCKS proxy.*\(ALL_PROXY\)") as caught:
                await answer.images[0].read()
    assert caught.value.reason == "proxy"


async def test_a_machine_without_the_package_is_told_what_to_install(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys  # noqa: PLC0415

    client = TutuClient(KEY, server.base_url, proxy="socks5://127.0.0.1:1")
    monkeypatch.delitem(sys.modules, "tutuclient.transport.socks", raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp_socks", None)
    with pytest.raises(ConfigError, match=r"pip install 'tutuclient\[socks\]'"):
        await ask(client)
    with pytest.raises(ConfigError, match=r"pip install 'tutuclient\[socks\]'"):
        tunnels.socks()
