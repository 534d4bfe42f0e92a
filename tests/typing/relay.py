"""Users' own tests, on the embedded relay. Only type-checked, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import pytest

from tutuclient import RateLimitError, TutuClient
from tutuclient.testing import (
    FAULTS,
    Exchange,
    Fault,
    Recorded,
    Server,
    chunk,
    draws,
    event,
    fails,
    rate_limited,
    raw,
    sample_picture,
    sample_sound,
    says,
    sends,
    serve,
    serve_in_thread,
    streams,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
async def client(tutu_relay: Server) -> AsyncIterator[TutuClient]:
    async with TutuClient("k", tutu_relay.base_url) as client:
        yield client


@pytest.fixture(scope="session")
def relay() -> Iterator[Server]:
    with serve_in_thread() as server:
        assert_type(server, Server)
        yield server


async def waits(client: TutuClient, tutu_relay: Server) -> None:
    tutu_relay.answers(rate_limited(retry_after=0.2), says("hello"))
    await client.analyze(sample_picture(), "what?")
    assert_type(tutu_relay.gaps, list[float])
    assert_type(tutu_relay.requests, list[Recorded])
    assert_type(tutu_relay.requests[0].json(), Any)
    await tutu_relay.wait_requests(2)


async def answers_of_every_kind() -> None:
    async with serve() as server:
        server.answers(
            says("a", finish_reason="length", usage=False), fails(500, "down"), raw(502, b"<html>"), sends({"data": []})
        )
        server.answers(streams([chunk("a"), chunk(finish_reason="stop")], then="reset"), path="/chat/completions")
        server.answers(draws(sample_picture()), raw(body=event({"type": "x"})))
        server.faults("reset", times=2)
        assert_type(FAULTS["reset"], Fault)
        assert_type(server.host(sample_sound("one")), str)
        with pytest.raises(RateLimitError) as caught:
            await TutuClient("k", server.base_url).models.list()
        assert_type(caught.value.retry_after, float | None)


def looks(exchange: Exchange) -> None:
    assert_type(exchange.payload, dict[str, Any])
