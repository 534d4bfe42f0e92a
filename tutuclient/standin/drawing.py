"""Drawings of the things that a prompt names, and the sample image of demonstrations. They need Pillow."""

import functools
import hashlib
import math
import re
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from tutuclient.standin.images import COLOURS, MAX_SIDE, SKY, Colour, chinese, colour_in, png, resized

_THINGS = {
    "cat": r"猫|\bcats?\b|\bkitten",
    "house": r"房|屋|\bhouses?\b|\bhut\b",
    "tree": r"树|\btrees?\b",
    "flower": r"花|\bflowers?\b|\brose",
    "sun": r"太阳|\bsun\b",
    "star": r"星|\bstars?\b",
    "heart": r"心形|爱心|\bhearts?\b",
    "circle": r"圆|球|\bcircles?\b|\bballs?\b|\bdots?\b",
    "triangle": r"三角|\btriangles?\b",
    "square": r"方形|方块|\bsquares?\b|\bcubes?\b|\bbox\b",
}
_THING = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _THINGS.items()), re.IGNORECASE)
_CHINESE_THINGS = dict(
    zip(_THINGS, ("猫", "房子", "树", "花", "太阳", "星星", "心形", "圆形", "三角形", "方形"), strict=True)
)
_OWN_COLOURS = {"cat": "orange", "house": "red", "tree": "green", "flower": "pink", "sun": "yellow", "star": "yellow",
                "heart": "red"}  # fmt: skip
_GROUND_COLOUR = re.compile(r"\w{2}的?背景|背景[是为用]\w{2}|\w+ (?:background|backdrop)", re.IGNORECASE)


def generate(prompt: str, *, zh: bool, size: tuple[int, int] = (768, 512), clear: bool = False) -> tuple[bytes, str]:
    """Draw the things and colours that a prompt names; without any, a pattern that only this prompt gets.

    ``size`` is in pixels; ``clear`` leaves the ground transparent; with ``zh`` the note is in Chinese.
    """
    behind = _GROUND_COLOUR.search(prompt)
    wall = colour_in(behind[0]) if behind else None
    rest = prompt.replace(behind[0], " ") if behind else prompt
    # Not ``hash``, which differs from process to process: the same prompt has to get the same image.
    dice = hashlib.sha256(prompt.encode("utf-8", "replace")).digest()
    start = 0
    things: list[tuple[str, str]] = []
    for match in _THING.finditer(SKY.sub(" ", rest)):
        name = str(match.lastgroup)
        colour = colour_in(SKY.sub(" ", rest)[start : match.start()]) or _OWN_COLOURS.get(name)
        things.append((name, colour or list(COLOURS)[3 + dice[len(things)] % 8]))
        start = match.end()
    if not things:
        first = colour_in(rest)
        colours = [first or list(COLOURS)[3 + byte % 8] for byte in dice[:5]]
        things = [(("circle", "star", "square", "triangle", "heart")[byte % 5], colour)
                  for byte, colour in zip(dice[5:10], colours, strict=True)]  # fmt: skip
    things = things[:5]
    # A light wall of one colour, which an edit can find and replace.
    ground: Image.Image | tuple[int, ...] = (*(COLOURS[wall][1] if wall else (247, 242, 233)), 255)
    if clear:
        ground = (0, 0, 0, 0)
    elif SKY.search(prompt):
        ground = draw_sky(size)
    image = _scene(size, ground, [(name, COLOURS[colour][1]) for name, colour in things])
    if zh:
        return image, f"画了{'、'.join(chinese(colour) + '的' + _CHINESE_THINGS[name] for name, colour in things)}。"
    return image, f"I drew {', '.join(f'a {name} in {colour}' for name, colour in things)}."


