"""Legacy completions over a real socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tutuclient import (
    APIStatusError,
    ConfigError,
    IncompleteStreamError,
    InternalServerError,
    OutcomeUnknownError,
    UnexpectedResponseError,
)
from tutuclient.testing import fails, raw, streams

if TYPE_CHECKING:
    from tutuclient import TutuClient
    from tutuclient.testing import Server
    from tutuclient.testing.exchange import Answer


def completes(*texts: str, **fields: Any) -> Answer:
    choices = [{"index": index, "text": text, "finish_reason": "stop"} for index, text in enumerate(texts)]
    whole = {"id": "c1", "object": "text_completion", "created": 5, "model": "m", "choices": choices}
    return raw(body=json.dumps(whole | fields).encode())


async def test_a_whole_completion_has_text_usage_and_meta(client: TutuClient, server: Server) -> None:
    server.answers(completes(" world", "!", usage={"prompt_tokens": 1, "completion_tokens": 2}))
    answer = await client.completions.create(model="m", prompt="hello", n=2, extra_body={"top_k": 5})
    assert (answer.text, [choice.text for choice in answer.choices]) == (" world", [" world", "!"])
    assert answer.usage is not None
    assert (answer.finish_reason, answer.usage.total_tokens, answer.meta.status) == ("stop", 3, 200)
    assert server.requests[0].path == "/v1/completions"
    assert server.requests[0].json == {"model": "m", "prompt": "hello", "n": 2, "top_k": 5}


@pytest.mark.parametrize("prompt", ["a", ["a", "b"], [1, 2], [[1], [2]], None])
async def test_a_prompt_may_be_text_or_tokens(client: TutuClient, server: Server, prompt: Any) -> None:
    server.answers(completes("x"))
    await client.completions.create(model="m", prompt=prompt)
    assert server.requests[0].json["prompt"] == prompt


async def test_what_is_not_a_completion_is_an_error(client: TutuClient, server: Server) -> None:
    server.answers(raw(body=b'{"object":"text_completion"}'), raw(body=b'{"error":{"message":"no"}}'))
    with pytest.raises(UnexpectedResponseError, match="without choices"):
        await client.completions.create(model="m", prompt="a")
    with pytest.raises(APIStatusError, match="no"):
        await client.completions.create(model="m", prompt="a")


async def test_a_busy_relay_is_asked_again(client: TutuClient, server: Server) -> None:
    server.answers(fails(503, "busy"), completes("x"))
    assert (await client.completions.create(model="m", prompt="a")).meta.attempts == 2


async def test_a_model_that_draws_is_not_asked_twice_in_silence(client: TutuClient, server: Server) -> None:
    server.faults("fin_after_request", times=3)
    with pytest.raises(OutcomeUnknownError):
        await client.completions.create(model="gpt-4o-image", prompt="a")
    assert len(server.requests) == 1


async def test_what_cannot_be_written_is_not_sent(client: TutuClient, server: Server) -> None:
    with pytest.raises(ConfigError):
        await client.completions.create(model="m", prompt="a", extra_body={"x": object()})
    assert server.requests == []


def event(text: str = "", *, index: int = 0, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": index, "text": text, "finish_reason": finish_reason}
    return {"id": "c1", "object": "text_completion", "model": "m", "choices": [choice]} | fields


USAGE = {"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}


async def test_a_stream_gives_texts_as_they_come_and_usage_behind_them(client: TutuClient, server: Server) -> None:
    server.answers(streams([event("a"), {}, event("b"), event("", finish_reason="stop"), USAGE]))
    async with await client.completions.create(model="m", prompt="x", stream=True) as stream:
        events = [each async for each in stream]
    assert [each.text for each in events] == ["a", "b", "", ""]
    assert events[2].finish_reason == "stop"
    assert events[3].usage is not None
    assert (events[3].usage.total_tokens, events[0].meta.status, stream.meta.status) == (3, 200, 200)
    assert server.requests[0].json == {"model": "m", "prompt": "x", "stream": True}


@pytest.mark.parametrize(
    ("frames", "done"),
    [([event("a"), event(finish_reason="stop")], False), ([event("a"), event("b")], True)],
    ids=["a reason without [DONE]", "[DONE] without a reason"],
)
async def test_a_reason_or_done_ends_a_stream(
    client: TutuClient, server: Server, frames: list[dict[str, Any]], done: bool
) -> None:
    server.answers(streams(frames, done=done))
    async with await client.completions.create(model="m", prompt="x", stream=True) as stream:
        assert len([each async for each in stream]) == 2


@pytest.mark.parametrize("then", ["end", "fin", "reset"])
async def test_a_cut_stream_is_an_error_behind_what_came(
    client: TutuClient, server: Server, then: Literal["end", "fin", "reset"]
) -> None:
    server.answers(streams([event("a")], done=False, then=then))
    texts = []
    with pytest.raises(IncompleteStreamError) as caught:
        async with await client.completions.create(model="m", prompt="x", stream=True) as stream:
            async for each in stream:
                texts.append(each.text)  # noqa: PERF401  (what came before the error counts)
    assert (texts, caught.value.outcome, len(server.requests)) == (["a"], "unknown", 1)


async def test_an_error_within_a_stream_is_an_error(client: TutuClient, server: Server) -> None:
    server.answers(streams([event("a"), {"error": {"message": "overloaded", "code": 503}}]))
    with pytest.raises(InternalServerError, match="overloaded"):
        async with await client.completions.create(model="m", prompt="x", stream=True) as stream:
            async for _ in stream:
                pass
    server.answers(streams([{"error": {"message": "busy", "code": 503}}]), streams([event("b", finish_reason="stop")]))
    async with await client.completions.create(model="m", prompt="x", stream=True) as stream:
        assert [each.text async for each in stream] == ["b"]
    assert stream.meta.attempts == 2


async def test_a_whole_answer_to_a_stream_is_one_event(client: TutuClient, server: Server) -> None:
    server.answers(completes("all of it"))
    async with await client.completions.create(model="m", prompt="x", stream=True) as stream:
        events = [each async for each in stream]
    assert [(each.text, each.finish_reason) for each in events] == [("all of it", "stop")]
    assert events[0].meta.status == 200


async def test_a_stream_nobody_asked_for_is_put_together(client: TutuClient, server: Server) -> None:
    frames = [event("a"), event("x", index=1), event("b", finish_reason="stop"), event("y", index=1), USAGE]
    server.answers(streams(frames))
    answer = await client.completions.create(model="m", prompt="x", n=2)
    assert [(each.index, each.text, each.finish_reason) for each in answer.choices] == [
        (0, "ab", "stop"),
        (1, "xy", None),
    ]
    assert answer.usage is not None
    assert (answer.id, answer.usage.total_tokens, answer.meta.status) == ("c1", 3, 200)
    server.answers(*[streams([event("a")], done=False)] * 3)
    with pytest.raises(IncompleteStreamError):
        await client.completions.create(model="m", prompt="x")


def piece(text: str, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "text": text, "finish_reason": reason, **fields}]}


def lines(*frames: dict[str, Any]) -> Answer:
    body = b"".join(json.dumps(frame).encode() + b"\n" for frame in frames)
    return raw(body=body, headers={"Content-Type": "application/x-ndjson"})


async def read(client: TutuClient, *, stream: bool, **fields: Any) -> tuple[str, str | None, int | None]:
    if not stream:
        answer = await client.completions.create(model="m", prompt="a", **fields)
        return answer.text, answer.finish_reason, answer.usage and answer.usage.total_tokens
    text, reason, total = "", None, None
    async for event in await client.completions.create(model="m", prompt="a", stream=True, **fields):
        text, reason = text + event.text, event.finish_reason or reason
        total = event.usage.total_tokens if event.usage and event.usage.total_tokens else total
    return text, reason, total


USED = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        lines(piece("he"), piece("llo", "stop"), {"choices": [], "usage": USED}),
        lines(piece("he"), piece("llo", "stop", usage=USED)),
        raw(body=json.dumps([piece("he"), piece("llo", "stop", usage=USED)]).encode()),
        streams([piece("he"), piece("llo", "stop"), {"choices": [], "usage": USED}, b"data: bye\n\n"]),
        streams(
            [piece("he"), piece("llo", "stop"), {"x_groq": {"usage": USED}, "choices": []}, b"[DONE]\n\n"], done=False
        ),
        streams(
            [piece("he") | {"usage": USED}, piece("llo", "stop") | {"usage": {}}, b'data: "[DONE]"\n\n'], done=False
        ),
    ],
    ids=["lines", "lines, usage in the choice", "an array", "junk behind it", "bare [DONE]", "[DONE] in quotes"],
)
async def test_a_stream_of_another_form_is_read(
    client: TutuClient, server: Server, answer: Answer, stream: bool
) -> None:
    server.answers(answer)
    assert await read(client, stream=stream) == ("hello", "stop", 3)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("write", [lines, lambda *frames: streams(frames, done=False)], ids=["lines", "events"])
@pytest.mark.parametrize("reason", [None, "null", "", "undefined"], ids=repr)
async def test_an_invalid_finish_reason_ends_nothing(
    client: TutuClient, server: Server, write: Any, stream: bool, reason: str | None
) -> None:
    server.answers(write(piece("he", reason), piece("llo", reason)))
    with pytest.raises(IncompleteStreamError) as caught:
        await read(client.with_options(max_retries=0), stream=stream)
    assert stream or (caught.value.partial is not None and caught.value.partial.text == "hello")


@pytest.mark.parametrize("stream", [False, True])
async def test_every_text_that_was_asked_for_must_end(client: TutuClient, server: Server, stream: bool) -> None:
    once = client.with_options(max_retries=0)
    frames = [piece("a", "stop"), piece("b", "stop", index=1)]
    for fields, enough in (
        ({"n": 2}, True),
        ({"n": 3}, False),
        ({"prompt": ["x", "y"]}, True),
        ({"prompt": ["x"] * 3}, False),
    ):
        server.answers(streams(frames, done=False))
        asked: dict[str, Any] = {"model": "m", "prompt": "a", "stream": stream, **fields}
        create: Any = once.completions.create(**asked)
        try:
            answer: Any = await create
            assert len([event async for event in answer] if stream else answer.choices) == 2
        except IncompleteStreamError:
            assert not enough
        else:
            assert enough


@pytest.mark.parametrize("stream", [False, True])
async def test_a_usage_in_the_choice_is_read(client: TutuClient, server: Server, stream: bool) -> None:
    server.answers(raw(body=json.dumps(piece("hello", "stop", usage=USED)).encode()))
    assert await read(client, stream=stream) == ("hello", "stop", 3)
