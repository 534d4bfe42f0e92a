"""Errors of the API: the exception for a status, for an error within a good answer, and for one in its place.

The class is chosen by the body's code and type first, by the phrases that
vendors use next (``vendors``), by the status last.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tutuclient import errors
from tutuclient._meta import Meta, request_id_of
from tutuclient.errors import (
    APIError,
    APIStatusError,
    IncompleteStreamError,
    UnexpectedResponseError,
    printable,
)
from tutuclient.types.json import is_object
from tutuclient.wire import vendors
from tutuclient.wire.advice import advice_for
from tutuclient.wire.decoding import LONGEST_BODY, in_utf8, read_value, text_of, unexpected
from tutuclient.wire.error_detection import (
    FoundError,
    error_fields,
    find_error,
    has_message,
    is_good_word,
    may_be_accepted,
    status_in,
    succeeds,
)
from tutuclient.wire.lenient import as_text, objects_in

if TYPE_CHECKING:
    from tutuclient.wire.sse import Data

_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    # An empty balance (.github/WIRE.md, section 4.3).
    402: errors.InsufficientQuotaError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    413: errors.PayloadTooLargeError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
}
# A proxy gave up, or the relay could not read what it had ordered: the work may be done and billed. Source:
# .github/WIRE.md, section 4.3.
_UNKNOWN_STATUSES = frozenset({502, 504, 520, 524})
_UNKNOWN_CODES = frozenset(
    {"do_request_failed", "read_response_body_failed", "unmarshal_response_body_failed", "bad_response_body"}
)
_DATA_LINE = re.compile(rb"(?:^|[\r\n])data:[ \t]*([{\[][^\r\n]*)")


def error_of_status(what: str, data: bytes, meta: Meta, *, retry_after: float | None = None) -> APIStatusError:
    """Build the error of an answer whose status is not 2xx.

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
    found = find_error(body, failed=True) or FoundError({}, body)
    fields = found.fields
    text = str(fields.get("message") or "") or text_of(data)
    if not fields.get("message"):
        fields = fields | {"message": text}
    cls = _class_of(status, found._replace(fields=fields))
    # Not followed: a POST becomes a GET without a body on 301 (.github/WIRE.md, section 4.6).
    location = meta.headers.get("location") if 300 <= status < 400 else None  # noqa: PLR2004  (redirects)
    if location:
        text = f"a redirect to {location.partition('?')[0]}; set base_url to where the relay really is"
    retry_after = _retry_delay(found.body) if retry_after is None else retry_after
    found = found._replace(body=text if body is None else found.body)
    return _status_error(cls, f"{what} answered {status}", text, found, meta, status=status, retry_after=retry_after)


def _unframed(data: bytes) -> bytes:
    """Return the data of the first event where an error comes as an event stream, as DashScope's do; else all of it.

    Source: .github/WIRE.md, section 3.5: real 4xx errors may be labelled text/event-stream.
    """
    if data.lstrip(b"\xef\xbb\xbf\r\n\t ")[:1] in {b"{", b"[", b"<"}:
        return data
    found = _DATA_LINE.search(data)
    return data if found is None else found[1]


def _status_error(
    cls: type[APIStatusError],
    what: str,
    text: str,
    found: FoundError,
    meta: Meta,
    *,
    status: int,
    retry_after: float | None,
) -> APIStatusError:
    advice = advice_for(cls, meta, found.fields.get("code"), text, status)
    message = f"{what}: {printable(text) or 'nothing more'}" + (f" ({advice})" if advice else "")
    # The error's own object first, then the fields found around it.
    own, around = APIError(body=found.body), APIError(body=found.fields)
    code = own.code or around.code
    maybe_done = status in _UNKNOWN_STATUSES or code in _UNKNOWN_CODES or found.accepted
    return cls(
        message,
        body=found.body,
        code=code,
        param=own.param or around.param,
        type=own.type or around.type,
        response=meta,
        status_code=status,
        retry_after=retry_after,
        outcome="unknown" if maybe_done else None,
        # new-api writes it behind the message, since errors lose the upstream's headers (.github/WIRE.md, section 4.5).
        request_id=request_id_of(meta.headers, text),
    )


def _retry_delay(body: object) -> float | None:
    """Read the pause that Gemini asks for, which it writes into the error's details and into no header.

    Source: https://cloud.google.com/apis/design/errors, google.rpc.RetryInfo.
    """
    details = objects_in(body.get("details")) if is_object(body) else []
    delay = next((item["retryDelay"] for item in details if isinstance(item.get("retryDelay"), str)), "")
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", delay)
    return float(found[1]) if found else None


