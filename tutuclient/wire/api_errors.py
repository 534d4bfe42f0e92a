"""Errors: by status, within good answers, and in place of one.

Under a good status an object is an error when it says no: an ``error`` that is
not empty, at the top or in a choice, ``success: false``, a code that does not
mean success. Words such as ``message`` decide nothing: they are the reason only
where the endpoint's own reader finds nothing of what was asked for (``missing``).

Classified by the body's code and type first, by the phrases that vendors use
next (``vendors``), by the status last; and never with the key in them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from tutuclient import errors
from tutuclient._meta import Headers, Meta, request_id_of
from tutuclient.errors import (
    APIError,
    APIStatusError,
    IncompleteStreamError,
    TutuError,
    UnexpectedResponseError,
    printable,
)
from tutuclient.types.json import is_list, is_object, read_json
from tutuclient.wire import vendors
from tutuclient.wire.lenient import dicts, written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tutuclient.wire.sse import Data

E = TypeVar("E", bound=TutuError)

_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    402: errors.InsufficientQuotaError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    413: errors.PayloadTooLargeError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
}
_ADVICE: tuple[tuple[type[APIStatusError], str], ...] = (
    (errors.AuthenticationError, "check the key: api_key=, or TUTU_API_KEY"),
    (errors.InsufficientQuotaError, "the account or the key is used up: top it up; waiting does not help"),
    (errors.PermissionDeniedError, "the key may not do this: look at its models, its group and its allowed addresses"),
    (errors.PayloadTooLargeError, "send smaller pictures: max_side=2048, or a URL instead of the file"),
    (errors.ContextLengthError, "shorten the messages, or lower max_tokens"),
    (errors.ContentPolicyError, "the prompt or the picture was refused: change it; sending it again will not help"),
    (errors.RateLimitError, "too much at once: lower max_concurrency, or wait"),
)
# What stood between us and the relay gave up, or the relay could not read what it had ordered: the work may be done.
_UNKNOWN_STATUSES = frozenset({502, 504, 520, 524})
_UNKNOWN_CODES = frozenset(
    {"do_request_failed", "read_response_body_failed", "unmarshal_response_body_failed", "bad_response_body"}
)
_TITLE = re.compile(rb"<title[^>]*>(.{0,300}?)</title", re.IGNORECASE | re.DOTALL)
_MESSAGE_FIELDS = ("message", "msg", "err", "error_msg", "detail", "description", "errors")
# Other spellings of a message, which mean an error wherever they are not empty.
_ERROR_MESSAGE_FIELDS = ("err", "error_msg", "error_message", "errorMessage", "errmsg", "errMsg", "err_msg")
_ERROR_CODE_FIELDS = ("error_code", "errorCode", "errcode", "errCode", "err_code", "errno")
# Codes of success: 1 is midjourney-proxy's "submitted", 10000 is Volcengine's for images.
_GOOD_CODES = frozenset(
    {"", "0", "1", "00000", "0000", "10000", "success", "succeed", "succeeded", "ok", "none", "true"}
)
# midjourney-proxy: the task is there already (21), or it waits in the queue (22); its id is in ``result``.
_GOOD_WITH_RESULT = frozenset({"21", "22"})
_GOOD_WORDS = frozenset(
    {
        "success",
        "successful",
        "succeed",
        "succeeded",
        "ok",
        "okay",
        "none",
        "null",
        "no error",
        "成功",
        "操作成功",
        "请求成功",
        "提交成功",
    }
)
_BAD_STATUSES = frozenset({"error", "fail", "failed", "failure"})
_ACCEPTED = frozenset(
    [
        "accepted",
        "submitted",
        "created",
        "queued",
        "queueing",
        "enqueued",
        "in_queue",
        "not_start",
        "not_started",
        "starting",
        "started",
        "scheduled",
        "waiting",
        "pending",
        "processing",
        "in_progress",
        "running",
    ]
)
_TAKEN_ON = re.compile(
    r"已提交|提交成功|排队中|处理中|生成中"
    r"|(?:been|was|successfully|task|request|order|job) submitted|submitted successfully|\bqueued\b|in progress"
    r"|being (?:processed|generated|made)|is processing",
    re.IGNORECASE,
)
_TASK_IDS = (
    *("task_id", "taskId", "taskid", "taskUUID", "job_id", "jobId", "prediction_id", "generation_id", "generationId"),
    # Where to ask for the task: Black Forest Labs, fal.ai, Stable Diffusion API.
    *("poll_url", "polling_url", "status_url", "fetch_result"),
)
_STATUSES = ("status", "task_status", "state", "taskStatus")
_ADVICE_OF_RECORDINGS: tuple[tuple[type[APIStatusError], str], ...] = (
    (errors.PayloadTooLargeError, "send a shorter recording, or a format that takes less"),
    (errors.ContentPolicyError, "the recording was refused; sending it again will not help"),
)
# Where the general advice does not fit: by the end of the path.
_ADVICE_OF_PATHS: dict[str, tuple[tuple[type[APIStatusError], str], ...]] = {
    "/embeddings": (
        (errors.PayloadTooLargeError, "send fewer texts at once, or shorter ones"),
        (errors.ContextLengthError, "shorten the texts"),
        (errors.ContentPolicyError, "a text was refused: change it; sending it again will not help"),
    ),
    "/transcriptions": _ADVICE_OF_RECORDINGS,
    "/translations": _ADVICE_OF_RECORDINGS,
    "/speech": (
        (errors.PayloadTooLargeError, "shorten the text"),
        (errors.ContextLengthError, "shorten the text"),
        (errors.ContentPolicyError, "the text was refused: change it; sending it again will not help"),
    ),
}
_BAD_REQUEST, _NO_SUCH = 400, 404
# What is longer is no error's JSON, but an answer that lacks something.
_LONGEST_BODY = 2**20
_DATA_LINE = re.compile(rb"(?:^|[\r\n])data:[ \t]*([{\[][^\r\n]*)")
_GB = re.compile(rb"(?:[\x00-\x7f]|[\xa1-\xf7][\xa1-\xfe])*[\xa1-\xf7]?")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*(gb\w+|x-gbk|cp936)", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*(?:gb\w+|x-gbk|cp936)", re.IGNORECASE)
_VERSION = re.compile(r"/v\d+[a-z0-9]*(?=/|$)")


class _No(NamedTuple):
    """An error as it was found.

    Attributes:
        fields: ``message``, ``code``, ``type`` and ``param``, as far as they are there.
        body: All that it says.
        envelope: In which vendor's envelope its code stands, for numbers; "" for none.
        accepted: Something beside it says that work may have been taken on.
        code: What to look the class up by, where that is no code of the error's own.
    """

    fields: dict[str, Any]
    body: object
    envelope: str = ""
    accepted: bool = False
    code: object = None


def error_of_status(what: str, data: bytes, meta: Meta, *, retry_after: float | None = None) -> APIStatusError:
    """Make the error of an answer whose status is not 2xx.

    Args:
        what: The call, such as "POST /chat/completions".
        data: The body, or as much of it as was read; without the key.
        meta: Status, headers and attempts.
        retry_after: Seconds the server asks to wait, or None.
    """
    status = meta.status_code
    data = in_utf8(data, meta)
    body: Any = None
    try:
        body = read_value(_unframed(data), meta) if data.strip() else None
    except UnexpectedResponseError:
        body = None
    no = _find_in_value(body, failed=True) or _No({}, body)
    fields = no.fields
    text = str(fields.get("message") or "") or _text_of(data)
    if not fields.get("message"):
        fields = fields | {"message": text}
    cls = _class_of(status, no._replace(fields=fields))
    location = meta.headers.get("location") if 300 <= status < 400 else None  # noqa: PLR2004  (redirects)
    if location:
        text = f"a redirect to {location.partition('?')[0]}; set base_url to where the relay really is"
    error = _status_error(
        cls, f"{what} answered {status}", text, no._replace(body=text if body is None else no.body), meta
    )
    error.status_code = status
    error.retry_after = retry_after if retry_after is not None else _retry_delay(no.body)
    if status in _UNKNOWN_STATUSES or error.code in _UNKNOWN_CODES or no.accepted:
        error.outcome = "unknown"
    return error


def _unframed(data: bytes) -> bytes:
    """Return the data of the first event where an error comes as an event stream, as DashScope's do; else all of it."""
    if data.lstrip(b"\xef\xbb\xbf\r\n\t ")[:1] in {b"{", b"[", b"<"}:
        return data
    found = _DATA_LINE.search(data)
    return data if found is None else found[1]


