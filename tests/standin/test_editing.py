import io
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from tutuclient.standin import editing, images
from tutuclient.testing import sample_picture

WALL, CAT, HILL = (60, 60), (330, 250), (40, 520)


BROKEN_EXIF = {
    "cut off": b"Exif\0\0II*\0\x08\0\0\0\5\0",
    "no TIFF": b"Exif\0\0nothing of the kind",
    "an offset outside": b"Exif\0\0MM\0*\0\xff\xff\xff",
    "an unknown type": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\xff\xff\1\0\0\0\6\0\0\0\0\0\0\0",
}


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def edited(prompt: str, picture: Image.Image | None = None) -> tuple[Image.Image, str]:
    data, note = editing.edit(picture or opened(sample_picture()), prompt, zh=False)
    return opened(data), note


def flat(colour: Any, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


def colour(image: Image.Image, spot: tuple[int, int]) -> tuple[int, ...]:
    value = image.convert("RGB").getpixel(spot)
    assert isinstance(value, tuple)
    return value


@pytest.mark.parametrize("kind", sorted(BROKEN_EXIF))
def test_an_image_with_broken_exif_is_looked_at_and_edited_as_it_stands(kind: str) -> None:
    buffer = io.BytesIO()
    flat("red").save(buffer, "JPEG", exif=BROKEN_EXIF[kind])
    image = images.decode(buffer.getvalue())
    assert "40x30 pixels" in images.describe(image, zh=False)
    assert edited("make it black and white", image)[0].size == (40, 30)
    assert opened(editing.vary(image, 1)).size == (40, 30)
    assert editing.beside([image, image]).size == (80, 30)


def test_a_png_whose_exif_text_is_damaged_is_edited() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", "\nexif\n    3\nnot hex!\n")
    buffer = io.BytesIO()
    flat("red").save(buffer, "PNG", pnginfo=info)
    assert edited("blur it", images.decode(buffer.getvalue()))[0].size == (40, 30)


@pytest.mark.parametrize(
    ("mode", "form"), [("I;16", "PNG"), ("F", "TIFF"), ("CMYK", "TIFF"), ("1", "PNG"), ("LA", "PNG")]
)
def test_pixels_of_every_kind_are_looked_at_and_edited(mode: str, form: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (40, 30)).save(buffer, form)
    image = images.decode(buffer.getvalue())
    assert "40x30 pixels" in images.describe(image, zh=False)
    assert edited("blur it", image)[0].size == (40, 30)


def test_replaces_the_wall_by_a_sky_and_leaves_cat_and_hill() -> None:
    before = opened(sample_picture())
    after, note = edited("请将这张图片的背景替换为蓝天白云")
    assert note == "Put a blue sky with white clouds behind it."
    red, green, blue = colour(after, (20, 10))
    assert blue > green > red
    assert colour(after, CAT) == colour(before, CAT)
    assert colour(after, HILL) == colour(before, HILL)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("make the background red", (214, 48, 49)),
        ("把背景换成绿色", (64, 160, 84)),
        ("grey background", (150, 152, 158)),
    ],
)
def test_replaces_the_wall_by_a_colour(prompt: str, expected: tuple[int, int, int]) -> None:
    after, _ = edited(prompt)
    assert colour(after, WALL) == expected


def test_makes_the_background_transparent_or_blurred() -> None:
    clear, _ = edited("remove the background")
    assert clear.getchannel("A").getpixel(WALL) == 0
    assert clear.getchannel("A").getpixel(CAT) == 255
    blurred, note = edited("blur the background")
    assert note == "Blurred the background."
    assert colour(blurred, CAT) == colour(opened(sample_picture()), CAT)


def test_finds_the_background_of_an_image_that_has_alpha() -> None:
    image = flat((0, 0, 0, 0), (60, 60), "RGBA")
    image.paste((10, 200, 10, 255), (20, 20, 40, 40))
    after, _ = edited("white background", image)
    assert (colour(after, (2, 2)), colour(after, (30, 30))) == ((255, 255, 255), (10, 200, 10))


def test_sets_an_image_without_background_before_the_new_one() -> None:
    noisy = Image.merge("RGB", [Image.effect_noise((80, 80), 120) for _ in range(3)])
    after, note = edited("red background", noisy)
    assert note.startswith("Found no plain background")
    assert colour(after, (2, 2)) == (214, 48, 49)


@pytest.mark.parametrize(
    ("prompt", "note", "expected"),
    [
        ("turn it black and white", "Made it black and white.", (89, 89, 89)),
        ("反色", "Inverted the colours.", (55, 155, 235)),
        ("调亮", "Made it brighter.", (255, 135, 27)),
        ("darker please", "Made it darker.", (130, 65, 13)),
        ("模糊一点", "Blurred it.", (200, 100, 20)),
    ],
)
def test_changes_tones(prompt: str, note: str, expected: tuple[int, ...]) -> None:
    after, said = edited(prompt, flat((200, 100, 20)))
    assert said == note
    assert colour(after, (20, 15)) == pytest.approx(expected, abs=40 if "black" in prompt else 1)


@pytest.mark.parametrize(
    ("prompt", "size", "corner"),
    [
        ("rotate 90 degrees", (30, 40), (29, 0)),
        ("逆时针旋转90度", (30, 40), (0, 39)),
        ("rotate", (30, 40), (29, 0)),
        ("rotate by 180°", (40, 30), (39, 29)),
        ("mirror it", (40, 30), (39, 0)),
        ("水平翻转", (40, 30), (39, 0)),
        ("flip vertically", (40, 30), (0, 29)),
        ("上下颠倒", (40, 30), (0, 29)),
    ],
)
def test_moves_the_corner(prompt: str, size: tuple[int, int], corner: tuple[int, int]) -> None:
    image = flat((0, 0, 255))
    image.putpixel((0, 0), (255, 255, 0))
    after, _ = edited(prompt, image)
    assert after.size == size
    assert colour(after, corner) == (255, 255, 0)


def test_does_several_edits_at_once() -> None:
    _, note = edited("black and white, blurred, and mirrored")
    assert note == "Made it black and white; blurred it; mirrored it."


@pytest.mark.parametrize("prompt", ["add a hat", "背景更有气氛"])
def test_frames_what_it_cannot_edit_and_says_so(prompt: str) -> None:
    after, note = edited(prompt)
    assert note == "I could not read that edit, so I only framed the image."
    assert colour(after, (0, 0)) == (240, 138, 40)
    assert after.width > 720


def test_turns_a_photo_as_its_exif_data_says_and_keeps_it_small() -> None:
    image = flat((0, 0, 255), (3000, 1500))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    after, _ = edited("invert", opened(buffer.getvalue()))
    assert after.size == (1024, 2048)
