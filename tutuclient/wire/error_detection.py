"""Errors within decoded answers: an object that is one, or holds one, in whatever envelope.

Under a good status an object is an error when it has an ``error`` that is not
empty, at the top or in a choice, ``success: false``, or a code that does not mean
success. A ``message`` alone decides nothing: it is the reason only where the
endpoint's own reader finds nothing of what was asked for
(``api_errors.error_in_place``).

Sources: .github/WIRE.md, sections 3.5, 4.1 and 4.2; each vendor's own beside its rows in ``vendors``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tutuclient.types.json import is_list, is_object
from tutuclient.wire import vendors
from tutuclient.wire.lenient import as_text, objects_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The fields that new-api itself looks for in upstreams' errors, and FastAPI's and Midjourney's (.github/WIRE.md,
# sections 3.5 and 4.1).
_MESSAGE_FIELDS = ("message", "msg", "err", "error_msg", "detail", "description", "errors")
# Other spellings of a message, which mean an error wherever they are not empty (.github/WIRE.md, section 3.5).
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
ACCEPTED = frozenset(
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
_ACCEPTED_WORDS = re.compile(
    r"已提交|提交成功|排队中|处理中|生成中"
    r"|(?:been|was|successfully|task|request|order|job) submitted|submitted successfully|\bqueued\b|in progress"
    r"|being (?:processed|generated|made)|is processing",
    re.IGNORECASE,
)
TASK_NAMES = (
    *("task_id", "taskId", "taskid", "taskUUID", "job_id", "jobId", "prediction_id"),
    *("generation_id", "generationId"),
)
# A task is known by its name, or by where to ask for it: Black Forest Labs, fal.ai, Stable Diffusion API.
_TASK_IDS = (*TASK_NAMES, "poll_url", "polling_url", "status_url", "fetch_result")
STATUSES = ("status", "task_status", "state", "taskStatus")


class FoundError(NamedTuple):
    """An error as it was found.

    Attributes:
        fields: ``message``, ``code``, ``type`` and ``param``, as far as they are there.
        body: The whole error object.
        envelope: In which vendor's envelope its code stands, for numbers; "" for none.
        accepted: Something beside it shows that a task may have been accepted, and may be billed.
        code: What to look the class up by, where the error has no code of its own.
    """

    fields: dict[str, Any]
    body: object
    envelope: str = ""
    accepted: bool = False
    code: object = None


def find_error(value: Any, *, failed: bool = False, loose: bool = True) -> FoundError | None:
    """Return the error in any JSON value, or None: Gemini's endpoint for OpenAI's clients puts it into a list.

    Args:
        value: The decoded answer.
        failed: The status already says that it is an error, so any message is its text.
        loose: An object was asked for; where any value was, a list is an error only when it is nothing else.
    """
    if is_object(value):
        return _find_in_object(value, failed=failed)
    if not is_list(value) or not value:
        return None
    first = value[0]
    if is_object(first) and (failed or loose or (len(value) == 1 and first.keys() == {"error"})):
        return _find_in_object(first, failed=failed)
    return None


def _find_in_object(tree: Mapping[str, Any], *, failed: bool = False) -> FoundError | None:
    for found in _explicit_errors(tree, failed=failed):
        # The task stands beside the error, so the body is all of it.
        return found._replace(accepted=True, body=dict(tree)) if _has_task(tree) else found
    return None


def _explicit_errors(tree: Mapping[str, Any], *, failed: bool) -> Iterator[FoundError]:
    """Yield the errors in an answer, the surest first."""
    whole = dict(tree)
    error = tree.get("error") or tree.get("Error")
    # Odd servers write {"message": "success", "code": 0} into ``error`` beside a good answer (.github/WIRE.md, section
    # 3.5).
    has_output = not failed and _has_output(tree)
    broken_off = [choice for choice in objects_in(tree.get("choices")) if _broke_off(choice, has_output=has_output)]
    ends_in_error = any(choice.get("finish_reason") == "error" for choice in objects_in(tree.get("choices")))
    if isinstance(error, str) and error.strip() and not _is_no_error(error):
        rest = {name: value for name, value in whole.items() if name not in {"error", "message"}}
        reasons = (tree.get(name) for name in ("message", "error_description", "detail", "msg"))
        message = next((f"{error}: {reason}" for reason in reasons if _is_reason(reason, error)), error)
        fields = {"message": message, "code": tree.get("code"), "type": tree.get("type")}
        yield FoundError(fields, fields | rest, "code")
    # A choice that ends in "error" outweighs what came before it: OpenRouter breaks a stream off like this
    # (.github/WIRE.md, section 3.5).
    if is_object(error) and _names_an_error(error) and (ends_in_error or not has_output):
        yield FoundError(_with_code(error_fields(error), tree), error, "error")
    if is_list(error) and error and not has_output:
        inner = error[0]
        yield FoundError(error_fields(inner) if is_object(inner) else {"message": as_text(error)}, whole)
    for choice in broken_off:
        own: Any = choice.get("error")
        if is_object(own):
            yield FoundError(error_fields(own), own, "error", accepted=has_text(choice))
        text = own if isinstance(own, str) and own else "the answer broke off: finish_reason is error"
        yield FoundError({"message": text, "type": "server_error"}, choice, accepted=has_text(choice))
    if isinstance(error, bool | int | float) and error and not has_output:
        yield FoundError(error_fields(tree), whole, "code")
    # The panel of new-api answers so under 200 (.github/WIRE.md, section 4.1).
    if failed or _calls_itself_error(tree) or _is_false(tree.get("success")) or tree.get("ok") is False:
        yield _in_envelope(whole) or FoundError(error_fields(tree), whole, "code")
    if not has_output:
        found = _in_envelope(whole) or _by_code(whole)
        if found is not None:
            yield found


def _with_code(fields: dict[str, Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    """Add the status that stands beside an error which has no code of its own."""
    number = status_in(tree.get("code")) or status_in(tree.get("status"))
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
    # A relay that lost the envelope: {"message": …, "type": "new_api_error", "code": …} (.github/WIRE.md, section 4.1).
    return isinstance(kind, str) and kind.casefold().endswith("error") and bool(error_fields(tree).get("message"))


def _is_false(value: object) -> bool:
    return value is False or (isinstance(value, str) and value.casefold() == "false")


def is_good_word(value: object) -> bool:
    """Return whether a text means that all is well."""
    return isinstance(value, str) and value.strip(" .!！。").casefold() in _GOOD_WORDS


def _is_no_error(error: str) -> bool:
    return is_good_word(error) or error.strip().casefold() in {"0", "false", "undefined", "nil"}


def _is_reason(value: object, error: str) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value != error


def _is_good_code(value: object) -> bool:
    """Return whether a code means success, in any of the ways relays and panels write that."""
    # new-api's usage endpoint has ``"code": true`` (.github/WIRE.md, section 6).
    if value is None or value is True:
        return True
    if value is False:
        return False
    if isinstance(value, str | int | float):
        text = str(value).removesuffix(".0").strip().casefold()
        return text in _GOOD_CODES or bool(re.fullmatch(r"2\d\d", text))
    return True


def _in_envelope(tree: dict[str, Any]) -> FoundError | None:
    """Find an error within an envelope of a vendor's own."""
    return _in_base_resp(tree) or _in_header(tree) or _in_response(tree) or _in_error_fields(tree)


