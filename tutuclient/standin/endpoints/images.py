"""The images endpoints: generations, edits and variations, from JSON or a form, whole or with drafts on the way.

Errors are worded as new-api words them. An answer's images have both ``url`` and ``b64_json``, the unused one empty, as
new-api returns them.
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
_NAMED_SIZES = ("1024x1024", "1024x1536", "1536x1024")
"""Of the API's description: schemas ImagesResponse, ImageGenCompletedEvent and ImageEditCompletedEvent."""
_MOST_FILES = 16
_MOST_IMAGES = 10
# new-api's own words for a size that was copied from a web page (WIRE.md 1.9).
_CROSS = "size an unexpected error occurred in the parameter, please use 'x' instead of the multiplication sign '×'"
_FORMATS = ("png", "jpeg", "webp")

Draw = Callable[["_Request"], list[bytes]]


@dataclass(frozen=True)
class _Request:
    """What was asked for, in JSON or in a form.

    Attributes:
        model: The model.
        prompt: What to draw or change; empty for variations.
        fields: All other fields, as they came.
        images: The images to start from.
        mask: Where to change them; None everywhere.
    """

    model: str
    prompt: str
    fields: Mapping[str, Any]
    images: tuple[bytes, ...] = ()
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

    def error(self) -> str | None:
        """Return what is wrong with it in new-api's words, or OpenAI's where new-api has none."""
        size, count = str(self.fields.get("size") or "auto"), self.fields.get("n")
        allowed = _SIZES.get(self.model, (size,))
        sides = self.size or ((1, 1) if size == "auto" else (0, 0))
        wrong = {
            _CROSS: "×" in size,
            f"size must be one of {', '.join(allowed)} for {self.model}": size not in {"auto", *allowed},
            f"Invalid value: '{size}'. size must be WIDTHxHEIGHT in pixels, at most {_LONGEST_SIDE}, or auto": (
                not all(1 <= side <= _LONGEST_SIDE for side in sides)
            ),
            "n must be between 1 and 10": count is not None and not 1 <= (lenient.integer(count) or 0) <= _MOST_IMAGES,
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
    request = _Request(exchange.model, str(exchange.payload.get("prompt") or ""), exchange.payload)
    if not request.prompt:
        return _bad_request(exchange, "prompt is required")
    return await _answer(exchange, request, _generated, "image_generation")


async def edit(exchange: Exchange) -> web.StreamResponse:
    """POST /v1/images/edits, as a form or, as newer new-api takes it, as JSON with addresses."""
    return await _changed(exchange, _edited, "image_edit", needs_prompt=True)


async def vary(exchange: Exchange) -> web.StreamResponse:
    """POST /v1/images/variations."""
    return await _changed(exchange, _varied, "image_variation", needs_prompt=False)


async def _changed(exchange: Exchange, draw: Draw, events: str, *, needs_prompt: bool) -> web.StreamResponse:
    try:
        request = _read(exchange)
    except brain.BadImageError as error:
        return _bad_request(exchange, str(error))
    if not request.images:
        return _bad_request(exchange, "image is required")
    if len(request.images) > _MOST_FILES:
        return _bad_request(exchange, f"too many images: at most {_MOST_FILES}")
    if needs_prompt and not request.prompt:
        return _bad_request(exchange, "prompt is required")
    return await _answer(exchange, request, draw, events)


def _read(exchange: Exchange) -> _Request:
    """Read a form, or JSON whose images are data URIs or addresses on this server."""
    if exchange.request.headers.get(hdrs.CONTENT_TYPE, "").startswith("application/json"):
        fields, fetch = exchange.payload, exchange.stage.fetch
        listed = [each for name in ("image", "images") for each in _addresses(fields.get(name))]
        images = tuple(brain.image_bytes(address, fetch) for address in listed)
        masks = [brain.image_bytes(address, fetch) for address in _addresses(fields.get("mask"))]
        return _Request(exchange.model, str(fields.get("prompt") or ""), fields, images, masks[0] if masks else None)
    form = exchange.form
    # new-api reads `image`, else `image[]`, else whatever begins like it: they are alternatives.
    named = [[each.content for each in form.files if each.name == name] for name in ("image", "image[]")]
    named.append([each.content for each in form.files if each.name.startswith("image[")])
    images = next((tuple(each) for each in named if each), ())
    mask = form.file("mask")
    fields = form.fields
    return _Request(exchange.model, fields.get("prompt", ""), fields, images, mask.content if mask else None)


def _addresses(value: object) -> list[str]:
    """Read addresses: one, several, or objects with ``image_url``."""
    objects = lenient.objects(value) or [lenient.mapping(value)]
    nested = [each.get("image_url", each.get("url")) for each in objects]
    return lenient.strings(value) + [str(lenient.mapping(each).get("url", each)) for each in nested if each is not None]


async def _answer(exchange: Exchange, request: _Request, draw: Draw, events: str) -> web.StreamResponse:
    if (wrong := request.error()) is not None:
        return _bad_request(exchange, wrong)
    # Older models answer whole, as new-api did for all of them: it ignored the field (WIRE.md 1.9).
    streamed = lenient.flag(request.fields.get("stream")) and not request.model.startswith("dall-e")
    try:
        drawn = await exchange.stage.work(lambda: draw(request))
    except brain.BadImageError as error:
        return _bad_request(exchange, str(error))
    exchange.stage.account.charge(IMAGE_POINTS * len(drawn))
    if streamed:
        frames = await exchange.stage.work(lambda: list(_events(request, drawn, events)))
        return await send_events(exchange, frames, done=False)
    # GPT Image returns base64 by default, older models addresses (WIRE.md 1.9).
    encoded = request.fields.get("response_format") or ("b64_json" if request.newer else "url")
    data = [
        {
            # Both fields, the unused one empty: Go writes it unless told to omit it (WIRE.md 1.9).
            "url": exchange.stage.host(image) if encoded == "url" else "",
            "b64_json": base64.b64encode(image).decode() if encoded == "b64_json" else "",
            "revised_prompt": request.prompt,
        }
        for image in drawn
    ]
    answer: dict[str, Any] = {"created": int(time.time()), "data": data}
    if request.newer:
        answer |= {**_described(request, drawn[0]), "usage": _usage(request, drawn)}
        if answer["size"] == "auto":
            del answer["size"]  # Which only events may say.
    return exchange.respond(answer)


def _events(request: _Request, drawn: list[bytes], events: str) -> Iterator[bytes]:
    """Build the events: for each image its drafts, which grow sharper, and then itself."""
    editing = brain.pillow("editing")
    for image in drawn:
        shared = {"created_at": int(time.time()), **_described(request, image)}
        for index in range(request.partial):
            draft = base64.b64encode(editing.draft(image, request.partial - index, kind=request.kind)).decode()
            fields = {"type": f"{events}.partial_image", "b64_json": draft, "partial_image_index": index}
            yield event({**fields, **shared})
        final = base64.b64encode(image).decode()
        usage = _usage(request, [image])
        yield event({"type": f"{events}.completed", "b64_json": final, "usage": usage, **shared})


def _described(request: _Request, image: bytes) -> dict[str, str]:
    """Describe an image: its real size, if it was asked for or is one that the API names, and its other properties."""
    size = "{}x{}".format(*brain.decode(image).size)
    quality = request.fields.get("quality")
    return {
        "size": size if size in _NAMED_SIZES or request.size is not None else "auto",
        "quality": quality if quality in ("low", "medium", "high") else "high",
        "background": "transparent" if request.clear else "opaque",
        "output_format": request.kind,
    }


def _usage(request: _Request, drawn: list[bytes]) -> dict[str, Any]:
    """Count a token a word, and one a block of 32 by 32 pixels."""
    text = len(tokens(request.prompt))
    read, made = (sum(_blocks(each) for each in images) for images in (request.images, drawn))
    return {
        "input_tokens": text + read,
        "output_tokens": made,
        "total_tokens": text + read + made,
        "input_tokens_details": {"text_tokens": text, "image_tokens": read},
        "output_tokens_details": {"text_tokens": 0, "image_tokens": made},
    }


def _blocks(image: bytes) -> int:
    width, height = brain.decode(image).size
    return -(-width // 32) * -(-height // 32)


def _bad_request(exchange: Exchange, message: str) -> web.Response:
    return exchange.error(400, message, code="invalid_image_request")


# --- Drawing, in a worker thread -------------------------------------------------------------------------------------


def _generated(request: _Request) -> list[bytes]:
    size = request.size or (1024, 1024)
    first, _ = brain.pillow("drawing").generate(
        request.prompt, zh=CJK.search(request.prompt) is not None, size=size, clear=request.clear
    )
    return _finished(request, first)


def _edited(request: _Request) -> list[bytes]:
    images = [brain.decode(each) for each in request.images]
    prompt = f"{request.prompt} (transparent background)" if request.clear else request.prompt
    mask = _mask(request, images[0]) if request.mask is not None else None
    # A mask applies to the first image; the others are then references only.
    image = images[0] if len(images) == 1 or mask is not None else brain.pillow("editing").beside(images)
    first, _ = brain.pillow("editing").edit(image, prompt, zh=False, mask=mask)
    return _finished(request, first)


def _varied(request: _Request) -> list[bytes]:
    return _finished(request, brain.pillow("editing").vary(brain.decode(request.images[0]), 1))


def _finished(request: _Request, first: bytes) -> list[bytes]:
    """Return as many as were asked for, in the asked size and format."""
    editing, images = brain.pillow("editing"), brain.pillow("images")
    drawn = [first, *(editing.vary(brain.decode(first), place + 1) for place in range(1, request.count))]
    quality = lenient.integer(request.fields.get("output_compression"))
    return [images.encode(each, kind=request.kind, size=request.size, quality=quality) for each in drawn]


def _mask(request: _Request, image: "Image") -> "Image":
    mask = brain.decode(request.mask or b"")
    if "A" not in mask.getbands():
        raise brain.BadImageError("Invalid mask image format - mask image missing alpha channel")
    if mask.size != image.size:
        raise brain.BadImageError("Invalid mask image size - mask and image must have the same size")
    return mask
