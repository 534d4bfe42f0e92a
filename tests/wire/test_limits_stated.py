"""What ``wire.limits_stated`` promises: what a relay states of its limits is read, and nothing is read into it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutuclient._meta import Meta
from tutuclient.pace import Stated
from tutuclient.retry import is_refusal
from tutuclient.wire import error_of_status
from tutuclient.wire.limits_stated import RateHeaders, rate_headers, stated_limit


@pytest.mark.parametrize(
    ("message", "code", "stated"),
    [
        ("您已达到请求数限制：1分钟内最多请求15次", "", Stated(15, 60)),
        ("您已达到请求数限制：1分钟内最多请求 15 次", "new_api_error", Stated(15, 60)),
        ("您已达到总请求数限制：3分钟内最多请求180次，包括失败次数，请检查您的请求是否正确", "", Stated(180, 180)),
        ("You have reached the request limit: Maximum 5 requests within 1 minutes", "", Stated(5, 60)),
        ("You have reached the request limit: maximum 2 requests in 5 minutes", "", Stated(2, 300)),
        ("token_concurrency_limit_reached", "token_concurrency_limit_reached", Stated(None, None)),
        ("0分钟内最多请求15次", "", None),
        ("slow down", "rate_limit_exceeded", None),
    ],
)
def test_reads_what_a_refusal_states(message: str, code: str, stated: Stated | None) -> None:
    body = json.dumps({"error": {"message": message, "code": code, "type": "new_api_error"}}).encode()
    error = error_of_status("POST /x", body, Meta(429, {}))
    assert is_refusal(error)
    assert stated_limit(error) == stated


def test_a_gates_own_code_is_a_refusal_whatever_the_status() -> None:
    body = b'{"error": {"message": "busy", "code": "token_concurrency_limit_reached"}}'
    assert is_refusal(error_of_status("POST /x", body, Meta(403, {})))


OPENAI = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59"}

ANTHROPIC = {
    "date": "Thu, 01 Jan 2026 00:00:00 GMT",
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:30Z",
}


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        (OPENAI | {"x-ratelimit-reset-requests": "1s"}, RateHeaders(60, 59, 1.0, window=False)),
        (OPENAI | {"x-ratelimit-reset-requests": "6m0s"}, RateHeaders(60, 59, 360.0, window=False)),
        (OPENAI | {"x-ratelimit-reset-requests": "1h2m3.5s"}, RateHeaders(60, 59, 3723.5, window=False)),
        (OPENAI | {"x-ratelimit-reset-requests": "12ms"}, RateHeaders(60, 59, 0.012, window=False)),
        (OPENAI | {"x-ratelimit-reset-requests": "2026-01-01T00:00:00Z"}, None),
        (OPENAI, None),
        (OPENAI | {"x-ratelimit-remaining-requests": "61", "x-ratelimit-reset-requests": "1s"}, None),
        (
            {"ratelimit-limit": "100", "ratelimit-remaining": "0", "ratelimit-reset": "30"},
            RateHeaders(100, 0, 30.0, window=True),
        ),
        ({"ratelimit": "limit=100, remaining=50, reset=5"}, RateHeaders(100, 50, 5.0, window=True)),
        (
            {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60'},
            RateHeaders(100, 50, 30.0, window=True),
        ),
        ({"ratelimit": '"default";r=50;t=30'}, None),
        (ANTHROPIC, RateHeaders(50, 49, 30.0, window=False)),
        (
            ANTHROPIC | {"anthropic-ratelimit-requests-reset": "2026-01-01T01:01:00.5+01:00"},
            RateHeaders(50, 49, 60.5, window=False),
        ),
        (ANTHROPIC | {"anthropic-ratelimit-requests-reset": "2026-01-01T00:00:30"}, None),
        (ANTHROPIC | {"anthropic-ratelimit-requests-reset": "2025-12-31T23:59:59Z"}, None),
        (ANTHROPIC | {"anthropic-ratelimit-requests-reset": "30s"}, None),
        (ANTHROPIC | {"anthropic-ratelimit-requests-remaining": "51"}, None),
        (ANTHROPIC | {"date": "today"}, None),
        ({}, None),
    ],
)
def test_reads_rate_headers_that_are_whole(headers: dict[str, str], read: RateHeaders | None) -> None:
    assert rate_headers(headers) == read


NAMES = (
    *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests", "ratelimit"),
    *ANTHROPIC,
)
TEXT = (
    st.text(max_size=20)
    | st.text("0123456789.hms", max_size=12)
    | st.text("limtreanigsq=,; 0123456789", max_size=30)
    | st.sampled_from(list(ANTHROPIC.values()))
)


@settings(deadline=None)
@given(headers=st.dictionaries(st.sampled_from(NAMES), TEXT))
def test_any_header_is_read_or_passed_over(headers: dict[str, str]) -> None:
    read = rate_headers(headers)
    assert read is None or (0 <= read.remaining <= read.limit and read.reset > 0)
