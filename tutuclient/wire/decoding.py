"""Bytes to JSON values, or an error that says what came in their place: HTML, text, nothing, too much."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from tutuclient.errors import UnexpectedResponseError, printable
from tutuclient.types.base import Answer
from tutuclient.types.json import is_object, read_json, too_deep
from tutuclient.wire.advice import html_hint
from tutuclient.wire.error_detection import may_be_accepted
from tutuclient.wire.lenient import as_text

if TYPE_CHECKING:
    from tutuclient._meta import Meta
    from tutuclient.wire.sse import Data

A = TypeVar("A", bound=Answer)

_TITLE = re.compile(rb"<title[^>]*>(.{0,300}?)</title", re.IGNORECASE | re.DOTALL)
# The JSON of an error is never longer.
LONGEST_BODY = 2**20
_LONG = 2**20
_MOST_OBJECTS = 500_000
_ERROR = b'"error"'
_ERROR_EDGE = 8 * 2**10
_GB = re.compile(rb"(?:[\x00-\x7f]|[\xa1-\xf7][\xa1-\xfe])*[\xa1-\xf7]?")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*(gb\w+|x-gbk|cp936)", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*(?:gb\w+|x-gbk|cp936)", re.IGNORECASE)

_decoders: dict[type[Answer], msgspec.json.Decoder[Any]] = {}

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What msgspec raises on what it cannot decode: a ``ValidationError`` is a ``DecodeError`` too."""


def decode_as(data: Data, cls: type[A]) -> A | None:
    """Decode an answer that is as the API has it, the quick way; None for one that has to be read patiently."""
    decoder = _decoders.get(cls)
    if decoder is None:
        # Not strict: relays write numbers as text, and whole ones with a fraction (.github/WIRE.md, section 5).
        decoder = _decoders[cls] = msgspec.json.Decoder(cls, strict=False)
    try:
        # Checked first: msgspec recurses in C, and a thread with a small stack would crash before its own limit.
        return None if too_deep(data) else cast("A", decoder.decode(data))
    except UNREADABLE:
        return None


def too_many(data: Data) -> bool:
    """Return whether there are more objects than any answer has."""
    return len(data) > _LONG and bytes(data).count(b"{") > _MOST_OBJECTS


def check_count(data: Data, meta: Meta) -> None:
    """Check how many objects there are before a decoder makes something of each: a byte may cost a hundred.

    Raises:
        UnexpectedResponseError: There are more than any answer has.
    """
    if too_many(data):
        raise unexpected(f"more than {_MOST_OBJECTS:,} objects in one answer", b"", meta)


def may_hold_error(raw: Data) -> bool:
    """Return whether a good answer may have an error within: in a choice, or as the reason why it ended.

    In a long one, whose length is the content's, only its beginning and end are looked at.
    """
    if len(raw) <= 2 * _ERROR_EDGE:
        return bytes(raw).find(_ERROR) >= 0
    return bytes(raw[:_ERROR_EDGE]).find(_ERROR) >= 0 or bytes(raw[-_ERROR_EDGE:]).find(_ERROR) >= 0


def read_value(data: Data, meta: Meta) -> Any:
    """Read any JSON value, or raise what came instead as an ``UnexpectedResponseError``."""
    try:
        return read_json(in_utf8(bytes(data), meta) if len(data) <= LONGEST_BODY else data, meta)
    except (ValueError, RecursionError) as error:
        kind = "JSON nested too deeply" if isinstance(error, RecursionError) else "text that is not JSON"
    raise unexpected(kind, data, meta)


def unexpected(kind: str, data: Data, meta: Meta) -> UnexpectedResponseError:
    """Build the error of a body that is not an answer; it names what came instead.

    ``kind`` is what it is in the place of an answer, such as "an empty body". The error's ``body`` is the whole of a
    JSON object, else the beginning of the text.
    """
    body: Any = None
    start = in_utf8(bytes(data[:4096]), meta)
    hint = ""
    text_start = start.lstrip(b"\xef\xbb\xbf\r\n\t ")
    if text_start.startswith(b"<"):
        # A panel's index under 200, or a proxy's error (.github/WIRE.md, sections 3.4 and 4.4).
        kind = "HTML"
        hint = html_hint(meta)
    elif text_start.startswith(b"{") and len(data) <= LONGEST_BODY:
        try:
            body = read_json(in_utf8(bytes(data), meta))
        except (ValueError, RecursionError):
            body = None
        if is_object(body) and may_be_accepted(body):
            hint = "it may have been accepted as a task, whose id is in .body: ask for that before you order again"
    # A person is to read the message, so Chinese that came as \u escapes is written out.
    text = text_of(as_text(body).encode("utf-8", "replace")[:4096] if is_object(body) and b"\\u" in start else start)
    shown = f": {printable(text, 200)}" if text else ""
    return UnexpectedResponseError(
        f"the relay answered {meta.status_code} with {kind}{shown}" + (f" ({hint})" if hint else ""),
        body=body if is_object(body) else text or None,
        hint=hint,
        response=meta,
        request_id=meta.request_id,
    )


def in_utf8(data: bytes, meta: Meta) -> bytes:
    """Return a body in UTF-8: what is in GBK, by its label or by its bytes, is decoded so; all else is as it came.

    What decodes as UTF-8 is UTF-8, whatever its label: relays label that wrongly, and GBK hardly ever decodes so. Some
    firewalls and IIS send their HTML in GBK.
    """
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError as error:
        # Only the beginning of a long body is read, and may end within a character.
        cut = error.reason == "unexpected end of data" and error.start > len(data) - 4
        if cut and not _is_gbk(data, meta):
            return data
    else:
        return data
    if _is_gbk(data, meta) or _GB.fullmatch(data):
        return data.decode("gb18030", "replace").encode()
    return data


def _is_gbk(data: bytes, meta: Meta) -> bool:
    kind = next((value for name, value in meta.headers.items() if name.lower() == "content-type"), "")
    return bool(_CHARSET.search(kind) or _META_CHARSET.search(data[:2048]))


def text_of(data: bytes) -> str:
    """Return the readable part of a body that is not JSON: the title of HTML, or the beginning of its text."""
    if data.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"<") and (title := _TITLE.search(data[:8192])):
        data = title.group(1)
    return " ".join(data[:2048].decode("utf-8", "replace").removeprefix("\ufeff").split())


def too_large(what: str, max_bytes: int, meta: Meta) -> UnexpectedResponseError:
    """Build the error of an answer that is over a limit."""
    return unexpected(f"{what} of more than {max_bytes:,} bytes (max_response_bytes= raises the limit)", b"", meta)
