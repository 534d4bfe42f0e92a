"""The wire below the calls: slots, limits, retries, redirects, guards; on real sockets."""

from __future__ import annotations

import asyncio
import select
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY, QUICK
from tests.leftovers import answered, idle, none_idle, until
from tutuclient import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigError,
    InternalServerError,
    OutcomeUnknownError,
    PayloadTooLargeError,
    PoolTimeoutError,
    RateLimitError,
    RetryPolicy,
    Timeout,
    TutuClient,
    user,
)
from tutuclient.testing import (
    Recorded,
    Server,
    chunk,
    fails,
    rate_limited,
    raw,
    raw_server,
    says,
    serve,
    serve_in_thread,
    streams,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient import ChatCompletion


async def ask(client: TutuClient, **fields: Any) -> ChatCompletion:
    answer: ChatCompletion = await client.chat.completions.create(model="m", messages=[user("hi")], **fields)
    return answer


async def order(client: TutuClient, **fields: Any) -> ChatCompletion:
    answer: ChatCompletion = await client.generate("a red panda", **fields)
    return answer


async def test_never_more_calls_in_flight_than_allowed(server: Server) -> None:
    server.answers(*[says("x", delay=0.1)] * 12)
    async with TutuClient(KEY, server.base_url, max_concurrency=3) as client:
        answers = await asyncio.gather(*(ask(client) for _ in range(12)))
    assert server.peak_in_flight == 3
    assert any(answer.meta.waited_s > 0 for answer in answers)
    assert answers[0].meta.waited_s == 0


async def test_connections_limit_calls_too(server: Server) -> None:
    server.answers(*[says("x", delay=0.1)] * 6)
    async with TutuClient(KEY, server.base_url, max_connections=2) as client:
        await asyncio.gather(*(ask(client) for _ in range(6)))
    assert server.peak_in_flight == 2


async def test_waiting_for_a_slot_is_distinguished_from_a_slow_relay(server: Server) -> None:
    server.answers(says("x", delay=30))
    async with TutuClient(KEY, server.base_url, max_concurrency=1, max_retries=0) as client:
        slow = asyncio.create_task(ask(client))
        await server.wait_requests(1)
        with pytest.raises(PoolTimeoutError, match="max_concurrency") as caught:
            await ask(client, timeout=Timeout(pool=0.05))
        assert caught.value.outcome == "not_sent"
        assert isinstance(caught.value, TimeoutError)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        await server.wait_closed(timeout=10)
        assert (await ask(client)).text


async def test_the_deadline_covers_a_slow_relay(client: TutuClient, server: Server) -> None:
    server.answers(says("x", delay=30))
    with pytest.raises(APITimeoutError, match="deadline of 0.3 s") as caught:
        await ask(client, timeout=0.3)
    assert caught.value.outcome == "unknown"
    assert caught.value.attempts == 1
    await server.wait_closed(timeout=10)
    assert (await ask(client)).text


async def test_the_deadline_covers_all_attempts_and_pauses(server: Server) -> None:
    server.answers(*[fails(503, "busy", headers={"Retry-After": "0.2"})] * 50)
    policy = RetryPolicy(max_retries=50, wait_initial=0)
    async with TutuClient(KEY, server.base_url, retry=policy, timeout=1) as client:
        with pytest.raises((APIStatusError, APITimeoutError)):
            await ask(client)
    # No more than five pauses fit into the deadline, however slow the rest is.
    assert 2 <= len(server.requests) <= 6


async def test_waits_as_long_as_the_server_asks(client: TutuClient, server: Server) -> None:
    server.answers(rate_limited(retry_after=0.2), says("hello"))
    assert (await ask(client)).text == "hello"
    assert len(server.gaps) == 1
    assert 0.2 <= server.gaps[0] < 10


async def test_cancelling_frees_the_connection_at_once(client: TutuClient, server: Server) -> None:
    server.answers(says("x", delay=5))
    task = asyncio.create_task(ask(client))
    await server.wait_requests(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.wait_closed(timeout=10)
    await server.until(lambda: server.open_connections == 0)


async def test_a_cancelled_wait_for_a_slot_leaks_no_slot(server: Server) -> None:
    server.answers(says("x", delay=0.3))
    async with TutuClient(KEY, server.base_url, max_concurrency=1) as client:
        first = asyncio.create_task(ask(client))
        await server.wait_requests(1)
        second = asyncio.create_task(ask(client))
        await until(lambda: client._transport.pool and client._transport.pool.slots.waiting)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await first
        assert (await ask(client, timeout=20)).text


async def test_a_timeout_from_outside_stays_the_callers(client: TutuClient, server: Server) -> None:
    server.answers(says("x", delay=5))
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.1):
            await ask(client)
    assert not isinstance(caught.value, APITimeoutError)
    await server.wait_closed(timeout=10)


async def test_a_relay_that_is_not_there_was_not_sent_anything() -> None:
    async with raw_server("refused") as gone, TutuClient(KEY, gone.base_url, retry=QUICK) as client:
        with pytest.raises(APIConnectionError, match="cannot be reached") as caught:
            await order(client)
    assert caught.value.outcome == "not_sent"
    assert caught.value.attempts == 3


async def test_a_connection_lost_after_an_order_is_unknown_and_not_repeated(client: TutuClient, server: Server) -> None:
    server.faults("reset_after_request", times=3)
    with pytest.raises(OutcomeUnknownError, match="resend_unknown"):
        await order(client)
    assert len(server.requests) == 1


async def test_a_connection_lost_after_a_question_is_asked_again(client: TutuClient, server: Server) -> None:
    server.faults("reset_after_request", times=2)
    assert (await ask(client)).meta.attempts == 3


@pytest.mark.parametrize("fault", ["idle_close", "half_close"])
async def test_an_idle_connection_that_died_before_is_not_used(client: TutuClient, server: Server, fault: str) -> None:
    server.faults(fault)
    once = client.with_options(max_retries=0)
    assert (await ask(once)).text
    await server.until(lambda: server.open_connections == 0)
    await answered(server)
    for _ in range(2):
        assert (await ask(once)).text


@pytest.mark.parametrize("fault", ["close_at_reuse", "reset_at_reuse", "lying_keep_alive"])
async def test_an_idle_connection_that_dies_in_use_is_replaced(client: TutuClient, server: Server, fault: str) -> None:
    server.faults(fault)
    free_only = client.with_options(retry=RetryPolicy(wait_initial=30))  # Sent again at once, or in half a minute.
    for _ in range(3):
        assert (await ask(free_only)).text


@pytest.mark.parametrize("fault", ["surplus_bytes", "unasked_answer"])
async def test_an_answer_nobody_asked_for_is_given_to_nobody(client: TutuClient, server: Server, fault: str) -> None:
    server.faults(fault)
    await ask(client)
    await none_idle(client)
    server.answers(says("mine"))
    assert (await ask(client)).text == "mine"


@pytest.mark.parametrize("fault", ["surplus_bytes", "unasked_answer", "idle_close"])
async def test_what_came_while_the_loop_was_held_is_seen_too(fault: str) -> None:
    with serve_in_thread() as server:
        async with TutuClient(KEY, server.base_url, max_retries=0) as client:
            server.faults(fault)
            await ask(client)
            [held] = idle(client)
            assert select.select([held._socket], [], [], 20)[0]  # It came, and the loop is held on purpose.
            server.answers(says("mine"))
            assert (await ask(client)).text == "mine"


async def test_a_broken_chunk_size_does_not_hang(client: TutuClient, server: Server) -> None:
    server.faults("bad_chunk_size", times=3)
    with pytest.raises(APIConnectionError):
        await ask(client, timeout=5)
    assert len(server.requests) == 3


async def test_a_413_while_uploading_is_a_413(client: TutuClient, server: Server) -> None:
    server.faults("early_413")
    with pytest.raises(PayloadTooLargeError, match="max_side"):
        await client.analyze(b"\x89PNG\r\n\x1a\n" + b"0" * 3_000_000, "what?")
    assert len(server.requests) == 1


async def test_a_redirect_within_the_origin_is_followed_with_the_body(client: TutuClient, server: Server) -> None:
    server.answers(raw(308, headers={"Location": f"{server.origin}/v1/chat/completions?x=1"}), says("there"))
    assert (await ask(client)).text == "there"
    assert server.requests[0].body == server.requests[1].body
    assert server.requests[1].query["x"] == "1"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_to_elsewhere_is_not_followed_and_gets_no_key(
    client: TutuClient, server: Server, status: int
) -> None:
    async with serve() as elsewhere:
        server.answers(raw(status, headers={"Location": f"{elsewhere.base_url}/chat/completions?secret=1"}))
        with pytest.raises(APIStatusError, match="redirect to http") as caught:
            await ask(client)
        assert elsewhere.requests == []
    assert "secret" not in str(caught.value)
    assert len(server.requests) == 1


async def test_a_wrong_key_is_said_with_advice() -> None:
    async with serve(key="sk-right") as locked, TutuClient("sk-wrong", locked.base_url) as client:
        with pytest.raises(AuthenticationError, match="TUTU_API_KEY") as caught:
            await ask(client)
    assert caught.value.request_id
    assert "sk-wrong" not in str(caught.value)


async def test_a_rate_limit_that_stays_is_reported_with_the_attempts(client: TutuClient, server: Server) -> None:
    server.answers(*[fails(429, "too many")] * 50)
    with pytest.raises(RateLimitError) as caught:
        await ask(client)
    assert caught.value.attempts == len(server.requests) == 3
    assert caught.value.outcome == "rejected"


async def test_an_outage_costs_hardly_more_requests_than_calls(server: Server) -> None:
    server.answers(*[fails(503, "down")] * 1000)
    async with TutuClient(KEY, server.base_url, retry=RetryPolicy(wait_initial=0.001), max_concurrency=20) as client:
        errors = await asyncio.gather(*(ask(client) for _ in range(200)), return_exceptions=True)
    assert all(isinstance(error, InternalServerError) for error in errors)
    assert 200 < len(server.requests) < 300
    assert any("budget" in note for error in errors for note in getattr(error, "__notes__", ()))


async def test_successes_earn_retries_again(server: Server) -> None:
    policy = RetryPolicy(wait_initial=0, budget=1)
    async with TutuClient(KEY, server.base_url, retry=policy) as client:
        server.answers(fails(503, "a"), says("b"), fails(503, "c"), fails(503, "d"))
        assert (await ask(client)).text == "b"
        with pytest.raises(InternalServerError, match="d"):
            await ask(client)
        server.answers(fails(503, "e"))
        with pytest.raises(InternalServerError, match="e"):
            await ask(client)
        for _ in range(5):
            await ask(client)
        server.answers(fails(503, "f"), says("g"))
        assert (await ask(client)).text == "g"


async def test_a_pause_the_relay_asks_for_is_kept_by_all_calls_and_they_return_spread_out(server: Server) -> None:
    server.answers(rate_limited(retry_after=0.4), *[says("hello", delay=0.02)] * 31)
    async with TutuClient(KEY, server.base_url, retry=QUICK) as client:
        first = asyncio.create_task(ask(client))
        await server.wait_requests(1)
        await answered(server)
        others = await asyncio.gather(*(ask(client) for _ in range(30)))
        assert (await first).meta.attempts == 2
    starts = sorted(seen.started_at - server.requests[0].started_at for seen in server.requests[1:])
    assert starts[0] >= 0.4
    assert starts[-1] - starts[0] > 0.05
    assert all(answer.meta.waited_s > 0 for answer in others)


async def test_under_many_rate_limits_every_item_gets_its_own_answer(server: Server) -> None:
    opens = time.monotonic() + 0.4

    def limited(seen: Recorded) -> Any:
        left = opens - time.monotonic()
        return rate_limited(retry_after=left) if left > 0 else says(seen.json["messages"][0]["content"])

    server.answers(*[limited] * 400)
    async with TutuClient(KEY, server.base_url, max_concurrency=50) as client:

        async def echo(number: int) -> str:
            answer = await client.chat.completions.create(model="m", messages=[user(f"item {number}")])
            return answer.text

        assert await asyncio.gather(*map(echo, range(200))) == [f"item {number}" for number in range(200)]
    assert len(server.requests) <= 260


async def test_a_pause_beyond_the_deadline_is_reported_at_once(server: Server) -> None:
    server.answers(rate_limited(retry_after=30))
    async with TutuClient(KEY, server.base_url) as client:
        first = asyncio.create_task(ask(client))
        await server.wait_requests(1)
        await answered(server)
        with pytest.raises(RateLimitError, match="pause") as caught:
            await ask(client, timeout=10)
        assert caught.value.outcome == "not_sent"
        assert caught.value.retry_after is not None
        first.cancel()
    assert len(server.requests) == 1


async def test_the_deadline_takes_the_slot_from_a_reader_that_sleeps(server: Server) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    async with TutuClient(KEY, server.base_url, max_concurrency=1, max_retries=0) as client:
        stream = await client.chat.completions.create(model="m", messages=[user("hi")], stream=True, timeout=0.2)
        assert (await anext(stream)).text == "a"
        assert (await ask(client, timeout=20)).text
        await server.wait_closed(0, timeout=10)
        with pytest.raises(APITimeoutError, match="deadline of 0.2 s"):
            await anext(stream)


async def test_waiting_for_a_slot_until_the_deadline_is_reported_as_that(server: Server) -> None:
    server.answers(says("x", delay=30))
    async with TutuClient(KEY, server.base_url, max_concurrency=1, max_retries=0) as client:
        slow = asyncio.create_task(ask(client))
        await server.wait_requests(1)
        with pytest.raises(PoolTimeoutError, match="no free slot within 0.1 s"):
            await ask(client, timeout=0.1)
        slow.cancel()


async def test_an_order_that_took_too_long_says_what_it_may_have_cost(client: TutuClient, server: Server) -> None:
    server.answers(says("x", delay=30))
    with pytest.raises(APITimeoutError, match="made and billed"):
        await order(client, timeout=0.3)


async def test_a_pause_is_not_made_longer_by_those_who_will_not_keep_it(server: Server) -> None:
    server.answers(rate_limited(retry_after=1.2))
    async with TutuClient(KEY, server.base_url, max_retries=0) as client:
        with pytest.raises(RateLimitError):
            await ask(client)
        for _ in range(30):
            with pytest.raises(RateLimitError, match="not sent"):
                await ask(client, timeout=0.5)
        assert (await ask(client, timeout=20)).meta.waited_s < 4


async def test_an_error_whose_body_stalls_is_still_that_error() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 400 Bad Request\r\nContent-Length: 99\r\n\r\n{"error":')
        await reader.read()
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, TutuClient(KEY, f"http://127.0.0.1:{port}") as client:
        with pytest.raises(BadRequestError) as caught:
            await ask(client, timeout=1)
    assert caught.value.outcome == "rejected"


async def test_an_arriving_image_does_not_count_as_idle(client: TutuClient, server: Server) -> None:
    big = [chunk("a"), chunk("x" * 400_000), chunk(finish_reason="stop")]
    server.answers(streams(big, chunk_sizes=20_000, delay=0.1))
    async with client.chat.completions.stream(model="m", messages=[user("hi")], timeout=Timeout(idle=1.5)) as stream:
        assert len((await stream.completion()).text) == 400_001


# --- Before a connection, and beyond the base URL (issue 10, section 5 row 9) -----------------------------------------


# Over plain HTTP only 407 is the proxy's own word.
@pytest.mark.parametrize(
    ("scheme", "status"), [("http", 407), *(("https", status) for status in (302, 400, 403, 407, 502, 503))]
)
async def test_an_error_of_the_proxy_names_proxy(scheme: str, status: int) -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n" % status)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, TutuClient(KEY, f"{scheme}://relay.example/v1", proxy=proxy, retry=QUICK) as client:
        with pytest.raises(APIConnectionError, match=r"the proxy refused.*proxy=") as caught:
            await order(client)
    assert str(status) in str(caught.value)
    assert caught.value.outcome == "not_sent"
    assert asked == (3 if status >= 500 else 1)


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9\r\n\r\n", None], ids=["fin", "ssh", "silence"])
async def test_a_proxy_that_answers_nothing_of_use_is_named(said: bytes | None) -> None:
    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        if said is None:
            await reader.read()  # Until the client has left.
        writer.write(said or b"")
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with (
        listener,
        TutuClient(
            KEY, "https://relay.example/v1", proxy=proxy, max_retries=0, timeout=Timeout(total=3, connect=0.2)
        ) as client,
    ):
        with pytest.raises(APIConnectionError, match="proxy=") as caught:
            await order(client)
    assert caught.value.outcome == "not_sent"
    await asyncio.gather(*filter(None, serving))


@pytest.mark.parametrize("limits", [Timeout(connect=0.1), Timeout(total=0.1), Timeout(first_token=0.1)])
async def test_a_dns_that_is_silent_is_named(limits: Timeout, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: Any, **__: Any) -> None:
        await asyncio.sleep(2)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    async with TutuClient(KEY, "http://relay.example/v1", max_retries=0) as client:
        with pytest.raises(APITimeoutError, match=r"DNS.*relay\.example") as caught:
            await ask(client, timeout=limits)
    assert caught.value.outcome == "not_sent"


async def test_a_connect_timeout_is_not_reported_as_dns() -> None:
    async with (
        raw_server("tls_stall") as slow,
        TutuClient(KEY, slow.base_url, verify=False, max_retries=0) as client,
    ):
        with pytest.warns(UserWarning, match="verify"), pytest.raises(APITimeoutError) as caught:
            await ask(client, timeout=Timeout(connect=0.1))
    assert "DNS" not in str(caught.value)


async def test_an_upload_whose_connection_breaks_is_reported_in_plain_words(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    path = tmp_path / "sound.wav"
    path.write_bytes(b"RIFF\x00\x00\x80\x00WAVEfmt " + bytes(6_000_000))
    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, TutuClient(KEY, url, max_retries=0) as client:
        for _ in range(10):
            with pytest.raises(APIConnectionError) as caught:
                await client.audio.transcriptions.create(file=path, model="m")
            assert caught.value.outcome == "not_sent"
            assert "Errno None" not in str(caught.value)
            assert "Can not write" not in str(caught.value)


def test_without_asyncio_one_sentence_says_so() -> None:
    async def work() -> None:
        async with TutuClient(KEY, "http://127.0.0.1:1") as client:
            await ask(client)

    with pytest.raises(ConfigError, match="works on asyncio, and here no event loop is running"):
        work().send(None)  # As trio would: there is no asyncio loop.
