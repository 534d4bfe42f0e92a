"""Errors told apart, in whatever envelope they come."""
# ruff: noqa: E501  (a row of the tables is a line, as far as can be)

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.bodies import OK, completion, of_status
from tutuclient import errors, wire
from tutuclient._meta import Meta
from tutuclient.errors import APIError, UnexpectedResponseError
from tutuclient.types.base import Answer
from tutuclient.types.models import Model, ModelList

if TYPE_CHECKING:
    from tutuclient.errors import APIStatusError

NO_ANSWERS: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "an empty body", ""),
    "blanks": (b" \r\n" * 3000, "an empty body", ""),
    "panel": (b"<!doctype html><html><head><title>New  API</title></head>", "HTML: New API", "/v1"),
    "page without title": (b"\xef\xbb\xbf\n<div>oops</div>", "HTML", "/v1"),
    "text": (b"upstream connect error", "no JSON: upstream connect error", ""),
    "broken": (completion()[:-9], "no JSON", ""),
    "a word": (b"null", "no object but NoneType", ""),
    "a list": (b"[]", "no object but list", ""),
    "a text": (b'"hi"', "no object but str", ""),
    "a number": (b"5", "no object but int", ""),
    "an empty object": (b"{}", "without choices", ""),
    "choices missing": (b'{"id":"c"}', "without choices", ""),
    "choices null": (completion(choices=None), "without choices", ""),
    "choices empty": (completion(choices=[]), "without choices", ""),
    "choices of nothing": (completion(choices=[None]), "without choices", ""),
    "choices no list": (completion(choices={"a": 1}), "without choices", ""),
    "data without pictures": (b'{"data":[{"url":""},5]}', "without choices", ""),
    "too deep": (b"[" * 100_000, "nested too deeply", ""),
    "too deep inside": (b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply", ""),
    "escapes": (b"\x1b[31m\r\nforged", r"no JSON: \\x1b\[31m forged", ""),
}


