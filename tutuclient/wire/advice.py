"""What to try after an error: a few words for its message, by its class, the path and the address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tutuclient import errors

if TYPE_CHECKING:
    from tutuclient._meta import Meta
    from tutuclient.errors import APIStatusError

_ADVICE: tuple[tuple[type[APIStatusError], str], ...] = (
    (errors.AuthenticationError, "check the key: api_key=, or TUTU_API_KEY"),
    # Also of a 401 or 403: exhausted keys and accounts come under those (.github/WIRE.md, section 4.3).
    (errors.InsufficientQuotaError, "the account or the key is used up: top it up; waiting does not help"),
    (errors.PermissionDeniedError, "the key may not do this: look at its models, its group and its allowed addresses"),
    (errors.PayloadTooLargeError, "send smaller images: max_side=2048, or a URL instead of the file"),
    (errors.ContextLengthError, "shorten the messages, or lower max_tokens"),
    (errors.ContentPolicyError, "the prompt or the image was rejected: change it; sending it again will not help"),
    (errors.RateLimitError, "too much at once: lower max_concurrency, or wait"),
)
_FOR_RECORDINGS: tuple[tuple[type[APIStatusError], str], ...] = (
    (errors.PayloadTooLargeError, "send a shorter recording, or a format that takes less"),
    (errors.ContentPolicyError, "the recording was rejected; sending it again will not help"),
)
# Where the general advice does not fit: by the end of the path.
_FOR_PATHS: dict[str, tuple[tuple[type[APIStatusError], str], ...]] = {
    "/embeddings": (
        (errors.PayloadTooLargeError, "send fewer texts at once, or shorter ones"),
        (errors.ContextLengthError, "shorten the texts"),
        (errors.ContentPolicyError, "a text was rejected: change it; sending it again will not help"),
    ),
    "/transcriptions": _FOR_RECORDINGS,
    "/translations": _FOR_RECORDINGS,
    "/speech": (
        (errors.PayloadTooLargeError, "shorten the text"),
        (errors.ContextLengthError, "shorten the text"),
        (errors.ContentPolicyError, "the text was rejected: change it; sending it again will not help"),
    ),
}
# A proxy gave up on an answer that was silent for too long; Cloudflare after 100 s (QuantumNous/new-api#4478).
# new-api passes on the number of its upstream's proxy in words.
_GAVE_UP = frozenset({504, 524})
_GAVE_UP_WORDS = re.compile(r"\b(?:status(?: code)?|error code)\W{0,3}(?:504|524)\b", re.IGNORECASE)
_OUTLASTING: dict[str, str] = {
    "/images/generations": (
        "a proxy gave up on the silent connection while the image was made, so it may be billed: stream=True with "
        "partial_images=1 keeps a connection alive, and client.images.submit(…) needs none where the relay answers "
        "with a task"
    ),
    "/chat/completions": (
        "a proxy gave up on the silent connection while the answer was made: stream=True keeps a connection alive"
    ),
}
_OUTLASTING["/images/edits"] = _OUTLASTING["/images/generations"]
_VERSION = re.compile(r"/v\d+[a-z0-9]*(?=/|$)")


def advice_for(cls: type[APIStatusError], meta: Meta, code: object, text: str, status: int = 0) -> str:
    """Return what to try after an error of a class, or "" where nothing is known to help.

    The method and address in ``meta`` decide where the same class means different things. ``status`` is the error's own
    where it stands within an answer.
    """
    if issubclass(cls, errors.NotFoundError):
        return _not_found_advice(meta, code, text)
    path = meta.asked[1].partition("?")[0].rstrip("/")
    if issubclass(cls, errors.InternalServerError) and (status in _GAVE_UP or _GAVE_UP_WORDS.search(text)):
        return next((words for end, words in _OUTLASTING.items() if path.endswith(end)), "")
    rows = (*_FOR_PATHS.get("/" + path.rpartition("/")[2], ()), *_ADVICE)
    return next((words for kind, words in rows if issubclass(cls, kind)), "")


def _not_found_advice(meta: Meta, code: object, text: str) -> str:
    """Return what to check when something is not there, by the path and by how base_url ends."""
    method, url = meta.asked
    path = url.partition("?")[0]
    base = (
        "check base_url" if _VERSION.search(path) else "check that base_url ends as the relay wants it, mostly in /v1"
    )
    if path.endswith("/models"):
        return f"the relay lists no models there; {base}"
    # What new-api says of a path that it does not have, whatever the model (.github/WIRE.md, section 4.3).
    if "invalid url" in text.casefold():
        return f"{base}, and whether the relay has this endpoint"
    # new-api says of a model without a channel, and of a custom one on retrieve, that it is not found (.github/WIRE.md,
    # sections 1.10 and 4.3).
    about_model = code == "model_not_found" or "model" in text.casefold() or "模型" in text
    if about_model or (method == "GET" and "/models/" in path):
        return "check the model's name"
    if method == "GET":
        return f"{base}, and whether the relay has this endpoint"
    return f"check the model's name, and {base.removeprefix('check ')}"


def html_hint(meta: Meta) -> str:
    """Return what is probably wrong with an address that answered with HTML (.github/WIRE.md, section 3.4)."""
    _, url = meta.asked
    # Without /v1 the panel's HTML comes under 200; with it twice, 404 (.github/WIRE.md, section 6).
    versions = _VERSION.findall(url.partition("?")[0])
    if not versions:
        return "base_url is probably wrong: most relays want it to end in /v1"
    if len(versions) > 1:
        return f"base_url is probably wrong: the path has {versions[0]} and {versions[1]}"
    return (
        f"base_url ends in {versions[0]} already, and HTML came: check its host, and whether the relay has this "
        "endpoint"
    )
