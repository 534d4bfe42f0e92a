from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest

from tutuclient.testing import sample_picture, sample_sound
from tutuclient.testing.cassettes.bodies import RELAY, Parts, neutral, pieces, request_body
from tutuclient.testing.cassettes.media import digest

ORIGIN = "https://relay.example"
PICTURE = sample_picture()
LETTERS = base64.b64encode(PICTURE)
KEY = "sk-0123456789abcdef"
EVENTS = (
    'data: {"choices":[{"delta":{"content":"你好"}}]}\n\n'
    ": ping\n\n"
    'data: {"choices": [{"delta": {"content": "spaces"}}]}\r\n\r\n'
    "event: x\ndata: y\n\n"
    "data: [DONE]\n\n"
).encode()


def parts_of(body: bytes, cuts: list[int], kind: str = "text/event-stream") -> list[dict[str, Any]]:
    """Return the lines of a body that came in reads which end at these places."""
    parts = Parts(kind, ORIGIN, [KEY], account=False)
    ends = [0, *cuts, len(body)]
    fed = [each for at, (start, end) in enumerate(pairwise(ends)) for each in parts.feed(float(at), body[start:end])]
    return json.loads(json.dumps([*fed, *parts.finish()]))  # type: ignore[no-any-return]  # as the file has them


def joined(lines: list[dict[str, Any]], origin: str = ORIGIN) -> bytes:
    return b"".join(data for _, data in pieces(lines, origin))


def test_a_request_is_json_without_its_image_and_its_key() -> None:
    body = b'{"model": "m", "messages": [{"content": [{"url": "data:image/png;base64,%s"}, "%s"]}]}' % (
        LETTERS,
        KEY.encode(),
    )
    assert request_body("application/json", body, [KEY], ORIGIN) == {
        "json": {
            "model": "m",
            "messages": [{"content": [{"url": f"data:image/png;base64,{digest(PICTURE)}"}, "dropped"]}],
        }
    }


def test_a_form_is_its_fields_and_digests_of_its_files() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nsky\r\n'
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        + PICTURE
        + b"\r\n--b--\r\n"
    )
    assert request_body("multipart/form-data; boundary=b", body, [], ORIGIN) == {
        "form": [["prompt", "sky"], ["image", {"filename": "a.png", "media": digest(PICTURE)}]]
    }
    assert "media" in request_body("multipart/form-data; boundary=other", body, [], ORIGIN)
    assert request_body("application/x-www-form-urlencoded", b"a=1&api_key=x", [], ORIGIN) == {
        "form": [["a", "1"], ["api_key", "dropped"]]
    }


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"", {}),
        (b"{broken", {"text": "{broken"}),
        (PICTURE, {"media": digest(PICTURE)}),
        (b"\xff\0\xfe", {"media": digest(b"\xff\0\xfe")}),
        (b"[" * 100_000, {"text": "[" * 100_000}),
        (f'"{ORIGIN}/v1/files/a.png"'.encode(), {"json": f"{RELAY}/v1/files/a.png"}),
    ],
)
def test_other_requests(body: bytes, kept: dict[str, Any]) -> None:
    assert request_body("application/json", body, [], ORIGIN) == kept


def test_the_address_is_the_relays_and_no_other() -> None:
    for text in (f"{ORIGIN}/a", f"({ORIGIN}).", f"{ORIGIN}"):
        assert neutral(text, ORIGIN) == text.replace(ORIGIN, RELAY)
    assert neutral(r"https:\/\/relay.example\/a", ORIGIN) == RELAY + r"\/a"
    for text in (f"{ORIGIN}.evil.example/", f"{ORIGIN}:8443/", f"{ORIGIN}s/"):
        assert neutral(text, ORIGIN) == text


