"""httpx with httpx-sse and the standard library's JSON: what a small script is written with."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

import httpx
from httpx_sse import aconnect_sse

from benchmarks.contenders import KEY, MODEL, QUESTION, question

if TYPE_CHECKING:
    from pathlib import Path


class HttpxSse:
    """One ``httpx.AsyncClient``, with room for as many connections as the workloads open."""

    def __init__(self, base_url: str) -> None:
        self._chat = f"{base_url}/chat/completions"
        self._images = f"{base_url}/images/generations"
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {KEY}"},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            timeout=600,
        )

    async def ask(self) -> str:
        return await self._text({"model": MODEL, "messages": question(), "max_tokens": 400})

    async def read(self) -> tuple[int, int]:
        chunks = characters = 0
        async with self._stream() as source:
            async for event in source.aiter_sse():
                if event.data != "[DONE]":
                    chunks += 1
                    characters += len(event.json()["choices"][0]["delta"].get("content") or "")
        return chunks, characters

    async def first(self) -> float:
        first = 0.0
        async with self._stream() as source:
            async for event in source.aiter_sse():
                text = "" if event.data == "[DONE]" else event.json()["choices"][0]["delta"].get("content")
                if text and not first:
                    first = time.perf_counter()
        return first

    async def draw(self) -> int:
        response = await self._client.post(self._images, json={"model": "gpt-image-1", "prompt": QUESTION})
        return len(response.json()["data"][0]["b64_json"])

    async def upload(self, path: Path) -> str:
        data = base64.b64encode(path.read_bytes()).decode()
        return await self._text({"model": MODEL, "messages": question(f"data:image/png;base64,{data}")})

    async def break_off(self) -> str:
        text = ""
        async with self._stream() as source:
            async for event in source.aiter_sse():
                if text := event.json()["choices"][0]["delta"].get("content") or "":
                    break
        return text

    async def aclose(self) -> None:
        await self._client.aclose()

    def _stream(self) -> Any:
        body = {"model": MODEL, "messages": question(), "stream": True}
        return aconnect_sse(self._client, "POST", self._chat, json=body)

    async def _text(self, body: dict[str, Any]) -> str:
        response = await self._client.post(self._chat, json=body)
        answer = response.json()
        text: str = answer["choices"][0]["message"]["content"]
        return text
