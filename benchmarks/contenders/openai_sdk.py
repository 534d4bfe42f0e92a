"""openai-python as its README shows it, over its default backend and over aiohttp."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

from openai import AsyncOpenAI, DefaultAioHttpClient, OpenAIError

from benchmarks.contenders import KEY, MODEL, QUESTION, question

if TYPE_CHECKING:
    from pathlib import Path


class OpenAI:
    """One ``AsyncOpenAI`` over its default backend."""

    def __init__(self, base_url: str, http_client: Any = None) -> None:
        self._client = AsyncOpenAI(api_key=KEY, base_url=base_url, http_client=http_client)

    async def ask(self) -> str:
        answer = await self._client.chat.completions.create(model=MODEL, messages=question(), max_tokens=400)
        return answer.choices[0].message.content or ""

    async def read(self) -> tuple[int, int]:
        chunks = characters = 0
        stream = await self._client.chat.completions.create(model=MODEL, messages=question(), stream=True)
        async for chunk in stream:
            chunks += 1
            characters += len(chunk.choices[0].delta.content or "")
        return chunks, characters

    async def first(self) -> float:
        first = 0.0
        stream = await self._client.chat.completions.create(model=MODEL, messages=question(), stream=True)
        async for chunk in stream:
            if not first and chunk.choices[0].delta.content:
                first = time.perf_counter()
        return first

    async def draw(self) -> int:
        answer = await self._client.images.generate(model="gpt-image-1", prompt=QUESTION)
        return len(answer.data[0].b64_json or "")

    async def upload(self, path: Path) -> str:
        data = base64.b64encode(path.read_bytes()).decode()
        messages = question(f"data:image/png;base64,{data}")
        answer = await self._client.chat.completions.create(model=MODEL, messages=messages)
        return answer.choices[0].message.content or ""

    async def break_off(self) -> str:
        stream = await self._client.chat.completions.create(model=MODEL, messages=question(), stream=True)
        text = ""
        async for chunk in stream:
            if text := chunk.choices[0].delta.content or "":
                break
        return text

    async def aclose(self) -> None:
        await self._client.close()


class OpenAIOverAiohttp(OpenAI):
    """The same over ``DefaultAioHttpClient``."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url, DefaultAioHttpClient())


class Asker:
    """Asks as the README shows, for the faults: with a limit of time, and nothing turned off."""

    error: type[Exception] = OpenAIError

    def __init__(self, base_url: str, timeout_s: float) -> None:
        self._client = AsyncOpenAI(api_key=KEY, base_url=base_url, timeout=timeout_s)

    async def whole(self, model: str) -> Any:
        """Send a call; return what the client returns."""
        return await self._client.chat.completions.create(model=model, messages=[{"role": "user", "content": QUESTION}])

    async def streamed(self, model: str) -> str:
        """Read a stream to its end; return its text. What is no chunk of text is skipped."""
        stream = await self._client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": QUESTION}], stream=True
        )
        pieces = []
        async for chunk in stream:
            choices = getattr(chunk, "choices", None)
            delta = choices[0].delta if choices else None
            pieces.append((delta.content if delta else None) or "")
        return "".join(pieces)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()
