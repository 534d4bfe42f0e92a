"""Events: what has come so far is put together when it is asked for, and JSON is read as far as it goes."""

from __future__ import annotations

import json

import pytest

from tutuclient.types.chat import ChatCompletion, ChatCompletionChunk, TokenLogprob
from tutuclient.types.events import (
    ChunkEvent,
    ContentDeltaEvent,
    FunctionToolCallArgumentsDeltaEvent,
    LogprobsContentDeltaEvent,
    RefusalDeltaEvent,
    partial_json,
    so_far,
)

TEXT = r'{"a": 1, "b": [2, -3.5, {"c": "x\"y", "d": null}], "e": {"f": true}, "h": "你"}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("no", None),
        ("{", {}),
        ('{"a', {}),
        ('{"a"', {}),
        ('{"a": ', {}),
        ('{"a": 1', {}),
        ('{"a": 1,', {"a": 1}),
        ('{"a": "x', {}),
        ('{"a": "x\\', {}),
        ('{"a": "x\\"', {}),
        ('{"a": "x\\""', {"a": 'x"'}),
        ('{"a": "x", "b": tru', {"a": "x"}),
        ('{"a": [1, [2', {"a": [1, []]}),
        ('["a", "b', ["a"]),
        ('["a":', ["a"]),
        ('"whole"', "whole"),
        ("12", 12),
        ("}", None),
        ('{"a": 1}}', None),
        ('{"a" 1, 2}', None),
        ("[" * 300, None),
        (TEXT, json.loads(TEXT)),
    ],
)
def test_json_is_read_as_far_as_it_goes(text: str, value: object) -> None:
    assert partial_json(text) == value


def test_what_is_read_only_grows() -> None:
    whole = json.loads(TEXT)
    for end in range(1, len(TEXT)):
        part = partial_json(TEXT[:end])
        assert part.items() <= whole.items() or part["b"] != whole["b"] or part["e"] != whole["e"]
        assert list(part) == list(whole)[: len(part)]


def test_a_snapshot_is_that_of_its_event_however_late_it_is_asked_for() -> None:
    pieces: list[str] = []
    events = []
    for piece in ('{"a": ', '"x", ', '"b"'):
        pieces.append(piece)
        events.append(so_far(ContentDeltaEvent(delta=piece), pieces))
    assert [event.snapshot for event in events] == ['{"a": ', '{"a": "x", ', '{"a": "x", "b"']
    assert [event.parsed for event in events] == [{}, {"a": "x"}, {"a": "x"}]
    call = so_far(FunctionToolCallArgumentsDeltaEvent(name="f", index=0, arguments_delta="x"), ['{"a": 1}'])
    assert (call.arguments, call.parsed_arguments, call.type) == (
        '{"a": 1}',
        {"a": 1},
        "tool_calls.function.arguments.delta",
    )
    assert so_far(RefusalDeltaEvent(delta="o"), ["n", "o"]).snapshot == "no"
    tokens = [[TokenLogprob(token="a")], [TokenLogprob(token="b"), TokenLogprob(token="c")]]
    assert [t.token for t in so_far(LogprobsContentDeltaEvent(content=tokens[1]), tokens).snapshot] == ["a", "b", "c"]


def test_an_event_that_came_from_no_stream_has_an_empty_snapshot() -> None:
    assert ContentDeltaEvent(delta="x").snapshot == ""
    assert ChunkEvent(chunk=ChatCompletionChunk()).snapshot == ChatCompletion()
    assert LogprobsContentDeltaEvent(content=[]).snapshot == []
