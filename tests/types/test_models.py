"""What the list of models promises: it reads as a list, whatever shape the relay gives it."""

from __future__ import annotations

import json
import pickle

import pytest

from tutuclient import wire
from tutuclient._meta import Meta
from tutuclient.errors import (
    APIStatusError,
    AuthenticationError,
    NotFoundError,
    RateLimitError,
    UnexpectedResponseError,
)
from tutuclient.types.models import Model, ModelList

META = Meta(200)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (
            b'{"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "o"}]}',
            ["gpt-4o"],
        ),
        (b'{"success": true, "data": [{"id": "a", "permission": [{}], "root": "a", "parent": null}]}', ["a"]),
        (b'{"object": "list", "data": [{"id": "a", "permission": null, "created": 1626777600.0}]}', ["a"]),
        (b'{"success": true, "object": "list", "data": [{"id": "a", "supported_endpoint_types": ["openai"]}]}', ["a"]),
        (b'{"data": [{"id": "a/b:c d"}, {"id": "b"}, null, 5]}', ["a/b:c d", "b"]),
        (b'{"object": "list", "data": []}', []),
        (b'{"object": "list", "data": null}', []),
        (b'{"success": true, "data": [{"id": 7, "created": "12"}]}', ["7"]),
    ],
)
def test_reads_every_relays_list(body: bytes, names: list[str]) -> None:
    models = wire.read_answer(body, ModelList, META)
    assert [model.id for model in models] == names
    assert len(models) == len(names)


@pytest.mark.parametrize(
    ("body", "cls", "words"),
    [
        (b'{"success": false, "message": "no token"}', APIStatusError, "no token"),
        (b'{"error": {"message": "The model does not exist", "code": "model_not_found"}}', NotFoundError, "not exist"),
        (b"<!doctype html><title>Panel</title>", UnexpectedResponseError, "HTML: Panel"),
        (b"", UnexpectedResponseError, "empty body"),
        (b'{"detail_of": "nothing"}', UnexpectedResponseError, "without a list of models"),
        (b'{"object": "list"}', UnexpectedResponseError, "without a list of models"),
        (b'[{"odd": 1}]', UnexpectedResponseError, "not an object but list"),
        (b'{"code": 401, "data": []}', AuthenticationError, "check the key"),
        (b'{"data": [{"odd": 1}]}', UnexpectedResponseError, "without a list of models"),
        (b'{"data": {"error": {"message": "no token", "code": 429}}}', RateLimitError, "no token"),
        (b"5", UnexpectedResponseError, "not an object but int"),
    ],
)
def test_an_error_is_no_list(body: bytes, cls: type[Exception], words: str) -> None:
    with pytest.raises(cls, match=words):
        wire.read_answer(body, ModelList, META)


# Lists in other shapes: one-api#128, obsidian-bmo-chatbot PR 51, pollinations#5256; Ollama's /api/tags and Gemini's
# own list by their documentation.
OTHER_SHAPES: dict[str, tuple[object, list[str]]] = {
    "bare objects": ([{"id": "a"}, {"id": "b", "type": "chat"}], ["a", "b"]),
    "bare texts": (["a", "b"], ["a", "b"]),
    "bare names": ([{"name": "a", "description": "x"}, {"name": "b"}], ["a", "b"]),
    "texts in data": ({"object": "list", "data": ["a", "b"]}, ["a", "b"]),
    "under models": ({"models": [{"id": "a"}]}, ["a"]),
    "texts under models": ({"models": ["a", "b"]}, ["a", "b"]),
    "Ollama": ({"models": [{"name": "a:latest", "model": "a:latest", "size": 5, "details": {}}]}, ["a:latest"]),
    "Gemini": ({"models": [{"name": "models/a", "displayName": "A"}], "nextPageToken": "x"}, ["a"]),
    "data within data": ({"code": 200, "data": {"data": [{"id": "a"}], "total": 1}}, ["a"]),
    "models within data": ({"success": True, "message": "", "data": {"models": ["a"]}}, ["a"]),
    "list within result": ({"code": 0, "msg": "ok", "result": {"list": [{"model_name": "a"}]}}, ["a"]),
    "object by id": ({"data": {"a": {"owned_by": "x"}, "b": {}}}, ["a", "b"]),
    "object by id, bare": ({"a": {"created": 1}, "b": {"context_length": 5}}, ["a", "b"]),
    "by channel": ({"success": True, "data": {"1": ["a", "b"], "2": ["b", "c"]}}, ["a", "b", "c"]),
    "text of JSON": ({"statusCode": 200, "body": '{"data": [{"id": "a"}]}'}, ["a"]),
    "an empty one beside it": ({"data": [], "models": [{"id": "a"}]}, ["a"]),
    "items with model and name": ([{"name": "A (new)", "model": "a"}], ["a"]),
    "bare and empty": ([], []),
    "empty in an envelope": ({"code": 200, "data": {"object": "list", "data": []}}, []),
}


@pytest.mark.parametrize(("value", "names"), OTHER_SHAPES.values(), ids=OTHER_SHAPES)
def test_reads_lists_in_other_shapes(value: object, names: list[str]) -> None:
    body = json.dumps(value).encode()
    meta = Meta(200)
    models = wire.read_answer(body, ModelList, meta)
    assert [model.id for model in models] == names
    assert [item["id"] for item in models.to_dict()["data"]] == names
    assert models.raw == body
    assert bool(meta.warnings) is (names == [])


@pytest.mark.parametrize(
    "value",
    [
        {"code": 200, "message": "ok", "data": {"id": "a", "created": 1}},
        {"data": [{"id": "a", "created": 1}]},
        {"model": "a", "created": 1},
    ],
)
def test_one_model_is_read_in_other_shapes(value: object) -> None:
    model = wire.read_answer(json.dumps(value).encode(), Model, META)
    assert (model.id, model.created) == ("a", 1)


def test_what_is_no_model_says_so_with_all_of_it() -> None:
    with pytest.raises(UnexpectedResponseError, match="without a model") as caught:
        wire.read_answer(b'{"code": 200, "data": {"odd": [1]}}', Model, META)
    assert caught.value.body == {"code": 200, "data": {"odd": [1]}}
    assert "code, data" in caught.value.hint


def test_a_model_keeps_what_its_relay_adds() -> None:
    body = b'{"id": "a", "created": 1, "supported_endpoint_types": ["openai"], "price": 2}'
    model = wire.read_answer(body, Model, META)
    assert (model.id, model.created, model.supported_endpoint_types) == ("a", 1, ["openai"])
    assert model.extra == {"price": 2}


def test_a_list_travels() -> None:
    models = wire.read_answer(b'{"data": [{"id": "a"}], "odd": 1}', ModelList, META)
    again = pickle.loads(pickle.dumps(models))  # noqa: S301  (our own bytes)
    assert again == models
    assert again.extra == {"odd": 1}
