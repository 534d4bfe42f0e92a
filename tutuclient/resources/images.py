"""Images: generated from text, edited, varied; whole, or as a stream of drafts.

Each of these calls orders an image, so none is sent again when it may have been
done, whatever the model is called.

Source: ``POST /images/generations``, ``/images/edits`` and ``/images/variations``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Never, TypeAlias, TypeGuard, Unpack, cast, overload

import msgspec

from tutuclient import wire
from tutuclient.errors import APIError, MediaError
from tutuclient.media.upload import Upload
from tutuclient.resources.endpoint import Endpoint, events, stamped
from tutuclient.resources.options import CallOptions
from tutuclient.resources.resource import Resource
from tutuclient.resources.views import View, opened, raw, viewed
from tutuclient.settings import is_unset
from tutuclient.streams.events import EventReader, EventStream
from tutuclient.types.base import keep, kept
from tutuclient.types.images import (
    Image,
    ImageEditFields,
    ImageGenerateFields,
    ImagesResponse,
    ImageStreamEvent,
    ImageVariationFields,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tutuclient.media.upload import PictureSource
    from tutuclient.resources.endpoint import RequestInfo
    from tutuclient.transport.reply import Reply
    from tutuclient.types.base import Meta, Origin
    from tutuclient.wire.sse import Data

PictureFile: TypeAlias = (
    "PictureSource | tuple[str | None, PictureSource] | tuple[str | None, PictureSource, str | None]"
)
"""An image to be sent as the file of a form: a source, or a name and a source. Its bytes say what media type it is."""

_Pictures: TypeAlias = "PictureFile | Sequence[PictureFile]"
_MASKS = frozenset({"image/png"})


class _GenerateFields(ImageGenerateFields, CallOptions, total=False):
    """The keywords of ``images.generate``."""


class _EditFields(ImageEditFields, CallOptions, total=False):
    """The keywords of ``images.edit``."""

    mask: PictureFile | None
    markup: PictureFile | None


class _VariationFields(ImageVariationFields, CallOptions, total=False):
    """The keywords of ``images.create_variation``."""


class Images(Resource):
    """``client.images``."""

    with_raw_response = viewed("raw", lambda: ImagesRaw)
    with_streaming_response = viewed("open", lambda: ImagesOpen)

    @overload
    async def generate(
        self, *, prompt: str, stream: Literal[False] | None = None, **fields: Unpack[_GenerateFields]
    ) -> ImagesResponse: ...

    @overload
    async def generate(
        self, *, prompt: str, stream: Literal[True], **fields: Unpack[_GenerateFields]
    ) -> EventStream[ImageStreamEvent]: ...

    @overload
    async def generate(
        self, *, prompt: str, stream: bool | None, **fields: Unpack[_GenerateFields]
    ) -> ImagesResponse | EventStream[ImageStreamEvent]: ...

    async def generate(
        self, *, prompt: str, stream: bool | None = None, **fields: Any
    ) -> ImagesResponse | EventStream[ImageStreamEvent]:
        """Generate images; they are in ``.images`` of the answer.

        Args:
            prompt: What to draw.
            stream: Return an ``EventStream`` of drafts (``partial_images=1`` to 3) and the images in place of the whole
                answer. A relay that does not forward such streams sends the images as one event each.
            **fields: Every field of ``ImageGenerateFields``, the options of ``CallOptions``, and whatever else the
                relay understands. ``size`` is written with the letter x: ``1024x1024``. Drawing may take minutes.

        Raises:
            ConfigError: The request cannot be written; nothing was sent.
            OutcomeUnknownError: The connection broke; the images may have been made.
            UnexpectedResponseError: There is no image in the answer.
            APIError: The relay answered with an error, or with no whole answer.
        """
        return await self._ask(_GENERATE, {"prompt": prompt}, fields, stream=stream)

    @overload
    async def edit(
        self, *, image: _Pictures, prompt: str, stream: Literal[False] | None = None, **fields: Unpack[_EditFields]
    ) -> ImagesResponse: ...

    @overload
    async def edit(
        self, *, image: _Pictures, prompt: str, stream: Literal[True], **fields: Unpack[_EditFields]
    ) -> EventStream[ImageStreamEvent]: ...

    @overload
    async def edit(
        self, *, image: _Pictures, prompt: str, stream: bool | None, **fields: Unpack[_EditFields]
    ) -> ImagesResponse | EventStream[ImageStreamEvent]: ...

    async def edit(
        self,
        *,
        image: _Pictures,
        prompt: str,
        mask: PictureFile | None = None,
        markup: PictureFile | None = None,
        stream: bool | None = None,
        **fields: Any,
    ) -> ImagesResponse | EventStream[ImageStreamEvent]:
        """Edit one or several images; the results are in ``.images`` of the answer.

        Args:
            image: A path, a data URI, bytes, an open binary file or a Pillow image, or ``(name, bytes or file)``; or
                several, up to 16. They are sent as files, so an http(s) address is none: ``client.edit`` takes those.
            prompt: What to change.
            mask: A PNG of the first image's size; what is transparent in it is drawn anew.
            markup: A transparent image of the first image's size, laid over it to show what is meant; a relay that
                knows it takes no ``mask`` beside it.
            stream: As for ``generate``.
            **fields: Every field of ``ImageEditFields``, the options of ``CallOptions``, and whatever else the
                relay understands.

        Raises:
            MediaError: An image cannot be used; nothing was sent.
            APIError: As for ``generate``. An older relay answers 501: it has no such endpoint.
        """
        files = _files(image)
        if mask is not None and not is_unset(mask):
            files.append(wire.FormFile("mask", _upload(mask, "mask"), _MASKS))
        if markup is not None and not is_unset(markup):
            files.append(wire.FormFile("markup", _upload(markup, "markup")))
        return await self._ask(_EDIT, {"prompt": prompt}, fields, stream=stream, files=files)

    async def create_variation(self, *, image: PictureFile, **fields: Unpack[_VariationFields]) -> ImagesResponse:
        """Create variations of an image; they are in ``.images`` of the answer.

        Args:
            image: As for ``edit``; OpenAI takes a square PNG of less than 4 MB.
            **fields: Every field of ``ImageVariationFields``, the options of ``CallOptions``, and whatever else the
                relay understands.

        Raises:
            MediaError: The image cannot be used; nothing was sent.
            APIError: As for ``generate``. Most relays answer 501: they have no such endpoint.
        """
        keywords: dict[str, Any] = {**fields}
        return await self._ask(_VARIATION, {}, keywords, files=[wire.FormFile("image", _upload(image, "image"))])


class ImagesRaw(View):
    """``client.images.with_raw_response``."""

    generate = raw(Images.generate)
    edit = raw(Images.edit)
    create_variation = raw(Images.create_variation)


class ImagesOpen(View):
    """``client.images.with_streaming_response``."""

    generate = opened(Images.generate)
    edit = opened(Images.edit)
    create_variation = opened(Images.create_variation)


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
            last=self._is_last,
            whole=self._whole_answer,
            max_bytes=max_bytes,
            goes_on=True,
            done_is_enough=False,
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
        kept(answer)["origin"] = self._origin
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
            kept(event)["origin"] = self._origin
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
            keep(event, {**kept(answer), "origin": self._origin})
        self.kept = events
        return events


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


def _prepare(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_text(body.get("prompt"), "prompt")
    return body


def _prepare_edit(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_text(body.get("prompt"), "prompt", empty=True)
    return body


def _read(data: bytes | bytearray, reply: Reply, info: RequestInfo) -> ImagesResponse:
    if not wire.is_event_stream(bytes(data[:64]), reply.content_type):
        return stamped(wire.read_images(data, reply.meta), reply, info.origin(reply))
    reader = _reader(reply, info)
    try:
        for _ in reader.all(data):
            pass
    except APIError as error:
        came: Any = reader.partial
        error.partial = came
        raise
    return stamped(_folded(reader.kept), reply, info.origin(reply))


def _reader(reply: Reply, info: RequestInfo) -> ImageReader:
    kind = "image_edit" if reply.call.what.endswith("edits") else "image_generation"
    asked = info.body.get("n")
    count = asked if isinstance(asked, int) else 1
    return ImageReader(info.origin(reply), kind=kind, count=count, max_bytes=reply.call.max_bytes)


def _files(image: _Pictures) -> list[wire.FormFile]:
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


_GENERATE = Endpoint(
    "images.generate",
    "/images/generations",
    known=wire.names(ImageGenerateFields, "prompt", "stream"),
    prepare=_prepare,
    makes_image=True,
    read=_read,
    begin=events(_reader),
)
_EDIT = Endpoint(
    "images.edit",
    "/images/edits",
    known=wire.names(ImageEditFields, "prompt", "stream", "mask"),
    prepare=_prepare_edit,
    makes_image=True,
    read=_read,
    begin=events(_reader),
)
_VARIATION: Endpoint[ImagesResponse, Never] = Endpoint(
    "images.create_variation",
    "/images/variations",
    known=wire.names(ImageVariationFields),
    makes_image=True,
    read=_read,
)
