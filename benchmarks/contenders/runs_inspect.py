"""Many images with inspect-ai's model, whose adaptive connections are on by default; a task a file."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, get_model

from benchmarks.contenders import KEY, MODEL, QUESTION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


class Adaptive:
    """``generate`` for each image; the model admits them itself."""

    def __init__(self, base_url: str) -> None:
        self._model = get_model(f"openai/{MODEL}", base_url=base_url, api_key=KEY, responses_api=False)

    async def answer(
        self,
        paths: Sequence[Path],
        done: Callable[[], None],
        limit: Mapping[str, Any],  # noqa: ARG002  (the protocol's)
    ) -> None:
        async def describe(path: Path) -> None:
            data = base64.b64encode(path.read_bytes()).decode()  # It takes no path from outside its own evaluations.
            image = ContentImage(image=f"data:image/jpeg;base64,{data}", detail="high")
            content = [ContentText(text=QUESTION), image]
            output = await self._model.generate([ChatMessageUser(content=content)])
            if output.completion:
                done()

        await asyncio.gather(*map(describe, paths), return_exceptions=True)
