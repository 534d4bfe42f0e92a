"""What came in place of an answer is named, in whatever charset it is written."""
# ruff: noqa: E501  (a row of the tables is a line, as far as can be)

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.bodies import OK, completion, of_status
from tutuclient import errors, wire
from tutuclient._meta import Meta
from tutuclient.errors import UnexpectedResponseError

if TYPE_CHECKING:
    from tutuclient.errors import APIStatusError

NO_ANSWERS: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "an empty body", ""),
    "blanks": (b" \r\n" * 3000, "an empty body", ""),
    "panel": (b"<!doctype html><html><head><title>New  API</title></head>", "HTML: New API", "/v1"),
    "page without title": (b"\xef\xbb\xbf\n<div>oops</div>", "HTML", "/v1"),
    "text": (b"upstream connect error", "not JSON: upstream connect error", ""),
    "broken": (completion()[:-9], "not JSON", ""),
    "a word": (b"null", "not an object but NoneType", ""),
    "a list": (b"[]", "not an object but list", ""),
    "a text": (b'"hi"', "not an object but str", ""),
    "a number": (b"5", "not an object but int", ""),
    "an empty object": (b"{}", "without choices", ""),
    "choices missing": (b'{"id":"c"}', "without choices", ""),
    "choices null": (completion(choices=None), "without choices", ""),
    "choices empty": (completion(choices=[]), "without choices", ""),
    "choices of nothing": (completion(choices=[None]), "without choices", ""),
    "choices no list": (completion(choices={"a": 1}), "without choices", ""),
    "data without pictures": (b'{"data":[{"url":""},5]}', "without choices", ""),
    "too deep": (b"[" * 100_000, "nested too deeply", ""),
    "too deep inside": (b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply", ""),
    "escapes": (b"\x1b[31m\r\nforged", r"not JSON: \\x1b\[31m forged", ""),
}


@pytest.mark.parametrize(("body", "words", "hint"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_says_what_came_instead_of_an_answer(body: bytes, words: str, hint: str) -> None:
    meta = Meta(200, {"x-request-id": "r1"})
    with pytest.raises(UnexpectedResponseError, match=words) as caught:
        wire.read_completion(body, meta)
    error = caught.value
    assert (error.status_code, error.request_id, error.outcome) == (200, "r1", "unknown")
    assert hint in error.hint
    assert str(error).isprintable()
    assert len(str(error)) < 500


# Kind U: firewalls and IIS write GBK.
BLOCKED = "您的请求被拦截：该地址不在允许范围"
GBK: dict[str, tuple[bytes, str, type[APIStatusError], str]] = {
    "html by its label": (f"<html><title>{BLOCKED}</title>".encode("gbk"), "text/html; charset=gbk", errors.PermissionDeniedError, BLOCKED),
    "html by gb2312": (f"<html><title>{BLOCKED}</title>".encode("gb2312"), "text/html; charset=GB2312", errors.PermissionDeniedError, BLOCKED),
    "html by gb18030": (f"<html><title>{BLOCKED}𠮷</title>".encode("gb18030"), 'text/html; charset="gb18030"', errors.PermissionDeniedError, "𠮷"),
    "html by its meta": (f'<html><meta charset="gbk"><title>{BLOCKED}…囧</title>'.encode("gbk"), "text/html", errors.PermissionDeniedError, "囧"),
    "html by http-equiv": (
        f'<html><meta http-equiv="Content-Type" content="text/html; charset=gb2312"><title>{BLOCKED}</title>'.encode("gbk"), "", errors.PermissionDeniedError, BLOCKED,
    ),
    "html by its bytes": (f"<html><title>{BLOCKED}</title>".encode("gbk"), "text/html", errors.PermissionDeniedError, BLOCKED),
    "html whose label is wrong": (f"<html><title>{BLOCKED}</title>".encode(), "text/html; charset=gbk", errors.PermissionDeniedError, BLOCKED),
    "json": ('{"error":{"message":"账户余额不足，请充值"}}'.encode("gbk"), "application/json;charset=GBK", errors.InsufficientQuotaError, "账户余额不足"),
    "json by its bytes": ('{"code":5,"msg":"账户已欠费"}'.encode("gbk"), "application/json", errors.InsufficientQuotaError, "账户已欠费"),
    "text": ("请求过于频繁，请稍后再试".encode("gbk"), "text/plain", errors.RateLimitError, "请求过于频繁"),
    "latin": (b"<title>acc\xe8s refus\xe9</title>", "text/html", errors.PermissionDeniedError, "acc\ufffds refus\ufffd"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "cls", "words"), GBK.values(), ids=GBK)
def test_reads_gbk(body: bytes, kind: str, cls: type[APIStatusError], words: str) -> None:
    error = of_status(403, body, content_type=kind)
    assert type(error) is cls
    assert words in str(error)
    assert words in str(error.body)


def test_reads_gbk_that_is_cut() -> None:
    body = b"<html><title>x</title>" + BLOCKED.encode("gbk") * 200
    assert BLOCKED in str(of_status(403, BLOCKED.encode("gbk") + BLOCKED.encode("gbk")[:5]))
    assert of_status(403, body[:-1]).body == "x"


def test_reads_gbk_under_a_good_status() -> None:
    meta = Meta(200, {"Content-Type": "text/html; charset=gbk"})
    with pytest.raises(UnexpectedResponseError, match=BLOCKED):
        wire.read_completion(f"<html><title>{BLOCKED}</title>".encode("gbk"), meta)
    with pytest.raises(errors.InsufficientQuotaError, match="余额不足"):
        wire.read_completion('{"error":{"message":"余额不足"}}'.encode("gbk"), OK)
