"""Noes, in all their clothes: errors by status, errors within good answers, and answers that are none.

Classified by the body's code and type first, by the relay's stock phrases next,
by the status last; and never with the key in them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tutuclient import errors
from tutuclient.errors import APIError, APIStatusError, TutuError, UnexpectedResponseError, printable
from tutuclient.types.answer import Headers, Meta, is_list, is_object, read_json, request_id_of
from tutuclient.wire.mending import dicts, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tutuclient.sse import Data

E = TypeVar("E", bound=TutuError)

_BY_CODE: dict[str, type[APIStatusError]] = {
    "billing_hard_limit_reached": errors.InsufficientQuotaError,
    "channel:no_available_key": errors.InternalServerError,
    "content_filter": errors.ContentPolicyError,
    "content_policy_violation": errors.ContentPolicyError,
    "context_length_exceeded": errors.ContextLengthError,
    "insufficient_quota": errors.InsufficientQuotaError,
    "insufficient_user_quota": errors.InsufficientQuotaError,
    "invalid_api_key": errors.AuthenticationError,
    "model_not_found": errors.NotFoundError,
    "moderation_blocked": errors.ContentPolicyError,
    "overloaded_error": errors.InternalServerError,
    "pre_consume_token_quota_failed": errors.InsufficientQuotaError,
    "prompt_blocked": errors.ContentPolicyError,
    "rate_limit_error": errors.RateLimitError,
    "rate_limit_exceeded": errors.RateLimitError,
    "sensitive_words_detected": errors.ContentPolicyError,
}
_BY_TEXT: tuple[tuple[re.Pattern[str], type[APIStatusError]], ...] = (
    (
        re.compile(r"额度(?:已用尽|不足)|余额不足|insufficient (?:user )?(?:quota|balance)", re.IGNORECASE),
        errors.InsufficientQuotaError,
    ),
    # litellm puts the name of its own error into the message, and nothing of it into the code.
    (
        re.compile(r"maximum context length|context length exceeded|ContextWindowExceededError", re.IGNORECASE),
        errors.ContextLengthError,
    ),
    (re.compile(r"ContentPolicyViolationError"), errors.ContentPolicyError),
    (re.compile(r"上游负载已饱和|请求数限制|rate limit|too many requests", re.IGNORECASE), errors.RateLimitError),
)
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
    (errors.NotFoundError, "check the model's name, and that base_url ends as the relay wants it, mostly in /v1"),
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


def error_of_status(what: str, data: bytes, meta: Meta, *, retry_after: float | None = None) -> APIStatusError:
    """Make the error of an answer whose status is not 2xx.

    Args:
        what: The call, such as "POST /chat/completions".
        data: The body, or as much of it as was read; without the key.
        meta: Status, headers and attempts.
        retry_after: Seconds the server asks to wait, or None.
    """
    status = meta.status_code
    body: Any = None
    fields: dict[str, Any] = {}
    try:
        body = read_value(data, meta) if data.strip() else None
    except UnexpectedResponseError:
        body = None
    if is_object(body):
        fields = find_error(body, failed=True) or {}
        body = body.get("error") or body
    text = str(fields.get("message") or "") or _text_of(data)
    cls = classify(status, str(fields.get("code") or ""), str(fields.get("type") or ""), text)
    location = meta.headers.get("location") if 300 <= status < 400 else None  # noqa: PLR2004  (redirects)
    if location:
        text = f"a redirect to {location.partition('?')[0]}; set base_url to where the relay really is"
    error = _status_error(cls, f"{what} answered {status}", text, body if body is not None else text, fields)
    error.status_code = status
    error.response = meta
    error.request_id = request_id_of(meta.headers, text)
    error.retry_after = retry_after
    if status in _UNKNOWN_STATUSES or error.code in _UNKNOWN_CODES:
        error.outcome = "unknown"
    return error


def _status_error(
    cls: type[APIStatusError], what: str, text: str, body: object, fields: Mapping[str, Any]
) -> APIStatusError:
    advice = next((words for kind, words in _ADVICE if issubclass(cls, kind)), "")
    message = f"{what}: {printable(text) or 'nothing more'}" + (f" ({advice})" if advice else "")
    return cls(message, body=body if is_object(body) else (dict(fields) or body))


def classify(status: int, code: str, kind: str, message: str) -> type[APIStatusError]:
    """Choose an error's class: by its code and type, then by the relay's stock phrases, then by its status.

    Relays let their operators remap statuses, so the status has the last word, not the first.
    """
    for word in (code, kind):
        if word in _BY_CODE:
            return _BY_CODE[word]
    for pattern, cls in _BY_TEXT:
        # What is refused as a bad request is not one request too many, whatever its message mentions.
        fits = issubclass(cls, errors.BadRequestError) if status == 400 else status not in {413, 422}  # noqa: PLR2004  (a bad request)
        if fits and pattern.search(message):
            return cls
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return errors.InternalServerError if status >= 500 else APIStatusError  # noqa: PLR2004  (server errors)


def find_error(tree: Mapping[str, Any], *, failed: bool = False) -> dict[str, Any] | None:
    """Find the error in an answer, in any of the envelopes relays use, or None when it is a good answer.

    Args:
        tree: The decoded answer or event.
        failed: The status already says that it is an error, so any message is its text.

    Returns:
        ``message``, ``code``, ``type`` and ``param`` as far as they are there.
    """
    error = tree.get("error")
    if isinstance(error, str) and error.strip():
        return {"message": error, "code": tree.get("code"), "type": tree.get("type")}
    if is_object(error) and _names_an_error(error) and (failed or not _has_output(tree)):
        return _error_fields(error)
    if failed or tree.get("object") == "error" or tree.get("type") == "error" or tree.get("success") is False:
        return _error_fields(tree)
    told_more = tree.keys() & {"choices", "object", "id"} or tree.get("data") is not None
    if tree.get("success") is not True and not told_more:
        found = _error_fields(tree)
        return found if found.get("message") else None
    return None


def _names_an_error(error: dict[str, Any]) -> bool:
    message, code = error.get("message"), error.get("code")
    if message == "success" and code in (0, "0", None, 200, "200"):
        return False
    return bool(message or error.get("type") or code or error.get("msg"))


def _has_output(tree: Mapping[str, Any]) -> bool:
    """Say whether there is something that was asked for, beside the error."""
    for choice in dicts(tree.get("choices")):
        for part in (choice, choice.get("message"), choice.get("delta")):
            if is_object(part) and any(part.get(name) for name in ("text", "content", "tool_calls", "images")):
                return True
    return any(item.get(name) for item in dicts(tree.get("data")) for name in ("url", "b64_json", "embedding"))


def _error_fields(tree: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: tree[name] for name in ("code", "type", "param") if name in tree}
    for name in _MESSAGE_FIELDS:
        value = tree.get(name)
        if value:
            fields["message"] = written(value)
            return fields
    for outer, inner in (("header", "message"), ("response", "error")):
        value = tree.get(outer)
        found = value.get(inner) if is_object(value) else None
        if found:
            fields["message"] = written(found.get("message") or found if is_object(found) else found)
            return fields
    return fields


def raise_if_error(tree: dict[str, Any], meta: Meta) -> None:
    """Raise the error that an answer is, in whatever envelope; do nothing when it is a good one."""
    found = find_error(tree)
    if found is not None:
        raise _error_in_answer(found, meta)


def _error_in_answer(found: dict[str, Any], meta: Meta) -> APIStatusError:
    code = found.get("code")
    number = _status_in(code)
    text = str(found.get("message") or "")
    cls = classify(number, str(code or ""), str(found.get("type") or ""), text)
    if cls is APIStatusError and found.get("type") in ("server_error", "upstream_error"):
        cls = errors.InternalServerError
    error = _status_error(cls, f"the relay answered {meta.status_code} with an error", text, None, found)
    error.status_code = number or cls.status_code or meta.status_code
    error.response = meta
    error.request_id = request_id_of(meta.headers, text)
    if error.code in _UNKNOWN_CODES or number in _UNKNOWN_STATUSES:
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
    """Say which error an answer or an event is, or None when it is none, or cannot be read."""
    try:
        tree = read_value(data, meta)
    except UnexpectedResponseError:
        return None
    found = find_error(tree) if is_object(tree) else None
    return None if found is None else _error_in_answer(found, meta)


def error_event(data: Data, meta: Meta) -> APIError:
    """Make the error of an ``event: error``, whatever its data are."""
    try:
        value = read_value(data, meta)
    except UnexpectedResponseError:
        value = None
    tree = value if is_object(value) else {"message": _text_of(bytes(data))}
    return _error_in_answer(find_error(tree, failed=True) or {}, meta)


def read_object(data: Data, meta: Meta) -> dict[str, Any]:
    """Read a JSON object, or raise what came instead as an ``UnexpectedResponseError``."""
    if not bytes(data[:4096]).strip() and not bytes(data).strip():
        raise unexpected("an empty body", data, meta)
    value = read_value(data, meta)
    if not is_object(value):
        raise unexpected(f"JSON that is no object but {type(value).__name__}", data, meta)
    return value


def read_value(data: Data, meta: Meta) -> Any:
    """Read any JSON value, or raise what came instead as an ``UnexpectedResponseError``."""
    try:
        return read_json(data, meta)
    except (ValueError, RecursionError) as error:
        kind = "JSON nested too deeply" if isinstance(error, RecursionError) else "no JSON"
    raise unexpected(kind, data, meta)


def unexpected(kind: str, data: Data, meta: Meta) -> UnexpectedResponseError:
    """Make the error of an answer that is none, saying what came instead."""
    start = bytes(data[:4096])
    hint = ""
    if start.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"<"):
        kind = "HTML"
        hint = "base_url is probably wrong: most relays want it to end in /v1"
    text = _text_of(start)
    said = f": {printable(text, 200)}" if text else ""
    error = UnexpectedResponseError(
        f"the relay answered {meta.status_code} with {kind}{said}" + (f" ({hint})" if hint else ""), body=text or None
    )
    error.hint = hint
    error.response = meta
    error.request_id = meta.request_id
    return error


def _text_of(data: bytes) -> str:
    """Give the readable part of a body that is no JSON: an HTML page's title, or the beginning of its text."""
    if data.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"<") and (title := _TITLE.search(data[:8192])):
        data = title.group(1)
    return " ".join(data[:2048].decode("utf-8", "replace").removeprefix("\ufeff").split())


def too_large(what: str, max_bytes: int, meta: Meta) -> UnexpectedResponseError:
    """Make the error of an answer that is over a limit."""
    return unexpected(f"{what} of more than {max_bytes:,} bytes (max_response_bytes= raises the limit)", b"", meta)
