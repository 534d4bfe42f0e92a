"""Answers within something else: the envelopes of panels and gateways, JSON within text, lists of one.

A reader passes a ``pick``: a function that returns the answer in the API's own
shape, or None for a value that is not such an answer. It is tried on the value
itself first, so that an answer without an envelope is never searched for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from tutuclient.errors import APIStatusError, UnexpectedResponseError, printable
from tutuclient.types.json import is_list, is_object, read_json
from tutuclient.wire.api_errors import error_in_place, raise_if_error, raise_if_message_alone
from tutuclient.wire.decoding import read_value, unexpected

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient._meta import Meta
    from tutuclient.errors import APIError
    from tutuclient.wire.sse import Data

Pick: TypeAlias = "Callable[[Any], dict[str, Any] | None]"
"""Returns the answer in the API's own shape for a decoded value, or None when the value is not such an answer."""

# The names under which panels, gateways and serverless runtimes put an answer. What a request may have is not among
# them ("input", "request"): an echo of the request is not an answer.
ENVELOPES = frozenset(
    (
        *("data", "result", "results", "response", "body", "output", "outputs", "payload", "answer", "content"),
        *("resp", "ret", "value", "completion", "json", "obj", "object", "responsebody", "responsedata", "resultdata"),
    )
)
_LAYERS = 5
_LONGEST_ENVELOPE = 64  # fields; what has more is not an envelope


def unwrap(value: Any, pick: Pick, names: frozenset[str] = ENVELOPES) -> dict[str, Any] | None:
    """Return the answer in a value, whatever is wrapped around it; None when there is no answer.

    What stands in the envelope beside the answer (a usage, a request id) is kept:
    it becomes a field of the answer where the answer has none of that name.

    Args:
        value: Decoded JSON.
        pick: Recognizes the answer.
        names: The fields to look into, in lower case and without underscores.
    """
    return _unwrap(value, pick, names, _LAYERS)


def _unwrap(value: Any, pick: Pick, names: frozenset[str], layers: int) -> dict[str, Any] | None:
    found = pick(value)
    if found is not None or not layers:
        return found
    for name, inner in _inner(value, names):
        found = _unwrap(inner, pick, names, layers - 1)
        if found is not None:
            outer = {key: other for key, other in value.items() if key != name} if is_object(value) else {}
            return outer | found
    return None


def _inner(value: Any, names: frozenset[str]) -> list[tuple[str, Any]]:
    """Return what may be an answer within a value, each with the name of its field."""
    if isinstance(value, str):
        parsed = _json_in(value)
        return [] if parsed is None else [("", parsed)]
    if is_list(value):
        # Of a list of several nothing tells which one is the answer.
        return [("", value[0])] if len(value) == 1 else []
    if is_object(value) and len(value) <= _LONGEST_ENVELOPE:
        return [
            (name, inner)
            for name, inner in value.items()
            if isinstance(inner, dict | list | str) and inner and name.lower().replace("_", "") in names
        ]
    return []


def _json_in(text: str) -> Any:
    """Decode a text that is a JSON object or list itself, as gateways of functions write their ``body``; else None."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        value: Any = read_json(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value


def read_unwrapped(
    data: Data, meta: Meta, pick: Pick, names: frozenset[str] = ENVELOPES
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Read an answer, and unwrap it.

    Returns:
        The object as it came; and what ``pick`` made of it, or None when it recognizes no answer in there.

    Raises:
        APIStatusError: It is an error, or there is one in the place of the answer.
        UnexpectedResponseError: It is not a JSON object, and not an answer that ``pick`` recognizes.
    """
    # The beginning first, without a copy of the rest: most bodies are long, and few begin with 4 KiB of white space.
    if not bytes(data[:4096]).strip() and not bytes(data).strip():
        raise unexpected("an empty body", data, meta)
    value = read_value(data, meta)
    found = _unwrap_or_raise(value, meta, pick, names)
    if found is not None:
        return found, found
    if not is_object(value):
        raise unexpected(f"JSON that is not an object but {type(value).__name__}", data, meta)
    return value, None


