"""The second use in the README, written with the openai package: a folder of images, a rate, a file to go on from."""

import asyncio
import base64
import json
import mimetypes
import os
import time
from pathlib import Path

from openai import APIError, AsyncOpenAI, RateLimitError

PROMPT = "这张图片有什么"
JOURNAL = Path("run.jsonl")
INTERVAL_S = 60 / 600
PATIENCE_S = 120


class Pace:
    def __init__(self) -> None:
        self.next = 0.0

    async def turn(self) -> None:
        now = time.monotonic()
        self.next = max(now, self.next + INTERVAL_S)
        await asyncio.sleep(self.next - now)


def answered() -> set[tuple[str, int, int]]:
    """Read what an earlier start has answered; the last line may be torn."""
    done: set[tuple[str, int, int]] = set()
    if JOURNAL.exists():
        for line in JOURNAL.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if record["error"] is None:
                done.add((record["id"], record["size"], record["mtime"]))
    return done


async def ask(client: AsyncOpenAI, pace: Pace, path: Path) -> str:
    data = base64.b64encode(await asyncio.to_thread(path.read_bytes)).decode()
    kind = mimetypes.guess_type(path.name)[0] or "image/jpeg"
    content = [
        {"type": "text", "text": PROMPT},
        {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}},
    ]
    end = time.monotonic() + PATIENCE_S
    while True:
        await pace.turn()
        try:
            answer = await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": content}]
            )
        except RateLimitError as error:
            if error.code == "insufficient_quota" or time.monotonic() > end:
                raise
            await asyncio.sleep(float(error.response.headers.get("retry-after", 1)))
        else:
            return answer.choices[0].message.content or ""


async def worker(client: AsyncOpenAI, pace: Pace, queue: list[Path], counts: dict[str, int], fd: int) -> None:
    while queue:
        path = queue.pop()
        stat = path.stat()
        record = {"id": str(path), "size": stat.st_size, "mtime": stat.st_mtime_ns, "text": None, "error": None}
        try:
            record["text"] = await ask(client, pace, path)
            counts["answered"] += 1
        except (APIError, OSError) as error:
            record["error"] = repr(error)
            counts["failed"] += 1
        os.write(fd, json.dumps(record).encode() + b"\n")
        print(record["id"], record["text"] or record["error"])


async def main() -> None:
    done = answered()
    queue = [
        path
        for path in sorted(Path("images").rglob("*.jpg"), reverse=True)
        if (str(path), path.stat().st_size, path.stat().st_mtime_ns) not in done
    ]
    counts = {"answered": 0, "failed": 0}
    fd = os.open(JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    async with AsyncOpenAI() as client, asyncio.TaskGroup() as group:
        pace = Pace()
        for _ in range(32):
            group.create_task(worker(client, pace, queue, counts, fd))
    os.close(fd)
    print(counts)


asyncio.run(main())
