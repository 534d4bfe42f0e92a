"""What a legacy completion promises: its first text at hand, and what the relay left out left out."""

from __future__ import annotations

import pickle

from tutuclient import wire
from tutuclient.types.answer import Meta
from tutuclient.types.completions import Completion, CompletionChoice


def test_the_first_text_is_at_hand() -> None:
    completion = Completion(choices=[CompletionChoice(text="a", finish_reason="stop"), CompletionChoice(text="b")])
    assert (completion.text, completion.finish_reason) == ("a", "stop")
    assert (Completion().text, Completion().finish_reason, Completion().usage) == ("", None, None)


def test_a_completion_travels() -> None:
    body = b'{"choices":[{"text":"a","logprobs":{"tokens":["a"]},"odd":1}],"usage":{"prompt_tokens":1},"more":2}'
    completion = wire.read_text(body, Meta(200))
    again = pickle.loads(pickle.dumps(completion))  # noqa: S301  (our own bytes)
    assert again == completion
    assert (again.extra, again.choices[0].extra) == ({"more": 2}, {"odd": 1})
    assert again.choices[0].logprobs == {"tokens": ["a"]}
