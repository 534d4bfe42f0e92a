"""Which addresses may be fetched from: no spelling, name or resolver leads inside a private network."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from yarl import URL

from tests.addresses import INSIDE, INSIDE_HOSTS, OUTSIDE_HOSTS, written_out
from tests.downloads.hosts import PNG, UntrustedHost, names, refusal
from tutuclient.downloads.fetch import Downloads
from tutuclient.downloads.guard import Guard


async def test_loopback_is_refused_by_default(host: UntrustedHost) -> None:
    message = await refusal(Downloads(), host.at("/a.png"))
    assert "allow_private_downloads=True allows it" in message
    assert host.asked == []


async def test_trust_is_for_the_very_origin(host: UntrustedHost) -> None:
    downloads = Downloads(trusted_origins={f"http://127.0.0.1:{host.port + 1}", f"https://127.0.0.1:{host.port}"})
    assert "inside a private network" in await refusal(downloads, host.at("/a.png"))
    guard = Guard(allow_private=False, trusted_origins=["https://relay.example/v1"])
    assert guard.trusts(URL("https://relay.example:443/a.png"))
    assert not guard.trusts(URL("http://relay.example/a.png"))


async def test_a_public_name_with_a_private_address_is_refused(
    host: UntrustedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, "127.0.0.1")
    message = await refusal(Downloads(), f"http://pictures.example:{host.port}/a.png")
    assert "127.0.0.1 is, or may be, inside a private network" in message
    assert host.asked == []
    assert await Downloads(allow_private=True).fetch(f"http://pictures.example:{host.port}/a.png") == PNG


async def test_private_ones_among_several_addresses_are_not_tried(
    host: UntrustedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, "127.0.0.1", "::1", "10.0.0.1")
    assert "inside a private network" in await refusal(Downloads(), f"http://pictures.example:{host.port}/a.png")
    assert host.asked == []


async def test_the_address_checked_is_the_one_connected_to(
    host: UntrustedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["8.8.8.8", "127.0.0.1"])
    tried: list[Any] = []

    async def getaddrinfo(_loop: object, _host: str, port: int, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    async def sock_connect(_loop: object, _sock: socket.socket, address: Any) -> None:
        tried.append(address)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)
    message = await refusal(Downloads(), f"http://pictures.example:{host.port}/a.png")
    assert "its host cannot be reached (refused)" in message
    assert tried == [("8.8.8.8", host.port)]


@pytest.mark.parametrize("host", [*map(written_out, INSIDE), *INSIDE_HOSTS])
@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:1"])
async def test_no_spelling_of_an_inside_address_passes(host: str, proxy: str | None) -> None:
    assert "inside a private network" in await refusal(Downloads(proxy=proxy), f"http://{host}/a.png")


@pytest.mark.parametrize("host", OUTSIDE_HOSTS)
def test_names_and_addresses_of_the_open_internet_pass(host: str) -> None:
    url = URL(f"https://{host}/a.png")
    assert Guard(allow_private=False, trusted_origins=()).checked(url) is url


@pytest.mark.parametrize("spelling", ["0x7f000001", "0177.0.0.1", "127.1", "2130706433", "①②⑦.0.0.1"])
async def test_the_check_of_sockets_alone_would_do(
    host: UntrustedHost, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    real = asyncio.BaseEventLoop.getaddrinfo

    async def getaddrinfo(loop: Any, _host: str, port: int, **options: Any) -> list[Any]:
        return await real(loop, spelling, port, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    await refusal(Downloads(), f"http://pictures.example:{host.port}/a.png")
    assert host.asked == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://pictures.example/a.png", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("data:image/png;base64,iVBORw0KGgo=", "only http and https"),
        ("a.png", "only http and https"),
        ("", "only http and https"),
        ("http:///a.png", "has no host"),
        ("http:a.png", "has no host"),
        ("https://me@pictures.example/a.png", "contains credentials"),
        ("https://me:secret@pictures.example/a.png", "contains credentials"),
        ("https://:secret@pictures.example/a.png", "contains credentials"),
        ("https://pictures.example/\r\nX-Key: 1", "not a usable address"),
        ("https://pictures.example/\x00", "not a usable address"),
        ("https://pictures.example:99999/", "not a usable address"),
        ("https://pictures.example:0/", "not a usable address"),
        ("https://\ud83d.example/", "not a usable address"),
        ("https://pictures.example\\@127.0.0.1/", "not a usable address"),
    ],
)
async def test_refuses_invalid_addresses(url: str, words: str) -> None:
    message = await refusal(Downloads(), url)
    assert words in message
    assert "secret" not in message