def _class_of(status: int, error: FoundError) -> type[APIStatusError]:
    """Choose an error's class: by its code and type, then by the vendors' phrases, then by its status.

    Relays let their operators remap statuses, so the status counts last, not first (.github/WIRE.md, section 4.3).
    """
    fields, body = error.fields, error.body
    message = str(fields.get("message") or "")
    code, kind = (str(fields.get(name) or "") for name in ("code", "type"))
    # Any whole number may come with a fraction of zero (.github/WIRE.md, section 5).
    number = str(error.code if error.code is not None else code)
    found = vendors.class_over_code(message) or vendors.class_of_number(error.envelope, number.removesuffix(".0"))
    # new-api writes the same word into both, or a type and no code (.github/WIRE.md, section 4.1).
    found = found or vendors.class_of_code(code) or vendors.class_of_code(kind)
    if found is None and is_object(body):
        found = vendors.class_of_details(body, message + " " + as_text(body)[:LONGEST_BODY])
    found = found or vendors.class_of_words(message, status)
    if found is None and "{" in message:
        found = vendors.class_of_upstream(message)
    if found is None and status < 400:  # noqa: PLR2004  (no status of an error)
        found = vendors.class_without_status(message)
    if found is not None:
        return found
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return errors.InternalServerError if status >= 500 else APIStatusError  # noqa: PLR2004  (server errors)


def raise_if_error(tree: dict[str, Any] | list[Any], meta: Meta, *, loose: bool = True) -> None:
    """Raise the error that is in an answer, in whatever envelope; do nothing when there is none.

    ``loose`` is as for ``find_error``.
    """
    found = find_error(tree, loose=loose)
    if found is not None:
        raise _error_in_answer(found, meta)


def raise_if_message_alone(tree: dict[str, Any], meta: Meta, name: str = "") -> None:
    """Raise the error that an event of a stream is when it is nothing but a message; ``raise_if_error`` found none.

    An event with a name (its ``event:`` line) or a ``type`` of its own may carry a
    message and is passed over (janhq/jan#8280). One that has neither, and nothing
    else, is what the relay writes in place of an answer (.github/WIRE.md, section 3.5).
    """
    has_more = tree.keys() & {"choices", "object", "id", "type", "event"} or tree.get("data") is not None
    if name in {"", "message"} and not has_more and not succeeds(tree) and not may_be_accepted(tree):
        fields = error_fields(tree)
        if fields.get("message") and not is_good_word(fields["message"]):
            raise _error_in_answer(FoundError(fields, tree, "code"), meta)


def error_in_place(kind: str, tree: dict[str, Any], data: Data, meta: Meta) -> APIError:
    """Build the error of an object in which the endpoint's reader found nothing of what was asked for.

    Args:
        kind: What it is in its place, such as "an answer without choices".
        tree: The decoded ``data``, in which ``find_error`` found nothing.
        data: The answer.
        meta: How the call went.

    Returns:
        An ``UnexpectedResponseError``, whose outcome is unknown, where work may have been accepted or where there is no
        message; else the error that its message stands for. The whole object is its body.
    """
    fields = error_fields(tree)
    words = fields.get("message")
    if words and not may_be_accepted(tree) and not is_good_word(words):
        error = _error_in_answer(FoundError(fields, tree, "code"), meta)
        has_more = tree.keys() & {"choices", "object", "id"} or tree.get("data") is not None
        if type(error) is not APIStatusError or not (has_more or succeeds(tree)):
            return error
    return unexpected(kind, data, meta)


def error_of_empty_stream(message: str, data: Data, meta: Meta) -> APIError:
    """Build the error of a stream that ended with nothing of an answer.

    ``data`` is the last event that was passed over, b"" for none: where it shows an accepted task, or has a message
    and no type of its own, it is what the relay answered.
    """
    try:
        tree = read_value(data, meta) if data else None
    except UnexpectedResponseError:
        tree = None
    if is_object(tree) and (may_be_accepted(tree) or (has_message(tree) and not tree.keys() & {"type", "event"})):
        return error_in_place("a stream without an answer", tree, data, meta)
    return IncompleteStreamError(message, body=tree, request_id=meta.request_id)


def _error_in_answer(found: FoundError, meta: Meta) -> APIStatusError:
    fields = found.fields
    code = found.code if found.code is not None else fields.get("code")
    number = status_in(code)
    text = str(fields.get("message") or "")
    cls = _class_of(number, found)
    # Where the code is a word that nothing knows, the type still tells that it was the server (.github/WIRE.md, section
    # 4.1).
    if cls is APIStatusError and fields.get("type") in ("server_error", "upstream_error"):
        cls = errors.InternalServerError
    what, status = f"the relay answered {meta.status_code} with an error", number or cls.status_code or meta.status_code
    return _status_error(cls, what, text, found, meta, status=status, retry_after=_retry_delay(found.body))


def error_of_answer(data: Data, meta: Meta) -> APIError | None:
    """Return the error that is in an answer or an event; None when there is none, or when it cannot be read."""
    try:
        found = find_error(read_value(data, meta), loose=False)
    except UnexpectedResponseError:
        return None
    return None if found is None else _error_in_answer(found, meta)


def error_event(data: Data, meta: Meta) -> APIError:
    """Build the error of an ``event: error``, whatever its data are."""
    try:
        value = read_value(data, meta)
    except UnexpectedResponseError:
        value = None
    found = find_error(value, failed=True)
    return _error_in_answer(found or FoundError({"message": text_of(bytes(data))}, value), meta)
