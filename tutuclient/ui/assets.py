"""The files of the page, read once, with the tags by which a browser asks whether they have changed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

_FOLDER: Final = Path(__file__).parent / "page"
_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """A file of the page.

    Attributes:
        data: Its bytes.
        content_type: Its media type.
        etag: Its tag, in quotes.
    """

    data: bytes
    content_type: str
    etag: str


def read_assets() -> dict[str, Asset]:
    """Read the files of the page, by their paths on the server; "/" is its HTML."""
    assets: dict[str, Asset] = {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _TYPES:
            data = path.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
            name = "/" if path.name == "index.html" else f"/{path.name}"
            assets[name] = Asset(data, _TYPES[path.suffix], tag)
    return assets
