"""Legacy completions over a real socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import APIStatusError, ConfigError, OutcomeUnknownError, UnexpectedResponseError
from tutuclient.testing import fails, raw

if TYPE_CHECKING:
    from tutuclient import TutuClient
    from tutuclient.testing import Server
    from tutuclient.testing.script import Answer


def completes(*texts: str, **fields: Any) -> Answer:
    choices = [{"index": index, "text": text, "finish_reason": "stop"} for index, text in enumerate(texts)]
    whole = {"id": "c1", "object": "text_completion", "created": 5, "model": "m", "choices": choices}
    return raw(body=json.dumps(whole | fields).encode())


async def test_a_whole_completion_has_text_usage_and_meta(client: TutuClient, server: Server) -> None:
    server.answers(completes(" world", "!", usage={"prompt_tokens": 1, "completion_tokens": 2}))
    answer = await client.completions.create(model="m", prompt="hello", n=2, extra_body={"top_k": 5})
    assert (answer.text, [choice.text for choice in answer.choices]) == (" world", [" world", "!"])
    assert answer.usage is not None
    assert (answer.finish_reason, answer.usage.total_tokens, answer.meta.status) == ("stop", 3, 200)
    assert server.requests[0].path == "/v1/completions"
    assert server.requests[0].json == {"model": "m", "prompt": "hello", "n": 2, "top_k": 5}


@pytest.mark.parametrize("prompt", ["a", ["a", "b"], [1, 2], [[1], [2]], None])
async def test_a_prompt_may_be_text_or_tokens(client: TutuClient, server: Server, prompt: Any) -> None:
    server.answers(completes("x"))
    await client.completions.create(model="m", prompt=prompt)
    assert server.requests[0].json["prompt"] == prompt


async def test_what_is_no_completion_is_an_error(client: TutuClient, server: Server) -> None:
    server.answers(raw(body=b'{"object":"text_completion"}'), raw(body=b'{"error":{"message":"no"}}'))
    with pytest.raises(UnexpectedResponseError, match="without choices"):
        await client.completions.create(model="m", prompt="a")
    with pytest.raises(APIStatusError, match="no"):
        await client.completions.create(model="m", prompt="a")


async def test_a_busy_relay_is_asked_again(client: TutuClient, server: Server) -> None:
    server.answers(fails(503, "busy"), completes("x"))
    assert (await client.completions.create(model="m", prompt="a")).meta.attempts == 2


async def test_a_model_that_draws_is_not_asked_twice_in_silence(client: TutuClient, server: Server) -> None:
    server.faults("fin_after_request", times=3)
    with pytest.raises(OutcomeUnknownError):
        await client.completions.create(model="gpt-4o-image", prompt="a")
    assert len(server.requests) == 1


async def test_what_cannot_be_written_is_not_sent(client: TutuClient, server: Server) -> None:
    with pytest.raises(ConfigError):
        await client.completions.create(model="m", prompt="a", extra_body={"x": object()})
    assert server.requests == []
