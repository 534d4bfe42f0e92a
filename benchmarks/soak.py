"""Many calls at once under mixed faults: is anything lost, does memory stay flat, is anything left open?

``python -m benchmarks.soak [--calls 100000] [--concurrency 200] [--faults 0.3]`` runs the relay of
``tutuclient.testing`` in a process of its own, on another core where there is one. A share of the requests meets a
fault of ``FAULTS``, chosen by chance; all others are answered with the number that the question carries. Half of the
calls are whole, half streamed. Every item must end in its own number or in an error of ours; memory is compared
between the first third and the last; at the end nobody holds a task, a slot, a connection or a file. The exit code is
1 when one of these does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import random
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutuclient import RetryPolicy, Timeout, TutuClient, TutuError, __version__, user

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("status", {"status": status}) for status in (500, 502, 503, 504, 520, 524, 529)),
    *(("status", {"status": status}) for status in (400, 401, 403, 404, 413, 422)),
    *((name, {}) for name in ("reset_after_request", "fin_after_request", "half_status_line", "half_headers")),
    *((name, {}) for name in ("garbage", "two_lengths", "early_413", "html", "gzip_cut")),
    *((name, {"seconds": 1.0}) for name in ("no_answer", "bad_chunk_size", "stalled_body", "stalled_stream")),
    *((name, {}) for name in ("short_body", "whole_json_but_short", "chunked_without_end", "gzip_label_on_plain")),
    *((name, {"pause": 0.001}) for name in ("reset_mid_body", "reset_mid_stream", "fin_mid_stream")),
    *((name, {}) for name in ("empty_body", "plain_text", "json_null", "json_list", "broken_json", "choices_null")),
    *((name, {}) for name in ("ok_with_error_object", "ok_with_error_string", "success_false", "deep_nesting")),
    *((name, {}) for name in ("clean_end_without_finish", "error_frame_first", "error_frame_middle", "error_event")),
    *((name, {}) for name in ("error_without_data_prefix", "broken_json_frame", "empty_stream", "done_only")),
    ("huge_error_body", {"size": 2**17}),
    ("silent_stream", {"seconds": 0.5}),
)
"""What the faulty share meets: quick faults, and slow ones for a second at most."""

# Refusals come from a limit, as a relay's do, and not by chance: a client cannot tell chance from a limit that sinks
# with every request less, so that it would end at a crawl.
REFUSALS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 429, "retry_after": 0.05}),
    ("empty_429", {}),
)
RATE = 200.0
"""Requests a second that the relay admits, and a quarter of a second's at once."""

FLAT = 1.25
"""How much larger memory may be in the last third than in the first."""

_TIMEOUT = Timeout(total=20, connect=5, first_token=0.8, idle=0.8)
_RETRY = RetryPolicy(max_retries=4, wait_initial=0.02, wait_max=0.1)


# --- the relay ------------------------------------------------------------------------------------------------------


def _serve(conversation: Connection, share: float, seed: int) -> None:
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(0, cores[1:])
    asyncio.run(_relay(conversation, share, seed))


async def _relay(conversation: Connection, share: float, seed: int) -> None:
    from tutuclient.testing import Recorded, Scripted, says, serve  # noqa: PLC0415  (in the relay's process only)
    from tutuclient.testing.faults import answer  # noqa: PLC0415  (as above)

    dice = random.Random(seed)
    faulty = 0
    level, at = RATE / 4, time.monotonic()

    def choose(request: Recorded) -> Any:
        nonlocal faulty, level, at
        server.requests.clear()  # Its memory of them would grow.
        server.answers(choose)
        now = time.monotonic()
        level, at = min(RATE / 4, level + (now - at) * RATE), now
        if level < 1:
            name, options = dice.choice(REFUSALS)
            return answer(name, **options)
        level -= 1
        if dice.random() < share:
            faulty += 1
            name, options = dice.choice(FAULTS)
            return answer(name, **options)
        return says(json.loads(request.body)["messages"][0]["content"])

    async with serve() as server:
        # Each gives its place to the next when its request has been read; one whose client leaves before is used up.
        choices: list[Scripted] = [choose] * 10_000
        server.answers(*choices)
        conversation.send(server.base_url)
        await asyncio.to_thread(conversation.recv)
        conversation.send(faulty)


