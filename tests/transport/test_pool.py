"""The connections of a client: shared by calls in a row, closed with it, and with TLS as configured."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.certificates import self_signed
from tests.conftest import KEY, QUICK
from tutuclient import (
    APIConnectionError,
    TutuClient,
    UnexpectedResponseError,
    user,
)
from tutuclient.testing import (
    Server,
    says,
    serve,
)

if TYPE_CHECKING:
    from tutuclient import ChatCompletion


async def ask(client: TutuClient, **fields: Any) -> ChatCompletion:
    answer: ChatCompletion = await client.chat.completions.create(model="m", messages=[user("hi")], **fields)
    return answer


async def order(client: TutuClient, **fields: Any) -> ChatCompletion:
    answer: ChatCompletion = await client.generate("a red panda", **fields)
    return answer


async def test_calls_in_a_row_share_a_connection(client: TutuClient, server: Server) -> None:
    for _ in range(3):
        await ask(client)
    assert len({seen.connection for seen in server.requests}) == 1


async def test_orders_of_images_go_over_connections_of_their_own(client: TutuClient, server: Server) -> None:
    for _ in range(3):
        await order(client)
    assert len({seen.connection for seen in server.requests}) == 3
    await server.until(lambda: server.open_connections == 0)


async def test_a_certificate_nobody_signed_is_refused_and_a_trusted_one_taken() -> None:
    import ssl  # noqa: PLC0415  (for this test alone)

    context, pem = self_signed()
    async with serve(ssl_context=context) as server:
        async with TutuClient(KEY, server.base_url, retry=QUICK) as client:
            with pytest.raises(APIConnectionError, match="certificate") as caught:
                await ask(client)
            assert caught.value.attempts == 1
            assert caught.value.outcome == "not_sent"
        trusted = ssl.create_default_context(cadata=pem)
        async with TutuClient(KEY, server.base_url, verify=trusted) as client:
            assert (await ask(client)).text


async def test_verify_false_warns() -> None:
    context, _ = self_signed()
    async with serve(ssl_context=context) as server, TutuClient(KEY, server.base_url, verify=False) as client:
        with pytest.warns(UserWarning, match="certificate"):
            assert (await ask(client)).text


async def test_no_slot_and_no_task_is_left_behind(client: TutuClient, server: Server) -> None:
    for fault in ("reset_after_request", "html", "chunked_without_end", "short_body"):
        server.faults(fault, times=3)
        with pytest.raises((APIConnectionError, UnexpectedResponseError)):
            await ask(client)
    pool = client._transport.pool
    assert pool is not None
    assert pool.slots.free == pool.slots.total
    assert pool.slots.waiting == 0
    assert [task for task in asyncio.all_tasks() if "RequestHandler" not in repr(task)] == [asyncio.current_task()]


async def test_closing_ends_the_calls_that_run_and_says_so(client: TutuClient, server: Server) -> None:
    server.answers(*[says("x", delay=5)] * 3)
    tasks = [asyncio.create_task(work) for work in (ask(client), ask(client), order(client))]
    await server.wait_requests(3)
    await client.aclose()
    for task in tasks:
        with pytest.raises(APIConnectionError, match="client was closed") as caught:
            await task
        assert caught.value.outcome == "unknown"
    assert len(server.requests) == 3


async def test_closing_that_is_cancelled_at_any_point_leaves_no_session_open(server: Server) -> None:
    for turns in range(4):
        client = TutuClient(KEY, server.base_url, retry=QUICK)
        await ask(client)
        await order(client)
        [pool] = client._transport._pools.values()
        closing = asyncio.create_task(client.aclose())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert turns == 0 or (pool.egresses[None].session.closed and pool.egresses[None].session_once.closed)
        await client.aclose()
    await server.until(lambda: server.open_connections == 0)
