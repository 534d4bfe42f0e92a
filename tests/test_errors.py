"""What ``tutuclient.errors`` promises: the drawn tree, openai's catches, errors that travel and print safely."""

from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutuclient import errors
from tutuclient._meta import Meta
from tutuclient.errors import APIError, TutuError, printable
from tutuclient.types.chat import ChatChoice, ChatCompletion, ChatMessage
from tutuclient.types.provenance import Origin, set_origin

CLASSES = sorted(
    {
        cls
        for name, cls in inspect.getmembers(errors, inspect.isclass)
        if issubclass(cls, TutuError) and not name.startswith("_")
    },
    key=lambda cls: cls.__name__,
)

WITH_COMPLETION = (errors.LengthFinishReasonError, errors.ContentFilterFinishReasonError, errors.ToolRoundsError)


def drawn() -> dict[str, str]:
    """Read the tree in the room's docstring: each class and the one it hangs on."""
    above: list[tuple[int, str]] = []
    parents = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"    ([│├└─ ]*)([A-Z]\w+Error)\b", line):
            depth, name = len(found[1]), found[2]
            above = [pair for pair in above if pair[0] < depth]
            parents[name] = above[-1][1] if above else ""
            above.append((depth, name))
    return parents


def test_the_tree_is_the_one_that_is_drawn() -> None:
    real = {cls.__name__: next((base.__name__ for base in cls.__mro__[1:] if base in CLASSES), "") for cls in CLASSES}
    assert drawn() == real
    assert errors.OpenAIError is TutuError


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.ConfigError, ValueError),
        (errors.MediaError, ValueError),
        (errors.NoImageError, IndexError),
        (errors.APITimeoutError, TimeoutError),
        (errors.PoolTimeoutError, TimeoutError),
        (errors.FirstTokenTimeoutError, TimeoutError),
        (errors.StreamIdleTimeoutError, TimeoutError),
    ],
)
def test_is_caught_as_pythons_own_error_too(cls: type[TutuError], builtin: type[Exception]) -> None:
    with pytest.raises(builtin, match="m"):
        raise cls("m")


# What openai-python's callers catch, and what they thereby catch of ours.
@pytest.mark.parametrize(
    ("caught", "raised"),
    [
        ("APIError", "APIConnectionError APIStatusError APIResponseValidationError"),
        ("APIConnectionError", "APITimeoutError OutcomeUnknownError IncompleteStreamError PoolTimeoutError"),
        ("APITimeoutError", "PoolTimeoutError FirstTokenTimeoutError StreamIdleTimeoutError"),
        ("APIResponseValidationError", "UnexpectedResponseError"),
        ("RateLimitError", "InsufficientQuotaError"),
        ("BadRequestError", "ContextLengthError ContentPolicyError"),
        (
            "APIStatusError",
            "BadRequestError AuthenticationError PermissionDeniedError NotFoundError ConflictError InternalServerError",
        ),
        (
            "APIStatusError",
            "UnprocessableEntityError RateLimitError PayloadTooLargeError",
        ),
    ],
)
def test_openais_catches_go_on_working(caught: str, raised: str) -> None:
    for name in raised.split():
        assert issubclass(getattr(errors, name), getattr(errors, caught))


@pytest.mark.parametrize(
    ("cls", "outcome"),
    [
        (errors.ConfigError, "not_sent"),
        (errors.MediaError, "not_sent"),
        (errors.PoolTimeoutError, "not_sent"),
        (errors.RateLimitError, "rejected"),
        (errors.BadRequestError, "rejected"),
        (errors.InternalServerError, "rejected"),
        (errors.UnexpectedResponseError, "unknown"),
        (errors.APIConnectionError, "unknown"),
        (errors.OutcomeUnknownError, "unknown"),
        (errors.IncompleteStreamError, "unknown"),
        (errors.APITimeoutError, "unknown"),
        (errors.ImageDownloadError, None),
        (errors.NoImageError, None),
        (errors.APIError, None),
    ],
)
def test_says_what_became_of_the_call(cls: type[TutuError], outcome: str | None) -> None:
    assert cls("m").outcome == outcome


@pytest.mark.parametrize(
    ("cls", "status"),
    [
        (errors.BadRequestError, 400),
        (errors.ContentPolicyError, 400),
        (errors.AuthenticationError, 401),
        (errors.PermissionDeniedError, 403),
        (errors.NotFoundError, 404),
        (errors.ConflictError, 409),
        (errors.PayloadTooLargeError, 413),
        (errors.UnprocessableEntityError, 422),
        (errors.RateLimitError, 429),
        (errors.InternalServerError, 500),
        (errors.APIStatusError, 0),
    ],
)
def test_a_class_stands_for_a_status(cls: type[errors.APIStatusError], status: int) -> None:
    assert cls().status_code == status


