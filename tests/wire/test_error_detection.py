"""An error is distinguished from an answer, in whatever envelope it comes."""
# ruff: noqa: E501  (a row of the tables is a line, as far as can be)

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.wire.bodies import OK, completion, of_status
from tutuclient import errors, wire
from tutuclient._meta import Meta
from tutuclient.errors import APIError, UnexpectedResponseError
from tutuclient.types.base import Answer
from tutuclient.types.models import Model, ModelList

# Section 4.2 and 3.5: errors in an answer's clothes, with status 200.
DISGUISED: dict[str, tuple[bytes, type[APIError], str | None, str]] = {
    "openai": (
        b'{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}',
        errors.RateLimitError,
        "rate_limit_exceeded",
        "slow down",
    ),
    "gemini": (
        b'{"error":{"message":"No candidates returned","type":"","code":500}}',
        errors.InternalServerError,
        "500",
        "No candidates returned",
    ),
    "code as digits": (b'{"error":{"message":"m","code":"429"}}', errors.RateLimitError, "429", "m"),
    "code as float": (b'{"error":{"message":"m","code":503.0}}', errors.InternalServerError, "503.0", "m"),
    "code as bool": (b'{"error":{"message":"m","code":true}}', errors.APIStatusError, None, "m"),
    "code of the house": (b'{"code":10001,"msg":"system busy"}', errors.APIStatusError, "10001", "system busy"),
    "code below statuses": (b'{"error":{"message":"m","code":7}}', errors.APIStatusError, "7", "m"),
    "code list": (b'{"error":{"message":"m","code":[1]}}', errors.APIStatusError, None, "m"),
    "server": (b'{"error":{"message":"m","type":"server_error"}}', errors.InternalServerError, None, "m"),
    "upstream": (
        b'{"error":{"message":"status code 200","type":"upstream_error","code":"bad_response_status_code"}}',
        errors.InternalServerError,
        "bad_response_status_code",
        "status code 200",
    ),
    "with empty choices": (
        b'{"id":"c","error":{"code":503,"message":"gone"},"choices":[{"message":{"content":""},"finish_reason":"error"}]}',
        errors.InternalServerError,
        "503",
        "gone",
    ),
    "vllm": (
        b'{"object":"error","message":"too long","type":"BadRequestError","code":400}',
        errors.BadRequestError,
        "400",
        "too long",
    ),
    "claude": (
        b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
        errors.InternalServerError,
        None,
        "Overloaded",
    ),
    "text": (b'{"error":"plain string","code":401}', errors.AuthenticationError, "401", "plain string"),
    "msg": (b'{"code":"400","msg":"bad"}', errors.BadRequestError, "400", "bad"),
    "err": (b'{"err":"bad"}', errors.APIStatusError, None, "bad"),
    "error_msg": (b'{"error_msg":"bad"}', errors.APIStatusError, None, "bad"),
    "errors list": (b'{"errors":["bad"]}', errors.APIStatusError, None, "bad"),
    "description": (b'{"description":"quota","type":"x","code":4}', errors.APIStatusError, "4", "quota"),
    "header": (b'{"header":{"code":10013,"message":"bad"}}', errors.APIStatusError, None, "bad"),
    "response": (b'{"response":{"error":{"message":"bad"}}}', errors.APIStatusError, None, "bad"),
    "response text": (b'{"response":{"error":"bad"}}', errors.APIStatusError, None, "bad"),
    "response list": (b'{"response":{"error":["bad"]}}', errors.APIStatusError, None, "bad"),
    "response odd": (b'{"response":{"error":{"reason":"bad"}}}', errors.APIStatusError, None, "bad"),
    "panel": (b'{"success":false,"message":"no token"}', errors.APIStatusError, None, "no token"),
    "panel without words": (b'{"success":false}', errors.APIStatusError, None, "nothing more"),
    "bool": (b'{"error":true,"message":"bad"}', errors.APIStatusError, None, "bad"),
    "no words": (b'{"error":{"code":"model_not_found"}}', errors.NotFoundError, "model_not_found", "nothing more"),
    "msg inside": (b'{"error":{"msg":"bad"}}', errors.APIStatusError, None, "bad"),
    "two at once": (
        b'{"error":{"message":"one","code":429}}{"error":{"message":"two"}}',
        errors.RateLimitError,
        "429",
        "one",
    ),
    "half a surrogate": (b'{"error":{"message":"bad \\ud83d"}}', errors.APIStatusError, None, "bad \ufffd"),
    "blank first": (b"\n" * 5000 + b'{"error":{"message":"bad"}}', errors.APIStatusError, None, "bad"),
    "quota": ('{"error":{"message":"令牌额度已用尽"}}'.encode(), errors.InsufficientQuotaError, None, "额度"),
    "policy": (
        b'{"error":{"message":"m","code":"content_policy_violation"}}',
        errors.ContentPolicyError,
        "content_policy_violation",
        "change it",
    ),
}


