"""Runs without a network: the call is a function of the test."""

from __future__ import annotations

import asyncio
import resource
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tutuclient.batch.answering import Call
from tutuclient.batch.items import Item, Reader, Task
from tutuclient.batch.lines import Record, read
from tutuclient.batch.run import BatchRun, Plan
from tutuclient.pace import PaceState
from tutuclient.testing import fails
from tutuclient.transport.admission import answering_items
from tutuclient.types.chat import ChatChoice, ChatCompletion, ChatMessage, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
    from pathlib import Path


def answer(text: str, tokens: int = 10) -> ChatCompletion:
    choice = ChatChoice(message=ChatMessage(content=text), finish_reason="stop")
    return ChatCompletion(choices=[choice], usage=Usage(prompt_tokens=tokens, completion_tokens=0, total_tokens=tokens))


async def echo(item: Item) -> ChatCompletion:
    await asyncio.sleep(0)
    return answer(f"about {item.id}")


def ordering(send: Callable[[Item], Awaitable[ChatCompletion]] = echo) -> Callable[[Item], Awaitable[ChatCompletion]]:
    """Return a call that tells the run first that it was admitted, and orders an image, as the client does."""

    async def order(item: Item) -> ChatCompletion:
        if (asked := answering_items.get()) is not None:
            asked.admitted()
            await asked.before_order()
        return await send(item)

    return order


def pairs(count: int) -> list[tuple[str, bytes]]:
    """Return items that have ids, and images that nobody reads."""
    return [(f"item{number}", b"x") for number in range(count)]


def records(folder: Path) -> list[Record]:
    """Return what the journal of a run says of its items."""
    return [record for record in read(folder / "journal.jsonl") if record.k != "ev"]


@contextmanager
def full_disk(size_bytes: int) -> Iterator[None]:
    """Limit how large files may grow: the system refuses to write more, as it does when a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


class Bucket:
    """A relay's token bucket, which answers a bare 429 when it is empty."""

    def __init__(self, rate: float, size: float) -> None:
        self.rate, self.size = rate, size
        self.level, self.at = size, time.monotonic()
        self.refused = 0

    def __call__(self, answer: Any) -> Any:
        now = time.monotonic()
        self.level, self.at = min(self.size, self.level + (now - self.at) * self.rate), now
        if self.level < 1:
            self.refused += 1
            return fails(429, "too many")
        self.level -= 1
        return answer


def pace() -> PaceState:
    return PaceState(window=64, rate=None, refusals=0, in_flight=0, waiting=0, gate=0.0)


def run_of(
    items: Iterable[Any] | AsyncIterable[Any],
    send: Callable[[Item], Awaitable[ChatCompletion]] = echo,
    *,
    task: Task = "ask",
    workers: Any = 4,
    **plan: Any,
) -> BatchRun[str]:
    made: Plan[str] = Plan(task, Call(send, lambda completion: completion.text), pace, 64, workers=workers, **plan)
    return BatchRun(items, Reader(task, "what?", {"model": "m"}), made)
