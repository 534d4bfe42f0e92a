"""What ``tutuclient.streams.tool_calls`` promises: whole calls, however their pieces are cut and numbered."""

from __future__ import annotations

import json
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.growth import calls, growth
from tests.streams.chunks import END, NA_CLAUDE, OSLO, TURIN, call, delta, events, fold, folded, tools
from tutuclient import wire

TOOLS: dict[str, tuple[list[object], list[tuple[str, str, str]]]] = {
    "normal": (
        [
            call(index=0, id="c1", type="function", name="weather", arguments=""),
            call(index=0, arguments='{"ci'),
            call(index=0, arguments='ty":"Oslo"}'),
        ],
        [("c1", "weather", OSLO)],
    ),
    "new-api's Claude": (list(NA_CLAUDE), [("toolu_1", "weather", OSLO)]),
    "whole call in one delta": ([call(id="c1", name="weather", arguments=OSLO)], [("c1", "weather", OSLO)]),
    "two by index, interleaved": (
        [
            call(index=0, id="c1", name="a", arguments=""),
            call(index=1, id="c2", name="b", arguments=""),
            call(index=1, arguments="{"),
            call(index=0, arguments="[1"),
            call(index=1, arguments="}"),
            call(index=0, arguments="]"),
        ],
        [("c1", "a", "[1]"), ("c2", "b", "{}")],
    ),
    "two in one delta": (
        [
            delta(
                tool_calls=[
                    {"index": 0, "id": "c1", "function": {"name": "a", "arguments": "{}"}},
                    {"index": 1, "id": "c2", "function": {"name": "b", "arguments": "{}"}},
                ]
            )
        ],
        [("c1", "a", "{}"), ("c2", "b", "{}")],
    ),
    "two without index": (
        [call(id="c1", name="weather", arguments=OSLO), call(id="c2", name="weather", arguments=TURIN)],
        [("c1", "weather", OSLO), ("c2", "weather", TURIN)],
    ),
    "two in pieces without index": (
        [
            call(id="c1", name="a", arguments="{"),
            call(arguments="}"),
            call(id="c2", name="b", arguments="["),
            call(arguments="]"),
        ],
        [("c1", "a", "{}"), ("c2", "b", "[]")],
    ),
    "two without index and id": (
        [
            call(name="weather", arguments=OSLO),
            call(name="weather", arguments=TURIN),
            call(name="clock", arguments="{}"),
        ],
        [("", "weather", OSLO), ("", "weather", TURIN), ("", "clock", "{}")],
    ),
    "two numbered alike": (
        [call(index=0, id="c1", name="a", arguments="{}"), call(index=0, id="c2", name="a", arguments="[]")],
        [("c1", "a", "{}"), ("c2", "a", "[]")],
    ),
    "two numbered alike, in pieces": (
        [
            call(index=0, id="c1", name="a", arguments="{"),
            call(index=0, arguments="}"),
            call(index=0, id="c2", name="b", arguments="["),
            call(index=0, arguments="]"),
        ],
        [("c1", "a", "{}"), ("c2", "b", "[]")],
    ),
    "two numbered alike, without ids": (
        [call(index=0, id="", name="a", arguments="{}"), call(index=0, id="", name="b", arguments="{}")],
        [("", "a", "{}"), ("", "b", "{}")],
    ),
    "the same twice, numbered alike, without ids": (
        [call(index=0, name="a", arguments=OSLO), call(index=0, name="a", arguments=TURIN)],
        [("", "a", OSLO), ("", "a", TURIN)],
    ),
    "another name before there were arguments": (
        [call(index=0, name="a", arguments=""), call(index=0, name="b", arguments="{}")],
        [("", "a", ""), ("", "b", "{}")],
    ),
    # kind H: continue PR 5849 (Gemini), openai-agents-python#326
    "a name in two pieces": (
        [call(index=0, id="c1", name="edit_ex", arguments=""), call(index=0, name="isting", arguments="{}")],
        [("c1", "edit_existing", "{}")],
    ),
    "a name in pieces, without ids": (
        [
            call(index=0, name="edit_"),
            call(index=0, name="exist"),
            call(index=0, name="ing"),
            call(index=0, arguments="{}"),
        ],
        [("", "edit_existing", "{}")],
    ),
    "names in pieces, interleaved": (
        [
            call(index=0, id="c1", name="a"),
            call(index=1, id="c2", name="b"),
            call(index=0, name="1"),
            call(index=1, name="2", arguments="[]"),
            call(index=0, arguments="{}"),
        ],
        [("c1", "a1", "{}"), ("c2", "b2", "[]")],
    ),
    "a name that grows": (
        [
            call(index=0, id="c1", name="look"),
            call(index=0, name="look_up"),
            call(index=0, name="look_up", arguments="{}"),
        ],
        [("c1", "look_up", "{}")],
    ),
    "another name behind arguments": (
        [call(index=0, id="c1", name="a", arguments="{}"), call(index=0, name="b", arguments="{}")],
        [("c1", "a", "{}"), ("", "b", "{}")],
    ),
    "names without index are calls": (
        [call(id="c1", name="a"), call(id="c2", name="b"), call(name="c")],
        [("c1", "a", ""), ("c2", "b", ""), ("", "c", "")],
    ),
    # kind W: opencodex#361
    "arguments again at the end": (
        [
            call(index=0, id="c1", name="a", arguments='{"x":'),
            call(index=0, arguments="1}"),
            call(index=0, arguments='{"x":1}'),
        ],
        [("c1", "a", '{"x":1}')],
    ),
    "arguments again, written otherwise": (
        [call(index=0, id="c1", name="a", arguments='{"x":1}'), call(index=0, id="c1", name="a", arguments='{"x": 1}')],
        [("c1", "a", '{"x":1}')],
    ),
    "arguments again, with the name": (
        [call(index=0, name="a", arguments='{"x":1}'), call(index=0, name="a", arguments='{"x":1}')],
        [("", "a", '{"x":1}')],
    ),
    "arguments again, in a message": (
        [
            call(index=0, id="c1", name="a", arguments='{"x":1}'),
            {
                "choices": [
                    {
                        "delta": {},
                        "message": {"tool_calls": [{"id": "c1", "function": {"name": "a", "arguments": '{"x":1}'}}]},
                    }
                ]
            },
        ],
        [("c1", "a", '{"x":1}')],
    ),
    # Claude's blocks begin with "input": {}, which converters write before the pieces.
    "an empty object before the arguments": (
        [
            call(index=0, id="c1", name="a", arguments="{}"),
            call(index=0, arguments='{"x"'),
            call(index=0, arguments=":1}"),
        ],
        [("c1", "a", '{"x":1}')],
    ),
    # vllm-project/vllm: DeltaToolCall.id was made anew for each piece
    "an id of its own in every piece": (
        [
            call(index=0, id="c1", name="a", arguments=""),
            call(index=0, id="c2", arguments='{"x"'),
            call(index=0, id="c3", name="", arguments=":1}"),
            call(index=0, id="c4", arguments=""),
            call(index=1, id="c5", name="b", arguments="{}"),
        ],
        [("c1", "a", '{"x":1}'), ("c5", "b", "{}")],
    ),
    "one id for all calls": (
        [
            call(index=0, id="call_0", name="a", arguments=""),
            call(index=1, id="call_0", name="b", arguments=""),
            call(index=0, id="call_0", arguments="[1]"),
            call(index=1, id="call_0", arguments="[2]"),
            call(index=2, id="call_0", name="b", arguments="[3]"),
        ],
        [("call_0", "a", "[1]"), ("call_0", "b", "[2]"), ("call_0", "b", "[3]")],
    ),
    "one id and one index for all calls": (
        [call(index=0, id="c", name="a", arguments="[1]"), call(index=0, id="c", name="b", arguments="[2]")],
        [("c", "a", "[1]"), ("c", "b", "[2]")],
    ),
    "a name in pieces that all have the id": (
        [
            call(index=0, id="c1", name="edit_"),
            call(index=0, id="c1", name="file"),
            call(index=0, id="c1", arguments="{}"),
        ],
        [("c1", "edit_file", "{}")],
    ),
    "an index from the second piece on": (
        [call(id="c1", name="a"), call(index=0, arguments='{"x"'), call(index=0, arguments=":1}"), call(index=0)],
        [("c1", "a", '{"x":1}')],
    ),
    "no function around the name": (
        [delta(tool_calls=[{"index": 0, "id": "c1", "type": "function", "name": "a", "arguments": {"x": 1}}])],
        [("c1", "a", '{"x": 1}')],
    ),
    "calls of several choices, numbered alike": (
        [
            {"choices": [{"index": number, "delta": {"tool_calls": [{"index": 0} | fields]}}]}
            for fields, number in (
                ({"id": "c0", "function": {"name": "a"}}, 0),
                ({"id": "c1", "function": {"name": "a"}}, 1),
                ({"function": {"arguments": "[0]"}}, 0),
                ({"function": {"arguments": "[1]"}}, 1),
            )
        ],
        [("c0", "a", "[0]"), ("c1", "a", "[1]")],
    ),
    "index null, id and type empty": (
        [
            call(index=None, id="c1", type="function", name="a", arguments=""),
            call(index=None, id="", type="", arguments="{}"),
        ],
        [("c1", "a", "{}")],
    ),
    "id in every piece": (
        [
            call(id="c1", name="a", arguments="{"),
            call(id="c2", name="b", arguments="["),
            call(id="c1", arguments="}"),
            call(id="c2", arguments="]"),
        ],
        [("c1", "a", "{}"), ("c2", "b", "[]")],
    ),
    "id only later": ([call(name="a", arguments="{"), call(id="c1", arguments="}")], [("c1", "a", "{}")]),
    "name in every piece": (
        [call(name="a", arguments='{"x":"'), call(name="a", arguments='}\\"{'), call(name="a", arguments='"}')],
        [("", "a", '{"x":"}\\"{"}')],
    ),
    "name in every piece, by index": (
        [call(index=0, name="a", arguments="{"), call(index=0, name="a", arguments="}")],
        [("", "a", "{}")],
    ),
    "an escape cut in two": (
        [call(name="a", arguments='{"x":"\\'), call(name="a", arguments='"}'), call(name="a", arguments='"}')],
        [("", "a", '{"x":"\\"}"}')],
    ),
    "trailing empty piece": (
        [call(name="a", arguments="{}"), call(name="a", arguments=""), call(arguments=None), call(index=None)],
        [("", "a", "{}")],
    ),
    "arguments an object": (
        [call(index=0, id="c1", name="a", arguments={"城": [1, None]})],
        [("c1", "a", '{"城": [1, null]}')],
    ),
    "arguments missing": ([call(index=0, id="c1", name="a")], [("c1", "a", "")]),
    "no function": (
        [delta(tool_calls=[{"index": 0, "id": "c1"}]), call(index=0, name="a", arguments="{}")],
        [("c1", "a", "{}")],
    ),
    "calls an object": (
        [{"choices": [{"delta": {"tool_calls": {"id": "c1", "function": {"name": "a"}}}}]}],
        [("c1", "a", "")],
    ),
    "null among calls": ([delta(tool_calls=[None, {"id": "c1", "function": {"name": "a"}}])], [("c1", "a", "")]),
    "in a message": (
        [{"choices": [{"message": {"tool_calls": [{"id": "c1", "function": {"name": "a", "arguments": "{}"}}]}}]}],
        [("c1", "a", "{}")],
    ),
}


