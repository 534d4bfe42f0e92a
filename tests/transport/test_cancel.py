"""Cancelled anywhere: at each point where a call waits, while that wait goes on and just as it is over.

A call is run with its task cancelled at its first suspension, then at its second, and so on until it is through.
Every time the cancellation must come out, the relay must see the connection closed, and the same client must make a
good call and hold nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.certificates import self_signed
from tests.conftest import KEY, QUICK
from tests.dev_mode import without_slow_steps
from tests.images import png
from tests.leftovers import closed, nothing_left, until
from tutuclient import APIConnectionError, APITimeoutError, Timeout, TutuClient, user
from tutuclient.testing import (
    Exchange,
    Server,
    chunk,
    draws,
    fails,
    rate_limited,
    says,
    serve_in_thread,
    streams,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator
    from pathlib import Path

    from aiohttp import web

    from tutuclient import ChatCompletion, ChatStream

PNG = png(bytes(2**20))
# Pauses of the relay between the pieces of an answer, in seconds, so that each piece is waited for.
PAUSE = 0.002
WORDS = [chunk("one"), chunk(" two"), chunk(" three"), chunk(finish_reason="stop")]


class Stepped:
    """Awaits a coroutine, and cancels its task at one of the points where it waits.

    Args:
        inner: The coroutine.
        point: Which of its waits is cancelled, from 0.
        when: "waiting" cancels while it waits; "done" when what it waits for has just come, but the task has not run
            yet; "always" at this wait and at all behind it.

    Attributes:
        waits: How often it has waited.
    """

    def __init__(self, inner: Awaitable[object], point: int, when: str) -> None:
        self._inner, self._point, self._when = inner, point, when
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, object]:
        task = asyncio.current_task()
        assert task is not None
        steps = self._inner.__await__()
        go: Callable[[Any], Any] = steps.send
        value: Any = None
        while True:
            try:
                future = go(value)
            except StopIteration as end:
                return end.value
            if self.waits == self._point or (self._when == "always" and self.waits > self._point):
                if self._when == "done" and future is not None:
                    future.add_done_callback(lambda _: task.cancel())
                else:
                    task.cancel()
            self.waits += 1
            try:
                go, value = steps.send, (yield future)
            except BaseException as error:  # noqa: BLE001  (it is thrown on)
                go, value = steps.throw, error


async def cancelled_at(point: int, when: str, job: Awaitable[object]) -> bool:
    """Run a job cancelled at a point; say whether it came to that point. The cancellation has to come out."""
    stepped = Stepped(job, point, when)

    async def run() -> None:
        await stepped

    task = asyncio.create_task(run())
    await asyncio.wait([task], timeout=20)
    assert task.done(), f"hangs when cancelled at wait {point}"
    if stepped.waits <= point:
        await task
        return False
    assert task.cancelled(), f"swallows a cancellation at wait {point}"
    return True


@dataclass(frozen=True)
class Slowly:
    """A whole answer in three pieces."""

    body: bytes

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
        third = len(self.body) // 3 + 1
        await exchange.send(head.encode())
        for start in range(0, len(self.body), third):
            await asyncio.sleep(PAUSE)
            await exchange.send(self.body[start : start + third])
        return exchange.sent(keep_alive=True)


ANSWER = b'{"choices": [{"message": {"role": "assistant", "content": "slow"}, "finish_reason": "stop"}]}'


async def ask(client: TutuClient, **fields: Any) -> ChatCompletion:
    answer: ChatCompletion = await client.chat.completions.create(model="m", messages=[user("hi")], **fields)
    return answer


async def whole(client: TutuClient, server: Server, _: Path) -> None:
    server.answers(Slowly(ANSWER))
    assert (await ask(client)).text == "slow"


async def order(client: TutuClient, server: Server, _: Path) -> None:
    server.answers(Slowly(ANSWER))
    assert (await client.generate("a red panda")).text == "slow"


async def stream(client: TutuClient, server: Server, _: Path) -> None:
    server.answers(streams(WORDS, delay=PAUSE))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as opened:
        assert [piece async for piece in opened.text()] == ["one", " two", " three"]


async def stream_without_block(client: TutuClient, server: Server, _: Path) -> None:
    server.answers(streams(WORDS, delay=PAUSE))
    opened = await client.chat.completions.create(model="m", messages=[user("hi")], stream=True)
    assert [piece.text async for piece in opened] == ["one", " two", " three", ""]


async def retry(client: TutuClient, server: Server, _: Path) -> None:
    server.answers(fails(503, "later"), rate_limited(retry_after="0.005"), says("x"))
    assert (await ask(client)).meta.attempts == 3


async def slot(client: TutuClient, server: Server, _: Path) -> None:
    # One slot, and another call holds it for a moment.
    server.answers(says("first", delay=PAUSE), says("second"))
    first = asyncio.create_task(ask(client))
    try:
        await server.wait_requests(len(server.requests) + 1)
        assert (await ask(client)).text == "second"
    finally:
        await asyncio.wait([first])


async def upload(client: TutuClient, server: Server, folder: Path) -> None:
    server.answers(Slowly(ANSWER))
    assert (await client.analyze(folder / "in.png", "what?")).text == "slow"


async def listing(client: TutuClient, server: Server, _: Path) -> None:
    server.answers(Slowly(b'{"data": [{"id": "m"}]}'))
    assert len(await client.models.list()) == 1


JOBS = [whole, order, stream, stream_without_block, retry, slot, upload, listing]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in.png").write_bytes(PNG)
    return tmp_path


async def is_well(client: TutuClient, server: Server) -> None:
    assert await nothing_left(client) == []
    assert await closed(client, server) == []
    server.reset()
    server.answers(says("mine"))
    assert (await ask(client)).text == "mine"
    assert await nothing_left(client) == []


@pytest.mark.parametrize("when", ["waiting", "done", "always"])
@pytest.mark.parametrize("job", JOBS, ids=lambda job: str(job.__name__))
async def test_a_call_may_be_cancelled_wherever_it_waits(
    server: Server, folder: Path, job: Callable[..., Awaitable[None]], when: str
) -> None:
    point = 0
    reached = True
    while reached:
        async with TutuClient(KEY, server.base_url, retry=QUICK, max_concurrency=1) as client:
            reached = await cancelled_at(point, when, job(client, server, folder))
            await is_well(client, server)
        point += 1
    assert point > 4


@pytest.mark.parametrize("when", ["waiting", "done", "always"])
@pytest.mark.parametrize("job", JOBS, ids=lambda job: str(job.__name__))
async def test_a_call_over_a_warm_connection_may_be_cancelled_wherever_it_waits(
    server: Server, folder: Path, job: Callable[..., Awaitable[None]], when: str
) -> None:
    point = 0
    reached = True
    async with TutuClient(KEY, server.base_url, retry=QUICK, max_concurrency=1) as client:
        await ask(client)
        while reached:
            reached = await cancelled_at(point, when, job(client, server, folder))
            await is_well(client, server)
            point += 1
    assert point > 2


def saved(folder: Path) -> list[str]:
    """Return the names of the images in a folder, each of which is whole. Files being written do not count."""
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for path in found:
        whole = path.read_bytes() == PNG
        assert whole, f"{path.name} has {path.stat().st_size} bytes, not {len(PNG)}"
    return [path.name for path in found]


def unnamed(folder: Path) -> list[Path]:
    """Return the files that are being written in the folders of a folder."""
    return list(folder.glob("*/.*"))


@pytest.mark.parametrize("when", ["waiting", "done", "always"])
@pytest.mark.parametrize("save", [False, True], ids=["read", "save"])
async def test_a_download_may_be_cancelled_wherever_it_waits(
    client: TutuClient, server: Server, tmp_path: Path, save: bool, when: str
) -> None:
    point = 0
    reached = True
    while reached:
        # A folder for each: a thread that was left may take its last step, and give the image its name, at any time.
        folder = tmp_path / str(point)
        folder.mkdir()
        server.answers(draws(f"{server.base_url}/files/a.png"))
        picture = (await client.generate("a red panda")).images[0]
        server.answers(Slowly(PNG), path="/v1/files/a.png")
        reached = await cancelled_at(point, when, picture.save(folder / "a.png") if save else picture.read())
        await is_well(client, server)
        point += 1
    assert point > 4
    await until(lambda: not unnamed(tmp_path))
    assert unnamed(tmp_path) == []
    found = [saved(tmp_path / str(number)) for number in range(point)]
    assert all(names in ([], ["a.png"]) for names in found)
    assert found[-1] == (["a.png"] if save else [])  # The last one was not cancelled.


@dataclass(frozen=True)
class Reluctant:
    """Reads the request's body slowly, and never answers."""

    reads_body = False

    async def play(self, exchange: Exchange) -> web.StreamResponse:
        while piece := await exchange.request.content.readany():
            exchange.recorded.size_bytes += len(piece)
            await asyncio.sleep(PAUSE)
        await exchange.silence()
        return exchange.fin()


