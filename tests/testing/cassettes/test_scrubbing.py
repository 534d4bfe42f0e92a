from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from multidict import CIMultiDict

from tutuclient.testing.cassettes.scrubbing import (
    ANSWER_HEADERS,
    REQUEST_HEADERS,
    cookies_set,
    holds_key,
    is_about_an_account,
    keys_of,
    scrub,
    scrub_field,
    scrub_headers,
    scrub_line,
    scrub_path,
    scrub_query,
)
from tutuclient.testing.cassettes.split_keys import SplitKeys

KEY = "sk-aBcDeFgHiJkLmNoPqRsTuVwX0123"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"Incorrect API key provided: {KEY}.", "Incorrect API key provided: dropped."),
        ('{"api_key": "whatever it is"}', '{"api_key": "dropped"}'),
        ('{"organization_id":"org-1","user_id":42}', '{"organization_id":"dropped","user_id":0}'),
        ('{"email":"a@b.example","username":"\\"x\\""}', '{"email":"dropped","username":"dropped"}'),
        ("in organization org-aBcDeFgHiJkLmNoPqRsTuVwX on", "in organization dropped on"),
        ("Bearer abcdefgh12345", "Bearer dropped"),
        ("AIza" + "x" * 35, "dropped"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.abc_-", "dropped"),
        (f"无效的令牌{KEY}，请检查", "无效的令牌dropped，请检查"),
        (f"key={KEY}", "key=dropped"),
        (
            "socks5://me:hunter2@127.0.0.1:1080 and https://x@y/:a@b",
            "socks5://me:dropped@127.0.0.1:1080 and https://x@y/:a@b",
        ),
        ("?a=1&amp;sig=abc&amp;b=2", "?a=1&amp;sig=dropped&amp;b=2"),
        (
            "https://cdn.example/a.png?X-Amz-Signature=abc&x=1&Expires=9",
            "https://cdn.example/a.png?X-Amz-Signature=dropped&x=1&Expires=9",
        ),
        ('"https://cdn.example/a.png?w=1\\u0026sig=ab%2Fc"', '"https://cdn.example/a.png?w=1\\u0026sig=dropped"'),
    ],
)
def test_what_is_secret_is_dropped(text: str, kept: str) -> None:
    assert scrub(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        '{"token":"Hello","logprob":-0.1}',
        '{"properties":{"email":{"type":"string"},"password":{"type":"string"}},"required":["email"]}',
        '{"content":"{\\"email\\": \\"a@b.example\\"}"}',
        '{"usage":{"total_tokens":12,"prompt_tokens":3}}',
        "task-force, desk-organisation, sk-8 and a risk-averse-and-very-long-word",
        '{"id":"chatcmpl-123","object":"chat.completion"}',
        "AIza" + "x" * 60,
    ],
)
def test_what_is_not_secret_stays(text: str) -> None:
    assert scrub(text) == text


def test_what_the_caller_showed_goes_wherever_it_stands() -> None:
    keys = keys_of({"Authorization": "Bearer hunter2hunter2", "Cookie": "session=abcdef123; a=b"}, "api_key=qwertz77")
    assert keys == ["hunter2hunter2", "abcdef123", "qwertz77"]
    assert scrub("no hunter2hunter2, abcdef123 or qwertz77", keys) == "no dropped, dropped or dropped"
    assert keys_of({"x-api-key": "another-key", "OpenAI-Organization": "org-mine"}, "") == ["another-key", "org-mine"]
    # A key of a few letters would tear words apart.
    assert keys_of({"Authorization": "Bearer any"}, "") == []


