"""What never reaches a cassette: keys, cookies, account ids, and every header that is not on a list.

Requests are compared after the same treatment, so a replayed request may have any key.
"""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DROPPED = "dropped"

REQUEST_HEADERS = frozenset({"accept", "content-type"})
"""The headers of a request that are kept, for people to read; requests are told apart without them."""

ANSWER_HEADERS = frozenset(
    {
        "cache-control",
        "content-type",
        "location",
        "retry-after",
        "retry-after-ms",
        "x-accel-buffering",
        "x-oneapi-request-id",
        "x-request-id",
        "x-should-retry",
    }
)
"""The headers of an answer that are kept, together with those that begin with ``x-ratelimit-``."""

_SHORTEST_KEY = 6
_SECRET_QUERY = re.compile(
    r"(?i)(?:.*[-_])?(?:api_?key|key|token|secret|password|sig|signature|credential|auth|policy)|.*accesskeyid|.*token"
)
_IN_ADDRESSES = re.compile(r"((?:[?&]|\\u0026)([\w.%-]{2,40})=)[^&\s\"'<>()\\]+")
# Without "token": log probabilities have a field of this name.
_FIELDS = (
    "api[-_]?key|x-api-key|access_token|refresh_token|id_token|auth_token|session_token|authorization|client_secret"
    "|secret|secret_key|password|passwd|cookie|aff_code|organization|organization_id|org_id|project_id|account"
    "|account_id|user_id|username|display_name|email|token_name|token_id|safety_identifier|user"
)
_TEXT_FIELD = re.compile(rf'("(?:{_FIELDS})"\s*:\s*)"(?:[^"\\]|\\.)+"', re.IGNORECASE)
_NUMBER_FIELD = re.compile(rf'("(?:{_FIELDS})"\s*:\s*)-?\d+(?=\s*[,}}\]])', re.IGNORECASE)
_FORM_FIELD = re.compile(rf"(?i)(?:{_FIELDS})")
_OWN_ID = re.compile(r'("id"\s*:\s*)(?:-?\d+|"(?:[^"\\]|\\.)+")')
# Not in front of or behind letters of base64, where anything may occur by chance.
_KEYS = re.compile(
    r"(?<![\w+/-])(?:(?:sk|rk|pk|xai|gsk|hf|ghp)[-_][\w-]{16,}|AIza[\w-]{35}|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"
    r"|(?:org|proj|user|acct)[-_][A-Za-z0-9]{16,})(?![\w+/=-])"
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}")


def scrub(text: str, keys: Iterable[str] = (), *, account: bool = False) -> str:
    """Return a text without what is secret in it.

    Args:
        text: JSON, events, or plain text.
        keys: What the caller showed as keys, which go wherever they stand.
        account: The text is about an account, as that of ``/api/user/self`` is: its ids go too.
    """
    for key in keys:
        for written in _forms(key):
            text = text.replace(written, DROPPED)
    text = _TEXT_FIELD.sub(rf'\1"{DROPPED}"', text)
    text = _NUMBER_FIELD.sub(r"\g<1>0", text)
    if account:
        text = _OWN_ID.sub(r"\g<1>0", text)
    text = _IN_ADDRESSES.sub(lambda found: found[1] + DROPPED if _SECRET_QUERY.fullmatch(found[2]) else found[0], text)
    return _BEARER.sub(rf"\1{DROPPED}", _KEYS.sub(DROPPED, text))


@functools.lru_cache(maxsize=64)
def _forms(key: str) -> list[str]:
    """Return how a key may be written, the longest first: as it is, in JSON, PHP's too, and within an address."""
    in_json = [json.dumps(key, ensure_ascii=each)[1:-1] for each in (True, False)]
    forms = {key, *in_json, *(each.replace("/", "\\/") for each in in_json)}
    forms |= {quote(key, safe=""), quote(key), quote_plus(key)}
    return sorted(forms, key=len, reverse=True)


def scrub_field(name: str, value: str, keys: Iterable[str] = ()) -> str:
    """Return the value of a form's field without what is secret in it."""
    return DROPPED if _FORM_FIELD.fullmatch(name) else scrub(value, keys)


def scrub_query(query: str, keys: Iterable[str] = ()) -> str:
    """Return a query with its parameters in order, and without the values of those that hold keys."""
    pairs = parse_qsl(query, keep_blank_values=True)
    kept = [(name, DROPPED if _SECRET_QUERY.fullmatch(name) else scrub(value, keys)) for name, value in pairs]
    return urlencode(sorted(kept))


def scrub_headers(headers: Mapping[str, str], allowed: frozenset[str], keys: Iterable[str] = ()) -> dict[str, str]:
    """Return the headers that are on a list, by their names in lower case."""
    named = [(name.lower(), value) for name, value in headers.items()]
    return {
        name: scrub(value, keys)
        for name, value in sorted(named)
        if name in allowed or (name.startswith("x-ratelimit-") and allowed is ANSWER_HEADERS)
    }


def keys_of(headers: Mapping[str, str], query: str) -> list[str]:
    """Return what a request shows as keys, cookies and the ids of its account: the longest first."""
    shown = [headers.get("Authorization", "").split(" ", 1)[-1]]
    for name, value in headers.items():
        if name.lower() in {"api-key", "x-api-key", "x-goog-api-key", "openai-organization", "openai-project"}:
            shown.append(value)
        elif name.lower() == "cookie":
            shown += [pair.partition("=")[2] for pair in value.split("; ")]
    shown += [value for name, value in parse_qsl(query) if _SECRET_QUERY.fullmatch(name)]
    return sorted({each.strip() for each in shown if len(each.strip()) >= _SHORTEST_KEY}, key=len, reverse=True)


def is_about_an_account(path: str) -> bool:
    """Return whether the answers of a path are about the account, not about what was asked."""
    return path.startswith(("/api/user", "/api/token", "/dashboard/", "/v1/dashboard/"))
