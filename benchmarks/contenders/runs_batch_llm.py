"""Many images with async-batch-llm, around openai's client as its README shows; the retries are all its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from async_batch_llm import CallableStrategy, CallOutcome, ProcessorConfig, RateLimitConfig, process_stream
from async_batch_llm.classifiers.openai import OpenAIErrorClassifier
from openai import AsyncOpenAI

from benchmarks.contenders import KEY, MODEL
from benchmarks.contenders.runs import AT_ONCE
from benchmarks.contenders.runs_openai import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_COOLDOWN_S = 5.0


class Batch:
    """``process_stream`` with bounded queues, as its README has it for large runs."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    async def answer(
        self,
        paths: Sequence[Path],
        done: Callable[[], None],
        limit: Mapping[str, Any],  # noqa: ARG002  (Typed's)
    ) -> None:
        await self._stream(paths, done, concurrency=AT_ONCE)

    async def _stream(self, paths: Sequence[Path], done: Callable[[], None], **config: Any) -> None:
        async def invoke(prompt: str, *, attempt: int, timeout: float, state: Any) -> Any:  # noqa: ARG001  (its signature)
            answer = await client.chat.completions.create(model=MODEL, messages=messages(Path(prompt)))
            usage = answer.usage
            tokens = {
                "input_tokens": usage.prompt_tokens,
                "output_tokens": usage.completion_tokens,
                "total_tokens": usage.total_tokens,
            }
            return CallOutcome(answer.choices[0].message.content, token_usage=tokens)

        strategy = CallableStrategy(invoke, error_classifier=OpenAIErrorClassifier())
        bounded = ProcessorConfig(max_queue_size=128, max_result_queue_size=64, **config)
        async with AsyncOpenAI(api_key=KEY, base_url=self._base_url, max_retries=0) as client:
            async for result in process_stream(strategy, ((str(path), str(path)) for path in paths), config=bounded):
                if result.success and result.output:
                    done()


class Typed(Batch):
    """The same with the relay's limit typed in, and a pause of seconds after a refusal in place of five minutes."""

    async def answer(self, paths: Sequence[Path], done: Callable[[], None], limit: Mapping[str, Any]) -> None:
        rate = limit.get("rate")
        config: dict[str, Any] = {} if rate is None else {"max_requests_per_minute": 60 * rate}
        pause = RateLimitConfig(cooldown_seconds=_COOLDOWN_S, slow_start_items=0)
        await self._stream(paths, done, concurrency=limit.get("concurrency", AT_ONCE), rate_limit=pause, **config)
