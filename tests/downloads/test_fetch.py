"""The guarded downloader against a real, untrusted server on loopback."""

from __future__ import annotations

import asyncio
import gc
import pickle
import socket
import ssl
import struct
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from aiohttp import web

from tests.certificates import self_signed
from tests.conftest import QUICK
from tests.differing import difference
from tests.downloads.hosts import PNG, UntrustedHost, refusal, untrusted_host
from tests.images import TINY_GIF, png
from tutuclient.downloads import fetch
from tutuclient.downloads.fetch import Downloads
from tutuclient.errors import ImageDownloadError
from tutuclient.media.endings import Ending
from tutuclient.settings import UNSET, RetryPolicy, Timeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def raw_server(answer: bytes, *, hold: bool = False) -> AsyncIterator[str]:
    """A server that sends these bytes to whoever comes, then closes or falls silent."""
    waiting = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if hold:
            await waiting.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"http://{host}:{port}/a.png"
    waiting.set()
    server.close()
    await asyncio.sleep(0.01)


# What comes


async def test_fetches_an_image(host: UntrustedHost) -> None:
    assert await host.trusted().fetch(host.at("/a.png")) == PNG
    assert await Downloads(allow_private=True).fetch(host.at("/a.png")) == PNG


async def test_fetches_a_large_image_in_pieces(host: UntrustedHost) -> None:
    host.pages["/a.png"] = large = png(bytes(2_000_000))
    sizes: list[int] = []

    async def weigh(piece: bytes) -> None:
        sizes.append(len(piece))

    await host.trusted().fetch_into(host.at("/a.png"), weigh)
    assert sum(sizes) == len(large)
    assert max(sizes) < len(large) / 2
    assert difference(await host.trusted().fetch(host.at("/a.png")), large) == ""


async def test_gives_the_pieces_in_order_and_the_type(host: UntrustedHost) -> None:
    pieces: list[bytes] = []

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        for at in range(100):
            await response.write(PNG[at : at + 1])
        await response.write(PNG[100:])
        return response

    async def keep(piece: bytes) -> None:
        pieces.append(piece)
        await asyncio.sleep(0)

    host.pages["/a.png"] = drip
    assert await host.trusted().fetch_into(host.at("/a.png"), keep) == "image/png"
    assert b"".join(pieces) == PNG
    assert len(pieces[0]) >= 64
    assert all(pieces)


async def test_takes_an_image_smaller_than_any_head(host: UntrustedHost) -> None:
    host.pages["/a.png"] = TINY_GIF
    assert await host.trusted().fetch(host.at("/a.png")) == TINY_GIF


async def test_lets_errors_of_the_writer_out_as_they_are(host: UntrustedHost) -> None:
    async def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        await host.trusted().fetch_into(host.at("/a.png"), full)


async def test_believes_bytes_and_not_the_content_type(host: UntrustedHost) -> None:
    async def lying(_: web.Request) -> web.Response:
        return web.Response(body=PNG, content_type="text/html")

    host.pages["/a.png"] = lying
    assert await host.trusted().fetch(host.at("/a.png")) == PNG


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "it is empty"),
        (b"\xef\xbb\xbf  <!DOCTYPE html><p>expired", "it seems to be HTML"),
        (b"<HTML>", "it seems to be HTML"),
        (b'<?xml version="1.0"?><Error/>', "it seems to be XML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it seems to be SVG"),
        (b'{"error": "expired"}', "it seems to be JSON"),
        (b"%PDF-1.7", "it seems to be a PDF"),
        (b"\x1f\x8b\x08\x00", "it seems to be gzip"),
        (b"PK\x03\x04", "it seems to be a zip archive"),
        (b"\x1aE\xdf\xa3\x01", "it seems to be a video"),
        (b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "it seems to be a video"),
        (b"link expired", "it seems to be text"),
        (b"\x00\x01\x02\x03", "it seems to be of a kind not known here"),
    ],
)
async def test_says_what_came_instead_of_an_image(host: UntrustedHost, body: bytes, words: str) -> None:
    host.pages["/a.png"] = body
    written: list[bytes] = []

    async def keep(piece: bytes) -> None:
        written.append(piece)

    with pytest.raises(ImageDownloadError, match=rf"is not an image: {words}.* \(sent as image/png\)"):
        await host.trusted().fetch_into(host.at("/a.png"), keep)
    assert written == []


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "404: the link may have expired"), (403, "403: the link"), (410, "410: the link"), (500, "answered 500$")],
)
async def test_says_which_status_came(host: UntrustedHost, status: int, words: str) -> None:
    host.pages["/a.png"] = status
    with pytest.raises(ImageDownloadError, match=words):
        await host.trusted().fetch(host.at("/a.png"))