@pytest.mark.parametrize(("body", "cls", "code", "words"), DISGUISED.values(), ids=DISGUISED)
def test_an_error_in_an_answers_clothes_is_an_error(
    body: bytes, cls: type[APIError], code: str | None, words: str
) -> None:
    meta = Meta(200, {"x-request-id": "r1"})
    with pytest.raises(APIError) as caught:
        wire.read_completion(body, meta)
    error = caught.value
    assert type(error) is cls
    assert error.code == code
    assert words in str(error)
    assert (error.request_id, error.outcome) == ("r1", "rejected")
    for read in (wire.read_chunk, lambda data, meta: wire.read_answer(data, Answer, meta)):
        with pytest.raises(cls):
            read(body, meta)


# Words alone: no explicit no, so only who finds nothing of what was asked for calls them an error.
WORDS: dict[str, tuple[bytes, type[APIError], str | None, str]] = {
    "message": (b'{"message":"nope"}', errors.APIStatusError, None, "nope"),
    "detail": (b'{"detail":"bad"}', errors.APIStatusError, None, "bad"),
    "detail list": (
        b'{"detail":[{"loc":["body"],"msg":"field required"}]}',
        errors.APIStatusError,
        None,
        "field required",
    ),
    "header of a number": (b'{"header":{"message":5}}', errors.APIStatusError, None, "5"),
    "quota in words": ('{"message":"账户余额不足"}'.encode(), errors.InsufficientQuotaError, None, "top it up"),
    "words and a null": (b'{"message":"no channel","data":null}', errors.APIStatusError, None, "no channel"),
}


@pytest.mark.parametrize(("body", "cls", "code", "words"), WORDS.values(), ids=WORDS)
def test_words_alone_are_an_error_where_nothing_else_came(
    body: bytes, cls: type[APIError], code: str | None, words: str
) -> None:
    for read in (wire.read_completion, wire.read_chunk, wire.read_text, wire.read_images):
        with pytest.raises(APIError) as caught:
            read(body, OK)
        assert type(caught.value) is cls
        assert (caught.value.code, caught.value.body) == (code, json.loads(body))
        assert words in str(caught.value)
        assert caught.value.outcome == "rejected"
    assert wire.read_as(body, dict, OK) == json.loads(body)
    assert wire.read_answer(body, Answer, OK).raw == body
    assert wire.error_of_answer(body, OK) is None


