from __future__ import annotations

import pytest

from tutuclient.integrations.web.frames import HEARTBEAT, Frame
from tutuclient.wire.sse import Decoder


def read(text: str) -> list[tuple[str, str]]:
    decoder = Decoder()
    return [(name or "", bytes(data).decode()) for name, data in [*decoder.feed(text.encode()), *decoder.flush()]]


@pytest.mark.parametrize(
    ("sent", "came"),
    [
        ("plain", "plain"),
        ("two\nlines", "two\nlines"),
        ("CR\rand CRLF\r\nare LF", "CR\nand CRLF\nare LF"),
        ("\n", "\n"),
        ("\n\n\nend", "\n\n\nend"),
        (" one space", " one space"),
        ("no: field\nid: 7\nevent: x", "no: field\nid: 7\nevent: x"),
        (
            "U+2028 \u2028 U+2029 \u2029 NEL \x85 VT \x0b FF \x0c",
            "U+2028 \u2028 U+2029 \u2029 NEL \x85 VT \x0b FF \x0c",
        ),
        ("NUL \0 inside", "NUL \0 inside"),
        ("蓝天白云 🐈", "蓝天白云 🐈"),
    ],
)
def test_data_arrives_as_it_was_but_for_its_line_ends(sent: str, came: str) -> None:
    assert read(Frame(sent).encode()) == [("", came)]
    assert read(Frame(sent, event="named").encode() + Frame("next").encode()) == [("named", came), ("", "next")]


def test_a_comment_is_no_event() -> None:
    assert read(HEARTBEAT.encode()) == []
    assert HEARTBEAT.encode().startswith(":")
    assert read(Frame(comment="two\nlines").encode()) == []


def test_an_id_alone_is_no_event() -> None:
    assert read(Frame(id="1").encode()) == []
    assert Frame("x", id="1").encode() == "id: 1\ndata: x\n\n"
