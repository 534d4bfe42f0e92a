"""What ``tutuclient.pace`` promises: nearly all that a relay would answer, and hardly a refusal, whatever its limit."""

from __future__ import annotations

import math
import random

import pytest

from benchmarks import scale
from benchmarks.simulation import MODELS, SECONDS, SERVICE_S, Answer, Bucket, Strays, run, started
from tutuclient.pace import Pace, Stated

# Of what the relay would answer at least this share, and of the requests sent at most this share refused: batch.md's
# models and bounds, or what was measured here where that is tighter.
BOUNDS = {
    "A": (0.95, 0.02),
    "B": (0.95, 0.01),
    "C": (0.95, 0.01),
    "D": (0.90, 0.01),
    "E": (0.90, 0.01),
    "F": (0.80, 0.01),
    "G": (0.95, 0.0),
    "H": (0.80, 0.01),
    "I": (0.83, 0.015),
    "J": (0.85, 0.025),
    "K": (0.80, 0.11),
    "F stated": (0.95, 0.04),
    "J stated": (0.98, 0.015),
    "K stated": (0.85, 0.05),
}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("model", MODELS)
def test_gets_nearly_all_with_hardly_a_refusal(model: str, seed: int) -> None:
    outcome = run(MODELS[model].relay(seed), Pace(draw=random.Random(seed)), seed)
    answered, refused = BOUNDS[model]
    assert outcome.answered >= answered * MODELS[model].most(seed)
    assert outcome.refused_share <= refused
    assert outcome.overloaded == 0


def test_a_rate_that_is_known_is_kept_and_costs_no_refusal() -> None:
    outcome = run(MODELS["C"].relay(1), Pace(rate=9.8), 1)
    assert outcome.refused == 0
    assert outcome.answered >= 0.97 * MODELS["C"].most(1)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("first_window", "share", "answered"), [(100, 0.01, 0.9), (100, 0.03, 0.6), (8, 0.01, 0.7), (8, 0.03, 0.5)]
)
def test_refusals_by_chance_do_not_become_the_pace(first_window: int, share: float, answered: float, seed: int) -> None:
    pace = Pace(window=100, first_window=first_window, draw=random.Random(seed))
    outcome = run(Strays(share, seed), pace, seed)
    assert outcome.answered >= answered * 100 / SERVICE_S * SECONDS


def test_a_limit_that_appears_while_refusals_by_chance_are_tolerated_is_heeded() -> None:
    pace = Pace(window=100, first_window=100, draw=random.Random(1))
    behind = Bucket(lambda now: 1000.0 if now < SECONDS / 2 else 26.0, 10)
    outcome = run(Strays(0.01, 1, behind), pace, 1)
    assert outcome.answered >= 0.8 * (100 / SERVICE_S + 26) * SECONDS / 2
    assert outcome.refused_share <= 0.03


def test_refusals_between_answers_that_are_yet_to_come_do_not_close_the_gate() -> None:
    pace = Pace(first_window=512)
    for number in range(100):
        ticket = started(pace, number / 10)
        if number % 10 == 9:
            pace.refused(ticket, number / 10 + 0.08)
        assert pace.closed_for(number / 10 + 0.09) == 0


class Closed:
    """Refuses all until a time, then admits all."""

    def __init__(self, until: float) -> None:
        self.until = until

    def answer(self, now: float, serving: int) -> Answer:  # noqa: ARG002  (it does not count them)
        return Answer(429 if now < self.until else 200)


@pytest.mark.parametrize("until", [5.0, 60.0, 500.0])
def test_a_relay_that_refuses_for_long_is_asked_seldom_and_found_open_again(until: float) -> None:
    pace = Pace(draw=random.Random(1))
    outcome = run(Closed(until), pace, 1)
    assert outcome.refused < 20 + until / 10
    assert outcome.answered > 0.3 * (600 - until)


def test_a_plain_pace_lets_all_start_at_once() -> None:
    pace = Pace(first_window=512)
    for _ in range(512):
        assert pace.wait(0.0) == 0
        started(pace, 0.0)
    assert pace.wait(0.0) == math.inf