def _status_error(cls: type[APIStatusError], what: str, text: str, no: _No, meta: Meta) -> APIStatusError:
    advice = _not_found_advice(meta, no, text) if issubclass(cls, errors.NotFoundError) else ""
    path = meta.asked[1].partition("?")[0].rstrip("/")
    rows = (*_ADVICE_OF_PATHS.get("/" + path.rpartition("/")[2], ()), *_ADVICE)
    advice = advice or next((words for kind, words in rows if issubclass(cls, kind)), "")
    message = f"{what}: {printable(text) or 'nothing more'}" + (f" ({advice})" if advice else "")
    error = cls(message, body=no.body)
    named = APIError(body=no.fields)
    error.code = error.code or named.code
    error.type, error.param = error.type or named.type, error.param or named.param
    error.response = meta
    error.request_id = request_id_of(meta.headers, text)
    return error


def _not_found_advice(meta: Meta, no: _No, text: str) -> str:
    """Return what to check when something is not there: what depends on the path, and on how base_url ends."""
    method, url = meta.asked
    path = url.partition("?")[0]
    base = (
        "check base_url" if _VERSION.search(path) else "check that base_url ends as the relay wants it, mostly in /v1"
    )
    if path.endswith("/models"):
        return f"the relay lists no models there; {base}"
    about_model = no.fields.get("code") == "model_not_found" or "model" in text.casefold() or "模型" in text
    if about_model or (method == "GET" and "/models/" in path):
        return "check the model's name"
    if method == "GET":
        return f"{base}, and whether the relay has this endpoint"
    return f"check the model's name, and {base.removeprefix('check ')}"


