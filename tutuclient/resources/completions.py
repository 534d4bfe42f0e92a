"""Legacy completions: a text goes on, whole or as a stream.

Source: ``POST /completions``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping  # noqa: TC003  (``get_type_hints`` reads signatures at run time)
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from tutuclient import wire
from tutuclient.events import EventReader, EventStream
from tutuclient.resources.raw import opened, raw
from tutuclient.resources.resource import Resource, no_pictures
from tutuclient.settings import UNSET, Timeout, Unset
from tutuclient.types.answer import Origin, kept
from tutuclient.types.completions import Completion, CompletionChoice

if TYPE_CHECKING:
    from typing import Unpack

    from tutuclient.sse import Data
    from tutuclient.transport.reply import Reply
    from tutuclient.types.answer import Meta
    from tutuclient.types.completions import CompletionFields

_Prompt: TypeAlias = "str | Iterable[str] | Iterable[int] | Iterable[Iterable[int]] | None"


class TextCompletions(Resource):
    """``client.completions``."""

    @property
    def with_raw_response(self) -> TextCompletionsRaw:
        """Give answers as they came, with status, headers and bytes; ``parse()`` has the usual result."""
        return TextCompletionsRaw(self._giving("raw"))

    @property
    def with_streaming_response(self) -> TextCompletionsOpen:
        """Give answers open, to be read in pieces: ``async with ….create(…) as response``."""
        return TextCompletionsOpen(self._giving("open"))

    @overload
    async def create(
        self,
        *,
        model: str,
        prompt: _Prompt,
        stream: Literal[False] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CompletionFields],
    ) -> Completion: ...

    @overload
    async def create(
        self,
        *,
        model: str,
        prompt: _Prompt,
        stream: Literal[True],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CompletionFields],
    ) -> EventStream[Completion]: ...

    @overload
    async def create(
        self,
        *,
        model: str,
        prompt: _Prompt,
        stream: bool | None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[CompletionFields],
    ) -> Completion | EventStream[Completion]: ...

    async def create(
        self,
        *,
        model: str,
        prompt: _Prompt,
        stream: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> Completion | EventStream[Completion]:
        """Have a text continued.

        Args:
            model: The model's name, as the relay lists it.
            prompt: A text, several, the token ids of one, or those of several.
            stream: Give an ``EventStream`` of ``Completion`` events in place of the whole answer; ``text`` of each is
                what it adds.
            extra_body: As for ``chat.completions.create``.
            extra_headers: As for ``chat.completions.create``.
            extra_query: As for ``chat.completions.create``.
            timeout: As for ``chat.completions.create``.
            **fields: Every field of ``CompletionFields``, and whatever else the relay understands.

        Raises:
            ConfigError: The request cannot be written; nothing was sent.
            APIError: The relay said no, or gave no whole answer.
        """
        body = wire.given({"model": model, "prompt": prompt, **fields, **(extra_body or {})})
        if stream:
            body["stream"] = True
        call = self._call(
            "POST",
            "/completions",
            fields=body,
            headers=extra_headers,
            query=extra_query,
            timeout=timeout,
            makes_image=wire.makes_image(body),
            stream=body.get("stream") is True,
        )
        return await (self._open(call, _begin) if call.stream else self._send(call, _read))


class TextCompletionsRaw:
    """``client.completions.with_raw_response``."""

    def __init__(self, page: TextCompletions) -> None:
        self.create = raw(page.create)


class TextCompletionsOpen:
    """``client.completions.with_streaming_response``."""

    def __init__(self, page: TextCompletions) -> None:
        self.create = opened(page.create)


def _read(data: bytes | bytearray, reply: Reply) -> Completion:
    if wire.is_event_stream(bytes(data[:64]), reply.content_type):
        completion = _folded(list(_reader(reply).all(data)))
    else:
        completion = wire.read_text(data, reply.meta)
    kept(completion)["origin"] = Origin(reply.meta, no_pictures)
    return completion


async def _begin(reply: Reply) -> EventStream[Completion]:
    return await EventStream[Completion].begin(reply, _reader(reply))


def _reader(reply: Reply) -> EventReader[Completion]:
    origin = Origin(reply.meta, no_pictures)

    def read(_: str, data: Data, meta: Meta) -> Completion | None:
        event = wire.read_text_event(data, meta)
        if event is not None:
            kept(event)["origin"] = origin
        return event

    def whole(data: Data, meta: Meta) -> list[Completion]:
        completion = wire.read_text(data, meta)
        kept(completion)["origin"] = origin
        return [completion]

    return EventReader(
        reply.meta,
        read=read,
        last=lambda event: any(choice.finish_reason for choice in event.choices),
        whole=whole,
        max_bytes=reply.call.max_bytes,
        goes_on=True,
    )


def _folded(events: list[Completion]) -> Completion:
    """Make an answer of a stream that nobody asked for."""
    texts: defaultdict[int, list[str]] = defaultdict(list)
    reasons: dict[int, str | None] = {}
    for choice in (choice for event in events for choice in event.choices):
        texts[choice.index].append(choice.text)
        reasons[choice.index] = choice.finish_reason or reasons.get(choice.index)
    first = events[0]
    return Completion(
        id=first.id,
        object=first.object,
        created=first.created,
        model=first.model,
        choices=[
            CompletionChoice(index=index, text="".join(texts[index]), finish_reason=reasons[index])
            for index in sorted(texts)
        ],
        usage=next((event.usage for event in reversed(events) if event.usage), None),
        system_fingerprint=first.system_fingerprint,
    )