async def test_refuses_what_says_it_is_too_large_before_reading_it(host: UntrustedHost) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", hold=True) as url:
        assert "larger than 1000 bytes" in await refusal(Downloads(allow_private=True, max_bytes=1000, timeout=1), url)
    message = await refusal(host.trusted(max_bytes=len(PNG) - 1), host.at("/a.png"))
    assert message.endswith(f"is larger than {len(PNG) - 1} bytes (max_response_bytes= raises the limit)")
    assert await host.trusted(max_bytes=len(PNG)).fetch(host.at("/a.png")) == PNG


async def test_stops_reading_where_the_limit_is(host: UntrustedHost) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(PNG)
            sent += len(PNG)

    host.pages["/a.png"] = endless
    assert "larger than 100000 bytes" in await refusal(host.trusted(max_bytes=100_000), host.at("/a.png"))
    assert sent < 50_000_000


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + PNG,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + PNG[:64] + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 8\r\n\r\n" + PNG,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
        b"HTTP/1.1 200",
        b"",
    ],
)
async def test_a_broken_answer_is_an_error_of_ours(answer: bytes) -> None:
    async with raw_server(answer) as url:
        assert "could not be fetched" in await refusal(Downloads(allow_private=True, retry=QUICK), url)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + PNG,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + PNG[:64] + b"\r\nzz\r\n",
    ],
)
async def test_the_deadline_ends_any_silence(answer: bytes) -> None:
    async with raw_server(answer, hold=True) as url:
        message = await refusal(Downloads(allow_private=True, timeout=0.1), url)
    assert "could not be fetched within 0.1 s" in message or "could not be fetched" in message


async def test_a_compressed_answer_is_not_inflated(host: UntrustedHost) -> None:
    async def squeezed(_: web.Request) -> web.Response:
        return web.Response(body=b"\x1f\x8b" + bytes(100), headers={"Content-Encoding": "gzip"})

    host.pages["/a.png"] = squeezed
    assert "it seems to be gzip" in await refusal(host.trusted(), host.at("/a.png"))
    assert host.asked[0].headers["Accept-Encoding"] == "identity"


# What is sent


async def test_sends_no_secrets(host: UntrustedHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def cookie(_: web.Request) -> web.Response:
        response = web.Response(status=302, headers={"Location": "/a.png"})
        response.set_cookie("track", "me")
        return response

    host.pages["/hop"] = cookie
    await host.trusted().fetch(host.at("/hop"))
    for request in host.asked:
        assert set(request.headers) <= {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection"}


async def test_does_not_change_a_letter_of_a_signed_address(host: UntrustedHost) -> None:
    signed = "/a.png?X-Sig=a%2Fb%2Bc%3D&e=%7E~'()*;,"
    await host.trusted().fetch(host.at(signed))
    assert host.asked[0].raw_path == signed


async def test_quotes_what_must_be_quoted(host: UntrustedHost) -> None:
    host.pages["/图 1.png"] = PNG
    assert await host.trusted().fetch(host.at("/图 1.png ")) == PNG


# Where it goes


async def test_follows_redirects(host: UntrustedHost) -> None:
    host.pages |= {f"/{n}": f"/{n + 1}" for n in range(1, 5)} | {"/5": host.at("/a.png")}
    assert await host.trusted().fetch(host.at("/1")) == PNG


async def test_gives_up_on_a_chain_of_redirects(host: UntrustedHost) -> None:
    host.pages["/1"] = "/1"
    assert "redirects more than 5 times" in await refusal(host.trusted(), host.at("/1"))
    assert len(host.asked) == 6


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://127.0.0.1:1/a.png", "127.0.0.1 is, or may be, inside a private network"),
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254 is, or may be, inside"),
        ("//localhost/x", "localhost is, or may be, inside"),
        ("file:///etc/passwd", "only http and https"),
        ("http://me:secret@pictures.example/", "contains credentials"),
        ("http://[oops", "not a usable address"),
    ],
)
async def test_every_hop_is_checked(host: UntrustedHost, location: str, words: str) -> None:
    host.pages["/1"] = location
    message = await refusal(host.trusted(), host.at("/1"))
    assert words in message
    assert "secret" not in message


async def test_a_redirect_must_say_where_to(host: UntrustedHost) -> None:
    host.pages["/1"] = 302
    assert "without saying where to" in await refusal(host.trusted(), host.at("/1"))