def _retry_delay(body: object) -> float | None:
    """Read the pause that Gemini asks for, which it writes into the error's details and into no header.

    Source: https://cloud.google.com/apis/design/errors, google.rpc.RetryInfo.
    """
    details = dicts(body.get("details")) if is_object(body) else []
    said = next((item["retryDelay"] for item in details if isinstance(item.get("retryDelay"), str)), "")
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", said)
    return float(found[1]) if found else None


def _class_of(status: int, no: _No) -> type[APIStatusError]:
    """Choose an error's class: by its code and type, then by the vendors' phrases, then by its status.

    Relays let their operators remap statuses, so the status has the last word, not the first.
    """
    fields, body = no.fields, no.body
    message = str(fields.get("message") or "")
    code, kind = (str(fields.get(name) or "") for name in ("code", "type"))
    number = str(no.code if no.code is not None else code)
    found = vendors.class_over_code(message) or vendors.class_of_number(no.envelope, number.removesuffix(".0"))
    found = found or vendors.class_of_code(code) or vendors.class_of_code(kind)
    if found is None and is_object(body):
        found = vendors.class_of_details(body, message + " " + written(body)[:_LONGEST_BODY])
    found = found or vendors.class_of_words(message, status)
    if found is None and "{" in message:
        found = vendors.class_of_upstream(message)
    if found is None and status < 400:  # noqa: PLR2004  (no status that tells)
        found = vendors.class_without_status(message)
    if found is not None:
        return found
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return errors.InternalServerError if status >= 500 else APIStatusError  # noqa: PLR2004  (server errors)


def _find_in_value(value: Any, *, failed: bool = False, loose: bool = True) -> _No | None:
    """Find the error in any JSON value: Gemini's endpoint for OpenAI's clients puts it into a list.

    Args:
        value: The decoded answer.
        failed: The status already says that it is an error, so any message is its text.
        loose: An object was asked for; where any value was, a list is an error only when it is nothing else.
    """
    if is_object(value):
        return _find(value, failed=failed)
    if not is_list(value) or not value:
        return None
    first = value[0]
    if is_object(first) and (failed or loose or (len(value) == 1 and first.keys() == {"error"})):
        return _find(first, failed=failed)
    return None


def _find(tree: Mapping[str, Any], *, failed: bool = False) -> _No | None:
    for no in _explicit_errors(tree, failed=failed):
        accepted = _may_have_accepted(tree)
        # What was taken on is told beside the error, so its body is all of it.
        return no._replace(accepted=True, body=dict(tree)) if accepted else no
    return None


