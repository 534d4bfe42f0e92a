"""The key is in no error that leaves the client."""

from __future__ import annotations

from typing import Any

import pytest

from tutuclient import wire
from tutuclient._meta import Meta
from tutuclient.errors import APIStatusError, TutuError

KEY = "sk-0123456789"


def status_error(body: object) -> APIStatusError:
    error = APIStatusError(f"no such key: {KEY}", body=body)
    error.response = Meta(401, {"x-echo": f"Bearer {KEY}", "x-request-id": KEY})
    error.request_id = KEY
    return error


@pytest.mark.parametrize("body", [KEY, {KEY: [f"a {KEY}", (KEY, 1)], "code": KEY}, [{"inner": {"deep": KEY}}], None])
def test_the_key_is_in_nothing_of_an_error(body: object) -> None:
    error: Any = wire.without_key(status_error(body), KEY)
    assert KEY not in repr((error.args, vars(error), dict(error.response.headers)))
    assert "***" in str(error)


def test_what_led_to_an_error_that_held_the_key_is_dropped() -> None:
    error = status_error(None)
    error.__cause__ = ValueError(KEY)
    assert wire.without_key(error, KEY).__cause__ is None


def test_an_error_without_the_key_stays_as_it_is() -> None:
    error = APIStatusError("no", body={"code": 1})
    error.__cause__ = cause = ValueError("why")
    assert wire.without_key(error, KEY) is error
    assert error.__cause__ is cause


@pytest.mark.parametrize("error", [APIStatusError("the word none"), TutuError(KEY)])
def test_a_short_key_is_not_masked_and_other_errors_hold_no_key(error: TutuError) -> None:
    before = str(error)
    assert str(wire.without_key(error, "none" if "none" in before else KEY)) == before
