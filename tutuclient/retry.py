"""Pure: is it worth trying again, and after how many seconds.

Knows errors and policies; no clock but the one passed in, no network.
"""

from __future__ import annotations

import math
import random
from datetime import UTC
from typing import TYPE_CHECKING

from tutuclient.errors import (
    APIConnectionError,
    APIStatusError,
    ContentPolicyError,
    ContextLengthError,
    InsufficientQuotaError,
    NotFoundError,
    PoolTimeoutError,
    RateLimitError,
    TutuError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tutuclient.settings import RetryPolicy

# 501 and 505 to 511 will be said again; so will these codes, whatever their status.
_RETRIED_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504, *range(520, 525), 529})
_FINAL = (ContentPolicyError, ContextLengthError, InsufficientQuotaError, NotFoundError)
# Trust does not come by itself, nor does a proxy's password; and for descriptors the attempt has waited already.
_FINAL_CONNECTIONS = frozenset({"certificate", "proxy", "too_many_open_files"})
_FINAL_CODES = frozenset(
    {
        "api_not_implemented",
        "convert_request_failed",
        "count_token_messages_failed",
        "count_token_failed",
        "invalid_api_key",
        "model_price_error",
        "channel:invalid_key",
    }
)


def next_delay(
    error: TutuError,
    attempt: int,
    policy: RetryPolicy,
    *,
    makes_image: bool,
    random_unit: float | None = None,
) -> float | None:
    """Say how long to wait before trying again, or that trying again is no use.

    The server's word comes first: a pause is never shorter than ``Retry-After``,
    and a ``Retry-After`` beyond ``policy.retry_after_max`` ends the call at once.
    On top comes full jitter, so that callers do not return together.

    Args:
        error: How the last attempt ended.
        attempt: Attempts made so far, the first being 1.
        policy: The caller's limits; all its waits are seconds.
        makes_image: The call orders a picture, so a second one would be paid for.
        random_unit: A number from 0 to 1 to use for the jitter; drawn when None.

    Returns:
        Seconds to wait, or None when the caller should be shown ``error``.

    Source: RFC 9110, section 10.2.3; "Exponential Backoff And Jitter", AWS Architecture Blog.
    """
    if attempt > policy.max_retries or not worth_repeating(error, policy, makes_image=makes_image):
        return None
    asked = error.retry_after if isinstance(error, APIStatusError) else None
    if asked is not None and asked > policy.retry_after_max:
        return None
    unit = random.random() if random_unit is None else random_unit
    return (asked or 0.0) + unit * min(policy.wait_max, policy.wait_initial * 2.0 ** min(attempt - 1, 60))


def worth_repeating(error: TutuError, policy: RetryPolicy, *, makes_image: bool) -> bool:
    """Say whether the same call may be sent again after ``error``: it could succeed, and is not paid for twice."""
    may_change = False
    if isinstance(error, APIStatusError):
        may_change = _status_may_change(error)
    elif isinstance(error, APIConnectionError):
        may_change = error.code not in _FINAL_CONNECTIONS and not isinstance(error, PoolTimeoutError)
    if may_change and error.outcome == "unknown":
        return not makes_image if policy.resend_unknown is None else policy.resend_unknown
    return may_change


def _status_may_change(error: APIStatusError) -> bool:
    word = error.response.headers.get("x-should-retry") if error.response is not None else None
    if isinstance(error, _FINAL) or error.code in _FINAL_CODES or word == "false":
        return False
    return word == "true" or isinstance(error, RateLimitError) or error.status_code in _RETRIED_STATUSES


def retry_after_of(headers: Mapping[str, str], now: float) -> float | None:
    """Read how many seconds the server asks to wait, in any of the shapes servers use.

    ``retry-after-ms`` (a number of milliseconds) comes before ``retry-after``
    (seconds, whole or not, or an HTTP date). A date that has passed, 0 and
    negative numbers mean now.

    Args:
        headers: The answer's headers.
        now: The wall clock, in seconds since the epoch.

    Returns:
        Seconds, finite and not negative; None for no word, or none that can be understood.

    Source: RFC 9110, section 10.2.3; openai-python for ``retry-after-ms``.
    """
    if (milliseconds := headers.get("retry-after-ms")) is not None:
        seconds = _number(milliseconds)
        if seconds is not None:
            return seconds / 1000
    if (text := headers.get("retry-after")) is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return seconds
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  (slow, and loaded by aiohttp once an answer is there)

    try:
        moment = parsedate_to_datetime(text.strip())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)  # HTTP knows no other zone; "-0000" and none at all mean it too.
    return max(0.0, moment.timestamp() - now)


def _number(text: str) -> float | None:
    if len(text) > 32 or "_" in text:  # noqa: PLR2004  (longer is no number of seconds, and int("1_0") is one in Python only)
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None