# Kind A: objects that carry a word, and say nothing of a failure. client.get and client.post give them as they are.
GOOD: dict[str, dict[str, Any]] = {
    # new-api and midjourney-proxy, POST /mj/submit/imagine: 1 is submitted, 21 is there already, 22 waits.
    "submitted": {"code": 1, "description": "提交成功", "result": "1320098173412546"},
    "there already": {"code": 21, "description": "任务已存在", "result": "7", "properties": {"status": "SUCCESS"}},
    "in the queue": {"code": 22, "description": "排队中，前面还有3个任务", "result": "8", "properties": {}},
    # new-api, POST /suno/submit/music and GET /suno/fetch
    "new-api's word": {"code": "success", "message": "", "data": "t-1"},
    "new-api's true": {"code": True, "message": "ok", "data": [1]},
    "kling": {"code": 0, "message": "SUCCEED", "request_id": "r", "data": {"task_id": "5"}},
    "an order": {"task_id": "t9", "status": "submitted", "message": "任务已提交"},
    # Ollama's /api/chat and /api/generate; janhq/jan#8280
    "ollama": {"model": "m", "message": {"role": "assistant", "content": "hi"}, "done": True},
    "panel": {"success": True, "message": "", "data": {"quota": 5}},
    "volcengine": {"code": 10000, "message": "Success", "data": {"binary_data_base64": []}},
    "HTTP's 200": {"code": 200, "msg": "操作成功"},
    "HTTP's 201": {"code": "201", "msg": "created", "data": {"id": 1}},
    "minimax": {"base_resp": {"status_code": 0, "status_msg": "success"}, "file_id": 5},
    "wechat": {"errcode": 0, "errmsg": "ok", "access_token": "x"},
    "a failed task that was asked for": {"task_id": "t9", "status": "failed", "message": "content refused"},
    "a failed task with its reason": {"task_id": "t9", "status": "failed", "error_message": "content refused"},
    "a count": {"errors": 3, "data": None, "requests": 90},
    "a coupon": {"code": "SAVE10", "description": "10 % off"},
    "a country": {"code": 86, "description": "China"},
    "a chat line": {"id": 7, "message": "error: quota", "detail": "of a log"},
    "words": {"detail": "Not authenticated"},
    "error null": {"error": None, "message": "fine"},
    "error empty": {"error": {}, "detail": "fine"},
    "error of nulls": {"error": {"message": None, "code": None, "type": ""}, "detail": "fine"},
    "error false": {"error": False, "msg": "fine"},
    "error success": {"error": {"message": "success", "code": 0}, "result": 1},
    "error ok": {"error": {"status": "ok"}, "id": 5},
    "error none": {"error": "none", "err": "None", "value": 5},
    "errors empty": {"errors": [], "data": None},
}


@pytest.mark.parametrize("tree", GOOD.values(), ids=GOOD)
def test_a_word_is_no_error(tree: dict[str, Any]) -> None:
    body = json.dumps(tree).encode()
    assert wire.read_as(body, dict, OK) == tree
    assert wire.read_as(body, bytes, OK) == body
    assert wire.error_of_answer(body, OK) is None


@pytest.mark.parametrize(
    "tree", [[{"id": 2, "error": "failed"}], [{"error": None}], [{"code": 5, "message": "x"}], [[]]]
)
def test_a_list_of_things_is_no_error_where_any_value_was_asked_for(tree: list[Any]) -> None:
    assert wire.read_as(json.dumps(tree).encode(), list, OK) == tree