def _explicit_errors(tree: Mapping[str, Any], *, failed: bool) -> Iterator[_No]:
    """Yield what in an answer says no, the surest first."""
    whole = dict(tree)
    error = tree.get("error") or tree.get("Error")
    has_output = not failed and _has_output(tree)
    broken_off = [choice for choice in dicts(tree.get("choices")) if _broke_off(choice, has_output=has_output)]
    ends_in_error = any(choice.get("finish_reason") == "error" for choice in dicts(tree.get("choices")))
    if isinstance(error, str) and error.strip() and not _is_no_error(error):
        rest = {name: value for name, value in whole.items() if name not in {"error", "message"}}
        reasons = (tree.get(name) for name in ("message", "error_description", "detail", "msg"))
        message = next((f"{error}: {reason}" for reason in reasons if _is_reason(reason, error)), error)
        fields = {"message": message, "code": tree.get("code"), "type": tree.get("type")}
        yield _No(fields, fields | rest, "code")
    if is_object(error) and _names_an_error(error) and (ends_in_error or not has_output):
        yield _No(_with_code(_fields_of(error), tree), error, "error")
    if is_list(error) and error and not has_output:
        inner = error[0]
        yield _No(_fields_of(inner) if is_object(inner) else {"message": written(error)}, whole)
    for choice in broken_off:
        own: Any = choice.get("error")
        if is_object(own):
            yield _No(_fields_of(own), own, "error", accepted=_says_text(choice))
        text = own if isinstance(own, str) and own else "the answer broke off: finish_reason is error"
        yield _No({"message": text, "type": "server_error"}, choice, accepted=_says_text(choice))
    if isinstance(error, bool | int | float) and error and not has_output:
        yield _No(_fields_of(tree), whole, "code")
    if failed or _calls_itself_error(tree) or _is_false(tree.get("success")) or tree.get("ok") is False:
        yield _in_envelope(whole) or _No(_fields_of(tree), whole, "code")
    if not has_output:
        no = _in_envelope(whole) or _by_code(whole)
        if no is not None:
            yield no


