"""What ``tutuclient.retry`` promises: nothing is paid for twice, and no wait is shorter than asked or without end."""

from __future__ import annotations

import math
import random
import time
from email.utils import formatdate
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient import errors, wire
from tutuclient._meta import Meta
from tutuclient.retry import is_refusal, next_delay, retry_after_of, worth_repeating
from tutuclient.settings import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tutuclient.errors import APIStatusError, Outcome, TutuError

NOW = 1_767_225_600.0
POLICY = RetryPolicy(max_retries=2, wait_initial=0.5, wait_max=8.0, retry_after_max=60.0)


def status(code: int, body: bytes = b"", **headers: str) -> APIStatusError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return wire.error_of_status("POST /x", body, Meta(code, named), retry_after=retry_after_of(named, NOW))


def with_code(word: str, code: int = 500) -> APIStatusError:
    return status(code, b'{"error": {"message": "m", "code": "%s"}}' % word.encode())


def ended(error: TutuError, outcome: Outcome) -> TutuError:
    error.outcome = outcome
    return error


def name(error: TutuError) -> str:
    return " ".join(map(str, (type(error).__name__, getattr(error, "status_code", ""), getattr(error, "code", ""))))


def certificate() -> TutuError:
    error = errors.APIConnectionError("a certificate")
    error.code = "certificate"
    return ended(error, "not_sent")


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529])
def test_tries_again_what_may_change(code: int) -> None:
    assert next_delay(status(code), 1, POLICY, makes_image=False) is not None


@pytest.mark.parametrize("code", [300, 307, 400, 401, 402, 403, 404, 405, 413, 415, 418, 422, 451, 501, 505, 511, 525])
def test_shows_what_will_not_change(code: int) -> None:
    assert next_delay(status(code), 1, POLICY, makes_image=False) is None


@pytest.mark.parametrize(
    "error",
    [
        with_code("insufficient_quota", 429),
        with_code("insufficient_user_quota"),
        with_code("pre_consume_token_quota_failed", 503),
        with_code("billing_hard_limit_reached", 429),
        status(429, '{"error": {"message": "令牌额度已用尽"}}'.encode()),
        with_code("content_policy_violation"),
        with_code("sensitive_words_detected", 503),
        with_code("context_length_exceeded"),
        with_code("invalid_api_key"),
        with_code("channel:invalid_key"),
        with_code("api_not_implemented"),
        with_code("convert_request_failed"),
        with_code("count_token_messages_failed"),
        with_code("model_price_error"),
        certificate(),
        errors.PoolTimeoutError("no slot"),
        errors.UnexpectedResponseError("HTML"),
        errors.APIResponseValidationError("odd"),
        errors.ConfigError("no key"),
        errors.MediaError("no picture"),
        errors.ImageDownloadError("no file"),
        errors.APIError("some"),
    ],
    ids=name,
)
@pytest.mark.parametrize("resend_unknown", [None, True])
def test_never_repeats_what_cannot_help(error: TutuError, resend_unknown: bool | None) -> None:
    policy = RetryPolicy(resend_unknown=resend_unknown)
    assert next_delay(error, 1, policy, makes_image=False) is None


UNKNOWN = [
    errors.APIConnectionError("reset"),
    errors.OutcomeUnknownError("reset"),
    errors.APITimeoutError("silence"),
    errors.FirstTokenTimeoutError("silence"),
    errors.StreamIdleTimeoutError("silence"),
    errors.IncompleteStreamError("cut"),
    status(502),
    status(504),
    status(520),
    status(524),
    with_code("read_response_body_failed"),
    with_code("unmarshal_response_body_failed"),
    with_code("bad_response_body"),
]


@pytest.mark.parametrize("error", UNKNOWN, ids=name)
@pytest.mark.parametrize(
    ("resend_unknown", "makes_image", "again"),
    [(None, False, True), (None, True, False), (True, True, True), (False, False, False), (False, True, False)],
)
def test_repeats_the_unknown_only_where_it_is_not_paid_twice(
    error: TutuError, resend_unknown: bool | None, makes_image: bool, again: bool
) -> None:
    assert error.outcome == "unknown"
    policy = RetryPolicy(resend_unknown=resend_unknown)
    assert worth_repeating(error, policy, makes_image=makes_image) is again


@pytest.mark.parametrize("error", [ended(errors.APIConnectionError("refused"), "not_sent"), status(429), status(503)])
@pytest.mark.parametrize("resend_unknown", [None, True, False])
def test_repeats_a_picture_that_was_certainly_not_made(error: TutuError, resend_unknown: bool | None) -> None:
    assert worth_repeating(error, RetryPolicy(resend_unknown=resend_unknown), makes_image=True)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (status(500, x_should_retry="false"), False),
        (status(429, x_should_retry="false"), False),
        (status(400, x_should_retry="true"), True),
        (status(501, x_should_retry="true"), True),
        (status(500, x_should_retry="maybe"), True),
        (status(429, b'{"error": {"code": "insufficient_quota"}}', x_should_retry="true"), False),
        (status(400, b'{"error": {"code": "content_filter"}}', x_should_retry="true"), False),
    ],
)
def test_obeys_x_should_retry_but_not_over_reason(error: TutuError, again: bool) -> None:
    assert worth_repeating(error, POLICY, makes_image=False) is again


def test_an_error_without_an_answer_behind_it_is_judged_by_its_class() -> None:
    assert worth_repeating(errors.RateLimitError("in a stream"), POLICY, makes_image=True)
    assert not worth_repeating(errors.BadRequestError("in a stream"), POLICY, makes_image=False)


