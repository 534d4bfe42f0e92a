"""What never reaches a cassette: keys, cookies, account ids, and every header that is not on a list.

Requests are compared after the same treatment, so a replayed request may have any key.
"""

from __future__ import annotations

import base64
import functools
import html
import itertools
import json
import re
import string
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlencode

from tutuclient.testing import lenient
from tutuclient.testing.cassettes.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

DROPPED = "dropped"
_DROPPED = DROPPED.encode()

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

_SENT = frozenset({"path", "query", "headers", "json", "event", "form", "text", "media"})
"""What in a line of a cassette is somebody's words."""

_SHORTEST_KEY = 6
_SHORTEST_BARE_KEY = 12
_SHORTEST_COOKIE = 16
_SECRET_QUERY = re.compile(
    r"(?i)(?:.*[-_])?(?:api_?key|key|token|secret|password|sig|signature|credential|auth|policy)|.*accesskeyid|.*token"
)
_SECRET_HEADER = re.compile(
    r"(?i)openai-(?:organization|project)|(?!idempotency-key|sec-websocket-key)"
    r"(?:.*[-_])?(?:api_?key|key|token|secret|password|signature|credential|auth)"
)
# What browsers can send a key by: https://platform.openai.com/docs/guides/realtime-websocket
_IN_PROTOCOLS = re.compile(r"openai-(?:insecure-api-key|organization|project)\.([^\s,]+)")
# Without "token": log probabilities have a field of this name.
_FIELDS = (
    "api[-_]?key|x-api-key|access_token|refresh_token|id_token|auth_token|session_token|authorization|client_secret"
    "|secret|secret_key|password|passwd|cookie|aff_code|organization|organization_id|org_id|project_id|account"
    "|account_id|user_id|username|display_name|email|token_name|token_id|safety_identifier|user"
)
_FORM_FIELD = re.compile(rf"(?i)(?:{_FIELDS})")
# The patterns for small letters search a copy of the text in them. Each begins with what is rare, and looks behind
# from there: that is several times as fast as to ignore the case, or to look behind at each place.
_STRING = rb'"(?P<text>(?:[^"\\]++|\\.)++)"'
_NUMBER = rb"(?P<number>-?\d+)(?=\s*[,}\]])"
_FIELD = re.compile(rb'"(?:%s)"\s*:\s*(?:%s|%s)' % (_FIELDS.encode(), _STRING, _NUMBER))
_KEY_FIELD = re.compile(rb'"key"\s*:\s*%s' % _STRING)
_OWN_ID = re.compile(rb'"id"\s*:\s*(?P<number>-?\d+|"(?:[^"\\]++|\\.)++")')
_IN_ADDRESSES = re.compile(
    rb"[?&\\](?:(?<=\\)u0026|(?<=[?&])(?:amp;)?)(?P<name>[\w.%-]{2,40}+)=(?P<text>[^&\s\"'<>()\\]++)"
)
_LOGIN = re.compile(rb"://[\w.~%!$&'*+,;=-]*+:(?P<text>[^\s/@\"'<>\\]++)@")
_BEARER = re.compile(rb"bearer(?<!\wbearer)\s+(?P<text>[\w.~+/=-]{8,})")
_JWT = re.compile(rb"eyJ(?<![\w+/-]eyJ)(?P<rest>[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*+)(?![+/=])")
_LIKE_KEY = re.compile(
    rb"(?:sk|rk|pk|xai|gsk|hf|ghp)[-_][\w-]{16,}|AIza[\w-]{35}|(?:org|proj|user|acct)[-_][A-Za-z0-9]{16,}"
)
_KEY_LETTERS = (string.ascii_letters + string.digits + "_+/=-").encode()
_LONG = Runs(_KEY_LETTERS, 19)
_PREFIX = re.compile(r"(?:sk|rk|pk|xai|gsk|hf|ghp)[-_]")


