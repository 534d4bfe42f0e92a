"""A notebook that was run against a hostile relay, in Chromium: nothing of it runs, and nothing of it is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from nbconvert import HTMLExporter
from nbformat.v4 import new_notebook

from tests.real.browsing import chromium
from tests.test_notebook import executed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nbformat import NotebookNode
    from playwright.sync_api import Browser, Page

__all__ = ["executed"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def opened(browser: Browser, notebook: NotebookNode, folder: Path, theme: str) -> tuple[Page, set[str]]:
    """Open a notebook's export, and return what it asked for beside itself; nothing of that is answered."""
    file = folder / f"{len(notebook.cells)}-{theme}.html"
    file.write_text(HTMLExporter(theme=theme).from_notebook_node(notebook)[0], "utf-8")
    page, asked = browser.new_page(), set[str]()
    page.on("request", lambda request: asked.add(request.url))
    page.route("**", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    page.goto(file.as_uri(), wait_until="load")
    page.wait_for_timeout(300)  # A script that did run would have by then.
    return page, {url for url in asked if not url.startswith(("file:", "data:"))}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_runs_and_nothing_is_fetched(
    executed: NotebookNode, browser: Browser, tmp_path: Path, theme: str
) -> None:
    _, own = opened(
        browser, new_notebook(), tmp_path, theme
    )  # The exporter's scripts, which it loads for any notebook.
    page, asked = opened(browser, executed, tmp_path, theme)
    assert asked <= own
    assert page.title() not in {"owned", "1"}
    assert page.locator("img[onerror], .jp-RenderedHTMLCommon script").count() == 0
    assert page.locator(".jp-RenderedHTMLCommon a").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_shown_can_be_read(executed: NotebookNode, browser: Browser, tmp_path: Path, theme: str) -> None:
    page, _ = opened(browser, executed, tmp_path, theme)
    shown = page.locator(".jp-RenderedHTMLCommon")
    assert '<script>document.title = "owned"</script>' in shown.first.inner_text()
    images = page.locator(".jp-OutputArea-output img")
    assert images.count() == 2
    for number in range(2):
        assert images.nth(number).evaluate("image => image.complete && image.naturalWidth > 0")
        assert images.nth(number).bounding_box()["width"] <= 1000
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ink, ground = page.evaluate(
        """() => {
          const text = document.querySelector(".jp-RenderedHTMLCommon div div");
          return [getComputedStyle(text).color, getComputedStyle(document.body).backgroundColor];
        }"""
    )
    assert ink != ground
