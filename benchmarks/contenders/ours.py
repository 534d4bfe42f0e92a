"""Tutuclient as its README shows it: defaults, all guards on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import KEY, MODEL, QUESTION, question
from tutuclient import TutuClient, TutuError, user

if TYPE_CHECKING:
    from pathlib import Path


class Tutuclient:
    """One ``TutuClient``."""

    def __init__(self, base_url: str) -> None:
        self._client = TutuClient(KEY, base_url)

    async def ask(self) -> str:
        answer = await self._client.chat.completions.create(model=MODEL, messages=question(), max_tokens=400)
        return answer.choices[0].message.content or ""

    async def read(self) -> tuple[int, int]:
        chunks = characters = 0
        async with self._client.chat.completions.stream(model=MODEL, messages=question()) as stream:
            async for chunk in stream:
                chunks += 1
                characters += len(chunk.choices[0].delta.content or "")
        return chunks, characters

    async def first(self) -> float:
        first = 0.0
        async with self._client.chat.completions.stream(model=MODEL, messages=question()) as stream:
            async for chunk in stream:
                if not first and chunk.choices[0].delta.content:
                    first = time.perf_counter()
        return first

    async def draw(self) -> int:
        answer = await self._client.images.generate(model="gpt-image-1", prompt=QUESTION)
        return len(answer.data[0].b64_json or "")

    async def upload(self, path: Path) -> str:
        answer = await self._client.analyze(path, QUESTION, model=MODEL)
        return answer.choices[0].message.content or ""

    async def break_off(self) -> str:
        stream = await self._client.chat.completions.create(model=MODEL, messages=question(), stream=True)
        text = ""
        async for chunk in stream:
            if text := chunk.choices[0].delta.content or "":
                break
        return text

    async def aclose(self) -> None:
        await self._client.aclose()


class Asker:
    """Asks as the README shows, for the faults: with a limit of time, and nothing turned off."""

    error: type[Exception] = TutuError

    def __init__(self, base_url: str, timeout_s: float) -> None:
        self._client = TutuClient(KEY, base_url, timeout=timeout_s)

    async def whole(self, model: str) -> Any:
        """Send a call; return what the client returns."""
        return await self._client.chat.completions.create(model=model, messages=[user(QUESTION)])

    async def streamed(self, model: str) -> str:
        """Read a stream to its end; return its text."""
        async with self._client.chat.completions.stream(model=model, messages=[user(QUESTION)]) as stream:
            return "".join([piece async for piece in stream.text()])

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()
