"""Envelopes: the answer in them is read at every endpoint, whole and in events; an envelope without one is an error."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.bodies import OK
from tutuclient import wire
from tutuclient.errors import APIError, ContentPolicyError, InsufficientQuotaError, UnexpectedResponseError
from tutuclient.types import ImagesResponse, Meta, Model, Transcription
from tutuclient.types.models import ModelList

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://h.example/a.png"
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
PIECE = {"index": 0, "delta": {"content": "hi"}, "finish_reason": None}
TEXT = {"index": 0, "text": "hi", "finish_reason": "stop"}


def body(value: object) -> bytes:
    return json.dumps(value).encode()


# Chinese panels' {"code", "msg", "data"}, gateways' {"result"}, functions behind API gateways with a "body" of text.
ENVELOPES: dict[str, Callable[[Any], Any]] = {
    "code and data": lambda inner: {"code": 200, "data": inner},
    "code, msg and data": lambda inner: {"code": 0, "msg": "ok", "data": inner},
    "success": lambda inner: {"success": True, "message": "", "data": inner},
    "result": lambda inner: {"code": 0, "message": "ok", "result": inner},
    "response": lambda inner: {"response": inner},
    "body": lambda inner: {"statusCode": 200, "headers": {"x": "y"}, "body": inner},
    "body as text": lambda inner: {"statusCode": 200, "body": json.dumps(inner)},
    "output": lambda inner: {"status": "success", "output": inner},
    "two": lambda inner: {"code": 200, "data": {"result": inner, "took": 5}},
    "list of one": lambda inner: {"code": 200, "data": [inner]},
    "text alone": json.dumps,
    "capitals": lambda inner: {"Code": 200, "Data": inner},
}
ANSWERS: dict[str, tuple[Any, Callable[[bytes], Any], Callable[[Any], Any], object]] = {
    "chat": (
        {"id": "c", "choices": [CHOICE], "usage": {"total_tokens": 5}},
        lambda data: wire.read_completion(data, OK),
        lambda answer: (answer.id, answer.text, answer.usage.total_tokens),
        ("c", "hi", 5),
    ),
    "chunk": (
        {"id": "c", "choices": [PIECE]},
        lambda data: wire.read_chunk(data, OK),
        lambda chunk: (chunk.id, chunk.text),
        ("c", "hi"),
    ),
    "chunk of usage": (
        {"id": "c", "choices": [], "usage": {"total_tokens": 5}},
        lambda data: wire.read_chunk(data, OK),
        lambda chunk: chunk.usage.total_tokens,
        5,
    ),
    "text": (
        {"id": "c", "choices": [TEXT]},
        lambda data: wire.read_text(data, OK),
        lambda a: (a.id, a.text),
        ("c", "hi"),
    ),
    "text event": ({"choices": [TEXT]}, lambda data: wire.read_text_event(data, OK), lambda event: event.text, "hi"),
    "embeddings": (
        {"data": [{"embedding": [1, 2], "index": 0}], "model": "m", "usage": {"total_tokens": 2}},
        lambda data: wire.read_vectors(data, OK, 1),
        lambda answer: ([each.embedding for each in answer], answer.model, answer.usage.total_tokens),
        ([[1.0, 2.0]], "m", 2),
    ),
    "images": (
        {"created": 5, "data": [{"url": URL}], "usage": {"total_tokens": 2}},
        lambda data: wire.read_images(data, OK),
        lambda answer: (answer.created, answer.data[0].url, answer.usage.total_tokens),
        (5, URL, 2),
    ),
    "image event": (
        {"type": "image_generation.completed", "url": URL},
        lambda data: wire.read_image_events("", data, OK)[0],
        lambda event: (event.type, event.url),
        ("image_generation.completed", URL),
    ),
    "models": (
        {"data": [{"id": "a"}]},
        lambda data: wire.read_answer(data, ModelList, OK),
        lambda answer: [model.id for model in answer],
        ["a"],
    ),
    "model": ({"id": "a"}, lambda data: wire.read_answer(data, Model, OK), lambda model: model.id, "a"),
    "transcription": ({"text": "hi"}, lambda data: wire.read_transcription(data, "json", OK), lambda a: a.text, "hi"),
    "words": ({"text": "hi"}, lambda data: wire.read_transcription(data, "text", OK), str, "hi"),
    "translation": ({"text": "hi"}, lambda data: wire.read_translation(data, "", OK), lambda a: a.text, "hi"),
}
# Of these, "text" and "words" are no objects, so quoted JSON is what was said.
EVENTS = {"chunk", "chunk of usage", "text event", "image event"}


@pytest.mark.parametrize("around", ENVELOPES.values(), ids=ENVELOPES)
@pytest.mark.parametrize("kind", ANSWERS)
def test_the_answer_in_an_envelope_is_the_answer(kind: str, around: Callable[[Any], Any]) -> None:
    inner, read, show, expected = ANSWERS[kind]
    data = body(around(inner))
    if kind == "words" and data[:1] == b'"':
        return  # A text was asked for, and it came.
    answer = read(data)
    assert show(answer) == expected
    if not isinstance(answer, str):
        assert bytes(answer.raw) == data
        assert answer.to_dict().items() >= {name: inner[name] for name in inner if name != "data"}.items()


@pytest.mark.parametrize("kind", ["transcript", "speech"])
def test_events_of_audio_in_an_envelope(kind: str) -> None:
    if kind == "speech":
        event: Any = wire.read_speech_event(
            "", body({"code": 0, "data": {"type": "speech.audio.delta", "audio": "aGk="}}), OK
        )
        assert event.data == b"hi"
    else:
        event = wire.read_transcription_event(
            "", body({"code": 0, "data": {"type": "transcript.text.delta", "delta": "hi"}}), OK
        )
        assert event.delta == "hi"


def test_what_stands_in_the_envelope_is_kept() -> None:
    data = body({"code": 200, "data": {"choices": [CHOICE]}, "usage": {"total_tokens": 5}, "request_id": "r"})
    answer = wire.read_completion(data, OK)
    assert answer.usage is not None
    assert answer.usage.total_tokens == 5
    assert answer.extra == {"code": 200, "request_id": "r"}
    assert answer.choices[0].extra == {}
    images = wire.read_images(body({"code": 200, "data": {"data": [{"url": URL, "seed": 7}]}, "cost": 3}), OK)
    assert (images.extra, images.data[0].extra) == ({"code": 200, "cost": 3}, {"seed": 7})


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize(
    ("value", "cls"),
    [
        ({"code": 200, "data": {"error": {"message": "no", "code": "insufficient_quota"}}}, InsufficientQuotaError),
        ({"code": 200, "result": {"success": False, "message": "no"}}, APIError),
        ({"success": False, "message": "no", "data": {"choices": [], "data": []}}, APIError),
    ],
)
def test_an_error_in_an_envelope_is_an_error(kind: str, value: object, cls: type[APIError]) -> None:
    with pytest.raises(cls, match="no"):
        ANSWERS[kind][1](body(value))


@pytest.mark.parametrize("kind", sorted(ANSWERS.keys() - EVENTS))
def test_what_is_not_recognised_is_reported_with_all_of_it(kind: str) -> None:
    value = {"code": 200, "data": {"odd": {"deep": [1, 2, 3]}, "long": "x" * 5000}}
    with pytest.raises(UnexpectedResponseError) as caught:
        ANSWERS[kind][1](body(value))
    if kind != "words":
        assert caught.value.body == value
        assert "code, data" in caught.value.hint
        assert caught.value.hint in str(caught.value)
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize(
    "value",
    [
        {"result": "success"},
        {"code": 0, "message": "ok", "result": "success"},
        {"data": "0123456789abcdef0123456789abcdef"},
        {"input": {"images": [URL]}, "status": "queued"},
        {"data": [{"task_id": "t9", "status": "submitted", "message": "accepted"}]},
        {"output": {"task_id": "t9", "task_status": "PENDING"}, "request_id": "r"},
        {"data": {"images": []}},
        {"data": [{"url": "done"}], "x": None} | {"data": [{"url": None}]},
    ],
)
def test_no_word_and_no_task_is_an_image(value: object) -> None:
    with pytest.raises(APIError):
        wire.read_images(body(value), Meta(200))


def test_answers_of_other_endpoints_by_cast_to() -> None:
    answer = wire.read_as(body({"code": 200, "data": {"text": "hi"}}), Transcription, OK)
    assert answer.text == "hi"
    images = wire.read_as(body({"code": 200, "data": [URL]}), ImagesResponse, OK)
    assert images.data[0].url == URL


def test_deep_envelopes_are_left_closed() -> None:
    value: object = {"choices": [CHOICE]}
    for _ in range(100):
        value = {"data": value}
    with pytest.raises(UnexpectedResponseError):
        wire.read_completion(body(value), OK)
    text = json.dumps({"choices": [CHOICE]})
    for _ in range(8):
        text = json.dumps({"body": text})
    with pytest.raises(UnexpectedResponseError):
        wire.read_completion(text.encode(), OK)


def test_a_refused_image_alone_is_the_error_it_is() -> None:
    value = {"data": [{"error": {"code": "content_policy_violation", "message": "refused"}}]}
    with pytest.raises(ContentPolicyError, match="refused") as caught:
        wire.read_images(body(value), OK)
    assert caught.value.body == value


# What stands behind an answer or is not JSON in it, and what is noted of that.
ODD: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a second answer": (lambda data: data + data, "something more, "),
    "an error object": (lambda data: data + b' {"error": {"message": "late", "code": 500}}', "an error object, "),
    "text": (lambda data: data + b"\nupstream closed", "something more, 15 characters"),
    "NaN": (lambda data: data[:-1] + b', "odd": NaN}', "NaN in the answer"),
    "Infinity": (lambda data: data[:-1] + b', "odd": [-Infinity, Infinity]}', "-Infinity and Infinity in the answer"),
}


@pytest.mark.parametrize(("spoil", "words"), ODD.values(), ids=ODD)
@pytest.mark.parametrize("kind", ["chat", "text", "embeddings", "images", "models", "model", "transcription"])
def test_what_is_odd_about_a_good_answer_is_noted_and_logged(
    kind: str,
    spoil: Callable[[bytes], bytes],
    words: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inner, read, show, expected = ANSWERS[kind]
    meta = Meta(200)
    monkeypatch.setitem(globals(), "OK", meta)
    with caplog.at_level("WARNING", logger="tutuclient"):
        answer = read(spoil(body(inner)))
    assert show(answer) == expected
    [warning] = meta.warnings
    assert words in warning
    assert warning in caplog.text
    assert Meta().warnings == ()


def test_a_number_without_end_is_noted_where_it_is_read() -> None:
    meta = Meta(200)
    answer = wire.read_completion(body({"choices": [CHOICE]})[:-1] + b', "created": 1e999, "odd": 1e999}', meta)
    assert (answer.created, answer.extra) == (0, {"odd": None})
    assert meta.warnings == ("a number too large for a float in the answer was read as null",)


def test_warnings_travel_and_are_few() -> None:
    meta = Meta(200)
    wire.read_completion(body({"choices": [CHOICE]}) + b"x", meta)
    again = pickle.loads(pickle.dumps(meta))  # noqa: S301  (our own)
    assert again.warnings == meta.warnings
    assert "warnings=(" in repr(meta)
    assert "warnings" not in repr(Meta(200))
    for count in range(100):
        wire.read_completion(body({"choices": [CHOICE]}) + b"x" * count, meta)
    assert len(meta.warnings) == 20


@pytest.mark.parametrize("tail", [b"", b"\n", b" \r\n\t", b"\xef\xbb\xbf"])
def test_blanks_behind_an_answer_are_nothing(tail: bytes) -> None:
    meta = Meta(200)
    wire.read_completion(b"\xef\xbb\xbf" + body({"choices": [CHOICE]}) + tail, meta)
    assert meta.warnings == ()


@pytest.mark.parametrize("name", ["result", "Data", "payload", "own"])
@pytest.mark.parametrize(
    "inner",
    [
        {"object": "list", "data": [{"id": "a"}]},
        {"data": ["a"]},
        {"error": {"message": "no", "code": "insufficient_quota"}},
        {"object": "list", "error": "no"},
    ],
)
def test_the_name_of_an_envelope_is_never_a_model(name: str, inner: dict[str, Any]) -> None:
    for value in ({name: inner}, {"code": 0, "data": {name: inner}}):
        try:
            models = wire.read_answer(body(value), ModelList, OK)
        except APIError:
            continue
        assert [model.id for model in models.data] == ["a"]


# https://cloud.tencent.com/document/product/1729/105701
TENCENT = {"Index": 0, "Message": {"Role": "assistant", "Content": "hi"}, "FinishReason": "stop"}


def test_names_in_capitals_are_the_names() -> None:
    call = {"Id": "c", "Type": "function", "Function": {"Name": "f", "Arguments": {"City": "Oslo"}}}
    tool = TENCENT | {"Message": {"Content": "hi", "ToolCalls": [call]}}
    for choice in (TENCENT, tool):
        for value in ({"Response": {"Choices": [choice], "Usage": {"TotalTokens": 5}}}, {"choices": [choice]}):
            answer = wire.read_completion(body(value), OK)
            assert (answer.text, answer.choices[0].finish_reason) == ("hi", "stop")
            calls = answer.choices[0].message.tool_calls or []
            assert [json.loads(each.function.arguments) for each in calls] == ([{"City": "Oslo"}] if calls else [])
    chunk = wire.read_chunk(body({"Choices": [{"Delta": {"Content": "hi"}, "FinishReason": ""}]}), OK)
    assert chunk is not None
    assert chunk.text == "hi"


@pytest.mark.parametrize("name", ["output", "response", "generated_text"])
def test_a_text_under_another_name_is_not_dropped(name: str) -> None:
    with pytest.raises(UnexpectedResponseError, match=f"a choice that has '{name}'"):
        wire.read_completion(body({"choices": [{"index": 0, name: "hi", "finish_reason": "stop"}]}), OK)


@pytest.mark.parametrize(
    "value",
    [
        # Kling, Kie, Starry, Black Forest Labs: tasks that were waited for
        {
            "code": 0,
            "message": "SUCCEED",
            "data": {"task_id": "t", "task_result": {"images": [{"index": 0, "url": URL}]}},
        },
        {"code": 200, "data": {"taskId": "t", "response": {"resultUrls": [URL]}}},
        {
            "code": 200,
            "data": {"task_id": "t", "status": "completed", "files": [{"file_url": URL, "file_type": "image"}]},
        },
        {"id": "t", "status": "Ready", "result": {"sample": URL, "prompt": "p"}},
    ],
)
def test_images_of_tasks_that_are_done(value: object) -> None:
    assert [image.url for image in wire.read_images(body(value), OK).data] == [URL]


def test_lists_of_models_in_pages() -> None:
    for name in ("records", "rows"):
        value = {"code": 0, "data": {name: [{"id": "a"}], "total": 1}}
        assert [model.id for model in wire.read_answer(body(value), ModelList, OK).data] == ["a"]


def test_what_is_said_in_gbk() -> None:
    assert wire.read_transcription("你好，世界".encode("gbk"), "text", OK) == "你好，世界"
    assert wire.read_transcription(body([{"text": "hi"}]), "text", OK) == "hi"


@pytest.mark.parametrize("written", [True, False])
def test_an_error_in_an_envelope_in_place_of_audio(*, written: bool) -> None:
    def around(value: object) -> dict[str, Any]:
        return {"body": json.dumps(value)} if written else {"code": 200, "data": value}

    no = {"error": {"message": "no", "code": "insufficient_quota"}}
    error = wire.error_without_answer("text in place of a sound", body(around(no)), OK)
    assert type(error) is InsufficientQuotaError
    value = around({"audio": "A" * 2_000_000})
    error = wire.error_without_answer("text in place of a sound", body(value), OK)
    assert isinstance(error, UnexpectedResponseError)
    assert error.body == value
