"""The page of ``serve --ui`` in Chromium: asked, stopped, edited with, attacked; by keyboard, in both languages."""

from __future__ import annotations

import asyncio
import http.server
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from tests.real.browsing import PHONE, WIDE, chromium, watched
from tutuclient import TutuClient
from tutuclient.testing import Server, fails, sample_picture, says, serve_in_thread
from tutuclient.ui import serve_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.real.browsing import Watched
    from tutuclient import ui

KEY = "sk-never-shown-0123456789"
SKY = "请将这张图片的背景替换为蓝天白云"
# Longer than any look of a test, and ended by it.
FOR_EVER = 3600.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # A name that resolves to this computer, as an attacker's does after rebinding.
    with chromium("--host-resolver-rules=MAP rebound.example 127.0.0.1") as browser:
        yield browser


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serve_in_thread() as server:
        yield server


@pytest.fixture
def relay(running: Server) -> Iterator[Server]:
    running.reset()
    yield running
    running.token_delay = 0.0


@contextmanager
def page_of(relay: Server) -> Iterator[ui.Page]:
    """Run the page on a loop and in a thread of its own: Playwright's has a loop already."""
    started, box = threading.Event(), list[Any]()

    async def run() -> None:
        stop = asyncio.Event()
        async with (
            TutuClient(KEY, relay.base_url, max_retries=0) as client,
            serve_page(client, stand_in=True, sample=sample_picture) as page,
        ):
            box.extend((page, partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set)))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert started.wait(30)
    yield box[0]
    box[1]()
    thread.join()


@pytest.fixture
def served(relay: Server) -> Iterator[ui.Page]:
    with page_of(relay) as page:
        yield page


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    path.write_bytes(sample_picture())
    return path


@pytest.fixture
def opened(browser: Browser, served: ui.Page) -> Callable[..., Any]:
    @contextmanager
    def open_page(**options: Any) -> Iterator[Watched]:
        with watched(browser, served.address, **{"locale": "en-GB", **options}) as watching:
            yield watching
            # Chromium calls a streamed answer aborted when the page has read its end before the network has said so;
            # and loading the page again aborts what it was asking. A preview that is left while it loads, as on a busy
            # machine, is aborted too.
            watching.forgive(r"failed: (\S+/api/(calls|code)\S*|blob:\S+) net::ERR_ABORTED")

    return open_page


def choose(page: Page, image: Any) -> None:
    page.locator("#file").set_input_files(image)
    expect(page.locator("#file-facts")).to_contain_text("PNG")


def ask(page: Page, prompt: str = "What is in this image?") -> None:
    page.locator("#prompt").fill(prompt)
    page.locator("#send").click()


def wait_for(happened: Callable[[], bool], page: Page) -> None:
    """Wait in turns of the browser, so that its events are seen meanwhile."""
    for _ in range(600):
        if happened():
            return
        page.wait_for_timeout(50)
    raise AssertionError


def test_a_question_is_answered_token_by_token(opened: Any, relay: Server, cat: Path) -> None:
    relay.token_delay = 0.02
    with opened() as watching:
        page = watching.page
        expect(page).not_to_have_url(re.compile("#"))
        choose(page, cat)
        page.evaluate("""() => {
          window.lengths = [];
          new MutationObserver(() => lengths.push(document.querySelector("#text").textContent.length))
            .observe(document.querySelector("#text"), { characterData: true, childList: true, subtree: true });
        }""")
        ask(page)
        expect(page.locator("#state")).to_have_text("Finished")
        expect(page.locator("#text")).to_contain_text("720x540")
        lengths = page.evaluate("window.lengths")
        assert len(set(lengths)) > 5
        assert lengths == sorted(lengths)
        for words in ("Time", "First token", "Tokens", "Request id"):
            expect(page.locator("#figures")).to_contain_text(words)
        expect(page.locator("#text")).to_have_attribute("aria-busy", "false")
        assert KEY not in page.content()
    assert len([seen for seen in relay.requests if seen.method == "POST"]) == 1


def orders(relay: Server) -> list[Any]:
    return [seen for seen in relay.requests if seen.method == "POST"]