# What goes wrong


async def test_authorities_may_be_a_file_a_folder_or_a_context(tmp_path: Path) -> None:
    tls, certificate = self_signed()
    file = tmp_path / "authorities.pem"
    file.write_text(certificate)
    context = ssl.create_default_context(cafile=file)
    async with untrusted_host(tls) as host:
        url = host.at("/a.png").replace("http:", "https:")
        for verify in (str(file), context, False):
            assert await Downloads(allow_private=True, verify=verify).fetch(url) == PNG
        for strict in (True, str(tmp_path)):
            message = await refusal(Downloads(allow_private=True, verify=strict, retry=QUICK), url)
            assert "its certificate cannot be trusted" in message
        missing = str(tmp_path / "missing.pem")
        assert "No such file" in await refusal(Downloads(allow_private=True, verify=missing, retry=QUICK), url)


async def test_goes_through_a_proxy(host: UntrustedHost) -> None:
    downloads = Downloads(proxy=host.origin)
    assert await downloads.fetch("http://pictures.example/a.png") == PNG
    assert host.asked[0].headers["Host"] == "pictures.example"


# Trying again, and why it went wrong


PART = PNG[:-100]
RAW_PART = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PNG), PART)
RAW_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(PNG), PNG)


@asynccontextmanager
async def raw_answers(*answers: bytes | None, hold: bool = False) -> AsyncIterator[tuple[str, list[int]]]:
    """A server that sends one after the other to who comes, None being a reset; the last one again and again."""
    asked: list[int] = []
    waiting = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer = answers[min(len(asked), len(answers) - 1)]
        asked.append(len(asked))
        if answer is None:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            writer.write(answer)
            if hold and answer is not RAW_WHOLE:
                await waiting.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"http://{host}:{port}/a.png", asked
    waiting.set()
    server.close()
    await asyncio.sleep(0.01)


def status(number: int, headers: str = "") -> bytes:
    return f"HTTP/1.1 {number} Oh\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n".encode()


@pytest.mark.parametrize(
    "hiccup",
    [
        *(status(number) for number in (408, 425, 429, 500, 502, 503, 504, 507, 520, 526, 529, 530, 598)),
        status(503, "Retry-After: 0\r\n"),
        None,
        b"",
        b"HTTP/1.1 200 OK\r\n",
        RAW_PART,
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PART), PART),
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PART,
        status(200),
    ],
)
async def test_a_passing_fault_costs_no_image(hiccup: bytes | None) -> None:
    async with raw_answers(hiccup, hiccup, RAW_WHOLE) as (url, asked):
        assert await Downloads(allow_private=True, retry=QUICK).fetch(url) == PNG
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("answer", "reason", "number", "times"),
    [
        *((status(number), "expired", number, 1) for number in (401, 403, 404, 410)),
        *((status(number), "unavailable", number, 1) for number in (304, 400, 402, 451, 501, 505)),
        *((status(number), "unavailable", number, 3) for number in (429, 503)),
        (status(503, "Retry-After: 3600\r\n"), "unavailable", 503, 1),
        (status(302), "unavailable", 302, 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>gone</html>", "not_an_image", 200, 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "too_large", 200, 1),
        (b"HTTP/1.1 302 Oh\r\nLocation: http://[oops\r\nContent-Length: 0\r\n\r\n", "bad_address", None, 1),
        (b"HTTP/1.1 302 Oh\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", "bad_address", None, 1),
        (b"HTTP/1.1 302 Oh\r\nLocation: http://nas.home/\r\nContent-Length: 0\r\n\r\n", "bad_address", None, 1),
        (None, "unreachable", None, 3),
        (b"", "unreachable", None, 3),
        (RAW_PART, "damaged", 200, 3),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PART, "damaged", 200, 3),
        (status(200), "damaged", 200, 3),
    ],
)
async def test_says_why_to_branch_on(answer: bytes | None, reason: str, number: int | None, times: int) -> None:
    async with raw_answers(answer) as (url, asked):
        with pytest.raises(ImageDownloadError) as caught:
            downloads = Downloads(trusted_origins={url}, retry=QUICK)
            await downloads.fetch(url)
    if answer is not None and b"nas.home" in answer:
        reason = "blocked"
    assert (caught.value.reason, caught.value.status, len(asked)) == (reason, number, times)
    assert caught.value.attempts == times
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  (our own bytes)
    assert (again.message, again.reason, again.status) == (caught.value.message, reason, number)