def test_counts_attempts() -> None:
    again = [next_delay(status(503), attempt, POLICY, makes_image=False) is not None for attempt in (1, 2, 3)]
    assert again == [True, True, False]
    assert next_delay(status(503), 1, RetryPolicy(max_retries=0), makes_image=False) is None


@pytest.mark.parametrize(
    ("attempt", "bound"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (2000, 8.0)]
)
def test_pauses_double_up_to_their_end(attempt: int, bound: float) -> None:
    policy = RetryPolicy(max_retries=10_000)
    assert next_delay(status(503), attempt, policy, makes_image=False, random_unit=1.0) == bound
    assert next_delay(status(503), attempt, policy, makes_image=False, random_unit=0.5) == bound / 2
    assert next_delay(status(503), attempt, policy, makes_image=False, random_unit=0.0) == 0.0


def test_pauses_are_drawn_from_the_whole_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", random.Random(7).random)
    pauses = sorted(next_delay(status(503), 1, POLICY, makes_image=False) or 0.0 for _ in range(400))
    assert 0 <= pauses[0] < 0.02
    assert 0.48 < pauses[-1] <= 0.5
    assert max(later - sooner for sooner, later in pairwise(pauses)) < 0.05


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": " 20 "}, 20.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "1e3"}, 1000.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW + 30).replace("-0000", "")}, 30.0),
        ({"retry-after": formatdate(NOW + 30)}, 30.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00"}, 0.0),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "NaN"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-Infinity"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "9" * 5000}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "[5]"}, None),
        ({"retry-after": "5, 10"}, None),
        ({"retry-after": "Fri, 99 Foo 2026 99:99:99 GMT"}, None),
        ({"retry-after": "Fri, 02 Jan 99999999999 00:00:00 GMT"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "0.5"}, 0.0005),
        ({"retry-after-ms": "-1"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "20"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "20"}, 20.0),
        ({"retry-after-ms": "soon"}, None),
    ],
)
def test_reads_every_shape_of_retry_after(headers: Mapping[str, str], seconds: float | None) -> None:
    assert retry_after_of(headers, NOW) == (None if seconds is None else pytest.approx(seconds, abs=1e-6))


@pytest.fixture
def _shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC-8")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="sets the time zone as POSIX does")
@pytest.mark.usefixtures("_shanghai")
def test_a_date_without_a_zone_is_greenwich() -> None:
    date = formatdate(NOW + 30).replace(" -0000", "")
    assert retry_after_of({"retry-after": date}, NOW) == pytest.approx(30.0)


like_a_date = st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,5} [\d:]{1,9} .*")


@given(text=st.text(max_size=60) | like_a_date)
def test_any_retry_after_is_a_sane_number_or_none(text: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        seconds = retry_after_of({name: text}, NOW)
        assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


def test_waits_as_long_as_asked_with_jitter_on_top() -> None:
    error = status(429, retry_after="7")
    assert next_delay(error, 1, POLICY, makes_image=False, random_unit=0.0) == 7.0
    assert next_delay(error, 1, POLICY, makes_image=False, random_unit=1.0) == 7.5


def test_does_not_sit_out_a_longer_wait_than_allowed() -> None:
    assert next_delay(status(429, retry_after="3600"), 1, POLICY, makes_image=False) is None
    assert next_delay(status(429, retry_after="60"), 1, POLICY, makes_image=False, random_unit=0.0) == 60.0
    patient = RetryPolicy(retry_after_max=3600)
    assert next_delay(status(429, retry_after="3600"), 1, patient, makes_image=False, random_unit=0.0) == 3600.0


seconds_up = st.floats(0, 1e308)


@given(
    asked=st.none() | seconds_up,
    attempt=st.integers(1, 10**6),
    unit=st.floats(0, 1),
    wait_initial=seconds_up,
    wait_max=st.floats(0, 1e6),
)
def test_every_wait_is_finite_and_within_its_bounds(
    asked: float | None, attempt: int, unit: float, wait_initial: float, wait_max: float
) -> None:
    policy = RetryPolicy(max_retries=10**6, wait_initial=wait_initial, wait_max=wait_max, retry_after_max=1e6)
    error = errors.RateLimitError("slow down")
    error.retry_after = asked
    delay = next_delay(error, attempt, policy, makes_image=True, random_unit=unit)
    if asked is not None and asked > 1e6:
        assert delay is None
    else:
        assert delay is not None
        assert (asked or 0.0) <= delay <= (asked or 0.0) + wait_max
        assert math.isfinite(delay)


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (status(429), True),
        (status(429, retry_after="7"), True),
        (status(503, retry_after="7"), True),
        (status(503), False),
        (status(500, retry_after="7"), False),
        (with_code("token_concurrency_limit_reached", 403), True),
        (with_code("insufficient_quota", 429), False),
        (with_code("content_policy_violation", 429), False),
        (status(429, x_should_retry="false"), False),
        (ended(status(429), "unknown"), False),
        (ended(errors.RateLimitError("not sent: the pause is too long"), "not_sent"), False),
        (errors.APITimeoutError("late"), False),
    ],
)
def test_a_refusal_is_what_was_not_done_and_may_be_admitted_later(error: TutuError, refused: bool) -> None:
    assert is_refusal(error) is refused


def test_refusals_are_not_counted_as_retries_unless_there_are_none() -> None:
    assert next_delay(status(429), 100, POLICY, makes_image=True) is not None
    assert next_delay(status(500), 3, POLICY, makes_image=False) is None
    assert next_delay(status(429), 1, RetryPolicy(max_retries=0), makes_image=False) is None
