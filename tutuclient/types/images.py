"""Images: the fields of the three requests, the whole answer, and the events of a streamed one.

Source: ``POST /images/generations``, ``/images/edits`` and ``/images/variations``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003  (msgspec and ``get_type_hints`` read annotations at run time)
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import msgspec

from tutuclient.types.answer import Answer, Nested, kept
from tutuclient.types.chat import Usage

if TYPE_CHECKING:
    from tutuclient.generated import GeneratedImage
    from tutuclient.types.answer import Origin

_DATA_URI = re.compile(r"\s{0,9}data:[^,]{0,200};base64,", re.IGNORECASE)


class ImageVariationFields(TypedDict, total=False):
    """Every field of a variation beside ``image``; as for ``ChatFields``."""

    model: str | None
    n: int | None
    response_format: Literal["url", "b64_json"] | None
    size: str | None
    user: str


class ImageEditFields(ImageVariationFields, total=False):
    """Every field of an edit beside the files, ``prompt`` and ``stream``; as for ``ChatFields``."""

    background: Literal["transparent", "opaque", "auto"] | None
    complexity: str | None
    frame_count: int | None
    frame_duration_ms: int | None
    input_fidelity: Literal["high", "low"] | None
    output_compression: int | None
    output_format: Literal["png", "jpeg", "webp", "gif", "svg"] | None
    partial_images: int | None
    quality: str | None
    safety_identifier: str | None
    svg: Mapping[str, Any] | None


class ImageGenerateFields(ImageVariationFields, total=False):
    """Every field of an order of pictures beside ``prompt`` and ``stream``; as for ``ChatFields``."""

    background: Literal["transparent", "opaque", "auto"] | None
    complexity: str | None
    frame_count: int | None
    frame_duration_ms: int | None
    moderation: Literal["low", "auto"] | None
    output_compression: int | None
    output_format: Literal["png", "jpeg", "webp", "gif", "svg"] | None
    partial_images: int | None
    quality: str | None
    safety_identifier: str | None
    style: Literal["vivid", "natural"] | None
    svg: Mapping[str, Any] | None


class ImagesTokensDetails(Nested, frozen=True, kw_only=True):
    """What the tokens were; None where the relay does not say."""

    text_tokens: int | None = None
    image_tokens: int | None = None


class ImagesUsage(Usage, frozen=True, kw_only=True):
    """Tokens used for pictures, as the relay says; None where it does not."""

    OWN = frozenset({"completion_tokens", "completion_tokens_details", "prompt_tokens", "prompt_tokens_details"})

    input_tokens_details: ImagesTokensDetails | None = None
    output_tokens_details: ImagesTokensDetails | None = None


class Image(Nested, frozen=True, kw_only=True):
    """A picture as it came; ``ImagesResponse.images`` has the ways to get at its bytes.

    Attributes:
        url: Where it is, or None. Such links expire, often within the hour.
        b64_json: Its base64, without the beginning of a data URI, or None.
        revised_prompt: The prompt it was really made from, or None when the relay does not say.
    """

    url: str | None = None
    b64_json: str | None = None
    revised_prompt: str | None = None

    def __post_init__(self) -> None:
        for name in ("url", "b64_json", "revised_prompt"):  # Relays write "" for what there is not.
            if getattr(self, name) == "":
                msgspec.structs.force_setattr(self, name, None)
        bare = _bare(self.b64_json)
        if bare is not self.b64_json:
            msgspec.structs.force_setattr(self, "b64_json", bare)


class ImagesResponse(Answer, frozen=True, kw_only=True):
    """The whole answer of the three pages of images. What the relay left out is None or 0."""

    created: int = 0
    data: list[Image] = []
    usage: ImagesUsage | None = None
    background: str | None = None
    output_format: str | None = None
    quality: str | None = None
    size: str | None = None
    safety_identifier: str | None = None
    svg_usage: Any = None

    @property
    def images(self) -> list[GeneratedImage]:
        """The pictures of ``data``, in its order: to be read, or saved."""
        return _pictures(self)


class ImageStreamEvent(Answer, frozen=True, kw_only=True):
    """One event of a streamed picture: a draft, or the picture when it is done.

    Attributes:
        type: ``image_generation.partial_image``, ``image_generation.completed``, and the same of ``image_edit``.
        b64_json: The picture's base64, without the beginning of a data URI, or None.
        url: Where it is, when the relay gives a link in place of base64, or None.
        partial_image_index: Which draft it is, from 0; None when it is none.
        usage: Tokens used; with the picture, and None with a draft.
    """

    OWN = frozenset({"partial_image_index", "revised_prompt", "url", "usage"})

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

    def __post_init__(self) -> None:
        bare = _bare(self.b64_json)
        if bare is not self.b64_json:
            msgspec.structs.force_setattr(self, "b64_json", bare)

    @property
    def has_picture(self) -> bool:
        """Whether a picture came with this event, a draft or not."""
        return bool(self.b64_json or self.url)

    @property
    def is_partial(self) -> bool:
        """Whether this is a draft, and the picture is still to come."""
        return self.type.endswith("partial_image")

    @property
    def images(self) -> list[GeneratedImage]:
        """The picture of this event, to be read, or saved; a list of one, as everywhere a picture comes back."""
        return _pictures(self)


def _pictures(answer: ImagesResponse | ImageStreamEvent) -> list[GeneratedImage]:
    """Find the pictures once; what did not come off the wire has none."""
    found: list[GeneratedImage] | None = kept(answer).get("images")
    if found is None:
        origin: Origin | None = kept(answer).get("origin")
        found = [] if origin is None else origin.find(answer)
        kept(answer)["images"] = found
    return found


def _bare(encoded: str | None) -> str | None:
    """Take the beginning of a data URI off; one-api's replicate channel puts it there."""
    uri = None if encoded is None else _DATA_URI.match(encoded)
    return encoded if encoded is None or uri is None else encoded[uri.end() :]