@pytest.mark.parametrize(
    ("url", "settings", "reason"),
    [
        ("http://127.0.0.1/a.png", {}, "blocked"),
        ("https://me:pw@pictures.example/a.png", {}, "blocked"),
        ("ftp://pictures.example/a.png", {}, "bad_address"),
        ("https://pictures.example:99999/a.png", {}, "bad_address"),
        ("https://pictures.example/a.png", {"proxy": "http://127.0.0.1:9"}, "proxy"),
    ],
)
async def test_says_why_nothing_was_fetched(url: str, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ImageDownloadError) as caught:
        await Downloads(retry=QUICK, **settings).fetch(url)
    assert caught.value.reason == reason


@pytest.mark.parametrize("later", [status(404), status(503), None, b"HTTP/1.1 200 OK\r\n\r\n<html>gone</html>"])
async def test_a_part_that_came_is_reported_whatever_came_later(later: bytes | None) -> None:
    async with raw_answers(RAW_PART, later) as (url, _):
        with pytest.raises(ImageDownloadError) as caught:
            await Downloads(allow_private=True, retry=QUICK).fetch(url)
    assert (caught.value.reason, caught.value.status) == ("damaged", 200)
    assert "damaged=True keeps what came; and when tried again: http" in caught.value.message
    async with raw_answers(RAW_PART, later) as (url, _):
        assert PNG.startswith(await Downloads(allow_private=True, retry=QUICK).fetch(url, damaged=True))


async def test_a_proxy_that_refuses_is_asked_once(host: UntrustedHost) -> None:
    host.pages["/a.png"] = 407
    with pytest.raises(ImageDownloadError) as caught:
        await Downloads(proxy=host.origin, retry=QUICK).fetch("https://pictures.example/a.png")
    assert (caught.value.reason, caught.value.attempts) == ("proxy", 1)


async def test_is_tried_as_often_as_the_policy_says() -> None:
    for retries in (0, 1, 4):
        async with raw_answers(status(503)) as (url, asked):
            policy = RetryPolicy(max_retries=retries, wait_initial=0.01, wait_max=0.01)
            assert "answered 503" in await refusal(Downloads(allow_private=True, retry=policy), url)
        assert len(asked) == retries + 1


async def test_a_pause_that_the_deadline_has_no_room_for_is_not_made() -> None:
    async with raw_answers(status(503, "Retry-After: 100\r\n")) as (url, asked):
        with anyio.fail_after(20):
            message = await refusal(Downloads(allow_private=True, timeout=60, retry=RetryPolicy()), url)
    assert "answered 503" in message
    assert len(asked) == 1


@pytest.mark.parametrize("answer", [b"", RAW_PART])
@pytest.mark.parametrize(
    ("timeout", "times"),
    [(0.3, 1), (Timeout(total=0.3), 1), (Timeout(idle=0.1), 3), (Timeout(total=1.0, idle=0.6), 2)],
)
async def test_a_host_that_stalls_is_left_when_the_limits_say(
    answer: bytes, timeout: float | Timeout, times: int
) -> None:
    async with raw_answers(answer, hold=True) as (url, asked):
        with anyio.fail_after(20), pytest.raises(ImageDownloadError) as caught:
            await Downloads(allow_private=True, timeout=timeout, retry=QUICK).fetch(url)
    assert (caught.value.reason, len(asked)) == ("timeout", times)


async def test_a_host_that_stalls_once_costs_no_image() -> None:
    async with raw_answers(b"", RAW_PART, RAW_WHOLE, hold=True) as (url, asked):
        downloads = Downloads(allow_private=True, timeout=Timeout(idle=0.1), retry=QUICK)
        with anyio.fail_after(20):
            assert await downloads.fetch(url) == PNG
    assert len(asked) == 3


async def test_connecting_has_its_own_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    downloads = Downloads(timeout=Timeout(connect=0.1), retry=QUICK)
    with anyio.fail_after(20):
        assert "no connection to its host within timeout.connect" in await refusal(
            downloads, "https://pictures.example/a.png"
        )


async def test_other_limits_make_another_downloader() -> None:
    downloads = Downloads(max_bytes=7)
    assert downloads.limited(UNSET) is downloads
    other = downloads.limited(3, RetryPolicy(max_retries=9))
    assert (other._timeout, other._retry.max_retries, other._max_bytes) == (Timeout(3), 9, 7)
    assert (downloads._timeout, downloads._retry) == (Timeout(), RetryPolicy(max_retries=0))
    assert downloads.limited(None)._timeout == Timeout(None)


