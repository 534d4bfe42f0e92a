"""The files of the page."""

from __future__ import annotations

import re

from tutuclient.ui.assets import read_assets


def test_all_files_are_there_with_their_types() -> None:
    types = {path: asset.content_type for path, asset in read_assets().items()}
    assert types == {
        "/": "text/html",
        "/app.js": "text/javascript",
        "/icon.svg": "image/svg+xml",
        "/style.css": "text/css",
        "/words.js": "text/javascript",
    }
    tags = {asset.etag for asset in read_assets().values()}
    assert len(tags) == 5
    assert all(re.fullmatch(r'"[0-9a-f]{32}"', tag) for tag in tags)


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline() -> None:
    for path, asset in read_assets().items():
        text = asset.data.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://(?!\$)", text), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text), (
            path
        )
    html = read_assets()["/"].data.decode()
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?! defer src=)|<form[^>]*action", html)


def test_both_languages_have_the_same_words() -> None:
    words = read_assets()["/words.js"].data.decode()
    english, chinese = words.split("\n  zh: {\n")
    names = [
        re.findall(r"(?:^|[{,])\s*(\w+):", part.partition("en: {\n")[2] or part, re.MULTILINE)
        for part in (english, chinese)
    ]
    assert names[0] == names[1]
    used = set(re.findall(r'data-t="(\w+)"', read_assets()["/"].data.decode()))
    assert used <= set(names[0])


def test_every_word_of_advice_is_in_the_page() -> None:
    from tutuclient.ui.asking import _ADVICE  # noqa: PLC0415  # pyright: ignore[reportPrivateUsage]

    words = read_assets()["/words.js"].data.decode()
    for _, word in _ADVICE:
        assert len(re.findall(rf"^      {word}: ", words, re.MULTILINE)) == 2, word
