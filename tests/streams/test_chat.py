"""What the reader of ``tutuclient.streams.chat`` promises: every chunk, and a whole answer or an error."""

from __future__ import annotations

import contextlib
import json
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.streams.chunks import (
    AZURE,
    DONE,
    END,
    FORCED,
    HELLO,
    META,
    NA_CLAUDE,
    NORMAL,
    OSLO,
    USAGE,
    also,
    call,
    chunks_of,
    delta,
    events,
    fold,
    folded,
    reader,
    tools,
)
from tutuclient import errors, wire
from tutuclient.errors import APIError, IncompleteStreamError, UnexpectedResponseError
from tutuclient.types.json import too_deep

if TYPE_CHECKING:
    from tutuclient.types.chat import (
        ChatCompletion,
        ChatCompletionChunk,
    )


def test_every_chunk_has_its_json_and_the_meta_of_the_call() -> None:
    found, ended = chunks_of(events(*NORMAL))
    assert ended is None
    assert [chunk.text for chunk in found] == ["", "你", "好", "", ""]
    assert [json.loads(chunk.raw) for chunk in found] == list(NORMAL[:-1])
    assert all(chunk.meta is META for chunk in found)
    assert found[3].finish_reason == "stop"


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail",
    [
        b"data: [DONE]\n\n",
        b"data:[DONE]\n\n",
        b"data:   [DONE]  \n\n",
        b"data: [DONE]",
        b"data: [DONE]\n",
        b"data: [DONE]\r\n\r\n",
        b"data: [DONE] bye\n\n",
        b"data: [DONE]\n\ndata: [DONE]\n\n",
        b'data: [DONE]\n\ndata: {"choices":[{"delta":{"content":"more"}}]}\n\n',
        b"data: [DONE]\n\ndata: no JSON\n\noops",
        b'data: [DONE]\n\ndata: {"error":{"message":"too late"}}\n\n',
        b": bye\n\ndata: [DONE]\n\n",
    ],
)
def test_done_is_the_end_and_nothing_behind_it_counts(tail: bytes) -> None:
    for reason in ("stop", None):
        answer = fold(events(delta("hi", reason=reason)) + tail, many=False, max_bytes=1000)
        assert (answer.text, answer.finish_reason) == ("hi", reason)


@pytest.mark.parametrize(
    "tail",
    [
        b'data: "[DONE]"\n\n',
        b"data: '[DONE]'\n\n",
        b"data: [done]\n\n",
        b"[DONE]\n\n",
        b"[DONE]",
        b'"[DONE]"\n',
        b"data: bye\n\n",
        b"data: 5\n\n",
        b"data: [1]\n\n",
        b"data: {oops\n\n",
        b"event: done\ndata: bye\n\n",
        b"bye bye\n\n",
        b"<html></html>\n\n",
        b'{"a":1}\n\n',
        b"data: " + b"[" * 9000 + b"\n\n",
        b"data: " + b"x" * 3000 + b"\n\n",
        b"x" * 3000,
        b'data: {"choices": "none"}\n\n',
    ],
    ids=lambda tail: repr(tail[:24]),
)
@pytest.mark.parametrize("behind", [b"", events({"choices": [], "usage": USAGE})], ids=["last", "usage behind it"])
def test_what_cannot_be_read_behind_the_end_costs_nothing(tail: bytes, behind: bytes) -> None:
    """Kind R: several SSE servers. What stands behind it and can be read still counts, unless the end was said."""
    for size in (1, 7, 10_000):
        reading = reader()
        stream = events(delta("h"), delta("i"), END) + tail + behind
        for at in range(0, len(stream), size):
            list(reading.feed(stream[at : at + size]))
        list(reading.end())
        reading.check_complete(strict=True)
        answer = reading.folder.completion()
        assert (answer.text, answer.finish_reason) == ("hi", "stop")
        ended = b"[done]" in tail.lower()
        joined = not tail.endswith(b"\n\n")  # What follows is of the same event then.
        assert ended or joined or not behind or (answer.usage is not None and answer.usage.total_tokens == 3)


