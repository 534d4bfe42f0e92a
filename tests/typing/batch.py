"""Uses runs of many items the way a typed program does. Only type-checked, never run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_type

from tutuclient import (
    AuthenticationError,
    BatchResult,
    BatchRun,
    BatchStoppedError,
    BatchSummary,
    Budget,
    InsufficientQuotaError,
    JournalError,
    TutuClient,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@dataclass
class Sight:
    name: str


async def map_texts(
    client: TutuClient, rows: AsyncIterator[dict[str, Any]], pairs: Iterator[tuple[str, bytes]], images: list[Path]
) -> None:
    run = client.map(images, "what?", model="gpt-4o", max_tokens=300)
    assert_type(run, BatchRun[str])
    async with run:
        async for result in run:
            assert_type(result, BatchResult[str])
            assert_type(result.value, str | None)
            assert_type(result.error, Exception | None)
            assert_type(result.outcome, Literal["done", "not_sent", "rejected", "unknown"])
            assert_type(result.usage, Usage | None)
            assert_type(result.images, list[Path])
    assert_type(run.summary(), BatchSummary)
    assert_type(await client.map(rows).gather(), list[BatchResult[str]])
    assert_type(client.map(pairs, "what?", response_format={"type": "json_object"}), BatchRun[str])
    assert_type(client.map(["a cat"], generate=True, journal="run/"), BatchRun[str])


async def map_values(client: TutuClient) -> None:
    run = client.map(
        ["a.png", b"bytes", [{"role": "user", "content": "hi"}], {"image": "b.png", "id": "b"}],
        "what?",
        response_format=Sight,
        concurrency="auto",
        rate="600/min",
        budget=Budget(tokens=5_000_000),
        journal=Path("run"),
        stop_on=(AuthenticationError, InsufficientQuotaError),
        max_failures=0.2,
        ordered=False,
        on_progress=print,
        on_exit="settle",
        timeout=60,
        detail="low",
        max_side=1024,
        max_wait=60,
        durability="synced",
        retry_failed=True,
        resend_unknown=False,
    )
    assert_type(run, BatchRun[Sight])
    try:
        for result in await run.gather():
            assert_type(result.value, Sight | None)
    except BatchStoppedError as stopped:
        assert_type(stopped.reason, Literal["error", "failures", "budget", "closed"])
        assert_type(stopped.summary, BatchSummary)
    except JournalError as error:
        assert_type(error.message, str)
