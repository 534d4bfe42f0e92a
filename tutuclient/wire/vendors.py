"""Vendors' codes and words: which class of error each stands for, with its source.

One table in three parts: codes that are words, numbers that mean something in one
vendor's envelope alone, and phrases of messages. A row is a line of each; the
tests go through all of them.

A class decides what happens next (``retry``): an empty account, rejected content
and a prompt that is too long end the call at once, a limit is waited out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tutuclient import errors
from tutuclient.types.json import is_object
from tutuclient.wire.lenient import objects_in

if TYPE_CHECKING:
    from tutuclient.errors import APIStatusError

_QUOTA = errors.InsufficientQuotaError
_LIMIT = errors.RateLimitError
_CONTENT = errors.ContentPolicyError
_LENGTH = errors.ContextLengthError
_KEY = errors.AuthenticationError
_RIGHTS = errors.PermissionDeniedError
_MISSING = errors.NotFoundError
_BAD = errors.BadRequestError
_SERVER = errors.InternalServerError

_OPENAI = "https://platform.openai.com/docs/guides/error-codes"
_ANTHROPIC = "https://docs.anthropic.com/en/api/errors"
_NEW_API = "https://github.com/QuantumNous/new-api/blob/main/types/error.go"
_ONE_API = "https://github.com/songquanpeng/one-api/blob/main/relay/controller/helper.go"
_SUB2API = "https://github.com/Wei-Shaw/sub2api/issues/890"
_MOONSHOT = "https://platform.kimi.com/docs/api/errors"
_ZHIPU = "https://docs.z.ai/api-reference/api-code"
_DASHSCOPE = "https://www.alibabacloud.com/help/en/model-studio/error-code"
_ARK = "https://www.volcengine.com/docs/82379/1299023"
_MINIMAX = "https://platform.minimax.io/docs/api-reference/errorcode"
_SILICONFLOW = "https://docs.siliconflow.cn/cn/faqs/error-code"
_DEEPSEEK = "https://api-docs.deepseek.com/quick_start/error_codes"
_OPENROUTER = "https://openrouter.ai/docs/api-reference/errors"
_AZURE = "https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter"
_XAI = "https://github.com/continuedev/continue/issues/10373"
_MISTRAL = "https://docs.mistral.ai/getting-started/glossary"
_GROQ = "https://console.groq.com/docs/spend-limits"
_LITELLM = "https://docs.litellm.ai/docs/exception_mapping"
_QIANFAN = "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh"
_STABILITY = "https://platform.stability.ai/docs/api-reference"
_STEPFUN = "https://platform.stepfun.com/docs/zh/guides/developer/error-code"
_STARRY = "https://gostarry.mintlify.app/api-manual/error-codes"
_TENCENT = "https://cloud.tencent.com/document/product/1729/101838"
_BEDROCK = "https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html"
_VISUAL = "https://www.volcengine.com/docs/85128/1526761"
_FAL = "https://docs.fal.ai/errors"
_MIDJOURNEY = "https://github.com/novicezk/midjourney-proxy"


class Code(NamedTuple):
    """A code or a type that is a word; ``*`` at its end or beginning stands for more of it. Case does not count."""

    word: str
    cls: type[APIStatusError]
    vendor: str
    source: str


CODES: tuple[Code, ...] = (
    Code("billing_hard_limit_reached", _QUOTA, "OpenAI", _OPENAI),
    Code("billing_not_active", _QUOTA, "OpenAI", _OPENAI),
    Code("insufficient_quota", _QUOTA, "OpenAI", _OPENAI),
    Code("rate_limit_exceeded", _LIMIT, "OpenAI", _OPENAI),
    Code("context_length_exceeded", _LENGTH, "OpenAI", _OPENAI),
    Code("content_filter", _CONTENT, "OpenAI, Azure, Moonshot", _AZURE),
    Code("content_policy_violation", _CONTENT, "OpenAI", _OPENAI),
    Code("moderation_blocked", _CONTENT, "OpenAI", _OPENAI),
    Code("invalid_api_key", _KEY, "OpenAI", _OPENAI),
    Code("model_not_found", _MISSING, "OpenAI, new-api", _OPENAI),
    Code("billing_error", _QUOTA, "Anthropic", _ANTHROPIC),
    Code("rate_limit_error", _LIMIT, "Anthropic", _ANTHROPIC),
    Code("overloaded_error", _SERVER, "Anthropic", _ANTHROPIC),
    Code("contentFilter", _CONTENT, "Azure", _AZURE),
    Code("ResponsibleAIPolicyViolation", _CONTENT, "Azure", _AZURE),
    Code("insufficient_user_quota", _QUOTA, "new-api", _NEW_API),
    Code("pre_consume_token_quota_failed", _QUOTA, "new-api", _NEW_API),
    Code("sensitive_words_detected", _CONTENT, "new-api", _NEW_API),
    Code("prompt_blocked", _CONTENT, "new-api", _NEW_API),
    Code("channel:no_available_key", _SERVER, "new-api", _NEW_API),
    Code("quota_not_enough", _QUOTA, "new-api", _NEW_API),
    Code("token_concurrency_limit_reached", _LIMIT, "new-api", _NEW_API),
    Code("insufficient_balance", _QUOTA, "sub2api", _SUB2API),
    Code(
        "insufficient_balance_error",
        _QUOTA,
        "Portkey",
        "https://portkey.ai/error-library/insufficient-balance-error-10489",
    ),
    Code("insufficient_credits", _QUOTA, "relays", _OPENROUTER),
    Code("insufficient_credits_error", _QUOTA, "Starry", _STARRY),
    Code("payment_required", _QUOTA, "Stability", _STABILITY),
    Code("insufficient_funds", _QUOTA, "relays", _OPENROUTER),
    Code("exceeded_current_quota_error", _QUOTA, "Moonshot", _MOONSHOT),
    Code("rate_limit_reached_error", _LIMIT, "Moonshot", _MOONSHOT),
    Code("engine_overloaded_error", _LIMIT, "Moonshot", _MOONSHOT),
    Code("Arrearage", _QUOTA, "DashScope", _DASHSCOPE),
    Code("PrepaidBillOverdue", _QUOTA, "DashScope", _DASHSCOPE),
    Code("PostpaidBillOverdue", _QUOTA, "DashScope", _DASHSCOPE),
    Code("CommodityNotPurchased", _QUOTA, "DashScope", _DASHSCOPE),
    Code("AllocationQuota.FreeTierOnly", _QUOTA, "DashScope", _DASHSCOPE),
    Code("DataInspectionFailed", _CONTENT, "DashScope", _DASHSCOPE),
    Code("data_inspection_failed", _CONTENT, "DashScope", _DASHSCOPE),
    Code("IPInfringementSuspect", _CONTENT, "DashScope", _DASHSCOPE),
    Code("Throttling", _LIMIT, "DashScope", _DASHSCOPE),
    Code("Throttling.*", _LIMIT, "DashScope", _DASHSCOPE),
    Code("limit_requests", _LIMIT, "DashScope", _DASHSCOPE),
    Code("limit_burst_rate", _LIMIT, "DashScope", _DASHSCOPE),
    Code("AccountOverdueError", _QUOTA, "Volcengine", _ARK),
    Code("ServiceOverdue", _QUOTA, "Volcengine", _ARK),
    Code("OperationDenied.ServiceOverdue", _QUOTA, "Volcengine", _ARK),
    Code("SetLimitExceeded", _QUOTA, "Volcengine", _ARK),
    Code("*SensitiveContentDetected", _CONTENT, "Volcengine", _ARK),
    Code("*SensitiveContentDetected.*", _CONTENT, "Volcengine", _ARK),
    Code("*RiskDetection", _CONTENT, "Volcengine", _ARK),
    Code("ContentSecurityDetectionError", _CONTENT, "Volcengine", _ARK),
    Code("RateLimitExceeded.*", _LIMIT, "Volcengine", _ARK),
    Code("*RateLimitExceeded", _LIMIT, "Volcengine", _ARK),
    Code("InflightBatchsizeExceeded", _LIMIT, "Volcengine", _ARK),
    Code("RequestBurstTooFast", _LIMIT, "Volcengine", _ARK),
    Code("rate_limited", _LIMIT, "Mistral", _MISTRAL),
    Code("blocked_api_access", _QUOTA, "Groq", _GROQ),
    Code("personal-team-blocked:spending-limit", _QUOTA, "xAI", _XAI),
    Code("content_moderation", _CONTENT, "Stability", _STABILITY),
    Code("content_moderation_error", _CONTENT, "Starry", _STARRY),
    Code("moderation_failed", _CONTENT, "RunBlob", "https://docs.runblob.io/api-reference/nanobanana/errors"),
    Code("censorship_blocked", _CONTENT, "StepFun", _STEPFUN),
    Code("credit_limit", _QUOTA, "Together", "https://docs.together.ai/docs/error-codes"),
    Code("ThrottlingException", _LIMIT, "Bedrock", _BEDROCK),
    Code("FailedOperation.*ResourcePackExhausted", _QUOTA, "Tencent", _TENCENT),
    Code("ResourceInsufficient.ChargeResourceExhaust", _QUOTA, "Tencent", _TENCENT),
    Code("RequestLimitExceeded*", _LIMIT, "Tencent", _TENCENT),
    Code("AuthFailure", _KEY, "Tencent", _TENCENT),
    Code("AuthFailure.*", _KEY, "Tencent", _TENCENT),
)


class Number(NamedTuple):
    """A number, within the envelope of the vendor that means this by it: elsewhere it may be anything."""

    envelope: str
    number: str
    cls: type[APIStatusError]
    vendor: str
    source: str


NUMBERS: tuple[Number, ...] = (
    # {"error": {"code": "1113", "message": …}}
    *(Number("error", number, _KEY, "Zhipu", _ZHIPU) for number in ("1000", "1001", "1002", "1003", "1004")),
    *(Number("error", number, _RIGHTS, "Zhipu", _ZHIPU) for number in ("1110", "1112", "1121", "1220", "1313")),
    # Arrears; a plan's window, its end, its week: nothing that passes while a call waits.
    *(Number("error", number, _QUOTA, "Zhipu", _ZHIPU) for number in ("1113", "1304", "1308", "1309", "1310")),
    Number("error", "1211", _MISSING, "Zhipu", _ZHIPU),
    Number("error", "1261", _LENGTH, "Zhipu", _ZHIPU),
    Number("error", "1301", _CONTENT, "Zhipu", _ZHIPU),
    *(Number("error", number, _LIMIT, "Zhipu", _ZHIPU) for number in ("1302", "1303", "1305", "1312")),
    # {"base_resp": {"status_code": 1008, "status_msg": …}}
    *(Number("base_resp", number, _SERVER, "MiniMax", _MINIMAX) for number in ("1000", "1013", "1024", "1033")),
    *(Number("base_resp", number, _LIMIT, "MiniMax", _MINIMAX) for number in ("1002", "1039", "1041", "2045")),
    *(Number("base_resp", number, _KEY, "MiniMax", _MINIMAX) for number in ("1004", "2049")),
    *(Number("base_resp", number, _QUOTA, "MiniMax", _MINIMAX) for number in ("1008", "1028", "1030", "2056")),
    *(Number("base_resp", number, _CONTENT, "MiniMax", _MINIMAX) for number in ("1026", "1027")),
    Number("base_resp", "2013", _BAD, "MiniMax", _MINIMAX),
    Number("base_resp", "2061", _RIGHTS, "MiniMax", _MINIMAX),
    # {"code": 30001, "message": …, "data": null}
    Number("code", "20012", _MISSING, "SiliconFlow", _SILICONFLOW),
    Number("code", "20015", _BAD, "SiliconFlow", _SILICONFLOW),
    Number("code", "30001", _QUOTA, "SiliconFlow", _SILICONFLOW),
    *(Number("code", number, _SERVER, "SiliconFlow", _SILICONFLOW) for number in ("50505", "50603")),
    # {"error_code": 18, "error_msg": …}
    *(Number("error_code", number, _LIMIT, "Qianfan", _QIANFAN) for number in ("4", "18", "336501", "336502")),
    *(Number("error_code", number, _QUOTA, "Qianfan", _QIANFAN) for number in ("17", "19")),
    *(Number("error_code", number, _KEY, "Qianfan", _QIANFAN) for number in ("110", "111")),
    *(Number("error_code", number, _LENGTH, "Qianfan", _QIANFAN) for number in ("336007", "336103")),
    Number("error_code", "336100", _SERVER, "Qianfan", _QIANFAN),
    # {"code": 24, "description": …, "properties": …}
    Number("midjourney", "23", _LIMIT, "midjourney-proxy", _MIDJOURNEY),
    Number("midjourney", "24", _CONTENT, "midjourney-proxy", _MIDJOURNEY),
)


class Phrase(NamedTuple):
    """Words of a message. The first that fits counts, so what is surer stands higher."""

    pattern: str
    cls: type[APIStatusError]
    vendor: str
    source: str
    example: str

    def fits(self, message: str) -> bool:
        """Return whether a message has the words; ``re`` compiles them for the first error, not at every import."""
        return re.search(self.pattern, message) is not None


def _phrase(words: str, cls: type[APIStatusError], vendor: str, source: str, example: str) -> Phrase:
    return Phrase(f"(?i:{words})", cls, vendor, source, example)


# These are narrower than the code beside them: OpenAI and Groq write rate_limit_exceeded on a prompt that no
# waiting makes smaller, DashScope writes insufficient_quota on tokens a minute.
OVER_CODES: tuple[Phrase, ...] = (
    _phrase(
        r"request too large for (?:model|gpt|o\d|`)|input or output tokens must be reduced",
        _LENGTH,
        "OpenAI, Groq",
        "https://github.com/openai/codex/issues/690",
        "Request too large for model `llama` on tokens per minute (TPM): Limit 6000, Requested 9000",
    ),
    _phrase(
        r"allocated quota exceeded",
        _LIMIT,
        "DashScope",
        _DASHSCOPE,
        "Allocated quota exceeded, please increase your quota limit.",
    ),
)
PHRASES: tuple[Phrase, ...] = (
    _phrase(r"额度(?:已用尽|已用完|不足|已耗尽)|额度失败", _QUOTA, "new-api", _NEW_API, "该令牌额度已用尽"),
    _phrase(r"quota (?:is )?not enough|quota_not_enough", _QUOTA, "one-api", _ONE_API, "user quota is not enough"),
    _phrase(r"余额(?:已用尽|已用完|不足|为零|耗尽)|欠费", _QUOTA, "Zhipu", _ZHIPU, "您的账户已欠费，请充值后重试"),
    _phrase(
        r"配额(?:已用尽|已用完|已耗尽)|资源包(?:余量)?(?:已用尽|已耗尽|不足)", _QUOTA, "Zhipu", _ZHIPU, "资源包已用尽"
    ),
    _phrase(
        r"insufficient[ _](?:(?:user|account|token)[ _])?(?:quota|balance|credits?|funds)",
        _QUOTA,
        "DeepSeek, MiniMax",
        _DEEPSEEK,
        "Insufficient Balance",
    ),
    _phrase(
        r"(?:balance|credits?|funds) (?:is|are|was) (?:insufficient|not enough|exhausted)"
        r"|not enough (?:balance|credits?)",
        _QUOTA,
        "SiliconFlow",
        _SILICONFLOW,
        "Sorry, your account balance is insufficient",
    ),
    _phrase(r"(?:积分|点数|金币|算力)(?:不足|已用尽|已用完|已耗尽)", _QUOTA, "relays", _STARRY, "积分不足"),
    _phrase(
        r"exhausted balance|lack sufficient credits|used up your daily free allocation",
        _QUOTA,
        "fal.ai, Stability, Cloudflare",
        _FAL,
        "User is locked. Reason: Exhausted balance.",
    ),
    _phrase(r"in arrears|\barrearage\b", _QUOTA, "Zhipu", _ZHIPU, "Your account is in arrears"),
    _phrase(
        r"overdue (?:balance|payments?|bills?)|account is overdue|AccountOverdueError",
        _QUOTA,
        "Volcengine",
        _ARK,
        "The request failed because your account has an overdue balance.",
    ),
    _phrase(
        r"account is in good standing",
        _QUOTA,
        "DashScope",
        _DASHSCOPE,
        "Access denied, please make sure your account is in good standing.",
    ),
    _phrase(
        r"exhausted its free (?:trial )?quota|free tier of the model has been exhausted"
        r"|reached the set inference limit",
        _QUOTA,
        "Volcengine, DashScope",
        _ARK,
        "Your account 21 has exhausted its free trial quota for the model",
    ),
    _phrase(
        r"exceeded_current_quota_error|exceeded your current token quota",
        _QUOTA,
        "Moonshot",
        _MOONSHOT,
        "You exceeded your current token quota, please check your account balance",
    ),
    _phrase(
        r"credit balance is too low",
        _QUOTA,
        "Anthropic",
        _ANTHROPIC,
        "Your credit balance is too low to access the API.",
    ),
    _phrase(
        r"requires more credits|key limit exceeded|never purchased credits",
        _QUOTA,
        "OpenRouter",
        _OPENROUTER,
        "This request requires more credits, or fewer max_tokens.",
    ),
    _phrase(
        r"used all available credits|monthly spending limit|run out of credits|n[o']t have any credits",
        _QUOTA,
        "xAI",
        _XAI,
        "Your team has either used all available credits or reached its monthly spending limit.",
    ),
    _phrase(
        r"inactive subscription or usage limit",
        _QUOTA,
        "Mistral",
        _MISTRAL,
        "Inactive subscription or usage limit reached",
    ),
    _phrase(
        r"billing hard limit|spend limit (?:has been )?reached",
        _QUOTA,
        "OpenAI, Groq",
        _GROQ,
        "Billing hard limit has been reached",
    ),
    _phrase(
        r"maximum context length|context length exceeded|context window exceed|exceeds? the context window"
        r"|prompt is too long",
        _LENGTH,
        "OpenAI, Mistral, Anthropic",
        _OPENAI,
        "This model's maximum context length is 8192 tokens",
    ),
    _phrase(
        r"input is too long for (?:the )?requested model|reduce the length of the (?:messages|prompt)",
        _LENGTH,
        "Bedrock, OpenAI",
        _BEDROCK,
        "Input is too long for requested model.",
    ),
    _phrase(r"(?:输入|上下文|prompt)\s?\S{0,6}(?:过长|超长|超出最大长度)", _LENGTH, "Zhipu", _ZHIPU, "Prompt 超长"),
    # litellm puts the name of its own error into the message, and nothing of it into the code.
    _phrase(r"ContextWindowExceededError", _LENGTH, "litellm", _LITELLM, "litellm.ContextWindowExceededError: m"),
    _phrase(
        r"exceeded model token limit|input token length too long",
        _LENGTH,
        "Moonshot",
        _MOONSHOT,
        "Your request exceeded model token limit : 8192",
    ),
    _phrase(
        r"range of input length should be",
        _LENGTH,
        "DashScope",
        _DASHSCOPE,
        "Range of input length should be [1, 30720]",
    ),
    _phrase(r"ContentPolicyViolationError", _CONTENT, "litellm", _LITELLM, "litellm.ContentPolicyViolationError: m"),
    _phrase(
        r"data may contain (?:inappropriate|sensitive) content|data_?inspection_?failed",
        _CONTENT,
        "DashScope",
        _DASHSCOPE,
        "Input data may contain inappropriate content.",
    ),
    _phrase(
        r"may contain (?:[a-z]+ ){0,3}(?:sensitive|violence|violation) information|SensitiveContentDetected",
        _CONTENT,
        "Volcengine",
        _ARK,
        "The request failed because the input text may contain sensitive information.",
    ),
    _phrase(
        r"不安全或敏感内容|敏感内容|potentially unsafe or sensitive content",
        _CONTENT,
        "Zhipu",
        _ZHIPU,
        "系统检测到输入或生成内容可能包含不安全或敏感内容",
    ),
    _phrase(r"(?:input|output) new_sensitive", _CONTENT, "MiniMax", _MINIMAX, "input new_sensitive"),
    _phrase(r"content exists risk", _CONTENT, "DeepSeek", _DEEPSEEK, "Content Exists Risk"),
    _phrase(
        r"considered high risk",
        _CONTENT,
        "Moonshot",
        _MOONSHOT,
        "The request was rejected because it was considered high risk",
    ),
    _phrase(
        r"content management policy|ResponsibleAIPolicyViolation",
        _CONTENT,
        "Azure",
        _AZURE,
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    ),
    _phrase(
        r"requires moderation|input was flagged",
        _CONTENT,
        "OpenRouter",
        _OPENROUTER,
        "Your chosen model requires moderation and your input was flagged",
    ),
    _phrase(
        r"violates? (?:our |xai )?usage guidelines|rejected by (?:the|our) safety system",
        _CONTENT,
        "xAI, OpenAI",
        _XAI,
        "Content violates usage guidelines.",
    ),
    _phrase(
        r"(?:violat\w*|due to|against|breach\w*|under) (?:\w+ ){0,2}(?:content|safety)(?: usage)? polic(?:y|ies)",
        _CONTENT,
        "SiliconFlow, relays",
        _SILICONFLOW,
        "The request was rejected due to content policy",
    ),
    _phrase(
        r"flagged by (?:\w+ ){0,2}(?:content|moderation|safety)|blocked by (?:\w+ ){0,2}(?:content|safety) filter"
        r"|nsfw (?:content|prompt|image|material)",
        _CONTENT,
        "fal.ai, Stability, Together",
        _FAL,
        "it contained material flagged by a content checker",
    ),
    _phrase(
        r"responsible ai practices",
        _CONTENT,
        "Vertex AI",
        "https://cloud.google.com/vertex-ai/generative-ai/docs/image/responsible-ai-imagen",
        "This prompt contains sensitive words that violate Google's Responsible AI practices.",
    ),
    _phrase(r"risk not pass", _CONTENT, "Volcengine, visual", _VISUAL, "Post Img Risk Not Pass"),
    _phrase(
        r"违规(?:内容|信息|词)|内容违规|敏感(?:词|信息)|内容(?:审核|审查|安全(?:检测|审核)?)(?:不通过|未通过|没有通过)"
        r"|违反了?\S{0,12}政策",
        _CONTENT,
        "relays",
        _NEW_API,
        "该任务的输入或者输出可能违反了我们的相关服务政策，请调整提示词后进行重试。",
    ),
    _phrase(r"blocked by (?:google )?gemini", _CONTENT, "new-api", _NEW_API, "request blocked by Gemini API: SAFETY"),
    _phrase(
        r"上游负载已饱和|请求数限制|rate[ _-]?limit|too many requests|requests? limit exceeded",
        _LIMIT,
        "new-api",
        _NEW_API,
        "当前分组上游负载已饱和，请稍后再试",
    ),
    _phrase(
        r"请求(?:过于|太|太过)频繁|频率(?:过高|超限|限制|超过)|并发(?:数|请求)?(?:过高|超限|超过|过多)|官方限速|触发限流",
        _LIMIT,
        "Zhipu, aihubmix",
        _ZHIPU,
        "您当前使用该API的并发数过高，请降低并发，或充值提额",
    ),
    _phrase(
        r"high concurrency|concurrency limit|(?:requests|tokens)[ -]per[ -]minute|engine is currently overloaded",
        _LIMIT,
        "Zhipu, Moonshot",
        _ZHIPU,
        "High concurrency usage of this API, please reduce concurrency",
    ),
    _phrase(
        r"reached api (?:concurrent )?limit",
        _LIMIT,
        "Volcengine, visual",
        _VISUAL,
        "Request Has Reached API Concurrent Limit, Please Try Later",
    ),
    _phrase(
        r"service tier capacity exceeded|resource (?:has been )?exhausted",
        _LIMIT,
        "Mistral, Gemini",
        _MISTRAL,
        "Service tier capacity exceeded for this model",
    ),
)
# Words that other errors use too, so that they count last; and under a 400, which is about fields, never.
WEAK: tuple[Phrase, ...] = (
    _phrase(
        r"check your plan and billing|exceeded your current quota",
        _QUOTA,
        "OpenAI",
        _OPENAI,
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    _phrase(
        r"请(?:及时|先|前往|尽快|您|去)?\S{0,6}充值|充值后|需要充值|续费",
        _QUOTA,
        "Zhipu, relays",
        _ZHIPU,
        "账户不可用，请充值",
    ),
    _phrase(
        r"please (?:recharge|top[ -]?up)|recharge (?:your|the) account|purchase (?:more )?credits"
        r"|\boverdue\b|payment required",
        _QUOTA,
        "relays",
        _MOONSHOT,
        "account suspended, please recharge",
    ),
)
# What a status would mean, where there is none: under 2xx, and in streams.
UNSTATED: tuple[Phrase, ...] = (
    _phrase(
        r"(?:invalid|incorrect|expired|missing) (?:api|access)[ _-]?(?:key|token)|invalid token\W*$"
        r"|(?:api[ _-]?(?:key|token)|access token) (?:is |has )?(?:invalid|expired|not valid|incorrect)"
        r"|authentication (?:failed|error)|invalid authentication|\bunauthorized\b",
        _KEY,
        "iFlow, relays",
        "https://platform.iflow.cn/en/docs/error-codes",
        "Your API Token has expired.",
    ),
    _phrase(
        r"无效的?(?:令牌|密钥)|未提供令牌|(?:令牌|密钥)(?:已过期|状态不可用|无效|错误|不存在)|鉴权失败|身份验证失败",
        _KEY,
        "new-api",
        _NEW_API,
        "该令牌状态不可用",
    ),
    _phrase(
        r"permission denied|(?:do|does) not have (?:permission|access)|无权(?:访问|使用|限)|没有权限",
        _RIGHTS,
        "Starry, new-api",
        _STARRY,
        "You do not have permission to access this resource",
    ),
)
# Google says "check your plan and billing details" of a minute as of a day: its details, or a link, make the difference
# (https://ai.google.dev/gemini-api/docs/rate-limits).
_GOOGLE = re.compile(r"ai\.google\.dev|googleapis\.com|RESOURCE_EXHAUSTED|google\.rpc")
_LONG_WAIT = re.compile(r"PerDay|per_day|limit: 0\b")
_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`]*`|“[^”]*”|‘[^’]*’|「[^」]*」")
_LONGEST_RAW = 2**16
_CODE_IN_JSON = re.compile(r'"(?:code|type)\\*"\s*:\s*\\*"([\w.:-]{3,80})')
_MESSAGE_IN_JSON = re.compile(r'"(?:message|msg|detail)\\*"\s*:\s*\\*"([^"]{1,2000})')
_OF_THE_PROMPT = (_CONTENT, _LENGTH)
_MODERATION = ("flagged_input", "reasons")

_exact = {row.word.casefold(): row.cls for row in CODES if "*" not in row.word}
_wild = [
    (re.compile(re.escape(row.word.casefold()).replace(r"\*", ".*"), re.DOTALL), row.cls)
    for row in CODES
    if "*" in row.word
]
_numbers = {(row.envelope, row.number): row.cls for row in NUMBERS}


def class_of_code(word: str) -> type[APIStatusError] | None:
    """Choose the class that a code or a type stands for, or None when the table does not have it."""
    folded = word.casefold()
    found = _exact.get(folded)
    if found is None and len(folded) < 100:  # noqa: PLR2004  (no code is as long)
        found = next((cls for pattern, cls in _wild if pattern.fullmatch(folded)), None)
    return found


def class_of_number(envelope: str, number: str) -> type[APIStatusError] | None:
    """Choose the class that a number stands for within a vendor's envelope, or None."""
    return _numbers.get((envelope, number))


