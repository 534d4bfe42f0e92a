"""Which addresses may be fetched from: no spelling, name or resolver leads inside a private network."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from yarl import URL

from tests.downloads.hosts import PNG, Stranger, names, refusal
from tutuclient.downloads.fetch import Downloads
from tutuclient.downloads.guard import Guard, is_public


async def test_loopback_is_refused_by_default(stranger: Stranger) -> None:
    message = await refusal(Downloads(), stranger.at("/a.png"))
    assert "allow_private_downloads=True allows it" in message
    assert stranger.asked == []


async def test_trust_is_for_the_very_origin(stranger: Stranger) -> None:
    downloads = Downloads(
        trusted_origins={f"http://127.0.0.1:{stranger.port + 1}", f"https://127.0.0.1:{stranger.port}"}
    )
    assert "inside a private network" in await refusal(downloads, stranger.at("/a.png"))
    guard = Guard(allow_private=False, trusted_origins=["https://relay.example/v1"])
    assert guard.trusts(URL("https://relay.example:443/a.png"))
    assert not guard.trusts(URL("http://relay.example/a.png"))


async def test_a_public_name_with_a_private_address_is_refused(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, "127.0.0.1")
    message = await refusal(Downloads(), f"http://pictures.example:{stranger.port}/a.png")
    assert "127.0.0.1 is, or may be, inside a private network" in message
    assert stranger.asked == []
    assert await Downloads(allow_private=True).fetch(f"http://pictures.example:{stranger.port}/a.png") == PNG


async def test_private_ones_among_several_addresses_are_not_tried(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, "127.0.0.1", "::1", "10.0.0.1")
    assert "inside a private network" in await refusal(Downloads(), f"http://pictures.example:{stranger.port}/a.png")
    assert stranger.asked == []


async def test_the_address_checked_is_the_one_connected_to(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["8.8.8.8", "127.0.0.1"])
    tried: list[Any] = []

    async def getaddrinfo(_loop: object, _host: str, port: int, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    async def sock_connect(_loop: object, _sock: socket.socket, address: Any) -> None:
        tried.append(address)
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", sock_connect)
    message = await refusal(Downloads(), f"http://pictures.example:{stranger.port}/a.png")
    assert "its host cannot be reached (refused)" in message
    assert tried == [("8.8.8.8", stranger.port)]


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "127.0.1", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "2130706433", "0"),
        *(
            "127.0.0.1.",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "printer.local",
            "0127.0.0.1",  # decimal to some, octal to others
            "127.0.0.01",
            "0x08.0x08.0x08.0x08",
            "134744072",
            "8.8.8.8%00.example.com",
            "127.0.0.1%00.example.com",
            "127.0.0.1%2500.example.com",
            "a%20b.example.com",
            "127.0.0.1.0",
            "1.2.3.4.5",
            "127..0.0.1",
            "example.127",
            "example.0x7f",
            "0x",
            "api.prod.svc",
            "db.svc.cluster.local",
            "kubernetes.default",
            "vault.node.consul",
            "nas.fritz.box",
            "box.tail1234.ts.net",
            "10-0-0-1.traefik.me",
            "wiki.dmz",
            "app.test",
            "router.localdomain",
            "files.corp",
            "nas.home",
            "nas.home.",
            "wiki.intranet",
            "x.private",
            "x.lan",
            "host.docker.internal",
            "router.home.arpa",
            "127.0.0.1.nip.io",
            "7f000001.nip.io",
            "10-0-0-1.sslip.io",
            "localtest.me",
            "a.lvh.me",
            "metadata.google.internal",
            "intranet",
        ),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1%25lo]", "[fd00::1]", "[ff02::1]"),
        *("[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[2001::1]", "[2001:db8::1]", "[::127.0.0.1]"),
        *("[fec0::1]", "[100::1]", "[2606:4700::1111%25eth0]"),
        *(
            "１２７.0.0.1",
            "①②⑦.0.0.1",
            "127。0。0。1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.1.1",
        ),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "198.18.0.1", "192.0.2.1", "203.0.113.9"),  # noqa: S104  (never bound)
    ],
)
@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:1"])
async def test_no_spelling_of_an_inside_address_passes(host: str, proxy: str | None) -> None:
    assert "inside a private network" in await refusal(Downloads(proxy=proxy), f"http://{host}/a.png")


@pytest.mark.parametrize(
    "host", ["pictures.example", "a.svc.example", "x-home.example", "1.example.com", "xn--fiq228c.example", "8.8.8.8"]
)
def test_names_and_addresses_of_the_open_internet_pass(host: str) -> None:
    url = URL(f"https://{host}/a.png")
    assert Guard(allow_private=False, trusted_origins=()).checked(url) is url


@pytest.mark.parametrize("host", ["0x7f000001", "0177.0.0.1", "127.1", "2130706433", "①②⑦.0.0.1"])
async def test_the_gate_alone_would_do(stranger: Stranger, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr("tutuclient.downloads.guard._may_be_private", lambda _: False)
    await refusal(Downloads(), f"http://{host}:{stranger.port}/a.png")
    assert stranger.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("100.63.255.255", True),
        ("100.128.0.0", True),
        ("172.32.0.1", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("::ffff:8.8.8.8", True),
        ("fe80::1%eth0", False),
        ("64:ff9b::a00:1", False),
        ("2002:808:808::1", False),
        ("3fff::1", False),
        ("4000::1", False),
    ],
)
def test_knows_the_open_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


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
async def test_refuses_addresses_that_are_none(url: str, words: str) -> None:
    message = await refusal(Downloads(), url)
    assert words in message
    assert "secret" not in message
