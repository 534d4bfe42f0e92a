import io
from typing import Any

import pytest
from PIL import Image, ImageOps

from tutuclient.standin import images


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def flat(colour: Any, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


@pytest.mark.parametrize(
    ("pixel", "name"),
    [
        ((0, 0, 0), "black"),
        ((255, 255, 255), "white"),
        ((128, 128, 128), "grey"),
        ((255, 0, 0), "red"),
        ((255, 140, 0), "orange"),
        ((255, 220, 0), "yellow"),
        ((0, 160, 0), "green"),
        ((0, 200, 200), "cyan"),
        ((0, 80, 220), "blue"),
        ((120, 40, 200), "purple"),
        ((255, 190, 200), "pink"),
        ((240, 100, 180), "pink"),
        ((120, 75, 40), "brown"),
    ],
)
def test_names_colours_as_a_person_would(pixel: tuple[int, int, int], name: str) -> None:
    assert f"Main colours: {name} 100%." in images.describe(flat(pixel), zh=False)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_is_set_upright_as_pillow_does(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    made = Image.linear_gradient("L").resize((40, 30)).rotate(30)
    buffer = io.BytesIO()
    made.save(buffer, "PNG", exif=exif)
    assert (
        images.upright(opened(buffer.getvalue())).tobytes()
        == ImageOps.exif_transpose(opened(buffer.getvalue())).tobytes()
    )


def test_measures_the_share_of_each_colour() -> None:
    image = flat((255, 0, 0), (100, 100))
    image.paste((0, 0, 255), (0, 0, 100, 25))
    assert "主要颜色:红色 75%、蓝色 25%。" in images.describe(image, zh=True)


def test_counts_transparent_pixels_and_frames() -> None:
    frames = [flat((0, 0, 0, 0), mode="RGBA"), flat((255, 0, 0, 255), mode="RGBA")]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    image = images.decode(buffer.getvalue())
    assert "WEBP image of 40x30 pixels, mode RGBA, animated with 2 frames" in images.describe(image, zh=False)
    assert "动画 2 帧。主要颜色:透明 100%" in images.describe(image, zh=True)