def test_stopping_closes_the_relays_connection(opened: Any, relay: Server, cat: Path) -> None:
    with opened() as watching:
        page = watching.page
        choose(page, cat)
        relay.token_delay = FOR_EVER
        ask(page)
        wait_for(lambda: len(orders(relay)) == 1, page)
        expect(page.locator("#send")).to_have_attribute("aria-disabled", "true")
        assert watching.faint() == []
        page.locator("#stop").click()
        expect(page.locator("#notice-title")).to_have_text("Stopped")
        wait_for(lambda: orders(relay)[0].aborted, page)
        expect(page.locator("#prompt")).to_be_focused()
        relay.token_delay = 0.0
        ask(page)
        expect(page.locator("#state")).to_have_text("Finished")


def test_stopping_at_once_stops(opened: Any, relay: Server, cat: Path) -> None:
    relay.token_delay = FOR_EVER
    with opened() as watching:
        page = watching.page
        choose(page, cat)
        page.locator("#prompt").fill(SKY)
        place = page.locator("#send").bounding_box()
        # Both in one turn of the page, so that no time lies between them.
        page.evaluate("() => { document.querySelector('#send').click(); document.querySelector('#stop').click(); }")
        expect(page.locator("#notice-title")).to_have_text("Stopped")
        expect(page.locator("#stop")).to_be_hidden()
        expect(page.locator("#send")).to_have_attribute("aria-disabled", "false")
        assert page.locator("#send").bounding_box() == place
        assert len(orders(relay)) <= 1
        assert all(order.aborted for order in orders(relay))


def test_a_double_click_and_a_key_that_is_held_order_once_however_fast_the_answer_is(
    opened: Any, relay: Server, cat: Path
) -> None:
    with opened() as watching:
        page, send = watching.page, watching.page.locator("#send")
        choose(page, cat)
        page.locator("#prompt").fill(SKY)
        page.evaluate("""() => {
          window.seen = [];
          const note = (event) => seen.push(event.type === "click" ? event.detail : event.repeat);
          for (const name of ["click", "keydown"]) document.querySelector("#send").addEventListener(name, note);
        }""")
        send.hover()
        page.mouse.down(click_count=1)
        page.mouse.up(click_count=1)
        expect(page.locator("#state")).to_have_text("Finished")
        page.mouse.down(click_count=2)
        page.mouse.up(click_count=2)
        assert page.evaluate("seen") == [1, 2]
        send.focus()
        page.keyboard.down("Enter")
        wait_for(lambda: len(orders(relay)) == 2, page)
        expect(page.locator("#state")).to_have_text("Finished")
        send.focus()
        page.keyboard.down("Enter")
        page.keyboard.up("Enter")
        assert page.evaluate("seen") == [1, 2, False, 0, True]
        expect(send).to_have_attribute("aria-disabled", "false")
    assert len(orders(relay)) == 2


def test_closing_the_tab_closes_the_relays_connection(
    browser: Browser, served: ui.Page, relay: Server, cat: Path
) -> None:
    page = browser.new_page()
    page.goto(served.address)
    choose(page, cat)
    relay.token_delay = FOR_EVER
    ask(page)
    wait_for(lambda: len(orders(relay)) == 1, page)
    other = browser.new_page()
    page.close()
    wait_for(lambda: orders(relay)[0].aborted, other)
    other.close()


