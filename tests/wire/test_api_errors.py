"""The exception for an error of the API: its class, its words, what it keeps and what became of the call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.bodies import OK, of_status
from tutuclient import errors, wire
from tutuclient.errors import APIError

if TYPE_CHECKING:
    from tutuclient.errors import APIStatusError

# Kind K: inspect_ai#1534, aider#3550.
RAW = {
    "message": "Provider returned error",
    "code": 429,
    "metadata": {"raw": "Too Many Requests", "provider_name": "P"},
}


@pytest.mark.parametrize(
    ("tree", "kept"),
    [
        ({"error": RAW, "user_id": "u"}, RAW),
        ([{"error": RAW}], RAW),
        ({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "error": RAW}]}, RAW),
        ({"choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "error", "error": RAW}]}, RAW),
        ({"type": "error", "error": RAW}, RAW),
        ({"code": 500, "error": RAW}, RAW),
        ({"header": {"code": 5, "message": "m", "sid": "s"}, "payload": {"deep": [1]}},) * 2,
        ({"base_resp": {"status_code": 5, "status_msg": "m"}, "trace_id": "t", "extra": {"deep": [1]}},) * 2,
        ({"response": {"error": {"message": "m", "deep": [1]}, "id": "r"}},) * 2,
        ({"code": 500, "msg": "m", "trace": {"deep": [1]}},) * 2,
        ({"error": "m", "trace": {"deep": [1]}}, {"message": "m", "code": None, "type": None, "trace": {"deep": [1]}}),
    ],
)
def test_an_error_keeps_all_that_it_says(tree: Any, kept: dict[str, Any]) -> None:
    body = json.dumps(tree).encode()
    assert of_status(400, body).body == kept
    for read in (wire.read_completion, wire.read_chunk):
        with pytest.raises(APIError) as caught:
            read(body, OK)
        assert caught.value.body == kept
    assert wire.error_event(body, OK).body == kept


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error":{"message":"m","code":503}}', 503),
        (b'{"error":{"message":"m","code":"insufficient_quota"}}', 429),
        (b'{"error":{"message":"m","type":"server_error"}}', 500),
        (b'{"error":{"message":"m","code":7}}', 200),
    ],
)
def test_a_disguised_error_has_the_status_it_stands_for(body: bytes, status: int) -> None:
    error = wire.error_of_answer(body, OK)
    assert isinstance(error, errors.APIStatusError)
    assert error.status_code == status


@pytest.mark.parametrize(
    "body", [b'{"error":{"message":"m","code":524}}', b'{"error":{"message":"m","code":"bad_response_body"}}']
)
def test_a_disguised_error_may_hide_work_that_was_done(body: bytes) -> None:
    error = wire.error_of_answer(body, OK)
    assert error is not None
    assert error.outcome == "unknown"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"error":{"message":"bad"}}', "bad"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', "busy"),
        (b'{"message":"bad","id":"x","choices":[]}', "bad"),
        (b"plain words", "plain words"),
        (b'["bad"]', "bad"),
        (b"", "nothing more"),
        (b"{}", "nothing more"),
    ],
)
def test_an_error_event_is_an_error_whatever_its_data(data: bytes, words: str) -> None:
    error = wire.error_event(data, OK)
    assert words in str(error)
    assert error.outcome == "rejected"


# Sections 4.1, 4.3 and 4.4: statuses and bodies.
E = errors
NGINX = b"<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>openresty</body></html>"
STATUSES: dict[str, tuple[int, str | bytes, type[APIStatusError], str | None, str, str]] = {
    "openai": (
        400,
        '{"error":{"message":"bad","type":"invalid_request_error","param":null,"code":null}}',
        E.BadRequestError,
        None,
        "bad",
        "rejected",
    ),
    "new-api": (
        400,
        '{"error":{"message":"m (request id: 2026a)","type":"new_api_error","code":"invalid_text_request"}}',
        E.BadRequestError,
        "invalid_text_request",
        "m",
        "rejected",
    ),
    "integer code": (500, '{"error":{"message":"m","code":500}}', E.InternalServerError, "500", "m", "rejected"),
    "too long": (
        400,
        '{"error":{"message":"m","code":"context_length_exceeded"}}',
        E.ContextLengthError,
        "context_length_exceeded",
        "shorten",
        "rejected",
    ),
    "too long by words": (
        400,
        '{"error":{"message":"This model\'s maximum context length is 8192 tokens"}}',
        E.ContextLengthError,
        None,
        "8192",
        "rejected",
    ),
    "too long for litellm": (
        400,
        '{"error":{"message":"litellm.ContextWindowExceededError: litellm.BadRequestError: m","code":"400"}}',
        E.ContextLengthError,
        "400",
        "shorten",
        "rejected",
    ),
    "filtered by litellm": (
        400,
        '{"error":{"message":"litellm.BadRequestError: litellm.ContentPolicyViolationError: m","code":"400"}}',
        E.ContentPolicyError,
        "400",
        "rejected",
        "rejected",
    ),
    "rate by words in a 400": (
        400,
        '{"error":{"message":"the rate limit field is unknown"}}',
        E.BadRequestError,
        None,
        "unknown",
        "rejected",
    ),
    "filter": (
        400,
        '{"error":{"message":"m","code":"sensitive_words_detected"}}',
        E.ContentPolicyError,
        "sensitive_words_detected",
        "rejected",
        "rejected",
    ),
    "policy behind 500": (
        500,
        '{"error":{"message":"m","code":"content_filter"}}',
        E.ContentPolicyError,
        "content_filter",
        "rejected",
        "rejected",
    ),
    "moderation": (
        400,
        '{"error":{"message":"m","code":"moderation_blocked"}}',
        E.ContentPolicyError,
        "moderation_blocked",
        "rejected",
        "rejected",
    ),
    "no key": (401, '{"error":{"message":"未提供令牌"}}', E.AuthenticationError, None, "TUTU_API_KEY", "rejected"),
    "key used up": (
        401,
        '{"error":{"message":"该令牌额度已用尽"}}',
        E.InsufficientQuotaError,
        None,
        "top it up",
        "rejected",
    ),
    "wrong key": (
        400,
        '{"error":{"message":"m","code":"invalid_api_key"}}',
        E.AuthenticationError,
        "invalid_api_key",
        "check the key",
        "rejected",
    ),
    "balance": (402, "{}", E.InsufficientQuotaError, None, "top it up", "rejected"),
    "user quota": (
        403,
        '{"error":{"message":"m","code":"insufficient_user_quota"}}',
        E.InsufficientQuotaError,
        "insufficient_user_quota",
        "top it up",
        "rejected",
    ),
    "quota by type": (
        403,
        '{"error":{"message":"m","type":"insufficient_quota"}}',
        E.InsufficientQuotaError,
        None,
        "m",
        "rejected",
    ),
    "not allowed": (
        403,
        '{"error":{"message":"该令牌无权访问模型 gpt-4o"}}',
        E.PermissionDeniedError,
        None,
        "无权访问",
        "rejected",
    ),
    "wrong path": (
        404,
        '{"error":{"message":"Invalid URL (POST /v1/v1/chat/completions)"}}',
        E.NotFoundError,
        None,
        "and whether the relay has this endpoint",
        "rejected",
    ),
    "no model": (
        503,
        '{"error":{"message":"无可用渠道","code":"model_not_found"}}',
        E.NotFoundError,
        "model_not_found",
        "model's name",
        "rejected",
    ),
    "method": (405, "", E.APIStatusError, None, "nothing more", "rejected"),
    "timeout": (408, '{"error":{"message":"m"}}', E.APIStatusError, None, "m", "rejected"),
    "conflict": (409, "{}", E.ConflictError, None, "409", "rejected"),
    "too large": (
        413,
        '{"error":{"message":"m","code":"read_request_body_failed"}}',
        E.PayloadTooLargeError,
        "read_request_body_failed",
        "max_side",
        "rejected",
    ),
    "too large by nginx": (
        413,
        "<html><title>413 Request Entity Too Large</title></html>",
        E.PayloadTooLargeError,
        None,
        "413 Request Entity Too Large",
        "rejected",
    ),
    "fastapi": (
        422,
        '{"detail":[{"loc":["body","n"],"msg":"too many requests of it"}]}',
        E.UnprocessableEntityError,
        None,
        "too many",
        "rejected",
    ),
    "saturated": (
        429,
        '{"error":{"message":"当前分组上游负载已饱和，请稍后再试"}}',
        E.RateLimitError,
        None,
        "max_concurrency",
        "rejected",
    ),
    "saturated behind 500": (
        500,
        '{"error":{"message":"当前分组上游负载已饱和"}}',
        E.RateLimitError,
        None,
        "饱和",
        "rejected",
    ),
    "empty 429": (429, "", E.RateLimitError, None, "nothing more", "rejected"),
    "two objects": (
        429,
        '{"error":{"message":"one"}}{"error":{"message":"two"}}',
        E.RateLimitError,
        None,
        "one",
        "rejected",
    ),
    "no quota": (
        429,
        '{"error":{"message":"m","code":"insufficient_quota"}}',
        E.InsufficientQuotaError,
        "insufficient_quota",
        "waiting does not help",
        "rejected",
    ),
    "do_request_failed": (
        500,
        '{"error":{"message":"m","code":"do_request_failed"}}',
        E.InternalServerError,
        "do_request_failed",
        "m",
        "unknown",
    ),
    "body was lost": (
        500,
        '{"error":{"message":"m","code":"read_response_body_failed"}}',
        E.InternalServerError,
        "read_response_body_failed",
        "m",
        "unknown",
    ),
    "body was HTML": (
        500,
        '{"error":{"message":"invalid character \'<\'","code":"unmarshal_response_body_failed"}}',
        E.InternalServerError,
        "unmarshal_response_body_failed",
        "'<'",
        "unknown",
    ),
    "no channel": (
        500,
        '{"error":{"message":"m","code":"channel:no_available_key"}}',
        E.InternalServerError,
        "channel:no_available_key",
        "m",
        "rejected",
    ),
    "no route": (
        501,
        '{"error":{"message":"m","code":"api_not_implemented"}}',
        E.InternalServerError,
        "api_not_implemented",
        "m",
        "rejected",
    ),
    "bad gateway": (
        502,
        "<html><head><title>502 Bad Gateway</title></head></html>",
        E.InternalServerError,
        None,
        "502 Bad Gateway",
        "unknown",
    ),
    "unavailable": (503, "Service Unavailable", E.InternalServerError, None, "Service Unavailable", "rejected"),
    "nginx": (504, NGINX, E.InternalServerError, None, "504 Gateway Time-out", "unknown"),
    "cloudflare": (
        524,
        "<!DOCTYPE html><title>relay.example | 524: A timeout occurred</title>",
        E.InternalServerError,
        None,
        "524: A timeout",
        "unknown",
    ),
    "challenge": (
        403,
        "<html><TITLE lang=en>Just a\n moment...</TITLE>",
        E.PermissionDeniedError,
        None,
        "Just a moment...",
        "rejected",
    ),
    "page without title": (520, "<html>oops", E.InternalServerError, None, "<html>oops", "unknown"),
    "overloaded": (
        529,
        '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
        E.InternalServerError,
        None,
        "Overloaded",
        "rejected",
    ),
    "teapot": (418, "short", E.APIStatusError, None, "short", "rejected"),
    "error text": (500, '{"error":"text"}', E.InternalServerError, None, "text", "rejected"),
    "panel": (400, '{"success":false,"message":"m"}', E.BadRequestError, None, "m", "rejected"),
    # new-api, relay/relay-mj.go: an empty account under 400.
    "midjourney": (
        400,
        '{"description":"quota_not_enough","type":"upstream_error","code":4}',
        E.InsufficientQuotaError,
        "4",
        "quota_not_enough",
        "rejected",
    ),
    "errors": (400, '{"errors":[{"m":1}]}', E.BadRequestError, None, '"m": 1', "rejected"),
    "odd object": (400, '{"reason":"odd"}', E.BadRequestError, None, "odd", "rejected"),
    "error odd": (400, '{"error":{"reason":"odd"}}', E.BadRequestError, None, "odd", "rejected"),
    "list": (400, '["odd"]', E.BadRequestError, None, "odd", "rejected"),
    "null": (400, "null", E.BadRequestError, None, "null", "rejected"),
    "blanks": (500, " \r\n ", E.InternalServerError, None, "nothing more", "rejected"),
    "no UTF-8": (500, b"bad \xff\xfe", E.InternalServerError, None, "bad \ufffd\ufffd", "rejected"),
    "forged": (
        500,
        '{"error":{"message":"a\\r\\n[INFO] b\\u001b[0m"}}',
        E.InternalServerError,
        None,
        "a\\r\\n[INFO] b\\x1b[0m",
        "rejected",
    ),
    "deep": (400, b'{"error":' + b"[" * 5000, E.BadRequestError, None, "[[[", "rejected"),
}


@pytest.mark.parametrize(("status", "body", "cls", "code", "words", "outcome"), STATUSES.values(), ids=STATUSES)
def test_tells_errors_apart_by_their_words_then_by_their_status(
    status: int, body: str | bytes, cls: type[APIStatusError], code: str | None, words: str, outcome: str
) -> None:
    error = of_status(status, body, x_request_id="r1")
    assert type(error) is cls
    assert (error.status_code, error.code, error.outcome) == (status, code, outcome)
    assert words in str(error)
    assert str(error).startswith(f"POST /chat/completions answered {status}: ")
    assert str(error).isprintable()
    assert (error.request_id, error.retry_after) == ("r1", 1.5)
    assert error.response is not None


@pytest.mark.parametrize(
    ("body", "headers", "request_id"),
    [
        ('{"error":{"message":"m (request id: 2026a) (request id: 2026b)"}}', {}, "2026b"),
        ('{"error":{"message":"m (request id: 2026a)"}}', {"x_oneapi_request_id": "o1"}, "o1"),
        ("", {"cf_ray": "c1"}, "c1"),
        ("", {}, None),
    ],
)
def test_an_error_has_the_relays_name_for_the_call(body: str, headers: dict[str, str], request_id: str | None) -> None:
    assert of_status(500, body, **headers).request_id == request_id


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (
            '{"error":{"message":"m","code":"c","param":"429","metadata":{"a":1}}}',
            {"message": "m", "code": "c", "param": "429", "metadata": {"a": 1}},
        ),
        ('{"detail":"m"}', {"detail": "m"}),
        ('{"error":"m","type":"t"}', {"message": "m", "code": None, "type": "t"}),
        ("words", "words"),
        ("", ""),
    ],
)
def test_an_error_keeps_the_relays_own_object(body: str, kept: object) -> None:
    assert of_status(400, body).body == kept


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"error":{"message":"m","code":"insufficient_quota"}}\n\ndata: [DONE]\n\n',
        b'event: error\r\ndata:{"error":{"message":"m","code":"insufficient_quota"}}\r\n\r\n',
        # https://www.alibabacloud.com/help/en/model-studio/error-code, streamed
        b'id:1\nevent:error\n:HTTP_STATUS/400\ndata:{"code":"Arrearage","message":"m","request_id":"r"}\n\n',
        b': PING\n\ndata: [{"error":{"message":"m","code":"insufficient_quota"}}]\n\n',
    ],
)
@pytest.mark.parametrize("status", [400, 429, 500])
def test_an_error_in_an_event_under_its_status_is_the_error(body: bytes, status: int) -> None:
    error = of_status(status, body, content_type="text/event-stream")
    assert type(error) is errors.InsufficientQuotaError
    assert isinstance(error.body, dict)
    assert error.body["message"] == "m"
    assert "m (the account" in str(error)


def test_an_error_of_oauth_says_why() -> None:
    error = of_status(401, '{"error":"invalid_client","error_description":"the key is switched off"}')
    assert "invalid_client: the key is switched off" in str(error)


def test_a_long_body_is_cut() -> None:
    error = of_status(500, "x" * 100_000)
    assert len(str(error)) < 700
    assert len(str(error.body)) <= 2048


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_says_where_the_relay_is(status: int) -> None:
    error = of_status(status, "<html>moved</html>", location="https://new.example/v1/chat/completions?token=1")
    assert "https://new.example/v1/chat/completions" in str(error)
    assert "set base_url" in str(error)
    assert "token" not in str(error)
