"""Debian's Chromium, driven by Playwright, with an eye on everything that a page may do wrong."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, Page, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

WIDE, PHONE = {"width": 1440, "height": 1000}, {"width": 390, "height": 844}
_NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  violations.push(`${violatedDirective} ${blockedURI}`);
});
"""
# Of every text that is seen: its contrast with the nearest background that is painted (WCAG 2.2, 1.4.3).
_FAINT = """
() => {
  const part = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const pixel = (colors) => {
    canvas.fillStyle = "#fff";
    canvas.fillRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest(".unseen, .skip, :disabled, option, noscript")) continue;
    const grounds = [];
    for (let each = element; each; each = each.parentElement) grounds.unshift(getComputedStyle(each).backgroundColor);
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(pixel(grounds)), light(pixel([...grounds, ink]))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${element.className} ${text.slice(0, 40)}`);
  }
  return found;
}
"""


@contextmanager
def chromium(*arguments: str) -> Generator[Browser]:
    """Start the browser of ``tests/real/install``, with further arguments."""
    path = shutil.which("chromium")
    assert path is not None, "there is no chromium: tests/real/install chromium"
    # Its sandbox needs a user other than root, whom machines of CI do not have.
    options = ["--no-sandbox", *arguments] if os.geteuid() == 0 else [*arguments]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


class Watched:
    """A page, and all that went wrong on it.

    Attributes:
        page: The page.
        requests: The addresses that it asked for.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self._wrong: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self._wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self._wrong.append(f"error: {error}"))
        page.on("requestfailed", lambda request: self._wrong.append(f"failed: {request.url} {request.failure}"))
        page.on("dialog", self._dismissed)
        page.add_init_script(_NOTE_VIOLATIONS)

    def _dismissed(self, dialog: Any) -> None:
        self._wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def wrong(self) -> list[str]:
        """Return what went wrong: errors, messages on the console, dialogs, and what the policy stopped."""
        return self._wrong + [f"policy: {each}" for each in self.page.evaluate("window.violations")]

    def forgive(self, pattern: str) -> None:
        """Forget what went wrong and is like a pattern, all of it."""
        self._wrong = [each for each in self._wrong if not re.fullmatch(pattern, each)]

    def faint(self) -> list[str]:
        """Return the texts whose contrast is below 4.5."""
        return list(self.page.evaluate(_FAINT))


@contextmanager
def watched(browser: Browser, address: str, **options: Any) -> Iterator[Watched]:
    """Open a page, and check at the end that nothing went wrong on it, and that it asked for nothing from elsewhere."""
    context = browser.new_context(**{"viewport": WIDE, **options})
    try:
        found = Watched(context.new_page())
        found.page.goto(address)
        yield found
        assert found.wrong() == [], found.wrong()
        folder = address.rpartition("/")[0]
        # A blob is of the page's own making, and its address begins with the page's origin.
        assert [url for url in found.requests if not url.removeprefix("blob:").startswith(f"{folder}/")] == []
    finally:
        context.close()