def _in_base_resp(tree: dict[str, Any]) -> FoundError | None:
    """Find the error in MiniMax's envelope."""
    base = tree.get("base_resp")
    if not is_object(base) or _is_good_code(base.get("status_code")):
        return None
    return FoundError(
        {"message": str(base.get("status_msg") or ""), "code": base.get("status_code")}, tree, "base_resp"
    )


def _in_header(tree: dict[str, Any]) -> FoundError | None:
    """Find the error in Spark's envelope."""
    header = tree.get("header")
    return FoundError(error_fields(tree), tree) if is_object(header) and not _is_good_code(header.get("code")) else None


def _in_response(tree: dict[str, Any]) -> FoundError | None:
    """Find the error in an event of the Responses API, or in the envelopes of Tencent's and Volcengine's gateways."""
    for outer in ("response", "Response", "ResponseMetadata"):
        value = tree.get(outer)
        inner: Any = (value.get("error") or value.get("Error")) if is_object(value) else None
        if inner:
            fields = error_fields(inner) if is_object(inner) else {}
            fields["message"] = fields.get("message") or as_text(inner)
            return FoundError(
                {"message": fields["message"]} if outer == "response" else fields, tree, code=fields.get("code")
            )
    return None


def _in_error_fields(tree: dict[str, Any]) -> FoundError | None:
    """Find the error that an object spells in fields of other names; where there is a code among them, it decides."""
    codes = [tree[name] for name in _ERROR_CODE_FIELDS if tree.get(name) is not None]
    for code in codes:
        # In a "code" 1 means success; in an "error_code" it is an error's number, if there is a message.
        words = error_fields(tree).get("message")
        first = _digits_of(code) in {"1", "10000"} and words and not is_good_word(words) and not _has_result(tree)
        if first or not _is_good_code(code):
            return FoundError(error_fields(tree) | {"code": code}, tree, "error_code")
    # A task that failed gives its reason, and is what was asked for.
    task = any(tree.get(name) for name in _TASK_IDS) and any(tree.get(name) for name in STATUSES)
    for name in () if codes or task else _ERROR_MESSAGE_FIELDS:
        value = tree.get(name)
        if isinstance(value, str) and value.strip() and not is_good_word(value):
            return FoundError(error_fields(tree) | {"message": value}, tree)
    if (
        isinstance(tree.get("errors"), str | list | dict)
        and tree["errors"]
        and tree.get("data") is None
        and not _has_result(tree)
    ):
        return FoundError(error_fields(tree), tree, "code")
    return None


