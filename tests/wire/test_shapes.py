"""Answers in other shapes than the API's: found under other names and shapes, in order, and no item lost."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from tutuclient import wire
from tutuclient.errors import APIError, ContentPolicyError, InternalServerError, UnexpectedResponseError
from tutuclient.types import Meta

URL = "https://h.example/a.png"
OTHER = "https://h.example/b.png"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(50)).decode()
FLOATS = base64.b64encode(struct.pack("<2f", 0.5, -1.0)).decode()


def body(value: object) -> bytes:
    return json.dumps(value).encode()


# ---------------------------------------------------------------- order

# pydantic-ai#7284, graphiti PR 1732, chroma PR 344; index 0 everywhere: one-api's Gemini channel.
ORDERS: dict[str, tuple[list[object], list[int]]] = {
    "in order": ([0, 1, 2], [0, 1, 2]),
    "shuffled": ([2, 0, 1], [1, 2, 0]),
    "reversed": ([2, 1, 0], [2, 1, 0]),
    "as texts": (["2", "0", "1"], [1, 2, 0]),
    "as fractions": ([2.0, 0.0, 1.0], [1, 2, 0]),
    "as texts of fractions": (["2.0", "0", 1], [1, 2, 0]),
    "all zero": ([0, 0, 0], [0, 1, 2]),
    "missing": ([None, None, None], [0, 1, 2]),
    "one missing": ([2, None, 1], [0, 1, 2]),
    "twice": ([2, 2, 0], [0, 1, 2]),
    "from one": ([3, 1, 2], [0, 1, 2]),
    "beyond": ([2, 0, 5], [0, 1, 2]),
    "negative": ([0, -1, 1], [0, 1, 2]),
    "halves": ([1.5, 0, 1], [0, 1, 2]),
    "booleans": ([True, False, 2], [0, 1, 2]),
    "words": (["b", "a", "c"], [0, 1, 2]),
    "null for zero": ([1, None, 2], [0, 1, 2]),
}
every_order = pytest.mark.parametrize(("indices", "places"), ORDERS.values(), ids=ORDERS)


def numbered(indices: list[object], items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item | ({} if index is None else {"index": index}) for index, item in zip(indices, items, strict=True)]


@every_order
@pytest.mark.parametrize("encoded", [True, False])
def test_vectors_belong_to_the_texts_by_index_or_else_by_place(
    indices: list[object], places: list[int], encoded: bool
) -> None:
    vectors = [base64.b64encode(struct.pack("<f", n)).decode() if encoded else [float(n)] for n in range(3)]
    data = body({"data": numbered(indices, [{"embedding": vector, "own": n} for n, vector in enumerate(vectors)])})
    answer = wire.read_vectors(data, Meta(200), 3)
    assert [each.embedding for each in answer] == [[float(place)] for place in places]
    assert [item["embedding"] for item in answer.model_dump()["data"]] == [[float(place)] for place in places]
    assert [item["own"] for item in answer.to_dict()["data"]] == places
    assert answer.raw == data


@every_order
@pytest.mark.parametrize("kind", ["chat", "text"])
def test_choices_stand_in_their_order(indices: list[object], places: list[int], kind: str) -> None:
    said = [{"message": {"content": str(n)}} if kind == "chat" else {"text": str(n)} for n in range(3)]
    data = body({"choices": numbered(indices, [item | {"own": n} for n, item in enumerate(said)])})
    answer: Any = wire.read_completion(data, Meta(200)) if kind == "chat" else wire.read_text(data, Meta(200))
    texts = [choice.message.content if kind == "chat" else choice.text for choice in answer.choices]
    assert texts == [str(place) for place in places]
    assert [choice.extra["own"] for choice in answer.choices] == places
    assert [choice["own"] for choice in answer.to_dict()["choices"]] == places


@every_order
def test_images_stand_in_their_order(indices: list[object], places: list[int]) -> None:
    data = body({"data": numbered(indices, [{"url": f"{URL}?{n}"} for n in range(3)])})
    answer = wire.read_images(data, Meta(200))
    assert [image.url for image in answer.data] == [f"{URL}?{place}" for place in places]


# ---------------------------------------------------------------- embeddings

VECTORS: dict[str, Any] = {
    "bare list of vectors": [[0.5, -1.0], [2, 3]],  # Hugging Face's text-embeddings-inference
    "bare list of objects": [{"index": 0, "embedding": [0.5, -1.0]}, {"index": 1, "embedding": [2, 3]}],
    "llama.cpp": [{"index": 1, "embedding": [[2, 3]]}, {"index": 0, "embedding": [[0.5, -1.0]]}],
    "Ollama": {"model": "m", "embeddings": [[0.5, -1.0], [2, 3]], "total_duration": 5},
    "Cohere": {"id": "x", "embeddings": {"float": [[0.5, -1.0], [2, 3]]}, "texts": ["a", "b"]},
    "DashScope": {
        "output": {"embeddings": [{"text_index": 1, "embedding": [2, 3]}, {"text_index": 0, "embedding": [0.5, -1.0]}]},
        "usage": {"total_tokens": 2},
    },
    "Gemini": {"embeddings": [{"values": [0.5, -1.0]}, {"values": [2, 3]}]},
    "MiniMax": {"vectors": [[0.5, -1.0], [2, 3]], "total_tokens": 2, "base_resp": {"status_code": 0}},
    "Workers AI": {"result": {"shape": [2, 2], "data": [[0.5, -1.0], [2, 3]]}, "success": True, "errors": []},
    "vectors in data": {"object": "list", "data": [[0.5, -1.0], [2, 3]]},
    "texts in data": {"object": "list", "data": [FLOATS, base64.b64encode(struct.pack("<2f", 2, 3)).decode()]},
    "data within data": {"code": 0, "data": {"data": [{"embedding": [0.5, -1.0]}, {"embedding": [2, 3]}]}},
}


@pytest.mark.parametrize("value", VECTORS.values(), ids=VECTORS)
def test_reads_vectors_in_other_shapes(value: object) -> None:
    answer = wire.read_vectors(body(value), Meta(200), 2)
    assert [each.embedding for each in answer] == [[0.5, -1.0], [2.0, 3.0]]
    assert answer.raw == body(value)


@pytest.mark.parametrize(
    "value",
    [
        {"embedding": [0.5, -1.0]},
        {"embedding": {"values": [0.5, -1.0]}},
        {"data": [0.5, -1.0]},
        {"data": {"embedding": FLOATS}},
        [0.5, -1.0],
        [[0.5, -1.0]],
    ],
)
def test_reads_one_vector_in_other_shapes(value: object) -> None:
    assert [each.embedding for each in wire.read_vectors(body(value), Meta(200), 1)] == [[0.5, -1.0]]
    with pytest.raises(UnexpectedResponseError, match="for 1 inputs in place of 2"):
        wire.read_vectors(body(value), Meta(200), 2)


@pytest.mark.parametrize(
    "items",
    [
        [[0.5], [None]],
        [[0.5], ["x"]],
        [[0.5], []],
        [[0.5], None],
        [{"embedding": [0.5]}, {"embedding": None}],
        [{"embedding": [0.5]}, {}],
        [{"embedding": [0.5]}, None],
        [{"embedding": [0.5]}, {"embedding": [[0.5], [0.5]]}],
        [{"embedding": [0.5]}, {"error": {"message": "too long"}}],
    ],
)
@pytest.mark.parametrize("name", ["data", "embeddings"])
def test_a_broken_vector_is_never_left_out(name: str, items: list[object]) -> None:
    for count in (None, 1, 2):
        with pytest.raises(UnexpectedResponseError):
            wire.read_vectors(body({name: items}), Meta(200), count)


# ---------------------------------------------------------------- images

IMAGES: dict[str, tuple[Any, list[tuple[str | None, str | None]]]] = {
    # The other kind in a field: dsh-imagegen#10 and four clients that undo it.
    "address in b64_json": ({"data": [{"b64_json": URL}]}, [(URL, None)]),
    "address in b64_json, capitals": (
        {"data": [{"b64_json": " HTTPS://h.example/a.png\n"}]},
        [("HTTPS://h.example/a.png", None)],
    ),
    "base64 in url": ({"data": [{"url": PNG}]}, [(None, PNG)]),
    "long base64 in url": ({"data": [{"url": "Qk2m" + "A" * 400}]}, [(None, "Qk2m" + "A" * 400)]),
    "data URI in url": ({"data": [{"url": f"data:image/png;base64,{PNG}"}]}, [(None, PNG)]),
    "both swapped": ({"data": [{"url": PNG, "b64_json": URL}]}, [(URL, PNG)]),
    "url as a list": ({"data": [{"url": [URL]}]}, [(URL, None)]),
    "url as a longer list": ({"data": [{"url": [URL, OTHER], "revised_prompt": "x"}]}, [(URL, None), (OTHER, None)]),
    "url as an object": ({"data": [{"url": {"url": URL}}]}, [(URL, None)]),
    "b64_json as a list": ({"data": [{"b64_json": [PNG]}]}, [(None, PNG)]),
    "prefix twice": ({"data": [{"b64_json": f"data:image/png;base64,data:image/png;base64,{PNG}"}]}, [(None, PNG)]),
    "prefix twice in url": ({"data": [{"url": f"data:image/png;base64,data:image/jpeg;base64,{PNG}"}]}, [(None, PNG)]),
    "half a prefix": ({"data": [{"b64_json": f"image/png;base64,{PNG}"}]}, [(None, PNG)]),
    "prefix without base64": ({"data": [{"url": f"data:image/png,{PNG}"}]}, [(None, PNG)]),
    "prefix before an address": ({"data": [{"b64_json": f"data:image/png;base64,{URL}"}]}, [(URL, None)]),
    "a chat's part": ({"data": [{"type": "image_url", "image_url": {"url": URL}}]}, [(URL, None)]),
    # Lists under other names.
    "texts": ({"data": [URL, PNG]}, [(URL, None), (None, PNG)]),
    "one text": ({"data": URL}, [(URL, None)]),
    "bare": ([{"url": URL}, {"b64_json": PNG}], [(URL, None), (None, PNG)]),
    "bare texts": ([URL, OTHER], [(URL, None), (OTHER, None)]),
    "images": ({"images": [{"url": URL}], "timings": {"inference": 3}}, [(URL, None)]),  # SiliconFlow
    "images of texts": ({"images": [PNG], "parameters": {}}, [(None, PNG)]),  # stable-diffusion-webui
    "Replicate": ({"status": "succeeded", "output": [URL]}, [(URL, None)]),
    "Replicate, one": ({"status": "succeeded", "output": URL}, [(URL, None)]),
    "DashScope": ({"output": {"task_status": "SUCCEEDED", "results": [{"url": URL}]}}, [(URL, None)]),
    "DashScope, qwen-image": (
        {"output": {"choices": [{"message": {"role": "assistant", "content": [{"image": URL}]}}]}},
        [(URL, None)],
    ),
    "MiniMax": ({"data": {"image_urls": [URL, OTHER]}, "base_resp": {"status_code": 0}}, [(URL, None), (OTHER, None)]),
    "Stability": ({"artifacts": [{"base64": PNG, "finishReason": "SUCCESS"}]}, [(None, PNG)]),
    "Imagen": ({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": PNG}]}, [(None, PNG)]),
    "Workers AI": ({"result": {"image": PNG}, "success": True, "errors": []}, [(None, PNG)]),
    "Gemini": (
        {"candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]}}]},
        [(None, PNG)],
    ),
    "a chat": ({"choices": [{"message": {"images": [{"image_url": {"url": URL}}]}}]}, [(URL, None)]),
    "at the top": ({"url": URL, "revised_prompt": "x"}, [(URL, None)]),
    "enveloped list": ({"code": 200, "data": [{"url": URL}]}, [(URL, None)]),
}


@pytest.mark.parametrize(("value", "images"), IMAGES.values(), ids=IMAGES)
def test_reads_images_in_other_shapes(value: object, images: list[tuple[str | None, str | None]]) -> None:
    answer = wire.read_images(body(value), Meta(200))
    assert [(image.url, image.b64_json) for image in answer.data] == images
    assert answer.raw == body(value)


@pytest.mark.parametrize(
    "url", ["/files/a.png", "cdn.example/a.png", "blob:abc", "asset-0123456789abcdef0123456789abcdef"]
)
def test_an_address_of_a_kind_of_its_own_stays_one(url: str) -> None:
    assert wire.read_images(body({"data": [{"url": url}]}), Meta(200)).data[0].url == url


# ---------------------------------------------------------------- one of several

# Volcengine's seedream, and DashScope, whose results have a code and a message in the place of an image.
FAILURES: dict[str, tuple[dict[str, Any], tuple[str | None, str]]] = {
    "error": ({"error": {"code": "X1", "message": "sensitive"}}, ("X1", "sensitive")),
    "error as text": ({"error": "sensitive", "code": 5}, ("5", "sensitive")),
    "code and message": (
        {"code": "InternalError.Timeout", "message": "timed out"},
        ("InternalError.Timeout", "timed out"),
    ),
    "status": ({"status": "failed"}, (None, "failed")),
    "status and reason": ({"status": "FAILED", "fail_reason": "sensitive"}, (None, "sensitive")),
    "nulls beside it": ({"url": None, "b64_json": "", "error": {"msg": "no"}}, (None, "no")),
}


@pytest.mark.parametrize(("item", "reason"), FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("name", ["data", "images"])
def test_one_image_that_failed_is_reported_beside_the_others(
    name: str, item: dict[str, Any], reason: tuple[str | None, str]
) -> None:
    meta = Meta(200)
    value = {name: [{"url": URL}, item, {"url": OTHER}], "usage": {"total_tokens": 9}}
    answer = wire.read_images(body(value), meta)
    assert [image.url for image in answer.data] == [URL, None, OTHER]
    assert [image.error is None for image in answer.data] == [True, False, True]
    failure = answer.data[1].error
    assert failure is not None
    assert (failure.code, failure.message) == reason
    assert answer.usage is not None
    assert answer.usage.total_tokens == 9
    [warning] = meta.warnings
    assert "was not made" in warning


@pytest.mark.parametrize(
    ("error", "cls"),
    [
        ({"code": "content_policy_violation", "message": "no"}, ContentPolicyError),
        ({"code": 503, "message": "no"}, InternalServerError),
        ("no", APIError),
    ],
)
def test_when_all_failed_it_is_their_error(error: object, cls: type[APIError]) -> None:
    value = {"data": [{"error": error}, {"error": error}], "usage": {"total_tokens": 0}}
    with pytest.raises(cls, match="no") as caught:
        wire.read_images(body(value), Meta(200))
    told: Any = caught.value.body
    assert [item["error"] for item in told["data"]] == [error if isinstance(error, dict) else {"message": error}] * 2