def filled(cls: type[Any]) -> Any:
    details: dict[str, Any] = {"outcome": "unknown", "attempts": 3, "request_id": "req-1"}
    completion = ChatCompletion(choices=[ChatChoice(message=ChatMessage(content="half"))])
    if issubclass(cls, WITH_COMPLETION):
        details |= {"completion": completion}
    if issubclass(cls, APIError):
        details |= {"body": {"code": 7, "param": "p", "type": "t"}, "partial": completion}
    if issubclass(cls, errors.APIStatusError | errors.APIResponseValidationError):
        details |= {"response": Meta(503, {"x-request-id": "req-1"}, attempts=3)}
    if issubclass(cls, errors.APIStatusError):
        details |= {"status_code": 503, "retry_after": 1.5}
    if issubclass(cls, errors.APIResponseValidationError):
        details |= {"hint": "look"}
    if issubclass(cls, errors.ImageDownloadError):
        details |= {"reason": "expired", "status": 404, "retry_after": 1.5}
    return cls("断了", **details)


def shown(error: TutuError) -> dict[str, Any]:
    return {name: repr(value) for name, value in vars(error).items()} | {"str": str(error), "args": error.args}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_travels_with_all_it_knows(cls: type[TutuError]) -> None:
    error = filled(cls)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own bytes)
    assert type(again) is cls
    assert shown(again) == shown(error)
    assert again.message == str(again) == "断了"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_has_what_it_was_created_with(cls: type[TutuError]) -> None:
    error = filled(cls)
    assert (error.message, error.outcome, error.attempts, error.request_id) == ("断了", "unknown", 3, "req-1")
    with pytest.raises(TypeError, match="atempts"):
        cls("m", atempts=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_details_that_become_known_later_are_added_and_others_stay(cls: type[TutuError]) -> None:
    error = filled(cls)
    assert error.with_details(attempts=4, conversation=["hi"]) is error
    assert (error.outcome, error.attempts, error.request_id) == ("unknown", 4, "req-1")
    assert error.with_details().conversation == ["hi"]
    assert error.with_details(outcome="rejected", request_id="req-2").request_id == "req-2"
    assert (error.outcome, error.attempts) == ("rejected", 4)


def test_what_had_come_before_an_answer_broke_off_stays_until_more_is_known() -> None:
    less, more = ChatCompletion(id="less"), ChatCompletion(id="more")
    error = APIError("m", partial=less)
    assert error.with_partial(None).partial is less
    assert error.with_partial(more).partial is more


def test_an_answer_that_cannot_be_parsed_tells_how_its_call_went() -> None:
    completion = ChatCompletion(id="1")
    set_origin(completion, Origin(Meta(200, {"x-request-id": "req-1"}, attempts=2), lambda _: []))
    error = errors.LengthFinishReasonError("m", completion=completion)
    assert error.completion is completion
    assert (error.attempts, error.request_id, error.outcome) == (2, "req-1", "unknown")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_needs_no_arguments(cls: type[TutuError]) -> None:
    error = cls()
    assert (error.message, error.attempts, error.request_id) == ("", 0, None)


@pytest.mark.parametrize(
    ("body", "code", "param", "kind"),
    [
        ({"code": "c", "param": "p", "type": "t"}, "c", "p", "t"),
        ({"code": 500}, "500", None, None),
        ({"code": 0}, "0", None, None),
        ({"code": None, "param": None, "type": None}, None, None, None),
        ({"code": True, "param": 5, "type": []}, None, None, None),
        ({"code": ["c"]}, None, None, None),
        ({"code": {"c": 1}}, None, None, None),
        ("text", None, None, None),
        (None, None, None, None),
    ],
)
def test_reads_code_param_and_type_of_a_body(body: object, code: str, param: str, kind: str) -> None:
    error = APIError("m", body=body)
    assert (error.body, error.code, error.param, error.type) == (body, code, param, kind)
    error = APIError("m", body=body, code="own c", param="own p", type="own t")
    assert (error.body, error.code, error.param, error.type) == (body, "own c", "own p", "own t")


def test_an_invalid_answer_has_the_status_of_its_response() -> None:
    assert errors.UnexpectedResponseError("HTML").status_code is None
    assert errors.UnexpectedResponseError("HTML", response=Meta(200)).status_code == 200


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain 图像 é 🙂", "plain 图像 é 🙂"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x1b[31mred\x07\x00", "\\x1b[31mred\\x07\\x00"),
        ("\x7f\x85\x9b", "\\x7f\\x85\\x9b"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("\u061c\u200e\u200f\u2066\u2069", "\\u061c\\u200e\\u200f\\u2066\\u2069"),
        ("\ud83d half", "\\ud83d half"),
        ("", ""),
    ],
)
def test_prints_what_a_server_says_on_one_harmless_line(text: str, safe: str) -> None:
    assert printable(text) == safe


def test_says_what_was_cut() -> None:
    assert printable("x" * 500) == "x" * 500
    assert printable("x" * 501) == "x" * 500 + "… (501 characters)"
    assert printable("abc", 2) == "ab… (3 characters)"


@given(text=st.text(st.characters()))
def test_any_text_prints_as_one_line_that_can_be_encoded(text: str) -> None:
    safe = printable(text)
    assert safe.encode().decode() == safe
    assert len(safe.splitlines()) <= 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", safe)
