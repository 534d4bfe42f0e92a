"""litellm, asking an OpenAI-compatible server as its documentation shows; its price list is read from disk."""

from __future__ import annotations

import base64
import os
import time
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import KEY, MODEL, QUESTION, question

if TYPE_CHECKING:
    from pathlib import Path

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # After the setting: it would fetch a price list over the network while it is imported.


class Litellm:
    """The module's functions; it keeps its clients itself."""

    def __init__(self, base_url: str) -> None:
        self._where = {"api_base": base_url, "api_key": KEY}

    async def ask(self) -> str:
        answer = await self._complete(question(), max_tokens=400)
        return answer.choices[0].message.content or ""

    async def read(self) -> tuple[int, int]:
        chunks = characters = 0
        async for chunk in await self._complete(question(), stream=True):
            chunks += 1
            characters += len(chunk.choices[0].delta.content or "")
        return chunks, characters

    async def first(self) -> float:
        first = 0.0
        async for chunk in await self._complete(question(), stream=True):
            if not first and chunk.choices[0].delta.content:
                first = time.perf_counter()
        return first

    async def draw(self) -> int:
        answer = await litellm.aimage_generation(prompt=QUESTION, model="openai/gpt-image-1", **self._where)
        return len(answer.data[0].b64_json or "")

    async def upload(self, path: Path) -> str:
        data = base64.b64encode(path.read_bytes()).decode()
        answer = await self._complete(question(f"data:image/png;base64,{data}"))
        return answer.choices[0].message.content or ""

    async def break_off(self) -> str:
        text = ""
        async for chunk in await self._complete(question(), stream=True):
            if text := chunk.choices[0].delta.content or "":
                break
        return text

    async def aclose(self) -> None:
        """Close nothing: what litellm keeps serves every later call, and closed it serves none."""

    async def _complete(self, messages: list[dict[str, Any]], **fields: Any) -> Any:
        return await litellm.acompletion(model=f"openai/{MODEL}", messages=messages, **self._where, **fields)