def test_only_what_started_after_a_cut_asks_for_another() -> None:
    pace = Pace(first_window=100)
    one, two, three, *_ = (started(pace, number / 10) for number in range(-10, 3))
    pace.succeeded(one, 0.3)
    pace.refused(two, 0.3)
    once = pace.rate
    assert 0 < once < math.inf
    pace.refused(three, 0.3)
    assert pace.rate == once
    pace.refused(started(pace, 0.4), 0.5)
    assert pace.rate < once


def test_a_stray_refusal_does_not_become_the_pace_of_an_idle_client() -> None:
    pace = Pace(first_window=512)
    pace.refused(started(pace, 1000.0), 1000.1)
    assert (pace.rate, pace.wait(1000.1)) == (math.inf, 0)
    for _ in range(6):  # The window is searched from below: it doubles with each round of answers.
        for ticket in [started(pace, 1001.0) for _ in range(int(pace.window))]:
            pace.succeeded(ticket, 1001.1)
    assert pace.window == 64


def overload(pace: Pace, now: float, times: int) -> None:
    """Answer nothing but 503, one round of the window after the other."""
    for number in range(times):
        for ticket in [started(pace, now + number) for _ in range(int(pace.window))]:
            pace.overloaded(ticket, now + number + 0.1)


def answer_rounds(pace: Pace, now: float, rounds: int) -> None:
    for number in range(rounds):
        for ticket in [started(pace, now + number) for _ in range(int(pace.window))]:
            pace.succeeded(ticket, now + number + 0.5)


def test_after_an_outage_the_window_doubles_until_it_is_nearly_as_large_as_before() -> None:
    pace = Pace(window=512)
    answer_rounds(pace, 0.0, 6)
    before = pace.window
    assert before >= 256
    overload(pace, 10.0, 40)
    assert pace.window == 1
    answer_rounds(pace, 60.0, 9)
    assert 0.7 * before <= pace.window <= before


def test_an_overload_with_answers_between_the_cuts_lowers_what_the_window_grows_back_to() -> None:
    pace = Pace(window=512)
    answer_rounds(pace, 0.0, 6)
    for number in range(20):
        answer_rounds(pace, 10.0 + 3 * number, 1)
        overload(pace, 11.0 + 3 * number, 1)
    small = pace.window
    answer_rounds(pace, 100.0, 3)
    assert small < 16
    assert pace.window <= small + 4


@pytest.mark.parametrize(("way", "workers"), [("learnt", 1), ("split", 16), ("shared", 16)])
@pytest.mark.parametrize("relay", scale.RELAYS)
def test_a_fleet_recovers_from_an_outage(relay: str, way: str, workers: int) -> None:
    fleet = scale.play(relay, way, "outage", workers)
    assert fleet.recovery is not None
    assert fleet.recovery <= 30
    assert fleet.goodput >= 0.8


