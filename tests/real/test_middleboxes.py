"""Our client behind nginx and HAProxy, which pass on, hold back, refuse and cut; the relay counts the POSTs."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.conftest import KEY, QUICK
from tests.leftovers import nothing_left
from tests.real.middleboxes import haproxy, nginx
from tutuclient import (
    APIConnectionError,
    APIError,
    BadRequestError,
    InternalServerError,
    PayloadTooLargeError,
    RetryPolicy,
    TutuClient,
    image,
    user,
)
from tutuclient.testing import Server, sample_picture, says, streams
from tutuclient.testing import chunk as chunk_of

if TYPE_CHECKING:
    from pathlib import Path

HI = [user("hi")]
GAP_S = 0.1


def upstream(server: Server) -> str:
    return server.origin.removeprefix("http://")


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pair(authority: trustme.CA, tmp_path: Path) -> str:
    """A file with the certificate of 127.0.0.1 and its key."""
    file = tmp_path / "pair.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(file))
    return str(file)


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> str:
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


async def arrivals(origin: str) -> tuple[str, list[float]]:
    """Read a stream; return its text and when each piece of it came."""
    loop = asyncio.get_running_loop()
    async with TutuClient(KEY, f"{origin}/v1", retry=QUICK) as client:
        async with client.chat.completions.stream(model="m", messages=HI) as stream:
            came = [(piece, loop.time()) async for piece in stream.text()]
        assert await nothing_left(client) == []
    return "".join(piece for piece, _ in came), [when for _, when in came]


@pytest.mark.parametrize("buffering", ["on", "off"])
async def test_nginx_passes_streams_on(server: Server, tmp_path: Path, buffering: str) -> None:
    server.answers(says("one two three four five", token_delay=GAP_S))
    with nginx(tmp_path, upstream(server), f"proxy_buffering {buffering}") as origin:
        text, times = await arrivals(origin)
    assert text == "one two three four five"
    if buffering == "off":
        assert min(later - earlier for earlier, later in pairwise(times)) > GAP_S / 4
    assert len(server.requests) == 1


async def test_haproxy_passes_streams_on_as_they_come(server: Server, tmp_path: Path) -> None:
    server.answers(says("one two three four five", token_delay=GAP_S))
    # Without this option HAProxy itself waits some 200 ms for more to send together.
    with haproxy(tmp_path, upstream(server), "option http-no-delay") as origin:
        text, times = await arrivals(origin)
    assert text == "one two three four five"
    assert min(later - earlier for earlier, later in pairwise(times)) > GAP_S / 4


async def test_a_stream_cut_behind_nginx_is_reported_and_not_repeated(server: Server, tmp_path: Path) -> None:
    server.answers(streams([chunk_of("one "), chunk_of("two")], done=False, then="reset", pause=0.1))
    with (
        nginx(tmp_path, upstream(server), "proxy_buffering off") as origin,
        pytest.raises(APIConnectionError) as caught,
    ):
        await arrivals(origin)
    assert caught.value.outcome == "unknown"
    assert caught.value.partial is not None
    assert caught.value.partial.text == "one two"
    assert len(server.requests) == 1


@pytest.mark.parametrize("megabytes", [1, 20])
async def test_nginx_refuses_an_upload_by_its_size(server: Server, tmp_path: Path, megabytes: int) -> None:
    """nginx answers 413 and closes before it has read the body; that is the answer, and no broken connection."""
    picture = tmp_path / "large.png"
    picture.write_bytes(sample_picture() + bytes(megabytes * 2**20))
    with nginx(tmp_path, upstream(server), "client_max_body_size 64k") as origin:
        async with TutuClient(KEY, f"{origin}/v1", retry=QUICK) as client:
            for _ in range(8):
                with pytest.raises(PayloadTooLargeError) as caught:
                    await client.chat.completions.create(model="m", messages=[user("what?", image(picture))])
                assert caught.value.attempts == 1
                assert caught.value.outcome == "rejected"
            assert await nothing_left(client) == []
    assert server.requests == []


@pytest.mark.parametrize("box", ["nginx", "haproxy"])
async def test_a_gateway_timeout_repeats_a_question_but_no_order(server: Server, tmp_path: Path, box: str) -> None:
    server.answers(says("late", delay=5), says("in time"), says("late", delay=5))
    made = (
        nginx(tmp_path, upstream(server), "proxy_read_timeout 300ms")
        if box == "nginx"
        else haproxy(tmp_path, upstream(server), "timeout server 300ms")
    )
    with made as origin:
        async with TutuClient(KEY, f"{origin}/v1", retry=QUICK) as client:
            answer = await client.chat.completions.create(model="m", messages=HI)
            assert (answer.text, answer.meta.attempts) == ("in time", 2)
            with pytest.raises(InternalServerError) as caught:
                await client.edit(sample_picture(), "a blue sky", model="gpt-4o-image")
            assert caught.value.status_code == 504
            assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert len(server.requests) == 3


@pytest.mark.parametrize("lines", [["keepalive_requests 3"], ["keepalive_timeout 0"], ["keepalive_timeout 20ms"]])
async def test_nginx_closes_connections_and_every_post_arrives_once(
    server: Server, tmp_path: Path, lines: list[str]
) -> None:
    server.answers(*[says("hello")] * 40)
    free_only = RetryPolicy(budget=0)  # Sent again is only what met a connection that nginx had closed unread.
    with nginx(tmp_path, upstream(server), *lines) as origin:
        async with TutuClient(KEY, f"{origin}/v1", retry=free_only) as client:
            for number in range(40):
                answer = await client.chat.completions.create(model="m", messages=HI)
                assert answer.text == "hello"
                await asyncio.sleep(0.015 if number % 2 else 0)
    assert len(server.requests) == 40


async def test_haproxy_reuses_connections_and_every_post_arrives_once(server: Server, tmp_path: Path) -> None:
    server.answers(*[says("hello")] * 200)
    with haproxy(tmp_path, upstream(server), "http-reuse always") as origin:
        async with TutuClient(KEY, f"{origin}/v1", retry=QUICK, max_concurrency=16) as client:
            calls = [client.chat.completions.create(model="m", messages=HI) for _ in range(200)]
            answers = await asyncio.gather(*calls)
    assert {answer.text for answer in answers} == {"hello"}
    assert len(server.requests) == 200
    assert len({seen.connection for seen in server.requests}) < 100


async def test_a_full_queue_is_a_503_that_was_not_done(server: Server, tmp_path: Path) -> None:
    server.answers(*[says("slow", delay=0.5)] * 8)
    with haproxy(tmp_path, upstream(server), "timeout queue 50ms", options="maxconn 1") as origin:
        async with TutuClient(KEY, f"{origin}/v1", max_retries=0) as client:
            calls = [client.chat.completions.create(model="m", messages=HI) for _ in range(4)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
    full = [each for each in answers if isinstance(each, InternalServerError)]
    assert len(full) == 3
    assert {(each.status_code, each.outcome) for each in full} == {(503, "rejected")}
    assert len(server.requests) == 1


async def test_a_full_queue_is_waited_out(server: Server, tmp_path: Path) -> None:
    server.answers(*[says("hello", delay=0.05)] * 8)
    with haproxy(tmp_path, upstream(server), "timeout queue 20ms", options="maxconn 1") as origin:
        async with TutuClient(KEY, f"{origin}/v1", max_retries=30) as client:
            calls = [client.chat.completions.create(model="m", messages=HI) for _ in range(8)]
            answers = await asyncio.gather(*calls)
    assert [answer.text for answer in answers] == ["hello"] * 8
    assert len(server.requests) == 8


async def test_a_balancer_that_repeats_posts_by_itself_multiplies_ours(tmp_path: Path) -> None:
    """HAProxy's ``retry-on``: each of our attempts becomes several; README says to set ``max_retries=0`` then."""
    seen = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await reader.readuntil(b"\r\n\r\n")
        seen += 1
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()[:2]
    try:
        with haproxy(tmp_path, f"{host}:{port}", "retries 2", "retry-on all-retryable-errors") as origin:
            for retries, posts in ((0, 3), (1, 6)):
                seen = 0
                async with TutuClient(KEY, f"{origin}/v1", max_retries=retries) as client:
                    with pytest.raises(APIError):
                        await client.chat.completions.create(model="m", messages=HI)
                assert seen == posts
    finally:
        listener.close()


