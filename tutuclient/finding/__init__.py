"""Finding the images in an answer.

Chat models return images in some fifteen forms: as parts beside the text, as
markdown, as a bare address next to Chinese text without a space, as base64 of
many megabytes. ``ImageFinder`` knows them, and what only looks like one (lines
of progress, code, videos, the same file linked twice). The images of the images
endpoints it returns as they are listed.

Source: .github/WIRE.md, sections 2.2 and 2.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from tutuclient.downloads.fetch import Downloads
from tutuclient.errors import NoImageError, printable
from tutuclient.finding.found import Found
from tutuclient.media.encoded import Base64
from tutuclient.media.image import GeneratedImage
from tutuclient.settings import UNSET, RetryPolicy
from tutuclient.types.chat import ChatCompletionChunk
from tutuclient.types.images import ImagesResponse, ImageStreamEvent, address_of, data_start, is_address

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import SupportsIndex

    from tutuclient.settings import Timeout, Unset
    from tutuclient.types import Answer, Image


class ImageList(list[GeneratedImage]):
    """The images of an answer, as a list. An index beyond its end raises ``NoImageError``, an ``IndexError``.

    Args:
        images: The images.
        text: The answer's text, for the error: where no image was made it mostly says why.
    """

    def __init__(self, images: Iterable[GeneratedImage], text: str) -> None:
        super().__init__(images)
        self._text = text

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> GeneratedImage: ...

    @overload
    def __getitem__(self, index: slice, /) -> list[GeneratedImage]: ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> GeneratedImage | list[GeneratedImage]:
        try:
            return super().__getitem__(index)
        except IndexError:
            text = f"; the relay said: {printable(self._text, 300)}" if self._text else ""
            count = "no image" if not self else "one image" if len(self) == 1 else f"{len(self)} images"
        # Raised behind the handler: within it, the plain IndexError would be printed above it as its context.
        raise NoImageError(f"the answer holds {count}{text}")

    def __reduce__(self) -> tuple[type[ImageList], tuple[list[GeneratedImage], str]]:
        return ImageList, (list(self), self._text)


class ImageFinder:
    """Finds the images in an answer. It can be pickled, and so can the answers that refer to it.

    Args:
        downloads: Fetches the images, when they are read or saved.
        made: Whether the call ordered an image. If so, and nothing better is there, an address without an image's
            extension is one too where it stands alone on its line, behind a colon, or under a label such as "下载".
            In other answers an address that is merely mentioned is not an image.
        timeout: The limits of each download, those of the call; UNSET leaves those of ``downloads``.
        retry: How often a download is tried again; None leaves that of ``downloads``.
    """

    def __init__(
        self,
        downloads: Downloads,
        made: bool,
        timeout: Timeout | Unset = UNSET,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.downloads = downloads
        self.made = made
        self._timeout = timeout
        self._retry = retry

    def __call__(self, answer: Answer) -> ImageList:
        """Find the images, in order of appearance, each one once, in time linear in the size of the answer.

        Of each choice these are read: ``message.images``, ``message.image``, the
        parts of a content that is a list, and the text; of a chunk all but the
        text, in which an address may be cut. Of any other answer ``data`` is read.
        The images of the images endpoints are returned as they are listed, one for one.
        """
        downloads = self.downloads.limited(self._timeout, self._retry)
        if isinstance(answer, ImagesResponse | ImageStreamEvent):
            listed = answer.data if isinstance(answer, ImagesResponse) else [answer]
            return ImageList([_listed(downloads, each) for each in listed if each.url or each.b64_json], "")
        found = Found(downloads)
        texts: list[str] = []
        choices: list[Any] | None = getattr(answer, "choices", None)
        is_chunk = isinstance(answer, ChatCompletionChunk)
        for choice in choices or ():
            delta = choice.delta if is_chunk else None
            # Some servers stream whole messages in place of deltas (WIRE.md 3.3, item 12).
            for message in (delta, choice.message):
                if message is not None:
                    found.read_message(message)
            if delta is None and choice.message.content:
                texts.append(choice.message.content)
                found.read_text(texts[-1])
        if not choices:
            # The shape of the images endpoints on the path of chats (WIRE.md 2.2, form 14).
            found.read_field(answer.to_dict().get("data"))
        if not found.images:
            for text in texts:
                found.read_again(text, made=self.made)
        return ImageList(found.images, "\n".join(texts))


def _listed(downloads: Downloads, item: Image | ImageStreamEvent) -> GeneratedImage:
    """Create the image of an item that an images endpoint lists: of its data, or else of its address.

    Relays write either of them into the field of the other.
    """
    urls: list[str] = []
    encoded: Base64 | None = None
    for text, is_data in ((item.b64_json, True), (item.url, False)):
        if text is None:
            continue
        start, uri = data_start(text)
        # An address in ``b64_json``, and base64 in ``url`` (WIRE.md 1.9): what stands there decides, not the field's
        # name.
        if is_address(text, start):
            urls.insert(0, address_of(text, start))
        elif is_data or uri is not None or Base64(text[start : start + 400]).mime:
            encoded = encoded or Base64(text, start)
        else:
            urls.append(text)
    image = GeneratedImage(downloads, urls[0] if urls else None, encoded=encoded, revised_prompt=item.revised_prompt)
    if len(urls) > 1 and urls[1] != urls[0]:
        image.download_url = urls[1]
    return image


def find_images(answer: Answer, *, made: bool = False) -> ImageList:
    """Find the images in an answer that did not come from a client, such as one read from a file.

    Args:
        answer: As for ``ImageFinder``.
        made: Whether the call ordered an image; see ``ImageFinder``.

    Returns:
        The images, in order of appearance. They are fetched with the default guards and limits.
    """
    return ImageFinder(Downloads(retry=RetryPolicy()), made)(answer)
