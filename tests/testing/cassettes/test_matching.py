from __future__ import annotations

from typing import Any

import pytest

from tutuclient.testing.cassettes.matching import Requests
from tutuclient.testing.cassettes.tape import Exchange


def post(json: Any = None, path: str = "/v1/chat/completions", **fields: Any) -> dict[str, Any]:
    body = {} if json is None else {"json": json}
    return {"method": "POST", "path": path, "headers": {"accept": "*/*"}, **body, **fields}


def recorded(*requests: dict[str, Any]) -> Requests:
    return Requests([Exchange(number, request) for number, request in enumerate(requests, 1)])


def number(found: Exchange | None) -> int | None:
    return None if found is None else found.number


def test_the_same_request_is_answered_in_order_and_once_each() -> None:
    requests = recorded(post({"a": 1}), post({"a": 2}), post({"a": 1}))
    assert requests.unplayed == [1, 2, 3]
    assert [number(requests.take(post({"a": 1}))) for _ in range(3)] == [1, 3, None]
    assert requests.unplayed == [2]
    assert requests.difference(post({"a": 1})) == (
        "it was recorded 2 times (exchange 1, 3), and has been asked for once more: "
        "a replay that is started anew begins anew"
    )


@pytest.mark.parametrize(
    "request_",
    [
        post({"b": [1, {"c": 2}], "a": 1.0}),
        post({"a": 1, "b": [1.0, {"c": 2}]}, headers={"authorization": "another"}),
    ],
)
def test_what_is_the_same(request_: dict[str, Any]) -> None:
    assert number(recorded(post({"a": 1, "b": [1, {"c": 2}]})).take(request_)) == 1


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (post({"a": 2, "b": "x"}), "json.a: recorded 1, asked 2"),
        (post({"a": True, "b": "x"}), "json.a: recorded 1, asked true"),
        (post({"a": 1}), 'json.b: "x" was recorded, and is missing'),
        (post({"a": 1, "b": "x", "c": None}), "json.c: null was not recorded"),
        (post({"a": 1, "b": ["x"]}), 'json.b[0]: "x" was not recorded; json.b: "x" was recorded, and is missing'),
        (post({"a": 1, "b": "x"}, "/v1/models"), 'path: recorded "/v1/chat/completions", asked "/v1/models"'),
        (post({"a": 1, "b": "x"}, query="a=1"), 'query: "a=1" was not recorded'),
        ({**post({"a": 1, "b": "x"}), "method": "PUT"}, 'method: recorded "POST", asked "PUT"'),
    ],
)
def test_the_nearest_difference_is_told(request_: dict[str, Any], told: str) -> None:
    requests = recorded(post({"z": 1}, "/v1/embeddings"), post({"a": 1, "b": "x"}))
    assert requests.take(request_) is None
    assert requests.difference(request_) == f"the nearest, exchange 2, differs in {told}"


def test_long_texts_are_shown_where_they_part() -> None:
    requests = recorded(post({"text": "a" * 500 + "b" + "c" * 500}))
    told = requests.difference(post({"text": "a" * 500 + "x" + "c" * 500}))
    assert "ab" in told
    assert "ax" in told
    assert len(told) < 300
    assert "json.z" not in told


def test_many_differences_are_counted() -> None:
    requests = recorded(post(dict.fromkeys("abcdef", 1)))
    assert requests.difference(post(dict.fromkeys("abcdef", 2))).endswith(", and 3 more")
    assert recorded().difference(post()) == "the cassette has no exchanges"


def test_forms_are_compared_by_their_fields_and_digests() -> None:
    form = [["prompt", "x"], ["image", {"filename": "a.png", "media": "{{one}}"}], ["image", {"media": "{{two}}"}]]
    requests = recorded(post(form=form))
    other = [["image", {"filename": "b", "media": "{{one}}"}], ["image", {"media": "{{two}}"}], ["prompt", "x"]]
    assert number(requests.take(post(form=other))) == 1
    swapped = [["image", {"media": "{{two}}"}], ["image", {"media": "{{one}}"}], ["prompt", "x"]]
    assert requests.take(post(form=swapped)) is None
    assert 'form[0][1]: recorded "{{one}}", asked "{{two}}"' in requests.difference(post(form=swapped))
