"""The report of a run in Chromium: opened from a disk, filtered, searched, fed with hostile text, with 10,000 items."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Error, Page, expect

from tests.batch.report.samples import HOSTILE, fail, make_run, ok, sent
from tests.real.browsing import PHONE, WIDE, chromium, watched
from tutuclient.batch.lines import Record
from tutuclient.batch.report import write_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def photos(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"照片 {number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        Image.linear_gradient("L").resize((640, 480)).rotate(number * 10).convert("RGB").save(path)
    return paths


def mixed(count: int) -> Iterator[Record]:
    for number in range(count):
        if number % 50 == 7:
            yield fail(number, "ContentPolicyError", st=400, err=f"the prompt was rejected, case {number}")
        elif number % 50 == 31:
            yield fail(number, "APITimeoutError", "unknown", err="no answer came in time")
        else:
            yield ok(number, id=f"albums/{number % 9}/photo-{number}.jpg", res=f"图中有 {number} 只猫 on a windowsill")


def opened(browser: Browser, run: Path, **options: Any) -> Any:
    return watched(browser, write_report(run).resolve().as_uri(), **options)


def cards(page: Page) -> Any:
    return page.locator(".card")


def test_it_opens_from_a_disk_with_its_figures(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, make_run(tmp_path, mixed(200))) as report:
        page = report.page
        expect(cards(page)).to_have_count(48)
        expect(page.locator("#prompt-text")).to_have_text("这张图片有什么")
        expect(page.locator("#prompt-text")).to_have_attribute("lang", "zh")
        assert page.title() == f"{tmp_path.name}: report of a run"
        assert page.locator(".tile .value").all_inner_texts()[:3] == ["192", "4", "4"]
        assert page.locator("#classes h3").all_inner_texts() == ["ContentPolicyError", "APITimeoutError"]
        expect(page.locator("#classes")).to_contain_text("change the prompt, or leave these out")
        expect(page.locator("#throughput svg .part-0").first).to_be_attached()
        expect(page.locator("#latency svg .part-0").first).to_be_attached()
        page.locator("#latency summary").click()
        expect(page.locator("#latency tbody tr")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_all_text_can_be_read_and_nothing_is_wider_than_the_screen(
    browser: Browser, tmp_path: Path, scheme: str, size: dict[str, int]
) -> None:
    records = [*mixed(100), sent(200, id="x" * 300), ok(201, res={"a long name " * 9: "w" * 500}, fin="length")]
    run = make_run(tmp_path, records, task="edit", prompt="长" * 900)
    with opened(browser, run, viewport=size, color_scheme=scheme) as report:
        page = report.page
        expect(cards(page)).to_have_count(48)
        page.locator("#unknowns summary").click()
        page.get_by_label("Last page").first.click()
        expect(cards(page)).to_have_count(6)
        assert report.faint() == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        for place in (1, 4, 5):
            cards(page).nth(place).locator(".open").click()
            assert report.faint() == []
            assert page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(detail)") == 0
            page.keyboard.press("Escape")


def test_filter_search_and_pages_work_and_stay_in_the_address(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, make_run(tmp_path, mixed(2500))) as report:
        page = report.page
        count = page.locator("#count")
        expect(count).to_have_text("1 to 48 of 2,500 items")
        page.get_by_role("radio", name="Failed").check(force=True)
        expect(count).to_have_text("1 to 48 of 50 items")
        page.get_by_role("radio", name="Unknown").check(force=True)
        expect(cards(page).first).to_contain_text("APITimeoutError")
        page.get_by_role("radio", name="All").check(force=True)
        page.locator("#class").select_option("ContentPolicyError")
        expect(count).to_have_text("1 to 48 of 50 items")
        page.get_by_label("Next page").first.click()
        expect(count).to_have_text("49 to 50 of 50 items")
        page.reload()
        expect(count).to_have_text("49 to 50 of 50 items")
        page.locator("#class").select_option("")
        page.locator("#search").fill("2499 只猫 WINDOWSILL")
        expect(count).to_have_text("1 to 1 of 1 item")
        expect(cards(page)).to_contain_text("photo-2499.jpg")
        page.locator("#search").fill("rejected case")
        expect(count).to_have_text("1 to 48 of 50 items")
        page.locator("#search").fill("nothing is like this")
        expect(count).to_have_text("No item is like that.")
        page.evaluate("location.hash = '#q=photo-12.jpg'")
        expect(cards(page)).to_have_count(1)


def test_a_run_that_did_not_end_says_so(browser: Browser, tmp_path: Path) -> None:
    start = Record(k="ev", ev="start", t=1.0, res={"refusals": 0})
    stop = Record(k="ev", ev="stop", t=2.0, res={"refusals": 12, "why": "budget"})
    budget = "stopped at its budget. The same command with a higher --budget goes on"
    for name, events, words in (("a", [start], "killed. The same command goes on"), ("b", [start, stop], budget)):
        with opened(browser, make_run(tmp_path / name, [ok(1), *events])) as report:
            expect(report.page.locator("#notices")).to_contain_text(words)
            expect(report.page.get_by_text("refused 12 calls")).to_have_count(int(name == "b"))


def test_a_column_of_times_is_as_wide_as_its_bin(browser: Browser, tmp_path: Path) -> None:
    run = make_run(tmp_path, [ok(1, dur=1.04), ok(2, dur=1.06)])
    with opened(browser, run, viewport=WIDE) as report:
        latency = report.page.locator("#latency svg")
        [column] = latency.locator(".part-0").all()
        drawn, marks = column.bounding_box(), latency.locator(".mark").all()
        assert drawn is not None
        assert len(marks) == 2
        for mark in marks:
            assert (
                drawn["x"]
                <= float(mark.evaluate("line => line.getBoundingClientRect().x"))
                <= drawn["x"] + drawn["width"]
            )


def test_a_class_among_the_failures_shows_its_items(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, make_run(tmp_path, mixed(200))) as report:
        report.page.get_by_role("button", name="Show these : APITimeoutError").click()
        expect(report.page.locator("#count")).to_have_text("1 to 4 of 4 items")
        assert set(cards(report.page).locator(".trouble-name bdi").all_inner_texts()) == {"APITimeoutError"}


def test_hostile_text_stays_text(browser: Browser, tmp_path: Path) -> None:
    hostile = [
        ok(1, id=f"dir/{HOSTILE}", res=HOSTILE, model=HOSTILE, fin=HOSTILE, rid=HOSTILE),
        ok(2, res={HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}], "__proto__": {"polluted": 1}, "constructor": HOSTILE}),
        fail(3, HOSTILE, err=HOSTILE, rid=HOSTILE, id="javascript:alert(1)"),
        sent(4, id=HOSTILE + "4", task=HOSTILE, rid=HOSTILE),
        ok(5, img=[("javascript:alert(1).png", ""), ('"><img src=x>.png', "")]),
    ]
    run = make_run(tmp_path / "<img src=x onerror=alert(1)>\u202e", hostile, task="edit", prompt=HOSTILE, model=HOSTILE)
    with opened(browser, run) as report:
        page = report.page
        expect(cards(page)).to_have_count(5)
        shown = "</script><script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"
        expect(cards(page).nth(0).locator(".answer")).to_contain_text(shown)
        expect(cards(page).nth(2).locator(".trouble-text")).to_contain_text(shown)
        expect(page.locator("#prompt-text")).to_contain_text(shown)
        # An override of direction is shown and not obeyed, and so are controls.
        for text in (
            str(cards(page).nth(0).locator(".open").get_attribute("title")),
            page.locator("#prompt-text").inner_text(),
        ):
            assert "\\u202egpj.exe" in text
            assert "␀␛" in text
        assert "\u202e" not in page.evaluate("document.documentElement.textContent + document.title")
        page.locator("#unknowns summary").click()
        for place in range(5):
            cards(page).nth(place).locator(".open").click()
            expect(page.locator("#detail")).to_be_visible()
            for link in page.locator("#detail-body a").all():
                assert re.match(r"\.\./images/[^/]+$", str(link.get_attribute("href")))
            page.keyboard.press("Escape")
        page.locator("#search").fill("<img src=x onerror='window.owned")
        expect(cards(page)).to_have_count(4)
        page.locator("#class").select_option(HOSTILE)
        expect(cards(page)).to_have_count(1)
        page.evaluate("location.hash = '#q=' + encodeURIComponent('<img src=x onerror=alert(1)>')")
        expect(page.locator("#count")).to_have_text("No item is like that.")
        page.wait_for_timeout(200)  # Whatever were to run would have begun.
        assert page.evaluate("[window.owned, ({}).polluted]") == [None, None]
        assert page.locator("main script, main iframe, main img[src=x], body > script, header img").count() == 0


def test_the_policy_forbids_html_and_scripts_whoever_makes_them(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(write_report(make_run(tmp_path, [ok(1)])).resolve().as_uri())
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)>')")
    with pytest.raises(Error, match="TrustedScript"):
        page.evaluate(
            "document.head.append(Object.assign(document.createElement('script'), {src: 'https://a.example/x.js'}))"
        )
    page.close()


def test_edits_stand_side_by_side_and_images_are_loaded_as_they_are_needed(browser: Browser, tmp_path: Path) -> None:
    paths = photos(tmp_path / "photos", 40)
    run = tmp_path / "run"
    (run / "images").mkdir(parents=True)
    for path in paths:
        Image.open(path).rotate(180).save(run / "images" / path.name)
    records = [ok(number, id=str(path), img=[(path.name, "0")]) for number, path in enumerate(paths)]
    lost = ok(90, id="https://photos.example/1.jpg", img=[("gone.png", "0")])
    make_run(run, [lost, *records], task="edit")
    with opened(browser, run, viewport=PHONE) as report:
        page = report.page
        expect(cards(page)).to_have_count(41)
        assert cards(page).nth(1).locator(".frame-name").all_inner_texts() == ["Before", "After"]
        expect(cards(page).nth(0)).to_contain_text("reports load nothing from elsewhere")
        cards(page).nth(1).scroll_into_view_if_needed()
        images = cards(page).nth(1).locator("img")
        expect(images).to_have_count(2)
        for image in images.all():
            page.wait_for_function("image => image.complete && image.naturalWidth === 400", arg=image.element_handle())
        assert 2 <= len([url for url in report.requests if "/thumbs/" in url]) < 80
        cards(page).nth(1).locator(".open").click()
        expect(page.locator("#detail a")).to_have_attribute("href", "../images/%E7%85%A7%E7%89%87%200.jpg")


def test_orders_that_may_be_paid_for_are_listed_with_what_to_do(browser: Browser, tmp_path: Path) -> None:
    lost = fail(2, "ImageDownloadError", "done", res="https://files.example/1.png")
    run = make_run(tmp_path, [ok(0), sent(1, id="a.png", task="task-7"), lost, sent(3, id="b.png")], task="edit")
    with opened(browser, run) as report:
        page = report.page
        expect(page.locator("#unknowns-title")).to_have_text("3 orders that may be paid for, without their image")
        expect(page.locator("#unknowns-do")).to_contain_text("tutuclient batch retry RUN --resend-unknown")
        page.locator("#unknowns summary").click()
        assert page.locator("#unknowns tbody td:last-child").all_inner_texts() == [
            "answered with a task",
            "made, and not fetched (ImageDownloadError)",
            "no end was written",
        ]
        page.get_by_role("button", name="Show these items").click()
        expect(cards(page)).to_have_count(2)
        expect(cards(page).first).to_contain_text("its image was not fetched yet")


def test_it_is_used_by_keyboard_alone(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, make_run(tmp_path, mixed(60))) as report:
        page = report.page
        expect(cards(page)).to_have_count(48)
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("radio", name="All")).to_be_focused()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#count")).to_have_text("1 to 48 of 57 items")
        first = cards(page).nth(0).locator(".open")
        first.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#detail")).to_be_visible()
        expect(page.locator("#detail-title")).to_have_text("albums/0/photo-0.jpg")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#detail-title")).to_have_text("albums/1/photo-1.jpg")
        page.keyboard.press("Escape")
        expect(cards(page).nth(1).locator(".open")).to_be_focused()


def test_ten_thousand_items_are_a_page_at_a_time(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, make_run(tmp_path, mixed(10_000))) as report:
        page = report.page
        expect(page.locator("#count")).to_have_text("1 to 48 of 10,000 items")
        assert len([url for url in report.requests if re.search(r"/data/\d+\.js", url)]) == 1
        assert page.evaluate("document.getElementsByTagName('*').length") < 1500
        page.get_by_label("Last page").first.click()
        expect(page.locator("#count")).to_have_text("9,985 to 10,000 of 10,000 items")
        page.locator("#search").fill("9998 只猫")
        expect(page.locator("#count")).to_have_text("1 to 1 of 1 item")
        page.locator("#search").fill("windowsill")
        expect(page.locator("#count")).to_have_text("1 to 48 of 9,600 items")
        assert page.evaluate("document.getElementsByTagName('*').length") < 1500


def test_a_piece_that_is_not_there_is_named(browser: Browser, tmp_path: Path) -> None:
    index = write_report(make_run(tmp_path, mixed(1500)))
    (index.parent / "data" / "1.js").unlink()
    page = browser.new_page()
    page.goto(f"{index.resolve().as_uri()}#page=32")
    expect(page.locator("#count")).to_have_text("The items cannot be shown: data/1.js is not there, or is damaged.")
    page.locator("#search").fill("cat")
    expect(page.locator("#count")).to_have_text("The search stopped: data/1.js is not there, or is damaged.")
    page.close()


def test_it_may_be_served(browser: Browser, tmp_path: Path) -> None:
    run = make_run(tmp_path, mixed(60))
    write_report(run)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=run / "report")
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with watched(browser, f"http://127.0.0.1:{server.server_port}/index.html") as report:
                expect(cards(report.page)).to_have_count(48)
        finally:
            server.shutdown()
            thread.join()
