import asyncio
import ssl
import sys

import aiohttp
import pytest

from tests.certificates import self_signed
from tests.testing.faults.wire import BODY, End, line
from tutuclient.testing import raw_server


@pytest.mark.parametrize(
    ("name", "data", "end"),
    [
        ("accept_close", b"", "fin"),
        ("accept_reset", b"", "reset"),
        ("accept_silent", b"", "open"),
        ("accept_garbage", b"\x00\xff\x137 welcome to nowhere\r\n", "fin"),
        ("tls_stall", b"", "open"),
        ("tls_reset", b"", "reset"),
        ("tls_plain_http", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "fin"),
        ("tls_garbage", b"\x00\xff\x137 welcome to nowhere\r\n", "fin"),
    ],
)
async def test_fails_after_accepting(name: str, data: bytes, end: End) -> None:
    async with raw_server(name) as server, line(server.base_url) as wire:
        wire.writer.write(b"?")
        seen, ended = await wire.read()
        # Bytes that were never read turn the FIN into a RST.
        assert (seen, "fin" if end == "fin" and ended == "reset" else ended) == (data, end)
        assert server.connections == 1
        assert server.base_url.startswith("https://" if name.startswith("tls_") else "http://")


async def test_refuses_connections() -> None:
    async with raw_server("refused") as server:
        with pytest.raises(ConnectionRefusedError):
            async with line(server.base_url):
                pass


async def test_leaves_a_syn_unanswered() -> None:
    async with raw_server("syn_unanswered") as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), line(server.base_url):
                pass


async def test_names_a_host_that_does_not_exist() -> None:
    async with raw_server("dns_failure") as server:
        assert server.base_url == "http://relay.invalid/v1"


async def test_a_raw_server_closes_at_once() -> None:
    async with raw_server("accept_silent") as server, line(server.base_url) as wire:
        wire.ask()
        await asyncio.sleep(0.02)
        async with asyncio.timeout(10):  # The silence lasts six times as long.
            await server.__aexit__(None, None, None)


async def test_connecting_faults_fail_for_a_real_client(http: aiohttp.ClientSession) -> None:
    for name in (
        "refused",
        "accept_close",
        "accept_reset",
        "accept_garbage",
        "tls_reset",
        "tls_plain_http",
        "tls_self_signed",
    ):
        async with raw_server(name) as server:
            with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
                await http.post(f"{server.base_url}/chat/completions", json=BODY)


async def test_a_certificate_may_be_brought_along(http: aiohttp.ClientSession) -> None:
    context, authority = self_signed()
    async with raw_server("tls_self_signed", ssl_context=context) as server:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.post(f"{server.base_url}/chat/completions", json=BODY)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                trusting = ssl.create_default_context(cadata=authority)
                await http.post(f"{server.base_url}/chat/completions", json=BODY, ssl=trusting)


async def test_says_what_is_missing_where_no_certificate_can_be_issued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(ValueError, match=r"pass raw_server\(…, ssl_context=…\), or pip install trustme"):
        async with raw_server("tls_self_signed"):
            pass