@pytest.mark.parametrize(
    ("headers", "keys"),
    [
        ([("Authorization", "bearer\thunter2")], ["hunter2"]),
        ([("Authorization", "hunter2")], ["hunter2"]),
        ([("Authorization", "Bearer one-key"), ("authorization", "Bearer another")], ["another", "one-key"]),
        ([("Authorization", "Basic bWU6aHVudGVyMg==")], ["bWU6aHVudGVyMg==", "me:hunter2", "hunter2"]),
        ([("Authorization", "Basic ???")], []),
        ([("Proxy-Authorization", "Bearer hunter2")], ["hunter2"]),
        ([("mj-api-secret", "hunter2"), ("X-Auth-Token", "hunter3")], ["hunter2", "hunter3"]),
        ([("Cookie", 'a="hunter2";b=hunter3; c')], ["hunter2", "hunter3"]),
        ([("Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.hunter2, openai-beta.v1")], ["hunter2"]),
        ([("Idempotency-Key", "0123456789"), ("Sec-WebSocket-Key", "0123456789"), ("Accept", "*/*; a=123456")], []),
    ],
)
def test_keys_are_known_by_the_headers_that_show_them(headers: list[tuple[str, str]], keys: list[str]) -> None:
    assert sorted(keys_of(CIMultiDict(headers), "")) == sorted(keys)


def test_cookies_that_an_answer_sets_are_known_but_for_words() -> None:
    assert cookies_set(['id="0123456789abcdef"; Path=/', "language=english", "x"]) == ["0123456789abcdef"]


def test_paths_keep_no_key_however_they_are_escaped() -> None:
    assert scrub_path(f"/v1/x/{KEY}/a%2Fb", [KEY]) == "/v1/x/dropped/a%2Fb"
    assert scrub_path(f"/v1/x/%73{KEY[1:]}/%e4", [KEY]) == "/v1/x/dropped/%E4"
    assert scrub_path("/v1/%7ex/a%2Fb", [KEY]) == "/v1/%7ex/a%2Fb"


@pytest.mark.parametrize(
    "key", ["\udce9\ud83d'\"\\", "\x00\x7f\t~~~", "田中田中田中", "%%%%%%", "é" * 6, "+/+/+/", "(?i)[a"]
)
def test_any_text_may_be_a_key(key: str) -> None:
    assert scrub(f"<{key}>", [key]) == "<dropped>"
    assert holds_key(f"<{key}>".encode("utf-8", "surrogatepass"), [key])
    assert not holds_key(b"<>", [key])
    part = {"json": {"a": [f"<{key[:3]}", f"{key[3:]}>"]}}
    assert list(SplitKeys([key]).feed(part)) == [{"json": {"a": ["<dropped", ">"]}}]


def test_a_line_keeps_the_words_of_its_format_whatever_a_key_is() -> None:
    line = {"part": 1, "t": 0.1, "json": {"part": "the json part", "x": [1, None]}}
    assert scrub_line(line, ["part", "json"]) == {
        "part": 1, "t": 0.1, "json": {"dropped": "the dropped dropped", "x": [1, None]}
    }  # fmt: skip
    form = {"request": 1, "method": "POST", "form": [["filename", {"filename": "media", "media": "{{tutu}}"}]]}
    assert scrub_line(form, ["filename", "media"]) == {
        "request": 1, "method": "POST", "form": [["dropped", {"filename": "dropped", "media": "{{tutu}}"}]]
    }  # fmt: skip


ODD_KEY = 'opaque/key+1=%é&<"'


@pytest.mark.parametrize(
    "written",
    [
        ODD_KEY,
        r"opaque\/key+1=%é&<\"",
        r"opaque\/key+1=%\u00e9&<\"",
        r"opaque/key+1=%é\u0026\u003c\"",
        json.dumps(json.dumps(ODD_KEY))[3:-3],
        json.dumps(quote(ODD_KEY))[1:-1],
        html.escape(ODD_KEY),
        quote(ODD_KEY, safe="").lower(),
        quote(quote(ODD_KEY, safe="")),
        quote(ODD_KEY, safe=""),
        ODD_KEY.upper().replace("É", "é"),
        ODD_KEY.encode().hex(),
        ODD_KEY.encode().hex().upper(),
    ],
)
def test_a_key_goes_however_it_is_written(written: str) -> None:
    assert scrub(f'{{"message":"no such key: {written}"}}', [ODD_KEY]) == '{"message":"no such key: dropped"}'


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be"])
def test_a_key_goes_from_a_text_of_two_bytes_a_letter(coding: str) -> None:
    text = scrub(f"no such key: {KEY}".encode(coding).decode(), [KEY])
    assert KEY[3:] not in text.replace("\0", "")
    assert "dropped" in text


