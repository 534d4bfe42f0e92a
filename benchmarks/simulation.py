"""Relays as models, and an endless run against each, in virtual time: the pace's own code, and no network.

The models are those of batch runs in the field: token buckets, sliding logs (new-api), limits on requests in flight, a
queue that answers late, a limit that moves, a key that others use too, refusals by chance.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tutuclient.pace import Pace, Stated, Ticket

if TYPE_CHECKING:
    from collections.abc import Callable

OK, REFUSED, OVERLOADED = 200, 429, 503
SECONDS = 600.0
REFUSAL_S = 0.08
SERVICE_S = 3.0


class Answer(NamedTuple):
    """A status, with what the relay says of its limit beside it."""

    status: int = OK
    retry_after: float | None = None
    stated: Stated | None = None


class Relay(Protocol):
    """Answers a request by its time and by how many it is serving."""

    def answer(self, now: float, serving: int) -> Answer:
        """Answer a request that arrives at ``now``, while so many are being served."""
        ...


def constant(rate: float) -> Callable[[float], float]:
    """Return a rate that does not move."""
    return lambda _: rate


@dataclass
class Bucket:
    """A token bucket; its rate may move, and refused requests may cost a token too."""

    rate: Callable[[float], float]
    size: float
    says_when: bool = False
    refusals_cost: bool = False
    at: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.size

    def answer(self, now: float, serving: int) -> Answer:  # noqa: ARG002  (it does not count them)
        """Answer a request."""
        rate = self.rate(now)
        self.level = min(self.size, self.level + (now - self.at) * rate)
        self.at = now
        if self.level >= 1:
            self.level -= 1
            return Answer()
        if self.refusals_cost:
            self.level = max(-self.size, self.level - 1)
        return Answer(REFUSED, math.ceil((1 - self.level) / rate) if self.says_when else None)


class Log:
    """At most so many requests in any ``seconds``, as new-api counts them."""

    def __init__(self, requests: int, seconds: float, *, states: bool = False) -> None:
        self.log: deque[float] = deque()
        self.requests, self.seconds, self.states = requests, seconds, states

    def answer(self, now: float, serving: int) -> Answer:  # noqa: ARG002  (it does not count them)
        """Answer a request."""
        while self.log and self.log[0] <= now - self.seconds:
            self.log.popleft()
        if len(self.log) >= self.requests:
            return Answer(REFUSED, None, Stated(self.requests, self.seconds) if self.states else None)
        self.log.append(now)
        return Answer()


@dataclass
class InFlight:
    """At most so many requests at once."""

    most: int
    states: bool = False

    def answer(self, now: float, serving: int) -> Answer:  # noqa: ARG002  (it has no clock)
        """Answer a request."""
        if serving < self.most:
            return Answer()
        return Answer(REFUSED, None, Stated(None, None)) if self.states else Answer(REFUSED, 1.0)


class Strays:
    """Passes on refusals of the accounts behind it: a share of the requests, by chance and at any rate."""

    def __init__(self, share: float, seed: int, behind: Relay | None = None) -> None:
        self.draw = random.Random(seed)
        self.share, self.behind = share, behind

    def answer(self, now: float, serving: int) -> Answer:
        """Answer a request."""
        if self.draw.random() < self.share:
            return Answer(REFUSED)
        return Answer() if self.behind is None else self.behind.answer(now, serving)


class Queue:
    """So many slots, and a queue before them: answers get late, and only a full queue says 503."""

    def __init__(self, slots: int, places: int) -> None:
        self.slots, self.places = slots, places
        self.free = [0.0] * slots

    def answer(self, now: float, serving: int) -> Answer:  # noqa: ARG002  (it has no clock)
        """Answer a request."""
        return Answer(OVERLOADED) if serving >= self.slots + self.places else Answer()

    def begin(self, now: float, service: float) -> float:
        """Return when a request will have been answered that waits for a slot and takes ``service`` seconds."""
        end = max(now, heapq.heappop(self.free)) + service
        heapq.heappush(self.free, end)
        return end


class Outcome(NamedTuple):
    """What came of a run: requests answered or in work, refused, overloaded, and started in all."""

    answered: int
    refused: int
    overloaded: int
    started: int

    @property
    def refused_share(self) -> float:
        """The refused, as a share of those started."""
        return self.refused / self.started


def started(pace: Pace, now: float) -> Ticket:
    """Start a request, and return its ticket."""
    ticket = Ticket()
    pace.start(now, ticket)
    return ticket


def settle(pace: Pace, ticket: Ticket, answer: Answer, now: float) -> None:
    """Return a ticket to the pace, with what the relay answered."""
    if answer.status == OK:
        pace.succeeded(ticket, now)
    elif answer.status == REFUSED:
        pace.refused(ticket, now, answer.retry_after, answer.stated)
    else:
        pace.overloaded(ticket, now, answer.retry_after)


def run(relay: Relay, pace: Pace, seed: int, *, seconds: float = SECONDS) -> Outcome:
    """Start requests as the pace allows, for as long as that takes in virtual seconds."""
    draw = random.Random(seed)
    events: list[tuple[float, int, Ticket | None, Answer]] = []
    order = itertools.count()
    counts: Counter[int] = Counter()
    now, admitted, wake = 0.0, 0, -1.0

    def start_all() -> None:
        nonlocal admitted, wake
        while (wait := pace.wait(now)) < math.inf:
            if wait > 0:
                if not now < wake <= now + wait:
                    wake = now + wait
                    heapq.heappush(events, (wake, next(order), None, Answer()))
                return
            ticket = started(pace, now)
            answer = relay.answer(now, admitted - counts[OK])
            end = now + REFUSAL_S
            if answer.status == OK:
                admitted += 1
                service = draw.lognormvariate(math.log(SERVICE_S) - 0.08, 0.4)
                end = relay.begin(now, service) if isinstance(relay, Queue) else now + service
            heapq.heappush(events, (end, next(order), ticket, answer))

    start_all()
    while events:
        at, _, ticket, answer = heapq.heappop(events)
        if at > seconds:
            break
        now = at
        if ticket is not None:
            counts[answer.status] += 1
            settle(pace, ticket, answer, now)
        start_all()
    return Outcome(admitted, counts[REFUSED], counts[OVERLOADED], pace.started)


def moved(now: float) -> float:
    """Return a rate that falls from 20 to 5 a second for a third of the time."""
    return 5.0 if SECONDS / 3 <= now < SECONDS * 2 / 3 else 20.0


def shared(seed: int) -> Callable[[float], float]:
    """Return the rate that is left of 10 a second, while others take up to half of it, anew every 30 s."""
    draw = random.Random(seed)
    left = [10 * (1 - draw.random() / 2) for _ in range(int(SECONDS / 30) + 1)]
    return lambda now: left[int(now / 30)]


@dataclass(frozen=True)
class Model:
    """A kind of relay, and how many requests it would answer at most."""

    relay: Callable[[int], Relay]
    most: Callable[[int], float]


MODELS: dict[str, Model] = {
    "A": Model(lambda _: Bucket(constant(10), 600, says_when=True), lambda _: 6600),
    "B": Model(lambda _: Bucket(constant(10), 10, says_when=True), lambda _: 6010),
    "C": Model(lambda _: Bucket(constant(10), 10), lambda _: 6010),
    "D": Model(lambda _: Bucket(constant(10), 10, refusals_cost=True), lambda _: 6010),
    "E": Model(lambda _: Bucket(constant(100), 100), lambda _: 60_100),
    "F": Model(lambda _: InFlight(32), lambda _: 32 / SERVICE_S * SECONDS),
    "G": Model(lambda _: Queue(48, 200), lambda _: 48 / SERVICE_S * SECONDS),
    "H": Model(lambda _: Bucket(moved, 10), lambda _: 9010),
    "I": Model(
        lambda seed: Bucket(shared(seed), 10, says_when=True),
        lambda seed: 10 + sum(map(shared(seed), range(int(SECONDS)))),
    ),
    "J": Model(lambda _: Log(600, 60), lambda _: 6000),
    "K": Model(lambda _: Log(180, 180), lambda _: 720),
    "F stated": Model(lambda _: InFlight(32, states=True), lambda _: 32 / SERVICE_S * SECONDS),
    "J stated": Model(lambda _: Log(600, 60, states=True), lambda _: 6000),
    "K stated": Model(lambda _: Log(180, 180, states=True), lambda _: 720),
}