def test_an_edit_is_compared_by_a_slider_saved_and_gone_on_with(
    opened: Any, relay: Server, cat: Path, tmp_path: Path
) -> None:
    with opened() as watching:
        page = watching.page
        choose(page, cat)
        page.locator("input[value=edit]").check()
        ask(page, SKY)
        slider = page.locator("#slider")
        expect(slider).to_be_visible()
        expect(slider).to_have_attribute("aria-valuetext", "50 % before")
        cut = "getComputedStyle(document.querySelector('#after')).clipPath"
        wait_for(lambda: bool(page.evaluate(cut) == "inset(0px 0px 0px 50%)"), page)
        slider.focus()
        page.keyboard.press("Home")
        assert page.evaluate(cut) == "inset(0px 0px 0px 0%)"
        page.keyboard.press("End")
        assert page.evaluate(cut) == "inset(0px 0px 0px 100%)"
        box = slider.bounding_box()
        assert box
        page.mouse.click(box["x"] + 22 + (box["width"] - 44) * 0.25, box["y"] + 40)
        assert 24 <= float(slider.input_value()) <= 26
        with page.expect_download() as saving:
            page.locator("#download").click()
        assert saving.value.suggested_filename == "cat-edited.png"
        saving.value.save_as(tmp_path / "saved.png")
        assert (tmp_path / "saved.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        page.locator("#go-on").click()
        expect(page.locator("#file-name")).to_have_text("cat-edited.png")
        ask(page, "变成黑白")
        expect(page.locator("#file-name")).to_have_text("cat-edited-edited.png")
    assert len(orders(relay)) == 2


def test_an_image_is_generated_without_one(opened: Any) -> None:
    with opened() as watching:
        page = watching.page
        page.locator("input[value=generate]").check()
        expect(page.locator("#drop-title")).to_have_text("The image will appear here")
        ask(page, "An orange cat on a green hill")
        expect(page.locator("#state")).to_have_text("Finished")
        wait_for(lambda: bool(page.evaluate("document.querySelector('#before').naturalWidth")), page)
        expect(page.locator("#slider")).to_be_hidden()


def test_clicked_twice_and_loaded_again_an_order_is_sent_once(opened: Any, relay: Server, cat: Path) -> None:
    relay.token_delay = 0.15
    with opened() as watching:
        page = watching.page
        choose(page, cat)
        page.locator("input[value=edit]").check()
        page.locator("#prompt").fill(SKY)
        page.locator("#send").dblclick()
        expect(page.locator("#send")).to_be_focused()
        page.keyboard.press("Enter")
        page.locator("#prompt").press("Control+Enter")
        wait_for(lambda: len(orders(relay)) == 1, page)
        page.reload()
        expect(page.locator("#state")).to_contain_text("being edited")
        page.reload()
        relay.token_delay = 0.0
        expect(page.locator("#slider")).to_be_visible(timeout=30_000)
        expect(page.locator("#prompt")).to_have_value(SKY)
        page.reload()
        expect(page.locator("#slider")).to_be_visible()
        assert len(orders(relay)) == 1


@pytest.mark.parametrize(
    ("locale", "title", "outcome", "message"),
    [
        ("en-GB", "used up", "The relay did not do it, so nothing is billed.", "InsufficientQuotaError"),
        ("zh-CN", "额度已用完", "中转站没有执行，不会计费。", "InsufficientQuotaError"),
    ],
)
def test_an_error_is_shown_with_what_to_do(
    opened: Any, relay: Server, cat: Path, locale: str, title: str, outcome: str, message: str
) -> None:
    with opened(locale=locale) as watching:
        page = watching.page
        choose(page, cat)
        relay.answers(
            fails(403, "用户额度不足, 剩余额度: ¥0.00", code="insufficient_user_quota"), path="/v1/chat/completions"
        )
        ask(page)
        expect(page.locator("#notice-title")).to_contain_text(title)
        expect(page.locator("#notice-outcome")).to_have_text(outcome)
        page.locator("#notice summary").click()
        expect(page.locator("#notice-facts")).to_contain_text(message)
        expect(page.locator("#notice-message")).to_contain_text("剩余额度")
        expect(page.locator("#send")).to_be_visible()


def test_what_broke_off_is_kept(opened: Any, relay: Server, cat: Path) -> None:
    with opened() as watching:
        page = watching.page
        expect(page.locator("#models option").first).to_be_attached()
        choose(page, cat)
        relay.faults("fin_mid_stream", after=4)
        ask(page)
        expect(page.locator("#notice-title")).to_have_text("The answer broke off before its end.")
        expect(page.locator("#notice-outcome")).to_contain_text("check the relay's log")
        expect(page.locator("#text")).not_to_be_empty()


def test_it_speaks_the_browsers_language_and_the_one_that_is_chosen(opened: Any) -> None:
    with opened(locale="zh-CN") as watching:
        page = watching.page
        expect(page.locator("#send")).to_have_text("提问")
        assert page.evaluate("document.documentElement.lang") == "zh-Hans"
        page.locator("#to-en").click()
        expect(page.locator("#send")).to_have_text("Ask")
        page.reload()
        expect(page.locator("#send")).to_have_text("Ask")
        expect(page.locator("#to-en")).to_have_attribute("aria-pressed", "true")
    with opened(locale="fr-FR") as watching:
        expect(watching.page.locator("#send")).to_have_text("Ask")


def test_it_is_used_by_keyboard_alone(opened: Any, relay: Server) -> None:
    with opened() as watching:
        page, press = watching.page, watching.page.keyboard.press
        expect(page.locator("#code")).not_to_be_empty()
        press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        for wanted in ("#to-zh", "#to-en", "#choose", "#sample"):
            press("Tab")
            expect(page.locator(wanted)).to_be_focused()
        press("Enter")
        expect(page.locator("#file-name")).to_have_text("sample.png")
        expect(page.locator("#prompt")).to_be_focused()
        press("Shift+Tab")
        press("ArrowRight")
        expect(page.locator("input[value=edit]")).to_be_checked()
        press("Tab")
        page.keyboard.type("a blue sky with white clouds")
        press("Tab")
        expect(page.locator("#model")).to_be_focused()
        press("Tab")
        expect(page.locator("#send")).to_be_focused()
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        press("Enter")
        expect(page.locator("#slider")).to_be_focused()
        press("ArrowLeft")
        expect(page.locator("#slider")).to_have_value("49.5")
        press("Tab")
        expect(page.locator("#download")).to_be_focused()
    assert len(orders(relay)) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_all_text_can_be_read_and_nothing_is_wider_than_the_screen(
    opened: Any, relay: Server, cat: Path, scheme: str, size: dict[str, int], locale: str
) -> None:
    with opened(viewport=size, color_scheme=scheme, locale=locale, reduced_motion="reduce") as watching:
        page = watching.page

        def check() -> None:
            assert watching.faint() == []
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]

        check()
        page.locator("#send").click()
        check()
        page.locator("#file").set_input_files(
            {"name": "长" * 60 + "x" * 60 + ".png", "mimeType": "image/png", "buffer": cat.read_bytes()}
        )
        expect(page.locator("#file-facts")).to_contain_text("PNG")
        relay.answers(says("w" * 300 + " 长" * 200), fails(500, "x" * 900), path="/v1/chat/completions")
        ask(page, "长" * 400)
        expect(page.locator("#figures")).to_be_visible()
        check()
        page.locator("#send").click()
        expect(page.locator("#notice")).to_be_visible()
        page.locator("#notice summary").click()
        check()
        page.locator("input[value=edit]").check()
        ask(page, SKY)
        expect(page.locator("#slider")).to_be_visible()
        page.locator("input[value=curl]").check()
        check()
        assert page.evaluate("getComputedStyle(document.querySelector('#frame')).animationName") == "none"


