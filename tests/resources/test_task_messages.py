"""The message of a question about images; ``tests/test_client.py`` sends it."""

from __future__ import annotations

from typing import Any

import pytest

from tutuclient import ConfigError, MediaError, image
from tutuclient.resources.task_messages import prompt_text, question

ADDRESS = "https://relay.example/cat.png"


def test_the_prompt_comes_before_the_images() -> None:
    message = question([ADDRESS, image(ADDRESS, detail="low")], "What?", "high", None)
    text, *images = message["content"]
    assert text == {"type": "text", "text": "What?"}
    assert [part.image_url.detail for part in images] == ["high", "low"]


@pytest.mark.parametrize(
    ("images", "prompt", "side", "error"),
    [
        ([], "What?", None, MediaError),
        ("What?", "cat.png", None, ConfigError),
        (ADDRESS, "", None, ConfigError),
        (ADDRESS, "dog.png", None, MediaError),
        ([ADDRESS, None], "What?", None, MediaError),
        (b"x", "What?", 0, ConfigError),
        (b"x", "What?", True, ConfigError),
        (image(ADDRESS), "What?", 64, MediaError),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_sent(
    images: Any, prompt: str, side: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        question(images, prompt, "high", side)


def test_a_prompt_is_text() -> None:
    assert prompt_text("a cat") == "a cat"
    with pytest.raises(ConfigError):
        prompt_text(b"a cat")
