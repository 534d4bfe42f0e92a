"""Answers of the plain endpoints: decoded fast when they hold what was asked for, leniently else; errors raise."""

from __future__ import annotations

import base64
import contextlib
import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.bodies import OK
from tutuclient import ImagesResponse, errors, wire
from tutuclient._meta import Meta
from tutuclient.errors import APIError, UnexpectedResponseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.types import Answer

URL = "https://h.example/a.png"
FLOATS = base64.b64encode(struct.pack("<3f", 0.5, -1.0, 2.0)).decode()


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def vectors(*items: object, **fields: Any) -> bytes:
    return body(object="list", data=list(items), **fields)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (body(choices=[{"text": " world", "index": 0, "finish_reason": "stop"}]), " world"),
        (body(choices=[{"text": "", "finish_reason": "length"}]), ""),
        (body(choices=[{"text": None, "finish_reason": "stop"}]), ""),
        (body(choices=[{"message": {"content": "as a chat"}}]), "as a chat"),
        (body(choices=[{"delta": {"content": [{"type": "text", "text": "in parts"}]}}]), "in parts"),
        (body(choices=[{"text": "beside null", "index": None}], created="5", usage=None), "beside null"),
        (body(Choices=[{"text": "upper"}]), "upper"),
        (b"\xef\xbb\xbf" + body(choices=[{"text": "bom"}]), "bom"),
        (body(choices=[{"text": "kept"}], error={"message": "too late"}), "kept"),
    ],
)
def test_reads_a_legacy_completion_however_odd(data: bytes, text: str) -> None:
    completion = wire.read_text(data, OK)
    assert completion.text == text
    assert completion.raw == data
    assert wire.read_text_event(data, OK) == completion


@pytest.mark.parametrize(
    ("item", "vector"),
    [
        ({"embedding": FLOATS}, [0.5, -1.0, 2.0]),
        ({"embedding": [0.5, -1, 2]}, [0.5, -1.0, 2.0]),
        ({"embedding": [1], "index": None}, [1.0]),
        ({"embedding": FLOATS, "index": "0", "object": 5}, [0.5, -1.0, 2.0]),
    ],
)
def test_reads_vectors_by_what_came(item: dict[str, Any], vector: list[float]) -> None:
    answer = wire.read_vectors(vectors(item), OK, 1)
    assert answer.data[0].embedding == vector


@pytest.mark.parametrize(
    "items",
    [
        [],
        [{}],
        [{"embedding": None}],
        [{"embedding": []}],
        [{"embedding": ""}],
        [{"embedding": "not base64!"}],
        [{"embedding": base64.b64encode(b"12345").decode()}],
        [{"embedding": [0.5, None]}],
        [{"embedding": [0.5, "x"]}],
        [{"embedding": [True]}],
        [{"embedding": [1, 2]}, {"embedding": [1]}],
        [{"embedding": [1, 2]}, {"embedding": FLOATS}],
        [None, 5],
    ],
)
def test_an_answer_without_whole_vectors_is_an_error(items: list[object]) -> None:
    with pytest.raises(UnexpectedResponseError, match="without embeddings") as caught:
        wire.read_vectors(vectors(*items), OK, None)
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize("count", [1, 3])
def test_as_many_vectors_as_inputs_or_an_error(count: int) -> None:
    data = vectors({"embedding": [1]}, {"embedding": [2]})
    with pytest.raises(UnexpectedResponseError, match=f"embeddings for 2 inputs in place of {count}"):
        wire.read_vectors(data, OK, count)
    assert [each.embedding for each in wire.read_vectors(data, OK, None).data] == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("data", "pictures"),
    [
        (body(data=[{"url": URL, "b64_json": "", "revised_prompt": ""}]), [(URL, None, None)]),
        (body(data=[{"b64_json": "iVBORw0KGgo=", "url": None}]), [(None, "iVBORw0KGgo=", None)]),
        (body(data=[{"b64_json": "data:image/png;base64,iVBORw0KGgo="}]), [(None, "iVBORw0KGgo=", None)]),
        (body(data=[{"url": URL, "revised_prompt": "a cat"}], created="5"), [(URL, None, "a cat")]),
        (body(data=[{"url": URL}, {"url": ""}]), [(URL, None, None), (None, None, None)]),
        (body(data={"url": URL}), [(URL, None, None)]),
        (body(data=[URL, "iVBORw0KGgo=", None]), [(URL, None, None), (None, "iVBORw0KGgo=", None)]),
        (body(data=None, images=[{"url": URL}]), [(URL, None, None)]),
        (body(data=[{"url": URL}], error={"message": "one of two failed"}), [(URL, None, None)]),
    ],
)
def test_reads_images_however_odd(data: bytes, pictures: list[tuple[str | None, ...]]) -> None:
    answer = wire.read_images(data, OK)
    assert [(image.url, image.b64_json, image.revised_prompt) for image in answer.data] == pictures
    assert answer.raw == data


@pytest.mark.parametrize("fields", [{"data": []}, {"data": [{}]}, {"data": None}, {"id": "x"}, {"data": [{"url": ""}]}])
def test_an_answer_without_images_is_an_error(fields: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedResponseError, match="without images"):
        wire.read_images(body(**fields), OK)


