"""Who answers many images at once, for ``fanout``; each in the way its own documentation shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from benchmarks.contenders import CONTENDERS, Contender

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.workload import Case

AT_ONCE = 64
"""How many at once where a contender has to be told, and its documentation does not tell."""

TYPED, MAP, JOURNAL, NARROW = "map, limit typed", "map", "map, journal", "map, journal, 32 at once"
WORKERS, RECIPE = "32 workers", "one task a file"
FITTED, THUMBNAIL = "map, max_side", "thumbnail in to_thread"
OPENAI_64, OPENAI_16 = "openai, 64 at once", "openai, 16 at once"


class Runner(Protocol):
    """Something that answers many images of a server at ``base_url``; made within the running loop."""

    def __init__(self, base_url: str) -> None: ...

    async def answer(self, paths: Sequence[Path], done: Callable[[], None], limit: Mapping[str, Any]) -> None:
        """Send a question about every image; a failure stops none of the others.

        Args:
            paths: The files.
            done: Called for each image that was answered.
            limit: What a user who knows the relay would type: ``rate`` in requests a second, or ``concurrency``.
        """


def runner(case: Case, route: str) -> Runner:
    """Return the contender's runner for a route of the server."""
    return cast("Runner", case.make(route))


_OURS: tuple[tuple[str, ...], tuple[str, ...]] = (("tutuclient",), (".",))
_OPENAI: tuple[tuple[str, ...], tuple[str, ...]] = (("openai",), ("openai",))
_LIMITS, _MANY = "limits", "many"

RUNS = {
    each.name: each
    for each in (
        Contender(TYPED, "runs_ours:Typed", *_OURS, only=(_LIMITS,)),
        Contender(MAP, "runs_ours:Map", *_OURS, only=(_LIMITS, _MANY, "lazy")),
        Contender(JOURNAL, "runs_ours:MapWithJournal", *_OURS, only=(_MANY, "lazy", "kills")),
        Contender(NARROW, "runs_ours:NarrowWithJournal", *_OURS, only=(_MANY,)),
        Contender(WORKERS, "runs_ours:Workers", *_OURS, only=(_MANY,)),
        Contender(RECIPE, "runs_ours:Recipe", *_OURS, only=(_LIMITS, _MANY)),
        Contender(OPENAI_64, "runs_openai:Cookbook", *_OPENAI, only=(_LIMITS, _MANY)),
        Contender(OPENAI_16, "runs_openai:Narrow", *_OPENAI, only=(_LIMITS,)),
        Contender(
            "async-batch-llm",
            "runs_batch_llm:Batch",
            ("async_batch_llm", "openai"),
            ("async-batch-llm[openai]",),
            slow=True,
            only=(_LIMITS, _MANY),
        ),
        Contender(
            "async-batch-llm, limit typed",
            "runs_batch_llm:Typed",
            ("async_batch_llm", "openai"),
            ("async-batch-llm[openai]",),
            only=(_LIMITS,),
        ),
        Contender("litellm, gather", "runs_litellm:Gather", ("litellm",), ("litellm",), True, (_LIMITS, _MANY)),
        Contender("litellm, batch", "runs_litellm:Batch", ("litellm",), ("litellm",), True, (_LIMITS, _MANY)),
        Contender(
            "inspect-ai", "runs_inspect:Adaptive", ("inspect_ai", "openai"), ("inspect-ai", "openai"), True,
            (_LIMITS, _MANY),
        ),
        Contender(FITTED, "runs_ours:Typed", *_OURS, only=("resize",)),
        Contender(THUMBNAIL, "resizing:Thumbnail", ("tutuclient", "PIL"), (".[images]",), only=("resize",)),
        Contender("resize in to_thread", "resizing:Whole", ("tutuclient", "PIL"), (".[images]",), only=("resize",)),
        Contender("no Python in threads", "resizing:Floor", ("tutuclient",), (".",), only=("resize",)),
    )
}  # fmt: skip
"""Every contender of ``fanout`` by its name, in the order of the tables."""

EVERY = {**CONTENDERS, **RUNS}
"""Every contender there is."""