@pytest.mark.parametrize("junk", [b"x" * 500, b"data: x\n\n" * 50, b": x\n" * 100, b"data: x" * 80])
def test_junk_without_end_behind_the_end_costs_nothing(junk: bytes) -> None:
    reading = reader(max_bytes=2000)
    list(reading.feed(events(delta("hi"), END)))
    for _ in range(10):
        assert list(reading.feed(junk)) == []
    assert list(reading.end()) == []
    reading.check_complete(strict=True)
    assert reading.folder.completion().text == "hi"


@pytest.mark.parametrize("glue", [b"data: ", b"data:", b"\tdata: ", b""])
def test_events_glued_to_a_line_are_read(glue: bytes) -> None:
    """Kind R: ``…}data: [DONE]`` on one line; and what is glued before the end is read too."""
    said = [json.dumps(frame).encode() for frame in (delta("i"), END)]
    for last in (b"[DONE]", b'"[DONE]"', b"{}", b"oops"):
        stream = events(delta("h")) + b"data: " + glue.join([*said, last]) + b"\n\n"
        assert fold(stream, many=False, max_bytes=2000).text == "hi"
    done = events(delta("h")) + b"data: " + glue.join([said[0], b"[DONE]"]) + b"\n\n"
    answer = fold(done, many=False, max_bytes=2000)
    assert (answer.text, answer.finish_reason) == ("hi", None)


def test_an_error_behind_the_end_is_raised_with_the_answer() -> None:
    with pytest.raises(APIError, match="boom") as caught:
        folded(delta("hi"), END, {"error": {"message": "boom"}})
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.partial.finish_reason) == ("hi", "stop")


@pytest.mark.parametrize(
    "word",
    [
        *("null", "", "None", "none", "NULL", "undefined", " null ", "nil"),
        *(" ", "(null)", '"null"', "NaN", "N/A", "false", "FINISH_REASON_UNSPECIFIED"),
    ],
)
def test_a_word_for_null_is_not_a_finish_reason(word: str) -> None:
    """Kind E: DashScope's SDK, qwen through relays."""
    for many in (0, 2):
        stream = events(delta("he", reason=word), delta("llo", reason=word))
        with pytest.raises(IncompleteStreamError) as caught:
            fold(stream, many=many, max_bytes=2000)
        assert caught.value.partial is not None
        assert (caught.value.partial.text, caught.value.partial.finish_reason) == ("hello", None)
    found, ended = chunks_of(events(delta("he", reason=word), END))
    assert ([chunk.finish_reason for chunk in found], ended) == ([None, "stop"], None)
    answer = fold(stream + b"data: [DONE]\n\n", many=False, max_bytes=2000)
    assert (answer.text, answer.finish_reason) == ("hello", None)


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": [{"delta": "i"}]},
        {"choices": [{"delta": ["i"]}]},
        {"choices": [{"message": "i"}]},
        {"choices": [{"delta": {"content": {"a": "i"}}}]},
        {"choices": [{"delta": {"content": True}}]},
        {"choices": [{"delta": {"content": [{"text": 1}]}}]},
        {"choices": ["i"]},
        {"choices": "i"},
    ],
)
def test_text_that_cannot_be_read_is_an_error(odd: object) -> None:
    """Kind b."""
    with pytest.raises(UnexpectedResponseError) as caught:
        folded(delta("h"), odd, END)
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.outcome) == ("h", "unknown")


