"""What ``tutuclient.limits`` promises: no slot too many and none lost, no storm of retries, one pause for all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import sys
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import KEY
from tutuclient import TutuClient
from tutuclient.limits import CoolDown, RetryBudget, Slots, default_connections, in_thread, out_of_descriptors
from tutuclient.testing import serve_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


async def settle() -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()


class Crowd:
    """Tasks that each want a slot, and the order in which they got one."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.served: list[int] = []
        self.most = 0
        self.leave: dict[int, anyio.Event] = {}
        self.scopes: dict[int, anyio.CancelScope] = {}
        self._in_flight = 0

    async def want(self, name: int) -> None:
        leave = self.leave[name] = anyio.Event()
        with anyio.CancelScope() as self.scopes[name]:
            await self.slots.acquire()
            try:
                self.served.append(name)
                self._in_flight += 1
                self.most = max(self.most, self._in_flight)
                await leave.wait()
            finally:
                self._in_flight -= 1
                self.slots.release()


async def test_serves_in_the_order_of_coming() -> None:
    crowd = Crowd(Slots(2))
    async with anyio.create_task_group() as tasks:
        for name in range(6):
            tasks.start_soon(crowd.want, name)
            await settle()
        assert (crowd.served, crowd.slots.free, crowd.slots.waiting) == ([0, 1], 0, 4)
        for name in (1, 0, 2, 3, 4, 5):
            crowd.leave[name].set()
            await settle()
    assert crowd.served == [0, 1, 2, 3, 4, 5]
    assert (crowd.most, crowd.slots.free, crowd.slots.waiting) == (2, 2, 0)


async def test_who_comes_later_does_not_slip_past() -> None:
    slots = Slots(1)
    assert slots.acquire_nowait()
    crowd = Crowd(slots)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.want, 0)
        await settle()
        slots.release()
        assert not slots.acquire_nowait()
        crowd.leave[0].set()
    assert crowd.served == [0]
    assert slots.free == 1


async def test_cancelling_who_waits_takes_no_slot() -> None:
    crowd = Crowd(Slots(1))
    async with anyio.create_task_group() as tasks:
        for name in range(3):
            tasks.start_soon(crowd.want, name)
            await settle()
        crowd.scopes[1].cancel()
        await settle()
        assert (crowd.slots.free, crowd.slots.waiting) == (0, 1)
        crowd.leave[0].set()
        await settle()
        crowd.leave[2].set()
    assert crowd.served == [0, 2]
    assert crowd.slots.free == 1


async def test_cancelling_at_the_moment_of_the_turn_passes_it_on() -> None:
    slots = Slots(1)
    await slots.acquire()
    first, second = (asyncio.create_task(slots.acquire()) for _ in range(2))
    await settle()
    slots.release()
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 1)
    slots.release()
    assert (slots.free, slots.waiting) == (1, 0)


async def test_a_slot_cannot_be_given_back_twice() -> None:
    slots = Slots(1)
    await slots.acquire()
    slots.release()
    with pytest.raises(ValueError, match="semaphore"):
        slots.release()


def test_takes_what_is_free_without_waiting() -> None:
    async def take() -> list[bool]:
        slots = Slots(2)
        return [slots.acquire_nowait() for _ in range(3)]

    assert asyncio.run(take()) == [True, True, False]


async def test_a_free_slot_costs_no_turn_of_the_loop() -> None:
    with pytest.raises(StopIteration):
        Slots(1).acquire().send(None)


@settings(deadline=None, max_examples=60)
@given(
    total=st.integers(1, 4),
    steps=st.lists(st.tuples(st.sampled_from(["come", "come", "leave", "cancel"]), st.integers(0, 30)), max_size=40),
    rush=st.booleans(),
)
def test_no_schedule_loses_a_slot_or_gives_one_too_many(total: int, steps: list[tuple[str, int]], rush: bool) -> None:
    async def run() -> None:
        crowd = Crowd(Slots(total))
        act: dict[str, Callable[[int], None]] = {
            "leave": lambda name: crowd.leave[name].set(),
            "cancel": lambda name: crowd.scopes[name].cancel(),
        }
        came = 0
        async with anyio.create_task_group() as tasks:
            for what, number in steps:
                if what == "come":
                    tasks.start_soon(crowd.want, came)
                    came += 1
                elif crowd.leave:
                    act[what](number % len(crowd.leave))
                if not rush:
                    await settle()
            await settle()
            for leave in crowd.leave.values():
                leave.set()
        assert crowd.most <= total
        assert (crowd.slots.free, crowd.slots.waiting) == (total, 0)
        assert crowd.served == sorted(crowd.served)

    asyncio.run(run())


# --- retries ---------------------------------------------------------------------------------------------------------

COST, TIMEOUT, REWARD = RetryBudget.COST, RetryBudget.COST_OF_TIMEOUT, RetryBudget.REWARD