def scrub(text: str, keys: Iterable[str] = (), *, account: bool = False) -> str:
    """Return a text without what is secret in it.

    Args:
        text: JSON, events, or plain text.
        keys: What the caller showed as keys, which go wherever they stand.
        account: The text is about an account, as that of ``/api/user/self`` is: its ids and keys go too.
    """
    # Half surrogates, which bytes that are no UTF-8 have become, must be the same again.
    data = text.encode("utf-8", "surrogatepass")
    lowered = data.lower()
    for key in keys:
        for written in written_forms(key):
            if written.lower() in lowered:
                data = re.sub(b"(?i)" + re.escape(written), _DROPPED, data)
                lowered = data.lower()
        for letters in base64_forms(key):
            if letters in data:
                # A letter beside them may hold bits of the key, too.
                data = re.sub(rb"[\w+/-]?" + re.escape(letters) + rb"[\w+/-]?", _DROPPED, data)
    data = _without(_FIELD, data)
    if account:
        data = _without(_KEY_FIELD, _without(_OWN_ID, data))
    data = _without(_LOGIN, _without(_IN_ADDRESSES, data))
    data = _JWT.sub(_DROPPED, data)
    return _without(_BEARER, _without_likely_keys(data)).decode("utf-8", "surrogatepass")


def _without(pattern: re.Pattern[bytes], data: bytes) -> bytes:
    """Return bytes with 0 in the place of a pattern's numbers, and a word in that of its texts."""
    kept, end = list[bytes](), 0
    for found in pattern.finditer(data.lower()):
        kind = found.lastgroup or ""
        if "name" in pattern.groupindex and not _SECRET_QUERY.fullmatch(found["name"].decode()):
            continue
        kept += data[end : found.start(kind)], b"0" if kind == "number" else _DROPPED
        end = found.end(kind)
    return b"".join([*kept, data[end:]]) if kept else data


def _without_likely_keys(data: bytes) -> bytes:
    """Return bytes without what looks like somebody's key."""
    kept, end = list[bytes](), 0
    for first, stop in _LONG.find(data):
        # Not in front of or behind letters of base64, where anything may occur by chance.
        start = max(first, data.rfind(b"=", first, stop) + 1)
        if _LIKE_KEY.fullmatch(data, start, stop):
            kept += data[end:start], _DROPPED
            end = stop
    return b"".join([*kept, data[end:]]) if kept else data


@functools.lru_cache(maxsize=64)
def written_forms(key: str) -> list[bytes]:
    """Return how a key may be written, the longest first, other than in base64.

    That is as it is (``scrub`` ignores the case), in JSON (PHP's, Go's, and JSON within JSON), HTML, addresses,
    hexadecimal and UTF-16; and without its ``sk-``, which new-api takes off before it looks a key up.
    """
    keys = _with_bare(key)
    forms = {written for each in keys for written in _texts(each)}
    forms |= {form for each in keys if len(each) >= _SHORTEST_KEY for form in _in_numbers(each)}
    return sorted(forms, key=len, reverse=True)


def _with_bare(key: str) -> list[str]:
    bare = _PREFIX.sub("", key, count=1)
    return [key, bare] if _SHORTEST_BARE_KEY <= len(bare) < len(key) else [key]


def _texts(key: str) -> Iterator[bytes]:
    in_json = [json.dumps(key, ensure_ascii=each)[1:-1] for each in (True, False)]
    of_go = re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", in_json[1])
    in_address = [made(key, safe=safe, errors="surrogatepass") for made in (quote, quote_plus) for safe in ("", "/")]
    in_address.append(quote(in_address[0], safe=""))
    forms = [key, *in_json, of_go, *in_address, html.escape(key), html.escape(key, quote=False)]
    forms += [each.replace("/", "\\/") for each in in_json]
    forms += [json.dumps(each)[1:-1] for each in forms]
    yield from {each.encode("utf-8", "surrogatepass") for each in forms}


def _in_numbers(key: str) -> Iterator[bytes]:
    data = key.encode("utf-8", "surrogatepass")
    yield data.hex().encode()
    # As ``scrub`` has it: bytes that are no UTF-8 are half surrogates.
    wide = key.encode("utf-16-le", "surrogatepass").strip(b"\0")
    yield wide.decode("utf-8", "surrogateescape").encode("utf-8", "surrogatepass")