def test_a_plain_pace_heeds_refusals_alone() -> None:
    pace = Pace(first_window=512)
    for number in range(200):
        ticket = started(pace, float(number))
        (pace.overloaded if number % 2 else pace.succeeded)(ticket, number + 0.1 + number // 100)
    assert pace.window == 512


def test_a_probe_that_is_not_refused_opens_the_gate_before_its_answer_comes() -> None:
    pace = Pace(first_window=512)
    for number in range(3):
        pace.refused(started(pace, 10 + number / 10), 10.05 + number / 10)
    assert 0 < pace.wait(10.3) <= 1
    probe = started(pace, 12.0)
    assert pace.wait(12.1) > 0
    assert pace.wait(17.1) == 0
    assert pace.closed_for(17.1) == 0
    pace.succeeded(probe, 200.0)


def test_a_probe_whose_answer_begins_opens_the_gate_at_once() -> None:
    pace = Pace(first_window=512)
    for number in range(3):
        pace.refused(started(pace, 10 + number / 10), 10.05 + number / 10)
    probe = started(pace, 12.0)
    assert pace.state(12.1).gate > 0
    pace.admitted(probe, 12.2)
    assert pace.state(12.2).gate == 0
    assert pace.wait(12.2) == 0


def test_a_small_window_that_is_full_grows_though_it_is_not_a_whole_number() -> None:
    pace = Pace(window=64)
    for ticket in [started(pace, number / 10) for number in range(20)]:
        pace.refused(ticket, 2.0)
    pace.window, now = 2.9, 10.0
    for _ in range(4):
        tickets = [started(pace, now), started(pace, now)]
        now += 0.3
        for ticket in tickets:
            pace.succeeded(ticket, now)
    assert pace.window > 3


def test_a_retry_after_closes_the_gate_for_all() -> None:
    pace = Pace(first_window=10)
    pace.refused(started(pace, 0.0), 0.1, retry_after=30.0)
    assert 29.9 <= pace.wait(0.2) <= 31
    assert pace.wait(31.2) == 0


def test_an_idle_client_earns_no_burst() -> None:
    pace = Pace(first_window=100)
    for number in range(50):
        pace.succeeded(started(pace, number / 10), number / 10 + 0.05)
    pace.refused(started(pace, 5.0), 5.05)
    learnt = pace.rate
    pace.succeeded(started(pace, 1000.0), 1000.1)
    assert pace.rate <= 1.06 * learnt


def test_a_rate_that_was_set_is_kept_for_hours() -> None:
    pace = Pace(rate=0.5, first_window=100)
    for number in range(10):
        pace.succeeded(started(pace, number / 4), number / 4 + 0.05)
    for at in (2.5, 60.0):
        pace.refused(started(pace, at), at + 0.05)
    assert pace.rate < 0.5
    for at in range(62, 30_000, 2):
        pace.succeeded(started(pace, at), at + 0.05)
    assert pace.state(30_000).rate == 0.5


def test_tokens_are_set_aside_and_settled() -> None:
    pace = Pace(tokens_per_minute=6000, first_window=100)  # 100 a second
    first = started(pace, 0.0)
    assert pace.wait(0.0) > 0  # An answer's tokens are not known yet, so a thousand are set aside.
    pace.succeeded(first, 0.1, tokens=50)
    for _ in range(10):
        assert pace.wait(0.1) == 0
        pace.succeeded(started(pace, 0.1), 0.1, tokens=50)
    used = 0
    while pace.wait(0.1) == 0:
        pace.succeeded(started(pace, 0.1), 0.1, tokens=50)
        used += 1
    assert used < 20


def test_a_stated_limit_that_does_not_explain_a_refusal_is_forgotten() -> None:
    pace = Pace(first_window=100)
    stated = Stated(10, 600.0)
    pace.refused(started(pace, 0.0), 0.1, stated=stated)
    for at in range(10, 110, 10):
        pace.succeeded(started(pace, float(at)), at + 0.1)
    assert pace.wait(110.0) == 500  # Ten in ten minutes: the next one when the first is ten minutes ago.
    pace.refused(started(pace, 700.0), 700.1, stated=stated)
    for at in range(720, 920, 20):
        pace.succeeded(started(pace, float(at)), at + 0.1)
    assert pace.wait(930.0) == 0


def test_rate_headers_lower_the_rate_and_never_raise_it() -> None:
    pace = Pace(first_window=100)
    for number in range(5):
        pace.headers(float(number), limit=100, remaining=10, reset=9.0, window=False)
    started(pace, 5.0)
    assert pace.wait(5.0) == pytest.approx(0.0, abs=0.1)
    started(pace, 5.0)
    assert 0.05 < pace.wait(5.0) < 0.2
    fresh = Pace(rate=1, first_window=100)
    for number in range(5):
        fresh.headers(float(number), limit=100, remaining=10, reset=0.1, window=False)
    started(fresh, 5.0)
    started(fresh, 5.0)
    assert fresh.wait(5.0) > 0.9


@pytest.mark.parametrize("limit", [100, 200])
def test_headers_that_change_are_not_believed(limit: int) -> None:
    pace = Pace(first_window=100)
    for number in range(10):
        pace.headers(float(number), limit=limit + number, remaining=1, reset=60.0, window=True)
    started(pace, 10.0)
    assert pace.wait(10.0) == 0


def test_headers_that_count_more_than_our_own_requests_are_not_believed() -> None:
    pace = Pace(first_window=100)
    for number in range(10):
        pace.headers(float(number), limit=1000, remaining=(150, 10)[number % 2], reset=60.0, window=True)
    started(pace, 10.0)
    assert pace.wait(10.0) == 0
