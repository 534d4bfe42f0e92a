from __future__ import annotations

import sys

import pytest

from tutuclient import RateLimitError, RetryPolicy, TutuClient
from tutuclient.testing import patched_aioresponses

URL = "https://relay.example/v1"
WHOLE = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}]}


async def test_a_call_is_answered_by_the_mock() -> None:
    with patched_aioresponses() as mock:
        mock.post(f"{URL}/chat/completions", status=429, payload={"error": {"message": "slow down"}})
        mock.post(f"{URL}/chat/completions", payload=WHOLE)
        async with TutuClient("sk-0123456789", URL, retry=RetryPolicy(wait_initial=0.01)) as client:
            answer = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
            assert (answer.text, answer.meta.attempts) == ("hello", 2)
            mock.post(f"{URL}/chat/completions", status=429)
            with pytest.raises(RateLimitError):
                await client.with_options(max_retries=0).chat.completions.create(
                    model="m", messages=[{"role": "user", "content": "hi"}]
                )
        assert len(mock.requests) == 1


async def test_it_is_a_decorator_and_has_its_options_too() -> None:
    @patched_aioresponses(param="mock")
    async def ask(mock: object = None) -> object:
        return mock

    assert hasattr(await ask(), "requests")


def test_without_aioresponses_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aioresponses", None)
    with pytest.raises(ImportError, match="patched_aioresponses needs aioresponses: pip install aioresponses"):
        patched_aioresponses()