@pytest.mark.parametrize(("frames", "expected"), TOOLS.values(), ids=TOOLS)
def test_tool_calls_are_put_together_however_they_are_numbered(
    frames: list[object], expected: list[tuple[str, str, str]]
) -> None:
    answer = folded(*frames, END)
    assert tools(answer) == expected
    assert answer.message.content is None
    assert {one.type for one in answer.message.tool_calls or []} == {"function"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "numbered", [{"index": 0, "id": "c1"}, {"id": "c1"}, {"index": 0}], ids=["both", "id", "index"]
)
def test_arguments_repeated_without_end_are_read_in_linear_time(numbered: dict[str, Any]) -> None:
    """Each repetition once joined all that had come: 500,000 pieces took minutes."""
    again = call(**numbered, name="a", arguments=json.dumps({"x": "y" * 1000}))

    def stream(size: int) -> bytes:
        return events(delta("hi")) + events(again) * size + events(END)

    def read(frames: bytes) -> None:
        fold(frames, many=0, max_bytes=2**24)

    # Eight times the pieces: 8 when linear, 64 when quadratic.
    assert growth(stream, read, 500, 4000) < 24
    few, many = (calls(partial(read, stream(size))) for size in (10, 80))
    assert many < 9 * few


@pytest.mark.parametrize("reasons", [("stop", "tool_calls"), ("tool_calls", "stop")])
def test_the_reason_that_counts_is_that_of_the_calls(reasons: tuple[str, str]) -> None:
    """One answer over several choices ends once for the text, and once for the calls."""
    ends = [delta(reason=reason) for reason in reasons]
    assert folded(call(index=0, id="c1", name="a", arguments="{}"), *ends).finish_reason == "tool_calls"


