"""What a notebook shows of an answer: its texts, its calls, its images where they are here, and how the call went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tutuclient.media import html
from tutuclient.media.sources import amount
from tutuclient.types.json import is_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tutuclient.media.image import GeneratedImage

_MOST_CALLS = 50
_MOST_ARGUMENTS = 2_000


def completion(answer: Any) -> str:
    """Return a ``ChatCompletion`` as HTML."""
    return html.frame(parts_of(answer))


def parts_of(answer: Any) -> Iterator[str]:
    """Yield the parts of a ``ChatCompletion``, for a frame around them."""
    for choice in answer.choices:
        if len(answer.choices) > 1:
            yield html.small([f"choice {choice.index}", choice.finish_reason or ""])
        yield from message(choice.message)
    yield from figures(answer.images)
    yield html.small([answer.model, *(_why(answer)), *_used(answer.usage), *_went(answer.meta)])


def message(said: Any) -> Iterator[str]:
    """Yield the parts of a ``ChatMessage``, without its images."""
    if said.thinking:
        yield html.folded("thinking", html.text(said.thinking))
    # An image within the text is shown as an image, so its data is not shown as letters too.
    yield html.text(_without_data(said.text))
    if said.refusal:
        yield html.small(["refused"])
        yield html.text(said.refusal)
    calls: list[Any] = said.tool_calls or []
    for call in calls[:_MOST_CALLS]:
        name, written = call.function.name, call.function.arguments
        if call.custom is not None:
            name, written = str(call.custom.get("name", "")), str(call.custom.get("input", ""))
        yield html.small([f"calls {name}"])
        yield html.text(written, _MOST_ARGUMENTS)
    if len(calls) > _MOST_CALLS:
        yield html.small([f"and {len(calls) - _MOST_CALLS} calls more"])
    if said.audio is not None:
        yield html.small([f"audio, {amount(len(said.audio.data) * 3 // 4)}", said.audio.transcript or ""])


def conversation(messages: Sequence[Any], answer: Any, rounds: int) -> str:
    """Return a conversation with tools as HTML: what was called, the results folded, and the last answer."""
    parts: list[str] = []
    for said in messages[:-1]:
        role = said.get("role") if is_object(said) else getattr(said, "role", "")
        content = said.get("content") if is_object(said) else getattr(said, "content", None)
        if role == "tool":
            words = content if isinstance(content, str) else f"{len(content or ())} parts"
            parts.append(html.folded("result", html.text(words, _MOST_ARGUMENTS)))
        elif role == "assistant" and hasattr(said, "thinking"):
            parts += message(said)
    return html.frame([*parts[-_MOST_CALLS:], *parts_of(answer), html.small([f"{rounds} rounds"])])


def images(answer: Any) -> str:
    """Return an ``ImagesResponse``, or an event of a stream of images, as HTML."""
    parts = [*figures(answer.images)]
    for each in getattr(answer, "data", [answer]):
        if each.revised_prompt:
            parts.append(html.text(each.revised_prompt, _MOST_ARGUMENTS))
        if each.error is not None:
            parts.append(html.small(["not made", each.error.message]))
    return html.frame([*parts, html.small([answer.size or "", *_used(answer.usage), *_went(answer.meta)])])


def figures(found: Iterable[GeneratedImage]) -> Iterator[str]:
    """Yield images, as many of them in place as may be kept in a notebook together."""
    left = html.MOST_BYTES
    for image in found:
        yield image.figure(left)
        left -= min(left, image.size_bytes or 0)


def _without_data(written: str) -> str:
    """Return a text with the data of its data URIs cut: megabytes of letters that nobody reads."""
    pieces = written.split(";base64,")
    cut = [pieces[0]]
    for piece in pieces[1:]:
        rest = piece.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-")
        data = len(piece) - len(rest)
        cut.append(f"…{rest}" if data > html.LONG_DATA else piece)
    return ";base64,".join(cut)


def _why(answer: Any) -> list[str]:
    return [answer.finish_reason or ""] if len(answer.choices) == 1 else []


def _used(usage: Any) -> list[str]:
    if usage is None:
        return []
    if usage.prompt_tokens is not None and usage.completion_tokens is not None:
        return [f"{usage.prompt_tokens:,} + {usage.completion_tokens:,} tokens"]
    return [] if usage.total_tokens is None else [f"{usage.total_tokens:,} tokens"]


def _went(meta: Any) -> list[str]:
    return [
        f"{meta.elapsed_s:.1f} s" if meta.elapsed_s else "",
        f"{meta.attempts} attempts" if meta.attempts > 1 else "",
        f"request {meta.request_id}" if meta.request_id else "",
        *(f"note: {warning}" for warning in meta.warnings[:3]),
    ]
