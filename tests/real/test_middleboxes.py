"""What stands between a client and a relay: Debian's nginx and HAProxy, and the POSTs that are counted behind them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from tests.conftest import KEY, QUICK
from tests.real.servers import free_port
from tutuclient import (
    APIConnectionError,
    APIError,
    BadRequestError,
    InternalServerError,
    PayloadTooLargeError,
    TutuClient,
    user,
)
from tutuclient.testing import chunk
from tutuclient.testing.script import encode_frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

WHOLE = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(WHOLE), WHOLE)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")
MESSAGES = [user("hi")]
BOXES = ("nginx", "haproxy")


async def whole(writer: asyncio.StreamWriter) -> None:
    writer.write(ANSWER)


@dataclass
class Relay:
    """A relay on bare sockets that counts what reaches it."""

    port: int = 0
    posts: int = 0
    connections: int = 0
    answer: Callable[[asyncio.StreamWriter], Awaitable[object]] = whole
    tasks: set[asyncio.Task[None] | None] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if b"chunked" in head:
                    await reader.readuntil(b"0\r\n\r\n")
                else:
                    await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
                self.posts += 1
                await self.answer(writer)
        writer.transport.abort()


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    relay = Relay()
    listener = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield relay
        for task in relay.tasks:
            if task is not None:
                task.cancel()
        await asyncio.sleep(0.02)


NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream relay {{ server 127.0.0.1:{relay}; keepalive 8; }}
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 1s;
  proxy_next_upstream off;
  client_max_body_size 1m; keepalive_timeout 1s; keepalive_requests 5;
  ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl;
    location / {{ proxy_pass http://relay; }}
    location /unbuffered/ {{ proxy_buffering off; proxy_request_buffering off; proxy_pass http://relay/; }}
  }}
  server {{
    listen 127.0.0.1:{mtls} ssl; ssl_verify_client on; ssl_client_certificate {folder}/authority.pem;
    location / {{ proxy_pass http://relay; }}
  }}
}}
"""
HAPROXY = """
global
  maxconn 300
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 1s
  timeout queue 300ms
  timeout http-keep-alive 1s
  http-reuse always
  retries 0
frontend front
  bind 127.0.0.1:{plain}
  bind 127.0.0.1:{tls} ssl crt {folder}/server.pem
  bind 127.0.0.1:{mtls} ssl crt {folder}/server.pem ca-file {folder}/authority.pem verify required
  use_backend narrow if {{ path_beg /narrow }}
  use_backend insisting if {{ path_beg /insisting }}
  http-request deny deny_status 413 if {{ req.hdr_val(content-length) gt 1000000 }}
  default_backend relay
backend relay
  server relay 127.0.0.1:{relay}
backend narrow
  server relay 127.0.0.1:{relay} maxconn 1
backend insisting
  retries 3
  retry-on all-retryable-errors
  server relay 127.0.0.1:{relay}
"""


