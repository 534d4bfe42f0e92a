"""Vendors' codes and words: each body as the vendor writes it, and each row of the table."""
# ruff: noqa: E501  (a row of the table is a line, as far as can be)

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.bodies import OK, of_status
from tutuclient import errors, wire
from tutuclient.retry import worth_repeating
from tutuclient.settings import RetryPolicy
from tutuclient.wire import vendors

if TYPE_CHECKING:
    from tutuclient.errors import APIStatusError

QUOTA, LIMIT, CONTENT = errors.InsufficientQuotaError, errors.RateLimitError, errors.ContentPolicyError
LENGTH, BAD, MISSING = errors.ContextLengthError, errors.BadRequestError, errors.NotFoundError


def error(message: str, code: Any = None, type: str = "", **more: Any) -> dict[str, Any]:  # noqa: A002  (the wire's own name)
    return {"error": {"message": message, "type": type, "param": "", "code": code, **more}}


# By vendor: status, body, class. Messages are shortened, and of our own making where the documents leave them open.
BODIES: dict[str, tuple[int, Any, type[APIStatusError]]] = {
    # https://platform.kimi.com/docs/api/errors
    "moonshot suspended": (429, error("Your account org-1 is suspended, please check your plan", type="exceeded_current_quota_error"), QUOTA),
    "moonshot, words alone": (429, error("Your account is suspended due to insufficient balance, please recharge"), QUOTA),
    "moonshot token quota": (429, error("You exceeded your current token quota: 0, please check your account balance"), QUOTA),
    "moonshot rpm": (429, error("Your account request reached max RPM: 3", type="rate_limit_reached_error"), LIMIT),
    "moonshot overloaded": (429, error("The engine is currently overloaded", type="engine_overloaded_error"), LIMIT),
    "moonshot filter": (400, error("The request was rejected because it was considered high risk", type="content_filter"), CONTENT),
    "moonshot too long": (400, error("Invalid request: Your request exceeded model token limit: 8192", type="invalid_request_error"), LENGTH),
    # https://docs.z.ai/api-reference/api-code
    "zhipu arrears": (429, error("您的账户已欠费，请充值后重试。", "1113"), QUOTA),
    "zhipu arrears by number": (429, error("m", "1113"), QUOTA),
    "zhipu as a number": (429, error("m", 1113), QUOTA),
    "zhipu content": (400, error("系统检测到输入或生成内容可能包含不安全或敏感内容", "1301"), CONTENT),
    "zhipu concurrency": (429, error("您当前使用该API的并发数过高，请降低并发，或联系客服充值提额", "1302"), LIMIT),
    "zhipu concurrency in words": (429, error("您的账户并发数过高，充值后可提高上限"), LIMIT),
    "zhipu frequency": (429, error("m", "1303"), LIMIT),
    "zhipu plan": (429, error("usage limit reached for 5 hours, resets at 12:00", "1308"), QUOTA),
    "zhipu model": (400, error("模型不存在", "1211"), MISSING),
    # https://www.alibabacloud.com/help/en/model-studio/error-code
    "dashscope overdue": (400, error("Access denied, please make sure your account is in good standing.", "Arrearage", "Arrearage"), QUOTA),
    "dashscope overdue, native": (400, {"code": "Arrearage", "message": "Access denied", "request_id": "r"}, QUOTA),
    "dashscope overdue in words": (400, error("Access denied, please make sure your account is in good standing."), QUOTA),
    "dashscope bill": (429, {"code": "PostpaidBillOverdue", "message": "The bill is late", "request_id": "r"}, QUOTA),
    "dashscope free tier": (403, error("Turn off the free tier only mode", "AllocationQuota.FreeTierOnly"), QUOTA),
    "dashscope inspection": (400, error("Input data may contain inappropriate content.", "data_inspection_failed", "data_inspection_failed"), CONTENT),
    "dashscope inspection, native": (400, {"code": "DataInspectionFailed", "message": "m", "request_id": "r"}, CONTENT),
    "dashscope inspection wrapped": (500, error("InternalError: DataInspectionFailed: m"), CONTENT),
    "dashscope rate": (429, {"code": "Throttling.RateQuota", "message": "m", "request_id": "r"}, LIMIT),
    "dashscope allocation": (429, {"code": "Throttling.AllocationQuota", "message": "Allocated quota exceeded, please increase your quota limit.", "request_id": "r"}, LIMIT),
    "dashscope allocation, as openai": (429, error("Allocated quota exceeded, please increase your quota limit.", "insufficient_quota", "insufficient_quota"), LIMIT),
    "dashscope too long": (400, error("Range of input length should be [1, 30720]", "invalid_parameter_error"), LENGTH),
    "dashscope media": (400, {"code": "InvalidParameter.DataInspection", "message": "The media format is not supported", "request_id": "r"}, BAD),
    # https://www.volcengine.com/docs/82379/1299023
    "ark overdue": (403, error("The request failed because your account has an overdue balance.", "AccountOverdueError", "Forbidden"), QUOTA),
    "ark overdue in words": (403, error("The request failed because your account has an overdue balance."), QUOTA),
    "ark paused": (429, error("The model service has been paused", "SetLimitExceeded", "TooManyRequests"), QUOTA),
    "ark free quota": (429, error("Your account 21 has exhausted its free trial quota for the doubao model", "QuotaExceeded"), QUOTA),
    "ark text": (400, error("m", "InputTextSensitiveContentDetected"), CONTENT),
    "ark image out": (400, error("m", "OutputImageSensitiveContentDetected.PrivacyInformation"), CONTENT),
    "ark violence": (400, error("m", "SensitiveContentDetected.Violence"), CONTENT),
    "ark risk": (400, error("m", "InputImageRiskDetection"), CONTENT),
    "ark in words": (400, error("The request failed because the input image may contain sensitive information."), CONTENT),
    "ark rpm": (429, error("m", "RateLimitExceeded.EndpointRPMExceeded"), LIMIT),
    "ark account": (429, error("m", "ModelAccountTpmRateLimitExceeded"), LIMIT),
    # https://platform.minimax.io/docs/api-reference/errorcode
    "minimax balance": (200, {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None}, QUOTA),
    "minimax balance by number": (200, {"base_resp": {"status_code": 1008, "status_msg": ""}}, QUOTA),
    "minimax balance, as openai": (402, error("insufficient balance (1008)"), QUOTA),
    "minimax input": (200, {"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}, CONTENT),
    "minimax output": (200, {"base_resp": {"status_code": 1027, "status_msg": "m"}}, CONTENT),
    "minimax rate": (200, {"base_resp": {"status_code": 1002, "status_msg": "m"}}, LIMIT),
    "minimax tokens": (200, {"base_resp": {"status_code": "1039", "status_msg": "m"}}, LIMIT),
    "minimax key": (200, {"base_resp": {"status_code": 1004, "status_msg": "m"}}, errors.AuthenticationError),
    "minimax trouble": (200, {"base_resp": {"status_code": 1013, "status_msg": "m"}}, errors.InternalServerError),
    # https://docs.siliconflow.cn/cn/faqs/error-code
    "siliconflow balance": (403, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}, QUOTA),
    "siliconflow balance by number": (403, {"code": 30001, "message": "Sorry", "data": None}, QUOTA),
    "siliconflow model": (400, {"code": 20012, "message": "Model does not exist.", "data": None}, MISSING),
    "siliconflow rate": (429, {"message": "Request was rejected due to rate limiting. Details:TPM limit reached.", "data": None}, LIMIT),
    # https://api-docs.deepseek.com/quick_start/error_codes
    "deepseek balance": (402, error("Insufficient Balance", "invalid_request_error", "unknown_error"), QUOTA),
    "deepseek balance, remapped": (400, error("Insufficient Balance", "invalid_request_error", "unknown_error"), QUOTA),
    "deepseek content": (400, error("Content Exists Risk", "invalid_request_error"), CONTENT),
    # https://ai.google.dev/gemini-api/docs/rate-limits; google-gemini/gemini-cli#8437, langgenius/dify#19838
    "gemini a minute": (429, {"error": {"code": 429, "message": "You exceeded your current quota, please check your plan and billing details.", "status": "RESOURCE_EXHAUSTED", "details": [{"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}]}}, LIMIT),
    "gemini a day": (429, {"error": {"code": 429, "message": "You exceeded your current quota, please check your plan and billing details.", "status": "RESOURCE_EXHAUSTED", "details": [{"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]}}, QUOTA),
    "gemini nothing at all": (429, error("You exceeded your current quota. For more: https://ai.google.dev/gemini-api/docs/rate-limits. Quota exceeded for metric: x, limit: 0"), QUOTA),
    "gemini through a relay": (429, error("You exceeded your current quota, please check your plan and billing details. For more: https://ai.google.dev/gemini-api/docs/rate-limits."), LIMIT),
    "gemini in a list": (429, [{"error": {"code": 429, "message": "Resource has been exhausted (e.g. check quota).", "status": "RESOURCE_EXHAUSTED"}}], LIMIT),
    "gemini blocked": (400, error("request blocked by Gemini API: PROHIBITED_CONTENT"), CONTENT),
    # https://platform.openai.com/docs/guides/error-codes
    "openai quota": (429, error("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "insufficient_quota"), QUOTA),
    "openai quota, words alone": (429, error("You exceeded your current quota, please check your plan and billing details."), QUOTA),
    "openai tokens a minute": (429, error("Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000", "rate_limit_exceeded", "tokens"), LIMIT),
    "openai too large": (429, error("Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 48000. The input or output tokens must be reduced", "rate_limit_exceeded", "tokens"), LENGTH),
    "openai hard limit": (400, error("Billing hard limit has been reached", "billing_hard_limit_reached"), QUOTA),
    "openai safety": (400, error("Your request was rejected by our safety system", "moderation_blocked"), CONTENT),
    "anthropic credit": (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API."}}, QUOTA),
    "anthropic too long": (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}}, LENGTH),
    # https://openrouter.ai/docs/api-reference/errors
    "openrouter credits": (402, error("This request requires more credits, or fewer max_tokens.", 402), QUOTA),
    "openrouter credits in 200": (200, error("Insufficient credits", 402), QUOTA),
    "openrouter key": (403, error("Key limit exceeded (total limit). Manage it", 403), QUOTA),
    "openrouter moderation": (403, error("m", 403, metadata={"reasons": ["violence"], "flagged_input": "x", "provider_name": "p"}), CONTENT),
    "openrouter moderation in words": (403, error("m requires moderation on p. Your input was flagged for x.", 403), CONTENT),
    "openrouter rights": (403, error("No allowed providers", 403, metadata={"provider_name": "p"}), errors.PermissionDeniedError),
    # https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter
    "azure filter": (400, error("The response was filtered", "content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}), CONTENT),
    "azure inner code": (400, error("m", innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}}), CONTENT),
    "azure words": (400, error("The response was filtered due to the prompt triggering Azure OpenAI's content management policy."), CONTENT),
    "azure images": (400, error("Your task failed as a result of our safety system.", "contentFilter"), CONTENT),
    # continuedev/continue#10373 and #12670, Wei-Shaw/sub2api#4069
    "xai spent": (429, {"code": "Some resource has been exhausted", "error": "Your team 1 has either used all available credits or reached its monthly spending limit."}, QUOTA),
    "xai new team": (403, {"code": "The caller does not have permission", "error": "Your newly created team doesn't have any credits or licenses yet."}, QUOTA),
    "xai subscription": (403, {"code": "x", "error": "You have run out of credits or need a Grok subscription."}, QUOTA),
    "xai content": (403, {"code": "The caller does not have permission", "error": "Content violates usage guidelines."}, CONTENT),
    # https://docs.mistral.ai
    "mistral rate": (429, {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited", "code": "1300"}, LIMIT),
    "mistral capacity": (429, {"object": "error", "message": "Service tier capacity exceeded for this model.", "type": "invalid_request_error", "code": "3505"}, LIMIT),
    "mistral subscription": (401, {"detail": "Inactive subscription or usage limit reached"}, QUOTA),
    "mistral too long": (400, {"object": "error", "message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"}, LENGTH),
    # https://console.groq.com/docs/spend-limits
    "groq spend": (400, error("The organization is blocked", "blocked_api_access"), QUOTA),
    "groq too large": (413, error("Request too large for model `llama` on tokens per minute (TPM): Limit 6000, Requested 9000", "rate_limit_exceeded", "tokens"), LENGTH),
    # QuantumNous/new-api types/error.go, songquanpeng/one-api relay/controller
    "new-api user": (403, error("用户额度不足, 剩余额度: ＄0.0", "insufficient_user_quota", "new_api_error"), QUOTA),
    "new-api pre-consumption": (403, error("预扣费额度失败, 用户剩余额度: ＄0.1, 需要预扣费额度: ＄0.2"), QUOTA),
    "new-api token": (401, error("该令牌额度已用尽 !token.UnlimitedQuota && token.RemainQuota = -5"), QUOTA),
    "one-api user": (403, error("user quota is not enough", type="one_api_error"), QUOTA),
    "new-api words": (500, error("user sensitive words detected", "sensitive_words_detected"), CONTENT),
    "relay: recharge": (403, error("账户不可用，请充值"), QUOTA),
    "relay: recharge in English": (403, error("account suspended, please recharge"), QUOTA),
    "relay: overdue": (403, error("the account is overdue"), QUOTA),
    "relay: 欠费": (400, error("账号欠费"), QUOTA),
    "sub2api": (403, {"code": "INSUFFICIENT_BALANCE", "message": "Insufficient account balance"}, QUOTA),
    "aihubmix": (503, error("该模型遇到官方限速，联系客服增加并发或请稍后重试"), LIMIT),
    # Where no status tells: https://platform.iflow.cn/en/docs/error-codes, https://gostarry.mintlify.app/api-manual/error-codes
    "iflow key": (200, {"code": 90402, "message": "Invalid API Key", "success": False}, errors.AuthenticationError),
    "iflow token": (200, {"status": "439", "msg": "Your API Token has expired.", "body": None, "success": False}, errors.AuthenticationError),
    "iflow credits": (200, {"code": 60400, "message": "Insufficient credits"}, QUOTA),
    "new-api key": (200, error("无效的令牌 (request id: 1)", type="new_api_error"), errors.AuthenticationError),
    "cloudflare key": (200, {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}], "result": None}, errors.AuthenticationError),
    "starry, a code beside": (200, {"code": 400, "error": {"message": "task_id is required", "type": "validation_error"}}, BAD),
    "starry credits": (200, {"code": 402, "error": {"message": "m", "type": "insufficient_credits_error"}}, QUOTA),
    "starry moderation": (200, {"code": 400, "error": {"message": "m", "type": "content_moderation_error"}}, CONTENT),
    "starry rights": (200, {"code": 403, "error": {"message": "m", "type": "permission_denied_error"}}, errors.PermissionDeniedError),
    "modelslab": (200, {"status": "error", "message": "Insufficient credits", "id": ""}, QUOTA),
    # https://www.volcengine.com/docs/85128/1526761
    "visual image": (200, {"code": 50411, "data": None, "message": "Pre Img Risk Not Pass", "request_id": "r"}, CONTENT),
    "visual text": (400, {"code": 50412, "data": None, "message": "Text Risk Not Pass", "request_id": "r"}, CONTENT),
    "visual limit": (200, {"code": 50430, "data": None, "message": "Request Has Reached API Concurrent Limit, Please Try Later"}, LIMIT),
    # https://cloud.tencent.com/document/product/1729/101838
    "tencent package": (200, {"Response": {"Error": {"Code": "FailedOperation.ResourcePackExhausted", "Message": "资源包余量已用尽"}, "RequestId": "r"}}, QUOTA),
    "tencent package by code": (200, {"Response": {"Error": {"Code": "FailedOperation.FreeResourcePackExhausted", "Message": "m"}, "RequestId": "r"}}, QUOTA),
    # Stability, fal.ai, Together, StepFun, SiliconFlow, Cloudflare, Bedrock, Vertex AI
    "stability credits": (402, {"id": "x", "name": "payment_required", "errors": ["You lack sufficient credits to make this request."]}, QUOTA),
    "stability content": (403, {"id": "x", "name": "content_moderation", "errors": ["Your request was flagged by our content moderation system."]}, CONTENT),
    "fal balance": (403, {"detail": "User is locked. Reason: Exhausted balance. Top up your balance."}, QUOTA),
    "fal content": (422, {"detail": [{"loc": ["body", "prompt"], "msg": "it could not be processed", "type": "content_policy_violation"}]}, CONTENT),
    "fal field": (422, {"detail": [{"loc": ["body", "prompt"], "msg": "field required", "type": "value_error.missing"}]}, errors.UnprocessableEntityError),
    "stepfun content": (451, error("The content you provided or machine outputted is blocked.", type="censorship_blocked"), CONTENT),
    "siliconflow content": (451, {"code": 20031, "message": "The request was rejected due to content policy", "data": None}, CONTENT),
    "cloudflare neurons": (429, {"success": False, "errors": [{"message": "AiError: you have used up your daily free allocation of 10,000 neurons", "code": 4006}]}, QUOTA),
    "bedrock too long": (400, {"message": "Input is too long for requested model.", "__type": "ValidationException"}, LENGTH),
    "bedrock throttles": (400, {"message": "m", "__type": "ThrottlingException"}, LIMIT),
    "vertex": (400, error("The prompt could not be submitted. It contains sensitive words that violate Google's Responsible AI practices.", 400), CONTENT),
    "relay: content": (400, error("您的请求包含违规内容"), CONTENT),
    "relay: services": (500, error("该任务的输入或者输出可能违反了我们的相关服务政策，请调整提示词后进行重试。"), CONTENT),
    "relay: points": (403, error("积分不足"), QUOTA),
    "relay: errno": (200, {"errno": 1, "errmsg": "quota not enough"}, QUOTA),
    # What stands behind the relay: openrouter's metadata.raw, and JSON within a message of new-api
    "openrouter raw length": (400, error("Provider returned error", 400, metadata={"raw": '{"error":{"message":"This model\'s maximum context length is 8192 tokens"}}', "provider_name": "p"}), LENGTH),
    "openrouter raw content": (200, error("Provider returned error", 400, metadata={"raw": '{"error":{"message":"m","code":"content_filter"}}'}), CONTENT),
    "openrouter raw account": (200, error("Provider returned error", 400, metadata={"raw": '{"error":{"code":"insufficient_quota","message":"Insufficient Balance"}}'}), BAD),
    "json in words": (400, error('bad response: {"error":{"message":"m","code":"content_policy_violation"}}'), CONTENT),
    "json of what was sent": (400, error('invalid message: {"role":"user","content":"maximum context length, content_filter"}'), BAD),
    # What looks like one and is not: a bad request names fields, quotes what was sent, and has numbers of its own.
    "a field": (400, error("the field recharge is unknown, see rate limit"), BAD),
    "a quotation": (400, error('invalid message: "my account has an insufficient balance"'), BAD),
    "a quotation in Chinese": (400, error("内容“账户欠费，请充值”格式错误"), BAD),
    "an apostrophe": (400, error("It isn't valid: the user's name"), BAD),
    "a quota of words": (422, error("insufficient balance of brackets"), errors.UnprocessableEntityError),
    "another vendor's number": (400, {"code": 1113, "message": "m"}, BAD),
    "another vendor's number in error": (400, error("m", 1008), BAD),
    "another vendor's number, deep": (400, error("m", "30001"), BAD),
    "limits after all": (429, error("请求过于频繁，充值可提高上限"), LIMIT),
    "plain 403": (403, error("no such group"), errors.PermissionDeniedError),
    "plain 429": (429, error("slow down"), LIMIT),
}  # fmt: skip


@pytest.mark.parametrize(("status", "body", "cls"), BODIES.values(), ids=BODIES)
def test_tells_vendors_errors_apart(status: int, body: Any, cls: type[APIStatusError]) -> None:
    data = json.dumps(body, ensure_ascii=False).encode()
    found = wire.error_of_answer(data, OK) if status == 200 else of_status(status, data)
    assert type(found) is cls
    assert worth_repeating(found, RetryPolicy(max_retries=1), makes_image=True) is (
        cls in {LIMIT, errors.InternalServerError}
    )


@pytest.mark.parametrize(
    "name", [name for name, (_, body, cls) in BODIES.items() if isinstance(body, dict) and cls in {QUOTA, CONTENT}]
)
def test_tells_them_apart_under_200_and_within_a_stream(name: str) -> None:
    _, body, cls = BODIES[name]
    data = json.dumps(body).encode()
    for read in (wire.read_completion, wire.read_chunk, wire.read_images):
        with pytest.raises(cls) as caught:
            read(data, OK)
        assert type(caught.value) is cls
    inside = body.get("error")
    if isinstance(inside, dict):
        chunk = {"choices": [{"delta": {"content": ""}, "finish_reason": "error", "error": inside}]}
        with pytest.raises(cls):
            wire.read_chunk(json.dumps(chunk).encode(), OK)


@pytest.mark.parametrize("row", vendors.CODES, ids=lambda row: row.word)
@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_a_code_decides_whatever_the_status(row: vendors.Code, status: int) -> None:
    word = row.word.replace("*", "Any")
    for body in (error("m", word), error("m", None, word.upper()), {"code": word.lower(), "message": "m"}):
        assert type(of_status(status, json.dumps(body))) is row.cls
    assert row.source.startswith("https://")


@pytest.mark.parametrize("row", vendors.NUMBERS, ids=lambda row: f"{row.envelope} {row.number}")
def test_a_number_counts_in_its_vendors_envelope_alone(row: vendors.Number) -> None:
    number = int(row.number)
    envelopes: dict[str, dict[str, Any]] = {
        "error": error("m", row.number),
        "base_resp": {"base_resp": {"status_code": number, "status_msg": "m"}},
        "code": {"code": number, "message": "m", "data": None},
        "error_code": {"error_code": number, "error_msg": "m"},
        "midjourney": {"code": number, "description": "m", "properties": {}},
    }
    same = {other.envelope for other in vendors.NUMBERS if other.number == row.number}
    for name, body in envelopes.items():
        found = wire.error_of_answer(json.dumps(body).encode(), OK)
        assert found is not None
        assert (
            (type(found) is row.cls) if name == row.envelope else (name in same or type(found) is errors.APIStatusError)
        )
    assert row.source.startswith("https://")


@pytest.mark.parametrize(
    "row", [*vendors.PHRASES, *vendors.WEAK, *vendors.OVER_CODES], ids=lambda row: row.example[:40]
)
def test_a_phrase_decides_where_no_code_does(row: vendors.Phrase) -> None:
    assert type(of_status(500, json.dumps(error(row.example)))) is row.cls
    assert type(of_status(403, json.dumps(error(row.example)))) is row.cls
    assert row.source.startswith("https://")


def test_no_code_stands_twice() -> None:
    words = [row.word.casefold() for row in vendors.CODES]
    assert len(words) == len(set(words))
    numbers = [(row.envelope, row.number) for row in vendors.NUMBERS]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize(
    ("delay", "seconds"), [("34s", 34.0), ("0.5s", 0.5), ("soon", None), (5, None), ("9" * 40 + "s", None)]
)
def test_waits_as_long_as_gemini_asks(delay: object, seconds: float | None) -> None:
    inner = {
        "code": 429,
        "message": "slow",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "RetryInfo", "retryDelay": delay}],
    }
    body = json.dumps({"error": inner}).encode()
    said = wire.error_of_status("POST /x", body, OK)
    streamed = wire.error_of_answer(body, OK)
    assert isinstance(streamed, LIMIT)
    assert (said.retry_after, streamed.retry_after) == (seconds, seconds)
