"""Images: the fields of the three requests, the whole answer, and the events of a streamed one.

Source: ``POST /images/generations``, ``/images/edits`` and ``/images/variations``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003  (msgspec and ``get_type_hints`` read annotations at run time)
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import msgspec

from tutuclient.types.base import Answer, Nested
from tutuclient.types.chat import Usage
from tutuclient.types.provenance import images_of

if TYPE_CHECKING:
    from tutuclient.media.image import GeneratedImage

# What stands before base64: the beginning of a data URI, or what is left of one. Some write it twice.
_GAP = r"(?:\s|\\{1,2}(?:[nrt]|u000[ad9]))*+"
_DATA_URI = re.compile(
    rf"{_GAP}(?:data:\s?(?P<declared>[^,;]{{0,100}}+)(?:;[^,]{{0,200}}?)??[;,]\s?base64\s?,"
    rf"|;?base64,"
    rf"|(?:data:)?(?P<left>image\\?/[\w.+*-]{{1,40}}+)(?:;[^,]{{0,100}}+)?,(?={_GAP}[A-Za-z0-9+/_-]{{16}})){_GAP}",
    re.IGNORECASE,
)
_ADDRESS = re.compile(rf"{_GAP}https?:(?:\\?/){{2}}", re.IGNORECASE)
_SPACES = re.compile(_GAP)
# What some put around it: markdown, HTML, brackets, quotes, and Python's of bytes.
_AROUND = re.compile(
    rf"{_GAP}(?:!?\[[^\[\]]{{0,200}}+\]\(|<img\s[^<>]{{0,200}}?src=[\"']?|b?[\"']|[<`])", re.IGNORECASE
)
_ITS_END = re.compile(r"[\"'<>)`]")
_BASE64 = re.compile(r"\s{0,9}+[A-Za-z0-9+/_=-]{40,}+[A-Za-z0-9+/_=\s-]*+")
# Of PNG, JPEG, GIF, WebP, AVIF and HEIC, SVG and XML.
_BEGINNINGS = re.compile(r"\s{0,9}(?:iVBORw0KGgo|/9j/|R0lGOD|UklGR|AAAA[\w+/]GZ0eX|PHN2Zy|PD94bWw)")
_DRAFTS = ("partial_image", ".partial", ".preview", ".draft")  # ends of the types of events
_LAST = (".completed", ".result", ".succeeded", ".done", ".finished", ".complete")  # likewise
_LONG = 200  # characters of nothing but base64, which no address, id or word has


def unwrapped(text: str) -> str:
    """Return what an image's field holds without markdown, HTML, quotes or brackets around it."""
    around = _AROUND.match(text)
    end = None if around is None else _ITS_END.search(text, around.end())
    return text if around is None else text[around.end() : None if end is None else end.start()]


def data_start(text: str) -> tuple[int, str | None]:
    """Return where an image's field really begins: clients and relays put a data URI's start before it, some twice.

    Args:
        text: An address, a data URI, one within another, or plain base64.

    Returns:
        Where the address or the base64 begins, and the media type that a data URI declares; None where there is none.
    """
    declared: str | None = None
    start = _SPACES.match(text).end()  # type: ignore[union-attr]  # It matches the empty text.
    # one-api's Replicate channel puts a data URI into ``b64_json`` (.github/WIRE.md, section 1.9), and a client that
    # adds its own start makes two.
    while uri := _DATA_URI.match(text, start):
        declared = declared or uri["declared"] or uri["left"] or ""
        start = uri.end()
    return start, declared


def is_address(text: str, start: int = 0) -> bool:
    """Return whether an image's text is an http(s) address, by what it begins with."""
    return _ADDRESS.match(text, start) is not None


def address_of(text: str, start: int = 0) -> str:
    """Return the address that begins there, without what JSON within JSON does to its slashes."""
    return text[start:].strip().replace("\\/", "/")


def looks_like_image(text: str) -> bool:
    """Return whether a text is an image's address, a data URI or base64, by what it begins with."""
    text = unwrapped(text)
    if is_address(text) or _DATA_URI.match(text):
        return True
    return _BEGINNINGS.match(text) is not None or (len(text) >= _LONG and _BASE64.fullmatch(text[:_LONG]) is not None)


def _sorted_out(url: str | None, encoded: str | None) -> tuple[str | None, str | None]:
    """Return an image's address and its base64, without the beginning of a data URI.

    Relays write an address into ``b64_json`` and base64 into ``url``, with and
    without "data:" before it (dsh-imagegen#10).
    """
    address: str | None = None
    data: str | None = None
    for field in (url, encoded):
        if not field or field.isspace():
            continue
        text = unwrapped(field)
        start, declared = data_start(text)
        if is_address(text, start):
            address = address or address_of(text, start)
        elif field is encoded or declared is not None or looks_like_image(text):
            data = data or text[start:]
        else:
            address = address or field  # A form of the relay's own; fetching it raises an error.
    return address, data


class ImageVariationFields(TypedDict, total=False):
    """Every field of a variation beside ``image``; as for ``ChatFields``."""

    model: str | None
    n: int | None
    response_format: Literal["url", "b64_json"] | None
    size: str | None
    user: str


class _DrawnFields(ImageVariationFields, total=False):
    """The fields that edits and generations have in common."""

    background: Literal["transparent", "opaque", "auto"] | None
    complexity: str | None
    frame_count: int | None
    frame_duration_ms: int | None
    output_compression: int | None
    output_format: Literal["png", "jpeg", "webp", "gif", "svg"] | None
    partial_images: int | None
    quality: str | None
    safety_identifier: str | None
    svg: Mapping[str, Any] | None