def _with_code(fields: dict[str, Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    """Add the status that stands beside an error which has no code of its own."""
    number = _status_in(tree.get("code")) or _status_in(tree.get("status"))
    return fields | {"code": number} if number and fields.get("code") is None else fields


def _broke_off(choice: dict[str, Any], *, has_output: bool) -> bool:
    """Return whether a choice has an error, or is one: a text whose reason is "error" alone stays an answer."""
    error = choice.get("error")
    if is_object(error):
        return _names_an_error(error)
    if isinstance(error, str) and error.strip():
        return True
    return choice.get("finish_reason") == "error" and not has_output and bool(choice.keys() & {"message", "text"})


def _calls_itself_error(tree: Mapping[str, Any]) -> bool:
    kind = tree.get("type")
    if tree.get("object") == "error" or kind == "error":
        return True
    # A relay that lost the envelope: {"message": …, "type": "new_api_error", "code": …}.
    return isinstance(kind, str) and kind.casefold().endswith("error") and bool(_fields_of(tree).get("message"))


def _is_false(value: object) -> bool:
    return value is False or (isinstance(value, str) and value.casefold() == "false")


def _is_good_word(value: object) -> bool:
    return isinstance(value, str) and value.strip(" .!！。").casefold() in _GOOD_WORDS


def _is_no_error(error: str) -> bool:
    return _is_good_word(error) or error.strip().casefold() in {"0", "false", "undefined", "nil"}


def _is_reason(value: object, error: str) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value != error


def _is_good_code(value: object) -> bool:
    """Return whether a code means success, in any of the ways relays and panels write that."""
    if value is None or value is True:
        return True
    if value is False:
        return False
    if isinstance(value, str | int | float):
        text = str(value).removesuffix(".0").strip().casefold()
        return text in _GOOD_CODES or bool(re.fullmatch(r"2\d\d", text))
    return True


def _in_envelope(tree: dict[str, Any]) -> _No | None:
    """Find an error within an envelope of a vendor's own."""
    return _in_base_resp(tree) or _in_header(tree) or _in_response(tree) or _in_error_fields(tree)


def _in_base_resp(tree: dict[str, Any]) -> _No | None:
    """Find the error in MiniMax's envelope."""
    base = tree.get("base_resp")
    if not is_object(base) or _is_good_code(base.get("status_code")):
        return None
    return _No({"message": str(base.get("status_msg") or ""), "code": base.get("status_code")}, tree, "base_resp")


def _in_header(tree: dict[str, Any]) -> _No | None:
    """Find the error in Spark's envelope."""
    header = tree.get("header")
    return _No(_fields_of(tree), tree) if is_object(header) and not _is_good_code(header.get("code")) else None


def _in_response(tree: dict[str, Any]) -> _No | None:
    """Find the error in an event of the Responses API, or in the envelopes of Tencent's and Volcengine's gateways."""
    for outer in ("response", "Response", "ResponseMetadata"):
        value = tree.get(outer)
        inner: Any = (value.get("error") or value.get("Error")) if is_object(value) else None
        if inner:
            fields = _fields_of(inner) if is_object(inner) else {}
            fields["message"] = fields.get("message") or written(inner)
            return _No({"message": fields["message"]} if outer == "response" else fields, tree, code=fields.get("code"))
    return None


def _in_error_fields(tree: dict[str, Any]) -> _No | None:
    """Find the error that an object spells in fields of other names; where there is a code among them, it decides."""
    codes = [tree[name] for name in _ERROR_CODE_FIELDS if tree.get(name) is not None]
    for code in codes:
        # 1 is success where a "code" is, and an error's number where that is what it is called, if there are words.
        words = _fields_of(tree).get("message")
        first = _digits_of(code) in {"1", "10000"} and words and not _is_good_word(words) and not _has_result(tree)
        if first or not _is_good_code(code):
            return _No(_fields_of(tree) | {"code": code}, tree, "error_code")
    # A task that failed says why, and is what was asked for.
    task = any(tree.get(name) for name in _TASK_IDS) and any(tree.get(name) for name in _STATUSES)
    for name in () if codes or task else _ERROR_MESSAGE_FIELDS:
        value = tree.get(name)
        if isinstance(value, str) and value.strip() and not _is_good_word(value):
            return _No(_fields_of(tree) | {"message": value}, tree)
    if (
        isinstance(tree.get("errors"), str | list | dict)
        and tree["errors"]
        and tree.get("data") is None
        and not _has_result(tree)
    ):
        return _No(_fields_of(tree), tree, "code")
    return None


def _by_code(tree: dict[str, Any]) -> _No | None:
    """Find the error of an object whose code, or status, does not mean success."""
    fields = _fields_of(tree)
    words, code, status = fields.get("message"), tree.get("code"), tree.get("status")
    no = _No(fields, tree, "midjourney" if "description" in tree else "code")
    if _code_says_no(tree, code, words):
        return no
    if words and not any(tree.get(name) for name in ("id", *_TASK_IDS)):
        if isinstance(status, str) and status.casefold() in _BAD_STATUSES:
            return no
        if isinstance(status, int) and not isinstance(status, bool) and _status_in(status):
            return no._replace(fields={"code": status} | fields)
    # Where the code may mean success, only vendors' words for an empty account, a limit or refused content say no.
    if (
        words
        and _digits_of(code) == "1"
        and not _has_result(tree)
        and vendors.class_of_words(str(words), 0) is not None
    ):
        return no
    return None


def _code_says_no(tree: dict[str, Any], code: object, words: object) -> bool:
    digits = _digits_of(code)
    if _is_good_code(code) or _is_good_word(words) or (digits in _GOOD_WITH_RESULT and tree.get("result")):
        return False
    if _status_in(code):
        return bool(words) or not _has_result(tree)
    # A country and a coupon have a code and a description too, midjourney-proxy's refusals have more.
    if "description" in tree and not tree.keys() & {"message", "msg"}:
        return bool(words and digits and tree.keys() & {"type", "result", "properties"})
    # DashScope's codes are words: {"code": "Arrearage", "message": …, "request_id": …}.
    return bool(words) and (bool(digits) or not _has_result(tree))


def _digits_of(code: object) -> str:
    text = str(code).removesuffix(".0") if isinstance(code, str | int | float) and not isinstance(code, bool) else ""
    return text if re.fullmatch(r"-?[0-9]{1,12}", text) else ""


def _has_result(tree: Mapping[str, Any]) -> bool:
    """Return whether an envelope holds something beside its words."""
    return any(tree.get(name) for name in ("data", "result", "output", "choices", "results", "images", *_TASK_IDS))


def _may_have_accepted(tree: Mapping[str, Any]) -> bool:
    """Return whether an answer shows that work may have been taken on: a task's id, or a state of one that goes on."""
    data = tree.get("data")
    parts: list[Any] = [tree, *(tree.get(name) for name in ("data", "output", "result", "task", "job"))]
    parts += data[:1] if is_list(data) else []
    for part in parts:
        if is_object(part):
            if any(isinstance(part.get(name), str | int) and part.get(name) for name in _TASK_IDS):
                return True
            if any(str(part.get(name) or "").casefold() in _ACCEPTED for name in _STATUSES):
                return True
    result = tree.get("result")
    if is_object(result):
        return bool(result.get("id"))
    return isinstance(result, str | int) and not isinstance(result, bool) and bool(result) and "choices" not in tree


def _tells_of_order(tree: Mapping[str, Any]) -> bool:
    """Return whether an object without an explicit no tells of an order that was taken on, be it in words alone."""
    return _may_have_accepted(tree) or _TAKEN_ON.search(str(_fields_of(tree).get("message") or "")) is not None


def _names_an_error(error: dict[str, Any]) -> bool:
    message, code = error.get("message"), error.get("code")
    if _is_good_word(message) and code in (0, "0", None, 200, "200"):
        return False
    return any(
        value and value not in (0, "0") and not _is_good_word(value) for name, value in error.items() if name != "param"
    )


def _has_output(tree: Mapping[str, Any]) -> bool:
    """Say whether there is something that was asked for, beside the error."""
    if any(map(_says_text, dicts(tree.get("choices")))):
        return True
    return any(item.get(name) for item in dicts(tree.get("data")) for name in ("url", "b64_json", "embedding"))


def _says_text(choice: dict[str, Any]) -> bool:
    return any(
        is_object(part) and any(part.get(name) for name in ("text", "content", "tool_calls", "images"))
        for part in (choice, choice.get("message"), choice.get("delta"))
    )


def _fields_of(tree: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: tree[name] for name in ("code", "type", "param") if name in tree}
    for name in (*_MESSAGE_FIELDS, *_ERROR_MESSAGE_FIELDS, "status_msg", "Message", "title"):
        value = tree.get(name)
        if value:
            fields["message"] = written(value)
            break
    else:
        for outer, inner in (("header", "message"), ("response", "error")):
            value = tree.get(outer)
            found = value.get(inner) if is_object(value) else None
            if found:
                fields["message"] = written(found.get("message") or found if is_object(found) else found)
                break
    if "code" not in fields and tree.get("Code"):
        fields["code"] = tree["Code"]
    return fields


def raise_if_error(tree: dict[str, Any] | list[Any], meta: Meta, *, loose: bool = True) -> None:
    """Raise the error that an answer says it is, in whatever envelope; do nothing when it says no such thing.

    Args:
        tree: The decoded answer.
        meta: How the call went.
        loose: As for a list of errors where an object was asked for; see ``_find_in_value``.
    """
    no = _find_in_value(tree, loose=loose)
    if no is not None:
        raise _error_in_answer(no, meta)


def raise_if_words(tree: dict[str, Any], meta: Meta, name: str = "") -> None:
    """Raise the error that an event of a stream is, also when it is nothing but words.

    An event of another kind, which its name or its ``type`` tells, may carry a
    message and is passed over. What has neither, and says nothing else, is what
    the relay writes in place of an answer.

    Args:
        tree: The decoded event.
        meta: How the call went.
        name: What its ``event:`` line calls it, or "".
    """
    raise_if_error(tree, meta)
    told_more = tree.keys() & {"choices", "object", "id", "type", "event"} or tree.get("data") is not None
    if name in {"", "message"} and not told_more and not _succeeds(tree) and not _tells_of_order(tree):
        fields = _fields_of(tree)
        if fields.get("message") and not _is_good_word(fields["message"]):
            raise _error_in_answer(_No(fields, tree, "code"), meta)


def has_words(tree: Mapping[str, Any]) -> bool:
    """Return whether an object has a message, in any of the spellings of one."""
    return bool(_fields_of(tree).get("message"))


def missing(kind: str, tree: dict[str, Any], data: Data, meta: Meta) -> APIError:
    """Make the error of an object in which the endpoint's reader found nothing of what was asked for.

    Args:
        kind: What it is in its place, such as "an answer without choices".
        tree: The decoded answer, which says no explicit no.
        data: Its bytes.
        meta: How the call went.

    Returns:
        An ``UnexpectedResponseError``, whose outcome is unknown, where work may have been taken on or where there are
        no words; else the error that its words stand for. The whole object is its body.
    """
    fields = _fields_of(tree)
    words = fields.get("message")
    if words and not _tells_of_order(tree) and not _is_good_word(words):
        error = _error_in_answer(_No(fields, tree, "code"), meta)
        told_more = tree.keys() & {"choices", "object", "id"} or tree.get("data") is not None
        if type(error) is not APIStatusError or not (told_more or _succeeds(tree)):
            return error
    return unexpected(kind, data, meta)


def left_unread(message: str, data: Data, meta: Meta) -> APIError:
    """Make the error of a stream that ended with nothing of an answer.

    Args:
        message: What to say of it.
        data: The last event that was passed over, b"" for none: where it tells of an order that was taken on, or has
            words and no type of its own, it is what the relay had to say.
        meta: How the call went.
    """
    try:
        tree = read_value(data, meta) if data else None
    except UnexpectedResponseError:
        tree = None
    if is_object(tree) and (_tells_of_order(tree) or (has_words(tree) and not tree.keys() & {"type", "event"})):
        return missing("a stream without an answer", tree, data, meta)
    error = IncompleteStreamError(message, body=tree)
    error.request_id = meta.request_id
    return error


def _succeeds(tree: Mapping[str, Any]) -> bool:
    code = tree.get("code")
    return tree.get("success") is True or (code is not None and _is_good_code(code))


def _error_in_answer(no: _No, meta: Meta) -> APIStatusError:
    fields = no.fields
    code = no.code if no.code is not None else fields.get("code")
    number = _status_in(code)
    text = str(fields.get("message") or "")
    cls = _class_of(number, no)
    if cls is APIStatusError and fields.get("type") in ("server_error", "upstream_error"):
        cls = errors.InternalServerError
    error = _status_error(cls, f"the relay answered {meta.status_code} with an error", text, no, meta)
    error.status_code = number or cls.status_code or meta.status_code
    error.retry_after = _retry_delay(no.body)
    if error.code in _UNKNOWN_CODES or number in _UNKNOWN_STATUSES or no.accepted:
        error.outcome = "unknown"
    return error


def _status_in(code: object) -> int:
    """Read the status that relays put into an error's ``code``, as a number or as its digits; else 0."""
    digits = str(code).removesuffix(".0") if isinstance(code, str | int | float) else ""
    return int(digits) if re.fullmatch(r"[45][0-9]{2}", digits) else 0


def without_key(error: E, key: str) -> E:
    """Take the key out of an error, wherever the relay has echoed it.

    Then the frames below hold it too, so the traceback begins anew. A word of
    less than eight letters, as servers get that ask for no key, is no secret.
    """
    if len(key) < 8 or not isinstance(error, APIError):  # noqa: PLR2004  (as above)
        return error
    before = {name: getattr(error, name) for name in ("args", "message", "body", "code", "param", "type", "request_id")}
    after = {name: _masked(value, str(key)) for name, value in before.items()}
    response: Meta | None = getattr(error, "response", None)
    if response is not None and any(key in value for value in response.headers.values()):
        response.headers = Headers({name: value.replace(key, "***") for name, value in response.headers.items()})
        after["request_id"] = _masked(error.request_id, str(key))
        error.__traceback__ = None
    if after != before:
        for name, value in after.items():
            setattr(error, name, value)
        error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return value.replace(key, "***")
    if is_object(value):
        return {_masked(name, key): _masked(item, key) for name, item in value.items()}
    if is_list(value):
        return [_masked(item, key) for item in value]
    if isinstance(value, tuple):
        return tuple(_masked(item, key) for item in cast("tuple[object, ...]", value))
    return value


def error_of_answer(data: Data, meta: Meta) -> APIError | None:
    """Make the error that an answer or an event says it is; None when it says no such thing, or cannot be read."""
    try:
        no = _find_in_value(read_value(data, meta), loose=False)
    except UnexpectedResponseError:
        return None
    return None if no is None else _error_in_answer(no, meta)


def error_event(data: Data, meta: Meta) -> APIError:
    """Make the error of an ``event: error``, whatever its data are."""
    try:
        value = read_value(data, meta)
    except UnexpectedResponseError:
        value = None
    no = _find_in_value(value, failed=True)
    return _error_in_answer(no or _No({"message": _text_of(bytes(data))}, value), meta)


def read_object(data: Data, meta: Meta) -> dict[str, Any]:
    """Read a JSON object, or raise what came instead: an error in a list, or an ``UnexpectedResponseError``."""
    if not bytes(data[:4096]).strip() and not bytes(data).strip():
        raise unexpected("an empty body", data, meta)
    value = read_value(data, meta)
    if is_list(value):
        raise_if_error(value, meta)
    if not is_object(value):
        raise unexpected(f"JSON that is no object but {type(value).__name__}", data, meta)
    return value


def read_value(data: Data, meta: Meta) -> Any:
    """Read any JSON value, or raise what came instead as an ``UnexpectedResponseError``."""
    try:
        return read_json(in_utf8(bytes(data), meta) if len(data) <= _LONGEST_BODY else data, meta)
    except (ValueError, RecursionError) as error:
        kind = "JSON nested too deeply" if isinstance(error, RecursionError) else "no JSON"
    raise unexpected(kind, data, meta)


def unexpected(kind: str, data: Data, meta: Meta) -> UnexpectedResponseError:
    """Make the error of a body that is no answer; it says what came instead. Of an object the body is all of it."""
    body: Any = None
    start = in_utf8(bytes(data[:4096]), meta)
    hint = ""
    page = start.lstrip(b"\xef\xbb\xbf\r\n\t ")
    if page.startswith(b"<"):
        kind = "HTML"
        hint = _page_hint(meta)
    elif page.startswith(b"{") and len(data) <= _LONGEST_BODY:
        try:
            body = read_json(in_utf8(bytes(data), meta))
        except (ValueError, RecursionError):
            body = None
        if is_object(body) and _tells_of_order(body):
            hint = "the order may have been taken on as a task, whose id is in .body: ask for it before you order again"
    # Escapes are for machines: what is said in Chinese is to be read.
    text = _text_of(written(body).encode("utf-8", "replace")[:4096] if is_object(body) and b"\\u" in start else start)
    said = f": {printable(text, 200)}" if text else ""
    error = UnexpectedResponseError(
        f"the relay answered {meta.status_code} with {kind}{said}" + (f" ({hint})" if hint else ""),
        body=body if is_object(body) else text or None,
    )
    error.hint = hint
    error.response = meta
    error.request_id = meta.request_id
    return error


def _page_hint(meta: Meta) -> str:
    """Return what is probably wrong with the address that a web page came from."""
    _, url = meta.asked
    versions = _VERSION.findall(url.partition("?")[0])
    if not versions:
        return "base_url is probably wrong: most relays want it to end in /v1"
    if len(versions) > 1:
        return f"base_url is probably wrong: the path has {versions[0]} and {versions[1]}"
    return (
        f"base_url ends in {versions[0]} already, and a web page came: check its host, and whether the relay has this "
        "endpoint"
    )


def in_utf8(data: bytes, meta: Meta) -> bytes:
    """Return a body in UTF-8: what is in GBK, by its label or by its bytes, is decoded so; all else is as it came.

    What reads as UTF-8 is, whatever its label says: relays label that wrongly, and GBK hardly ever reads so. Some
    firewalls and IIS send their pages in GBK.
    """
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError as error:
        cut = error.reason == "unexpected end of data" and error.start > len(data) - 4
        if cut and not _says_gbk(data, meta):
            return data
    else:
        return data
    if _says_gbk(data, meta) or _GB.fullmatch(data):
        return data.decode("gb18030", "replace").encode()
    return data


def _says_gbk(data: bytes, meta: Meta) -> bool:
    kind = next((value for name, value in meta.headers.items() if name.lower() == "content-type"), "")
    return bool(_CHARSET.search(kind) or _META_CHARSET.search(data[:2048]))


def _text_of(data: bytes) -> str:
    """Return the readable part of a body that is no JSON: an HTML page's title, or the beginning of its text."""
    if data.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"<") and (title := _TITLE.search(data[:8192])):
        data = title.group(1)
    return " ".join(data[:2048].decode("utf-8", "replace").removeprefix("\ufeff").split())


def too_large(what: str, max_bytes: int, meta: Meta) -> UnexpectedResponseError:
    """Make the error of an answer that is over a limit."""
    return unexpected(f"{what} of more than {max_bytes:,} bytes (max_response_bytes= raises the limit)", b"", meta)
