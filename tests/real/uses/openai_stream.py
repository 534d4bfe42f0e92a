"""The third use in the README, written with the openai package: tokens as they come, and a cut stream noticed."""

import asyncio
import base64
from pathlib import Path

from openai import APIError, AsyncOpenAI


async def main() -> None:
    data = base64.b64encode(Path("cat.jpg").read_bytes()).decode()
    content = [
        {"type": "text", "text": "What is in this image?"},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
    ]
    pieces: list[str] = []
    reason = usage = None
    async with AsyncOpenAI() as client:
        try:
            stream = await client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": content}],
                stream=True,
                stream_options={"include_usage": True},
            )
            async with stream:
                async for chunk in stream:
                    usage = chunk.usage or usage
                    for choice in chunk.choices or ():
                        reason = choice.finish_reason or reason
                        if choice.delta.content:
                            pieces.append(choice.delta.content)
                            print(choice.delta.content, end="", flush=True)
        except APIError as error:
            print("\nThe stream was cut. What came:", "".join(pieces), error)
            return
    if reason is None:  # The package ends a cut stream as if it were complete.
        print("\nThe stream was cut. What came:", "".join(pieces))
        return
    print("\n", reason, usage)


asyncio.run(main())