def test_an_image_is_pasted_and_dropped_and_an_address_is_not_fetched(opened: Any, cat: Path) -> None:
    with opened() as watching:
        page = watching.page
        expect(page.locator("#send")).to_be_visible()
        hand = """([data, name, kind, type]) => {
          const transfer = new DataTransfer();
          if (data) transfer.items.add(new File([Uint8Array.from(data)], name, { type: "image/png" }));
          else transfer.setData("text/uri-list", "http://other.example/cat.png");
          const key = kind === "paste" ? "clipboardData" : "dataTransfer";
          const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
          document.body.dispatchEvent(new Kind(kind, { [key]: transfer, bubbles: true, cancelable: true }));
        }"""
        data = list(cat.read_bytes())
        page.evaluate(hand, [data, "pasted.png", "paste", ""])
        expect(page.locator("#file-name")).to_have_text("pasted.png")
        page.evaluate(hand, [data, "dropped.png", "dragenter", ""])
        expect(page.locator("#over")).to_be_visible()
        page.evaluate(hand, [data, "dropped.png", "drop", ""])
        expect(page.locator("#file-name")).to_have_text("dropped.png")
        expect(page.locator("#over")).to_be_hidden()
        page.evaluate(hand, [None, "", "drop", ""])
        expect(page.locator("#stage-wrong")).to_contain_text("an address, not a file")


