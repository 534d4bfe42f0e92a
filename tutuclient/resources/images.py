"""Images: generated from text, edited, varied; whole, or as a stream of drafts.

Each of these calls orders an image, so none is sent again when it may have been
done, whatever the model is called.

Source: ``POST /images/generations``, ``/images/edits`` and ``/images/variations``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Never, TypeAlias, TypeGuard, Unpack, cast, overload

from tutuclient import wire
from tutuclient.errors import ConfigError, MediaError
from tutuclient.media.upload import Upload
from tutuclient.resources.endpoint import Endpoint, events, stamped
from tutuclient.resources.image_events import ImageReader, folded
from tutuclient.resources.image_tasks import ClientTasks, OrdersImages, address_within, settings_of_task
from tutuclient.resources.options import CallOptions
from tutuclient.resources.views import View, opened, raw, viewed
from tutuclient.settings import is_unset, with_keywords
from tutuclient.streams.events import stream_in
from tutuclient.types.image_tasks import ImageTask
from tutuclient.types.images import (
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
    from tutuclient.streams.events import EventStream
    from tutuclient.transport.reply import Reply

ImageFile: TypeAlias = "PictureSource | tuple[str | None, PictureSource] | tuple[str | None, PictureSource, str | None]"
"""An image to be sent as the file of a form: a source, or a name and a source. Its bytes say what media type it is."""

_Images: TypeAlias = "ImageFile | Sequence[ImageFile]"
# A mask needs an alpha channel, and the API takes it as PNG only (WIRE.md 1.9).
_MASKS = frozenset({"image/png"})


class _GenerateFields(ImageGenerateFields, CallOptions, total=False):
    """The keywords of ``images.generate``."""


class _EditFields(ImageEditFields, CallOptions, total=False):
    """The keywords of ``images.edit``."""

    mask: ImageFile | None
    markup: ImageFile | None


class _VariationFields(ImageVariationFields, CallOptions, total=False):
    """The keywords of ``images.create_variation``."""


class _SubmitFields(ImageGenerateFields, ImageEditFields, CallOptions, total=False):
    """The keywords of ``images.submit``."""

    mask: ImageFile | None
    markup: ImageFile | None


class Images(OrdersImages):
    """``client.images``."""

    with_raw_response = viewed("raw", lambda: _Raw)
    with_streaming_response = viewed("open", lambda: _Open)

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

    @with_keywords(_GenerateFields, open_ended=True)
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

        Where the relay answers with a task, it is waited for within the deadline; errors carry it in ``task``, and so
        does the one of a stream, which cannot wait.

        Raises:
            ConfigError: The request cannot be written; nothing was sent.
            OutcomeUnknownError: The connection broke, or a task was not finished by the deadline
                (``ImageTaskTimeoutError``); the images may have been made.
            ImageTaskError: The relay's task failed, expired, or has no image.
            UnexpectedResponseError: There is no image in the answer.
            APIError: The relay answered with an error, or with no whole answer.
        """
        return await self._ask(_GENERATE, {"prompt": prompt}, fields, stream=stream)

    @overload
    async def edit(
        self, *, image: _Images, prompt: str, stream: Literal[False] | None = None, **fields: Unpack[_EditFields]
    ) -> ImagesResponse: ...

    @overload
    async def edit(
        self, *, image: _Images, prompt: str, stream: Literal[True], **fields: Unpack[_EditFields]
    ) -> EventStream[ImageStreamEvent]: ...

    @overload
    async def edit(
        self, *, image: _Images, prompt: str, stream: bool | None, **fields: Unpack[_EditFields]
    ) -> ImagesResponse | EventStream[ImageStreamEvent]: ...

    @with_keywords(_EditFields, open_ended=True)
    async def edit(
        self,
        *,
        image: _Images,
        prompt: str,
        mask: ImageFile | None = None,
        markup: ImageFile | None = None,
        stream: bool | None = None,
        **fields: Any,
    ) -> ImagesResponse | EventStream[ImageStreamEvent]:
        """Edit one or several images; the results are in ``.images`` of the answer.

        Args:
            image: A path, a data URI, bytes, an open binary file or a Pillow image, or ``(name, bytes or file)``; or
                several, up to 16. They are sent as files; for an http(s) address there is ``client.edit``.
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
        files = [*_files(image), *_layers(mask, markup)]
        return await self._ask(_EDIT, {"prompt": prompt}, fields, stream=stream, files=files)

    @with_keywords(_VariationFields, open_ended=True)
    async def create_variation(self, *, image: ImageFile, **fields: Unpack[_VariationFields]) -> ImagesResponse:
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

    @with_keywords(_SubmitFields, open_ended=True)
    async def submit(
        self,
        *,
        prompt: str,
        image: _Images | None = None,
        **fields: Unpack[_SubmitFields],
    ) -> ImageTask:
        """Order images, and return the task that the relay answers with, without waiting for it.

        It is sent as ``generate`` sends it, or with ``image`` as ``edit`` does. A relay that answers with the images
        at once returns a task that is finished: its ``result`` is the answer. Which relays make tasks of orders, and
        by which field (``async=True``, mostly, by ``extra_body``) is the relay's to say.

        Args:
            prompt: What to draw, or to change.
            image: The images to edit, as for ``edit``; None generates.
            **fields: As for ``generate`` and ``edit``, ``mask`` and ``markup`` among them. ``timeout`` is for the order
                alone.

        Raises:
            MediaError: An image cannot be used; nothing was sent.
            APIError: As for ``generate``.
        """
        keywords: dict[str, Any] = {**fields}
        layers = _layers(keywords.pop("mask", None), keywords.pop("markup", None))
        orders = self.submitting()
        if image is None or is_unset(image):
            if layers:
                raise ConfigError("mask= and markup= lie over an image: pass image= too")
            answer: Any = await orders._ask(_SUBMIT, {"prompt": prompt}, keywords)  # noqa: SLF001  (a copy of its own)
        else:
            files = [*_files(image), *layers]
            answer = await orders._ask(_SUBMIT_EDIT, {"prompt": prompt}, keywords, files=files)  # noqa: SLF001  (as above)
        return cast("ImageTask", answer)

    def task(self, task: str | ImageTask, *, poll_url: str | None = None) -> ImageTask:
        """Return to a task of an earlier order, of this process or of another. Nothing is sent until it is asked for.

        ``await client.images.task(id).wait()`` returns its images.

        Args:
            task: Its id, or an ``ImageTask`` that came out of a pickle.
            poll_url: Where the relay wants to be asked for it, as the task had it; else it is looked for under
                ``/tasks/{id}``, ``/images/tasks/{id}`` and ``/images/generations/{id}``.

        Raises:
            ConfigError: It has no id, or ``poll_url`` is not on the relay's own origin, and the key goes nowhere else.
                Or the client has several relays, and nothing says which has the task: for an id alone,
                ``client.with_options(relay=name).images.task(id)``.
        """
        relay = task.meta.relay if isinstance(task, ImageTask) and task.meta is not None else None
        settings = settings_of_task(self._settings, relay, poll_url)
        source = ClientTasks(settings, self._transport)
        if poll_url is not None and address_within(poll_url, f"{settings.base_url}/", settings.origin) is None:
            raise ConfigError(
                f"poll_url is {wire.quoted(poll_url)}: it must be a path, or an address of the relay "
                f"({settings.origin}): the key goes nowhere else"
            )
        if isinstance(task, ImageTask):
            known = task.bound(source)
            known.poll_url = poll_url or known.poll_url
            return known
        if not isinstance(task, str) or not (task.strip() or poll_url):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers are not always typed)
            raise ConfigError(f"images.task needs the id of a task, and got {wire.quoted(task)}")
        return source.task(task.strip(), poll_url)


class _Raw(View):
    generate = raw(Images.generate)
    edit = raw(Images.edit)
    create_variation = raw(Images.create_variation)
    submit = raw(Images.submit)


class _Open(View):
    generate = opened(Images.generate)
    edit = opened(Images.edit)
    create_variation = opened(Images.create_variation)
    submit = opened(Images.submit)


def _prepare(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_text(body.get("prompt"), "prompt")
    return body


def _prepare_edit(body: dict[str, Any]) -> dict[str, Any]:
    wire.check_text(body.get("prompt"), "prompt", empty=True)
    return body


def _read(data: bytes | bytearray, reply: Reply, info: RequestInfo) -> ImagesResponse:
    reader = _reader(reply, info)
    if (events := stream_in(data, reply.content_type, reader)) is None:
        return stamped(wire.read_images(data, reply.meta), reply, info.origin(reply))
    # new-api streams whenever its upstream does (WIRE.md 3.4).
    for _ in events:  # The reader keeps them, without the drafts.
        pass
    return stamped(folded(reader.kept), reply, info.origin(reply))


def _reader(reply: Reply, info: RequestInfo) -> ImageReader:
    # OpenAI's events have these two beginnings (WIRE.md 1.9); those made of a whole answer get the same.
    kind = "image_edit" if reply.call.what.endswith("edits") else "image_generation"
    asked = info.body.get("n")
    count = asked if isinstance(asked, int) else 1
    return ImageReader(info.origin(reply), kind=kind, count=count, max_bytes=reply.call.max_bytes)


def _files(image: _Images) -> list[wire.FormFile]:
    """Return the images of a form: one as ``image``, several as ``image[]`` each, as relays read them."""
    several = isinstance(image, list | tuple) and not _is_named(image)
    sources = cast("Sequence[ImageFile]", image if several else [image])
    if not sources:
        raise MediaError("no image was passed: the list is empty")
    # Never both in one form: new-api reads the first kind that it finds, and drops the other (WIRE.md 1.9).
    field = "image" if len(sources) == 1 else "image[]"
    return [wire.FormFile(field, _upload(source, "image")) for source in sources]


def _layers(mask: ImageFile | None, markup: ImageFile | None) -> list[wire.FormFile]:
    """Return the images of a form that lie over the first one."""
    files: list[wire.FormFile] = []
    if mask is not None and not is_unset(mask):
        files.append(wire.FormFile("mask", _upload(mask, "mask"), _MASKS))
    if markup is not None and not is_unset(markup):
        files.append(wire.FormFile("markup", _upload(markup, "markup")))
    return files


def _upload(source: ImageFile, what: str) -> Upload:
    if _is_named(source):
        upload = _upload(source[1], what)
        upload.name = source[0] or upload.name
        return upload
    content = cast("PictureSource", source)
    if isinstance(content, str) and content.strip()[:8].lower().startswith(("http://", "https://")):
        raise MediaError(
            f"{what} is an address, and this endpoint takes files: download it and pass its bytes, or call"
            " client.edit(…), which sends the address to a chat model"
        )
    return content if isinstance(content, Upload) else Upload(content)


def _is_named(source: object) -> TypeGuard[tuple[str | None, PictureSource]]:
    """Return whether this is a file as the openai package takes one: a tuple of name, content and perhaps media type.

    The content has to be bytes or a file: a tuple of two paths is two images.
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
_SUBMIT = _GENERATE.for_call("images.submit")
_SUBMIT_EDIT = _EDIT.for_call("images.submit", "markup")
_VARIATION: Endpoint[ImagesResponse, Never] = Endpoint(
    "images.create_variation",
    "/images/variations",
    known=wire.names(ImageVariationFields),
    makes_image=True,
    read=_read,
)