def class_over_code(message: str) -> type[APIStatusError] | None:
    """Choose the class by the few phrases that are narrower than the code beside them."""
    return next((row.cls for row in OVER_CODES if row.fits(message)), None)


def class_of_words(message: str, status: int) -> type[APIStatusError] | None:
    """Choose the class by a message's words, or None.

    What is quoted in the message of a bad request is what was sent, and a field
    may be called anything: neither counts.

    Args:
        message: The message of the error.
        status: The HTTP status, or what stands for it; 0 for none.
    """
    if status in {413, 422}:
        return None
    bad = status == 400  # noqa: PLR2004  (a bad request)
    if bad:
        message = _QUOTED.sub("", message)
    elif _GOOGLE.search(message) and (found := _class_of_google(message)):
        return found
    for row in PHRASES:
        # A bad request is not one request too many, whatever its message mentions.
        if not (bad and row.cls is _LIMIT) and row.fits(message):
            return row.cls
    return None if bad else next((row.cls for row in WEAK if row.fits(message)), None)


def class_without_status(message: str) -> type[APIStatusError] | None:
    """Choose the class by words that count only where no HTTP status says the same, or None."""
    return next((row.cls for row in UNSTATED if row.fits(message)), None)


def _class_of_google(text: str) -> type[APIStatusError] | None:
    if not re.search(r"quota|RESOURCE_EXHAUSTED", text, re.IGNORECASE):
        return None
    return _QUOTA if _LONG_WAIT.search(text) else _LIMIT


