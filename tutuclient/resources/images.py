"""Images: made from words, edited, varied; whole, or as a stream of drafts.

Each of these calls orders a picture, so none is sent again when it may have been
done, whatever the model is called.

Source: ``POST /images/generations``, ``/images/edits`` and ``/images/variations``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard, cast, overload

import msgspec

from tutuclient import wire
from tutuclient.errors import MediaError
from tutuclient.finding import ImageFinder
from tutuclient.media.upload import Upload
from tutuclient.resources.resource import Resource
from tutuclient.resources.responses import opened, raw
from tutuclient.settings import UNSET, Unset, is_unset
from tutuclient.streams.events import EventReader, EventStream, stream_in
from tutuclient.types.images import (
    Image,
    ImageEditFields,
    ImageGenerateFields,
    ImagesResponse,
    ImageStreamEvent,
    ImageVariationFields,
)
from tutuclient.types.provenance import Origin, copy_provenance, set_origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from tutuclient._meta import Meta
    from tutuclient.media.upload import PictureSource
    from tutuclient.settings import Timeout
    from tutuclient.transport import Call
    from tutuclient.transport.reply import Reply
    from tutuclient.wire.sse import Data

PictureFile: TypeAlias = (
    "PictureSource | tuple[str | None, PictureSource] | tuple[str | None, PictureSource, str | None]"
)
"""A picture to be sent as the file of a form: a source, or a name and a source. Its media type is seen by its bytes."""

_MASKS = frozenset({"image/png"})
_GENERATE = wire.names(ImageGenerateFields, "prompt", "stream")
_EDIT = wire.names(ImageEditFields, "prompt", "stream", "mask")
_VARIATION = wire.names(ImageVariationFields)


class Images(Resource):
    """``client.images``."""

    @property
    def with_raw_response(self) -> ImagesRaw:
        """Give answers as they came, with status, headers and bytes; ``parse()`` has the usual result."""
        return ImagesRaw(self._giving("raw"))

    @property
    def with_streaming_response(self) -> ImagesOpen:
        """Give answers open, to be read in pieces: ``async with ….generate(…) as response``."""
        return ImagesOpen(self._giving("open"))

    @overload
    async def generate(
        self,
        *,
        prompt: str,
        stream: Literal[False] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ImageGenerateFields],
    ) -> ImagesResponse: ...

    @overload
    async def generate(
        self,
        *,
        prompt: str,
        stream: Literal[True],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ImageGenerateFields],
    ) -> EventStream[ImageStreamEvent]: ...

    @overload
    async def generate(
        self,
        *,
        prompt: str,
        stream: bool | None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ImageGenerateFields],
    ) -> ImagesResponse | EventStream[ImageStreamEvent]: ...

    async def generate(
        self,
        *,
        prompt: str,
        stream: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> ImagesResponse | EventStream[ImageStreamEvent]:
        """Have pictures made; they are in ``.images`` of the answer.

        Args:
            prompt: What to draw.
            stream: Give an ``EventStream`` of drafts (``partial_images=1`` to 3) and the pictures in place of the whole
                answer. A relay that does not forward such streams gives the pictures as one event each.
            extra_body: As for ``chat.completions.create``.
            extra_headers: As for ``chat.completions.create``.
            extra_query: As for ``chat.completions.create``.
            timeout: As for ``chat.completions.create``; drawing may take minutes.
            **fields: Every field of ``ImageGenerateFields``, and whatever else the relay understands. ``size`` is
                written with the letter x: ``1024x1024``.

        Raises:
            ConfigError: The request cannot be written; nothing was sent.
            OutcomeUnknownError: The connection broke; the pictures may have been made.
            UnexpectedResponseError: There is no picture in the answer.
            APIError: The relay said no, or gave no whole answer.

        Source: ``POST /images/generations``.
        """
        wire.check_keywords(fields, _GENERATE, "images.generate")
        body = wire.given({"prompt": prompt, **fields, **wire.added(extra_body)})
        wire.check_text(body.get("prompt"), "prompt")
        if wire.is_asked(stream):
            body["stream"] = True
        return await self._order("/images/generations", body, None, extra_headers, extra_query, timeout)

    @overload
    async def edit(
        self,
        *,
        image: PictureFile | Sequence[PictureFile],
        prompt: str,
        mask: PictureFile | None = None,
        markup: PictureFile | None = None,
        stream: Literal[False] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ImageEditFields],
    ) -> ImagesResponse: ...

    @overload
    async def edit(
        self,
        *,
        image: PictureFile | Sequence[PictureFile],
        prompt: str,
        mask: PictureFile | None = None,
        markup: PictureFile | None = None,
        stream: Literal[True],
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ImageEditFields],
    ) -> EventStream[ImageStreamEvent]: ...

    @overload
    async def edit(
        self,
        *,
        image: PictureFile | Sequence[PictureFile],
        prompt: str,
        mask: PictureFile | None = None,
        markup: PictureFile | None = None,
        stream: bool | None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ImageEditFields],
    ) -> ImagesResponse | EventStream[ImageStreamEvent]: ...

    async def edit(
        self,
        *,
        image: PictureFile | Sequence[PictureFile],
        prompt: str,
        mask: PictureFile | None = None,
        markup: PictureFile | None = None,
        stream: bool | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Any,
    ) -> ImagesResponse | EventStream[ImageStreamEvent]:
        """Have one or several pictures changed; the results are in ``.images`` of the answer.

        Args:
            image: A path, a data URI, bytes, an open binary file or a Pillow image, or ``(name, bytes or file)``; or
                several, up to 16. They are sent as files, so an http(s) address is none: ``client.edit`` takes those.
            prompt: What to change.
            mask: A PNG of the first picture's size; what is transparent in it is drawn anew.
            markup: A transparent picture of the first picture's size, laid over it to show what is meant; what knows it
                takes no ``mask`` beside it.
            stream: As for ``generate``.
            extra_body: Further fields of the form, over those given as keywords.
            extra_headers: As for ``generate``.
            extra_query: As for ``generate``.
            timeout: As for ``generate``.
            **fields: Every field of ``ImageEditFields``, and whatever else the relay understands.

        Raises:
            MediaError: A picture cannot be used; nothing was sent.
            APIError: As for ``generate``. An older relay answers 501: it has no such page.

        Source: ``POST /images/edits``.
        """
        files = _files(image)
        if mask is not None and not is_unset(mask):
            files.append(wire.FormFile("mask", _upload(mask, "mask"), _MASKS))
        if markup is not None and not is_unset(markup):
            files.append(wire.FormFile("markup", _upload(markup, "markup")))
        wire.check_keywords(fields, _EDIT, "images.edit")
        body = wire.given({"prompt": prompt, **fields, **wire.added(extra_body)})
        wire.check_text(body.get("prompt"), "prompt", empty=True)
        if wire.is_asked(stream):
            body["stream"] = True
        return await self._order("/images/edits", body, files, extra_headers, extra_query, timeout)

    async def create_variation(
        self,
        *,
        image: PictureFile,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ImageVariationFields],
    ) -> ImagesResponse:
        """Have variations of a picture made; they are in ``.images`` of the answer.

        Args:
            image: As for ``edit``; OpenAI takes a square PNG of less than 4 MB.
            extra_body: As for ``edit``.
            extra_headers: As for ``generate``.
            extra_query: As for ``generate``.
            timeout: As for ``generate``.
            **fields: Every field of ``ImageVariationFields``, and whatever else the relay understands.

        Raises:
            MediaError: The picture cannot be used; nothing was sent.
            APIError: As for ``generate``. Most relays answer 501: they have no such page.

        Source: ``POST /images/variations``.
        """
        wire.check_keywords(fields, _VARIATION, "images.create_variation")
        files = [wire.FormFile("image", _upload(image, "image"))]
        call = self._order_call(
            "/images/variations",
            wire.given({**fields, **wire.added(extra_body)}),
            files,
            extra_headers,
            extra_query,
            timeout,
        )
        return await self._send(call, self._read)

    async def _order(
        self,
        path: str,
        body: dict[str, Any],
        files: list[wire.FormFile] | None,
        headers: Mapping[str, str] | None,
        query: Mapping[str, object] | None,
        timeout: float | Timeout | Unset | None,
    ) -> ImagesResponse | EventStream[ImageStreamEvent]:
        """Order pictures; ``files`` makes it a form."""
        call = self._order_call(path, body, files, headers, query, timeout)
        asked = body.get("n")
        count = asked if isinstance(asked, int) else 1
        if not call.stream:
            return await self._send(call, partial(self._read, count=count))

        async def begin(reply: Reply) -> EventStream[ImageStreamEvent]:
            return await EventStream[ImageStreamEvent].begin(reply, self._reader(reply, count))

        return await self._open(call, begin)

    def _order_call(
        self,
        path: str,
        body: dict[str, Any],
        files: list[wire.FormFile] | None,
        headers: Mapping[str, str] | None,
        query: Mapping[str, object] | None,
        timeout: float | Timeout | Unset | None,
    ) -> Call:
        return self._call(
            "POST",
            path,
            fields=body if files is None else None,
            form=None if files is None else wire.form(body, files),
            headers=headers,
            query=query,
            timeout=timeout,
            makes_image=True,
            stream=body.get("stream") is True,
        )

    def _read(self, data: bytes | bytearray, reply: Reply, count: int = 1) -> ImagesResponse:
        reader = self._reader(reply, count)
        if (events := stream_in(data, reply.content_type, reader)) is None:
            answer = wire.read_images(data, reply.meta)
        else:
            for _ in events:  # The reader keeps them, without the drafts.
                pass
            answer = _folded(reader.kept)
        set_origin(answer, Origin(reply.meta, self._finder(reply)))
        return answer

    def _reader(self, reply: Reply, count: int) -> ImageReader:
        kind = "image_edit" if reply.call.what.endswith("edits") else "image_generation"
        return ImageReader(
            Origin(reply.meta, self._finder(reply)), kind=kind, count=count, max_bytes=reply.call.max_bytes
        )

    def _finder(self, reply: Reply) -> ImageFinder:
        return ImageFinder(self._downloads, True, reply.call.timeout, reply.call.retry)


class ImageReader(EventReader[ImageStreamEvent]):
    """Bytes to events of images: of drafts, of images, and of those that failed while others were made.

    Args:
        origin: Where the events come from.
        kind: What the events of this endpoint are called: ``image_generation`` or ``image_edit``.
        count: How many images were asked for.
        max_bytes: As for ``EventReader``.

    Attributes:
        kept: All but the drafts.
    """

    def __init__(self, origin: Origin, *, kind: str, count: int, max_bytes: int) -> None:
        super().__init__(
            origin.meta,
            read=self._stamped,
            is_last=self._is_last,
            read_whole=self._whole_answer,
            max_bytes=max_bytes,
            more_after_last=True,
            done_completes=False,
        )
        self._origin = origin
        self._kind = kind
        self._count = count
        self.kept: list[ImageStreamEvent] = []

    @property
    def partial(self) -> ImagesResponse | None:
        """The images that have come whole; they are paid for, whatever becomes of the rest."""
        if not self._images:
            return None
        answer = _folded(self.kept)
        set_origin(answer, self._origin)
        return answer

    @property
    def _images(self) -> list[ImageStreamEvent]:
        return [event for event in self.kept if event.has_picture]

    def check_complete(self, *, strict: bool) -> None:
        """Raise when an image is missing, or when all failed.

        An end that is well-formed is one behind any image that came whole, unless it
        came as one of several, of which the relay says itself when the last has come.
        """
        images = self._images
        failure = next((event.error for event in self.kept if event.error), None)
        if failure is not None and not images:
            raise wire.failed(failure, self.meta, [event.to_dict() for event in self.kept])
        if not images:
            raise self._incomplete("the stream ended, and no image had come")
        if self.finished or (images and (self.done or not all(event.is_one_of_several for event in self.kept))):
            return
        super().check_complete(strict=strict)

    def _stamped(self, name: str, data: Data, meta: Meta) -> list[ImageStreamEvent]:
        before = self._images
        events: list[ImageStreamEvent] = []
        for event in wire.read_image_events(name, data, meta):
            if self._repeats(event, before):
                if event.usage is None:
                    continue
                for field in ("b64_json", "url"):
                    msgspec.structs.force_setattr(event, field, None)
            events.append(event)
            set_origin(event, self._origin)
            if not event.is_partial:
                self.kept.append(event)
        return events

    def _repeats(self, event: ImageStreamEvent, images: list[ImageStreamEvent]) -> bool:
        """Return whether an event repeats an image when all have come, as a last event that holds all of them does."""
        if event.is_partial or event.is_one_of_several or not event.has_picture:
            return False
        return len(images) >= max(self._count, 1) and any(
            (event.b64_json, event.url) == (each.b64_json, each.url) for each in images
        )

    def _is_last(self, event: ImageStreamEvent) -> bool:
        whole = [each for each in self._images if not each.is_one_of_several]
        return len(whole) >= max(self._count, 1) or (event.is_last and not event.has_picture)

    def _whole_answer(self, data: Data, meta: Meta) -> list[ImageStreamEvent]:
        answer = wire.read_images(data, meta)
        events = [
            _completed(image, answer, self._kind) for image in answer.data if image.url or image.b64_json or image.error
        ]
        for event in events:
            copy_provenance(answer, event)
            set_origin(event, self._origin)
        self.kept = events
        return events


class ImagesRaw:
    """``client.images.with_raw_response``."""

    def __init__(self, page: Images) -> None:
        self.generate = raw(page.generate)
        self.edit = raw(page.edit)
        self.create_variation = raw(page.create_variation)


class ImagesOpen:
    """``client.images.with_streaming_response``."""

    def __init__(self, page: Images) -> None:
        self.generate = opened(page.generate)
        self.edit = opened(page.edit)
        self.create_variation = opened(page.create_variation)


def _completed(image: Image, answer: ImagesResponse, kind: str) -> ImageStreamEvent:
    """Make the event of a picture that came whole: many relays do not forward streams of pictures."""
    return ImageStreamEvent(
        type=f"{kind}.completed" if image.error is None else f"{kind}.partial_failed",
        error=image.error,
        b64_json=image.b64_json,
        url=image.url,
        revised_prompt=image.revised_prompt,
        created_at=answer.created,
        usage=answer.usage,
        background=answer.background,
        output_format=answer.output_format,
        quality=answer.quality,
        size=answer.size,
    )


def _folded(events: list[ImageStreamEvent]) -> ImagesResponse:
    """Make an answer of the events of a stream but its drafts."""
    last = events[-1]
    items = [
        {"index": event.extra.get("image_index") if event.raw.find(b'"image_index"') >= 0 else None, "event": event}
        for event in events
        if event.has_picture or event.error
    ]
    return ImagesResponse(
        created=last.created_at,
        data=[
            Image(url=event.url, b64_json=event.b64_json, revised_prompt=event.revised_prompt, error=event.error)
            for event in (item["event"] for item in wire.in_order(items, "index"))
        ],
        usage=next((event.usage for event in reversed(events) if event.usage), None),
        background=last.background,
        output_format=last.output_format,
        quality=last.quality,
        size=last.size,
        safety_identifier=last.safety_identifier,
    )


def _files(image: PictureFile | Sequence[PictureFile]) -> list[wire.FormFile]:
    """Give the pictures of a form: one as ``image``, several as ``image[]`` each; relays read one or the other."""
    several = isinstance(image, list | tuple) and not _is_named(image)
    sources = cast("Sequence[PictureFile]", image if several else [image])
    if not sources:
        raise MediaError("no picture was given: the list is empty")
    field = "image" if len(sources) == 1 else "image[]"
    return [wire.FormFile(field, _upload(source, "image")) for source in sources]


def _upload(source: PictureFile, what: str) -> Upload:
    if _is_named(source):
        upload = _upload(source[1], what)
        upload.name = source[0] or upload.name
        return upload
    given = cast("PictureSource", source)
    if isinstance(given, str) and given.strip()[:8].lower().startswith(("http://", "https://")):
        raise MediaError(
            f"{what} is an address, and this page takes files: fetch it and give its bytes, or have a chat model edit"
            " it with client.edit(…)."
        )
    return given if isinstance(given, Upload) else Upload(given)


def _is_named(source: object) -> TypeGuard[tuple[str | None, PictureSource]]:
    """Say whether this is a file as the openai package takes one: its name, what is in it, and what that does not say.

    Two paths in a tuple are two pictures.
    """
    if not isinstance(source, tuple):
        return False
    parts = cast("tuple[object, ...]", source)
    return (
        len(parts) > 1
        and isinstance(parts[0], str | None)
        and (isinstance(parts[1], bytes | bytearray) or hasattr(parts[1], "read"))
    )
