"""The pictures in an answer, wherever the relay hid them.

Chat models give pictures back in some fifteen forms: as parts beside the text,
as markdown, as a bare address glued to Chinese text, as base64 of many
megabytes. ``ImageFinder`` knows the forms and what only looks like one (progress
lines, code, videos, the same file linked twice), and lists what the pages of
images list.
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


class Pictures(list[GeneratedImage]):
    """The pictures of an answer, a list; taking one that is not there raises ``NoImageError``, an ``IndexError``.

    Args:
        images: The pictures.
        said: The answer's text, for the error: a relay that makes no picture mostly says why.
    """

    def __init__(self, images: Iterable[GeneratedImage], said: str) -> None:
        super().__init__(images)
        self._said = said

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> GeneratedImage: ...

    @overload
    def __getitem__(self, index: slice, /) -> list[GeneratedImage]: ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> GeneratedImage | list[GeneratedImage]:
        try:
            return super().__getitem__(index)
        except IndexError:
            said = f"; the relay said: {printable(self._said, 300)}" if self._said else ""
            count = f"{len(self)} pictures" if self else "no picture"
        raise NoImageError(f"the answer holds {count}{said}")

    def __reduce__(self) -> tuple[type[Pictures], tuple[list[GeneratedImage], str]]:
        return Pictures, (list(self), self._said)


class ImageFinder:
    """Finds the pictures in an answer. It pickles, and so do the answers that keep it.

    Args:
        downloads: Fetches the pictures, when they are asked for.
        made: The caller asked for a picture. Then an address without a picture's extension counts as well, if
            nothing better is there and it stands where a picture would: alone on its line, behind a colon, or under
            a label such as "下载". In other answers an address that is merely mentioned is no picture.
        timeout: The limits of each download, the call's own; UNSET leaves those of ``downloads``.
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

    def __call__(self, answer: Answer) -> Pictures:
        """Find the pictures, in order of appearance, each one once.

        Looked through are, for each choice: ``message.images``, ``message.image``,
        the parts of a list content, the text; of a chunk all but the text, since
        an address may be cut there; and ``data`` of an answer shaped like the
        images endpoint's. Takes time linear in the size of the answer.

        Args:
            answer: A completion, a chunk, or any answer with ``data: [{url | b64_json}]``.

        The pictures of the images pages are taken as they are listed, one for one.

        Returns:
            What was found; [] when there is no picture.
        """
        downloads = self.downloads.limited(self._timeout, self._retry)
        if isinstance(answer, ImagesResponse | ImageStreamEvent):
            listed = answer.data if isinstance(answer, ImagesResponse) else [answer]
            return Pictures([_listed(downloads, each) for each in listed if each.url or each.b64_json], "")
        found = Found(downloads)
        texts: list[str] = []
        choices: list[Any] | None = getattr(answer, "choices", None)
        is_chunk = isinstance(answer, ChatCompletionChunk)
        for choice in choices or ():
            delta = choice.delta if is_chunk else None
            for message in (delta, choice.message):
                if message is not None:
                    found.read_message(message)
            if delta is None and choice.message.content:
                texts.append(choice.message.content)
                found.read_text(texts[-1])
        if not choices:
            found.read_field(answer.to_dict().get("data"))
        if not found.images:
            for text in texts:
                found.read_again(text, made=self.made)
        return Pictures(found.images, "\n".join(texts))


def _listed(downloads: Downloads, item: Image | ImageStreamEvent) -> GeneratedImage:
    """Make a picture of what an images page lists: its data where they came, else its address.

    Relays write either into the other's field.
    """
    urls: list[str] = []
    encoded: Base64 | None = None
    for text, is_data in ((item.b64_json, True), (item.url, False)):
        if text is None:
            continue
        start, uri = data_start(text)
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


def find_images(answer: Answer, *, made: bool = False) -> Pictures:
    """Find the pictures in an answer that did not come from a client, such as one read from a journal.

    Args:
        answer: As for ``ImageFinder``.
        made: The answer is one to a call for a picture; see ``ImageFinder``.

    Returns:
        The pictures, in order of appearance. They are fetched with the default guards and limits.
    """
    return ImageFinder(Downloads(retry=RetryPolicy()), made)(answer)