@pytest.mark.parametrize(
    ("data", "kind", "index"),
    [
        (body(type="image_generation.partial_image", b64_json="iVBO", partial_image_index=0), "partial_image", 0),
        (body(type="image_edit.completed", b64_json="data:image/png;base64,iVBO", usage=None), "completed", None),
        (body(type="image_generation.completed", url=URL, created_at="5"), "completed", None),
        (body(type="image_generation.completed", usage={"input_tokens": 5}), "completed", None),
        (b"\xef\xbb\xbf" + body(type="image_generation.partial_image", b64_json="iVBO"), "partial_image", None),
    ],
)
def test_reads_the_events_of_a_streamed_image(data: bytes, kind: str, index: int | None) -> None:
    [event] = wire.read_image_events("", data, OK)
    assert event.type.endswith(kind)
    assert event.is_partial is (kind == "partial_image")
    assert event.partial_image_index == index
    assert event.b64_json in {"iVBO", None}


READERS: list[Callable[[bytes], Answer | None]] = [
    lambda data: wire.read_text(data, OK),
    lambda data: wire.read_text_event(data, OK),
    lambda data: wire.read_vectors(data, OK, None),
    lambda data: wire.read_images(data, OK),
    lambda data: next(iter(wire.read_image_events("", data, OK)), None),
]
every_reader = pytest.mark.parametrize("read", READERS, ids=["text", "text event", "vectors", "images", "image event"])


@every_reader
@pytest.mark.parametrize(
    ("data", "cls"),
    [
        (b'{"error":{"message":"no","code":"insufficient_quota"}}', errors.InsufficientQuotaError),
        (b'{"error":{"message":"no","type":"upstream_error"},"data":null,"choices":null}', errors.InternalServerError),
        (b'{"error":{"message":"no","code":429},"data":[{"url":"","b64_json":""}]}', errors.RateLimitError),
        (b'{"success":false,"message":"no"}', errors.APIStatusError),
        (b'{"message":"no"}', errors.APIStatusError),
        (b"<!doctype html><title>Panel</title>", UnexpectedResponseError),
        (b"", UnexpectedResponseError),
        (b"[" * 1000, UnexpectedResponseError),
        (b"5", UnexpectedResponseError),
    ],
)
def test_an_error_in_an_answers_clothes_is_an_error(
    read: Callable[[bytes], object], data: bytes, cls: type[APIError]
) -> None:
    with pytest.raises(cls):
        read(data)


@pytest.mark.parametrize(
    ("fields", "kind"), [({}, "image_edit.completed"), ({"type": "own"}, "own"), ({"type": ""}, "image_edit.completed")]
)
def test_an_event_without_a_type_goes_by_its_line(fields: dict[str, Any], kind: str) -> None:
    [event] = wire.read_image_events("image_edit.completed", body(b64_json="iVBO", **fields), OK)
    assert event.type == kind


def test_an_event_without_image_and_usage_carries_nothing() -> None:
    assert wire.read_image_events("keepalive", body(type="keepalive"), OK) == []


@pytest.mark.parametrize("data", [b"{}", b"null", b"[]", b" {} "])
def test_an_event_that_carries_nothing_becomes_none(data: bytes) -> None:
    assert wire.read_text_event(data, OK) is None
    assert wire.read_image_events("", memoryview(data), OK) == []


def test_parts_keep_what_the_relay_adds() -> None:
    data = body(
        data=[{"url": URL, "seed": 7}], usage={"input_tokens": 1, "odd": 2, "input_tokens_details": {"x": 3}}, model="m"
    )
    for start in (b"", b"\xef\xbb\xbf"):
        answer = wire.read_images(bytearray(start + data), OK)
        assert answer.usage is not None
        assert answer.usage.input_tokens_details is not None
        assert answer.extra == {"model": "m"}
        assert answer.data[0].extra == {"seed": 7}
        assert (answer.usage.extra, answer.usage.input_tokens_details.extra) == ({"odd": 2}, {"x": 3})
        assert answer.usage.total_tokens is None


def test_a_large_image_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data = body(data=[{"b64_json": "A" * 1_000_000}])

    def twice(*_: object) -> None:
        raise AssertionError("decoded a second time")

    monkeypatch.setattr(wire.decoding, "read_json", twice)
    answer = wire.read_images(data, OK)
    assert len(answer.data[0].b64_json or "") == 1_000_000


NAMES = "data url b64_json embedding index choices text message error usage object images type"
words = st.sampled_from(NAMES.split())
leaves = st.none() | st.booleans() | st.integers() | st.floats() | words | st.sampled_from([URL, FLOATS, "success"])
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4), max_leaves=20
)


@pytest.mark.slow
@every_reader
@given(data=st.binary(max_size=30) | st.dictionaries(words, trees).map(lambda tree: json.dumps(tree).encode()))
def test_any_bytes_are_an_answer_or_one_of_our_errors(read: Callable[[bytes], Answer | None], data: bytes) -> None:
    with contextlib.suppress(errors.APIStatusError, UnexpectedResponseError):
        answer = read(data)
        assert answer is None or isinstance(answer.to_dict(), dict)


@pytest.mark.parametrize(
    ("tree", "warned"),
    [({"id": "t9", "status": "processing"}, True), ({"data": [{"url": "https://x.example/a.png"}]}, False)],
)
def test_an_answer_read_as_images_that_has_none_says_so(tree: dict[str, Any], *, warned: bool) -> None:
    meta = Meta(200)
    answer = wire.read_as(json.dumps(tree).encode(), ImagesResponse, meta)
    assert bool(answer.data) != warned
    words = "there is no image in the answer, whose fields are id, status"
    assert list(meta.warnings) == [words] * warned
