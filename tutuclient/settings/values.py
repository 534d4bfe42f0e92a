"""Settings that are values of their own: ``UNSET``, ``Timeout`` and ``RetryPolicy``."""

from __future__ import annotations

import math
import re
from numbers import Integral, Real
from typing import Any, Literal, TypeGuard

import msgspec

from tutuclient._unset import UNSET
from tutuclient.errors import ConfigError
from tutuclient.settings.secret import shown


def is_number(value: object) -> TypeGuard[float]:
    """Return whether something is a real number: numpy registers its own as such (PEP 3141)."""
    return not isinstance(value, bool) and isinstance(value, Real)


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether something is a whole number, numpy's included."""
    return not isinstance(value, bool) and isinstance(value, Integral)


class Timeout(msgspec.Struct, frozen=True):
    """How long a call may take, in seconds; None is no limit. ``Timeout(60, connect=5)`` has a total of 60.

    Attributes:
        total: A deadline over everything: waiting for a slot, attempts, pauses between them, the whole answer.
        connect: One attempt's name look-up, TCP and TLS.
        pool: Waiting for a free slot of the client; nothing has been sent.
        first_token: From the start of an attempt until the first content of a stream, or the headers of a whole answer.
        idle: Silence in the *content* of a stream that has begun, where pings and empty frames do not count; and in
            the download of an image.
    """

    # openai's package has 600 s in all as well (.github/WIRE.md, section 4.5). aiohttp's own 300 s would end long
    # images and streams (section 3.2), and new-api gives up on a silent upstream after 60 or 120 s, so that 300 s of
    # silence mean a dead connection.
    total: float | None = 600.0
    connect: float | None = 10.0
    pool: float | None = None
    first_token: float | None = None
    idle: float | None = 300.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not (is_number(value) and value > 0 and not math.isnan(value)):
                raise ConfigError(f"timeout: {name} must be a number of seconds above 0, or None; got {shown(value)}")


def _is_count(value: object) -> bool:
    return is_whole(value) and value >= 0


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Whether and when to try again.

    Attributes:
        max_retries: Attempts after the first, for what may be done or is broken. 0 also raises the first refusal.
        wait_initial: Upper bound of the first pause, in seconds; it doubles with each attempt. Pauses are drawn
            evenly from zero to the bound ("full jitter").
        wait_max: Where the doubling ends, in seconds.
        retry_after_max: The longest ``Retry-After`` to sit out, in seconds; a longer one is raised at once.
        refused_max: Seconds that a call may spend being refused. A refusal (429, or 503 with ``Retry-After``) costs
            time and no attempt: the call is sent again until it is admitted. None: until the deadline.
        budget: Retries that the whole client may spend before successes earn new ones, so that an outage is not
            answered with three times the calls; None is no limit. Counted for the client as it was made, not for its
            copies.
        resend_unknown: Send again what may already have been done, and billed. None: yes, unless it makes an image.
    """

    # The numbers of openai's package: 2 retries, from 0.5 s doubling to 8 s (.github/WIRE.md, section 4.5).
    max_retries: int = 2
    wait_initial: float = 0.5
    wait_max: float = 8.0
    retry_after_max: float = 60.0
    refused_max: float | None = 120.0
    budget: int | None = 90
    resend_unknown: bool | None = None

    def __post_init__(self) -> None:
        if not _is_count(self.max_retries):
            raise ConfigError(f"max_retries must be a whole number from 0 up; got {shown(self.max_retries)}")
        if self.budget is not None and not _is_count(self.budget):
            raise ConfigError(f"budget must be a whole number of retries from 0 up, or None; got {shown(self.budget)}")
        for name in ("wait_initial", "wait_max", "retry_after_max", "refused_max"):
            value = getattr(self, name)
            if name == "refused_max" and value is None:
                continue
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise ConfigError(f"{name} must be a number of seconds from 0 up; got {shown(value)}")


def clean_timeout(timeout: object) -> Timeout:
    """Return a ``Timeout``: a number is the total deadline, None removes the deadline.

    A timeout of httpx, which code written for openai passes, is known by its parts.
    Its ``read`` limits the silence before and within an answer. It has no total, so
    the default total is used, or ``read`` where that is longer, to end what would
    never end.

    Raises:
        ConfigError: It is something else.
    """
    if isinstance(timeout, Timeout):
        return timeout
    if timeout is UNSET:
        return Timeout()
    # Known by its parts, since httpx is not imported here.
    if all(hasattr(timeout, name) for name in ("connect", "read", "write", "pool")):
        of_httpx: Any = timeout
        read = of_httpx.read
        total = None if read is None else max(read, Timeout().total or 0.0)
        return Timeout(total, of_httpx.connect, of_httpx.pool, read, read)
    if timeout is None:
        return Timeout(total=None)
    if is_number(timeout):
        # numpy's numbers and fractions become floats, which aiohttp and msgspec can compare and write.
        return Timeout(total=timeout if type(timeout) is int else float(timeout))
    raise ConfigError(f"timeout must be a number of seconds, a Timeout or None; got {shown(timeout)}")


def clean_retry(
    max_retries: int | None,
    retry: RetryPolicy | None,
    base: RetryPolicy,
) -> RetryPolicy:
    """Return ``retry``, or ``base`` with another ``max_retries``.

    Raises:
        ConfigError: Both were passed, or one is of a wrong type.
    """
    if retry is not None and not isinstance(retry, RetryPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
        raise ConfigError(f"retry must be a RetryPolicy, such as RetryPolicy(max_retries=3); got {shown(retry)}")
    if max_retries is None:
        return retry or base
    if retry is not None:
        raise ConfigError("pass max_retries= or retry=RetryPolicy(…), not both")
    return msgspec.structs.replace(base, max_retries=max_retries)


_PER_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
_RATE = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*/\s*(s|min|h)\s*")


def clean_rate(rate: object, name: str) -> float:
    """Return a rate in requests per second: a number is one already, text is such as "600/min", "10/s" or "3000/h".

    Raises:
        ConfigError: It is neither, or not above 0.
    """
    found = _RATE.fullmatch(rate) if isinstance(rate, str) else None
    value = float(found[1]) / _PER_S[found[2]] if found else rate
    if not (is_number(value) and 0 < value < math.inf):
        number = "" if isinstance(rate, str) else ", or a number a second"  # Text with no unit has not said which.
        raise ConfigError(
            f'{name} must be requests per time, such as "600/min", "10/s" or "3000/h"{number}; got {shown(rate)}'
        )
    return float(value)


def clean_concurrency(value: object, name: str) -> int | Literal["auto"]:
    """Return a number of calls, or "auto".

    Raises:
        ConfigError: It is neither.
    """
    if value == "auto" and isinstance(value, str):
        return "auto"
    if not is_whole(value) or value < 1:
        raise ConfigError(f'{name} must be a whole number from 1 up, or "auto"; got {shown(value)}')
    return int(value)
