import gzip
import json
import math
from typing import Any

import aiohttp
import pytest

from tests.testing.faults.wire import End, fetch, meet, payload
from tutuclient.testing import FAULTS, Server
from tutuclient.testing.faults import TEXT


async def test_names_an_encoding_that_does_not_exist(server: Server) -> None:
    data, _ = await meet(server, "encoding_none", encoding="utf-8")
    assert b"Content-Encoding: utf-8\r\n" in data


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("short_body", "fin"),
        ("whole_json_but_short", "fin"),
        ("chunked_without_end", "fin"),
        ("reset_mid_body", "reset"),
        ("stalled_body", "open"),
    ],
)
async def test_cuts_a_body(server: Server, name: str, end: End) -> None:
    data, ended = await meet(server, name)
    head, body = data.split(b"\r\n\r\n", 1)
    assert ended == end
    if b"chunked" in head:
        assert not body.endswith(b"0\r\n\r\n")
        assert json.loads(payload(data))
    else:
        assert len(body) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    if name == "whole_json_but_short":
        assert json.loads(body)


@pytest.mark.parametrize("name", ["gzip_cut", "gzip_label_on_plain"])
async def test_breaks_gzip(server: Server, name: str) -> None:
    data, _ = await meet(server, name)
    head, body = data.split(b"\r\n\r\n", 1)
    assert b"Content-Encoding: gzip" in head
    with pytest.raises((OSError, EOFError)):
        gzip.decompress(body)
    assert (name == "gzip_cut") == body.startswith(b"\x1f\x8b")


async def test_sends_a_huge_error(server: Server, http: aiohttp.ClientSession) -> None:
    status, body = await fetch(http, server, "huge_error_body", size=3_000_000, status=503)
    assert (status, len(json.loads(body)["error"]["message"])) == (503, 3_000_000)


@pytest.mark.parametrize(("status", "title"), [(200, b"New API"), (504, b"504 Gateway Time-out")])
async def test_sends_an_html_page(server: Server, http: aiohttp.ClientSession, status: int, title: bytes) -> None:
    got, body = await fetch(http, server, "html", status=status)
    assert got == status
    assert b"<title>" + title in body


WELL_FORMED: dict[str, Any] = {
    "json_null": lambda value: value is None,
    "json_list": lambda value: value == [1, 2, 3],
    "json_string": lambda value: value == "hello",
    "wrong_types": lambda value: value["choices"] == {"0": "no"},
    "choices_missing": lambda value: "choices" not in value and value["id"],
    "choices_null": lambda value: value["choices"] is None,
    "choices_not_list": lambda value: value["choices"] == "none",
    "choices_empty": lambda value: value["choices"] == [],
    "lone_surrogate": lambda value: value["choices"][0]["message"]["content"] == "half \ud83d",
    "number_1e999": lambda value: value["created"] == math.inf,
    "nan": lambda value: math.isnan(value["created"]),
    "enveloped": lambda value: value["code"] == 200 and value["data"]["choices"],
    "ok_with_error_object": lambda value: value["error"]["code"] == 500,
    "ok_with_error_string": lambda value: value["error"] == "upstream gave up",
    "ok_with_code_msg": lambda value: value["msg"] == "balance too low",
    "ok_with_detail": lambda value: value["detail"][0]["msg"] == "bad",
    "ok_with_base_resp": lambda value: value["base_resp"]["status_code"] == 1008,
    "ok_with_error_list": lambda value: value[0]["error"]["code"] == 503,
    "ok_with_task": lambda value: value["task_id"] == "t-1",
    "error_in_choice": lambda value: value["choices"][0]["error"]["metadata"] == {"raw": "upstream fell over"},
    "success_false": lambda value: value["success"] is False,
    "json_for_stream": lambda value: value["choices"][0]["message"]["content"] == TEXT,
}


BROKEN = {
    "empty_body": b"",
    "plain_text": b"upstream is busy",
    "broken_json": b'{"id": "chatcmpl-fault"',
    "two_objects": b'{"id": "chatcmpl-fault"',
    "error_behind_answer": b'{"id": "chatcmpl-fault"',
    "invalid_utf8": b'{"id": "chatcmpl-fault"',
    "deep_nesting": b'{"id": "chatcmpl-fault"',
    "huge_integer": b'{"id": "chatcmpl-fault"',
}


@pytest.mark.parametrize("name", WELL_FORMED)
async def test_sends_odd_json(server: Server, http: aiohttp.ClientSession, name: str) -> None:
    status, body = await fetch(http, server, name)
    assert status == 200
    assert WELL_FORMED[name](json.loads(body))


@pytest.mark.parametrize("name", BROKEN)
async def test_sends_what_json_cannot_read(server: Server, http: aiohttp.ClientSession, name: str) -> None:
    status, body = await fetch(http, server, name)
    assert status == 200
    assert body.startswith(BROKEN[name])
    with pytest.raises((ValueError, RecursionError)):
        json.loads(body)


async def test_nests_and_counts_as_far_as_asked(server: Server, http: aiohttp.ClientSession) -> None:
    assert json.loads((await fetch(http, server, "deep_nesting", depth=3))[1])["deep"] == [[[]]]
    assert json.loads((await fetch(http, server, "huge_integer", digits=30))[1])["created"] == int("9" * 30)


def test_the_tables_here_leave_no_plain_body_out() -> None:
    bodies = {name for name, fault in FAULTS.items() if fault.group == "body" and set(fault.options) == {"status"}}
    assert bodies - {"html"} <= {*WELL_FORMED, *BROKEN}
