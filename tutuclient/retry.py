"""Whether a call is worth another attempt, and after how many seconds. Neither clock nor network are used."""

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

# Without 501 and 505 to 511, which a second request would get again. 520 to 524 are Cloudflare's, and Anthropic's API
# sends 529 while it is overloaded.
_RETRIED_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504, *range(520, 525), 529})
_UNAVAILABLE = 503
_FINAL = (ContentPolicyError, ContextLengthError, InsufficientQuotaError, NotFoundError)
# A certificate or a proxy's password stays wrong, and for file descriptors the attempt has waited already.
_FINAL_CONNECTIONS = frozenset({"certificate", "proxy", "too_many_open_files"})
# Errors that a second request would meet again, whatever their status. Source: .github/WIRE.md, section 4.3.
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


def is_refusal(error: TutuError) -> bool:
    """Return whether the relay did not admit the request: it was not done, and the same one may be admitted later.

    A refusal costs time, not attempts. An account that is empty, or contents that are not allowed, is none.
    """
    if not isinstance(error, APIStatusError) or error.outcome != "rejected" or not _status_may_change(error):
        return False
    return isinstance(error, RateLimitError) or (error.status_code == _UNAVAILABLE and error.retry_after is not None)


def next_delay(
    error: TutuError,
    attempt: int,
    policy: RetryPolicy,
    *,
    makes_image: bool,
    random_unit: float | None = None,
) -> float | None:
    """Return how long to wait before the next attempt, or None when there is to be none.

    A pause is never shorter than the server's ``Retry-After``, and a
    ``Retry-After`` beyond ``policy.retry_after_max`` ends the call at once. Full
    jitter is added, so that clients do not return together.

    Args:
        error: The error of the last attempt.
        attempt: The number of attempts so far, at least 1. Of refusals it is how many came in a row, which lets pauses
            grow; they are not counted against ``policy.max_retries``, but for 0.
        policy: The caller's limits; all its waits are seconds.
        makes_image: Whether the call orders an image, so that a second one would be billed.
        random_unit: A number from 0 to 1 to use for the jitter; a random one when None.

    Returns:
        Seconds to wait, or None when ``error`` is to be raised.

    Source: RFC 9110, section 10.2.3; "Exponential Backoff And Jitter", AWS Architecture Blog.
    """
    most = math.inf if policy.max_retries and is_refusal(error) else policy.max_retries
    if attempt > most or not worth_repeating(error, policy, makes_image=makes_image):
        return None
    asked = error.retry_after if isinstance(error, APIStatusError) else None
    if asked is not None and asked > policy.retry_after_max:
        return None
    unit = random.random() if random_unit is None else random_unit
    return (asked or 0.0) + unit * min(policy.wait_max, policy.wait_initial * 2.0 ** min(attempt - 1, 60))


def worth_repeating(error: TutuError, policy: RetryPolicy, *, makes_image: bool) -> bool:
    """Return whether the same call may be sent again after ``error``: it could succeed, and is not billed twice."""
    may_change = False
    if isinstance(error, APIStatusError):
        may_change = _status_may_change(error)
    elif isinstance(error, APIConnectionError):
        may_change = error.code not in _FINAL_CONNECTIONS and not isinstance(error, PoolTimeoutError)
    if may_change and error.outcome == "unknown":
        return not makes_image if policy.resend_unknown is None else policy.resend_unknown
    return may_change


def _status_may_change(error: APIStatusError) -> bool:
    # OpenAI's servers decide by this header, over the status (openai-python, ``_should_retry``).
    word = error.response.headers.get("x-should-retry") if error.response is not None else None
    if isinstance(error, _FINAL) or error.code in _FINAL_CODES or word == "false":
        return False
    return word == "true" or isinstance(error, RateLimitError) or error.status_code in _RETRIED_STATUSES


def retry_after_of(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds the server asks to wait.

    ``retry-after-ms`` (a number of milliseconds) takes precedence over
    ``retry-after`` (seconds, whole or not, or an HTTP date). A date that has
    passed, 0 and negative numbers mean now.

    Args:
        headers: The answer's headers.
        now: The wall clock's time, in seconds since the epoch.

    Returns:
        Seconds, finite and not negative; None without either header, or where it cannot be parsed.

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
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  (slow to import; with an answer aiohttp has done so)

    try:
        moment = parsedate_to_datetime(text.strip())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)  # HTTP dates are in GMT, also where the zone is "-0000" or missing.
    return max(0.0, moment.timestamp() - now)


def _number(text: str) -> float | None:
    if len(text) > 32 or "_" in text:  # noqa: PLR2004  (longer is no number of seconds, and int("1_0") is one in Python only)
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None
