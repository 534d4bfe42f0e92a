"""Legacy completions: a text is continued, whole or as a stream.

Source: ``POST /completions``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping  # noqa: TC003  (``get_type_hints`` reads signatures at run time)
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, overload

from tutuclient import wire
from tutuclient.errors import APIError
from tutuclient.resources.endpoint import Endpoint, events, no_images, stamped
from tutuclient.resources.options import CallOptions
from tutuclient.resources.resource import Resource
from tutuclient.resources.views import View, opened, raw, viewed
from tutuclient.settings import with_keywords
from tutuclient.streams.events import EventReader, EventStream, stream_in
from tutuclient.streams.folding import several
from tutuclient.types.chat import fuller
from tutuclient.types.completions import Completion, CompletionChoice, CompletionFields
from tutuclient.types.provenance import Origin

if TYPE_CHECKING:
    from typing import Unpack

    from tutuclient._meta import Meta
    from tutuclient.resources.endpoint import RequestInfo
    from tutuclient.transport.reply import Reply
    from tutuclient.wire.sse import Data

_Prompt: TypeAlias = "str | Iterable[str] | Iterable[int] | Iterable[Iterable[int]] | None"


class _Fields(CompletionFields, CallOptions, total=False):
    """The keywords of ``completions.create``."""


class TextCompletions(Resource):
    """``client.completions``."""

    with_raw_response = viewed("raw", lambda: _Raw)
    with_streaming_response = viewed("open", lambda: _Open)

    @overload
    async def create(
        self, *, model: str, prompt: _Prompt, stream: Literal[False] | None = None, **fields: Unpack[_Fields]
    ) -> Completion: ...

    @overload
    async def create(
        self, *, model: str, prompt: _Prompt, stream: Literal[True], **fields: Unpack[_Fields]
    ) -> EventStream[Completion]: ...

    @overload
    async def create(
        self, *, model: str, prompt: _Prompt, stream: bool | None, **fields: Unpack[_Fields]
    ) -> Completion | EventStream[Completion]: ...

    @with_keywords(_Fields, open_ended=True)
    async def create(
        self, *, model: str, prompt: _Prompt, stream: bool | None = None, **fields: Any
    ) -> Completion | EventStream[Completion]:
        """Complete a text.

        Args:
            model: The model's name, as the relay lists it.
            prompt: A text, several, the token ids of one, or those of several.
            stream: Return an ``EventStream`` of ``Completion`` events in place of the whole answer; ``text`` of each is
                what it adds.
            **fields: Every field of ``CompletionFields``, the options of ``CallOptions``, and whatever else the
                relay understands.

        Raises:
            ConfigError: The request cannot be written; nothing was sent.
            APIError: The relay answered with an error, or with no whole answer.
        """
        return await self._ask(_CREATE, {"model": model, "prompt": prompt}, fields, stream=stream)


class _Raw(View):
    create = raw(TextCompletions.create)


class _Open(View):
    create = opened(TextCompletions.create)


def _prepare(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_model(body)
    wire.check_text(body.get("prompt"), "prompt", empty=True)
    return body


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


def _read(data: bytes | bytearray, reply: Reply, info: RequestInfo) -> Completion:
    asked = _asked(info.body)
    reader = _reader(reply, info)
    coming: Iterable[Completion] | None = stream_in(data, reply.content_type, reader)
    if coming is None and (values := wire.split_json_stream(data, reply.meta)):
        coming = reader.read_values(values)
    if coming is None:
        return stamped(wire.read_text(data, reply.meta), reply)
    events: list[Completion] = []
    try:
        events.extend(coming)  # It appends one by one, so those before an error are in ``events`` when it raises.
    except APIError as error:
        partial: Any = _folded(events, asked) if events else None  # The attribute is typed for the answers of chats.
        error.with_partial(partial)
        raise
    return stamped(_folded(events, asked), reply)


def _reader(reply: Reply, info: RequestInfo) -> EventReader[Completion]:
    asked = _asked(info.body)
    origin = Origin(reply.meta, no_images)  # One for all events of the stream.
    ended: set[int] = set()

    def read(_: str, data: Data, meta: Meta) -> Completion | None:
        return stamped(wire.read_text_event(data, meta), reply, origin)

    def whole(data: Data, meta: Meta) -> list[Completion]:
        return [stamped(wire.read_text(data, meta), reply, origin)]

    def last(event: Completion) -> bool:
        # Texts of several prompts end one by one.
        ended.update(choice.index for choice in event.choices if choice.finish_reason)
        return len(ended) >= max(asked, 1)

    return EventReader(
        reply.meta,
        read=read,
        is_last=last,
        read_whole=whole,
        max_bytes=reply.call.max_bytes,
        # The usage comes behind the last choice, in an event whose choices are empty and whose object is a chat's
        # (WIRE.md 1.7).
        more_after_last=True,
        has_content=lambda event: bool(event.choices),
    )


def _folded(events: list[Completion], asked: int) -> Completion:
    """Fold the events of a stream into a whole answer: some relays stream although nobody asked for it."""
    texts: defaultdict[int, list[str]] = defaultdict(list)
    reasons: dict[int, str | None] = {}
    for choice in (choice for event in events for choice in event.choices):
        # Relays number the pieces of one answer in several ways (WIRE.md 3.3, item 7).
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


_CREATE = Endpoint(
    "completions.create",
    "/completions",
    known=wire.names(CompletionFields, "stream"),
    prepare=_prepare,
    makes_image=wire.makes_image,
    read=_read,
    begin=events(_reader),
)
