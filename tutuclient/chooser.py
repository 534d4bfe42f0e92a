"""Which of several relays a call goes to: those that work, in proportion to their weights.

A pure state machine, as ``pace`` is: it never sleeps and knows no clock but the one passed in.

* **Weights** hold for calls, not for time: smooth weighted round robin, which spreads a relay's turns evenly. A relay
  that has no room is passed over, and is owed nothing for it.
* **Health** is learnt from how calls end. A relay that cannot be reached is away at once, one whose answers fail after
  three in a row, one that lacks a model for that model alone. It is away for a second, twice as long after each trial
  that fails.
* **Trials**: once that time is over, one call at a time goes to it, and what becomes of that call decides.

Being away is a preference and no ban: a call that finds no other relay goes to one that is away.

Source: nginx, ``ngx_http_upstream_round_robin.c``, for the weights.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from tutuclient.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextLengthError,
    ImageTaskError,
    InsufficientQuotaError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    PoolTimeoutError,
    RateLimitError,
    TutuError,
    UnprocessableEntityError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROW: Final = 3  # failures one after the other
_FIRST_S: Final = 1.0
_MOST_S: Final = 60.0
_LASTING_S: Final = 60.0  # what somebody has to change: a key, an account, the models behind it
_LASTING_MOST_S: Final = 600.0
_PATIENCE_S: Final = 15.0  # longer than timeout.connect: a trial still under way by then is no obstacle to another
_MANY: Final = 1000  # models to remember of all relays; names come from whoever uses the client

# Of these errors the request is the cause, so that every relay would answer with the same.
_OF_THE_REQUEST: Final = (BadRequestError, ContentPolicyError, ContextLengthError, PayloadTooLargeError)
# 402: an empty account. 405, 408, 409, 421 and 425 concern this server, or this connection with it.
_OF_THE_RELAY: Final = frozenset({401, 402, 403, 404, 405, 408, 409, 421, 425, 429})
_SERVER_ERRORS: Final = 500
_LOCAL: Final = frozenset({"too_many_open_files"})

Standing: TypeAlias = Literal["good", "due", "away"]
"""How a relay stands: it works; it is to be tried with one call; it is away, or being tried."""


class Fault(NamedTuple):
    """What a failed call says of the relay.

    Attributes:
        row: So many one after the other mean that the relay does not work; 0: it works, it answered.
        wait: Seconds until the first trial.
        of_model: It concerns the model that was asked alone.
        is_unknown: The call may have been done, so an order of an image would be lost by such a failure.
    """

    row: int
    wait: float = _FIRST_S
    of_model: bool = False
    is_unknown: bool = False


_WORKS: Final = Fault(0)


def another_may_do(error: TutuError) -> bool:
    """Return whether another relay may do what this one has not: surely has not, and not because of the request."""
    if error.outcome == "not_sent":
        is_local = isinstance(error, PoolTimeoutError) or getattr(error, "code", None) in _LOCAL
        return isinstance(error, APIConnectionError) and not is_local
    if error.outcome != "rejected" or not isinstance(error, APIStatusError):
        return False
    if isinstance(error, (*_OF_THE_REQUEST, UnprocessableEntityError)):
        return False
    is_known = isinstance(error, AuthenticationError | PermissionDeniedError | NotFoundError | RateLimitError)
    return is_known or error.status_code >= _SERVER_ERRORS or error.status_code in _OF_THE_RELAY


def fault_of(error: TutuError, patience: float) -> Fault | None:
    """Return what an error says of the relay; None where it says nothing.

    Args:
        error: How an attempt ended.
        patience: The longest ``Retry-After`` that the caller sits out, in seconds.
    """
    if not isinstance(error, APIError) or isinstance(error, PoolTimeoutError | ImageTaskError) or error.code in _LOCAL:
        return None
    is_unknown = error.outcome == "unknown"
    if isinstance(error, APIConnectionError):
        return Fault(_ROW, is_unknown=True) if is_unknown else Fault(1)
    if isinstance(error, APIResponseValidationError):  # HTML, an empty body: what was asked for is not there.
        return Fault(_ROW, _LASTING_S, is_unknown=True)
    return _fault_of_status(error, patience) if isinstance(error, APIStatusError) else None


def _fault_of_status(error: APIStatusError, patience: float) -> Fault:
    if isinstance(error, AuthenticationError | InsufficientQuotaError):
        return Fault(1, _LASTING_S)
    if isinstance(error, NotFoundError | PermissionDeniedError):
        return Fault(1, _LASTING_S, of_model=True)
    if isinstance(error, RateLimitError):
        # The pace heeds what a caller may sit out; what asks for more than that is away.
        asked = error.retry_after or 0.0
        return Fault(1, min(asked, _LASTING_MOST_S)) if asked > patience else _WORKS
    is_failure = error.status_code >= _SERVER_ERRORS and not isinstance(error, _OF_THE_REQUEST)
    return Fault(_ROW, is_unknown=error.outcome == "unknown") if is_failure else _WORKS


class _Illness:
    """What is wrong with a relay, or with one of its models.

    Attributes:
        row: Failures one after the other.
        wait: Seconds that it is away; 0 while it is not.
        since: When it went away, or a trial failed last. What started before that says nothing new.
        until: When it may be tried.
        trial_at: When the call started that is trying it.
        unknown_until: Until then no order of an image tries it: the last failure left open whether it was done.
    """

    __slots__ = ("row", "since", "trial_at", "unknown_until", "until", "wait")

    def __init__(self) -> None:
        self.row = 0
        self.wait = 0.0
        self.since = self.until = self.trial_at = self.unknown_until = -math.inf

    def due_at(self, *, makes_image: bool) -> float:
        """Return when it may be tried next."""
        return max(self.until, self.trial_at + _PATIENCE_S, self.unknown_until if makes_image else -math.inf)


class Chooser:
    """The health of several relays, and whose turn it is. Relays are numbers here, from 0.

    Args:
        weights: The shares of the calls that they are to get.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = tuple(weights)
        self._turns = [0.0] * len(self._weights)
        # Of healthy relays nothing is kept. A model's illness stands under its name, a relay's own under "".
        self._ill: dict[tuple[int, str], _Illness] = {}

    # --- Whose turn it is ---

    def next_of(self, among: Sequence[int]) -> int:
        """Return whose turn it is among these relays; ``took`` says that it was taken."""
        return max(among, key=lambda index: self._turns[index] + self._weights[index])

    def took(self, index: int, among: Sequence[int]) -> None:
        """Note that a relay has been given a call, while it could have gone to any of these."""
        total = 0.0
        for each in among:
            self._turns[each] += self._weights[each]
            total += self._weights[each]
        self._turns[index] -= total

    # --- How they are ---

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong with any."""
        return not self._ill

    def standing(self, index: int, model: str, now: float, *, makes_image: bool = False) -> Standing:
        """Return how a relay stands for a model.

        Args:
            index: The relay.
            model: The model to be asked; "" for none.
            now: The clock.
            makes_image: The call orders an image.
        """
        if not self._ill or (due := self.due_at(index, model, makes_image=makes_image)) is None:
            return "good"
        return "due" if due <= now else "away"

    def due_at(self, index: int, model: str, *, makes_image: bool = False) -> float | None:
        """Return when a relay that is away may be tried, on the clock; None for one that works."""
        found = [ill.due_at(makes_image=makes_image) for ill in self._illnesses(index, model) if ill.wait]
        return max(found) if found else None

    def is_away(self, index: int) -> bool:
        """Return whether a relay does not work, whatever the model."""
        ill = self._ill.get((index, ""))
        return ill is not None and ill.wait > 0

    def started(self, index: int, model: str, now: float) -> None:
        """Note that a call goes to a relay: to one that does not work, that is a trial."""
        for ill in self._illnesses(index, model):
            if ill.wait:
                ill.trial_at = now

    def succeeded(self, index: int, model: str, started_at: float) -> bool:
        """Note an answer; return whether the relay works by that, and did not before."""
        returned = False
        for name in {"", model} if self._ill else ():
            ill = self._ill.get((index, name))
            # What was under way when the relay went away says nothing of it now.
            if ill is not None and (not ill.wait or started_at >= ill.since):
                returned = returned or ill.wait > 0
                del self._ill[index, name]
        return returned

    def failed(self, index: int, model: str, fault: Fault, now: float, started_at: float) -> bool:
        """Note a failure; return whether the relay is away by that, and was not before.

        Args:
            index: The relay.
            model: The model that was asked; "" for none.
            fault: What the failure says.
            now: The clock.
            started_at: When the call started.
        """
        key = (index, model if fault.of_model else "")
        if len(self._ill) >= _MANY:
            self._ill.clear()  # Each is learnt anew by one call, which goes on to another relay.
        ill = self._ill.setdefault(key, _Illness())
        if ill.wait and started_at < ill.since:
            return False
        ill.row += 1
        if ill.row < fault.row and not ill.wait:
            return False
        left = not ill.wait
        most = _MOST_S if fault.wait <= _FIRST_S else max(_LASTING_MOST_S, fault.wait)
        ill.wait = min(most, max(fault.wait, 2 * ill.wait))
        ill.since, ill.until, ill.trial_at = now, now + ill.wait, -math.inf
        ill.unknown_until = now + _MOST_S if fault.is_unknown else -math.inf
        return left

    def dropped(self, index: int, model: str, started_at: float) -> None:
        """Note that a call was cancelled, which says nothing of the relay. After a trial another call may try it."""
        for ill in self._illnesses(index, model):
            if ill.trial_at == started_at:
                ill.trial_at = -math.inf

    def _illnesses(self, index: int, model: str) -> list[_Illness]:
        if not self._ill:
            return []
        found = (self._ill.get((index, name)) for name in ({"", model}))
        return [ill for ill in found if ill is not None]
