"""Legacy completions: the fields of a request, the whole answer, and the chunks of a streamed one.

Source: ``POST /completions``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003  (msgspec reads annotations at run time)
from typing import Any, TypedDict

import msgspec

from tutuclient.types.base import Answer, Nested
from tutuclient.types.chat import Usage, is_reason


class CompletionFields(TypedDict, total=False):
    """Every field of a completion request beside ``model``, ``prompt`` and ``stream``; as for ``ChatFields``."""

    best_of: int | None
    echo: bool | None
    frequency_penalty: float | None
    logit_bias: Mapping[str, int] | None
    logprobs: int | None
    max_tokens: int | None
    n: int | None
    presence_penalty: float | None
    seed: int | None
    stop: str | Sequence[str] | None
    stream_options: Mapping[str, Any] | None
    suffix: str | None
    temperature: float | None
    top_p: float | None
    user: str


class CompletionLogprobs(Nested, frozen=True, kw_only=True):
    """How probable the tokens of a text were, each list with an entry for each token; None where one did not come.

    Attributes:
        tokens: The tokens.
        token_logprobs: The logarithms of their probabilities; None for one that has none, as the first of an echo.
        top_logprobs: The likeliest in the place of each, with theirs.
        text_offset: Where each begins in the text, in characters.
    """

    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None
    text_offset: list[int] | None = None


class CompletionChoice(Nested, frozen=True, kw_only=True):
    """One of the texts; ``finish_reason`` is the relay's own word, or None when it gave none."""

    index: int = 0
    text: str = ""
    finish_reason: str | None = None
    logprobs: CompletionLogprobs | None = None

    def __post_init__(self) -> None:
        # As in ``ChatChoice``: a word in place of null is no reason.
        if self.finish_reason and not is_reason(self.finish_reason):
            msgspec.structs.force_setattr(self, "finish_reason", None)


class Completion(Answer, frozen=True, kw_only=True):
    """The whole answer of ``POST /completions``, and one event of a streamed one: both have the same shape.

    What the relay left out is None, "" or 0. Of several prompts with ``n`` texts
    each, ``choices`` has the texts of the first prompt first.
    """

    id: str = ""
    # No reader goes by this: new-api writes "chat.completion.chunk" into the last event (.github/WIRE.md, section 1.7).
    object: str = ""
    created: int = 0
    model: str = ""
    choices: list[CompletionChoice] = []
    usage: Usage | None = None
    system_fingerprint: str | None = None

    @property
    def text(self) -> str:
        """The text of the first choice, or what this event adds to it; ""."""
        return self.choices[0].text if self.choices else ""

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended, in the relay's own word; None when it did not say."""
        return self.choices[0].finish_reason if self.choices else None
