"""What a legacy completion promises: its first text at hand, and what the relay left out left out."""

from __future__ import annotations

import json
import pickle

from tutuclient import wire
from tutuclient._meta import Meta
from tutuclient.types.completions import Completion, CompletionChoice, CompletionLogprobs


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
    assert again.choices[0].logprobs == CompletionLogprobs(tokens=["a"])


def test_logprobs_are_typed() -> None:
    given = {"tokens": ["a"], "token_logprobs": [None, -1], "top_logprobs": [None, {"b": -2.5}], "text_offset": [0, 1]}
    data = json.dumps({"choices": [{"text": "ab", "logprobs": given | {"own": 1}}]}).encode()
    for start in (b"", b"\xef\xbb\xbf"):
        logprobs = wire.read_text(start + data, Meta(200)).choices[0].logprobs
        assert logprobs is not None
        assert (logprobs.tokens, logprobs.token_logprobs) == (["a"], [None, -1.0])
        assert (logprobs.top_logprobs, logprobs.text_offset) == ([None, {"b": -2.5}], [0, 1])
        assert logprobs.extra == {"own": 1}