# Kinds A and N: what says no explicitly, in every envelope, for any endpoint.
EXPLICIT: dict[str, tuple[dict[str, Any], type[APIError], str | None, str]] = {
    "midjourney refuses": ({"code": 24, "description": "可能包含敏感词", "properties": {"bannedWord": "x"}}, errors.ContentPolicyError, "24", "敏感词"),
    "midjourney is full": ({"code": 23, "description": "队列已满", "result": None}, errors.RateLimitError, "23", "队列已满"),
    "dashscope": ({"code": "Arrearage", "message": "Access denied", "request_id": "r"}, errors.InsufficientQuotaError, "Arrearage", "top it up"),
    "dashscope refuses": ({"code": "DataInspectionFailed", "message": "Output data", "request_id": "r"}, errors.ContentPolicyError, "DataInspectionFailed", "change it"),
    "dashscope throttles": ({"code": "Throttling.RateQuota", "message": "slow", "request_id": "r"}, errors.RateLimitError, "Throttling.RateQuota", "slow"),
    "dashscope of another kind": ({"code": "InvalidParameter", "message": "bad", "request_id": "r"}, errors.APIStatusError, "InvalidParameter", "bad"),
    "minimax": ({"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, errors.InsufficientQuotaError, "1008", "insufficient balance"),
    "minimax, empty choices": ({"choices": [], "base_resp": {"status_code": 1002, "status_msg": "limit"}}, errors.RateLimitError, "1002", "limit"),
    "minimax of another kind": ({"base_resp": {"status_code": 2054, "status_msg": "no such voice"}}, errors.APIStatusError, "2054", "no such voice"),
    "siliconflow": ({"code": 30001, "message": "Sorry", "data": None}, errors.InsufficientQuotaError, "30001", "Sorry"),
    "qianfan": ({"error_code": 18, "error_msg": "Open api qps request limit reached", "id": "as-1"}, errors.RateLimitError, "18", "qps"),
    "qianfan of another kind": ({"error_code": 336003, "error_msg": "bad"}, errors.APIStatusError, "336003", "bad"),
    "header": ({"header": {"code": 10013, "message": "bad", "sid": "s"}}, errors.APIStatusError, None, "bad"),
    "volcengine's gate": ({"ResponseMetadata": {"Error": {"Code": "AccountOverdueError", "Message": "pay"}}}, errors.InsufficientQuotaError, "AccountOverdueError", "pay"),
    "tencent": ({"Response": {"Error": {"Code": "LimitExceeded", "Message": "slow"}, "RequestId": "r"}}, errors.APIStatusError, "LimitExceeded", "slow"),
    "cloudflare": ({"success": False, "errors": [{"code": 7003, "message": "bad"}], "result": None}, errors.APIStatusError, None, "bad"),
    "status failed": ({"status": "failed", "message": "no channel"}, errors.APIStatusError, None, "no channel"),
    "status of HTTP": ({"status": 401, "msg": "bad key"}, errors.AuthenticationError, "401", "bad key"),
    "spring": ({"status": 500, "error": "Internal Server Error", "path": "/v1"}, errors.APIStatusError, None, "Internal"),
    "code false": ({"code": False, "message": "no"}, errors.APIStatusError, None, "no"),
    "code minus one": ({"code": -1, "msg": "no"}, errors.APIStatusError, "-1", "no"),
    "code of HTTP alone": ({"code": 401, "data": None}, errors.AuthenticationError, "401", "nothing more"),
    "code 1 with an empty account": ({"code": 1, "msg": "余额不足"}, errors.InsufficientQuotaError, "1", "余额不足"),
    "an error without its envelope": ({"message": "no", "type": "new_api_error", "code": "sensitive_words_detected"}, errors.ContentPolicyError, "sensitive_words_detected", "no"),
    "error and message": ({"error": "Forbidden", "message": "no such group"}, errors.APIStatusError, None, "Forbidden: no such group"),
    "error true": ({"error": True, "reason": "x"}, errors.APIStatusError, None, "nothing more"),
    "errmsg": ({"errcode": 40001, "errmsg": "bad"}, errors.APIStatusError, "40001", "bad"),
    "not ok": ({"ok": False, "description": "bad"}, errors.APIStatusError, None, "bad"),
    "xAI": ({"code": "personal-team-blocked:spending-limit", "error": "no credits"}, errors.InsufficientQuotaError, "personal-team-blocked:spending-limit", "no credits"),
    "success false, in words": ({"success": "false", "message": "no"}, errors.APIStatusError, None, "no"),
}  # fmt: skip


@pytest.mark.parametrize(("tree", "cls", "code", "words"), EXPLICIT.values(), ids=EXPLICIT)
def test_an_explicit_no_is_an_error_everywhere(
    tree: dict[str, Any], cls: type[APIError], code: str | None, words: str
) -> None:
    body = json.dumps(tree).encode()
    for read in (
        wire.read_completion,
        wire.read_chunk,
        wire.read_text,
        wire.read_text_event,
        wire.read_images,
        lambda data, meta: wire.read_image_events("", data, meta),
        lambda data, meta: wire.read_image_events("step", data, meta),
        lambda data, meta: wire.read_vectors(data, meta, None),
        lambda data, meta: wire.read_transcription(data, "json", meta),
        lambda data, meta: wire.read_transcription_event("", data, meta),
        lambda data, meta: wire.read_as(data, dict, meta),
        lambda data, meta: wire.read_as(data, bytes, meta),
    ):
        with pytest.raises(APIError) as caught:
            read(body, OK)
        error = caught.value
        assert (type(error), error.code, error.outcome) == (cls, code, "rejected")
        assert words in str(error)
        assert isinstance(error.body, dict)
        assert {name: error.body.get(name) for name in tree.keys() - {"error", "message"}} == {
            name: value for name, value in tree.items() if name not in {"error", "message"}
        }


# Kind A: whatever may have taken work on is unknown, and keeps all of it; words of success are no refusal either.
ACCEPTED: dict[str, dict[str, Any]] = {
    "a task": {"task_id": "t9", "status": "submitted", "message": "任务已提交"},
    "midjourney": {"code": 1, "description": "提交成功", "result": "1320098173412546"},
    "dashscope": {"output": {"task_id": "t9", "task_status": "PENDING"}, "request_id": "r", "message": "queued"},
    "in data": {"code": 0, "msg": "排队中", "data": {"task_id": "t9"}},
    "in a list": {"code": 200, "message": "ok", "data": [{"status": "submitted", "task_id": "t9"}]},
    "an id and a state": {"id": "p1", "status": "processing", "detail": "余额不足 is not what it says"},
    "a state": {"status": "IN_PROGRESS", "message": "wait"},
    "words of an order": {"message": "任务已提交，请稍后查看"},
    "words of an order in English": {"code": 0, "detail": "Your image is being generated"},
    "words of success": {"success": True, "message": "your picture is being made"},
    "black forest labs": {"id": "t9", "polling_url": "https://relay.example.com/v1/get_result?id=t9"},
    "fal": {"request_id": "t9", "status": "IN_QUEUE", "status_url": "https://relay.example.com/t9/status"},
    "replicate": {
        "id": "t9",
        "status": "starting",
        "output": None,
        "error": None,
        "urls": {"get": "https://x.example.com"},
    },
    "apimart": {"code": 200, "data": {"task_id": "t9", "status": "not_started"}},
    "runware": {"data": [{"taskType": "imageInference", "taskUUID": "t9"}]},
    "in a task": {"task": {"id": "t9", "status": "PENDING"}},
}


@pytest.mark.parametrize("tree", ACCEPTED.values(), ids=ACCEPTED)
def test_an_order_that_was_taken_on_is_never_rejected(tree: dict[str, Any]) -> None:
    body = json.dumps(tree).encode()
    for read in (wire.read_images, wire.read_completion):
        with pytest.raises(UnexpectedResponseError) as caught:
            read(body, OK)
        assert (caught.value.outcome, caught.value.body) == ("unknown", tree)
    assert wire.read_as(body, dict, OK) == tree


@pytest.mark.parametrize(
    "tree",
    [
        {"error": {"message": "m", "code": 500}, "task_id": "t9"},
        {"success": False, "message": "m", "data": {"task_id": "t9"}},
        {"code": 500, "message": "m", "result": {"id": "t9"}},
        {"error": "m", "status": "queued"},
    ],
)
def test_an_error_beside_a_task_is_unknown_and_keeps_the_task(tree: dict[str, Any]) -> None:
    body = json.dumps(tree).encode()
    error = wire.error_of_answer(body, OK)
    assert isinstance(error, errors.APIStatusError)
    assert (error.outcome, error.body) == ("unknown", tree)
    assert "m" in str(error)
    failed = of_status(400, body)
    assert (failed.outcome, failed.body) == ("unknown", tree)


@pytest.mark.parametrize(
    "tree",
    [
        {"message": "The request submitted is invalid"},
        {"code": 400, "msg": "任务已提交过，不可重复"},
        {"error": {"message": "an order in progress blocks this one"}},
        {"detail": "queued requests are not allowed"},
    ],
)
def test_words_of_orders_within_a_no_change_nothing(tree: dict[str, Any]) -> None:
    assert of_status(400, json.dumps(tree)).outcome == "rejected"


# Kind L: PromptFuzz#42.
GEMINI = {"code": 429, "message": "Resource has been exhausted", "status": "RESOURCE_EXHAUSTED"}


def test_an_error_in_a_list_is_one_in_a_stream_of_images_too() -> None:
    with pytest.raises(errors.RateLimitError) as caught:
        wire.read_image_events("", json.dumps([{"error": GEMINI}]).encode(), OK)
    assert (caught.value.outcome, caught.value.body) == ("rejected", GEMINI)


@pytest.mark.parametrize("status", [200, 400, 429])
@pytest.mark.parametrize("tree", [{"error": GEMINI}, [{"error": GEMINI}], [{"error": GEMINI}, {}]])
def test_an_error_in_a_list_is_the_error(tree: Any, status: int) -> None:
    body = json.dumps(tree).encode()
    caught: list[APIError] = []
    if status == 200:
        for read in (wire.read_completion, wire.read_chunk, wire.read_images, wire.read_text_event):
            with pytest.raises(APIError) as raised:
                read(body, OK)
            caught.append(raised.value)
    else:
        caught.append(of_status(status, body))
    for error in caught:
        assert (type(error), error.code, error.body) == (errors.RateLimitError, "429", GEMINI)


# Kind J: genkit PR 6079; https://openrouter.ai/docs/api-reference/errors
@pytest.mark.parametrize("content", ["", "half"])
@pytest.mark.parametrize("reason", ["error", "stop", None])
@pytest.mark.parametrize(
    ("error", "cls"),
    [
        ({"code": 503, "message": "fell over"}, errors.InternalServerError),
        (
            {"code": 403, "message": "fell over", "metadata": {"reasons": ["x"], "flagged_input": "y"}},
            errors.ContentPolicyError,
        ),
        ({"code": "insufficient_quota", "message": "fell over"}, errors.InsufficientQuotaError),
        ("fell over", errors.InternalServerError),
    ],
)
def test_an_error_in_a_choice_is_reported_with_what_came(
    content: str, reason: str | None, error: Any, cls: type[APIError]
) -> None:
    body = completion(choices=[{"message": {"content": content}, "finish_reason": reason, "error": error}])
    with pytest.raises(cls, match="fell over") as caught:
        wire.read_completion(body, OK)
    partial = caught.value.partial
    assert (partial.text if partial else "") == content
    assert caught.value.outcome == ("unknown" if content else "rejected")
    legacy = completion(choices=[{"text": content, "finish_reason": reason, "error": error}])
    with pytest.raises(cls, match="fell over"):
        wire.read_text(legacy, OK)


def test_an_error_beside_a_legacy_text_may_hide_what_is_paid_for() -> None:
    for text, outcome in (("half", "unknown"), ("", "rejected")):
        choice = {"text": text, "finish_reason": "error", "error": {"code": 429, "message": "fell over"}}
        with pytest.raises(errors.RateLimitError) as caught:
            wire.read_text(json.dumps({"choices": [choice]}).encode(), OK)
        assert caught.value.outcome == outcome


def test_an_error_in_a_choice_of_a_long_answer_is_reported() -> None:
    long = "word " * 100_000
    for error in ({"code": 503, "message": "gone"}, {"code": 503, "message": "gone", "metadata": {"raw": long}}):
        for choice in (
            {"message": {"content": long}, "finish_reason": "error", "error": error},
            {"error": error, "finish_reason": "stop", "message": {"content": long}},
        ):
            with pytest.raises(errors.InternalServerError, match="gone") as caught:
                wire.read_completion(completion(choices=[choice]), OK)
            assert caught.value.partial is not None
            assert caught.value.partial.text == long


def test_an_error_at_the_top_counts_where_the_choice_says_so() -> None:
    body = completion(
        choices=[{"message": {"content": "half"}, "finish_reason": "error"}], error={"code": 503, "message": "gone"}
    )
    with pytest.raises(errors.InternalServerError, match="gone") as caught:
        wire.read_completion(body, OK)
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.outcome) == ("half", "unknown")


def test_an_answer_of_nothing_that_ended_in_an_error_is_one() -> None:
    body = completion(choices=[{"message": {"content": None}, "finish_reason": "error"}])
    with pytest.raises(errors.InternalServerError, match="finish_reason is error"):
        wire.read_completion(body, OK)


@pytest.mark.parametrize(
    "error", [None, {}, "", False, {"message": "success", "code": 0}, {"code": None, "message": ""}]
)
def test_a_choice_without_an_error_raises_nothing(error: Any) -> None:
    body = completion(choices=[{"message": {"content": "hi"}, "finish_reason": "stop", "error": error}], error=error)
    assert wire.read_completion(body, OK).text == "hi"


# Kind A: an event of another kind may carry a message (janhq/jan#8280, PR 8392).
@pytest.mark.parametrize(
    ("name", "tree"),
    [
        ("status", {"message": "searching"}),
        ("", {"type": "progress", "message": "searching"}),
        ("", {"event": "ping", "msg": "alive"}),
        ("", {"id": "x", "message": "about it"}),
        ("keepalive", {"code": 0, "msg": "ok"}),
        ("", {"code": 0, "msg": "ok"}),
        ("", {"status": "queued", "message": "two before you"}),
    ],
)
def test_an_event_of_another_kind_is_passed_over(name: str, tree: dict[str, Any]) -> None:
    body = json.dumps(tree).encode()
    chunk = wire.read_chunk(body, OK, name)
    assert chunk is None or not chunk.choices
    assert wire.read_image_events(name, body, OK) == []
    assert wire.read_transcription_event(name, body, OK) is None


@pytest.mark.parametrize(
    "body",
    [
        completion(error={"message": "success", "code": 0}),
        completion(error="0"),
        completion(error="false"),
        completion(error={"message": "m"}),
        b'{"id":"m1","message":"about it"}',
        b'{"data":[],"message":""}',
        b'{"success":true,"message":"ok"}',
        b'{"text":"hi"}',
        b"{}",
        b"[]",
        b"no JSON",
        b"",
    ],
)
def test_a_good_answer_is_no_error(body: bytes) -> None:
    assert wire.error_of_answer(body, OK) is None


@pytest.mark.parametrize("cls", [ModelList, Model])
def test_an_endpoint_that_finds_nothing_says_so(cls: type[Answer]) -> None:
    for body, _, code, words in WORDS.values():
        with pytest.raises(APIError, match=words) as caught:
            wire.read_answer(body, cls, OK)
        assert (caught.value.code, caught.value.body) == (code, json.loads(body))
    for tree in ({"task_id": "t9", "status": "submitted", "message": "ok"}, {}):
        with pytest.raises(UnexpectedResponseError, match="an answer without a (list of )?model") as unread:
            wire.read_answer(json.dumps(tree).encode(), cls, OK)
        assert unread.value.body == tree
    assert type(wire.read_as(b'{"message":"words"}', cls, OK)) is cls
