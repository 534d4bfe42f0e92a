"""Legacy completions: a text goes on, whole or as a stream.

Source: ``POST /completions``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping  # noqa: TC003  (``get_type_hints`` reads signatures at run time)
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, overload

from tutuclient import wire
from tutuclient.errors import APIError
from tutuclient.resources.resource import Resource, no_pictures
from tutuclient.resources.responses import opened, raw
from tutuclient.settings import UNSET, Timeout, Unset
from tutuclient.streams.events import EventReader, EventStream, stream_in
from tutuclient.streams.folding import several
from tutuclient.types.chat import fuller
from tutuclient.types.completions import Completion, CompletionChoice, CompletionFields
from tutuclient.types.provenance import Origin, set_origin

if TYPE_CHECKING:
    from typing import Unpack

    from tutuclient._meta import Meta
    from tutuclient.transport.reply import Reply
    from tutuclient.wire.sse import Data

_FIELDS = wire.names(CompletionFields, "stream")
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
        wire.check_keywords(fields, _FIELDS, "completions.create")
        body = wire.given({"model": model, "prompt": prompt, **fields, **wire.added(extra_body)})
        wire.check_model(body)
        wire.check_text(body.get("prompt"), "prompt", empty=True)
        if wire.is_asked(stream):
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
        asked = _asked(body)

        async def begin(reply: Reply) -> EventStream[Completion]:
            return await EventStream[Completion].begin(reply, _reader(reply, asked))

        def read(data: bytes | bytearray, reply: Reply) -> Completion:
            return _read(data, reply, asked)

        return await (self._open(call, begin) if call.stream else self._send(call, read))


class TextCompletionsRaw:
    """``client.completions.with_raw_response``."""

    def __init__(self, page: TextCompletions) -> None:
        self.create = raw(page.create)


class TextCompletionsOpen:
    """``client.completions.with_streaming_response``."""

    def __init__(self, page: TextCompletions) -> None:
        self.create = opened(page.create)


def _asked(body: Mapping[str, Any]) -> int:
    """Return how many texts were asked for, ``n`` of each prompt; 0 when that is not known."""
    prompts: Any = body.get("prompt")
    each = max(several(body.get("n")), 1)
    if prompts is None or isinstance(prompts, str | bytes):
        return each
    if not isinstance(prompts, list | tuple):
        return 0
    rows: list[Any] = list(cast("list[Any]", prompts))
    return each if all(isinstance(row, int) for row in rows) else each * len(rows)


def _read(data: bytes | bytearray, reply: Reply, asked: int) -> Completion:
    reader = _reader(reply, asked)
    coming: Iterable[Completion] | None = stream_in(data, reply.content_type, reader)
    if coming is None and (values := wire.written_chunks(data, reply.meta)):
        coming = reader.read_values(values)
    if coming is None:
        completion = wire.read_text(data, reply.meta)
    else:
        events: list[Completion] = []
        try:
            events.extend(coming)  # One after the other, so what came before an error is there.
        except APIError as error:
            came: Any = _folded(events, asked) if events else None
            error.with_partial(came)
            raise
        completion = _folded(events, asked)
    set_origin(completion, Origin(reply.meta, no_pictures))
    return completion


def _reader(reply: Reply, asked: int) -> EventReader[Completion]:
    origin = Origin(reply.meta, no_pictures)
    ended: set[int] = set()

    def read(_: str, data: Data, meta: Meta) -> Completion | None:
        event = wire.read_text_event(data, meta)
        if event is not None:
            set_origin(event, origin)
        return event

    def whole(data: Data, meta: Meta) -> list[Completion]:
        completion = wire.read_text(data, meta)
        set_origin(completion, origin)
        return [completion]

    def last(event: Completion) -> bool:
        ended.update(choice.index for choice in event.choices if choice.finish_reason)
        return len(ended) >= max(asked, 1)

    return EventReader(
        reply.meta,
        read=read,
        is_last=last,
        read_whole=whole,
        max_bytes=reply.call.max_bytes,
        more_after_last=True,
        has_content=lambda event: bool(event.choices),
    )


def _folded(events: list[Completion], asked: int) -> Completion:
    """Make an answer of a stream that nobody asked for."""
    texts: defaultdict[int, list[str]] = defaultdict(list)
    reasons: dict[int, str | None] = {}
    for choice in (choice for event in events for choice in event.choices):
        index = 0 if asked == 1 else choice.index
        texts[index].append(choice.text)
        reasons[index] = choice.finish_reason or reasons.get(index)
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
        usage=reduce(fuller, (event.usage for event in events), None),
        system_fingerprint=first.system_fingerprint,
    )