@pytest.mark.parametrize("box", ["nginx", "haproxy"])
async def test_a_private_authority_is_trusted_only_when_it_is_named(
    server: Server, tmp_path: Path, box: str, pair: str, trusted: str
) -> None:
    server.answers(says("hello"), says("hello"))
    made = (
        nginx(tmp_path, upstream(server), tls=pair)
        if box == "nginx"
        else haproxy(tmp_path, upstream(server), tls=f"ssl crt {pair}")
    )
    with made as origin:
        assert origin.startswith("https://")
        async with TutuClient(KEY, f"{origin}/v1", retry=QUICK) as client:
            with pytest.raises(APIConnectionError, match="verify=") as caught:
                await client.chat.completions.create(model="m", messages=HI)
            assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 1)
        async with TutuClient(KEY, f"{origin}/v1", verify=trusted) as client:
            for _ in range(2):
                assert (await client.chat.completions.create(model="m", messages=HI)).text == "hello"
    assert len(server.requests) == 2


async def test_a_client_certificate_is_shown_to_nginx(
    server: Server, tmp_path: Path, authority: trustme.CA, pair: str, trusted: str
) -> None:
    server.answers(says("hello"))
    own = tmp_path / "own.pem"
    authority.issue_cert("client@example.com").private_key_and_cert_chain_pem.write_to_path(str(own))
    lines = [f"ssl_client_certificate {trusted}", "ssl_verify_client on"]
    with nginx(tmp_path, upstream(server), *lines, tls=pair) as origin:
        async with TutuClient(KEY, f"{origin}/v1", verify=trusted, retry=QUICK) as client:
            with pytest.raises(BadRequestError, match="SSL certificate"):
                await client.chat.completions.create(model="m", messages=HI)
        context = ssl.create_default_context(cafile=trusted)
        context.load_cert_chain(own)
        async with TutuClient(KEY, f"{origin}/v1", verify=context, retry=QUICK) as client:
            assert (await client.chat.completions.create(model="m", messages=HI)).text == "hello"
    assert len(server.requests) == 1