@pytest.mark.parametrize("size", [1, 2**17, 2**19])
@pytest.mark.parametrize("order", [False, True], ids=["question", "order"])
async def test_an_upload_may_be_cancelled_on_its_way(
    client: TutuClient, server: Server, tmp_path: Path, order: bool, size: int
) -> None:
    picture = tmp_path / "in.png"
    picture.write_bytes(PNG * 16)
    server.answers(Reluctant())
    send = client.edit if order else client.analyze
    task = asyncio.create_task(send(picture, "what?"))
    await server.wait_requests(1)
    await until(lambda: server.requests[0].size_bytes >= size)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.wait_closed(timeout=10)
    await is_well(client, server)


# --- Limits from outside ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _anyio_moves_on() -> Generator[None, None, None]:
    with anyio.move_on_after(0.05) as scope:
        yield
    assert scope.cancelled_caught


@contextlib.contextmanager
def _anyio_fails() -> Generator[None, None, None]:
    with pytest.raises(TimeoutError), anyio.fail_after(0.05):
        yield


@contextlib.asynccontextmanager
async def _asyncio_times_out() -> AsyncIterator[None]:
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.05):
            yield
    assert not isinstance(caught.value, APITimeoutError)


@contextlib.asynccontextmanager
async def _sync(block: Any) -> AsyncIterator[None]:
    with block:
        yield