def test_a_budget_is_spent_and_earned_as_in_botocore() -> None:
    budget = RetryBudget(2)
    assert (budget.left, budget.take(COST), budget.left) == (10, True, 5)
    assert (budget.take(TIMEOUT), budget.left) == (False, 5)
    budget.put_back(COST)
    assert (budget.take(TIMEOUT), budget.left) == (True, 0)
    assert not budget.take(COST)
    for earned in range(1, 6):
        assert not budget.take(COST)
        budget.put_back(0)
        assert budget.left == earned * REWARD
    assert budget.take(COST)


def test_a_full_budget_earns_nothing() -> None:
    budget = RetryBudget(1)
    budget.put_back(TIMEOUT)
    budget.put_back(0)
    assert budget.left == COST


def test_what_costs_nothing_is_always_allowed() -> None:
    assert RetryBudget(0).take(0)
    assert not RetryBudget(0).take(COST)


def test_no_limit_is_no_limit() -> None:
    budget = RetryBudget(None)
    assert all(budget.take(TIMEOUT) for _ in range(1000))
    budget.put_back(COST)
    assert budget.left is None


@given(steps=st.lists(st.tuples(st.booleans(), st.sampled_from([0, COST, TIMEOUT])), max_size=60))
def test_a_budget_stays_within_its_bounds(steps: list[tuple[bool, int]]) -> None:
    budget = RetryBudget(3)
    for spend, cost in steps:
        before = budget.left or 0
        if spend:
            assert budget.take(cost) is (cost <= before)
        else:
            budget.put_back(cost)
        assert 0 <= (budget.left or 0) <= 15


# --- pauses ----------------------------------------------------------------------------------------------------------


def test_nobody_waits_unasked() -> None:
    assert CoolDown().wait(0.0, 1.0) == 0.0
    assert CoolDown().wait(1e9, 1.0) == 0.0


def test_all_keep_the_pause_and_start_again_spread_out() -> None:
    pause = CoolDown()
    pause.ask(100.0, 2.0)
    assert pause.wait(100.0, 0.0) == 2.0
    assert pause.wait(101.0, 0.0) == 1.0
    assert pause.wait(101.0, 1.0) == pytest.approx(1.55)
    assert pause.wait(102.0, 1.0) == 0.0


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    pause = CoolDown()
    pause.ask(100.0, 10.0)
    pause.ask(101.0, 1.0)
    assert pause.wait(101.0, 0.0) == 9.0
    pause.ask(105.0, 10.0)
    assert pause.wait(105.0, 0.0) == 10.0


@given(seconds=st.floats(0, 3600), later=st.floats(0, 3600), unit=st.floats(0, 1))
def test_a_pause_is_never_shorter_than_asked_and_ends_a_second_later_at_most(
    seconds: float, later: float, unit: float
) -> None:
    pause = CoolDown()
    pause.ask(0.0, seconds)
    wait = pause.wait(later, unit)
    if later < seconds:
        assert seconds <= later + wait + 1e-6
        assert later + wait <= seconds + 1 + 1e-6
    else:
        assert wait == 0


# --- Threads and file descriptors (issue 10, section 2 k, section 5 row 3) -----------------------------