def test_the_command_that_is_copied_runs(opened: Any, relay: Server, cat: Path) -> None:
    with opened(permissions=["clipboard-read", "clipboard-write"]) as watching:
        page = watching.page
        choose(page, cat)
        page.locator("#prompt").fill('What\'s in "this" image?')
        page.locator("input[value=curl]").check()
        expect(page.locator("#code")).to_contain_text("What'\"'\"'s in")
        page.locator("#copy").click()
        expect(page.locator("#copy")).to_have_text("Copied")
        command = page.evaluate("navigator.clipboard.readText()")
        expect(page.locator("#copy")).to_have_text("Copy", timeout=10_000)
    shell = shutil.which("bash")
    assert shell
    done = subprocess.run(  # noqa: S603  (what the page wrote)
        [shell, "-c", command],
        cwd=cat.parent,
        env={"PATH": "/usr/bin:/bin", "TUTU_API_KEY": "any"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "data: [DONE]" in done.stdout
    assert orders(relay)[0].json["messages"][0]["content"][0]["text"] == 'What\'s in "this" image?'


# --- attacks ----------------------------------------------------------------------------------------------------------

HOSTILE = "</div><script>window.owned=1</script><img src=x onerror=window.owned=1>\u202egpj.exe\x1b[31m ![](http://other.example/a.png)"


def test_hostile_text_stays_text(opened: Any, relay: Server, cat: Path) -> None:
    with opened() as watching:
        page = watching.page
        name = "<img src=x onerror=window.owned=1>\u202egpj.png"
        page.locator("#file").set_input_files({"name": name, "mimeType": "image/png", "buffer": cat.read_bytes()})
        expect(page.locator("#file-facts")).to_contain_text("PNG")
        relay.answers(says(HOSTILE), fails(400, HOSTILE), path="/v1/chat/completions")
        page.locator("#model").fill(f"gpt-4o{HOSTILE}".replace("\x1b", ""))
        ask(page, HOSTILE)
        expect(page.locator("#text")).to_contain_text("<img src=x onerror=window.owned=1>\\u202egpj.exe")
        page.locator("#send").click()
        page.locator("#notice summary").click()
        expect(page.locator("#notice-message")).to_contain_text("<script>window.owned=1</script>")
        expect(page.locator("#code")).to_contain_text("onerror")
        page.wait_for_timeout(200)  # Whatever were to run would have begun.
        assert page.evaluate("window.owned") is None
        assert page.locator("main script, img[src=x], iframe").count() == 0
        assert "\u202e" not in page.evaluate("document.body.innerText")


def test_the_policy_forbids_html_scripts_and_what_is_elsewhere_whoever_makes_them(
    browser: Browser, served: ui.Page
) -> None:
    page = browser.new_page()
    page.goto(served.address)
    for script in (
        "document.body.innerHTML = '<b>x</b>'",
        "document.head.append(Object.assign(document.createElement('script'), { src: '/app.js' }))",
        "fetch('http://127.0.0.1:1/')",
        "fetch('https://other.example/')",
    ):
        with pytest.raises(Error):
            page.evaluate(f"async () => {{ await ({script}); }}")
    assert (
        page.evaluate("""() => new Promise((done) => {
      document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => done(violatedDirective));
      document.body.append(Object.assign(new Image(), { src: "https://other.example/a.png" }));
    })""")
        == "img-src"
    )
    page.close()


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """An attacker's page on another port of this computer."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def elsewhere() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


_ATTACK = """async ([target, token]) => {
  const order = JSON.stringify({ id: "x".repeat(20), task: "generate", prompt: "a cat", model: "gpt-4o-image" });
  const said = {};
  const attempt = async (name, options) => {
    try {
      const answer = await fetch(`${target}/api/calls`, { method: "POST", body: order, ...options });
      said[name] = answer.type === "opaque" ? "opaque" : answer.status;
    } catch { said[name] = "blocked"; }
  };
  await attempt("simple", { mode: "no-cors", headers: { "Content-Type": "text/plain" } });
  await attempt("credentials", { mode: "no-cors", credentials: "include" });
  await attempt("with the token", { headers: { "X-Tutu-Token": token } });
  await attempt("readable", {});
  for (const kind of ["iframe", "img", "script"]) {
    said[kind] = await new Promise((done) => {
      const made = document.createElement(kind);
      made.onload = () => {
        let inside = "loaded";
        if (kind === "iframe") inside = made.contentDocument ? "readable" : "closed";
        done(inside);
      };
      made.onerror = () => done("blocked");
      made.src = kind === "script" ? `${target}/app.js` : kind === "img" ? `${target}/icon.svg` : `${target}/`;
      document.body.append(made);
    });
  }
  return said;
}"""


_FORM = """(target) => {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", enctype: "text/plain", action: `${target}/api/calls` });
  const name = `{"id":"${"y".repeat(20)}","task":"generate","model":"m","prompt":"`;
  form.append(Object.assign(document.createElement("input"), { name, value: '"}' }));
  document.body.append(form);
  form.submit();
}"""


def test_a_page_on_another_port_can_do_nothing(
    browser: Browser, served: ui.Page, relay: Server, elsewhere: str
) -> None:
    page = browser.new_page()
    page.goto(elsewhere)
    token = served.address.partition("#")[2]
    said = page.evaluate(_ATTACK, [served.origin, token])
    assert said == {
        "simple": "blocked", "credentials": "blocked", "with the token": "blocked", "readable": "blocked",
        "iframe": "closed", "img": "blocked", "script": "blocked",
    }  # fmt: skip
    assert all(not frame.locator("#main").count() for frame in page.frames[1:])
    # A form is navigated, and would send what it holds without a question.
    page.evaluate(_FORM, served.origin)
    expect(page.locator("body")).to_contain_text("requests from other origins are refused")
    page.close()
    assert orders(relay) == []


def test_a_name_that_was_rebound_to_this_computer_gets_nothing(
    browser: Browser, served: ui.Page, relay: Server
) -> None:
    page = browser.new_page()
    port = served.origin.rpartition(":")[2]
    answer = page.goto(f"http://rebound.example:{port}/#{served.address.partition('#')[2]}")
    assert answer
    assert answer.status == 421
    assert page.locator("#main").count() == 0
    page.close()
    assert relay.requests == []


def test_without_the_token_of_this_start_the_page_is_locked(browser: Browser, served: ui.Page, relay: Server) -> None:
    page = browser.new_page(locale="zh-CN")
    for address in (f"{served.origin}/", f"{served.origin}/#{'x' * 32}"):
        page.goto(address)
        page.reload()
        expect(page.locator("#locked")).to_be_visible()
        expect(page.locator("#locked")).to_contain_text("请打开终端里打印的地址")
        expect(page.locator("#main")).to_be_hidden()
    page.goto(served.address)
    page.reload()
    expect(page.locator("#main")).to_be_visible()
    expect(page.locator("#locked")).to_be_hidden()
    page.close()
    assert orders(relay) == []


def test_what_is_no_image_and_what_is_too_large_is_told_at_once(
    browser: Browser, served: ui.Page, relay: Server, tmp_path: Path
) -> None:
    page = browser.new_page(locale="en-GB")
    page.goto(served.address)
    large = tmp_path / "large.png"
    large.write_bytes(sample_picture() + b"\0" * (20 * 2**20))
    page.locator("#file").set_input_files(large)
    expect(page.locator("#stage-wrong")).to_contain_text("up to 20 MB")
    page.locator("#file").set_input_files(
        {"name": "cat.png", "mimeType": "image/png", "buffer": b"<svg onload=alert(1)>"}
    )
    expect(page.locator("#stage-wrong")).to_contain_text("SVG; draw it first")
    expect(page.locator("#drop")).to_be_visible()
    page.close()
    assert orders(relay) == []


def test_more_tabs_than_connections_and_one_of_them_works(
    browser: Browser, served: ui.Page, relay: Server, cat: Path
) -> None:
    context = browser.new_context(locale="en-GB")
    pages = [context.new_page() for _ in range(16)]
    for page in pages:
        page.goto(served.address)
    choose(pages[-1], cat)
    ask(pages[-1])
    expect(pages[-1].locator("#state")).to_have_text("Finished")
    assert len([seen for seen in relay.requests if seen.path == "/v1/models"]) == 1
    context.close()


def test_the_servers_end_is_told(browser: Browser, relay: Server, cat: Path) -> None:
    page = browser.new_page(locale="en-GB")
    with page_of(relay) as served:
        page.goto(served.address)
        choose(page, cat)
        expect(page.locator("#code")).not_to_be_empty()
    ask(page)
    expect(page.locator("#notice-title")).to_contain_text("This page's server does not answer")
    page.close()
    assert orders(relay) == []


def test_where_the_browser_keeps_nothing_the_page_works_all_the_same(
    browser: Browser, served: ui.Page, cat: Path
) -> None:
    with browser.new_context(locale="en-GB") as context:
        context.add_init_script(
            "for (const name of ['sessionStorage', 'localStorage'])"
            " Object.defineProperty(window, name, { get() { throw new DOMException('blocked', 'SecurityError'); } });"
        )
        page = context.new_page()
        page.goto(served.address)
        choose(page, cat)
        ask(page)
        expect(page.locator("#state")).to_have_text("Finished")
