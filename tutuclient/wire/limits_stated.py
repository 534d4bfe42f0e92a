"""Limits that a relay states, in the words of a refusal or in the headers of any answer.

Both are hints: ``pace`` believes them only while they explain what it sees, for relays copy other people's headers.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from tutuclient.pace import Stated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tutuclient.errors import APIError

_MINUTE_S = 60.0
# new-api, middleware/model-rate-limit.go: "您已达到请求数限制：1分钟内最多请求15次", "您已达到总请求数限制：1分钟内最多
# 请求30次，包括失败次数，请检查您的请求是否正确"; its translations: "You have reached the request limit: maximum 5
# requests within 1 minutes", also "in".
_WORDED = (
    re.compile(r"(?P<minutes>\d{1,6})\s*分钟内最多请求\s*(?P<requests>\d{1,9})\s*次"),
    re.compile(
        r"request limit: maximum (?P<requests>\d+)(?: successful)? requests (?:with)?in (?P<minutes>\d+) minute",
        re.IGNORECASE,
    ),
)
# new-api, middleware/token-concurrency.go: a gate on the requests in flight of a token, which does not say how many.
_FLIGHT_CODES = frozenset({"token_concurrency_limit_reached"})


def stated_limit(error: APIError) -> Stated | None:
    """Return the limit that a refusal states, or None."""
    text = str(error)
    if error.code in _FLIGHT_CODES or any(code in text for code in _FLIGHT_CODES):
        return Stated(None, None)
    found = next((match for pattern in _WORDED if (match := pattern.search(text))), None)
    if found is None or not (int(found["requests"]) and int(found["minutes"])):
        return None
    return Stated(int(found["requests"]), int(found["minutes"]) * _MINUTE_S)


class RateHeaders(NamedTuple):
    """What rate limit headers say.

    Attributes:
        limit: The most requests.
        remaining: How many of them are left.
        reset: Seconds until all of them are there again.
        window: They come back all at once at that time; otherwise little by little.
    """

    limit: int
    remaining: int
    reset: float
    window: bool


# A duration as Go writes it: "6m0s", "1h2m3.5s", "12ms". Source: .github/WIRE.md, section 4.4.
_DURATION = re.compile(
    r"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9}(?:\.\d{1,9})?)ms)?"
)
_WHOLE = re.compile(r"\s*(\d{1,9})\b")


def rate_headers(headers: Mapping[str, str]) -> RateHeaders | None:
    """Return what the headers of an answer say of a limit on requests; None where they say nothing, or half of it.

    Source: OpenAI's ``x-ratelimit-*-requests``; Anthropic's ``anthropic-ratelimit-requests-*``, whose reset is a time,
    https://docs.claude.com/en/api/rate-limits#response-headers; IETF's ``RateLimit`` in its drafts 3 (three headers),
    7 (``limit=``) and 10 (``RateLimit-Policy``),
    https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/.
    """
    if "x-ratelimit-limit-requests" in headers:
        reset = _seconds(headers.get("x-ratelimit-reset-requests", ""))
        limit, remaining = (_whole(headers.get(f"x-ratelimit-{name}-requests", "")) for name in ("limit", "remaining"))
        window = False
    elif "anthropic-ratelimit-requests-limit" in headers:
        reset = _seconds_until(headers.get("anthropic-ratelimit-requests-reset", ""), headers.get("date", ""))
        limit, remaining = (
            _whole(headers.get(f"anthropic-ratelimit-requests-{name}", "")) for name in ("limit", "remaining")
        )
        window = False
    elif "ratelimit" in headers:
        text = headers["ratelimit"]
        reset, window = _item(text, "t") or _item(text, "reset"), True
        limit = _item(headers.get("ratelimit-policy", ""), "q") or _item(text, "limit")
        remaining = _item(text, "r")
        remaining = _item(text, "remaining") if remaining is None else remaining
    elif "ratelimit-limit" in headers:
        parts = ("limit", "remaining", "reset")
        limit, remaining, reset = (_whole(headers.get(f"ratelimit-{name}", "")) for name in parts)
        window = True
    else:
        return None
    if not limit or remaining is None or not reset or reset < 0 or remaining > limit:
        return None
    return RateHeaders(limit, remaining, float(reset), window)


def _whole(text: str) -> int | None:
    found = _WHOLE.match(text)
    return int(found[1]) if found else None


def _item(text: str, name: str) -> int | None:
    """Return the first parameter of a name, as in ``"default";r=50;t=30`` and ``limit=100, remaining=50``."""
    found = re.search(rf"(?:^|[;,\s]){name}=(\d{{1,9}})\b", text)
    return int(found[1]) if found else None


def _seconds(text: str) -> float | None:
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * _MINUTE_S + seconds + milliseconds / 1000


def _seconds_until(time: str, date: str) -> float | None:
    """Return the seconds from an answer's Date to a time as in RFC 3339: both are by the relay's clock."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  (slow to import; with an answer aiohttp has done so)

    try:
        reset = datetime.fromisoformat(time.strip())
        sent = parsedate_to_datetime(date)
        if reset.tzinfo is None:
            return None
        return (reset - (sent if sent.tzinfo else sent.replace(tzinfo=UTC))).total_seconds()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
