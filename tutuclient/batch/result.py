"""What a run gives: a result for each item, a summary of all, and what bounds it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from tutuclient.errors import ConfigError, TutuError

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.types import Usage

T = TypeVar("T")

_SHOWN = 10


@dataclass(slots=True)
class BatchResult(Generic[T]):
    """What became of one item.

    Attributes:
        index: Its place among the items, from 0.
        id: Its name.
        value: The text, or the parsed value; None when it failed.
        error: Why it failed.
        outcome: "done"; or of a failed one "not_sent", "rejected" or "unknown" (it may have been done, and billed).
        attempts: How often it was sent.
        usage: The tokens used, where the relay says.
        elapsed_s: Seconds from its admission to its end.
        images: Files of the images that it made.
        finish_reason: Why the model stopped.
    """

    index: int
    id: str
    value: T | None = None
    error: Exception | None = None
    outcome: str = "done"
    attempts: int = 0
    usage: Usage | None = None
    elapsed_s: float = 0.0
    images: list[Path] = field(default_factory=list)
    finish_reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.error is None


class Budget(NamedTuple):
    """What a run may use; it stops starting items before it would use more.

    Attributes:
        tokens: Tokens of prompts and answers together.
        requests: Items that are sent.
        images: Images that are made.
    """

    tokens: int | None = None
    requests: int | None = None
    images: int | None = None

    def check(self) -> None:
        """Raise when a limit is not a positive number.

        Raises:
            ConfigError: One is not.
        """
        for name, value in self._asdict().items():
            if value is not None and (isinstance(value, bool) or value < 1):
                raise ConfigError(f"Budget({name}=…) takes a number from 1 up, or None; got {value!r}")


@dataclass
class Summary:
    """A run in numbers.

    Attributes:
        done: Items answered now.
        skipped: Items that the journal had answered before.
        failed: Items that failed, by the class of their error.
        unknown: Ids of items that may have been done and billed, and are not sent again by themselves.
        tokens: Tokens used, as far as the relay says.
        images: Images made.
        requests: Requests sent, with those sent again.
        refusals: How many of them the relay refused for being too many.
        elapsed_s: Seconds since the run began.
        rate: Starts per second as learnt, or None.
        window: Requests in flight as learnt.
        stopped: Why it stopped before its end; "" when it did not.
        advice: What to do about each class of error.
    """

    done: int = 0
    skipped: int = 0
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
    advice: dict[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        counts = f"{self.done} answered, {sum(self.failed.values())} failed, {self.skipped} done before"
        lines = [f"{counts}; {self.tokens} tokens, {self.elapsed_s:.1f} s, {self.refusals} refusals"]
        for name, count in self.failed.most_common(_SHOWN):
            lines.append(f"  {count} x {name}: {self.advice.get(name, '')}")
        if self.unknown:
            shown = ", ".join(self.unknown[:_SHOWN]) + (" …" if len(self.unknown) > _SHOWN else "")
            lines.append(f"  {len(self.unknown)} of unknown outcome, not sent again unless asked for: {shown}")
        if self.stopped:
            lines.append(f"  stopped: {self.stopped}")
        return "\n".join(lines)


class BatchStoppedError(TutuError):
    """A run stopped before all its items were sent. What it was busy with was finished first.

    Attributes:
        reason: "error" (one of ``stop_on``), "failures" (more than ``max_failures``) or "budget".
        summary: The run in numbers.
    """

    def __init__(self, message: str, reason: Literal["error", "failures", "budget"], summary: Summary) -> None:
        super().__init__(message)
        self.reason = reason
        self.summary = summary

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.reason, self.summary)
