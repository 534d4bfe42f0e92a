"""Images: made from words, edited, varied; whole, or as a stream of drafts.

Each of these calls orders a picture, so none is sent again when it may have been
done, whatever the model is called.

Source: ``POST /images/generations``, ``/images/edits`` and ``/images/variations``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tutuclient import wire
from tutuclient.errors import MediaError
from tutuclient.generated import ImageFinder
from tutuclient.media import Upload
from tutuclient.resources.resource import Resource
from tutuclient.settings import UNSET, Unset
from tutuclient.types.answer import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from tutuclient.media import PictureSource
    from tutuclient.settings import Timeout
    from tutuclient.transport import Call
    from tutuclient.transport.reply import Reply
    from tutuclient.types.images import ImageEditFields, ImageGenerateFields, ImagesResponse, ImageVariationFields

_MASKS = frozenset({"image/png"})


class Images(Resource):
    """``client.images``."""

    async def generate(
        self,
        *,
        prompt: str,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ImageGenerateFields],
    ) -> ImagesResponse:
        """Have pictures made; they are in ``.images`` of the answer.

        Args:
            prompt: What to draw.
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
        body: dict[str, Any] = {"prompt": prompt, **fields, **(extra_body or {})}
        call = self._call(
            "POST",
            "/images/generations",
            fields=body,
            headers=extra_headers,
            query=extra_query,
            timeout=timeout,
            makes_image=True,
        )
        return await self._whole(call)

    async def edit(
        self,
        *,
        image: PictureSource | Sequence[PictureSource],
        prompt: str,
        mask: PictureSource | None = None,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        timeout: float | Timeout | Unset | None = UNSET,
        **fields: Unpack[ImageEditFields],
    ) -> ImagesResponse:
        """Have one or several pictures changed; the results are in ``.images`` of the answer.

        Args:
            image: A path, a data URI, bytes, an open binary file or a Pillow image; or several, up to 16. They are
                sent as files, so an http(s) address is none: ``client.edit`` takes those.
            prompt: What to change.
            mask: A PNG of the first picture's size; what is transparent in it is drawn anew.
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
        masks = [] if mask is None else [wire.FormFile("mask", _upload(mask, "mask"), _MASKS)]
        form = wire.form({"prompt": prompt, **fields, **(extra_body or {})}, [*_files(image), *masks])
        call = self._call(
            "POST",
            "/images/edits",
            form=form,
            headers=extra_headers,
            query=extra_query,
            timeout=timeout,
            makes_image=True,
        )
        return await self._whole(call)

    async def create_variation(
        self,
        *,
        image: PictureSource,
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
        call = self._call(
            "POST",
            "/images/variations",
            form=wire.form({**fields, **(extra_body or {})}, [wire.FormFile("image", _upload(image, "image"))]),
            headers=extra_headers,
            query=extra_query,
            timeout=timeout,
            makes_image=True,
        )
        return await self._whole(call)

    async def _whole(self, call: Call) -> ImagesResponse:
        find = ImageFinder(self._transport.downloads, made=True)

        def read(data: bytes | bytearray, reply: Reply) -> ImagesResponse:
            answer = wire.read_images(data, reply.meta)
            vars(answer)["origin"] = Origin(reply.meta, find)
            return answer

        return await self._send(call, read)


def _files(image: PictureSource | Sequence[PictureSource]) -> list[wire.FormFile]:
    """Give the pictures of a form: one as ``image``, several as ``image[]`` each; relays read one or the other."""
    sources = cast("Sequence[PictureSource]", image if isinstance(image, list | tuple) else [image])
    if not sources:
        raise MediaError("no picture was given: the list is empty")
    field = "image" if len(sources) == 1 else "image[]"
    return [wire.FormFile(field, _upload(source, "image")) for source in sources]


def _upload(source: PictureSource, what: str) -> Upload:
    if isinstance(source, str) and source.strip()[:8].lower().startswith(("http://", "https://")):
        raise MediaError(
            f"{what} is an address, and this page takes files: fetch it and give its bytes, or have a chat model edit"
            " it with client.edit(…)."
        )
    return source if isinstance(source, Upload) else Upload(source)