@pytest.mark.parametrize(
    ("frames", "complete", "strictly"),
    [
        ([delta("hi"), END, DONE], True, True),
        ([delta("hi"), END], True, True),
        ([END], True, True),
        ([delta("hi"), DONE], True, False),
        ([call(name="a"), DONE], True, False),
        ([delta(reasoning_content="hm"), DONE], True, False),
        ([delta(images=["x"]), DONE], True, False),
        ([delta(audio={"data": "x"}), DONE], True, False),
        ([delta(refusal="no"), DONE], True, False),
        ([delta(function_call={"name": "a", "arguments": ""}), DONE], True, False),
        ([delta("hi")], False, False),
        ([call(name="a")], False, False),
        ([DONE], False, False),
        ([], False, False),
        ([{"choices": [], "usage": USAGE}, DONE], False, False),
        ([FORCED, DONE], False, False),
        ([AZURE, DONE], False, False),
        ([delta("", role="assistant"), DONE], False, False),
    ],
)
def test_a_whole_answer_is_distinguished_from_a_cut_one(frames: list[object], complete: bool, strictly: bool) -> None:
    reading = reader()
    list(reading.feed(events(*frames)))
    list(reading.end())
    for strict, whole in ((False, complete), (True, strictly)):
        with contextlib.nullcontext() if whole else pytest.raises(IncompleteStreamError) as caught:
            reading.check_complete(strict=strict)
        if caught is not None:
            assert (caught.value.request_id, caught.value.outcome) == ("r1", "unknown")


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([], "without a single event"),
        ([delta("hi")], "ended early"),
        ([delta("hi"), DONE], "without a finish_reason"),
    ],
)
def test_the_error_tells_how_a_stream_was_cut(frames: list[object], words: str) -> None:
    reading = reader()
    list(reading.feed(events(*frames)))
    with pytest.raises(IncompleteStreamError, match=words):
        reading.check_complete(strict=True)


def test_a_stream_cut_within_an_event_is_incomplete() -> None:
    with pytest.raises(IncompleteStreamError, match="within an event") as caught:
        fold(events(delta("hi")) + b'data: {"choices":[{"del', many=False, max_bytes=1000)
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.request_id) == ("hi", "r1")
    with pytest.raises(UnexpectedResponseError):
        fold(b'data: {"choices":[{"del', many=False, max_bytes=1000)
    whole = fold(events(delta("hi", reason="stop")) + b'data: {"us', many=False, max_bytes=1000)
    assert (whole.text, whole.usage) == ("hi", None)


# --- errors within a stream ------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[bytes, type[APIError], str]] = {
    "openai": (
        events({"error": {"message": "bad", "type": "server_error", "code": 500}}),
        errors.InternalServerError,
        "bad",
    ),
    "openrouter": (
        events(
            {
                "id": "c",
                "error": {"code": 502, "message": "bad"},
                "choices": [{"delta": {"content": ""}, "finish_reason": "error"}],
            }
        ),
        errors.InternalServerError,
        "bad",
    ),
    "vllm": (events({"object": "error", "message": "bad", "type": "T", "code": 400}), errors.BadRequestError, "bad"),
    "event: error": (b'event: error\ndata: {"error":{"message":"bad"}}\n\n', errors.APIStatusError, "bad"),
    "event: error with content": (b"event: error\n" + events(delta("x")), errors.APIStatusError, "nothing more"),
    "event: error with words": (b"event: error\ndata: bad luck\n\n", errors.APIStatusError, "bad luck"),
    "event: error with nothing": (b"event: error\ndata:\n\n", errors.APIStatusError, "nothing more"),
    "claude": (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n',
        errors.InternalServerError,
        "busy",
    ),
    "plain text": (events({"error": "bad"}), errors.APIStatusError, "bad"),
    "message": (events({"message": "bad"}), errors.APIStatusError, "bad"),
    "code and msg": (events({"code": 429, "msg": "bad"}), errors.RateLimitError, "bad"),
    "detail": (events({"detail": "bad"}), errors.APIStatusError, "bad"),
    "panel": (events({"success": False, "message": "bad"}), errors.APIStatusError, "bad"),
    "without data:": (b': PING\n\n{"error":{"message":"bad"}}', errors.APIStatusError, "bad"),
    "without data:, with a line end": (
        b': PING\n\n{"error":{"message":"bad","code":429}}\n',
        errors.RateLimitError,
        "bad",
    ),
    "JSON that is no event": (b'{"a":1}\n', UnexpectedResponseError, "not an event"),
    "HTML that is no event": (b"<html>\n", UnexpectedResponseError, "HTML"),
    "words that are no event": (b"upstream gone\n", UnexpectedResponseError, "upstream gone"),
    "words with a colon": (b"upstream error: gone\n", UnexpectedResponseError, "gone"),
    "plain text as data": (b"data: upstream gone\n\n", UnexpectedResponseError, "not JSON: upstream gone"),
    "a list": (b"data: [1]\n\n", UnexpectedResponseError, "not a JSON object"),
    "broken JSON": (b'data: {"choices":[\n\n', UnexpectedResponseError, "not JSON"),
    "deep": (b"data: " + b"[" * 9000 + b"\n\n", UnexpectedResponseError, "too deeply"),
    "long line": (b"data: " + b"x" * 30_000 + b"\n\n", UnexpectedResponseError, "over 20,000 bytes"),
    "chunk and then garbage": (b'data: {"choices":[]} oops\n\n', UnexpectedResponseError, "not JSON: oops"),
}


