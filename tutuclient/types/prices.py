"""What a relay asks for its models, as its own price page says.

Source: new-api's ``GET /api/pricing`` (``model/pricing.go``, ``controller/pricing.go``), and how it counts a call
(``relay/helper/price.go``). Figures of this client's own there are none.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import msgspec

from tutuclient.types.base import Plain

_MILLION = 1_000_000
_MOST = 10**15  # No answer has more tokens, whatever a relay says.


class Price(Plain, frozen=True, kw_only=True):
    """What one model costs, the ratio of the group included; None where the page does not say.

    Attributes:
        model: Its name.
        per_call: For each call, or each image of one, whatever its tokens; then all others are None.
        input: For a million tokens of prompts.
        output: For a million tokens of answers.
        cached_input: For a million tokens of prompts that were cached; None is as ``input``.
        cache_write: For a million tokens of prompts that are written to the cache; None is as ``input``.
        image_input: For a million tokens of images in prompts; None is as ``input``.
        audio_input: For a million tokens of audio in prompts; None is as ``input``.
        audio_output: For a million tokens of audio in answers; None is as ``output``.
        group: The group whose ratio is included, or "" where the page has none.
    """

    model: str
    per_call: float | None = None
    input: float | None = None
    output: float | None = None
    cached_input: float | None = None
    cache_write: float | None = None
    image_input: float | None = None
    audio_input: float | None = None
    audio_output: float | None = None
    group: str = ""

    def cost(self, usage: Any, *, images: int = 1) -> float | None:
        """Return what an answer cost by these figures, or None where its usage does not say enough.

        Args:
            usage: A ``Usage``, or what another endpoint has in its place.
            images: How many images an order of images asked for; each is a call.
        """
        if self.per_call is not None:
            return _finite(self.per_call * images)
        prompt, answer = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
        if prompt is None or answer is None or self.input is None or self.output is None:
            return None
        asked = _details(usage, "prompt_tokens_details", "input_tokens_details")
        told = _details(usage, "completion_tokens_details", "output_tokens_details")
        total = _sum(
            prompt,
            self.input,
            (_count(asked, "cached_tokens"), self.cached_input),
            (_count(asked, "cache_write_tokens"), self.cache_write),
            (_count(asked, "image_tokens"), self.image_input),
            (_count(asked, "audio_tokens"), self.audio_input),
        )
        total += _sum(answer, self.output, (_count(told, "audio_tokens"), self.audio_output))
        return _finite(total / _MILLION)


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """A relay's price page, read. It is the relay's word at one moment, and no bill: what it takes, its log says.

    Attributes:
        models: The prices by the models' names. One that is counted by a formula of its own is not among them.
        group: The group that was asked for, or that the page has for keys that are in no other.
        groups: The ratio of each group: its keys pay so many times the page's price.
        unit: What the figures are in: "USD", as the relay calls its unit, whatever it is sold for.
        source: The address of the page.
        asked_at: When it was read, in epoch seconds.
    """

    models: dict[str, Price] = {}
    group: str = ""
    groups: dict[str, float] = {}
    unit: str = "USD"
    source: str = ""
    asked_at: float = 0.0

    def of(self, model: str) -> Price | None:
        """Return the price of a model, or None when the page does not say."""
        return self.models.get(model)

    def cost(self, model: str, usage: Any, *, images: int = 1) -> float | None:
        """Return what an answer cost by this page, or None when the page, or its usage, does not say.

        Arguments as for ``Price.cost``.
        """
        price = self.models.get(model)
        return None if price is None else price.cost(usage, images=images)

    def __str__(self) -> str:
        day = f"{datetime.fromtimestamp(self.asked_at, UTC):%Y-%m-%d}"
        group = f", group {self.group}" if self.group else ""
        return f"{len(self.models):,} models in {self.unit}{group}, as {self.source} says on {day}"

    def __len__(self) -> int:
        return len(self.models)

    def __contains__(self, model: object) -> bool:
        return model in self.models

    def __bool__(self) -> bool:
        return True  # A page without a price is a page, too.


def _sum(tokens: int, usual: float, *kinds: tuple[int | None, float | None]) -> float:
    """Return what tokens cost a million times: those of a kind with a price of its own by that, all others as usual."""
    total = 0.0
    for count, price in kinds:
        if count and price is not None:
            counted = min(count, tokens)  # A relay that counts more of a kind than there are tokens is not followed.
            total += counted * price
            tokens -= counted
    return total + tokens * usual


def _details(usage: Any, *names: str) -> Any:
    return next((found for name in names if (found := getattr(usage, name, None)) is not None), None)


def _count(part: Any, name: str) -> int | None:
    value = getattr(part, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
