"""Keys that are spelt over several texts: wherever they are cut, none of them is in what is written."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tutuclient.testing.cassettes.split_keys import SplitKeys

KEY = "sk-aBcDeFgHiJkLmNoPqRsTuVwX0123"
BASE64 = base64.b64encode(f"Bearer {KEY}".encode()).decode()
TEXT = f"It is {KEY}, as you know."


def delta(text: str | None, **fields: Any) -> dict[str, Any]:
    """Return an event of a stream of chat, as a part of a cassette."""
    choice = {"index": 0, "delta": {"content": text}, **fields}
    return {"t": 0.1, "event": {"id": "chatcmpl-s", "model": "gpt-s", "choices": [choice]}}


def kept(parts: list[dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    split = SplitKeys(keys or [KEY])
    written = [json.dumps(each) for part in parts for each in split.feed(part)]
    return [json.loads(each) for each in (*written, *map(json.dumps, split.finish()))]


def text_of(parts: list[dict[str, Any]]) -> str:
    return "".join(part["event"]["choices"][0]["delta"]["content"] or "" for part in parts)


@pytest.mark.parametrize("cut", range(1, len(TEXT)))
def test_a_key_over_two_deltas_goes_wherever_it_is_cut(cut: int) -> None:
    parts = kept([delta(TEXT[:cut]), delta(TEXT[cut:]), delta(None, finish_reason="stop")])
    assert len(parts) == 3
    left = text_of(parts).replace("dropped", "", 1)
    # Fewer than four letters of the beginning may be in the file before it is known for one.
    assert left in {"It is , as you know.", *(f"It is {KEY[:each]}, as you know." for each in (1, 2, 3))}


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("text", [TEXT, f"{KEY}{KEY}", BASE64, f"no {KEY.encode().hex()}", f"no {KEY[3:]}!"])
def test_a_key_goes_from_deltas_of_any_size(text: str, size: int) -> None:
    parts = kept([delta(text[at : at + size]) for at in range(0, len(text), size)])
    left = text_of(parts)
    assert not [form for form in (KEY[4:], KEY[:10], BASE64[16:-4], KEY.encode().hex()[8:]) if form in left]
    assert "dropped" in left


def test_what_holds_no_key_is_passed_on_at_once_and_as_it_is() -> None:
    split = SplitKeys([KEY])
    parts = [delta(text) for text in ("this ", "is", " sk", "-", "b", "aBad", " risk-", "s")]
    assert [list(split.feed(part)) for part in parts] == [[part] for part in parts]
    assert list(split.finish()) == []


def test_what_may_be_a_key_waits_with_all_that_comes_behind_it() -> None:
    split = SplitKeys([KEY])
    first, other, last = delta(KEY[:9]), {"t": 0.2, "text": ": ping\n\n"}, delta("no key")
    assert list(split.feed(first)) == []
    assert list(split.feed(other)) == []
    assert list(split.feed(last)) == [first, other, last]
    assert text_of([first, last]) == f"{KEY[:9]}no key"


def test_choices_and_tool_calls_are_read_apart() -> None:
    one = [delta(KEY[:12]), delta(KEY[12:])]
    two = [delta("x"), delta("y")]
    for part in two:
        part["event"]["choices"][0]["index"] = 1
    parts = kept([one[0], two[0], one[1], two[1]])
    assert text_of(parts) == "droppedxy"
    calls = [
        {"t": 1, "event": {"delta": {"tool_calls": [{"index": index, "function": {"arguments": text}}]}}}
        for index, text in ((0, KEY[:8]), (1, "{}"), (0, KEY[8:] + '"'))
    ]
    assert KEY[8:] not in json.dumps(kept(calls))


def test_events_that_are_no_compact_json_are_written_anew_where_they_had_a_key() -> None:
    parts = [
        {"t": at, "text": f'event: x\r\ndata: {{"d": "{text}"}}\r\n\r\n'}
        for at, text in enumerate((KEY[:9], KEY[9:], "z"))
    ]
    assert [part["text"] for part in kept(parts)] == [
        'event: x\r\ndata: {"d": "dropped"}\r\n\r\n',
        'event: x\r\ndata: {"d": ""}\r\n\r\n',
        'event: x\r\ndata: {"d": "z"}\r\n\r\n',
    ]
    plain = [
        {"t": at, "text": f"data: {text}\ndata: b\n\n"} for at, text in enumerate((f"a\ndata: {KEY[:9]}", KEY[9:]))
    ]
    del plain[1]
    assert kept(plain) == plain
    plain = [
        {"t": at, "text": f"data: {text}\n\n"} for at, text in enumerate((f"a\ndata: {KEY[:9]}", f"{KEY[9:]}\ndata:b"))
    ]
    assert [part["text"] for part in kept(plain)] == ["data: a\ndata: dropped\n\n", "data: \ndata: b\n\n"]


def test_a_key_goes_from_the_tokens_of_a_list_and_from_lines_of_json() -> None:
    tokens = {
        "json": {"content": [{"token": each, "logprob": -1, "bytes": [1, 2]} for each in (KEY[:5], KEY[5:9], KEY[9:])]}
    }
    (part,) = kept([tokens])
    assert [each["token"] for each in part["json"]["content"]] == ["dropped", "", ""]
    lines = "\n".join(json.dumps({"response": each}) for each in ("a", KEY[:9], KEY[9:])) + "\n"
    assert kept([{"text": lines}]) == [{"text": '{"response": "a"}\n{"response": "dropped"}\n{"response": ""}\n'}]


def test_a_key_in_escapes_of_json_goes() -> None:
    escaped = "".join(f"\\u{ord(each):04x}" for each in KEY)
    assert kept([{"text": f'{{ "a": "{escaped}" }}'}]) == [{"text": '{"a": "dropped"}'}]
    assert kept([{"text": f'data: {{"a":"{escaped}"}}\n\n'}]) == [{"text": 'data: {"a": "dropped"}\n\n'}]


@pytest.mark.parametrize("length", [3, 7, 8, 20, len(KEY) - 1])
def test_a_key_that_breaks_off_with_its_answer_goes(length: int) -> None:
    parts = kept([delta("is "), delta(KEY[:length])])
    assert text_of(parts) == ("is dropped" if length >= 8 else f"is {KEY[:length]}")


def test_two_keys_and_none() -> None:
    other = "hunter2-hunter2"
    assert text_of(kept([delta(f"{KEY} {other[:6]}"), delta(f"{other[6:]} {KEY}")], KEY, other)) == (
        "dropped dropped dropped"
    )
    part = delta(KEY)
    assert list(SplitKeys([]).feed(part)) == [part]


@pytest.mark.parametrize(
    "part", [{"t": 0, "media": "x"}, {"json": None}, {"json": KEY}, {"json": [[], {}, 1.5]}, {"text": "{"}]
)
def test_odd_parts(part: dict[str, Any]) -> None:
    (left,) = kept([dict(part)])
    assert left == ({"json": "dropped"} if part == {"json": KEY} else part)