@pytest.mark.parametrize(("frame", "cls", "words"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("before", [(), (delta("h"), delta("i"))], ids=["first", "after text"])
@pytest.mark.parametrize("behind", [b"", events(END, DONE)], ids=["last", "done behind it"])
def test_an_error_raises_after_what_came_before_it(
    frame: bytes, cls: type[APIError], words: str, before: tuple[object, ...], behind: bytes
) -> None:
    reading, texts = reader(max_bytes=20_000), []
    with pytest.raises(cls, match=words):
        for piece in (events(*before), frame + behind):
            texts += [chunk.text for chunk in reading.feed(piece)]
        texts += [chunk.text for chunk in reading.end()]
    assert "".join(texts) == ("hi" if before else "")
    assert (reading.partial.text if reading.partial else "") == "".join(texts)


@pytest.mark.parametrize("frame", [frame for name, (frame, _, _) in BROKEN.items() if name != "long line"])
def test_a_broken_stream_raises_with_what_had_come(frame: bytes) -> None:
    with pytest.raises(APIError) as caught:
        fold(events(delta("hi")) + frame + b"\n", many=False, max_bytes=20_000)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "hi"


def test_a_line_too_long_at_the_end_is_an_error() -> None:
    reading = reader(max_bytes=100)
    assert list(reading.feed(b"data: " + b"x" * 130)) == []
    with pytest.raises(UnexpectedResponseError, match="over 100 bytes"):
        list(reading.end())


@pytest.mark.parametrize(
    "frame",
    [
        also(delta("hi"), error=None),
        also(delta("hi"), error={}),
        also(delta("hi"), error=False),
        also(delta("hi"), error=""),
        also(delta("hi"), error={"message": "success", "code": 0}),
        also(delta("hi"), error={"message": "odd"}),
        also(delta("hi", images=["x"]), error={"message": "odd"}),
        also(call(name="f", arguments="hi"), error={"message": "odd"}),
        also(delta("hi"), message="fine"),
        also(delta("hi"), success=True, msg="ok", code=200),
        delta("hi", note='"error"'),
    ],
)
def test_a_frame_that_only_looks_like_an_error_is_read(frame: object) -> None:
    answer = folded(frame, END)
    assert answer.text or tools(answer)[0][2] == "hi"


@pytest.mark.parametrize("line", [b"color: red", b"Data: x", b"x:y", b": PING", b"id: 5", b"retry: 5"])
def test_unknown_fields_and_pings_are_passed_over(line: bytes) -> None:
    stream = line + b"\n\n" + events(delta("hi"), END)
    assert fold(stream, many=False, max_bytes=1000).text == "hi"


# --- frames run together ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (b"\n".join(f"data: {json.dumps(frame)}".encode() for frame in (delta("h"), delta("i"), END)) + b"\n\n", "hi"),
        (events(delta("h"), delta("i"), END, DONE).replace(b"\n\n", b"\n"), "hi"),
        (events(delta("h"), delta("i"), END, DONE).replace(b"\n\n", b"\r"), "hi"),
        (b"data: " + b"".join(json.dumps(frame).encode() for frame in (delta("h"), delta("i"), END)) + b"\n\n", "hi"),
        (b'data: {"choices":[{"delta":\ndata: {"content":"hi"},\ndata: "finish_reason":"stop"}]}\n\n', "hi"),
        (events(delta("hi"), END)[:-2], "hi"),
        (b"\xef\xbb\xbf" + events(delta("hi"), END), "hi"),
        (events(delta("hi"), END).replace(b"data: ", b"data:"), "hi"),
        (events(delta("hi"), END).replace(b"data: ", b"event: message\ndata: "), "hi"),
        (events(delta("hi"), END).replace(b"data: ", b"data: " + b" " * 99), "hi"),
        (events(call(name="f"), END).replace(b"data: ", b"data: " + b" " * 99), ""),
    ],
)
def test_events_run_together_or_apart_are_read_whole(stream: bytes, text: str) -> None:
    answer = fold(stream, many=False, max_bytes=10_000)
    assert (answer.text, answer.finish_reason) == (text, "stop")
    assert text or tools(answer)


