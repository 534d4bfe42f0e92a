"""Streams as openai's typed events: what each piece adds, and what is done at the end."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tutuclient import (
    ConfigError,
    IncompleteStreamError,
    LengthFinishReasonError,
    TutuClient,
    UnexpectedResponseError,
    user,
)
from tutuclient.compat import AsyncOpenAI
from tutuclient.testing import Server, chunk, says, streams

if TYPE_CHECKING:
    from tutuclient.resources.streaming import ChatCompletionStream
    from tutuclient.types import ChatStreamEvent

STOP = chunk(finish_reason="stop")


class Place(msgspec.Struct):
    city: str


def look_up(city: str) -> str:
    return city


def call(arguments: str | None, **fields: Any) -> dict[str, Any]:
    name = fields.pop("name", None)
    function = ({} if name is None else {"name": name}) | ({} if arguments is None else {"arguments": arguments})
    return chunk(tool_calls=[{"function": function, **fields}])


def shown(event: ChatStreamEvent[Any]) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in event.__struct_fields__ if name not in {"chunk", "index"}}
    for name in ("snapshot", "parsed", "arguments", "parsed_arguments"):
        if name in dir(event) and event.type != "chunk":
            fields[name] = getattr(event, name)
    if event.type.startswith("tool_calls"):
        fields["index"] = event.index  # type: ignore[union-attr]  # that of the calls
    return fields


async def until_it_fails(stream: ChatCompletionStream[Any], seen: list[str]) -> None:
    async for event in stream.events():
        seen.append(event.type)  # noqa: PERF401  (what came before the error is what is looked at)


async def read(client: TutuClient, **fields: Any) -> list[ChatStreamEvent[Any]]:
    async with client.chat.completions.stream(model="m", messages=[user("hi")], **fields) as stream:
        return [event async for event in stream.events()]


async def test_text_comes_as_deltas_and_is_done_at_the_end(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("", role="assistant"), chunk('{"city":'), chunk(' "Oslo"}'), STOP]))
    events = await read(client, response_format=Place)
    assert [event.type for event in events] == [
        "chunk",
        "chunk",
        "content.delta",
        "chunk",
        "content.delta",
        "chunk",
        "content.done",
    ]
    assert [shown(event) for event in events if event.type != "chunk"] == [
        {"type": "content.delta", "delta": '{"city":', "snapshot": '{"city":', "parsed": {}},
        {"type": "content.delta", "delta": ' "Oslo"}', "snapshot": '{"city": "Oslo"}', "parsed": {"city": "Oslo"}},
        {"type": "content.done", "content": '{"city": "Oslo"}', "parsed": Place("Oslo")},
    ]
    first = events[1]
    assert first.type == "chunk"
    assert first.chunk.text == '{"city":'


async def test_a_chunk_knows_the_answer_so_far(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a"), chunk("b"), STOP]))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        so_far = [event.snapshot.text async for event in stream.events() if event.type == "chunk"]
    assert so_far == ["a", "ab", "ab"]


async def test_a_refusal_and_logprobs_have_events_of_their_own(client: TutuClient, server: Server) -> None:
    def tokens(kind: str, *words: str) -> dict[str, Any]:
        return {kind: [{"token": word, "logprob": -1.0} for word in words]}

    said = chunk(refusal="I")
    said["choices"][0]["logprobs"] = tokens("refusal", "I")
    more = chunk(refusal=" will not")
    more["choices"][0]["logprobs"] = tokens("refusal", " will", " not") | tokens("content", "x")
    server.answers(streams([said, more, STOP]))
    events = [event for event in await read(client) if event.type != "chunk"]
    assert [(event.type, getattr(event, "snapshot", None)) for event in events if "logprobs" not in event.type] == [
        ("refusal.delta", "I"),
        ("refusal.delta", "I will not"),
        ("refusal.done", None),
    ]
    read_tokens = {
        event.type: (
            [token.token for token in getattr(event, "content", None) or event.refusal],  # type: ignore[union-attr]  # one of the two
            [token.token for token in getattr(event, "snapshot", [])],
        )
        for event in events
        if "logprobs" in event.type
    }
    assert read_tokens == {
        "logprobs.refusal.delta": ([" will", " not"], ["I", " will", " not"]),
        "logprobs.content.delta": (["x"], ["x"]),
        "logprobs.content.done": (["x"], []),
        "logprobs.refusal.done": (["I", " will", " not"], []),
    }


async def test_calls_of_tools_come_in_pieces_and_are_done_one_by_one(client: TutuClient, server: Server) -> None:
    server.answers(
        streams(
            [
                call("", index=0, id="a", type="function", name="look_up"),
                call('{"city": ', index=0),
                call('"Oslo"}', index=0),
                call('{"city": "Rome"}', index=1, id="b", type="function", name="look_up"),
                chunk(finish_reason="tool_calls"),
            ]
        )
    )
    events = [event for event in await read(client, tools=[look_up]) if event.type != "chunk"]
    kind = "tool_calls.function.arguments"
    assert [shown(event) for event in events] == [
        {
            "type": f"{kind}.delta",
            "name": "look_up",
            "index": 0,
            "arguments_delta": delta,
            "arguments": arguments,
            "parsed_arguments": parsed,
        }
        for delta, arguments, parsed in (
            ("", "", None),
            ('{"city": ', '{"city": ', {}),
            ('"Oslo"}', '{"city": "Oslo"}', {"city": "Oslo"}),
        )
    ] + [
        {
            "type": f"{kind}.done",
            "name": "look_up",
            "index": 0,
            "arguments": '{"city": "Oslo"}',
            "parsed_arguments": {"city": "Oslo"},
        },
        {
            "type": f"{kind}.delta",
            "name": "look_up",
            "index": 1,
            "arguments_delta": '{"city": "Rome"}',
            "arguments": '{"city": "Rome"}',
            "parsed_arguments": {"city": "Rome"},
        },
        {
            "type": f"{kind}.done",
            "name": "look_up",
            "index": 1,
            "arguments": '{"city": "Rome"}',
            "parsed_arguments": {"city": "Rome"},
        },
    ]


@pytest.mark.parametrize("tools", [[look_up], []], ids=["known", "unknown"])
async def test_calls_that_are_numbered_strangely_are_distinguished_all_the_same(
    client: TutuClient, server: Server, tools: list[Any]
) -> None:
    server.answers(
        streams(
            [
                call('{"city": "a', id="a", name="look_up"),
                call('{"city": "b"}', id="b", name="look_up"),
                call('"}', id="a"),
                chunk(tool_calls=[{"id": "c", "type": "custom", "custom": {"name": "n", "input": "x"}}]),
                call('{"city": "d"}', id="d", name="look_up"),
                chunk(finish_reason="tool_calls"),
            ]
        )
    )
    done = [event for event in await read(client, tools=tools) if event.type.endswith("arguments.done")]
    assert [(shown(event)["index"], shown(event)["arguments"]) for event in done] == [
        (1, '{"city": "b"}'),
        (0, '{"city": "a"}'),
        (3, '{"city": "d"}'),
    ]


async def test_arguments_that_do_not_fit_are_no_done_event_but_an_error(client: TutuClient, server: Server) -> None:
    server.answers(streams([call('{"town": 1}', id="a", name="look_up"), call("{}", id="b", name="look_up"), STOP]))
    seen: list[str] = []
    with pytest.raises(UnexpectedResponseError, match="the tool look_up do not fit"):
        async with client.chat.completions.stream(model="m", messages=[user("hi")], tools=[look_up]) as stream:
            await until_it_fails(stream, seen)
    assert not [kind for kind in seen if kind.endswith("done")]


async def test_several_choices_are_distinguished(client: TutuClient, server: Server) -> None:
    frames = [chunk("a"), chunk("x", index=1), chunk("b"), chunk("y", index=1)]
    server.answers(streams([*frames, STOP, chunk(index=1, finish_reason="stop")]))
    events = await read(client, n=2)
    assert [(event.index, event.snapshot) for event in events if event.type == "content.delta"] == [
        (0, "a"),
        (1, "x"),
        (0, "ab"),
        (1, "xy"),
    ]
    assert [(event.index, event.content) for event in events if event.type == "content.done"] == [(0, "ab"), (1, "xy")]


async def test_without_n_all_pieces_belong_to_one_choice(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a"), chunk("b", index=3), STOP]))
    events = await read(client)
    assert [event.snapshot for event in events if event.type == "content.delta"] == ["a", "ab"]


async def test_an_answer_cut_off_raises_in_place_of_done_events(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk('{"ci'), chunk(finish_reason="length")]))
    seen: list[str] = []
    with pytest.raises(LengthFinishReasonError):
        async with client.chat.completions.stream(model="m", messages=[user("hi")], response_format=Place) as stream:
            await until_it_fails(stream, seen)
    assert seen == ["chunk", "content.delta", "chunk"]


async def test_a_stream_that_breaks_has_no_done_events(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a")], done=False))
    seen: list[str] = []
    with pytest.raises(IncompleteStreamError):
        async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
            await until_it_fails(stream, seen)
    assert seen == ["chunk", "content.delta"]


async def test_an_answer_that_came_whole_has_events_too(client: TutuClient, server: Server) -> None:
    whole = b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'
    server.answers(streams([whole], done=False, content_type="application/json"))
    assert [event.type for event in await read(client)] == ["chunk", "content.delta", "content.done"]


async def test_leaving_the_events_frees_the_connection(client: TutuClient, server: Server) -> None:
    server.answers(streams([chunk("a")], done=False, then="hang"))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        async for event in stream.events():
            assert event.type == "chunk"
            break
    await server.wait_closed()


async def test_plain_iteration_yields_chunks(client: TutuClient, server: Server) -> None:
    server.answers(says("hi there"))
    async with client.chat.completions.stream(model="m", messages=[user("hi")], response_format=Place) as stream:
        assert "".join([piece.text async for piece in stream]) == "hi there"
        assert stream.partial is not None


async def test_a_block_is_entered_once(client: TutuClient) -> None:
    manager = client.chat.completions.stream(model="m", messages=[user("hi")])
    async with manager as stream:
        await stream.completion()
    with pytest.raises(ConfigError, match="entered once"):
        async with manager:
            pass


async def test_events_kept_take_no_more_than_their_pieces(client: TutuClient, server: Server) -> None:
    count, piece = 2000, "x" * 50
    server.answers(streams([*[chunk(piece)] * count, STOP], chunk_sizes=65536))
    async with client.chat.completions.stream(model="m", messages=[user("hi")]) as stream:
        tracemalloc.start()
        events = [event async for event in stream.events() if event.type == "content.delta"]
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert events[-1].snapshot == piece * count
    assert held < 20 * count * len(piece)


async def test_a_stream_that_is_not_open_says_how_it_is_opened(client: TutuClient, server: Server) -> None:
    manager: Any = client.chat.completions.stream(model="m", messages=[user("hi")])
    with pytest.raises(ConfigError, match="async with client.chat.completions.stream"):
        async for _ in manager:
            pass
    for name in ("show", "text", "completion", "events"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}': .*async with client"):
            getattr(manager, name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'$"):
        _ = manager.nonsense
    async with AsyncOpenAI(api_key="k", base_url=server.base_url) as openai:
        typed: Any = openai.chat.completions.stream(model="m", messages=[user("hi")])
        with pytest.raises(ConfigError, match="async with client"):
            _ = [event async for event in typed]
        with pytest.raises(AttributeError, match="no attribute 'get_final_completion': .*async with client"):
            typed.get_final_completion()
    assert not server.requests
    async with manager as stream:  # What was refused costs nothing: it can still be opened.
        assert (await stream.completion()).text
