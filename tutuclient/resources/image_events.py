"""Events of images as they stream: drafts, whole images, and those that failed while others were made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tutuclient import wire
from tutuclient.streams.events import EventReader
from tutuclient.types.images import Image, ImagesResponse, ImageStreamEvent
from tutuclient.types.provenance import copy_provenance, set_origin

if TYPE_CHECKING:
    from tutuclient._meta import Meta
    from tutuclient.types.provenance import Origin
    from tutuclient.wire.sse import Data


class ImageReader(EventReader[ImageStreamEvent]):
    """Bytes to events of images: of drafts, of images, and of those that failed while others were made.

    Args:
        origin: Where the events come from.
        kind: What the events of this endpoint are called: ``image_generation`` or ``image_edit``.
        count: How many images were asked for.
        max_bytes: As for ``EventReader``.
    """

    def __init__(self, origin: Origin, *, kind: str, count: int, max_bytes: int) -> None:
        super().__init__(
            origin.meta,
            read=self._stamped,
            is_last=self._is_last,
            read_whole=self._whole_answer,
            max_bytes=max_bytes,
            more_after_last=True,
            # [DONE] says nothing of images that have not come; ``check_complete`` counts them.
            done_completes=False,
        )
        self._origin = origin
        self._kind = kind
        self._count = count
        self.kept: list[ImageStreamEvent] = []  # All but the drafts.

    @property
    def partial(self) -> ImagesResponse | None:
        """The images that came whole: they are paid for, whatever becomes of the rest. None when there is none yet."""
        if not self._images:
            return None
        answer = folded(self.kept)
        set_origin(answer, self._origin)
        return answer

    @property
    def _images(self) -> list[ImageStreamEvent]:
        return [event for event in self.kept if event.has_picture]

    def check_complete(self, *, strict: bool) -> None:
        """Raise when an image is missing, or when all failed.

        Fewer images than were asked for are an answer too, since models may draw fewer. So a well-formed end of the
        stream is accepted behind any whole image, unless the images came as ones of several: Volcengine, which sends
        them so, sends another event behind the last.

        Raises:
            APIStatusError: All images failed.
            IncompleteStreamError: An image is missing.
        """
        images = self._images
        failure = next((event.error for event in self.kept if event.error), None)
        if failure is not None and not images:
            raise wire.error_of_image(failure, self.meta, [event.to_dict() for event in self.kept])
        if not images:
            raise self._incomplete("the stream ended, and no image had come")
        if self.finished or self.done or not all(event.is_one_of_several for event in self.kept):
            return
        super().check_complete(strict=strict)

    def _stamped(self, name: str, data: Data, meta: Meta) -> list[ImageStreamEvent]:
        before = self._images
        events: list[ImageStreamEvent] = []
        for event in wire.read_image_events(name, data, meta):
            if self._repeats(event, before):
                if event.usage is None:
                    continue
                # Only the usage is new. The struct is frozen, so msgspec has to be forced to drop the image.
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
        # new-api ignores ``stream`` for images, so JSON is a usual answer here (WIRE.md 1.9; QuantumNous/new-api#4478).
        answer = wire.read_images(data, meta)
        events = [
            _completed(image, answer, self._kind) for image in answer.data if image.url or image.b64_json or image.error
        ]
        for event in events:
            copy_provenance(answer, event)
            set_origin(event, self._origin)
        self.kept = events
        return events


def _completed(image: Image, answer: ImagesResponse, kind: str) -> ImageStreamEvent:
    """Return the event of an image from a whole answer: many relays do not forward streams of images."""
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


def folded(events: list[ImageStreamEvent]) -> ImagesResponse:
    """Fold the events of a stream, without its drafts, into a whole answer."""
    last = events[-1]
    items = [
        # ``extra`` parses the event's JSON once more, base64 and all, so it is asked only where the field is there.
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