@pytest.mark.parametrize("part", ["delta", "message"])
def test_what_only_the_relay_understands_goes_back_with_a_tool_call(part: str) -> None:
    signature = {"google": {"thought_signature": "c2ln"}}
    first = {"id": "c1", "type": "function", "function": {"name": "a", "arguments": "{}"}, "extra_content": signature}
    answer = folded({"choices": [{part: {"tool_calls": [first]}}]}, call(arguments=""), END)
    [sent] = wire.prepared_messages([answer.message])
    assert sent["tool_calls"] == [first]


def test_joins_the_input_of_custom_tools() -> None:
    pieces = [
        {"index": 0, "id": "c1", "custom": {"name": "sql", "input": "sel"}},
        {"index": 0, "custom": {"input": "ect"}},
    ]
    answer = folded(*(delta(tool_calls=[piece]) for piece in pieces), END)
    [made] = answer.message.tool_calls or []
    assert (made.type, made.custom) == ("custom", {"name": "sql", "input": "select"})


@given(
    arguments=st.recursive(
        st.none() | st.text(max_size=6), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner)
    ).map(lambda value: json.dumps({"a": value})),
    places=st.lists(st.integers(0, 100), max_size=6),
    again=st.sampled_from([{}, {"name": "f"}, {"id": "c1"}, {"id": "c1", "name": "f"}, {"index": 0, "name": "f"}]),
)
def test_no_cut_of_the_arguments_makes_a_second_call(arguments: str, places: list[int], again: dict[str, Any]) -> None:
    edges = [0, *sorted(place % len(arguments) for place in places), len(arguments)]
    pieces = [arguments[start:end] for start, end in pairwise(edges)]
    first = {"name": "f"} | again
    frames = [call(**(first if number == 0 else again), arguments=piece) for number, piece in enumerate(pieces)]
    assert [made[1:] for made in tools(folded(*frames, END))] == [("f", arguments)]
