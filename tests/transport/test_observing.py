from __future__ import annotations

import asyncio
import gc
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY, QUICK
from tests.images import png
from tutuclient import (
    CallEnd,
    CallListener,
    ConfigError,
    IncompleteStreamError,
    Meta,
    ObservedCall,
    PoolTimeoutError,
    RateLimitError,
    Request,
    RetryPolicy,
    StreamIdleTimeoutError,
    Timeout,
    TutuClient,
    user,
)
from tutuclient.testing import chunk, fails, says, sends, streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tutuclient.testing import Server

ASKED: dict[str, Any] = {"model": "m", "messages": [user("hi")]}
WAV = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\x08\0\0\0" + bytes(8)
WORDS: list[Any] = [chunk("a"), chunk("b"), chunk(finish_reason="stop")]


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110  (what happens is the relay's, or inside)
        await asyncio.sleep(0.005)


class Told(CallListener):
    """Writes down in a few words what it is told."""

    def __init__(self, call: ObservedCall, story: list[str], ends: list[CallEnd]) -> None:
        self.call, self.story, self.ended = call, story, ends
        story.append(f"call {call.path}")

    def attempt_begins(self, number: int, headers: dict[str, str]) -> None:
        headers["X-Attempt"] = str(number)
        self.story.append(f"attempt {number}")

    def head(self, meta: Meta) -> None:
        self.story.append(f"head {meta.status_code}")

    def attempt_ends(self, how: str, error: BaseException | None, meta: Meta) -> None:  # noqa: ARG002  (its signature)
        self.story.append(f"attempt {how}")

    def usage(self, usage: Any) -> None:
        self.story.append(f"usage {usage.total_tokens}")

    def returned(self) -> None:
        self.story.append("returned")

    def first_content(self, elapsed_s: float) -> None:
        assert elapsed_s > 0
        self.story.append("first content")

    def chunk(self, item: Any, elapsed_s: float) -> None:
        assert elapsed_s > 0
        self.story.append(f"chunk {getattr(item, 'text', item)}")

    def ends(self, end: CallEnd) -> None:
        self.ended.append(end)
        self.story.append(f"end {end.how}")


class Watch:
    def __init__(self) -> None:
        self.story: list[str] = []
        self.ends: list[CallEnd] = []
        self.calls: list[ObservedCall] = []

    def __call__(self, call: ObservedCall) -> CallListener:
        self.calls.append(call)
        return Told(call, self.story, self.ends)

    @property
    def end(self) -> CallEnd:
        [end] = self.ends
        return end


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def watched(server: Server, watch: Watch) -> AsyncIterator[TutuClient]:
    async with TutuClient(KEY, server.base_url, retry=QUICK, observers=[watch]) as client:
        yield client


async def test_a_listener_is_told_each_step_of_a_call_and_its_headers_are_sent(
    server: Server, watched: TutuClient, watch: Watch
) -> None:
    server.answers(fails(503, "busy"), says("hello"))
    answer = await watched.chat.completions.create(**ASKED)
    assert watch.story == [
        "call /chat/completions",
        "attempt 1",
        "head 503",
        "attempt failed",
        "attempt 2",
        "head 200",
        "usage 2",
        "attempt answered",
        "end answered",
        "returned",
    ]
    assert watch.end.answer is answer
    assert (watch.end.meta.attempts, watch.end.error) == (2, None)
    assert [sent.headers["X-Attempt"] for sent in server.requests] == ["1", "2"]
    assert [sent.headers["Authorization"] for sent in server.requests] == [f"Bearer {KEY}"] * 2


async def test_headers_of_a_listener_win_over_those_of_the_client(server: Server, watch: Watch) -> None:
    async with TutuClient(KEY, server.base_url, observers=[watch], default_headers={"x-attempt": "own"}) as client:
        await client.chat.completions.create(**ASKED)
    assert server.requests[0].headers.getall("X-Attempt") == ["1"]


@pytest.mark.parametrize(
    ("leave", "how"),
    [("read", "answered"), ("break", "closed"), ("block", "closed"), ("aclose", "closed"), ("lose", "dropped")],
)
async def test_the_end_of_a_stream_is_told_once_however_it_is_left(
    server: Server, watched: TutuClient, watch: Watch, leave: str, how: str
) -> None:
    server.answers(streams(WORDS))
    stream = await watched.chat.completions.create(**ASKED, stream=True)
    assert watch.story[-3:] == ["first content", "chunk a", "returned"]
    if leave in {"read", "break"}:
        async for _ in stream:
            if leave == "break":
                break
    elif leave == "block":
        async with stream:
            await anext(stream)
    elif leave == "aclose":
        await stream.aclose()
    else:
        with pytest.warns(ResourceWarning, match="dropped before its end"):
            del stream
    for _ in range(3):  # A finalizer leaves it to the loop to tell.
        await asyncio.sleep(0)
    gc.collect()
    assert watch.end.how == how
    assert watch.story[-2:] == [f"attempt {how}", f"end {how}"]
    assert watch.end.error is None


async def test_chunks_are_told_with_the_first_content_before_them(
    server: Server, watched: TutuClient, watch: Watch
) -> None:
    server.answers(streams([chunk(id="c"), *WORDS]))
    async with watched.chat.completions.stream(**ASKED) as stream:
        completion = await stream.completion()
    told = [words for words in watch.story if words.startswith(("first", "chunk"))]
    assert told[:3] == ["first content", "chunk a", "chunk b"]
    assert watch.end.answer.text == completion.text == "ab"


async def test_a_cancelled_call_and_a_cancelled_stream_end_so(
    server: Server, watched: TutuClient, watch: Watch
) -> None:
    server.answers(says("late", delay=30), streams([chunk("a")], done=False, then="hang"))
    whole = asyncio.create_task(watched.chat.completions.create(**ASKED))
    await until(lambda: bool(server.requests))
    whole.cancel()
    with pytest.raises(asyncio.CancelledError):
        await whole
    assert (watch.ends[0].how, type(watch.ends[0].error)) == ("cancelled", asyncio.CancelledError)

    stream = await watched.chat.completions.create(**ASKED, stream=True)
    reading = asyncio.create_task(stream.completion())
    await until(lambda: stream._reading._is_waiting)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert [end.how for end in watch.ends] == ["cancelled", "cancelled"]


async def test_errors_are_told_as_the_caller_gets_them(server: Server, watch: Watch) -> None:
    server.answers(
        fails(429, "slow down"),
        streams([chunk("a")], done=False, then="fin"),
        streams([chunk("a")], done=False, then="hang"),
    )
    timeout = Timeout(idle=0.1)
    async with TutuClient(KEY, server.base_url, max_retries=0, timeout=timeout, observers=[watch]) as client:
        raised: list[BaseException] = []
        for kind in (RateLimitError, IncompleteStreamError, StreamIdleTimeoutError):
            with pytest.raises(kind) as caught:
                stream = await client.chat.completions.create(**ASKED, stream=True)
                async for _ in stream:
                    pass
            raised.append(caught.value)
    assert [end.error for end in watch.ends] == raised
    assert [end.how for end in watch.ends] == ["failed"] * 3
    assert watch.ends[1].answer.text == "a"


async def test_a_call_that_gets_no_slot_makes_no_attempt(server: Server, watch: Watch) -> None:
    server.answers(says("late", delay=30))
    async with TutuClient(KEY, server.base_url, max_connections=1, observers=[watch]) as client:
        first = asyncio.create_task(client.chat.completions.create(**ASKED))
        await until(lambda: bool(server.requests))
        with pytest.raises(PoolTimeoutError):
            await client.chat.completions.create(**ASKED, timeout=Timeout(pool=0.01))
        first.cancel()
    assert watch.story.count("attempt 1") == 1
    assert watch.ends[0].how == "failed"


@pytest.mark.parametrize("read", ["parse", "read", "bytes", "leave", "lose"])
async def test_an_open_response_ends_the_call_when_its_body_is_read(
    server: Server, watched: TutuClient, watch: Watch, read: str
) -> None:
    server.answers(says("hello"))
    manager = watched.chat.completions.with_streaming_response.create(**ASKED)
    response = await manager.__aenter__()
    assert watch.ends == []
    if read == "parse":
        assert watch.story[-1] == "returned"
        assert (await response.parse()).text == "hello"
    elif read == "read":
        await response.read()
    elif read == "bytes":
        assert b"".join([piece async for piece in response.iter_bytes()])
    elif read == "leave":
        await manager.__aexit__(None, None, None)
    else:
        del manager, response
        gc.collect()
        await asyncio.sleep(0)
    assert watch.end.how == {"leave": "closed", "lose": "dropped"}.get(read, "answered")


async def test_a_raw_response_is_an_answered_call(server: Server, watched: TutuClient, watch: Watch) -> None:
    server.answers(says("hello"))
    await watched.chat.completions.with_raw_response.create(**ASKED)
    assert (watch.end.how, watch.end.answer.text) == ("answered", "hello")


async def test_what_is_told_hides_the_key_and_the_query(server: Server, watch: Watch) -> None:
    async with TutuClient(KEY, server.base_url, observers=[watch], default_query={"key": KEY}) as client:
        await client.models.list()
        with pytest.raises(Exception, match="404"):
            await client.get(f"/of/{KEY}?token={KEY}", cast_to=dict)
    first, second = watch.calls
    assert (first.method, first.path, first.url) == ("GET", "/models", f"{server.base_url}/models")
    assert (second.path, second.url) == ("/of/***", f"{server.base_url}/of/***")
    assert KEY not in repr(second)
    assert (first.model, first.fields, first.stream, first.makes_image) == ("", {}, False, False)


async def test_the_fields_of_a_form_are_seen_without_its_files(
    server: Server, watched: TutuClient, watch: Watch
) -> None:
    server.answers(sends({"text": "words"}))
    await watched.audio.transcriptions.create(model="whisper-1", file=("a.wav", WAV))
    [call] = watch.calls
    assert (call.model, "file" in call.fields) == ("whisper-1", False)


class _Fails(CallListener):
    def __init__(self, _: ObservedCall) -> None: ...

    def attempt_begins(self, number: int, headers: dict[str, str]) -> None:
        del number
        headers["Content-Length"] = "7"

    def head(self, meta: Meta) -> None:
        raise RuntimeError(meta)

    chunk = head  # type: ignore[assignment]

    def ends(self, end: CallEnd) -> None:
        raise ValueError(end)


async def test_what_an_observer_raises_is_logged_once_a_call_and_changes_nothing(
    server: Server, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: ObservedCall) -> None:
        raise KeyError(KEY)

    server.answers(streams(WORDS))
    async with TutuClient(KEY, server.base_url, observers=[broken, _Fails, watch]) as client:
        stream = await client.chat.completions.create(**ASKED, stream=True)
        assert (await stream.completion()).text == "ab"
    assert watch.end.how == "answered"
    assert [record.getMessage() for record in caplog.records] == [
        "POST /chat/completions: an observer raised KeyError",
        (
            "POST /chat/completions: the headers of an observer are not sent: the header 'Content-Length' controls how "
            "a request is framed on the connection, which is the client's task: leave it out"
        ),
        "POST /chat/completions: _Fails.head raised RuntimeError",
    ]


async def test_a_call_covers_what_middleware_makes_of_it(server: Server, watch: Watch) -> None:
    async def twice(request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
        first = await call_next(request)
        await first.aclose()
        return await call_next(request)

    async def whole(request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
        return await (await call_next(request)).completion()

    async with TutuClient(KEY, server.base_url, observers=[watch], middleware=[twice]) as client:
        server.answers(streams(WORDS), streams(WORDS))
        stream = await client.chat.completions.create(**ASKED, stream=True)
        assert watch.ends == []
        await stream.completion()
        assert (watch.end.how, watch.end.answer.text) == ("answered", "ab")
        watch.ends.clear()
        server.answers(streams(WORDS))
        await client.with_options(middleware=[whole]).chat.completions.create(**ASKED, stream=True)
        assert watch.end.how == "answered"


async def test_closing_the_client_ends_its_streams(server: Server, watch: Watch) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    async with TutuClient(KEY, server.base_url, observers=[watch]) as client:
        stream = await client.chat.completions.create(**ASKED, stream=True)
    assert watch.end.how == "closed"
    await stream.aclose()


async def test_a_stream_lost_while_its_loop_stands_still_is_told_at_once(server: Server, watch: Watch) -> None:
    client = TutuClient(KEY, server.base_url, observers=[watch])
    server.answers(streams([chunk("a")], done=False, then="hang"))

    def elsewhere() -> None:
        with asyncio.Runner() as runner:
            stream = runner.run(client.chat.completions.create(**ASKED, stream=True))
            with pytest.warns(ResourceWarning, match="dropped"):
                del stream
            assert watch.end.how == "dropped"
            runner.run(client.aclose())

    await asyncio.to_thread(elsewhere)
    assert len(watch.ends) == 1


def test_observers_are_checked_and_travel_with_the_client() -> None:
    with pytest.raises(ConfigError, match="observers must hold functions of an ObservedCall; got 'log'"):
        TutuClient(KEY, observers=["log"])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="observers must be a list of functions"):
        TutuClient(KEY).with_options(observers=print)  # type: ignore[arg-type]
    client = TutuClient(KEY, observers=[print]).with_options(observers=[repr])
    assert pickle.loads(pickle.dumps(client))._settings.observers == (repr,)  # noqa: S301  (our own)


def test_nobody_listens_unless_asked(caplog: pytest.LogCaptureFixture) -> None:
    assert not logging.getLogger("tutuclient").isEnabledFor(logging.INFO)
    assert caplog.records == []


# --- what may have been done ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "moment", "outcome"),
    [
        (None, "answering", "unknown"),
        (None, "waiting", "not_sent"),
        (fails(503, "busy"), "pausing", "rejected"),
        (fails(502, "gateway"), "pausing", "unknown"),
    ],
)
async def test_a_call_that_is_left_says_whether_it_may_have_been_done(
    server: Server, watch: Watch, first: Any, moment: str, outcome: str
) -> None:
    server.answers(first or says("late", delay=30))
    if first is not None:
        server.answers(says("late", delay=30))
    slow = RetryPolicy(max_retries=2, wait_initial=20, wait_max=30)
    async with TutuClient(KEY, server.base_url, max_concurrency=1, retry=slow) as client:
        watched = client.with_options(observers=[watch])
        holding = asyncio.ensure_future(client.chat.completions.create(**ASKED)) if moment == "waiting" else None
        if holding is not None:
            await until(lambda: len(server.requests) == 1)
        task = asyncio.ensure_future(watched.chat.completions.create(**ASKED))
        if holding is None:
            await until(lambda: len(server.requests) == 1)
            await until(lambda: moment == "answering" or "attempt failed" in watch.story)
        await asyncio.sleep(0)
        for each in (task, holding):
            if each is not None:
                each.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await each
    [end] = watch.ends
    assert (end.how, end.outcome) == ("cancelled", outcome)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_log_says_that_an_order_which_was_left_may_be_billed(
    server: Server, client: TutuClient, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    caplog.set_level(logging.INFO, "tutuclient")
    if not stream:
        server.answers(says("late", delay=30))
    task = asyncio.ensure_future(client.edit(png(bytes(30)), "a sky", stream=stream))
    if stream:
        answer: Any = await task
        await answer.aclose()
    else:
        await until(lambda: len(server.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert f"outcome={'closed' if stream else 'cancelled'}(unknown) " in caplog.messages[-1]