@pytest.mark.parametrize("before", ["", "Bearer ", "user:", "a", "ab"])
@pytest.mark.parametrize("key", [KEY, "ab/cd+??>>~~ü", "hunter"])
def test_a_key_goes_from_base64_whatever_it_stands_behind(key: str, before: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for behind in ("", "x", "xy"):
            letters = encode(f"{before}{key}{behind}".encode()).decode()
            for written in (letters, letters.replace("/", "\\/"), quote(letters, safe="")):
                text = scrub(f'{{"a":"{written}"}}', [key])
                assert "dropped" in text
                # What is left of it is around the key, but for a letter of the key's that shares its bits.
                assert len(text) < len('{"a":"dropped"}') + 4 * len(before + behind) + 7


def test_a_key_goes_without_the_beginning_that_relays_take_off() -> None:
    assert scrub(f"no token {KEY[3:]}", [KEY]) == "no token dropped"
    letters = base64.b64encode(f"x{KEY[3:]}".encode()).decode()
    assert scrub(letters, [KEY])[1:] in {"dropped", "dropped=", "dropped=="}
    assert scrub("no token abcdef", ["sk-abcdef"]) == "no token abcdef"


def test_a_key_of_odd_bytes_goes_too() -> None:
    assert scrub("is caf\udce9-key-12 known?", ["caf\udce9-key-12"]) == "is dropped known?"


def test_a_key_goes_from_within_addresses() -> None:
    key = "opaque/key+1 %"
    for written in (quote(key), quote(key, safe=""), quote_plus(key)):
        assert (
            scrub(f"see https://relay.example/?by={written}&b=c", [key]) == "see https://relay.example/?by=dropped&b=c"
        )


def test_ids_of_an_account_go_where_the_answer_is_about_it() -> None:
    text = '{"data":{"id":12,"quota":500}}'
    assert scrub(text, account=True) == '{"data":{"id":0,"quota":500}}'
    assert scrub(text) == text
    assert scrub('{"name":"mine","key":"0123456789"}', account=True) == '{"name":"mine","key":"dropped"}'
    assert is_about_an_account("/api/user/self")
    assert not is_about_an_account("/v1/models")


def test_queries_keep_their_names() -> None:
    assert scrub_query("b=2&key=abc&a=1") == "a=1&b=2&key=dropped"
    assert scrub_query(f"{KEY}=1&a={KEY}") == "a=dropped&dropped=1"
    assert scrub_query("X-Goog-Credential=x&OSSAccessKeyId=y&accessToken=") == (
        "OSSAccessKeyId=dropped&X-Goog-Credential=dropped&accessToken=dropped"
    )


def test_fields_of_forms_too() -> None:
    assert scrub_field("user", "jane") == "dropped"
    assert scrub_field("prompt", f"my key is {KEY}") == "my key is dropped"


def test_headers_are_kept_by_a_list() -> None:
    sent = {"Authorization": KEY, "Cookie": "a=b", "Accept": "*/*", "X-Ratelimit-Limit": "1", "User-Agent": "x"}
    assert scrub_headers(sent, REQUEST_HEADERS) == {"accept": "*/*"}
    came = {
        "Set-Cookie": "session=1",
        "openai-organization": "mine",
        "X-RateLimit-Remaining-Requests": "9",
        "X-Request-Id": "abc",
        "Retry-After": "1",
    }
    assert scrub_headers(came, ANSWER_HEADERS) == {
        "retry-after": "1",
        "x-ratelimit-remaining-requests": "9",
        "x-request-id": "abc",
    }
