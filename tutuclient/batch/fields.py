"""The keywords of ``map``, in a module that loads nothing of a run: the client shows them in the signature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from tutuclient.resources.options import CallOptions
from tutuclient.types.chat import ParseFields

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from tutuclient.batch.result import BatchSummary, Budget

Durability: TypeAlias = Literal["written", "synced"]
OnExit: TypeAlias = Literal["settle", "cancel"]

# How closely images are looked at unless a run is told otherwise. To say so is to say nothing: it is the same run.
# Folders of runs are read by these, so another default needs another version of their format.
LOOKS: Final[dict[str, Any]] = {"detail": "high", "max_side": None}


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