def test_of_events_run_together_the_good_ones_come_before_the_error() -> None:
    stream = b"data: " + json.dumps(delta("h")).encode() + b"\ndata: {oops\n\n"
    reading = reader()
    found = reading.feed(stream)
    assert next(found).text == "h"
    with pytest.raises(UnexpectedResponseError, match="oops"):
        next(found)


# --- a whole answer in place of a stream -----------------------------------------------------------------------------


def whole(**message: Any) -> ChatCompletion:
    body = {
        "id": "c1",
        "created": 5,
        "model": "m",
        "service_tier": "s",
        "system_fingerprint": "f",
        "odd": 1,
        "usage": USAGE,
        "choices": [
            {"index": 0, "message": {"content": "hi"} | message, "finish_reason": "stop", "logprobs": {"a": 1}}
        ],
    }
    return wire.read_completion(json.dumps(body).encode(), META)


def test_a_whole_answer_is_one_chunk_and_stays_whole() -> None:
    tool = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "signature": "x"}
    completion = whole(
        tool_calls=[tool],
        function_call={"name": "g", "arguments": "[]"},
        reasoning_content="hm",
        images=["u"],
        annotations=[1],
    )
    reading = reader()
    [chunk] = reading.read_whole(completion.raw)
    assert (chunk.id, chunk.created, chunk.model, chunk.text, chunk.thinking) == ("c1", 5, "m", "hi", "hm")
    assert (chunk.finish_reason, chunk.usage, chunk.extra) == ("stop", completion.usage, {"odd": 1})
    said = chunk.choices[0].delta
    assert [(t.index, t.id, t.function and t.function.arguments) for t in said.tool_calls or []] == [(0, "c1", "{}")]
    assert said.function_call is not None
    assert (said.function_call.name, said.images, said.annotations) == ("g", ["u"], [1])
    reading.check_complete(strict=True)
    assert reading.done
    answer = reading.folder.completion()
    assert answer == completion
    assert answer.meta is chunk.meta is META
    assert answer.message.tool_calls is not None
    assert answer.message.tool_calls[0].extra == {"signature": "x"}
    assert reading.partial == completion


def test_a_whole_answer_of_images_without_choices_stays_whole_too() -> None:
    completion = wire.read_completion(b'{"created":1,"data":[{"url":"https://h/a.png"}]}', META)
    reading = reader()
    assert [chunk.choices for chunk in reading.read_whole(completion.raw)] == [[]]
    reading.check_complete(strict=True)
    assert reading.folder.completion().to_dict()["data"] == [{"url": "https://h/a.png"}]


@pytest.mark.parametrize("between", [",\n", "\n\x1e"])
def test_what_is_between_lines_of_json_is_passed_over(between: str) -> None:
    reading = reader()
    stream = between.join(map(json.dumps, (delta("he"), delta("llo"), END))).encode()
    assert reading.read_as_lines(stream)
    assert "".join(chunk.text for chunk in chain(reading.feed(stream), reading.end())) == "hello"


