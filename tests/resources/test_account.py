from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import AuthenticationError, Balance, NotFoundError, UnexpectedResponseError
from tutuclient.testing import fails, raw, sends

if TYPE_CHECKING:
    from tutuclient import TutuClient
    from tutuclient.testing import Server


async def test_the_balance_is_what_was_granted_less_what_was_used(server: Server, client: TutuClient) -> None:
    server.account.balance = 3
    before = await client.balance()
    assert before == Balance(remaining=3, used=0, limit=3, unit="USD")
    await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    after = await client.balance()
    assert after.used is not None
    assert after.remaining is not None
    assert after.used > 0
    assert after.remaining == pytest.approx(3 - after.used)


async def test_figures_are_shown_without_the_noise_of_floats(server: Server, client: TutuClient) -> None:
    server.answers(sends({"hard_limit_usd": 1000.3}), path="/v1/dashboard/billing/subscription")
    server.answers(sends({"total_usage": 30.760000000000005}), path="/v1/dashboard/billing/usage")
    found = await client.balance()
    assert (found.used, found.remaining) == (0.3076, 999.9924)


async def test_no_limit_is_reported_as_such(server: Server, client: TutuClient) -> None:
    server.account.unlimited = True
    found = await client.balance()
    assert (found.unlimited, found.limit, found.remaining) == (True, None, None)


async def test_a_newer_relay_is_asked_for_the_token(server: Server, client: TutuClient) -> None:
    server.account.balance = 2
    server.answers(fails(404, "Invalid URL"), path="/v1/dashboard/billing/subscription")
    found = await client.balance()
    assert (found.unit, found.used) == ("points", 0)
    assert found.remaining == found.limit == 1_000_000


async def test_odd_figures_are_not_made_up(server: Server, client: TutuClient) -> None:
    server.answers(
        sends({"hard_limit_usd": "5", "access_until": 1_800_000_000}), path="/v1/dashboard/billing/subscription"
    )
    server.answers(sends({"total_usage": "much"}), path="/v1/dashboard/billing/usage")
    server.answers(fails(429, "too many"), path="/api/status")
    found = await client.with_options(max_retries=0).balance()
    assert found == Balance(limit=5, expires_at=1_800_000_000)


async def test_a_figure_that_is_too_large_becomes_none(server: Server, client: TutuClient) -> None:
    endless = raw(200, b'{"hard_limit_usd": 1%s, "total_usage": 1e999}' % (b"0" * 400))
    server.answers(endless, path="/v1/dashboard/billing/subscription")
    server.answers(endless, path="/v1/dashboard/billing/usage")
    found = await client.balance()
    assert (found.limit, found.used, found.remaining) == (None, None, None)


async def test_a_relay_without_such_endpoints_says_so(server: Server, client: TutuClient) -> None:
    for path in ("/v1/dashboard/billing/subscription", "/api/usage/token"):
        server.answers(raw(200, b"<html>"), path=path)
    with pytest.raises(UnexpectedResponseError):
        await client.balance()
    server.answers(fails(404, "no"), path="/v1/dashboard/billing/subscription")
    server.answers(fails(404, "no"), path="/api/usage/token")
    with pytest.raises(NotFoundError):
        await client.balance()


async def test_a_wrong_key_is_a_wrong_key(server: Server, client: TutuClient) -> None:
    server.answers(fails(401, "无效的令牌"))
    with pytest.raises(AuthenticationError):
        await client.balance()
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["data", "result"])
async def test_figures_in_an_envelope_are_the_figures(server: Server, client: TutuClient, name: str) -> None:
    server.answers(sends({"code": 200, name: {"hard_limit_usd": 10}}), path="/v1/dashboard/billing/subscription")
    server.answers(sends({"code": 200, name: {"total_usage": 250}}), path="/v1/dashboard/billing/usage")
    found = await client.balance()
    assert (found.remaining, found.used, found.limit) == (7.5, 2.5, 10)


@pytest.mark.parametrize("odd", [{}, {"detail": "Not authenticated"}, {"code": 0, "data": {}}])
async def test_an_answer_without_figures_is_no_balance(server: Server, client: TutuClient, odd: dict[str, Any]) -> None:
    for path in ("/v1/dashboard/billing/subscription", "/v1/dashboard/billing/usage", "/api/usage/token"):
        server.answers(sends(odd), path=path)
    with pytest.raises(UnexpectedResponseError, match="no hard_limit_usd") as caught:
        await client.with_options(max_retries=0).balance()
    assert caught.value.body == odd


async def test_where_billing_says_nothing_the_token_is_asked(server: Server, client: TutuClient) -> None:
    server.answers(sends({"success": True, "message": ""}), path="/v1/dashboard/billing/subscription")
    found = await client.balance()
    assert found.unit == "points"
