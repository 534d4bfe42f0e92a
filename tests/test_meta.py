"""What ``Meta`` promises: it tells how a call went, by any spelling of a header, and travels."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from tutuclient._meta import Meta, note, request_id_of


def travelled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301  (our own bytes)


@pytest.mark.parametrize(
    ("headers", "message", "found"),
    [
        ({"x-request-id": "a", "x-oneapi-request-id": "b", "x-generation-id": "c", "cf-ray": "d"}, "", "a"),
        ({"x-oneapi-request-id": "b", "cf-ray": "d"}, "(request id: e)", "b"),
        ({"x-generation-id": "c"}, "", "c"),
        ({"x-litellm-call-id": "l", "cf-ray": "d"}, "", "l"),
        ({"x-request-id": "", "x-generation-id": "c"}, "", "c"),
        ({}, "no (request id: 2026ab) (request id: 2027cd)", "2027cd"),
        ({"cf-ray": "d"}, "no (Request ID: 2026ab)", "2026ab"),
        ({"cf-ray": "d"}, "no", "d"),
        ({}, "", None),
    ],
)
def test_finds_the_relays_name_for_a_request(headers: dict[str, str], message: str, found: str | None) -> None:
    assert request_id_of(headers, message) == found


def test_meta_tells_how_a_call_went() -> None:
    meta = Meta(200, {"x-request-id": "r"}, attempts=2, waited_s=0.25, headers_s=0.5, elapsed_s=1.0)
    assert meta.status == meta.status_code == 200
    assert repr(meta) == (
        "Meta(status_code=200, request_id='r', attempts=2, waited_s=0.250, headers_s=0.500, elapsed_s=1.000)"
    )
    assert repr(travelled(meta)) == repr(meta)


def test_meta_travels_with_names_in_lower_case() -> None:
    assert travelled(Meta(200, {"X-Request-ID": "r"})).request_id == "r"


def test_headers_that_travelled_are_found_in_any_case() -> None:
    meta = pickle.loads(pickle.dumps(Meta(headers={"X-Request-Id": "r"})))  # noqa: S301  (our own bytes)
    assert meta.headers["X-Request-ID"] == meta.headers.get("x-request-id") == "r"
    assert "X-REQUEST-ID" in meta.headers
    assert 5 not in meta.headers
    assert pickle.loads(pickle.dumps(meta)).headers == {"x-request-id": "r"}  # noqa: S301  (our own bytes)


def test_the_words_of_a_relay_are_noted_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    meta = Meta(200)
    note(meta, "an image was not made: your prompt 'secret' was refused")
    assert meta.warnings == ("an image was not made: your prompt 'secret' was refused",)
    assert [each.getMessage() for each in caplog.records] == ["an image was not made (request id None)"]
