"""Many workers and one key, in virtual time: ``python -m benchmarks scale`` prints the tables of .github/SCALE.md.

Relays count per key, so workers on several machines share one limit that none of them sees whole. Four ways to keep it
are played against three kinds of relay by the pace's own code, without a network:

* split: the rate is known, and divided by the number of workers (``rate=`` of ``analyze_dataset``);
* learnt: each worker learns by itself, from what it is refused;
* shared: one limiter for all learns, and each start asks it first, which takes 2 ms;
* shared, typed: the same, told the rate.

Three things happen to each: all workers have work for the whole time; half of them run out after a quarter of it; the
relay answers nothing but 503 for a minute.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.simulation import (
    OK,
    OVERLOADED,
    REFUSAL_S,
    REFUSED,
    SECONDS,
    SERVICE_S,
    Answer,
    Bucket,
    InFlight,
    Log,
    Relay,
    constant,
    settle,
    started,
)
from benchmarks.table import lines
from tutuclient.pace import Pace, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.workload import Scale

RATE = 100.0
WORKERS: dict[Scale, tuple[int, ...]] = {"full": (1, 4, 16, 64), "quick": (1, 16), "tiny": (2,)}
LENGTH: dict[Scale, float] = {"full": SECONDS, "quick": SECONDS, "tiny": 60.0}
WAYS = ("split", "learnt", "shared", "shared, typed")
EVENTS = ("steady", "half run out", "outage")
_ASKING_S = 0.002  # a call of a Ray actor in the same cluster took 1.8 ms in the median
_OUTAGE = 0.5, 0.6  # of the time
_RUN_OUT = 0.25
_RECOVERED = 0.9
_OVER_S = 10.0


class Fleet(NamedTuple):
    """What came of a run.

    Attributes:
        goodput: Answered, as a share of what the relay could have answered.
        refused: 429s, as a share of the requests.
        failed: 503s, as a share of the requests.
        unfair: By how much the worker with the most answers is above the mean of those with the same work.
        recovery: Seconds from the end of the outage until 90 % of the rate before are answered again, over 10 s; None
            when that did not happen, or nothing was out.
    """

    goodput: float
    refused: float
    failed: float
    unfair: float
    recovery: float | None


class Failing:
    """A relay in front of another one, which answers 503 for a while."""

    def __init__(self, behind: Relay, start: float, end: float) -> None:
        self.behind, self.start, self.end = behind, start, end

    def answer(self, now: float, serving: int) -> Answer:
        """Answer a request."""
        return Answer(OVERLOADED) if self.start <= now < self.end else self.behind.answer(now, serving)


# A relay, how many requests a second it takes at most, and how many it may be asked at once.
RELAYS: dict[str, tuple[Callable[[], Relay], float]] = {
    "100 a second": (lambda: Bucket(constant(RATE), RATE), RATE),
    "6,000 in any 60 s": (lambda: Log(6000, 60), RATE),
    "300 in flight": (lambda: InFlight(300), 300 / SERVICE_S),
}


@dataclass
class _Worker:
    """One of the workers: what it may start, and what it has had answered."""

    pace: Pace
    stops: float = math.inf
    answered: int = 0


@dataclass
class _Run:
    relay: Relay
    workers: list[_Worker]
    asking: float
    draw: random.Random
    events: list[tuple[float, int, _Worker | None, Ticket | None, Answer]] = field(default_factory=list)
    order: Iterator[int] = field(default_factory=itertools.count)
    wakes: dict[int, float] = field(default_factory=dict)
    turn: dict[int, deque[_Worker]] = field(default_factory=dict)
    serving: int = 0
    answers: list[float] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=lambda: dict.fromkeys((OK, REFUSED, OVERLOADED), 0))

    def play(self, seconds: float) -> None:
        for each in self.workers:
            self.turn.setdefault(id(each.pace), deque()).append(each)
        for pace in {id(each.pace): each.pace for each in self.workers}.values():
            self.start_all(pace, 0.0)
        while self.events:
            now, _, worker, ticket, answer = heapq.heappop(self.events)
            if now > seconds:
                return
            if worker is None or ticket is None:
                continue
            if answer.status:
                self.end(worker, ticket, answer, now)
            self.start_all(worker.pace, now)

    def end(self, worker: _Worker, ticket: Ticket, answer: Answer, now: float) -> None:
        self.counts[answer.status] += 1
        if answer.status == OK:
            self.serving -= 1
            worker.answered += 1
            self.answers.append(now)
        settle(worker.pace, ticket, answer, now)

    def start_all(self, pace: Pace, now: float) -> None:
        """Start what a pace allows, a request of each of its workers in turn."""
        turn = self.turn[id(pace)]
        while turn and (wait := pace.wait(now)) < math.inf:
            if wait > 0:
                wake = self.wakes.get(id(pace), -1.0)
                if not now < wake <= now + wait:
                    self.wakes[id(pace)] = now + wait
                    heapq.heappush(self.events, (now + wait, next(self.order), turn[0], Ticket(), Answer(0)))
                return
            next_one = turn.popleft()
            if now < next_one.stops:
                turn.append(next_one)
                self.ask(next_one, now)

    def ask(self, worker: _Worker, now: float) -> None:
        ticket = started(worker.pace, now)
        answer = self.relay.answer(now, self.serving)
        end = now + self.asking + REFUSAL_S
        if answer.status == OK:
            self.serving += 1
            end = now + self.asking + self.draw.lognormvariate(math.log(SERVICE_S) - 0.08, 0.4)
        heapq.heappush(self.events, (end, next(self.order), worker, ticket, answer))


def paces(way: str, workers: int, seed: int) -> list[Pace]:
    """Return the pace of each worker; shared ones are one object."""

    def new(rate: float | None) -> Pace:
        return Pace(rate=rate, window=512, draw=random.Random(seed))

    if way == "split":
        return [new(RATE / workers) for _ in range(workers)]
    if way == "learnt":
        return [new(None) for _ in range(workers)]
    return [new(RATE if way == "shared, typed" else None)] * workers


def play(relay: str, way: str, event: str, workers: int, *, seconds: float = SECONDS, seed: int = 1) -> Fleet:
    """Run one simulation.

    Args:
        relay: A name of ``RELAYS``.
        way: One of ``WAYS``.
        event: One of ``EVENTS``.
        workers: How many there are.
        seconds: How long it goes on, in virtual time.
        seed: Of the service times, and of the pace's jitter.
    """
    build, rate = RELAYS[relay]
    start, end = seconds * _OUTAGE[0], seconds * _OUTAGE[1]
    model = Failing(build(), start, end) if event == "outage" else build()
    run = _Run(
        model,
        [_Worker(pace) for pace in paces(way, workers, seed)],
        _ASKING_S if way.startswith("shared") else 0.0,
        random.Random(seed),
    )
    if event == "half run out":
        for worker in run.workers[: workers // 2]:
            worker.stops = seconds * _RUN_OUT
    run.play(seconds)
    most = rate * (seconds - SERVICE_S - (end - start if event == "outage" else 0.0))
    busy = [worker.answered for worker in run.workers if worker.stops == math.inf]
    total = sum(run.counts.values())
    return Fleet(
        run.counts[OK] / most,
        run.counts[REFUSED] / total,
        run.counts[OVERLOADED] / total,
        max(busy) / (sum(busy) / len(busy)) - 1 if sum(busy) else 0.0,
        _recovery(run.answers, start, end) if event == "outage" else None,
    )


def _recovery(answers: list[float], start: float, end: float) -> float | None:
    """Return the seconds after the outage until as much is answered within 10 s as before, but for a tenth."""
    before = sum(start - 5 * _OVER_S <= at < start for at in answers) / 5
    after = [at for at in answers if at >= end]
    for first, at in enumerate(after):
        within = sum(1 for later in itertools.islice(after, first, None) if later < at + _OVER_S)
        if within >= _RECOVERED * before:
            return at - end
    return None


def tables(scale: Scale, mention: Callable[[str], None]) -> Iterator[str]:
    """Yield the tables, one for each relay and event, and at last that of SCALE.md."""
    short = [["relay, workers", *WAYS]]
    for relay, event in itertools.product(RELAYS, EVENTS):
        mention(f"{relay}, {event}")
        rows = [["workers", *WAYS]]
        for workers in WORKERS[scale]:
            fleets = [play(relay, way, event, workers, seconds=LENGTH[scale]) for way in WAYS]
            rows.append([str(workers), *map(_cell, fleets)])
            if event == "steady" and workers > 1:
                short.append([f"{relay}, {workers}", *map(_short, fleets)])
        yield ""
        yield f"## {relay}, {event}"
        yield ""
        yield _WHAT[event]
        yield ""
        yield from lines(rows)
    yield ""
    yield "## In short, steady, several workers"
    yield ""
    yield _WHAT["steady"]
    yield ""
    yield from lines(short)


_WHAT = {
    "steady": "Goodput % / refused % / unfair %.",
    "half run out": "Goodput % / refused % / unfair %; half of the workers have no work after a quarter of the time.",
    "outage": "Goodput % / refused % / failed % / seconds to recover; nothing but 503 for a tenth of the time.",
}


def _cell(fleet: Fleet) -> str:
    figures = [fleet.goodput, fleet.refused]
    if fleet.recovery is not None or fleet.failed:
        again = "never" if fleet.recovery is None else f"{fleet.recovery:.0f} s"
        return " / ".join([*(f"{100 * each:.1f}" for each in [*figures, fleet.failed]), again])
    return " / ".join(f"{100 * each:.1f}" for each in [*figures, fleet.unfair])


def _short(fleet: Fleet) -> str:
    return f"{100 * fleet.goodput:.0f} / {100 * fleet.refused:.1f} / {100 * fleet.unfair:.0f}"
