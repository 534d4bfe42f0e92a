from typing import Any

from tutuclient.testing import chunk
from tutuclient.testing.chat import choices, usage


def test_builds_chunks() -> None:
    made = chunk("a", index=1, finish_reason="stop", model="m", reasoning_content="r")
    assert made["model"] == "m"
    assert made["choices"] == [
        {"index": 1, "delta": {"reasoning_content": "r", "content": "a"}, "logprobs": None, "finish_reason": "stop"}
    ]


def test_a_choice_is_the_same_whole_and_in_chunks() -> None:
    audio = {"id": "a", "data": "A" * 40_000, "transcript": "one two", "expires_at": 7}
    (choice,) = choices({}, "two words", {"reasoning_content": "hm hm", "audio": audio, "images": [1]})
    deltas: list[Any] = [each["choices"][0]["delta"] for each in choice.chunks({})]
    message = choice.whole()["message"]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content") or "" for delta in deltas) == message["content"] == "two words"
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == message["reasoning_content"]
    assert "".join(delta.get("audio", {}).get("data", "") for delta in deltas) == message["audio"]["data"]
    assert "".join(delta.get("audio", {}).get("transcript", "") for delta in deltas) == "one two"
    assert {"images": [1]} in deltas


def test_a_text_that_is_cut_ends_by_length() -> None:
    (choice,) = choices({}, "one two three", {}, max_tokens=2)
    assert (choice.content, choice.finish) == ("one two", "length")


def test_there_are_as_many_choices_as_asked_within_reason() -> None:
    assert [choice.content for choice in choices({"n": 2}, "a", {}, numbered=True)] == ["a", "(Choice 2) a"]
    assert len(choices({"n": 1000}, "a", {})) == 1


def test_probabilities_are_listed_when_asked_for() -> None:
    (choice,) = choices({"logprobs": True, "top_logprobs": 1}, "one two", {})
    logprobs = choice.whole()["logprobs"]
    assert [each["token"] for each in logprobs["content"]] == ["one", " two"]
    assert choices({}, "one two", {})[0].whole()["logprobs"] is None


def test_counts_what_is_said_thought_and_called() -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}
    counted = usage({}, choices({}, "one two", {"reasoning_content": "hm", "tool_calls": [call]}))
    assert counted["completion_tokens_details"]["reasoning_tokens"] == 1
    assert counted["completion_tokens"] > 2 + 1 + 7
    assert counted["total_tokens"] == counted["completion_tokens"]
