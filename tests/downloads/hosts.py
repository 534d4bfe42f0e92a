"""A host that nobody vouches for, on loopback; and what to ask it with."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.conftest import QUICK
from tests.images import png
from tutuclient.downloads.fetch import Downloads
from tutuclient.errors import ImageDownloadError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

PNG = png(bytes(range(256)) * 40)


class UntrustedHost:
    """A server on loopback: ``pages`` maps paths to answers, ``asked`` keeps the requests."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {"/a.png": PNG}
        self.asked: list[web.Request] = []
        self.port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        page = self.pages.get(request.path, 404)
        if callable(page):
            made: web.StreamResponse = await page(request)
            return made
        if isinstance(page, int):
            return web.Response(status=page)
        if isinstance(page, str):
            return web.Response(status=302, headers={"Location": page})
        return web.Response(body=page, content_type="image/png")

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def at(self, path: str) -> str:
        return self.origin + path

    def trusted(self, **settings: Any) -> Downloads:
        return Downloads(trusted_origins={self.origin}, **{"retry": QUICK, **settings})


@asynccontextmanager
async def untrusted_host(tls: ssl.SSLContext | None = None) -> AsyncIterator[UntrustedHost]:
    host = UntrustedHost()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", host.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    host.port = runner.addresses[0][1]
    yield host
    await runner.cleanup()


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Resolve every name to these addresses."""

    async def getaddrinfo(_loop: object, _host: str, port: int, **_options: Any) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


async def refusal(downloads: Downloads, url: str) -> str:
    with pytest.raises(ImageDownloadError) as caught:
        await downloads.fetch(url)
    assert caught.value.__cause__ is None
    assert caught.value.message.isprintable()
    return caught.value.message
