"""The first use in the README, written with the openai package: an answer and a stream for browsers that may leave.

Left out, as most programs leave it out, is what ``sse`` does besides: heartbeats, a status for an error before the
first token, and no second call for an ``EventSource`` that reconnects.
"""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from openai import APIError, AsyncOpenAI
from openai.types.chat import ChatCompletion

client = AsyncOpenAI(timeout=120)
slots = asyncio.Semaphore(100)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    async with client:
        yield


app = FastAPI(lifespan=lifespan)
Photo = Annotated[bytes, Body(media_type="image/jpeg")]


def question(photo: bytes) -> list[dict[str, object]]:
    if not photo.startswith(b"\xff\xd8"):
        raise HTTPException(400, "the image is no JPEG")
    url = f"data:image/jpeg;base64,{base64.b64encode(photo).decode()}"
    parts = [{"type": "text", "text": "What is in this image?"}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


async def left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@app.post("/describe")
async def describe(request: Request, photo: Photo) -> ChatCompletion:
    messages = question(photo)
    async with slots:
        create = client.chat.completions.create(model="gpt-4o", messages=messages, max_tokens=400)
        asking, leaving = asyncio.create_task(create), asyncio.create_task(left(request))
        try:
            await asyncio.wait({asking, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise HTTPException(499)
            return asking.result()
        except APIError as error:
            raise HTTPException(502, {"error": str(error)}) from error
        finally:
            asking.cancel()
            leaving.cancel()


@app.post("/narrate")
async def narrate(photo: Photo) -> StreamingResponse:
    messages = question(photo)

    async def events() -> AsyncGenerator[str, None]:
        reason = None
        try:
            async with (
                slots,
                await client.chat.completions.create(model="gpt-4o", messages=messages, stream=True) as stream,
            ):
                async for chunk in stream:
                    for choice in chunk.choices:
                        reason = choice.finish_reason or reason
                        if choice.delta.content:
                            yield f"data: {json.dumps(choice.delta.content)}\n\n"
            if reason is None:
                yield 'event: error\ndata: "the stream was cut"\n\n'
        except APIError as error:
            yield f"event: error\ndata: {json.dumps(str(error))}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