def test_each_event_has_its_line() -> None:
    lines = parts_of(EVENTS, [])
    assert lines == [
        {"t": 0.0, "event": {"choices": [{"delta": {"content": "你好"}}]}},
        {"t": 0.0, "text": ": ping\n\n"},
        {"t": 0.0, "text": 'data: {"choices": [{"delta": {"content": "spaces"}}]}\r\n\r\n'},
        {"t": 0.0, "text": "event: x\ndata: y\n\n"},
        {"t": 0.0, "text": "data: [DONE]\n\n"},
    ]
    assert pieces(lines, ORIGIN) == [(0.0, EVENTS)]


@pytest.mark.parametrize("cut", range(1, len(EVENTS)))
def test_a_stream_is_replayed_read_by_read_wherever_it_was_cut(cut: int) -> None:
    assert pieces(parts_of(EVENTS, [cut]), ORIGIN) == [(0.0, EVENTS[:cut]), (1.0, EVENTS[cut:])]


def test_a_stream_is_replayed_byte_by_byte() -> None:
    reads = pieces(parts_of(EVENTS, list(range(1, len(EVENTS)))), ORIGIN)
    assert reads == [(float(at), EVENTS[at : at + 1]) for at in range(len(EVENTS))]


def test_an_event_is_written_as_soon_as_it_is_complete() -> None:
    parts = Parts("text/event-stream", ORIGIN, [], account=False)
    assert list(parts.feed(0.0, b"data: 1")) == []
    assert list(parts.feed(1.0, b"\n")) == []
    assert list(parts.feed(2.0, b"\ndata: 2\n")) == [{"chunks": [[0.0, 7], [1.0, 1], [2.0, 1]], "event": 1}]
    assert list(parts.finish()) == [{"t": 2.0, "text": "data: 2\n"}]


def test_events_are_known_without_their_content_type() -> None:
    assert len(parts_of(EVENTS, [], "application/json")) == 5


def test_an_image_keeps_the_places_of_its_reads() -> None:
    body = b'data: {"b64_json":"%s"}\n\ndata: [DONE]\n\n' % LETTERS
    lines = parts_of(body, [10_000, 20_000, 30_000])
    assert LETTERS[:50].decode() not in json.dumps(lines)
    assert [len(data) for _, data in pieces(lines, ORIGIN)] == [10_000, 10_000, 10_000, len(body) - 30_000]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1.50,"b":[null,true,"\xe4\xbd\xa0"]}',
        b'{"a": 1}',
        b'{"a":NaN}',
        b'{"a":1,"a":2}',
        b'{"a":"\\u003c\\ud800"}',
        b"[" * 100_000,
        b"<html>no</html>",
        b"\xff\xfe broken \xe4\xbd",
        b"1" * 5000,
    ],
)
def test_other_bodies_are_replayed_byte_for_byte(body: bytes) -> None:
    lines = parts_of(body, [3], "application/json")
    assert len(lines) == 1
    assert pieces(lines, ORIGIN) == [(0.0, body[:3]), (1.0, body[3:])]


def test_json_is_json_where_it_can_be_written_again() -> None:
    assert parts_of(b'{"a":1}', [], "application/json") == [{"t": 0.0, "json": {"a": 1}}]


def test_files_are_digests_and_stand_ins() -> None:
    for data, kind in (
        (PICTURE, "application/octet-stream"),
        (sample_sound(), "audio/wav"),
        (b"\1\0" * 9, "audio/pcm"),
    ):
        (line,) = parts_of(data, [5], kind)
        assert line == {"chunks": [[0.0, 5], [1.0, len(data) - 5]], "media": digest(data, kind)}
        (_, first), (_, rest) = pieces([line], ORIGIN)
        assert (len(first), len(rest)) == (5, len(data) - 5)


def test_keys_go_and_the_address_becomes_the_one_that_is_asked() -> None:
    body = f'{{"url":"{ORIGIN}/v1/files/a.png","echo":"{KEY}"}}'.encode()
    lines = parts_of(body, [20], "application/json")
    assert lines[0]["json"] == {"url": f"{RELAY}/v1/files/a.png", "echo": "dropped"}
    assert joined(lines, "http://127.0.0.1:8017") == b'{"url":"http://127.0.0.1:8017/v1/files/a.png","echo":"dropped"}'
