"""The table of faults, and how one gets into it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web

from tutuclient.testing.exchange import Answer, Played

Play = Callable[..., Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Fault:
    """A fault with a name.

    Attributes:
        name: What ``server.faults`` and ``raw_server`` know it by.
        group: "connecting", "before the answer", "body", "stream", "status" or "reuse".
        description: One line on what happens.
        options: Its options, with their defaults.
        reads_body: Whether the request's body is read before it begins.
    """

    name: str
    group: str
    description: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reads_body: bool = True
    play: Play | None = field(default=None, repr=False)


FAULTS: dict[str, Fault] = {}
"""Every fault by its name."""


def answer(name: str, **options: Any) -> Answer:
    """Build the answer that plays a fault of ``FAULTS``, with some of its options.

    Raises:
        ValueError: There is no such fault or option, or ``raw_server`` is needed for it.
    """
    fault = known(name, options)
    if fault.play is None:
        raise ValueError(f"the fault {name!r} is one of connecting: play it with raw_server({name!r})")
    return Played(partial(fault.play, **options), reads_body=fault.reads_body)


def known(name: str, options: Mapping[str, Any]) -> Fault:
    """Return the fault of a name.

    Raises:
        ValueError: There is no such fault, or it has no such option.
    """
    fault = FAULTS.get(name)
    if fault is None:
        raise ValueError(f"no fault {name!r}; there are {', '.join(FAULTS)}")
    if strange := sorted(set(options) - set(fault.options)):
        known = ", ".join(fault.options) or "none"
        raise ValueError(f"the fault {name!r} has no option {strange[0]!r}; its options: {known}")
    return fault


def add(name: str, group: str, description: str, play: Play, *, reads_body: bool = True) -> None:
    """Register a fault; the keyword-only parameters of ``play`` are its options."""
    parameters = inspect.signature(play).parameters.values()
    options = {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
    FAULTS[name] = Fault(name, group, description, options, reads_body, play)


def fault(group: str, *, reads_body: bool = True) -> Callable[[Play], Play]:
    """Register a function as the fault of its name; its docstring's first line describes it."""

    def register(play: Play) -> Play:
        description = inspect.getdoc(play) or ""
        add(getattr(play, "__name__", "").lstrip("_"), group, description.splitlines()[0], play, reads_body=reads_body)
        return play

    return register
