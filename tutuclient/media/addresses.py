"""Addresses of images: how they are shown, split into steps, and made into names of files."""

from __future__ import annotations

import re
from urllib.parse import unquote

from tutuclient.errors import printable
from tutuclient.media.kinds import PICTURE_ENDINGS

_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # names Windows keeps for itself
PICTURE_FILE = re.compile(
    rf"(?P<stem>[^/]*?)\.(?:{PICTURE_ENDINGS})(?:[!~@][^/]*)?",
    re.IGNORECASE | re.DOTALL,
)


def safe_url(url: str) -> str:
    """Show an address without what may be secret in it: credentials, query and fragment. It is short, one line."""
    if not url.lower().startswith(("http://", "https://")):
        return printable(url, 30)
    address, cut, _ = re.sub(r"(?<=//)[^/?#]*@", "…@", url[:2048]).replace("#", "?").partition("?")
    return printable(address, 200) + ("?…" if cut else "")


def file_stem(url: str | None) -> str:
    """Make a file's name, without extension, of an address: letters, digits, "-" and "_" of its last step, or ""."""
    name = unquote(steps_of(url or "")[-1]).rpartition("/")[2]
    if file := PICTURE_FILE.fullmatch(name):
        name = file["stem"]
    name = re.sub(r"[^\w-]+", "-", name.encode("utf-8", "ignore").decode())[:60].strip("-_")
    return f"image-{name}" if _RESERVED.fullmatch(name) else name


def steps_of(url: str) -> list[str]:
    """Split the path of an address; query and fragment are no part of it. At least one step, "" if need be."""
    return re.split(r"[?#]", url, maxsplit=1)[0].split("/")[3:] or [""]