# --- What dies behind the box ----------------------------------------------------------------------------------------

ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)


@pytest.mark.parametrize("box", ["nginx", "haproxy"])
@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 102 Processing\r\n\r\n", HEAD[:30], HEAD + ANSWER[:20]],
    ids=["none", "102", "half", "body"],
)
async def test_a_used_connection_that_dies_behind_the_box_causes_no_second_post(
    tmp_path: Path, box: str, said: bytes
) -> None:
    """The box and we both hold a used connection; the relay dies on the second POST it gets over its own.

    nginx says 502 (and waits on behind a 102), HAProxy says nothing or cuts: without retries it is one POST, and told.
    """
    posts = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal posts
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
                posts += 1
                if posts == 2:
                    writer.write(said)
                    await writer.drain()
                    break
                writer.write(HEAD + ANSWER)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()[:2]
    made = nginx if box == "nginx" else haproxy
    lines = [] if box == "nginx" else ["http-reuse always"]
    async with listener:
        with made(tmp_path, f"{host}:{port}", *lines) as origin:
            async with TutuClient(KEY, f"{origin}/v1", max_retries=0, timeout=2) as client:
                assert (await client.chat.completions.create(model="m", messages=HI)).text == "hello"
                with pytest.raises(APIError) as caught:
                    await client.chat.completions.create(model="m", messages=HI)
                assert (caught.value.outcome, caught.value.attempts, posts) == ("unknown", 1, 2)
                assert await nothing_left(client) == []
                assert (await client.chat.completions.create(model="m", messages=HI)).text == "hello"
    assert posts == 3


async def test_a_client_certificate_is_shown_to_haproxy(
    server: Server, tmp_path: Path, authority: trustme.CA, pair: str, trusted: str
) -> None:
    server.answers(says("hello"))
    own = tmp_path / "own.pem"
    authority.issue_cert("client@example.com").private_key_and_cert_chain_pem.write_to_path(str(own))
    tls = f"ssl crt {pair} ca-file {trusted} verify required"
    with haproxy(tmp_path, upstream(server), tls=tls) as origin:
        async with TutuClient(KEY, f"{origin}/v1", verify=trusted, retry=QUICK) as client:
            with pytest.raises(APIConnectionError, match="client certificate") as caught:
                await client.chat.completions.create(model="m", messages=HI)
        assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 1)
        context = ssl.create_default_context(cafile=trusted)
        context.load_cert_chain(own)
        async with TutuClient(KEY, f"{origin}/v1", verify=context, retry=QUICK) as client:
            assert (await client.chat.completions.create(model="m", messages=HI)).text == "hello"
    assert len(server.requests) == 1