LIMITS = {
    "move_on_after": lambda: _sync(_anyio_moves_on()),
    "fail_after": lambda: _sync(_anyio_fails()),
    "timeout": _asyncio_times_out,
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("limit", LIMITS)
async def test_a_limit_from_outside_ends_a_call_and_the_task_goes_on(
    client: TutuClient, server: Server, limit: str, streamed: bool
) -> None:
    server.answers(streams(WORDS[:2], done=False, then="hang") if streamed else says("late", delay=5))
    async with LIMITS[limit]():
        if streamed:
            async with client.chat.completions.stream(model="m", messages=[user("hi")]) as opened:
                await opened.completion()
        await ask(client)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # there is one
    await server.wait_closed(timeout=10)
    await is_well(client, server)


@pytest.mark.parametrize("later", [0.01, 0.09], ids=["before", "behind"])
@pytest.mark.parametrize("wait", ["answer", "slot", "first token"])
async def test_a_cancellation_in_the_moment_a_limit_passes_comes_out(server: Server, wait: str, later: float) -> None:
    server.answers(says("late", delay=5), says("late", delay=5))
    async with TutuClient(KEY, server.base_url, max_concurrency=1, max_retries=0) as client:
        first = asyncio.create_task(ask(client)) if wait == "slot" else None
        await server.wait_requests(1 if first else 0)
        limits = Timeout(first_token=0.05) if wait == "first token" else Timeout(total=0.05)
        task = asyncio.create_task(ask(client, timeout=limits))
        await server.wait_requests(1)
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(later, task.cancel)
        time.sleep(0.1)  # noqa: ASYNC251  (so that both are due in the same turn of the loop)
        with pytest.raises(asyncio.CancelledError):
            await task
        if first is not None:
            first.cancel()
            await asyncio.wait([first])
        await is_well(client, server)


@pytest.mark.parametrize("outer", [0.03, 0.05, 0.07])
async def test_two_limits_leave_no_cancellation_behind(client: TutuClient, server: Server, outer: float) -> None:
    server.answers(*[says("late", delay=5)] * 8)

    async def meet(limit: Any) -> int:
        with contextlib.suppress(TimeoutError):
            async with limit(outer):
                await ask(client, timeout=0.05)
        return asyncio.current_task().cancelling()  # type: ignore[union-attr]  # there is one

    meetings = [meet(limit) for limit in (asyncio.timeout, _anyio_limit) for _ in range(4)]
    assert await asyncio.gather(*meetings) == [0] * 8
    await is_well(client, server)


@contextlib.asynccontextmanager
async def _anyio_limit(seconds: float) -> AsyncIterator[None]:
    with anyio.fail_after(seconds):
        yield


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_group_of_fifty_is_cancelled_together(server: Server, streamed: bool) -> None:
    server.answers(*[streams(WORDS[:1], done=False, then="hang") if streamed else says("late", delay=5)] * 50)
    async with TutuClient(KEY, server.base_url, max_concurrency=40) as client:

        async def one() -> None:
            got = await client.chat.completions.create(model="m", messages=[user("hi")], stream=streamed or None)
            if streamed:
                await got.completion()  # type: ignore[union-attr]  # it is a stream

        async def fifty() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(one())

        task = asyncio.create_task(fifty())
        await server.wait_requests(40)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await is_well(client, server)


async def test_a_group_with_one_bad_call_ends_the_others(server: Server) -> None:
    server.answers(*[says("late", delay=5)] * 49, fails(400, "no"))
    async with TutuClient(KEY, server.base_url) as client:
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(ask(client))
        assert len(caught.value.exceptions) == 1
        await is_well(client, server)


# --- Closing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["waiting", "done", "always"])
async def test_closing_may_be_cancelled_wherever_it_waits(server: Server, when: str) -> None:
    point = 0
    reached = True
    while reached:
        client = TutuClient(KEY, server.base_url, retry=QUICK)
        await asyncio.gather(ask(client), ask(client))
        reached = await cancelled_at(point, when, client.aclose())
        assert await closed(client, server) == []
        await is_well(client, server)
        await client.aclose()
        await client.aclose()
        point += 1
    assert point > 1


async def test_closing_ends_the_calls_that_run(server: Server) -> None:
    server.answers(*[says("late", delay=5)] * 2, streams(WORDS[:1], done=False, then="hang"))
    async with TutuClient(KEY, server.base_url, retry=QUICK, max_concurrency=3) as client:
        running = [asyncio.create_task(ask(client)), asyncio.create_task(client.generate("a red panda"))]
        await server.wait_requests(2)
        opened = await client.chat.completions.create(model="m", messages=[user("hi")], stream=True)
        running += [asyncio.create_task(opened.completion()), asyncio.create_task(ask(client))]
        await until(lambda: client._transport.pool and client._transport.pool.slots.waiting)
        await client.aclose()
        ended, going_on = await asyncio.wait(running, timeout=20)
        assert not going_on
        assert {isinstance(task.exception(), APIConnectionError) for task in ended} == {True}
        assert len(server.requests) == 3
        await is_well(client, server)


# --- Streams nobody reads ---------------------------------------------------------------------------------------------


async def _unread(_: ChatStream) -> None: ...


async def _half_read(stream: ChatStream) -> None:
    assert (await anext(stream)).text == "one"


@pytest.mark.parametrize("read", [_unread, _half_read], ids=["unread", "half read"])
async def test_a_stream_that_is_lost_is_aborted_with_one_warning(client: TutuClient, server: Server, read: Any) -> None:
    server.answers(streams(WORDS[:2], done=False, then="hang"))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        opened = await client.chat.completions.create(model="m", messages=[user("hi")], stream=True)
        await read(opened)
        del opened
        gc.collect()
        await server.wait_closed(timeout=10)
        assert await nothing_left(client) == []
        gc.collect()
    assert [str(warning.category.__name__) for warning in seen] == ["ResourceWarning"]
    await is_well(client, server)


async def test_an_iterator_that_is_lost_closes_its_stream(client: TutuClient, server: Server) -> None:
    server.answers(streams(WORDS[:2], done=False, then="hang"))
    opened = await client.chat.completions.create(model="m", messages=[user("hi")], stream=True)
    pieces = opened.text()
    assert await anext(pieces) == "one"
    del pieces
    await server.wait_closed(timeout=10)
    assert await nothing_left(client) == []


# --- Clients nobody closes, and Ctrl-C --------------------------------------------------------------------------------

_START = """
import asyncio, ssl, sys
from tutuclient import TutuClient, user

url, pem = sys.argv[1:]
client = TutuClient("sk-never-closed", url, verify=ssl.create_default_context(cadata=pem) if pem else True)

def ask(**fields):
    return client.chat.completions.create(model="m", messages=[user("hi")], **fields)
"""
PLAIN = """
async def main():
    print((await ask()).text)
asyncio.run(main())
"""
NEVER_CLOSED = {
    "a call": PLAIN,
    "calls in two loops": PLAIN + "asyncio.run(main())",
    "many calls": """
async def main():
    answers = await asyncio.gather(*(ask() for _ in range(20)))
    print(answers[0].text)
asyncio.run(main())
""",
    "a client of its own": """
async def main():
    client = TutuClient("sk-never-closed", url, verify=ssl.create_default_context(cadata=pem) if pem else True)
    print((await client.chat.completions.create(model="m", messages=[user("hi")])).text)
asyncio.run(main())
""",
    "a call on its way": """
async def main():
    print((await ask()).text)
    asyncio.create_task(ask())
    asyncio.create_task(ask(stream=True))
    await asyncio.sleep(0.05)
asyncio.run(main())
""",
    "a call just begun": """
async def main():
    print((await ask()).text)
    asyncio.create_task(ask())
asyncio.run(main())
""",
    "a stream in its block": """
async def main():
    print((await ask()).text)
    async def read():
        async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
            async for _ in stream:
                await asyncio.sleep(60)
    asyncio.create_task(read())
    await asyncio.sleep(0.05)
asyncio.run(main())
""",
}
STREAMS_LEFT = {
    "read in part, kept": """
async def main():
    stream = await ask(stream=True)
    print((await anext(stream)).text)
    return stream
kept = asyncio.run(main())
""",
    "unread, kept": """
async def main():
    return await ask(stream=True)
kept = asyncio.run(main())
""",
    "unread, lost": """
async def main():
    await ask(stream=True)
asyncio.run(main())
""",
}


def run(code: str, url: str, pem: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, "-X", "dev", "-W", "error", "-c", _START + code, url, pem],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    done.stderr = without_slow_steps(done.stderr)
    return done


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", NEVER_CLOSED)
def test_a_client_that_is_never_closed_says_nothing(name: str, tls: bool) -> None:
    context, pem = self_signed() if tls else (None, "")
    with serve_in_thread(ssl_context=context) as relay:
        relay.answers(*[says("hello")] * (20 if name == "many calls" else 1))
        if "way" in name:
            relay.answers(*[says("late", delay=20)] * 2)
        done = run(NEVER_CLOSED[name], relay.base_url, pem)
    assert done.stderr == ""
    assert set(done.stdout.split()) == {"hello"} or name == "calls in two loops"
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", STREAMS_LEFT)
def test_a_stream_that_is_never_closed_says_so_at_most_once(name: str, tls: bool) -> None:
    context, pem = self_signed() if tls else (None, "")
    with serve_in_thread(ssl_context=context) as relay:
        relay.answers(streams(WORDS[:2], done=False, then="hang"))
        done = run(STREAMS_LEFT[name], relay.base_url, pem)
    said = [line for line in done.stderr.splitlines() if line.startswith(("Exception", "ResourceWarning"))]
    ours = ["Exception ignored in: <function Stream", "ResourceWarning: a ChatStream was dropped"]
    assert [line[: len(start)] for line, start in zip(said, ours, strict=False)] == ours[: len(said)]
    # One kept until the interpreter ends has nobody left to tell.
    assert len(said) == (2 if name == "unread, lost" else 0)
    assert "asyncio" not in done.stderr
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("job", ["ask()", "ask(stream=True)"])
def test_ctrl_c_ends_a_script_soon_and_without_warnings(tutu_relay: Server, job: str) -> None:
    code = f"async def main():\n    await asyncio.gather(*({job} for _ in range(20)))\nasyncio.run(main())"
    tutu_relay.answers(*[says("late", delay=90)] * 20)
    script = subprocess.Popen(  # noqa: S603  (our own code)
        [sys.executable, "-X", "dev", "-W", "error", "-c", _START + code, tutu_relay.base_url, ""],
        stderr=subprocess.PIPE,
        text=True,
    )
    with script:
        asyncio.run(tutu_relay.wait_requests(20, timeout=60))
        script.send_signal(signal.SIGINT)
        _, said = script.communicate(timeout=60)
    assert script.returncode not in {0, None}
    assert [line for line in said.splitlines() if line.startswith("KeyboardInterrupt")] == ["KeyboardInterrupt"]
    assert not [word for word in ("never retrieved", "Unclosed", "ignored", "was destroyed") if word in said]
    assert "sk-never-closed" not in said
    asyncio.run(tutu_relay.until(lambda: all(seen.aborted for seen in tutu_relay.requests), timeout=10))