def draw_sky(size: tuple[int, int]) -> Image.Image:
    """Draw a blue sky with white clouds, opaque "RGBA", the same for the same size."""
    width, height = size
    fade = resized(Image.linear_gradient("L"), size)
    sky = Image.composite(Image.new("RGB", size, (214, 236, 252)), Image.new("RGB", size, (58, 134, 224)), fade)
    unit = max(width, height) / 100
    for centre_x, centre_y, scale in ((0.2, 0.2, 1.0), (0.77, 0.17, 1.2), (0.52, 0.36, 0.6), (0.94, 0.42, 0.75),
                                      (0.05, 0.5, 0.7)):  # fmt: skip
        cloud = Image.new("L", size, 0)
        draw = ImageDraw.Draw(cloud)
        for offset_x, offset_y, radius in ((-9, 1, 4), (-4, -2, 5.5), (2, -3.5, 6.5), (8, -1, 5), (12, 1.5, 3)):
            x, y = centre_x * width + offset_x * scale * unit, centre_y * height + offset_y * scale * unit
            reach = radius * scale * unit
            draw.ellipse((x - reach, y - reach * 0.8, x + reach, y + reach * 0.8), fill=255)
        base = centre_y * height + 2.6 * scale * unit
        draw.rectangle((0, base, width, height), fill=0)
        soft = cloud.filter(ImageFilter.GaussianBlur(unit * 0.45 * scale))
        shade = ImageChops.offset(soft, 0, round(-unit * 1.1 * scale))
        sky.paste((226, 236, 246), mask=soft)
        sky.paste((255, 255, 255), mask=ImageChops.multiply(soft, shade))
    return sky.convert("RGBA")


@functools.cache  # A tenth of a second to draw, and test suites ask for it in every test.
def sample_picture() -> bytes:
    """Draw the image that demonstrations use: an orange cat on a hill before a plain light wall.

    Returns:
        A PNG of 720 × 540 pixels, always the same. Its background is one colour, so that replacing it shows.

    Raises:
        ImportError: Pillow is missing.
    """
    return _scene((720, 540), (247, 242, 233, 255), [("cat", COLOURS["orange"][1])])


def _scene(size: tuple[int, int], ground: Image.Image | tuple[int, ...], things: list[tuple[str, Colour]]) -> bytes:
    """Draw things side by side on a hill; larger first, for smooth edges. A transparent ground has no hill."""
    # Pillow draws shapes without smooth edges; shrinking a larger image makes them.
    larger = 3 if max(size) <= 768 else 2 if max(size) <= MAX_SIDE else 1  # noqa: PLR2004 - as memory allows.
    width, height = size[0] * larger, size[1] * larger
    large = (
        resized(ground, (width, height))
        if not isinstance(ground, tuple)
        else Image.new("RGBA", (width, height), ground)
    )
    draw = ImageDraw.Draw(large)
    if isinstance(ground, Image.Image) or ground[3]:
        draw.ellipse((-width * 0.35, height * 0.74, width * 1.35, height * 1.9), fill=(150, 190, 130))
        draw.ellipse((-width * 0.6, height * 0.83, width * 0.9, height * 1.8), fill=(122, 170, 108))
    reach = min(height * 0.34, width / len(things) * 0.42)
    for place, (name, colour) in enumerate(things):
        x = width * (place + 0.5) / len(things)
        _draw_thing(
            draw, name, colour, x=x, y=height * 0.4 if name in {"sun", "star"} else height * 0.9 - reach, reach=reach
        )
    return png(resized(large, size, Image.Resampling.LANCZOS))


