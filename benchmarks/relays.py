"""Two relays, of which one is at fault: tutuclient beside litellm's Router.

``python -m benchmarks relays`` has each client make the same calls, 32 at once, over two relays on loopback. Both
clients are told of the two relays and to try twice more, everything else is as it is by default. The good relay answers
each prompt with its own text; the other does what the row's name says. What is counted at the relays: how often an
image was made, or begun, for one order. What is counted at the client:

* lost: calls that ended with an error although a relay was there that would have answered, and no order was open;
* open: orders of an image that ended with an error after a relay had begun to work on them;
* wrong: answers that are not those to the prompt;
* seconds, and CPU time of the client's process a call.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.contenders import KEY, OURS
from benchmarks.table import lines
from tutuclient.testing import fails, says, sends, serve_in_thread
from tutuclient.testing.faults import answer as fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from benchmarks.rounds import Workers
    from tutuclient.testing import Recorded
    from tutuclient.testing.exchange import Answer

LITELLM = "litellm"
NAMES = (OURS, LITELLM)
_IN_FLIGHT = 32
_CALLS = {"full": 2000, "quick": 600, "tiny": 40}
_QUESTIONS, _ORDERS = "questions", "orders"
_RESET = fault("reset_after_request")
_LIES = (
    sends({"error": {"message": "upstream error", "type": "server_error", "code": 500}}),
    fails(404, "no such model", code="model_not_found"),
    fails(401, "no such key", code="invalid_api_key"),
    fails(429, "too many", headers={"Retry-After": "3600"}),
    fails(500, "boom"),
)
_PIXEL = "iVBORw0KGgo="


def _always(bad: Answer | None) -> Iterator[Answer | None]:
    return itertools.repeat(bad)


# What the relay at fault answers, one after the other; None is a good answer. "dead" has no relay at all.
_ROWS: Mapping[str, tuple[str, Callable[[], Iterator[Answer | None]] | None]] = {
    "both well": (_QUESTIONS, lambda: _always(None)),
    "one dead": (_QUESTIONS, None),
    "one lies": (_QUESTIONS, lambda: itertools.cycle(_LIES)),
    "one breaks connections, one call in four": (_QUESTIONS, lambda: itertools.cycle((None, None, None, _RESET))),
    "orders, both well": (_ORDERS, lambda: _always(None)),
    "orders, one dead": (_ORDERS, None),
    "orders, one lies": (_ORDERS, lambda: itertools.cycle(_LIES)),
    "orders, one breaks connections, one in four": (_ORDERS, lambda: itertools.cycle((None, None, None, _RESET))),
}


class _Relay:
    """One of the two, with its record of what it has begun to make."""

    def __init__(self, answers: Iterator[Answer | None]) -> None:
        self.made: Counter[str] = Counter()
        self._answers = answers

    def __call__(self, request: Recorded) -> Answer:
        fields = request.json
        is_order = "prompt" in fields
        prompt = str(fields["prompt"] if is_order else fields["messages"][0]["content"])
        bad = next(self._answers)
        if bad is None or bad is _RESET:
            self.made[prompt] += 1
        if bad is not None:
            return bad
        return sends({"created": 1, "data": [{"b64_json": _PIXEL}]}) if is_order else says(f"of {prompt}")


class _Asker(Protocol):
    async def question(self, prompt: str) -> str:
        """Send a question, and return the text."""

    async def order(self, prompt: str) -> str:
        """Order an image, and return it in base64."""


class _Ours:
    def __init__(self, urls: Iterable[str]) -> None:
        from tutuclient import Relay, TutuClient  # noqa: PLC0415  (the worker's Python has one of the two)

        self._client = TutuClient(relays=[Relay(url, KEY) for url in urls], max_retries=2)

    async def question(self, prompt: str) -> str:
        messages = [{"role": "user", "content": prompt}]
        return (await self._client.chat.completions.create(model="gpt-4o", messages=messages)).text

    async def order(self, prompt: str) -> str:
        return (await self._client.images.generate(model="gpt-image-1", prompt=prompt)).data[0].b64_json or ""


class _Litellm:
    def __init__(self, urls: Iterable[str]) -> None:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        import litellm  # noqa: PLC0415  (after the setting, as in ``contenders.litellm_sdk``)

        litellm.suppress_debug_info = True
        self._router = litellm.Router(
            model_list=[
                {
                    "model_name": name,
                    "litellm_params": {"model": f"openai/{name}", "api_base": url, "api_key": KEY},
                }
                for url in urls
                for name in ("gpt-4o", "gpt-image-1")
            ],
            num_retries=2,
        )

    async def question(self, prompt: str) -> str:
        messages: Any = [{"role": "user", "content": prompt}]
        answer: Any = await self._router.acompletion(model="gpt-4o", messages=messages)
        return answer.choices[0].message.content or ""

    async def order(self, prompt: str) -> str:
        answer: Any = await self._router.aimage_generation(model="gpt-image-1", prompt=prompt)
        return answer.data[0].b64_json or ""


async def play(contender: str, urls: list[str], kind: str, calls: int) -> dict[str, Any]:
    """Run the calls, in this process; return how they ended, and what they cost."""
    asker: _Asker = (_Ours if contender == OURS else _Litellm)(urls)
    failed: list[str] = []
    wrong = 0
    numbers = iter(range(calls))

    async def work() -> None:
        nonlocal wrong
        for number in numbers:
            prompt = f"{kind} {number}"
            try:
                if kind == _ORDERS:
                    wrong += await asker.order(prompt) != _PIXEL
                else:
                    wrong += await asker.question(prompt) != f"of {prompt}"
            except Exception:  # noqa: BLE001  (whatever a client raises)
                failed.append(prompt)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(_IN_FLIGHT)))
    return {
        "failed": failed,
        "wrong": wrong,
        "seconds": time.perf_counter() - began,
        "cpu_ms": 1000 * (time.process_time() - cpu) / calls,
    }


def run(workers: Workers, names: Iterable[str], scale: str, tell: Callable[[str], object]) -> dict[str, dict[str, Any]]:
    """Measure each client in each row; return its figures by row and client."""
    found: dict[str, dict[str, Any]] = {}
    for row, (kind, answers) in _ROWS.items():
        found[row] = {name: _row(workers, name, kind, answers, _CALLS[scale]) for name in names}
        tell(f"{row}: done")
    return found


def _row(
    workers: Workers, name: str, kind: str, answers: Callable[[], Iterator[Answer | None]] | None, calls: int
) -> dict[str, Any]:
    relays = [_Relay(_always(None)), _Relay(answers() if answers is not None else _always(None))]
    with ExitStack() as stack:
        servers = [stack.enter_context(serve_in_thread()) for _ in relays]
        for server, relay in zip(servers, relays, strict=True):
            server.answers(*[relay] * (20 * calls))
        urls = [server.base_url for server in servers]
        if answers is None:
            urls[1] = "http://127.0.0.1:9/v1"  # The port "discard", at which nobody listens.
        # The faulty one stands first: it has the first turn.
        figures = workers.ask(name, relays={"urls": urls[::-1], "kind": kind, "calls": calls})
    if "absent" in figures:
        return figures
    made = relays[0].made + relays[1].made
    failed = figures.pop("failed")
    is_open = [prompt for prompt in failed if kind == _ORDERS and made[prompt]]
    twice = sum(count - 1 for count in made.values())
    return {**figures, "lost": len(failed) - len(is_open), "open": len(is_open), "again": twice}


def tables(found: Mapping[str, Mapping[str, Mapping[str, Any]]], calls: int) -> Iterable[str]:
    """Yield the table: for each row and client the counts, and the costs as ratios to ours."""
    head = ("", "client", "lost", "open", "made again", "wrong", "seconds", "CPU ms a call", "x CPU", "x time")
    rows = []
    for row, clients in found.items():
        ours = clients.get(OURS, {})
        for name, figures in clients.items():
            if "absent" in figures:
                rows.append((row, name, figures["absent"], *[""] * (len(head) - 3)))
                continue
            ratios = [f"{figures[key] / ours[key]:.1f}" if ours.get(key) else "-" for key in ("cpu_ms", "seconds")]
            counts = [str(figures[key]) for key in ("lost", "open", "again", "wrong")]
            costs = [f"{figures['seconds']:.1f}", f"{figures['cpu_ms']:.2f}"]
            rows.append((row, name, *counts, *costs, *ratios))
    yield f"## Two relays, one of them at fault: {calls} calls a row, {_IN_FLIGHT} at once"
    yield ""
    yield from lines([head, *rows])


def amount(scale: str) -> int:
    """Return how many calls a row makes."""
    return _CALLS[scale]
