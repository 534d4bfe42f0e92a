"""Which relay gets the next call: weights, health, trials; and an endless run in virtual time."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutuclient import errors
from tutuclient.chooser import Chooser, Fault, another_may_do, fault_of

if TYPE_CHECKING:
    from collections.abc import Callable

UNREACHED, FAILS, LASTING, LACKS = Fault(1), Fault(3), Fault(1, 60.0), Fault(1, 60.0, of_model=True)
UNKNOWN = Fault(3, is_unknown=True)


def picks(chooser: Chooser, count: int, among: list[int]) -> list[int]:
    found = []
    for _ in range(count):
        found.append(chooser.next_of(among))
        chooser.took(found[-1], among)
    return found


# --- weights ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 4))
def test_each_gets_its_share_in_every_round(weights: list[int], rounds: int) -> None:
    chooser = Chooser(weights)
    found = Counter(picks(chooser, rounds * sum(weights), list(range(len(weights)))))
    assert [found[place] for place in range(len(weights))] == [rounds * weight for weight in weights]


def test_turns_are_spread_evenly() -> None:
    # nginx's own example for weights of 5, 1 and 1.
    assert picks(Chooser([5, 1, 1]), 7, [0, 1, 2]) == [0, 0, 1, 0, 2, 0, 0]


@settings(deadline=None)
@given(st.lists(st.sampled_from([[0], [0, 1], [1, 2], [0, 1, 2]]), max_size=60))
def test_who_is_passed_over_is_owed_at_most_a_round(seen: list[list[int]]) -> None:
    chooser = Chooser([1, 2, 3])
    for among in seen:
        picks(chooser, 1, among)
    # Whatever came before: over many rounds the shares are right again, but for the turns of one round.
    found = Counter(picks(chooser, 600, [0, 1, 2]))
    assert all(abs(found[place] - share) <= 6 for place, share in enumerate((100, 200, 300)))


# --- what an error says ----------------------------------------------------------------------------------------------


def status(cls: type[errors.APIStatusError], code: int, **more: object) -> errors.APIStatusError:
    return cls("no", status_code=code, **more)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  (of the table below)


@pytest.mark.parametrize(
    ("error", "moves", "fault"),
    [
        (errors.APIConnectionError("refused", outcome="not_sent"), True, UNREACHED),
        (errors.APITimeoutError("connect", outcome="not_sent"), True, UNREACHED),
        (errors.APIConnectionError("no certificate", outcome="not_sent", code="certificate"), True, UNREACHED),
        (errors.APIConnectionError("reset"), False, UNKNOWN),
        (errors.FirstTokenTimeoutError("silent"), False, UNKNOWN),
        (errors.OutcomeUnknownError("reset"), False, UNKNOWN),
        (errors.UnexpectedResponseError("html"), False, Fault(3, 60.0, is_unknown=True)),
        (status(errors.InternalServerError, 500), True, FAILS),
        (status(errors.InternalServerError, 501), True, FAILS),
        (status(errors.InternalServerError, 502, outcome="unknown"), False, UNKNOWN),
        (status(errors.AuthenticationError, 401), True, LASTING),
        (status(errors.InsufficientQuotaError, 429), True, LASTING),
        (status(errors.APIStatusError, 402), True, Fault(0)),
        (status(errors.NotFoundError, 404), True, LACKS),
        (status(errors.NotFoundError, 503), True, LACKS),  # new-api: no channel for this model.
        (status(errors.PermissionDeniedError, 403), True, LACKS),
        (status(errors.RateLimitError, 429), True, Fault(0)),
        (status(errors.RateLimitError, 429, retry_after=5.0), True, Fault(0)),
        (status(errors.RateLimitError, 429, retry_after=61.0), True, Fault(1, 61.0)),
        (status(errors.RateLimitError, 429, retry_after=3600.0), True, Fault(1, 600.0)),
        (status(errors.BadRequestError, 400), False, Fault(0)),
        (status(errors.ContentPolicyError, 403), False, Fault(0)),
        (status(errors.ContentPolicyError, 500), False, Fault(0)),
        (status(errors.ContextLengthError, 400), False, Fault(0)),
        (status(errors.PayloadTooLargeError, 413), False, Fault(0)),
        (status(errors.UnprocessableEntityError, 422), False, Fault(0)),
        (errors.PoolTimeoutError("busy"), False, None),
        (errors.APIConnectionError("none left", outcome="not_sent", code="too_many_open_files"), False, None),
        (errors.ImageTaskError("failed", outcome="rejected"), False, None),
        (errors.RateLimitError("not sent: a pause", outcome="not_sent"), False, Fault(0)),
        (errors.MediaError("no image"), False, None),
    ],
)
def test_what_an_error_says_of_its_relay(error: errors.TutuError, moves: bool, fault: Fault | None) -> None:
    assert another_may_do(error) is moves
    assert fault_of(error, patience=60.0) == fault


EVERY_ERROR = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.TutuError)}


@pytest.mark.parametrize("cls", sorted(EVERY_ERROR, key=str))
def test_what_may_have_been_done_never_moves_on(cls: type[errors.TutuError]) -> None:
    assert not another_may_do(cls("?").with_details(outcome="unknown"))


# --- health ----------------------------------------------------------------------------------------------------------


def test_who_cannot_be_reached_is_away_at_once_and_tried_by_one_call_at_a_time() -> None:
    chooser = Chooser([1, 1])
    assert chooser.failed(0, "m", UNREACHED, 10.0, 9.0)
    assert chooser.standing(0, "m", 10.9) == "away"
    assert chooser.standing(1, "m", 10.9) == "good"
    assert chooser.standing(0, "m", 11.0) == "due"
    chooser.started(0, "m", 11.0)
    assert chooser.standing(0, "other", 11.0) == "away"
    assert chooser.succeeded(0, "m", 11.0)
    assert chooser.standing(0, "m", 11.1) == "good"


def test_it_stays_away_twice_as_long_after_each_trial_up_to_a_minute() -> None:
    chooser, now, waits = Chooser([1]), 0.0, []
    for _ in range(9):
        chooser.failed(0, "", UNREACHED, now, now)
        due = chooser.due_at(0, "")
        assert due is not None
        waits.append(due - now)
        now = due
        chooser.started(0, "", now)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_three_failures_in_a_row_are_needed_where_one_may_be_the_requests_own() -> None:
    chooser = Chooser([1])
    for _ in range(2):
        assert not chooser.failed(0, "m", FAILS, 1.0, 0.0)
    chooser.succeeded(0, "m", 0.0)
    assert [chooser.failed(0, "m", FAILS, 1.0, 0.0) for _ in range(4)] == [False, False, True, False]


def test_what_was_under_way_when_it_went_away_says_nothing_new() -> None:
    chooser = Chooser([1])
    chooser.failed(0, "", UNREACHED, 10.0, 9.0)
    for _ in range(50):  # All that had started before.
        assert not chooser.failed(0, "", UNREACHED, 10.5, 9.5)
        assert not chooser.succeeded(0, "", 9.9)
    assert chooser.due_at(0, "") == 11.0


def test_a_model_that_is_missing_says_nothing_of_the_others() -> None:
    chooser = Chooser([1])
    assert chooser.failed(0, "m", LACKS, 0.0, 0.0)
    assert chooser.standing(0, "m", 1.0) == "away"
    assert chooser.standing(0, "other", 1.0) == "good"
    assert not chooser.is_away(0)


def test_a_trial_that_is_cancelled_or_hangs_is_no_obstacle_to_the_next() -> None:
    chooser = Chooser([1])
    chooser.failed(0, "", UNREACHED, 0.0, 0.0)
    chooser.started(0, "", 1.0)
    chooser.dropped(0, "", 1.0)
    assert chooser.standing(0, "", 1.0) == "due"
    chooser.started(0, "", 1.0)
    assert (chooser.standing(0, "", 15.9), chooser.standing(0, "", 16.0)) == ("away", "due")


def test_a_call_that_is_cancelled_ends_no_trial_but_its_own() -> None:
    chooser = Chooser([1])
    chooser.started(0, "m", 0.0)  # It hangs, while others learn that the relay is gone.
    chooser.failed(0, "m", UNREACHED, 0.5, 0.25)
    chooser.failed(0, "m", LACKS, 0.5, 0.25)
    chooser.started(0, "m", 61.0)
    chooser.dropped(0, "m", 0.0)
    assert chooser.standing(0, "m", 61.0) == "away"
    chooser.dropped(0, "m", 61.0)
    assert chooser.standing(0, "m", 61.0) == "due"


def test_no_order_of_an_image_tries_a_relay_that_left_calls_open_within_a_minute() -> None:
    chooser = Chooser([1])
    for _ in range(3):
        chooser.failed(0, "", UNKNOWN, 0.0, 0.0)
    assert chooser.standing(0, "", 1.0) == "due"
    assert chooser.standing(0, "", 1.0, makes_image=True) == "away"
    assert chooser.standing(0, "", 60.0, makes_image=True) == "due"


def test_memory_is_bounded() -> None:
    chooser = Chooser([1])
    for number in range(5000):
        chooser.failed(0, f"model-{number}", LACKS, 0.0, 0.0)
    assert len(chooser._ill) <= 1000


# --- an endless run --------------------------------------------------------------------------------------------------


@dataclass
class Played:
    """A relay in virtual time: whether it can be reached, and how long its answers take."""

    is_up: Callable[[float], bool]
    seconds: float = 0.05


def play(relays: list[Played], weights: list[float], *, rate: float, until: float) -> list[tuple[float, int, bool]]:
    """Send calls, each to the next relay when one cannot be reached; return when and where each attempt was made."""
    chooser, clock, order = Chooser(weights), 0.0, itertools.count()
    done: list[tuple[float, int, bool]] = []
    ends: list[tuple[float, int, int, float, bool]] = []
    everyone = list(range(len(relays)))
    while clock < until:
        clock += random.Random(clock).expovariate(rate)
        tried: set[int] = set()
        while len(tried) < len(relays):
            left = [place for place in everyone if place not in tried]
            while ends and ends[0][0] <= clock:
                at, _, place, started, good = heapq.heappop(ends)
                if good:
                    chooser.succeeded(place, "", started)
                else:
                    chooser.failed(place, "", UNREACHED, at, started)
            standing = {place: chooser.standing(place, "", clock) for place in left}
            due = [place for place in left if standing[place] == "due"]
            among = due or [place for place in left if standing[place] == "good"] or left
            place = chooser.next_of(among)
            chooser.took(place, among)
            chooser.started(place, "", clock)
            good = relays[place].is_up(clock)
            heapq.heappush(ends, (clock + relays[place].seconds, next(order), place, clock, good))
            done.append((clock, place, good))
            if good:
                break
            tried.add(place)
    return done


def test_over_a_long_run_weights_hold_and_a_dead_relay_is_left_alone() -> None:
    down = [(100.0, 400.0)]
    relays = [
        Played(lambda now: not any(start <= now < end for start, end in down)),
        Played(lambda _: True),
        Played(lambda _: True),
    ]
    done = play(relays, [2, 1, 1], rate=50, until=600)

    before = Counter(place for at, place, _ in done if at < 100)
    assert math.isclose(before[0] / before.total(), 0.5, abs_tol=0.01)
    # In vain: those under way when it went down, and then its trials, further and further apart.
    failed = [at for at, place, good in done if place == 0 and not good]
    assert sum(at < 101 for at in failed) < 20
    trials = [at for at in failed if at >= 101]
    assert len(trials) <= 12
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(trials))
    # The others take its calls, in the proportion of their weights.
    meanwhile = Counter(place for at, place, good in done if 101 <= at < 400 and good)
    assert math.isclose(meanwhile[1] / meanwhile.total(), 0.5, abs_tol=0.01)
    # It is back a minute after it works again, at the latest, with its share and no more.
    assert any(good and place == 0 and at < 400 + 61 for at, place, good in done if at >= 400)
    after = Counter(place for at, place, _ in done if at >= 470)
    assert math.isclose(after[0] / after.total(), 0.5, abs_tol=0.01)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 20)), max_size=4), st.integers(1, 4))
def test_no_call_is_lost_while_one_relay_works(outages: list[tuple[float, float]], weight: int) -> None:
    relays = [
        Played(lambda now: not any(start <= now < start + length for start, length in outages)),
        Played(lambda _: True, seconds=0.4),
    ]
    done = play(relays, [weight, 1], rate=20, until=60)
    calls = {at for at, _, _ in done}
    assert {at for at, _, good in done if good} == calls
    assert max(Counter(at for at, _, _ in done).values()) <= 2