class ImageEditFields(_DrawnFields, total=False):
    """Every field of an edit beside the files, ``prompt`` and ``stream``; as for ``ChatFields``."""

    input_fidelity: Literal["high", "low"] | None


class ImageGenerateFields(_DrawnFields, total=False):
    """Every field of a generation of images beside ``prompt`` and ``stream``; as for ``ChatFields``."""

    moderation: Literal["low", "auto"] | None
    style: Literal["vivid", "natural"] | None


class ImagesTokensDetails(Nested, frozen=True, kw_only=True):
    """What the tokens were; None where the relay does not say."""

    text_tokens: int | None = None
    image_tokens: int | None = None


class ImagesUsage(Usage, frozen=True, kw_only=True):
    """Tokens used for images, as the relay counts them; None where it does not."""

    OWN = frozenset({"completion_tokens", "completion_tokens_details", "prompt_tokens", "prompt_tokens_details"})

    input_tokens_details: ImagesTokensDetails | None = None
    output_tokens_details: ImagesTokensDetails | None = None


class SvgUsage(Nested, frozen=True, kw_only=True):
    """Tokens used for drawing as SVG, and by which model; None where the relay does not say."""

    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None


class ImageError(Nested, frozen=True, kw_only=True):
    """Why one of several images was not made, as the relay says; None where it does not."""

    message: str = ""
    code: str | None = None
    type: str | None = None
    param: str | None = None


class Image(Nested, frozen=True, kw_only=True):
    """An image as it came; ``ImagesResponse.images`` has the ways to get at its bytes.

    Attributes:
        url: Where it is, or None. Such links expire, often within the hour.
        b64_json: Its base64, without the beginning of a data URI, or None.
        revised_prompt: The prompt it was really made from, or None when the relay does not say.
        error: Why it was not made, while others were; None for an image that was.
    """

    OWN = frozenset({"error"})

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None
    error: ImageError | None = None

    def __post_init__(self) -> None:
        # new-api's struct writes all its fields, "" where there is nothing (.github/WIRE.md, section 1.9).
        if self.revised_prompt == "":  # Relays write "" for what there is not.
            msgspec.structs.force_setattr(self, "revised_prompt", None)
        _sort_out(self)


class ImagesResponse(Answer, frozen=True, kw_only=True):
    """The whole answer of the three endpoints of images. What the relay left out is None or 0."""

    created: int = 0
    data: list[Image] = []
    usage: ImagesUsage | None = None
    background: str | None = None
    output_format: str | None = None
    quality: str | None = None
    size: str | None = None
    safety_identifier: str | None = None
    svg_usage: SvgUsage | None = None

    def _repr_html_(self) -> str:
        from tutuclient.types import showing  # noqa: PLC0415  (for notebooks alone)

        return showing.images(self)

    @property
    def images(self) -> list[GeneratedImage]:
        """The images of ``data``, in its order: to be read, or saved."""
        return images_of(self)


class ImageStreamEvent(Answer, frozen=True, kw_only=True):
    """One event of a streamed image: a draft, or the image when it is done.

    Attributes:
        type: ``image_generation.partial_image``, ``image_generation.completed``, and the same of ``image_edit``.
        b64_json: The image's base64, without the beginning of a data URI, or None.
        url: Where it is, when the relay gives a link in place of base64, or None.
        partial_image_index: Which draft it is, from 0; None when it is not a draft.
        usage: Tokens used; with the image, and None with a draft.
        error: Why one of several images was not made; the stream goes on with the others.
    """

    OWN = frozenset({"error", "partial_image_index", "revised_prompt", "safety_identifier", "url", "usage"})

    type: str = ""
    b64_json: str | None = None
    url: str | None = None
    partial_image_index: int | None = None
    created_at: int = 0
    usage: ImagesUsage | None = None
    background: str | None = None
    output_format: str | None = None
    quality: str | None = None
    size: str | None = None
    revised_prompt: str | None = None
    safety_identifier: str | None = None
    error: ImageError | None = None

    def __post_init__(self) -> None:
        _sort_out(self)

    def _repr_html_(self) -> str:
        from tutuclient.types import showing  # noqa: PLC0415  (for notebooks alone)

        return showing.images(self)

    @property
    def has_picture(self) -> bool:
        """Return whether an image came with this event, a draft or not."""
        return bool(self.b64_json or self.url)

    @property
    def is_partial(self) -> bool:
        """Return whether this is a draft, and the image is still to come."""
        return self.type.endswith(_DRAFTS)

    @property
    def is_one_of_several(self) -> bool:
        """Return whether this is one of several images, made or failed, with the last of which the stream does not end.

        Source: Volcengine, ``image_generation.partial_succeeded`` and ``image_generation.partial_failed``.
        """
        return self.type.endswith(("partial_succeeded", "partial_failed"))

    @property
    def is_last(self) -> bool:
        """Return whether the type of this event says that all images have come."""
        return self.type.endswith(_LAST)

    @property
    def images(self) -> list[GeneratedImage]:
        """The image of this event, to be read, or saved; a list of one, as everywhere an image comes back."""
        return images_of(self)


def _sort_out(image: Image | ImageStreamEvent) -> None:
    url, encoded = _sorted_out(image.url, image.b64_json)
    if url is not image.url:
        msgspec.structs.force_setattr(image, "url", url)
    if encoded is not image.b64_json:
        msgspec.structs.force_setattr(image, "b64_json", encoded)