def class_of_details(error: dict[str, Any], text: str) -> type[APIStatusError] | None:
    """Choose the class by what an error carries beside its message.

    Args:
        error: The error's own object.
        text: The same as JSON text, for what stands deep in it.
    """
    if error.get("status") == "RESOURCE_EXHAUSTED":
        return _class_of_google(text)
    inner: Any = error.get("innererror") or error.get("inner_error")
    if is_object(inner) and (found := class_of_code(str(inner.get("code") or ""))):
        return found
    metadata: Any = error.get("metadata")
    if is_object(metadata) and all(metadata.get(name) for name in _MODERATION):
        return _CONTENT
    if is_object(metadata) and isinstance(raw := metadata.get("raw"), str) and (found := class_of_upstream(raw)):
        return found
    # Stability's and Bedrock's names for a type; and the errors that FastAPI and Cloudflare put into a list.
    words = [error.get(name) for name in ("name", "__type")]
    words += [
        item.get(key)
        for name in ("detail", "errors")
        for item in objects_in(error.get(name))
        for key in ("type", "code")
    ]
    return next((cls for word in words if isinstance(word, str) and (cls := class_of_code(word))), None)


def class_of_upstream(raw: str) -> type[APIStatusError] | None:
    """Choose the class by an upstream's error, as words or as JSON, or None.

    An error about the prompt holds; one about the account does not, since that is the relay's.

    Source: https://openrouter.ai/docs/api-reference/errors, ``metadata.raw``.
    """
    raw = raw[:_LONGEST_RAW]
    words = _CODE_IN_JSON.findall(raw)
    messages = _MESSAGE_IN_JSON.findall(raw) if "{" in raw else [raw]
    found = [class_of_code(word) for word in words] + [class_of_words(message, 0) for message in messages]
    return next((cls for cls in found if cls in _OF_THE_PROMPT), None)
