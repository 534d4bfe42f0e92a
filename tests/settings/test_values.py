"""What ``tutuclient.settings.values`` promises: timeouts, retries, and what is not given."""

from __future__ import annotations

import math
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from tutuclient._unset import UNSET
from tutuclient.errors import ConfigError
from tutuclient.settings.values import RetryPolicy, Timeout, clean_concurrency, clean_rate, clean_retry, clean_timeout


@pytest.mark.parametrize(
    ("timeout", "total"), [(UNSET, 600.0), (None, None), (5, 5), (0.5, 0.5), (float("inf"), float("inf"))]
)
def test_a_number_is_the_deadline(timeout: Any, total: float | None) -> None:
    assert clean_timeout(timeout) == Timeout(total=total)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), True, "5", [5]])
def test_refuses_a_timeout_that_is_no_time(timeout: Any) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        clean_timeout(timeout)


@pytest.mark.parametrize("name", ["total", "connect", "pool", "first_token", "idle"])
@pytest.mark.parametrize("value", [0, -0.1, float("nan"), "5"])
def test_says_which_part_of_a_timeout_is_wrong(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"timeout: {name}"):
        Timeout(**{name: value})


def test_max_retries_and_a_policy_exclude_each_other() -> None:
    policy = RetryPolicy(max_retries=5)
    assert clean_retry(None, None, RetryPolicy()) == RetryPolicy()
    assert clean_retry(None, policy, RetryPolicy()) is policy
    assert clean_retry(0, None, RetryPolicy()) == RetryPolicy(max_retries=0)
    with pytest.raises(ConfigError, match="not both"):
        clean_retry(3, policy, RetryPolicy())


@pytest.mark.parametrize(
    "fields",
    [{"max_retries": value} for value in (-1, 1.5, "2", None)]
    + [{"budget": value} for value in (-1, 1.5, "2")]
    + [
        {name: value}
        for name in ("wait_initial", "wait_max", "retry_after_max")
        for value in (-1, float("nan"), float("inf"), "2", None)
    ],
    ids=str,
)
def test_refuses_a_policy_without_sense(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        RetryPolicy(**fields)


def test_a_policy_may_wait_no_time_at_all() -> None:
    assert RetryPolicy(wait_initial=0, wait_max=0, retry_after_max=0, max_retries=0, budget=0).wait_max == 0
    assert RetryPolicy(budget=None).budget is None


def test_unset_is_not_none_and_says_its_name() -> None:
    assert repr(UNSET) == "UNSET"
    assert not UNSET
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET  # noqa: S301  (our own bytes)


def test_the_total_comes_first() -> None:
    assert Timeout(60, connect=5) == Timeout(total=60, connect=5)


@pytest.mark.parametrize(
    ("read", "total"),
    [(60, 600.0), (1200, 1200), (None, None)],
)
def test_a_timeout_of_httpx_is_known_by_its_parts(read: float | None, total: float | None) -> None:
    of_httpx: Any = SimpleNamespace(connect=5, read=read, write=7, pool=None)
    assert clean_timeout(of_httpx) == Timeout(total, connect=5, pool=None, first_token=read, idle=read)


@pytest.mark.parametrize(
    ("given", "per_s"),
    [("600/min", 10.0), ("10/s", 10.0), ("3600/h", 1.0), (" 0.5 / s ", 0.5), (7, 7.0), (0.1, 0.1)],
)
def test_a_rate_is_read_in_requests_a_second(given: Any, per_s: float) -> None:
    assert clean_rate(given, "rate") == pytest.approx(per_s)


@pytest.mark.parametrize(
    "given", ["600", "600/m", "0/s", "-1/s", "fast", 0, -1, math.inf, math.nan, True, None, b"1/s"]
)
def test_what_is_no_rate_is_told_how_to_be_written(given: Any) -> None:
    with pytest.raises(ConfigError, match=r'rate must be requests per time, such as "600/min"'):
        clean_rate(given, "rate")


def test_only_what_is_no_text_may_be_a_number_a_second() -> None:
    with pytest.raises(ConfigError, match=r'"10/s" or "3000/h"; got .5.$'):
        clean_rate("5", "rate")
    with pytest.raises(ConfigError, match=r"or a number a second; got -1$"):
        clean_rate(-1, "rate")


@pytest.mark.parametrize("given", [0, -1, 1.5, True, "8", "AUTO", b"auto"])
def test_concurrency_is_a_number_or_auto(given: Any) -> None:
    assert (clean_concurrency("auto", "max_concurrency"), clean_concurrency(3, "max_concurrency")) == ("auto", 3)
    with pytest.raises(ConfigError, match='max_concurrency must be a whole number from 1 up, or "auto"'):
        clean_concurrency(given, "max_concurrency")


def test_being_refused_has_a_bound_or_none() -> None:
    assert (RetryPolicy().refused_max, RetryPolicy(refused_max=None).refused_max) == (120.0, None)
    with pytest.raises(ConfigError, match="refused_max"):
        RetryPolicy(refused_max=-1)
