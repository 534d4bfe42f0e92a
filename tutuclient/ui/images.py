"""The images of the page, uploaded and made, in memory and under names that cannot be guessed."""

from __future__ import annotations

import re
import secrets
from typing import Final, NamedTuple

from tutuclient.errors import MediaError, printable
from tutuclient.media.kinds import EXTENSIONS, HEAD_BYTES, SENT_IMAGES, image_mime, seems

MOST_UPLOAD: Final = 20 * 2**20
"""Bytes of the largest image that is taken; OpenAI and relays take about as much."""

_MOST_KEPT: Final = 256 * 2**20
_LONGEST_NAME: Final = 80
# What separates folders, what shells and terminals obey, and marks that reverse the direction of writing.
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\"*:<>?|]+")


class StoredImage(NamedTuple):
    """An image that the page may show or send.

    Attributes:
        id: Its name on the server, which cannot be guessed: an ``<img>`` can send no token.
        name: The name of its file.
        mime: Its media type, by its bytes.
        data: Its bytes.
    """

    id: str
    name: str
    mime: str
    data: bytes

    def described(self) -> dict[str, str | int]:
        """Return what the page is told about it."""
        return {
            "id": self.id,
            "src": f"/images/{self.id}",
            "name": self.name,
            "mime": self.mime,
            "size": len(self.data),
        }


class ImageStore:
    """Keeps images while there is room; those used longest ago go first.

    Args:
        most_bytes: How many bytes are kept; the newest image is, however large.
    """

    def __init__(self, most_bytes: int = _MOST_KEPT) -> None:
        self._most_bytes = most_bytes
        self._images: dict[str, StoredImage] = {}

    def add(self, data: bytes, name: str = "image") -> StoredImage:
        """Keep an image that may be sent or shown.

        Raises:
            MediaError: It is not an image of a kind that relays take, by its bytes.
        """
        mime = image_mime(data[:HEAD_BYTES])
        if mime is None or mime not in SENT_IMAGES:
            what = seems(data[:HEAD_BYTES]) if data else "an empty file"
            raise MediaError(f"{file_name(name)} is no image that can be sent: it seems to be {printable(what)}")
        stored = StoredImage(secrets.token_urlsafe(24), file_name(name, mime), mime, data)
        self._images[stored.id] = stored
        while len(self._images) > 1 and sum(len(each.data) for each in self._images.values()) > self._most_bytes:
            del self._images[next(iter(self._images))]
        return stored

    def get(self, name: str) -> StoredImage | None:
        """Return an image by its id; None when there is none, or no longer."""
        if (found := self._images.pop(name, None)) is not None:
            self._images[name] = found
        return found


def file_name(name: str, mime: str | None = None) -> str:
    """Return a file's name without its folders and without what would be dangerous in a shell's line or a terminal.

    Args:
        name: The name as the browser has it.
        mime: The type that its ending has to fit; None leaves it as it is.
    """
    last = re.split(r"[/\\]", name)[-1]
    clean = _UNSAFE.sub("_", last).strip(" .").lstrip("-")[-_LONGEST_NAME:] or "image"
    endings = EXTENSIONS.get(mime or "", ())
    if not endings or clean.lower().endswith(endings):
        return clean
    stem, dot, ending = clean.rpartition(".")
    return (stem if dot and len(ending) <= 4 else clean) + endings[0]  # noqa: PLR2004  (the length of an extension)
