"""Faults that are a status: errors in every envelope, waits asked for in every shape, a share of the requests."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import hdrs, web

from tutuclient.testing.answers import says
from tutuclient.testing.exchange import Exchange
from tutuclient.testing.faults.pieces import TEXT
from tutuclient.testing.faults.registry import answer, fault

RETRY_AFTER_SHAPES: Mapping[str, Mapping[str, str]] = {
    "seconds": {"Retry-After": "1"},
    "float": {"Retry-After": "0.25"},
    "ms": {"retry-after-ms": "250"},
    "date": {"Retry-After": "{soon}"},
    "past": {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"},
    "zero": {"Retry-After": "0"},
    "negative": {"Retry-After": "-5"},
    "empty": {"Retry-After": ""},
    "words": {"Retry-After": "in a little while"},
    "nan": {"Retry-After": "NaN"},
    "inf": {"Retry-After": "inf"},
    "digits": {"Retry-After": "9" * 400},
    "list": {"Retry-After": "1, 2, 3"},
    "hour": {"Retry-After": "3600"},
}
"""Headers that ask for a wait, well and badly, for ``faults("status", retry_after_shape=…)``; the date is in 2 s."""


@fault("status")
async def status(
    exchange: Exchange,
    *,
    status: int = 503,
    message: str = "the relay was scripted to fail",
    code: object = None,
    retry_after: float | str | None = None,
    retry_after_shape: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Any ``status`` in new-api's envelope, with ``retry_after`` or one of ``RETRY_AFTER_SHAPES``."""
    shape: Mapping[str, str] = RETRY_AFTER_SHAPES[retry_after_shape] if retry_after_shape else {}
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    asked = {name: value.replace("{soon}", soon) for name, value in shape.items()}
    if retry_after is not None:
        asked[hdrs.RETRY_AFTER] = str(retry_after)
    return exchange.error(status, message, code=code, headers={**asked, **(headers or {})})


@fault("status")
async def empty_429(exchange: Exchange) -> web.StreamResponse:
    """429 with no body at all, as new-api's limiter in memory answers."""
    return exchange.respond(b"", status=429)


@fault("status")
async def burst(exchange: Exchange) -> web.StreamResponse:
    """One of 500, 502, 503, 504, 520, 524, 529, by turns."""
    statuses = (500, 502, 503, 504, 520, 524, 529)
    # By the request's number and not by lot, so that a test that fails fails again.
    return exchange.error(statuses[exchange.recorded.index % len(statuses)], "bad gateway", code="bad_response")


@fault("status")
async def brownout(exchange: Exchange, *, share: float = 0.3, seed: int = 0) -> web.StreamResponse:
    """A ``share`` of the requests, chosen by ``seed``, meets mixed faults; the others get an answer of ``TEXT``."""
    # Seeded by the request's number, so that concurrency does not change who fails.
    dice = random.Random(f"{seed}/{exchange.recorded.index}")
    if dice.random() >= share:
        return await says(TEXT).play(exchange)
    return await answer(dice.choice(_MIXED)).play(exchange)


_MIXED = ("status", "empty_429", "burst", "reset_after_request", "fin_after_request", "half_headers", "short_body")


@fault("status")
async def empty_account(exchange: Exchange, *, status: int = 429) -> web.StreamResponse:
    """An empty account in Moonshot's words, which come with the status of a rate limit."""
    # Nothing but these words tells it from a limit that a pause helps against.
    inner = {"message": "Your account is suspended, please recharge", "type": "exceeded_current_quota_error"}
    return exchange.respond({"error": inner}, status=status)


@fault("status")
async def page_in_gbk(exchange: Exchange, *, status: int = 403) -> web.StreamResponse:
    """A firewall's page in GBK."""
    page = "<html><head><title>您的请求被拦截</title></head></html>".encode("gbk")
    return exchange.respond(page, status=status, content_type="text/html; charset=gbk")
