"""Streams of images over a real socket: drafts, whole images, and those that failed."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.forms import Entry, entries_of
from tests.images import png
from tutuclient import (
    APIError,
    ContentPolicyError,
    IncompleteStreamError,
    InternalServerError,
    OutcomeUnknownError,
    TutuClient,
)
from tutuclient.testing import raw, streams

if TYPE_CHECKING:
    from pathlib import Path

    from tutuclient.testing import Server
    from tutuclient.testing.exchange import Answer, Recorded
    from tutuclient.types import ImageStreamEvent

PNG = png(bytes(range(256)))
B64 = base64.b64encode(PNG).decode()


def lists(*pictures: dict[str, Any], **fields: Any) -> Answer:
    return raw(body=json.dumps({"created": 5, "data": list(pictures), **fields}).encode())


def form_of(request: Recorded) -> list[Entry]:
    assert request.size_bytes == len(request.body) == int(request.headers["Content-Length"])
    return entries_of(request.headers["Content-Type"], request.body)


def draft(index: int, kind: str = "image_generation") -> dict[str, Any]:
    return {"type": f"{kind}.partial_image", "b64_json": B64, "partial_image_index": index}


def final(kind: str = "image_generation", **fields: Any) -> dict[str, Any]:
    return {"type": f"{kind}.completed", "b64_json": B64, "usage": {"input_tokens": 1, "output_tokens": 2}} | fields


@pytest.mark.parametrize("page", ["generate", "edit"])
async def test_drafts_come_before_the_image(client: TutuClient, server: Server, tmp_path: Path, page: str) -> None:
    kind = "image_generation" if page == "generate" else "image_edit"
    named = [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in (draft(0, kind), final(kind))]
    server.answers(streams([*named], done=False))
    opening = (
        client.images.generate(prompt="a cat", partial_images=1, stream=True)
        if page == "generate"
        else client.images.edit(image=PNG, prompt="a hat", partial_images=1, stream=True)
    )
    async with await opening as stream:
        events = [event async for event in stream]
    assert [(event.type, event.is_partial, event.partial_image_index) for event in events] == [
        (f"{kind}.partial_image", True, 0),
        (f"{kind}.completed", False, None),
    ]
    assert events[1].usage is not None
    assert events[1].usage.total_tokens == 3
    assert (await events[1].images[0].save(tmp_path / "cat")).read_bytes() == PNG
    request = server.requests[0]
    if page == "generate":
        assert request.json == {"prompt": "a cat", "partial_images": 1, "stream": True}
    else:
        assert [entry.value for entry in form_of(request)[:3]] == ["a hat", "1", "true"]


async def test_every_image_of_a_stream_is_given(client: TutuClient, server: Server) -> None:
    server.answers(
        streams([final(), {"type": "keepalive"}, draft(0), final(b64_json=None, url="https://h.example/a.png")])
    )
    async with await client.images.generate(prompt="a cat", n=2, stream=True) as stream:
        events = [event async for event in stream]
    assert [event.images[0].url for event in events if not event.is_partial] == [None, "https://h.example/a.png"]


@pytest.mark.parametrize("page", ["generate", "edit"])
async def test_a_whole_answer_to_a_stream_is_its_last_event(client: TutuClient, server: Server, page: str) -> None:
    server.answers(lists({"b64_json": B64}, {"b64_json": ""}, size="1x1", usage={"total_tokens": 3}))
    opening = (
        client.images.generate(prompt="a cat", stream=True)
        if page == "generate"
        else client.images.edit(image=PNG, prompt="a hat", stream=True)
    )
    async with await opening as stream:
        [event] = [event async for event in stream]
    assert event.type == ("image_generation.completed" if page == "generate" else "image_edit.completed")
    assert event.usage is not None
    assert (event.size, event.created_at, event.usage.total_tokens, event.meta.status) == ("1x1", 5, 3, 200)
    assert event.images[0].mime == "image/png"


async def test_a_stream_nobody_asked_for_is_put_together(client: TutuClient, server: Server) -> None:
    server.answers(streams([draft(0), final(size="1x1"), {"type": "image_generation.completed", "usage": {"a": 1}}]))
    answer = await client.images.generate(prompt="a cat")
    assert [image.mime for image in answer.images] == ["image/png"]
    assert (len(answer.data), answer.meta.status) == (1, 200)


@pytest.mark.parametrize("done", [True, False])
async def test_a_stream_of_drafts_alone_is_an_error(client: TutuClient, server: Server, done: bool) -> None:
    server.answers(streams([draft(0)], done=done), streams([draft(0)], done=done))
    with pytest.raises(IncompleteStreamError) as caught:
        async with await client.images.generate(prompt="a cat", stream=True) as stream:
            async for event in stream:
                assert event.is_partial
    assert (caught.value.outcome, len(server.requests)) == ("unknown", 1)
    with pytest.raises(IncompleteStreamError):
        await client.images.generate(prompt="a cat")
    assert len(server.requests) == 2


async def test_a_stream_of_an_image_is_not_begun_again_in_silence(client: TutuClient, server: Server) -> None:
    server.faults("fin_after_request", times=3)
    with pytest.raises(OutcomeUnknownError):
        await client.images.generate(prompt="a cat", stream=True)
    assert len(server.requests) == 1
    server.reset()
    server.answers(
        streams([draft(0), {"type": "error", "error": {"message": "refused", "code": "moderation_blocked"}}])
    )
    with pytest.raises(ContentPolicyError, match="refused"):
        async with await client.images.edit(image=PNG, prompt="a hat", stream=True) as stream:
            async for _ in stream:
                pass
    assert len(server.requests) == 1


# Events as the chatgpt2api family, Volcengine's seedream, OpenAI's Responses and panels send them.

URL = "https://h.example/a.png"


def named(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n".encode()


def unnamed(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(fields)}\n\n".encode()


LAST_EVENTS: dict[str, tuple[Any, list[str]]] = {
    "data": (unnamed("image.generation.result", data=[{"b64_json": B64}]), ["b64"]),
    "data without a name": ({"object": "image.generation.result", "data": [{"b64_json": B64}]}, ["b64"]),
    "data of two": (unnamed("result", data=[{"b64_json": B64}, {"url": URL}]), ["b64", URL]),
    "images": ({"type": "done", "images": [{"url": URL}]}, [URL]),
    "images of texts": ({"images": [URL]}, [URL]),
    "url alone": ({"url": URL}, [URL]),
    "a type nobody knows": (named("job.succeeded", url=URL), [URL]),
    "output": (named("image.done", output={"results": [{"url": URL}]}), [URL]),
    "an envelope": ({"code": 200, "data": {"type": "image_generation.completed", "b64_json": B64}}, ["b64"]),
    "an envelope around a list": ({"code": 0, "msg": "ok", "data": [{"url": URL}]}, [URL]),
    "a bare list": (b'data: [{"url": "%s"}]\n\n' % URL.encode(), [URL]),
    "the other field": (named("image_generation.completed", b64_json=URL), [URL]),
    "base64 in url": (named("image_generation.completed", url=B64), ["b64"]),
    "url as a list": (named("image_generation.completed", url=[URL]), [URL]),
    "a prefix twice": (
        named("image_generation.completed", b64_json=f"data:image/png;base64,data:image/png;base64,{B64}"),
        ["b64"],
    ),
    "a chunk of a chat": ({"choices": [{"delta": {"images": [{"image_url": {"url": URL}}]}}]}, [URL]),
    "Responses": (
        named("response.output_item.done", item={"type": "image_generation_call", "result": B64}),
        ["b64"],
    ),
}


def shown(events: list[ImageStreamEvent]) -> list[str]:
    return [image.url or "b64" for event in events for image in event.images]


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize(("frame", "images"), LAST_EVENTS.values(), ids=LAST_EVENTS)
async def test_an_image_in_a_last_event_of_any_shape_is_the_image(
    client: TutuClient, server: Server, frame: Any, images: list[str], done: bool
) -> None:
    waiting = unnamed("image.generation.chunk", object="image.generation.chunk", progress_text="1/1", data=[])
    server.answers(*[streams([waiting, frame], done=done)] * 2)
    async with await client.images.generate(prompt="a cat", stream=True) as stream:
        events = [event async for event in stream]
    assert shown(events) == images
    assert not any(event.is_partial for event in events)
    answer = await client.images.generate(prompt="a cat")
    assert [image.url or "b64" for image in answer.images] == images
    assert len(server.requests) == 2


async def test_the_usage_of_a_last_event_is_reported_once(client: TutuClient, server: Server) -> None:
    told: list[Any] = []
    frame = unnamed("result", data=[{"url": URL}, {"url": URL}], usage={"total_tokens": 9}, created=5)
    server.answers(streams([frame]))
    listening = client.with_options(on_usage=lambda spent: told.append(spent.usage))
    async with await listening.images.generate(prompt="a cat", stream=True) as stream:
        events = [event async for event in stream]
    assert [event.usage and event.usage.total_tokens for event in events] == [None, 9]
    assert ([event.created_at for event in events], told) == ([5, 5], [events[1].usage])


async def test_an_image_that_a_last_event_repeats_is_one(client: TutuClient, server: Server) -> None:
    # The chatgpt2api family's last event holds all images, beside events in OpenAI's names.
    images = [{"b64_json": B64}, {"url": URL}]
    frames = [named("image_generation.completed", **image) for image in images]
    frames.append(unnamed("image.generation.result", data=images, usage={"total_tokens": 9}))
    for count, given in ((2, frames), (1, [frames[1], unnamed("result", data=[{"url": URL}])])):
        server.answers(*[streams(given)] * 2)
        async with await client.images.generate(prompt="a cat", n=count, stream=True) as stream:
            events = [event async for event in stream]
        assert shown(events) == ["b64", URL][-count:]
        answer = await client.images.generate(prompt="a cat", n=count)
        assert [image.url or "b64" for image in answer.images] == ["b64", URL][-count:]
        for usage in (events[-1].usage, answer.usage):
            assert (usage and usage.total_tokens) == (9 if count > 1 else None)


async def test_of_several_images_that_are_equal_none_is_lost(client: TutuClient, server: Server) -> None:
    server.answers(streams([named("image_generation.completed", b64_json=B64)] * 3))
    async with await client.images.generate(prompt="a cat", n=3, stream=True) as stream:
        assert shown([event async for event in stream]) == ["b64"] * 3


async def test_an_error_behind_one_of_two_images_is_an_error_however_it_was_asked(
    client: TutuClient, server: Server
) -> None:
    frames = [named("image_generation.completed", url=URL), named("error", error={"message": "overloaded"})]
    server.answers(streams(frames, done=False))
    with pytest.raises(APIError, match="overloaded") as caught:
        await client.images.generate(prompt="a cat", n=2)
    partial: Any = caught.value.partial
    assert [image.url for image in partial.images] == [URL]
    server.answers(streams(frames, done=False))
    assert [image.url for image in (await client.images.generate(prompt="a cat")).images] == [URL]


REFUSED = {"code": "OutputImageSensitiveContentDetected", "message": "sensitive"}
GOOD = [named("image_generation.partial_succeeded", url=URL, image_index=index, size="1x1") for index in range(3)]
BAD = [named("image_generation.partial_failed", error=REFUSED, image_index=index) for index in range(3)]
END = named("image_generation.completed", usage={"generated_images": 2, "total_tokens": 9})


@pytest.mark.parametrize("place", range(3))
async def test_one_of_several_images_failed(client: TutuClient, server: Server, place: int) -> None:
    frames = [*GOOD]
    frames[place] = BAD[place]
    server.answers(*[streams([*frames, END], done=False)] * 2)
    async with await client.images.generate(prompt="a cat", stream=True) as stream:
        events = [event async for event in stream]
    assert shown(events) == [URL, URL]
    assert [event.error.code for event in events if event.error] == ["OutputImageSensitiveContentDetected"]
    failure = events[place].error
    assert failure is not None
    assert failure.message == "sensitive"
    assert events[-1].usage is not None
    assert events[-1].usage.total_tokens == 9
    answer = await client.images.generate(prompt="a cat")
    assert [image.url for image in answer.data] == [None if n == place else URL for n in range(3)]
    assert answer.data[place].error == events[place].error
    assert len(answer.images) == 2
    assert answer.usage == events[-1].usage


async def test_images_of_a_stream_nobody_asked_for_stand_in_their_order(client: TutuClient, server: Server) -> None:
    frames = [named("image_generation.partial_succeeded", url=f"{URL}?{n}", image_index=n) for n in (2, 0, 1)]
    server.answers(streams([*frames, END]))
    answer = await client.images.generate(prompt="a cat")
    assert [image.url for image in answer.data] == [f"{URL}?{n}" for n in range(3)]


@pytest.mark.parametrize("ending", [[END], []])
async def test_when_all_images_failed_it_is_their_error(
    client: TutuClient, server: Server, ending: list[bytes]
) -> None:
    refused = {"code": "content_policy_violation", "message": "refused"}
    frames = [named("image_generation.partial_failed", error=refused, image_index=n) for n in range(2)]
    server.answers(*[streams([*frames, *ending])] * 2)
    events: list[ImageStreamEvent] = []
    with pytest.raises(ContentPolicyError, match="refused"):
        async with await client.images.generate(prompt="a cat", stream=True) as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401  (kept when the stream ends in an error)
    assert [event.error.message for event in events if event.error is not None] == ["refused", "refused"]
    with pytest.raises(ContentPolicyError, match="refused"):
        await client.images.generate(prompt="a cat")
    assert len(server.requests) == 2


async def test_a_whole_answer_to_a_stream_tells_of_the_image_that_failed(client: TutuClient, server: Server) -> None:
    server.answers(lists({"url": URL}, {"error": REFUSED}))
    async with await client.images.generate(prompt="a cat", stream=True) as stream:
        events = [event async for event in stream]
    assert [event.type for event in events] == ["image_generation.completed", "image_generation.partial_failed"]
    assert events[1].error is not None
    assert events[1].error.message == "sensitive"
    assert stream.meta.warnings == ("an image was not made: sensitive",)


def what_came(error: Any) -> list[str | None]:
    return [image.url for image in error.partial.images]


@pytest.mark.parametrize("then", ["end", "fin", "reset"])
async def test_a_paid_image_is_in_the_error_of_a_cut_stream(
    client: TutuClient, server: Server, then: Literal["end", "fin", "reset"]
) -> None:
    server.answers(*[streams([GOOD[0]], done=False, then=then)] * 2)
    with pytest.raises(IncompleteStreamError) as caught:
        async with await client.images.generate(prompt="a cat", stream=True) as stream:
            assert [event.url async for event in stream] == [URL]
    assert what_came(caught.value) == [URL]
    if then == "end":
        with pytest.raises(IncompleteStreamError) as caught:
            await client.images.generate(prompt="a cat")
        assert what_came(caught.value) == [URL]


async def test_done_behind_images_is_their_end(client: TutuClient, server: Server) -> None:
    server.answers(streams(GOOD, done=True))
    async with await client.images.generate(prompt="a cat", stream=True) as stream:
        assert shown([event async for event in stream]) == [URL] * 3


async def test_the_second_of_two_images_is_missed(client: TutuClient, server: Server) -> None:
    server.answers(streams([final()], done=False, then="reset"), streams([final()], done=False))
    with pytest.raises(IncompleteStreamError) as caught:
        async with await client.images.generate(prompt="a cat", n=2, stream=True) as stream:
            assert len([event async for event in stream]) == 1
    assert what_came(caught.value) == [None]
    async with await client.images.generate(prompt="a cat", n=2, stream=True) as stream:
        assert len([event async for event in stream]) == 1


async def test_an_error_of_the_stream_itself_ends_it_with_what_came(client: TutuClient, server: Server) -> None:
    frames = [GOOD[0], named("error", error={"message": "boom", "code": 500})]
    server.answers(streams(frames, done=False))
    with pytest.raises(InternalServerError, match="boom") as caught:
        async with await client.images.generate(prompt="a cat", stream=True) as stream:
            assert [event.url async for event in stream] == [URL]
    assert what_came(caught.value) == [URL]


@pytest.mark.parametrize(
    "junk",
    [b"data: [DONE]x\n\n", b'data: "[DONE]"\n\n', b"[DONE]\n\n", b"data: {broken\n\n", b'data: {"error": "late"}\n\n'],
)
async def test_what_stands_behind_the_image_costs_nothing(client: TutuClient, server: Server, junk: bytes) -> None:
    server.answers(streams([final(), junk], done=False))
    async with await client.images.generate(prompt="a cat", stream=True) as stream:
        assert len([event async for event in stream]) == 1


async def test_a_usage_alone_is_no_image(client: TutuClient, server: Server) -> None:
    server.answers(streams([END]))
    with pytest.raises(IncompleteStreamError, match="no image"):
        async with await client.images.generate(prompt="a cat", stream=True) as stream:
            assert shown([event async for event in stream]) == []
