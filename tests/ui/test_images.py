"""The images that the page may show or send."""

from __future__ import annotations

import pytest

from tests.images import png
from tutuclient import MediaError
from tutuclient.ui.images import ImageStore, file_name

PNG = png()


def test_an_image_is_known_by_its_bytes_whatever_it_is_called() -> None:
    image = ImageStore().add(PNG, "photo.jpg")
    assert (image.name, image.mime, image.data) == ("photo.png", "image/png", PNG)
    assert image.described() == {
        "id": image.id, "src": f"/images/{image.id}", "name": "photo.png", "mime": "image/png", "size": len(PNG),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "an empty file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "SVG; draw it first"),
        (b"<!doctype html><script>alert(1)</script>", "HTML"),
        (b"%PDF-1.7", "a PDF; draw its pages first"),
        (b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\0\4\0\0\x16\0\0\0", "an icon"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio"),
    ],
)
def test_what_is_no_image_to_be_sent_is_refused_and_named(data: bytes, what: str) -> None:
    with pytest.raises(MediaError, match=what):
        ImageStore().add(data, "cat.png")


def test_names_of_images_cannot_be_guessed_and_all_differ() -> None:
    store = ImageStore()
    assert len({store.add(PNG).id for _ in range(50)}) == 50
    assert all(len(store.add(PNG).id) == 32 for _ in range(5))


def test_the_image_used_longest_ago_goes_first_and_the_newest_stays() -> None:
    store = ImageStore(3 * len(PNG))
    first, second, third = (store.add(PNG) for _ in range(3))
    assert store.get(first.id) is first
    fourth = store.add(PNG)
    assert [store.get(each.id) for each in (first, second, third, fourth)] == [first, None, third, fourth]
    assert ImageStore(1).add(PNG).data == PNG
    assert store.get("") is None


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("/home/me/cat.png", "cat.png"),
        ("C:\\Users\\me\\cat.png", "cat.png"),
        ("../../etc/passwd", "passwd.png"),
        ("-rf.png", "rf.png"),
        ("a\nb\x1b[31m.png", "a_b_[31m.png"),
        ("gpj.\u202egnp.png", "gpj._gnp.png"),
        ('"><img src=x>.png', "_img src=x_.png"),
        ("猫 'n' $(id).PNG", "猫 'n' $(id).PNG"),
        ("photo.jpeg", "photo.png"),
        ("photo", "photo.png"),
        ("v1.2 of the cat", "v1.2 of the cat.png"),
        ("", "image.png"),
        ("...", "image.png"),
    ],
)
def test_file_names_are_made_safe_and_end_as_their_bytes_ask(name: str, clean: str) -> None:
    assert file_name(name, "image/png") == clean


def test_long_names_keep_their_end() -> None:
    assert file_name("x" * 300 + ".png", "image/png") == "x" * 76 + ".png"
