"""The pages that draw: generations, edits and variations, from JSON or a form, whole or with drafts on the way.

Complaints are worded as new-api words them. What is drawn is for ``pictures``; here it is read what was asked for,
and put into the shape of the answer: both ``url`` and ``b64_json``, the unused one empty.
"""

import base64
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import hdrs, web

from tutuclient.standin import brain
from tutuclient.standin.words import CJK
from tutuclient.testing import lenient
from tutuclient.testing.account import IMAGE_POINTS
from tutuclient.testing.answers import event, send_events
from tutuclient.testing.exchange import Exchange
from tutuclient.testing.tokens import tokens

if TYPE_CHECKING:
    from PIL.Image import Image

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})", re.ASCII)
_LONGEST_SIDE = 4096
_SIZES = {
    "dall-e-2": ("256x256", "512x512", "1024x1024"),
    "dall-e-3": ("1024x1024", "1024x1792", "1792x1024"),
}
_SIZES_TOLD = ("1024x1024", "1024x1536", "1536x1024")
"""Of the API's description: schemas ImagesResponse, ImageGenCompletedEvent and ImageEditCompletedEvent."""
_MOST_FILES = 16
_MOST_PICTURES = 10
_CROSS = "size an unexpected error occurred in the parameter, please use 'x' instead of the multiplication sign '×'"
_FORMATS = ("png", "jpeg", "webp")

Draw = Callable[["_Order"], list[bytes]]