@pytest.mark.parametrize("line", ["[DONE]", '"[DONE]"', "}", "garbage", "<html>", "0", 'data: {"message": "ok"}'])
def test_a_line_behind_the_last_event_costs_nothing_of_it(line: str) -> None:
    """Also where the blank line between them is missing."""
    for between in ("\n", "\n\n"):
        stream = events(delta("hello"), END).strip() + between.encode() + line.encode() + b"\n\n"
        answer = fold(stream, many=0, max_bytes=2**20)
        assert (answer.text, answer.finish_reason) == ("hello", "stop")


@pytest.mark.parametrize("name", ["\0data:", " data: ", "Data: ", "data : ", "\ufeffdata: ", "", "\tdata:"])
def test_a_chunk_is_read_whatever_its_field_is_called(name: str) -> None:
    stream = events(delta("h")) + f"{name}{json.dumps(delta('i'))}\n\n".encode() + events(END)
    assert fold(stream, many=0, max_bytes=2**20).text == "hi"


def test_bare_json_behind_an_event_comes_behind_it() -> None:
    stream = "data: " + "\n".join(map(json.dumps, (delta("he"), delta("llo"), END)))
    assert fold(stream.encode(), many=0, max_bytes=2**20).text == "hello"


def test_a_line_of_json_that_cannot_be_read_is_an_error() -> None:
    lines = [json.dumps(delta("h")), "{oops", json.dumps(delta("i")), json.dumps(END)]
    for body in ("\n".join(lines), "\n".join([*lines[:2], *lines[3:]])):
        reading = reader()
        assert reading.read_as_lines(body.encode())
        with pytest.raises(UnexpectedResponseError, match="oops"):
            list(reading.feed(body.encode()))
        assert reading.partial is not None
        assert reading.partial.text == "h"


def test_a_chunk_whose_data_is_missing_is_read_too() -> None:
    stream = b": PING\n\n" + b"\n".join(json.dumps(frame).encode() for frame in HELLO) + b"\n"
    assert fold(stream, many=False, max_bytes=2**20).text == "hello"


# --- any cut ---------------------------------------------------------------------------------------------------------

frames = st.sampled_from(
    [
        *NORMAL,
        *NA_CLAUDE,
        AZURE,
        FORCED,
        delta("图 🙂"),
        delta(reasoning_content="hm"),
        call(name="a", arguments=OSLO),
        "{}",
        "{oops",
        {"error": {"message": "bad"}},
    ]
)


@given(
    written=st.lists(frames, max_size=8),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    tail=st.sampled_from([b"", b"data: [DONE]", b": PING\n\n", b'{"error": {"message": "bad"}}', b"\xef\xbb"]),
    places=st.lists(st.integers(0, 3000), max_size=10),
)
def test_cuts_change_nothing(written: list[object], line_end: str, tail: bytes, places: list[int]) -> None:
    stream = events(*written).replace(b"\n", line_end.encode()) + tail
    once, in_pieces = chunks_of(stream), chunks_of(stream, places)
    assert in_pieces == once
    assert [chunk.raw for chunk in in_pieces[0]] == [chunk.raw for chunk in once[0]]


@given(
    stream=st.binary(max_size=80) | st.lists(st.binary(max_size=20)).map(lambda parts: b"\ndata: ".join([b"", *parts]))
)
def test_any_bytes_are_chunks_or_one_of_our_errors(stream: bytes) -> None:
    with contextlib.suppress(errors.APIStatusError, UnexpectedResponseError, IncompleteStreamError):
        answer = fold(stream, many=False, max_bytes=50)
        assert answer.text.encode().decode() == answer.text


