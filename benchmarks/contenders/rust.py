"""pyreqwest, Rust's reqwest for Python, with msgspec for the JSON. Its Rust threads' time counts as its own.

Streams are read without its buffer, which gives out nothing before 64 KiB have come: tokens could not be shown.
"""

from __future__ import annotations

import base64
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pyreqwest.client import ClientBuilder

from benchmarks.contenders import KEY, MODEL, QUESTION, question
from benchmarks.contenders.fields import decode_chunk, decode_completion, decode_pictures, encode

if TYPE_CHECKING:
    from pathlib import Path


class Pyreqwest:
    """One ``Client``."""

    def __init__(self, base_url: str) -> None:
        self._chat = f"{base_url}/chat/completions"
        self._images = f"{base_url}/images/generations"
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        self._client = ClientBuilder().default_headers(headers).timeout(timedelta(seconds=600)).build()

    async def ask(self) -> str:
        body = encode({"model": MODEL, "messages": question(), "max_tokens": 400})
        return decode_completion(await self._post(self._chat, body)).choices[0].message.content or ""

    async def read(self) -> tuple[int, int]:
        chunks = characters = 0
        cut: list[bytes] = []
        async with self._stream() as response:
            reader = response.body_reader
            while piece := await reader.read_chunk():
                data = piece.to_bytes()
                if b"\n" not in data:
                    cut.append(data)
                    continue
                lines = data.split(b"\n")
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
        async with self._stream() as response:
            reader = response.body_reader
            while piece := await reader.read_chunk():
                *lines, rest = (rest + piece.to_bytes()).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {") and decode_chunk(line[6:]).choices[0].delta.content and not first:
                        first = time.perf_counter()
        return first

    async def draw(self) -> int:
        body = encode({"model": "gpt-image-1", "prompt": QUESTION})
        return len(decode_pictures(await self._post(self._images, body)).data[0].b64_json or "")

    async def upload(self, path: Path) -> str:
        data = base64.b64encode(path.read_bytes()).decode()
        body = encode({"model": MODEL, "messages": question(f"data:image/png;base64,{data}")})
        return decode_completion(await self._post(self._chat, body)).choices[0].message.content or ""

    async def break_off(self) -> str:
        async with self._stream() as response:
            rest = b""
            while piece := await response.body_reader.read_chunk():
                *lines, rest = (rest + piece.to_bytes()).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: {") and (text := decode_chunk(line[6:]).choices[0].delta.content):
                        return text
        return ""

    async def aclose(self) -> None:
        await self._client.close()

    async def _post(self, url: str, body: bytes) -> Any:
        response = await self._client.post(url).body_bytes(body).build().send()
        return await response.bytes()

    def _stream(self) -> Any:
        body = encode({"model": MODEL, "messages": question(), "stream": True})
        return self._client.post(self._chat).body_bytes(body).streamed_read_buffer_limit(0).build_streamed()