@pytest.mark.parametrize(
    ("soft", "most"), [(resource.RLIM_INFINITY, 512), (1_048_576, 512), (1024, 480), (256, 112), (64, 16), (20, 1)]
)
def test_the_default_of_max_connections_follows_the_limit_of_descriptors(
    soft: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert default_connections() == most
    assert TutuClient(KEY)._settings.max_connections == most
    assert TutuClient(KEY, max_connections=600)._settings.max_connections == 600


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_what_fails_for_want_of_a_descriptor_is_known(number: int) -> None:
    bare = OSError(number, "too many")
    chained = ValueError("x")
    chained.__cause__ = bare
    assert out_of_descriptors(bare)
    assert out_of_descriptors(chained)
    assert not out_of_descriptors(OSError(errno.ENOENT, "none"))
    assert not out_of_descriptors(socket.gaierror(socket.EAI_AGAIN, "no name"))


def test_a_name_that_cannot_be_looked_up_without_a_descriptor_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> int:
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(os, "open", none)
    assert out_of_descriptors(socket.gaierror(socket.EAI_AGAIN, "no name"))


async def test_a_thread_sees_the_callers_context_and_its_errors_come_back() -> None:
    word: ContextVar[str] = ContextVar("word")
    word.set("here")
    assert await in_thread(word.get) == "here"
    assert await in_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(ValueError, match="invalid literal"):
        await in_thread(int, "x")


async def test_what_opens_files_waits_for_a_descriptor() -> None:
    tries = []

    def open_one() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(errno.EMFILE, "too many")
        return "open"

    with pytest.raises(OSError, match="too many"):
        await in_thread(open_one)
    assert await in_thread(open_one, opens=True) == "open"


async def test_an_abandoned_thread_is_not_waited_for_and_another_is() -> None:
    ends = threading.Event()
    for abandon in (True, False):
        began = time.monotonic()
        with anyio.move_on_after(0.05):
            await in_thread(ends.wait, 0.3, abandon_on_cancel=abandon)
        assert (time.monotonic() - began < 0.25) is abandon


def test_threads_end_with_the_loop() -> None:
    async def work() -> None:
        await asyncio.gather(*(in_thread(time.sleep, 0.01) for _ in range(5)))

    asyncio.run(work())
    end = time.monotonic() + 2
    while ours := [each for each in threading.enumerate() if each.name.startswith("tutuclient")]:
        assert time.monotonic() < end, ours
        time.sleep(0.01)


WHOLE = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'


@contextlib.asynccontextmanager
async def relay() -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
                await asyncio.sleep(0.02)
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(WHOLE)
                writer.write(head + WHOLE)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2048)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def run_python(code: str, *args: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *args, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(50):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode()


MANY_UPLOADS = """
import asyncio, collections, resource, sys
url, path, soft, count, most = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from tutuclient import TutuClient

async def main():
    async with TutuClient("k", url, max_connections=most or None, timeout=45) as client:
        work = (client.analyze(path, "x", model="m") for _ in range(count))
        return await asyncio.gather(*work, return_exceptions=True)

met = asyncio.run(main())
print(collections.Counter(each.text if hasattr(each, "text") else repr(each) for each in met))
print(collections.Counter(each.meta.attempts for each in met if hasattr(each, "text")))
"""


@pytest.mark.parametrize(
    ("soft", "count", "most", "size"),
    [(256, 2000, 0, 3_000), (256, 1000, 512, 3_000), (1024, 1000, 0, 60_000), (64, 200, 512, 400_000)],
)
async def test_uploads_succeed_whatever_the_limit_of_descriptors(
    soft: int, count: int, most: int, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000") + bytes(size))
    async with relay() as url:
        said = await run_python(MANY_UPLOADS, url, str(path), str(soft), str(count), str(most))
    assert said == f"Counter({{'hello': {count}}})\nCounter({{1: {count}}})\n"


NO_DESCRIPTORS = """
import asyncio, os, resource, sys
url, path = sys.argv[1:]
from tutuclient import TutuClient, user

async def main():
    async with TutuClient("k", url, timeout=1) as client:
        await client.chat.completions.create(model="m", messages=[user("hi")])
        soft = len(os.listdir("/proc/self/fd")) - 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        try:
            held = [os.dup(0) for _ in range(9)]
        except OSError:
            pass
        for call in (client.generate("a panda"), client.analyze(path, "x", model="m")):
            try:
                await call
            except Exception as error:
                print(type(error).__name__, error.outcome, error.attempts, error)

asyncio.run(main())
"""


async def test_without_descriptors_the_error_names_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000") + bytes(300))
    async with relay() as url:
        lines = (await run_python(NO_DESCRIPTORS, url, str(path))).splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("APIConnectionError not_sent 1 ")
        assert "ulimit -n" in line


DOWNLOADS = """
import asyncio, collections, os, resource, sys
url, free = sys.argv[1], int(sys.argv[2])
from tutuclient import TutuClient

async def main():
    async with TutuClient("k", url, max_connections=512, max_retries=0) as client:
        answers = [await client.generate("a panda", model="gpt-4o-image") for _ in range(31)]
        images = [answer.images[0] for answer in answers]
        await images.pop().read()
        soft = len(os.listdir("/proc/self/fd")) - 1 + free
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        timeout = 20 if free else 1
        work = (image.read(timeout=timeout) for image in images)
        return await asyncio.gather(*work, return_exceptions=True)

met = asyncio.run(main())
print(sum(isinstance(each, bytes) for each in met))
print(*{f"{each.reason} {each}" for each in met if not isinstance(each, bytes)})
"""


@pytest.mark.parametrize("free", [0, 6])
async def test_downloads_wait_for_descriptors_and_name_the_limit(free: int) -> None:
    with serve_in_thread() as server:
        count, said = (await run_python(DOWNLOADS, server.base_url, str(free))).splitlines()
    if free:
        assert (count, said) == ("30", "")
    else:
        assert count == "0"
        assert said.startswith("unreachable ")
        assert "ulimit -n" in said


NESTED = """
import asyncio, sys, nest_asyncio
from tutuclient import TutuClient
nest_asyncio.apply()

kept = []

async def main(url, path, how):
    client = TutuClient("k", url)
    print((await client.analyze(path, "x", model="m")).text)
    if how == "closed":
        await client.aclose()
    if how == "kept":
        kept.append(client)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("how", ["closed", "left", "kept"])
async def test_a_process_under_nest_asyncio_exits(tmp_path: Path, how: str) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000") + bytes(300_000))
    async with relay() as url:
        assert await run_python(NESTED, url, str(path), how) == "hello\n"
