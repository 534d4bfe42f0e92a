"""Chat over a real socket: whole answers and streams, read, broken off and cut."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY, QUICK
from tests.differing import difference
from tests.leftovers import reader_waits
from tutuclient import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ChatCompletion,
    ChatStream,
    ConfigError,
    FirstTokenTimeoutError,
    IncompleteStreamError,
    InternalServerError,
    MediaError,
    RateLimitError,
    StreamIdleTimeoutError,
    Timeout,
    TutuClient,
    file,
    image,
    user,
)
from tutuclient.testing import Server, chunk, draws, fails, raw, says, streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WORDS = ["the ", "cat ", "sat"]
FRAMES = [chunk(role="assistant", content=""), *map(chunk, WORDS), chunk(finish_reason="stop")]


async def open_stream(client: TutuClient, **fields: Any) -> ChatStream:
    create = client.chat.completions.create
    stream: ChatStream = await create(model="m", messages=[user("hi")], stream=True, **fields)
    return stream


async def test_a_whole_answer_has_text_usage_and_meta(client: TutuClient, server: Server) -> None:
    server.answers(says("你好", provider="p"))
    answer = await client.chat.completions.create(model="m", messages=[user("hi")])
    assert answer.text == "你好"
    assert answer.finish_reason == "stop"
    assert answer.usage is not None
    assert answer.meta.status == 200
    assert answer.meta.request_id == answer.meta.headers["x-oneapi-request-id"]
    assert answer.meta.attempts == 1
    assert 0 < answer.meta.headers_s <= answer.meta.elapsed_s
    assert answer.choices[0].message.extra == {"provider": "p"}
    assert json.loads(answer.raw)["choices"]


async def test_a_stream_gives_chunks_as_they_come(client: TutuClient, server: Server) -> None:
    server.answers(streams(FRAMES))
    stream = await open_stream(client)
    assert [piece.text async for piece in stream] == ["", *WORDS, ""]
    completion = await stream.completion()
    assert completion.text == "the cat sat"
    assert completion.finish_reason == "stop"
    assert completion.usage is None
    assert completion.meta.status == 200
    assert server.requests[0].json["stream"] is True


async def test_a_stream_gives_text(client: TutuClient, server: Server) -> None:
    server.answers(streams(FRAMES))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        assert [piece async for piece in stream.text()] == WORDS
        assert (await stream.completion()).text == "the cat sat"
        assert (await stream.get_final_completion()).text == "the cat sat"
        await stream.close()


async def test_a_chunk_is_there_before_the_next_is_sent(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        assert (await anext(stream)).text == "a"
    await server.wait_closed()


async def test_anext_and_iteration_take_from_the_same_stream(client: TutuClient, server: Server) -> None:
    server.answers(streams(FRAMES))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        first = await anext(stream)
        rest = [piece.text async for piece in stream]
    assert [first.text, *rest] == ["", *WORDS, ""]


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_the_cuts_between_reads_do_not_matter(client: TutuClient, server: Server, size: int) -> None:
    server.answers(streams([chunk("你好"), chunk("，世界"), chunk(finish_reason="stop")], chunk_sizes=size))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        assert (await stream.completion()).text == "你好，世界"


@pytest.mark.slow
async def test_a_line_of_16_mib_is_read(client: TutuClient, server: Server) -> None:
    big = "x" * (16 * 2**20)
    server.answers(streams([chunk(big), chunk(finish_reason="stop")]))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        pieces = [piece async for piece in stream.text()]
    assert len(pieces) == 1
    assert difference(pieces[0], big) == ""


async def test_a_finished_stream_leaves_its_connection_to_the_next_call(client: TutuClient, server: Server) -> None:
    for _ in range(3):
        async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
            await stream.completion()
    assert len({seen.connection for seen in server.requests}) == 1


async def _leave_the_block(stream: ChatStream) -> None:
    async with stream:
        await anext(stream)


async def _break(stream: ChatStream) -> None:
    async for _ in stream:
        break


async def _break_out_of_text(stream: ChatStream) -> None:
    async for _ in stream.text():
        break


async def _close(stream: ChatStream) -> None:
    await stream.aclose()
    await stream.aclose()


async def _cancel(stream: ChatStream) -> None:
    async def read() -> None:
        async for _ in stream:
            pass

    task = asyncio.create_task(read())
    await reader_waits(stream)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _fail_within(stream: ChatStream) -> None:
    with pytest.raises(ZeroDivisionError):
        async for _ in stream:
            raise ZeroDivisionError


@pytest.mark.parametrize("leave", [_leave_the_block, _break, _break_out_of_text, _close, _cancel, _fail_within])
async def test_a_stream_that_is_left_is_closed_at_once(client: TutuClient, server: Server, leave: Any) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    stream = await open_stream(client)
    await leave(stream)
    await server.wait_closed(timeout=10)
    await server.until(lambda: server.open_connections == 0)
    assert (await client.chat.completions.create(model="m", messages=[user("hi")])).text
    with pytest.raises(APIConnectionError, match="closed before its end"):
        await stream.completion()
    assert stream.partial is not None
    assert stream.partial.text == "a"


READINGS: dict[str, Any] = {
    "chunks": aiter,
    "text": lambda stream: stream.text(),
}


@pytest.mark.parametrize("again", ["chunks", "text", "completion", "anext"])
@pytest.mark.parametrize("way", READINGS.values(), ids=READINGS)
@pytest.mark.parametrize("pause", [None, 0, 0.02])
@pytest.mark.parametrize("then", ["hang", "end"])
async def test_reading_on_after_a_break_is_one_error_always(
    client: TutuClient, server: Server, again: str, way: Any, pause: float | None, then: str
) -> None:
    server.answers(streams(FRAMES) if then == "end" else streams(FRAMES[:3], done=False, then="hang"))
    async with await open_stream(client) as stream:
        async for _ in way(stream):
            break
        if pause is not None:
            await asyncio.sleep(pause)
        for _ in range(2):
            with pytest.raises(APIConnectionError, match="closed before its end") as caught:
                await read_again(stream, again)
            assert caught.value.outcome == "unknown"
    if then == "hang":
        await server.wait_closed(timeout=10)


async def read_again(stream: ChatStream, again: str) -> object:
    if again == "completion":
        return await stream.completion()
    if again == "anext":
        return await anext(stream)
    return [piece async for piece in READINGS[again](stream)]


@pytest.mark.parametrize("way", READINGS.values(), ids=READINGS)
async def test_a_finished_stream_that_is_read_again_says_so(client: TutuClient, server: Server, way: Any) -> None:
    server.answers(streams(FRAMES))
    async with await open_stream(client) as stream:
        assert len([piece async for piece in way(stream)]) >= 3
        for again in ("chunks", "text"):
            with pytest.raises(ConfigError, match=r"read to its end already; await completion\(\)"):
                await read_again(stream, again)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert (await stream.completion()).text == "the cat sat"


async def test_one_task_may_read_on_with_another_loop(client: TutuClient, server: Server) -> None:
    server.answers(streams(FRAMES), streams(FRAMES))
    async with await open_stream(client) as stream:
        first = await anext(stream)
        rest = [chunk.text async for chunk in stream]
        assert (first.text, *rest) == ("", *WORDS, "")
    async with await open_stream(client) as stream:
        chunks = aiter(stream)
        await anext(chunks)
        await anext(chunks)
        assert (await stream.completion()).text == "the cat sat"


@pytest.mark.parametrize(
    ("first", "second"),
    # Two that call anext on the stream share one iterator, in turns.
    [
        (one, other)
        for one in (*READINGS, "anext")
        for other in ("chunks", "text", "completion", "anext")
        if one != other
    ],
)
@pytest.mark.parametrize("busy", [True, False], ids=["waiting", "at work"])
async def test_a_second_reader_disturbs_neither(
    client: TutuClient, server: Server, first: str, second: str, busy: bool
) -> None:
    server.answers(streams(FRAMES, delay=0.05))
    async with await open_stream(client) as stream:
        began = asyncio.Event()

        async def read() -> str:
            text = ""
            async for piece in READINGS[first](stream) if first in READINGS else endless(stream):
                text += piece if isinstance(piece, str) else piece.text
                began.set()
                if not busy:
                    await asyncio.sleep(0.03)
            return text

        reading = asyncio.create_task(read())
        await began.wait()
        if busy:
            await asyncio.sleep(0.001)
        for _ in range(3):
            with pytest.raises(ConfigError, match="is being read already"):
                await read_again(stream, second)
            await asyncio.sleep(0.005)
        assert await reading == "the cat sat"


async def endless(stream: ChatStream) -> AsyncIterator[Any]:
    while True:
        try:
            yield await anext(stream)
        except StopAsyncIteration:
            return


async def test_a_stream_is_read_in_its_own_event_loop(client: TutuClient, server: Server) -> None:
    server.answers(streams(FRAMES, delay=0.02))
    async with await open_stream(client) as stream:
        for again in ("chunks", "text", "completion", "anext"):
            with pytest.raises(ConfigError, match="another event loop"):
                await asyncio.to_thread(asyncio.run, read_again(stream, again))
        assert (await anext(stream)).text == ""
        with pytest.raises(ConfigError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, read_again(stream, "anext"))
        assert (await stream.completion()).text == "the cat sat"


async def test_lines_of_json_are_given_as_they_come(client: TutuClient, server: Server) -> None:
    """Kind D: langchainjs PR 3241."""
    lines = [json.dumps(frame).encode() + b"\n" for frame in FRAMES]
    server.answers(streams(lines[:3], done=False, then="hang"), streams(lines[:3], done=False, then="reset"))
    for cls, timeout in ((StreamIdleTimeoutError, Timeout(idle=0.2)), (IncompleteStreamError, Timeout(total=5))):
        texts: list[str] = []
        async with await open_stream(client, timeout=timeout) as stream:
            with pytest.raises(cls) as caught:
                async for piece in stream.text():
                    texts.append(piece)  # noqa: PERF401  (what came before an error counts)
        assert texts == WORDS[:2]
        assert caught.value.partial is not None
        assert caught.value.partial.text == "the cat "


async def test_all_choices_that_were_asked_for_must_end(client: TutuClient, server: Server) -> None:
    """Kind E, for ``n``."""
    frames = [chunk("a", finish_reason="stop"), chunk("b", index=1, finish_reason="stop")]
    for n, whole in ((2, True), (3, False)):
        for stream in (True, False):
            server.answers(streams(frames, done=False))
            asking = client.with_options(max_retries=0).chat.completions.create(
                model="m", messages=[user("hi")], n=n, stream=stream
            )
            if whole:
                assert len((await whole_of(asking)).choices) == 2
                continue
            with pytest.raises(IncompleteStreamError) as caught:
                await whole_of(asking)
            assert caught.value.partial is not None
            assert [choice.message.text for choice in caught.value.partial.choices] == ["a", "b"]


async def whole_of(asking: Any) -> ChatCompletion:
    answer: ChatCompletion | ChatStream = await asking
    return await answer.completion() if isinstance(answer, ChatStream) else answer


async def test_a_stream_that_is_lost_is_closed_with_one_warning(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    stream = await open_stream(client)
    with pytest.warns(ResourceWarning, match="ChatStream") as caught:
        del stream
        gc.collect()
        await server.wait_closed(timeout=10)
    assert len(caught) == 1


async def test_a_stream_that_is_lost_half_read_is_closed_without_the_garbage_collector(
    client: TutuClient, server: Server
) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    stream = await open_stream(client)
    assert (await anext(stream)).text == "a"
    gc.disable()
    try:
        with pytest.warns(ResourceWarning, match="ChatStream"):
            del stream
        await server.wait_closed(timeout=10)
    finally:
        gc.enable()


async def test_a_slot_is_held_until_the_stream_is_closed(server: Server) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    async with TutuClient(KEY, server.base_url, max_concurrency=1, retry=QUICK) as client:
        stream = await open_stream(client)
        with pytest.raises(APITimeoutError):
            await client.models.list(timeout=0.1)
        await stream.aclose()
        assert len(await client.models.list())


async def test_a_cut_stream_is_never_passed_off_as_an_answer(client: TutuClient, server: Server) -> None:
    server.answers(streams(FRAMES[:3], done=False))
    stream = await open_stream(client)
    with pytest.raises(IncompleteStreamError) as caught:
        await stream.completion()
    error = caught.value
    assert error.partial is not None
    assert error.partial.text == "the cat "
    assert error.outcome == "unknown"
    assert error.attempts == 1
    assert error.request_id == stream.meta.request_id
    assert len(server.requests) == 1
    with pytest.raises(IncompleteStreamError):
        await stream.completion()


@pytest.mark.parametrize("then", ["fin", "reset"])
async def test_a_connection_cut_mid_stream_is_the_same(client: TutuClient, server: Server, then: Any) -> None:
    server.answers(streams(FRAMES[:3], done=False, then=then))
    stream = await open_stream(client)
    with pytest.raises(IncompleteStreamError, match="broke") as caught:
        await stream.completion()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "the cat "
    assert caught.value.request_id


@pytest.mark.parametrize("then", ["end", "fin", "reset"])
async def test_nothing_is_missing_once_the_reason_has_come(client: TutuClient, server: Server, then: Any) -> None:
    server.answers(streams(FRAMES, done=False, then=then))
    stream = await open_stream(client)
    assert (await stream.completion()).text == "the cat sat"


async def test_done_without_a_reason_is_taken_and_no_reason_invented(client: TutuClient, server: Server) -> None:
    server.answers(streams(FRAMES[:-1]), streams(FRAMES[:-1]))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        completion = await stream.completion()
    assert completion.finish_reason is None
    strict = client.with_options(strict_finish=True)
    async with strict.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        with pytest.raises(IncompleteStreamError, match="strict_finish|finish_reason"):
            await stream.completion()


@pytest.mark.parametrize("frames", [[], [b": PING\n\n"], ["{}"], [{"choices": [], "usage": {"total_tokens": 1}}]])
async def test_a_stream_of_nothing_is_an_error(client: TutuClient, server: Server, frames: list[Any]) -> None:
    server.answers(*[streams(frames)] * 3)
    with pytest.raises(IncompleteStreamError, match="without a single event"):
        async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
            await stream.completion()


async def test_an_error_as_first_event_is_tried_again(client: TutuClient, server: Server) -> None:
    server.answers(streams([{"error": {"message": "overloaded", "code": 503}}]), streams(FRAMES))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        assert (await stream.completion()).text == "the cat sat"
    assert stream.meta.attempts == 2


async def test_an_error_after_chunks_raises_with_what_came(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a"), {"error": {"message": "boom", "code": "rate_limit_exceeded"}}]))
    seen = []
    with pytest.raises(RateLimitError, match="boom") as caught:
        async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
            async for piece in stream.text():
                seen.append(piece)  # noqa: PERF401  (the pieces before the error count)
    assert seen == ["a"]
    assert caught.value.partial is not None
    assert caught.value.partial.text == "a"
    assert len(server.requests) == 1


async def test_an_error_in_place_of_a_stream_has_its_status(client: TutuClient, server: Server) -> None:
    server.answers(*[fails(500, "busy")] * 3)
    with pytest.raises(InternalServerError, match="busy") as caught:
        await open_stream(client)
    assert caught.value.attempts == 3


async def test_a_whole_answer_where_a_stream_was_asked_for_is_one_chunk(client: TutuClient, server: Server) -> None:
    body = {"id": "c", "choices": [{"message": {"content": "all at once"}, "finish_reason": "stop"}]}
    server.answers(raw(body=json.dumps(body).encode()))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        assert [piece async for piece in stream.text()] == ["all at once"]
        assert (await stream.completion()).finish_reason == "stop"


async def test_a_stream_where_a_whole_answer_was_asked_for_is_folded(client: TutuClient, server: Server) -> None:
    server.answers(streams(FRAMES), streams(FRAMES[:2], done=False))
    answer = await client.chat.completions.create(model="m", messages=[user("hi")])
    assert answer.text == "the cat sat"
    assert answer.meta.status == 200
    with pytest.raises(IncompleteStreamError) as caught:
        await client.with_options(max_retries=0).chat.completions.create(model="m", messages=[user("hi")])
    assert caught.value.partial is not None
    assert caught.value.partial.text == "the "


async def test_silence_in_content_ends_the_stream_though_pings_come(client: TutuClient, server: Server) -> None:
    server.faults("pings_forever", after=2)
    stream = await open_stream(client, timeout=Timeout(idle=0.3, first_token=5))
    with pytest.raises(StreamIdleTimeoutError, match="0.3 s"):
        await stream.completion()
    await server.wait_closed(timeout=10)


async def test_empty_frames_are_no_content_either(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a"), *[chunk("")] * 100], delay=0.03))
    stream = await open_stream(client, timeout=Timeout(idle=0.3))
    with pytest.raises(StreamIdleTimeoutError):
        await stream.completion()


async def test_an_error_behind_empty_frames_is_still_tried_again(client: TutuClient, server: Server) -> None:
    first: dict[str, Any] = {"choices": [], "prompt_filter_results": []}
    server.answers(streams([first, chunk(role="assistant"), {"error": {"message": "busy", "code": 503}}]), says("now"))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        assert (await stream.completion()).text == "now"


async def test_time_the_reader_takes_does_not_count_as_idle(client: TutuClient, server: Server) -> None:
    server.answers(streams(FRAMES))
    async with client.chat.completions.stream(model="m", messages=[user("hi")], timeout=Timeout(idle=0.1)) as stream:
        async for _ in stream:
            await asyncio.sleep(0.15)
        assert (await stream.completion()).text == "the cat sat"


async def test_the_first_token_has_a_limit_of_its_own(client: TutuClient, server: Server) -> None:
    server.answers(*[says("late", delay=1)] * 3)
    once = client.with_options(max_retries=0)
    with pytest.raises(FirstTokenTimeoutError) as caught:
        await open_stream(once, timeout=Timeout(first_token=0.1))
    assert caught.value.outcome == "unknown"


async def test_the_deadline_ends_a_stream_that_talks_on(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a")] * 100, delay=0.05))
    stream = await open_stream(client, timeout=0.3)
    with pytest.raises(APITimeoutError, match="deadline of 0.3 s") as caught:
        await stream.completion()
    assert caught.value.partial is not None
    assert "a" in caught.value.partial.text


async def test_tool_calls_are_folded_and_go_back_with_what_only_the_relay_understands(
    client: TutuClient, server: Server
) -> None:
    first = {"index": 0, "id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"ci'}}
    first["extra_content"] = {"google": {"thought_signature": "s"}}
    second = {"index": 0, "function": {"arguments": 'ty":"Oslo"}'}}
    server.answers(
        streams([chunk(tool_calls=[first]), chunk(tool_calls=[second]), chunk(finish_reason="tool_calls")]), says("4 C")
    )
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        message = (await stream.completion()).message
    assert message.content is None
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == '{"city":"Oslo"}'
    await client.chat.completions.create(
        model="m", messages=[user("hi"), message, {"role": "tool", "tool_call_id": "t1", "content": "4 C"}]
    )
    sent = server.requests[1].json["messages"][1]
    assert sent["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "s"}}
    assert sent["content"] is None


async def test_images_beside_a_streamed_text_are_in_the_folded_answer(client: TutuClient, server: Server) -> None:
    for form in ("images", "b64", "url", "progress"):
        server.answers(draws(form=form))
        stream = await client.edit("https://pics.example/cat.png", "sky", stream=True)
        completion = await stream.completion()
        assert len(completion.images) == 1, form
        assert (await completion.images[0].read()).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["missing.png", "", "text.png", "empty.png"])
async def test_an_image_that_cannot_be_used_is_reported_before_anything_is_sent(
    client: TutuClient, server: Server, tmp_path: Path, name: str
) -> None:
    (tmp_path / "text.png").write_text("hello, I am a text\n" * 9)
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(MediaError):
        await client.analyze(tmp_path / name, "what?")
    assert server.requests == []


async def test_a_path_or_bytes_may_stand_in_a_plain_message(client: TutuClient, server: Server, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 99)
    server.answers(*[says("seen")] * 3)
    urls: list[Any] = [picture, picture.read_bytes()]
    for url in urls:
        await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
        )
    await client.chat.completions.create(model="m", messages=[user("what?", image(picture, detail="low"))])
    for seen in server.requests:
        part = seen.json["messages"][0]["content"][-1]
        assert part["image_url"]["url"].startswith("data:image/png;base64,iVBORw0K")


async def test_a_large_file_is_streamed_with_its_length_and_read_again_for_a_retry(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4000)
    server.answers(fails(503, "later"), says("seen"))
    answer = await client.analyze(picture, "what?")
    assert answer.meta.attempts == 2
    first, second = server.requests
    assert int(first.headers["Content-Length"]) == first.size_bytes == second.size_bytes
    assert first.sha256 == second.sha256
    assert "Transfer-Encoding" not in first.headers


async def test_a_file_that_changes_while_it_is_sent_again_is_refused(
    client: TutuClient, server: Server, tmp_path: Path
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 200_000)

    def change(_: object) -> Any:
        picture.write_bytes(b"\x89PNG\r\n\x1a\n" + b"1" * 300_000)
        return fails(503, "later")

    server.answers(change)
    with pytest.raises(MediaError, match="chang"):
        await client.analyze(picture, "what?")
    assert len(server.requests) == 1


async def test_several_choices_are_kept_apart_when_they_were_asked_for(client: TutuClient, server: Server) -> None:
    frames = [chunk("a", index=0), chunk("b", index=1), chunk(index=0, finish_reason="stop")]
    frames.append(chunk(index=1, finish_reason="length"))
    server.answers(streams(frames), streams(frames))
    async with client.chat.completions.stream(model="m", messages=[user("hi")], n=2) as stream:
        two = await stream.completion()
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        one = await stream.completion()
    assert [choice.message.content for choice in two.choices] == ["a", "b"]
    assert [choice.message.content for choice in one.choices] == ["ab"]


async def test_a_manager_never_entered_says_nothing(client: TutuClient) -> None:
    client.chat.completions.stream(model="m", messages=[user("hi")])
    gc.collect()


async def test_every_error_in_a_stream_is_an_api_error(client: TutuClient, server: Server) -> None:
    async def read() -> AsyncIterator[str]:
        async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
            async for piece in stream.text():
                yield piece

    for fault in ("reset_mid_stream", "fin_mid_stream", "cut_in_event", "broken_json_frame", "plain_text_frame"):
        server.faults(fault)
        with pytest.raises(APIError) as caught:
            [piece async for piece in read()]
        assert caught.value.partial is not None, fault


async def test_a_block_is_entered_once(client: TutuClient) -> None:
    manager = client.chat.completions.stream(model="m", messages=[user("hi")])
    async with manager as stream:
        await stream.completion()
    with pytest.raises(ConfigError, match="once"):
        await manager.__aenter__()


async def test_a_file_goes_to_the_relay_as_a_part(client: TutuClient, server: Server) -> None:
    await client.chat.completions.create(model="m", messages=[user("sum it up", file(b"a,b", filename="t.csv"))])
    assert server.requests[0].json["messages"][0]["content"][1] == {
        "type": "file",
        "file": {"filename": "t.csv", "file_data": "data:text/csv;base64,YSxi"},
    }


async def test_a_usage_beside_the_piece_in_an_envelope_takes_nothing_of_it(client: TutuClient, server: Server) -> None:
    pieces = [chunk("he"), chunk("llo"), chunk(finish_reason="stop")]
    server.answers(streams([{"code": 200, "data": piece, "usage": {"total_tokens": 3}} for piece in pieces]))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        completion = await stream.completion()
    assert (completion.text, completion.finish_reason) == ("hello", "stop")
    assert completion.usage is not None
    assert completion.usage.total_tokens == 3
