"""What the parts of a message promise: on the wire they are what the API's pages show."""

from __future__ import annotations

import json
import pickle
from typing import Any

import msgspec
import pytest

from tutuclient.media.parts import ImagePart, ImageURL, Message, TextPart, assistant, system, user

PICTURE = ImagePart(ImageURL("https://img.example/1.png", "high"))


def written(thing: Any) -> Any:
    return json.loads(msgspec.json.encode(thing))


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (TextPart("hi"), {"type": "text", "text": "hi"}),
        (PICTURE, {"type": "image_url", "image_url": {"url": "https://img.example/1.png", "detail": "high"}}),
        (ImagePart(ImageURL("data:,")), {"type": "image_url", "image_url": {"url": "data:,"}}),
        (user("hi"), {"role": "user", "content": "hi"}),
        (user("hi", name="eve"), {"role": "user", "content": "hi", "name": "eve"}),
        (user(), {"role": "user", "content": []}),
        (
            user("what is", PICTURE),
            {"role": "user", "content": [written(TextPart("what is")), written(PICTURE)]},
        ),
        (
            user("a", "b", {"type": "x"}),
            {"role": "user", "content": [written(TextPart("a")), written(TextPart("b")), {"type": "x"}]},
        ),
        (user(PICTURE), {"role": "user", "content": [written(PICTURE)]}),
        (system("be brief"), {"role": "system", "content": "be brief"}),
        (assistant("ok"), {"role": "assistant", "content": "ok"}),
        (Message("tool", "4 C", tool_call_id="c1"), {"role": "tool", "content": "4 C", "tool_call_id": "c1"}),
        (Message("assistant", tool_calls=[{"id": "c1"}]), {"role": "assistant", "tool_calls": [{"id": "c1"}]}),
    ],
)
def test_is_written_as_the_api_shows_it(thing: Any, expected: object) -> None:
    assert written(thing) == expected


def test_equal_messages_are_equal_and_travel() -> None:
    message = user("what is", PICTURE)
    assert message == user("what is", PICTURE)
    assert pickle.loads(pickle.dumps(message)) == message  # noqa: S301  (our own bytes)
