"""HTML for notebooks: nothing of what a relay sent becomes markup, and nothing is fetched."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.images import png
from tutuclient.media import html

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "![cat](https://evil.example/pixel.png) [x](javascript:alert(1))",
    "</div></body><iframe src=https://evil.example>",
    "&lt;script&gt;",
    "\x1b[31mred\x1b[0m \x00 \u202eevil\u202c \u2066x\u2069 \ud800",
    "<!-- --><style>*{display:none}</style>",
)


class Page(HTMLParser):
    """What a browser would make of it: the elements with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        page.encode()  # What cannot be encoded cannot be saved.
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


OURS: dict[str, set[str]] = {
    "div": {"dir", "style"},
    "details": set(),
    "summary": {"style"},
    "progress": {"value", "max"},
    "img": {"src", "alt", "style"},
}


def check(page: str) -> Page:
    """Check that a page has nothing but our own elements and attributes, and loads nothing."""
    found = Page(page)
    for tag, attributes in found.elements:
        assert set(attributes) <= OURS[tag], (tag, attributes)
        assert "url(" not in (attributes.get("style") or "")
        if tag == "img":
            assert str(attributes["src"]).startswith("data:image/")
    return found


@pytest.mark.parametrize("words", HOSTILE)
def test_text_stays_text(words: str) -> None:
    for page in (
        html.text(words),
        html.small([words, "more"]),
        html.folded(words, html.text(words)),
        html.image("image/png", png(b"x"), words) or "",
    ):
        check(html.frame([page]))
    shown = check(html.text(words)).text
    assert not {"\x1b", "\x00", "\u202e", "\u2066"} & set(shown)


@given(st.text())
def test_any_text_comes_out_as_one_element(words: str) -> None:
    assert [tag for tag, _ in check(html.text(words)).elements] == (["div"] if words else [])


def test_what_is_written_in_a_text_can_be_read() -> None:
    words = "# Ünïcode\n\t<b>שלום</b> & 'a' \"b\" 你好 🐈"
    assert check(html.text(words)).text == words


def test_a_long_text_is_cut() -> None:
    page = html.text("<" * 1_000_000)
    assert len(page) < 250_000
    assert "(1,000,000 characters)" in page


@pytest.mark.parametrize("mime", [None, "image/svg+xml", "text/html", 'image/png"onload="x', "image/tiff"])
def test_what_browsers_do_not_show_is_no_image(mime: str | None) -> None:
    assert html.image(mime, b"<svg onload=alert(1)>") is None


def test_an_image_has_its_data_in_place() -> None:
    page = check(html.image("image/png", png(b"x"), "a cat") or "")
    assert page.elements[0][1]["alt"] == "a cat"


def test_words_that_are_missing_leave_no_gap() -> None:
    assert html.small(["", "a", "", "b"]).count("·") == 1
    assert html.small([]) == html.text("") == ""