@functools.lru_cache(maxsize=64)
def base64_forms(key: str) -> list[bytes]:
    """Return the letters that a key has in base64 whatever stands around it, at each of the three places in a group.

    They are those of ``Bearer`` and the key, and of all else that it is a part of, too.
    """
    forms = set[bytes]()
    for each, before in itertools.product(_with_bare(key) if len(key) >= _SHORTEST_KEY else [], range(3)):
        data = each.encode("utf-8", "surrogatepass")
        # Six bits a letter: those that other bytes have a share in are left out.
        letters = base64.b64encode(bytes(before) + data)[-(-8 * before // 6) : 8 * (before + len(data)) // 6]
        url_safe = letters.translate(bytes.maketrans(b"+/", b"-_"))
        forms |= {letters, url_safe, letters.replace(b"/", b"\\/"), quote(letters, safe="").encode()}
    return sorted(forms, key=len, reverse=True)


def scrub_field(name: str, value: str, keys: Iterable[str] = ()) -> str:
    """Return the value of a form's field without what is secret in it."""
    return DROPPED if _FORM_FIELD.fullmatch(name) else scrub(value, keys)


def scrub_query(query: str, keys: Iterable[str] = ()) -> str:
    """Return a query with its parameters in order, and without the values of those that hold keys."""
    pairs = parse_qsl(query, keep_blank_values=True)
    kept = [
        (scrub(name, keys), DROPPED if _SECRET_QUERY.fullmatch(name) else scrub(value, keys)) for name, value in pairs
    ]
    return urlencode(sorted(kept))


def scrub_path(path: str, keys: Iterable[str] = ()) -> str:
    """Return a path without what is secret in it, also where letters are escaped that need not be."""
    as_it_is = scrub(path, keys)
    kept = scrub(unquote(path, errors="surrogateescape"), keys)
    return as_it_is if unquote(as_it_is, errors="surrogateescape") == kept else quote(kept, errors="surrogateescape")


def holds_key(data: bytes, keys: Iterable[str]) -> bool:
    """Return whether a key is still in what is to be written, in whatever form ``scrub`` finds."""
    lowered = data.lower()
    return any(
        any(written.lower() in lowered for written in written_forms(key))
        or any(letters in data for letters in base64_forms(key))
        for key in keys
    )


def scrub_all(value: Any, keys: Sequence[str], *, names: bool = True) -> Any:
    """Return a value of JSON without keys in any of its texts, and (unless told otherwise) in its names."""
    if isinstance(value, str):
        return scrub(value, keys)
    if isinstance(value, list):
        return [scrub_all(item, keys, names=names) for item in lenient.array(cast("object", value))]
    if isinstance(value, dict):
        named = lenient.mapping(cast("object", value))
        return {
            scrub(name, keys) if names else name: scrub_all(inner, keys, names=names) for name, inner in named.items()
        }
    return value


def scrub_line(line: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return a line of a cassette without keys in what was sent; the words of its format stay, whatever a key is."""
    return {
        name: scrub_all(value, keys, names=name != "form") if name in _SENT else value for name, value in line.items()
    }


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
    shown = [value for name, value in parse_qsl(query) if _SECRET_QUERY.fullmatch(name)]
    for name, value in headers.items():
        if name.lower() == "cookie":
            shown += [pair.partition("=")[2].strip().strip('"') for pair in value.split(";")]
        elif name.lower() == "sec-websocket-protocol":
            shown += _IN_PROTOCOLS.findall(value)
        elif name.lower().endswith("authorization"):
            scheme, key = value.split(None, 1) if len(value.split()) > 1 else ["", value]
            shown += [key, *(_of_login(key) if scheme.lower() == "basic" else ())]
        elif _SECRET_HEADER.fullmatch(name):
            shown.append(value)
    return sorted({each.strip() for each in shown if len(each.strip()) >= _SHORTEST_KEY}, key=len, reverse=True)


def _of_login(letters: str) -> list[str]:
    """Return what is within a login of ``Authorization: Basic`` (RFC 7617): both together, and the password."""
    try:
        login = base64.b64decode(letters).decode()
    except ValueError:
        return []
    return [login, login.partition(":")[2]]


def cookies_set(values: Iterable[str]) -> list[str]:
    """Return what an answer sets as cookies, by its headers; but for short values, which may be words."""
    set_to = [each.partition(";")[0].partition("=")[2].strip().strip('"') for each in values]
    return [each for each in set_to if len(each) >= _SHORTEST_COOKIE]


def is_about_an_account(path: str) -> bool:
    """Return whether the answers of a path are about the account, not about what was asked."""
    return path.startswith(("/api/user", "/api/token", "/dashboard/", "/v1/dashboard/"))
