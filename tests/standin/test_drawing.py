import io

import pytest
from PIL import Image

from tutuclient.standin import drawing, images
from tutuclient.testing import sample_picture


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def colour(image: Image.Image, spot: tuple[int, int]) -> tuple[int, ...]:
    value = image.convert("RGB").getpixel(spot)
    assert isinstance(value, tuple)
    return value


def test_the_sky_has_white_clouds() -> None:
    sky = drawing.draw_sky((300, 200))
    shares = images.describe(sky, zh=False)
    assert "blue" in shares
    assert "white" in shares


@pytest.mark.parametrize(
    ("prompt", "note"),
    [
        ("a red circle and a blue house", "I drew a circle in red, a house in blue."),
        ("tree, flower, sun, star", "I drew a tree in green, a flower in pink, a sun in yellow, a star in yellow."),
        ("heart, green square, red ball", "I drew a heart in red, a square in green, a circle in red."),
        ("a green triangle on a pink background", "I drew a triangle in green."),
        ("a black cat under a blue sky", "I drew a cat in black."),
    ],
)
def test_draws_the_things_and_colours_it_reads(prompt: str, note: str) -> None:
    data, said = drawing.generate(prompt, zh=False)
    assert said == note
    assert opened(data).size == (768, 512)


def test_draws_on_the_wall_that_is_asked_for() -> None:
    data, _ = drawing.generate("a cat, pink background", zh=False)
    assert colour(opened(data), (5, 5)) == (245, 160, 190)


def test_draws_a_pattern_of_its_own_for_every_other_prompt() -> None:
    one, two = (drawing.generate(prompt, zh=True) for prompt in ("hm", "hmm"))
    assert one != two
    assert one == drawing.generate("hm", zh=True)
    assert "in green" in drawing.generate("something green", zh=False)[1]


def test_the_sample_image_is_always_the_same() -> None:
    assert sample_picture() == sample_picture()
    assert opened(sample_picture()).size == (720, 540)
