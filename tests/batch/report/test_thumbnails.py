"""What ``batch.report.thumbnails`` promises: small images of local files, and a mark for whatever has none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tutuclient.batch.report import thumbnails
from tutuclient.batch.report.thumbnails import GONE, LIMIT, NO_PILLOW, REMOTE, SIDE, UNREADABLE, Thumbnails, address

if TYPE_CHECKING:
    from pathlib import Path


def make(tmp_path: Path, *names: str | Path, folder: str = "new", earlier: str = "none", most: int = 100) -> list[str]:
    with Thumbnails(tmp_path / folder, tmp_path, tmp_path / earlier, most) as thumbs:
        return thumbs.make(names)


def photo(path: Path, size: tuple[int, int] = (1200, 800), mode: str = "RGB", **saved: object) -> Path:
    Image.new(mode, size, 1 if mode == "P" else None).save(path, **saved)  # type: ignore[arg-type]
    return path


def opened(tmp_path: Path, name: str, folder: str = "new") -> Image.Image:
    with Image.open(tmp_path / folder / address(name)) as image:
        image.load()
        return image


def test_it_is_small_and_keeps_its_shape(tmp_path: Path) -> None:
    photo(tmp_path / "猫 cat.jpg")
    [name] = make(tmp_path, "猫 cat.jpg")
    image = opened(tmp_path, name)
    assert image.size == (SIDE, round(SIDE * 2 / 3))
    assert image.format == "WEBP"


@pytest.mark.parametrize(
    ("mode", "form"),
    [
        *((mode, "PNG") for mode in ("1", "L", "LA", "P", "RGBA", "I;16")),
        *(("P", "GIF"), ("CMYK", "JPEG"), ("L", "JPEG"), ("RGB", "WEBP"), ("RGB", "BMP"), ("F", "TIFF")),
    ],
)
def test_whatever_pillow_reads_is_drawn(tmp_path: Path, mode: str, form: str) -> None:
    path = photo(tmp_path / "image", mode=mode, format=form)
    [name] = make(tmp_path, path)
    assert max(opened(tmp_path, name).size) == SIDE


def test_sixteen_bits_become_eight_and_not_white(tmp_path: Path) -> None:
    Image.new("I;16", (500, 500), 32768).save(tmp_path / "grey.png")
    [name] = make(tmp_path, "grey.png")
    assert opened(tmp_path, name).convert("L").getpixel((5, 5)) == pytest.approx(128, abs=3)


def test_it_is_upright_and_says_nothing_of_where_it_was_taken(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8825] = {1: "N", 2: (31.0, 14.0, 0.0)}
    photo(tmp_path / "turned.jpg", exif=exif)
    [name] = make(tmp_path, "turned.jpg")
    image = opened(tmp_path, name)
    assert image.width < image.height
    assert not image.getexif()


def test_a_small_one_is_not_made_larger(tmp_path: Path) -> None:
    photo(tmp_path / "small.png", (30, 20))
    [name] = make(tmp_path, "small.png")
    assert opened(tmp_path, name).size == (30, 20)


@pytest.mark.parametrize(
    "name", ["https://a.example/x.png", "http://a/x", "data:image/png;base64,AA", "//a/b", "\\\\a\\b"]
)
def test_nothing_is_fetched_from_anywhere(tmp_path: Path, name: str) -> None:
    assert make(tmp_path, name) == [REMOTE]


def test_what_is_no_file_is_gone(tmp_path: Path) -> None:
    names = ["nothing.png", "a\0b", "x" * 5000, "", str(tmp_path), "~nobody-has-this-name/x.png"]
    assert make(tmp_path, *names) == [GONE] * len(names)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert make(tmp_path, "pipe.png") == [GONE]


def test_what_is_no_image_or_half_of_one_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    whole = photo(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    assert make(tmp_path, "text.png", "half.jpg", "whole.jpg")[:2] == [UNREADABLE, UNREADABLE]


def test_more_pixels_than_are_decoded_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(tmp_path / "large.png", (400, 300))
    monkeypatch.setattr(thumbnails, "MAX_PIXELS", 100_000)
    assert make(tmp_path, "large.png") == [UNREADABLE]


def test_no_more_are_made_than_were_asked_for(tmp_path: Path) -> None:
    names = [photo(tmp_path / f"{number}.png", (9, 9)) for number in range(5)]
    found = make(tmp_path, *names, most=3)
    assert found.count(LIMIT) == 2
    assert len(list((tmp_path / "new").rglob("*.webp"))) == 3


def test_without_pillow_a_mark_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(tmp_path / "a.png")
    monkeypatch.setattr(thumbnails, "find_spec", lambda _: None)
    assert make(tmp_path, "a.png", "gone.png") == [NO_PILLOW, GONE]


@pytest.mark.parametrize("links", [True, False])
def test_what_has_not_changed_is_taken_from_the_report_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    photo(tmp_path / "same.png")
    photo(tmp_path / "changed.png")
    before = make(tmp_path, "same.png", "changed.png", folder="old")
    drawn: list[Path] = []
    draw = thumbnails._drawn

    def noted(path: Path) -> Image.Image:
        drawn.append(path)
        return draw(path)

    monkeypatch.setattr(thumbnails, "_drawn", noted)
    photo(tmp_path / "changed.png", (50, 50))
    after = make(tmp_path, "same.png", "changed.png", earlier="old")
    assert [path.name for path in drawn] == ["changed.png"]
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert opened(tmp_path, after[0]).size == opened(tmp_path, before[0], "old").size


def test_a_full_disk_is_no_fault_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(tmp_path / "a.png")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        make(tmp_path, "a.png")
