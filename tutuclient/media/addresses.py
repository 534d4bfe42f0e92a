"""Addresses of images: as errors show them, as the segments of their paths, and as names of files."""

from __future__ import annotations

import re
from urllib.parse import unquote

from tutuclient.errors import printable
from tutuclient.media.kinds import IMAGE_ENDINGS

_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # device names of Windows
# Hosts put a style behind the extension: "9f.jpeg~tplv-x.image" is a JPEG.
IMAGE_FILE = re.compile(
    rf"(?P<stem>[^/]*?)\.(?:{IMAGE_ENDINGS})(?:[!~@][^/]*)?",
    re.IGNORECASE | re.DOTALL,
)


def safe_url(url: str) -> str:
    """Return an address as errors show it: short, on one line, without credentials, query and fragment."""
    if not url.lower().startswith(("http://", "https://")):
        return printable(url, 30)
    address, cut, _ = re.sub(r"(?<=//)[^/?#]*@", "…@", url[:2048]).replace("#", "?").partition("?")
    return printable(address, 200) + ("?…" if cut else "")


def file_stem(url: str | None) -> str:
    """Return a file's name without extension: letters, digits, "-" and "_" of an address's last segment, or ""."""
    name = unquote(segments_of(url or "")[-1]).rpartition("/")[2]
    if file := IMAGE_FILE.fullmatch(name):
        name = file["stem"]
    name = re.sub(r"[^\w-]+", "-", name.encode("utf-8", "ignore").decode())[:60].strip("-_")
    return f"image-{name}" if _RESERVED.fullmatch(name) else name


def segments_of(url: str) -> list[str]:
    """Return the segments of an address's path, without query and fragment; at least one, which may be ""."""
    return re.split(r"[?#]", url, maxsplit=1)[0].split("/")[3:] or [""]
