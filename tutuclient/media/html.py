"""HTML for notebooks, of what a relay sent: escaped, small, and without anything that a browser would fetch.

Text stays text. It is not rendered as Markdown, whose images a notebook would load from wherever the text says; an
address is neither a link nor a source. Colours are the page's own, so that it reads in light and in dark.

Source: https://ipython.readthedocs.io/en/stable/config/integrating.html, ``_repr_html_``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tutuclient.errors import UNSAFE, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES: Final = 4_000_000
"""The largest image that is shown in a notebook, and the most of all images of one answer: a notebook keeps them."""

LONG_DATA: Final = 60
"""Characters of base64 from which on a text shows a mark in their place."""

_MOST_CHARACTERS: Final = 50_000
_SHOWN: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"})
# Line breaks and tabs are kept, and what could hide or turn around the text beside it is written out.
_IN_TEXT = {code: written for code, written in UNSAFE.items() if code not in {0x09, 0x0A}}
_FRAME = "border-left:3px solid rgba(128,128,128,.5);margin:4px 0;padding:2px 0 2px 12px;text-align:left"
_TEXT = "white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate;max-width:100ch"
_SMALL = "opacity:.7;font-size:.85em;overflow-wrap:anywhere"


def frame(parts: Iterable[str]) -> str:
    """Return parts of HTML as one, with a line beside it that tells it from what else a cell shows."""
    return f'<div style="{_FRAME}">{"".join(parts)}</div>'


def text(value: str, most: int = _MOST_CHARACTERS) -> str:
    """Return a text of several lines, escaped; of one that is longer than ``most`` characters its beginning."""
    more = f"… ({len(value):,} characters)" if len(value) > most else ""
    return f'<div dir="auto" style="{_TEXT}">{escaped(value[:most].translate(_IN_TEXT))}{more}</div>' if value else ""


def small(words: Iterable[str]) -> str:
    """Return words about an answer in one small line, escaped; those that are "" are left out."""
    line = " · ".join(escaped(printable(word, 200)) for word in words if word)
    return f'<div style="{_SMALL}">{line}</div>' if line else ""


def folded(title: str, inner: str) -> str:
    """Return HTML that is shown when its title is clicked."""
    return f'<details><summary style="{_SMALL}">{escaped(printable(title, 200))}</summary>{inner}</details>'


def image(mime: str | None, data: bytes, alt: str = "") -> str | None:
    """Return an image with its data in place, or None for one that browsers do not show."""
    if mime not in _SHOWN:
        return None
    import binascii  # noqa: PLC0415  (as all here, only for what is shown)

    encoded = binascii.b2a_base64(data, newline=False).decode()
    shown = escaped(printable(alt, 200))
    return f'<img src="data:{mime};base64,{encoded}" alt="{shown}" style="max-width:min(100%,640px);height:auto">'


def escaped(value: str) -> str:
    """Return text as HTML and quoted attributes have it; a lone surrogate, which no page can hold, is written out."""
    import html  # noqa: PLC0415  (its table of entities takes a millisecond to import)

    return html.escape(value.encode("utf-8", "backslashreplace").decode())