async def test_what_came_of_a_damaged_one_can_be_had() -> None:
    for answer in (RAW_PART, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PART):
        async with raw_answers(answer, answer, None) as (url, asked):
            downloads = Downloads(allow_private=True, retry=QUICK)
            assert await downloads.fetch(url, damaged=True) == PART
            assert len(asked) == 3
    async with raw_answers(RAW_PART, hold=True) as (url, asked):
        assert await Downloads(allow_private=True, timeout=0.2).fetch(url, damaged=True) == PART
    async with raw_answers(status(404)) as (url, asked):
        with pytest.raises(ImageDownloadError, match="404"):
            await Downloads(allow_private=True).fetch(url, damaged=True)
    async with raw_answers(RAW_PART, RAW_WHOLE) as (url, asked):
        assert await Downloads(allow_private=True, retry=QUICK).fetch(url, damaged=True) == PNG


async def test_what_was_written_is_not_written_twice() -> None:
    pieces: list[bytes] = []

    async def keep(piece: bytes) -> None:
        pieces.append(piece)

    async with raw_answers(status(503), RAW_PART, RAW_WHOLE) as (url, asked):
        with pytest.raises(ImageDownloadError) as caught:
            await Downloads(allow_private=True, retry=QUICK).fetch_into(url, keep)
    assert (caught.value.reason, len(asked), b"".join(pieces)) == ("damaged", 2, PART)


async def test_a_second_address_is_tried_before_any_pause() -> None:
    async with raw_answers(status(503)) as (url, asked), raw_answers(RAW_PART, RAW_WHOLE) as (second, asked_too):
        downloads = Downloads(allow_private=True, retry=QUICK)
        assert await downloads.fetch(url, second) == PNG
        assert (len(asked), len(asked_too)) == (2, 2)
    async with raw_answers(status(404)) as (url, asked), raw_answers(RAW_PART) as (second, asked_too):
        with pytest.raises(ImageDownloadError, match=r"answered 404.*; and the second address: .* could not") as caught:
            await Downloads(allow_private=True, retry=QUICK).fetch(url, second)
    assert (caught.value.reason, len(asked), len(asked_too)) == ("damaged", 1, 3)


@pytest.mark.slow
async def test_looking_for_the_end_does_not_hold_the_loop(host: UntrustedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is slowest to follow: blocks of one byte.
    hostile = b"GIF89a\1\0\1\0\0\0\0" + b"!x\0" * 700_000 + b";"
    host.pages["/a.png"] = hostile
    turn, fed = 0, Counter[int]()
    feed = Ending.feed

    def counted(ending: Ending, piece: bytes) -> None:
        fed[turn] += len(piece)
        feed(ending, piece)

    async def count() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    monkeypatch.setattr(Ending, "feed", counted)
    monkeypatch.setattr(fetch, "_MAX_HOLD_S", 0)  # As though every look at the clock found that it was held too long.
    task = asyncio.create_task(count())
    assert difference(await host.trusted().fetch(host.at("/a.png")), hostile) == ""
    task.cancel()
    assert fed.total() == len(hostile)
    assert max(fed.values()) <= 2 * fetch._SCANNED_BYTES


# What is left behind


async def test_cancelling_closes_the_connection(host: UntrustedHost) -> None:
    closed = anyio.Event()
    begun = anyio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(PNG)
        begun.set()
        try:
            while True:
                await asyncio.sleep(0.01)
                await response.write(b"\0")
        finally:
            closed.set()

    host.pages["/a.png"] = slow
    task = asyncio.create_task(host.trusted().fetch(host.at("/a.png")))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with anyio.fail_after(20):
        await closed.wait()


async def test_travels_by_pickle_and_holds_nothing(host: UntrustedHost) -> None:
    downloads = host.trusted(max_bytes=len(PNG))
    await downloads.fetch(host.at("/a.png"))
    copy = pickle.loads(pickle.dumps(downloads))  # noqa: S301  (our own bytes)
    assert await copy.fetch(host.at("/a.png")) == PNG
    assert await downloads.fetch(host.at("/a.png")) == PNG
    gc.collect()


def test_serves_one_event_loop_after_another() -> None:
    downloads = Downloads(allow_private=True)

    async def once() -> bytes:
        async with untrusted_host() as host:
            return await downloads.fetch(host.at("/a.png"))

    assert asyncio.run(once()) == asyncio.run(once()) == PNG


def test_is_made_without_aiohttp() -> None:
    code = "import sys, tutuclient.downloads.fetch as d; d.Downloads(); sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603  (our own words)
