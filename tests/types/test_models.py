"""What the list of models promises: it reads as a list, whatever shape the relay gives it."""

from __future__ import annotations

import pickle

import pytest

from tutuclient import wire
from tutuclient.errors import APIStatusError, NotFoundError, UnexpectedResponseError
from tutuclient.types.answer import Meta
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
        (b'[{"id": "a"}]', UnexpectedResponseError, "no object but list"),
    ],
)
def test_an_error_is_no_list(body: bytes, cls: type[Exception], words: str) -> None:
    with pytest.raises(cls, match=words):
        wire.read_answer(body, ModelList, META)


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
