"""Whatever aiohttp and the system raise during a download is an error of ours, and shows no secret."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.conftest import QUICK
from tests.downloads.hosts import UntrustedHost, refusal
from tutuclient.downloads.fetch import Downloads

if TYPE_CHECKING:
    import pytest


async def test_says_when_the_host_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.png?sig=secret"
        message = await refusal(Downloads(allow_private=True, retry=QUICK), url)
    assert "a.png?… could not be fetched: its host cannot be reached (Connect call failed" in message
    assert "secret" not in message


async def test_says_when_a_name_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    assert "does not resolve (Name or service not known)" in await refusal(
        Downloads(retry=QUICK), "https://pictures.example/a.png"
    )


async def test_says_when_tls_fails(host: UntrustedHost) -> None:
    url = host.at("/a.png").replace("http:", "https:")
    assert "TLS with its host failed" in await refusal(Downloads(allow_private=True, retry=QUICK), url)
    assert "TLS with its host failed" in await refusal(Downloads(allow_private=True, verify=False, retry=QUICK), url)


async def test_names_the_proxy_in_errors_without_its_password(host: UntrustedHost) -> None:
    host.pages["/a.png"] = 407
    downloads = Downloads(proxy=f"http://me:secret@127.0.0.1:{host.port}")
    message = await refusal(downloads, "https://pictures.example/a.png")
    assert message == (
        "https://pictures.example/a.png could not be fetched: the proxy rejected the connection; "
        f"through the proxy http://127.0.0.1:{host.port} (proxy=)"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://me:secret@127.0.0.1:{free.getsockname()[1]}"
        message = await refusal(Downloads(proxy=nobody, retry=QUICK), "https://pictures.example/a.png")
    assert "the proxy cannot be reached" in message
    assert "through the proxy http://127.0.0.1:" in message
    assert "secret" not in message


async def test_an_address_no_library_takes_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("odd")

    monkeypatch.setattr(aiohttp.ClientSession, "get", fail)
    message = await refusal(Downloads(), "https://pictures.example/a.png")
    assert message.endswith("could not be fetched: it cannot be requested")


async def test_no_error_of_aiohttp_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(cls: type[Exception]) -> list[type[Exception]]:
        return [cls, *(deeper for child in cls.__subclasses__() for deeper in walk(child))]

    for cls in walk(aiohttp.ClientError):
        if cls.__module__.startswith("aiohttp."):
            error = cls.__new__(cls)

            def fail(*_: Any, error: Exception = error, **__: Any) -> None:
                raise error

            monkeypatch.setattr(aiohttp.ClientSession, "get", fail)
            assert "it cannot be requested" not in await refusal(
                Downloads(retry=QUICK), "https://pictures.example/a.png"
            )