@dataclass
class Box:
    """A middlebox in front of the relay."""

    name: str
    plain: int
    tls: int
    mtls: int
    folder: Path
    authority: trustme.CA

    def url(self, path: str = "/v1") -> str:
        return f"http://127.0.0.1:{self.plain}{path}"

    def trusting(self, *, known: bool = False) -> ssl.SSLContext:
        """A context that trusts the private authority, and with ``known`` has a certificate of it to show."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if known:
            self.authority.issue_cert("client@relay.example").configure_cert(context)
        return context


@pytest.fixture(params=BOXES)
def box(request: pytest.FixtureRequest, relay: Relay, tmp_path: Path) -> Iterator[Box]:
    yield from run(request.param, relay, tmp_path)


@pytest.fixture
def nginx(relay: Relay, tmp_path: Path) -> Iterator[Box]:
    yield from run("nginx", relay, tmp_path)


@pytest.fixture
def haproxy(relay: Relay, tmp_path: Path) -> Iterator[Box]:
    yield from run("haproxy", relay, tmp_path)


def run(name: str, relay: Relay, folder: Path) -> Iterator[Box]:
    program = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert program is not None, f"{name} is not installed: run tests/real/install middleboxes"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    box = Box(name, free_port(), free_port(), free_port(), folder, authority)
    config = folder / f"{name}.conf"
    text = NGINX if name == "nginx" else HAPROXY
    config.write_text(text.format(folder=folder, relay=relay.port, plain=box.plain, tls=box.tls, mtls=box.mtls))
    log = folder / f"{name}.log"
    options = ["-e", str(log), "-p", str(folder), "-c"] if name == "nginx" else ["-db", "-f"]
    with (
        log.open("wb") as output,
        subprocess.Popen([program, *options, str(config)], stdout=output, stderr=output) as it,  # noqa: S603  (as installed)
    ):
        try:
            end = time.monotonic() + 10
            while not listens(box.mtls):
                assert it.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.02)
            yield box
        finally:
            it.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                it.wait(5)
            it.kill()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


async def ask(client: TutuClient, **fields: Any) -> str:
    answer = await client.chat.completions.create(model="m", messages=MESSAGES, **fields)
    return str(answer.text)


async def test_calls_share_connections_and_reach_the_relay_once_each(box: Box, relay: Relay) -> None:
    async with TutuClient(KEY, box.url(), retry=QUICK) as client:
        for _ in range(30):
            assert await ask(client) == "hello"
        assert await asyncio.gather(*(ask(client) for _ in range(60))) == ["hello"] * 60
        await asyncio.sleep(1.2)  # By then the box has closed what was idle.
        assert await asyncio.gather(*(ask(client) for _ in range(10))) == ["hello"] * 10
        pool = client._transport.pool
        assert pool is not None
        assert pool.slots.free == pool.slots.total
    assert relay.posts == 100
    assert relay.connections < 70


@pytest.mark.parametrize("path", ["/v1", "/unbuffered/v1"], ids=["buffered", "unbuffered"])
async def test_a_stream_comes_whole_and_in_time(box: Box, relay: Relay, path: str) -> None:
    events = [encode_frame(chunk(f"{number} ")) for number in range(5)]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM)
        for event in [*events, encode_frame(chunk(finish_reason="stop"))]:
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.write(b"0\r\n\r\n")

    relay.answer = answer
    loop = asyncio.get_running_loop()
    async with TutuClient(KEY, box.url(path), retry=QUICK) as client:
        began = loop.time()
        async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
            came = [loop.time() - began async for _ in stream.text()]
            assert (await stream.completion()).text == "0 1 2 3 4 "
    # HAProxy holds nothing back; nginx may, until its buffer is full or the answer ends.
    if box.name == "haproxy" or path != "/v1":
        assert came[0] < 0.3
        assert came[-1] - came[0] > 0.2
    assert relay.posts == 1


@pytest.mark.parametrize("how", ["text", "file"])
async def test_a_body_that_is_too_large_is_told_so_once(box: Box, relay: Relay, how: str, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(PNG + bytes(8_000_000))
    async with TutuClient(KEY, box.url(), retry=QUICK) as client:
        for _ in range(8):
            with pytest.raises(PayloadTooLargeError) as caught:
                if how == "text":
                    await client.chat.completions.create(model="m", messages=[user("x" * 8_000_000)])
                else:
                    await client.images.edit(image=picture, prompt="p", model="m")
            assert caught.value.attempts == 1
            assert caught.value.outcome == "rejected"
        assert await ask(client) == "hello"
    assert relay.posts == 1


async def test_a_relay_that_is_silent_ends_in_504_and_an_order_is_not_repeated(box: Box, relay: Relay) -> None:
    async def answer(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    relay.answer = answer
    async with TutuClient(KEY, box.url(), retry=QUICK) as client:
        with pytest.raises(InternalServerError) as caught:
            await client.images.generate(prompt="p", model="m")
        assert (caught.value.status_code, caught.value.outcome, relay.posts) == (504, "unknown", 1)
        with pytest.raises(InternalServerError):
            await ask(client.with_options(max_retries=0))
        assert relay.posts == 2


async def test_a_full_queue_is_told_and_nothing_is_sent_twice(haproxy: Box, relay: Relay) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(ANSWER)

    relay.answer = answer
    async with TutuClient(KEY, haproxy.url("/narrow/v1"), max_retries=0) as client:
        ends = await asyncio.gather(*(ask(client) for _ in range(8)), return_exceptions=True)
    refused = [end for end in ends if isinstance(end, APIError)]
    assert {(type(end), end.outcome) for end in refused} <= {(InternalServerError, "rejected")}
    assert refused
    assert relay.posts == ends.count("hello") == 8 - len(refused)


@pytest.mark.parametrize("form", ["path", "context"])
async def test_tls_with_a_private_authority(box: Box, relay: Relay, form: str) -> None:
    verify = str(box.folder / "authority.pem") if form == "path" else box.trusting()
    url = f"https://127.0.0.1:{box.tls}/v1"
    async with TutuClient(KEY, url, verify=verify, retry=QUICK) as client:
        for _ in range(3):
            assert await ask(client) == "hello"
    async with TutuClient(KEY, url, retry=QUICK) as stranger:
        with pytest.raises(APIConnectionError, match="verify=") as caught:
            await ask(stranger)
        assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 1)
    assert relay.posts == 3


async def test_mutual_tls(box: Box, relay: Relay) -> None:
    url = f"https://127.0.0.1:{box.mtls}/v1"
    async with TutuClient(KEY, url, verify=box.trusting(known=True), retry=QUICK) as client:
        assert await ask(client) == "hello"
    async with TutuClient(KEY, url, verify=box.trusting(), retry=QUICK) as stranger:
        with pytest.raises((BadRequestError, APIConnectionError)):
            await ask(stranger)
    assert relay.posts == 1


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-"])
async def test_a_used_connection_that_dies_behind_the_box_costs_one_post_where_that_is_wanted(
    box: Box, relay: Relay, said: bytes
) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        if relay.posts % 2:
            writer.write(ANSWER)
            return
        writer.write(said)
        await writer.drain()
        writer.close()

    relay.answer = answer
    async with TutuClient(KEY, box.url(), max_retries=0) as client:
        for number in range(1, 7):
            with contextlib.suppress(APIError):
                await ask(client)
            assert relay.posts == number


async def test_a_balancer_that_retries_multiplies_attempts_unless_the_client_makes_one(
    haproxy: Box, relay: Relay
) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n")

    relay.answer = answer
    async with TutuClient(KEY, haproxy.url("/insisting/v1"), retry=QUICK) as client:
        with pytest.raises(InternalServerError):
            await ask(client)
        assert relay.posts == 12
        with pytest.raises(InternalServerError):
            await ask(client.with_options(max_retries=0))
        assert relay.posts == 16
