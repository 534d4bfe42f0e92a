"""What ``tutuclient.streams.bodies`` promises: one answer from a body, be it a stream or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.streams.chunks import AZURE, END, HELLO, ORIGIN, delta, events, fold, reader
from tutuclient import wire
from tutuclient.errors import APIStatusError, IncompleteStreamError, UnexpectedResponseError
from tutuclient.streams.bodies import read_body

# --- a stream that is written as JSON (kind D: langchainjs PR 3241, chatbot-ui PR 1378) ------------------------------


JSON_STREAMS = {
    "lines": lambda frames: b"".join(json.dumps(frame).encode() + b"\n" for frame in frames),
    "lines, CRLF": lambda frames: b"\r\n".join(json.dumps(frame).encode() for frame in frames),
    "blank lines": lambda frames: b"\n\n".join(json.dumps(frame).encode() for frame in frames),
    "a BOM": lambda frames: b"\xef\xbb\xbf" + b"\n".join(json.dumps(frame).encode() for frame in frames),
    "run together": lambda frames: b"".join(json.dumps(frame).encode() for frame in frames),
    "an array": lambda frames: json.dumps(frames).encode(),
    "an array in lines": lambda frames: json.dumps(frames, indent=2).encode(),
    "commas": lambda frames: b",\n".join(json.dumps(frame).encode() for frame in frames),
    "pretty": lambda frames: b"\n".join(json.dumps(frame, indent=2).encode() for frame in frames),
}


@pytest.mark.parametrize("written", JSON_STREAMS.values(), ids=JSON_STREAMS)
@pytest.mark.parametrize("behind", [b"", b"\n[DONE]\n", b"\ndata: [DONE]\n", b"\noops"])
def test_a_stream_written_as_json_is_read_to_its_end(written: Any, behind: bytes) -> None:
    body = written(HELLO) + behind
    answer = read_body(body, ORIGIN, many=False, max_bytes=2**20)
    assert (answer.text, answer.finish_reason, answer.usage and answer.usage.total_tokens) == ("hello", "stop", 3)
    reading = reader()
    texts = [chunk.text for chunk in reading.read_whole(body)]
    reading.check_complete(strict=True)
    assert "".join(texts) == "hello"


@pytest.mark.parametrize("written", JSON_STREAMS.values(), ids=JSON_STREAMS)
@pytest.mark.parametrize("cut", [0, 1, 30, 60])
def test_a_stream_written_as_json_that_is_cut_is_an_error_with_what_came(written: Any, cut: int) -> None:
    body = written(HELLO[:-1])
    with pytest.raises(IncompleteStreamError) as caught:
        read_body(body[: len(body) - cut], ORIGIN, many=False, max_bytes=2**20)
    assert caught.value.partial is not None
    assert "hello".startswith(caught.value.partial.text)
    assert (caught.value.partial.text[:3], caught.value.outcome) == ("hel", "unknown")


@pytest.mark.parametrize(
    "frames",
    [
        [delta("he")],
        [delta("he", reason="null")],
        [delta("he", reason="")],
        [{"choices": [{"delta": {"content": "he"}}]}],
        [delta("", role="assistant"), delta("he")],
        [AZURE, delta("he")],
        [{"choices": [{"message": {"content": "h"}}]}, {"choices": [{"message": {"content": "e"}}]}],
        [{"choices": [{"text": "h"}]}, {"choices": [{"text": "e"}]}],
    ],
)
def test_a_lone_chunk_is_no_whole_answer(frames: list[dict[str, Any]]) -> None:
    body = b"\n".join(json.dumps(frame).encode() for frame in frames)
    with pytest.raises(IncompleteStreamError) as caught:
        read_body(body, ORIGIN, many=False, max_bytes=2**20)
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.outcome) == ("he", "unknown")


@pytest.mark.parametrize(
    "value",
    [
        {"choices": [{"message": {"content": "hi"}}]},
        {"choices": [{"message": {"content": "hi"}, "finish_reason": None}]},
        {"choices": [{"message": {"content": "hi"}, "finish_reason": "null"}]},
        {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": "hi"}, "delta": {}, "finish_reason": None}]},
        {"choices": [{"text": "hi"}]},
    ],
)
def test_one_value_that_has_a_message_or_a_reason_is_whole(value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    answer = read_body(body, ORIGIN, many=False, max_bytes=2**20)
    assert (answer.text, answer.raw) == ("hi", body)
    assert "".join(chunk.text for chunk in reader().read_whole(body)) == "hi"


@pytest.mark.parametrize(
    "written",
    [
        "\n".join(f'{{"code": 0, "data": {json.dumps(frame)}}}' for frame in (delta("he"), delta("llo"), END)),
        json.dumps({"code": 200, "data": [delta("he"), delta("llo"), END]}),
        json.dumps(json.dumps([delta("he"), delta("llo"), END])),
        "".join(f"\x1e{json.dumps(frame)}\n" for frame in (delta("he"), delta("llo"), END)),  # RFC 7464
    ],
)
def test_a_stream_written_as_json_is_read_whatever_is_around_it(written: str) -> None:
    assert read_body(written.encode(), ORIGIN, many=0, max_bytes=2**20).text == "hello"
    assert "".join(chunk.text for chunk in reader().read_whole(written.encode())) == "hello"


def test_a_lone_chunk_within_an_envelope_is_no_whole_answer() -> None:
    for written in (json.dumps(json.dumps(delta("he"))), json.dumps({"code": 0, "data": delta("he")})):
        with pytest.raises(IncompleteStreamError) as caught:
            read_body(written.encode(), ORIGIN, many=0, max_bytes=2**20)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "he"


# --- one answer over several choices (kind G: zeroclaw PR 2136, nanobot PR 1555, litellm PR 35444) -------------------


def test_one_answer_over_several_choices_is_one() -> None:
    tool = {"id": "c1", "type": "function", "function": {"name": "a", "arguments": "{}"}, "signature": "x"}
    other = tool | {"id": "c2"}
    body = {
        "id": "c1",
        "odd": 1,
        "choices": [
            {"index": 0, "message": {"content": "I look.", "reasoning_content": "hm"}, "finish_reason": "stop"},
            {"index": 1, "message": {"content": None, "tool_calls": [tool]}, "finish_reason": "tool_calls"},
            {"index": 2, "message": {"content": "", "tool_calls": [other], "own": 5}, "finish_reason": "tool_calls"},
        ],
    }
    data = json.dumps(body).encode()
    answer = read_body(data, ORIGIN, many=0, max_bytes=2**20)
    assert (len(answer.choices), answer.text, answer.message.thinking, answer.finish_reason) == (
        1,
        "I look.",
        "hm",
        "tool_calls",
    )
    assert [call.id for call in answer.message.tool_calls or ()] == ["c1", "c2"]
    assert (answer.extra, answer.message.extra) == ({"odd": 1}, {"own": 5})
    assert wire.prepared_messages([answer.message])[0]["tool_calls"] == [tool, other]
    [chunk] = reader().read_whole(data)
    assert (len(chunk.choices), chunk.text, len(chunk.choices[0].delta.tool_calls or ())) == (1, "I look.", 2)
    twice = {"choices": [{"index": n, "message": {"content": "I look."}} for n in range(2)]}
    assert read_body(json.dumps(twice).encode(), ORIGIN, many=0, max_bytes=2**20).text == "I look."
    apart = read_body(data, ORIGIN, many=3, max_bytes=2**20)
    assert [choice.index for choice in apart.choices] == [0, 1, 2]


# --- bounds on counts ------------------------------------------------------------------------------------------------


def test_more_than_any_answer_has_is_an_error() -> None:
    many_calls = [{"function": {"name": "a"}, "id": f"c{number}"} for number in range(10_001)]
    many_choices = [{"index": number, "delta": {"content": "a"}} for number in range(1, 1002)]
    for frames, words, many in (
        ([delta("hi"), delta(tool_calls=many_calls)], "10,000 tool calls", 0),
        (
            [delta("hi"), *(delta(tool_calls=many_calls[at : at + 100]) for at in range(0, 10_001, 100))],
            "tool calls",
            0,
        ),
        ([delta("hi"), {"choices": many_choices}], "1,000 choices", 2),
        ([delta("hi"), {"choices": many_choices}], "1,000 choices", 0),
        ([delta("hi"), delta(images=["x"] * 100_001)], "100,000 parts", 0),
        ([delta("hi"), delta(annotations=["x"] * 100_001)], "100,000 parts", 0),
        ([delta("hi"), delta(content=[None] * 100_001)], "100,000 parts", 0),
    ):
        with pytest.raises(UnexpectedResponseError, match=words) as caught:
            fold(events(*frames), many=many, max_bytes=2**22)
        assert caught.value.partial is not None
        assert caught.value.partial.text == "hi"
    whole = {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}] * 1001}
    with pytest.raises(UnexpectedResponseError, match="1,000 choices"):
        read_body(json.dumps(whole).encode(), ORIGIN, many=0, max_bytes=2**22)
    texts = {"choices": [{"text": "a", "finish_reason": "stop"}] * 1001}
    with pytest.raises(UnexpectedResponseError, match="1,000 choices"):
        read_body(json.dumps(texts).encode(), ORIGIN, many=0, max_bytes=2**22)
    parts = {"choices": [{"message": {"content": ["a"] * 100_001}, "finish_reason": "stop"}]}
    with pytest.raises(UnexpectedResponseError, match="100,000 parts"):
        read_body(json.dumps(parts).encode(), ORIGIN, many=0, max_bytes=2**22)
    calls = {"choices": [{"message": {"tool_calls": many_calls}, "finish_reason": "stop"}]}
    with pytest.raises(UnexpectedResponseError, match="10,000 tool calls"):
        read_body(json.dumps(calls).encode(), ORIGIN, many=0, max_bytes=2**22)


@pytest.mark.slow
@pytest.mark.parametrize("value", [b"{}", b"1 ", json.dumps(delta("a")).encode()[:-1] + b', "x": 1}'])
def test_more_values_than_any_answer_has_are_an_error(value: bytes) -> None:
    """Each is read on its own: 490,000 of them held the event loop for seconds."""
    values = json.dumps(delta("hi")).encode() + value * 100_000
    for body in (values, b"data: " + values + b"\n\n"):
        with pytest.raises(UnexpectedResponseError, match="more than 100,000 JSON values"):
            read_body(body, ORIGIN, many=0, max_bytes=2**26)


# --- Ollama's own lines (docs/api.md, "Generate a chat completion") --------------------------------------------------

OLLAMA_END = {
    "model": "m",
    "created_at": "2025-08-04T19:22:45.499127Z",
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "length",
    "prompt_eval_count": 26,
    "eval_count": 2,
}


def ollama(content: str, **message: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": content} | message, "done": False}


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def test_lines_of_ollama_are_read_as_chunks() -> None:
    tool = {"function": {"name": "weather", "arguments": {"city": "Oslo"}}}
    body = lines(ollama("", thinking="hm"), ollama("he"), ollama("llo", tool_calls=[tool]), OLLAMA_END)
    reading = reader()
    assert reading.read_as_lines(body)
    assert "".join(chunk.text for chunk in reading.read_all(body)) == "hello"
    for answer in (reading.folder.completion(), read_body(body, ORIGIN, many=0, max_bytes=2**20)):
        assert (answer.model, answer.text, answer.message.thinking, answer.finish_reason) == (
            "m",
            "hello",
            "hm",
            "length",
        )
        assert [call.function.arguments for call in answer.message.tool_calls or ()] == ['{"city": "Oslo"}']
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (26, 2, 28)


def test_the_last_line_of_ollama_may_have_no_message() -> None:
    body = lines(ollama("he"), ollama("llo"), {name: OLLAMA_END[name] for name in OLLAMA_END if name != "message"})
    answer = read_body(body, ORIGIN, many=0, max_bytes=2**20)
    assert (answer.text, answer.finish_reason) == ("hello", "length")


def test_a_whole_answer_of_ollama_is_read() -> None:
    body = lines(OLLAMA_END | {"message": {"role": "assistant", "content": "hello"}})
    answer = read_body(body, ORIGIN, many=0, max_bytes=2**20)
    assert (answer.text, answer.finish_reason, answer.extra["eval_count"]) == ("hello", "length", 2)
    assert "".join(chunk.text for chunk in reader().read_whole(body)) == "hello"


def test_lines_of_ollama_that_are_cut_are_an_incomplete_answer() -> None:
    for body in (lines(ollama("he")), lines(ollama("he"), ollama("l"))):
        with pytest.raises(IncompleteStreamError) as caught:
            read_body(body, ORIGIN, many=0, max_bytes=2**20)
        assert caught.value.partial is not None
        assert caught.value.partial.text[:2] == "he"


def test_an_error_among_the_lines_of_ollama_is_raised() -> None:
    with pytest.raises(APIStatusError, match="out of memory"):
        read_body(lines(ollama("he"), {"error": "out of memory"}), ORIGIN, many=0, max_bytes=2**20)