def read_event(
    data: Data, meta: Meta, pick: Pick, names: frozenset[str] = ENVELOPES, *, name: str = ""
) -> dict[str, Any] | None:
    """Read the data of an event, and unwrap it; ``name`` is what its ``event:`` line calls it, or "".

    Returns:
        The event, or the object as it came when ``pick`` recognizes nothing in there; None for what carries nothing:
        ``{}``, ``null``, ``[]``.

    Raises:
        APIStatusError: It is an error, or there is one within.
        UnexpectedResponseError: It is not a JSON object.
    """
    value = read_value(data, meta)
    return None if value is None or value in ([], {}) else unwrap_event(value, data, meta, pick, names, name=name)


def unwrap_event(
    value: Any, data: Data, meta: Meta, pick: Pick, names: frozenset[str] = ENVELOPES, *, name: str = ""
) -> dict[str, Any]:
    """Unwrap the decoded data of an event. Other arguments, result and errors as for ``read_event``."""
    found = _unwrap_or_raise(value, meta, pick, names)
    if found is not None:
        return found
    if not is_object(value):
        raise unexpected("an event that is not a JSON object", data, meta)
    raise_if_message_alone(value, meta, name)
    return value


def _unwrap_or_raise(value: Any, meta: Meta, pick: Pick, names: frozenset[str]) -> dict[str, Any] | None:
    # Gemini's endpoint for OpenAI's clients answers with a list of one error; ``unwrap`` would look inside it.
    if _are_errors(value):
        raise_if_error(value, meta)
    found = unwrap(value, pick, names)
    if found is not None:
        raise_if_error(found, meta)
        return found
    if is_object(value) or is_list(value):
        raise_if_error(value, meta)
    raise_if_wrapped(value, meta)
    return None


def _are_errors(value: Any) -> TypeGuard[list[Any]]:
    """Return whether a value is a list of nothing but errors."""
    return is_list(value) and all(is_object(item) and (item.get("error") or not item) for item in value)


def raise_if_wrapped(value: Any, meta: Meta, layers: int = _LAYERS) -> None:
    """Raise the error that an envelope holds in place of an answer; do nothing when it holds none."""
    for _, inner in _inner(value, ENVELOPES) if layers else ():
        if is_object(inner) and (inner.get("error") or inner.get("success") is False or inner.get("object") == "error"):
            raise_if_error(inner, meta)
        raise_if_wrapped(inner, meta, layers - 1)


def error_without_answer(kind: str, data: Data, meta: Meta) -> APIError | None:
    """Build the error of JSON that came in place of an answer of another kind; None when it is not an object.

    ``kind`` is what it is, such as "text in place of audio".
    """
    try:
        value = read_value(data, meta)
    except UnexpectedResponseError:
        return None
    try:
        if is_object(value) or is_list(value):
            raise_if_error(value, meta)
        raise_if_wrapped(value, meta)
    except APIStatusError as error:
        return error.with_traceback(None)
    return unrecognized(kind, data, meta, value) if is_object(value) else None


def unrecognized(lacking: str, data: Data, meta: Meta, tree: object) -> APIError:
    """Build the error of an answer in which the endpoint's reader finds nothing: with all of it, and a hint.

    ``lacking`` is what came, such as "an answer without choices"; ``tree`` is the decoded ``data``.
    """
    error = error_in_place(lacking, tree, data, meta) if is_object(tree) else unexpected(lacking, data, meta)
    if not isinstance(error, UnexpectedResponseError):
        return error
    message, hint = error.message, error.hint
    if not hint and is_object(tree) and tree:
        names = printable(", ".join(sorted(tree)[:12]), 120)
        hint = (
            f"its fields are {names}; if what you asked for is among them, it is wrapped in an unknown way: .body has"
            " all of it"
        )
        message = f"{message} ({hint})"
    body = tree if is_object(tree) or is_list(tree) else error.body
    return UnexpectedResponseError(message, body=body, hint=hint, response=meta, request_id=meta.request_id)
