"""Many images with openai-python as its cookbook shows it: one client, a semaphore, ``gather``."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

from openai import AsyncOpenAI, OpenAIError

from benchmarks.contenders import KEY, MODEL, question
from benchmarks.contenders.runs import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


def messages(path: Path) -> list[dict[str, Any]]:
    """Return the question about an image in a file."""
    return question(f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}")


class Cookbook:
    """64 at once."""

    width = AT_ONCE

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    async def answer(
        self,
        paths: Sequence[Path],
        done: Callable[[], None],
        limit: Mapping[str, Any],  # noqa: ARG002  (the protocol's)
    ) -> None:
        slots = asyncio.Semaphore(self.width)

        async def ask(path: Path) -> str | None:
            async with slots:
                answer = await client.chat.completions.create(model=MODEL, messages=messages(path))
                return answer.choices[0].message.content  # type: ignore[no-any-return,unused-ignore]

        async def describe(path: Path) -> None:
            try:
                text = await ask(path)
            except OpenAIError:
                return
            if text:
                done()

        async with AsyncOpenAI(api_key=KEY, base_url=self._base_url) as client:
            await asyncio.gather(*map(describe, paths))


class Narrow(Cookbook):
    """16 at once."""

    width = 16