@pytest.mark.parametrize("field", ['"error": "boom"', '"success": false, "msg": "boom"'])
def test_an_error_is_found_beside_a_delta_that_is_empty(field: str) -> None:
    with pytest.raises(errors.APIStatusError, match="boom"):
        list(reader().feed(b'data: {"choices": [{"delta": {}}], %b}\n\n' % field.encode()))


@pytest.mark.parametrize("before", ["", ', "content": ""', ', "content": null', ', "role": "assistant"'])
def test_thoughts_are_kept_in_order_whatever_stands_beside_them(before: str) -> None:
    reading = reader()
    frame = 'data: {"id": "c", "model": "m", "choices": [{"delta": {"reasoning_content": "%s"%s}}]}\n\n'
    for word in ("one ", "two ", "three"):
        (chunk,) = reading.feed((frame % (word, before)).encode())
        assert (chunk.thinking, chunk.text) == (word, "")
    list(reading.feed(b'data: {"choices": [{"delta": {"content": "four"}, "finish_reason": "stop"}]}\n\n'))
    message = reading.folder.completion().choices[0].message
    assert (message.reasoning_content, message.content) == ("one two three", "four")


@pytest.mark.parametrize(
    ("field", "kept"),
    [
        ({"refusal": "no"}, {"refusal": "no"}),
        ({"reasoning_content": "hm"}, {"reasoning_content": "hm"}),
        ({"reasoning": "hm"}, {"reasoning": "hm"}),
        ({"annotations": [{"type": "x"}]}, {"annotations": [{"type": "x"}]}),
        ({"reasoning_details": [{"type": "x"}]}, {"reasoning_details": [{"type": "x"}]}),
        ({"images": [{"type": "x"}]}, {"images": [{"type": "x"}]}),
        ({"image": {"type": "x"}}, {"images": [{"type": "x"}]}),
    ],
)
def test_what_stands_beside_a_piece_of_text_is_kept(field: dict[str, Any], kept: dict[str, Any]) -> None:
    reading = reader()
    for piece in ({"content": "one "}, {"content": "two ", **field}, {"content": "three"}):
        data = {"id": "c", "model": "m", "choices": [{"delta": piece}]}
        assert len(list(reading.feed(f"data: {json.dumps(data)}\n\n".encode()))) == 1
    message = reading.folder.completion().choices[0].message
    assert message.content == "one two three"
    assert {name: getattr(message, name) for name in kept} == kept


def test_a_call_that_stands_beside_a_piece_of_text_is_kept() -> None:
    reading = reader()
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    for piece in ({"content": "one "}, {"content": "two", "tool_calls": [call]}):
        data = {"id": "c", "model": "m", "choices": [{"delta": piece}]}
        list(reading.feed(f"data: {json.dumps(data)}\n\n".encode()))
    message = reading.folder.completion().choices[0].message
    assert (message.content, [call.function.name for call in message.tool_calls or ()]) == ("one two", ["f"])


def test_an_error_is_found_beside_a_thought() -> None:
    reading = reader()
    frame = b'data: {"id": "c", "model": "m", "choices": [{"delta": {"reasoning_content": "hm"}}]%b}\n\n'
    assert len(list(reading.feed(frame % b""))) == 1
    with pytest.raises(errors.APIStatusError, match="boom"):
        list(reading.feed(frame % b', "error": {"message": "boom"}'))


@pytest.mark.parametrize("lists", [0, 1, 100, 223, 224, 225, 300])
def test_msgspec_never_decodes_a_chunk_that_is_nested_too_deeply(monkeypatch: pytest.MonkeyPatch, lists: int) -> None:
    decoded: list[bytes] = []

    def decode(data: bytes) -> ChatCompletionChunk:
        decoded.append(data)
        raise msgspec.DecodeError

    monkeypatch.setattr(wire, "decode_chunk", decode)
    for objects in range(1, 300):
        with contextlib.suppress(errors.APIError):
            list(reader().feed(b"data: %b%b\n\n" % (b"[" * lists, b'{"":' * objects)))
    assert (len(decoded) > 10) == (lists < 250)
    assert not any(map(too_deep, decoded))
