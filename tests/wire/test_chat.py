"""Chat answers and chunks are decoded leniently, or raise an error of ours."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.wire.bodies import OK, answer_of, completion, counts, of_status
from tutuclient import errors, wire
from tutuclient.errors import APIError, TutuError, UnexpectedResponseError
from tutuclient.types.chat import ChatCompletion, ChatCompletionChunk

if TYPE_CHECKING:
    from collections.abc import Callable


SEED = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"choices":[{"index":0,"message":{"role":"assistant",'
    '"content":"背景已替换为蓝天白云,链接:https://host.example/x.png"},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}'
).encode()


def test_reads_the_answer_of_the_relays_documentation() -> None:
    answer = answer_of(SEED)
    assert answer.text == "背景已替换为蓝天白云,链接:https://host.example/x.png"
    assert (answer.id, answer.object, answer.created, answer.model) == ("chatcmpl-1", "chat.completion", 1767225600, "")
    assert (answer.finish_reason, answer.message.role, counts(answer)) == ("stop", "assistant", (9, 12, 21))
    assert (answer.raw, answer.extra) == (SEED, {})


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_reads_whatever_holds_bytes(kind: Callable[[bytes], Any]) -> None:
    assert wire.read_completion(kind(completion()), OK).text == "hi"
    assert wire.read_completion(kind(b"\xef\xbb\xbf" + completion()), OK).text == "hi"


@pytest.mark.parametrize(
    "depth", [*range(245, 260), *range(940, 1010, 7), pytest.param(100_000, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "frame",
    [
        b'{"message":%s}',
        b'{"error":{"message":%s}}',
        b'{"response":{"error":%s}}',
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":%s}}]}}]}',
        b'{"choices":[{"delta":{"content":%s}}]}',
        b'{"choices":[{"delta":{"content":"x"}}],"x":%s}',
    ],
)
def test_no_depth_breaks_the_reader(frame: bytes, depth: int) -> None:
    body = frame % (b"[" * depth + b"]" * depth)
    for read in (wire.read_completion, wire.read_chunk, wire.error_of_answer, wire.error_event):
        with contextlib.suppress(APIError):
            read(body, OK)
    assert of_status(500, body).status_code == 500


WORDS = """
    choices message delta content error code msg type text tool_calls function usage arguments prompt_tokens
    prompt_tokens_details response header detail data url success id index finish_reason images reasoning_content
    created Choices object name custom
"""
words = st.sampled_from(WORDS.split())
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | words
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["stop", "500", "success", "error", 10**400, -1, 1e308])
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=3), inner, max_size=5),
    max_leaves=25,
)
near_answers = st.fixed_dictionaries(
    {"choices": st.lists(st.dictionaries(words, trees, max_size=4) | trees, max_size=3) | trees},
    optional={"usage": st.dictionaries(words, trees, max_size=4) | trees, "error": trees, "data": trees, "id": trees},
)
any_json = (trees | near_answers).map(lambda tree: json.dumps(tree).encode())
any_bytes = st.binary(max_size=60) | st.tuples(any_json, st.binary(max_size=3)).map(b"".join) | any_json


@given(body=any_bytes)
def test_any_bytes_are_an_answer_or_one_of_our_errors(body: bytes) -> None:
    with contextlib.suppress(errors.APIStatusError, UnexpectedResponseError):
        answer = wire.read_completion(body, OK)
        assert isinstance(answer, ChatCompletion)
        assert answer.text.encode().decode() == answer.text
        assert isinstance(answer.extra, dict)
        assert wire.encode({"messages": wire.prepared_messages([answer.message])}).plain


@given(body=any_bytes)
def test_any_bytes_are_a_chunk_or_nothing_or_one_of_our_errors(body: bytes) -> None:
    with contextlib.suppress(errors.APIStatusError, UnexpectedResponseError):
        chunk = wire.read_chunk(body, OK)
        assert chunk is None or isinstance(chunk, ChatCompletionChunk)


@given(body=any_bytes, status=st.integers(300, 599))
def test_any_bytes_are_an_error_where_the_status_says_so(body: bytes, status: int) -> None:
    error = of_status(status, body)
    assert error.status_code == status
    assert str(error).encode()
    assert wire.error_event(body, OK).outcome in {"rejected", "unknown"}


@given(tree=near_answers)
@example(tree={"choices": [{"content": int("1" * 400)}]})
def test_the_fast_and_the_lenient_decoder_agree(tree: dict[str, Any]) -> None:
    body = json.dumps(tree).encode()
    try:
        quick, patient = answer_of(body), answer_of(b"\xef\xbb\xbf" + body)
    except TutuError:
        return
    assert [c.message.text for c in quick.choices] == [c.message.text for c in patient.choices]


@pytest.mark.parametrize("data", [b"{}", b"null", b"[]", b" {} ", b"\xef\xbb\xbf{}"])
def test_an_event_that_carries_nothing_is_no_chunk(data: bytes) -> None:
    assert wire.read_chunk(data, OK) is None


@pytest.mark.parametrize("data", [b"5", b'"hi"', b"[1]", b"true", b"hello", b'{"choices"', b"<html>"])
def test_an_event_that_is_not_a_chunk_is_an_error(data: bytes) -> None:
    with pytest.raises(UnexpectedResponseError):
        wire.read_chunk(data, OK)


def test_reads_a_chunk_leniently() -> None:
    chunk = wire.read_chunk(
        b'{"created":null,"choices":[{"index":null,"delta":{"content":[{"text":"hi"}]}}],"x":1}', OK
    )
    assert chunk is not None
    assert (chunk.text, chunk.extra, chunk.created) == ("hi", {"x": 1}, 0)


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b'{"a":1}', [b'{"a":1}']),
        (b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}{"b":2}  [DONE]', [b'{"a":1}', b'{"b":2}', b"[DONE]"]),
        (b'\xef\xbb\xbf{"a":NaN}\r\n{"b"', [b'{"a":NaN}', b'{"b"']),
        (b"oops", [b"oops"]),
        (b'{"a":1}\n\n', [b'{"a":1}\n\n']),
        (b"", []),
    ],
)
def test_takes_events_apart_that_were_run_together(data: bytes, parts: list[bytes]) -> None:
    assert wire.split_values(data, OK) == parts


@pytest.mark.parametrize(
    ("start", "content_type", "is_stream"),
    [
        (b"data: {}", "application/json", True),
        (b"event: error", "", True),
        (b"id: 1", "", True),
        (b"retry: 5", "", True),
        (b": PING", "", True),
        (b"\xef\xbb\xbf\r\n data: {}", "", True),
        (b"{}", "text/event-stream; charset=utf-8", False),
        (b" [1]", "text/event-stream", False),
        (b"<html>", "text/event-stream", False),
        (b"oops", "text/event-stream", True),
        (b"oops", "text/plain", False),
        (b"", "text/event-stream", False),
        (b"   ", "text/event-stream", False),
        (b"{}", "application/json", False),
    ],
)
def test_knows_an_event_stream_by_its_first_bytes(start: bytes, content_type: str, is_stream: bool) -> None:
    assert wire.is_event_stream(start, content_type) is is_stream
