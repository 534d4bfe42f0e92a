"""Many images with litellm: ``acompletion`` under ``gather``, and its own ``batch_completion`` over threads."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import KEY, MODEL
from benchmarks.contenders.runs import AT_ONCE
from benchmarks.contenders.runs_openai import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # After the setting: it would fetch a price list over the network while it is imported.

litellm.suppress_debug_info = True


class Gather:
    """``acompletion``, 64 at once."""

    def __init__(self, base_url: str) -> None:
        self._where = {"model": f"openai/{MODEL}", "api_base": base_url, "api_key": KEY}

    async def answer(
        self,
        paths: Sequence[Path],
        done: Callable[[], None],
        limit: Mapping[str, Any],  # noqa: ARG002  (the protocol's)
    ) -> None:
        slots = asyncio.Semaphore(AT_ONCE)

        async def describe(path: Path) -> None:
            async with slots:
                answer = await litellm.acompletion(messages=messages(path), **self._where)
            if answer.choices[0].message.content:
                done()

        await asyncio.gather(*map(describe, paths), return_exceptions=True)


class Batch(Gather):
    """``batch_completion``, which takes all messages at once and keeps 100 threads."""

    async def answer(
        self,
        paths: Sequence[Path],
        done: Callable[[], None],
        limit: Mapping[str, Any],  # noqa: ARG002  (the protocol's)
    ) -> None:
        asked = [messages(path) for path in paths]
        for answer in await asyncio.to_thread(litellm.batch_completion, messages=asked, **self._where):
            if not isinstance(answer, Exception) and answer.choices[0].message.content:
                done()