def _by_code(tree: dict[str, Any]) -> FoundError | None:
    """Find the error of an object whose code, or status, does not mean success."""
    fields = error_fields(tree)
    words, code, status = fields.get("message"), tree.get("code"), tree.get("status")
    found = FoundError(fields, tree, "midjourney" if "description" in tree else "code")
    if _code_is_error(tree, code, words):
        return found
    if words and not any(tree.get(name) for name in ("id", *_TASK_IDS)):
        if isinstance(status, str) and status.casefold() in _BAD_STATUSES:
            return found
        if isinstance(status, int) and not isinstance(status, bool) and status_in(status):
            return found._replace(fields={"code": status} | fields)
    # Where the code may mean success, only vendors' phrases for an empty account, a limit or rejected content count.
    if (
        words
        and _digits_of(code) == "1"
        and not _has_result(tree)
        and vendors.class_of_words(str(words), 0) is not None
    ):
        return found
    return None


def _code_is_error(tree: dict[str, Any], code: object, words: object) -> bool:
    digits = _digits_of(code)
    if _is_good_code(code) or is_good_word(words) or (digits in _GOOD_WITH_RESULT and tree.get("result")):
        return False
    if status_in(code):
        return bool(words) or not _has_result(tree)
    # A country and a coupon have a code and a description too; midjourney-proxy's errors have more.
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


def _has_task(tree: Mapping[str, Any]) -> bool:
    """Return whether an answer shows that a task was accepted: its id, or a state of one that goes on."""
    data = tree.get("data")
    parts: list[Any] = [tree, *(tree.get(name) for name in ("data", "output", "result", "task", "job"))]
    parts += data[:1] if is_list(data) else []
    for part in parts:
        if is_object(part):
            if any(isinstance(part.get(name), str | int) and part.get(name) for name in _TASK_IDS):
                return True
            if any(str(part.get(name) or "").casefold() in ACCEPTED for name in STATUSES):
                return True
    result = tree.get("result")
    if is_object(result):
        return bool(result.get("id"))
    return isinstance(result, str | int) and not isinstance(result, bool) and bool(result) and "choices" not in tree


def may_be_accepted(tree: Mapping[str, Any]) -> bool:
    """Return whether an object without an error shows that a task was accepted, be it in words alone."""
    return _has_task(tree) or _ACCEPTED_WORDS.search(str(error_fields(tree).get("message") or "")) is not None


def _names_an_error(error: dict[str, Any]) -> bool:
    message, code = error.get("message"), error.get("code")
    if is_good_word(message) and code in (0, "0", None, 200, "200"):
        return False
    return any(
        value and value not in (0, "0") and not is_good_word(value) for name, value in error.items() if name != "param"
    )


def _has_output(tree: Mapping[str, Any]) -> bool:
    """Return whether there is something that was asked for, beside the error."""
    if any(map(has_text, objects_in(tree.get("choices")))):
        return True
    return any(item.get(name) for item in objects_in(tree.get("data")) for name in ("url", "b64_json", "embedding"))


def has_text(choice: dict[str, Any]) -> bool:
    """Return whether a choice has something of an answer: text, tool calls or images."""
    return any(
        is_object(part) and any(part.get(name) for name in ("text", "content", "tool_calls", "images"))
        for part in (choice, choice.get("message"), choice.get("delta"))
    )


def error_fields(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``message``, ``code``, ``type`` and ``param`` of an object, under whichever names they have there."""
    fields = {name: tree[name] for name in ("code", "type", "param") if name in tree}
    for name in (*_MESSAGE_FIELDS, *_ERROR_MESSAGE_FIELDS, "status_msg", "Message", "title"):
        value = tree.get(name)
        if value:
            fields["message"] = as_text(value)
            break
    else:
        for outer, inner in (("header", "message"), ("response", "error")):
            value = tree.get(outer)
            found = value.get(inner) if is_object(value) else None
            if found:
                fields["message"] = as_text(found.get("message") or found if is_object(found) else found)
                break
    if "code" not in fields and tree.get("Code"):
        fields["code"] = tree["Code"]
    return fields


def has_message(tree: Mapping[str, Any]) -> bool:
    """Return whether an object has a message, in any of the spellings of one."""
    return bool(error_fields(tree).get("message"))


def succeeds(tree: Mapping[str, Any]) -> bool:
    """Return whether an object says of itself that the call succeeded."""
    code = tree.get("code")
    return tree.get("success") is True or (code is not None and _is_good_code(code))


def status_in(code: object) -> int:
    """Read the status that relays put into an error's ``code``, as a number or as its digits; else 0."""
    # The code is any JSON type: 500, "500", 500.0 (.github/WIRE.md, sections 4.1 and 5).
    digits = str(code).removesuffix(".0") if isinstance(code, str | int | float) else ""
    return int(digits) if re.fullmatch(r"[45][0-9]{2}", digits) else 0
