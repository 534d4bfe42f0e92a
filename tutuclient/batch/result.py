"""What a run returns: a result for each item, a summary of all; and the budget that bounds it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from tutuclient.errors import APIConnectionError, ConfigError, TutuError
from tutuclient.media import html
from tutuclient.types.chat import Usage  # noqa: TC001  (likewise)

T = TypeVar("T")
StopReason: TypeAlias = Literal["error", "failures", "budget", "closed"]
ItemOutcome: TypeAlias = Literal["done", "not_sent", "rejected", "unknown"]

_SHOWN = 10


@dataclass
class BatchResult(Generic[T]):
    """What became of one item.

    Attributes:
        index: Its place among the items, from 0.
        id: Its name.
        value: The text, or the value of the type that was asked for; None when it failed.
        error: Why it failed, or None.
        outcome: "done"; of one that failed "not_sent", "rejected", "unknown" (it may have been done, and billed), or
            "done" (an image was made, and could not be had).
        attempts: How often it was tried, also where nothing was sent; 0 for a faulty item.
        usage: The tokens used, where the relay says.
        elapsed_s: Seconds from its start to its end, with what it waited for the pace.
        images: Files of the images that were made.
        finish_reason: Why the model stopped.
        same_as: With ``dedupe``, the id of the equal item that was asked in its place, or None: then it has that one's
            answer or error, and has used nothing itself.
        text: The answer's text, also where ``value`` is of a type, or could not be read from it; None without one.
        request_id: The relay's id of the request, for its operator to look up.
    """

    index: int
    id: str
    value: T | None = None
    error: Exception | None = None
    outcome: ItemOutcome = "done"
    attempts: int = 0
    usage: Usage | None = None
    elapsed_s: float = 0.0
    images: list[Path] = field(default_factory=list[Path])
    finish_reason: str | None = None
    same_as: str | None = None
    text: str | None = None
    request_id: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.error is None


def is_unreached(result: BatchResult[Any]) -> bool:
    """Return whether there was no connection: the network or the relay was away, whatever the item."""
    return isinstance(result.error, APIConnectionError) and result.outcome == "not_sent"


@dataclass(frozen=True)
class Budget:
    """What a run may use from its start on. It starts no item that, going by the mean so far, would use more.

    Attributes:
        tokens: Tokens of prompts and answers together, as far as the relay says.
        requests: Items that are sent.
        images: Orders of images.

    Raises:
        ConfigError: One is not a whole number from 1 up.
    """

    tokens: int | None = None
    requests: int | None = None
    images: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigError(f"Budget({name}=…) takes a whole number from 1 up, or None; got {value!r}")


@dataclass
class BatchSummary:
    """A run in numbers, from its start on; what a journal held before is only counted.

    Attributes:
        done: Items answered.
        shared: How many of them have the answer of an equal one.
        skipped: Items that the journal had as answered.
        failed_before: Items that the journal had as failed, and that were not tried again.
        failed: Items that failed, by the class of their error.
        unknown: Ids of items that may have been done and billed. Orders of images among them are not sent again
            by themselves.
        tokens: Tokens used, as far as the relay says.
        images: Images saved.
        requests: Requests sent, with those sent again.
        refusals: How many of them the relay refused for being too many.
        elapsed_s: Seconds since the run began.
        rate: Starts per second as learnt, or None while nothing was refused.
        window: Requests in flight as learnt.
        stopped: Why it stopped before its end; "" when it did not.
        deferred: How many of those that failed were refused, found no connection, or failed for what stopped the run,
            without having been done: a journal's run tries them again when it goes on.
        damaged: Lines of the journal that are not as they were written, and count for nothing: what they said is asked,
            or ordered, again.
        advice: The message of the first error of each class.
        journal: The run's folder, or None.
    """

    done: int = 0
    shared: int = 0
    skipped: int = 0
    failed_before: int = 0
    failed: Counter[str] = field(default_factory=Counter[str])
    unknown: list[str] = field(default_factory=list[str])
    tokens: int = 0
    images: int = 0
    requests: int = 0
    refusals: int = 0
    elapsed_s: float = 0.0
    rate: float | None = None
    window: int = 0
    stopped: str = ""
    deferred: int = 0
    damaged: int = 0
    advice: dict[str, str] = field(default_factory=dict[str, str])
    journal: Path | None = None

    def _repr_html_(self) -> str:
        return html.frame([html.text(str(self))])

    def __str__(self) -> str:
        failed = sum(self.failed.values())
        shared = f" ({self.shared} by the answer of an equal one)" if self.shared else ""
        counts = [f"{self.done} answered{shared}", f"{failed} failed"]
        counts += [f"{self.skipped} answered before"] if self.skipped else []
        counts += [f"{self.failed_before} failed before"] if self.failed_before else []
        pace = "" if self.rate is None else f", pace learnt {self.rate:.3g}/s"
        lines = [f"{', '.join(counts)}; {self.tokens} tokens, {self.elapsed_s:.1f} s, {self.refusals} refusals{pace}"]
        lines += [
            f"  {count} x {name}{', such as' if count > 1 else ''}: {self.advice.get(name, '')}"
            for name, count in self.failed.most_common(_SHOWN)
        ]
        if self.unknown:
            shown = ", ".join(self.unknown[:_SHOWN]) + (" …" if len(self.unknown) > _SHOWN else "")
            lines.append(f"  {len(self.unknown)} of unknown outcome, maybe done and billed: {shown}")
        if self.damaged:
            lines.append(f"  {self.damaged} lines of the journal were damaged: what they said was not known")
        if self.stopped:
            lines.append(f"  stopped: {self.stopped}")
        if self.journal is not None and (self.stopped or failed or self.failed_before or self.unknown):
            lines.append(f"  {self._how_to_go_on(failed)}")
        return "\n".join(lines)

    def _how_to_go_on(self, failed: int) -> str:
        call = f"the same call with journal={str(self.journal)!r}"
        more = ["retry_failed=True tries again what failed"] if failed > self.deferred or self.failed_before else []
        more += ["resend_unknown=True orders again what may be paid for"] if self.unknown else []
        if self.stopped or self.deferred:
            return "; ".join([f"{call} goes on", *more])
        return f"{call} and {'; '.join(more)}"


class BatchStoppedError(TutuError):
    """A run stopped before all its items were sent. What it was busy with was finished first.

    Args:
        message: Why.
        reason: See ``reason``.
        summary: See ``summary``.
        retry_after: See ``retry_after``.

    Attributes:
        reason: "error" (one of ``stop_on``), "failures" (more than ``max_failures``), "budget", or "closed" (the relay
            let nothing in for longer than ``max_wait``).
        summary: The run in numbers.
        retry_after: After how many seconds the relay asks to come back, or None.
    """

    def __init__(
        self, message: str, reason: StopReason, summary: BatchSummary, *, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason: StopReason = reason
        self.summary: BatchSummary = summary
        self.retry_after: float | None = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        make = partial(type(self), retry_after=self.retry_after)
        return make, (self.message, self.reason, self.summary)
