"""What a measurement is made of: a workload, the figures it gives, and the goals they are held against."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from benchmarks.contenders import Client, Contender

Scale: TypeAlias = Literal["full", "quick", "tiny"]


@dataclass(frozen=True)
class Figure:
    """One number of a workload; less is better.

    Attributes:
        key: What ``measure`` calls it.
        label: What it is, with its unit.
    """

    key: str
    label: str


@dataclass(frozen=True)
class Goal:
    """How good a figure of ours is meant to be.

    Attributes:
        figure: The figure's key.
        at_most: The largest ratio, or the largest value where ``against`` is None.
        against: The contender whose median is 1, or None.
        stretch: What would be better still.
        ours: Whose figure is judged.
    """

    figure: str
    at_most: float
    against: str | None = None
    stretch: float | None = None
    ours: str = "tutuclient"


@dataclass(frozen=True)
class Case:
    """One measurement: who, against which server, how much.

    Attributes:
        contender: Who is measured.
        origin: The server's address without a path.
        amount: How many of whatever the workload counts.
        scale: The run's size.
    """

    contender: Contender
    origin: str
    amount: int
    scale: Scale

    def url(self, route: str) -> str:
        """Return the base URL of a route of the server."""
        return f"{self.origin}/{route}/v1"

    def make(self, route: str) -> Client:
        """Create the contender's client for a route of the server."""
        return self.contender.make(self.url(route))


@dataclass(frozen=True)
class Workload:
    """Something to do, the same for every contender.

    Attributes:
        key: "W1" to "W8", the row of issue 4.
        part: Tells workloads of one key apart.
        title: What is done.
        figures: What is told of it, in this order.
        amounts: By scale: how many, for the fast contenders and for the slow ones.
        measure: Does it, in the worker; gives the figures by their keys. ``NotImplementedError`` says that the
            contender has nothing for it.
        goals: What the figures are held against.
        without: Contenders that are left out.
        once: One round is enough: the figures do not swing.
        local: The server has no part in it, so it is left out of a run over TLS.
        longest_s: Seconds that a worker may take.
        pinned: The worker keeps to one core.
    """

    key: str
    part: str
    title: str
    figures: tuple[Figure, ...]
    amounts: Mapping[Scale, tuple[int, int]]
    measure: Callable[[Case], Coroutine[None, None, dict[str, float]]]
    goals: tuple[Goal, ...] = ()
    without: frozenset[str] = field(default_factory=frozenset)
    once: bool = False
    local: bool = False
    longest_s: float = 600
    pinned: bool = True

    @property
    def name(self) -> str:
        """Key and part."""
        return f"{self.key} {self.part}".strip()

    def takes(self, contender: Contender) -> bool:
        """Return whether a contender takes part in it."""
        return contender.name not in self.without and (not contender.only or self.key in contender.only)


async def at_once(number: int, limit: int, job: Callable[[], Awaitable[object]]) -> None:
    """Run a job so many times, at most ``limit`` at once."""
    numbers = iter(range(number))

    async def work() -> None:
        for _ in numbers:
            await job()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(limit, number)):
            group.create_task(work())
