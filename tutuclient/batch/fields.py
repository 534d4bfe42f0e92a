"""The keywords of ``map``, in a module that loads nothing of a run: the client shows them in the signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from tutuclient.resources.options import CallOptions
from tutuclient.types.chat import ParseFields

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from tutuclient.batch.result import BatchSummary, Budget

Durability: TypeAlias = Literal["written", "synced"]
OnExit: TypeAlias = Literal["settle", "cancel"]


class MapFields(ParseFields, CallOptions, total=False):
    """The keywords of ``map``, which explains them."""

    model: str
    edit: bool
    generate: bool
    detail: Literal["auto", "low", "high"] | None
    max_side: int | None
    concurrency: int | Literal["auto"]
    rate: str | float | None
    budget: Budget | None
    journal: str | PathLike[str] | None
    durability: Durability
    max_wait: float
    allow_change: bool
    stop_on: type[Exception] | tuple[type[Exception], ...]
    max_failures: float | None
    ordered: bool
    dedupe: bool
    progress: bool
    on_progress: Callable[[BatchSummary], object] | None
    on_exit: OnExit | None
    resend_unknown: bool
    retry_failed: bool