@pytest.mark.parametrize(("body", "words", "hint"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_says_what_came_instead_of_an_answer(body: bytes, words: str, hint: str) -> None:
    meta = Meta(200, {"x-request-id": "r1"})
    with pytest.raises(UnexpectedResponseError, match=words) as caught:
        wire.read_completion(body, meta)
    error = caught.value
    assert (error.status_code, error.request_id, error.outcome) == (200, "r1", "unknown")
    assert hint in error.hint
    assert str(error).isprintable()
    assert len(str(error)) < 500


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
def test_an_error_in_a_choice_is_told_with_what_came(
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


def test_an_error_in_a_choice_of_a_long_answer_is_told() -> None:
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
def test_no_error_in_a_choice_is_none(error: Any) -> None:
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
        "refused",
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
        "refused",
        "rejected",
    ),
    "policy behind 500": (
        500,
        '{"error":{"message":"m","code":"content_filter"}}',
        E.ContentPolicyError,
        "content_filter",
        "refused",
        "rejected",
    ),
    "moderation": (
        400,
        '{"error":{"message":"m","code":"moderation_blocked"}}',
        E.ContentPolicyError,
        "moderation_blocked",
        "refused",
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
        "base_url",
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


# Kind U: firewalls and IIS write GBK.
BLOCKED = "您的请求被拦截：该地址不在允许范围"
GBK: dict[str, tuple[bytes, str, type[APIStatusError], str]] = {
    "html by its label": (f"<html><title>{BLOCKED}</title>".encode("gbk"), "text/html; charset=gbk", E.PermissionDeniedError, BLOCKED),
    "html by gb2312": (f"<html><title>{BLOCKED}</title>".encode("gb2312"), "text/html; charset=GB2312", E.PermissionDeniedError, BLOCKED),
    "html by gb18030": (f"<html><title>{BLOCKED}𠮷</title>".encode("gb18030"), 'text/html; charset="gb18030"', E.PermissionDeniedError, "𠮷"),
    "html by its meta": (f'<html><meta charset="gbk"><title>{BLOCKED}…囧</title>'.encode("gbk"), "text/html", E.PermissionDeniedError, "囧"),
    "html by http-equiv": (
        f'<html><meta http-equiv="Content-Type" content="text/html; charset=gb2312"><title>{BLOCKED}</title>'.encode("gbk"), "", E.PermissionDeniedError, BLOCKED,
    ),
    "html by its bytes": (f"<html><title>{BLOCKED}</title>".encode("gbk"), "text/html", E.PermissionDeniedError, BLOCKED),
    "html whose label is wrong": (f"<html><title>{BLOCKED}</title>".encode(), "text/html; charset=gbk", E.PermissionDeniedError, BLOCKED),
    "json": ('{"error":{"message":"账户余额不足，请充值"}}'.encode("gbk"), "application/json;charset=GBK", E.InsufficientQuotaError, "账户余额不足"),
    "json by its bytes": ('{"code":5,"msg":"账户已欠费"}'.encode("gbk"), "application/json", E.InsufficientQuotaError, "账户已欠费"),
    "text": ("请求过于频繁，请稍后再试".encode("gbk"), "text/plain", E.RateLimitError, "请求过于频繁"),
    "latin": (b"<title>acc\xe8s refus\xe9</title>", "text/html", E.PermissionDeniedError, "acc\ufffds refus\ufffd"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "cls", "words"), GBK.values(), ids=GBK)
def test_reads_gbk(body: bytes, kind: str, cls: type[APIStatusError], words: str) -> None:
    error = of_status(403, body, content_type=kind)
    assert type(error) is cls
    assert words in str(error)
    assert words in str(error.body)


def test_reads_gbk_that_is_cut() -> None:
    body = b"<html><title>x</title>" + BLOCKED.encode("gbk") * 200
    assert BLOCKED in str(of_status(403, BLOCKED.encode("gbk") + BLOCKED.encode("gbk")[:5]))
    assert of_status(403, body[:-1]).body == "x"


def test_reads_gbk_under_a_good_status() -> None:
    meta = Meta(200, {"Content-Type": "text/html; charset=gbk"})
    with pytest.raises(UnexpectedResponseError, match=BLOCKED):
        wire.read_completion(f"<html><title>{BLOCKED}</title>".encode("gbk"), meta)
    with pytest.raises(errors.InsufficientQuotaError, match="余额不足"):
        wire.read_completion('{"error":{"message":"余额不足"}}'.encode("gbk"), OK)


# Section 2, q: advice fits the address and the call.
def asked(status: int, method: str, url: str) -> Meta:
    meta = Meta(status)
    meta.asked = (method, url)
    return meta


H = "https://h.example"


@pytest.mark.parametrize(
    ("method", "path", "words", "never"),
    [
        ("POST", "/v1/chat/completions", "base_url ends in /v1 already", "to end in"),
        ("GET", "/api/paas/v4/models", "base_url ends in /v4 already", "/v1"),
        ("POST", "/v1beta/openai/chat/completions?key=v1", "base_url ends in /v1beta already", "to end in"),
        ("POST", "/chat/completions", "want it to end in /v1", "already"),
        ("POST", "/api/chat/completions?of=/v1/", "want it to end in /v1", "already"),
        ("POST", "/v1/v1/chat/completions", "has /v1 and /v1", "to end in"),
    ],
)
def test_a_page_is_told_by_its_address(method: str, path: str, words: str, never: str) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        wire.read_completion(b"<html><title>Panel</title>", asked(200, method, H + path))
    assert words in caught.value.hint
    assert caught.value.hint in str(caught.value)
    assert never not in caught.value.hint


@pytest.mark.parametrize(
    ("method", "path", "message", "words", "never"),
    [
        ("GET", "/v1/models", "no", "lists no models", "model's name"),
        ("GET", "/v1/models?limit=5", "no", "check base_url", "/v1"),
        ("GET", "/models", "no", "mostly in /v1", "model's name"),
        ("GET", "/v1/models/gpt-9", "no", "model's name", "base_url"),
        ("POST", "/v1/chat/completions", "The model gpt-9 does not exist", "model's name", "base_url"),
        ("POST", "/v1/chat/completions", "模型不存在", "model's name", "base_url"),
        ("POST", "/v1/chat/completions", "no such page", "check the model's name, and base_url", "/v1"),
        ("POST", "/chat/completions", "no such page", "mostly in /v1", "already"),
        ("GET", "/v1/tasks/5", "no such task", "check base_url", "model's name"),
    ],
)
def test_what_is_not_there_is_told_by_its_path(method: str, path: str, message: str, words: str, never: str) -> None:
    body = json.dumps({"error": {"message": message}}).encode()
    error = wire.error_of_status("X", body, asked(404, method, H + path))
    advice = str(error).partition(message)[2]
    assert words in advice
    assert never not in advice


@pytest.mark.parametrize(
    ("path", "status", "message", "words", "never"),
    [
        ("/v1/embeddings", 413, "m", "fewer texts", "pictures"),
        ("/v1/embeddings", 400, "maximum context length is 8192", "shorten the texts", "max_tokens"),
        ("/v1/audio/transcriptions", 413, "m", "shorter recording", "pictures"),
        ("/v1/audio/translations", 400, "rejected by our safety system", "recording", "picture"),
        ("/v1/audio/speech", 400, "maximum context length is 4096", "shorten the text", "max_tokens"),
        ("/v1/chat/completions", 413, "m", "smaller pictures", "recording"),
        ("/v1/completions", 400, "maximum context length is 8192", "max_tokens", "texts"),
    ],
)
def test_advice_fits_what_was_sent(path: str, status: int, message: str, words: str, never: str) -> None:
    body = json.dumps({"error": {"message": message}}).encode()
    advice = str(wire.error_of_status("X", body, asked(status, "POST", H + path))).partition(message)[2]
    assert words in advice
    assert never not in advice


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
