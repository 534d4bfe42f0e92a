"""How fast, and how many at once: learnt from what the relay refuses, within what the caller allows.

A pure state machine: it never sleeps and knows no clock but the one passed in, so that the simulation in the tests runs
the same code as the client. Three parts have to agree before a request starts:

* The **pacer** spaces starts. It is unlimited until the first refusal; then it keeps to the rate that the relay has
  admitted lately, and searches upwards from there along CUBIC's curve (RFC 9438, section 4.2).
* The **window** bounds the requests in flight. It grows by one per success until the first sign of overload, later by
  one per window of successes. A refusal trims it to what the rate needs by Little's law.
* The **gate** is closed while the relay refuses everything: for its ``Retry-After``, or until a probe is admitted.

Refusals that keep coming at any rate, little and evenly, are known as strays after some cuts, and tolerated from then
on: the rate and the window grow again until the share of refusals does.

One pace belongs to one base URL and key: relays count per user or token, not per model.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

FIRST_WINDOW: Final = 8

_SEARCH_S: Final = 20.0  # K of CUBIC: seconds of use after which the rate is back where it was refused
_CUT: Final = 0.95  # beta of CUBIC; TCP's 0.7 would give away some 15 % of a steady token bucket
_BOLD: Final = 1.03  # growth per second once the old rate has been passed for as long again
_LATELY_S: Final = 5.0
_LONG_S: Final = 180.0
_STEP_S: Final = 0.1
_USED: Final = 0.7  # of the rate or window: while less is used, the absence of refusals proves nothing
_BURST_S: Final = 0.1  # how far starts may lag behind the pacer and still catch up; timers are late by some ms
_OVERLOAD_CUT: Final = 0.7
_BRAKE_CUT: Final = 0.8
_WINDOW_CUT: Final = 0.95
_ROOM: Final = 1.1  # of what Little's law asks for
_GATE_S: Final = 2.0  # from here on a Retry-After concerns everybody's requests, not one
_STREAK: Final = 3  # refusals in a row that close the gate
_STREAK_STARTS: Final = 4  # among which they are; further apart, what lies between was admitted
_PROBE_MOST_S: Final = 15.0
_PROBE_PATIENCE_S: Final = 5.0  # without a refusal until then, a probe was admitted or got lost
_FEW: Final = 3  # admissions of the long run that teach nothing
_BRAKE: Final = 2.0  # times the slow mean of the latency
_FAST, _SLOW = 0.07, 0.002  # weights of the two means
_SAMPLES: Final = 64  # the first answers to arrive are the quick ones: the mean is biased until then
_STEADY: Final = 5  # answers that have to agree before rate headers are believed
_EXPLAINED: Final = 2  # times our own requests: what falls faster counts other people's too
_LOW: Final = 0.2  # of the limit: while more is left, headers ask for nothing
_MINUTE: Final = 60.0
_STRAYS: Final = 3  # refusals below the rate that was refused, until they are held for strays
_STRAY_STARTS: Final = 100
_STRAY_S: Final = 10.0  # by then what was admitted before a cut no longer counts as lately
_STRAY_MOST: Final = 0.1  # of the starts
_STRAY_GROWTH: Final = 2.0  # times their share: from here on a limit is at work too
_STRAY_BURST: Final = 6  # refusals beyond that, until strays are forgotten
_STRAY_DOUBT: Final = 96  # refusals needed at most, after strays that were none
_BELOW: Final = 0.7  # of the rate at a trial's first cut: what is refused there is not refused by that limit
_RETURN: Final = 1.15  # growth per second once refusals are known to be strays; all at once would be a burst


class Ticket:
    """A request that was admitted: ``Pace.start`` fills it in, and it is handed back with its outcome.

    Attributes:
        at: When it started.
        epoch: How often the pace had been cut by then. Only what started after a cut can ask for another.
        probe: It asks whether a relay that refused everything has opened again.
        tokens: How many tokens were set aside for it.
    """

    __slots__ = ("at", "epoch", "probe", "tokens")

    at: float
    epoch: int
    probe: bool
    tokens: float


class Stated(NamedTuple):
    """A limit as the relay stated it in a refusal.

    Attributes:
        requests: At most so many, in flight or within ``seconds``; None when it did not say how many.
        seconds: The length of a sliding window; None for a limit on requests in flight.
    """

    requests: int | None
    seconds: float | None


@dataclass(frozen=True)
class PaceState:
    """The pace of one base URL and key at a moment, as ``client.pace`` tells it.

    Before the first refusal nothing is held back. Each refusal teaches all calls of the key how many may be in flight,
    how many may start a second, and whether the relay refuses everything: then one call asks it again, after 1, 2, 4 …
    15 s. Pauses that the relay asks for are kept by all of them.

    Attributes:
        window: Requests in flight at most.
        rate: Starts per second at most, as set or learnt; None while there is no limit.
        refusals: Requests that the relay has refused so far.
        in_flight: Requests in flight.
        waiting: Calls that wait to start.
        gate: Seconds yet in which nothing starts, because the relay asked for that or refuses all; 0 while it is open.
    """

    window: int
    rate: float | None
    refusals: int
    in_flight: int
    waiting: int
    gate: float


class _Counter:
    """Admissions of the last three minutes, in steps of a tenth of a second.

    Counts, and no list of times: it is kept for every request, and objects that outlive their call scatter the memory.

    Attributes:
        current: Those of the step that runs; whoever adds one calls ``forward`` first when the step is over.
        ends: When it is over.
    """

    __slots__ = ("_began", "_counts", "_number", "_passed", "current", "ends")

    def __init__(self) -> None:
        self.current = 0
        self.ends = -math.inf
        self._counts: deque[int] = deque([0], int(_LONG_S / _STEP_S) - 1)  # Those of the steps before.
        self._number: int | None = None  # Of the step that runs, since the clock's zero.
        self._began = 0.0
        self._passed = 0

    @property
    def added(self) -> int:
        """How many were ever added."""
        return self._passed + self.current

    def forward(self, now: float) -> None:
        """Begin the step of a time."""
        number = int(now / _STEP_S)
        if self._number is None:
            self._number, self._began = number, now
        steps = number - self._number
        if steps > 0:
            self._counts.append(self.current)
            self._counts.extend([0] * min(steps - 1, int(_LONG_S / _STEP_S)))
            self._passed += self.current
            self._number, self.current = number, 0
        self.ends = (self._number + 1) * _STEP_S

    def take_back(self, now: float, at: float) -> None:
        """Count one less, which started at a time; what is too long ago is left out."""
        self.forward(now)
        back = int(now / _STEP_S) - int(at / _STEP_S)
        if back <= 0:
            self.current -= 1
            self._passed += 1
        elif back <= len(self._counts):
            self._counts[-back] -= 1

    def total(self, now: float, seconds: float) -> int:
        """Return the admissions of the last ``seconds``."""
        self.forward(now)
        steps = min(int(seconds / _STEP_S) - 1, len(self._counts))
        return self.current + sum(self._counts[-back] for back in range(1, steps + 1))

    def rate(self, now: float, seconds: float) -> float:
        """Return admissions per second over the last ``seconds``, or since the first one."""
        total = self.total(now, seconds)
        return total / min(max(now - self._began, _STEP_S) + _STEP_S, seconds)


class _Tokens:
    """A bucket of tokens that fills by the minute; an estimate is set aside, and settled when the answer is there."""

    def __init__(self, per_minute: float) -> None:
        self._rate = per_minute / _MINUTE
        self._most = self._rate * 10
        self._level = self._most
        self._at = 0.0
        self._mean = 0.0

    def estimate(self) -> float:
        return self._mean or 1000.0

    def wait(self, now: float) -> float:
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        # A request larger than the bucket starts when the bucket is full, and leaves a debt.
        return max(0.0, min(self.estimate(), self._most) - self._level) / self._rate

    def take(self, tokens: float) -> None:
        self._level -= tokens

    def settle(self, reserved: float, used: float | None) -> None:
        if used is None:
            return
        self._level += reserved - used
        self._mean += (used - self._mean) * 0.1 if self._mean else used


class _Strays:
    """Recognizes refusals that come at any rate, so that a lower one would not help.

    Relays pass on the refusals of the accounts behind them, and another account may be drawn next time. Each cut is a
    trial: a limit on the rate refuses hardly anything below the rate that it has just admitted. What is refused there
    all the same, little and evenly, has nothing to do with the rate.

    Attributes:
        share: Of the starts, which is tolerated; 0 while none is known.
        rate: Starts per second when the trial began.
    """

    def __init__(self) -> None:
        self.share = 0.0
        self.rate = 0.0
        self._began = 0  # Starts when the trial began, or the toleration.
        self._began_at = -math.inf
        self._seen = 0
        self._refused = 0
        self._needed = _STRAYS
        self._beyond = 0.0  # Refusals that their share does not explain: a bucket that leaks with every start.

    def begin(self, started: int, now: float, rate: float) -> None:
        """Begin a trial, for the rate is cut now."""
        self._began, self._began_at, self._refused, self.rate = started, now, 0, rate

    def shown(self, started: int, now: float) -> bool:
        """Note a refusal below the rate that was refused before, and return whether it is known as a stray now."""
        self._refused += 1
        starts = started - self._began
        if starts < _STRAY_STARTS:
            return False
        share = (self._refused + 1) / starts
        if share > _STRAY_MOST:
            self.begin(started, now, self.rate)
            return False
        if self._refused < self._needed or now - self._began_at < _STRAY_S:
            return False
        self.share, self._beyond = share, 0.0
        self._began = self._seen = started
        return True

    def tolerates(self, started: int) -> bool:
        """Note a refusal while strays are known, and return whether they explain it: their share has not doubled."""
        passed, self._seen = started - self._seen, started
        self._beyond = max(0.0, self._beyond - _STRAY_GROWTH * self.share * passed) + 1
        return self._beyond <= _STRAY_BURST

    def forget(self, started: int) -> None:
        """Tolerate none any more. What was soon found to be wrong has to be shown twice as clearly next time."""
        if self.share:
            as_expected = (started - self._began) * self.share > _STRAY_GROWTH**2 * _STRAY_BURST
            self._needed = _STRAYS if as_expected else min(_STRAY_DOUBT, 2 * self._needed)
            self.share = 0.0


class Pace:
    """The pace of one base URL and key.

    Args:
        rate: The most starts per second; None for no limit but the relay's.
        tokens_per_minute: The most tokens per minute, prompts and answers together.
        window: The most requests in flight.
        first_window: How many while nothing is known of the relay. Below ``window``, the window is searched from there:
            it heeds timeouts and slow answers too. At ``window``, only refusals teach, as calls of many kinds with
            deadlines of their own say little of the relay by their latencies.
        draw: A source of numbers from 0 to 1.

    Attributes:
        rate: Starts per second as learnt; infinite while nothing has been refused.
        window: Requests in flight as learnt.
        in_flight: How many requests are.
        is_plain: Nothing is known or asked for that a start within the window could violate, nor can an answer teach
            anything: so it is until the first refusal, unless the window is searched or a limit was set.
        refusals: How many requests the relay refused so far.
    """

    def __init__(
        self,
        *,
        rate: float | None = None,
        tokens_per_minute: float | None = None,
        window: int = 512,
        first_window: int = FIRST_WINDOW,
        draw: random.Random | None = None,
    ) -> None:
        self.rate = math.inf
        self.window = float(min(window, first_window))
        self.in_flight = 0
        self.refusals = 0
        self._cap = rate or math.inf
        self._tokens = _Tokens(tokens_per_minute) if tokens_per_minute else None
        self._most = window
        self._draw = draw or random.Random()
        self._admissions = _Counter()
        self._searches = first_window < window
        self.is_plain = not (self._searches or rate or tokens_per_minute)
        # The pacer.
        self._next = -math.inf
        self._goal = math.inf
        self._searched = 0.0
        self._seen = 0.0
        self._epoch = 0
        self._strays = _Strays()
        # The window.
        self._slow_start = True
        self._regrow_to = 0.0  # Below it, the window grows as at the start: it was that large before an outage.
        self._overload_epoch = self._answered_epoch = 0  # After the last overload; of what was answered last.
        self._is_slow = False
        self._fast = self._slow = 0.0
        self._samples = 0
        self._braked = -math.inf
        # The gate.
        self._gate = -math.inf
        self._streak = 0
        self._streak_starts: deque[int] = deque(maxlen=_STREAK)  # How many had started at the last refusals.
        self._admitted_at = -math.inf
        self._admitted_rate = math.inf
        self._refused_at = -math.inf
        self._probe_wait = 0.0
        self._probe_until = -math.inf
        # What the relay states.
        self._log: deque[float] | None = None
        self._log_s = 0.0
        self._header_limit = self._header_remaining = self._header_started = 0
        self._header_agreed = 0
        self._header_rate = math.inf
        self._header_until = -math.inf

    @property
    def started(self) -> int:
        """How many requests have started so far."""
        return self._admissions.added

    def state(self, now: float, waiting: int = 0) -> PaceState:
        """Return the pace in numbers.

        Args:
            now: The clock.
            waiting: How many calls wait to start.
        """
        rate = min(self._cap, self.rate)
        return PaceState(
            window=max(1, int(self.window)),
            rate=None if rate == math.inf else rate,
            refusals=self.refusals,
            in_flight=self.in_flight,
            waiting=waiting,
            gate=self.closed_for(now),
        )

    def bound(self, most: int) -> None:
        """Set anew how many requests may be in flight at most; what was learnt below that stays."""
        self.window = float(most) if self.window >= self._most else min(self.window, most)
        self._most = most

    def closed_for(self, now: float) -> float:
        """Return for how many seconds yet nothing starts, because the relay refuses all; 0 while the gate is open."""
        return max(0.0, self._gate - now, self._probe_until - now)

    # --- Before a request ---

    def wait(self, now: float) -> float:
        """Return the seconds until the next start: 0 for now, infinity until something in flight has ended."""
        if self._probe_wait:
            if (wait := self.closed_for(now)) > 0 or self._probe_until == -math.inf:
                return wait
            # A refusal comes quickly, an answer may take minutes: a probe that was not refused by now was admitted.
            self._reopen(now)
        if self.in_flight >= max(1, int(self.window)):
            return math.inf
        if self.is_plain:
            return 0.0
        wait = max(0.0, self._gate - now, self._next - now)
        if self._tokens is not None:
            wait = max(wait, self._tokens.wait(now))
        if self._log is not None and len(self._log) == self._log.maxlen:
            wait = max(wait, self._log[0] + self._log_s - now)
        return wait

    def start(self, now: float, ticket: Ticket) -> None:
        """Admit a request: ``wait`` has returned 0. What it will be handed back with is noted in its ticket."""
        self.in_flight += 1
        admissions = self._admissions
        if now >= admissions.ends:
            admissions.forward(now)
        admissions.current += 1
        ticket.at = now
        ticket.epoch = self._epoch
        ticket.probe = False
        ticket.tokens = 0.0
        if self.is_plain:
            return
        self._advance(now)
        rate = min(self._cap, self.rate, self._header_rate if now < self._header_until else math.inf)
        if rate < math.inf:
            self._next = max(self._next, now - _BURST_S) + 1 / rate
        if self._tokens is not None:
            ticket.tokens = self._tokens.estimate()
            self._tokens.take(ticket.tokens)
        if self._log is not None:
            self._log.append(now)
        if self._probe_wait:
            ticket.probe = True
            self._probe_until = now + max(_PROBE_PATIENCE_S, self._probe_wait)

    def _advance(self, now: float) -> None:
        """Move along the curve. Time counts only while the rate is used: an idle client must not earn a burst."""
        passed, self._seen = now - self._seen, now
        if self.rate == math.inf or self.rate >= self._cap:
            return  # Nothing to search, and a curve that went on for hours would leave the range of a float.
        if self._admissions.rate(now, _LATELY_S) >= _USED * min(self.rate, self._cap):
            self._searched += passed
            if self._strays.share:
                self.rate *= _RETURN**passed
        if self._strays.share:
            return
        beyond = self._searched - _SEARCH_S
        if beyond <= _SEARCH_S:
            self.rate = self._goal * (1 + (1 - _CUT) * (beyond / _SEARCH_S) ** 3)
        else:
            self.rate = self._goal * (2 - _CUT) * _BOLD ** (beyond - _SEARCH_S)

    # --- After it ---

    def succeeded(self, ticket: Ticket, now: float, tokens: int | None = None) -> None:
        """Note that a request was admitted and answered. An error about its contents is an answer too."""
        if self.is_plain:
            self.in_flight -= 1
            self._admitted_at = ticket.at
            return
        was_full = self.in_flight >= _USED * int(self.window)  # A window of 2.9 is full with two.
        self._end(ticket, now, tokens)
        self.admitted(ticket, now)
        self._answered_epoch = max(self._answered_epoch, ticket.epoch)
        if self._slow_start or self.window < self._regrow_to:
            self.window += 1
        elif was_full:
            self.window += 1 / self.window
        if not self._is_slow:
            # The window must not strangle a rate that is not refused.
            self.window = max(self.window, self._needed())
        self.window = min(self.window, self._most)
        self._learn_latency(now - ticket.at, now)

    def admitted(self, ticket: Ticket, now: float) -> None:
        """Note that a request was not refused, as the head of its answer shows; its end may take long to come."""
        self._admitted_at = max(self._admitted_at, ticket.at)
        self._admitted_rate = self.rate
        if ticket.at >= self._refused_at:
            self._streak = 0
        if ticket.probe and self._probe_wait:
            self._reopen(now)

    def refused(
        self, ticket: Ticket, now: float, retry_after: float | None = None, stated: Stated | None = None
    ) -> None:
        """Note a 429, or what means the same: the request was not done, and the relay wants fewer.

        Args:
            ticket: The request.
            now: The clock.
            retry_after: What the relay asks to wait, in seconds.
            stated: The limit that it states.
        """
        self._end(ticket, now, 0)
        self.is_plain = False
        self.refusals += 1
        self._streak += 1
        self._refused_at = max(self._refused_at, ticket.at)
        self._admissions.take_back(now, ticket.at)
        self._streak_starts.append(self.started)
        is_bare = stated is None and (retry_after is None or retry_after < _GATE_S)
        if self._is_stray(ticket, now, is_bare=is_bare):
            return
        self._slow_start = False
        if stated is not None and stated.seconds is None:
            self._trim_to_flights(stated, ticket)
            return
        if stated is not None:
            self._believe(stated, ticket, now)
        if ticket.epoch == self._epoch and not self._probe_wait:
            self._cut(now)
        if retry_after is not None and (retry_after >= _GATE_S or self._streak >= _STREAK or not self._searches):
            self._close(now + retry_after + self._draw.random() * min(1.0, 0.1 * retry_after))
        self.window = max(1.0, min(self.window, max(_WINDOW_CUT * (self.in_flight + 1), self._needed())))
        if ticket.probe and self._probe_wait:
            self._probe_wait = min(_PROBE_MOST_S, self._probe_wait * 2)
            self._gate = max(self._gate, now + self._probe_wait)
        elif retry_after is None and not self._probe_wait and self._is_closed(now):
            self._probe_wait = 1.0
            self._gate = now + self._probe_wait

    def overloaded(self, ticket: Ticket, now: float, retry_after: float | None = None) -> None:
        """Note a 503, a deadline that passed or a connection that broke: too much at once."""
        self._end(ticket, now, None)
        if self._searches:
            self._slow_start = False
            self._is_slow = True
            if ticket.epoch == self._epoch:
                # Cuts with no answer between them tell of an outage, and nothing of how much is too much: the window
                # grows back to what the first of them left, as TCP's does to its threshold (RFC 5681, section 3.1).
                if self._answered_epoch >= self._overload_epoch:
                    self._regrow_to = self.window * _OVERLOAD_CUT
                self._epoch += 1
                self._overload_epoch = self._epoch
                self.window = max(1.0, self.window * _OVERLOAD_CUT)
        if retry_after is not None and retry_after >= _GATE_S:
            self._close(now + retry_after)
        if ticket.probe and self._probe_wait:
            self._gate = max(self._gate, now + self._probe_wait)

    def dropped(self, ticket: Ticket, now: float) -> None:
        """Note that a request was cancelled: it tells nothing of the relay."""
        self._end(ticket, now, None)

    def _end(self, ticket: Ticket, now: float, tokens: int | None) -> None:
        self.in_flight -= 1
        self._advance(now)
        if ticket.probe:
            self._probe_until = -math.inf
        if self._tokens is not None:
            self._tokens.settle(ticket.tokens, tokens)

    # --- The pacer ---

    def _cut(self, now: float) -> None:
        self._epoch += 1
        if self.rate == math.inf and self._admissions.total(now, _LATELY_S) < FIRST_WINDOW:
            # So few were hardly too many: a stray refusal must not become the pace of a client that was idle. Only the
            # window is searched again.
            self._slow_start = True
            return
        lately = self._admissions.rate(now, _LATELY_S)
        before = min(self.rate, self._cap)
        self._goal = max(lately, 0.5 * before if before < math.inf else 1 / _LATELY_S)
        self._searched = 0.0
        self.rate = self._goal * _CUT
        self._next = max(self._next, now + 1 / self.rate)

    def _is_stray(self, ticket: Ticket, now: float, *, is_bare: bool) -> bool:
        """Return whether a refusal says nothing of the rate; one that states a limit or a long wait always does."""
        strays, started = self._strays, self.started
        if strays.share:
            if is_bare and strays.tolerates(started) and not self._is_closed(now):
                return True
            strays.forget(started)
            strays.begin(started, now, self._admissions.rate(now, _LATELY_S))
            return False
        if self._probe_wait or ticket.epoch != self._epoch:
            return False
        # At a rate that was refused before, or while all is refused, another trial begins.
        is_high = self._searched >= _SEARCH_S and self.rate >= _BELOW * strays.rate
        if not is_bare or self.rate == math.inf or is_high or self._is_row():
            strays.begin(started, now, self._admissions.rate(now, _LATELY_S))
            return False
        if not strays.shown(started, now):
            return False
        # What the cuts of the trial took is searched again from here.
        self._slow_start = not self._is_slow
        return True

    # --- The window ---

    def _needed(self) -> float:
        """Return the requests in flight that the rate needs, by Little's law, and some more."""
        return _ROOM * self.rate * self._fast if self._samples and self.rate < math.inf else 0.0

    def _learn_latency(self, latency: float, now: float) -> None:
        """Update the means, and shrink a window that is searched while answers take twice as long as they did.

        Then the relay queues what it cannot do.
        """
        self._samples += 1
        if self._samples <= _SAMPLES:
            self._fast = self._slow = self._slow + (latency - self._slow) / self._samples
            return
        self._fast += (latency - self._fast) * _FAST
        self._slow += (latency - self._slow) * _SLOW
        if self._searches and self._fast > _BRAKE * self._slow and now > self._braked + self._fast:
            self._braked = now
            self._is_slow = True
            self._slow_start = False
            self.window = max(1.0, self.window * _BRAKE_CUT)

    def _trim_to_flights(self, stated: Stated, ticket: Ticket) -> None:
        """Set the window by a limit on requests in flight, which says nothing of the rate."""
        self._is_slow = True
        if ticket.epoch == self._epoch:
            self._epoch += 1
            self.window = float(max(1, min(self.window, stated.requests or self.in_flight)))

    # --- The gate ---

    def _close(self, until: float) -> None:
        self._gate = max(self._gate, until)

    def _is_closed(self, now: float) -> bool:
        """Return whether everything is refused: long enough that at the rate before, some would have been admitted."""
        if self._streak < _STREAK or not self._is_row():
            return False
        return now - self._admitted_at >= max(1.0, 3 / self._admitted_rate)

    def _is_row(self) -> bool:
        """Return whether hardly anything started between the last refusals: they come at once, and answers late."""
        starts = self._streak_starts
        return len(starts) == _STREAK and starts[-1] - starts[0] <= _STREAK_STARTS

    def _reopen(self, now: float) -> None:
        """Resume at the long-run rate: the last seconds, all refused, say nothing. Begin anew where there is none."""
        self._probe_wait, self._streak, self._searched = 0.0, 0, 0.0
        self._probe_until = -math.inf  # The probe's answer may take minutes yet, and nobody waits for its end.
        self._next = now
        if self._admissions.rate(now, _LONG_S) * _LONG_S <= _FEW:
            self.rate = self._goal = math.inf
            self.window = float(min(self._most, FIRST_WINDOW))
            self._slow_start = True
            return
        self.window = max(self.window, min(self._most, self.in_flight + 1.0))
        self._goal = max(self._goal, self._admissions.rate(now, _LONG_S))
        self.rate = self._goal * _CUT

    # --- What the relay states ---

    def _believe(self, stated: Stated, ticket: Ticket, now: float) -> None:
        """Start a log of the sliding window that was stated; drop it when it does not explain a refusal."""
        requests, seconds = stated.requests, stated.seconds
        if not requests or not seconds:
            return
        if self._log is not None and (self._log.maxlen, self._log_s) == (requests, seconds):
            if ticket.epoch == self._epoch and sum(at > now - seconds for at in self._log) < requests:
                self._log = None  # Others use the key too, or it counts something else.
            return
        self._log, self._log_s = deque(maxlen=requests), seconds

    def headers(self, now: float, *, limit: int, remaining: int, reset: float, window: bool) -> None:
        """Note what an answer's rate limit headers say. They can lower the rate, and never raise it.

        Args:
            now: The clock.
            limit: The most requests.
            remaining: How many of them are left.
            reset: Seconds until all of them are there again.
            window: They come back all at once at that time; otherwise little by little.
        """
        # Relays copy other people's headers: they are believed while our own requests explain what they count.
        own = self.started - self._header_started + self.in_flight
        explained = limit == self._header_limit and self._header_remaining - remaining <= _EXPLAINED * own + 1
        self._header_agreed = self._header_agreed + 1 if explained else 1
        self._header_limit, self._header_remaining, self._header_started = limit, remaining, self.started
        if self._header_agreed < _STEADY or reset <= 0 or remaining > _LOW * limit:
            return
        left = max(0, remaining - self.in_flight)
        self.is_plain = False
        self._header_rate = max((left if window else limit - remaining) / reset, 1 / reset)
        self._header_until = now + reset