@dataclass(frozen=True)
class _Order:
    """What was asked for, whichever way it came.

    Attributes:
        model: The model.
        prompt: What to draw or change; empty for variations.
        fields: All other fields, as JSON or a form gave them.
        pictures: The pictures to start from.
        mask: Where to change them; None everywhere.
    """

    model: str
    prompt: str
    fields: Mapping[str, Any]
    pictures: tuple[bytes, ...] = ()
    mask: bytes | None = None

    @property
    def newer(self) -> bool:
        """Whether the model is one of GPT Image, whose answers have usage and are base64 unless asked otherwise."""
        return self.model.startswith("gpt-image")

    @property
    def count(self) -> int:
        count = lenient.integer(self.fields.get("n"))
        return 1 if count is None else count

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels; None when the model may choose."""
        found = _SIZE.fullmatch(str(self.fields.get("size") or "auto"))
        return (int(found[1]), int(found[2])) if found else None

    @property
    def kind(self) -> str:
        return str(self.fields.get("output_format") or "png")

    @property
    def clear(self) -> bool:
        return self.fields.get("background") == "transparent"

    @property
    def partial(self) -> int:
        return min(max(lenient.integer(self.fields.get("partial_images")) or 0, 0), 3)

    def complaint(self) -> str | None:
        """Say what is wrong with it in new-api's words, or OpenAI's where new-api has none."""
        size, count = str(self.fields.get("size") or "auto"), self.fields.get("n")
        allowed = _SIZES.get(self.model, (size,))
        sides = self.size or ((1, 1) if size == "auto" else (0, 0))
        wrong = {
            _CROSS: "×" in size,
            f"size must be one of {', '.join(allowed)} for {self.model}": size not in {"auto", *allowed},
            f"Invalid value: '{size}'. size must be WIDTHxHEIGHT in pixels, at most {_LONGEST_SIDE}, or auto": (
                not all(1 <= side <= _LONGEST_SIDE for side in sides)
            ),
            "n must be between 1 and 10": count is not None
            and not 1 <= (lenient.integer(count) or 0) <= _MOST_PICTURES,
            "You must provide n=1 for this model.": self.model == "dall-e-3" and self.count > 1,
            f"output_format must be one of {', '.join(_FORMATS)}": self.kind not in _FORMATS,
            "Transparent background is not supported for JPEG output format.": self.clear and self.kind == "jpeg",
            "response_format must be url or b64_json": (
                self.fields.get("response_format") not in (None, "", "url", "b64_json")
            ),
        }
        return next((message for message, met in wrong.items() if met), None)


async def generate(exchange: Exchange) -> web.StreamResponse:
    """POST /v1/images/generations."""
    order = _Order(exchange.model, str(exchange.payload.get("prompt") or ""), exchange.payload)
    if not order.prompt:
        return _refused(exchange, "prompt is required")
    return await _answer(exchange, order, _generated, "image_generation")


async def edit(exchange: Exchange) -> web.StreamResponse:
    """POST /v1/images/edits, as a form or, as newer new-api takes it, as JSON with addresses."""
    return await _changed(exchange, _edited, "image_edit", needs_prompt=True)


async def vary(exchange: Exchange) -> web.StreamResponse:
    """POST /v1/images/variations."""
    return await _changed(exchange, _varied, "image_variation", needs_prompt=False)


async def _changed(exchange: Exchange, draw: Draw, events: str, *, needs_prompt: bool) -> web.StreamResponse:
    try:
        order = _read(exchange)
    except brain.CannotSeeError as error:
        return _refused(exchange, str(error))
    if not order.pictures:
        return _refused(exchange, "image is required")
    if len(order.pictures) > _MOST_FILES:
        return _refused(exchange, f"too many images: at most {_MOST_FILES}")
    if needs_prompt and not order.prompt:
        return _refused(exchange, "prompt is required")
    return await _answer(exchange, order, draw, events)


def _read(exchange: Exchange) -> _Order:
    """Read a form, or JSON whose pictures are data URIs or addresses on this server."""
    if exchange.request.headers.get(hdrs.CONTENT_TYPE, "").startswith("application/json"):
        fields, fetch = exchange.payload, exchange.stage.fetch
        listed = [each for name in ("image", "images") for each in _addresses(fields.get(name))]
        pictures = tuple(brain.picture_bytes(address, fetch) for address in listed)
        masks = [brain.picture_bytes(address, fetch) for address in _addresses(fields.get("mask"))]
        return _Order(exchange.model, str(fields.get("prompt") or ""), fields, pictures, masks[0] if masks else None)
    form = exchange.form
    # new-api reads `image`, else `image[]`, else whatever begins like it: they are alternatives.
    named = [[each.content for each in form.files if each.name == name] for name in ("image", "image[]")]
    named.append([each.content for each in form.files if each.name.startswith("image[")])
    pictures = next((tuple(each) for each in named if each), ())
    mask = form.file("mask")
    fields = form.fields
    return _Order(exchange.model, fields.get("prompt", ""), fields, pictures, mask.content if mask else None)


def _addresses(value: object) -> list[str]:
    """Read addresses: one, several, or objects with ``image_url``."""
    objects = lenient.objects(value) or [lenient.mapping(value)]
    nested = [each.get("image_url", each.get("url")) for each in objects]
    return lenient.strings(value) + [str(lenient.mapping(each).get("url", each)) for each in nested if each is not None]


async def _answer(exchange: Exchange, order: _Order, draw: Draw, events: str) -> web.StreamResponse:
    if (wrong := order.complaint()) is not None:
        return _refused(exchange, wrong)
    streamed = lenient.flag(order.fields.get("stream")) and not order.model.startswith("dall-e")
    try:
        drawn = await exchange.stage.work(lambda: draw(order))
    except brain.CannotSeeError as error:
        return _refused(exchange, str(error))
    exchange.stage.account.charge(IMAGE_POINTS * len(drawn))
    if streamed:
        frames = await exchange.stage.work(lambda: list(_events(order, drawn, events)))
        return await send_events(exchange, frames, done=False)
    encoded = order.fields.get("response_format") or ("b64_json" if order.newer else "url")
    data = [
        {
            "url": exchange.stage.host(picture) if encoded == "url" else "",
            "b64_json": base64.b64encode(picture).decode() if encoded == "b64_json" else "",
            "revised_prompt": order.prompt,
        }
        for picture in drawn
    ]
    answer: dict[str, Any] = {"created": int(time.time()), "data": data}
    if order.newer:
        answer |= {**_said(order, drawn[0]), "usage": _usage(order, drawn)}
        if answer["size"] == "auto":
            del answer["size"]  # Which only events may say.
    return exchange.respond(answer)


def _events(order: _Order, drawn: list[bytes], events: str) -> Iterator[bytes]:
    """Send drafts that grow sharper, then each picture."""
    editing = brain.pillow("editing")
    for picture in drawn:
        shared = {"created_at": int(time.time()), **_said(order, picture)}
        for index in range(order.partial):
            draft = base64.b64encode(editing.draft(picture, order.partial - index, kind=order.kind)).decode()
            fields = {"type": f"{events}.partial_image", "b64_json": draft, "partial_image_index": index}
            yield event({**fields, **shared})
        final = base64.b64encode(picture).decode()
        usage = _usage(order, [picture])
        yield event({"type": f"{events}.completed", "b64_json": final, "usage": usage, **shared})


def _said(order: _Order, picture: bytes) -> dict[str, str]:
    """Return what the picture is: its real size, if that was asked for or the API has a word for it, and the rest."""
    size = "{}x{}".format(*brain.decode(picture).size)
    quality = order.fields.get("quality")
    return {
        "size": size if size in _SIZES_TOLD or order.size is not None else "auto",
        "quality": quality if quality in ("low", "medium", "high") else "high",
        "background": "transparent" if order.clear else "opaque",
        "output_format": order.kind,
    }


def _usage(order: _Order, drawn: list[bytes]) -> dict[str, Any]:
    """Count a token a word, and one a block of 32 by 32 pixels."""
    text = len(tokens(order.prompt))
    read, made = (sum(_blocks(each) for each in pictures) for pictures in (order.pictures, drawn))
    return {
        "input_tokens": text + read,
        "output_tokens": made,
        "total_tokens": text + read + made,
        "input_tokens_details": {"text_tokens": text, "image_tokens": read},
        "output_tokens_details": {"text_tokens": 0, "image_tokens": made},
    }


def _blocks(picture: bytes) -> int:
    width, height = brain.decode(picture).size
    return -(-width // 32) * -(-height // 32)


def _refused(exchange: Exchange, message: str) -> web.Response:
    return exchange.error(400, message, code="invalid_image_request")


# --- Drawing, in a worker thread -------------------------------------------------------------------------------------


def _generated(order: _Order) -> list[bytes]:
    size = order.size or (1024, 1024)
    first, _ = brain.pillow("drawing").generate(
        order.prompt, zh=CJK.search(order.prompt) is not None, size=size, clear=order.clear
    )
    return _finished(order, first)


def _edited(order: _Order) -> list[bytes]:
    images = [brain.decode(each) for each in order.pictures]
    prompt = f"{order.prompt} (transparent background)" if order.clear else order.prompt
    mask = _mask(order, images[0]) if order.mask is not None else None
    # A mask is about the first picture; the others are then only there to be looked at.
    image = images[0] if len(images) == 1 or mask is not None else brain.pillow("editing").beside(images)
    first, _ = brain.pillow("editing").edit(image, prompt, zh=False, mask=mask)
    return _finished(order, first)


def _varied(order: _Order) -> list[bytes]:
    return _finished(order, brain.pillow("editing").vary(brain.decode(order.pictures[0]), 1))


def _finished(order: _Order, first: bytes) -> list[bytes]:
    """Make as many as were asked for, in the asked size and format."""
    drawn = [first, *(brain.pillow("editing").vary(brain.decode(first), place + 1) for place in range(1, order.count))]
    quality = lenient.integer(order.fields.get("output_compression"))
    return [brain.pillow("images").encode(each, kind=order.kind, size=order.size, quality=quality) for each in drawn]


def _mask(order: _Order, image: "Image") -> "Image":
    mask = brain.decode(order.mask or b"")
    if "A" not in mask.getbands():
        raise brain.CannotSeeError("Invalid mask image format - mask image missing alpha channel")
    if mask.size != image.size:
        raise brain.CannotSeeError("Invalid mask image size - mask and image must have the same size")
    return mask