def _draw_thing(  # noqa: C901 - one case a thing.
    draw: Any, name: str, colour: Colour, *, x: float, y: float, reach: float
) -> None:
    """Draw one thing around (x, y), reaching so many pixels to each side."""
    dark, light = _mix(colour, (40, 26, 20), 0.3), _mix(colour, (255, 255, 255), 0.65)

    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + dx * reach, y + dy * reach

    def oval(dx: float, dy: float, rx: float, ry: float, fill: Colour) -> None:
        draw.ellipse((*at(dx - rx, dy - ry), *at(dx + rx, dy + ry)), fill=fill)

    def shape(*points: tuple[float, float], fill: Colour) -> None:
        draw.polygon([at(*point) for point in points], fill=fill)

    if name not in {"sun", "star", "cat"}:
        oval(0, 0.98, 0.8, 0.08, (104, 148, 92))
    match name:
        case "cat":
            _draw_cat(oval, shape, draw, at, reach=reach, colour=colour)
        case "house":
            draw.rectangle((*at(-0.7, -0.1), *at(0.7, 1)), fill=light)
            shape((-0.9, -0.1), (0, -0.9), (0.9, -0.1), fill=colour)
            draw.rectangle((*at(-0.16, 0.4), *at(0.2, 1)), fill=dark)
            draw.rectangle((*at(-0.56, 0.2), *at(-0.28, 0.5)), fill=(150, 205, 235))
        case "tree":
            draw.rectangle((*at(-0.12, 0.2), *at(0.12, 1)), fill=COLOURS["brown"][1])
            for dx, dy, r in ((-0.4, 0, 0.42), (0.4, 0, 0.42), (0, -0.4, 0.52)):
                oval(dx, dy, r, r, colour)
        case "flower":
            draw.rectangle((*at(-0.05, 0), *at(0.05, 1)), fill=COLOURS["green"][1])
            for turn in range(6):
                oval(0.34 * math.cos(turn * math.pi / 3), 0.34 * math.sin(turn * math.pi / 3) - 0.3, 0.26, 0.26, colour)
            oval(0, -0.3, 0.22, 0.22, COLOURS["yellow"][1])
        case "sun" | "star":
            points, inner = (24, 0.74) if name == "sun" else (10, 0.42)
            turns = [
                (turn * 2 * math.pi / points - math.pi / 2, 1 if turn % 2 == 0 else inner) for turn in range(points)
            ]
            shape(*((r * math.cos(a), r * math.sin(a) - 0.1) for a, r in turns), fill=colour)
        case "heart":
            angles = [step * math.pi / 60 for step in range(120)]
            shape(
                *(
                    (
                        math.sin(a) ** 3,
                        -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)) / 16,
                    )
                    for a in angles
                ),
                fill=colour,
            )
        case "triangle":
            shape((0, -0.9), (0.95, 0.95), (-0.95, 0.95), fill=colour)
        case "square":
            shape((-0.85, -0.8), (0.85, -0.8), (0.85, 0.95), (-0.85, 0.95), fill=colour)
        case _:
            oval(0, 0, 0.98, 0.98, colour)


def _draw_cat(oval: Any, shape: Any, draw: Any, at: Any, *, reach: float, colour: Colour) -> None:
    dark, light, ink = _mix(colour, (60, 30, 20), 0.28), _mix(colour, (255, 250, 240), 0.72), (58, 44, 44)
    oval(0.05, 1.06, 0.95, 0.1, (104, 148, 92))
    for step in range(60):  # The tail: a curve of overlapping discs, its tip darker.
        turn = step / 59
        tip = colour if turn < 0.75 else dark  # noqa: PLR2004 - the last quarter.
        oval(0.5 + 0.52 * math.sin(turn * 1.9), 0.94 - 0.62 * turn, 0.13 - 0.03 * turn, 0.13 - 0.03 * turn, tip)
    oval(0, 0.55, 0.56, 0.54, colour)
    oval(0, 0.66, 0.3, 0.4, light)
    for side in (-1, 1):
        oval(side * 0.36, 0.82, 0.27, 0.25, colour)
        oval(side * 0.17, 1.0, 0.18, 0.1, light)
        shape((side * 0.56, -0.36), (side * 0.52, -1.06), (side * 0.1, -0.74), fill=colour)
        shape((side * 0.49, -0.5), (side * 0.47, -0.9), (side * 0.22, -0.7), fill=COLOURS["pink"][1])
    oval(0, -0.32, 0.62, 0.5, colour)
    for dx, length in ((-0.16, 0.2), (0, 0.27), (0.16, 0.2)):
        shape((dx - 0.045, -0.8), (dx + 0.045, -0.8), (dx, -0.8 + length), fill=dark)
    oval(0, -0.12, 0.28, 0.2, light)
    for side in (-1, 1):
        oval(side * 0.27, -0.36, 0.11, 0.13, ink)
        oval(side * 0.27 + 0.035, -0.41, 0.04, 0.045, (255, 255, 255))
        oval(side * 0.43, -0.15, 0.09, 0.06, _mix(colour, (250, 140, 150), 0.6))
        for tilt in (-0.07, 0.02, 0.11):
            draw.line(
                (*at(side * 0.24, -0.13), *at(side * 0.6, -0.15 + tilt)), fill=ink, width=max(1, round(reach / 90))
            )
        draw.arc(
            (*at(side * 0.08 - 0.08, -0.17), *at(side * 0.08 + 0.08, -0.02)), 10, 170, ink, max(1, round(reach / 60))
        )
    shape((-0.06, -0.2), (0.06, -0.2), (0, -0.12), fill=(214, 96, 100))


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(mine + (its - mine) * share) for mine, its in zip(colour, other, strict=True))
    return red, green, blue