# --- the client -----------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What came of a run.

    Attributes:
        calls: How many were made.
        seconds: How long it took.
        own: How many ended in their own answer.
        errors: The others, by class and outcome.
        lost: What must not be: foreign answers, foreign exceptions.
        attempts: Requests sent, retries included.
        memory_mib: The process's memory over time, in MiB.
        left: What was still held at the end, by name; empty is right.
    """

    calls: int = 0
    seconds: float = 0.0
    own: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    attempts: int = 0
    faulty: int = 0
    memory_mib: list[float] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)

    @property
    def thirds(self) -> tuple[float, float]:
        """The median memory of the first and of the last third, in MiB; the warm-up (a tenth) does not count."""
        warm = self.memory_mib[len(self.memory_mib) // 10 :]
        third = max(1, len(warm) // 3)
        return sorted(warm[:third])[third // 2], sorted(warm[-third:])[third // 2]

    @property
    def flat(self) -> bool:
        """Whether memory stayed where it was."""
        first, last = self.thirds
        return last < first * FLAT + 2


async def soak(base_url: str, calls: int, concurrency: int) -> Report:
    """Run ``calls`` calls, ``concurrency`` at a time."""
    report = Report(calls=calls)
    numbers = iter(range(calls))
    files = _open_files()
    began = time.perf_counter()
    async with TutuClient("sk-soak", base_url, timeout=_TIMEOUT, retry=_RETRY, max_concurrency=concurrency) as client:
        watching = asyncio.create_task(_watch_memory(report))
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(_work(client, numbers, report))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        report.seconds = time.perf_counter() - began
        await asyncio.sleep(0.05)
        pool = client._transport.pool  # noqa: SLF001  (to count what is held)
        if pool is not None:
            report.left["slots"] = pool.slots.total - pool.slots.free
            report.left["acquired connections"] = sum(len(each._acquired) for each in pool.connectors)  # noqa: SLF001  (aiohttp tells nobody what is in use)
    await asyncio.sleep(0.1)
    gc.collect()
    report.left["tasks"] = len(asyncio.all_tasks()) - 1
    report.left["files"] = max(0, _open_files() - files)
    report.left = {name: number for name, number in report.left.items() if number}
    return report


async def _work(client: TutuClient, numbers: Any, report: Report) -> None:
    for number in numbers:
        try:
            text, attempts = await _ask(client, number)
        except TutuError as error:
            report.errors[f"{type(error).__name__} ({error.outcome})"] += 1
            report.attempts += error.attempts
            if not str(error) or error.attempts < 1:
                report.lost.append(f"{number}: an error that says nothing: {error!r}")
        except Exception as error:  # noqa: BLE001  (that is what must not be)
            report.lost.append(f"{number}: {error!r}")
        else:
            report.attempts += attempts
            if text == f"item {number}":
                report.own += 1
            else:
                report.lost.append(f"{number}: got {text[:80]!r}")


async def _ask(client: TutuClient, number: int) -> tuple[str, int]:
    question = [user(f"item {number}")]
    if number % 2:
        answer = await client.chat.completions.create(model="m", messages=question)
        return answer.text, answer.meta.attempts
    async with client.chat.completions.stream(model="m", messages=question) as stream:
        text = "".join([piece async for piece in stream.text()])
        return text, stream.meta.attempts


async def _watch_memory(report: Report) -> None:
    while True:
        report.memory_mib.append(memory_mib())
        await asyncio.sleep(0.1)


def memory_mib() -> float:
    """Return the memory this process holds now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def run(calls: int, concurrency: int, share: float, seed: int = 0) -> Report:
    """Run the relay beside us and soak the client in it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    relay = context.Process(target=_serve, args=(theirs, share, seed), daemon=True)
    relay.start()
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    try:
        base_url = ours.recv()
        if len(before) > 1:
            os.sched_setaffinity(0, {min(before)})
        report = asyncio.run(soak(base_url, calls, concurrency))
        ours.send("enough")
        report.faulty = ours.recv()
    finally:
        if len(before) > 1:
            os.sched_setaffinity(0, before)
        ours.close()
        relay.join(5)
        relay.kill()
    return report


def main() -> int:
    """Soak, print, and say in the exit code whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--faults", type=float, default=0.3, help="the share of requests that meet a fault")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("error")
    report = run(options.calls, options.concurrency, options.faults, options.seed)
    first, last = report.thirds
    print(f"tutuclient {__version__}, Python {sys.version.split()[0]}")
    print(f"{report.calls:,} calls at concurrency {options.concurrency} in {report.seconds:.0f} s", end=" ")
    print(
        f"({report.calls / report.seconds:,.0f} a second); {report.attempts:,} attempts, {report.faulty:,} faults met"
    )
    print(f"their own answer: {report.own:,}; an error of ours: {report.errors.total():,}; lost: {len(report.lost)}")
    for name, number in report.errors.most_common():
        print(f"{number:>9,}  {name}")
    for lost in report.lost[:20]:
        print(f"  lost: {lost}")
    print(f"memory: first third {first:.1f} MiB, last third {last:.1f} MiB, most {max(report.memory_mib):.1f} MiB")
    print(f"left open: {report.left or 'nothing'}")
    whole = report.own + report.errors.total() == report.calls
    return 0 if whole and report.flat and not (report.lost or report.left) else 1


if __name__ == "__main__":
    sys.exit(main())
