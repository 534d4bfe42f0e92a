"""aiohttp and msgspec in the tightest loop with the same visible result: the practical ceiling.

No guards: no retries, no limits, no deadlines, no word about errors, and nothing is decoded that is not read. Lines
are split a whole read at a time, and a line longer than a read is joined once.
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import aiohttp

from benchmarks.contenders import KEY, MODEL, QUESTION, question
from benchmarks.contenders.fields import decode_chunk, decode_completion, decode_pictures, encode

if TYPE_CHECKING:
    from pathlib import Path


class ByHand:
    """A session, and what a careful person writes around it."""

    def __init__(self, base_url: str) -> None:
        self._chat = f"{base_url}/chat/completions"
        self._images = f"{base_url}/images/generations"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        )

    async def ask(self) -> str:
        body = encode({"model": MODEL, "messages": question(), "max_tokens": 400})
        async with self._session.post(self._chat, data=body) as response:
            return decode_completion(await response.read()).choices[0].message.content or ""

    async def read(self) -> tuple[int, int]:
        chunks = characters = 0
        cut: list[bytes] = []
        body = encode({"model": MODEL, "messages": question(), "stream": True})
        async with self._session.post(self._chat, data=body) as response:
            while piece := await response.content.readany():
                if b"\n" not in piece:
                    cut.append(piece)
                    continue
                lines = piece.split(b"\n")
                if cut:
                    lines[0] = b"".join([*cut, lines[0]])
                cut = [lines.pop()]
                for line in lines:
                    if line.startswith(b"data: {"):
                        chunk = decode_chunk(line[6:])
                        chunks += 1
                        characters += len(chunk.choices[0].delta.content or "")
        return chunks, characters

    async def first(self) -> float:
        first = 0.0
        rest = b""
        body = encode({"model": MODEL, "messages": question(), "stream": True})
        async with self._session.post(self._chat, data=body) as response:
            while piece := await response.content.readany():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {") and decode_chunk(line[6:]).choices[0].delta.content and not first:
                        first = time.perf_counter()
        return first

    async def draw(self) -> int:
        body = encode({"model": "gpt-image-1", "prompt": QUESTION})
        async with self._session.post(self._images, data=body) as response:
            return len(decode_pictures(await response.read()).data[0].b64_json or "")

    async def upload(self, path: Path) -> str:
        data = base64.b64encode(path.read_bytes()).decode()
        body = encode({"model": MODEL, "messages": question(f"data:image/png;base64,{data}")})
        async with self._session.post(self._chat, data=body) as response:
            return decode_completion(await response.read()).choices[0].message.content or ""

    async def break_off(self) -> str:
        body = encode({"model": MODEL, "messages": question(), "stream": True})
        async with self._session.post(self._chat, data=body) as response:
            rest = b""
            while piece := await response.content.readany():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {") and (text := decode_chunk(line[6:]).choices[0].delta.content):
                        return text
        return ""

    async def aclose(self) -> None:
        await self._session.close()
